"""The ladder: what each family can use, probabilities that are never 0, and rungs of the user's own."""

import math

import numpy as np
import pandas as pd
import pytest
from helpers import IMAGES, LABELS
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from skdim.evaluation import linear_probe, probe_ladder
from skdim.evaluation._probes import _best_so_far
from skdim.evaluation._v_information import NEIGHBOURS, Perceptron, SmoothedNeighbours
from skdim.exceptions import InfiniteLossWarning

PIXELS = IMAGES.reshape(len(IMAGES), -1)


def xor(n=1200, seed=0):
    rng = np.random.default_rng(seed)
    bits = rng.choice([-1.0, 1.0], size=(n, 2))
    return bits + 0.1 * rng.normal(size=(n, 2)), np.where(bits[:, 0] == bits[:, 1], "same", "different")


def test_what_each_family_can_use_of_xor():
    result = probe_ladder(*xor(), random_state=0)
    assert result.names == ("constant", "linear", "knn", "mlp-1", "mlp-2", "boosting")
    assert result.v_information[0] == 0
    np.testing.assert_allclose(result.v_information[1], 0, atol=0.01)
    np.testing.assert_allclose(result.v_information[2:5], math.log(2), atol=0.02)
    assert (
        0.6 < result.v_information[5] < math.log(2) + 0.01
    )  # trees are grown one column at a time, and neither helps alone
    assert (result.interval[:, 0] <= result.v_information).all()
    assert (result.v_information <= result.interval[:, 1]).all()
    assert (np.diff(result.nested) >= 0).all()
    assert result.area == pytest.approx(math.log(2) * 3.5 / 4, abs=0.03)  # the first of four steps is half of one


def test_a_richer_family_never_loses_what_a_simpler_one_has():
    # The log-loss of linear classes is linear; a network and trees fitted to 150 rows use less of them.
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(2150, 10))
    y = Z @ rng.normal(size=(10, 4)) + rng.gumbel(size=(2150, 4))
    parts = Z[:150], y[:150].argmax(1), Z[150:], y[150:].argmax(1)
    result = probe_ladder(*parts, rungs=["constant", "linear", "knn", "mlp-1", "boosting"], random_state=0)
    assert (np.diff(result.v_information) < -0.02).any()
    assert (np.diff(result.nested) >= 0).all()
    assert result.nested[-1] == result.v_information[1] == result.nested[1]
    assert result.area == 0
    np.testing.assert_array_equal(result.to_frame()["nested"], result.nested)


def test_the_best_rung_so_far_is_chosen_by_the_other_half():
    values = np.array([[1.0, 1.0, 1.0, 1.0], [4.0, 4.1, 0.0, 0.0], [2.0, 2.1, 2.0, 2.1], [3.0, 0.0, 3.0, 0.0]])
    first = np.array([True, True, False, False])
    # Rung 1 is best in the first half, and fails in the second; rung 2 is best in the second.
    second = np.mean([1, 1, 0, 0]), np.mean([2, 2.1, 0, 0])
    np.testing.assert_allclose(_best_so_far(values, first), [1, max(1, second[0]), second[1], second[1]])
    infinite = np.array([[-np.inf, 0.0, -np.inf, 0.0], [1.0, 1.0, 1.0, 1.0], [-np.inf] * 4])
    np.testing.assert_allclose(_best_so_far(infinite, first)[1:], 1.0)


def test_the_area_needs_a_linear_rung_before_the_last():
    for rungs in (["constant", "knn"], ["constant", "linear"]):
        with pytest.raises(ValueError, match=r"needs a rung 'linear' .* got the rungs \['constant'"):
            probe_ladder(*xor(200), rungs=rungs, random_state=0).area  # noqa: B018


def test_the_linear_rung_is_the_linear_probe():
    parts = PIXELS[:900], LABELS[:900], PIXELS[900:], LABELS[900:]
    rung, probe = probe_ladder(*parts, rungs=["linear"]), linear_probe(*parts)
    for name in ("accuracy", "log_loss", "v_information"):
        np.testing.assert_allclose(getattr(rung, name), getattr(probe, name).ravel())


def test_rungs_of_the_user():
    rungs = {"Bayes": GaussianNB(), "logistic": LogisticRegression()}
    result = probe_ladder(*xor(), rungs=rungs, random_state=0)
    assert result.names == ("Bayes", "logistic")
    assert not hasattr(rungs["Bayes"], "classes_")  # a clone was fitted
    with pytest.raises(TypeError, match="The rung 'svm' is LinearSVC"):
        probe_ladder(*xor(), rungs={"svm": LinearSVC()})


def test_a_rung_without_smoothing_may_lose_infinitely():
    Z = np.random.default_rng(0).normal(size=(200, 2))
    with pytest.warns(InfiniteLossWarning, match="KNeighborsClassifier"):
        result = probe_ladder(
            Z, Z[:, 0] > 0, rungs={"raw": KNeighborsClassifier(1), "linear": GaussianNB()}, random_state=0
        )
    assert np.isposinf(result.log_loss).tolist() == [True, False]
    assert np.isposinf(result.interval[0, 1])


def test_frame_and_repr():
    Z, y = xor(200)
    result = probe_ladder(pd.DataFrame(Z, columns=["a", "b"]), pd.Series(y), rungs=("constant", "knn"), random_state=0)
    assert list(result.to_frame()["rung"]) == ["constant", "knn"]
    np.testing.assert_array_equal(result.to_frame()[["low", "high"]], result.interval)
    assert repr(result).startswith("LadderResult(constant 0.000 nats (0.")


@pytest.mark.parametrize(
    ("rungs", "message"),
    [(["trees"], "Unknown rung 'trees'. Allowed values are"), ({}, "rungs is empty"), (3, "'rungs'")],
)
def test_refuses_unknown_rungs(rungs, message):
    with pytest.raises(ValueError, match=message):
        probe_ladder(*xor(50), rungs=rungs)


# ------------------------------------------------------------------------------------------------------------ neighbours
def test_neighbours_against_a_slow_twin():
    Z, y = xor(60)
    fitted = SmoothedNeighbours(0).fit(Z, y)
    q = fitted.predict_proba(Z[:5] + 0.01)
    for row, z in zip(q, Z[:5] + 0.01, strict=True):
        nearest = y[np.argsort(((Z - z) ** 2).sum(1))[: fitted.n_neighbors_]]
        expected = [((nearest == label).sum() + (y == label).mean()) / (len(nearest) + 1) for label in fitted.classes_]
        np.testing.assert_allclose(row, expected)


def test_the_number_of_neighbours_is_the_best_when_left_out():
    Z = np.random.default_rng(0).normal(size=(150, 1))
    y = np.random.default_rng(1).random(150) < 1 / (1 + np.exp(-2 * Z[:, 0]))
    losses = {}
    for k in NEIGHBOURS:
        log_q = []
        for i in range(150):
            others = np.delete(np.arange(150), i)
            nearest = y[others[np.argsort(np.abs(Z[others] - Z[i])[:, 0], kind="stable")[:k]]]
            log_q.append(math.log(((nearest == y[i]).sum() + (y == y[i]).mean()) / (k + 1)))
        losses[k] = -np.mean(log_q)
    assert SmoothedNeighbours(0).fit(Z, y).n_neighbors_ == min(losses, key=losses.get)


def test_a_network_that_finds_nothing_knows_the_frequencies():
    rng = np.random.default_rng(0)
    Z, y = rng.normal(size=(400, 5)), rng.choice(["a", "b"], size=400, p=[0.8, 0.2])
    q = Perceptron((8,), seed=0).fit(Z, y).predict_proba(Z)
    np.testing.assert_allclose(q.sum(1), 1)
    np.testing.assert_allclose(q.mean(0), [0.8, 0.2], atol=0.06)
    assert q[:, 0].std() < 0.1
