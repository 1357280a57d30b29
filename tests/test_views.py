"""Views: uniform draws as a pure function, and augmentations against slow twins."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from skdim.inputs.augmentation import ImageAugmentation, SequenceAugmentation, TableAugmentation, sample_uniform

STILL = {"contrast": 0.0, "brightness": 0.0}


def draws_for(augment, X, seed=0):
    return torch.from_numpy(sample_uniform(seed, 0, range(len(X)), augment.n_draws(tuple(X.shape[1:]))))


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------------------------------------------------- the draws
def test_draws_are_float32_in_the_half_open_interval():
    u = sample_uniform(0, 0, np.arange(20_000), 5)
    assert u.dtype == np.float32
    assert u.shape == (20_000, 5)
    assert u.min() >= 0
    assert u.max() < 1


@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (1, 0), (0, 1), (2**31 - 2, 999)])
def test_draws_are_uniform(seed, epoch):
    u = sample_uniform(seed, epoch, np.arange(10_000), 4)
    for column in [*u.T, u.ravel()[:10_000]]:
        assert stats.kstest(column.astype(float), "uniform").pvalue > 1e-3
    # serial pairs fill the square evenly
    counts = np.histogram2d(u[:, 0], u[:, 1], bins=10, range=[[0, 1], [0, 1]])[0]
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3


def test_draws_are_independent_across_seeds_epochs_samples_and_draws():
    n = 20_000
    base = sample_uniform(3, 5, np.arange(n), 3)
    others = {
        "seed": sample_uniform(4, 5, np.arange(n), 3)[:, 0],
        "epoch": sample_uniform(3, 6, np.arange(n), 3)[:, 0],
        "sample": np.roll(base[:, 0], 1),
        "draw": base[:, 1],
        "draw after": base[:, 2],
        "the same draw of the next sample": np.roll(base[:, 1], -1),
    }
    for name, other in others.items():
        for function in (np.asarray, np.square, lambda v: np.abs(v - 0.5)):
            assert abs(np.corrcoef(function(base[:, 0]), function(other))[0, 1]) < 4.5 / np.sqrt(n), name


def test_epochs_of_one_sample_are_uniform_and_uncorrelated():
    u = np.concatenate([sample_uniform(0, epoch, [17], 2) for epoch in range(4_000)])
    assert stats.kstest(u[:, 0].astype(float), "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(u[:-1, 0], u[1:, 0])[0, 1]) < 4.5 / np.sqrt(4_000)


def test_no_two_rows_share_their_draws():
    rows = [sample_uniform(seed, epoch, range(50), 3) for seed in range(6) for epoch in range(6)]
    assert len(np.unique(np.concatenate(rows), axis=0)) == 6 * 6 * 50


def test_draws_of_a_sample_do_not_depend_on_its_batch():
    whole = sample_uniform(7, 2, np.arange(100), 6)
    order = np.random.default_rng(0).permutation(100)
    np.testing.assert_array_equal(sample_uniform(7, 2, order, 6), whole[order])
    np.testing.assert_array_equal(sample_uniform(7, 2, [42], 6), whole[[42]])
    np.testing.assert_array_equal(sample_uniform(7, 2, order.astype(np.int32), 6), whole[order])


def test_more_draws_begin_with_the_same_ones():
    np.testing.assert_array_equal(sample_uniform(7, 2, range(9), 12)[:, :5], sample_uniform(7, 2, range(9), 5))


def test_draws_are_splitmix64_in_exact_integers():
    golden, mask = 0x9E3779B97F4A7C15, 2**64 - 1

    def mix(x):
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
        return x ^ (x >> 31)

    def twin(*coordinates):  # seed, then epoch, sample and draw, each counted from 1
        key = mix((coordinates[0] + golden) & mask)
        for coordinate in coordinates[1:]:
            key = mix((key + (coordinate + 1) * golden) & mask)
        return (key >> 40) / 2**24

    assert mix(golden) == 0xE220A8397B1DCDAF  # the generator's first output from state 0, as published
    for seed, epoch, sample in [(0, 0, 0), (5, 0, 1), (2**31 - 2, 999, 59_999)]:
        found = sample_uniform(seed, epoch, [sample], 3)[0].tolist()
        assert found == [twin(seed, epoch, sample, draw) for draw in range(3)]


# ------------------------------------------------------------------------------------------------------------- images
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (2, 9, 16), (1, 64, 5)])
def test_the_whole_image_without_jitter_is_the_identity(shape):
    augment = ImageAugmentation(scale=(1.0, 1.0), ratio=1.0, **STILL)
    X = noise(5, *shape)
    torch.testing.assert_close(augment(X, draws_for(augment, X)), X, rtol=0, atol=1e-5)


def crop_of(draw, scale, ratio):
    """Return (extent_y, extent_x, start_y, start_x) of one sample, in shares of the sides."""
    area = scale[0] + (scale[1] - scale[0]) * draw[0]
    aspect = ratio ** (2 * draw[1] - 1)
    extent_y, extent_x = min(1.0, (area * aspect) ** 0.5), min(1.0, (area / aspect) ** 0.5)
    return extent_y, extent_x, draw[2] * (1 - extent_y), draw[3] * (1 - extent_x)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 16), (2, 9, 20)])
@pytest.mark.parametrize(("scale", "ratio"), [((0.4, 1.0), 4 / 3), ((0.08, 0.3), 1.0), ((1.0, 1.0), 2.0)])
def test_crops_equal_torchs_grid_sample(shape, scale, ratio):
    augment = ImageAugmentation(scale=scale, ratio=ratio, **STILL)
    X = torch.rand(12, *shape, generator=torch.Generator().manual_seed(0))
    draws = draws_for(augment, X)
    thetas = []
    for draw in draws.tolist():
        extent_y, extent_x, start_y, start_x = crop_of(draw, scale, ratio)
        thetas.append([[extent_x, 0, 2 * start_x + extent_x - 1], [0, extent_y, 2 * start_y + extent_y - 1]])
    grid = F.affine_grid(torch.tensor(thetas), list(X.shape), align_corners=False)
    twin = F.grid_sample(X, grid, mode="bilinear", padding_mode="border", align_corners=False)
    torch.testing.assert_close(augment(X, draws), twin, rtol=0, atol=1e-5)


def test_a_crop_stays_in_the_range_of_the_image():
    augment = ImageAugmentation(**STILL)
    X = noise(20, 1, 12, 12)
    view = augment(X, draws_for(augment, X))
    assert (view.amax((1, 2, 3)) <= X.amax((1, 2, 3)) + 1e-5).all()
    assert (view.amin((1, 2, 3)) >= X.amin((1, 2, 3)) - 1e-5).all()


def test_a_flip_mirrors_the_columns_of_half_of_the_views():
    augment = ImageAugmentation(flip=True, scale=(1.0, 1.0), ratio=1.0, **STILL)
    X = noise(400, 2, 8, 8)
    draws = draws_for(augment, X)
    flipped = draws[:, 6] < 0.5
    assert 150 < flipped.sum() < 250
    view = augment(X, draws)
    torch.testing.assert_close(view[flipped], X[flipped].flip(-1), rtol=0, atol=1e-5)
    torch.testing.assert_close(view[~flipped], X[~flipped], rtol=0, atol=1e-5)


def test_a_flip_mirrors_the_crop():
    plain, mirrored = ImageAugmentation(**STILL), ImageAugmentation(flip=True, **STILL)
    X = noise(6, 1, 11, 14)
    draws = draws_for(mirrored, X)
    draws[:, 6] = 0.0
    torch.testing.assert_close(mirrored(X, draws), plain(X, draws[:, :6]).flip(-1), rtol=0, atol=1e-6)


def test_all_channels_share_the_crop_and_the_jitter():
    augment = ImageAugmentation(flip=True)
    one = noise(7, 1, 10, 10)
    X = one.expand(-1, 3, -1, -1)
    draws = draws_for(augment, X)
    view = augment(X, draws)
    torch.testing.assert_close(view, augment(one, draws).expand(-1, 3, -1, -1), rtol=0, atol=1e-5)


def test_jitter_scales_the_deviation_from_the_mean_and_adds_brightness():
    augment = ImageAugmentation(scale=(1.0, 1.0), ratio=1.0, contrast=0.4, brightness=0.5)
    X = noise(30, 3, 8, 8)
    draws = draws_for(augment, X)
    view = augment(X, draws)
    assert view.shape == X.shape
    for x, v, draw in zip(X, view, draws.tolist(), strict=True):
        expected = (x - x.mean()) * (0.6 + 0.8 * draw[4]) + x.mean() - 0.5 + draw[5]
        torch.testing.assert_close(v, expected, rtol=0, atol=1e-5)


def test_ranges_of_jitter_are_reached():
    augment = ImageAugmentation(scale=(1.0, 1.0), ratio=1.0)
    X = noise(3000, 1, 8, 8)
    view = augment(X, draws_for(augment, X))
    gain, shift = view.std((1, 2, 3)) / X.std((1, 2, 3)), view.mean((1, 2, 3)) - X.mean((1, 2, 3))
    assert 0.4 - 1e-4 <= gain.min() < 0.41
    assert 1.59 < gain.max() <= 1.6 + 1e-4
    assert -0.8 - 1e-4 <= shift.min() < -0.79
    assert 0.79 < shift.max() <= 0.8 + 1e-4


@pytest.mark.parametrize(
    ("augment", "shape"),
    [
        (ImageAugmentation(flip=True), (2, 9, 12)),
        (SequenceAugmentation(), (3, 40)),
        (TableAugmentation(), (11,)),
    ],
)
def test_a_view_depends_on_its_sample_and_draws_alone(augment, shape):
    X = noise(8, *shape)
    before, draws = X.clone(), draws_for(augment, X)
    assert draws.shape == (8, augment.n_draws(shape))
    view = augment(X, draws)
    assert view.shape == X.shape
    assert view.dtype == torch.float32
    assert not torch.equal(view, X)
    assert torch.equal(X, before)
    for i in range(8):
        torch.testing.assert_close(augment(X[i : i + 1], draws[i : i + 1])[0], view[i], rtol=0, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------- sequences
def test_a_whole_sequence_without_gain_is_the_identity():
    augment = SequenceAugmentation(scale=(1.0, 1.0), gain=0.0)
    X = noise(4, 3, 33)
    torch.testing.assert_close(augment(X, draws_for(augment, X)), X, rtol=0, atol=1e-5)


def test_a_sequence_crop_equals_linear_interpolation():
    augment = SequenceAugmentation(scale=(0.3, 0.9), gain=0.25)
    X = torch.rand(6, 2, 50, generator=torch.Generator().manual_seed(0))
    draws = draws_for(augment, X)
    view = augment(X, draws)
    for i, (d0, d1, d2) in enumerate(draws.tolist()):
        extent = 0.3 + 0.6 * d0
        position = ((np.arange(50) + 0.5) / 50 * extent + d1 * (1 - extent)) * 50 - 0.5
        for channel in range(2):
            twin = np.interp(position, np.arange(50), X[i, channel].numpy()) * (0.75 + 0.5 * d2)
            np.testing.assert_allclose(view[i, channel], twin, atol=1e-5)


# ------------------------------------------------------------------------------------------------------------- tables
@pytest.mark.parametrize("masked", [0.0, 0.3, 1.0])
def test_tables_are_masked_at_the_given_rate_and_otherwise_untouched(masked):
    augment = TableAugmentation(masked=masked)
    X = noise(2_000, 20)
    view = augment(X, draws_for(augment, X))
    share = (view == 0).float().mean().item()
    assert abs(share - masked) <= 4 * np.sqrt(masked * (1 - masked) / X.numel())
    assert torch.equal(view[view != 0], X[view != 0])


def test_masks_differ_between_columns_and_rows():
    augment = TableAugmentation(masked=0.5)
    mask = augment(torch.ones(1_000, 6), draws_for(augment, torch.ones(1_000, 6))).numpy()
    correlation = np.corrcoef(mask.T) - np.eye(6)
    assert np.abs(correlation).max() < 4.5 / np.sqrt(1_000)
