"""A network that was trained with labels on the images of five classes, adapted without labels to those of five others.

The classes 0 to 4 of Fashion-MNIST train a residual network; the images of the classes 5 to 9 are what the user has. Their
features are judged by a linear probe on a validation part: those of the network as it was given, frozen with a new code on top,
with its last layer trained, trained as a whole, trained from random weights, and untrained; beside PCA of both widths.

    python benchmarks/pretrained.py --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import time
from collections import OrderedDict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from common import PROBE, load, record
from sklearn.decomposition import PCA
from torch import nn

from skdim import DeepInfoMaxTransformer
from skdim.evaluation import linear_probe
from skdim.nn.layers import convolution, residual_block
from skdim.nn.pretrained import Pretrained

WIDTH = 128  # of the network's features


def network(seed: int) -> nn.Sequential:
    """Return a residual network for images of 28 x 28, with a classifier of five classes on top."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            OrderedDict(
                stem=convolution(2, (1, 32), 3, 2, "batch"),
                layer1=residual_block((32, 32), 1, "batch"),
                layer2=residual_block((32, 64), 2, "batch"),
                layer3=residual_block((64, WIDTH), 2, "batch"),
                pool=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
                classifier=nn.Linear(WIDTH, 5),
            )
        )


def train(net: nn.Module, X: Any, y: Any, epochs: int, seed: int) -> nn.Module:
    """Train a classifier of standardised images by cross-entropy, and put the identity in its last layer's place."""
    rng, optimizer = np.random.default_rng(seed), torch.optim.Adam(net.parameters(), 2e-3)
    X, y = torch.from_numpy(X)[:, None], torch.from_numpy(y)
    for _ in range(epochs):
        for rows in np.array_split(rng.permutation(len(X)), len(X) // 128):
            optimizer.zero_grad()
            F.cross_entropy(net(X[rows]), y[rows]).backward()
            optimizer.step()
    net.classifier = nn.Identity()
    return net.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source-rows", type=int, default=10_000, help="images that the network was trained on")
    parser.add_argument("--rows", type=int, default=1000, help="images to adapt it to")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rates", type=float, nargs="+", default=[2e-3], help="learning rates of fine-tuning")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = load("fashion-mnist", test=False)
    source = np.flatnonzero(data.y < 5)[: arguments.source_rows]
    target = np.flatnonzero(data.y >= 5)[: arguments.rows]
    X, y, judged = data.X[target], data.y[target], data.y_eval >= 5
    X_eval, y_eval = data.X_eval[judged], data.y_eval[judged]
    mean, std = float(data.X[source].mean()), float(data.X[source].std())

    def judge(name: str, seed: Any, Z: Any, Z_eval: Any, rate: Any = "", seconds: Any = "") -> None:
        probe = linear_probe(Z, y, Z_eval, y_eval, n_labels=[None, 100], n_draws=5, random_state=0)
        (every, few), (_, sd) = probe.mean["accuracy"], probe.sd["accuracy"]
        row = {"data": "fashion-mnist", "part": data.part, "features": name, "width": Z.shape[1], "seed": seed}
        row |= {"source_rows": len(source), "rows": len(X), "epochs": arguments.epochs, "learning_rate": rate}
        row |= {"accuracy_all": round(every, 4), "accuracy_100": round(few, 4)}
        record("pretrained", row | {"sd_100": round(sd, 4), "fit_cpu_s": seconds} | PROBE)

    flat, flat_eval = X.reshape(len(X), -1).astype(np.float32), X_eval.reshape(len(X_eval), -1).astype(np.float32)
    for width in (WIDTH, 64):
        pca = PCA(width, random_state=0).fit(flat)
        judge("PCA", "", pca.transform(flat), pca.transform(flat_eval))
    for seed in arguments.seeds:
        images = ((data.X[source] - mean) / std).astype(np.float32)
        given = train(network(seed), images, data.y[source], 5, seed)
        blank = network(seed)
        blank.classifier = nn.Identity()
        variants: list[tuple[str, nn.Module, Any, Any]] = [
            ("as given", given, True, None),
            ("untrained", blank, True, None),
        ]
        variants += [("frozen", given, True, 2e-3), ("from random weights", blank, False, 2e-3)]
        for rate in arguments.rates:
            variants += [("last layer", given, "layer2", rate), ("all of it", given, False, rate)]
        for name, module, freeze, rate in variants:
            encoder = Pretrained(module, freeze=freeze, local="layer3", mean=mean, std=std)
            training = {"max_iter": 0} if rate is None else {"max_iter": arguments.epochs, "learning_rate": rate}
            dim = DeepInfoMaxTransformer(encoder=encoder, random_state=seed, **training)
            start = time.process_time()
            dim.fit(X)
            seconds = round(time.process_time() - start)
            for features in ("hidden",) if name == "as given" else ("hidden", "global", "discriminant"):
                if name == "frozen" and features == "hidden":
                    continue  # those of the network as it was given
                dim.set_params(features=features)
                judge(f"{name}, {features}", seed, dim.transform(X), dim.transform(X_eval), rate or "", seconds)


if __name__ == "__main__":
    main()
