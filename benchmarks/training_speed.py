"""What a training step costs beside other loops on the same network, batch and data, all in turn.

Ours is timed from outside, as (fit with 2 k epochs - fit with k epochs) / steps, so that building and validation drop out but
callbacks and history stay in. The yardstick is a loop written by hand of the same views, encoder, critics, loss and optimizer.
"skorch" is that same work in a plain ``skorch.NeuralNet`` with its default loader and callbacks. The cases are the default
convolutional network, an MLP 64-64-64 on 64 columns, both once more with the term between the codes alone ("-codes", as CEBRA
has it), halves of images with MLPs 300-300-100 and a bilinear critic, and predictive coding.

    python benchmarks/training_speed.py --threads 1 2
    python benchmarks/training_speed.py --threads 1 --clock cpu    # where others share the cores

Peers run in interpreters of their own, which read the data from a folder and are timed in the same rounds;
``training_speed_peers.py`` says how to install them, and in what their work differs:

    python benchmarks/training_speed.py --peers cebra=cebra/bin/python torch-mist=mist/bin/python
"""

from __future__ import annotations

import argparse
import datetime
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import skorch
import torch
from common import CLOCKS, Clock, add_peers, record
from hand_written import LEARNING_RATE, Halves, Predictive, TwoViews, adamw, crop, loop, mask
from sklearn.base import clone
from torch import Tensor, nn

import skdim
from skdim import CPCTransformer, DeepInfoMaxTransformer, MultiViewInfoMaxTransformer
from skdim.nn.causal import GRU, StridedConv, build_causal_encoder
from skdim.nn.critics import choose_critic
from skdim.nn.encoders import MLP, Conv, ResNet, build_encoder

BATCH = 128

VERSIONS = {"ours": skdim.__version__, "hand-written": torch.__version__, "skorch": skorch.__version__}

#: Seconds per step of some epochs.
Run: TypeAlias = Callable[[int], float]

#: The cases that each peer can take.
CASES_OF_PEERS = {"cebra": ("conv", "conv-codes", "mlp", "mlp-codes"), "torch-mist": ("halves",)}


@dataclass
class Case:
    """A network on data: our estimator, and the same work as a module that maps a batch to its loss."""

    transformer: Any
    X: np.ndarray
    module: Callable[[], nn.Module]
    epochs: int
    batch: int = BATCH

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return math.ceil(len(self.X) / self.batch)


def cases() -> dict[str, Case]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH * 20, 28, 28), dtype=np.uint8)
    rows = rng.normal(size=(BATCH * 20, 64)).astype(np.float32)
    sequences = rng.normal(size=(640, 128)).astype(np.float32)
    dim, cpc, hidden = DeepInfoMaxTransformer(), CPCTransformer(), MLP((300, 300))
    separable = choose_critic(dim.critic)
    critic = {"width": separable.width, "temperature": separable.temperature, "n_locations": dim.n_locations}

    def predictive() -> nn.Module:
        encoder = build_causal_encoder(StridedConv(), GRU(), (1, sequences.shape[1]), cpc.n_components)
        return Predictive(sequences, encoder, cpc.n_components, cpc.n_steps, cpc.n_anchors)

    def conv(**settings: Any) -> nn.Module:
        return TwoViews(images, build_encoder(Conv(), (1, 28, 28), 64), crop, **critic | settings)

    def resnet() -> nn.Module:
        return TwoViews(images, build_encoder(ResNet(), (1, 28, 28), 64), crop, **critic)

    def mlp(**settings: Any) -> nn.Module:
        return TwoViews(rows, build_encoder(MLP((64, 64)), (64,), 64), mask, **critic | settings)

    small, codes = {"hidden_layer_sizes": (64, 64)}, {"local_weight": 0.0, "code_weight": 1.0}
    return {
        "conv": Case(dim, images, conv, 2),
        "resnet": Case(DeepInfoMaxTransformer(encoder="resnet"), images[: BATCH * 5], resnet, 2),
        "mlp": Case(DeepInfoMaxTransformer(**small), rows, mlp, 10),
        "conv-codes": Case(DeepInfoMaxTransformer(**codes), images, partial(conv, n_locations=0), 2),
        "mlp-codes": Case(DeepInfoMaxTransformer(**small, **codes), rows, partial(mlp, n_locations=0), 10),
        "halves": Case(
            MultiViewInfoMaxTransformer(100, views="halves", encoder=hidden, critic="bilinear", batch_size=BATCH), images,
            lambda: Halves(images, [build_encoder(hidden, (392,), 100) for _ in range(2)], 100), 5,
        ),
        "cpc": Case(cpc, sequences, predictive, 3, cpc.batch_size),
    }  # fmt: skip


def ours(case: Case, clock: Clock, **options: Any) -> Run:
    def run(epochs: int) -> float:
        seconds = []
        for n_epochs in (epochs, 2 * epochs):
            start = clock()
            clone(case.transformer).set_params(max_iter=n_epochs, random_state=0, **options).fit(case.X)
            seconds.append(clock() - start)
        return (seconds[1] - seconds[0]) / (epochs * case.steps)

    return run


class Plain(skorch.NeuralNet):
    """A module that computes its own loss."""

    def get_loss(self, y_pred: Tensor, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        return y_pred


def plain_skorch(case: Case, clock: Clock) -> Run:
    net = Plain(
        case.module(), criterion=nn.Identity, optimizer=_of_groups, lr=LEARNING_RATE, batch_size=case.batch,
        iterator_train__shuffle=True, train_split=None, verbose=0,
    ).initialize()  # fmt: skip

    def run(epochs: int) -> float:
        start = clock()
        net.partial_fit(case.X, epochs=epochs)
        return (clock() - start) / (epochs * case.steps)

    return run


def _of_groups(groups: list[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
    """Return the optimizer of the loop written by hand for skorch's groups of parameters."""
    return adamw((parameter for group in groups for parameter in group["params"]), lr)


class Peer:
    """A peer's interpreter, which waits for a number of threads and of steps, and answers with the seconds per step."""

    def __init__(self, name: str, python: str, case: str, folder: Path, n_steps: int, clock: str) -> None:
        script = Path(__file__).with_name("training_speed_peers.py")
        command = [python, script, "--peer", name, "--case", case, "--folder", folder, "--clock", clock]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.n_steps = n_steps
        self.version, n_parameters = self._answer().split()
        self.n_parameters = int(n_parameters)

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args} ended with status {self.process.wait()}.")
        return line

    def __call__(self, epochs: int) -> float:
        assert self.process.stdin is not None
        print(torch.get_num_threads(), epochs * self.n_steps, file=self.process.stdin, flush=True)
        return float(self._answer())

    def end(self) -> None:
        self.process.communicate()


def measure(name: str, case: Case, peers: dict[str, Peer], arguments: argparse.Namespace, started: str) -> None:
    """Time all loops in turn, and record their medians and their ratios to the loop written by hand."""
    module, clock = case.module(), CLOCKS[arguments.clock]
    n_parameters = sum(values.numel() for part, values in module.named_parameters() if part.startswith("encoder"))
    runs: dict[str, Run] = {
        "ours": ours(case, clock),
        "hand-written": loop(module, case.X, case.batch, clock),
        "skorch": plain_skorch(case, clock),
        **peers,
    }
    seconds: dict[str, list[float]] = {who: [] for who in runs}
    for number in range(arguments.rounds + 1):
        for who, run in runs.items():
            value = run(case.epochs if number else 1)
            if number:  # the first round warms up
                seconds[who].append(value)
    yardstick = np.array(seconds["hand-written"])
    for who, values in seconds.items():
        ratios = np.array(values) / yardstick
        record(
            "training_speed",
            {
                "case": name,
                "batch": case.batch,
                "loop": who,
                "version": peers[who].version if who in peers else VERSIONS[who],
                "parameters": peers[who].n_parameters if who in peers else n_parameters,
                "ms": round(1e3 * float(np.median(values)), 3),
                "ratio_median": round(float(np.median(ratios)), 3),
                "ratio_min": round(float(ratios.min()), 3),
                "ratio_max": round(float(ratios.max()), 3),
                "clock": arguments.clock,
                "rounds": arguments.rounds,
                "started": started,
            },
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[torch.get_num_threads()])
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cases", nargs="+", default=["conv", "conv-codes", "mlp", "mlp-codes", "halves", "cpc"])
    add_peers(parser)
    arguments = parser.parse_args()
    every = cases()
    started = datetime.datetime.now().isoformat(timespec="seconds")
    for name in arguments.cases:
        with tempfile.TemporaryDirectory() as folder:
            np.save(Path(folder) / f"{name}.npy", every[name].X)
            peers = {
                peer: Peer(peer, python, name, Path(folder), every[name].steps, arguments.clock)
                for peer, python in arguments.peers
                if name in CASES_OF_PEERS.get(peer, ())
            }
            for threads in arguments.threads:
                torch.set_num_threads(threads)
                measure(name, every[name], peers, arguments, started)
            for peer in peers.values():
                peer.end()


if __name__ == "__main__":
    main()
