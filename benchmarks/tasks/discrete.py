r"""Pairs of which one or both are discrete; the values are floats in columns, as everywhere.

References
----------
.. [1] Gao, Kannan, Oh & Viswanath, "Estimating mutual information for discrete-continuous mixtures", NeurIPS 2017,
   Section 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import entr, gammaln, psi

from skdim.synthetic import Family
from skdim.synthetic.family import Array, Pair, check_between, check_count
from tasks.quadrature import NORMAL_ENTROPY, grid_entropy, grid_nodes


@dataclass(frozen=True, eq=False)
class ContingencyTable(Family):
    r"""Row X and column Y of a table of probabilities: any two discrete variables.

    .. math:: I(X; Y) = \sum_{ij} p_{ij} \log \frac{p_{ij}}{p_{i \cdot} \, p_{\cdot j}}
    """

    probabilities: npt.ArrayLike

    def __post_init__(self) -> None:
        table = self._table
        if table.ndim != 2 or not (table >= 0).all() or not np.isclose(table.sum(), 1):
            raise ValueError(
                f"probabilities must be a table of numbers that are not negative, with sum 1, got {table}."
            )

    @property
    def _table(self) -> Array:
        return np.asarray(self.probabilities, dtype=np.float64)

    @property
    def mutual_information(self) -> float:
        return float(sum(entr(self._table.sum(axis)).sum() for axis in (0, 1)) - entr(self._table).sum())

    def _draw(self, n_samples: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.intp], ...]:
        table = self._table
        cell = rng.choice(table.size, size=n_samples, p=table.ravel() / table.sum())
        return np.unravel_index(cell, table.shape)


@dataclass(frozen=True)
class LabelAndUniform(Family):
    r"""One of m equally likely labels X, and Y uniform on [X, X + 2]: the intervals of neighbours overlap by half [1]_.

    .. math:: I(X; Y) = \log m - \frac{m - 1}{m} \log 2

    At most the two ends of the line tell the label, elsewhere two are left.
    """

    n_labels: int

    def __post_init__(self) -> None:
        check_count(1, n_labels=self.n_labels)

    @property
    def mutual_information(self) -> float:
        return math.log(self.n_labels) - (self.n_labels - 1) / self.n_labels * math.log(2)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        label = rng.integers(self.n_labels, size=n_samples).astype(np.float64)
        return label, label + 2 * rng.random(n_samples)


@dataclass(frozen=True)
class ZeroInflatedPoisson(Family):
    r"""A rate X, exponential of mean 1, and a count Y: Poisson at that rate, or 0 with a probability in [0, 1) [1]_.

    .. math:: I(X; Y) = H(Y) - \int_0^\infty e^{-x} H(Y \mid X = x) \, dx

    For p = 0 it is the 0.3012 of [1]_; (1 - p) times that, as given there for p > 0, would need a witness of the loss, and
    exceeds the mutual information of the rate and the count alone.
    """

    probability: float

    def __post_init__(self) -> None:
        if not 0 <= self.probability < 1:
            raise ValueError(f"probability must lie in [0, 1), got {self.probability!r}.")

    @property
    def mutual_information(self) -> float:
        p, kept = self.probability, 1 - self.probability
        k = np.arange(1, 100)
        # P(Y = k) = (1-p) 2^-(k+1), and e^-x P(Y = k | x) is that times the density of a gamma variable of shape k+1 and
        # rate 2, under which the mean of log P(Y = k | x) is log(1-p) + k (ψ(k+1) - log 2) - (k+1)/2 - log k!.
        counts = kept * 0.5 ** (k + 1)
        mean_log = math.log(kept) + k * (psi(k + 1) - math.log(2)) - (k + 1) / 2 - gammaln(k + 1)

        # P(Y = 0 | x) = p + (1-p) e^-x is uniform on [p, 1] under the exponential x: -v log v has this integral.
        def integral(v: float) -> float:
            return float(v**2 / 4 + v * entr(v) / 2)

        given_rate = (integral(1.0) - integral(p)) / kept - (counts * mean_log).sum()
        return float(entr(p + kept / 2) + entr(counts).sum() - given_rate)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        rate = rng.standard_exponential(n_samples)
        count = rng.poisson(rate).astype(np.float64)
        return rate, count * (rng.random(n_samples) >= self.probability)


@dataclass(frozen=True)
class LabelledGaussians(Family):
    r"""A feature X and one of m equally likely labels Y: classes are Gaussians of variance 1, in steps of ``separation``.

    .. math:: X = \delta Y + N, \quad I(X; Y) = -\int p \log p \; dx - \tfrac12 \log 2 \pi e, \quad
        p(x) = \frac1m \sum_{k<m} N(x; k\delta, 1)
    """

    n_labels: int
    separation: float

    def __post_init__(self) -> None:
        check_count(1, n_labels=self.n_labels)
        check_between(0, math.inf, separation=self.separation)

    @cached_property
    def mutual_information(self) -> float:
        x = grid_nodes(-10, self.separation * (self.n_labels - 1) + 10, 0.1)
        classes = sum(np.exp(-((x - self.separation * label) ** 2) / 2) for label in range(self.n_labels))
        density = np.asarray(classes) / (self.n_labels * math.sqrt(2 * math.pi))
        return grid_entropy(density, x[1] - x[0]) - NORMAL_ENTROPY

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        label = rng.integers(self.n_labels, size=n_samples).astype(np.float64)
        return self.separation * label + rng.standard_normal(n_samples), label
