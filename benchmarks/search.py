"""What a search costs in one process and in two: GridSearchCV over the estimators, at one torch thread and at two.

Deep InfoMax on Fashion-MNIST is searched by its own score, two candidates in two folds: a classifier behind it would be timed
as well, and BLAS on two threads takes twenty times as long for a small one as on one. A search without training comes first in
two processes, and says what starting the workers takes. The rows hold wall times, their ratio to one process with the same
number of threads, and what ``OMP_NUM_THREADS`` was: unset, so that joblib divides the cores among the workers, or given.

    python benchmarks/search.py --threads 1
    python benchmarks/search.py --threads 2
    OMP_NUM_THREADS=2 python benchmarks/search.py --threads 2    # every worker takes two
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import numpy as np
import torch
from common import load, record
from sklearn.model_selection import GridSearchCV

from skdim import DeepInfoMaxTransformer


def searched(X: Any, epochs: int, n_jobs: int) -> tuple[float, float, Any]:
    """Return the wall time of a search of two candidates in two folds, the mean time of a fit, and the scores."""
    dim = DeepInfoMaxTransformer(max_iter=epochs, random_state=0)
    search = GridSearchCV(dim, {"estimator": ["infonce", "jsd"]}, cv=2, n_jobs=n_jobs, refit=False)
    start = time.perf_counter()
    search.fit(X)
    results = search.cv_results_
    return time.perf_counter() - start, float(np.mean(results["mean_fit_time"])), results["mean_test_score"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fashion-mnist", choices=["digits", "fashion-mnist", "mnist"])
    parser.add_argument("--rows", type=int, default=6_000)
    parser.add_argument("--epochs", type=int, default=25, help="a fit of a candidate shall take half a minute or more")
    parser.add_argument("--threads", type=int, default=1, help="of torch in this process")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = load(arguments.data, test=False)
    X = data.X[: arguments.rows]
    if arguments.data == "digits":
        X = X.repeat(3, axis=1).repeat(3, axis=2)
    alone = 0.0
    for n_jobs in (1, 2):
        start_up = searched(X, 0, n_jobs)[0] if n_jobs > 1 else 0.0
        wall, fit, scores = searched(X, arguments.epochs, n_jobs)
        alone = alone or wall
        record(
            "search",
            {
                "data": arguments.data,
                "rows": len(X),
                "epochs": arguments.epochs,
                "n_jobs": n_jobs,
                "omp_num_threads": os.environ.get("OMP_NUM_THREADS", "unset"),
                "start_up_s": round(start_up, 1),
                "fit_s": round(fit, 1),
                "search_s": round(wall, 1),
                "ratio": round(wall / alone, 3),
                "scores": " ".join(f"{score:.4f}" for score in scores),
            },
        )


if __name__ == "__main__":
    main()
