r"""A signal in additive noise: Y = X + N, whose mutual information is H(Y) - H(N).

References
----------
.. [1] Czyż, Grabowski, Vogt, Beerenwinkel & Marx, "Beyond normal: on the evaluation of mutual information estimators",
   NeurIPS 2023 (uniform noise).
.. [2] Darbellay & Vajda, "Entropy expressions for multivariate continuous distributions", IEEE Trans. Inf. Theory 2000
   (the ordered Weinman exponential and McKay's gamma distribution).
.. [3] Kraskov, Stögbauer & Grassberger, "Estimating mutual information", Phys. Rev. E 2004 (the former as a test).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammaln, psi

from skdim.synthetic._sampling import Pair, RandomState, check_positive, columns, generator

__all__ = [
    "additive_cauchy",
    "additive_cauchy_mutual_information",
    "additive_exponential",
    "additive_exponential_mutual_information",
    "additive_gamma",
    "additive_gamma_mutual_information",
    "additive_uniform",
    "additive_uniform_mutual_information",
]


def additive_uniform(n_samples: int, epsilon: float, random_state: RandomState = None) -> Pair:
    """Draw X uniform on [0, 1] and add noise uniform on [-epsilon, epsilon] [1]_.

    Parameters
    ----------
    n_samples : int
        Rows.
    epsilon : float
        Half the width of the noise, positive.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X, Y : ndarray of shape (n_samples, 1)
        Signal and observation.

    Raises
    ------
    ValueError
        If ``epsilon`` is not positive.

    Examples
    --------
    >>> from skdim.synthetic import additive_uniform
    >>> X, Y = additive_uniform(10_000, epsilon=0.1, random_state=0)
    >>> round(float(abs(Y - X).max()), 2)
    0.1
    """
    check_positive(epsilon=epsilon)
    rng = generator(n_samples, random_state)
    x = rng.random(n_samples)
    return columns(x, x + rng.uniform(-epsilon, epsilon, n_samples))


def additive_uniform_mutual_information(epsilon: float) -> float:
    r"""Return the mutual information of a uniform signal in uniform noise.

    .. math:: I(X; Y) = \epsilon - \log 2\epsilon \;\text{ up to } \epsilon = \tfrac12, \quad
        \frac{1}{4\epsilon} \;\text{ above}

    Parameters
    ----------
    epsilon : float
        Half the width of the noise.

    Returns
    -------
    float
        The mutual information in nats.

    Raises
    ------
    ValueError
        If ``epsilon`` is not positive.

    Examples
    --------
    >>> from skdim.synthetic import additive_uniform_mutual_information
    >>> round(additive_uniform_mutual_information(0.1), 6), round(additive_uniform_mutual_information(0.75), 6)
    (1.709438, 0.333333)
    """
    check_positive(epsilon=epsilon)
    # The sum of uniform variables of widths a >= b has the entropy log a + b / (2a).
    return epsilon - math.log(2 * epsilon) if epsilon <= 0.5 else 1 / (4 * epsilon)


def additive_cauchy(n_samples: int, scale: float, random_state: RandomState = None) -> Pair:
    """Draw X from Cauchy's distribution and add Cauchy noise: no moments, so only ranks or robust scales help.

    Parameters
    ----------
    n_samples : int
        Rows.
    scale : float
        Scale of the noise, positive; that of the signal is 1.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X, Y : ndarray of shape (n_samples, 1)
        Signal and observation.

    Raises
    ------
    ValueError
        If ``scale`` is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.synthetic import additive_cauchy
    >>> X, Y = additive_cauchy(10_000, scale=1.0, random_state=0)
    >>> round(float(np.quantile(Y, 0.75)))  # the sum has scale 2
    2
    """
    check_positive(scale=scale)
    x, noise = generator(n_samples, random_state).standard_cauchy((2, n_samples))
    return columns(x, x + scale * noise)


def additive_cauchy_mutual_information(scale: float) -> float:
    r"""Return the mutual information of a Cauchy signal in Cauchy noise.

    .. math:: I(X; Y) = \log(1 + 1/s)

    Parameters
    ----------
    scale : float
        s, the scale of the noise.

    Returns
    -------
    float
        The mutual information in nats: scales of Cauchy variables add, and their entropy is log 4πs.

    Raises
    ------
    ValueError
        If ``scale`` is not positive.

    Examples
    --------
    >>> from skdim.synthetic import additive_cauchy_mutual_information
    >>> round(additive_cauchy_mutual_information(1.0), 6)
    0.693147
    """
    check_positive(scale=scale)
    return math.log1p(1 / scale)


def additive_exponential(n_samples: int, scale: float, random_state: RandomState = None) -> Pair:
    """Draw X exponential of mean 1 and add exponential noise: the ordered Weinman exponential, with Y > X [2]_.

    Parameters
    ----------
    n_samples : int
        Rows.
    scale : float
        Mean of the noise, positive.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X, Y : ndarray of shape (n_samples, 1)
        Signal and observation.

    Raises
    ------
    ValueError
        If ``scale`` is not positive.

    Examples
    --------
    >>> from skdim.synthetic import additive_exponential
    >>> X, Y = additive_exponential(10_000, scale=0.5, random_state=0)
    >>> round(float((Y - X).mean()), 1)
    0.5
    """
    check_positive(scale=scale)
    x, noise = generator(n_samples, random_state).standard_exponential((2, n_samples))
    return columns(x, x + scale * noise)


def additive_exponential_mutual_information(scale: float) -> float:
    r"""Return the mutual information of an exponential signal in exponential noise.

    .. math:: I(X; Y) = \gamma + \log \frac{1 - s}{s} + \psi\Bigl(\frac{1}{1 - s}\Bigr) \;\text{ for } s < 1, \quad
        \gamma + \log \frac{s - 1}{s} + \psi\Bigl(\frac{s}{s - 1}\Bigr) \;\text{ for } s > 1

    and Euler's constant :math:`\gamma` at s = 1.

    Parameters
    ----------
    scale : float
        s, the mean of the noise.

    Returns
    -------
    float
        The mutual information in nats; with s = 2θ the form in [2]_ and [3]_.

    Raises
    ------
    ValueError
        If ``scale`` is not positive.

    Examples
    --------
    >>> from skdim.synthetic import additive_exponential_mutual_information
    >>> [round(additive_exponential_mutual_information(scale), 4) for scale in (0.5, 1, 2)]
    [1.0, 0.5772, 0.3069]
    """
    check_positive(scale=scale)
    if scale == 1:
        return float(np.euler_gamma)
    long, short = max(scale, 1), min(scale, 1)
    return float(np.euler_gamma + math.log((long - short) / scale) + psi(long / (long - short)))


def additive_gamma(n_samples: int, shape: float, noise_shape: float, random_state: RandomState = None) -> Pair:
    """Draw X from a gamma distribution and add gamma noise of the same scale: McKay's bivariate gamma [2]_.

    Parameters
    ----------
    n_samples : int
        Rows.
    shape : float
        Shape of the signal, positive.
    noise_shape : float
        Shape of the noise, positive.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X, Y : ndarray of shape (n_samples, 1)
        Signal and observation.

    Raises
    ------
    ValueError
        If a shape is not positive.

    Examples
    --------
    >>> from skdim.synthetic import additive_gamma
    >>> X, Y = additive_gamma(10_000, shape=2.0, noise_shape=1.0, random_state=0)
    >>> round(float(X.mean())), round(float(Y.mean()))
    (2, 3)
    """
    check_positive(shape=shape, noise_shape=noise_shape)
    rng = generator(n_samples, random_state)
    x = rng.standard_gamma(shape, n_samples)
    return columns(x, x + rng.standard_gamma(noise_shape, n_samples))


def additive_gamma_mutual_information(shape: float, noise_shape: float) -> float:
    r"""Return the mutual information of a gamma signal in gamma noise.

    .. math:: I(X; Y) = h(a + b) - h(b), \quad h(a) = a + \log \Gamma(a) + (1 - a) \psi(a)

    Parameters
    ----------
    shape : float
        a, the shape of the signal.
    noise_shape : float
        b, the shape of the noise.

    Returns
    -------
    float
        The mutual information in nats: the shapes add, and h is the entropy of a gamma variable.

    Raises
    ------
    ValueError
        If a shape is not positive.

    Examples
    --------
    >>> from skdim.synthetic import additive_gamma_mutual_information
    >>> round(additive_gamma_mutual_information(1.0, 1.0), 6)  # Euler's constant
    0.577216
    """
    check_positive(shape=shape, noise_shape=noise_shape)

    def entropy(a: float) -> float:
        return float(a + gammaln(a) + (1 - a) * psi(a))

    return entropy(shape + noise_shape) - entropy(noise_shape)
