"""A learner: everything that training changes, and how it becomes arrays and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from skdim.exceptions import DeviceWarning, warn
from skdim.training.batches import Standardizer
from skdim.training.device import place, resolve_device
from skdim.training.state import (
    STATE_VERSION,
    check_version,
    load_module,
    load_optimizer,
    module_state,
    optimizer_state,
)

__all__ = ["Learner", "available_device"]


@dataclass
class Learner:
    """The objective with its standardisation, and what continuing its training needs.

    Parameters
    ----------
    objective : nn.Module
        Encoder, critics and prior, on ``device``.
    standardize : Standardizer
        Rows -> tensors.
    device : torch.device
        Where it trains and encodes.
    seed : int
        Seed of orders, views and everything else random.
    epoch : int, default=0
        Epochs trained so far; with the seed it fixes the next epoch's order and views.
    optimizer : torch.optim.Optimizer or None
        None once training is over for good.
    generator : torch.Generator or None
        Likewise.
    """

    objective: nn.Module
    standardize: Standardizer
    device: torch.device
    seed: int
    epoch: int = 0
    optimizer: torch.optim.Optimizer | None = None
    generator: torch.Generator | None = None

    def state(self) -> dict[str, Any]:
        """Return a flat dictionary of arrays and JSON values."""
        state: dict[str, Any] = {
            "version": STATE_VERSION,
            "device": str(self.device),
            "seed": self.seed,
            "epoch": self.epoch,
            "shape": list(self.standardize.shape),
            "standardize/mean": self.standardize.mean,
            "standardize/scale": self.standardize.scale,
        }
        if self.standardize.mixing is not None:
            state["standardize/mixing"] = self.standardize.mixing
        state |= {f"objective/{name}": array for name, array in module_state(self.objective).items()}
        if self.optimizer is not None and self.generator is not None:
            moments = optimizer_state(self.optimizer, self.objective)
            state |= {f"optimizer/{name}": array for name, array in moments.items()}
            state["generator"] = self.generator.get_state().numpy().copy()
        return state

    @classmethod
    def from_state(
        cls,
        state: Mapping[str, Any],
        build: Callable[[tuple[int, ...], bool], nn.Module],
        make_optimizer: Callable[[nn.Module], torch.optim.Optimizer],
    ) -> Learner:
        """Build the objective and copy the arrays into it.

        Parameters
        ----------
        state : mapping
            From :meth:`state`.
        build : callable (shape, training) -> nn.Module
            Builds the objective for inputs of this shape, with what only training needs if ``training``.
        make_optimizer : callable (module) -> Optimizer
            Builds the optimizer.

        Raises
        ------
        ValueError
            If a later version of skdim wrote the state.
        """
        check_version(state)
        shape = tuple(state["shape"])
        continues = "generator" in state
        device = available_device(state["device"])
        objective = place(build(shape, continues), device).eval()
        load_module(objective, _part(state, "objective/"))
        # Arrays are copied: they may be read-only memory maps of the file.
        statistics = {name: np.array(array) for name, array in _part(state, "standardize/").items()}
        learner = cls(objective, Standardizer(shape, **statistics), device, state["seed"], state["epoch"])
        if continues:
            learner.optimizer = make_optimizer(objective)
            load_optimizer(learner.optimizer, objective, _part(state, "optimizer/"))
            learner.generator = torch.Generator()
            learner.generator.set_state(torch.from_numpy(np.array(state["generator"])))
        return learner


def _part(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def available_device(device: str) -> torch.device:
    """Return the device a saved model was fitted on, or the CPU with a warning where this machine lacks it."""
    try:
        return resolve_device(device)
    except ValueError:
        warn(
            f"This model was fitted on {device!r}, which this machine does not have: it is loaded on the CPU.",
            DeviceWarning,
        )
        return torch.device("cpu")
