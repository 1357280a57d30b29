"""Tables of discrete columns, their symbols, and what counts as missing."""

from __future__ import annotations

from numbers import Number
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from scipy import sparse


class Column(NamedTuple):
    """One column of a table."""

    label: str  # for messages
    values: Any  # one-dimensional, with the dtype that it came with


def as_array(values: Any) -> npt.NDArray[Any]:
    """Return the values as an array in which each keeps its type."""
    array = np.asarray(values)
    if array.dtype.kind == "U" and not isinstance(values, np.ndarray):
        return np.asarray(values, dtype=object)  # else NaN among strings were the string "nan", and 1 the string "1"
    return array


def shape_of(values: Any) -> tuple[int, ...]:
    """Return the shape of an array-like or frame."""
    return tuple(values.shape if hasattr(values, "shape") else as_array(values).shape)


def table_columns(values: Any, name: str) -> list[Column]:
    """Return the columns of a table, or the one column that a vector is; at least one row and one column."""
    if sparse.issparse(values):
        raise TypeError(f"{name} is sparse, and counting needs a dense array: pass {name}.toarray().")
    shape = shape_of(values)
    if len(shape) not in (1, 2):
        raise ValueError(f"{name} must have shape (n,) or (n, n_columns), got {shape}.")
    if 0 in shape:
        raise ValueError(f"{name} is empty: its shape is {shape}. At least one row and one column are needed.")
    if len(shape) == 1:
        return [Column(name, values)]
    if hasattr(values, "columns"):  # a DataFrame, whose columns differ in dtype; polars takes positions without iloc
        by_position = getattr(values, "iloc", values)
        return [Column(f"column {label!r} of {name}", by_position[:, j]) for j, label in enumerate(values.columns)]
    return [Column(f"column {j} of {name}", column) for j, column in enumerate(as_array(values).T)]


def _is_missing(value: object) -> bool:
    # NaN and NaT differ from themselves; the NA of pandas answers no comparison, so it is known by its type.
    not_itself = isinstance(value, Number | np.generic) and bool(value != value)
    return value is None or not_itself or type(value).__name__ in {"NAType", "NaTType"}


def missing_values(array: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return where None, NaN, NaT or NA stand."""
    if array.dtype.kind in "OT":
        return np.fromiter(map(_is_missing, array), np.bool_, len(array))
    return cast("npt.NDArray[np.bool_]", array != array)


def factorize(column: Column) -> tuple[npt.NDArray[np.intp], list[Any]]:
    """Return the code of each row, 0 to m - 1, and the m distinct symbols; equal values are one symbol."""
    array = as_array(column.values)
    missing = missing_values(array)
    if missing.any():
        raise ValueError(
            f"{column.label} has {missing.sum()} missing value(s), the first in row {missing.argmax()}. Fill them with a "
            f"category of their own, such as 'missing', or drop their rows."
        )
    if array.dtype.kind not in "OT":
        symbols, codes = np.unique(array, return_inverse=True)
        return codes, symbols.tolist()
    numbers: dict[Any, int] = {}
    try:
        codes = np.fromiter((numbers.setdefault(value, len(numbers)) for value in array), np.intp, len(array))
    except TypeError as error:
        message = f"A discrete argument must be made of strings, numbers or bools; {column.label}: {error}."
        raise TypeError(message) from None
    return codes, list(numbers)


def row_codes(values: Any, name: str) -> npt.NDArray[np.intp]:
    """Return one code per row, 0 to m - 1, where rows that are equal in every column have the same code."""
    first, *others = (factorize(column) for column in table_columns(values, name))
    codes = first[0]
    for more, symbols in others:  # renumbered after each column, so that codes stay below n
        codes = np.unique(codes * len(symbols) + more, return_inverse=True)[1]
    return codes


def abridged(values: list[Any], n_shown: int = 10) -> str:
    """Return the first values of a list, for messages."""
    return f"{values}" if len(values) <= n_shown else f"[{', '.join(map(repr, values[:n_shown]))}, ...]"
