"""A fitted objective on new samples: features and scores."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from skdim.exceptions import DivergenceError
from skdim.inputs.batches import Rows, evaluation_batch
from skdim.inputs.samples import Samples
from skdim.nn.objectives.objective import Objective, drawn

#: Most rows, and most values of samples, that are encoded at once. On a CPU more rows gain nothing; a GPU needs many.
ROWS_AT_ONCE = {"cpu": 256, "cuda": 8192, "mps": 1024}
VALUES_AT_ONCE = {"cpu": 2**19, "cuda": 2**23, "mps": 2**20}
#: A last, shorter part is filled up to a multiple of so many, so that a row's features do not depend on the rows beside it.
ROW_TILE = 32
#: Rows that are scored at once: the candidates of InfoNCE.
N_SCORED = 256


def encode(objective: Objective, samples: Samples, name: str) -> npt.NDArray[np.float32]:
    """Return the features of that name, (n, n_features_out); they must be finite."""
    features = np.empty((len(samples), objective.widths()[name]), dtype=np.float32)
    fitting = VALUES_AT_ONCE[samples.device.type] // math.prod(samples.shape()) // ROW_TILE * ROW_TILE
    at_once = min(ROWS_AT_ONCE[samples.device.type], max(ROW_TILE, fitting))
    before: tuple[slice, torch.Tensor] | None = None
    for start in range(0, len(samples), at_once):
        rows = slice(start, min(start + at_once, len(samples)))
        encoded = _encode_rows(objective, samples, rows, name)
        if before is not None:  # a part is fetched when the next is on its way
            features[before[0]] = before[1].cpu().numpy()
        before = rows, encoded
    if before is not None:
        features[before[0]] = before[1].cpu().numpy()
    outside = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(outside):
        raise ValueError(
            f"{len(outside)} sample(s), the first at row {outside[0]}, lie so far outside the range of the fitted data that "
            "their features are not finite in float32."
        )
    return features


@torch.inference_mode()
def check_trained(objective: Objective, samples: Samples) -> None:
    """Raise a :class:`DivergenceError` if features of the first samples that were trained on are not finite."""
    X, rows = _tiles(samples, slice(0, min(len(samples), ROW_TILE)))
    for name in objective.widths():
        if not objective.features(X, rows, name).isfinite().all():
            raise DivergenceError(f"Training diverged: the features {name!r} are not finite. Lower learning_rate.")


def _tiles(samples: Samples, rows: slice) -> tuple[torch.Tensor, Rows]:
    """Return some samples as whole tiles of rows, filled up by zeros."""
    X, n = samples.read(rows), rows.stop - rows.start
    n_padding = -n % ROW_TILE
    if n_padding:
        X = torch.cat([X, X.new_zeros(n_padding, *X.shape[1:])])
    tile = np.append(np.arange(rows.start, rows.stop), np.full(n_padding, rows.start))
    extras = {name: part[tile] for name, part in samples.extras.items()}
    return X, Rows(len(tile), slice(0, len(tile)), samples.shape(), extras)


@torch.inference_mode()
def _encode_rows(objective: Objective, samples: Samples, rows: slice, name: str) -> torch.Tensor:
    return objective.features(*_tiles(samples, rows), name)[: rows.stop - rows.start]


@torch.inference_mode()
def mean_score(objective: Objective, samples: Samples) -> float:
    """Return the mean of the InfoNCE bound, in nats, over blocks of at most ``N_SCORED`` samples; it must be finite."""
    k, scores = min(len(samples), N_SCORED), []
    for start in range(0, len(samples), k):
        batch = evaluation_batch(samples, np.arange(start, start + k) % len(samples), objective.n_draws)
        scores.append(objective.score(batch.X, drawn(objective, [batch], None)[0]).item())
    score = float(np.mean(scores))
    if not math.isfinite(score):
        raise ValueError(f"The score is {score}: samples lie too far outside the range of the fitted data for float32.")
    return score
