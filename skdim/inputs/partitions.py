r"""Partitions: which values of a sample make up its views.

A view is a triple ``(name, columns, shape)``: positions in the flattened sample, and the shape that they take: (p,) for a
table, (C, L) for a sequence, (C, H, W) for an image. A partition is a function of the shape of a sample that returns a list of
views, or raises ValueError if the sample has no such views. Only views of one signal (:class:`Shift`) may overlap.

References
----------
.. [1] Tschannen et al., "On mutual information maximization for representation learning", ICLR 2020.
.. [2] Tian, Krishnan & Isola, "Contrastive multiview coding", ECCV 2020.
.. [3] ITU-R Recommendation BT.601, "Studio encoding parameters of digital television" (the luma coefficients).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from skdim._params import Configured, check_size

__all__ = [
    "LUMINANCE_CHROMINANCE",
    "PARTITIONS",
    "Shift",
    "View",
    "channels",
    "column_groups",
    "feature_names",
    "halves",
    "is_group_list",
    "luminance_chrominance",
    "quadrants",
]

View: TypeAlias = tuple[str, npt.NDArray[np.int64], tuple[int, ...]]

#: RGB -> (Y, Cb, Cr): luma weights 0.299, 0.587, 0.114, and the differences B - Y and R - Y brought to a range of 1 [3]_.
LUMINANCE_CHROMINANCE = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.299 / 1.772, -0.587 / 1.772, 0.886 / 1.772],
        [0.701 / 1.402, -0.587 / 1.402, -0.114 / 1.402],
    ]
)


def _described(shape: tuple[int, ...]) -> str:
    kind = {1: "flat samples of {} feature(s)", 2: "sequences of shape {}", 3: "images of shape {}"}[len(shape)]
    return kind.format(shape[0] if len(shape) == 1 else shape)


def _cut(shape: tuple[int, ...], parts: dict[str, tuple[slice, ...]]) -> list[View]:
    """Return the views that slices of the last axes make."""
    positions = np.arange(math.prod(shape)).reshape(shape)
    views = []
    for name, index in parts.items():
        part = positions[(slice(None),) * (len(shape) - len(index)) + index]
        views.append((name, part.ravel(), part.shape))
    return views


def halves(shape: tuple[int, ...]) -> list[View]:
    """Return top and bottom of an image, the first and the second half of a sequence or of a table's columns.

    The second is one longer where the number is odd. Tschannen et al. 2020 [1]_ use top and bottom of MNIST digits.

    Examples
    --------
    >>> from skdim.inputs.partitions import halves
    >>> [(name, columns.tolist()) for name, columns, _ in halves((1, 2, 2))]
    [('top', [0, 1]), ('bottom', [2, 3])]
    """
    is_image = len(shape) == 3
    size = shape[1] if is_image else shape[-1]
    if size < 2:
        what = f"images of {size} row(s)" if is_image else _described(shape)
        raise ValueError(f"views='halves' needs two parts of every sample, got {what}: that is one view only.")
    first, second = slice(None, size // 2), slice(size // 2, None)
    if is_image:
        return _cut(shape, {"top": (first, slice(None)), "bottom": (second, slice(None))})
    return _cut(shape, {"first": (first,), "second": (second,)})


def quadrants(shape: tuple[int, ...]) -> list[View]:
    """Return the four quarters of an image.

    Examples
    --------
    >>> from skdim.inputs.partitions import quadrants
    >>> [name for name, _, _ in quadrants((1, 28, 28))]
    ['top_left', 'top_right', 'bottom_left', 'bottom_right']
    """
    if len(shape) != 3 or min(shape[1:]) < 2:
        raise ValueError(f"views='quadrants' takes images of at least 2 x 2, got {_described(shape)}.")
    rows = {"top": slice(None, shape[1] // 2), "bottom": slice(shape[1] // 2, None)}
    columns = {"left": slice(None, shape[2] // 2), "right": slice(shape[2] // 2, None)}
    return _cut(shape, {f"{i}_{j}": (row, column) for i, row in rows.items() for j, column in columns.items()})


def channels(shape: tuple[int, ...]) -> list[View]:
    """Return the channels of an image or sequence.

    Examples
    --------
    >>> from skdim.inputs.partitions import channels
    >>> [(name, part) for name, _, part in channels((3, 8, 8))]
    [('channel0', (1, 8, 8)), ('channel1', (1, 8, 8)), ('channel2', (1, 8, 8))]
    """
    if len(shape) < 2 or shape[0] < 2:
        raise ValueError(
            f"views='channels' takes images or sequences of two channels or more, got {_described(shape)}."
        )
    whole = (slice(None),) * (len(shape) - 1)
    return _cut(shape, {f"channel{c}": (slice(c, c + 1), *whole) for c in range(shape[0])})


def luminance_chrominance(shape: tuple[int, ...]) -> list[View]:
    """Return the luminance Y and the chrominance (Cb, Cr) of images whose channels :data:`LUMINANCE_CHROMINANCE` mixed.

    Tian et al. 2020 [2]_ found YCbCr half a point to a point better than Lab.

    Examples
    --------
    >>> from skdim.inputs.partitions import luminance_chrominance
    >>> [(name, part) for name, _, part in luminance_chrominance((3, 8, 8))]
    [('luminance', (1, 8, 8)), ('chrominance', (2, 8, 8))]
    """
    if len(shape) != 3 or shape[0] != 3:
        raise ValueError(f"views='luminance_chrominance' takes images of 3 channels (RGB), got {_described(shape)}.")
    whole = (slice(None), slice(None))
    return _cut(shape, {"luminance": (slice(0, 1), *whole), "chrominance": (slice(1, 3), *whole)})


@dataclass
class Shift(Configured):
    """A sequence and itself later.

    Parameters
    ----------
    steps : int or None, default=None
        How much later; None is a quarter of the length. If it is less than half of the length, the views share samples: their
        information is infinite, and the bound shows only its cap.

    Examples
    --------
    >>> from skdim.inputs.partitions import Shift
    >>> [(name, columns.tolist()) for name, columns, _ in Shift(steps=2)((1, 5))]
    [('now', [0, 1, 2]), ('later', [2, 3, 4])]
    """

    steps: int | None = None

    def __call__(self, shape: tuple[int, ...]) -> list[View]:
        """Return the views of sequences (C, L)."""
        if len(shape) != 2:
            raise ValueError(f"views='shift' takes sequences (n, L) or (n, C, L), got {_described(shape)}.")
        if self.steps is not None:
            check_size("steps of Shift", self.steps)
        steps = max(1, shape[1] // 4) if self.steps is None else int(self.steps)
        if steps >= shape[1]:
            raise ValueError(
                f"A shift of {steps} step(s) needs longer sequences than {shape[1]} step(s), that is {_described(shape)}."
            )
        return _cut(shape, {"now": (slice(None, -steps),), "later": (slice(steps, None),)})


def _whole(first: str, second: str) -> Callable[[tuple[int, ...]], list[View]]:
    return lambda shape: _cut(shape, dict.fromkeys((first, second), (slice(None),) * len(shape)))


#: Partitions by name: (shape of a sample) -> views. The last two make their views in training, from whole samples.
PARTITIONS: dict[str, Callable[[tuple[int, ...]], list[View]]] = {
    "halves": halves,
    "quadrants": quadrants,
    "channels": channels,
    "luminance_chrominance": luminance_chrominance,
    "shift": Shift(),
    "layers": _whole("middle", "last"),
    "augment": _whole("one", "other"),
}


# --------------------------------------------------------------------------------------------------------- column groups
#: What no view may be called: the outputs that are made of all views.
RESERVED = ("concat", "mean")


def is_group_list(views: Any) -> bool:
    """Whether ``views`` is a list of (name, columns) and (name, columns, shape)."""
    return isinstance(views, (list, tuple)) and all(
        isinstance(group, (list, tuple)) and len(group) in (2, 3) and isinstance(group[0], str) for group in views
    )


def feature_names(X: Any) -> list[str] | None:
    """Return the column names of a data frame whose columns are all named by strings, else None."""
    columns = getattr(X, "columns", None)
    return list(columns) if columns is not None and all(isinstance(name, str) for name in columns) else None


def column_groups(groups: Sequence[Any], X: Any, n_columns: int, sequences: Sequence[bool] = ()) -> list[View]:
    """Return the views that groups of columns make, checked.

    Parameters
    ----------
    groups : list of (name, columns) or (name, columns, shape)
        ``columns`` as scikit-learn's ColumnTransformer takes them: an int, a name, a slice of either, a list of ints or of
        names, a boolean mask, or a callable of X that returns one of these. ``shape`` is that of an image or sequence in the
        columns: (L,), (H, W) or (C, H, W), for sequences also (C, L). Without it they are a table.
    X : array or data frame of shape (n, n_columns)
        The samples.
    n_columns : int
        Number of columns of X.
    sequences : sequence of bool, default=()
        Which groups are sequences whatever their shape; none by default.

    Returns
    -------
    list of (name, columns, shape)
        With ``columns`` an array of int, and the shape with its channels.

    Raises
    ------
    ValueError
        If there are fewer than two groups, a name comes twice or holds "__" or ".", a group is empty, overlaps another one or
        reaches beyond the columns, or a shape does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.inputs.partitions import column_groups
    >>> groups = [("image", slice(0, 64), (8, 8)), ("table", [64, 65])]
    >>> [(name, len(columns), shape) for name, columns, shape in column_groups(groups, np.zeros((5, 66)), 66)]
    [('image', 64, (1, 8, 8)), ('table', 2, (2,))]
    """
    if len(groups) < 2:
        raise ValueError(f"views must name at least two groups of columns, got {len(groups)}: that is one view only.")
    names = [group[0] for group in groups]
    _check_names(names)
    owner: dict[int, str] = {}
    views: list[View] = []
    for (name, columns, *rest), sequence in zip(groups, sequences or [False] * len(groups), strict=True):
        positions = _positions(name, columns, X, n_columns)
        for position in positions.tolist():
            if position in owner:
                raise ValueError(
                    f"Column {position} is in the views {owner[position]!r} and {name!r}; groups of columns must not overlap."
                )
            owner[position] = name
        shape = _group_shape(name, rest[0] if rest else None, len(positions), sequence)
        views.append((name, positions, shape))
    return views


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if not name or "__" in name or "." in name or name in RESERVED:
            raise ValueError(
                f"The name of a view must not be empty, hold no '__' and no '.', and not be one of {RESERVED}, got {name!r}."
            )
        if names.count(name) > 1:
            raise ValueError(f"The names of views must differ, got {name!r} twice.")


def _group_shape(name: str, shape: Any, n_columns: int, sequence: bool) -> tuple[int, ...]:
    """Return the shape of a group with its channels: (p,), (C, L) or (C, H, W)."""
    if shape is None:
        return (1, n_columns) if sequence else (n_columns,)
    allowed = isinstance(shape, (tuple, list)) and len(shape) in (1, 2, 3)
    if not allowed or not all(isinstance(side, Integral) and int(side) > 0 for side in shape):
        raise ValueError(
            f"The shape of view {name!r} must be (L,), (C, L), (H, W) or (C, H, W) with positive integers, got {shape!r}."
        )
    if math.prod(shape) != n_columns:
        raise ValueError(f"The shape {tuple(shape)} of view {name!r} does not match its {n_columns} column(s).")
    sides = tuple(int(side) for side in shape)
    return (1, *sides) if len(sides) == 1 or (len(sides) == 2 and not sequence) else sides


def _positions(name: str, columns: Any, X: Any, n_columns: int) -> npt.NDArray[np.int64]:
    named = feature_names(X)
    if callable(columns):
        columns = columns(X)
    if isinstance(columns, slice):
        positions = np.arange(n_columns)[_slice_of_positions(name, columns, named)]
    else:
        if not (isinstance(columns, Integral) or np.iterable(columns)):
            raise TypeError(
                f"The columns of view {name!r} must be names, positions, a slice or a mask, got {columns!r}."
            )
        keys = [columns] if isinstance(columns, (str, Integral)) else list(columns)
        positions = _positions_of_keys(name, keys, named, n_columns)
    if not len(positions):
        raise ValueError(f"View {name!r} has no columns: {columns!r} selects none of the {n_columns} feature(s) of X.")
    return positions.astype(np.int64)


def _positions_of_keys(name: str, keys: list[Any], named: list[str] | None, n: int) -> npt.NDArray[np.int64]:
    if keys and all(isinstance(key, (bool, np.bool_)) for key in keys):
        if len(keys) != n:
            raise ValueError(f"The mask of view {name!r} has {len(keys)} entries, X has {n} feature(s).")
        return np.flatnonzero(keys)
    if all(isinstance(key, str) for key in keys):
        return np.array([_position_of(name, key, named) for key in keys], dtype=np.int64)
    if not all(isinstance(key, Integral) and not isinstance(key, (bool, np.bool_)) for key in keys):
        raise ValueError(
            f"The columns of view {name!r} must be an int, a name, a slice, a list of ints, of names or of booleans, or a "
            f"callable that returns one of these, got {keys!r}."
        )
    beyond = [int(key) for key in keys if not -n <= key < n]
    if beyond:
        raise ValueError(f"View {name!r} asks for columns {beyond}, but X has {n} feature(s).")
    return np.array([int(key) % n for key in keys], dtype=np.int64)


def _position_of(name: str, key: str, named: list[str] | None) -> int:
    if named is None:
        raise ValueError(
            f"View {name!r} asks for column {key!r} by name, but X is no data frame with names of strings."
        )
    if key not in named:
        raise ValueError(f"View {name!r} asks for column {key!r}, which X does not have. Its columns are: {named}.")
    return named.index(key)


def _slice_of_positions(name: str, columns: slice, named: list[str] | None) -> slice:
    """Return a slice of positions; one of names includes its end, as in pandas and ColumnTransformer."""
    start, stop = columns.start, columns.stop
    if isinstance(start, str):
        start = _position_of(name, start, named)
    if isinstance(stop, str):
        stop = _position_of(name, stop, named) + 1
    return slice(start, stop, columns.step)
