"""Standard errors and intervals of estimated mutual information (NumPy).

References
----------
.. [1] Owen, "Monte Carlo theory, methods and examples", 2013, Chapter 8 (control variates).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

__all__ = ["SMALLEST_SD", "control_variate", "normal_interval"]

Array = npt.NDArray[np.float64]

#: Standard deviation of one row's value, in nats, that an interval always allows for: dependence weaker than a critic can find
#: has it too. That of log p(x, y) / (p(x) p(y)) is about sqrt(2 I) for weak dependence: 0.5 is I = 0.125.
SMALLEST_SD = 0.5


def control_variate(
    values: Array, known: Array, test: npt.NDArray[np.intp], values_valid: Array, known_valid: Array
) -> tuple[float, float]:
    r"""Return the mean of ``values`` with less noise, and its standard error, by a variable known on all rows.

    .. math::

        \hat I = \bar t + \beta (\bar g - \bar g_{test}), \qquad
        se^2 = \frac{\mathrm{Var}(t - \beta g)}{n_{test}} + \beta^2 \frac{\mathrm{Var}(g)}{n}

    The slope is taken from other rows than the values, so that the correction has mean zero exactly.

    Parameters
    ----------
    values : ndarray of shape (n_test,)
        t, one value a test row.
    known : ndarray of shape (n,)
        g on every row, of which the value at a row does not depend on the row itself (cross-fitted).
    test : ndarray of int of shape (n_test,)
        The test rows.
    values_valid, known_valid : ndarray of shape (n_valid,)
        t and g of other rows, from which beta is taken.

    Returns
    -------
    value, standard_error : float
        In the unit of ``values``; the standard error is positive.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.intervals import control_variate
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


def normal_interval(value: float, standard_error: float, confidence_level: float) -> tuple[float, float]:
    """Return the two-sided interval of a value with a normal error.

    Examples
    --------
    >>> from skdim.intervals import normal_interval
    >>> [round(end, 2) for end in normal_interval(1.0, 0.1, 0.95)]
    [0.8, 1.2]
    """
    half = float(ndtri((1 + confidence_level) / 2)) * standard_error
    return value - half, value + half
