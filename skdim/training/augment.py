"""Two random views of a batch, seeded by (seed, epoch, sample), or from the fixed evaluation seed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from skdim.nn.objectives import EVALUATION_SEED
from skdim.training.batches import Batch
from skdim.training.device import local_seed
from skdim.training.learner import Learner
from skdim.views import Augmentation, ImageAugmentation, SequenceAugmentation, TableAugmentation, sample_uniform

__all__ = ["Augment", "choose_augmentation", "two_views"]

Augment: TypeAlias = str | Augmentation | Callable[..., Tensor]


def choose_augmentation(augment: Augment, shape: tuple[int, ...]) -> Augmentation | Callable[..., Tensor]:
    """Return the augmentation of inputs of this shape: what the names "auto" and "auto+flip" stand for, or the user's.

    Raises
    ------
    ValueError
        If the augmentation does not fit the shape.
    """
    if not isinstance(augment, str):
        return augment
    if augment == "auto":
        return {1: TableAugmentation, 2: SequenceAugmentation, 3: ImageAugmentation}[len(shape)]()
    if len(shape) != 3:
        raise ValueError("augment='auto+flip' flips images; this input is a table or a sequence: use augment='auto'.")
    return ImageAugmentation(flip=True)


def two_views(augment: Augment, X: Tensor, batch: Batch, learner: Learner, evaluation: bool) -> list[Tensor]:
    """Return two views of ``X``, the standardised samples of ``batch`` (n, ...) on the learner's device."""
    shape = tuple(X.shape[1:])
    augmentation = choose_augmentation(augment, shape)
    if not isinstance(augmentation, Augmentation):
        generator = torch.Generator().manual_seed(EVALUATION_SEED) if evaluation else learner.generator
        return [_call(augmentation, X, generator) for _ in range(2)]
    n_draws = augmentation.n_draws(shape)
    seed, epoch = (EVALUATION_SEED, 0) if evaluation else (learner.seed, batch.epoch)
    draws = torch.from_numpy(sample_uniform(seed, epoch, batch.rows, 2 * n_draws)).to(X.device)
    return [augmentation(X, draws[:, :n_draws]), augmentation(X, draws[:, n_draws:])]


def _call(augment: Callable[..., Tensor], X: Tensor, generator: Any) -> Tensor:
    """Return the view of a user's function: of (X, generator), or of X alone, drawing from torch's generator, seeded here."""
    try:
        inspect.signature(augment).bind(X, generator)
    except TypeError:
        seed = int(torch.randint(2**31, (), generator=generator))
        with local_seed(seed, X.device):
            return augment(X)
    return augment(X, generator)
