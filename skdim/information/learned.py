"""Models with a network on the canonical axes of both sides."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from skdim._random import local_seed
from skdim.information.model import Array, Model, Rows
from skdim.inputs.batches import Batches, TensorSamples
from skdim.nn.objectives import Objective
from skdim.training.callbacks import BestEpoch, EpochTasks
from skdim.training.state import load_module, module_state, part
from skdim.training.trainer import Trainer, make_optimizer

if TYPE_CHECKING:
    from skdim.information.estimator import MIEstimator

#: Steps that max_iter="auto" aims at, and the epochs it stays within.
AUTO_STEPS, AUTO_EPOCHS = 1500, (10, 150)
#: Hidden layers of a side's network by default.
HIDDEN = (128, 128, 128)
#: Fewer training rows than this teach a network nothing.
FEWEST_TRAINING_ROWS = 50
#: Epochs between two judgements, and those where an epoch has one or two batches.
EVERY, EVERY_OF_FEW_BATCHES = 2, 5


def hidden_layers(options: MIEstimator) -> tuple[int, ...]:
    """Return the hidden layers of a side's network."""
    sizes = options.hidden_layer_sizes
    return HIDDEN if isinstance(sizes, str) else tuple(sizes)


def is_learnable(train: Rows, *sides: Tensor) -> bool:
    """Whether the training rows are enough, and every side varies."""
    return len(train) >= FEWEST_TRAINING_ROWS and all(side.shape[1] > 0 for side in sides)


class Learned(Model):
    """A model whose network ``critic`` takes the canonical variates of both sides."""

    learns = True
    critic: nn.Module
    stopped = False  # whether a callback has ended training

    def _stop(self, stops: bool) -> bool:
        """Remember that a callback ends training, so that no further network is trained."""
        self.stopped |= stops
        return stops

    def watch(self, root: Any, estimator: MIEstimator, data: tuple[Any, Any]) -> None:
        def fitted(net: Any) -> dict[str, Any]:
            return {"_model": self.in_training(net.module_.critic)}

        if root._callbacks:
            self.callbacks = [EpochTasks(root, estimator, data, fitted, self._stop)]

    def in_training(self, critic: nn.Module) -> Learned:
        """Return a copy that scores by a network in training, for callbacks."""
        now = copy.copy(self)
        now.critic = copy.deepcopy(critic).eval().requires_grad_(False)
        return now

    def _variates(self, x: Array, y: Array) -> tuple[Tensor, Tensor]:
        """Return both sides on their canonical axes."""
        return self._tensor(self.axes.x(x)), self._tensor(self.axes.y(y))

    def _tensor(self, values: Array) -> Tensor:
        return torch.from_numpy(values).to(self.device, torch.float32)

    def _train(
        self,
        objective: Objective,
        tensors: Sequence[Tensor],
        train: Rows,
        judges: Rows,
        stage: int = 0,
        share: float = 1.0,
        every: int = EVERY,
    ) -> float:
        """Train a network, extend the history, and return the gain on the rows that judge it, in nats.

        ``share`` multiplies the patience and the epochs of max_iter="auto".
        """
        if self.stopped:
            return 0.0
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
        )
        epochs = trainer.train(objective, Batches(TensorSamples(tensors), train, options.batch_size, seed)).epochs
        n_before = len(self.history)
        self.history += [{"epoch": n_before + i, "network": stage, **row} for i, row in enumerate(epochs, 1)]
        return before - judge(objective)["loss"]

    @torch.no_grad()
    def scores(self, x: Any, y: Any) -> Tensor:
        scores: Tensor = self.critic(*self._variates(x, y))
        return scores

    def state(self) -> dict[str, Any]:
        return super().state() | {f"critic/{name}": array for name, array in module_state(self.critic).items()}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        x, y = (torch.zeros(2, weights.shape[1]) for weights in (self.axes.weights_x, self.axes.weights_y))
        with local_seed(0):  # the saved weights replace those drawn here
            self.critic = self._build(state, x, y).to(self.device)
        load_module(self.critic, part(state, "critic/"))
        self.critic.eval().requires_grad_(False)

    def _build(self, state: dict[str, Any], x: Tensor, y: Tensor) -> nn.Module:
        """Return the network of a saved state for variates as wide as x and y, without its weights."""
        raise NotImplementedError
