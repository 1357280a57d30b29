r"""Uniform densities on shapes: no correlation, and mutual information from entropies of shadows.

A uniform density on a shape has the entropy log of its volume, so I(X; Y) = H(X) + H(Y) - log volume.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammaln, psi

from skdim.synthetic._sampling import Pair, RandomState, check_count, columns, generator

__all__ = [
    "checkerboard",
    "checkerboard_mutual_information",
    "rotated_square",
    "rotated_square_mutual_information",
    "uniform_ball",
    "uniform_ball_mutual_information",
]


def rotated_square(n_samples: int, angle: float, random_state: RandomState = None) -> Pair:
    """Draw uniformly from the unit square about the origin, turned by an angle.

    Parameters
    ----------
    n_samples : int
        Rows.
    angle : float
        Angle in radians; independence at multiples of π/2, most information halfway.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X, Y : ndarray of shape (n_samples, 1)
        The coordinates, uncorrelated.

    Raises
    ------
    ValueError
        If ``n_samples`` is less than 1.

    Examples
    --------
    >>> import math
    >>> from skdim.synthetic import rotated_square
    >>> X, Y = rotated_square(10_000, math.pi / 4, random_state=0)
    >>> round(float((abs(X) + abs(Y)).max()), 2)
    0.71
    """
    a, b = generator(n_samples, random_state).uniform(-0.5, 0.5, size=(2, n_samples))
    return columns(math.cos(angle) * a - math.sin(angle) * b, math.sin(angle) * a + math.cos(angle) * b)


def rotated_square_mutual_information(angle: float) -> float:
    r"""Return the mutual information of the coordinates of a turned square.

    .. math:: I(X; Y) = 2 \log a + \frac ba, \quad a \ge b \text{ the sizes of } \cos\varphi, \sin\varphi

    Parameters
    ----------
    angle : float
        :math:`\varphi` in radians.

    Returns
    -------
    float
        The mutual information in nats, at most 1 - log 2.

    Examples
    --------
    >>> import math
    >>> from skdim.synthetic import rotated_square_mutual_information
    >>> round(rotated_square_mutual_information(math.pi / 4), 6)
    0.306853
    """
    # Each shadow is a trapezoid, the sum of uniform variables of widths a and b: its entropy is log a + b / (2a).
    b, a = sorted((abs(math.cos(angle)), abs(math.sin(angle))))
    return 2 * math.log(a) + b / a


def uniform_ball(n_samples: int, dim_x: int, dim_y: int, random_state: RandomState = None) -> Pair:
    """Draw uniformly from the unit ball: every linear and rank correlation is 0; a large x leaves little room for y.

    Parameters
    ----------
    n_samples : int
        Rows.
    dim_x, dim_y : int
        Columns of X and Y; the ball has as many dimensions as both together.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X : ndarray of shape (n_samples, dim_x)
        First coordinates.
    Y : ndarray of shape (n_samples, dim_y)
        The rest.

    Raises
    ------
    ValueError
        If a count is less than 1.

    Examples
    --------
    >>> from skdim.synthetic import uniform_ball
    >>> X, Y = uniform_ball(10_000, 1, 1, random_state=0)
    >>> round(float((X**2 + Y**2).mean()), 2)
    0.5
    """
    check_count(1, dim_x=dim_x, dim_y=dim_y)
    rng = generator(n_samples, random_state)
    Z = rng.standard_normal((n_samples, dim_x + dim_y))
    Z *= rng.random((n_samples, 1)) ** (1 / (dim_x + dim_y)) / np.linalg.norm(Z, axis=1, keepdims=True)
    return Z[:, :dim_x], Z[:, dim_x:]


def uniform_ball_mutual_information(dim_x: int, dim_y: int) -> float:
    r"""Return the mutual information of two groups of coordinates of a uniform ball.

    .. math::

        I(X; Y) = \log \frac{V_d}{V_{d_X} V_{d_Y}}
        + \frac{d_Y}{2} \Bigl(\psi\bigl(\tfrac d2 + 1\bigr) - \psi\bigl(\tfrac{d_Y}2 + 1\bigr)\Bigr)
        + \frac{d_X}{2} \Bigl(\psi\bigl(\tfrac d2 + 1\bigr) - \psi\bigl(\tfrac{d_X}2 + 1\bigr)\Bigr),
        \quad V_d = \frac{\pi^{d/2}}{\Gamma(\frac d2 + 1)}

    with :math:`d = d_X + d_Y`; in the plane it is log π - 1.

    Parameters
    ----------
    dim_x, dim_y : int
        Columns of X and Y.

    Returns
    -------
    float
        The mutual information in nats.

    Raises
    ------
    ValueError
        If a dimension is less than 1.

    Examples
    --------
    >>> from skdim.synthetic import uniform_ball_mutual_information
    >>> round(uniform_ball_mutual_information(1, 1), 6), round(uniform_ball_mutual_information(5, 5), 6)
    (0.14473, 0.629261)
    """
    check_count(1, dim_x=dim_x, dim_y=dim_y)
    # The density of x is (1 - |x|²)^(d_Y/2) V_dY / V_d, and |x|² has the law Beta(d_X/2, d_Y/2 + 1), so that
    # E log(1 - |x|²) = ψ(d_Y/2 + 1) - ψ(d/2 + 1): this is H(X), and H(Y) likewise.
    halves = np.array([dim_x, dim_y]) / 2
    log_volumes = gammaln(halves + 1).sum() - gammaln(halves.sum() + 1)  # π cancels
    return float(log_volumes + (halves * (psi(halves.sum() + 1) - psi(halves + 1))).sum())


def checkerboard(n_samples: int, n_squares: int, random_state: RandomState = None) -> Pair:
    """Draw uniformly from the dark squares of a checkerboard on the unit square.

    Parameters
    ----------
    n_samples : int
        Rows.
    n_squares : int
        Squares along an edge, even. More of them are harder to see and carry the same information.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X, Y : ndarray of shape (n_samples, 1)
        Numbers in [0, 1), each uniform.

    Raises
    ------
    ValueError
        If ``n_squares`` is not a positive even number.

    Examples
    --------
    >>> from skdim.synthetic import checkerboard
    >>> X, Y = checkerboard(10_000, 4, random_state=0)
    >>> sorted(set(((4 * X).astype(int) + (4 * Y).astype(int)).ravel().tolist()))
    [0, 2, 4, 6]
    """
    _check_checkerboard(n_squares)
    rng = generator(n_samples, random_state)
    column = rng.integers(n_squares, size=n_samples)
    row = 2 * rng.integers(n_squares // 2, size=n_samples) + column % 2
    return columns(*((np.stack([column, row]) + rng.random((2, n_samples))) / n_squares))


def _check_checkerboard(n_squares: int) -> None:
    check_count(2, n_squares=n_squares)
    if n_squares % 2:
        raise ValueError(f"n_squares must be even, got {n_squares!r}.")


def checkerboard_mutual_information(n_squares: int) -> float:
    r"""Return the mutual information of a checkerboard: the colour of the square.

    .. math:: I(X; Y) = \log 2

    Parameters
    ----------
    n_squares : int
        Squares along an edge, even.

    Returns
    -------
    float
        The mutual information in nats: the density is 2 on half of the unit square and both marginals are uniform.

    Raises
    ------
    ValueError
        If ``n_squares`` is not a positive even number.

    Examples
    --------
    >>> from skdim.synthetic import checkerboard_mutual_information
    >>> round(checkerboard_mutual_information(8), 6)
    0.693147
    """
    _check_checkerboard(n_squares)
    return math.log(2)
