"""Pictures of a fitted transformer, as scikit-learn's ``Display`` objects. They need matplotlib: the extra ``plot``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.decomposition import PCA
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["EmbeddingDisplay", "LossCurveDisplay"]

_CURVES = ("loss", "local", "global", "code", "prior")


def _axes(display: object, ax: Axes | None) -> Axes:
    check_matplotlib_support(type(display).__name__)
    import matplotlib.pyplot as plt

    return plt.subplots()[1] if ax is None else ax


class LossCurveDisplay:
    """The training loss of every epoch, and the terms it is made of.

    Make one with :meth:`from_estimator`.

    Parameters
    ----------
    loss : array-like of shape (n_epochs,)
        Training loss.
    terms : mapping of str to array-like of shape (n_epochs,)
        Terms of the objective by name, in nats; NaN where an epoch has no value. A name that begins with ``valid_`` is
        drawn dashed, in the colour of the training term it belongs to.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : dict of str to matplotlib Line2D
        ``"loss"`` and one line per term.

    See Also
    --------
    EmbeddingDisplay : The features in two dimensions.

    Examples
    --------
    >>> from skdim.plotting import LossCurveDisplay
    >>> display = LossCurveDisplay(loss=[0.0, -1.5, -2.0], terms={"local": [0.0, 1.5, 2.0]})
    >>> display.plot().lines_["local"].get_ydata().tolist()
    [0.0, 1.5, 2.0]
    """

    def __init__(self, *, loss: ArrayLike, terms: Mapping[str, ArrayLike]) -> None:
        self.loss = loss
        self.terms = terms

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Axes | None = None, line_kw: Mapping[str, Any] | None = None
    ) -> LossCurveDisplay:
        """Draw the curves of a fitted transformer.

        Parameters
        ----------
        estimator : DeepInfoMaxTransformer
            Fitted, with at least one epoch.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        line_kw : dict, default=None
            Keyword arguments for every call of :meth:`matplotlib.axes.Axes.plot`.

        Returns
        -------
        LossCurveDisplay
            What was drawn.

        Raises
        ------
        ValueError
            If the transformer was fitted with ``max_iter=0``, so that no epoch was trained.
        sklearn.exceptions.NotFittedError
            If the transformer is not fitted.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from skdim import DeepInfoMaxTransformer
        >>> from skdim.plotting import LossCurveDisplay
        >>> dim = DeepInfoMaxTransformer(max_iter=2, random_state=0).fit(load_digits().images[:200])
        >>> display = LossCurveDisplay.from_estimator(dim)
        >>> len(display.lines_["loss"].get_ydata())
        2
        """
        check_is_fitted(estimator)
        if not estimator.history_:
            raise ValueError("There is no loss curve: the transformer was fitted with max_iter=0.")
        epochs = estimator.history_
        names = [
            name for curve in _CURVES for name in (curve, f"valid_{curve}") if any(name in epoch for epoch in epochs)
        ]
        curves = {name: [epoch.get(name, np.nan) for epoch in epochs] for name in names}
        return cls(loss=curves.pop("loss"), terms=curves).plot(ax, line_kw=line_kw)

    def plot(self, ax: Axes | None = None, *, line_kw: Mapping[str, Any] | None = None) -> LossCurveDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        line_kw : dict, default=None
            Keyword arguments for every call of :meth:`matplotlib.axes.Axes.plot`.

        Returns
        -------
        LossCurveDisplay
            The display itself.
        """
        self.ax_ = _axes(self, ax)
        self.figure_ = self.ax_.figure
        epochs = np.arange(1, np.size(self.loss) + 1)
        style = dict(line_kw or {})
        self.lines_ = {"loss": self.ax_.plot(epochs, self.loss, **{"color": "black", "label": "loss", **style})[0]}
        for name, values in self.terms.items():
            trained = self.lines_.get(name.removeprefix("valid_"))
            look = {"color": trained.get_color(), "linestyle": "--"} if trained is not None else {}
            line = self.ax_.plot(epochs, values, **{**look, "label": name.replace("valid_", "validation "), **style})[0]
            self.lines_[name] = line
        self.ax_.set(xlabel="epoch", ylabel="nats")
        self.ax_.legend()
        return self


class EmbeddingDisplay:
    """The features of a fitted transformer in two dimensions, one point per sample, coloured by label.

    Make one with :meth:`from_estimator`. The two dimensions are the first principal components of the features: a linear
    picture of a linear quality, with nothing to tune.

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
        The axes drawn on.
    figure_ : matplotlib Figure
        Their figure.
    points_ : list of matplotlib PathCollection
        One per class; a single one for continuous or missing labels.

    See Also
    --------
    LossCurveDisplay : The loss of every epoch.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.plotting import EmbeddingDisplay
    >>> display = EmbeddingDisplay(embedding=np.zeros((4, 2)), y=["cat", "dog", "cat", "dog"]).plot()
    >>> [points.get_label() for points in display.points_]
    ['cat', 'dog']
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
        """Transform ``X`` and draw the first two principal components of the features.

        Parameters
        ----------
        estimator : scikit-learn transformer
            Fitted; a Pipeline of transformers too.
        X : array-like of shape (n_samples, ...)
            What ``estimator.transform`` accepts.
        y : array-like of shape (n_samples,), default=None
            Labels: one colour per class, or a colour bar for continuous values.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        scatter_kw : dict, default=None
            Keyword arguments for every call of :meth:`matplotlib.axes.Axes.scatter`.

        Returns
        -------
        EmbeddingDisplay
            What was drawn.

        Raises
        ------
        ValueError
            If there are fewer than two samples or features, or ``y`` is of another length than ``X``.
        sklearn.exceptions.NotFittedError
            If the transformer is not fitted.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from skdim import DeepInfoMaxTransformer
        >>> from skdim.plotting import EmbeddingDisplay
        >>> X, y = load_digits().images[:200], load_digits().target[:200]
        >>> dim = DeepInfoMaxTransformer(max_iter=1, random_state=0).fit(X)
        >>> EmbeddingDisplay.from_estimator(dim, X, y).embedding.shape
        (200, 2)
        """
        check_is_fitted(estimator)
        features = np.asarray(estimator.transform(X))
        check_consistent_length(features, y)
        pca = PCA(n_components=2)
        embedding = pca.fit_transform(features)
        display = cls(embedding=embedding, y=y, explained_variance_ratio=pca.explained_variance_ratio_)
        return display.plot(ax, scatter_kw=scatter_kw)

    def plot(self, ax: Axes | None = None, *, scatter_kw: Mapping[str, Any] | None = None) -> EmbeddingDisplay:
        """Draw the points.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        scatter_kw : dict, default=None
            Keyword arguments for every call of :meth:`matplotlib.axes.Axes.scatter`.

        Returns
        -------
        EmbeddingDisplay
            The display itself.
        """
        self.ax_ = _axes(self, ax)
        self.figure_ = self.ax_.figure
        style = {"s": 8, "alpha": 0.7, "linewidths": 0, **(scatter_kw or {})}
        y = None if self.y is None else column_or_1d(self.y)
        if y is None or type_of_target(y).startswith("continuous"):
            self.points_ = [self.ax_.scatter(*self.embedding.T, **{"c": y, **style})]
            if y is not None:
                self.figure_.colorbar(self.points_[0], ax=self.ax_)
        else:
            self.points_ = self._plot_classes(y, style)
        ratios = [""] * 2 if self.explained_variance_ratio is None else _percent(self.explained_variance_ratio)
        self.ax_.set(xlabel=f"first principal component{ratios[0]}", ylabel=f"second principal component{ratios[1]}")
        return self

    def _plot_classes(self, y: np.ndarray, style: Mapping[str, Any]) -> list[Any]:
        import matplotlib as mpl

        classes = np.unique(y)
        colormap = mpl.colormaps["tab10"] if len(classes) <= 10 else mpl.colormaps["turbo"].resampled(len(classes))
        points = [
            self.ax_.scatter(*self.embedding[y == label].T, **{"color": color, "label": str(label), **style})
            for label, color in zip(classes, colormap(np.arange(len(classes))), strict=True)
        ]
        self.ax_.legend(markerscale=2, fontsize="small")
        return points


def _percent(ratios: ArrayLike) -> list[str]:
    return [f" ({ratio:.0%} of the variance)" for ratio in np.asarray(ratios)]
