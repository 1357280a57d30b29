"""A task: a named sampler of (X, Y) with the mutual information that an estimator should find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from skdim.synthetic._sampling import Array, Pair, RandomState, generator

__all__ = ["Task", "independent_blocks"]

Map = Callable[[Array], Array]
Sampler = Callable[..., Pair]


@dataclass(frozen=True)
class Task:
    """A joint distribution of X and Y with known mutual information.

    Parameters
    ----------
    name : str
        Name, the key in its dictionary.
    dim_x, dim_y : int
        Columns of X and Y.
    mutual_information : float
        I(X; Y) in nats.
    sampler : callable
        ``sampler(n_samples, random_state=...)`` returns X and Y. A task pickles if its sampler does; a
        ``functools.partial`` of a function of this package does.

    Examples
    --------
    >>> from functools import partial
    >>> from skdim.synthetic import Task, clayton, clayton_mutual_information
    >>> task = Task("strong", 1, 1, clayton_mutual_information(9.0), partial(clayton, theta=9.0))
    >>> X, Y = task.sample(500, random_state=0)
    >>> X.shape, Y.shape, round(task.mutual_information, 4)
    ((500, 1), (500, 1), 1.4026)
    """

    name: str
    dim_x: int
    dim_y: int
    mutual_information: float
    sampler: Sampler = field(repr=False, compare=False)

    def sample(self, n_samples: int, random_state: RandomState = None) -> Pair:
        """Draw rows of (X, Y).

        Parameters
        ----------
        n_samples : int
            Rows.
        random_state : int, Generator, RandomState or None, default=None
            Seed or source of random numbers.

        Returns
        -------
        X : ndarray of float64 of shape (n_samples, dim_x)
            First view.
        Y : ndarray of float64 of shape (n_samples, dim_y)
            Second view; row i belongs to row i of X.

        Raises
        ------
        ValueError
            If ``n_samples`` is less than 1.
        """
        return self.sampler(n_samples, random_state=random_state)

    def mapped(self, name: str, map_x: Map | None = None, map_y: Map | None = None) -> Task:
        """Return the task of map_x(X) and map_y(Y), whose mutual information is the same.

        Parameters
        ----------
        name : str
            Name of the new task.
        map_x, map_y : callable or None, default=None
            *Invertible* maps from (n, d) to (n, e), such as those of this package; None leaves a view as it is.

        Returns
        -------
        Task
            The new task.

        Examples
        --------
        >>> import numpy as np
        >>> from skdim.synthetic import BEYOND_NORMAL
        >>> BEYOND_NORMAL["1v1-normal-0.75"].mapped("lognormal", np.exp, np.exp)
        Task(name='lognormal', dim_x=1, dim_y=1, mutual_information=0.41333928659223...)
        """
        dim_x = self.dim_x if map_x is None else map_x(np.full((1, self.dim_x), 0.5)).shape[1]
        dim_y = self.dim_y if map_y is None else map_y(np.full((1, self.dim_y), 0.5)).shape[1]
        sampler = partial(_sample_mapped, self.sampler, map_x, map_y)
        return Task(name, dim_x, dim_y, self.mutual_information, sampler)


def _sample_mapped(
    sampler: Sampler, map_x: Map | None, map_y: Map | None, n_samples: int, random_state: RandomState = None
) -> Pair:
    X, Y = sampler(n_samples, random_state=random_state)
    return X if map_x is None else map_x(X), Y if map_y is None else map_y(Y)


def independent_blocks(name: str, tasks: Sequence[Task]) -> Task:
    r"""Return a task whose columns are those of several tasks, independent of each other.

    .. math:: I(X_1, X_2; Y_1, Y_2) = I(X_1; Y_1) + I(X_2; Y_2)

    Parameters
    ----------
    name : str
        Name of the new task.
    tasks : sequence of Task
        The blocks, at least one.

    Returns
    -------
    Task
        Dimensions and mutual informations are added up.

    Raises
    ------
    ValueError
        If there is no block.

    Examples
    --------
    >>> from skdim.synthetic import BEYOND_NORMAL, independent_blocks
    >>> task = BEYOND_NORMAL["1v1-additive-0.75"]
    >>> twice = independent_blocks("twice", [task, task])
    >>> twice.dim_x, round(twice.mutual_information, 4)
    (2, 0.6667)
    """
    if not tasks:
        raise ValueError("tasks must hold at least one block, got none.")
    dim_x, dim_y = sum(task.dim_x for task in tasks), sum(task.dim_y for task in tasks)
    information = sum(task.mutual_information for task in tasks)
    return Task(name, dim_x, dim_y, information, partial(_sample_blocks, tuple(task.sampler for task in tasks)))


def _sample_blocks(samplers: tuple[Sampler, ...], n_samples: int, random_state: RandomState = None) -> Pair:
    rng = generator(n_samples, random_state)
    X, Y = zip(*(sampler(n_samples, random_state=rng) for sampler in samplers), strict=True)
    return np.hstack(X), np.hstack(Y)
