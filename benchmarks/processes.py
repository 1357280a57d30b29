"""Time of a training step in one process and in several, from outside: (fit with 2k epochs - fit with k epochs) / steps.

The batch is that of all processes together. CPU time is the first process's; where the cores are its own it is the wall time.

OMP_NUM_THREADS=1 python benchmarks/processes.py
torchrun --nproc-per-node 2 benchmarks/processes.py
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import numpy as np
from common import record

from skdim import DeepInfoMaxTransformer


def timed(epochs: int, X: Any, settings: dict[str, Any]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    DeepInfoMaxTransformer(max_iter=epochs, random_state=0, **settings).fit(X)
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--batches", type=int, default=10, help="batches an epoch")
    parser.add_argument("--epochs", type=int, default=2, help="k")
    parser.add_argument("--table", action="store_true", help="784 columns through the MLP, in place of images")
    arguments = parser.parse_args()
    shape = (784,) if arguments.table else (28, 28)
    X = np.random.default_rng(0).integers(0, 256, (arguments.batch * arguments.batches, *shape), dtype=np.uint8)
    settings = {"batch_size": arguments.batch}
    timed(1, X, settings)
    short, long = (timed(epochs, X, settings) for epochs in (arguments.epochs, 2 * arguments.epochs))
    wall, cpu = ((b - a) / (arguments.epochs * arguments.batches) for a, b in zip(short, long, strict=True))
    if int(os.environ.get("RANK", 0)) == 0:
        record(
            "processes",
            {
                "processes": int(os.environ.get("WORLD_SIZE", 1)),
                "batch": arguments.batch,
                "table": arguments.table,
                "step_wall_ms": round(1e3 * wall, 1),
                "step_cpu_ms": round(1e3 * cpu, 1),
            },
        )


if __name__ == "__main__":
    main()
