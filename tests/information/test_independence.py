"""Laws of the test of independence: its exact level, its invariances, and what it finds."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter
from scipy.stats import chi2_contingency

from skdim import independence_test
from skdim.exceptions import SmallSampleWarning
from skdim.information.features import Residuals, features, indicators, kernel_axes
from skdim.information.permutations import conditional_test, permutation_p_value, permutation_test
from skdim.information.screen import bonferroni_p_value, rank_bins, screen_pairs, table_scores


def rng(seed=0):
    return np.random.default_rng(seed)


def p_values(sample, n_repeats, **options):
    return np.array(
        [
            independence_test(*sample(rng(seed)), n_permutations=99, random_state=seed, **options).p_value
            for seed in range(n_repeats)
        ]
    )


# ------------------------------------------------------------------------------------------------------------------- level
def test_the_level_is_exact_on_a_table_that_can_be_enumerated():
    """Over all orders of six rows, p <= a for a share a of the orders, whatever the ties."""
    x, y = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 1])
    orders = sorted(set(itertools.permutations(y.tolist())))
    cases = enumerate(order for _ in range(60) for order in orders)
    found = [permutation_p_value(x, np.array(order), rng(seed), 19) for seed, order in cases]
    for alpha in (0.05, 0.2, 0.5, 0.8):
        assert np.mean(np.array(found) <= alpha + 1e-9) == pytest.approx(alpha, abs=4 * np.sqrt(alpha / len(found)))


NULLS = {
    "sparse table": lambda r: (r.integers(0, 2, 20), r.integers(0, 2, 20)),
    "table": lambda r: (r.integers(0, 3, 100), r.integers(0, 3, 100)),
    "Cauchy": lambda r: (r.standard_cauchy(60), r.standard_cauchy(60)),
    "ties": lambda r: (r.normal(size=60).round(), r.normal(size=60).round()),
    "label": lambda r: (r.integers(0, 3, 60), r.normal(size=60)),
    "columns": lambda r: (r.normal(size=(40, 3)), r.normal(size=(40, 2))),
    "given z": lambda r: (lambda z: (z + r.normal(size=200), z + r.normal(size=200), z))(r.normal(size=200)),
    "given labels": lambda r: (lambda z: (z + r.normal(size=90), z**2 + r.normal(size=90), z))(r.integers(0, 3, 90)),
    "tables given labels": lambda r: (lambda z: (z + r.integers(0, 2, 90), z * r.integers(0, 2, 90), z))(
        r.integers(0, 3, 90)
    ),
}


@pytest.mark.parametrize("name", NULLS)
def test_p_values_are_uniform_under_independence(name):
    found = p_values(NULLS[name], 60)
    assert np.mean(found <= 0.1) < 0.1 + 3 * np.sqrt(0.09 / 60)
    assert 0.5 - 3 / np.sqrt(12 * 60) < found.mean() < 0.5 + 3 / np.sqrt(12 * 60)


def test_blocks_allow_for_dependent_rows():
    def series(r):
        return tuple(lfilter([1], [1, -0.9], r.normal(size=(2, 400))))

    assert np.mean(p_values(series, 40) <= 0.1) > 0.4  # the law that blocks repair
    assert np.mean(p_values(series, 40, block_size=40) <= 0.1) < 0.1 + 3 * np.sqrt(0.09 / 40)


def test_the_screen_that_is_not_permuted_holds_the_level():
    bins = [
        [rank_bins(rng(seed).normal(size=(500, 8))), rank_bins(rng(~seed % 999).normal(size=(500, 9)))]
        for seed in range(60)
    ]
    assert np.mean([bonferroni_p_value(*pair) <= 0.2 for pair in bins]) < 0.2 + 3 * np.sqrt(0.16 / 60)


# ------------------------------------------------------------------------------------------------------------------- power
def circle(r):
    angle = r.random(200) * 2 * np.pi
    return np.cos(angle) + 0.2 * r.normal(size=200), np.sin(angle) + 0.2 * r.normal(size=200)


def one_pair(r):
    x, y = r.normal(size=(2, 1000, 40))
    y[:, 7] = np.sin(3 * x[:, 3]) + 0.5 * y[:, 7]
    return x, y


DEPENDENT = {
    "linear": lambda r: (lambda x: (x, 0.35 * x + r.normal(size=300)))(r.normal(size=300)),
    "square": lambda r: (lambda x: (x, x**2 + r.normal(size=200)))(r.normal(size=200)),
    "sine of 5 cycles": lambda r: (lambda x: (x, np.sin(10 * np.pi * x) + r.normal(size=300)))(r.random(300)),
    "circle": circle,
    "heteroscedastic": lambda r: (lambda x: (x, x * r.normal(size=200)))(r.normal(size=200)),
    "product of columns": lambda r: (lambda X: (X, X[:, 0] * X[:, 1] + r.normal(size=300)))(r.normal(size=(300, 3))),
    "variance of labels": lambda r: (lambda k: (k, (1 + k) * r.normal(size=300)))(r.integers(0, 2, 300)),
    "one pair of 40 x 40": one_pair,
    "many labels": lambda r: (lambda x: (np.floor(99 * x).astype(int), 2 * x + r.normal(size=900)))(r.random(900)),
    "collider": lambda r: (lambda x, y: (x, y, x + y + r.normal(size=300)))(*r.normal(size=(2, 300))),
    "xor": lambda r: (lambda x, z: (x, x ^ z, z))(*r.integers(0, 2, (2, 40))),
    "sign of z": lambda r: (lambda x, z: (x, x * z + r.normal(size=300), z))(*r.normal(size=(2, 300))),
    "sign of a label": lambda r: (lambda x, z: (x, x * (2 * z - 1) + r.normal(size=200), z))(
        r.normal(size=200), r.integers(0, 2, 200)
    ),
    "label given a number": lambda r: (lambda x, z: (x, x ^ (z > 0), z))(r.integers(0, 2, 200), r.normal(size=200)),
}


@pytest.mark.parametrize("name", DEPENDENT)
def test_dependence_is_found(name):
    sides = DEPENDENT[name](rng())
    discrete = {"discrete_X": True} if name == "many labels" else {}
    assert independence_test(*sides, n_permutations=199, random_state=0, **discrete).p_value <= 0.01


@pytest.mark.parametrize("z", ["line", "label"])
def test_what_a_common_cause_explains_is_no_dependence_given_it(z):
    cause = rng().normal(size=1000) if z == "line" else rng().integers(0, 4, 1000)
    x, y = (cause + rng(seed).normal(size=1000) for seed in (1, 2))
    assert independence_test(x, y, n_permutations=99, random_state=0).p_value == 0.01
    assert independence_test(x, y, cause, n_permutations=99, random_state=0).p_value > 0.05


def test_the_level_holds_where_rows_of_two_labels_are_few():
    rejected = 0
    for seed in range(10):
        draw = rng(seed)
        codes = draw.integers(0, 20, (600, 2))
        cause = rng().normal(size=(2, 20))[[0, 1], codes].sum(1)
        x, y = cause + 0.2 * draw.normal(size=(2, 600))
        given = codes.astype(str).astype(object)
        rejected += independence_test(x, y, given, n_permutations=39, random_state=0).p_value <= 0.05
    assert rejected <= 3  # of 10, at level 0.05: more with probability 0.001


def test_given_labels_of_which_each_row_has_its_own_says_nothing_and_warns():
    names = np.array([f"row {k}" for k in range(80)])
    with pytest.warns(SmallSampleWarning, match="100% of the rows have a Z that no other row has"):
        result = independence_test(X, X, names, random_state=0)
    assert result.p_value > 0.05


# -------------------------------------------------------------------------------------------------------------- invariance
X, Y = rng(1).normal(size=(2, 80, 2))
LABEL = rng(2).integers(0, 3, 80)
CASES = {
    "column": (X[:, 0], Y[:, 0], None),
    "columns": (X, Y, None),
    "label": (LABEL, Y[:, 0], None),
    "given": (X[:, 0], Y[:, 0], Y[:, 1]),
    "strata": (X[:, 0], Y[:, 0], LABEL),
}


@pytest.mark.parametrize("name", CASES)
def test_rising_maps_of_columns_change_nothing(name):
    sides = CASES[name]
    mapped = [side if side is None or side.dtype.kind == "i" else np.exp(3 * side) for side in sides]
    first, second = (independence_test(*values, n_permutations=99, random_state=0) for values in (sides, mapped))
    assert second.p_value == first.p_value
    assert second.statistic == pytest.approx(first.statistic, rel=1e-6)


def test_names_of_labels_and_their_columns_change_nothing():
    x, y = LABEL, rng(3).integers(0, 2, 80)
    first = independence_test(x, y, random_state=0)
    frame = pd.DataFrame({"x": np.array(["a", "b", "c"])[x]})
    assert independence_test(frame, y == 1, random_state=0) == first
    assert independence_test(x.astype(float), y, discrete_X=True, random_state=0) == first


def test_the_statistic_of_tables_is_that_of_the_g_test_and_symmetric():
    x, y = LABEL, rng(3).integers(0, 4, 80)
    table = np.histogram2d(x, y, bins=(3, 4))[0]
    G = chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic
    found = independence_test(x, y, n_permutations=4999, random_state=0)
    assert found.statistic == pytest.approx(G / 160)
    assert independence_test(y, x, random_state=0).statistic == pytest.approx(found.statistic)
    assert found.p_value == pytest.approx(chi2_contingency(table, False, "log-likelihood").pvalue, abs=0.04)


def test_tables_and_permuted_rows_have_one_law(monkeypatch):
    x, y = LABEL, rng(3).integers(0, 4, 80)
    drawn = permutation_test(x, y, rng(), 1999)
    monkeypatch.setattr("skdim.information.permutations.CELLS_PER_ROW", 0)
    assert drawn.p_value == pytest.approx(permutation_test(x, y, rng(), 1999).p_value, abs=0.06)
    z = np.arange(80) % 2
    strata = conditional_test(x, y, z, rng(), 1999)
    table = [np.histogram2d(x[z == k], y[z == k], bins=(3, 4))[0] for k in (0, 1)]
    G = sum(chi2_contingency(part, False, "log-likelihood").statistic for part in table)
    assert strata.statistic == pytest.approx(G / 160)
    monkeypatch.undo()
    assert strata.p_value == pytest.approx(conditional_test(x, y, z, rng(), 1999).p_value, abs=0.06)


def test_the_same_seed_gives_the_same_bits_and_both_sides_nearly_the_same_value():
    x, y = X[:, 0], X[:, 0] ** 2 + Y[:, 0]
    first, second = (independence_test(x, y, random_state=0) for _ in range(2))
    assert first == second
    assert independence_test(y, x, random_state=0).statistic == pytest.approx(first.statistic, rel=0.3)


def test_a_constant_side_is_independent_of_everything():
    assert independence_test(np.zeros(30), Y[:30, 0]) == (0.0, 1.0)
    assert independence_test(["a"] * 30, LABEL[:30]) == (0.0, 1.0)


def test_few_rows_and_degenerate_sides_give_numbers():
    for n in (2, 3, 40):
        sides = (X[:n, 0], X[:n], LABEL[:n], np.tile(X[:n], 30))
        givens = (None,) if n < 40 else (None, np.zeros(n), X[:n, 0], X[:n, [0, 0]], LABEL[:n], np.arange(n) % 20)
        for x, y, z in itertools.product(sides, sides, givens):
            statistic, p_value = independence_test(x, y[::-1], z, n_permutations=9, random_state=0)
            assert np.isfinite(statistic)
            assert 0.1 <= p_value <= 1


# ---------------------------------------------------------------------------------------------------------- features, screen
def test_the_screen_is_the_g_statistic_of_each_pair():
    x, y = rng().normal(size=(600, 2)), rng(1).normal(size=(600, 3))
    y[:, 1] += x[:, 0]
    codes = [(np.argsort(np.argsort(side, axis=0), axis=0) * 6 // 600) for side in (x, y)]
    z = screen_pairs(x, y)
    assert z.shape == (2, 3)
    for i, j in itertools.product(range(2), range(3)):
        table = np.histogram2d(codes[0][:, i], codes[1][:, j], bins=6)[0]
        G = chi2_contingency(table, False, "log-likelihood").statistic / (1 + 35**2 / (6 * 600 * 25) / 1)
        assert z[i, j] == pytest.approx((np.cbrt(G / 25) - (1 - 2 / 225)) / np.sqrt(2 / 225), abs=1e-9)
    assert z.argmax() == 1


def test_the_screen_scores_about_normally_and_in_parts(monkeypatch):
    x, y = rng().normal(size=(500, 30)), rng(1).normal(size=(500, 30))
    z = screen_pairs(x, y)
    assert abs(z.mean()) < 0.15
    assert z.std() == pytest.approx(1, abs=0.1)
    monkeypatch.setattr("skdim.information.screen.N_ROWS", 64)
    monkeypatch.setattr("skdim.information.screen.N_INDICATORS", 12)
    np.testing.assert_allclose(screen_pairs(x, y), z)
    rows = rng(2).permutation(500)
    np.testing.assert_allclose(table_scores(rank_bins(x), rank_bins(y), rows)[0], screen_pairs(x, y[rows]))


def test_the_screen_takes_labels_and_leaves_out_what_is_constant_or_rare():
    x = np.column_stack([X[:, 0], np.zeros(80)])
    assert np.isneginf(screen_pairs(x, LABEL)).ravel().tolist() == [False, True]
    rare = np.eye(500)[:, :1]
    assert bonferroni_p_value(rank_bins(rare), rank_bins(rare)) == 1.0


def test_kernel_axes_of_all_rows_are_those_of_the_centred_kernel():
    (axes,) = kernel_axes(X, (1.0,), 100, rng())
    squares = ((X[:, None] - X) ** 2).sum(2)
    kernel = np.exp(-squares / (2 * np.median(squares[~np.eye(80, dtype=bool)])))
    centred = kernel - kernel.mean(0) - kernel.mean(1)[:, None] + kernel.mean()
    np.testing.assert_allclose(axes @ axes.T, centred, atol=1e-4)


def test_random_sums_of_many_labels_have_the_covariance_of_their_indicators():
    labels = rng().integers(0, 100, 5000)
    y = rng(1).normal(size=(5000, 1)) + labels[:, None] / 50
    exact = np.array([y[labels == k].sum() / np.sqrt((labels == k).mean()) for k in range(100)])
    sums = indicators(labels, rng()).T @ y
    assert (sums**2).mean() == pytest.approx((exact**2).sum(), rel=0.5)
    assert features(labels, rng()).values.shape == (5000, 64)


def test_residuals_leave_nothing_of_functions_of_z_and_noise_as_it_is():
    z, noise = rng().normal(size=(1000, 2)), rng(1).normal(size=1000)
    known = np.column_stack([np.sin(2 * z[:, 0]), z[:, 0] * z[:, 1], z.min(1) > 0.3, noise])
    leave = Residuals(z, known, rng())
    left = leave(known).std(0)
    assert (left[:2] < 0.05).all()
    assert left[2] < 1e-6
    assert left[3] == pytest.approx(noise.std(), rel=0.1)
    assert (leave(np.ones((1000, 1))) == 0).all()


def test_a_row_with_a_missing_value_is_dropped_on_request():
    gaps = X.copy()
    gaps[::7] = np.nan
    kept = np.arange(len(X)) % 7 != 0
    with pytest.raises(ValueError, match=r"column 0 of X has 12 missing value.*missing='drop'"):
        independence_test(gaps, Y)
    for Z, of_kept in ((None, None), (Y**2, Y[kept] ** 2)):
        dropped = independence_test(gaps, Y, Z, missing="drop", random_state=0)
        assert dropped == independence_test(X[kept], Y[kept], of_kept, random_state=0)


# ------------------------------------------------------------------------------------------------------------------ errors
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block_size": 30}, "block_size=30 cuts 80 rows into 3 block"),
        ({"block_size": 0}, "'block_size' parameter"),
        ({"n_permutations": 0}, "'n_permutations' parameter"),
        ({"discrete_Z": True}, "discrete_Z=True has no effect without Z"),
        ({"discrete_X": [3]}, "X has no column"),
        ({"Z": np.ones((80, 20)).cumsum(0)}, "Z gives 20 number.s. a row, and 80 rows are too few"),
        ({"Z": np.zeros(79)}, "inconsistent numbers of samples"),
        ({"Z": np.full(80, np.nan)}, "NaN"),
        ({"missing": "drop", "block_size": 2}, "missing='drop' would break the order of a series"),
    ],
)
def test_errors_say_what_is_allowed(options, message):
    with pytest.raises(ValueError, match=message):
        independence_test(X, Y, **options)
