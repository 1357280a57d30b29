"""Arrays -> standardised float tensors: the only place where data changes its type, a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from skdim.exceptions import ConstantInputWarning, ScaleWarning, warn
from skdim.inputs.arrays import ROWS_AT_ONCE, Stored
from skdim.inputs.batches import to_device
from skdim.inputs.layout import Layout, scale_labels
from skdim.inputs.scales import FARTHEST, Moments, chance_ratio, unit_of

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float64]

CPU = torch.device("cpu")
#: Types of numbers that are moved to a device as they are.
MOVED = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
#: By which factor the scale of later rows may differ from that of the first, and by how many deviations their mean. Of digits
#: in a tenth of the first scale a perceptron's codes spread as they should, in a hundredth a 400th as far: frozen_scale.py.
MOST_CHANGE = 10
#: How many rows of new samples tell whether they are in the unit of the fit, and how many values, beyond which few rows do.
ROWS_JUDGED, VALUES_JUDGED, FEWEST_JUDGED = 64, 2**20, 8
#: Probability that samples of one scale are told to differ by more, over all columns.
FALSE_ALARM = 1e-3
#: Largest share of a CUDA device's free memory that samples may take.
RESIDENT_SHARE = 0.5
#: How many times wider or narrower X may be spread than an encoder expects: beyond, one is in 0 to 1 and the other in 0 to 255.
MOST_UNLIKE = 30


@dataclass
class Standardizer:
    """Rows of an array -> float tensors of mean 0 and variance 1 per channel (per column of a table)."""

    shape: tuple[int, ...]  # of one input as the network takes it: (C, H, W), (C, L) or (n_columns,)
    mean: npt.NDArray[np.float64]  # (C,)
    scale: npt.NDArray[np.float64]  # (C,)
    layout: Layout | None = None  # the views that flat samples hold
    n_rows: npt.NDArray[np.float64] = field(
        default_factory=lambda: np.full(1, np.inf)
    )  # (1,), that told them; inf: unknown
    moved: dict[torch.device, tuple[Tensor, Tensor, Tensor, Tensor | None]] = field(
        init=False, default_factory=dict, compare=False, repr=False
    )

    @classmethod
    def learn(
        cls,
        X: Array,
        shape: tuple[int, ...],
        lengths: npt.NDArray[np.int64] | None = None,
        names: Sequence[str] | None = None,
    ) -> Standardizer:
        """Learn mean and scale block by block, without the padding beyond ``lengths``; ``names`` are for warnings."""
        n_values = len(X) * math.prod(shape[1:]) if lengths is None else int(lengths.sum())
        moments = Moments(n_values, shape[0])
        for start in range(0, len(X), ROWS_AT_ONCE):
            block = np.asarray(X[start : start + ROWS_AT_ONCE], dtype=np.float64, order="C").reshape(-1, *shape)
            values = np.moveaxis(block, 1, -1)
            if lengths is not None:
                values = values[np.arange(shape[1]) < lengths[start : start + ROWS_AT_ONCE, None]]
            moments.add(values.reshape(-1, shape[0]))
        moments.warn_of_outliers(scale_labels(shape, names))
        return cls(shape, moments.mean, moments.scale, n_rows=np.full(1, float(len(X))))

    @classmethod
    def learn_views(cls, X: Array, layout: Layout, names: Sequence[str] | None = None) -> Standardizer:
        """Learn the mean and the scale of each channel, or each column of a table, of flat samples; NaN is ignored."""
        groups = layout.scales(int(np.prod(X.shape[1:])))
        mixing = None if layout.mixing is None else torch.from_numpy(layout.mixing)
        moments = Moments(len(X), len(groups))
        for start in range(0, len(X), ROWS_AT_ONCE):
            block = np.array(X[start : start + ROWS_AT_ONCE], dtype=np.float64, order="C").reshape(-1, len(groups))
            moments.add(_mixed(torch.from_numpy(block), mixing).numpy())
        pool = moments.pooled(groups)
        pool.warn_of_outliers(layout.labels(groups, names))
        n_rows = np.full(1, float(len(X)))
        return cls((len(groups),), pool.mean[groups], pool.scale[groups], layout, n_rows)

    def expected_by(self, encoder: object) -> Standardizer:
        """Return the mean and scale that an encoder declares as its ``statistics``, if it does, or each of a list for its view.

        Raises ValueError if they are for another number of channels, or in another unit than what was learned.
        """
        whole = "", np.arange(self.shape[0]), self.shape[:1]
        views = [whole] if self.layout is None else self.layout.views
        encoders = encoder if isinstance(encoder, (list, tuple)) else [encoder] * len(views)
        mean, scale = self.mean.copy(), self.scale.copy()
        for (_, columns, shape), each in zip(views, encoders, strict=False):  # what builds them counts them
            if (given := getattr(each, "statistics", None)) is None:
                continue
            if any(part.shape not in ((), shape[:1]) for part in given):
                raise ValueError(
                    f"mean and std of {each!r} must be numbers, or have one for each of {shape[0]} channels."
                )
            mean[columns], scale[columns] = (
                np.repeat(np.broadcast_to(part, shape[:1]), math.prod(shape[1:])) for part in given
            )
        unlike = np.flatnonzero((self.scale > MOST_UNLIKE * scale) | (scale > MOST_UNLIKE * self.scale))
        if len(unlike):
            k = unlike[0]
            raise ValueError(
                f"The encoder expects a mean of {mean[k]:.3g} and a standard deviation of {scale[k]:.3g}, and X has "
                f"{self.mean[k]:.3g} and {self.scale[k]:.3g}: give mean and std in the unit of X, such as 255 times "
                "those of pixels from 0 to 1, or None to standardise by X."
            )
        return replace(self, mean=mean, scale=scale)

    def __call__(self, block: Array | Tensor, device: torch.device = CPU) -> Tensor:
        """Return the standardised float32 tensor of some rows on the device."""
        # In float64, so that units do not matter and values beyond float32 are taken; a copy, for the user's array must not be
        # written to. CUDA devices compute it themselves, from what is moved in its own type.
        if isinstance(block, Tensor):
            values = block.to(torch.float64, copy=True)
        elif device.type == "cuda":
            values = to_device(as_tensor(block), device).to(torch.float64)
        else:
            values = torch.from_numpy(np.array(block, dtype=np.float64, order="C"))
        if values.ndim != len(self.shape) + 1:  # stacked sequences keep their own length
            values = values.reshape(-1, *self.shape)
        return scaled(values, *self.parts(values.device)).to(device)

    def parts(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Return a unit, mean and scale in it, and the matrix of mixing, on a device, where they stay: a copy waits for it."""
        if device not in self.moved:
            unit, shape = unit_of(self.scale), (-1,) + (1,) * (len(self.shape) - 1)
            parts = unit, self.mean * unit, self.scale * unit
            unit_, mean, scale = (torch.from_numpy(part).reshape(shape).to(device) for part in parts)
            mixing = None if self.layout is None else self.layout.mixing
            self.moved[device] = unit_, mean, scale, None if mixing is None else torch.from_numpy(mixing).to(device)
        return self.moved[device]


def scaled(values: Tensor, unit: Tensor, mean: Tensor, scale: Tensor, mixing: Tensor | None) -> Tensor:
    """Return float64 samples, which are written to, standardised in float32; inf where that is too small."""
    values = _mixed(values, mixing)
    values *= unit
    values -= mean
    values /= scale
    return values.to(torch.float32)


def _mixed(values: Tensor, mixing: Tensor | None) -> Tensor:
    """Return flat samples with their channels mixed."""
    if mixing is None:
        return values
    return (mixing @ values.unflatten(1, (len(mixing), -1))).flatten(1)


def as_tensor(block: Array) -> Tensor:
    """Return a copy of an array as a tensor, of its own type if all devices take that."""
    dtype = block.dtype.newbyteorder("=")
    return torch.from_numpy(np.array(block, dtype=dtype if dtype.name in MOVED else np.float64, order="C"))


@dataclass
class Samples:
    """Validated rows -> standardised tensors on the device, some rows at a time."""

    X: Any  # array of shape (n, ...), Stored, or a tensor on the device
    standardize: Standardizer
    device: torch.device
    extras: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)  # further values of each row, such as lengths
    source: Stored | None = None  # where a tensor on the device was read from

    def __len__(self) -> int:
        return len(self.X)

    def read(self, rows: npt.NDArray[np.int64] | slice) -> Tensor:
        if isinstance(self.X, Tensor) and not isinstance(rows, slice):
            return self.standardize(self.X[to_device(torch.from_numpy(rows), self.device)], self.device)
        return self.standardize(self.X[rows], self.device)

    def near(self, names: Sequence[str] | None = None) -> Samples:
        """Return the samples if a network can square their values; else raise a ``ValueError`` that names the first row."""
        layout, shape, lengths = self.standardize.layout, self.standardize.shape, self.extras.get("lengths")
        for start in range(0, len(self), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            far = (self.read(rows).abs() > FARTHEST).cpu().numpy()
            if lengths is not None:  # the rest is padding
                far &= np.arange(far.shape[2]) < lengths[rows, None, None]
            if far.any():
                row, channel, *_ = np.argwhere(far)[0].tolist()
                where = f", in {scale_labels(shape, names)[channel]}" if layout is None else ""
                raise ValueError(
                    f"Row {start + row} of X lies too far outside the range of the fitted data for float32{where}: more than "
                    f"{FARTHEST:.0e} standard deviations. Drop the row, or fit anew in the present unit."
                )
        return self

    def warn_of_equal_rows(self) -> None:
        """Warn if all samples are equal; those outside memory are not read for it."""
        if isinstance(self.X, Stored):
            return
        blocks = chain(
            [slice(0, 2)], (slice(start, start + ROWS_AT_ONCE) for start in range(2, len(self), ROWS_AT_ONCE))
        )
        first = self.read(slice(0, 1))
        if all(bool((self.read(rows) == first).all()) for rows in blocks):
            warn(
                f"All {len(self)} samples of X are equal: training has nothing to tell apart, and the features mean nothing. "
                "Look at how X was made.",
                ConstantInputWarning,
            )

    def warn_of_another_scale(self, names: Sequence[str] | None = None) -> None:
        """Warn if the rows, which the scale of earlier ones standardises, are far from mean 0 and variance 1 in a channel."""
        labels, moments, deviation, excess = self._against_scale(names)
        changed = np.flatnonzero(excess > MOST_CHANGE)
        if len(changed):
            j = int(excess.argmax())
            more = f" (and of {len(changed) - 1} more)" if len(changed) > 1 else ""
            warn(
                f"The first call has set mean and scale of {labels[j]}{more}, and training keeps them. In that unit these rows "
                f"have mean {moments.mean[j]:.2g} and deviation {deviation[j]:.2g}, in place of 0 and 1. Give first a part "
                "that is like the others, or put a StandardScaler before that has seen all parts.",
                ScaleWarning,
            )

    def warn_of_another_unit(self) -> None:
        """Warn if all channels of some images or sequences are far from the scale of the fit.

        Tables are not judged: rows in order, as by time, are as narrow in a column, and there each row has one value.
        """
        layout, shape = self.standardize.layout, self.standardize.shape
        n_values = [math.prod(shape[1:])] if layout is None else np.bincount(layout.scales(shape[0]))
        if min(n_values) == 1 or len(self) == 1:
            return
        # Those outside memory are read as they come; of the others, some from all over are less alike.
        n = min(ROWS_JUDGED, max(FEWEST_JUDGED, VALUES_JUDGED // math.prod(shape)))
        apart = 1 if isinstance(self.X, Stored) else -(-len(self) // n)
        rows = slice(0, apart * n, apart)
        extras = {name: part[rows] for name, part in self.extras.items()}
        with np.errstate(over="ignore", invalid="ignore"):  # what is too far for float32 is refused by its features
            labels, moments, deviation, excess = replace(self, X=self.X[rows], extras=extras)._against_scale()
            changed = (excess > MOST_CHANGE) & ~moments.squeezed
        if changed.all():
            j = int(excess.argmin())
            warn(
                f"In the unit of the fit, values of {labels[j]} have mean {moments.mean[j]:.2g} and deviation "
                f"{deviation[j]:.2g}, in place of 0 and 1. Give X in the unit that it had in fit, such as pixels from 0 to 255 "
                "in both.",
                ScaleWarning,
            )

    def _against_scale(self, names: Sequence[str] | None = None) -> tuple[Sequence[str], Moments, Floats, Floats]:
        """Return of each channel its label, moments and deviation in the fitted unit, and how far these are off.

        How far is far depends on the rows, of both parts, that make the spread.
        """
        layout, shape, lengths = self.standardize.layout, self.standardize.shape, self.extras.get("lengths")
        moments = Moments(len(self) * math.prod(shape[1:]), shape[0])
        for start in range(0, len(self), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            values = self.read(rows).movedim(1, -1).double().cpu().numpy()
            if lengths is not None:
                values = values[np.arange(values.shape[1]) < lengths[rows, None]]
            moments.add(values.reshape(-1, shape[0]))
        labels = scale_labels(shape, names)
        if layout is not None:
            groups = layout.scales(shape[0])
            labels, moments = layout.labels(groups, names), moments.pooled(groups)
        varies = moments.low < moments.high
        deviation = np.where(varies, moments.scale, 0)
        change = np.maximum(np.where(varies, np.maximum(moments.scale, 1 / moments.scale), 1), np.abs(moments.mean))
        # Rare values make few degrees of freedom: their kurtosis says so.
        n = min(float(self.standardize.n_rows[0]), len(self)) - 1
        freedom = n * np.where(varies, np.minimum(1, 2 / np.maximum(moments.kurtosis - 1, 1e-9)), 1)
        return labels, moments, deviation, change / chance_ratio(freedom, FALSE_ALARM / len(change))

    def shape(self) -> tuple[int, ...]:
        shape = self.standardize.shape
        return shape if self.X.ndim != len(shape) + 1 else tuple(self.X.shape[1:])

    def shuffled(self, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
        stored = self.X if isinstance(self.X, Stored) else self.source
        return rng.permutation(rows) if stored is None else stored.shuffled(rows, rng)

    def resident(self) -> Samples:
        """Return the samples with all rows on the CUDA device if they take at most half of its free memory."""
        if self.device.type != "cuda" or isinstance(self.X, Tensor):
            return self
        parts = (as_tensor(self.X[start : start + ROWS_AT_ONCE]) for start in range(0, len(self), ROWS_AT_ONCE))
        first = next(parts)
        reusable = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        free = torch.cuda.mem_get_info(self.device)[0] + reusable
        if len(self) * first[0].nbytes > RESIDENT_SHARE * free:
            return self
        X = torch.empty(len(self), *first.shape[1:], dtype=first.dtype, device=self.device)
        for start, part in zip(range(0, len(self), ROWS_AT_ONCE), chain([first], parts), strict=True):
            X[start : start + ROWS_AT_ONCE].copy_(part)
        return replace(self, X=X, source=self.X if isinstance(self.X, Stored) else None)
