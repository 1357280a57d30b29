"""Configured objects: small dataclasses that speak scikit-learn's parameter protocol.

An MI estimator (``Alpha(alpha=0.1)``) or a critic (``Separable(width=128)``) may be given to an estimator instead of its
name. ``get_params`` and ``set_params`` let ``clone`` copy it and a search set ``dim__estimator__alpha``, without
scikit-learn being needed below the estimators.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import fields
from numbers import Integral
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from skdim.exceptions import PersistenceWarning, warn

Self = TypeVar("Self", bound="Configured")
Choice = TypeVar("Choice")


class Configured:
    """Base of the frozen-by-convention dataclasses that configure a bound or a critic."""

    def __init__(self) -> None:
        raise TypeError(
            f"{type(self).__name__} is no dataclass. Derive a class from it, and decorate that with @dataclasses.dataclass."
        )

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

    def check(self) -> None:
        """Raise an error if a parameter cannot be copied or saved, before an estimator clones it."""


def check_sizes(name: str, sizes: object, at_least: int = 0) -> tuple[int, ...]:
    """Return layer sizes as a tuple of int, or raise a ``ValueError`` with the value and what is allowed."""
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
    """Return ``table[name]``, or raise a ``ValueError`` with the name and those allowed."""
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


def same_parameter(a: Any, b: Any) -> bool:
    """Whether two values of a parameter are equal, also where one is a copy that ``clone`` made."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a.cpu(), b.cpu())
    if isinstance(a, nn.Module):
        return str(a) == str(b) and same_parameter(a.state_dict(), b.state_dict())
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same_parameter, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_parameter(a[name], b[name]) for name in a)
    if isinstance(a, functools.partial):
        return all(same_parameter(getattr(a, part), getattr(b, part)) for part in ("func", "args", "keywords"))
    if hasattr(a, "equals"):  # a pandas or polars index
        return bool(a.equals(b))
    if hasattr(a, "__dict__") and not isinstance(a, (type, types.FunctionType, types.MethodType)):
        return same_parameter(vars(a), vars(b))
    return bool(a == b)


def check_factories(estimator: Any, names: Iterable[str]) -> None:
    """Refuse nn.Module instances among these parameters, and warn of classes and functions that pickle cannot find."""
    for name in sorted(names):
        for part in _leaves(getattr(estimator, name)):
            if isinstance(part, Configured):
                part.check()
            if isinstance(part, type) and issubclass(part, Configured):
                raise TypeError(f"{name} is the class {part.__name__}: give an object of it, {part.__name__}().")
            if isinstance(part, nn.Module) and name in ("encoder", "critic", "context"):
                weights = "; skdim.nn.pretrained.Pretrained(module) keeps its weights" if name == "encoder" else ""
                raise TypeError(
                    f"{name} is an nn.Module instance of {type(part).__name__}; pass the class or a function that builds "
                    f"it: clone would copy its trained weights into every candidate of a search{weights}."
                )
            if callable(part) and not _is_importable(part):
                warn(
                    f"{name}={part!r} is not an importable class or function: the fitted estimator cannot be pickled. "
                    "Define it at the top level of a module.",
                    PersistenceWarning,
                )


def _leaves(value: Any) -> Iterator[Any]:
    """Yield what nested tuples, lists and partial functions hold, and the classes of the modules of configured objects."""
    if isinstance(value, (tuple, list)):
        for part in value:
            yield from _leaves(part)
    elif isinstance(value, functools.partial):
        yield from _leaves((value.func, *value.args, *value.keywords.values()))
    else:
        yield value
    if isinstance(value, Configured):
        modules = (part for part in value.get_params().values() if isinstance(part, nn.Module))
        yield from dict.fromkeys(type(part) for module in modules for part in module.modules())


def _is_importable(part: Any) -> bool:
    """Whether a class or function is found again under its module and name, as a saved model needs it."""
    target = part if hasattr(part, "__qualname__") else type(part)
    found: Any = sys.modules.get(target.__module__)
    for name in target.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is target
