"""Dependent negatives void every bound (Tschannen et al. 2020, Section 3.2 and Figure 4c).

The rows of a batch share a noise that is drawn once for the batch, so the y of other rows are no draws of p(y) given x. The
mutual information of a row is 0.0204 nats. With independent rows the bounds stay below it; with dependent ones NWJ converges
to the divergence between the positive and the negative pairs, 0.1081 nats, and InfoNCE to about 0.20.

    python benchmarks/reproductions/dependent_negatives.py
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from protocol import Table, arguments_of

from skdim._random import LocalSeed
from skdim.bounds import BOUNDS
from skdim.nn.critics import Concat, build_critic
from skdim.synthetic import SharedNoise

AS_THEIRS = "a critic of five layers of ten units on [x, y], and batches of 128"
OTHER = (
    "Adam at 1e-3 rather than 1e-4, decayed to 0, for 8,000 rather than 20,000 steps.",
    "The critic starts from torch's first weights, and has a learned scale and offset.",
    "The values are means over fresh batches.",
)
BATCH = 128
STEPS, N_EVALUATED = 8_000, 4_000
QUICK = 500, 200
TRUTH = SharedNoise(BATCH).mutual_information
#: What the bounds converge to on dependent rows: NWJ exactly, InfoNCE with the best quadratic critic.
EXPECTED = {"nwj": 0.1081, "infonce": 0.20}


def batches(n: int, dependent: bool, seed: list[int]) -> list[torch.Tensor]:
    """Return n batches of x and of y, each (n, 128, 1)."""
    sides = SharedNoise(BATCH if dependent else 1).sample(n * BATCH, np.random.default_rng(seed))
    return [torch.from_numpy(side).float().reshape(n, BATCH, 1) for side in sides]


def rows(name: str, dependent: bool, n_steps: int, n_evaluated: int, seed: int) -> Iterator[dict[str, Any]]:
    bound = BOUNDS[name]()
    with LocalSeed(seed):
        critic = build_critic(Concat(hidden_layer_sizes=(10,) * 5), 1, 1, bound.offset)

    def row(step: int) -> dict[str, Any]:
        with torch.no_grad():
            fresh = zip(*batches(n_evaluated, dependent, [seed, 1]), strict=True)
            values = [float(bound.value(critic(x, y))) for x, y in fresh]
        return {
            "step": step,
            "truth": round(TRUTH, 4),
            "expected": EXPECTED[name] if dependent else round(TRUTH, 4),
            "i_est": round(float(np.mean(values)), 4),
            "standard_error": round(float(np.std(values)) / n_evaluated**0.5, 4),
        }

    yield row(0)
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    for x, y in zip(*batches(n_steps, dependent, [seed, 0]), strict=True):
        loss = -bound.value(critic(x, y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    yield row(n_steps)


def main() -> None:
    arguments = arguments_of(__doc__)
    table = Table("dependent_negatives", arguments)
    n_steps, n_evaluated = QUICK if arguments.quick else (STEPS, N_EVALUATED)
    for seed in arguments.seeds:
        for name in EXPECTED:
            for dependent in (False, True):
                negatives = "dependent" if dependent else "independent"
                settings = {"estimator": name, "negatives": negatives, "steps": n_steps, "seed": seed}
                options = name, dependent, n_steps, n_evaluated, seed
                table.run(settings, lambda options=options: rows(*options))


if __name__ == "__main__":
    main()
