"""Tables of discrete columns: their symbols, and which columns are discrete."""

from __future__ import annotations

import math
from datetime import date, timedelta
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from skdim.exceptions import SmallSampleWarning, warn
from skdim.inputs.tables import (
    NUMBERS_OF_DATES,
    Column,
    as_array,
    is_number,
    missing_values,
    refuse_infinite,
    refuse_missing,
    refuse_rows,
    shape_of,
    shown,
    table_columns,
)

#: Fewest rows in which values that are met once may be called identifiers.
FEW_TO_JUDGE = 20


def factorize(column: Column) -> tuple[npt.NDArray[np.intp], list[Any]]:
    """Return the code of each row, 0 to m - 1, and the m distinct symbols; equal values are one symbol."""
    refuse_missing([column], "Fill them with a category of their own, such as 'missing', or drop their rows.")
    refuse_infinite([column])
    array = as_array(column.values)
    if array.dtype.kind not in "OT":
        symbols, codes = np.unique(array, return_inverse=True)
        # As a list of Python's objects nanoseconds would be integers.
        return codes, list(symbols) if array.dtype.kind in "mM" else symbols.tolist()
    numbers: dict[Any, int] = {}
    try:
        codes = np.fromiter((numbers.setdefault(value, len(numbers)) for value in array), np.intp, len(array))
    except TypeError as error:
        message = f"A discrete argument must be made of strings, numbers or bools; {column.label}: {error}."
        raise TypeError(message) from None
    return codes, list(numbers)


def row_codes(values: Any, name: str, warns: bool = False) -> npt.NDArray[np.intp]:
    """Return a code for each row, 0 to m - 1; rows that are equal in every column have the same code.

    ``warns`` names a column, or the rows, if most values are met once.
    """
    columns = table_columns(values, name)
    codes, has_warned = np.zeros(1, dtype=np.intp), False
    for column in columns:  # renumbered after each column, so that codes stay below n
        more, symbols = factorize(column)
        has_warned |= warns and warn_of_identifiers(more, column.label, symbols)
        codes = more if len(columns) == 1 else np.unique(codes * len(symbols) + more, return_inverse=True)[1]
    if warns and not has_warned and len(columns) > 1:
        warn_of_identifiers(codes, f"{name}, each row as one value,")
    return codes


def warn_of_identifiers(codes: npt.NDArray[np.integer], label: str, symbols: list[Any] | None = None) -> bool:
    """Warn if most rows have a value of their own, and return whether they do; ``symbols`` tell of text among numbers."""
    n, counts = len(codes), np.bincount(codes)
    n_alone = np.count_nonzero(counts == 1)
    if n < FEW_TO_JUDGE or n_alone <= n / 2:
        return False
    warn(
        f"{label} has {np.count_nonzero(counts)} distinct values in {n} rows, and {n_alone} rows have a value of their own. "
        "Such identifiers say nothing, and the value shrinks towards 0. Leave the column out, or merge its values."
        + _text_among_numbers(codes, symbols or []),
        SmallSampleWarning,
    )
    return True


def _text_among_numbers(codes: npt.NDArray[np.integer], symbols: list[Any]) -> str:
    """Return what to say of labels of which most are numbers, as such or written as text, and some are text."""
    texts = [code for code, symbol in enumerate(symbols) if isinstance(symbol, str)]
    if not texts or sum(map(is_number, symbols)) <= len(symbols) / 2:
        return ""
    code = next((code for code in texts if not is_number(symbols[code])), texts[0])
    row = int((codes == code).argmax())
    held = f"row {row} holds the text {shown(symbols[code])}"
    return f" Most values are numbers, but {held}: replace it, and convert the column with astype(float)."


def abridged(values: list[Any], n_shown: int = 10) -> str:
    """Return the first values of a list, for messages."""
    return f"{values}" if len(values) <= n_shown else f"[{', '.join(map(repr, values[:n_shown]))}, ...]"


def _present(values: Any) -> npt.NDArray[Any]:
    """Return the values that are not missing; objects that are all real numbers become an array of numbers."""
    array = as_array(values)
    array = array[~missing_values(array)]
    if array.dtype.kind != "O" or not all(isinstance(value, Real | Decimal | np.bool_) for value in array):
        return array
    numbers = np.array(array.tolist())
    return numbers if numbers.dtype.kind != "O" else np.array([_as_float(number) for number in numbers])


def _as_float(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _real_values(column: Column, option: str | None) -> npt.NDArray[Any]:
    """Return the values that are not missing, as real numbers; if some are none, ``option`` may make the column discrete."""
    values = _present(column.values)
    if values.dtype.kind in "biuf":
        return values
    array = as_array(column.values)
    given = np.flatnonzero(~missing_values(array))
    row = next((row for row in given if not isinstance(array[row], Real | Decimal | np.bool_)), given[0])
    is_date = array.dtype.kind in "mM" or isinstance(array[row], date | timedelta)
    advice = NUMBERS_OF_DATES.rstrip(".") if is_date else "Convert the column to numbers"
    raise ValueError(
        f"{column.label} holds {shown(array[row])} in row {row}, which is no real number. {advice}"
        + ("." if option is None else f", or mark it as discrete by the parameter {option}.")
    )


def real_numbers(column: Column, option: str | None) -> npt.NDArray[np.float64]:
    """Return a continuous column as finite numbers, and NaN for what is missing."""
    numbers = np.full(len(column.values), np.nan)
    numbers[~missing_values(as_array(column.values))] = _real_values(column, option)
    refuse_rows(column, np.isinf(numbers))
    return numbers


def is_discrete(column: Any) -> bool:
    r"""Whether a column is discrete, by its type and, for integers, by how often values recur.

    Strings, bools, categories and other objects are discrete, and floats are continuous, even whole numbers. Integers are
    discrete if they recur,

    .. math:: m \le \max(20, \sqrt n) \quad \text{and} \quad n / m \ge 5,

    with m distinct values in n rows: class labels, counts and ratings, but not identifiers, years of life or cents.

    Parameters
    ----------
    column : array-like or Series of shape (n,)
        Missing values do not count. Objects that are all real numbers are judged as numbers.

    Raises
    ------
    ValueError
        If ``column`` is empty or not one-dimensional.

    Examples
    --------
    >>> from skdim.information.discrete import is_discrete
    >>> is_discrete(["a", "b", "a"]), is_discrete([0, 1, 2] * 20), is_discrete(range(60)), is_discrete([0.0, 1.0] * 30)
    (True, True, False, False)
    """
    shape = shape_of(column)
    if len(shape) != 1 or not shape[0]:
        raise ValueError(f"column must have shape (n,) with n >= 1, got {shape}. For tables, use discrete_columns.")
    if str(getattr(column, "dtype", "")) == "category":  # of pandas: as an array it may be numbers
        return True
    values = _present(column)
    if values.dtype.kind in "iu" and values.size:
        return recur(len(np.unique(values)), len(values))
    return values.dtype.kind in "bOSTU"


def recur(n_distinct: int, n: int) -> bool:
    """Whether so many distinct values recur in n rows, as :func:`is_discrete` says."""
    return n_distinct <= max(20, math.sqrt(n)) and n / n_distinct >= 5


def discrete_columns(X: Any, discrete: Any = "auto") -> npt.NDArray[np.bool_]:
    """Return which columns of a table are discrete, bools of shape (n_columns,).

    Parameters
    ----------
    X : array-like or DataFrame of shape (n, n_columns) or (n,)
        The table; a vector is a table of one column.
    discrete : "auto", bool, or array-like, default="auto"
        "auto": each column by the rule of :func:`is_discrete`. True or False: all of them, or none. Else a mask of shape
        (n_columns,), or the positions of the discrete columns, or their names if X is a DataFrame.

    Raises
    ------
    ValueError, TypeError
        If ``X`` is empty, sparse or has more than two dimensions, ``discrete`` does not fit it, or a column that holds no
        real numbers would be continuous.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.information.discrete import discrete_columns
    >>> X = np.array([[0.1, "red"], [2.0, "blue"]], dtype=object)
    >>> discrete_columns(X).tolist(), discrete_columns(X, [0, 1]).tolist()
    ([False, True], [True, True])
    """
    return which_discrete(X, discrete, "X", "discrete")


def which_discrete(table: Any, discrete: Any, name: str, option: str | None) -> npt.NDArray[np.bool_]:
    """Return :func:`discrete_columns`; errors use the names of the table and of the option."""
    columns = table_columns(table, name)
    if isinstance(discrete, str) and discrete == "auto":
        mask = np.array([is_discrete(column.values) for column in columns])
    elif isinstance(discrete, bool | np.bool_):
        mask = np.full(len(columns), bool(discrete))
    else:
        labels = [str(label) for label in getattr(table, "columns", [])]
        mask = _named_columns(discrete, len(columns), labels, name, str(option))
    for j in np.flatnonzero(~mask):
        _real_values(columns[j], option)
    return mask


def _named_columns(discrete: Any, n: int, labels: list[str], name: str, option: str) -> npt.NDArray[np.bool_]:
    """Return the mask of n columns that a mask, positions or labels mean."""
    chosen, mask = np.array(discrete), np.zeros(n, dtype=bool)
    if chosen.shape == (0,):
        return mask
    if chosen.ndim != 1 or chosen.dtype.kind not in "biuUTO":
        raise ValueError(
            f"{option} must be 'auto', True, False, a mask of {n} bool(s), or a list of column positions or names, "
            f"got {discrete!r}."
        )
    if chosen.dtype.kind == "b":
        if len(chosen) != n:
            raise ValueError(f"The mask {option} has {len(chosen)} entries, but {name} has {n} column(s).")
        return chosen
    if chosen.dtype.kind in "iu":
        place: dict[Any, int] = {j: j for j in range(-n, n)}
        allowed = f"0 to {n - 1}"
    else:
        place = {label: j for j, label in enumerate(labels)}
        allowed = abridged(labels) if labels else f"only positions, as {name} is not a DataFrame"
    unknown = [value for value in chosen.tolist() if value not in place]
    if unknown:
        raise ValueError(f"{name} has no column {abridged(unknown)}, which {option} names. Allowed are {allowed}.")
    mask[[place[value] for value in chosen.tolist()]] = True
    return mask
