"""What chance adds to the mutual information of a contingency table, and the distribution of that information."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import gammainc, gammaincc, gammaln, ndtr

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

#: Expectations of counts are summed over so many standard deviations, and so many counts more: what is left out is below 1e-20.
DEVIATIONS, FURTHER = 10, 20
#: Counts whose probabilities are held at once.
AT_ONCE = 2**20


class Table(NamedTuple):
    """A contingency table: the occupied cells, and the margins."""

    counts: Ints  # (n_cells,)
    rows: Ints
    columns: Ints
    x_counts: Ints
    y_counts: Ints

    @classmethod
    def of(cls, x: Ints, y: Ints) -> tuple[Table, Ints]:
        """Return the table of two variables' codes, of those that occur, and the cell of each row."""
        x, y = (np.unique(codes, return_inverse=True)[1] for codes in (x, y))
        x_counts, y_counts = np.bincount(x), np.bincount(y)
        cells, cell_of_row, counts = np.unique(x * len(y_counts) + y, return_inverse=True, return_counts=True)
        return cls(counts, *np.divmod(cells, len(y_counts)), x_counts, y_counts), cell_of_row

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    @property
    def log_ratio(self) -> Floats:
        """The log of p(x, y) / (p(x) p(y)) of each occupied cell."""
        of_margins = self.x_counts[self.rows] * (self.y_counts[self.columns] / self.n)
        return np.asarray(np.log(self.counts / of_margins))

    @property
    def plug_in(self) -> float:
        """The mutual information of the table, in nats."""
        return max(float(self.counts @ self.log_ratio) / self.n, 0.0)

    @property
    def cap(self) -> float:
        """The smaller of the entropies of x and of y: what their mutual information in this table cannot exceed."""
        return min(plug_in_entropy(self.x_counts), plug_in_entropy(self.y_counts))


def plug_in_entropy(counts: Ints) -> float:
    """Return the entropy of frequencies, in nats."""
    n = counts.sum()
    return max(float(counts @ np.log(n / counts) / n), 0.0)


def expected_information(x_counts: Ints, y_counts: Ints) -> float:
    """Return the mean plug-in information of all tables with these margins, in nats (Vinh et al., JMLR 2010, Eq. 24a).

    Cells of equal margins have equal expectations: over the distinct margins these are at most 2n pairs.
    """
    n = int(x_counts.sum())
    x_distinct, x_repeats = np.unique(x_counts, return_counts=True)
    y_distinct, y_repeats = np.unique(y_counts, return_counts=True)
    a, b = (side.ravel() for side in np.meshgrid(x_distinct, y_distinct, indexing="ij"))
    repeats = np.outer(x_repeats, y_repeats).ravel()
    mean = a * (b / n)
    reach = DEVIATIONS * np.sqrt(mean) + FURTHER
    first = np.maximum(np.maximum(a + b - n, 1), np.floor(mean - reach)).astype(np.intp)
    last = np.minimum(np.minimum(a, b), np.ceil(mean + reach)).astype(np.intp)
    ends = np.cumsum(last - first + 1)
    log_factorial, total, start = _log_factorials(n), 0.0, 0
    while start < len(a):
        done = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, done + AT_ONCE, side="right")), start + 1)
        lengths = (last - first + 1)[start:stop]
        pair = np.repeat(np.arange(start, stop), lengths)
        k = first[pair] + np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        a_k, b_k = a[pair], b[pair]
        log_p = log_factorial[a_k] - log_factorial[k] - log_factorial[a_k - k] + log_factorial[n - a_k]
        log_p += log_factorial[b_k] - log_factorial[b_k - k] - log_factorial[n - a_k - b_k + k]
        log_p += log_factorial[n - b_k] - log_factorial[n]
        total += float((repeats[pair] * np.exp(log_p) * k) @ np.log(k / mean[pair]))
        start = stop
    return max(total / n, 0.0)


@functools.lru_cache(maxsize=1)
def _log_factorials(n: int) -> Floats:
    return np.asarray(gammaln(np.arange(n + 1) + 1.0))


class Chance:
    r"""What chance adds to the plug-in value, and the information that is left.

    If the truth is I, the mean of the plug-in value is taken to be :math:`E_0 + \delta I`, by the formula for :math:`\delta` of
    :func:`discrete_mutual_information`. The empty cells have the Good-Turing share of the probability among the rows whose
    values of x and y both recur: the others could not be anything but alone.
    """

    def __init__(self, table: Table) -> None:
        self.n, self.plug_in, self.cap = table.n, table.plug_in, table.cap
        self.of_independent = min(expected_information(table.x_counts, table.y_counts), self.cap)
        recurs = (table.x_counts[table.rows] > 1) & (table.y_counts[table.columns] > 1)
        n_recurring = int(table.counts[recurs].sum())
        self.unseen = np.count_nonzero(table.counts[recurs] == 1) / n_recurring if n_recurring else 0.0
        of_table = min(bias_of(table, self.unseen) / (2 * self.n), self.of_independent)
        share = self.of_independent / self.cap if self.cap > 0 else 0.0
        falls = (self.of_independent - of_table) / max(self.plug_in, self.of_independent, 1e-12)
        self.slope = max(1 - (1 - share) * falls - share**2, 0.0)
        self.least_slope = max(1 - max(falls, share), 0.0)

    @property
    def corrected(self) -> float:
        r"""The estimate :math:`(\hat I - E_0) \, \delta / (\delta^2 + E_0 / (n H^2))`, at most H.

        E_0 / n is the variance of the plug-in value of independent variables, that of a chi-square law. It matters if nearly
        every row has a value of its own: then delta is near 0, and one row more or less would turn 0 into H.
        """
        if self.cap <= 0:
            return 0.0
        noise = self.of_independent / (self.n * self.cap**2)
        if self.slope**2 + noise <= 0:
            return 0.0
        return min((self.plug_in - self.of_independent) * self.slope / (self.slope**2 + noise), self.cap)


def bias_of(table: Table, unseen: float) -> float:
    """Return the bias of 2n times the plug-in value, under the table's frequencies with its empty cells."""
    counts, rows, columns, x_counts, y_counts = table
    n = counts.sum()
    x_distinct, x_repeats = np.unique(x_counts, return_counts=True)
    y_distinct, y_repeats = np.unique(y_counts, return_counts=True)
    filled = unseen * x_counts[rows] * (y_counts[columns] / n)
    of_cells = x_repeats @ _cell_bias(unseen * np.outer(x_distinct, y_distinct / n)) @ y_repeats
    of_cells += (_cell_bias((1 - unseen) * counts + filled) - _cell_bias(filled)).sum()
    return float(of_cells - _cell_bias(x_counts).sum() - _cell_bias(y_counts).sum() + 1)


def _cell_bias(expected: npt.NDArray[Any]) -> Floats:
    """Return E[2 N log(N / expected)] of Poisson N: what one cell adds to the bias of 2n times the plug-in value.

    It is 1 for many counts (Miller-Madow's correction), up to 1.2 for a few, and goes to 0 with the expectation.
    """
    return np.interp(expected.ravel(), *_cell_bias_table()).reshape(expected.shape)


@functools.cache
def _cell_bias_table() -> tuple[Floats, Floats]:
    expected, count = np.geomspace(1e-6, 100, 500), np.arange(1, 200)
    probability = np.exp(count * np.log(expected)[:, None] - expected[:, None] - gammaln(count + 1))
    bias = (probability * 2 * count * np.log(count / expected[:, None])).sum(axis=1)
    return np.append(0.0, expected), np.append(0.0, bias)


class PlugInLaw:
    r"""The distribution of the plug-in value around a hypothetical truth: the Pearson III law with the right three moments.

    To second order in the errors of the cell frequencies, with Z standard normal in the space of functions of a cell,

    .. math:: 2n (\hat I - I) = 2 \sqrt n\, s^\top Z + Z^\top A Z, \quad A = P_{xy} - P_x - P_y,

    where s is the log ratio less its mean, and the P project onto centred functions of the cell, of x and of y. The first
    cumulants are tr A, 4n V + 2 tr A^2 and 8n (E s^3 + 3 s'As) + 8 tr A^3, where E s^3 is the skewness of counts, which Z
    lacks. V = Var s is the delta method's variance; s'As = V - Var E[s|x] - Var E[s|y]; tr A^2 = tr A + 2 phi^2, with Pearson's
    phi^2. If x and y are independent, s = 0 and A is a projection: the chi-square law.

    The mean, and tr A = tr A^3, are those of :class:`Chance`, and the empty cells have its share of the probability. Above the
    plug-in value, V is carried along tables p (1 + t s), in which I changes fastest. Below, it falls as the root of I, so that
    it vanishes with I.
    """

    def __init__(self, table: Table, chance: Chance) -> None:
        self.n, self.plug_in, self.chance = chance.n, chance.plug_in, chance
        counts, rows, columns, x_counts, y_counts = table
        self.largest = math.log(min(len(x_counts), len(y_counts)))
        unseen, px, py = chance.unseen, x_counts / self.n, y_counts / self.n
        q = px[rows] * py[columns]
        p = (1 - unseen) * counts / self.n + unseen * q
        # The empty cells have p = unseen * q, and so one log ratio: a single number stands for all of them.
        log_ratio, log_ratio_0 = np.log(p / q), math.log(unseen) if unseen else 0.0
        p_0 = unseen * max(1 - q.sum(), 0.0)
        mean = p @ log_ratio + p_0 * log_ratio_0
        s, s_0 = log_ratio - mean, log_ratio_0 - mean

        def variance_of_mean_given(margin: Floats, index: Ints) -> float:
            total = np.bincount(index, p * s) + s_0 * unseen * (margin - np.bincount(index, q))
            return float(total**2 @ (1 / margin))

        V = float(p @ s**2 + p_0 * s_0**2)
        third = float(p @ s**3 + p_0 * s_0**3)
        quadratic = V - variance_of_mean_given(px, rows) - variance_of_mean_given(py, columns)
        self.V, self.phi2 = V, float(p @ (p / q)) + unseen * p_0 - 1
        # dV / dI along p (1 + t s), and the third cumulant over V; if nothing varies, their limits at independence.
        self.slope, self.asymmetry = 2.0, 3.0
        if V > 1e-12:
            self.slope, self.asymmetry = (third + 2 * quadratic) / V, (third + 3 * quadratic) / V

    def moments(self, mi: float, slope: float | None = None) -> tuple[float, float, float]:
        """Return mean, variance and third cumulant of the plug-in value if the truth is ``mi``.

        ``slope`` replaces the delta of :class:`Chance`.
        """
        n, chance = self.n, self.chance
        dependence = min(mi / self.plug_in, 1.0) if self.plug_in else 1.0
        mean = chance.of_independent + (chance.slope if slope is None else slope) * mi
        bias = 2 * n * (mean - mi)
        spread = max(bias + 2 * dependence * self.phi2, 1.0)  # tr A^2 of the smallest table, 2 x 2
        V = self.V * math.sqrt(dependence) + self.slope * max(mi - self.plug_in, 0.0)
        V = max(V, 0.0)
        return mean, V / n + spread / (2 * n**2), self.asymmetry * V / n**2 + bias / n**3

    def cdf(self, mi: float, slope: float) -> float:
        """Return the probability of a plug-in value up to this one if the truth is ``mi``; it falls with ``mi``."""
        mean, variance, third = self.moments(mi, slope)
        # A value below its mean under independence is no stronger evidence against dependence than the mean itself.
        value = max(self.plug_in, self.chance.of_independent)
        return _pearson3_cdf((value - mean) / math.sqrt(variance), third / variance**1.5)

    def interval(self, level: float) -> tuple[float, float]:
        """Return the values of I(X; Y) at which the plug-in value is in neither tail.

        What chance adds is certain at independence only. The lower end takes it to stay the same, and the upper end to fall by
        the larger of the two terms of :class:`Chance`; the log of the number of symbols, which no value exceeds, ends it.
        """
        tail, top = (1 - level) / 2, max(self.largest, self.plug_in + 1 / self.n)

        def where_cdf_is(probability: float, slope: float) -> float:
            if self.cdf(0.0, slope) <= probability:
                return 0.0
            if self.cdf(top, slope) >= probability:
                return top
            return float(brentq(lambda mi: self.cdf(mi, slope) - probability, 0.0, top))

        return min(where_cdf_is(1 - tail, 1.0), self.chance.cap), where_cdf_is(tail, self.chance.least_slope)


def _pearson3_cdf(z: float, skewness: float) -> float:
    """Distribution function at ``z`` standard deviations from the mean."""
    if abs(skewness) < 1e-4:
        return float(ndtr(z))
    shape = 4 / skewness**2
    gamma = max(shape + math.copysign(1, skewness) * z * math.sqrt(shape), 0.0)
    return float(gammainc(shape, gamma) if skewness > 0 else gammaincc(shape, gamma))
