"""Errors and warnings of skdim, each with a class of its own so that code can catch or filter it."""

import sys
import warnings
from importlib import import_module
from typing import Any

__all__ = [
    "CheckpointWarning",
    "ConstantInputWarning",
    "DeviceWarning",
    "DivergenceError",
    "DuplicateRowsWarning",
    "HighVarianceWarning",
    "InfiniteLossWarning",
    "MutualInformationWarning",
    "NotABoundWarning",
    "OutlierWarning",
    "OverlapWarning",
    "PersistenceWarning",
    "SaturationWarning",
    "ScaleWarning",
    "SmallSampleWarning",
    "UnderfittingWarning",
    "optional",
    "warn",
]

#: Libraries whose frames are between the user's line and ours.
BETWEEN = {"skdim", "sklearn", "skorch", "torch", "joblib", "pickle"}


class DivergenceError(ValueError):
    """Training left the range of float32."""


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written, or a fit starts anew beside that of another one."""


class DeviceWarning(UserWarning):
    """A device is missing, or not used to the full: a loaded model's, or steps that cannot be recorded on it."""


class PersistenceWarning(UserWarning):
    """A class or function given to an estimator cannot be pickled: the fitted estimator cannot be saved."""


class InputShapeWarning(UserWarning):
    """The axes of X are read in one way, and its shape or values look like another."""


class ScaleWarning(UserWarning):
    """Samples have another scale than those of the fit, or of the first of several calls, which standardise them."""


class InfiniteLossWarning(UserWarning):
    """A classifier gives probability 0 to the label of a row: its log-loss is infinite."""


class MutualInformationWarning(UserWarning):
    """Base of the warnings about estimates of mutual information."""


class SmallSampleWarning(MutualInformationWarning):
    """There are too few samples to train a critic or to report a value."""


class SaturationWarning(MutualInformationWarning):
    """A bound is near its cap, or a critic leaves no errors to judge by: the mutual information may be larger."""


class HighVarianceWarning(MutualInformationWarning):
    """A bound averages exponentials that a few pairs of samples dominate."""


class DuplicateRowsWarning(MutualInformationWarning):
    """Rows of the test part are also in the training part: samples are not independent."""


class UnderfittingWarning(MutualInformationWarning):
    """An estimator finds less than linear dependence alone is worth, or than edges in several columns are."""


class NotABoundWarning(MutualInformationWarning):
    """The choice of negatives, or a learned conditional, makes the reported value no bound."""


class OverlapWarning(MutualInformationWarning):
    """What is predicted shares samples with what it is predicted from: copying counts as information."""


class ConstantInputWarning(MutualInformationWarning):
    """One side, all columns but one, or all samples do not vary: the information is 0."""


class OutlierWarning(MutualInformationWarning):
    """A few values set the scale of a column, and the others hardly differ beside them."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the nearest line of the call stack that is outside of these libraries."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def optional(module: str, needed_by: str, extra: str) -> Any:
    """Import a module, or raise an ImportError that names the extra that brings it."""
    try:
        return import_module(module)
    except ImportError as error:
        package = f"{module.partition('.')[0]}, which is not installed: pip install 'scikit-deepinfomax[{extra}]'."
        raise ImportError(f"{needed_by} needs {package}") from error
