"""Terms of an objective: a weighted bound between the code of one view and features of another."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from skdim.bounds import Bound
from skdim.nn.critics import Critic
from skdim.nn.encoders import Code

#: Pairs that are scored at once outside training; the concatenation critic keeps a hidden layer for each.
PAIRS_AT_ONCE = 2**17


class Term(nn.Module):
    """A weighted bound between the code of one view and features of another, under one critic.

    Parameters
    ----------
    bound : Bound
        The MI estimator.
    critic : Critic
        Scores (global code, features) pairs.
    weight : float
        Weight in the objective.
    """

    log_average: Tensor

    def __init__(self, bound: Bound, critic: Critic, weight: float) -> None:
        super().__init__()
        self.bound = bound
        self.critic = critic
        self.weight = weight
        self.register_buffer("log_average", torch.tensor(float("nan")))  # MINE's moving average, before its first step

    def features(self, code: Code) -> Tensor:
        """Return what the global code is paired with, (n, features) or (n, features, locations)."""
        raise NotImplementedError

    def scores(self, x: Code, y: Code) -> Tensor:
        """Return ``scores[i, j, ...]`` = f(Y of x_i, features of y_j)."""
        return self.critic(x.global_, self.features(y))

    def evaluate(self, function: Callable[[Tensor], Tensor], x: Code, y: Code) -> Tensor:
        """Return the mean over all locations of ``function(scores)``, a few locations at a time to bound the memory."""
        features = self.features(y)
        n_at_once = max(1, PAIRS_AT_ONCE // (len(x.global_) * len(features)))
        groups = features.split(n_at_once, dim=2) if features.ndim == 3 else [features]
        total = torch.zeros((), device=features.device)
        for group in groups:
            share = group.shape[2] / features.shape[2] if features.ndim == 3 else 1.0
            total = total + share * function(self.critic(x.global_, group))
        return total

    def both(self, function: Callable[[Tensor], Tensor], scores: Tensor) -> Tensor:
        """Return ``function(scores)``, for an asymmetric bound its mean over both choices of the anchor."""
        if self.bound.symmetric:
            return function(scores)
        return (function(scores) + function(scores.transpose(0, 1))) / 2

    def forward(self, x: Code, y: Code) -> tuple[Tensor, Tensor]:
        """Return the loss and, detached, the bound in nats."""
        scores = self.scores(x, y)
        loss = self.both(lambda scores: self.bound.loss(scores, self.log_average), scores)
        with torch.no_grad():
            value = -loss if self.bound.loss_is_value else self.both(self.bound.value, scores)
        return loss, value.detach()


class GlobalInfoMax(Term):
    """I(C; Y): the code and the whole, flattened feature map.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import InfoNCE
    >>> from skdim.nn.critics import Critic, Separable
    >>> from skdim.nn.encoders import Code
    >>> code = Code(torch.zeros(8, 4, 9), torch.zeros(8, 5), torch.zeros(8, 3))
    >>> term = GlobalInfoMax(InfoNCE(), Critic(Separable()(3, 36)), weight=1.0)
    >>> term.scores(code, code).shape
    torch.Size([8, 8])
    """

    def features(self, code: Code) -> Tensor:
        return code.local.movedim(1, 2).flatten(1)


class LocalInfoMax(Term):
    """Mean over locations p of I(C_p; Y): the same location of the other samples as negatives.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import InfoNCE
    >>> from skdim.nn.critics import Critic, Separable
    >>> from skdim.nn.encoders import Code
    >>> code = Code(torch.zeros(8, 4, 9), torch.zeros(8, 5), torch.zeros(8, 3))
    >>> term = LocalInfoMax(InfoNCE(), Critic(Separable()(3, 4)), weight=1.0)
    >>> term.scores(code, code).shape
    torch.Size([8, 8, 9])
    """

    def features(self, code: Code) -> Tensor:
        return code.local


class CodeInfoMax(Term):
    """I(Y^a; Y^b): the codes of two views.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import InfoNCE
    >>> from skdim.nn.critics import Critic, Inner
    >>> from skdim.nn.encoders import Code
    >>> code = Code(torch.zeros(8, 4, 9), torch.zeros(8, 5), torch.zeros(8, 3))
    >>> CodeInfoMax(InfoNCE(), Critic(Inner()(3, 3)), weight=1.0)(code, code)[1].item()
    0.0
    """

    def features(self, code: Code) -> Tensor:
        return code.global_
