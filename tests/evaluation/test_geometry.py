"""Effective rank, alignment and uniformity: closed forms and invariances."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ive
from scipy.stats import ortho_group

from skdim.evaluation import _geometry, alignment, effective_rank, uniformity

seeds = st.integers(0, 2**31)


# -------------------------------------------------------------------------------------------------------- effective rank
@given(seed=seeds, singular_values=st.lists(st.floats(0.01, 100), min_size=1, max_size=6))
def test_effective_rank_is_the_exponential_of_the_entropy(seed, singular_values):
    d, rng = len(singular_values), np.random.default_rng(seed)
    rows = np.linalg.qr(rng.normal(size=(d + 4, d)))[0]
    turn = ortho_group.rvs(d, random_state=seed) if d > 1 else np.eye(1)
    p = np.array(singular_values) / sum(singular_values)
    result = effective_rank(rows * singular_values @ turn)
    np.testing.assert_allclose(result, math.exp(-(p * np.log(p)).sum()), rtol=1e-9)
    assert 1 - 1e-9 <= result <= d + 1e-9


def test_effective_rank_of_a_constant_and_of_noise():
    Z = np.random.default_rng(0).normal(size=(5000, 8))
    assert effective_rank(np.full((50, 8), 3.0)) == pytest.approx(1)
    assert effective_rank(Z) > 7.99
    assert effective_rank(Z + 100) < 1.2
    assert effective_rank(Z + 100, center=True) == pytest.approx(effective_rank(Z, center=True))
    with pytest.raises(ValueError, match="Z is 0 after its mean is subtracted"):
        effective_rank(np.ones((3, 2)), center=True)


# ---------------------------------------------------------------------------------------------- alignment and uniformity
@pytest.mark.parametrize("alpha", [1.0, 2.0, 3.0])
def test_alignment_of_known_angles(alpha):
    angles = np.linspace(0, math.pi, 7)
    a = np.column_stack([np.ones(7), np.zeros(7)])
    b = np.column_stack([np.cos(angles), np.sin(angles)]) * np.arange(1, 8)[:, None]
    np.testing.assert_allclose(alignment(a, b, alpha=alpha), np.mean((2 * np.sin(angles / 2)) ** alpha))


@given(seed=seeds)
def test_alignment_and_uniformity_do_not_change_under_turns_and_lengths(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 10, 3))
    turn, lengths = ortho_group.rvs(3, random_state=seed), rng.uniform(0.1, 10, size=(10, 1))
    np.testing.assert_allclose(alignment(a @ turn, lengths * b @ turn), alignment(a, b))
    np.testing.assert_allclose(uniformity(lengths * a @ turn), uniformity(a))
    assert 0 <= alignment(a, b) <= 4
    assert -8 <= uniformity(a) <= 0


@pytest.mark.parametrize("t", [0.5, 2.0])
def test_uniformity_of_even_points_on_the_circle(t):
    # E exp(-t |z - z'|^2) with |z - z'|^2 = 2 - 2 cos: exp(-2 t) I_0(2 t), the modified Bessel function.
    n = 2000
    angles = 2 * math.pi * np.arange(n) / n
    expected = (n * ive(0, 2 * t) - 1) / (n - 1)  # without the pairs of a point with itself
    Z = np.column_stack([np.cos(angles), np.sin(angles)])
    np.testing.assert_allclose(uniformity(Z, t=t), math.log(expected), rtol=1e-9)


def test_uniformity_in_blocks_is_that_of_all_pairs(monkeypatch):
    Z = np.random.default_rng(0).normal(size=(23, 4))
    z = Z / np.linalg.norm(Z, axis=1, keepdims=True)
    squared = ((z[:, None] - z[None]) ** 2).sum(-1)[~np.eye(23, dtype=bool)]
    monkeypatch.setattr(_geometry, "BLOCK", 5)
    np.testing.assert_allclose(uniformity(Z), math.log(np.exp(-2 * squared).mean()))


def test_uniformity_of_one_direction_and_of_opposite_ones():
    assert uniformity(np.ones((4, 3))) == pytest.approx(0)
    assert uniformity([[1.0, 0], [-1.0, 0]], t=1e4) == pytest.approx(-4e4)  # beyond the range of exp


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: effective_rank(np.zeros((3, 2))), "Z is 0: "),
        (lambda: effective_rank([1.0, 2.0]), "2D array"),
        (lambda: alignment(np.ones((3, 2)), np.ones((4, 2))), r"equal shapes, got \(3, 2\) and \(4, 2\)"),
        (lambda: alignment(np.ones((3, 2)), np.diag([1.0, 1, 0])[:, :2]), "Row 2 of Z_b is 0"),
        (lambda: uniformity(np.ones((1, 2))), "minimum of 2"),
        (lambda: uniformity(np.ones((3, 2)), t=0), "'t'"),
    ],
)
def test_refuses_what_has_no_geometry(call, message):
    with pytest.raises(ValueError, match=message):
        call()
