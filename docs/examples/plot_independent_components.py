"""
Codes with noise
================

A deterministic code tells every sample apart, so its mutual information with the sample is infinite, and only lower bounds
can be had of it. With ``posterior="gaussian"`` the encoder gives a mean and a variance: then p(y | x) is known, the mutual
information is finite, and it is held between a lower and an upper bound. The difference of two such bounds is an upper bound on
the total correlation of the components, which can be made small.
"""

# %%
# Between two bounds
# ------------------
# TNCE is a lower bound, at most log K on batches of K; L1Out an upper one, which is far above where the information is large.
# There ``upper_bound_`` is the rate, the known p(y | x) against a density of y that is learned from half of the rows.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdim import DeepInfoMaxTransformer
from skdim.evaluation import neural_dependency

plt.style.use("petroff10")  # colours that the colour-blind tell apart
digits = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    digits.images, digits.target, stratify=digits.target, random_state=0
)
params = {
    "n_components": 10,
    "posterior": "gaussian",
    "local_weight": 0.0,
    "code_weight": 0.0,
    "max_iter": 30,
    "random_state": 0,
}
weights = (0.0, 0.1, 0.5)
models = [DeepInfoMaxTransformer(total_correlation_weight=weight, **params).fit(X_train) for weight in weights]

fig, axes = plt.subplots(1, 2, figsize=(9, 3.2))
for ax, dim, weight in zip(axes, (models[0], models[-1]), (weights[0], weights[-1]), strict=True):
    for name, label in (("l1out", "L1Out, upper bound"), ("tnce", "TNCE, lower bound")):
        ax.plot([row[name] for row in dim.history_], label=label)
    ax.axhline(np.log(128), color="grey", linestyle=":", label="log K")
    ax.set(xlabel="epoch", ylabel="nats", yscale="log", title=f"total_correlation_weight={weight:g}")
axes[0].legend()
fig.tight_layout()

# %%
# Independent components
# ----------------------
# The penalty is the sum over components of the smaller of L1Out and the rate of each alone, less TNCE of all: an upper bound on
# the total correlation. A discriminator that was not in training measures what is left from below, and a linear classifier what
# it costs.


def probe(dim):
    """Return the accuracy of a linear classifier."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return classifier.fit(dim.transform(X_train), y_train).score(dim.transform(X_test), y_test)


print("weight  total correlation  I(X; Y) between   accuracy")
for weight, dim in zip(weights, models, strict=True):
    left = neural_dependency(dim.transform(digits.images), random_state=0)
    between = f"{dim.lower_bound_:.2f} and {dim.upper_bound_:.2f}"
    print(f"{weight:6.1f}  {left.value:17.2f}  {between:16}  {probe(dim):8.3f}")

# %%
# Looser bounds, better inference
# -------------------------------
# A code that tells all views of an image apart holds more information, and a classifier reads less from it. Without views the
# encoder learns such a code; the penalty leads the other way.

models_of_rates = [*models, DeepInfoMaxTransformer(augment=None, **params).fit(X_train)]
labels = [*(f"penalty {weight:g}" for weight in weights), "no views"]
fig, ax = plt.subplots(figsize=(5, 3.5))
for dim, label in zip(models_of_rates, labels, strict=True):
    ax.plot(dim.upper_bound_, probe(dim), "o", label=label)
ax.set(xscale="log", xlabel="upper bound of I(X; Y), nats", ylabel="accuracy of a linear probe")
ax.legend()
fig.tight_layout()

# %%
# The correlations between components, without and with the penalty.

fig, axes = plt.subplots(1, 2, figsize=(7, 3))
for ax, dim, weight in zip(axes, (models[0], models[-1]), (weights[0], weights[-1]), strict=True):
    image = ax.imshow(np.corrcoef(dim.transform(X_test), rowvar=False), cmap="RdBu_r", vmin=-1, vmax=1)
    ax.set(title=f"weight {weight:g}", xlabel="component", ylabel="component")
fig.colorbar(image, ax=axes)

# %%
# What a component holds
# ----------------------
# The test images at the lowest and the highest tenth of each component, averaged, and their difference.

# sphinx_gallery_thumbnail_number = 3
codes = models[-1].transform(X_test)
fig, axes = plt.subplots(3, 10, figsize=(10, 3.2))
for component, column in enumerate(axes.T):
    order = codes[:, component].argsort()
    tenth = len(order) // 10
    low, high = X_test[order[:tenth]].mean(0), X_test[order[-tenth:]].mean(0)
    for ax, image, limits in zip(column, (low, high, high - low), ((0, 16), (0, 16), (-16, 16)), strict=True):
        ax.imshow(image, cmap="Greys" if limits[0] == 0 else "RdBu_r", vmin=limits[0], vmax=limits[1])
        ax.set(xticks=[], yticks=[])
    column[0].set_title(component, fontsize=8)
for ax, label in zip(axes[:, 0], ("low", "high", "difference"), strict=True):
    ax.set_ylabel(label, fontsize=8)
fig.tight_layout()
