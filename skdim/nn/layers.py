"""Layers that several networks share: the multi-layer perceptron, normalisation, shortcuts, maps, and their first weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn

from skdim._params import look_up

Network = TypeVar("Network", bound=nn.Module)


def mlp(
    n_inputs: int,
    hidden_layer_sizes: Sequence[int],
    n_outputs: int | None = None,
    *,
    norm: str = "none",
    start: float | Tensor | None = None,
    linear: Callable[[int, int], nn.Linear] = nn.Linear,
) -> nn.Sequential:
    """Return a multi-layer perceptron: hidden layers with ReLU and, if ``n_outputs`` is given, a linear layer on top.

    ``norm`` ("none", "group" or "batch") precedes each ReLU, and ``linear`` builds each linear layer. ``start`` is the output
    for every input before training; with None the top layer is as ``linear`` returns it.
    """
    layers: list[nn.Module] = []
    for size_in, size_out in pairwise((n_inputs, *hidden_layer_sizes)):
        norms = [] if norm == "none" else [normalisation(norm, size_out, 1)]
        layers += [linear(size_in, size_out), *norms, nn.ReLU(inplace=True)]
    if n_outputs is not None:
        top = linear((n_inputs, *hidden_layer_sizes)[-1], n_outputs)
        layers.append(top if start is None else constant(top, start))
    return nn.Sequential(*layers)


@torch.no_grad()
def constant(layer: nn.Linear, value: float | Tensor) -> nn.Linear:
    """Set the weights of a layer so that it returns ``value`` for every input."""
    layer.weight.zero_()
    layer.bias.copy_(torch.as_tensor(value))
    return layer


def _glorot(layer: nn.Linear | nn.Conv1d | nn.Conv2d) -> None:
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


#: First weights of a linear layer or convolution, by name: as torch's constructor draws them, or as Keras does by default,
#: uniform by fan-in and fan-out (Glorot & Bengio, AISTATS 2010) with zero bias.
INITS: dict[str, Callable[[nn.Linear | nn.Conv1d | nn.Conv2d], None]] = {"torch": lambda layer: None, "glorot": _glorot}


def initialised(network: Network, init: str) -> Network:
    """Give every linear layer and convolution of a network its first weights; raises ValueError if ``init`` is no name."""
    draw = look_up("init", init, INITS)
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            draw(layer)
    return network


def near_identity(size_in: int, size_out: int) -> nn.Linear:
    """Return a layer without bias that starts as a noisy copy of its input, as the shortcuts of Deep InfoMax."""
    layer = nn.Linear(size_in, size_out, bias=False)
    nn.init.uniform_(layer.weight, -0.01, 0.01)
    with torch.no_grad():
        layer.weight.fill_diagonal_(1.0)
    return layer


def normalisation(kind: str, channels: int, n_axes: int) -> nn.Module:
    """Return the normalisation of maps with ``n_axes`` axes of places, or of vectors with 1."""
    if kind == "group":
        return nn.GroupNorm(1, channels)
    if kind == "batch":
        return nn.BatchNorm1d(channels) if n_axes == 1 else nn.BatchNorm2d(channels)
    raise ValueError(f"norm must be 'batch' or 'group', got {kind!r}.")


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels at each place, (n, channels, ...)."""

    def forward(self, X: Tensor) -> Tensor:
        return super().forward(X.movedim(1, -1)).movedim(-1, 1)


class FlattenMap(nn.Module):
    """Flatten maps place by place: in channels-last memory this is a view, and so is its gradient."""

    def forward(self, X: Tensor) -> Tensor:
        return X.movedim(1, -1).flatten(1)


class Sum(nn.Module):
    """The sum of the outputs of several networks for one input: a residual branch and its shortcut."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, X: Tensor) -> Tensor:
        first, *others = (part(X) for part in self.parts)
        return sum(others, first)


def convolution(n_axes: int, widths: tuple[int, int], kernel_size: int, stride: int, norm: str) -> nn.Sequential:
    """Return a convolution of maps with ``n_axes`` axes, without bias, that only its stride makes smaller; norm; ReLU."""
    layer, beside = nn.Conv1d if n_axes == 1 else nn.Conv2d, (kernel_size - 1) // 2
    # An even kernel has one place more on one side; there the map is padded by one more.
    further = [] if kernel_size % 2 else [nn.ZeroPad1d((0, 1)) if n_axes == 1 else nn.ZeroPad2d((0, 1, 0, 1))]
    weights = layer(*widths, kernel_size, stride, beside, bias=False)
    return nn.Sequential(*further, weights, normalisation(norm, widths[1], n_axes), nn.ReLU(inplace=True))


def residual_block(widths: tuple[int, int], stride: int, norm: str) -> nn.Sequential:
    """Return two 3 x 3 convolutions beside the identity, or beside a strided 1 x 1 convolution if the shape changes."""
    first, second = convolution(2, widths, 3, stride, norm), convolution(2, (widths[1], widths[1]), 3, 1, norm)
    same = widths[0] == widths[1] and stride == 1
    shortcut = nn.Identity() if same else nn.Conv2d(*widths, 1, stride, bias=False)
    return nn.Sequential(Sum(nn.Sequential(*first, *list(second)[:2]), shortcut), nn.ReLU(inplace=True))
