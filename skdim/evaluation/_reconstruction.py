"""How much of an image a decoder finds in its features."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils._param_validation import Interval, RealNotInt, validate_params
from torch import Tensor, nn

from skdim._params import check_sizes
from skdim._random import local_seed
from skdim.evaluation._frames import frame
from skdim.evaluation._inputs import Array, check_features, draw_seed
from skdim.evaluation._networks import Supervised, train
from skdim.nn.layers import mlp
from skdim.training.device import resolve_device

#: Weights of the scales, from fine to coarse: Wang, Simoncelli & Bovik 2003, Section 3.2.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
#: Side of the Gaussian window, and its standard deviation: Wang, Bovik, Sheikh & Simoncelli 2004, Section III.B.
WINDOW_SIZE, WINDOW_SD = 11, 1.5
#: Share of the training rows that chooses the epoch.
VALIDATION_FRACTION = 0.1
#: Images that are decoded and compared at once.
CHUNK = 512


@dataclass(frozen=True, eq=False)
class ReconstructionResult:
    """How like held-out images their reconstructions are.

    Attributes
    ----------
    values : ndarray of shape (n_test,)
        MS-SSIM of each image: 1 for the same image, 0 for one that has nothing in common with it.
    squared_error : ndarray of shape (n_test,)
        Mean squared error of each image, whose values are scaled to [0, 1].
    n_scales : int
        Scales that were compared; the definition has 5, which need images of 176 pixels a side.
    window_size : int
        Side of the window; the definition has 11.
    """

    values: Array
    squared_error: Array
    n_scales: int
    window_size: int

    @property
    def mean(self) -> float:
        """Mean MS-SSIM."""
        return float(self.values.mean())

    def __repr__(self) -> str:
        return (
            f"ReconstructionResult(MS-SSIM {self.mean:.3f} of {len(self.values)} images, {self.n_scales} scale(s), window of "
            f"{self.window_size}, squared error {self.squared_error.mean():.4f})"
        )

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with a row for each held-out image."""
        return frame({"ms_ssim": self.values, "squared_error": self.squared_error})


@validate_params(
    {
        "Z": ["array-like"],
        "X": ["array-like"],
        "Z_test": ["array-like", None],
        "X_test": ["array-like", None],
        "input_shape": [tuple, list, None],
        "hidden_layer_sizes": [tuple, list],
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "test_fraction": [Interval(RealNotInt, 0, 1, closed="neither")],
        "device": [str],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
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
    r"""Train a decoder from features to images, and say how like the held-out images its reconstructions are.

    .. math:: \mathrm{MS\text{-}SSIM}(x, \hat x) = l_M^{w_M} \prod_{s=1}^{M} (c_s)^{w_s}

    with luminance l and contrast and structure c in Gaussian windows at M scales [1]_. A network with ReLU layers is trained by
    squared error, as Hjelm et al. [2]_ do, stopped by that on rows of its own, and starts from the mean image. It needs
    torchmetrics, the extra ``metrics``.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_features)
        Features.
    X : array-like of shape (n_samples, H, W), (n_samples, C, H, W) or (n_samples, n_values)
        The images that they came from.
    Z_test, X_test : array-like, default=None
        Rows to judge on. None holds out a part of Z and X.
    input_shape : tuple of int, default=None
        (H, W) or (C, H, W) of flat images.
    hidden_layer_sizes : tuple of int, default=(512, 512)
        ReLU layers of the decoder.
    n_steps : int, default=3000
        Training steps, about; within 10 to 400 epochs.
    test_fraction : float, default=0.25
        Share of the rows that is held out where no part to judge on is given.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", "mps"; "auto" is CUDA where there is one.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out part, and seeds the decoder.

    Returns
    -------
    ReconstructionResult
        MS-SSIM and squared error of each held-out image, scales and window.

    Raises
    ------
    ImportError
        If torchmetrics is not installed.
    ValueError, TypeError
        If a parameter is not what it may be, features or images are not finite, differ in number, are no images, have a side
        below 3 pixels, or are all alike.

    Notes
    -----
    The definition halves images four times, and its window of 11 pixels must still fit. Of smaller images as many scales are
    taken as fit (28 pixels: 2, 44: 3, 99: 4, 176: 5) with their weights scaled to the sum 1; below 11 pixels one scale with a
    smaller window. Compare values of the same ``n_scales`` and ``window_size`` only. Negative structure counts as 0.

    References
    ----------
    .. [1] Wang, Simoncelli & Bovik, "Multi-scale structural similarity for image quality assessment", Asilomar 2003, Eq. 7.
    .. [2] Hjelm et al., "Learning deep representations by mutual information estimation and maximization", ICLR 2019,
       Section 4.1.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdim.evaluation import reconstruction_similarity
    >>> X = load_digits().images
    >>> result = reconstruction_similarity(X.reshape(-1, 64), X, n_steps=200, random_state=0)
    >>> result.mean > 0.8, result.n_scales, result.window_size
    (True, 1, 7)
    """
    ms_ssim = _ms_ssim()
    hidden = check_sizes("hidden_layer_sizes", hidden_layer_sizes)
    seed = draw_seed(random_state)
    Z, images = _check_pair(Z, X, input_shape, "Z", "X")
    if (Z_test is None) != (X_test is None):
        raise ValueError("Give Z_test and X_test together, or neither: a part is then held out of Z and X.")
    if Z_test is None:
        Z, Z_test, images, images_test = train_test_split(Z, images, test_size=test_fraction, random_state=seed)
    else:
        Z_test, images_test = _check_pair(Z_test, X_test, input_shape, "Z_test", "X_test")
        if Z_test.shape[1] != Z.shape[1] or images_test.shape[1:] != images.shape[1:]:
            raise ValueError(
                f"Test rows have {Z_test.shape[1]} features and images of shape {images_test.shape[1:]}, training rows "
                f"{Z.shape[1]} and {images.shape[1:]}."
            )
    if len(Z) < 2:
        raise ValueError(
            f"{len(Z)} image is left to learn from, after {len(Z_test)} held out: give more, or Z_test and X_test."
        )
    low, high = float(images.min()), float(images.max())
    if not high > low:
        raise ValueError(f"All values of X are {low}: there is nothing to reconstruct.")
    targets, expected = ((part.astype(np.float32) - low) / (high - low) for part in (images, images_test))
    scaler = StandardScaler().fit(Z)
    decode = _trained_decoder(scaler.transform(Z), targets, hidden, n_steps, seed, device)

    n_scales, window = _scales(min(images.shape[2:]))
    values, errors = [], []
    for start in range(0, len(expected), CHUNK):
        true = torch.from_numpy(expected[start : start + CHUNK])
        made = decode(scaler.transform(Z_test[start : start + CHUNK])).clamp(0, 1).reshape(true.shape)
        values.append(np.atleast_1d(ms_ssim(made, true.clamp(0, 1), n_scales, window).double().numpy()))
        errors.append((made - true).square().flatten(1).mean(1).double().numpy())
    return ReconstructionResult(np.concatenate(values), np.concatenate(errors), n_scales, window)


def _ms_ssim() -> Callable[[Tensor, Tensor, int, int], Tensor]:
    """Return MS-SSIM of images with values from 0 to 1, as torchmetrics has it."""
    try:
        from torchmetrics.functional.image import multiscale_structural_similarity_index_measure
    except ImportError as error:
        raise ImportError(
            "reconstruction_similarity needs torchmetrics, which is not installed: pip install 'scikit-deepinfomax[metrics]'."
        ) from error

    def ms_ssim(made: Tensor, true: Tensor, n_scales: int, window: int) -> Tensor:
        weights = np.array(SCALE_WEIGHTS[:n_scales]) / sum(SCALE_WEIGHTS[:n_scales])
        similarity: Tensor = multiscale_structural_similarity_index_measure(
            made,
            true,
            sigma=WINDOW_SD * window / WINDOW_SIZE,  # from which torchmetrics takes the window's side
            kernel_size=window,
            reduction="none",
            data_range=1.0,
            betas=tuple(weights.tolist()),
            normalize="relu",
        )
        return similarity

    return ms_ssim


def _scales(side: int) -> tuple[int, int]:
    """Return the number of scales and the window that images of this side allow."""
    # Halved s - 1 times, the window must fit; torchmetrics asks for (s - 1)^2 windows as well.
    fits = [s for s in range(1, len(SCALE_WEIGHTS) + 1) if side >= WINDOW_SIZE * max(2 ** (s - 1), (s - 1) ** 2)]
    return (fits[-1], WINDOW_SIZE) if fits else (1, side - 1 + side % 2)


def _check_pair(
    Z: Any, X: Any, input_shape: Any, name_z: str, name_x: str
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return features and images (n, C, H, W)."""
    Z = check_features(Z, name_z)
    X = check_array(X, dtype="numeric", allow_nd=True, input_name=name_x)
    check_consistent_length(Z, X)
    if input_shape is not None:
        shape = check_sizes("input_shape", input_shape)
        if len(shape) not in (2, 3) or math.prod(shape) != math.prod(X.shape[1:]):
            raise ValueError(f"input_shape={shape} must be (H, W) or (C, H, W), and match {name_x} of shape {X.shape}.")
        X = X.reshape(len(X), *shape)
    if X.ndim not in (3, 4):
        raise ValueError(
            f"{name_x} has shape {X.shape}; images are (n, H, W) or (n, C, H, W), or flat with input_shape=(H, W) or (C, H, W)."
        )
    X = X[:, None] if X.ndim == 3 else X
    if min(X.shape[2:]) < 3:
        raise ValueError(
            f"Images of {X.shape[2]} x {X.shape[3]} pixels have no structure to compare: 3 a side are the least."
        )
    return Z, X


def _trained_decoder(
    Z: npt.NDArray[Any], targets: npt.NDArray[np.float32], hidden: Sequence[int], n_steps: int, seed: int, device: str
) -> Callable[[npt.NDArray[Any]], Tensor]:
    """Train a decoder, and return it as a function of features."""
    on = resolve_device(device)
    z, x = torch.from_numpy(Z).float().to(on), torch.from_numpy(targets).flatten(1).to(on)
    with local_seed(seed):
        network = mlp(z.shape[1], hidden, x.shape[1], start=x.mean(dim=0).cpu())
    decoder = Supervised(network, F.mse_loss).to(on)
    order = np.random.default_rng(seed).permutation(len(z))
    valid, rest = np.split(order, [max(1, round(VALIDATION_FRACTION * len(z)))])

    @torch.no_grad()
    def held_out_loss(module: nn.Module) -> float:
        return float(module([z[valid], x[valid]], {})[0])

    train(decoder, [z, x], rest, held_out_loss, n_steps, seed, "reconstruction_similarity")
    network.eval()

    @torch.no_grad()
    def decode(Z: npt.NDArray[Any]) -> Tensor:
        made: Tensor = network(torch.from_numpy(Z).float().to(on)).cpu()
        return made

    return decode
