"""A fitted objective on new samples: features and scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from skdim.inputs.batches import Rows, evaluation_batch
from skdim.inputs.samples import Samples
from skdim.nn.objectives.objective import Objective, drawn

__all__ = ["encode", "mean_score"]

#: Rows that are encoded at once; a last, shorter part is filled up to a multiple of ROW_TILE, so that a row's features do not
#: depend on the rows beside it.
CHUNK, ROW_TILE = 256, 32
#: Rows that are scored at once: the candidates of InfoNCE.
N_SCORED = 256


def encode(objective: Objective, samples: Samples, name: str) -> npt.NDArray[np.float32]:
    """Return the features of that name, (n, n_features_out); they must be finite."""
    features = np.empty((len(samples), objective.widths()[name]), dtype=np.float32)
    outside: list[int] = []
    for start in range(0, len(samples), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(samples)))
        features[rows] = _encode_rows(objective, samples, rows, name)
        outside += rows[~np.isfinite(features[rows]).all(axis=1)].tolist()
    if outside:
        raise ValueError(
            f"{len(outside)} sample(s), the first at row {outside[0]}, lie so far outside the range of the fitted data that "
            "their features are not finite in float32."
        )
    return features


@torch.inference_mode()
def _encode_rows(objective: Objective, samples: Samples, rows: npt.NDArray[np.int64], name: str) -> Any:
    X, n_padding = samples.read(slice(int(rows[0]), int(rows[-1]) + 1)), -len(rows) % ROW_TILE
    if n_padding:
        X = torch.cat([X, X.new_zeros(n_padding, *X.shape[1:])])
    tile = np.concatenate([rows, rows[:1].repeat(n_padding)])
    extras = {name: part[tile] for name, part in samples.extras.items()}
    features = objective.features(X, Rows(len(tile), slice(0, len(tile)), samples.shape(), extras), name)
    return features[: len(rows)].cpu().numpy()


@torch.inference_mode()
def mean_score(objective: Objective, samples: Samples) -> float:
    """Return the mean of the InfoNCE bound, in nats, over blocks of at most ``N_SCORED`` samples; it must be finite."""
    k, scores = min(len(samples), N_SCORED), []
    for start in range(0, len(samples), k):
        batch = evaluation_batch(samples, np.arange(start, start + k) % len(samples), objective.n_draws)
        scores.append(objective.score(batch.X, drawn(objective, batch, None)).item())
    score = float(np.mean(scores))
    if not math.isfinite(score):
        raise ValueError(f"The score is {score}: samples lie too far outside the range of the fitted data for float32.")
    return score
