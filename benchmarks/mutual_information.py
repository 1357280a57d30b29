"""MIEstimator on tasks with known mutual information: the 40 of Beyond Normal, further families, and independent data.

Every task, seed and size is a row of ``results/mutual_information.csv``; ``--summary`` prints the table of the rows there are.

    python benchmarks/mutual_information.py --tasks beyond-normal --seeds 0 1 2
    python benchmarks/mutual_information.py --tasks further --seeds 0 1 2
    python benchmarks/mutual_information.py --tasks staircase --estimators auto infonce mlcpc dime
    python benchmarks/mutual_information.py --tasks small --n 100 300 1000 --estimators auto ksg gaussian --seeds $(seq 0 19)
    python benchmarks/mutual_information.py --summary
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections import defaultdict
from typing import Any

import numpy as np
import torch
from common import RESULTS, record
from tasks import FURTHER, LABELLED, SMALL

from skdim import MIEstimator
from skdim.exceptions import MutualInformationWarning
from skdim.synthetic import BEYOND_NORMAL, Task

STAIRCASE = {name: task for name, task in FURTHER.items() if "staircase" in name}
SETS = {
    "beyond-normal": BEYOND_NORMAL,
    "further": {name: task for name, task in FURTHER.items() if name not in STAIRCASE},
    "staircase": STAIRCASE,
    "small": {name: (BEYOND_NORMAL | FURTHER)[name] for name in SMALL},
}


def judge(task: Task, estimator: str, n: int, seed: int) -> None:
    X, Y = task.sample(n, seed)
    if task.name in LABELLED:
        if estimator != "auto":
            return  # a classifier takes the place of the critic
        Y = Y.astype(int)
    measure("mutual_information", task.name, X, Y, estimator, seed, task.mutual_information)


def measure(table: str, task: str, X: Any, Y: Any, estimator: str, seed: int, truth: float) -> None:
    """Record the estimate from joint samples, beside the truth in nats, nan if nobody knows it."""
    wall, cpu = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MutualInformationWarning)
        fitted = MIEstimator(estimator=estimator, random_state=seed).fit(X, Y)
    lower, upper = fitted.mi_interval_
    record(
        table,
        {
            "task": task,
            "estimator": estimator,
            "kind": fitted.kind_,
            "n": len(X),
            "seed": seed,
            "truth": round(truth, 4),
            "estimate": round(fitted.mi_, 4),
            "error": round(fitted.mi_ - truth, 4),
            "lower": round(lower, 4),
            "upper": round(upper, 4),
            "saturation": round(fitted.diagnostics_.get("saturation", np.nan), 4),
            "wall_s": round(time.perf_counter() - wall, 1),
            "cpu_s": round(time.process_time() - cpu, 1),
        },
    )


def summarise() -> None:
    """Print mean absolute error, coverage and time by set of tasks, estimator and size."""
    groups: dict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
    with (RESULTS / "mutual_information.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            kind = next((name for name, tasks in SETS.items() if row["task"] in tasks), "other")
            groups[kind, row["estimator"], row["n"]].append(row)
    for (kind, estimator, n), rows in groups.items():
        error = np.array([float(row["error"]) for row in rows])
        truth = np.array([float(row["truth"]) for row in rows])
        lower, upper = (np.array([float(row[end]) for row in rows]) for end in ("lower", "upper"))
        seconds = np.array([float(row["cpu_s"]) for row in rows])
        print(
            f"{kind}, {estimator}, n = {n}, {len(rows)} runs: mean |error| {np.abs(error).mean():.3f}, median "
            f"{np.median(np.abs(error)):.3f}, worst {error[np.abs(error).argmax()]:+.3f}; lower end <= truth "
            f"{np.mean(lower <= truth):.2f}, truth inside {np.mean((lower <= truth) & (truth <= upper)):.2f}; CPU s median "
            f"{np.median(seconds):.1f}, most {seconds.max():.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["beyond-normal"], help=f"of {sorted(SETS)}, or names of tasks")
    parser.add_argument("--estimators", nargs="+", default=["auto"])
    parser.add_argument("--n", type=int, nargs="+", default=[10_000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--summary", action="store_true", help="only print the table of the rows there are")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    every = {name: task for tasks in SETS.values() for name, task in tasks.items()}
    for name in [] if arguments.summary else arguments.tasks:
        for task in SETS.get(name, {name: every.get(name)}).values():
            if task is None:
                parser.error(f"Unknown task {name!r}.")
            for estimator in arguments.estimators:
                for n in arguments.n:
                    for seed in arguments.seeds:
                        judge(task, estimator, n, seed)
    summarise()


if __name__ == "__main__":
    main()
