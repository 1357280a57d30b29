"""Log ratios in closed form, which networks start from and compete with: of Gaussian variables, t copulas and mixtures."""

from __future__ import annotations

import functools
import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import gammaln, ndtr
from scipy.stats import t as t_distribution
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from skdim.information.canonical import CanonicalAxes, shrunk_correlations
from skdim.information.intervals import Array
from skdim.nn.gaussian import GaussianReference, MixtureReference
from skdim.nn.student import LARGEST_SCORE, StudentReference

#: Normal scores at which t quantiles are tabulated.
N_QUANTILES = 1601
#: Degrees of freedom that are tried for a t copula; beyond them it is nearly Gaussian.
DEGREES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0)
#: Steps of the fixed point for a dispersion, and the change at which they end.
N_STEPS, SMALLEST_CHANGE = 50, 1e-4
#: What is added to a dispersion's diagonal, so that columns may be constant, or depend on each other exactly.
RIDGE = 1e-6
#: Training rows by parameter of a mixture, at least, and what is added to its variances; those of the variates are 1.
ROWS_BY_PARAMETER, SMALLEST_VARIANCE = 4, 1e-3


@dataclass
class Reference:
    """A log ratio in closed form on canonical variates, as learned from rows."""

    kind: str  # "gaussian", "student" or "mixture"
    arrays: dict[str, Array]

    def network(self, axes: CanonicalAxes) -> nn.Module:
        """Return it as a network of variates; its method ``joint`` scores the joint samples alone."""
        arrays = self.arrays
        if self.kind == "gaussian":
            rest = len(axes.sample_correlations) - len(arrays["correlations"])
            return GaussianReference(torch.from_numpy(np.pad(arrays["correlations"], (0, rest))))
        if self.kind == "mixture":
            weights, means, covariances = (
                torch.from_numpy(arrays[name]) for name in ("weights", "means", "covariances")
            )
            return MixtureReference(weights, means, covariances, axes.weights_x.shape[1])
        df = float(arrays["df"])
        back = np.asarray(np.linalg.pinv(axes.weights_x)), np.asarray(np.linalg.pinv(axes.weights_y))
        return StudentReference(arrays["dispersion"], df, t_table(df), back, (axes.mean_x, axes.mean_y))


def gaussian_references(axes: CanonicalAxes, n: int) -> list[Reference]:
    """Return the log ratios of Gaussian variables by correlations above the noise, and by many that are shrunk alike."""
    both = axes.correlations, shrunk_correlations(axes, n)
    return [Reference("gaussian", {"correlations": rho}) for rho in both if rho.any()]


def student_reference(x: Array, y: Array, df: float | None = None) -> Reference | None:
    """Return the likeliest t copula of normal scores x (n, d_x), y (n, d_y), of ``df`` degrees of freedom if they are given.

    None if rows are too few, or if it is nearly Gaussian.
    """
    scores = np.hstack([x, y])
    n, d = scores.shape
    if d * (d + 1) / 2 > n:
        return None
    best, chosen = -math.inf, None
    for degrees in DEGREES if df is None else (df,):  # the likelihood has one maximum
        rows = t_scores(scores, degrees)
        dispersion = t_dispersion(rows, degrees)
        likelihood = t_copula_log_likelihood(rows, dispersion, degrees)
        if likelihood < best:
            break
        best, chosen = likelihood, Reference("student", {"dispersion": dispersion, "df": np.array(degrees)})
    return None if chosen is None or chosen.arrays["df"] == DEGREES[-1] else chosen


def mixture_reference(x: Tensor, y: Tensor, size: int, seed: int) -> Reference | None:
    """Return a mixture of so many Gaussians over the variates x (n, d_x), y (n, d_y); None if rows are too few."""
    rows = torch.cat([x, y], dim=1).double().cpu().numpy()
    n, d = rows.shape
    if size * (d + 1) * (d + 2) / 2 * ROWS_BY_PARAMETER > n:
        return None
    fitted = fit_mixture(rows, size, SMALLEST_VARIANCE, seed)
    return Reference("mixture", {name: getattr(fitted, f"{name}_") for name in ("weights", "means", "covariances")})


def fit_mixture(
    rows: Array, size: int, smallest_variance: float, seed: int, covariance_type: str = "full"
) -> GaussianMixture:
    """Return a mixture of so many Gaussians; it need not converge, for held-out rows judge it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture = GaussianMixture(size, covariance_type=covariance_type, reg_covar=smallest_variance, random_state=seed)
        return mixture.fit(rows)


@functools.cache
def t_table(df: float) -> Array:
    """Return the inverse hyperbolic sines of t quantiles at evenly spaced normal scores: they are nearly straight."""
    lower = np.arcsinh(t_distribution.ppf(ndtr(np.linspace(-LARGEST_SCORE, 0, N_QUANTILES // 2 + 1)), df))
    return np.concatenate([lower, -lower[-2::-1]])


def t_scores(scores: Array, df: float) -> Array:
    """Return the quantiles of a t distribution at normal scores of any shape."""
    places = np.linspace(-LARGEST_SCORE, LARGEST_SCORE, N_QUANTILES)
    return np.asarray(np.sinh(np.interp(scores, places, t_table(df))))


def t_dispersion(rows: Array, df: float) -> Array:
    r"""Return the dispersion (d, d) under which rows (n, d) of a t distribution about 0 are likeliest.

    .. math:: \Sigma = \frac1n \sum_i \frac{\nu + d}{\nu + z_i^\top \Sigma^{-1} z_i}\, z_i z_i^\top

    Each step of this fixed point is one of the EM algorithm (Liu & Rubin, Statistica Sinica 1995).
    """
    n, d = rows.shape
    dispersion = np.eye(d)
    for _ in range(N_STEPS):
        weights = (df + d) / (df + _squared_norms(rows, dispersion))
        new = (rows * weights[:, None]).T @ rows / n
        new[np.diag_indices(d)] += RIDGE * (1 + new.diagonal())
        change, dispersion = np.abs(new - dispersion).max(), new
        if change < SMALLEST_CHANGE:
            break
    return dispersion


def t_copula_log_likelihood(rows: Array, dispersion: Array, df: float) -> float:
    """Return the mean log density of the copula at rows (n, d) of t quantiles, in nats."""
    d = rows.shape[1]
    log_norm = gammaln((df + d) / 2) - gammaln(df / 2) - d / 2 * math.log(df * math.pi)
    log_joint = log_norm - (df + d) / 2 * np.log1p(_squared_norms(rows, dispersion) / df)
    log_marginals = t_distribution.logpdf(rows, df).sum(1)
    return float((log_joint - log_marginals).mean() - np.linalg.slogdet(dispersion)[1] / 2)


def _squared_norms(rows: Array, dispersion: Array) -> Array:
    return np.asarray(np.square(np.linalg.solve(np.linalg.cholesky(dispersion), rows.T)).sum(0))
