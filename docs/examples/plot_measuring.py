"""
How near, how sure
==================

What :doc:`/guide/measuring` rests on. The measurements take hours, so the rows that the scripts in ``benchmarks`` wrote are
drawn here.
"""

# %%
# How many rows
# -------------
#
# The mean error of kinds of data that people have few rows of, from ``benchmarks/mutual_information.py``: left, over the tasks
# that every estimator takes, of numbers and not of labels; right, of the default, task by task.

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

plt.style.use("petroff10")  # colours that the colour-blind tell apart
results = Path("../../benchmarks/results")


def name_ends(axis, gap):
    """Write the name of each line beside its end, at least a gap below the one above."""
    place = np.inf
    for line in sorted(axis.lines, key=lambda line: -line.get_ydata()[-1]):
        place = min(line.get_ydata()[-1], place - gap)
        axis.text(line.get_xdata()[-1] * 1.08, place, line.get_label(), color=line.get_color(), va="center", fontsize=8)


tables = [pd.read_csv(results / f"{name}.csv") for name in ("mutual_information", "mutual_information_peers")]
tables[1]["estimator"] = tables[1]["package"] + " " + tables[1]["estimator"]
runs = pd.concat(tables).drop_duplicates(["task", "estimator", "n", "seed"], keep="last")
runs = runs[runs["task"].isin(runs["task"][runs["n"] == 100])]  # small tasks are the only ones with so few rows
errors = runs.assign(error=runs["error"].abs()).pivot_table("error", "task", ["estimator", "n"])
sizes = [100, 300, 1000]
complete = [name for name in errors.columns.unique(0) if set(sizes) <= set(errors[name])]
if not complete:
    raise ValueError("No rows of few: run benchmarks/mutual_information.py --tasks small --n 100 300 1000.")
shared = errors.loc[:, [(name, n) for name in complete for n in sizes]].dropna()

fig, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
for name in complete:
    axes[0].plot(sizes, shared[name].mean()[sizes], marker="o", label=name)
axes[0].set(xscale="log", ylim=(0, None), xlabel="rows", title=f"Mean of {len(shared)} tasks")
axes[0].set(ylabel="mean absolute error (nats)", xticks=sizes, xticklabels=[f"{n:,}" for n in sizes])
axes[0].minorticks_off()
name_ends(axes[0], 0.05 * axes[0].get_ylim()[1])
if "auto" in complete:
    by_task = errors["auto"][sizes].loc[lambda table: table.mean(axis=1).sort_values(ascending=False).index]
    for n in sizes:
        axes[1].plot(by_task[n], by_task.index, "o", label=f"{n:,} rows")
    axes[1].tick_params(axis="y", labelsize=7)
    axes[1].set(xlim=(0, None), xlabel="mean absolute error (nats)", title='estimator="auto"')
    axes[1].legend(loc="upper right")
plt.show()

# %%
# How often the interval holds the truth
# --------------------------------------
#
# Of the same runs. An interval of level 0.95 should hold it in 0.95 of them; that of a closed form which does not fit the data
# is around another number.

runs["holds"] = (runs["lower"] <= runs["truth"]) & (runs["truth"] <= runs["upper"])
coverage = runs[runs["estimator"].isin(complete) & runs["lower"].notna()].pivot_table("holds", "estimator", "n")

# sphinx_gallery_thumbnail_number = 2
fig, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
for name, shares in coverage[sizes].iterrows():
    axis.plot(sizes, shares, marker="o", label=name)
name_ends(axis, 0.05)
axis.axhspan(0.9, 0.98, color="grey", alpha=0.25)
axis.text(100, 0.94, "0.90 to 0.98", va="center", fontsize=8)
axis.set(xscale="log", ylim=(0, 1.02), xlabel="rows", ylabel="share of intervals", title="The interval holds the truth")
axis.set(xticks=sizes, xticklabels=[f"{n:,}" for n in sizes])
axis.minorticks_off()
plt.show()

# %%
# How often a test rejects independence that is true
# --------------------------------------------------
#
# At the level 0.05, from ``benchmarks/independence.py``; "| z" is independence given z, and "block" is permuted by
# ``independence_test`` alone. The band is 3 to 7 %. Over 200 data sets the share of a test with its level has a standard
# deviation of 1.5 %, and over 100, as of the other tests, of 2.2 %.

tests = pd.read_csv(results / "independence.csv").drop_duplicates(["task", "n"], keep="last")
tests = tests[tests["truth"] == "independent"].iloc[::-1]
places = np.arange(len(tests))

fig, axis = plt.subplots(figsize=(7.5, 8), layout="constrained")
axis.axvspan(0.03, 0.07, color="grey", alpha=0.25)
looks = {"pearson": "x", "g_test": "+", "distance_correlation": "^", "hsic": "v", "independence_test": "o"}
for (name, marker), color in zip(looks.items(), ["C1", "C2", "C0", "C4", "black"], strict=True):
    axis.scatter(tests[name], places, marker=marker, color=color, s=30, label=name)
axis.set_yticks(places, tests["task"] + ", " + tests["n"].map("{:,}".format), fontsize=7)
axis.set_xscale("function", functions=(np.sqrt, np.square))
axis.set(xlabel="share of p-values of at most 0.05", title="Tests of independent data", xlim=(0, 1.05))
axis.set(xticks=(ticks := [0.01, 0.03, 0.07, 0.2, 0.5, 1]), xticklabels=ticks)
axis.legend(loc="upper right")
plt.show()

# %%
# Given a third variable, and in time
# -----------------------------------
#
# Means over data sets, from ``benchmarks/conditional.py``; a grey line is the mean absolute error to either side.

given = pd.read_csv(results / "conditional.csv").drop_duplicates(["task", "n"], keep="last")
given = given[given["value"].notna()].iloc[::-1]
places = np.arange(len(given))

fig, axis = plt.subplots(figsize=(7.5, 5), layout="constrained")
axis.errorbar(given["value"], places, xerr=given["error"], fmt="o", color="C0", ecolor="grey", label="mean estimate")
axis.plot(given["truth"], places, "|", color="black", markersize=12, label="truth")
axis.set_yticks(places, given["task"] + ", " + given["n"].map("{:,}".format), fontsize=8)
axis.set(xlabel="information given the third variable (nats)", title="Conditional information and transfer entropy")
axis.legend(loc="center right")
plt.show()

# %%
# What a table of counts says too much
# ------------------------------------
#
# Each point is the mean of 200 tables of one shape and truth, from ``benchmarks/table_corrections.py``.

counts = pd.read_csv(results / "table_corrections.csv").drop_duplicates(["table", "n", "dependence"], keep="last")
shapes = counts["table"].str.extract(r"(\d+) x (\d+)").astype(int)
per_cell = counts["n"] / shapes.prod(axis=1)

fig, axis = plt.subplots(figsize=(6, 3.8), layout="constrained")
for name, marker in (("plug-in", "^"), ("miller-madow", "s"), ("chance", "o")):
    axis.scatter(per_cell, counts[f"bias of {name}"], s=18, marker=marker, label=name)
axis.axhline(0, color="grey", linewidth=0.8)
axis.set(xscale="log", xlabel="rows for each cell of the table", ylabel="bias (nats)", title="Tables of counts")
axis.legend(title="correction")
plt.show()
