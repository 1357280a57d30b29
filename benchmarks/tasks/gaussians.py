"""A Gaussian series, and Gaussian pairs with outliers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import gammaln

from skdim.synthetic import Family, GaussianPairs
from skdim.synthetic.family import Array, Pair, check_between, check_count
from tasks.quadrature import grid_nodes


def autoregressive_covariance(dim_x: int, dim_y: int, correlation: float) -> Array:
    r"""Return the covariance of the past X and the future Y of a stationary autoregressive series of order 1.

    .. math:: \mathrm{Cov}(Z_s, Z_t) = \varphi^{|s - t|}

    The series is Markov: the windows share the information of the two values at their border alone, of correlation
    :math:`\varphi` in (-1, 1), whatever their lengths.
    """
    check_count(1, dim_x=dim_x, dim_y=dim_y)
    check_between(-1, 1, correlation=correlation)
    time = np.arange(dim_x + dim_y)
    return np.asarray(np.float64(correlation) ** np.abs(time[:, None] - time))


@dataclass(frozen=True)
class ContaminatedGaussian(Family):
    r"""Gaussian pairs of which some rows are outliers: independent and of another scale in all columns.

    It is the mixture of two Gaussians of mean 0 with the weights 1 - contamination and contamination, in (0, 1); the standard
    deviation of the outliers is ``scale``. The density of X depends on \|x\| alone, that of (S, D) on \|s\| and \|d\|, in any
    number of dimensions, so the mutual information is a quadrature over radii, to about 1e-9:

    .. math:: I(X; Y) = 2 H(X) - H(S, D), \quad S = \frac{X + Y}{\sqrt 2}, \quad D = \frac{X - Y}{\sqrt 2}
    """

    rho: float
    n_dims: int
    contamination: float
    scale: float = 3.0

    def __post_init__(self) -> None:
        GaussianPairs(self.rho, self.n_dims)
        check_between(0, 1, contamination=self.contamination)
        check_between(0, math.inf, scale=self.scale)

    @cached_property
    def mutual_information(self) -> float:
        rho, n_dims, contamination, scale = self.rho, self.n_dims, self.contamination, self.scale
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

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        outlier = rng.random((n_samples, 1)) < self.contamination
        X, Y = GaussianPairs(self.rho, self.n_dims).sample(n_samples, rng)
        noise_x, noise_y = self.scale * rng.standard_normal((2, n_samples, self.n_dims))
        return np.where(outlier, noise_x, X), np.where(outlier, noise_y, Y)
