"""Mean and scale of columns, whatever their unit: squares of 1e160 overflow, and those of 1e-170 vanish."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from skdim.exceptions import OutlierWarning, warn

__all__ = ["FARTHEST", "Moments", "Standardize", "unit_of"]

Array = npt.NDArray[np.float64]

#: Largest exponent of the powers of two that columns are multiplied by: those and their inverses are exact floats.
MOST_DOUBLINGS = 1000
#: Rows that are added at once: blocks fit in caches.
ROWS_AT_ONCE = 1024
#: Rows of the sample that tells the quartiles, as far as its cells allow.
SAMPLED_ROWS, SAMPLED_CELLS, FEWEST_SAMPLED = 1000, 2**20, 64
#: Standard deviations that hold half of a column's values if outliers set its scale: at 0.06 codes keep 96 % of the column, at
#: 0.006 nothing, in benchmarks/reliability/extremes.py.
SQUEEZED = 0.01
#: Standard deviations whose squares float32 holds, with room for sums of them.
FARTHEST = 1e18
#: What to do about outliers. RobustScaler changes nothing: what follows standardises again.
CLIP = "Clip or drop the outliers, or put scikit-learn's QuantileTransformer before."


def _exponent(largest: Array) -> npt.NDArray[np.int64]:
    """Return how often numbers of this size can be halved until they are below 1, the least for 0 and NaN."""
    exponent = np.where(largest > 0, np.frexp(largest)[1], -MOST_DOUBLINGS)
    return np.clip(exponent, -MOST_DOUBLINGS, MOST_DOUBLINGS).astype(np.int64)


def unit_of(largest: Array) -> Array:
    """Return the power of two that brings numbers of this size to about 1; products with it are exact."""
    return np.ldexp(1.0, -_exponent(largest))


def chance_ratio(freedom: Array, probability: float) -> Array:
    """Return the ratio of the scales of two samples of one normal distribution that is exceeded with this probability."""
    return np.asarray(np.sqrt(stats.f.isf(probability, freedom, freedom)))


class Moments:
    """Mean and variance of columns, some rows at a time, each in a unit of its own; NaN is ignored."""

    def __init__(self, n_rows: int, n_columns: int) -> None:
        self.n, self.total = np.zeros((2, n_columns))
        self.squares = np.zeros(n_columns)  # of deviations from the mean
        self.low, self.high = np.full((2, n_columns), np.nan)
        self.exponent = np.full(n_columns, -MOST_DOUBLINGS)  # the unit of ``total`` and ``squares`` is 2**exponent
        most = min(SAMPLED_ROWS, max(FEWEST_SAMPLED, SAMPLED_CELLS // n_columns))
        self.sample: list[Array] = []
        self._step, self._skipped = max(1, n_rows // most), 0

    def add(self, values: Array) -> Moments:
        """Add rows (k, n_columns)."""
        self.low, self.high = np.fmin(self.low, np.fmin.reduce(values)), np.fmax(self.high, np.fmax.reduce(values))
        self._in_units(np.maximum(self.exponent, _exponent(np.fmax(-self.low, self.high))))
        self.sample.append(values[self._skipped :: self._step].copy())
        self._skipped = (self._skipped - len(values)) % self._step
        scaled, n = values * np.ldexp(1.0, -self.exponent), np.full(len(self.n), float(len(values)))
        total = scaled.sum(0)
        missing = np.isnan(scaled) if np.isnan(total).any() else None
        if missing is not None:
            scaled[missing], n = 0, n - missing.sum(0)
            total = scaled.sum(0)
        scaled -= total / np.maximum(n, 1)
        if missing is not None:
            scaled[missing] = 0
        rounding = scaled.sum(0)
        squares = np.square(scaled, out=scaled).sum(0) - rounding**2 / np.maximum(n, 1)
        shift = total / np.maximum(n, 1) - self.total / np.maximum(self.n, 1)
        # Chan, Golub & LeVeque, "Algorithms for computing the sample variance", The American Statistician 1983.
        self.squares += squares + shift**2 * (n * self.n / np.maximum(n + self.n, 1))
        self.total, self.n = self.total + total, self.n + n
        return self

    def _in_units(self, exponent: npt.NDArray[np.int64]) -> None:
        change = self.exponent - exponent
        self.total, self.squares = np.ldexp(self.total, change), np.ldexp(self.squares, 2 * change)
        self.exponent = exponent

    def pooled(self, groups: npt.NDArray[np.int64]) -> Moments:
        """Return the moments of the values of columns that have one number, from 0 on, together."""
        order, sizes = np.argsort(groups, kind="stable"), np.bincount(groups)
        starts = np.cumsum(sizes) - sizes
        pool = Moments(0, len(sizes))
        sample = np.concatenate(self.sample)
        rows = np.arange(len(sample))[:, None]
        pool.sample = [sample[rows, order[starts + rows % sizes]]]  # of each row one column, in turn
        pool.exponent = np.maximum.reduceat(self.exponent[order], starts)
        pool.low, pool.high = np.fmin.reduceat(self.low[order], starts), np.fmax.reduceat(self.high[order], starts)
        self._in_units(pool.exponent[groups])
        pool.n, pool.total = (np.bincount(groups, part).astype(np.float64) for part in (self.n, self.total))
        apart = self.total / np.maximum(self.n, 1) - (pool.total / np.maximum(pool.n, 1))[groups]
        pool.squares = np.bincount(groups, self.squares + self.n * apart**2).astype(np.float64)
        return pool

    @property
    def mean(self) -> Array:
        mean = np.ldexp(self.total / np.maximum(self.n, 1), self.exponent)
        return np.where(self.low < self.high, mean, np.where(np.isnan(self.low), 0, self.low))  # exact where constant

    @property
    def scale(self) -> Array:
        """Standard deviation of each column; 1 of a constant one, whose rounding errors stay below 1."""
        n, eps = np.maximum(self.n, 1), np.finfo(np.float64).eps
        variance = self.squares / n
        # As in scikit-learn's StandardScaler, a column that varies by rounding errors alone is constant.
        varies = variance > n * eps * variance + (self.total * eps) ** 2
        smallest = np.finfo(np.float64).smallest_subnormal
        deviation = np.maximum(np.ldexp(np.sqrt(variance), self.exponent), smallest)
        return np.where(varies, deviation, np.fmax(1.0, np.where(varies, 0, self.high) - np.where(varies, 0, self.low)))

    @property
    def kurtosis(self) -> Array:
        """Fourth moment over the squared variance, of the sampled rows; their number where these are constant."""
        sample = np.concatenate(self.sample)
        present = ~np.isnan(sample)
        n = np.maximum(present.sum(0), 1)
        apart = np.where(present, sample * unit_of(self.scale), 0)
        apart = np.where(present, apart - apart.sum(0) / n, 0)
        squares = (apart**2).sum(0)
        return np.where(squares > 0, n * (apart**4).sum(0) / np.where(squares > 0, squares, 1) ** 2, n)

    def _middle(self) -> Array:
        """Return the standard deviations that the middle half of each column's values spans."""
        sample, unit = np.sort(np.concatenate(self.sample), axis=0), unit_of(self.scale)
        n = (~np.isnan(sample)).sum(0)
        low, high = (np.take_along_axis(sample, (n * share // 4)[None], 0)[0] for share in (1, 3))
        middle = (high * unit - low * unit) / (self.scale * unit)
        return np.where(low < high, np.maximum(middle, np.finfo(np.float64).smallest_subnormal), 0)

    @property
    def squeezed(self) -> npt.NDArray[np.bool_]:
        """Which columns have the scale of a few values, beside which the others hardly differ."""
        middle = self._middle()
        return (middle > 0) & (middle < SQUEEZED)

    def warn_of_outliers(self, labels: Sequence[str], advice: str = CLIP, farthest: float = math.inf) -> None:
        """Warn of columns whose scale is that of a few values, beside which the others hardly differ.

        A scale of more than ``farthest`` times the middle half is an error.
        """
        middle = self._middle()
        squeezed = np.flatnonzero(self.squeezed)
        if len(squeezed):
            j = squeezed[np.argmin(middle[squeezed])]
            more = f" (and of {len(squeezed) - 1} more)" if len(squeezed) > 1 else ""
            message = (
                f"Outliers set the scale of {labels[j]}{more}: its values reach from {self.low[j]:.3g} to {self.high[j]:.3g}, "
                f"but half of them lie within {middle[j]:.1g} standard deviations, and hardly count. {advice}"
            )
            if middle[j] * farthest < 1:
                raise ValueError(message)
            warn(message, OutlierWarning)


@dataclass
class Standardize:
    """Columns -> mean 0 and variance 1; a constant column becomes 0.

    Parameters
    ----------
    mean, scale : ndarray of shape (d,)
        Mean and standard deviation of each column.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.information.canonical import Standardize
    >>> Standardize.learn(np.array([[1.0, 5.0], [3.0, 5.0]]))(np.array([[4.0, 5.0]])).tolist()
    [[2.0, 0.0]]
    """

    mean: Array
    scale: Array

    @classmethod
    def learn(cls, X: npt.NDArray[np.floating]) -> Standardize:
        """Learn mean and scale of the rows of ``X`` (n, d)."""
        moments = moments_of(X)
        return cls(moments.mean, moments.scale)

    def __call__(self, X: npt.NDArray[np.floating]) -> Array:
        """Return the standardised rows, (n, d) -> (n, d)."""
        unit = unit_of(self.scale)
        with np.errstate(over="ignore"):  # far outside the fitted range: infinite
            return np.asarray((X * unit - self.mean * unit) / (self.scale * unit))


def moments_of(X: npt.NDArray[np.floating]) -> Moments:
    """Return the moments of the columns of an array (n, d)."""
    moments = Moments(len(X), X.shape[1])
    for start in range(0, len(X), ROWS_AT_ONCE):
        moments.add(X[start : start + ROWS_AT_ONCE].astype(np.float64))
    return moments
