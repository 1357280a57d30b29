"""Modules and optimizers <-> flat dictionaries of NumPy arrays: the whole persistence contract.

Every array is one parameter, buffer or optimizer moment under its own name, with its own shape and dtype, so a saved model
can be read without this package, memory-mapped, and loaded where the device it was fitted on is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

STATE_VERSION = 1


def check_version(state: Mapping[str, Any]) -> None:
    """Raise a ``ValueError`` if a later version of skdim wrote the state."""
    if state["version"] > STATE_VERSION:
        raise ValueError(
            f"This model was saved in state version {state['version']}; this skdim reads up to {STATE_VERSION}: update it."
        )


def part(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the entries of a state under a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def as_array(tensor: Tensor) -> np.ndarray[Any, Any]:
    """Return a copy of a tensor."""
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:  # NumPy has no bfloat16; float32 holds it exactly
        tensor = tensor.float()
    return tensor.contiguous().numpy().copy()


def as_tensor(array: np.ndarray[Any, Any]) -> Tensor:
    """Return a copy of an array."""
    return torch.from_numpy(np.array(array, order="C"))


def module_state(module: nn.Module) -> dict[str, Any]:
    """Return a module's parameters and buffers by name, as arrays."""
    return {name: as_array(tensor) for name, tensor in module.state_dict().items()}


def load_module(module: nn.Module, arrays: Mapping[str, Any]) -> None:
    """Copy arrays into a module of the same structure."""
    try:
        module.load_state_dict({name: as_tensor(array) for name, array in arrays.items()})
    except RuntimeError as error:
        raise ValueError(f"The saved weights do not fit the network built for them: {error}") from error


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
