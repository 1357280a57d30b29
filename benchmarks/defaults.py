"""How the defaults were chosen: one parameter changed at a time, judged on the validation part only.

Every variant gets the same epochs; the CPU time they take stands beside. Rows go to ``results/defaults.csv``, and those that
exist are skipped. Rows of 2026-11-27 are of the trained code, later ones of the discriminant code.

    python benchmarks/defaults.py --data digits breast-cancer credit chile seattle series --seeds 0 1 2
    python benchmarks/defaults.py --data fashion-mnist mnist --epochs 4
    python benchmarks/defaults.py --data cifar10-jpeg --rows 10000 --epochs 6
    python benchmarks/defaults.py --report
"""

from __future__ import annotations

import argparse
import math
import time
from typing import Any

import numpy as np
import torch
from common import LOADERS, PROBE, load, read, record
from sklearn.utils import Bunch

from skdim import DeepInfoMaxTransformer
from skdim.evaluation import linear_probe
from skdim.inputs import ImageAugmentation
from skdim.nn.critics import Separable
from skdim.nn.encoders import Conv

TABLE, FIRST_DATE = "defaults", "2026-11-28"
ACCURACIES = ("accuracy_all", "accuracy_few", "hidden_accuracy_all", "hidden_accuracy_few")
Variants = dict[str, dict[str, Any]]
VARIANTS: Variants = {
    "default": {},
    "critic: projection heads": {"critic": Separable(hidden_layer_sizes=(512,), norm="batch")},
    "critic: hidden layer of 256": {"critic": Separable(hidden_layer_sizes=(256,))},
    "critic: learned scale": {"critic": Separable(temperature=None)},
    "critic: temperature 0.1": {"critic": Separable(temperature=0.1)},
    "critic: temperature 0.15": {"critic": Separable(temperature=0.15)},
    "critic: temperature 0.5": {"critic": Separable(temperature=0.5)},
    "critic: width 128": {"critic": Separable(width=128)},
    "critic: inner": {"critic": "inner"},
    "critic: bilinear": {"critic": "bilinear"},
    "critic: concat": {"critic": "concat", "n_locations": 1},
    "estimator: jsd": {"estimator": "jsd"},
    "estimator: dv": {"estimator": "dv"},
    "estimator: nwj": {"estimator": "nwj"},
    "estimator: alpha": {"estimator": "alpha"},
    "augment: none": {"augment": None},
    "no code-to-code term": {"code_weight": 0},
    "no local term": {"local_weight": 0, "code_weight": 1},
    "with global term": {"global_weight": 1},
    "with uniform prior, 0.1": {"prior_weight": 0.1, "features": "discriminant"},
    "batch 64": {"batch_size": 64},
    "batch 256": {"batch_size": 256},
    "batch 512, learning rate 4e-3": {"batch_size": 512, "learning_rate": 4e-3},
    "learning rate 1e-3": {"learning_rate": 1e-3},
    "learning rate 4e-3": {"learning_rate": 4e-3},
    "constant learning rate": {"schedule": None},
    "weight decay 0.1": {"weight_decay": 0.1},
    "256 components": {"n_components": 256},
}
OF_IMAGES: Variants = {
    "encoder: group norm": {"encoder": Conv(norm="group")},
    "encoder: 16-32-64": {"encoder": Conv(channels=(16, 32, 64))},
    "encoder: 32-64-256": {"encoder": Conv(channels=(32, 64, 256))},
    "encoder: 64-128-256": {"encoder": Conv(channels=(64, 128, 256))},
    "encoder: resnet": {"encoder": "resnet"},
    "augment: auto+flip": {"augment": "auto+flip"},
    "4 locations": {"n_locations": 4},
    "16 locations": {"n_locations": 16},
    "all locations": {"n_locations": None},
}
OF_COLOUR: Variants = {
    "colour: none": {"augment": ImageAugmentation(saturation=0, hue=0, grey=0)},
    "colour: saturation and hue": {"augment": ImageAugmentation(grey=0)},
    "colour: grey": {"augment": ImageAugmentation(saturation=0, hue=0)},
    "colour: twice as much": {"augment": ImageAugmentation(saturation=0.8, hue=0.2)},
}


def variants_of(data: str, X: np.ndarray) -> Variants:
    """Return the changes that apply to the data, beside the settings that all of them share."""
    if data == "series":
        return {name: {"encoder": "conv1d", **change} for name, change in VARIANTS.items()}
    return VARIANTS | (OF_IMAGES if X.ndim >= 3 else {}) | (OF_COLOUR if X.ndim == 4 else {})


def run(change: dict[str, Any], epochs: int | str, seed: int, X: np.ndarray, data: Bunch) -> dict[str, Any]:
    """Return the time of a fit to X and the accuracies of its code and hidden layer."""
    start = time.process_time()
    dim = DeepInfoMaxTransformer(max_iter=epochs, random_state=seed, **change).fit(X)
    cpu = time.process_time() - start
    counts = np.bincount(data.y[: len(X)])
    # The probe draws equally many labels of each class, so the rarest class sets a limit.
    n_few = min(1000, 10 ** int(math.log10(len(X) / 2)), len(counts) * counts.min())
    budgets: dict[str, Any] = {"n_labels": [None, n_few], "n_draws": 3, "random_state": 0}
    accuracies: list[float] = []
    for features in (dim.features, "hidden"):
        Z, Z_eval = (dim.set_params(features=features).transform(part) for part in (X, data.X_eval))
        accuracies += list(linear_probe(Z, data.y[: len(X)], Z_eval, data.y_eval, **budgets).mean["accuracy"])
    judged = {name: round(float(value), 4) for name, value in zip(ACCURACIES, accuracies, strict=True)}
    return {"fit_cpu_s": round(cpu), **judged, "score": round(dim.score(data.X_eval), 3), **PROBE}


def report() -> None:
    """Print what each change adds to the accuracies of the default, on all labels / few: means over seeds, in thousandths."""
    rows = [row for row in read(TABLE) if row["date"] >= FIRST_DATE]
    sets = list(dict.fromkeys((row["data"], row["rows"], row["epochs"]) for row in rows if row["variant"] == "default"))
    gains: dict[str, dict[tuple[str, ...], dict[str, list[float]]]] = {}
    for about in sets:
        own = [row for row in rows if (row["data"], row["rows"], row["epochs"]) == about]
        bases = {row["seed"]: row for row in own if row["variant"] == "default"}
        mean = ", ".join(f"{np.mean([float(row[name]) for row in bases.values()]):.3f}" for name in ACCURACIES)
        print("{}, {} rows, epochs {}".format(*about), f"seeds {', '.join(bases)}; default: {mean}", sep="; ")
        for row in own:
            if row["seed"] in bases and row["variant"] != "default":
                base, of = bases[row["seed"]], gains.setdefault(row["variant"], {}).setdefault(about, {})
                for name in ACCURACIES:
                    of.setdefault(name, []).append(1000 * (float(row[name]) - float(base[name])))
                of.setdefault("time", []).append(float(row["fit_cpu_s"]) / float(base["fit_cpu_s"]))
    heads = " | ".join(about[0] for about in sets)
    for title, names in (("code", ACCURACIES[:2]), ("hidden layer", ACCURACIES[2:])):
        print(f"\n| {title} | time | {heads} |\n|---{'|---:' * (len(sets) + 1)}|")
        for variant, gained in gains.items():
            ratio = np.median([ratio for gain in gained.values() for ratio in gain["time"]])
            cells = [
                " / ".join(f"{np.mean(gained[about][name]):+.0f}" for name in names) if about in gained else ""
                for about in sets
            ]
            print(f"| {variant} | {ratio:.1f} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["digits"], choices=LOADERS)
    parser.add_argument("--epochs", type=int, help="of every variant; by default as many as fit takes")
    parser.add_argument("--rows", type=int, help="learn from the first rows only")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", help="names of variants")
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    if arguments.report:
        report()
        return
    torch.set_num_threads(1)
    key = ("data", "rows", "variant", "seed", "epochs")
    done = {tuple(row[name] for name in key) for row in read(TABLE) if row["date"] >= FIRST_DATE}
    for name in arguments.data:
        data = load(name, test=name == "photo-patches")  # training patches overlap each other
        X, epochs = data.X[: arguments.rows], arguments.epochs or "auto"
        variants = variants_of(name, X)
        for variant in arguments.only or variants:
            for seed in arguments.seeds:
                about = dict(zip(key, (name, len(X), variant, seed, epochs), strict=True))
                if tuple(map(str, about.values())) not in done:
                    judged = run(variants[variant], epochs, seed, X, data)
                    record(TABLE, {"data": name, "part": data.part, **about, **judged})


if __name__ == "__main__":
    main()
