r"""A signal in additive noise: Y = X + N, whose mutual information is H(Y) - H(N).

References
----------
.. [1] Darbellay & Vajda, "Entropy expressions for multivariate continuous distributions", IEEE Trans. Inf. Theory 2000
   (the ordered Weinman exponential and McKay's gamma distribution).
.. [2] Kraskov, Stögbauer & Grassberger, "Estimating mutual information", Phys. Rev. E 2004 (the former as a test).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import gammaln, psi

from skdim.synthetic import Family
from skdim.synthetic.family import Array, Pair, check_between


@dataclass(frozen=True)
class _Additive(Family):
    """A signal of scale 1 in noise of the same distribution and another scale."""

    scale: float
    standard: ClassVar[Callable[..., Array]]  # draws of scale 1

    def __post_init__(self) -> None:
        check_between(0, math.inf, scale=self.scale)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        x, noise = type(self).standard(rng, (2, n_samples))
        return x, x + self.scale * noise


@dataclass(frozen=True)
class AdditiveCauchy(_Additive):
    r"""A Cauchy signal in Cauchy noise of scale s: no moments, so only ranks or robust scales help.

    .. math:: I(X; Y) = \log(1 + 1/s)

    Scales of Cauchy variables add, and their entropy is log 4πs.
    """

    standard = np.random.Generator.standard_cauchy

    @property
    def mutual_information(self) -> float:
        return math.log1p(1 / self.scale)


@dataclass(frozen=True)
class AdditiveExponential(_Additive):
    r"""An exponential signal of mean 1 in exponential noise of mean s: the ordered Weinman exponential, with Y > X.

    .. math:: I(X; Y) = \gamma + \log \frac{1 - s}{s} + \psi\Bigl(\frac{1}{1 - s}\Bigr) \;\text{ for } s < 1, \quad
        \gamma + \log \frac{s - 1}{s} + \psi\Bigl(\frac{s}{s - 1}\Bigr) \;\text{ for } s > 1

    and Euler's constant :math:`\gamma` at s = 1; with s = 2θ it is the form in [1]_ and [2]_.
    """

    standard = np.random.Generator.standard_exponential

    @property
    def mutual_information(self) -> float:
        if self.scale == 1:
            return float(np.euler_gamma)
        long, short = max(self.scale, 1), min(self.scale, 1)
        return float(np.euler_gamma + math.log((long - short) / self.scale) + psi(long / (long - short)))


@dataclass(frozen=True)
class AdditiveGamma(Family):
    r"""A gamma signal of shape a in gamma noise of shape b and the same scale: McKay's bivariate gamma [1]_.

    .. math:: I(X; Y) = h(a + b) - h(b), \quad h(a) = a + \log \Gamma(a) + (1 - a) \psi(a)

    The shapes add, and h is the entropy of a gamma variable.
    """

    shape: float
    noise_shape: float

    def __post_init__(self) -> None:
        check_between(0, math.inf, shape=self.shape, noise_shape=self.noise_shape)

    @property
    def mutual_information(self) -> float:
        a = np.array([self.shape + self.noise_shape, self.noise_shape])
        entropy_y, entropy_noise = a + gammaln(a) + (1 - a) * psi(a)
        return float(entropy_y - entropy_noise)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        x = rng.standard_gamma(self.shape, n_samples)
        return x, x + rng.standard_gamma(self.noise_shape, n_samples)
