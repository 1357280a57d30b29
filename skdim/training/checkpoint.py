"""Checkpoints: what a fit has trained so far, in a file from which the same fit goes on after its process was killed."""

from __future__ import annotations

import json
import math
import os
import pickle
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from torch import nn

from skdim._params import Configured
from skdim._versions import __version__
from skdim.exceptions import CheckpointWarning, warn
from skdim.inputs.arrays import ROWS_AT_ONCE
from skdim.training.distributed import Ranks, left_beside, write_whole
from skdim.training.interrupts import in_search
from skdim.training.state import load_module, load_optimizer, module_state, optimizer_state, part

#: Parameters that change nothing of what is trained.
WITHOUT_EFFECT = frozenset({"checkpoint", "random_state", "verbose"})

Arrays = dict[str, Any]


@dataclass
class Checkpoint(Configured):
    """Where and how often a fit writes what it has trained so far.

    If the process is killed, the next fit with the same parameters, data and integer ``random_state`` goes on from the file, to
    the bits of a fit that was not killed, on the same machine with the same number of threads. Each fit has a file of its own,
    so candidates and folds of a search share a directory. A file is replaced as a whole, and deleted when its fit ends. Under
    torchrun the first process writes at the end of an epoch, and all read: all must see the directory.

    Parameters
    ----------
    directory : str or path-like
        Where the files are; it is created if there is none.
    minutes : float, default=10
        Time between two files; 0 writes at every chance, after each block of batches.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from skdim import Checkpoint, DeepInfoMaxTransformer
    >>> X = np.random.default_rng(0).normal(size=(64, 8))
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     dim = DeepInfoMaxTransformer(4, max_iter=2, checkpoint=Checkpoint(directory, minutes=0), random_state=0)
    ...     dim.fit(X).n_iter_, os.listdir(directory)
    (2, [])
    """

    directory: str | os.PathLike[str]
    minutes: float = 10.0

    def check(self) -> None:
        """Raise a ``ValueError`` or ``TypeError`` if the directory is no path, or ``minutes`` no number from 0 on."""
        if not isinstance(self.directory, str | os.PathLike) or not os.fspath(self.directory):
            raise TypeError(f"checkpoint must be a directory, got {self.directory!r}.")
        if not (isinstance(self.minutes, Real) and 0 <= self.minutes < math.inf):
            raise ValueError(f"minutes must be a number from 0 on, got {self.minutes!r}.")


class Journal:
    """The trainings of one fit in their order: those that have ended, and the one under way.

    A training is a pair of arrays and facts, which JSON holds. Facts have "epochs" if it has ended.
    """

    def __init__(self, path: Path, key: dict[str, str], minutes: float) -> None:
        self.path, self.key, self.minutes = path, key, minutes
        self.trainings: list[tuple[Arrays, dict[str, Any]]] = []
        self.place = 0  # of the next training
        self.is_interrupted = False
        self.written = time.monotonic()

    def begin(self, objective: nn.Module) -> dict[str, Any] | None:
        """Begin the next training. If it has ended already, load its weights and return what it recorded."""
        self.place += 1
        if len(self.trainings) < self.place or "epochs" not in self.trainings[self.place - 1][1]:
            return None
        arrays, facts = self.trainings[self.place - 1]
        load_module(objective, arrays)
        return facts

    def resume(self, net: Any) -> None:
        """Put a net, whose training has begun, where the file left it."""
        if len(self.trainings) == self.place:
            arrays, facts = self.trainings[self.place - 1]
            load_module(net.module_, part(arrays, "objective/"))
            load_optimizer(net.optimizer_, net.module_, part(arrays, "optimizer/"))
            net.trainer.generator.set_state(torch.from_numpy(arrays["generator"]))
            if net.trainer.best is not None:
                net.trainer.best.load(part(arrays, "best/"), facts["best"])
            for row in facts["rows"]:
                net.history.new_epoch()
                for name, value in row.items():
                    net.history.record(name, value)
                net.recorded_ |= dict.fromkeys(name for name in row if name != "epoch")
            device = net.batches.samples.device
            for name, values in part(arrays, "values/").items():
                is_on_host = device.type == "cpu"
                net.first_values[name] = values.tolist() if is_on_host else [*torch.from_numpy(values).to(device)]
            net.batches.epoch += len(facts["rows"])
            net.first_batch, net.draws_globally = facts["n_batches"], facts["draws_globally"]
            net.first_step = len(facts["rows"]) * len(net.batches) + net.first_batch
            net.schedule_ = torch.optim.lr_scheduler.LambdaLR(net.optimizer_, net.learning_rate_factor)

    def offer(self, net: Any, n_batches: int) -> None:
        """Write where a net is, ``n_batches`` into its epoch, if it is time."""
        ranks: Ranks | None = net.trainer.ranks
        is_due = time.monotonic() - self.written >= 60 * self.minutes
        if not is_due or (ranks is not None and (ranks.rank > 0 or n_batches > 0)):
            return
        arrays = {f"objective/{name}": array for name, array in module_state(net.module_).items()}
        moments = optimizer_state(net.optimizer_, net.module_)
        arrays |= {f"optimizer/{name}": array for name, array in moments.items()}
        arrays |= {f"values/{name}": _values(values) for name, values in net.values_.items()}
        arrays["generator"] = net.trainer.generator.get_state().numpy().copy()
        rows = [{name: value for name, value in row.items() if name != "batches"} for row in net.history[:-1]]
        facts = {"rows": rows, "n_batches": n_batches, "draws_globally": net.draws_globally}
        if net.trainer.best is not None:
            of_best, facts["best"] = net.trainer.best.state()
            arrays |= {f"best/{name}": array for name, array in of_best.items()}
        self.trainings[self.place - 1 :] = [(arrays, facts)]
        try:
            self.write()
        except OSError as error:
            warn(
                f"The checkpoint {self.path} could not be written: {error}. Training goes on, and the last file stays.",
                CheckpointWarning,
            )
        self.written = time.monotonic()

    def end(self, objective: nn.Module, recorded: dict[str, Any]) -> None:
        """Keep the weights that a training has left in its objective, and what it recorded."""
        self.trainings[self.place - 1 :] = [(module_state(objective), recorded)]

    def write(self) -> None:
        arrays = {f"{k}/{name}": array for k, (each, _) in enumerate(self.trainings) for name, array in each.items()}
        versions = {"skdim": __version__, "torch": torch.__version__}
        meta = {"key": self.key, "versions": versions, "trainings": [facts for _, facts in self.trainings]}
        arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)

        def save(path: Path) -> None:
            with path.open("wb") as file:
                np.savez(file, **arrays)

        write_whole(self.path, save)

    def read(self) -> None:
        """Read the file; raise a ``ValueError`` if it is damaged, or of another fit or version."""
        advice = "Remove it, and fit starts anew."
        try:
            with self.path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            meta = json.loads(arrays.pop("meta").tobytes())
            key, versions, facts = meta["key"], meta["versions"], meta["trainings"]
        except FileNotFoundError:
            raise
        except (OSError, EOFError, KeyError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
            raise ValueError(f"The checkpoint {self.path} is damaged: {error}. {advice}") from None
        if differing := sorted(name for name in {*key, *self.key} if key.get(name) != self.key.get(name)):
            raise ValueError(f"The checkpoint {self.path} is of a fit with other {', '.join(differing)}. {advice}")
        if versions != (present := {"skdim": __version__, "torch": torch.__version__}):
            raise ValueError(
                f"The checkpoint {self.path} was written with {versions}; {present} gives other bits. {advice}"
            )
        self.trainings = [(part(arrays, f"{k}/"), each) for k, each in enumerate(facts)]

    def start(self) -> None:
        """Read the file if there is one; else write it, so that a directory of no use is known before training."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists():
                with suppress(FileNotFoundError):  # another fit of the same key has just ended
                    return self.read()
            self._tell_of_others()
            self.write()
        except OSError as error:
            raise OSError(error.errno, f"checkpoint cannot be written: {error.strerror}", str(self.path)) from None

    def _tell_of_others(self) -> None:
        """Warn of a file that another fit of this class left: a fit that should go on must not start anew in silence."""
        kind = self.path.name.partition("-")[0]
        others = sorted(self.path.parent.glob(f"{kind}-*.npz"))
        if not others or in_search():
            return
        journal = Journal(others[-1], self.key, self.minutes)
        try:
            journal.read()
        except ValueError as error:
            warn(f"This fit starts anew. {error}", CheckpointWarning)

    def delete(self) -> None:
        """Delete the file, and what killed processes have left beside it."""
        for path in (self.path, *left_beside(self.path)):
            path.unlink(missing_ok=True)


#: The journal of the fit in this thread.
_JOURNAL: ContextVar[Journal | None] = ContextVar("_JOURNAL", default=None)


@contextmanager
def checkpointed(
    estimator: Any, learned_from: Callable[[], dict[str, Any]], ranks: Ranks | None = None
) -> Iterator[None]:
    """Keep the trainings of a block in a journal, if the estimator has a checkpoint.

    The fit is known by the estimator's parameters and by what ``learned_from`` returns: arrays, and whatever can be pickled.
    """
    if estimator.checkpoint is None:  # a part of an estimator keeps to that estimator's journal
        yield
        return
    if not isinstance(estimator.random_state, int | np.integer):
        raise ValueError(
            f"checkpoint needs an integer random_state, got {estimator.random_state!r}: the next fit must draw the same."
        )
    checkpoint = estimator.checkpoint
    checkpoint = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    checkpoint.check()
    params = estimator.get_params(deep=False).items()
    given = {name: value for name, value in params if name not in WITHOUT_EFFECT}
    given |= {"random_state": int(estimator.random_state)} | learned_from()
    key = {name: _hash(name, value) for name, value in given.items()}
    name = f"{type(estimator).__name__}-{joblib.hash(key)[:16]}.npz"
    directory = os.path.expanduser(checkpoint.directory)  # noqa: PTH111 - Path.expanduser raises for unknown users
    journal = Journal(Path(directory) / name, key, checkpoint.minutes)
    if ranks is None or ranks.rank == 0:
        journal.start()
    if ranks is not None:
        ranks.any(False)  # the file is there
        if ranks.rank > 0:
            journal.read()
    token = _JOURNAL.set(journal)
    try:
        yield
    finally:
        _JOURNAL.reset(token)
    if not journal.is_interrupted and (ranks is None or ranks.rank == 0):
        journal.delete()


@contextmanager
def present_journal() -> Iterator[Journal | None]:
    """Yield the journal of this fit, which fits that callbacks and a user's functions call do not see."""
    token = _JOURNAL.set(None)
    try:
        yield token.old_value if isinstance(token.old_value, Journal) else None
    finally:
        _JOURNAL.reset(token)


def _values(values: list[Any]) -> Any:
    return torch.stack(values).cpu().numpy() if isinstance(values[0], torch.Tensor) else np.array(values, np.float64)


def _hash(name: str, value: Any) -> str:
    if hasattr(value, "shape") and value.ndim > 1:  # rows may be stored outside memory
        blocks = range(0, len(value), ROWS_AT_ONCE)
        value = [joblib.hash(np.ascontiguousarray(value[start : start + ROWS_AT_ONCE])) for start in blocks]
    try:
        return str(joblib.hash(value))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"checkpoint needs parameters that can be pickled, and {name}={value!r} cannot ({error}). Give a class or function "
            "of a module."
        ) from None
