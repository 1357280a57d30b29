r"""Objectives: codes -> loss and named bounds.

Deep InfoMax maximises over encoder and critics (Hjelm et al. 2019 [1]_, Eq. 8)

.. math::

    \alpha\, I(C; Y) + \frac{\beta}{M^2} \sum_p I(C_p; Y) - \gamma\, D(\text{prior} \,\|\, Y)

With two augmented views a and b of each image the map comes from one view and the code from the other, in both directions,
and a code-to-code term :math:`I(Y^a; Y^b)` is added (Bachman et al. 2019 [2]_).

References
----------
.. [1] Hjelm et al., "Learning deep representations by mutual information estimation and maximization", ICLR 2019.
.. [2] Bachman, Hjelm & Buchwalter, "Learning representations by maximizing mutual information across views", NeurIPS 2019.
.. [3] Mescheder, Geiger & Nowozin, "Which training methods for GANs do actually converge?", ICML 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from skdim._params import Configured, check_sizes
from skdim.bounds import Bound
from skdim.nn.critics import Critic
from skdim.nn.encoders import Code

__all__ = [
    "PRIORS",
    "CodeInfoMax",
    "DeepInfoMax",
    "GlobalInfoMax",
    "LocalInfoMax",
    "NormalPrior",
    "Prior",
    "PriorMatching",
    "UniformPrior",
]


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


@dataclass
class Prior(Configured):
    """A prior for the codes, with the discriminator that brings them to it; see :class:`UniformPrior`, :class:`NormalPrior`.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(1000, 200)
        The discriminator's ReLU layers, as in the paper's code.
    penalty : float, default=0.03
        Weight lambda of the gradient penalty. The paper's code has 1, but for one sample of the batch only; over the whole
        batch 1 leaves the discriminator too weak to shape the marginals (measured in ``benchmarks/prior_matching.py``).
    """

    hidden_layer_sizes: tuple[int, ...] = (1000, 200)
    penalty: float = 0.03

    def check(self) -> None:
        """Raise a ``ValueError`` if a parameter is outside its range."""
        check_sizes(f"hidden_layer_sizes of {type(self).__name__}", self.hidden_layer_sizes)
        if not self.penalty >= 0:
            raise ValueError(f"penalty of {type(self).__name__} must be at least 0, got {self.penalty!r}.")

    def sample(self, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        """Return prior samples."""
        raise NotImplementedError

    def squash(self, codes: Tensor) -> Tensor:
        """Map codes to the prior's support."""
        raise NotImplementedError


@dataclass
class UniformPrior(Prior):
    """U[0, 1] in each component, met by sigmoid(Y); the paper's choice.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.objectives import UniformPrior
    >>> UniformPrior().squash(torch.zeros(1, 2)).tolist()
    [[0.5, 0.5]]
    """

    def sample(self, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        return torch.rand(shape, generator=generator)

    def squash(self, codes: Tensor) -> Tensor:
        return torch.sigmoid(codes)


@dataclass
class NormalPrior(Prior):
    """N(0, 1) in each component, met by Y itself.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.objectives import NormalPrior
    >>> NormalPrior().squash(torch.ones(1, 2)).tolist()
    [[1.0, 1.0]]
    """

    def sample(self, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        return torch.randn(shape, generator=generator)

    def squash(self, codes: Tensor) -> Tensor:
        return codes


#: Priors by name.
PRIORS: dict[str, type[Prior]] = {"uniform": UniformPrior, "normal": NormalPrior}


class PriorMatching(nn.Module):
    r"""Adversarial matching of the codes' distribution to a prior (Hjelm et al. 2019 [1]_, Eq. 7).

    The discriminator D tells prior samples from codes; the encoder makes codes that D takes for prior samples (the
    non-saturating loss). The sigmoid that brings codes to the uniform prior's support is applied here only. The gradient
    penalty is over the whole batch (Mescheder et al. 2018 [3]_).

    .. math::

        L_D = E_z[\mathrm{sp}(-D(z))] + E_Y[\mathrm{sp}(D(Y))]
              + \tfrac{\lambda}{2} \bigl( E_z \|\nabla D(z)\|^2 + E_Y \|\nabla D(Y)\|^2 \bigr),
        \qquad L_E = E_Y[\mathrm{sp}(-D(Y))]

    Parameters
    ----------
    prior : Prior
        What the codes are matched to, and how.
    n_components : int
        Width of the codes.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.objectives import PriorMatching, UniformPrior
    >>> matching = PriorMatching(UniformPrior(), 2)
    >>> [p.grad is None for p in matching.discriminator.parameters()].count(False)
    0
    """

    def __init__(self, prior: Prior, n_components: int) -> None:
        super().__init__()
        prior.check()
        self.prior = prior
        layers: list[nn.Module] = []
        features = n_components
        for size in prior.hidden_layer_sizes:
            layers += [nn.Linear(features, size), nn.ReLU()]
            features = size
        self.discriminator = nn.Sequential(*layers, nn.Linear(features, 1))

    def discriminator_loss(self, codes: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return L_D; its gradient reaches the discriminator only."""
        samples = self.prior.sample(tuple(codes.shape), generator).to(codes)
        both = torch.cat([samples, self.prior.squash(codes.detach())]).requires_grad_()
        logits = self.discriminator(both)
        is_prior, is_code = logits.chunk(2)
        (slope,) = torch.autograd.grad(logits.sum(), both, create_graph=True)
        # The mean over both halves is half the sum of the two means.
        gradient_penalty = slope.square().sum(1).mean()
        return F.softplus(-is_prior).mean() + F.softplus(is_code).mean() + self.prior.penalty * gradient_penalty

    def encoder_loss(self, codes: Tensor) -> Tensor:
        """Return L_E; its gradient passes through the frozen discriminator to the codes only."""
        frozen = {name: parameter.detach() for name, parameter in self.discriminator.named_parameters()}
        logits = functional_call(self.discriminator, frozen, (self.prior.squash(codes),))
        return F.softplus(-logits).mean()


class DeepInfoMax(nn.Module):
    """The complete objective over one encoder: every term that has a weight, and the prior.

    Parameters
    ----------
    encoder : nn.Module
        Inputs -> :class:`~skdim.nn.encoders.Code`.
    terms : dict of str to Term
        The weighted bounds by name: "global", "local", "code".
    prior : PriorMatching or None
        Prior matching.
    prior_weight : float
        Its weight gamma.
    n_locations : int or None
        How many random locations the local term scores per step; None for all.
    """

    def __init__(
        self,
        encoder: nn.Module,
        terms: dict[str, Term],
        prior: PriorMatching | None = None,
        prior_weight: float = 0.0,
        n_locations: int | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.terms = nn.ModuleDict(terms)
        self.prior = prior
        self.prior_weight = prior_weight
        self.n_locations = n_locations

    def forward(
        self, views: Sequence[Tensor], generator: torch.Generator | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what a step minimises for a batch, given as one view or two, and its parts by name, detached.

        The parts are "loss" (the objective), each term's bound in nats, and with a prior "prior" and "discriminator".
        """
        code: Code = self.encoder(torch.cat(list(views)) if len(views) > 1 else views[0])
        codes = self._split(code, len(views))
        parts: dict[str, Tensor] = {}
        objective = torch.zeros((), device=views[0].device)
        for name, term in self._named_terms():
            x = self._split(self._choose_locations(code, generator), len(views)) if name == "local" else codes
            losses, values = zip(*(term(a, b) for a, b in self._directions(x)), strict=True)
            objective = objective + term.weight * torch.stack(losses).mean()
            parts[name] = torch.stack(values).mean()
        loss = objective
        if self.prior is not None:
            global_ = torch.cat([code.global_ for code in codes])
            prior_loss = self.prior.encoder_loss(global_)
            discriminator_loss = self.prior.discriminator_loss(global_, generator)
            objective = objective + self.prior_weight * prior_loss
            # One backward pass serves both players: L_D does not reach the encoder, L_E not the discriminator.
            loss = objective + discriminator_loss
            parts |= {"prior": prior_loss.detach(), "discriminator": discriminator_loss.detach()}
        return loss, {"loss": objective.detach(), **parts}

    def evaluate(self, views: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the terms' bounds over all locations, and as "loss" what they add to the objective; call without gradient."""
        codes = self._split(self.encoder(torch.cat(list(views)) if len(views) > 1 else views[0]), len(views))
        parts: dict[str, Tensor] = {"loss": torch.zeros((), device=views[0].device)}
        for name, term in self._named_terms():
            pairs = self._directions(codes)
            losses, values = (
                torch.stack([term.evaluate(partial(term.both, function), *pair) for pair in pairs]).mean()
                for function in (term.bound.loss, term.bound.value)
            )
            parts[name] = values
            parts["loss"] = parts["loss"] + term.weight * losses
        return parts

    def _named_terms(self) -> list[tuple[str, Term]]:
        return [(name, term) for name, term in self.terms.items() if isinstance(term, Term)]

    @staticmethod
    def _directions(codes: list[Code]) -> list[tuple[Code, Code]]:
        """Return the (code, features) pairs: of one view with itself, of two views with each other both ways."""
        return [(codes[0], codes[0])] if len(codes) == 1 else [(codes[0], codes[1]), (codes[1], codes[0])]

    @staticmethod
    def _split(code: Code, n_views: int) -> list[Code]:
        # Places before channels, as convolutions keep them in memory: split (and above, indexed) otherwise, the gradient
        # comes back in another layout, and every layer below pays for it.
        locals_ = (part.movedim(1, 2) for part in code.local.movedim(1, 2).chunk(n_views))
        return [Code(*parts) for parts in zip(locals_, *(part.chunk(n_views) for part in code[1:]), strict=True)]

    def _choose_locations(self, code: Code, generator: torch.Generator | None) -> Code:
        n_locations = code.local.shape[2]
        if self.n_locations is None or self.n_locations >= n_locations:
            return code
        chosen = torch.randperm(n_locations, generator=generator)[: self.n_locations].to(code.local.device)
        return code._replace(local=code.local.movedim(1, 2).index_select(1, chosen).movedim(1, 2))
