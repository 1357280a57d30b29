r"""The objective of contrastive predictive coding: contexts predict later latents, one step at a time.

.. math::

    f_k(x_{t+k}, c_t) = z_{t+k}^\top W_k c_t, \qquad
    L_k = -E\Bigl[\log \frac{e^{f_k(x_{t+k}, c_t)}}{\sum_j e^{f_k(x_j, c_t)}}\Bigr]

(van den Oord et al., arXiv:1807.03748, Eqs. 3 and 4), averaged over the steps k, and with any MI estimator in InfoNCE's place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from skdim.bounds import Bound, infonce
from skdim.inputs.batches import Rows
from skdim.nn.causal import CausalEncoder, Contexts
from skdim.nn.objectives.objective import Draws, Objective
from skdim.nn.objectives.predictors import Grid, Predictors, accuracies, average, own_places, shared_places

#: The negatives of a pair (c_t, z_{t+k}): z at the same offset of the other sequences, z at other offsets of the same sequence,
#: or both and other offsets of the others.
NEGATIVES = ("batch", "sequence", "all")
#: Anchors per sequence and step outside training, evenly spaced.
EVALUATION_ANCHORS = 16


class Predictive(Objective):
    """The complete objective over one causal encoder: a bilinear predictor for each step.

    Latents of one sequence depend on each other, so with the negatives "sequence" and "all" the training loss is no bound
    (Tschannen et al., ICLR 2020, section 4.2). The reported bound always has negatives of the batch. The steps k run from
    ``first_step`` to ``n_steps``; ``n_anchors`` offsets t are drawn for each, one from each of as many equal parts of the
    sequence.
    """

    encoder: CausalEncoder

    def __init__(
        self,
        encoder: CausalEncoder,
        bound: Bound,
        n_components: int,
        n_steps: int,
        negatives: str = "batch",
        n_anchors: int = 4,
        first_step: int = 1,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.any_length = encoder.stride > 0  # images in patches have one size
        self.criterion = bound.criterion(both_anchors=False)
        self.n_steps = n_steps
        self.first_step = first_step
        self.n_predicted = n_steps - first_step + 1
        self.negatives = negatives
        self.n_anchors = n_anchors
        self.W = nn.Parameter(torch.empty(self.n_predicted, n_components, n_components))
        for W_k in self.W:
            nn.init.xavier_uniform_(W_k)
        # A scale and an offset per step, as every critic has them.
        self.log_scale = nn.Parameter(torch.zeros(self.n_predicted))
        self.offset = nn.Parameter(torch.full((self.n_predicted,), float(bound.offset)))

    @property
    def networks(self) -> list[nn.Module]:
        """The network of latents: recurrent units are not faster in bfloat16 on CPUs."""
        return [self.encoder.latents]

    @property
    def bounds(self) -> list[str]:
        return ["prediction"]

    @property
    def units(self) -> Mapping[str, str]:
        return {"prediction": "nats"} | {f"accuracy_{k}": "share" for k in range(self.first_step, self.n_steps + 1)}

    def draw(self, rows: Rows, generator: torch.Generator | None) -> Draws:
        """Return the anchors: at random in equal parts of the sequence, without a generator in their middles."""
        if generator is None:
            inside = torch.full((self.n_predicted, EVALUATION_ANCHORS), 0.5)
        else:
            inside = torch.rand(self.n_predicted, self.n_anchors, generator=generator)
        draws = self._lengths(rows)
        n_frames = None if "lengths" not in draws else draws["lengths"] // self.encoder.stride
        # Stacked sequences may be longer or shorter than the fitted ones.
        stride, (n_times, n_columns) = self.encoder.stride, self.encoder.grid
        n_times = rows.shape[-1] // stride if stride else n_times
        grid = Grid(rows.n, n_times, n_columns, n_frames, self.first_step)
        steps = range(self.n_predicted)
        draws["places"] = shared_places(steps, inside, grid)
        if generator is None:  # one step at a time bounds the memory
            draws["by_step"] = [shared_places([k], inside, grid) for k in steps]
        if self.negatives != "batch":
            draws["own"] = [own_places(k, inside, grid) for k in steps if k + self.first_step < n_times]
        if n_frames is not None:
            draws["lengths"] = draws["lengths"][rows.own]
        return draws

    @staticmethod
    def _lengths(rows: Rows) -> Draws:
        return {name: torch.from_numpy(part) for name, part in rows.extras.items() if name == "lengths"}

    def views(self, X: Tensor, draws: Draws) -> Tensor:
        """Return the samples, 0 beyond a sequence's own length."""
        if "lengths" not in draws:
            return X
        is_padding = torch.arange(X.shape[2], device=X.device) >= draws["lengths"][:, None]
        return X.masked_fill(is_padding[:, None], 0.0)

    def forward(self, X: Tensor, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what a step minimises, and its parts by name, detached.

        The parts are "loss"; "prediction", the bound in nats with negatives of the batch; and for each step k that has pairs
        "accuracy_k", how often the context gives its own future the highest score among the batch.
        """
        codes, predictors = self._encode(X, draws), self._predictors
        same_offset = list(predictors.same_offset(codes, draws["places"]))
        groups = same_offset
        if self.negatives != "batch":
            of = predictors.own_offsets if self.negatives == "sequence" else predictors.all_offsets
            groups = [group for places in draws["own"] for group in of(codes, places)]
        losses = [self.criterion.loss(group.scores) for group in groups]
        loss = average(losses, groups, codes.c)
        with torch.no_grad():
            if self.negatives == "batch":
                pairs = zip(losses, groups, strict=True)
                values = [self.criterion.reported(part, group.scores) for part, group in pairs]
            else:
                values = [self.criterion.value(group.scores) for group in same_offset]
            parts = {"loss": loss.detach(), "prediction": average(values, same_offset, codes.c)}
            if same_offset:
                of_steps = accuracies(same_offset, self.n_predicted)
                parts |= {f"accuracy_{k + self.first_step}": of_steps[k] for k in draws["places"].present}
        return loss, parts

    def score(self, X: Tensor, draws: Draws) -> Tensor:
        """Return InfoNCE in nats, the mean over the steps that have pairs, with negatives at the same offset."""
        values = self.information(X, draws)
        values = values[~values.isnan()]
        if not len(values):
            raise ValueError(f"No two sequences of X reach frame {self.first_step + 1}: there is nothing to predict.")
        return values.mean()

    def information(self, X: Tensor, draws: Draws) -> Tensor:
        """Return InfoNCE in nats for each step from the first, (n_predicted,); NaN for a step without pairs."""
        codes, predictors = self._encode(X, draws), self._predictors
        values = codes.c.new_full((self.n_predicted,), math.nan)
        for k, places in enumerate(draws["by_step"]):
            groups = list(predictors.same_offset(codes, places))
            if groups:
                values[k] = average([infonce(group.scores) for group in groups], groups, codes.c)
        return values

    @property
    def _predictors(self) -> Predictors:
        return Predictors(self.W, self.log_scale, self.offset)

    def _encode(self, X: Tensor, draws: Draws) -> Contexts:
        return Contexts(*(self.gather(part) for part in self.encoder(self.views(X, draws))))

    # ---------------------------------------------------------------------------------------------------------- features
    def features(self, X: Tensor, extras: Mapping[str, Tensor], name: str) -> Tensor:
        c = self.encoder(self.views(X, dict(extras))).c
        n_frames: Tensor | int = c.shape[1]
        own, last, n_times = c, c[:, -1], c.shape[1]
        if "lengths" in extras:
            n_frames = extras["lengths"][:, None] // self.encoder.stride
            is_own = torch.arange(n_times, device=c.device) < n_frames
            own = c.masked_fill(~is_own[..., None, None], 0.0)
            last = c.gather(1, (n_frames[..., None, None] - 1).expand(-1, 1, *c.shape[2:]))[:, 0]
        if name == "last":
            return last.mean(1)
        if name == "mean":
            return own.sum(1).mean(1) / n_frames
        n_fitted = self.encoder.grid[0]
        if n_times > n_fitted:
            raise ValueError(
                f"features='sequence' has room for the {n_fitted} frames of the fitted sequences; these have {n_times}."
            )
        return nn.functional.pad(own.flatten(1), (0, (n_fitted - n_times) * own[0, 0].numel()))

    def widths(self) -> Mapping[str, int]:
        n_times, n_columns = self.encoder.grid
        width = self.W.shape[1]
        return {"last": width, "mean": width, "sequence": n_times * n_columns * width}


def last_step(first_step: int, n_steps: int, negatives: str, encoder: CausalEncoder, shape: tuple[int, ...]) -> int:
    """Return the last of the steps to ``n_steps`` that the fitted length allows; raise ValueError if it allows none."""
    (n_times, n_columns), stride = encoder.grid, encoder.stride
    # A sequence that is its own negative needs two pairs for the last step.
    least = first_step + (2 if negatives == "sequence" and n_columns == 1 else 1)
    if n_steps < first_step:
        raise ValueError(
            f"n_steps={n_steps} ends before the first step, {first_step}. Earlier steps share samples with their context, or "
            "lie before first_step. Give a larger n_steps, less overlap, or a smaller first_step."
        )
    if n_times >= least:
        return min(n_steps, first_step + n_times - least)
    needed = f"at least {least} are needed to predict {first_step} ahead"
    if len(shape) == 3:
        raise ValueError(
            f"Images of {shape[1]} x {shape[2]} hold {n_times} row(s) of patches; {needed}. Give a smaller patch_size or "
            "patch_overlap."
        )
    raise ValueError(
        f"Sequences of length {shape[1]}, or {shape[1]} feature(s) per channel, hold {n_times} frame(s) of {stride} sample(s); "
        f"{needed}."
    )
