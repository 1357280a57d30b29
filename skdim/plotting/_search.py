"""What a search over parameters found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skdim.plotting._axes import axes_of, draw_cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SearchDisplay"]


class SearchDisplay:
    """The best mean score of a search for each pair of values of two parameters, as a heat map.

    Parameters
    ----------
    scores : ndarray of shape (n_rows, n_columns)
        The best mean score of the candidates with these values; NaN where there is none.
    rows, columns : tuple of (str, list)
        A parameter's name, and its values.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes, Figure
        Where it is drawn.
    image_ : matplotlib AxesImage
        The heat map.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.svm import SVC
    >>> from skdim.plotting import SearchDisplay
    >>> search = GridSearchCV(SVC(), {"C": [0.1, 10], "gamma": [0.01, 0.1]}).fit(*load_iris(return_X_y=True))
    >>> SearchDisplay.from_search(search, "C", "gamma").scores.round(2).tolist()
    [[0.91, 0.92], [0.98, 0.98]]
    """

    def __init__(self, *, scores: np.ndarray, rows: tuple[str, list[Any]], columns: tuple[str, list[Any]]) -> None:
        self.scores = scores
        self.rows = rows
        self.columns = columns

    @classmethod
    def from_search(
        cls,
        search: Any,
        row: str,
        column: str,
        *,
        ax: Axes | None = None,
        image_kw: Mapping[str, Any] | None = None,
    ) -> SearchDisplay:
        """Draw the scores of a fitted search over two of its parameters, and return the display.

        Parameters
        ----------
        search : GridSearchCV, HalvingGridSearchCV or another with ``cv_results_``
            Fitted. Of candidates that differ in other parameters the best is drawn.
        row, column : str
            Names of two parameters that were searched.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        image_kw : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.imshow`.

        Raises
        ------
        ValueError, NotFittedError
            If a parameter was not searched, or the search is not fitted.
        """
        check_is_fitted(search, "cv_results_")
        candidates, means = search.cv_results_["params"], search.cv_results_["mean_test_score"]
        for name in (row, column):
            if not all(name in candidate for candidate in candidates):
                raise ValueError(f"{name!r} was not searched; searched were {sorted(set().union(*candidates))}.")
        # Values may be objects without hash or order: their text tells them apart.
        rows, columns = ({str(each[name]): each[name] for each in candidates} for name in (row, column))
        scores = np.full((len(rows), len(columns)), np.nan)
        for candidate, mean in zip(candidates, means, strict=True):
            place = list(rows).index(str(candidate[row])), list(columns).index(str(candidate[column]))
            scores[place] = np.fmax(scores[place], mean)
        found = cls(scores=scores, rows=(row, list(rows.values())), columns=(column, list(columns.values())))
        return found.plot(ax, image_kw=image_kw)

    def plot(self, ax: Axes | None = None, *, image_kw: Mapping[str, Any] | None = None) -> SearchDisplay:
        """Draw the heat map as :meth:`from_search` does, and return the display."""
        self.ax_ = axes_of(self, ax, title="Best mean score")
        self.figure_ = self.ax_.figure
        self.image_ = draw_cells(self.ax_, self.scores, "mean score", **(image_kw or {}))
        (row, row_values), (column, column_values) = self.rows, self.columns
        self.ax_.set_yticks(range(len(row_values)), [str(value) for value in row_values])
        self.ax_.set_xticks(range(len(column_values)), [str(value) for value in column_values], rotation=30, ha="right")
        self.ax_.set(xlabel=column, ylabel=row)
        return self
