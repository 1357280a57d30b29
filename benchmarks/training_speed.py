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
from torch import Tensor, nn

from skdim import DeepInfoMaxTransformer
from skdim.nn.encoders import MLP, Conv, build_encoder

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
    parameters = [p for module in (encoder, local, code) for p in module.parameters()]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 1e-2},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=2e-3, fused=True)
    data = torch.from_numpy(X)
    mean, scale = data.float().mean(0), data.float().std(0) + 1e-6
    if is_image:
        mean, scale = mean.mean(), data.float().std()

    def run(epochs: int) -> float:
        start, steps = time.perf_counter(), 0
        for _ in range(epochs):
            order = torch.randperm(len(data))
            for rows in order.split(BATCH):
                batch = (data[rows].float() - mean) / scale
                batch = batch[:, None] if is_image else batch
                output = encoder(torch.cat([view(batch), view(batch)]))
                chosen = torch.randperm(n_map)[: n_locations or n_map]
                maps = output.local.movedim(1, 2).index_select(1, chosen).chunk(2)
                codes = output.global_.chunk(2)
                loss = 0.0
                for a, b in ((0, 1), (1, 0)):
                    patches = maps[b].transpose(0, 1).flatten(0, 1)
                    loss = loss + cross_entropy(local(codes[a], patches).unflatten(1, (len(chosen), len(rows)))) / 2
                    loss = loss + cross_entropy(code(codes[a], codes[b])[:, None]) / 2
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                steps += 1
        return (time.perf_counter() - start) / steps

    return run


def ours(X: np.ndarray, epochs: int, **parameters: Any) -> float:
    seconds = []
    for n_epochs in (epochs, 2 * epochs):
        start = time.perf_counter()
        DeepInfoMaxTransformer(max_iter=n_epochs, random_state=0, **parameters).fit(X)
        seconds.append(time.perf_counter() - start)
    return (seconds[1] - seconds[0]) / (epochs * math.ceil(len(X) / BATCH))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH * 20, 28, 28), dtype=np.uint8)
    rows = rng.normal(size=(BATCH * 20, 64)).astype(np.float32)
    defaults = DeepInfoMaxTransformer()
    separable = defaults._critics()[1]
    critic = {"width": separable.width, "temperature": separable.temperature}
    cases = {
        "convolutional, 28 x 28": (images, build_encoder(Conv(), (1, 28, 28), 64), crop, 2, {}),
        "MLP 64-64-64, 64 columns": (
            rows, build_encoder(MLP((64, 64)), (64,), 64), mask, 10, {"hidden_layer_sizes": (64, 64)},
        ),
    }  # fmt: skip
    for name, (X, encoder, view, epochs, parameters) in cases.items():
        loop = hand_written(X, encoder, view, **critic, n_locations=defaults.n_locations, is_image=X.ndim == 3)
        loop(1)
        ours(X, 1, **parameters)
        pairs = [(ours(X, epochs, **parameters), loop(epochs)) for _ in range(arguments.rounds)]
        ratios = sorted(a / b for a, b in pairs)
        record(
            "training_speed",
            {
                "case": name,
                "batch": BATCH,
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
