r"""Uniform densities on shapes: no correlation, and mutual information from entropies of shadows.

A uniform density on a shape has the entropy log of its volume, so I(X; Y) = H(X) + H(Y) - log volume.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, psi

from skdim.synthetic import Family
from skdim.synthetic.family import Array, Pair, check_count


@dataclass(frozen=True)
class RotatedSquare(Family):
    r"""The unit square about the origin, turned by an angle in radians; independence at multiples of π/2.

    .. math:: I(X; Y) = 2 \log a + \frac ba, \quad a \ge b \text{ the sizes of } \cos\varphi, \sin\varphi
    """

    angle: float

    @property
    def mutual_information(self) -> float:
        # Each shadow is a trapezoid, the sum of uniform variables of widths a and b: its entropy is log a + b / (2a).
        b, a = sorted((abs(math.cos(self.angle)), abs(math.sin(self.angle))))
        return 2 * math.log(a) + b / a

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        a, b = rng.uniform(-0.5, 0.5, size=(2, n_samples))
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return cos * a - sin * b, sin * a + cos * b


@dataclass(frozen=True)
class UniformBall(Family):
    r"""Two groups of coordinates of the unit ball: every correlation is 0; a large x leaves little room for y.

    .. math::

        I(X; Y) = \log \frac{V_d}{V_{d_X} V_{d_Y}}
        + \frac{d_Y}{2} \Bigl(\psi\bigl(\tfrac d2 + 1\bigr) - \psi\bigl(\tfrac{d_Y}2 + 1\bigr)\Bigr)
        + \frac{d_X}{2} \Bigl(\psi\bigl(\tfrac d2 + 1\bigr) - \psi\bigl(\tfrac{d_X}2 + 1\bigr)\Bigr),
        \quad V_d = \frac{\pi^{d/2}}{\Gamma(\frac d2 + 1)}

    with :math:`d = d_X + d_Y`; in the plane it is log π - 1.
    """

    dim_x: int
    dim_y: int

    def __post_init__(self) -> None:
        check_count(1, dim_x=self.dim_x, dim_y=self.dim_y)

    @property
    def mutual_information(self) -> float:
        # The density of x is (1 - |x|²)^(d_Y/2) V_dY / V_d, and |x|² has the law Beta(d_X/2, d_Y/2 + 1), so that
        # E log(1 - |x|²) = ψ(d_Y/2 + 1) - ψ(d/2 + 1): this is H(X), and H(Y) likewise.
        halves = np.array([self.dim_x, self.dim_y]) / 2
        log_volumes = gammaln(halves + 1).sum() - gammaln(halves.sum() + 1)  # π cancels
        return float(log_volumes + (halves * (psi(halves.sum() + 1) - psi(halves + 1))).sum())

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        dim = self.dim_x + self.dim_y
        Z = rng.standard_normal((n_samples, dim))
        Z *= rng.random((n_samples, 1)) ** (1 / dim) / np.linalg.norm(Z, axis=1, keepdims=True)
        return Z[:, : self.dim_x], Z[:, self.dim_x :]


@dataclass(frozen=True)
class Checkerboard(Family):
    r"""The dark squares of a checkerboard with an even number of squares along an edge: I(X; Y) = log 2 whatever it is.

    The density is 2 on half of the unit square, and both marginals are uniform. More squares are harder to see.
    """

    n_squares: int

    def __post_init__(self) -> None:
        check_count(2, n_squares=self.n_squares)
        if self.n_squares % 2:
            raise ValueError(f"n_squares must be even, got {self.n_squares!r}.")

    @property
    def mutual_information(self) -> float:
        return math.log(2)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Array:
        column = rng.integers(self.n_squares, size=n_samples)
        row = 2 * rng.integers(self.n_squares // 2, size=n_samples) + column % 2
        return (np.stack([column, row]) + rng.random((2, n_samples))) / self.n_squares
