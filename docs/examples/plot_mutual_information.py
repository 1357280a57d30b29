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
from skdim.synthetic import BEYOND_NORMAL, FURTHER

warnings.simplefilter("ignore", MutualInformationWarning)  # saturation is what this page shows

truths = [2, 4, 6, 8, 10]
estimators = ["infonce", "mlcpc", "dime", "gaussian"]
staircase = {name: [] for name in estimators}
for truth in truths:
    X, Y = FURTHER[f"cubic-staircase-20-20-{truth}"].sample(4000, random_state=0)
    for name in estimators:
        staircase[name].append(MIEstimator(estimator=name, random_state=0).fit(X, Y))

fig, axis = plt.subplots()
axis.plot(truths, truths, color="black", label="truth")
for name, fits in staircase.items():
    axis.plot(truths, [fit.mi_ for fit in fits], marker="o", label=f"{name} ({fits[0].kind_})")
axis.axhline(staircase["infonce"][0].cap_, linestyle=":", color="grey", label="cap of infonce, log 800")
axis.set(xlabel="mutual information (nats)", ylabel="estimate (nats)")
axis.legend()
plt.show()

# %%
# ``saturation`` warns before the cap is met: what InfoNCE loses when it has a quarter of the rows.

for truth, fit in zip(truths, staircase["infonce"], strict=True):
    print(f"{truth:2d} nats: {fit.mi_:5.2f}, saturation {fit.diagnostics_['saturation']:.2f}")

# %%
# When an estimator fails
# -----------------------
#
# Every correlation of this Student-t pair is zero: the closed form of Gaussian variables sees nothing, and a Gaussian
# conditional little. Critics see it, each as far as 4,000 rows let it.

task = BEYOND_NORMAL["student-identity-2-2-1"]
X, Y = task.sample(4000, random_state=0)
for name in ["gaussian", "nwj", "smile", "ba", "infonce"]:
    fit = MIEstimator(estimator=name, random_state=0).fit(X, Y)
    low, high = fit.mi_interval_
    print(
        f"{name:9s} {fit.kind_:9s} {fit.mi_:6.2f}   interval {low:5.2f} to {high:5.2f}   truth {task.mutual_information:.2f}"
    )

# %%
# What a sample can certify
# -------------------------
#
# The lower end of a lower bound is the safe statement. It rises with the number of rows, and stays below the truth.

sizes = [200, 500, 1000, 2000, 5000]
task = BEYOND_NORMAL["multinormal-sparse-5-5-2-2.0"]
fits = [MIEstimator(random_state=0).fit(*task.sample(n, random_state=1)) for n in sizes]
ends = np.array([fit.mi_interval_ for fit in fits])

fig, axis = plt.subplots()
axis.fill_between(sizes, *ends.T, alpha=0.3, label="0.95 interval")
axis.plot(sizes, [fit.mi_ for fit in fits], marker="o", label="infonce (lower)")
axis.axhline(task.mutual_information, color="black", label="truth")
axis.set(xlabel="rows", ylabel="nats", xscale="log")
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
