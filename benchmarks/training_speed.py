"""What a training step costs beside a hand-written loop of the same work: the same views, encoder, critics, loss, optimizer.

The loop imports torch, NumPy and our encoder module only. Both are timed in turn, in one process; ours from outside, as
(fit with 2 k epochs - fit with k epochs) / steps, so that building and validation drop out but callbacks and history stay in.

    python benchmarks/training_speed.py
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from common import record
from sklearn.base import clone
from torch import Tensor, nn

from skdim import CPCTransformer, DeepInfoMaxTransformer, MultiViewInfoMaxTransformer
from skdim.nn.encoders import MLP, Conv, build_encoder
from skdim.nn.sequences import GRU, StridedConv, build_causal_encoder

BATCH = 128


class Heads(nn.Module):
    """Linear embeddings of both sides and their cosine over the temperature, as the default critic."""

    def __init__(self, x_features: int, y_features: int, width: int, temperature: float, shared: bool = False) -> None:
        super().__init__()
        self.x = nn.Linear(x_features, width)
        self.y = self.x if shared else nn.Linear(y_features, width)
        self.offset = nn.Parameter(torch.zeros(()))
        self.temperature = temperature

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return F.normalize(self.x(x), dim=1) @ F.normalize(self.y(y), dim=1).T / self.temperature + self.offset


def cross_entropy(scores: Tensor) -> Tensor:
    """InfoNCE in both directions for scores (n, locations, n), anchors first, candidates last."""
    target = torch.arange(len(scores))
    forth = F.cross_entropy(scores.flatten(0, 1), target.repeat_interleave(scores.shape[1]))
    back = F.cross_entropy(scores.permute(2, 1, 0).flatten(0, 1), target.repeat_interleave(scores.shape[1]))
    return (forth + back) / 2


def crop(X: Tensor) -> Tensor:
    """Return the default view of one-channel images."""
    n, side = len(X), X.shape[2]
    area, aspect = torch.empty(n).uniform_(0.5, 1), torch.exp(torch.empty(n).uniform_(-1, 1) * math.log(4 / 3))
    grid = torch.arange(float(side))

    def stretch(extent: Tensor) -> Tensor:
        start = torch.rand(n) * (1 - extent)
        position = (((grid + 0.5) / side * extent[:, None] + start[:, None]) * side - 0.5).clamp_(0, side - 1)
        return (1 - (position[:, :, None] - grid).abs()).clamp_min_(0)

    view = stretch((area * aspect).sqrt().clamp_max_(1)) @ X[:, 0]
    view = (view @ stretch((area / aspect).sqrt().clamp_max_(1)).transpose(1, 2))[:, None]
    mean = view.mean((1, 2, 3), keepdim=True)
    gain, shift = torch.empty(n, 1, 1, 1).uniform_(0.4, 1.6), torch.empty(n, 1, 1, 1).uniform_(-0.8, 0.8)
    return (view - mean) * gain + mean + shift


def mask(X: Tensor) -> Tensor:
    """Return the default view of a table."""
    return X.masked_fill(torch.rand(X.shape) < 0.3, 0.0)


def hand_written(X: np.ndarray, encoder: nn.Module, view: Callable[[Tensor], Tensor], width: int, temperature: float,
                 n_locations: int | None, is_image: bool) -> Callable[[int], float]:  # fmt: skip
    """Return a function that runs some epochs and gives the seconds per step."""
    n_channels, n_map = encoder.local_shape
    local, code = Heads(64, n_channels, width, temperature), Heads(64, 64, width, temperature, shared=True)
    encoder.to(memory_format=torch.channels_last)
    data = torch.from_numpy(X)
    mean, scale = data.float().mean(0), data.float().std(0) + 1e-6
    if is_image:
        mean, scale = mean.mean(), data.float().std()

    def loss(rows: Tensor) -> Tensor:
        batch = (data[rows].float() - mean) / scale
        batch = batch[:, None] if is_image else batch
        output = encoder(torch.cat([view(batch), view(batch)]))
        chosen = torch.randperm(n_map)[: n_locations or n_map]
        maps = output.local.movedim(1, 2).index_select(1, chosen).chunk(2)
        codes = output.global_.chunk(2)
        total = torch.zeros(())
        for a, b in ((0, 1), (1, 0)):
            patches = maps[b].transpose(0, 1).flatten(0, 1)
            total = total + cross_entropy(local(codes[a], patches).unflatten(1, (len(chosen), len(rows)))) / 2
            total = total + cross_entropy(code(codes[a], codes[b])[:, None]) / 2
        return total

    return loop_over(loss, len(X), [encoder, local, code], [])


def halves(X: np.ndarray, encoders: list[nn.Module], n_components: int) -> Callable[[int], float]:
    """Return the same for two halves, an encoder each and a bilinear critic (Tschannen et al. 2020)."""
    W = nn.Linear(n_components, n_components, bias=False)
    offset, log_scale = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
    data = torch.from_numpy(X).flatten(1)
    mean, scale = data.float().mean(), data.float().std()
    half = data.shape[1] // 2

    def loss(rows: Tensor) -> Tensor:
        batch = (data[rows].float() - mean) / scale
        x, y = (
            encoder(part).global_ for encoder, part in zip(encoders, (batch[:, :half], batch[:, half:]), strict=True)
        )
        scores = x @ W(y).T * (log_scale.exp() / math.sqrt(n_components)) + offset
        own = torch.arange(len(rows))
        return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2

    return loop_over(loss, len(X), [*encoders, W], [offset, log_scale])


def predictive(X: np.ndarray, encoder: nn.Module, n_components: int, n_steps: int, n_anchors: int, batch: int) -> Any:
    """Return the same for predictive coding with the negatives of the batch."""
    W = nn.Parameter(torch.empty(n_steps, n_components, n_components))
    nn.init.xavier_uniform_(W)
    offset, log_scale = nn.Parameter(torch.zeros(n_steps)), nn.Parameter(torch.zeros(n_steps))
    data = torch.from_numpy(X)[:, None]
    mean, scale = data.float().mean(), data.float().std()

    def loss(rows: Tensor) -> Tensor:
        z, c = (part[:, :, 0] for part in encoder((data[rows] - mean) / scale))
        total = torch.zeros(())
        for k in range(n_steps):
            places = z.shape[1] - k - 1
            t = ((torch.arange(n_anchors) + torch.rand(n_anchors)) / n_anchors * places).long()
            scores = torch.einsum("ntd,de,mte->tnm", c[:, t], W[k], z[:, t + k + 1])
            scores = scores * (log_scale[k].exp() / math.sqrt(n_components)) + offset[k]
            own = torch.arange(len(rows)).repeat(n_anchors)
            total = total + F.cross_entropy(scores.flatten(0, 1), own) / n_steps
        return total

    return loop_over(loss, len(X), [encoder], [W, offset, log_scale], batch)


def loop_over(
    loss: Callable[[Tensor], Tensor], n: int, modules: list[nn.Module], others: list[nn.Parameter], batch: int = BATCH
) -> Callable[[int], float]:
    """Return a function that minimises ``loss(rows)`` for some epochs and gives the seconds per step."""
    parameters = [p for module in modules for p in module.parameters()] + others
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 1e-2},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=2e-3, fused=True)

    def run(epochs: int) -> float:
        start, steps = time.perf_counter(), 0
        for _ in range(epochs):
            for rows in torch.randperm(n).split(batch):
                value = loss(rows)
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                steps += 1
        return (time.perf_counter() - start) / steps

    return run


def ours(transformer: Any, X: np.ndarray, epochs: int, batch: int = BATCH) -> float:
    """Return the seconds per step of ``fit``."""
    seconds = []
    for n_epochs in (epochs, 2 * epochs):
        start = time.perf_counter()
        clone(transformer).set_params(max_iter=n_epochs, random_state=0).fit(X)
        seconds.append(time.perf_counter() - start)
    return (seconds[1] - seconds[0]) / (epochs * math.ceil(len(X) / batch))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cases", nargs="+", default=["conv", "mlp", "halves", "cpc"])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH * 20, 28, 28), dtype=np.uint8)
    rows = rng.normal(size=(BATCH * 20, 64)).astype(np.float32)
    sequences = rng.normal(size=(640, 128)).astype(np.float32)
    defaults = DeepInfoMaxTransformer()
    separable = defaults._critics()[1]
    critic = {"width": separable.width, "temperature": separable.temperature, "n_locations": defaults.n_locations}
    hidden = MLP((300, 300))
    cpc = CPCTransformer()
    causal = build_causal_encoder(StridedConv(), GRU(), (1, sequences.shape[1]), cpc.n_components)
    cases: dict[str, tuple[str, Any, Any, Any, int, int]] = {
        "conv": (
            "convolutional, 28 x 28", defaults, images,
            hand_written(images, build_encoder(Conv(), (1, 28, 28), 64), crop, **critic, is_image=True), 2, BATCH,
        ),
        "mlp": (
            "MLP 64-64-64, 64 columns", DeepInfoMaxTransformer(hidden_layer_sizes=(64, 64)), rows,
            hand_written(rows, build_encoder(MLP((64, 64)), (64,), 64), mask, **critic, is_image=False), 10, BATCH,
        ),
        "halves": (
            "halves of 28 x 28, MLP 300-300-100, bilinear",
            MultiViewInfoMaxTransformer(100, views="halves", encoder=hidden, critic="bilinear", batch_size=BATCH), images,
            halves(images, [build_encoder(hidden, (392,), 100) for _ in range(2)], 100), 5, BATCH,
        ),
        "cpc": (
            "predictive coding, 640 sequences of 128", cpc, sequences,
            predictive(sequences, causal, cpc.n_components, cpc.n_steps, cpc.n_anchors, cpc.batch_size), 3, cpc.batch_size,
        ),
    }  # fmt: skip
    for name, transformer, X, loop, epochs, batch in (cases[case] for case in arguments.cases):
        loop(1)
        ours(transformer, X, 1, batch)
        pairs = [(ours(transformer, X, epochs, batch), loop(epochs)) for _ in range(arguments.rounds)]
        ratios = sorted(a / b for a, b in pairs)
        record(
            "training_speed",
            {
                "case": name,
                "batch": batch,
                "ours_ms": round(1e3 * float(np.median([a for a, _ in pairs])), 3),
                "hand_written_ms": round(1e3 * float(np.median([b for _, b in pairs])), 3),
                "ratio_median": round(ratios[len(ratios) // 2], 3),
                "ratio_min": round(ratios[0], 3),
                "ratio_max": round(ratios[-1], 3),
                "rounds": arguments.rounds,
            },
        )


if __name__ == "__main__":
    main()
