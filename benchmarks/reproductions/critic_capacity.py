"""Critics: the tighter bound goes with the worse representation (Tschannen et al. 2020, Section 3.3).

Both halves pass through networks 392-300-300-100, under a bilinear critic (10,000 parameters), a separable one of two networks
100-100-100 (40,400), and a network on the concatenation, 200-200-1 (40,401), trained by InfoNCE or NWJ.

As in the paper: all of that, Adam at 1e-4, batches of 128. 5,000 steps rather than 21,000, five seeds rather than 20.

    python benchmarks/reproductions/critic_capacity.py --test
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from protocol import Table, arguments_of, halves_transformer, images, judge, over_steps, raw_pixels
from sklearn.utils import Bunch
from torch import Tensor, nn

from skdim.nn.critics import Bilinear, Concat

AT = [0, 500, 1_000, 2_500, 5_000]
QUICK_AT = [0, 200]


class TwoNetworks(nn.Module):
    """Their separable critic: the inner product of a network of x and a network of y."""

    affine = False

    def __init__(self, x_features: int, y_features: int) -> None:
        super().__init__()
        self.of_x, self.of_y = (
            nn.Sequential(nn.Linear(features, 100), nn.ReLU(), nn.Linear(100, 100))
            for features in (x_features, y_features)
        )

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.of_x(x) @ self.of_y(y).T


CRITICS = {
    "bilinear": Bilinear(affine=False),
    "separable": TwoNetworks,
    "concat": Concat(hidden_layer_sizes=(200,), affine=False),
}


def rows(estimator: str, critic: str, at: list[int], seed: int, data: Bunch) -> Iterator[dict[str, Any]]:
    dim = halves_transformer(seed, estimator=estimator, critic=CRITICS[critic])
    for step in over_steps(dim, data.X, at, seed):
        yield {"step": step, **judge(dim, data)}


def main() -> None:
    arguments = arguments_of(__doc__)
    data = images("mnist", arguments)
    table, at = Table("critic_capacity", arguments), QUICK_AT if arguments.quick else AT
    raw_pixels(Table("pixels", arguments), data)
    for seed in arguments.seeds:
        for estimator in ["infonce", "nwj"]:
            for critic in CRITICS:
                settings = {"estimator": estimator, "critic": critic, "steps": at[-1], "seed": seed}
                settings |= {"part": data.part, "rows": len(data.X)}
                table.run(settings, lambda e=estimator, c=critic, s=seed: rows(e, c, at, s, data))


if __name__ == "__main__":
    main()
