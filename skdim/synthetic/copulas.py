r"""Archimedean copulas: uniform marginals, dependence that gathers in one tail, in both, or in none.

All three mutual informations have closed forms; ``scipy.stats`` quantile functions give any other marginals.

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

import numpy as np
from scipy.special import exp1, spence

from skdim.synthetic._sampling import Pair, RandomState, check_positive, columns, generator

__all__ = [
    "clayton",
    "clayton_mutual_information",
    "frank",
    "frank_mutual_information",
    "gumbel",
    "gumbel_mutual_information",
]


def clayton(n_samples: int, theta: float, random_state: RandomState = None) -> Pair:
    r"""Draw from Clayton's copula: small values of X and Y come together.

    .. math:: C(u, v) = (u^{-\theta} + v^{-\theta} - 1)^{-1/\theta}

    Parameters
    ----------
    n_samples : int
        Rows.
    theta : float
        Strength, positive; independence at 0.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X, Y : ndarray of shape (n_samples, 1)
        Numbers in (0, 1), each uniform.

    Raises
    ------
    ValueError
        If ``theta`` is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.synthetic import clayton
    >>> X, Y = clayton(10_000, theta=2.0, random_state=0)
    >>> round(float(np.mean((X < 0.5) & (Y < 0.5))), 1)  # C(1/2, 1/2) = 7 ** -0.5
    0.4
    """
    check_positive(theta=theta)
    rng = generator(n_samples, random_state)
    # Two exponential times at the same random rate, a gamma variable: P(T > t) = (1 + t)^(-1/θ) [2]_.
    times = rng.standard_exponential((2, n_samples)) / rng.standard_gamma(1 / theta, n_samples)
    return columns(*(1 + times) ** (-1 / theta))


def clayton_mutual_information(theta: float) -> float:
    r"""Return the mutual information of Clayton's copula.

    .. math:: I(X; Y) = \log(1 + \theta) - \frac{\theta}{1 + \theta}

    Parameters
    ----------
    theta : float
        Strength.

    Returns
    -------
    float
        The mutual information in nats: that of the Pareto distribution [3]_ of exponent 1/θ.

    Raises
    ------
    ValueError
        If ``theta`` is not positive.

    Examples
    --------
    >>> from skdim.synthetic import clayton_mutual_information
    >>> round(clayton_mutual_information(2.0), 6)
    0.431946
    """
    check_positive(theta=theta)
    return math.log1p(theta) - theta / (1 + theta)


def _check_gumbel(theta: float) -> None:
    if not 1 <= theta <= 500:
        raise ValueError(f"theta must lie in [1, 500], got {theta!r}.")


def gumbel(n_samples: int, theta: float, random_state: RandomState = None) -> Pair:
    r"""Draw from Gumbel's copula: large values of X and Y come together.

    .. math:: C(u, v) = \exp\bigl(-((-\log u)^\theta + (-\log v)^\theta)^{1/\theta}\bigr)

    Parameters
    ----------
    n_samples : int
        Rows.
    theta : float
        Strength in [1, 500]; independence at 1.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X, Y : ndarray of shape (n_samples, 1)
        Numbers in (0, 1), each uniform.

    Raises
    ------
    ValueError
        If ``theta`` is outside [1, 500].

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.synthetic import gumbel
    >>> X, Y = gumbel(10_000, theta=2.0, random_state=0)
    >>> round(float(np.mean((X < 0.5) & (Y < 0.5))), 1)  # C(1/2, 1/2) = 0.5 ** (2 ** 0.5)
    0.4
    """
    _check_gumbel(theta)
    rng = generator(n_samples, random_state)
    # -log of (u, v) is w (t^(1/θ), (1-t)^(1/θ)): t is uniform, and w, independent of it, has the density
    # (w + θ - 1) e^-w / θ, one exponential time or, with probability 1/θ, the sum of two [4]_.
    t = rng.random(n_samples)
    w = rng.standard_gamma(np.where(rng.random(n_samples) < 1 / theta, 2.0, 1.0))
    return columns(np.exp(-w * t ** (1 / theta)), np.exp(-w * (1 - t) ** (1 / theta)))


def gumbel_mutual_information(theta: float) -> float:
    r"""Return the mutual information of Gumbel's copula.

    .. math:: I(X; Y) = \gamma - 1 + \log(\theta - 1) + \frac{1 + e^{\theta - 1} E_1(\theta - 1)}{\theta}

    with Euler's constant :math:`\gamma` and the exponential integral :math:`E_1`.

    Parameters
    ----------
    theta : float
        Strength.

    Returns
    -------
    float
        The mutual information in nats.

    Raises
    ------
    ValueError
        If ``theta`` is outside [1, 500].

    Examples
    --------
    >>> from skdim.synthetic import gumbel_mutual_information
    >>> round(gumbel_mutual_information(2.0), 6)
    0.375389
    """
    _check_gumbel(theta)
    # In the coordinates of the sampler, s = -log u and t = -log v, the density of the copula is
    # e^(s+t-w) (st)^(θ-1) w^(1-2θ) (w+θ-1). The means of s, log s, w, log w are 1, -γ, 1+1/θ, 1/θ-γ, which leaves
    # γ - 1 + E log(w+θ-1); by parts, that last mean is log(θ-1) + (1 + e^(θ-1) E1(θ-1)) / θ.
    a = theta - 1
    if a == 0:
        return 0.0
    return float(np.euler_gamma) - 1 + math.log(a) + (1 + math.exp(a) * float(exp1(a))) / theta


def _check_frank(theta: float) -> None:
    if not 0 < abs(theta) <= 500:
        raise ValueError(f"theta must lie in [-500, 500] and not be 0, got {theta!r}.")


def frank(n_samples: int, theta: float, random_state: RandomState = None) -> Pair:
    r"""Draw from Frank's copula: dependence without tails, of either sign.

    .. math:: C(u, v) = -\frac1\theta \log\Bigl(1 - \frac{(1 - e^{-\theta u})(1 - e^{-\theta v})}{1 - e^{-\theta}}\Bigr)

    Parameters
    ----------
    n_samples : int
        Rows.
    theta : float
        Strength in [-500, 500], not 0; independence at 0.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X, Y : ndarray of shape (n_samples, 1)
        Numbers in [0, 1], each uniform.

    Raises
    ------
    ValueError
        If ``theta`` is 0 or outside [-500, 500].

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.synthetic import frank
    >>> X, Y = frank(10_000, theta=8.0, random_state=0)
    >>> round(float(np.mean((X < 0.5) & (Y < 0.5))), 1)  # C(1/2, 1/2) = 0.416
    0.4
    """
    _check_frank(theta)
    rng = generator(n_samples, random_state)
    u, w = rng.random((2, n_samples))
    # The conditional distribution of v given u, inverted at w [5]_.
    s = np.exp(-theta * u)
    v = -np.log(((1 - w) * s + w * math.exp(-theta)) / (w + (1 - w) * s)) / theta
    return columns(u, v)


def frank_mutual_information(theta: float) -> float:
    r"""Return the mutual information of Frank's copula.

    .. math:: I(X; Y) = \log \frac{\theta}{1 - e^{-\theta}} + 2 (D_1(\theta) - 1), \quad
        D_1(\theta) = \frac1\theta \int_0^\theta \frac{x}{e^x - 1} dx

    with Debye's function :math:`D_1`. The sign of :math:`\theta` does not matter.

    Parameters
    ----------
    theta : float
        Strength.

    Returns
    -------
    float
        The mutual information in nats.

    Raises
    ------
    ValueError
        If ``theta`` is 0 or outside [-500, 500].

    Examples
    --------
    >>> from skdim.synthetic import frank_mutual_information
    >>> round(frank_mutual_information(8.0), 6)
    0.490256
    """
    _check_frank(theta)
    # The density is θδ e^(-θ(u+v)) / D², δ = 1 - e^-θ. With w of the sampler D = δ e^(-θu) / (w + (1-w) e^(-θu)), so that
    # I = log(θ/δ) + 2 E log(w + (1-w) e^(-θu)); over w the mean is x / (e^x - 1) - 1 at x = θu, and over u it is D1 - 1.
    a = abs(theta)
    delta = -math.expm1(-a)
    debye = (math.pi**2 / 6 - float(spence(delta)) + a * math.log(delta)) / a
    return math.log(a / delta) + 2 * (debye - 1)
