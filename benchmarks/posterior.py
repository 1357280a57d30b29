"""Two ways to a normal prior, and codes with independent components: what each does to the codes and costs the probe.

python benchmarks/posterior.py --data fashion-mnist --rows 10000 --seeds 0
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from common import PROBE, load, record
from scipy.stats import kstest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.neural_network import MLPClassifier

from skdim import DeepInfoMaxTransformer
from skdim.evaluation import linear_probe, neural_dependency
from skdim.nn.objectives import Noise

POSTERIOR = {"posterior": "gaussian", "global_weight": 1.0, "local_weight": 0.0, "code_weight": 0.0}


def distance_to_normal(codes: np.ndarray) -> float:
    """Return the Kolmogorov-Smirnov distance of the components to N(0, 1), averaged."""
    return float(np.mean([kstest(column, "norm").statistic for column in codes.astype(float).T]))


def told_apart(codes: np.ndarray, others: np.ndarray) -> float:
    """Return a fresh classifier's held-out accuracy in telling two sets of codes apart; 0.5 is a perfect match."""
    X, y = np.concatenate([codes, others]), np.repeat([0, 1], [len(codes), len(others)])
    classifier = MLPClassifier((128, 128), early_stopping=True, random_state=0)
    return float(cross_val_score(classifier, X, y, cv=3).mean())


def shuffled(codes: np.ndarray) -> np.ndarray:
    """Return the codes with every component permuted by itself: the same marginals, no total correlation."""
    rng = np.random.default_rng(0)
    return np.stack([rng.permutation(column) for column in codes.T], axis=1)


def samples(dim: DeepInfoMaxTransformer, X: Any) -> np.ndarray:
    """Return codes as training draws them, of a fitted transformer with a posterior."""
    objective, parts = dim.objective_, []
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        for start in range(0, len(X), 256):
            posterior = objective.posterior(objective.encoder(dim.standardized(X[start : start + 256])))
            parts.append(posterior.sample(torch.randn(posterior.mean.shape, generator=generator)).numpy())
    return np.concatenate(parts)


def gaussian_total_correlation(codes: np.ndarray) -> float:
    """Return the total correlation of a normal vector with the codes' correlations, in nats."""
    return float(-0.5 * np.linalg.slogdet(np.corrcoef(codes.astype(float), rowvar=False))[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fashion-mnist", choices=["digits", "fashion-mnist", "mnist"])
    parser.add_argument("--rows", type=int, default=10_000, help="learn from the first rows only")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--n-components", type=int, default=16)
    parser.add_argument("--sigmas", type=float, nargs="*", default=[0.3, 1.0])
    parser.add_argument("--penalties", type=float, nargs="*", default=[0.0, 0.1, 0.3])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = load(arguments.data, test=False)
    X, y, X_eval, y_eval = data.X[: arguments.rows], data.y[: arguments.rows], data.X_eval, data.y_eval
    priors: dict[str, dict[str, Any]] = {"none": {}, "adversarial": {"prior": "normal", "prior_weight": 0.1}}
    priors |= {f"noise {sigma:g}": {"prior": "normal", "prior_method": Noise(sigma)} for sigma in arguments.sigmas}
    for seed in arguments.seeds:
        base = DeepInfoMaxTransformer(arguments.n_components, max_iter=arguments.epochs, random_state=seed)
        about = {
            "data": arguments.data,
            "part": data.part,
            "rows": len(X),
            "seed": seed,
            "epochs": arguments.epochs,
            "n_components": arguments.n_components,
        }
        prior = np.random.default_rng(0).normal(size=(5000, arguments.n_components))
        for name, options in priors.items():
            dim = clone(base).set_params(**options)
            start = clone(dim).set_params(max_iter=0).fit(X).transform(X_eval)
            cpu = time.process_time()
            codes = dim.fit(X).transform(X_eval)
            cpu = time.process_time() - cpu
            normalised = (codes - codes.mean(0)) / codes.std(0)
            record(
                "priors",
                {
                    **about,
                    "method": name,
                    "ks_start": round(distance_to_normal(start), 3),
                    "ks_end": round(distance_to_normal(codes), 3),
                    "ks_end_normalised": round(distance_to_normal(normalised), 3),
                    "two_sample_accuracy": round(told_apart(codes[:5000], prior), 3),
                    "two_sample_accuracy_normalised": round(told_apart(normalised[:5000], prior), 3),
                    "accuracy": round(linear_probe(dim.transform(X), y, codes, y_eval).accuracy.item(), 4),
                    "fit_cpu_s": round(cpu),
                    **PROBE,
                },
            )
        for weight in arguments.penalties:
            dim = clone(base).set_params(**POSTERIOR, total_correlation_weight=weight)
            cpu = time.process_time()
            dim.fit(X)
            cpu = time.process_time() - cpu
            drawn = samples(dim, X_eval)
            probe = linear_probe(dim.transform(X), y, dim.transform(X_eval), y_eval)
            record(
                "total_correlation",
                {
                    **about,
                    "total_correlation_weight": weight,
                    "tnce": round(dim.lower_bound_, 3),
                    "l1out": round(dim.history_[-1]["l1out"], 3),
                    "upper_bound": round(dim.upper_bound_, 3),  # the smaller of L1Out and the rate
                    "upper": round(
                        dim.history_[-1].get("total_correlation", np.nan), 3
                    ),  # measured where it has weight
                    "lower": round(neural_dependency(drawn[:5000], random_state=0).value, 3),
                    "gaussian": round(gaussian_total_correlation(drawn), 3),
                    "told_from_shuffled": round(told_apart(drawn[:5000], shuffled(drawn[:5000])), 3),
                    "accuracy": round(probe.accuracy.item(), 4),
                    "fit_cpu_s": round(cpu),
                    **PROBE,
                },
            )


if __name__ == "__main__":
    main()
