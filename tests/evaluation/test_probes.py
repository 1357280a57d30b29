"""The linear probe against scikit-learn's own pieces, its invariances, and budgets of labels."""

import sys

import numpy as np
import pandas as pd
import pytest
from helpers import IMAGES, LABELS
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skdim.evaluation import linear_probe
from skdim.evaluation._probes import _balanced_order

PIXELS = IMAGES.reshape(len(IMAGES), -1)
TRAIN, TEST = slice(0, 1200), slice(1200, None)
PARTS = PIXELS[TRAIN], LABELS[TRAIN], PIXELS[TEST], LABELS[TEST]
MEASURES = ("accuracy", "log_loss", "v_information")


def same(a, b, **tolerance):
    for name in MEASURES:
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), **tolerance)


# ------------------------------------------------------------------------------------------------------------- the truth
def test_is_logistic_regression_on_standardised_features():
    result = linear_probe(*PARTS)
    twin = make_pipeline(StandardScaler(), LogisticRegression(C=10 / 64, max_iter=1000)).fit(*PARTS[:2])
    q = twin.predict_proba(PARTS[2])
    frequencies = np.bincount(LABELS[TRAIN]) / 1200
    assert result.n_labels.tolist() == [1200]
    assert result.accuracy.item() == twin.score(*PARTS[2:])
    np.testing.assert_allclose(result.log_loss, log_loss(LABELS[TEST], q))
    np.testing.assert_allclose(result.log_loss + result.v_information, -np.log(frequencies[LABELS[TEST]]).mean())


@pytest.mark.parametrize("tol", [0.1, 1e-3])  # as published, and converged
def test_agrees_with_the_reference_probe(tol):
    classifier = LogisticRegression(solver="saga", C=10, tol=tol, max_iter=5000, random_state=0)
    expected = make_pipeline(MinMaxScaler(), classifier).fit(*PARTS[:2]).score(*PARTS[2:])
    assert classifier.n_iter_ < 5000
    assert abs(linear_probe(*PARTS).accuracy.item() - expected) <= 0.01


def test_finds_the_log_odds_of_two_gaussians():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=20_000)
    x = rng.normal(size=20_000) + 2.0 * y
    log_odds = 2.0 * x - 2.0
    expected = np.logaddexp(0, -np.where(y == 1, log_odds, -log_odds))[10_000:].mean()
    result = linear_probe(x[:10_000, None], y[:10_000], x[10_000:, None], y[10_000:])
    np.testing.assert_allclose(result.log_loss.item(), expected, atol=0.002)


# ---------------------------------------------------------------------------------------------------------- invariances
def test_features_given_twice_change_nothing():
    Z, y, Z_test, y_test = PARTS
    same(linear_probe(*PARTS), linear_probe(np.hstack([Z, Z]), y, np.hstack([Z_test, Z_test]), y_test), rtol=2e-3)


def test_units_and_precision_change_nothing():
    scale, shift = np.random.default_rng(0).uniform(0.1, 10, size=(2, 64))
    Z, y, Z_test, y_test = PARTS
    same(linear_probe(*PARTS), linear_probe(Z * scale + shift, y, Z_test * scale + shift, y_test), rtol=2e-3)
    same(linear_probe(*PARTS), linear_probe(Z.astype("f4"), y, Z_test.astype("f4"), y_test), rtol=2e-3)


@pytest.mark.parametrize(
    "labels",
    [LABELS.astype(str), LABELS * 2.0, pd.Series(LABELS), pd.Series(LABELS).astype("category"), LABELS.tolist()],
    ids=["str", "float", "series", "category", "list"],
)
def test_any_labels_and_frames(labels):
    Z = pd.DataFrame(PIXELS, columns=[f"pixel_{i}" for i in range(64)])
    result = linear_probe(Z, labels, n_labels=200, n_draws=2, random_state=0)
    same(result, linear_probe(PIXELS, LABELS, n_labels=200, n_draws=2, random_state=0), rtol=1e-6)


def test_an_int_gives_the_same_again_and_another_one_not():
    def probed(seed):
        return linear_probe(PIXELS, LABELS, n_labels=[20, None], n_draws=2, random_state=seed)

    same(probed(0), probed(0), rtol=0)
    assert (probed(0).log_loss != probed(1).log_loss).all()


# --------------------------------------------------------------------------------------------------------------- budgets
@given(counts=st.lists(st.integers(1, 20), min_size=2, max_size=6), seed=st.integers(0, 2**31))
def test_every_beginning_of_the_order_is_balanced(counts, seed):
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    order = _balanced_order(y, np.random.default_rng(seed))
    assert sorted(order) == list(range(len(y)))
    for n in range(1, min(counts) * len(counts) + 1):
        drawn = np.bincount(y[order[:n]], minlength=len(counts))
        assert drawn.max() - drawn.min() <= 1


def test_labels_are_drawn_and_held_out_parts_too():
    result = linear_probe(PIXELS, LABELS, n_labels=(10, 100, None), n_draws=4, random_state=0)
    assert result.accuracy.shape == (3, 4)
    assert result.n_labels.tolist() == [10, 100, 1347]
    assert (np.diff(result.mean["v_information"]) > 0).all()
    assert all((result.sd[name] > 0).all() for name in MEASURES)


def test_all_labels_and_a_given_part_leave_nothing_to_draw():
    result = linear_probe(*PARTS, n_labels=[None, 50], n_draws=3, random_state=0)
    same(linear_probe(*PARTS), linear_probe(*PARTS, random_state=5), rtol=0)
    assert (result.accuracy[0] == linear_probe(*PARTS).accuracy.item()).all()
    assert result.sd["log_loss"][1] > 0
    assert result.sd["log_loss"][0] == 0
    with pytest.raises(ValueError, match="n_draws=3 would repeat the same probe"):
        linear_probe(*PARTS, n_draws=3)


def test_frame_and_repr():
    result = linear_probe(PIXELS, LABELS, n_labels=[20, 50], n_draws=2, random_state=0)
    frame = result.to_frame()
    assert frame[["n_labels", "draw"]].values.tolist() == [[20, 0], [20, 1], [50, 0], [50, 1]]
    np.testing.assert_array_equal(frame["v_information"], result.v_information.ravel())
    assert repr(result).startswith("ProbeResult(20 labels: accuracy 0.")
    assert "\n" not in repr(result)
    single = linear_probe(*PARTS)
    assert np.isnan(single.sd["accuracy"]).all()
    assert "±" not in repr(single)


# ---------------------------------------------------------------------------------------------------------------- errors
def test_without_pandas_a_frame_says_what_to_install(monkeypatch):
    result = linear_probe(*PARTS, n_labels=20, random_state=0)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'scikit-deepinfomax\[data\]'"):
        result.to_frame()


def test_what_did_not_converge_says_so():
    with pytest.warns(ConvergenceWarning):
        linear_probe(*PARTS, max_iter=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_test": None}, "together"),
        ({"Z_test": PIXELS[:4, :5], "y_test": LABELS[:4]}, "Z_test has 5 features, but Z has 64"),
        ({"y_test": LABELS[TEST] + 5}, r"y_test holds labels that y does not: \[10, 11, 12, 13, 14\]"),
        (
            {"y_test": np.array(["0", None] * 300, dtype=object)[: len(LABELS[TEST])]},
            r"^y_test has 298 missing value\(s\), the first in row",
        ),
        ({"y": np.zeros(1200)}, "one label only, 0.0"),
        ({"y": np.linspace(0, 1, 1200)}, "continuous"),
        ({"y": LABELS[:5]}, "inconsistent"),
        ({"Z": np.where(PIXELS[TRAIN] > 15, np.nan, 1.0)}, "NaN"),
        ({"Z": IMAGES[TRAIN]}, r"dim 3.*Z\.reshape\(len\(Z\), -1\)"),
        ({"n_labels": 5}, "n_labels=5 cannot be drawn in equal parts: there are 10 labels"),
        ({"n_labels": 5000}, "Allowed are 10 to "),
        ({"n_labels": []}, "empty"),
        ({"n_labels": [100, 2.5]}, "n_labels must be a positive integer, got 2.5"),
        ({"n_draws": 0}, "n_draws"),
        ({"C": 0.0}, "'C'"),
        ({"test_fraction": 1.0}, "test_fraction"),
    ],
)
def test_refuses_what_it_cannot_use(change, message):
    given = dict(zip(("Z", "y", "Z_test", "y_test"), PARTS, strict=True)) | change
    with pytest.raises(ValueError, match=message):
        linear_probe(**given)
