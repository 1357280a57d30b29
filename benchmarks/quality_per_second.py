"""What CPU seconds buy: a linear probe on 64 features of Fashion-MNIST against the time that learning them took.

Each budget is a fit of its own, whose learning rate falls over exactly its epochs: 0 is the untrained network. Time is CPU time
of the fit, without the transform and the probe. Validation part by default; ``--test`` reads the test set, and every use of it
is a dated row. Rows that exist are skipped: an interrupted run goes on.

    python benchmarks/quality_per_second.py --threads 1

CEBRA and UMAP run in interpreters of their own, and exchange arrays in a folder; ``quality_per_second_peers.py`` says how to
install them, and what they are given:

    python benchmarks/quality_per_second.py --threads 1 --peers cebra=cebra/bin/python umap=umap/bin/python

The autoencoder has our encoder and a decoder that mirrors it, and minimises the squared error of standardised pixels with our
optimizer, batch and schedule. "DIM(L)" are the paper's settings with InfoNCE (``PAPER``), at 4 of 49 locations a step.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from common import PROBE, add_peers, load, read, record
from hand_written import adamw
from sklearn.decomposition import PCA
from torch import Tensor, nn

from skdim import PAPER, DeepInfoMaxTransformer
from skdim.evaluation import linear_probe
from skdim.nn.encoders import Conv, build_encoder

TABLE = "quality_per_second"
RUN = ("data", "part", "rows", "probe", "method", "budget", "unit", "seed")
WIDTH, BATCH = 64, 128
LABELS, DRAWS = 1000, 3
PEERS_HERE = ("cebra", "umap")

#: Features of samples, from a fit.
Transform: TypeAlias = Callable[[np.ndarray], np.ndarray]


class Autoencoder(nn.Module):
    """Our default encoder, and its mirror image."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = build_encoder(Conv(), (1, 28, 28), WIDTH)
        self.decoder = nn.Sequential(
            nn.Linear(WIDTH, 128 * 4 * 4), nn.Unflatten(1, (128, 4, 4)), nn.BatchNorm2d(128), nn.ReLU(inplace=True),
            nn.ConvTranspose2d(128, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
            nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(inplace=True),
            nn.ConvTranspose2d(32, 1, 4, 2, 1),
        )  # fmt: skip

    def forward(self, X: Tensor) -> Tensor:
        return self.decoder(self.encoder(X).global_)


def autoencoder(X: np.ndarray, epochs: int, seed: int) -> Transform:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Autoencoder().to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(seed)
    mean, scale = X.mean(), X.std()
    optimizer, data = adamw(network.parameters()), torch.from_numpy(X)
    n_steps = max(1, epochs * math.ceil(len(X) / BATCH))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, n_steps, pct_start=0.05, cycle_momentum=False)
    for _ in range(epochs):
        for rows in torch.randperm(len(X), generator=generator).split(BATCH):
            batch = (data[rows, None].float() - mean) / scale
            loss = F.mse_loss(network(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    encoder = network.encoder.eval()

    def transform(X: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            parts = ((part[:, None].float() - mean) / scale for part in torch.from_numpy(X).split(512))
            return torch.cat([encoder(part).global_ for part in parts]).numpy()

    return transform


def pca(X: np.ndarray, epochs: int, seed: int) -> Transform:
    model = PCA(WIDTH, random_state=seed).fit(X.reshape(len(X), -1).astype(np.float32))
    return lambda X: model.transform(X.reshape(len(X), -1).astype(np.float32))


def raw(X: np.ndarray, epochs: int, seed: int) -> Transform:
    return lambda X: X.reshape(len(X), -1)


def ours(X: np.ndarray, epochs: int, seed: int) -> Transform:
    return DeepInfoMaxTransformer(WIDTH, max_iter=epochs, random_state=seed).fit(X).transform


def paper(X: np.ndarray, epochs: int, seed: int) -> Transform:
    settings = PAPER["DIM(L)"] | {"n_locations": 4, "max_iter": epochs, "random_state": seed}
    return DeepInfoMaxTransformer(**settings).fit(X).transform


#: What learns the features, and its budgets in epochs; the one of raw pixels and PCA says nothing.
METHODS: dict[str, tuple[Callable[[np.ndarray, int, int], Transform], tuple[int, ...]]] = {
    "raw pixels": (raw, (0,)),
    "PCA": (pca, (0,)),
    "ours": (ours, (0, 1, 2, 4, 8, 17)),
    "autoencoder": (autoencoder, (0, 1, 2, 4, 8, 17)),
    "paper": (paper, (0, 1, 2, 4)),
}


def judge(run: dict[str, Any], Z: np.ndarray, Z_eval: np.ndarray, data: Any, **more: Any) -> None:
    budgets = {"n_labels": [None, min(LABELS, len(Z) // 2)], "n_draws": DRAWS, "random_state": 0}
    probe = linear_probe(Z, data.y, Z_eval, data.y_eval, **budgets)
    (every, few), (_, sd) = probe.mean["accuracy"], probe.sd["accuracy"]
    record(
        TABLE,
        {
            **run,
            "width": Z.shape[1],
            **more,
            "accuracy_all": round(every, 4),
            "n_labels_few": min(LABELS, len(Z) // 2),
            "accuracy_few": round(few, 4),
            "sd_few": round(sd, 4),
        },
    )


def is_done(run: dict[str, Any]) -> bool:
    return any(all(row[name] == str(value) for name, value in run.items()) for row in read(TABLE))


def run_methods(data: Any, base: dict[str, Any], arguments: argparse.Namespace) -> None:
    for seed in arguments.seeds:
        for method in arguments.methods:
            fit, budgets = METHODS[method]
            for epochs in arguments.epochs if arguments.epochs and len(budgets) > 1 else budgets:
                run = dict(zip(RUN, (*base.values(), method, epochs, "epochs", seed), strict=True))
                if is_done(run):
                    continue
                cpu, wall = time.process_time(), time.perf_counter()
                transform = fit(data.X, epochs, seed)
                took = {"fit_cpu_s": time.process_time() - cpu, "fit_wall_s": time.perf_counter() - wall}
                took = {name: round(seconds, 2) for name, seconds in took.items()}
                judge(run, transform(data.X), transform(data.X_eval), data, **took, versions="")


def run_peers(data: Any, base: dict[str, Any], folder: Path, arguments: argparse.Namespace) -> None:
    """Let the peers fit on these rows, and judge their features."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "arrays.npz", X=data.X, X_eval=data.X_eval)
    script = Path(__file__).with_name("quality_per_second_peers.py")
    threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), str(arguments.threads))
    for peer, python in arguments.peers:
        if peer in PEERS_HERE:
            command = [python, script, "--folder", folder, "--peers", peer, "--seeds", *map(str, arguments.seeds)]
            subprocess.run(command, check=True, env=os.environ | threads)
    for path in sorted(folder.glob("features_*.npz")):
        peer = np.load(path)
        values = (*base.values(), str(peer["method"]), int(peer["budget"]), str(peer["unit"]), int(peer["seed"]))
        run = dict(zip(RUN, values, strict=True))
        if len(peer["Z"]) != len(data.X) or len(peer["Z_eval"]) != len(data.X_eval):
            raise ValueError(f"{path} has features of other rows: --folder is of another --data, --rows or --test.")
        if not is_done(run):
            took = {name: round(float(peer[name]), 2) for name in ("fit_cpu_s", "fit_wall_s")}
            judge(run, peer["Z"], peer["Z_eval"], data, **took, versions=str(peer["versions"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fashion-mnist", choices=["fashion-mnist", "mnist"])
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS)
    parser.add_argument("--epochs", type=int, nargs="+", help="budgets of what has several, instead of their own")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rows", type=int, help="train on the first rows only")
    parser.add_argument("--threads", type=int, default=1)
    add_peers(parser)
    parser.add_argument("--folder", type=Path, help="keep the peers' features here, so that an interrupted run goes on")
    parser.add_argument("--test", action="store_true", help="judge on the test set")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = load(arguments.data, arguments.test)
    data.X, data.y = data.X[: arguments.rows], data.y[: arguments.rows]
    base = {"data": arguments.data, "part": data.part, "rows": len(data.X), **PROBE}
    run_methods(data, base, arguments)
    with tempfile.TemporaryDirectory() as folder:
        run_peers(data, base, arguments.folder or Path(folder), arguments)


if __name__ == "__main__":
    main()
