"""Configured objects: small dataclasses that speak scikit-learn's parameter protocol.

An MI estimator (``Alpha(alpha=0.1)``) or a critic (``Separable(width=128)``) may be given to an estimator instead of its
name. ``get_params`` and ``set_params`` let ``clone`` copy it and a search set ``dim__estimator__alpha``, without
scikit-learn being needed below the estimators.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import fields
from numbers import Integral
from typing import Any, TypeVar

Self = TypeVar("Self", bound="Configured")
Choice = TypeVar("Choice")


class Configured:
    """Base of the frozen-by-convention dataclasses that configure a bound or a critic."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; ``deep`` is accepted for scikit-learn and changes nothing."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    def set_params(self: Self, **params: Any) -> Self:
        """Set parameters by name; a name that does not exist is a ``ValueError``."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} for {type(self).__name__}. Valid parameters are: {sorted(known)}."
                )
            setattr(self, name, value)
        return self


def check_sizes(name: str, sizes: object, at_least: int = 0) -> tuple[int, ...]:
    """Return layer sizes as a tuple of int, or raise a ``ValueError`` that says what came and what is allowed."""
    if isinstance(sizes, (tuple, list)) and len(sizes) >= at_least and all(_is_size(size) for size in sizes):
        return tuple(int(size) for size in sizes)
    raise ValueError(
        f"{name} must be a tuple of positive integers{', at least one' if at_least else ''}, got {sizes!r}."
    )


def check_size(name: str, size: object) -> None:
    """Raise a ``ValueError`` unless ``size`` is a positive integer."""
    if not _is_size(size):
        raise ValueError(f"{name} must be a positive integer, got {size!r}.")


def _is_size(size: object) -> bool:
    return isinstance(size, Integral) and not isinstance(size, bool) and int(size) > 0


def look_up(what: str, name: object, table: Mapping[str, Choice]) -> Choice:
    """Return ``table[name]``, or raise a ``ValueError`` that says what came and what is allowed."""
    if not isinstance(name, str) or name not in table:
        raise ValueError(f"Unknown {what} {name!r}. Allowed values are: {sorted(table)}.")
    return table[name]


def choose(what: str, given: object, table: Mapping[str, type[Configured] | Configured], **parameters: object) -> Any:
    """Return the configured object that a name in ``table`` stands for, or ``given`` itself if it is an object or callable.

    ``parameters`` configure a named object; "auto" keeps its own. Raises ValueError if the name is unknown or a parameter has
    no effect.
    """
    chosen = {name: value for name, value in parameters.items() if not (isinstance(value, str) and value == "auto")}
    if isinstance(given, Configured) or callable(given):
        for name, value in chosen.items():
            raise ValueError(
                f"{name}={value!r} configures a named {what} and would have no effect on {what}={given!r}."
            )
        return given
    entry = look_up(what, given, table)
    configured = entry() if isinstance(entry, type) else copy(entry)
    for name in chosen.keys() - configured.get_params():
        raise ValueError(f"{name}={chosen[name]!r} would have no effect on {what}={given!r}, which does not have it.")
    return configured.set_params(**chosen)
