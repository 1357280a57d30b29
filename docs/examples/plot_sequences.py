"""
Sequences
=========

Contrastive predictive coding learns from sequences without labels: what has been seen so far, the context, is to tell the true
later frame from those of other sequences. Here it learns recordings of unequal length; then come six public data sets, and
an image read row by row.
"""

# %%
# Recordings of unequal length
# ----------------------------
# Five movements, each a frequency and a lag of its second channel, start at a random phase and last 60 to 100 samples. No
# time means the same in two recordings, so the raw series is hard for a linear classifier.

import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdim import CPCTransformer
from skdim.plotting import StepAccuracyDisplay

plt.style.use("petroff10")  # colours that the colour-blind tell apart
rng = np.random.default_rng(0)
n, length = 600, 100
labels = rng.integers(5, size=n)
lengths = rng.integers(60, length + 1, size=n)
frequency = np.array([0.2, 0.25, 0.3, 0.35, 0.4])[labels][:, None]
phase = frequency * np.arange(length) + rng.uniform(0, 2 * np.pi, (n, 1))
X = np.stack([np.sin(phase), np.sin(2 * phase + labels[:, None])], axis=1) + 0.7 * rng.normal(size=(n, 2, length))
X[np.arange(length) >= lengths[:, None, None] + np.zeros((1, 2, 1))] = 0  # padding

fig, axes = plt.subplots(1, 5, figsize=(10, 1.8), sharey=True)
for label, ax in enumerate(axes):
    row = np.flatnonzero(labels == label)[0]
    ax.plot(X[row, :, : lengths[row]].T, linewidth=1)
    ax.set(title=f"movement {label}", xticks=[])
fig.tight_layout()

# %%
# The classifier sees 300 of them with labels, the encoder the same 300 without.

train, test = train_test_split(np.arange(n), train_size=300, stratify=labels, random_state=0)


def probe(Z):
    """Return the accuracy of a linear classifier."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(Z[train], labels[train])
    return classifier.score(Z[test], labels[test])


print(f"raw series, padded    {probe(X.reshape(n, -1)):.3f}")
for name, max_iter in [("untrained", 0), ("trained", 40)]:
    cpc = CPCTransformer(n_components=32, features="mean", max_iter=max_iter, random_state=0)
    cpc.fit(X[train], lengths=lengths[train])
    print(f"{name:9} contexts    {probe(cpc.transform(X, lengths=lengths)):.3f}")

# %%
# How far ahead the context sees: the accuracy of picking the true frame among those of a batch of 32, step by step, and the
# bound on the mutual information that follows.

# sphinx_gallery_thumbnail_number = 2
display = StepAccuracyDisplay.from_estimator(cpc, chance=1 / 32)
print(f"{cpc.score(X[test], lengths=lengths[test]):.2f} nats, at most {np.log(256):.2f}")

# %%
# A context knows the past only: what comes later leaves it as it was, to the bit.

later = X[test].copy()
later[:, :, 50:] = 0
cpc.set_params(features="sequence")
before, after = (cpc.transform(Z).reshape(len(test), -1, 32) for Z in (X[test], later))
n_past = 50 // cpc.encoder_.stride
print("contexts before the change are equal:", np.array_equal(before[:, :n_past], after[:, :n_past]))

# %%
# Six public data sets
# --------------------
# ``benchmarks/cpc_sequences.py`` cuts each data set ten times into training and test part, and compares features under one
# linear classifier, pair by pair. Positive is better than the raw series; bars are 95 % intervals of the mean difference.

root = next(folder for folder in [Path.cwd(), *Path.cwd().parents] if (folder / "benchmarks").is_dir())
with (root / "benchmarks" / "results" / "cpc_sequences.csv").open(newline="") as file:
    rows = list(csv.DictReader(file))
names = sorted({row["data"] for row in rows})
shown = ["CPC sequence", "CPC mean", "untrained sequence", "statistics"]
fig, axes = plt.subplots(1, 2, figsize=(10, 3.5), sharey=True)
for ax, which, title in zip(axes, ("all", "few"), ("all labels", "5 labels a class"), strict=True):
    for position, features in enumerate(shown):
        found = {row["data"]: row for row in rows if row["features"] == features}
        mean = np.array([float(found[name][f"minus_raw_{which}"]) for name in names])
        low = np.array([float(found[name][f"interval_{which}"].split(" to ")[0]) for name in names])
        ax.errorbar(mean, np.arange(len(names)) + 0.18 * (position - 1.5), xerr=mean - low, fmt="o", label=features)
    ax.axvline(0, color="grey", linewidth=0.8)
    ax.set(title=title, xlabel="accuracy minus that of the raw series", yticks=range(len(names)), yticklabels=names)
axes[0].legend(fontsize=8)
fig.tight_layout()

# %%
# An image, row by row
# --------------------
# With ``patch_size`` an image becomes a grid of overlapping patches, and rows above predict rows below.

digits = load_digits()
for name, max_iter in [("untrained", 0), ("trained", 15)]:
    cpc = CPCTransformer(n_components=32, patch_size=4, features="sequence", max_iter=max_iter, random_state=0)
    pipe = make_pipeline(cpc, StandardScaler(), LogisticRegression(max_iter=2000))
    print(f"{name:9} {cross_val_score(pipe, digits.images, digits.target, cv=3).mean():.3f}")
