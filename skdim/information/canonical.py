r"""The Gaussian part of a dependence in closed form: normal scores, canonical axes, and the log density ratio on them.

Mutual information does not change under invertible maps of either variable, so each column can become normal scores, and each
side can be rotated to its canonical axes. There the log density ratio of Gaussian data is a sum over pairs of axes.

References
----------
.. [1] van der Waerden, "Order tests for the two-sample problem and their power", Indagationes Mathematicae 1952.
.. [2] Hotelling, "Relations between two sets of variates", Biometrika 1936.
.. [3] Bao, Hu, Pan & Zhou, "Canonical correlation coefficients of high-dimensional Gaussian vectors: finite rank case",
   Annals of Statistics 2019.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, ndtri
from scipy.stats import rankdata

from skdim.inputs.scales import Standardize, unit_of
from skdim.nn.gaussian import ratio_coefficients

__all__ = ["CanonicalAxes", "NormalScores", "Standardize", "canonical_axes", "debias_correlations", "log_ratio"]

Array = npt.NDArray[np.float64]

#: Directions whose variance is below this share of the largest count as constant: it is what rounding in float64 leaves.
SMALLEST_VARIANCE = 1e-12
#: Largest standard error, in nats, with which an unbiased value is preferred to one from correlations above the noise.
LARGEST_ERROR = 0.01


@dataclass
class NormalScores:
    r"""Columns -> normal scores :math:`\Phi^{-1}((r - 1/2) / n)` of their ranks r among the fitted rows.

    Tied values share the mean of their ranks [1]_. New values are interpolated linearly, and beyond all fitted values the
    score is constant. The sign makes a column's first score positive, so a falling map changes nothing either.

    Parameters
    ----------
    values, scores : list of ndarray of shape (n_distinct,)
        Distinct fitted values of each column, sorted, and their scores.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.information.canonical import NormalScores
    >>> scores = NormalScores.learn(np.array([[30.0], [10.0], [20.0]]))
    >>> scores(np.array([[30.0], [25.0], [20.0]])).round(3).ravel().tolist()
    [0.967, 0.484, 0.0]
    """

    values: list[Array]
    scores: list[Array]

    @classmethod
    def learn(cls, X: Array) -> NormalScores:
        """Learn the scores of the rows of ``X`` (n, d)."""
        n = len(X)
        values, scores = [], []
        for column in X.T:
            distinct, first, inverse = np.unique(column, return_index=True, return_inverse=True)
            centred = rankdata(column)[first] - (n + 1) / 2
            # From the lower half only, so that a falling map changes the sign and no other bit.
            score = -np.sign(centred) * ndtri((n / 2 - np.abs(centred)) / n)
            first_score = score[inverse][np.flatnonzero(score[inverse])[:1]]
            values.append(distinct)
            scores.append(score * (np.sign(first_score[0]) if len(first_score) else 1.0))
        return cls(values, scores)

    def __call__(self, X: Array) -> Array:
        """Return the scores of rows, shape (n, d) -> (n, d)."""
        columns = zip(X.T, self.values, self.scores, strict=True)
        return np.column_stack([np.interp(column, values, scores) for column, values, scores in columns])


def debias_correlations(correlations: Array, share_x: float, share_y: float) -> Array:
    r"""Return population canonical correlations from those of a sample; 0 if the sample's can be noise.

    By Theorem 1.8 of Bao et al. 2019 [3]_, solved here for rho, a population correlation :math:`\rho` appears as
    :math:`\lambda` in the sample, and those of independent data lie below the edge :math:`\lambda_+`:

    .. math::

        \lambda^2 = \frac{(\rho^2 (1 - c_1) + c_1)(\rho^2 (1 - c_2) + c_2)}{\rho^2}, \qquad
        \lambda_+^2 = c_1 + c_2 - 2 c_1 c_2 + 2 \sqrt{c_1 c_2 (1 - c_1)(1 - c_2)}

    Parameters
    ----------
    correlations : ndarray of shape (k,)
        Canonical correlations of the sample.
    share_x, share_y : float
        Ratios c_1 = d_x / n and c_2 = d_y / n of the dimensions to the sample size, both below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.information.canonical import debias_correlations
    >>> debias_correlations(np.array([0.9, 0.2]), 0.02, 0.02).round(3).tolist()
    [0.896, 0.0]
    """
    c1, c2 = share_x, share_y
    squared = np.clip(correlations, 0, 1) ** 2
    edge = c1 + c2 - 2 * c1 * c2 + 2 * np.sqrt(c1 * c2 * (1 - c1) * (1 - c2))
    # (1 - c1)(1 - c2) r^2 + (c1 + c2 - 2 c1 c2 - lambda^2) r + c1 c2 = 0 in r = rho^2; the larger root lies above the edge.
    a, b = (1 - c1) * (1 - c2), c1 + c2 - 2 * c1 * c2 - squared
    root = (-b + np.sqrt(np.maximum(b**2 - 4 * a * c1 * c2, 0))) / (2 * a)
    return np.sqrt(np.where(squared > edge, np.clip(root, 0, 1), 0.0))


@dataclass
class CanonicalAxes:
    """Canonical axes of two sides: variates are uncorrelated, of variance 1, and correlated pair by pair [2]_.

    Parameters
    ----------
    mean_x, mean_y, weights_x, weights_y : ndarray of shape (d_x,), (d_y,), (d_x, rank_x), (d_y, rank_y)
        Means, and axes as columns, from the largest correlation to the smallest.
    correlations : ndarray of shape (k,)
        De-biased canonical correlations above 0.
    sample_correlations : ndarray of shape (min(rank_x, rank_y),)
        Canonical correlations of the rows.
    """

    mean_x: Array
    mean_y: Array
    weights_x: Array
    weights_y: Array
    correlations: Array
    sample_correlations: Array

    def x(self, X: Array) -> Array:
        """Return the canonical variates of x, (n, d_x) -> (n, rank_x)."""
        return (X - self.mean_x) @ self.weights_x

    def y(self, Y: Array) -> Array:
        """Return the canonical variates of y, (n, d_y) -> (n, rank_y)."""
        return (Y - self.mean_y) @ self.weights_y

    def log_ratio(self, X: Array, Y: Array, all_pairs: bool = False) -> Array:
        """Return :func:`log_ratio` of rows, (n, d_x), (n, d_y) -> (n,), or (n, n) of all pairs."""
        k = len(self.correlations)
        return log_ratio(self.x(X)[:, :k], self.y(Y)[:, :k], self.correlations, all_pairs)


def _whitening(X: Array) -> tuple[Array, Array]:
    """Return the mean, and weights (d, rank) that give the rows variance 1 in every direction that varies."""
    low, high = X.min(axis=0), X.max(axis=0)
    unit = np.where(low < high, unit_of(high / 2 - low / 2), 1.0)
    scaled = X * unit  # squares neither overflow nor vanish
    mean = np.where(low < high, scaled.mean(axis=0), scaled[0])  # exact where constant
    centred = scaled - mean
    variances, directions = np.linalg.eigh(np.atleast_2d(centred.T @ centred / len(X)))
    varies = variances > SMALLEST_VARIANCE * max(variances.max(initial=0), np.finfo(float).tiny)
    return mean / unit, unit[:, None] * directions[:, varies] / np.sqrt(variances[varies])


def canonical_axes(X: Array, Y: Array) -> CanonicalAxes:
    """Return the canonical axes of joint samples, with de-biased correlations.

    Parameters
    ----------
    X, Y : ndarray of shape (n, d_x), (n, d_y)
        If their ranks together reach n, every correlation of the sample is 1, and none is returned.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.information.canonical import canonical_axes
    >>> X, noise = np.random.default_rng(0).normal(size=(2, 4000, 3))
    >>> canonical_axes(X, 0.6 * X[:, :1] + 0.8 * noise[:, :1]).correlations.round(1).tolist()
    [0.6]
    """
    n = len(X)
    (mean_x, white_x), (mean_y, white_y) = _whitening(X), _whitening(Y)
    left, sample, right = np.linalg.svd(((X - mean_x) @ white_x).T @ ((Y - mean_y) @ white_y) / n)
    share_x, share_y = white_x.shape[1] / n, white_y.shape[1] / n
    correlations = debias_correlations(sample, share_x, share_y) if share_x + share_y < 1 else np.zeros_like(sample)
    correlations = np.minimum(correlations[correlations > 0], 1 - 1 / n)  # a finite sample cannot tell more from 1
    return CanonicalAxes(mean_x, mean_y, white_x @ left, white_y @ right.T, correlations, np.clip(sample, 0, 1 - 1 / n))


def shrunk_correlations(axes: CanonicalAxes, n: int) -> Array:
    r"""Return the canonical correlations of n rows, all shrunk by one factor.

    .. math:: \rho_k \sqrt{(1 - d_x d_y / S)_+}, \quad S = n \sum_k \rho_k^2

    Of independent sides, S is d_x d_y on average. Many weak correlations are noise one by one, and none as a whole.
    """
    rho = axes.sample_correlations
    squares = n * float(np.square(rho).sum())
    share = 1 - axes.weights_x.shape[1] * axes.weights_y.shape[1] / squares if squares > 0 else 0.0
    return rho * math.sqrt(max(share, 0.0))


def gaussian_information(axes: CanonicalAxes, n: int) -> float:
    r"""Return the mutual information of Gaussian sides from the canonical axes of n rows, in nats.

    .. math::

        \hat I = -\tfrac12 \sum_k \log(1 - \rho_k^2) - \tfrac12 \bigl(g(d_x) + g(d_y) - g(d_x + d_y)\bigr), \quad
        g(d) = \sum_{i=1}^d \psi\bigl(\tfrac{n - i}2\bigr)

    Its expectation is the mutual information, because E log|W| of a Wishart matrix W is known. Its standard error under
    independence is about :math:`\sqrt{2 d_x d_y} / 2n`. Where that is above 0.01 nats, the de-biased correlations give the
    value instead.
    """
    d_x, d_y = axes.weights_x.shape[1], axes.weights_y.shape[1]
    if d_x + d_y >= n - 1 or math.sqrt(2 * d_x * d_y) / (2 * n) > LARGEST_ERROR:
        return float(-0.5 * np.log1p(-np.square(axes.correlations)).sum())
    of_x, of_y, of_both = (digamma((n - np.arange(1, d + 1)) / 2).sum() for d in (d_x, d_y, d_x + d_y))
    return float(-0.5 * np.log1p(-np.square(axes.sample_correlations)).sum() - (of_x + of_y - of_both) / 2)


def log_ratio(x: Array, y: Array, correlations: Array, all_pairs: bool = False) -> Array:
    r"""Return log p(x, y) / (p(x) p(y)) of standard Gaussian variates in nats, shape (n,), or (n, m) of all pairs.

    .. math:: r(x, y) = \sum_k -\tfrac12 \log(1 - \rho_k^2)
              + \frac{\rho_k x_k y_k - \rho_k^2 (x_k^2 + y_k^2) / 2}{1 - \rho_k^2}

    Parameters
    ----------
    x, y : ndarray of shape (n, k), (m, k)
        Canonical variates.
    correlations : ndarray of shape (k,)
        Below 1.
    all_pairs : bool, default=False
        Whether every x is paired with every y, rather than row with row.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.information.canonical import log_ratio
    >>> log_ratio(np.array([[0.0]]), np.array([[0.0]]), np.array([0.6])).round(4).item()
    0.2231
    """
    linear, quadratic, constant = ratio_coefficients(correlations)
    if all_pairs:
        own, others = x**2 @ quadratic, y**2 @ quadratic
        return np.asarray((x * linear) @ y.T - own[:, None] - others + constant)
    return np.asarray((x * y) @ linear - (x**2 + y**2) @ quadratic + constant)
