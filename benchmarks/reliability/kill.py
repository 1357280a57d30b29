"""Kill fits by SIGKILL at random moments, and compare what the next fit gives with a fit that was not killed, bit by bit.

Each repetition fits one of the four estimators in a process of its own, which writes a checkpoint at every chance. It kills the
process up to twice, once the first file is there, and lets the last process finish. "equal" counts the repetitions in which
transform, or pointwise and the interval, and the history have the same bits, and no file is left.

    python benchmarks/reliability/kill.py --repetitions 25 --seed 0
"""

from __future__ import annotations

import argparse
import pickle
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import record

from skdim import Checkpoint, CPCTransformer, DeepInfoMaxTransformer, MIEstimator, MultiViewInfoMaxTransformer

MOST_KILLS = 2
NAMES = "DeepInfoMaxTransformer", "MultiViewInfoMaxTransformer", "CPCTransformer", "MIEstimator"


def fitted(name: str, seed: int, directory: str | None) -> Any:
    """Fit, and return all that the estimator says."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    options = {
        "random_state": seed,
        "checkpoint": None if directory is None else Checkpoint(directory, minutes=0),
    }
    if name == "MIEstimator":
        x = rng.normal(size=(1500, 1))
        y = np.sin(3 * x) + 0.3 * rng.normal(size=x.shape)
        fit = MIEstimator(**options).fit(x, y)
        return fit.pointwise(x, y), fit.mi_interval_, fit.history_
    options |= {"max_iter": 12, "early_stopping": bool(seed % 2)}
    if name == "DeepInfoMaxTransformer":
        X, estimator = rng.random((600, 1, 16, 16)), DeepInfoMaxTransformer(8, prior_weight=0.5, **options)
    elif name == "CPCTransformer":
        X, estimator = rng.normal(size=(1000, 60)).cumsum(1), CPCTransformer(8, **options)
    else:
        X, estimator = rng.normal(size=(3000, 20)), MultiViewInfoMaxTransformer(n_components=8, **options)
    fit = estimator.fit(X)
    return fit.transform(X), fit.history_


def run(name: str, seed: int, directory: str, out: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, "--fit", name, str(seed), directory, str(out)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fit", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.fit:
        name, seed, directory, out = arguments.fit
        start = time.perf_counter()
        answers = fitted(name, int(seed), directory or None)
        Path(f"{out}.seconds").write_text(str(time.perf_counter() - start))
        Path(out).write_bytes(pickle.dumps(answers))
        return
    moments, n_equal, n_kills = random.Random(arguments.seed), 0, 0
    for repetition in range(arguments.repetitions):
        name = NAMES[repetition % len(NAMES)]
        with tempfile.TemporaryDirectory() as folder:
            out, checkpoints = Path(folder) / "whole", Path(folder) / "checkpoints"
            run(name, repetition, "", out).wait()
            whole, seconds = pickle.loads(out.read_bytes()), float(Path(f"{out}.seconds").read_text())
            out.unlink()
            kills, files = 0, 0
            while not out.exists():
                process = run(name, repetition, str(checkpoints), out)
                while kills == 0 and process.poll() is None and not any(checkpoints.glob("*.npz")):
                    time.sleep(0.01)
                try:
                    process.wait(moments.uniform(0, seconds) if kills < MOST_KILLS else None)
                except subprocess.TimeoutExpired:
                    process.kill()  # SIGKILL
                    process.wait()
                    kills += 1
                    files += any(checkpoints.glob("*.npz"))
                    continue
                if process.returncode:
                    break
            is_equal = out.exists() and not any(checkpoints.iterdir())
            try:
                np.testing.assert_equal(pickle.loads(out.read_bytes()) if is_equal else None, whole)
            except AssertionError as error:
                print(error)
                is_equal = False
        n_equal += is_equal
        n_kills += kills
        print(f"{name}, seed {repetition}: {kills} kill(s), {files} of them left a file; equal: {is_equal}", flush=True)
    tries = {"tries": arguments.repetitions, "right": n_equal}
    record(
        "reliability",
        {"script": "kill", "subject": "all", **tries, "detail": f"{n_kills} kills", "seed": arguments.seed},
    )
    sys.exit(n_equal < arguments.repetitions)


if __name__ == "__main__":
    main()
