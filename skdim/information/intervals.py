"""Standard errors and confidence intervals of estimated mutual information."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

Array: TypeAlias = npt.NDArray[np.float64]
Rows: TypeAlias = npt.NDArray[np.intp]

#: Smallest standard deviation of one row's value, in nats, that an interval allows for: a critic may miss a weak dependence.
#: The standard deviation of log p(x, y) / (p(x) p(y)) is about sqrt(2 I) for weak dependence: 0.5 is I = 0.125.
SMALLEST_SD = 0.5


def error_of_mean(values: Array, groups: Rows | None = None) -> float:
    r"""Return the standard error of the mean of values (n,), of independent rows or of independent groups of rows.

    .. math:: se^2 = \frac1{n^2} \frac{G}{G - 1} \sum_g \Bigl( \sum_{i \in g} (t_i - \bar t) \Bigr)^2

    ``groups`` holds the number of each row's group, from 0 to G - 1.
    """
    if groups is None:
        return math.sqrt(float(values.var()) / len(values))
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], values - values.mean())
    return math.sqrt(float(sums @ sums) * len(sums) / max(len(sums) - 1, 1)) / len(values)


def effective_rows(n: int, groups: Rows | None = None) -> int:
    """Return the number of independent draws among n rows: the groups, if rows of a group depend on each other."""
    return n if groups is None else len(np.unique(groups))


def mean_and_error(values: Array, groups: Rows | None = None) -> tuple[float, float]:
    """Return the mean of values (n,) of independent rows, or groups of rows, and its standard error, which is positive."""
    least = math.sqrt(SMALLEST_SD**2 / len(values))
    return float(values.mean()), max(error_of_mean(values, groups), least)


def control_variate(
    values: Array, known: Array, test: Rows, values_valid: Array, known_valid: Array
) -> tuple[float, float]:
    r"""Return a mean and its standard error, which is positive, corrected by a variable that is known on all rows.

    .. math::

        \hat I = \bar t + \beta (\bar g - \bar g_{test}), \qquad
        se^2 = \frac{\mathrm{Var}(t - \beta g)}{n_{test}} + \beta^2 \frac{\mathrm{Var}(g)}{n}

    The slope comes from other rows than the values, so the correction has mean 0. From Owen, "Monte Carlo theory, methods and
    examples", 2013, Chapter 8.

    Parameters
    ----------
    values, test : ndarray of shape (n_test,)
        t of each test row, and the positions of these rows.
    known : ndarray of shape (n,)
        g on every row. Its value at a row must not depend on that row (:func:`cross_fitted`).
    values_valid, known_valid : ndarray of shape (n_valid,)
        t and g of other rows, which give the slope beta.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.information.intervals import control_variate
    >>> g = np.random.default_rng(0).normal(size=1000)
    >>> value, error = control_variate(2 * g[:200], g, np.arange(200), 2 * g[200:400], g[200:400])
    >>> bool(np.isclose(value, 2 * g.mean())), round(error, 3)
    (True, 0.062)
    """
    n, n_test = len(known), len(values)
    variance = known_valid.var()
    covariance = np.mean((values_valid - values_valid.mean()) * (known_valid - known_valid.mean()))
    beta = covariance / variance if variance > 0 else 0.0
    value = values.mean() + beta * (known.mean() - known[test].mean())
    squared = float(np.var(values - beta * known[test]) / n_test + beta**2 * np.var(known) / n)
    return float(value), math.sqrt(max(squared, SMALLEST_SD**2 / n))


def cross_fitted(n: int, n_folds: int, rng: np.random.Generator, fit_predict: Callable[[Rows, Rows], Array]) -> Array:
    """Return a value for each of n rows, shape (n,), from a fit to other rows.

    ``rng`` draws the ``n_folds`` parts that are held out in turn. ``fit_predict(train, held_out)`` fits to the rows ``train``
    and returns values of the rows ``held_out``, both arrays of int.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.information.intervals import cross_fitted
    >>> cross_fitted(4, 2, np.random.default_rng(0), lambda train, held_out: held_out - train.sum()).tolist()
    [-4.0, -1.0, -2.0, 1.0]
    """
    result = np.empty(n)
    for held_out in np.array_split(rng.permutation(n), n_folds):
        result[held_out] = fit_predict(np.setdiff1d(np.arange(n), held_out, assume_unique=True), held_out)
    return result


def normal_interval(
    value: float, standard_error: float, confidence_level: float, groups: Rows | None = None
) -> tuple[float, float]:
    """Return the two-sided interval of a value with a normal error; one that comes from few groups has Student's law.

    Examples
    --------
    >>> from skdim.information.intervals import normal_interval
    >>> [round(end, 2) for end in normal_interval(1.0, 0.1, 0.95)]
    [0.8, 1.2]
    """
    level = (1 + confidence_level) / 2
    quantile = ndtri(level) if groups is None else stdtrit(effective_rows(0, groups) - 1, level)
    half = float(quantile) * standard_error
    return value - half, value + half
