"""Distributions with known mutual information: truths against independent integrals, samples against their densities."""

import dataclasses
import itertools
import math
import pickle
import time

import numpy as np
import pytest
import tasks as further
from scipy import stats
from scipy.integrate import quad
from scipy.linalg import expm
from scipy.special import i0e, k0, ndtr, xlogy
from tasks import FURTHER
from tasks.further import FAMILIES, FUNCTIONS

from skdim import synthetic as syn
from skdim.synthetic import BEYOND_NORMAL, Gaussian, GaussianMixture, GaussianPairs, SharedNoise, StudentT

TASKS = {**BEYOND_NORMAL, **FURTHER}
JOINT = np.array([[2.0, 0.3, 0.5], [0.3, 1.0, -0.2], [0.5, -0.2, 1.5]])  # two columns of X, one of Y
RIDGE = np.array([[1.0, 0.9], [0.9, 1.0]])
CROSS = ([0.5, 0.5], np.zeros((2, 2)), np.array([RIDGE, [[1.0, -0.9], [-0.9, 1.0]]]))
CLUSTERS = ([0.3, 0.4, 0.3], np.array([[-3.0, -2.0], [0.0, 2.0], [3.0, -2.0]]), np.stack([np.eye(2)] * 3))
SKEWED = (
    [0.3, 0.7],
    np.array([[0.0, 1.0], [2.0, -1.0]]),
    np.array([[[1.0, 0.5], [0.5, 2.0]], [[0.3, -0.1], [-0.1, 0.2]]]),
)
OUTLIERS = ([0.8, 0.2], np.zeros((2, 10)), np.stack([syn.paired_covariance([0.8] * 5, 5, 5), 9 * np.eye(10)]))
MIXED = ([0.4, 0.6], np.eye(2, 3), np.stack([JOINT, np.eye(3)]))


# ------------------------------------------------------------------------------------------------------------ the 40 tasks
# Names, columns and nats of benchmark-mi 0.1.3, the package of the authors of Beyond Normal, in double precision.
TABLE = """
1v1-normal-0.75                                           1  1  0.4133392865922
normal_cdf-1v1-normal-0.75                                1  1  0.4133392865922
1v1-additive-0.1                                          1  1  1.7094379124341
1v1-additive-0.75                                         1  1  0.3333333333333
1v1-bimodal-0.75                                          1  1  0.4133392865922
wiggly-1v1-normal-0.75                                    1  1  0.4133392865922
half_cube-1v1-normal-0.75                                 1  1  0.4133392865922
student-identity-1-1-1                                    1  1  0.2241714275292
asinh-student-identity-1-1-1                              1  1  0.2241714275292
swissroll_x-normal_cdf-1v1-normal-0.75                    2  1  0.4133392865922
multinormal-dense-2-2-0.5                                 2  2  0.2938933324511
multinormal-dense-3-3-0.5                                 3  3  0.4133392865922
multinormal-dense-5-5-0.5                                 5  5  0.5928118328289
multinormal-dense-25-25-0.5                              25 25  1.2921837216593
multinormal-dense-50-50-0.5                              50 50  1.6242653743037
multinormal-sparse-2-2-2-2.0                              2  2  1.0216512475320
multinormal-sparse-3-3-2-2.0                              3  3  1.0216512475320
multinormal-sparse-5-5-2-2.0                              5  5  1.0216512475320
multinormal-sparse-25-25-2-2.0                           25 25  1.0216512475320
student-identity-2-2-1                                    2  2  0.4319456220014
student-identity-2-2-2                                    2  2  0.1931471805599
student-identity-3-3-2                                    3  3  0.2909219226828
student-identity-3-3-3                                    3  3  0.1787118530924
student-identity-5-5-2                                    5  5  0.4481506769153
student-identity-5-5-3                                    5  5  0.2985436226528
normal_cdf-multinormal-sparse-3-3-2-2.0                   3  3  1.0216512475320
normal_cdf-multinormal-sparse-5-5-2-2.0                   5  5  1.0216512475320
normal_cdf-multinormal-sparse-25-25-2-2.0                25 25  1.0216512475320
half_cube-multinormal-sparse-3-3-2-2.0                    3  3  1.0216512475320
half_cube-multinormal-sparse-5-5-2-2.0                    5  5  1.0216512475320
half_cube-multinormal-sparse-25-25-2-2.0                 25 25  1.0216512475320
spiral-multinormal-sparse-3-3-2-2.0                       3  3  1.0216512475320
spiral-multinormal-sparse-5-5-2-2.0                       5  5  1.0216512475320
spiral-multinormal-sparse-25-25-2-2.0                    25 25  1.0216512475320
spiral-normal_cdf-multinormal-sparse-3-3-2-2.0            3  3  1.0216512475320
spiral-normal_cdf-multinormal-sparse-5-5-2-2.0            5  5  1.0216512475320
spiral-normal_cdf-multinormal-sparse-25-25-2-2.0         25 25  1.0216512475320
asinh-student-identity-2-2-1                              2  2  0.4319456220014
asinh-student-identity-3-3-2                              3  3  0.2909219226828
asinh-student-identity-5-5-2                              5  5  0.4481506769153
"""
REFERENCE = [tuple(line.split()) for line in TABLE.strip().splitlines()]


def test_beyond_normal_has_the_40_tasks_in_order():
    assert list(BEYOND_NORMAL) == [name for name, *_ in REFERENCE]
    assert len(BEYOND_NORMAL) == 40


@pytest.mark.parametrize(("name", "dim_x", "dim_y", "nats"), REFERENCE)
def test_a_task_of_beyond_normal_has_the_columns_and_the_nats_of_the_reference(name, dim_x, dim_y, nats):
    task = BEYOND_NORMAL[name]
    assert (task.name, task.dim_x, task.dim_y) == (name, int(dim_x), int(dim_y))
    assert task.mutual_information == pytest.approx(float(nats), rel=1e-12)


# ---------------------------------------------------------------------------------------------------- maps of the samples
def half_cube(x):
    return x * np.sqrt(np.abs(x))


def asinh(x):
    size = np.abs(x)
    return np.sign(x) * np.log1p(size + size**2 / (1 + np.hypot(1, size)))


def waves(*terms):
    return lambda x: x + sum(a * np.sin(f * x + phase) for a, f, phase in terms)


def roll(u):
    t = 1.5 * np.pi * (1 + 2 * u)
    return np.hstack([t * np.cos(t), t * np.sin(t)]) / 21


def turn(i, j):
    """Return the spiral by a matrix exponential for each point."""

    def by_hand(X):
        generator = np.zeros((X.shape[1],) * 2)
        generator[i, j], generator[j, i] = -1 / X.shape[1], 1 / X.shape[1]
        return np.array([expm(generator * (x @ x)) @ x for x in X])

    return by_hand


BY_HAND = {
    "normal_cdf": (stats.norm.cdf,) * 2,
    "half_cube": (half_cube,) * 2,
    "asinh": (asinh,) * 2,
    "cubic": (lambda x: x**3,) * 2,
    "exp": (np.exp,) * 2,
    "swissroll_x": (roll, np.array),
    "spiral": (turn(0, 1), turn(1, 2)),
    "wiggly": (
        waves((0.4, 1, 0), (0.2, 1.7, 1), (0.03, 3.3, -2.5)),
        waves((-0.4, 0.4, 0), (0.17, 1.3, 3.5), (0.02, 4.3, -2.5)),
    ),
}
MAPPED = {name: name.split("-", 1) for name in TASKS if name.split("-")[0] in BY_HAND}
UNNAMED = {"1v1-normal-0.9": Gaussian(RIDGE, 1)}  # the base of a task that is no task itself


@pytest.mark.parametrize("name", MAPPED)
def test_a_mapped_task_is_the_map_of_the_same_samples(name):
    prefix, base = MAPPED[name]
    original, mapped = UNNAMED.get(base) or TASKS[base], TASKS[name]
    assert mapped.mutual_information == original.mutual_information
    for by_hand, X, Z in zip(BY_HAND[prefix], original.sample(100, 3), mapped.sample(100, 3), strict=True):
        np.testing.assert_allclose(Z, by_hand(X), rtol=1e-12, atol=1e-10 if prefix == "spiral" else 1e-14)


def test_the_bimodal_task_has_two_modes_and_the_order_of_the_normal():
    (u, v), (X, Y) = (BEYOND_NORMAL[name].sample(400, 3) for name in ("normal_cdf-1v1-normal-0.75", "1v1-bimodal-0.75"))
    np.testing.assert_allclose(0.3 * ndtr(X) + 0.7 * ndtr(X - 5), u, rtol=1e-10)
    np.testing.assert_allclose(0.5 * ndtr(Y + 1) + 0.5 * ndtr(Y - 3), v, rtol=1e-10)


# ----------------------------------------------------------------------------------------------- densities, written anew
NODES = np.cos((np.arange(500) + 0.5) * np.pi / 500)  # Chebyshev's: the sine of a uniform phase, the shadow of a circle
HERMITE, HERMITE_WEIGHTS = np.polynomial.hermite_e.hermegauss(120)
HERMITE_WEIGHTS = HERMITE_WEIGHTS / HERMITE_WEIGHTS.sum()


def uniform_noise_pdf(y, epsilon):
    """Return the density of the sum of uniform variables on [0, 1] and [-epsilon, epsilon]."""
    return (np.clip(y + epsilon, 0, 1) - np.clip(y - epsilon, 0, 1)) / (2 * epsilon)


def weinman_pdf(y, scale):
    """Return the density of the sum of two exponential times of means 1 and ``scale``."""
    return y * np.exp(-y) if scale == 1 else (np.exp(-y) - np.exp(-y / scale)) / (1 - scale)


def shadow_pdf(t, noise):
    """Return the density of a coordinate of the unit circle in Gaussian noise."""
    return stats.norm.pdf(np.asarray(t)[..., None], NODES, noise).mean(-1)


def circle_pdf(r, noise):
    return np.exp(-(((r - 1) / noise) ** 2) / 2) * i0e(r / noise**2) / (2 * np.pi * noise**2)


def volatility_pdf(y, scale):
    return stats.norm.pdf(np.asarray(y)[..., None], 0, np.exp(scale * HERMITE)) @ HERMITE_WEIGHTS


def ball_volume(d):
    return np.pi ** (d / 2) / math.gamma(d / 2 + 1)


def ball_pdf(r, d, rest):
    """Return the density, at distance r, of d coordinates of a uniform ball of d + rest dimensions."""
    return (1 - r**2) ** (rest / 2) * ball_volume(rest) / ball_volume(d + rest)


def trapezoid(a, b):
    """Return the distribution of a U + b V, a > b, for U and V uniform on an interval of length 1 about 0."""
    return stats.trapezoid(b / (a + b), a / (a + b), loc=-(a + b) / 2, scale=a + b)


def log_clayton(s, t, theta):
    """Return the log density of the copula at s = -log u and t = -log v; so do the next two."""
    log_sum = np.log(np.exp(theta * s) + np.expm1(theta * t))
    return math.log1p(theta) + (theta + 1) * (s + t) - (2 + 1 / theta) * log_sum


def log_gumbel(s, t, theta):
    w = (s**theta + t**theta) ** (1 / theta)
    return s + t - w + (theta - 1) * np.log(s * t) + (1 - 2 * theta) * np.log(w) + np.log(w + theta - 1)


def log_frank(s, t, theta):
    u, v, delta = np.exp(-s), np.exp(-t), -np.expm1(-theta)
    rest = delta - np.expm1(-theta * u) * np.expm1(-theta * v)
    return np.log(theta * delta) - theta * (u + v) - 2 * np.log(rest)


def mixture_pdf(weights, means, covariances):
    components = [stats.multivariate_normal(*component) for component in zip(means, covariances, strict=True)]
    return lambda z: sum(w * component.pdf(z) for w, component in zip(weights, components, strict=True))


def mixture_log_ratio(weights, means, covariances, dim_x):
    joint = mixture_pdf(weights, means, covariances)
    p_x = mixture_pdf(weights, means[:, :dim_x], covariances[:, :dim_x, :dim_x])
    p_y = mixture_pdf(weights, means[:, dim_x:], covariances[:, dim_x:, dim_x:])
    return lambda X, Y: np.log(joint(np.hstack([X, Y])) / p_x(X) / p_y(Y))


def elliptical_log_ratio(matrix, dim_x, dof=math.inf):
    """Return the log ratio of a Gaussian or Student-t by scipy's densities."""
    parts = matrix, matrix[:dim_x, :dim_x], matrix[dim_x:, dim_x:]
    joint, x, y = (stats.multivariate_t(np.zeros(len(part)), part, df=dof) for part in parts)
    return lambda X, Y: joint.logpdf(np.hstack([X, Y])) - x.logpdf(X) - y.logpdf(Y)


# --------------------------------------------------------------------------------------------- truths by other integrals
NOISE = stats.norm.entropy()


def entropy(pdf, *limits):
    """Return -∫ p log p by adaptive quadrature over the pieces between the limits."""
    pieces = itertools.pairwise(limits)
    return sum(quad(lambda t: -float(xlogy(pdf(t), pdf(t))), *piece, limit=200)[0] for piece in pieces)


def radial_entropy(pdf, d, radius):
    """Return -∫ p log p of a density in d dimensions that depends on the distance alone."""
    return quad(lambda r: -d * ball_volume(d) * r ** (d - 1) * float(xlogy(pdf(r), pdf(r))), 0, radius, limit=200)[0]


def plane_information(pdf, reach, n):
    """Return ∫∫ p log p / (p p) by Gauss and Legendre's rule on a square about 0."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    t, w = reach * nodes, reach * weights
    p = pdf(np.stack(np.meshgrid(t, t, indexing="ij"), axis=-1))
    return float(w @ (xlogy(p, p) - xlogy(p, (p @ w)[:, None]) - xlogy(p, w @ p)) @ w)


def copula_information(log_density, theta):
    """Return ∫∫ c log c on a grid of log s and log t, where s and t are exponential times."""
    s = np.exp(np.arange(-36, 4.2, 0.05))
    weights = s * np.exp(-s) * 0.05
    log_c = log_density(s[:, None], s[None], theta)
    return float(weights @ (np.exp(log_c) * log_c) @ weights)


def poisson_information(p):
    k = np.arange(80)

    def weighted(rate):
        q = (1 - p) * stats.poisson.pmf(k, rate) + p * (k == 0)
        return -float(xlogy(q, q).sum()) * math.exp(-rate)

    marginal = (1 - p) * 0.5 ** (k + 1) + p * (k == 0)
    return -float(xlogy(marginal, marginal).sum()) - quad(weighted, 0, 30)[0]


TRUTHS = {
    "gaussian": (
        Gaussian(RIDGE, 1),
        lambda: plane_information(stats.multivariate_normal(np.zeros(2), RIDGE).pdf, 9, 160),
    ),
    "gaussian in three columns": (
        Gaussian(JOINT, 2),
        lambda: -0.5 * math.log(1 - JOINT[2, :2] @ np.linalg.solve(JOINT[:2, :2], JOINT[:2, 2]) / JOINT[2, 2]),
    ),
    "pairs": (GaussianPairs(-0.7, 3), lambda: -1.5 * math.log(0.51)),
    "a row of shared noise": (SharedNoise(7), lambda: -0.5 * math.log(1 - 0.2**2)),
    "student": (
        StudentT(3, np.eye(2), 1),
        lambda: 2 * stats.t(3).entropy() - stats.multivariate_t(np.zeros(2), np.eye(2), 3).entropy(),
    ),
    "student in three columns": (
        StudentT(2.5, JOINT, 2),
        lambda: (
            stats.multivariate_t(np.zeros(2), JOINT[:2, :2], 2.5).entropy()
            + stats.t(2.5, scale=math.sqrt(1.5)).entropy()
            - stats.multivariate_t(np.zeros(3), JOINT, 2.5).entropy()
        ),
    ),
    "cross": (GaussianMixture(*CROSS, 1), lambda: plane_information(mixture_pdf(*CROSS), 9, 200)),
    "skewed mixture": (GaussianMixture(*SKEWED, 1), lambda: plane_information(mixture_pdf(*SKEWED), 13, 300)),
    "contaminated": (
        further.ContaminatedGaussian(0.9, 1, 0.3, 2.0),
        lambda: plane_information(mixture_pdf([0.7, 0.3], np.zeros((2, 2)), [RIDGE, 4 * np.eye(2)]), 18, 300),
    ),
    "uniform noise": (
        syn.AdditiveUniform(0.1),
        lambda: entropy(lambda y: uniform_noise_pdf(y, 0.1), -0.1, 0.1, 0.9, 1.1) - math.log(0.2),
    ),
    "wide uniform noise": (
        syn.AdditiveUniform(0.75),
        lambda: entropy(lambda y: uniform_noise_pdf(y, 0.75), -0.75, 0.25, 0.75, 1.75) - math.log(1.5),
    ),
    "cauchy noise": (
        further.AdditiveCauchy(0.4),
        lambda: stats.cauchy(scale=1.4).entropy() - stats.cauchy(scale=0.4).entropy(),
    ),
    **{
        f"exponential noise of mean {scale}": (
            further.AdditiveExponential(scale),
            lambda scale=scale: entropy(lambda y: weinman_pdf(y, scale), 0, 5, 150) - 1 - math.log(scale),
        )
        for scale in (0.3, 1, 2.5)
    },
    "gamma noise": (
        further.AdditiveGamma(2.0, 0.5),
        lambda: stats.gamma(2.5).entropy() - stats.gamma(0.5).entropy(),
    ),
    "gamma-exponential": (
        further.GammaExponential(1.7),
        lambda: stats.lomax(1.7).entropy() - 1 + stats.gamma(1.7).expect(np.log),
    ),
    "normal product": (
        further.NormalProduct(),
        lambda: 2 * entropy(lambda y: k0(y) / np.pi, 0, 1, 60) - NOISE - stats.chi(1).expect(np.log),
    ),
    "volatility": (
        further.StochasticVolatility(0.5),
        lambda: 2 * entropy(lambda y: volatility_pdf(y, 0.5), 0, 1, 10, 400) - NOISE,
    ),
    **{
        f"sine in noise {noise}": (
            further.NoisySine(noise),
            lambda noise=noise: (
                2 * entropy(lambda y: shadow_pdf(y, noise), 0, 1, 1 + 12 * noise) - NOISE - np.log(noise)
            ),
        )
        for noise in (0.2, 2.0)
    },
    "circle": (
        further.NoisyCircle(0.1),
        lambda: (
            4 * entropy(lambda x: shadow_pdf(x, 0.1), 0, 1, 2.2) - radial_entropy(lambda r: circle_pdf(r, 0.1), 2, 2.2)
        ),
    ),
    "square": (further.RotatedSquare(2.0), lambda: 2 * trapezoid(math.sin(2), -math.cos(2)).entropy()),
    "ball": (
        further.UniformBall(2, 1),
        lambda: (
            radial_entropy(lambda r: ball_pdf(r, 2, 1), 2, 1)
            + radial_entropy(lambda r: ball_pdf(r, 1, 2), 1, 1)
            - math.log(ball_volume(3))
        ),
    ),
    "checkerboard": (  # the same as a table of its squares
        further.Checkerboard(6),
        lambda: further.ContingencyTable(np.indices((6, 6)).sum(0) % 2 / 18).mutual_information,
    ),
    "clayton": (further.Clayton(0.8), lambda: copula_information(log_clayton, 0.8)),
    "gumbel": (further.Gumbel(1.5), lambda: copula_information(log_gumbel, 1.5)),
    "frank": (further.Frank(5.0), lambda: copula_information(log_frank, 5.0)),
    "table": (
        further.ContingencyTable([[0.45, 0.05], [0.05, 0.45]]),
        lambda: math.log(2) + 0.1 * math.log(0.1) + 0.9 * math.log(0.9),
    ),
    "label and uniform": (  # Y has the densities 1/6, 1/3, 1/3, 1/6 on four unit intervals
        further.LabelAndUniform(3),
        lambda: math.log(6) / 3 + 2 * math.log(3) / 3 - math.log(2),
    ),
    **{
        f"poisson, lost {p}": (further.ZeroInflatedPoisson(p), lambda p=p: poisson_information(p))
        for p in (0.0, 0.15, 0.6)
    },
    "labels": (
        further.LabelledGaussians(3, 2.0),
        lambda: entropy(lambda x: stats.norm.pdf(x, [0, 2, 4]).mean(), -12, 2, 16) - NOISE,
    ),
}


def test_every_family_has_a_truth():
    exported = [getattr(module, name) for module in (syn, further) for name in module.__all__]
    families = {thing for thing in exported if isinstance(thing, type) and issubclass(thing, syn.Family)}
    of_functions = {further.NoisyFunction, further.LogisticLabel}
    assert families - {syn.Family, syn.DensityFamily} == {type(family) for family, _ in TRUTHS.values()} | of_functions


def test_functions_of_normals_have_their_information():
    t = np.linspace(-9, 9, 6001)
    weights = stats.norm.pdf(t) * (t[1] - t[0])
    y = np.linspace(-3, 60, 12_001)
    density = np.array([(weights * stats.norm.pdf(point, t**2, 0.5)).sum() for point in y])
    p = 1 / (1 + np.exp(-2 * t))
    given = -(weights * (p * np.log(p) + (1 - p) * np.log1p(-p))).sum()
    by_hand = {
        "square": -(density * np.log(np.maximum(density, 1e-300))).sum() * (y[1] - y[0]) - NOISE - math.log(0.5),
        "signs": math.log(2),
        "label-line-1": math.log(2) - given,
        "label-line-10": math.log(2) - given,
    }
    for name, truth in by_hand.items():
        assert FUNCTIONS[name].mutual_information == pytest.approx(truth, abs=1e-3), name


@pytest.mark.parametrize("name", TRUTHS)
def test_a_truth_equals_an_independent_integral(name):
    family, by_hand = TRUTHS[name]
    assert family.mutual_information == pytest.approx(by_hand(), rel=1e-7)


@pytest.mark.parametrize("name", TRUTHS)
def test_a_family_is_frozen_and_samples_the_same_after_pickle(name):
    family, _ = TRUTHS[name]
    restored = pickle.loads(pickle.dumps(family))
    assert restored.mutual_information == family.mutual_information
    for sides in zip(family.sample(40, 5), restored.sample(40, np.random.default_rng(5)), strict=True):
        assert np.array_equal(*sides)
    with pytest.raises(dataclasses.FrozenInstanceError):
        family.rho = 0.5


@pytest.mark.parametrize(
    "independent",
    [
        Gaussian(np.diag([1.0, 2.0, 3.0]), 1),
        GaussianPairs(0.0, 5),
        further.Gumbel(1),
        further.Gumbel(1 + 1e-9),
        further.Clayton(1e-4),
        further.Frank(1e-3),
        further.AdditiveCauchy(1e8),
        further.GammaExponential(1e8),
        further.StochasticVolatility(1e-4),
        further.LabelledGaussians(3, 1e-4),
        further.LabelAndUniform(1),
        further.ContaminatedGaussian(0.0, 4, 0.5, 1.0),
        *(further.RotatedSquare(quarter * np.pi / 2) for quarter in range(4)),
    ],
)
def test_without_dependence_there_is_no_information(independent):
    assert independent.mutual_information == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (GaussianPairs(0.9), Gaussian(RIDGE, 1)),
        (StudentT(1e7, RIDGE, 1), Gaussian(RIDGE, 1)),
        (GaussianMixture([1.0], [[5, 7]], [RIDGE], 1), Gaussian(RIDGE, 1)),
        (further.ContaminatedGaussian(0.9, 1, 1e-9), Gaussian(RIDGE, 1)),
        (further.ContaminatedGaussian(-0.7, 6, 0.3), further.ContaminatedGaussian(0.7, 6, 0.3)),
        (further.AdditiveGamma(1, 1), further.AdditiveExponential(1)),
        (further.AdditiveExponential(1 + 1e-7), further.AdditiveExponential(1)),
        (further.Frank(-7.0), further.Frank(7.0)),
        (further.LabelledGaussians(4, 30.0), further.ContingencyTable(np.eye(4) / 4)),
    ],
)
def test_families_agree_where_they_meet(a, b):
    assert a.mutual_information == pytest.approx(b.mutual_information, abs=1e-6)


@pytest.mark.parametrize("n_dims", [1, 3, 20])
@pytest.mark.parametrize("mi", [0.0, 0.5, 2.0, 10.0])
def test_correlation_for_inverts_the_closed_form(mi, n_dims):
    rho = syn.correlation_for(mi, n_dims)
    for family in (Gaussian(syn.paired_covariance([rho] * n_dims, n_dims, n_dims), n_dims), GaussianPairs(rho, n_dims)):
        assert family.mutual_information == pytest.approx(mi, abs=1e-7)


@pytest.mark.parametrize(("dim_x", "dim_y"), [(1, 1), (2, 10), (50, 50)])
def test_the_dense_gaussian_has_one_canonical_pair_the_sums_of_its_columns(dim_x, dim_y):
    r = 0.5
    squared = r**2 * dim_x * dim_y / ((1 + (dim_x - 1) * r) * (1 + (dim_y - 1) * r))
    truth = Gaussian(syn.dense_covariance(dim_x, dim_y, r), dim_x).mutual_information
    assert truth == pytest.approx(-0.5 * math.log(1 - squared))


# -------------------------------------------------------------------------------------- samples against exact log ratios
def staircase(mi):
    rho = math.sqrt(1 - math.exp(-mi / 10))
    return lambda X, Y: (stats.norm.logpdf(Y, rho * X, math.sqrt(1 - rho**2)) - stats.norm.logpdf(Y)).sum(1)


def ball(X, Y):
    d = X.shape[1]
    p_x, p_y = (ball_pdf(np.linalg.norm(Z, axis=1), d, d) for Z in (X, Y))
    return -np.log(p_x * p_y * ball_volume(2 * d))


def poisson(x, y):
    lost = 0.15 * (y == 0)
    return np.log(0.85 * stats.poisson.pmf(y, x) + lost) - np.log(0.85 * 0.5 ** (y + 1) + lost)


def colour(n_squares):
    return lambda x, y: np.log(2.0 * ((np.floor(n_squares * x) + np.floor(n_squares * y)) % 2 == 0))


def copula(log_density, theta):
    return lambda u, v: log_density(-np.log(u), -np.log(v), theta)


def sine(k):
    return lambda x, y: stats.norm.logpdf(y, np.sin(k * x), 0.2) - np.log(shadow_pdf(y, 0.2))


def pairs_covariance(d):
    shared = np.isin(np.arange(2 * d), [0, 1, d, d + 1])
    return np.eye(2 * d) + 0.8 * sum(np.eye(2 * d, k=k) * shared for k in (d, -d))


COVARIANCES = {
    **{f"multinormal-dense-{d}-{d}-0.5": (np.eye(2 * d) / 2 + 0.5, d) for d in (2, 3, 5, 25, 50)},
    **{f"multinormal-sparse-{d}-{d}-2-2.0": (pairs_covariance(d), d) for d in (2, 3, 5, 25)},
    "multinormal-dense-2-10-0.5": (np.eye(12) / 2 + 0.5, 2),
    "autoregressive-8-3-0.9": (0.9 ** np.abs(np.subtract.outer(np.arange(11), np.arange(11))), 8),
}
VECTORS = {
    **{name: elliptical_log_ratio(*gaussian) for name, gaussian in COVARIANCES.items()},
    **{
        f"student-identity-{d}-{d}-{dof}": elliptical_log_ratio(np.eye(2 * d), d, dof)
        for d, dof in ((1, 1), (2, 1), (2, 2), (3, 2), (3, 3), (5, 2), (5, 3))
    },
    **{f"staircase-20-20-{mi}": staircase(mi) for mi in (2, 4, 6, 8, 10)},
    "independent-5-5": lambda X, Y: np.zeros(len(X)),
    "student-dense-3-2-3-0.5": elliptical_log_ratio(np.eye(5) / 2 + 0.5, 3, 3),
    "mixture-cross": mixture_log_ratio(*CROSS, 1),
    "mixture-clusters": mixture_log_ratio(*CLUSTERS, 1),
    "contaminated-5-5-0.2": mixture_log_ratio(*OUTLIERS, 5),
    "ball-1-1": ball,
    "ball-5-5": ball,
}
NUMBERS = {
    "1v1-normal-0.75": lambda x, y: stats.norm.logpdf(y, 0.75 * x, math.sqrt(1 - 0.75**2)) - stats.norm.logpdf(y),
    "1v1-additive-0.1": lambda x, y: -np.log(0.2 * uniform_noise_pdf(y, 0.1)),
    "1v1-additive-0.75": lambda x, y: -np.log(1.5 * uniform_noise_pdf(y, 0.75)),
    "cauchy-1.0": lambda x, y: stats.cauchy.logpdf(y - x) - stats.cauchy.logpdf(y, scale=2),
    "exponential-0.5": lambda x, y: stats.expon.logpdf(y - x, scale=0.5) - np.log(weinman_pdf(y, 0.5)),
    "gamma-2.0-0.5": lambda x, y: stats.gamma.logpdf(y - x, 0.5) - stats.gamma.logpdf(y, 2.5),
    "gamma-exponential-0.5": lambda x, y: stats.expon.logpdf(y, scale=1 / x) - stats.lomax.logpdf(y, 0.5),
    "normal-product": lambda x, y: stats.norm.logpdf(y, 0, np.abs(x)) - np.log(k0(np.abs(y)) / np.pi),
    "volatility-1.0": lambda x, y: stats.norm.logpdf(y, 0, np.exp(x)) - np.log(volatility_pdf(y, 1.0)),
    "sine-1-0.2": sine(1),
    "sine-4-0.2": sine(4),
    "circle-0.1": lambda x, y: np.log(circle_pdf(np.hypot(x, y), 0.1) / shadow_pdf(x, 0.1) / shadow_pdf(y, 0.1)),
    "diamond": lambda x, y: -trapezoid(math.sqrt(0.5), math.sqrt(0.5)).logpdf([x, y]).sum(0),
    "checkerboard-2": colour(2),
    "checkerboard-8": colour(8),
    "clayton-2.0": copula(log_clayton, 2.0),
    "gumbel-3.0": copula(log_gumbel, 3.0),
    "frank-8.0": copula(log_frank, 8.0),
    "binary-channel-0.1": lambda x, y: np.log(np.where(x == y, 1.8, 0.2)),
    "label-and-uniform-5": lambda x, y: np.log(0.5) - np.log(np.where((y > 1) & (y < 5), 0.2, 0.1)),
    "zero-inflated-poisson-0.15": poisson,
    "labelled-gaussians-3-2.0": lambda x, y: (
        stats.norm.logpdf(x, 2 * y) - np.log(stats.norm.pdf(x[:, None], [0, 2, 4]).mean(1))
    ),
}


def test_every_task_is_checked_by_its_density_or_is_a_map_of_one_that_is():
    assert {*VECTORS, *NUMBERS, *MAPPED, *FUNCTIONS, "1v1-bimodal-0.75", "blocks-3-3"} == set(TASKS)


@pytest.mark.parametrize("name", [*VECTORS, *NUMBERS])
def test_the_mean_log_ratio_of_the_samples_is_the_truth(name):
    X, Y = TASKS[name].sample(20_000, random_state=0)
    log_ratio = VECTORS[name](X, Y) if name in VECTORS else NUMBERS[name](X[:, 0], Y[:, 0])
    assert log_ratio.shape == (20_000,)
    standard_error = log_ratio.std() / math.sqrt(20_000)
    assert abs(log_ratio.mean() - TASKS[name].mutual_information) < 4 * standard_error + 1e-12


# ------------------------------------------------------------------------------------------------------- marginals, joints
UNIFORM, NORMAL = stats.uniform(), stats.norm()
MARGINALS = {
    "1v1-normal-0.75": (NORMAL, NORMAL),
    "normal_cdf-1v1-normal-0.75": (UNIFORM, UNIFORM),
    "1v1-additive-0.1": (UNIFORM, None),
    "student-identity-5-5-2": (stats.t(2), stats.t(2)),
    "staircase-20-20-10": (NORMAL, NORMAL),
    "exp-1v1-normal-0.9": (stats.lognorm(1), stats.lognorm(1)),
    "autoregressive-8-3-0.9": (NORMAL, NORMAL),
    "cauchy-1.0": (stats.cauchy(), stats.cauchy(scale=2)),
    "exponential-0.5": (stats.expon(), None),
    "gamma-2.0-0.5": (stats.gamma(2), stats.gamma(2.5)),
    "gamma-exponential-0.5": (stats.gamma(0.5), stats.lomax(0.5)),
    "normal-product": (NORMAL, None),
    "volatility-1.0": (NORMAL, None),
    "sine-4-0.2": (stats.uniform(-np.pi, 2 * np.pi), None),
    "diamond": (stats.triang(0.5, -math.sqrt(0.5), math.sqrt(2)),) * 2,
    "checkerboard-8": (UNIFORM, UNIFORM),
    "ball-1-1": (stats.semicircular(), stats.semicircular()),
    "clayton-2.0": (UNIFORM, UNIFORM),
    "gumbel-3.0": (UNIFORM, UNIFORM),
    "frank-8.0": (UNIFORM, UNIFORM),
    "zero-inflated-poisson-0.15": (stats.expon(), None),
}


@pytest.mark.parametrize("name", MARGINALS)
def test_columns_have_their_distribution(name):
    for columns, distribution in zip(TASKS[name].sample(5000, random_state=1), MARGINALS[name], strict=True):
        if distribution is not None:
            for column in columns.T:
                assert stats.kstest(column, distribution.cdf, method="asymp").pvalue > 1e-3


COPULAS = {
    "clayton-2.0": lambda u, v: (u**-2 + v**-2 - 1) ** -0.5,
    "gumbel-3.0": lambda u, v: math.exp(-(((-math.log(u)) ** 3 + (-math.log(v)) ** 3) ** (1 / 3))),
    "frank-8.0": lambda u, v: -math.log1p(math.expm1(-8 * u) * math.expm1(-8 * v) / math.expm1(-8)) / 8,
}


@pytest.mark.parametrize("name", COPULAS)
@pytest.mark.parametrize(("u", "v"), [(0.1, 0.2), (0.5, 0.5), (0.9, 0.3), (0.95, 0.9)])
def test_a_copula_has_its_distribution_function(name, u, v):
    X, Y = TASKS[name].sample(40_000, random_state=2)
    expected = COPULAS[name](u, v)
    assert abs(np.mean((u > X) & (v > Y)) - expected) < 4 * math.sqrt(expected * (1 - expected) / 40_000)


@pytest.mark.parametrize("theta", [-500.0, -3.0, 500.0])
def test_frank_of_either_sign_and_any_strength_is_uniform(theta):
    X, Y = further.Frank(theta).sample(5000, random_state=0)
    assert stats.kstest(Y[:, 0], "uniform").pvalue > 1e-3
    assert np.sign(stats.kendalltau(X, Y).statistic) == np.sign(theta)


@pytest.mark.parametrize(
    "name", ["mixture-cross", "circle-0.1", "normal-product", "volatility-1.0", "diamond", "ball-5-5"]
)
def test_uncorrelated_families_are_uncorrelated(name):
    X, Y = TASKS[name].sample(20_000, random_state=0)
    assert abs(stats.spearmanr(X[:, 0], Y[:, 0]).statistic) < 0.04


@pytest.mark.parametrize("name", COVARIANCES)
def test_gaussian_samples_have_their_covariance(name):
    np.testing.assert_allclose(np.cov(np.hstack(TASKS[name].sample(20_000, 3)).T), COVARIANCES[name][0], atol=0.06)


# ----------------------------------------------------------------------------------------------------- rows that share noise
def test_rows_of_a_batch_share_their_noise():
    X, Y = SharedNoise(batch_size=2).sample(400_000, random_state=0)
    X, Y = X.reshape(-1, 2), Y.reshape(-1, 2)
    rows = np.cov(np.stack([X[:, 0], X[:, 1], Y[:, 0], Y[:, 1]]))
    expected = [[2, 1, 0.4, -0.5], [1, 2, -0.5, 0.4], [0.4, -0.5, 2, 1], [-0.5, 0.4, 1, 2]]
    np.testing.assert_allclose(rows, expected, atol=0.03)


def test_batches_of_shared_noise_are_independent_and_the_last_may_be_short():
    X, Y = SharedNoise(batch_size=4).sample(10, random_state=0)
    assert X.shape == Y.shape == (10, 1)
    X, Y = (Z[:, 0] for Z in SharedNoise(batch_size=1).sample(100_000, random_state=0))
    assert np.mean(X * Y) == pytest.approx(0.4, abs=0.03)
    assert np.mean(X[1:] * Y[:-1]) == pytest.approx(0, abs=0.03)


def test_the_numbers_stated_for_shared_noise():
    joint, product = np.array([[2, 0.4], [0.4, 2]]), np.array([[2, -0.5], [-0.5, 2]])
    assert SharedNoise(1).mutual_information == pytest.approx(0.0204, abs=5e-5)
    divergence = np.trace(np.linalg.solve(product, joint)) - 2 + math.log(np.linalg.det(product) / np.linalg.det(joint))
    assert divergence / 2 == pytest.approx(0.1081, abs=5e-5)
    assert Gaussian(RIDGE, 1).mutual_information == pytest.approx(0.8304, abs=5e-5)


# ------------------------------------------------------------------------------------------------------------- log ratios
LOG_RATIOS = {
    "gaussian": (Gaussian(JOINT, 2), elliptical_log_ratio(JOINT, 2)),
    "pairs": (GaussianPairs(0.6, 2), elliptical_log_ratio(syn.paired_covariance([0.6, 0.6], 2, 2), 2)),
    "heavy student": (StudentT(0.7, JOINT, 2), elliptical_log_ratio(JOINT, 2, 0.7)),
    "student": (StudentT(3.0, JOINT, 2), elliptical_log_ratio(JOINT, 2, 3.0)),
    "skewed mixture": (GaussianMixture(*SKEWED, 1), mixture_log_ratio(*SKEWED, 1)),
    "mixture": (GaussianMixture(*MIXED, 2), mixture_log_ratio(*MIXED, 2)),
}


@pytest.mark.parametrize("name", LOG_RATIOS)
def test_a_log_ratio_is_the_difference_of_log_densities_and_broadcasts(name):
    family, by_hand = LOG_RATIOS[name]
    X, Y = family.sample(50, random_state=0)
    np.testing.assert_allclose(family.log_ratio(X, Y), by_hand(X, Y), rtol=1e-9, atol=1e-12)
    pairs = family.log_ratio(X[:, None], Y[None])
    assert pairs.shape == (50, 50)
    np.testing.assert_allclose(pairs.diagonal(), family.log_ratio(X, Y), rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match=f"must have {X.shape[1]} and {Y.shape[1]} columns, got 1 and 5"):
        family.log_ratio(np.zeros((3, 1)), np.zeros((3, 5)))


def test_the_exponential_of_a_log_ratio_has_mean_one_under_the_product():
    X, Y = Gaussian(JOINT, 2).sample(2000, random_state=0)
    assert np.exp(Gaussian(JOINT, 2).log_ratio(X[:, None], Y[None])).mean() == pytest.approx(1, abs=0.03)


# -------------------------------------------------------------------------------------------------------------------- maps
POINTS = np.random.default_rng(0).standard_normal((200, 4))
LINE = np.linspace(-6, 6, 4001)[:, None]
WAVES = [(0.5, 1.0, 0.3), (-0.2, 2.0, 1.0)]


@pytest.mark.parametrize(
    "increasing",
    [
        ndtr,
        np.arcsinh,
        lambda x: syn.signed_power(x, 3),
        lambda x: syn.signed_power(x, 0.5),
        lambda x: syn.wiggly(x, WAVES),
        lambda x: syn.mixture_quantile(ndtr(x), [0.2, 0.8], [-1, 4]),
    ],
)
def test_maps_of_numbers_are_strictly_increasing(increasing):
    assert (np.diff(increasing(LINE)[:, 0]) > 0).all()


def test_maps_of_numbers_undo_each_other():
    np.testing.assert_allclose(syn.signed_power(syn.signed_power(POINTS, 1.5), 2 / 3), POINTS, rtol=1e-12)
    np.testing.assert_allclose(syn.mixture_quantile(ndtr(POINTS), [1.0], [0.0]), POINTS, atol=1e-9)
    assert np.array_equal(syn.wiggly(POINTS, []), POINTS)


def test_the_ends_of_the_mixture_quantile_are_finite():
    low, high = syn.mixture_quantile([[0.0, 1.0]], [0.5, 0.5], [-1, 3])[0]
    assert -11 <= low < -9
    assert 11 < high <= 13


def test_a_spiral_keeps_distances_and_the_other_axes_and_its_negative_speed_undoes_it():
    turned = syn.spiral(POINTS, (1, 3), speed=0.7)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), np.linalg.norm(POINTS, axis=1))
    assert np.array_equal(turned[:, [0, 2]], POINTS[:, [0, 2]])
    np.testing.assert_allclose(syn.spiral(turned, (1, 3), speed=-0.7), POINTS, atol=1e-12)
    np.testing.assert_allclose(syn.spiral(POINTS, (3, 1), speed=-0.7), turned, atol=1e-12)


def test_a_spiral_keeps_volumes():
    point, step = np.array([0.3, -1.2, 0.8]), 1e-6
    moved = syn.spiral(point + step * np.vstack([np.eye(3), -np.eye(3)]), (0, 2), speed=1.3)
    assert np.linalg.det((moved[:3] - moved[3:]) / (2 * step)) == pytest.approx(1, abs=1e-8)


def test_the_radius_of_the_swiss_roll_gives_its_number_back():
    u = np.linspace(0, 1, 101)[:, None]
    radius = np.linalg.norm(syn.swiss_roll(u), axis=1)
    np.testing.assert_allclose((21 * radius / (1.5 * np.pi) - 1) / 2, u[:, 0], atol=1e-12)


def test_maps_leave_their_argument_alone():
    before = POINTS.copy()
    syn.spiral(POINTS, (0, 1))
    syn.signed_power(POINTS, 2)
    assert np.array_equal(POINTS, before)


# ------------------------------------------------------------------------------------------------------------------- tasks
@pytest.mark.parametrize("name", TASKS)
def test_a_task_gives_float64_columns_by_seed_and_survives_pickle(name):
    task = TASKS[name]
    X, Y = task.sample(40, random_state=5)
    assert X.dtype == Y.dtype == np.float64
    assert X.shape == (40, task.dim_x)
    assert Y.shape == (40, task.dim_y)
    assert np.isfinite(X).all()
    assert np.isfinite(Y).all()
    restored = pickle.loads(pickle.dumps(task))
    assert restored == task
    for again in (task.sample(40, random_state=5), restored.sample(40, random_state=np.random.default_rng(5))):
        assert np.array_equal(X, again[0])
        assert np.array_equal(Y, again[1])
    assert not np.array_equal(X, task.sample(40, random_state=6)[0])
    start = time.perf_counter()
    task.sample(10_000, random_state=0)
    assert time.perf_counter() - start < 1


def test_random_states_of_every_kind():
    task = FURTHER["circle-0.1"]
    rng = np.random.default_rng(0)
    assert not np.array_equal(task.sample(5, rng)[0], task.sample(5, rng)[0])
    legacy = np.random.RandomState(0)
    first = task.sample(5, legacy)[0]
    assert not np.array_equal(first, task.sample(5, legacy)[0])
    assert np.array_equal(first, task.sample(5, np.random.RandomState(0))[0])
    assert not np.array_equal(task.sample(5)[0], task.sample(5)[0])


def test_the_global_generator_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    for task in TASKS.values():
        task.sample(3)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_a_task_is_frozen_and_shows_its_facts():
    task = BEYOND_NORMAL["1v1-additive-0.75"]
    assert repr(task) == "Task(name='1v1-additive-0.75', dim_x=1, dim_y=1, mutual_information=0.3333333333333333)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.dim_x = 2


def test_the_dictionaries_hold_each_task_under_its_name_and_share_none():
    assert all(task.name == name for name, task in TASKS.items())
    assert len(TASKS) == len(BEYOND_NORMAL) + len(FURTHER)
    assert FAMILIES.keys() < FURTHER.keys()


@pytest.mark.parametrize("mi", [2, 4, 6, 8, 10])
def test_the_staircase_has_its_nats(mi):
    assert FURTHER[f"cubic-staircase-20-20-{mi}"].mutual_information == pytest.approx(mi, rel=1e-12)


def test_a_mapped_task_leaves_the_view_without_a_map_and_counts_the_columns_of_the_other():
    base = BEYOND_NORMAL["normal_cdf-1v1-normal-0.75"]
    mapped = base.mapped("rolled", map_y=syn.swiss_roll)
    assert (mapped.dim_x, mapped.dim_y, mapped.mutual_information) == (1, 2, base.mutual_information)
    (x, y), (X, Y) = base.sample(9, 0), mapped.sample(9, 0)
    assert np.array_equal(x, X)
    assert np.array_equal(syn.swiss_roll(y), Y)


def test_independent_blocks_add_up():
    names = ["circle-0.1", "clayton-2.0", "volatility-1.0"]
    task = FURTHER["blocks-3-3"]
    assert task.mutual_information == pytest.approx(sum(FURTHER[name].mutual_information for name in names))
    X, Y = task.sample(20_000, random_state=0)
    log_ratio = sum(NUMBERS[name](X[:, i], Y[:, i]) for i, name in enumerate(names))
    assert abs(log_ratio.mean() - task.mutual_information) < 4 * log_ratio.std() / math.sqrt(20_000)
    ranks = stats.spearmanr(np.hstack([X, Y])).statistic
    between = np.abs(ranks[~np.eye(6, dtype=bool) & ~np.eye(6, k=3, dtype=bool) & ~np.eye(6, k=-3, dtype=bool)])
    assert between.max() < 4.5 / math.sqrt(20_000)


# ------------------------------------------------------------------------------------------------------------------ errors
POSITIVE = r"must lie in \(0, inf\)"
ERRORS = [
    (lambda: GaussianPairs(1.0), r"rho must lie in \(-1, 1\), got 1.0"),
    (lambda: GaussianPairs(0.5, n_dims=0), "n_dims must be an integer of at least 1, got 0"),
    (lambda: GaussianPairs(0.5).sample(0), "n_samples must be an integer of at least 1, got 0"),
    (lambda: syn.correlation_for(-0.1), "mutual_information must be finite and not negative, got -0.1"),
    (lambda: syn.correlation_for(math.inf), "got inf"),
    (lambda: syn.dense_covariance(2, 2, 1.0), r"correlation must lie in \[0, 1\), got 1.0"),
    (lambda: syn.dense_covariance(0, 2), "dim_x must be an integer of at least 1"),
    (lambda: syn.paired_covariance([0.1] * 3, 2, 5), "3 correlations are too many for 2 and 5 dimensions"),
    (lambda: syn.paired_covariance([-1.0], 2, 5), r"correlation must lie in \(-1, 1\), got -1.0"),
    (lambda: further.autoregressive_covariance(2, 2, 1.0), r"correlation must lie in \(-1, 1\)"),
    (lambda: Gaussian(np.ones((2, 3)), 1), r"square matrix, got shape \(2, 3\)"),
    (lambda: Gaussian(np.ones((2, 2)), 1), "positive definite"),
    (lambda: Gaussian([[1, 0.5], [0.4, 1]], 1), "symmetric"),
    (lambda: Gaussian(np.eye(3), 3), r"dim_x must lie in \[1, 2\] for 3 dimensions, got 3"),
    (lambda: Gaussian(np.eye(3), 0), r"dim_x must lie in \[1, 2\]"),
    (lambda: SharedNoise(batch_size=0), "batch_size must be an integer of at least 1, got 0"),
    (lambda: StudentT(0, np.eye(2), 1), f"dof {POSITIVE}, got 0"),
    (lambda: StudentT(math.inf, np.eye(2), 1), f"dof {POSITIVE}, got inf"),
    (lambda: StudentT(1, np.ones((2, 2)), 1), "positive definite"),
    (lambda: GaussianMixture([0.5, 0.6], *CROSS[1:], 1), "weights must be positive, with sum 1"),
    (lambda: GaussianMixture([1.0], *CROSS[1:], 1), r"\(k, d\) and \(k, d, d\), got \(2, 2\) and \(2, 2, 2\)"),
    (lambda: GaussianMixture(*CROSS, 2), "dim_x must lie in"),
    (lambda: GaussianMixture(*OUTLIERS, 5).mutual_information, r"\(k, 2\), got \(2, 10\): average log_ratio"),
    (
        lambda: GaussianMixture([0.5, 0.5], [[0, 0], [99, 99]], [1e-4 * np.eye(2)] * 2, 1).mutual_information,
        "too narrow for a grid",
    ),
    (lambda: further.ContaminatedGaussian(0.5, 2, 1.0), r"contamination must lie in \(0, 1\), got 1.0"),
    (lambda: further.ContaminatedGaussian(0.5, 2, 0.1, scale=0), f"scale {POSITIVE}"),
    (lambda: syn.AdditiveUniform(0), f"epsilon {POSITIVE}, got 0"),
    (lambda: further.AdditiveCauchy(-1), f"scale {POSITIVE}"),
    (lambda: further.AdditiveExponential(0), f"scale {POSITIVE}"),
    (lambda: further.AdditiveGamma(1.0, 0.0), f"noise_shape {POSITIVE}"),
    (lambda: further.GammaExponential(math.nan), f"shape {POSITIVE}, got nan"),
    (lambda: further.StochasticVolatility(10), r"scale must lie in \(0, 10\), got 10"),
    (lambda: further.NoisySine(0.1, frequency=1.5), "frequency must be an integer of at least 1, got 1.5"),
    (lambda: further.NoisySine(0.001), r"noise must lie in \[0.01, inf\).*got 0.001"),
    (lambda: further.NoisyCircle(0.001), r"noise must lie in \[0.01, inf\)"),
    (lambda: further.UniformBall(1, 0), "dim_y must be an integer of at least 1"),
    (lambda: further.Checkerboard(3), "n_squares must be even, got 3"),
    (lambda: further.Checkerboard(0), "n_squares must be an integer of at least 2, got 0"),
    (lambda: further.Clayton(0), f"theta {POSITIVE}"),
    (lambda: further.Gumbel(0.9), r"theta must lie in \[1, 500\], got 0.9"),
    (lambda: further.Frank(0.0), "theta must lie in .* and not be 0, got 0.0"),
    (lambda: further.ContingencyTable([[0.5, 0.6]]), "with sum 1"),
    (lambda: further.ContingencyTable([0.5, 0.5]), "must be a table"),
    (lambda: further.LabelAndUniform(0), "n_labels must be an integer of at least 1"),
    (lambda: further.ZeroInflatedPoisson(1.0), r"probability must lie in \[0, 1\), got 1.0"),
    (lambda: further.LabelledGaussians(2, 0), f"separation {POSITIVE}"),
    (lambda: syn.signed_power(POINTS, 0), f"exponent {POSITIVE}"),
    (lambda: syn.wiggly(POINTS, [(0.5, 2.0, 0.0)]), "less than 1, got 1"),
    (lambda: syn.mixture_quantile(POINTS, [0.5, 0.4], [0, 1]), "weights must be positive, with sum 1"),
    (lambda: syn.mixture_quantile(POINTS, [1.0], [0, 1]), "one for each mean"),
    (lambda: syn.swiss_roll(POINTS), r"shape \(n, 1\), got \(200, 4\)"),
    (lambda: syn.spiral(POINTS, (0, 4)), r"plane must name two of 4 axes, got \(0, 4\)"),
    (lambda: syn.spiral(POINTS, (1, 1)), "plane must name two of 4 axes"),
    (lambda: syn.independent_blocks("none", []), "at least one block, got none"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_bad_parameters_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
