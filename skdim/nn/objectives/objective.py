"""The contract of everything that a trainer trains: tensors -> a loss and named values.

A step is one function of tensors, ``objective(X, draws) -> (loss, values)``. It reads no number on the host, draws nothing and
has no shape that depends on data: :meth:`Objective.draw` draws what is random, and which rows go where, before the step. So
the same step runs eagerly, compiled, and in several processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from skdim.inputs.batches import Batch, Rows, to_device

#: Tensors by name, on the host or on the device; also lists of them, and the generator of a user's augmentation.
Draws: TypeAlias = dict[str, Any]


class Objective(nn.Module):
    """What is trained: encoders and critics, and the loss of their scores.

    A subclass overrides :meth:`forward` and what else its estimator needs; :class:`~skdim.training.trainer.Trainer` only uses
    the members below. Several processes can share a batch: each encodes its own rows, and :meth:`gather` collects the codes
    before they are compared. Methods of held-out samples are called in eval mode and without gradient.
    """

    n_draws: int = 0  # uniform numbers that the views of one sample are made from
    encoder: nn.Module  # samples -> codes, if the objective has codes
    any_length: bool = False  # whether samples are sequences that may be longer or shorter than the fitted ones
    feature_modules: frozenset[str] = frozenset(
        {"encoder"}
    )  # those that features are made by; the rest is for training
    adversary: nn.Module | None  # trained against the rest in an optimizer group of its own, and dropped after training

    def __init__(self) -> None:
        super().__init__()
        self.adversary = None

    @property
    def networks(self) -> list[nn.Module]:
        """Networks of one tensor that may compute in another precision; the rest of a step is in float32."""
        return [self.encoder] if hasattr(self, "encoder") else []

    @property
    def bounds(self) -> list[str]:
        """Names of the parts that are values of the training bound, in nats."""
        return []

    @property
    def units(self) -> Mapping[str, str]:
        """Units of the parts: "nats" of information, or "share" for values from 0 to 1; losses have none."""
        return dict.fromkeys(self.bounds, "nats")

    def is_decayed(self, parameter: nn.Parameter) -> bool:
        """Whether weight decay acts on a parameter: on matrices, not on biases, norms and scales."""
        return parameter.ndim > 1

    def gather(self, codes: Tensor, n_views: int = 1) -> Tensor:
        """Return the codes of the whole batch (n_views * n, ...), view after view, from those of this process's rows."""
        return codes

    def draw(self, rows: Rows, generator: torch.Generator | None) -> Draws:
        """Draw, on the host, what is random in a step besides the views' uniform numbers, and the rows that it compares.

        ``rows`` are those of the whole batch. Without a generator the draws are fixed, for held-out values and scores.
        """
        return {}

    def views(self, X: Any, draws: Draws) -> Any:
        """Return the views of standardised samples; by default the samples themselves."""
        return X

    def prepared(self, X: Any, draws: Draws) -> tuple[Any, Draws]:
        """Return what a step takes: the views of a user's function are made before, for it may read and draw on the host."""
        if "generator" not in draws:
            return X, draws
        return self.views(X, draws), {name: part for name, part in draws.items() if name != "generator"}

    def forward(self, X: Any, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what a step minimises for a batch and, detached, its parts by name: "loss", and bounds in nats."""
        raise NotImplementedError

    def evaluate(self, X: Any, draws: Draws) -> dict[str, Tensor]:
        """Return the parts of the objective on held-out samples."""
        return self(X, draws)[1]

    def score(self, X: Any, draws: Draws) -> Tensor:
        """Return the InfoNCE bound of the codes of held-out samples in nats, a scalar."""
        raise NotImplementedError

    def features(self, X: Tensor, extras: Mapping[str, Tensor], name: str) -> Tensor:
        """Return the features of that name, (n, n_features_out); ``extras`` are further values of each row, such as lengths."""
        raise NotImplementedError

    def lacking(self, X: Tensor, name: str) -> Tensor | None:
        """Return which features stand for what a sample lacks, (n, n_features_out); None if samples are whole."""
        return None

    def widths(self) -> Mapping[str, int]:
        """Return the width of the features of each name."""
        raise NotImplementedError


def drawn(objective: Objective, batches: Sequence[Batch], generator: torch.Generator | None) -> list[Draws]:
    """Return all draws of each batch, on its device; those of several batches are moved at once."""
    draws = [objective.draw(batch.rows, generator) for batch in batches]
    moved = _moved(draws, batches[0].uniform.device)
    return [{"uniform": batch.uniform} | own for batch, own in zip(batches, moved, strict=True)]


def _moved(draws: list[Draws], device: torch.device) -> list[Draws]:
    """Move tensors to a device, in one copy for each of their types: a GPU waits for every copy."""
    if device.type == "cpu":
        return draws
    leaves, tree = tree_flatten(draws)
    tensors = {i: leaf for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)}
    for dtype in {tensor.dtype for tensor in tensors.values()}:
        of_type = {i: tensor for i, tensor in tensors.items() if tensor.dtype is dtype}
        flat = to_device(torch.cat([tensor.flatten() for tensor in of_type.values()]), device)
        parts = flat.split([tensor.numel() for tensor in of_type.values()])
        for (i, tensor), part in zip(of_type.items(), parts, strict=True):
            leaves[i] = part.view(tensor.shape)
    moved: list[Draws] = tree_unflatten(leaves, tree)
    return moved
