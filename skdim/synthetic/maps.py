"""Invertible maps: they change the marginals and the geometry of X or Y, and keep I(X; Y).

Every map takes an array (n, d) and returns a new one, of this shape if nothing else is said. Use ``numpy.arcsinh``,
``numpy.exp`` and ``scipy.special.ndtr``, from normal to uniform marginals, as maps too. Theorem 2.1 of Beyond Normal proves
that maps keep the mutual information.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from skdim.synthetic.family import Array, check_between


def signed_power(X: npt.ArrayLike, exponent: float) -> Array:
    r"""Raise the size of each number to a power and keep its sign: 3/2 gives the half-cube, 3 the cube.

    .. math:: x \mapsto \mathrm{sign}(x) \, |x|^p

    Parameters
    ----------
    X : array-like of shape (n, d)
        Points.
    exponent : float
        p, which must be positive. Above 1 it lengthens the tails.

    Examples
    --------
    >>> from skdim.synthetic import signed_power
    >>> signed_power([[-4.0, 4.0]], 1.5).tolist()
    [[-8.0, 8.0]]
    """
    check_between(0, np.inf, exponent=exponent)
    X = np.asarray(X, dtype=np.float64)
    return np.asarray(np.sign(X) * np.abs(X) ** exponent)


def wiggly(X: npt.ArrayLike, waves: Sequence[tuple[float, float, float]]) -> Array:
    r"""Add sine waves that are flat enough to keep the map increasing.

    .. math:: x \mapsto x + \sum_k a_k \sin(f_k x + \varphi_k), \quad \sum_k |a_k f_k| < 1

    Parameters
    ----------
    X : array-like of shape (n, d)
        Points.
    waves : sequence of tuple (amplitude, frequency, phase)
        The waves. The sum of their slopes, ``abs(a * f)``, must be less than 1.

    Examples
    --------
    >>> from skdim.synthetic import wiggly
    >>> wiggly([[0.0], [1.0]], [(0.5, 1.0, 0.0)]).round(4).tolist()
    [[0.0], [1.4207]]
    """
    slope = sum(abs(amplitude * frequency) for amplitude, frequency, _ in waves)
    if not slope < 1:
        raise ValueError(f"The slopes |amplitude * frequency| of waves must add up to less than 1, got {slope:g}.")
    X = np.asarray(X, dtype=np.float64)
    return X + sum(amplitude * np.sin(frequency * X + phase) for amplitude, frequency, phase in waves)


def mixture_quantile(U: npt.ArrayLike, weights: npt.ArrayLike, means: npt.ArrayLike) -> Array:
    r"""Invert the distribution function of a mixture of normals of unit variance: uniform marginals become bimodal.

    .. math:: u \mapsto F^{-1}(u), \quad F(t) = \sum_k w_k \Phi(t - \mu_k)

    Parameters
    ----------
    U : array-like of shape (n, d)
        Numbers in [0, 1].
    weights, means : array-like of shape (k,)
        Weights of the components, which must be positive with sum 1, and their means.

    Returns
    -------
    ndarray of shape (n, d)
        The quantiles, to 1e-14 of their range; 0 and 1 give finite numbers 8 to 10 beyond the outer means.

    Examples
    --------
    >>> from skdim.synthetic import mixture_quantile
    >>> mixture_quantile([[0.1, 0.9]], [0.5, 0.5], [-3.0, 3.0]).round(4).tolist()
    [[-3.8416, 3.8416]]
    """
    w, mu = np.asarray(weights, dtype=np.float64), np.asarray(means, dtype=np.float64)
    if w.shape != mu.shape or w.ndim != 1 or not (w > 0).all() or not np.isclose(w.sum(), 1):
        raise ValueError(f"weights must be positive, with sum 1 and one for each mean, got {weights!r} for {means!r}.")
    u = np.asarray(U, dtype=np.float64)
    low, high = np.full_like(u, mu.min() - 10), np.full_like(u, mu.max() + 10)
    for _ in range(48):  # bisection: 2^-48 of the bracket
        middle = (low + high) / 2
        below = sum(weight * ndtr(middle - mean) for weight, mean in zip(w, mu, strict=True)) < u
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2)


def swiss_roll(U: npt.ArrayLike) -> Array:
    r"""Roll up an interval in the plane: a curve that a distance in the plane does not follow.

    .. math:: u \mapsto \frac{1}{21} (t \cos t, t \sin t), \quad t = \tfrac32 \pi (1 + 2u)

    Parameters
    ----------
    U : array-like of shape (n, 1)
        Numbers in [0, 1].

    Returns
    -------
    ndarray of shape (n, 2)
        Points on the curve, whose radius gives u back.

    Examples
    --------
    >>> from skdim.synthetic import swiss_roll
    >>> swiss_roll([[0.25]]).round(4).tolist()
    [[0.238, 0.238]]
    """
    u = np.asarray(U, dtype=np.float64)
    if u.ndim != 2 or u.shape[1] != 1:
        raise ValueError(f"U must have shape (n, 1), got {u.shape}.")
    t = 1.5 * np.pi * (1 + 2 * u)
    return np.hstack([t * np.cos(t), t * np.sin(t)]) / 21


def spiral(X: npt.ArrayLike, plane: tuple[int, int], speed: float = 1.0) -> Array:
    r"""Turn every point about the origin, by an angle that grows with the square of its distance.

    .. math:: x \mapsto R_{ij}(s \|x\|^2) \, x

    :math:`R_{ij}` rotates axis i towards axis j. The speed -s undoes the map, and volumes stay.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Points, d of at least 2.
    plane : tuple of int
        The axes i and j, which must differ.
    speed : float, default=1.0
        s, in radians for each unit of squared distance.

    Examples
    --------
    >>> from skdim.synthetic import spiral
    >>> spiral([[1.0, 0.0]], plane=(0, 1), speed=0.1).round(4).tolist()
    [[0.995, 0.0998]]
    """
    turned = np.array(X, dtype=np.float64)
    i, j = plane
    if i == j or not all(0 <= axis < turned.shape[1] for axis in plane):
        raise ValueError(f"plane must name two of {turned.shape[1]} axes, got {plane!r}.")
    angle = speed * (turned**2).sum(1)
    x, y, cos, sin = turned[:, i], turned[:, j], np.cos(angle), np.sin(angle)
    turned[:, i], turned[:, j] = cos * x - sin * y, sin * x + cos * y
    return turned
