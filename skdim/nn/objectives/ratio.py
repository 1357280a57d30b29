"""The objectives that MI estimation trains: of a critic between two vectors, and of a conditional density."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from skdim.bounds import Criterion
from skdim.inputs.batches import Rows
from skdim.nn.conditional import CategoricalConditional, GaussianConditional
from skdim.nn.objectives.objective import Draws, Objective


class RatioObjective(Objective):
    """The loss of a bound on the scores ``critic(x, y)`` of a batch, over both anchors if they differ.

    With ``n_shifts``, a :class:`~skdim.nn.ratio.JointRatio` is trained by the Jensen-Shannon objective on so many shuffles of
    the batch: all pairs of a joint network cost too much.
    """

    def __init__(self, critic: nn.Module, criterion: Criterion, n_shifts: int | None = None) -> None:
        super().__init__()
        self.critic = critic
        self.criterion = criterion
        self.n_shifts = n_shifts

    def draw(self, rows: Rows, generator: torch.Generator | None) -> Draws:
        if self.n_shifts is None:
            return {}
        return {"shifts": 1 + torch.randperm(rows.n - 1, generator=generator)[: self.n_shifts]}

    def forward(self, X: Sequence[Tensor], draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        x, y = X
        if "shifts" in draws:
            joint, marginal = self.critic.shuffled(x, y, draws["shifts"])  # type: ignore[operator]
            loss = F.softplus(-joint).mean() + F.softplus(marginal).mean()
        else:
            loss = self.criterion.loss(self.critic(x, y), x, y)
        return loss, {"loss": loss.detach()}

    def evaluate(self, X: Sequence[Tensor], draws: Draws) -> dict[str, Tensor]:
        """Return the negative value of a lower bound, else the loss: an estimate is not better if it is larger."""
        x, y = X
        scores = self.critic(x, y)
        if self.criterion.bound.kind == "lower" and self.n_shifts is None:
            return {"loss": -self.criterion.value(scores, x, y)}
        return {"loss": self.criterion.loss(scores, x, y)}


class ConditionalObjective(Objective):
    """The mean negative log-likelihood of a batch (x, y), in nats."""

    def __init__(self, critic: GaussianConditional | CategoricalConditional) -> None:
        super().__init__()
        self.critic = critic

    def forward(self, X: Sequence[Tensor], draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        loss = -self.critic.joint(*X).mean()
        return loss, {"loss": loss.detach()}


class SideBySide(Objective):
    """Objectives of one shape, each with its own weights and its own rows, which take every step at once.

    A small network's step is mostly overhead, so several cost little more than one. A batch has a dimension for the
    objectives, (n, n_objectives, d). The loss is the sum of theirs, so that each has its own gradient.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        super().__init__()
        parameters, buffers = stack_module_state(list(objectives))
        self._names = list(parameters), list(buffers)
        # Names of parameters may not hold dots.
        for place, (name, value) in enumerate(parameters.items()):
            is_learned = dict(objectives[0].named_parameters())[name].requires_grad
            parameter = nn.Parameter(value.detach().clone(), requires_grad=is_learned)
            self.register_parameter(f"parameter_{place}", parameter)
        for place, value in enumerate(buffers.values()):
            self.register_buffer(f"buffer_{place}", value)
        self._one: list[Any] = [copy.deepcopy(objectives[0])]  # in a list: its weights are none of this module's

    def is_decayed(self, parameter: nn.Parameter) -> bool:
        return parameter.ndim > 2

    def draw(self, rows: Rows, generator: torch.Generator | None) -> Draws:
        return self._one[0].draw(rows, generator)

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        parameters, buffers = self._names
        return (
            {name: getattr(self, f"parameter_{place}") for place, name in enumerate(parameters)},
            {name: getattr(self, f"buffer_{place}") for place, name in enumerate(buffers)},
        )

    def forward(self, X: Sequence[Tensor], draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        in_dims = (None, (0, 0), (tuple(1 for _ in X), None))
        losses, _ = vmap(functional_call, in_dims=in_dims)(self._one[0], self._state(), (tuple(X), draws))
        return losses.sum(), {"loss": losses.detach().mean()}

    def evaluate(self, X: Sequence[Tensor], draws: Draws) -> dict[str, Tensor]:
        """Return the means over the objectives, which are evaluated one by one: held-out rows are many."""
        one, parts = self._one[0], []
        for k, weights in enumerate(self._weights()):
            one.load_state_dict(weights)
            parts.append(one.evaluate([part[:, k] for part in X], draws))
        return {name: torch.stack([part[name] for part in parts]).mean() for name in parts[0]}

    def _weights(self) -> list[dict[str, Tensor]]:
        state = {name: value.detach() for part in self._state() for name, value in part.items()}
        n = len(next(iter(state.values())))
        return [{name: value[k] for name, value in state.items()} for k in range(n)]

    def return_weights(self, objectives: Sequence[Objective]) -> None:
        """Copy the present weights into the objectives."""
        for objective, weights in zip(objectives, self._weights(), strict=True):
            objective.load_state_dict(weights)

    @property
    def critic(self) -> nn.Module:
        """The critic of the first objective with its present weights."""
        one = copy.deepcopy(self._one[0])
        one.load_state_dict(self._weights()[0])
        critic: nn.Module = one.critic
        return critic
