r"""Critics: the function f(x, y) that scores pairs of codes.

A configured object such as ``Separable(width=32)`` is a factory: called with the widths of both codes, it builds the network.
Any class or function ``(x_features, y_features) -> nn.Module`` may take its place. The network takes ``x`` of shape
(n, x_features) and ``y`` of shape (m, y_features) to scores of shape (n, m). :class:`Critic` adds a scale and an offset.

References
----------
.. [1] Hjelm et al., "Learning deep representations by mutual information estimation and maximization", ICLR 2019.
.. [2] Tschannen et al., "On mutual information maximization for representation learning", ICLR 2020.
.. [3] Tian, Krishnan & Isola, "Contrastive multiview coding", ECCV 2020.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skdim._params import Configured, check_size, check_sizes, choose
from skdim.nn.adapt import Critic, CriticFactory, build_critic
from skdim.nn.layers import Sum, constant, initialised, mlp, near_identity

__all__ = [
    "CRITICS",
    "Bilinear",
    "Concat",
    "Cosine",
    "Critic",
    "CriticFactory",
    "Inner",
    "Separable",
    "build_critic",
    "choose_critic",
    "shared_critic",
]


class _Inner(nn.Module):
    def __init__(self, x_features: int, y_features: int, cosine: bool = False, scaled: bool = True) -> None:
        super().__init__()
        width = min(x_features, y_features)
        self.project_x = nn.Linear(x_features, width) if x_features > width else nn.Identity()
        self.project_y = nn.Linear(y_features, width) if y_features > width else nn.Identity()
        self.divisor = math.sqrt(width) if scaled else 1.0
        self.cosine = cosine
        self.exchangeable = x_features == y_features

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        x, y = self.project_x(x), self.project_y(y)
        if self.cosine:
            return F.normalize(x, dim=1) @ F.normalize(y, dim=1).T
        return x @ y.T / self.divisor


class _Bilinear(nn.Module):
    def __init__(self, x_features: int, y_features: int, scaled: bool) -> None:
        super().__init__()
        self.divisor = math.sqrt(min(x_features, y_features)) if scaled else 1.0
        self.weight = nn.Parameter(torch.empty(x_features, y_features))
        nn.init.xavier_uniform_(self.weight)  # Keras' default for a dense layer, as in Tschannen et al. 2020

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x @ self.weight @ y.T / self.divisor


def _embedding(features: int, spec: Separable) -> nn.Module:
    """Return an MLP beside a shortcut, as the projections of Deep InfoMax; linear without hidden layers."""
    parts: list[nn.Module] = []
    if spec.shortcut == "identity":
        parts.append(near_identity(features, spec.width))
    elif spec.shortcut:
        parts.append(initialised(nn.Linear(features, spec.width), spec.init))
    if spec.hidden_layer_sizes:
        branch = mlp(features, spec.hidden_layer_sizes, spec.width, norm=spec.norm)
        parts.append(initialised(branch, spec.init))
    embedding = Sum(*parts) if len(parts) > 1 else parts[0]
    return nn.Sequential(embedding, nn.LayerNorm(spec.width)) if spec.normalize else embedding


class _Separable(nn.Module):
    def __init__(self, x_features: int, y_features: int, spec: Separable) -> None:
        super().__init__()
        self.embed_x = _embedding(x_features, spec)
        self.embed_y = self.embed_x if spec.shared else _embedding(y_features, spec)
        self.cosine = spec.temperature is not None
        self.divisor = math.sqrt(spec.width) if spec.scaled else 1.0
        # A cosine is meant to depend on directions only; an inner product gets a(x) + b(y), both 0 at first.
        has_biases = spec.biases and not self.cosine
        self.bias_x = constant(nn.Linear(x_features, 1), 0.0) if has_biases else None
        self.bias_y = constant(nn.Linear(y_features, 1), 0.0) if has_biases else None
        self.exchangeable = spec.shared and self.cosine

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        h, k = self.embed_x(x), self.embed_y(y)
        if self.cosine:
            return F.normalize(h, dim=1) @ F.normalize(k, dim=1).T
        scores = h @ k.T / self.divisor
        return scores if self.bias_x is None or self.bias_y is None else scores + self.bias_x(x) + self.bias_y(y).T


class _Concat(nn.Module):
    def __init__(self, x_features: int, y_features: int, hidden: tuple[int, ...], init: str) -> None:
        super().__init__()
        # The first layer of a network on [x, y] is a sum of one layer on each: n + m products instead of n m.
        self.first_x = nn.Linear(x_features, hidden[0])
        self.first_y = nn.Linear(y_features, hidden[0], bias=False)
        self.rest = initialised(mlp(hidden[0], hidden[1:], 1), init)
        if init != "torch":
            first = initialised(nn.Linear(x_features + y_features, hidden[0]), init)
            with torch.no_grad():
                self.first_x.bias.copy_(first.bias)
                self.first_x.weight.copy_(first.weight[:, :x_features])
                self.first_y.weight.copy_(first.weight[:, x_features:])

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        pairs = torch.relu(self.first_x(x)[:, None] + self.first_y(y)[None])
        return self.rest(pairs).squeeze(-1)


@dataclass
class Inner(Configured):
    r"""Inner product of the codes, :math:`x^\top y / \sqrt{d}`; the wider code is first projected linearly to the narrower.

    Parameters
    ----------
    affine : bool, default=True
        Whether a scale and an offset are learned, see :class:`Critic`.
    scaled : bool, default=True
        Whether the product is divided by :math:`\sqrt{d}`, of the narrower code's width d.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.critics import Inner
    >>> Inner()(4, 4)(torch.ones(1, 4), torch.ones(1, 4)).item()
    2.0
    """

    affine: bool = True
    scaled: bool = True

    def __call__(self, x_features: int, y_features: int) -> nn.Module:
        return _Inner(x_features, y_features, scaled=self.scaled)


@dataclass
class Cosine(Configured):
    r"""Cosine of the codes over a temperature, as in contrastive multiview coding (Tian et al. 2020 [3]_, Eq. 3).

    .. math:: f(x, y) = \frac{1}{\tau} \frac{x^\top y}{\|x\| \|y\|} + o

    The wider code is first projected linearly to the narrower. :class:`Separable` embeds both codes before the cosine. Calling
    it raises ValueError if the temperature is not positive.

    Parameters
    ----------
    temperature : float, default=0.1
        Temperature tau; theirs is 0.1 for STL-10, 0.07 for ImageNet.
    affine : bool, default=True
        Whether an offset o is learned, see :class:`Critic`.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.critics import Cosine, build_critic
    >>> round(build_critic(Cosine(), 4, 4)(torch.ones(1, 4), 3 * torch.ones(1, 4)).item(), 4)
    10.0
    """

    temperature: float = 0.1
    affine: bool = True

    def __call__(self, x_features: int, y_features: int) -> nn.Module:
        if not self.temperature > 0:
            raise ValueError(f"temperature of Cosine must be positive, got {self.temperature!r}.")
        return _Inner(x_features, y_features, cosine=True)


@dataclass
class Bilinear(Configured):
    r"""Bilinear critic :math:`x^\top W y / \sqrt{d}`, with Glorot-uniform weights W at the start.

    ``Bilinear(affine=False, scaled=False)`` is the default of Tschannen et al. [2]_.

    Parameters
    ----------
    affine : bool, default=True
        Whether a scale and an offset are learned, see :class:`Critic`.
    scaled : bool, default=True
        Whether the product is divided by :math:`\sqrt{d}`, of the narrower code's width d.

    Examples
    --------
    >>> from skdim.nn.critics import Bilinear
    >>> sum(p.numel() for p in Bilinear()(100, 100).parameters())
    10000
    """

    affine: bool = True
    scaled: bool = True

    def __call__(self, x_features: int, y_features: int) -> nn.Module:
        return _Bilinear(x_features, y_features, self.scaled)


@dataclass
class Separable(Configured):
    r"""Encode-and-dot critic, as Deep InfoMax's [1]_ for classification: the cosine of two embeddings over a temperature.

    .. math::

        f(x, y) = \frac{1}{\tau} \frac{h(x)^\top k(y)}{\|h(x)\| \|k(y)\|} + o

    Without a temperature it is :math:`e^s (h(x)^\top k(y) / \sqrt{w} + a(x) + b(y)) + o` with a learned scale s. Calling it
    raises ValueError if a parameter is outside its range or has no effect, or sides of different widths are to share an
    embedding.

    Parameters
    ----------
    width : int, default=64
        Width w of the embeddings h and k.
    hidden_layer_sizes : tuple of int, default=()
        Hidden ReLU layers of h and k beside their linear shortcut. Without any, h and k are linear.
    temperature : float or None, default=0.2
        Temperature tau of the cosine. A fixed one gives better features than a learned scale, which sharpens the scores
        until the bound is tight; None learns the scale.
    normalize : bool, default=False
        Whether the embeddings end in layer normalisation, as in Deep InfoMax.
    shared : bool, default=False
        Whether both sides have one embedding, h = k, as the codes of two views of a sample always have.
    affine : bool, default=True
        Whether a scale (without temperature) and an offset are learned, see :class:`Critic`.
    shortcut : bool or "identity", default=True
        Whether a linear layer stands beside the hidden layers. "identity" is one without bias that starts as a noisy copy of
        the code, as Deep InfoMax's.
    norm : {"none", "batch", "group"}, default="none"
        Normalisation before each hidden ReLU, as in :class:`~skdim.nn.encoders.MLP`; Deep InfoMax's is by batch statistics.
    scaled : bool, default=True
        Whether the inner product is divided by :math:`\sqrt{w}`; without temperature.
    biases : bool, default=True
        Whether linear functions a(x) and b(y) are added to the inner product; without temperature.
    init : {"torch", "glorot"}, default="torch"
        First weights of the linear layers: torch's default, or Glorot-uniform with zero bias, which is Keras' default.

    Examples
    --------
    The critic of two networks of Tschannen et al. [2]_, Section 3.3:

    >>> from skdim.nn.critics import Separable
    >>> plain = {"temperature": None, "shortcut": False, "scaled": False, "biases": False, "affine": False}
    >>> critic = Separable(100, hidden_layer_sizes=(100,), init="glorot", **plain)
    >>> sum(p.numel() for p in critic(100, 100).parameters())
    40400
    """

    width: int = 64
    hidden_layer_sizes: tuple[int, ...] = ()
    temperature: float | None = 0.2
    normalize: bool = False
    shared: bool = False
    affine: bool = True
    shortcut: bool | str = True
    norm: str = "none"
    scaled: bool = True
    biases: bool = True
    init: str = "torch"

    def __call__(self, x_features: int, y_features: int) -> nn.Module:
        if self.shared and x_features != y_features:
            raise ValueError(f"Separable(shared=True) needs sides of one width, got {x_features} and {y_features}.")
        check_size("width of Separable", self.width)
        check_sizes("hidden_layer_sizes of Separable", self.hidden_layer_sizes)
        if self.temperature is not None and not self.temperature > 0:
            raise ValueError(f"temperature of Separable must be positive or None, got {self.temperature!r}.")
        if self.shortcut not in (True, False, "identity"):
            raise ValueError(f"shortcut of Separable must be True, False or 'identity', got {self.shortcut!r}.")
        if self.norm not in ("none", "batch", "group"):
            raise ValueError(f"norm of Separable must be 'none', 'batch' or 'group', got {self.norm!r}.")
        if not self.hidden_layer_sizes and not (self.shortcut and self.norm == "none"):
            raise ValueError(
                f"Separable(shortcut={self.shortcut!r}, norm={self.norm!r}) is about hidden layers: give hidden_layer_sizes."
            )
        if self.temperature is not None and not (self.scaled and self.biases):
            raise ValueError(
                f"Separable(scaled={self.scaled}, biases={self.biases}) is about the inner product: set temperature=None."
            )
        return _Separable(x_features, y_features, self)


@dataclass
class Concat(Configured):
    r"""Network on the concatenation [x, y]; over a feature map this is Deep InfoMax's concat-and-convolve.

    It scores each of the n m pairs by itself, so its cost grows with batch size squared times locations. Lower
    ``n_locations`` if it is too slow. Calling it raises ValueError if there is no hidden layer or a size is invalid.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(64, 64)
        ReLU layers; the paper has (512, 512).
    affine : bool, default=True
        Whether a scale and an offset are learned, see :class:`Critic`.
    init : {"torch", "glorot"}, default="torch"
        First weights of the linear layers: torch's default, or Glorot-uniform with zero bias, which is Keras' default.

    Examples
    --------
    >>> from skdim.nn.critics import Concat
    >>> sum(p.numel() for p in Concat(hidden_layer_sizes=(200,))(100, 100).parameters())
    40401
    """

    hidden_layer_sizes: tuple[int, ...] = (64, 64)
    affine: bool = True
    init: str = "torch"

    def __call__(self, x_features: int, y_features: int) -> nn.Module:
        hidden = check_sizes("hidden_layer_sizes of Concat", self.hidden_layer_sizes, at_least=1)
        return _Concat(x_features, y_features, hidden, self.init)


#: Critics by name.
CRITICS: dict[str, type[Configured]] = {
    "inner": Inner,
    "cosine": Cosine,
    "bilinear": Bilinear,
    "separable": Separable,
    "concat": Concat,
}


def choose_critic(critic: str | CriticFactory, hidden_layer_sizes: Sequence[int] | str = "auto") -> CriticFactory:
    """Return the factory that a name, a configured object, a class or a function stands for.

    ``hidden_layer_sizes`` configures a named critic. Raises ValueError if the name is unknown or the sizes have no effect.
    """
    return choose("critic", critic, CRITICS, hidden_layer_sizes=hidden_layer_sizes)


def shared_critic(critic: CriticFactory) -> CriticFactory:
    """Return the critic between codes of one kind: one with the parameter ``shared`` then embeds both sides alike."""
    if isinstance(critic, Configured) and "shared" in critic.get_params():
        return copy(critic).set_params(shared=True)
    return critic
