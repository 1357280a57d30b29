r"""Entropy and mutual information by counting, in nats.

References
----------
.. [1] Miller, "Note on the bias of information estimates", Information Theory in Psychology, 1955.
.. [2] Cover & Thomas, "Elements of information theory", 2nd edition, 2006.
.. [3] Quinlan, "Induction of decision trees", Machine Learning 1986, section 4.
.. [4] Wilks, "The large-sample distribution of the likelihood ratio for testing composite hypotheses", Ann. Math. Stat. 1938.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import gammainc, gammaincc, gammaln, ndtr

from skdim.information.discrete._tables import factorize, row_codes, shape_of, table_columns

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Correction = Literal["miller-madow"] | None


def _check_correction(correction: object) -> None:
    if correction not in ("miller-madow", None):
        raise ValueError(f"correction must be 'miller-madow' or None, got {correction!r}.")


def _check_same_length(X: Ints, y: Ints, name: str) -> None:
    if len(X) != len(y):
        raise ValueError(f"{name} and y must have the same number of rows, got {len(X)} and {len(y)}.")


def _entropy(codes: Ints, correction: Correction) -> float:
    n, counts = len(codes), np.unique(codes, return_counts=True)[1]
    plug_in = counts @ np.log(n / counts) / n
    return float(plug_in + (len(counts) - 1) / (2 * n) if correction else plug_in)


def entropy(y: Any, correction: Correction = None) -> float:
    r"""Entropy of a discrete variable, in nats (Cover & Thomas 2006 [2]_, Eq. 2.1).

    .. math:: H(Y) = - \sum_k \hat p_k \log \hat p_k \;\bigl[ + (m - 1) / (2n) \bigr]

    Parameters
    ----------
    y : array-like or DataFrame of shape (n,) or (n, n_columns)
        Hashable symbols. In two dimensions each row is one symbol, which gives the joint entropy of the columns.
    correction : {"miller-madow", None}, default=None
        "miller-madow" adds the term in brackets, with m the number of distinct symbols [1]_: it estimates the entropy of the
        population, and may exceed log m.

    Raises
    ------
    ValueError, TypeError
        If ``y`` is empty, sparse or has more than two dimensions, a value is missing (None, NaN, NaT, NA) or cannot be hashed,
        or ``correction`` is unknown.

    Examples
    --------
    >>> from skdim.information.discrete import entropy
    >>> round(entropy(["heads", "tails"] * 10, correction="miller-madow"), 4)  # log 2 + 1 / 40
    0.7181
    """
    _check_correction(correction)
    return _entropy(row_codes(y, "y"), correction)


def information_gain(X: Any, y: Any, correction: Correction = None) -> np.float64 | npt.NDArray[np.float64]:
    r"""Information gain of each discrete column: how much it lowers the entropy of ``y``.

    .. math:: I(X; Y) = H(Y) - H(Y \mid X) = H(Y) + H(X) - H(X, Y)

    Parameters
    ----------
    X : array-like or DataFrame of shape (n, n_features) or (n,)
        Discrete columns, or one split such as ``x <= 0.5``.
    y : array-like of shape (n,) or (n, n_outputs)
        Discrete target; rows as symbols in two dimensions.
    correction : {"miller-madow", None}, default=None
        None gives the gain on these rows, which favours columns of many values. "miller-madow" corrects the three entropies:
        an irrelevant column then gains about 0, or a little less. Identifiers gain everything under either.

    Returns
    -------
    ndarray of shape (n_features,), or a scalar if ``X`` has one dimension
        In nats. Quinlan 1986 [3]_; Cover & Thomas 2006 [2]_, Eq. 2.45.

    Raises
    ------
    ValueError, TypeError
        As :func:`entropy`, or if the numbers of rows differ.

    Examples
    --------
    >>> from skdim.information.discrete import information_gain
    >>> information_gain([["a", 0], ["a", 1], ["b", 0], ["b", 1]], ["no", "no", "yes", "yes"]).round(4).tolist()
    [0.6931, 0.0]
    """
    _check_correction(correction)
    target = row_codes(y, "y")
    gains = []
    for column in table_columns(X, "X"):
        split = factorize(column)[0]
        _check_same_length(split, target, "X")
        together = split * (target.max() + 1) + target
        gain = _entropy(target, correction) + _entropy(split, correction) - _entropy(together, correction)
        gains.append(gain if correction else max(gain, 0.0))  # without correction, only rounding is below 0
    return np.float64(gains[0]) if len(shape_of(X)) == 1 else np.array(gains)


@dataclass(frozen=True, eq=False)
class DiscreteMI:
    """The result of :func:`discrete_mutual_information`, in nats.

    Attributes
    ----------
    value : float
        The estimate; with the Miller-Madow correction it may be a little below 0.
    interval : tuple of float
        Confidence interval of I(X; Y). It contains the Miller-Madow estimate, and is at least 0 unless that is negative.
    standard_error : float
        Delta method to second order; positive also for independent variables.
    plug_in : float
        The mutual information of the table itself, biased upwards if cells hold few rows.
    pointwise : ndarray of shape (n,)
        log p(x, y) / (p(x) p(y)) of each row under the frequencies of the table. Their mean is ``plug_in``.
    n_symbols : tuple of int
        Distinct values of x, of y, and of both together.
    """

    value: float
    interval: tuple[float, float]
    standard_error: float
    plug_in: float
    pointwise: npt.NDArray[np.float64]
    n_symbols: tuple[int, int, int]


def discrete_mutual_information(
    x: Any, y: Any, correction: Correction = "miller-madow", confidence_level: float = 0.95
) -> DiscreteMI:
    r"""Mutual information of two discrete variables, by counting, in nats (Cover & Thomas 2006 [2]_, Eq. 2.28).

    .. math::

        I(X; Y) = \sum_{x,y} \hat p(x, y) \log \frac{\hat p(x, y)}{\hat p(x) \hat p(y)}
        \;\Bigl[ + \frac{(m_x - 1) + (m_y - 1) - (m_{xy} - 1)}{2n} \Bigr]

    The interval contains every value of I that a test does not reject: for independent variables the likelihood-ratio test
    [4]_, for dependent ones the normal test of the delta method; in between, its law has the right mean, variance and skewness.
    It allows for combinations that do not occur in these rows, but not for such values of x or y. Rows must be independent.

    Parameters
    ----------
    x, y : array-like or DataFrame of shape (n,) or (n, n_columns)
        Hashable symbols. In two dimensions each row is one symbol.
    correction : {"miller-madow", None}, default="miller-madow"
        Whether ``value`` has the term in brackets, with m_x, m_y and m_xy the numbers of distinct symbols [1]_. It corrects
        too little if cells hold fewer than about 5 rows.
    confidence_level : float, default=0.95
        Probability, over samples, that the interval contains I(X; Y).

    Returns
    -------
    DiscreteMI

    Raises
    ------
    ValueError, TypeError
        As :func:`entropy`, or if the numbers of rows differ or ``confidence_level`` is not between 0 and 1.

    Examples
    --------
    >>> from skdim.information.discrete import discrete_mutual_information
    >>> symptom = [True] * 30 + [False] * 10 + [True] * 10 + [False] * 30
    >>> result = discrete_mutual_information(symptom, ["ill"] * 40 + ["healthy"] * 40)
    >>> round(result.plug_in, 4), round(result.value, 4), [round(end, 3) for end in result.interval]
    (0.1308, 0.1246, [0.041, 0.249])
    """
    _check_correction(correction)
    if not 0 < confidence_level < 1:
        raise ValueError(f"confidence_level must lie between 0 and 1, got {confidence_level!r}.")
    x_codes, y_codes = row_codes(x, "x"), row_codes(y, "y")
    _check_same_length(x_codes, y_codes, "x")
    x_counts, y_counts, n = np.bincount(x_codes), np.bincount(y_codes), len(x_codes)
    cells, cell_of_row, counts = np.unique(x_codes * len(y_counts) + y_codes, return_inverse=True, return_counts=True)
    table = Table(counts, *np.divmod(cells, len(y_counts)), x_counts, y_counts)
    log_ratio = np.log(counts / x_counts[table.rows] * (n / y_counts[table.columns]))
    plug_in = max(float(counts @ log_ratio) / n, 0.0)
    corrected = plug_in + (len(x_counts) + len(y_counts) - len(counts) - 1) / (2 * n)
    law = PlugInLaw(table, plug_in)
    lower, upper = law.interval(confidence_level)
    return DiscreteMI(
        value=corrected if correction else plug_in,
        interval=(min(lower, corrected), max(upper, corrected)),
        standard_error=math.sqrt(law.moments(max(corrected, 0.0))[1]),
        plug_in=plug_in,
        pointwise=log_ratio[cell_of_row],
        n_symbols=(len(x_counts), len(y_counts), len(counts)),
    )


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
    lacks. V = Var s is the delta method's variance; s'As = V - Var E[s|x] - Var E[s|y]; tr A = tr A^3 is Miller-Madow's bias;
    tr A^2 = tr A + 2 phi^2, with Pearson's phi^2. If x and y are independent, s = 0 and A is a projection: the chi-square law.

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
