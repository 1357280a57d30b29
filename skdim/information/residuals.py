"""What regressions on z leave of columns: an invertible map of them for every z, so no information given z is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr
from sklearn.metrics.pairwise import euclidean_distances

from skdim.information.canonical import Array
from skdim.information.features import PENALTIES, joint_functions
from skdim.information.sides import Columns, Side
from skdim.training.state import part

#: Gaussian bumps: their most landmarks, and their widths times the median distance, for one column and for several.
MOST_LANDMARKS, WIDTHS = 120, {True: (0.1, 0.3, 1.0), False: (0.7, 2.0)}
#: Cosines of each of several columns.
N_COSINES = 6
#: Most rows that a regression is learned from, and share of the largest eigenvalue that rounding leaves.
MOST_ROWS, ROUNDING = 10_000, 1e-10
#: Share of the mean residual below which a residual is not told from 0.
SMALLEST_SCALE = 0.01


@dataclass
class Regression:
    """Ridge regression on lines, products, cosines and Gaussian bumps of z; generalised cross-validation sets the penalty."""

    landmarks: Array  # (m, d)
    widths: Array  # of the bumps
    centre: Array  # of all functions (p,)
    coefficients: Array  # (1 + p, n_targets)

    @classmethod
    def learn(cls, z: Array, targets: Array, rng: np.random.Generator) -> Regression:
        """Learn targets (n, n_targets) from rows z (n, d)."""
        chosen = rng.permutation(len(z))[:MOST_ROWS]
        z, targets, n = z[chosen], targets[chosen], len(chosen)
        landmarks = z[: max(1, min(MOST_LANDMARKS, n // 5))]
        distances = euclidean_distances(landmarks)
        median = float(np.median(distances[distances > 0])) if (distances > 0).any() else 1.0
        learned = cls(landmarks, median * np.array(WIDTHS[z.shape[1] == 1]), np.zeros(1), np.zeros((1, 1)))
        functions = learned._functions(z)
        learned.centre = functions.mean(0)
        functions -= learned.centre
        functions[:, functions.std(0) <= ROUNDING] = 0
        mean, d = targets.mean(0), z.shape[1]
        lines = np.linalg.lstsq(functions[:, :d], targets - mean, rcond=ROUNDING)[0]
        # Functions beyond lines are what lines do not say of them, so that the penalty leaves lines alone.
        beyond = np.linalg.lstsq(functions[:, :d], functions[:, d:], rcond=ROUNDING)[0]
        design, rest = functions[:, d:] - functions[:, :d] @ beyond, targets - mean - functions[:, :d] @ lines
        eigenvalues, vectors = np.linalg.eigh(design.T @ design)
        kept = eigenvalues > ROUNDING * max(eigenvalues[-1], n * ROUNDING)
        eigenvalues, vectors = eigenvalues[kept], vectors[:, kept]
        projected = (design @ vectors).T @ rest  # (k, n_targets)
        shares = eigenvalues / (eigenvalues + PENALTIES[:, None] * eigenvalues.max(initial=ROUNDING))
        freedom = 1 + d + shares.sum(1)
        explained = (2 - shares) * shares @ (projected**2 / eigenvalues[:, None])
        errors = ((rest**2).sum(0) - explained) / np.maximum(n - freedom, 1)[:, None] ** 2
        errors[freedom > n / 2] = np.inf
        errors[-1] = np.where(np.isfinite(errors).any(0), errors[-1], 0)
        best = shares[np.argmin(errors, axis=0)].T  # (k, n_targets)
        more = vectors @ (best / eigenvalues[:, None] * projected)
        learned.coefficients = np.vstack([mean, lines - beyond @ more, more])
        return learned

    def __call__(self, z: Array) -> Array:
        """Return predictions (n, n_targets) for rows z (n, d)."""
        return (self._functions(z) - self.centre) @ self.coefficients[1:] + self.coefficients[0]

    def _functions(self, z: Array) -> Array:
        squares = euclidean_distances(z, self.landmarks, squared=True)
        bumps = [np.exp(-squares / (2 * width**2)) for width in self.widths]
        return np.hstack([z, *bumps, *joint_functions(z, ndtr(z), N_COSINES)])


@dataclass
class Residuals:
    """Columns whose continuous ones lose the mean that z gives them, then the scale, as learned from rows."""

    side: Side
    regressions: list[Regression]  # of columns, and of the logarithms of what the first leaves; none of discrete ones

    @classmethod
    def learn(cls, X: Columns, discrete: Any, z: Array, marginals: str | None, rng: np.random.Generator) -> Residuals:
        """Learn from columns X (n, n_columns), of which a mask says which are discrete, and the numbers z (n, d)."""
        side = Side.learn(X, discrete, marginals or "standardize")  # residuals have a scale of their own
        if discrete.all():
            return cls(side, [])
        values = _continuous(side, X)
        mean = Regression.learn(z, values, rng)
        left = np.abs(values - mean(z))
        floor = np.maximum(SMALLEST_SCALE * left.mean(0), np.finfo(float).tiny)
        return cls(side, [mean, Regression.learn(z, np.log(np.maximum(left, floor)), rng)])

    def __call__(self, X: Columns, z: Array) -> Columns:
        """Return columns in the same order, (n, n_columns)."""
        if not self.regressions:
            return X
        mean, scale = (regression(z) for regression in self.regressions)
        left = X.copy()
        left[:, ~self.side.discrete] = (_continuous(self.side, X) - mean) / np.exp(scale)
        return left

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = {**self.side.state()}
        for k, each in enumerate(self.regressions):
            state |= {f"regression/{k}/{name}": array for name, array in vars(each).items()}
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Residuals:
        learned = [part(state, f"regression/{k}/") for k in range(2)]
        return cls(Side.from_state(state), [Regression(**each) for each in learned if each])


def _continuous(side: Side, X: Columns) -> Array:
    values = X[:, ~side.discrete].astype(np.float64)
    return values if side.marginals is None else side.marginals(values)
