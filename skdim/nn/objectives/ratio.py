"""The objectives that MI estimation trains: of a critic between two vectors, and of a conditional density."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
