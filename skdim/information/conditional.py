"""Conditional densities, learned and known."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor

from skdim._random import local_seed
from skdim.information.learned import Learned, hidden_layers, is_learnable
from skdim.information.model import Array, Evaluation, Model, Rows, normalised, over_blocks
from skdim.nn.conditional import GaussianConditional
from skdim.nn.objectives.conditional import ConditionalObjective
from skdim.training.state import part

#: Most rows whose pairs are given to a known conditional at once.
BLOCK_OF_KNOWN = 1024
#: Sizes of the mixtures that are tried as the density of y, and what is added to their variances.
SIZES, SMALLEST_VARIANCE = (1, 2, 4, 8), 1e-4
#: Fitted attributes by which a mixture scores rows.
MIXTURE_STATE = ("weights_", "means_", "covariances_", "precisions_cholesky_")


class LearnedConditional(Learned):
    """A Gaussian conditional q(y | x), learned by likelihood: against a density of y for "ba", under a bound for "club"."""

    dependence = "conditional"
    critic: GaussianConditional
    density: GaussianMixture | None = None  # while the conditional is in training

    def fit(self, x: Any, y: Any, train: Rows, valid: Rows) -> None:
        self._learn_axes(x, y, train)
        x, y = self._variates(x, y)
        with local_seed(self.seed):
            self.critic = self._network(x[train], y.shape[1]).to(self.device)
        if is_learnable(train, x, y):
            self._train(ConditionalObjective(self.critic), [x, y], train, valid)
        self.density = _fit_density(y[train].double().cpu().numpy(), y[valid].double().cpu().numpy(), self.seed)
        self.critic.eval().requires_grad_(False)

    def _network(self, x: Tensor, n_outputs: int) -> GaussianConditional:
        return GaussianConditional(self._inputs(x), n_outputs, hidden_layers(self.options))

    @torch.no_grad()
    def scores(self, x: Any, y: Any) -> Tensor:
        x, y = self._variates(x, y)
        scores: Tensor = self.critic(x, y) - self._log_density(y)
        return scores

    def _log_density(self, y: Tensor) -> Tensor:
        if self.density is None:
            return y.new_zeros(len(y))
        return torch.from_numpy(self.density.score_samples(y.double().cpu().numpy())).to(y)

    @torch.no_grad()
    def evaluate(self, x: Any, y: Any, scores: Tensor | None = None) -> Evaluation:
        x, y = self._variates(x, y)
        bound = self.bound
        if bound is None:
            per_row = (self.critic.joint(x, y) - self._log_density(y)).double().cpu().numpy()
            return Evaluation(float(per_row.mean()), per_row, math.inf)
        return over_blocks(bound, len(x), lambda rows: bound.contributions(self.critic(x[rows], y[rows])))

    def state(self) -> dict[str, Any]:
        if self.density is None:
            return super().state()
        return super().state() | {f"density/{name}": np.array(getattr(self.density, name)) for name in MIXTURE_STATE}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        density = part(state, "density/")
        self.density = GaussianMixture(len(density["weights_"])) if density else None
        for name, array in density.items():
            setattr(self.density, name, np.array(array))

    def _build(self, state: dict[str, Any]) -> GaussianConditional:
        x, y = self._placeholders()
        return self._network(x, y.shape[1])


def _fit_density(y: Array, y_valid: Array, seed: int) -> GaussianMixture | None:
    """Return the mixture of Gaussians under which held-out rows are likeliest; None if y does not vary."""
    if not y.shape[1] or len(y) < 2:
        return None
    most = min(len(np.unique(y, axis=0)), len(y) // (5 * (y.shape[1] + 2)))
    sizes = [size for size in SIZES if size <= most] or [1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the likelihood judges a candidate, converged or not
        candidates = [GaussianMixture(size, reg_covar=SMALLEST_VARIANCE, random_state=seed).fit(y) for size in sizes]
    return max(candidates, key=lambda mixture: float(mixture.score(y_valid)))


class KnownConditional(Model):
    """A bound from the known log p(y | x): nothing is learned, and the value comes from all rows."""

    dependence = "known conditional"
    is_known = True
    anchors = ("y",)
    reference: Any

    def scores(self, x: Any, y: Any) -> Tensor:
        assert self.options.conditional is not None
        n, rows = len(y), []
        for i in range(len(x)):
            log_p = np.asarray(self.options.conditional(np.repeat(x[i : i + 1], n, axis=0), y), dtype=np.float64)
            if log_p.shape != (n,) or np.isnan(log_p).any() or np.isposinf(log_p).any():
                raise ValueError(
                    "conditional(X, Y) must return log p(y | x) of shape (n,) for n rows, finite or -inf where p is 0; for "
                    f"{n} rows it returned shape {log_p.shape}, from {log_p.min(initial=math.inf)} to "
                    f"{log_p.max(initial=-math.inf)}."
                )
            rows.append(log_p)
        return torch.from_numpy(np.stack(rows))

    def evaluate(self, x: Any, y: Any, scores: Tensor | None = None) -> Evaluation:
        bound = self.bound
        assert bound is not None

        def contributions(rows: slice) -> tuple[Tensor, Tensor]:
            value, per_row = bound.contributions(self.scores(x[rows], y[rows]))
            if not per_row.isfinite().all():
                row = rows.start + int((~per_row.isfinite()).nonzero()[0])
                raise ValueError(
                    f"conditional(X, Y) gives probability 0 to pairs that estimator={bound.name!r} averages, the first at "
                    f"row {row}: the bound is not finite. Use 'tnce', which needs p > 0 at the joint samples only."
                )
            return value, per_row

        return over_blocks(bound, len(x), contributions, BLOCK_OF_KNOWN)

    def keep(self, x: Any, y: Any) -> None:
        self.reference = x

    def pointwise(self, x: Any, y: Any) -> Array:
        return normalised(self.scores(x, y).diagonal(), None, self.scores(self.reference, y))

    def state(self) -> dict[str, Any]:
        return {"reference": self.reference}

    def load(self, state: dict[str, Any]) -> None:
        self.reference = np.array(state["reference"])
