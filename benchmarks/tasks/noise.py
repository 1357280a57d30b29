r"""Noise that multiplies the signal, and noise around a curve: most of it leaves X and Y uncorrelated.

Mutual informations by quadrature are right to about 1e-9 nats.

References
----------
.. [1] Darbellay & Vajda, "Entropy expressions for multivariate continuous distributions", IEEE Trans. Inf. Theory 2000.
.. [2] Kraskov, Stögbauer & Grassberger, "Estimating mutual information", Phys. Rev. E 2004 (its use as a test).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import i0e, k0, psi

from skdim.synthetic import Family
from skdim.synthetic.family import Array, Pair, check_between, check_count
from tasks.quadrature import NORMAL_ENTROPY, grid_entropy, grid_information, grid_nodes


# ------------------------------------------------------------------------------------------------------------- multiplied
@dataclass(frozen=True)
class GammaExponential(Family):
    r"""X of a gamma distribution and Y exponential at the rate X: a noise whose scale is 1 / X [1]_, [2]_.

    .. math:: I(X; Y) = \psi(\theta + 1) - \log \theta

    Small shapes :math:`\theta` give long tails and more information.
    """

    shape: float

    def __post_init__(self) -> None:
        check_between(0, math.inf, shape=self.shape)

    @property
    def mutual_information(self) -> float:
        return float(psi(self.shape + 1) - math.log(self.shape))

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        x = rng.standard_gamma(self.shape, n_samples)
        return x, rng.standard_exponential(n_samples) / x


def _log_normal_size(t: Array) -> Array:
    """Return the density of log |N| of a standard normal; it falls as e^t towards minus infinity."""
    return np.asarray(math.sqrt(2 / math.pi) * np.exp(t - np.exp(2 * t) / 2))


@dataclass(frozen=True)
class NormalProduct(Family):
    r"""X and its product Y with a noise, both standard normal: Y has mean 0 at each x, and scale \|x\|.

    .. math:: I(X; Y) = H(\log|Y|) - H(\log|N|), \quad p(y) = \frac{K_0(|y|)}{\pi}

    with Bessel's function :math:`K_0`. The sign of Y is a fair coin that knows nothing of X, and \|Y\| nothing of the sign
    of X.
    """

    @cached_property
    def mutual_information(self) -> float:
        t = grid_nodes(-40, 5, 0.05)
        step = t[1] - t[0]
        product = 2 / math.pi * k0(np.exp(t)) * np.exp(t)
        return grid_entropy(product, step) - grid_entropy(_log_normal_size(t), step)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        x, noise = rng.standard_normal((2, n_samples))
        return x, x * noise


@dataclass(frozen=True)
class StochasticVolatility(Family):
    r"""A log volatility X and a return Y: the variance depends on X, the mean does not.

    .. math:: Y = e^{s X} N, \quad X, N \sim N(0, 1), \quad I(X; Y) = I(X; \log|Y|) = H(sX + \log|N|) - H(\log|N|)

    The sign of Y is a fair coin that knows nothing of X. The grid of the quadrature takes a ``scale`` s below 10.
    """

    scale: float

    def __post_init__(self) -> None:
        check_between(0, 10, scale=self.scale)

    @cached_property
    def mutual_information(self) -> float:
        scale = self.scale
        x = grid_nodes(-9, 9, min(0.1, 0.1 / scale))
        t = grid_nodes(-35 - 9 * scale, 3 + 9 * scale, 0.1)
        mixed = np.exp(-(x**2) / 2) @ _log_normal_size(t - scale * x[:, None]) * (x[1] - x[0]) / math.sqrt(2 * math.pi)
        step = t[1] - t[0]
        return grid_entropy(mixed, step) - grid_entropy(_log_normal_size(t), step)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        x, noise = rng.standard_normal((2, n_samples))
        return x, np.exp(self.scale * x) * noise


# --------------------------------------------------------------------------------------------------------- around a curve
@dataclass(frozen=True)
class _Curve(Family):
    noise: float  # standard deviation

    def __post_init__(self) -> None:
        if not 0.01 <= self.noise < math.inf:
            raise ValueError(f"noise must lie in [0.01, inf) for the grid of the quadrature, got {self.noise!r}.")


@dataclass(frozen=True)
class NoisySine(_Curve):
    r"""A phase X and a sine wave in Gaussian noise; more waves are harder to see and carry the same information.

    .. math:: Y = \sin(kX) + \sigma N, \quad X \sim U(-\pi, \pi)

    .. math:: I(X; Y) = -\int p \log p \; dy - \log(\sigma \sqrt{2 \pi e}), \quad
        p(y) = \frac{1}{2\pi} \int_{-\pi}^{\pi} N(y; \sin t, \sigma^2) \, dt
    """

    frequency: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(1, frequency=self.frequency)

    @cached_property
    def mutual_information(self) -> float:
        noise = self.noise
        n_phases = math.ceil(20 * math.pi / min(noise, 1))
        curve = np.cos((np.arange(n_phases) + 0.5) * math.pi / n_phases)  # the middles of equal parts of half a wave
        y = grid_nodes(-1 - 10 * noise, 1 + 10 * noise, noise / 5)
        density = np.exp(-(((y[:, None] - curve) / noise) ** 2) / 2).mean(1) / (noise * math.sqrt(2 * math.pi))
        return grid_entropy(density, y[1] - y[0]) - NORMAL_ENTROPY - math.log(noise)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        x = rng.uniform(-math.pi, math.pi, n_samples)
        return x, np.sin(self.frequency * x) + self.noise * rng.standard_normal(n_samples)


@dataclass(frozen=True)
class NoisyCircle(_Curve):
    r"""The coordinates of a point of the unit circle, both in Gaussian noise.

    .. math:: p(x, y) = \frac{1}{2\pi\sigma^2} e^{-(r^2 + 1) / 2\sigma^2} I_0\Bigl(\frac{r}{\sigma^2}\Bigr),
        \quad r^2 = x^2 + y^2

    with Bessel's function :math:`I_0`: the Gaussian averaged around the circle, whose mutual information is a quadrature.
    """

    @cached_property
    def mutual_information(self) -> float:
        noise = self.noise
        x = grid_nodes(-1 - 10 * noise, 1 + 10 * noise, noise / 5)
        r = np.hypot(x[:, None], x)
        density = np.exp(-(((r - 1) / noise) ** 2) / 2) * i0e(r / noise**2) / (2 * math.pi * noise**2)
        return grid_information(density, x[1] - x[0], x[1] - x[0])

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Array:
        angle = rng.uniform(-math.pi, math.pi, n_samples)
        return np.stack([np.cos(angle), np.sin(angle)]) + self.noise * rng.standard_normal((2, n_samples))
