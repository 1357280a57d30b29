"""A score that ranks features without labels: what they keep of a sample in an augmented view of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.neighbors import NearestNeighbors

from skdim._params import Configured
from skdim._sklearn import Interval
from skdim.bounds import gaussian
from skdim.evaluation._inputs import Array, Result, Scaler, check_features, validated
from skdim.inputs.augmentation import (
    EVALUATION_SEED,
    Augmentation,
    SequenceAugmentation,
    choose_augmentation,
    sample_uniform,
)
from skdim.inputs.samples import Standardizer
from skdim.inputs.tables import as_plain, check_lengths, refuse_unusable


@dataclass(frozen=True, eq=False, repr=False)
class ViewResult(Result):
    """What features keep of a sample in a view of it; a frame has one row.

    Attributes
    ----------
    value : float
        ``information`` times the root of ``overlap``, in nats: higher is better.
    information : float
        Of a sample's features about those of its view, under noise, in nats: an estimate by linear dependence.
    overlap : float
        Share of a view's nearest neighbours that are its sample's too, from 0 to 1.
    """

    value: float
    information: float
    overlap: float

    def _summary(self) -> str:
        return f"{self.value:.3f} nats: information {self.information:.3f} nats, overlap {self.overlap:.3f}"

    def _columns(self) -> dict[str, Any]:
        return {"value": [self.value], "information": self.information, "overlap": self.overlap}


@validated(
    Z_view=["array-like"],
    noise=[Interval(Real, 0, None, closed="neither")],
    n_neighbors=[Interval(Integral, 1, None, closed="left")],
)
def view_score(Z: Any, Z_view: Any, *, noise: float = 0.1, n_neighbors: int = 10) -> ViewResult:
    r"""Score features without labels, by what they keep of a sample in an augmented view of it.

    .. math::

        S = I \, \sqrt{\frac1{nk} \sum_i \bigl| N_k(z_i) \cap N_k(z'_i) \bigr|}, \qquad
        I = I(Z + \varepsilon; Z' + \varepsilon') = -\tfrac12 \sum_c \log(1 - \rho_c^2)

    I is the information of jointly normal features with noise of its own in every standardised component, from their canonical
    correlations rho. Under noise, directions that the features hardly fill are worth little: I is large where many directions
    are filled, as an effective rank is, and views agree in them, as an alignment is. The root tells how near a view stays to
    its sample: the share of the k samples at the smallest angle to the view that are so to its sample too.

    The score is an estimate, and no bound. Which features suit a task, only labels tell: see the :doc:`/results` for rank
    correlations with probes.

    Parameters
    ----------
    Z, Z_view : array-like of shape (n_samples, n_features)
        Features of samples that were not trained on, several times as many as features, and of one augmented view of each. Time
        grows with the square of n_samples; 1,000 to 5,000 are enough.
    noise : float, default=0.1
        Variance of the noise, where that of a component is 1.
    n_neighbors : int, default=10
        Number k of neighbours, less than n_samples.

    Returns
    -------
    ViewResult
        The score and its two parts.

    Raises
    ------
    ValueError
        If the shapes differ, or ``n_neighbors`` is not less than the number of samples.

    Examples
    --------
    Two features that a view keeps, and two that are new in every view. These add no information, and blur the neighbourhood:

    >>> import numpy as np
    >>> from skdim.evaluation import view_score
    >>> kept, new, newer = np.random.default_rng(0).normal(size=(3, 1000, 2))
    >>> view_score(kept, kept)                                      # -log(1 - 1 / 1.1^2) = 1.75
    ViewResult(1.751 nats: information 1.751 nats, overlap 1.000)
    >>> blurred = view_score(np.hstack([kept, new]), np.hstack([kept, newer]))
    >>> round(blurred.information, 1), round(blurred.overlap, 1)
    (1.8, 0.1)
    """
    Z, Z_view = check_features(Z), check_features(Z_view, "Z_view")
    if Z.shape != Z_view.shape:
        raise ValueError(
            f"Z and Z_view hold pairs of rows and must have equal shapes, got {Z.shape} and {Z_view.shape}."
        )
    if n_neighbors >= len(Z):
        raise ValueError(f"n_neighbors={n_neighbors} must be less than the number of samples, {len(Z)}.")
    scaler = Scaler().fit(Z)
    z, view = (scaler.transform(part).astype(np.float64, copy=False) for part in (Z, Z_view))
    information, overlap = _information(z, view, noise), _overlap(z, view, n_neighbors)
    return ViewResult(information * math.sqrt(overlap), information, overlap)


def _information(z: Array, view: Array, noise: float) -> float:
    centred = [part - part.mean(axis=0) for part in (z, view)]
    covariances = [part.T @ part / len(part) + noise * np.eye(part.shape[1]) for part in centred]
    white = [np.linalg.inv(np.linalg.cholesky(covariance)) for covariance in covariances]
    across = centred[0].T @ centred[1] / len(z)
    return float(gaussian(np.linalg.svd(white[0] @ across @ white[1].T, compute_uv=False)))


def _overlap(z: Array, view: Array, k: int) -> float:
    """Return the mean share of the k nearest other samples of a view that are those of its sample, by the angle."""
    tiny = np.finfo(float).tiny
    z, view = (part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), tiny) for part in (z, view))
    index, own, near = NearestNeighbors(algorithm="brute").fit(z), np.arange(len(z))[:, None], []
    for part in (z, view):
        found = index.kneighbors(part, k + 1, return_distance=False)
        # The sample itself is no neighbour: it is moved to the end, and cut off.
        near.append(np.take_along_axis(found, np.argsort(found == own, axis=1, kind="stable"), axis=1)[:, :k])
    return float(np.mean([np.isin(a, b, assume_unique=True).mean() for a, b in zip(*near, strict=True)]))


@dataclass
class ViewScorer(Configured):
    """A scorer for searches without labels: :func:`view_score` of a transformer's features.

    Parameters
    ----------
    augment : str or object, default="auto"
        The augmentation, as for :class:`~skdim.DeepInfoMaxTransformer`, but no function. It is the same for all candidates of a
        search, and need not be one that they train with.
    input_shape : tuple of int or None, default=None
        Shape of one sample if the rows of X are flat. Two axes are (H, W), and (C, L) with a ``SequenceAugmentation``.
    noise, n_neighbors : float, int, default=0.1, 10
        As of :func:`view_score`.
    random_state : int, default=0
        Seed of the views, which are the same at each call.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skdim.evaluation import ViewScorer
    >>> X = load_digits().data[:600]
    >>> search = GridSearchCV(PCA(), {"n_components": [2, 16]}, scoring=ViewScorer(input_shape=(8, 8)), cv=2).fit(X)
    >>> search.best_params_
    {'n_components': 16}
    """

    augment: Any = "auto"
    input_shape: tuple[int, ...] | None = None
    noise: float = 0.1
    n_neighbors: int = 10
    random_state: int = EVALUATION_SEED

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Return the score of a fitted ``estimator`` with ``transform`` on samples X (n, ...), in nats.

        Raises
        ------
        ValueError, TypeError
            If the samples do not fit the shape or the augmentation, or the estimator has no ``transform``.
        """
        if not hasattr(estimator, "transform"):
            raise TypeError(f"{type(estimator).__name__} has no transform, and so no features to score.")
        X = as_plain(X)
        refuse_unusable(X, "X", allow_stacked=True)
        X = np.asarray(X)
        views = self.views(X)
        Z, Z_view = estimator.transform(X), estimator.transform(views)
        check_lengths(Z=Z, X=X)
        result: ViewResult = view_score(Z, Z_view, noise=self.noise, n_neighbors=self.n_neighbors)
        return result.value

    def views(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return one view of each sample, in the units and the layout of X."""
        shape = tuple(X.shape[1:] if self.input_shape is None else self.input_shape)
        if len(shape) == 2 and not isinstance(self.augment, SequenceAugmentation):
            shape = 1, *shape
        augment = choose_augmentation(self.augment, shape)
        if not isinstance(augment, Augmentation):
            raise TypeError(f"augment={self.augment!r} must be 'auto', 'auto+flip' or an augmentation of skdim.inputs.")
        standardize = Standardizer.learn(X, shape)
        mean, scale = (part.reshape(-1, *[1] * (len(shape) - 1)) for part in (standardize.mean, standardize.scale))
        samples = torch.from_numpy(((X.reshape(-1, *shape) - mean) / scale).astype(np.float32))
        draws = sample_uniform(self.random_state, 0, torch.arange(len(X)), augment.n_draws(shape))
        views = augment(samples, draws).double().numpy() * scale + mean
        return views.reshape(X.shape).astype(np.float32)
