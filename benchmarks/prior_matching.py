"""How well the codes meet the uniform prior: marginals, a fresh two-sample classifier, and what it costs the probe.

python benchmarks/prior_matching.py --data fashion-mnist --weights 0.1 1 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from common import PROBE, load, record
from scipy.special import expit
from scipy.stats import kstest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.neural_network import MLPClassifier

from skdim import DeepInfoMaxTransformer
from skdim.evaluation import linear_probe


def distances(codes: np.ndarray) -> np.ndarray:
    """Return the Kolmogorov-Smirnov distance of each component of sigmoid(Y) to U[0, 1]."""
    return np.array([kstest(column, "uniform").statistic for column in expit(codes.astype(float)).T])


def two_sample_accuracy(codes: np.ndarray) -> float:
    """Return a fresh classifier's held-out accuracy in telling sigmoid(Y) from prior samples; 0.5 is a perfect match."""
    codes = expit(codes[:5000].astype(float))
    prior = np.random.default_rng(0).uniform(size=codes.shape)
    X, y = np.concatenate([codes, prior]), np.repeat([0, 1], len(codes))
    classifier = MLPClassifier((128, 128), early_stopping=True, random_state=0)
    return float(cross_val_score(classifier, X, y, cv=3).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fashion-mnist", choices=["digits", "fashion-mnist", "mnist"])
    parser.add_argument("--weights", type=float, nargs="+", default=[0.1, 1.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rows", type=int, help="learn from the first rows only")
    parser.add_argument("--prior", default="uniform")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = load(arguments.data, test=False)
    X = data.X[: arguments.rows]
    for weight in arguments.weights:
        for seed in arguments.seeds:
            dim = DeepInfoMaxTransformer(prior_weight=weight, max_iter=arguments.epochs, random_state=seed)
            start = distances(clone(dim).set_params(max_iter=0).fit(X).transform(data.X_eval))
            wall = time.perf_counter()
            codes = dim.fit(X).transform(data.X_eval)
            wall = time.perf_counter() - wall
            few = {"n_labels": 1000 if len(X) > 2000 else 100, "n_draws": 3, "random_state": 0}
            probe = linear_probe(dim.transform(data.X), data.y, codes, data.y_eval, **few)
            end = distances(codes)
            record(
                "prior_matching",
                {
                    "data": arguments.data,
                    "part": data.part,
                    "prior_weight": weight,
                    "seed": seed,
                    "epochs": arguments.epochs,
                    "rows": len(X),
                    "ks_start": round(float(start.mean()), 3),
                    "ks_end": round(float(end.mean()), 3),
                    "ks_end_worst": round(float(end.max()), 3),
                    "two_sample_accuracy": round(two_sample_accuracy(codes), 3),
                    "accuracy_few": round(probe.accuracy.mean(), 4),
                    "fit_wall_s": round(wall),
                    **PROBE,
                },
            )


if __name__ == "__main__":
    main()
