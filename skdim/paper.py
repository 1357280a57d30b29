"""Hjelm et al., "Learning deep representations by mutual information estimation and maximization", ICLR 2019: its settings."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from skdim._params import Configured
from skdim.bounds import PooledInfoNCE
from skdim.nn.critics import Concat, Separable
from skdim.nn.encoders import assemble
from skdim.nn.layers import convolution
from skdim.nn.objectives import UniformPrior

__all__ = ["PAPER", "PaperConv"]


class _Layer(NamedTuple):
    channels: int
    kernel_size: int
    stride: int
    pool: bool = False  # whether the maximum over 3 x 3 places, at every second place, follows


class _Network(NamedTuple):
    layers: tuple[_Layer, ...]
    n_local: int  # layers up to the local map
    hidden_layer_sizes: tuple[int, ...]


_ALEXNET = (
    _Layer(96, 3, 1, True),
    _Layer(192, 3, 1, True),
    _Layer(384, 3, 1),
    _Layer(384, 3, 1),
    _Layer(192, 3, 1, True),
)
#: Networks by the side of the images: configs/convnets.py of the authors' code, basic28x28, basic32x32 and alex64x64.
NETWORKS = {
    28: _Network((_Layer(64, 5, 2), _Layer(128, 5, 2)), 2, (1024,)),
    32: _Network((_Layer(64, 4, 2), _Layer(128, 4, 2), _Layer(256, 4, 2)), 2, (1024,)),
    64: _Network(_ALEXNET, 3, (4096, 4096)),
}
#: Side of the images that are seen in parts, and of the parts: STL-10.
WHOLE, PART = 96, 64


class _Part(nn.Module):
    """A square part of each image: in training at random, and mirrored at random; else the middle."""

    def forward(self, X: Tensor) -> Tensor:
        room = WHOLE - PART
        if not self.training:
            return X[:, :, room // 2 : room // 2 + PART, room // 2 : room // 2 + PART]
        n, within = len(X), torch.arange(PART, device=X.device)
        rows, columns = (torch.randint(room + 1, (n, 1), device=X.device) + within for _ in range(2))
        is_mirrored = torch.rand(n, 1, device=X.device) < 0.5
        columns = torch.where(is_mirrored, columns.flip(1), columns)
        image = torch.arange(n, device=X.device)[:, None, None]
        return X.movedim(1, -1)[image, rows[:, :, None], columns[:, None]].movedim(-1, 1)


@dataclass
class PaperConv(Configured):
    """The encoders of Hjelm et al. for images of 28, 32, 64 and 96 pixels a side.

    ======  ===================  ==============  ==============  ===============
    side    data                 local map       convolutional   fully connected
    ======  ===================  ==============  ==============  ===============
    28      MNIST                128 x 7 x 7     128 x 7 x 7     1024
    32      CIFAR-10, CIFAR-100  128 x 8 x 8     256 x 4 x 4     1024
    64      Tiny ImageNet        384 x 15 x 15   192 x 7 x 7     4096, 4096
    96      STL-10               384 x 15 x 15   192 x 7 x 7     4096, 4096
    ======  ===================  ==============  ==============  ===============

    Images of 96 pixels are seen in parts of 64 x 64: in training random and mirrored at random, else the middle. Calling it
    raises ValueError for other sizes.

    Parameters
    ----------
    hidden_layer_sizes : "auto" or tuple of int, default="auto"
        Fully connected layers; "auto" are those of the table.

    Examples
    --------
    >>> import torch
    >>> from skdim.paper import PaperConv
    >>> code = PaperConv()((3, 32, 32), 64)(torch.zeros(2, 3, 32, 32))
    >>> tuple(code.local.shape), tuple(code.hidden.shape), tuple(code.global_.shape)
    ((2, 128, 64), (2, 1024), (2, 64))
    """

    kind: ClassVar[str] = "image"
    norm: ClassVar[str] = "batch"
    hidden_layer_sizes: tuple[int, ...] | str = "auto"

    def __call__(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        side = input_shape[-1]
        is_part = side == WHOLE
        network = NETWORKS.get(PART if is_part else side)
        if len(input_shape) != 3 or input_shape[1] != side or network is None:
            raise ValueError(
                f"The paper has encoders for square images of {[*NETWORKS, WHOLE]} pixels, (channels, side, side); got inputs "
                f"of shape {input_shape}. Set encoder='conv', or another of skdim.nn.encoders."
            )
        layers: list[nn.Module] = []
        widths = pairwise([input_shape[0], *(layer.channels for layer in network.layers)])
        for pair, layer in zip(widths, network.layers, strict=True):
            parts = convolution(2, pair, layer.kernel_size, layer.stride, self.norm)
            layers.append(nn.Sequential(*parts, nn.MaxPool2d(3, 2)) if layer.pool else parts)
        first = nn.Sequential(_Part(), layers[0]) if is_part else layers[0]
        sizes = network.hidden_layer_sizes if isinstance(self.hidden_layer_sizes, str) else self.hidden_layer_sizes
        return assemble([first, *layers[1:]], network.n_local, sizes, self.norm, input_shape, n_components)


_PAPER = {
    "n_components": 64,
    "estimator": PooledInfoNCE(),
    "augment": None,
    "prior": UniformPrior(penalty=1.0),
    "encoder": PaperConv(),
    "n_locations": None,
    "features": "global",
    "batch_size": 64,
    "learning_rate": 1e-4,
    "schedule": None,
    "optimizer": functools.partial(torch.optim.Adam, betas=(0.5, 0.999)),
    "weight_decay": 0.0,
    "max_iter": 1000,
}
_ENCODE_AND_DOT = Separable(
    width=2048,
    hidden_layer_sizes=(2048,),
    temperature=None,
    normalize=True,
    affine=False,
    shortcut="identity",
    norm="batch",
    scaled=False,
    biases=False,
)
_CONCATENATE = Concat(hidden_layer_sizes=(512, 512), affine=False)

#: Constructor arguments of the paper's settings: InfoNCE with the locations of all other images as negatives (the paper also
#: has ``estimator="jsd"`` and ``PooledDV()``), discriminators without scale or offset, and every location in every step;
#: ``n_locations=4`` takes a fifth of the time. Ours: inputs are standardised by their mean and deviation, not brought to -1
#: to 1, and batches are equal parts of the rows. Set ``max_iter``: 1000 epochs are theirs for CIFAR-10.
PAPER = {
    "DIM(G)": {**_PAPER, "global_weight": 1.0, "local_weight": 0.0, "prior_weight": 1.0, "critic": _CONCATENATE},
    "DIM(L)": {**_PAPER, "global_weight": 0.0, "local_weight": 1.0, "prior_weight": 0.1, "critic": _ENCODE_AND_DOT},
    "DIM(L+G)": {**_PAPER, "global_weight": 0.5, "local_weight": 0.1, "prior_weight": 0.1, "critic": _CONCATENATE},
}
