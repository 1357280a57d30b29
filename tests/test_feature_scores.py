"""Scores of features: known mutual information, counted tables, exact symmetries, and what selectors need."""

import functools
import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from helpers import IMAGES, LABELS
from scipy import sparse
from scipy.stats import spearmanr
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from tasks import (
    ContingencyTable,
    LabelAndUniform,
    LabelledGaussians,
    NoisyCircle,
    NoisySine,
    ZeroInflatedPoisson,
)

from skdim.discrete import discrete_mutual_information, information_gain
from skdim.exceptions import ConstantInputWarning, SaturationWarning, SmallSampleWarning
from skdim.feature_scores import _training, mutual_info_features

PIXELS = IMAGES.reshape(len(IMAGES), -1)
scored = functools.partial(mutual_info_features, random_state=0)


def correlated(n, rhos, seed=0):
    """Return columns of the given correlations with a Gaussian y, and y."""
    rng = np.random.default_rng(seed)
    y = rng.standard_normal(n)
    rhos = np.asarray(rhos)
    return rhos * y[:, None] + np.sqrt(1 - rhos**2) * rng.standard_normal((n, len(rhos))), y


def labelled(n=600, seed=0):
    """Return columns, of which the first two tell of the labels 0 to 2 and the last two do not, and the labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    return np.outer(y, [1.0, -0.7, 0, 0]) + rng.standard_normal((n, 4)), y


# ------------------------------------------------------------------------------------------------------------- the truth
def test_correlated_gaussians():
    rhos = np.array([0.0, 0.1, 0.3, 0.5, 0.75, 0.9, 0.99])
    X, y = correlated(4000, rhos)
    np.testing.assert_allclose(scored(X, y), -0.5 * np.log(1 - rhos**2), atol=0.03)


@pytest.mark.parametrize(
    ("family", "tolerance"), [(NoisySine(0.2), 0.05), (NoisyCircle(0.1), 0.05)], ids=["sine", "circle"]
)
def test_dependence_without_correlation(family, tolerance):
    X, Y = family.sample(4000, random_state=0)
    np.testing.assert_allclose(scored(X, Y[:, 0]), family.mutual_information, atol=tolerance)


@pytest.mark.parametrize(
    ("family", "tolerance"),
    [
        (LabelledGaussians(3, 2.0), 0.03),
        (LabelledGaussians(2, 0.5), 0.02),
        (ZeroInflatedPoisson(0.15), 0.03),
        (LabelAndUniform(5), 0.08),  # edges that no smooth critic has
    ],
    ids=["labelled-gaussians", "weak-labels", "poisson", "uniform"],
)
def test_continuous_and_discrete_in_either_role(family, tolerance):
    continuous, discrete = family.sample(4000, random_state=0)
    if isinstance(family, LabelAndUniform):
        continuous, discrete = discrete, continuous
    labels, truth = discrete.astype(int), family.mutual_information
    np.testing.assert_allclose(scored(continuous, labels[:, 0]), truth, atol=tolerance)
    np.testing.assert_allclose(scored(labels, continuous[:, 0]), truth, atol=tolerance)


def test_two_discrete_variables_are_counted():
    family = ContingencyTable([[0.3, 0.05, 0.05], [0.1, 0.1, 0.4]])
    X, Y = family.sample(2000, random_state=0)
    X, y = np.hstack([X, 1 - X, X + 2 * Y]).astype(int), Y[:, 0].astype(int)
    scores = scored(X, y)
    for column, score in zip(X.T, scores, strict=True):
        assert score == pytest.approx(discrete_mutual_information(column, y).value, abs=1e-12)
    assert scores[0] == pytest.approx(family.mutual_information, abs=0.03)


@pytest.mark.parametrize("n", [100, 1000])
@pytest.mark.parametrize("kind", ["labels", "numbers"])
def test_independent_columns_score_no_more_than_zero(kind, n):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 60))
    scores = scored(X, rng.integers(3, size=n) if kind == "labels" else rng.standard_normal(n))
    assert -3 / n < scores.mean() < 1 / n
    assert scores.max() < 9 / n
    assert scores.min() > -20 / n


def test_columns_that_tell_rows_apart_are_worth_nothing_on_rows_not_seen():
    rng = np.random.default_rng(0)
    identifiers, y = rng.permutation(400)[:, None], rng.standard_normal(400)
    assert scored(identifiers, y, discrete_X=True)[0] < 0.05
    assert scored(rng.standard_normal((400, 5)), np.arange(400) % 200, discrete_y=True).max() < 0.05


def test_a_score_of_labels_does_not_pass_their_entropy():
    y = np.repeat([0, 1, 1, 2], 250)
    entropy = -np.array([0.25, 0.5, 0.25]) @ np.log([0.25, 0.5, 0.25])
    score = scored(100.0 * y[:, None] + np.random.default_rng(0).random((1000, 1)), y)[0]
    assert entropy - 0.04 < score <= entropy + 1e-6


def test_a_column_that_decides_a_continuous_y_saturates():
    X, y = correlated(1000, [0.5, 0.5])
    with pytest.warns(SaturationWarning, match=r"1 column\(s\), the first at position 1, .* no score passes 4.85 nats"):
        scores = scored(np.column_stack([X[:, 0], y]), y)
    assert 0.6 * math.log(128) < scores[1] < math.log(128)


def test_digits_rank_as_their_tables_do():
    exact = information_gain(PIXELS.astype(int), LABELS, correction="miller-madow")
    varies = PIXELS.std(0) > 0
    with pytest.warns(ConstantInputWarning):
        scores = scored(PIXELS, LABELS, max_iter=100)
    assert spearmanr(scores[varies], exact[varies]).statistic > 0.97
    assert np.abs(scores - exact).mean() < 0.05
    with pytest.warns(ConstantInputWarning):
        counted = scored(PIXELS.astype(np.uint8), LABELS)
    np.testing.assert_allclose(counted, exact, atol=1e-12)


# ------------------------------------------------------------------------------------------------------------- symmetries
MAPS = {
    "exp": np.exp,
    "falling": lambda X: -X,
    "cube": lambda X: X**3,
    "heavy tails": lambda X: np.sinh(5 * X),
    "units": lambda X: 1e6 * X + 3,
    "tiny": lambda X: 1e-200 * X,
    "huge": lambda X: 1e200 * X,
}


@pytest.mark.parametrize("name", MAPS)
def test_monotone_maps_change_no_bit(name):
    X, y = correlated(300, [0.0, 0.6, 0.9])
    expected = scored(X, y, max_iter=40)
    assert (scored(MAPS[name](X), y, max_iter=40) == expected).all()
    assert (scored(X, MAPS[name](y), max_iter=40) == expected).all()


@pytest.mark.parametrize("kind", ["numbers", "labels", "counts", "mixed"])
def test_a_score_does_not_depend_on_the_other_columns(kind, monkeypatch):
    monkeypatch.setattr(_training, "PATIENCE", 2)  # many leave early, and their neighbours go on
    X, y = correlated(400, np.linspace(0, 0.9, 12))
    X[:, 3] = X[:, 3].round(1)  # ties: a table of another size
    if kind == "labels":
        y = np.digitize(y, [-1, 0, 1])
    if kind in ("counts", "mixed"):
        X[:, : 12 if kind == "counts" else 6] = X[:, : 12 if kind == "counts" else 6].round()
    discrete = [len(np.unique(column)) < 20 for column in X.T]
    order = np.random.default_rng(1).permutation(12)
    expected = scored(X, y, discrete_X=discrete, max_iter=120)
    permuted = scored(X[:, order], y, discrete_X=np.array(discrete)[order], max_iter=120)
    np.testing.assert_allclose(permuted, expected[order], atol=1e-6)
    np.testing.assert_allclose(scored(X[:, 5:7], y, discrete_X=discrete[5:7], max_iter=120), expected[5:7], atol=1e-6)
    monkeypatch.setattr(_training, "CELLS_AT_ONCE", (1, 1))  # one column at a time
    np.testing.assert_allclose(scored(X, y, discrete_X=discrete, max_iter=120), expected, atol=1e-6)


def test_equal_columns_score_the_same():
    X, y = labelled()
    scores = scored(X[:, [0, 2, 0, 0]], y)
    np.testing.assert_allclose(scores[[2, 3]], scores[0], atol=1e-6)


def test_labels_may_be_called_anything():
    X, y = labelled()
    expected = scored(X, y)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    for renamed in (names, names.tolist(), pd.Series(names, dtype="category"), y + 7, y.astype(np.uint8)):
        assert (scored(X, renamed) == expected).all()
    assert (scored(X, y.astype(float), discrete_y=True) == expected).all()


def test_ties_and_mass_points():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=3000)
    lit = rng.random(3000) < np.where(y == 1, 0.8, 0.2)
    X = np.column_stack([np.where(lit, 1 + rng.random(3000), 0.0), lit, lit.astype(float)])
    truth = ContingencyTable([[0.4, 0.1], [0.1, 0.4]]).mutual_information
    np.testing.assert_allclose(scored(X, y), truth, atol=0.03)


def test_cauchy_columns():
    rng = np.random.default_rng(0)
    y = rng.standard_cauchy(2000)
    scores = scored(np.column_stack([y + 0.1 * rng.standard_cauchy(2000), rng.standard_cauchy(2000)]), y)
    assert scores[0] > 1
    assert abs(scores[1]) < 0.02


# ----------------------------------------------------------------------------------------------------------------- inputs
def test_dtypes_and_containers_are_one():
    X, y = labelled(300)
    X = (10 * X).round()
    expected = scored(X, y, max_iter=40)
    assert scored(X, y, max_iter=40).dtype == np.float64
    for same in (
        X.astype(np.float32),
        X.astype(object),
        X.tolist(),
        np.asfortranarray(X),
        pd.DataFrame(X),
        pl.DataFrame(X),
        pd.DataFrame(X.astype(int)).convert_dtypes().astype("Float64"),
    ):
        assert (scored(same, y, max_iter=40) == expected).all()
    assert (scored(X.astype(np.int8), y, discrete_X=False, max_iter=40) == expected).all()
    assert (
        scored(X - X.min(), y, max_iter=40) == scored((X - X.min()).astype(np.uint8), y, discrete_X=False, max_iter=40)
    ).all()


@pytest.mark.parametrize("library", [pd, pl])
def test_columns_of_a_frame_are_judged_by_their_own_type(library):
    X, y = labelled()
    names = np.array(["a", "b", "c"])[y]
    frame = library.DataFrame({"number": X[:, 0], "name": names, "count": y, "flag": y > 0})
    scores = scored(frame, y)
    exact = information_gain(np.column_stack([y, y, y > 0]), y, correction="miller-madow")
    np.testing.assert_allclose(scores[1:], exact, atol=1e-12)
    assert 0.1 < scores[0] < 1
    by_name = scored(frame, y, discrete_X=["name", "count", "flag"])
    assert (by_name == scores).all()
    continuous = scored(frame, X[:, 0] + 0.5 * X[:, 2])
    assert (continuous > 0.05).all()


def test_which_columns_are_discrete():
    X, y = labelled()
    X[:, 0] = X[:, 0].round()
    exact = information_gain(X[:, [0]], y, correction="miller-madow")[0]
    for says_so in ([True, False, False, False], [0], np.array([0])):
        assert scored(X, y, discrete_X=says_so)[0] == pytest.approx(exact, abs=1e-12)
    assert scored(X, y)[0] != pytest.approx(exact, abs=1e-12)  # floats


def test_constant_columns_score_exactly_zero():
    X, y = labelled(200)
    X[:, 1] = 7
    with pytest.warns(ConstantInputWarning, match=r"1 column\(s\) of X, the first at position 1, are constant"):
        scores = scored(X, y, max_iter=20)
    assert scores[1] == 0
    with pytest.warns(ConstantInputWarning, match="2 column"):
        assert (scored(np.zeros((200, 2), dtype=int), y) == 0).all()
    for constant in (np.ones(200), np.ones(200, dtype=int), ["one"] * 200):
        with pytest.warns(ConstantInputWarning, match="y is constant"):
            assert (scored(X, constant) == 0).all()


@pytest.mark.parametrize("n", [2, 3, 5, 10, 30])
@pytest.mark.parametrize("kind", ["labels", "numbers", "counts"])
def test_few_rows_give_finite_scores_and_a_warning(kind, n):
    X, y = labelled(n, seed=1)
    X[:2, 0], y[:2] = [0, 1], [0, 1]
    target = X[:, 0] if kind != "labels" else y
    with pytest.warns(SmallSampleWarning, match=f"^{n} samples teach critics little or nothing"):
        scores = scored(X if kind != "counts" else y[:, None], target, discrete_y=kind == "labels")
    assert np.isfinite(scores).all()
    assert (scores > -2).all()
    assert (scores <= math.log(n) + 1e-6).all()


def test_single_rows_choose_nothing():
    X, y = correlated(4, [0.9, 0.99])  # four parts of one row
    with pytest.warns(SmallSampleWarning):
        scores = scored(X, y)
    assert (scores == 0).all()


@pytest.mark.parametrize(
    ("X", "y", "params", "error", "message"),
    [
        (np.array([[1.0], [np.nan]]), [0, 1], {}, ValueError, "X contains NaN"),
        (np.array([[1.0], [np.inf]]), [0, 1], {}, ValueError, "X contains infinity"),
        ([[1.0], [2.0]], [0.5, np.nan], {}, ValueError, "y contains NaN"),
        ([[1.0], [2.0]], ["a", None], {}, ValueError, "y has 1 missing value"),
        ([["a"], [None]], [0, 1], {}, ValueError, "column 0 of X has 1 missing value"),
        ([[1.0], [2.0]], [0, 1, 2], {}, ValueError, r"inconsistent numbers of samples: \[2, 3\]"),
        ([1.0, 2.0], [0, 1], {}, ValueError, r"X must have shape \(n_samples, n_features\), got \(2,\)"),
        (np.zeros((2, 2, 2)), [0, 1], {}, ValueError, r"got \(2, 2, 2\)"),
        (np.zeros((0, 2)), [], {}, ValueError, "empty"),
        ([[1.0], [2.0]], [[0, 1], [1, 0]], {}, ValueError, "y should be a 1d array"),
        (sparse.eye_array(2).tocsr(), [0, 1], {}, TypeError, "sparse"),
        ([["a"], ["b"]], [0, 1], {"discrete_X": False}, ValueError, "discrete_X=False"),
        ([[1.0], [2.0]], ["a", "b"], {"discrete_y": False}, ValueError, "y holds no real numbers"),
        ([[1.0], [2.0]], ["a", 2], {"discrete_y": True}, TypeError, "y holds int and str"),
        ([[1.0], [2.0]], [0, 1], {"discrete_X": [True, False]}, ValueError, "2 entries, but X has 1"),
        ([[1.0], [2.0]], [0, 1], {"discrete_X": "some"}, ValueError, "'discrete_X' parameter"),
        ([[1.0], [2.0]], [0, 1], {"discrete_y": "some"}, ValueError, "'discrete_y' parameter"),
        ([[1.0], [2.0]], [0, 1], {"cv": 1}, ValueError, "'cv' parameter"),
        ([[1.0], [2.0]], [0, 1], {"max_bins": 1}, ValueError, "'max_bins' parameter"),
        ([[1.0], [2.0]], [0, 1], {"max_iter": 0}, ValueError, "'max_iter' parameter"),
        ([[1.0], [2.0]], [0, 1], {"random_state": "x"}, ValueError, "'random_state' parameter"),
        ([[1.0], [2.0]], [0, 1], {"device": "gpu"}, ValueError, "Unknown device 'gpu'"),
    ],
)
def test_errors_say_what_came_and_what_is_allowed(X, y, params, error, message):
    with pytest.raises(error, match=message):
        mutual_info_features(X, y, **params)


# -------------------------------------------------------------------------------------------------------- reproducibility
def test_an_int_gives_the_same_bits_at_any_number_of_threads():
    X, y = correlated(300, [0.0, 0.6])
    expected = scored(X, y, max_iter=40)
    n_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert (scored(X, y, max_iter=40) == expected).all()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(n_threads)
    assert (scored(X, y, max_iter=40, random_state=1) != expected).any()
    assert (scored(X, y, max_iter=40, random_state=np.random.RandomState(0)) == expected).all()


def test_neither_global_generators_nor_arguments_are_touched():
    X, y = labelled(200)
    copies = X.copy(), y.copy()
    X.flags.writeable = y.flags.writeable = False
    before = torch.get_rng_state(), np.random.get_state()[1].tobytes()  # noqa: NPY002
    scored(X, y, max_iter=20)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tobytes() == before[1]  # noqa: NPY002
    assert (copies[0] == X).all()
    assert (y == copies[1]).all()


def test_more_parts_bins_and_steps_all_train():
    X, y = correlated(1000, [0.0, 0.8])
    expected = [0.0, -0.5 * math.log(1 - 0.8**2)]
    values = [scored(X, y, **params) for params in ({}, {"cv": 5}, {"max_bins": 32}, {"max_iter": 30})]
    for scores in values:
        np.testing.assert_allclose(scores, expected, atol=0.08)
    assert len({tuple(scores) for scores in values}) == len(values)


def test_two_bins_tell_one_bit_at_most():
    X, y = correlated(1000, [0.9])
    score = scored(X, y, max_bins=2)[0]
    halves = information_gain(X[:, 0] > np.median(X), y > np.median(y))
    assert score == pytest.approx(halves, abs=0.02)


@pytest.mark.gpu
def test_an_accelerator_agrees():
    X, y = correlated(1000, [0.0, 0.5, 0.9])
    np.testing.assert_allclose(scored(X, y, device="cuda"), scored(X, y, device="cpu"), atol=0.01)


# -------------------------------------------------------------------------------------------------------------- selection
def test_it_selects_in_a_pipeline():
    X, y = labelled()
    selector = SelectKBest(functools.partial(mutual_info_features, random_state=0, max_iter=40), k=2)
    pipeline = make_pipeline(selector, LogisticRegression()).fit(X, y)
    assert selector.get_support().tolist() == [True, True, False, False]
    assert selector.pvalues_ is None
    assert pipeline.score(X, y) > 0.5
    selected = SelectKBest(mutual_info_features, k=1).set_output(transform="pandas")
    assert list(selected.fit_transform(pd.DataFrame(X, columns=list("abcd")), y).columns) == ["a"]


def test_a_search_finds_the_number_of_features():
    X, y = labelled(300)
    pipeline = make_pipeline(
        SelectKBest(functools.partial(mutual_info_features, random_state=0, max_iter=20)), LogisticRegression()
    )
    search = GridSearchCV(pipeline, {"selectkbest__k": [1, 2]}, cv=2).fit(X, y)
    assert search.best_score_ > 0.5
