"""Distributions of pairs (X, Y) with known mutual information, in nats: the oracle of tests and benchmarks.

A :class:`Family` is a frozen dataclass of parameters: ``sample(n_samples, random_state)`` draws X and Y as float64 arrays of
shape (n_samples, dim_x) and (n_samples, dim_y), ``mutual_information`` is the truth and ``log_ratio(X, Y)``, if its density
is known, log p(x, y) / (p(x) p(y)). Invertible maps change the marginals and the geometry of a pair and keep its mutual
information.

A parameter or an array outside its domain raises a ValueError. A :class:`Task` is a family with its parameters chosen, under
a name: :data:`BEYOND_NORMAL` has 40 of them.
"""

from skdim.synthetic.beyond_normal import BEYOND_NORMAL, AdditiveUniform
from skdim.synthetic.elliptical import (
    Gaussian,
    GaussianPairs,
    SharedNoise,
    StudentT,
    correlation_for,
    dense_covariance,
    paired_covariance,
)
from skdim.synthetic.family import DensityFamily, Family
from skdim.synthetic.maps import mixture_quantile, signed_power, spiral, swiss_roll, wiggly
from skdim.synthetic.mixtures import GaussianMixture
from skdim.synthetic.task import Task, independent_blocks

__all__ = [
    "BEYOND_NORMAL",
    "AdditiveUniform",
    "DensityFamily",
    "Family",
    "Gaussian",
    "GaussianMixture",
    "GaussianPairs",
    "SharedNoise",
    "StudentT",
    "Task",
    "correlation_for",
    "dense_covariance",
    "independent_blocks",
    "mixture_quantile",
    "paired_covariance",
    "signed_power",
    "spiral",
    "swiss_roll",
    "wiggly",
]
