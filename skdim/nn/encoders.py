"""Encoders: networks from a view to a :class:`Code`, the features that Deep InfoMax relates to each other.

An encoder is configured by a small object (:class:`Conv` and its kin), which is called with the shape of one input and the
width of the code to build the network, as any class or function ``(input_shape, n_components) -> nn.Module`` may be.

References
----------
.. [1] Hjelm et al., "Learning deep representations by mutual information estimation and maximization", ICLR 2019.
.. [2] Wu & He, "Group normalization", ECCV 2018.
.. [3] He et al., "Deep residual learning for image recognition", CVPR 2016.
.. [4] Tschannen et al., "On mutual information maximization for representation learning", ICLR 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from skdim._params import Configured, check_sizes

__all__ = ["ENCODERS", "MLP", "Code", "Conv", "Conv1d", "EncoderFactory", "PooledConv", "ResNet", "build_encoder"]

EncoderFactory: TypeAlias = Callable[[tuple[int, ...], int], nn.Module]

#: The shortest side of a built-in encoder's local map lies between 4 and 7.
LARGEST_MAP_SIDE = 7
SMALLEST_SIDE = 8


class Code(NamedTuple):
    """What an encoder gives for n inputs.

    Attributes
    ----------
    local : Tensor of shape (n, channels, locations)
        C: features of parts of the input; one location where the input has no parts.
    hidden : Tensor of shape (n, n_hidden)
        The layer below the global code.
    global_ : Tensor of shape (n, n_components)
        Y: the code of the whole input.
    """

    local: Tensor
    hidden: Tensor
    global_: Tensor


class _FlattenMap(nn.Module):
    """Flatten maps place by place: in channels-last memory a view, and so is the gradient on its way back."""

    def forward(self, X: Tensor) -> Tensor:
        return X.movedim(1, -1).flatten(1)


class _PoolMap(nn.Module):
    """Average maps over their places."""

    def forward(self, X: Tensor) -> Tensor:
        return X.mean((2, 3))


class Encoder(nn.Module):
    """Local part, the rest of the body, and the linear code on top."""

    def __init__(self, local: nn.Module, rest: nn.Module, n_hidden: int, n_components: int) -> None:
        super().__init__()
        self.local = local
        self.rest = rest
        self.code = nn.Linear(n_hidden, n_components)

    def forward(self, X: Tensor) -> Code:
        local = self.local(X)
        hidden = self.rest(local)
        return Code(local.flatten(2) if local.ndim > 2 else local.unsqueeze(2), hidden, self.code(hidden))


def _norm(kind: str, channels: int, dims: int) -> nn.Module:
    if kind == "group":
        return nn.GroupNorm(1, channels)
    if kind == "batch":
        return nn.BatchNorm1d(channels) if dims == 1 else nn.BatchNorm2d(channels)
    raise ValueError(f"norm must be 'batch' or 'group', got {kind!r}.")


def _dense(features: int, hidden_layer_sizes: Sequence[int], norm: str) -> tuple[nn.Sequential, int]:
    layers: list[nn.Module] = []
    for size in hidden_layer_sizes:
        normalisation = [] if norm == "none" else [_norm(norm, size, 1)]
        layers += [nn.Linear(features, size), *normalisation, nn.ReLU(inplace=True)]
        features = size
    return nn.Sequential(*layers), features


def _sides(input_shape: tuple[int, ...], dims: int, encoder: str) -> tuple[int, tuple[int, ...]]:
    """Return channels and side lengths, or say why the shape does not fit the encoder."""
    what = {1: "(channels, length)", 2: "(channels, height, width)"}[dims]
    if len(input_shape) != dims + 1:
        raise ValueError(f"encoder {encoder!r} takes inputs of shape {what}, got {input_shape}.")
    if min(input_shape[1:]) < SMALLEST_SIDE:
        raise ValueError(
            f"encoder {encoder!r} needs sides of at least {SMALLEST_SIDE}, got {input_shape[1:]}: "
            "use encoder='mlp' for smaller inputs."
        )
    return input_shape[0], input_shape[1:]


def _check_kernel(size: object) -> None:
    if not isinstance(size, Integral) or size < 1 or size % 2 == 0:
        raise ValueError(f"kernel_size must be a positive odd integer, got {size!r}.")


def _strides(side: int, least: int, largest: int = LARGEST_MAP_SIDE) -> list[int]:
    """Return the strides that bring ``side`` down to at most ``largest``, over at least ``least`` layers."""
    halvings = 0
    while side > largest:
        side, halvings = math.ceil(side / 2), halvings + 1
    return [1] * (least - halvings) + [2] * halvings


def _widen(channels: Sequence[int], n_layers: int) -> list[int]:
    """Return ``n_layers`` channel counts; the last one given is repeated."""
    return [channels[min(layer, len(channels) - 1)] for layer in range(n_layers)]


def _n_features(module: nn.Module, input_shape: tuple[int, ...]) -> int:
    with torch.no_grad():  # in eval mode: the trial pass must not enter the batch statistics
        width = int(module.eval()(torch.zeros(2, *input_shape)).flatten(1).shape[1])
    module.train()
    return width


@dataclass
class Conv(Configured):
    """Convolutional encoder for images of 8 x 8 and more.

    Strided convolutions, each with normalisation and ReLU, lead to a local map of 4 to 7 locations a side; one more
    strided convolution, flattened, is the hidden layer, and a linear layer gives the code.

    Parameters
    ----------
    channels : tuple of int, default=(32, 64, 128)
        Channels of the layers in turn, the last one repeated where the image needs more layers.
    kernel_size : int, default=3
        Odd side of the kernels.
    hidden_layer_sizes : tuple of int, default=()
        Fully connected layers between the last convolution and the code.
    norm : {"batch", "group"}, default="batch"
        Normalisation by batch statistics, or per sample over channels and places (one group).
    top : bool, default=True
        Whether a convolution stands between the local map and the fully connected part; False as in the paper's encoder
        for 28 x 28 images.

    Raises
    ------
    ValueError
        When called, if the inputs are not images of at least 8 x 8 or a parameter is outside its range.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.encoders import Conv
    >>> code = Conv()((1, 28, 28), 64)(torch.zeros(2, 1, 28, 28))
    >>> tuple(code.local.shape), tuple(code.hidden.shape), tuple(code.global_.shape)
    ((2, 64, 49), (2, 2048), (2, 64))
    """

    channels: tuple[int, ...] = (32, 64, 128)
    kernel_size: int = 3
    hidden_layer_sizes: tuple[int, ...] = ()
    norm: str = "batch"
    top: bool = True

    def __call__(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        """Build the network for inputs of this shape."""
        n_channels, sides = _sides(input_shape, 2, "conv")
        _check_kernel(self.kernel_size)
        strides = _strides(min(sides), least=2)
        widths = [n_channels, *_widen(check_sizes("channels", self.channels, at_least=1), len(strides) + self.top)]
        layers = [
            self._layer(size_in, size_out, stride)
            for (size_in, size_out), stride in zip(pairwise(widths), [*strides, *[2] * self.top], strict=True)
        ]
        local, top = nn.Sequential(*layers[: len(strides)]), nn.Sequential(*layers[len(strides) :], _FlattenMap())
        n_flat = _n_features(nn.Sequential(local, top), input_shape)
        dense, n_hidden = _dense(n_flat, check_sizes("hidden_layer_sizes", self.hidden_layer_sizes), self.norm)
        return Encoder(local, nn.Sequential(*top, *dense), n_hidden, n_components)

    def _layer(self, size_in: int, size_out: int, stride: int) -> nn.Module:
        convolution = nn.Conv2d(size_in, size_out, self.kernel_size, stride, self.kernel_size // 2, bias=False)
        return nn.Sequential(convolution, _norm(self.norm, size_out, 2), nn.ReLU(inplace=True))


@dataclass
class PooledConv(Configured):
    """The convolutional encoder of Tschannen et al. [4]_, Section 3.3: strided convolutions, one normalisation, one average.

    Convolutions of stride 2 with ReLU; their last map, normalised per sample over channels and places with a scale and shift
    for each channel, is the local map, its mean over places the hidden layer, and a linear layer gives the code.

    Parameters
    ----------
    channels : tuple of int, default=(64, 128)
        Channels of the layers in turn.
    kernel_size : int, default=5
        Odd side of the kernels.

    Raises
    ------
    ValueError
        When called, if the inputs are not images of at least 8 x 8 or a parameter is outside its range.

    Examples
    --------
    >>> from skdim.nn.encoders import PooledConv
    >>> network = PooledConv()((1, 14, 28), 100)
    >>> sum(p.numel() for p in network.parameters())
    219748
    """

    channels: tuple[int, ...] = (64, 128)
    kernel_size: int = 5

    def __call__(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        """Build the network for inputs of this shape."""
        n_channels, _ = _sides(input_shape, 2, "pooled_conv")
        _check_kernel(self.kernel_size)
        channels = check_sizes("channels", self.channels, at_least=1)
        layers: list[nn.Module] = []
        for size_in, size_out in pairwise((n_channels, *channels)):
            convolution = nn.Conv2d(size_in, size_out, self.kernel_size, 2, self.kernel_size // 2)
            layers += [convolution, nn.ReLU(inplace=True)]
        local = nn.Sequential(*layers, _norm("group", channels[-1], 2))
        return Encoder(local, _PoolMap(), channels[-1], n_components)


@dataclass
class Conv1d(Configured):
    """Convolutional encoder for sequences ``(channels, length)`` of length 8 and more.

    Parameters
    ----------
    channels : tuple of int, default=(32, 64, 128)
        Channels of the layers in turn, the last one repeated where the sequence needs more layers.
    kernel_size : int, default=5
        Odd length of the kernels.
    hidden_layer_sizes : tuple of int, default=()
        Fully connected layers between the last convolution and the code.
    norm : {"batch", "group"}, default="batch"
        Normalisation by batch statistics, or per sample over channels and places (one group).

    Raises
    ------
    ValueError
        When called, if the inputs are not sequences of at least 8 steps or a parameter is outside its range.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.encoders import Conv1d
    >>> code = Conv1d()((3, 100), 16)(torch.zeros(2, 3, 100))
    >>> tuple(code.local.shape), tuple(code.global_.shape)
    ((2, 128, 13), (2, 16))
    """

    channels: tuple[int, ...] = (32, 64, 128)
    kernel_size: int = 5
    hidden_layer_sizes: tuple[int, ...] = ()
    norm: str = "batch"

    def __call__(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        """Build the network for inputs of this shape."""
        n_channels, (length,) = _sides(input_shape, 1, "conv1d")
        _check_kernel(self.kernel_size)
        # A sequence has one axis: 8 to 15 locations stand where an image has 4 x 4 to 7 x 7.
        strides = _strides(length, least=2, largest=15)
        widths = [n_channels, *_widen(check_sizes("channels", self.channels, at_least=1), len(strides) + 1)]
        layers = [
            nn.Sequential(
                nn.Conv1d(size_in, size_out, self.kernel_size, stride, self.kernel_size // 2, bias=False),
                _norm(self.norm, size_out, 1),
                nn.ReLU(inplace=True),
            )
            for (size_in, size_out), stride in zip(pairwise(widths), [*strides, 2], strict=True)
        ]
        local, top = nn.Sequential(*layers[:-1]), nn.Sequential(layers[-1], _FlattenMap())
        n_flat = _n_features(nn.Sequential(local, top), input_shape)
        dense, n_hidden = _dense(n_flat, check_sizes("hidden_layer_sizes", self.hidden_layer_sizes), self.norm)
        return Encoder(local, nn.Sequential(*top, *dense), n_hidden, n_components)


class _Residual(nn.Module):
    """Two 3 x 3 convolutions beside the identity, or a strided 1 x 1 convolution where the shape changes."""

    def __init__(self, size_in: int, size_out: int, stride: int, norm: str) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(size_in, size_out, 3, stride, 1, bias=False),
            _norm(norm, size_out, 2),
            nn.ReLU(inplace=True),
            nn.Conv2d(size_out, size_out, 3, 1, 1, bias=False),
            _norm(norm, size_out, 2),
        )
        same = size_in == size_out and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(size_in, size_out, 1, stride, bias=False)

    def forward(self, X: Tensor) -> Tensor:
        return torch.relu(self.branch(X) + self.shortcut(X))


@dataclass
class ResNet(Configured):
    """Residual encoder for images of 8 x 8 and more: deeper and slower than :class:`Conv`.

    A convolution and strided residual blocks lead to a local map of 4 to 7 locations a side; a last strided block,
    flattened, is the hidden layer.

    Parameters
    ----------
    channels : tuple of int, default=(32, 64, 128)
        Channels of the stem and the blocks in turn, the last one repeated where the image needs more blocks.
    hidden_layer_sizes : tuple of int, default=()
        Fully connected layers between the last block and the code.
    norm : {"batch", "group"}, default="batch"
        Normalisation by batch statistics, or per sample over channels and places (one group).

    Raises
    ------
    ValueError
        When called, if the inputs are not images of at least 8 x 8 or a parameter is outside its range.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.encoders import ResNet
    >>> code = ResNet()((3, 32, 32), 64)(torch.zeros(2, 3, 32, 32))
    >>> tuple(code.local.shape), tuple(code.hidden.shape)
    ((2, 128, 16), (2, 512))
    """

    channels: tuple[int, ...] = (32, 64, 128)
    hidden_layer_sizes: tuple[int, ...] = ()
    norm: str = "batch"

    def __call__(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        """Build the network for inputs of this shape."""
        n_channels, sides = _sides(input_shape, 2, "resnet")
        strides = _strides(min(sides), least=1)
        widths = _widen(check_sizes("channels", self.channels, at_least=1), len(strides) + 2)
        stem = nn.Sequential(
            nn.Conv2d(n_channels, widths[0], 3, 1, 1, bias=False), _norm(self.norm, widths[0], 2), nn.ReLU(inplace=True)
        )
        blocks = [
            _Residual(size_in, size_out, stride, self.norm)
            for (size_in, size_out), stride in zip(pairwise(widths), [*strides, 2], strict=True)
        ]
        local, top = nn.Sequential(stem, *blocks[:-1]), nn.Sequential(blocks[-1], _FlattenMap())
        n_flat = _n_features(nn.Sequential(local, top), input_shape)
        dense, n_hidden = _dense(n_flat, check_sizes("hidden_layer_sizes", self.hidden_layer_sizes), self.norm)
        return Encoder(local, nn.Sequential(*top, *dense), n_hidden, n_components)


@dataclass
class MLP(Configured):
    """Fully connected encoder for tables: the first hidden layer is the local map, with one location.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(256, 256)
        Hidden layers, each with normalisation and ReLU; at least one.
    norm : {"group", "batch", "none"}, default="group"
        Normalisation per sample over the layer (one group), by batch statistics, or none, as in Tschannen et al. [4]_.

    Raises
    ------
    ValueError
        When called, if there is no hidden layer, a size is not a positive integer or ``norm`` is unknown.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.encoders import MLP
    >>> code = MLP(hidden_layer_sizes=(32, 16))((10,), 4)(torch.zeros(2, 10))
    >>> tuple(code.local.shape), tuple(code.hidden.shape), tuple(code.global_.shape)
    ((2, 32, 1), (2, 16), (2, 4))
    """

    hidden_layer_sizes: tuple[int, ...] = (256, 256)
    norm: str = "group"

    def __call__(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        """Build the network for inputs of this shape; stacked inputs are flattened."""
        sizes = check_sizes("hidden_layer_sizes of encoder 'mlp'", self.hidden_layer_sizes, at_least=1)
        if self.norm not in ("group", "batch", "none"):
            raise ValueError(f"norm of encoder 'mlp' must be 'group', 'batch' or 'none', got {self.norm!r}.")
        local, n_local = _dense(math.prod(input_shape), sizes[:1], self.norm)
        rest, n_hidden = _dense(n_local, sizes[1:], self.norm)
        return Encoder(nn.Sequential(nn.Flatten(), *local), rest, n_hidden, n_components)


class _Adapted(nn.Module):
    """A user's network, its output made a :class:`Code`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, X: Tensor) -> Code:
        output = self.network(X)
        if isinstance(output, Tensor):
            return Code(output.flatten(1).unsqueeze(2), output, output)
        local, hidden, global_ = output
        return Code(local.flatten(2) if local.ndim > 2 else local.unsqueeze(2), hidden, global_)


def build_encoder(factory: EncoderFactory, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
    """Build an encoder and check, on a pass of two zero inputs, that it returns codes of the promised shapes.

    Parameters
    ----------
    factory : callable (input_shape, n_components) -> nn.Module
        The network returns a :class:`Code`, a triple like it, or one tensor (n, n_components), which then serves as
        local (one location), hidden and global features alike.
    input_shape : tuple of int
        Shape of one input.
    n_components : int
        Width of the global code.

    Returns
    -------
    nn.Module
        Its ``forward`` gives a :class:`Code`.

    Raises
    ------
    TypeError
        If the factory does not return an nn.Module.
    ValueError
        If the network's output has the wrong shape.

    Examples
    --------
    >>> from torch import nn
    >>> from skdim.nn.encoders import build_encoder
    >>> network = build_encoder(lambda shape, width: nn.Linear(shape[0], width), (10,), 4)
    >>> network.local_shape, network.n_hidden
    ((4, 1), 4)
    """
    network = factory(input_shape, n_components)
    if not isinstance(network, nn.Module):
        raise TypeError(f"The encoder factory must return a torch.nn.Module, got {type(network).__name__}.")
    encoder = network if isinstance(network, Encoder) else _Adapted(network)
    training = encoder.training
    encoder.eval()
    with torch.no_grad():
        code = _check_code(encoder, input_shape, n_components)
    encoder.train(training)
    encoder.local_shape = tuple(code.local.shape[1:])  # type: ignore[assignment]
    encoder.n_components = n_components  # type: ignore[assignment]
    encoder.n_hidden = int(code.hidden.shape[1])  # type: ignore[assignment]
    return encoder


def _check_code(encoder: nn.Module, input_shape: tuple[int, ...], n_components: int) -> Code:
    expected = (
        f"The encoder must return a tensor of shape (n, {n_components}), or a Code of local (n, channels, ...), hidden "
        f"(n, n_hidden) and global_ (n, {n_components}) features, for inputs of shape (n, {', '.join(map(str, input_shape))})"
    )
    try:
        code: Code = encoder(torch.zeros(2, *input_shape))
        shapes = [tuple(part.shape) for part in code]
    except Exception as error:
        raise ValueError(f"{expected}; it raised {type(error).__name__}: {error}") from error
    if code.global_.shape != (2, n_components) or code.hidden.ndim != 2 or any(shape[:1] != (2,) for shape in shapes):
        raise ValueError(
            f"{expected}; for n = 2 it returned local {shapes[0]}, hidden {shapes[1]}, global {shapes[2]}."
        )
    return code


#: Encoders by name.
ENCODERS: dict[str, type[Configured]] = {"conv": Conv, "conv1d": Conv1d, "resnet": ResNet, "mlp": MLP}
