"""V-information: closed forms, what families can and cannot use, and the contract with any classifier."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from helpers import IMAGES, LABELS
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures
from sklearn.tree import DecisionTreeClassifier
from skorch import NeuralNetClassifier
from torch import nn

from skdim.evaluation import linear_probe, pointwise_v_information, v_information
from skdim.evaluation._v_information import Perceptron, SmoothedNeighbours
from skdim.exceptions import InfiniteLossWarning

PIXELS = IMAGES.reshape(len(IMAGES), -1)


def xor(n=1000, seed=0):
    rng = np.random.default_rng(seed)
    bits = rng.choice([-1.0, 1.0], size=(n, 2))
    return bits + 0.1 * rng.normal(size=(n, 2)), bits[:, 0] == bits[:, 1]


def two_gaussians(n, distance, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=n)
    return (rng.normal(size=n) + distance * (y - 0.5))[:, None], y


def information_of_two_gaussians(distance):
    """Return log 2 - E[H(Y | x)], by quadrature."""

    def lost(x):
        log_q = -np.logaddexp(0, -distance * x)  # of the class at +distance / 2, whose log odds are distance x
        return -2 * 0.5 * norm.pdf(x - distance / 2) * log_q  # the other class is its mirror image

    return math.log(2) - quad(lost, -12, 12)[0]


# ------------------------------------------------------------------------------------------------------------- the truth
@pytest.mark.parametrize("distance", [0.5, 2.0, 4.0])
def test_two_gaussians_whose_log_odds_are_linear(distance):
    truth = information_of_two_gaussians(distance)
    result = v_information(*two_gaussians(5000, distance), random_state=0)
    np.testing.assert_allclose(result.value, truth, atol=0.02)
    assert result.interval[0] < truth < result.interval[1]


def test_the_interval_covers():
    truth = information_of_two_gaussians(1.5)
    covered = 0
    for seed in range(60):
        low, high = v_information(*two_gaussians(400, 1.5, seed), confidence_level=0.8, random_state=0).interval
        covered += low < truth < high
    assert 0.65 * 60 < covered <= 60  # of 0.8, within three standard deviations of a binomial


def test_a_linear_family_can_use_nothing_of_xor_and_a_network_all():
    X, y = xor()
    assert abs(v_information(X, y, random_state=0).value) < 0.01
    of_network = v_information(X[:500], y[:500], Perceptron((32,), 0), cv=2, random_state=0)
    np.testing.assert_allclose(of_network.value, math.log(2), atol=0.02)


def test_richer_families_use_more_within_noise():
    X, y = two_gaussians(2000, 2.0)
    X = np.hstack([X**2 * np.sign(X), np.random.default_rng(1).normal(size=X.shape)])
    families = [
        DummyClassifier(strategy="prior"),
        LogisticRegression(),
        make_pipeline(PolynomialFeatures(3), LogisticRegression(max_iter=1000)),
    ]
    results = [v_information(X, y, family, random_state=0) for family in families]
    assert results[0].value == pytest.approx(0, abs=1e-3)
    for poorer, richer in pairwise(results):
        noise = (richer.pointwise - poorer.pointwise).std() / math.sqrt(len(y))
        assert richer.value > poorer.value - 3 * noise


def test_no_more_than_the_entropy_of_labels():
    result = v_information(PIXELS, LABELS, random_state=0)
    frequencies = np.bincount(LABELS) / len(LABELS)
    assert 2.0 < result.value < -(frequencies * np.log(frequencies)).sum() <= math.log(10)


def test_labels_without_relation_are_worth_nothing():
    y = np.random.default_rng(0).permutation(LABELS)[:400]
    result = v_information(PIXELS[:400], y, random_state=0)
    assert result.value < 0  # raw: what was learned from chance makes it worse
    assert result.accuracy < 0.2


# ------------------------------------------------------------------------------------------------------------ the parts
def test_parts_fit_together():
    X, y = two_gaussians(500, 2.0)
    result = v_information(X, y, cv=4, random_state=3)
    np.testing.assert_allclose(result.value, result.entropy - result.conditional_entropy)
    np.testing.assert_allclose(result.value, result.pointwise.mean())
    np.testing.assert_array_equal(result.pointwise, pointwise_v_information(X, y, cv=4, random_state=3))
    assert result.to_frame()["v_information"].item() == result.value
    assert repr(result).startswith("VInformationResult(0.")
    assert "\n" not in repr(result)


def test_each_row_is_judged_by_a_classifier_of_other_rows():
    X, y = two_gaussians(60, 2.0)
    cv = StratifiedKFold(3)
    expected = np.empty(60)
    for train, test in cv.split(X, y):
        q = LogisticRegression().fit(X[train], y[train]).predict_proba(X[test])
        null = np.bincount(y[train]) / len(train)
        expected[test] = np.log(q[np.arange(len(test)), y[test]] / null[y[test]])
    np.testing.assert_allclose(pointwise_v_information(X, y, LogisticRegression(), cv=cv), expected)
    np.testing.assert_allclose(pointwise_v_information(X, y, LogisticRegression(), cv=list(cv.split(X, y))), expected)


def test_a_wrong_label_is_the_hardest():
    X, y = two_gaussians(300, 6.0)
    y[17] = 1 - y[17]
    assert pointwise_v_information(X, y, random_state=0).argmin() == 17


class Reversed(LogisticRegression):
    """Knows its labels in falling order, as scikit-learn does not ask for another one."""

    def fit(self, X, y):
        super().fit(X, y)
        self.n_columns_ = len(self.classes_)
        self.sorted_, self.classes_ = self.classes_, self.classes_[::-1]
        return self

    def predict_proba(self, X):
        return super().predict_proba(X)[:, ::-1]


def test_labels_are_found_by_name_not_by_column():
    X, y = two_gaussians(200, 2.0)
    np.testing.assert_allclose(
        pointwise_v_information(X, y, Reversed(), random_state=0),
        pointwise_v_information(X, y, LogisticRegression(), random_state=0),
    )


def test_takes_whatever_the_classifier_takes():
    frame = pd.DataFrame({"word": ["yes", "no", "yes", "perhaps"] * 50})
    y = pd.Series(["a", "b", "a", "b"] * 50)
    result = v_information(frame, y, make_pipeline(OneHotEncoder(), LogisticRegression(C=1e3)), random_state=0)
    np.testing.assert_allclose(result.value, math.log(2), atol=0.01)


def test_a_classifier_sees_the_precision_that_it_was_fitted_in():
    X, y = two_gaussians(400, 6.0)
    network = nn.Sequential(nn.Linear(1, 2), nn.Softmax(dim=1))  # takes float32 and nothing else
    family = NeuralNetClassifier(network, max_epochs=30, lr=1.0, train_split=None, verbose=0)
    value = v_information(X.astype(np.float32), y.astype(np.int64), family, random_state=0).value
    np.testing.assert_allclose(value, information_of_two_gaussians(6.0), atol=0.1)


@pytest.mark.parametrize("n_labels", [2, 3])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_probe_holds_nothing_for_impossible(n_labels, dtype):
    y = np.repeat(np.arange(n_labels), 50)
    X = np.eye(n_labels, dtype=dtype)[y]
    X_test = 40 * np.repeat(np.eye(n_labels, dtype=dtype), 2, axis=0)
    y_test = np.repeat(np.arange(n_labels)[::-1], 2)  # far on the wrong side
    log_loss = linear_probe(X, y, X_test, y_test).log_loss.item()
    assert 110 < log_loss < 700  # nats


def test_smoothed_neighbours_never_lose_infinitely():
    X, y = two_gaussians(300, 8.0)
    result = v_information(X, y, SmoothedNeighbours(0), random_state=0)
    assert np.isfinite(result.pointwise).all()
    np.testing.assert_allclose(result.value, math.log(2), atol=0.02)


# -------------------------------------------------------------------------------------------------- warnings and errors
def test_a_classifier_that_is_sure_and_wrong():
    X, y = two_gaussians(200, 1.0)
    with pytest.warns(
        InfiniteLossWarning, match=r"DecisionTreeClassifier gives probability 0 to the labels of \d+ of 40"
    ):
        result = v_information(X, y, DecisionTreeClassifier(random_state=0), random_state=0)
    assert result.value == -math.inf
    assert result.interval == (-math.inf, math.inf)


@pytest.mark.parametrize("factor", [2.0, -1.0, np.nan])
def test_what_a_classifier_gives_must_be_probabilities(factor):
    class Scores(LogisticRegression):
        def predict_proba(self, X):
            return factor * super().predict_proba(X)

    with pytest.raises(ValueError, match="predict_proba of Scores must give rows that are at least 0 and sum to 1"):
        v_information(*two_gaussians(100, 1.0), Scores(), random_state=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.linspace(0, 1, 50)}, "continuous"),
        ({"y": ["a"] * 50}, "one label only, 'a'"),
        ({"y": [0] * 48 + [1] * 2}, r"The label 1 has 2 row\(s\), fewer than cv=5"),
        ({"y": np.array(["a", None] * 25, dtype=object)}, r"^y has 25 missing value\(s\), the first in row 1"),
        ({"y": [0.0] * 49 + [np.nan]}, r"^y has 1 missing value\(s\), the first in row 49"),
        ({"y": [0, 1]}, "inconsistent"),
        ({"X": np.full((50, 2), np.inf)}, "^column 0 of X holds inf in row 0"),
        ({"cv": [(np.arange(25), np.arange(25, 50))]}, "hold out every row exactly once"),
        ({"y": [0] * 25 + [1] * 25, "cv": KFold(2)}, "A fold holds labels that the others do not"),
        ({"classifier": object()}, "classifier"),
        ({"confidence_level": 1.0}, "confidence_level"),
    ],
)
def test_refuses_what_it_cannot_use(change, message):
    given = {"X": np.random.default_rng(0).normal(size=(50, 2)), "y": [0, 1] * 25} | change
    with pytest.raises(ValueError, match=message):
        v_information(**given)
