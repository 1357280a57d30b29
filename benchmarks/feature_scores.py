"""mutual_info_features beside scikit-learn's nearest neighbours: MNIST's pixels, tasks with known information, independence.

- pixels: the 784 pixels of 10,000 MNIST digits. A pixel has 256 values, so its table with the ten classes is known: the scores
  are compared with the Miller-Madow estimates of the tables. "auto" counts the pixels that the rule finds discrete;
  "continuous" bins all of them.
- tasks: all pairs of single columns among ``skdim.synthetic``'s tasks, three seeds each, and the mean error in nats.
- independent: the same pairs with the rows of one column permuted, and the mean, standard deviation and maximum of the scores.

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
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression
from tasks import FURTHER

from skdim import mutual_info_features
from skdim.datasets import load_mnist
from skdim.exceptions import ConstantInputWarning
from skdim.information.discrete import information_gain, is_discrete
from skdim.synthetic import BEYOND_NORMAL

N_PIXEL_ROWS, N_TASK_ROWS, SEEDS = 10_000, (500, 1_000, 4_000), range(3)
TASKS = [task for task in (*BEYOND_NORMAL.values(), *FURTHER.values()) if task.dim_x == task.dim_y == 1]


def neighbours(X: Any, y: Any) -> Any:
    """Return the scores of scikit-learn, told what is discrete by the rule of skdim."""
    score = mutual_info_classif if is_discrete(y) else mutual_info_regression
    return score(X, y, discrete_features=is_discrete(X[:, 0]), random_state=0)


def timed(score: Callable[..., Any], X: Any, y: Any) -> tuple[Any, float]:
    """Return scores and CPU seconds."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)  # pixels in the corners
        return score(X, y), time.process_time() - start


def row(data: str, method: str, n: int, columns: int, cpu_s: float, **values: float) -> None:
    """Record one line of the table, with blanks where a column does not apply."""
    names = ("rank_correlation", "mean_absolute_error", "mean", "standard_deviation", "maximum")
    rounded = {name: round(float(values[name]), 4) + 0.0 if name in values else "" for name in names}
    settings = {"data": data, "method": method, "n": n, "columns": columns, "cpu_s": round(cpu_s, 2)}
    record("feature_scores", {**settings, **rounded})


def pixels() -> None:
    data = load_mnist()
    X = data.X_train[:N_PIXEL_ROWS].reshape(N_PIXEL_ROWS, -1)
    y = np.asarray(data.y_train[:N_PIXEL_ROWS], dtype=int)
    exact = information_gain(X, y, correction="miller-madow")
    for name, score, features in (
        ("mutual_info_features, auto", mutual_info_features, X),
        ("mutual_info_features, continuous", mutual_info_features, X.astype(float)),
        ("scikit-learn, 3 nearest neighbours", partial(mutual_info_classif, random_state=0), X.astype(float)),
    ):
        scores, cpu_s = timed(score, features, y)
        agreement = {
            "rank_correlation": spearmanr(scores, exact).statistic,
            "mean_absolute_error": np.abs(scores - exact).mean(),
        }
        row("pixels", name, N_PIXEL_ROWS, X.shape[1], cpu_s, **agreement)


def whole(values: Any) -> Any:
    """Return labels as integers, by which they are known, and other numbers as they are."""
    return values.astype(int) if (values == values.round()).all() else values


def tasks(n: int) -> None:
    pairs = [
        (*map(whole, task.sample(n, random_state=seed)), task.mutual_information) for task in TASKS for seed in SEEDS
    ]
    rng = np.random.default_rng(0)
    permuted = [(rng.permutation(X), Y, 0.0) for X, Y, _ in pairs]
    for name, score in (
        ("mutual_info_features", mutual_info_features),
        ("scikit-learn, 3 nearest neighbours", neighbours),
    ):
        for data, samples in (("tasks", pairs), ("independent", permuted)):
            results = [timed(score, X, Y[:, 0]) for X, Y, _ in samples]
            scores, cpu_s = np.array([scores[0] for scores, _ in results]), sum(seconds for _, seconds in results)
            values = {"mean_absolute_error": np.abs(scores - [truth for *_, truth in samples]).mean()}
            if data == "independent":
                values |= {"mean": scores.mean(), "standard_deviation": scores.std(), "maximum": scores.max()}
            row(data, name, n, len(samples), cpu_s, **values)


def main() -> None:
    torch.set_num_threads(1)
    pixels()
    for n in N_TASK_ROWS:
        tasks(n)


if __name__ == "__main__":
    main()
