"""Losses of metric learning on the halves: what Tschannen et al. (2020, Section 5) point to, and did not run.

Triplet loss, with all negatives or semi-hard ones, N-pair loss in both forms, and InfoNCE with a bilinear critic, each with
one encoder for both halves or two. The multi-class N-pair loss is InfoNCE with an inner product. Beside accuracy stands the
information that the scores imply, I_NCE on rows that were not trained on: of the scores as they are, and at the best
temperature, chosen on rows that were trained on, since a triplet loss fixes no scale.

    python benchmarks/reproductions/metric_learning.py --test
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from protocol import (
    BATCH,
    STANDARDISED,
    Table,
    arguments_of,
    halves_transformer,
    images,
    judge,
    over_steps,
    raw_pixels,
)
from sklearn.utils import Bunch
from torch import Tensor

from skdim.bounds import infonce
from skdim.exceptions import NotABoundWarning
from skdim.nn.critics import Bilinear, Cosine, Inner

AS_THEIRS = "encoders of experiment 3, with their first weights, and batches"
OTHER = (
    *STANDARDISED,
    "The paper has no such experiment: Adam at 1e-3 for 3,000 steps, five seeds. Triplet losses are on "
    "distances of unit vectors (a "
    "cosine, margin 0.5), the N-pair losses on inner products.",
    'Rows with init "torch" have torch\'s default first weights; no claim is about them.',
)
UNIT = Cosine(temperature=1.0, affine=False)
LOSSES: dict[str, dict[str, Any]] = {
    "triplet": {"estimator": "triplet", "critic": UNIT},
    "triplet, semi-hard": {"estimator": "triplet", "critic": UNIT, "negatives": "semi_hard"},
    "npair": {"estimator": "npair", "critic": Inner(affine=False)},
    "npair_ovo": {"estimator": "npair_ovo", "critic": Inner(affine=False)},
    "infonce, bilinear": {"estimator": "infonce", "critic": Bilinear(affine=False)},
}
RATE = 1e-3
AT = [0, 1_000, 3_000]
QUICK_AT = [0, 100]
SCALES = 2.0 ** np.arange(-4, 8)


def scores_of(dim: Any, X: Any) -> list[Tensor]:
    """Return the score matrices of batches of rows."""
    objective = dim.objective_
    critic = next(iter(objective.terms.values())).critic
    batches = []
    with torch.inference_mode():
        for start in range(0, len(X) - BATCH + 1, BATCH):
            batches.append(critic(*objective.codes(dim.standardized(X[start : start + BATCH]), {})))
    return batches


def implied(batches: list[Tensor], scale: float) -> float:
    """Return InfoNCE in nats of scaled scores, the mean over both anchors."""
    return float(np.mean([float(infonce(scale * f) + infonce(scale * f.T)) / 2 for f in batches]))


def information(dim: Any, data: Bunch) -> dict[str, float]:
    """Return what the scores imply as they are, and at the temperature that is best on rows trained on."""
    trained, fresh = scores_of(dim, data.X[: 20 * BATCH]), scores_of(dim, data.X_eval)
    scale = max(SCALES, key=lambda scale: implied(trained, scale))
    return {"i_nce": round(implied(fresh, 1.0), 4), "i_nce_best_scale": round(implied(fresh, scale), 4), "scale": scale}


def rows(loss: str, shared: bool, at: list[int], seed: int, data: Bunch) -> Iterator[dict[str, Any]]:
    dim = halves_transformer(seed, shared_encoder=shared, learning_rate=RATE, **LOSSES[loss])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotABoundWarning)  # semi-hard negatives are meant to void the bound
        for step in over_steps(dim, data.X, at, seed):
            judgement = judge(dim, data)
            del judgement["i_est"]  # of semi-hard comparisons no InfoNCE of the batch
            yield {"step": step, **judgement, **information(dim, data)}


def main() -> None:
    arguments = arguments_of(__doc__)
    data = images("mnist", arguments)
    table, at = Table("metric_learning", arguments), QUICK_AT if arguments.quick else AT
    raw_pixels(Table("pixels", arguments), data)
    for seed in arguments.seeds:
        for loss in LOSSES:
            for shared in (False, True):
                settings = {"init": "glorot", "loss": loss, "encoders": "shared" if shared else "separate"}
                settings["steps"] = at[-1]
                settings |= {"seed": seed, "part": data.part, "rows": len(data.X)}
                options = loss, shared, at, seed, data
                table.run(settings, lambda options=options: rows(*options))


if __name__ == "__main__":
    main()
