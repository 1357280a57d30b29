"""Variables in cells: bins of ranks, or symbols."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from sklearn.utils import _safe_indexing, check_array, column_or_1d

from skdim.discrete import Codebook, discrete_columns, is_discrete

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


class Margin(NamedTuple):
    """One variable, and the cells that its values fall into."""

    codes: Ints  # (n,), the cell of each row
    n_cells: int
    ranks: Floats | None  # (n_cells,), mean rank over n of the values of a cell; None for symbols


def _bins(values: Floats, max_bins: int) -> Margin:
    codes, counts = np.unique(values, return_inverse=True, return_counts=True)[1:]
    n = len(values)
    centred = _centred_ranks(counts)
    above = codes[np.flatnonzero(centred[codes])[:1]]
    if len(above) and centred[above[0]] < 0:  # the first row lies above the median: so a falling map changes nothing
        codes, counts, centred = len(counts) - 1 - codes, counts[::-1], -centred[::-1]
    if len(counts) > max_bins:
        rank = centred / n + 0.5
        even = rank / 2 + (1 - ndtri(rank) / ndtri(0.5 / n)) / 4
        bins = np.unique(np.floor(even * max_bins), return_inverse=True)[1]
        codes, counts = bins[codes], np.bincount(bins, counts)
    return Margin(codes, len(counts), _centred_ranks(counts) / n + 0.5)


def _centred_ranks(counts: npt.NDArray[Any]) -> Floats:
    """Return the mean rank of each distinct value, less the mean of all."""
    return np.cumsum(counts) - (counts + counts.sum()) / 2


def _symbols(codes: Ints) -> Margin:
    return Margin(codes, int(codes.max()) + 1, None)


def which_discrete(X: Any, discrete_X: Any) -> npt.NDArray[np.bool_]:
    try:
        discrete = discrete_columns(X, discrete_X)
    except ValueError as error:
        raise ValueError(str(error).replace("discrete=", "discrete_X=")) from None
    if np.ndim(X) != 2:
        raise ValueError(
            f"X must have shape (n_samples, n_features), got {np.shape(X)}. Reshape one feature to (-1, 1)."
        )
    return discrete


def target_margin(y: Any, discrete_y: Any, max_bins: int) -> Margin:
    if np.ndim(y) != 1:
        y = column_or_1d(y, warn=True)
    if is_discrete(y) if isinstance(discrete_y, str) else discrete_y:
        try:
            return _symbols(Codebook.fit(y).encode(y)[:, 0])
        except (TypeError, ValueError) as error:
            raise type(error)(str(error).replace("X h", "y h")) from None
    if np.asarray(y).dtype.kind not in "biufO":
        raise ValueError(
            f"y holds no real numbers (dtype {np.asarray(y).dtype}), so it cannot be continuous. Give discrete_y=True, or "
            "convert it to numbers."
        )
    return _bins(check_array(y, ensure_2d=False, dtype=np.float64, input_name="y"), max_bins)


def column_margins(X: Any, discrete: npt.NDArray[np.bool_], max_bins: int) -> list[Margin]:
    if not hasattr(X, "columns"):
        array = np.asarray(X)
        X = np.asarray(X, dtype=object) if array.dtype.kind == "U" else array  # else numbers became strings
    margins: dict[int, Margin] = {}
    for is_chosen in (False, True):
        places = np.flatnonzero(discrete == is_chosen)
        if not len(places):
            continue
        part = _safe_indexing(X, places, axis=1)
        if is_chosen:
            margins |= zip(places, map(_symbols, Codebook.fit(part).encode(part).T), strict=True)
        else:
            numbers = check_array(part, dtype=np.float64, input_name="X")
            margins |= zip(places, (_bins(column, max_bins) for column in numbers.T), strict=True)
    return [margins[j] for j in range(len(discrete))]
