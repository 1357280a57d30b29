"""The small networks that judge features, and how they are trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from skdim.evaluation._inputs import Rows
from skdim.training.pairs import PairBatches, train_pairs

#: As :class:`~skdim.MIEstimator` trains.
BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY, AVERAGING = 256, 3e-3, 1e-3, 0.98
#: Epochs that a number of steps stays within, and the share of them without improvement that ends training.
EPOCHS, PATIENCE = (10, 400), 0.25


class Supervised(nn.Module):
    """The loss of a network against targets: a batch (x, targets) -> loss."""

    def __init__(self, network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.network = network
        self.loss = loss

    def forward(
        self, views: Sequence[Tensor], generator: torch.Generator | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x, targets = views
        loss = self.loss(self.network(x), targets)
        return loss, {"loss": loss.detach()}


def train(
    objective: nn.Module,
    tensors: Sequence[Tensor],
    rows: Rows,
    held_out_loss: Callable[[nn.Module], float],
    steps: int,
    seed: int,
) -> None:
    """Train for about so many steps, and leave in the objective the weights that are best on the held-out rows."""
    batches = PairBatches(tensors, rows, BATCH_SIZE, seed)
    epochs = min(max(math.ceil(steps / len(batches)), EPOCHS[0]), EPOCHS[1])
    train_pairs(
        objective,
        batches,
        held_out_loss,
        max_epochs=epochs,
        patience=max(2, math.ceil(PATIENCE * epochs)),
        every=2,
        tol=0.0,
        decay=AVERAGING,
        optimizer="adamw",
        learning_rate=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
    )
