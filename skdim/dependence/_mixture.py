"""A mixture of Gaussians for both sides together, as a reference that critics start from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from skdim.dependence._model import Array
from skdim.nn.gaussian import MixtureReference

#: Numbers of components that are tried; networks start from the first two only, for every component costs time in every step.
SIZES = (2, 4, 8, 16)
#: Nats, in sum over the validation rows, that a mixture must gain: less comes by chance.
GAIN_OF_MIXTURE = 5.0
#: Training rows by parameter, at least.
ROWS_BY_PARAMETER = 4
#: Smallest variance that is added to every direction, of variates with variance 1.
SMALLEST_VARIANCE = 1e-3


class Mixture(NamedTuple):
    """A mixture of k Gaussians over the d variates of x and y together."""

    weights: Array  # (k,)
    means: Array  # (k, d)
    covariances: Array  # (k, d, d)

    def log_ratio(self, dim_x: int) -> MixtureReference:
        """Return its log ratio as a network, the first ``dim_x`` variates those of x."""
        return MixtureReference(*map(torch.from_numpy, self), dim_x)


def best_mixture(
    rows: Array, sizes: Sequence[int], worth: Callable[[Mixture], float], least: float, seed: int
) -> Mixture | None:
    """Return the mixture fitted to ``rows`` (n, d) that is worth most, None where none is worth more than ``least``."""
    n, d = rows.shape
    best = None
    for size in sizes:
        n_parameters = size * (d + 1) * (d + 2) / 2
        if n_parameters * ROWS_BY_PARAMETER > n or (size > SIZES[1] and best is None):
            break
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a candidate is judged by its worth, converged or not
            fitted = GaussianMixture(size, reg_covar=SMALLEST_VARIANCE, random_state=seed).fit(rows)
        mixture = Mixture(fitted.weights_, fitted.means_, fitted.covariances_)
        if (value := worth(mixture)) > least:
            best, least = mixture, value
    return best
