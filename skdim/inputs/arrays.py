"""Samples outside memory, read as they are needed: zarr, HDF5, Dask, torch Datasets, whatever has shape, dtype and slicing."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from skdim.inputs.tables import as_array

__all__ = ["Beside", "Stored", "StoredArray", "StoredSamples", "as_stored", "each", "is_stored"]

Array = npt.NDArray[np.generic]
Rows = npt.NDArray[np.int64]

#: Bytes that are read at once, and bytes of the buffer within which rows are shuffled. Disks reach their full rate at a few
#: hundred kilobytes, and 64 blocks to a buffer mix rows that are sorted by class.
BLOCK_BYTES, BUFFER_BYTES = 2**20, 2**26
#: Rows that are read at once in a pass over a whole array.
ROWS_AT_ONCE = 1024
#: Fewest blocks of a buffer, however large the source's chunks are.
LEAST_BLOCKS = 2


class Stored:
    """Samples outside memory, indexed by rows like an array; ``empty`` (0, ...) carries their shape and dtype."""

    def __init__(self, source: Any, empty: Array, n: int) -> None:
        self.source = source
        self.n = n
        self.steps: tuple[Callable[[Array], Array], ...] = ()
        self._describe(empty)

    def _describe(self, empty: Array) -> None:
        self.shape: tuple[int, ...] = (self.n, *empty.shape[1:])
        self.ndim = len(self.shape)
        self.dtype = empty.dtype

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, rows: slice | Rows) -> Array:
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(self.n))
        return self._take(np.asarray(rows))

    def then(self, step: Callable[[Array], Array]) -> Self:
        """Return the samples with ``step`` applied to every array that is read; it must keep the number of rows."""
        changed = copy.copy(self)
        changed.steps = (*self.steps, step)
        changed._describe(step(np.empty((0, *self.shape[1:]), self.dtype)))
        return changed

    def _finish(self, block: Array) -> Array:
        for step in self.steps:
            block = step(block)
        return block

    def _take(self, rows: Rows) -> Array:
        raise NotImplementedError

    def shuffled(self, rows: Rows, rng: np.random.Generator) -> Rows:
        """Return rows in a random order that suits the source."""
        raise NotImplementedError


class StoredArray(Stored):
    """An array outside memory, read in blocks of adjacent rows, the last few of which are kept.

    Parameters
    ----------
    source : object with ``shape``, ``dtype`` and slicing
        A zarr array, an HDF5 dataset, a Dask array, a memory map. Where it has ``chunks``, a block is a whole number of them.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.inputs.arrays import StoredArray
    >>> X = StoredArray(np.arange(12).reshape(6, 2))
    >>> X[np.array([4, 0])].tolist()
    [[8, 9], [0, 1]]
    """

    def __init__(self, source: Any) -> None:
        n, *shape = source.shape
        if not float(n).is_integer():
            raise ValueError(
                f"X has shape {tuple(source.shape)}: its number of rows is unknown. Of a Dask array, compute_chunk_sizes() "
                "finds it."
            )
        super().__init__(source, np.empty((0, *shape), source.dtype), int(n))
        row_bytes = max(1, math.prod(shape) * self.dtype.itemsize)
        chunk = _chunk_rows(source)
        self.block_rows = chunk * max(1, BLOCK_BYTES // (chunk * row_bytes))
        self.buffer_blocks = max(LEAST_BLOCKS, BUFFER_BYTES // (self.block_rows * row_bytes))
        self._forget()

    def then(self, step: Callable[[Array], Array]) -> Self:
        changed = super().then(step)
        changed._forget()
        return changed

    def _forget(self) -> None:
        """Make room for the blocks of two buffers, since a batch may lie in both; blocks are read as they are needed."""
        self.n_blocks = -(-self.n // self.block_rows)
        n_slots = min(2 * self.buffer_blocks, self.n_blocks)
        self.kept = np.empty((n_slots, min(self.block_rows, max(1, self.n)), *self.shape[1:]), self.dtype)
        self.slot_of = np.full(self.n_blocks, -1)
        self.block_in = np.full(n_slots, -1)
        self.last_use = np.zeros(n_slots, dtype=np.int64)
        self.clock = 0

    def _take(self, rows: Rows) -> Array:
        blocks, offsets = np.divmod(rows, self.block_rows)
        needed, which = np.unique(blocks, return_inverse=True)
        if len(needed) <= len(self.kept):
            self._keep(needed)
            return self.kept[self.slot_of[blocks], offsets]
        taken = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for start in range(0, len(needed), len(self.kept)):
            group = (which >= start) & (which < start + len(self.kept))
            self._keep(needed[start : start + len(self.kept)])
            taken[group] = self.kept[self.slot_of[blocks[group]], offsets[group]]
        return taken

    def _keep(self, needed: Rows) -> None:
        """Read the blocks that are not kept yet, in place of those that were used longest ago."""
        self.clock += 1
        slots = self.slot_of[needed]
        self.last_use[slots[slots >= 0]] = self.clock
        missing = needed[slots < 0]
        for block, slot in zip(missing, np.argsort(self.last_use, kind="stable")[: len(missing)], strict=True):
            start = block * self.block_rows
            rows = int(start), int(min(start + self.block_rows, self.n))
            given = np.asarray(self.source[slice(*rows)])
            if len(given) != rows[1] - rows[0]:
                raise ValueError(
                    f"X has shape {self.shape}, but its rows {rows[0]} to {rows[1] - 1} are {len(given)} rows."
                )
            read = self._finish(given)
            if self.block_in[slot] >= 0:
                self.slot_of[self.block_in[slot]] = -1
            self.kept[slot, : len(read)] = read
            self.block_in[slot], self.slot_of[block], self.last_use[slot] = block, slot, self.clock

    def shuffled(self, rows: Rows, rng: np.random.Generator) -> Rows:
        """Return rows with the blocks in random order, and random within a buffer of several of them."""
        place = rng.permutation(self.n_blocks)
        rows = rng.permutation(rows)
        buffers = place[rows // self.block_rows] // self.buffer_blocks
        return rows[np.argsort(buffers, kind="stable")]


class StoredSamples(Stored):
    """The samples of a map-style torch Dataset; of tuples, the first entry is the sample."""

    def __init__(self, source: Any) -> None:
        self.source = source
        n = len(source)
        if hasattr(source, "shape") and hasattr(source, "dtype"):
            first = np.empty(source.shape[1:], source.dtype)
        else:
            first = self._sample(0) if n else np.empty(0)
        self.sample_shape = first.shape
        super().__init__(source, np.empty((0, *first.shape), first.dtype), n)

    def _sample(self, row: int) -> Array:
        return self._first(self.source[row])

    def _first(self, sample: Any) -> Array:
        return as_array(sample[0] if isinstance(sample, tuple) else sample)

    def _take(self, rows: Rows) -> Array:
        if not len(rows):
            return np.empty((0, *self.shape[1:]), self.dtype)
        if hasattr(self.source, "__getitems__"):  # torch's own protocol of datasets that read several together
            samples = [self._first(sample) for sample in self.source.__getitems__(rows.tolist())]
        else:
            samples = [self._sample(row) for row in rows.tolist()]
        others = {sample.shape for sample in samples} - {self.sample_shape}
        if others:
            raise ValueError(
                f"The samples of a Dataset must have one shape, got {self.sample_shape} and {sorted(others)}."
            )
        return self._finish(np.stack(samples))

    def shuffled(self, rows: Rows, rng: np.random.Generator) -> Rows:
        return rng.permutation(rows)


class Beside:
    """Arrays side by side, each sample flattened: the source of one wide array, whose parts are read where they are."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = parts
        self.shape = (parts[0].shape[0], sum(math.prod(part.shape[1:]) for part in parts))
        self.dtype = np.result_type(*(part.dtype for part in parts))
        self.chunks = (max(_chunk_rows(part) for part in parts),)

    def __getitem__(self, rows: slice) -> Array:
        blocks = [np.asarray(part[rows]) for part in self.parts]
        return np.concatenate([block.reshape(len(block), -1) for block in blocks], axis=1)


def _chunk_rows(source: Any) -> int:
    """Return how many rows the source itself stores together."""
    chunks = getattr(source, "chunks", None)
    if not chunks:
        return 1
    rows = chunks[0]  # of zarr and HDF5 a number, of Dask the lengths of all chunks
    return max(1, int(max(rows) if isinstance(rows, tuple) else rows))


def is_stored(X: Any) -> bool:
    """Whether X holds samples outside memory: a torch Dataset, or what has shape, dtype and slicing but is not in memory.

    NumPy's memory maps count as arrays: the operating system reads their rows in any order, so that they give the same bits.
    """
    if isinstance(X, (Stored, Dataset)):
        return True
    # Not stored, though they have the attributes: arrays in memory of any library, sparse matrices, and classes.
    if isinstance(X, (np.ndarray, Tensor, type)) or any(
        hasattr(X, name) for name in ("__array_interface__", "__dlpack__", "toarray")
    ):
        return False
    is_array = isinstance(getattr(X, "dtype", None), np.dtype) and hasattr(X, "__getitem__")
    return is_array and isinstance(getattr(X, "shape", None), tuple) and len(X.shape) > 1


def as_stored(X: Any) -> Stored:
    """Return samples outside memory as rows that can be indexed."""
    if isinstance(X, Stored):
        return X
    if isinstance(X, IterableDataset):
        raise TypeError(
            f"X is an IterableDataset, {type(X).__name__}; a map-style Dataset, with __len__ and __getitem__, is needed to "
            "read samples in random order. Give its samples to partial_fit a part at a time."
        )
    return StoredSamples(X) if isinstance(X, Dataset) else StoredArray(X)


def each(X: Any, step: Callable[[Array], Array]) -> Any:
    """Return ``step(X)``; samples outside memory pass through ``step`` as they are read."""
    return X.then(step) if isinstance(X, Stored) else step(X)
