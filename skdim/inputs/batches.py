"""Batches of rows in random order, with the random numbers that their views are made from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from skdim.inputs.augmentation import EVALUATION_SEED, sample_uniform

RowNumbers = npt.NDArray[np.int64]

#: Numbers, those of the samples and the random ones, that are made at once: on a CPU as many as its cache holds; a GPU waits
#: for every copy, so there the largest block that is small beside its memory.
NUMBERS_AT_ONCE = {"cpu": 2**18, "cuda": 2**24, "mps": 2**22}


class Rows(NamedTuple):
    """What a step's draws may depend on: the rows of a batch, without their values."""

    n: int  # over all processes
    own: slice  # those that this process holds
    shape: tuple[int, ...]  # of one sample
    extras: Mapping[str, npt.NDArray[Any]]  # (n, ...), further values of each row, such as lengths of sequences


class Batch(NamedTuple):
    """What a step takes, before the objective adds its own draws."""

    X: Any  # this process's samples, a tensor or a tuple of tensors, on the device
    uniform: Tensor  # (n_own, n_draws), numbers in [0, 1) that are a function of (seed, epoch, row)
    rows: Rows  # of the whole batch


class Source(Protocol):
    """Samples that batches are read from."""

    extras: Mapping[str, npt.NDArray[Any]]
    device: torch.device

    def __len__(self) -> int: ...

    def read(self, rows: RowNumbers) -> Any:
        """Return some samples as tensors on the device."""
        ...

    def shape(self) -> tuple[int, ...]:
        """Return the shape of one sample."""
        ...

    def shuffled(self, rows: RowNumbers, rng: np.random.Generator) -> RowNumbers:
        """Return rows in a random order that they can be read in."""
        ...


class Sharing(Protocol):
    """Processes that share every batch."""

    def share(self, n: int) -> slice:
        """Return this process's part of a batch of ``n`` rows."""
        ...


def to_device(X: Tensor, device: torch.device) -> Tensor:
    """Move a batch to the device, to CUDA from pinned memory and without waiting for the copy."""
    if device.type == "cuda" and X.device.type == "cpu":
        return X.pin_memory().to(device, non_blocking=True)
    return X.to(device)


class TensorSamples:
    """Rows of several tensors of one length, which are views already, on one device."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = tensors
        self.extras: Mapping[str, npt.NDArray[Any]] = {}
        self.device = tensors[0].device

    def __len__(self) -> int:
        return len(self.tensors[0])

    def read(self, rows: RowNumbers) -> tuple[Tensor, ...]:
        part = to_device(torch.from_numpy(rows), self.device)
        return tuple(tensor[part] for tensor in self.tensors)

    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensors[0].shape[1:])

    def shuffled(self, rows: RowNumbers, rng: np.random.Generator) -> RowNumbers:
        return rng.permutation(rows)


def n_batches(n_rows: int, batch_size: int) -> int:
    """Return how many batches an epoch has: equal parts of at most ``batch_size`` rows, and of two at least."""
    return max(1, min(math.ceil(n_rows / batch_size), n_rows // 2))


@dataclass(eq=False)
class Batches:
    """Batches of rows in random order, anew each epoch, as a function of (seed, epoch).

    If the samples' ``extras`` have "groups", the rows of a group come side by side, and the groups in random order, so that a
    batch holds negatives of a row's own group.
    """

    samples: Source
    rows: RowNumbers  # those to use
    batch_size: int  # of the largest batch
    seed: int | None  # None keeps the rows in order and takes the evaluation seed
    epoch: int = 0  # of the next pass
    n_draws: int = 0  # random numbers per row
    ranks: Sharing | None = None  # the processes that share every batch; this one reads its part of it

    def __len__(self) -> int:
        return n_batches(len(self.rows), self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for block in self.blocks():
            yield from block

    def blocks(self, first: int = 0) -> Iterator[list[Batch]]:
        """Yield the batches of an epoch from the first on, as many at a time as are read, and moved to the device, at once."""
        device = self.samples.device
        parts = np.array_split(self._ordered(), len(self))
        numbers = len(parts[0]) * (self.n_draws + math.prod(self.samples.shape()))
        n_at_once = max(1, NUMBERS_AT_ONCE[device.type] // max(1, numbers))
        blocks = (self._block(parts[start : start + n_at_once]) for start in range(first, len(parts), n_at_once))
        yield from blocks if device.type == "cpu" else _one_ahead(blocks)
        self.epoch += 1

    def _block(self, parts: Sequence[RowNumbers]) -> list[Batch]:
        shares = [slice(0, len(part)) if self.ranks is None else self.ranks.share(len(part)) for part in parts]
        seed, epoch = (EVALUATION_SEED, 0) if self.seed is None else (self.seed, self.epoch)
        return _batches(self.samples, parts, shares, seed, epoch, self.n_draws)

    def _ordered(self) -> RowNumbers:
        """Return the rows in this epoch's order."""
        rng = np.random.default_rng([self.seed, self.epoch]) if self.seed is not None else None
        rows = self.rows if rng is None else self.samples.shuffled(self.rows, rng)
        if "groups" not in self.samples.extras:
            return rows
        groups = np.unique(self.samples.extras["groups"], return_inverse=True)[1]
        place = np.arange(len(groups)) if rng is None else rng.permutation(groups.max() + 1)
        return rows[np.argsort(place[groups[rows]], kind="stable")]


def evaluation_batch(samples: Source, rows: RowNumbers, n_draws: int = 0) -> Batch:
    """Return some rows as one batch, with the random numbers of the evaluation seed."""
    return _batches(samples, [rows], [slice(0, len(rows))], EVALUATION_SEED, 0, n_draws)[0]


def _batches(
    samples: Source, parts: Sequence[RowNumbers], shares: Sequence[slice], seed: int, epoch: int, n_draws: int
) -> list[Batch]:
    """Read several batches at once; of each, the rows of ``shares``."""
    own = [part[share] for part, share in zip(parts, shares, strict=True)]
    sizes, rows = [len(part) for part in own], np.concatenate(own)
    X, device = samples.read(rows), samples.device
    uniform = torch.empty(len(rows), 0, device=device)
    if n_draws:
        uniform = sample_uniform(seed, epoch, to_device(torch.from_numpy(rows), device), n_draws)
    read = zip(*(tensor.split(sizes) for tensor in X), strict=True) if isinstance(X, tuple) else X.split(sizes)
    batches = []
    for part, share, values, numbers in zip(parts, shares, read, uniform.split(sizes), strict=True):
        extras = {name: extra[part] for name, extra in samples.extras.items()}
        batches.append(Batch(values, numbers, Rows(len(part), share, samples.shape(), extras)))
    return batches


def _one_ahead(blocks: Iterator[list[Batch]]) -> Iterator[list[Batch]]:
    """Yield blocks, each when the next is on its way: the device computes while the host reads."""
    present = next(blocks, None)
    while present is not None:
        following = next(blocks, None)
        yield present
        present = following
