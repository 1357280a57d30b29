"""
Measuring mutual information
============================

How much do two variables tell of each other? :class:`~skdim.MIEstimator` answers in nats and says what its number is: a lower
bound, an upper bound or an estimate, with a cap and an interval. This page puts the estimators beside closed forms.
"""

# %%
# The staircase
# -------------
#
# Twenty pairs of correlated variables, their cubes taken: the cube changes every correlation and no information. A lower bound
# on K rows never exceeds its cap, and it says so.

import warnings

import matplotlib.pyplot as plt
import numpy as np

from skdim import MIEstimator
from skdim.exceptions import MutualInformationWarning
from skdim.synthetic import BEYOND_NORMAL, GaussianPairs, correlation_for

plt.style.use("petroff10")  # colours that the colour-blind tell apart
warnings.simplefilter("ignore", MutualInformationWarning)  # saturation is what this page shows

truths = [2, 4, 6, 8, 10]
estimators = ["auto", "infonce", "mlcpc", "dime"]
staircase = {name: [] for name in estimators}
for truth in truths:
    X, Y = GaussianPairs(correlation_for(truth, n_dims=20), n_dims=20).sample(4000, random_state=0)
    for name in estimators:
        staircase[name].append(MIEstimator(estimator=name, random_state=0).fit(X**3, Y**3))

fig, axis = plt.subplots()
axis.plot(truths, truths, color="black", label="truth")
for name, fits in staircase.items():
    axis.plot(truths, [fit.mi_ for fit in fits], marker="o", label=f"{name} ({fits[0].kind_})")
axis.axhline(staircase["infonce"][0].cap_, linestyle=":", color="grey", label="cap of infonce, log 800")
axis.set(xlabel="mutual information (nats)", ylabel="estimate (nats)", title="4,000 rows of 20 pairs, cubed")
axis.legend(loc="upper left")
plt.show()

# %%
# ``saturation`` warns before the cap is met: what InfoNCE loses when it has a quarter of the rows.

for truth, fit in zip(truths, staircase["infonce"], strict=True):
    print(f"{truth:2d} nats: {fit.mi_:5.2f}, saturation {fit.diagnostics_['saturation']:.2f}")

# %%
# Forty tasks
# -----------
#
# The tasks of Beyond Normal, 10,000 rows each, in one default configuration, beside other packages in their default
# configurations. These take hours, so the rows of ``benchmarks/mutual_information.py`` and ``mutual_information_peers.py`` are
# drawn; :doc:`/forty_tasks` has them as a table.

import csv
from collections import defaultdict
from pathlib import Path

results = Path("../../benchmarks/results")
errors = defaultdict(lambda: defaultdict(list))
for row in csv.DictReader((results / "mutual_information.csv").open()):
    if row["task"] in BEYOND_NORMAL and row["n"] == "10000" and row["estimator"] == "auto":
        errors["MIEstimator"][row["task"]].append(float(row["error"]))
for row in csv.DictReader((results / "mutual_information_peers.csv").open()):
    if row["n"] == "10000":
        errors[f"{row['package']} {row['estimator']}"][row["task"]].append(float(row["error"]))

fig, axis = plt.subplots(figsize=(8, 9), layout="constrained")
for name, tasks in errors.items():
    places = [list(BEYOND_NORMAL).index(task) for task in tasks]
    style = {"color": "black", "zorder": 3} if name == "MIEstimator" else {"alpha": 0.6}
    axis.scatter([np.mean(values) for values in tasks.values()], places, s=18, label=name, **style)
axis.axvline(0, color="grey", linewidth=0.8)
axis.set(yticks=range(len(BEYOND_NORMAL)), yticklabels=BEYOND_NORMAL, xlabel="estimate less truth (nats)")
axis.tick_params(axis="y", labelsize=7)
axis.set_title("Errors on forty tasks")
axis.invert_yaxis()
axis.legend(fontsize=8, loc="lower right")
plt.show()

# %%
# When an estimator fails
# -----------------------
#
# Every correlation of this Student-t pair is zero: the closed form of Gaussian variables sees nothing, and a Gaussian
# conditional little. Critics see it, each as far as 4,000 rows let it. The default has a t copula among its closed forms.

task = BEYOND_NORMAL["student-identity-2-2-1"]
X, Y = task.sample(4000, random_state=0)
for name in ["gaussian", "nwj", "smile", "ba", "infonce", "auto"]:
    fit = MIEstimator(estimator=name, random_state=0).fit(X, Y)
    low, high = fit.mi_interval_
    print(
        f"{name:9s} {fit.kind_:9s} {fit.mi_:6.2f}   interval {low:5.2f} to {high:5.2f}   truth {task.mutual_information:.2f}"
    )

# %%
# What a sample can certify
# -------------------------
#
# The lower end of the lower bound is the safe statement. It rises with the number of rows, and stays below the truth.

sizes = [200, 500, 1000, 2000, 5000]
task = BEYOND_NORMAL["multinormal-sparse-5-5-2-2.0"]
fits = [MIEstimator(random_state=0).fit(*task.sample(n, random_state=1)) for n in sizes]
ends = np.array([fit.mi_interval_ for fit in fits])

fig, axis = plt.subplots()
axis.fill_between(sizes, *ends.T, alpha=0.3, label="0.95 interval")
axis.plot(sizes, [fit.mi_ for fit in fits], marker="o", label="estimate")
axis.plot(sizes, [fit.lower_bound_interval_[0] for fit in fits], marker="o", label="lower end of the lower bound")
axis.axhline(task.mutual_information, color="black", label="truth")
axis.set(xlabel="rows", ylabel="nats", xscale="log", title="More rows certify more")
axis.set_xticks(sizes, [f"{n:,}" for n in sizes])
axis.minorticks_off()
axis.legend()
plt.show()

# %%
# Which pixels tell of the digit
# ------------------------------
#
# Where both sides are discrete nothing is learned: the table of counts is exact, corrected for its few cells.

from sklearn.datasets import load_digits

from skdim import mutual_information

digits = load_digits()
nats = [mutual_information(column, digits.target).value for column in digits.data.astype(int).T if np.ptp(column) > 0]
print(f"the best of {len(nats)} pixels tells {max(nats):.2f} of the digit's {np.log(10):.2f} nats")
