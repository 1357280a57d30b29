"""Memory of a training step against batch and locations: the scores of InfoNCE take batch^2 x locations.

The default convolutional network on images of 28 x 28, two steps, each setting in a process of its own. Memory is the largest
that the process holds in the fit beyond what a smaller fit left. "scores" is that of one tensor of scores, batch^2 x locations
x 4 bytes; "to_scores" is what the fit takes more than with one location, in such tensors: both directions' scores, and what the
backward pass keeps of them.

    python benchmarks/score_memory.py
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import torch
from common import record
from memory import Peak, anonymous_mb

from skdim import DeepInfoMaxTransformer

LOCATIONS = 1, 4, 8, 16


def peak_of(X: np.ndarray, batch: int, n_locations: int) -> float:
    """Return the megabytes that two steps take."""
    torch.set_num_threads(1)
    DeepInfoMaxTransformer(max_iter=1, batch_size=32, n_locations=1).fit(X[:32])  # what is loaded once
    dim = DeepInfoMaxTransformer(batch_size=batch, n_locations=n_locations, max_iter=1, random_state=0)
    before = anonymous_mb()
    with Peak(every=0.002).watch() as peak:
        dim.fit(X)
    return peak.mb - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[128, 256, 512, 1024])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["MALLOC_MMAP_THRESHOLD_"] = (
        "65536"  # glibc gives back what is freed, so that the peak is of what is in use
    )
    fresh = {"max_workers": 1, "mp_context": get_context("spawn"), "max_tasks_per_child": 1}
    for batch in arguments.batches:
        X = np.random.default_rng(0).integers(0, 256, (2 * batch, 28, 28), dtype=np.uint8)
        with ProcessPoolExecutor(**fresh) as pool:
            peaks = {n: pool.submit(peak_of, X, batch, n).result() for n in LOCATIONS}
        for n, peak in peaks.items():
            scores = 4 * batch**2 * n / 2**20
            more = (peak - peaks[1]) / (scores - 4 * batch**2 / 2**20) if n > 1 else float("nan")
            record(
                "score_memory",
                {
                    "batch": batch,
                    "locations": n,
                    "peak_mb": round(peak),
                    "scores_mb": round(scores, 2),
                    "to_scores": "" if n == 1 else round(more, 1),
                },
            )


if __name__ == "__main__":
    main()
