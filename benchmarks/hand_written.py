"""What our estimators compute in a training step, written by hand: torch, NumPy and our encoder module only.

A module maps a batch of the data, as it is stored, to the loss: standardisation, views, encoder, critics and bound. So the
same module runs in a plain loop and in a plain skorch net.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEARNING_RATE = 2e-3


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
    """InfoNCE in both directions for scores (n, locations, n), anchors first, candidates last; neither is copied."""
    forth, back = (F.log_softmax(scores, dim).diagonal(dim1=0, dim2=2).mean() for dim in (2, 0))
    return -(forth + back) / 2


def crop(X: Tensor) -> Tensor:
    """Return the default view of one-channel images."""
    n, side = len(X), X.shape[2]

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, 1, device=X.device)

    area, aspect = uniform(0.5, 1), torch.exp(uniform(-1, 1) * math.log(4 / 3))
    grid = torch.arange(float(side), device=X.device)

    def taps(extent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        place = (((grid + 0.5) / side * extent + uniform(0, 1) * (1 - extent)) * side - 0.5).clamp_(0, side - 1)
        first = place.long()
        return first, (first + 1).clamp_max_(side - 1), place - first

    *rows, share = taps((area * aspect).sqrt().clamp_max_(1))
    start, lines = torch.arange(n, device=X.device)[:, None] * side, X.reshape(-1, side)
    above, below = (lines.index_select(0, (start + row).flatten()).view(n, side, side) for row in rows)
    view = torch.lerp(above, below, share[:, :, None])
    *columns, share = taps((area / aspect).sqrt().clamp_max_(1))
    left, right = (view.gather(2, column[:, None].expand_as(view)) for column in columns)
    view = torch.lerp(left, right, share[:, None])[:, None]
    mean = view.mean((1, 2, 3), keepdim=True)
    gain, shift = (uniform(*ends)[:, :, None, None] for ends in ((0.4, 1.6), (-0.8, 0.8)))
    return (view - mean) * gain + mean + shift


def mask(X: Tensor) -> Tensor:
    """Return the default view of a table."""
    return X.masked_fill(torch.rand(X.shape, device=X.device) < 0.3, 0.0)


class TwoViews(nn.Module):
    """The defaults of DeepInfoMaxTransformer: code to patches of the other view, and code to code."""

    def __init__(self, X: np.ndarray, encoder: nn.Module, view: Callable[[Tensor], Tensor], width: int,
                 temperature: float, n_locations: int | None) -> None:  # fmt: skip
        """Take all locations where ``n_locations`` is None; 0 leaves code to code alone."""
        super().__init__()
        n_channels, n_map = encoder.local_shape
        self.encoder = encoder.to(memory_format=torch.channels_last)
        self.local = Heads(64, n_channels, width, temperature) if n_locations != 0 else None
        self.code = Heads(64, 64, width, temperature, shared=True)
        self.view, self.n_map, self.is_image = view, n_map, X.ndim == 3
        self.n_locations = n_map if n_locations is None else min(n_map, n_locations)
        data = torch.from_numpy(X).float()
        over = None if self.is_image else 0
        self.register_buffer("mean", data.mean(over))
        self.register_buffer("scale", data.std(over) + 1e-6)

    def forward(self, X: Tensor) -> Tensor:
        batch = (X.float() - self.mean) / self.scale
        batch = batch[:, None] if self.is_image else batch
        output = self.encoder(torch.cat([self.view(batch), self.view(batch)]))
        codes = output.global_.chunk(2)
        total = cross_entropy(self.code(*codes)[:, None])  # the other way round the scores are the same, transposed
        if self.local is None:
            return total
        maps = output.local.movedim(1, 2)
        if self.n_locations < self.n_map:
            maps = maps.index_select(1, torch.rand(self.n_map, device=X.device).argsort()[: self.n_locations])
        maps = maps.chunk(2)
        for a, b in ((0, 1), (1, 0)):
            patches = maps[b].transpose(0, 1).flatten(0, 1)
            total = total + cross_entropy(self.local(codes[a], patches).unflatten(1, (self.n_locations, len(X)))) / 2
        return total


class Halves(nn.Module):
    """Upper and lower half of an image, an encoder each and a bilinear critic (Tschannen et al. 2020)."""

    def __init__(self, X: np.ndarray, encoders: list[nn.Module], n_components: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.W = nn.Linear(n_components, n_components, bias=False)
        self.offset, self.log_scale = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
        self.width = math.sqrt(n_components)
        data = torch.from_numpy(X).float()
        self.register_buffer("mean", data.mean())
        self.register_buffer("scale", data.std())

    def forward(self, X: Tensor) -> Tensor:
        batch = (X.flatten(1).float() - self.mean) / self.scale
        x, y = (encoder(part).global_ for encoder, part in zip(self.encoders, batch.chunk(2, dim=1), strict=True))
        scores = x @ self.W(y).T * (self.log_scale.exp() / self.width) + self.offset
        return cross_entropy(scores[:, None])


class Predictive(nn.Module):
    """Predictive coding with the negatives of the batch."""

    def __init__(self, X: np.ndarray, encoder: nn.Module, n_components: int, n_steps: int, n_anchors: int) -> None:
        super().__init__()
        self.encoder, self.n_steps, self.n_anchors = encoder, n_steps, n_anchors
        self.W = nn.Parameter(torch.empty(n_steps, n_components, n_components))
        nn.init.xavier_uniform_(self.W)
        self.offset, self.log_scale = nn.Parameter(torch.zeros(n_steps)), nn.Parameter(torch.zeros(n_steps))
        self.width = math.sqrt(n_components)
        data = torch.from_numpy(X)
        self.register_buffer("mean", data.mean())
        self.register_buffer("scale", data.std())

    def forward(self, X: Tensor) -> Tensor:
        """All steps and anchors in one product of matrices; a loop over the steps takes half as long again."""
        z, c = (part[:, :, 0] for part in self.encoder((X[:, None] - self.mean) / self.scale))
        device = X.device
        places = z.shape[1] - 1 - torch.arange(self.n_steps, device=device)
        uniform = torch.rand(self.n_steps, self.n_anchors, device=device)
        inside = (torch.arange(self.n_anchors, device=device) + uniform) / self.n_anchors
        t = (inside * places[:, None]).long()  # (steps, anchors)
        future = t + 1 + torch.arange(self.n_steps, device=device)[:, None]
        predictions = c[:, t].permute(1, 2, 0, 3) @ self.W[:, None]  # (steps, anchors, n, d)
        scores = predictions @ z[:, future].permute(1, 2, 3, 0)
        factor = self.log_scale.exp() / self.width
        scores = scores * factor[:, None, None, None] + self.offset[:, None, None, None]
        return F.cross_entropy(scores.flatten(0, 2), torch.arange(len(X), device=device).repeat(t.numel()))


def adamw(parameters: Iterable[nn.Parameter], lr: float = LEARNING_RATE) -> torch.optim.Optimizer:
    """Return the default optimizer: fused, and only matrices decay."""
    parameters = list(parameters)
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 1e-2},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, fused=True, capturable=parameters[0].is_cuda)


def loop(module: nn.Module, X: np.ndarray, batch: int, clock: Callable[[], float]) -> Callable[[int], float]:
    """Return a function that trains the module for some epochs and gives the seconds per step."""
    data, optimizer = torch.from_numpy(X), adamw(module.parameters())

    def run(epochs: int) -> float:
        start, steps = clock(), 0
        for _ in range(epochs):
            for rows in torch.randperm(len(data)).split(batch):
                value = module(data[rows])
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                steps += 1
        return (clock() - start) / steps

    return run


def captured_loop(module: nn.Module, X: np.ndarray, batch: int) -> Callable[[int], float]:
    """Return :func:`loop` on a CUDA device: the data stay there, and one CUDA graph is the whole step."""
    data, optimizer = torch.from_numpy(X).cuda(), adamw(module.cuda().parameters())
    rows = torch.arange(batch, device="cuda")

    def step() -> None:
        value = module(data[rows])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()

    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(beside)
    optimizer.zero_grad()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def run(epochs: int) -> float:
        torch.cuda.synchronize()
        start, steps = time.perf_counter(), 0
        for _ in range(epochs):
            for part in torch.randperm(len(data), device="cuda").split(batch):
                if len(part) == batch:
                    rows.copy_(part)
                    graph.replay()
                    steps += 1
        torch.cuda.synchronize()
        return (time.perf_counter() - start) / steps

    return run
