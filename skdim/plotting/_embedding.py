"""Features as points, and samples beside those with the nearest features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d

from skdim.inputs.tables import check_lengths
from skdim.plotting._axes import axes_of, colors, figure_of, legend_beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["EmbeddingDisplay", "NeighborsDisplay"]


class EmbeddingDisplay:
    """The first two principal components of a transformer's features, one point per sample, coloured by label.

    Parameters
    ----------
    embedding : ndarray of shape (n_samples, 2)
        The points.
    y : array-like of shape (n_samples,), default=None
        Labels: one colour per class, or a colour bar for continuous values.
    explained_variance_ratio : array-like of shape (2,), default=None
        Share of the features' variance along each axis, from 0 to 1, written at the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes with the points.
    figure_ : matplotlib Figure
        Their figure.
    points_ : list of matplotlib PathCollection
        One per class; a single one for continuous or missing labels.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdim import DeepInfoMaxTransformer
    >>> from skdim.plotting import EmbeddingDisplay
    >>> X, y = load_digits().images[:200], load_digits().target[:200]
    >>> dim = DeepInfoMaxTransformer(max_iter=1, random_state=0).fit(X)
    >>> display = EmbeddingDisplay.from_estimator(dim, X, y)
    >>> display.embedding.shape, display.points_[3].get_label()
    ((200, 2), '3')
    """

    def __init__(
        self, *, embedding: np.ndarray, y: ArrayLike | None = None, explained_variance_ratio: ArrayLike | None = None
    ) -> None:
        self.embedding = embedding
        self.y = y
        self.explained_variance_ratio = explained_variance_ratio

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        ax: Axes | None = None,
        scatter_kw: Mapping[str, Any] | None = None,
    ) -> EmbeddingDisplay:
        """Transform ``X``, draw the first two principal components of the features, and return the display.

        Parameters
        ----------
        estimator : scikit-learn transformer
            Fitted; also a Pipeline of transformers.
        X : array-like of shape (n_samples, ...)
            What ``estimator.transform`` accepts.
        y : array-like of shape (n_samples,), default=None
            Labels: one colour per class, or a colour bar for continuous values.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        scatter_kw : dict, default=None
            Keyword arguments for every call of :meth:`matplotlib.axes.Axes.scatter`.

        Raises
        ------
        ValueError, NotFittedError
            If there are fewer than two samples or features, or ``y`` and ``X`` differ in length.
        """
        check_is_fitted(estimator)
        features = np.asarray(estimator.transform(X))
        if y is not None:
            check_lengths(X=features, y=y)
        pca = PCA(n_components=2)
        points = pca.fit_transform(features)
        display = cls(embedding=points, y=y, explained_variance_ratio=pca.explained_variance_ratio_)
        return display.plot(ax, scatter_kw=scatter_kw)

    def plot(self, ax: Axes | None = None, *, scatter_kw: Mapping[str, Any] | None = None) -> EmbeddingDisplay:
        """Draw the points as :meth:`from_estimator` does, and return the display."""
        self.ax_ = axes_of(self, ax, title="Principal plane of the features", size=(6.8, 5.2))
        self.figure_ = self.ax_.figure
        style = {"s": 8, "alpha": 0.7, "linewidths": 0, **(scatter_kw or {})}
        y = None if self.y is None else column_or_1d(self.y)
        if y is None or type_of_target(y).startswith("continuous"):
            self.points_ = [self.ax_.scatter(*self.embedding.T, **{"c": y, **style})]
            if y is not None:
                self.figure_.colorbar(self.points_[0], ax=self.ax_)
        else:
            classes = np.unique(y)
            self.points_ = [
                self.ax_.scatter(*self.embedding[y == label].T, **{"color": color, "label": str(label), **style})
                for label, color in zip(classes, colors(len(classes)), strict=True)
            ]
            legend_beside(self.ax_, markerscale=2, fontsize="small")
        ratios = ["", ""]
        if self.explained_variance_ratio is not None:
            ratios = [f" ({ratio:.0%} of the variance)" for ratio in np.asarray(self.explained_variance_ratio)]
        self.ax_.set(xlabel=f"first principal component{ratios[0]}", ylabel=f"second principal component{ratios[1]}")
        return self


class NeighborsDisplay:
    """Samples, and beside each those with the nearest features, by Euclidean distance of standardised features.

    Images of one or three channels are drawn as pictures, all else as lines; missing values stay white.

    Parameters
    ----------
    samples : ndarray of shape (n_queries, n_neighbors + 1, ...)
        Each query, and its neighbours from near to far: images (H, W), (1, H, W), (3, H, W), series (L,), (C, L), or rows.
    neighbors : ndarray of int of shape (n_queries, n_neighbors + 1), default=None
        Their positions, written above them.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (n_queries, n_neighbors + 1)
        One for each sample.
    figure_ : matplotlib Figure
        Their figure.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdim import DeepInfoMaxTransformer
    >>> from skdim.plotting import NeighborsDisplay
    >>> X, y = load_digits().images[:300], load_digits().target[:300]
    >>> dim = DeepInfoMaxTransformer(max_iter=2, random_state=0).fit(X)
    >>> display = NeighborsDisplay.from_estimator(dim, X, queries=[0, 1], n_neighbors=3)
    >>> display.axes_.shape, display.neighbors[:, 0].tolist()
    ((2, 4), [0, 1])
    """

    def __init__(self, *, samples: np.ndarray, neighbors: np.ndarray | None = None) -> None:
        self.samples = samples
        self.neighbors = neighbors

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, queries: ArrayLike = (0, 1, 2, 3), n_neighbors: int = 5
    ) -> NeighborsDisplay:
        """Transform ``X``, find the neighbours of some samples among all, and return the display.

        Parameters
        ----------
        estimator : scikit-learn transformer
            Fitted; also a Pipeline of transformers.
        X : array of shape (n_samples, ...)
            What ``estimator.transform`` accepts, with slices or lists of positions.
        queries : array-like of int, default=(0, 1, 2, 3)
            Positions of the samples whose neighbours are sought.
        n_neighbors : int, default=5
            Neighbours of each, besides itself.

        Raises
        ------
        ValueError, NotFittedError
            If ``X`` has fewer than ``n_neighbors + 1`` samples, or ``queries`` are no positions of it.
        """
        check_is_fitted(estimator)
        queries, features = np.asarray(queries), np.asarray(estimator.transform(X), dtype=np.float64)
        n = len(features)
        if not (
            queries.ndim == 1 and len(queries) and queries.dtype.kind in "iu" and ((queries >= 0) & (queries < n)).all()
        ):
            raise ValueError(f"queries must hold positions of samples in X, from 0 to {n - 1}; got {queries.tolist()}.")
        if not 1 <= n_neighbors < n:
            raise ValueError(f"n_neighbors must be from 1 to {n - 1}, as X has {n} sample(s); got {n_neighbors}.")
        features = (features - features.mean(0)) / np.where(features.std(0) > 0, features.std(0), 1.0)
        found = NearestNeighbors(n_neighbors=n_neighbors + 1).fit(features)
        neighbors = np.array(
            [
                [query, *[i for i in near if i != query][:n_neighbors]]
                for query, near in zip(queries, found.kneighbors(features[queries], return_distance=False), strict=True)
            ]
        )  # a copy of the query may come before it
        samples = np.stack([np.asarray(X[row.tolist()]) for row in neighbors])
        return cls(samples=samples, neighbors=neighbors).plot()

    def plot(self) -> NeighborsDisplay:
        """Draw the samples as :meth:`from_estimator` does, on a figure of their own, and return the display."""
        samples = np.asarray(self.samples)
        n_queries, n_columns = samples.shape[:2]
        self.figure_, self.axes_ = figure_of(self, n_queries, n_columns, title="Samples and their nearest")
        limits = np.nanmin(samples), np.nanmax(samples)
        for (i, j), ax in np.ndenumerate(self.axes_):
            _draw_sample(ax, samples[i, j], limits)
            ax.set(xticks=[], yticks=[])
            if self.neighbors is not None:
                ax.set_title(str(self.neighbors[i][j]), fontsize="small")
            for spine in ax.spines.values():
                spine.set(visible=j == 0, linewidth=2, color=colors(2)[1])
        return self


def _draw_sample(ax: Axes, sample: np.ndarray, limits: tuple[Any, Any]) -> None:
    """Draw an image, or else a line for each channel."""
    if sample.ndim == 3 and sample.shape[0] in (1, 3):
        sample = sample[0] if sample.shape[0] == 1 else np.moveaxis(sample, 0, -1)
    if sample.ndim == 3 or (sample.ndim == 2 and min(sample.shape) > 3):
        shown = (sample - limits[0]) / max(limits[1] - limits[0], 1e-12)
        ax.imshow(shown, cmap="gray", vmin=0, vmax=1)
    else:
        for channel, color in zip(np.atleast_2d(sample), colors(len(np.atleast_2d(sample))), strict=True):
            ax.plot(channel, color=color, linewidth=1)
