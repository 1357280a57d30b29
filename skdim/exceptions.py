"""Errors and warnings of skdim, named so that code and tests can tell them from every other."""

import sys
import warnings

__all__ = [
    "ConstantInputWarning",
    "DeviceWarning",
    "DivergenceError",
    "DuplicateRowsWarning",
    "HighVarianceWarning",
    "InfiniteLossWarning",
    "MutualInformationWarning",
    "NotABoundWarning",
    "PersistenceWarning",
    "SaturationWarning",
    "SmallSampleWarning",
    "warn",
]

#: Libraries that stand between the user's line and ours.
BETWEEN = {"skdim", "sklearn", "joblib", "pickle"}


class DivergenceError(ValueError):
    """Training left the range of float32."""


class DeviceWarning(UserWarning):
    """A fitted model was loaded on a machine without the device it was fitted on."""


class PersistenceWarning(UserWarning):
    """A class or function given to an estimator cannot be pickled, so the fitted estimator cannot be saved."""


class InfiniteLossWarning(UserWarning):
    """A classifier holds what happened for impossible, so its log-loss is infinite."""


class MutualInformationWarning(UserWarning):
    """An estimate of mutual information is to be read with care; the base of the warnings below."""


class SmallSampleWarning(MutualInformationWarning):
    """There are too few samples to learn a critic from, or for the value that is reported."""


class SaturationWarning(MutualInformationWarning):
    """A bound is near its cap: the mutual information may be larger."""


class HighVarianceWarning(MutualInformationWarning):
    """A bound averages exponentials that a few pairs of samples rule."""


class DuplicateRowsWarning(MutualInformationWarning):
    """Rows that the value is taken on were trained on as well: samples are not independent."""


class NotABoundWarning(MutualInformationWarning):
    """Negatives are chosen such that the value of a bound is no bound any more."""


class ConstantInputWarning(MutualInformationWarning):
    """One side does not vary, so the mutual information is 0."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn, at the nearest line of the call stack that is the user's own."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
