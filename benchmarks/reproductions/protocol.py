"""What the reproductions share: the halves of MNIST, training that stops to be judged, and rows that are there already.

The protocol is that of Tschannen et al. (ICLR 2020), Section 3 and their published notebook: top and bottom half of a digit,
separate encoders, Adam at a constant 1e-4, batches of 128, and a linear probe on the top half's code. ``OTHER_THAN_THEIRS`` and
each script's ``OTHER`` say what differs; both stand on the page.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils import Bunch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import RESULTS, load, record

from skdim import MultiViewInfoMaxTransformer
from skdim._params import Configured
from skdim.evaluation import linear_probe
from skdim.nn.critics import Bilinear
from skdim.nn.encoders import MLP

#: What differs from the paper and its notebook in every experiment on halves.
OTHER_THAN_THEIRS = (
    "InfoNCE is the mean over both anchors; theirs has the top half as anchor.",
    "accuracy is of a probe that has converged; papers_probe is theirs, which stops early.",
    "I_EST is of rows that were not trained on; theirs is of training batches, though the plots say testing.",
)
#: Inputs and critics of the experiments that keep the transformer's standardisation.
STANDARDISED = (
    "The pixels are standardised, by one mean and deviation for each half, not from 0 to 1.",
    "Inner products in critics are divided by the root of the code's width.",
)
BATCH = 128
#: The top half, 14 x 28 values.
WIDTH = 392
#: Their encoder of Sections 3.3 and 3.4, 238,300 parameters.
HALF_MLP = MLP((300, 300), norm="none", init="glorot")
#: Their critic, x' W y.
BILINEAR = Bilinear(affine=False, scaled=False)
#: Steps that are trained before rows are drawn anew: bounds the memory.
STRETCH = 200
QUICK_ROWS, QUICK_JUDGED = 6_000, 2_000


def arguments_of(
    description: str | None,
    n_seeds: int = 5,
    full: str = "",
    data: tuple[str, ...] = (),
    **defaults: int,
) -> argparse.Namespace:
    """Return the options that every script has, and some that it names.

    ``full`` describes ``--full``; the first of ``data`` is the default of ``--data``; of ``defaults``, n_steps is that of
    ``--steps`` and n_epochs that of ``--epochs``.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=None, help=f"{n_seeds} by default, 1 with --quick")
    parser.add_argument("--quick", action="store_true", help="few rows and steps, results in a folder of their own")
    parser.add_argument("--test", action="store_true", help="judge on the test set")
    parser.add_argument("--threads", type=int, default=1)
    for name, default in defaults.items():
        parser.add_argument(f"--{name.removeprefix('n_')}", type=int, default=default, help="of each run")
    if data:
        parser.add_argument("--data", choices=data, default=data[0])
    if full:
        parser.add_argument("--full", action="store_true", help=full)
    arguments = parser.parse_args()
    if arguments.seeds is None:
        arguments.seeds = [0] if arguments.quick else list(range(n_seeds))
    torch.set_num_threads(arguments.threads)
    return arguments


def images(name: str, arguments: argparse.Namespace, n: int | None = None) -> Bunch:
    """Return images to learn from and to judge on, of a quick run few, else the first ``n`` or all."""
    data = load(name, arguments.test)
    rows, judged = (QUICK_ROWS, QUICK_JUDGED) if arguments.quick else (n, None)
    data.X, data.y, data.X_eval, data.y_eval = data.X[:rows], data.y[:rows], data.X_eval[:judged], data.y_eval[:judged]
    return data


@dataclass
class OfPixels(Configured):
    """An encoder that takes pixels from 0 to 1, as theirs do: it undoes the transformer's standardisation.

    Parameters
    ----------
    encoder : object
        The encoder's factory.
    mean, scale : float
        Mean and standard deviation of the pixels.
    """

    encoder: Any
    mean: float
    scale: float

    @property
    def kind(self) -> str:
        return str(self.encoder.kind)

    def __call__(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        return _Rescaled(self.encoder(input_shape, n_components), self.mean, self.scale)


class _Rescaled(nn.Module):
    def __init__(self, network: nn.Module, mean: float, scale: float) -> None:
        super().__init__()
        self.network, self.mean, self.scale = network, mean, scale

    def forward(self, X: Tensor) -> Any:
        return self.network(X * self.scale + self.mean)


def of_pixels(encoder: Any, X: Any) -> list[OfPixels]:
    """Return encoders of the top and the bottom half of such images, each on pixels from 0 to 1."""
    middle = X.shape[-2] // 2
    halves = (np.asarray(half, dtype=np.float64) / 255 for half in (X[..., :middle, :], X[..., middle:, :]))
    return [OfPixels(encoder, float(half.mean()), float(half.std())) for half in halves]


class Table:
    """Rows of one experiment, a run at a time: a run that is there already is not repeated.

    A run's rows are written together when it ends, so that one which was cut off leaves none.
    """

    def __init__(self, name: str, arguments: argparse.Namespace) -> None:
        self.name = f"reproductions/{'quick/' if arguments.quick else ''}{name}"

    def has(self, settings: dict[str, Any]) -> bool:
        """Whether a run of these settings is there."""
        path = RESULTS / f"{self.name}.csv"
        if not path.exists():
            return False
        with path.open(newline="") as file:
            return any(all(row.get(k) == str(v) for k, v in settings.items()) for row in csv.DictReader(file))

    def run(self, settings: dict[str, Any], rows: Callable[[], Iterator[dict[str, Any]]]) -> None:
        """Write the rows of a run, each with its settings and the CPU seconds since the run began."""
        if self.has(settings):
            return
        start, done = time.process_time(), []
        for row in rows():
            done.append({**settings, **row, "cpu_s": round(time.process_time() - start, 1)})
        for row in done:
            record(self.name, row)


def halves_transformer(seed: int, **options: Any) -> MultiViewInfoMaxTransformer:
    """Return the transformer of the paper's protocol, to be trained by :func:`over_steps`."""
    protocol = {
        "n_components": 100,
        "views": "halves",
        "encoder": HALF_MLP,
        "critic": Bilinear(affine=False),
        "output": "top",
        "batch_size": BATCH,
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "weight_decay": 0.0,
        "max_iter": 0,
        "random_state": seed,
    }
    return MultiViewInfoMaxTransformer(**{**protocol, **options})


def over_steps(
    dim: MultiViewInfoMaxTransformer, X: Any, at: list[int], seed: int, prepare: Callable[[Any], Any] = lambda X: X
) -> Iterator[int]:
    """Yield each of the steps ``at`` once the transformer has been trained so far, from step 0, untrained.

    ``prepare`` is applied to the images of each stretch, for noise that is drawn anew.
    """
    dim.fit(prepare(X))  # max_iter is 0: standardisation alone
    rows, done = permutations(len(X), seed), 0
    for step in at:
        while done < step:
            n = min(STRETCH, step - done)
            dim.partial_fit(prepare(X[[next(rows) for _ in range(n * BATCH)]]))
            done += n
        yield step


def until(n_steps: int, at: list[int]) -> list[int]:
    """Return the steps before ``n_steps`` after which a run is judged, and ``n_steps``."""
    return [step for step in at if step < n_steps] + [n_steps]


def permutations(n: int, seed: int) -> Iterator[int]:
    """Yield row numbers for ever, one random order of all after the other."""
    rng = np.random.default_rng([seed, n])
    while True:
        yield from rng.permutation(n)


def held_out(dim: MultiViewInfoMaxTransformer, X: Any) -> float:
    """Return I_EST in nats on rows that were not trained on: the mean over batches of the training's size."""
    return dim.evaluate(X[: len(X) // BATCH * BATCH])["top-bottom"]


def judged(Z: Any, data: Bunch, Z_eval: Any) -> dict[str, float]:
    """Return accuracy, V-information of the linear family in nats, and the accuracy of the paper's probe."""
    probe = linear_probe(Z, data.y, Z_eval, data.y_eval)
    theirs = papers_probe().fit(Z, data.y).score(Z_eval, data.y_eval)
    return {
        "accuracy": round(probe.accuracy.item(), 4),
        "v_information": round(probe.v_information.item(), 4),
        "papers_probe": round(theirs, 4),
    }


def papers_probe() -> Pipeline:
    """Return the probe of the published notebook, whose loose tolerance ends it after a few passes over the rows."""
    return make_pipeline(MinMaxScaler(), LogisticRegression(solver="saga", tol=0.1, C=10, random_state=0))


def judge(dim: MultiViewInfoMaxTransformer, data: Bunch) -> dict[str, float]:
    """Return what stands in every row: held-out I_EST, accuracy and V-information of the top half's code."""
    bound = round(held_out(dim, data.X_eval), 4)
    return {"i_est": bound, **judged(dim.transform(data.X), data, dim.transform(data.X_eval))}


def top(X: Any) -> Any:
    """Return the upper half of images, flat, from 0 to 1."""
    return np.asarray(X[:, :14].reshape(len(X), -1), dtype=np.float32) / 255


def left(X: Any) -> Any:
    """Return the left half of images, flat, from 0 to 1."""
    return np.asarray(X[:, :, :14].reshape(len(X), -1), dtype=np.float32) / 255


def raw_pixels(table: Table, data: Bunch) -> None:
    """Write the rows of the top half's pixels, and of the left half's."""
    shares = np.bincount(data.y) / len(data.y)
    entropy = {"label_entropy": round(float(-shares @ np.log(shares)), 4)}  # what V-information is at most
    for name, half in {"top": top, "left": left}.items():
        settings = {"half": name, "part": data.part, "rows": len(data.X)}
        table.run(settings, lambda half=half: iter([{**judged(half(data.X), data, half(data.X_eval)), **entropy}]))
