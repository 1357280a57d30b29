"""
What CPU seconds buy
====================

Accuracy of a linear classifier on features of Fashion-MNIST against the CPU time that learning them took: the picture of
:doc:`/speed`. The fits take an hour, so the rows that ``make bench`` wrote are drawn here; what was not run is not in the axes.
"""

# %%
# Each point is a fit of its own with a budget of epochs, steps or rows, the mean over seeds. Dashed: raw pixels; dotted: the
# untrained network, whose features cost nothing.

import csv
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

plt.style.use("petroff10")  # colours that the colour-blind tell apart
path = Path("../../benchmarks/results/quality_per_second.csv")
rows = list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []
rows = [row for row in rows if row["data"] == "fashion-mnist" and row["part"] == "validation"]
rows = [row for row in rows if row["probe"] == rows[-1]["probe"]]  # the newest; one probe reads more than another
most = max((int(row["rows"]) for row in rows), default=0)

points = defaultdict(lambda: defaultdict(list))
for row in rows:
    if int(row["rows"]) == most:
        values = [float(row[name]) for name in ("fit_cpu_s", "accuracy_all", "accuracy_few")]
        points[row["method"]][int(row["budget"])].append(values)

fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for column, (axis, labels) in enumerate(zip(axes, ["all labels", "1,000 labels"], strict=True), start=1):
    for method, budgets in points.items():
        means = np.array([np.mean(runs, axis=0) for _, runs in sorted(budgets.items())])
        if method == "raw pixels":
            axis.axhline(means[0, column], color="grey", linestyle="--", label=method)
            continue
        if method == "ours" and 0 in budgets:
            axis.axhline(means[0, column], color="grey", linestyle=":", label="untrained")
        trained = means if method == "PCA" else means[[budget > 0 for budget in sorted(budgets)]]
        axis.plot(trained[:, 0], trained[:, column], marker="o", markersize=4, label=method)
    axis.set(xscale="log", xlabel="CPU seconds of the fit", ylabel="accuracy", title=labels)
if points:
    axes[0].legend(fontsize=8)
else:
    fig.suptitle("benchmarks/quality_per_second.py has not been run yet")
plt.show()
