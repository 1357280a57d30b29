"""Sequences of unequal length: padded arrays with the length of each row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from skdim.exceptions import InputShapeWarning, warn
from skdim.inputs.arrays import Stored, each
from skdim.inputs.tables import FILL_WITHIN, as_array, refuse_not_finite, shape_of, shown

#: How many last times of a row are the same, in every channel, where it is taken to be padded.
LEAST_PADDING = 3
#: Most columns of a frame that look to be a long table, whose rows are no series.
FEWEST_TIMES = 4


def unequal_shapes(X: Any) -> list[tuple[int, ...]]:
    """Return the shapes of the samples of a list, in order, if they differ; of all else an empty list."""
    if not isinstance(X, (list, tuple)):
        return []
    try:
        np.shape(X)
    except ValueError:
        return sorted({_shape_of_sample(sample) for sample in X})
    return []


def _shape_of_sample(sample: Any) -> tuple[int, ...]:
    try:
        return shape_of(sample)
    except ValueError as error:
        raise ValueError(
            f"X holds a sample that is no array, such as {shown(sample)}. Give arrays of numbers; of pairs (x, y) give x alone."
        ) from error


def padded(X: Any, input_shape: Any = None) -> Any:
    """Return a list of series as one array (n, n_channels, n_times), NaN after the end of each; all else as it is.

    So is a list of vectors of equal length, unless ``input_shape`` says that each holds several channels.
    """
    shapes = unequal_shapes(X)
    if not shapes:
        is_of_series = input_shape is None or tuple(input_shape)[:1] == (1,)
        if is_of_series and isinstance(X, (list, tuple)) and len(np.shape(X)) == 2:
            rows = as_array(X)
            return rows[:, None] if rows.dtype.kind in "fiub" else X
        return X
    if len(shapes[0]) not in (1, 2) or len({shape[:-1] for shape in shapes}) > 1:
        raise ValueError(
            f"X holds series of shapes {shapes[0]} to {shapes[-1]}. Give each as (n_times,) or (n_channels, n_times), all with "
            "the same channels: of (n_times, n_channels) the transpose."
        )
    series = [as_array(sample) for sample in X]
    if others := sorted({str(part.dtype) for part in series if part.dtype.kind not in "fiub"}):
        raise ValueError(f"X must hold real numbers, got series of dtype {', '.join(others)}.")
    n_channels, n_times = (1, *shapes[0][:-1])[-1], max(shape[-1] for shape in shapes)
    dtype = np.result_type(np.float32, *(part.dtype for part in series))
    array = np.full((len(series), n_channels, n_times), np.nan, dtype)
    for row, part in zip(array, series, strict=True):
        row[:, : part.shape[-1]] = part
    return array


def cut_to_lengths(X: Any, n_channels: int, lengths: Any, table: Any) -> tuple[Any, npt.NDArray[np.int64] | None]:
    """Return sequences (n, n_channels, n_times) up to the longest one, and the lengths, None if all are full; checks them.

    Lengths are those given, or where NaN begins that lasts to the end. What lies beyond is 0. ``table`` is
    what the user gave, for names of columns.
    """
    given = X.shape
    if X.ndim == 2 and hasattr(table, "columns") and X.shape[1] <= FEWEST_TIMES and _repeats(X):
        warn(
            f"The {X.shape[1]} columns {[str(name) for name in table.columns]} of X are read as series of {X.shape[1]} times. "
            "A long table of names, times and values becomes one row a series by X.pivot(index=..., columns=..., values=...).",
            InputShapeWarning,
        )
    if X.ndim == 2:
        n_times = X.shape[1] // n_channels
        X = each(X, lambda block: block.reshape(len(block), n_channels, n_times))
    missing = None if isinstance(X, Stored) else _missing(X)
    if lengths is None and missing is not None:
        lengths = _ends(missing)
    if lengths is None:
        return X, None
    lengths = as_array(lengths)
    if lengths.shape != (len(X),):
        raise ValueError(f"lengths must have shape ({len(X)},), one for each row of X, got {lengths.shape}.")
    if lengths.dtype.kind not in "iu":
        raise ValueError(f"lengths must be integers, got dtype {lengths.dtype}.")
    if lengths.min() < 1 or lengths.max() > X.shape[2]:
        raise ValueError(
            f"lengths must lie between 1 and the {X.shape[2]} samples of X, got {lengths.min()} to {lengths.max()}."
        )
    if missing is not None:
        X = np.where(np.arange(X.shape[2]) < lengths[:, None, None], X, 0)
        refuse_not_finite(X.reshape(given), "X", table, advice=FILL_WITHIN)
    longest = int(lengths.max())
    return each(X, lambda block: block[:, :, :longest]), lengths.astype(np.int64)


def _repeats(X: npt.NDArray[Any]) -> bool:
    """Whether a column has each of its values in several rows, as names of series do in a long table."""
    return any(np.unique(column, return_counts=True)[1].min() > 1 for column in X.T)


def _missing(X: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    """Return which values are NaN, None if none is."""
    with np.errstate(over="ignore", invalid="ignore"):
        if X.dtype.kind != "f" or np.isfinite(X.sum()):
            return None
    missing = np.isnan(X)
    return missing if missing.any() else None


def _ends(missing: Any) -> Any:
    """Return after how many times each sequence ends."""
    present = ~missing.all(1)
    if not present.any(1).all():
        raise ValueError(f"Input X contains NaN: row {int(present.any(1).argmin())} has no value at all.")
    lacking = missing[:, -1].all(1)
    if missing.shape[1] > 1 and lacking.any():
        raise ValueError(
            f"Input X contains NaN: channel {missing.shape[1] - 1} has no value in row {int(lacking.argmax())}. If X is "
            "(n, n_times, n_channels), with NaN after the last time, give np.swapaxes(X, 1, 2)."
        )
    return missing.shape[2] - present[:, ::-1].argmax(1)


def warn_of_padding(X: Any) -> None:
    """Warn that X comes without lengths to an estimator whose fit had them, if a row ends as padded ones do."""
    if X.shape[2] < LEAST_PADDING:
        return
    if not isinstance(X, Stored):  # of those the last times are not read for it
        end = X[:, :, -LEAST_PADDING:]
        if not (end == end[:, :, -1:]).all((1, 2)).any():
            return
    warn(
        "The fit had sequences that end early, and X comes without lengths: padding, if there is any, is read as data. Give "
        "lengths, or NaN in place of the padding, which pipelines pass on. If no row is padded, "
        f"lengths=np.full({len(X)}, {X.shape[2]}) says so.",
        InputShapeWarning,
    )


def check_frames(X: Any, lengths: npt.NDArray[np.int64] | None, stride: int, least: int) -> None:
    """Raise a ValueError if a sequence holds no frame of ``stride`` samples, or the longest fewer than ``least`` samples."""
    shortest = X.shape[2] if lengths is None else int(lengths.min())
    if shortest < stride or X.shape[2] < least:
        what = f"lengths hold {shortest}" if lengths is not None else f"X has shape {X.shape}"
        raise ValueError(
            f"{what}: a sequence of {shortest} sample(s), or {shortest} feature(s) per channel, is shorter than the "
            f"{max(stride, least)} samples that the encoder needs."
        )
