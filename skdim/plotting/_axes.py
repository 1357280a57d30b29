"""What displays share: new axes, colours, legends, cells with numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skdim._sklearn import check_matplotlib_support

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

#: Inches of a new figure with a legend beside the axes.
BESIDE = (8.0, 4.6)
#: Cells along a side of a heat map that have their value written in them.
MOST_WRITTEN = 12
#: Entries of one column of a legend.
MOST_IN_COLUMN = 16


def axes_of(display: object, ax: Axes | None, title: str, size: tuple[float, float] | None = None) -> Axes:
    """Return the axes that were given, or new ones with a title."""
    check_matplotlib_support(type(display).__name__)
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    new = plt.subplots(figsize=size, layout="constrained")[1]
    new.set_title(title)
    return new


def figure_of(display: object, n_rows: int, n_columns: int, title: str) -> tuple[Figure, np.ndarray]:
    """Return a new figure with a title, and its grid of small axes."""
    check_matplotlib_support(type(display).__name__)
    import matplotlib.pyplot as plt

    size = (1.1 * n_columns + 0.3, 1.25 * n_rows + 0.5)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=size, layout="constrained", squeeze=False)
    figure.suptitle(title)
    return figure, axes


def colors(n: int) -> Sequence[Any]:
    """Return colours that colour-blind readers can tell apart: Petroff, arXiv:2107.02270; more than ten come from viridis."""
    import matplotlib as mpl

    few = mpl.color_sequences["petroff10"]
    return few[:n] if n <= len(few) else [*mpl.colormaps["viridis"](np.linspace(0, 1, n))]


def legend_beside(ax: Axes, pad: float = 1.0, **options: Any) -> None:
    """Put the legend beside the axes, where it hides no curve; ``pad`` is the distance in font sizes."""
    n_entries = len(options.get("handles", ax.get_legend_handles_labels()[0]))
    options["ncols"] = math.ceil(n_entries / MOST_IN_COLUMN)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), borderaxespad=pad, frameon=False, **options)


def draw_cells(ax: Axes, values: np.ndarray, label: str, **image_kw: Any) -> AxesImage:
    """Draw a heat map with a colour bar, and the value in each cell if there are few."""
    image = ax.imshow(values, **{"cmap": "viridis", "aspect": "auto", **image_kw})
    ax.figure.colorbar(image, ax=ax, label=label)
    if max(values.shape) <= MOST_WRITTEN:
        low, high = image.get_clim()
        middle = ((low or 0.0) + (high or 0.0)) / 2
        for i, j in np.argwhere(np.isfinite(values)):
            color = "white" if values[i, j] < middle else "black"
            ax.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", color=color, fontsize="small")
    return image
