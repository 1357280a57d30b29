"""Conditional densities, learned and known."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from skdim._random import local_seed
from skdim.bounds import Bound
from skdim.dependence._axes import OnAxes
from skdim.dependence._model import (
    HIDDEN,
    Array,
    Evaluation,
    Model,
    Rows,
    Settings,
    blocks,
    normalised,
    over_blocks,
    part,
)
from skdim.nn.conditional import GaussianConditional
from skdim.nn.ratio import (
    RadialInputs,
)
from skdim.sides import Side


class LearnedConditional(OnAxes):
    """A Gaussian conditional q(y | x), learned by likelihood; for "ba" against a fitted density of y, for "club" its bound."""

    kind = "estimate"

    def fit(self, X: Any, Y: Any, train: Rows, valid: Rows) -> LearnedConditional:
        """Train on some rows, and choose on others."""
        x, y = self._learn_axes(X, Y, train)
        self.density: GaussianMixture | None = None  # while the conditional is in training
        with local_seed(self.settings.seed):
            self.critic = self._network(x[train], y.shape[1]).to(self.settings.device)
        self._train_conditional(x, y, train, valid)
        self.density = _fit_density(
            y[train].double().cpu().numpy(), y[valid].double().cpu().numpy(), self.settings.seed
        )
        self.critic.eval().requires_grad_(False)
        return self

    def _network(self, x: Tensor, n_outputs: int) -> GaussianConditional:
        return GaussianConditional(RadialInputs(x, self.settings.radial), n_outputs, self.settings.hidden or HIDDEN)

    def _build(self) -> nn.Module:
        return self._network(torch.zeros(2, self.axes.weights_x.shape[1]), self.axes.weights_y.shape[1])

    @torch.no_grad()
    def scores(self, X: Any, Y: Any) -> Tensor:
        return super().scores(X, Y) - self._log_density(self.y(Y))[None]

    def _log_density(self, y: Tensor) -> Tensor:
        if self.density is None:
            return y.new_zeros(len(y))
        return torch.from_numpy(self.density.score_samples(y.double().cpu().numpy())).to(y)

    @torch.no_grad()
    def evaluate(self, X: Any, Y: Any, scores: Tensor | None = None) -> Evaluation:
        x, y = self.x(X), self.y(Y)
        if self.settings.bound is None:
            per_row = (self.critic.joint(x, y) - self._log_density(y)).double().cpu().numpy()  # type: ignore[union-attr, operator]
            return Evaluation(float(per_row.mean()), per_row, math.inf)
        bound = self.settings.bound
        value, per_row = over_blocks(len(x), lambda rows: _conditional(bound, self.critic(x[rows], y[rows])))
        return Evaluation(value, per_row, math.inf)

    def state(self) -> dict[str, Any]:
        state = super().state()
        if self.density is not None:
            names = ("weights_", "means_", "covariances_", "precisions_cholesky_")
            state |= {f"density/{name}": np.array(getattr(self.density, name)) for name in names}
        return state

    @classmethod
    def from_state(cls, state: dict[str, Any], settings: Settings) -> LearnedConditional:
        """Return the model that :meth:`state` described."""
        model = cls(*(Side.from_state(part(state, f"side_{name}/")) for name in "xy"), settings)
        model._load(state)
        density = part(state, "density/")
        model.density = GaussianMixture(len(density["weights_"])) if density else None
        for name, array in density.items():
            setattr(model.density, name, np.array(array))
        return model


def _fit_density(y: Array, y_valid: Array, seed: int) -> GaussianMixture | None:
    """Return the mixture of 1 to 8 Gaussians under which held-out rows are likeliest; None where y does not vary."""
    if not y.shape[1] or len(y) < 2:
        return None
    most = min(len(np.unique(y, axis=0)), len(y) // (5 * (y.shape[1] + 2)))
    sizes = [size for size in (1, 2, 4, 8) if size <= most] or [1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a candidate is judged by its likelihood, converged or not
        candidates = [GaussianMixture(size, reg_covar=1e-4, random_state=seed).fit(y) for size in sizes]
    return max(candidates, key=lambda mixture: float(mixture.score(y_valid)))


def _conditional(bound: Bound, scores: Tensor) -> tuple[float, Array]:
    """Return a conditional bound's value and the rows' contributions."""
    value, per_row = bound.contributions(scores)
    return float(value), per_row.cpu().numpy()


class KnownConditional(Model):
    """Bounds from a known log p(y | x): nothing is learned, and every row counts."""

    learns = False
    anchors = ("y",)

    def __init__(self, conditional: Callable[[Any, Any], Any], bound: Bound) -> None:
        self.conditional = conditional
        self.bound = bound
        self.kind = bound.kind

    def scores(self, X: Any, Y: Any) -> Tensor:
        n, m = len(X), len(Y)
        rows = []
        for i in range(n):
            log_p = np.asarray(self.conditional(np.repeat(X[i : i + 1], m, axis=0), Y), dtype=np.float64)
            if log_p.shape != (m,) or np.isnan(log_p).any() or np.isposinf(log_p).any():
                raise ValueError(
                    "conditional(X, Y) must return log p(y | x) of shape (n,) for n rows, finite or -inf where p is 0; for "
                    f"{m} rows it returned shape {log_p.shape}, from {log_p.min(initial=math.inf)} to "
                    f"{log_p.max(initial=-math.inf)}."
                )
            rows.append(log_p)
        return torch.from_numpy(np.stack(rows))

    def evaluate(self, X: Any, Y: Any, scores: Tensor | None = None) -> Evaluation:
        def of_block(rows: slice) -> tuple[float, Array]:
            value, per_row = _conditional(self.bound, self.scores(X[rows], Y[rows]))
            if not np.isfinite(per_row).all():
                row = rows.start + int(np.flatnonzero(~np.isfinite(per_row))[0])
                raise ValueError(
                    f"conditional(X, Y) gives probability 0 to pairs that estimator={self.bound.name!r} averages, the first at "
                    f"row {row}: the bound is not finite. Use 'tnce', which needs p > 0 at the joint samples only."
                )
            return value, per_row

        parts = [(rows, of_block(rows)) for rows in blocks(len(X), largest=1024)]
        value = float(np.average([v for _, (v, _) in parts], weights=[r.stop - r.start for r, _ in parts]))
        smallest = min(rows.stop - rows.start for rows, _ in parts)
        return Evaluation(value, np.concatenate([per_row for _, (_, per_row) in parts]), self.bound.cap(smallest))

    def keep(self, X: Any, Y: Any) -> None:
        self.reference = X

    def pointwise(self, X: Any, Y: Any) -> Array:
        joint = self.scores(X, Y).diagonal()
        return normalised(joint, lambda: joint, lambda: self.scores(self.reference, Y), self.anchors)

    def state(self) -> dict[str, Any]:
        return {"reference": self.reference}

    @classmethod
    def from_state(
        cls, state: dict[str, Any], conditional: Callable[[Any, Any], Any], bound: Bound
    ) -> KnownConditional:
        """Return the model that :meth:`state` described."""
        model = cls(conditional, bound)
        model.reference = np.array(state["reference"])
        return model
