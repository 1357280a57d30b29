"""Batches: every row once in equal parts, and draws that are a function of (seed, epoch, row)."""

import numpy as np
import pytest
import torch

from skdim.inputs import batches as module
from skdim.inputs.augmentation import EVALUATION_SEED, sample_uniform
from skdim.inputs.batches import Batches, TensorSamples, evaluation_batch, n_batches

NUMBERS = torch.arange(1000)


def batches(n=103, batch_size=20, seed=0, rows=None, extras=None, **options):
    samples = TensorSamples([NUMBERS, 1000 + NUMBERS[:, None]])
    samples.extras = extras or {}
    return Batches(samples, np.arange(n) if rows is None else rows, batch_size, seed, **options)


def order(source):
    """Return the rows of one epoch."""
    return [row for batch in source for row in batch.X[0].tolist()]


@pytest.mark.parametrize("seed", [0, None])
@pytest.mark.parametrize("n", [*range(2, 12), 19, 20, 21, 39, 40, 41, 103, 400])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 7, 20, 100, 1000])
def test_every_row_comes_once_in_parts_of_nearly_equal_size(n, batch_size, seed):
    assert sorted(order(batches(n, batch_size, seed))) == list(range(n))
    sizes = [batch.rows.n for batch in batches(n, batch_size, seed)]
    assert len(sizes) == len(batches(n, batch_size)) == n_batches(n, batch_size)
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 2  # no row is left without negatives
    assert max(sizes) <= max(batch_size, 3)


def test_a_batch_holds_its_rows_and_what_is_known_of_them():
    for batch in batches(extras={"length": np.arange(1000) ** 2}, n_draws=3):
        rows = batch.X[0].numpy()
        np.testing.assert_array_equal(batch.X[1].squeeze(1), rows + 1000)  # pairs stay pairs
        assert (batch.rows.n, batch.rows.own, batch.rows.shape) == (len(rows), slice(0, len(rows)), ())
        np.testing.assert_array_equal(batch.rows.extras["length"], rows**2)
        assert batch.uniform.shape == (len(rows), 3)


def test_only_the_rows_given_are_used():
    rows = np.array([5, 999, 17, 3, 88, 401, 77])
    assert sorted(order(batches(rows=rows, batch_size=3))) == sorted(rows)


def test_the_order_is_a_function_of_seed_and_epoch():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    torch_before = torch.get_rng_state()
    orders = {key: order(batches(seed=key[0], epoch=key[1])) for key in [(1, 0), (1, 1), (1, 2), (2, 1), (2, 0)]}
    assert len({str(found) for found in orders.values()}) == 5
    continued = batches(seed=1)
    assert [order(continued) for _ in range(3)] == [orders[1, epoch] for epoch in range(3)]
    assert continued.epoch == 3
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)


@pytest.mark.parametrize("at_once", [1, 100, 2**18])
@pytest.mark.parametrize("seed", [0, 5, None])
def test_draws_are_a_function_of_seed_epoch_and_row_however_many_are_made_at_once(monkeypatch, at_once, seed):
    monkeypatch.setitem(module.NUMBERS_AT_ONCE, "cpu", at_once)
    source = batches(seed=seed, n_draws=6, epoch=3)
    for epoch in (3, 4):
        for batch in source:
            expected = (EVALUATION_SEED, 0) if seed is None else (seed, epoch)
            assert torch.equal(batch.uniform, sample_uniform(*expected, batch.X[0], 6))


def test_without_a_seed_the_rows_keep_their_order_and_their_draws():
    source = batches(seed=None, n_draws=2)
    a, b = list(source), list(source)
    assert order(a) == list(range(103))
    assert all(torch.equal(x.uniform, y.uniform) for x, y in zip(a, b, strict=True))
    held_out = evaluation_batch(source.samples, np.arange(103), 2)
    assert torch.equal(torch.cat([batch.uniform for batch in a]), held_out.uniform)
    assert torch.equal(held_out.X[0], NUMBERS[:103])


def test_rows_of_a_group_come_side_by_side_in_random_order():
    groups = np.random.default_rng(0).integers(0, 9, 1000)
    epochs = [np.array(order(batches(extras={"groups": groups}, seed=seed))) for seed in (0, 1)]
    for rows in epochs:
        assert np.count_nonzero(np.diff(groups[rows])) == len(np.unique(groups[:103])) - 1
    assert (groups[epochs[0]] != groups[epochs[1]]).any()


class Second:
    """The second of two processes."""

    def share(self, n):
        return slice(n // 2, n)


def test_a_process_reads_its_share_and_draws_what_one_process_would():
    for whole, own in zip(batches(n_draws=4), batches(n_draws=4, ranks=Second()), strict=True):
        assert own.rows.n == whole.rows.n
        assert torch.equal(own.X[0], whole.X[0][own.rows.own])
        assert torch.equal(own.uniform, whole.uniform[own.rows.own])
