"""The small networks that judge features, and how they are trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from skdim.evaluation._inputs import Rows
from skdim.inputs.batches import Batches, TensorSamples
from skdim.nn.objectives import Draws, Objective
from skdim.training.callbacks import BestEpoch
from skdim.training.trainer import Trainer, make_optimizer

#: As :class:`~skdim.MIEstimator` trains.
BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY, AVERAGING = 256, 3e-3, 1e-3, 0.98
#: Epochs that a number of steps stays within, and the share of them without improvement that ends training.
EPOCHS, PATIENCE = (10, 400), 0.25


class Supervised(Objective):
    """The loss of a network against targets: a batch (x, targets) -> loss."""

    def __init__(self, network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.network = network
        self.loss = loss

    @property
    def networks(self) -> list[nn.Module]:
        return []

    def forward(self, X: Sequence[Tensor], draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        x, targets = X
        loss = self.loss(self.network(x), targets)
        return loss, {"loss": loss.detach()}


def train(
    objective: Objective,
    tensors: Sequence[Tensor],
    rows: Rows,
    held_out_loss: Callable[[nn.Module], float],
    steps: int,
    seed: int,
    what: str,
) -> None:
    """Train for about so many steps, and leave in the objective the weights that are best on the held-out rows."""
    batches = Batches(TensorSamples(tensors), rows, BATCH_SIZE, seed)
    epochs = min(max(math.ceil(steps / len(batches)), EPOCHS[0]), EPOCHS[1])
    best = BestEpoch(
        lambda module: {"loss": held_out_loss(module)}, max(2, math.ceil(PATIENCE * epochs)), every=2, decay=AVERAGING
    )
    optimizer = make_optimizer("adamw", objective, LEARNING_RATE, WEIGHT_DECAY)
    Trainer(optimizer, epochs, torch.Generator().manual_seed(seed), best=best, what=what).train(objective, batches)
