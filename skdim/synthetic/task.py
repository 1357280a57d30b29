"""Tasks: named samplers with known mutual information, their maps and their blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from skdim.synthetic.family import Array, Family, Pair, RandomState, generator

Map = Callable[[Array], Array]
Sampler = Callable[..., Pair]


@dataclass(frozen=True)
class Task:
    """A named sampler of X and Y and the mutual information that an estimator should find.

    Parameters
    ----------
    name : str
        Name of the task.
    dim_x, dim_y : int
        Columns of X and Y.
    mutual_information : float
        I(X; Y) in nats.
    sampler : callable
        ``sampler(n_samples, random_state=...)`` returns X and Y. It must pickle if the task is to.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.synthetic import AdditiveUniform, Task
    >>> Task.of("noisy", AdditiveUniform(0.25)).mapped("lognoisy", np.exp)
    Task(name='lognoisy', dim_x=1, dim_y=1, mutual_information=0.9431...)
    """

    name: str
    dim_x: int
    dim_y: int
    mutual_information: float
    sampler: Sampler = field(repr=False, compare=False)

    @classmethod
    def of(cls, name: str, family: Family) -> Task:
        """Return the task of a family."""
        return _task(name, family.mutual_information, family.sample)

    def sample(self, n_samples: int, random_state: RandomState = None) -> Pair:
        """Return X (n_samples, dim_x) and Y (n_samples, dim_y), as :meth:`Family.sample` does."""
        return self.sampler(n_samples, random_state=random_state)

    def mapped(self, name: str, map_x: Map | None = None, map_y: Map | None = None) -> Task:
        """Return the task of map_x(X) and map_y(Y), whose mutual information is the same.

        Parameters
        ----------
        name : str
            Name of the new task.
        map_x, map_y : callable or None, default=None
            Invertible maps from (n, d) to (n, e); None keeps X or Y.
        """
        sampler = partial(_sample_mapped, self.sampler, map_x or np.asarray, map_y or np.asarray)
        return _task(name, self.mutual_information, sampler)


def _task(name: str, mutual_information: float, sampler: Sampler) -> Task:
    X, Y = sampler(1, random_state=0)
    return Task(name, X.shape[1], Y.shape[1], mutual_information, sampler)


def _sample_mapped(sampler: Sampler, map_x: Map, map_y: Map, n_samples: int, random_state: RandomState = None) -> Pair:
    X, Y = sampler(n_samples, random_state=random_state)
    return map_x(X), map_y(Y)


def independent_blocks(name: str, tasks: Sequence[Task]) -> Task:
    r"""Return the task that has the columns of several independent tasks, and the sum of their mutual information.

    .. math:: I(X_1, X_2; Y_1, Y_2) = I(X_1; Y_1) + I(X_2; Y_2)

    Parameters
    ----------
    name : str
        Name of the new task.
    tasks : sequence of Task
        The blocks, at least one.

    Examples
    --------
    >>> from skdim.synthetic import BEYOND_NORMAL, independent_blocks
    >>> independent_blocks("twice", [BEYOND_NORMAL["1v1-additive-0.75"]] * 2)
    Task(name='twice', dim_x=2, dim_y=2, mutual_information=0.6666...)
    """
    if not tasks:
        raise ValueError("tasks must hold at least one block, got none.")
    samplers = tuple(task.sampler for task in tasks)
    return _task(name, sum(task.mutual_information for task in tasks), partial(_sample_blocks, samplers))


def _sample_blocks(samplers: tuple[Sampler, ...], n_samples: int, random_state: RandomState = None) -> Pair:
    rng = generator(n_samples, random_state)
    X, Y = zip(*(sampler(n_samples, random_state=rng) for sampler in samplers), strict=True)
    return np.hstack(X), np.hstack(Y)
