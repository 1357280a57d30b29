"""Training on pairs (x, y) of tensors: shuffled batches, averaged weights, and the best epoch by held-out loss."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from skorch.callbacks import Callback
from torch import Tensor, nn

from skdim.training.callbacks import DivergenceGuard, StopTraining
from skdim.training.distributed import refuse_several
from skdim.training.net import InfoMaxNet, Optimizer, make_optimizer

__all__ = ["AveragedWeights", "PairBatches", "train_pairs"]

Rows = npt.NDArray[np.intp]


class PairBatches:
    """Batches of the rows of several tensors in random order, anew each epoch, as a function of (seed, epoch).

    Parameters
    ----------
    tensors : sequence of Tensor of shape (n, ...)
        Sides of the pairs.
    rows : ndarray of int
        The rows to use.
    batch_size : int
        Largest batch.
    seed : int
        Seed of the order.
    """

    def __init__(self, tensors: Sequence[Tensor], rows: Rows, batch_size: int, seed: int) -> None:
        self.tensors = tensors
        self.rows = rows
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return max(1, min(math.ceil(len(self.rows) / self.batch_size), len(self.rows) // 2))

    def __iter__(self) -> Iterator[list[Tensor]]:
        order = torch.from_numpy(np.random.default_rng([self.seed, self.epoch]).permutation(self.rows))
        for part in order.tensor_split(len(self)):
            yield [tensor[part] for tensor in self.tensors]
        self.epoch += 1


class AveragedWeights(Callback):
    """Keep an exponential average of the weights, judge it on held-out rows, and leave the best one in the module.

    Parameters
    ----------
    decay : float in [0, 1)
        Share of the average kept at each step; 0 judges the weights themselves.
    held_out_loss : callable (module) -> float
        Judges a module in eval mode.
    every : int
        Epochs between two judgements.
    patience : int
        Epochs without improvement that are waited for.
    tol : float
        Smallest improvement that starts the waiting anew.
    """

    def __init__(
        self, decay: float, held_out_loss: Callable[[nn.Module], float], every: int, patience: int, tol: float
    ) -> None:
        self.decay = decay
        self.held_out_loss = held_out_loss
        self.every = every
        self.patience = patience
        self.tol = tol

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.average_ = copy.deepcopy(net.module_).eval().requires_grad_(False)
        self.pairs_ = list(self.average_.parameters()), list(net.module_.parameters())
        start = self.held_out_loss(self.average_)
        self.best_loss_, self.best_epoch_, self.waited_ = math.inf if math.isnan(start) else start, 0, 0
        self.best_state_ = copy.deepcopy(self.average_.state_dict())
        self.judged_ = 0

    def on_batch_end(self, net: Any, **kwargs: Any) -> None:
        with torch.no_grad():
            torch._foreach_lerp_(*self.pairs_, 1 - self.decay)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if len(net.history) % self.every == 0:
            self._judge(net)
            if self.waited_ >= self.patience:
                raise StopTraining

    def _judge(self, net: Any) -> None:
        loss = self.held_out_loss(self.average_)
        self.judged_ = epoch = len(net.history)
        net.history.record("valid_loss", loss)
        self.waited_ = 0 if loss < self.best_loss_ - self.tol else self.waited_ + self.every
        if loss < self.best_loss_:
            self.best_loss_, self.best_epoch_ = loss, epoch
            self.best_state_ = copy.deepcopy(self.average_.state_dict())

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        if self.judged_ < len(net.history):  # the last epoch, or another callback ended training
            self._judge(net)
        net.module_.load_state_dict(self.best_state_)


def train_pairs(
    objective: nn.Module,
    batches: PairBatches,
    held_out_loss: Callable[[nn.Module], float],
    *,
    max_epochs: int,
    patience: int,
    every: int,
    tol: float,
    decay: float,
    optimizer: Optimizer,
    learning_rate: float,
    weight_decay: float,
    callbacks: Sequence[Callback] = (),
    verbose: int = 0,
) -> tuple[list[dict[str, float]], int]:
    """Train an objective and leave in it the average of its weights that is best on the held-out rows.

    Parameters
    ----------
    objective : nn.Module
        ``objective(views, generator) -> (loss, parts)``.
    batches : PairBatches
        The training rows; their seed seeds the steps too.
    held_out_loss : callable (module) -> float
        Judges the objective in eval mode. The start is judged too: nothing learned is a candidate.
    max_epochs, patience, every, tol, decay
        See :class:`AveragedWeights`.
    optimizer, learning_rate, weight_decay
        See :func:`~skdim.training.net.make_optimizer`.
    callbacks : sequence of skorch callbacks
        Called first.
    verbose : int
        Above 0, a line per epoch is printed.

    Returns
    -------
    history : list of dict
        Per epoch "loss" and, where it was judged, "valid_loss".
    best_epoch : int
        0 where the start was best.
    """
    refuse_several("MIEstimator")
    averaged = AveragedWeights(decay, held_out_loss, every, patience, tol)
    net = InfoMaxNet(
        objective,
        make_optimizer(optimizer, objective, learning_rate, weight_decay),
        lambda batch, evaluation: list(batch),
        batches,  # type: ignore[arg-type]
        None,
        max_epochs,
        max_epochs * len(batches),
        torch.Generator().manual_seed(batches.seed),
        [DivergenceGuard(), *callbacks, averaged],
        verbose,
    )
    net.run()
    history = [
        {"loss": row["train_loss"], **({"valid_loss": row["valid_loss"]} if "valid_loss" in row else {})}
        for row in net.history
    ]
    return history, averaged.best_epoch_
