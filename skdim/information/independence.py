"""draft"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy
from scipy.stats import random_table, rankdata

from skdim.information.features import Array, Features, Residuals, features, normal_scores
from skdim.information.screen import bonferroni_p_value, rank_bins, table_scores

Values = npt.NDArray[Any]
Rows = npt.NDArray[np.intp]

MOST_PRODUCTS = 5e9
FIRST_WEIGHT = 2.0


class IndependenceResult(NamedTuple):
    statistic: float
    p_value: float


def permutation_test(
    x: Values, y: Values, rng: np.random.Generator, n_permutations: int = 499, block_size: int = 1
) -> IndependenceResult:
    n = len(x)
    if x.ndim == y.ndim == 1:
        return _counted(x, y, np.zeros(n, dtype=np.int64), rng, n_permutations, block_size)

    def redraw() -> Rows:
        if block_size == 1:
            return rng.permutation(n)
        return np.roll(np.arange(n), rng.integers(block_size, n - block_size + 1))

    a, b = features(x, rng), features(y, rng)
    parts = [_covariances(a, b)]
    if max(x[0].size, y[0].size) > 1:
        bins = rank_bins(x), rank_bins(y)
        cost = float(n) * bins[0].one_hot.shape[1] * bins[1].one_hot.shape[1] * n_permutations
        screened = cost > MOST_PRODUCTS
        if not screened:
            parts.append(lambda rows: np.array([table_scores(*bins, rows)[0].max()]))
    else:
        screened = False
    draws = np.array(
        [
            np.concatenate([part(rows) for part in parts])
            for rows in [np.arange(n), *(redraw() for _ in range(n_permutations))]
        ]
    )
    r = _combined(draws, rng)
    if screened and block_size == 1:
        return IndependenceResult(r.statistic, min(1.0, 2 * min(r.p_value, bonferroni_p_value(*bins))))
    return r


def _covariances(a: Features, b: Features) -> Callable[[Rows], Array]:
    left, right = np.ascontiguousarray(a.values.T, dtype=np.float32), b.values.astype(np.float32)

    def statistic(rows: Rows) -> Array:
        return (a.weights @ (left @ right[rows]).astype(np.float64) ** 2 @ b.weights.T).ravel()

    return statistic


def _combined(draws: Array, rng: np.random.Generator) -> IndependenceResult:
    n, k = draws.shape
    p_values = np.stack([rankdata(-column, method="max") for column in draws.T]) / n
    w = np.ones(k)
    w[0] = FIRST_WEIGHT
    combined = w @ (1 / p_values)
    spread = draws.std(0)
    z = (draws[0] - draws.mean(0)) / np.where(spread > 0, spread, 1)
    return IndependenceResult(float(z.max()), _p_value(combined, rng))


def _p_value(draws: Array, rng: np.random.Generator) -> float:
    above, ties = (draws[1:] > draws[0]).sum(), (draws[1:] == draws[0]).sum()
    return float((1 + above + rng.integers(ties + 1)) / len(draws))


def _counted(x, y, z, rng, n_permutations, block_size) -> IndependenceResult:
    n = len(x)
    kx, ky, kz = (int(c.max()) + 1 for c in (x, y, z))
    f = xlogy(np.arange(n + 1), np.arange(n + 1))

    def total(c):
        return f[np.bincount(c)].sum()

    if block_size == 1 and kx * ky <= 10 * n:
        draws = np.zeros(n_permutations + 1)
        for s in range(kz):
            m = z == s
            t = np.bincount(x[m] * ky + y[m], minlength=kx * ky).reshape(kx, ky)
            t = t[t.sum(1) > 0][:, t.sum(0) > 0]
            draws[0] += f[t].sum()
            law = random_table(t.sum(1), t.sum(0), seed=rng)
            chunk = max(1_000_000 // t.size, 1)
            for i in range(1, n_permutations + 1, chunk):
                k = min(chunk, n_permutations + 1 - i)
                draws[i : i + k] += f[law.rvs(k, method="patefield").astype(np.int64).reshape(k, -1)].sum(1)
    else:
        raise NotImplementedError
    draws = (draws - total(z * kx + x) - total(z * ky + y) + total(z)) / n
    return IndependenceResult(float(max(draws[0], 0)), _p_value(draws.round(12), rng))
