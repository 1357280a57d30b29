"""A real table of three views: multi-view codes beside PCA and CCA of the same size, the untrained network, and all columns.

Breast cancer (Wisconsin), 569 rows: the mean, the standard error and the worst value of ten measurements of cell nuclei are
three views of ten columns. Every resample cuts the rows anew, stratified, three quarters to learn from; a linear classifier is
fitted on all their labels, or on ten of each class. 427 rows are soon learned by heart, so training stops early, judged on a
tenth of them (``--no-early-stopping``: all epochs). Differences to PCA are paired by resample. Rows go to
``results/multiview_table.csv``.

    python benchmarks/multiview_table.py --resamples 10
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from common import PROBE, record
from scipy import stats
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skdim import MultiViewInfoMaxTransformer
from skdim.evaluation import linear_probe

VIEWS = [("average", slice(0, 10)), ("standard_error", slice(10, 20)), ("worst", slice(20, 30))]
#: Labels of each class of the probe on few.
FEW = 10


def canonical(X: Any, columns: slice, width: int) -> Any:
    """Return the map to the canonical variates of some columns with the others."""
    x, y = X[:, columns], np.delete(X, np.r_[columns], axis=1)
    whiten_x, whiten_y = (PCA(min(len(part.T), 10), whiten=True, random_state=0).fit(part) for part in (x, y))
    axes = np.linalg.svd(whiten_x.transform(x).T @ whiten_y.transform(y))[0][:, :width]
    return lambda X: whiten_x.transform(X[:, columns]) @ axes


def encoders(X: Any, width: int, training: dict[str, Any], seed: int) -> dict[str, tuple[Any, float]]:
    """Return every way to features, learned from standardised rows, with its CPU seconds."""
    pcas = [(columns, PCA(width, random_state=0).fit(X[:, columns])) for _, columns in VIEWS]
    ccas = [canonical(X, columns, width) for _, columns in VIEWS]
    found: dict[str, tuple[Any, float]] = {
        "all columns": (lambda X: X, 0.0),
        "pca of views": (lambda X: np.hstack([pca.transform(X[:, columns]) for columns, pca in pcas]), 0.0),
        "cca, view with the rest": (lambda X: np.hstack([encode(X) for encode in ccas]), 0.0),
    }
    for what, params in [
        ("untrained", {"max_iter": 0, "early_stopping": False}),
        ("core", {"graph": "core"}),
        ("full", {"graph": "full"}),
    ]:
        start = time.process_time()
        dim = MultiViewInfoMaxTransformer(width, views=VIEWS, random_state=seed, **training | params).fit(X)
        found[what] = dim.transform, time.process_time() - start
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resamples", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--n-components", type=int, default=4, help="of each view")
    parser.add_argument("--early-stopping", action=argparse.BooleanOptionalAction, default=True)
    arguments = parser.parse_args()
    training = {"max_iter": arguments.epochs, "early_stopping": arguments.early_stopping}
    torch.set_num_threads(1)
    X, y = load_breast_cancer(return_X_y=True)
    accuracies: dict[str, list[list[float]]] = {}
    seconds: dict[str, list[float]] = {}
    for seed in range(arguments.resamples):
        train, test = train_test_split(np.arange(len(y)), train_size=0.75, stratify=y, random_state=seed)
        scaler = StandardScaler().fit(X[train])
        X_train, X_test = scaler.transform(X[train]), scaler.transform(X[test])
        for what, (encode, cpu) in encoders(X_train, arguments.n_components, training, seed).items():
            Z, Z_test = encode(X_train), encode(X_test)
            probe = linear_probe(Z, y[train], Z_test, y[test], n_labels=[None, 2 * FEW], random_state=seed)
            accuracies.setdefault(what, []).append(probe.accuracy[:, 0].tolist())
            seconds.setdefault(what, []).append(cpu)
    base = np.array(accuracies["pca of views"])
    for what, values in accuracies.items():
        row: dict[str, Any] = {"features": what, "n_components": arguments.n_components, **training}
        for column, which in enumerate(("all", "few")):
            accuracy = np.array(values)[:, column]
            difference = accuracy - base[:, column]
            half = stats.t.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / len(difference) ** 0.5
            row |= {
                f"accuracy_{which}": round(accuracy.mean(), 4),
                f"sd_{which}": round(accuracy.std(ddof=1), 4),
                f"minus_pca_{which}": f"{difference.mean():.3f} ± {half:.3f}",
            }
        row |= {"fit_cpu_s": round(float(np.mean(seconds[what])), 1), "resamples": arguments.resamples, **PROBE}
        record("multiview_table", row)


if __name__ == "__main__":
    main()
