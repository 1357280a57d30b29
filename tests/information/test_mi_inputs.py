"""What MIEstimator takes, what it warns of, and what it refuses."""

import datetime
import decimal
import math
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from helpers import BilinearCritic, KnownGaussian, bilinear_critic, sgd_without_momentum, tiny_mi
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from test_inputs import refuses
from test_mi_estimator import KINDS, KNOWN, RHO, TRUTH, pairs

from skdim import (
    MIEstimator,
    MRMRSelector,
    conditional_mutual_information,
    independence_test,
    interaction_information,
    lagged_mutual_information,
    mutual_info_features,
    mutual_information,
    mutual_information_matrix,
    time_blocks,
    transfer_entropy,
)
from skdim.bounds import Alpha
from skdim.evaluation import (
    effective_rank,
    linear_probe,
    neural_dependency,
    pointwise_v_information,
    v_information,
)
from skdim.exceptions import (
    ConstantInputWarning,
    DivergenceError,
    DuplicateRowsWarning,
    HighVarianceWarning,
    MutualInformationWarning,
    PersistenceWarning,
    SaturationWarning,
    SmallSampleWarning,
)
from skdim.information.discrete import discrete_mutual_information
from skdim.nn.critics import Inner, Separable
from skdim.nn.ratio import SeparableRatio

IGNORE = "ignore::skdim.exceptions."
FEW_ROWS = pytest.mark.filterwarnings(IGNORE + "SmallSampleWarning")
pytestmark = [
    pytest.mark.filterwarnings(IGNORE + "SaturationWarning"),
    pytest.mark.filterwarnings(IGNORE + "UnderfittingWarning"),  # networks here are small, and soon stopped
]

X, Y = pairs(400)
SIGNS = np.where(Y.ravel() > 0, "up", "down")
#: A classifier starts from nothing: enough steps on the 260 rows to train on.
ON_FEW = {"max_iter": 15, "batch_size": 32, "learning_rate": 0.01}


def numbers(mi):
    """Return every number that a fit reports."""
    return [mi.mi_, *mi.mi_interval_, *mi.diagnostics_.values()]


def caught(call):
    """Return what a call gives, and the classes of its warnings."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        result = call()
    return result, [warning.category for warning in record]


@pytest.fixture(scope="module")
def continuous():
    return tiny_mi().fit(X, Y)


@pytest.fixture(scope="module")
def labelled():
    return tiny_mi().fit(X, SIGNS)


@pytest.fixture(scope="module")
def value():
    return tiny_mi().fit(X, Y).mi_


# ------------------------------------------------------------------------------------------------- never a non-finite result
def awkward():
    rng, x, y = np.random.default_rng(1), X[:200], Y[:200]
    cauchy = rng.standard_cauchy((200, 2))
    few = rng.integers(0, 3, (200, 2)).astype(float)
    outlier = np.zeros((200, 1))
    outlier[7] = 1
    return {
        "Cauchy": (cauchy, cauchy[:, :1] + rng.standard_cauchy((200, 1))),
        "duplicated rows": (np.repeat(x[:40], 5, axis=0), np.repeat(y[:40], 5, axis=0)),
        "ties": (few, few[:, :1] + rng.integers(0, 2, (200, 1))),
        "the same column": (x, x),
        "the same column twice": (np.hstack([x, x]), y),
        "a constant column": (np.hstack([x, np.ones((200, 1))]), y),
        "one value differs": (outlier, y),
        "clipped": (np.maximum(x, 0), np.maximum(y, 0)),
        "more columns than rows": (rng.normal(size=(120, 150)), rng.normal(size=(120, 3))),
        "1e30": (1e30 * x, 1e30 * y),
        "1e-30": (1e-30 * x, 1e-30 * y),
        "both": (1e30 * x, 1e-30 * y),
        "far from 0": (x + 1e8, y - 1e8),
    }


AWKWARD = awkward()


@pytest.mark.filterwarnings(IGNORE + "MutualInformationWarning")
@pytest.mark.parametrize("estimator", ["infonce", "alpha", "jsd", "nwj", "uba", "dime", "ba", "gaussian"])
@pytest.mark.parametrize("case", AWKWARD)
def test_awkward_data_give_finite_numbers(case, estimator):
    x, y = AWKWARD[case]
    for marginals in (
        ("normal_scores", "standardize", None) if estimator in ("infonce", "gaussian") else ("normal_scores",)
    ):
        mi = tiny_mi(estimator=estimator, marginals=marginals, reference="auto", max_iter=1).fit(x, y)
        assert np.isfinite(numbers(mi)).all()
        assert np.isfinite(mi.pointwise(x, y)).all()
        result = mi.estimate(x, y)
        assert np.isfinite([mi.score(x, y), result.value, *result.interval]).all()
        assert mi.mi_interval_[0] < mi.mi_ < mi.mi_interval_[1]


@pytest.mark.parametrize("marginals", ["normal_scores", "standardize", None])
@pytest.mark.parametrize("factor", [1e30, 1e-30])
def test_the_unit_does_not_matter(factor, marginals):
    assert tiny_mi(marginals=marginals).fit(factor * X, Y).mi_ == pytest.approx(TRUTH, abs=0.15)


@pytest.mark.filterwarnings(IGNORE + "MutualInformationWarning")
@pytest.mark.parametrize("estimator", KINDS)
@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 7, 8, 9, 12, 20, 76])
def test_few_rows_give_finite_numbers_and_a_wide_interval(n, estimator):
    x, y = pairs(n)
    mi = tiny_mi(estimator=estimator, reference="auto", max_iter=2, test_fraction=0.2).fit(x, y)
    assert np.isfinite(numbers(mi)).all()
    assert np.isfinite([mi.score(x, y), mi.estimate(x, y).value, *mi.pointwise(x, y)]).all()
    assert np.diff(mi.mi_interval_) > 1 / math.sqrt(n)
    if KINDS[estimator] == "lower":
        assert mi.mi_interval_[0] <= TRUTH + 0.3


@pytest.mark.filterwarnings(IGNORE + "MutualInformationWarning")
@pytest.mark.parametrize("n", [2, 4, 6, 8, 12, 30])
def test_few_independent_rows_give_an_interval_with_0(n):
    holds = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        mi = tiny_mi(reference="auto", test_fraction=0.2, random_state=seed).fit(
            rng.normal(size=(n, 1)), rng.normal(size=(n, 1))
        )
        holds.append(mi.mi_interval_[0] <= 0 <= mi.mi_interval_[1])
    assert np.mean(holds) >= 0.9


@pytest.mark.filterwarnings(IGNORE + "MutualInformationWarning")
@pytest.mark.parametrize("n", [2, 3, 5, 8, 20])
def test_few_rows_of_discrete_data(n):
    for x, y in [(X[:n], SIGNS[:n]), (SIGNS[:n, None], Y[:n]), (SIGNS[:n, None], SIGNS[:n])]:
        mi = tiny_mi().fit(x, y)
        assert np.isfinite(numbers(mi)).all()
        assert np.isfinite(mi.pointwise(x, y)).all()
        assert mi.mi_ <= mi.cap_ + 1e-9


# --------------------------------------------------------------------------------------------------------------- warnings
@pytest.mark.parametrize("side", ["X", "y"])
@pytest.mark.parametrize("estimator", [*KINDS])
def test_a_constant_side_is_0_and_warns(estimator, side):
    constant = np.full((400, 1), 3.5)
    with pytest.warns(ConstantInputWarning, match=f"{side} is constant"):
        mi = tiny_mi(estimator=estimator).fit(*((constant, Y) if side == "X" else (X, constant)))
    assert mi.mi_ == 0
    assert mi.kind_ == KINDS[estimator]
    assert mi.mi_interval_[0] < 0 < mi.mi_interval_[1]
    assert (mi.pointwise(constant[:5], Y[:5]) == 0).all()
    assert mi.score(constant, Y) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("constant", [np.full((400, 2), "a"), np.full((400, 2), 7)], ids=["strings", "integers"])
def test_a_constant_discrete_side_is_0_and_warns(constant):
    for y in (Y, SIGNS):
        with pytest.warns(ConstantInputWarning, match="X is constant"):
            mi = tiny_mi().fit(constant, y)
        assert mi.mi_ == pytest.approx(0, abs=1e-9)


def test_few_rows_warn():
    with pytest.warns(SmallSampleWarning, match="50 samples"):
        tiny_mi().fit(X[:50], Y[:50])
    with pytest.warns(SmallSampleWarning, match="2 samples"):
        tiny_mi().fit(X[:2], Y[:2])
    tiny_mi().fit(X[:200], Y[:200])  # warnings are errors here


def test_few_rows_give_no_other_warning():
    for n in (2, 3, 5, 7, 8, 20):
        for estimator in ("infonce", "ba", "gaussian"):
            _, warned = caught(lambda: tiny_mi(estimator=estimator, test_fraction=0.2).fit(X[:n], Y[:n]))  # noqa: B023
            assert set(warned) == {SmallSampleWarning}


def test_a_bound_near_its_cap_says_why_it_is_too_small():
    x, y = pairs(1000, rho=0.995, n_dims=1)  # 2.3 nats, of at most log 200
    with pytest.warns(
        SaturationWarning, match=r"loses 0\.\d\d nats with a quarter|near its cap, and about 0\.\d\d nats too small"
    ):
        tiny_mi(test_fraction=0.2).fit(x, y)


def test_more_nats_than_rows_can_support_warn():
    x, y = pairs(300, rho=0.99999, n_dims=5)
    with pytest.warns(SmallSampleWarning, match="60 test rows can support"):
        tiny_mi(estimator="alpha", test_fraction=0.2).fit(x, y)


def test_a_saturated_bound_warns_and_one_far_from_its_cap_does_not():
    x, y = pairs(400, rho=0.999, n_dims=3)  # 9.3 nats of at most log 80 = 4.4
    with pytest.warns(SaturationWarning, match=r"cap|rows"):
        mi = tiny_mi(test_fraction=0.2).fit(x, y)
    assert mi.diagnostics_["saturation"] > 0.05
    assert mi.mi_ == pytest.approx(math.log(80), abs=0.2)
    _, warned = caught(lambda: tiny_mi().fit(*pairs(2000, rho=0.5)))
    assert warned == []


@FEW_ROWS
@pytest.mark.parametrize("estimator", ["jsd", "nwj", "smile"])
def test_a_mean_of_exponentials_that_few_pairs_rule_warns(estimator):
    x, y = pairs(1500, rho=0.99, n_dims=5)  # 9.8 nats
    with pytest.warns(HighVarianceWarning, match=f"{estimator}.*variance"):
        tiny_mi(estimator=estimator, hidden_layer_sizes=(64, 64), max_iter=40, test_fraction=0.2).fit(x, y)


def test_copies_across_the_split_warn():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1000, 2)), rng.normal(size=(1000, 1))
    x[:100], y[:100] = x[100:200], y[100:200]
    with pytest.warns(DuplicateRowsWarning, match="independent"):
        mi = tiny_mi().fit(x, y)
    assert 0.03 < mi.diagnostics_["duplicated_rows"] < 0.25
    order = rng.permutation(1000)
    with pytest.warns(DuplicateRowsWarning):
        tiny_mi().fit(x[order], y[order])


@pytest.mark.parametrize("of", ["X", "y"])
def test_copies_of_one_side_alone_are_no_copies(of):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(500, 1)), rng.normal(size=(500, 1))
    (x if of == "X" else y)[:250] = (x if of == "X" else y)[250:]
    assert tiny_mi().fit(x, y).diagnostics_["duplicated_rows"] == 0


def test_ties_are_no_copies():
    x, y = (np.round(part) for part in pairs(1000))
    assert tiny_mi().fit(x, y).diagnostics_["duplicated_rows"] < 0.01
    assert tiny_mi().fit(*(np.maximum(part, 0) for part in pairs(1000))).diagnostics_["duplicated_rows"] < 0.01


def test_labels_may_repeat():
    rng = np.random.default_rng(0)
    assert tiny_mi().fit(rng.integers(0, 3, (300, 1)), rng.integers(0, 3, 300)).diagnostics_["duplicated_rows"] == 0
    assert tiny_mi().fit(X, SIGNS).diagnostics_["duplicated_rows"] == 0


def test_warnings_point_at_the_line_that_called():
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        tiny_mi(test_fraction=0.2).fit(X[:20], Y[:20])
        mutual_information(X[:20], Y[:20], max_iter=1, random_state=0)
        cross_val_score(tiny_mi(test_fraction=0.2), X[:40], Y[:40], cv=2)
    assert len(record) == 4
    assert {warning.filename for warning in record} == {__file__}
    assert all(issubclass(warning.category, MutualInformationWarning) for warning in record)


# ------------------------------------------------------------------------------------------------------------ what may come
DISCRETE = {
    "bool": (Y.ravel() > 0, True),
    "strings": (SIGNS, True),
    "objects": (SIGNS.astype(object), True),
    "few integers": ((Y.ravel() > 0).astype(np.int64), True),
    "small integers": ((Y.ravel() > 0).astype(np.uint8), True),
    "bools as objects": ((Y.ravel() > 0).astype(object), True),
    "list of strings": (SIGNS.tolist(), True),
    "category": (pd.Series(SIGNS, dtype="category"), True),
    "category of integers": (pd.Series((Y.ravel() > 0).astype(int), dtype="category"), True),
    "pandas strings": (pd.Series(SIGNS, dtype="string"), True),
    "pandas boolean": (pd.Series(Y.ravel() > 0, dtype="boolean"), True),
    "pandas Int64": (pd.Series((Y.ravel() > 0).astype(int), dtype="Int64"), True),
    "polars": (pl.Series(SIGNS.tolist()), True),
    "polars category": (pl.Series(SIGNS.tolist(), dtype=pl.Categorical), True),
    "two floats": (np.sign(Y.ravel()), True),
    "whole floats": (np.round(Y.ravel()), False),
    "many integers": (np.round(1000 * Y.ravel()).astype(int), False),
}


@pytest.fixture(scope="module")
def of_bools():
    return tiny_mi(**ON_FEW).fit(X, Y.ravel() > 0)


@pytest.mark.parametrize("case", DISCRETE)
def test_which_columns_are_discrete(case, of_bools):
    y, discrete = DISCRETE[case]
    mi = tiny_mi(**ON_FEW).fit(X, y)
    assert [mask.tolist() for mask in mi.discrete_] == [[False], [discrete]]
    if discrete:
        assert mi.mi_ == pytest.approx(of_bools.mi_, abs=0.05)
        assert mi.cap_ == pytest.approx(math.log(2), abs=0.01)
    assert 0.1 < mi.mi_ < TRUTH + 0.2
    assert np.isfinite([mi.score(X, y), mi.estimate(X, y).value, *mi.pointwise(X, y)]).all()


@pytest.mark.parametrize("case", ["bool", "objects", "list of strings", "category", "pandas Int64", "polars category"])
def test_the_discrete_side_may_be_x(case):
    x, _ = DISCRETE[case]
    result = mutual_information(x, Y, **tiny_mi(**ON_FEW).get_params())
    assert 0.1 < result.value < math.log(2)
    assert result.kind == "estimate"


def test_discreteness_can_be_said():
    ratings = np.round(2 * Y).astype(int)
    automatic = tiny_mi().fit(X, ratings)
    said = tiny_mi(discrete_y=False).fit(X, ratings)
    assert automatic.discrete_[1].all()
    assert automatic.cap_ < math.log(20)
    assert not said.discrete_[1].any()
    assert tiny_mi(discrete_X=False, discrete_y=[0]).fit(X, np.round(Y)).discrete_[1].all()
    both = tiny_mi(discrete_X=[True, False]).fit(np.hstack([np.round(X), X]), Y)
    assert both.discrete_[0].tolist() == [True, False]
    frame = pd.DataFrame(np.hstack([np.round(X), X]), columns=["a", "b"])
    assert tiny_mi(discrete_X=["a"]).fit(frame, Y).discrete_[0].tolist() == [True, False]


FRAMES = {
    "pandas": lambda columns: pd.DataFrame(columns),
    "pandas with a category": lambda columns: pd.DataFrame(columns).astype({"sign": "category"}),
    "polars": lambda columns: pl.DataFrame(columns),
    "polars with a category": lambda columns: pl.DataFrame(columns).with_columns(pl.col("sign").cast(pl.Categorical)),
}


SIZE_AND_SIGN = {"size": np.abs(X.ravel()), "sign": np.where(X.ravel() > 0, "+", "-")}


@pytest.fixture(scope="module")
def of_size_and_sign():
    as_array = np.array(list(zip(*SIZE_AND_SIGN.values(), strict=True)), dtype=object)
    return tiny_mi().fit(as_array, Y)


@pytest.mark.parametrize("frame", FRAMES)
def test_frames(frame, of_size_and_sign):
    table = FRAMES[frame](SIZE_AND_SIGN)
    mi = tiny_mi().fit(table, Y)
    assert mi.discrete_[0].tolist() == [False, True]
    assert mi.feature_names_in_.tolist() == ["size", "sign"]
    assert mi.n_features_in_ == 2
    assert mi.mi_ == of_size_and_sign.mi_
    assert mi.pointwise(table[:7], Y[:7]).shape == (7,)


WIDE = np.hstack([X, X**2])


@pytest.fixture(scope="module")
def value_of_wide():
    return tiny_mi().fit(WIDE, Y).mi_


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, "list", "read only", "Fortran"])
def test_kinds_of_arrays(kind, value_of_wide):
    given = {
        "list": lambda a: a.tolist(),
        "read only": lambda a: np.frombuffer(a.tobytes()).reshape(a.shape),
        "Fortran": np.asfortranarray,
    }.get(kind, lambda a: a.astype(kind))
    assert tiny_mi().fit(given(WIDE), given(Y)).mi_ == pytest.approx(value_of_wide, abs=0.01)


def test_y_of_one_column_in_any_shape(value):
    for y in (
        Y.ravel(),
        Y.ravel().tolist(),
        pd.Series(Y.ravel()),
        pd.DataFrame({"t": Y.ravel()}),
        pl.Series(Y.ravel()),
    ):
        assert tiny_mi().fit(X, y).mi_ == value


def test_the_function_takes_series_and_vectors(value):
    params = tiny_mi().get_params()
    for x in (X, X.ravel(), X.ravel().tolist(), pd.Series(X.ravel(), name="x"), pl.Series("x", X.ravel())):
        assert mutual_information(x, Y, **params).value == value


def test_what_is_given_is_left_as_it_is():
    x, y = X.copy(), Y.copy()
    mi = tiny_mi().fit(x, y)
    mi.pointwise(x, y)
    mi.score(x, y)
    assert (x == X).all()
    assert (y == Y).all()


KINDS_OF_CATEGORIES = {
    "intervals": [pd.Interval(0, 1), pd.Interval(1, 2)],
    "periods": [pd.Period("2020-01", "M"), pd.Period("2020-02", "M")],
    "dates": [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)],
    "moments": [datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 2)],
    "timestamps": [pd.Timestamp("2020-01-01", tz="UTC"), pd.Timestamp("2020-01-02", tz="UTC")],
    "durations": [datetime.timedelta(1), datetime.timedelta(2)],
    "bytes": [b"a", b"b"],
    "decimals": [decimal.Decimal("0.1"), decimal.Decimal("0.2")],
    "tuples": [(0, "a"), (1, "a")],
    "mixed": ["a", 1],
}


@pytest.fixture(scope="module")
def value_of_coded_categories():
    return tiny_mi(max_iter=1).fit(pd.DataFrame({"number": X.ravel(), "category": (Y.ravel() > 0).astype(int)}), Y).mi_


@pytest.mark.parametrize("kind", KINDS_OF_CATEGORIES)
def test_categories_of_every_kind_are_taken_and_saved(kind, value_of_coded_categories):
    signs = (Y.ravel() > 0).astype(int)
    column = np.empty(400, dtype=object)
    column[:] = [KINDS_OF_CATEGORIES[kind][sign] for sign in signs]
    frame = pd.DataFrame({"number": X.ravel(), "category": list(column)})
    for table in (frame, frame.to_numpy(dtype=object)):
        which = ["category"] if table is frame else [1]
        mi = tiny_mi(max_iter=1, discrete_X=which).fit(table, Y)
        assert mi.mi_ == pytest.approx(value_of_coded_categories, abs=1e-6)  # whatever the order of the categories
        loaded = pickle.loads(pickle.dumps(mi))
        assert (loaded.pointwise(table, Y) == mi.pointwise(table, Y)).all()
    counted = tiny_mi(discrete_X=True, discrete_y=True).fit(column[:, None], pd.Series(list(column)))
    assert counted.mi_ == pytest.approx(discrete_mutual_information(column, column).value, abs=1e-12)


def test_numbers_written_as_words_are_told_once():  # other warnings are errors here, also those of classifiers
    numbers = np.random.default_rng(0).random(200).round(3)
    with pytest.warns(SmallSampleWarning, match="X has 1.* distinct values.*astype") as record:
        mutual_information(np.char.mod("%.3f", numbers), numbers, random_state=0)
    assert len(record) == 1


def test_identifiers_warn_and_name_their_column():
    ids = np.arange(400).astype(str)
    with pytest.warns(SmallSampleWarning, match="column 'id' of X has 400 distinct values in 400 rows"):
        mi = tiny_mi(max_iter=1).fit(pd.DataFrame({"id": ids}), SIGNS)
    assert mi.mi_ == pytest.approx(0, abs=1e-9)
    with pytest.warns(SmallSampleWarning, match="column 1 of X has 400 distinct values in 400 rows"):
        tiny_mi(max_iter=1).fit(np.column_stack([X.astype(object), ids]), SIGNS)
    with pytest.warns(SmallSampleWarning, match="^y has 400 distinct values in 400 rows"):
        tiny_mi().fit(SIGNS[:, None], ids)


@pytest.mark.filterwarnings(IGNORE + "SmallSampleWarning")
@pytest.mark.parametrize("call", ["mutual_info_features", "MIEstimator", "discrete_mutual_information"])
def test_text_that_makes_labels_of_numbers_is_named(call):
    column = V.astype(object)
    column[7] = "oops"
    X = pd.DataFrame({"age": column})
    calls = {
        "mutual_info_features": lambda: mutual_info_features(X, W),
        "MIEstimator": lambda: tiny_mi(max_iter=1).fit(X, W),
        "discrete_mutual_information": lambda: discrete_mutual_information(X, W > 0),
    }
    with pytest.warns(SmallSampleWarning, match=r"column 'age' of [Xx] has .* but row 7 holds the text 'oops'"):
        calls[call]()
    with pytest.warns(SmallSampleWarning, match=r"but row \d+ holds the text '-?\d"):
        mutual_info_features(V.astype(str)[:, None], W)


def test_labels_do_not_saturate():
    iris = load_iris()
    for estimator in ("infonce", "nwj"):
        with warnings.catch_warnings():
            warnings.simplefilter("error", MutualInformationWarning)
            mi = tiny_mi(estimator=estimator, **ON_FEW).fit(iris.data, iris.target)
        assert mi.mi_ <= mi.cap_


# ------------------------------------------------------------------------------------------------------------------- refusals
NUMBER = "[Nn]umber|numeric|float"


@pytest.mark.parametrize("method", ["score", "estimate", "pointwise"])
def test_other_columns_than_the_fitted_are_refused(continuous, method):
    call = getattr(continuous, method)
    refuses(lambda: call(np.hstack([X, X]), Y), ValueError, "X has 2 features", "1 feature")
    refuses(lambda: call(X, np.hstack([Y, Y])), ValueError, r"y has 2 column", "fitted on 1")
    named = tiny_mi(max_iter=1).fit(pd.DataFrame({"a": X.ravel()}), Y)
    refuses(
        lambda: getattr(named, method)(pd.DataFrame({"b": X.ravel()}), Y), ValueError, "feature names", "- b", "- a"
    )
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        getattr(named, method)(X, Y)


@pytest.mark.parametrize("method", ["score", "estimate", "pointwise"])
def test_strings_in_a_column_that_was_of_numbers_are_refused(continuous, labelled, method):
    refuses(
        lambda: getattr(continuous, method)(SIGNS[:, None], Y),
        ValueError,
        "^column 0 of X holds 'down' in row 0",
        NUMBER,
    )
    refuses(lambda: getattr(continuous, method)(X, SIGNS), ValueError, "^y holds 'down' in row 0", NUMBER)
    refuses(
        lambda: getattr(labelled, method)(X, np.full(400, "left")), ValueError, "'left'", "not met in fit", "'down'"
    )


MISSING = {"None": None, "NaN": np.nan, "NA": pd.NA, "NaT": pd.NaT}


@pytest.mark.parametrize("missing", MISSING)
def test_a_missing_value_names_its_column_and_side(missing):
    table = pd.DataFrame({"number": X.ravel().astype(object), "sign": SIGNS.astype(object)})
    for column in table:
        holed = table.copy()
        holed.loc[7, column] = MISSING[missing]
        words = r"has 1 missing value\(s\), the first in row 7", "NaN"
        refuses(lambda: tiny_mi().fit(holed, Y), ValueError, f"^column '{column}' of X", *words)  # noqa: B023
        position = list(table).index(column)
        array = holed.to_numpy(dtype=object)
        refuses(lambda: tiny_mi().fit(array, Y), ValueError, f"^column {position} of X", *words)  # noqa: B023
        refuses(lambda: tiny_mi().fit(X, array), ValueError, f"^column {position} of y", *words)  # noqa: B023
        refuses(lambda: tiny_mi().fit(X, holed[column]), ValueError, "^y", *words)  # noqa: B023


@pytest.mark.parametrize("dtype", ["string", "Int64", "Float64", "boolean", "category"])
def test_a_missing_value_of_pandas_own_types_names_its_column(dtype):
    y = pd.Series(SIGNS == "up").astype({"string": str, "category": str}.get(dtype, float)).astype(dtype)
    y[3] = pd.NA
    refuses(lambda: tiny_mi().fit(X, y), ValueError, "^y has 1 missing", "row 3")
    refuses(
        lambda: tiny_mi().fit(pd.DataFrame({"a": X.ravel(), "b": y}), Y), ValueError, "^column 'b' of X has 1 missing"
    )


def test_infinity_among_objects_names_its_column():
    table = np.column_stack([SIGNS.astype(object), X.astype(object)])
    table[7, 1] = np.inf
    refuses(
        lambda: tiny_mi().fit(table, Y),
        ValueError,
        "^column 1 of X holds inf in row 7",
        "finite",
    )
    refuses(lambda: tiny_mi().fit(X, table), ValueError, "^column 1 of y holds inf in row 7")
    table[7, 1] = 10**400
    refuses(
        lambda: tiny_mi().fit(table, Y),
        ValueError,
        "^column 1 of X holds 10+.* in row 7",
    )


def test_a_new_category_names_its_column_by_what_the_user_gave():
    frame = pd.DataFrame({"a": X.ravel(), "b": SIGNS, "c": X.ravel(), "d": SIGNS})
    new = frame.copy()
    new.loc[4, "d"] = "left"
    for given in (pd.DataFrame.copy, lambda table: table.to_numpy(dtype=object)):
        mi = pickle.loads(pickle.dumps(tiny_mi(max_iter=1).fit(given(frame), Y)))
        label = "'d'" if hasattr(given(frame), "columns") else "3"
        refuses(lambda: mi.score(given(new), Y), ValueError, f"^column {label} of X holds 1 value", "'left'", "not met")  # noqa: B023
        mi = tiny_mi(max_iter=1).fit(X, frame[["b", "d"]])
        refuses(lambda: mi.score(X, new[["b", "d"]]), ValueError, "^column 'd' of y holds 1 value", "row 4", "'left'")  # noqa: B023
    both = pd.DataFrame({"b": SIGNS, "d": SIGNS})
    both.loc[4, "d"] = "up" if SIGNS[4] == "down" else "down"
    mi = tiny_mi(max_iter=1).fit(X, frame[["b", "d"]])
    refuses(lambda: mi.score(X, both), ValueError, "^Row 4 of y holds a combination of discrete values not met in fit")


#: Values that no side may hold, and the dtype of the column that holds one.
UNUSABLE = {
    "None": (None, object),
    "NaN": (np.nan, object),
    "NA": (pd.NA, object),
    "NaT": (pd.NaT, object),
    "Decimal NaN": (decimal.Decimal("NaN"), object),
    "signaling NaN": (decimal.Decimal("sNaN"), object),
    "NaN of floats": (np.nan, float),
    "NA of Float64": (pd.NA, "Float64"),
    "NA of Int64": (pd.NA, "Int64"),
    "NA of strings": (pd.NA, "string"),
    "NA of categories": (pd.NA, "category"),
    "infinity": (np.inf, object),
    "infinity of floats": (-np.inf, float),
    "Decimal infinity": (decimal.Decimal("-Infinity"), object),
    "too large an integer": (10**400, object),
}
#: One column, and the same with one such value in row 7, as a vector, a list, or a frame whose column has a name.
FORMS = {"vector": lambda column: column, "list": list, "frame": lambda column: column.to_frame("size")}
V, W = np.random.default_rng(0).normal(size=(2, 64))
GIVEN = {"estimator": "gaussian", "random_state": 0}
FITTED = {}  # by whether Z is given


def holed(kind):
    value, dtype = UNUSABLE[kind]
    texts = dtype in ("string", "category")
    column = pd.Series(np.where(V > 0, "up", "down") if texts else np.round(9 * V), dtype=dtype)
    column[7] = value
    return column


def fitted(has_given):
    if has_given not in FITTED:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallSampleWarning)
            frame = pd.DataFrame({"size": V})
            FITTED[has_given] = MIEstimator(**GIVEN).fit(frame, W, W**2 if has_given else None)
    return FITTED[has_given]


def table(side):
    return side if hasattr(side, "columns") else np.array([*side, None], dtype=object)[:-1, None]


def one_column(side):
    return side["size"] if hasattr(side, "columns") else side


def as_frame(side):
    return (
        side
        if hasattr(side, "columns")
        else pd.DataFrame({"size": pd.Series(side, dtype=getattr(side, "dtype", object))})
    )


def asked_of_fitted():
    """Return calls of the methods of a fitted estimator, each with one bad side."""
    for method in ("score", "estimate", "pointwise"):

        def call(*sides, method=method):
            return getattr(fitted(has_given=len(sides) == 3), method)(as_frame(sides[0]), *sides[1:])

        yield f"{method} X", "X", lambda bad, call=call: call(bad, W)
        yield f"{method} y", "y", lambda bad, call=call: call(V, bad)
        yield f"{method} Z", "Z", lambda bad, call=call: call(V, W, bad)


#: Every function that measures dependence, for each of its sides: what messages call the side, and the call.
CALLS = {
    "mutual_information X": ("X", lambda bad: mutual_information(bad, W)),
    "mutual_information y": ("y", lambda bad: mutual_information(V, bad)),
    "mutual_information groups": ("groups", lambda bad: mutual_information(V, W, groups=bad)),
    "conditional_mutual_information X": ("X", lambda bad: conditional_mutual_information(bad, V, W)),
    "conditional_mutual_information y": ("y", lambda bad: conditional_mutual_information(V, bad, W)),
    "conditional_mutual_information Z": ("Z", lambda bad: conditional_mutual_information(V, W, bad)),
    "interaction_information X": ("X", lambda bad: interaction_information(bad, V, W)),
    "interaction_information y": ("y", lambda bad: interaction_information(V, bad, W)),
    "interaction_information Z": ("Z", lambda bad: interaction_information(V, W, bad)),
    "independence_test X": ("X", lambda bad: independence_test(bad, W)),
    "independence_test y": ("y", lambda bad: independence_test(V, bad)),
    "independence_test Z": ("Z", lambda bad: independence_test(V, W, bad)),
    "transfer_entropy source": ("source", lambda bad: transfer_entropy(bad, W)),
    "transfer_entropy target": ("target", lambda bad: transfer_entropy(V, bad)),
    "time_blocks": ("series", lambda bad: time_blocks(bad)),
    "lagged_mutual_information x": ("x", lambda bad: lagged_mutual_information(bad, W, [1])),
    "lagged_mutual_information y": ("y", lambda bad: lagged_mutual_information(V, bad, [1])),
    "mutual_information_matrix": ("X", lambda bad: mutual_information_matrix(table(bad))),
    "mutual_info_features X": ("X", lambda bad: mutual_info_features(table(bad), W)),
    "mutual_info_features y": ("y", lambda bad: mutual_info_features(V[:, None], one_column(bad))),
    "MRMRSelector X": ("X", lambda bad: MRMRSelector().fit(table(bad), W)),
    "MRMRSelector y": ("y", lambda bad: MRMRSelector().fit(V[:, None], one_column(bad))),
    **{name: (side, call) for name, side, call in asked_of_fitted()},
    "v_information X": ("X", lambda bad: v_information(table(bad), V > 0)),
    "v_information y": ("y", lambda bad: v_information(V[:, None], one_column(bad))),
    "pointwise_v_information X": ("X", lambda bad: pointwise_v_information(table(bad), V > 0)),
    "linear_probe Z": ("Z", lambda bad: linear_probe(table(bad), V > 0)),
    "neural_dependency": ("Z", lambda bad: neural_dependency(table(bad))),
    "effective_rank": ("Z", lambda bad: effective_rank(table(bad))),
}
#: Labels may be integers of any size, and scikit-learn converts features to judge.
TAKE_LARGE = {
    (call, "too") for call in ("mutual_information groups", *list(CALLS)[list(CALLS).index("v_information X") :])
}


@pytest.mark.filterwarnings("ignore:A column-vector y was passed:sklearn.exceptions.DataConversionWarning")
@pytest.mark.parametrize(
    ("call", "kind"), [(call, kind) for call in CALLS for kind in UNUSABLE if (call, kind[:3]) not in TAKE_LARGE]
)
def test_a_value_that_cannot_be_used_is_named_by_side_column_and_row(call, kind):
    side, function = CALLS[call]
    for form in FORMS:
        what = r"(has 1 missing value\(s\), the first|holds \S*(inf|Inf|0{9})\S*) in row 7\. (Drop|Fill|Give)"
        words = rf"^(column ('size'|0) of )?{side} {what}"
        refuses(lambda: function(FORMS[form](holed(kind))), ValueError, words)  # noqa: B023


@pytest.mark.parametrize("names", ["XyZ", "Xy"], ids=["with Z", "without Z"])
@pytest.mark.parametrize("numbers", [True, False], ids=["numbers too", "labels alone"])
@pytest.mark.filterwarnings(IGNORE + "SmallSampleWarning")
def test_a_category_not_met_in_fit_is_named_by_side_column_and_row(names, numbers):
    rng = np.random.default_rng(0)
    sides = {name: pd.DataFrame({"size": rng.normal(size=600), "group": rng.choice(["a", "b"], 600)}) for name in names}
    if not numbers:
        sides = {name: side[["group"]] for name, side in sides.items()}
    mi = pickle.loads(pickle.dumps(MIEstimator(**GIVEN).fit(*sides.values())))
    for name in sides:
        new = {of: side.copy() for of, side in sides.items()}
        new[name].loc[[5, 9], "group"] = "c"
        for method in (mi.score, mi.estimate, mi.pointwise):
            words = rf"^column 'group' of {name} holds 1 value\(s\) not met in fit, the first in row 5: 'c'\. Drop"
            refuses(lambda: method(*new.values()), ValueError, words)  # noqa: B023


def test_a_category_not_met_at_this_value_of_z_says_so():
    z = np.repeat(["u", "v"], 300)
    frame = pd.DataFrame({"size": np.random.default_rng(0).normal(size=600), "group": np.where(z == "u", "a", "b")})
    frame.loc[::3, "group"] = "a"
    mi = MIEstimator(**GIVEN).fit(frame, frame["size"] ** 2, z)
    frame.loc[4, "group"] = "b"
    words = "^Of the 300 rows whose Z is that of row 0: column 'group' of X holds .* row 4: 'b'"
    refuses(lambda: mi.pointwise(frame, frame["size"] ** 2, z), ValueError, words)


def test_identifiers_among_z_are_told_of_z_and_once():
    ids = pd.DataFrame({"id": np.arange(64).astype(str)})
    with pytest.warns(SmallSampleWarning) as record:
        MIEstimator(**GIVEN).fit(V[:, None], W, ids)
    told = [str(warning.message) for warning in record if "identifiers" in str(warning.message)]
    assert [text.partition(" has ")[0] for text in told] == ["column 'id' of Z"]


@pytest.mark.filterwarnings(IGNORE + "SmallSampleWarning")
def test_lists_keep_the_type_of_each_value():
    rows = [[v, "up" if v > 0 else "down"] for v in V]
    assert tiny_mi(max_iter=1).fit(rows, W).discrete_[0].tolist() == [False, True]
    rows[7][1] = np.nan
    refuses(lambda: tiny_mi().fit(rows, W), ValueError, r"^column 1 of X has 1 missing value\(s\), the first in row 7")
    assert tiny_mi(max_iter=1, missing="drop").fit(rows, W).diagnostics_["dropped_rows"] == 1


def test_missing_values_of_every_kind_are_left_out_of_pairs():
    columns = {kind: holed(kind) for kind in UNUSABLE if "infinity" not in kind and kind != "too large an integer"}
    frame = pd.DataFrame(columns)
    refuses(lambda: mutual_information_matrix(frame), ValueError, "^column 'None' of X has 1 missing", "missing='drop'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        matrix = mutual_information_matrix(frame, missing="drop").to_numpy()
    assert np.isfinite(matrix[~np.eye(len(matrix), dtype=bool)]).all()


def test_strings_in_a_column_said_to_be_continuous_are_refused():
    refuses(lambda: tiny_mi(discrete_X=False).fit(SIGNS[:, None], Y), ValueError, "column 0 of X", "discrete_X", NUMBER)
    for y in (SIGNS, SIGNS[:, None]):
        refuses(lambda: tiny_mi(discrete_y=False).fit(X, y), ValueError, "^(column 0 of )?y", "discrete_y", NUMBER)  # noqa: B023


@pytest.mark.parametrize("method", ["score", "estimate", "pointwise"])
def test_before_fit_there_is_nothing_to_ask(method):
    refuses(lambda: getattr(tiny_mi(), method)(X, Y), NotFittedError, "not fitted")


CONDITIONALS = {
    "wrong shape": (lambda X, Y: np.zeros((len(X), 1)), [r"\(400, 1\)", r"\(n,\)"]),
    "a number": (lambda X, Y: 0.0, [r"\(\)", r"\(n,\)"]),
    "NaN": (lambda X, Y: np.full(len(X), np.nan), ["NaN|nan"]),
    "infinite": (lambda X, Y: np.full(len(X), np.inf), ["inf"]),
    "probability 0": (lambda X, Y: np.full(len(X), -np.inf), ["inf|probability 0"]),
}


@pytest.mark.filterwarnings(IGNORE + "PersistenceWarning")
@pytest.mark.parametrize("case", CONDITIONALS)
@pytest.mark.parametrize("estimator", KNOWN)
def test_a_conditional_that_is_none_is_refused(case, estimator):
    conditional, words = CONDITIONALS[case]
    mi = MIEstimator(estimator=estimator, conditional=conditional)
    before = dict(vars(mi))
    refuses(lambda: mi.fit(X, Y), ValueError, "conditional", *words)
    assert vars(mi) == before


@pytest.mark.parametrize(
    "params", [{}, {"estimator": "nwj"}, {"estimator": "ba"}, {"critic": "separable"}, {"estimator": "flo"}], ids=str
)
@pytest.mark.parametrize("was_fitted", [False, True])
def test_divergence_is_an_error_and_leaves_the_estimator_as_before(params, was_fitted):
    mi = tiny_mi(**params, max_iter=20)
    if was_fitted:
        mi.fit(X, Y)
    mi.set_params(learning_rate=1e9)
    before = dict(vars(mi))
    with pytest.raises(DivergenceError, match="diverged") as error:
        mi.fit(X, Y)
    assert isinstance(error.value, ValueError)
    assert vars(mi) == before
    if was_fitted:
        assert np.isfinite(mi.pointwise(X, Y)).all()


def test_fractions_that_leave_a_row_or_two_still_work():
    for params in (
        {"validation_fraction": 0.001},
        {"test_fraction": 0.001},
        {"test_fraction": 0.5, "validation_fraction": 0.4},
    ):
        mi, _ = caught(lambda: tiny_mi(**params).fit(X, Y))  # noqa: B023
        assert np.isfinite(numbers(mi)).all()


# ------------------------------------------------------------------------------------------- factories of critics, optimizers
@pytest.mark.parametrize("critic", [BilinearCritic, bilinear_critic], ids=["class", "function"])
def test_a_critic_of_ones_own(critic):
    mi = tiny_mi(critic=critic, max_iter=15).fit(X, Y)
    assert mi.mi_ == pytest.approx(TRUTH, abs=0.15)
    assert (pickle.loads(pickle.dumps(mi)).pointwise(X, Y) == mi.pointwise(X, Y)).all()


def test_an_optimizer_of_ones_own():
    assert np.isfinite(tiny_mi(optimizer=sgd_without_momentum, learning_rate=1e-3).fit(X, Y).mi_)


def test_what_pickle_cannot_save_warns_before_training():
    for params in (
        {"critic": lambda x, y: BilinearCritic(x, y)},
        {"optimizer": lambda groups, lr: torch.optim.Adam(groups, lr=lr)},
        {"estimator": "tnce", "conditional": lambda X, Y: KnownGaussian(RHO)(X, Y)},
    ):
        mi = tiny_mi(**params)
        with pytest.raises(PersistenceWarning, match="top level of a module"):
            mi.fit(X, Y)
        assert not hasattr(mi, "mi_")
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter("always")
            mi.fit(X, Y)
        assert [warning.category for warning in record] == [PersistenceWarning]
        assert record[0].filename == __file__


# ------------------------------------------------------------------------------------------------- scikit-learn on more rows
# scikit-learn's own checks fit a few dozen rows, of which no network learns anything.
def test_fitting_again_and_asking_change_nothing():
    mi = tiny_mi().fit(X, Y)
    first = mi.mi_, mi.mi_interval_, mi.score(X, Y)
    before = dict(vars(mi))
    mi.estimate(X, Y)
    mi.pointwise(X, Y)
    mi.score(X, Y)
    assert vars(mi) == before
    assert (mi.fit(X, Y).mi_, mi.mi_interval_, mi.score(X, Y)) == first
    assert clone(mi).fit(X, Y).mi_ == first[0]
    assert mi.fit(X[:200], Y[:200]).n_iter_ == len(mi.history_)


def test_cross_validation_gives_finite_scores_near_the_truth():
    for x, y in [(X, Y), (X, SIGNS), (SIGNS[:, None], SIGNS)]:
        scores = cross_val_score(tiny_mi(**ON_FEW), x, y, cv=3, error_score="raise")
        assert np.isfinite(scores).all()
        assert (scores > 0.1).all()


def test_the_representation_shows_what_was_chosen():
    assert repr(MIEstimator(estimator=Alpha(0.5), critic=Inner(), n_refits=0)) == (
        "MIEstimator(critic=Inner(affine=True, scaled=True), estimator=Alpha(alpha=0.5),\n            n_refits=0)"
    )
    mi = MIEstimator(estimator=Alpha(0.5), critic=Separable())
    assert mi.get_params()["estimator__alpha"] == 0.5
    assert mi.set_params(critic__width=8).critic.width == 8


# ------------------------------------------------------------------------------------------------------------------ memory
@pytest.mark.filterwarnings(IGNORE + "SmallSampleWarning")
def test_memory_of_tables_does_not_grow_with_the_number_of_cells():
    ids = np.arange(30_000).astype(str)
    mi = tiny_mi().fit(ids[:, None], ids)  # a dense table would take 7 GB
    assert mi.mi_ == pytest.approx(0, abs=1e-9)
    assert mi.pointwise(ids[:3, None], ids[:3]) == pytest.approx(math.log(30_000))


def test_relevance_is_taken_from_a_bounded_number_of_rows(monkeypatch):
    seen = []
    original = SeparableRatio.relevance_of

    def counted(self, x, y):
        seen.append(len(x))
        return original(self, x, y)

    monkeypatch.setattr(SeparableRatio, "relevance_of", counted)
    x, y = pairs(6000, n_dims=3)
    tiny_mi(n_refits=1, max_iter=2, test_fraction=0.2, validation_fraction=0.6, reference=None).fit(x, y)
    assert seen
    assert max(seen) <= 2048
