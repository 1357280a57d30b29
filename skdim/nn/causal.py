r"""Causal encoders: networks from a sequence, or a grid of patches, to latents z_t and contexts c_t.

.. math:: z_t = g_{enc}(x_t), \qquad c_t = g_{ar}(z_{\le t})

(van den Oord et al. 2018 [1]_, section 2.2). A sequence is cut into T frames of ``stride`` samples; an image into a grid of
T rows of Q overlapping patches, and time runs down the rows. A sequence is a grid with one column. No layer normalises over
time or over the batch, because such statistics carry information on the future of a context, or on its negatives.

References
----------
.. [1] van den Oord, Li & Vinyals, "Representation learning with contrastive predictive coding", 2018.
.. [2] van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel recurrent neural networks", ICML 2016.
.. [3] Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation", EMNLP 2014.
.. [4] Yu & Koltun, "Multi-scale context aggregation by dilated convolutions", ICLR 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

from torch import Tensor, nn

from skdim._params import Configured, check_size
from skdim.nn.encoders import MLP, Conv, EncoderFactory, build_encoder
from skdim.nn.layers import ChannelNorm, Pad, Sum

__all__ = [
    "CONTEXTS",
    "GRU",
    "PATCH_ENCODERS",
    "CausalEncoder",
    "Contexts",
    "MaskedConv",
    "PatchGrid",
    "StridedConv",
    "build_causal_encoder",
]

#: An automatic stride is the smallest power of 2 that leaves at most so many frames.
MOST_FRAMES = 32
#: Patches with shorter sides are encoded by an MLP: they have few places for a convolution to share its weights over.
SMALLEST_CONV_PATCH = 16


class Contexts(NamedTuple):
    """What a causal encoder returns for n inputs.

    Attributes
    ----------
    z : Tensor of shape (n, T, Q, n_latent)
        Latents: z[:, t, q] is a function of the frame or patch (t, q), and of samples before it.
    c : Tensor of shape (n, T, Q, n_components)
        Contexts: c[:, t, q] is a function of the latents at times up to t.
    """

    z: Tensor
    c: Tensor


class CausalEncoder(nn.Module):
    """Latents, and contexts on top of them.

    Parameters
    ----------
    latents : nn.Module
        Inputs -> z, (n, T, Q, n_latent).
    context : nn.Module
        z -> c, (n, T, Q, n_components).
    stride : int
        Samples of a frame; 0 for patches.
    grid : tuple of int
        T and Q of an input of the fitted shape.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.causal import GRU, StridedConv, build_causal_encoder
    >>> encoder = build_causal_encoder(StridedConv(stride=4), GRU(), (3, 50), 16)
    >>> encoder.grid, tuple(encoder(torch.zeros(2, 3, 50)).c.shape)
    ((12, 1), (2, 12, 1, 16))
    """

    def __init__(self, latents: nn.Module, context: nn.Module, stride: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.latents = latents
        self.context = context
        self.stride = stride
        self.grid = grid

    def forward(self, X: Tensor) -> Contexts:
        z = self.latents(X)
        return Contexts(z, self.context(z))


def _causal_layer(size_in: int, size_out: int, kernel_size: int, stride: int, norm: bool) -> nn.Sequential:
    """Return a strided convolution in time whose output t ends with input (t + 1) stride - 1."""
    convolution = nn.Conv1d(size_in, size_out, kernel_size, stride)
    return nn.Sequential(Pad(kernel_size - stride, 0), convolution, *[ChannelNorm(size_out)] * norm, nn.ReLU())


class _Frames(nn.Module):
    """Sequences (n, C, L) -> latents (n, L // stride, 1, n_latent)."""

    def __init__(self, layers: list[nn.Module], width: int, n_latent: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.latent = nn.Linear(width, n_latent)

    def forward(self, X: Tensor) -> Tensor:
        return self.latent(self.layers(X).transpose(1, 2)).unsqueeze(2)


@dataclass
class StridedConv(Configured):
    """Encoder of sequences ``(channels, length)``: causal strided convolutions in time.

    There is one convolution for each halving of the length, then one of stride 1, each with layer normalisation over the
    channels of a time step (not the first) and ReLU.

    Parameters
    ----------
    width : int, default=64
        Channels of each layer.
    overlap : int, default=1
        Kernel length in strides. With 1, frames share no sample, and no later latent depends on samples of a context; the
        paper's kernels are about twice their stride.
    stride : int or "auto", default="auto"
        Samples of a frame, a power of 2. "auto" is the smallest that leaves at most 32 frames.

    Raises
    ------
    ValueError
        When called, if a parameter is outside its range.

    Examples
    --------
    >>> from skdim.nn.causal import StridedConv
    >>> [StridedConv().stride_of(length) for length in (20, 64, 150, 20480)]
    [1, 2, 8, 1024]
    """

    width: int = 64
    overlap: int = 1
    stride: int | str = "auto"

    def stride_of(self, length: int) -> int:
        """Return the samples of a frame for sequences of this length."""
        if self.stride == "auto":  # the smallest 2^h with length >> h of at most MOST_FRAMES
            return 1 << (length // (MOST_FRAMES + 1)).bit_length()
        check_size("stride of StridedConv", self.stride)
        stride = int(self.stride)
        if stride & (stride - 1):
            raise ValueError(f"stride of StridedConv must be 'auto' or a power of 2, got {stride!r}.")
        return stride

    def __call__(self, input_shape: tuple[int, ...], n_latent: int) -> nn.Module:
        """Build the network for sequences of this shape."""
        check_size("width of StridedConv", self.width)
        check_size("overlap of StridedConv", self.overlap)
        n_channels, length = input_shape
        strides = [2] * (self.stride_of(length).bit_length() - 1) + [1]
        widths = [n_channels] + [self.width] * (len(strides) - 1)
        layers: list[nn.Module] = [
            # The first layer is not normalised, which would remove the level of a frame.
            _causal_layer(size_in, self.width, self.overlap * stride, stride, norm=layer > 0)
            for layer, (size_in, stride) in enumerate(zip(widths, strides, strict=True))
        ]
        return _Frames(layers, self.width, n_latent)


class _Patches(nn.Module):
    """Images (n, C, H, W) -> latents (n, T, Q, n_latent): every patch through one encoder by itself."""

    def __init__(self, encoder: nn.Module, size: tuple[int, int], step: tuple[int, int]) -> None:
        super().__init__()
        self.encoder = encoder
        self.size = size
        self.step = step

    def forward(self, X: Tensor) -> Tensor:
        patches = X.unfold(2, self.size[0], self.step[0]).unfold(3, self.size[1], self.step[1])
        patches = patches.permute(0, 2, 3, 1, 4, 5)
        latents: Tensor = self.encoder(patches.flatten(0, 2)).global_
        return latents.unflatten(0, tuple(patches.shape[:3]))


@dataclass
class PatchGrid(Configured):
    """The grid of overlapping patches that an image is cut into; a remainder at the lower and right edge is left out.

    Parameters
    ----------
    size : tuple of int
        Height and width of a patch.
    overlap : tuple of int or "auto", default="auto"
        Rows and columns that neighbouring patches share; "auto" is half of the size, as in the paper.

    Raises
    ------
    ValueError
        From ``grid``, if a patch is larger than the image or an overlap not smaller than the patch.

    Examples
    --------
    >>> from skdim.nn.causal import PatchGrid
    >>> PatchGrid((64, 64)).grid((3, 256, 256)), PatchGrid((8, 8), overlap=(0, 0)).grid((1, 28, 28))
    ((7, 7), (3, 3))
    """

    size: tuple[int, int]
    overlap: tuple[int, int] | str = "auto"

    @classmethod
    def of(cls, size: Any, overlap: Any) -> PatchGrid | None:
        """Return the grid of the parameters ``patch_size`` and ``patch_overlap``, None without patches."""
        if size is None:
            return None
        overlap = overlap if isinstance(overlap, str) else _pair("patch_overlap", overlap, least=0)
        return cls(_pair("patch_size", size, least=1), overlap)

    @property
    def step(self) -> tuple[int, int]:
        """Rows and columns between the corners of neighbouring patches."""
        if isinstance(self.overlap, str):
            return (self.size[0] + 1) // 2, (self.size[1] + 1) // 2
        return self.size[0] - self.overlap[0], self.size[1] - self.overlap[1]

    def grid(self, input_shape: tuple[int, ...]) -> tuple[int, int]:
        """Return how many rows and columns of patches an image of this shape holds."""
        if any(side > room for side, room in zip(self.size, input_shape[1:], strict=True)):
            raise ValueError(
                f"patch_size={self.size} is larger than the images of {input_shape[1]} x {input_shape[2]}."
            )
        if min(self.step) < 1 or any(step > side for step, side in zip(self.step, self.size, strict=True)):
            raise ValueError(
                f"patch_overlap={self.overlap!r} must be at least 0 and smaller than patch_size={self.size}."
            )
        rows, columns = (
            (room - side) // step + 1 for room, side, step in zip(input_shape[1:], self.size, self.step, strict=True)
        )
        return rows, columns

    @property
    def encoder(self) -> str:
        """Name of the encoder that "auto" stands for."""
        return "mlp" if min(self.size) < SMALLEST_CONV_PATCH else "conv"


def _pair(name: str, value: Any, least: int) -> tuple[int, int]:
    """Return two integers, from one or from two."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(isinstance(v, Integral) and not isinstance(v, bool) and int(v) >= least for v in pair):
        raise ValueError(f"{name} must be an integer of at least {least}, or a pair of them, got {value!r}.")
    return int(pair[0]), int(pair[1])


class _GRUContext(nn.Module):
    def __init__(self, n_latent: int, n_components: int, n_layers: int) -> None:
        super().__init__()
        self.gru = nn.GRU(n_latent, n_components, n_layers, batch_first=True)

    def forward(self, z: Tensor) -> Tensor:
        c, _ = self.gru(z.transpose(1, 2).flatten(0, 1))
        return c.unflatten(0, (z.shape[0], z.shape[2])).transpose(1, 2)


@dataclass
class GRU(Configured):
    """Context by gated recurrent units [3]_, as the paper's for sound; in a grid of patches each column is a sequence.

    Parameters
    ----------
    n_layers : int, default=1
        Number of layers.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.causal import GRU
    >>> GRU()(5, 7, n_columns=3)(torch.zeros(2, 9, 3, 5)).shape
    torch.Size([2, 9, 3, 7])
    """

    n_layers: int = 1

    def __call__(self, n_latent: int, n_components: int, n_columns: int) -> nn.Module:
        """Build the network for latents of this width on a grid with ``n_columns`` columns."""
        check_size("n_layers of GRU", self.n_layers)
        return _GRUContext(n_latent, n_components, self.n_layers)


def _masked_layer(width: int, kernel_size: int, dilation: int, n_columns: int) -> Sum:
    """Return a residual convolution that sees its own row and rows above, and its own and neighbouring columns."""
    above, beside = (kernel_size - 1) * dilation, int(n_columns > 1)
    convolution = nn.Conv2d(width, width, (kernel_size, 1 + 2 * beside), dilation=(dilation, 1))
    branch = nn.Sequential(ChannelNorm(width), nn.ReLU(), Pad(beside, beside, above, 0), convolution)
    return Sum(nn.Identity(), branch)


class _MaskedContext(nn.Module):
    def __init__(self, n_latent: int, n_components: int, n_columns: int, kernel_size: int, n_layers: int) -> None:
        super().__init__()
        self.project = nn.Linear(n_latent, n_components)
        layers = [_masked_layer(n_components, kernel_size, kernel_size**layer, n_columns) for layer in range(n_layers)]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(self.project(z).movedim(3, 1)).movedim(1, 3)


@dataclass
class MaskedConv(Configured):
    """Context by dilated [4]_ residual convolutions over the past, similar to PixelCNN [2]_.

    Parameters
    ----------
    kernel_size : int, default=3
        Steps, or rows of patches, that a layer sees, its own included; at least 2.
    n_layers : int, default=3
        Layers. Each multiplies the dilation by the kernel size, so that they reach back ``kernel_size ** n_layers`` steps.

    Raises
    ------
    ValueError
        When called, if a parameter is outside its range.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.causal import MaskedConv
    >>> MaskedConv()(5, 7, n_columns=3)(torch.zeros(2, 9, 3, 5)).shape
    torch.Size([2, 9, 3, 7])
    """

    kernel_size: int = 3
    n_layers: int = 3

    def __call__(self, n_latent: int, n_components: int, n_columns: int) -> nn.Module:
        """Build the network for latents of this width on a grid with ``n_columns`` columns."""
        check_size("n_layers of MaskedConv", self.n_layers)
        check_size("kernel_size of MaskedConv", self.kernel_size)
        if self.kernel_size < 2:
            raise ValueError(f"kernel_size of MaskedConv must be at least 2, got {self.kernel_size!r}.")
        return _MaskedContext(n_latent, n_components, n_columns, self.kernel_size, self.n_layers)


#: Encoders of patches by name. They normalise per patch: statistics of the batch carry information between patches.
PATCH_ENCODERS: dict[str, Configured] = {"conv": Conv(norm="group"), "mlp": MLP()}

#: Contexts by name.
CONTEXTS: dict[str, type[Configured]] = {"gru": GRU, "conv": MaskedConv}


def build_causal_encoder(
    encoder: StridedConv | EncoderFactory,
    context: Callable[[int, int, int], nn.Module],
    input_shape: tuple[int, ...],
    n_components: int,
    patches: PatchGrid | None = None,
) -> CausalEncoder:
    """Build latents and contexts of equal width for inputs of a shape.

    Parameters
    ----------
    encoder : StridedConv, or callable (patch_shape, n_components) -> nn.Module
        Encoder of sequences, or of patches; see :func:`~skdim.nn.encoders.build_encoder`.
    context : callable (n_latent, n_components, n_columns) -> nn.Module
        A configured object of this module.
    input_shape : tuple of int
        (C, L), or (C, H, W) with ``patches``.
    n_components : int
        Width of latents and contexts.
    patches : PatchGrid, default=None
        The grid that images are cut into.

    Returns
    -------
    CausalEncoder

    Raises
    ------
    TypeError, ValueError
        If the encoder does not fit the input, or normalises patches by statistics of the batch.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.encoders import MLP
    >>> from skdim.nn.causal import MaskedConv, PatchGrid, build_causal_encoder
    >>> encoder = build_causal_encoder(MLP((32,)), MaskedConv(), (1, 28, 28), 16, PatchGrid((8, 8)))
    >>> encoder.grid, tuple(encoder(torch.zeros(2, 1, 28, 28)).z.shape)
    ((6, 6), (2, 6, 6, 16))
    """
    if patches is None:
        if not isinstance(encoder, StridedConv):
            raise TypeError(f"Sequences are encoded by a StridedConv, got {encoder!r}; give patch_size for images.")
        stride = encoder.stride_of(input_shape[1])
        latents, grid = encoder(input_shape, n_components), (input_shape[1] // stride, 1)
    else:
        stride, grid = 0, patches.grid(input_shape)
        patch_encoder = build_encoder(encoder, (input_shape[0], *patches.size), n_components)
        _refuse_batch_statistics(patch_encoder)
        latents = _Patches(patch_encoder, patches.size, patches.step)
    return CausalEncoder(latents, context(n_components, n_components, grid[1]), stride, grid)


def _refuse_batch_statistics(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            raise ValueError(
                f"The encoder of patches has a {type(part).__name__}: statistics of the batch carry information on the "
                "patches that a context predicts. Normalise per patch, as Conv(norm='group') does."
            )
