"""Dependent negatives void every bound (Tschannen et al. 2020, Section 3.2 and Figure 4c).

The rows of a batch share a noise that is drawn once for the batch, so the y of other rows are no draws of p(y) given x. The
mutual information of a row is 0.0204 nats. With independent rows the bounds stay below it; with dependent ones NWJ converges
to the divergence between the positive and the negative pairs, 0.1081 nats, and InfoNCE to about 0.20.

As in the paper: a critic of five layers of ten units on [x, y], and batches of 128. Adam at 1e-3 rather than 1e-4, decayed to
0, for 8,000 rather than 20,000 steps. The values are means over fresh batches.

    python benchmarks/reproductions/dependent_negatives.py --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import record

from skdim.bounds import BOUNDS
from skdim.nn.critics import Concat, build_critic
from skdim.synthetic import gaussian_mutual_information, shared_noise
from skdim.training.device import local_seed

BATCH, N_EVALUATED = 128, 4_000
TRUTH = gaussian_mutual_information([[2, 0.4], [0.4, 2]], dim_x=1)
#: What the bounds converge to on dependent rows: NWJ exactly, InfoNCE with the best quadratic critic.
EXPECTED = {"nwj": 0.1081, "infonce": 0.20}


def batches(n: int, dependent: bool, seed: list[int]) -> list[torch.Tensor]:
    """Return n batches of x and of y, each (n, 128, 1)."""
    sides = shared_noise(n * BATCH, BATCH if dependent else 1, np.random.default_rng(seed))
    return [torch.from_numpy(side).float().reshape(n, BATCH, 1) for side in sides]


def run(name: str, dependent: bool, n_steps: int, seed: int) -> None:
    bound = BOUNDS[name]()
    with local_seed(seed):
        critic = build_critic(Concat(hidden_layer_sizes=(10,) * 5), 1, 1, bound.offset)
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    for x, y in zip(*batches(n_steps, dependent, [seed, 0]), strict=True):
        loss = -bound.value(critic(x, y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        values = [
            float(bound.value(critic(x, y))) for x, y in zip(*batches(N_EVALUATED, dependent, [seed, 1]), strict=True)
        ]
    record(
        "dependent_negatives",
        {
            "negatives": "dependent" if dependent else "independent",
            "estimator": name,
            "seed": seed,
            "truth": round(TRUTH, 4),
            "expected": EXPECTED[name] if dependent else round(TRUTH, 4),
            "value": round(float(np.mean(values)), 4),
            "standard_error": round(float(np.std(values)) / N_EVALUATED**0.5, 4),
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=8_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for seed in arguments.seeds:
        for name in EXPECTED:
            for dependent in (False, True):
                run(name, dependent, arguments.steps, seed)


if __name__ == "__main__":
    main()
