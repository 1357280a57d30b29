"""How an encoder stretches its input space: the singular values of its Jacobian at samples."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, validate_params
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.func import jacrev, vmap

from skdim.base import InfoMaxTransformer
from skdim.evaluation._frames import frame
from skdim.evaluation._inputs import Array
from skdim.nn.encoders import Code
from skdim.nn.views import ViewEncoders

#: Numbers in the Jacobians that are held at once: 16 MiB in float32, and the encoder's layers take many times as much.
NUMBERS_AT_ONCE = 2**22


@dataclass(frozen=True, eq=False)
class ConditionResult:
    """Singular values of an encoder's Jacobian.

    Attributes
    ----------
    values : ndarray of shape (n,)
        log(sigma_1 / sigma_d) at each sample, natural logarithm; infinite where the smallest singular value is 0.
    singular_values : ndarray of shape (n, d)
        Of each sample's Jacobian, falling; d is the smaller of the numbers of inputs and outputs.
    """

    values: Array
    singular_values: Array

    def __repr__(self) -> str:
        low, middle, high = np.quantile(self.values, [0.0, 0.5, 1.0], method="closest_observation")
        return (
            f"ConditionResult(log condition number {middle:.2f} [{low:.2f}, {high:.2f}] over {len(self.values)} samples, "
            f"d = {self.singular_values.shape[1]})"
        )

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with a row for each sample: the log condition number, and all singular values."""
        spectrum = {f"sigma_{k}": column for k, column in enumerate(self.singular_values.T, start=1)}
        return frame({"log_condition_number": self.values, **spectrum})


@validate_params(
    {
        "encoder": [nn.Module, InfoMaxTransformer, callable],
        "X": ["array-like", Tensor],
        "chunk_size": [Interval(Integral, 1, None, closed="left"), None],
    },
    prefer_skip_nested_validation=True,
)
@torch.inference_mode(False)
def condition_number(encoder: Any, X: Any, *, chunk_size: int | None = None) -> ConditionResult:
    r"""Return the log condition number of an encoder's Jacobian at samples, and all its singular values.

    .. math:: \log \frac{\sigma_1(J(x))}{\sigma_d(J(x))}, \qquad J(x) = \frac{\partial g}{\partial x}

    Tschannen et al. [1]_, Section 3.1. It is 0 where the encoder turns and scales all directions alike, and infinite where it
    forgets one: encoders that could be inverted may still make what they dislike arbitrarily hard to read.

    Parameters
    ----------
    encoder : nn.Module, callable or fitted skdim transformer
        A module or callable maps a batch of samples, (k, ...), to features, a tensor (k, ...) or a
        :class:`~skdim.nn.encoders.Code`, whose ``global_`` is taken; every sample is passed alone, as a batch of one. A module
        is copied, and the copy is in eval mode; samples come on its device and in its precision, for a callable in torch's
        default one. Of a transformer it is the map that ``transform`` applies, from *standardised* samples to features, so
        that units of columns do not matter.
    X : array-like or Tensor of shape (n_samples, ...)
        Samples, in the shape that the encoder takes. A tensor keeps its precision for a callable.
    chunk_size : int, default=None
        Samples whose Jacobians are computed at once; None keeps them within 16 MiB; the encoder's hidden layers
        take more.

    Returns
    -------
    ConditionResult
        ``values`` (n_samples,) and ``singular_values`` (n_samples, min(n_inputs, n_outputs)).

    Raises
    ------
    TypeError
        If the encoder gives no tensor, hides its derivative (``detach``, ``torch.no_grad``), is a transformer of several views,
        or torch.func cannot follow it, as it cannot follow recurrent layers.
    ValueError
        If X is not finite or not what the encoder takes, or a Jacobian is not finite.
    NotFittedError
        If a transformer is not fitted.

    Notes
    -----
    Singular values are as exact as the encoder: in float32, those below about 1e-6 of the largest are rounding errors. For more
    pass ``module.double()``.

    References
    ----------
    .. [1] Tschannen, Djolonga, Rubenstein, Gelly & Lucic, "On mutual information maximization for representation learning",
       ICLR 2020.

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
    features, samples = _map_and_samples(encoder, X)

    def single(x: Tensor) -> Tensor:
        return _as_tensor(features(x[None])).flatten()

    n_inputs, n_outputs = samples[0].numel(), _n_outputs(single, samples[0])
    chunk = chunk_size or max(1, NUMBERS_AT_ONCE // (n_inputs * n_outputs))
    spectra: list[Array] = []
    for part in samples.split(chunk):
        try:
            J = vmap(jacrev(single))(part)
        except RuntimeError as error:
            raise TypeError(
                "torch.func cannot follow this encoder one sample at a time, as recurrent layers, data-dependent control flow "
                f"and operations in place are beyond it. It says: {error}"
            ) from error
        J = J.detach().reshape(len(part), n_outputs, n_inputs).cpu().double()
        if not J.isfinite().all():
            row = sum(len(done) for done in spectra) + int((~J.isfinite()).flatten(1).any(1).nonzero()[0])
            raise ValueError(
                f"The encoder's Jacobian is not finite at row {row} of X: the encoder has no derivative there."
            )
        spectra.append(torch.linalg.svdvals(J).numpy())
    singular_values = np.concatenate(spectra)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.log(singular_values[:, 0]) - np.log(singular_values[:, -1])
    return ConditionResult(np.where(singular_values[:, -1] > 0, values, np.inf), singular_values)


def _n_outputs(single: Callable[[Tensor], Tensor], x: Tensor) -> int:
    """Return the number of features of a sample, or say that the encoder does not take it, or hides its derivative."""
    try:
        with torch.enable_grad():
            features = single(x.clone().requires_grad_())
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(f"The encoder does not take samples of shape {tuple(x.shape)}. It says: {error}") from error
    if not features.requires_grad:
        raise TypeError(
            "torch sees no way from samples to features: the encoder detaches them, runs without gradients, or gives integers."
        )
    return features.numel()


def _map_and_samples(encoder: Any, X: Any) -> tuple[Callable[[Tensor], Any], Tensor]:
    """Return the map from a batch to features, and the samples as it takes them."""
    if isinstance(encoder, InfoMaxTransformer):
        return _of_transformer(encoder, X)
    dtype = X.dtype if isinstance(X, Tensor) and X.is_floating_point() else torch.get_default_dtype()
    X = X.detach().cpu() if isinstance(X, Tensor) else X
    X = check_array(X, dtype=[np.float64, np.float32], allow_nd=True, input_name="X")
    samples = torch.from_numpy(np.array(X)).to(dtype)
    if not isinstance(encoder, nn.Module):
        return encoder, samples
    module = copy.deepcopy(encoder).eval().requires_grad_(False)
    like = next((p for p in module.parameters() if p.is_floating_point()), None)
    return module, samples if like is None else samples.to(like)


def _of_transformer(transformer: InfoMaxTransformer, X: Any) -> tuple[Callable[[Tensor], Any], Tensor]:
    check_is_fitted(transformer)
    if isinstance(transformer.encoder_, ViewEncoders):
        raise TypeError(
            f"{type(transformer).__name__} has several encoders. Pass one of encoder_.encoders, with samples as that one takes "
            "them."
        )
    return transformer.feature_map(), transformer.standardized(X)


def _as_tensor(features: Any) -> Tensor:
    if isinstance(features, Code):
        return features.global_
    if isinstance(features, Tensor):
        return features
    raise TypeError(
        f"The encoder gave {type(features).__name__}; expected a tensor (n, ...) or a Code. Wrap it in a function that returns "
        "the features."
    )
