"""What all families share: a sampler that starts from a seed, and checks of parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from numbers import Integral

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Pair = tuple[Array, Array]
RandomState = int | np.random.Generator | np.random.RandomState | None


class Family(ABC):
    """A joint distribution of X and Y with known mutual information: a frozen dataclass of its parameters.

    A subclass defines ``mutual_information`` in nats and the sampler ``_draw(n_samples, rng)``.
    """

    @property
    @abstractmethod
    def mutual_information(self) -> float:
        """I(X; Y) in nats."""

    @abstractmethod
    def _draw(self, n_samples: int, rng: np.random.Generator) -> Iterable[npt.ArrayLike]:
        """Return rows of X and Y; a vector is a single column."""

    def sample(self, n_samples: int, random_state: RandomState = None) -> Pair:
        """Draw rows of (X, Y).

        Parameters
        ----------
        n_samples : int
            Number of rows, which must be at least 1.
        random_state : int, Generator, RandomState or None, default=None
            Seed or source of random numbers. A RandomState gives its next number as the seed.

        Returns
        -------
        X, Y : ndarray of float64 of shape (n_samples, dim_x), ndarray of float64 of shape (n_samples, dim_y)
            Row i of Y belongs to row i of X.
        """
        X, Y = (np.asarray(view, np.float64) for view in self._draw(n_samples, generator(n_samples, random_state)))
        return X.reshape(n_samples, -1), Y.reshape(n_samples, -1)


class DensityFamily(Family):
    """A family whose log density ratio has a closed form."""

    @abstractmethod
    def _log_densities(self, X: npt.ArrayLike, Y: npt.ArrayLike) -> list[Array]:
        """Return log p(x), log p(y) and log p(x, y), up to terms that cancel from the ratio."""

    def log_ratio(self, X: npt.ArrayLike, Y: npt.ArrayLike) -> Array:
        r"""Return the log density ratio, the critic at which every bound is tight.

        .. math:: f(x, y) = \log \frac{p(x, y)}{p(x) p(y)}, \quad I(X; Y) = \mathrm{E}\, f(X, Y)

        Parameters
        ----------
        X, Y : array-like of shape (..., dim_x), array-like of shape (..., dim_y)
            Points. Leading axes broadcast: ``X[:, None]`` with ``Y[None]`` gives the scores of all pairs.

        Returns
        -------
        ndarray of shape (...)
            The log ratio in nats.
        """
        x, y, both = self._log_densities(X, Y)
        return both - x - y


def generator(n_samples: int, random_state: RandomState) -> np.random.Generator:
    """Return the generator that rows are drawn from; refuse less than one row."""
    check_count(1, n_samples=n_samples)
    if isinstance(random_state, np.random.RandomState):
        random_state = int(random_state.randint(2**31 - 1))
    return np.random.default_rng(random_state)


def check_between(low: float, high: float, **parameters: float) -> None:
    """Refuse values that do not lie strictly between the limits."""
    for name, value in parameters.items():
        if not low < value < high:
            raise ValueError(f"{name} must lie in ({low:g}, {high:g}), got {value!r}.")


def check_count(at_least: int, **parameters: int) -> None:
    """Refuse values that are not integers of at least the given one."""
    for name, value in parameters.items():
        if not isinstance(value, Integral) or value < at_least:
            raise ValueError(f"{name} must be an integer of at least {at_least}, got {value!r}.")
