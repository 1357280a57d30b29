"""Standardisation against scikit-learn's scaler, whatever holds the rows."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from skdim.inputs.arrays import ROWS_AT_ONCE
from skdim.inputs.batches import NUMBERS_AT_ONCE, Batches, to_device
from skdim.inputs.layout import Layout
from skdim.inputs.samples import Samples, Standardizer

CPU = torch.device("cpu")


def rng(seed=0):
    return np.random.default_rng(seed)


def per_channel(X, shape):
    """Return X with one column per channel."""
    return np.moveaxis(np.asarray(X, dtype=np.float64).reshape(-1, *shape), 1, -1).reshape(-1, shape[0])


@pytest.mark.parametrize("shape", [(5,), (3, 8), (1, 4, 4), (3, 4, 5)])
@pytest.mark.parametrize("n", [2, 60, ROWS_AT_ONCE + 1, 2 * ROWS_AT_ONCE + 7])
def test_each_channel_is_standardised_as_by_scikit_learn(shape, n):
    scales = 10.0 ** rng().uniform(-3, 3, size=(shape[0], *[1] * (len(shape) - 1)))
    X = rng(1).normal(size=(n, *shape)) * scales + 5 * scales
    standardize, reference = Standardizer.learn(X, shape), StandardScaler().fit(per_channel(X, shape))
    np.testing.assert_allclose(standardize.mean, reference.mean_, rtol=1e-10)
    np.testing.assert_allclose(standardize.scale, reference.scale_, rtol=1e-10)
    result = standardize(X)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(per_channel(result, shape), reference.transform(per_channel(X, shape)), atol=1e-5)
    assert torch.equal(standardize(X.reshape(n, -1)), result)  # flat and stacked rows are the same


def test_padding_does_not_count():
    X, lengths = rng().normal(size=(50, 2, 9)), rng(1).integers(1, 10, 50)
    own = np.concatenate([row[:, :length].T for row, length in zip(X, lengths, strict=True)])
    X[np.broadcast_to(np.arange(9) >= lengths[:, None, None], X.shape)] = 1e6
    standardize = Standardizer.learn(X, (2, 9), lengths)
    np.testing.assert_allclose(standardize.mean, own.mean(0))
    np.testing.assert_allclose(standardize.scale, own.std(0))


@pytest.mark.parametrize("value", [0.0, 3.0, 0.1, -1e30, 1e-30, 255])
@pytest.mark.parametrize("n", [2, 3 * ROWS_AT_ONCE + 5])
def test_a_constant_channel_becomes_zero(value, n):
    X = rng().normal(size=(n, 2, 3))
    X[:, 1] = value
    layout = Layout([("a", np.arange(3), (1, 3)), ("b", np.arange(3, 6), (1, 3))], "columns")
    for standardize in (Standardizer.learn(X, (2, 3)), Standardizer.learn_views(X.reshape(n, -1), layout)):
        assert standardize.scale[-1] == 1
        result = standardize(X).reshape(n, 6)
        assert torch.isfinite(result).all()
        assert result[:, 3:].abs().max() <= 1e-6 * max(1, abs(value))


def test_views_share_a_scale_by_channel_and_missing_values_do_not_count():
    X = rng().normal(size=(3000, 5)) * [1, 10, 100, 2, 3] + [1, 20, 300, 0, 5]
    X[::3, :3] = np.nan
    standardize = Standardizer.learn_views(
        X, Layout([("s", np.arange(3), (1, 3)), ("t", np.array([3, 4]), (2,))], "columns")
    )
    np.testing.assert_allclose(standardize.mean, [*[np.nanmean(X[:, :3])] * 3, *X[:, 3:].mean(0)], rtol=1e-9)
    np.testing.assert_allclose(standardize.scale, [*[np.nanstd(X[:, :3])] * 3, *X[:, 3:].std(0)], rtol=1e-9)


@pytest.mark.parametrize("scale", [1e30, 1e-30, 1e100, 1e-100, [1e30, 1, 1, 1e-30]])
def test_scales_beyond_float32_are_standardised(scale):
    X = rng().normal(size=(200, 4))
    plain, scaled = Standardizer.learn(X, (4,)), Standardizer.learn(X * scale, (4,))
    torch.testing.assert_close(scaled(X * scale), plain(X), rtol=1e-5, atol=1e-5)


def test_samples_far_outside_the_fitted_range_become_infinite_without_a_warning():
    standardize = Standardizer(shape=(2,), mean=np.zeros(2), scale=np.array([1e-30, 1.0]))
    assert standardize(np.array([[1e30, 1e300], [-1e30, 2.0]])).tolist() == [[np.inf, np.inf], [-np.inf, 2.0]]


INTEGERS = rng(3).integers(0, 200, size=(50, 2, 3))
KINDS = {
    **{dtype: INTEGERS.astype(dtype) for dtype in ("uint8", "int64", "float16", "float32", ">f8", ">i2")},
    "Fortran order": np.asfortranarray(INTEGERS.astype(float)),
    "every other": np.repeat(INTEGERS.astype(float), 2, axis=0)[::2],
    "backwards": INTEGERS[::-1].astype(np.uint8)[::-1],
    "transposed": np.ascontiguousarray(INTEGERS.transpose(2, 0, 1)).transpose(1, 2, 0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_type_and_layout_of_the_array_do_not_matter_and_it_is_never_written_to(kind):
    X = KINDS[kind].view()
    before = X.copy()
    reference = Standardizer.learn(INTEGERS.astype(np.float64), (2, 3))
    for writeable in (True, False):
        X.flags.writeable = writeable
        standardize = Standardizer.learn(X, (2, 3))
        result = standardize(X)
        np.testing.assert_allclose(standardize.mean, reference.mean, rtol=1e-12)
        torch.testing.assert_close(result, reference(INTEGERS.astype(np.float64)), rtol=1e-5, atol=1e-5)
        result.add_(100)  # the result is the caller's
        np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("factor", [255, 1.0, True])
def test_bytes_units_and_booleans_agree(factor):
    X = rng().random((300, 1, 8, 8)) < 0.4
    other = (X * factor).astype(np.uint8) if factor == 255 else X * factor
    torch.testing.assert_close(
        Standardizer.learn(other, (1, 8, 8))(other), Standardizer.learn(X, (1, 8, 8))(X), rtol=0, atol=1e-5
    )


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
        assert len(self) <= ROWS_AT_ONCE, "the whole array was read"
        return np.array(self.view(np.ndarray), dtype=dtype)


def test_a_memory_map_is_read_block_by_block(tmp_path):
    n = 3 * ROWS_AT_ONCE + 10
    np.save(tmp_path / "X.npy", rng().integers(0, 256, size=(n, 1000), dtype=np.uint8))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    watched = np.asarray(mapped).view(Watched)
    standardize = Standardizer.learn(watched, (1000,))
    assert watched.most[0] == ROWS_AT_ONCE
    np.testing.assert_allclose([standardize.mean, standardize.scale], [mapped.mean(0), mapped.std(0)])
    watched.most[0] = 0
    samples = Samples(watched, standardize, CPU, {"row": np.arange(n)})
    for batch in Batches(samples, np.arange(n), 100, seed=0):
        assert torch.equal(batch.X, standardize(np.asarray(mapped)[batch.rows.extras["row"]]))
    assert watched.most[0] <= NUMBERS_AT_ONCE["cpu"] // 1000


def test_samples_say_their_shape_and_longer_sequences_theirs():
    identity = Standardizer((2, 3), np.zeros(2), np.ones(2))
    flat, longer = Samples(np.zeros((5, 6)), identity, CPU), Samples(np.zeros((5, 2, 8)), identity, CPU)
    assert (len(flat), flat.shape(), flat.read(slice(0, 2)).shape) == (5, (2, 3), (2, 2, 3))
    assert (longer.shape(), longer.read(np.array([4])).shape) == ((2, 8), (1, 2, 8))


def test_a_batch_stays_on_its_device():
    X = torch.rand(3, 2)
    assert to_device(X, CPU) is X


@pytest.mark.gpu
def test_a_batch_is_moved_to_a_gpu():
    X = torch.rand(300, 2)
    assert torch.equal(to_device(X, torch.device("cuda")).cpu(), X)
