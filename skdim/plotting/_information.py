"""Mutual information: an estimate beside its interval and cap, all pairs of columns, and what families of classifiers read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import leaves_list, linkage

from skdim.information import MIResult, mutual_information_matrix
from skdim.plotting._axes import BESIDE, axes_of, colors, draw_cells, legend_beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["EstimateDisplay", "LadderDisplay", "MutualInformationDisplay"]

#: Names along a side of a heat map; of more columns every second, third, ... is named.
MOST_NAMED = 50


class EstimateDisplay:
    r"""Estimates of mutual information with their intervals, lower bounds and caps, in nats.

    Parameters
    ----------
    results : mapping of str to MIResult
        Estimates by name, from top to bottom.
    truth : float, default=None
        The mutual information where it is known, as a line.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes, Figure
        Where they are drawn.
    values_ : matplotlib ErrorbarContainer
        The estimates with their intervals.

    Examples
    --------
    >>> from skdim import mutual_information
    >>> from skdim.plotting import EstimateDisplay
    >>> from skdim.synthetic import BEYOND_NORMAL
    >>> X, y = BEYOND_NORMAL["1v1-normal-0.75"].sample(500, random_state=0)
    >>> results = {name: mutual_information(X, y, estimator=name, random_state=0) for name in ("gaussian", "ksg")}
    >>> display = EstimateDisplay(results=results, truth=0.413).plot()
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['gaussian\nestimate', 'ksg\nestimate']
    """

    def __init__(self, *, results: Mapping[str, MIResult], truth: float | None = None) -> None:
        self.results = results
        self.truth = truth

    def plot(self, ax: Axes | None = None, *, errorbar_kw: Mapping[str, Any] | None = None) -> EstimateDisplay:
        """Draw the estimates, and return the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        errorbar_kw : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.errorbar`.
        """
        if not self.results:
            raise ValueError("results has no estimate to draw.")
        if not (isinstance(self.results, Mapping) and all(hasattr(part, "interval") for part in self.results.values())):
            raise TypeError("results must hold MIResult by name, such as {'auto': mutual_information(X, y)}.")
        self.ax_ = axes_of(self, ax, title="Mutual information", size=(BESIDE[0], 1.8 + 0.6 * len(self.results)))
        self.figure_ = self.ax_.figure
        results, places = list(self.results.values()), np.arange(len(self.results))
        values = np.array([result.value for result in results])
        ends = np.array([result.interval for result in results])
        of_value, of_bound, of_cap = colors(3)
        look = {
            "fmt": "o",
            "color": of_value,
            "capsize": 3,
            "label": "estimate, with its interval",
            **(errorbar_kw or {}),
        }
        # The interval of a corrected value need not hold it.
        lengths = np.maximum([values - ends[:, 0], ends[:, 1] - values], 0)
        self.values_ = self.ax_.errorbar(values, places, xerr=lengths, **look)
        bounds = [(r.lower_bound, i) for i, r in enumerate(results) if r.lower_bound is not None and r.kind != "lower"]
        caps = [(r.cap, i) for i, r in enumerate(results) if math.isfinite(r.cap)]
        for points, marker, color, label in (
            (bounds, ">", of_bound, "lower bound"),
            (caps, "|", of_cap, "cap, the largest value it can take"),
        ):
            if points:
                x, y = np.array(points).T
                self.ax_.scatter(x, y, marker=marker, color=color, s=60, label=label, zorder=3)
        if self.truth is not None:
            self.ax_.axvline(self.truth, color="black", linewidth=1, label="truth")
        labels = [f"{name}\n{result.kind}" for name, result in self.results.items()]
        self.ax_.set_yticks(places, labels)
        self.ax_.set(xlabel="mutual information (nats)", ylim=(len(results) - 0.5, -0.5))
        legend_beside(self.ax_, fontsize="small")
        return self


class LadderDisplay:
    """What ever richer families of classifiers read from features, in nats, with intervals.

    Parameters
    ----------
    ladders : mapping of str to LadderResult
        What :func:`~skdim.evaluation.probe_ladder` returned, by the name of the features.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes, Figure
        Where they are drawn.
    lines_ : dict of str to matplotlib ErrorbarContainer
        One for each features.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.evaluation import LadderResult
    >>> from skdim.plotting import LadderDisplay
    >>> ladder = LadderResult(
    ...     names=("linear", "trees"), accuracy=np.array([0.8, 0.9]), log_loss=np.array([0.5, 0.4]),
    ...     v_information=np.array([1.8, 1.9]), interval=np.array([[1.7, 1.9], [1.8, 2.0]]), nested=np.array([1.8, 1.9]))
    >>> LadderDisplay(ladders={"pixels": ladder}).plot().ax_.get_ylabel()
    'V-information (nats)'
    """

    def __init__(self, *, ladders: Mapping[str, Any]) -> None:
        self.ladders = ladders

    def plot(self, ax: Axes | None = None, *, errorbar_kw: Mapping[str, Any] | None = None) -> LadderDisplay:
        """Draw the ladders side by side, and return the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        errorbar_kw : dict, default=None
            Keyword arguments for every call of :meth:`matplotlib.axes.Axes.errorbar`.

        Raises
        ------
        ValueError
            If the ladders have other rungs.
        """
        rungs = {ladder.names for ladder in self.ladders.values()}
        if len(rungs) != 1:
            raise ValueError(f"ladders must have the same rungs, got {sorted(rungs)}.")
        self.ax_ = axes_of(self, ax, title="Usable information", size=BESIDE)
        self.figure_ = self.ax_.figure
        (names,) = rungs
        shifts = np.linspace(-0.15, 0.15, len(self.ladders)) if len(self.ladders) > 1 else [0.0]
        self.lines_ = {}
        for (name, ladder), shift, color in zip(self.ladders.items(), shifts, colors(len(self.ladders)), strict=True):
            low, high = ladder.interval.T
            lengths = np.maximum([ladder.v_information - low, high - ladder.v_information], 0)
            look = {"fmt": "o", "capsize": 3, "color": color, "label": name, **(errorbar_kw or {})}
            places = np.arange(len(names)) + shift
            self.lines_[name] = self.ax_.errorbar(places, ladder.v_information, yerr=lengths, **look)
        self.ax_.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names])
        self.ax_.set(ylabel="V-information (nats)")
        legend_beside(self.ax_)
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
        side = min(max(4.8, 2.4 + 0.22 * d), 13.0)  # inches: room for the names
        self.ax_ = axes_of(self, ax, title="Mutual information of columns", size=(side + 1.2, side))
        self.figure_ = self.ax_.figure
        shown = matrix[np.ix_(self.order_, self.order_)]
        pairs = shown[~np.eye(d, dtype=bool)]
        largest = float(np.nanmax(pairs)) if pairs.size and np.isfinite(pairs).any() else 1.0
        look = {"aspect": "equal", "vmin": 0.0, "vmax": max(largest, 0.01), **(image_kw or {})}
        self.image_ = draw_cells(self.ax_, shown, "mutual information (nats)", **look)
        names = [str(j) if self.names is None else self.names[j] for j in self.order_]
        ticks = range(0, d, math.ceil(d / MOST_NAMED))
        self.ax_.set_xticks(ticks, [names[j] for j in ticks], rotation=90)
        self.ax_.set_yticks(ticks, [names[j] for j in ticks])
        return self


def _by_similarity(matrix: np.ndarray) -> np.ndarray:
    """Return the leaves of average-linkage clustering, in the order in which neighbours are closest."""
    if len(matrix) < 3:
        return np.arange(len(matrix))
    distances = np.exp(-np.maximum(np.nan_to_num((matrix + matrix.T) / 2), 0))
    condensed = distances[np.triu_indices(len(matrix), 1)]
    return np.asarray(leaves_list(linkage(condensed, "average", optimal_ordering=True)))
