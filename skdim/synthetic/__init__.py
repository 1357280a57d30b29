"""Samplers of pairs (X, Y) with known mutual information, in nats: the oracle of tests and benchmarks.

A family is a function ``family(n_samples, ..., random_state=None)`` that returns X and Y as float64 arrays of shape
(n_samples, dim_x) and (n_samples, dim_y); ``family_mutual_information(...)`` with the same parameters is its truth, and
``family_log_ratio(X, Y, ...)``, where there is one, log p(x, y) / (p(x) p(y)) at given points. Invertible maps
(:mod:`skdim.synthetic.maps`) change the marginals and the geometry of a pair and leave its mutual information.

A :class:`Task` is a family with its parameters chosen: :data:`BEYOND_NORMAL` and :data:`FURTHER` hold them by name.

Examples
--------
>>> from skdim.synthetic import BEYOND_NORMAL, FURTHER
>>> len(BEYOND_NORMAL), round(BEYOND_NORMAL["student-identity-2-2-1"].mutual_information, 4)
(40, 0.4319)
>>> X, Y = FURTHER["circle-0.1"].sample(1000, random_state=0)
>>> X.shape, Y.shape
((1000, 1), (1000, 1))
"""

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
    gaussian_log_ratio,
    gaussian_mutual_information,
    multivariate_gaussian,
    paired_covariance,
    shared_noise,
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
    gaussian_mixture_log_ratio,
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
from skdim.synthetic.student import (
    student_t,
    student_t_log_ratio,
    student_t_mutual_information,
)
from skdim.synthetic.task import Task, independent_blocks
from skdim.synthetic.tasks import BEYOND_NORMAL, FURTHER

__all__ = [
    "BEYOND_NORMAL",
    "FURTHER",
    "Task",
    "additive_cauchy",
    "additive_cauchy_mutual_information",
    "additive_exponential",
    "additive_exponential_mutual_information",
    "additive_gamma",
    "additive_gamma_mutual_information",
    "additive_uniform",
    "additive_uniform_mutual_information",
    "autoregressive_covariance",
    "checkerboard",
    "checkerboard_mutual_information",
    "clayton",
    "clayton_mutual_information",
    "contaminated_gaussian",
    "contaminated_gaussian_mutual_information",
    "contingency_table",
    "contingency_table_mutual_information",
    "correlation_for",
    "dense_covariance",
    "frank",
    "frank_mutual_information",
    "gamma_exponential",
    "gamma_exponential_mutual_information",
    "gaussian",
    "gaussian_log_ratio",
    "gaussian_mixture",
    "gaussian_mixture_log_ratio",
    "gaussian_mixture_mutual_information",
    "gaussian_mutual_information",
    "gumbel",
    "gumbel_mutual_information",
    "independent_blocks",
    "label_and_uniform",
    "label_and_uniform_mutual_information",
    "labelled_gaussians",
    "labelled_gaussians_mutual_information",
    "mixture_quantile",
    "multivariate_gaussian",
    "noisy_circle",
    "noisy_circle_mutual_information",
    "noisy_sine",
    "noisy_sine_mutual_information",
    "normal_cdf",
    "normal_product",
    "normal_product_mutual_information",
    "paired_covariance",
    "rotated_square",
    "rotated_square_mutual_information",
    "shared_noise",
    "signed_power",
    "spiral",
    "stochastic_volatility",
    "stochastic_volatility_mutual_information",
    "student_t",
    "student_t_log_ratio",
    "student_t_mutual_information",
    "swiss_roll",
    "uniform_ball",
    "uniform_ball_mutual_information",
    "wiggly",
    "zero_inflated_poisson",
    "zero_inflated_poisson_mutual_information",
]
