"""Tests of independence by permutation, of sides that are labels (n,) or numbers (n, d)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincc, log_ndtr, xlogy
from scipy.stats import random_table

from skdim.information.features import MOST_LABELS, Array, Features, Residuals, features, indicators, normal_scores
from skdim.information.screen import bonferroni_p_value, rank_bins, screened_rows, table_scores

Values = npt.NDArray[Any]
Draw = npt.NDArray[Any]  # an order of the rows (n,), or a sign for each (n, 1)
Groups = npt.NDArray[np.intp] | None  # the number of each row's group (n,); None if rows are independent
Redraw = Callable[[], Draw]
Statistic = Callable[[Draw], Array]

#: Most multiplications, over all permutations, for which the screen of column pairs is permuted too: a quarter of a second.
MOST_PRODUCTS = 5e9
#: Most strata that have a covariance of their own; of more, this number of random sums.
MOST_STRATA = 8
#: Largest table, in cells for each row, that is drawn whole; rows are permuted and counted for larger ones.
CELLS_PER_ROW = 10
#: Variance of a statistic, over its squared mean, that rounding leaves.
EQUAL = 1e-12
#: Numbers of a batch of tables.
BATCH = 1_000_000


class IndependenceResult(NamedTuple):
    """The result of :func:`~skdim.independence_test`.

    Attributes
    ----------
    statistic : float
        If all columns are discrete, and their combinations recur, the plug-in mutual information, in nats: G / (2n). Else,
        without dimension, how many standard deviations the squared covariance of features is above its mean under the null
        hypothesis, at the scale where that is most; a screen that is not permuted takes no part.
    p_value : float
        Probability of a statistic at least as extreme if the null hypothesis is true.
    """

    statistic: float
    p_value: float


def permutation_p_value(
    x: Values, y: Values, rng: np.random.Generator, n_permutations: int = 499, groups: Groups = None
) -> float:
    """Return the p-value of independence of two sides, each labels (n,) or numbers (n, d)."""
    return permutation_test(x, y, rng, n_permutations, groups).p_value


def permutation_test(
    x: Values, y: Values, rng: np.random.Generator, n_permutations: int = 499, groups: Groups = None
) -> IndependenceResult:
    """Test independence of rows, or of groups of rows that are numbered in ``groups`` (n,).

    Groups that are blocks of one size are permuted. Products of features of other groups change sign together.
    """
    n = len(x)
    if (x == x[0]).all() or (y == y[0]).all():
        return IndependenceResult(0.0, 1.0)
    block_size = _block_size(groups)

    def redraw() -> Draw:
        if block_size == 1:
            return rng.permutation(n)
        order = rng.permutation(-(-n // block_size))[np.arange(n) // block_size]
        return np.argsort(order, kind="stable")

    if block_size == 0:
        covariances = _covariances(features(x, rng), features(y, rng))
        draws = _draws(np.ones((n, 1)), lambda: _signs(groups, 1.0, n, rng), n_permutations)
        return IndependenceResult(*_combined([covariances], draws, rng))
    if x.ndim == y.ndim == 1:
        return _counted(x, y, np.zeros(n, dtype=np.int64), None if block_size == 1 else redraw, n_permutations, rng)
    statistics, p_screen = [_covariances(features(x, rng), features(y, rng))], None
    is_screened = all(side.ndim == 2 or side.max() < MOST_LABELS for side in (x, y))
    if is_screened and x[0].size * y[0].size > 1:
        most = screened_rows(x[0].size, y[0].size)
        seen = np.arange(n) if n <= most else rng.permutation(n)[:most]
        bins = rank_bins(x[seen]), rank_bins(y[seen])
        if float(n) * bins[0].one_hot.shape[1] * bins[1].one_hot.shape[1] * n_permutations <= MOST_PRODUCTS:
            statistics.append(lambda rows: -log_ndtr(-table_scores(*bins, rows)[0].max())[None])
        elif block_size == 1:
            p_screen = bonferroni_p_value(*bins)
    statistic, p_value = _combined(statistics, _draws(np.arange(n), redraw, n_permutations), rng)
    return IndependenceResult(statistic, p_value if p_screen is None else min(1.0, 2 * min(p_value, p_screen)))


def conditional_test(
    x: Values, y: Values, z: Values, rng: np.random.Generator, n_permutations: int = 499, groups: Groups = None
) -> IndependenceResult:
    """Test independence given z: rows are permuted within strata if z is labels, else residuals change sign, by groups."""
    n = len(x)
    if z.ndim == 1 and groups is None:
        return _stratified(x, y, z, rng, n_permutations)
    numbers = np.eye(int(z.max()) + 1)[z] if z.ndim == 1 else z
    sides = [indicators(side, rng) if side.ndim == 1 else normal_scores(side) for side in (x, y)]
    residuals = Residuals(numbers, np.hstack(sides), rng)

    def prepared(side: Values, values: Array) -> tuple[Features, float]:
        # Ranks of residuals depend on z less than ranks do, and what is left of the bias is removed with theirs.
        left = residuals(residuals(values))
        if side.ndim == 1:
            return Features(left, np.ones((1, left.shape[1]))), residuals.freedom
        found, freedom = features(left, rng), residuals.freedom
        return Features(residuals(found.values), found.weights), max(freedom, residuals.freedom)

    (a, freedom_a), (b, freedom_b) = (prepared(*side) for side in zip((x, y), sides, strict=True))
    # Products of residuals of two projections have 1 / (1 - d / n) times the variance that the signs give.
    size = 1 / np.sqrt(1 - max(freedom_a, freedom_b) / n)
    statistics = [_covariances(_moderated(a, residuals.moderators), b)]
    draws = _draws(np.ones((n, 1)), lambda: _signs(groups, size, n, rng), n_permutations)
    return IndependenceResult(*_combined(statistics, draws, rng))


def _stratified(x: Values, y: Values, z: Values, rng: np.random.Generator, n_permutations: int) -> IndependenceResult:
    n, n_strata = len(z), int(z.max()) + 1
    order = np.argsort(z, kind="stable")

    def redraw() -> Draw:
        rows = np.empty(n, dtype=np.intp)
        rows[order] = np.argsort(z + rng.random(n) / 2)
        return rows

    if x.ndim == y.ndim == 1:
        large = (int(x.max()) + 1) * (int(y.max()) + 1) * n_strata > CELLS_PER_ROW * n
        return _counted(x, y, z, redraw if large else None, n_permutations, rng)

    def mean(values: Array) -> Array:
        return np.stack([np.bincount(z, column) for column in values.T], axis=1)[z] / np.bincount(z)[z, None]

    def prepared(side: Values) -> Features:
        if side.ndim == 2:  # ranks within strata, nearly
            side = normal_scores(side) - mean(normal_scores(side))
            side = side / np.sqrt(np.maximum(mean(side**2), np.finfo(float).tiny))
        found = features(side, rng)
        return Features(found.values - mean(found.values), found.weights)

    moderators = np.eye(n_strata)[z] if n_strata <= MOST_STRATA else rng.normal(size=(n_strata, MOST_STRATA))[z]
    statistics = [_covariances(_moderated(prepared(x), moderators), prepared(y))]
    return IndependenceResult(*_combined(statistics, _draws(np.arange(n), redraw, n_permutations), rng))


def _block_size(groups: Groups) -> int:
    """Return the number of rows of each group if groups are contiguous and of one size, but for the last; else 0."""
    if groups is None:
        return 1
    ends = np.flatnonzero(np.diff(groups)) + 1
    size = int(ends[0]) if len(ends) else len(groups)
    same = np.array_equal(ends, np.arange(size, len(groups), size)) and len(np.unique(groups)) == len(ends) + 1
    return size if same else 0


def _signs(groups: Groups, size: float, n: int, rng: np.random.Generator) -> Draw:
    """Return one of -size and size for each row, (n, 1), the same for all rows of a group."""
    numbers = np.arange(n) if groups is None else groups
    return rng.choice([-size, size], int(numbers.max()) + 1)[numbers, None]


def _draws(first: Draw, redraw: Redraw, n_permutations: int) -> Iterator[Draw]:
    """Yield the order or the signs of the data, then those of the null hypothesis, one at a time."""
    return chain([first], (redraw() for _ in range(n_permutations)))


def _moderated(a: Features, moderators: Array) -> Features:
    """Return features, and at scales of their own their products with moderators."""
    products = (moderators[:, :, None] * a.values[:, None]).reshape(len(moderators), -1)
    tiled = np.tile(a.weights, moderators.shape[1])
    weights = np.block([[a.weights, np.zeros_like(tiled)], [np.zeros_like(a.weights), tiled]])
    return Features(np.hstack([a.values, products]), weights)


def _covariances(a: Features, b: Features) -> Statistic:
    """Return a function of a draw: the squared covariances of features, summed with the weights of each pair of scales."""
    left, right = np.ascontiguousarray(a.values.T, dtype=np.float32), b.values.astype(np.float32)

    def statistic(draw: Draw) -> Array:
        drawn = right[draw] if draw.ndim == 1 else right * draw.astype(np.float32)
        return (a.weights @ (left @ drawn).astype(np.float64) ** 2 @ b.weights.T).ravel()

    return statistic


def _combined(statistics: list[Statistic], draws: Iterator[Draw], rng: np.random.Generator) -> tuple[float, float]:
    """Return the most standardised statistic of the first draw, and the p-value of the harmonic mean of their tails."""
    values = np.array([np.concatenate([statistic(draw) for statistic in statistics]) for draw in draws])
    mean, variance = values.mean(0), values.var(0)
    varies = variance > EQUAL * mean**2
    mean, variance = np.where(varies, mean, 1), np.where(varies, variance, 1)
    # Tails of the gamma law of the same mean and variance, not ranks: at each scale some draw has the smallest rank.
    tails = np.maximum(gammaincc(mean**2 / variance, values * mean / variance), np.finfo(float).tiny)
    tails[:, ~varies] = 1
    z = np.where(varies, (values[0] - mean) / np.sqrt(variance), 0)
    return float(z.max()), _p_value((1 / tails).sum(1), rng)


def _p_value(values: Array, rng: np.random.Generator) -> float:
    """Return the rank of the first value from above, over the number of values; ties are ordered at random."""
    above, ties = (values[1:] > values[0]).sum(), (values[1:] == values[0]).sum()
    return float((1 + above + rng.integers(ties + 1)) / len(values))


def _counted(
    x: Values, y: Values, z: Values, redraw: Redraw | None, n_permutations: int, rng: np.random.Generator
) -> IndependenceResult:
    """Test labels by G; without ``redraw`` whole tables are drawn, one of each stratum, by Patefield's algorithm."""
    n, n_x, n_y = len(x), int(x.max()) + 1, int(y.max()) + 1
    n_log_n = xlogy(np.arange(n + 1), np.arange(n + 1))

    def total(cells: Values) -> float:
        return float(n_log_n[np.unique(cells, return_counts=True)[1]].sum())

    values = np.zeros(n_permutations + 1)
    if redraw is None and n_x * n_y <= CELLS_PER_ROW * n:
        for stratum in range(int(z.max()) + 1):
            rows = z == stratum
            table = np.bincount(x[rows] * n_y + y[rows], minlength=n_x * n_y).reshape(n_x, n_y)
            table = table[table.any(1)][:, table.any(0)]
            if min(table.shape) == 1:  # nothing can change, and SciPy 1.17 draws such tables with wrong margins
                values += n_log_n[table].sum()
                continue
            law, step = random_table(table.sum(1), table.sum(0), seed=rng), max(BATCH // table.size, 1)
            sizes = [min(step, n_permutations - start) for start in range(0, n_permutations, step)]
            drawn = [law.rvs(size, method="patefield").astype(np.int64).reshape(size, -1) for size in sizes]
            values += n_log_n[np.vstack([table.reshape(1, -1), *drawn])].sum(1)
    else:
        orders = _draws(np.arange(n), redraw or (lambda: rng.permutation(n)), n_permutations)
        values += [total((z * n_x + x) * n_y + y[rows]) for rows in orders]
    information = (values - total(z * n_x + x) - total(z * n_y + y) + total(z)) / n
    return IndependenceResult(max(float(information[0]), 0.0), _p_value(information.round(12), rng))
