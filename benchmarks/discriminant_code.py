"""What the discriminant code gains, from how many rows, and with how much noise in every direction.

Deep InfoMax with the defaults learns once for each seed. Then its discriminant code is found from ever more rows, and with more
or less of the least noise; very much of it leaves the principal components of the hidden layer, with axes turned as the code's.
The trained code, the hidden layer and its sorted principal components stand beside it. Validation part.

    python benchmarks/discriminant_code.py --data fashion-mnist --epochs 20
    python benchmarks/discriminant_code.py --data cifar10-jpeg --rows 10000 --epochs 6
"""

from __future__ import annotations

import argparse
import math
import time
from typing import Any

import numpy as np
import torch
from common import LOADERS, PROBE, load, record
from sklearn.decomposition import PCA

import skdim.nn.discriminant
from skdim import DeepInfoMaxTransformer
from skdim.evaluation import linear_probe

WIDTH, N_DRAWS = 64, 3
ROWS, NOISE, ALL_NOISE = (4096, 8192, 16384, 32768, 65536), (1.0, 0.25, 0.05, 0.01), 1e4
DEFAULT = (skdim.nn.discriminant.MOST_ROWS, skdim.nn.discriminant.LEAST_NOISE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fashion-mnist", choices=LOADERS)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rows", type=int, help="learn from the first rows only")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = load(arguments.data, test=False)
    X, y = data.X[: arguments.rows], data.y[: arguments.rows]

    n_few = min(1000, 10 ** int(math.log10(len(X) / 2)))

    def judge(seed: int, features: str, parts: list[np.ndarray], **settings: Any) -> None:
        budgets = {"n_labels": [None, n_few], "n_draws": N_DRAWS, "random_state": 0}
        every, few = linear_probe(parts[0], y, parts[1], data.y_eval, **budgets).mean["accuracy"]
        about = {"data": arguments.data, "rows": len(X), "epochs": arguments.epochs, "seed": seed, "features": features}
        settings = {"found_from": "", "least_noise": "", "cpu_s": "", "n_few": n_few} | settings
        record(
            "discriminant_code", about | settings | {"accuracy": round(every, 4), "accuracy_few": round(few, 4)} | PROBE
        )

    for seed in arguments.seeds:
        dim = DeepInfoMaxTransformer(WIDTH, max_iter=arguments.epochs, random_state=seed).fit(X)

        def features(name: str, dim: DeepInfoMaxTransformer = dim) -> list[np.ndarray]:
            return [dim.set_params(features=name).transform(part) for part in (X, data.X_eval)]

        hidden = features("hidden")
        judge(seed, "trained code", features("global"))
        judge(seed, "hidden", hidden)
        pca = PCA(WIDTH, random_state=0).fit(hidden[0])
        judge(seed, "PCA of hidden", [pca.transform(part) for part in hidden])
        settings = [(n, DEFAULT[1]) for n in ROWS] + [(DEFAULT[0], noise) for noise in (*NOISE, ALL_NOISE)]
        settings = [(min(n, len(X)), noise) for n, noise in settings]
        for n, noise in dict.fromkeys(settings):
            skdim.nn.discriminant.MOST_ROWS, skdim.nn.discriminant.LEAST_NOISE = n, noise
            start = time.process_time()
            dim.set_params(features="discriminant", warm_start=True, max_iter=0).fit(X)
            cpu = round(time.process_time() - start, 1)
            name = "PCA of hidden, axes turned" if noise == ALL_NOISE else "discriminant code"
            judge(seed, name, features("discriminant"), found_from=n, least_noise=noise, cpu_s=cpu)


if __name__ == "__main__":
    main()
