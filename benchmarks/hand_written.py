"""What our estimators compute in a training step, written by hand: torch, NumPy and our encoder module only.

A module maps a batch of the data, as it is stored, to the loss: standardisation, views, encoder, critics and bound. So the
same module runs in a plain loop and in a plain skorch net.
"""

from __future__ import annotations

import math
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
        self.n_locations = n_map if n_locations is None else n_locations
        data = torch.from_numpy(X).float()
        over = None if self.is_image else 0
        self.mean, self.scale = data.mean(over), data.std(over) + 1e-6

    def forward(self, X: Tensor) -> Tensor:
        batch = (X.float() - self.mean) / self.scale
        batch = batch[:, None] if self.is_image else batch
        output = self.encoder(torch.cat([self.view(batch), self.view(batch)]))
        codes = output.global_.chunk(2)
        total = cross_entropy(self.code(*codes)[:, None])  # the other way round the scores are the same, transposed
        if self.local is None:
            return total
        chosen = torch.randperm(self.n_map)[: self.n_locations]
        maps = output.local.movedim(1, 2).index_select(1, chosen).chunk(2)
        for a, b in ((0, 1), (1, 0)):
            patches = maps[b].transpose(0, 1).flatten(0, 1)
            total = total + cross_entropy(self.local(codes[a], patches).unflatten(1, (len(chosen), len(X)))) / 2
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
        self.mean, self.scale = data.mean(), data.std()

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
        self.mean, self.scale = data.mean(), data.std()

    def forward(self, X: Tensor) -> Tensor:
        """All steps and anchors in one product of matrices; a loop over the steps takes half as long again."""
        z, c = (part[:, :, 0] for part in self.encoder((X[:, None] - self.mean) / self.scale))
        places = z.shape[1] - 1 - torch.arange(self.n_steps)
        inside = (torch.arange(self.n_anchors) + torch.rand(self.n_steps, self.n_anchors)) / self.n_anchors
        t = (inside * places[:, None]).long()  # (steps, anchors)
        future = t + 1 + torch.arange(self.n_steps)[:, None]
        predictions = c[:, t].permute(1, 2, 0, 3) @ self.W[:, None]  # (steps, anchors, n, d)
        scores = predictions @ z[:, future].permute(1, 2, 3, 0)
        factor = self.log_scale.exp() / self.width
        scores = scores * factor[:, None, None, None] + self.offset[:, None, None, None]
        return F.cross_entropy(scores.flatten(0, 2), torch.arange(len(X)).repeat(t.numel()))


def adamw(parameters: Iterable[nn.Parameter], lr: float = LEARNING_RATE) -> torch.optim.Optimizer:
    """Return the default optimizer: fused, and only matrices decay."""
    parameters = list(parameters)
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 1e-2},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, fused=True)


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
