"""Columns of any kind become numbers, and labels where all are discrete: against slow twins, and the same for new rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skdim import MIEstimator, independence_test, mutual_info_features
from skdim.information.canonical import NormalScores, Standardize
from skdim.information.sides import MARGINALS, ROWS_PER_LABEL, Side, load_sides, state_of_sides

COLOURS = np.array(["red", "blue", "red", "green", "blue", "red"])
NUMBERS = np.array([[3.0, -1.0], [0.5, 2.0], [1.0, 0.0], [2.0, 4.0], [-4.0, 9.0], [8.0, -3.0]])


def mixed():
    """Two continuous columns and two discrete ones, in turn."""
    return np.array([[a, c, b, a > 1] for (a, b), c in zip(NUMBERS, COLOURS, strict=True)], dtype=object)


MIXED = np.array([False, True, False, True])


def side(X, discrete=None, marginals="normal_scores"):
    discrete = np.zeros(X.shape[1], dtype=bool) if discrete is None else np.asarray(discrete)
    return Side.learn(X, discrete, marginals)


def all_discrete(X, **kwargs):
    return side(X, np.ones(X.shape[1], dtype=bool), **kwargs)


def labelled(X):
    """Return the side of rows that are met often enough to be labels."""
    return all_discrete(np.repeat(X, ROWS_PER_LABEL, axis=0))


# --------------------------------------------------------------------------------------------------------------- numbers
@pytest.mark.parametrize("marginals", MARGINALS)
def test_continuous_columns_are_what_their_marginals_make_of_them(marginals):
    new = NUMBERS[:3] + 0.25
    learned = side(NUMBERS, marginals=marginals)
    expected = {"normal_scores": NormalScores, "standardize": Standardize}.get(marginals)
    assert not learned.has_labels
    np.testing.assert_array_equal(learned.numbers(new), new if expected is None else expected.learn(NUMBERS)(new))


def test_discrete_columns_are_indicators_of_their_sorted_categories():
    X = np.column_stack([COLOURS, ["b", "a", "b", "a", "a", "b"]]).astype(object)
    numbers = all_discrete(X).numbers(X)
    for row, (colour, letter) in zip(numbers, X, strict=True):
        assert row.tolist() == [colour == c for c in ("blue", "green", "red")] + [letter == c for c in ("a", "b")]


def test_of_mixed_columns_the_continuous_ones_come_first():
    X = mixed()
    learned = side(X, MIXED)
    numbers = learned.numbers(X)
    assert numbers.dtype == np.float64
    assert numbers.shape == (6, 2 + 3 + 2)
    np.testing.assert_array_equal(numbers[:, :2], side(NUMBERS).numbers(NUMBERS))
    np.testing.assert_array_equal(numbers[:, 2:5].argmax(1), [2, 0, 2, 1, 0, 2])
    np.testing.assert_array_equal(numbers[:, 5:].argmax(1), (NUMBERS[:, 0] > 1).astype(int))
    assert not learned.has_labels


@pytest.mark.parametrize("X", [np.zeros((4, 1)), np.array([["a"]] * 4, dtype=object)], ids=["number", "string"])
@pytest.mark.parametrize("marginals", ["normal_scores", "standardize"])
def test_a_constant_column_gives_the_same_numbers_in_every_row(X, marginals):
    numbers = side(X, [X.dtype == object], marginals).numbers(X)
    assert np.isfinite(numbers).all()
    assert (numbers == numbers[0]).all()


def test_rows_have_the_same_numbers_alone_and_together():
    X = mixed()
    learned = side(X, MIXED)
    for i in range(len(X)):
        np.testing.assert_array_equal(learned.numbers(X[i : i + 1])[0], learned.numbers(X)[i])


def test_what_is_given_is_left_as_it_is():
    X = mixed()
    side(X, MIXED).numbers(X)
    assert (mixed() == X).all()


def test_a_category_not_met_in_fit_is_an_error():
    learned = side(mixed(), MIXED)
    new = mixed()[:1]
    new[0, 1] = "violet"
    with pytest.raises(ValueError, match=r"not met in fit.*'violet'"):
        learned.numbers(new)


# ---------------------------------------------------------------------------------------------------------------- labels
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.booleans()), min_size=1, max_size=30))
def test_labels_are_equal_where_rows_are_equal(rows):
    X = np.array(rows, dtype=object)
    learned = labelled(X)
    labels = learned.labels(X)
    assert learned.has_labels
    assert set(labels.tolist()) == set(range(len(set(rows)))) == set(range(len(learned.symbols)))
    for i in range(len(rows)):
        for j in range(i):
            assert (labels[i] == labels[j]) == (rows[i] == rows[j])


def test_symbols_are_the_combinations_that_labels_number():
    X = np.array([["b", 1], ["a", 1], ["b", 0], ["a", 1]], dtype=object)
    learned = labelled(X)
    codes = learned.symbols[learned.labels(X)]  # of categories in order: a, b and 0, 1
    assert codes.tolist() == [[1, 1], [0, 1], [1, 0], [0, 1]]


def test_new_rows_get_the_labels_of_fit():
    X = np.array([["b", 1], ["a", 1], ["b", 0]], dtype=object)
    learned = labelled(X)
    labels = learned.labels(X)
    assert learned.labels(X[[2, 0, 0, 1]]).tolist() == labels[[2, 0, 0, 1]].tolist()


def test_a_combination_not_met_in_fit_is_an_error_that_names_the_row():
    learned = labelled(np.array([["b", 1], ["a", 1], ["b", 0]], dtype=object))
    with pytest.raises(ValueError, match="Row 1 of X holds a combination of discrete values not met in fit"):
        learned.labels(np.array([["a", 1], ["a", 0]], dtype=object))


def test_combinations_met_too_seldom_are_no_labels():
    X = np.array([[i % 4, i % 5] for i in range(20)])
    assert not all_discrete(X).has_labels
    assert labelled(X).has_labels
    assert all_discrete(X[:, :1]).has_labels  # one column always has them


def test_a_side_with_a_continuous_column_has_no_symbols():
    assert side(mixed(), MIXED).symbols.size == 0
    assert side(NUMBERS).symbols.size == 0


@pytest.mark.parametrize("n_columns", [62, 70, 200])
def test_many_columns_are_learned_whatever_their_combinations(n_columns):
    X = np.random.default_rng(0).integers(0, 2, (50, n_columns))
    numbers = all_discrete(X).numbers(X)
    assert numbers.shape == (50, 2 * n_columns)
    np.testing.assert_array_equal(numbers[:, 1::2], X)


def test_more_categories_than_can_be_learned_are_an_error_that_names_the_column():
    X = np.column_stack([np.arange(5000) % 3, np.arange(5000)])
    with pytest.raises(
        ValueError, match=r"columns of X have 5003 categories, of which column 1 of X has 5000. At most 4096"
    ):
        all_discrete(X)
    assert all_discrete(X[:, 1:]).has_labels


# ----------------------------------------------------------------------------------------------------------------- state
CASES = {
    "normal scores": (NUMBERS, [False, False], "normal_scores"),
    "many columns": (np.random.default_rng(0).normal(size=(5, 12)), [False] * 12, "normal_scores"),
    "standardised": (NUMBERS, [False, False], "standardize"),
    "as they are": (NUMBERS, [False, False], None),
    "mixed": (mixed(), MIXED, "normal_scores"),
    "mixed, standardised": (mixed(), MIXED, "standardize"),
    "strings": (COLOURS[:, None].astype(object), [True], "normal_scores"),
    "integers": (np.array([[3], [5], [3], [7]]), [True], "normal_scores"),
    "bools": (np.array([[True], [False], [True]]), [True], "normal_scores"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_state_gives_the_side_back(case, tmp_path):
    X, discrete, marginals = CASES[case]
    learned = side(X, discrete, marginals)
    np.savez(tmp_path / "side.npz", **learned.state())
    with np.load(tmp_path / "side.npz", allow_pickle=False) as state:  # arrays of numbers and text, none of objects
        back = Side.from_state(dict(state))
    np.testing.assert_array_equal(back.numbers(X), learned.numbers(X))
    np.testing.assert_array_equal(back.symbols, learned.symbols)
    assert back.has_labels == learned.has_labels
    if learned.has_labels:
        np.testing.assert_array_equal(back.labels(X), learned.labels(X))


def test_both_sides_have_one_state_and_no_side_has_none():
    sides = side(mixed(), MIXED), all_discrete(COLOURS[:, None].astype(object))
    state = state_of_sides(sides)
    assert {name.split("/")[0] for name in state} == {"x", "y"}
    for back, learned, X in zip(load_sides(state), sides, (mixed(), COLOURS[:, None].astype(object)), strict=True):
        np.testing.assert_array_equal(back(X), learned(X))
    assert load_sides(state_of_sides(())) == ()


def test_a_side_gives_labels_if_it_has_them_and_else_numbers():
    colours = COLOURS[:, None].astype(object)
    np.testing.assert_array_equal(all_discrete(colours)(colours), all_discrete(colours).labels(colours))
    np.testing.assert_array_equal(side(NUMBERS)(NUMBERS), side(NUMBERS).numbers(NUMBERS))


@pytest.mark.parametrize("kind", ["int64", "uint64", "Int64", "object"])
def test_large_integers_are_labels_of_their_own(kind):
    x = np.random.default_rng(0).normal(size=200)
    above = (x > 0).astype(int)
    y = pd.Series(2**60 + above).astype(kind)
    options = {"random_state": 0, "n_permutations": 99}
    assert independence_test(x, y, **options).statistic == independence_test(x, above, **options).statistic
    scores = [mutual_info_features(x[:, None], labels)[0] for labels in (y, above)]
    assert scores[0] == scores[1]


@pytest.mark.filterwarnings("ignore::skdim.exceptions.MutualInformationWarning")
def test_what_is_masked_is_missing():
    table = np.ma.masked_less(np.random.default_rng(0).normal(size=(60, 2)), -2)
    with pytest.raises(ValueError, match="column 0 of X has 2 missing"):
        MIEstimator().fit(table, table.data[:, 1])
    plain = np.ma.array(table.data, mask=False)
    np.testing.assert_array_equal(
        mutual_info_features(plain, plain[:, 0]), mutual_info_features(table.data, table.data[:, 0])
    )
