r"""Entropy and mutual information by counting, in nats.

References
----------
.. [1] Miller, "Note on the bias of information estimates", Information Theory in Psychology, 1955.
.. [2] Cover & Thomas, "Elements of information theory", 2nd edition, 2006.
.. [3] Quinlan, "Induction of decision trees", Machine Learning 1986, section 4.
.. [4] Wilks, "The large-sample distribution of the likelihood ratio for testing composite hypotheses", Ann. Math. Stat. 1938.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from skdim.information.discrete._law import PlugInLaw, Table
from skdim.information.discrete._tables import factorize, row_codes, shape_of, table_columns

Codes = npt.NDArray[np.intp]
Correction = Literal["miller-madow"] | None


def _check_correction(correction: object) -> None:
    if correction not in ("miller-madow", None):
        raise ValueError(f"correction must be 'miller-madow' or None, got {correction!r}.")


def _check_same_length(X: Codes, y: Codes, name: str) -> None:
    if len(X) != len(y):
        raise ValueError(f"{name} and y must have the same number of rows, got {len(X)} and {len(y)}.")


def _entropy(codes: Codes, correction: Correction) -> float:
    n, counts = len(codes), np.unique(codes, return_counts=True)[1]
    plug_in = counts @ np.log(n / counts) / n
    return float(plug_in + (len(counts) - 1) / (2 * n) if correction else plug_in)


def entropy(y: Any, correction: Correction = None) -> float:
    r"""Entropy of a discrete variable.

    .. math:: H(Y) = - \sum_k \hat p_k \log \hat p_k \;\bigl[ + (m - 1) / (2n) \bigr]

    Parameters
    ----------
    y : array-like or DataFrame of shape (n,) or (n, n_columns)
        Hashable symbols. In two dimensions each row is one symbol, which gives the joint entropy of the columns.
    correction : {"miller-madow", None}, default=None
        None describes these rows: it is at most log m. "miller-madow" estimates the entropy of the population: it adds the term
        in brackets, with m the number of distinct symbols [1]_, and may exceed log m.

    Returns
    -------
    float
        In nats. Cover & Thomas 2006 [2]_, Eq. 2.1.

    Raises
    ------
    ValueError, TypeError
        If ``y`` is empty, sparse or has more than two dimensions, a value is missing (None, NaN, NaT, NA) or cannot be hashed,
        or ``correction`` is unknown.

    Examples
    --------
    >>> from skdim.information.discrete import entropy
    >>> coins = ["heads", "tails"] * 10
    >>> round(entropy(coins), 4), round(entropy(coins, correction="miller-madow"), 4)  # log 2, and log 2 + 1 / 40
    (0.6931, 0.7181)
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
        None gives the gain on these rows, as in a decision tree, which favours columns of many values. "miller-madow" corrects
        the three entropies: the gain of an irrelevant column is then about 0, and may be negative. Neither has a meaning for
        values that occur once, such as identifiers.

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
    r"""Mutual information of two discrete variables, from their contingency table.

    .. math::

        I(X; Y) = \sum_{x,y} \hat p(x, y) \log \frac{\hat p(x, y)}{\hat p(x) \hat p(y)}
        \;\Bigl[ + \frac{(m_x - 1) + (m_y - 1) - (m_{xy} - 1)}{2n} \Bigr]

    The interval contains every value of I that a test does not reject. For independent variables this is the likelihood-ratio
    test, where 2n I is chi-square with (m_x - 1)(m_y - 1) degrees of freedom [4]_, and for dependent ones the normal test of
    the delta method; in between, its law has the right mean, variance and skewness. The interval allows for combinations that
    do not occur in these rows, but not for such values of x or y. Rows must be independent of each other.

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
        In nats. Cover & Thomas 2006 [2]_, Eq. 2.28.

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
