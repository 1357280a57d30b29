"""What a first chunk of another scale costs ``partial_fit``, which keeps the standardisation of its first call.

1,123 digits; the first chunk of 128 is in a unit that is smaller or larger by a factor, and 20 calls on all rows follow. The
probe is fitted on all labels, and judged on 224 rows. Rows go to ``results/frozen_scale.csv``.

    python benchmarks/frozen_scale.py --encoder mlp --seeds 0 1 2
"""

from __future__ import annotations

import argparse

import torch
from common import PROBE, load, record

from skdim import DeepInfoMaxTransformer
from skdim.evaluation import linear_probe

#: By how much the first chunk is larger than the others.
FACTORS = (1e-4, 0.01, 0.1, 0.3, 1, 3, 10, 100, 1e4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--encoder", default="auto")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = load("digits", test=False)
    X, X_eval = data.X.astype(float), data.X_eval.astype(float)
    for factor in FACTORS:
        accuracies, spreads = [], []
        for seed in arguments.seeds:
            dim = DeepInfoMaxTransformer(random_state=seed, encoder=arguments.encoder).partial_fit(factor * X[:128])
            for _ in range(arguments.epochs):
                dim.partial_fit(X)
            Z = dim.transform(X)
            accuracies.append(linear_probe(Z, data.y, dim.transform(X_eval), data.y_eval).accuracy.item())
            spreads.append(float(Z.std(axis=0).mean()))
        row = {"data": "digits", "encoder": arguments.encoder, "factor": f"{factor:.4g}", "epochs": arguments.epochs}
        row |= {"seeds": len(arguments.seeds), "accuracy": round(sum(accuracies) / len(accuracies), 4)}
        record("frozen_scale", {**row, "spread": f"{sum(spreads) / len(spreads):.3g}", **PROBE})


if __name__ == "__main__":
    main()
