"""Critics: the tighter bound goes with the worse representation (Tschannen et al. 2020, Section 3.3).

Both halves pass through networks 392-300-300-100, under a bilinear critic (10,000 parameters), a separable one of two networks
100-100-100 (40,400), and a network on the concatenation, 200-200-1 (40,401), trained by InfoNCE or NWJ.

    python benchmarks/reproductions/critic_capacity.py --test
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

from skdim.nn.critics import Concat, Separable

AS_THEIRS = (
    "encoders and critics; first weights, Glorot-uniform with zero bias; pixels from 0 to 1; critics without scale and offset; "
    "Adam at 1e-4; batches of 128; 20,000 steps"
)
OTHER = (
    "Up to five seeds rather than 20; the column n says how many.",
    'Rows with init "torch" have torch\'s default first weights, standardised pixels, bilinear scores '
    "divided by the root of the "
    "width, and 5,000 steps: they show what the framework's defaults decide, and no claim is about them.",
)
AT = [0, 1_000, 2_500, 5_000, 10_000, 20_000]
QUICK_AT = [0, 200]
CRITICS = {
    "bilinear": BILINEAR,
    "separable": Separable(
        width=100,
        hidden_layer_sizes=(100,),
        temperature=None,
        shortcut=False,
        scaled=False,
        biases=False,
        affine=False,
        init="glorot",
    ),
    "concat": Concat(hidden_layer_sizes=(200,), affine=False, init="glorot"),
}


def rows(estimator: str, critic: str, at: list[int], seed: int, data: Bunch) -> Iterator[dict[str, Any]]:
    encoder = of_pixels(HALF_MLP, data.X)
    dim = halves_transformer(seed, estimator=estimator, critic=CRITICS[critic], encoder=encoder)
    for step in over_steps(dim, data.X, at, seed):
        yield {"step": step, **judge(dim, data)}


def main() -> None:
    arguments = arguments_of(__doc__, n_steps=AT[-1])
    data = images("mnist", arguments)
    table, at = Table("critic_capacity", arguments), QUICK_AT if arguments.quick else until(arguments.steps, AT)
    raw_pixels(Table("pixels", arguments), data)
    for seed in arguments.seeds:
        for estimator in ["infonce", "nwj"]:
            for critic in CRITICS:
                settings = {"init": "glorot", "estimator": estimator, "critic": critic, "steps": at[-1], "seed": seed}
                settings |= {"part": data.part, "rows": len(data.X)}
                table.run(settings, lambda e=estimator, c=critic, s=seed: rows(e, c, at, s, data))


if __name__ == "__main__":
    main()
