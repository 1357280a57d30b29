"""What samples may be: the same numbers give the same features, in whatever array, frame, unit or shape they come."""

import contextlib
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from helpers import (
    Factory,
    FlatEncoder,
    MapEncoder,
    arrays,
    images,
    relative_difference,
    same_state,
    table,
    tiny,
    tiny_table,
)

from skdim.exceptions import ConstantInputWarning, OutlierWarning
from skdim.inputs.arrays import Beside, StoredArray
from skdim.inputs.batches import NUMBERS_AT_ONCE
from skdim.inputs.samples import Standardizer
from skdim.inputs.views import arrays_of_views, is_list_of_arrays
from skdim.nn.encoders import Conv, Conv1d

#: Whole numbers from 0 on, so that every type of number holds them.
DATA = {"images": (tiny, images(80)), "table": (tiny_table, np.round(10 * np.abs(table(80))))}
FITTED = {}


def of_kind(kind):
    """Return a factory, its data, and the features of a fit on them."""
    make, X = DATA[kind]
    if kind not in FITTED:
        FITTED[kind] = make().fit(X)
    return make, X, FITTED[kind].transform(X)


SAME = {
    "Fortran order": np.asfortranarray,
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "negative strides": lambda X: X[::-1].copy()[::-1],
    "every other column": lambda X: np.repeat(X, 2, axis=-1)[..., ::2],
    "lists": lambda X: X.tolist(),
    "list of arrays": list,
    "numeric objects": lambda X: X.astype(object),
    **{dtype: lambda X, dtype=dtype: X.astype(dtype) for dtype in ("f4", "f2", ">f8", "i8", "i1", "u2", "u1")},
    "read only": lambda X: np.frombuffer(X.tobytes()).reshape(X.shape),
    "a unit of 1e30": lambda X: 1e30 * X,
    "a unit of 1e-30 in float32": lambda X: (1e-30 * X).astype(np.float32),
}


@pytest.mark.parametrize("case", SAME)
@pytest.mark.parametrize("kind", DATA)
def test_the_same_numbers_give_the_same_features_and_are_never_written_to(kind, case):
    make, X, expected = of_kind(kind)
    other = SAME[case](X)
    before = np.array(other)
    estimator = make().fit(other)
    features = estimator.transform(other)
    assert relative_difference(expected, features) < (1e-3 if "unit" in case else 1e-5)
    features += 1  # what transform returns is the caller's
    estimator.partial_fit(other).score(other)
    np.testing.assert_array_equal(np.array(other), before)


@pytest.mark.parametrize("mode", ["r", "c"])
def test_memory_maps_give_the_same_bits(tmp_path, mode):
    make, X, expected = of_kind("images")
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode=mode)
    estimator = make().fit(mapped)
    assert (estimator.transform(mapped) == expected).all()
    assert estimator.score(mapped) == FITTED["images"].score(X)
    assert (np.load(tmp_path / "X.npy") == X).all()


def test_bytes_are_converted_a_batch_at_a_time(monkeypatch):
    rows, original = [], Standardizer.__call__
    monkeypatch.setattr(Standardizer, "__call__", lambda self, X, *to: (rows.append(X.size), original(self, X, *to))[1])
    X = np.tile(images(800), (8, 1, 1)).astype(np.uint8)
    tiny(max_iter=1).fit(X).transform(X)
    assert max(rows) <= NUMBERS_AT_ONCE["cpu"] < X.size


# ------------------------------------------------------------------------------------------------------------------ frames
@pytest.mark.parametrize("library", [pd, pl])
def test_frames(library):
    make, X, expected = of_kind("table")
    names = [f"column {i}" for i in range(X.shape[1])]
    frame = library.DataFrame(dict(zip(names, X.T, strict=True)))
    estimator = make().fit(frame)
    assert list(estimator.feature_names_in_) == names
    assert relative_difference(expected, estimator.transform(frame)) < 1e-5


def test_a_frame_of_images_and_an_array_after_it():
    make, X, expected = of_kind("images")
    frame = pd.DataFrame(X.reshape(80, 64)).rename(columns=str)
    estimator = make(input_shape=(8, 8)).fit(frame)
    assert relative_difference(expected, estimator.transform(frame)) < 1e-5
    assert not hasattr(estimator.fit(X), "feature_names_in_")


def test_nullable_and_mixed_columns():
    columns = {"i": pd.array([1, 2, 3, 5], dtype="Int64"), "f": [0.5, 1.0, 2.0, 0.0], "b": [True, False] * 2}
    frame = pd.DataFrame(columns)
    expected = tiny_table().fit(frame.astype(float)).transform(frame.astype(float))
    assert relative_difference(expected, tiny_table().fit(frame).transform(frame)) < 1e-5


# --------------------------------------------------------------------------------------------------------- awkward values
def test_constant_columns_and_images():
    X = np.column_stack([table(60), np.full(60, 7.0), np.zeros(60)])
    assert np.isfinite(tiny_table().fit(X).transform(X)).all()
    for X in (np.full((20, 8, 8), 3.0), np.zeros((20, 3, 8, 8), np.uint8)):
        with pytest.warns(ConstantInputWarning, match="All 20 samples of X are equal.*features mean nothing"):
            dim = tiny().fit(X)
        assert np.isfinite(dim.transform(X)).all()
        tiny().fit(np.r_[X[1:], X[:1] + 1])  # one sample is another


@pytest.mark.parametrize("value", [1e30, -1e30, 1e-30, 1e300])
@pytest.mark.parametrize("kind", DATA)
def test_a_row_far_from_the_fitted_data_gives_features_or_an_error_but_no_nan(kind, value):
    make, X, expected = of_kind(kind)
    far = X.copy()
    far[1].flat[3] = value
    for ask in (FITTED[kind].transform, FITTED[kind].score):
        try:
            answer = ask(far)
        except ValueError as error:
            assert re.search("large|far|range", str(error))  # noqa: PT017 - either is right
        else:
            assert np.isfinite(answer).all()
            if np.ndim(answer):
                assert relative_difference(np.delete(expected, 1, axis=0), np.delete(answer, 1, axis=0)) < 1e-6
    with contextlib.nullcontext() if abs(value) < 1 else pytest.warns(OutlierWarning, match="of X: its values reach"):
        assert np.isfinite(make().fit(far).transform(far)).all()  # one outlier in training


@pytest.mark.parametrize("n", [2, 3, 5])
def test_few_samples_in_batches_of_any_size(n):
    for make, X in [(tiny, images(n)), (tiny_table, table(n))]:
        for batch_size in (2, 1000):
            estimator = make(batch_size=batch_size).fit(X)
            assert np.isfinite([*estimator.loss_curve_, estimator.score(X)]).all()
            assert np.isfinite(estimator.transform(X)).all()


# ------------------------------------------------------------------------------------------------------------------ shapes
@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (4, 4, 4), (1, 4, 16)])
def test_stacked_and_flat_agree(shape):
    X = images(80).reshape(80, *shape)
    encoder = "mlp" if min(shape[-2:]) < 8 else Conv(channels=(8, 16, 16))
    stacked = tiny(encoder=encoder).fit(X)
    flat = tiny(encoder=encoder, input_shape=shape).fit(X.reshape(80, -1))
    assert stacked.input_shape_ == flat.input_shape_ == shape
    assert stacked.n_features_in_ == flat.n_features_in_ == 64
    assert same_state(stacked, flat)
    for Z in (X, X.reshape(80, -1)):
        assert (stacked.transform(Z) == flat.transform(Z)).all()
        assert stacked.score(Z) == flat.score(Z)


@pytest.mark.parametrize("encoder", ["conv1d", Conv1d(channels=(8, 8))])
def test_sequences(encoder):
    X = np.random.default_rng(0).normal(size=(60, 3, 20)).cumsum(axis=2)
    stacked = tiny(encoder=encoder).fit(X)
    assert stacked.input_shape_ == (3, 20)
    assert arrays(stacked)["shape"] == [3, 20]
    assert same_state(stacked, tiny(encoder=encoder, input_shape=(3, 20)).fit(X.reshape(60, -1)))
    single = tiny(encoder=encoder).fit(X[:, 0])  # a 2-D X is one channel
    assert (single.input_shape_, arrays(single)["shape"]) == ((20,), [1, 20])
    assert arrays(tiny(max_iter=0).fit(X.repeat(3, 1)))["shape"] == [1, 9, 20]  # images, unless the encoder says so


@pytest.mark.parametrize("n_channels", [1, 2, 5])
@pytest.mark.parametrize("side", [8, 13, 64])
def test_images_of_many_sizes(n_channels, side):
    X = np.random.default_rng(0).integers(0, 256, size=(6, n_channels, side, side + 3), dtype=np.uint8)
    estimator = tiny(features="local", max_iter=1).fit(X)
    channels, locations = estimator.encoder_(torch.zeros(1, *X.shape[1:])).local.shape[1:]
    assert locations >= 16
    assert estimator.transform(X).shape == (6, channels * locations)


@pytest.mark.parametrize("encoder", [FlatEncoder, Factory(), MapEncoder])
def test_y_is_ignored(encoder):
    X = images(40)
    with_y = tiny(encoder=encoder).fit(X, ["anything"])
    assert same_state(with_y, tiny(encoder=encoder).fit(X))
    assert with_y.score(X, [1]) == with_y.score(X)


# -------------------------------------------------------------------------------------------------------- lists of arrays
def test_a_list_of_arrays_is_views_and_a_list_of_lists_is_one_array():
    X, Y = images(5), pd.DataFrame(table(5))
    assert is_list_of_arrays([X, Y])
    assert not any(is_list_of_arrays(x) for x in (X, X.tolist(), [], [np.ones(3)], "ab"))
    together, groups = arrays_of_views([X, Y], tiny(), min_samples=2)
    np.testing.assert_array_equal(together, np.hstack([X.reshape(5, 64), Y]))
    assert groups == [("view0", slice(0, 64), (8, 8)), ("view1", slice(64, 70))]
    stored, same = arrays_of_views([StoredArray(X), Y.to_numpy()], tiny(), min_samples=2)
    assert same == groups
    assert isinstance(stored.source, Beside)
    np.testing.assert_array_equal(stored[:], together)
