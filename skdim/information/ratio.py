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
from skdim.information.canonical import canonical_axes
from skdim.information.intervals import Array, Rows, cross_fitted
from skdim.information.model import BLOCK, FEWEST_TO_SPLIT, Evaluation, Learned
from skdim.information.networks import ONE_BY_ONE, Mixture, Networks, Pair, fit_mixture
from skdim.nn.objectives.ratio import RatioObjective
from skdim.nn.ratio import StackedRatio
from skdim.training.state import load_module, module_state, part

#: Validation rows that judge a network, and epochs between two judgements. Joint networks score pairs one by one: they get
#: fewer.
JUDGING, JUDGING_OF_JOINT = (1500, 2), (400, 4)
#: Share of the epochs and of the patience, for a network that another follows.
SHARE_OF_EARLIER = 1 / 3
#: Nats on the held-out rows below which a network has learned nothing that the Gaussian reference does not know.
SMALLEST_GAIN = 0.002
#: Numbers of components that are tried. Networks start from the first two only: every component costs time in every step.
SIZES = (2, 4, 8, 16)
#: Training rows by parameter of a mixture, at least, and what is added to the variances; those of the variates are 1.
ROWS_BY_PARAMETER, SMALLEST_VARIANCE = 4, 1e-3
#: Nats, in sum over the validation rows, that a mixture must gain: less may be chance.
GAIN_OF_MIXTURE = 5.0
#: Widest pair of sides, in canonical variates, for which a joint network is trained in place of refits.
WIDEST_JOINT = 4
#: Most validation rows, about, that give the relevance of inputs.
MOST_FOR_RELEVANCE = 2048
#: Shuffles that a joint network is trained on.
N_SHIFTS = 4
#: Folds in which the Gaussian log ratio of the control variate is learned.
N_FOLDS = 5


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
    mixture: Mixture | None = None  # of Gaussians, if it says more than one Gaussian
    criterion: Criterion | None = None  # of the last trained network
    reference: Pair  # variates of held-out rows, which normalise log ratios

    @property
    def anchors(self) -> tuple[str, ...]:
        return self.bound.anchors

    def fit(self, x: Any, y: Any, train: Rows, valid: Rows) -> None:
        self.axes = canonical_axes(x[train], y[train])
        x, y = self._variates(x, y)
        self.reference = x[valid[: JUDGING[0]]], y[valid[: JUDGING[0]]]  # judges networks, and in training normalises
        is_narrow = x.shape[1] + y.shape[1] <= WIDEST_JOINT
        kinds = self.networks.kinds(is_narrow) if self._is_learnable(train, x, y) else []
        if kinds and self.bound.takes_reference and self.options.reference == "auto" and not self.bound.auxiliary:
            self._learn_mixture(x[train], y[train], SIZES if is_narrow else SIZES[:2], len(valid))
        self.members = []
        trained: list[Any] = []
        from_mixture, relevance = False, None
        for stage, kind in enumerate(kinds):
            is_last = stage == len(kinds) - 1
            kind = "from mixture" if from_mixture and kind == "separable" else kind
            objective = self._objective(kind, x[train], y[train], stage, relevance)
            n_judges, every = JUDGING_OF_JOINT if kind == "joint" else JUDGING
            share = 1.0 if is_last else SHARE_OF_EARLIER
            gain = self._train(objective, [x, y], train, valid[:n_judges], stage, share, every)
            trained.append(objective.critic)
            if is_last or (gain < SMALLEST_GAIN and self.networks.has_reference):  # the reference says it all
                break
            if gain >= SMALLEST_GAIN:
                some = valid[:: 1 + len(valid) // MOST_FOR_RELEVANCE]  # all pairs of them are scored
                relevance = trained[-1].relevance_of(x[some], y[some])
            if self.mixture is not None:
                networks = trained[-1], self.networks.build("mixture", x, y)
                learned, closed_form = (worth(network, self.bound, self.reference) for network in networks)
                from_mixture |= closed_form > learned
        self._stack(trained, x, y)

    @property
    def networks(self) -> Networks:
        has_reference = self.bound.takes_reference and self.options.reference is not None
        correlations = self.axes.correlations if has_reference else np.zeros(0)
        return Networks(self.options, self.bound, correlations, self.mixture)

    def _objective(self, kind: str, x: Tensor, y: Tensor, stage: int, relevance: Pair | None) -> RatioObjective:
        with local_seed(self.seed + stage):
            network = self.networks.build(kind, x, y, relevance)
            self.criterion = self.bound.criterion(x.shape[1], y.shape[1])
        self.members.append(kind)
        objective = RatioObjective(network, self.criterion, N_SHIFTS if kind == "joint" else None)
        return objective.to(self.device).eval()

    def _learn_mixture(self, x: Tensor, y: Tensor, sizes: Sequence[int], n_valid: int) -> None:
        """Keep the mixture that is best on the validation rows, if it says more than the Gaussian reference."""
        rows = torch.cat([x, y], dim=1).double().cpu().numpy()
        n, d = rows.shape
        best = worth(self.networks.build("reference", x, y), self.bound, self.reference)
        best += max(SMALLEST_GAIN, GAIN_OF_MIXTURE / n_valid)
        for size in sizes:
            n_parameters = size * (d + 1) * (d + 2) / 2
            if n_parameters * ROWS_BY_PARAMETER > n or (size > SIZES[1] and self.mixture is None):
                break
            fitted = fit_mixture(rows, size, SMALLEST_VARIANCE, self.seed)
            mixture = Mixture(fitted.weights_, fitted.means_, fitted.covariances_)
            value = worth(mixture.log_ratio(x.shape[1]), self.bound, self.reference)
            if value > best:
                self.mixture, best = mixture, value

    def _stack(self, trained: list[nn.Module], x: Tensor, y: Tensor) -> None:
        """Weigh the networks and the references by the loss of the rows that judged each network."""
        if not self.bound.auxiliary and len(x) >= FEWEST_TO_SPLIT:
            kinds = ["reference"] * self.networks.has_reference + ["mixture"] * (self.mixture is not None)
            self.members += kinds
            trained = trained + [self.networks.build(kind, x, y) for kind in kinds]
        self.critic = StackedRatio(trained).to(self.device)
        if self.bound.auxiliary:
            self.critic.weights.fill_(1)
        elif trained:
            self.critic.choose(*self.reference, held_out_loss(self.bound), self.bound.offset)
        self.critic.eval().requires_grad_(False)

    def in_training(self, critic: nn.Module) -> LearnedRatio:
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
            return self._over_blocks(n, lambda rows: (torch.zeros(()), torch.zeros(n, dtype=torch.float64)[rows]))
        x, y = self._variates(x, y)
        used = [kind for kind, weight in zip(self.members, self.critic.weights, strict=True) if weight != 0]
        if n > BLOCK and not any(kind in ONE_BY_ONE for kind in used):  # else all pairs of so many rows take long
            whole = bound.contributions_by_parts(lambda rows: self.critic(x[rows], y), n)
            if whole is not None:
                return Evaluation(float(whole[0]), whole[1].cpu().numpy(), bound.cap(n))

        def contributions(rows: slice) -> tuple[Tensor, Tensor]:
            block = self.critic(x[rows], y[rows]) if scores is None else scores[rows, rows]
            if criterion is None:
                return bound.contributions(block)
            return bound.contributions(block, lambda block: criterion.value(block, x[rows], y[rows]))

        return self._over_blocks(n, contributions)

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
        if not self.networks.has_reference:
            return None

        def log_ratio(train: Rows, held_out: Rows) -> Array:
            return canonical_axes(x[train], y[train]).log_ratio(x[held_out], y[held_out])

        return cross_fitted(len(x), N_FOLDS, np.random.default_rng(self.seed), log_ratio)

    def state(self) -> dict[str, Any]:
        state = super().state()
        state |= {f"reference/{name}": side.cpu().numpy() for name, side in zip("xy", self.reference, strict=True)}
        if self.mixture is not None:
            state |= {f"mixture/{name}": array for name, array in self.mixture._asdict().items()}
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
        if mixture := part(state, "mixture/"):
            self.mixture = Mixture(**{name: np.array(array) for name, array in mixture.items()})
        return StackedRatio([self.networks.build(kind, x, y) for kind in self.members])


def held_out_loss(bound: Bound) -> Callable[[Tensor], Tensor]:
    """Return the loss of scores that compares networks: the negative bound of a lower bound, else the training loss."""
    return (lambda scores: -bound.symmetric_value(scores)) if bound.kind == "lower" else bound.symmetric_loss


@torch.no_grad()
def worth(network: nn.Module, bound: Bound, rows: Pair) -> float:
    """Return what a network is worth on rows that it was not trained on."""
    return -float(held_out_loss(bound)(network.to(rows[0].device)(*rows)))
