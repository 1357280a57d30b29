"""Numbers of categories, the same for new rows as for those of fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from skdim.information.discrete._tables import abridged, factorize, table_columns


@dataclass(frozen=True, eq=False)
class Codebook:
    """The categories of discrete columns, and their numbers, which are the same for new rows as for those of ``fit``.

    Parameters
    ----------
    categories : tuple of ndarray
        For each column its distinct values in order: an array of str, int, float or bool, never of objects.

    Examples
    --------
    >>> from skdim.information.discrete import Codebook
    >>> book = Codebook.fit([["red", 7], ["blue", 7], ["red", 9]])
    >>> book.encode([["red", 9], ["blue", 9]]).tolist()
    [[1, 1], [0, 1]]
    >>> book.encode([["green", 7]], unknown=-1).tolist()
    [[-1, 0]]
    >>> {name: array.tolist() for name, array in book.to_state().items()}
    {'categories_0': ['blue', 'red'], 'categories_1': [7, 9]}
    """

    categories: tuple[npt.NDArray[Any], ...]

    @classmethod
    def fit(cls, X: Any, name: str = "X") -> Codebook:
        """Return the codebook of a table's columns, or of a vector.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n, n_columns) or (n,)
            Strings, numbers or bools; each column of one kind.
        name : str, default="X"
            Name of the table in messages.

        Raises
        ------
        TypeError
            If a column mixes strings with numbers, or holds anything else.
        ValueError
            If ``X`` is empty or holds a missing value.
        """
        return cls(tuple(_categories(factorize(column)[1], column.label) for column in table_columns(X, name)))

    @property
    def n_categories(self) -> tuple[int, ...]:
        """Number of categories of each column."""
        return tuple(len(categories) for categories in self.categories)

    def encode(self, X: Any, unknown: int | Literal["error"] = "error") -> npt.NDArray[np.int64]:
        """Return each value's position among its column's categories.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n, n_columns) or (n,)
            Values are compared as Python does: 1, 1.0 and True are equal.
        unknown : "error" or int, default="error"
            What a value that ``fit`` has not seen gives: an error, or this code.

        Returns
        -------
        ndarray of int64 of shape (n, n_columns)

        Raises
        ------
        TypeError
            If a value cannot be hashed.
        ValueError
            If the number of columns differs, a value is missing, or a value is unknown and ``unknown`` is "error".
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
        """Return the categories as named arrays, which :func:`numpy.savez` keeps without pickle."""
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
