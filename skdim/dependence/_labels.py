"""Sides of discrete columns only: labels and counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skdim._random import local_seed
from skdim.dependence._axes import OnAxes
from skdim.dependence._model import HIDDEN, Array, Evaluation, Model, Rows, Settings, part
from skdim.discrete import discrete_mutual_information, entropy
from skdim.gaussian import canonical_axes
from skdim.nn.conditional import CategoricalConditional
from skdim.nn.ratio import (
    RadialInputs,
)
from skdim.sides import Side


class LearnedLabels(OnAxes):
    r"""One side has labels: :math:`I = H(y) - E[-\log q(y \mid x)]` with a learned classifier q.

    Parameters
    ----------
    exchanged : bool
        Whether the labels are x.
    """

    kind = "lower"

    def __init__(self, side_x: Side, side_y: Side, settings: Settings, exchanged: bool = False) -> None:
        super().__init__(side_x, side_y, settings)
        self.exchanged = exchanged

    def fit(self, X: Any, Y: Any, train: Rows, valid: Rows) -> LearnedLabels:
        """Train on some rows, and choose on others."""
        if self.exchanged:
            X, Y = Y, X
        side, labelled = self._sides()
        numbers, labels = side.numbers(X), torch.from_numpy(labelled.labels(Y)).to(self.settings.device)
        indicators = np.eye(len(labelled.symbols))[labelled.labels(Y)]
        # Canonical axes against the labels' indicators: the directions in which their means differ come first.
        self.axes = canonical_axes(numbers[train], indicators[train])
        x = self._tensor(self.axes.x(numbers))
        counts = torch.bincount(labels, minlength=len(labelled.symbols)).float()
        self.entropy = entropy(labelled.labels(Y), correction="miller-madow")
        with local_seed(self.settings.seed):
            self.critic = self._network(x[train], counts / counts.sum()).to(self.settings.device)
        self._train_conditional(x, labels, train, valid)
        self.critic.eval().requires_grad_(False)
        return self

    def _sides(self) -> tuple[Side, Side]:
        return (self.side_y, self.side_x) if self.exchanged else (self.side_x, self.side_y)

    def _network(self, x: Tensor, frequencies: Tensor) -> CategoricalConditional:
        hidden = self.settings.hidden or HIDDEN
        return CategoricalConditional(RadialInputs(x, self.settings.radial), frequencies, hidden)

    def _build(self) -> nn.Module:
        n_labels = len(self._sides()[1].symbols)
        return self._network(torch.zeros(2, self.axes.weights_x.shape[1]), torch.full((n_labels,), 1 / n_labels))

    def _tensors(self, X: Any, Y: Any) -> tuple[Tensor, Tensor]:
        side, labelled = self._sides()
        if self.exchanged:
            X, Y = Y, X
        labels = torch.from_numpy(labelled.labels(Y)).to(self.settings.device)
        return self._tensor(self.axes.x(side.numbers(X))), labels

    @torch.no_grad()
    def scores(self, X: Any, Y: Any) -> Tensor:
        x, labels = self._tensors(X, Y)
        scores: Tensor = self.critic(x, labels) - self.critic.log_frequencies[labels][None]  # type: ignore[index]
        return scores.T if self.exchanged else scores

    @torch.no_grad()
    def evaluate(self, X: Any, Y: Any, scores: Tensor | None = None) -> Evaluation:
        x, labels = self._tensors(X, Y)
        frequencies = self.critic.log_frequencies[labels]  # type: ignore[index]
        per_row = (self.critic.joint(x, labels) - frequencies).double().cpu().numpy()  # type: ignore[union-attr, operator]
        return Evaluation(float(per_row.mean()), per_row, self.entropy)

    @torch.no_grad()
    def known(self, X: Any, Y: Any) -> Array | None:
        # -log p(y), of which the mean over all rows is H(y): the noise of the test rows' labels is taken out.
        _, labels = self._tensors(X, Y)
        return -self.critic.log_frequencies[labels].double().cpu().numpy()  # type: ignore[index, no-any-return]

    def state(self) -> dict[str, Any]:
        return super().state() | {"exchanged": self.exchanged, "entropy": self.entropy}

    @classmethod
    def from_state(cls, state: dict[str, Any], settings: Settings) -> LearnedLabels:
        """Return the model that :meth:`state` described."""
        sides = (Side.from_state(part(state, f"side_{name}/")) for name in "xy")
        model = cls(*sides, settings, state["exchanged"])
        model.entropy = state["entropy"]
        model._load(state)
        return model


class Counts(Model):
    """Both sides have labels: the plug-in over their contingency table, with the Miller-Madow correction."""

    kind = "estimate"
    learns = False

    def __init__(self, side_x: Side, side_y: Side) -> None:
        self.side_x, self.side_y = side_x, side_y

    def fit(self, X: Any, Y: Any, train: Rows, valid: Rows) -> Counts:
        """Count all rows."""
        shape = len(self.side_x.symbols), len(self.side_y.symbols)
        self.table = np.zeros(shape)
        np.add.at(self.table, (self.side_x.labels(X), self.side_y.labels(Y)), 1)
        return self

    def log_ratio(self) -> Array:
        """Return log p(x, y) / (p(x) p(y)) of each cell; a cell not met counts as half a row."""
        joint = np.maximum(self.table, 0.5) / self.table.sum()
        outer = np.outer(self.table.sum(1), self.table.sum(0)) / self.table.sum() ** 2
        return np.asarray(np.log(joint / outer))

    def scores(self, X: Any, Y: Any) -> Tensor:
        return torch.from_numpy(self.log_ratio()[np.ix_(self.side_x.labels(X), self.side_y.labels(Y))])

    def evaluate(self, X: Any, Y: Any, scores: Tensor | None = None) -> Evaluation:
        result = discrete_mutual_information(self.side_x.labels(X), self.side_y.labels(Y))
        per_row = result.pointwise + (result.value - result.plug_in)
        return Evaluation(result.value, per_row, min(math.log(side) for side in self.table.shape))

    def state(self) -> dict[str, Any]:
        state = {f"side_{n}/{k}": a for n, s in (("x", self.side_x), ("y", self.side_y)) for k, a in s.state().items()}
        return state | {"table": self.table}

    @classmethod
    def from_state(cls, state: dict[str, Any], settings: Settings) -> Counts:
        """Return the model that :meth:`state` described."""
        model = cls(*(Side.from_state(part(state, f"side_{name}/")) for name in "xy"))
        model.table = np.array(state["table"])
        return model
