"""Models whose networks see both sides on their canonical axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skdim._random import local_seed
from skdim.dependence._model import FEWEST_TRAINING_ROWS, Array, Model, Rows, Settings, part
from skdim.gaussian import CanonicalAxes, canonical_axes
from skdim.nn.conditional import ConditionalObjective
from skdim.nn.ratio import (
    RadialInputs,
)
from skdim.sides import Side
from skdim.training.state import load_module, module_state


class OnAxes(Model):
    """A model whose networks see both sides on their canonical axes."""

    def __init__(self, side_x: Side, side_y: Side, settings: Settings) -> None:
        self.side_x, self.side_y = side_x, side_y
        self.settings = settings
        self.axes: CanonicalAxes
        self.critic: nn.Module

    def _learn_axes(self, X: Any, Y: Any, train: Rows) -> tuple[Tensor, Tensor]:
        numbers_x, numbers_y = self.side_x.numbers(X), self.side_y.numbers(Y)
        self.axes = canonical_axes(numbers_x[train], numbers_y[train])
        return self._tensor(self.axes.x(numbers_x)), self._tensor(self.axes.y(numbers_y))

    def x(self, X: Any) -> Tensor:
        """Return the canonical variates of x."""
        return self._tensor(self.axes.x(self.side_x.numbers(X)))

    def y(self, Y: Any) -> Tensor:
        """Return the canonical variates of y."""
        return self._tensor(self.axes.y(self.side_y.numbers(Y)))

    def _tensor(self, values: Array) -> Tensor:
        return torch.from_numpy(values).to(self.settings.device, torch.float32)

    def _train_conditional(self, x: Tensor, y: Tensor, train: Rows, valid: Rows) -> None:
        """Train the conditional by likelihood, where there is something to learn from."""
        judge_x, judge_y = x[valid], y[valid]

        @torch.no_grad()
        def held_out_loss(module: nn.Module) -> float:
            return -float(module.critic.joint(judge_x, judge_y).mean())  # type: ignore[union-attr, operator]

        if len(train) >= FEWEST_TRAINING_ROWS and x.shape[1] and (y.ndim == 1 or y.shape[1]):
            self.settings.train(ConditionalObjective(self.critic), [x, y], train, held_out_loss)  # type: ignore[arg-type]

    @torch.no_grad()
    def scores(self, X: Any, Y: Any) -> Tensor:
        scores: Tensor = self.critic(self.x(X), self.y(Y))
        return scores

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = {}
        for name, side in (("x", self.side_x), ("y", self.side_y)):
            state |= {f"side_{name}/{key}": array for key, array in side.state().items()}
        state |= {f"axes/{name}": array for name, array in vars(self.axes).items()}
        state |= {f"critic/{name}": array for name, array in module_state(self.critic).items()}
        return state

    def _load(self, state: dict[str, Any]) -> OnAxes:
        self.axes = CanonicalAxes(**{name: np.array(array) for name, array in part(state, "axes/").items()})
        with local_seed(0):  # the weights are overwritten by the saved ones
            self.critic = self._build().to(self.settings.device)
        load_module(self.critic, part(state, "critic/"))
        self.critic.eval().requires_grad_(False)
        return self

    def _build(self) -> nn.Module:
        """Return the network, its weights to be loaded."""
        raise NotImplementedError

    def _inputs(self, x: Tensor | None, width: int) -> RadialInputs:
        return RadialInputs(torch.zeros(2, width) if x is None else x, self.settings.radial)
