"""draft"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy
from scipy.stats import random_table, rankdata

from skdim.information.features import Array, Features, Residuals, features, indicators, normal_scores
from skdim.information.screen import bonferroni_p_value, rank_bins, table_scores

Values = npt.NDArray[Any]
Draw = npt.NDArray[Any]
Statistic = Callable[[Draw], Array]

MOST_PRODUCTS = 5e9
MOST_STRATA = 8


class IndependenceResult(NamedTuple):
    statistic: float
    p_value: float


def permutation_p_value(x: Values, y: Values, rng: np.random.Generator, n_permutations: int = 499) -> float:
    return permutation_test(x, y, rng, n_permutations).p_value


def permutation_test(
    x: Values, y: Values, rng: np.random.Generator, n_permutations: int = 499, block_size: int = 1
) -> IndependenceResult:
    n = len(x)

    def redraw() -> Draw:
        if block_size == 1:
            return rng.permutation(n)
        return np.roll(np.arange(n), rng.integers(block_size, n - block_size + 1))

    if x.ndim == y.ndim == 1:
        return _counted((x, y, np.zeros(n, dtype=np.int64)), rng, n_permutations, None if block_size == 1 else redraw)
    parts = [_covariances(features(x, rng), features(y, rng))]
    p_screen = None
    if x[0].size * y[0].size > 1:
        bins = rank_bins(x), rank_bins(y)
        products = float(n) * bins[0].one_hot.shape[1] * bins[1].one_hot.shape[1] * n_permutations
        if products <= MOST_PRODUCTS:
            parts.append(lambda rows: np.array([table_scores(*bins, rows)[0].max()]))
        elif block_size == 1:
            p_screen = bonferroni_p_value(*bins)
    draws = [np.concatenate([part(rows) for part in parts]) for rows in [np.arange(n), *(redraw() for _ in range(n_permutations))]]
    result = _combined(np.array(draws), rng)
    return result if p_screen is None else IndependenceResult(result.statistic, min(1.0, 2 * min(result.p_value, p_screen)))


def conditional_test(
    x: Values, y: Values, z: Values, rng: np.random.Generator, n_permutations: int = 499, block_size: int = 1
) -> IndependenceResult:
    n = len(x)
    in_strata = z.ndim == 1 and block_size == 1
    if in_strata:
        order = np.argsort(z, kind="stable")

        def redraw() -> Draw:
            rows = np.empty(n, dtype=np.intp)
            rows[order] = np.lexsort((rng.random(n), z))
            return rows

        if x.ndim == y.ndim == 1:
            return _counted((x, y, z), rng, n_permutations, None)
        leave: Callable[[Array], Array] = lambda values: _within(values, z)
        n_strata = int(z.max()) + 1
        local = np.eye(n_strata)[z] if n_strata <= MOST_STRATA else rng.normal(size=(n_strata, MOST_STRATA))[z]
    else:
        leave = Residuals(indicators(z) if z.ndim == 1 else z, rng)
        local = leave.components / leave.components.std(0)

        def redraw() -> Draw:
            return np.repeat(rng.choice([-1.0, 1.0], -(-n // block_size)), block_size)[:n, None]

    def prepared(side: Values) -> Features:
        if side.ndim == 1:
            found = features(side, rng)
            return Features(leave(leave(found.values)), found.weights)
        scores = leave(leave(normal_scores(side)))
        if in_strata:
            scores /= np.sqrt(np.maximum(_means(scores**2, z), 1e-12))
        found = features(scores, rng)
        return Features(leave(found.values), found.weights)

    a, b = prepared(x), prepared(y)
    more = (local[:, :, None] * a.values[:, None]).reshape(n, -1)
    zero, tiled = np.zeros_like(a.weights), np.tile(a.weights, local.shape[1])
    both = Features(np.hstack([a.values, more]), np.block([[a.weights, 0 * tiled], [zero, tiled]]))
    first = np.arange(n) if in_strata else np.ones((n, 1))
    statistic = _covariances(both, b)
    return _combined(np.array([statistic(draw) for draw in [first, *(redraw() for _ in range(n_permutations))]]), rng)


def _means(values, z):
    sums = np.zeros((int(z.max()) + 1, values.shape[1])); np.add.at(sums, z, values)
    return (sums / np.maximum(np.bincount(z), 1)[:, None])[z]

def _within(values, z):
    return values - _means(values, z)


def _covariances(a: Features, b: Features) -> Statistic:
    left, right = np.ascontiguousarray(a.values.T, dtype=np.float32), b.values.astype(np.float32)

    def statistic(draw: Draw) -> Array:
        drawn = right[draw] if draw.ndim == 1 else right * draw.astype(np.float32)
        return (a.weights @ (left @ drawn).astype(np.float64) ** 2 @ b.weights.T).ravel()

    return statistic


def _combined(draws: Array, rng: np.random.Generator) -> IndependenceResult:
    p_values = np.stack([rankdata(-column, method="max") for column in draws.T]) / len(draws)
    spread = draws.std(0)
    z = (draws[0] - draws.mean(0)) / np.where(spread > 0, spread, 1)
    return IndependenceResult(float(z.max()), _p_value((1 / p_values).sum(0), rng))


def _p_value(draws: Array, rng: np.random.Generator) -> float:
    above, ties = (draws[1:] > draws[0]).sum(), (draws[1:] == draws[0]).sum()
    return float((1 + above + rng.integers(ties + 1)) / len(draws))


def _counted(codes, rng, n_permutations, redraw) -> IndependenceResult:
    x, y, z = codes
    n, kx, ky = len(x), int(x.max()) + 1, int(y.max()) + 1
    nlogn = xlogy(np.arange(n + 1), np.arange(n + 1))

    def total(cells: Draw) -> float:
        return float(nlogn[np.unique(cells, return_counts=True)[1]].sum())

    margins = total(z * kx + x) + total(z * ky + y) - total(z)
    draws = np.zeros(n_permutations + 1)
    if redraw is None and kx * ky <= 10 * n:
        for stratum in range(int(z.max()) + 1):
            rows = z == stratum
            table = np.bincount(x[rows] * ky + y[rows], minlength=kx * ky).reshape(kx, ky)
            table = table[table.any(1)][:, table.any(0)]
            draws[0] += nlogn[table].sum()
            law = random_table(table.sum(1), table.sum(0), seed=rng)
            step = max(1_000_000 // table.size, 1)
            for start in range(1, n_permutations + 1, step):
                size = min(step, n_permutations + 1 - start)
                drawn = law.rvs(size, method="patefield").astype(np.int64)
                draws[start : start + size] += nlogn[drawn].reshape(size, -1).sum(1)
    else:
        order = np.argsort(z, kind="stable")
        for i in range(n_permutations + 1):
            rows = np.arange(n)
            if i and redraw: rows = redraw()
            elif i: rows[order] = np.lexsort((rng.random(n), z))
            draws[i] = total((z * kx + x) * ky + y[rows])
    draws = (draws - margins) / n
    return IndependenceResult(float(max(draws[0], 0)), _p_value(draws.round(12), rng))
