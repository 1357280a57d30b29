"""Encoders at the same value of the bound: the architecture decides, not the bound (Tschannen et al. 2020, Section 3.4).

The loss is |I_EST - t| for a target of t = 2 and 4 nats, with InfoNCE or NWJ and a bilinear critic. A network 392-300-300-100
is compared with a convolutional one, 219,748 parameters, at the same t.

As in the paper: the encoders, critic and batches. Adam at 1e-3 rather than 1e-4, 1,500 steps rather than 21,000, five seeds.

    python benchmarks/reproductions/matched_bounds.py --test
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from protocol import HALF_MLP, Table, arguments_of, halves_transformer, images, judge, over_steps, raw_pixels
from sklearn.utils import Bunch

from skdim.nn.encoders import PooledConv

ENCODERS = {"mlp": HALF_MLP, "conv": PooledConv()}
TARGETS = [2.0, 4.0]
RATE = 1e-3
AT = [0, 500, 1_500]
QUICK_AT = [0, 40]


def rows(estimator: str, target: float, encoder: str, at: list[int], seed: int, data: Bunch) -> Iterator[Any]:
    options = {"estimator": estimator, "target_mi": target, "encoder": ENCODERS[encoder], "learning_rate": RATE}
    dim = halves_transformer(seed, **options)
    for step in over_steps(dim, data.X, at, seed):
        yield {"step": step, **judge(dim, data)}


def main() -> None:
    arguments = arguments_of(__doc__)
    data = images("mnist", arguments)
    table, at = Table("matched_bounds", arguments), QUICK_AT if arguments.quick else AT
    raw_pixels(Table("pixels", arguments), data)
    for seed in arguments.seeds:
        for estimator in ["infonce", "nwj"]:
            for target in TARGETS:
                for encoder in ENCODERS:
                    settings = {"estimator": estimator, "target": target, "encoder": encoder, "steps": at[-1]}
                    settings |= {"seed": seed, "part": data.part, "rows": len(data.X)}
                    options = estimator, target, encoder, at, seed, data
                    table.run(settings, lambda options=options: rows(*options))


if __name__ == "__main__":
    main()
