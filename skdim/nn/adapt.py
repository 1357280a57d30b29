"""The networks that objectives take, built from a factory, ours or a user's, and checked on a trial pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from skdim._params import Configured

EncoderFactory: TypeAlias = Callable[[tuple[int, ...], int], nn.Module]
CriticFactory: TypeAlias = Callable[[int, int], nn.Module]


# ------------------------------------------------------------------------------------------------------------- encoders
class Code(NamedTuple):
    """What an encoder returns for n inputs."""

    local: Tensor  #: C, features of parts of the input, (n, channels, locations); one location if it has no parts
    hidden: Tensor  #: the layer below the global code, (n, n_hidden)
    global_: Tensor  #: Y, the code of the whole input, (n, n_components)


#: Inputs of the pass that tries a network.
N_TRIED = 5


class Encoder(nn.Module):
    """A network that returns a :class:`Code`; :func:`build_encoder` sets its attributes."""

    local_shape: tuple[int, int]  # channels and locations
    n_hidden: int
    n_components: int


class LayeredEncoder(Encoder):
    """The layers of the local map, the layers above it, and a linear code on top."""

    def __init__(self, local: nn.Module, rest: nn.Module, n_hidden: int, n_components: int) -> None:
        super().__init__()
        self.local = local
        self.rest = rest
        self.code = nn.Linear(n_hidden, n_components)

    def forward(self, X: Tensor) -> Code:
        local = self.local(X)
        hidden = self.rest(local)
        return Code(_flat(local), hidden, self.code(hidden))


class _Adapted(Encoder):
    """A user's network, its output made a :class:`Code`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, X: Tensor) -> Code:
        output = self.network(X)
        if isinstance(output, Tensor):
            return Code(output.flatten(1).unsqueeze(2), output, output)
        local, hidden, global_ = output
        return Code(_flat(local), hidden, global_)


def _flat(local: Tensor) -> Tensor:
    return local.flatten(2) if local.ndim > 2 else local.unsqueeze(2)


def build_encoder(factory: EncoderFactory, input_shape: tuple[int, ...], n_components: int) -> Encoder:
    """Build an encoder and check, on a pass of zero inputs, that its codes have the right shapes.

    The network returns a :class:`Code`, a triple like it, or one tensor (n, n_components), which then serves as local (one
    location), hidden and global features. Raises TypeError if it is no nn.Module and ValueError if a shape is wrong.
    """
    network = _made("encoder", "input_shape, n_components", factory, input_shape, n_components)
    encoder = network if isinstance(network, Encoder) else _Adapted(network)
    training, n = encoder.training, N_TRIED
    encoder.eval()
    expected = (
        f"The encoder must return a tensor of shape (n, {n_components}), or a Code of local (n, channels, ...), hidden "
        f"(n, n_hidden) and global_ (n, {n_components}) features, for inputs of shape (n, {', '.join(map(str, input_shape))})"
    )
    try:
        with torch.no_grad():
            code: Code = encoder(torch.zeros(n, *input_shape))
        shapes = [tuple(part.shape) for part in code]
    except Exception as error:
        raise ValueError(f"{expected}; it raised {type(error).__name__}: {error}") from error
    if code.global_.shape != (n, n_components) or code.hidden.ndim != 2 or any(shape[:1] != (n,) for shape in shapes):
        raise ValueError(
            f"{expected}; for n = {n} it returned local {shapes[0]}, hidden {shapes[1]}, global {shapes[2]}."
        )
    if others := {str(part.dtype) for part in code if part.dtype is not torch.float32 or part.is_sparse}:
        raise ValueError(f"{expected}, dense and of torch.float32; it returned {sorted(others)}.")
    encoder.train(training)
    encoder.local_shape = (int(code.local.shape[1]), int(code.local.shape[2]))
    encoder.n_components = n_components
    encoder.n_hidden = int(code.hidden.shape[1])
    return encoder


def _made(what: str, parameters: str, factory: Callable[..., object], *given: object) -> nn.Module:
    """Return the network that a factory makes; an error in one of the user's says how it was called."""
    try:
        made = factory(*given)
    except Exception as error:
        if isinstance(factory, Configured):  # which names its parameters
            raise
        raise ValueError(
            f"The {what} is called as {what}({parameters}), here with {given}, and raised {type(error).__name__}: {error}. "
            "Give a class or function that builds a network from these."
        ) from error
    if not isinstance(made, nn.Module):
        raise TypeError(f"The {what} factory must return a torch.nn.Module, got {type(made).__name__}.")
    return made


# -------------------------------------------------------------------------------------------------------------- critics
class Critic(nn.Module):
    r"""A network g with a learnable scale and offset, applied to codes or to maps of local features.

    .. math:: f(x, y) = e^{s} g(x, y) + o

    With scores near the offset every bound starts near 0. A temperature fixes the scale: :math:`f = g / \tau + o`.

    Parameters
    ----------
    scores : nn.Module
        Network g: (n, x_features), (m, y_features) -> (n, m).
    offset : float, default=0.0
        Start of o: 1 for NWJ, 0 otherwise.
    affine : bool, default=True
        Whether a scale and an offset are learned; False returns g, as in Tschannen et al. (ICLR 2020).
    temperature : float or None, default=None
        Fixed temperature tau in place of the learned scale.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.critics import Critic, Inner
    >>> critic = Critic(Inner()(4, 4), offset=1.0)
    >>> critic(torch.zeros(3, 4), torch.zeros(5, 4, 7)).shape
    torch.Size([3, 5, 7])
    """

    def __init__(
        self, scores: nn.Module, offset: float = 0.0, affine: bool = True, temperature: float | None = None
    ) -> None:
        super().__init__()
        self.scores = scores
        self.temperature = temperature
        self.log_scale = nn.Parameter(torch.zeros(())) if affine and temperature is None else None
        self.offset = nn.Parameter(torch.tensor(float(offset))) if affine else None

    @property
    def exchangeable(self) -> bool:
        """Whether f(x, y) = f(y, x) for all weights; False for a network without the attribute ``exchangeable``."""
        return bool(getattr(self.scores, "exchangeable", False))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Score all pairs, (n, c), (m, d[, locations]) -> (n, m[, locations]); raises ValueError if g returns another shape."""
        # A location is one more candidate: (m, d, P) -> (P m, d).
        candidates = y if y.ndim == 2 else y.permute(2, 0, 1).flatten(0, 1)
        scores = self.scores(x, candidates)
        if scores.shape != (len(x), len(candidates)):
            raise ValueError(
                f"The critic must return scores of shape (n, m) = {(len(x), len(candidates))}, got {tuple(scores.shape)}."
            )
        if self.temperature is not None:
            scores = scores / self.temperature
        if self.log_scale is not None:
            scores = scores * self.log_scale.exp()
        if self.offset is not None:
            scores = scores + self.offset
        return scores if y.ndim == 2 else scores.reshape(len(x), y.shape[2], len(y)).transpose(1, 2)


def build_critic(factory: CriticFactory, x_features: int, y_features: int, offset: float = 0.0) -> Critic:
    """Build a critic and check, on a trial pass, that it scores all pairs.

    ``affine`` and ``temperature`` are those of the factory, if it has them. Raises TypeError if the network is no nn.Module and
    ValueError if it does not return (n, m) scores.
    """
    scores = _made("critic", "x_features, y_features", factory, x_features, y_features)
    critic = Critic(scores, offset, getattr(factory, "affine", True), getattr(factory, "temperature", None))
    critic.eval()
    try:
        with torch.no_grad():
            critic(torch.zeros(2, x_features), torch.zeros(3, y_features))
    except (RuntimeError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(
            f"The critic must take x of shape (n, {x_features}) and y of shape (m, {y_features}) to scores of shape (n, m); "
            f"for n = 2 and m = 3 it raised {type(error).__name__}: {error}"
        ) from error
    return critic.train()
