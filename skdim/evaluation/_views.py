"""A score that ranks features without labels: what they keep of a sample in an augmented view of it."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from skdim._params import Configured
from skdim._sklearn import Interval
from skdim.bounds import gaussian
from skdim.evaluation._inputs import Scaler, check_features, validated
from skdim.inputs.augmentation import (
    EVALUATION_SEED,
    Augmentation,
    SequenceAugmentation,
    choose_augmentation,
    sample_uniform,
)
from skdim.inputs.samples import Standardizer
from skdim.inputs.tables import as_plain, check_lengths, refuse_unusable


@validated(Z_view=["array-like"], noise=[Interval(Real, 0, None, closed="neither")])
def view_information(Z: Any, Z_view: Any, *, noise: float = 0.1) -> float:
    r"""Return what features keep of a sample in an augmented view of it, in nats: a score that needs no labels.

    .. math:: I(Z + \varepsilon; Z' + \varepsilon') = -\tfrac12 \sum_c \log(1 - \rho_c^2)

    The information of jointly normal features, with noise of its own in every standardised component, from their canonical
    correlations rho. Noise brings in geometry: directions that the features hardly fill, which canonical correlations count in
    full, are worth little. So the value is high where many directions are filled, as an effective rank is, and views agree in
    them, as an alignment is. It is an estimate, and too large where samples are not several times as many as features.

    Which features suit a task, only labels tell: see the :doc:`/results` for rank correlations with probes.

    Parameters
    ----------
    Z, Z_view : array-like of shape (n_samples, n_features)
        Features of samples that were not trained on, and of one augmented view of each.
    noise : float, default=0.1
        Variance of the noise, where that of a component is 1.

    Returns
    -------
    float
        At least 0; at most -n_features / 2 log(1 - 1 / (1 + noise)^2) if features are uncorrelated.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    Two features that a view keeps, and two that are new in every view, which add nothing:

    >>> import numpy as np
    >>> from skdim.evaluation import view_information
    >>> kept, new, newer = np.random.default_rng(0).normal(size=(3, 1000, 2))
    >>> round(view_information(kept, kept), 2)                      # -log(1 - 1 / 1.1^2)
    1.75
    >>> round(view_information(np.hstack([kept, new]), np.hstack([kept, newer])), 1)
    1.8
    """
    Z, Z_view = check_features(Z), check_features(Z_view, "Z_view")
    if Z.shape != Z_view.shape:
        raise ValueError(
            f"Z and Z_view hold pairs of rows and must have equal shapes, got {Z.shape} and {Z_view.shape}."
        )
    scaler = Scaler().fit(Z)
    sides, whitening = [], []
    for features in (Z, Z_view):
        z = scaler.transform(features).astype(np.float64, copy=False)
        sides.append(z - z.mean(axis=0))
        covariance = sides[-1].T @ sides[-1] / len(z)
        whitening.append(np.linalg.inv(np.linalg.cholesky(covariance + noise * np.eye(len(covariance)))))
    across = sides[0].T @ sides[1] / len(Z)
    correlations = np.linalg.svd(whitening[0] @ across @ whitening[1].T, compute_uv=False)
    return float(gaussian(correlations))


@dataclass
class ViewScorer(Configured):
    """A scorer for searches without labels: :func:`view_information` of a transformer's features.

    Parameters
    ----------
    augment : str or object, default="auto"
        The augmentation, as for :class:`~skdim.DeepInfoMaxTransformer`, but no function. It is the same for all candidates of a
        search, and need not be one that they train with.
    input_shape : tuple of int or None, default=None
        Shape of one sample if the rows of X are flat. Two axes are (H, W), and (C, L) with a ``SequenceAugmentation``.
    noise : float, default=0.1
        As of :func:`view_information`.
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
        refuse_unusable(X, "X")
        X = np.asarray(X)
        views = self.views(X)
        Z, Z_view = estimator.transform(X), estimator.transform(views)
        check_lengths(Z=Z, X=X)
        value: float = view_information(Z, Z_view, noise=self.noise)
        return value

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
