"""What the benchmarks share: data, their parts, and results as dated rows of a CSV file."""

from __future__ import annotations

import argparse
import csv
import datetime
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import sklearn
import torch
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split
from sklearn.utils import Bunch
from tables import TABLES, encoded

import skdim
from skdim.datasets import load_fashion_mnist, load_images, load_mnist, load_photo_patches

Clock: TypeAlias = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}

RESULTS = Path(__file__).parent / "results"

#: What judged the features of a row; "300 iterations" is an earlier one, with C = 1, that was stopped there.
PROBE = {"probe": "converged"}

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


def _photo_patches() -> Bunch:
    return load_photo_patches(n_train=200, n_test=200, packages=["sklearn", "skimage"])


def _in_parts(load: Callable[[], Bunch]) -> Callable[[], Bunch]:
    """Return a loader of a data set of scikit-learn, a quarter of it for tests."""

    def loader() -> Bunch:
        data = load()
        X = data.images.astype(np.uint8) if "images" in data else data.data
        parts = train_test_split(X, data.target, test_size=0.25, stratify=data.target, random_state=0)
        return Bunch(**dict(zip(("X_train", "X_test", "y_train", "y_test"), parts, strict=True)))

    return loader


def _series() -> Bunch:
    """Return 4,000 made series of 64 steps: five movements, each a frequency of two channels in noise, that start anywhere."""
    rng = np.random.default_rng(0)
    y = rng.integers(5, size=4000)
    t = rng.uniform(0, 6, (len(y), 1)) + (0.2 + 0.05 * y[:, None]) * np.arange(64)
    X = np.stack([np.sin(t), np.sin(2 * t + y[:, None])], axis=1) + 0.7 * rng.standard_normal((len(y), 2, 64))
    return Bunch(X_train=X[:3000], X_test=X[3000:], y_train=y[:3000], y_test=y[3000:])


def _cifar10_jpeg() -> Bunch:
    """Return CIFAR-10 from JPEG files in folders ``train`` and ``test``, with folders of classes, in a shuffled order."""
    bunch = Bunch()
    for part in ("train", "test"):
        images = load_images(Path(os.environ["SKDIM_DATA_HOME"], "cifar10_jpeg", part), (32, 32), color="RGB")
        order = np.random.default_rng(0).permutation(len(images.data))
        bunch[f"X_{part}"], bunch[f"y_{part}"] = (
            images.data[order],
            np.unique(images.target, return_inverse=True)[1][order],
        )
    return bunch


LOADERS = {
    "breast-cancer": _in_parts(load_breast_cancer),
    "cifar10-jpeg": _cifar10_jpeg,
    "digits": _in_parts(load_digits),
    "fashion-mnist": load_fashion_mnist,
    "mnist": load_mnist,
    "photo-patches": _photo_patches,
    "series": _series,
    **{name: partial(encoded, name) for name in TABLES},
}


def load(name: str, test: bool) -> Bunch:
    """Return rows to learn from, labelled rows to fit probes on, and rows to judge them on.

    Without ``test`` the last sixth of the training set is the judge, and the test set is not touched.
    """
    data = LOADERS[name]()
    X, y = data.X_train, np.asarray(data.y_train, dtype=int)
    if test:
        return Bunch(X=X, y=y, X_eval=data.X_test, y_eval=np.asarray(data.y_test, dtype=int), part="test")
    n = len(X) - len(X) // 6
    return Bunch(X=X[:n], y=y[:n], X_eval=X[n:], y_eval=y[n:], part="validation")


def random_axes(n: int) -> np.ndarray:
    """Return a random rotation (n, n).

    A scaler magnifies the last principal components, which have little variance. Turned axes have about equal variance, as
    those of the codes that they are compared with.
    """
    return np.linalg.qr(np.random.default_rng(0).normal(size=(n, n)))[0].astype(np.float32)


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
