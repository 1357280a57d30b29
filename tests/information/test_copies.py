"""Copies of rows are found, and rows that are equal by the ties of their columns are none."""

import numpy as np
import pytest
from helpers import tiny_mi
from sklearn import datasets

from skdim.exceptions import DuplicateRowsWarning
from skdim.information.copies import duplicated_rows
from skdim.information.discrete import discrete_columns

LOADERS = {name: getattr(datasets, f"load_{name}") for name in ("iris", "wine", "breast_cancer", "diabetes")}


def share(X, y, seed=0):
    """Return the share of the last fifth of rows, in random order, that copy the others."""
    X, y = (np.asarray(part).reshape(len(part), -1) for part in (X, y))
    order = np.random.default_rng(seed).permutation(len(X))
    test, train = np.split(order, [len(X) // 5])
    return duplicated_rows((X, y), [discrete_columns(part) for part in (X, y)], np.sort(train), np.sort(test))


def bootstrap(X, y, seed=1):
    rows = np.random.default_rng(seed).integers(len(X), size=len(X))
    return X[rows], y[rows]


def twice(X, y):
    return np.repeat(X, 2, axis=0), np.repeat(y, 2, axis=0)


def some(X, y, seed=1):
    """Return the rows and copies of a twentieth of them."""
    rows = np.append(np.arange(len(X)), np.random.default_rng(seed).integers(len(X), size=len(X) // 20))
    return X[rows], y[rows]


def made(n=1000):
    """Return data sets in which rows are equal by ties alone."""
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, n))
    y = 0.8 * x + 0.6 * rng.normal(size=n)
    age, price = rng.integers(18, 90, n).astype(float), np.floor(np.exp(rng.normal(3, 1, n))) + 0.99
    product = rng.integers(50, size=n)
    prices, weights = np.round(rng.gamma(2, 20, 50), 2)[product], np.round(rng.gamma(2, 2, 50), 1)[product]
    label = (age / 90 + rng.random(n) > 1).astype(int)
    wide = np.column_stack([x, z, x + z])
    return {
        "age": (age, label),
        "age, standardised": ((age - age.mean()) / age.std(), label),
        "log of age": (np.log(age), label),
        "price": (price, label),
        "age and price": (np.column_stack([age, price]), label),
        "age against price": (age, price),
        "price of a product": (prices, product % 3),
        "price of a product, standardised": ((prices - prices.mean()) / prices.std(), product % 3),
        "log price of a product": (np.log(prices), product % 3),
        "price and weight of a product": (np.column_stack([prices, weights]), product % 3),
        "parity": (rng.integers(200, size=n).astype(float), rng.integers(200, size=n) % 2),
        "zero together": (np.maximum(x, 0), np.maximum(y, 0)),
        "four zero together": (np.maximum(wide, 0), np.maximum(y, 0)),
        "few zero together": (np.maximum(x, -2.4), np.maximum(y, -2.4)),
        **{f"rounded to {k}": (x.round(k), y.round(k)) for k in (0, 1, 2)},
        **{f"three rounded to {k}, a label": (wide.round(k), (y > 0).astype(int)) for k in (0, 1, 2)},
        "one of many digits, a label": (x, (y > 0).astype(int)),
    }


MADE = made()


@pytest.mark.parametrize("name", MADE)
def test_rows_that_are_equal_by_ties_are_no_copies(name):
    assert share(*MADE[name]) == 0


@pytest.mark.parametrize("name", LOADERS)
def test_real_data_have_no_copies_by_any_of_their_columns(name):
    X, y = LOADERS[name](return_X_y=True)
    rng = np.random.default_rng(0)
    assert share(X, y) < 0.01
    for j in range(X.shape[1]):
        assert share(X[:, [j]], y) < 0.01
        assert share(X[:, [j]], X[:, [j - 1]]) < 0.01
        assert share(X[:, rng.choice(X.shape[1], 4, replace=False)], y) < 0.01


def test_pixels_are_no_copies():
    X, y = datasets.load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    for n_pixels in (1, 2, 3, 4, 8, 16, 32, 64):
        assert share(X[:, rng.choice(64, n_pixels, replace=False)], y) == 0


COPIED = {
    **{name: load(return_X_y=True) for name, load in LOADERS.items()},
    **{
        name: MADE[name]
        for name in ("zero together", "few zero together", "rounded to 2", "three rounded to 1, a label")
    },
    "two of many digits": tuple(np.random.default_rng(0).normal(size=(2, 1000))),
    "float32": tuple(np.random.default_rng(0).normal(size=(2, 1000)).astype(np.float32)),
}


@pytest.mark.parametrize("copied", [bootstrap, twice])
@pytest.mark.parametrize("name", COPIED)
def test_copied_rows_are_found(name, copied):
    assert share(*copied(*COPIED[name])) > 0.2


@pytest.mark.parametrize("copied", [bootstrap, twice])
def test_copies_of_one_column_of_many_digits_with_a_label_are_found(copied):
    assert share(*copied(*MADE["one of many digits, a label"])) > 0.1


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes", "zero together", "two of many digits", "float32"])
def test_a_few_copies_are_found(name):
    assert 0.01 < share(*some(*COPIED[name])) < 0.2


def test_without_rows_held_out_there_are_no_copies():
    X, y = (part.reshape(-1, 1) for part in twice(*MADE["few zero together"]))
    rows = np.arange(len(X))
    assert duplicated_rows((X, y), [np.zeros(1, dtype=bool)] * 2, rows, rows) == 0


@pytest.mark.filterwarnings("ignore::skdim.exceptions.SaturationWarning")
def test_the_estimator_warns_of_copies_only():
    x, y = MADE["rounded to 2"]
    X = np.column_stack([x, MADE["age"][0]])
    tiny_mi().fit(X, y)  # warnings are errors here
    with pytest.warns(DuplicateRowsWarning, match=r"copy rows that were trained on.*Drop the copies"):
        tiny_mi().fit(*twice(X, y))
