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
from functools import partial

import torch
from torch import Tensor, nn

from skdim.nn.encoders import Code
from skdim.nn.objectives._priors import PriorMatching
from skdim.nn.objectives._terms import Term


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
