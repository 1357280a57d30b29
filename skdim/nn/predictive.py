r"""The objective of contrastive predictive coding: contexts predict later latents, one step at a time.

.. math::

    f_k(x_{t+k}, c_t) = z_{t+k}^\top W_k c_t, \qquad
    L_k = -E\Bigl[\log \frac{e^{f_k(x_{t+k}, c_t)}}{\sum_j e^{f_k(x_j, c_t)}}\Bigr]

(van den Oord et al. 2018 [1]_, Eqs. 3 and 4), averaged over the steps k, and with any MI estimator in InfoNCE's place.

References
----------
.. [1] van den Oord, Li & Vinyals, "Representation learning with contrastive predictive coding", 2018.
.. [2] Tschannen et al., "On mutual information maximization for representation learning", ICLR 2020.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from skdim.bounds import Bound, infonce
from skdim.nn.causal import CausalEncoder, Contexts
from skdim.nn.objectives import Objective

__all__ = ["NEGATIVES", "Predictive"]

#: Where the negatives of a pair (c_t, z_{t+k}) come from: z at the same offset of the other sequences, z at other offsets of
#: the same sequence, or both and other offsets of the others.
NEGATIVES = ("batch", "sequence", "all")
#: Anchors per sequence and step outside training, evenly spaced.
EVALUATION_ANCHORS = 16


class _Scores(NamedTuple):
    """Scores (K, K, G) of the pairs of some steps; ``steps`` (G,) counts from 0."""

    steps: Tensor
    scores: Tensor

    @property
    def n_pairs(self) -> int:
        return self.scores.shape[0] * self.scores.shape[2]


_Groups: TypeAlias = Iterator[_Scores]


class Predictive(Objective):
    """The complete objective over one causal encoder: a bilinear predictor W_k for each step.

    Parameters
    ----------
    encoder : CausalEncoder
        Inputs -> :class:`~skdim.nn.causal.Contexts`.
    bound : Bound
        The MI estimator.
    n_components : int
        Width of latents and contexts.
    n_steps : int
        Number of steps K.
    negatives : {"batch", "sequence", "all"}, default="batch"
        Where the negatives come from. "batch": the latents at the same offset of the other sequences, a valid bound where
        sequences are independent. Latents of one sequence depend on each other, so with "sequence" and "all" the training
        loss is no bound (Tschannen et al. 2020 [2]_, section 4.2); what is reported always has negatives of the batch.
    n_anchors : int, default=4
        Offsets t that are drawn per step k, one from each of ``n_anchors`` equal parts of the sequence.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import InfoNCE
    >>> from skdim.nn.predictive import Predictive
    >>> from skdim.nn.causal import GRU, StridedConv, build_causal_encoder
    >>> encoder = build_causal_encoder(StridedConv(stride=1), GRU(), (1, 10), 4)
    >>> objective = Predictive(encoder, InfoNCE(), 4, n_steps=3)
    >>> sorted(objective.evaluate([torch.zeros(8, 1, 10)]))
    ['accuracy_1', 'accuracy_2', 'accuracy_3', 'loss', 'prediction']
    >>> abs(round(objective.information([torch.zeros(8, 1, 10)])[0].item(), 4))
    0.0
    """

    log_average: Tensor

    #: Names of the bounds among the parts.
    terms = ("prediction",)

    def __init__(
        self,
        encoder: CausalEncoder,
        bound: Bound,
        n_components: int,
        n_steps: int,
        negatives: str = "batch",
        n_anchors: int = 4,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.bound = bound
        self.n_steps = n_steps
        self.negatives = negatives
        self.n_anchors = n_anchors
        self.prior = None  # there is none to match
        self.W = nn.Parameter(torch.empty(n_steps, n_components, n_components))
        for W_k in self.W:
            nn.init.xavier_uniform_(W_k)
        # A scale and an offset per step, as every critic has them.
        self.log_scale = nn.Parameter(torch.zeros(n_steps))
        self.offset = nn.Parameter(torch.full((n_steps,), float(bound.offset)))
        self.register_buffer("log_average", torch.tensor(float("nan")))  # MINE's moving average, before its first step

    @property
    def networks(self) -> list[nn.Module]:
        """The network of latents: torch.compile does not know recurrent units, which in bfloat16 are not faster on CPUs."""
        return [self.encoder.latents]

    def forward(
        self, views: Sequence[Tensor], generator: torch.Generator | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what a step minimises, and its parts by name, detached.

        Parameters
        ----------
        views : sequence of Tensor
            The batch (n, ...), and where lengths differ the frames T_i of each sequence, (n,).
        generator : torch.Generator or None
            Draws the anchors; None takes the middle of each part of the sequence.

        Returns
        -------
        loss : Tensor
        parts : dict of str to Tensor
            "loss"; "prediction", the bound in nats with negatives of the batch; "accuracy_k" for each step k, how often the
            context gives its own future the highest score among the batch. A step without pairs has no accuracy.
        """
        n_anchors = EVALUATION_ANCHORS if generator is None else self.n_anchors
        codes, n_frames = self._encode(views)
        draws = torch.rand(self.n_steps, n_anchors, generator=generator) if generator is not None else None
        same_offset = list(self._same_offset(codes, n_frames, range(self.n_steps), n_anchors, draws))
        groups = same_offset
        if self.negatives != "batch":
            of = self._own_offsets if self.negatives == "sequence" else self._all_offsets
            groups = list(of(codes, n_frames, n_anchors, draws))
        losses = [self.bound.loss(group.scores, self.log_average) for group in groups]
        loss = _average(losses, groups, codes.c)
        with torch.no_grad():
            if self.negatives == "batch" and self.bound.loss_is_value:
                value = -loss.detach()
            else:
                value = _average([self.bound.value(group.scores) for group in same_offset], same_offset, codes.c)
            parts = {"loss": loss.detach(), "prediction": value, **self._accuracies(same_offset)}
        return loss, parts

    def evaluate(self, views: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the parts at evenly spaced anchors; call without gradient."""
        before = self.log_average.clone()
        _, parts = self(views)
        self.log_average.copy_(before)  # held-out rows must not enter what training averages
        return parts

    def information(self, views: Sequence[Tensor]) -> Tensor:
        """Return InfoNCE in nats for each step, (n_steps,), with negatives at the same offset; NaN for a step without pairs."""
        codes, n_frames = self._encode(views)
        values = codes.c.new_full((self.n_steps,), math.nan)
        for k in range(self.n_steps):  # one at a time bounds the memory
            groups = list(self._same_offset(codes, n_frames, [k], EVALUATION_ANCHORS, None))
            if groups:
                values[k] = _average([infonce(group.scores) for group in groups], groups, codes.c)
        return values

    # ------------------------------------------------------------------------------------------------------------ scores
    def _encode(self, views: Sequence[Tensor]) -> tuple[Contexts, Tensor | None]:
        codes = Contexts(*(self.gather(part) for part in self.encoder(views[0])))
        return codes, self.gather(views[1]) if len(views) > 1 else None

    def _anchors(
        self, n_places: int, n_anchors: int, draw: Tensor | None, device: torch.device, distinct: bool
    ) -> Tensor:
        """Return one of each of ``n_anchors`` equal parts of the places, ascending; fewer where they must be distinct."""
        n = min(n_anchors, n_places) if distinct else n_anchors
        inside = torch.full((n,), 0.5) if draw is None else draw[:n]
        places = ((torch.arange(n) + inside) / n * n_places).long().clamp_max(n_places - 1)
        return places.to(device)

    def _same_offset(
        self, codes: Contexts, n_frames: Tensor | None, steps: Sequence[int], n_anchors: int, draws: Tensor | None
    ) -> _Groups:
        """Yield scores[i, j, g] = f_k(z_{t+k} of sequence j, c_t of sequence i), by the sequences that reach t + k."""
        n, n_times, n_columns, _ = codes.z.shape
        steps = [k for k in steps if k + 1 < n_times]
        if not steps or n < 2:
            return
        device = codes.z.device
        places = torch.stack(
            [
                self._anchors(
                    (n_times - 1 - k) * n_columns,
                    n_anchors,
                    None if draws is None else draws[k],
                    device,
                    distinct=False,
                )
                for k in steps
            ]
        )
        of_step = torch.tensor(steps, device=device)
        later = places + (of_step[:, None] + 1) * n_columns
        c, z = (_at(code, index.flatten()) for code, index in ((codes.c, places), (codes.z, later)))  # (G, n, d)
        predictions = torch.bmm(c.unflatten(0, places.shape).flatten(1, 2), self.W[of_step]).view_as(c)
        group_steps = of_step.repeat_interleave(n_anchors)
        for rows, pairs in _reaching(later.flatten() // n_columns, n_frames):
            p, q, k = predictions, z, group_steps
            if rows is not None:
                p, q, k = p[pairs][:, rows], q[pairs][:, rows], k[pairs]
            scores = torch.bmm(p, q.transpose(1, 2))
            yield _Scores(k, self._scale(scores, k[:, None, None]).permute(1, 2, 0))

    def _own_offsets(self, codes: Contexts, n_frames: Tensor | None, n_anchors: int, draws: Tensor | None) -> _Groups:
        """Yield scores[a, b, i] = f_k(z at anchor b + k, c at anchor a), both of sequence i."""
        for k, p, z, reached in self._by_step(codes, n_frames, n_anchors, draws):
            n_reached = reached.sum(0)  # anchors ascend: a sequence reaches the first few
            for count in n_reached.unique().tolist():
                rows = (n_reached == count).nonzero().squeeze(1)
                if count >= 2:
                    scores = torch.einsum("aid,bid->abi", p[:count, rows], z[:count, rows])
                    yield _Scores(k.expand(len(rows)), self._scale(scores, k))

    def _all_offsets(self, codes: Contexts, n_frames: Tensor | None, n_anchors: int, draws: Tensor | None) -> _Groups:
        """Yield scores[i, j, 0] = f_k(z of pair j, c of pair i), over the anchors of all sequences."""
        for k, p, z, reached in self._by_step(codes, n_frames, n_anchors, draws):
            if reached.sum() >= 2:
                yield _Scores(k.expand(1), self._scale(p[reached] @ z[reached].T, k)[:, :, None])

    def _by_step(
        self, codes: Contexts, n_frames: Tensor | None, n_anchors: int, draws: Tensor | None
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yield for each step: k, W_k c_t and z_{t+k} (anchors, n, d), and whether the sequence reaches t + k (anchors, n)."""
        n, n_times, n_columns, _ = codes.z.shape
        device = codes.z.device
        for k in range(min(self.n_steps, n_times - 1)):
            draw = None if draws is None else draws[k]
            places = self._anchors((n_times - 1 - k) * n_columns, n_anchors, draw, device, distinct=True)
            later = places + (k + 1) * n_columns
            reached = torch.ones(len(places), n, dtype=torch.bool, device=device)
            if n_frames is not None:
                reached = (later // n_columns)[:, None] < n_frames
            yield torch.tensor(k, device=device), _at(codes.c, places) @ self.W[k], _at(codes.z, later), reached

    def _scale(self, scores: Tensor, k: Tensor) -> Tensor:
        return scores * (self.log_scale[k].exp() / math.sqrt(self.W.shape[1])) + self.offset[k]

    def _accuracies(self, groups: Sequence[_Scores]) -> dict[str, Tensor]:
        if not groups:
            return {}
        hits, totals = torch.zeros(2, self.n_steps, device=self.W.device)
        for steps, scores in groups:
            own = torch.arange(len(scores), device=scores.device)[:, None]
            hits.index_add_(0, steps, (scores.argmax(1) == own).sum(0).to(hits))
            totals.index_add_(0, steps, totals.new_full(steps.shape, len(scores)))
        accuracies = (hits / totals).unbind()
        is_there = (totals > 0).tolist()
        return {f"accuracy_{k + 1}": accuracies[k] for k in range(self.n_steps) if is_there[k]}


def _at(code: Tensor, places: Tensor) -> Tensor:
    """Return a code (n, T, Q, d) at places of the flattened grid, (places, n, d)."""
    return code.flatten(1, 2).index_select(1, places).transpose(0, 1)


def _reaching(times: Tensor, n_frames: Tensor | None) -> Iterator[tuple[Tensor | None, Tensor | None]]:
    """Yield (sequences, pairs) with every sequence long enough for the times of these pairs; (None, None) stands for all."""
    if n_frames is None:
        yield None, None
        return
    reaches = times[:, None] < n_frames  # the longer sequences reach every time that a shorter one does
    counts = reaches.sum(1)
    for count in counts.unique().tolist():
        if count >= 2:
            pairs = (counts == count).nonzero().squeeze(1)
            yield reaches[pairs[0]].nonzero().squeeze(1), pairs


def _average(values: Sequence[Tensor], groups: Sequence[_Scores], like: Tensor) -> Tensor:
    """Return the mean over the groups' joint samples; 0, attached to the graph, where there is none."""
    if not groups:
        return like.sum() * 0.0
    total = sum(group.n_pairs for group in groups)
    return torch.stack([value * (group.n_pairs / total) for value, group in zip(values, groups, strict=True)]).sum()
