"""How the rows of an array hold the views of samples: which columns, which are missing, which share a scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_array, check_consistent_length
from torch import Tensor

from skdim.nn.multiview import ViewBatch
from skdim.partitions import PARTITIONS, Shift, View, column_groups, feature_names
from skdim.training.batches import BLOCK
from skdim.training.stored import Beside, as_stored, is_stored

__all__ = ["Layout", "arrays_of_views", "find_layout", "is_list_of_arrays"]


class Layout(NamedTuple):
    """The views of flattened samples.

    Attributes
    ----------
    views : list of (name, columns, shape)
        As :mod:`skdim.partitions` makes them.
    kind : str
        "columns" where views are separate columns, which may be missing; else the name of the partition that makes views of
        one signal: "luminance_chrominance", "shift", "layers", "augment".
    sample_shape : tuple of int or None
        Shape of the whole sample with its channels; None where columns were named one by one.
    may_lack : bool
        Whether samples may lack views in training.
    """

    views: list[View]
    kind: str
    sample_shape: tuple[int, ...] | None
    may_lack: bool = False

    @property
    def names(self) -> list[str]:
        """The views' names."""
        return [name for name, _, _ in self.views]

    def scales(self, n_columns: int) -> Any:
        """Return, for every column, the number of the mean and scale that it shares: a channel's, or its own in a table."""
        if self.sample_shape is not None:
            return np.repeat(np.arange(self.sample_shape[0]), math.prod(self.sample_shape[1:]))
        scales = np.arange(n_columns)
        for _, columns, shape in self.views:
            by_channel = columns.reshape(shape[0], -1)
            scales[by_channel] = by_channel[:, :1]
        return np.unique(scales, return_inverse=True)[1]

    def presence(self, X: Any) -> Any:
        """Return which views each row has, (n, n_views) of bool, or None where all rows have all.

        Raises
        ------
        ValueError
            If NaN stands anywhere but in all columns of a view, or a row has no view at all.
        """
        if X.dtype.kind != "f":
            return None
        present = np.ones((len(X), len(self.views)), dtype=bool)
        for start in range(0, len(X), BLOCK):
            missing = np.isnan(X[start : start + BLOCK]).reshape(len(X[start : start + BLOCK]), -1)
            if missing.any():
                self._check_missing(missing, start)
                for view, (_, columns, _) in enumerate(self.views):
                    present[start : start + BLOCK, view] = ~missing[:, columns[0]]
        if not present.any(1).all():
            raise ValueError(f"Input X contains NaN: row {np.flatnonzero(~present.any(1))[0]} has no view at all.")
        return None if present.all() else present

    def _check_missing(self, missing: Any, start: int) -> None:
        if self.kind != "columns":
            raise ValueError(
                f"Input X contains NaN, in row {start + missing.any(1).argmax()}. views={self.kind!r} makes its views of one "
                "signal, so none of them can be missing."
            )
        outside = missing.copy()
        for name, columns, _ in self.views:
            n_missing = missing[:, columns].sum(1)
            partly = np.flatnonzero((n_missing > 0) & (n_missing < len(columns)))
            if len(partly):
                raise ValueError(
                    f"Input X contains NaN in {n_missing[partly[0]]} of the {len(columns)} columns of view {name!r} in row "
                    f"{start + partly[0]}: a view is missing as a whole, or complete."
                )
            outside[:, columns] = False
        if outside.any():
            raise ValueError(f"Input X contains NaN in column {np.flatnonzero(outside.any(0))[0]}, which no view has.")

    def split(self, X: Tensor) -> list[Tensor]:
        """Return the views (n, ...) of standardised samples (n, n_columns)."""
        views = []
        for _, columns, shape in self.views:
            first, last = int(columns[0]), int(columns[-1])
            is_range = last - first + 1 == len(columns) and bool((np.diff(columns) == 1).all())
            part = X[:, first : last + 1] if is_range else X[:, columns]
            views.append(part.reshape(-1, *shape))
        return views

    def batch(self, X: Tensor, groups: Tensor | None = None) -> ViewBatch:
        """Return the views of standardised samples, with which of them are there."""
        present = None
        if self.kind == "columns":
            # A view is missing as a whole: its first value tells.
            present = ~X[:, [int(columns[0]) for _, columns, _ in self.views]].isnan()
        return ViewBatch(self.split(X), None if present is None or bool(present.all()) else present, groups)

    def lift(self, X: Any, view: int, n_columns: int) -> Any:
        """Return whole rows (n, n_columns) that lack all but one view, from that view alone."""
        rows = np.full((len(X), n_columns), np.nan)
        rows[:, self.views[view][1]] = np.asarray(X, dtype=np.float64).reshape(len(X), -1)
        return rows


def find_layout(
    views: Any,
    given: Any,
    input_shape: tuple[int, ...],
    sequences: Sequence[bool],
    groups: Sequence[Any] | None,
    graph: str,
) -> Layout:
    """Return the layout that the parameter ``views`` asks for.

    Parameters
    ----------
    views : str, Shift, list or callable
        The parameter.
    given : array or data frame
        X as it came, for names and callables of column groups.
    input_shape : tuple of int
        Shape of one sample.
    sequences : sequence of bool
        Which views are to be sequences.
    groups : list or None
        Column groups, where views are such.
    graph : {"core", "full"}
        The full graph lets samples lack views that the user has named: what "auto" cuts is one table or image, and NaN in it
        is a missing value.

    Raises
    ------
    ValueError
        If the samples have no such views.
    """
    if groups is not None:
        return Layout(column_groups(groups, given, math.prod(input_shape), sequences), "columns", None, graph == "full")
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


# -------------------------------------------------------------------------------------------------------- lists of arrays
def is_list_of_arrays(X: Any) -> bool:
    """Whether X is a list of arrays or data frames, which are then views; a list of lists is one array."""
    return isinstance(X, (list, tuple)) and len(X) > 0 and all(len(getattr(part, "shape", ())) > 1 for part in X)


def arrays_of_views(X: Any, estimator: Any, min_samples: int) -> tuple[Any, list[tuple[Any, ...]]]:
    """Return the views beside each other in one array (n, n_columns), and the groups of columns that they are in it.

    Raises
    ------
    ValueError
        If there is one array only, or their lengths differ.
    """
    if len(X) < 2:
        raise ValueError("X is a list of 1 array, that is one view only; a list of arrays has one for each view.")
    arrays = [
        as_stored(part)
        if is_stored(part)
        else check_array(
            part,
            dtype="numeric",
            allow_nd=True,
            ensure_all_finite="allow-nan",
            ensure_min_samples=min_samples,
            estimator=estimator,
            input_name=f"X[{i}]",
        )
        for i, part in enumerate(X)
    ]
    check_consistent_length(*arrays)
    if max(array.ndim for array in arrays) > 4:
        raise ValueError(f"The arrays of X must have at most 4 dimensions, got shapes {[a.shape for a in arrays]}.")
    groups, start = [], 0
    for i, array in enumerate(arrays):
        width = math.prod(array.shape[1:])
        shape = (array.shape[1:],) if array.ndim > 2 else ()
        groups.append((f"view{i}", slice(start, start + width), *shape))
        start += width
    if any(is_stored(part) or isinstance(part, np.memmap) for part in X):  # they stay where they are
        parts = [part if is_stored(part) else array for part, array in zip(X, arrays, strict=True)]
        return as_stored(Beside(parts)), groups
    return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1), groups


def check_names_of_view(X: Any, names: Any, view: View) -> None:
    """Raise a ``ValueError`` if X, the columns of one view alone, names them otherwise than they were in fit."""
    came = feature_names(X)
    expected = None if names is None else [str(names[column]) for column in view[1]]
    if came is not None and expected is not None and came != expected:
        raise ValueError(f"The columns of view {view[0]!r} were {expected} in fit, got {came}.")
