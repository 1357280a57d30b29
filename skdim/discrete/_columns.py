"""Which columns of a table are discrete."""

from __future__ import annotations

import math
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from skdim.discrete._symbols import abridged, as_array, missing_values, shape_of, table_columns


def _plain(values: Any) -> npt.NDArray[Any]:
    """Return the values that are not missing; objects that are all real numbers become an array of numbers."""
    array = as_array(values)
    array = array[~missing_values(array)]
    if array.dtype.kind != "O" or not all(isinstance(value, Real | Decimal | np.bool_) for value in array):
        return array
    numbers = np.array(array.tolist())
    return numbers.astype(np.float64) if numbers.dtype.kind == "O" else numbers  # Decimal, Fraction, huge integers


def is_discrete(column: Any) -> bool:
    r"""Whether a column is discrete, by a rule that looks at its type and, for integers, at how often values recur.

    Strings, bools, categories and other objects are discrete. Floats are continuous, even where they are whole numbers:
    say so with ``discrete`` of :func:`discrete_columns`, or cast. Integers are discrete if they recur,

    .. math:: m \le \max(20, \sqrt n) \quad \text{and} \quad n / m \ge 5,

    with m distinct values in n rows: class labels, counts and ratings, but not identifiers, years of life or cents. Missing
    values do not count. An object column of which every value is a real number is judged as those numbers.

    Parameters
    ----------
    column : array-like or Series of shape (n,)
        NumPy, pandas, polars, or a list.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        If ``column`` is empty or not one-dimensional.

    Examples
    --------
    >>> from skdim.discrete import is_discrete
    >>> is_discrete(["a", "b", "a"]), is_discrete([0, 1, 2] * 20), is_discrete(range(60)), is_discrete([0.0, 1.0] * 30)
    (True, True, False, False)
    """
    shape = shape_of(column)
    if len(shape) != 1 or not shape[0]:
        raise ValueError(f"column must have shape (n,) with n >= 1, got {shape}. For tables, use discrete_columns.")
    if str(getattr(column, "dtype", "")) == "category":  # of pandas: as an array it may be numbers
        return True
    values = _plain(column)
    if values.dtype.kind in "iu" and values.size:
        n, n_distinct = len(values), len(np.unique(values))
        return n_distinct <= max(20, math.sqrt(n)) and n / n_distinct >= 5
    return values.dtype.kind in "bOSTU"


def discrete_columns(X: Any, discrete: Any = "auto") -> npt.NDArray[np.bool_]:
    """Return which columns of a table are discrete.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n, n_columns) or (n,)
        The table; a vector is a table of one column.
    discrete : "auto", bool, or array-like, default="auto"
        "auto": each column by the rule of :func:`is_discrete`. True or False: all of them, or none. Else a mask of bools
        of shape (n_columns,), or the positions of the discrete columns, or their names where X is a DataFrame: as
        ``discrete_features`` of :func:`sklearn.feature_selection.mutual_info_classif`.

    Returns
    -------
    ndarray of bool of shape (n_columns,)

    Raises
    ------
    TypeError
        If ``X`` is sparse.
    ValueError
        If ``X`` is empty or has more than two dimensions, ``discrete`` is none of the above, a mask has the wrong length,
        a position or a name does not exist, or a column that holds no real numbers would be continuous.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.discrete import discrete_columns
    >>> X = np.array([[0.1, "red"], [2.0, "blue"]], dtype=object)
    >>> discrete_columns(X).tolist(), discrete_columns(X, [0, 1]).tolist()
    ([False, True], [True, True])
    """
    columns = table_columns(X, "X")
    if isinstance(discrete, str) and discrete == "auto":
        mask = np.array([is_discrete(column.values) for column in columns])
    elif isinstance(discrete, bool | np.bool_):
        mask = np.full(len(columns), bool(discrete))
    else:
        mask = _named_columns(discrete, len(columns), [str(name) for name in getattr(X, "columns", [])])
    for column, is_chosen in zip(columns, mask, strict=True):
        if not is_chosen and _plain(column.values).dtype.kind not in "biuf":
            raise ValueError(
                f"{column.label} holds no real numbers (dtype {as_array(column.values).dtype}), so it cannot be continuous. "
                f"Include it in discrete={discrete!r}, or convert it to numbers."
            )
    return mask


def _named_columns(discrete: Any, n_columns: int, names: list[str]) -> npt.NDArray[np.bool_]:
    """Return the mask that a mask, positions or names mean."""
    chosen = np.array(discrete)
    mask = np.zeros(n_columns, dtype=bool)
    if chosen.shape == (0,):
        return mask
    if chosen.ndim != 1 or chosen.dtype.kind not in "biuUTO":
        raise ValueError(
            f"discrete must be 'auto', True, False, a mask of {n_columns} bool(s), or a list of column positions or names, "
            f"got {discrete!r}."
        )
    if chosen.dtype.kind == "b":
        if len(chosen) != n_columns:
            raise ValueError(f"The mask discrete has {len(chosen)} entries, but X has {n_columns} column(s).")
        return chosen
    place: dict[Any, int]
    if chosen.dtype.kind in "iu":
        place, allowed = {j: j for j in range(-n_columns, n_columns)}, f"0 to {n_columns - 1}"
    else:
        place = {name: j for j, name in enumerate(names)}
        allowed = abridged(names) if names else "only positions, as X is not a DataFrame"
    unknown = [value for value in chosen.tolist() if value not in place]
    if unknown:
        raise ValueError(f"X has no column {abridged(unknown)}, which discrete names. Allowed are {allowed}.")
    mask[[place[value] for value in chosen.tolist()]] = True
    return mask
