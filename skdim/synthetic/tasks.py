r"""The tasks of this package by name.

References
----------
.. [1] Czyż, Grabowski, Vogt, Beerenwinkel & Marx, "Beyond normal: on the evaluation of mutual information estimators",
   NeurIPS 2023; the Python package ``benchmark-mi`` by the authors has the names and the parameters.
.. [2] Poole et al., "On variational bounds of mutual information", ICML 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from skdim.synthetic._sampling import Array
from skdim.synthetic.additive import (
    additive_cauchy,
    additive_cauchy_mutual_information,
    additive_exponential,
    additive_exponential_mutual_information,
    additive_gamma,
    additive_gamma_mutual_information,
    additive_uniform,
    additive_uniform_mutual_information,
)
from skdim.synthetic.copulas import (
    clayton,
    clayton_mutual_information,
    frank,
    frank_mutual_information,
    gumbel,
    gumbel_mutual_information,
)
from skdim.synthetic.discrete import (
    contingency_table,
    contingency_table_mutual_information,
    label_and_uniform,
    label_and_uniform_mutual_information,
    labelled_gaussians,
    labelled_gaussians_mutual_information,
    zero_inflated_poisson,
    zero_inflated_poisson_mutual_information,
)
from skdim.synthetic.gaussians import (
    autoregressive_covariance,
    correlation_for,
    dense_covariance,
    gaussian,
    gaussian_mutual_information,
    multivariate_gaussian,
    paired_covariance,
)
from skdim.synthetic.maps import (
    mixture_quantile,
    normal_cdf,
    signed_power,
    spiral,
    swiss_roll,
    wiggly,
)
from skdim.synthetic.mixtures import (
    contaminated_gaussian,
    contaminated_gaussian_mutual_information,
    gaussian_mixture,
    gaussian_mixture_mutual_information,
)
from skdim.synthetic.noise import (
    gamma_exponential,
    gamma_exponential_mutual_information,
    noisy_circle,
    noisy_circle_mutual_information,
    noisy_sine,
    noisy_sine_mutual_information,
    normal_product,
    normal_product_mutual_information,
    stochastic_volatility,
    stochastic_volatility_mutual_information,
)
from skdim.synthetic.shapes import (
    checkerboard,
    checkerboard_mutual_information,
    rotated_square,
    rotated_square_mutual_information,
    uniform_ball,
    uniform_ball_mutual_information,
)
from skdim.synthetic.student import student_t, student_t_mutual_information
from skdim.synthetic.task import Map, Sampler, Task, independent_blocks

__all__ = ["BEYOND_NORMAL", "FURTHER"]


# ---------------------------------------------------------------------------------------------------------- building blocks
def _gaussian(name: str, covariance: Array, dim_x: int) -> Task:
    information = gaussian_mutual_information(covariance, dim_x)
    sampler = partial(multivariate_gaussian, covariance=covariance, dim_x=dim_x)
    return Task(name, dim_x, len(covariance) - dim_x, information, sampler)


def _student(name: str, dof: float, dispersion: Array, dim_x: int) -> Task:
    information = student_t_mutual_information(dof, dispersion, dim_x)
    sampler = partial(student_t, dof=dof, dispersion=dispersion, dim_x=dim_x)
    return Task(name, dim_x, len(dispersion) - dim_x, information, sampler)


def _both(prefix: str, base: Task, both: Map) -> Task:
    return base.mapped(f"{prefix}-{base.name}", both, both)


def _normal_cdf(base: Task) -> Task:
    return _both("normal_cdf", base, normal_cdf)


def _half_cube(base: Task) -> Task:
    return _both("half_cube", base, partial(signed_power, exponent=1.5))


def _asinh(base: Task) -> Task:
    return _both("asinh", base, np.arcsinh)


def _spiral(base: Task) -> Task:
    turn_x = partial(spiral, plane=(0, 1), speed=1 / base.dim_x)
    turn_y = partial(spiral, plane=(1, 2), speed=1 / base.dim_y)
    return base.mapped(f"spiral-{base.name}", turn_x, turn_y)


# ----------------------------------------------------------------------------------------------------------- Beyond Normal
def _beyond_normal() -> Iterator[Task]:
    bivariate = _gaussian("1v1-normal-0.75", paired_covariance([0.75], 1, 1), 1)
    uniform = _normal_cdf(bivariate)
    yield bivariate
    yield uniform
    for epsilon in (0.1, 0.75):
        information = additive_uniform_mutual_information(epsilon)
        yield Task(f"1v1-additive-{epsilon}", 1, 1, information, partial(additive_uniform, epsilon=epsilon))
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
    cauchy = _student("student-identity-1-1-1", 1, np.eye(2), 1)
    yield cauchy
    yield _asinh(cauchy)
    yield uniform.mapped(f"swissroll_x-{uniform.name}", swiss_roll)

    for dim in (2, 3, 5, 25, 50):
        yield _gaussian(f"multinormal-dense-{dim}-{dim}-0.5", dense_covariance(dim, dim, 0.5), dim)
    sparse = {  # pairs that share a latent variable of weight 2 beside noise of weight 1: a correlation of 4 / 5
        dim: _gaussian(f"multinormal-sparse-{dim}-{dim}-2-2.0", paired_covariance([0.8, 0.8], dim, dim), dim)
        for dim in (2, 3, 5, 25)
    }
    yield from sparse.values()
    students = {
        (dim, dof): _student(f"student-identity-{dim}-{dim}-{dof}", dof, np.eye(2 * dim), dim)
        for dim, dof in ((2, 1), (2, 2), (3, 2), (3, 3), (5, 2), (5, 3))
    }
    yield from students.values()

    bases = [sparse[dim] for dim in (3, 5, 25)]
    yield from map(_normal_cdf, bases)
    yield from map(_half_cube, bases)
    yield from map(_spiral, bases)
    yield from map(_spiral, map(_normal_cdf, bases))
    yield from (_asinh(students[key]) for key in ((2, 1), (3, 2), (5, 2)))


# ----------------------------------------------------------------------------------------------------------------- further
def _family(name: str, sampler: Sampler, mutual_information: Callable[..., float], **parameters: object) -> Task:
    """Return the task of a family of pairs of numbers: its sampler and its truth take the same parameters."""
    return Task(name, 1, 1, mutual_information(**parameters), partial(sampler, **parameters))


def _gaussians() -> Iterator[Task]:
    for mi in (2, 4, 6, 8, 10):
        sampler = partial(gaussian, rho=correlation_for(mi, 20), n_dims=20)
        staircase = Task(f"staircase-20-20-{mi}", 20, 20, float(mi), sampler)
        yield staircase
        yield _both("cubic", staircase, partial(signed_power, exponent=3.0))
    yield Task("independent-5-5", 5, 5, 0.0, partial(gaussian, rho=0.0, n_dims=5))
    yield _gaussian("multinormal-dense-2-10-0.5", dense_covariance(2, 10, 0.5), 2)
    yield _gaussian("autoregressive-8-3-0.9", autoregressive_covariance(8, 3, 0.9), 8)
    yield _both("exp", _gaussian("1v1-normal-0.9", paired_covariance([0.9], 1, 1), 1), np.exp)
    yield _student("student-dense-3-2-3-0.5", 3, dense_covariance(3, 2, 0.5), 3)


def _mixtures() -> Iterator[Task]:
    ridge, mirrored = [[1.0, 0.9], [0.9, 1.0]], [[1.0, -0.9], [-0.9, 1.0]]
    for name, weights, means, covariances in (
        ("cross", (0.5, 0.5), np.zeros((2, 2)), np.array([ridge, mirrored])),
        ("clusters", (0.3, 0.4, 0.3), np.array([[-3.0, -2.0], [0.0, 2.0], [3.0, -2.0]]), np.stack([np.eye(2)] * 3)),
    ):
        information = gaussian_mixture_mutual_information(weights, means, covariances)
        sampler = partial(gaussian_mixture, weights=weights, means=means, covariances=covariances, dim_x=1)
        yield Task(f"mixture-{name}", 1, 1, information, sampler)
    information = contaminated_gaussian_mutual_information(0.8, 5, contamination=0.2)
    sampler = partial(contaminated_gaussian, rho=0.8, n_dims=5, contamination=0.2)
    yield Task("contaminated-5-5-0.2", 5, 5, information, sampler)


def _pairs() -> Iterator[Task]:
    yield _family("cauchy-1.0", additive_cauchy, additive_cauchy_mutual_information, scale=1.0)
    yield _family("exponential-0.5", additive_exponential, additive_exponential_mutual_information, scale=0.5)
    yield _family("gamma-2.0-0.5", additive_gamma, additive_gamma_mutual_information, shape=2.0, noise_shape=0.5)
    yield _family("gamma-exponential-0.5", gamma_exponential, gamma_exponential_mutual_information, shape=0.5)
    yield _family("normal-product", normal_product, normal_product_mutual_information)
    yield _family("volatility-1.0", stochastic_volatility, stochastic_volatility_mutual_information, scale=1.0)
    for k in (1, 4):
        yield _family(f"sine-{k}-0.2", partial(noisy_sine, frequency=k), noisy_sine_mutual_information, noise=0.2)
    yield _family("circle-0.1", noisy_circle, noisy_circle_mutual_information, noise=0.1)

    yield _family("diamond", rotated_square, rotated_square_mutual_information, angle=math.pi / 4)
    for n_squares in (2, 8):
        name = f"checkerboard-{n_squares}"
        yield _family(name, checkerboard, checkerboard_mutual_information, n_squares=n_squares)

    yield _family("clayton-2.0", clayton, clayton_mutual_information, theta=2.0)
    yield _family("gumbel-3.0", gumbel, gumbel_mutual_information, theta=3.0)
    yield _family("frank-8.0", frank, frank_mutual_information, theta=8.0)

    channel = ((0.45, 0.05), (0.05, 0.45))
    yield _family("binary-channel-0.1", contingency_table, contingency_table_mutual_information, probabilities=channel)
    yield _family("label-and-uniform-5", label_and_uniform, label_and_uniform_mutual_information, n_labels=5)
    poisson = zero_inflated_poisson, zero_inflated_poisson_mutual_information
    yield _family("zero-inflated-poisson-0.15", *poisson, probability=0.15)
    labelled = labelled_gaussians, labelled_gaussians_mutual_information
    yield _family("labelled-gaussians-3-2.0", *labelled, n_labels=3, separation=2.0)


def _further() -> Iterator[Task]:
    yield from _gaussians()
    yield from _mixtures()
    pairs = {task.name: task for task in _pairs()}
    yield from pairs.values()
    for dim in (1, 5):
        sampler = partial(uniform_ball, dim_x=dim, dim_y=dim)
        yield Task(f"ball-{dim}-{dim}", dim, dim, uniform_ball_mutual_information(dim, dim), sampler)
    yield independent_blocks("blocks-3-3", [pairs[name] for name in ("circle-0.1", "clayton-2.0", "volatility-1.0")])


#: The 40 tasks of Beyond Normal [1]_ by name.
BEYOND_NORMAL: dict[str, Task] = {task.name: task for task in _beyond_normal()}

#: Tasks that are not among them, by name: the staircase of Poole et al. [2]_ and the families that Beyond Normal lacks. The
#: rows of every task are independent.
FURTHER: dict[str, Task] = {task.name: task for task in _further()}
