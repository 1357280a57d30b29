"""What every model of a dependence does, and how those with a network are trained.

A model learns from rows, scores pairs, and estimates the information from rows.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn

from skdim._random import LocalSeed
from skdim.bounds import MI_BOUNDS, Bound, InfoNCE, infonce
from skdim.exceptions import warn
from skdim.information.canonical import CanonicalAxes
from skdim.information.intervals import Array, Rows
from skdim.information.selection import Selection
from skdim.inputs.batches import Batches, TensorSamples
from skdim.nn.objectives import Objective
from skdim.training.callbacks import BestEpoch, EpochTasks
from skdim.training.state import load_module, module_state, part
from skdim.training.trainer import History, Trainer, make_optimizer

if TYPE_CHECKING:
    from skdim.information.estimator import MIEstimator


#: Most rows whose pairs are scored against each other at once: all test rows of 10,000 to 20,000 samples.
BLOCK = 4096
#: Rows that are scored against each other for the estimate, and fewer where pairs are scored one by one.
TOGETHER, TOGETHER_ONE_BY_ONE = 1024, 320
#: Distance between the seeds of two folds: a prime that is larger than the number of networks.
SEED_OF_FOLD = 7919
#: Fewer rows than these are not split, and nothing is learned from them.
FEWEST_TO_SPLIT = 8
#: Steps that max_iter="auto" aims at, and the epochs it stays within.
AUTO_STEPS, AUTO_EPOCHS = 1500, (10, 150)
#: Hidden layers of a side's network by default.
HIDDEN = (128, 128, 128)
#: Fewer training rows than this teach a network nothing.
FEWEST_TRAINING_ROWS = 50
#: Epochs between two judgements, and those where an epoch has one or two batches.
EVERY, EVERY_OF_FEW_BATCHES = 2, 5


class Evaluation(NamedTuple):
    """An estimate from n rows, in nats."""

    value: float
    per_row: Array  # contributions (n,): their mean is the value, and their variance gives its standard error
    cap: float  # the largest value that the estimator can take on so many rows
    interval: tuple[float, float] | None = None  # None stands for the normal interval


class Model:
    """The dependence of two sides x and y, each an array of n rows: numbers (n, d), labels (n,), or columns as given.

    ``options`` is the unfitted estimator. A model that is loaded draws nothing, so it has no seed.
    """

    dependence: ClassVar[str]  # name of the model in a saved state
    learns: ClassVar[bool] = False  # whether the value must come from rows that fit has not seen
    is_known: ClassVar[bool] = False  # whether columns are taken as they are, and diagnostics make no sense
    is_diagnosed: bool = True  # whether the scores of all pairs say something of the value
    by_bound: ClassVar[bool] = True  # whether the value is that of ``bound``, which may saturate or vary
    saved: ClassVar[tuple[str, ...]] = ()  # attributes of the state: arrays and JSON values
    axes: CanonicalAxes  # of both sides, if the model has them
    selection: Selection | None = None  # what it sees of the columns, if that is not all
    callbacks: Sequence[Any] = ()  # called in training
    groups: Rows | None = None  # the number of each row's group (n,); None if rows are independent

    def __init__(self, options: MIEstimator, device: torch.device, seed: int = 0) -> None:
        self.options = options
        self.device = device
        self.seed = seed
        self.bound = bound_of(options.estimator)
        self.history: list[dict[str, float]] = []
        self.ended: list[bool] = []  # holds True once training has ended; all models of a fit share it

    @property
    def anchors(self) -> tuple[str, ...]:
        """The sides that scores are normalised over: a critic is known up to a function of its anchors."""
        return "x", "y"

    @property
    def kind(self) -> str:
        if self.options.estimator == "auto" or self.bound is None:
            return "estimate"
        is_learned = self.bound.needs == "conditional" and self.options.conditional is None
        return "estimate" if is_learned else self.bound.kind

    def seen(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Return what the model sees of the rows of both sides."""
        return (x, y) if self.selection is None else self.selection(x, y)

    def watch(self, root: Any, estimator: MIEstimator, data: tuple[Any, Any]) -> None:
        """Let scikit-learn's callbacks see every epoch; ``root`` is the context of the fit, ``data`` its X and y."""

    @staticmethod
    def fit_folds(models: Sequence[Any], x: Any, y: Any, folds: Sequence[tuple[Rows, Rows]]) -> None:
        """Fit each model to the training and validation rows of its fold."""
        for model, (train, valid) in zip(models, folds, strict=True):
            model.fit(x, y, train, valid)

    def fit(self, x: Any, y: Any, train: Rows, valid: Rows) -> None:
        """Learn from the training rows, and choose among networks on the validation rows."""

    def scores(self, x: Any, y: Any) -> Tensor:
        """Return f(x_i, y_j) for all pairs of n and m rows, shape (n, m)."""
        raise NotImplementedError

    def evaluate(self, x: Any, y: Any, scores: Tensor | None = None) -> Evaluation:
        """Return the estimate from joint samples; ``scores`` are those of all pairs, if they are known already."""
        raise NotImplementedError

    def bounded(self, scores: Tensor) -> float:
        """Return the bound that may saturate: the estimator's own if it has a cap, else InfoNCE."""
        return anchored_infonce(scores, self.anchors)

    def known(self, x: Any, y: Any) -> Array | None:
        """Return the control variate of every row, cross-fitted, or None."""
        return None

    def keep(self, x: Any, y: Any) -> None:
        """Keep held-out rows, which normalise the log ratios of new rows."""

    def pointwise(self, x: Any, y: Any) -> Array:
        """Return log p(x, y) / (p(x) p(y)) of each row, in nats."""
        return self.scores(x, y).diagonal().double().cpu().numpy()

    def state(self) -> dict[str, Any]:
        """Return what was learned, as named arrays and JSON values."""
        axes = vars(self.axes) if hasattr(self, "axes") else {}
        state = {name: getattr(self, name) for name in self.saved} | {f"axes/{name}": axes[name] for name in axes}
        selection = {} if self.selection is None else self.selection._asdict()
        return state | {f"selection/{name}": value for name, value in selection.items()}

    def load(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        for name in self.saved:
            setattr(self, name, np.array(state[name]) if isinstance(state[name], np.ndarray) else state[name])
        if axes := part(state, "axes/"):
            self.axes = CanonicalAxes(**{name: np.array(array) for name, array in axes.items()})
        if selection := part(state, "selection/"):
            self.selection = Selection(np.array(selection["x"]), np.array(selection["y"]), bool(selection["norms"]))


class CrossFitted(Model):
    """A model that learns from some rows and is judged by others, one for each fold."""

    learns = True
    trains_networks: bool = True  # or closed forms alone

    @property
    def estimates(self) -> bool:
        """Whether the value is an estimate from the rows learned from and the others, rather than a bound from the latter."""
        return False

    def of_fold(self, fold: int) -> Self:
        """Return an unfitted model of another fold, which draws other numbers."""
        other = type(self)(self.options, self.device, (self.seed + SEED_OF_FOLD * fold) % 2**31)
        other.groups, other.ended = self.groups, self.ended
        return other

    @property
    def cap(self) -> float:
        """The largest value of an estimate, in nats."""
        return math.inf

    @property
    def is_slow(self) -> bool:
        """Whether pairs are scored one by one."""
        return False

    @property
    def used(self) -> Sequence[str]:
        """Names of what was chosen."""
        return ()

    def rivals(self, x: Any, y: Any, train: Rows) -> Sequence[Model]:
        """Return unfitted models that see a part of the columns only."""
        return ()

    @staticmethod
    def choose(models: Sequence[Any], held_out: Sequence[Rows], x: Any, y: Any) -> None:
        """Choose what each model uses, by rows that the other models have not learned from; of one model, by its own."""

    def blocks(self, rows: Rows) -> list[Rows]:
        """Return rows in nearly equal blocks, in a random order, of as many as are scored against each other at once."""
        size = TOGETHER_ONE_BY_ONE if self.is_slow else TOGETHER
        order = np.random.default_rng([self.seed, 2]).permutation(rows)
        return np.array_split(order, math.ceil(len(rows) / size))

    def closed_form(self, x: Any, y: Any) -> float | None:
        """Return the information in nats from all rows, if a closed form alone gives it."""
        return None

    def log_ratios(self, x: Any, y: Any) -> Array:
        """Return log p(x, y) / (p(x) p(y)) of n joint samples, normalised among themselves, in nats."""
        raise NotImplementedError


def bound_of(estimator: str | Bound) -> Bound | None:
    """Return the bound that ``estimator`` stands for; None if it is no function of a score tensor."""
    if isinstance(estimator, Bound):
        return estimator
    if estimator == "auto":
        return InfoNCE()
    return MI_BOUNDS[estimator]() if estimator in MI_BOUNDS else None


def others(parts: Sequence[Any], place: int) -> list[Any]:
    """Return all parts but one; the one there is if there are no others."""
    return [part for k, part in enumerate(parts) if k != place] or list(parts)


def anchored_infonce(scores: Tensor, anchors: Sequence[str] = ("x", "y")) -> float:
    """Return InfoNCE in nats, the mean over the anchors: candidates y for each x, or x for each y."""
    return float(sum(infonce(scores if anchor == "x" else scores.T) for anchor in anchors)) / len(anchors)


def estimates(model: Model) -> bool:
    """Whether the value of a model is an estimate from all rows, rather than a bound from held-out ones."""
    return isinstance(model, CrossFitted) and model.estimates


def over_blocks(
    bound: Bound, n: int, contributions: Callable[[slice], tuple[Tensor, Tensor]], largest: int = BLOCK
) -> Evaluation:
    """Return the mean of a bound over nearly equal blocks of n rows, from its value and contributions in each."""
    ends = np.linspace(0, n, math.ceil(n / largest) + 1).round().astype(int).tolist()
    values, per_row = zip(*(contributions(slice(*block)) for block in pairwise(ends)), strict=True)
    sizes = np.diff(ends).tolist()
    value = np.average([float(value) for value in values], weights=sizes)
    return Evaluation(float(value), torch.cat(per_row).cpu().numpy(), bound.cap(min(sizes)))


def normalised_by(scores: Tensor, by_x: Tensor | None, by_y: Tensor | None) -> Array:
    """Return scores (n,) less the log of the mean of e^f over held-out rows, averaged over the anchors.

    ``by_x`` (n, m) scores each x with m held-out y, ``by_y`` (m, n) held-out x with each y; None if a side is no anchor.
    """
    pairs = [(part.double(), axis) for part, axis in ((by_x, 1), (by_y, 0)) if part is not None]
    log_means = [torch.logsumexp(part, axis) - math.log(part.shape[axis]) for part, axis in pairs]
    return np.asarray((scores.double() - torch.stack(log_means).mean(0)).cpu().numpy())


def hidden_layers(options: MIEstimator) -> tuple[int, ...]:
    """Return the hidden layers of a side's network."""
    sizes = options.hidden_layer_sizes
    return HIDDEN if isinstance(sizes, str) else tuple(sizes)


class Plan(NamedTuple):
    """How a network is trained."""

    objective: Objective
    trainer: Trainer
    batches: Batches
    stage: int
    gain: Callable[[], float]  # nats by which the rows that judge it find it better than before


class Learned(CrossFitted):
    """A model whose network ``critic`` takes the canonical variates of both sides."""

    critic: nn.Module

    @staticmethod
    def _is_learnable(train: Rows, *sides: Tensor) -> bool:
        return len(train) >= FEWEST_TRAINING_ROWS and all(side.shape[1] > 0 for side in sides)

    def _stop(self, stops: bool) -> bool:
        """Remember that training ends, so that no further network is trained."""
        if stops:
            self.ended.append(stops)
        return stops

    def watch(self, root: Any, estimator: MIEstimator, data: tuple[Any, Any]) -> None:
        def fitted(net: Any) -> dict[str, Any]:
            return {"_models": [self.in_training(net.module_.critic)]}

        if root._callbacks:
            self.callbacks = [EpochTasks(root, estimator, data, fitted, self._stop)]

    def in_training(self, critic: nn.Module) -> Learned:
        """Return a copy that scores by a network in training, for callbacks."""
        now = copy.copy(self)
        now.critic = copy.deepcopy(critic).eval().requires_grad_(False)
        return now

    def _variates(self, x: Array, y: Array) -> tuple[Tensor, Tensor]:
        x, y = self.seen(x, y)
        return self._tensor(self.axes.x(x)), self._tensor(self.axes.y(y))

    def _tensor(self, values: Array) -> Tensor:
        return torch.from_numpy(values).to(self.device, torch.float32)

    def _train(self, objective: Objective, tensors: Sequence[Tensor], train: Rows, judges: Rows) -> None:
        if not self.ended:
            plan = self._plan(objective, tensors, train, judges)
            self._record(plan, plan.trainer.train(objective, plan.batches))

    def _plan(
        self,
        objective: Objective,
        tensors: Sequence[Tensor],
        train: Rows,
        judges: Rows,
        stage: int = 0,
        share: float = 1.0,
        every: int = EVERY,
    ) -> Plan:
        """Return how a network is trained; ``share`` multiplies the patience and the epochs of max_iter="auto"."""
        options, seed = self.options, self.seed + stage
        held_out = [tensor[judges] for tensor in tensors]

        @torch.no_grad()
        def judge(module: Objective) -> dict[str, float]:
            return {"loss": float(module.evaluate(held_out, {})["loss"])}

        max_epochs = options.max_iter
        if isinstance(max_epochs, str):
            full = np.clip(round(AUTO_STEPS * options.batch_size / len(train)), *AUTO_EPOCHS)
            max_epochs = math.ceil(share * int(full))
        if len(train) <= 2 * options.batch_size:
            every = EVERY_OF_FEW_BATCHES
        patience = max(every, math.ceil(share * options.n_iter_no_change))
        before = judge(objective.eval())["loss"]
        trainer = Trainer(
            optimizer=make_optimizer(options.optimizer, objective, options.learning_rate, options.weight_decay),
            max_epochs=int(max_epochs),
            generator=torch.Generator().manual_seed(seed),
            best=BestEpoch(judge, patience, every=every, decay=options.weight_averaging),
            callbacks=self.callbacks,
            verbose=options.verbose,
            what="MIEstimator",
            is_kept=True,
        )
        batches = Batches(TensorSamples(tensors), train, options.batch_size, seed)
        return Plan(objective, trainer, batches, stage, lambda: before - judge(objective)["loss"])

    def _record(self, plan: Plan, history: History) -> float:
        """Extend the history by what a training recorded, and return the gain on the rows that judge it, in nats."""
        n_before = len(self.history)
        epochs = enumerate(history.epochs, n_before + 1)
        self.history += [{"epoch": number, "network": plan.stage, **row} for number, row in epochs]
        if self._stop(history.interrupted):
            warn(
                f"Training was interrupted in epoch {len(history.epochs)} of a network. The estimate rests on the weights so "
                "far, and may be too small.",
                ConvergenceWarning,
            )
        return plan.gain()

    @torch.no_grad()
    def scores(self, x: Any, y: Any) -> Tensor:
        scores: Tensor = self.critic(*self._variates(x, y))
        return scores

    def state(self) -> dict[str, Any]:
        return super().state() | {f"critic/{name}": array for name, array in module_state(self.critic).items()}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        x, y = (torch.zeros(2, weights.shape[1]) for weights in (self.axes.weights_x, self.axes.weights_y))
        with LocalSeed(0):  # the saved weights replace those drawn here
            self.critic = self._build(state, x, y).to(self.device)
        load_module(self.critic, part(state, "critic/"))
        self.critic.eval().requires_grad_(False)

    def _build(self, state: dict[str, Any], x: Tensor, y: Tensor) -> nn.Module:
        """Return the network of a saved state for variates as wide as x and y, without its weights."""
        raise NotImplementedError
