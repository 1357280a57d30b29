"""What every model of a dependence is, and how its networks are trained."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from skdim.bounds import Bound, infonce
from skdim.inputs.batches import Batches, TensorSamples
from skdim.nn.objectives import Objective
from skdim.training.callbacks import BestEpoch
from skdim.training.trainer import Trainer, make_optimizer

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

#: Most rows whose pairs are scored against each other at once: all test rows of 10,000 to 20,000 samples.
BLOCK = 4096
#: Held-out rows that judge a network between epochs: separable networks, and joint ones that score pairs one by one.
N_JUDGES, N_JUDGES_JOINT = 1500, 400
#: Steps that max_iter="auto" aims at, and the epochs it stays within.
AUTO_STEPS, AUTO_EPOCHS = 1500, (10, 150)
#: Shares of the epochs and of the patience: of a network trained only to learn what matters, and of one beside a joint network.
SHARE_OF_REFITS, SHARE_BESIDE_JOINT = 1 / 3, 1 / 3
#: Fewer rows than these are not split, and nothing is learned from them.
FEWEST_TO_SPLIT = 8
#: Nats on the held-out rows below which a network has learned nothing that the Gaussian reference does not know.
SMALLEST_GAIN = 0.002
#: Fewer training rows than this teach a network nothing.
FEWEST_TRAINING_ROWS = 50
#: Widest pair of sides, in canonical variates, for which a joint network is trained in place of refits.
WIDEST_JOINT = 4
#: Hidden layers of the networks by default; a joint network scores every pair by itself and is smaller.
HIDDEN, HIDDEN_JOINT = (128, 128, 128), (64, 64, 64)
#: Width of the separable networks' embeddings, and shuffles that a joint network is trained on.
WIDTH, N_SHIFTS = 64, 4


class Evaluation(NamedTuple):
    """An estimate taken from rows.

    Attributes
    ----------
    value : float
        In nats.
    per_row : ndarray of shape (n,)
        The rows' contributions, whose mean is the value and whose variance gives its standard error.
    cap : float
        The largest value that the estimator can take on so many rows.
    """

    value: float
    per_row: Array
    cap: float


@dataclass
class Settings:
    """How networks are built and trained: MIEstimator's parameters, with "auto" resolved."""

    bound: Bound | None
    critic: Any
    reference: bool
    mixture: bool
    hidden: tuple[int, ...] | None
    radial: bool
    n_refits: int
    decay: float
    batch_size: int
    max_iter: int | str
    learning_rate: float
    optimizer: Any
    weight_decay: float
    patience: int
    device: torch.device
    seed: int
    verbose: int = 0
    callbacks: Sequence[Any] = ()
    history: list[dict[str, float]] = field(default_factory=list)
    stopped: bool = False

    def epochs(self, n: int, share: float = 1.0) -> int:
        """Return the epochs for ``n`` training rows, of "auto" a share; a number that was given counts for each network."""
        if self.max_iter != "auto":
            return int(self.max_iter)
        return math.ceil(share * int(np.clip(round(AUTO_STEPS * self.batch_size / n), *AUTO_EPOCHS)))

    def train(
        self,
        objective: Objective,
        tensors: Sequence[Tensor],
        train: Rows,
        held_out_loss: Callable[[nn.Module], float],
        stage: int = 0,
        share: float = 1.0,
        every: int = 2,
    ) -> float:
        """Train an objective, append to the history, and return what it gained on the held-out rows."""
        if self.stopped:  # by a callback, in an earlier network
            return 0.0
        every = every if len(train) > 2 * self.batch_size else 5
        start = held_out_loss(objective)
        epochs, patience = self.epochs(len(train), share), max(every, math.ceil(share * self.patience))
        best = BestEpoch(lambda module: {"loss": held_out_loss(module)}, patience, every=every, decay=self.decay)
        trainer = Trainer(
            optimizer=make_optimizer(self.optimizer, objective, self.learning_rate, self.weight_decay),
            max_epochs=epochs,
            generator=torch.Generator().manual_seed(self.seed + stage),
            best=best,
            callbacks=self.callbacks,
            verbose=self.verbose,
            what="MIEstimator",
        )
        history = trainer.train(objective, Batches(TensorSamples(tensors), train, self.batch_size, self.seed + stage))
        n_before = len(self.history)
        self.history += [
            {"epoch": n_before + number, "network": stage, **row} for number, row in enumerate(history.epochs, 1)
        ]
        return start - held_out_loss(objective)


class Model:
    """A fitted dependence.

    Attributes
    ----------
    kind : {"lower", "upper", "estimate"}
        What the value is to the mutual information.
    learns : bool
        Whether training rows must be kept apart from the rows that the value is taken from.
    anchors : tuple of {"x", "y"}
        Sides that the scores are normalised over: a critic is known up to a function of its anchors.
    """

    kind: str = "lower"
    learns: ClassVar[bool] = True
    anchors: tuple[str, ...] = ("x", "y")

    def fit(self, X: Any, Y: Any, train: Rows, valid: Rows) -> Model:
        """Train on some rows, and choose on others; here there is nothing to learn."""
        return self

    def in_training(self, critic: nn.Module) -> Model:
        """Return a copy that scores by a network still in training, for callbacks."""
        now = copy.copy(self)
        now.critic = copy.deepcopy(critic).eval().requires_grad_(False)  # type: ignore[attr-defined]
        return now

    def scores(self, X: Any, Y: Any) -> Tensor:
        """Return f(x_i, y_j) for all pairs of rows, (n, d_x), (m, d_y) -> (n, m)."""
        raise NotImplementedError

    def evaluate(self, X: Any, Y: Any, scores: Tensor | None = None) -> Evaluation:
        """Return the estimate from joint samples; ``scores``, where they are at hand, are not computed again."""
        raise NotImplementedError

    def bounded(self, scores: Tensor) -> float:
        """Return the bound whose saturation tells: InfoNCE, or the estimator's own where that has a cap."""
        return anchored_infonce(scores, self.anchors)

    def known(self, X: Any, Y: Any) -> Array | None:
        """Return a cross-fitted variable of every row whose mean is known better than the value's, or None."""
        return None

    def keep(self, X: Any, Y: Any) -> None:
        """Keep what log ratios of new rows are normalised against, from rows held out."""

    def pointwise(self, X: Any, Y: Any) -> Array:
        """Return log p(x, y) / (p(x) p(y)) of each row: the scores, where they are log ratios already."""
        return self.scores(X, Y).diagonal().double().cpu().numpy()

    def state(self) -> dict[str, Any]:
        """Return the model as named arrays and JSON values."""
        raise NotImplementedError


class Independent(Model):
    """One side does not vary: the information is 0, whatever the estimator.

    Parameters
    ----------
    kind : {"lower", "upper", "estimate"}
        The estimator's.
    """

    learns = False

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def scores(self, X: Any, Y: Any) -> Tensor:
        return torch.zeros(len(X), len(Y))

    def evaluate(self, X: Any, Y: Any, scores: Tensor | None = None) -> Evaluation:
        return Evaluation(0.0, np.zeros(len(X)), 0.0)

    def state(self) -> dict[str, Any]:
        return {"kind": self.kind}

    @classmethod
    def from_state(cls, state: dict[str, Any], settings: Settings) -> Independent:
        """Return the model that :meth:`state` described."""
        return cls(state["kind"])


def blocks(n: int, largest: int = BLOCK) -> list[slice]:
    """Return slices of nearly equal length, at most ``largest``, that cover n rows."""
    ends = np.linspace(0, n, math.ceil(n / largest) + 1).round().astype(int)
    return [slice(int(start), int(end)) for start, end in pairwise(ends)]


def over_blocks(n: int, evaluate: Callable[[slice], tuple[float, Array]]) -> tuple[float, Array]:
    """Return the mean over blocks, by their rows, of a value, and the rows' contributions."""
    parts = [evaluate(rows) for rows in blocks(n)]
    per_row = np.concatenate([part for _, part in parts])
    return float(np.average([value for value, _ in parts], weights=[len(part) for _, part in parts])), per_row


def part(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return the entries of a state under a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def normalised(
    scores: Tensor, against_y: Callable[[], Tensor], against_x: Callable[[], Tensor], anchors: Sequence[str]
) -> Array:
    """Return scores (n,) less the log of the mean of e^f over rows held out, the mean over the anchors.

    Parameters
    ----------
    scores : Tensor of shape (n,)
        Of the pairs.
    against_y : callable () -> Tensor of shape (n, m)
        Scores of each x with the y held out, for the anchor x.
    against_x : callable () -> Tensor of shape (m, n)
        Scores of the x held out with each y, for the anchor y.
    anchors : sequence of {"x", "y"}
        Over which.

    Returns
    -------
    ndarray of shape (n,)
    """
    log_means = []
    if "x" in anchors:
        by_x = against_y().double()
        log_means.append(torch.logsumexp(by_x, 1) - math.log(by_x.shape[1]))
    if "y" in anchors:
        by_y = against_x().double()
        log_means.append(torch.logsumexp(by_y, 0) - math.log(by_y.shape[0]))
    return np.asarray((scores.double() - torch.stack(log_means).mean(0)).cpu().numpy())


def anchored_infonce(scores: Tensor, anchors: Sequence[str] = ("x", "y")) -> float:
    """Return InfoNCE in nats, the mean over the anchors: candidates y for each x, or x for each y."""
    return float(sum(infonce(scores if anchor == "x" else scores.T) for anchor in anchors)) / len(anchors)
