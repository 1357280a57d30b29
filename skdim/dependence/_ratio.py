"""A critic, learned under a bound."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skdim._random import local_seed
from skdim.bounds import Criterion
from skdim.dependence._axes import OnAxes
from skdim.dependence._mixture import GAIN_OF_MIXTURE, SIZES, Mixture, best_mixture
from skdim.dependence._model import (
    BLOCK,
    FEWEST_TO_SPLIT,
    FEWEST_TRAINING_ROWS,
    HIDDEN,
    HIDDEN_JOINT,
    N_JUDGES,
    N_JUDGES_JOINT,
    N_SHIFTS,
    SHARE_BESIDE_JOINT,
    SHARE_OF_REFITS,
    SMALLEST_GAIN,
    WIDEST_JOINT,
    WIDTH,
    Array,
    Evaluation,
    Rows,
    Settings,
    blocks,
    normalised,
    over_blocks,
    part,
)
from skdim.gaussian import canonical_axes
from skdim.nn.critics import CRITICS, Concat, Separable, build_critic
from skdim.nn.gaussian import GaussianReference, MixtureReference
from skdim.nn.ratio import (
    JointRatio,
    RadialInputs,
    RatioObjective,
    ReferencedCritic,
    SeparableRatio,
    StackedRatio,
)
from skdim.sides import Side
from skdim.training.state import load_module, module_state


class LearnedRatio(OnAxes):
    """A critic trained and reported under a bound.

    critic="auto" trains separable networks, each but the first on inputs scaled by their relevance to the one before, where
    both sides are narrow also a joint one, and weighs them on validation rows together with the Gaussian reference alone.
    """

    def __init__(self, side_x: Side, side_y: Side, settings: Settings) -> None:
        super().__init__(side_x, side_y, settings)
        assert settings.bound is not None
        self.bound = settings.bound
        self.kind = self.bound.kind
        self.anchors = self.bound.anchors
        self.members: list[str] = []
        self.criterion: Criterion | None = None
        self.mixture: Mixture | None = None
        self.reference: tuple[Tensor, Tensor]

    def fit(self, X: Any, Y: Any, train: Rows, valid: Rows) -> LearnedRatio:
        """Train on some rows, and choose on others."""
        x, y = self._learn_axes(X, Y, train)
        self.reference = x[valid[:N_JUDGES]], y[valid[:N_JUDGES]]  # while networks are in training
        networks: list[nn.Module] = []
        if len(train) >= FEWEST_TRAINING_ROWS and x.shape[1] and y.shape[1]:
            if self.settings.mixture and not self.bound.auxiliary:
                self.mixture = self._learn_mixture(x, y, train, valid)
            networks = self._train_networks(x, y, train, valid)
        references = ["reference"] * self._has_reference() + ["mixture"] * (self.mixture is not None)
        if references and not self.bound.auxiliary and len(X) >= FEWEST_TO_SPLIT:
            self.members += references
            networks += [self._network(kind, x, y) for kind in references]
        self.critic = StackedRatio(networks).to(self.settings.device)
        if len(networks):
            self._weigh(x[valid], y[valid])
        self.critic.eval().requires_grad_(False)
        return self

    def _has_reference(self) -> bool:
        return self.settings.reference and len(self.axes.correlations) > 0

    def _learn_mixture(self, x: Tensor, y: Tensor, train: Rows, valid: Rows) -> Mixture | None:
        """Return the mixture that is best on the validation rows, where it says more than the Gaussian reference."""
        rows = torch.cat([x[train], y[train]], dim=1).double().cpu().numpy()
        sizes = SIZES if self._is_narrow(x, y) else SIZES[:2]

        def worth(mixture: Mixture) -> float:
            return self._worth(mixture.log_ratio(x.shape[1]), x[valid], y[valid])

        gain = max(SMALLEST_GAIN, GAIN_OF_MIXTURE / len(valid))
        least = self._worth(self._gaussian_reference(), x[valid], y[valid]) + gain
        return best_mixture(rows, sizes, worth, least, self.settings.seed)

    @torch.no_grad()
    def _worth(self, network: nn.Module, x: Tensor, y: Tensor) -> float:
        """Return what a network is worth on rows that it was not trained on."""
        scores = network.to(self.settings.device)(x[:N_JUDGES], y[:N_JUDGES])
        return -float(self._judge(network)(scores))

    def _gaussian_reference(self) -> GaussianReference:
        correlations = self.axes.correlations if self.settings.reference else np.zeros(0)
        return GaussianReference(torch.from_numpy(correlations))

    def _judge(self, critic: nn.Module) -> Callable[[Tensor], Tensor]:
        """Return what is minimised on rows not trained on: the bound where it is one, else the loss."""
        bound = self.bound
        return (lambda scores: -bound.symmetric_value(scores)) if bound.kind == "lower" else bound.symmetric_loss

    def in_training(self, critic: nn.Module) -> LearnedRatio:
        now = copy.copy(self)
        now.members = self.members[-1:]
        now.critic = StackedRatio([copy.deepcopy(critic)]).to(self.settings.device)
        now.critic.weights.fill_(1)
        now.critic.eval().requires_grad_(False)
        return now

    def _train_networks(self, x: Tensor, y: Tensor, train: Rows, valid: Rows) -> list[nn.Module]:
        if not self._is_auto():
            return [self._train_member("named", x, y, train, valid)[0]]
        networks: list[nn.Module] = []
        is_narrow = self._is_narrow(x, y)
        kind, relevance, judges = "separable", None, (x[valid], y[valid])
        has_joint = is_narrow and not self.bound.auxiliary
        n_refits = 0 if self.bound.auxiliary or is_narrow else self.settings.n_refits
        for stage in range(n_refits + 1):
            share = SHARE_BESIDE_JOINT if has_joint else 1.0 if stage == n_refits else SHARE_OF_REFITS
            network, gain = self._train_member(kind, x, y, train, valid, relevance, stage, share)
            networks.append(network)
            if gain < SMALLEST_GAIN and self._has_reference():  # the reference says it all
                return networks
            if stage < n_refits and gain >= SMALLEST_GAIN:
                relevance = network.relevance_of(x[valid], y[valid])  # type: ignore[operator]
            if self.mixture is not None and self._worth(self._mixture(x), *judges) > self._worth(network, *judges):
                kind = "from mixture"  # which says more than what was learned so far
        if has_joint:
            networks.append(self._train_member("joint", x, y, train, valid, stage=1)[0])
        return networks

    @staticmethod
    def _is_narrow(x: Tensor, y: Tensor) -> bool:
        return x.shape[1] + y.shape[1] <= WIDEST_JOINT

    def _mixture(self, x: Tensor) -> MixtureReference:
        assert self.mixture is not None
        return self.mixture.log_ratio(x.shape[1])

    def _is_auto(self) -> bool:
        return isinstance(self.settings.critic, str) and self.settings.critic == "auto"

    def _train_member(
        self,
        kind: str,
        x: Tensor,
        y: Tensor,
        train: Rows,
        valid: Rows,
        relevance: tuple[Tensor, Tensor] | None = None,
        stage: int = 0,
        share: float = 1.0,
    ) -> tuple[nn.Module, float]:
        """Return a trained network, and what training gained on the validation rows."""
        with local_seed(self.settings.seed + stage):
            network = self._network(kind, x[train], y[train], relevance).to(self.settings.device)
            self.criterion = self.bound.criterion(x.shape[1], y.shape[1]).to(self.settings.device)
        self.members.append(kind)
        is_joint = kind == "joint"
        objective = RatioObjective(network, self.criterion, N_SHIFTS if is_joint else None).eval()
        judges = valid[: N_JUDGES_JOINT if is_joint else N_JUDGES]
        judge_x, judge_y = x[judges], y[judges]

        @torch.no_grad()
        def held_out_loss(module: nn.Module) -> float:
            # By the bound itself where it is a bound, else by the loss: an estimate is not better for being larger.
            scores = module.critic(judge_x, judge_y)  # type: ignore[operator]
            if self.bound.kind == "lower" and not is_joint:
                return -float(module.criterion.value(scores, judge_x, judge_y))  # type: ignore[union-attr, operator]
            return float(module.criterion.loss(scores, judge_x, judge_y))  # type: ignore[union-attr, operator]

        gain = self.settings.train(objective, [x, y], train, held_out_loss, stage, share, every=4 if is_joint else 2)
        return network.eval(), gain

    def _network(self, kind: str, x: Tensor, y: Tensor, relevance: tuple[Tensor, Tensor] | None = None) -> nn.Module:
        if kind == "reference":
            return self._gaussian_reference()
        if kind == "mixture":
            return self._mixture(x)
        reference = self._mixture(x) if kind == "from mixture" else self._gaussian_reference()
        # Products of x log r and y log r outgrow the tails of p(x) p(y): where e^f is averaged its mean would be infinite.
        radial = self.settings.radial and self.bound.takes_reference
        inputs = RadialInputs(x, radial), RadialInputs(y, radial)
        if kind in ("separable", "from mixture"):
            hidden = self.settings.hidden or HIDDEN
            return SeparableRatio(*inputs, reference, hidden, WIDTH, self.bound.offset, relevance)
        if kind == "joint":
            return JointRatio(*inputs, HIDDEN_JOINT)
        critic = build_critic(self._critic_factory(), inputs[0].n_inputs, inputs[1].n_inputs, self.bound.offset)
        return ReferencedCritic(*inputs, critic, reference)

    def _critic_factory(self) -> Any:
        critic, hidden = self.settings.critic, self.settings.hidden
        if not isinstance(critic, str):
            return critic
        if critic == "separable":
            return Separable(width=WIDTH, hidden_layer_sizes=hidden or HIDDEN, temperature=None)
        if critic == "concat":
            return Concat(hidden_layer_sizes=hidden or HIDDEN_JOINT[:2])
        return CRITICS[critic]()

    def _weigh(self, x: Tensor, y: Tensor) -> None:
        if self.bound.auxiliary:
            self.critic.weights.fill_(1)  # type: ignore[union-attr, operator]
            return
        judge = self._judge(self.critic)  # by the same rule as the networks were judged
        self.critic.choose(x[:N_JUDGES], y[:N_JUDGES], judge, self.bound.offset)  # type: ignore[operator]

    @torch.no_grad()
    def evaluate(self, X: Any, Y: Any, scores: Tensor | None = None) -> Evaluation:
        bound, in_parts = self.bound, len(X) > BLOCK and not self._scores_pairs_one_by_one()
        if not self.members:  # nothing was learned: every bound is 0 at its constant
            return Evaluation(0.0, np.zeros(len(X)), self._cap(len(X)))
        x, y = self.x(X), self.y(Y)
        whole = bound.contributions_by_parts(lambda rows: self.critic(x[rows], y), len(x)) if in_parts else None
        if whole is not None:
            return Evaluation(float(whole[0]), whole[1].cpu().numpy(), bound.cap(len(X)))
        assert self.criterion is not None
        criterion = self.criterion.eval()

        def of_block(rows: slice) -> tuple[float, Array]:
            block = self.critic(x[rows], y[rows]) if scores is None else scores[rows, rows]
            value, per_row = bound.contributions(block, lambda block: criterion.value(block, x[rows], y[rows]))
            return float(value), per_row.cpu().numpy()

        value, per_row = over_blocks(len(x), of_block)
        return Evaluation(value, per_row, self._cap(len(X)))

    def _cap(self, n: int) -> float:
        return self.bound.cap(min(rows.stop - rows.start for rows in blocks(n)))

    def _scores_pairs_one_by_one(self) -> bool:
        """Whether all pairs of very many rows would take long."""
        used = [kind for kind, weight in zip(self.members, self.critic.weights, strict=True) if weight != 0]  # type: ignore[arg-type]
        return any(kind in ("joint", "named") for kind in used)

    def keep(self, X: Any, Y: Any) -> None:
        self.reference = self.x(X), self.y(Y)

    @torch.no_grad()
    def pointwise(self, X: Any, Y: Any) -> Array:
        x, y = self.x(X), self.y(Y)
        x_held_out, y_held_out = self.reference
        joint = self.critic(x, y).diagonal()
        return normalised(joint, lambda: self.critic(x, y_held_out), lambda: self.critic(x_held_out, y), self.anchors)

    def bounded(self, scores: Tensor) -> float:
        if math.isfinite(self.bound.cap(2)):
            return float(self.bound.symmetric_value(scores))
        return super().bounded(scores)

    def known(self, X: Any, Y: Any) -> Array | None:
        if not self.settings.reference or not len(self.axes.correlations):
            return None
        x, y = self.side_x.numbers(X), self.side_y.numbers(Y)
        result = np.empty(len(x))
        for fold in np.array_split(np.random.default_rng(self.settings.seed).permutation(len(x)), 5):
            others = np.ones(len(x), dtype=bool)
            others[fold] = False
            result[fold] = canonical_axes(x[others], y[others]).log_ratio(x[fold], y[fold])
        return result

    def state(self) -> dict[str, Any]:
        state = super().state() | {"members": list(self.members)}
        state |= {f"reference/{name}": part.cpu().numpy() for name, part in zip("xy", self.reference, strict=True)}
        if self.mixture is not None:
            state |= {f"mixture/{name}": array for name, array in self.mixture._asdict().items()}
        if self.criterion is not None:
            state |= {f"criterion/{name}": array for name, array in module_state(self.criterion).items()}
        return state

    @classmethod
    def from_state(cls, state: dict[str, Any], settings: Settings) -> LearnedRatio:
        """Return the model that :meth:`state` described."""
        sides = [Side.from_state(part(state, f"side_{name}/")) for name in "xy"]
        model = cls(*sides, settings)
        model.members = list(state["members"])
        mixture = part(state, "mixture/")
        model.mixture = Mixture(**{name: np.array(array) for name, array in mixture.items()}) if mixture else None
        model._load(state)
        x, y = (torch.from_numpy(np.array(state[f"reference/{name}"])).to(settings.device) for name in "xy")
        model.reference = x, y
        if model.members:
            widths = (model.axes.weights_x.shape[1], model.axes.weights_y.shape[1])
            with local_seed(0):
                model.criterion = model.bound.criterion(*widths).to(settings.device).eval()
            load_module(model.criterion, part(state, "criterion/"))
        return model

    def _build(self) -> nn.Module:
        x, y = (torch.zeros(2, weights.shape[1]) for weights in (self.axes.weights_x, self.axes.weights_y))
        return StackedRatio([self._network(kind, x, y) for kind in self.members])
