"""Arrays -> standardised float batches: the only place where data changes its type, a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from skdim.training.distributed import Ranks
from skdim.training.stored import shuffled

__all__ = ["Batch", "Batches", "Standardizer"]

Array = npt.NDArray[np.generic]

#: Rows that are read at once where a whole array is passed over; bounds the memory of everything but the result.
BLOCK = 1024


class Batch(NamedTuple):
    """Standardised samples with where they come from, so that their views can be seeded.

    Attributes
    ----------
    X : Tensor
        Standardised samples.
    rows : ndarray of int
        Their row numbers.
    epoch : int
        The epoch.
    extras : mapping of str to ndarray
        What else is known of each of these rows, such as the length of a padded sequence.
    """

    X: Tensor
    rows: npt.NDArray[np.int64]
    epoch: int
    extras: Mapping[str, Array] = MappingProxyType({})  # more about each row; never written to


@dataclass
class Standardizer:
    """Rows of an array -> float tensors of mean 0 and variance 1 per channel (per column of a table).

    Parameters
    ----------
    shape : tuple of int
        Shape of one input as the network takes it: (C, H, W), (C, L) or (n_columns,).
    mean, scale : ndarray of float64 of shape (C,)
        Learned by :meth:`learn` or :meth:`learn_groups`.
    mixing : ndarray of float64 of shape (channels, channels) or None, default=None
        Mixes the channels of flat images first, ``mixing @ channels``.
    """

    shape: tuple[int, ...]
    mean: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    mixing: npt.NDArray[np.float64] | None = None

    @classmethod
    def learn(cls, X: Array, shape: tuple[int, ...], lengths: npt.NDArray[np.int64] | None = None) -> Standardizer:
        """Learn mean and scale block by block; a constant channel keeps its scale of 1.

        Of a sequence the first ``lengths[i]`` samples count; the rest is padding.
        """
        scaler = StandardScaler()
        for start in range(0, len(X), BLOCK):
            block = np.asarray(X[start : start + BLOCK], dtype=np.float64).reshape(-1, *shape)
            values = np.moveaxis(block, 1, -1)
            if lengths is not None:
                values = values[np.arange(shape[1]) < lengths[start : start + BLOCK, None]]
            scaler.partial_fit(values.reshape(-1, shape[0]))
        return cls(shape, scaler.mean_, scaler.scale_)

    @classmethod
    def learn_groups(
        cls, X: Array, groups: npt.NDArray[np.int64], mixing: npt.NDArray[np.float64] | None = None
    ) -> Standardizer:
        """Learn one mean and one scale for each group of columns of flat samples; NaN is left out.

        Parameters
        ----------
        X : array of shape (n, ...)
            Samples.
        groups : ndarray of int of shape (n_columns,)
            Group of every column, from 0: the channels of an image share theirs, a table's columns have one each.
        mixing : ndarray or None, default=None
            Mixes the channels first.
        """
        scaler = StandardScaler()
        for start in range(0, len(X), BLOCK):
            block = torch.from_numpy(np.array(X[start : start + BLOCK], dtype=np.float64)).reshape(-1, len(groups))
            scaler.partial_fit(_mixed(block, mixing).numpy())
        # The law of total variance, each column weighed by the values that it has.
        weight = np.broadcast_to(np.asarray(scaler.n_samples_seen_, dtype=np.float64), groups.shape)
        total = np.bincount(groups, weight)
        mean = np.bincount(groups, weight * scaler.mean_) / total
        squares = np.bincount(groups, weight * (scaler.var_ + (scaler.mean_ - mean[groups]) ** 2))
        variance = squares / total
        # As scikit-learn's StandardScaler: what varies by rounding errors alone is constant, and keeps its scale of 1.
        eps = np.finfo(np.float64).eps
        constant = variance <= total * eps * variance + (total * mean * eps) ** 2
        scale = np.where(constant, 1.0, np.sqrt(variance))
        return cls((len(groups),), mean[groups], scale[groups], mixing)

    def __call__(self, block: Array) -> Tensor:
        """Return the standardised float32 tensor of some rows."""
        # In float64, so that bytes, 0 to 255 and 0 to 1 give the same bits, and values beyond float32 may come. A copy: the
        # user's array is never written to.
        values = torch.from_numpy(np.array(block, dtype=np.float64, order="C"))
        if values.ndim != len(self.shape) + 1:  # stacked sequences may be longer or shorter than the fitted ones
            values = values.reshape(-1, *self.shape)
        values = _mixed(values, self.mixing)
        mean, scale = self._per_channel
        values -= mean
        values /= scale
        return values.to(torch.float32)  # what float32 cannot hold is inf, and is refused where it matters

    @cached_property
    def _per_channel(self) -> tuple[Tensor, Tensor]:
        shape = (-1,) + (1,) * (len(self.shape) - 1)
        return torch.from_numpy(self.mean).reshape(shape), torch.from_numpy(self.scale).reshape(shape)


def _mixed(values: Tensor, mixing: npt.NDArray[np.float64] | None) -> Tensor:
    """Return flat samples with their channels mixed."""
    if mixing is None:
        return values
    channels = values.reshape(len(values), len(mixing), -1)
    return (torch.from_numpy(mixing) @ channels).flatten(1)


class Batches:
    """Batches of rows in random order, anew each epoch, as a function of (seed, epoch).

    The rows are split into equal parts of at most ``batch_size``, so every row is seen in every epoch; a part is one larger
    where a row would be left alone, without negatives.

    Parameters
    ----------
    X : array of shape (n, ...) or Stored
        Read a batch at a time; may be memory-mapped. What is outside memory is shuffled by blocks.
    rows : ndarray of int
        The rows to use.
    standardize : Standardizer
        Turns rows into tensors.
    batch_size : int
        Largest batch.
    seed : int or None
        Seed of the order; None keeps the rows in order, the same in every epoch.
    epoch : int, default=0
        The first epoch's number.
    extras : dict of str to ndarray of shape (n, ...) or None, default=None
        More about each sample, cut to the batch. Rows of one of the "groups", where there are such, come side by side, the
        groups in random order where there is a seed: negatives from the own group are then in the same batch.
    ranks : Ranks or None, default=None
        The processes that share every batch; this one reads its rows of it.
    """

    def __init__(
        self,
        X: Array,
        rows: npt.NDArray[np.int64],
        standardize: Standardizer,
        batch_size: int,
        seed: int | None,
        epoch: int = 0,
        extras: Mapping[str, Array] | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.X = X
        self.rows = rows
        self.standardize = standardize
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = epoch
        self.extras = extras or {}
        self.ranks = ranks
        if ranks is not None:
            ranks.check_batches(len(rows), len(self))

    def __len__(self) -> int:
        return max(1, min(math.ceil(len(self.rows) / self.batch_size), len(self.rows) // 2))

    def __iter__(self) -> Iterator[Batch]:
        rows = self._ordered()
        for part in np.array_split(rows, len(self)):
            part = part if self.ranks is None else self.ranks.share(part)
            extras = {name: values[part] for name, values in self.extras.items()}
            yield Batch(self.standardize(self.X[part]), part, self.epoch if self.seed is not None else 0, extras)
        self.epoch += 1

    def _ordered(self) -> npt.NDArray[np.int64]:
        """Return the rows in this epoch's order."""
        rng = np.random.default_rng([self.seed, self.epoch]) if self.seed is not None else None
        rows = self.rows if rng is None else shuffled(self.X, self.rows, rng)
        if "groups" not in self.extras:
            return rows
        groups = np.unique(self.extras["groups"], return_inverse=True)[1]
        place = np.arange(len(groups)) if rng is None else rng.permutation(groups.max() + 1)
        return rows[np.argsort(place[groups[rows]], kind="stable")]
