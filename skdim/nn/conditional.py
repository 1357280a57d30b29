r"""Networks for a conditional density: Gaussian for a vector y, categorical for a label.

References
----------
.. [1] Barber & Agakov, "The IM algorithm: a variational approach to information maximization", NeurIPS 2003.
.. [2] Cheng et al., "CLUB: a contrastive log-ratio upper bound of mutual information", ICML 2020.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CategoricalConditional", "GaussianConditional"]

#: Log-variances are bounded softly to this range: a variance of 0 at a training row would make its density infinite.
LARGEST_LOG_VARIANCE = 8.0


def _mlp(n_inputs: int, hidden: Sequence[int], n_outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(n_inputs, size), nn.ReLU()]
        n_inputs = size
    top = nn.Linear(n_inputs, n_outputs)
    nn.init.zeros_(top.weight)
    nn.init.zeros_(top.bias)
    return nn.Sequential(*layers, top)


class GaussianConditional(nn.Module):
    r"""q(y | x): Gaussian with a mean and a diagonal variance that depend on x, over whitened y; it starts as N(0, I).

    .. math:: \log q(y \mid x) = -\tfrac12 \sum_k \Bigl( \log 2\pi + v_k(x) + (y_k - \mu_k(x))^2 e^{-v_k(x)} \Bigr)

    Parameters
    ----------
    inputs : nn.Module
        x -> inputs, with ``n_inputs``.
    n_outputs : int
        Width of y.
    hidden : sequence of int
        ReLU layers.
    """

    def __init__(self, inputs: nn.Module, n_outputs: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.inputs = inputs
        self.network = _mlp(int(inputs.n_inputs), hidden, 2 * n_outputs)  # type: ignore[arg-type]

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log q(y_j | x_i) for all pairs, (n, d_x), (m, d_y) -> (n, m)."""
        mean, log_variance, precision = self._moments(x)
        # (y - mean)^2 / variance in three products of matrices, for n m pairs would be n m d numbers.
        squares = precision @ y.square().T - 2 * (precision * mean) @ y.T + (precision * mean.square()).sum(1)[:, None]
        return -0.5 * (squares + log_variance.sum(1)[:, None] + y.shape[1] * math.log(2 * math.pi))

    def joint(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log q(y_i | x_i), (n,)."""
        mean, log_variance, precision = self._moments(x)
        return -0.5 * ((y - mean).square() * precision + log_variance + math.log(2 * math.pi)).sum(1)

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, raw = self.network(self.inputs(x)).chunk(2, dim=1)
        log_variance = LARGEST_LOG_VARIANCE * torch.tanh(raw / LARGEST_LOG_VARIANCE)
        return mean, log_variance, torch.exp(-log_variance)


class CategoricalConditional(nn.Module):
    """q(y | x) of a label y; it starts as the labels' frequencies.

    Parameters
    ----------
    inputs : nn.Module
        x -> inputs, with ``n_inputs``.
    frequencies : Tensor of shape (n_classes,)
        Frequencies of the training labels.
    hidden : sequence of int
        ReLU layers.
    """

    log_frequencies: Tensor

    def __init__(self, inputs: nn.Module, frequencies: Tensor, hidden: Sequence[int]) -> None:
        super().__init__()
        self.inputs = inputs
        self.register_buffer("log_frequencies", frequencies.log())
        self.network = _mlp(int(inputs.n_inputs), hidden, len(frequencies))  # type: ignore[arg-type]

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log q(y_j | x_i) for all pairs, (n, d_x), (m,) -> (n, m)."""
        return self._log_posterior(x)[:, y]

    def joint(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log q(y_i | x_i), (n,)."""
        return self._log_posterior(x).gather(1, y[:, None]).squeeze(1)

    def _log_posterior(self, x: Tensor) -> Tensor:
        return F.log_softmax(self.network(self.inputs(x)) + self.log_frequencies, dim=1)
