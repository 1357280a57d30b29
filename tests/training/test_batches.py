"""Batches: every row once, equal parts; standardisation against scikit-learn's scaler."""

import numpy as np
import pytest
import torch
from skdim.training.batches import BLOCK, Batches, Standardizer
from sklearn.preprocessing import StandardScaler


def rng(seed=0):
    return np.random.default_rng(seed)


def per_channel(X, shape):
    """Return X with one column per channel."""
    return np.moveaxis(np.asarray(X, dtype=np.float64).reshape(-1, *shape), 1, -1).reshape(-1, shape[0])


def standardized_by_sklearn(X, shape):
    columns = StandardScaler().fit_transform(per_channel(X, shape))
    return np.moveaxis(columns.reshape(-1, *shape[1:], shape[0]), -1, 1)


# ------------------------------------------------------------------------------------------------------ standardisation
@pytest.mark.parametrize("shape", [(5,), (3, 8), (1, 4, 4), (3, 4, 5)])
@pytest.mark.parametrize("n", [2, 60, BLOCK + 1, 2 * BLOCK + 7])
def test_each_channel_is_standardised_as_by_scikit_learn(shape, n):
    scales = 10.0 ** rng().uniform(-3, 3, size=(shape[0], *[1] * (len(shape) - 1)))
    X = rng(1).normal(size=(n, *shape)) * scales + 5 * scales
    standardize = Standardizer.learn(X, shape)
    reference = StandardScaler().fit(per_channel(X, shape))
    np.testing.assert_allclose(standardize.mean, reference.mean_, rtol=1e-10)
    np.testing.assert_allclose(standardize.scale, reference.scale_, rtol=1e-10)
    result = standardize(X)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), standardized_by_sklearn(X, shape), rtol=1e-4, atol=1e-5)


def test_flat_and_stacked_rows_are_the_same():
    X = rng().normal(size=(30, 3, 4, 5))
    flat, stacked = X.reshape(30, -1), X
    a, b = Standardizer.learn(flat, (3, 4, 5)), Standardizer.learn(stacked, (3, 4, 5))
    np.testing.assert_array_equal(a.mean, b.mean)
    assert torch.equal(a(flat), b(stacked))
    assert a(flat).shape == (30, 3, 4, 5)


@pytest.mark.parametrize("value", [0.0, 3.0, 0.1, -1e30, 1e-30, 255])
@pytest.mark.parametrize("n", [2, 3 * BLOCK + 5])
def test_a_constant_channel_becomes_zero(value, n):
    X = rng().normal(size=(n, 2, 3))
    X[:, 1] = value
    standardize = Standardizer.learn(X, (2, 3))
    assert standardize.scale[1] == 1
    result = standardize(X)
    assert torch.isfinite(result).all()
    assert result[:, 1].abs().max() <= 1e-6 * max(1, abs(value))


@pytest.mark.parametrize("scale", [1e30, 1e-30, 1e100, 1e-100])
def test_scales_beyond_float32_are_standardised(scale):
    X = rng().normal(size=(200, 4))
    plain, scaled = Standardizer.learn(X, (4,)), Standardizer.learn(X * scale, (4,))
    torch.testing.assert_close(scaled(X * scale), plain(X), rtol=1e-5, atol=1e-5)


def test_samples_far_outside_the_fitted_range_become_infinite_without_a_warning():
    standardize = Standardizer(shape=(2,), mean=np.zeros(2), scale=np.array([1e-30, 1.0]))
    assert standardize(np.array([[1e30, 1e300], [-1e30, 2.0]])).tolist() == [[np.inf, np.inf], [-np.inf, 2.0]]


def test_columns_of_different_scales_do_not_disturb_each_other():
    X = rng().normal(size=(500, 3)) * [1e30, 1, 1e-30]
    result = Standardizer.learn(X, (3,))(X)
    torch.testing.assert_close(result.std(0, correction=0), torch.ones(3), rtol=1e-5, atol=1e-5)


INTEGERS = rng(3).integers(0, 200, size=(50, 2, 3))
KINDS = {
    "uint8": INTEGERS.astype(np.uint8),
    "int64": INTEGERS,
    "float16": INTEGERS.astype(np.float16),
    "float32": INTEGERS.astype(np.float32),
    "big-endian": INTEGERS.astype(">f8"),
    "big-endian integers": INTEGERS.astype(">i2"),
    "Fortran order": np.asfortranarray(INTEGERS.astype(float)),
    "every other": np.repeat(INTEGERS.astype(float), 2, axis=0)[::2],
    "backwards": INTEGERS[::-1].astype(np.uint8)[::-1],
    "transposed": np.ascontiguousarray(INTEGERS.transpose(2, 0, 1)).transpose(1, 2, 0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_type_and_layout_of_the_array_do_not_matter(kind):
    X = KINDS[kind]
    before = X.copy()
    X = X.view()
    X.flags.writeable = False
    reference = Standardizer.learn(INTEGERS.astype(np.float64), (2, 3))
    standardize = Standardizer.learn(X, (2, 3))
    result = standardize(X)
    np.testing.assert_allclose(standardize.mean, reference.mean, rtol=1e-12)
    torch.testing.assert_close(result, reference(INTEGERS.astype(np.float64)), rtol=1e-5, atol=1e-5)
    assert result.dtype == torch.float32
    np.testing.assert_array_equal(X, before)


def test_booleans_are_numbers():
    X = rng().random((100, 3)) < 0.4
    torch.testing.assert_close(Standardizer.learn(X, (3,))(X), Standardizer.learn(X * 1.0, (3,))(X * 1.0))


def test_bytes_and_their_scaled_versions_agree():
    X = rng().integers(0, 256, size=(300, 1, 8, 8), dtype=np.uint8)
    results = [Standardizer.learn(V, (1, 8, 8))(V) for V in (X, X.astype(np.float64), X / 255, X.astype("f4") / 255)]
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["f8", "f4", "u1"])
def test_the_input_is_never_written_to_and_the_result_is_the_callers(dtype):
    X = rng().integers(0, 9, size=(20, 3)).astype(dtype)
    before = X.copy()
    standardize = Standardizer(shape=(3,), mean=np.zeros(3), scale=np.ones(3))
    standardize(X).add_(100)
    np.testing.assert_array_equal(X, before)


class Watched(np.ndarray):
    """An array that remembers the most rows taken from it at once."""

    def __array_finalize__(self, source):
        self.most = getattr(source, "most", [0])

    def __getitem__(self, key):
        result = super().__getitem__(key)
        if isinstance(result, np.ndarray):
            self.most[0] = max(self.most[0], len(result))
        return result

    def __array__(self, dtype=None, copy=None):
        assert len(self) <= BLOCK, "the whole array was read"
        return np.array(self.view(np.ndarray), dtype=dtype)


def test_a_memory_map_is_read_block_by_block(tmp_path):
    n = 3 * BLOCK + 10
    path = tmp_path / "X.npy"
    np.save(path, rng().integers(0, 256, size=(n, 4), dtype=np.uint8))
    mapped = np.load(path, mmap_mode="r")
    watched = np.asarray(mapped).view(Watched)
    standardize = Standardizer.learn(watched, (4,))
    assert watched.most[0] == BLOCK
    np.testing.assert_allclose(standardize.mean, np.asarray(mapped).mean(0))
    np.testing.assert_allclose(standardize.scale, np.asarray(mapped).std(0))
    watched.most[0] = 0
    for _ in Batches(watched, np.arange(n), standardize, 100, seed=0):
        pass
    assert watched.most[0] == 100
    batch = next(iter(Batches(mapped, np.arange(n), standardize, 100, seed=0)))
    torch.testing.assert_close(batch.X, standardize(np.asarray(mapped)[batch.rows]))


# --------------------------------------------------------------------------------------------------------------- batches
def batches(n=103, batch_size=20, seed=0, epoch=0, rows=None):
    X = np.arange(1000.0)[:, None] * [1, 2]
    identity = Standardizer(shape=(2,), mean=np.zeros(2), scale=np.ones(2))
    return Batches(X, np.arange(n) if rows is None else rows, identity, batch_size, seed, epoch)


@pytest.mark.parametrize("seed", [0, None])
@pytest.mark.parametrize("n", [2, 3, 4, 5, 7, 19, 20, 21, 39, 40, 41, 103, 400])
@pytest.mark.parametrize("batch_size", [2, 3, 4, 7, 20, 100, 1000])
def test_every_row_comes_once_in_parts_of_nearly_equal_size(n, batch_size, seed):
    parts = [batch.rows for batch in batches(n, batch_size, seed)]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    sizes = [len(part) for part in parts]
    assert len(parts) == len(batches(n, batch_size, seed))
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 2
    assert max(sizes) <= max(batch_size, 3)


def test_a_batch_holds_the_samples_of_its_rows():
    for batch in batches():
        np.testing.assert_array_equal(batch.X.numpy(), batch.rows[:, None] * [1, 2])
        assert batch.X.dtype == torch.float32


def test_only_the_rows_given_are_used():
    rows = np.array([5, 999, 17, 3, 88, 401, 77])
    seen = np.concatenate([batch.rows for batch in batches(rows=rows, batch_size=3)])
    assert sorted(seen) == sorted(rows)


def order(**kwargs):
    return [batch.rows.tolist() for batch in batches(**kwargs)]


def test_the_order_is_a_function_of_seed_and_epoch():
    assert order(seed=1, epoch=4) == order(seed=1, epoch=4)
    assert order(seed=1, epoch=4) != order(seed=1, epoch=5)
    assert order(seed=1, epoch=4) != order(seed=2, epoch=4)
    assert order(seed=1, epoch=2) != order(seed=2, epoch=1)
    continued = batches(seed=1)
    epochs = [[batch.rows.tolist() for batch in continued] for _ in range(3)]
    assert epochs == [order(seed=1, epoch=epoch) for epoch in range(3)]
    assert continued.epoch == 3


def test_batches_say_their_epoch():
    source = batches(seed=1, epoch=7)
    assert {batch.epoch for batch in source} == {7}
    assert {batch.epoch for batch in source} == {8}


def test_without_a_seed_the_order_is_that_of_the_rows_in_every_epoch():
    source = batches(seed=None)
    for _ in range(2):
        seen = list(source)
        np.testing.assert_array_equal(np.concatenate([batch.rows for batch in seen]), np.arange(103))
        assert {batch.epoch for batch in seen} == {0}


def test_the_global_generator_of_numpy_is_not_used():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    order(seed=1)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
