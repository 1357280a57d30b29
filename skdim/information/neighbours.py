"""Mutual information from the distances to nearest neighbours: no critic is learned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.spatial.distance import cdist
from scipy.special import digamma
from sklearn.neighbors import KDTree
from torch import Tensor

from skdim.information.intervals import Array, Rows
from skdim.information.model import Evaluation, Model
from skdim.inputs.scales import unit_of

#: Most rows that new rows are compared with.
MOST_KEPT = 2048
#: Numbers of neighbours between which the bias is extrapolated, and the factor: the best over 25 families with 100 to 1,000
#: rows (the tasks "small" of `benchmarks/mutual_information.py`).
FEW, MANY, FACTOR = 2, 5, 1.5
#: Standard errors that the difference between few and many neighbours must exceed to count.
CHANCE = 2.0


def nearest_neighbours(x: Array, y: Array, sizes: Sequence[int]) -> dict[int, Array]:
    r"""Return what each row (n,) contributes to the mutual information in nats, by number of neighbours.

    .. math:: t_i = \psi(k) + \psi(n) - \psi(n_x(i) + 1) - \psi(n_y(i) + 1)

    n_x and n_y count the other rows closer than the k-th neighbour in x and y together, by the largest difference of a column
    (Kraskov, Stögbauer & Grassberger, Physical Review E 2004, Eq. 8). If the k-th neighbour is at distance 0, all rows at that
    distance are counted (Gao, Kannan, Oh & Viswanath, NeurIPS 2017).
    """
    unit = unit_of(np.abs([x.max(), x.min(), y.max(), y.min()]).max())  # scikit-learn's trees square distances
    x, y = x * unit, y * unit
    n, both = len(x), np.hstack([x, y])
    trees = {name: KDTree(part, metric="chebyshev") for name, part in (("x", x), ("y", y), ("both", both))}
    distances, _ = trees["both"].query(both, min(max(sizes), n - 1) + 1)
    result = {}
    for size in sizes:
        k = min(size, n - 1)
        radius = distances[:, k]
        tied = radius == 0
        n_tied = trees["both"].query_radius(both[tied], 0.0, count_only=True) - 1 if tied.any() else np.zeros(0)
        # Strictly closer rows; of tied rows, those at distance 0 too.
        inside = np.where(tied, 0.0, np.nextafter(radius, 0))
        n_x, n_y = (trees[name].query_radius(part, inside, count_only=True) for name, part in (("x", x), ("y", y)))
        neighbours = np.full(n, float(k))
        neighbours[tied] = n_tied
        result[size] = digamma(neighbours) + digamma(n) - digamma(n_x) - digamma(n_y)  # counts have the row itself
    return result


def extrapolated(x: Array, y: Array) -> tuple[Array, float]:
    """Return contributions (n,) from which the bias of too wide neighbourhoods is taken, as far as it exceeds chance.

    The second number is what neighbourhoods of two sizes differ by, in nats: the bias that remains is of its size.
    """
    values = nearest_neighbours(x, y, (FEW, 3, MANY))
    difference = values[FEW] - values[MANY]
    mean, error = float(difference.mean()), float(difference.std()) / math.sqrt(len(x))
    return values[3] + FACTOR * math.copysign(max(abs(mean) - CHANCE * error, 0.0), mean), abs(mean)


class Neighbours(Model):
    """The k-nearest-neighbour estimate of Kraskov, Stögbauer and Grassberger."""

    dependence = "neighbours"
    saved = ("rows_x", "rows_y")
    kind = "estimate"
    is_diagnosed = False
    by_bound = False
    rows_x: Array  # rows that new rows are compared with
    rows_y: Array

    def fit(self, x: Any, y: Any, train: Rows, valid: Rows) -> None:
        if len(x) <= self.options.n_neighbors:
            raise ValueError(
                f"n_neighbors={self.options.n_neighbors} needs more rows than neighbours, got {len(x)} rows."
            )
        rows = np.random.default_rng(self.seed).permutation(len(x))[:MOST_KEPT]
        self.rows_x, self.rows_y = self.seen(x[rows], y[rows])

    def evaluate(self, x: Any, y: Any, scores: Tensor | None = None) -> Evaluation:
        size = self.options.n_neighbors
        per_row = nearest_neighbours(*self.seen(x, y), (size,))[size]
        return Evaluation(float(per_row.mean()), per_row, math.inf)

    def scores(self, x: Any, y: Any) -> Tensor:
        """Return the log ratios of all pairs, (n, m), from their distances to the rows that were kept."""
        from_x, from_y = self._from_kept(x, y)
        return torch.from_numpy(np.stack([self._ratios(distances, from_y) for distances in from_x]))

    def pointwise(self, x: Any, y: Any) -> Array:
        return self._ratios(*self._from_kept(x, y))

    def _from_kept(self, x: Any, y: Any) -> list[Array]:
        pairs = zip(self.seen(x, y), (self.rows_x, self.rows_y), strict=True)
        return [cdist(side, rows, "chebyshev") for side, rows in pairs]

    def _ratios(self, from_x: Array, from_y: Array) -> Array:
        """Return log ratios (n,) from the distances (n, n_rows) of x and y to the rows; those of x may be of one row."""
        n_rows = len(self.rows_x)
        k = min(self.options.n_neighbors, n_rows) - 1
        radius = np.partition(np.maximum(from_x, from_y), k, axis=1)[:, k : k + 1]
        n_x, n_y = ((distances < radius).sum(-1) for distances in (np.broadcast_to(from_x, from_y.shape), from_y))
        return np.asarray(digamma(k + 1) + digamma(n_rows) - digamma(n_x + 1) - digamma(n_y + 1))
