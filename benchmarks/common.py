"""What the benchmarks share: data, the linear probe, and results as dated rows of a CSV file."""

from __future__ import annotations

import argparse
import csv
import datetime
import os
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import sklearn
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

import skdim
from skdim.datasets import load_fashion_mnist, load_mnist

Clock: TypeAlias = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}

RESULTS = Path(__file__).parent / "results"

#: Packages that are measured beside ours, each in an interpreter of its own.
PEERS = ("cebra", "torch-mist", "umap")


def add_peers(parser: argparse.ArgumentParser) -> None:
    """Add ``--peers NAME=PYTHON ...``, a dictionary of the peers' interpreters; a script takes those that it measures."""
    names = ", ".join(PEERS)

    def interpreter(text: str) -> tuple[str, str]:
        name, _, python = text.partition("=")
        if name not in PEERS or not Path(python).is_file():
            raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PYTHON with a name of {names} and a file.")
        return name, python

    parser.add_argument("--peers", nargs="+", type=interpreter, default=[], metavar="NAME=PYTHON", help=f"of {names}")


def _digits() -> Bunch:
    digits = load_digits()
    X_train, X_test, y_train, y_test = train_test_split(
        digits.images.astype(np.uint8), digits.target, test_size=0.25, stratify=digits.target, random_state=0
    )
    return Bunch(X_train=X_train, X_test=X_test, y_train=y_train, y_test=y_test)


LOADERS = {"digits": _digits, "fashion-mnist": load_fashion_mnist, "mnist": load_mnist}


def load(name: str, test: bool) -> Bunch:
    """Return images to learn from, labelled rows to fit probes on, and rows to judge them on.

    Without ``test`` the last sixth of the training set is the judge, and the test set is not touched.
    """
    data = LOADERS[name]()
    X, y = data.X_train, np.asarray(data.y_train, dtype=int)
    if test:
        return Bunch(X=X, y=y, X_eval=data.X_test, y_eval=np.asarray(data.y_test, dtype=int), part="test")
    n = len(X) - len(X) // 6
    return Bunch(X=X[:n], y=y[:n], X_eval=X[n:], y_eval=y[n:], part="validation")


def probe(Z: Any, y: Any, Z_eval: Any, y_eval: Any) -> float:
    """Return the accuracy of a linear classifier on standardised features."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 300 iterations are the protocol, converged or not
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(Z, y).score(Z_eval, y_eval)


def probe_few(Z: Any, y: Any, Z_eval: Any, y_eval: Any, n_labels: int, n_draws: int) -> list[float]:
    """Return the probe's accuracy for several balanced draws of ``n_labels`` labels."""
    accuracies = []
    for draw in range(n_draws):
        rng = np.random.default_rng(draw)
        classes = np.unique(y)
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(y == label), n_labels // len(classes), replace=False) for label in classes]
        )
        accuracies.append(probe(Z[rows], y[rows], Z_eval, y_eval))
    return accuracies


def machine() -> dict[str, Any]:
    """Return what a figure depends on beside its settings."""
    return {
        "date": datetime.date.today().isoformat(),
        "skdim": skdim.__version__,
        "torch": torch.__version__,
        "sklearn": sklearn.__version__,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "cpu": _cpu(),
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        if info.exists()
        else []
    )
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{names[0] if names else platform.processor()} ({capability})"


def read(table: str) -> list[dict[str, str]]:
    """Return the rows of ``results/<table>.csv``, none where there is no such file."""
    path = RESULTS / f"{table}.csv"
    return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []


def record(table: str, row: dict[str, Any]) -> None:
    """Append a dated row to ``results/<table>.csv`` and print it; other columns than the table's are refused."""
    row = {**row, **machine()}
    print("  ".join(f"{name}={value}" for name, value in row.items() if name not in machine()), flush=True)
    path = RESULTS / f"{table}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = next(iter(read(table)), None)
    if columns is not None and list(columns) != list(row):
        raise ValueError(f"{path} has the columns {list(columns)}, the row {list(row)}.")
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if columns is None:
            writer.writeheader()
        writer.writerow(row)
