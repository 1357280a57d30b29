"""One side is a label: a classifier in place of a critic."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from skdim._random import local_seed
from skdim.information.discrete import entropy
from skdim.information.learned import Learned, hidden_layers, is_learnable
from skdim.information.model import Array, Evaluation, Rows
from skdim.nn.conditional import CategoricalConditional
from skdim.nn.objectives.conditional import ConditionalObjective


class LearnedLabels(Learned):
    r"""One side has labels: :math:`I = H(y) - E[-\log q(y \mid x)]` with a learned classifier q.

    Attributes
    ----------
    entropy : float
        H(y) in nats, with the correction of Miller and Madow.
    exchanged : bool
        Whether x is the side with labels.
    """

    dependence = "labels"
    kind = "lower"
    critic: CategoricalConditional
    entropy: float
    exchanged: bool

    def fit(self, x: Any, y: Any, train: Rows, valid: Rows) -> None:
        self.exchanged = x.ndim == 1
        numbers, codes = (y, x) if self.exchanged else (x, y)
        indicators = np.eye(codes.max() + 1)[codes]
        # On canonical axes against the labels' indicators, the directions in which the means differ come first.
        self._learn_axes(numbers, indicators, train)
        x, labels = self._variates(x, y)
        self.entropy = entropy(codes, correction="miller-madow")
        frequencies = torch.bincount(labels).float() / len(labels)
        with local_seed(self.seed):
            self.critic = self._network(x[train], frequencies).to(self.device)
        if is_learnable(train, x):
            self._train(ConditionalObjective(self.critic), [x, labels], train, valid)
        self.critic.eval().requires_grad_(False)

    def _network(self, x: Tensor, frequencies: Tensor) -> CategoricalConditional:
        return CategoricalConditional(self._inputs(x), frequencies, hidden_layers(self.options))

    def _variates(self, x: Any, y: Any) -> tuple[Tensor, Tensor]:
        """Return the numbers on their canonical axes, and the labels."""
        numbers, labels = (y, x) if self.exchanged else (x, y)
        return self._tensor(self.axes.x(numbers)), torch.from_numpy(labels).to(self.device)

    @torch.no_grad()
    def scores(self, x: Any, y: Any) -> Tensor:
        numbers, labels = self._variates(x, y)
        scores: Tensor = self.critic(numbers, labels) - self.critic.log_frequencies[labels]
        return scores.T if self.exchanged else scores

    @torch.no_grad()
    def evaluate(self, x: Any, y: Any, scores: Tensor | None = None) -> Evaluation:
        numbers, labels = self._variates(x, y)
        log_ratio = self.critic.joint(numbers, labels) - self.critic.log_frequencies[labels]
        per_row = log_ratio.double().cpu().numpy()
        return Evaluation(float(per_row.mean()), per_row, self.entropy)

    def known(self, x: Any, y: Any) -> Array | None:
        # The mean of -log p(y) over all rows is H(y): this takes out the noise of the test rows' labels.
        _, labels = self._variates(x, y)
        return -self.critic.log_frequencies[labels].double().cpu().numpy()  # type: ignore[no-any-return]

    def state(self) -> dict[str, Any]:
        return super().state() | {"exchanged": self.exchanged, "entropy": self.entropy}

    def load(self, state: dict[str, Any]) -> None:
        self.exchanged, self.entropy = state["exchanged"], state["entropy"]
        super().load(state)

    def _build(self, state: dict[str, Any]) -> CategoricalConditional:
        n_labels = len(state["critic/log_frequencies"])
        return self._network(self._placeholders()[0], torch.ones(n_labels))
