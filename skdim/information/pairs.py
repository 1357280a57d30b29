"""The mutual information of all pairs of columns of a table."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.parallel import Parallel, delayed

from skdim._sklearn import StrOptions, draw_seed, validate_params
from skdim.exceptions import warn
from skdim.information.discrete import entropy
from skdim.information.estimator import MIEstimator
from skdim.information.feature_scores import mutual_info_features
from skdim.information.parameters import refuse_own
from skdim.information.sides import FILL, OR_BY_PARAMETER, Columns, Mask, side_columns
from skdim.inputs.tables import as_plain, missing_cells


@validate_params(
    {
        "X": ["array-like"],
        "discrete": [StrOptions({"auto"}), "boolean", "array-like"],
        "method": [StrOptions({"fast", "full"})],
        "missing": [StrOptions({"raise", "drop"})],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def mutual_information_matrix(
    X: Any,
    *,
    discrete: Any = "auto",
    method: str = "fast",
    missing: str = "raise",
    n_jobs: int | None = None,
    random_state: Any = None,
    **params: Any,
) -> Any:
    r"""Estimate the mutual information of all pairs of columns, in nats.

    .. math:: M_{jk} = I(X_j; X_k), \qquad M_{jj} = H(X_j)

    Parameters
    ----------
    X : array-like of shape (n_samples, n_columns)
        A table of numbers and labels.
    discrete : "auto", bool or array-like, default="auto"
        Which columns are discrete, as in :func:`~skdim.information.discrete.discrete_columns`.
    method : {"fast", "full"}, default="fast"
        "fast" takes the scores of :func:`mutual_info_features`: milliseconds for each pair. "full" fits a :class:`MIEstimator`
        to each pair: seconds.
    missing : {"raise", "drop"}, default="raise"
        Whether a missing value is an error, or each pair is estimated from the rows that have both values.
    n_jobs : int, default=None
        Number of processes of joblib; None is one, or that of a :class:`joblib.parallel_config`.
    random_state : int, RandomState instance or None, default=None
        Seed of every fit of "full".
    **params
        Parameters of :class:`MIEstimator` for "full".

    Returns
    -------
    ndarray or DataFrame of shape (n_columns, n_columns)
        Symmetric; a DataFrame with the names of the columns if X is one of pandas. The diagonal holds the entropy of a discrete
        column, and NaN for a continuous one, whose information about itself is infinite.

    Raises
    ------
    ValueError, TypeError
        If a parameter or X is invalid, or parameters of MIEstimator are given to "fast".

    Warns
    -----
    ConstantInputWarning, SmallSampleWarning, SaturationWarning
        Once, for the first pair of which :func:`mutual_info_features` or :class:`MIEstimator` warns.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim import mutual_information_matrix
    >>> x, noise = np.random.default_rng(0).normal(size=(2, 4000))
    >>> X = np.column_stack([x, 0.8 * x + 0.6 * noise, x > 0])
    >>> mutual_information_matrix(X, discrete=[2]).round(2).tolist()  # 0.51 = -log(1 - 0.8^2) / 2, 0.69 = log 2
    [[nan, 0.51, 0.69], [0.51, nan, 0.26], [0.69, 0.26, 0.69]]
    """
    if method == "fast" and params:
        raise ValueError(f"{sorted(params)} have no effect on method='fast'. Use method='full'.")
    refuse_own(params, ("discrete_X", "discrete_y", "discrete_Z"), "discrete")
    X = as_plain(X)
    if np.ndim(X) != 2:
        raise ValueError(f"X must have shape (n_samples, n_columns), got {np.shape(X)}.")
    columns, mask = side_columns(X, discrete, "X", "discrete", OR_BY_PARAMETER, allow_missing=missing == "drop")
    d, seed = len(mask), draw_seed(random_state)
    absent = missing_cells(columns, "X")
    if method == "fast" and not absent.any():
        blocks = [(list(range(j)), j) for j in range(1, d)]
    else:
        blocks = [([i], j) for j in range(1, d) for i in range(j)]
    own = None if method == "fast" else {"random_state": seed} | params
    jobs = [delayed(_scores)(columns, mask, absent, *block, own) for block in blocks]
    matrix = np.full((d, d), np.nan)
    warned: dict[type[Warning], str] = {}
    for (left, right), (values, of_pair) in zip(blocks, Parallel(n_jobs=n_jobs)(jobs), strict=True):
        matrix[left, right] = matrix[right, left] = values
        warned = of_pair | warned
    for kind, message in warned.items():
        warn(f"Of one pair of columns or more: {message}", kind)
    for j in np.flatnonzero(mask):
        matrix[j, j] = entropy(columns[~absent[:, j], j])
    if not hasattr(X, "iloc"):
        return matrix
    import pandas as pd

    return pd.DataFrame(matrix, index=X.columns, columns=X.columns)


def _scores(
    columns: Columns, mask: Mask, absent: Mask, left: list[int], right: int, params: Mapping[str, Any] | None
) -> tuple[Any, dict[type[Warning], str]]:
    """Return the scores of columns with another, by estimators of ``params`` if given, and the first warning of each kind."""
    kept = ~absent[:, [*left, right]].any(1)
    x, y = columns[kept][:, left], columns[kept, right]
    discrete = {"discrete_X": mask[left], "discrete_y": bool(mask[right])}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if params is None:
            scores = mutual_info_features(x, y if mask[right] else y.astype(np.float64), **discrete)
        else:
            scores = MIEstimator(**params).set_params(**discrete).fit(x, y).mi_
    return scores, {each.category: str(each.message) for each in reversed(caught)}


@validate_params({"x": ["array-like"], "y": ["array-like"], "lags": ["array-like"]}, prefer_skip_nested_validation=True)
def lagged_mutual_information(x: Any, y: Any, lags: Any) -> npt.NDArray[np.float64]:
    r"""Estimate the mutual information of one series with another at later times, in nats, for each lag.

    .. math:: I(X_{t - \ell}; Y_t)

    Scores are those of :func:`mutual_info_features`. A series that remembers its past raises all of them:
    :func:`~skdim.transfer_entropy` tells what comes from x alone, and has a test.

    Parameters
    ----------
    x, y : array-like of shape (n_samples,)
        Series in the order of time, at the same times.
    lags : array-like of int
        Steps :math:`\ell` from x to y; below 0, x is later.

    Returns
    -------
    ndarray of shape (n_lags,)

    Raises
    ------
    ValueError, TypeError
        If a series is invalid, their lengths differ, or a lag leaves fewer than two rows.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.information import lagged_mutual_information
    >>> x, noise = np.random.default_rng(0).normal(size=(2, 4000))
    >>> y = 0.8 * np.roll(x, 2) + 0.6 * noise  # I = -log(1 - 0.8^2) / 2 = 0.51 at lag 2
    >>> lagged_mutual_information(x, y, [0, 1, 2, 3]).round(2).tolist()
    [0.0, 0.0, 0.5, 0.0]
    """
    of_x, mask_x = side_columns(x, "auto", "x", advice=FILL)
    of_y, mask_y = side_columns(y, "auto", "y", advice=FILL)
    if of_x.shape[1] != 1 or of_y.shape != of_x.shape:
        raise ValueError(f"x and y must be series of one shape (n,), got {np.shape(x)} and {np.shape(y)}.")
    n, values, discrete = len(of_x), [], {"discrete_X": mask_x, "discrete_y": bool(mask_y[0])}
    for lag in np.asarray(lags).tolist():
        if not isinstance(lag, int) or abs(lag) > n - 2:
            raise ValueError(f"lags must be whole numbers between {2 - n} and {n - 2}, got {lag!r}.")
        earlier, later = slice(max(-lag, 0), n - max(lag, 0)), slice(max(lag, 0), n - max(-lag, 0))
        values.append(mutual_info_features(of_x[earlier], of_y[later, 0], **discrete)[0])
    return np.array(values)
