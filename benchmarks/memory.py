"""Peak anonymous memory, and cost per sample, of one epoch and of transform, by where the samples are.

Rows are digits of 28 x 28 bytes with noise. Memory is what the process holds beyond its imports, pages of files left out,
which the system takes back when it needs them (RssAnon of Linux); an array in memory is counted.

python benchmarks/memory.py --n 1000000 --source memmap
python benchmarks/memory.py --n 1000000 --source array
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from common import record
from sklearn.datasets import load_digits

from skdim import DeepInfoMaxTransformer
from skdim.inputs.arrays import StoredArray

BLOCK = 50_000


def anonymous_mb() -> float:
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


class Peak:
    """The largest anonymous memory of a block of code, sampled by a thread, with its CPU and wall time."""

    def __init__(self, every: float = 0.02) -> None:
        self.every = every

    @contextmanager
    def watch(self) -> Iterator[Peak]:
        self.mb, ended = anonymous_mb(), threading.Event()

        def sample() -> None:
            while not ended.wait(self.every):
                self.mb = max(self.mb, anonymous_mb())

        thread = threading.Thread(target=sample)
        thread.start()
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield self
        finally:
            self.wall, self.cpu = time.perf_counter() - wall, time.process_time() - cpu
            ended.set()
            thread.join()


def blocks(n: int) -> Iterator[np.ndarray]:
    """Yield n rows of 784 bytes: digits enlarged to 28 x 28, with noise."""
    digits = np.kron(load_digits().images * 15, np.ones((4, 4)))[:, 2:30, 2:30].reshape(-1, 784).astype(np.int16)
    rng = np.random.default_rng(0)
    for start in range(0, n, BLOCK):
        rows = np.arange(start, min(start + BLOCK, n)) % len(digits)
        noise = rng.integers(-15, 16, (len(rows), 784), dtype=np.int16)
        yield (digits[rows] + noise).clip(0, 255).astype(np.uint8)


def write(path: Path, n: int) -> None:
    X = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(n, 784))
    for start, block in zip(range(0, n, BLOCK), blocks(n), strict=True):
        X[start : start + BLOCK] = block
    X.flush()


SOURCES: dict[str, Any] = {
    "array": np.load,
    "memmap": lambda path: np.load(path, mmap_mode="r"),
    "blocks": lambda path: StoredArray(np.load(path, mmap_mode="r")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=60_000)
    parser.add_argument("--source", choices=sorted(SOURCES), default="array", help="blocks: read as zarr and HDF5 are")
    parser.add_argument("--images", action="store_true", help="through the convolutional encoder, not as a table")
    arguments = parser.parse_args()
    settings = {"max_iter": 1, "random_state": 0, "input_shape": (28, 28) if arguments.images else None}
    imports = anonymous_mb()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "X.npy"
        write(path, arguments.n)
        X = SOURCES[arguments.source](path)
        with Peak().watch() as fit:
            dim = DeepInfoMaxTransformer(**settings).fit(X)
        with Peak().watch() as transform:
            dim.transform(X)
    record(
        "memory",
        {
            "n": arguments.n,
            "source": arguments.source,
            "images": arguments.images,
            "file_mb": round(arguments.n * 784 / 2**20),
            "fit_peak_mb": round(fit.mb - imports),
            "transform_peak_mb": round(transform.mb - imports),
            "fit_cpu_us": round(1e6 * fit.cpu / arguments.n, 1),
            "fit_wall_us": round(1e6 * fit.wall / arguments.n, 1),
            "transform_cpu_us": round(1e6 * transform.cpu / arguments.n, 1),
            "transform_wall_us": round(1e6 * transform.wall / arguments.n, 1),
        },
    )


if __name__ == "__main__":
    main()
