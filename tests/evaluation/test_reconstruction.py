"""Reconstructions: features that hold the image beat those that do not; scales that fit; MS-SSIM's own laws."""

import sys

import numpy as np
import pytest
import torch
from helpers import IMAGES

from skdim.evaluation import reconstruction_similarity
from skdim.evaluation._reconstruction import _ms_ssim, _scales

PIXELS = IMAGES.reshape(len(IMAGES), -1)


def quick(Z, X=IMAGES, **params):
    return reconstruction_similarity(Z, X, **{"n_steps": 200, "hidden_layer_sizes": (64,), "random_state": 0, **params})


def test_the_more_features_hold_the_more_comes_back():
    noise = np.random.default_rng(0).normal(size=(len(IMAGES), 4))
    everything, half, nothing = (quick(Z) for Z in (PIXELS, PIXELS[:, :32], noise))
    assert everything.mean > half.mean > nothing.mean
    assert everything.squared_error.mean() < half.squared_error.mean() < nothing.squared_error.mean()
    assert ((everything.values >= 0) & (everything.values <= 1)).all()


def test_features_that_say_nothing_give_the_mean_image():
    result = quick(np.ones((len(IMAGES), 3)), Z_test=np.ones((100, 3)), X_test=IMAGES[:100])
    expected = ((IMAGES[:100] - IMAGES.mean(0)) ** 2).mean(axis=(1, 2)) / 16**2
    np.testing.assert_allclose(result.squared_error, expected, atol=2e-3)


def test_shapes_and_units_change_nothing():
    first = quick(PIXELS)
    for X, shape in ((IMAGES[:, None], None), (PIXELS, (8, 8)), (PIXELS, (1, 8, 8)), (255 * IMAGES + 3, None)):
        np.testing.assert_allclose(quick(PIXELS, X, input_shape=shape).values, first.values, atol=1e-4)
    assert (first.n_scales, first.window_size) == (1, 7)
    assert "1 scale(s), window of 7" in repr(first)
    assert list(first.to_frame()) == ["ms_ssim", "squared_error"]


@pytest.mark.parametrize(
    ("side", "scales"),
    [(3, (1, 3)), (8, (1, 7)), (11, (1, 11)), (21, (1, 11)), (28, (2, 11)), (44, (3, 11)), (98, (3, 11)), (99, (4, 11)),
     (176, (5, 11))],
)  # fmt: skip
def test_scales_that_fit_are_taken(side, scales):
    assert _scales(side) == scales
    image = torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(_ms_ssim(image, image, *scales), 1, rtol=1e-5)
    worse = [_ms_ssim((image + eps * (0.5 - image)), image, *scales).mean() for eps in (0.1, 0.3, 0.9)]
    assert 1 > worse[0] > worse[1] > worse[2] >= 0


def test_without_torchmetrics_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image", None)
    with pytest.raises(ImportError, match=r"pip install 'scikit-deepinfomax\[metrics\]'"):
        quick(PIXELS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": PIXELS[:50]}, r"images are \(n, H, W\) or \(n, C, H, W\), or flat with input_shape"),
        ({"input_shape": (7, 8)}, r"input_shape=\(7, 8\) must be \(H, W\) or \(C, H, W\), and match X"),
        ({"X": np.ones((50, 2, 9))}, "2 x 9 pixels"),
        ({"X": np.ones((50, 8, 8))}, "All values of X are 1.0"),
        ({"X": IMAGES[:49]}, "inconsistent"),
        ({"Z_test": PIXELS[:5]}, "together"),
        (
            {"Z_test": PIXELS[:5, 1:], "X_test": IMAGES[:5]},
            r"Test rows have 63 features and images of shape \(1, 8, 8\)",
        ),
        ({"Z": PIXELS[:2], "X": IMAGES[:2]}, "1 image is left to train on, after 1 held out"),
        ({"n_steps": 0}, "n_steps"),
    ],
)
def test_refuses_what_it_cannot_use(change, message):
    with pytest.raises(ValueError, match=message):
        quick(**({"Z": PIXELS[:50], "X": IMAGES[:50]} | change))


def test_held_out_features_beyond_float32_are_refused():
    rng = np.random.default_rng(0)
    Z, X = rng.normal(size=(12, 3)), rng.random((12, 16, 16))
    far = Z.copy()
    far[4] = 1e200
    with pytest.raises(ValueError, match=r"1 held-out row\(s\) of Z lie more than"):
        reconstruction_similarity(Z, X, far, X, n_steps=1, hidden_layer_sizes=(4,), random_state=0)
