"""Scores of features: known mutual information, a slow twin, exact symmetries, and what selectors need."""

import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from helpers import IMAGES, LABELS
from scipy import sparse
from scipy.special import betaln, expit
from scipy.stats import spearmanr
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skdim import mutual_info_features
from skdim.exceptions import ConstantInputWarning, SaturationWarning, SmallSampleWarning
from skdim.information.discrete import discrete_mutual_information, entropy, information_gain

PIXELS = IMAGES.reshape(len(IMAGES), -1)


def correlated(n, rhos, seed=0):
    """Return columns of the given correlations with a Gaussian y, and y."""
    rng = np.random.default_rng(seed)
    y = rng.standard_normal(n)
    rhos = np.asarray(rhos)
    return rhos * y[:, None] + np.sqrt(1 - rhos**2) * rng.standard_normal((n, len(rhos))), y


def labelled(n=600, seed=0):
    """Return columns, of which the first two depend on the labels 0 to 2 and the last two do not, and the labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    return np.outer(y, [1.0, -0.7, 0, 0]) + rng.standard_normal((n, 4)), y


# ------------------------------------------------------------------------------------------------------------- the truth
def test_correlated_gaussians():
    rhos = np.array([0.0, 0.1, 0.3, 0.5, 0.75, 0.9, 0.99])
    X, y = correlated(4000, rhos)
    np.testing.assert_allclose(mutual_info_features(X, y), -0.5 * np.log(1 - rhos**2), atol=0.03)


def v_shape(rng, n, width=0.25):
    """|x| and y - |x| are uniform: h(y) - log(width) = width / 2 - log(width)."""
    x = rng.uniform(-1, 1, n)
    return x, np.abs(x) + rng.uniform(0, width, n), width / 2 - math.log(width)


def checkerboard(rng, n, n_squares=4):
    """Black squares only: half of the density is missing, log 2."""
    x, y = rng.integers(n_squares // 2, size=(2, n)) * 2 + rng.integers(2, size=n) + rng.random((2, n))
    return x, y, math.log(2)


def noisy_steps(rng, n, n_steps=4, flipped=0.1):
    """A label that alternates along x, and is flipped: log 2 - H(flipped)."""
    x = rng.random(n)
    y = (np.floor(n_steps * x) + (rng.random(n) < flipped)) % 2
    return x, y.astype(int), math.log(2) + flipped * math.log(flipped) + (1 - flipped) * math.log(1 - flipped)


def overlapping_uniforms(rng, n, n_labels=5):
    """A label k and a number uniform on (k, k + 2): log m - (m - 1) log(2) / m (Gao et al. 2017, section 5)."""
    y = rng.integers(n_labels, size=n)
    return y + 2 * rng.random(n), y, math.log(n_labels) - (n_labels - 1) * math.log(2) / n_labels


@pytest.mark.parametrize("pair", [v_shape, checkerboard, noisy_steps, overlapping_uniforms])
def test_dependence_of_any_shape_in_either_role(pair):
    x, y, truth = pair(np.random.default_rng(0), 20_000)
    score = mutual_info_features(x[:, None], y)[0]
    assert score == pytest.approx(truth, abs=0.05)
    assert mutual_info_features(y[:, None], x)[0] == pytest.approx(score, abs=1e-12)


def test_more_rows_bring_scores_nearer_to_the_truth():
    errors = []
    for n in (200, 1000, 5000, 25_000):
        X, y = correlated(n, np.linspace(0.3, 0.95, 8))
        errors.append(np.abs(mutual_info_features(X, y) + 0.5 * np.log(1 - np.linspace(0.3, 0.95, 8) ** 2)).mean())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.01


def test_two_discrete_variables_are_counted():
    rng = np.random.default_rng(0)
    x, y = np.divmod(rng.choice(6, size=2000, p=[0.3, 0.05, 0.05, 0.1, 0.1, 0.4]), 3)
    X = np.column_stack([x, 1 - x, x + 2 * y])
    for column, score in zip(X.T, mutual_info_features(X, y), strict=True):
        assert score == pytest.approx(discrete_mutual_information(column, y).value, abs=1e-12)


@pytest.mark.parametrize("n", [100, 1000])
@pytest.mark.parametrize("n_labels", [None, 2, 10])
def test_independent_columns_score_about_zero(n, n_labels):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((n, 60)), rng.standard_normal(n) if n_labels is None else rng.integers(n_labels, size=n)
    scores = mutual_info_features(X, y)
    assert scores.min() >= 0
    assert scores.mean() < 0.1 / n
    assert scores.max() < 1 / n


def test_labels_met_once_tell_nothing():
    rng = np.random.default_rng(0)
    identifiers = rng.permutation(400)
    y = rng.standard_normal(400)
    with pytest.warns(SmallSampleWarning, match="column 0 of X has 400 distinct values in 400 rows"):
        assert mutual_info_features(identifiers[:, None], y, discrete_X=True)[0] == pytest.approx(0, abs=1e-12)
    assert mutual_info_features(rng.standard_normal((400, 5)), np.arange(400) % 200, discrete_y=True).max() < 0.01


def test_no_score_of_labels_exceeds_their_entropy():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 1, 2], 250)
    scores = mutual_info_features(np.column_stack([100.0 * y + rng.random(1000), y + rng.random(1000)]), y)
    assert entropy(y) - 0.001 < scores[0] <= entropy(y)
    assert scores[1] < entropy(y)
    assert mutual_info_features(y[:, None], y)[0] == pytest.approx(entropy(y), rel=1e-4)
    assert mutual_info_features(y[:, None], y)[0] <= entropy(y)


def test_no_score_exceeds_the_log_of_the_bins():
    X, y = correlated(1000, [0.5, 0.5])
    with pytest.warns(
        SaturationWarning, match=r"1 column\(s\), the first at position 1, .* no score exceeds 4.85 nats"
    ):
        scores = mutual_info_features(np.column_stack([X[:, 0], y]), y)
    assert 0.95 * math.log(128) < scores[1] < math.log(128)
    with pytest.warns(SaturationWarning, match="with 16 bins no score exceeds 2.77 nats"):
        assert mutual_info_features(
            y[:, None], np.argsort(np.argsort(y)) // 5, max_bins=16, discrete_y=True
        ) < math.log(16)


def test_a_score_that_its_labels_limit_does_not_saturate():
    rng = np.random.default_rng(0)
    y = np.where(rng.random(20_000) < 0.02, rng.integers(32, 182, size=20_000), rng.integers(32, size=20_000))
    assert len(np.unique(y)) > 128
    score = mutual_info_features(y[:, None].astype(float), y, discrete_y=True)[0]  # warnings are errors here
    assert max(0.6 * math.log(128), entropy(y) - 0.1) < score <= entropy(y)


def test_no_identifier_outscores_a_signal():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=500)
    frame = pd.DataFrame({"id": np.arange(500).astype(str), "signal": y ^ (rng.random(500) < 0.2)})
    with pytest.warns(SmallSampleWarning, match="column 'id' of X has 500 distinct values in 500 rows"):
        scores = mutual_info_features(frame, y)
    assert abs(scores[0]) < 1e-9 < 0.1 < scores[1]
    with pytest.warns(SmallSampleWarning, match="^y has 500 distinct values"):
        mutual_info_features(frame[["signal"]], np.arange(500).astype(str))


def test_digits_rank_as_their_tables_do():
    exact = information_gain(PIXELS.astype(int), LABELS, correction="chance")
    varies = PIXELS.std(0) > 0
    with pytest.warns(ConstantInputWarning):
        scores = mutual_info_features(PIXELS, LABELS)
    assert spearmanr(scores[varies], exact[varies]).statistic > 0.98
    assert np.abs(scores - exact).mean() < 0.05
    with pytest.warns(ConstantInputWarning):
        counted = mutual_info_features(PIXELS.astype(np.uint8), LABELS)
    np.testing.assert_allclose(counted, exact, atol=1e-12)


# ---------------------------------------------------------------------------------------------------------- the definition
def sequential_evidence(counts, shares):
    """Return log P(counts) - log prod shares^counts, predicting one row after the other from half a pseudo-count a part."""
    seen, evidence = np.zeros(len(counts)), 0.0
    for part in np.repeat(np.arange(len(counts)), counts):
        predicted = (0.5 * len(counts) * shares[part] + seen[part]) / (0.5 * len(counts) + seen.sum())
        evidence += math.log(predicted / shares[part])
        seen[part] += 1
    return evidence


def box(table, x_margin, y_margin, quarters):
    """Return the evidence and the information of one box by its definition, part after part."""
    k = len(table)
    if k == 1:
        return 0.0, 0.0
    cuts = [slice(0, k // 2), slice(k // 2, k)]
    if quarters:
        groups = [[(a, b) for a in cuts for b in cuts]]
        boxes = groups[0]
    else:
        groups = [[(a, slice(j, j + 1)) for a in cuts] for j in range(table.shape[1])]
        boxes = [(a, slice(None)) for a in cuts]
    log_odds = information = 0.0
    for group in groups:
        counts = np.array([table[part].sum() for part in group])
        shares = np.array([x_margin[a].sum() * y_margin[b].sum() for a, b in group], dtype=float)
        shares /= max(shares.sum(), 1e-9)
        log_odds += sequential_evidence(counts, shares)
        met = counts > 0
        information += counts[met] @ np.log(counts[met] / counts.sum() / shares[met])
    for a, b in boxes:
        inner_evidence, inner_information = box(table[a, b], x_margin[a], y_margin[b], quarters)
        log_odds, information = log_odds + inner_evidence, information + inner_information
    return math.log(0.5 + 0.5 * math.exp(log_odds)), expit(log_odds) * information


@pytest.mark.parametrize("kind", ["numbers", "ties", "labels"])
def test_a_slow_twin_agrees(kind):
    X, y = correlated(160, [0.0, 0.4, 0.9])
    if kind == "ties":
        X = X.round()
    if kind == "labels":
        y = np.digitize(y, [-1, 0, 1])
    scores = mutual_info_features(X, y, max_bins=8)
    for column, score in zip(X.T, scores, strict=True):
        cells = []
        for values in (column, y):
            below = (values[None] < values[:, None]).sum(1) + ((values[None] == values[:, None]).sum(1)) / 2
            cells.append(np.floor(8 * below / 160).astype(int))  # 20 rows a bin: none on an edge
        if kind == "labels":
            cells[1] = y
        table = np.zeros((8, cells[1].max() + 1), dtype=int)
        np.add.at(table, tuple(cells), 1)
        twin = box(table, table.sum(1), table.sum(0), quarters=kind != "labels")[1] / 160
        assert score == pytest.approx(twin, abs=1e-12)


def test_two_bins_have_a_closed_form():
    X, y = correlated(1000, [0.1])
    high, label = X[:, 0] > np.median(X), y > 0
    table = np.histogram2d(high, label, bins=2)[0]
    log_odds = sum(betaln(*(0.5 + column)) - betaln(0.5, 0.5) + column.sum() * math.log(2) for column in table.T)
    expected = expit(log_odds) * information_gain(high, label)
    assert mutual_info_features(X, label, max_bins=2)[0] == pytest.approx(expected, rel=1e-9)
    assert mutual_info_features(X, label, max_bins=3)[0] == pytest.approx(expected, rel=1e-9)


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
@pytest.mark.parametrize("n", [300, 301])
def test_monotone_maps_change_no_bit(name, n):
    X, y = correlated(n, [0.0, 0.6, 0.9])
    expected = mutual_info_features(X, y)
    assert (mutual_info_features(MAPS[name](X), y) == expected).all()
    assert (mutual_info_features(X, MAPS[name](y)) == expected).all()
    by_label = mutual_info_features(X, y > 0)
    assert (mutual_info_features(MAPS[name](X), y > 0) == by_label).all()


@pytest.mark.parametrize("kind", ["numbers", "labels", "counts", "mixed"])
def test_a_score_does_not_depend_on_the_other_columns(kind):
    X, y = correlated(400, np.linspace(0, 0.9, 12))
    X[:, 3] = X[:, 3].round(1)
    if kind == "labels":
        y = np.digitize(y, [-1, 0, 1])
    if kind in ("counts", "mixed"):
        X[:, : 12 if kind == "counts" else 6] = X[:, : 12 if kind == "counts" else 6].round()
    discrete = np.array([len(np.unique(column)) < 20 for column in X.T])
    order = np.random.default_rng(1).permutation(12)
    expected = mutual_info_features(X, y, discrete_X=discrete)
    assert (mutual_info_features(X[:, order], y, discrete_X=discrete[order]) == expected[order]).all()
    assert (mutual_info_features(X[:, 5:7], y, discrete_X=discrete[5:7]) == expected[5:7]).all()


def test_labels_may_have_any_names():
    X, y = labelled()
    expected = mutual_info_features(X, y)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    for renamed in (names, names.tolist(), pd.Series(names, dtype="category"), y + 7, y.astype(np.uint8)):
        assert (mutual_info_features(X, renamed) == expected).all()
    assert (mutual_info_features(X, y.astype(float), discrete_y=True) == expected).all()
    np.testing.assert_allclose(mutual_info_features(X, -y), expected, atol=1e-12)


def test_ties_and_mass_points():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=3000)
    lit = rng.random(3000) < np.where(y == 1, 0.8, 0.2)
    X = np.column_stack([np.where(lit, 1 + rng.random(3000), 0.0), lit, lit.astype(float)])
    truth = math.log(2) + 0.8 * math.log(0.8) + 0.2 * math.log(0.2)
    np.testing.assert_allclose(mutual_info_features(X, y), truth, atol=0.03)


def test_cauchy_columns():
    rng = np.random.default_rng(0)
    y = rng.standard_cauchy(2000)
    scores = mutual_info_features(np.column_stack([y + 0.1 * rng.standard_cauchy(2000), rng.standard_cauchy(2000)]), y)
    assert scores[0] > 1
    assert abs(scores[1]) < 0.02


# ----------------------------------------------------------------------------------------------------------------- inputs
def test_dtypes_and_containers_are_one():
    X, y = labelled(300)
    X = (10 * X).round()
    expected = mutual_info_features(X, y)
    assert expected.dtype == np.float64
    for same in (
        X.astype(np.float32),
        X.astype(object),
        X.tolist(),
        np.asfortranarray(X),
        pd.DataFrame(X),
        pl.DataFrame(X),
        pd.DataFrame(X.astype(int)).convert_dtypes().astype("Float64"),
    ):
        assert (mutual_info_features(same, y) == expected).all()
    assert (mutual_info_features(X.astype(np.int8), y, discrete_X=False) == expected).all()
    assert (mutual_info_features((X - X.min()).astype(np.uint8), y, discrete_X=False) == expected).all()


@pytest.mark.parametrize("library", [pd, pl])
def test_columns_of_a_frame_are_judged_by_their_own_type(library):
    X, y = labelled()
    names = np.array(["a", "b", "c"])[y]
    frame = library.DataFrame({"number": X[:, 0], "name": names, "count": y, "flag": y > 0})
    scores = mutual_info_features(frame, y)
    exact = information_gain(np.column_stack([y, y, y > 0]), y, correction="chance")
    np.testing.assert_allclose(scores[1:], exact, atol=1e-12)
    assert 0.1 < scores[0] < 1
    assert (mutual_info_features(frame, y, discrete_X=["name", "count", "flag"]) == scores).all()
    assert (mutual_info_features(frame, X[:, 0] + 0.5 * X[:, 2]) > 0.05).all()


def test_which_columns_are_discrete():
    X, y = labelled()
    X[:, 0] = X[:, 0].round()
    exact = information_gain(X[:, [0]], y, correction="chance")[0]
    for mask in ([True, False, False, False], [0], np.array([0])):
        assert mutual_info_features(X, y, discrete_X=mask)[0] == pytest.approx(exact, abs=1e-12)
    assert mutual_info_features(X, y)[0] != pytest.approx(exact, abs=1e-12)  # floats


def test_constant_columns_score_exactly_zero():
    X, y = labelled(200)
    X[:, 1] = 7
    with pytest.warns(ConstantInputWarning, match=r"1 column\(s\) of X, the first at position 1, are constant"):
        assert mutual_info_features(X, y)[1] == 0
    with pytest.warns(ConstantInputWarning, match="2 column"):
        assert (mutual_info_features(np.zeros((200, 2), dtype=int), y) == 0).all()
    for constant in (np.ones(200), np.ones(200, dtype=int), ["one"] * 200):
        with pytest.warns(ConstantInputWarning, match="y is constant"):
            assert (mutual_info_features(X, constant) == 0).all()


@pytest.mark.parametrize("n", [2, 3, 5, 10, 30])
@pytest.mark.parametrize("kind", ["labels", "numbers", "counts"])
def test_few_rows_give_finite_scores_and_a_warning(kind, n):
    X, y = labelled(n, seed=1)
    X[:2, 0], y[:2] = [0, 1], [0, 1]
    target = X[:, 0] if kind != "labels" else y
    with pytest.warns(SmallSampleWarning, match=f"^Scores from {n} samples may be far"):
        scores = mutual_info_features(X[:, 1:] if kind != "counts" else y[:, None], target, discrete_y=kind == "labels")
    assert (scores >= 0).all()
    assert (scores <= math.log(n)).all()


def test_one_row_is_constant():
    with pytest.warns(ConstantInputWarning):
        assert mutual_info_features([[1.0, 2.0]], [0.5]).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("X", "y", "params", "error", "message"),
    [
        (np.array([[1.0], [np.nan]]), [0, 1], {}, ValueError, "column 0 of X has 1 missing value.* NaN"),
        (np.array([[1.0], [np.inf]]), [0, 1], {}, ValueError, "^column 0 of X holds inf in row 1"),
        ([[1.0], [2.0]], [0.5, np.nan], {}, ValueError, "y has 1 missing value.* NaN"),
        ([[1.0], [2.0]], ["a", None], {}, ValueError, "y has 1 missing value"),
        ([["a"], [None]], [0, 1], {}, ValueError, "column 0 of X has 1 missing value"),
        ([[1.0], [2.0]], [0, 1, 2], {}, ValueError, "inconsistent numbers of samples: X has 2, y has 3"),
        ([1.0, 2.0], [0, 1], {}, ValueError, r"X must have shape \(n_samples, n_features\), got \(2,\)"),
        (np.zeros((2, 2, 2)), [0, 1], {}, ValueError, r"got \(2, 2, 2\)"),
        (np.zeros((0, 2)), [], {}, ValueError, "empty"),
        ([[1.0], [2.0]], [[0, 1], [1, 0]], {}, ValueError, "y should be a 1d array"),
        (sparse.eye_array(2).tocsr(), [0, 1], {}, TypeError, "sparse"),
        ([["a"], ["b"]], [0, 1], {"discrete_X": False}, ValueError, "^column 0 of X holds 'a' in row 0"),
        (
            [[1.0], [2.0]],
            ["a", "b"],
            {"discrete_y": False},
            ValueError,
            "^y holds 'a' in row 0, which is no real number",
        ),
        ([[1.0], [2.0]], [0, 1], {"discrete_X": [True, False]}, ValueError, "2 entries, but X has 1"),
        ([[1.0], [2.0]], [0, 1], {"discrete_X": "some"}, ValueError, "'discrete_X' parameter"),
        ([[1.0], [2.0]], [0, 1], {"discrete_y": "some"}, ValueError, "'discrete_y' parameter"),
        ([[1.0], [2.0]], [0, 1], {"max_bins": 1}, ValueError, "'max_bins' parameter"),
    ],
)
def test_errors_name_the_side_and_what_is_allowed(X, y, params, error, message):
    with pytest.raises(error, match=message):
        mutual_info_features(X, y, **params)


def test_neither_global_generators_nor_arguments_are_touched():
    X, y = labelled(200)
    copies = X.copy(), y.copy()
    X.flags.writeable = y.flags.writeable = False
    before = torch.get_rng_state(), np.random.get_state()[1].tobytes()  # noqa: NPY002
    mutual_info_features(X, y)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tobytes() == before[1]  # noqa: NPY002
    assert (copies[0] == X).all()
    assert (y == copies[1]).all()


# -------------------------------------------------------------------------------------------------------------- selection
def test_it_selects_in_a_pipeline():
    X, y = labelled()
    selector = SelectKBest(mutual_info_features, k=2)
    pipeline = make_pipeline(selector, LogisticRegression()).fit(X, y)
    assert selector.get_support().tolist() == [True, True, False, False]
    assert selector.pvalues_ is None
    assert pipeline.score(X, y) > 0.5
    selected = SelectKBest(mutual_info_features, k=1).set_output(transform="pandas")
    assert list(selected.fit_transform(pd.DataFrame(X, columns=list("abcd")), y).columns) == ["a"]


def test_a_search_finds_the_number_of_features():
    X, y = labelled(300)
    pipeline = make_pipeline(SelectKBest(mutual_info_features), LogisticRegression())
    search = GridSearchCV(pipeline, {"selectkbest__k": [1, 2]}, cv=2).fit(X, y)
    assert search.best_score_ > 0.5
