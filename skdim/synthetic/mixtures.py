"""Mixtures of Gaussians."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from skdim.synthetic.elliptical import Gaussian
from skdim.synthetic.family import Array, DensityFamily, Pair


@dataclass(frozen=True, eq=False)
class GaussianMixture(DensityFamily):
    r"""A mixture of Gaussians.

    .. math:: p(x, y) = \sum_k w_k \, N(x, y; \mu_k, \Sigma_k)

    If X and Y have one column each, ``mutual_information`` is the integral of p(x, y) times the log ratio on a grid, to about
    1e-9 nats. In more dimensions and with very narrow components it raises a ValueError: average ``log_ratio`` over many
    samples.

    Parameters
    ----------
    weights : array-like of shape (k,)
        Weights of the components, which must be positive with sum 1.
    means : array-like of shape (k, dim_x + dim_y)
        Their means.
    covariances : array-like of shape (k, dim_x + dim_y, dim_x + dim_y)
        Their covariances, positive definite.
    dim_x : int
        Number of dimensions that belong to X.

    Examples
    --------
    >>> from skdim.synthetic import GaussianMixture
    >>> ridges = [[[1, 0.9], [0.9, 1]], [[1, -0.9], [-0.9, 1]]]  # a cross: uncorrelated and dependent
    >>> family = GaussianMixture([0.5, 0.5], [[0, 0], [0, 0]], ridges, dim_x=1)
    >>> round(family.mutual_information, 4), round(float(family.log_ratio(*family.sample(10**5, 0)).mean()), 2)
    (0.4084, 0.41)
    """

    weights: npt.ArrayLike
    means: npt.ArrayLike
    covariances: npt.ArrayLike
    dim_x: int
    _components: list[tuple[float, Array, Gaussian]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        w, mu, sigma = (np.asarray(values, np.float64) for values in (self.weights, self.means, self.covariances))
        if w.ndim != 1 or not (w > 0).all() or not np.isclose(w.sum(), 1):
            raise ValueError(f"weights must be positive, with sum 1, got {self.weights!r}.")
        if mu.ndim != 2 or len(mu) != len(w) or sigma.shape != (*mu.shape, mu.shape[1]):
            raise ValueError(f"means and covariances must be (k, d) and (k, d, d), got {mu.shape} and {sigma.shape}.")
        gaussians = [Gaussian(matrix, self.dim_x) for matrix in sigma]
        object.__setattr__(self, "_components", list(zip(w.tolist(), mu, gaussians, strict=True)))

    @cached_property
    def mutual_information(self) -> float:
        mu, sigma = np.asarray(self.means, np.float64), np.asarray(self.covariances, np.float64)
        if mu.shape[1] != 2:
            raise ValueError(f"means must have shape (k, 2), got {mu.shape}: average log_ratio over samples instead.")
        step = math.sqrt(np.linalg.eigvalsh(sigma).min()) / 4
        reach = 10 * np.sqrt(np.diagonal(sigma, axis1=1, axis2=2))
        low, high = (mu - reach).min(0), (mu + reach).max(0)
        counts = np.ceil((high - low) / step).astype(int) + 1
        if np.prod(counts) > 1e7:
            raise ValueError("The components are too narrow for a grid: average log_ratio over samples instead.")
        x, y = map(np.linspace, low, high, counts)
        log_x, log_y, log_both = self._log_densities(x[:, None, None], y[None, :, None])
        cell = (x[1] - x[0]) * (y[1] - y[0]) / (2 * math.pi)
        return float((np.exp(log_both) * (log_both - log_x - log_y)).sum() * cell)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        component = rng.choice(len(self._components), size=n_samples, p=[weight for weight, *_ in self._components])
        Z = rng.standard_normal((n_samples, len(self._components[0][1])))
        for k, (_, mean, gaussian) in enumerate(self._components):
            rows = component == k
            Z[rows] = mean + Z[rows] @ gaussian._factor.T
        return Z[:, : self.dim_x], Z[:, self.dim_x :]

    def _log_densities(self, X: npt.ArrayLike, Y: npt.ArrayLike) -> list[Array]:
        (x, y), d = self._components[0][2]._check_columns(X, Y), self.dim_x
        terms = [
            [math.log(weight) + log_density for log_density in gaussian._log_densities(x - mean[:d], y - mean[d:])]
            for weight, mean, gaussian in self._components
        ]
        return [logsumexp(components, axis=0) for components in zip(*terms, strict=True)]
