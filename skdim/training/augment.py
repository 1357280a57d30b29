"""Batch -> augmented views: which augmentation, and what it is seeded with."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

from skdim.nn.objectives import EVALUATION_SEED
from skdim.training.batches import Batch
from skdim.training.device import local_seed
from skdim.training.learner import Learner
from skdim.views import Augmentation, ImageAugmentation, SequenceAugmentation, TableAugmentation, sample_uniform

__all__ = ["augmented_views", "resolve_augmentation"]


def resolve_augmentation(augment: Any, shape: tuple[int, ...]) -> Any:
    """Return the augmentation behind a name, for inputs of this shape; None, objects and functions as they are.

    Raises
    ------
    ValueError
        If the name does not fit the shape.

    Examples
    --------
    >>> from skdim.training.augment import resolve_augmentation
    >>> resolve_augmentation("auto", (1, 28, 28)) == resolve_augmentation("auto+flip", (1, 28, 28))
    False
    """
    if not isinstance(augment, str):
        return augment
    if augment == "auto":
        return {1: TableAugmentation, 2: SequenceAugmentation, 3: ImageAugmentation}[len(shape)]()
    if len(shape) != 3:
        raise ValueError("augment='auto+flip' flips images; this input is a table or a sequence: use augment='auto'.")
    return ImageAugmentation(flip=True)


def augmented_views(augment: Any, batch: Batch, learner: Learner, evaluation: bool) -> list[torch.Tensor]:
    """Return two views of a batch, or with None the batch itself; with ``evaluation`` from the fixed evaluation seed.

    Parameters
    ----------
    augment : Augmentation, callable or None
        From :func:`resolve_augmentation`.
    batch : Batch
        Standardised samples.
    learner : Learner
        Device, seed and generator.
    evaluation : bool
        Whether the views are those that held-out bounds and scores are taken on.
    """
    X = batch.X.to(learner.device)
    if augment is None:
        return [X]
    if not isinstance(augment, Augmentation):
        generator = torch.Generator().manual_seed(EVALUATION_SEED) if evaluation else learner.generator
        return [_call(augment, X, generator) for _ in range(2)]
    n_draws = augment.n_draws(learner.standardize.shape)
    seed, epoch = (EVALUATION_SEED, 0) if evaluation else (learner.seed, batch.epoch)
    draws = torch.from_numpy(sample_uniform(seed, epoch, batch.rows, 2 * n_draws)).to(learner.device)
    return [augment(X, draws[:, :n_draws]), augment(X, draws[:, n_draws:])]


def _call(augment: Callable[..., torch.Tensor], X: torch.Tensor, generator: Any) -> torch.Tensor:
    """Return the view of a user's function: of (X, generator), or of X alone, drawing from torch's generator, seeded here."""
    try:
        inspect.signature(augment).bind(X, generator)
    except TypeError:
        seed = int(torch.randint(2**31, (), generator=generator))
        with local_seed(seed, X.device):
            return augment(X)
    return augment(X, generator)
