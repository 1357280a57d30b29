"""What happens between epochs: scikit-learn's callbacks, early stopping, the divergence guard."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from skorch.callbacks import Callback, PrintLog
from torch import Tensor

from skdim._random import LocalSeed
from skdim.exceptions import DivergenceError
from skdim.inputs.augmentation import EVALUATION_SEED
from skdim.nn.packing import as_array, as_tensor
from skdim.training.state import load_module, part

#: 1 / eps of float32: beyond it a weight no longer feels an update of size 1.
LARGEST_WEIGHT = 1 / torch.finfo(torch.float32).eps

#: Columns of the longest line of the log.
WIDEST_LINE = 100


class StopTraining(Exception):  # noqa: N818 - it ends a loop, it is no error
    """Raised before an epoch to end training there."""


class DivergenceGuard(Callback):
    """Raise :class:`DivergenceError` at the first loss that is not finite, or weight that is out of float32's range.

    A GPU's losses are read at the end of an epoch: reading one waits until it is computed.
    """

    def on_batch_end(self, net: Any, loss: Tensor | None = None, **kwargs: Any) -> None:
        if loss is not None and loss.device.type == "cpu":
            self._check(net, loss.item())

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        for name in ("train_loss", "valid_loss"):
            if name in net.history[-1]:
                self._check(net, net.history[-1][name])
        weights = {name: weight.detach() for name, weight in net.module_.named_parameters() if weight.numel()}
        largest = (
            torch.stack([weight.abs().max() for weight in weights.values()]).tolist() if weights else []
        )  # one read
        for name, value in zip(weights, largest, strict=True):
            if not value < LARGEST_WEIGHT:
                self._fail(net, f"the largest weight of {name} became {value:.3g}")

    def _check(self, net: Any, loss: float) -> None:
        if not math.isfinite(loss):
            self._fail(net, f"the loss became {loss}")

    def _fail(self, net: Any, what: str) -> None:
        raise DivergenceError(
            f"Training diverged in epoch {len(net.history)}: {what}. Lower learning_rate, or choose an estimator with "
            "less variance, such as 'infonce' or 'jsd'."
        )


@dataclass(eq=False)
class BestEpoch(Callback):
    """Judge epochs on held-out rows, stop when they no longer improve, and keep the best one's weights.

    ``judge`` returns values of an objective in eval mode, of which the least "loss" is best; ``tol`` is its smallest
    improvement. Training stops after ``patience`` epochs without one. ``decay`` is the share of the past in a running average
    of the weights, which is then judged and kept in their place. Its start is judged too, so bad training leaves the network
    untrained.
    """

    judge: Callable[[Any], dict[str, float]]
    patience: int
    tol: float = 0.0
    every: int = 1
    decay: float | None = None

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.best_loss_, self.best_epoch_, self.waited_, self.judged_ = math.inf, 0, 0, 0
        self.best_state_: dict[str, Tensor] = {}
        self.judged_module_ = net.module_
        if self.decay is not None:
            self.judged_module_ = copy.deepcopy(net.module_).eval().requires_grad_(False)
            self.pairs_ = list(self.judged_module_.parameters()), list(net.module_.parameters())
            self._keep(self._values(net)["loss"], 0)

    def on_batch_end(self, net: Any, **kwargs: Any) -> None:
        if self.decay is not None:
            with torch.no_grad():
                torch._foreach_lerp_(*self.pairs_, 1 - self.decay)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if len(net.history) % self.every == 0:
            self._judge(net)
            net.stops |= self.waited_ >= self.patience

    def _judge(self, net: Any) -> None:
        values = self._values(net)
        self.judged_ = len(net.history)
        net.record("valid_", values)
        self.waited_ = 0 if values["loss"] < self.best_loss_ - self.tol else self.waited_ + self.every
        self._keep(values["loss"], self.judged_)

    def _values(self, net: Any) -> dict[str, float]:
        if self.decay is not None:  # buffers, such as running means, are no weights to average
            for kept, present in zip(self.judged_module_.buffers(), net.module_.buffers(), strict=True):
                kept.copy_(present)
        with LocalSeed(EVALUATION_SEED):  # a network may draw in eval mode as well
            return self.judge(self.judged_module_)

    def _keep(self, loss: float, epoch: int) -> None:
        if loss < self.best_loss_ or epoch == 0:
            self.best_loss_, self.best_epoch_ = math.inf if math.isnan(loss) else loss, epoch
            self.best_state_ = {name: value.clone() for name, value in self.judged_module_.state_dict().items()}

    def state(self) -> tuple[dict[str, Any], dict[str, float]]:
        """Return the best weights and the running average as arrays, and the rest as numbers."""
        kept = {"kept": self.best_state_, "average": {} if self.decay is None else self.judged_module_.state_dict()}
        arrays = {f"{part}/{name}": as_array(value) for part, state in kept.items() for name, value in state.items()}
        return arrays, {name: getattr(self, name) for name in ("best_loss_", "best_epoch_", "waited_", "judged_")}

    def load(self, arrays: dict[str, Any], numbers: dict[str, float]) -> None:
        """Go on from a :meth:`state`, after training has begun."""
        for name, value in numbers.items():
            setattr(self, name, value)
        like = self.judged_module_.state_dict()
        self.best_state_ = {
            name: as_tensor(array).to(like[name].device) for name, array in part(arrays, "kept/").items()
        }
        if average := part(arrays, "average/"):
            load_module(self.judged_module_, average)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        if self.judged_ < len(net.history):  # the last epoch, or another callback ended training
            self._judge(net)
        if self.best_state_:
            net.module_.load_state_dict(self.best_state_)


class EpochTasks(Callback):
    """Epochs as tasks of scikit-learn's callbacks; a callback that returns True ends training after that epoch.

    ``root`` is the callback context of the fit on ``data``, X and y. ``fitted(net)`` returns the attributes that the estimator
    would have if training ended now. ``any_rank`` tells whether its argument is true in any process that trains together.
    """

    def __init__(
        self,
        root: Any,
        estimator: Any,
        data: tuple[Any, Any],
        fitted: Callable[[Any], dict[str, Any]],
        any_rank: Callable[[bool], bool] = bool,
    ) -> None:
        self.root = root
        self.task = {"estimator": estimator, "X": data[0], "y": data[1]}
        self.fitted = fitted
        self.any_rank = any_rank

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        self.context_ = self.root.subcontext("epoch").call_on_fit_task_begin(**self.task)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        stops = self.context_.call_on_fit_task_end(**self.task, reconstruction_attributes=lambda: self.fitted(net))
        net.stops |= self.any_rank(bool(stops))


class EpochLog(PrintLog):
    """A line per epoch with the loss and, where 100 columns have room for them, the bounds.

    If ``judged``, the log has a column for held-out rows, empty in epochs that are not judged.
    """

    def __init__(self, bounds: Sequence[str], judged: bool) -> None:
        super().__init__()
        self.bounds = bounds
        self.judged = judged

    def table(self, row: dict[str, Any]) -> str:
        prefixes = ("train_", "valid_") if self.judged else ("train_",)
        for bounds in (self.bounds, ()):
            names = [prefix + name for prefix in prefixes for name in ("loss", *bounds)]
            table: str = super().table({name: row.get(name) for name in ("epoch", *names)})
            if table.index("\n") <= WIDEST_LINE:
                break
        return table
