"""Gaussian and Student-t vectors, and the covariances to choose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, psi

from skdim.synthetic.family import Array, DensityFamily, Family, Pair, check_between, check_count


@dataclass(frozen=True, eq=False)
class Gaussian(DensityFamily):
    r"""Jointly Gaussian vectors of mean 0.

    The mutual information is Theorem 8.4.1 of Cover & Thomas, "Elements of information theory", 2nd edition 2006:

    .. math:: I(X; Y) = \frac12 \log \frac{\det \Sigma_X \det \Sigma_Y}{\det \Sigma}

    Parameters
    ----------
    covariance : array-like of shape (dim_x + dim_y, dim_x + dim_y)
        :math:`\Sigma`, the covariance of (X, Y), which must be positive definite.
    dim_x : int
        Number of dimensions that belong to X.

    Examples
    --------
    >>> from skdim.synthetic import Gaussian
    >>> family = Gaussian([[1, 0.75], [0.75, 1]], dim_x=1)
    >>> round(family.mutual_information, 6), round(float(family.log_ratio(*family.sample(10**5, 0)).mean()), 2)
    (0.413339, 0.41)
    """

    covariance: npt.ArrayLike
    dim_x: int
    _blocks: tuple[Array, Array, Array] = field(init=False, repr=False)  # covariances of X, of Y, of both
    _factor: Array = field(init=False, repr=False)  # Cholesky's, lower

    def __post_init__(self) -> None:
        matrix, d = np.array(self.covariance, dtype=np.float64), self.dim_x
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"covariance must be a square matrix, got shape {matrix.shape}.")
        if not 0 < d < len(matrix):
            raise ValueError(f"dim_x must lie in [1, {len(matrix) - 1}] for {len(matrix)} dimensions, got {d!r}.")
        if not np.allclose(matrix, matrix.T):
            raise ValueError("covariance must be symmetric.")
        try:
            factor = np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            raise ValueError("covariance must be positive definite.") from None
        object.__setattr__(self, "_blocks", (matrix[:d, :d], matrix[d:, d:], matrix))
        object.__setattr__(self, "_factor", factor)

    @property
    def mutual_information(self) -> float:
        x, y, both = self._half_log_determinants
        return x + y - both

    @cached_property
    def _half_log_determinants(self) -> list[float]:
        return [float(np.linalg.slogdet(block)[1]) / 2 for block in self._blocks]

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        Z = rng.standard_normal((n_samples, len(self._factor))) @ self._factor.T
        return Z[:, : self.dim_x], Z[:, self.dim_x :]

    def _check_columns(self, X: npt.ArrayLike, Y: npt.ArrayLike) -> Pair:
        x, y = np.asarray(X, dtype=np.float64), np.asarray(Y, dtype=np.float64)
        if (x.shape[-1], y.shape[-1]) != (dim_x := self.dim_x, dim_y := len(self._factor) - self.dim_x):
            raise ValueError(f"X and Y must have {dim_x} and {dim_y} columns, got {x.shape[-1]} and {y.shape[-1]}.")
        return x, y

    def _squared_norms(self, X: npt.ArrayLike, Y: npt.ArrayLike) -> tuple[Array, Array, Array]:
        """Return the squared Mahalanobis norms of x, y and (x, y), whose leading axes broadcast."""
        (x, y), d = self._check_columns(X, Y), self.dim_x
        of_x, of_y, of_both = map(np.linalg.inv, self._blocks)
        cross = np.einsum("...i,...i->...", x @ of_both[:d, d:], y)  # all pairs without a copy of each
        both = (x @ of_both[:d, :d] * x).sum(-1) + (y @ of_both[d:, d:] * y).sum(-1) + 2 * cross
        return (x @ of_x * x).sum(-1), (y @ of_y * y).sum(-1), both

    def _log_densities(self, X: npt.ArrayLike, Y: npt.ArrayLike) -> list[Array]:
        terms = zip(self._squared_norms(X, Y), self._half_log_determinants, strict=True)
        return [-squares / 2 - half_log_determinant for squares, half_log_determinant in terms]


@dataclass(frozen=True)
class GaussianPairs(DensityFamily):
    r"""Independent pairs (X_i, Y_i) of standard normals, all of the same correlation.

    .. math:: I(X; Y) = -\frac d2 \log(1 - \rho^2)

    Poole et al., "On variational bounds of mutual information", ICML 2019, use 20 of them, of 2 to 10 nats, and their cubes.

    Parameters
    ----------
    rho : float
        :math:`\rho`, which must lie in (-1, 1).
    n_dims : int, default=1
        d, the columns of X and of Y.

    Examples
    --------
    >>> from skdim.synthetic import GaussianPairs
    >>> X, Y = GaussianPairs(rho=0.8).sample(10_000, random_state=0)
    >>> round(float((X * Y).mean()), 1), round(GaussianPairs(rho=0.8).mutual_information, 4)
    (0.8, 0.5108)
    """

    rho: float
    n_dims: int = 1

    def __post_init__(self) -> None:
        check_count(1, n_dims=self.n_dims)
        check_between(-1, 1, rho=self.rho)

    @property
    def mutual_information(self) -> float:
        return -self.n_dims / 2 * math.log1p(-(self.rho**2))

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        X = rng.standard_normal((n_samples, self.n_dims))
        return X, self.rho * X + math.sqrt(1 - self.rho**2) * rng.standard_normal((n_samples, self.n_dims))

    def _log_densities(self, X: npt.ArrayLike, Y: npt.ArrayLike) -> list[Array]:
        d = self.n_dims
        return Gaussian(paired_covariance([self.rho] * d, d, d), d)._log_densities(X, Y)


@dataclass(frozen=True)
class SharedNoise(Family):
    r"""Pairs whose rows within a batch are dependent: they share a noise Z that is drawn once for the batch.

    .. math:: (x_i, y_i) = Z + \varepsilon_i

    Z and the noise of a row are Gaussian, with variances 1 and covariances -0.5 and 0.9. So a row has variances 2, covariance
    0.4 and 0.0204 nats. Bounds that take their negatives from the batch exceed that: x_i and y_j have covariance -0.5, and
    NWJ converges to the divergence between the two Gaussians, 0.1081. From Tschannen et al., "On mutual information
    maximization for representation learning", ICLR 2020.

    Parameters
    ----------
    batch_size : int
        Rows that share one Z. Batches follow each other, and the last may be short. With 1 the rows are independent.

    Examples
    --------
    >>> from skdim.synthetic import SharedNoise
    >>> round(SharedNoise(batch_size=128).mutual_information, 4)
    0.0204
    """

    batch_size: int

    def __post_init__(self) -> None:
        check_count(1, batch_size=self.batch_size)

    @property
    def mutual_information(self) -> float:
        return Gaussian([[2, 0.4], [0.4, 2]], 1).mutual_information

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        shared = np.hstack(Gaussian([[1, -0.5], [-0.5, 1]], 1).sample(math.ceil(n_samples / self.batch_size), rng))
        own = np.hstack(Gaussian([[1, 0.9], [0.9, 1]], 1).sample(n_samples, rng))
        Z = np.repeat(shared, self.batch_size, axis=0)[:n_samples] + own
        return Z[:, :1], Z[:, 1:]


@dataclass(frozen=True, eq=False)
class StudentT(DensityFamily):
    r"""Gaussian vectors z, each divided by a random scale that X and Y share, which makes them dependent.

    .. math::

        (x, y) = \frac{z}{\sqrt{s / \nu}}, \quad z \sim N(0, \Sigma), \quad s \sim \chi^2_\nu

        I(X; Y) = \frac12 \log \frac{\det \Sigma_X \det \Sigma_Y}{\det \Sigma}
        + g(d_X) + g(d_Y) - g(d_X + d_Y) - g(0), \quad
        g(d) = \frac{\nu + d}{2} \psi\Bigl(\frac{\nu + d}{2}\Bigr) - \log \Gamma\Bigl(\frac{\nu + d}{2}\Bigr)

    The entropy is Eq. 7 of Arellano-Valle, Contreras-Reyes & Genton, "Shannon entropy and mutual information for multivariate
    skew-elliptical distributions", Scand. J. Stat. 2013; the mutual information printed there has a slip.

    Parameters
    ----------
    dof : float
        Degrees of freedom :math:`\nu`, which must be positive; 1 gives the Cauchy distribution.
    dispersion : array-like of shape (dim_x + dim_y, dim_x + dim_y)
        :math:`\Sigma`, which must be positive definite; the covariance is :math:`\nu / (\nu - 2)` times it, if it exists.
    dim_x : int
        Number of dimensions that belong to X.

    Examples
    --------
    >>> from skdim.synthetic import StudentT
    >>> family = StudentT(dof=1, dispersion=[[1, 0], [0, 1]], dim_x=1)
    >>> round(family.mutual_information, 6), round(float(family.log_ratio(*family.sample(10**5, 0)).mean()), 2)
    (0.224171, 0.22)
    """

    dof: float
    dispersion: npt.ArrayLike
    dim_x: int
    _gaussian: Gaussian = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_between(0, math.inf, dof=self.dof)
        object.__setattr__(self, "_gaussian", Gaussian(self.dispersion, self.dim_x))

    @property
    def _halves(self) -> Array:
        """(ν + d) / 2 for the dimensions of X, Y, both and none."""
        dim = len(self._gaussian._factor)
        return (self.dof + np.array([self.dim_x, dim - self.dim_x, dim, 0])) / 2

    @property
    def mutual_information(self) -> float:
        # The entropy is g(d) - g(0) and a term linear in d, which cancels.
        g = self._halves * psi(self._halves) - gammaln(self._halves)
        return self._gaussian.mutual_information + float(g @ [1, 1, -1, -1])

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        X, Y = self._gaussian.sample(n_samples, rng)
        scale = np.sqrt(rng.chisquare(self.dof, size=(n_samples, 1)) / self.dof)
        return X / scale, Y / scale

    def _log_densities(self, X: npt.ArrayLike, Y: npt.ArrayLike) -> list[Array]:
        gaussian, *halves, of_none = self._gaussian, *self._halves
        terms = zip(gaussian._squared_norms(X, Y), halves, gaussian._half_log_determinants, strict=True)
        return [gammaln(a) - gammaln(of_none) - a * np.log1p(z / self.dof) - half for z, a, half in terms]


def correlation_for(mutual_information: float, n_dims: int = 1) -> float:
    r"""Return the correlation, in [0, 1), at which :class:`GaussianPairs` have the given mutual information.

    .. math:: \rho = \sqrt{1 - e^{-2 I / d}}

    Parameters
    ----------
    mutual_information : float
        I in nats, which must be finite and not negative.
    n_dims : int, default=1
        d, the number of pairs (X_i, Y_i).

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
        Columns of X and Y, at least 1.
    correlation : float, default=0.5
        Must lie in [0, 1).

    Returns
    -------
    ndarray of shape (dim_x + dim_y, dim_x + dim_y)

    Examples
    --------
    >>> from skdim.synthetic import Gaussian, dense_covariance
    >>> round(Gaussian(dense_covariance(2, 2), dim_x=2).mutual_information, 4)
    0.2939
    """
    check_count(1, dim_x=dim_x, dim_y=dim_y)
    if not 0 <= correlation < 1:
        raise ValueError(f"correlation must lie in [0, 1), got {correlation!r}.")
    return np.eye(dim_x + dim_y) * (1 - correlation) + correlation


def paired_covariance(correlations: Sequence[float], dim_x: int, dim_y: int) -> Array:
    """Return the covariance of variables of variance 1, of which the first pairs (X_i, Y_i) alone are correlated.

    Parameters
    ----------
    correlations : sequence of float
        At most ``min(dim_x, dim_y)`` correlations of (X_1, Y_1), (X_2, Y_2), ..., which must lie in (-1, 1).
    dim_x, dim_y : int
        Columns of X and Y, at least 1.

    Returns
    -------
    ndarray of shape (dim_x + dim_y, dim_x + dim_y)

    Examples
    --------
    >>> from skdim.synthetic import Gaussian, paired_covariance
    >>> round(Gaussian(paired_covariance([0.8, 0.8], 25, 25), dim_x=25).mutual_information, 4)
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
