"""The 40 tasks of Beyond Normal, with the names and parameters of its authors' package ``benchmark-mi``.

Czyż, Grabowski, Vogt, Beerenwinkel & Marx, "Beyond normal: on the evaluation of mutual information estimators", NeurIPS 2023.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import ndtr

from skdim.synthetic.elliptical import Gaussian, StudentT, dense_covariance, paired_covariance
from skdim.synthetic.family import Family, Pair, check_between
from skdim.synthetic.maps import mixture_quantile, signed_power, spiral, swiss_roll, wiggly
from skdim.synthetic.task import Map, Task


@dataclass(frozen=True)
class AdditiveUniform(Family):
    r"""X uniform on [0, 1], and Y the sum of X and noise that is uniform on [-epsilon, epsilon].

    .. math:: I(X; Y) = \epsilon - \log 2\epsilon \;\text{ up to } \epsilon = \tfrac12, \quad
        \frac{1}{4\epsilon} \;\text{ above}

    Parameters
    ----------
    epsilon : float
        Half the width of the noise. It must be positive.

    Examples
    --------
    >>> from skdim.synthetic import AdditiveUniform
    >>> round(AdditiveUniform(0.1).mutual_information, 6), round(AdditiveUniform(0.75).mutual_information, 6)
    (1.709438, 0.333333)
    """

    epsilon: float

    def __post_init__(self) -> None:
        check_between(0, math.inf, epsilon=self.epsilon)

    @property
    def mutual_information(self) -> float:
        # The sum of uniform variables of widths a >= b has the entropy log a + b / (2a).
        return self.epsilon - math.log(2 * self.epsilon) if self.epsilon <= 0.5 else 1 / (4 * self.epsilon)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Pair:
        x = rng.random(n_samples)
        return x, x + rng.uniform(-self.epsilon, self.epsilon, n_samples)


def _both(prefix: str, both: Map, base: Task) -> Task:
    return base.mapped(f"{prefix}-{base.name}", both, both)


_normal_cdf = partial(_both, "normal_cdf", ndtr)
_half_cube = partial(_both, "half_cube", partial(signed_power, exponent=1.5))
_asinh = partial(_both, "asinh", np.arcsinh)


def _spiral(base: Task) -> Task:
    turn_x = partial(spiral, plane=(0, 1), speed=1 / base.dim_x)
    turn_y = partial(spiral, plane=(1, 2), speed=1 / base.dim_y)
    return base.mapped(f"spiral-{base.name}", turn_x, turn_y)


def _one_column_each() -> Iterator[Task]:
    bivariate = Task.of("1v1-normal-0.75", Gaussian(paired_covariance([0.75], 1, 1), 1))
    uniform = _normal_cdf(bivariate)
    yield from (bivariate, uniform)
    for epsilon in (0.1, 0.75):
        yield Task.of(f"1v1-additive-{epsilon}", AdditiveUniform(epsilon))
    yield uniform.mapped(
        "1v1-bimodal-0.75",
        partial(mixture_quantile, weights=(0.3, 0.7), means=(0.0, 5.0)),
        partial(mixture_quantile, weights=(0.5, 0.5), means=(-1.0, 3.0)),
    )
    yield bivariate.mapped(
        f"wiggly-{bivariate.name}",
        partial(wiggly, waves=((0.4, 1.0, 0.0), (0.2, 1.7, 1.0), (0.03, 3.3, -2.5))),
        partial(wiggly, waves=((-0.4, 0.4, 0.0), (0.17, 1.3, 3.5), (0.02, 4.3, -2.5))),
    )
    yield _half_cube(bivariate)
    cauchy = Task.of("student-identity-1-1-1", StudentT(1, np.eye(2), 1))
    yield from (cauchy, _asinh(cauchy))
    yield uniform.mapped(f"swissroll_x-{uniform.name}", swiss_roll)


def _several_columns_each() -> Iterator[Task]:
    for dim in (2, 3, 5, 25, 50):
        yield Task.of(f"multinormal-dense-{dim}-{dim}-0.5", Gaussian(dense_covariance(dim, dim, 0.5), dim))
    sparse = {  # pairs that share a latent variable of weight 2 beside noise of weight 1: a correlation of 4 / 5
        dim: Task.of(f"multinormal-sparse-{dim}-{dim}-2-2.0", Gaussian(paired_covariance([0.8, 0.8], dim, dim), dim))
        for dim in (2, 3, 5, 25)
    }
    yield from sparse.values()
    students = {
        (dim, dof): Task.of(f"student-identity-{dim}-{dim}-{dof}", StudentT(dof, np.eye(2 * dim), dim))
        for dim, dof in ((2, 1), (2, 2), (3, 2), (3, 3), (5, 2), (5, 3))
    }
    yield from students.values()
    bases = [sparse[dim] for dim in (3, 5, 25)]
    for step in (_normal_cdf, _half_cube, _spiral):
        yield from map(step, bases)
    yield from map(_spiral, map(_normal_cdf, bases))
    yield from (_asinh(students[key]) for key in ((2, 1), (3, 2), (5, 2)))


#: The 40 tasks of Beyond Normal by name.
BEYOND_NORMAL: dict[str, Task] = {task.name: task for task in (*_one_column_each(), *_several_columns_each())}
