"""The pixels of CIFAR-10's upper halves, and the critics on them (Tschannen et al. 2020, Appendix G).

Not part of ``make reproduce``. The paper quotes about 24 % for a linear probe on these pixels; a published re-run of its
notebook measured 34.7 %, about what most of its trained encoders reach. So the baseline is measured here, with the probe of
all other rows.

The images are JPEG files in folders ``cifar10_jpeg/train`` and ``cifar10_jpeg/test`` in ``SKDIM_DATA_HOME``, a folder for each
class. JPEG is lossy, so figures are near to the paper's, not to be compared digit by digit. Nothing is downloaded.

    python benchmarks/reproductions/cifar10.py --test --seeds 0
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from critic_capacity import CRITICS, rows
from protocol import Table, arguments_of, images, judged
from sklearn.utils import Bunch

AS_THEIRS = "networks 1536-300-300-100 and the three critics, as in experiment 3"
OTHER = (
    "Adam at 1e-4 for 5,000 steps, rather than 1e-5 for 63,000.",
    "Up to five seeds rather than 20; the column n says how many.",
    "JPEG is lossy: figures are near to those of CIFAR-10, not the same.",
)
AT = [0, 1_000, 5_000]
QUICK_AT = [0, 50]


def pixels(data: Bunch) -> Iterator[dict[str, Any]]:
    Z, Z_eval = (X[:, :, :16].reshape(len(X), -1) / np.float32(255) for X in (data.X, data.X_eval))
    yield {"step": 0, "i_est": "", **judged(Z, data, Z_eval)}


def main() -> None:
    arguments = arguments_of(__doc__)
    data = images("cifar10-jpeg", arguments)
    table, at = Table("cifar10", arguments), QUICK_AT if arguments.quick else AT
    about = {"part": data.part, "rows": len(data.X)}
    table.run({"estimator": "none", "critic": "none", "steps": 0, "seed": 0, **about}, lambda: pixels(data))
    for seed in arguments.seeds:
        for estimator in ["infonce", "nwj"]:
            for critic in CRITICS:
                settings = {"estimator": estimator, "critic": critic, "steps": at[-1], "seed": seed, **about}
                table.run(settings, lambda e=estimator, c=critic, s=seed: rows(e, c, at, s, data))


if __name__ == "__main__":
    main()
