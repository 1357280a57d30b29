"""mutual_info_features on the 784 pixels of 10,000 MNIST digits, beside scikit-learn's nearest neighbours.

The yardstick counts: a pixel has 256 values, so its table with the ten classes is known, and the correction of Miller and Madow
takes out most of what so few rows add. "auto" finds the pixels discrete where they repeat enough, and counts them too; the rows
"continuous" do not count, they learn.

    python benchmarks/feature_scores.py
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from common import record
from scipy.stats import spearmanr
from sklearn.feature_selection import mutual_info_classif

from skdim import mutual_info_features
from skdim.datasets import load_mnist
from skdim.discrete import information_gain
from skdim.exceptions import ConstantInputWarning

N = 10_000
METHODS: dict[str, Callable[..., Any]] = {
    "mutual_info_features, auto": partial(mutual_info_features, random_state=0),
    "mutual_info_features, continuous": partial(mutual_info_features, discrete_X=False, random_state=0),
    "scikit-learn, 3 nearest neighbours": partial(mutual_info_classif, random_state=0),
}


def main() -> None:
    torch.set_num_threads(1)
    data = load_mnist()
    X, y = data.X_train[:N].reshape(N, -1), np.asarray(data.y_train[:N], dtype=int)
    exact = information_gain(X, y, correction="miller-madow")
    for name, method in METHODS.items():
        wall, cpu = time.perf_counter(), time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConstantInputWarning)  # the corners
            scores = method(X if "auto" in name else X.astype(float), y)
        record(
            "feature_scores",
            {
                "method": name,
                "n": N,
                "columns": X.shape[1],
                "wall_s": round(time.perf_counter() - wall, 1),
                "cpu_s": round(time.process_time() - cpu, 1),
                "rank_correlation": round(float(spearmanr(scores, exact).statistic), 3),
                "mean_absolute_difference": round(float(np.abs(scores - exact).mean()), 4),
            },
        )


if __name__ == "__main__":
    main()
