"""The only place that imports scikit-learn's private names, and the idioms that every estimator shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import sklearn.callback
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils import check_random_state
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._param_validation import HasMethods, Interval, RealNotInt, StrOptions, validate_params
from sklearn.utils.validation import _check_feature_names as check_feature_names
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in
from sklearn.utils.validation import _num_features as num_features

__all__ = [
    "HasMethods",
    "Interval",
    "RealNotInt",
    "StrOptions",
    "check_feature_names",
    "check_feature_names_in",
    "check_matplotlib_support",
    "draw_seed",
    "num_features",
    "safe_indexing",
    "unchanged_on_error",
    "validate_params",
    "with_callbacks",
]

Method = TypeVar("Method", bound=Callable[..., Any])


def with_callbacks(method: Method) -> Method:
    """Let a ``fit`` method set up and tear down callbacks; scikit-learn's own decorator is not typed."""
    decorated: Method = sklearn.callback.with_callbacks(method)
    return decorated


def draw_seed(random_state: Any) -> int:
    """Return a seed from what scikit-learn takes for a random state."""
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


@contextmanager
def unchanged_on_error(estimator: Any) -> Iterator[None]:
    """Restore an estimator's attributes if the block raises."""
    before = dict(estimator.__dict__)
    try:
        yield
    except BaseException:
        # with_callbacks still has to tear the callbacks down, and needs its own attributes for it.
        kept = {name: value for name, value in estimator.__dict__.items() if "callback" in name}
        estimator.__dict__.clear()
        estimator.__dict__.update(before | kept)
        raise
