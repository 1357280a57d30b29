"""What the functions of this package take: features, labels, a part to judge on; and the interval of a mean of rows."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from skdim.information.intervals import normal_interval

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


class Parts(NamedTuple):
    """Features and labels to learn from, and held-out ones to judge on."""

    Z: npt.NDArray[Any]
    y: npt.NDArray[Any]
    Z_test: npt.NDArray[Any]
    y_test: npt.NDArray[Any]


def check_features(Z: Any, name: str = "Z", min_samples: int = 2) -> npt.NDArray[Any]:
    """Return features as a finite float array (n, d); float32 stays so."""
    checked: npt.NDArray[Any] = check_array(
        Z, dtype=[np.float64, np.float32], input_name=name, ensure_min_samples=min_samples
    )
    return checked


def check_labels(y: Any, X: Any, name: str = "y") -> npt.NDArray[Any]:
    """Return labels as an array (n,), at least two different ones, one for each row of ``X``."""
    labels: npt.NDArray[Any] = column_or_1d(y)
    check_consistent_length(X, labels)
    distinct = _distinct(labels, name)
    check_classification_targets(labels)
    if len(distinct) < 2:
        raise ValueError(f"{name} holds one label only, {distinct.tolist()[0]!r}: there is nothing to predict.")
    return labels


def _distinct(labels: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Return the different labels, sorted, or say that some are missing or of another kind."""
    try:
        distinct: npt.NDArray[Any] = np.unique(labels)
    except TypeError as error:
        kinds = ", ".join(sorted({type(label).__name__ for label in labels}))
        raise ValueError(f"{name} must hold labels of one kind, and none missing; it holds {kinds}.") from error
    if distinct.dtype.kind == "f" and np.isnan(distinct[-1:]).any():
        raise ValueError(f"{name} must hold labels of one kind, and none missing; it holds NaN.")
    return distinct


def check_parts(Z: Any, y: Any, Z_test: Any, y_test: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any], Parts | None]:
    """Return checked features and labels, and both parts where a part to judge on was given."""
    Z = check_features(Z)
    y = check_labels(y, Z)
    if (Z_test is None) != (y_test is None):
        raise ValueError("Give Z_test and y_test together, or neither: a part is then held out of Z and y.")
    if Z_test is None:
        return Z, y, None
    Z_test = check_features(Z_test, "Z_test")
    y_test = column_or_1d(y_test)
    check_consistent_length(Z_test, y_test)
    if Z_test.shape[1] != Z.shape[1]:
        raise ValueError(f"Z_test has {Z_test.shape[1]} features, but Z has {Z.shape[1]}.")
    unknown = np.setdiff1d(_distinct(y_test, "y_test"), y)
    if len(unknown):
        raise ValueError(f"y_test holds labels that y does not: {unknown[:5].tolist()}.")
    return Z, y, Parts(Z, y, Z_test, y_test)


def split(Z: npt.NDArray[Any], y: npt.NDArray[Any], test_fraction: float, seed: list[int]) -> Parts:
    """Hold out a stratified part."""
    state = int(np.random.default_rng(seed).integers(2**31))
    Z_train, Z_test, y_train, y_test = train_test_split(Z, y, test_size=test_fraction, stratify=y, random_state=state)
    return Parts(Z_train, y_train, Z_test, y_test)


def draw_seed(random_state: Any) -> int:
    """Return a seed from what scikit-learn takes for a random state."""
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def mean_interval(values: Array, confidence_level: float) -> tuple[float, float]:
    """Return the interval of the mean of independent rows; of a mean that is not finite, all numbers."""
    value = float(values.mean())
    if not math.isfinite(value):
        return -math.inf, math.inf
    return normal_interval(value, float(values.std(ddof=1)) / math.sqrt(len(values)), confidence_level)
