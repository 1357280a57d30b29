"""The small networks that judge features, and their training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from skdim._random import LocalSeed
from skdim.evaluation._inputs import Array, Rows, random_parts
from skdim.inputs.batches import Batches, TensorSamples
from skdim.nn.layers import mlp
from skdim.nn.objectives import Draws, Objective
from skdim.training.callbacks import BestEpoch
from skdim.training.device import resolve_device
from skdim.training.trainer import Trainer, make_optimizer

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]

#: The defaults of :class:`~skdim.MIEstimator`.
BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY, AVERAGING = 256, 3e-3, 1e-3, 0.98
#: Range of the number of epochs, and the share of them without improvement that ends training.
EPOCHS, PATIENCE = (10, 400), 0.25
#: Share of the rows that chooses the epoch of a supervised network.
VALIDATION_FRACTION = 0.1
#: Rows that a trained network computes at once.
ROWS_AT_ONCE = 2**16


class Supervised(Objective):
    """The loss of a network on a batch (x, targets)."""

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.network = network
        self.loss = loss

    def forward(self, X: Sequence[Tensor], draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        x, targets = X
        loss = self.loss(self.network(x), targets)
        return loss, {"loss": loss.detach()}


@dataclass
class Training:
    """How the networks of one function are built and trained."""

    hidden: Sequence[int]
    steps: int  # approximately
    seed: int
    device: str
    what: str  # the function, for the error message under torchrun

    def supervised(self, X: Array, targets: Tensor, start: Tensor, loss: Loss) -> nn.Module:
        """Return a network with outputs ``start`` at first, trained from X to targets, stopped by held-out rows of X."""
        device = resolve_device(self.device)
        x, targets = torch.from_numpy(X).float().to(device), targets.to(device)
        with LocalSeed(self.seed):
            network = mlp(x.shape[1], self.hidden, len(start), start=start)
        valid, rest = random_parts(len(x), [VALIDATION_FRACTION], np.random.default_rng(self.seed))
        objective = Supervised(network, loss).to(device)
        self.train(objective, [x, targets], rest, lambda module: module([x[valid], targets[valid]], {})[0])
        return network

    def train(
        self, objective: Objective, tensors: Sequence[Tensor], rows: Rows, held_out_loss: Callable[[Any], Tensor]
    ) -> None:
        """Train an objective and leave in it, in eval mode, the weights with the lowest held-out loss."""

        @torch.no_grad()
        def judge(module: nn.Module) -> dict[str, float]:
            return {"loss": float(held_out_loss(module))}

        batches = Batches(TensorSamples(tensors), rows, BATCH_SIZE, self.seed)
        epochs = int(np.clip(math.ceil(self.steps / len(batches)), *EPOCHS))
        best = BestEpoch(judge, max(2, math.ceil(PATIENCE * epochs)), every=2, decay=AVERAGING)
        optimizer = make_optimizer("adamw", objective, LEARNING_RATE, WEIGHT_DECAY)
        generator = torch.Generator().manual_seed(self.seed)
        Trainer(optimizer, epochs, generator, best=best, what=self.what).train(objective, batches)


@torch.no_grad()
def outputs(network: nn.Module, X: Array) -> Tensor:
    """Return a trained network's outputs for the rows of an array, on the CPU."""
    device = next(network.parameters()).device
    return torch.cat([network(part.to(device)).cpu() for part in torch.from_numpy(X).float().split(ROWS_AT_ONCE)])
