"""Scores of predictive coding: the predictors of all steps, applied to contexts and later latents at places of the grid."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from skdim.nn.causal import Contexts
from skdim.nn.objectives.anchors import OwnPlaces, SharedPlaces


class StepScores(NamedTuple):
    """Scores of pairs that are compared with each other."""

    steps: Tensor  # step of each group of pairs, counted from 0, (G,)
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
