"""X and y as MIEstimator takes them: columns, which of them are discrete, and the numbers of the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import validate_data

from skdim.information.discrete import which_discrete

Columns = npt.NDArray[Any]


def validated(estimator: Any, X: Any, y: Any, *, reset: bool, min_samples: int = 2) -> tuple[Columns, Columns]:
    """Return X and y as 2-D arrays, float64 if every column is a number.

    ``reset=True`` learns the estimator's ``n_features_in_``, ``feature_names_in_`` and ``discrete_``; False compares with them.
    """
    name = type(estimator).__name__
    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None.")
    checked = validate_data(estimator, X, reset=reset, dtype=None, ensure_min_samples=min_samples)
    target = check_array(
        y, dtype=None, ensure_2d=False, input_name="y", ensure_min_samples=min_samples, estimator=estimator
    )
    check_consistent_length(checked, target)
    target = target.reshape(len(target), -1)
    if reset:
        discrete_X = _discrete(X, checked, estimator.discrete_X, "X")
        estimator.discrete_ = discrete_X, _discrete(y, target, estimator.discrete_y, "y")
    discrete_X, discrete_y = estimator.discrete_
    if target.shape[1] != len(discrete_y):
        raise ValueError(f"y has {target.shape[1]} column(s), but {name} was fitted on {len(discrete_y)}.")
    return _numbers(checked, discrete_X, "X"), _numbers(target, discrete_y, "y")


def _discrete(given: Any, array: Columns, discrete: Any, name: str) -> npt.NDArray[np.bool_]:
    """Return which columns are discrete, by the table that was given: the array of a frame has lost its dtypes."""
    table = given if any(hasattr(given, kind) for kind in ("dtypes", "dtype", "schema")) else array
    return which_discrete(table, discrete, name, f"discrete_{name}")


def _numbers(array: Columns, discrete: npt.NDArray[np.bool_], name: str) -> Columns:
    """Return an array whose continuous columns are float64; of objects only if a discrete column needs it."""
    if array.dtype.kind in "fiub":
        return array.astype(np.float64, copy=False)
    if discrete.all():
        return array.astype(object)
    try:
        if array.dtype.kind in "mM":
            raise TypeError
        if not discrete.any():
            return array.astype(np.float64)
        array = array.astype(object)
        for column in np.flatnonzero(~discrete):
            array[:, column] = array[:, column].astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} has dtype {array.dtype} and holds values that are no real numbers in a continuous column. Give real "
            f"numbers, or name the column in discrete_{name}."
        ) from None
    return array


def is_constant(columns: Columns) -> bool:
    """Whether all rows are equal."""
    if columns.dtype.kind == "O":
        return all(len({str(value) for value in column}) == 1 for column in columns.T)
    return bool((columns == columns[:1]).all())
