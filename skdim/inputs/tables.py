"""Columns of tables, by the names that messages call them, and what no column may hold."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from numbers import Number, Real
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt
from scipy import sparse
from torch import Tensor

T = TypeVar("T")

#: What to do about missing values, and about those of arrays that are no tables.
DROP_OR_FILL = "Drop rows with NaN or None, or fill the values: SimpleImputer(add_indicator=True) of scikit-learn does."
DROP_OR_END = (
    "Drop rows with NaN, or fill the values. CPCTransformer(patch_size=None) takes series that end early. Arrays hold NaN "
    "after the end; Dask arrays and files come with lengths."
)
#: What to do about values that are missing within a series.
FILL_WITHIN = (
    "NaN after the end of a series is its end, and lengths say it too. Before the end, fill the values, as pandas' "
    "interpolate(axis=1) does along the times, or drop the row."
)
#: What to do about columns of words, as the guide does; measured in benchmarks/mixed_tables.py.
ENCODE = (
    "Drop the row, or prepare a table of numbers, words and categories: "
    "make_column_transformer((OneHotEncoder(handle_unknown='ignore', "
    "sparse_output=False), make_column_selector(dtype_exclude='number')), "
    "remainder=SimpleImputer(add_indicator=True)) of scikit-learn."
)
#: What to do about dates.
NUMBERS_OF_DATES = "Give numbers that are made of it in its place, such as the year and the day of the year."
#: What to do about numbers in columns of dtype object, which encoders take for words.
NUMBERS_OF_OBJECTS = "Make numbers of {labels} first, which dtype object hides: astype(float)."
#: What to do about arrays in the cells of a column.
SAMPLES_IN_CELLS = "If the cells are the samples, give the column alone, without the frame around it."
#: What to do about infinite values.
GIVE_FINITE = "Give a finite number below 1.8e308."
#: How many columns an error names.
MOST_LISTED = 5
#: Writes values in errors: of long ones the start and the end.
SHORT = reprlib.Repr()
SHORT.maxstring = SHORT.maxother = 60


class Column(NamedTuple):
    """One column of a table."""

    label: str  # for messages
    values: Any  # one-dimensional, with its own dtype


def as_plain(values: Any) -> Any:
    """Return a tensor or masked array, or each of a list of them, as an array; all else as it is.

    numpy takes no tensor that has a gradient, lies on another device or holds bfloat16 or float8. What is masked is missing.
    """
    if isinstance(values, Tensor):
        try:
            values = values.detach().cpu().resolve_conj().resolve_neg()
            return (values.float() if values.is_floating_point() and values.itemsize < 4 else values).numpy()
        except (RuntimeError, NotImplementedError) as error:
            raise TypeError(f"A tensor cannot be read as an array: {error}") from error
    if isinstance(values, np.ma.MaskedArray):
        if not np.ma.is_masked(values):
            return values.data
        is_real = values.dtype.kind in "fiub"
        return np.ma.filled(values.astype(np.float64 if is_real else object), np.nan if is_real else None)
    if isinstance(values, list | tuple) and any(isinstance(value, Tensor | np.ma.MaskedArray) for value in values):
        return [as_plain(value) for value in values]
    return values


def refuse_sparse(values: Any, name: str) -> None:
    """Raise a ``TypeError`` if the values are a sparse matrix or array."""
    if sparse.issparse(values):
        raise TypeError(
            f"Sparse data was passed for {name}, but dense data is required. TruncatedSVD of scikit-learn, put before in a "
            f"pipeline, makes few dense columns of many sparse ones; {name}.toarray() keeps them all."
        )


def as_array(values: Any) -> npt.NDArray[Any]:
    """Return the values as an array in which each keeps its type."""
    values = as_plain(values)
    array = np.asarray(values)
    if array.dtype.kind == "U" and not isinstance(values, np.ndarray):
        return np.asarray(values, dtype=object)  # else NaN among strings becomes "nan", and 1 becomes "1"
    return array


def shape_of(values: Any) -> tuple[int, ...]:
    """Return the shape of an array-like or frame."""
    return tuple(values.shape if hasattr(values, "shape") else as_array(values).shape)


def table_columns(values: Any, name: str) -> list[Column]:
    """Return the columns of a table, at least one with at least one row; a vector is one column."""
    refuse_sparse(values, name)
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


def missing_values(array: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which values are None, NaN, NaT or NA."""
    if array.dtype.kind not in "OT":
        return cast("npt.NDArray[np.bool_]", array != array)
    # NaN and NaT differ from themselves; the NA of pandas answers no comparison, so its type tells it.
    unequal = [isinstance(value, Number | np.generic) and _is_nan(value) for value in array]
    names = [type(value).__name__ in {"NoneType", "NAType", "NaTType"} for value in array]
    return np.array(unequal, dtype=bool) | np.array(names, dtype=bool)


def _is_nan(value: Any) -> bool:
    return (
        value.is_nan() if isinstance(value, Decimal) else bool(value != value)
    )  # a signaling NaN answers no comparison


def refuse_missing(columns: Sequence[Column], advice: str = DROP_OR_FILL) -> None:
    """Raise a ``ValueError`` that names the first column with a missing value."""
    for column in columns:
        missing = missing_values(as_array(column.values))
        if missing.any():
            raise ValueError(
                f"{column.label} has {missing.sum()} missing value(s), the first in row {missing.argmax()}. {advice}"
            )


def refuse_infinite(columns: Sequence[Column]) -> None:
    """Raise a ``ValueError`` that names the first column with an infinite value."""
    for column in columns:
        array = as_array(column.values)
        if array.dtype.kind in "fc":
            refuse_rows(column, np.isinf(array))
        elif array.dtype.kind == "O":
            ends = math.inf, -math.inf
            numbers = [isinstance(value, Real | Decimal) and not _is_nan(value) and value in ends for value in array]
            refuse_rows(column, np.array(numbers, dtype=bool))


def refuse_rows(column: Column, is_infinite: npt.NDArray[np.bool_]) -> None:
    """Raise a ``ValueError`` that names the first row of an infinite value."""
    if is_infinite.any():
        row = int(is_infinite.argmax())
        raise ValueError(f"{column.label} holds {shown(as_array(column.values)[row])} in row {row}. {GIVE_FINITE}")


def shown(value: Any) -> str:
    """Return a value for messages."""
    return SHORT.repr(value.item() if isinstance(value, np.generic) and value.dtype.kind not in "mM" else value)


def missing_cells(table: Any, name: str) -> npt.NDArray[np.bool_]:
    """Return which cells of a table or a vector are None, NaN, NaT or NA, (n, n_columns)."""
    return np.column_stack([missing_values(as_array(column.values)) for column in table_columns(table, name)])


def refuse_not_finite(
    X: npt.NDArray[Any], name: str, given: Any = None, missing: bool = False, in_order: bool = True, advice: str = ""
) -> None:
    """Raise a ``ValueError`` that names the column, or the place in a sample, and the first row of what is not finite.

    ``given`` is the user's table, for names of columns, and ``missing`` allows NaN. Rows out of order have no number.
    ``advice`` says what to do about NaN, by default what tables or stacked samples need.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if X.dtype.kind != "f" or np.isfinite(X.sum()):
            return
    unusable = (np.isinf(X) if missing else ~np.isfinite(X)).reshape(len(X), -1)
    if unusable.any():
        j = int(unusable.any(0).argmax())
        row = int(unusable[:, j].argmax())
        value = X.reshape(len(X), -1)[row, j]
        place = ", ".join(str(i) for i in np.unravel_index(j, X.shape[1:]))
        label = (
            f"{name}[:, {place}]"
            if X.ndim > 2
            else f"column {list(getattr(given, 'columns', range(j + 1)))[j]!r} of {name}"
        )
        at = f" in row {row}" if in_order else ""
        if np.isnan(value):
            advice = advice or (DROP_OR_END if X.ndim == 3 else DROP_OR_FILL)
            raise ValueError(f"Input {name} contains NaN: {label} has no value{at}. {advice}")
        raise ValueError(f"Input {name} contains infinity: {label} holds {value}{at}. {GIVE_FINITE}")


def naming_cells(convert: Callable[[], T], given: Any, name: str) -> T:
    """Return ``convert()``, which makes numbers of a dense table; errors name the cell or column that holds none."""
    refuse_sparse(given, name)
    if hasattr(given, "columns") and len(given):  # polars makes numbers of dates
        _refuse_dates(table_columns(given[:1], name))
    try:
        return convert()
    except (TypeError, ValueError, OverflowError) as error:
        if len(shape_of(given)) == 2 and 0 not in shape_of(given):
            columns = table_columns(given, name)
            for column in columns:
                _refuse_objects(column, columns, error)
        raise


def _refuse_dates(columns: Sequence[Column]) -> None:
    found = {}
    for column in columns:
        for dtype in (as_array(column.values).dtype, getattr(column.values, "dtype", None)):
            if getattr(dtype, "kind", "") in ("m", "M"):
                found[column.label] = dtype
    if found:
        label, *others = found
        more = f" So do {_listed(others)}." if others else ""
        raise TypeError(f"{label} holds {found[label]}, which is no number.{more} {NUMBERS_OF_DATES}")


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels[:MOST_LISTED]) + (f" and {len(labels) - MOST_LISTED} more" * (len(labels) > MOST_LISTED))


def is_number(value: Any) -> bool:
    """Whether a value is a number, or the text of one."""
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _encoding(columns: Sequence[Column]) -> str:
    """Return how to prepare a table with words: first the columns that encoders would take for words."""
    dates, numbers = [], []
    for column in columns:
        array = as_array(column.values)
        if array.dtype.kind == "O":
            present = array[~missing_values(array)]
            if len(present) and all(map(is_number, present)):
                numbers.append(column.label)
            elif any(isinstance(value, date | timedelta) for value in present):
                dates.append(column.label)
    before = [NUMBERS_OF_OBJECTS.format(labels=_listed(numbers))] if numbers else []
    before += [f"{_listed(dates)} holds dates or spans of time. {NUMBERS_OF_DATES}"] if dates else []
    return " ".join([*before, ENCODE])


def _refuse_objects(column: Column, columns: Sequence[Column], error: Exception) -> None:
    array = as_array(column.values)
    for row, value in enumerate(array if array.dtype.kind == "O" else ()):
        try:
            float(value)
        except OverflowError:
            raise ValueError(f"{column.label} holds {shown(value)} in row {row}. {GIVE_FINITE}") from error
        except (TypeError, ValueError) as reason:
            if np.ndim(value):
                raise type(reason)(
                    f"{column.label} holds arrays, such as {shown(value)}. {SAMPLES_IN_CELLS}"
                ) from error
            advice = NUMBERS_OF_DATES if isinstance(value, date | timedelta) else _encoding(columns)
            message = f"{column.label} holds {shown(value)} in row {row}, which is no number: {reason}. {advice}"
            raise type(reason)(message) from error


def refuse_unusable(
    table: Any, name: str, advice: str = DROP_OR_FILL, allow_missing: bool = False, allow_stacked: bool = False
) -> None:
    """Raise a ``ValueError`` that names the side, the column and the first row of a missing or infinite value.

    Sparse data is refused, and so are images and series unless ``allow_stacked``. What else is no table passes: the check of
    its shape will refuse it.
    """
    refuse_sparse(table, name)
    try:
        columns = table_columns(table, name)
    except (TypeError, ValueError):
        if not allow_stacked and len(shape := np.shape(table)) > 2:
            raise ValueError(
                f"{name} has shape {shape}, and an array with dim {len(shape)} is no table, whose dim is <= 2: "
                f"{name}.reshape(len({name}), -1) makes a column of each pixel or time."
            ) from None
        return
    if not allow_missing:
        refuse_missing(columns, advice)
    refuse_infinite(columns)


def column_labels(table: Any, name: str) -> list[str]:
    """Return what messages call the columns of a side: by their names if it is a frame, else by their positions."""
    return [column.label for column in table_columns(table, name)]


def check_lengths(**sides: Any) -> None:
    """Raise a ``ValueError`` that names the sides if they differ in their number of rows; a number is that of rows."""
    for name, side in sides.items():
        if not isinstance(side, int) and not shape_of(side):
            raise TypeError(f"{name} must hold one entry a row, got {shown(side)}.")
    n = {name: side if isinstance(side, int) else shape_of(side)[0] for name, side in sides.items()}
    if unknown := [name for name, rows in n.items() if rows != rows]:
        raise ValueError(
            f"The number of rows of {unknown[0]} is unknown. Of a Dask array, compute_chunk_sizes() finds it."
        )
    if len(set(n.values())) > 1:
        told = ", ".join(f"{name} has {rows}" for name, rows in n.items())
        raise ValueError(f"Found inconsistent numbers of samples: {told}. Give each the same rows.")


def numbered(labels: Any, name: str, advice: str = DROP_OR_FILL) -> tuple[npt.NDArray[Any], npt.NDArray[np.intp]]:
    """Return the distinct labels (m,) in order and the number of each row's, (n,); labels must be of one kind."""
    refuse_unusable(labels, name, advice)
    array = as_array(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (n_samples,), one label for each row, got {array.shape}.")
    try:
        distinct, numbers = np.unique(array, return_inverse=True)
    except TypeError as error:
        kinds = ", ".join(sorted({type(label).__name__ for label in array}))
        raise ValueError(f"{name} must hold labels of one kind; it holds {kinds}.") from error
    return distinct, numbers
