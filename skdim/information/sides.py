"""The columns of a side, x or y, checked, and as the labels or the numbers that a model takes.

Discrete columns become indicators of their categories. If a side has only discrete columns, with few combinations of values,
the number of each row's combination is its label.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data
from torch import Tensor

from skdim._sklearn import check_feature_names
from skdim.exceptions import ConstantInputWarning, SmallSampleWarning, warn
from skdim.information.canonical import Array, NormalScores, Standardize
from skdim.information.discrete import (
    Codebook,
    entropy,
    factorize,
    plug_in_entropy,
    real_numbers,
    recur,
    warn_of_identifiers,
    which_discrete,
)
from skdim.inputs.scales import FARTHEST, moments_of
from skdim.inputs.tables import DROP_OR_FILL, Column, as_array, check_lengths, column_labels, refuse_unusable
from skdim.training.state import part

Columns = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Marginals = NormalScores | Standardize

#: Fewest rows, on average, that hold a combination of several discrete values for it to be a label.
ROWS_PER_LABEL = 5
#: Share of rows whose combination no other row has, above which a test given it warns.
MOST_ALONE = 0.5
#: Most categories of a side whose rows have no labels: each becomes an indicator, a column of numbers.
MOST_INDICATORS = 4096
#: Largest integer up to which float64 tells all apart.
LARGEST_EXACT = 2**53
#: What to do about missing values where ``missing="drop"`` is a parameter.
OR_BY_PARAMETER = "Drop rows with NaN or None, or fill the values; missing='drop' drops the rows."
#: What to do about missing values of a series: without their rows, later ones would be earlier.
FILL = "Fill NaN and None: in a series every row is a time."
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
    name: str = "X"  # for messages

    @classmethod
    def learn(
        cls,
        X: npt.NDArray[Any],
        discrete: Mask,
        marginals: str | None,
        name: str = "X",
        labels: Sequence[str] | None = None,
    ) -> Side:
        """Return the side of rows; messages call it ``name``, and its columns by ``labels``, as :func:`column_labels` does."""
        called = column_labels(X, name) if labels is None else labels
        columns = [Column(called[j], X[:, j]) for j in np.flatnonzero(discrete)]
        book = Codebook.of_columns(columns) if columns else None
        codes = book.encode(X[:, discrete]) if book is not None and discrete.all() else np.zeros((0, 0), dtype=np.int64)
        kind = MARGINALS[marginals]
        learned = None if kind is None or discrete.all() else kind.learn(X[:, ~discrete].astype(np.float64))
        symbols = np.unique(codes, axis=0)
        is_few = len(discrete) == 1 or len(symbols) * ROWS_PER_LABEL <= len(X)
        side = cls(discrete, book, learned, symbols if is_few else symbols[:0], name)
        if book is not None and not side.has_labels and sum(book.n_categories) > MOST_INDICATORS:
            most = int(np.argmax(book.n_categories))
            raise ValueError(
                f"The discrete columns of {name} have {sum(book.n_categories)} categories, of which {book.labels[most]} has "
                f"{book.n_categories[most]}. At most {MOST_INDICATORS} can be learned beside other columns: leave the column "
                "out, or merge its values."
            )
        return side

    @property
    def has_labels(self) -> bool:
        """Whether every row has a label: a combination of values that other rows have too."""
        return len(self.symbols) > 0

    def refuse_unknown(self, X: npt.NDArray[Any]) -> None:
        """Raise a ``ValueError`` that names the column of a category that was not met in fit."""
        if self.book is not None:
            self.book.encode(X[:, self.discrete])

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
            parts += [
                np.asarray(column[:, None] == np.arange(n), dtype=np.float64)
                for n, column in zip(self.book.n_categories, codes.T, strict=True)
            ]
        return np.hstack(parts)

    def labels(self, X: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return the number of each row's combination of values; all columns must be discrete."""
        assert self.book is not None
        codes = self.book.encode(X)
        number = {tuple(symbol): label for label, symbol in enumerate(self.symbols.tolist())}
        labels = np.array([number.get(tuple(row), -1) for row in codes.tolist()], dtype=np.int64)
        if (labels < 0).any():
            raise ValueError(
                f"Row {labels.argmin()} of {self.name} holds a combination of discrete values not met in fit. Drop the row."
            )
        return labels

    def state(self) -> dict[str, npt.NDArray[Any]]:
        state: dict[str, npt.NDArray[Any]] = {"discrete": self.discrete, "symbols": self.symbols}
        state["name"] = np.array(self.name)
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
        learned = Codebook.from_state(book) if book else None
        return cls(state["discrete"], learned, marginals, state["symbols"], str(state["name"]))


def sides_of(estimator: Any, columns: Sequence[Columns], called: Any) -> tuple[tuple[Side, ...], bool]:
    """Return the sides of X and y, and whether one is constant, with a warning; ``called`` has name and labels of each."""
    # A known density of y is one in its own units.
    marginals = estimator.marginals, None if estimator.density is not None else estimator.marginals
    parts = zip(columns, estimator.discrete_, marginals, called, strict=True)
    sides = tuple(Side.learn(part, discrete, kind, *names) for part, discrete, kind, names in parts)
    constant = [name for name, part in zip("Xy", columns, strict=True) if is_constant(part)]
    for name in constant:
        warn(f"{name} is constant: the mutual information is 0.", ConstantInputWarning)
    return sides, bool(constant)


def state_of_sides(sides: Sequence[Side]) -> dict[str, npt.NDArray[Any]]:
    """Return the sides x, y and, if there is one, z as named arrays; {} for none."""
    named = zip("xyz", sides, strict=False)
    return {f"{name}/{key}": array for name, side in named for key, array in side.state().items()}


def load_sides(state: Mapping[str, npt.NDArray[Any]]) -> tuple[Side, ...]:
    """Return the sides of a state."""
    return tuple(Side.from_state(part(state, f"{name}/")) for name in "xyz" if f"{name}/discrete" in state)


def validated(estimator: Any, X: Any, y: Any, *, reset: bool, min_samples: int = 2) -> tuple[Columns, Columns]:
    """Return X and y as 2-D arrays, float64 if every column is a number.

    ``reset=True`` learns the estimator's ``n_features_in_``, ``feature_names_in_`` and ``discrete_``; False compares with them.
    """
    name = type(estimator).__name__
    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None.")
    if not reset:
        check_feature_names(estimator, X, reset=False)  # before missing values: they may be of columns in another order
    advice = OR_BY_PARAMETER if reset and hasattr(estimator, "missing") else DROP_OR_FILL
    refuse_unusable(X, "X", advice)
    refuse_unusable(y, "y", advice)
    checks = {"dtype": None, "ensure_min_samples": min_samples, "ensure_all_finite": False}
    checked = validate_data(estimator, _of_objects(X), reset=reset, **checks)
    target = check_array(_of_objects(y), ensure_2d=False, input_name="y", estimator=estimator, **checks)
    check_lengths(X=checked, y=target)
    target = target.reshape(len(target), -1)
    labels = column_labels(X, "X"), column_labels(y, "y")
    if reset:
        discrete_X = _discrete(X, checked, estimator.discrete_X, "X", "discrete_X")
        estimator.discrete_ = discrete_X, _discrete(y, target, estimator.discrete_y, "y", "discrete_y")
        estimator._labels = labels
    discrete_X, discrete_y = estimator.discrete_[:2]
    if target.shape[1] != len(discrete_y):
        raise ValueError(f"y has {target.shape[1]} column(s), but {name} was fitted on {len(discrete_y)}.")
    sides = (
        _with_numbers(checked, discrete_X, labels[0], "discrete_X"),
        _with_numbers(target, discrete_y, labels[1], "discrete_y"),
    )
    if reset:
        for side, discrete, called in zip(sides, estimator.discrete_, labels, strict=True):
            warn_of_columns(side, discrete, called, getattr(estimator, "marginals", "normal_scores"))
    return sides


def warn_of_columns(side: Columns, discrete: Mask, labels: Sequence[str], marginals: str | None) -> None:
    """Warn of discrete columns in which most rows have a value of their own, and of outliers where they are not ranks."""
    for j in np.flatnonzero(discrete):
        codes, symbols = factorize(Column(labels[j], side[:, j]))
        warn_of_identifiers(codes, labels[j], symbols)
    if marginals != "normal_scores" and not discrete.all():
        continuous = moments_of(side[:, ~discrete].astype(np.float64))
        called = [label for label, is_discrete in zip(labels, discrete, strict=True) if not is_discrete]
        advice = "Clip or drop the outliers, or use marginals='normal_scores'."
        # Models learn the scale of columns as they are from a part of the rows, and may meet the outlier in the others.
        continuous.warn_of_outliers(called, advice, FARTHEST if marginals is None else math.inf)


def _of_objects(table: Any) -> Any:
    """Return a table of which an array keeps the type of each value: moments beside numbers, and NaN in a list of strings."""
    if not hasattr(table, "iloc"):
        return as_array(table) if isinstance(table, list | tuple | Tensor | np.ma.MaskedArray) else table
    if np.ndim(table) != 2:
        return table.astype(_exact(table))
    kinds = {j: _exact(table.iloc[:, j]) for j in range(table.shape[1])}
    moments = [j for j, kind in kinds.items() if getattr(kind, "kind", "") in "mM"]
    kinds |= dict.fromkeys(moments, object) if len(moments) < len(kinds) else {}
    if all(kind is dtype for kind, dtype in zip(kinds.values(), table.dtypes, strict=True)):
        return table
    numbered = table.set_axis(range(table.shape[1]), axis=1).astype(kinds)
    return numbered.set_axis(table.columns, axis=1)


def _exact(column: Any) -> Any:
    """Return the type of a column, of pandas' own integers NumPy's: they would become float64, which merges large ones."""
    is_integer = hasattr(column.dtype, "numpy_dtype") and column.dtype.kind in "iu"
    return column.dtype.numpy_dtype if is_integer and not column.isna().any() else column.dtype


def side_values(given: Any, discrete: Any, name: str, advice: str = DROP_OR_FILL, is_stratum: bool = False) -> Columns:
    """Return the labels (n,) or the numbers (n, n_numbers) of a side that no estimator learns."""
    columns, mask = side_columns(given, discrete, name, f"discrete_{name}", advice)
    side = Side.learn(columns, mask, None, name, column_labels(given, name))
    return strata(side, columns) if is_stratum else side(columns)


def strata(side: Side, columns: Columns) -> Columns:
    """Return the labels (n,) of combinations of discrete columns, however few rows share one, or the numbers of the side."""
    if side.book is None or not side.discrete.all():
        return side(columns)
    labels, counts = np.unique(side.book.encode(columns), axis=0, return_inverse=True, return_counts=True)[1:]
    labels = labels.reshape(len(columns))
    alone = float((counts[labels] == 1).mean())
    if alone > MOST_ALONE:
        warn(
            f"{alone:.0%} of the rows have a {side.name} that no other row has, and say nothing about dependence given it. "
            f"Merge values of {side.name}, or declare columns that are numbers with discrete_{side.name}=False.",
            SmallSampleWarning,
        )
    return labels


def side_columns(
    given: Any,
    discrete: Any,
    name: str,
    option: str | None = None,
    advice: str = DROP_OR_FILL,
    allow_missing: bool = False,
    min_samples: int = 2,
) -> tuple[Columns, Mask]:
    """Return a side as a 2-D array, float64 if every column is a number, and which of its columns are discrete.

    ``option`` is the parameter that ``discrete`` comes from, and ``advice`` says what to do about missing values.
    """
    refuse_unusable(given, name, advice, allow_missing)
    checks = {"ensure_min_samples": min_samples, "ensure_all_finite": False}
    array = check_array(_of_objects(given), dtype=None, ensure_2d=False, input_name=name, **checks)
    array = array.reshape(len(array), -1)
    mask = _discrete(given, array, discrete, name, option)
    return _with_numbers(array, mask, column_labels(given, name), option), mask


def _discrete(given: Any, array: Columns, discrete: Any, name: str, option: str | None) -> Mask:
    """Return which columns are discrete, by the table that was given: the array of a frame has lost its dtypes.

    A side of one column whose two values recur is discrete: two numbers and two labels tell the same.
    """
    table = given if any(hasattr(given, kind) for kind in ("dtypes", "dtype", "schema")) else array
    mask = which_discrete(table, discrete, name, option)
    if len(mask) == 1 and isinstance(discrete, str) and not mask[0]:
        values = real_numbers(Column(name, array[:, 0]), option)
        values = values[~np.isnan(values)]
        n_distinct = len(np.unique(values))
        mask = np.array([n_distinct == 2 and recur(n_distinct, len(values))])
    return mask


def _with_numbers(array: Columns, discrete: Mask, labels: Sequence[str], option: str | None) -> Columns:
    """Return an array whose continuous columns are float64; of objects only if a discrete column needs it."""
    if array.dtype.kind in "fiub":
        numbers = array.astype(np.float64, copy=False)
        if array.dtype.kind in "fb" or not (np.abs(numbers[:, discrete]) > LARGEST_EXACT).any():
            return numbers
    if discrete.all():
        return array if array.dtype.kind in "mM" else array.astype(object)  # as objects nanoseconds are integers
    mixed = array.astype(object)
    for column in np.flatnonzero(~discrete):
        mixed[:, column] = real_numbers(Column(labels[column], array[:, column]), option)
    return mixed if discrete.any() else mixed.astype(np.float64)


def smaller_entropy(sides: Sequence[Columns], discrete: Sequence[Mask]) -> float | None:
    """Return the smaller entropy of the sides whose columns are all discrete, in nats; None if there is no such side."""
    return min((entropy(side) for side, mask in zip(sides, discrete, strict=False) if mask.all()), default=None)


def entropy_of_ties(numbers: Columns) -> float:
    """Return the entropy of rows of numbers in nats; inf if they do not recur."""
    n = len(numbers)
    if not all(recur(len(np.unique(column)), n) for column in numbers.T):
        return math.inf
    counts = np.unique(numbers, axis=0, return_counts=True)[1]
    return plug_in_entropy(counts) if recur(len(counts), n) else math.inf


def joined_columns(x: Columns, z: Columns) -> Columns:
    """Return the columns of two sides beside each other, as objects if their types differ."""
    return np.hstack((x, z) if x.dtype == z.dtype else (x.astype(object), z.astype(object)))


def is_constant(columns: Columns) -> bool:
    """Whether all rows are equal."""
    if columns.dtype.kind == "O":
        return all(len({str(value) for value in column}) == 1 for column in columns.T)
    return bool((columns == columns[:1]).all())
