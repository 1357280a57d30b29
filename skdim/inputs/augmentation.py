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

import copy
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from skdim._params import Configured, look_up
from skdim._random import LocalSeed

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

#: Seed of the views and of the noise of codes in held-out bounds and scores.
EVALUATION_SEED = 0
#: The Weyl increment of SplitMix64 [1]_.
GOLDEN = 0x9E3779B97F4A7C15


def _signed(number: int) -> int:
    """Return the signed 64-bit integer of the same bits: torch has no arithmetic of unsigned ones."""
    return number - 2**64 if number >= 2**63 else number


def _mix(x: Tensor) -> Tensor:
    """Finalise SplitMix64: a bijection of 64-bit integers whose output bits are all well mixed [1]_; ``x`` is changed."""
    high = torch.empty_like(x)
    for bits, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x.bitwise_xor_(_shifted(x, bits, high)).mul_(_signed(factor))
    return x.bitwise_xor_(_shifted(x, 31, high))


def _shifted(x: Tensor, bits: int, out: Tensor) -> Tensor:
    """Return x shifted to the right, with zeros from the left, whatever its sign."""
    return torch.bitwise_right_shift(x, bits, out=out).bitwise_and_(2 ** (64 - bits) - 1)


def sample_uniform(seed: int, epoch: int, samples: Tensor, n_draws: int) -> Tensor:
    """Return numbers in [0, 1), (n, n_draws), that are a function of (seed, epoch, row number, draw) alone.

    ``samples`` are the row numbers (n,), int64, on the device where the numbers are made.
    """
    key = _mix(_mix(torch.tensor([_signed((seed + GOLDEN) % 2**64)])) + _signed((epoch + 1) * GOLDEN % 2**64)).item()
    rows = _mix((samples + 1) * _signed(GOLDEN) + key)
    draws = torch.arange(1, n_draws + 1, device=samples.device) * _signed(GOLDEN)
    bits = _mix(rows[:, None] + draws)
    return _shifted(bits, 40, bits).to(torch.float32).mul_(2.0**-24)


@runtime_checkable
class Augmentation(Protocol):
    """A random view of standardised samples."""

    def n_draws(self, shape: tuple[int, ...]) -> int:
        """Return how many uniform numbers one view of a sample of this shape takes."""
        ...

    def __call__(self, X: Tensor, draws: Tensor) -> Tensor:
        """Return a view of ``X`` (n, ...) from ``draws`` (n, n_draws)."""
        ...


def _check(augmentation: Configured, shape: tuple[int, ...], n_axes: int, **allowed: str) -> None:
    """Raise a ``ValueError`` unless inputs have so many axes, and every parameter in ``allowed`` is what it says."""
    name = type(augmentation).__name__
    if len(shape) != n_axes:
        kinds = {1: "a table", 2: "sequences", 3: "images"}
        raise ValueError(
            f"{name} takes {kinds[n_axes]}; this input is {kinds.get(len(shape), shape)}: use augment='auto'."
        )
    for parameter, what in allowed.items():
        value = getattr(augmentation, parameter)
        numbers = list(value) if isinstance(value, tuple | list) else [value]
        is_valid = all(isinstance(number, Real) for number in numbers) and ALLOWED[what](*numbers)
        if not is_valid:
            raise ValueError(f"{name}({parameter}={value!r}) must be {what}.")


#: What the parameters of augmentations may be.
ALLOWED: dict[str, Callable[..., bool]] = {
    "two numbers 0 < low <= high <= 1": lambda *scale: len(scale) == 2 and 0 < scale[0] <= scale[1] <= 1,
    "a number of at least 1": lambda *ratio: len(ratio) == 1 and 1 <= ratio[0] < math.inf,
    "a number of at least 0": lambda *size: len(size) == 1 and 0 <= size[0] < math.inf,
    "a number from 0 to 1": lambda *share: len(share) == 1 and 0 <= share[0] <= 1,
}
RANGE, FROM_1, FROM_0, SHARE = ALLOWED


def _between(low: float, high: float, draw: Tensor) -> Tensor:
    return low + (high - low) * draw


def _places(size: int, extent: Tensor, start: Tensor) -> Tensor:
    """Return the places (n, size) on an axis that stretch ``[start, start + extent]`` of it to its whole length."""
    centres = (torch.arange(size, dtype=extent.dtype, device=extent.device) + 0.5) / size
    return ((centres * extent[:, None] + start[:, None]) * size - 0.5).clamp(0, size - 1)


def _taps(place: Tensor, n_axes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the steps left and right of places (n, size), and the share of the right one, (n, 1, ..., size)."""
    left = place.long()
    share = (place - left).reshape(len(place), *[1] * (n_axes - 2), -1)
    return left, (left + 1).clamp_max(place.shape[1] - 1), share


def _stretched(X: Tensor, place: Tensor) -> Tensor:
    """Return X (n, ..., size) at places (n, size) of the last axis, linear between steps."""
    *taps, share = _taps(place, X.ndim)
    left, right = (X.gather(-1, tap.view(share.shape).expand_as(X)) for tap in taps)
    return torch.lerp(left, right, share)


def _stretched_rows(X: Tensor, place: Tensor) -> Tensor:
    """Return images (n, C, H, W) at places (n, H) of their height, linear between rows, which are copied whole."""
    *taps, share = _taps(place, X.ndim)
    n, n_channels, height, _ = X.shape
    first = torch.arange(n * n_channels, device=X.device).view(n, n_channels, 1) * height
    rows = X.reshape(-1, X.shape[3])
    above, below = (rows.index_select(0, (first + tap[:, None]).flatten()).view(X.shape) for tap in taps)
    return torch.lerp(above, below, share.transpose(2, 3))


@dataclass
class ImageAugmentation(Configured):
    r"""Random resized crop, jitter of contrast, brightness and colour; a horizontal flip only when asked for.

    The crop is stretched back to the image by linear interpolation along each axis. The colour :math:`v` of a pixel of an image
    with three channels, less the image's mean, is turned about the axis of greys by an angle :math:`\theta` and changed in
    saturation by a factor :math:`s`, both drawn once for each view:

    .. math::

        M v = L v + s R_\theta (v - L v), \qquad L = \tfrac13 \mathbf 1 \mathbf 1^\top

    Greys, and the mean of the channels, stay as they are. Images of another number of channels have no colour, and keep theirs.

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
    saturation, hue : float
        Of images with three channels: the factor s is drawn from 1 +- saturation, and the angle from +- hue turns.
    grey : float
        Of images with three channels: share of the views that lose their colour (s = 0).

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
    saturation: float = 0.4
    hue: float = 0.1
    grey: float = 0.2

    def n_draws(self, shape: tuple[int, ...]) -> int:
        of_light, of_colour = dict.fromkeys(("contrast", "brightness"), FROM_0), {"saturation": FROM_0, "hue": FROM_0}
        _check(self, shape, 3, scale=RANGE, ratio=FROM_1, **of_light, **of_colour, grey=SHARE)
        return 6 + bool(self.flip) + 3 * (shape[0] == 3)

    def __call__(self, X: Tensor, draws: Tensor) -> Tensor:
        height, width = X.shape[2:]
        draw = draws.unbind(1)
        area = _between(*self.scale, draw[0])
        aspect = torch.exp(_between(-1, 1, draw[1]) * math.log(self.ratio))
        extent_y, extent_x = (area * aspect).sqrt().clamp_max(1), (area / aspect).sqrt().clamp_max(1)
        y = _places(height, extent_y, draw[2] * (1 - extent_y))
        x = _places(width, extent_x, draw[3] * (1 - extent_x))
        if self.flip:
            x = torch.where((draw[6] < 0.5)[:, None], x.flip(1), x)
        view = _stretched(_stretched_rows(X, y), x)
        mean = view.mean((1, 2, 3), keepdim=True)
        gain = _between(1 - self.contrast, 1 + self.contrast, draw[4])[:, None, None, None]
        shift = _between(-self.brightness, self.brightness, draw[5])[:, None, None, None]
        deviation = view - mean
        if X.shape[1] == 3:
            deviation = (self._colour_matrix(*draw[-3:]) @ deviation.flatten(2)).view_as(deviation)
        return deviation * gain + mean + shift

    def _colour_matrix(self, saturation: Tensor, hue: Tensor, grey: Tensor) -> Tensor:
        """Return the matrices (n, 3, 3) of three draws (n,): circulant, since turns about (1, 1, 1) treat channels alike."""
        angle = 2 * math.pi * _between(-self.hue, self.hue, hue)
        factor = _between(1 - self.saturation, 1 + self.saturation, saturation).masked_fill(grey < self.grey, 0)
        cosine, sine = factor * angle.cos(), 3**0.5 * factor * angle.sin()
        own, before, after = (1 + 2 * cosine) / 3, (1 - cosine - sine) / 3, (1 - cosine + sine) / 3
        return torch.stack([own, before, after, after, own, before, before, after, own], 1).view(-1, 3, 3)


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
        _check(self, shape, 2, scale=RANGE, gain=FROM_0)
        return 3

    def __call__(self, X: Tensor, draws: Tensor) -> Tensor:
        extent = _between(*self.scale, draws[:, 0])
        view = _stretched(X, _places(X.shape[2], extent, draws[:, 1] * (1 - extent)))
        return view * _between(1 - self.gain, 1 + self.gain, draws[:, 2])[:, None, None]


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
        _check(self, shape, 1, masked=SHARE)
        return math.prod(shape)

    def __call__(self, X: Tensor, draws: Tensor) -> Tensor:
        return X.masked_fill((draws < self.masked).reshape(X.shape), 0.0)


Augment: TypeAlias = str | Augmentation | Callable[..., Tensor]


def choose_augmentation(augment: Augment, shape: tuple[int, ...]) -> Augmentation | Callable[..., Tensor]:
    """Return the augmentation that "auto" or "auto+flip" stands for with inputs of this shape, or the user's."""
    if not isinstance(augment, str):
        return augment
    if look_up("augment", augment, {"auto": "auto", "auto+flip": "flip"}) == "auto":
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
        if isinstance(self.augmentation, nn.Module):  # the user's own is not changed, and this one learns nothing
            self.augmentation = copy.deepcopy(self.augmentation).requires_grad_(False)
            for part in self.augmentation.modules():
                if isinstance(part, _BatchNorm):
                    part.eval()

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
            views = [self.augmentation(X, uniform[:, :half]), self.augmentation(X, uniform[:, half:])]
        else:
            if isinstance(self.augmentation, nn.Module):
                self.augmentation.to(X.device)
            views = [_call(self.augmentation, X, generator) for _ in range(2)]
        for view in views:
            if not isinstance(view, Tensor):
                raise TypeError(f"augment must return a tensor, and returned {type(view).__name__}.")
            shape = (len(X), *view.shape[1:]) if self.is_seeded else X.shape
            if view.shape != shape or view.dtype is not X.dtype:
                raise ValueError(
                    f"augment must return a view of its batch, of shape {tuple(X.shape)} and {X.dtype}, and returned "
                    f"{tuple(view.shape)} and {view.dtype}."
                )
        return views


def _call(augment: Callable[..., Tensor], X: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return the view of a user's function of (X, generator), or of X alone, whose draws are seeded."""
    try:
        inspect.signature(augment.forward if isinstance(augment, nn.Module) else augment).bind(X, generator)
    except TypeError:
        seed = int(torch.randint(2**31, (), generator=generator))
        with LocalSeed(seed):
            return augment(X)
    return augment(X, generator)
