r"""Archimedean copulas: uniform marginals, dependence that gathers in one tail, in both, or in none.

References
----------
.. [1] Nelsen, "An introduction to copulas", 2nd edition 2006, Table 4.1 (the families).
.. [2] Marshall & Olkin, "Families of multivariate distributions", J. Am. Stat. Assoc. 1988 (Clayton's frailty).
.. [3] Darbellay & Vajda, "Entropy expressions for multivariate continuous distributions", IEEE Trans. Inf. Theory 2000
   (the Pareto distribution, whose copula is Clayton's).
.. [4] Ghoudi, Khoudraji & Rivest, "Propriétés statistiques des copules de valeurs extrêmes bidimensionnelles", Can. J. Stat.
   1998 (Gumbel's copula in polar coordinates).
.. [5] Genest, "Frank's family of bivariate distributions", Biometrika 1987.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import exp1, spence

from skdim.synthetic import Family
from skdim.synthetic.family import Array, Pair, check_between


@dataclass(frozen=True)
class Clayton(Family):
    r"""Clayton's copula of positive strength: small values of X and Y come together; independence at 0.

    .. math:: C(u, v) = (u^{-\theta} + v^{-\theta} - 1)^{-1/\theta}, \quad
        I(X; Y) = \log(1 + \theta) - \frac{\theta}{1 + \theta}

    The mutual information is that of the Pareto distribution [3]_ of exponent 1/θ.
    """

    theta: float

    def __post_init__(self) -> None:
        check_between(0, math.inf, theta=self.theta)

    @property
    def mutual_information(self) -> float:
        return math.log1p(self.theta) - self.theta / (1 + self.theta)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Array:
        # Two exponential times at the same random rate, a gamma variable: P(T > t) = (1 + t)^(-1/θ) [2]_.
        times = rng.standard_exponential((2, n_samples)) / rng.standard_gamma(1 / self.theta, n_samples)
        return (1 + times) ** (-1 / self.theta)


@dataclass(frozen=True)
class Gumbel(Family):
    r"""Gumbel's copula of a strength in [1, 500]: large values of X and Y come together; independence at 1.

    .. math:: C(u, v) = \exp \bigl( -((-\log u)^\theta + (-\log v)^\theta)^{1/\theta} \bigr), \quad
        I(X; Y) = \gamma - 1 + \log(\theta - 1) + \frac{1 + e^{\theta - 1} E_1(\theta - 1)}{\theta}

    with Euler's constant :math:`\gamma` and the exponential integral :math:`E_1`.
    """

    theta: float

    def __post_init__(self) -> None:
        if not 1 <= self.theta <= 500:
            raise ValueError(f"theta must lie in [1, 500], got {self.theta!r}.")

    @property
    def mutual_information(self) -> float:
        # In the coordinates of the sampler, s = -log u and t = -log v, the density of the copula is
        # e^(s+t-w) (st)^(θ-1) w^(1-2θ) (w+θ-1). The means of s, log s, w, log w are 1, -γ, 1+1/θ, 1/θ-γ, which leaves
        # γ - 1 + E log(w+θ-1); by parts, that last mean is log(θ-1) + (1 + e^(θ-1) E1(θ-1)) / θ.
        a = self.theta - 1
        if a == 0:
            return 0.0
        return float(np.euler_gamma) - 1 + math.log(a) + (1 + math.exp(a) * float(exp1(a))) / self.theta

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        # -log of (u, v) is w (t^(1/θ), (1-t)^(1/θ)): t is uniform, and w, independent of it, has the density
        # (w + θ - 1) e^-w / θ, one exponential time or, with probability 1/θ, the sum of two [4]_.
        t = rng.random(n_samples)
        w = rng.standard_gamma(np.where(rng.random(n_samples) < 1 / self.theta, 2.0, 1.0))
        return np.exp(-w * t ** (1 / self.theta)), np.exp(-w * (1 - t) ** (1 / self.theta))


@dataclass(frozen=True)
class Frank(Family):
    r"""Frank's copula of a strength in [-500, 500], not 0: dependence without tails, of either sign.

    .. math:: C(u, v) = -\frac1\theta \log\Bigl(1 - \frac{(1 - e^{-\theta u})(1 - e^{-\theta v})}{1 - e^{-\theta}}\Bigr)

    .. math:: I(X; Y) = \log \frac{\theta}{1 - e^{-\theta}} + 2 (D_1(\theta) - 1), \quad
        D_1(\theta) = \frac1\theta \int_0^\theta \frac{x}{e^x - 1} dx

    with Debye's function :math:`D_1`. The mutual information does not depend on the sign.
    """

    theta: float

    def __post_init__(self) -> None:
        if not 0 < abs(self.theta) <= 500:
            raise ValueError(f"theta must lie in [-500, 500] and not be 0, got {self.theta!r}.")

    @property
    def mutual_information(self) -> float:
        # The density is θδ e^(-θ(u+v)) / D², δ = 1 - e^-θ. With w of the sampler D = δ e^(-θu) / (w + (1-w) e^(-θu)), so
        # I = log(θ/δ) + 2 E log(w + (1-w) e^(-θu)); over w the mean is x / (e^x - 1) - 1 at x = θu, over u it is D1 - 1.
        a = abs(self.theta)
        delta = -math.expm1(-a)
        debye = (math.pi**2 / 6 - float(spence(delta)) + a * math.log(delta)) / a
        return math.log(a / delta) + 2 * (debye - 1)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        u, w = rng.random((2, n_samples))
        # The conditional distribution of v given u, inverted at w [5]_.
        s = np.exp(-self.theta * u)
        v = -np.log(((1 - w) * s + w * math.exp(-self.theta)) / (w + (1 - w) * s)) / self.theta
        return u, v
