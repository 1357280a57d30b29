"""Modules <-> plain values and arrays: a network with its weights as it is saved, without a tensor.

A part is its class and its attributes. torch's own classes count by their public names, others are kept as they are, so that
pickle and skops look for them and for nothing else. A part is restored as pickle restores it: without its constructor, by its
``__setstate__``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

#: Containers that are looked into, and what they are restored as.
CONTAINERS: dict[type, type] = {list: list, tuple: tuple, torch.Size: tuple, dict: dict, OrderedDict: dict}
#: torch's own classes of modules, with their public names.
PUBLIC = {kind: name for name, kind in vars(nn).items() if isinstance(kind, type) and issubclass(kind, nn.Module)}
#: Hooks that compute a weight at each call, and what writes it down and takes them off.
REMOVERS = {WeightNorm: "remove_weight_norm", SpectralNorm: "remove_spectral_norm", BasePruningMethod: "prune.remove"}


def as_array(tensor: Tensor) -> np.ndarray[Any, Any]:
    """Return a copy of a tensor."""
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:  # NumPy has no bfloat16; float32 holds it exactly
        tensor = tensor.float()
    return tensor.contiguous().numpy().copy()


def as_tensor(array: np.ndarray[Any, Any]) -> Tensor:
    """Return a copy of an array."""
    return torch.from_numpy(np.array(array, order="C"))


def packed(module: nn.Module) -> dict[str, dict[str, Any]]:
    """Return a module as "parts", and as "arrays" of its parameters, buffers and other tensors, by name.

    A part, and everything in it that holds others, is a list that begins with what it is. Raises a TypeError if a part is saved
    in a way of its own, which arrays cannot follow.
    """
    check_kept(module)
    every = [*module.named_modules(), *module.named_parameters(), *module.named_buffers()]
    names = {id(each): name for name, each in every}
    arrays: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    waiting = [module]

    def named(each: Any) -> str:
        return names.setdefault(id(each), f"#{len(names)}")

    def plain(value: Any) -> Any:
        if isinstance(value, Tensor):
            name = named(value)
            arrays.setdefault(name, value)
            return ["parameter" if isinstance(value, nn.Parameter) else "tensor", name, value.requires_grad]
        if isinstance(value, nn.Module):
            waiting.append(value)
            return ["module", named(value)]
        if isinstance(value, type) and value in PUBLIC:
            return ["torch.nn", PUBLIC[value]]
        if (container := CONTAINERS.get(type(value))) is None:
            return value
        return [container.__name__, *map(plain, value.items() if isinstance(value, dict) else value)]

    while waiting:
        part = waiting.pop()
        if named(part) not in parts:
            parts[named(part)] = [plain(type(part)), plain(_attributes(part))]
    return {"parts": parts, "arrays": {name: as_array(tensor) for name, tensor in arrays.items()}}


def check_kept(module: nn.Module) -> None:
    """Raise a TypeError if a part cannot be copied, or cannot be kept as arrays."""
    for name, part in module.named_modules():
        kind: Any = type(part)
        own = (kind.__reduce__, kind.__reduce_ex__) != (object.__reduce__, object.__reduce_ex__)
        if own or isinstance(part, torch.jit.ScriptModule):
            raise TypeError(
                f"A {kind.__name__} is saved in a way of its own, and cannot be kept as arrays: give the module that it was "
                "made from."
            )
        where = f"Part {name!r}" if name else "The module"
        if parametrize.is_parametrized(part):
            weight = next(iter(part.parametrizations))
            raise TypeError(
                f"{where} is parametrized, which cannot be saved. Call "
                f"torch.nn.utils.parametrize.remove_parametrizations(part, {weight!r}), which leaves its {weight} as it is."
            )
        for hook in part._forward_pre_hooks.values():
            for owner, remover in REMOVERS.items():
                if isinstance(hook, owner):
                    raise TypeError(
                        f"{where} computes a weight by a hook, {type(hook).__name__}, which cannot be saved. Call "
                        f"torch.nn.utils.{remover}, which leaves the weight as it is."
                    )


def _attributes(part: nn.Module) -> dict[str, Any]:
    """Return what a module holds beside what every new one does."""
    new = vars(nn.Module())
    state: dict[str, Any] = part.__getstate__()
    return {name: value for name, value in state.items() if name not in new or value != new[name]}


def unpacked(state: Mapping[str, Mapping[str, Any]]) -> nn.Module:
    """Return the module that :func:`packed` described."""
    tensors = {name: as_tensor(array) for name, array in state["arrays"].items()}

    def restored(value: Any) -> Any:
        if type(value) is not list:
            return value
        what, *rest = value
        if what == "tensor":
            return tensors[rest[0]].requires_grad_(rest[1])
        if what == "parameter":
            if not isinstance(tensors[rest[0]], nn.Parameter):
                tensors[rest[0]] = nn.Parameter(tensors[rest[0]], requires_grad=rest[1])
            return tensors[rest[0]]
        if what == "module":
            return modules[rest[0]]
        if what == "torch.nn":
            return {name: kind for kind, name in PUBLIC.items()}[rest[0]]
        return {"list": list, "tuple": tuple, "dict": dict}[what](map(restored, rest))

    kinds = {name: restored(kind) for name, (kind, _) in state["parts"].items()}
    modules: dict[str, nn.Module] = {name: kind.__new__(kind) for name, kind in kinds.items()}
    for name, (_, attributes) in state["parts"].items():
        modules[name].__setstate__(vars(nn.Module()) | restored(attributes))
    return next(iter(modules.values()))
