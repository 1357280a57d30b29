"""Plots of fitted estimators, as scikit-learn's ``Display`` objects. They need matplotlib, the extra ``plot``."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import leaves_list, linkage
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d

from skdim._params import look_up
from skdim._sklearn import check_matplotlib_support
from skdim.information import mutual_information_matrix
from skdim.inputs.tables import check_lengths

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["EmbeddingDisplay", "LossCurveDisplay", "MutualInformationDisplay"]

#: Entries of a legend within the axes; a longer legend stands beside them.
MOST_WITHIN = 6
#: Columns of a heat map whose cells have their value written in them.
MOST_WRITTEN = 12


class LossCurveDisplay:
    """The loss of each epoch and its terms, in nats on the left axis and in other units on the right one.

    Parameters
    ----------
    curves : mapping of str to array-like of shape (n_epochs,)
        Values by name; NaN where an epoch has none. "valid_x" holds the held-out values of "x", which are dashed.
    units : mapping of str to str, default=None
        Units by name: "nats", or "share" for values from 0 to 1; a curve without unit is a loss. None: all are losses.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the curves in nats, or of all curves if these have one unit.
    right_ax_ : matplotlib Axes or None
        Axes of the other curves, with the scale on the right.
    figure_ : matplotlib Figure
        The figure of both.
    lines_ : dict of str to matplotlib Line2D
        One line per curve.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdim import DeepInfoMaxTransformer
    >>> from skdim.plotting import LossCurveDisplay
    >>> dim = DeepInfoMaxTransformer(max_iter=2, random_state=0).fit(load_digits().images[:200])
    >>> display = LossCurveDisplay.from_estimator(dim)
    >>> display.lines_["local"].get_xdata().tolist(), display.ax_.get_ylabel(), display.right_ax_.get_ylabel()
    ([1, 2], 'nats', 'loss')
    """

    def __init__(self, *, curves: Mapping[str, ArrayLike], units: Mapping[str, str] | None = None) -> None:
        self.curves = curves
        self.units = units

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        terms: Sequence[str] | None = None,
        ax: Axes | None = None,
        line_kw: Mapping[str, Any] | None = None,
    ) -> LossCurveDisplay:
        """Draw what ``history_`` of a fitted estimator records, and return the display.

        Parameters
        ----------
        estimator : transformer of skdim, MIEstimator, or Pipeline with one of them as a step
            Fitted, with at least one epoch. Each network of an ``MIEstimator`` has its own curves.
        terms : sequence of str, default=None
            Terms to draw, with their held-out values. None draws all but shares.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        line_kw : dict, default=None
            Keyword arguments for every call of :meth:`matplotlib.axes.Axes.plot`.

        Raises
        ------
        ValueError, NotFittedError
            If no epoch was trained, a term is unknown, or not exactly one step has a ``history_``.
        """
        fitted = _with_history(estimator)
        history, units = fitted.history_, getattr(fitted, "history_units_", {})
        numbers = [
            name for row in history for name, v in row.items() if isinstance(v, Real) and not isinstance(v, bool)
        ]
        names = dict.fromkeys(numbers)
        recorded = {name: None for name in names if name not in ("epoch", "network") and _term(name, names) == name}
        if terms is None:
            terms = [term for term in recorded if units.get(term) != "share"]
        for term in terms:
            look_up("term", term, recorded)
        networks = dict.fromkeys(row.get("network") for row in history)
        curves, units_of_curves = {}, {}
        for term, prefix, network in itertools.product(terms, ("", "valid_"), networks):
            if (name := f"{prefix}{term}") in names:
                curve = name if len(networks) == 1 else f"{name}, network {network}"
                of_network = [row if row.get("network") == network else {} for row in history]
                curves[curve] = [row.get(name, np.nan) for row in of_network]
                units_of_curves[curve] = units.get(term, "loss")
        return cls(curves=curves, units=units_of_curves).plot(ax, line_kw=line_kw)

    def plot(self, ax: Axes | None = None, *, line_kw: Mapping[str, Any] | None = None) -> LossCurveDisplay:
        """Draw the curves as :meth:`from_estimator` does, and return the display."""
        self.ax_ = _axes(self, ax)
        self.figure_ = self.ax_.figure
        terms = {name: _term(name, self.curves) for name in self.curves}
        units = {name: (self.units or {}).get(term, "loss") for name, term in terms.items()}
        right = [name for name, unit in units.items() if unit != "nats"] if "nats" in units.values() else []
        self.right_ax_ = self.ax_.twinx() if right else None
        others = [term for term in dict.fromkeys(terms.values()) if term != "loss"]
        colors = dict(zip(others, _colors(len(others)), strict=True)) | {"loss": "black"}
        self.lines_ = {}
        for name, values in self.curves.items():
            is_held_out, y = name != terms[name], np.asarray(values, dtype=np.float64)
            x = np.flatnonzero(~np.isnan(y))
            look: dict[str, Any] = {
                "color": colors[terms[name]],
                "linestyle": "--" if is_held_out else "-",
                "marker": "." if len(x) == 1 else "",
                "label": f"{'validation ' * is_held_out}{terms[name]}{' (right)' * (name in right)}",
            }
            axes = self.right_ax_ if self.right_ax_ is not None and name in right else self.ax_
            self.lines_[name] = axes.plot(x + 1, y[x], **{**look, **(line_kw or {})})[0]
        self.ax_.set(xlabel="epoch", ylabel=" and ".join(dict.fromkeys(units[n] for n in units if n not in right)))
        if self.right_ax_ is not None:
            self.right_ax_.set_ylabel(" and ".join(dict.fromkeys(units[name] for name in right)))
        self.ax_.locator_params(axis="x", integer=True)
        handles, last = list(self.lines_.values()), self.right_ax_ or self.ax_
        if len(handles) <= MOST_WITHIN:
            last.legend(handles=handles)
        else:  # the padding, in font sizes, leaves room for the scale on the right
            last.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), borderaxespad=6 if right else 1)
        return self


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
        self.ax_ = _axes(self, ax)
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
                for label, color in zip(classes, _colors(len(classes)), strict=True)
            ]
            self.ax_.legend(markerscale=2, fontsize="small")
        ratios = ["", ""]
        if self.explained_variance_ratio is not None:
            ratios = [f" ({ratio:.0%} of the variance)" for ratio in np.asarray(self.explained_variance_ratio)]
        self.ax_.set(xlabel=f"first principal component{ratios[0]}", ylabel=f"second principal component{ratios[1]}")
        return self


class MutualInformationDisplay:
    """The mutual information of all pairs of columns as a heat map, in nats, with similar columns side by side.

    Parameters
    ----------
    matrix : array-like of shape (n_columns, n_columns)
        Mutual information in nats; NaN on the diagonal where a column is continuous.
    names : sequence of str, default=None
        Names of the columns; None numbers them.
    order : array-like of int, default=None
        Columns from left to right; None is the order of hierarchical clustering by average distances e^-I of pairs, which is
        the root of 1 - rho^2 for Gaussian ones.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes with the heat map.
    figure_ : matplotlib Figure
        Their figure.
    image_ : matplotlib AxesImage
        The heat map. Its colours reach from 0 to the largest value of a pair.
    order_ : ndarray of shape (n_columns,)
        Columns from left to right.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.plotting import MutualInformationDisplay
    >>> x, noise, other = np.random.default_rng(0).normal(size=(3, 500))
    >>> display = MutualInformationDisplay.from_data(np.column_stack([x, other, x + noise]))
    >>> display.order_.tolist(), round(float(display.matrix[0, 2]), 1)
    ([1, 2, 0], 0.3)
    """

    def __init__(
        self, *, matrix: ArrayLike, names: Sequence[str] | None = None, order: ArrayLike | None = None
    ) -> None:
        self.matrix = matrix
        self.names = names
        self.order = order

    @classmethod
    def from_data(
        cls, X: Any, *, ax: Axes | None = None, image_kw: Mapping[str, Any] | None = None, **params: Any
    ) -> MutualInformationDisplay:
        """Estimate the mutual information of all pairs of columns, draw it, and return the display.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_columns)
            What :func:`~skdim.mutual_information_matrix` accepts.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        image_kw : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.imshow`.
        **params
            Parameters of :func:`~skdim.mutual_information_matrix`.
        """
        names = [str(name) for name in X.columns] if hasattr(X, "columns") else None
        matrix = np.asarray(mutual_information_matrix(X, **params))
        return cls(matrix=matrix, names=names).plot(ax, image_kw=image_kw)

    def plot(self, ax: Axes | None = None, *, image_kw: Mapping[str, Any] | None = None) -> MutualInformationDisplay:
        """Draw the heat map as :meth:`from_data` does, and return the display."""
        matrix = np.asarray(self.matrix, dtype=np.float64)
        d = len(matrix)
        if matrix.shape != (d, d):
            raise ValueError(f"matrix must have shape (n_columns, n_columns), got {matrix.shape}.")
        if self.names is not None and len(self.names) != d:
            raise ValueError(f"names has {len(self.names)} entries, but matrix has {d} columns.")
        self.order_ = _by_similarity(matrix) if self.order is None else np.asarray(self.order)
        if sorted(self.order_.tolist()) != list(range(d)):
            raise ValueError(f"order must hold every number from 0 to {d - 1} once, got {self.order_.tolist()}.")
        self.ax_ = _axes(self, ax)
        self.figure_ = self.ax_.figure
        shown = matrix[np.ix_(self.order_, self.order_)]
        pairs = shown[~np.eye(d, dtype=bool)]
        largest = float(np.nanmax(pairs)) if pairs.size and np.isfinite(pairs).any() else 1.0
        look = {"cmap": "viridis", "vmin": 0.0, "vmax": max(largest, 0.01), **(image_kw or {})}
        self.image_ = self.ax_.imshow(shown, **look)
        self.figure_.colorbar(self.image_, ax=self.ax_, label="mutual information (nats)")
        names = [str(j) if self.names is None else self.names[j] for j in self.order_]
        self.ax_.set_xticks(range(d), names, rotation=90)
        self.ax_.set_yticks(range(d), names)
        if d <= MOST_WRITTEN:
            low, high = self.image_.get_clim()
            middle = ((low or 0.0) + (high or 0.0)) / 2
            for i, j in np.argwhere(np.isfinite(shown)):
                color = "white" if shown[i, j] < middle else "black"
                self.ax_.text(j, i, f"{shown[i, j]:.2f}", ha="center", va="center", color=color, fontsize="small")
        return self


def _by_similarity(matrix: np.ndarray) -> np.ndarray:
    """Return the leaves of average-linkage clustering, in the order in which neighbours are closest."""
    if len(matrix) < 3:
        return np.arange(len(matrix))
    distances = np.exp(-np.maximum(np.nan_to_num((matrix + matrix.T) / 2), 0))
    condensed = distances[np.triu_indices(len(matrix), 1)]
    return np.asarray(leaves_list(linkage(condensed, "average", optimal_ordering=True)))


def _axes(display: object, ax: Axes | None) -> Axes:
    check_matplotlib_support(type(display).__name__)
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1] if ax is None else ax


def _colors(n: int) -> Sequence[Any]:
    """Return colours that colour-blind readers can tell apart: Petroff, arXiv:2107.02270; more than ten come from viridis."""
    import matplotlib as mpl

    few = mpl.color_sequences["petroff10"]
    return few[:n] if n <= len(few) else [*mpl.colormaps["viridis"](np.linspace(0, 1, n))]


def _term(name: str, names: Collection[str]) -> str:
    """Return a name without the "valid_" of held-out values."""
    term = name.removeprefix("valid_")
    return term if term in names else name


def _steps(estimator: Any) -> Iterator[Any]:
    """Yield an estimator, or the steps of a Pipeline."""
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps:
            yield from _steps(step)
    else:
        yield estimator


def _with_history(estimator: Any) -> Any:
    """Return the one estimator or step that recorded epochs."""
    check_is_fitted(estimator)
    found = [step for step in _steps(estimator) if hasattr(step, "history_")]
    if len(found) != 1:
        raise ValueError(
            f"LossCurveDisplay draws one estimator with history_, but {type(estimator).__name__} has {len(found)}. Pass a "
            "fitted transformer of skdim or an MIEstimator; for a Pipeline with several, the step itself: pipeline['name']."
        )
    if not found[0].history_:
        is_zero = getattr(found[0], "max_iter", None) == 0
        reason = "max_iter=0" if is_zero else "its value is known, counted or in closed form, or there are too few rows"
        raise ValueError(f"{type(found[0]).__name__} trained no epoch that could be drawn: {reason}.")
    return found[0]
