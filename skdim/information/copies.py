"""Rows that are copies of others: more of them are equal than the ties of their columns explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from skdim.information.discrete import factorize
from skdim.information.intervals import Rows
from skdim.inputs.tables import Column

Hashes = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.intp]

#: Fewest different rows that repeat.
FEWEST = 4
#: A column says nothing if it has at most so many values, or the root of n, and so many rows by value.
FEW_VALUES, ROWS_BY_VALUE = 20, 5
#: A value is common above this share of the rows, or this multiple of the median count: its rows may be equal by chance.
COMMON_SHARE, COMMON_TIMES = 0.05, 10
#: Values next to a value whose rows show what is equal by chance.
N_NEIGHBOURS = 5
#: Probability of so many equal rows by chance below which they are copies.
UNLIKELY = 1e-4
#: How much likelier than neighbours rows of the same value may be to be equal: where values hardly tie, and where they do.
LIKELIER_IF_FINE, LIKELIER = 1.25, 5.0
#: Share of a column's ties that are equal rows, from which it has no ties of its own.
ALL_TIES = 0.9
#: Most rows by different row: more may be rows of one thing, such as a product of some price and weight.
MOST_BY_ROW = 3.0
#: Significant digits of values that are written by hand, and steps of a grid on which values tie.
DIGITS, STEPS = 6, 10**6


def duplicated_rows(sides: Sequence[Any], discrete: Sequence[npt.NDArray[np.bool_]], train: Rows, test: Rows) -> float:
    r"""Return the share of held-out rows that are copies of training rows.

    Rows that are equal in all columns of both sides are copies if ties do not explain them. A column explains them if rows of
    the same value are equal in the other columns about as often as rows of neighbouring values are. Columns of few values, and
    common values, are not judged. One column that does not explain them is enough if its values have many digits, lie on no
    grid, and tie in equal rows only; else no column may.
    """
    if test is train:
        return 0.0
    columns = [column for side in sides for column in side.T]
    is_discrete = np.concatenate(list(discrete))
    rng = np.random.default_rng(0)
    hashes = [_hashed(column, rng) for column in columns]
    whole = sum(hashes[1:], hashes[0])
    _, row, n_equal = np.unique(whole, return_inverse=True, return_counts=True)
    if np.count_nonzero(n_equal > 1) < FEWEST:
        return 0.0
    judged, verdicts = np.zeros(len(row), dtype=bool), []
    for j in np.flatnonzero(~is_discrete):
        ties = _Ties.of(columns[j].astype(np.float64), whole - hashes[j], row, n_equal)
        if ties is not None:
            judged |= ~ties.is_common
            verdicts.append(ties)
    if not verdicts:
        return 0.0
    fine = [ties for ties in verdicts if ties.are_all_copies]
    are_few = len(row) / len(n_equal) <= MOST_BY_ROW
    if len(fine) < (1 if are_few else 2):
        is_likely = are_few and len(verdicts) > 1 and all(ties.exceed_chance for ties in verdicts)
        if not is_likely or not any(ties.has_own_ties for ties in verdicts):
            return 0.0
    share = float((np.isin(row[test], row[train]) & judged[test]).mean())
    return share * (1 - min(max(ties.by_chance for ties in fine or verdicts), 1.0))


class _Ties(NamedTuple):
    """Pairs of rows that are tied in one column, at values that are not common."""

    n_tied: int
    n_equal: int  # pairs that are equal in all other columns too
    chance: float  # share of the pairs at neighbouring values that are equal in all other columns
    is_fine: bool  # whether values have many digits, and lie on no grid
    is_common: npt.NDArray[np.bool_]  # of each row, whether its value is common

    @classmethod
    def of(cls, column: npt.NDArray[np.float64], rest: Hashes, row: Counts, n_equal: Counts) -> _Ties | None:
        """Return the ties of a column; ``rest`` hashes the others. None if the column says nothing."""
        n = len(column)
        values, value, counts = np.unique(column, return_inverse=True, return_counts=True)
        if len(values) <= max(FEW_VALUES, n**0.5) and n / len(values) >= ROWS_BY_VALUE:
            return None
        is_common = (counts > COMMON_SHARE * n) & (counts > 2) | (counts > COMMON_TIMES * np.median(counts))
        rare = ~is_common[value]
        repeated = np.unique(row[rare & (n_equal[row] > 1)])
        if len(repeated) < FEWEST:
            return None
        kept, equal = counts[~is_common], n_equal[repeated]
        # Rows at values k and k + lag that are equal otherwise, by the cells (rest, k) in order.
        place = np.cumsum(~is_common) - 1
        order = np.lexsort((place[value[rare]], rest[rare]))
        rests, places = rest[rare][order], place[value[rare]][order]
        starts = np.flatnonzero(np.append(True, (np.diff(rests) != 0) | (np.diff(places) != 0)))
        sizes = np.diff(np.append(starts, len(rests)))
        rests, places = rests[starts], places[starts]
        pairs: list[int] = []
        alike: list[int] = []
        for lag in range(1, N_NEIGHBOURS + 1):
            pairs.append(int((kept[lag:] * kept[:-lag]).sum()))
            alike.append(0)
            for further in range(1, lag + 1):
                is_pair = (rests[further:] == rests[:-further]) & (places[further:] - places[:-further] == lag)
                alike[-1] += int((sizes[further:] * sizes[:-further])[is_pair].sum())
        chance = max((sum(alike) + 1) / (sum(pairs) + 1), *(a / max(p, 1) for a, p in zip(alike, pairs, strict=True)))
        return cls(_pairs(kept), _pairs(equal), chance, _is_fine(values), is_common[value])

    @property
    def by_chance(self) -> float:
        """The share of the equal pairs that chance explains."""
        return self.n_tied * self.chance / self.n_equal

    @property
    def are_all_copies(self) -> bool:
        return self.is_fine and self.n_equal >= ALL_TIES * self.n_tied and self._exceeds(LIKELIER_IF_FINE)

    @property
    def exceed_chance(self) -> bool:
        return self._exceeds(LIKELIER)

    @property
    def has_own_ties(self) -> bool:
        return self.is_fine or self.n_equal < ALL_TIES * self.n_tied

    def _exceeds(self, times: float) -> bool:
        return bool(binom.sf(self.n_equal - 1, self.n_tied, min(times * self.chance, 1.0)) < UNLIKELY)


def _hashed(column: npt.NDArray[Any], rng: np.random.Generator) -> Hashes:
    """Return a random number for each row, the same for equal values."""
    codes, symbols = factorize(Column("", column))
    return rng.integers(2**64, size=len(symbols), dtype=np.uint64)[codes]


def _pairs(counts: Counts) -> int:
    return int((counts * (counts - 1) // 2).sum())


def _is_fine(values: npt.NDArray[np.float64]) -> bool:
    """Whether distinct values, in order, have more digits than are written by hand, and lie on no grid."""
    magnitude = np.abs(values[values != 0])
    mantissa = magnitude / 10.0 ** np.floor(np.log10(magnitude))
    has_digits = np.abs(mantissa.round(DIGITS - 1) - mantissa) > 2e-7 * mantissa  # of float32 too
    steps = (values - values[0]) / np.diff(values).min()
    is_grid = steps[-1] < STEPS and np.mean(np.abs(steps - steps.round()) < 1e-3) > 0.95
    return bool(has_digits.mean() > 0.5) and not is_grid
