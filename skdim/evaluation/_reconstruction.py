"""How much of an image a decoder finds in its features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array
from torch import Tensor

from skdim._params import check_sizes
from skdim._sklearn import Interval, draw_seed
from skdim.evaluation._inputs import Array, Result, Scaler, check_features, check_together, validated
from skdim.evaluation._networks import Training, outputs
from skdim.exceptions import optional
from skdim.inputs.scales import FARTHEST, unit_of
from skdim.inputs.tables import as_plain, check_lengths

#: The module with MS-SSIM, what needs it, and the extra that brings it.
MS_SSIM = ("torchmetrics.functional.image", "reconstruction_similarity", "metrics")
#: Weights of the scales, from fine to coarse: Wang, Simoncelli & Bovik 2003, Section 3.2.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
#: Side of the Gaussian window, and its standard deviation: Wang, Bovik, Sheikh & Simoncelli 2004, Section III.B.
WINDOW_SIZE, WINDOW_SD = 11, 1.5
#: Images that are compared at once.
CHUNK = 512


@dataclass(frozen=True, eq=False, repr=False)
class ReconstructionResult(Result):
    """How similar held-out images and their reconstructions are; a frame has a row for each image.

    Attributes
    ----------
    values : ndarray of shape (n_test,)
        MS-SSIM of each image: 1 for the same image, 0 if they have nothing in common.
    squared_error : ndarray of shape (n_test,)
        Mean squared error of each image, with values scaled to [0, 1].
    n_scales, window_size : int
        Number of scales and side of the window.
    """

    values: Array
    squared_error: Array
    n_scales: int
    window_size: int

    @property
    def mean(self) -> float:
        """Mean MS-SSIM."""
        return float(self.values.mean())

    def _summary(self) -> str:
        scales, error = f"{self.n_scales} scale(s), window of {self.window_size}", self.squared_error.mean()
        return f"MS-SSIM {self.mean:.3f} of {len(self.values)} images, {scales}, squared error {error:.4f}"

    def _columns(self) -> dict[str, Any]:
        return {"ms_ssim": self.values, "squared_error": self.squared_error}


@validated(X=["array-like"], input_shape=[tuple, list, None], n_steps=[Interval(Integral, 1, None, closed="left")])
def reconstruction_similarity(
    Z: Any,
    X: Any,
    Z_test: Any = None,
    X_test: Any = None,
    *,
    input_shape: Any = None,
    hidden_layer_sizes: Any = (512, 512),
    n_steps: int = 3000,
    test_fraction: float = 0.25,
    device: str = "auto",
    random_state: Any = None,
) -> ReconstructionResult:
    r"""Train a decoder from features to images, and compare the held-out images with their reconstructions.

    .. math:: \mathrm{MS\text{-}SSIM}(x, \hat x) = l_M^{w_M} \prod_{s=1}^{M} (c_s)^{w_s}

    with luminance l and contrast and structure c in Gaussian windows at M scales (Wang, Simoncelli & Bovik, "Multi-scale
    structural similarity for image quality assessment", Asilomar 2003, Eq. 7). The decoder is a ReLU network trained by squared
    error, as in Hjelm et al. (ICLR 2019, Section 4.1), and stopped by its error on held-out rows. The function needs
    torchmetrics, the extra ``metrics``.

    The definition has 5 scales and a window of 11 pixels, for sides of 176 pixels or more. Smaller images have as many scales
    as fit (28 pixels: 2, 44: 3, 99: 4), with weights scaled to the sum 1, and below 11 pixels one scale with a smaller
    window. Values are comparable if ``n_scales`` and ``window_size`` agree. Negative structure counts as 0.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_features)
        Features.
    X : array-like of shape (n_samples, H, W), (n_samples, C, H, W) or (n_samples, n_values)
        Their images, of at least 3 pixels a side.
    Z_test, X_test : array-like, default=None
        Held-out rows. None holds out a part of Z and X.
    input_shape : tuple of int, default=None
        (H, W) or (C, H, W) of flat images.
    hidden_layer_sizes : tuple of int, default=(512, 512)
        ReLU layers of the decoder.
    n_steps : int, default=3000
        Training steps, approximately: from 10 to 400 epochs.
    test_fraction : float, default=0.25
        Share of the rows that is held out if no held-out rows are given.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", "mps"; "auto" is CUDA if there is one.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out part and seeds the decoder.

    Returns
    -------
    ReconstructionResult
        MS-SSIM and squared error of each held-out image, number of scales and window.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdim.evaluation import reconstruction_similarity
    >>> X = load_digits().images
    >>> result = reconstruction_similarity(X.reshape(-1, 64), X, n_steps=200, random_state=0)
    >>> result.mean > 0.8, result.n_scales, result.window_size
    (True, 1, 7)
    """
    optional(*MS_SSIM)  # before the decoder is trained
    hidden = check_sizes("hidden_layer_sizes", hidden_layer_sizes)
    seed = draw_seed(random_state)
    Z, images = _check_pair(Z, X, input_shape)
    check_together(Z_test, X_test, "X")
    if Z_test is None:
        Z, Z_test, images, images_test = train_test_split(Z, images, test_size=test_fraction, random_state=seed)
    else:
        Z_test, images_test = _check_pair(Z_test, X_test, input_shape, "_test")
    _check_parts((Z, images), (Z_test, images_test))
    low, high = float(images.min()), float(images.max())
    if not high > low:
        raise ValueError(f"All values of X are {low}: there is nothing to reconstruct.")
    unit = float(unit_of(np.array(max(-low, high))))
    low, high = low * unit, high * unit
    targets, expected = (_scaled(part, unit, low, high) for part in (images, images_test))
    scaler, flat = Scaler().fit(Z), torch.from_numpy(targets).flatten(1)
    training = Training(hidden, n_steps, seed, device, "reconstruction_similarity")
    decoder = training.supervised(scaler.transform(Z), flat, flat.mean(dim=0), F.mse_loss)
    held_out = scaler.transform(Z_test)
    if (far := (np.abs(held_out) > FARTHEST).any(1)).any():
        raise ValueError(
            f"{far.sum()} held-out row(s) of Z lie more than {FARTHEST:.0e} standard deviations from the training rows, too "
            "far for float32. Drop the rows, or scale the features."
        )
    n_scales, window = _scales(min(images.shape[2:]))
    values, errors = [], []
    for start in range(0, len(expected), CHUNK):
        true = torch.from_numpy(expected[start : start + CHUNK])
        decoded = outputs(decoder, held_out[start : start + CHUNK]).clamp(0, 1).reshape(true.shape)
        values.append(np.atleast_1d(_ms_ssim(decoded, true.clamp(0, 1), n_scales, window).double().numpy()))
        errors.append((decoded - true).square().flatten(1).mean(1).double().numpy())
    return ReconstructionResult(np.concatenate(values), np.concatenate(errors), n_scales, window)


def _check_parts(train: tuple[Any, Any], test: tuple[Any, Any]) -> None:
    """Raise a ``ValueError`` if pairs of features and images differ in shape, or too few are left to train on."""
    of_test, of_train = (f"{z.shape[1]} features and images of shape {x.shape[1:]}" for z, x in (test, train))
    if of_test != of_train:
        raise ValueError(f"Test rows have {of_test}, training rows {of_train}.")
    if len(train[0]) < 2:
        raise ValueError(
            f"{len(train[0])} image is left to train on, after {len(test[0])} held out. Give more samples."
        )


def _scaled(images: npt.NDArray[Any], unit: float, low: float, high: float) -> npt.NDArray[np.float32]:
    values = np.multiply(images, unit, dtype=np.result_type(images.dtype, np.float32))
    return ((values - low) / (high - low)).astype(np.float32, copy=False)


def _ms_ssim(decoded: Tensor, true: Tensor, n_scales: int, window: int) -> Tensor:
    weights = np.array(SCALE_WEIGHTS[:n_scales]) / sum(SCALE_WEIGHTS[:n_scales])
    return optional(*MS_SSIM).multiscale_structural_similarity_index_measure(
        decoded,
        true,
        sigma=WINDOW_SD * window / WINDOW_SIZE,  # from which torchmetrics takes the window's side
        kernel_size=window,
        reduction="none",
        data_range=1.0,
        betas=tuple(weights.tolist()),
        normalize="relu",
    )


def _scales(side: int) -> tuple[int, int]:
    """Return the number of scales and the window that fit images of this side."""
    # The window must fit after s - 1 halvings; torchmetrics also asks for (s - 1)^2 windows.
    fits = [s for s in range(1, len(SCALE_WEIGHTS) + 1) if side >= WINDOW_SIZE * max(2 ** (s - 1), (s - 1) ** 2)]
    return (fits[-1], WINDOW_SIZE) if fits else (1, side - 1 + side % 2)


def _check_pair(Z: Any, X: Any, input_shape: Any, suffix: str = "") -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return features and images (n, C, H, W)."""
    name = f"X{suffix}"
    Z, X = (
        check_features(Z, f"Z{suffix}"),
        check_array(as_plain(X), dtype="numeric", allow_nd=True, input_name=name),
    )
    check_lengths(**{f"Z{suffix}": Z, name: X})
    if input_shape is not None:
        shape = check_sizes("input_shape", input_shape)
        if len(shape) not in (2, 3) or math.prod(shape) != math.prod(X.shape[1:]):
            raise ValueError(f"input_shape={shape} must be (H, W) or (C, H, W), and match {name} of shape {X.shape}.")
        X = X.reshape(len(X), *shape)
    if X.ndim not in (3, 4):
        raise ValueError(
            f"{name} has shape {X.shape}; images are (n, H, W) or (n, C, H, W), or flat with input_shape=(H, W) or (C, H, W)."
        )
    X = X[:, None] if X.ndim == 3 else X
    if min(X.shape[2:]) < 3:
        raise ValueError(f"Images must have at least 3 pixels a side, got {X.shape[2]} x {X.shape[3]} pixels.")
    return Z, X
