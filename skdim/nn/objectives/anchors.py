"""Which contexts and later latents predictive coding compares: places of the grid, chosen before a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Grid(NamedTuple):
    """The frames of the sequences of a batch."""

    n: int  # sequences
    n_times: int  # frames of the longest sequence
    n_columns: int  # of each frame
    n_frames: Tensor | None  # of each sequence (n,); None if all have n_times


class SharedPlaces(NamedTuple):
    """Places that are the same in all sequences: G pairs (t, t + k), numbered over steps and anchors."""

    steps: Tensor  # steps k, counted from 0, (n_steps,)
    now: Tensor  # places of the contexts, (n_steps, n_anchors)
    later: Tensor  # places of the latents that they predict, (n_steps, n_anchors)
    groups: (
        list[tuple[Tensor, Tensor]] | None
    )  # pairs, and the 2 or more sequences that reach them; None if all reach all
    present: list[int]  # steps with a pair that two sequences reach


class OwnPlaces(NamedTuple):
    """Places of one step in ascending order, and the sequences that reach them.

    Two neighbours are the same place, rarely, if the boundary of their parts of the sequence divides that place.
    """

    step: Tensor  # step k, counted from 0, (1,): a scalar index would be read on the host
    now: Tensor  # places of the contexts, (n_anchors,)
    later: Tensor  # places of the latents that they predict, (n_anchors,)
    by_count: list[tuple[int, Tensor]]  # a number of places, at least 2, and the sequences that reach so many
    anchors: Tensor  # with ``sequences``: all pairs of a place and a sequence that reaches it
    sequences: Tensor


def shared_places(steps: Sequence[int], inside: Tensor, grid: Grid) -> SharedPlaces:
    """Return one place from each equal part of the sequences; ``inside`` (n_steps, n_anchors) is its share of the part."""
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
    """Return one place from each equal part of the sequences for step ``k``, from no more parts than there are places."""
    n_places = (grid.n_times - 1 - k) * grid.n_columns
    now = _anchors(n_places, inside[k, :n_places])
    later = now + (k + 1) * grid.n_columns
    reached = torch.ones(len(now), grid.n, dtype=torch.bool)
    if grid.n_frames is not None:
        reached = (later // grid.n_columns)[:, None] < grid.n_frames
    counts = reached.sum(0)
    by_count = [(count, (counts == count).nonzero().squeeze(1)) for count in counts.unique().tolist() if count >= 2]
    anchors, sequences = reached.nonzero(as_tuple=True)
    return OwnPlaces(torch.tensor([k]), now, later, by_count, anchors, sequences)


def _anchors(n_places: int, inside: Tensor) -> Tensor:
    """Return one place from each of ``len(inside)`` equal parts of the places, ascending."""
    n = len(inside)
    return ((torch.arange(n) + inside) / n * n_places).long().clamp_max(n_places - 1)
