"""Laws of the matrix of pairs, of lagged information, and of the selector that avoids redundancy."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from skdim import MRMRSelector, lagged_mutual_information, mutual_info_features, mutual_information_matrix
from skdim.exceptions import ConstantInputWarning
from skdim.information.discrete import entropy
from skdim.plotting import MutualInformationDisplay


def table(n=1000):
    r = np.random.default_rng(0)
    x, noise, other = r.normal(size=(3, n))
    word = np.where(x > 0, "up", "down")
    return pd.DataFrame({"x": x, "y": 0.8 * x + 0.6 * noise, "word": word, "other": other})


# ------------------------------------------------------------------------------------------------------------------ matrix
def test_the_matrix_is_symmetric_named_and_true():
    X = table(4000)
    found = mutual_information_matrix(X)
    assert list(found.columns) == list(found.index) == list(X.columns)
    values = found.to_numpy()
    assert np.array_equal(values, values.T, equal_nan=True)
    assert found.loc["x", "y"] == pytest.approx(-np.log(0.6), abs=0.04)
    assert found.loc["x", "word"] == pytest.approx(np.log(2), abs=0.02)
    assert found.loc["other", "word"] == pytest.approx(0, abs=0.01)
    assert found.loc["word", "word"] == entropy(X["word"])
    assert np.isnan(np.diag(values)[[0, 1, 3]]).all()


def test_monotone_maps_and_processes_change_nothing():
    X = table()[["x", "y", "other"]].to_numpy()
    plain = mutual_information_matrix(X)
    assert isinstance(plain, np.ndarray)
    assert np.array_equal(mutual_information_matrix(np.column_stack([np.exp(X[:, 0]), -X[:, 1], X[:, 2]])), plain, True)
    assert np.array_equal(mutual_information_matrix(X, n_jobs=2), plain, True)


def test_the_full_method_is_the_estimator():
    X = table(300)[["x", "y"]].to_numpy()
    found = mutual_information_matrix(X, method="full", estimator="gaussian", random_state=0)
    assert found[0, 1] == pytest.approx(-np.log(0.6), abs=0.15)
    with pytest.raises(ValueError, match=r"\['estimator'\] have no effect on method='fast'"):
        mutual_information_matrix(X, estimator="gaussian")


def test_missing_values_are_dropped_pair_by_pair():
    X = table()
    X.loc[:99, "x"] = np.nan
    X.loc[50:199, "word"] = None
    with pytest.raises(ValueError, match=r"NaN|missing"):
        mutual_information_matrix(X)
    found = mutual_information_matrix(X, missing="drop")
    rows = X.dropna(subset=["x", "word"])
    assert found.loc["word", "x"] == mutual_info_features(rows[["x"]], rows["word"])[0]
    assert found.loc["y", "other"] == mutual_info_features(X[["y"]], X["other"])[0]
    assert found.loc["word", "word"] == entropy(X["word"].dropna())


def test_a_warning_is_given_once():
    with pytest.warns(ConstantInputWarning, match="Of one pair of columns or more") as caught:
        found = mutual_information_matrix(np.column_stack([np.zeros(200), table(200)[["x", "y"]]]))
    assert len(caught) == 1
    assert found[0, 1:].tolist() == [0, 0]


def test_lags_are_told():
    x, noise = np.random.default_rng(0).normal(size=(2, 2000))
    found = lagged_mutual_information(x, 0.8 * np.roll(x, 2) + 0.6 * noise, [-2, 0, 2])
    assert found == pytest.approx([0, 0, 0.51], abs=0.06)
    assert lagged_mutual_information(x, x[::-1], [3]) == lagged_mutual_information(x[::-1], x, [-3])
    with pytest.raises(ValueError, match="lags must be whole numbers between -1998 and 1998, got 5000"):
        lagged_mutual_information(x, noise, [5000])
    with pytest.raises(ValueError, match="one shape"):
        lagged_mutual_information(x, noise[:10], [0])


# ----------------------------------------------------------------------------------------------------------------- display
def test_the_heat_map_puts_similar_columns_side_by_side():
    X = table()[["x", "other", "y"]]
    display = MutualInformationDisplay.from_data(X)
    place = {name: k for k, name in enumerate(label.get_text() for label in display.ax_.get_xticklabels())}
    assert abs(place["x"] - place["y"]) == 1
    shown = display.image_.get_array()
    assert shown[place["x"], place["y"]] == pytest.approx(mutual_information_matrix(X).loc["x", "y"])
    assert display.figure_.axes[1].get_ylabel() == "mutual information (nats)"
    again = MutualInformationDisplay(matrix=display.matrix, order=[2, 1, 0]).plot(image_kw={"vmax": 3})
    assert again.image_.norm.vmax == 3
    assert [label.get_text() for label in again.ax_.get_xticklabels()] == ["2", "1", "0"]
    for wrong in ({"order": [0, 0, 1]}, {"names": ["a"]}):
        with pytest.raises(ValueError, match=r"order must|names has"):
            MutualInformationDisplay(matrix=display.matrix, **wrong).plot()
    with pytest.raises(ValueError, match="shape"):
        MutualInformationDisplay(matrix=np.zeros((2, 3))).plot()


# ---------------------------------------------------------------------------------------------------------------- selector
def redundant(n=1000):
    a, b, noise, other = np.random.default_rng(0).normal(size=(4, n))
    return np.column_stack([a, a + 0.05 * noise, b, other]), 2 * a + b


def test_a_copy_is_selected_last():
    X, y = redundant()
    for criterion in ("difference", "quotient"):
        selected = MRMRSelector(3, criterion=criterion).fit(X, y).selected_.tolist()
        assert selected[0] in (0, 1)
        assert selected[1] == 2
    by_relevance = np.argsort(-mutual_info_features(X, y))[:2].tolist()
    assert by_relevance != MRMRSelector(2).fit(X, y).selected_.tolist()


def test_the_criterion_is_that_of_the_slow_twin():
    X, y = redundant(400)
    selector = MRMRSelector(4).fit(X, y)
    relevance, pairs = mutual_info_features(X, y), mutual_information_matrix(X)
    for k, (j, score) in enumerate(zip(selector.selected_, selector.scores_, strict=True)):
        redundancy = pairs[j, selector.selected_[:k]].mean() if k else 0.0
        assert score == pytest.approx(relevance[j] - redundancy)


def test_it_selects_in_pipelines_and_frames():
    X, y = redundant()
    frame = pd.DataFrame(X, columns=list("abcd"))
    selector = MRMRSelector(0.5).set_output(transform="pandas").fit(frame, y)
    assert list(selector.transform(frame)) == list(selector.get_feature_names_out())
    assert selector.transform(frame).shape == (1000, 2)
    assert cross_val_score(make_pipeline(MRMRSelector(2), LinearRegression()), X, y).mean() > 0.98
    with pytest.raises(ValueError, match=r"n_features_to_select=5 is more than the 4 feature"):
        MRMRSelector(5).fit(X, y)


def test_labels_are_selected_too():
    X = table()
    selector = MRMRSelector(1).fit(X[["word", "other"]], X["y"])
    assert selector.selected_.tolist() == [0]
    assert selector.discrete_[0].tolist() == [True, False]
