r"""Encoders that start as the identity: bijective couplings, which stay invertible, and a residual network, which may not.

A bijective encoder loses no information, so that :math:`I(g_1(X_1); g_2(X_2)) = I(X_1; X_2)` for all its parameters; what
changes in training is how easily the information is extracted (Tschannen et al. [1]_, Section 3.1).

References
----------
.. [1] Tschannen et al., "On mutual information maximization for representation learning", ICLR 2020.
.. [2] Dinh, Krueger & Bengio, "NICE: non-linear independent components estimation", ICLR 2015 workshop.
.. [3] Dinh, Sohl-Dickstein & Bengio, "Density estimation using Real NVP", ICLR 2017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skdim._params import Configured, check_size, check_sizes
from skdim.nn.layers import Sum, mlp

#: Standard deviation of the weights at the start: Tschannen et al., Appendix B.
INITIAL_SD = 1e-4


def _near_zero(size_in: int, size_out: int) -> nn.Linear:
    """Return a layer with weights near zero, from a normal distribution cut at two standard deviations."""
    layer = nn.Linear(size_in, size_out)
    nn.init.trunc_normal_(layer.weight, std=INITIAL_SD, a=-2 * INITIAL_SD, b=2 * INITIAL_SD)
    nn.init.zeros_(layer.bias)
    return layer


def _width(encoder: Configured, input_shape: tuple[int, ...], n_components: int) -> int:
    """Return the width of inputs and code, or raise if they differ."""
    width = math.prod(input_shape)
    if n_components != width:
        raise ValueError(
            f"{type(encoder).__name__} keeps the width: n_components must be {width} for inputs of shape {input_shape}, "
            f"got {n_components}."
        )
    return width


class _Coupling(nn.Module):
    """The first half passes and sets a shift, and with ``scale`` a factor, of the second; then all values are permuted."""

    order: Tensor

    def __init__(self, width: int, hidden_layer_sizes: tuple[int, ...], scale: bool, smallest_scale: float) -> None:
        super().__init__()
        self.sizes = width // 2, width - width // 2
        self.scale = scale
        self.smallest_scale = smallest_scale
        n_outputs = self.sizes[1] * (2 if scale else 1)
        self.network = mlp(self.sizes[0], hidden_layer_sizes, n_outputs, linear=_near_zero)
        self.register_buffer("order", torch.randperm(width))

    def forward(self, X: Tensor) -> Tensor:
        passed, moved = X.split(self.sizes, dim=1)
        factor, shift = self._factor_and_shift(passed)
        moved = moved + shift if factor is None else moved * factor + shift
        return torch.cat([passed, moved], dim=1)[:, self.order]

    def inverse(self, Y: Tensor) -> Tensor:
        passed, moved = Y[:, self.order.argsort()].split(self.sizes, dim=1)
        factor, shift = self._factor_and_shift(passed)
        moved = moved - shift if factor is None else (moved - shift) / factor
        return torch.cat([passed, moved], dim=1)

    def _factor_and_shift(self, passed: Tensor) -> tuple[Tensor | None, Tensor]:
        outputs = self.network(passed)
        if not self.scale:
            return None, outputs
        raw, shift = outputs.chunk(2, dim=1)
        # softplus(log(e^(1 - s) - 1)) = 1 - s: the factor starts at 1
        start = math.log(math.expm1(1 - self.smallest_scale))
        return F.softplus(raw + start) + self.smallest_scale, shift


class CouplingNetwork(nn.Module):
    """A bijection of flat inputs: couplings in turn, each with a method ``inverse``."""

    def __init__(self, couplings: list[nn.Module]) -> None:
        super().__init__()
        self.couplings = nn.ModuleList(couplings)

    def forward(self, X: Tensor) -> Tensor:
        Y = X.flatten(1)
        for coupling in self.couplings:
            Y = coupling(Y)
        return Y

    def inverse(self, Y: Tensor) -> Tensor:
        """Return the inputs, flat, of codes (n, width)."""
        for coupling in reversed(self.couplings):
            Y = coupling.inverse(Y)  # type: ignore[operator]
        return Y


@dataclass
class Couplings(Configured):
    r"""Bijective encoder: additive couplings, with a fixed random permutation after each [2]_.

    .. math:: (x_a, x_b) \mapsto P\,(x_a,\; x_b + t(x_a)), \qquad \log |\det J| = 0

    The volume is preserved, so the code has the entropy of the input. Weights and shifts t start near zero: the network starts
    as a permutation. Calling it raises ValueError unless ``n_components`` is the width of the flattened input, at least 2, and
    all parameters are in their ranges.

    Parameters
    ----------
    n_couplings : int, default=30
        Number of couplings.
    hidden_layer_sizes : tuple of int, default=(512, 512)
        ReLU layers of each coupling's network.
    scale : bool, default=False
        Whether the second half is also multiplied by a positive factor, which starts at 1: affine couplings [3]_. They are
        bijective, too.
    smallest_scale : float, default=1e-7
        Lower bound of the factors, between 0 and 1. With the default, which is theirs [1]_, products of small factors may
        exceed the precision of float32, and ``inverse`` then does not return the input.

    Examples
    --------
    Thirty couplings for half an image, as in Tschannen et al. [1]_:

    >>> from skdim.nn.invertible import Couplings
    >>> sum(p.numel() for p in Couplings()((1, 14, 28), 392).parameters())
    13922040
    """

    kind: ClassVar[str] = "table"
    n_couplings: int = 30
    hidden_layer_sizes: tuple[int, ...] = (512, 512)
    scale: bool = False
    smallest_scale: float = 1e-7

    def __call__(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        width = _width(self, input_shape, n_components)
        if width < 2:
            raise ValueError(f"Couplings need inputs of two values at least, got the shape {input_shape}.")
        check_size("n_couplings", self.n_couplings)
        sizes = check_sizes("hidden_layer_sizes of Couplings", self.hidden_layer_sizes)
        if not (isinstance(self.smallest_scale, Real) and 0 < self.smallest_scale < 1):
            raise ValueError(f"smallest_scale of Couplings must be above 0 and below 1, got {self.smallest_scale!r}.")
        options = width, sizes, self.scale, self.smallest_scale
        return CouplingNetwork([_Coupling(*options) for _ in range(self.n_couplings)])


@dataclass
class ResidualMLP(Configured):
    r"""Encoder that starts as the identity and may lose invertibility (Tschannen et al. [1]_, Section 3.2).

    .. math:: h_0 = x, \qquad h_l = h_{l-1} + \mathrm{ReLU}(W_l h_{l-1} + b_l), \qquad y = h_L + W h_L + b

    Calling it raises ValueError unless ``n_components`` is the width of the flattened input and ``n_hidden_layers`` positive.

    Parameters
    ----------
    n_hidden_layers : int, default=4
        Number L of ReLU layers.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.invertible import ResidualMLP
    >>> X = torch.linspace(-1, 1, 10)[None]
    >>> torch.allclose(ResidualMLP()((10,), 10)(X), X, atol=0.01)
    True
    """

    kind: ClassVar[str] = "table"
    n_hidden_layers: int = 4

    def __call__(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        width = _width(self, input_shape, n_components)
        check_size("n_hidden_layers", self.n_hidden_layers)
        hidden = [
            Sum(nn.Identity(), nn.Sequential(_near_zero(width, width), nn.ReLU(inplace=True)))
            for _ in range(self.n_hidden_layers)
        ]
        return nn.Sequential(nn.Flatten(), *hidden, Sum(nn.Identity(), _near_zero(width, width)))
