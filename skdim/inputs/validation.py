"""Arrays of samples as users give them -> validated arrays of a known shape."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array, validate_data

from skdim._sklearn import safe_indexing
from skdim.exceptions import InputShapeWarning, warn
from skdim.inputs.arrays import Stored, as_stored, is_stored
from skdim.inputs.sequences import unequal_shapes
from skdim.inputs.tables import DROP_OR_END, as_plain, naming_cells, refuse_not_finite, refuse_sparse

#: Numbers of channels of photographs: grey, colour, colour and transparency.
COLOURS = 1, 3, 4
MOST_COLOURS = max(COLOURS)
#: How many times longer one axis is than the other where a sample is doubted to be an image, or its channels to be first.
MOST_RATIO = 4
#: How many times more channels than times make times that look to be first. Windows of 24 times of 7 channels do; in sound, 64
#: bands of 32 frames are as given.
MOST_CHANNELS = 3
#: What objects that hold no values themselves give, by what tells them: lazy frames, loaders, the results of load_images.
GIVES = {"collect": "X.collect()", "dataset": "X.dataset", "data": "X.data"}
#: Which class takes views as a list.
VIEWS = "MultiViewInfoMaxTransformer takes them, each (n_samples, ...): of a vector give reshape(-1, 1)"
#: Most samples of a list, and how many times more rows each has than there are samples, where they look like views.
MOST_DOUBTED, ROWS_OF_VIEWS = 4, 10
#: Shortest side of flat images that are told, by their number of channels: smaller ones would be encoded as a table anyway.
LEAST_SIDES = {1: 8, 3: 16}
#: By how much neighbours in a row and in a column correlate above columns half a side apart, in flat images: 0.37 in
#: photographs of 32 x 32 pixels (CIFAR-10), 0.16 in the same at 8 x 8, 0.25 in digits. Parts of real tables, cut out at every
#: square width, reach it where questions are repeated, but then have no peak one row down, except for one table of grants.
LEAST_EXCESS = 0.15
#: Fewest rows that tell it, and most rows and cells that are read for it.
FEWEST_ROWS, MOST_ROWS, MOST_CELLS = 20, 1000, 2**22


def as_given(X: Any) -> Any:
    """Return X as samples outside memory, an array, a list or a frame; paths, and objects that hold no values, are refused."""
    if is_stored(X):
        return as_stored(X)
    refuse_sparse(X, "X")
    if hasattr(type(X), "to_dask_array"):
        raise TypeError(
            f"X is a Dask {type(X).__name__}; give X.to_dask_array(lengths=True), which is read part by part."
        )
    X = as_plain(X)
    values = X.to_numpy() if hasattr(X, "to_numpy") and len(X.shape) == 1 else X
    is_flat = isinstance(values, np.ndarray) and values.ndim == 1
    if is_flat and values.dtype == object and len(values) and np.ndim(values[0]):
        return list(values) if values is X else X.to_list()  # samples of their own shapes
    one = values[0] if (is_flat or isinstance(X, (list, tuple))) and len(values) else X
    if isinstance(one, (str, os.PathLike)):
        raise TypeError(
            f"X is text, such as {str(one)!r}, and no numbers. skdim.datasets.load_images reads a folder of images, or a list "
            "of files: give its data."
        )
    if not hasattr(X, "__array__") and (found := [gives for name, gives in GIVES.items() if hasattr(X, name)]):
        raise TypeError(f"X is a {type(X).__name__}, which is no array itself: give {found[0]}.")
    if isinstance(X, Mapping):
        raise TypeError(
            f"X is a {type(X).__name__}, which is no array: give one of its values, X[{next(iter(X), 'name')!r}], "
            "pandas.DataFrame(X) of columns, or list(X.values()) of views."
        )
    is_of_words = isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "US"
    return X.astype(object) if is_of_words else X  # of objects the cell is named


def validate_samples(
    estimator: Any, X: Any, *, reset: bool, min_samples: int = 1, finite: bool | str = True, columns: Any = None
) -> Any:
    """Return X as an array of real numbers of 2 to 4 dimensions, uncopied where it is one; samples outside memory stay there.

    The estimator learns the number and names of the columns of a 2-D X (``reset``), or must have been fitted on the same.
    ``finite`` is scikit-learn's ``ensure_all_finite``. Of a 2-D X only ``columns`` are read, all by default.
    """
    X = as_given(X)
    if shapes := unequal_shapes(X):
        are_views = len({shape[:1] for shape in shapes}) == 1
        raise ValueError(
            f"X holds samples of unequal shapes, from {shapes[0]} to {shapes[-1]}. "
            + (f"If they are views of {shapes[0][0]} samples, {VIEWS}. " if are_views and shapes[0] else "")
            + "Series of unequal length are taken by CPCTransformer, as a list. For other classes cut or resample them to one "
            "shape."
        )
    if reset:
        _doubt_samples(X)
    stacked = np.ndim(X) > 2 if isinstance(X, (list, tuple)) else getattr(X, "ndim", 2) > 2
    checks: dict[str, Any] = {"dtype": "numeric", "ensure_min_samples": min_samples, "ensure_all_finite": False}
    given = X
    if isinstance(X, Stored):
        X = checked_as_read(estimator, X, min_samples, finite, columns, reset)
    elif stacked:
        X = check_array(X, allow_nd=True, estimator=estimator, input_name="X", **checks)
    elif columns is None:
        X = naming_cells(lambda: validate_data(estimator, given, reset=reset, **checks), given, "X")
    else:  # the other columns may hold anything: they are not read
        X = X if hasattr(X, "shape") else np.asarray(X, dtype=object)
        if len(X.shape) != 2:
            check_array(X, dtype=None, estimator=estimator, input_name="X")  # raises the error of scikit-learn
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        given = safe_indexing(X, columns, axis=1)
        X = naming_cells(lambda: check_array(given, estimator=estimator, input_name="X", **checks), given, "X")
    if isinstance(X, np.ndarray) and X.dtype.kind == "O":
        X = naming_cells(lambda: X.astype(np.float64), given, "X")
    if isinstance(X, np.ndarray):
        advice = DROP_OR_END if estimator._reads_sequences() else ""
        refuse_not_finite(X, "X", given, missing=finite == "allow-nan", advice=advice)
    if not math.prod(X.shape[1:]):
        raise ValueError(f"Found array with no values in a sample (shape={X.shape}).")
    if X.dtype.kind not in "fiub":
        raise ValueError(f"X must hold real numbers, got an array of dtype {X.dtype}.")
    if X.ndim > 4:
        raise ValueError(
            f"X has shape {X.shape}; samples may be rows (n, n_features), images (n, H, W) or (n, C, H, W), or sequences "
            "(n, C, L) with encoder='conv1d'."
        )
    return X


def _doubt_samples(X: Any) -> None:
    """Warn of a list of few arrays with many rows, which look like views."""
    if (
        not isinstance(X, (list, tuple))
        or not 1 < len(X) <= MOST_DOUBTED
        or not all(hasattr(part, "shape") for part in X)
    ):
        return
    shape = X[0].shape
    if len(shape) and shape[0] >= ROWS_OF_VIEWS * len(X):
        warn(
            f"X is a list of {len(X)} arrays, which are read as {len(X)} samples of shape {tuple(shape)}. If they are views of "
            f"{shape[0]} samples, {VIEWS}. If they are samples, np.stack(X) says so.",
            InputShapeWarning,
        )


def checked_as_read(
    estimator: Any,
    X: Stored,
    min_samples: int = 1,
    finite: bool | str = True,
    columns: Any = None,
    reset: bool | None = None,
) -> Stored:
    """Return samples outside memory that are checked as they are read, which a fit does once before it trains.

    The parameters are those of :func:`validate_samples`; ``reset=None`` leaves the number and names of columns unchecked.
    """
    check = functools.partial(_checked, type(estimator).__name__, finite == "allow-nan")
    if len(X) < min_samples or X.ndim < 2:
        check(X[:min_samples], min_samples=min_samples)
    if reset is not None and X.ndim == 2:
        validate_data(estimator, X, reset=reset, skip_check_array=True)
    if columns is not None:
        X = X.then(lambda block: block[:, columns])
    return X.then(check)


def _checked(estimator: str, missing: bool, block: Any, min_samples: int = 0) -> Any:
    """Return some rows as an array of finite numbers."""
    checks: dict[str, Any] = {"dtype": None, "allow_nd": True, "ensure_all_finite": False}
    array = check_array(block, ensure_min_samples=min_samples, estimator=estimator, input_name="X", **checks)
    refuse_not_finite(array, "X", missing=missing, in_order=False)
    return array


def validate_shape(
    estimator: Any,
    X_shape: tuple[int, ...],
    *,
    reset: bool,
    accepted: Sequence[tuple[int, ...]] = (),
    of_sequences: bool | None = None,
) -> None:
    """Learn ``input_shape_`` and ``n_features_in_`` from X and the parameter ``input_shape``, or check X against them.

    Samples of the fitted shape, of the shapes ``accepted``, and flat ones are valid. Axes that look to be in another order
    are refused or warned of; ``of_sequences`` says how samples of two axes are read, None that it is known.
    """
    shape = X_shape[1:]
    if not reset:
        if shape not in (estimator.input_shape_, (estimator.n_features_in_,), *accepted):
            of_one_view = " To give one view alone, name it by output." if hasattr(estimator, "output") else ""
            raise ValueError(
                f"X has samples of shape {shape}, but {type(estimator).__name__} was fitted on samples of shape "
                f"{estimator.input_shape_} and takes these, or flat as ({estimator.n_features_in_},).{of_one_view}"
            )
        return
    if estimator.input_shape is not None:
        sides = tuple(estimator.input_shape)
        if len(sides) not in (2, 3) or not all(isinstance(side, Integral) and int(side) > 0 for side in sides):
            raise ValueError(
                f"input_shape must be (H, W), (C, H, W) or (C, L) with positive integers, got {estimator.input_shape!r}."
            )
        if shape not in (sides, (math.prod(sides),)):
            raise ValueError(
                f"input_shape={sides} does not match X of shape {X_shape}: samples must have the shape {sides} or "
                f"({math.prod(sides)},)."
            )
        shape = sides
    else:
        _check_axes(shape, of_sequences)
    estimator.input_shape_ = tuple(int(side) for side in shape)
    estimator.n_features_in_ = math.prod(estimator.input_shape_)
    if len(X_shape) > 2:
        vars(estimator).pop("feature_names_in_", None)


def warn_of_flat_images(estimator: Any, X: Any) -> None:
    """Warn of a 2-D X whose columns look to be the pixels of square images, unless a parameter says what they are."""
    n, n_columns = X.shape[0], math.prod(X.shape[1:])
    if X.ndim > 2 or estimator.input_shape is not None or estimator.encoder != "auto" or n < FEWEST_ROWS:
        return
    rows: Any = None
    for n_channels, least in LEAST_SIDES.items():
        side = math.isqrt(n_columns // n_channels)
        if side < least or n_channels * side**2 != n_columns:
            continue
        if rows is None:
            most = max(FEWEST_ROWS, min(MOST_ROWS, MOST_CELLS // n_columns))
            rows = _standardized(np.asarray(X[:most], dtype=np.float64))
        shape = (side, side) if n_channels == 1 else (n_channels, side, side)
        for step in sorted({1, n_channels}):  # channel by channel, or pixel by pixel
            across, down = (_correlation(rows, step * lag) for lag in (1, side))
            half = side // 2  # as many rows down too: a table of days and hours is as like there as one row down
            apart = max(_correlation(rows, step * lag) for lag in (half, half * side))
            if min(across, down) - max(
                apart, 0
            ) > LEAST_EXCESS and all(  # and columns down are closer than those beside them
                _correlation(rows, step * (side + beside)) < down for beside in (-2, -1, 1, 2)
            ):
                flat = f"input_shape={shape}" if step == 1 else f"np.moveaxis(X.reshape(-1, {side}, {side}, 3), -1, 1)"
                warn(
                    f"The {n_columns} columns of X are read as a table, and look like pixels: neighbours in a grid of {side} x "
                    f"{side} correlate. If they are images, give {flat}. If not, encoder='mlp' says so.",
                    InputShapeWarning,
                )
                return


def _standardized(X: Any) -> Any:
    """Return complete rows with columns of mean 0 and variance 1; constant columns are 0."""
    X = X[np.isfinite(X).all(1)]
    if not len(X):
        return X
    unit = np.abs(X).max(0)
    X = X / np.where(unit > 0, unit, 1)
    X -= X.mean(0)
    scale = X.std(0)
    return np.where(scale > 1e-9, X / np.where(scale > 1e-9, scale, 1), 0)


def _correlation(X: Any, lag: int) -> float:
    """Return the mean correlation of standardised columns that lie so far apart; constant ones are left out."""
    varies = X.any(0)
    n_pairs = int((varies[lag:] & varies[:-lag]).sum()) * len(X)
    return float(np.einsum("ij,ij", X[:, lag:], X[:, :-lag])) / n_pairs if n_pairs else 0.0


def _check_axes(shape: tuple[int, ...], of_sequences: bool | None) -> None:
    """Refuse samples whose channels look to be last, and warn of sequences and images that look like the other."""
    if len(shape) == 3:
        height, width, last = shape
        if last < min(height, width) and height > MOST_COLOURS and (last in COLOURS or height == width):
            raise ValueError(
                f"X has samples of shape {shape}, which look like {height} x {width} pixels of {last} channel(s). Images are "
                f"(n, channels, height, width): give np.moveaxis(X, -1, 1). If they are so already, give input_shape={shape}."
            )
        if last < min(height, width) and (
            MOST_RATIO * last <= min(height, width) or (last in COLOURS and height == width)
        ):
            warn(
                f"Samples of shape {shape} are read as {height} channels of {width} x {last} pixels. If they are {height} x "
                f"{width} pixels of {last} channels, give np.moveaxis(X, -1, 1). If not, input_shape={shape} says so.",
                InputShapeWarning,
            )
    elif len(shape) == 2 and of_sequences and shape[0] >= MOST_CHANNELS * shape[1]:
        warn(
            f"Samples of shape {shape} are read as {shape[0]} channels of {shape[1]} times. If they are {shape[0]} times of "
            f"{shape[1]} channels, give np.swapaxes(X, 1, 2). If not, input_shape={shape} says so.",
            InputShapeWarning,
        )
    elif len(shape) == 2 and of_sequences is False and max(shape) >= MOST_RATIO * min(shape):
        warn(
            f"Samples of shape {shape} are read as grey images of {shape[0]} x {shape[1]} pixels. If they are sequences, give "
            f"(n, channels, times) and encoder='conv1d', or CPCTransformer. If they are images, input_shape={shape} says so.",
            InputShapeWarning,
        )
