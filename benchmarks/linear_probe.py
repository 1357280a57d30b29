"""Linear probes on Deep InfoMax features beside their controls: the same network untrained, PCA of equal width, raw pixels.

Validation part by default; ``--test`` reads the test set, and every use of it is a dated row of ``results/linear_probe.csv``.

    python benchmarks/linear_probe.py --data fashion-mnist --seeds 0 1 2 --test
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from common import PROBE, load, record
from sklearn.base import clone
from sklearn.decomposition import PCA

from skdim import PAPER, DeepInfoMaxTransformer
from skdim.bounds import PooledDV, PooledInfoNCE
from skdim.evaluation import linear_probe

#: Estimators of the paper, by name.
PAPERS_ESTIMATORS = {"infonce": PooledInfoNCE(), "dv": PooledDV(), "jsd": "jsd"}


def judge(name: str, seed: Any, Z: Any, Z_eval: Any, data: Any, arguments: Any, **more: Any) -> None:
    budgets = {"n_labels": [None, arguments.labels], "n_draws": arguments.draws, "random_state": 0}
    probe = linear_probe(Z, data.y, Z_eval, data.y_eval, **budgets)
    (every, few), (_, sd) = probe.mean["accuracy"], probe.sd["accuracy"]
    record(
        arguments.table,
        {
            "data": arguments.data,
            "part": data.part,
            "features": name,
            "width": Z.shape[1],
            "seed": seed,
            "n_labels_all": len(Z),
            "accuracy_all": round(every, 4),
            "n_labels_few": arguments.labels,
            "accuracy_few": round(few, 4),
            "sd_few": round(sd, 4),
            "fit_wall_s": "",
            "fit_cpu_s": "",
            "epochs": "",
            "score": "",
            **more,
            **PROBE,
        },
    )


def judge_controls(data: Any, arguments: Any) -> None:
    flat, flat_eval = data.X.reshape(len(data.X), -1), data.X_eval.reshape(len(data.X_eval), -1)
    judge("raw pixels", "", flat, flat_eval, data, arguments)
    pca = PCA(arguments.n_components, random_state=0).fit(flat.astype(np.float32))
    judge(
        "PCA", "", pca.transform(flat.astype(np.float32)), pca.transform(flat_eval.astype(np.float32)), data, arguments
    )


def settings(arguments: Any) -> DeepInfoMaxTransformer:
    epochs = {"max_iter": arguments.epochs} if arguments.epochs else {}
    if arguments.paper:
        options = {"estimator": PAPERS_ESTIMATORS[arguments.estimator], "n_locations": arguments.locations, **epochs}
        return DeepInfoMaxTransformer(**{**PAPER[arguments.paper], **options})
    return DeepInfoMaxTransformer(arguments.n_components, **epochs)


FEATURES = ["discriminant", "global", "hidden", "local"]


class Deadline:
    """A scikit-learn callback that ends training after the epoch in which the CPU time is up."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def setup(self, estimator: Any, context: Any) -> None:
        self.start = time.process_time()

    def teardown(self, estimator: Any, context: Any) -> None:
        pass

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        pass

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        return time.process_time() - self.start > self.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fashion-mnist", choices=["digits", "fashion-mnist", "mnist"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--n-components", type=int, default=64)
    parser.add_argument("--labels", type=int, default=1000, help="labels of the few-label probe")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--features", nargs="+", choices=FEATURES, help="all but local by default, and those there are")
    parser.add_argument("--paper", choices=sorted(PAPER), help="the paper's settings instead of the defaults")
    parser.add_argument("--estimator", choices=PAPERS_ESTIMATORS, default="infonce", help="of the paper's settings")
    parser.add_argument(
        "--locations", type=int, default=4, help="of each map that a step of the paper's settings scores"
    )
    parser.add_argument("--minutes", type=float, help="end training after the epoch in which this CPU time is up")
    parser.add_argument("--epochs", type=int, help="epochs, which the learning rate's schedule spans")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-controls", action="store_true")
    parser.add_argument("--test", action="store_true", help="judge on the test set")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.features = arguments.features or (FEATURES[1:3] if arguments.paper else FEATURES[:3])
    arguments.table = "paper_settings" if arguments.paper else "linear_probe"
    data = load(arguments.data, arguments.test)
    name = f"{arguments.paper} {arguments.estimator}" if arguments.paper else "DIM"
    if not arguments.no_controls:
        judge_controls(data, arguments)
    for seed in arguments.seeds:
        dim = settings(arguments).set_params(random_state=seed)
        untrained = clone(dim).set_params(max_iter=0).fit(data.X)
        if arguments.minutes:
            dim.set_callbacks(Deadline(60 * arguments.minutes))
        wall, cpu = time.perf_counter(), time.process_time()
        dim.fit(data.X)
        took = {
            "fit_wall_s": round(time.perf_counter() - wall),
            "fit_cpu_s": round(time.process_time() - cpu),
            "epochs": dim.n_iter_,
        }
        for features in arguments.features:
            for label, model, more in ((name, dim, took), (f"{name} untrained", untrained, {})):
                model.set_params(features=features)
                score = round(model.score(data.X_eval), 3)
                judge(
                    f"{label}, {features}", seed, model.transform(data.X), model.transform(data.X_eval), data, arguments,
                    **more, score=score,
                )  # fmt: skip


if __name__ == "__main__":
    main()
