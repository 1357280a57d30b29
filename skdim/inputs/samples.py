"""Arrays -> standardised float tensors: the only place where data changes its type, a batch at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from skdim.inputs.arrays import ROWS_AT_ONCE, Stored
from skdim.inputs.layout import Layout

__all__ = ["Samples", "Standardizer", "to_device"]

Array = npt.NDArray[np.generic]


@dataclass
class Standardizer:
    """Rows of an array -> float tensors of mean 0 and variance 1 per channel (per column of a table)."""

    shape: tuple[int, ...]  # of one input as the network takes it: (C, H, W), (C, L) or (n_columns,)
    mean: npt.NDArray[np.float64]  # (C,)
    scale: npt.NDArray[np.float64]  # (C,)
    layout: Layout | None = None  # the views that flat samples hold

    @classmethod
    def learn(cls, X: Array, shape: tuple[int, ...], lengths: npt.NDArray[np.int64] | None = None) -> Standardizer:
        """Learn mean and scale block by block, without the padding beyond ``lengths``; a constant channel has a scale of 1."""
        scaler = StandardScaler()
        for start in range(0, len(X), ROWS_AT_ONCE):
            block = np.asarray(X[start : start + ROWS_AT_ONCE], dtype=np.float64, order="C").reshape(-1, *shape)
            values = np.moveaxis(block, 1, -1)
            if lengths is not None:
                values = values[np.arange(shape[1]) < lengths[start : start + ROWS_AT_ONCE, None]]
            scaler.partial_fit(values.reshape(-1, shape[0]))
        return cls(shape, scaler.mean_, scaler.scale_)

    @classmethod
    def learn_views(cls, X: Array, layout: Layout) -> Standardizer:
        """Learn the mean and the scale of each channel, or each column of a table, of flat samples; NaN is ignored."""
        groups, mixing = layout.scales(int(np.prod(X.shape[1:]))), layout.mixing
        scaler = StandardScaler()
        for start in range(0, len(X), ROWS_AT_ONCE):
            block = np.array(X[start : start + ROWS_AT_ONCE], dtype=np.float64, order="C").reshape(-1, len(groups))
            scaler.partial_fit(_mixed(torch.from_numpy(block), mixing).numpy())
        # The law of total variance, with the number of values of each column as its weight.
        weight = np.broadcast_to(np.asarray(scaler.n_samples_seen_, dtype=np.float64), groups.shape)
        total = np.bincount(groups, weight)
        mean = np.bincount(groups, weight * scaler.mean_) / total
        squares = np.bincount(groups, weight * (scaler.var_ + (scaler.mean_ - mean[groups]) ** 2))
        variance = squares / total
        # As in scikit-learn's StandardScaler, a column that varies by rounding errors alone is constant.
        eps = np.finfo(np.float64).eps
        constant = variance <= total * eps * variance + (total * mean * eps) ** 2
        scale = np.where(constant, 1.0, np.sqrt(variance))
        return cls((len(groups),), mean[groups], scale[groups], layout)

    def __call__(self, block: Array) -> Tensor:
        """Return the standardised float32 tensor of some rows."""
        # In float64, so that units do not matter and values beyond float32 are taken. A copy, since the user's array must not
        # be written to.
        values = torch.from_numpy(np.array(block, dtype=np.float64, order="C"))
        if values.ndim != len(self.shape) + 1:  # stacked sequences keep their own length
            values = values.reshape(-1, *self.shape)
        values = _mixed(values, None if self.layout is None else self.layout.mixing)
        mean, scale = self._per_channel
        values -= mean
        values /= scale
        return values.to(torch.float32)  # inf where float32 is too small: transform and score refuse it

    @cached_property
    def _per_channel(self) -> tuple[Tensor, Tensor]:
        shape = (-1,) + (1,) * (len(self.shape) - 1)
        return torch.from_numpy(self.mean).reshape(shape), torch.from_numpy(self.scale).reshape(shape)


def _mixed(values: Tensor, mixing: npt.NDArray[np.float64] | None) -> Tensor:
    """Return flat samples with their channels mixed."""
    if mixing is None:
        return values
    channels = values.reshape(len(values), len(mixing), -1)
    return (torch.from_numpy(mixing) @ channels).flatten(1)


def to_device(X: Tensor, device: torch.device) -> Tensor:
    """Move a batch to the device, to CUDA from pinned memory and without waiting for the copy."""
    if device.type == "cuda" and X.device.type == "cpu":
        return X.pin_memory().to(device, non_blocking=True)
    return X.to(device)


@dataclass
class Samples:
    """Validated rows -> standardised tensors on the device, a batch at a time."""

    X: Any  # array of shape (n, ...), or Stored
    standardize: Standardizer
    device: torch.device
    extras: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)  # further values of each row, such as lengths

    def __len__(self) -> int:
        return len(self.X)

    def read(self, rows: npt.NDArray[np.int64] | slice) -> Tensor:
        return to_device(self.standardize(self.X[rows]), self.device)

    def shape(self) -> tuple[int, ...]:
        shape = self.standardize.shape
        return shape if self.X.ndim != len(shape) + 1 else tuple(self.X.shape[1:])

    def shuffled(self, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
        return self.X.shuffled(rows, rng) if isinstance(self.X, Stored) else rng.permutation(rows)
