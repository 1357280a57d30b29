"""The only place that imports scikit-learn's private names, and the idioms that every estimator shares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from sklearn.callback._callback_support import callback_management_context
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils import check_random_state
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._param_validation import HasMethods, RealNotInt, StrOptions, validate_params
from sklearn.utils._param_validation import Interval as _Interval
from sklearn.utils.validation import _check_feature_names as check_feature_names
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in
from sklearn.utils.validation import _num_features as num_features

from skdim._versions import DOCUMENTATION

__all__ = [
    "DocLinkMixin",
    "HasMethods",
    "Interval",
    "RealNotInt",
    "StrOptions",
    "as_it_is",
    "check_feature_names",
    "check_feature_names_in",
    "check_matplotlib_support",
    "draw_seed",
    "fitted_apart",
    "num_features",
    "safe_indexing",
    "validate_params",
]

Estimator = TypeVar("Estimator")


class DocLinkMixin:
    """An estimator whose HTML representation links to its page of the reference."""

    _doc_link_module = "skdim"
    _doc_link_template = f"{DOCUMENTATION}/generated/skdim.{{estimator_name}}.html"


class Interval(_Interval):
    """An interval of numbers, of which True and False are none."""

    def is_satisfied_by(self, val: Any) -> bool:
        return not isinstance(val, bool | np.bool_) and bool(super().is_satisfied_by(val))


def draw_seed(random_state: Any) -> int:
    """Return a seed from what scikit-learn takes for a random state."""
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def as_it_is(estimator: Estimator) -> Estimator:
    """Return a shallow copy, which later changes of the estimator's attributes do not reach."""
    copied = object.__new__(type(estimator))
    copied.__dict__ = dict(estimator.__dict__)
    return copied


@contextmanager
def fitted_apart(estimator: Estimator) -> Iterator[Estimator]:
    """Yield a copy to fit, and tear its callbacks down. The estimator then takes all attributes of the copy at once.

    It takes none if the block raises. Until then other threads see the old ones.
    """
    fitted = as_it_is(estimator)
    with callback_management_context(fitted):
        yield fitted
    estimator.__dict__ = fitted.__dict__
