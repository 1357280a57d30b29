"""Peak memory of fitting and transforming 60,000 uint8 images, in this process, beyond the array and the imports.

python benchmarks/memory.py
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

import numpy as np
from common import record

from skdim import DeepInfoMaxTransformer


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=60_000)
    parser.add_argument("--memmap", action="store_true", help="read the images from a read-only memory map")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    DeepInfoMaxTransformer(max_iter=1, random_state=0).fit(rng.integers(0, 256, (512, 28, 28), dtype=np.uint8))
    with tempfile.TemporaryDirectory() as folder:
        X = rng.integers(0, 256, (arguments.n, 28, 28), dtype=np.uint8)
        if arguments.memmap:
            path = Path(folder) / "X.npy"
            np.save(path, X)
            X = np.load(path, mmap_mode="r")
        before = peak_mb()
        dim = DeepInfoMaxTransformer(max_iter=1, random_state=0).fit(X)
        fitted = peak_mb()
        dim.transform(X)
        transformed = peak_mb()
    record(
        "memory",
        {
            "n": arguments.n,
            "memmap": arguments.memmap,
            "array_mb": round(X.nbytes / 2**20),
            "fit_adds_mb": round(fitted - before),
            "transform_adds_mb": round(transformed - fitted),
            "limit_mb": round(1.2 * X.nbytes / 2**20 + 600),
        },
    )


if __name__ == "__main__":
    main()
