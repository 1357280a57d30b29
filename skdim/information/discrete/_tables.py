"""Tables of discrete columns: their symbols, which columns are discrete, and the numbers of their categories."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Number, Real
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from scipy import sparse


class Column(NamedTuple):
    """One column of a table."""

    label: str  # for messages
    values: Any  # one-dimensional, with its own dtype


def as_array(values: Any) -> npt.NDArray[Any]:
    """Return the values as an array in which each keeps its type."""
    array = np.asarray(values)
    if array.dtype.kind == "U" and not isinstance(values, np.ndarray):
        return np.asarray(values, dtype=object)  # else NaN among strings becomes "nan", and 1 becomes "1"
    return array


def shape_of(values: Any) -> tuple[int, ...]:
    """Return the shape of an array-like or frame."""
    return tuple(values.shape if hasattr(values, "shape") else as_array(values).shape)


def table_columns(values: Any, name: str) -> list[Column]:
    """Return the columns of a table, at least one with at least one row; a vector is one column."""
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


def _missing_values(array: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which values are None, NaN, NaT or NA."""
    if array.dtype.kind not in "OT":
        return cast("npt.NDArray[np.bool_]", array != array)
    # NaN and NaT differ from themselves; the NA of pandas answers no comparison, so its type tells it.
    unequal = [isinstance(value, Number | np.generic) and bool(value != value) for value in array]
    names = [type(value).__name__ in {"NoneType", "NAType", "NaTType"} for value in array]
    return np.array(unequal, dtype=bool) | np.array(names, dtype=bool)


def missing_cells(table: Any, name: str) -> npt.NDArray[np.bool_]:
    """Return which cells of a table or a vector are None, NaN, NaT or NA, (n, n_columns)."""
    return np.column_stack([_missing_values(as_array(column.values)) for column in table_columns(table, name)])


def factorize(column: Column) -> tuple[npt.NDArray[np.intp], list[Any]]:
    """Return the code of each row, 0 to m - 1, and the m distinct symbols; equal values are one symbol."""
    array = as_array(column.values)
    missing = _missing_values(array)
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
    """Return a code for each row, 0 to m - 1; rows that are equal in every column have the same code."""
    first, *others = (factorize(column) for column in table_columns(values, name))
    codes = first[0]
    for more, symbols in others:  # renumbered after each column, so that codes stay below n
        codes = np.unique(codes * len(symbols) + more, return_inverse=True)[1]
    return codes


def abridged(values: list[Any], n_shown: int = 10) -> str:
    """Return the first values of a list, for messages."""
    return f"{values}" if len(values) <= n_shown else f"[{', '.join(map(repr, values[:n_shown]))}, ...]"


def _present(values: Any) -> npt.NDArray[Any]:
    """Return the values that are not missing; objects that are all real numbers become an array of numbers."""
    array = as_array(values)
    array = array[~_missing_values(array)]
    if array.dtype.kind != "O" or not all(isinstance(value, Real | Decimal | np.bool_) for value in array):
        return array
    numbers = np.array(array.tolist())
    return numbers.astype(np.float64) if numbers.dtype.kind == "O" else numbers  # Decimal, Fraction, huge integers


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
        n, n_distinct = len(values), len(np.unique(values))
        return n_distinct <= max(20, math.sqrt(n)) and n / n_distinct >= 5
    return values.dtype.kind in "bOSTU"


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


def which_discrete(table: Any, discrete: Any, name: str, option: str) -> npt.NDArray[np.bool_]:
    """Return :func:`discrete_columns`; errors use the names of the table and of the option."""
    columns = table_columns(table, name)
    if isinstance(discrete, str) and discrete == "auto":
        mask = np.array([is_discrete(column.values) for column in columns])
    elif isinstance(discrete, bool | np.bool_):
        mask = np.full(len(columns), bool(discrete))
    else:
        labels = [str(label) for label in getattr(table, "columns", [])]
        mask = _named_columns(discrete, len(columns), labels, name, option)
    for column, is_chosen in zip(columns, mask, strict=True):
        if not is_chosen and _present(column.values).dtype.kind not in "biuf":
            raise ValueError(
                f"{column.label} holds no real numbers (dtype {as_array(column.values).dtype}), so it cannot be continuous. "
                f"Include it in {option}={discrete!r}, or convert it to numbers."
            )
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


@dataclass(frozen=True, eq=False)
class Codebook:
    """The categories of discrete columns, which number the values of new rows too.

    Parameters
    ----------
    categories : tuple of ndarray of str, int, float or bool
        Distinct values of each column, sorted.

    Examples
    --------
    >>> from skdim.information.discrete import Codebook
    >>> book = Codebook.fit([["red", 7], ["blue", 7], ["red", 9]])
    >>> book.encode([["red", 9], ["green", 7]], unknown=-1).tolist()
    [[1, 1], [-1, 0]]
    """

    categories: tuple[npt.NDArray[Any], ...]

    @classmethod
    def fit(cls, X: Any, name: str = "X") -> Codebook:
        """Return the codebook of a table (n, n_columns) or (n,); messages call it ``name``.

        Raises
        ------
        ValueError, TypeError
            If ``X`` is empty or has a missing value, or a column holds other than only strings or only numbers and bools.
        """
        return cls(tuple(_categories(factorize(column)[1], column.label) for column in table_columns(X, name)))

    @property
    def n_categories(self) -> tuple[int, ...]:
        """Number of categories of each column."""
        return tuple(len(categories) for categories in self.categories)

    def encode(self, X: Any, unknown: int | Literal["error"] = "error") -> npt.NDArray[np.int64]:
        """Return each value's position among its column's categories, shape (n, n_columns).

        Parameters
        ----------
        X : array-like or DataFrame of shape (n, n_columns) or (n,)
            Values are compared as Python does: 1, 1.0 and True are equal.
        unknown : "error" or int, default="error"
            What a value that ``fit`` has not seen gives: an error, or this code.

        Raises
        ------
        ValueError, TypeError
            If the number of columns differs, a value is missing, unknown (by ``unknown="error"``) or cannot be hashed.
        """
        if unknown != "error" and (isinstance(unknown, bool) or not isinstance(unknown, Integral)):
            raise ValueError(f"unknown must be 'error' or an integer, got {unknown!r}.")
        columns = table_columns(X, "X")
        if len(columns) != len(self.categories):
            raise ValueError(f"X has {len(columns)} column(s), but the codebook has {len(self.categories)}.")
        encoded = []
        for column, categories in zip(columns, self.categories, strict=True):
            codes, symbols = factorize(column)
            known = {category: code for code, category in enumerate(categories.tolist())}
            new = [symbol for symbol in symbols if symbol not in known]
            if new and unknown == "error":
                raise ValueError(
                    f"{column.label} holds {len(new)} value(s) not met in fit, such as {new[0]!r}. "
                    f"The {len(known)} known are {abridged(list(known))}."
                )
            encoded.append(np.array([known.get(symbol, unknown) for symbol in symbols], dtype=np.int64)[codes])
        return np.stack(encoded, axis=1)

    def to_state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the categories as named arrays, none of objects."""
        return {f"categories_{j}": categories for j, categories in enumerate(self.categories)}

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]]) -> Codebook:
        """Return the codebook that :meth:`to_state` described."""
        return cls(tuple(np.asarray(state[f"categories_{j}"]) for j in range(len(state))))


def _categories(symbols: list[Any], label: str) -> npt.NDArray[Any]:
    """Return the distinct values of a column in order, as an array of str, int, float or bool."""
    kinds = sorted({type(symbol).__name__ for symbol in symbols})
    for of_one_kind in (str, Real | np.bool_):
        if all(isinstance(symbol, of_one_kind) for symbol in symbols):
            categories = np.array(sorted(symbols))
            if categories.dtype.kind in "biufU":
                return categories
    raise TypeError(
        f"A discrete argument must be made of strings, numbers or bools, and each column of one kind; {label} holds "
        f"{' and '.join(kinds)}. Convert it first, for instance to strings."
    )
