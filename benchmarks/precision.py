"""What ``precision="bfloat16"`` and ``compile=True`` make of a training step, beside float32 in turn.

The cases of ``training_speed.py``, and "resnet", the residual encoder. Steps are timed from outside, as (fit with 2 k epochs -
fit with k epochs) / steps, so that what torch.compile takes at the first batch drops out: it is in a column of its own.

    python benchmarks/precision.py --threads 1
    python benchmarks/precision.py --threads 1 --clock cpu    # where others share the cores
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np
import torch
from common import CLOCKS, record
from sklearn.base import clone
from training_speed import Case, cases, ours

VARIANTS: dict[str, dict[str, Any]] = {
    "float32": {"precision": "float32"},
    "bfloat16": {"precision": "bfloat16"},
    "compiled": {"precision": "float32", "compile": True},
}


def start_up(case: Case, options: dict[str, Any], clock: Any) -> float:
    """Return the seconds of a first fit of one epoch."""
    start = clock()
    clone(case.transformer).set_params(max_iter=1, random_state=0, **options).fit(case.X)
    return clock() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="+", default=["conv", "resnet", "mlp", "halves", "cpc"])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    every, clock = cases(), CLOCKS[arguments.clock]
    for name in arguments.cases:
        case = every[name]
        first = {variant: start_up(case, options, clock) for variant, options in VARIANTS.items()}
        runs = {
            variant: partial(ours(case, clock, **options), 2 * case.epochs) for variant, options in VARIANTS.items()
        }
        seconds = {variant: [] for variant in runs}
        for _ in range(arguments.rounds):
            for variant, run in runs.items():
                seconds[variant].append(run())
        for variant, values in seconds.items():
            ratios = np.array(values) / np.array(seconds["float32"])
            record(
                "precision",
                {
                    "case": name,
                    "batch": case.batch,
                    "encoder": variant,
                    "ms": round(1e3 * float(np.median(values)), 2),
                    "ratio_median": round(float(np.median(ratios)), 3),
                    "ratio_min": round(float(ratios.min()), 3),
                    "ratio_max": round(float(ratios.max()), 3),
                    "first_epoch_s": round(first[variant], 1),
                    "clock": arguments.clock,
                    "rounds": arguments.rounds,
                },
            )


if __name__ == "__main__":
    main()
