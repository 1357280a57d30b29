"""The columns of a side, x or y, checked, and as the labels or the numbers that a model takes.

Discrete columns become indicators of their categories. If a side has only discrete columns, with few combinations of values,
the number of each row's combination is its label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import validate_data

from skdim.information.canonical import Array, NormalScores, Standardize
from skdim.information.discrete import Codebook, entropy, which_discrete
from skdim.training.state import part

Columns = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Marginals = NormalScores | Standardize

#: Fewest rows, on average, that hold a combination of several discrete values for it to be a label.
ROWS_PER_LABEL = 5
#: What becomes of continuous columns, by name.
MARGINALS: dict[str | None, type[Marginals] | None] = {
    "normal_scores": NormalScores,
    "standardize": Standardize,
    None: None,
}


@dataclass
class Side:
    """The columns of one side, as learned from rows."""

    discrete: Mask  # (n_columns,)
    book: Codebook | None  # categories of the discrete columns
    marginals: Marginals | None  # of the continuous columns
    symbols: npt.NDArray[np.int64]  # combinations of categories (n_labels, n_discrete), if few enough to be labels

    @classmethod
    def learn(cls, X: npt.NDArray[Any], discrete: Mask, marginals: str | None) -> Side:
        book = Codebook.fit(X[:, discrete]) if discrete.any() else None
        codes = book.encode(X[:, discrete]) if book is not None and discrete.all() else np.zeros((0, 0), dtype=np.int64)
        kind = MARGINALS[marginals]
        learned = None if kind is None or discrete.all() else kind.learn(X[:, ~discrete].astype(np.float64))
        symbols = np.unique(codes, axis=0)
        is_few = len(discrete) == 1 or len(symbols) * ROWS_PER_LABEL <= len(X)
        return cls(discrete, book, learned, symbols if is_few else symbols[:0])

    @property
    def has_labels(self) -> bool:
        """Whether every row has a label: a combination of values that other rows have too."""
        return len(self.symbols) > 0

    def __call__(self, X: npt.NDArray[Any]) -> Any:
        """Return the labels of rows, (n,), or their numbers, (n, n_numbers), if the side has no labels."""
        return self.labels(X) if self.has_labels else self.numbers(X)

    def numbers(self, X: npt.NDArray[Any]) -> Array:
        parts = []
        if not self.discrete.all():
            continuous = X[:, ~self.discrete].astype(np.float64)
            parts.append(continuous if self.marginals is None else self.marginals(continuous))
        if self.book is not None:
            codes = self.book.encode(X[:, self.discrete])
            parts += [np.eye(n)[column] for n, column in zip(self.book.n_categories, codes.T, strict=True)]
        return np.hstack(parts)

    def labels(self, X: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return the number of each row's combination of values; all columns must be discrete."""
        assert self.book is not None
        codes = self.book.encode(X)
        number = {tuple(symbol): label for label, symbol in enumerate(self.symbols.tolist())}
        labels = np.array([number.get(tuple(row), -1) for row in codes.tolist()], dtype=np.int64)
        if (labels < 0).any():
            raise ValueError(f"Row {labels.argmin()} holds a combination of discrete values not met in fit.")
        return labels

    def state(self) -> dict[str, npt.NDArray[Any]]:
        state: dict[str, npt.NDArray[Any]] = {"discrete": self.discrete, "symbols": self.symbols}
        if self.book is not None:
            state |= {f"book/{name}": array for name, array in self.book.to_state().items()}
        if isinstance(self.marginals, Standardize):
            state |= vars(self.marginals)
        elif self.marginals is not None:
            for name, columns in vars(self.marginals).items():
                state |= {f"{name}/{j}": column for j, column in enumerate(columns)}
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]]) -> Side:
        book, values, scores = (part(state, f"{name}/") for name in ("book", "values", "scores"))
        marginals: Marginals | None = None
        if "mean" in state:
            marginals = Standardize(state["mean"], state["scale"])
        elif values:
            marginals = NormalScores(*([columns[str(j)] for j in range(len(columns))] for columns in (values, scores)))
        return cls(state["discrete"], Codebook.from_state(book) if book else None, marginals, state["symbols"])


def state_of_sides(sides: Sequence[Side]) -> dict[str, npt.NDArray[Any]]:
    """Return the sides x and y as named arrays; {} for none."""
    return {
        f"{name}/{key}": array for name, side in zip("xy", sides, strict=False) for key, array in side.state().items()
    }


def load_sides(state: Mapping[str, npt.NDArray[Any]]) -> tuple[Side, ...]:
    """Return the sides of a state."""
    return tuple(Side.from_state(part(state, f"{name}/")) for name in "xy" if f"{name}/discrete" in state)


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
    discrete_X, discrete_y = estimator.discrete_[:2]
    if target.shape[1] != len(discrete_y):
        raise ValueError(f"y has {target.shape[1]} column(s), but {name} was fitted on {len(discrete_y)}.")
    return _with_numbers(checked, discrete_X, "X"), _with_numbers(target, discrete_y, "y")


def side_values(given: Any, discrete: Any, name: str) -> Columns:
    """Return the labels (n,) or the numbers (n, n_numbers) of a side that no estimator learns."""
    columns, mask = side_columns(given, discrete, name)
    return Side.learn(columns, mask, None)(columns)


def side_columns(
    given: Any, discrete: Any, name: str, allow_missing: bool = False, min_samples: int = 2
) -> tuple[Columns, Mask]:
    """Return a side as a 2-D array, float64 if every column is a number, and which of its columns are discrete."""
    array = check_array(
        given,
        dtype=None,
        ensure_2d=False,
        input_name=name,
        ensure_min_samples=min_samples,
        ensure_all_finite="allow-nan" if allow_missing else True,
    )
    array = array.reshape(len(array), -1)
    mask = _discrete(given, array, discrete, name)
    return _with_numbers(array, mask, name), mask


def _discrete(given: Any, array: Columns, discrete: Any, name: str) -> Mask:
    """Return which columns are discrete, by the table that was given: the array of a frame has lost its dtypes."""
    table = given if any(hasattr(given, kind) for kind in ("dtypes", "dtype", "schema")) else array
    return which_discrete(table, discrete, name, f"discrete_{name}")


def _with_numbers(array: Columns, discrete: Mask, name: str) -> Columns:
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


def smaller_entropy(sides: Sequence[Columns], discrete: Sequence[Mask]) -> float | None:
    """Return the smaller entropy of the sides whose columns are all discrete, in nats; None if there is no such side."""
    return min((entropy(side) for side, mask in zip(sides, discrete, strict=False) if mask.all()), default=None)


def is_constant(columns: Columns) -> bool:
    """Whether all rows are equal."""
    if columns.dtype.kind == "O":
        return all(len({str(value) for value in column}) == 1 for column in columns.T)
    return bool((columns == columns[:1]).all())
