"""Encoders at the same value of the bound: the architecture decides, not the bound (Tschannen et al. 2020, Section 3.4).

The loss is |I_EST - t| for a target of t = 2 and 4 nats, with InfoNCE or NWJ and a bilinear critic. A network 392-300-300-100
is compared with a convolutional one, 219,748 parameters, at the same t.

    python benchmarks/reproductions/matched_bounds.py --test
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from protocol import (
    BILINEAR,
    HALF_MLP,
    Table,
    arguments_of,
    halves_transformer,
    images,
    judge,
    of_pixels,
    over_steps,
    raw_pixels,
    until,
)
from sklearn.utils import Bunch

from skdim.nn.encoders import PooledConv

AS_THEIRS = (
    "encoders and critic; first weights, Glorot-uniform with zero bias; pixels from 0 to 1; Adam at "
    "1e-4; batches of 128"
)
OTHER = (
    "5,000 steps rather than 20,000, and one seed rather than 20.",
    "The convolutions pad two places on each side, where TensorFlow pads one before and two after.",
    'Rows with init "torch" have torch\'s default first weights, standardised pixels, scores divided by '
    "the root of the width, and "
    "1,500 steps at 1e-3; no claim is about them.",
)
ENCODERS = {"mlp": HALF_MLP, "conv": PooledConv(init="glorot")}
TARGETS = [2.0, 4.0]
AT = [0, 1_000, 2_500, 5_000, 10_000, 20_000]
QUICK_AT = [0, 40]


def rows(estimator: str, target: float, encoder: str, at: list[int], seed: int, data: Bunch) -> Iterator[Any]:
    options = {"estimator": estimator, "target_mi": target, "encoder": of_pixels(ENCODERS[encoder], data.X)}
    dim = halves_transformer(seed, critic=BILINEAR, **options)
    for step in over_steps(dim, data.X, at, seed):
        yield {"step": step, **judge(dim, data)}


def main() -> None:
    arguments = arguments_of(__doc__, n_steps=AT[-1])
    data = images("mnist", arguments)
    table, at = Table("matched_bounds", arguments), QUICK_AT if arguments.quick else until(arguments.steps, AT)
    raw_pixels(Table("pixels", arguments), data)
    for seed in arguments.seeds:
        for estimator in ["infonce", "nwj"]:
            for target in TARGETS:
                for encoder in ENCODERS:
                    settings = {"init": "glorot", "estimator": estimator, "target": target, "encoder": encoder}
                    settings |= {"steps": at[-1], "seed": seed, "part": data.part, "rows": len(data.X)}
                    options = estimator, target, encoder, at, seed, data
                    table.run(settings, lambda options=options: rows(*options))


if __name__ == "__main__":
    main()
