"""Networks for a conditional density: Gaussian for a vector y, categorical for a label, and a mixture of the latter."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skdim.nn.gaussian import log_density, log_density_of_pairs
from skdim.nn.layers import mlp
from skdim.nn.ratio import RadialInputs

#: Bound of the absolute log-variance: with a variance of 0 the density of a training row would be infinite.
LARGEST_LOG_VARIANCE = 8.0
#: Distance of standardised rows below which they are the same row, and rows whose neighbours are found at once.
SAME_ROW, ROWS_OF_NEIGHBOURS = 1e-6, 1024


class GaussianConditional(nn.Module):
    r"""q(y | x): Gaussian with a mean and a diagonal variance that depend on x, over whitened y; it starts as N(0, I).

    .. math:: \log q(y \mid x) = -\tfrac12 \sum_k \Bigl( \log 2\pi + v_k(x) + (y_k - \mu_k(x))^2 e^{-v_k(x)} \Bigr)
    """

    def __init__(self, inputs: RadialInputs, n_outputs: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.inputs = inputs
        self.network = mlp(inputs.n_inputs, hidden, 2 * n_outputs, start=0.0)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log q(y_j | x_i) for all pairs, (n, d_x), (m, d_y) -> (n, m)."""
        return log_density_of_pairs(y, *self._moments(x))

    def joint(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log q(y_i | x_i), (n,)."""
        return log_density(y, *self._moments(x)).sum(1)

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = self.network(self.inputs(x)).chunk(2, dim=1)
        return mean, LARGEST_LOG_VARIANCE * torch.tanh(raw / LARGEST_LOG_VARIANCE)


class CategoricalConditional(nn.Module):
    """q(y | x) of a label y; it starts as the labels' frequencies (n_classes,)."""

    log_frequencies: Tensor

    def __init__(self, inputs: RadialInputs, frequencies: Tensor, hidden: Sequence[int]) -> None:
        super().__init__()
        self.inputs = inputs
        self.register_buffer("log_frequencies", frequencies.log())
        self.network = mlp(inputs.n_inputs, hidden, len(frequencies), start=0.0)

    def joint(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log q(y_i | x_i), (n,)."""
        return self(x).gather(1, y[:, None]).squeeze(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return log q(y_j | x_i) for all pairs, (n, d_x), (m,) -> (n, m), or of every label without y, (n, n_classes)."""
        log_q = F.log_softmax(self.network(self.inputs(x)) + self.log_frequencies, dim=1)
        return log_q if y is None else log_q[:, y]


class LinearClassifier(nn.Module):
    """log q(y | x) of a linear classifier, whose weights (n_classes, d) and intercepts (n_classes,) are given."""

    weights: Tensor
    intercepts: Tensor

    def __init__(self, weights: Tensor, intercepts: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.register_buffer("intercepts", intercepts)

    def forward(self, x: Tensor) -> Tensor:
        """Return log q(y | x) of every label, (n, d) -> (n, n_classes)."""
        return F.log_softmax(x @ self.weights.T + self.intercepts, dim=1)


class NearestNeighbours(nn.Module):
    r"""log q(y | x) by the labels of the k nearest of the rows (m, d), other than x itself.

    .. math:: q(y \mid x) = \frac{\#\{\text{neighbours with label } y\} + p(y)}{k + 1}

    The labels' frequencies p (n_classes,) count as one more neighbour, so no label has the probability 0.
    """

    rows: Tensor
    labels: Tensor
    frequencies: Tensor

    def __init__(self, rows: Tensor, labels: Tensor, frequencies: Tensor, k: int) -> None:
        super().__init__()
        for name, value in (("rows", rows), ("labels", labels), ("frequencies", frequencies)):
            self.register_buffer(name, value)
        self.k = min(k, len(rows) - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return log q(y | x) of every label, (n, d) -> (n, n_classes)."""
        return torch.cat([self._log_posterior(part) for part in x.split(ROWS_OF_NEIGHBOURS)])

    def _log_posterior(self, x: Tensor) -> Tensor:
        distances, nearest = torch.cdist(x.double(), self.rows.double()).topk(self.k + 1, largest=False)
        is_own = distances[:, :1] < SAME_ROW
        used = torch.cat([~is_own, is_own.new_ones(len(x), self.k - 1), is_own], dim=1)
        counts = self.frequencies.repeat(len(x), 1)
        counts.scatter_add_(1, self.labels[nearest], used.to(counts))
        return torch.log(counts / counts.sum(1, keepdim=True))


class MixedConditional(nn.Module):
    r"""q(y | x) of a label y: a mixture of classifiers and of the labels' frequencies (n_classes,), which come first.

    .. math:: q(y \mid x) = \sum_m w_m\, q_m(y \mid x)
    """

    weights: Tensor
    log_frequencies: Tensor

    def __init__(self, members: Sequence[nn.Module], frequencies: Tensor) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("log_frequencies", frequencies.log())
        self.register_buffer("weights", torch.ones(1 + len(members)) / (1 + len(members)))

    def parts(self, x: Sequence[Tensor], y: Tensor) -> Tensor:
        """Return log q_m(y_i | x_i) of each member, (1 + n_members, n); ``x`` has what each member takes."""
        own = [member(part).gather(1, y[:, None]).squeeze(1) for member, part in zip(self.members, x, strict=True)]
        return torch.stack([self.log_frequencies[y], *(part.to(self.log_frequencies) for part in own)])

    def forward(self, x: Sequence[Tensor]) -> Tensor:
        """Return log q(y | x) of every label, (n, n_classes)."""
        own = [member(part) for member, part in zip(self.members, x, strict=True)]
        log_frequencies = self.log_frequencies.expand(len(own[0]) if own else 1, -1)
        parts = torch.stack([log_frequencies, *(part.to(log_frequencies) for part in own)])
        return torch.logsumexp(parts + self.weights.log()[:, None, None], 0)

    def choose(self, parts: Tensor, n_steps: int = 100) -> None:
        """Choose the weights under which held-out rows are likeliest, from their parts (1 + n_members, n), by the EM steps."""
        weights = torch.full_like(parts[:, 0], 1 / len(parts))
        for _ in range(n_steps):
            weights = torch.softmax(parts + weights.log()[:, None], 0).mean(1)
        self.weights.copy_(weights)
