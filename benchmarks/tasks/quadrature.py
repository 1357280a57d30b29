"""Mutual information of densities by the trapezoidal rule, which converges faster than any power on smooth tails."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import entr

from skdim.synthetic.family import Array

#: Entropy of a standard normal in nats.
NORMAL_ENTROPY = math.log(2 * math.pi * math.e) / 2


def grid_nodes(low: float, high: float, step: float) -> Array:
    """Return equidistant nodes from ``low`` to ``high``, at most ``step`` apart."""
    return np.linspace(low, high, math.ceil((high - low) / step) + 1)


def grid_entropy(density: Array, step: float) -> float:
    """Return -∫ p log p in nats of the values of a density on nodes ``step`` apart, zero at both ends."""
    return float(entr(density).sum() * step)


def grid_information(density: Array, step_x: float, step_y: float) -> float:
    """Return H(X) + H(Y) - H(X, Y) in nats of the values of a joint density on a grid, zero on its rim."""
    marginals = grid_entropy(density.sum(1) * step_y, step_x) + grid_entropy(density.sum(0) * step_x, step_y)
    return marginals - grid_entropy(density, step_x * step_y)
