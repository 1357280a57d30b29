"""Questions about mutual information that one call answers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from skdim.information.estimator import MIEstimator
from skdim.information.intervals import SMALLEST_SD, error_of_mean, normal_interval
from skdim.information.result import MIResult
from skdim.inputs.tables import as_array


def mutual_information(X: Any, y: Any, *, groups: Any = None, **params: Any) -> MIResult:
    """Estimate the mutual information of X and y, in nats.

    Parameters
    ----------
    X, y : array-like of shape (n_samples,) or (n_samples, n_columns)
        Joint samples, at least two, independent of each other or in ``groups``.
    groups : array-like of shape (n_samples,), default=None
        Labels of groups of rows that depend on each other, such as :func:`~skdim.information.time_blocks`.
    **params
        Parameters of :class:`MIEstimator`, which has the formula, the errors and the references.

    Examples
    --------
    >>> from skdim import mutual_information
    >>> x = [0, 1, 0, 1] * 250
    >>> result = mutual_information(x, x)
    >>> round(result.value, 2), result.kind
    (0.69, 'estimate')
    """
    return MIEstimator(**params).fit(_columns(X), y, groups=groups)._result


def conditional_mutual_information(X: Any, y: Any, Z: Any, *, groups: Any = None, **params: Any) -> MIResult:
    r"""Estimate the mutual information of X and y given Z, in nats.

    .. math::

        I(X; Y \mid Z) = E\left[ \log \frac{p(x, y \mid z)}{p(x \mid z)\, p(y \mid z)} \right] = I(X, Z; Y) - I(Z; Y)

    It is what X still tells of y when Z is known [1]_. Continuous columns first lose the mean and the scale that regressions on
    Z predict, which changes no information given Z. Then both terms of the chain rule are estimated on the same rows and folds,
    and the contributions of rows are subtracted. If Z has at most ten values, with 200 rows or more each, the value is the mean
    over them.

    Parameters
    ----------
    X, y, Z : array-like of shape (n_samples,) or (n_samples, n_columns)
        Joint samples, at least two, independent of each other or in ``groups``. Columns may be numbers or labels.
    groups : array-like of shape (n_samples,), default=None
        Labels of groups of rows that depend on each other, such as :func:`~skdim.information.time_blocks`.
    **params
        Parameters of :class:`MIEstimator`, with ``estimator`` "auto" or "gaussian".

    Returns
    -------
    MIResult
        Of kind "estimate". ``diagnostics["p_value"]`` is that of :func:`~skdim.independence_test` given Z. A negative
        difference of critics is reported as 0.

    Raises
    ------
    ValueError, TypeError
        If a parameter, X, y, Z or groups is invalid.

    References
    ----------
    .. [1] Cover & Thomas, "Elements of information theory", 2nd edition, 2006, section 2.5.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim import conditional_mutual_information
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.integers(0, 2, size=(2, 1000))
    >>> round(conditional_mutual_information(a, a ^ b, b).value, 2)  # I(a; a ^ b) = 0, and log 2 = 0.69 given b
    0.69
    """
    if Z is None:
        raise ValueError(
            "Z is None, and the information given Z needs it. Without a third variable use mutual_information."
        )
    return MIEstimator(**params).fit(_columns(X), y, Z, groups=groups)._result


def interaction_information(X: Any, y: Any, Z: Any, *, groups: Any = None, **params: Any) -> MIResult:
    r"""Estimate the interaction information of three sides, in nats: positive for synergy, negative for redundancy.

    .. math:: I(X; Y; Z) = I(X; Y \mid Z) - I(X; Y)

    This is the sign of McGill [1]_: 0.69 if one bit is the exclusive or of the others, and -0.69 for three copies of a bit. The
    co-information has the other sign.

    Parameters
    ----------
    X, y, Z : array-like of shape (n_samples,) or (n_samples, n_columns)
        Joint samples, as for :func:`conditional_mutual_information`.
    groups : array-like of shape (n_samples,), default=None
        Labels of groups of rows that depend on each other.
    **params
        Parameters of :class:`MIEstimator`, with ``estimator`` "auto" or "gaussian".

    Returns
    -------
    MIResult
        Of kind "estimate", without a p-value.

    References
    ----------
    .. [1] McGill, "Multivariate information transmission", Psychometrika 1954.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim import interaction_information
    >>> a, b = np.random.default_rng(0).integers(0, 2, size=(2, 1000))
    >>> round(interaction_information(a, b, a ^ b).value, 2), round(interaction_information(a, a, a).value, 2)
    (0.69, -0.69)
    """
    given = conditional_mutual_information(X, y, Z, groups=groups, **params)
    plain = MIEstimator(**params).set_params(discrete_Z="auto").fit(_columns(X), y, groups=groups)
    assert given.contributions is not None
    assert plain._result.contributions is not None
    value = given.value - plain.mi_
    differences = given.contributions - plain._result.contributions
    error = error_of_mean(differences, plain._groups)
    least = SMALLEST_SD / math.sqrt(len(differences))
    interval = normal_interval(value, max(error, least), plain.confidence_level, plain._groups)
    return replace(
        given,
        value=value,
        interval=interval,
        cap=math.inf,
        entropy=None,
        diagnostics={"standard_error": error},
        contributions=differences,
    )


def _columns(X: Any) -> Any:
    """Return X in two dimensions; one column may be given in one."""
    if np.ndim(X) != 1:
        return X
    return X.to_frame() if hasattr(X, "to_frame") else as_array(X).reshape(-1, 1)
