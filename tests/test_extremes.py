"""Laws of extreme inputs: a unit changes nothing, an outlier that hides a column is told, and what is no number is named."""

import functools
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import relative_difference

from skdim import (
    CPCTransformer,
    DeepInfoMaxTransformer,
    MIEstimator,
    MRMRSelector,
    MultiViewInfoMaxTransformer,
    conditional_mutual_information,
    independence_test,
    lagged_mutual_information,
    mutual_info_features,
    mutual_information_matrix,
    transfer_entropy,
)
from skdim.evaluation import (
    alignment,
    effective_rank,
    linear_probe,
    neural_dependency,
    pointwise_v_information,
    probe_ladder,
    reconstruction_similarity,
    uniformity,
    v_information,
)
from skdim.exceptions import OutlierWarning, SaturationWarning
from skdim.information.discrete import discrete_mutual_information, entropy
from skdim.inputs.layout import Layout
from skdim.inputs.samples import Standardizer
from skdim.inputs.scales import Standardize, moments_of
from skdim.nn.causal import StridedConv

RNG = np.random.default_rng(0)
N = 300
X = RNG.normal(size=(N, 4)) + RNG.normal(size=(N, 1))
TARGET = X[:, 0] + 0.5 * RNG.normal(size=N)
LABELS = np.where(TARGET > 0, "up", "down")
IMAGES = RNG.random((N, 8, 8))
EXPONENTS = (-996, -565, 565, 996)  # 1e-300, 1e-170, 1e170 and 1e300
PARTS = [("a", slice(0, 2)), ("b", slice(2, 4))]
CLOSED = {"estimator": "gaussian", "random_state": 0}
SHORT = {"estimator": "infonce", "hidden_layer_sizes": (16,), "n_refits": 0, "max_iter": 1, "random_state": 0}


def small(kind, **params):
    return kind(**{"n_components": 3, "max_iter": 1, "batch_size": 64, "random_state": 0} | params)


TRANSFORMERS = {
    "deep InfoMax": (lambda: small(DeepInfoMaxTransformer), X),
    "deep InfoMax, images": (lambda: small(DeepInfoMaxTransformer), IMAGES),
    "multi-view, halves": (lambda: small(MultiViewInfoMaxTransformer), X),
    "multi-view, groups": (lambda: small(MultiViewInfoMaxTransformer, views=PARTS), X),
    "predictive": (lambda: small(CPCTransformer, encoder=StridedConv(width=4, stride=1), n_steps=1), X),
}
FUNCTIONS = {
    "linear_probe": lambda s: linear_probe(s * X, LABELS, random_state=0).mean["log_loss"],
    "v_information": lambda s: v_information(s * X, LABELS, random_state=0).value,
    "pointwise_v_information": lambda s: pointwise_v_information(s * X, LABELS, random_state=0),
    "probe_ladder": lambda s: probe_ladder(s * X, LABELS, rungs=["linear", "knn"], random_state=0).v_information,
    "reconstruction_similarity": lambda s: (
        reconstruction_similarity(s * X, s * IMAGES, n_steps=5, random_state=0).values
    ),
    "alignment": lambda s: alignment(s * X, s * X[::-1]),
    "uniformity": lambda s: uniformity(s * X),
    "effective_rank": lambda s: effective_rank(s * X, center=True),
    "neural_dependency": lambda s: neural_dependency(s * X, n_steps=0, random_state=0).value,
    "mutual_info_features": lambda s: mutual_info_features(s * X, s * TARGET),
    "MRMRSelector": lambda s: MRMRSelector().fit(s * X, s * TARGET).scores_,
    "mutual_information_matrix": lambda s: np.nan_to_num(mutual_information_matrix(s * X)),
    "independence_test": lambda s: independence_test(s * X, s * TARGET, random_state=0).statistic,
    "transfer_entropy": lambda s: transfer_entropy(s * X[:, 0], s * TARGET, **CLOSED).value,
    "lagged_mutual_information": lambda s: lagged_mutual_information(s * X[:, 0], s * TARGET, [1]),
    "discrete_mutual_information": lambda s: discrete_mutual_information(s * np.sign(X[:, 0]), LABELS).value,
    **{
        f"{name}, marginals={marginals}": call
        for marginals in ("normal_scores", "standardize", None)
        for name, call in {
            "gaussian": lambda s, m=marginals: MIEstimator(**CLOSED, marginals=m).fit(s * X, s * TARGET).mi_,
            "ksg": lambda s, m=marginals: MIEstimator(estimator="ksg", marginals=m).fit(s * X, s * TARGET).mi_,
            "infonce": lambda s, m=marginals: MIEstimator(**SHORT, marginals=m).fit(s * X, s * TARGET).mi_,
            "given": lambda s, m=marginals: (
                conditional_mutual_information(s * X[:, 0], s * TARGET, s * X[:, 1], marginals=m, **CLOSED).value
            ),
        }.items()
    },
}


@functools.cache
def codes(name):
    make, data = TRANSFORMERS[name]
    return make().fit(data).transform(data)


# ------------------------------------------------------------------------------------------------------------------- units
@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_unit_of_samples_changes_no_bit_of_their_codes(name, exponent):
    make, data = TRANSFORMERS[name]
    scaled = np.ldexp(data, exponent)
    np.testing.assert_array_equal(make().fit(scaled).transform(scaled), codes(name))


@pytest.mark.filterwarnings("ignore::skdim.exceptions.MutualInformationWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_unit_of_both_sides_changes_no_value(name):
    expected = FUNCTIONS[name](1.0)
    for exponent in (EXPONENTS[0], EXPONENTS[2]):
        np.testing.assert_allclose(FUNCTIONS[name](2.0**exponent), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-37, 1e-30, 1e30, 1e37])
def test_float32_has_its_whole_range(scale):
    make, single = TRANSFORMERS["deep InfoMax"][0], X.astype(np.float32)
    scaled = (X * scale).astype(np.float32)
    assert relative_difference(make().fit(single).transform(single), make().fit(scaled).transform(scaled)) < 1e-3
    for function in (uniformity, effective_rank):
        assert function(scaled) == pytest.approx(function(single), rel=1e-5)


@pytest.mark.parametrize("missing", [False, True])
def test_moments_are_those_of_numpy_in_any_number_of_blocks(missing):
    data = RNG.normal(size=(2500, 3)) * [1, 1e-4, 1e6] + [0, 5, 1]
    data[RNG.random(data.shape) < 0.2 * missing] = np.nan
    for exponents in ([0, 0, 0], [-990, 0, 900], [900, -900, 0]):
        moments = moments_of(np.ldexp(data, exponents))
        np.testing.assert_allclose(
            np.ldexp(moments.mean, np.negative(exponents)), np.nanmean(data, 0), rtol=1e-9, atol=1e-12
        )
        np.testing.assert_allclose(np.ldexp(moments.scale, np.negative(exponents)), np.nanstd(data, 0), rtol=1e-9)


def test_columns_of_one_view_share_moments_whatever_their_units():
    data = RNG.normal(size=(1500, 6)) * np.ldexp(1.0, [0, 1, 2, 3, 600, -900])
    layout = Layout([("image", np.arange(4), (1, 2, 2)), ("table", np.arange(4, 6), (2,))], "columns")
    learned = Standardizer.learn_views(np.ldexp(data, -100), layout)
    pooled = np.ldexp(
        np.r_[[data[:, :4].std()] * 4, np.ldexp(np.ldexp(data[:, 4:], [-600, 900]).std(0), [600, -900])], -100
    )
    np.testing.assert_allclose(learned.scale, pooled, rtol=1e-9)


def test_differences_of_the_largest_floats_and_of_the_smallest_are_finite():
    for size in (np.finfo(np.float64).max, np.finfo(np.float64).smallest_subnormal):
        rows = size * np.where(X > 0, 1.0, -1.0)
        assert np.abs(Standardize.learn(rows)(rows)).max() < 3
        assert torch.isfinite(Standardizer.learn(rows, (4,))(rows)).all()


# ---------------------------------------------------------------------------------------------------------------- outliers
def with_outlier(value, n=2000):
    rows = np.random.default_rng(1).normal(size=(n, 4))
    rows[7, 2] = value
    return rows


def test_an_outlier_of_any_size_is_told_beside_values_of_any_size():
    rows = np.ldexp(with_outlier(0.0), -996)
    rows[7, 2] = 1e300
    with pytest.warns(OutlierWarning, match="column 2 of X"):
        Standardizer.learn(rows, (4,))


@pytest.mark.parametrize("value", [1e4, 1e10, -1e160, 1e300])
def test_an_outlier_that_hides_a_column_is_told_with_its_name(value):
    rows = with_outlier(value)
    with pytest.warns(OutlierWarning, match=r"scale of column 2 of X: its values reach .* QuantileTransformer"):
        assert np.isfinite(small(DeepInfoMaxTransformer, batch_size=500).fit(rows).transform(rows)).all()
    with pytest.warns(OutlierWarning, match="scale of column 'c' of X"):
        small(MultiViewInfoMaxTransformer, batch_size=500).fit(pd.DataFrame(rows, columns=list("abcd")))
    with pytest.warns(OutlierWarning, match="scale of column 0 of view 'b'"):
        small(MultiViewInfoMaxTransformer, views=PARTS, batch_size=500).fit(rows)
    with pytest.warns(OutlierWarning, match="column 2 of X.*marginals='normal_scores'"):
        MIEstimator(marginals="standardize", **CLOSED).fit(rows, rows[::-1, 0])
    with pytest.warns(OutlierWarning, match="column 2 of the features"):
        linear_probe(rows, rows[:, 0] > 0, random_state=0)


def test_an_outlier_that_no_model_of_the_other_rows_can_square_is_refused():
    rows = with_outlier(1e160)
    with pytest.raises(ValueError, match=r"scale of column 2 of X.*use marginals='normal_scores'"):
        MIEstimator(marginals=None).fit(rows, rows[::-1, 0])


ORDINARY = {
    "normal": lambda rng: rng.normal(size=5000),
    "an outlier of 100": lambda rng: with_outlier(100.0)[:, 2],
    "log-normal": lambda rng: rng.lognormal(sigma=2, size=5000),
    "Student t, 2 degrees": lambda rng: rng.standard_t(2, size=5000),
    "Cauchy": lambda rng: rng.standard_cauchy(300),
    "counts": lambda rng: rng.poisson(0.3, size=5000),
    "counts of words": lambda rng: rng.zipf(2.5, size=5000),
    "one in 10,000": lambda rng: np.arange(10_000) == 77,
    "one in two": lambda rng: rng.random(5000) > 0.5,
    "a border pixel": lambda rng: np.where(rng.random(5000) > 0.99, rng.integers(1, 256, 5000), 0),
    "constant": lambda rng: np.full(5000, 0.1),
    "years": lambda rng: rng.integers(1950, 2020, 5000),
    "nanoseconds": lambda rng: 1.7e18 + 1e9 * rng.random(5000),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_columns_cause_no_warning(name):
    column = np.asarray(ORDINARY[name](np.random.default_rng(2)), dtype=np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Standardizer.learn(column[:, None], (1,))


def test_ranks_mind_no_outlier():
    rows = with_outlier(1e300)
    assert (
        MIEstimator(**CLOSED).fit(rows, rows[:, 0] ** 2).mi_
        == MIEstimator(**CLOSED).fit(with_outlier(10), rows[:, 0] ** 2).mi_
    )


# ----------------------------------------------------------------------------------------------------------- what is named
def cell(value, dtype=object):
    rows = X.astype(dtype)
    rows[5, 2] = value
    return rows


UNUSABLE = {
    "NaN": (cell(np.nan, np.float64), "column 2 of X.*row 5"),
    "infinity": (cell(-np.inf, np.float64), "column 2 of X holds -inf in row 5"),
    "NA of pandas": (cell(pd.NA), "column 2 of X.*row 5"),
    "an integer beyond float": (cell(10**400), "column 2 of X holds 1000.* in row 5"),
    "a frame": (pd.DataFrame(cell(np.nan, np.float64), columns=list("abcd")), "column 'c' of X.*row 5"),
    "a nullable frame": (pd.DataFrame(cell(pd.NA), columns=list("abcd")).astype("Float64"), "column 'c' of X.*row 5"),
}
CALLS = {
    **{
        name: lambda rows, make=make: make().fit(rows)
        for name, (make, _) in TRANSFORMERS.items()
        if "multi" not in name
    },
    "MIEstimator": lambda rows: MIEstimator(**CLOSED).fit(rows, TARGET),
    "mutual_info_features": lambda rows: mutual_info_features(rows, TARGET),
    "v_information": lambda rows: v_information(rows, LABELS),
    "entropy": lambda rows: entropy(rows),
}


@pytest.mark.parametrize("kind", UNUSABLE)
@pytest.mark.parametrize("name", CALLS)
def test_a_cell_that_no_function_takes_is_named(name, kind):
    rows, words = UNUSABLE[kind]
    if name == "entropy":
        if kind == "an integer beyond float":
            return  # a symbol like any other
        words = words.replace("of X", "of y")
    with pytest.raises((ValueError, TypeError), match=f"(?s){words}"):
        CALLS[name](rows)


def test_a_word_among_numbers_and_a_pixel_are_named():
    with pytest.raises(ValueError, match="column 2 of X holds 'word' in row 5, which is no number"):
        small(DeepInfoMaxTransformer).fit(cell("word"))
    pixels = IMAGES.copy()
    pixels[3, 1, 5] = np.nan
    with pytest.raises(ValueError, match=r"X\[:, 1, 5\] has no value in row 3"):
        small(DeepInfoMaxTransformer).fit(pixels)
    with pytest.raises(ValueError, match=r"column 2 of X\[1\] holds inf in row 5"):
        small(MultiViewInfoMaxTransformer).fit([X, cell(np.inf, np.float64)])


def test_numbers_of_any_type_are_the_same_numbers():
    expected = small(DeepInfoMaxTransformer).fit(X).transform(X)
    decimals = np.array([[Decimal(value) for value in row] for row in X.tolist()], dtype=object)
    for rows in (X.astype(object), decimals, X.astype(str).astype(object), pd.DataFrame(X).astype("Float64")):
        np.testing.assert_array_equal(small(DeepInfoMaxTransformer).fit(rows).transform(rows), expected)
    expected = MIEstimator(**CLOSED).fit(X, TARGET).mi_
    assert MIEstimator(**CLOSED).fit(decimals, TARGET).mi_ == expected


@pytest.mark.parametrize("value", [1e30, 1e300])
@pytest.mark.parametrize("name", ["deep InfoMax", "multi-view, halves", "predictive"])
def test_rows_far_outside_the_fitted_range_are_named_and_not_blamed_on_the_learning_rate(name, value):
    fitted = TRANSFORMERS[name][0]().fit(X)
    for call in (fitted.partial_fit, fitted.score, fitted.evaluate):
        with pytest.raises(ValueError, match="Row 5 of X lies too far outside the range of the fitted data"):
            call(cell(value, np.float64))


def test_padding_may_hold_any_number():
    make, lengths = TRANSFORMERS["predictive"][0], np.full(N, 3)
    padded = X.copy()
    padded[:, 3] = 1e300
    fitted = make().fit(padded, lengths=lengths)
    assert np.isfinite(fitted.score(np.c_[X[:, :3], np.zeros(N)], lengths=lengths))


# ----------------------------------------------------------------------------------------------------------------- smaller
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: MIEstimator().fit(X, TARGET[1:]), "X has 300, y has 299"),
        (lambda: MIEstimator().fit(X, TARGET, X[2:]), "X has 300, Z has 298"),
        (lambda: MIEstimator().fit(X, TARGET, groups=range(299)), "X has 300, groups has 299"),
        (lambda: independence_test(X, TARGET[1:]), "X has 300, y has 299"),
        (lambda: transfer_entropy(X[:, 0], TARGET[1:]), "source has 300, target has 299"),
        (lambda: mutual_info_features(X, TARGET[1:]), "X has 300, y has 299"),
        (lambda: discrete_mutual_information([1, 2, 3], [1, 2]), "x has 3, y has 2"),
        (lambda: linear_probe(X, LABELS[1:]), "Z has 300, y has 299"),
        (lambda: v_information(X, LABELS[1:]), "X has 300, y has 299"),
        (lambda: small(MultiViewInfoMaxTransformer).fit([X, X[1:]]), r"X\[0\] has 300, X\[1\] has 299"),
    ],
)
def test_sides_of_other_lengths_are_named_with_their_lengths(call, words):
    with pytest.raises(ValueError, match=f"inconsistent numbers of samples: {words}"):
        call()


@pytest.mark.parametrize("kind", [MIEstimator, MultiViewInfoMaxTransformer])
@pytest.mark.parametrize(
    ("groups", "words"),
    [([*range(9), "a"] * 30, "groups must hold labels of one kind; it holds int, str"), ([1.0, np.nan] * 150, "row 1")],
)
def test_groups_are_of_one_kind_and_none_is_missing(kind, groups, words):
    params = {"negatives": "same_group", "max_iter": 1} if kind is MultiViewInfoMaxTransformer else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=words):
            kind(**params).fit(X, TARGET, groups=groups)


@pytest.mark.parametrize("rows", [[], np.zeros((0, 2))])
def test_empty_features_are_refused(rows):
    with pytest.raises(ValueError, match=r"empty|0 sample|Expected 2D"):
        v_information(rows, [])


def test_what_determines_each_other_is_more_than_the_closed_form_says():
    with pytest.warns(SaturationWarning, match="linear functions of each other"):
        MIEstimator(**CLOSED).fit(X, X[:, 0])


def test_infinity_is_no_symbol():
    for call in (lambda: discrete_mutual_information([1.0, np.inf], [0, 1]), lambda: entropy([Decimal("Infinity"), 1])):
        with pytest.raises(ValueError, match=r"holds .*[Ii]nf.* in row"):
            call()


@pytest.mark.parametrize("far", [1e60, 1e300])
def test_standardized_refuses_rows_that_float32_cannot_hold(far):
    X = np.random.default_rng(0).normal(size=(60, 4))
    fitted = DeepInfoMaxTransformer(2, max_iter=1, random_state=0).fit(X)
    X[7, 2] = far
    with pytest.raises(ValueError, match="Row 7 of X lies too far"):
        fitted.standardized(X)
