"""Mutual information: MIEstimator, its results, and scores of features.

``sides`` turns columns of any kind into numbers or labels. A model holds the dependence of two sides: a critic under a bound
(``ratio``) or ``densities``. ``result`` takes the value from held-out rows, with its interval and diagnostics.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skdim.information.estimator import MIEstimator
from skdim.information.feature_scores import mutual_info_features
from skdim.information.independence import independence_test
from skdim.information.permutations import IndependenceResult
from skdim.information.result import MIResult

__all__ = [
    "IndependenceResult",
    "MIEstimator",
    "MIResult",
    "independence_test",
    "mutual_info_features",
    "mutual_information",
]


def mutual_information(X: Any, y: Any, **params: Any) -> MIResult:
    """Estimate the mutual information of X and y, in nats.

    Parameters
    ----------
    X, y : array-like of shape (n_samples,) or (n_samples, n_columns)
        Joint samples, at least two, independent of each other.
    **params
        Parameters of :class:`MIEstimator`, which has the formula, the errors and the references.

    Examples
    --------
    >>> from skdim import mutual_information
    >>> x = [0, 1, 0, 1] * 250
    >>> result = mutual_information(x, x)
    >>> round(result.value, 2), result.kind
    (0.69, 'estimate')
    """
    if np.ndim(X) == 1:
        X = X.to_frame() if hasattr(X, "to_frame") else np.asarray(X).reshape(-1, 1)
    fitted = MIEstimator(**params).fit(X, y)
    return MIResult(fitted.mi_, fitted.mi_interval_, fitted.kind_, fitted.cap_, fitted.diagnostics_)
