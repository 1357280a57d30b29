"""What richer classifiers than the linear one find in codes of experiments 1a, 1b, 3 and 4: the ladder's area, in nats.

A code with little information differs from one that holds it in a form that is not linear on the rungs above the linear one:
there the former has a small area and the latter a large one. Runs are those of the experiments, shorter; the rungs (linear,
nearest neighbours, networks of one and of two layers) learn from 10,000 labelled rows.

    python benchmarks/reproductions/ladders.py --test
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import adversarial
import numpy as np
from critic_capacity import CRITICS
from matched_bounds import ENCODERS, TARGETS
from protocol import (
    BILINEAR,
    HALF_MLP,
    WIDTH,
    Table,
    arguments_of,
    halves_transformer,
    images,
    of_pixels,
    over_steps,
    top,
)
from sklearn.utils import Bunch

from skdim.evaluation import probe_ladder
from skdim.nn.invertible import Couplings

AS_THEIRS = "what the four experiments have, except the number of steps"
OTHER = (
    "The paper has no ladder: the areas are our own reading of its question whether features are poor or hard to use.",
    "2,000 steps in 1a and 1b (of the paper's game 1,500), 5,000 in 3, 2,500 in 4.",
)
RUNGS = ("linear", "knn", "mlp-1", "mlp-2")
LABELLED = 10_000

#: Codes of images to learn from and to judge on, at a step.
Codes: TypeAlias = tuple[int, np.ndarray, np.ndarray]


def of_halves(data: Bunch, n_steps: int, seed: int, **options: Any) -> Iterator[Codes]:
    dim = halves_transformer(seed, **options)
    for step in over_steps(dim, data.X, [0, n_steps], seed):
        yield step, dim.transform(data.X[:LABELLED]), dim.transform(data.X_eval)


def of_game(data: Bunch, n_steps: int, seed: int, adversary: str, couplings: Couplings) -> Iterator[Codes]:
    for step, Z, Z_eval, _ in adversarial.codes(
        adversary, couplings, adversarial.ENCODER_RATE, [0, n_steps], seed, data
    ):
        yield step, Z[:LABELLED], Z_eval


def runs(data: Bunch) -> dict[tuple[str, str], tuple[int, Callable[[int, int], Iterator[Codes]]]]:
    """Return number of steps and codes at (number of steps, seed), by experiment and setting."""

    def halves(**options: Any) -> Callable[[int, int], Iterator[Codes]]:
        return lambda n_steps, seed: of_halves(data, n_steps, seed, **options)

    def game(adversary: str, couplings: Couplings) -> Callable[[int, int], Iterator[Codes]]:
        return lambda n_steps, seed: of_game(data, n_steps, seed, adversary, couplings)

    n = adversarial.N_COUPLINGS
    mlp = of_pixels(HALF_MLP, data.X)
    found: dict[tuple[str, str], Any] = {
        ("none", "pixels of the top half"): (
            0,
            lambda n_steps, seed: iter([(0, top(data.X[:LABELLED]), top(data.X_eval))]),
        ),
        ("1a", "infonce"): (2_000, halves(encoder=Couplings(n), n_components=WIDTH)),
        ("1b", "best linear classifier"): (2_000, game("optimum", Couplings(n))),
        ("1b", "the paper's game"): (
            1_500,
            game("descent", Couplings(n, scale=True, smallest_scale=adversarial.THEIR_SCALE)),
        ),
    }
    for estimator in ("infonce", "nwj"):
        for name, critic in CRITICS.items():
            options = {"estimator": estimator, "critic": critic, "encoder": mlp}
            found["3", f"{estimator}, {name}"] = (5_000, halves(**options))
    for target in TARGETS:
        for name, encoder in ENCODERS.items():
            options = {"target_mi": target, "critic": BILINEAR, "encoder": of_pixels(encoder, data.X)}
            found["4", f"{name}, {target:.0f} nats"] = (2_500, halves(**options))
    return found


def rows(codes: Iterator[Codes], data: Bunch, seed: int) -> Iterator[dict[str, Any]]:
    for step, Z, Z_eval in codes:
        result = probe_ladder(Z, data.y[:LABELLED], Z_eval, data.y_eval, rungs=RUNGS, random_state=seed)
        values = dict(zip(RUNGS, result.v_information, strict=True)) | {
            "nested": result.nested[-1],
            "area": result.area,
        }
        yield {"step": step, **{name: round(float(value), 4) for name, value in values.items()}}


def main() -> None:
    arguments: argparse.Namespace = arguments_of(__doc__, n_seeds=3)
    data = images("mnist", arguments)
    table = Table("ladders", arguments)
    for seed in arguments.seeds:
        for (experiment, setting), (n_steps, codes) in runs(data).items():
            n = min(n_steps, 40) if arguments.quick else n_steps
            about = {"experiment": experiment, "setting": setting, "steps": n, "seed": seed}
            about |= {"part": data.part, "rows": len(data.X)}
            table.run(about, lambda n=n, codes=codes, seed=seed: rows(codes(n, seed), data, seed))


if __name__ == "__main__":
    main()
