"""Discrete variables: closed forms, scikit-learn's values, simulated bias and coverage, and which columns are discrete."""

import datetime
import decimal
import fractions
import io
import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats
from sklearn.metrics import mutual_info_score
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information
from sklearn.tree import DecisionTreeClassifier

from skdim.exceptions import SmallSampleWarning
from skdim.information.discrete import (
    Codebook,
    discrete_columns,
    discrete_mutual_information,
    entropy,
    information_gain,
    is_discrete,
)
from skdim.information.discrete._chance import expected_information

LIMITED = settings(max_examples=40)
LOG2 = math.log(2)
PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=60).map(np.array)


def law(n_x, n_y, dependence, skewed=False):
    """Return a joint distribution between independence (0) and x deciding y or y deciding x (1)."""
    x = np.arange(1.0, n_x + 1) if skewed else np.ones(n_x)
    y = np.arange(n_y, 0.0, -1) if skewed else np.ones(n_y)
    x, y = x / x.sum(), y / y.sum()
    decided = np.zeros((n_x, n_y))
    decided[np.arange(n_y) % n_x, np.arange(n_y)] = y
    return (1 - dependence) * np.outer(x, y) + dependence * decided


def true_mi(p):
    independent = np.outer(p.sum(1), p.sum(0))
    return float(np.sum(p[p > 0] * np.log(p[p > 0] / independent[p > 0])))


def draw(p, n, rng):
    """Return n rows of (x, y) drawn from the joint distribution ``p``, sorted."""
    return np.divmod(np.repeat(np.arange(p.size), rng.multinomial(n, p.ravel())), p.shape[1])


# ------------------------------------------------------------------------------------------------------------- entropy
@pytest.mark.parametrize("faces", [1, 2, 6, 100])
def test_the_entropy_of_a_fair_die_is_the_log_of_its_faces(faces):
    assert entropy(np.arange(faces * 7) % faces) == pytest.approx(math.log(faces), abs=1e-12)


def test_entropy_is_scipys():
    y = np.random.default_rng(0).poisson(3, 500)
    assert entropy(y) == pytest.approx(stats.entropy(np.unique(y, return_counts=True)[1]))


def test_miller_madow_adds_the_number_of_symbols_met_less_one_over_2n():
    y = np.repeat(["a", "b", "c"], [5, 4, 1])
    assert entropy(y, correction="miller-madow") - entropy(y) == pytest.approx(2 / 20)


@pytest.mark.parametrize(
    "y",
    [
        ["x", "y", "x"],
        [True, False, True],
        [3, 7, 3],
        [0.5, 1.5, 0.5],
        pd.Series([(1, 2), "a", (1, 2)]),
        np.array(["x", "y", "x"]),
        np.array([b"x", b"y", b"x"]),
        np.array([3, "a", 3], dtype=object),
        np.array(["x", "y", "x"], dtype=np.dtypes.StringDType()),
        np.array(["2020-01-01", "2021-01-01", "2020-01-01"], dtype="datetime64[D]"),
        pd.Series(["x", "y", "x"]),
        pd.Series([4, 2, 4], dtype="category"),
        pd.Series([4, 2, 4], dtype="Int64"),
        pd.DataFrame({"a": [1, 1, 1], "b": ["x", "y", "x"]}),
        pl.Series(["x", "y", "x"]),
        pl.Series(["x", "y", "x"], dtype=pl.Categorical),
        pl.Series(["x", "y", "x"], dtype=pl.Enum(["y", "x"])),
        pl.DataFrame({"a": [1, 1, 1], "b": ["x", "y", "x"]}),
        [["a", 1], ["a", 2], ["a", 1]],
    ],
    ids=lambda y: f"{type(y).__module__}.{type(y).__name__}",
)
def test_every_kind_of_symbol_is_counted(y):
    two_thirds = math.log(3) - 2 / 3 * LOG2
    assert entropy(y) == pytest.approx(two_thirds)


def test_one_and_the_string_one_are_two_symbols_and_one_and_true_are_one():
    assert entropy([1, "1"]) == pytest.approx(LOG2)
    assert entropy(np.array([1, True], dtype=object)) == 0


def test_the_entropy_of_rows_is_the_joint_entropy():
    x, y = draw(law(4, 3, 0.5), 300, np.random.default_rng(0))
    joint = [f"{a}-{b}" for a, b in zip(x, y, strict=True)]
    assert entropy(np.column_stack([x, y])) == pytest.approx(entropy(joint))
    assert entropy(np.column_stack([x, y, x, y, y])) == pytest.approx(entropy(joint))


def test_the_joint_entropy_of_many_wide_columns_does_not_overflow():
    X = np.random.default_rng(0).permuted(np.tile(np.arange(1000), (40, 1)), axis=1).T  # 1000 ** 40 possible rows
    assert entropy(X) == pytest.approx(math.log(1000))


@pytest.mark.parametrize(
    "missing", [None, math.nan, np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), decimal.Decimal("nan")]
)
def test_a_missing_value_is_an_error_that_says_where_and_what_to_do(missing):
    with pytest.raises(ValueError, match=r"y has 2 missing value\(s\), the first in row 1. Fill them .* or drop"):
        entropy(np.array(["a", missing, "b", missing], dtype=object))


@pytest.mark.parametrize(
    "y",
    [
        [0.0, math.nan],
        ["a", math.nan],
        ["a", None],
        np.array([0, "NaT"], dtype="datetime64[s]"),
        pd.Series([1, None], dtype="Int64"),
        pd.Series(["a", None], dtype="category"),
        pl.Series(["a", None]),
    ],
    ids=str,
)
def test_missing_values_are_found_in_every_type(y):
    with pytest.raises(ValueError, match=r"y has 1 missing value\(s\), the first in row"):
        entropy(y)


def test_a_missing_value_in_a_table_names_its_column():
    with pytest.raises(ValueError, match="column 'b' of y has 1 missing"):
        entropy(pd.DataFrame({"a": [1, 2], "b": ["x", None]}))
    with pytest.raises(ValueError, match="column 1 of y has 1 missing"):
        entropy([[1, "x"], [2, None]])


# ----------------------------------------------------------------------------------------------------- information gain
@pytest.mark.parametrize("seed", range(5))
def test_information_gain_is_what_the_first_split_of_a_decision_tree_gains(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.random((200, 6)) < rng.random(6), rng.integers(4, size=200)
    X[:, 2] = (y == 1) ^ (rng.random(200) < 0.3)
    tree = DecisionTreeClassifier(criterion="entropy", max_depth=1).fit(X, y).tree_
    below = tree.n_node_samples[1:] / 200
    gain = (tree.impurity[0] - below @ tree.impurity[1:]) * LOG2  # bits to nats
    gains = information_gain(X, y)
    assert gains.shape == (6,)
    assert gains.max() == pytest.approx(gain, rel=1e-9)
    assert gains.argmax() == tree.feature[0]


def test_information_gain_of_a_threshold_is_the_trees():
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    y = np.where(x + rng.normal(size=300) > 0.3, "high", "low")
    tree = DecisionTreeClassifier(criterion="entropy", max_depth=1).fit(x[:, None], y).tree_
    gain = (tree.impurity[0] - tree.n_node_samples[1:] / 300 @ tree.impurity[1:]) * LOG2
    split = information_gain(x <= tree.threshold[0], y)
    assert np.ndim(split) == 0
    assert split == pytest.approx(gain, rel=1e-9)


def test_information_gain_is_each_columns_mutual_information():
    rng = np.random.default_rng(0)
    X, y = rng.integers(5, size=(120, 4)), rng.integers(3, size=120)
    for correction in (None, "miller-madow", "chance"):
        expected = [discrete_mutual_information(x, y, correction=correction).value for x in X.T]
        np.testing.assert_allclose(information_gain(X, y, correction=correction), expected, rtol=0, atol=1e-12)


def test_information_gain_reads_frames_column_by_column():
    columns = {"decides": ["a", "a", "b", "b"], "useless": [1, 2, 1, 2], "constant": [0.5] * 4}
    for frame in (pd.DataFrame(columns), pl.DataFrame(columns)):
        np.testing.assert_allclose(information_gain(frame, [True, True, False, False]), [LOG2, 0, 0], atol=1e-12)


def test_useless_columns_of_many_values_gain_less_after_the_correction():
    y = np.arange(200) % 2
    useless = np.random.default_rng(0).integers(8, size=(200, 300))
    assert information_gain(useless, y).mean() > 0.015
    for correction in ("miller-madow", "chance"):
        assert abs(information_gain(useless, y, correction=correction).mean()) < 0.002


def test_identifiers_gain_everything_or_nothing_after_the_correction_for_chance():
    y = np.arange(100) % 2
    for correction in (None, "miller-madow"):
        assert information_gain(np.arange(100), y, correction=correction) == pytest.approx(LOG2)
    assert information_gain(np.arange(100), y, correction="chance") == pytest.approx(0, abs=1e-9)


# --------------------------------------------------------------------------------------------------- mutual information
@LIMITED
@given(PAIRS)
def test_without_correction_it_is_scikit_learns(pairs):
    x, y = pairs.T
    result = discrete_mutual_information(x, y, correction=None)
    assert result.value == result.plug_in == pytest.approx(max(mutual_info_score(x, y), 0), abs=1e-12)


@LIMITED
@given(PAIRS)
def test_the_miller_madow_term_counts_the_symbols_met(pairs):
    x, y = pairs.T
    result = discrete_mutual_information(x, y, correction="miller-madow")
    m_x, m_y, m_xy = len(set(x)), len(set(y)), len({*map(tuple, pairs)})
    assert result.n_symbols == (m_x, m_y, m_xy)
    term = ((m_x - 1) + (m_y - 1) - (m_xy - 1)) / (2 * len(x))
    assert result.value == pytest.approx(min(result.plug_in + term, result.cap), abs=1e-12)


@LIMITED
@given(PAIRS)
def test_no_value_exceeds_the_smaller_entropy(pairs):
    x, y = pairs.T
    for correction in ("chance", "miller-madow", None):
        result = discrete_mutual_information(x, y, correction=correction)
        assert result.cap == pytest.approx(min(entropy(x), entropy(y)), abs=1e-12)
        assert result.value <= result.cap
        assert information_gain(x, y, correction=correction) <= result.cap


@LIMITED
@given(PAIRS)
def test_pointwise_values_are_log_ratios_and_average_to_the_plug_in(pairs):
    x, y = pairs.T
    result = discrete_mutual_information(x, y)
    assert result.pointwise.shape == (len(x),)
    assert result.pointwise.mean() == pytest.approx(result.plug_in, abs=1e-12)
    first = np.mean((x == x[0]) & (y == y[0])) / (np.mean(x == x[0]) * np.mean(y == y[0]))
    assert result.pointwise[0] == pytest.approx(math.log(first))


@LIMITED
@given(PAIRS, st.randoms(use_true_random=False))
def test_neither_the_names_nor_the_order_of_rows_nor_that_of_the_variables_matters(pairs, random):
    x, y = pairs.T
    result = discrete_mutual_information(x, y)
    rows = random.sample(range(len(x)), len(x))
    names = random.sample("abcde", 5)
    for other, order in (
        (discrete_mutual_information(y, x), slice(None)),
        (discrete_mutual_information(x[rows], y[rows]), rows),
        (discrete_mutual_information([names[value] for value in x], 0.5 - y), slice(None)),
    ):
        found = [other.value, other.standard_error, *other.interval]
        assert found == pytest.approx([result.value, result.standard_error, *result.interval], rel=1e-6, abs=1e-9)
        np.testing.assert_allclose(other.pointwise, result.pointwise[order], rtol=0, atol=1e-12)


@LIMITED
@given(PAIRS)
def test_merging_categories_never_gains_information(pairs):
    x, y = pairs.T
    whole = discrete_mutual_information(x, y).plug_in
    assert discrete_mutual_information(np.minimum(x, 2), y).plug_in <= whole + 1e-12
    assert discrete_mutual_information(x % 2, y // 2).plug_in <= whole + 1e-12


@LIMITED
@given(PAIRS)
def test_the_information_of_a_variable_on_itself_is_its_entropy(pairs):
    x = pairs[:, 0]
    result = discrete_mutual_information(x, x)
    assert result.plug_in == result.cap == pytest.approx(entropy(x), abs=1e-12)
    many = np.tile(x, 50)
    assert discrete_mutual_information(many, many).value == pytest.approx(entropy(x), rel=1e-3)


def test_either_side_of_an_exclusive_or_says_nothing_and_both_say_all():
    X = np.random.default_rng(0).integers(2, size=(4000, 2))
    y = X[:, 0] ^ X[:, 1]
    alone, both = discrete_mutual_information(X[:, 0], y), discrete_mutual_information(X, y)
    assert abs(alone.value) < 1e-3
    assert alone.interval[0] <= 0 <= alone.interval[1]
    assert both.value == pytest.approx(LOG2, abs=1e-3)
    assert both.interval[0] <= LOG2 <= both.interval[1]
    np.testing.assert_allclose(information_gain(X, y), 0, atol=1e-3)


def test_symmetric_noise_gives_its_channels_capacity():
    rng = np.random.default_rng(0)
    x = rng.integers(2, size=40_000)
    y = x ^ (rng.random(40_000) < 0.1)
    capacity = LOG2 + 0.1 * math.log(0.1) + 0.9 * math.log(0.9)
    result = discrete_mutual_information(x, y)
    assert result.interval[0] < capacity < result.interval[1]
    assert result.value == pytest.approx(capacity, abs=4 * result.standard_error)
    assert result.standard_error == pytest.approx(0.3 * math.log(9) / 200, rel=0.05)  # log ratio log 1.8 or log 0.2


# ------------------------------------------------------------------------------- bias, error and interval, by simulation
@pytest.mark.parametrize("correction", ["chance", "miller-madow"])
@pytest.mark.parametrize(("n_x", "n_y", "dependence"), [(2, 2, 0.0), (4, 4, 0.0), (4, 4, 0.4), (2, 6, 0.7)])
def test_a_correction_takes_away_most_of_the_bias(n_x, n_y, dependence, correction):
    p, rng, repeats = law(n_x, n_y, dependence, skewed=True), np.random.default_rng(0), 600
    results = [discrete_mutual_information(*draw(p, 150, rng), correction=correction) for _ in range(repeats)]
    corrected, plug_in = (np.array([getattr(r, name) for r in results]) - true_mi(p) for name in ("value", "plug_in"))
    noise = corrected.std() / math.sqrt(repeats)
    assert abs(corrected.mean()) < 3 * noise + 0.25 * plug_in.mean()
    assert abs(corrected.mean()) < plug_in.mean()
    assert plug_in.mean() > 3 * noise


MANY = {
    "100 x 10, independent": (100, 10, 0.0, 500, 0.005, 0.03),
    "1000 x 2, independent": (1000, 2, 0.0, 1000, 0.01, 0.04),
    "100 x 10, dependent": (100, 10, 0.5, 500, 0.08, 0.1),
    "20 x 20, strongly dependent": (20, 20, 0.8, 1000, 0.04, 0.08),
    "20 x 20, certain": (20, 20, 1.0, 500, 0.03, 0.03),
    "1000 x 2, certain": (1000, 2, 1.0, 1000, 0.01, 0.01),
}


@pytest.mark.filterwarnings("ignore::skdim.exceptions.SmallSampleWarning")
@pytest.mark.parametrize("case", MANY)
def test_tables_of_many_categories_keep_their_information(case):
    n_x, n_y, dependence, n, most_bias, most_error = MANY[case]
    p = np.full((n_x, n_y), (1 - dependence) / (n_x * n_y))  # y is a function of x with this probability
    p[np.arange(n_x), np.arange(n_x) % n_y] += dependence / n_x
    rng = np.random.default_rng(0)
    errors = np.array([discrete_mutual_information(*draw(p, n, rng)).value for _ in range(100)]) - true_mi(p)
    assert abs(errors.mean()) < most_bias
    assert np.abs(errors).mean() < most_error


@pytest.mark.filterwarnings("ignore::skdim.exceptions.SmallSampleWarning")
def test_no_useless_column_of_many_values_beats_a_signal():
    rng = np.random.default_rng(0)
    y = rng.integers(10, size=500)
    signal = np.where(rng.random(500) < 0.5, y, rng.integers(10, size=500))
    shared = rng.integers(0, 480, size=500)  # most rows alone, some not
    gains = information_gain(
        np.column_stack([np.arange(500), shared, rng.integers(100, size=500), signal]), y, "chance"
    )
    assert gains[0] == pytest.approx(0, abs=1e-9)
    assert np.abs(gains[:3]).max() < 0.1 < 0.4 < gains[3]


@pytest.mark.parametrize(("n_x", "n_y", "n"), [(2, 2, 10), (5, 3, 50), (30, 7, 200), (150, 150, 200)])
def test_the_information_expected_by_chance_is_that_of_permuted_rows_and_scikit_learns(n_x, n_y, n):
    rng = np.random.default_rng(0)
    x, y = (np.unique(rng.zipf(1.5, n) % m, return_inverse=True)[1] for m in (n_x, n_y))
    expected = expected_information(np.bincount(x), np.bincount(y))
    assert expected == pytest.approx(expected_mutual_information(contingency_matrix(x, y), n), abs=1e-12)
    permuted = [mutual_info_score(x, rng.permutation(y)) for _ in range(200)]
    assert expected == pytest.approx(np.mean(permuted), abs=4 * np.std(permuted) / math.sqrt(200))


def test_miller_madow_takes_away_most_of_the_bias_of_the_entropy():
    p, rng, repeats = np.arange(1, 13) / 78, np.random.default_rng(0), 1000
    samples = [rng.choice(12, 100, p=p) for _ in range(repeats)]
    truth = stats.entropy(p)
    plug_in = np.array([entropy(y) for y in samples]) - truth
    corrected = np.array([entropy(y, correction="miller-madow") for y in samples]) - truth
    noise = corrected.std() / math.sqrt(repeats)
    assert plug_in.mean() < -3 * noise
    assert abs(corrected.mean()) < 3 * noise + 0.2 * abs(plug_in.mean())


@pytest.mark.parametrize("n", [50, 500])
@pytest.mark.parametrize(
    ("n_x", "n_y", "dependence", "skewed"),
    [
        (2, 2, 0.0, False),
        (2, 2, 0.35, True),
        (2, 2, 1.0, True),
        (3, 3, 0.8, True),
        (5, 5, 0.0, True),
        (5, 5, 0.1, False),
        (2, 10, 0.35, True),
        (10, 10, 0.35, False),
        (10, 10, 1.0, False),
    ],
)
def test_the_interval_covers_the_truth(n_x, n_y, dependence, skewed, n):
    p, rng, repeats = law(n_x, n_y, dependence, skewed), np.random.default_rng(0), 300
    intervals = np.array([discrete_mutual_information(*draw(p, n, rng)).interval for _ in range(repeats)])
    covered = np.mean((intervals[:, 0] <= true_mi(p) + 1e-12) & (true_mi(p) - 1e-12 <= intervals[:, 1]))
    assert covered >= 0.90 - 2 * math.sqrt(0.9 * 0.1 / repeats)
    assert (intervals[:, 0] < intervals[:, 1]).all()


@pytest.mark.parametrize("dependence", [0.0, 0.1, 0.5, 0.9])
def test_the_standard_error_is_the_spread_over_samples(dependence):
    p, rng = law(4, 4, dependence, skewed=True), np.random.default_rng(0)
    results = [discrete_mutual_information(*draw(p, 400, rng)) for _ in range(400)]
    spread = np.std([result.value for result in results])
    assert np.mean([result.standard_error for result in results]) == pytest.approx(spread, rel=0.3)


def test_far_from_independence_the_standard_error_and_interval_are_the_delta_methods():
    x, y = draw(law(5, 5, 0.6, skewed=True), 20_000, np.random.default_rng(0))
    result = discrete_mutual_information(x, y)
    assert result.standard_error == pytest.approx(result.pointwise.std() / math.sqrt(20_000), rel=0.02)
    half = stats.norm.ppf(0.975) * result.standard_error
    assert result.interval == pytest.approx((result.value - half, result.value + half), abs=0.05 * half)


def test_zero_is_left_out_exactly_when_the_likelihood_ratio_test_rejects_independence():
    rng, n_left_out = np.random.default_rng(0), 0
    for _ in range(300):
        x, y = rng.integers(3, size=2000), rng.integers(4, size=2000)
        counts = np.histogram2d(x, y, bins=(3, 4))[0]
        p_value = stats.chi2_contingency(counts, correction=False, lambda_="log-likelihood").pvalue
        left_out = discrete_mutual_information(x, y, confidence_level=0.8).interval[0] > 0
        n_left_out += left_out
        if abs(p_value - 0.1) > 0.003:
            assert left_out == (p_value < 0.1)
    assert 15 < n_left_out < 45


@LIMITED
@given(PAIRS)
def test_the_interval_holds_the_corrected_value_and_widens_with_the_level(pairs):
    x, y = pairs.T
    levels = [0.01, 0.5, 0.95, 0.9999]
    lower, upper = np.transpose([discrete_mutual_information(x, y, None, level).interval for level in levels])
    result = discrete_mutual_information(x, y)
    assert ((lower <= result.value) & (result.value <= upper)).all()
    assert (lower < upper).all()
    assert (np.diff(lower) <= 1e-9).all()
    assert (np.diff(upper) >= -1e-9).all()
    assert result.standard_error > 0


def test_a_constant_has_no_information_and_an_interval_that_shrinks_with_the_rows():
    upper = []
    for n in (1, 10, 1000):
        result = discrete_mutual_information(["only"] * n, np.arange(n) % 2)
        assert result.value == 0
        assert result.interval[0] == 0
        upper.append(result.interval[1])
    assert upper[0] > upper[1] > upper[2] > 0
    assert upper[2] < 0.01


def test_identifiers_say_nothing_leave_the_truth_open_and_warn():
    x = np.arange(100)
    y = np.random.default_rng(0).integers(2, size=100)
    with pytest.warns(SmallSampleWarning, match="x has 100 distinct values in 100 rows, and 100 rows have a value of"):
        result = discrete_mutual_information(x, y)
    assert result.value == pytest.approx(0, abs=1e-9)
    assert result.interval[0] == 0
    assert result.interval[1] >= entropy(y)


def test_the_warning_of_identifiers_names_the_column():
    y = np.arange(100) % 4
    for x, label in (
        (pd.DataFrame({"group": y, "id": np.arange(100)}), "column 'id' of x"),
        (np.column_stack([y, np.arange(100)]), "column 1 of x"),
        (np.column_stack(np.divmod(np.arange(100), 10)), "x, each row as one value,"),
    ):
        with pytest.warns(SmallSampleWarning, match=f"^{label} has 100 distinct values") as record:
            discrete_mutual_information(x, y)
        assert len(record) == 1
    with pytest.warns(SmallSampleWarning, match="^y has 100 distinct values"):
        discrete_mutual_information(y, np.arange(100))
    discrete_mutual_information(np.arange(100) // 2, y)  # warnings are errors here


@pytest.mark.filterwarnings("ignore::skdim.exceptions.SmallSampleWarning")
@pytest.mark.parametrize(
    ("n_x", "n_y", "dependence", "n"),
    [
        (100, 10, 0.0, 500),
        (100, 10, 0.5, 500),
        (100, 10, 1.0, 500),
        (20, 20, 0.8, 200),
        (20, 20, 0.2, 1000),
        (20, 20, 1.0, 5000),
        (1000, 2, 0.5, 1000),
    ],
)
def test_the_interval_of_many_categories_covers_the_truth(n_x, n_y, dependence, n):
    p = np.full((n_x, n_y), (1 - dependence) / (n_x * n_y))
    p[np.arange(n_x), np.arange(n_x) % n_y] += dependence / n_x
    rng, truth = np.random.default_rng(0), true_mi(p)
    intervals = np.array([discrete_mutual_information(*draw(p, n, rng)).interval for _ in range(200)])
    covered = np.mean((intervals[:, 0] <= truth + 1e-12) & (truth - 1e-12 <= intervals[:, 1]))
    assert covered >= 0.90 - 2 * math.sqrt(0.9 * 0.1 / 200)


def test_a_certain_relation_of_balanced_categories_includes_the_largest_value():
    x = np.arange(500) % 10
    result = discrete_mutual_information(x, 9 - x)
    assert result.interval[0] <= math.log(10) <= result.interval[1] < math.log(10) + 0.05


# ------------------------------------------------------------------------------------------------------------ detection
def integers(n, n_distinct, dtype=np.int64):
    return (np.arange(n) % n_distinct).astype(dtype)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (integers(100, 20), True),
        (integers(99, 20), False),  # 4.95 rows per value
        (integers(105, 21), False),  # more than 20, more than sqrt(105)
        (integers(2500, 50), True),
        (integers(2550, 51), False),
        (integers(10_000, 100, np.uint8), True),
        (integers(10_000, 101, np.uint8), False),
        (integers(10, 2, np.int8), True),
        (integers(9, 2), False),
        (integers(5, 1), True),
        (np.arange(1000), False),
        (integers(100, 2, np.float64), False),
        (integers(100, 2, np.float32), False),
        (integers(100, 2, bool), True),
        (np.arange(100).astype(str), True),
        (np.arange(100).astype("S3"), True),
        (np.arange(100).astype(np.dtypes.StringDType()), True),
        (integers(100, 2).astype("datetime64[D]"), False),
        (integers(100, 5).astype(object), True),
        (np.arange(100).astype(object), False),
        (integers(100, 2, np.float64).astype(object), False),
        (integers(100, 2, bool).astype(object), True),
        (np.array([1, 2.5] * 50, dtype=object), False),
        (np.array([1, "a"] * 50, dtype=object), True),
        (np.array([1, None] * 50, dtype=object), True),
        (np.array([2**70, -1] * 50, dtype=object), False),
        (np.array(["a", None] * 50, dtype=object), True),
        (np.array([0.5, math.nan] * 50, dtype=object), False),
        (np.array([fractions.Fraction(1, 2)] * 50), False),
        ([datetime.date(2020, 1, 1)] * 50, True),
        (["a", "b"], True),
        ([0, 1] * 50, True),
        ([0.0, 1.0] * 50, False),
        (range(100), False),
        (pd.Series(integers(100, 20)), True),
        (pd.Series(np.arange(100)), False),
        (pd.Series(np.arange(100), dtype="category"), True),
        (pd.Series(np.arange(100) / 7, dtype="category"), True),
        (pd.Series([1, 2] * 50, dtype="Int64"), True),
        (pd.Series([True, None] * 50, dtype="boolean"), True),
        (pd.Series(["a", "b"]), True),
        (pd.Series([0.5, 1.0]), False),
        (pl.Series(integers(100, 20)), True),
        (pl.Series(np.arange(100)), False),
        (pl.Series(["a", "b"]), True),
        (pl.Series(["a", "b"], dtype=pl.Categorical), True),
        (pl.Series(["a", None], dtype=pl.Enum(["a"])), True),
        (pl.Series([True, None]), True),
        (pl.Series(["1.5", "2"]).cast(pl.Decimal(10, 2)), False),
    ],
    ids=lambda value: f"{getattr(value, 'dtype', type(value).__name__)}" if not isinstance(value, bool) else str(value),
)
def test_what_is_discrete(column, expected):
    assert is_discrete(column) is expected


def mixed():
    n = 40
    return {
        "price": np.linspace(0, 1, n),
        "colour": ["red", "blue"] * 20,
        "rating": integers(n, 5).tolist(),
        "number": np.arange(n),
        "flag": integers(n, 2, bool),
    }


def as_objects():
    return np.array([list(row) for row in zip(*mixed().values(), strict=True)], dtype=object)


@pytest.mark.parametrize("kind", [lambda: pd.DataFrame(mixed()), lambda: pl.DataFrame(mixed()), as_objects])
def test_each_column_of_a_table_is_judged_by_itself(kind):
    assert discrete_columns(kind()).tolist() == [False, True, True, False, True]


def test_a_vector_is_a_table_of_one_column():
    assert discrete_columns(["a", "b"]).tolist() == [True]
    assert discrete_columns(pd.Series([0.5, 1.5])).tolist() == [False]
    assert discrete_columns([0.5, 1.5], True).tolist() == [True]


@pytest.mark.parametrize(
    ("discrete", "expected"),
    [
        (True, [True, True, True]),
        (False, [False, False, False]),
        (np.True_, [True, True, True]),
        ([False, True, False], [False, True, False]),
        (np.array([True, True, False]), [True, True, False]),
        ([0, 2], [True, False, True]),
        (np.array([-1]), [False, False, True]),
        ((1,), [False, True, False]),
        ([], [False, False, False]),
    ],
)
def test_discrete_columns_are_named_as_mutual_info_classif_takes_them(discrete, expected):
    X = np.random.default_rng(0).integers(2, size=(30, 3))
    found = discrete_columns(X, discrete)
    assert found.tolist() == expected
    assert found.dtype == bool


def test_columns_of_frames_may_be_given_by_name():
    for frame in (pd.DataFrame(mixed()), pl.DataFrame(mixed())):
        assert discrete_columns(frame, ["flag", "colour", "price"]).tolist() == [True, True, False, False, True]


@pytest.mark.parametrize(
    ("discrete", "message"),
    [
        ("always", r"discrete must be 'auto', True, False, a mask of 3 bool\(s\), or a list .*, got 'always'"),
        (1, "got 1"),
        ([0.5], r"got \[0.5\]"),
        ([[0]], r"got \[\[0\]\]"),
        (None, "got None"),
        ([True, False], r"mask discrete has 2 entries, but X has 3 column\(s\)"),
        ([0, 3, -4], r"no column \[3, -4\], which discrete names. Allowed are 0 to 2"),
        (["a"], r"no column \['a'\], which discrete names. Allowed are only positions, as X is not a DataFrame"),
    ],
)
def test_a_wrong_choice_of_columns_is_an_error_that_says_what_is_allowed(discrete, message):
    with pytest.raises(ValueError, match=message):
        discrete_columns(np.zeros((5, 3)), discrete)


def test_an_unknown_name_is_an_error_that_lists_the_names():
    with pytest.raises(ValueError, match=r"no column \['size'\], which discrete names. Allowed are \['a', 'b'\]"):
        discrete_columns(pd.DataFrame({"a": [1], "b": [2]}), ["a", "size"])


@pytest.mark.parametrize("discrete", [False, ["price"], [True, False, True, True, True], [0]])
def test_a_column_of_strings_cannot_be_continuous(discrete):
    with pytest.raises(
        ValueError,
        match=r"column 'colour' of X holds 'red' in row 0, which is no real number. .* parameter discrete\.$",
    ):
        discrete_columns(pd.DataFrame(mixed()), discrete)


def test_dates_are_neither_numbers_nor_categories():
    frame = pd.DataFrame({"when": pd.to_datetime(["2020-01-01", "2020-01-02"])})
    with pytest.raises(
        ValueError,
        match=r"column 'when' of X holds np.datetime64.'2020-01-01.* in row 0, which is no real number\. .*the day of the year",
    ):
        discrete_columns(frame)
    assert discrete_columns(frame, ["when"]).tolist() == [True]


# ---------------------------------------------------------------------------------------------------------------- codes
@pytest.mark.parametrize(
    ("column", "categories"),
    [
        (["b", "a", "b"], ["a", "b"]),
        ([7, -2, 7], [-2, 7]),
        ([True, False], [False, True]),
        ([0.5, 0.25], [0.25, 0.5]),
        (np.array([3, 1, True], dtype=object), [1, 3]),
        (pd.Series(["b", "a"], dtype="category"), ["a", "b"]),
        (pl.Series(["b", "a"], dtype=pl.Categorical), ["a", "b"]),
    ],
    ids=str,
)
def test_codes_are_positions_among_the_sorted_categories(column, categories):
    book = Codebook.fit(column)
    assert book.categories[0].tolist() == categories
    assert book.categories[0].dtype.kind in "biufU"
    assert book.n_categories == (len(categories),)
    codes = book.encode(column)
    assert codes.dtype == np.int64
    assert book.categories[0][codes[:, 0]].tolist() == list(column)


def test_new_rows_get_the_codes_of_the_rows_of_fit_whatever_holds_them():
    book = Codebook.fit(pd.DataFrame({"a": ["x", "y", "z"], "b": [10, 20, 10]}))
    for rows in (
        pd.DataFrame({"a": ["z", "z"], "b": [20, 10]}),
        pl.DataFrame({"a": ["z", "z"], "b": [20.0, 10.0]}),
        [["z", 20], ["z", 10]],
        np.array([["z", 20.0], ["z", 10]], dtype=object),
    ):
        assert book.encode(rows).tolist() == [[2, 1], [2, 0]]


@LIMITED
@given(PAIRS)
def test_encoding_keeps_the_information(pairs):
    book = Codebook.fit(pairs)
    codes = book.encode(pairs)
    assert entropy(codes) == pytest.approx(entropy(pairs))
    assert (codes.max(0) + 1).tolist() == list(book.n_categories)
    np.testing.assert_array_equal(book.encode(pairs[::-1]), codes[::-1])


def test_an_unknown_category_is_an_error_or_a_stated_code():
    book = Codebook.fit(["a", "b", "a"])
    with pytest.raises(
        ValueError,
        match=r"X holds 2 value\(s\) not met in fit, the first in row 1: 'c'. .* 2 known values: \['a', 'b'\]",
    ):
        book.encode(["a", "c", "d", "c"])
    assert book.encode(["a", "c", "b"], unknown=-1).tolist() == [[0], [-1], [1]]
    assert book.encode(["a", "c"], unknown=2).tolist() == [[0], [2]]
    with pytest.raises(ValueError, match="unknown must be 'error' or an integer, got 'ignore'"):
        book.encode(["a"], unknown="ignore")
    with pytest.raises(ValueError, match=r"the 11 known values: \[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, \.\.\.\]"):
        Codebook.fit(np.arange(11)).encode([11])


def test_the_state_is_arrays_that_numpy_saves_without_pickle():
    X = pd.DataFrame({"s": ["b", "a"], "i": [3, 4], "b": [True, False], "f": [0.5, 0.25]})
    book, file = Codebook.fit(X), io.BytesIO()
    np.savez(file, allow_pickle=False, **book.to_state())
    file.seek(0)
    with np.load(file, allow_pickle=False) as state:
        again = Codebook.from_state(dict(state))
    assert [c.tolist() for c in again.categories] == [["a", "b"], [3, 4], [False, True], [0.25, 0.5]]
    np.testing.assert_array_equal(again.encode(X), book.encode(X))


KINDS = {
    "strings and numbers": ["a", 1, "1"],
    "huge integers": [2**70, 1, -(2**70)],
    "decimals": [decimal.Decimal("0.1"), decimal.Decimal(1), decimal.Decimal("1e400")],
    "fractions": [fractions.Fraction(1, 3), fractions.Fraction(1, 7)],
    "bytes": [b"a", b"b", b"\x00"],
    "dates": [datetime.date(2020, 1, 1), datetime.date(1, 1, 1)],
    "moments": [datetime.datetime(2020, 1, 1, 12), datetime.datetime(2020, 1, 1)],
    "moments with a zone": [pd.Timestamp("2020-01-01", tz="UTC"), pd.Timestamp("2020-01-01", tz="Asia/Tokyo")],
    "timestamps": [pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-01T00:00:00.000000001")],
    "durations": [datetime.timedelta(hours=1), pd.Timedelta("1ns"), np.timedelta64(1, "D")],
    "times of day": [datetime.time(12), datetime.time(13)],
    "periods": [pd.Period("2020-01", "M"), pd.Period("2020-01", "D")],
    "intervals": [pd.Interval(0, 1), pd.Interval(0, 1, closed="left"), pd.Interval(1, 2)],
    "tuples": [(1, "a"), (1, "b"), ("1", "a")],
}


def as_objects_of(values):
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


@pytest.mark.parametrize("kind", KINDS)
def test_categories_of_every_kind_are_kept_as_text(kind):
    column = as_objects_of(KINDS[kind])
    book = Codebook.fit(column)
    assert book.n_categories == (len(column),)
    assert book.categories[0].dtype.kind == "U"
    again = Codebook.from_state(book.to_state())
    assert again.encode(column).tolist() == book.encode(column).tolist()
    assert sorted(book.encode(column)[:, 0]) == list(range(len(column)))
    new = as_objects_of(["something else", *column])
    assert again.encode(new, unknown=-1)[0] == -1
    with pytest.raises(ValueError, match=r"X holds 1 value.* not met in fit, the first in row 0: 'something else'"):
        again.encode(new)


@pytest.mark.parametrize(
    ("fitted", "equal"),
    [
        (["a", 1], np.array([1.0, True])),
        ([b"a", 0.5], [decimal.Decimal("0.5"), fractions.Fraction(1, 2)]),
        ([b"a", datetime.datetime(2020, 1, 1)], np.array(["2020-01-01"] * 2, dtype="datetime64[s]")),
        (
            pd.Series(pd.to_datetime(["2020-01-01", "2020-01-02"])),
            [datetime.datetime(2020, 1, 2), pd.Timestamp("2020-01-02")],
        ),
        ([b"a", datetime.timedelta(hours=24)], np.array([24, 24], dtype="timedelta64[h]")),
        (
            [b"a", pd.Timestamp("2020-01-01", tz="UTC")],
            [pd.Timestamp("2020-01-01 09:00", tz="Asia/Tokyo"), datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)],
        ),
    ],
    ids=str,
)
def test_equal_values_of_other_types_are_one_category(fitted, equal):
    if isinstance(fitted, list):
        fitted = as_objects_of(fitted)
    book = Codebook.from_state(Codebook.fit(fitted).to_state())
    codes = book.encode(equal if isinstance(equal, np.ndarray) else as_objects_of(equal), unknown=-1)
    assert codes[0] == codes[1] >= 0


@pytest.mark.parametrize(
    ("column", "kind"),
    [([object(), "a"], "object"), ([1j, 2j], "complex"), ([frozenset([1])], "frozenset")],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_codebook_refuses_what_it_could_not_keep(column, kind):
    with pytest.raises(TypeError, match=rf"X holds {kind}, and categories must be strings, .* Convert it first"):
        Codebook.fit(as_objects_of(column))


def test_a_codebook_refuses_a_table_of_another_width():
    with pytest.raises(ValueError, match=r"X has 1 column\(s\), but the codebook has 2"):
        Codebook.fit([[1, 2]]).encode([1, 2])


# --------------------------------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize("function", [entropy, Codebook.fit, discrete_columns])
@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([], ValueError, r"[Xy] is empty: its shape is \(0,\)"),
        (np.empty((5, 0)), ValueError, r"[Xy] is empty: its shape is \(5, 0\)"),
        (pd.DataFrame({"a": []}), ValueError, r"[Xy] is empty: its shape is \(0, 1\)"),
        (pl.DataFrame({"a": []}), ValueError, r"[Xy] is empty: its shape is \(0, 1\)"),
        (np.zeros((2, 2, 2)), ValueError, r"[Xy] must have shape \(n,\) or \(n, n_columns\), got \(2, 2, 2\)"),
        (3, ValueError, r"[Xy] must have shape \(n,\) or \(n, n_columns\), got \(\)"),
        (sparse.csr_array(np.eye(3)), TypeError, r"passed for [Xy].*TruncatedSVD.*[Xy].toarray\(\)"),
    ],
    ids=str,
)
def test_what_is_no_table_is_refused(function, values, error, message):
    with pytest.raises(error, match=message):
        function(values)


def test_a_value_that_cannot_be_hashed_is_refused():
    column = np.array(["a", {"b": 1}], dtype=object)
    for function in (entropy, Codebook.fit, Codebook.fit(["a"]).encode):
        with pytest.raises(TypeError, match=r"argument must be made of strings, numbers or bools; .*: unhashable type"):
            function(column)


@pytest.mark.parametrize("column", [[], [[1, 2]], 5])
def test_is_discrete_refuses_what_is_no_column(column):
    with pytest.raises(ValueError, match=r"column must have shape \(n,\) with n >= 1, got"):
        is_discrete(column)


def test_rows_must_match():
    with pytest.raises(ValueError, match="inconsistent numbers of samples: x has 3, y has 2"):
        discrete_mutual_information([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="inconsistent numbers of samples: X has 3, y has 2"):
        information_gain([[1], [2], [3]], [1, 2])


def test_options_are_checked():
    for call in (
        lambda: entropy([1], correction="james-stein"),
        lambda: information_gain([1], [1], correction="james-stein"),
        lambda: discrete_mutual_information([1], [1], correction="james-stein"),
    ):
        with pytest.raises(
            ValueError, match=r"correction must be ('chance', )?'miller-madow' or None, got 'james-stein'"
        ):
            call()
    for level in (0, 1, 95, math.nan):
        with pytest.raises(ValueError, match="confidence_level must lie between 0 and 1, got"):
            discrete_mutual_information([1], [1], confidence_level=level)
