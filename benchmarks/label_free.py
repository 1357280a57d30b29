"""How scores without labels rank settings of Deep InfoMax, against a linear probe: rank correlations.

Each row is a fit with one setting, an estimator with a critic, or another change of the defaults. Held-out rows give ``score``
(InfoNCE of the trained critics), ``view_score`` and its parts, the effective rank and uniformity of the code; the probe is a
linear classifier, fitted to the labels of the rows that were learned from. Digits: half of the rows learn, the others judge.
Both parts of ``view_score`` and their constants were chosen on digits among some thirty statistics, and the root of the second
by digits after a look at MNIST. Rows that exist are skipped.

    python benchmarks/label_free.py --data digits fashion-mnist mnist --seeds 0
    python benchmarks/label_free.py --report
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from common import PROBE, load, read, record
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

from skdim import DeepInfoMaxTransformer
from skdim.evaluation import ViewScorer, effective_rank, linear_probe, uniformity, view_score
from skdim.inputs import ImageAugmentation
from skdim.nn.critics import Separable

TABLE = "label_free"
ROWS, JUDGES, LABELLED = 5000, 1000, 3000
EPOCHS = {"digits": 18, "mnist": 3, "fashion-mnist": 3}
STATISTICS = ("score", "view_score", "information", "overlap", "effective_rank", "minus_uniformity")


def settings(epochs: int) -> dict[str, dict[str, Any]]:
    """Return what is changed of the defaults, by name."""
    grid: dict[str, dict[str, Any]] = {
        f"{estimator} & {critic}": {"estimator": estimator, "critic": critic}
        for estimator in ("infonce", "jsd", "dv", "nwj", "alpha")
        for critic in ("separable", "bilinear", "inner", "cosine")
    }
    return grid | {
        "temperature 0.05": {"critic": Separable(temperature=0.05)},
        "temperature 1": {"critic": Separable(temperature=1.0)},
        "local alone": {"code_weight": 0.0},
        "code alone": {"local_weight": 0.0, "code_weight": 1.0},
        "no views": {"augment": None},
        "weak views": {"augment": ImageAugmentation(scale=(0.9, 1.0), contrast=0.1, brightness=0.1)},
        "untrained": {"max_iter": 0},
        "a third of the steps": {"max_iter": max(1, epochs // 3)},
        "twice the steps": {"max_iter": 2 * epochs},
        "8 components": {"n_components": 8},
        "16 components": {"n_components": 16},
        "256 components": {"n_components": 256},
        "prior 0.3": {"prior_weight": 0.3},
        "learning rate 2e-4": {"learning_rate": 2e-4},
        "learning rate 2e-2": {"learning_rate": 2e-2},
    }


def parts(name: str) -> Bunch:
    """Return rows to learn from, with their labels, and held-out rows and labels."""
    if name == "digits":
        digits = load_digits()
        order = np.random.default_rng(0).permutation(len(digits.images))
        learned, judged = np.array_split(order, 2)
        X, y = digits.images, digits.target
        return Bunch(X=X[learned], y=y[learned], X_eval=X[judged], y_eval=y[judged])
    data = load(name, test=False)
    held_out = data.X_eval[:LABELLED], data.y_eval[:LABELLED]
    return Bunch(X=data.X[:ROWS], y=data.y[:ROWS], X_eval=held_out[0], y_eval=held_out[1])


def run(name: str, seed: int, done: set[tuple[str, ...]]) -> None:
    """Fit and record the settings that are missing."""
    data, scorer = parts(name), ViewScorer()
    judges = data.X_eval[:JUDGES]
    views = scorer.views(judges)
    for setting, options in settings(EPOCHS[name]).items():
        if (name, setting, str(seed)) in done:
            continue
        cpu = time.process_time()
        dim = DeepInfoMaxTransformer(**{"max_iter": EPOCHS[name], "random_state": seed, **options}).fit(data.X)
        probe = linear_probe(dim.transform(data.X), data.y, dim.transform(data.X_eval), data.y_eval)
        Z, Z_view = dim.transform(judges), dim.transform(views)
        result = view_score(Z, Z_view)
        record(
            TABLE,
            {
                "data": name,
                "rows": len(data.X),
                "judges": len(judges),
                "labelled": len(data.X_eval),
                "epochs": EPOCHS[name],
                "setting": setting,
                "seed": seed,
                "accuracy": round(probe.accuracy.item(), 4),
                "score": round(dim.score(judges), 4),
                "view_score": round(result.value, 4),
                "information": round(result.information, 4),
                "overlap": round(result.overlap, 4),
                "effective_rank": round(effective_rank(Z), 3),
                "minus_uniformity": round(-uniformity(Z), 4),
                "cpu_s": round(time.process_time() - cpu, 1),
                **PROBE,
            },
        )


def judged() -> list[dict[str, str]]:
    """Return the rows of the present probe; older ones are of another, and of the trained code."""
    return [row for row in read(TABLE) if row["probe"] == PROBE["probe"]]


def report() -> None:
    """Print rank correlations with the probe, of means over the seeds: those of one seed differ by chance alone."""
    rows = judged()
    print("| data | seeds | settings | " + " | ".join(STATISTICS) + " | probe, seed against seed |")
    for name in sorted({row["data"] for row in rows}):
        seeds = sorted({row["seed"] for row in rows if row["data"] == name})
        values = {(row["setting"], row["seed"]): row for row in rows if row["data"] == name}
        complete = [s for s in settings(1) if all((s, seed) in values for seed in seeds)]
        for group, members in {"estimator & critic": [s for s in complete if "&" in s], "all": complete}.items():
            table = {
                column: np.array([[float(values[s, seed][column]) for s in members] for seed in seeds])
                for column in ("accuracy", *STATISTICS)
            }
            accuracy = table["accuracy"]
            cells = [spearmanr(table[s].mean(0), accuracy.mean(0)).statistic for s in STATISTICS]
            cells.append(spearmanr(accuracy[0], accuracy[1]).statistic if len(seeds) > 1 else np.nan)
            shown = " | ".join(f"{cell:.2f}" for cell in cells)
            print(f"| {name} | {len(seeds)} | {group}, {len(members)} | {shown} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=list(EPOCHS), choices=list(EPOCHS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    if arguments.report:
        report()
        return
    torch.set_num_threads(1)
    done = {(row["data"], row["setting"], row["seed"]) for row in judged()}
    for name in arguments.data:
        for seed in arguments.seeds:
            run(name, seed, done)


if __name__ == "__main__":
    main()
