"""Sequences of unequal length: padded arrays with the length of each row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from skdim.inputs.arrays import each
from skdim.inputs.tables import as_array


def cut_to_lengths(X: Any, n_channels: int, lengths: Any) -> tuple[Any, npt.NDArray[np.int64] | None]:
    """Return sequences (n, n_channels, n_times) up to the longest one, and the lengths where they are given; checks them."""
    if X.ndim == 2:
        n_times = X.shape[1] // n_channels
        X = each(X, lambda block: block.reshape(len(block), n_channels, n_times))
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
    longest = int(lengths.max())
    return each(X, lambda block: block[:, :, :longest]), lengths.astype(np.int64)


def check_frames(X: Any, lengths: npt.NDArray[np.int64] | None, stride: int, least: int) -> None:
    """Raise a ValueError if a sequence holds no frame of ``stride`` samples, or the longest fewer than ``least`` samples."""
    shortest = X.shape[2] if lengths is None else int(lengths.min())
    if shortest < stride or X.shape[2] < least:
        what = f"lengths hold {shortest}" if lengths is not None else f"X has shape {X.shape}"
        raise ValueError(
            f"{what}: a sequence of {shortest} sample(s), or {shortest} feature(s) per channel, is shorter than the "
            f"{max(stride, least)} samples that the encoder needs."
        )
