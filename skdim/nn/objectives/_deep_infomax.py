r"""The objective of Deep InfoMax.

Deep InfoMax maximises over encoder and critics (Hjelm et al. 2019 [1]_, Eq. 8)

.. math::

    \alpha\, I(C; Y) + \frac{\beta}{M^2} \sum_p I(C_p; Y) - \gamma\, D(\text{prior} \,\|\, Y)

With two augmented views a and b of each image the map comes from one view and the code from the other, in both directions,
and a code-to-code term :math:`I(Y^a; Y^b)` is added (Bachman et al. 2019 [2]_).

References
----------
.. [1] Hjelm et al., "Learning deep representations by mutual information estimation and maximization", ICLR 2019.
.. [2] Bachman, Hjelm & Buchwalter, "Learning representations by maximizing mutual information across views", NeurIPS 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skdim.nn.encoders import Code
from skdim.nn.objectives._noise import NormalizedCode
from skdim.nn.objectives._objective import Objective
from skdim.nn.objectives._posterior import AnyCode, StochasticCode
from skdim.nn.objectives._priors import PriorMatching
from skdim.nn.objectives._terms import PosteriorInfoMax, Term

#: Seed of the views, and of the codes' noise, that held-out bounds and scores are taken on.
EVALUATION_SEED = 0


class DeepInfoMax(Objective):
    """The complete objective over one encoder: every term that has a weight, and the prior.

    Parameters
    ----------
    encoder : nn.Module
        Inputs -> :class:`~skdim.nn.encoders.Code`.
    terms : dict of str to Term
        The weighted bounds by name: "global", "local", "code"; "tnce" in place of "global" with a known posterior.
    prior : PriorMatching or None
        Prior matching.
    prior_weight : float
        Its weight gamma.
    n_locations : int or None
        How many random locations the local term scores per step; None for all.
    posterior : nn.Module or None
        Code -> :class:`Gaussian`, whose samples take the code's place in every term and in the prior; None leaves the code as
        it is.
    """

    def __init__(
        self,
        encoder: nn.Module,
        terms: dict[str, Term],
        prior: PriorMatching | None = None,
        prior_weight: float = 0.0,
        n_locations: int | None = None,
        posterior: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.terms = nn.ModuleDict(terms)
        self.prior = prior
        self.prior_weight = prior_weight
        self.n_locations = n_locations
        self.posterior = posterior

    @property
    def networks(self) -> list[nn.Module]:
        return [self.encoder.encoder if isinstance(self.encoder, NormalizedCode) else self.encoder]

    @property
    def lower_bounds(self) -> list[str]:
        """Names of the parts that add up to the reported lower bound: TNCE is of I(X; Y) itself, the others of parts of X."""
        return ["tnce"] if "tnce" in self.terms else list(self.terms)

    @property
    def upper_bounds(self) -> list[str]:
        """Names of the parts that bound I(X; Y) from above."""
        return ["l1out"] if "tnce" in self.terms else []

    def forward(
        self, views: Sequence[Tensor], generator: torch.Generator | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what a step minimises for a batch, given as one view or two, and its parts by name, detached.

        The parts are "loss" (the objective), each term's bound in nats, with a known posterior "l1out" and, where it has
        weight, "total_correlation", and with a prior "prior" and "discriminator".
        """
        code = self._encode(views, generator)
        codes = self._split(code, len(views))
        parts: dict[str, Tensor] = {}
        objectives: list[Tensor] = []
        for name, term in self._named_terms():
            x = codes
            if name in ("local", "global"):
                chosen = self._choose_locations(code, generator) if name == "local" else None
                x = self._with_maps(codes, code.local, chosen)
            losses, values = zip(*(term(a, b) for a, b in self._directions(x, name)), strict=True)
            objectives.append(term.weight * _mean(losses))
            parts[name] = _mean(values)
        penalty, further = self._further_bounds(codes)
        parts |= further
        loss = objective = sum(objectives, penalty)
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
        """Return the bounds over all locations, and as "loss" what they add to the objective; call without gradient."""
        codes = self._evaluated(views)
        parts: dict[str, Tensor] = {"loss": torch.zeros((), device=views[0].device)}
        for name, term in self._named_terms():
            pairs = self._directions(codes, name)
            losses, values = (
                _mean([term.evaluate(function, *pair) for pair in pairs])
                for function in (term.bound.symmetric_loss, term.bound.symmetric_value)
            )
            parts[name] = values
            parts["loss"] = parts["loss"] + term.weight * losses
        penalty, further = self._further_bounds(codes)
        return {**parts, **further, "loss": parts["loss"] + penalty}

    @property
    def scored_terms(self) -> list[str]:
        """Names of the terms that :meth:`score` adds up: those with weight, code-to-code only where there is no other.

        Where none has weight, every term is scored.
        """
        names = [name for name, term in self._named_terms() if term.weight > 0] or list(self.terms)
        return [name for name in names if name != "code"] or names

    def score(self, views: Sequence[Tensor]) -> Tensor:
        """Return the sum of the scored terms' InfoNCE, of one view, or of two for code-to-code; call without gradient."""
        codes = self._evaluated(views)
        scores = [term.score(codes[0], codes[-1]) for name, term in self._named_terms() if name in self.scored_terms]
        return torch.stack(scores).sum()

    def _named_terms(self) -> list[tuple[str, Term]]:
        return [(name, term) for name, term in self.terms.items() if isinstance(term, Term)]

    def _further_bounds(self, codes: list[AnyCode]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the total correlation's penalty, and what a known posterior tells beside its term, detached."""
        term = dict(self._named_terms()).get("tnce")
        penalty = torch.zeros((), device=codes[0].global_.device)
        if not isinstance(term, PosteriorInfoMax):
            return penalty, {}
        bounds = [term.further_bounds(code) for code in codes]
        means = {name: _mean([bound[name] for bound in bounds]) for name in bounds[0]}
        if "total_correlation" in means:
            penalty = term.total_correlation_weight * means["total_correlation"]
        return penalty, {name: value.detach() for name, value in means.items()}

    def _encode(self, views: Sequence[Tensor], generator: torch.Generator | None) -> AnyCode:
        """Return the views' codes; the maps, which are large, are gathered where they are used, and as much as is used."""
        code: Code = self.encoder(torch.cat(list(views)) if len(views) > 1 else views[0])
        code = code._replace(global_=self.gather(code.global_, len(views)))
        if self.posterior is None:
            return code
        posterior = self.posterior(code._replace(hidden=self.gather(code.hidden, len(views))))
        return StochasticCode(code.local, code.hidden, posterior.sample(generator), *posterior)

    def _evaluated(self, views: Sequence[Tensor]) -> list[AnyCode]:
        """Return the views' codes, stochastic ones under the fixed noise."""
        code = self._encode(views, torch.Generator().manual_seed(EVALUATION_SEED))
        return self._with_maps(self._split(code, len(views)), code.local)

    @staticmethod
    def _split(code: AnyCode, n_views: int) -> list[AnyCode]:
        """Return the code of each view, without its map."""
        parts = zip(*(part.chunk(n_views) for part in code[1:]), strict=True)
        return [type(code)(code.local[:0], *part) for part in parts]

    def _with_maps(self, codes: list[AnyCode], maps: Tensor, chosen: Tensor | None = None) -> list[AnyCode]:
        """Return the views' codes with their maps of the whole batch, at the chosen places or at all."""
        # Places before channels, as convolutions keep them in memory: indexed and split otherwise, the gradient comes back in
        # another layout, and every layer below pays for it.
        maps = maps.transpose(1, 2)
        maps = maps if chosen is None else maps.index_select(1, chosen)
        of_views = self.gather(maps, len(codes)).chunk(len(codes))
        return [code._replace(local=part.transpose(1, 2)) for code, part in zip(codes, of_views, strict=True)]

    def _choose_locations(self, code: AnyCode, generator: torch.Generator | None) -> Tensor | None:
        n_locations = code.local.shape[2]
        if self.n_locations is None or self.n_locations >= n_locations:
            return None
        return torch.randperm(n_locations, generator=generator)[: self.n_locations].to(code.local.device)

    def _directions(self, codes: list[AnyCode], name: str) -> list[tuple[AnyCode, AnyCode]]:
        """Return a term's (code, features) pairs: of one view with itself, of two views with each other both ways.

        Codes under an exchangeable critic have the same scores both ways, transposed, and so the same bound: once is enough.
        """
        x, y = codes[0], codes[-1]
        one_way = len(codes) == 1 or (name == "code" and getattr(self.terms[name].critic, "exchangeable", False))
        return [(x, y)] if one_way else [(x, y), (y, x)]


def _mean(values: Sequence[Tensor]) -> Tensor:
    """Return the mean of scalars; of one, itself."""
    return sum(values[1:], values[0]) / len(values) if len(values) > 1 else values[0]
