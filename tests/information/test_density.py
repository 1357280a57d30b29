"""The density of a vector: near the truth for several shapes, proper, blind to units, and saved."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from skdim.information.density import Columns, Density

D, N = 4, 3000


def product(logpdf):
    return lambda rows: logpdf(rows).sum(1)


def bimodal(rng, n):
    return rng.choice([-1.0, 1.0], (n, D)) + 0.3 * rng.normal(size=(n, D))


def log_bimodal(y):
    return np.logaddexp(norm.logpdf(y, -1, 0.3), norm.logpdf(y, 1, 0.3)) - math.log(2)


MIXING = np.random.default_rng(5).normal(size=(D, D))
CENTRES = 4 * np.random.default_rng(6).normal(size=(5, D))


def clusters(rng, n):
    return CENTRES[rng.integers(5, size=n)] + rng.normal(size=(n, D))


def log_clusters(y):
    return np.logaddexp.reduce([norm.logpdf(y, centre).sum(1) for centre in CENTRES]) - math.log(5)


def log_mixed(y):
    return norm.logpdf(y @ np.linalg.inv(MIXING)).sum(1) - np.linalg.slogdet(MIXING)[1]


def scaled(rng, n):
    return rng.choice([0.3, 3.0], (n, 1)) * rng.normal(size=(n, D))


def log_scaled(y):
    return np.logaddexp(*(norm.logpdf(y, 0, scale).sum(1) for scale in (0.3, 3.0))) - math.log(2)


#: Samples, their log density, and what the learned density may lack of it, in nats.
SHAPES = {
    "normal": (lambda rng, n: rng.normal(size=(n, D)) @ MIXING, log_mixed, 0.02),
    "clusters": (clusters, log_clusters, 0.03),
    "heavy tails": (scaled, log_scaled, 0.03),
    "sixteen modes": (bimodal, product(log_bimodal), 0.05),
}


def learned(name, n=N, shift=0.0, unit=1.0):
    rows = SHAPES[name][0](np.random.default_rng(0), n) * unit + shift
    return Density.learn(rows[n // 4 :], rows[: n // 4], 0)


@pytest.mark.parametrize("name", SHAPES)
def test_the_density_is_near_the_truth_and_never_better(name):
    sample, log_p, lack = SHAPES[name]
    rows = sample(np.random.default_rng(1), 20_000)
    gap = log_p(rows) - learned(name).log_density(rows)
    assert -3 * gap.std() / math.sqrt(len(gap)) < gap.mean() < lack


@pytest.mark.parametrize("name", ["normal", "sixteen modes"])
def test_units_and_an_origin_change_the_density_by_their_slope_alone(name):
    rows = SHAPES[name][0](np.random.default_rng(1), 50)
    there = learned(name, shift=1e5, unit=1e3).log_density(1e3 * rows + 1e5)
    np.testing.assert_allclose(there + D * math.log(1e3), learned(name).log_density(rows), atol=1e-4)


@pytest.mark.parametrize("name", ["normal", "sixteen modes"])
def test_the_density_integrates_to_one(name):
    rows = SHAPES[name][0](np.random.default_rng(0), N)[:, :1]
    density = Density.learn(rows[N // 4 :], rows[: N // 4], 0)
    grid = np.linspace(-40, 40, 40_001)[:, None]
    assert np.exp(density.log_density(grid)).sum() * (grid[1, 0] - grid[0, 0]) == pytest.approx(1, abs=1e-3)


def test_normal_scores_are_finite_far_outside_and_rise():
    columns = Columns.learn(SHAPES["sixteen modes"][0](np.random.default_rng(0), 500))
    scores, log_slopes = columns.normal_scores(np.linspace(-300, 300, 201)[:, None].repeat(D, 1))
    assert np.isfinite(scores).all()
    assert np.isfinite(log_slopes).all()
    assert (np.diff(scores, axis=0) > 0).all()


@pytest.mark.parametrize("n", [8, 40])
def test_few_rows_give_a_density_too(n):
    rows = SHAPES["normal"][0](np.random.default_rng(1), 200)
    assert np.isfinite(learned("normal", n).log_density(rows)).all()


@pytest.mark.parametrize("name", SHAPES)
def test_a_saved_density_gives_the_same_bits(name):
    density, rows = learned(name), SHAPES[name][0](np.random.default_rng(1), 50)
    assert (Density.from_state(density.state()).log_density(rows) == density.log_density(rows)).all()
