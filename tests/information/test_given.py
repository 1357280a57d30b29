"""Laws of information given a third variable: closed forms, the chain rule, groups, series, and what is refused."""

import pickle

import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy.signal import lfilter

from skdim import (
    MIEstimator,
    MIResult,
    conditional_mutual_information,
    interaction_information,
    mutual_information,
    mutual_information_matrix,
    time_blocks,
    transfer_entropy,
)
from skdim.exceptions import ConstantInputWarning, DuplicateRowsWarning, SmallSampleWarning
from skdim.information.discrete import entropy
from skdim.information.intervals import error_of_mean, normal_interval
from skdim.information.permutations import permutation_p_value
from skdim.information.residuals import Regression, Residuals

SHORT = {"hidden_layer_sizes": (16,), "max_iter": 2, "n_refits": 0, "test_fraction": 0.5, "random_state": 0}
GAUSSIAN = {"estimator": "gaussian", "random_state": 0}
LOG_2 = np.log(2)


def rng(seed=0):
    return np.random.default_rng(seed)


def gaussian(rho):
    return -0.5 * np.log(1 - rho**2)


# ------------------------------------------------------------------------------------------------------------------ truths
def chain(n, r):
    x, a, b = r.normal(size=(3, n))
    z = 0.8 * x + 0.6 * a
    return x, 0.8 * z + 0.6 * b, z


def fork(n, r):
    z, a, b = r.normal(size=(3, n))
    return np.sin(3 * z) + 0.3 * a, z**2 + 0.5 * b, z


def collider(n, r):
    x, y, a = r.normal(size=(3, n))
    return x, y, x + y + 0.5 * a


def strata(n, r):
    a, b = r.normal(size=(2, n))
    z = r.integers(0, 2, n)
    return a + z, np.where(z == 0, 0.8 * a + 0.6 * b, b), z


def five(n, r):
    Z, a, b = r.normal(size=(n, 5)), *r.normal(size=(2, n))
    return Z[:, 0] + a, Z.sum(1) + 0.6 * a + 0.8 * b, Z


TRUTHS = {
    "chain": (chain, 0.0),
    "curved fork": (fork, 0.0),
    "collider": (collider, gaussian(0.8)),
    "strata": (strata, gaussian(0.8) / 2),
    "five columns": (five, gaussian(0.6)),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_values_are_those_of_closed_forms(name):
    sample, truth = TRUTHS[name]
    result = conditional_mutual_information(*sample(1200, rng()), **{**SHORT, "max_iter": 30})
    assert result.value == pytest.approx(truth, abs=0.06)
    assert result.kind == "estimate"
    assert result.interval[0] < result.value < result.interval[1]
    assert (result.p_value < 0.05) == (truth > 0)


def test_rounded_columns_are_no_copies():
    """Residuals on z tie only where the rounded columns and z do: copies are judged by the columns."""
    r = rng()
    z, x = r.integers(0, 12, 800), r.normal(size=800).round(1)
    y = (z + r.normal(size=800)).round(1)
    result = conditional_mutual_information(x, y, z, **SHORT)
    assert result.diagnostics["duplicated_rows"] == 0
    rows = r.integers(0, 400, 800)
    x, y, z = (r.normal(size=400)[rows] for _ in "xyz")
    with pytest.warns(DuplicateRowsWarning):
        conditional_mutual_information(x, y, z, **SHORT)


def test_counts_are_exact():
    """I(x; y | z) = H(x, z) + H(y, z) - H(z) - H(x, y, z), and each entropy is corrected."""
    x, y, z = rng().integers(0, 3, (3, 600))
    y = np.where(rng(1).random(600) < 0.5, (x + z) % 3, y)
    parts = [np.column_stack(columns) for columns in ((x, z), (y, z), (z,), (x, y, z))]
    signs = 1, 1, -1, -1
    truth = sum(sign * entropy(part, "miller-madow") for sign, part in zip(signs, parts, strict=True))
    result = conditional_mutual_information(x, y, z, random_state=0)
    assert result.value == pytest.approx(
        truth, abs=0.001
    )  # of so many counts by cell, all corrections are nearly the same
    assert result.entropy == pytest.approx(min(entropy(x), entropy(y)))


def test_exclusive_or_is_synergy_and_a_copy_is_redundancy():
    a, b = rng().integers(0, 2, (2, 1000))
    assert conditional_mutual_information(a, a ^ b, b).value == pytest.approx(LOG_2, abs=0.01)
    assert interaction_information(a, b, a ^ b).value == pytest.approx(LOG_2, abs=0.01)
    assert interaction_information(a, a, a).value == pytest.approx(-LOG_2, abs=0.01)


def test_interaction_of_numbers_is_the_difference():
    x, y, z = collider(800, rng(1))
    found = interaction_information(x, y, z, **GAUSSIAN)
    given = conditional_mutual_information(x, y, z, **GAUSSIAN).value
    assert found.value == pytest.approx(given - mutual_information(x, y, **GAUSSIAN).value)
    assert found.interval[0] < gaussian(0.8) < found.interval[1]
    assert np.isnan(found.p_value)


def test_the_chain_rule_and_symmetry_of_the_gaussian_closed_form():
    X = rng().normal(size=(2000, 3)) @ rng(1).normal(size=(3, 3))
    x, y, z = X.T
    given = conditional_mutual_information(x, y, z, **GAUSSIAN).value
    both = mutual_information(X[:, [0, 2]], y, **GAUSSIAN).value
    assert given == pytest.approx(both - mutual_information(z, y, **GAUSSIAN).value, abs=0.02)
    assert given == pytest.approx(conditional_mutual_information(y, x, z, **GAUSSIAN).value, abs=0.02)


def test_monotone_maps_change_nothing():
    x, y, z = collider(500, rng())
    plain = conditional_mutual_information(x, y, z, **GAUSSIAN).value
    mapped = conditional_mutual_information(np.exp(x), y**3, np.arctan(z), **GAUSSIAN).value
    assert mapped == pytest.approx(plain, abs=1e-6)


def test_functions_of_z_are_taken_out_of_columns_and_no_information_with_them():
    z = rng().normal(size=(1500, 2))
    noise = rng(1).normal(size=1500)
    X = (np.sin(2 * z[:, 0]) + z[:, 0] * z[:, 1] + np.exp(0.4 * z[:, 1]) * noise)[:, None]
    learned = Residuals.learn(X, np.array([False]), z, None, rng())
    left = learned(X, z)[:, 0]
    assert np.corrcoef(left, noise)[0, 1] > 0.97
    back = Residuals.from_state(learned.state())
    assert (back(X[:5], z[:5]) == learned(X[:5], z[:5])).all()


def test_a_regression_without_information_predicts_the_mean():
    z, targets = rng().normal(size=(800, 2)), 5 + rng(1).normal(size=(800, 2))
    assert np.abs(Regression.learn(z, targets, rng())(z) - targets.mean(0)).std() < 0.15
    constant = Regression.learn(np.zeros((50, 1)), targets[:50], rng())
    assert constant(np.zeros((2, 1))) == pytest.approx(np.tile(targets[:50].mean(0), (2, 1)))


# ---------------------------------------------------------------------------------------------------------- kinds and state
def mixed(n, r):
    z = r.normal(size=n)
    word = np.array(["a", "b", "c"], dtype=object)[r.integers(0, 3, n)]
    y = z + (word == "a") + r.normal(size=n)
    return pd.DataFrame({"word": word, "number": z + r.normal(size=n)}), y, pd.DataFrame({"z": z, "flag": z > 0})


SIDES = {
    "numbers": collider,
    "strata": strata,
    "mixed": mixed,
    "labels y": lambda n, r: (lambda z: (z + r.normal(size=n), np.where(z + r.normal(size=n) > 0, "u", "d"), z))(
        r.normal(size=n)
    ),
    "labels x": lambda n, r: (lambda z: (np.where(z + r.normal(size=n) > 0, "u", "d"), z + r.normal(size=n), z))(
        r.normal(size=n)
    ),
    "labels": lambda n, r: tuple(r.integers(0, 2, (3, n))),
}


@pytest.mark.parametrize("name", SIDES)
def test_every_kind_of_columns_is_fitted_saved_and_asked_of_new_rows(name):
    X, y, Z = SIDES[name](450, rng())
    X = X if hasattr(X, "columns") else X[:, None]
    mi = MIEstimator(**SHORT).fit(X, y, Z)
    loaded = pickle.loads(pickle.dumps(mi))
    values = mi.pointwise(X, y, Z)
    assert values.shape == (450,)
    assert (loaded.pointwise(X, y, Z) == values).all()
    assert loaded.score(X, y, Z) == mi.score(X, y, Z)
    assert mi.estimate(X, y, Z).value == pytest.approx(values.mean())
    assert len(mi.discrete_) == 3
    again = MIEstimator(**SHORT).fit(X, y, Z)
    assert (again.mi_, again.mi_interval_) == (mi.mi_, mi.mi_interval_)
    assert MIEstimator(**SHORT).fit(X, y).mi_ == mi.fit(X, y).mi_  # nothing is left of Z


def test_what_is_refused():
    x, y, z = collider(100, rng())
    X = x[:, None]
    fitted = MIEstimator(**GAUSSIAN).fit(X, y, z)
    with pytest.raises(ValueError, match="fit was called with Z, and the method is called without Z"):
        fitted.score(X, y)
    with pytest.raises(ValueError, match="fit was called without Z"):
        MIEstimator(**GAUSSIAN).fit(X, y).pointwise(X, y, z)
    with pytest.raises(ValueError, match=r"estimator='infonce' gives no information given Z.*'auto', 'gaussian'"):
        MIEstimator(estimator="infonce").fit(X, y, z)
    with pytest.raises(ValueError, match="discrete_Z=True has no effect without Z"):
        MIEstimator(discrete_Z=True).fit(X, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        conditional_mutual_information(x, y, z[:50])
    with pytest.raises(ValueError, match=r"^Z has 10 missing value\(s\), the first in row 19"):
        conditional_mutual_information(x, y, np.where(z > 2, np.nan, z))
    with pytest.raises(ValueError, match="groups has 3 label"):
        mutual_information(x, y, groups=np.arange(100) % 3)
    with pytest.warns(ConstantInputWarning, match="Z is constant"):
        conditional_mutual_information(x, y, np.zeros(100), **GAUSSIAN)
    with pytest.warns(ConstantInputWarning, match="X is constant"):
        assert conditional_mutual_information(np.zeros(100), y, z, **GAUSSIAN).value == 0


def test_skops_finds_one_untrusted_name(tmp_path):
    x, y, z = collider(200, rng())
    fitted = MIEstimator(**GAUSSIAN).fit(x[:, None], y, z)
    skops.io.dump(fitted, tmp_path / "mi.skops")
    names = skops.io.get_untrusted_types(file=tmp_path / "mi.skops")
    assert names == ["skdim.information.estimator.MIEstimator"]
    loaded = skops.io.load(tmp_path / "mi.skops", trusted=names)
    assert (loaded.pointwise(x[:, None], y, z) == fitted.pointwise(x[:, None], y, z)).all()


def test_missing_values_are_dropped_on_request():
    x, y, z = collider(300, rng())
    x[3], y[5], z[[5, 7]] = np.nan, np.nan, np.nan
    kept = np.isfinite(x + y + z)
    result = conditional_mutual_information(x, y, z, missing="drop", **GAUSSIAN)
    assert result.value == conditional_mutual_information(x[kept], y[kept], z[kept], **GAUSSIAN).value
    assert result.diagnostics["dropped_rows"] == 3
    frame = pd.DataFrame({"x": x, "label": np.where(x > 0, "u", None)})
    assert mutual_information(frame, y, missing="drop", **GAUSSIAN).diagnostics["dropped_rows"] > 100
    with pytest.raises(ValueError, match="NaN"):
        mutual_information(x, y)


# ---------------------------------------------------------------------------------------------------------------- results
def test_results_tell_bits_shares_and_tables():
    x, y = rng().normal(size=(2, 4000))
    result = mutual_information(x, 0.6 * x + 0.8 * y, **GAUSSIAN)
    assert result.normalized == pytest.approx(0.36, abs=0.03)
    assert result.bits == result.value / LOG_2
    assert result.contributions.mean() == pytest.approx(result.value)
    labels = rng().integers(0, 4, 1000)
    assert mutual_information(labels, labels).normalized == 1
    assert mutual_information(labels, labels > 1).entropy == pytest.approx(entropy(labels > 1))
    frame = result.to_frame()
    assert frame.shape[0] == 1
    assert {"value", "lower", "upper", "kind", "bits", "normalized", "p_value"} <= set(frame)
    assert repr(MIResult(1 / 3, (0.1, 0.55555), "lower", 2.0, {})) == (
        "MIResult(value=0.333, interval=(0.1, 0.556), kind='lower')"
    )
    assert "value=-0.00246, interval=(-0.00246, 0.0144)" in repr(
        MIResult(-0.002463, (-0.002463, 0.014439), "estimate", 1.0, {})
    )  # no value lies outside its interval by rounding
    assert MIResult(-0.1, (0, 0), "estimate", 1.0, {}, entropy=0.0).normalized == 0


# --------------------------------------------------------------------------------------------------------------- dependence
def slow_series(seed, n=2000):
    return lfilter([1], [1, -0.98], rng(seed).normal(size=(2, n + 500)))[:, 500:]


def test_blocks_make_slow_independent_series_read_nothing():
    x, y = slow_series(0)
    blocks = time_blocks(np.column_stack([x, y]), block_size=200)
    result = mutual_information(x, y, groups=blocks, **{**SHORT, "max_iter": 5})
    assert result.value == pytest.approx(0, abs=0.03)
    assert result.interval[0] <= 0 <= result.interval[1]
    assert result.p_value > 0.05


@pytest.mark.parametrize("of_one_size", [True, False])
def test_the_test_of_groups_has_its_level(of_one_size):
    """Both sides are constant within a group, so that rows tell no more than groups."""
    rejected = []
    for seed in range(120):
        r = rng(seed)
        groups = np.repeat(np.arange(40), 5 if of_one_size else r.integers(1, 9, 40))
        if not of_one_size:
            groups = r.permutation(groups)
        x, y = r.normal(size=(2, 40))[:, groups]
        rejected.append(permutation_p_value(x[:, None], y[:, None], r, 99, groups) <= 0.05)
    assert np.mean(rejected) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)


def test_rows_of_a_group_are_on_one_side_and_errors_are_those_of_groups():
    r = rng()
    groups = r.permutation(np.repeat(np.arange(60), 5))
    x = r.normal(size=60)[groups]
    values = r.normal(size=60)[groups]
    means = np.array([values[groups == g].mean() for g in range(60)])
    assert error_of_mean(values, groups) == pytest.approx(means.std(ddof=1) / np.sqrt(60))
    assert error_of_mean(values) == pytest.approx(values.std() / np.sqrt(300))
    high = normal_interval(0.0, 1.0, 0.95, np.arange(8))[1]
    assert high == pytest.approx(2.365, abs=1e-3)  # Student's law with seven degrees of freedom
    y = x + r.normal(size=60)[groups]
    mi = MIEstimator(critic="separable", **SHORT).fit(x[:, None], y, groups=[f"g{g}" for g in groups])
    assert mi.diagnostics_["duplicated_rows"] == 0  # copies are in one group


# ------------------------------------------------------------------------------------------------------------------ series
def coupled(n, seed=0):
    e = rng(seed).normal(size=(n + 100, 2))
    x = lfilter([1], [1, -0.6], e[:, 0])
    y = lfilter([1], [1, -0.5], e[:, 1] + 0.8 * np.append(0, x[:-1]))
    return x[100:], y[100:]


def test_transfer_has_a_direction():
    x, y = coupled(1500)
    forwards, backwards = (transfer_entropy(*pair, **GAUSSIAN) for pair in ((x, y), (y, x)))
    # From the regressions of y_t on both pasts and on its own: closed form of Gaussian series.
    past, own, now = np.column_stack([x, y])[:-1], y[:-1, None], y[1:]
    variances = [np.linalg.lstsq(part, now - now.mean(), rcond=None)[1][0] for part in (own, past)]
    assert forwards.value == pytest.approx(0.5 * np.log(variances[0] / variances[1]), abs=0.03)
    assert backwards.value == pytest.approx(0, abs=0.02)
    assert forwards.p_value < 0.05 < backwards.p_value


def test_transfer_of_labels_lags_and_several_columns():
    bits, other = rng().integers(0, 2, (2, 1500))
    target = np.roll(bits, 3)
    assert transfer_entropy(bits, target, lag=3, **GAUSSIAN).value == pytest.approx(LOG_2, abs=0.02)
    assert transfer_entropy(bits, target, lag=2, **GAUSSIAN).value == pytest.approx(0, abs=0.02)
    assert transfer_entropy(bits, target, lag=2, history=2, **GAUSSIAN).value == pytest.approx(LOG_2, abs=0.02)
    both = np.column_stack([other, bits])
    assert transfer_entropy(both, target, lag=3, **GAUSSIAN).value == pytest.approx(LOG_2, abs=0.02)


def test_blocks_are_as_long_as_the_memory_asks():
    sizes = [np.bincount(time_blocks(series))[0] for series in (rng().normal(size=4000), slow_series(0, 8000)[0])]
    assert sizes[0] == 4
    assert 120 < sizes[1] < 320  # 4 (1 + 0.98^2) / (1 - 0.98^2) = 198
    with pytest.warns(SmallSampleWarning, match="10 blocks"):
        time_blocks(np.arange(200.0))
    with pytest.raises(ValueError, match="block_size=30 cuts 100 rows into 4 blocks"):
        time_blocks(np.zeros(100), block_size=30)
    with pytest.raises(ValueError, match="lag=5 and history=4 need"):
        transfer_entropy(np.zeros(10), np.zeros(10), lag=5, history=4)


@pytest.mark.parametrize("function", [conditional_mutual_information, interaction_information])
def test_a_third_variable_must_be_given(function):
    with pytest.raises(ValueError, match="Z is None"):
        function([0, 1] * 50, [0, 1] * 50, None)


@pytest.mark.parametrize("name", ["discrete_X", "discrete_y", "groups"])
def test_functions_refuse_parameters_that_they_set_themselves(name):
    series = np.random.default_rng(0).normal(size=(200, 2))
    with pytest.raises(TypeError, match=name):
        transfer_entropy(*series.T, **{name: True})
    if name != "groups":
        with pytest.raises(TypeError, match=name):
            mutual_information_matrix(series, method="full", **{name: True})
