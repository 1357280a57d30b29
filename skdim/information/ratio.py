"""A critic that is learned under a bound."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skdim._random import local_seed
from skdim.bounds import Bound, Criterion
from skdim.information.canonical import canonical_axes, gaussian_information
from skdim.information.intervals import Array, Rows, cross_fitted, error_of_mean
from skdim.information.model import BLOCK, FEWEST_TO_SPLIT, Evaluation, Learned, others
from skdim.information.networks import ONE_BY_ONE, Networks, Pair
from skdim.information.references import Reference, gaussian_references, mixture_reference, student_reference
from skdim.information.selection import WIDE, select_directions
from skdim.nn.objectives.ratio import RatioObjective
from skdim.nn.ratio import StackedRatio
from skdim.training.state import load_module, module_state, part

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
#: Folds in which the closed form of the control variate is learned.
N_FOLDS = 5
#: Standard errors by which the held-out rows must prefer what was learned to something simpler.
AHEAD = 1.0


class LearnedRatio(Learned):
    """A critic that is trained under a bound, which gives the value.

    critic="auto" trains separable networks, each on inputs scaled by their relevance to the one before, and between narrow
    sides a joint network. Validation rows choose the weights of the networks and of the references.
    """

    dependence = "critic"
    saved = ("members",)
    bound: Bound
    critic: StackedRatio
    members: list[str]  # kinds of the stacked networks
    references: dict[str, Reference]  # closed forms, by name
    criterion: Criterion | None = None  # of the last trained network
    trains_networks: bool = True  # or the closed forms alone
    reference: Pair  # variates of held-out rows, which normalise log ratios

    @property
    def anchors(self) -> tuple[str, ...]:
        return self.bound.anchors

    @property
    def estimates(self) -> bool:
        return not isinstance(self.options.estimator, Bound) and self.options.estimator == "auto"

    def fit(self, x: Any, y: Any, train: Rows, valid: Rows) -> None:
        seen_x, seen_y = self.seen(x[train], y[train])
        self.axes = canonical_axes(seen_x, seen_y)
        x, y = self._variates(x, y)
        self.reference = x[valid[: JUDGING[0]]], y[valid[: JUDGING[0]]]  # judges networks, and in training normalises
        self.references = self._closed_forms(seen_x, seen_y)
        is_narrow = x.shape[1] + y.shape[1] <= WIDEST_JOINT
        kinds = self.networks.kinds(is_narrow) if self._is_learnable(train, x, y) and self.trains_networks else []
        worths = {name: self._worth(reference) for name, reference in self.references.items()}
        base = max(worths, key=lambda name: worths[name], default="nothing")
        if kinds and self.options.reference == "auto" and worths:
            self._learn_mixture(x[train], y[train], worths[base], SIZES if is_narrow else SIZES[:2])
        self.members = []
        trained: list[Any] = []
        relevance = None
        for stage, kind in enumerate(kinds):
            is_last = stage == len(kinds) - 1
            kind = kind if kind == "joint" else f"{kind}:{base}"
            objective = self._objective(kind, x[train], y[train], stage, relevance)
            n_judges, every = JUDGING_OF_JOINT if kind == "joint" else JUDGING
            share = 1.0 if is_last else SHARE_OF_EARLIER
            gain = self._train(objective, [x, y], train, valid[:n_judges], stage, share, every)
            trained.append(objective.critic)
            if is_last or (gain < SMALLEST_GAIN and base != "nothing"):  # the reference says it all
                break
            if gain >= SMALLEST_GAIN:
                relevance = trained[-1].relevance_of(*self.reference)
            if "mixture" in self.references:
                learned = worth(trained[-1], self.bound, self.reference)
                base = "mixture" if self._worth(self.references["mixture"]) > learned else base
        self._stack(trained, x, y)

    def rival(self, x: Any, y: Any, train: Rows) -> LearnedRatio | None:
        """Return an unfitted model of what the training rows show to be dependent in wide sides, if that is a part of them."""
        if not self.estimates or x.shape[1] + y.shape[1] <= WIDE:
            return None
        rival = LearnedRatio(self.options, self.device, self.seed)
        rival.groups = self.groups
        rival.callbacks, rival.directions = self.callbacks, select_directions(x[train], y[train], self.seed)
        if rival.directions is None:
            return None
        self.trains_networks = x.shape[1] + y.shape[1] <= WIDEST_LEARNED
        return rival

    @property
    def networks(self) -> Networks:
        return Networks(self.options, self.bound, self.axes, self.references)

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

    def _worth(self, reference: Reference) -> float:
        """Return what a closed form is worth on the validation rows."""
        return worth(reference.network(self.axes), self.bound, self.reference)

    def _objective(self, kind: str, x: Tensor, y: Tensor, stage: int, relevance: Pair | None) -> RatioObjective:
        with local_seed(self.seed + stage):
            network = self.networks.build(kind, x, y, relevance)
            self.criterion = self.bound.criterion(x.shape[1], y.shape[1])
        self.members.append(kind)
        objective = RatioObjective(network, self.criterion, N_SHIFTS if kind == "joint" else None)
        return objective.to(self.device).eval()

    def _learn_mixture(self, x: Tensor, y: Tensor, best: float, sizes: Sequence[int]) -> None:
        """Keep the mixture that is best on the validation rows, if it says more than the other closed forms."""
        best += max(SMALLEST_GAIN, GAIN_OF_MIXTURE / len(self.reference[0]))
        for size in sizes:
            if size > SIZES[1] and "mixture" not in self.references:
                break
            mixture = mixture_reference(x, y, size, self.seed)
            if mixture is None:
                break
            value = self._worth(mixture)
            if value > best:
                self.references["mixture"], best = mixture, value

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

    @property
    def choices(self) -> list[str]:
        """The closed forms, and "stack" for the stacked networks if there are any."""
        closed = [kind for kind in self.members if kind.startswith("reference:")]
        return [*closed, *(["stack"] if len(closed) < len(self.members) else [])]

    @staticmethod
    def choose(models: Sequence[Any], held_out: Sequence[Rows], x: Any, y: Any) -> None:
        """Use nothing, a closed form or the networks: the simplest that is not behind another by more than its error."""
        choices = sorted({choice for model in models for choice in model.choices}, key=lambda choice: choice == "stack")
        values = {
            choice: [
                np.concatenate([model.log_ratios(x[block], y[block], choice) for block in model.blocks(rows)])
                for model, rows in zip(models, held_out, strict=True)
            ]
            for choice in choices
        }
        rows = [np.concatenate(model.blocks(rows)) for model, rows in zip(models, held_out, strict=True)]
        groups = models[0].groups
        for place, model in enumerate(models):
            of_ratios = None if groups is None else groups[np.concatenate(others(rows, place))]
            best, so_far = "nothing", np.zeros(1)
            for choice in choices:
                ratios = np.concatenate(others(values[choice], place))
                gain = ratios - so_far
                if gain.mean() > AHEAD * error_of_mean(gain, of_ratios):
                    best, so_far = choice, ratios
            model.settle(best)

    def settle(self, choice: str) -> None:
        """Use one of the choices alone."""
        if choice == "stack":
            return
        self.critic.offset.zero_()
        self.critic.weights.zero_()
        if (place := self._place(choice)) is not None:
            self.critic.weights[place] = 1.0

    def _place(self, choice: str) -> int | None:
        """Return the place of a closed form, or of the Gaussian one if only another fold has found it; None for nothing."""
        names = [name for name in (choice, "reference:gaussian") if name in self.members and choice != "nothing"]
        return self.members.index(names[0]) if names else None

    def in_training(self, critic: nn.Module) -> LearnedRatio:
        now = copy.copy(self)
        now.members, now.criterion = self.members[-1:], copy.deepcopy(self.criterion)
        now.critic = StackedRatio([copy.deepcopy(critic)]).to(self.device)
        now.critic.weights.fill_(1)
        now.critic.eval().requires_grad_(False)
        return now

    @property
    def used(self) -> list[str]:
        """The kinds of the networks that have a weight."""
        return [kind for kind, weight in zip(self.members, self.critic.weights, strict=True) if weight != 0]

    @property
    def is_slow(self) -> bool:
        """Whether a network scores pairs one by one."""
        return any(kind.partition(":")[0] in ONE_BY_ONE for kind in self.used)

    @torch.no_grad()
    def evaluate(self, x: Any, y: Any, scores: Tensor | None = None) -> Evaluation:
        bound, criterion, n = self.bound, self.criterion, len(x)
        if not self.members:  # nothing was learned
            return self._over_blocks(n, lambda rows: (torch.zeros(()), torch.zeros(n, dtype=torch.float64)[rows]))
        x, y = self._variates(x, y)
        if n > BLOCK and not self.is_slow:  # else all pairs of so many rows take long
            whole = bound.contributions_by_parts(lambda rows: self.critic(x[rows], y), n)
            if whole is not None:
                return Evaluation(float(whole[0]), whole[1].cpu().numpy(), bound.cap(n))

        def contributions(rows: slice) -> tuple[Tensor, Tensor]:
            block = self.critic(x[rows], y[rows]) if scores is None else scores[rows, rows]
            if criterion is None:
                return bound.contributions(block)
            return bound.contributions(block, lambda block: criterion.value(block, x[rows], y[rows]))

        return self._over_blocks(n, contributions)

    def closed_form(self, x: Any, y: Any) -> float | None:
        """Return the information in nats that the Gaussian closed form alone gives from all rows; None if more is used."""
        if self.used != ["reference:gaussian"]:
            return None
        x, y = self.seen(x, y)
        return gaussian_information(canonical_axes(x, y), len(x))

    @torch.no_grad()
    def log_ratios(self, x: Any, y: Any, choice: str | None = None) -> Array:
        x, y = self._variates(x, y)
        if choice is None and len(self.used) == 1 and self.used[0].startswith("reference:") and self.critic.offset == 0:
            network = self.critic.members[self.members.index(self.used[0])]
            return network.joint(x, y).double().cpu().numpy()  # type: ignore[operator]
        return normalised_within(self._scores_of(x, y, choice))

    def _scores_of(self, x: Tensor, y: Tensor, choice: str | None) -> Tensor:
        if choice is None or choice == "stack":
            return self.critic(x, y)  # type: ignore[no-any-return]
        place = self._place(choice)
        return x.new_zeros(len(x), len(y)) if place is None else self.critic.members[place](x, y)

    def keep(self, x: Any, y: Any) -> None:
        self.reference = self._variates(x, y)

    @torch.no_grad()
    def pointwise(self, x: Any, y: Any) -> Array:
        x, y = self._variates(x, y)
        held_out_x, held_out_y = self.reference
        by_x = self.critic(x, held_out_y) if "x" in self.anchors else None
        by_y = self.critic(held_out_x, y) if "y" in self.anchors else None
        return self._normalised(self.critic(x, y).diagonal(), by_x, by_y)

    def bounded(self, scores: Tensor) -> float:
        is_capped = math.isfinite(self.bound.cap(2))
        return float(self.bound.symmetric_value(scores)) if is_capped else super().bounded(scores)

    def known(self, x: Any, y: Any) -> Array | None:
        names = [name for name in ("student", "gaussian") if name in self.references]
        if not names:
            return None
        x, y = self.seen(x, y)
        used = [kind.partition(":")[2] for kind in self.used]
        name = "student" if "student" in names and ("student" in used or names == ["student"]) else names[-1]

        def log_ratio(train: Rows, held_out: Rows) -> Array:
            axes = canonical_axes(x[train], y[train])
            if name == "gaussian":
                return axes.log_ratio(x[held_out], y[held_out])
            reference = student_reference(x[train], y[train], self.references["student"].arrays["df"])
            sides = (torch.from_numpy(side).float() for side in (axes.x(x[held_out]), axes.y(y[held_out])))
            return reference.network(axes).joint(*sides).double().numpy()  # type: ignore[union-attr, operator]

        return cross_fitted(len(x), N_FOLDS, np.random.default_rng(self.seed), log_ratio)

    def state(self) -> dict[str, Any]:
        state = super().state()
        state |= {f"reference/{name}": side.cpu().numpy() for name, side in zip("xy", self.reference, strict=True)}
        for name, reference in self.references.items():
            state |= {f"closed/{name}/{key}": array for key, array in reference.arrays.items()}
        if self.criterion is not None:
            state |= {f"criterion/{name}": array for name, array in module_state(self.criterion).items()}
        return state

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        x, y = (torch.from_numpy(np.array(state[f"reference/{name}"])).to(self.device) for name in "xy")
        self.reference = x, y
        if criterion := part(state, "criterion/"):
            with local_seed(0):
                self.criterion = self.bound.criterion(x.shape[1], y.shape[1]).to(self.device).eval()
            load_module(self.criterion, criterion)

    def _build(self, state: dict[str, Any], x: Tensor, y: Tensor) -> StackedRatio:
        forms = {name: part(state, f"closed/{name}/") for name in ("gaussian", "student", "mixture")}
        self.references = {
            name: Reference(name, {key: np.array(array) for key, array in arrays.items()})
            for name, arrays in forms.items()
            if arrays
        }
        return StackedRatio([self.networks.build(kind, x, y) for kind in self.members])


def held_out_loss(bound: Bound) -> Callable[[Tensor], Tensor]:
    """Return the loss of scores that compares networks: the negative bound of a lower bound, else the training loss."""
    return (lambda scores: -bound.symmetric_value(scores)) if bound.kind == "lower" else bound.symmetric_loss


@torch.no_grad()
def worth(network: nn.Module, bound: Bound, rows: Pair) -> float:
    """Return what a network is worth on rows that it was not trained on."""
    return -float(held_out_loss(bound)(network.to(rows[0].device)(*rows)))


def normalised_within(scores: Tensor) -> Array:
    r"""Return the log ratio of each joint sample, (n,), from the scores of all pairs (n, n).

    .. math:: t_i = f_{ii} - \tfrac12 \sum_{\text{x, y}}
              \log \frac{\tfrac12 e^{f_{ii}} + \sum_{j \ne i} e^{f_{ij}}}{n - \tfrac12}

    With its whole weight, as in InfoNCE, the own pair makes the mean of t too small by about E[r] / n, and without any weight
    too large by half of that, where r is the density ratio of a joint sample: half of it cancels to first order.
    """
    scores = scores.double()
    n, joint = len(scores), scores.diagonal()
    weighed = scores - math.log(2) * torch.eye(n, dtype=torch.float64, device=scores.device)
    log_means = (torch.logsumexp(weighed, 1) + torch.logsumexp(weighed, 0)) / 2 - math.log(n - 0.5)
    return np.asarray((joint - log_means).cpu().numpy())
