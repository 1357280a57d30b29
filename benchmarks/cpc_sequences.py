"""Contrastive predictive coding of real sequences beside the raw series, simple statistics and the same network untrained.

Every resample joins the archive's two parts and cuts them anew, stratified, at their sizes. CPC learns from the training rows
without labels; a linear classifier is then fitted on all or a few labels, and judged on the test rows. Differences are paired
by resample. The six data sets lie in the wheel of aeon, which comes with the extra "data":

    python benchmarks/cpc_sequences.py --resamples 10

Fashion-MNIST as a grid of patches, the last sixth of the training set as judge:

    python benchmarks/cpc_sequences.py --images --contexts conv
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from common import PROBE, load, record
from scipy import stats
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from skdim import CPCTransformer, DeepInfoMaxTransformer
from skdim.datasets import load_time_series
from skdim.evaluation import linear_probe

NAMES = ["ArrowHead", "BasicMotions", "GunPoint", "ItalyPowerDemand", "JapaneseVowels", "OSULeaf"]
FEATURES = ["last", "mean", "sequence"]


def statistics(X: Any, lengths: Any) -> Any:
    """Return mean, sd, extremes, quartiles, slope, mean absolute change, autocorrelation and length of every channel."""
    rows = []
    for sample, length in zip(X, lengths, strict=True):
        x = sample[:, :length]
        centred = x - x.mean(1, keepdims=True)
        t = np.arange(length) - (length - 1) / 2
        variance = np.maximum((centred**2).mean(1), 1e-12)
        lags = [(centred[:, lag:] * centred[:, : length - lag]).mean(1) / variance for lag in (1, 2, 5)]
        parts = [
            x.mean(1),
            x.std(1),
            x.min(1),
            x.max(1),
            *np.quantile(x, [0.25, 0.5, 0.75], axis=1),
            centred @ t / (t @ t),
        ]
        rows.append(np.concatenate([*parts, np.abs(np.diff(x)).mean(1), *lags, [length]]))
    return np.array(rows)


def resamples(name: str, n: int) -> Any:
    """Yield the rows of training and test part, of the archive's sizes."""
    data = load_time_series(name)
    width = max(data.X_train.shape[2], data.X_test.shape[2])
    X = np.concatenate(
        [np.pad(part, ((0, 0), (0, 0), (0, width - part.shape[2]))) for part in (data.X_train, data.X_test)]
    )
    lengths, y = (np.concatenate([data[f"{what}_train"], data[f"{what}_test"]]) for what in ("lengths", "y"))
    for seed in range(n):
        train, test = train_test_split(np.arange(len(y)), train_size=len(data.y_train), stratify=y, random_state=seed)
        yield X[train], lengths[train], y[train], X[test], lengths[test], y[test]


def judge(name: str, arguments: Any) -> None:
    """Record the accuracies of every kind of features on one data set, and their differences to the raw series."""
    accuracies: dict[str, list[list[float]]] = {}
    cpu = 0.0
    for seed, (X, lengths, y, X_test, lengths_test, y_test) in enumerate(resamples(name, arguments.resamples)):
        lengths_test = np.minimum(lengths_test, lengths.max())  # "sequence" has room for the longest that was fitted
        features = {
            "raw": (X.reshape(len(X), -1), X_test.reshape(len(X_test), -1)),
            "statistics": (statistics(X, lengths), statistics(X_test, lengths_test)),
        }
        cpc = CPCTransformer(random_state=seed, context=arguments.context, negatives=arguments.negatives)
        start = time.process_time()
        models = {"CPC": cpc.fit(X, lengths=lengths)}
        cpu += time.process_time() - start
        models["untrained"] = clone(cpc).set_params(max_iter=0).fit(X, lengths=lengths)
        for label, model in models.items():
            for kind in FEATURES:
                model.set_params(features=kind)
                features[f"{label} {kind}"] = (
                    model.transform(X, lengths=lengths),
                    model.transform(X_test, lengths=lengths_test),
                )
        budgets = {"n_labels": [None, arguments.labels * len(np.unique(y))], "random_state": seed}
        for label, (Z, Z_test) in features.items():
            probe = linear_probe(Z, y, Z_test, y_test, **budgets)
            accuracies.setdefault(label, []).append(probe.accuracy[:, 0].tolist())
    raw = np.array(accuracies["raw"])
    for label, values in accuracies.items():
        row: dict[str, Any] = {"data": name, "features": label, "context": arguments.context}
        row |= {"negatives": arguments.negatives, "resamples": arguments.resamples, "n_train": len(y)}
        row |= {"labels_per_class_few": arguments.labels, "fit_cpu_s": round(cpu / arguments.resamples, 1)}
        for column, which in enumerate(("all", "few")):
            accuracy, difference = np.array(values)[:, column], np.array(values)[:, column] - raw[:, column]
            half = stats.t.ppf(0.975, len(difference) - 1) * stats.sem(difference)
            row |= {
                f"accuracy_{which}": round(accuracy.mean(), 4),
                f"minus_raw_{which}": round(difference.mean(), 4),
                f"interval_{which}": f"{difference.mean() - half:.3f} to {difference.mean() + half:.3f}",
            }
        record("cpc_sequences", row | PROBE)


def judge_images(arguments: Any) -> None:
    """Record the probe of CPC on patches of Fashion-MNIST, beside the same network untrained, and Deep InfoMax."""
    data = load("fashion-mnist", test=False)
    X, y = data.X[: arguments.rows], data.y[: arguments.rows]
    shared = {"batch_size": 128, "max_iter": arguments.epochs}
    for seed in arguments.seeds:
        models: list[tuple[str, Any, tuple[str, ...]]] = [
            (
                f"CPC, {context}",
                CPCTransformer(patch_size=arguments.patch, context=context, negatives=arguments.negatives, **shared),
                ("last", "mean"),
            )
            for context in arguments.contexts
        ]
        models.append(("Deep InfoMax", DeepInfoMaxTransformer(**shared), ("global", "hidden")))
        for name, model, kinds in models:
            for epochs in (0, arguments.epochs):
                start = time.process_time()
                fitted = clone(model).set_params(max_iter=epochs, random_state=seed).fit(X)
                cpu = round(time.process_time() - start)
                for kind in kinds:
                    fitted.set_params(features=kind)
                    Z, Z_eval = fitted.transform(X), fitted.transform(data.X_eval)
                    row = {
                        "data": "fashion-mnist",
                        "part": data.part,
                        "model": name,
                        "features": kind,
                        "epochs": epochs,
                    }
                    row |= {"width": Z.shape[1], "negatives": arguments.negatives, "patch": arguments.patch}
                    row["first_step"] = getattr(fitted, "first_step_", "")
                    accuracy = linear_probe(Z, y, Z_eval, data.y_eval).accuracy.item()
                    row |= {"rows": len(X), "seed": seed, "accuracy": round(accuracy, 4)}
                    record("cpc_images", {**row, "fit_cpu_s": cpu, **PROBE})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=NAMES)
    parser.add_argument("--resamples", type=int, default=10)
    parser.add_argument("--labels", type=int, default=5, help="labels per class of the few-label probe")
    parser.add_argument("--context", default="gru")
    parser.add_argument("--negatives", default="batch")
    parser.add_argument("--images", action="store_true", help="patches of Fashion-MNIST instead")
    parser.add_argument("--contexts", nargs="+", default=["gru", "conv"], help="contexts over patches")
    parser.add_argument("--rows", type=int, default=None, help="images to learn from; all by default")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the images")
    parser.add_argument("--patch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.images:
        judge_images(arguments)
        return
    for name in arguments.data:
        judge(name, arguments)


if __name__ == "__main__":
    main()
