"""Errors and warnings of skdim, named so that code and tests can tell them from every other."""

__all__ = ["DeviceWarning", "DivergenceError", "PersistenceWarning"]


class DivergenceError(ValueError):
    """Training left the range of float32."""


class DeviceWarning(UserWarning):
    """A fitted model was loaded on a machine without the device it was fitted on."""


class PersistenceWarning(UserWarning):
    """A class or function given to an estimator cannot be pickled, so the fitted estimator cannot be saved."""
