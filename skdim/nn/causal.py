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
from skdim.nn.layers import ChannelNorm, Sum

#: An automatic stride is the smallest power of 2 that leaves at most so many frames.
MOST_FRAMES = 32
#: Patches with shorter sides are encoded by an MLP: they have few places for a convolution to share its weights over.
SMALLEST_CONV_PATCH = 16


class Contexts(NamedTuple):
    """What a causal encoder returns for n inputs."""

    z: Tensor  #: latents (n, T, Q, n_latent): z[:, t, q] is a function of the frame or patch (t, q), and of samples before it
    c: Tensor  #: contexts (n, T, Q, n_components): c[:, t, q] is a function of the latents at times up to t


class CausalEncoder(nn.Module):
    """Latents of inputs, and contexts of the latents.

    Attributes
    ----------
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
    channels of a time step (not the first) and ReLU. Calling it raises ValueError if a parameter is outside its range.

    Parameters
    ----------
    width : int, default=64
        Channels of each layer.
    overlap : int, default=1
        Kernel length in strides. With 1, frames share no sample, and no later latent depends on samples of a context; the
        paper's kernels are about twice their stride.
    stride : int or "auto", default="auto"
        Samples of a frame, a power of 2. "auto" is the smallest that leaves at most 32 frames.

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
        if self.stride == "auto":
            return 1 << (length // (MOST_FRAMES + 1)).bit_length()
        check_size("stride of StridedConv", self.stride)
        stride = int(self.stride)
        if stride & (stride - 1):
            raise ValueError(f"stride of StridedConv must be 'auto' or a power of 2, got {stride!r}.")
        return stride

    def step_apart(self, length: int) -> int:
        """Return the first step ahead whose frame shares no sample with its context, for sequences of this length."""
        stride = self.stride_of(length)
        check_size("overlap of StridedConv", self.overlap)
        reach, jump = 1, 1  # samples that a frame depends on, and samples between the outputs of a layer
        for of_layer in self._strides(length):
            reach += (self.overlap * of_layer - 1) * jump
            jump *= of_layer
        return -(-reach // stride)

    def _strides(self, length: int) -> list[int]:
        return [2] * (self.stride_of(length).bit_length() - 1) + [1]

    def __call__(self, input_shape: tuple[int, ...], n_latent: int) -> nn.Module:
        check_size("width of StridedConv", self.width)
        check_size("overlap of StridedConv", self.overlap)
        n_channels, length = input_shape
        strides = self._strides(length)
        widths = [n_channels] + [self.width] * (len(strides) - 1)
        layers: list[nn.Module] = []
        for size_in, stride in zip(widths, strides, strict=True):
            kernel_size = self.overlap * stride
            norm = [ChannelNorm(self.width)] if layers else []  # the first would remove the level of a frame
            convolution = nn.Conv1d(size_in, self.width, kernel_size, stride)
            # Padded so, the output t ends with the input (t + 1) stride - 1.
            layers.append(nn.Sequential(nn.ZeroPad1d((kernel_size - stride, 0)), convolution, *norm, nn.ReLU()))
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
        """Return the rows and columns of patches; raises ValueError if an image is too small, or the overlap too large."""
        if any(side > room for side, room in zip(self.size, input_shape[1:], strict=True)):
            raise ValueError(
                f"patch_size={self.size} is larger than the images of {input_shape[1]} x {input_shape[2]}."
            )
        if min(self.step) < 1 or any(step > side for step, side in zip(self.step, self.size, strict=True)):
            raise ValueError(
                f"patch_overlap={self.overlap!r} must be at least 0 and smaller than patch_size={self.size}."
            )
        (rows, columns), (height, width) = input_shape[1:], self.size
        return (rows - height) // self.step[0] + 1, (columns - width) // self.step[1] + 1

    @property
    def step_apart(self) -> int:
        """The first step ahead whose row of patches shares no pixel with its context."""
        return -(-self.size[0] // self.step[0])

    @property
    def encoder(self) -> str:
        """Name of the encoder that "auto" stands for."""
        return "mlp" if min(self.size) < SMALLEST_CONV_PATCH else "conv"


def _pair(name: str, value: Any, least: int) -> tuple[int, int]:
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
        check_size("n_layers of GRU", self.n_layers)
        return _GRUContext(n_latent, n_components, self.n_layers)


class _MaskedContext(nn.Module):
    """Residual convolutions that see their own row and rows above, and their own and neighbouring columns."""

    def __init__(self, n_latent: int, n_components: int, n_columns: int, kernel_size: int, n_layers: int) -> None:
        super().__init__()
        self.project = nn.Linear(n_latent, n_components)
        self.layers = nn.Sequential()
        beside = int(n_columns > 1)
        for layer in range(n_layers):
            dilation, sides = kernel_size**layer, (kernel_size, 1 + 2 * beside)
            convolution = nn.Conv2d(n_components, n_components, sides, dilation=(dilation, 1))
            pad = nn.ZeroPad2d((beside, beside, (kernel_size - 1) * dilation, 0))
            branch = nn.Sequential(ChannelNorm(n_components), nn.ReLU(), pad, convolution)
            self.layers.append(Sum(nn.Identity(), branch))

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(self.project(z).movedim(3, 1)).movedim(1, 3)


@dataclass
class MaskedConv(Configured):
    """Context by dilated [4]_ residual convolutions over the past, similar to PixelCNN [2]_.

    Calling it raises ValueError if a parameter is outside its range.

    Parameters
    ----------
    kernel_size : int, default=3
        Steps, or rows of patches, that a layer sees, its own included; at least 2.
    n_layers : int, default=3
        Layers. Each multiplies the dilation by the kernel size, so that they reach back ``kernel_size ** n_layers`` steps.

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
    """Build latents and contexts of equal width for sequences (C, L), or for images (C, H, W) in patches.

    Raises TypeError or ValueError if the encoder does not fit the input, or normalises patches by statistics of the batch.
    """
    if patches is None:
        if not isinstance(encoder, StridedConv):
            raise TypeError(f"Sequences are encoded by a StridedConv, got {encoder!r}; give patch_size for images.")
        stride = encoder.stride_of(input_shape[1])
        latents, grid = encoder(input_shape, n_components), (input_shape[1] // stride, 1)
    else:
        stride, grid = 0, patches.grid(input_shape)
        patch_encoder = build_encoder(encoder, (input_shape[0], *patches.size), n_components)
        for part in patch_encoder.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.training:  # frozen statistics are constants
                raise ValueError(
                    f"The encoder of patches has a {type(part).__name__}: statistics of the batch carry information on the "
                    "patches that a context predicts. Normalise per patch, as Conv(norm='group') does."
                )
        latents = _Patches(patch_encoder, patches.size, patches.step)
    return CausalEncoder(latents, context(n_components, n_components, grid[1]), stride, grid)
