"""The training step of other packages on the networks, batch and data of ``training_speed.py``, which starts this script.

    python -m venv cebra && cebra/bin/pip install torch==2.13.0 cebra==0.6.1
    python -m venv mist && mist/bin/pip install torch==2.13.0 torch-mist==0.2.17 "pandas<3"  # which it does not require

It needs that peer, and no skdim. It reads the data from a folder, prints the peer's version and its encoder's parameters, and
answers every line "threads steps" on its input with the seconds per step: (fit with 2 k steps - fit with k steps) / k.

Network, batch size and data are ours. What differs, as the packages' interfaces have it:

- CEBRA (time contrastive, InfoNCE with the cosine of the codes): a step encodes three batches, of references, positives and
  negatives, where ours encodes two views; it has no augmentation, no trained critic, and one direction. The
  cases with a local term have it in ours alone. Data are float32. Adam,
  not fused, at 3e-4; no channels last.
- torch-mist (InfoNCE with a separable critic in one direction, ``halves``): the critic is the inner product of the codes, where
  ours is bilinear and the bound goes in both directions; it encodes each side twice. Its default loader stacks float32 rows one
  by one. Adam, not fused, at 5e-4. Nothing is logged.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from peer_networks import Flat, conv, mlp, register_with_cebra
from torch import nn

BATCH = 128
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

#: Training for a number of steps.
Fit = Callable[[int], object]


def _cebra(case: str, X: np.ndarray) -> tuple[Fit, int]:
    from cebra import CEBRA

    register_with_cebra()
    X = X.reshape(len(X), -1).astype(np.float32)
    settings = {"batch_size": BATCH, "output_dimension": 64, "num_hidden_units": 64, "time_offsets": 1, "device": "cpu"}
    kind = case.removesuffix("-codes")
    network = conv(64) if kind == "conv" else mlp((X.shape[1], 64, 64, 64))

    def fit(steps: int) -> object:
        return CEBRA(f"skdim-{kind}", max_iterations=steps, **settings).fit(X)

    return fit, n_parameters(network)


def _mist(case: str, X: np.ndarray) -> tuple[Fit, int]:
    from torch_mist.critic import SeparableCritic
    from torch_mist.estimators.discriminative import InfoNCE
    from torch_mist.utils.train import train_mi_estimator

    x, y = np.split(X.reshape(len(X), -1).astype(np.float32), 2, axis=1)
    x, y = (np.float32((half - X.mean()) / X.std()) for half in (x, y))
    sizes = (x.shape[1], 300, 300, 100)

    def fit(steps: int) -> object:
        estimator = InfoNCE(SeparableCritic(Flat(mlp(sizes)), Flat(mlp(sizes))))
        return train_mi_estimator(
            estimator, (x, y), valid_percentage=0, batch_size=BATCH, max_iterations=steps,
            verbose=False, logger=False, fast_train=True,
        )  # fmt: skip

    return fit, 2 * n_parameters(mlp(sizes))


def n_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


PEERS: dict[str, Callable[[str, np.ndarray], tuple[Fit, int]]] = {"cebra": _cebra, "torch-mist": _mist}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, choices=PEERS)
    parser.add_argument("--case", required=True, choices=["conv", "conv-codes", "mlp", "mlp-codes", "halves"])
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--folder", required=True, type=Path)
    arguments = parser.parse_args()
    clock = CLOCKS[arguments.clock]
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a package prints is not an answer
    fit, size = PEERS[arguments.peer](arguments.case, np.load(arguments.folder / f"{arguments.case}.npy"))
    print(importlib.metadata.version(arguments.peer), size, file=answers, flush=True)
    for line in sys.stdin:
        threads, steps = map(int, line.split())
        torch.set_num_threads(threads)
        seconds = []
        for n_steps in (steps, 2 * steps):
            start = clock()
            fit(n_steps)
            seconds.append(clock() - start)
        print((seconds[1] - seconds[0]) / steps, file=answers, flush=True)


if __name__ == "__main__":
    main()
