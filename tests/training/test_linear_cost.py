"""What a fit and transform cost grows with a length or a number of pixels, not with the square: no tensor is larger."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers import Largest

from skdim import CPCTransformer, DeepInfoMaxTransformer, MultiViewInfoMaxTransformer
from skdim.inputs import ImageAugmentation, SequenceAugmentation

N = 2


def fitted(make, *shape):
    def run(size):
        X = np.random.default_rng(0).normal(size=(N, *(size if side is None else side for side in shape)))
        make().set_params(max_iter=1, random_state=0).fit(X).transform(X)

    return run


def augmented(augment, *shape):
    def run(size):
        X = torch.zeros(N, *(size if side is None else side for side in shape))
        augment(X, torch.full((N, augment.n_draws(X.shape[1:])), 0.5))

    return run


SEQUENCES, IMAGES = (500, 2000, 8000), (32, 64, 128)
CASES = {
    "sequence views": (augmented(SequenceAugmentation(), 1, None), SEQUENCES, 1),
    "image views": (augmented(ImageAugmentation(), 1, None, None), IMAGES, 2),
    "wide images": (augmented(ImageAugmentation(), 1, 8, None), SEQUENCES, 1),
    "conv1d": (fitted(lambda: DeepInfoMaxTransformer(encoder="conv1d"), 1, None), SEQUENCES, 1),
    "cpc": (fitted(CPCTransformer, None), SEQUENCES, 1),
    "cpc causal": (fitted(lambda: CPCTransformer(negatives="sequence"), None), SEQUENCES, 1),
    "cpc all": (fitted(lambda: CPCTransformer(negatives="all"), None), SEQUENCES, 1),
    "halves": (fitted(lambda: MultiViewInfoMaxTransformer(views="halves", encoder="conv1d"), 1, None), SEQUENCES, 1),
    "shift": (fitted(lambda: MultiViewInfoMaxTransformer(views="shift", encoder="conv1d"), 1, None), SEQUENCES, 1),
    "images": (fitted(DeepInfoMaxTransformer, 1, None, None), IMAGES, 2),
    "resnet": (fitted(lambda: DeepInfoMaxTransformer(encoder="resnet"), 3, None, None), (32, 64), 2),
}


@pytest.mark.parametrize("name", CASES)
def test_no_tensor_grows_with_the_square(name):
    run, sizes, axes = CASES[name]
    largest = []
    for size in sizes:
        with Largest() as of_size:
            run(size)
        largest.append(of_size.size)
    for (size, values), (next_size, next_values) in pairwise(zip(sizes, largest, strict=True)):
        assert next_values <= 1.25 * values * (next_size / size) ** axes


def dense(size, extent, start):
    """Return the matrices (n, size, size) of linear interpolation that the gathers stand for."""
    centres = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    place = ((centres * extent[:, None] + start[:, None]) * size - 0.5).clamp(0, size - 1)
    return (1 - (place[:, :, None] - torch.arange(size)).abs()).clamp_min(0)


@pytest.mark.parametrize("length", [1, 2, 9, 100, 1000])
def test_a_sequence_s_view_is_the_product_with_a_dense_matrix(length):
    augment, generator = SequenceAugmentation(scale=(0.2, 1.0), gain=0.0), torch.Generator().manual_seed(length)
    X = torch.randn(20, 3, length, generator=generator).double()
    draws = torch.rand(20, 3, generator=generator).double()
    extent = 0.2 + 0.8 * draws[:, 0]
    expected = X @ dense(length, extent, draws[:, 1] * (1 - extent)).transpose(1, 2)
    torch.testing.assert_close(augment(X, draws), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("sides", [(1, 9), (8, 8), (28, 20), (64, 64)])
def test_an_image_s_view_is_the_product_with_dense_matrices(sides):
    still = dict.fromkeys(("contrast", "brightness", "saturation", "hue", "grey"), 0.0)
    augment = ImageAugmentation(scale=(0.1, 1.0), flip=True, **still)
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(20, 3, *sides, generator=generator).double()
    draws = torch.rand(20, 7, generator=generator).double()
    area, aspect = 0.1 + 0.9 * draws[:, 0], (4 / 3) ** (2 * draws[:, 1] - 1)
    extents = [(area * aspect).sqrt().clamp_max(1), (area / aspect).sqrt().clamp_max(1)]
    rows, columns = (
        dense(side, extent, start * (1 - extent))
        for side, extent, start in zip(sides, extents, (draws[:, 2], draws[:, 3]), strict=True)
    )
    columns = torch.where((draws[:, 6] < 0.5)[:, None, None], columns.flip(1), columns)
    expected = rows[:, None] @ X @ columns.transpose(1, 2)[:, None]
    torch.testing.assert_close(augment(X, draws), expected, rtol=0, atol=1e-9)
