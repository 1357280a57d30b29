r"""The objective of Deep InfoMax.

Deep InfoMax maximises over encoder and critics (Hjelm et al., ICLR 2019, Eq. 8)

.. math::

    \alpha\, I(C; Y) + \frac{\beta}{M^2} \sum_p I(C_p; Y) - \gamma\, D(\text{prior} \,\|\, Y)

With two augmented views a and b of each image the map comes from one view and the code from the other, in both directions,
and a code-to-code term :math:`I(Y^a; Y^b)` is added (Bachman et al., NeurIPS 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import starmap
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from skdim._params import look_up
from skdim.bounds import Bound
from skdim.inputs.augmentation import EVALUATION_SEED, TwoViews
from skdim.inputs.batches import Batches, RowNumbers, Rows, Source
from skdim.nn.adapt import Code, CriticFactory, Encoder, build_critic
from skdim.nn.critics import shared_critic
from skdim.nn.discriminant import Discriminant, Part
from skdim.nn.gaussian import log_density
from skdim.nn.objectives.objective import Draws, Objective, drawn
from skdim.nn.objectives.posterior import AnyCode, NormalizedCode, StochasticCode
from skdim.nn.objectives.prior import PriorMatching
from skdim.nn.objectives.terms import CodeInfoMax, GlobalInfoMax, LocalInfoMax, PosteriorInfoMax, Term


class DeepInfoMax(Objective):
    """The complete objective over one encoder: the terms "global", "local" and "code", and the prior.

    ``two_views`` makes the two views of a sample; without it the sample is its only view. The local term scores
    ``n_locations`` random locations per step, all if None. ``posterior`` maps a code to a :class:`Gaussian`, whose samples
    replace the code in every term and in the prior; if its density is the critic, "tnce" takes the place of "global".
    ``discriminant`` is a further code of the hidden layer, which no term sees.
    """

    feature_modules = frozenset({"encoder", "discriminant"})
    encoder: Encoder
    adversary: PriorMatching | None
    terms: Mapping[str, Term]

    def __init__(
        self,
        encoder: Encoder,
        terms: dict[str, Term],
        two_views: TwoViews | None = None,
        prior: PriorMatching | None = None,
        prior_weight: float = 0.0,
        n_locations: int | None = None,
        posterior: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.terms = cast("Mapping[str, Term]", nn.ModuleDict(terms))
        self.two_views = two_views
        self.n_draws = 0 if two_views is None else two_views.n_draws
        self.adversary = prior
        self.prior_weight = prior_weight
        self.n_locations = n_locations
        self.posterior = posterior
        n_hidden, n_components = encoder.n_hidden, encoder.n_components
        self.discriminant = Discriminant(n_hidden, n_components) if n_hidden >= n_components else None

    @property
    def networks(self) -> list[nn.Module]:
        return [self.encoder.encoder if isinstance(self.encoder, NormalizedCode) else self.encoder]

    @property
    def bounds(self) -> list[str]:
        """Names of the parts that add up to the reported lower bound: TNCE bounds I(X; Y), the others bound parts of it."""
        return ["tnce"] if "tnce" in self.terms else list(self.terms)

    @property
    def upper_bounds(self) -> list[str]:
        """Names of the parts that bound I(X; Y) from above."""
        return ["l1out"] if "tnce" in self.terms else []

    @property
    def units(self) -> Mapping[str, str]:
        return dict.fromkeys([*self.terms, "l1out", "total_correlation"], "nats")

    def draw(self, rows: Rows, generator: torch.Generator | None) -> Draws:
        n_views = 1 if self.two_views is None else 2
        shape = n_views * rows.n, self.encoder.n_components
        fixed = torch.Generator().manual_seed(EVALUATION_SEED) if generator is None else generator
        draws: Draws = {} if self.two_views is None else dict(self.two_views.draw(rows.own.start, generator))
        if self.posterior is not None:
            draws["noise"] = torch.randn(shape, generator=fixed)
        if generator is None:
            return draws
        n_places = self.encoder.local_shape[1]
        if "local" in self.terms and self.n_locations is not None and self.n_locations < n_places:
            draws["locations"] = torch.randperm(n_places, generator=generator)[: self.n_locations]
        if self.adversary is not None:
            draws["prior"] = self.adversary.prior.sample(shape, generator)
        return draws

    def views(self, X: Tensor, draws: Draws) -> list[Tensor]:
        return [X] if self.two_views is None else self.two_views(X, draws["uniform"], draws.get("generator"))

    def forward(self, X: Tensor, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what a step minimises for a batch, and its parts by name, detached.

        The parts are "loss" (the objective), each term's bound in nats, the further bounds of a known posterior, and with a
        prior "prior" and "discriminator".
        """
        views = X if isinstance(X, list) else self.views(X, draws)
        code = self._encode(views, draws)
        codes = _split(code, len(views))
        parts: dict[str, Tensor] = {}
        objectives: list[Tensor] = []
        for name, term in self.terms.items():
            x = codes
            if name in ("local", "global"):
                x = _with_maps(codes, code.local, self.gather, draws.get("locations") if name == "local" else None)
            losses, values = zip(*starmap(term, _directions(x, term)), strict=True)
            objectives.append(term.weight * _mean(losses))
            parts[name] = _mean(values)
        penalties, further = _further_bounds(self.terms, codes)
        parts |= further
        loss = objective = sum([*objectives[1:], *penalties], objectives[0])
        if self.adversary is not None:
            global_ = torch.cat([code.global_ for code in codes])
            prior_loss = self.adversary.encoder_loss(global_)
            discriminator_loss = self.adversary.discriminator_loss(global_, draws["prior"])
            objective = objective + self.prior_weight * prior_loss
            # One backward pass serves both players: L_D does not reach the encoder, L_E not the discriminator.
            loss = objective + discriminator_loss
            parts |= {"prior": prior_loss.detach(), "discriminator": discriminator_loss.detach()}
        return loss, {"loss": objective.detach(), **parts}

    def evaluate(self, X: Tensor, draws: Draws) -> dict[str, Tensor]:
        """Return the bounds over all locations, and as "loss" what they add to the objective."""
        codes = self._evaluated(self.views(X, draws), draws)
        parts: dict[str, Tensor] = {"loss": torch.zeros((), device=X.device)}
        for name, term in self.terms.items():
            losses, values = zip(*starmap(term.evaluate, _directions(codes, term)), strict=True)
            parts[name] = _mean(values)
            parts["loss"] = parts["loss"] + term.weight * _mean(losses)
        penalties, further = _further_bounds(self.terms, codes)
        return {**parts, **further, "loss": sum(penalties, parts["loss"])}

    @property
    def scored_terms(self) -> list[str]:
        """Names of the terms that :meth:`score` adds: those with weight, or all if none has; "code" only if it is the only."""
        names = [name for name, term in self.terms.items() if term.weight > 0] or list(self.terms)
        return [name for name in names if name != "code"] or names

    def score(self, X: Tensor, draws: Draws) -> Tensor:
        """Return the sum of the scored terms' InfoNCE: of the samples themselves, or of their two views for "code"."""
        codes = self._evaluated(self.views(X, draws) if "code" in self.scored_terms else [X], draws)
        return torch.stack([self.terms[name].score(codes[0], codes[-1]) for name in self.scored_terms]).sum()

    def _encode(self, views: Sequence[Tensor], draws: Draws) -> AnyCode:
        """Return the codes of the views; of the maps, which are large, :func:`_with_maps` gathers only what is used."""
        code: Code = self.encoder(torch.cat(list(views)) if len(views) > 1 else views[0])
        code = code._replace(global_=self.gather(code.global_, len(views)))
        if self.posterior is None:
            return code
        posterior = self.posterior(code._replace(hidden=self.gather(code.hidden, len(views))))
        sample = posterior.sample(draws["noise"][: len(posterior.mean)])
        return StochasticCode(code.local, code.hidden, sample, *posterior)

    def _evaluated(self, views: Sequence[Tensor], draws: Draws) -> list[AnyCode]:
        code = self._encode(views, draws)
        return _with_maps(_split(code, len(views)), code.local, self.gather)

    def features(self, X: Tensor, extras: Mapping[str, Tensor], name: str) -> Tensor:
        code: Code = self.encoder(X)
        if name == "discriminant":
            assert self.discriminant is not None
            return cast("Tensor", self.discriminant(code.hidden))
        return {"global": code.global_, "hidden": code.hidden, "local": code.local}[name].flatten(1)

    def widths(self) -> Mapping[str, int]:
        n_channels, n_places = self.encoder.local_shape
        width = self.encoder.n_components
        found = {"discriminant": width} if self.discriminant is not None and self.discriminant.is_found else {}
        return {**found, "global": width, "hidden": self.encoder.n_hidden, "local": n_channels * n_places}


def build_terms(
    encoder: Encoder, bound: Bound, critics: Sequence[CriticFactory], weights: Mapping[str, float], known: Term | None
) -> dict[str, Term]:
    """Return the terms of "local", "global" and "code" that have weight, by name.

    The first critic is that of the global term, which the code-to-code term shares; the second is that of the local term.
    ``known`` is the term of a known posterior: it replaces the global term, also at weight 0, because it reports the bounds.
    """
    width, (n_channels, n_locations) = encoder.n_components, encoder.local_shape
    kinds: dict[str, tuple[type[Term], CriticFactory, int]] = {
        "local": (LocalInfoMax, critics[1], n_channels),
        "global": (GlobalInfoMax, critics[0], n_channels * n_locations),
        "code": (CodeInfoMax, shared_critic(critics[0]), width),
    }
    chosen = [name for name in kinds if weights[name] > 0 or (name == "global" and known is not None)]
    terms: dict[str, Term] = {}
    for name in chosen or ["local"]:  # the prior alone: the local term is there for the report
        kind, factory, features = kinds[name]
        if name == "global" and known is not None:
            terms["tnce"] = known
        else:
            terms[name] = kind(bound, build_critic(factory, width, features, bound.offset), weights[name])
    return terms


def _split(code: AnyCode, n_views: int) -> list[AnyCode]:
    """Return the code of each view, without its map."""
    parts = zip(*(part.chunk(n_views) for part in code[1:]), strict=True)
    return [type(code)(code.local[:0], *part) for part in parts]


def _with_maps(
    codes: list[AnyCode], maps: Tensor, gather: Callable[[Tensor, int], Tensor], locations: Tensor | None = None
) -> list[AnyCode]:
    """Return the codes of the views with their maps of the whole batch, at some locations or at all."""
    # Convolutions keep places before channels in memory. Maps keep that order: another layout of the gradient slows every layer
    # below.
    maps = maps.transpose(1, 2)
    maps = maps if locations is None else maps.index_select(1, locations)
    of_views = gather(maps, len(codes)).chunk(len(codes))
    return [code._replace(local=part.transpose(1, 2)) for code, part in zip(codes, of_views, strict=True)]


def _directions(codes: list[AnyCode], term: Term) -> list[tuple[AnyCode, AnyCode]]:
    """Return the (code, features) pairs of a term: one view with itself, or two views both ways if the bounds may differ."""
    x, y = codes[0], codes[-1]
    is_same = isinstance(term, CodeInfoMax) and getattr(term.critic, "exchangeable", False)
    return [(x, y)] if len(codes) == 1 or is_same else [(x, y), (y, x)]


def _further_bounds(terms: Mapping[str, Term], codes: list[AnyCode]) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Return the penalty on the total correlation, if any, and, detached, the further bounds of a known posterior."""
    if "tnce" not in terms:
        return [], {}
    term = terms["tnce"]
    assert isinstance(term, PosteriorInfoMax)
    bounds = [term.further_bounds(code) for code in codes]
    means = {name: _mean([bound[name] for bound in bounds]) for name in bounds[0]}
    penalties = [term.total_correlation_weight * means[name] for name in means if name == "total_correlation"]
    return penalties, {name: value.detach() for name, value in means.items()}


def _mean(values: Sequence[Tensor]) -> Tensor:
    """Return the mean of scalars; of one, itself."""
    return sum(values[1:], values[0]) / len(values) if len(values) > 1 else values[0]


def asks_for_discriminant(objective: DeepInfoMax, features: str) -> bool:
    """Whether a fit for such features finds the discriminant code: "auto" leaves codes that are shaped as they are."""
    if features == "auto":
        is_shaped = objective.posterior is not None or objective.prior_weight > 0
        return not is_shaped and objective.encoder.n_hidden > objective.encoder.n_components
    if features == "discriminant" and objective.discriminant is None:
        raise ValueError(
            f"features='discriminant' needs n_components of at most the {objective.encoder.n_hidden} columns of the hidden "
            f"layer, got {objective.encoder.n_components}."
        )
    return features == "discriminant"


def layer_of(objective: DeepInfoMax, features: str) -> str:
    """Return the name of the layer that ``features`` stands for."""
    names = objective.widths()
    if features == "auto":
        return "discriminant" if "discriminant" in names and asks_for_discriminant(objective, "auto") else "global"
    if features == "discriminant" and features not in names:
        raise ValueError(
            "There is no discriminant code: a fit with features='auto' or 'discriminant' finds it, partial_fit does not. "
            "After set_params(features='discriminant', warm_start=True, max_iter=0), fit finds it without training."
        )
    look_up("features", features, {**names, "auto": 0, "discriminant": 0})
    return features


def find_discriminant(objective: DeepInfoMax, samples: Source, rows: RowNumbers, batch_size: int, seed: int) -> None:
    """Find the objective's discriminant code from random rows."""
    assert objective.discriminant is not None
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[: objective.discriminant.most_rows])
    batches = Batches(samples, rows, batch_size, None, 0, objective.n_draws)
    objective.discriminant.find(_parts(objective.eval(), batches, torch.Generator().manual_seed(seed)), len(rows))


@torch.no_grad()  # a user's views may draw from torch or take gradients, which inference mode hinders
def _parts(objective: DeepInfoMax, batches: Batches, generator: torch.Generator) -> Iterator[Part]:
    for batch in batches:
        own = objective.encoder(batch.X)  # before views, which may write into the batch
        views = objective.views(batch.X, drawn(objective, [batch], generator)[0])
        first, second = (objective.encoder(view).hidden for view in (views[0], views[-1]))
        yield own.hidden, first - second, own.global_


@torch.no_grad()
def sampled_codes(
    objective: DeepInfoMax, samples: Source, rows: RowNumbers, batch_size: int, seed: int
) -> tuple[npt.NDArray[np.float64], Tensor]:
    """Return a sample y of the code of each row, (n, d), and its own log p(y | x), (n,)."""
    assert objective.posterior is not None
    generator, parts = torch.Generator().manual_seed(seed), []
    for batch in Batches(samples, rows, batch_size, None, 0, objective.n_draws):
        (draws,) = drawn(objective.eval(), [batch], generator)
        view = objective.views(batch.X, draws)[0]
        posterior = objective.posterior(objective.encoder(view))
        y = posterior.sample(draws["noise"][: len(view)])
        parts.append((y.double().cpu(), log_density(y, *posterior).sum(1).double().cpu()))
    y, log_p = (torch.cat(part) for part in zip(*parts, strict=True))
    return y.numpy(), log_p
