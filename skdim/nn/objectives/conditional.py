"""The objective of a conditional density."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from skdim.nn.conditional import CategoricalConditional, GaussianConditional
from skdim.nn.objectives.objective import Draws, Objective


class ConditionalObjective(Objective):
    """The mean negative log-likelihood of a batch (x, y), in nats."""

    def __init__(self, critic: GaussianConditional | CategoricalConditional) -> None:
        super().__init__()
        self.critic = critic

    def forward(self, X: Sequence[Tensor], draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        loss = -self.critic.joint(*X).mean()
        return loss, {"loss": loss.detach()}
