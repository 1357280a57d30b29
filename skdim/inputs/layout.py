"""How the rows of an array hold views: which columns each has, which views are missing, and which columns share a scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from skdim.inputs.arrays import ROWS_AT_ONCE
from skdim.inputs.partitions import LUMINANCE_CHROMINANCE, PARTITIONS, Shift, View, column_groups
from skdim.inputs.tables import DROP_OR_FILL


@dataclass(frozen=True)
class Layout:
    """The views of flattened samples.

    ``kind`` is "columns" where views are separate columns, which may be missing; else the name of the partition that makes
    views of one signal: "luminance_chrominance", "shift", "layers", "augment".
    """

    views: list[View]  # as skdim.inputs.partitions makes them
    kind: str
    sample_shape: tuple[int, ...] | None = None  # of the whole sample with its channels; None for named columns
    may_lack: bool = False  # whether training samples may lack views
    used: npt.NDArray[np.int64] | None = None  # the columns of X that views have, if others are not read

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.views]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [shape for _, _, shape in self.views]

    @property
    def mixing(self) -> npt.NDArray[np.float64] | None:
        """The matrix that mixes the channels before they are standardised."""
        return LUMINANCE_CHROMINANCE if self.kind == "luminance_chrominance" else None

    def scales(self, n_columns: int) -> npt.NDArray[np.int64]:
        """Return a number for every column; columns of one number share mean and scale, as a channel's do."""
        if self.sample_shape is not None:
            return np.repeat(np.arange(self.sample_shape[0]), math.prod(self.sample_shape[1:]))
        scales = np.arange(n_columns)
        for _, columns, shape in self.views:
            by_channel = columns.reshape(shape[0], -1)
            scales[by_channel] = by_channel[:, :1]
        return np.unique(scales, return_inverse=True)[1]

    def labels(self, scales: npt.NDArray[np.int64], names: Sequence[str] | None) -> list[str]:
        """Return what messages call the columns or channels of each number in ``scales``."""
        if self.sample_shape is not None:
            return scale_labels(self.sample_shape, names)
        labels = [""] * (scales.max() + 1)
        for view, columns, shape in self.views:
            for k, first in enumerate(columns.reshape(shape[0], -1)[:, 0]):
                kind = "column" if len(shape) == 1 else "channel"
                labels[scales[first]] = f"{kind} {k} of view {view!r}"
                if names is not None and len(shape) == 1:
                    labels[scales[first]] = f"column {names[first if self.used is None else self.used[first]]!r} of X"
        return labels

    def presence(self, X: Any) -> npt.NDArray[np.bool_] | None:
        """Return which views each row has, (n, n_views), None if no view is missing; raise if one is missing in part."""
        if X.dtype.kind != "f":
            return None
        present = np.ones((len(X), len(self.views)), dtype=bool)
        for start in range(0, len(X), ROWS_AT_ONCE):
            block = X[start : start + ROWS_AT_ONCE]
            missing = np.isnan(block).reshape(len(block), -1)
            if missing.any():
                self._check_missing(missing, start)
                for view, (_, columns, _) in enumerate(self.views):
                    present[start : start + ROWS_AT_ONCE, view] = ~missing[:, columns[0]]
        if not present.any(1).all():
            raise ValueError(f"Input X contains NaN: row {np.flatnonzero(~present.any(1))[0]} has no view at all.")
        return None if present.all() else present

    def _check_missing(self, missing: npt.NDArray[np.bool_], start: int) -> None:
        if self.kind != "columns":
            raise ValueError(
                f"Input X contains NaN, in row {start + missing.any(1).argmax()}. views={self.kind!r} makes its views of one "
                "signal, so none of them can be missing."
            )
        for name, columns, _ in self.views:
            n_missing = missing[:, columns].sum(1)
            partly = np.flatnonzero((n_missing > 0) & (n_missing < len(columns)))
            if len(partly):
                raise ValueError(
                    f"Input X contains NaN in {n_missing[partly[0]]} of the {len(columns)} columns of view {name!r} in row "
                    f"{start + partly[0]}: a view is missing as a whole, or complete. {DROP_OR_FILL}"
                )

    def check_output(self, output: str) -> str:
        """Return the parameter ``output`` if it is valid."""
        allowed = ["concat", "mean", *self.names]
        if output not in allowed:
            raise ValueError(f"Unknown output {output!r}. Allowed values are: {allowed}.")
        return output

    def lift(self, X: Any, view: int, n_columns: int) -> npt.NDArray[np.float64]:
        """Return rows (n, n_columns) that hold the given view and lack all others."""
        rows = np.full((len(X), n_columns), np.nan)
        columns = self.views[view][1]
        rows[:, columns] = np.asarray(X, dtype=np.float64).reshape(len(X), len(columns))
        return rows

    def state(self) -> dict[str, Any]:
        """Return the layout as named arrays and JSON values."""
        state: dict[str, Any] = {"kind": self.kind, "names": self.names, "may_lack": self.may_lack}
        for i, (_, columns, shape) in enumerate(self.views):
            state |= {f"columns_{i}": columns, f"shape_{i}": np.array(shape)}
        given = {"sample_shape": self.sample_shape, "used": self.used}
        return state | {name: np.array(value) for name, value in given.items() if value is not None}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Layout:
        """Return the layout that :meth:`state` described."""
        views = [
            (name, np.array(state[f"columns_{i}"]), tuple(state[f"shape_{i}"].tolist()))
            for i, name in enumerate(state["names"])
        ]
        whole = tuple(state["sample_shape"].tolist()) if "sample_shape" in state else None
        used = np.array(state["used"]) if "used" in state else None
        return cls(views, state["kind"], whole, state["may_lack"], used)


def scale_labels(shape: tuple[int, ...], names: Sequence[str] | None) -> list[str]:
    """Return what messages call the columns of a table, or the channels of samples of another shape (C, ...)."""
    if len(shape) > 1:
        return [f"channel {j} of X" for j in range(shape[0])]
    return [f"column {name!r} of X" for name in (range(shape[0]) if names is None else names)]


def find_layout(
    views: Any,
    given: Any,
    input_shape: tuple[int, ...],
    sequences: Sequence[bool],
    groups: Sequence[Any] | None,
    graph: str,
) -> Layout:
    """Return the layout that the parameter ``views`` asks for.

    ``given`` is the user's X, for names and callables of the column groups. ``groups`` are the groups of columns, None without
    them. With ``graph="full"``, samples may lack views that the user has named. With "auto", X is one table or image, and NaN
    in it is an error.
    """
    if groups is not None:
        found = column_groups(groups, given, math.prod(input_shape), sequences)
        used = np.unique(np.concatenate([columns for _, columns, _ in found]))
        found = [(name, np.searchsorted(used, columns), shape) for name, columns, shape in found]
        return Layout(
            found, "columns", may_lack=graph == "full", used=used if len(used) < math.prod(input_shape) else None
        )
    if isinstance(views, Shift):
        partition, kind = views, "shift"
    else:
        kind = "halves" if views == "auto" else views if isinstance(views, str) else "augment"
        partition = PARTITIONS[kind]  # type: ignore[assignment]
    is_sequence = kind == "shift" or (len(sequences) > 0 and all(sequences))
    if is_sequence:
        shape = (1, *input_shape) if len(input_shape) == 1 else input_shape
    else:
        shape = (1, *input_shape) if len(input_shape) == 2 else input_shape
    separate = kind in ("halves", "quadrants", "channels")
    may_lack = separate and graph == "full" and views != "auto"
    return Layout(partition(shape), "columns" if separate else kind, shape, may_lack)
