"""A screen of all pairs of columns for dependence: G statistics of tables of ranks, in a few products of matrices."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, xlogy
from scipy.stats import rankdata

Array = npt.NDArray[np.float64]
OneHot = npt.NDArray[np.float32]

#: Most bins of a column, and fewest rows per cell: with 5.5 rows the tail of G is 1.3 times that of chi-square (1e6 tables).
MOST_BINS, ROWS_PER_CELL = 6, 12
#: Smallest expected count of a pair's cells for its tail to be taken as that of chi-square: Cochran's rule.
FEWEST_EXPECTED = 5
#: Multiplications that a screen may take; beyond them fewer rows are looked at, but never fewer than these.
MOST_PRODUCTS, FEWEST_ROWS = 5e10, 1000
#: Rows, and numbers of indicators, that are multiplied at a time.
N_ROWS, N_INDICATORS = 8192, 3072


class Bins(NamedTuple):
    """The bin of each value of each column, as columns of zeros and ones."""

    one_hot: OneHot  # (n, n_columns * n_bins)
    n_bins: int


def rank_bins(x: npt.NDArray[Any]) -> Bins:
    """Return bins of equal rank of columns (n, d), ties together; labels (n,) are one column, and bins of their own."""
    n = len(x)
    if x.ndim == 1:
        codes, n_bins = x[:, None], int(x.max()) + 1
    else:
        n_bins = min(max(math.isqrt(n // ROWS_PER_CELL), 2), MOST_BINS)
        codes = ((rankdata(x, axis=0) - 0.5) * n_bins / n).astype(np.int64)
    one_hot = np.zeros((n, codes.shape[1], n_bins), dtype=np.float32)
    np.put_along_axis(one_hot, codes[:, :, None], 1, axis=2)
    return Bins(one_hot.reshape(n, -1), n_bins)


def screened_rows(d_x: int, d_y: int) -> int:
    """Return the most rows that a screen of so many columns looks at."""
    return int(max(FEWEST_ROWS, MOST_PRODUCTS / (MOST_BINS**2 * d_x * d_y)))


def screen_pairs(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Array:
    r"""Return how strongly each column of x depends on each of y, (n, d_x), (n, d_y) -> (d_x, d_y).

    Labels 0 to m - 1 in one dimension, (n,), are one column. Each column of numbers is cut into at most six bins of equal rank.
    With counts :math:`n_{ab}` of a pair's table,

    .. math::

        G = 2 \sum_{a,b} n_{ab} \log \frac{n\, n_{ab}}{n_a n_b}, \qquad
        z = \frac{\sqrt[3]{G / (q k)} - (1 - 2 / (9 k))}{\sqrt{2 / (9 k)}},

    where k is the number of degrees of freedom, q the correction of Williams (Biometrika 1976), and the cube root that of
    Wilson and Hilferty (PNAS 1931). G / (2n) is the mutual information of the bins, in nats. The score z is about standard
    normal for independent columns, and -inf for a constant one.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.information.screen import screen_pairs
    >>> x = np.linspace(-1, 1, 600)[:, None]
    >>> y = np.column_stack([np.sin(9 * x), np.random.default_rng(0).normal(size=600)])
    >>> screen_pairs(x, y).round(1).tolist()
    [[21.5, -1.1]]
    """
    return table_scores(rank_bins(x), rank_bins(y))[0]


def table_scores(x: Bins, y: Bins, rows: npt.NDArray[Any] | None = None) -> tuple[Array, Array]:
    """Return z of all pairs, and the smallest expected count of each, shapes (d_x, d_y); ``rows`` reorders y."""
    step = max(N_INDICATORS // x.n_bins, 1) * x.n_bins
    parts = [
        _table_scores(Bins(x.one_hot[:, start : start + step], x.n_bins), y, rows)
        for start in range(0, x.one_hot.shape[1], step)
    ]
    return np.vstack([part[0] for part in parts]), np.vstack([part[1] for part in parts])


def _table_scores(x: Bins, y: Bins, rows: npt.NDArray[Any] | None) -> tuple[Array, Array]:
    n, counts = len(x.one_hot), np.zeros((x.one_hot.shape[1], y.one_hot.shape[1]))
    for start in range(0, n, N_ROWS):
        part = slice(start, start + N_ROWS)
        counts += x.one_hot[part].T @ y.one_hot[part if rows is None else rows[part]]
    margins = [side.one_hot.sum(0, dtype=np.float64).reshape(-1, side.n_bins) for side in (x, y)]
    table = counts.reshape(len(margins[0]), x.n_bins, len(margins[1]), y.n_bins)
    own = [xlogy(margin, margin).sum(1) for margin in margins]
    G = 2 * (xlogy(table, table).sum((1, 3)) - own[0][:, None] - own[1] + n * math.log(n))
    df, excess, smallest = [], [], []
    for margin in margins:
        df.append((margin > 0).sum(1) - 1)
        excess.append((n / np.where(margin > 0, margin, np.inf)).sum(1) - 1)
        smallest.append(np.where(margin > 0, margin, np.inf).min(1))
    k = np.maximum(np.outer(*df), 1)
    q, spread = 1 + np.outer(*excess) / (6 * n * k), 2 / (9 * k)
    z = (np.cbrt(np.maximum(G, 0) / (q * k)) - (1 - spread)) / np.sqrt(spread)
    return np.where(np.outer(*df) > 0, z, -np.inf), np.outer(*smallest) / n


def bonferroni_p_value(x: Bins, y: Bins) -> float:
    """Return the p-value of the largest z, times the number of pairs; pairs with an expected count below 5 are left out."""
    z, smallest = table_scores(x, y)
    judged = z[smallest >= FEWEST_EXPECTED]
    return min(1.0, float(judged.size * ndtr(-judged.max()))) if judged.size else 1.0
