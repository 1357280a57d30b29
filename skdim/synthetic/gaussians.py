r"""Jointly Gaussian X and Y: covariances, samplers, the mutual information and the log density ratio in closed form.

References
----------
.. [1] Cover & Thomas, "Elements of information theory", 2nd edition 2006, Theorem 8.4.1 (the entropy of a Gaussian).
.. [2] Poole et al., "On variational bounds of mutual information", ICML 2019 (the staircase, and its cube).
.. [3] Tschannen et al., "On mutual information maximization for representation learning", ICLR 2020, Fig. 4c and
   Appendix D (rows that share noise).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from skdim.synthetic._sampling import (
    Array,
    Pair,
    RandomState,
    check_between,
    check_count,
    generator,
)

__all__ = [
    "autoregressive_covariance",
    "correlation_for",
    "dense_covariance",
    "gaussian",
    "gaussian_log_ratio",
    "gaussian_mutual_information",
    "multivariate_gaussian",
    "paired_covariance",
    "shared_noise",
]


def check_covariance(covariance: npt.ArrayLike, dim_x: int) -> tuple[Array, Array]:
    """Return a joint covariance of (X, Y) and its Cholesky factor, or raise a ``ValueError``."""
    matrix = np.asarray(covariance, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"covariance must be a square matrix, got shape {matrix.shape}.")
    if not 1 <= dim_x < len(matrix):
        raise ValueError(f"dim_x must lie in [1, {len(matrix) - 1}] for {len(matrix)} dimensions, got {dim_x!r}.")
    if not np.allclose(matrix, matrix.T):
        raise ValueError("covariance must be symmetric.")
    try:
        return matrix, np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
    except np.linalg.LinAlgError:
        raise ValueError("covariance must be positive definite.") from None


def quadratic_forms(X: npt.ArrayLike, Y: npt.ArrayLike, covariance: npt.ArrayLike) -> tuple[Array, Array, Array]:
    """Return the squared Mahalanobis norms of x, y and (x, y), whose leading axes broadcast."""
    x, y = np.asarray(X, dtype=np.float64), np.asarray(Y, dtype=np.float64)
    dim_x, dim_y = x.shape[-1], y.shape[-1]
    matrix, _ = check_covariance(covariance, dim_x)
    if dim_x + dim_y != len(matrix):
        raise ValueError(f"covariance must have {dim_x} + {dim_y} dimensions, got {len(matrix)}.")
    precision = np.linalg.inv(matrix)
    own_x = (x @ precision[:dim_x, :dim_x] * x).sum(-1)
    own_y = (y @ precision[dim_x:, dim_x:] * y).sum(-1)
    cross = np.einsum("...i,...i->...", x @ precision[:dim_x, dim_x:], y)  # all pairs without a copy of each
    squares_x = (x @ np.linalg.inv(matrix[:dim_x, :dim_x]) * x).sum(-1)
    squares_y = (y @ np.linalg.inv(matrix[dim_x:, dim_x:]) * y).sum(-1)
    return squares_x, squares_y, own_x + own_y + 2 * cross


# ------------------------------------------------------------------------------------------------------------ covariances
def correlation_for(mutual_information: float, n_dims: int = 1) -> float:
    r"""Return the correlation at which ``n_dims`` independent pairs carry the given mutual information.

    .. math:: \rho = \sqrt{1 - e^{-2 I / d}}

    Parameters
    ----------
    mutual_information : float
        I in nats, not negative.
    n_dims : int, default=1
        d, the number of pairs (X_i, Y_i).

    Returns
    -------
    float in [0, 1)
        The inverse of :math:`I = -\frac d2 \log(1 - \rho^2)` [1]_.

    Raises
    ------
    ValueError
        If the mutual information is negative or infinite, or ``n_dims`` is less than 1.

    Examples
    --------
    >>> from skdim.synthetic import correlation_for
    >>> [round(correlation_for(mi, n_dims=20), 4) for mi in (2, 4, 6, 8, 10)]
    [0.4258, 0.5742, 0.6717, 0.7421, 0.7951]
    """
    check_count(1, n_dims=n_dims)
    if not 0 <= mutual_information < math.inf:
        raise ValueError(f"mutual_information must be finite and not negative, got {mutual_information!r}.")
    return math.sqrt(-math.expm1(-2 * mutual_information / n_dims))


def dense_covariance(dim_x: int, dim_y: int, correlation: float = 0.5) -> Array:
    """Return the covariance of variables of variance 1 that all have the same correlation with each other.

    Parameters
    ----------
    dim_x, dim_y : int
        Columns of X and Y.
    correlation : float, default=0.5
        In [0, 1).

    Returns
    -------
    ndarray of shape (dim_x + dim_y, dim_x + dim_y)
        Ones on the diagonal, ``correlation`` elsewhere.

    Raises
    ------
    ValueError
        If a dimension is less than 1 or ``correlation`` is outside [0, 1).

    Examples
    --------
    >>> from skdim.synthetic import dense_covariance, gaussian_mutual_information
    >>> round(gaussian_mutual_information(dense_covariance(2, 2), dim_x=2), 4)
    0.2939
    """
    check_count(1, dim_x=dim_x, dim_y=dim_y)
    if not 0 <= correlation < 1:
        raise ValueError(f"correlation must lie in [0, 1), got {correlation!r}.")
    return np.eye(dim_x + dim_y) * (1 - correlation) + correlation


def paired_covariance(correlations: Sequence[float], dim_x: int, dim_y: int) -> Array:
    """Return a sparse covariance: X_i and Y_i of the first pairs are correlated, all else is independent.

    Parameters
    ----------
    correlations : sequence of float
        Correlations of (X_1, Y_1), (X_2, Y_2), ..., each in (-1, 1); at most ``min(dim_x, dim_y)`` of them.
    dim_x, dim_y : int
        Columns of X and Y.

    Returns
    -------
    ndarray of shape (dim_x + dim_y, dim_x + dim_y)
        Ones on the diagonal; the correlations are the canonical ones.

    Raises
    ------
    ValueError
        If there are more correlations than pairs, or one is outside (-1, 1).

    Examples
    --------
    >>> from skdim.synthetic import gaussian_mutual_information, paired_covariance
    >>> round(gaussian_mutual_information(paired_covariance([0.8, 0.8], 25, 25), dim_x=25), 4)
    1.0217
    """
    check_count(1, dim_x=dim_x, dim_y=dim_y)
    n_pairs = len(correlations)
    if n_pairs > min(dim_x, dim_y):
        raise ValueError(f"{n_pairs} correlations are too many for {dim_x} and {dim_y} dimensions.")
    covariance = np.eye(dim_x + dim_y)
    for i, correlation in enumerate(correlations):
        check_between(-1, 1, correlation=correlation)
        covariance[i, dim_x + i] = covariance[dim_x + i, i] = correlation
    return covariance


def autoregressive_covariance(dim_x: int, dim_y: int, correlation: float = 0.9) -> Array:
    r"""Return the covariance of the past X and the future Y of a stationary autoregressive series of order 1.

    .. math:: \mathrm{Cov}(Z_s, Z_t) = \varphi^{|s - t|}

    The series is Markov: the windows share the information of the two values at their border alone, of correlation
    :math:`\varphi`, whatever their lengths.

    Parameters
    ----------
    dim_x, dim_y : int
        Steps of the past and of the future.
    correlation : float, default=0.9
        :math:`\varphi` in (-1, 1), the correlation of neighbours.

    Returns
    -------
    ndarray of shape (dim_x + dim_y, dim_x + dim_y)
        The covariance, in the order of time.

    Raises
    ------
    ValueError
        If a dimension is less than 1 or ``correlation`` is outside (-1, 1).

    Examples
    --------
    >>> from skdim.synthetic import autoregressive_covariance, gaussian_mutual_information
    >>> [round(gaussian_mutual_information(autoregressive_covariance(d, 3), dim_x=d), 4) for d in (1, 8)]
    [0.8304, 0.8304]
    """
    check_count(1, dim_x=dim_x, dim_y=dim_y)
    check_between(-1, 1, correlation=correlation)
    time = np.arange(dim_x + dim_y)
    return np.asarray(np.float64(correlation) ** np.abs(time[:, None] - time))


# --------------------------------------------------------------------------------------------------------------- samplers
def gaussian(n_samples: int, rho: float, n_dims: int = 1, random_state: RandomState = None) -> Pair:
    """Draw ``n_dims`` independent pairs of standard normals of correlation ``rho``.

    The mutual information is that of :func:`paired_covariance` with ``n_dims`` times ``rho``; :func:`correlation_for`
    gives ``rho`` for any value. The benchmark of Poole et al. [2]_ has 20 pairs of 2 to 10 nats, as they are and with y
    cubed, ``signed_power(Y, 3)``.

    Parameters
    ----------
    n_samples : int
        Rows.
    rho : float
        Correlation in (-1, 1).
    n_dims : int, default=1
        Columns of X and of Y.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X, Y : ndarray of shape (n_samples, n_dims)
        The samples.

    Raises
    ------
    ValueError
        If ``rho`` is outside (-1, 1), or a count is less than 1.

    Examples
    --------
    >>> from skdim.synthetic import gaussian
    >>> X, Y = gaussian(10_000, rho=0.8, random_state=0)
    >>> round(float((X * Y).mean()), 1)
    0.8
    """
    check_count(1, n_dims=n_dims)
    check_between(-1, 1, rho=rho)
    rng = generator(n_samples, random_state)
    X = rng.standard_normal((n_samples, n_dims))
    return X, rho * X + math.sqrt(1 - rho**2) * rng.standard_normal((n_samples, n_dims))


def multivariate_gaussian(
    n_samples: int, covariance: npt.ArrayLike, dim_x: int, random_state: RandomState = None
) -> Pair:
    """Draw from a Gaussian of mean 0 and any joint covariance.

    Parameters
    ----------
    n_samples : int
        Rows.
    covariance : array-like of shape (dim_x + dim_y, dim_x + dim_y)
        Positive definite covariance of (X, Y).
    dim_x : int
        How many of its dimensions belong to X.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X : ndarray of shape (n_samples, dim_x)
        First part of each sample.
    Y : ndarray of shape (n_samples, dim_y)
        The rest.

    Raises
    ------
    ValueError
        If ``covariance`` is not a positive definite matrix with room for ``dim_x`` and at least one more dimension.

    Examples
    --------
    >>> from skdim.synthetic import dense_covariance, multivariate_gaussian
    >>> X, Y = multivariate_gaussian(10_000, dense_covariance(3, 2), dim_x=3, random_state=0)
    >>> X.shape, Y.shape, round(float((X[:, 0] * Y[:, 1]).mean()), 1)
    ((10000, 3), (10000, 2), 0.5)
    """
    matrix, factor = check_covariance(covariance, dim_x)
    Z = generator(n_samples, random_state).standard_normal((n_samples, len(matrix))) @ factor.T
    return Z[:, :dim_x], Z[:, dim_x:]


def shared_noise(n_samples: int, batch_size: int, random_state: RandomState = None) -> Pair:
    r"""Draw pairs whose rows within a batch are *dependent*: they share a noise Z drawn once for the batch [3]_.

    .. math:: (x_i, y_i) = Z + \varepsilon_i

    Both are Gaussian of variances 1; Z has the covariance -0.5, the noise of a row 0.9. So a row has variances 2 and the
    covariance 0.4, hence 0.0204 nats. Bounds that take their negatives from the batch exceed that: x_i and y_j have the
    covariance -0.5, and NWJ converges to the divergence between the two Gaussians, 0.1081. The ceiling is
    I(X; Y | Z) = 0.8304. With ``batch_size=1`` the rows are independent.

    Parameters
    ----------
    n_samples : int
        Rows; the batches follow each other, the last one may be short.
    batch_size : int
        Rows that share one Z.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X, Y : ndarray of shape (n_samples, 1)
        The samples, to be used in order.

    Raises
    ------
    ValueError
        If a count is less than 1.

    Examples
    --------
    >>> from skdim.synthetic import gaussian_mutual_information, shared_noise
    >>> X, Y = shared_noise(256, batch_size=128, random_state=0)
    >>> X.shape, round(gaussian_mutual_information([[2, 0.4], [0.4, 2]], dim_x=1), 4)
    ((256, 1), 0.0204)
    """
    check_count(1, batch_size=batch_size)
    rng = generator(n_samples, random_state)
    n_batches = math.ceil(n_samples / batch_size)
    shared = np.hstack(multivariate_gaussian(n_batches, [[1, -0.5], [-0.5, 1]], 1, rng))
    own = np.hstack(multivariate_gaussian(n_samples, [[1, 0.9], [0.9, 1]], 1, rng))
    Z = np.repeat(shared, batch_size, axis=0)[:n_samples] + own
    return Z[:, :1], Z[:, 1:]


# ----------------------------------------------------------------------------------------------------------- closed forms
def gaussian_mutual_information(covariance: npt.ArrayLike, dim_x: int) -> float:
    r"""Return the mutual information of jointly Gaussian vectors.

    .. math:: I(X; Y) = \frac12 \log \frac{\det \Sigma_X \det \Sigma_Y}{\det \Sigma}

    Parameters
    ----------
    covariance : array-like of shape (dim_x + dim_y, dim_x + dim_y)
        :math:`\Sigma`, the joint covariance of (X, Y).
    dim_x : int
        How many of its dimensions belong to X.

    Returns
    -------
    float
        The mutual information in nats: three entropies of [1]_, Theorem 8.4.1.

    Raises
    ------
    ValueError
        If ``covariance`` is not a positive definite matrix with room for ``dim_x`` and at least one more dimension.

    Examples
    --------
    >>> from skdim.synthetic import gaussian_mutual_information
    >>> round(gaussian_mutual_information([[1, 0.75], [0.75, 1]], dim_x=1), 6)
    0.413339
    """
    matrix, factor = check_covariance(covariance, dim_x)
    # The first rows of the factor are the factor of Σ_X, so what is left of det Σ is that of Y given X.
    half_log_det_y = np.log(np.linalg.cholesky(matrix[dim_x:, dim_x:]).diagonal()).sum()
    half_log_det_y_given_x = np.log(factor.diagonal()[dim_x:]).sum()
    return float(half_log_det_y - half_log_det_y_given_x)


def gaussian_log_ratio(X: npt.ArrayLike, Y: npt.ArrayLike, covariance: npt.ArrayLike) -> Array:
    r"""Return the log density ratio of jointly Gaussian vectors of mean 0: the critic at which every bound is tight.

    .. math::

        \log \frac{p(x, y)}{p(x) p(y)} = I(X; Y) + \frac12 \Bigl( x^T \Sigma_X^{-1} x + y^T \Sigma_Y^{-1} y
        - (x, y)^T \Sigma^{-1} (x, y) \Bigr)

    Parameters
    ----------
    X : array-like of shape (..., dim_x)
        Points. Leading axes broadcast: ``X[:, None]`` with ``Y[None]`` gives the scores of all pairs.
    Y : array-like of shape (..., dim_y)
        Points.
    covariance : array-like of shape (dim_x + dim_y, dim_x + dim_y)
        :math:`\Sigma`, the joint covariance of (X, Y).

    Returns
    -------
    ndarray of shape (...)
        The log ratio in nats; its mean over joint samples is the mutual information.

    Raises
    ------
    ValueError
        If ``covariance`` is not positive definite, or does not have the columns of ``X`` and ``Y``.

    Examples
    --------
    >>> from skdim.synthetic import gaussian, gaussian_log_ratio
    >>> X, Y = gaussian(100_000, rho=0.75, random_state=0)
    >>> log_ratio = gaussian_log_ratio(X, Y, [[1, 0.75], [0.75, 1]])
    >>> log_ratio.shape, round(float(log_ratio.mean()), 2)
    ((100000,), 0.41)
    """
    squares_x, squares_y, squares = quadratic_forms(X, Y, covariance)
    information = gaussian_mutual_information(covariance, np.shape(X)[-1])
    return np.asarray(information + (squares_x + squares_y - squares) / 2)
