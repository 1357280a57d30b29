"""What the functions share: checks of parameters, features and labels, rows held out, and the base of results."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets

from skdim._sklearn import Interval, RealNotInt, validate_params
from skdim.exceptions import optional
from skdim.information.intervals import normal_interval
from skdim.inputs.scales import Standardize, moments_of
from skdim.inputs.tables import (
    as_array,
    as_plain,
    check_lengths,
    naming_cells,
    numbered,
    refuse_not_finite,
    refuse_unusable,
)
from skdim.training.ambient import in_own_state

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
Function = TypeVar("Function", bound=Callable[..., Any])

#: Parameters that mean the same in every function.
CONSTRAINTS: dict[str, Any] = {
    **{name: ["array-like"] for name in ("Z", "y")},
    **{name: ["array-like", None] for name in ("Z_test", "X_test", "y_test")},
    **{name: [Interval(RealNotInt, 0, 1, closed="neither")] for name in ("test_fraction", "confidence_level")},
    "hidden_layer_sizes": [tuple, list],
    "device": [str],
    "random_state": ["random_state"],
}


def validated(**constraints: Any) -> Callable[[Function], Function]:
    """Return a decorator that checks a function's parameters, by these constraints and the shared ones.

    The function runs in a state of torch of its own.
    """
    checked = validate_params({**CONSTRAINTS, **constraints}, prefer_skip_nested_validation=True)
    return lambda function: checked(in_own_state(function))


class Scaler(TransformerMixin, BaseEstimator):
    """Features of mean 0 and variance 1, in their own type; scikit-learn's StandardScaler squares 1e160."""

    def fit(self, X: npt.NDArray[Any], y: Any = None) -> Scaler:
        moments = moments_of(X)
        moments.warn_of_outliers([f"column {j} of the features" for j in range(X.shape[1])])
        self.standardize_ = Standardize(moments.mean, moments.scale)
        return self

    def transform(self, X: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return self.standardize_(X).astype(X.dtype, copy=False)


class Parts(NamedTuple):
    """Features and labels to learn from, and held-out ones."""

    Z: npt.NDArray[Any]
    y: npt.NDArray[Any]
    Z_test: npt.NDArray[Any]
    y_test: npt.NDArray[Any]


def check_features(Z: Any, name: str = "Z", min_samples: int = 2) -> npt.NDArray[Any]:
    """Return features as a finite array (n, d) of float64, or float32 if they are float32."""
    Z = as_plain(Z)
    refuse_unusable(Z, name)
    checks: dict[str, Any] = {"dtype": [np.float64, np.float32], "input_name": name, "ensure_min_samples": min_samples}
    features = naming_cells(lambda: check_array(Z, ensure_all_finite=False, **checks), Z, name)
    refuse_not_finite(features, name, Z)
    return features


def check_labels(y: Any, **rows: Any) -> npt.NDArray[Any]:
    """Return labels as an array (n,) with one entry for each row of the named side, and at least two different ones."""
    distinct, numbers = numbered(y, "y")
    if distinct.dtype == object:  # integers and booleans among objects are what they are
        distinct = as_array(distinct.tolist())
    check_lengths(**rows, y=numbers)
    labels: npt.NDArray[Any] = distinct[numbers]
    check_classification_targets(labels)
    if len(distinct) < 2:
        raise ValueError(f"y holds one label only, {distinct.tolist()[0]!r}: there is nothing to predict.")
    return labels


def check_together(Z_test: Any, other: Any, name: str) -> None:
    """Refuse one of the two held-out arrays without the other; the second is ``{name}_test``."""
    if (Z_test is None) != (other is None):
        raise ValueError(f"Give Z_test and {name}_test together, or neither to hold out a part of Z and {name}.")


def check_parts(Z: Any, y: Any, Z_test: Any, y_test: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any], Parts | None]:
    """Return checked features and labels, with the held-out part if one is given."""
    Z = check_features(Z)
    y = check_labels(y, Z=Z)
    check_together(Z_test, y_test, "y")
    if Z_test is None:
        return Z, y, None
    Z_test = check_features(Z_test, "Z_test")
    distinct, numbers = numbered(y_test, "y_test")
    check_lengths(Z_test=Z_test, y_test=numbers)
    if Z_test.shape[1] != Z.shape[1]:
        raise ValueError(f"Z_test has {Z_test.shape[1]} features, but Z has {Z.shape[1]}.")
    unknown = np.setdiff1d(distinct, y)
    if len(unknown):
        raise ValueError(f"y_test holds labels that y does not: {unknown[:5].tolist()}.")
    return Z, y, Parts(Z, y, Z_test, distinct[numbers])


def split(Z: npt.NDArray[Any], y: npt.NDArray[Any], test_fraction: float, seed: list[int]) -> Parts:
    """Hold out a stratified part."""
    state = int(np.random.default_rng(seed).integers(2**31))
    Z_train, Z_test, y_train, y_test = train_test_split(Z, y, test_size=test_fraction, stratify=y, random_state=state)
    return Parts(Z_train, y_train, Z_test, y_test)


def random_parts(n: int, fractions: Sequence[float], rng: np.random.Generator) -> list[Rows]:
    """Return n rows in random order, cut into parts of these fractions, at least one row each, and the rest."""
    return np.split(rng.permutation(n), [max(1, round(share * n)) for share in np.cumsum(fractions)])


def mean_interval(values: Array, confidence_level: float) -> tuple[float, float]:
    """Return the confidence interval of the mean of independent rows; (-inf, inf) if the mean is not finite."""
    value = float(values.mean())
    if not math.isfinite(value):
        return -math.inf, math.inf
    return normal_interval(value, float(values.std(ddof=1)) / math.sqrt(len(values)), confidence_level)


class Result:
    """Base of results: a repr of one line and a table, from :meth:`_summary` and :meth:`_columns` of a subclass."""

    _summary: Callable[[], str]
    _columns: Callable[[], dict[str, Any]]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._summary()})"

    def to_frame(self) -> Any:
        """Return a pandas DataFrame, with the rows that the class names; raises ImportError if pandas is not installed."""
        return optional("pandas", "to_frame", "data").DataFrame(self._columns())
