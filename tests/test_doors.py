"""Data as people have them: what is taken as it is, and which message names the mend of what is not."""

import os
import pathlib
import pickle
import warnings

import dask.array
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import sklearn
import torch
from helpers import IMAGES, same_state, table, tiny, tiny_mi, tiny_table
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, PolynomialFeatures, StandardScaler
from torch.utils.data import DataLoader, TensorDataset

from skdim import CPCTransformer, DeepInfoMaxTransformer, MultiViewInfoMaxTransformer
from skdim.exceptions import InputShapeWarning, ScaleWarning
from skdim.inputs.samples import CPU, MOST_CHANGE, Samples, Standardizer
from skdim.inputs.validation import validate_shape, warn_of_flat_images
from skdim.nn.causal import StridedConv
from skdim.training.callbacks import DivergenceGuard

RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(8, 25, 60)
LENGTHS[:2] = 8, 24
SERIES = [np.cumsum(RNG.normal(size=(2, length)), axis=1) for length in LENGTHS]


def cpc(**params):
    defaults = {"n_components": 4, "n_steps": 2, "encoder": StridedConv(width=8, stride=2), "max_iter": 1}
    return CPCTransformer(**{**defaults, "random_state": 0, **params})


def multiview(**params):
    return MultiViewInfoMaxTransformer(**{"n_components": 4, "max_iter": 1, "random_state": 0, **params})


def ending(value):
    """Return the series as one array with this value after the end of each."""
    X = np.full((60, 2, 24), value)
    for row, series in zip(X, SERIES, strict=True):
        row[:, : series.shape[1]] = series
    return X


def said(call, error, words):
    """Check that a call is refused before training, in words that " & " joins."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DivergenceGuard, "on_batch_end", lambda *_, **__: pytest.fail("training began"))
        for word in words.split(" & "):
            with pytest.raises(error, match=word):
                call()


# -------------------------------------------------------------------------------------------------- series of unequal length
def with_lengths():
    return cpc().fit(ending(7.0), lengths=LENGTHS)


@pytest.mark.parametrize(
    "given",
    [
        SERIES,
        tuple(torch.from_numpy(series) for series in SERIES),
        [series.tolist() for series in SERIES],
        np.array([*SERIES, None], dtype=object)[:-1],
        pd.Series(SERIES, index=range(100, 160)),
        pl.Series([series.tolist() for series in SERIES]),
        ending(np.nan),
    ],
    ids=["arrays", "tensors", "lists", "objects", "pandas", "polars", "NaN"],
)
def test_series_of_unequal_length_are_taken_as_lengths_are(given):
    expected = with_lengths()
    model = cpc().fit(given)
    assert same_state(model, expected)
    np.testing.assert_array_equal(model.transform(given), expected.transform(ending(7.0), lengths=LENGTHS))
    assert model.score(given) == expected.score(ending(7.0), lengths=LENGTHS)
    assert np.isfinite(model.evaluate(given)["loss"])


def test_one_channel_may_be_left_out():
    flat = [series[0] for series in SERIES]
    model = cpc().fit(flat)
    assert same_state(model, cpc().fit([series[:1] for series in SERIES]))
    assert same_state(model, cpc().fit(ending(np.nan)[:, :1]))
    np.testing.assert_array_equal(model.transform(flat[:5]), model.transform(flat)[:5])  # shorter than the longest
    frame = pd.DataFrame(ending(np.nan)[:, 0]).add_prefix("t")  # as pivoting a long table gives them
    np.testing.assert_array_equal(cpc().fit_transform(frame), model.transform(flat))


def test_a_column_of_series_keeps_its_index_and_a_frame_around_it_is_told():
    column = pd.Series([series[0] for series in SERIES], index=range(100, 160))
    features = cpc().set_output(transform="pandas").fit_transform(column)
    assert features.index.equals(column.index)
    for frame in (pd.DataFrame({"wave": column}), pl.DataFrame({"wave": column.map(list).tolist()})):
        said(lambda: cpc().fit(frame), TypeError, "'wave' of X holds arrays & the column alone")  # noqa: B023


def test_series_pass_through_pipelines_and_searches_without_metadata():
    y = (LENGTHS > 16).astype(int)
    pipe = make_pipeline(cpc(), LogisticRegression())
    assert (cross_val_score(pipe, SERIES, y, cv=2) == cross_val_score(pipe, ending(np.nan), y, cv=2)).all()
    assert pipe.fit(SERIES, y).predict(SERIES[:1]).shape == (1,)


def test_nan_within_lengths_is_refused_and_beyond_them_is_padding():
    holed = ending(np.nan)
    holed[3, 1, 2] = np.nan
    said(lambda: cpc().fit(holed), ValueError, r"X\[:, 1, 2\] has no value in row 3 & NaN after the end")
    said(
        lambda: cpc().fit(np.where(np.arange(60)[:, None, None] == 5, np.nan, holed)),
        ValueError,
        "row 5 has no value at all",
    )
    assert same_state(cpc().fit(ending(np.nan), lengths=LENGTHS), with_lengths())
    said(lambda: cpc().fit(ending(np.nan), lengths=np.full(60, 24)), ValueError, "has no value in row 0")
    half = holed[:, 0].copy()  # the frame says which column
    said(
        lambda: cpc().fit(np.where(np.arange(24) == 2, np.nan, half)),
        ValueError,
        r"column 2 of X has no value in row 0 & interpolate\(axis=1\)",
    )


def test_nan_where_no_sequence_may_end_is_told_what_does():
    stored = dask.array.from_array(ending(np.nan), chunks=(20, 2, 24))
    for model, X in ((cpc(), stored), (cpc(patch_size=2, encoder="auto", input_shape=(2, 24)), ending(np.nan))):
        with pytest.raises(
            ValueError, match=r"patch_size=None.*end early.*NaN after the end; Dask arrays and files come with lengths"
        ):
            model.fit(X)
    for X in (ending(np.nan), ending(np.nan)[:, 0]):
        dim = DeepInfoMaxTransformer(encoder="conv1d")
        said(lambda: dim.fit(X), ValueError, "CPCTransformer.*takes series that end early")  # noqa: B023
    X = dask.array.from_array(ending(7.0), chunks=(20, 2, 24))
    assert same_state(cpc().fit(X, lengths=LENGTHS), with_lengths())


@pytest.mark.filterwarnings("ignore:Samples of shape:skdim.exceptions.InputShapeWarning")
def test_series_with_times_first_are_told_to_swap():
    said(lambda: cpc().fit(np.swapaxes(ending(np.nan), 1, 2)), ValueError, r"np\.swapaxes\(X, 1, 2\)")
    said(lambda: cpc().fit([series.T for series in SERIES]), ValueError, r"\(8, 2\) to \(24, 2\) & transpose")
    said(lambda: cpc().fit([*SERIES[:-1], SERIES[-1][:, :, None]]), ValueError, "n_channels, n_times")


@pytest.mark.parametrize("given", [[*SERIES[:-1], ["a"]], [s + 0j for s in SERIES], [s.astype(str) for s in SERIES]])
def test_series_that_are_no_numbers_are_refused(given):
    said(lambda: cpc().fit(given), ValueError, "real numbers|n_channels")


@pytest.mark.parametrize("make", [tiny_table, lambda: cpc(patch_size=4, encoder="auto")])
@pytest.mark.parametrize("given", [SERIES, [series[0] for series in SERIES]])
def test_other_transformers_name_the_class_that_takes_series(make, given):
    said(lambda: make().fit(given), ValueError, "unequal shapes, from & CPCTransformer & cut or resample")


def test_a_long_table_is_told_to_pivot():
    long = pd.DataFrame(
        {"id": np.repeat(np.arange(20), 12), "time": np.tile(np.arange(12), 20), "x": RNG.normal(size=240)}
    )
    with pytest.warns(InputShapeWarning, match=r"\['id', 'time', 'x'\] of X are read as series of 3 times.*X\.pivot\("):
        CPCTransformer(4, max_iter=1).fit(long)
    cpc().fit(long.pivot(index="id", columns="time", values="x"))  # warnings are errors here


@pytest.mark.filterwarnings("ignore:Samples of shape:skdim.exceptions.InputShapeWarning")
def test_a_list_of_views_is_doubted_where_it_is_read_as_samples():
    one, other = table(), table(seed=1)
    for make, given in ((tiny_table, [one, other]), (cpc, (one, other)), (multiview, [one[:, 0], one[:, 1]])):
        with pytest.warns(InputShapeWarning, match=r"2 arrays.*2 samples.*views of 120 samples, MultiView.*np.stack"):
            make().fit(given)
    for make in (tiny_table, multiview):
        said(lambda: make().fit([one, one[:, 0]]), ValueError, r"views of 120 samples, MultiView.*reshape\(-1, 1\)")  # noqa: B023
    tiny_table().fit(list(one)), tiny_table().fit(np.stack([one[:, 0], one[:, 1]]))  # warnings are errors here


def test_a_model_fitted_with_lengths_warns_without():
    model, X = with_lengths(), ending(7.0)
    for call in (model.transform, model.score, model.evaluate, lambda X: model.partial_fit(X)):
        with pytest.warns(InputShapeWarning, match="fit had sequences.*NaN in place.*pipelines pass on.*np.full"):
            call(X)
    with pytest.warns(InputShapeWarning, match="lengths"):
        model.transform(X[:1])
    with pytest.warns(InputShapeWarning, match="lengths"):  # padded to a width of its own
        model.transform(X[:5, :, :20])


@pytest.mark.parametrize(
    "learn",
    [
        lambda: cpc().fit(SERIES),
        lambda: cpc().fit(ending(np.nan)),
        lambda: cpc().fit(ending(np.nan), lengths=np.full(60, 8)),  # all are cut to one length
        lambda: cpc().partial_fit(np.stack([series[:, :8] for series in SERIES])).partial_fit(SERIES),
        lambda: cpc().partial_fit(SERIES).partial_fit(np.stack([series[:, :8] for series in SERIES])),
        lambda: cpc(warm_start=True).fit(SERIES).fit(np.stack([series[:, :8] for series in SERIES])),
    ],
    ids=["list", "NaN", "cut", "second part", "first part", "warm start"],
)
def test_a_model_that_learned_of_ends_warns_of_padding(learn):
    model = learn()
    with pytest.warns(InputShapeWarning, match="lengths"):
        model.transform(ending(0.0))
    with pytest.warns(InputShapeWarning, match="lengths"):
        model.transform(ending(0.0)[:1, :, :20])
    fresh = model.set_params(warm_start=False).fit(np.stack([series[:, :8] for series in SERIES]))
    fresh.transform(ending(0.0))  # a new fit forgets it


def test_series_of_equal_length_in_a_list_are_series():
    flat = [series[0] for series in SERIES]
    model = cpc().fit(flat)
    expected = model.transform(flat)
    for row in (0, 1, 5):  # one series, and several that happen to be of one length
        np.testing.assert_array_equal(model.transform([flat[row]]), expected[[row]])
        np.testing.assert_array_equal(model.transform([flat[row].tolist()] * 3), expected[[row] * 3])
    array = np.stack([series[:8] for series in flat])
    equal = cpc().fit(list(array))
    assert same_state(equal, cpc().fit(array))
    np.testing.assert_array_equal(equal.transform(array), equal.transform(list(array)))
    assert equal.transform(flat).shape == (60, 4)
    rows = ending(0.0).reshape(60, -1).tolist()  # rows of several channels, as input_shape says
    assert cpc(input_shape=(2, 24)).fit(rows).transform(rows).shape == (60, 4)


@pytest.mark.parametrize("longer", [ending(np.nan), np.cumsum(RNG.normal(size=(60, 2, 24)), axis=2)])
def test_later_parts_may_be_longer(longer):
    first = longer[:, :, :8]
    for model in (cpc().partial_fit(first).partial_fit(longer), cpc(warm_start=True).fit(first).fit(longer)):
        assert np.isfinite(model.transform(longer)).all()
        model.set_params(features="sequence")
        with pytest.raises(ValueError, match="room for the 4 frames"):
            model.transform(longer)


def test_it_does_not_warn_where_nothing_is_in_doubt():  # warnings are errors here
    model, X = with_lengths(), ending(7.0)
    model.transform(X, lengths=np.full(60, 24))
    model.transform(ending(np.nan))
    model.transform(SERIES)
    for series in SERIES[2:6]:
        model.transform(series[None, :, :7])  # one sequence, cut to its own length
    full = np.cumsum(RNG.normal(size=(60, 2, 24)), axis=2)
    for learned in (model, cpc().fit(ending(np.nan))):
        learned.transform(full)  # no row ends as padded ones do
    cpc().fit(X, lengths=np.full(60, 24)).transform(X)


def test_a_pipeline_that_cannot_pass_lengths_on_warns():
    y = (LENGTHS > 16).astype(int)
    pipe = make_pipeline(cpc(), LogisticRegression())
    with pytest.warns(InputShapeWarning, match="fit had sequences that end early"):
        pipe.fit(ending(7.0), y, cpctransformer__lengths=LENGTHS).predict(ending(7.0))
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cpc().set_fit_request(lengths=True).set_transform_request(lengths=True)
        make_pipeline(routed, LogisticRegression()).fit(ending(7.0), y, lengths=LENGTHS)


# ------------------------------------------------------------------------------------------------------------ lists of views
def test_a_list_of_samples_is_no_list_of_views():
    said(
        lambda: multiview().fit(list(ending(0.0))),
        ValueError,
        r"60 arrays & 60 views of 2 samples & np\.stack\(X\) & parameter views",
    )
    said(lambda: multiview().fit(SERIES), ValueError, "60 views of 2 samples & cut others")
    said(lambda: multiview().fit([table()] * 21), ValueError, "21 views of 120 samples")
    model = multiview().fit([table(), table(seed=1), table(seed=2)])
    assert model.transform([table()[:1], table()[:1], table()[:1]]).shape == (
        1,
        12,
    )  # of one sample there are fewer rows


# -------------------------------------------------------------------------------------------------- flat images, and tables
def hints(make, X, **params):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputShapeWarning)
        make(max_iter=0, random_state=0, **params).fit(X)
    return [str(warning.message) for warning in caught]


def grids(n_channels, side, n=200):
    """Return smooth random images (n, n_channels, side, side): digits, stretched."""
    stretched = torch.nn.functional.interpolate(torch.from_numpy(IMAGES[:n, None]), (side, side), mode="bilinear")
    return np.repeat(stretched.numpy(), n_channels, axis=1) * RNG.uniform(0.5, 1, (n, n_channels, 1, 1))


FLAT = {
    "digits": (IMAGES.reshape(-1, 64), r"input_shape=\(8, 8\)"),
    "784": (grids(1, 28).reshape(200, -1), r"input_shape=\(28, 28\)"),
    "3,072 by channels": (grids(3, 32).reshape(200, -1), r"input_shape=\(3, 32, 32\)"),
    "3,072 by pixels": (np.moveaxis(grids(3, 32), 1, -1).reshape(200, -1), r"X\.reshape\(-1, 32, 32, 3\)"),
}


@pytest.mark.parametrize("make", [DeepInfoMaxTransformer, MultiViewInfoMaxTransformer])
@pytest.mark.parametrize("case", FLAT)
def test_flat_images_get_a_hint_of_their_shape(make, case):
    X, mend = FLAT[case]
    with pytest.warns(InputShapeWarning, match=f"columns of X are read as a table.*{mend}.*encoder='mlp'"):
        make(max_iter=0).fit(X)
    assert not hints(make, X, encoder="mlp")


class Shaped:
    input_shape = None


@pytest.mark.parametrize("of_sequences", [True, False])
@pytest.mark.parametrize(
    "shape", [(28, 28), (8, 8), (16, 24), (24, 16), (3, 32, 32), (1, 28, 28), (64, 8, 8), (4, 64, 16), (3, 24, 16)]
)
def test_ordinary_axes_are_silent(shape, of_sequences):  # warnings are errors here
    validate_shape(Shaped(), (9, *shape), reset=True, of_sequences=of_sequences)


@pytest.mark.parametrize("shape", [(100, 60, 10), (16, 20, 2), (4, 4, 3), (4, 4, 1)])
def test_images_whose_last_axis_may_be_channels_warn(shape):
    with pytest.warns(InputShapeWarning, match=r"np\.moveaxis\(X, -1, 1\)\. If not, input_shape"):
        validate_shape(Shaped(), (9, *shape), reset=True, of_sequences=False)


def test_what_the_user_said_gets_no_hint():
    X = FLAT["digits"][0]
    assert not hints(DeepInfoMaxTransformer, X, input_shape=(8, 8))
    assert not hints(MultiViewInfoMaxTransformer, X, views="shift")
    assert not hints(MultiViewInfoMaxTransformer, X, views=[("a", slice(0, 32)), ("b", slice(32, 64))])
    assert not hints(CPCTransformer, X)


def real_tables():
    for name, load in (("cancer", load_breast_cancer), ("diabetes", load_diabetes), ("wine", load_wine)):
        X = load().data
        yield (
            f"{name}, polynomials",
            PolynomialFeatures(2, include_bias=False).fit_transform(StandardScaler().fit_transform(X)),
        )
        yield (
            f"{name}, bins",
            KBinsDiscretizer(9, encode="onehot-dense", quantile_method="averaged_inverted_cdf").fit_transform(X),
        )
        yield f"{name}, repeated", np.tile(X, 20) + RNG.normal(size=(len(X), 20 * X.shape[1])) * X.std(0).repeat(20)
    rng = np.random.default_rng(1)
    yield "noise", rng.normal(size=(100, 784))
    yield "few rows", rng.normal(size=(20, 784))
    yield "factors", rng.normal(size=(200, 3)) @ rng.normal(size=(3, 784))
    yield "walks", np.cumsum(rng.normal(size=(200, 784)), axis=1)
    yield "waves", np.sin(np.arange(784) * rng.uniform(0.1, 1, (200, 1)) + rng.uniform(0, 6, (200, 1)))
    hours = 2 * np.pi * np.arange(784) / 28  # days of 28 hours: a day is as like all others as the next
    yield (
        "periods",
        rng.normal(size=(200, 2)) @ np.stack([np.sin(hours), np.cos(hours)]) + rng.normal(size=(200, 784)) / 2,
    )
    yield "mixed pixels", IMAGES.reshape(-1, 64)[:, rng.permutation(64)]


@pytest.mark.filterwarnings("ignore:Bins whose width:UserWarning")
def test_tables_get_no_hint_at_any_square_number_of_columns():
    n_seen = 0
    for name, X in real_tables():
        assert X.shape[1] >= 64, name
        for n_columns in (64, 81, 100, 144, 192, 196, 256, 300, 784):
            for start in range(0, X.shape[1] - n_columns + 1, max(8, n_columns // 4)):
                warn_of_flat_images(
                    DeepInfoMaxTransformer(), X[:, start : start + n_columns]
                )  # warnings are errors here
                n_seen += 1
    assert n_seen > 100


# ----------------------------------------------------------------------------------------------------- columns of all kinds
def people(n=120):
    """Return a frame with numbers, categories, booleans and missing values."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.normal(40, 9, n), "town": pd.Categorical(rng.choice(["Rome", "Oslo"], n))})
    frame["member"], frame["job"] = rng.random(n) < 0.5, rng.choice(["cook", "nurse", None], n)
    frame.loc[3, "age"] = np.nan
    return frame


#: Of a kind of column, its values, and words of the error.
COLUMNS = {
    "words": (lambda n: ["a", "b"] * (n // 2), "column 'c' of X holds 'a' in row 0 & OneHotEncoder & SimpleImputer"),
    "category": (lambda n: pd.Categorical(["a", "b"] * (n // 2)), "column 'c' of X holds 'a' & OneHotEncoder"),
    "dates": (
        lambda n: pd.date_range("2020", periods=n),
        "column 'c' of X holds datetime64 & numbers that are made of it",
    ),
    "zones": (
        lambda n: pd.date_range("2020", periods=n, tz="UTC"),
        "column 'c' of X holds (datetime64|Timestamp) & day of the",
    ),
    "spans": (lambda n: pd.timedelta_range("1h", periods=n), "column 'c' of X holds timedelta64"),
    "NaN": (lambda n: [np.nan, *range(n - 1)], "'c'|half|view & SimpleImputer"),
    "NA": (lambda n: pd.array([None, *range(n - 1)], dtype="Int64"), "'c'|half|view & SimpleImputer"),
}
#: An estimator of tables by one array, and by groups of its columns.
OF_TABLES = {
    "deep InfoMax": tiny_table,
    "multi-view": lambda: multiview(views=[("a", ["x", "c"]), ("b", ["y"])]),
}


@pytest.mark.parametrize("library", [pd, pl])
@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("name", OF_TABLES)
def test_columns_that_are_no_numbers_are_told_the_mend(name, kind, library):
    make, words = COLUMNS[kind]
    frame = pd.DataFrame({"x": table()[:, 0], "c": make(120), "y": table()[:, 1]})
    if library is pl:
        frame = pl.DataFrame(
            {label: frame[label].to_numpy() if kind != "NA" else frame[label].tolist() for label in frame}
        )
        words = words.replace("'a'", "'[ab]'")
    said(lambda: OF_TABLES[name]().fit(frame), (TypeError, ValueError), words)


def test_a_column_of_dates_alone_is_told_the_mend():
    frame = pd.DataFrame({"day": pd.date_range("2020", periods=120)})
    said(lambda: tiny_table().fit(frame), TypeError, "column 'day' of X holds datetime64")
    assert tiny_table().fit(frame.assign(day=frame["day"].dt.dayofyear)).n_features_in_ == 1


def test_columns_that_encoders_take_for_words_are_named_first():
    frame = (
        people()
        .drop(columns="age")
        .assign(
            price=pd.Series([None, *range(119)], dtype=object),
            day=list(pd.date_range("2020", periods=120).date),
        )
    )
    first = (
        r"numbers of column 'price' of X first.*astype\(float\).*column 'day' of X holds dates.*make_column_transformer"
    )
    said(lambda: tiny_table().fit(frame), (TypeError, ValueError), f"column 'town' of X holds & {first}")
    with pytest.raises((TypeError, ValueError), match="column 'town'") as caught:
        tiny_table().fit(people())
    assert "astype" not in str(caught.value)
    spans = people().assign(wait=pd.timedelta_range("1h", periods=120), when=pd.date_range("2020", periods=120))
    said(
        lambda: tiny_table().fit(spans),
        TypeError,
        "column 'wait' of X holds timedelta64.*So do column 'when' of X.*Give",
    )


def test_the_line_of_the_message_prepares_a_table():
    said(lambda: tiny_table().fit(people()), (TypeError, ValueError), "make_column_transformer")
    line = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), make_column_selector(dtype_exclude="number")),
        remainder=SimpleImputer(add_indicator=True),
    )
    features = make_pipeline(line, tiny_table()).fit_transform(people())
    assert features.shape == (120, 4)
    assert np.isfinite(features).all()
    assert (
        line.transform(people()).shape[1] == 2 + 2 + 3 + 2
    )  # towns, members, jobs with none, age and whether it is missing


def test_booleans_are_numbers():
    frame = pd.DataFrame({"x": table()[:, 0], "b": table()[:, 1] > 0})
    assert same_state(tiny_table().fit(frame), tiny_table().fit(frame.astype(float)))


@pytest.mark.parametrize("make", [scipy.sparse.csr_matrix, scipy.sparse.coo_array])
def test_sparse_data_is_told_of_truncated_svd(make):
    X = make(np.eye(40))
    for call in (
        lambda: tiny_table().fit(X),
        lambda: multiview().fit(X),
        lambda: multiview().fit([X, X]),
        lambda: multiview(views=[("a", [0, 1]), ("b", [2])]).fit(X),
        lambda: cpc().fit(X),
        lambda: tiny_mi().fit(X, np.arange(40.0)),
    ):
        said(call, TypeError, r"Sparse data was passed for X & TruncatedSVD & toarray\(\)")


def test_the_mend_of_sparse_data_works():
    texts = [" ".join(RNG.choice(["red", "green", "blue", "fast", "slow"], 6)) for _ in range(60)]
    assert make_pipeline(TfidfVectorizer(), TruncatedSVD(4), tiny_table()).fit_transform(texts).shape == (60, 4)


# -------------------------------------------------------------------------------------------- what is no array of any kind
@pytest.mark.parametrize("make", [tiny_table, multiview, cpc])
@pytest.mark.parametrize(
    "given",
    ["photos", pathlib.Path("photos"), ["a.png", "b.png"], (pathlib.Path("a"),), np.array(["a.png", "b.png"])],
)
def test_paths_are_told_of_load_images(make, given):
    shown = given if isinstance(given, str | os.PathLike) else given[0]
    said(lambda: make().fit(given), TypeError, f"'{shown}' & load_images")


class DaskFrame(pd.DataFrame):
    """What tells a Dask DataFrame, which pandas alone does not have; importing the real one needs pyarrow."""

    def to_dask_array(self, lengths=None):
        return dask.array.from_array(self.to_numpy(), chunks=20)


def test_a_dask_frame_is_told_of_its_array():
    frame = DaskFrame(table())
    said(lambda: tiny_table().fit(frame), TypeError, r"Dask DaskFrame & X\.to_dask_array\(lengths=True\)")
    assert same_state(tiny_table().fit(frame.to_dask_array(lengths=True)), tiny_table().fit(table()))


@pytest.mark.parametrize("make", [tiny_table, multiview, cpc])
def test_what_holds_no_values_itself_is_told_what_does(make):
    said(lambda: make().fit(pl.DataFrame(table()).lazy()), TypeError, r"LazyFrame & X\.collect\(\)")
    said(lambda: make().fit(DataLoader(TensorDataset(torch.zeros(9, 3)))), TypeError, r"DataLoader & X\.dataset")
    said(lambda: make().fit(load_wine()), TypeError, r"Bunch & X\.data")
    said(
        lambda: make().fit({"a": table(), "b": table()}),
        TypeError,
        r"X\['a'\] & DataFrame\(X\) of columns, or list\(X\.values\(\)\)",
    )
    said(lambda: make().fit([(row, 1) for row in table()]), ValueError, r"pairs \(x, y\) give x alone")
    frame = pd.DataFrame(table(), columns=["collect", "data", "dataset", "d", "e", "f"])  # names mean nothing
    assert make().fit(frame).n_features_in_ == 6


@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float32", "float64", "uint8", "bool"]
)
def test_tensors_of_every_type_are_their_values(dtype):
    X = torch.from_numpy(np.maximum(table(), 0)).to(getattr(torch, dtype))  # with zeros, so that booleans vary
    features = tiny_table().fit_transform(X)
    assert type(features) is np.ndarray
    np.testing.assert_array_equal(features, tiny_table().fit_transform(X.double().numpy()))


@pytest.mark.parametrize("dtype", [str, object, "bytes"])
def test_numbers_written_as_words_are_numbers_and_words_are_named(dtype):
    X = table().round(3)
    assert same_state(tiny_table().fit(X.astype(dtype)), tiny_table().fit(X))
    words = np.where(np.arange(6) == 2, "Rome", X.astype(str)).astype(dtype)
    said(lambda: tiny_table().fit(words), ValueError, "column 2 of X holds b?'Rome' in row 0")


def test_tensors_that_hold_no_dense_values_are_told():
    for X in (torch.eye(9).to_sparse(), torch.eye(9, device="meta")):
        said(lambda: tiny_table().fit(X), TypeError, "to_dense|cannot be read")  # noqa: B023


# ------------------------------------------------------------------------------------------------------- parts of other scale
OF_PARTS = {
    "table": (tiny_table, table()),
    "images": (tiny, IMAGES[:120]),
    "views": (lambda: multiview(hidden_layer_sizes=(8,)), IMAGES[:120]),
    "columns": (lambda: multiview(views=[("a", [0, 1]), ("b", [2, 3])]), table()),
    "series": (cpc, ending(np.nan)),
}


@pytest.mark.parametrize("name", OF_PARTS)
def test_parts_of_another_scale_than_the_first_warn(name):
    make, X = OF_PARTS[name]
    model = make().partial_fit(X)
    model.partial_fit(X[:60]).partial_fit(2 * X)  # warnings are errors here
    for change in (lambda X: 100 * X, lambda X: X / 100, lambda X: X + 50 * np.nanstd(X)):
        with pytest.warns(ScaleWarning, match=r"(column|channel) .*training keeps them.*StandardScaler"):
            model.partial_fit(change(X))


@pytest.mark.parametrize("name", OF_PARTS)
def test_features_and_scores_of_samples_in_another_unit_warn(name):
    make, X = OF_PARTS[name]
    model = make().fit(X)
    for call in (model.transform, model.score):
        call(X), call(2 * X), call(X[:2] / 255)  # warnings are errors here: two rows may be so close by chance
        call(np.concatenate([X / 255, X, X]))  # as may be many that come first
        for change in (X / 255, 255 * X, X[:20] / 255):
            if name in ("table", "columns"):  # each row has one value: those in order are as close in a column
                call(change)
            else:
                with pytest.warns(ScaleWarning, match="unit of the fit, values of channel 0.*unit that it had in fit"):
                    call(change)


def rare(n=4000):
    """Return words as one-hot columns, of which the rarest have one row in 2,000."""
    share = np.arange(1, 61) ** -1.6
    return np.eye(60)[np.random.default_rng(0).choice(60, n, p=share / share.sum())]


@pytest.mark.filterwarnings("ignore::skdim.exceptions.OutlierWarning")
@pytest.mark.parametrize("size", [2, 8, 100, 500])
@pytest.mark.parametrize("load", [load_wine, load_breast_cancer, load_diabetes, load_digits, rare])
def test_shuffled_parts_of_one_table_are_of_one_scale(load, size):  # warnings are errors here
    X = load() if load is rare else load().data
    X = X[np.random.default_rng(1).permutation(len(X))]
    learned = Standardizer.learn(X[:size], X.shape[1:])
    for start in range(size, min(len(X) - 1, 10 * size), size):
        Samples(X[start : start + size], learned, CPU).warn_of_another_scale()


def test_how_few_rows_set_the_scale_is_saved():
    X = np.random.default_rng(0).normal(size=(120, 3))
    few, many = (tiny_table().partial_fit(X[:n] - X[:n].mean(0)) for n in (2, 60))
    np.testing.assert_array_equal(few.__getstate__()["_learner"]["standardize/n_rows"], [2])
    for model in (few, pickle.loads(pickle.dumps(few))):
        model.partial_fit(40 * X)  # two rows may be so close by chance
    with pytest.warns(ScaleWarning, match="deviation"):
        pickle.loads(pickle.dumps(many)).partial_fit(40 * X)


def test_a_first_part_of_zeros_warns_where_it_sets_the_scale():
    X = table()
    model = tiny_table().partial_fit(np.zeros((50, 6)))
    model.partial_fit(X / X.std(0))  # the scale of a constant is 1, and so is that of these
    with pytest.warns(ScaleWarning, match="column . of X .and of 5 more.*deviation .*e-05, in place of 0 and 1"):
        tiny_table().partial_fit(np.zeros((50, 6))).partial_fit(1e-5 * X / X.std(0))
    frame = pd.DataFrame(X).add_prefix("size ")
    with pytest.warns(ScaleWarning, match="'size 3'"):
        tiny_table().partial_fit(frame).partial_fit(frame * [1, 1, 1, 2 * MOST_CHANGE, 1, 1])
    tiny_table(warm_start=True).fit(X).partial_fit(
        np.where(np.arange(6) < 2, X.mean(0), X)
    )  # a constant column is no change
