"""Estimators of other packages on the tasks of Beyond Normal, each in an environment of its own, beside MIEstimator.

skdim's interpreter writes the samples, the same as in ``mutual_information.py``; a peer's reads them, needs only that peer,
and appends rows to ``results/mutual_information_peers.csv``. Rows that exist are skipped: an interrupted run goes on.

    python -m venv bmi && bmi/bin/pip install benchmark-mi==0.1.3 jax==0.4.28 jaxlib==0.4.28 scipy==1.12.0  # Python 3.11
    python -m venv mist && mist/bin/pip install torch==2.13.0 torch-mist==0.2.17 "pandas<3"  # which it does not require
    export OMP_NUM_THREADS=1 XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    python benchmarks/mutual_information_peers.py --write samples --n 10000 --seeds 0
    bmi/bin/python benchmarks/mutual_information_peers.py --read samples --peers bmi-cca bmi-ksg bmi-infonce bmi-mine
    mist/bin/python benchmarks/mutual_information_peers.py --read samples --peers mist-smile
    python benchmarks/mutual_information_peers.py --read samples --peers sklearn-ksg
    python benchmarks/mutual_information_peers.py --write few --tasks small --n 100 300 1000 --seeds $(seq 0 19)
    python benchmarks/mutual_information_peers.py --read few --peers sklearn-ksg
    python benchmarks/mutual_information_peers.py --summary

Settings are the packages' defaults, except k = 10 for benchmark-mi's KSG instead of the average over k = 5 and 10. InfoNCE
and MINE: critic 16-8, Adam at 0.1, batches of 256, half of the rows for tests every 250 steps, at most 10,000 steps, best
test value; their time includes compilation. SMILE: joint critic of 128 units, clipped at 5, Adam at 5e-4, batches of 128, at
most 5,000 steps, evaluated on all rows; no log of the training is kept. scikit-learn: k = 3, a number and a number, or,
by ``mutual_info_classif``, a number and a label.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
TABLE = RESULTS / "mutual_information_peers.csv"
RUN = ("task", "package", "estimator", "n", "seed")

Estimate = Callable[[np.ndarray, np.ndarray, int], float]


# A peer is imported here only, before the clock starts: the other interpreters do not have it.
def _bmi(name: str, **settings: object) -> Estimate:
    from bmi import estimators

    return lambda X, Y, seed: getattr(estimators, name)(**settings).estimate(X, Y)


def _mist(name: str) -> Estimate:
    import torch
    from torch_mist import estimate_mi

    def estimate(X: np.ndarray, Y: np.ndarray, seed: int) -> float:
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        return estimate_mi((np.float32(X), np.float32(Y)), estimator=name, verbose=False, logger=False)

    return estimate


def _sklearn() -> Estimate:
    from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

    def estimate(X: np.ndarray, Y: np.ndarray, seed: int) -> float:
        measure = mutual_info_classif if Y.dtype.kind == "i" else mutual_info_regression
        return measure(X, Y.ravel(), random_state=seed)[0]

    return estimate


PEERS: dict[str, tuple[str, str, str, Callable[[], Estimate]]] = {  # package, estimator, what it computes with, maker
    "bmi-cca": ("benchmark-mi", "CCA", "scikit-learn", partial(_bmi, "CCAMutualInformationEstimator")),
    "bmi-ksg": ("benchmark-mi", "KSG", "scikit-learn", partial(_bmi, "KSGEnsembleFirstEstimator", neighborhoods=[10])),
    "bmi-infonce": ("benchmark-mi", "InfoNCE", "jaxlib", partial(_bmi, "InfoNCEEstimator", verbose=False)),
    "bmi-mine": ("benchmark-mi", "MINE", "jaxlib", partial(_bmi, "MINEEstimator", verbose=False)),
    "mist-smile": ("torch-mist", "SMILE", "torch", partial(_mist, "smile")),
    "sklearn-ksg": ("scikit-learn", "mutual_info_regression", "scipy", _sklearn),
}


def write(folder: Path, sizes: list[int], seeds: list[int], names: list[str]) -> None:
    """Write samples of the named tasks, or of Beyond Normal; "small" are those of few rows."""
    from tasks import FURTHER, LABELLED, SMALL

    from skdim.synthetic import BEYOND_NORMAL

    tasks = {**FURTHER, **BEYOND_NORMAL}
    chosen = [name for given in names for name in (SMALL if given == "small" else [given])] or list(BEYOND_NORMAL)
    folder.mkdir(parents=True, exist_ok=True)
    for task, n, seed in product((tasks[name] for name in chosen), sizes, seeds):
        X, Y = task.sample(n, seed)
        Y = Y.astype(int) if task.name in LABELLED else Y
        np.savez(folder / f"{task.name}_{n}_{seed}.npz", X=X, Y=Y, truth=task.mutual_information)


def judge(folder: Path, peer: str, tasks: list[str]) -> None:
    package, estimator, backend, make = PEERS[peer]
    estimate = make()
    versions = " ".join(f"{name}=={importlib.metadata.version(name)}" for name in (package, backend, "numpy"))
    about = {"date": datetime.date.today().isoformat(), "versions": versions}
    about |= {"python": platform.python_version(), "cores": os.cpu_count()}
    TABLE.touch()
    done = {tuple(row[name] for name in RUN) for row in csv.DictReader(TABLE.read_text().splitlines())}
    for path in sorted(folder.glob("*.npz")):
        task, n, seed = path.stem.rsplit("_", 2)
        run = dict(zip(RUN, (task, package, estimator, n, seed), strict=True))
        X, Y, truth = (np.load(path)[name] for name in ("X", "Y", "truth"))
        impossible = peer == "sklearn-ksg" and X.shape[1] + Y.shape[1] > 2
        if impossible or tuple(run.values()) in done or (tasks and task not in tasks):
            continue
        cpu, wall = time.process_time(), time.perf_counter()
        value, truth = float(estimate(X, Y, int(seed))), float(truth)
        figures = {"truth": truth, "estimate": value, "error": value - truth}
        figures |= {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
        row = run | {name: round(figure, 4) for name, figure in figures.items()} | about
        with TABLE.open("a", newline="") as file:
            csv.writer(file).writerows([row.values()] if file.tell() else [row, row.values()])
        print(*row.values(), flush=True)


def summarise() -> None:
    """Print errors and CPU seconds by peer and size, beside MIEstimator's on the same samples."""
    import pandas as pd

    run = ["task", "n", "seed"]
    ours = pd.read_csv(RESULTS / "mutual_information.csv").query("estimator == 'infonce'")
    ours = ours.drop_duplicates(run, keep="last")[[*run, "error", "cpu_s"]]
    both = pd.read_csv(TABLE).merge(ours, "left", on=run, suffixes=("", "_ours"))
    worst = "worst", lambda error: max(error.dropna(), key=abs, default=np.nan)
    errors = ["count", ("mean |.|", lambda error: error.abs().mean()), worst]
    columns = {"error": errors, "error_ours": errors, "cpu_s": "median", "cpu_s_ours": "median"}
    print(both.groupby(["package", "estimator", "n"], sort=False).agg(columns).round(3).to_string())
    print("CPU seconds rise while other processes share the cores.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="draw the samples; needs skdim")
    parser.add_argument("--read", type=Path, metavar="FOLDER", help="measure the peers on the samples")
    parser.add_argument("--peers", nargs="+", default=[], choices=PEERS)
    parser.add_argument(
        "--tasks",
        nargs="+",
        default=[],
        help="names, or small; Beyond Normal by default, to read all",
    )
    parser.add_argument("--n", type=int, nargs="+", default=[10_000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--summary", action="store_true", help="print the table of the rows there are")
    arguments = parser.parse_args()
    if arguments.write:
        write(arguments.write, arguments.n, arguments.seeds, arguments.tasks)
    for peer in arguments.peers if arguments.read else []:
        judge(arguments.read, peer, arguments.tasks)
    if arguments.summary:
        summarise()


if __name__ == "__main__":
    main()
