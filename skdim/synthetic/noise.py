r"""Noise that multiplies the signal, and noise around a curve: most of it leaves X and Y uncorrelated.

References
----------
.. [1] Darbellay & Vajda, "Entropy expressions for multivariate continuous distributions", IEEE Trans. Inf. Theory 2000
   (gamma-exponential).
.. [2] Kraskov, Stögbauer & Grassberger, "Estimating mutual information", Phys. Rev. E 2004 (its use as a test).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import i0e, k0, psi

from skdim.synthetic._quadrature import grid_entropy, grid_information, grid_nodes
from skdim.synthetic._sampling import (
    Array,
    Pair,
    RandomState,
    check_between,
    check_count,
    check_positive,
    columns,
    generator,
)

__all__ = [
    "gamma_exponential",
    "gamma_exponential_mutual_information",
    "noisy_circle",
    "noisy_circle_mutual_information",
    "noisy_sine",
    "noisy_sine_mutual_information",
    "normal_product",
    "normal_product_mutual_information",
    "stochastic_volatility",
    "stochastic_volatility_mutual_information",
]

#: Entropy of a standard normal in nats.
NORMAL_ENTROPY = math.log(2 * math.pi * math.e) / 2


# ------------------------------------------------------------------------------------------------------------- multiplied
def gamma_exponential(n_samples: int, shape: float, random_state: RandomState = None) -> Pair:
    """Draw X from a gamma distribution and Y exponential at the rate X: a noise whose scale is 1 / X [1]_.

    Parameters
    ----------
    n_samples : int
        Rows.
    shape : float
        Shape of X, positive. Small shapes give long tails and more information.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X, Y : ndarray of shape (n_samples, 1)
        Rate and time.

    Raises
    ------
    ValueError
        If ``shape`` is not positive.

    Examples
    --------
    >>> from skdim.synthetic import gamma_exponential
    >>> X, Y = gamma_exponential(10_000, shape=2.0, random_state=0)
    >>> round(float((X * Y).mean()))
    1
    """
    check_positive(shape=shape)
    rng = generator(n_samples, random_state)
    x = rng.standard_gamma(shape, n_samples)
    return columns(x, rng.standard_exponential(n_samples) / x)


def gamma_exponential_mutual_information(shape: float) -> float:
    r"""Return the mutual information of the gamma-exponential distribution.

    .. math:: I(X; Y) = \psi(\theta + 1) - \log \theta

    Parameters
    ----------
    shape : float
        :math:`\theta`, the shape of X.

    Returns
    -------
    float
        The mutual information in nats [1]_, [2]_.

    Raises
    ------
    ValueError
        If ``shape`` is not positive.

    Examples
    --------
    >>> from skdim.synthetic import gamma_exponential_mutual_information
    >>> round(gamma_exponential_mutual_information(1.0), 6)
    0.422784
    """
    check_positive(shape=shape)
    return float(psi(shape + 1) - math.log(shape))


def _log_normal_size(t: Array) -> Array:
    """Return the density of log |N| of a standard normal; it falls as e^t towards minus infinity."""
    return np.asarray(math.sqrt(2 / math.pi) * np.exp(t - np.exp(2 * t) / 2))


def normal_product(n_samples: int, random_state: RandomState = None) -> Pair:
    """Draw X and a noise from a standard normal and multiply them: Y has mean 0 at each x, and scale abs(x).

    Parameters
    ----------
    n_samples : int
        Rows.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X, Y : ndarray of shape (n_samples, 1)
        Signal and product, uncorrelated.

    Raises
    ------
    ValueError
        If ``n_samples`` is less than 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.synthetic import normal_product
    >>> X, Y = normal_product(100_000, random_state=0)
    >>> round(float((X**2 * Y**2).mean()), 0)  # 3 where Y depends on the scale of X, 1 where it does not
    3.0
    """
    x, noise = generator(n_samples, random_state).standard_normal((2, n_samples))
    return columns(x, x * noise)


def normal_product_mutual_information() -> float:
    r"""Return the mutual information of a standard normal and its product with another, by quadrature.

    .. math:: I(X; Y) = H(\log|Y|) - H(\log|N|), \quad p(y) = \frac{K_0(|y|)}{\pi}

    with Bessel's function :math:`K_0`. The sign of Y is a fair coin that knows nothing of X, and \|Y\| nothing of the sign
    of X.

    Returns
    -------
    float
        The mutual information in nats, to about 1e-9.

    Examples
    --------
    >>> from skdim.synthetic import normal_product_mutual_information
    >>> round(normal_product_mutual_information(), 6)
    0.420341
    """
    t = grid_nodes(-40, 5, 0.05)
    step = t[1] - t[0]
    product = 2 / math.pi * k0(np.exp(t)) * np.exp(t)
    return grid_entropy(product, step) - grid_entropy(_log_normal_size(t), step)


def stochastic_volatility(n_samples: int, scale: float, random_state: RandomState = None) -> Pair:
    r"""Draw a log volatility X and a return Y: the variance depends on X, the mean does not.

    .. math:: Y = e^{s X} N, \quad X, N \sim N(0, 1)

    Parameters
    ----------
    n_samples : int
        Rows.
    scale : float
        s, positive.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X, Y : ndarray of shape (n_samples, 1)
        Log volatility and return, uncorrelated.

    Raises
    ------
    ValueError
        If ``scale`` is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.synthetic import stochastic_volatility
    >>> X, Y = stochastic_volatility(10_000, scale=1.0, random_state=0)
    >>> round(float((Y * np.exp(-X)).std()), 1)
    1.0
    """
    check_positive(scale=scale)
    x, noise = generator(n_samples, random_state).standard_normal((2, n_samples))
    return columns(x, np.exp(scale * x) * noise)


def stochastic_volatility_mutual_information(scale: float) -> float:
    r"""Return the mutual information of a log volatility and a return, by quadrature.

    .. math:: I(X; Y) = I(X; \log|Y|) = H(sX + \log|N|) - H(\log|N|)

    The sign of Y is a fair coin that knows nothing of X.

    Parameters
    ----------
    scale : float
        s in (0, 10).

    Returns
    -------
    float
        The mutual information in nats, to about 1e-9.

    Raises
    ------
    ValueError
        If ``scale`` is not positive or the grid would be too large.

    Examples
    --------
    >>> from skdim.synthetic import stochastic_volatility_mutual_information
    >>> round(stochastic_volatility_mutual_information(1.0), 6)
    0.432137
    """
    check_between(0, 10, scale=scale)

    x = grid_nodes(-9, 9, min(0.1, 0.1 / scale))
    t = grid_nodes(-35 - 9 * scale, 3 + 9 * scale, 0.1)
    mixed = np.exp(-(x**2) / 2) @ _log_normal_size(t - scale * x[:, None]) * (x[1] - x[0]) / math.sqrt(2 * math.pi)
    step = t[1] - t[0]
    return grid_entropy(mixed, step) - grid_entropy(_log_normal_size(t), step)


# --------------------------------------------------------------------------------------------------------- around a curve
def noisy_sine(n_samples: int, frequency: int, noise: float, random_state: RandomState = None) -> Pair:
    r"""Draw a phase X and a sine wave in Gaussian noise; more waves are harder to see and carry the same information.

    .. math:: Y = \sin(kX) + \sigma N, \quad X \sim U(-\pi, \pi)

    Parameters
    ----------
    n_samples : int
        Rows.
    frequency : int
        k, the number of waves.
    noise : float
        :math:`\sigma`, positive.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X, Y : ndarray of shape (n_samples, 1)
        Phase and observation.

    Raises
    ------
    ValueError
        If ``frequency`` is not a positive integer or ``noise`` is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.synthetic import noisy_sine
    >>> X, Y = noisy_sine(10_000, frequency=4, noise=0.2, random_state=0)
    >>> round(float((Y - np.sin(4 * X)).std()), 1)
    0.2
    """
    check_positive(noise=noise)
    check_count(1, frequency=frequency)
    rng = generator(n_samples, random_state)
    x = rng.uniform(-math.pi, math.pi, n_samples)
    return columns(x, np.sin(frequency * x) + noise * rng.standard_normal(n_samples))


def _check_grid(noise: float) -> None:
    if not 0.01 <= noise < math.inf:
        raise ValueError(f"noise must lie in [0.01, inf) for the grid of the quadrature, got {noise!r}.")


def noisy_sine_mutual_information(noise: float) -> float:
    r"""Return the mutual information of a phase and a sine wave in Gaussian noise, by quadrature.

    .. math:: I(X; Y) = -\int p \log p \; dy - \log(\sigma \sqrt{2 \pi e}), \quad
        p(y) = \frac{1}{2\pi} \int_{-\pi}^{\pi} N(y; \sin t, \sigma^2) \, dt

    The number of waves does not matter: the sine of a uniform phase is the same.

    Parameters
    ----------
    noise : float
        :math:`\sigma`, at least 0.01.

    Returns
    -------
    float
        The mutual information in nats, to about 1e-9.

    Raises
    ------
    ValueError
        If ``noise`` is less than 0.01, where the grid would be too large.

    Examples
    --------
    >>> from skdim.synthetic import noisy_sine_mutual_information
    >>> round(noisy_sine_mutual_information(0.2), 6)
    1.154236
    """
    _check_grid(noise)
    n_phases = math.ceil(20 * math.pi / min(noise, 1))
    curve = np.cos((np.arange(n_phases) + 0.5) * math.pi / n_phases)  # the middles of equal parts of half a wave
    y = grid_nodes(-1 - 10 * noise, 1 + 10 * noise, noise / 5)
    density = np.exp(-(((y[:, None] - curve) / noise) ** 2) / 2).mean(1) / (noise * math.sqrt(2 * math.pi))
    return grid_entropy(density, y[1] - y[0]) - NORMAL_ENTROPY - math.log(noise)


def noisy_circle(n_samples: int, noise: float, random_state: RandomState = None) -> Pair:
    """Draw points of the unit circle and add Gaussian noise to both coordinates.

    Parameters
    ----------
    n_samples : int
        Rows.
    noise : float
        Standard deviation of the noise, positive.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X, Y : ndarray of shape (n_samples, 1)
        The coordinates, uncorrelated.

    Raises
    ------
    ValueError
        If ``noise`` is not positive.

    Examples
    --------
    >>> from skdim.synthetic import noisy_circle
    >>> X, Y = noisy_circle(10_000, noise=0.1, random_state=0)
    >>> round(float((X**2 + Y**2).mean()), 1)
    1.0
    """
    check_positive(noise=noise)
    rng = generator(n_samples, random_state)
    angle = rng.uniform(-math.pi, math.pi, n_samples)
    return columns(*np.stack([np.cos(angle), np.sin(angle)]) + noise * rng.standard_normal((2, n_samples)))


def noisy_circle_mutual_information(noise: float) -> float:
    r"""Return the mutual information of the coordinates of a noisy circle, by quadrature.

    .. math:: p(x, y) = \frac{1}{2\pi\sigma^2} e^{-(r^2 + 1) / 2\sigma^2} I_0\Bigl(\frac{r}{\sigma^2}\Bigr),
        \quad r^2 = x^2 + y^2

    with Bessel's function :math:`I_0`: the Gaussian averaged around the circle.

    Parameters
    ----------
    noise : float
        :math:`\sigma`, at least 0.01.

    Returns
    -------
    float
        The mutual information in nats, to about 1e-9.

    Raises
    ------
    ValueError
        If ``noise`` is less than 0.01, where the grid would be too large.

    Examples
    --------
    >>> from skdim.synthetic import noisy_circle_mutual_information
    >>> round(noisy_circle_mutual_information(0.1), 6)
    0.678855
    """
    _check_grid(noise)
    x = grid_nodes(-1 - 10 * noise, 1 + 10 * noise, noise / 5)
    r = np.hypot(x[:, None], x)
    density = np.exp(-(((r - 1) / noise) ** 2) / 2) * i0e(r / noise**2) / (2 * math.pi * noise**2)
    return grid_information(density, x[1] - x[0], x[1] - x[0])
