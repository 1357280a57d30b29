"""Models that train no network: a constant side, Gaussian variables, and two sides of labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skdim.bounds import gaussian
from skdim.information.canonical import canonical_axes
from skdim.information.discrete import discrete_mutual_information
from skdim.information.model import Array, Evaluation, Model, Rows


class Independent(Model):
    """One side is constant: the mutual information is 0, whatever the estimator."""

    dependence = "constant"
    is_known = True

    def scores(self, x: Any, y: Any) -> Tensor:
        return torch.zeros(len(x), len(y))

    def evaluate(self, x: Any, y: Any, scores: Tensor | None = None) -> Evaluation:
        return Evaluation(0.0, np.zeros(len(x)), 0.0)


class Gaussian(Model):
    """The information of Gaussian variables, from de-biased canonical correlations."""

    dependence = "gaussian"

    def fit(self, x: Any, y: Any, train: Rows, valid: Rows) -> None:
        self.axes = canonical_axes(x, y)

    def scores(self, x: Any, y: Any) -> Tensor:
        return torch.from_numpy(self.axes.log_ratio(x, y, all_pairs=True))

    def evaluate(self, x: Any, y: Any, scores: Tensor | None = None) -> Evaluation:
        value, per_row = float(gaussian(self.axes.correlations)), self.axes.log_ratio(x, y)
        return Evaluation(value, per_row + (value - per_row.mean()), math.inf)

    def pointwise(self, x: Any, y: Any) -> Array:
        return self.axes.log_ratio(x, y)


class Counts(Model):
    """Both sides have labels: the information of their contingency table, with the Miller-Madow correction."""

    dependence = "counts"
    saved = ("table",)
    kind = "estimate"
    table: Array  # rows of each combination (n_labels_x, n_labels_y)

    def fit(self, x: Any, y: Any, train: Rows, valid: Rows) -> None:
        self.table = np.zeros((x.max() + 1, y.max() + 1))
        np.add.at(self.table, (x, y), 1)

    def scores(self, x: Any, y: Any) -> Tensor:
        joint = np.maximum(self.table, 0.5) / self.table.sum()  # a combination not met counts as half a row
        outer = np.outer(self.table.sum(1), self.table.sum(0)) / self.table.sum() ** 2
        return torch.from_numpy(np.log(joint / outer)[np.ix_(x, y)])

    def evaluate(self, x: Any, y: Any, scores: Tensor | None = None) -> Evaluation:
        result = discrete_mutual_information(x, y, confidence_level=self.options.confidence_level)
        per_row = result.pointwise + (result.value - result.plug_in)
        return Evaluation(result.value, per_row, math.log(min(self.table.shape)), result.interval)
