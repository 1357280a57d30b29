"""What every model of a dependence does: learn from rows, score pairs, and estimate the information from rows."""

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

if TYPE_CHECKING:
    from skdim.information.estimator import MIEstimator

Array: TypeAlias = npt.NDArray[np.float64]
Rows: TypeAlias = npt.NDArray[np.intp]

#: Most rows whose pairs are scored against each other at once: all test rows of 10,000 to 20,000 samples.
BLOCK = 4096
#: Fewer rows than these are not split, and nothing is learned from them.
FEWEST_TO_SPLIT = 8


class Evaluation(NamedTuple):
    """An estimate taken from rows.

    Attributes
    ----------
    value : float
        In nats.
    per_row : ndarray of shape (n,)
        The rows' contributions: their mean is the value, and their variance gives its standard error.
    cap : float
        The largest value that the estimator can take on so many rows.
    interval : tuple of float or None
        The confidence interval; None stands for the normal one.
    """

    value: float
    per_row: Array
    cap: float
    interval: tuple[float, float] | None = None


class Model:
    """The dependence of two sides, x and y.

    A side is an array of n rows: numbers (n, d), labels (n,), or the columns as the user gave them.

    Parameters
    ----------
    options : MIEstimator
        The estimator, unfitted: its parameters.
    device : torch.device
        Where the networks are.
    seed : int, default=0
        Seed of what is drawn in ``fit``.

    Attributes
    ----------
    dependence : str
        Name of the model in a saved state.
    learns : bool
        Whether the value must come from rows that ``fit`` has not seen.
    is_known : bool
        Whether the dependence is known without the rows: the model takes columns as they are, and has no diagnostics.
    anchors : tuple of {"x", "y"}
        Sides that the scores are normalised over: a critic is known up to a function of its anchors.
    history : list of dict
        One entry for each epoch of each network.
    callbacks : sequence of skorch callbacks
        Called in training.
    """

    dependence: ClassVar[str]
    learns: ClassVar[bool] = False
    is_known: ClassVar[bool] = False
    anchors: tuple[str, ...] = ("x", "y")

    def __init__(self, options: MIEstimator, device: torch.device, seed: int = 0) -> None:
        self.options = options
        self.device = device
        self.seed = seed
        self.bound = bound_of(options.estimator)
        self.history: list[dict[str, float]] = []
        self.callbacks: Sequence[Any] = ()

    @property
    def kind(self) -> str:
        """What the value is to the mutual information: "lower", "upper" or "estimate"."""
        if self.bound is None or (self.bound.needs == "conditional" and self.options.conditional is None):
            return "estimate"
        return self.bound.kind

    def fit(self, x: Any, y: Any, train: Rows, valid: Rows) -> None:
        """Learn from the training rows, and choose among networks on the validation rows."""

    def scores(self, x: Any, y: Any) -> Tensor:
        """Return f(x_i, y_j) for all pairs of n and m rows, shape (n, m)."""
        raise NotImplementedError

    def evaluate(self, x: Any, y: Any, scores: Tensor | None = None) -> Evaluation:
        """Return the estimate from joint samples; ``scores`` are those of all pairs, if they are already computed."""
        raise NotImplementedError

    def bounded(self, scores: Tensor) -> float:
        """Return the bound that may saturate: the estimator's own if that has a cap, else InfoNCE."""
        return anchored_infonce(scores, self.anchors)

    def known(self, x: Any, y: Any) -> Array | None:
        """Return a cross-fitted variable of every row whose mean is known better than the value's, or None."""
        return None

    def keep(self, x: Any, y: Any) -> None:
        """Keep held-out rows, which normalise the log ratios of new rows."""

    def pointwise(self, x: Any, y: Any) -> Array:
        """Return log p(x, y) / (p(x) p(y)) of each row, in nats."""
        return self.scores(x, y).diagonal().double().cpu().numpy()

    def state(self) -> dict[str, Any]:
        """Return what was learned as named arrays and JSON values."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` returned."""


def bound_of(estimator: str | Bound) -> Bound | None:
    """Return the bound that ``estimator`` stands for; None if it is no function of a score tensor."""
    if isinstance(estimator, Bound):
        return estimator
    return MI_BOUNDS[estimator]() if estimator in MI_BOUNDS else None


def blocks(n: int, largest: int = BLOCK) -> list[slice]:
    """Return slices of nearly equal length, at most ``largest``, that cover n rows."""
    ends = np.linspace(0, n, math.ceil(n / largest) + 1).round().astype(int)
    return [slice(int(start), int(end)) for start, end in pairwise(ends)]


def over_blocks(
    bound: Bound, n: int, contributions: Callable[[slice], tuple[Tensor, Tensor]], largest: int = BLOCK
) -> Evaluation:
    """Return the mean of a bound over blocks of n rows, from its value and contributions in each block."""
    slices = blocks(n, largest)
    values, per_row = zip(*map(contributions, slices), strict=True)
    sizes = [rows.stop - rows.start for rows in slices]
    value = np.average([float(value) for value in values], weights=sizes)
    return Evaluation(float(value), torch.cat(per_row).cpu().numpy(), bound.cap(min(sizes)))


def anchored_infonce(scores: Tensor, anchors: Sequence[str] = ("x", "y")) -> float:
    """Return InfoNCE in nats, the mean over the anchors: candidates y for each x, or x for each y."""
    return float(sum(infonce(scores if anchor == "x" else scores.T) for anchor in anchors)) / len(anchors)


def normalised(scores: Tensor, by_x: Tensor | None, by_y: Tensor | None) -> Array:
    """Return scores less the log of the mean of e^f over held-out rows, averaged over the anchors.

    Parameters
    ----------
    scores : Tensor of shape (n,)
        Of the pairs.
    by_x : Tensor of shape (n, m) or None
        Scores of each x with held-out y; None if x is no anchor.
    by_y : Tensor of shape (m, n) or None
        Scores of held-out x with each y; None if y is no anchor.

    Returns
    -------
    ndarray of shape (n,)
    """
    log_means = [
        torch.logsumexp(part.double(), axis) - math.log(part.shape[axis])
        for part, axis in ((by_x, 1), (by_y, 0))
        if part is not None
    ]
    return np.asarray((scores.double() - torch.stack(log_means).mean(0)).cpu().numpy())
