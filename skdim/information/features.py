"""Features of one side whose covariances with those of another tell dependence, and what a third side leaves of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import rankdata

Array = npt.NDArray[np.float64]

#: Cosines of a single column, and the powers at which their weights fall: a smooth dependence, and any.
N_COSINES, DECAYS = 12, (4.0, 0.5)
#: Bandwidths of several columns, times the median distance, landmarks, and components kept for each bandwidth.
BANDWIDTHS, N_LANDMARKS, N_COMPONENTS = (2.0, 0.5), 128, 16
#: Shares of a kernel's largest eigenvalue below which rounding rules.
SMALLEST_EIGENVALUE = 1e-6
#: Penalties of a ridge regression, as shares of the largest eigenvalue, and the most directions it may use, as a share of rows.
PENALTIES, MOST_FREEDOM = np.logspace(-7, 1, 25), 0.3


class Features(NamedTuple):
    """Centred features, and their weights at each scale."""

    values: Array  # (n, m)
    weights: Array  # (n_scales, m)


def normal_scores(x: Array) -> Array:
    """Return the normal scores of the ranks of columns (n, d), with variance 1 where they vary."""
    scores = ndtri((rankdata(x, axis=0) - 0.5) / len(x))
    return scores / np.where(scores.std(0) > 0, scores.std(0), 1)


def indicators(labels: npt.NDArray[Any]) -> Array:
    """Return the indicator of each label, over the root of its share, so that all have the same part in chi-square."""
    shares = np.bincount(labels) / len(labels)
    return np.eye(len(shares))[labels] / np.sqrt(np.maximum(shares, 1 / len(labels)))


def features(x: npt.NDArray[Any], rng: np.random.Generator) -> Features:
    """Return features of labels (n,) or numbers (n, d): indicators, cosines of ranks, or the axes of a Gaussian kernel."""
    if x.ndim == 1:
        values = indicators(x)
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
    near, far = (_squared_distances(rows, landmarks) for rows in (landmarks, x))
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


def _squared_distances(x: Array, landmarks: Array) -> Array:
    squares = (x**2).sum(1)[:, None] + (landmarks**2).sum(1) - 2 * x @ landmarks.T
    return np.maximum(squares, 0)


class Residuals:
    """What a ridge regression on functions of z leaves of targets: linear ones, of each column, and of all columns."""

    N_LANDMARKS = 200

    def __init__(self, z: Array, rng: np.random.Generator) -> None:
        n, scores = len(z), normal_scores(z)
        few = int(min(self.N_LANDMARKS, max(n // 5, 10)))
        blocks = kernel_axes(scores, (0.7, 2.0), few, rng)
        if z.shape[1] > 1:
            order = np.arange(1, 7)
            for column in scores.T:
                ranks = (rankdata(column) - 0.5) / n
                blocks.append(np.cos(np.pi * np.outer(ranks, order)) / order)
        self.line = np.linalg.qr(np.column_stack([np.ones(n), scores]))[0]
        design = np.hstack([block / np.sqrt((block**2).sum(1).mean() or 1) for block in blocks])
        design -= self.line @ (self.line.T @ design)
        gram = design.T @ design
        eigenvalues, vectors = np.linalg.eigh(gram)
        kept = eigenvalues > 1e-9 * eigenvalues[-1]
        self.eigenvalues = eigenvalues[kept]
        self.basis = design @ (vectors[:, kept] / np.sqrt(self.eigenvalues))
        shrunk = self.eigenvalues / (self.eigenvalues + PENALTIES[:, None] * eigenvalues[-1])
        self.shrunk = shrunk[shrunk.sum(1) + self.line.shape[1] <= MOST_FREEDOM * n]
        self.components = blocks[0][:, :4] if z.shape[1] > 1 else blocks[1][:, :4]

    def __call__(self, targets: Array) -> Array:
        """Return residuals (n, m), each with the penalty of the least generalised cross-validation error."""
        n = len(targets)
        rest = targets - self.line @ (self.line.T @ targets)
        part = self.basis.T @ rest
        free = n - self.line.shape[1] - self.shrunk.sum(1)
        errors = (rest**2).sum(0) - ((2 - self.shrunk) * self.shrunk) @ part**2
        best = np.argmin(errors / free[:, None] ** 2, axis=0)
        return rest - self.basis @ (self.shrunk[best].T * part)
