"""What a CUDA device gives, in one table: steps, fits, information, features, memory, and the tests that need one.

It needs torch with CUDA, scikit-learn, skorch and their needs, no network, and under four minutes on one device:

    python benchmarks/gpu.py
    python benchmarks/gpu.py --parts steps fit        # some parts alone
    SKDIM_DATA_HOME=<data> python benchmarks/gpu.py   # with Fashion-MNIST; without it that fit is of random images

A step's time is that of the median epoch of a fit, end to end. The yardstick is the same work written by hand, with the data on
the device and the whole step in one CUDA graph.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from common import load, record
from hand_written import captured_loop
from sklearn.base import clone
from sklearn.utils import Bunch
from training_speed import Case, cases

from skdim import CPCTransformer, DeepInfoMaxTransformer, MIEstimator, MultiViewInfoMaxTransformer
from skdim.evaluation import linear_probe
from skdim.synthetic import GaussianPairs, StudentT
from skdim.training.inference import encode

ROOT = Path(__file__).parents[1]
BATCHES = (128, 512, 2048)
ROWS, LEAST_STEPS = 40_960, 40  # of an epoch whose steps are timed


def row(part: str, case: str, quantity: str, value: float | str, **more: Any) -> None:
    """Record one figure; ``more`` are its batch size and its yardstick."""
    columns = {"batch": "", "beside": "", "ratio": ""} | more
    shown = f"{value:.4g}" if isinstance(value, float) else value
    device = torch.cuda.get_device_name()
    record("gpu", {"part": part, "case": case, "quantity": quantity, "value": shown, **columns, "device": device})


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    torch.cuda.synchronize()
    start = time.perf_counter()
    result = run()
    torch.cuda.synchronize()
    return time.perf_counter() - start, result


class EpochClock:
    """A callback of scikit-learn that writes down when each epoch ends, which is when its losses are read."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def setup(self, estimator: Any, context: Any) -> None:
        self.times = []

    def teardown(self, estimator: Any, context: Any) -> None:
        pass

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        pass

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        if context.task_name == "epoch":
            self.times.append(time.perf_counter())


def per_step(case: Case, epochs: int = 4, **options: Any) -> float:
    """Return our seconds per step: the median epoch of a fit, the first left out."""
    clock = EpochClock()
    estimator = clone(case.transformer).set_params(
        device="cuda", random_state=0, batch_size=case.batch, max_iter=epochs
    )
    estimator.set_params(**options).set_callbacks(clock).fit(case.X)
    return float(np.median(np.diff(clock.times))) / case.steps


def sized(case: Case, batch: int) -> Case:
    """Return a case with that batch size, and ROWS rows of its data, repeated."""
    n = max(ROWS // batch, LEAST_STEPS) * batch
    return replace(case, X=np.tile(case.X, (-(-n // len(case.X)), *[1] * (case.X.ndim - 1)))[:n], batch=batch)


def steps() -> None:
    every = cases()
    for name in ("conv", "mlp", "halves", "cpc"):
        for batch in BATCHES:
            case = sized(every[name], batch)
            yardstick = captured_loop(case.module(), case.X, batch)
            yardstick(1)
            by_hand = yardstick(2)
            precisions = ("auto", "float32", "bfloat16") if name == "conv" else ("auto",)
            for precision in precisions:
                ours = per_step(case, precision=precision)
                row(
                    "steps", f"{name}, precision={precision!r}", "ms", 1e3 * ours,
                    batch=batch, beside=f"{1e3 * by_hand:.4g}", ratio=round(ours / by_hand, 3),
                )  # fmt: skip


def busy() -> None:
    """Record the share of a fit's time, from its first kernel to its last, in which a kernel runs."""
    for batch in BATCHES:
        case = sized(cases()["conv"], batch)
        estimator = clone(case.transformer).set_params(device="cuda", random_state=0, batch_size=batch, max_iter=3)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            estimator.fit(case.X)
            torch.cuda.synchronize()
        spans = sorted(
            (event.time_range.start, event.time_range.end) for event in profile.events() if event.device_time
        )
        spans = spans[len(spans) // 2 :]  # replays, without what comes before them
        running, until = 0.0, spans[0][0]
        for start, end in spans:
            running += max(0.0, end - max(start, until))
            until = max(until, end)
        row("busy", "conv", "share of the time", running / (until - spans[0][0]), batch=batch)


def fit() -> None:
    """Fit the defaults to 60,000 images, and read the accuracy on the test set where Fashion-MNIST is there."""
    if "SKDIM_DATA_HOME" in os.environ:
        data, name = load("fashion-mnist", test=True), "Fashion-MNIST"
    else:  # no download: there may be no network
        rng = np.random.default_rng(0)
        data, name = Bunch(X=rng.integers(0, 256, (60_000, 28, 28), dtype=np.uint8)), "random images"
    gc.collect()
    torch.cuda.reset_peak_memory_stats()
    seconds, dim = timed(lambda: DeepInfoMaxTransformer(device="cuda", random_state=0).fit(data.X))
    row("fit", f"defaults, {len(data.X)} {name}", "seconds", seconds)
    row("fit", f"defaults, {len(data.X)} {name}", "peak MB on the device", torch.cuda.max_memory_allocated() / 2**20)
    if "y" in data:
        Z, Z_eval = dim.transform(data.X), dim.transform(data.X_eval)
        probe = linear_probe(Z, data.y, Z_eval, data.y_eval, n_labels=[None, 1000], n_draws=3, random_state=0)
        for labels, accuracy in zip(("all", "1,000"), probe.mean["accuracy"], strict=True):
            row("fit", name, f"test accuracy, {labels} labels", accuracy)


def information() -> None:
    dispersion = np.eye(4) + 0.5 * np.eye(4, k=2) + 0.5 * np.eye(4, k=-2)
    families = {"Gaussian, 5 x 5": GaussianPairs(rho=0.6, n_dims=5), "Student, 2 x 2": StudentT(2.0, dispersion, 2)}
    for name, family in families.items():
        X, y = family.sample(10_000, random_state=0)
        for device in ("cuda", "cpu") if name.startswith("Student") else ("cuda",):
            seconds, mi = timed(lambda d=device, X=X, y=y: MIEstimator(device=d, random_state=0).fit(X, y))
            row("information", f"{name}, 10,000 rows", f"seconds on {device}", seconds)
            row("information", f"{name}, 10,000 rows", f"error on {device}, nats", mi.mi_ - family.mutual_information)


def transform() -> None:
    X = np.random.default_rng(0).integers(0, 256, (1_000_000, 28, 28), dtype=np.uint8)
    dim = DeepInfoMaxTransformer(device="cuda", max_iter=0, random_state=0).fit(X[:1000])
    dim.transform(X[:50_000])
    row("transform", "1,000,000 images from the host", "images a second", 1e6 / timed(lambda: dim.transform(X))[0])
    samples = dim._samples(X, torch.device("cuda"), reset=False).resident()
    encode(dim._learner.objective, samples, "global")
    seconds, _ = timed(lambda: encode(dim._learner.objective, samples, "global"))
    row("transform", "1,000,000 images on the device", "images a second", 1e6 / seconds)


def large() -> None:
    for side in (64, 96, 224):
        X = np.random.default_rng(0).integers(0, 256, (512, 3, side, side), dtype=np.uint8)
        case = Case(DeepInfoMaxTransformer(), X, torch.nn.Identity, 1)
        gc.collect()
        torch.cuda.reset_peak_memory_stats()
        row("large images", f"3 x {side} x {side}", "ms a step", 1e3 * per_step(case, 6), batch=case.batch)
        peak = torch.cuda.max_memory_allocated() / 2**20
        row("large images", f"3 x {side} x {side}", "peak MB on the device", peak, batch=case.batch)


LOAD_ON_CPU = """
import sys, warnings, joblib, numpy as np
from skdim.exceptions import DeviceWarning
warnings.simplefilter("ignore", DeviceWarning)
folder = sys.argv[1]
np.save(folder + "/cpu.npy", joblib.load(folder + "/model.joblib").transform(np.load(folder + "/X.npy")))
"""


def devices() -> None:
    """Record how far features on the CPU are from those on the device, of models saved there and loaded without it."""
    rng = np.random.default_rng(0)
    stacked, rows = rng.integers(0, 256, (2000, 28, 28), dtype=np.uint8), rng.normal(size=(2000, 20))
    sequences = rng.normal(size=(2000, 64)).astype(np.float32)
    fits = {
        "DeepInfoMaxTransformer, conv": (DeepInfoMaxTransformer(), stacked),
        "DeepInfoMaxTransformer, mlp": (DeepInfoMaxTransformer(), rows),
        "MultiViewInfoMaxTransformer": (MultiViewInfoMaxTransformer(views="halves"), stacked),
        "CPCTransformer": (CPCTransformer(), sequences),
    }
    for name, (estimator, X) in fits.items():
        fitted = estimator.set_params(device="cuda", max_iter=2, random_state=0).fit(X)
        with tempfile.TemporaryDirectory() as folder:
            joblib.dump(fitted, f"{folder}/model.joblib")
            np.save(f"{folder}/X.npy", X)
            path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
            environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": path}
            subprocess.run([sys.executable, "-c", LOAD_ON_CPU, folder], env=environment, check=True)
            on_cpu = np.load(f"{folder}/cpu.npy")
        on_device = fitted.transform(X)
        row(
            "devices",
            name,
            "largest difference / largest feature",
            float(abs(on_cpu - on_device).max() / abs(on_cpu).max()),
        )


def tests() -> None:
    if importlib.util.find_spec("pytest") is None or importlib.util.find_spec("hypothesis") is None:
        row("tests", "pytest -m gpu", "outcome", "pytest and hypothesis are not installed")
        return
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = finished.stdout.strip().splitlines() or [finished.stderr.strip()[-200:]]
    row("tests", "pytest -m gpu", "outcome", lines[-1].replace(",", ";"))
    if finished.returncode:
        print(finished.stdout[-6000:], finished.stderr[-2000:])


PARTS = {part.__name__: part for part in (steps, busy, fit, information, transform, large, devices, tests)}


def chosen() -> Iterator[Callable[[], None]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    for name in parser.parse_args().parts:
        yield PARTS[name]


def main() -> None:
    for part in chosen():
        start = time.perf_counter()
        try:
            part()
        except Exception:  # the other parts are worth their time
            traceback.print_exc()
        print(f"-- {part.__name__}: {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
