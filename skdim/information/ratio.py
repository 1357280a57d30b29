"""A critic that is learned under a bound."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from skdim._random import LocalSeed
from skdim.bounds import Bound
from skdim.information.canonical import canonical_axes
from skdim.information.intervals import Array, Rows
from skdim.information.model import FEWEST_TO_SPLIT, Plan
from skdim.information.networks import Pair
from skdim.information.references import Reference, gaussian_references, mixture_reference, student_reference
from skdim.information.selection import WIDE, select
from skdim.information.stacked import Chosen
from skdim.nn.objectives.ratio import RatioObjective, SideBySide
from skdim.nn.ratio import SeparableRatio, StackedRatio

#: Validation rows that judge a network, and epochs between two judgements. Joint networks score pairs one by one: they get
#: fewer.
JUDGING, JUDGING_OF_JOINT = (1500, 2), (400, 4)
#: Share of the epochs and of the patience, for a network that another follows.
SHARE_OF_EARLIER = 1 / 3
#: Nats on the held-out rows below which a network has learned nothing that its reference does not know.
SMALLEST_GAIN = 0.002
#: Numbers of components that are tried. Networks start from the first two only: every component costs time in every step.
SIZES = (2, 4, 8, 16)
#: Nats, in sum over the validation rows, that a mixture must gain: less may be chance.
GAIN_OF_MIXTURE = 5.0
#: Widest pair of sides, in canonical variates, for which a joint network is trained in place of refits.
WIDEST_JOINT = 4
#: Widest pair of sides, in columns, for which networks on all columns are trained beside those on a selection.
WIDEST_LEARNED = 256
#: Shuffles that a joint network is trained on.
N_SHIFTS = 4


class Variates(NamedTuple):
    """The variates of all rows, and the rows of a fold."""

    sides: Pair
    train: Rows
    valid: Rows

    def of(self, rows: Rows) -> Pair:
        return self.sides[0][rows], self.sides[1][rows]


class LearnedRatio(Chosen):
    """A critic that is trained under a bound, which gives the value.

    critic="auto" trains separable networks, each on inputs scaled by their relevance to the one before, and between narrow
    sides a joint network. Validation rows choose the weights of the networks and of the references.
    """

    @staticmethod
    def fit_folds(models: Sequence[LearnedRatio], x: Any, y: Any, folds: Sequence[tuple[Rows, Rows]]) -> None:
        """Fit the models of all folds, whose networks are of the same kinds and are trained side by side."""
        data = [model._prepared(x, y, *rows) for model, rows in zip(models, folds, strict=True)]
        if len({tuple(side.shape[1] for side in part.sides) for part in data}) > 1:  # some fold lacks a direction
            for model, rows in zip(models, folds, strict=True):
                model.fit(x, y, *rows)
            return
        lead, n_variates = models[0], sum(side.shape[1] for side in data[0].sides)
        kinds = []
        if lead.trains_networks and all(lead._is_learnable(part.train, *part.sides) for part in data):
            kinds = lead.networks.kinds(n_variates <= WIDEST_JOINT)
        sizes = SIZES if n_variates <= WIDEST_JOINT else SIZES[:2] if kinds else ()
        base = LearnedRatio._choose_base(models, data, sizes)
        trained: list[list[Any]] = []
        relevance: list[Pair | None] = [None] * len(models)
        for stage, kind in enumerate(kinds):
            if lead.ended:
                break
            kind = kind if kind == "joint" else f"{kind}:{base}"
            objectives = [
                model._objective(kind, *part.of(part.train), stage, scales)
                for model, part, scales in zip(models, data, relevance, strict=True)
            ]
            share = 1.0 if stage == len(kinds) - 1 else SHARE_OF_EARLIER
            gains = []
            for model, plan in LearnedRatio._plans(models, objectives, data, kind, stage, share):
                if not model.ended:
                    gains.append(model._record(plan, plan.trainer.train(plan.objective, plan.batches)))
                if isinstance(plan.objective, SideBySide):
                    plan.objective.return_weights(objectives)
            trained.append([objective.critic for objective in objectives])
            if np.mean(gains) < SMALLEST_GAIN and base != "nothing":  # the reference says it all
                break
            relevance, base = LearnedRatio._next_start(models, trained[-1], relevance, base, float(np.mean(gains)))
        for k, model in enumerate(models):
            model._stack([critics[k] for critics in trained], *data[k].sides)

    def fit(self, x: Any, y: Any, train: Rows, valid: Rows) -> None:
        self.fit_folds([self], x, y, [(train, valid)])

    def _prepared(self, x: Any, y: Any, train: Rows, valid: Rows) -> Variates:
        """Learn the axes and closed forms of the training rows, and return the variates of all."""
        seen_x, seen_y = self.seen(x[train], y[train])
        self.axes = canonical_axes(seen_x, seen_y)
        sides = self._variates(x, y)
        judges = valid[: JUDGING[0]]
        self.reference = sides[0][judges], sides[1][judges]  # judges networks, and in training normalises
        self.references, self.members = self._closed_forms(seen_x, seen_y), []
        return Variates(sides, train, valid)

    @staticmethod
    def _choose_base(models: Sequence[LearnedRatio], data: Sequence[Variates], sizes: Sequence[int]) -> str:
        """Return the closed form that the first networks start from, and learn mixtures of these sizes."""
        names = set.intersection(*(set(model.references) for model in models))
        worths = {name: _mean(model._worth(name) for model in models) for name in sorted(names)}
        base = max(worths, key=lambda name: worths[name], default="nothing")
        options, bound = models[0].options, models[0].bound
        if not (sizes and options.reference == "auto" and bound.takes_reference and not bound.auxiliary):
            return base
        n_judges = sum(len(model.reference[0]) for model in models)
        best = worths.get(base, 0.0) + max(SMALLEST_GAIN, GAIN_OF_MIXTURE / n_judges)
        for size in sizes:
            if size > SIZES[1] and "mixture" not in models[0].references:
                break
            mixtures = [
                mixture_reference(*part.of(part.train), size, model.seed)
                for model, part in zip(models, data, strict=True)
            ]
            pairs = [(model, mixture) for model, mixture in zip(models, mixtures, strict=True) if mixture is not None]
            if len(pairs) < len(models):
                break
            value = _mean(model._worth(mixture) for model, mixture in pairs)
            if value > best:
                best = value
                for model, mixture in pairs:
                    model.references["mixture"] = mixture
        return base

    @staticmethod
    def _plans(
        models: Sequence[LearnedRatio],
        objectives: Sequence[RatioObjective],
        data: Sequence[Variates],
        kind: str,
        stage: int,
        share: float,
    ) -> Iterator[tuple[LearnedRatio, Plan]]:
        """Yield how the networks of a stage are trained: side by side, or one by one if they are the user's or have a state."""
        n_judges, every = JUDGING_OF_JOINT if kind == "joint" else JUDGING
        has_state = any(objective.criterion.state_dict() for objective in objectives)
        if len(models) == 1 or kind.startswith("named") or has_state:
            for model, objective, part in zip(models, objectives, data, strict=True):
                yield model, model._plan(objective, part.sides, part.train, part.valid[:n_judges], stage, share, every)
            return
        n_train = min(len(part.train) for part in data)
        n_valid = min(n_judges, *(len(part.valid) for part in data))
        rows = [np.concatenate([part.train[:n_train], part.valid[:n_valid]]) for part in data]
        sides = [
            torch.stack([part.sides[side][chosen] for part, chosen in zip(data, rows, strict=True)], dim=1)
            for side in (0, 1)
        ]
        together, places = SideBySide(objectives).to(models[0].device), np.arange(n_train + n_valid)
        yield models[0], models[0]._plan(together, sides, places[:n_train], places[n_train:], stage, share, every)

    @staticmethod
    def _next_start(
        models: Sequence[LearnedRatio], critics: Sequence[Any], relevance: list[Pair | None], base: str, gain: float
    ) -> tuple[list[Pair | None], str]:
        """Return what scales the inputs of the next networks, and the closed form that they start from."""
        if gain >= SMALLEST_GAIN and isinstance(critics[0], SeparableRatio):
            relevance = [critic.relevance_of(*model.reference) for critic, model in zip(critics, models, strict=True)]
        if "mixture" in models[0].references:
            pairs = zip(critics, models, strict=True)
            learned = _mean(worth(critic, model.bound, model.reference) for critic, model in pairs)
            base = "mixture" if _mean(model._worth("mixture") for model in models) > learned else base
        return relevance, base

    def rivals(self, x: Any, y: Any, train: Rows) -> list[LearnedRatio]:
        """Return unfitted models of the columns of wide sides that the training rows show to be dependent."""
        selection = None
        if self.estimates and x.shape[1] + y.shape[1] > WIDE:
            selection = select(x[train], y[train], self.seed)
        if selection is None:
            return []
        self.trains_networks = x.shape[1] + y.shape[1] <= WIDEST_LEARNED
        rival = LearnedRatio(self.options, self.device, self.seed)
        rival.groups, rival.ended, rival.selection = self.groups, self.ended, selection
        return [rival]

    def _closed_forms(self, x: Array, y: Array) -> dict[str, Reference]:
        """Return the log ratios of a Gaussian and of a t copula, as far as the parameters allow them."""
        if not (self.bound.takes_reference and self.options.reference is not None):
            return {}
        gaussian = gaussian_references(self.axes, len(x))
        references = {"gaussian": max(gaussian, key=self._worth)} if gaussian else {}
        if self.options.reference == "auto" and self.options.marginals == "normal_scores" and not self.bound.auxiliary:
            student = student_reference(x, y)
            references |= {"student": student} if student is not None else {}
        return references

    def _worth(self, reference: Reference | str) -> float:
        reference = self.references[reference] if isinstance(reference, str) else reference
        return worth(reference.network(self.axes), self.bound, self.reference)

    def _objective(self, kind: str, x: Tensor, y: Tensor, stage: int, relevance: Pair | None) -> RatioObjective:
        with LocalSeed(self.seed + stage):
            network = self.networks.build(kind, x, y, relevance)
            self.criterion = self.bound.criterion(x.shape[1], y.shape[1])
        self.members.append(kind)
        objective = RatioObjective(network, self.criterion, N_SHIFTS if kind == "joint" else None)
        return objective.to(self.device).eval()

    def _stack(self, trained: list[nn.Module], x: Tensor, y: Tensor) -> None:
        """Weigh the networks and the references by the loss of the rows that judged each network."""
        if not self.bound.auxiliary and len(x) >= FEWEST_TO_SPLIT:
            kinds = [f"reference:{name}" for name in self.references]
            self.members += kinds
            trained = trained + [self.networks.build(kind, x, y) for kind in kinds]
        self.critic = StackedRatio(trained).to(self.device)
        if self.bound.auxiliary:
            self.critic.weights.fill_(1)
        elif trained:
            self.critic.choose(*self.reference, held_out_loss(self.bound), self.bound.offset)
        self.critic.eval().requires_grad_(False)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def held_out_loss(bound: Bound) -> Callable[[Tensor], Tensor]:
    """Return the loss of scores that compares networks: the negative bound of a lower bound, else the training loss."""
    return (lambda scores: -bound.symmetric_value(scores)) if bound.kind == "lower" else bound.symmetric_loss


@torch.no_grad()
def worth(network: nn.Module, bound: Bound, rows: Pair) -> float:
    """Return what a network is worth on rows that it was not trained on."""
    return -float(held_out_loss(bound)(network.to(rows[0].device)(*rows)))
