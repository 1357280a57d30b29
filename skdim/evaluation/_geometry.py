"""Geometry: directions that features fill, distances of positives, cover of the sphere, and an encoder's Jacobian."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from scipy.spatial.distance import cdist
from scipy.special import entr, logsumexp
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.func import jacrev, vmap

from skdim._sklearn import Interval
from skdim.base import InfoMaxTransformer
from skdim.evaluation._inputs import Array, Result, check_features, validated
from skdim.inputs.scales import unit_of
from skdim.inputs.tables import as_plain
from skdim.nn.encoders import Code
from skdim.nn.views import ViewEncoders

POSITIVE = [Interval(Real, 0, None, closed="neither")]
#: Rows whose distances to all others are held at once, and numbers in the Jacobians: 16 MiB in float32.
BLOCK, NUMBERS_AT_ONCE = 1024, 2**22


@validated(center=["boolean"])
def effective_rank(Z: Any, *, center: bool = False) -> float:
    r"""Return how many directions the features fill: the exponential of the entropy of their singular values.

    .. math:: \exp\Bigl(-\sum_k p_k \log p_k\Bigr), \qquad p_k = \sigma_k / \textstyle\sum_j \sigma_j

    Definition 1 of Roy & Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_features)
        Features, which must not all be 0.
    center : bool, default=False
        Whether to subtract the mean first. Without it, a mean far from 0 counts as one large direction.

    Returns
    -------
    float
        From 1, if all rows are multiples of one row, to min(n_samples, n_features), if all singular values are equal.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.evaluation import effective_rank
    >>> round(effective_rank(np.eye(5)), 6), round(effective_rank(np.ones((5, 3))), 6)
    (5.0, 1.0)
    """
    Z = check_features(Z).astype(np.float64, copy=False)
    Z = Z * unit_of(np.abs(Z).max())
    singular_values = np.linalg.svd(Z - Z.mean(axis=0) if center else Z, compute_uv=False)
    total = singular_values.sum()
    if not total > 0:
        raise ValueError(f"Z is 0{' after its mean is subtracted' if center else ''}: it has no effective rank.")
    return math.exp(entr(singular_values / total).sum())


@validated(Z_a=["array-like"], Z_b=["array-like"], alpha=POSITIVE)
def alignment(Z_a: Any, Z_b: Any, *, alpha: float = 2.0) -> float:
    r"""Return how far apart the features of positive pairs are on the unit sphere.

    .. math:: E_{(x, y)} \lVert z(x) - z(y) \rVert^\alpha

    Section 4.1 of Wang & Isola, "Understanding contrastive representation learning through alignment and uniformity on the
    hypersphere", ICML 2020. Rows are scaled to length 1.

    Parameters
    ----------
    Z_a, Z_b : array-like of shape (n_samples, n_features)
        Features of two views of the same samples. A row must not be 0.
    alpha : float, default=2
        Power of the distance.

    Returns
    -------
    float
        Between 0, where all pairs agree in direction, and 2 to the power of alpha.

    Examples
    --------
    >>> from skdim.evaluation import alignment
    >>> alignment([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [3.0, 0.0]])     # distances 0 and sqrt(2)
    1.0
    """
    a, b = _on_sphere(Z_a, "Z_a", min_samples=1), _on_sphere(Z_b, "Z_b", min_samples=1)
    if a.shape != b.shape:
        raise ValueError(f"Z_a and Z_b hold pairs of rows and must have equal shapes, got {a.shape} and {b.shape}.")
    with np.errstate(over="ignore"):
        value = float(np.mean(np.linalg.norm(a - b, axis=1) ** alpha))
    if math.isinf(value):
        raise ValueError(f"alpha={alpha} is too large: a distance to this power is beyond float64.")
    return value


@validated(t=POSITIVE)
def uniformity(Z: Any, *, t: float = 2.0) -> float:
    r"""Return how unevenly features cover the unit sphere; lower is more even.

    .. math:: \log E_{x \ne y} \, e^{-t \lVert z(x) - z(y) \rVert^2}

    Section 4.1 of the paper of :func:`alignment`, over all pairs of different rows. Rows are scaled to length 1.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_features)
        Features of at least two samples. A row must not be 0; 10,000 rows take about a second.
    t : float, default=2
        Inverse width of the kernel.

    Returns
    -------
    float
        At most 0, for rows of the same direction, and above -4 t.

    Examples
    --------
    >>> from skdim.evaluation import uniformity
    >>> uniformity([[1.0, 0.0], [-1.0, 0.0]])                             # the squared distance is 4
    -8.0
    """
    z = _on_sphere(Z, "Z", min_samples=2)
    kernels = []
    for start in range(0, len(z), BLOCK):
        exponents = -t * cdist(z[start : start + BLOCK], z, "sqeuclidean")
        np.fill_diagonal(exponents[:, start:], -np.inf)  # a row and itself are no pair
        kernels.append(logsumexp(exponents))
    return float(logsumexp(kernels)) - math.log(len(z) * (len(z) - 1))


def _on_sphere(Z: Any, name: str, min_samples: int) -> Array:
    Z = check_features(Z, name, min_samples=min_samples).astype(np.float64, copy=False)
    Z = Z * unit_of(np.abs(Z).max(axis=1, keepdims=True))
    norms = np.linalg.norm(Z, axis=1, keepdims=True)
    if not norms.all():
        raise ValueError(f"Row {int((norms > 0).argmin())} of {name} is 0, and has no direction.")
    return Z / norms


@dataclass(frozen=True, eq=False, repr=False)
class ConditionResult(Result):
    """Singular values of an encoder's Jacobian; a frame has a row for each sample.

    Attributes
    ----------
    values : ndarray of shape (n,)
        log(sigma_1 / sigma_d) at each sample, natural logarithm; infinite if the smallest singular value is 0.
    singular_values : ndarray of shape (n, d)
        Of each sample's Jacobian, in decreasing order; d is the smaller of the numbers of inputs and outputs.
    """

    values: Array
    singular_values: Array

    def _summary(self) -> str:
        low, middle, high = np.quantile(self.values, [0.0, 0.5, 1.0], method="closest_observation")
        n, d = self.singular_values.shape
        return f"log condition number {middle:.2f} [{low:.2f}, {high:.2f}] over {n} samples, d = {d}"

    def _columns(self) -> dict[str, Any]:
        spectrum = {f"sigma_{k}": column for k, column in enumerate(self.singular_values.T, start=1)}
        return {"log_condition_number": self.values, **spectrum}


@validated(
    encoder=[nn.Module, InfoMaxTransformer, callable],
    X=["array-like", Tensor],
    chunk_size=[Interval(Integral, 1, None, closed="left"), None],
)
@torch.inference_mode(False)
def condition_number(encoder: Any, X: Any, *, chunk_size: int | None = None) -> ConditionResult:
    r"""Return the log condition number of an encoder's Jacobian at samples, and all its singular values.

    .. math:: \log \frac{\sigma_1(J(x))}{\sigma_d(J(x))}, \qquad J(x) = \frac{\partial g}{\partial x}

    Section 3.1 of Tschannen et al., "On mutual information maximization for representation learning", ICLR 2020. It is 0 if the
    encoder scales all directions alike, infinite if it ignores one, and large if it makes one hard to read.

    Parameters
    ----------
    encoder : nn.Module, callable or fitted skdim transformer
        A module or callable maps a batch (k, ...) to a tensor (k, ...) or a :class:`~skdim.nn.encoders.Code`, of which
        ``global_`` is used. A module is copied in eval mode, and samples get its device and precision; for a callable, torch's
        default precision. Of a transformer, the map of ``transform`` from *standardised* samples to features.
    X : array-like or Tensor of shape (n_samples, ...)
        Samples, in the shape that the encoder takes. A tensor keeps its precision for a callable.
    chunk_size : int, default=None
        Samples whose Jacobians are computed at once; None limits these to 16 MiB.

    Returns
    -------
    ConditionResult
        ``values`` (n_samples,) and ``singular_values`` (n_samples, min(n_inputs, n_outputs)). In float32, singular values below
        about 1e-6 of the largest are rounding errors; pass ``module.double()`` for more.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        If the encoder returns no tensor, has no derivative or layers that torch.func does not support, such as recurrent ones,
        is a transformer of several views or not fitted, or if X does not fit it or a Jacobian is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from skdim.evaluation import condition_number
    >>> W = torch.diag(torch.tensor([4.0, 2.0, 1.0]))
    >>> result = condition_number(lambda x: x @ W, np.zeros((2, 3)))
    >>> result.singular_values.tolist(), result.values.round(2).tolist()
    ([[4.0, 2.0, 1.0], [4.0, 2.0, 1.0]], [1.39, 1.39])
    """
    encode, samples = _map_and_samples(encoder, X)

    def single(x: Tensor) -> Tensor:
        code = encode(x[None])
        features = code.global_ if isinstance(code, Code) else code
        if not isinstance(features, Tensor):
            expected = "a tensor (n, ...) or a Code. Wrap it in a function that returns the features"
            raise TypeError(f"The encoder returned {type(code).__name__}; expected {expected}.")
        return features.flatten()

    n_inputs, n_outputs = samples[0].numel(), _n_outputs(single, samples[0])
    spectra: list[Array] = []
    for part in samples.split(chunk_size or max(1, NUMBERS_AT_ONCE // (n_inputs * n_outputs))):
        try:
            J = vmap(jacrev(single))(part)
        except RuntimeError as error:
            raise TypeError(
                "torch.func cannot differentiate this encoder one sample at a time. It does not support recurrent layers, "
                f"control flow that depends on data, or operations in place. It says: {error}"
            ) from error
        J = J.detach().reshape(len(part), n_outputs, n_inputs).cpu().double()
        if not J.isfinite().all():
            row = sum(map(len, spectra)) + int((~J.isfinite()).flatten(1).any(1).nonzero()[0])
            raise ValueError(f"The encoder's Jacobian is not finite at row {row} of X: it has no derivative there.")
        spectra.append(torch.linalg.svdvals(J).numpy())
    singular_values = np.concatenate(spectra)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.log(singular_values[:, 0]) - np.log(singular_values[:, -1])
    return ConditionResult(np.where(singular_values[:, -1] > 0, values, np.inf), singular_values)


def _n_outputs(single: Callable[[Tensor], Tensor], x: Tensor) -> int:
    """Return the number of features of a sample, and check that they have a derivative."""
    try:
        with torch.enable_grad():
            features = single(x.clone().requires_grad_())
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(f"The encoder does not take samples of shape {tuple(x.shape)}. It says: {error}") from error
    if not features.requires_grad:
        raise TypeError(
            "torch finds no derivative of the features: the encoder detaches them, runs without gradients, or returns integers."
        )
    return features.numel()


def _map_and_samples(encoder: Any, X: Any) -> tuple[Callable[[Tensor], Any], Tensor]:
    """Return the map from a batch to features, and the samples as it takes them."""
    if isinstance(encoder, InfoMaxTransformer):
        check_is_fitted(encoder)
        if isinstance(encoder.encoder_, ViewEncoders):
            raise TypeError(
                f"{type(encoder).__name__} has several encoders. Pass one of encoder_.encoders, with samples as it takes them."
            )
        return encoder.feature_map(), encoder.standardized(X)
    dtype = X.dtype if isinstance(X, Tensor) and X.is_floating_point() else torch.get_default_dtype()
    X = check_array(as_plain(X), dtype=[np.float64, np.float32], allow_nd=True, input_name="X")
    samples = torch.from_numpy(np.array(X)).to(dtype)
    if not isinstance(encoder, nn.Module):
        return encoder, samples
    module = copy.deepcopy(encoder).eval().requires_grad_(False)
    like = next((p for p in module.parameters() if p.is_floating_point()), None)
    return module, samples if like is None else samples.to(like)
