"""Where the time of the default convolutional step goes: operations by class, and their share of the machine's peak.

The peak is what a product of float32 matrices reaches, the best of several sizes. The step's arithmetic is counted by torch,
forward and backward; the augmentation's products are counted among the matrix products. Step, count and profile are those of
``fit``, (fit with 2 k epochs - fit with k epochs) / steps. The step is timed without the profiler, whose shares of wall time
then say what each class takes of it: "ms", next to "profiled_ms". The profiler takes time itself at every operation, which
overstates "python", "autograd" and the small operations.

    python benchmarks/training_profile.py --threads 1 2
    python benchmarks/training_profile.py --threads 1 --clock cpu    # where others share the cores

A row for each number of threads goes to ``results/training_peak.csv``, one for each class to ``training_profile.csv``.
"""

from __future__ import annotations

import argparse
import datetime
import math
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from common import CLOCKS, Clock, record
from torch import Tensor
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.flop_counter import FlopCounterMode

from skdim import DeepInfoMaxTransformer
from skdim.inputs.augmentation import ImageAugmentation

SIZES = (256, 512, 1024, 2048)

#: Classes of operations by parts of their names, the first that fits. What is inside an augmentation or an optimizer's step
#: belongs to it whatever it is, "autograd" is the backward pass outside operations, and "python" the time in no operation at
#: all: NumPy's random draws, batches, skorch.
CLASSES = {
    "convolution": ("conv",),
    "matrix product": ("mm", "linear", "matmul", "einsum", "dot"),
    "batch norm": ("batch_norm",),
    "softmax and losses": ("softmax", "nll_loss", "cross_entropy", "logsumexp"),
    "copies and indices": ("copy", "cat", "index", "contiguous", "clone", "empty", "zero", "fill", "resize", "randperm"),
    "elementwise": ("relu", "threshold", "add", "mul", "div", "sub", "norm", "sum", "mean", "exp", "neg", "clamp", "sqrt",
                    "where", "masked", "eq", "ge", "pow"),
}  # fmt: skip


class Marked(ImageAugmentation):
    """The default views, under a name of their own in the profile."""

    def __call__(self, X: Tensor, draws: Tensor) -> Tensor:
        with record_function("augmentation"):
            return super().__call__(X, draws)


def peak(rounds: int, clock: Clock) -> float:
    """Return the GFLOP/s of the best product of square matrices."""
    best = 0.0
    for size in SIZES:
        A, B = torch.randn(2, size, size)
        for _ in range(rounds):
            start = clock()
            A @ B
            best = max(best, 2e-9 * size**3 / (clock() - start))
    return best


def differences(fit: Callable[[int], Counter[str]], epochs: int, steps: int) -> dict[str, float]:
    """Return what a step takes of each entry: (fit with 2 k epochs - fit with k epochs) / steps."""
    once, twice = fit(epochs), fit(2 * epochs)
    return {name: (twice[name] - once[name]) / (epochs * steps) for name in twice}


def classify(event: Any) -> str:
    """Return the class of an operation in the profile."""
    ancestor = event
    while ancestor is not None:
        if ancestor.name == "augmentation":
            return "augmentation"
        if ancestor.name.startswith("Optimizer."):
            return "optimizer"
        ancestor = ancestor.cpu_parent
    if event.name.startswith("autograd::") or "Backward" in event.name:
        return "autograd"
    return next((name for name, parts in CLASSES.items() if any(part in event.name for part in parts)), "other")


class Step:
    """What the default convolutional step takes, each time of ``fit`` with so many epochs."""

    def __init__(self, n_steps: int) -> None:
        self.dim = DeepInfoMaxTransformer(augment=Marked(), random_state=0)
        shape = (self.dim.batch_size * n_steps, 28, 28)
        self.X = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    def fit(self, epochs: int) -> None:
        self.dim.set_params(max_iter=epochs).fit(self.X)

    def seconds(self, epochs: int, clock: Clock) -> Counter[str]:
        start = clock()
        self.fit(epochs)
        return Counter(all=clock() - start)

    def flops(self, epochs: int) -> Counter[str]:
        """Return the arithmetic of convolutions and of matrix products."""
        with FlopCounterMode(display=False) as counter:
            self.fit(epochs)
        counts: Counter[str] = Counter()
        for operation, count in counter.get_flop_counts()["Global"].items():
            counts["convolution" if "conv" in str(operation) else "matrix product"] += count
        return counts

    def classes(self, epochs: int) -> Counter[str]:
        """Return the seconds of each class of operations."""
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            start = time.perf_counter()
            self.fit(epochs)
            wall = time.perf_counter() - start
        times: Counter[str] = Counter()
        for event in profiler.events():
            times[classify(event)] += 1e-6 * event.self_cpu_time_total
        times["python"] = wall - sum(times.values())
        return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[torch.get_num_threads()])
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="of the step and of the peak")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20, help="steps of an epoch")
    arguments = parser.parse_args()
    started = datetime.datetime.now().isoformat(timespec="seconds")
    clock, step = CLOCKS[arguments.clock], Step(arguments.steps)
    gflop = {name: 1e-9 * count for name, count in differences(step.flops, 1, arguments.steps).items()}
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        step.fit(1)
        peaks, steps = [], []
        for _ in range(arguments.rounds):  # in turn, so that what else the machine does falls on both
            peaks.append(peak(3, clock))
            steps.append(differences(partial(step.seconds, clock=clock), 1, arguments.steps)["all"])
        best, seconds, total = max(peaks), float(np.median(steps)), math.fsum(gflop.values())
        record(
            "training_peak",
            {
                "peak_gflops": round(best, 1),
                "step_ms": round(1e3 * seconds, 2),
                "step_gflop": round(total, 3),
                "step_gflops": round(total / seconds, 1),
                "share_of_peak": round(total / seconds / best, 3),
                "clock": arguments.clock,
                "rounds": arguments.rounds,
            },
        )
        profiles = [differences(step.classes, 1, arguments.steps) for _ in range(arguments.rounds)]
        times = {name: float(np.median([part.get(name, 0.0) for part in profiles])) for name in profiles[0]}
        for name, profiled in sorted(times.items(), key=lambda item: -item[1]):
            share = profiled / math.fsum(times.values())
            record(
                "training_profile",
                {
                    "class": name,
                    "share": round(share, 3),
                    "ms": round(1e3 * share * seconds, 3),
                    "profiled_ms": round(1e3 * profiled, 3),
                    "gflop": round(gflop[name], 3) if name in gflop else "",
                    "share_of_peak": round(gflop[name] / (share * seconds) / best, 3) if name in gflop else "",
                    "clock": arguments.clock,
                    "started": started,
                },
            )


if __name__ == "__main__":
    main()
