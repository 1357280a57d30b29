"""Arrays of samples as users give them -> validated arrays of a known shape."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array, check_consistent_length, validate_data

from skdim._sklearn import safe_indexing
from skdim.inputs.arrays import Beside, Stored, as_stored, is_stored
from skdim.inputs.partitions import View, feature_names

__all__ = [
    "arrays_of_views",
    "check_names_of_view",
    "checked_as_read",
    "is_list_of_arrays",
    "resolve_input_shape",
    "validate_samples",
]


def validate_samples(
    estimator: Any, X: Any, *, reset: bool, min_samples: int = 1, finite: bool | str = True, columns: Any = None
) -> Any:
    """Return X as an array of real numbers, uncopied where it is one; samples outside memory stay there.

    Parameters
    ----------
    estimator : scikit-learn estimator
        Learns the number and names of the columns of a 2-D X, or must have been fitted on the same.
    X : array-like of shape (n, ...), or samples outside memory
        The user's X.
    reset : bool
        Whether the columns are learned.
    min_samples : int, default=1
        Fewest samples.
    finite : bool or "allow-nan", default=True
        As scikit-learn's ``ensure_all_finite``.
    columns : ndarray of int or None, default=None
        The columns of a 2-D X that are read; None for all.

    Raises
    ------
    ValueError
        If X is no array of finite real numbers with at most four dimensions.
    """
    X = as_stored(X) if is_stored(X) else X
    stacked = np.ndim(X) > 2 if not hasattr(X, "ndim") and isinstance(X, (list, tuple)) else getattr(X, "ndim", 2) > 2
    checks: dict[str, Any] = {"dtype": "numeric", "ensure_min_samples": min_samples, "ensure_all_finite": finite}
    if isinstance(X, Stored):
        X = checked_as_read(estimator, X, min_samples, finite, columns, reset)
    elif stacked:
        X = check_array(X, allow_nd=True, estimator=estimator, input_name="X", **checks)
    elif columns is None:
        X = validate_data(estimator, X, reset=reset, **checks)
    else:  # the other columns may hold anything: they are not read
        X = X if hasattr(X, "shape") else np.asarray(X, dtype=object)
        if len(X.shape) != 2 or hasattr(X, "toarray"):
            check_array(X, dtype=None, estimator=estimator, input_name="X")  # raises the error of scikit-learn
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        X = check_array(safe_indexing(X, columns, axis=1), estimator=estimator, input_name="X", **checks)
    if not math.prod(X.shape[1:]):
        raise ValueError(f"Found array with no values in a sample (shape={X.shape}).")
    if X.dtype.kind not in "fiub":
        raise ValueError(f"X must hold real numbers, got an array of dtype {X.dtype}.")
    if X.ndim > 4:
        raise ValueError(
            f"X has shape {X.shape}; samples may be rows (n, n_features), images (n, H, W) or (n, C, H, W), or sequences "
            "(n, C, L) with encoder='conv1d'."
        )
    return X


def checked_as_read(
    estimator: Any,
    X: Stored,
    min_samples: int = 1,
    finite: bool | str = True,
    columns: Any = None,
    reset: bool | None = None,
) -> Stored:
    """Return samples outside memory that are checked as they are read, which a fit does once before it trains.

    The parameters are those of :func:`validate_samples`; ``reset=None`` leaves the number and names of columns unchecked.
    """
    check = functools.partial(
        check_array,
        dtype=None,
        allow_nd=True,
        ensure_all_finite=finite,
        estimator=type(estimator).__name__,
        input_name="X",
    )
    if len(X) < min_samples or X.ndim < 2:
        check(X[:min_samples], ensure_min_samples=min_samples)
    if reset is not None and X.ndim == 2:
        validate_data(estimator, X, reset=reset, skip_check_array=True)
    if columns is not None:
        X = X.then(lambda block: block[:, columns])
    checked: Stored = X.then(functools.partial(check, ensure_min_samples=0))
    return checked


def resolve_input_shape(given: Sequence[int] | None, X_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of one sample: of X, or the parameter ``input_shape`` where X is flat.

    Raises
    ------
    ValueError
        If ``given`` is not a shape, or does not match X.
    """
    shape = X_shape[1:]
    if given is not None:
        sides = tuple(given)
        if len(sides) not in (2, 3) or not all(isinstance(side, Integral) and side > 0 for side in sides):
            raise ValueError(f"input_shape must be (H, W), (C, H, W) or (C, L) with positive integers, got {given!r}.")
        if shape not in (sides, (math.prod(sides),)):
            raise ValueError(
                f"input_shape={sides} does not match X of shape {X_shape}: samples must have the shape {sides} or "
                f"({math.prod(sides)},)."
            )
        shape = sides
    return tuple(int(side) for side in shape)


def is_list_of_arrays(X: Any) -> bool:
    """Whether X is a list of arrays or data frames, one for each view; a list of lists is one array."""
    return isinstance(X, (list, tuple)) and len(X) > 0 and all(len(getattr(part, "shape", ())) > 1 for part in X)


def arrays_of_views(X: Any, estimator: Any, min_samples: int) -> tuple[Any, list[tuple[Any, ...]]]:
    """Return the views side by side in one array (n, n_columns), and their groups of columns.

    Raises
    ------
    ValueError
        If there is one array only, or their lengths differ.
    """
    if len(X) < 2:
        raise ValueError("X is a list of 1 array, that is one view only; a list of arrays has one for each view.")
    arrays: list[Any] = [
        as_stored(part)
        if is_stored(part)
        else check_array(
            part,
            dtype="numeric",
            allow_nd=True,
            ensure_all_finite="allow-nan",
            ensure_min_samples=min_samples,
            estimator=estimator,
            input_name=f"X[{i}]",
        )
        for i, part in enumerate(X)
    ]
    check_consistent_length(*arrays)
    if max(array.ndim for array in arrays) > 4:
        raise ValueError(f"The arrays of X must have at most 4 dimensions, got shapes {[a.shape for a in arrays]}.")
    groups, start = [], 0
    for i, array in enumerate(arrays):
        width = math.prod(array.shape[1:])
        shape = (array.shape[1:],) if array.ndim > 2 else ()
        groups.append((f"view{i}", slice(start, start + width), *shape))
        start += width
    if any(is_stored(part) or isinstance(part, np.memmap) for part in X):  # they stay where they are
        parts = [part if is_stored(part) else array for part, array in zip(X, arrays, strict=True)]
        return as_stored(Beside(parts)), groups
    return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1), groups


def check_names_of_view(X: Any, names: Any, view: View) -> None:
    """Raise a ``ValueError`` if X, which holds the columns of one view, names them otherwise than in ``fit``."""
    given = feature_names(X)
    expected = None if names is None else [str(names[column]) for column in view[1]]
    if given is not None and expected is not None and given != expected:
        raise ValueError(f"The columns of view {view[0]!r} were {expected} in fit, got {given}.")
