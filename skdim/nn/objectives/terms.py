"""Terms of an objective: a weighted bound between the code of one view and features of another."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from skdim.bounds import TNCE, Bound, infonce, l1out, tnce
from skdim.nn.objectives.posterior import AnyCode, Gaussian, StochasticCode, total_correlation

#: Pairs that are scored at once outside training; the concatenation critic keeps a hidden layer for each.
PAIRS_AT_ONCE = 2**17
#: Pairs that are scored at once in training on a CPU: as many as its cache holds, in memory that the allocator reuses.
PAIRS_IN_TRAINING = 2**18


class Term(nn.Module):
    """A weighted bound between the code of one view and features of another, under a critic of (global code, features)."""

    def __init__(self, bound: Bound, critic: nn.Module, weight: float) -> None:
        super().__init__()
        self.criterion = bound.criterion()
        self.critic = critic
        self.weight = weight

    def features(self, code: AnyCode) -> Tensor:
        """Return what the global code is paired with, (n, features) or (n, features, locations)."""
        raise NotImplementedError

    def scores(self, x: AnyCode, y: AnyCode, pairs_at_once: int | None = None) -> Iterator[tuple[float, Tensor]]:
        """Yield some locations' share of all, and their ``scores[i, j, ...]`` = f(Y of x_i, features of y_j)."""
        features = self.features(y)
        n_locations = features.shape[2] if features.ndim > 2 else 1
        n_at_once = n_locations if pairs_at_once is None else pairs_at_once // (len(x.global_) * len(features))
        groups = features.split(max(1, n_at_once), dim=2) if n_locations > max(1, n_at_once) else [features]
        for group in groups:
            share = group.shape[2] / n_locations if len(groups) > 1 else 1.0
            yield share, self.critic(x.global_, group)

    def forward(self, x: AnyCode, y: AnyCode) -> tuple[Tensor, Tensor]:
        """Return the loss and, detached, the bound in nats."""
        at_once = PAIRS_IN_TRAINING if self.criterion.splits and x.global_.device.type == "cpu" else None
        parts = []
        for share, scores in self.scores(x, y, at_once):
            loss = self.criterion.loss(scores)
            parts.append((share, loss, self.criterion.reported(loss, scores)))
        if len(parts) == 1:
            return parts[0][1:]
        losses, values = zip(*((share * loss, share * value) for share, loss, value in parts), strict=True)
        return torch.stack(losses).sum(), torch.stack(values).sum()

    def mean(self, function: Callable[[Tensor], Tensor], x: AnyCode, y: AnyCode) -> Tensor:
        """Return the mean over all locations of ``function(scores)``, some locations at a time to bound the memory."""
        parts = [(share, function(scores)) for share, scores in self.scores(x, y, PAIRS_AT_ONCE)]
        return parts[0][1] if len(parts) == 1 else torch.stack([share * part for share, part in parts]).sum()

    def evaluate(self, x: AnyCode, y: AnyCode) -> tuple[Tensor, Tensor]:
        """Return the loss and the bound in nats over all locations."""
        if self.criterion.bound.pools:
            ((_, scores),) = self.scores(x, y)
            return self.criterion.loss(scores), self.criterion.value(scores)
        return self.mean(self.criterion.loss, x, y), self.mean(self.criterion.value, x, y)

    def score(self, x: AnyCode, y: AnyCode) -> Tensor:
        """Return InfoNCE of the critic, whatever the estimator: the code is the anchor, the candidates are features."""
        return self.mean(infonce, x, y)


class GlobalInfoMax(Term):
    """I(C; Y): the code and the whole, flattened feature map."""

    def features(self, code: AnyCode) -> Tensor:
        return code.local.movedim(1, 2).flatten(1)


class LocalInfoMax(Term):
    """Mean over locations p of I(C_p; Y): the same location of the other samples as negatives."""

    def features(self, code: AnyCode) -> Tensor:
        return code.local


class CodeInfoMax(Term):
    """I(Y^a; Y^b): the codes of two views."""

    def features(self, code: AnyCode) -> Tensor:
        return code.global_


class PosteriorInfoMax(Term):
    """I(X; Y) of a stochastic code by TNCE: the known log p(y | x) is the critic (Poole et al., ICML 2019, Section 2.5).

    The code y of one view is scored under the distributions of the other view's inputs; with one view, under its own. With two
    views this bounds the information of y on the other view, and hence that on its own.

    Parameters
    ----------
    weight : float
        Weight in the objective; with 0 the bounds are only reported.
    total_correlation_weight : float, default=0.0
        Weight of the penalty, the upper bound of the total correlation.

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

    def scores(self, x: AnyCode, y: AnyCode, pairs_at_once: int | None = None) -> Iterator[tuple[float, Tensor]]:
        """Yield ``scores[i, j]`` = log p(y of x_j | y_i)."""
        yield 1.0, _posterior(y).log_density(x.global_)

    def score(self, x: AnyCode, y: AnyCode) -> Tensor:
        return self.mean(tnce, x, y)

    def further_bounds(self, x: AnyCode) -> dict[str, Tensor]:
        """Return, of one view, the upper bounds "l1out" and, if it has weight, "total_correlation", in nats."""
        posterior = _posterior(x)
        joint = posterior.log_density(x.global_)
        bounds = {"l1out": l1out(joint.detach())}
        if self.total_correlation_weight > 0:  # every component of every pair: the only part with a cost
            components, rates = posterior.component_log_density(x.global_), posterior.component_rates(x.global_)
            bounds["total_correlation"] = total_correlation(joint, components, rates)
        return bounds


def _posterior(code: AnyCode) -> Gaussian:
    if not isinstance(code, StochasticCode):
        raise TypeError(f"A known posterior needs a StochasticCode, got {type(code).__name__}.")
    return code.posterior
