r"""The log density ratio of a t copula in closed form, for all pairs of rows.

Under a t copula rows are far from the origin on both sides at once. A Gaussian copula misses that, and finds nothing where the
correlations are 0.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Array = npt.NDArray[np.float64]

#: Normal scores up to which the quantiles of a t distribution are tabulated: those of 10^15 rows.
LARGEST_SCORE = 8.0


class StudentReference(nn.Module):
    r"""The log ratio of a t copula with ``df`` degrees of freedom, for all pairs.

    .. math:: r(x, y) = \log \frac{t_\nu(s, t; \Sigma)}{t_\nu(s; \Sigma_x)\, t_\nu(t; \Sigma_y)}

    s and t are the t quantiles at the normal scores of x and y, and ``dispersion`` (d_x + d_y, d_x + d_y) is :math:`\Sigma`.
    ``table`` holds the inverse hyperbolic sines of the t quantiles at evenly spaced normal scores up to ``LARGEST_SCORE``. The
    matrices ``back`` (rank_x, d_x), (rank_y, d_y) and ``means`` (d_x,), (d_y,) take variates back to normal scores.
    """

    back_x: Tensor
    back_y: Tensor
    mean_x: Tensor
    mean_y: Tensor
    table: Tensor
    of_x: Tensor
    of_y: Tensor
    across: Tensor
    own_x: Tensor
    own_y: Tensor
    df: Tensor
    halves: Tensor  # (ν + d) / 2 for the dimensions of x, of y and of both
    constant: Tensor

    def __init__(
        self, dispersion: Array, df: float, table: Array, back: tuple[Array, Array], means: tuple[Array, Array]
    ) -> None:
        super().__init__()
        d_x, d_y = back[0].shape[1], back[1].shape[1]
        precision = np.linalg.inv(dispersion)
        blocks = dispersion[:d_x, :d_x], dispersion[d_x:, d_x:]
        buffers = {
            "back_x": back[0],
            "back_y": back[1],
            "mean_x": means[0],
            "mean_y": means[1],
            "table": table,
            "of_x": precision[:d_x, :d_x],
            "of_y": precision[d_x:, d_x:],
            "across": precision[:d_x, d_x:],
            "own_x": np.linalg.inv(blocks[0]),
            "own_y": np.linalg.inv(blocks[1]),
        }
        for name, value in buffers.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value)).float())
        halves = (df + d_x) / 2, (df + d_y) / 2, (df + d_x + d_y) / 2
        log_dets = [float(np.linalg.slogdet(block)[1]) / 2 for block in (*blocks, dispersion)]
        x, y, both, none = map(math.lgamma, (*halves, df / 2))
        self.register_buffer("df", torch.tensor(df))
        self.register_buffer("halves", torch.tensor(halves))
        self.register_buffer("constant", torch.tensor(both + none - x - y + log_dets[0] + log_dets[1] - log_dets[2]))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Score all pairs of variates, (n, rank_x), (m, rank_y) -> (n, m)."""
        (x, square_x, own_x), (y, square_y, own_y) = self._sides(x, y)
        squares = square_x[:, None] + square_y + 2 * (x @ self.across) @ y.T
        return self._ratio(squares) + own_x[:, None] + own_y

    def joint(self, x: Tensor, y: Tensor) -> Tensor:
        """Score the joint samples, (n, rank_x), (n, rank_y) -> (n,)."""
        (x, square_x, own_x), (y, square_y, own_y) = self._sides(x, y)
        return self._ratio(square_x + square_y + 2 * (x @ self.across * y).sum(1)) + own_x + own_y

    def _sides(self, x: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return the t quantiles of each side, their squares in the joint density, and the terms of their own density."""
        parts = []
        for side, back, mean, of, own, half in (
            (x, self.back_x, self.mean_x, self.of_x, self.own_x, self.halves[0]),
            (y, self.back_y, self.mean_y, self.of_y, self.own_y, self.halves[1]),
        ):
            scores = self._t_scores(side[:, : len(back)] @ back + mean)
            parts.append((scores, _quadratic(scores, of), half * torch.log1p(_quadratic(scores, own) / self.df)))
        return parts

    def _ratio(self, squares: Tensor) -> Tensor:
        return self.constant - self.halves[2] * torch.log1p(squares.clamp_min(0) / self.df)

    def _t_scores(self, scores: Tensor) -> Tensor:
        n = len(self.table)
        place = (scores.clamp(-LARGEST_SCORE, LARGEST_SCORE) + LARGEST_SCORE) * ((n - 1) / (2 * LARGEST_SCORE))
        below = place.floor().clamp_max(n - 2)
        left, right = self.table[below.long()], self.table[below.long() + 1]
        return torch.sinh(left + (place - below) * (right - left))


def _quadratic(rows: Tensor, matrix: Tensor) -> Tensor:
    return (rows @ matrix * rows).sum(1)
