r"""Mixtures of Gaussians: nearly any shape, with a log density ratio in closed form.

References
----------
.. [1] Czyż, Grabowski, Vogt, Beerenwinkel & Marx, "The mixtures and the neural critics: on the pointwise mutual information
   profiles of fine distributions", 2023 (their use as tests).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, logsumexp

from skdim.synthetic._quadrature import grid_information, grid_nodes
from skdim.synthetic._sampling import Array, Pair, RandomState, check_between, check_count, check_positive, generator
from skdim.synthetic.gaussians import check_covariance, gaussian, quadratic_forms

__all__ = [
    "contaminated_gaussian",
    "contaminated_gaussian_mutual_information",
    "gaussian_mixture",
    "gaussian_mixture_log_ratio",
    "gaussian_mixture_mutual_information",
]


def _check_mixture(
    weights: npt.ArrayLike, means: npt.ArrayLike, covariances: npt.ArrayLike, dim_x: int
) -> tuple[Array, Array, Array]:
    w, mu, sigma = (np.asarray(values, dtype=np.float64) for values in (weights, means, covariances))
    if w.ndim != 1 or not (w > 0).all() or not np.isclose(w.sum(), 1):
        raise ValueError(f"weights must be positive, with sum 1, got {weights!r}.")
    if mu.ndim != 2 or len(mu) != len(w) or sigma.shape != (*mu.shape, mu.shape[1]):
        raise ValueError(
            f"means must have shape (k, d) and covariances (k, d, d) for k = {len(w)} weights, "
            f"got {mu.shape} and {sigma.shape}."
        )
    for matrix in sigma:
        check_covariance(matrix, dim_x)
    return w, mu, sigma


def gaussian_mixture(
    n_samples: int,
    weights: npt.ArrayLike,
    means: npt.ArrayLike,
    covariances: npt.ArrayLike,
    dim_x: int,
    random_state: RandomState = None,
) -> Pair:
    r"""Draw from a mixture of Gaussians: nearly any shape, with a log density ratio in closed form [1]_.

    .. math:: p(x, y) = \sum_k w_k \, N(x, y; \mu_k, \Sigma_k)

    Parameters
    ----------
    n_samples : int
        Rows.
    weights : array-like of shape (k,)
        Positive, with sum 1.
    means : array-like of shape (k, dim_x + dim_y)
        Means of the components.
    covariances : array-like of shape (k, dim_x + dim_y, dim_x + dim_y)
        Their covariances, positive definite.
    dim_x : int
        How many of the dimensions belong to X.
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
        If the shapes disagree, the weights are no probabilities or a covariance is not positive definite.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.synthetic import gaussian_mixture
    >>> ridges = [[[1, 0.9], [0.9, 1]], [[1, -0.9], [-0.9, 1]]]  # a cross: uncorrelated and dependent
    >>> X, Y = gaussian_mixture(10_000, [0.5, 0.5], np.zeros((2, 2)), ridges, dim_x=1, random_state=0)
    >>> round(float(np.corrcoef(X[:, 0] ** 2, Y[:, 0] ** 2)[0, 1]), 1)
    0.8
    """
    w, mu, sigma = _check_mixture(weights, means, covariances, dim_x)
    rng = generator(n_samples, random_state)
    component = rng.choice(len(w), size=n_samples, p=w)
    Z = rng.standard_normal((n_samples, mu.shape[1]))
    for k, factor in enumerate(np.linalg.cholesky(sigma)):
        rows = component == k
        Z[rows] = mu[k] + Z[rows] @ factor.T
    return Z[:, :dim_x], Z[:, dim_x:]


def gaussian_mixture_log_ratio(
    X: npt.ArrayLike, Y: npt.ArrayLike, weights: npt.ArrayLike, means: npt.ArrayLike, covariances: npt.ArrayLike
) -> Array:
    r"""Return the log density ratio of a mixture of Gaussians.

    .. math:: \log \frac{\sum_k w_k N(x, y; \mu_k, \Sigma_k)}
        {\sum_k w_k N(x; \mu_{X,k}, \Sigma_{X,k}) \; \sum_k w_k N(y; \mu_{Y,k}, \Sigma_{Y,k})}

    Its mean over many joint samples is the mutual information in any number of dimensions, with the standard error
    sd / sqrt(n).

    Parameters
    ----------
    X : array-like of shape (..., dim_x)
        Points. Leading axes broadcast: ``X[:, None]`` with ``Y[None]`` gives the scores of all pairs.
    Y : array-like of shape (..., dim_y)
        Points.
    weights : array-like of shape (k,)
        Positive, with sum 1.
    means : array-like of shape (k, dim_x + dim_y)
        Means of the components.
    covariances : array-like of shape (k, dim_x + dim_y, dim_x + dim_y)
        Their covariances, positive definite.

    Returns
    -------
    ndarray of shape (...)
        The log ratio in nats.

    Raises
    ------
    ValueError
        If the shapes disagree, the weights are no probabilities or a covariance is not positive definite.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.synthetic import gaussian_log_ratio, gaussian_mixture_log_ratio
    >>> ridge, point = np.array([[1, 0.9], [0.9, 1]]), np.array([[0.5, 1.0]])
    >>> one = gaussian_mixture_log_ratio(point[:, :1], point[:, 1:], [1.0], np.zeros((1, 2)), ridge[None])
    >>> bool(np.isclose(one, gaussian_log_ratio(point[:, :1], point[:, 1:], ridge)))
    True
    """
    x, y = np.asarray(X, dtype=np.float64), np.asarray(Y, dtype=np.float64)
    dim_x = x.shape[-1]
    w, mu, sigma = _check_mixture(weights, means, covariances, dim_x)
    log_x, log_y, log_joint = [], [], []
    for weight, mean, matrix in zip(w, mu, sigma, strict=True):
        squares_x, squares_y, squares = quadratic_forms(x - mean[:dim_x], y - mean[dim_x:], matrix)
        # The powers of 2π cancel from the ratio.
        log_x.append(math.log(weight) - (squares_x + np.linalg.slogdet(matrix[:dim_x, :dim_x])[1]) / 2)
        log_y.append(math.log(weight) - (squares_y + np.linalg.slogdet(matrix[dim_x:, dim_x:])[1]) / 2)
        log_joint.append(math.log(weight) - (squares + np.linalg.slogdet(matrix)[1]) / 2)
    return np.asarray(logsumexp(log_joint, axis=0) - logsumexp(log_x, axis=0) - logsumexp(log_y, axis=0))


def gaussian_mixture_mutual_information(
    weights: npt.ArrayLike, means: npt.ArrayLike, covariances: npt.ArrayLike
) -> float:
    r"""Return the mutual information of a mixture of *bivariate* Gaussians by quadrature.

    .. math:: I(X; Y) = H(X) + H(Y) - H(X, Y)

    In more dimensions, average :func:`gaussian_mixture_log_ratio` over samples.

    Parameters
    ----------
    weights : array-like of shape (k,)
        Positive, with sum 1.
    means : array-like of shape (k, 2)
        Means of the components.
    covariances : array-like of shape (k, 2, 2)
        Their covariances, positive definite.

    Returns
    -------
    float
        The mutual information in nats, to about 1e-9.

    Raises
    ------
    ValueError
        If the components are not bivariate or too narrow for a grid, the shapes disagree or the weights are no
        probabilities.

    Examples
    --------
    >>> from skdim.synthetic import gaussian_mixture_mutual_information
    >>> round(gaussian_mixture_mutual_information([1.0], [[0.0, 0.0]], [[[1, 0.75], [0.75, 1]]]), 6)
    0.413339
    """
    w, mu, sigma = _check_mixture(weights, means, covariances, dim_x=1)
    if mu.shape[1] != 2:
        raise ValueError(f"means must have shape (k, 2), got {mu.shape}: average gaussian_mixture_log_ratio instead.")
    step = math.sqrt(np.linalg.eigvalsh(sigma).min()) / 4
    reach = 10 * np.sqrt(np.diagonal(sigma, axis1=1, axis2=2))
    low, high = (mu - reach).min(0), (mu + reach).max(0)
    if np.prod((high - low) / step) > 1e7:
        raise ValueError("The components are too narrow for a grid: average gaussian_mixture_log_ratio instead.")
    x, y = (grid_nodes(*limits, step) for limits in zip(low, high, strict=True))
    density = np.zeros((len(x), len(y)))
    for weight, mean, matrix in zip(w, mu, sigma, strict=True):
        _, _, squares = quadratic_forms((x - mean[0])[:, None, None], (y - mean[1])[None, :, None], matrix)
        density += weight * np.exp(-squares / 2) / (2 * math.pi * math.sqrt(np.linalg.det(matrix)))
    return grid_information(density, x[1] - x[0], y[1] - y[0])


def _check_contaminated(rho: float, n_dims: int, contamination: float, scale: float) -> None:
    check_between(-1, 1, rho=rho)
    check_count(1, n_dims=n_dims)
    check_between(0, 1, contamination=contamination)
    check_positive(scale=scale)


def contaminated_gaussian(
    n_samples: int,
    rho: float,
    n_dims: int,
    contamination: float,
    scale: float = 3.0,
    random_state: RandomState = None,
) -> Pair:
    """Draw correlated Gaussians of which some rows are outliers: independent and of another scale in all columns.

    It is the mixture of two Gaussians of mean 0 with the weights ``1 - contamination`` and ``contamination``, the
    covariances :func:`paired_covariance` and ``scale**2`` times the identity.

    Parameters
    ----------
    n_samples : int
        Rows.
    rho : float
        Correlation of X_i and Y_i in the other rows, in (-1, 1).
    n_dims : int
        Columns of X and of Y.
    contamination : float
        Probability of an outlier, in (0, 1).
    scale : float, default=3.0
        Standard deviation of the outliers, positive.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X, Y : ndarray of shape (n_samples, n_dims)
        The samples.

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Examples
    --------
    >>> from skdim.synthetic import contaminated_gaussian
    >>> X, Y = contaminated_gaussian(100_000, rho=0.8, n_dims=5, contamination=0.25, random_state=0)
    >>> round(float((X * Y).mean()), 1), round(float((X**2).mean()), 1)
    (0.6, 3.0)
    """
    _check_contaminated(rho, n_dims, contamination, scale)
    rng = generator(n_samples, random_state)
    outlier = rng.random((n_samples, 1)) < contamination
    X, Y = gaussian(n_samples, rho, n_dims, rng)
    noise_x, noise_y = scale * rng.standard_normal((2, n_samples, n_dims))
    return np.where(outlier, noise_x, X), np.where(outlier, noise_y, Y)


def contaminated_gaussian_mutual_information(
    rho: float, n_dims: int, contamination: float, scale: float = 3.0
) -> float:
    r"""Return the mutual information of correlated Gaussians with outliers, by quadrature over radii.

    .. math:: I(X; Y) = 2 H(X) - H(S, D), \quad S = \frac{X + Y}{\sqrt 2}, \quad D = \frac{X - Y}{\sqrt 2}

    The density of X depends on \|x\| alone, that of (S, D) on \|s\| and \|d\|, in any number of dimensions.

    Parameters
    ----------
    rho : float
        Correlation of X_i and Y_i.
    n_dims : int
        Columns of X and of Y.
    contamination : float
        Probability of an outlier.
    scale : float, default=3.0
        Standard deviation of the outliers.

    Returns
    -------
    float
        The mutual information in nats, to about 1e-9.

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Examples
    --------
    >>> from skdim.synthetic import contaminated_gaussian_mutual_information
    >>> round(contaminated_gaussian_mutual_information(0.8, n_dims=5, contamination=0.2), 6)
    2.363726
    """
    _check_contaminated(rho, n_dims, contamination, scale)
    sds = np.array([math.sqrt(1 - abs(rho)), scale, 1, math.sqrt(1 + abs(rho))])
    # Nodes of log r, whose standard deviation is about 1 / sqrt(2d); less than e^-32 of the mass lies below them.
    low, high = math.log(sds.min()) - 32 / n_dims, math.log(sds.max() * (math.sqrt(n_dims) + 9))
    log_r = grid_nodes(low, high, min(0.04, 0.25 / math.sqrt(n_dims)))
    step = log_r[1] - log_r[0]
    log_shell = math.log(2) + n_dims / 2 * math.log(math.pi) - gammaln(n_dims / 2) + n_dims * log_r + math.log(step)

    def log_normal(variance: float) -> Array:
        return np.asarray(-np.exp(2 * log_r) / (2 * variance) - n_dims / 2 * math.log(2 * math.pi * variance))

    def mixed(log_inlier: Array, log_outlier: Array) -> Array:
        return np.logaddexp(math.log1p(-contamination) + log_inlier, math.log(contamination) + log_outlier)

    outlier = log_normal(scale**2)
    log_x = mixed(log_normal(1), outlier)
    log_sd = mixed(log_normal(1 + rho)[:, None] + log_normal(1 - rho), outlier[:, None] + outlier)
    entropy_x = -(np.exp(log_x + log_shell) * log_x).sum()
    entropy_sd = -(np.exp(log_sd + log_shell[:, None] + log_shell) * log_sd).sum()
    return float(2 * entropy_x - entropy_sd)
