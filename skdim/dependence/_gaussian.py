"""The closed form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skdim.bounds import gaussian
from skdim.dependence._model import Array, Evaluation, Model, Rows, Settings, part
from skdim.gaussian import CanonicalAxes, canonical_axes
from skdim.nn.gaussian import GaussianReference
from skdim.sides import Side


class Gaussian(Model):
    """Closed form: the information of Gaussian variables with the de-biased canonical correlations."""

    kind = "estimate"
    learns = False

    def __init__(self, side_x: Side, side_y: Side) -> None:
        self.side_x, self.side_y = side_x, side_y

    def fit(self, X: Any, Y: Any, train: Rows, valid: Rows) -> Gaussian:
        """Learn the axes on all rows."""
        self.axes = canonical_axes(self.side_x.numbers(X), self.side_y.numbers(Y))
        return self

    def scores(self, X: Any, Y: Any) -> Tensor:
        x, y = (torch.from_numpy(part).float() for part in self._variates(X, Y))
        reference = GaussianReference(torch.from_numpy(self.axes.correlations))
        with torch.no_grad():
            result: Tensor = reference(x, y)
        return result

    def _variates(self, X: Any, Y: Any) -> tuple[Array, Array]:
        return self.axes.x(self.side_x.numbers(X)), self.axes.y(self.side_y.numbers(Y))

    def evaluate(self, X: Any, Y: Any, scores: Tensor | None = None) -> Evaluation:
        value = float(gaussian(self.axes.correlations))
        per_row = self.axes.log_ratio(self.side_x.numbers(X), self.side_y.numbers(Y))
        return Evaluation(value, per_row + (value - per_row.mean()), math.inf)

    def state(self) -> dict[str, Any]:
        state = {f"side_{n}/{k}": a for n, s in (("x", self.side_x), ("y", self.side_y)) for k, a in s.state().items()}
        return state | {f"axes/{name}": array for name, array in vars(self.axes).items()}

    @classmethod
    def from_state(cls, state: dict[str, Any], settings: Settings) -> Gaussian:
        """Return the model that :meth:`state` described."""
        model = cls(*(Side.from_state(part(state, f"side_{name}/")) for name in "xy"))
        model.axes = CanonicalAxes(**{name: np.array(array) for name, array in part(state, "axes/").items()})
        return model
