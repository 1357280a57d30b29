"""
Several views
=============

Multi-view InfoMax learns what the views of a sample tell of each other. This page takes the halves of digits, four quadrants
of which some samples lack one, and an image that shares an array with a sound and a table.
"""

# %%
# Two halves
# ----------
# Each half has an encoder. Afterwards the top half alone is enough for its code.

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdim import MultiViewInfoMaxTransformer
from skdim.plotting import NeighborsDisplay

digits = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    digits.images, digits.target, stratify=digits.target, random_state=0
)


def probe(Z_train, Z_test):
    """Return the accuracy of a linear classifier."""
    return (
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(Z_train, y_train).score(Z_test, y_test)
    )


params = {"views": "halves", "output": "top", "n_components": 32, "random_state": 0}
top_train, top_test = (X[:, :4].reshape(len(X), -1) for X in (X_train, X_test))
print(f"pixels of the top half     {probe(top_train, top_test):.3f}")
for name, max_iter in [("untrained", 0), ("trained", 40)]:
    halves = MultiViewInfoMaxTransformer(max_iter=max_iter, **params).fit(X_train)
    print(f"{name:10} code of the top {probe(halves.transform(top_train), halves.transform(top_test)):.3f}")

# %%
# Four quadrants, some of them missing
# ------------------------------------
# A missing view is NaN in all its columns. Pairs of views that a sample has are trained on; its own ``transform`` has NaN
# where the code would be.

params = {"views": "quadrants", "input_shape": (8, 8), "n_components": 16, "max_iter": 40, "random_state": 0}
complete = MultiViewInfoMaxTransformer(**params).fit(X_train)

lacking, rng = X_train.reshape(len(X_train), -1).copy(), np.random.default_rng(0)
for row in rng.permutation(len(lacking))[: len(lacking) // 2]:
    name, columns, shape = complete.views_[rng.integers(4)]
    lacking[row, columns] = np.nan
half_lack_one = MultiViewInfoMaxTransformer(**params).fit(lacking)

for name, dim in [("all views", complete), ("half of the samples lack one", half_lack_one)]:
    print(f"{name:30} {probe(dim.transform(X_train), dim.transform(X_test)):.3f}")
Z = half_lack_one.transform(lacking)
print(f"rows with a missing code: {np.isnan(Z).any(axis=1).sum()} of {len(Z)}")

# %%
# With ``output="mean"`` the code of a sample averages the views that it has. The digits to the left lack a quadrant, and find
# those that look like the rest of them.

pictures = lacking[np.isnan(lacking).any(axis=1)].reshape(-1, 8, 8)
display = NeighborsDisplay.from_estimator(half_lack_one.set_params(output="mean"), pictures, n_neighbors=6)

# %%
# An image, a sound and a table in one array
# ------------------------------------------
# Groups of columns are given as ColumnTransformer takes them, with a shape where they are more than a table. One 2-D array
# passes through pipelines and searches, which a list of arrays does not. Sound and table are made up here.

t = np.linspace(0, 1, 64)
sound = np.sin(2 * np.pi * (2 + digits.target[:, None]) * t + rng.uniform(0, 6, (len(digits.target), 1)))
table = rng.normal(size=(len(sound), 3)) + digits.target[:, None] % 3
X = np.hstack([digits.data, sound + 0.3 * rng.normal(size=sound.shape), table])
views = [("image", slice(0, 64), (8, 8)), ("sound", slice(64, 128), (64,)), ("table", slice(128, None))]

dim = MultiViewInfoMaxTransformer(n_components=16, views=views, max_iter=10, random_state=0)
pipe = make_pipeline(dim, StandardScaler(), LogisticRegression(max_iter=2000))
print(f"three folds: {cross_val_score(pipe, X, digits.target, cv=3).round(3)}")
print("features:", *dim.fit(X).get_feature_names_out()[::16])
