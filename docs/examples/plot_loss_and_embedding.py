"""
Loss and embedding
==================

Three pictures answer the first questions about a fit: has it converged, what did each term reach, and do the features
separate anything that the untrained network did not separate already?
"""

# %%
# The loss of every epoch
# -----------------------
# The black curve is the loss that training minimises, on the right axis; the bounds it is made of are in nats, on the left
# axis. With early stopping a tenth of the rows is held out, and its values are dashed.

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from skdim import DeepInfoMaxTransformer
from skdim.plotting import EmbeddingDisplay, LossCurveDisplay

X, y = load_digits(return_X_y=True)
X = X.reshape(-1, 8, 8)

dim = DeepInfoMaxTransformer(max_iter=30, early_stopping=True, random_state=0).fit(X)
display = LossCurveDisplay.from_estimator(dim)

# %%
# The features, beside their control
# ----------------------------------
# The control of every claim about learnt features is the same network before training, which ``max_iter=0`` gives. Neither
# saw a label; the colours are added afterwards.

untrained = DeepInfoMaxTransformer(max_iter=0, random_state=0).fit(X)

figure, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
for name, transformer, ax in zip(("untrained", "trained"), (untrained, dim), axes, strict=True):
    EmbeddingDisplay.from_estimator(transformer, X, y, ax=ax)
    ax.set_title(name)

# %%
# A picture in two dimensions shows little of 64; a linear classifier on all of them says more.

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
for name, transformer in (("untrained", untrained), ("trained", dim)):
    accuracy = cross_val_score(probe, transformer.transform(X), y, cv=3).mean()
    print(f"{name:10} score {transformer.score(X):.2f} nats, linear classifier {accuracy:.3f}")
