"""Neural dependency against total correlations in closed form, and its exact symmetries."""

import math

import numpy as np
import pandas as pd
import pytest

from skdim.evaluation import neural_dependency
from skdim.exceptions import ConstantInputWarning


def equicorrelated(n, d, rho, seed=0):
    """Return Gaussian columns with correlation rho, and their total correlation."""
    R = np.full((d, d), rho) + (1 - rho) * np.eye(d)
    Z = np.random.default_rng(seed).normal(size=(n, d)) @ np.linalg.cholesky(R).T
    return Z, -0.5 * np.linalg.slogdet(R)[1]


def quick(Z, **params):
    return neural_dependency(Z, **{"n_steps": 300, "random_state": 0, **params})


# ------------------------------------------------------------------------------------------------------------- the truth
@pytest.mark.parametrize(
    "sample",
    [
        lambda rng, shape: rng.normal(size=shape),
        lambda rng, shape: rng.standard_cauchy(shape),
        lambda rng, shape: rng.integers(2, size=shape),
        lambda rng, shape: np.maximum(rng.normal(size=shape), 0),
    ],
    ids=["normal", "cauchy", "binary", "relu"],
)
def test_independent_columns(sample):
    result = quick(sample(np.random.default_rng(0), (2000, 6)))
    assert abs(result.value) < 0.02
    assert result.interval[0] < 0 < result.interval[1]
    assert result.kind == "lower"


@pytest.mark.parametrize(("d", "rho"), [(2, 0.9), (5, 0.5), (16, 0.4)])
def test_gaussians_within_a_tenth(d, rho):
    Z, truth = equicorrelated(6000, d, rho)
    result = quick(Z)
    np.testing.assert_allclose(result.value, truth, rtol=0.1)
    np.testing.assert_allclose(result.gaussian, truth, rtol=0.1)
    assert result.interval[0] < truth < result.interval[1]


def test_what_no_correlation_shows():
    rng = np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], size=(4000, 2))
    # Any two are independent.
    result = quick(np.column_stack([signs, signs.prod(1)]), hidden_layer_sizes=(64, 64), n_steps=1000)
    assert abs(result.gaussian) < 0.01
    assert 0.5 < result.value < math.log(2) + 0.05  # a lower bound of log 2, and edges are sharp


def test_the_discriminator_alone_finds_it_too():
    Z, truth = equicorrelated(4000, 2, 0.8)
    result = quick(Z, reference=None)
    np.testing.assert_allclose(result.value, truth, rtol=0.15)
    assert result.gaussian == 0


# ------------------------------------------------------------------------------------------------------------ symmetries
def test_rising_maps_of_columns_change_nothing_at_all():
    Z, _ = equicorrelated(500, 3, 0.5)
    mapped = np.column_stack([np.exp(Z[:, 0]), Z[:, 1] ** 3, 100 + 7 * Z[:, 2]])
    assert quick(Z, n_steps=30).value == quick(mapped, n_steps=30).value


def test_constant_columns_change_nothing():
    Z, _ = equicorrelated(500, 3, 0.5)
    assert quick(np.insert(Z, 1, 4.0, axis=1), n_steps=30).value == quick(Z, n_steps=30).value


def test_without_steps_the_gaussian_part_is_left():
    Z, _ = equicorrelated(1000, 4, 0.5)
    result = quick(Z, n_steps=0)
    np.testing.assert_allclose(result.value, result.gaussian, atol=0.05)


def test_an_int_gives_the_same_again_and_frames_too():
    Z, _ = equicorrelated(300, 3, 0.5)
    first = quick(Z, n_steps=30)
    assert first.value == quick(pd.DataFrame(Z, columns=list("abc")), n_steps=30).value
    assert first.value != quick(Z, n_steps=30, random_state=1).value
    assert first.to_frame()["kind"].item() == "lower"
    assert repr(first).startswith("DependencyResult(0.")


# -------------------------------------------------------------------------------------------------- warnings and errors
def test_one_column_depends_on_nothing():
    with pytest.warns(ConstantInputWarning, match="1 of 2 columns vary"):
        assert neural_dependency(np.column_stack([np.arange(30), np.ones(30)])).value == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Z": np.ones((10, 3))}, "minimum of 20"),
        ({"Z": np.full((30, 3), np.nan)}, "NaN"),
        ({"reference": "mixture"}, "'reference'"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes must be a tuple of positive integers"),
        ({"device": "abacus"}, "Unknown device"),
    ],
)
def test_refuses_what_it_cannot_use(change, message):
    given = {"Z": np.random.default_rng(0).normal(size=(40, 3))} | change
    with pytest.raises(ValueError, match=message):
        neural_dependency(**given)
