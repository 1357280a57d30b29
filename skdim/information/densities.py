"""Models by densities: a conditional, learned or known, Gaussian variables, counts, and a constant side."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_array
from sklearn.mixture import GaussianMixture
from torch import Tensor

from skdim._random import LocalSeed
from skdim.information.canonical import canonical_axes, gaussian_information
from skdim.information.discrete import Table, information_of_codes
from skdim.information.intervals import Array, Rows
from skdim.information.model import Evaluation, Learned, Model, hidden_layers, normalised_by, over_blocks
from skdim.information.references import fit_mixture
from skdim.nn.conditional import GaussianConditional
from skdim.nn.objectives.ratio import ConditionalObjective
from skdim.nn.ratio import RadialInputs
from skdim.training.state import part

Labelled = npt.NDArray[np.intp]

#: Most rows whose pairs are given to a known conditional at once.
BLOCK_OF_KNOWN = 1024
#: Numbers of components tried for the density of y, fewest rows per component and dimension, and the smallest variance.
SIZES, ROWS_BY_SIZE, SMALLEST_VARIANCE = (1, 2, 4, 8), 5, 1e-4
#: Fitted attributes by which a mixture scores rows.
MIXTURE_STATE = ("weights_", "means_", "covariances_", "precisions_cholesky_")


class LearnedConditional(Learned):
    """A Gaussian conditional q(y | x), learned by likelihood: against a density of y for "ba", under a bound for "club"."""

    dependence = "conditional"
    critic: GaussianConditional
    density: GaussianMixture | None = None  # while the conditional is in training

    def fit(self, x: Any, y: Any, train: Rows, valid: Rows) -> None:
        self.axes = canonical_axes(x[train], y[train])
        x, y = self._variates(x, y)
        with LocalSeed(self.seed):
            self.critic = self._network(x[train], y.shape[1]).to(self.device)
        if self._is_learnable(train, x, y):
            self._train(ConditionalObjective(self.critic), [x, y], train, valid)
        self.density = _fit_density(y[train].double().cpu().numpy(), y[valid].double().cpu().numpy(), self.seed)
        self.critic.eval().requires_grad_(False)

    def _network(self, x: Tensor, n_outputs: int) -> GaussianConditional:
        inputs = RadialInputs(x, self.options.radial_inputs)
        return GaussianConditional(inputs, n_outputs, hidden_layers(self.options))

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
        names = MIXTURE_STATE if self.density is not None else ()
        return super().state() | {f"density/{name}": np.array(getattr(self.density, name)) for name in names}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        density = part(state, "density/")
        self.density = GaussianMixture(len(density["weights_"])) if density else None
        for name, array in density.items():
            setattr(self.density, name, np.array(array))

    def _build(self, state: dict[str, Any], x: Tensor, y: Tensor) -> GaussianConditional:
        return self._network(x, y.shape[1])


def _fit_density(y: Array, y_valid: Array, seed: int) -> GaussianMixture | None:
    """Return the mixture of Gaussians under which held-out rows are likeliest; None if y does not vary."""
    if not y.shape[1] or len(y) < 2:
        return None
    most = min(len(np.unique(y, axis=0)), len(y) // (ROWS_BY_SIZE * (y.shape[1] + 2)))
    sizes = [size for size in SIZES if size <= most] or [1]
    candidates = [fit_mixture(y, size, SMALLEST_VARIANCE, seed) for size in sizes]
    return max(candidates, key=lambda mixture: float(mixture.score(y_valid)))


class KnownConditional(Model):
    """A bound from the known log p(y | x): nothing is learned, and the value comes from all rows."""

    dependence = "known conditional"
    saved = ("reference",)
    is_known, is_diagnosed = True, False
    anchors = ("y",)
    reference: Any

    def scores(self, x: Any, y: Any) -> Tensor:
        assert self.options.conditional is not None
        n, rows = len(y), []
        for i in range(len(x)):
            log_p = np.asarray(self.options.conditional(np.repeat(x[i : i + 1], n, axis=0), y.copy()), dtype=np.float64)
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
        return normalised_by(self.scores(x, y).diagonal(), None, self.scores(self.reference, y))


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
