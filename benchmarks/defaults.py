"""How the defaults were chosen: one parameter changed at a time, at equal CPU time, judged on the validation part only.

Each variant's epoch is timed first; then it gets as many epochs as fit into the budget, with its whole schedule inside. Rows go
to ``results/defaults.csv``; those of 2026-11-27 are of the trained code, later ones of the discriminant code.

    python benchmarks/defaults.py --data fashion-mnist --seconds 80
    python benchmarks/defaults.py --data digits --seconds 20

``--epochs`` gives every variant the same epochs instead, and the CPU time they take stands beside.
"""

from __future__ import annotations

import argparse
import math
import time
from typing import Any

import torch
from common import LOADERS, PROBE, load, record

from skdim import DeepInfoMaxTransformer
from skdim.evaluation import linear_probe
from skdim.inputs import ImageAugmentation
from skdim.nn.critics import Separable
from skdim.nn.encoders import Conv

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "encoder: group norm": {"encoder": Conv(norm="group")},
    "encoder: 16-32-64": {"encoder": Conv(channels=(16, 32, 64))},
    "encoder: 32-64-256": {"encoder": Conv(channels=(32, 64, 256))},
    "encoder: resnet": {"encoder": "resnet"},
    "critic: learned scale": {"critic": Separable(temperature=None)},
    "critic: temperature 0.1": {"critic": Separable(temperature=0.1)},
    "critic: temperature 0.15": {"critic": Separable(temperature=0.15)},
    "critic: temperature 0.5": {"critic": Separable(temperature=0.5)},
    "critic: hidden layer": {"critic": Separable(hidden_layer_sizes=(256,))},
    "critic: width 128": {"critic": Separable(width=128)},
    "critic: inner": {"critic": "inner"},
    "critic: bilinear": {"critic": "bilinear"},
    "critic: concat": {"critic": "concat", "n_locations": 1},
    "estimator: jsd": {"estimator": "jsd"},
    "estimator: dv": {"estimator": "dv"},
    "estimator: nwj": {"estimator": "nwj"},
    "estimator: alpha": {"estimator": "alpha"},
    "augment: none": {"augment": None},
    "augment: auto+flip": {"augment": "auto+flip"},
    "colour: none": {"augment": ImageAugmentation(saturation=0, hue=0, grey=0)},
    "colour: saturation and hue": {"augment": ImageAugmentation(grey=0)},
    "colour: grey": {"augment": ImageAugmentation(saturation=0, hue=0)},
    "colour: twice as much": {"augment": ImageAugmentation(saturation=0.8, hue=0.2)},
    "no code-to-code term": {"code_weight": 0},
    "no local term": {"local_weight": 0, "code_weight": 1},
    "with global term": {"global_weight": 1},
    "with uniform prior, 0.1": {"prior_weight": 0.1},
    "4 locations": {"n_locations": 4},
    "16 locations": {"n_locations": 16},
    "all locations": {"n_locations": None},
    "batch 64": {"batch_size": 64},
    "batch 256": {"batch_size": 256},
    "learning rate 1e-3": {"learning_rate": 1e-3},
    "learning rate 4e-3": {"learning_rate": 4e-3},
    "256 components": {"n_components": 256},
}


def epochs_in(seconds: float, X: Any, parameters: dict[str, Any]) -> int:
    rows = X[: min(len(X), 20 * 128)]
    DeepInfoMaxTransformer(max_iter=1, random_state=0, **parameters).fit(rows[:256])
    start = time.process_time()
    DeepInfoMaxTransformer(max_iter=1, random_state=0, **parameters).fit(rows)
    per_epoch = (time.process_time() - start) * len(X) / len(rows)
    return max(1, round(seconds / per_epoch))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fashion-mnist", choices=LOADERS)
    parser.add_argument("--seconds", type=float, default=80, help="CPU seconds of training a variant")
    parser.add_argument("--epochs", type=int, help="the same number of epochs for every variant, whatever they cost")
    parser.add_argument("--rows", type=int, help="learn from the first rows only")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", default=list(VARIANTS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = load(arguments.data, test=arguments.data == "photo-patches")  # training patches overlap each other
    X, y = data.X[: arguments.rows], data.y[: arguments.rows]
    n_few = min(1000, 10 ** int(math.log10(len(X) / 2)))
    for name in arguments.only:
        epochs = arguments.epochs or epochs_in(arguments.seconds, X, VARIANTS[name])
        for seed in arguments.seeds:
            start = time.process_time()
            dim = DeepInfoMaxTransformer(max_iter=epochs, random_state=seed, **VARIANTS[name]).fit(X)
            cpu = time.process_time() - start
            Z, Z_eval = dim.transform(X), dim.transform(data.X_eval)
            hidden, hidden_eval = (dim.set_params(features="hidden").transform(part) for part in (X, data.X_eval))
            budgets = {"n_labels": [None, n_few], "n_draws": 3, "random_state": 0}
            every, few = linear_probe(Z, y, Z_eval, data.y_eval, **budgets).mean["accuracy"]
            hidden_every, hidden_few = linear_probe(hidden, y, hidden_eval, data.y_eval, **budgets).mean["accuracy"]
            record(
                "defaults",
                {
                    "data": arguments.data,
                    "part": data.part,
                    "rows": len(X),
                    "variant": name,
                    "seed": seed,
                    "epochs": epochs,
                    "fit_cpu_s": round(cpu),
                    "accuracy_all": round(every, 4),
                    "accuracy_few": round(few, 4),
                    "hidden_accuracy_all": round(hidden_every, 4),
                    "hidden_accuracy_few": round(hidden_few, 4),
                    "score": round(dim.score(data.X_eval), 3),
                    **PROBE,
                },
            )


if __name__ == "__main__":
    main()
