"""How the cost of training grows: with samples, batch, size of images, columns, length of sequences, threads.

Each cost is that of one more epoch, (fit with 2 k epochs - fit with k epochs) / k, in CPU seconds for a sample, so that
building the network drops out; with threads it is wall time. One size of a series after the other, the series several times;
the median is kept, and its ratio to the first size stands beside it. A linear cost has ratio 1 for a sample, or for a value
where samples grow.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --series length --rounds 5
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import record
from sklearn.base import clone

from skdim import CPCTransformer, DeepInfoMaxTransformer

#: Sizes of each series; the first is the reference.
SIZES = {
    "samples": (1_000, 10_000, 100_000, 1_000_000),
    "batch": (64, 128, 256, 512),
    "image": (16, 28, 32, 64, 96),
    "columns": (64, 256, 1024),
    "length": (128, 512, 2048, 8192),
    "threads": (1, 2),
}
#: Samples of the series in which they do not vary.
N = 2_560


def case(series: str, size: int) -> tuple[Any, Any, int]:
    """Return a transformer, its data, and the values that a sample has."""
    rng = np.random.default_rng(0)
    if series == "samples":
        return DeepInfoMaxTransformer(hidden_layer_sizes=(64, 64)), rng.integers(0, 256, (size, 64), np.uint8), 1
    if series == "columns":
        return DeepInfoMaxTransformer(hidden_layer_sizes=(64, 64)), rng.normal(size=(N, size)).astype(np.float32), 1
    if series == "length":
        return CPCTransformer(), rng.normal(size=(640, size)).astype(np.float32), size
    side = size if series == "image" else 28
    dim = DeepInfoMaxTransformer(batch_size=size if series == "batch" else 128)
    return dim, rng.integers(0, 256, (N, side, side), np.uint8), side**2 if series == "image" else 1


def cost(transformer: Any, X: Any, clock: Callable[[], float]) -> float:
    """Return the seconds of an epoch for a sample."""
    k = max(1, N // len(X))
    seconds = []
    for epochs in (k, 2 * k):
        start = clock()
        clone(transformer).set_params(max_iter=epochs, random_state=0).fit(X)
        seconds.append(clock() - start)
    return (seconds[1] - seconds[0]) / (k * len(X))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--sizes", type=int, nargs="+", help="of a single series, instead of its own")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for series in arguments.series:
        sizes = arguments.sizes or SIZES[series]
        cases = {size: case(series, size) for size in sizes}
        cost(*cases[sizes[0]][:2], time.process_time)  # warms up
        costs: dict[int, list[float]] = {size: [] for size in sizes}
        for _ in range(arguments.rounds):
            for size, (transformer, X, _) in cases.items():
                if series == "threads":
                    torch.set_num_threads(size)
                costs[size].append(
                    cost(transformer, X, time.perf_counter if series == "threads" else time.process_time)
                )
        torch.set_num_threads(arguments.threads)
        each = {size: float(np.median(costs[size])) / cases[size][2] for size in sizes}
        for size in sizes:
            record(
                "scaling",
                {
                    "series": series,
                    "size": size,
                    "microseconds": round(1e6 * each[size], 3),
                    "of": "value" if series in ("length", "image") else "sample",
                    "to_first": round(each[size] / each[sizes[0]], 3),
                    "spread": " ".join(
                        f"{value / cases[size][2] / each[sizes[0]]:.2f}" for value in sorted(costs[size])
                    ),
                    "rounds": arguments.rounds,
                },
            )


if __name__ == "__main__":
    main()
