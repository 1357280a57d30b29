"""The settings of Hjelm et al. (ICLR 2019), layer by layer: their Tables 1 and 2 on CIFAR-10 (JPEG), or Fashion-MNIST.

Each run has the paper's encoder, discriminator, prior and constant learning rate (``skdim.PAPER``), for fewer epochs;
``--full`` has all 1,000. The layers are the code, the fully connected layer below it and the convolutional one below that. Raw
pixels, their 64 principal components and the network at its first weights stand beside them. Each layer is judged by the linear
probe and, as in the paper's tables, by a network with 200 units.

Not part of ``make reproduce``: an epoch takes minutes on a CPU. The JPEG files are read from ``cifar10_jpeg/train`` and
``cifar10_jpeg/test`` in ``SKDIM_DATA_HOME``. JPEG is lossy: figures are near to the paper's, not to be compared digit by digit.

    python benchmarks/reproductions/deep_infomax_layers.py --test --seeds 0 --epochs 2 --rows 20000
    python benchmarks/reproductions/deep_infomax_layers.py --test --full                                    # hours on a GPU
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from protocol import Table, arguments_of, images
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from skdim import PAPER, DeepInfoMaxTransformer
from skdim.bounds import PooledDV, PooledInfoNCE
from skdim.evaluation import linear_probe

FULL_EPOCHS = 1_000
ESTIMATORS: dict[str, Any] = {"jsd": "jsd", "infonce": PooledInfoNCE(), "dv": PooledDV()}
OBJECTIVES = ("DIM(L)", "DIM(G)")
#: Labelled rows that each layer's classifiers see.
PROBE_ROWS = 10_000
N_FEW = 1_000


def layers(dim: DeepInfoMaxTransformer, X: Any) -> dict[str, np.ndarray]:
    """Return the code, the fully connected layer and the flattened convolutional layer of images."""
    encoder, parts = dim.encoder_, {"code": dim.set_params(features="global").transform(X)}
    parts["fully connected"] = dim.set_params(features="hidden").transform(X)
    local = torch.from_numpy(dim.set_params(features="local").transform(X))
    n_channels, n_places = encoder.local_shape
    side = round(n_places**0.5)
    # The paper's convolutional layer is the last before the flattening: of 28 x 28 images the local map itself.
    above = [layer for layer in encoder.rest if isinstance(layer, torch.nn.Sequential)]
    network = torch.nn.Sequential(*above).cpu().eval()
    with torch.inference_mode():
        maps = (part.unflatten(1, (n_channels, side, side)) for part in local.split(1_000))
        parts["convolutional"] = torch.cat([network(part).flatten(1) for part in maps]).numpy()
    return parts


def judge(Z: Any, data: Bunch, Z_eval: Any) -> dict[str, float]:
    budgets = {"n_labels": [None, N_FEW], "n_draws": 3, "random_state": 0}
    every, few = linear_probe(Z, data.y, Z_eval, data.y_eval, **budgets).mean["accuracy"]
    units = make_pipeline(StandardScaler(), MLPClassifier((200,), early_stopping=True, random_state=0)).fit(Z, data.y)
    accuracies = {"accuracy": every, "accuracy_few": few, "units_200": units.score(Z_eval, data.y_eval)}
    return {"width": Z.shape[1], **{name: round(float(value), 4) for name, value in accuracies.items()}}


def run(objective: str, estimator: str, epochs: int, seed: int, data: Bunch, few: Bunch) -> Iterator[dict[str, Any]]:
    settings = PAPER[objective] | {"estimator": ESTIMATORS[estimator], "random_state": seed}
    dim = DeepInfoMaxTransformer(**{**settings, "max_iter": epochs}).fit(data.X)
    score = round(dim.score(few.X_eval[:1_000]), 4)  # the bounds of JSD and DV overflow under scores without a scale
    parts, parts_eval = layers(dim, few.X), layers(dim, few.X_eval)
    for name in parts:
        yield {"layer": name, "i_est": score, **judge(parts[name], few, parts_eval[name])}


def controls(few: Bunch) -> Iterator[dict[str, Any]]:
    flat, flat_eval = (X.reshape(len(X), -1) / np.float32(255) for X in (few.X, few.X_eval))
    yield {"layer": "pixels", "i_est": "", **judge(flat, few, flat_eval)}
    pca = PCA(64, random_state=0).fit(flat)
    yield {"layer": "PCA", "i_est": "", **judge(pca.transform(flat), few, pca.transform(flat_eval))}


def main() -> None:
    arguments = arguments_of(
        __doc__, n_seeds=1, full="1,000 epochs", data=("cifar10-jpeg", "fashion-mnist"), n_epochs=2, n_rows=60_000
    )
    data = images(arguments.data, arguments, arguments.rows)
    few = Bunch(X=data.X[:PROBE_ROWS], y=data.y[:PROBE_ROWS], X_eval=data.X_eval, y_eval=data.y_eval)
    table, epochs = Table("deep_infomax_layers", arguments), FULL_EPOCHS if arguments.full else arguments.epochs
    about = {"data": arguments.data, "part": data.part, "rows": len(data.X)}
    table.run({"objective": "none", "estimator": "none", "epochs": 0, "seed": 0, **about}, lambda: controls(few))
    for seed in arguments.seeds:
        runs = [("DIM(L)", "jsd", 0), *((o, e, epochs) for o in OBJECTIVES for e in ESTIMATORS)]
        for objective, estimator, n in runs:
            settings = {"objective": objective, "estimator": estimator, "epochs": n, "seed": seed, **about}
            table.run(settings, lambda o=objective, e=estimator, n=n, s=seed: run(o, e, n, s, data, few))


if __name__ == "__main__":
    main()
