"""Models by densities: a conditional, learned or known, Gaussian variables, counts, and a constant side."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_array
from torch import Tensor

from skdim._random import LocalSeed
from skdim.bounds import barber_agakov, rate
from skdim.information.canonical import canonical_axes, gaussian_information
from skdim.information.density import Density
from skdim.information.discrete import Table, information_of_codes
from skdim.information.intervals import Array, Rows
from skdim.information.model import CrossFitted, Evaluation, Learned, Model, hidden_layers, normalised_by, over_blocks
from skdim.nn.conditional import GaussianConditional
from skdim.nn.objectives.ratio import ConditionalObjective
from skdim.nn.ratio import RadialInputs
from skdim.training.state import part

Labelled = npt.NDArray[np.intp]

#: Most rows whose pairs are given to a known conditional at once.
BLOCK_OF_KNOWN = 1024


class LearnedConditional(Learned):
    """A Gaussian conditional q(y | x), learned by likelihood: under a bound for "club", for "ba" against a density of y.

    That density is learned too, which makes an estimate, or known, which makes a lower bound.
    """

    dependence = "conditional"
    critic: GaussianConditional
    density: Density | None = None  # while the conditional is in training, and where it is known

    @property
    def kind(self) -> str:
        return super().kind if self.options.density is None else "lower"

    def fit(self, x: Any, y: Any, train: Rows, valid: Rows) -> None:
        self.axes = canonical_axes(x[train], y[train])
        variates = self._variates(x, y)
        with LocalSeed(self.seed):
            self.critic = self._network(variates[0][train], variates[1].shape[1]).to(self.device)
        if self.options.density is not None:
            self._log_known(y[:1])  # an error now, not after the training
        if self._is_learnable(train, *variates):
            self._train(ConditionalObjective(self.critic), [*variates], train, valid)
        white = self.axes.y(y)
        if not callable(self.options.density) and white.shape[1] and len(train) > 1:
            self.density = Density.learn(white[train], white[valid], self.seed)
        self.critic.eval().requires_grad_(False)

    def _network(self, x: Tensor, n_outputs: int) -> GaussianConditional:
        inputs = RadialInputs(x, self.options.radial_inputs)
        return GaussianConditional(inputs, n_outputs, hidden_layers(self.options))

    @torch.no_grad()
    def scores(self, x: Any, y: Any) -> Tensor:
        scores: Tensor = self.critic(*self._variates(x, y))
        return scores - self._log_density(y).to(scores)

    def _log_density(self, y: Array) -> Tensor:
        """Return the log density of the variates of rows y, (n,): known, or as learned."""
        if callable(self.options.density):
            return self._log_known(y)
        return torch.from_numpy(np.zeros(len(y)) if self.density is None else self.density.log_density(self.axes.y(y)))

    def _log_known(self, y: Array) -> Tensor:
        """Return the known log density of the variates of rows y, (n,), or its known mean."""
        known, weights, n = self.options.density, self.axes.weights_y, len(y)
        if weights.shape[1] < len(weights):
            raise ValueError(
                f"y varies in {weights.shape[1]} of {len(weights)} directions only: it has no density, and so no lower "
                "bound by density=. Leave out the columns that the others determine."
            )
        log_p = np.asarray(known(y.copy()) if callable(known) else np.full(n, -float(known or 0)), dtype=np.float64)
        if log_p.shape != (n,) or not np.isfinite(log_p).all():
            raise ValueError(
                f"density(Y) must return the finite log p(y) of shape (n,) for n rows; for {n} rows it returned shape "
                f"{log_p.shape}, from {log_p.min(initial=math.inf)} to {log_p.max(initial=-math.inf)}."
            )
        return torch.from_numpy(log_p - np.linalg.slogdet(weights)[1])

    @torch.no_grad()
    def evaluate(self, x: Any, y: Any, scores: Tensor | None = None) -> Evaluation:
        bound, (of_x, of_y) = self.bound, self._variates(x, y)
        if bound is None:
            log_p = self._log_density(y) if self.options.density is None else self._log_known(y)
            log_q = self.critic.joint(of_x, of_y).double().cpu()
            return Evaluation(float(barber_agakov(log_q, log_p)), (log_q - log_p).numpy(), math.inf)
        return over_blocks(bound, len(x), lambda rows: bound.contributions(self.critic(of_x[rows], of_y[rows])))

    def state(self) -> dict[str, Any]:
        density = {} if self.density is None else self.density.state()
        return super().state() | {f"density/{name}": value for name, value in density.items()}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        density = part(state, "density/")
        self.density = Density.from_state(density) if density else None

    def _build(self, state: dict[str, Any], x: Tensor, y: Tensor) -> GaussianConditional:
        return self._network(x, y.shape[1])


class KnownConditional(Model):
    """A bound from the known log p(y | x): nothing is learned, and the value comes from all rows."""

    dependence = "known conditional"
    saved = ("reference",)
    is_known, is_diagnosed = True, False
    anchors = ("y",)
    reference: Any

    def scores(self, x: Any, y: Any) -> Tensor:
        rows = [self._log_conditional(np.repeat(x[i : i + 1], len(y), axis=0), y) for i in range(len(x))]
        return torch.from_numpy(np.stack(rows))

    def _log_conditional(self, x: Any, y: Any) -> Array:
        """Return the known log p(y | x) of n pairs of rows, (n,)."""
        assert self.options.conditional is not None
        n, log_p = len(y), np.asarray(self.options.conditional(x.copy(), y.copy()), dtype=np.float64)
        if log_p.shape != (n,) or np.isnan(log_p).any() or np.isposinf(log_p).any():
            raise ValueError(
                "conditional(X, Y) must return log p(y | x) of shape (n,) for n rows, finite or -inf where p is 0; for "
                f"{n} rows it returned shape {log_p.shape}, from {log_p.min(initial=math.inf)} to "
                f"{log_p.max(initial=-math.inf)}."
            )
        return log_p

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
        return normalised_by(self.scores(x, y).diagonal(), None, self.scores(self.reference, y))


class Rate(KnownConditional, CrossFitted):
    """The rate: the known log p(y | x) against a density of y that is learned from other rows."""

    dependence = "rate"
    by_bound, kind = False, "upper"
    density: Density

    def fit(self, x: Any, y: Any, train: Rows, valid: Rows) -> None:
        constant = np.flatnonzero(np.ptp(y[train], axis=0) == 0)
        if len(constant):
            raise ValueError(
                f"Column {constant[0]} of y does not vary: it has no density, and so no rate. Leave it out, or give more rows."
            )
        self._check_joint(self._log_conditional(x, y))  # before anything is learned
        self.density = Density.learn(y[train], y[valid], self.seed)

    @staticmethod
    def _check_joint(log_p: Array) -> None:
        if np.isneginf(log_p).any():
            raise ValueError(
                f"conditional(X, Y) gives probability 0 to {np.isneginf(log_p).sum()} of {len(log_p)} joint samples: the rate "
                "is not finite, and they cannot have come from that conditional."
            )

    def scores(self, x: Any, y: Any) -> Tensor:
        return super().scores(x, y) - torch.from_numpy(self.density.log_density(y))

    def evaluate(self, x: Any, y: Any, scores: Tensor | None = None) -> Evaluation:
        log_p, log_q = self._log_conditional(x, y), self.density.log_density(y)
        self._check_joint(log_p)
        value = rate(torch.from_numpy(log_p), torch.from_numpy(log_q))
        return Evaluation(float(value), log_p - log_q, math.inf)

    def state(self) -> dict[str, Any]:
        return super().state() | {f"density/{name}": value for name, value in self.density.state().items()}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self.density = Density.from_state(part(state, "density/"))


class Independent(Model):
    """One side is constant: the mutual information is 0, whatever the estimator."""

    dependence = "constant"
    is_known, is_diagnosed = True, False

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
        value, per_row = gaussian_information(self.axes, len(x)), self.axes.log_ratio(x, y)
        return Evaluation(value, per_row + (value - per_row.mean()), math.inf)

    def pointwise(self, x: Any, y: Any) -> Array:
        return self.axes.log_ratio(x, y)


class Counts(Model):
    """Both sides have labels: the information of their contingency table, corrected for chance."""

    dependence = "counts"
    by_bound = False
    saved = ("cells", "x_counts", "y_counts")
    kind = "estimate"
    cells: Labelled  # x, y and the number of rows of each combination that occurs (3, n_cells)
    x_counts: Labelled  # rows of each label (n_labels_x,)
    y_counts: Labelled

    def fit(self, x: Any, y: Any, train: Rows, valid: Rows) -> None:
        table = Table.of(x, y)[0]
        self.cells = np.stack([table.rows, table.columns, table.counts])
        self.x_counts, self.y_counts = table.x_counts, table.y_counts

    def scores(self, x: Any, y: Any) -> Tensor:
        rows, columns, counts = self.cells
        table = csr_array((counts, (rows, columns)), shape=(len(self.x_counts), len(self.y_counts)))
        joint = np.maximum(table[x][:, y].toarray(), 0.5) * counts.sum()  # a combination not met counts as half a row
        return torch.from_numpy(np.log(joint / np.outer(self.x_counts[x], self.y_counts[y])))

    def evaluate(self, x: Any, y: Any, scores: Tensor | None = None) -> Evaluation:
        result = information_of_codes(x, y, confidence_level=self.options.confidence_level)
        per_row = result.pointwise + (result.value - result.plug_in)
        return Evaluation(result.value, per_row, result.cap, result.interval)
