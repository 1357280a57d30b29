"""Networks for a conditional density: Gaussian for a vector y, categorical for a label."""

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

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log q(y_j | x_i) for all pairs, (n, d_x), (m,) -> (n, m)."""
        return self._log_posterior(x)[:, y]

    def joint(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log q(y_i | x_i), (n,)."""
        return self._log_posterior(x).gather(1, y[:, None]).squeeze(1)

    def _log_posterior(self, x: Tensor) -> Tensor:
        return F.log_softmax(self.network(self.inputs(x)) + self.log_frequencies, dim=1)
