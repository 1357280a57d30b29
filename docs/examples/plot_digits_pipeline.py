"""
Digits from end to end
======================

Deep InfoMax learns features from images alone; a classifier then needs few labels. This page takes the three ways in which
a scikit-learn user meets it: as a step of a pipeline, as an object of a search, and frozen before cross-validation.
"""

# %%
# A step in a pipeline
# --------------------
# The transformer takes a stack of images as it is. ``max_iter`` counts epochs; here it is set low to keep the page quick.

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline

from skdim import DeepInfoMaxTransformer
from skdim.plotting import NeighborsDisplay, SearchDisplay

digits = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    digits.images, digits.target, stratify=digits.target, random_state=0
)

pipe = Pipeline(
    [
        ("dim", DeepInfoMaxTransformer(n_components=32, max_iter=20, random_state=0)),
        ("clf", LogisticRegression(max_iter=2000)),
    ]
)
pipe.fit(X_train, y_train)
print(f"accuracy on {len(X_test)} new scans: {pipe.score(X_test, y_test):.3f}")

# %%
# Searching over the estimator of mutual information and the critic
# -----------------------------------------------------------------
# The search is over the pipeline, not over the transformer alone: features are judged by the task that they are for, and
# more mutual information does not mean better features.

search = GridSearchCV(
    pipe,
    {"dim__estimator": ["infonce", "jsd"], "dim__critic": ["separable", "bilinear"], "dim__max_iter": [5]},
    cv=2,
    n_jobs=2,
)
search.fit(X_train, y_train)
display = SearchDisplay.from_search(search, "dim__estimator", "dim__critic")

# %%
# Many images, few labels
# -----------------------
# The real use: learn once from all images, then judge classifiers on the few that have a label. ``FrozenEstimator`` keeps
# cross-validation and ``clone`` from training the features again.

from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

dim = DeepInfoMaxTransformer(max_iter=30, random_state=0).fit(X_train)
untrained = DeepInfoMaxTransformer(max_iter=0, random_state=0).fit(X_train)

X_few, _, y_few, _ = train_test_split(X_train, y_train, train_size=100, stratify=y_train, random_state=0)
features = {
    "pixels": FunctionTransformer(lambda X: X.reshape(len(X), -1)),
    "untrained": FrozenEstimator(untrained),
    "Deep InfoMax": FrozenEstimator(dim),
}
for name, transformer in features.items():
    classifier = make_pipeline(transformer, StandardScaler(), LogisticRegression(max_iter=2000))
    scores = cross_val_score(classifier, X_few, y_few, cv=5)
    print(f"{name:12} 100 labels, 5 folds: {scores.mean():.3f} ± {scores.std(ddof=1):.3f}")

# %%
# A figure for learnt features means something beside two controls: raw pixels, and the same network untrained, which
# ``max_iter=0`` gives.

# %%
# What the features find alike
# ----------------------------
# The scans to the left, and beside each the test scans with the nearest features.

# sphinx_gallery_thumbnail_number = 2
display = NeighborsDisplay.from_estimator(dim, X_test, queries=[0, 1, 2, 3], n_neighbors=6)
