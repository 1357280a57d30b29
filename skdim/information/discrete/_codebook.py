"""The numbers of categories, which new rows get too, and categories of any kind as text that no pickle needs to hold."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Rational, Real
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from skdim.information.discrete._tables import abridged, factorize
from skdim.inputs.tables import Column, table_columns

#: What a category may be, for messages.
KINDS = "strings, numbers, bools, bytes, dates, times, durations, periods, intervals, or tuples of these"


@dataclass(frozen=True, eq=False)
class Codebook:
    """The categories of discrete columns, which number the values of new rows too.

    Parameters
    ----------
    categories : tuple of ndarray of str, int, float or bool
        Distinct values of each column, sorted; typed text in a column that is neither all strings nor all numbers.
    labels : tuple of str
        Names of the columns in messages.
    typed : tuple of bool
        Whether the categories of a column are typed text.

    Examples
    --------
    >>> from skdim.information.discrete import Codebook
    >>> book = Codebook.fit([["red", 7], ["blue", 7], ["red", 9]])
    >>> book.encode([["red", 9], ["green", 7]], unknown=-1).tolist()
    [[1, 1], [-1, 0]]
    """

    categories: tuple[npt.NDArray[Any], ...]
    labels: tuple[str, ...]
    typed: tuple[bool, ...]

    @classmethod
    def fit(cls, X: Any, name: str = "X") -> Codebook:
        """Return the codebook of a table (n, n_columns) or (n,); messages call it ``name``.

        Raises
        ------
        ValueError, TypeError
            If ``X`` is empty or has a missing value, or a value is of a kind that text cannot keep.
        """
        return cls.of_columns(table_columns(X, name))

    @classmethod
    def of_columns(cls, columns: Sequence[Column]) -> Codebook:
        """Return the codebook of columns; messages call them by their labels."""
        categories, typed = zip(*(_categories(column) for column in columns), strict=True)
        return cls(categories, tuple(column.label for column in columns), typed)

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
        for column, categories, label, typed in zip(columns, self.categories, self.labels, self.typed, strict=True):
            codes, symbols = factorize(Column(label, column.values))
            known = {category: code for code, category in enumerate(categories.tolist())}
            keys = [typed_text(symbol) for symbol in symbols] if typed else symbols
            is_new = np.array([key not in known for key in keys])
            if is_new.any() and unknown == "error":
                row = int(is_new[codes].argmax())
                raise ValueError(
                    f"{label} holds {is_new.sum()} value(s) not met in fit, the first in row {row}: {symbols[codes[row]]!r}. "
                    f"Drop the row, or give one of the {len(known)} known values: {abridged(list(known))}."
                )
            encoded.append(np.array([known.get(key, unknown) for key in keys], dtype=np.int64)[codes])
        return np.stack(encoded, axis=1)

    def to_state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the codebook as named arrays, none of objects."""
        categories = {f"categories_{j}": categories for j, categories in enumerate(self.categories)}
        return categories | {"labels": np.array(self.labels), "typed": np.array(self.typed)}

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]]) -> Codebook:
        """Return the codebook that :meth:`to_state` described."""
        labels, typed = tuple(state["labels"].tolist()), tuple(state["typed"].tolist())
        return cls(tuple(np.asarray(state[f"categories_{j}"]) for j in range(len(labels))), labels, typed)


def _categories(column: Column) -> tuple[npt.NDArray[Any], bool]:
    """Return the distinct values of a column in order, as an array of str, int, float or bool, and whether it is typed text."""
    symbols = factorize(column)[1]
    for of_one_kind in (str, Real | np.bool_):
        if all(isinstance(symbol, of_one_kind) for symbol in symbols):
            categories = np.array(sorted(symbols))
            if categories.dtype.kind in "biufU":
                return categories, False
    texts = [(symbol, typed_text(symbol)) for symbol in symbols]
    for symbol, text in texts:
        if text is None:
            kind = type(symbol).__name__
            raise TypeError(
                f"{column.label} holds {kind}, and categories must be {KINDS}. Convert it first, for instance to strings."
            )
    return np.array(sorted(str(text) for _, text in texts)), True


def typed_text(value: Any) -> str | None:
    """Return a text that is the same for equal values, and differs between others; None for a kind that has none."""
    if isinstance(value, tuple):
        parts = [typed_text(part) for part in value]
        return None if None in parts else f"tuple {parts}"
    if hasattr(value, "closed") and hasattr(value, "left"):  # pandas.Interval
        return f"interval {value.closed} {[typed_text(end) for end in (value.left, value.right)]}"
    if hasattr(value, "ordinal") and hasattr(value, "freqstr"):  # pandas.Period
        return f"period {value.freqstr} {value}"
    for kind, text in _TEXTS:
        if isinstance(value, kind):
            return text(value)
    return None


def _number(value: Any) -> str:
    """Return an exact fraction: 1, 1.0, True and Decimal(1) are equal."""
    if isinstance(value, Rational | np.bool_):
        value = int(value) if isinstance(value, np.bool_) else value
        pair = value.numerator, value.denominator
    elif value in (float("inf"), -float("inf")):
        return f"number {float(value)}"
    else:
        pair = value.as_integer_ratio()
    return f"number {pair[0]}" if pair[1] == 1 else f"number {pair[0]}/{pair[1]}"


def _moment(value: Any) -> str:
    """Return a moment to the nanosecond, in UTC if it has a time zone."""
    zone = ""
    if getattr(value, "tzinfo", None) is not None:
        value, zone = value.astimezone(datetime.UTC).replace(tzinfo=None), " UTC"
    return f"datetime {_finest(_of_numpy(value, np.datetime64))}{zone}"


def _finest(value: Any) -> Any:
    """Return a NumPy moment or duration in nanoseconds, or, if these would overflow, in microseconds."""
    kind = value.dtype.kind
    nanoseconds = value.astype(f"{kind}8[ns]")
    return nanoseconds if nanoseconds.astype(value.dtype) == value else value.astype(f"{kind}8[us]")


def _of_numpy(value: Any, kind: Any) -> Any:
    return value.to_numpy() if hasattr(value, "to_numpy") else kind(value)


_TEXTS: tuple[tuple[Any, Any], ...] = (
    (str, lambda value: f"str {value}"),
    (bytes, lambda value: f"bytes {value.hex()}"),
    (datetime.timedelta | np.timedelta64, lambda value: f"timedelta {_finest(_of_numpy(value, np.timedelta64))}"),
    (Real | Decimal | np.bool_, _number),  # of which numpy.timedelta64 is one too
    (datetime.datetime | np.datetime64, _moment),
    (datetime.date | datetime.time, lambda value: f"{type(value).__name__} {value.isoformat()}"),
)
