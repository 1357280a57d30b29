"""The one skorch net: skorch keeps epochs, history and callbacks, the objective computes its own loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, PrintLog
from torch import Tensor, nn

from skdim._params import look_up
from skdim.training.batches import Batch, Batches
from skdim.training.callbacks import StopTraining
from skdim.training.device import local_seed
from skdim.training.distributed import Ranks

__all__ = ["OPTIMIZERS", "InfoMaxNet", "Optimizer", "make_optimizer"]

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
    optimizer: Optimizer, module: nn.Module, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Build the optimizer; biases, norms and scales are not decayed, nor is what ``module.prior`` plays against the rest.

    Parameters
    ----------
    optimizer : str or callable
        A name, or a callable ``(parameter_groups, lr=...) -> torch.optim.Optimizer``.
    module : nn.Module
        What is trained.
    learning_rate, weight_decay : float
        The optimizer's settings.

    Returns
    -------
    torch.optim.Optimizer
    """
    adversary = getattr(module, "prior", None)
    against = list(adversary.parameters()) if adversary is not None else []
    others = {id(parameter) for parameter in against}
    parameters = [p for p in module.parameters() if p.requires_grad and id(p) not in others]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        {"params": against, "weight_decay": 0.0},
    ]
    if optimizer in ("adam", "adamw"):
        groups[-1]["betas"] = ADVERSARY_BETAS
    factory = look_up("optimizer", optimizer, OPTIMIZERS) if isinstance(optimizer, str) else optimizer
    return factory([group for group in groups if group["params"]], lr=learning_rate)


def _draws_from_the_global_generator(module: nn.Module) -> bool:
    """Whether a forward pass may draw random numbers; the layers that our own networks are made of do not."""
    harmless = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm, nn.ReLU)
    containers = (nn.Sequential, nn.ModuleDict, nn.ModuleList, nn.Identity, nn.Flatten)
    return not all(
        type(part) in harmless + containers
        or type(part).__module__.startswith("skdim.")
        or (type(part) is nn.GRU and not part.dropout)
        for part in module.modules()
    )


class InfoMaxNet(NeuralNet):
    """skorch's NeuralNet over an objective that maps views to a loss and its named parts.

    Parameters
    ----------
    module : nn.Module
        The objective, built and placed: ``module(views, generator) -> (loss, parts)``; ``module.evaluate(views) -> parts``.
    optimizer : torch.optim.Optimizer
        Over the module's parameters.
    make_views : callable (batch, evaluation) -> views
        Views of a batch, as the module takes them; with ``evaluation`` from the fixed evaluation seed.
    train, valid : Batches, Batches or None
        What is trained on, and the held-out rows.
    max_epochs : int
        Epochs.
    total_steps : int or None
        Steps that the learning-rate schedule spans; None or 0 keeps the rate constant.
    generator : torch.Generator
        Source of everything random in a step but the views.
    callbacks : sequence of skorch callbacks
        Called between batches and epochs.
    verbose : int
        Above 0, a line per epoch is printed.
    ranks : Ranks or None, default=None
        The processes that this one trains with.
    computing : context manager or None, default=None
        Entered for the training: how networks compute; see :func:`~skdim.training.device.computing`.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        make_views: Callable[[Batch, bool], Any],
        train: Batches,
        valid: Batches | None,
        max_epochs: int,
        total_steps: int | None,
        generator: torch.Generator,
        callbacks: Sequence[Callback] = (),
        verbose: int = 0,
        ranks: Ranks | None = None,
        computing: AbstractContextManager[None] | None = None,
    ) -> None:
        verbose = verbose if ranks is None or ranks.rank == 0 else 0
        callbacks = [*callbacks, PrintLog()] if verbose else list(callbacks)
        super().__init__(
            module,
            criterion=nn.Identity,  # skorch asks for one; the module computes its own loss
            max_epochs=max_epochs,
            train_split=None,
            callbacks=callbacks,
            verbose=verbose,
            device=None,
        )
        self.draws = _draws_from_the_global_generator(module)
        self.get_optimizer = lambda: optimizer  # skorch takes optimizers in initialize_optimizer only
        self.make_views = make_views
        self.train = train
        self.valid = valid
        self.total_steps = total_steps
        self.generator = generator
        self.ranks = ranks
        self.computing = nullcontext() if computing is None else computing

    @property
    def _default_callbacks(self) -> list[Any]:
        return []

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> InfoMaxNet:
        self.optimizer_ = self.get_optimizer()
        self.schedule_ = torch.optim.lr_scheduler.LambdaLR(self.optimizer_, self._learning_rate_factor)
        return self

    def _learning_rate_factor(self, step: int) -> float:
        if not self.total_steps:
            return 1.0
        done = step / self.total_steps
        return min(1.0, (step + 1) / (WARM_UP * self.total_steps + 1)) * 0.5 * (1 + math.cos(math.pi * done))

    def get_split_datasets(self, X: Any, y: Any = None, **fit_params: Any) -> tuple[Batches, Batches | None]:
        return self.train, self.valid

    def get_iterator(self, dataset: Iterable[Batch], training: bool = False) -> Iterable[Batch]:
        return dataset

    def run(self) -> InfoMaxNet:
        """Train for ``max_epochs``, or until a callback stops."""
        self.initialize()
        with nullcontext() if self.ranks is None else self.ranks.training(self.module_), self.computing:
            self.notify("on_train_begin")
            try:
                self.fit_loop(None)
            except StopTraining:
                pass
        self.module_.eval()
        self.notify("on_train_end")
        return self

    def run_single_epoch(
        self,
        iterator: Iterable[Batch] | None,
        training: bool,
        prefix: str,
        step_fn: Callable[..., Any],
        **fit_params: Any,
    ) -> None:
        """Take a step for each batch; unlike skorch's, without reading its loss, which on a GPU waits for the step's end."""
        for batch in iterator or ():
            self.notify("on_batch_begin", batch=batch, training=training)
            self.notify("on_batch_end", batch=batch, training=training, **step_fn(batch, **fit_params))

    def on_epoch_begin(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        super().on_epoch_begin(net, *args, **kwargs)
        self.module_.train()
        self.values_: dict[str, list[Any]] = {}

    def on_train_begin(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        super().on_train_begin(net, *args, **kwargs)
        self.recorded_: dict[str, None] = {}  # names of all that was recorded, in order; a part may lack in some epochs

    def on_epoch_end(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        self.recorded_ |= dict.fromkeys(self.values_)
        means = [_mean(values) for values in self.values_.values()]
        if self.ranks is not None and means:  # to the bit, so that all stop after the same epoch
            means = list(self.ranks.mean(torch.stack(means)))
        for name, mean in zip(self.values_, means, strict=True):
            self.history.record(name, mean.item())

    def train_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        with self._randomness():
            loss, parts = self.module_(self.make_views(batch, False), self.generator)
        self.optimizer_.zero_grad()
        loss.backward()
        if self.ranks is not None:
            self.ranks.average_gradients(self.module_)
        self.optimizer_.step()
        self.schedule_.step()
        return self._record(parts, "train_")

    def validation_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        self.module_.eval()
        with torch.no_grad():
            return self._record(self.module_.evaluate(self.make_views(batch, True)), "valid_")

    def _randomness(self) -> AbstractContextManager[None]:
        if not self.draws:
            return nullcontext()
        seed = int(torch.randint(2**31, (), generator=self.generator))
        if self.ranks is not None:  # what a layer draws for one row, it must not draw for another rank's
            seed = (seed + self.ranks.rank) % 2**31
        return local_seed(seed, next(self.module_.parameters()).device)

    def _record(self, parts: dict[str, Tensor], prefix: str) -> dict[str, Any]:
        for name, value in parts.items():
            # On the CPU the number: live scalars between the steps' large tensors keep the allocator from joining what is free,
            # and steps became a fifth slower within an epoch. A GPU's are read at the end, without waiting for each.
            number = value.item() if value.device.type == "cpu" else value
            self.values_.setdefault(prefix + name, []).append(number)
        return {"loss": parts["loss"]}


def _mean(values: list[Any]) -> Tensor:
    return (torch.stack(values) if isinstance(values[0], Tensor) else torch.tensor(values, dtype=torch.float64)).mean()
