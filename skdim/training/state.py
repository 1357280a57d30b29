"""Modules and optimizers <-> flat dictionaries of NumPy arrays: the whole persistence contract.

Every array is one parameter, buffer or optimizer moment under its own name, with its own shape and dtype, so a saved model
can be read without this package, memory-mapped, and loaded where the device it was fitted on is missing. A seal tells a
damaged file from a model.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from skdim._params import Configured, same_parameter
from skdim._versions import __version__
from skdim.nn.packing import as_array, as_tensor, packed, unpacked

STATE_VERSION = 2
#: The entry of a state that says what wrote it, and holds the digest of the others.
SEAL = "_saved"
#: The entry that is an unfitted estimator, and is saved as its parameters.
UNFITTED = "_built_with"
#: What a module that is a parameter itself, as an augmentation may be, is saved under.
PACKED = "module"
#: The entry of a transformer that holds its network, as named arrays and JSON values.
LEARNER = "_learner"
DAMAGED = "is damaged, or older than the first release. Load another copy of the file, or fit anew."
#: How a class may change what pickle saves and restores of its objects.
HOOKS = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__deepcopy__")


def sealed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of an estimator's state with the versions that wrote it and a digest of all that it holds."""
    state = dict(state)
    if UNFITTED in state:
        params = state[UNFITTED].get_params(deep=False)
        for name, value in params.items():  # a network that both were given is written once
            if isinstance(value, Configured | list | tuple) and same_parameter(value, state.get(name)):
                params[name] = state[name]
        state[UNFITTED] = params
    copied: dict[str, Any] = _copied(state)
    seal = {"version": STATE_VERSION, "skdim_version": __version__, "torch_version": str(torch.__version__)}
    return copied | {SEAL: seal | {"digest": _digest(copied, seal)}}


def opened(state: Any, kind: type) -> dict[str, Any]:
    """Return the state that was sealed, of an estimator of a kind; raise a ``ValueError`` if it cannot be read."""
    try:
        rest, seal = dict(state), dict(state[SEAL])
        del rest[SEAL]
        version, digest = seal["version"], seal.pop("digest")
        is_later = type(version) is int and version > STATE_VERSION
        is_whole = type(version) is int and version == STATE_VERSION and bool(digest == _digest(rest, seal))
    except Exception:  # what a damaged file holds may fail in any way
        is_later = is_whole = False
    if is_later:
        raise ValueError(
            f"This model was saved in state version {version}; this skdim reads up to {STATE_VERSION}: update it."
        )
    if not is_whole:
        raise ValueError(f"This model {DAMAGED}")
    # A parameter that came later has its default value, or the one that says what was done before it.
    given, before = inspect.signature(kind).parameters.values(), getattr(kind, "_before", {})
    later = {each.name: each.default for each in given if each.default is not each.empty} | before
    rest = {name: _restored(value) for name, value in rest.items()}
    if UNFITTED in rest:
        rest[UNFITTED] = kind(**before | {name: _restored(value) for name, value in rest[UNFITTED].items()})
    return later | rest


def _restored(value: Any) -> Any:
    """Return a parameter as it was given; of a configured object another one, whose parameters are set by themselves."""
    if isinstance(value, Configured):
        return replace(value)  # type: ignore[type-var]
    if type(value) is dict and value.keys() == {PACKED}:
        return unpacked(value[PACKED])
    return type(value)(map(_restored, value)) if type(value) in (list, tuple) else value


def _copied(value: Any) -> Any:
    """Return a value whose containers and arrays are copies."""
    if isinstance(value, np.ndarray):
        return value.copy("K")
    if isinstance(value, nn.Module):
        return {PACKED: packed(value)}
    if type(value) is dict:
        return {name: _copied(part) for name, part in value.items()}
    return type(value)(map(_copied, value)) if type(value) in (list, tuple) else value


def _digest(state: Mapping[str, Any], seal: Mapping[str, Any]) -> str:
    """Return the digest of a state without its seal; callbacks are no part of a model."""
    parts = [seal, {name: value for name, value in state.items() if "callback" not in name}]
    try:
        text = json.dumps(parts, default=_described, skipkeys=True)
    except ValueError:  # an object holds itself
        text = json.dumps(parts, default=functools.partial(_described, deep=False), skipkeys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _described(value: Any, deep: bool = True) -> Any:
    """Return in JSON what later versions of Python and of all libraries find in the file too: no module, no repr."""
    if isinstance(value, np.ndarray | np.generic):
        array = np.ascontiguousarray(value)
        of_objects = array.dtype.hasobject
        content = array.tolist() if of_objects else hashlib.sha256(array.reshape(-1).view(np.uint8).data).hexdigest()
        return [array.dtype.str, np.shape(value), content]
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, slice | range):
        return [value.start, value.stop, value.step]
    if isinstance(value, set | frozenset):
        return sorted(json.dumps(part, default=_described) for part in value)
    if isinstance(value, bytes | complex):
        return str(value)
    kind = type(value)
    if isinstance(value, Configured):
        return [kind.__qualname__, value.__getstate__() or {}]
    is_plain = all(getattr(kind, hook, None) is getattr(object, hook, None) for hook in HOOKS)
    named = getattr(value, "__qualname__", None) or kind.__qualname__
    return [named, getattr(value, "__dict__", None) if is_plain and deep else None]


def in_json(value: Any) -> Any:
    """Return a value as JSON: classes and functions by their names, objects by their attributes, arrays by a hash."""
    return json.loads(json.dumps(value, default=_described, skipkeys=True))


def to_arrays(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arrays and the JSON values of a transformer's sealed state, by name, without parameters and callbacks."""
    left_out = {LEARNER, UNFITTED, SEAL, *state[UNFITTED]}
    fitted = {name: value for name, value in state.items() if name not in left_out and "callback" not in name}
    flat = {f"fitted/{name}": value for name, value in fitted.items()} | state[LEARNER]
    arrays = {
        n: np.ascontiguousarray(v) for n, v in flat.items() if isinstance(v, np.ndarray) and not v.dtype.hasobject
    }
    rest = {
        name: [type(v).__name__, np.ndarray.tolist(v) if isinstance(v, np.ndarray) else v] for name, v in flat.items()
    }
    return arrays, {name: value for name, value in rest.items() if name not in arrays}


def from_arrays(arrays: Mapping[str, Any], rest: Mapping[str, Any], unfitted: Any) -> dict[str, Any]:
    """Return the sealed state of an estimator with the parameters of ``unfitted`` from what :func:`to_arrays` returned."""
    # JSON knows lists alone.
    kinds: dict[str, Callable[[Any], Any]] = {
        "tuple": tuple,
        "ndarray": lambda names: np.array(names, dtype=object),
    }
    flat = {name: kinds[kind](value) if kind in kinds else value for name, (kind, value) in rest.items()} | dict(arrays)
    learner = {name: value for name, value in flat.items() if not name.startswith("fitted/")}
    return sealed(unfitted.get_params(deep=False) | part(flat, "fitted/") | {LEARNER: learner, UNFITTED: unfitted})


def part(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the entries of a state under a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def module_state(module: nn.Module) -> dict[str, Any]:
    """Return a module's parameters and buffers by name, as arrays."""
    return {name: as_array(tensor) for name, tensor in module.state_dict().items()}


def load_module(module: nn.Module, arrays: Mapping[str, Any]) -> None:
    """Copy arrays into a module of the same structure."""
    try:
        module.load_state_dict({name: as_tensor(array) for name, array in arrays.items()})
    except RuntimeError as error:
        raise ValueError(
            f"The saved weights do not fit the network built for them: {error}. If an earlier version wrote the file, fit anew."
        ) from error


def optimizer_state(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Any]:
    """Return the optimizer's moments as arrays named ``<parameter>/<moment>``."""
    return {
        f"{name}/{key}": as_array(torch.as_tensor(value))
        for name, parameter in module.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
        if value is not None
    }


def load_optimizer(optimizer: torch.optim.Optimizer, module: nn.Module, arrays: Mapping[str, Any]) -> None:
    """Copy moments saved by :func:`optimizer_state` into an optimizer over the module's parameters."""
    parameters = dict(module.named_parameters())
    for name, array in arrays.items():
        parameter_name, key = name.rsplit("/", 1)
        parameter, moment = parameters[parameter_name], as_tensor(array)
        if moment.shape == parameter.shape:  # laid out in memory as the parameter is
            moment = torch.empty_like(parameter, dtype=moment.dtype).copy_(moment)
        optimizer.state[parameter][key] = moment.to(parameter.device)
