"""Encoders: networks from a view to a :class:`Code`, the local, hidden and global features that objectives relate.

A configured object such as ``Conv(channels=(16, 32))`` is a factory: called with the shape of one input and the width of the
code, it builds the network. Any class or function ``(input_shape, n_components) -> nn.Module`` may take its place. An encoder
declares by its class attribute ``kind`` whether it takes an "image", a "sequence" or a "table".

References
----------
.. [1] Hjelm et al., "Learning deep representations by mutual information estimation and maximization", ICLR 2019.
.. [2] Wu & He, "Group normalization", ECCV 2018.
.. [3] He et al., "Deep residual learning for image recognition", CVPR 2016.
.. [4] Tschannen et al., "On mutual information maximization for representation learning", ICLR 2020.
.. [5] van den Oord, Li & Vinyals, "Representation learning with contrastive predictive coding", arXiv:1807.03748, 2018.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral
from typing import ClassVar

import torch
from torch import nn

from skdim._params import Configured, check_size, check_sizes, choose
from skdim.nn.adapt import Code, EncoderFactory, LayeredEncoder, build_encoder
from skdim.nn.layers import FlattenMap, convolution, initialised, mlp, normalisation, residual_block

__all__ = [
    "ENCODERS",
    "MLP",
    "Code",
    "Conv",
    "Conv1d",
    "EncoderFactory",
    "PooledConv",
    "ResNet",
    "assemble",
    "build_encoder",
    "check_encoders",
    "choose_encoder",
    "takes_sequences",
]

#: Encoders of images and sequences take sides of at least so many places.
SMALLEST_SIDE = 8
#: The shortest side of an image's local map has 5 to 8 places; a sequence, with one axis, has 8 to 15.
LARGEST_MAP_SIDE, LARGEST_MAP_LENGTH = 8, 15
#: Longer sequences are quartered first, as in the encoder of waveforms of van den Oord et al. [5]_: their first layers would
#: take most of the memory and time.
LONGEST_HALVED = 256
#: Axes of an input of each kind.
AXES = {"image": ("channels", "height", "width"), "sequence": ("channels", "length")}


def _sides(encoder: Conv | PooledConv | Conv1d | ResNet, input_shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """Return channels and side lengths, or raise if the shape does not fit the encoder."""
    name, axes = type(encoder).__name__, AXES[encoder.kind]
    if len(input_shape) != len(axes):
        raise ValueError(f"{name} takes inputs of shape ({', '.join(axes)}), got {input_shape}.")
    if min(input_shape[1:]) < SMALLEST_SIDE:
        raise ValueError(
            f"{name} needs sides of at least {SMALLEST_SIDE}, got {input_shape[1:]}: use encoder='mlp' for smaller inputs."
        )
    return input_shape[0], input_shape[1:]


def _strides(side: int, least: int, largest: int = LARGEST_MAP_SIDE, longest: float = math.inf) -> list[int]:
    """Return the strides that bring ``side`` down to at most ``largest``, over at least ``least`` layers.

    They halve it; beyond ``longest`` they take a quarter.
    """
    strides: list[int] = []
    while side > largest:
        strides.append(4 if side > longest else 2)
        side = math.ceil(side / strides[-1])
    return [1] * (least - len(strides)) + strides


def _widen(channels: Sequence[int], n_layers: int) -> list[int]:
    """Return ``n_layers`` channel counts; the last one given is repeated."""
    return [channels[min(layer, len(channels) - 1)] for layer in range(n_layers)]


def _convolutional(
    encoder: Conv | Conv1d, input_shape: tuple[int, ...], n_components: int, largest: int, top: bool
) -> LayeredEncoder:
    """Build strided convolutions down to sides of at most ``largest``, and one more above the local map if ``top``."""
    n_channels, sides = _sides(encoder, input_shape)
    check_size("kernel_size", encoder.kernel_size)
    longest = LONGEST_HALVED if len(sides) == 1 else math.inf
    strides = _strides(min(sides), 2, largest, longest)
    widths = [n_channels, *_widen(check_sizes("channels", encoder.channels, at_least=1), len(strides) + top)]
    layers = [
        convolution(len(sides), pair, encoder.kernel_size, stride, encoder.norm)
        for pair, stride in zip(pairwise(widths), [*strides, *[2] * top], strict=True)
    ]
    return assemble(layers, len(strides), encoder.hidden_layer_sizes, encoder.norm, input_shape, n_components)


def assemble(
    layers: Sequence[nn.Module],
    n_local: int,
    hidden_layer_sizes: Sequence[int],
    norm: str,
    input_shape: tuple[int, ...],
    n_components: int,
) -> LayeredEncoder:
    """Build the local map of the first layers, the others flattened, and the fully connected layers on top."""
    local, top = nn.Sequential(*layers[:n_local]), nn.Sequential(*layers[n_local:], FlattenMap())
    stack = nn.Sequential(local, top).eval()  # the trial pass must not enter the batch statistics
    with torch.no_grad():
        n_flat = int(stack(torch.zeros(2, *input_shape)).shape[1])
    stack.train()
    sizes = check_sizes("hidden_layer_sizes", hidden_layer_sizes)
    rest = nn.Sequential(*top, *mlp(n_flat, sizes, norm=norm))
    return LayeredEncoder(local, rest, (n_flat, *sizes)[-1], n_components)


@dataclass
class Conv(Configured):
    """Convolutional encoder for images of 8 x 8 and more.

    Strided convolutions, each with normalisation and ReLU, lead to a local map of 5 to 8 locations a side. One more strided
    convolution, flattened, is the hidden layer, and a linear layer returns the code. Calling it raises ValueError if the inputs
    are smaller or a parameter is outside its range.

    Parameters
    ----------
    channels : tuple of int, default=(32, 64, 128)
        Channels of the layers in turn. The last number is repeated if the image needs more layers.
    kernel_size : int, default=3
        Side of the kernels.
    hidden_layer_sizes : tuple of int, default=()
        Fully connected layers between the last convolution and the code.
    norm : {"batch", "group"}, default="batch"
        Normalisation by batch statistics, or per sample over channels and places [2]_ (one group).
    top : bool, default=True
        Whether there is a convolution between the local map and the fully connected layers. The encoder of Hjelm et al. [1]_
        for 28 x 28 images has none.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.encoders import Conv
    >>> code = Conv()((1, 28, 28), 64)(torch.zeros(2, 1, 28, 28))
    >>> tuple(code.local.shape), tuple(code.hidden.shape), tuple(code.global_.shape)
    ((2, 64, 49), (2, 2048), (2, 64))
    """

    kind: ClassVar[str] = "image"
    channels: tuple[int, ...] = (32, 64, 128)
    kernel_size: int = 3
    hidden_layer_sizes: tuple[int, ...] = ()
    norm: str = "batch"
    top: bool = True

    def __call__(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        return _convolutional(self, input_shape, n_components, LARGEST_MAP_SIDE, self.top)


@dataclass
class PooledConv(Configured):
    """Convolutional encoder of Tschannen et al. [4]_, Section 3.3: strided convolutions, one normalisation, one average.

    Convolutions of stride 2 with ReLU are followed by a normalisation per sample over channels and places, with a scale and a
    shift for each channel: the local map. Its mean over places is the hidden layer, and a linear layer returns the code.
    Calling it raises ValueError if the images are smaller than 8 x 8 or a parameter is outside its range.

    Parameters
    ----------
    channels : tuple of int, default=(64, 128)
        Channels of the layers in turn.
    kernel_size : int, default=5
        Odd side of the kernels.
    init : {"torch", "glorot"}, default="torch"
        First weights of the layers: torch's default, or Glorot-uniform with zero bias, which is Keras' default and theirs.

    Examples
    --------
    >>> from skdim.nn.encoders import PooledConv
    >>> network = PooledConv()((1, 14, 28), 100)
    >>> sum(p.numel() for p in network.parameters())
    219748
    """

    kind: ClassVar[str] = "image"
    channels: tuple[int, ...] = (64, 128)
    kernel_size: int = 5
    init: str = "torch"

    def __call__(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        n_channels, _ = _sides(self, input_shape)
        if not isinstance(self.kernel_size, Integral) or self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size of PooledConv must be a positive odd integer, got {self.kernel_size!r}.")
        channels = check_sizes("channels", self.channels, at_least=1)
        layers: list[nn.Module] = []
        for size_in, size_out in pairwise((n_channels, *channels)):
            layers += [nn.Conv2d(size_in, size_out, self.kernel_size, 2, self.kernel_size // 2), nn.ReLU(inplace=True)]
        local = nn.Sequential(*layers, normalisation("group", channels[-1], 2))
        pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return initialised(LayeredEncoder(local, pool, channels[-1], n_components), self.init)


@dataclass
class Conv1d(Configured):
    """Convolutional encoder for sequences ``(channels, length)`` of length 8 and more.

    Strided convolutions, each with normalisation and ReLU, lead to a local map of 8 to 15 steps. They halve the length; lengths
    above 256 are divided by four first. One more, flattened, is the hidden layer, and a linear layer returns the code. Calling
    it raises ValueError if the inputs are shorter or a parameter is outside its range.

    Parameters
    ----------
    channels : tuple of int, default=(32, 64, 128)
        Channels of the layers in turn. The last number is repeated if the sequence needs more layers.
    kernel_size : int, default=5
        Length of the kernels.
    hidden_layer_sizes : tuple of int, default=()
        Fully connected layers between the last convolution and the code.
    norm : {"batch", "group"}, default="batch"
        Normalisation by batch statistics, or per sample over channels and places [2]_ (one group).

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.encoders import Conv1d
    >>> code = Conv1d()((3, 100), 16)(torch.zeros(2, 3, 100))
    >>> tuple(code.local.shape), tuple(code.global_.shape)
    ((2, 128, 13), (2, 16))
    """

    kind: ClassVar[str] = "sequence"
    channels: tuple[int, ...] = (32, 64, 128)
    kernel_size: int = 5
    hidden_layer_sizes: tuple[int, ...] = ()
    norm: str = "batch"

    def __call__(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        return _convolutional(self, input_shape, n_components, LARGEST_MAP_LENGTH, top=True)


@dataclass
class ResNet(Configured):
    """Residual encoder for images of 8 x 8 and more: deeper and slower than :class:`Conv`.

    A convolution and strided residual blocks [3]_ lead to a local map of 5 to 8 locations a side. A last strided block,
    flattened, is the hidden layer. Calling it raises ValueError if the inputs are smaller or a parameter is outside its range.

    Parameters
    ----------
    channels : tuple of int, default=(32, 64, 128)
        Channels of the stem and the blocks in turn. The last number is repeated if the image needs more blocks.
    hidden_layer_sizes : tuple of int, default=()
        Fully connected layers between the last block and the code.
    norm : {"batch", "group"}, default="batch"
        Normalisation by batch statistics, or per sample over channels and places [2]_ (one group).

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.encoders import ResNet
    >>> code = ResNet()((3, 32, 32), 64)(torch.zeros(2, 3, 32, 32))
    >>> tuple(code.local.shape), tuple(code.hidden.shape)
    ((2, 128, 64), (2, 2048))
    """

    kind: ClassVar[str] = "image"
    channels: tuple[int, ...] = (32, 64, 128)
    hidden_layer_sizes: tuple[int, ...] = ()
    norm: str = "batch"

    def __call__(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        n_channels, sides = _sides(self, input_shape)
        strides = _strides(min(sides), least=1)
        widths = _widen(check_sizes("channels", self.channels, at_least=1), len(strides) + 2)
        stem = convolution(2, (n_channels, widths[0]), 3, 1, self.norm)
        blocks = [
            residual_block(pair, stride, self.norm)
            for pair, stride in zip(pairwise(widths), [*strides, 2], strict=True)
        ]
        layers, sizes = [stem, *blocks], self.hidden_layer_sizes
        return assemble(layers, len(blocks), sizes, self.norm, input_shape, n_components)


@dataclass
class MLP(Configured):
    """Fully connected encoder for tables: the first hidden layer is the local map, with one location.

    Stacked inputs are flattened. Calling it raises ValueError if a parameter is outside its range.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(256, 256)
        Hidden layers, each with normalisation and ReLU; at least one.
    norm : {"group", "batch", "none"}, default="group"
        Normalisation per sample over the layer (one group), by batch statistics, or none, as in Tschannen et al. [4]_.
    init : {"torch", "glorot"}, default="torch"
        First weights of the layers: torch's default, or Glorot-uniform with zero bias, which is Keras' default and theirs.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.encoders import MLP
    >>> code = MLP(hidden_layer_sizes=(32, 16))((10,), 4)(torch.zeros(2, 10))
    >>> tuple(code.local.shape), tuple(code.hidden.shape), tuple(code.global_.shape)
    ((2, 32, 1), (2, 16), (2, 4))
    """

    kind: ClassVar[str] = "table"
    hidden_layer_sizes: tuple[int, ...] = (256, 256)
    norm: str = "group"
    init: str = "torch"

    def __call__(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        sizes = check_sizes("hidden_layer_sizes of MLP", self.hidden_layer_sizes, at_least=1)
        if self.norm not in ("group", "batch", "none"):
            raise ValueError(f"norm of MLP must be 'group', 'batch' or 'none', got {self.norm!r}.")
        local = nn.Sequential(nn.Flatten(), *mlp(math.prod(input_shape), sizes[:1], norm=self.norm))
        rest = mlp(sizes[0], sizes[1:], norm=self.norm)
        return initialised(LayeredEncoder(local, rest, sizes[-1], n_components), self.init)


#: Encoders by name.
ENCODERS: dict[str, type[Configured]] = {"conv": Conv, "conv1d": Conv1d, "resnet": ResNet, "mlp": MLP}


def choose_encoder(
    encoder: str | EncoderFactory, input_shape: tuple[int, ...], hidden_layer_sizes: Sequence[int] | str = "auto"
) -> EncoderFactory:
    """Return the factory that a name, a configured object, a class or a function stands for.

    "auto" is "conv" for images and "conv1d" for sequences with sides of 8 or more, else "mlp". Raises ValueError if the name is
    unknown, ``hidden_layer_sizes`` has no effect, or an encoder of images is given flat samples.
    """
    check_encoders([encoder], hidden_layer_sizes)
    if isinstance(encoder, str) and encoder == "auto":
        is_map = len(input_shape) > 1 and min(input_shape[1:]) >= SMALLEST_SIDE
        encoder = "mlp" if not is_map else "conv1d" if len(input_shape) == 2 else "conv"
    if len(input_shape) == 1 and _kind(encoder) == "image":
        raise ValueError(
            f"encoder={encoder!r} takes images: give X as (n, H, W) or (n, C, H, W), or flat with input_shape; got flat "
            f"samples of {input_shape[0]} features."
        )
    return choose("encoder", encoder, ENCODERS, hidden_layer_sizes=hidden_layer_sizes)


def check_encoders(encoders: Sequence[object], hidden_layer_sizes: object = "auto") -> None:
    """Raise ValueError if a name is unknown or ``hidden_layer_sizes`` has no effect on any of the encoders."""
    named = any(isinstance(encoder, str) for encoder in encoders)
    for encoder in encoders:
        sizes = hidden_layer_sizes if isinstance(encoder, str) or not named else "auto"
        choose("encoder", encoder, {"auto": MLP, **ENCODERS}, hidden_layer_sizes=sizes)


def takes_sequences(encoder: object) -> bool:
    """Whether an encoder, given as in :func:`choose_encoder`, declares that it takes sequences (channels, length)."""
    return _kind(encoder) == "sequence"


def _kind(encoder: object) -> object:
    return getattr(ENCODERS.get(encoder) if isinstance(encoder, str) else encoder, "kind", None)
