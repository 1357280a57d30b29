"""The geometry of features: how many directions they fill, how near positives lie, how evenly they cover the sphere."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from scipy.special import entr, logsumexp
from sklearn.utils._param_validation import Interval, validate_params

from skdim.evaluation._inputs import check_features

POSITIVE = [Interval(Real, 0, None, closed="neither")]
#: Rows whose distances to all others are held at once.
BLOCK = 1024


@validate_params({"Z": ["array-like"], "center": ["boolean"]}, prefer_skip_nested_validation=True)
def effective_rank(Z: Any, *, center: bool = False) -> float:
    r"""Return how many directions the features fill: the exponential of the entropy of their singular values.

    .. math:: \exp\Bigl(-\sum_k p_k \log p_k\Bigr), \qquad p_k = \sigma_k / \textstyle\sum_j \sigma_j

    Roy & Vetterli [1]_, Definition 1: 1 where all rows are multiples of one, the width where all directions are alike.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_features)
        Features.
    center : bool, default=False
        Whether the mean is taken off first. The definition leaves it on; a mean far from 0 then counts as one large direction.

    Returns
    -------
    float
        Between 1 and min(n_samples, n_features).

    Raises
    ------
    ValueError
        If Z is not a finite array (n, d), or holds nothing but zeros.

    References
    ----------
    .. [1] Roy & Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.evaluation import effective_rank
    >>> round(effective_rank(np.eye(5)), 6), round(effective_rank(np.ones((5, 3))), 6)
    (5.0, 1.0)
    """
    Z = check_features(Z).astype(np.float64, copy=False)
    singular_values = np.linalg.svd(Z - Z.mean(axis=0) if center else Z, compute_uv=False)
    total = singular_values.sum()
    if not total > 0:
        raise ValueError(f"Z holds nothing but zeros{' once its mean is taken off' if center else ''}: it has no rank.")
    return math.exp(entr(singular_values / total).sum())


@validate_params({"Z_a": ["array-like"], "Z_b": ["array-like"], "alpha": POSITIVE}, prefer_skip_nested_validation=True)
def alignment(Z_a: Any, Z_b: Any, *, alpha: float = 2.0) -> float:
    r"""Return how far apart the features of positive pairs lie on the unit sphere; less is nearer.

    .. math:: E_{(x, y)} \lVert z(x) - z(y) \rVert^\alpha

    Wang & Isola [1]_, Section 4.1. Rows are scaled to length 1.

    Parameters
    ----------
    Z_a, Z_b : array-like of shape (n_samples, n_features)
        Features of two views; row i of one and row i of the other are of the same sample.
    alpha : float, default=2
        Power of the distance.

    Returns
    -------
    float
        Between 0 and 2 to the power of alpha.

    Raises
    ------
    ValueError
        If features are not finite arrays of one shape, or a row is 0 and has no direction.

    References
    ----------
    .. [1] Wang & Isola, "Understanding contrastive representation learning through alignment and uniformity on the
       hypersphere", ICML 2020.

    Examples
    --------
    >>> from skdim.evaluation import alignment
    >>> alignment([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [3.0, 0.0]])     # distances 0 and sqrt(2)
    1.0
    """
    a, b = _on_sphere(Z_a, "Z_a", min_samples=1), _on_sphere(Z_b, "Z_b", min_samples=1)
    if a.shape != b.shape:
        raise ValueError(f"Z_a and Z_b hold pairs of rows and must have one shape, got {a.shape} and {b.shape}.")
    return float(np.mean(np.linalg.norm(a - b, axis=1) ** alpha))


@validate_params({"Z": ["array-like"], "t": POSITIVE}, prefer_skip_nested_validation=True)
def uniformity(Z: Any, *, t: float = 2.0) -> float:
    r"""Return how unevenly features cover the unit sphere; less is more even.

    .. math:: \log E_{x \ne y} \, e^{-t \lVert z(x) - z(y) \rVert^2}

    Wang & Isola [1]_, Section 4.1, over all pairs of different rows. Rows are scaled to length 1.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_features)
        Features. All pairs of rows are compared: 10,000 rows take a second or so.
    t : float, default=2
        Inverse width of the kernel.

    Returns
    -------
    float
        At most 0, which says that all rows have the same direction, and above -4 t.

    Raises
    ------
    ValueError
        If Z is not a finite array of two rows or more, or a row is 0 and has no direction.

    References
    ----------
    .. [1] Wang & Isola, "Understanding contrastive representation learning through alignment and uniformity on the
       hypersphere", ICML 2020.

    Examples
    --------
    >>> from skdim.evaluation import uniformity
    >>> uniformity([[1.0, 0.0], [-1.0, 0.0]])                             # the squared distance is 4
    -8.0
    """
    z = _on_sphere(Z, "Z", min_samples=2)
    kernels = []
    for start in range(0, len(z), BLOCK):
        exponents = -t * cdist(z[start : start + BLOCK], z, "sqeuclidean")
        np.fill_diagonal(exponents[:, start:], -np.inf)  # a row with itself is no pair
        kernels.append(logsumexp(exponents))
    return float(logsumexp(kernels)) - math.log(len(z) * (len(z) - 1))


def _on_sphere(Z: Any, name: str, min_samples: int) -> npt.NDArray[np.float64]:
    Z = check_features(Z, name, min_samples=min_samples).astype(np.float64, copy=False)
    norms = np.linalg.norm(Z, axis=1, keepdims=True)
    if not norms.all():
        raise ValueError(f"Row {int((norms > 0).argmin())} of {name} is 0, and has no direction.")
    on_sphere: npt.NDArray[np.float64] = Z / norms
    return on_sphere
