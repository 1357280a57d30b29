"""Normal scores, standardisation and canonical axes against SciPy, closed forms, simulations and their invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from scipy.stats import cauchy, expon, multivariate_normal, norm, rankdata, uniform

from skdim.information.canonical import (
    CanonicalAxes,
    NormalScores,
    Standardize,
    canonical_axes,
    debias_correlations,
    log_ratio,
)
from skdim.synthetic import Gaussian, GaussianPairs, paired_covariance

LIMITED = settings(max_examples=40)

#: Columns of few distinct values, so that ties are common, over which every map below is strictly monotone in float64.
COLUMNS = st.lists(st.integers(-30, 30), min_size=1, max_size=25).map(lambda values: np.array(values, dtype=float))

MONOTONE = {
    "affine": lambda x: 3 * x + 1000,
    "cube": lambda x: x**3,
    "exp": lambda x: np.exp(x / 2),
    "arctan": lambda x: np.arctan(x / 10),
    "steps": lambda x: np.where(x > 3, 1e6 + x, x / 1e3),
}


def scores_of(X):
    return NormalScores.learn(X)(X)


# -------------------------------------------------------------------------------------------------------- normal scores
@pytest.mark.parametrize("n", [2, 3, 10, 1001])
def test_distinct_values_get_the_normal_quantiles_of_their_ranks(n):
    X = np.random.default_rng(n).normal(size=(n, 3))
    expected = norm.ppf((rankdata(X, axis=0) - 0.5) / n)
    expected *= np.sign(expected[0] + (expected[0] == 0) * expected[1])
    np.testing.assert_allclose(scores_of(X), expected, rtol=1e-12, atol=1e-12)


@LIMITED
@given(COLUMNS)
def test_ties_share_the_mean_of_their_ranks(column):
    scores = scores_of(column[:, None]).ravel()
    expected = norm.ppf((rankdata(column, method="average") - 0.5) / len(column))
    first = expected[np.abs(expected) > 1e-12]
    sign = np.sign(first[0]) if len(first) else 1.0
    np.testing.assert_allclose(scores, sign * expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", MONOTONE)
@LIMITED
@given(COLUMNS)
def test_a_monotone_map_changes_nothing_at_all(name, column):
    X = column[:, None]
    mapped = MONOTONE[name](X)
    assert np.array_equal(scores_of(mapped), scores_of(X))  # equal, not close
    assert np.array_equal(scores_of(-mapped), scores_of(X))


@LIMITED
@given(COLUMNS)
def test_the_first_score_of_a_column_is_positive(column):
    scores = scores_of(column[:, None]).ravel()
    scores = scores[scores != 0]
    assert len(scores) == 0 or scores[0] > 0


@LIMITED
@given(COLUMNS, st.randoms(use_true_random=False))
def test_scores_follow_their_rows_up_to_the_sign(column, random):
    order = random.sample(range(len(column)), len(column))
    scores, shuffled = scores_of(column[:, None])[order], scores_of(column[order][:, None])
    assert np.array_equal(scores, shuffled) or np.array_equal(scores, -shuffled)


@LIMITED
@given(COLUMNS)
def test_the_scores_of_distinct_values_are_symmetric(column):
    distinct = np.unique(column)
    scores = np.sort(scores_of(distinct[:, None]).ravel())
    assert np.array_equal(scores, -scores[::-1])


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e300])
def test_a_constant_column_becomes_zero_for_new_values_too(value):
    X = np.full((5, 1), value)
    scores = NormalScores.learn(X)
    assert not scores(X).any()
    assert not scores(np.array([[-1e9], [0.0], [1e9]])).any()


def test_columns_are_scored_one_by_one():
    X = np.random.default_rng(0).normal(size=(20, 4))
    np.testing.assert_array_equal(scores_of(X), np.hstack([scores_of(X[:, [j]]) for j in range(4)]))
    assert NormalScores.learn(X)(X[:0]).shape == (0, 4)


def test_new_values_lie_on_the_lines_between_the_fitted_ones_and_tie_with_the_outermost():
    fitted = np.array([[4.0], [0.0], [1.0], [10.0]])
    scores = NormalScores.learn(fitted)
    a, b, c, d = norm.ppf([0.125, 0.375, 0.625, 0.875])
    new = np.array([[0.5], [3.0], [7.0], [-2.0], [40.0]])
    expected = [(a + b) / 2, b + 2 / 3 * (c - b), (c + d) / 2, a, d]
    np.testing.assert_allclose(scores(new).ravel(), expected, rtol=1e-12)


@LIMITED
@given(COLUMNS, st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30))
def test_new_values_keep_their_order(column, new):
    scores = NormalScores.learn(column[:, None])
    values = scores(np.sort(new)[:, None]).ravel()
    rises = scores.scores[0][-1] >= scores.scores[0][0]
    steps = np.diff(values if rises else -values)
    assert (steps >= -1e-9 * np.abs(values).max()).all()


@pytest.mark.parametrize("quantile", [uniform.ppf, expon.ppf, cauchy.ppf])
def test_new_rows_beyond_the_fitted_ones_do_not_rule_the_mean_log_ratio(quantile):
    """Rows beyond the fitted range by many times the outermost spacing are common, whatever the tails."""
    differences = []
    for seed in range(30):
        X, Y = GaussianPairs(0.9).sample(1300, random_state=seed)
        x, y = (
            scores(mapped) * np.sign(scores.scores[0][-1])
            for mapped in (quantile(norm.cdf(X)), quantile(norm.cdf(Y)))
            for scores in [NormalScores.learn(mapped[:300])]
        )
        ratios = log_ratio(x, y, np.array([0.9])) - log_ratio(X, Y, np.array([0.9]))
        differences.append(ratios[300:].mean())
    assert np.abs(differences).max() < 0.15


def test_cauchy_data_and_new_cauchy_rows_have_finite_scores():
    rng = np.random.default_rng(0)
    scores = NormalScores.learn(rng.standard_cauchy((2000, 3)))
    assert np.isfinite(scores(rng.standard_cauchy((50_000, 3)))).all()


def test_values_over_the_whole_range_of_float64_have_finite_scores():
    column = np.array([-1e300, -1.0, 0.0, 1e-300, 1.0, 1e300])[:, None]
    assert np.isfinite(NormalScores.learn(column)(np.vstack([column, 1.5 * column]))).all()


def test_scores_of_fresh_rows_are_nearly_standard_normal():
    rng = np.random.default_rng(0)
    fresh = NormalScores.learn(rng.gamma(2, size=(4000, 1)))(rng.gamma(2, size=(4000, 1)))
    assert abs(fresh.mean()) < 0.1
    assert fresh.std() == pytest.approx(1, abs=0.1)


# ------------------------------------------------------------------------------------------------------ standardisation
def test_columns_get_mean_0_and_variance_1():
    X = np.random.default_rng(0).gamma(2, size=(50, 4)) * [1e-8, 1, 3, 1e8] + [0, -5, 100, 1e9]
    Z = Standardize.learn(X)(X)
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(Z.std(axis=0), 1, rtol=1e-12)


@LIMITED
@given(COLUMNS, st.integers(-5, 5).map(lambda e: 10.0**e), st.floats(-100, 100))
def test_a_change_of_unit_is_undone(column, scale, shift):
    X = column[:, None]
    np.testing.assert_allclose(
        Standardize.learn(scale * X + shift)(scale * X + shift), Standardize.learn(X)(X), atol=1e-6
    )


@pytest.mark.parametrize("value", [0.0, 0.1, -1 / 3, 1e8 + 0.1])
@pytest.mark.parametrize("n", [1, 10, 100, 1000])
def test_a_constant_column_becomes_zero_whatever_its_value(value, n):
    """The mean of n times 0.1 need not be 0.1: what is left of the difference is not to be blown up to 1."""
    X = np.column_stack([np.full(n, value), np.arange(n)])
    assert not Standardize.learn(X)(X)[:, 0].any()


def test_new_rows_are_standardised_by_the_fitted_ones():
    standardize = Standardize.learn(np.array([[1.0, 5.0], [3.0, 5.0]]))
    np.testing.assert_array_equal(standardize(np.array([[5.0, 7.0]])), [[3.0, 2.0]])


# ---------------------------------------------------------------------------------------------- de-biased correlations
def appears_as(rho, c1, c2):
    """Return the sample correlation as which a population correlation appears."""
    return np.sqrt((rho**2 * (1 - c1) + c1) * (rho**2 * (1 - c2) + c2)) / rho


def smallest_seen(c1, c2):
    """Return the population correlation that appears at the bulk's edge."""
    return (c1 * c2 / ((1 - c1) * (1 - c2))) ** 0.25


def edge_of(c1, c2):
    return np.sqrt(c1) * np.sqrt(1 - c2) + np.sqrt(c2) * np.sqrt(1 - c1)  # its square is the stated formula


SHARES = st.tuples(st.floats(1e-6, 0.9), st.floats(1e-6, 0.9)).filter(lambda c: sum(c) < 0.95)


@settings(max_examples=200)
@given(SHARES, st.floats(0.02, 1))
def test_correlations_return_from_the_sample(shares, place):
    smallest = smallest_seen(*shares)
    rho = smallest + place * (1 - smallest)
    sample = np.array([appears_as(rho, *shares)])
    assert debias_correlations(sample, *shares).item() == pytest.approx(rho, abs=1e-10)


@given(SHARES)
def test_the_edge_is_where_the_smallest_correlation_appears(shares):
    assert appears_as(smallest_seen(*shares), *shares) == pytest.approx(edge_of(*shares), rel=1e-9)


@LIMITED
@given(SHARES, st.floats(0, 1))
def test_the_bulk_is_noise(shares, place):
    edge = edge_of(*shares)
    assert debias_correlations(np.array([place * edge * (1 - 1e-9), 0.0]), *shares).tolist() == [0, 0]
    just_above = debias_correlations(np.array([edge + 1e-6 * (1 - edge)]), *shares).item()
    assert just_above == pytest.approx(smallest_seen(*shares), abs=0.02)


@LIMITED
@given(SHARES)
def test_debiased_correlations_shrink_and_keep_their_order(shares):
    sample = np.linspace(0, 1, 101)
    correlations = debias_correlations(sample, *shares)
    assert (np.diff(correlations) >= 0).all()
    assert (correlations <= sample + 1e-12).all()
    assert correlations[-1] == pytest.approx(1)
    np.testing.assert_allclose(correlations, debias_correlations(sample, *shares[::-1]), atol=1e-7)


def test_without_dimensions_to_speak_of_the_sample_is_taken_at_its_word():
    sample = np.array([1.0, 0.7, 0.1, 0.0])
    np.testing.assert_allclose(debias_correlations(sample, 0.0, 0.0), sample)


def test_rounding_above_1_is_1():
    assert debias_correlations(np.array([1 + 1e-12]), 0.1, 0.1).tolist() == [1.0]


def test_in_high_dimensions_only_the_debiased_correlations_are_right():
    family, truth = Gaussian(paired_covariance([0.8, 0.5], 100, 100), 100), np.array([0.8, 0.5])
    raw, debiased = [], []
    for seed in range(8):
        axes, sample = axes_and_sample(*family.sample(2000, random_state=seed))
        raw.append(sample)
        debiased.append(axes.correlations[:2])
        assert len(axes.correlations) <= 3  # 98 of the 100 sample correlations are noise, up to 0.44
    raw, debiased = np.array(raw), np.array(debiased)
    np.testing.assert_allclose(debiased.mean(axis=0), truth, atol=0.02)  # (1 - rho^2) / sqrt(2000) = 0.017 each
    assert (raw[:, :2].mean(axis=0) - truth > [0.018, 0.06]).all()
    truth = family.mutual_information
    assert -0.5 * np.log(1 - debiased**2).sum(axis=1).mean() == pytest.approx(truth, abs=0.04)
    assert -0.5 * np.log(1 - raw**2).sum(axis=1).min() > 5 * truth


def test_independent_data_have_no_correlation():
    """The largest sample correlation fluctuates about the edge, by the Tracy-Widom law: it passes in a ninth of the cases."""
    rng = np.random.default_rng(0)
    found = [canonical_axes(rng.normal(size=(500, 12)), rng.normal(size=(500, 18))).correlations for _ in range(100)]
    assert sum(len(correlations) > 0 for correlations in found) <= 25
    assert max(len(correlations) for correlations in found) <= 1
    rng = np.random.default_rng(1)
    assert len(canonical_axes(rng.normal(size=(500, 12)), rng.normal(size=(500, 18))).correlations) == 0


# --------------------------------------------------------------------------------------------------------- canonical axes
def axes_and_sample(X, Y):
    """Return the axes and, as a twin computes them, the canonical correlations of the sample."""
    angles = subspace_angles(X - X.mean(axis=0), Y - Y.mean(axis=0))
    return canonical_axes(X, Y), np.sort(np.cos(angles))[::-1]


def correlated(n=400, dim_x=5, dim_y=3, seed=0):
    """Return rows of mean other than 0, correlated within and across the sides."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(dim_x + dim_y, dim_x + dim_y))
    Z = rng.normal(size=(n, dim_x + dim_y)) @ factor + rng.normal(size=dim_x + dim_y)
    return Z[:, :dim_x], Z[:, dim_x:]


def invertible(dim, seed):
    """Return a matrix of condition number 100."""
    rng = np.random.default_rng(seed)
    (left, _), (right, _) = (np.linalg.qr(rng.normal(size=(dim, dim))) for _ in range(2))
    return left * np.logspace(-1, 1, dim) @ right if dim > 1 else np.array([[-7.0]])


@pytest.mark.parametrize(("dim_x", "dim_y"), [(1, 1), (5, 3), (2, 7), (4, 4)])
def test_variates_are_white_and_correlated_pair_by_pair(dim_x, dim_y):
    X, Y = correlated(dim_x=dim_x, dim_y=dim_y)
    axes, sample = axes_and_sample(X, Y)
    x, y = axes.x(X), axes.y(Y)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(x.T @ x / len(x), np.eye(dim_x), atol=1e-8)
    np.testing.assert_allclose(y.T @ y / len(y), np.eye(dim_y), atol=1e-8)
    cross = np.zeros((dim_x, dim_y))
    np.fill_diagonal(cross, sample)
    np.testing.assert_allclose(x.T @ y / len(x), cross, atol=1e-8)


def test_correlations_are_the_samples_debiased():
    X, Y = correlated(n=300)
    axes, sample = axes_and_sample(X, Y)
    expected = debias_correlations(sample, 5 / 300, 3 / 300)
    np.testing.assert_allclose(axes.correlations, expected[expected > 0], rtol=1e-8)


@LIMITED
@given(st.integers(0, 999), st.integers(1, 5), st.integers(1, 4))
def test_invertible_linear_maps_change_neither_correlations_nor_log_ratios(seed, dim_x, dim_y):
    X, Y = correlated(200, dim_x, dim_y, seed)
    A, B = invertible(dim_x, seed + 1), invertible(dim_y, seed + 2)
    axes, mapped = canonical_axes(X, Y), canonical_axes(X @ A + 3, Y @ B - 5)
    np.testing.assert_allclose(mapped.correlations, axes.correlations, atol=1e-6)
    ratios = axes.log_ratio(X, Y)
    np.testing.assert_allclose(mapped.log_ratio(X @ A + 3, Y @ B - 5), ratios, atol=1e-5 * (1 + np.abs(ratios).max()))
    # The variates themselves are fixed up to the sign, axis by axis.
    k = len(axes.correlations)
    inner = mapped.x(X @ A + 3)[:, :k].T @ axes.x(X)[:, :k] / len(X)
    np.testing.assert_allclose(np.abs(inner), np.eye(k), atol=1e-3)


@LIMITED
@given(st.permutations(range(5)), st.lists(st.sampled_from([-100.0, -1.0, 0.01, 1.0, 3.0]), min_size=5, max_size=5))
def test_order_sign_and_unit_of_columns_change_nothing(order, scale):
    X, Y = correlated()
    axes, changed = canonical_axes(X, Y), canonical_axes(X[:, order] * scale, Y)
    np.testing.assert_allclose(changed.correlations, axes.correlations, atol=1e-7)
    np.testing.assert_allclose(changed.log_ratio(X[:, order] * scale, Y), axes.log_ratio(X, Y), atol=1e-5)


def test_exchanging_the_sides_changes_nothing():
    X, Y = correlated()
    axes, exchanged = canonical_axes(X, Y), canonical_axes(Y, X)
    np.testing.assert_allclose(exchanged.correlations, axes.correlations, rtol=1e-8)
    np.testing.assert_allclose(exchanged.log_ratio(Y, X), axes.log_ratio(X, Y), atol=1e-8)


def test_a_column_twice_and_a_constant_column_add_no_dimension():
    X, Y = correlated(dim_x=3, dim_y=2)
    plain = canonical_axes(X, Y)
    more_x = np.column_stack([np.full(len(X), 0.1), X, X[:, 0], X @ [1.0, 2.0, 3.0]])
    more_y = np.column_stack([Y, np.full(len(Y), 1e6)])
    axes = canonical_axes(more_x, more_y)
    assert axes.weights_x.shape == (6, 3)
    assert axes.weights_y.shape == (3, 2)
    np.testing.assert_allclose(axes.correlations, plain.correlations, atol=1e-8)
    np.testing.assert_allclose(axes.log_ratio(more_x, more_y), plain.log_ratio(X, Y), atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, -1 / 3])
def test_a_side_without_variation_has_no_axes(value):
    X, Y = np.full((50, 2), value), correlated(n=50)[1]
    axes = canonical_axes(X, Y)
    assert axes.weights_x.shape == (2, 0)
    assert axes.x(X).shape == (50, 0)
    assert len(axes.correlations) == 0
    assert not axes.log_ratio(X, Y).any()
    both = canonical_axes(X, X)
    assert not both.log_ratio(X, X).any()


@pytest.mark.parametrize(("n", "n_found"), [(7, 0), (8, 0), (30, 0), (200, 3)])
def test_as_many_dimensions_as_rows_say_nothing(n, n_found):
    """X and Y share three directions, but 8 rows of 5 + 3 columns correlate completely whatever they hold."""
    rng = np.random.default_rng(0)
    Y = rng.normal(size=(n, 3))
    X = np.column_stack([Y + 0.3 * rng.normal(size=(n, 3)), rng.normal(size=(n, 2 if n != 30 else 27))])
    axes = canonical_axes(X, Y)
    assert len(axes.correlations) == n_found
    assert np.isfinite(axes.log_ratio(X, Y)).all()
    assert axes.log_ratio(X, Y).any() == (n_found > 0)


def test_a_copy_has_the_largest_correlation_that_the_sample_can_tell_from_1():
    X, _ = correlated()
    axes = canonical_axes(X, X @ invertible(5, 0))
    np.testing.assert_allclose(axes.correlations, 1 - 1 / 400)
    assert np.isfinite(axes.log_ratio(X, X @ invertible(5, 0))).all()


def test_new_rows_are_projected_by_the_fitted_axes():
    axes = CanonicalAxes(
        np.array([1.0]), np.array([0.0, 2.0]), np.array([[2.0]]), np.eye(2), np.array([0.5]), np.array([0.6])
    )
    X, Y = np.array([[1.0], [3.0]]), np.array([[1.0, 2.0], [0.0, 5.0]])
    np.testing.assert_array_equal(axes.x(X), [[0.0], [4.0]])
    np.testing.assert_array_equal(axes.y(Y), [[1.0, 0.0], [0.0, 3.0]])
    expected = log_ratio(np.array([[0.0], [4.0]]), np.array([[1.0], [0.0]]), np.array([0.5]))
    np.testing.assert_array_equal(axes.log_ratio(X, Y), expected)


def test_axes_of_gaussian_data_give_their_log_density_ratio():
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(5, 7))
    family = Gaussian(factor @ factor.T, 3)
    X, Y = family.sample(40_000, random_state=1)
    difference = canonical_axes(X, Y).log_ratio(X, Y) - family.log_ratio(X, Y)
    assert np.sqrt(np.mean(difference**2)) < 0.05


# ------------------------------------------------------------------------------------------------------------- log ratio
@LIMITED
@given(st.lists(st.floats(-0.99, 0.99), min_size=1, max_size=4), st.integers(0, 99))
def test_log_ratio_is_the_difference_of_log_densities(correlations, seed):
    k = len(correlations)
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(6, k)), rng.normal(size=(6, k))
    covariance = paired_covariance(correlations, k, k)
    ratios = log_ratio(x, y, np.array(correlations))
    joint = multivariate_normal(np.zeros(2 * k), covariance).logpdf(np.hstack([x, y]))
    alone = multivariate_normal(np.zeros(k), np.eye(k))
    np.testing.assert_allclose(ratios, joint - alone.logpdf(x) - alone.logpdf(y), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(ratios, Gaussian(covariance, k).log_ratio(x, y), rtol=1e-8, atol=1e-8)


def test_the_mean_log_ratio_is_the_mutual_information():
    family = GaussianPairs(0.75)
    ratios, truth = log_ratio(*family.sample(100_000, random_state=0), np.array([0.75])), family.mutual_information
    assert ratios.mean() == pytest.approx(truth, abs=4 * ratios.std() / np.sqrt(len(ratios)))


def test_no_correlation_is_a_log_ratio_of_0():
    x = np.random.default_rng(0).normal(size=(4, 2))
    assert log_ratio(x, x, np.zeros(2)).tolist() == [0] * 4
    assert log_ratio(x[:, :0], x[:, :0], np.zeros(0)).tolist() == [0] * 4


def test_all_pairs_are_scored_as_pair_by_pair():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(40, 4)), rng.normal(size=(30, 3))
    axes = canonical_axes(*joint_rows(40))
    scores = axes.log_ratio(X, Y, all_pairs=True)
    assert scores.dtype == np.float64
    for j in range(30):
        np.testing.assert_allclose(scores[:, j], axes.log_ratio(X, np.repeat(Y[[j]], 40, axis=0)), atol=1e-12)


def joint_rows(n):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, 4))
    return X, X[:, :3] + 0.5 * rng.normal(size=(n, 3))
