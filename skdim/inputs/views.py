"""Views as users give them: groups of columns, lists of arrays, one view alone."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_array, validate_data

from skdim.inputs.arrays import Beside, StoredArray, as_stored, is_stored
from skdim.inputs.layout import Layout, find_layout
from skdim.inputs.partitions import feature_names, is_group_list
from skdim.inputs.samples import Samples, Standardizer
from skdim.inputs.tables import check_lengths, naming_cells, refuse_not_finite, shape_of
from skdim.inputs.validation import as_given, checked_as_read, validate_samples, validate_shape, warn_of_flat_images

#: Most views that are taken as a list of arrays; each pair of them has a critic.
MOST_VIEWS = 20


def check_views(views: Any, input_shape: Any) -> None:
    """Raise a ValueError if ``views`` is a list that does not hold groups of columns."""
    if not isinstance(views, (list, tuple)):
        return
    if not is_group_list(views):
        raise ValueError(
            f"A list of views holds (name, columns) or (name, columns, shape) with names of type str, got {views!r}."
        )
    if input_shape is not None:
        raise ValueError(
            f"input_shape={input_shape!r} has no effect on groups of columns: give the shape of each, as "
            "(name, columns, shape)."
        )


def samples_of_views(
    estimator: Any,
    X: Any,
    fitted: Standardizer | None,
    device: torch.device,
    sequences: Callable[[int | None], Sequence[bool]],
    min_samples: int = 1,
    needed: int | None = None,
) -> Samples:
    """Return X as standardised samples that record which views each row has; ``fitted`` standardises, None learns it.

    ``sequences`` tells which of ``n_views`` views are sequences, with None for those that a partition makes. ``needed`` is the
    number of a view: rows must have that one and may lack the others.
    """
    reset = fitted is None
    X = as_given(X)
    if reset and estimator.views == "auto" and is_list_of_arrays(X):
        _refuse_samples(X)
    given, columns = _columns_of_views(X, estimator.views, estimator, min_samples)

    def layout_of(shape: tuple[int, ...]) -> Layout:
        which = sequences(None if columns is None else len(columns))
        of_sequences = all(which) if estimator.views == "auto" else None  # else views say what samples are
        validate_shape(estimator, shape, reset=reset, of_sequences=of_sequences)
        if fitted is not None and fitted.layout is not None:
            return fitted.layout
        return find_layout(estimator.views, given, estimator.input_shape_, which, columns, estimator.graph)

    def validated(used: Any = None) -> Any:
        checks: dict[str, Any] = {"min_samples": min_samples, "finite": "allow-nan", "columns": used}
        return validate_samples(estimator, given, reset=reset, **checks)

    if columns is None:
        X = validated()
        layout = layout_of(X.shape)
    else:
        if fitted is not None and fitted.layout is not None and estimator.views == "auto":
            _refuse_other_widths(columns, fitted.layout)
        shape = np.shape(given)
        if len(shape) < 2:
            check_array(given, dtype=None, estimator=estimator, input_name="X")  # raises the error of scikit-learn
        if not reset:
            validate_data(estimator, given, reset=False, skip_check_array=True)
        layout = layout_of(shape)
        X = validated(layout.used)
    present = _presence_of_views(layout, X, needed)
    if reset and columns is None and layout.kind != "shift":  # which takes flat sequences
        warn_of_flat_images(estimator, X)
    if (standardize := fitted) is None:
        standardize = Standardizer.learn_views(X, layout, getattr(estimator, "feature_names_in_", None))
        standardize = standardize.expected_by(estimator.encoder)
    samples = Samples(X, standardize, device, {} if present is None else {"present": present})
    return samples if reset or min_samples == 1 else samples.near()


def _columns_of_views(X: Any, views: Any, estimator: Any, min_samples: int) -> tuple[Any, list[Any] | None]:
    """Return X as one array, and the groups of columns that are its views, None where a partition makes the views."""
    if isinstance(views, (list, tuple)):
        if is_list_of_arrays(X):
            raise ValueError("X is a list of arrays, which are the views; leave views='auto' with it.")
        if getattr(X, "ndim", 2) > 2:
            raise ValueError(f"views={views!r} are groups of columns of a 2-D X, got X of shape {X.shape}.")
        return X, list(views)
    if views == "auto" and is_list_of_arrays(X):
        if estimator.input_shape is not None:
            raise ValueError(f"input_shape={estimator.input_shape!r} has no effect on a list of arrays.")
        return arrays_of_views(X, estimator, min_samples)
    return X, None


def _refuse_other_widths(columns: list[Any], layout: Layout) -> None:
    widths = [part.stop - part.start for _, part, *_ in columns]
    fitted_widths = [len(part) for _, part, _ in layout.views]
    if widths != fitted_widths:
        raise ValueError(f"The arrays of X have {widths} values a sample, but had {fitted_widths} in fit.")


def _refuse_samples(X: Any) -> None:
    """Raise a ``ValueError`` if a list of arrays looks to be one of samples, and not one of views."""
    n_rows = min(shape_of(part)[0] for part in X)
    if len(X) > min(n_rows, MOST_VIEWS):
        raise ValueError(
            f"X is a list of {len(X)} arrays, the first of shape {shape_of(X[0])}. A list holds views: these would be "
            f"{len(X)} views of {n_rows} samples. If the arrays are samples of one shape, give np.stack(X), and cut others to "
            "one. If they are views, put them side by side in one array, and name their columns in the parameter views."
        )


def _presence_of_views(layout: Layout, X: Any, needed: int | None) -> npt.NDArray[np.bool_] | None:
    """Return which views each row has, None if no view is missing; ``needed`` is the only view that rows must have."""
    present = layout.presence(X)
    if present is None or layout.may_lack:
        return present
    if needed is None or not present[:, needed].all():
        raise ValueError(
            f"Input X contains NaN: {(~present.all(1)).sum()} sample(s) lack a view. That is allowed with graph='full' and "
            "named views, a list of column groups or of arrays, 'halves', 'quadrants' or 'channels'; not with views='auto' of "
            "one array."
        )
    return present


def check_pairs(layout: Layout, present: npt.NDArray[Any] | None, rows: Any, several: bool) -> None:
    """Raise a ValueError if a pair of views is present in fewer than two of the rows that are trained on."""
    if present is None:
        return
    if several:
        raise ValueError(
            f"{int((~present.all(1)).sum())} samples lack a view, and several processes train together: the share of a "
            "batch that each encodes may then lack the view in all samples. Train in one process."
        )
    for pair in combinations(range(len(layout.views)), 2):
        n_both = int(present[rows][:, pair].all(1).sum())
        if n_both < 2:
            names = tuple(layout.names[view] for view in pair)
            raise ValueError(f"At least two samples must have both views {names}, got {n_both}.")


def check_groups(groups: npt.NDArray[Any] | None, negatives: str, rows: Any) -> int:
    """Return the size of the largest group among some rows, or 0 without groups; it must be 2 where groups are used."""
    if (groups is None) == (negatives == "same_group"):
        needs = "needs the groups of the samples: pass groups to fit" if groups is None else "has no use for groups"
        raise ValueError(f"negatives={negatives!r} {needs}.")
    if groups is None:
        return 0
    largest = int(np.bincount(groups[rows]).max())
    if largest < 2:
        raise ValueError("negatives='same_group' needs groups of two samples or more, got none.")
    return largest


def rows_from_one_view(X: Any, layout: Layout, number: int, estimator: Any, names: Sequence[str] | None) -> Any:
    """Return whole rows that lack all views but one, if X holds that view alone, else None.

    X is flat or in the view's shape, an image also without its one channel; ``names`` are those of its columns in ``fit``.
    """
    name, columns, shape = layout.views[number]
    given = np.shape(X)[1:] if not is_list_of_arrays(X) else None
    if given not in ((len(columns),), shape, shape[1:] if shape[0] == 1 else shape):
        return None
    found = feature_names(X)
    if found is not None and names is not None and found != list(names):
        raise ValueError(f"The columns of view {name!r} were {list(names)} in fit, got {found}.")
    if is_stored(X):
        stored = checked_as_read(estimator, as_stored(X))
    else:
        stored = StoredArray(
            check_array(as_given(X), dtype="numeric", allow_nd=True, estimator=estimator, input_name="X")
        )
    n_columns = sum(len(columns) for _, columns, _ in layout.views)
    width = n_columns if layout.kind == "columns" else math.prod(layout.sample_shape or ())
    return stored.then(lambda block: layout.lift(block, number, width))


def is_list_of_arrays(X: Any) -> bool:
    """Whether X is a list of arrays or data frames, which are then views; a list of lists is one array."""
    return isinstance(X, (list, tuple)) and len(X) > 0 and all(len(getattr(part, "shape", ())) > 1 for part in X)


def arrays_of_views(X: Any, estimator: Any, min_samples: int) -> tuple[Any, list[tuple[Any, ...]]]:
    """Return the views side by side in one array (n, n_columns), and the groups of columns that they are in it."""
    if len(X) < 2:
        raise ValueError("X is a list of 1 array, that is one view only; a list of arrays has one for each view.")
    checks: dict[str, Any] = {"dtype": "numeric", "allow_nd": True, "ensure_all_finite": False}
    checks |= {"ensure_min_samples": min_samples, "estimator": estimator}
    arrays: list[Any] = []
    for i, part in enumerate(X):
        name = f"X[{i}]"
        if is_stored(part):
            arrays.append(as_stored(part))
        else:
            arrays.append(naming_cells(functools.partial(check_array, part, input_name=name, **checks), part, name))
            refuse_not_finite(arrays[-1], name, part, missing=True)
    check_lengths(**{f"X[{i}]": array for i, array in enumerate(arrays)})
    if max(array.ndim for array in arrays) > 4:
        raise ValueError(f"The arrays of X must have at most 4 dimensions, got shapes {[a.shape for a in arrays]}.")
    groups, start = [], 0
    for i, array in enumerate(arrays):
        width = math.prod(array.shape[1:])
        shape = (array.shape[1:],) if array.ndim > 2 else ()
        groups.append((f"view{i}", slice(start, start + width), *shape))
        start += width
    if any(is_stored(part) or isinstance(part, np.memmap) for part in X):  # they stay where they are
        parts = [part if is_stored(part) else array for part, array in zip(X, arrays, strict=True)]
        return as_stored(Beside(parts)), groups
    return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1), groups
