"""The density of a vector, learned from rows: mixtures of normal distributions, of the columns or of their normal scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_ndtr, logsumexp, ndtri_exp, softmax
from sklearn.covariance import ledoit_wolf
from sklearn.mixture import GaussianMixture

from skdim.information.intervals import Array
from skdim.information.references import fit_mixture
from skdim.training.state import part

#: Numbers of components that are tried with each kind of covariance, until more are worse on the rows that choose.
SIZES = {"diag": (1, 4, 16), "tied": (5, 10, 20), "full": (1, 2, 4, 8)}
#: Fewest rows for each component, and for each of its dimensions if it has a covariance of its own.
ROWS_OF_COMPONENT, ROWS_OF_DIMENSION = 20, 5
#: The smallest variance, where that of a column is 1, and steps of the EM algorithm for a column.
SMALLEST_VARIANCE, N_STEPS = 1e-4, 60
#: Components of the density of a single column, and rows from which they are learned, at least and at most.
COMPONENTS_OF_COLUMN, FEWEST_ROWS_OF_COLUMN, MOST_ROWS_OF_COLUMN = 4, 200, 1000
#: Fitted attributes by which a mixture scores rows.
MIXTURE_STATE = ("weights_", "means_", "covariances_", "precisions_cholesky_")
LOG_2_PI = math.log(2 * math.pi)


class Columns(NamedTuple):
    """A mixture of k normal distributions for each of d columns by itself."""

    log_weights: Array  # (d, k)
    means: Array  # (d, k)
    scales: Array  # (d, k)

    @classmethod
    def learn(cls, rows: Array) -> Columns:
        """Return the mixtures of rows (n, d), by steps of the EM algorithm from their quantiles."""
        k = COMPONENTS_OF_COLUMN
        means = np.quantile(rows, (np.arange(k) + 0.5) / k, axis=0).T
        columns = cls(np.full(means.shape, -math.log(k)), means, np.repeat(rows.std(0)[:, None] / k, k, axis=1))
        for _ in range(N_STEPS):
            shares = softmax(columns._log_parts(rows), axis=2)
            sums = shares.sum(0) + np.finfo(float).tiny
            means = (shares * rows[:, :, None]).sum(0) / sums
            variances = (shares * np.square(rows[:, :, None] - means)).sum(0) / sums
            log_weights = np.log(sums / len(rows))
            columns = cls(log_weights, means, np.sqrt(variances + SMALLEST_VARIANCE))
        return columns

    def normal_scores(self, rows: Array) -> tuple[Array, Array]:
        r"""Return the scores :math:`z_c = \Phi^{-1}(F_c(y_c))` of rows (n, d), and the log of their slopes' product, (n,)."""
        t = (rows[:, :, None] - self.means) / self.scales
        log_below, log_above = (logsumexp(self.log_weights + log_ndtr(sign * t), axis=2) for sign in (1, -1))
        scores = np.where(log_below < log_above, ndtri_exp(log_below), -ndtri_exp(log_above))
        log_slopes = logsumexp(self._log_parts(rows), axis=2) + (np.square(scores) + LOG_2_PI) / 2
        return scores, log_slopes.sum(1)

    def _log_parts(self, rows: Array) -> Array:
        t = (rows[:, :, None] - self.means) / self.scales
        return np.asarray(self.log_weights - np.log(self.scales) - (np.square(t) + LOG_2_PI) / 2)


@dataclass
class Density:
    """A density of rows (n, d): the best of several under which other rows are likeliest.

    Rows are standardised, become normal scores where the densities of single columns help, and are whitened by a shrunk
    covariance (Ledoit & Wolf 2004). What is left is a mixture of normal distributions.
    """

    mean: Array  # (d,)
    scale: Array  # (d,)
    columns: Columns | None  # None takes standardised columns as they are
    whitening: Array  # (d, d)
    mixture: GaussianMixture

    @classmethod
    def learn(cls, rows: Array, choosing: Array, seed: int) -> Density:
        """Return the density of ``rows``, chosen by the rows ``choosing``; no column may be constant."""
        mean, scale = rows.mean(0), rows.std(0)
        z = (rows - mean) / scale
        best, most = None, -math.inf
        for columns in (
            (None, Columns.learn(z[:MOST_ROWS_OF_COLUMN])) if len(rows) >= FEWEST_ROWS_OF_COLUMN else (None,)
        ):
            scores = z if columns is None else columns.normal_scores(z)[0]
            whitening = np.linalg.inv(np.linalg.cholesky(ledoit_wolf(scores)[0])).T
            white = scores @ whitening
            for kind, sizes in SIZES.items():
                before, fewest = -math.inf, max(ROWS_OF_COMPONENT, ROWS_OF_DIMENSION * rows.shape[1] * (kind == "full"))
                for size in sizes:
                    if size > 1 and size * fewest > len(rows):
                        break
                    mixture = fit_mixture(white, size, SMALLEST_VARIANCE, seed, kind)
                    density = cls(mean, scale, columns, whitening, mixture)
                    likelihood = float(density.log_density(choosing).mean())
                    if best is None or likelihood > most:
                        best, most = density, likelihood
                    if likelihood < before:
                        break
                    before = likelihood
        assert best is not None
        return best

    def log_density(self, rows: Array) -> Array:
        """Return log q of rows, (n, d) -> (n,), in nats."""
        z, log_slope = (rows - self.mean) / self.scale, np.linalg.slogdet(self.whitening)[1] - np.log(self.scale).sum()
        if self.columns is not None:
            z, of_columns = self.columns.normal_scores(z)
            log_slope = log_slope + of_columns
        return np.asarray(self.mixture.score_samples(z @ self.whitening) + log_slope)

    def state(self) -> dict[str, Any]:
        """Return it as named arrays and JSON values."""
        columns = {} if self.columns is None else self.columns._asdict()
        mixture = {name: np.array(getattr(self.mixture, name)) for name in MIXTURE_STATE}
        return {
            "covariance_type": self.mixture.covariance_type,
            **{name: getattr(self, name) for name in ("mean", "scale", "whitening")},
            **{f"columns/{name}": array for name, array in columns.items()},
            **{f"mixture/{name}": array for name, array in mixture.items()},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Density:
        """Return the density of a state, whose arrays are copied."""
        if "weights_" in state:  # an earlier file holds a mixture over the variates as they are
            d = state["means_"].shape[1]
            before = {"covariance_type": "full", "mean": np.zeros(d), "scale": np.ones(d), "whitening": np.eye(d)}
            state = before | {f"mixture/{name}": array for name, array in state.items()}
        columns = {name: np.array(array) for name, array in part(state, "columns/").items()}
        mixture = GaussianMixture(covariance_type=str(state["covariance_type"]))
        for name, array in part(state, "mixture/").items():
            setattr(mixture, name, np.array(array))
        mixture.n_components = len(mixture.weights_)
        known = (np.array(state[name]) for name in ("mean", "scale", "whitening"))
        mean, scale, whitening = known
        return cls(mean, scale, Columns(**columns) if columns else None, whitening, mixture)
