"""Which contexts and later latents predictive coding compares, at places of the grid, and the scores of its predictors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from skdim.nn.causal import Contexts


class Grid(NamedTuple):
    """The frames of the sequences of a batch."""

    n: int  # sequences
    n_times: int  # frames of the longest sequence
    n_columns: int  # of each frame
    n_frames: Tensor | None  # of each sequence (n,); None if all have n_times
    first_step: int = 1  # frames ahead that the first step, numbered 0, predicts


class SharedPlaces(NamedTuple):
    """Places that are the same in all sequences: G pairs (t, t + k), numbered over steps and anchors."""

    steps: Tensor  # numbers of the steps, from 0, (n_steps,)
    now: Tensor  # places of the contexts, (n_steps, n_anchors)
    later: Tensor  # places of the latents that they predict, (n_steps, n_anchors)
    groups: list[tuple[Tensor, Tensor]] | None  # pairs, and the 2 or more sequences that reach them; None if all do
    present: list[int]  # steps with a pair that two sequences reach


class OwnPlaces(NamedTuple):
    """Places of one step in ascending order, and the sequences that reach them.

    Two neighbours are the same place, rarely, if the boundary of their parts of the sequence divides that place.
    """

    step: Tensor  # number of the step, from 0, (1,): a scalar index would be read on the host
    now: Tensor  # places of the contexts, (n_anchors,)
    later: Tensor  # places of the latents that they predict, (n_anchors,)
    by_count: list[tuple[int, Tensor]]  # a number of places, at least 2, and the sequences that reach so many
    anchors: Tensor  # with ``sequences``: all pairs of a place and a sequence that reaches it
    sequences: Tensor


def shared_places(steps: Sequence[int], inside: Tensor, grid: Grid) -> SharedPlaces:
    """Return one place from each equal part of the sequences; ``inside`` (n_steps, n_anchors) is its share of the part."""
    steps = [k for k in steps if k + grid.first_step < grid.n_times] if grid.n > 1 else []
    n_anchors = inside.shape[1]
    now = [_anchors((grid.n_times - grid.first_step - k) * grid.n_columns, inside[k]) for k in steps]
    of_step = torch.tensor(steps, dtype=torch.int64)
    places = torch.stack(now) if now else torch.empty(0, n_anchors, dtype=torch.int64)
    later = places + (of_step[:, None] + grid.first_step) * grid.n_columns
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
    n_places = (grid.n_times - grid.first_step - k) * grid.n_columns
    now = _anchors(n_places, inside[k, :n_places])
    later = now + (k + grid.first_step) * grid.n_columns
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


class StepScores(NamedTuple):
    """Scores of pairs that are compared with each other."""

    steps: Tensor  # number of the step of each group of pairs, from 0, (G,)
    scores: Tensor  # (K, K, G)


class Predictors(NamedTuple):
    r"""The predictors of all steps, :math:`f_k(z, c) = e^{s_k} z^\top W_k c / \sqrt d + o_k`."""

    W: Tensor  # (n_steps, d, d)
    log_scale: Tensor  # s, (n_steps,)
    offset: Tensor  # o, (n_steps,)

    def same_offset(self, codes: Contexts, places: SharedPlaces) -> Iterator[StepScores]:
        """Yield scores[i, j, g] = f_k(z_{t+k} of sequence j, c_t of sequence i), by the sequences that reach t + k."""
        if not len(places.steps):
            return
        c, z = _at(codes.c, places.now.flatten()), _at(codes.z, places.later.flatten())  # (G, n, d)
        predictions = torch.bmm(c.unflatten(0, places.now.shape).flatten(1, 2), self.W[places.steps]).view_as(c)
        steps = places.steps.repeat_interleave(places.now.shape[1])
        for group in [None] if places.groups is None else places.groups:
            p, q, k = predictions, z, steps
            if group is not None:
                pairs, rows = group
                p, q, k = p[pairs][:, rows], q[pairs][:, rows], k[pairs]
            scores = torch.bmm(p, q.transpose(1, 2))
            yield StepScores(k, self._scale(scores, k[:, None, None]).permute(1, 2, 0))

    def own_offsets(self, codes: Contexts, places: OwnPlaces) -> Iterator[StepScores]:
        """Yield scores[a, b, i] = f_k(z at anchor b + k, c at anchor a), both of sequence i."""
        p, z = _at(codes.c, places.now) @ self.W[places.step].squeeze(0), _at(codes.z, places.later)
        for count, rows in places.by_count:  # places ascend: a sequence reaches the first few
            scores = torch.einsum("aid,bid->abi", p[:count, rows], z[:count, rows])
            yield StepScores(places.step.expand(len(rows)), self._scale(scores, places.step))

    def all_offsets(self, codes: Contexts, places: OwnPlaces) -> Iterator[StepScores]:
        """Yield scores[i, j, 0] = f_k(z of pair j, c of pair i), over the anchors of all sequences."""
        p, z = _at(codes.c, places.now) @ self.W[places.step].squeeze(0), _at(codes.z, places.later)
        if len(places.anchors) > 1:
            scores = p[places.anchors, places.sequences] @ z[places.anchors, places.sequences].T
            yield StepScores(places.step, self._scale(scores, places.step)[:, :, None])

    def _scale(self, scores: Tensor, k: Tensor) -> Tensor:
        return scores * (self.log_scale[k].exp() / math.sqrt(self.W.shape[1])) + self.offset[k]


def _at(code: Tensor, places: Tensor) -> Tensor:
    """Return a code (n, T, Q, d) at places of the flattened grid, (places, n, d)."""
    return code.flatten(1, 2).index_select(1, places).transpose(0, 1)


def average(values: Sequence[Tensor], groups: Sequence[StepScores], like: Tensor) -> Tensor:
    """Return the mean over the joint samples of all groups; 0, attached to the graph of ``like``, if there is none."""
    if not groups:
        return like.sum() * 0.0
    sizes = [scores.shape[0] * scores.shape[2] for _, scores in groups]
    total = sum(sizes)
    return torch.stack([value * (size / total) for value, size in zip(values, sizes, strict=True)]).sum()


def accuracies(groups: Sequence[StepScores], n_steps: int) -> tuple[Tensor, ...]:
    """Return, for each step, how often a context gives its own future the highest score; NaN without pairs."""
    hits, totals = torch.zeros(2, n_steps, device=groups[0].scores.device)
    for steps, scores in groups:
        own = torch.arange(len(scores), device=scores.device)[:, None]
        hits.index_add_(0, steps, (scores.argmax(1) == own).sum(0).to(hits))
        totals.index_add_(0, steps, totals.new_full(steps.shape, len(scores)))
    return (hits / totals).unbind()
