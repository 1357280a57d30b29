r"""Gaussian densities and density ratios in closed form, for all pairs of rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

#: Numbers that the scoring of all pairs holds at once for each layer or component: they stay in the processor's cache.
NUMBERS_AT_ONCE = 2**18
LOG_2_PI = math.log(2 * math.pi)


def rows_at_once(n_columns: int, n_numbers: int) -> int:
    """Return how many rows of x to score at once against ``n_columns`` rows of y, at so many numbers a pair."""
    return max(1, NUMBERS_AT_ONCE // (n_columns * n_numbers))


def ratio_coefficients(correlations: npt.NDArray[np.float64]) -> tuple[Any, Any, Any]:
    r"""Return the coefficients of x_k y_k and of -(x_k^2 + y_k^2) in the Gaussian log ratio, and its constant.

    .. math:: \sum_k \frac{\rho_k x_k y_k - \rho_k^2 (x_k^2 + y_k^2) / 2}{1 - \rho_k^2} - \tfrac12 \log(1 - \rho_k^2)
    """
    rest = 1 - correlations**2
    return correlations / rest, correlations**2 / (2 * rest), -0.5 * np.log(rest).sum()


def log_density(y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the log density of each normal component by itself, in nats; the shapes broadcast."""
    return -0.5 * ((y - mean).square() * torch.exp(-log_variance) + log_variance + LOG_2_PI)


def log_density_of_pairs(y: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""Return the log density of each of m rows under each of n products of normal components.

    .. math:: \log p(y_j \mid x_i) = -\tfrac12 \sum_c \Bigl( \log 2\pi + v_{ic} + (y_{jc} - \mu_{ic})^2 e^{-v_{ic}} \Bigr)

    (m, d), (n, d), (n, d) -> (n, m), in nats. Products of matrices take the place of all n m d differences; in float64 they do
    not cancel for close rows under small variances.
    """
    like = mean
    # Apple's device does not have float64.
    on_device = (part.cpu() if part.device.type == "mps" else part for part in (y, mean, log_variance))
    y, mean, log_variance = (part.double() for part in on_device)
    precision = (-log_variance).exp()
    squares = precision @ y.square().T - 2 * (precision * mean) @ y.T + (precision * mean.square()).sum(1, keepdim=True)
    constant = (log_variance + LOG_2_PI).sum(1, keepdim=True)
    return (-0.5 * (squares + constant)).to(like)


class GaussianReference(nn.Module):
    """The closed-form log ratio of the first k variates with k canonical correlations, each axis with a learnable scale."""

    linear: Tensor
    quadratic: Tensor
    constant: Tensor

    def __init__(self, correlations: Tensor) -> None:
        super().__init__()
        coefficients = ratio_coefficients(correlations.double().numpy())
        for name, value in zip(("linear", "quadratic", "constant"), coefficients, strict=True):
            self.register_buffer(name, torch.as_tensor(value).float())
        self.log_scale = nn.Parameter(torch.zeros(len(correlations)))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        k = len(self.linear)
        x, y, scale = x[:, :k], y[:, :k], self.log_scale.exp()
        own = x.square() @ (scale * self.quadratic)
        others = y.square() @ (scale * self.quadratic)
        return (x * (scale * self.linear)) @ y.T - own[:, None] - others[None] + self.constant

    def joint(self, x: Tensor, y: Tensor) -> Tensor:
        """Score the joint samples, (n, d_x), (n, d_y) -> (n,)."""
        k = len(self.linear)
        x, y, scale = x[:, :k], y[:, :k], self.log_scale.exp()
        return (x * y) @ (scale * self.linear) - (x.square() + y.square()) @ (scale * self.quadratic) + self.constant


class MixtureReference(nn.Module):
    r"""The closed-form log ratio of a mixture of Gaussians, for all pairs.

    .. math:: r(x, y) = \log \sum_k w_k N(x, y; \mu_k, \Sigma_k)
              - \log \sum_k w_k N(x; \mu_k^x, \Sigma_k^{xx}) - \log \sum_k w_k N(y; \mu_k^y, \Sigma_k^{yy})

    ``weights`` (k,), ``means`` (k, d_x + d_y) and ``covariances`` (k, d_x + d_y, d_x + d_y) are those of its components.
    """

    log_weights: Tensor
    means: Tensor
    precisions_x: Tensor
    precisions_y: Tensor
    precisions_xy: Tensor
    marginals_x: Tensor
    marginals_y: Tensor
    log_norms: Tensor

    def __init__(self, weights: Tensor, means: Tensor, covariances: Tensor, dim_x: int) -> None:
        super().__init__()
        self.dim_x, self.dim_y = dim_x, means.shape[1] - dim_x
        precisions = torch.linalg.inv(covariances.double())
        parts = covariances[:, :dim_x, :dim_x].double(), covariances[:, dim_x:, dim_x:].double()
        buffers = {
            "log_weights": weights.double().log(),
            "means": means,
            "precisions_x": precisions[:, :dim_x, :dim_x],
            "precisions_y": precisions[:, dim_x:, dim_x:],
            "precisions_xy": precisions[:, :dim_x, dim_x:],
            "marginals_x": torch.linalg.inv(parts[0]),
            "marginals_y": torch.linalg.inv(parts[1]),
            # The powers of 2 pi cancel.
            "log_norms": -0.5 * torch.stack([torch.logdet(part) for part in (covariances.double(), *parts)]),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value.float())

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        x = x[:, None, : self.dim_x] - self.means[:, : self.dim_x]  # (n, k, d_x)
        y = y[:, None, : self.dim_y] - self.means[:, self.dim_x :]
        log_joint, log_x, log_y = self.log_weights + self.log_norms
        own = log_joint - 0.5 * _quadratic(x, self.precisions_x)
        others = -0.5 * _quadratic(y, self.precisions_y).T[:, None]
        across = torch.einsum("nkx,kxy->kny", x, self.precisions_xy)
        # Every component has a score for each pair: a few rows at a time.
        rows = rows_at_once(len(y), len(log_joint))
        joint = [
            torch.logsumexp(part.T[:, :, None] + others - left @ y.permute(1, 2, 0), 0)
            for part, left in zip(own.split(rows), across.split(rows, dim=1), strict=True)
        ]
        log_p_x = torch.logsumexp(log_x - 0.5 * _quadratic(x, self.marginals_x), 1)
        log_p_y = torch.logsumexp(log_y - 0.5 * _quadratic(y, self.marginals_y), 1)
        return torch.cat(joint) - log_p_x[:, None] - log_p_y[None]

    def joint(self, x: Tensor, y: Tensor) -> Tensor:
        """Score the joint samples, (n, d_x), (n, d_y) -> (n,)."""
        return torch.cat([self(*parts).diagonal() for parts in zip(x.split(64), y.split(64), strict=True)])


def _quadratic(x: Tensor, matrices: Tensor) -> Tensor:
    """Return x_k' M_k x_k, (n, k, d), (k, d, d) -> (n, k)."""
    return torch.einsum("nkd,kde,nke->nk", x, matrices, x)
