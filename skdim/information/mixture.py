"""Mixtures of Gaussians: of both sides together, from which critics start, and as densities."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from skdim.information.model import Array
from skdim.nn.gaussian import MixtureReference

#: Numbers of components that are tried. Networks start from the first two only: every component costs time in every step.
SIZES = (2, 4, 8, 16)
#: Training rows by parameter, at least.
ROWS_BY_PARAMETER = 4
#: What is added to the variance of every direction; the variates have variance 1.
SMALLEST_VARIANCE = 1e-3


class Mixture(NamedTuple):
    """A mixture of k Gaussians over the d variates of x and y together."""

    weights: Array  # (k,)
    means: Array  # (k, d)
    covariances: Array  # (k, d, d)

    def log_ratio(self, dim_x: int) -> MixtureReference:
        """Return its log ratio as a network; the first ``dim_x`` variates are those of x."""
        weights, means, covariances = map(torch.from_numpy, self)
        return MixtureReference(weights, means, covariances, dim_x)


def fit_mixture(rows: Array, size: int, smallest_variance: float, seed: int) -> GaussianMixture:
    """Return a mixture of so many Gaussians; it need not converge, for held-out rows judge it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(size, reg_covar=smallest_variance, random_state=seed).fit(rows)


def best_mixture(
    rows: Array, sizes: Sequence[int], worth: Callable[[Mixture], float], least: float, seed: int
) -> Mixture | None:
    """Return the mixture fitted to ``rows`` (n, d) that is worth most; None if none is worth more than ``least``."""
    n, d = rows.shape
    best = None
    for size in sizes:
        n_parameters = size * (d + 1) * (d + 2) / 2
        if n_parameters * ROWS_BY_PARAMETER > n or (size > SIZES[1] and best is None):
            break
        fitted = fit_mixture(rows, size, SMALLEST_VARIANCE, seed)
        mixture = Mixture(fitted.weights_, fitted.means_, fitted.covariances_)
        if (value := worth(mixture)) > least:
            best, least = mixture, value
    return best
