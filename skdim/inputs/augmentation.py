"""Views: tensors of samples -> tensors of views, all random numbers given as an argument.

The augmentations act on standardised batches with one row of uniform draws per sample, which :func:`sample_uniform` makes
from (seed, epoch, sample). So a sample's views do not depend on the batch, the process or the machine that it falls on.

References
----------
.. [1] Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (the mixing constants).
.. [2] Bachman, Hjelm & Buchwalter, "Learning representations by maximizing mutual information across views", NeurIPS 2019.
.. [3] Bahri et al., "SCARF: self-supervised contrastive learning using random feature corruption", ICLR 2022.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from skdim._params import Configured
from skdim._random import local_seed

__all__ = [
    "EVALUATION_SEED",
    "Augmentation",
    "ImageAugmentation",
    "SequenceAugmentation",
    "TableAugmentation",
    "TwoViews",
    "choose_augmentation",
    "sample_uniform",
]

#: Seed of the views, and of the codes' noise, that held-out bounds and scores are taken on.
EVALUATION_SEED = 0
#: The Weyl increment of SplitMix64 [1]_.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Finalise SplitMix64: a bijection of 64-bit integers whose output bits are all well mixed [1]_."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@lru_cache(maxsize=16)
def _key(seed: int, epoch: int) -> npt.NDArray[np.uint64]:
    """Return one number for all batches of an epoch."""
    with np.errstate(over="ignore"):
        return _mix(_mix(np.array([seed], dtype=np.uint64) + GOLDEN) + np.uint64(epoch + 1) * GOLDEN)


def sample_uniform(seed: int, epoch: int, samples: npt.ArrayLike, n_draws: int) -> npt.NDArray[np.float32]:
    """Return numbers in [0, 1), (n, n_draws), that are a function of (seed, epoch, row number, draw) alone."""
    rows = _mix(_key(seed, epoch) + (np.asarray(samples).astype(np.uint64) + np.uint64(1)) * GOLDEN)
    bits = _mix(rows[:, None] + (np.arange(n_draws, dtype=np.uint64) + np.uint64(1)) * GOLDEN)
    # As signed integers, which become floats a quarter faster.
    return (bits >> np.uint64(40)).view(np.int64).astype(np.float32) * np.float32(2.0**-24)


@runtime_checkable
class Augmentation(Protocol):
    """A random view of standardised samples."""

    def n_draws(self, shape: tuple[int, ...]) -> int:
        """Return how many uniform numbers one view of a sample of this shape takes."""
        ...

    def __call__(self, X: Tensor, draws: Tensor) -> Tensor:
        """Return a view of ``X`` (n, ...) from ``draws`` (n, n_draws)."""
        ...


def _between(low: float, high: float, draw: Tensor) -> Tensor:
    return low + (high - low) * draw


def _resampling(size: int, extent: Tensor, start: Tensor) -> Tensor:
    """Return (n, size, size) matrices that stretch ``[start, start + extent]`` of an axis to its whole length, linearly."""
    centres = (torch.arange(size, device=extent.device) + 0.5) / size
    position = ((centres * extent[:, None] + start[:, None]) * size - 0.5).clamp(0, size - 1)
    return (1 - (position[:, :, None] - torch.arange(size, device=extent.device)).abs()).clamp_min(0)


@dataclass
class ImageAugmentation(Configured):
    """Random resized crop and jitter of contrast and brightness; a horizontal flip only when asked for.

    The crop is stretched back to the image by linear interpolation along each axis, two small matrix products an image.

    Parameters
    ----------
    flip : bool, default=False
        Whether half of the views are mirrored.
    scale : tuple of float, default=(0.5, 1.0)
        Range of the crop's share of the area.
    ratio : float, default=4 / 3
        Largest aspect ratio; its logarithm is uniform.
    contrast, brightness : float
        The image's deviation from its mean is scaled by 1 +- contrast, and +- brightness (in standard deviations of the
        data) is added.

    Examples
    --------
    >>> import torch
    >>> from skdim.inputs import ImageAugmentation
    >>> augment = ImageAugmentation(scale=(1.0, 1.0), ratio=1.0, contrast=0.0, brightness=0.0)
    >>> X = torch.arange(64.0).reshape(1, 1, 8, 8)
    >>> torch.allclose(augment(X, torch.full((1, augment.n_draws((1, 8, 8))), 0.5)), X)
    True
    """

    flip: bool = False
    scale: tuple[float, float] = (0.5, 1.0)
    ratio: float = 4 / 3
    contrast: float = 0.6
    brightness: float = 0.8

    def n_draws(self, shape: tuple[int, ...]) -> int:
        return 6 + self.flip

    def __call__(self, X: Tensor, draws: Tensor) -> Tensor:
        height, width = X.shape[2:]
        draw = draws.unbind(1)
        area = _between(*self.scale, draw[0])
        aspect = torch.exp(_between(-1, 1, draw[1]) * math.log(self.ratio))
        extent_y, extent_x = (area * aspect).sqrt().clamp_max(1), (area / aspect).sqrt().clamp_max(1)
        rows = _resampling(height, extent_y, draw[2] * (1 - extent_y))
        columns = _resampling(width, extent_x, draw[3] * (1 - extent_x))
        if self.flip:
            columns = torch.where((draw[6] < 0.5)[:, None, None], columns.flip(1), columns)
        view = rows @ X.transpose(0, 1) @ columns.transpose(1, 2)  # channels first: one matrix an image serves all
        mean = view.mean((0, 2, 3), keepdim=True)
        gain = _between(1 - self.contrast, 1 + self.contrast, draw[4])[:, None, None]
        shift = _between(-self.brightness, self.brightness, draw[5])[:, None, None]
        return ((view - mean) * gain + mean + shift).transpose(0, 1)


@dataclass
class SequenceAugmentation(Configured):
    """Random crop in time, stretched back to the full length, and a random gain.

    Parameters
    ----------
    scale : tuple of float, default=(0.5, 1.0)
        Range of the crop's share of the length.
    gain : float, default=0.3
        The sequence is scaled by a factor in 1 +- gain.

    Examples
    --------
    >>> import torch
    >>> from skdim.inputs import SequenceAugmentation
    >>> SequenceAugmentation()(torch.ones(2, 3, 50), torch.full((2, 3), 0.5)).shape
    torch.Size([2, 3, 50])
    """

    scale: tuple[float, float] = (0.5, 1.0)
    gain: float = 0.3

    def n_draws(self, shape: tuple[int, ...]) -> int:
        return 3

    def __call__(self, X: Tensor, draws: Tensor) -> Tensor:
        extent = _between(*self.scale, draws[:, 0])
        steps = _resampling(X.shape[2], extent, draws[:, 1] * (1 - extent))
        return X @ steps.transpose(1, 2) * _between(1 - self.gain, 1 + self.gain, draws[:, 2])[:, None, None]


@dataclass
class TableAugmentation(Configured):
    """Columns masked at random: each is replaced by its mean (0 after standardisation) with probability ``masked``.

    Parameters
    ----------
    masked : float, default=0.3
        Probability that a value is masked, in the spirit of SCARF [3]_.

    Examples
    --------
    >>> import torch
    >>> from skdim.inputs import TableAugmentation
    >>> TableAugmentation(masked=0.5)(torch.ones(1, 2), torch.tensor([[0.4, 0.6]])).tolist()
    [[0.0, 1.0]]
    """

    masked: float = 0.3

    def n_draws(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape)

    def __call__(self, X: Tensor, draws: Tensor) -> Tensor:
        return X.masked_fill((draws < self.masked).reshape(X.shape), 0.0)


Augment: TypeAlias = str | Augmentation | Callable[..., Tensor]


def choose_augmentation(augment: Augment, shape: tuple[int, ...]) -> Augmentation | Callable[..., Tensor]:
    """Return the augmentation that "auto" or "auto+flip" stands for with inputs of this shape, or the user's."""
    if not isinstance(augment, str):
        return augment
    if augment == "auto":
        return {1: TableAugmentation, 2: SequenceAugmentation, 3: ImageAugmentation}[len(shape)]()
    if len(shape) != 3:
        raise ValueError("augment='auto+flip' flips images; this input is a table or a sequence: use augment='auto'.")
    return ImageAugmentation(flip=True)


class TwoViews:
    """Two augmentations of each sample of a shape; a callable takes a batch and a torch.Generator, or the batch alone."""

    def __init__(self, augment: Augment, shape: tuple[int, ...]) -> None:
        self.augmentation = choose_augmentation(augment, shape)
        #: Whether a view is a function of the sample and its random numbers, and not the user's.
        self.is_seeded = isinstance(self.augmentation, Augmentation)
        self.n_draws = 2 * self.augmentation.n_draws(shape) if isinstance(self.augmentation, Augmentation) else 0

    def draw(self, first_row: int, generator: torch.Generator | None) -> dict[str, torch.Generator]:
        """Return what a user's function draws from: another sequence for each step, and for each process's rows."""
        if self.is_seeded:
            return {}
        seed = EVALUATION_SEED if generator is None else int(torch.randint(2**31, (), generator=generator))
        return {"generator": torch.Generator().manual_seed(seed + first_row)}

    def __call__(self, X: Tensor, uniform: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """Return both views of ``X`` (n, ...), from ``uniform`` (n, n_draws) or by the user's function."""
        if self.is_seeded:
            half = self.n_draws // 2
            return [self.augmentation(X, uniform[:, :half]), self.augmentation(X, uniform[:, half:])]
        return [_call(self.augmentation, X, generator) for _ in range(2)]


def _call(augment: Callable[..., Tensor], X: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return the view of a user's function of (X, generator), or of X alone, for which the global generator is seeded."""
    try:
        inspect.signature(augment).bind(X, generator)
    except TypeError:
        seed = int(torch.randint(2**31, (), generator=generator))
        with local_seed(seed, X.device):
            return augment(X)
    return augment(X, generator)
