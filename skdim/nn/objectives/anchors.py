"""Which contexts and later latents predictive coding compares: places of the grid, chosen before a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Grid", "OwnPlaces", "SharedPlaces", "own_places", "shared_places"]


class Grid(NamedTuple):
    """The frames of the sequences of a batch.

    Attributes
    ----------
    n : int
        Number of sequences.
    n_times, n_columns : int
        Frames of the longest sequence, and columns of each frame.
    n_frames : Tensor of int of shape (n,) or None
        Frames of each sequence; None where all have ``n_times``.
    """

    n: int
    n_times: int
    n_columns: int
    n_frames: Tensor | None


class SharedPlaces(NamedTuple):
    """Places that are the same in all sequences: G pairs (t, t + k), numbered over steps and anchors.

    Attributes
    ----------
    steps : Tensor of int of shape (n_steps,)
        Steps k, counted from 0.
    now, later : Tensor of int of shape (n_steps, n_anchors)
        Places of the contexts, and of the latents that they predict.
    groups : list of (Tensor, Tensor) or None
        Pairs, and the sequences that reach all of them; None where all sequences reach all pairs.
    present : list of int
        The steps that have pairs.
    """

    steps: Tensor
    now: Tensor
    later: Tensor
    groups: list[tuple[Tensor, Tensor]] | None
    present: list[int]


class OwnPlaces(NamedTuple):
    """Distinct places of one step, and the sequences that reach them.

    Attributes
    ----------
    step : Tensor of int, a scalar
    now, later : Tensor of int of shape (n_anchors,)
        Places of the contexts, and of the latents that they predict, ascending.
    by_count : list of (int, Tensor)
        How many places some sequences reach, and these sequences.
    anchors, sequences : Tensor of int
        All pairs of a place and a sequence that reaches it.
    """

    step: Tensor
    now: Tensor
    later: Tensor
    by_count: list[tuple[int, Tensor]]
    anchors: Tensor
    sequences: Tensor


def shared_places(steps: Sequence[int], inside: Tensor, grid: Grid) -> SharedPlaces:
    """Return one place from each equal part of the sequences, ``inside`` (n_steps, n_anchors) of each part."""
    steps = [k for k in steps if k + 1 < grid.n_times] if grid.n > 1 else []
    n_anchors = inside.shape[1]
    now = [_anchors((grid.n_times - 1 - k) * grid.n_columns, inside[k]) for k in steps]
    of_step = torch.tensor(steps, dtype=torch.int64)
    places = torch.stack(now) if now else torch.empty(0, n_anchors, dtype=torch.int64)
    later = places + (of_step[:, None] + 1) * grid.n_columns
    if grid.n_frames is None:
        return SharedPlaces(of_step, places, later, None, steps)
    reaches = (later.flatten() // grid.n_columns)[:, None] < grid.n_frames
    counts = reaches.sum(1)  # the longer sequences reach every time that a shorter one does
    groups = []
    for count in counts.unique().tolist():
        if count >= 2:
            pairs = (counts == count).nonzero().squeeze(1)
            groups.append((pairs, reaches[pairs[0]].nonzero().squeeze(1)))
    reached = of_step.repeat_interleave(n_anchors)[counts >= 2].unique().tolist()
    return SharedPlaces(of_step, places, later, groups, reached)


def own_places(k: int, inside: Tensor, grid: Grid) -> OwnPlaces:
    """Return at most one place from each equal part of the sequences, ``inside`` (n_steps, n_anchors), for step ``k``."""
    n_places = (grid.n_times - 1 - k) * grid.n_columns
    now = _anchors(n_places, inside[k, :n_places])
    later = now + (k + 1) * grid.n_columns
    reached = torch.ones(len(now), grid.n, dtype=torch.bool)
    if grid.n_frames is not None:
        reached = (later // grid.n_columns)[:, None] < grid.n_frames
    counts = reached.sum(0)
    by_count = [(count, (counts == count).nonzero().squeeze(1)) for count in counts.unique().tolist() if count >= 2]
    anchors, sequences = reached.nonzero(as_tuple=True)
    return OwnPlaces(torch.tensor(k), now, later, by_count, anchors, sequences)


def _anchors(n_places: int, inside: Tensor) -> Tensor:
    """Return one place from each of ``len(inside)`` equal parts of the places, ascending."""
    n = len(inside)
    return ((torch.arange(n) + inside) / n * n_places).long().clamp_max(n_places - 1)
