"""Terms of an objective: a weighted bound between the code of one view and features of another.

References
----------
.. [1] Poole et al., "On variational bounds of mutual information", ICML 2019.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from skdim.bounds import TNCE, Bound, infonce, l1out, tnce
from skdim.nn.objectives._posterior import AnyCode, Gaussian, StochasticCode, total_correlation

#: Pairs that are scored at once outside training; the concatenation critic keeps a hidden layer for each.
PAIRS_AT_ONCE = 2**17
#: Pairs that are scored at once in training: tensors that the cache holds, and that the allocator need not ask the system for.
PAIRS_IN_TRAINING = 2**18


class Term(nn.Module):
    """A weighted bound between the code of one view and features of another, under one critic.

    Parameters
    ----------
    bound : Bound
        The MI estimator.
    critic : nn.Module
        A :class:`~skdim.nn.critics.Critic`, which scores (global code, features) pairs.
    weight : float
        Weight in the objective.
    """

    log_average: Tensor

    def __init__(self, bound: Bound, critic: nn.Module, weight: float) -> None:
        super().__init__()
        self.bound = bound
        self.critic = critic
        self.weight = weight
        self.register_buffer("log_average", torch.tensor(float("nan")))  # MINE's moving average, before its first step

    def features(self, code: AnyCode) -> Tensor:
        """Return what the global code is paired with, (n, features) or (n, features, locations)."""
        raise NotImplementedError

    def scores(self, x: AnyCode, y: AnyCode) -> Tensor:
        """Return ``scores[i, j, ...]`` = f(Y of x_i, features of y_j)."""
        return self.critic(x.global_, self.features(y))

    def evaluate(self, function: Callable[[Tensor], Tensor], x: AnyCode, y: AnyCode) -> Tensor:
        """Return the mean over all locations of ``function(scores)``, a few locations at a time to bound the memory."""
        return self._mean_over_locations(function, x, y, PAIRS_AT_ONCE)

    def _mean_over_locations(
        self, function: Callable[[Tensor], Tensor], x: AnyCode, y: AnyCode, pairs_at_once: int
    ) -> Tensor:
        features = self.features(y)
        n_at_once = max(1, pairs_at_once // (len(x.global_) * len(features)))
        if features.ndim == 2 or features.shape[2] <= n_at_once:
            return function(self.critic(x.global_, features))
        groups = features.split(n_at_once, dim=2)
        parts = [group.shape[2] / features.shape[2] * function(self.critic(x.global_, group)) for group in groups]
        return torch.stack(parts).sum()

    def score(self, x: AnyCode, y: AnyCode) -> Tensor:
        """Return InfoNCE of the critic, whatever the estimator: the code is the anchor, the candidates are features."""
        return self.evaluate(infonce, x, y)

    def forward(self, x: AnyCode, y: AnyCode) -> tuple[Tensor, Tensor]:
        """Return the loss and, detached, the bound in nats."""
        if type(self.bound).loss is Bound.loss:  # the bound itself, a mean over locations: a part of them at a time
            value = self._mean_over_locations(self.bound.symmetric_value, x, y, PAIRS_IN_TRAINING)
            return -value, value.detach()
        scores = self.scores(x, y)
        loss = self.bound.symmetric_loss(scores, self.log_average)
        with torch.no_grad():
            value = -loss if self.bound.loss_is_value else self.bound.symmetric_value(scores)
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

    def features(self, code: AnyCode) -> Tensor:
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

    def features(self, code: AnyCode) -> Tensor:
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

    def features(self, code: AnyCode) -> Tensor:
        return code.global_


class PosteriorInfoMax(Term):
    """I(X; Y) of a stochastic code by TNCE: the known log p(y | x) is the critic (Poole et al. 2019 [1]_, Section 2.5).

    The code y of one view is scored under the distributions that the other view's inputs have; with one view, its own. Between
    two views this is InfoNCE with a fixed critic, so it bounds the information that y has about the other view, and the more
    so that about its own.

    Parameters
    ----------
    weight : float
        Weight in the objective; 0 leaves the bounds reported.
    total_correlation_weight : float, default=0.0
        Weight of the total correlation's upper bound, which is a penalty.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.objectives import PosteriorInfoMax, StochasticCode
    >>> y = 5 * torch.eye(4)
    >>> code = StochasticCode(torch.zeros(4, 1, 1), y, y, mean=y, log_variance=torch.zeros(4, 4))
    >>> loss, lower_bound = PosteriorInfoMax(weight=1.0)(code, code)
    >>> round(lower_bound.item(), 4)                                       # log 4, the cap
    1.3863
    """

    def __init__(self, weight: float, total_correlation_weight: float = 0.0) -> None:
        super().__init__(TNCE(), nn.Identity(), weight)
        self.total_correlation_weight = total_correlation_weight

    def scores(self, x: AnyCode, y: AnyCode) -> Tensor:
        """Return ``scores[i, j]`` = log p(y of x_j | y_i)."""
        return _posterior(y).log_density(x.global_)

    def _mean_over_locations(
        self, function: Callable[[Tensor], Tensor], x: AnyCode, y: AnyCode, pairs_at_once: int
    ) -> Tensor:
        return function(self.scores(x, y))

    def score(self, x: AnyCode, y: AnyCode) -> Tensor:
        return tnce(self.scores(x, y))

    def further_bounds(self, x: AnyCode) -> dict[str, Tensor]:
        """Return, of one view, "l1out", and "total_correlation" where it has weight; both are upper bounds in nats."""
        posterior = _posterior(x)
        joint = posterior.log_density(x.global_)
        bounds = {"l1out": l1out(joint.detach())}
        if self.total_correlation_weight > 0:  # every component of every pair: the only part with a cost
            bounds["total_correlation"] = total_correlation(joint, posterior.component_log_density(x.global_))
        return bounds


def _posterior(code: AnyCode) -> Gaussian:
    if not isinstance(code, StochasticCode):
        raise TypeError(f"A known posterior needs a StochasticCode, got {type(code).__name__}.")
    return code.posterior
