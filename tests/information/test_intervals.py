"""The control variate by hand and by simulation, and the normal interval against SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from skdim.information.intervals import SMALLEST_SD, control_variate, cross_fitted, mean_and_error, normal_interval

N, N_TEST, N_VALID = 400, 80, 60
TEST, VALID = np.arange(N_TEST), np.arange(N_TEST, N_TEST + N_VALID)


def repeat(draw, n_repeats, seed=0):
    """Apply the control variate to ``n_repeats`` fresh samples: (value, standard error) and the plain mean of each."""
    rng = np.random.default_rng(seed)
    results, plain = [], []
    for _ in range(n_repeats):
        values, known = draw(rng)
        results.append(control_variate(values[TEST], known, TEST, values[VALID], known[VALID]))
        plain.append(values[TEST].mean())
    return np.array(results), np.array(plain)


def linear(rng):
    """t = 1 + 2 g + noise of variance 1."""
    known = rng.normal(size=N)
    return 1 + 2 * known + rng.normal(size=N), known


def skewed(rng):
    """A value that is no linear function of what is known, neither of them symmetric: E t = 2."""
    known = rng.exponential(size=N)
    return known**2, known


def unrelated(rng):
    return rng.normal(size=N), rng.normal(size=N)


# ------------------------------------------------------------------------------------------------------ control variate
def test_value_and_error_are_the_formulas():
    known = np.array([1.0, 3.0, -2.0, 6.0])
    values, test = np.array([5.0, -1.0]), np.array([3, 0])
    values_valid, known_valid = np.array([2.0, 4.0, 9.0]), np.array([0.0, 1.0, 2.0])
    value, error = control_variate(values, known, test, values_valid, known_valid)
    # beta = Cov / Var = (7 / 3) / (2 / 3); means 2 of all four rows and 3.5 of the test rows.
    assert value == pytest.approx(2 + 3.5 * (2 - 3.5))
    # What is left on the test rows: 5 - 21 and -1 - 3.5, of variance 5.75^2; Var(g) = 8.5 on all four rows.
    assert error == pytest.approx(np.sqrt(5.75**2 / 2 + 3.5**2 * 8.5 / 4))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(1, 10))
def test_equals_a_regression_by_numpy(seed, n, n_test):
    rng = np.random.default_rng(seed)
    known, test = 3 * rng.normal(size=n + n_test), rng.permutation(n + n_test)[:n_test]
    values, values_valid, known_valid = rng.normal(size=n_test), rng.normal(size=n), rng.normal(size=n)
    beta = np.polyfit(known_valid, values_valid, 1)[0]
    value, error = control_variate(values, known, test, values_valid, known_valid)
    assert value == pytest.approx(np.mean(values - beta * known[test]) + beta * known.mean(), rel=1e-8, abs=1e-8)
    squared = np.var(values - beta * known[test]) / n_test + beta**2 * np.var(known) / (n + n_test)
    assert error == pytest.approx(np.sqrt(max(squared, SMALLEST_SD**2 / (n + n_test))), rel=1e-8)


@pytest.mark.parametrize("draw", [linear, skewed, unrelated])
def test_the_correction_has_mean_zero(draw):
    results, plain = repeat(draw, 3000)
    correction = results[:, 0] - plain
    assert correction.mean() == pytest.approx(0, abs=4 * correction.std() / np.sqrt(3000))


def test_a_slope_taken_from_the_test_rows_would_not_have_mean_zero():
    """Why beta comes from other rows: the slope and the mean of the same skewed rows are dependent."""
    rng = np.random.default_rng(0)
    corrections = []
    for _ in range(3000):
        values, known = skewed(rng)
        value, _ = control_variate(values[:10], known, TEST[:10], values[:10], known[:10])
        corrections.append(value - values[:10].mean())
    assert abs(np.mean(corrections)) > 8 * np.std(corrections) / np.sqrt(3000)


def test_what_is_known_takes_its_noise_away():
    results, plain = repeat(linear, 1000)
    expected = 1 / N_TEST + 4 / N  # the noise on the test rows; 2 g on all rows
    assert results[:, 0].var() == pytest.approx(expected, rel=0.2)
    assert plain.var() == pytest.approx(5 / N_TEST, rel=0.2)


@pytest.mark.parametrize(("draw", "truth"), [(linear, 1.0), (unrelated, 0.0)])
def test_errors_are_those_of_repeated_samples_and_intervals_cover(draw, truth):
    results, _ = repeat(draw, 2000, seed=1)
    value, error = results.T
    assert np.sqrt(np.mean(error**2)) == pytest.approx(value.std(), rel=0.08)
    lower, upper = normal_interval(value, error, 0.95)
    assert np.mean((lower <= truth) & (truth <= upper)) == pytest.approx(0.95, abs=0.02)


def test_a_perfectly_known_value_is_its_mean_over_all_rows():
    known = np.random.default_rng(0).normal(size=N)
    value, error = control_variate(5 - 3 * known[TEST], known, TEST, 5 - 3 * known[VALID], known[VALID])
    assert value == pytest.approx(5 - 3 * known.mean())
    assert error == pytest.approx(3 * known.std() / np.sqrt(N))


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e6])
def test_nothing_known_gives_the_plain_mean_and_its_error(constant):
    values, known = np.random.default_rng(0).normal(size=N), np.full(N, constant)
    value, error = control_variate(values[TEST], known, TEST, values[VALID], known[VALID])
    assert value == pytest.approx(values[TEST].mean())
    assert error == pytest.approx(values[TEST].std() / np.sqrt(N_TEST))


@settings(max_examples=60)
@given(st.integers(1, 20), st.floats(-10, 10), st.floats(-10, 10), st.sampled_from([0.0, 1e-12, 1e-3, 1.0]))
def test_the_error_is_positive_and_never_below_that_of_the_weakest_dependence(n_test, level, slope, noise):
    rng = np.random.default_rng(n_test)
    known = rng.normal(size=40)
    values = level + slope * known + noise * rng.normal(size=40)
    test, valid = np.arange(n_test), np.arange(20, 40)
    _, error = control_variate(values[test], known, test, values[valid], known[valid])
    assert error >= SMALLEST_SD / np.sqrt(40) > 0


@settings(max_examples=60)
@given(st.floats(-5, 5), st.floats(0.1, 5), st.floats(-5, 5))
def test_the_unit_and_origin_of_what_is_known_do_not_matter(shift, scale, level):
    values, known = skewed(np.random.default_rng(0))
    value, error = control_variate(values[TEST], known, TEST, values[VALID], known[VALID])
    moved = -scale * known + shift
    again = control_variate(values[TEST] + level, moved, TEST, values[VALID] + level, moved[VALID])
    assert again == pytest.approx((value + level, error), rel=1e-9, abs=1e-9)


def test_a_constant_variable_is_the_plain_mean():
    values = np.random.default_rng(0).exponential(size=50)
    assert mean_and_error(values) == control_variate(values, np.zeros(50), np.arange(50), np.zeros(1), np.zeros(1))
    assert mean_and_error(np.zeros(25)) == (0.0, SMALLEST_SD / 5)


# -------------------------------------------------------------------------------------------------------- cross-fitting
@settings(max_examples=60)
@given(st.integers(2, 40), st.integers(2, 6), st.integers(0, 100))
def test_each_row_is_predicted_once_from_the_rows_of_the_other_parts(n, n_folds, seed):
    x, calls = np.random.default_rng(seed).normal(size=n), []

    def fit_predict(train, held_out):
        calls.append((train.tolist(), held_out.tolist()))
        return x[held_out] * x[train].sum()

    result = cross_fitted(n, n_folds, np.random.default_rng(seed), fit_predict)
    assert sorted(row for _, held_out in calls for row in held_out) == list(range(n))
    for train, held_out in calls:
        assert train == sorted(set(range(n)) - set(held_out))
        for row in held_out:
            assert result[row] == x[row] * x[train].sum()
    sizes = [len(held_out) for _, held_out in calls]
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == n_folds


# ------------------------------------------------------------------------------------------------------ normal interval
@given(st.floats(-100, 100), st.floats(1e-3, 100), st.floats(0.01, 0.999))
def test_interval_is_scipys(value, error, level):
    lower, upper = normal_interval(value, error, level)
    assert (lower, upper) == pytest.approx(norm.interval(level, value, error), rel=1e-9, abs=1e-9)
    assert upper - value == pytest.approx(value - lower, abs=1e-9)


def test_more_confidence_takes_a_wider_interval():
    widths = [np.diff(normal_interval(0.0, 1.0, level)).item() for level in (0.0, 0.5, 0.6827, 0.95, 0.99)]
    assert widths == sorted(widths)
    np.testing.assert_allclose(widths, [0, 2 * 0.6745, 2, 2 * 1.96, 2 * 2.5758], atol=1e-3)
