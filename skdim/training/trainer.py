"""The only training loop: skorch keeps epochs, history and callbacks; the objective computes its own loss."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor, nn

from skdim._params import look_up
from skdim._random import seeded_step
from skdim.inputs.batches import Batch, Batches
from skdim.nn.objectives.objective import Objective, drawn
from skdim.training.callbacks import BestEpoch, DivergenceGuard, EpochLog, StopTraining
from skdim.training.checkpoint import Journal, present_journal
from skdim.training.device import computing
from skdim.training.distributed import Ranks, refuse_several
from skdim.training.interrupts import Interrupt, in_search
from skdim.training.step import CudaRecorder, RecordedStep, Step, can_be_recorded, warn_eager

Optimizer: TypeAlias = str | Callable[..., torch.optim.Optimizer]

#: Optimizers by name, with torch's fused kernels.
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": lambda groups, **options: torch.optim.AdamW(groups, fused=True, **options),
    "adam": lambda groups, **options: torch.optim.Adam(groups, fused=True, **options),
    "sgd": lambda groups, **options: torch.optim.SGD(groups, momentum=0.9, fused=True, **options),
}

#: Adam's betas for a discriminator: with the usual 0.9 it lags behind the codes, and the two circle each other. Radford, Metz
#: & Chintala, "Unsupervised representation learning with deep convolutional GANs", ICLR 2016, and Deep InfoMax's own code.
ADVERSARY_BETAS = (0.5, 0.999)

#: Share of the steps over which the learning rate rises to its value, before it falls along a cosine.
WARM_UP = 0.05


def make_optimizer(
    optimizer: Optimizer, objective: Objective, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Build the optimizer; biases, norms, scales and the adversary are not decayed.

    ``optimizer`` is a name, or a callable ``(parameter_groups, lr=...) -> torch.optim.Optimizer``.
    """
    against = list(objective.adversary.parameters()) if objective.adversary is not None else []
    others = {id(parameter) for parameter in against}
    parameters = [p for p in objective.parameters() if p.requires_grad and id(p) not in others]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if objective.is_decayed(p)], "weight_decay": weight_decay},
        {"params": [p for p in parameters if not objective.is_decayed(p)], "weight_decay": 0.0},
        {"params": against, "weight_decay": 0.0},
    ]
    if optimizer in ("adam", "adamw"):
        groups[-1]["betas"] = ADVERSARY_BETAS
    factory = look_up("optimizer", optimizer, OPTIMIZERS) if isinstance(optimizer, str) else optimizer
    try:
        inspect.signature(factory).bind(groups, lr=learning_rate)
    except TypeError as error:
        raise TypeError(f"optimizer is called as optimizer(parameter_groups, lr={learning_rate}): {error}.") from error
    made = factory([group for group in groups if group["params"]], lr=learning_rate)
    if not isinstance(made, torch.optim.Optimizer):
        raise TypeError(f"optimizer must return a torch.optim.Optimizer, and returned {type(made).__name__}.")
    both = groups, made.param_groups
    given, held = ({id(parameter) for group in each for parameter in group["params"]} for each in both)
    if given - held:
        raise ValueError(
            f"optimizer holds {len(given & held)} of the {len(given)} parameters that it was given; the others would not be "
            "trained. Let it hold them all."
        )
    return made


class History(NamedTuple):
    """What a training recorded."""

    epochs: list[dict[str, float]]  # "loss" and the other parts; "valid_loss" and so on are of held-out rows
    best: dict[str, float]  # parts of the epoch whose weights were kept, of held-out rows if there are any
    best_epoch: int  # from 1; 0 where the start was best
    interrupted: bool = False  # whether Ctrl-C ended it


@dataclass
class Trainer:
    """How an objective is trained: the optimizer's steps on its losses, epoch by epoch, with callbacks between them.

    ``best`` judges epochs on held-out rows and keeps the best one's weights. ``ranks`` are the processes that train together.
    ``what`` names the caller in the error of one that trains in one process only, if several were started.
    """

    optimizer: torch.optim.Optimizer  # over the objective's parameters
    max_epochs: int
    generator: torch.Generator  # source of what a step draws besides its views
    schedule: bool = True  # whether the learning rate rises and falls over all steps
    best: BestEpoch | None = None
    callbacks: Sequence[Callback] = ()  # called between batches and epochs
    precision: torch.dtype = torch.float32  # what the networks compute in
    compiled: bool = False  # whether torch.compile translates the step
    ranks: Ranks | None = None
    verbose: int = 0
    what: str = "This"
    is_kept: bool = False  # whether what Ctrl-C interrupts is of use; else it raises KeyboardInterrupt

    def train(self, objective: Objective, batches: Batches) -> History:
        """Train for ``max_epochs`` or until a callback stops, and leave the weights in the objective, in eval mode."""
        if self.ranks is None:
            refuse_several(self.what)
        net = _Net(self, objective, batches).initialize()
        with (
            present_journal() as net.journal,
            net.interrupt if self.is_kept and self.ranks is None and not in_search() else nullcontext(),
            nullcontext() if self.ranks is None else self.ranks.training(objective),
            computing(objective.networks, self.precision),
        ):
            if net.journal is not None and (ended := net.journal.begin(objective)) is not None:
                net.release()
                objective.eval()
                return History(**ended)
            net.notify("on_train_begin")
            if net.journal is not None:
                net.journal.resume(net)
            try:
                net.fit_loop(None, epochs=self.max_epochs - len(net.history))
            except StopTraining:
                pass
            finally:
                net.release()
        objective.eval()
        net.notify("on_train_end")
        history = net.recorded()
        if net.journal is not None:
            net.journal.is_interrupted |= history.interrupted
            net.journal.end(objective, history._asdict())
        return history


class _Net(NeuralNet):
    """skorch's NeuralNet over an objective, whose step it takes."""

    def __init__(self, trainer: Trainer, objective: Objective, batches: Batches) -> None:
        verbose = trainer.verbose if trainer.ranks is None or trainer.ranks.rank == 0 else 0
        best = [] if trainer.best is None else [trainer.best]
        log = [EpochLog(objective.bounds, judged=trainer.best is not None)] if verbose else []
        super().__init__(
            objective,
            criterion=nn.Identity,  # skorch asks for one; the objective computes its own loss
            max_epochs=trainer.max_epochs,
            train_split=None,
            callbacks=[*best, DivergenceGuard(), *trainer.callbacks, *log],
            verbose=verbose,
            device=None,
        )
        self.trainer = trainer
        self.batches = batches
        self.total_steps = trainer.max_epochs * len(batches) if trainer.schedule else 0
        self.draws_globally = True  # until a step did not
        self.stops = False
        self.interrupt = Interrupt()
        self.journal: Journal | None = None
        # Where a training goes on: its steps, the batches of its epoch, and their values.
        self.first_step, self.first_batch = 0, 0
        self.first_values: dict[str, list[Any]] = {}

    def release(self) -> None:
        """Let go of samples, gradients and recordings now: the net is part of a cycle, which Python collects at its leisure."""
        self.optimizer_.zero_grad()
        del self.schedule_, self.step_, self.batches

    @property
    def _default_callbacks(self) -> list[Any]:
        return []

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> _Net:
        self.optimizer_ = self.trainer.optimizer
        self.schedule_ = torch.optim.lr_scheduler.LambdaLR(self.optimizer_, self.learning_rate_factor)
        self.step_ = make_step(self)
        return self

    def learning_rate_factor(self, step: int) -> float:
        if not self.total_steps:
            return 1.0
        step += self.first_step
        done = step / self.total_steps
        return min(1.0, (step + 1) / (WARM_UP * self.total_steps + 1)) * 0.5 * (1 + math.cos(math.pi * done))

    def get_split_datasets(self, X: Any, y: Any = None, **fit_params: Any) -> tuple[Batches, None]:
        return self.batches, None

    def get_iterator(self, dataset: Batches, training: bool = False) -> Batches:
        return dataset

    def run_single_epoch(
        self, iterator: Batches | None, training: bool, prefix: str, step_fn: Callable[..., Any], **fit_params: Any
    ) -> None:
        """Take a step for each batch; unlike skorch's, without reading its loss, which on a GPU waits for the step's end."""
        trainer, objective = self.trainer, self.module_
        if iterator is None:  # skorch also asks for a validation
            return
        number, self.first_batch = self.first_batch, 0
        for block in iterator.blocks(number):
            if self.journal is not None:
                self.journal.offer(self, number)
            for batch, draws in zip(block, drawn(objective, block, trainer.generator), strict=True):
                self.notify("on_batch_begin", batch=batch, training=training)
                if trainer.ranks is not None:
                    trainer.ranks.begin(batch.rows.n)
                X, draws = objective.prepared(batch.X, draws)
                with self._randomness(batch, number):
                    if isinstance(self.step_, RecordedStep):
                        values = self.step_(X, draws)
                    else:
                        loss, values = self.step_.loss(X, draws)
                        self.step_.update(loss)
                self.schedule_.step()
                _keep(self.values_, values)
                self.notify("on_batch_end", batch=batch, training=training, loss=values["loss"])
                number += 1
                if self.interrupt.requested:
                    self.stops = True
                    return

    @contextmanager
    def _randomness(self, batch: Batch, step: int) -> Iterator[None]:
        """Seed what the network draws in a step, as dropout does; the first step shows whether it draws."""
        if not self.draws_globally:
            yield
            return
        # Each process has its own seed: rows of different processes get different numbers.
        rank = 0 if self.trainer.ranks is None else self.trainer.ranks.rank
        entropy = [self.batches.seed or 0, self.batches.epoch, step, rank]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        with seeded_step(seed, batch.uniform.device, self.trainer.compiled) as drew:
            yield
        self.draws_globally = drew[0]

    def on_train_begin(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        super().on_train_begin(net, *args, **kwargs)
        self.recorded_: dict[str, None] = {}  # names of the parts in order of their first epoch; an epoch may lack some

    def on_epoch_begin(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        if self.stops:
            raise StopTraining
        super().on_epoch_begin(net, *args, **kwargs)
        self.module_.train()
        self.values_, self.first_values = self.first_values, {}

    def on_epoch_end(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        self.record("train_", _means(self.values_, self.trainer.ranks))

    def record(self, prefix: str, values: dict[str, float]) -> None:
        """Record values of the present epoch."""
        for name, value in values.items():
            self.recorded_[prefix + name] = None
            self.history.record(prefix + name, value)

    def recorded(self) -> History:
        """Return what was recorded so far."""
        names = {name: name.removeprefix("train_") for name in self.recorded_}
        epochs = [{part: row[name] for name, part in names.items() if name in row} for row in self.history]
        best, prefix = len(epochs), ""
        if self.trainer.best is not None:
            best, prefix = self.trainer.best.best_epoch_, "valid_"
        of_best = epochs[best - 1] if epochs and best else {}
        values = {name.removeprefix(prefix): value for name, value in of_best.items() if name.startswith(prefix)}
        return History(epochs, values, best, self.interrupt.requested)


def make_step(net: _Net) -> Step | RecordedStep:
    """Return the step of a net: recorded on a CUDA device, as it is elsewhere and where several processes share a batch."""
    trainer, device = net.trainer, net.batches.samples.device
    average = None if trainer.ranks is None else partial(trainer.ranks.average_gradients, net.module_)
    step = Step(net.module_, trainer.optimizer, trainer.compiled, average)
    if device.type != "cuda" or trainer.ranks is not None:
        return step
    if not can_be_recorded(trainer.optimizer):
        kind = type(trainer.optimizer).__name__
        warn_eager(f"{kind} does not keep its state on the device, by an option capturable or fused")
        return step
    return RecordedStep(step, CudaRecorder(device))


def held_out_values(objective: Objective, batches: Batches, ranks: Ranks | None = None) -> dict[str, float]:
    """Put an objective into eval mode, and return the means of its parts over batches of held-out rows."""
    objective.eval()
    values: dict[str, list[Any]] = {}
    with torch.no_grad():
        for batch in batches:
            if ranks is not None:
                ranks.begin(batch.rows.n)
            (draws,) = drawn(objective, [batch], None)
            _keep(values, objective.evaluate(batch.X, draws))
    return _means(values, ranks)


def _keep(kept: dict[str, list[Any]], values: dict[str, Tensor]) -> None:
    for name, value in values.items():
        # On the CPU keep numbers: live scalars between large tensors fragment the memory, and steps became a fifth slower
        # within an epoch. On a GPU keep tensors: reading each one waits for its step.
        kept.setdefault(name, []).append(value.item() if value.device.type == "cpu" else value)


def _means(values: dict[str, list[Any]], ranks: Ranks | None) -> dict[str, float]:
    means = [
        (torch.stack(part) if isinstance(part[0], Tensor) else torch.tensor(part, dtype=torch.float64)).mean()
        for part in values.values()
    ]
    if ranks is not None and means:  # to the bit, so that all stop after the same epoch
        means = list(ranks.mean(torch.stack(means)))
    return {name: mean.item() for name, mean in zip(values, means, strict=True)}
