"""Features of one side whose covariances with those of another tell dependence, and what a third side leaves of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import rankdata
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.tree import DecisionTreeRegressor

Array = npt.NDArray[np.float64]

#: Most labels that have an indicator each; more have this number of random sums.
MOST_LABELS = 64
#: Cosines of a single column, and the powers at which their weights fall: a smooth dependence, and any.
N_COSINES, DECAYS = 12, (4.0, 0.5)
#: Bandwidths of several columns, times the median distance, landmarks, and components kept for each bandwidth.
BANDWIDTHS, N_LANDMARKS, N_COMPONENTS = (2.0, 0.5), 128, 16
#: Share of the largest eigenvalue of a kernel's landmarks that is kept, and of what counts as rounding elsewhere.
SMALLEST_EIGENVALUE, SMALLEST_SHARE = 1e-6, 1e-9
#: Of the regressions on z: bandwidths for one column and for several, landmarks, and cosines of each of several columns.
ONE_COLUMN, MANY_COLUMNS, MOST_LANDMARKS, N_ORDERS = (0.2, 0.7, 2.0), (1.0, 3.0), 200, 8
#: Penalties, as shares of the largest eigenvalue, and the most degrees of freedom, as a share of the rows.
PENALTIES, MOST_FREEDOM = np.array([*np.logspace(-7, 1, 25), np.inf]), 0.4
#: Fewest rows for each column of z, and one for the mean.
ROWS_PER_NUMBER = 4
#: Share of the best penalty for prediction that is used: the bias of a residual counts for more here than its variance.
UNDERSMOOTHING = 0.03
#: Functions of z whose products with the features of x show a dependence that changes with z.
N_MODERATORS = 4
#: Most columns of z of which all products enter.
MOST_MULTIPLIED = 16
#: Most leaves of a tree of jumps, fewest rows of one, and the most targets that have a tree each.
MOST_LEAVES, FEWEST_IN_LEAF, MOST_TREES = 16, 5, 16
#: Weights of the parts of a regression on several columns: axes of both kernels, cosines of each column, products.
BLOCK_WEIGHTS = 1.0, 1.0, 3.0, 1.5


class Features(NamedTuple):
    """Centred features, and their weights at each scale."""

    values: Array  # (n, m)
    weights: Array  # (n_scales, m)


def normal_scores(x: Array) -> Array:
    """Return the normal scores of the ranks of columns (n, d), with variance 1 where they vary."""
    scores = ndtri((rankdata(x, axis=0) - 0.5) / len(x))
    return scores / np.where(scores.std(0) > 0, scores.std(0), 1)


def indicators(labels: npt.NDArray[Any], rng: np.random.Generator) -> Array:
    """Return the indicator of each label, over the root of its share: all have the same part in chi-square.

    Of many labels, random sums have the same squared covariance on average.
    """
    shares = np.maximum(np.bincount(labels), 1) / len(labels)
    many = len(shares) > MOST_LABELS
    table = rng.normal(size=(len(shares), MOST_LABELS)) if many else np.eye(len(shares))
    return (table / np.sqrt(shares)[:, None])[labels]


def features(x: npt.NDArray[Any], rng: np.random.Generator) -> Features:
    """Return features of labels (n,) or numbers (n, d): indicators, cosines of ranks, or the axes of a Gaussian kernel."""
    if x.ndim == 1:
        values = indicators(x, rng)
        weights = np.ones((1, values.shape[1]))
    elif x.shape[1] == 1:
        order = np.arange(1, N_COSINES + 1)
        values = np.sqrt(2) * np.cos(np.pi * order * (rankdata(x, axis=0) - 0.5) / len(x))
        values[:, :1] = normal_scores(x)
        weights = np.array([order**-decay for decay in DECAYS])
    else:
        blocks = [axes[:, :N_COMPONENTS] for axes in kernel_axes(normal_scores(x), BANDWIDTHS, N_LANDMARKS, rng)]
        values = np.hstack(blocks)
        scale = np.repeat(np.arange(len(blocks)), [block.shape[1] for block in blocks])
        weights = (scale == np.arange(len(blocks))[:, None]).astype(np.float64)
    return Features(values - values.mean(0), weights)


def kernel_axes(x: Array, bandwidths: tuple[float, ...], n_landmarks: int, rng: np.random.Generator) -> list[Array]:
    """Return the principal axes of Gaussian kernels by Nystroem's method, each (n, at most n_landmarks), largest first."""
    landmarks = x[rng.choice(len(x), min(len(x), n_landmarks), replace=False)]
    near, far = (euclidean_distances(rows, landmarks, squared=True) for rows in (landmarks, x))
    off_diagonal = near[~np.eye(len(near), dtype=bool)]
    median = float(np.median(off_diagonal)) or float(off_diagonal.mean()) or 1.0
    axes = []
    for bandwidth in bandwidths:
        scale = -1 / (2 * median * bandwidth**2)
        eigenvalues, vectors = np.linalg.eigh(np.exp(scale * near))
        kept = eigenvalues > SMALLEST_EIGENVALUE * eigenvalues[-1]
        mapped = np.exp(scale * far) @ (vectors[:, kept] / np.sqrt(eigenvalues[kept]))
        mapped -= mapped.mean(0)
        axes.append(mapped @ np.linalg.eigh(mapped.T @ mapped)[1][:, ::-1])
    return axes


def joint_functions(z: Array, uniform: Array, n_orders: int) -> list[Array]:
    """Return cosines of each of several columns, from their uniform scores, and products of columns if these are not many."""
    if z.shape[1] < 2:
        return []
    orders, (first, second) = np.arange(1, n_orders + 1), np.triu_indices(z.shape[1])
    cosines = (np.cos(np.pi * uniform[:, :, None] * orders) / orders).reshape(len(z), -1)
    return [cosines, z[:, first] * z[:, second]] if z.shape[1] <= MOST_MULTIPLIED else [cosines]


def _orthonormal(columns: Array) -> Array:
    axes, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return axes[:, sizes > SMALLEST_SHARE * sizes[0]]


class Residuals:
    """What ridge regressions on functions of z leave of targets: lines, products and cosines of columns, axes of kernels.

    Each target has the penalty of the least generalised cross-validation error, then 0.03 of it. Jumps of targets
    that are seen first have no penalty: those that lines leave, then those that all functions leave.
    """

    def __init__(self, z: Array, seen: Array, rng: np.random.Generator) -> None:
        n, d = z.shape
        if n < ROWS_PER_NUMBER * (d + 1):
            raise ValueError(
                f"Z gives {d} number(s) a row, and {n} rows are too few to regress on them: at least "
                f"{ROWS_PER_NUMBER * (d + 1)} are needed."
            )
        scores = normal_scores(z)
        n_landmarks = min(MOST_LANDMARKS, max(n // 5, 10))
        blocks = kernel_axes(scores, ONE_COLUMN if d == 1 else MANY_COLUMNS, n_landmarks, rng)
        moderators = blocks[-2][:, :N_MODERATORS]
        self.moderators = moderators / np.where(moderators.std(0) > 0, moderators.std(0), 1)
        blocks += joint_functions(scores, (rankdata(z, axis=0) - 0.5) / n, N_ORDERS)
        self.blocks = list(zip([1.0] * 3 if d == 1 else BLOCK_WEIGHTS, blocks, strict=False))
        self.freedom = 0.0  # degrees of freedom of the last call, on average over targets
        self.lines = _orthonormal(np.column_stack([np.ones(n), scores]))
        self._leave(jumps(scores, seen - self.lines @ (self.lines.T @ seen)))
        hidden = jumps(scores, self(seen))
        if hidden.shape[1]:
            self._leave(hidden)

    def _leave(self, functions: Array) -> None:
        """Take functions (n, k) without a penalty, and of the others what they do not say."""
        self.lines = _orthonormal(np.hstack([self.lines, functions]))
        n = len(functions)
        blocks = [(weight, block - self.lines @ (self.lines.T @ block)) for weight, block in self.blocks]
        design = np.hstack([weight * block / (np.sqrt((block**2).sum() / n) or 1) for weight, block in blocks])
        eigenvalues, vectors = np.linalg.eigh(design.T @ design)
        kept = eigenvalues > SMALLEST_SHARE * max(eigenvalues[-1], n * SMALLEST_SHARE)
        eigenvalues, vectors = eigenvalues[kept], vectors[:, kept]
        self.axes = design @ (vectors / np.sqrt(eigenvalues))
        penalties = PENALTIES[:, None] * eigenvalues.max(initial=SMALLEST_SHARE)
        self.shrunk, self.undersmoothed = (eigenvalues / (eigenvalues + c * penalties) for c in (1, UNDERSMOOTHING))
        allowed = self.undersmoothed.sum(1) + self.lines.shape[1] <= MOST_FREEDOM * n
        self.shrunk, self.undersmoothed = self.shrunk[allowed], self.undersmoothed[allowed]

    def __call__(self, targets: Array) -> Array:
        """Return residuals (n, m); what is left of a function of z by rounding is 0."""
        rest = targets - self.lines @ (self.lines.T @ targets)
        part = self.axes.T @ rest
        left = len(targets) - self.lines.shape[1] - self.shrunk.sum(1)
        errors = (rest**2).sum(0) - ((2 - self.shrunk) * self.shrunk) @ part**2
        shares = self.undersmoothed[np.argmin(errors / left[:, None] ** 2, axis=0)]
        self.freedom = float(self.lines.shape[1] + shares.sum(1).mean())
        rest -= self.axes @ (shares.T * part)
        return np.where(rest.std(0) > SMALLEST_SHARE * np.abs(targets).max(0), rest, 0)


def jumps(z: Array, residuals: Array) -> Array:
    """Return indicators (n, k) of the leaves of trees on z (n, d) that residuals (n, m), or their squares, grow.

    A split counts if it explains more than the best of all splits does of noise.
    """
    targets = np.hstack([residuals, residuals**2])
    targets = (targets - targets.mean(0)) / np.where(targets.std(0) > 0, targets.std(0), 1)
    n, d = z.shape
    noise = 2 * np.log(n * d) / n
    each = targets.shape[1] <= MOST_TREES
    leaves = []
    for target in targets.T if each else [targets]:
        tree = DecisionTreeRegressor(
            max_leaf_nodes=MOST_LEAVES, min_samples_leaf=FEWEST_IN_LEAF, min_impurity_decrease=noise, random_state=0
        )
        leaf = tree.fit(z, target).apply(z)
        leaves.append(leaf[:, None] == np.unique(leaf)[1:])
    return np.hstack([np.zeros((n, 0)), *leaves]).astype(np.float64)
