"""The sampling distribution of the plug-in mutual information, and the interval that it gives."""

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


class Table(NamedTuple):
    """A contingency table: the occupied cells, and the margins."""

    counts: Ints  # (n_cells,)
    rows: Ints
    columns: Ints
    x_counts: Ints
    y_counts: Ints


class PlugInLaw:
    r"""The distribution of the plug-in value around a hypothetical truth: the Pearson III law with the right three moments.

    To second order in the errors of the cell frequencies, with Z standard normal in the space of functions of a cell,

    .. math:: 2n (\hat I - I) = 2 \sqrt n\, s^\top Z + Z^\top A Z, \quad A = P_{xy} - P_x - P_y,

    where s is the log ratio less its mean, and the P project onto centred functions of the cell, of x and of y. The first
    cumulants are tr A, 4n V + 2 tr A^2 and 8n (E s^3 + 3 s'As) + 8 tr A^3, where E s^3 is the skewness of counts, which Z
    lacks. Here V = Var s is the delta method's variance; s'As = V - Var E[s|x] - Var E[s|y]; tr A = tr A^3 is Miller-Madow's
    bias; and tr A^2 = tr A + 2 phi^2, with phi^2 Pearson's mean square contingency. For independent variables s = 0 and A is
    a projection: the chi-square law.

    The empty cells have the Good-Turing share of the probability (Good, Biometrika 1953), and tr A is the exact bias of
    Poisson counts. V is carried from the plug-in value to the hypothetical one along tables p (1 + t s), in which I changes
    fastest. So V vanishes with I.
    """

    def __init__(self, table: Table, plug_in: float) -> None:
        counts, rows, columns, x_counts, y_counts = table
        self.n, self.plug_in = int(counts.sum()), plug_in
        self.largest = math.log(min(len(x_counts), len(y_counts)))
        unseen = np.count_nonzero(counts == 1) / self.n  # Good-Turing
        self.bias, self.bias_if_independent = _biases(table, unseen)
        px, py = x_counts / self.n, y_counts / self.n
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

    def moments(self, mi: float) -> tuple[float, float, float]:
        """Return mean, variance and third cumulant of the plug-in value if the truth is ``mi``."""
        n = self.n
        dependence = min(mi / self.plug_in, 1.0) if self.plug_in else 1.0
        bias = self.bias_if_independent + dependence * (self.bias - self.bias_if_independent)
        spread = max(bias + 2 * dependence * self.phi2, 1.0)  # tr A^2 of the smallest table, 2 x 2
        V = max(self.V + self.slope * (mi - self.plug_in), 0.0)
        return mi + bias / (2 * n), V / n + spread / (2 * n**2), self.asymmetry * V / n**2 + bias / n**3

    def cdf(self, mi: float) -> float:
        """Return the probability of a plug-in value up to this one if the truth is ``mi``; it falls with ``mi``."""
        mean, variance, third = self.moments(mi)
        # A value below its mean under independence is no stronger evidence against dependence than the mean itself.
        value = max(self.plug_in, self.bias_if_independent / (2 * self.n))
        return _pearson3_cdf((value - mean) / math.sqrt(variance), third / variance**1.5)

    def interval(self, level: float) -> tuple[float, float]:
        """Return the values of I(X; Y) at which the plug-in value is in neither tail."""
        tail = (1 - level) / 2
        beyond = self.plug_in + 1 / self.n
        while self.cdf(beyond) > tail:
            beyond *= 2
        lower = brentq(lambda mi: self.cdf(mi) - (1 - tail), 0.0, beyond) if self.cdf(0.0) > 1 - tail else 0.0
        upper = brentq(lambda mi: self.cdf(mi) - tail, lower, beyond)
        return min(lower, self.largest), upper


def _pearson3_cdf(z: float, skewness: float) -> float:
    """Distribution function at ``z`` standard deviations from the mean."""
    if abs(skewness) < 1e-4:
        return float(ndtr(z))
    shape = 4 / skewness**2
    gamma = max(shape + math.copysign(1, skewness) * z * math.sqrt(shape), 0.0)
    return float(gammainc(shape, gamma) if skewness > 0 else gammaincc(shape, gamma))


def _biases(table: Table, unseen: float) -> tuple[float, float]:
    """Return the bias of 2n times the plug-in value, in the table with its empty cells and in the independent table."""
    counts, rows, columns, x_counts, y_counts = table
    n = counts.sum()
    # Cells of equal margins have equal expectations: over the distinct margins these are at most 2n pairs.
    x_distinct, x_repeats = np.unique(x_counts, return_counts=True)
    y_distinct, y_repeats = np.unique(y_counts, return_counts=True)
    independent = np.outer(x_distinct, y_distinct) / n
    of_margins = _cell_bias(x_counts).sum() + _cell_bias(y_counts).sum() - 1
    filled = unseen * x_counts[rows] * y_counts[columns] / n
    of_cells = x_repeats @ _cell_bias(unseen * independent) @ y_repeats
    of_cells += (_cell_bias((1 - unseen) * counts + filled) - _cell_bias(filled)).sum()
    of_independent_cells = x_repeats @ _cell_bias(independent) @ y_repeats
    return float(of_cells - of_margins), max(float(of_independent_cells - of_margins), 0.0)  # no value is below I = 0


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
