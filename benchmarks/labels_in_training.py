"""Where some rows have labels: a classifier on features that were learned without them, or labels in the code term.

Rows to learn from: 1,123 digits, or 10,000 images of Fashion-MNIST, of which some have a label, as many of each class. Each way
ends in a classifier on standardised features, judged on rows held out of all: "linear" is fitted on the rows that have a label,
"spreading" (``LabelSpreading`` with the ten nearest neighbours) on all rows, of which the others are marked by -1. The ways:

- "on top": Deep InfoMax without labels.
- "supervised": in the code term a row that has a label is also positive with the other view of every row of its class in the
  batch, as in Khosla et al. (2020, Eq. 2, the sum outside of the logarithm). Other rows are positive with themselves.
- "supervised, repeated": the same, and rows that have a label are repeated until they are half of all rows.
- "pixels": no features.

Rows go to ``results/labels_in_training.csv``, one for each seed, which sets the labels and the weights.

    python benchmarks/labels_in_training.py --data digits --labels 50 200 --epochs 40 --seeds 0 1 2
    python benchmarks/labels_in_training.py --data fashion-mnist --labels 100 1000 --epochs 6 --seeds 0 1

References
----------
Khosla et al., "Supervised contrastive learning", NeurIPS 2020.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from typing import Any

import numpy as np
import torch
from common import PROBE, load, record
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading
from torch import Tensor

from skdim import DeepInfoMaxTransformer
from skdim.evaluation import linear_probe
from skdim.nn.objectives.terms import CodeInfoMax

N_ROWS = 10_000
#: What marks a row without label, as in sklearn.semi_supervised.
UNLABELLED = -1


class SupervisedCode(CodeInfoMax):
    """The code term whose positives are rows of one class; ``labels`` (n,) are those of the present batch."""

    labels: Tensor | None = None

    def forward(self, x: Any, y: Any) -> tuple[Tensor, Tensor]:
        if self.labels is None:
            return super().forward(x, y)
        ((_, scores),) = self.scores(x, y)
        same = (self.labels[:, None] == self.labels) & (self.labels != UNLABELLED)
        positive = (same | torch.eye(len(scores), dtype=torch.bool)).to(scores.dtype)
        share = positive / positive.sum(1, keepdim=True)
        losses = [-(share * scores.log_softmax(1)).sum(1), -(share * scores.T.log_softmax(1)).sum(1)]
        return torch.cat(losses).mean(), super().forward(x, y)[1]


class Supervised(DeepInfoMaxTransformer):
    """Deep InfoMax whose ``y`` labels some rows."""

    def fit(self, X: Any, y: Any = None) -> Any:
        return self._fit(X, y, labels=np.asarray(y))

    def _samples(self, X: Any, device: Any, *, reset: bool, min_samples: int = 1, **extras: Any) -> Any:
        samples = super()._samples(X, device, reset=reset, min_samples=min_samples)
        return dataclasses.replace(samples, extras=extras)

    def _build(self, standardize: Any, training: bool) -> Any:
        objective = super()._build(standardize, training)
        term, draw, forward = objective.terms["code"], objective.draw, objective.forward
        term.__class__ = SupervisedCode

        def drawing(rows: Any, generator: Any) -> Any:
            labels = {"labels": torch.from_numpy(rows.extras["labels"])} if "labels" in rows.extras else {}
            return draw(rows, generator) | labels

        def step(X: Any, draws: Any) -> Any:
            term.labels = draws.get("labels")
            return forward(X, draws)

        objective.draw, objective.forward = drawing, step
        return objective


def few_of_each(y: Any, n: int, seed: int) -> Any:
    rng, classes = np.random.default_rng(seed), np.unique(y)
    return np.concatenate([rng.permutation(np.flatnonzero(y == c))[: n // len(classes)] for c in classes])


def accuracies(encode: Any, X: Any, given: Any, X_eval: Any, y_eval: Any) -> dict[str, float]:
    """Return the accuracy of each classifier on features of rows whose labels are given, or marked as unknown."""
    Z, Z_eval, labelled = encode(X), encode(X_eval), given != UNLABELLED
    spreading = make_pipeline(StandardScaler(), LabelSpreading(kernel="knn", n_neighbors=10, max_iter=100))
    return {
        "linear": linear_probe(Z[labelled], given[labelled], Z_eval, y_eval).accuracy.item(),
        "spreading": spreading.fit(Z, given).score(Z_eval, y_eval),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", choices=["digits", "fashion-mnist"])
    parser.add_argument("--labels", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--ways", nargs="*", default=["supervised", "supervised, repeated"], help="with labels")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = load(arguments.data, test=False)
    X, y = data.X[:N_ROWS], data.y[:N_ROWS]
    for seed in arguments.seeds:
        params = {"random_state": seed, "max_iter": arguments.epochs}
        start = time.process_time()
        on_top = DeepInfoMaxTransformer(**params).fit(X), time.process_time() - start
        for n_labels in arguments.labels:
            rows = few_of_each(y, n_labels, seed)
            given = np.full(len(y), UNLABELLED)
            given[rows] = y[rows]
            # As many steps as without the repetition.
            repeated = np.concatenate([np.arange(len(y)), np.resize(rows, len(y) - len(rows))])
            fewer = params | {"max_iter": round(arguments.epochs * len(y) / len(repeated))}
            found: dict[str, Any] = {"pixels": None, "on top": on_top}
            models: dict[str, tuple[Any, Any]] = {
                "supervised": (Supervised(**params), np.arange(len(y))),
                "supervised, repeated": (Supervised(**fewer), repeated),
            }
            for way in [way for way in models if way in arguments.ways]:
                model, of = models[way]
                start = time.process_time()
                found[way] = model.fit(X[of], given[of]), time.process_time() - start
            for way, fitted in found.items():
                for features in ("pixels",) if fitted is None else ("discriminant", "global", "hidden"):
                    encode: Any = lambda X: X.reshape(len(X), -1).astype(float)  # noqa: E731 - of pixels
                    if fitted is not None:
                        encode = fitted[0].set_params(features=features).transform
                    for classifier, accuracy in accuracies(encode, X, given, data.X_eval, data.y_eval).items():
                        row = {
                            "data": arguments.data,
                            "rows": len(y),
                            "part": data.part,
                            "way": way,
                            "labels": n_labels,
                        }
                        row |= {
                            "seed": seed,
                            "epochs": arguments.epochs,
                            "features": features,
                            "classifier": classifier,
                        }
                        row |= {"accuracy": round(accuracy, 4), "fit_cpu_s": 0 if fitted is None else round(fitted[1])}
                        record("labels_in_training", row | PROBE)


if __name__ == "__main__":
    main()
