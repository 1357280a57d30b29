"""The contract of the models: learn from rows, score pairs, and estimate the information from rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from skdim.bounds import MI_BOUNDS, Bound, infonce
from skdim.information.canonical import CanonicalAxes
from skdim.training.state import part

if TYPE_CHECKING:
    from skdim.information.estimator import MIEstimator

Array: TypeAlias = npt.NDArray[np.float64]
Rows: TypeAlias = npt.NDArray[np.intp]

#: Most rows whose pairs are scored against each other at once: all test rows of 10,000 to 20,000 samples.
BLOCK = 4096
#: Fewer rows than these are not split, and nothing is learned from them.
FEWEST_TO_SPLIT = 8


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
    saved: ClassVar[tuple[str, ...]] = ()  # attributes of the state: arrays and JSON values
    axes: CanonicalAxes  # of both sides, if the model has them
    callbacks: Sequence[Any] = ()  # called in training

    def __init__(self, options: MIEstimator, device: torch.device, seed: int = 0) -> None:
        self.options = options
        self.device = device
        self.seed = seed
        self.bound = bound_of(options.estimator)
        self.history: list[dict[str, float]] = []

    @property
    def anchors(self) -> tuple[str, ...]:
        """The sides that scores are normalised over: a critic is known up to a function of its anchors."""
        return "x", "y"

    @property
    def kind(self) -> str:
        if self.bound is None or (self.bound.needs == "conditional" and self.options.conditional is None):
            return "estimate"
        return self.bound.kind

    def watch(self, root: Any, estimator: MIEstimator, data: tuple[Any, Any]) -> None:
        """Let scikit-learn's callbacks see every epoch; ``root`` is the context of the fit, ``data`` its X and y."""

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
        return {name: getattr(self, name) for name in self.saved} | {f"axes/{name}": axes[name] for name in axes}

    def load(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        for name in self.saved:
            setattr(self, name, np.array(state[name]) if isinstance(state[name], np.ndarray) else state[name])
        if axes := part(state, "axes/"):
            self.axes = CanonicalAxes(**{name: np.array(array) for name, array in axes.items()})


def bound_of(estimator: str | Bound) -> Bound | None:
    """Return the bound that ``estimator`` stands for; None if it is no function of a score tensor."""
    if isinstance(estimator, Bound):
        return estimator
    return MI_BOUNDS[estimator]() if estimator in MI_BOUNDS else None


def over_blocks(
    bound: Bound, n: int, contributions: Callable[[slice], tuple[Tensor, Tensor]], largest: int = BLOCK
) -> Evaluation:
    """Return the mean of a bound over nearly equal blocks of n rows, from its value and contributions in each block."""
    ends = np.linspace(0, n, math.ceil(n / largest) + 1).round().astype(int).tolist()
    values, per_row = zip(*(contributions(slice(*block)) for block in pairwise(ends)), strict=True)
    sizes = np.diff(ends).tolist()
    value = np.average([float(value) for value in values], weights=sizes)
    return Evaluation(float(value), torch.cat(per_row).cpu().numpy(), bound.cap(min(sizes)))


def anchored_infonce(scores: Tensor, anchors: Sequence[str] = ("x", "y")) -> float:
    """Return InfoNCE in nats, the mean over the anchors: candidates y for each x, or x for each y."""
    return float(sum(infonce(scores if anchor == "x" else scores.T) for anchor in anchors)) / len(anchors)


def normalised(scores: Tensor, by_x: Tensor | None, by_y: Tensor | None) -> Array:
    """Return scores (n,) less the log of the mean of e^f over held-out rows, averaged over the anchors.

    ``by_x`` (n, m) scores each x with m held-out y, ``by_y`` (m, n) held-out x with each y; None if the side is no anchor.
    """
    log_means = [
        torch.logsumexp(part.double(), axis) - math.log(part.shape[axis])
        for part, axis in ((by_x, 1), (by_y, 0))
        if part is not None
    ]
    return np.asarray((scores.double() - torch.stack(log_means).mean(0)).cpu().numpy())
