r"""The linear code of a layer that says most about a sample in spite of what its views change.

Let h be the layer for a sample as it is, with covariance S over samples, and let views move it by normal noise of covariance N.
Of all codes of k numbers, that with the most mutual information

.. math:: \max_W I(h;\, W (h + e)) = \max_W \tfrac{1}{2} \log\det(I + (W N W^\top)^{-1} W S W^\top)

has the rows of W from the generalised eigenvectors of (S, N) with the largest eigenvalues (Fisher, Annals of Eugenics 1936, for
classes; Chechik et al., "Information bottleneck for Gaussian variables", JMLR 2005). Each sample is a class, and its views are
the members.
"""

from __future__ import annotations

import scipy.linalg
import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Noise of the layer itself in every direction, in mean variances of its columns: few rows know the noise of few directions.
FLOOR = 1.0


class Discriminant(nn.Module):
    """A linear code (n, n_hidden) -> (n, n_components), zero until :meth:`find`."""

    weight: Tensor
    bias: Tensor

    def __init__(self, n_hidden: int, n_components: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(n_components, n_hidden))
        self.register_buffer("bias", torch.zeros(n_components))

    @property
    def is_found(self) -> bool:
        return bool(self.weight.any())

    def forward(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.weight, self.bias)

    @torch.no_grad()
    def find(self, hidden: Tensor, difference: Tensor, code: Tensor) -> None:
        """Set the weights from the layer of n samples, its differences between two views of each, and their trained codes.

        Information says what a code spans and not its axes: they are turned towards those of the trained code, whose columns
        have about equal variance, so that a scaler that follows does not magnify directions of little variance.
        """
        hidden, difference, code = (part.double().cpu() for part in (hidden, difference, code))
        (n, n_hidden), k = hidden.shape, code.shape[1]
        mean = hidden.mean(0)
        hidden, code = hidden - mean, code - code.mean(0)
        span = torch.eye(n_hidden, dtype=torch.float64)
        if 2 * n + k < n_hidden:  # both covariances live in the span of the rows
            span = torch.linalg.qr(torch.cat([hidden.T, difference.T, span[:, :k]], dim=1)).Q
            hidden, difference = hidden @ span, difference @ span
        signal, noise = hidden.T @ hidden / n, difference.T @ difference / (2 * n)
        noise.diagonal().add_(FLOOR * float(signal.trace()) / n_hidden or 1.0)
        last = len(signal) - 1
        values, vectors = scipy.linalg.eigh(signal.numpy(), noise.numpy(), subset_by_index=[last - k + 1, last])
        directions = torch.from_numpy(vectors)
        left, _, right = torch.linalg.svd(directions.T @ (hidden.T @ code))
        unit = (k / values.sum()) ** 0.5 if values.sum() > 0 else 1.0  # a mean variance of 1
        weight = unit * (span @ directions @ left @ right)
        self.weight.copy_(weight.T)
        self.bias.copy_(-mean @ weight)
