r"""The linear code of a layer that says most about a sample in spite of what its views change.

Let h be the layer for a sample as it is, with covariance S over samples, and let views move it by normal noise of covariance N.
Of all codes of k numbers, that with the most mutual information

.. math:: \max_W I(h;\, W (h + e)) = \max_W \tfrac{1}{2} \log\det(I + (W N W^\top)^{-1} W S W^\top)

has the rows of W from the generalised eigenvectors of (S, N) with the largest eigenvalues (Fisher, Annals of Eugenics 1936, for
classes; Chechik et al., "Information bottleneck for Gaussian variables", JMLR 2005). Each sample is a class, and its views are
the members.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import scipy.linalg
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skdim.exceptions import DivergenceError

#: Hidden layer of some samples, (n, n_hidden), its difference between two views of each, and their codes, (n, n_components).
Part: TypeAlias = tuple[Tensor, Tensor, Tensor]
#: Most rows to find the code from: sixteen to a column of the hidden layer of square images. After long training a code from a
#: quarter of them is no better than the trained code. A layer of more than ``WIDEST`` columns has fewer, because its
#: covariances would take gigabytes and minutes, and the span of the rows takes seconds.
MOST_ROWS, WIDEST, MOST_ROWS_IF_WIDER = 32768, 4096, 1024
ROWS_AT_ONCE = 1024
#: Least noise in every direction, in mean variances of the layer.
LEAST_NOISE = 0.25


class Discriminant(nn.Module):
    """A linear code (n, n_hidden) -> (n, n_components), zero until :meth:`find`."""

    weight: Tensor
    mean: Tensor

    def __init__(self, n_hidden: int, n_components: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(n_components, n_hidden))
        self.register_buffer("mean", torch.zeros(n_hidden))

    @property
    def is_found(self) -> bool:
        return bool(self.weight.any())

    @property
    def most_rows(self) -> int:
        return MOST_ROWS if self.weight.shape[1] <= WIDEST else MOST_ROWS_IF_WIDER

    def forward(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden - self.mean, self.weight)

    @torch.no_grad()
    def find(self, parts: Iterable[Part], n: int) -> None:
        """Set the weights from ``n`` samples, which come in parts.

        Noise in every direction, of ``LEAST_NOISE`` or (n_hidden / n)^2 mean variances, stands for what n samples do not tell:
        with few of them the directions are near to principal components. Information says what a code spans and not its axes:
        they are turned towards those of the trained code, whose columns have about equal variance, so that a scaler that
        follows does not magnify directions of little variance.
        """
        k, n_hidden = self.weight.shape
        span = None
        if 2 * n + k < n_hidden:  # both covariances live in the span of the rows
            hidden, difference, code = map(torch.cat, zip(*parts, strict=True))
            rows = torch.cat([hidden, difference, torch.eye(k, n_hidden, device=hidden.device)])
            span = torch.linalg.qr(rows.T.cpu().double()).Q.float().to(hidden.device)
            parts = [(hidden @ span, difference @ span, code)]
        moments, origin, scale = [torch.zeros((), dtype=torch.float64)] * 5, torch.zeros(()), 0.0
        for hidden, difference, code in _gathered(parts):
            if scale == 0:  # products stay within the range of float32, and near the variance
                origin = hidden.mean(0)
                scale = float((hidden - origin).abs().max()) or 1.0
            own, moved = (hidden - origin) / scale, difference / scale
            products = own.T @ own, moved.T @ moved, own.T @ code, own.sum(0), code.sum(0)
            moments = [total + product.cpu().double() for total, product in zip(moments, products, strict=True)]
        if not all(total.isfinite().all() for total in moments):
            raise DivergenceError(
                "Views of the samples have hidden layers that are not finite. Mend augment, or set features='global'."
            )
        signal, noise, crossed, mean, code_mean = (total / n for total in moments)
        signal, noise, crossed = signal - mean.outer(mean), noise / 2, crossed - mean.outer(code_mean)
        floor = float(signal.trace()) / n_hidden * max(LEAST_NOISE, (n_hidden / n) ** 2)
        noise.diagonal().add_(floor or 1.0)
        last = len(signal) - 1
        values, vectors = scipy.linalg.eigh(signal.numpy(), noise.numpy(), subset_by_index=[last - k + 1, last])
        directions = torch.from_numpy(vectors)
        left, _, right = torch.linalg.svd(directions.T @ crossed)
        unit = (k / values.sum()) ** 0.5 if values.sum() > 0 else 1.0  # a mean variance of 1
        weight = unit * directions @ left @ right / scale
        mean = origin.cpu().double() + scale * mean
        if span is not None:
            mean, weight = (span.cpu().double() @ part for part in (mean, weight))
        self.mean.copy_(mean)
        self.weight.copy_(weight.T)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Load; a model that was saved before there was such a code has none."""
        for name, buffer in self.named_buffers():
            state_dict.setdefault(prefix + name, buffer)
        super()._load_from_state_dict(state_dict, prefix, *others)


def _gathered(parts: Iterable[Part]) -> Iterator[Part]:
    """Join parts until they have ``ROWS_AT_ONCE`` rows: a product of few rows takes as long as one of many."""
    held: list[Part] = []
    for part in parts:
        held.append(part)
        if sum(len(code) for *_, code in held) >= ROWS_AT_ONCE:
            yield tuple(map(torch.cat, zip(*held, strict=True)))  # type: ignore[misc]
            held = []
    if held:
        yield tuple(map(torch.cat, zip(*held, strict=True)))  # type: ignore[misc]
