"""
Two papers repeated
===================

What the experiments behind :doc:`/reproductions` look like. They take hours, so the rows that ``make reproduce`` wrote are
drawn here; an experiment that was not run leaves its axes empty.
"""

# %%
# Accuracy changes, information does not
# --------------------------------------
#
# Bijective encoders of the halves of MNIST keep all information, whatever their weights. Trained to maximise a bound, their
# codes become easier to read by a linear classifier; trained against a classifier, harder. The line is the mean over seeds, the
# band a standard deviation to either side.

import csv
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

plt.style.use("petroff10")  # colours that the colour-blind tell apart
results = Path("../../benchmarks/results/reproductions")


def read(table):
    path = results / f"{table}.csv"
    rows = list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []
    return [row for row in rows if row.get("part") == "test"] or rows


def over_steps(axis, rows, column, names):
    """Draw a column over the steps, a line for each combination of settings."""
    runs = defaultdict(lambda: defaultdict(list))
    for row in rows:
        runs[", ".join(row[name] for name in names)][int(row["step"])].append(float(row[column]))
    for name, steps in runs.items():
        mean = np.array([np.mean(values) for values in steps.values()])
        spread = np.array([np.std(values) for values in steps.values()])
        axis.plot(list(steps), mean, marker="o", markersize=3, label=name)
        axis.fill_between(list(steps), mean - spread, mean + spread, alpha=0.2)
    if runs:
        axis.legend(fontsize=8)
    axis.set(xlabel="steps")


def ends(rows):
    return [row for row in rows if row["step"] == row["steps"]]


fig, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
bijective = [row for row in read("bijective") if row["couplings"] == "10"]
over_steps(axes[0], bijective, "accuracy", ["estimator"])
over_steps(axes[1], bijective, "i_est", ["estimator"])
adversarial = [row for row in read("adversarial") if row["smallest_scale"] != "1e-07"]
over_steps(axes[2], adversarial, "accuracy", ["adversary"])
for axis, label in zip(
    axes, ["accuracy, maximised", "$I_{EST}$ (nats), maximised", "accuracy, against a classifier"], strict=True
):
    axis.set(ylabel=label)
plt.show()

# %%
# Invertible encoders become ill-conditioned
# ------------------------------------------
#
# The logarithm of the Jacobian's condition number, and the gain in directions that the two halves share and do not share.

fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
over_steps(axes[0], read("invertibility"), "condition_median", ["estimator"])
for gain in ("gain_shared", "gain_unshared", "gain_noise"):
    rows = [{**row, "direction": gain.removeprefix("gain_")} for row in read("invertibility")]
    over_steps(axes[1], rows, gain, ["estimator", "direction"])
axes[0].set(ylabel=r"$\log(\sigma_1 / \sigma_{392})$, median input")
axes[1].set(ylabel="gain")
plt.show()

# %%
# Tighter is not better
# ---------------------
#
# Critics: the network on both codes has the largest NWJ and the worst features. Encoders at one value of the bound: the
# convolutional one is better.

fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for axis, table, name in zip(axes, ["critic_capacity", "matched_bounds"], ["critic", "encoder"], strict=True):
    groups = defaultdict(list)
    for row in ends(row for row in read(table) if row["init"] == "glorot"):
        groups[f"{row[name]}, {row['estimator']}"].append((float(row["i_est"]), float(row["accuracy"])))
    for label, points in groups.items():
        axis.scatter(*np.array(points).T, s=16, label=label)
    if groups:
        axis.legend(fontsize=7)
    axis.set(xlabel="$I_{EST}$ (nats), held out", ylabel="accuracy")
plt.show()

# %%
# Deep InfoMax and the number of negatives
# ----------------------------------------

# sphinx_gallery_thumbnail_number = -1
fig, axis = plt.subplots(figsize=(5, 3.2), layout="constrained")
rows = [row for row in read("deep_infomax_negatives") if row["step"] != "0" and row["augment"] == "None"]
negatives = [{**row, "step": row["negatives"]} for row in rows]
over_steps(axis, negatives, "accuracy", ["estimator"])
axis.set(xscale="log", xlabel="negatives", ylabel="accuracy")
plt.show()
