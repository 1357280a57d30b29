"""A learner: everything that training changes, and how it becomes arrays and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch

from skdim._random import LocalSeed
from skdim.inputs.layout import Layout
from skdim.inputs.samples import Samples, Standardizer
from skdim.nn.objectives.objective import Objective
from skdim.training.device import available_device, place
from skdim.training.state import load_module, load_optimizer, module_state, optimizer_state, part

#: Builds the objective for inputs like these, with what only training needs if the flag is True.
Build: TypeAlias = Callable[[Standardizer, bool], Objective]
MakeOptimizer: TypeAlias = Callable[[Objective], torch.optim.Optimizer]


@dataclass
class Learner:
    """The objective with its standardisation, and what continuing its training needs."""

    objective: Objective  # on ``device``
    standardize: Standardizer
    device: torch.device
    seed: int  # of orders, views and everything else random
    epoch: int = 0  # epochs trained so far; with the seed it fixes the next epoch's order and views
    optimizer: torch.optim.Optimizer | None = None  # None after a fit that is not to be continued
    generator: torch.Generator | None = None  # source of what a step draws; None likewise

    @classmethod
    def new(cls, build: Build, make_optimizer: MakeOptimizer, samples: Samples, seed: int) -> Learner:
        """Return a learner with the first weights of a seed."""
        with LocalSeed(seed):
            objective = place(build(samples.standardize, True), samples.device)
        generator = torch.Generator().manual_seed(seed)
        return cls(objective, samples.standardize, samples.device, seed, 0, make_optimizer(objective), generator)

    def resumed(self, build: Build, make_optimizer: MakeOptimizer) -> Learner:
        """Return a copy that can train; optimizer, generator and adversary start anew where the last fit dropped them."""
        learner = self.from_state(self.state(), build, make_optimizer)
        if learner.generator is None:
            seed = learner.seed + learner.epoch
            with LocalSeed(seed):
                learner.objective.adversary = place(build(learner.standardize, True), learner.device).adversary
            learner.generator = torch.Generator().manual_seed(seed)
            learner.optimizer = make_optimizer(learner.objective)
        return learner

    def drop_what_training_needs(self) -> None:
        """Drop the optimizer, the generator and the adversary, which a finished fit does not need."""
        self.optimizer = self.generator = self.objective.adversary = None

    def facts(self, samples: Samples) -> dict[str, float]:
        """Return what must be equal in all processes that train together."""
        return {
            "the number of rows of X": len(samples),
            "the number of values of a sample": math.prod(samples.X.shape[1:]),
            "the mean of X": float(self.standardize.mean.sum()),
            "the scale of X": float(self.standardize.scale.sum()),
            "the seed": self.seed,
            "the number of weights": sum(parameter.numel() for parameter in self.objective.parameters()),
        }

    def learns_from(self, samples: Samples) -> dict[str, Any]:
        """Return what a training depends on beside the estimator's parameters."""
        weights = module_state(self.objective)
        return {"X": samples.X, "extras": samples.extras, "epoch": self.epoch, "weights": weights}

    def state(self) -> dict[str, Any]:
        """Return a flat dictionary of arrays and JSON values."""
        state: dict[str, Any] = {
            "device": str(self.device),
            "seed": self.seed,
            "epoch": self.epoch,
            "shape": list(self.standardize.shape),
            "standardize/mean": self.standardize.mean,
            "standardize/scale": self.standardize.scale,
            "standardize/n_rows": self.standardize.n_rows,
        }
        if self.standardize.layout is not None:
            state |= {f"layout/{name}": part for name, part in self.standardize.layout.state().items()}
        state |= {f"objective/{name}": array for name, array in module_state(self.objective).items()}
        if self.optimizer is not None and self.generator is not None:
            moments = optimizer_state(self.optimizer, self.objective)
            state |= {f"optimizer/{name}": array for name, array in moments.items()}
            state["generator"] = self.generator.get_state().numpy().copy()
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Any], build: Build, make_optimizer: MakeOptimizer) -> Learner:
        """Build the objective and copy the arrays of :meth:`state` into it."""
        continues = "generator" in state
        device = available_device(state["device"])
        # Arrays are copied: they may be read-only memory maps of the file.
        statistics = {name: np.array(array) for name, array in part(state, "standardize/").items()}
        layout = part(state, "layout/")
        views = Layout.from_state(layout) if layout else None
        standardize = Standardizer(tuple(state["shape"]), **statistics, layout=views)
        with LocalSeed(0):  # the weights are overwritten by the saved ones
            objective = place(build(standardize, continues), device).eval()
        load_module(objective, part(state, "objective/"))
        learner = cls(objective, standardize, device, state["seed"], state["epoch"])
        if continues:
            learner.optimizer = make_optimizer(objective)
            load_optimizer(learner.optimizer, objective, part(state, "optimizer/"))
            learner.generator = torch.Generator()
            learner.generator.set_state(torch.from_numpy(np.array(state["generator"])))
        return learner
