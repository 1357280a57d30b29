"""Samples outside memory: the same results as in memory, read in whole blocks, never all at once."""

import tracemalloc

import dask.array
import numpy as np
import pytest
import torch
import zarr
from helpers import images, same_state, table, tiny, tiny_table
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from skdim import CPCTransformer, MultiViewInfoMaxTransformer
from skdim.inputs import arrays
from skdim.inputs.arrays import Beside, StoredArray, is_stored
from skdim.inputs.batches import Batches
from skdim.inputs.samples import Samples, Standardizer


class OnDisk:
    """The least that is taken for an array outside memory; it remembers which rows were read, and allows slices only."""

    def __init__(self, X, chunks=None):
        self.X, self.shape, self.dtype, self.chunks = X, X.shape, X.dtype, chunks
        self.read = []

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        assert rows.step is None
        self.read.append((rows.start, rows.stop))
        return self.X[rows]


class Labelled(Dataset):
    """Samples with labels, as data sets of images come."""

    def __init__(self, X):
        self.X = X

    def __len__(self):
        return len(self.X)

    def __getitem__(self, row):
        return self.X[row], row % 10


class Ragged(Labelled):
    def __getitem__(self, row):
        return self.X[row][: 7 if row == 50 else 8]


class Stream(IterableDataset):
    def __iter__(self):
        yield from images(8)


SOURCES = {
    "shape, dtype and slicing": OnDisk,
    "zarr": lambda X: zarr.array(X, chunks=(50, *X.shape[1:])),
    "dask": lambda X: dask.array.from_array(X, chunks=(70, *X.shape[1:])),
    "TensorDataset": lambda X: TensorDataset(torch.from_numpy(X), torch.zeros(len(X))),
    "Dataset of arrays and labels": Labelled,
    "an array, on request": StoredArray,
}


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 1 kB, 16 digits of 8 x 8 bytes, and buffers of four."""
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 2**10)
    monkeypatch.setattr(arrays, "BUFFER_BYTES", 2**12)


def digits(n=300):
    return images(n).astype(np.uint8)


# ------------------------------------------------------------------------------------------------------ rows and blocks
@given(
    n=st.integers(1, 200),
    chunk=st.integers(1, 40),
    pick=st.lists(st.integers(0, 199), max_size=60),
    again=st.lists(st.integers(0, 199), max_size=60),
)
def test_rows_are_those_of_the_array(n, chunk, pick, again):
    X = np.arange(n * 40).reshape(n, 5, 8).astype(np.int32)
    source = OnDisk(X, chunks=(chunk, 5, 8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "BLOCK_BYTES", 3 * 160)
        patch.setattr(arrays, "BUFFER_BYTES", 9 * 160)
        rows = StoredArray(source)
    for some in (pick, again, pick):
        some = np.array(some, dtype=int) % n
        assert (rows[some] == X[some]).all()
    assert (rows[n // 3 :] == X[n // 3 :]).all()
    assert all(start % rows.block_rows == 0 and stop - start <= rows.block_rows for start, stop in source.read)
    assert rows.block_rows % chunk == 0


def test_a_shuffled_epoch_reads_every_block_once(small_blocks):
    source = OnDisk(digits())
    rows = StoredArray(source)
    samples = Samples(rows, Standardizer.learn(rows, (8, 8)), torch.device("cpu"), {"row": np.arange(300)})
    for epoch, batches in enumerate([Batches(samples, np.arange(300), batch_size=32, seed=0)] * 3):
        source.read.clear()
        seen = np.concatenate([batch.rows.extras["row"] for batch in batches])
        assert (np.sort(seen) == np.arange(300)).all()
        # What is left of the epoch before is not read again.
        assert len(set(source.read)) == len(source.read) <= rows.n_blocks, epoch
    assert len(source.read) > rows.n_blocks - 2 * rows.buffer_blocks


def test_rows_are_shuffled_among_the_blocks_of_a_buffer(small_blocks):
    rows = StoredArray(OnDisk(digits()))
    order = rows.shuffled(np.arange(300), np.random.default_rng(0))
    assert (order == rows.shuffled(np.arange(300), np.random.default_rng(0))).all()
    assert (order != rows.shuffled(np.arange(300), np.random.default_rng(1))).any()
    blocks = order // rows.block_rows
    assert rows.buffer_blocks == 4
    first = blocks[:64]
    assert len(np.unique(first)) <= 5  # four blocks, or five where the short last one is among them
    assert np.abs(np.diff(np.unique(first))).max() > 1  # and they are not neighbours
    assert (first[:-1] != first[1:]).mean() > 0.5


def test_what_is_outside_memory(tmp_path):
    X = digits(4)
    np.save(tmp_path / "X.npy", X)
    assert not is_stored(np.load(tmp_path / "X.npy", mmap_mode="r"))
    assert not any(is_stored(x) for x in (X, X.tolist(), np.ones(3), torch.ones(2, 2), None, "rows"))
    assert not is_stored(OnDisk(np.ones(3)))  # one value a row is no sample: refused as an array is
    assert all(is_stored(make(X)) for make in SOURCES.values())


# ------------------------------------------------------------------------------------------------- the same as in memory
@pytest.mark.parametrize("source", SOURCES)
def test_results_are_those_of_the_array(source):
    X = digits()
    fitted = tiny(early_stopping=True).fit(X)
    stored = tiny(early_stopping=True).fit(SOURCES[source](X))
    assert same_state(fitted, stored)  # less than a buffer is shuffled as an array is
    assert (stored.transform(SOURCES[source](X)) == fitted.transform(X)).all()
    assert stored.score(SOURCES[source](X)) == fitted.score(X)


WAVES, LENGTHS = np.cumsum(np.random.default_rng(0).normal(size=(200, 64)), axis=1), np.arange(200) % 30 + 30


@pytest.mark.parametrize(
    ("estimator", "X", "options"),
    [
        (MultiViewInfoMaxTransformer(4, max_iter=1, random_state=0), images(200), {}),
        (CPCTransformer(4, max_iter=1, random_state=0), WAVES, {}),
        (CPCTransformer(4, max_iter=1, random_state=0), WAVES, {"lengths": LENGTHS}),
    ],
    ids=str,
)
def test_every_transformer_takes_what_is_outside_memory(small_blocks, estimator, X, options):
    fitted = clone(estimator).fit(OnDisk(X), **options)
    assert (fitted.transform(OnDisk(X), **options) == fitted.transform(X, **options)).all()
    assert fitted.score(OnDisk(X), **options) == fitted.score(X, **options)
    if X.ndim == 2:
        assert same_state(fitted, clone(estimator).fit(OnDisk(X[:, None]), **options))
    else:
        fitted.set_params(output="top")
        assert (fitted.transform(OnDisk(X[:, :4])) == fitted.transform(X)).all()


def test_training_in_blocks_is_a_function_of_the_seed(small_blocks):
    a, b, c = (tiny(random_state=seed).fit(OnDisk(digits())) for seed in (0, 0, 1))
    assert same_state(a, b)
    assert not same_state(a, c)
    in_memory = tiny().fit(digits())
    assert a.loss_curve_ != in_memory.loss_curve_  # another order
    assert a.loss_curve_[-1] == pytest.approx(in_memory.loss_curve_[-1], abs=0.3)


def test_a_list_of_arrays_stays_where_it_is(small_blocks, tmp_path):
    np.save(tmp_path / "X.npy", digits())
    X, Y = OnDisk(digits(), chunks=(30, 8, 8)), np.load(tmp_path / "X.npy", mmap_mode="r").reshape(300, -1)
    fitted = MultiViewInfoMaxTransformer(4, max_iter=1, random_state=0).fit([X, Y])
    assert max(stop - start for start, stop in X.read) == 30
    features = fitted.transform([digits(), digits().reshape(300, -1)])
    assert (fitted.transform([X, Y]) == features).all()
    assert Beside([X, Y]).shape == (300, 128)


def test_a_missing_view_outside_memory(small_blocks):
    X = table(60)
    X[::5, :3] = np.nan
    groups = [("a", [0, 1, 2]), ("b", [3, 4, 5])]
    fitted = MultiViewInfoMaxTransformer(4, views=groups, max_iter=1, random_state=0).fit(OnDisk(X))
    assert (np.isnan(fitted.transform(OnDisk(X))).any(1) == np.isnan(X).any(1)).all()
    X[0, 0] = 1.0
    with pytest.raises(ValueError, match="NaN in 2 of the 3 columns"):
        fitted.transform(OnDisk(X))


# ---------------------------------------------------------------------------------------------------------------- refusals
@pytest.fixture(scope="module")
def fitted():
    return tiny().fit(images())


def with_nan(n):
    X = images(n)
    X[-1, 0, 0] = np.nan
    return X


REFUSED = {
    "NaN": (lambda: OnDisk(with_nan(120)), ValueError, "Input X contains NaN"),
    "NaN in a Dataset": (lambda: Labelled(with_nan(120)), ValueError, "Input X contains NaN"),
    "complex": (lambda: OnDisk(images().astype(complex)), ValueError, "Complex"),
    "strings": (lambda: OnDisk(images().astype("U4")), ValueError, "real numbers"),
    "one value a sample": (lambda: TensorDataset(torch.ones(8)), ValueError, "1D array"),
    "no samples": (lambda: OnDisk(images(0)), ValueError, "0 sample"),
    "an empty Dataset": (lambda: Labelled(images(0)), ValueError, "0 sample"),
    "no values": (lambda: OnDisk(np.ones((5, 0, 8))), ValueError, "no values"),
    "too many axes": (lambda: OnDisk(np.ones((5, 1, 1, 8, 8))), ValueError, "rows .n, n_features"),
    "ragged": (lambda: Ragged(images()), ValueError, "one shape"),
    "a stream": (Stream, TypeError, "IterableDataset"),
}


@pytest.mark.parametrize("method", ["fit", "transform", "score", "partial_fit"])
@pytest.mark.parametrize("case", REFUSED)
def test_bad_samples_outside_memory_are_refused(fitted, case, method):
    make, error, words = REFUSED[case]
    estimator = tiny() if method == "fit" else fitted
    before = dict(vars(estimator))
    with pytest.raises(error, match=words):
        getattr(estimator, method)(make())
    assert vars(estimator) == before


def test_other_numbers_of_rows_and_columns_are_refused():
    with pytest.raises(ValueError, match=r"1 sample.*minimum of 2 is required"):
        tiny().fit(OnDisk(digits(1)))
    assert tiny().fit(digits()).transform(OnDisk(digits(1))).shape == (1, 8)
    with pytest.raises(ValueError, match="X has 5 features, but DeepInfoMaxTransformer is expecting 6"):
        tiny_table().fit(OnDisk(table())).transform(OnDisk(table(n_features=5)))
    X = SOURCES["dask"](table())
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        tiny_table().fit(X[X[:, 0] > 0])


# ------------------------------------------------------------------------------------------------------------------ memory
class Generated:
    """Rows that are made when they are read: an array larger than the test may hold."""

    shape, dtype = (200_000, 64), np.dtype(np.uint8)

    def __getitem__(self, rows):
        return (np.arange(rows.start, rows.stop)[:, None] * np.arange(64) % 251).astype(np.uint8)


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 2**15)
    monkeypatch.setattr(arrays, "BUFFER_BYTES", 2**18)
    fitted = tiny_table(max_iter=0)
    tracemalloc.start()
    try:
        fitted.fit(Generated())
        in_fit = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        features = fitted.transform(Generated())
        in_transform = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    whole = 200_000 * 64
    assert in_fit < whole / 2
    assert in_transform < features.nbytes + whole / 2


def test_a_source_that_returns_fewer_rows_than_it_has_is_refused():
    class Short:
        shape, dtype = (30, 4), np.dtype(np.float64)

        def __getitem__(self, rows):
            return np.ones((30, 4))[rows][:-1]

    with pytest.raises(ValueError, match="its rows 0 to 29 are 29 rows"):
        StoredArray(Short())[:5]
