"""Peak anonymous memory, and cost per sample, of one epoch and of transform, by where the samples are and what they are.

Samples are random: bytes, or float32 for sequences. Memory is what the process holds beyond its imports, pages of files left
out, which the system takes back when it needs them (RssAnon of Linux); an array in memory is counted.

python benchmarks/memory.py --n 1000000 --source memmap
python benchmarks/memory.py --n 1000000 --source array
python benchmarks/memory.py --n 1280 --shape 3 224 224
python benchmarks/memory.py --n 20000 --shape 8000 --estimator conv1d --source memmap
python benchmarks/memory.py --n 1000000 --shape 5 --estimator information

Of "information" the columns are those of both sides, of which the last two depend on the others, and "transform" is score.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from common import record

from skdim import CPCTransformer, DeepInfoMaxTransformer, MIEstimator
from skdim.inputs.arrays import StoredArray

BLOCK = 1_000


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


def write(path: Path, n: int, shape: tuple[int, ...], dtype: type) -> None:
    X = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(n, *shape))
    rng = np.random.default_rng(0)
    for start in range(0, n, BLOCK):
        block = X[start : start + BLOCK]
        block[:] = rng.integers(0, 256, block.shape, np.uint8) if dtype is np.uint8 else rng.normal(size=block.shape)
    X.flush()


SOURCES: dict[str, Any] = {
    "array": np.load,
    "memmap": lambda path: np.load(path, mmap_mode="r"),
    "blocks": lambda path: StoredArray(np.load(path, mmap_mode="r")),
}


def estimator(name: str, shape: tuple[int, ...]) -> Any:
    if name == "information":
        return MIEstimator(random_state=0)
    if name == "cpc":
        return CPCTransformer(max_iter=1, random_state=0)
    if name == "conv1d":
        return DeepInfoMaxTransformer(encoder="conv1d", input_shape=(1, *shape), max_iter=1, random_state=0)
    return DeepInfoMaxTransformer(max_iter=1, random_state=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=60_000)
    parser.add_argument("--source", choices=sorted(SOURCES), default="array", help="blocks: read as zarr and HDF5 are")
    parser.add_argument("--shape", type=int, nargs="+", default=[784], help="of a sample")
    parser.add_argument("--estimator", choices=["dim", "conv1d", "cpc", "information"], default="dim")
    arguments = parser.parse_args()
    shape, n = tuple(arguments.shape), arguments.n
    dtype = np.uint8 if arguments.estimator == "dim" else np.float32
    fitted, imports = estimator(arguments.estimator, shape), anonymous_mb()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "X.npy"
        write(path, n, shape, dtype)
        X = SOURCES[arguments.source](path)
        sides, apply = (X,), "transform"
        if arguments.estimator == "information":
            sides, apply = (X[:, :-2], X[:, :2] + X[:, -2:]), "score"
        with Peak().watch() as fit:
            fitted.fit(*sides)
        with Peak().watch() as transform:
            getattr(fitted, apply)(*sides)
    record(
        "memory",
        {
            "n": n,
            "sample": " x ".join(map(str, shape)),
            "estimator": arguments.estimator,
            "source": arguments.source,
            "file_mb": round(n * math.prod(shape) * np.dtype(dtype).itemsize / 2**20),
            "fit_peak_mb": round(fit.mb - imports),
            "transform_peak_mb": round(transform.mb - imports),
            "fit_cpu_us": round(1e6 * fit.cpu / n, 1),
            "fit_wall_us": round(1e6 * fit.wall / n, 1),
            "transform_cpu_us": round(1e6 * transform.cpu / n, 1),
            "transform_wall_us": round(1e6 * transform.wall / n, 1),
        },
    )


if __name__ == "__main__":
    main()
