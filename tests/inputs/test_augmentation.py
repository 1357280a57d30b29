"""Views: uniform draws as a pure function, and augmentations against slow twins."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import noise as user_noise
from helpers import noise_of_the_batch
from scipy import stats
from scipy.spatial.transform import Rotation

from skdim.inputs.augmentation import (
    ImageAugmentation,
    SequenceAugmentation,
    TableAugmentation,
    TwoViews,
    choose_augmentation,
    sample_uniform,
)

STILL = {"contrast": 0.0, "brightness": 0.0, "saturation": 0.0, "hue": 0.0, "grey": 0.0}
WHOLE = {"scale": (1.0, 1.0), "ratio": 1.0}


def draws_for(augment, X, seed=0):
    return sample_uniform(seed, 0, torch.arange(len(X)), augment.n_draws(tuple(X.shape[1:])))


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------------------------------------------------- the draws
@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (1, 0), (0, 1), (2**31 - 2, 999)])
def test_draws_are_uniform_float32(seed, epoch):
    u = sample_uniform(seed, epoch, torch.arange(20_000), 4)
    assert (u.dtype, u.shape) == (torch.float32, (20_000, 4))
    u = u.numpy()
    assert 0 <= u.min() < u.max() < 1
    for column in [*u.T, u.ravel()[:10_000]]:
        assert stats.kstest(column.astype(float), "uniform").pvalue > 1e-3
    counts = np.histogram2d(u[:, 0], u[:, 1], bins=10, range=[[0, 1], [0, 1]])[0]  # serial pairs fill the square evenly
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3


def test_draws_are_independent_across_seeds_epochs_samples_and_draws():
    n = 20_000
    base = sample_uniform(3, 5, torch.arange(n), 3).numpy()
    others = {
        "seed": sample_uniform(4, 5, torch.arange(n), 3)[:, 0].numpy(),
        "epoch": sample_uniform(3, 6, torch.arange(n), 3)[:, 0].numpy(),
        "sample": np.roll(base[:, 0], 1),
        "draw": base[:, 1],
        "draw after": base[:, 2],
        "the same draw of the next sample": np.roll(base[:, 1], -1),
    }
    for name, other in others.items():
        for function in (np.asarray, np.square, lambda v: np.abs(v - 0.5)):
            assert abs(np.corrcoef(function(base[:, 0]), function(other))[0, 1]) < 4.5 / np.sqrt(n), name


def test_no_two_rows_share_their_draws():
    rows = [sample_uniform(seed, epoch, torch.arange(50), 3) for seed in range(6) for epoch in range(6)]
    assert len(np.unique(np.concatenate(rows), axis=0)) == 6 * 6 * 50


def test_draws_of_a_sample_depend_on_seed_epoch_and_row_alone():
    whole = sample_uniform(7, 2, torch.arange(100), 6)
    for rows in (torch.from_numpy(np.random.default_rng(0).permutation(100)), torch.tensor([42])):
        assert torch.equal(sample_uniform(7, 2, rows, 6), whole[rows])
    assert torch.equal(sample_uniform(7, 2, torch.arange(100), 12)[:, :6], whole)  # more draws begin with the same


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
        found = sample_uniform(seed, epoch, torch.tensor([sample]), 3)[0].tolist()
        assert found == [twin(seed, epoch, sample, draw) for draw in range(3)]


# ------------------------------------------------------------------------------------------------ images and sequences
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (2, 9, 16), (1, 64, 5), (3, 33)])
def test_the_whole_sample_without_jitter_is_the_identity(shape):
    images = ImageAugmentation(**WHOLE, **STILL)
    augment = images if len(shape) == 3 else SequenceAugmentation(scale=(1.0, 1.0), gain=0.0)
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
    view = augment(X, draws)
    torch.testing.assert_close(view, twin, rtol=0, atol=1e-5)
    assert (view.amax((1, 2, 3)) <= X.amax((1, 2, 3)) + 1e-5).all()
    assert (view.amin((1, 2, 3)) >= X.amin((1, 2, 3)) - 1e-5).all()


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


def test_a_flip_mirrors_the_crop_of_half_of_the_views():
    plain, mirrored = ImageAugmentation(**STILL), ImageAugmentation(flip=True, **STILL)
    X = noise(400, 2, 8, 11)
    draws = draws_for(mirrored, X)
    flipped = draws[:, 6] < 0.5
    assert 150 < flipped.sum() < 250
    view, crop = mirrored(X, draws), plain(X, draws[:, :6])
    torch.testing.assert_close(view[flipped], crop[flipped].flip(-1), rtol=0, atol=1e-5)
    torch.testing.assert_close(view[~flipped], crop[~flipped], rtol=0, atol=1e-5)


def test_all_channels_share_the_crop_and_the_jitter():
    augment, one = ImageAugmentation(flip=True), noise(7, 1, 10, 10)
    for n_channels in (2, 3):  # three may be colours, and these are all grey
        same = one.expand(-1, n_channels, -1, -1)
        draws = draws_for(augment, same)
        grey = augment(one, draws[:, :7]).expand_as(same)
        torch.testing.assert_close(augment(same, draws), grey, rtol=0, atol=1e-5)


def test_jitter_scales_the_deviation_from_the_mean_and_adds_brightness():
    augment, X = ImageAugmentation(**WHOLE | STILL | {"contrast": 0.4, "brightness": 0.5}), noise(3000, 3, 4, 4)
    draws = draws_for(augment, X)
    view, mean = augment(X, draws), X.mean((1, 2, 3), keepdim=True)
    gain, shift = (draws[:, part, None, None, None] for part in (4, 5))
    torch.testing.assert_close(view, (X - mean) * (0.6 + 0.8 * gain) + mean - 0.5 + shift, rtol=0, atol=1e-5)
    found = view.std((1, 2, 3)) / X.std((1, 2, 3))  # and the ranges are reached
    assert 0.6 - 1e-4 <= found.min() < 0.61
    assert 1.39 < found.max() <= 1.4 + 1e-4


def test_colours_turn_about_the_axis_of_greys_and_change_in_saturation():
    """The twin turns by Rodrigues' formula, in SciPy."""
    colour = {"saturation": 0.7, "hue": 0.3, "grey": 0.25}
    augment, plain = ImageAugmentation(**STILL | colour), ImageAugmentation(**STILL)
    X = noise(500, 3, 6, 5)
    draws = draws_for(augment, X)
    view, crop = augment(X, draws), plain(X, draws)
    for i, (saturation, hue, grey) in enumerate(draws[:, -3:].tolist()):
        turn = Rotation.from_rotvec(2 * np.pi * 0.3 * (2 * hue - 1) * np.ones(3) / np.sqrt(3)).as_matrix()
        pixels = crop[i].flatten(1).double().numpy()
        light = pixels.mean(0)
        factor = 0.0 if grey < 0.25 else 0.3 + 1.4 * saturation
        twin = light + factor * turn @ (pixels - light)
        np.testing.assert_allclose(view[i].flatten(1), twin, atol=1e-5)
    without = ((view - view.mean(1, keepdim=True)).abs().amax((1, 2, 3)) < 1e-5).float().mean()
    assert abs(without - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 500)


def test_colour_keeps_the_light_of_every_pixel():
    X = noise(40, 3, 7, 7)
    augment = ImageAugmentation(**WHOLE, contrast=0.0, brightness=0.0)
    view = augment(X, draws_for(augment, X))
    torch.testing.assert_close(view.mean(1), X.mean(1), rtol=0, atol=1e-5)
    assert (view - X).abs().amax() > 0.5
    for n_channels in (1, 2, 4):
        assert augment.n_draws((n_channels, 7, 7)) == 6


# ------------------------------------------------------------------------------------------------------------- tables
@pytest.mark.parametrize("masked", [0.0, 0.3, 1.0])
def test_tables_are_masked_at_the_given_rate_and_otherwise_untouched(masked):
    augment, X = TableAugmentation(masked=masked), noise(2_000, 20)
    view = augment(X, draws_for(augment, X))
    mask = (view == 0).float()
    assert abs(mask.mean().item() - masked) <= 4 * math.sqrt(masked * (1 - masked) / X.numel())
    assert torch.equal(view[view != 0], X[view != 0])
    if masked == 0.3:  # columns are masked independently of each other
        assert np.abs(np.corrcoef(mask.numpy().T) - np.eye(20)).max() < 4.5 / math.sqrt(2_000)


# --------------------------------------------------------------------------------------------------------- both views
AUGMENTATIONS = [
    (ImageAugmentation(flip=True), (2, 9, 12)),
    (ImageAugmentation(), (3, 9, 12)),
    (SequenceAugmentation(), (3, 40)),
    (TableAugmentation(), (11,)),
]


@pytest.mark.parametrize(("augment", "shape"), AUGMENTATIONS, ids=str)
def test_a_view_depends_on_its_sample_and_draws_alone(augment, shape):
    X = noise(8, *shape)
    before, draws = X.clone(), draws_for(augment, X)
    view = augment(X, draws)
    assert (view.shape, view.dtype) == (X.shape, torch.float32)
    assert not torch.equal(view, X)
    assert torch.equal(X, before)
    for i in range(8):
        torch.testing.assert_close(augment(X[i : i + 1], draws[i : i + 1])[0], view[i], rtol=0, atol=1e-5)
    assert choose_augmentation("auto", shape) == type(augment)()
    views = TwoViews(augment, shape)
    assert views.n_draws == 2 * augment.n_draws(shape)
    assert views.draw(0, None) == {}
    assert torch.equal(views(X, torch.cat([draws, draws], 1))[1], view)


USER_MODULE = torch.nn.Sequential(torch.nn.Linear(5, 5), torch.nn.BatchNorm1d(5), torch.nn.Dropout(0.5))


@pytest.mark.parametrize("augment", [user_noise, noise_of_the_batch, USER_MODULE], ids=["generator", "batch", "module"])
def test_a_users_function_draws_from_a_seed_and_leaves_the_global_generator(augment):
    views, X, state = TwoViews(augment, (5,)), noise(8, 5), torch.get_rng_state()

    def pair(first_row, seed):
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return torch.stack(views(X, torch.empty(8, 0), **views.draw(first_row, generator)))

    a = pair(0, 1)
    assert not torch.equal(a[0], a[1])
    assert torch.equal(a, pair(0, 1))
    assert not torch.equal(a, pair(0, 2))
    assert not torch.equal(a, pair(4, 1))  # another process's rows
    assert torch.equal(pair(0, None), pair(0, None))  # held-out views are fixed
    assert torch.equal(torch.get_rng_state(), state)


def test_a_users_module_is_not_changed_and_learns_nothing():
    before = {name: tensor.clone() for name, tensor in USER_MODULE.state_dict().items()}
    views, X = TwoViews(USER_MODULE, (5,)), noise(8, 5)
    first = views(X, torch.empty(8, 0), torch.Generator().manual_seed(0))
    views(3 * X + 1, torch.empty(8, 0), torch.Generator().manual_seed(1))
    again = views(X, torch.empty(8, 0), torch.Generator().manual_seed(0))
    assert torch.equal(first[0], again[0])  # whatever came between
    assert not first[0].requires_grad
    assert all(torch.equal(tensor, before[name]) for name, tensor in USER_MODULE.state_dict().items())
    assert all(part.training for part in USER_MODULE.modules())


BATCHES = {"table": torch.ones(4, 6), "sequences": torch.ones(4, 2, 10), "images": torch.ones(4, 1, 8, 8)}
WRONG = {
    "few rows": (lambda X: X[:3], ValueError, r"returned \(3, "),
    "another shape": (lambda X: X[..., 1:], ValueError, "of shape"),
    "float64": (lambda X: X.double(), ValueError, "float64"),
    "half": (lambda X, generator: X.half(), ValueError, "float16"),
    "an array": (lambda X: X.numpy(), TypeError, "returned ndarray"),
    "nothing": (lambda X: None, TypeError, "returned NoneType"),
}


@pytest.mark.parametrize("data", BATCHES)
@pytest.mark.parametrize("name", WRONG)
def test_a_users_view_that_is_none_is_refused(name, data):
    augment, error, match = WRONG[name]
    X = BATCHES[data]
    views = TwoViews(augment, tuple(X.shape[1:]))
    with pytest.raises(error, match=f"augment must return a .*{match}"):
        views(X, torch.zeros(len(X), 0), torch.Generator())


@pytest.mark.parametrize(
    ("augment", "data", "match"),
    [
        (ImageAugmentation(ratio=-1), "images", r"ratio=-1\) must be a number of at least 1"),
        (
            ImageAugmentation(scale=(0.9, 0.1)),
            "images",
            r"scale=\(0.9, 0.1\)\) must be two numbers 0 < low <= high <= 1",
        ),
        (ImageAugmentation(scale=0.5), "images", r"scale=0.5\)"),
        (ImageAugmentation(brightness=float("nan")), "images", "brightness=nan"),
        (SequenceAugmentation(gain="much"), "sequences", "gain='much'"),
        (SequenceAugmentation(scale=(0, 1)), "sequences", r"scale=\(0, 1\)"),
        (TableAugmentation(masked=5), "table", r"masked=5\) must be a number from 0 to 1"),
        (ImageAugmentation(), "table", "ImageAugmentation takes images; this input is a table"),
        (ImageAugmentation(), "sequences", "takes images; this input is sequences"),
        (SequenceAugmentation(), "images", "takes sequences; this input is images"),
        (TableAugmentation(), "images", "takes a table; this input is images"),
    ],
)
def test_what_an_augmentation_cannot_do_is_refused_before_training(augment, data, match):
    with pytest.raises(ValueError, match=match):
        TwoViews(augment, tuple(BATCHES[data].shape[1:]))
