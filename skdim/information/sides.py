"""One side of a pair (x, y): columns of any kind -> labels, or the numbers that a critic takes.

Discrete columns become indicators of their categories. If a side has only discrete columns, with few combinations of values,
the number of each row's combination is its label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from skdim.information.canonical import NormalScores, Standardize
from skdim.information.discrete import Codebook
from skdim.training.state import part

Array = npt.NDArray[np.float64]

#: Fewest rows, on average, that hold a combination of several discrete values for it to be a label.
ROWS_PER_LABEL = 5
#: What becomes of continuous columns, by name.
MARGINALS: dict[str | None, type[NormalScores] | type[Standardize] | None] = {
    "normal_scores": NormalScores,
    "standardize": Standardize,
    None: None,
}


@dataclass
class Side:
    """The columns of one side, as learned from rows."""

    discrete: npt.NDArray[np.bool_]  # (n_columns,)
    book: Codebook | None  # categories of the discrete columns
    marginals: NormalScores | Standardize | None  # of the continuous columns
    symbols: npt.NDArray[np.int64]  # combinations of categories (n_labels, n_discrete), if few enough to be labels

    @classmethod
    def learn(cls, X: npt.NDArray[Any], discrete: npt.NDArray[np.bool_], marginals: str | None) -> Side:
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
        marginals: NormalScores | Standardize | None = None
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
