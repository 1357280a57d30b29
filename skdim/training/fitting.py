"""From the parameters that every transformer shares to a trainer: epochs, held-out rows, processes, callbacks."""

from __future__ import annotations

import math
import os
from functools import partial
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from skdim._sklearn import Interval, RealNotInt, StrOptions
from skdim.inputs.batches import Batches
from skdim.inputs.samples import Samples
from skdim.training.callbacks import BestEpoch, EpochTasks
from skdim.training.checkpoint import Checkpoint
from skdim.training.device import PRECISIONS, resolve_precision
from skdim.training.distributed import Ranks, join
from skdim.training.learner import Learner, MakeOptimizer
from skdim.training.trainer import OPTIMIZERS, Trainer, held_out_values, make_optimizer

#: Steps that max_iter="auto" aims at, and the epochs it stays within.
AUTO_STEPS, AUTO_EPOCHS = 8_000, (1, 100)

#: What the parameters of training may be.
TRAINING_CONSTRAINTS: dict[str, Any] = {
    "batch_size": [Interval(Integral, 2, None, closed="left")],
    "max_iter": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
    "learning_rate": [Interval(Real, 0, None, closed="neither")],
    "schedule": [StrOptions({"cosine"}), None],
    "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(RealNotInt, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "warm_start": ["boolean"],
    "device": [str],
    "precision": [StrOptions({"auto", *PRECISIONS})],
    "compile": ["boolean"],
    "checkpoint": [str, os.PathLike, Checkpoint, None],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


def n_epochs(estimator: Any, n_rows: int) -> int:
    """Return the epochs that ``max_iter`` stands for with ``n_rows`` training rows."""
    if estimator.max_iter != "auto":
        return int(estimator.max_iter)
    return int(np.clip(round(AUTO_STEPS * estimator.batch_size / n_rows), *AUTO_EPOCHS))


def optimizer_of(estimator: Any) -> MakeOptimizer:
    """Return the function that builds an optimizer as the estimator's parameters say."""
    return lambda objective: make_optimizer(
        estimator.optimizer, objective, estimator.learning_rate, estimator.weight_decay
    )


class Fitting(NamedTuple):
    """One call of ``fit`` or ``partial_fit``, ready to be trained."""

    train: np.ndarray[Any, Any]  # rows
    valid: np.ndarray[Any, Any] | None  # rows held out
    max_epochs: int
    schedule: bool  # whether the learning rate rises and falls
    ranks: Ranks | None  # the processes that train together

    @classmethod
    def plan(cls, estimator: Any, learner: Learner, samples: Samples, partial: bool) -> Fitting:
        """Return the rows and epochs that an estimator's parameters ask for, equal in all processes that train together."""
        n = len(samples)
        train, valid = np.arange(n), None
        if estimator.early_stopping and not partial:
            n_valid = math.ceil(estimator.validation_fraction * n)
            if min(n_valid, n - n_valid) < 2:
                raise ValueError(
                    f"early_stopping=True holds out {n_valid} of n_samples = {n} rows; it needs at least 2 on either side. "
                    "Give more samples or another validation_fraction."
                )
            order = np.random.default_rng(learner.seed).permutation(train)
            train, valid = np.sort(order[n_valid:]), np.sort(order[:n_valid])
        epochs = 1 if partial else n_epochs(estimator, len(train))
        ranks = join(learner.device)
        if ranks is not None:
            training = {"batch_size": estimator.batch_size, "learning_rate": estimator.learning_rate}
            ranks.check_same(learner.facts(samples) | training | {"the number of epochs": epochs})
        return cls(train, valid, epochs, estimator.schedule is not None and not partial, ranks)

    def batches(self, estimator: Any, learner: Learner, samples: Samples, held_out: bool = False) -> Batches:
        """Return the batches of the training rows, or of those held out."""
        rows, seed, epoch = (self.valid, None, 0) if held_out else (self.train, learner.seed, learner.epoch)
        assert rows is not None
        n_draws = learner.objective.n_draws
        batches = Batches(samples, rows, estimator.batch_size, seed, epoch, n_draws, self.ranks)
        if self.ranks is not None:
            self.ranks.check_batches(len(rows), len(batches))
        return batches

    def trainer(self, estimator: Any, learner: Learner, samples: Samples, task: Any) -> Trainer:
        """Return the trainer; ``task`` is the callback context of the fit with its X and y."""
        best, (root, X, y) = None, task
        if self.valid is not None:
            valid = self.batches(estimator, learner, samples, held_out=True)
            judge = partial(held_out_values, batches=valid, ranks=self.ranks)
            best = BestEpoch(judge, estimator.n_iter_no_change, estimator.tol)
        callbacks = []
        if root._callbacks:
            # A transformer has no y, but scikit-learn's monitor scores only if there is one.
            data = X, np.zeros(len(samples)) if y is None else y
            any_rank = bool if self.ranks is None else self.ranks.any
            built_with = estimator._built_with

            def fitted(net: Any) -> dict[str, Any]:
                now = Learner.from_state(learner.state(), built_with._build, optimizer_of(built_with))
                attributes: dict[str, Any] = estimator._fitted(now, net.recorded())
                return attributes

            callbacks.append(EpochTasks(root, estimator, data, fitted, any_rank))
        assert learner.optimizer is not None
        assert learner.generator is not None
        return Trainer(
            optimizer=learner.optimizer,
            max_epochs=self.max_epochs,
            generator=learner.generator,
            schedule=self.schedule,
            best=best,
            callbacks=callbacks,
            precision=resolve_precision(estimator.precision, learner.device),
            compiled=estimator.compile,
            ranks=self.ranks,
            verbose=estimator.verbose,
            what=type(estimator).__name__,
            is_kept=True,
        )
