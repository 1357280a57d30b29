"""What every sampler shares: types, the random generator, and checks of parameters."""

from __future__ import annotations

import math
from numbers import Integral

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Pair = tuple[Array, Array]
RandomState = int | np.random.Generator | np.random.RandomState | None


def generator(n_samples: int, random_state: RandomState) -> np.random.Generator:
    """Return the generator that ``n_samples`` rows are drawn from; a RandomState gives its next number as the seed."""
    check_count(1, n_samples=n_samples)
    if isinstance(random_state, np.random.RandomState):
        random_state = int(random_state.randint(2**31 - 1))
    return np.random.default_rng(random_state)


def columns(x: npt.ArrayLike, y: npt.ArrayLike) -> Pair:
    """Return two vectors of length n as float64 columns of shape (n, 1)."""
    return np.asarray(x, dtype=np.float64)[:, None], np.asarray(y, dtype=np.float64)[:, None]


def check_positive(**parameters: float) -> None:
    for name, value in parameters.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {value!r}.")


def check_between(low: float, high: float, **parameters: float) -> None:
    """Raise a ``ValueError`` unless each value lies strictly between the limits."""
    for name, value in parameters.items():
        if not low < value < high:
            raise ValueError(f"{name} must lie in ({low:g}, {high:g}), got {value!r}.")


def check_count(at_least: int, **parameters: int) -> None:
    for name, value in parameters.items():
        if not isinstance(value, Integral) or value < at_least:
            raise ValueError(f"{name} must be an integer of at least {at_least}, got {value!r}.")
