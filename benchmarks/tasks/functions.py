r"""Functions of normal columns: a number with noise, or a label, whose logit is the function.

The law of the function's value comes from quasi-random points, and mutual informations are right to about 1e-3 nats.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import entr, expit, ndtri
from scipy.stats import qmc

from skdim.synthetic import Family
from skdim.synthetic.family import Array, Pair, check_between, check_count
from tasks.quadrature import NORMAL_ENTROPY, grid_entropy

Function = Callable[[Array], Array]

#: Base-2 logarithm of the number of quasi-random points, and nodes of a density by standard deviation of the noise.
LOG_POINTS, NODES = 18, 50


def square(X: Array) -> Array:
    """Return x², which is even."""
    return X[:, 0] ** 2


def waves(X: Array) -> Array:
    """Return sin 2πx, of some five cycles."""
    return np.sin(2 * np.pi * X[:, 0])


def three_columns(X: Array) -> Array:
    """Return sin 2x + x'x''."""
    return np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2]


def signs(X: Array) -> Array:
    """Return twice the product of the signs: any two columns say nothing."""
    return 2 * np.sign(X).prod(1)


def line(X: Array) -> Array:
    """Return twice the sum of the columns over the root of their number."""
    return 2 * X.sum(1) / math.sqrt(X.shape[1])


def product(X: Array) -> Array:
    """Return 4xx', whose sign is the xor of two signs."""
    return 4 * X[:, 0] * X[:, 1]


def cosine(X: Array) -> Array:
    """Return 6 cos 2x."""
    return 6 * np.cos(2 * X[:, 0])


@dataclass(frozen=True)
class FunctionOfNormals(Family):
    """X has standard normal columns, and ``function(X)`` (n,) is what Y depends on."""

    function: Function
    n_columns: int

    def __post_init__(self) -> None:
        check_count(1, n_columns=self.n_columns)

    def _values(self) -> Array:
        """Return values of the function at quasi-random points."""
        points = qmc.Sobol(self.n_columns, seed=0).random_base2(LOG_POINTS)
        return self.function(ndtri(np.clip(points, 1e-12, 1 - 1e-12)))


@dataclass(frozen=True)
class NoisyFunction(FunctionOfNormals):
    r"""Y is the function of X with normal noise.

    .. math:: Y = f(X) + \sigma N, \quad I(X; Y) = H(Y) - \tfrac12 \log 2 \pi e \sigma^2
    """

    noise: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_between(0, math.inf, noise=self.noise)

    @cached_property
    def mutual_information(self) -> float:
        values, step = self._values(), self.noise / NODES
        edges = np.arange(values.min() - 7 * self.noise, values.max() + 7 * self.noise, step)
        law = np.histogram(values, edges, density=True)[0]
        kernel = np.exp(-(np.arange(-7 * NODES, 7 * NODES + 1) ** 2) / (2 * NODES**2))
        return (
            grid_entropy(np.convolve(law, kernel / kernel.sum(), mode="same"), step)
            - NORMAL_ENTROPY
            - math.log(self.noise)
        )

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        X = rng.standard_normal((n_samples, self.n_columns))
        return X, self.function(X) + self.noise * rng.standard_normal(n_samples)


@dataclass(frozen=True)
class LogisticLabel(FunctionOfNormals):
    r"""Y is 0 or 1, and the function is its logit.

    .. math:: P(Y = 1 \mid X) = \sigma(f(X)), \quad I(X; Y) = h(E\, \sigma(f)) - E\, h(\sigma(f)), \quad
        h(p) = -p \log p - (1 - p) \log(1 - p)
    """

    @cached_property
    def mutual_information(self) -> float:
        p = expit(self._values())
        return float((entr(p.mean()) + entr(1 - p.mean())) - (entr(p) + entr(1 - p)).mean())

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        X = rng.standard_normal((n_samples, self.n_columns))
        return X, (rng.random(n_samples) < expit(self.function(X))).astype(np.float64)
