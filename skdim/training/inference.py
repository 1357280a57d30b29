"""A fitted objective on new samples: features, scores, and the network that gives the features by itself."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from skdim.exceptions import DivergenceError
from skdim.inputs.batches import evaluation_batch, to_device
from skdim.inputs.samples import Samples, Standardizer, scaled
from skdim.inputs.sequences import warn_of_padding
from skdim.nn.objectives.objective import Objective, drawn

#: Most rows, and most values of samples, that are encoded at once. On a CPU more rows gain nothing; a GPU needs many.
ROWS_AT_ONCE = {"cpu": 256, "cuda": 8192, "mps": 1024}
VALUES_AT_ONCE = {"cpu": 2**19, "cuda": 2**23, "mps": 2**20}
#: A last, shorter part is filled up to a multiple of so many, so that a row's features do not depend on the rows beside it.
ROW_TILE = 32
#: Rows that are scored at once: the candidates of InfoNCE.
N_SCORED = 256


def encode(objective: Objective, samples: Samples, name: str) -> npt.NDArray[np.float32]:
    """Return the features of that name, (n, n_features_out); they must be finite, but for NaN where a sample lacks a view."""
    samples.warn_of_another_unit()
    features = np.empty((len(samples), objective.widths()[name]), dtype=np.float32)
    finite = np.empty(len(samples), dtype=bool)
    fitting = VALUES_AT_ONCE[samples.device.type] // math.prod(samples.shape()) // ROW_TILE * ROW_TILE
    at_once = min(ROWS_AT_ONCE[samples.device.type], max(ROW_TILE, fitting))
    before: list[tuple[slice, Tensor, Tensor]] = []
    for start in range(0, len(samples) + at_once, at_once):
        rows = slice(start, min(start + at_once, len(samples)))
        encoded = [(rows, *_encode_rows(objective, samples, rows, name))] if start < len(samples) else []
        for part, *values in before:  # a part is fetched when the next is on its way
            features[part], finite[part] = (value.cpu().numpy() for value in values)
        before = encoded
    outside = np.flatnonzero(~finite)
    if len(outside):
        raise ValueError(
            f"{len(outside)} sample(s), the first at row {outside[0]}, lie so far outside the range of the fitted data that "
            "their features are not finite in float32."
        )
    return features


@torch.inference_mode()
def check_trained(objective: Objective, samples: Samples) -> None:
    """Raise a :class:`DivergenceError` if features of the first samples that were trained on are not finite."""
    X, extras = _tiles(samples, slice(0, min(len(samples), ROW_TILE)))
    fitted = samples.standardize.shape[-1]
    X = X[..., :fitted]  # later sequences may be longer, and one name of features has room for the fitted length alone
    extras |= {"lengths": extras["lengths"].clamp(max=fitted)} if "lengths" in extras else {}
    for name in objective.widths():
        if not objective.features(X, extras, name).isfinite().all():
            raise DivergenceError(f"Training diverged: the features {name!r} are not finite. Lower learning_rate.")


def _tiles(samples: Samples, rows: slice) -> tuple[Tensor, dict[str, Tensor]]:
    """Return some samples, and further values of each, as whole tiles of rows, filled up by zeros."""
    X, n = samples.read(rows), rows.stop - rows.start
    n_padding = -n % ROW_TILE
    if n_padding:
        X = torch.cat([X, X.new_zeros(n_padding, *X.shape[1:])])
    tile = np.append(np.arange(rows.start, rows.stop), np.full(n_padding, rows.start))
    of_device = {name: to_device(torch.from_numpy(part[tile]), samples.device) for name, part in samples.extras.items()}
    return X, of_device


@torch.inference_mode()
def _encode_rows(objective: Objective, samples: Samples, rows: slice, name: str) -> tuple[Tensor, Tensor]:
    """Return the features of some rows, and which rows have finite ones."""
    X, extras = _tiles(samples, rows)
    features = objective.features(X, extras, name)
    parts = _without_lacking(objective, X, features, name), features.isfinite().all(1)
    return parts[0][: rows.stop - rows.start], parts[1][: rows.stop - rows.start]


def _without_lacking(objective: Objective, X: Tensor, features: Tensor, name: str) -> Tensor:
    lacking = objective.lacking(X, name)
    return features if lacking is None else features.masked_fill(lacking, math.nan)


@torch.no_grad()  # a user's views may draw from torch, whose draws inference mode hides
def mean_score(objective: Objective, samples: Samples) -> float:
    """Return the mean of the InfoNCE bound, in nats, over blocks of at most ``N_SCORED`` samples; it must be finite."""
    samples.warn_of_another_unit()
    k, scores = min(len(samples), N_SCORED), []
    for start in range(0, len(samples), k):
        batch = evaluation_batch(samples, np.arange(start, start + k) % len(samples), objective.n_draws)
        scores.append(objective.score(batch.X, drawn(objective, [batch], None)[0]).item())
    score = float(np.mean(scores))
    if not math.isfinite(score):
        raise ValueError(f"The score is {score}: samples lie too far outside the range of the fitted data for float32.")
    return score


def _check_lengths(lengths: object, n: int) -> None:
    if isinstance(lengths, Tensor) and lengths.shape == (n,) and lengths.dtype in (torch.int32, torch.int64):
        return
    given = (
        f"{lengths.dtype} of shape {tuple(lengths.shape)}" if isinstance(lengths, Tensor) else type(lengths).__name__
    )
    raise ValueError(f"lengths must be a tensor of torch.int64 of shape ({n},), one for each row of X; got {given}.")


class FeatureNetwork(nn.Module):
    """Samples as ``transform`` takes them, standardised within -> the features of one name.

    ``objective`` is copied, without what only training and scores need. Samples have the shape ``input_shape``, stacked or
    flat; of flat ones the columns ``standardize.layout.used`` are read.
    """

    unit: Tensor
    mean: Tensor
    scale: Tensor
    mixing: Tensor | None
    used: Tensor | None

    def __init__(
        self,
        objective: Objective,
        standardize: Standardizer,
        name: str,
        input_shape: tuple[int, ...],
        needs_lengths: bool = False,
    ) -> None:
        super().__init__()
        self.objective = copy.deepcopy(objective)
        for part, _ in [*objective.named_children(), *objective.named_parameters(recurse=False)]:
            if part not in objective.feature_modules:
                delattr(self.objective, part)
        device = next(self.objective.parameters()).device
        for part, tensor in zip(("unit", "mean", "scale", "mixing"), standardize.parts(device), strict=True):
            self.register_buffer(part, None if tensor is None else tensor.clone())
        used = None if standardize.layout is None else standardize.layout.used
        self.register_buffer("used", None if used is None else torch.from_numpy(used).to(device))
        self.name = name
        self.input_shape = input_shape
        self.network_shape = standardize.shape
        self.needs_lengths = needs_lengths
        self.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.eval()

    def forward(self, X: Tensor | Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        """Return the features (n, n_features_out), in float32.

        Parameters
        ----------
        X : Tensor of shape (n, n_features) or (n, ...), or list of them
            Samples of the fitted shape, stacked or flat, of any type of real numbers. A list has one tensor for each view.
        lengths : Tensor of int of shape (n,), default=None
            Lengths of padded sequences, of which each holds a frame. A network whose fit had lengths warns without them.

        Raises
        ------
        TypeError
            If ``X`` is no tensor or list of tensors.
        ValueError
            If ``X`` has another shape, or ``lengths`` are no integers of shape (n,), or given to a network that takes none.
        """
        if not isinstance(X, Tensor):
            if not (isinstance(X, list | tuple) and all(isinstance(view, Tensor) for view in X)):
                raise TypeError(
                    f"X must be a tensor, or a list of tensors, one for each view; got {type(X).__name__}. torch.from_numpy "
                    "makes a tensor of an array."
                )
            X = torch.cat([view.flatten(1) for view in X], dim=1)
        any_length = self.objective.any_length
        given, flat = tuple(X.shape[1:]), (math.prod(self.input_shape),)
        is_longer = any_length and len(given) == 2 and given[0] == self.network_shape[0]
        if given not in (self.input_shape, flat) and not is_longer:
            raise ValueError(
                f"X has samples of shape {given}; the network was fitted on samples of shape {self.input_shape} and takes "
                f"these, or flat as {flat}."
            )
        if lengths is not None and not any_length:
            raise ValueError("lengths are of sequences that a CPCTransformer was fitted on; this network takes none.")
        if lengths is not None and not torch.compiler.is_compiling():
            _check_lengths(lengths, len(X))
        if self.used is not None:
            X = X[:, self.used]
        values = X.to(torch.float64, copy=True)
        if values.ndim != len(self.network_shape) + 1:
            values = values.reshape(-1, *self.network_shape)
        if self.needs_lengths and lengths is None and not torch.compiler.is_compiling():
            warn_of_padding(values)
        values = scaled(values, self.unit, self.mean, self.scale, self.mixing)
        features = self.objective.features(values, {} if lengths is None else {"lengths": lengths}, self.name)
        return _without_lacking(self.objective, values, features, self.name)
