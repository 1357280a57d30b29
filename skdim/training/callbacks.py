"""What happens between epochs: scikit-learn's callbacks, early stopping, the divergence guard."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor

from skdim.exceptions import DivergenceError

__all__ = ["DivergenceGuard", "EarlyStopping", "EpochTasks", "StopTraining"]

#: 1 / eps of float32: beyond it a weight no longer feels an update of size 1.
LARGEST_WEIGHT = 1 / torch.finfo(torch.float32).eps


class StopTraining(Exception):  # noqa: N818 - it ends a loop, it is no error
    """Raised after an epoch to end training there."""


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
        for name, parameter in net.module_.named_parameters():
            largest = parameter.detach().abs().max().item() if parameter.numel() else 0.0
            if not largest < LARGEST_WEIGHT:
                self._fail(net, f"the largest weight of {name} became {largest:.3g}")

    def _check(self, net: Any, loss: float) -> None:
        if not math.isfinite(loss):
            self._fail(net, f"the loss became {loss}")

    def _fail(self, net: Any, what: str) -> None:
        raise DivergenceError(
            f"Training diverged in epoch {len(net.history)}: {what}. Lower learning_rate, or choose an estimator with "
            "less variance, such as 'infonce' or 'jsd'."
        )


class EarlyStopping(Callback):
    """Stop when the held-out loss has not improved by ``tol`` for ``patience`` epochs; leave the best epoch's weights.

    Parameters
    ----------
    patience : int
        Epochs without improvement that are waited for.
    tol : float
        Smallest improvement that counts, in nats.
    """

    def __init__(self, patience: int, tol: float) -> None:
        self.patience = patience
        self.tol = tol

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.best_loss_, self.best_epoch_, self.waited_ = math.inf, 0, 0
        self.best_state_: dict[str, Tensor] = {}

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        loss = net.history[-1]["valid_loss"]
        self.waited_ = 0 if loss < self.best_loss_ - self.tol else self.waited_ + 1
        if loss < self.best_loss_:
            self.best_loss_, self.best_epoch_ = loss, len(net.history)
            self.best_state_ = {name: value.clone() for name, value in net.module_.state_dict().items()}
        if self.waited_ >= self.patience:
            raise StopTraining

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        if self.best_state_:
            net.module_.load_state_dict(self.best_state_)


class EpochTasks(Callback):
    """Epochs as tasks of scikit-learn's callbacks; a callback that returns True ends training after that epoch.

    Parameters
    ----------
    begin : callable () -> context
        Opens the callback context of an epoch.
    end : callable (context, net) -> bool
        Calls the callbacks' end hooks and returns whether to stop.
    """

    def __init__(self, begin: Callable[[], Any], end: Callable[[Any, Any], bool]) -> None:
        self.begin = begin
        self.end = end

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        self.context_ = self.begin()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if self.end(self.context_, net):
            raise StopTraining
