"""A critic made of networks and closed forms: its scores, values and state, and the choice among them."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skdim._random import LocalSeed
from skdim.bounds import Bound, Criterion
from skdim.information.canonical import canonical_axes, gaussian_information
from skdim.information.intervals import Array, Rows, cross_fitted, error_of_mean
from skdim.information.model import BLOCK, TOGETHER, Evaluation, Learned, normalised_by, others, over_blocks
from skdim.information.networks import ONE_BY_ONE, Networks, Pair
from skdim.information.references import Reference, student_reference
from skdim.nn.ratio import StackedRatio
from skdim.training.state import load_module, module_state, part

#: Most held-out rows that are all candidates of each other; of more, nearly equal blocks are.
MOST_WHOLE = 4 * BLOCK
#: Folds in which the closed form of the control variate is learned.
N_FOLDS = 5
#: Standard errors by which the held-out rows must prefer what was learned to something simpler.
AHEAD = 1.0
#: Nats below the logarithm of the rows that are normalised together from which a value saturates.
NEAR = 2.0


class Stacked(Learned):
    """A weighted sum of networks and closed forms."""

    dependence = "critic"
    saved = ("members",)
    bound: Bound
    critic: StackedRatio
    members: list[str]  # kinds of the stacked networks
    references: dict[str, Reference]  # closed forms, by name
    criterion: Criterion | None = None  # of the last trained network
    reference: Pair  # variates of held-out rows, which normalise log ratios

    @property
    def anchors(self) -> tuple[str, ...]:
        return self.bound.anchors

    @property
    def estimates(self) -> bool:
        return self.options.estimator == "auto"

    @property
    def networks(self) -> Networks:
        return Networks(self.options, self.bound, self.axes, self.references)

    @property
    def used(self) -> list[str]:
        """The kinds of the networks that have a weight."""
        return [kind for kind, weight in zip(self.members, self.critic.weights, strict=True) if weight != 0]

    @property
    def is_slow(self) -> bool:
        """Whether a network scores pairs one by one."""
        return any(kind.partition(":")[0] in ONE_BY_ONE for kind in self.used)

    def in_training(self, critic: nn.Module) -> Stacked:
        now = copy.copy(self)
        now.members, now.criterion = self.members[-1:], copy.deepcopy(self.criterion)
        now.critic = StackedRatio([copy.deepcopy(critic)]).to(self.device)
        now.critic.weights.fill_(1)
        now.critic.eval().requires_grad_(False)
        return now

    @torch.no_grad()
    def evaluate(self, x: Any, y: Any, scores: Tensor | None = None) -> Evaluation:
        bound, criterion, n = self.bound, self.criterion, len(x)
        if not self.members:  # nothing was learned
            return over_blocks(bound, n, lambda rows: (torch.zeros(()), torch.zeros(n, dtype=torch.float64)[rows]))
        x, y = self._variates(x, y)
        if BLOCK < n <= MOST_WHOLE and not self.is_slow:  # else all pairs of so many rows take long
            whole = bound.contributions_by_parts(lambda rows: self.critic(x[rows], y), n)
            if whole is not None:
                return Evaluation(float(whole[0]), whole[1].cpu().numpy(), bound.cap(n))

        def contributions(rows: slice) -> tuple[Tensor, Tensor]:
            block = self.critic(x[rows], y[rows]) if scores is None else scores[rows, rows]
            if criterion is None:
                return bound.contributions(block)
            return bound.contributions(block, lambda block: criterion.value(block, x[rows], y[rows]))

        return over_blocks(bound, n, contributions)

    def keep(self, x: Any, y: Any) -> None:
        self.reference = self._variates(x, y)

    @torch.no_grad()
    def pointwise(self, x: Any, y: Any) -> Array:
        x, y = self._variates(x, y)
        held_out_x, held_out_y = self.reference
        by_x = self.critic(x, held_out_y) if "x" in self.anchors else None
        by_y = self.critic(held_out_x, y) if "y" in self.anchors else None
        return normalised_by(self.critic(x, y).diagonal(), by_x, by_y)

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
            df = float(self.references["student"].arrays["df"])
            reference = student_reference(x[train], y[train], df)
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
            with LocalSeed(0):
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


class Chosen(Stacked):
    """A stacked critic that uses nothing, one closed form, or all of its networks."""

    @property
    def choices(self) -> list[str]:
        """The closed forms, and "stack" for the stacked networks if there are any."""
        closed = [kind for kind in self.members if kind.startswith("reference:")]
        return [*closed, *(["stack"] if len(closed) < len(self.members) else [])]

    @staticmethod
    def choose(models: Sequence[Chosen], held_out: Sequence[Rows], x: Any, y: Any) -> None:
        """Use nothing, a closed form or the networks: the simplest that is not behind another by more than its error."""
        if not models[0].estimates:  # a bound is that of the weights which the validation rows have chosen
            return
        choices = sorted({choice for model in models for choice in model.choices}, key=lambda choice: choice == "stack")
        values = {
            choice: [
                np.concatenate([model.log_ratios(x[block], y[block], choice) for block in model.blocks(rows)])
                for model, rows in zip(models, held_out, strict=True)
            ]
            for choice in choices
        }
        rows = [np.concatenate(model.blocks(part)) for model, part in zip(models, held_out, strict=True)]
        groups = models[0].groups
        for place, model in enumerate(models):
            of_ratios = None if groups is None else groups[np.concatenate(others(rows, place))]
            best, so_far, hidden = "nothing", np.zeros(1), 0.0
            for choice in choices:
                ratios = np.concatenate(others(values[choice], place))
                gain = ratios - so_far
                if gain.mean() > AHEAD * error_of_mean(gain, of_ratios) + hidden:
                    best, so_far = choice, ratios
                    hidden = model.saturation(x[rows[place]], y[rows[place]], choice)
            model.settle(best)

    def saturation(self, x: Any, y: Any, choice: str) -> float:
        """Return what normalising among so few rows hides of a closed form, in nats; 0 unless it is near their logarithm."""
        if (place := self._place(choice)) is None or choice == "stack":
            return 0.0
        joint, n = self._joint(x, y, place).mean(), min(len(x), TOGETHER)
        if joint < math.log(n) - NEAR:
            return 0.0
        return max(float(joint - self.log_ratios(x[:n], y[:n], choice).mean()), 0.0)

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

    def closed_form(self, x: Any, y: Any) -> float | None:
        """Return the information in nats that the Gaussian closed form alone gives from all rows; None if more is used."""
        if self.used != ["reference:gaussian"]:
            return None
        x, y = self.seen(x, y)
        return gaussian_information(canonical_axes(x, y), len(x))

    @torch.no_grad()
    def log_ratios(self, x: Any, y: Any, choice: str | None = None) -> Array:
        if choice is None and len(self.used) == 1 and self.used[0].startswith("reference:") and self.critic.offset == 0:
            return self._joint(x, y, self.members.index(self.used[0]))
        x, y = self._variates(x, y)
        if choice is None or choice == "stack":
            return normalised_within(self.critic(x, y))
        place = self._place(choice)
        return normalised_within(x.new_zeros(len(x), len(y)) if place is None else self.critic.members[place](x, y))

    @torch.no_grad()
    def _joint(self, x: Any, y: Any, place: int) -> Array:
        """Return the log ratio of a closed form at each joint sample, (n,), as it is."""
        joint: Tensor = self.critic.members[place].joint(*self._variates(x, y))  # type: ignore[operator]
        return joint.double().cpu().numpy()


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
