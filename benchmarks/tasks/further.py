"""Tasks beside the 40 of Beyond Normal: the staircase of Poole et al. (ICML 2019), and families that Beyond Normal lacks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from skdim.synthetic import (
    Family,
    Gaussian,
    GaussianMixture,
    GaussianPairs,
    StudentT,
    Task,
    correlation_for,
    dense_covariance,
    independent_blocks,
    signed_power,
)
from tasks.additive import AdditiveCauchy, AdditiveExponential, AdditiveGamma
from tasks.copulas import Clayton, Frank, Gumbel
from tasks.discrete import ContingencyTable, LabelAndUniform, LabelledGaussians, ZeroInflatedPoisson
from tasks.functions import (
    LogisticLabel,
    NoisyFunction,
    cosine,
    line,
    product,
    signs,
    square,
    three_columns,
    waves,
)
from tasks.gaussians import ContaminatedGaussian, autoregressive_covariance
from tasks.noise import GammaExponential, NoisyCircle, NoisySine, NormalProduct, StochasticVolatility
from tasks.shapes import Checkerboard, RotatedSquare, UniformBall

FAMILIES: dict[str, Family] = {
    "independent-5-5": GaussianPairs(0.0, 5),
    "multinormal-dense-2-10-0.5": Gaussian(dense_covariance(2, 10, 0.5), 2),
    "autoregressive-8-3-0.9": Gaussian(autoregressive_covariance(8, 3, 0.9), 8),
    "student-dense-3-2-3-0.5": StudentT(3, dense_covariance(3, 2, 0.5), 3),
    "mixture-cross": GaussianMixture((0.5, 0.5), np.zeros((2, 2)), [[[1, r], [r, 1]] for r in (0.9, -0.9)], 1),
    "mixture-clusters": GaussianMixture((0.3, 0.4, 0.3), [[-3, -2], [0, 2], [3, -2]], [np.eye(2)] * 3, 1),
    "contaminated-5-5-0.2": ContaminatedGaussian(0.8, 5, contamination=0.2),
    "cauchy-1.0": AdditiveCauchy(1.0),
    "exponential-0.5": AdditiveExponential(0.5),
    "gamma-2.0-0.5": AdditiveGamma(2.0, 0.5),
    "gamma-exponential-0.5": GammaExponential(0.5),
    "normal-product": NormalProduct(),
    "volatility-1.0": StochasticVolatility(1.0),
    "sine-1-0.2": NoisySine(0.2, frequency=1),
    "sine-4-0.2": NoisySine(0.2, frequency=4),
    "circle-0.1": NoisyCircle(0.1),
    "diamond": RotatedSquare(math.pi / 4),
    "checkerboard-2": Checkerboard(2),
    "checkerboard-8": Checkerboard(8),
    "clayton-2.0": Clayton(2.0),
    "gumbel-3.0": Gumbel(3.0),
    "frank-8.0": Frank(8.0),
    "binary-channel-0.1": ContingencyTable([[0.45, 0.05], [0.05, 0.45]]),
    "label-and-uniform-5": LabelAndUniform(5),
    "zero-inflated-poisson-0.15": ZeroInflatedPoisson(0.15),
    "labelled-gaussians-3-2.0": LabelledGaussians(3, 2.0),
    "ball-1-1": UniformBall(1, 1),
    "ball-5-5": UniformBall(5, 5),
}


def _further() -> Iterator[Task]:
    cube = partial(signed_power, exponent=3.0)
    for mi in (2, 4, 6, 8, 10):
        staircase = Task.of(f"staircase-20-20-{mi}", GaussianPairs(correlation_for(mi, 20), 20))
        yield staircase
        yield staircase.mapped(f"cubic-{staircase.name}", cube, cube)
    yield Task.of("1v1-normal-0.9", Gaussian([[1, 0.9], [0.9, 1]], 1)).mapped("exp-1v1-normal-0.9", np.exp, np.exp)
    tasks = {name: Task.of(name, family) for name, family in FAMILIES.items()}
    yield from tasks.values()
    yield from FUNCTIONS.values()
    yield independent_blocks("blocks-3-3", [tasks[name] for name in ("circle-0.1", "clayton-2.0", "volatility-1.0")])


def _functions() -> Iterator[Task]:
    noisy = {"square": (square, 1, 0.5), "waves": (waves, 1, 0.3), "three-columns": (three_columns, 3, 0.3)}
    for name, (function, n_columns, noise) in (noisy | {"signs": (signs, 3, 0.3)}).items():
        yield Task.of(name, NoisyFunction(function, n_columns, noise))
    for name, function, n_columns in (
        ("line", line, 1),
        ("line", line, 10),
        ("xor", product, 2),
        ("cosine", cosine, 1),
    ):
        yield Task.of(f"label-{name}-{n_columns}", LogisticLabel(function, n_columns))


#: Kinds of data that people have few rows of, by name; they are in ``FURTHER`` too, or in ``BEYOND_NORMAL``.
FUNCTIONS: dict[str, Task] = {task.name: task for task in _functions()}
SMALL = (
    "1v1-normal-0.75",
    "1v1-additive-0.1",
    "1v1-additive-0.75",
    "swissroll_x-normal_cdf-1v1-normal-0.75",
    "multinormal-dense-3-3-0.5",
    "multinormal-sparse-5-5-2-2.0",
    "student-identity-2-2-1",
    "sine-1-0.2",
    "circle-0.1",
    "checkerboard-2",
    "mixture-cross",
    "clayton-2.0",
    "volatility-1.0",
    "gamma-exponential-0.5",
    "independent-5-5",
    *FUNCTIONS,
)
#: Tasks whose Y is a label.
LABELLED = {"labelled-gaussians-3-2.0", *(name for name in FUNCTIONS if name.startswith("label"))}
#: The tasks by name; the rows of every task are independent.
FURTHER: dict[str, Task] = {task.name: task for task in _further()}
