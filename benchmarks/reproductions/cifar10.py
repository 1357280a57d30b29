"""The pixels of CIFAR-10's upper halves, and the critics on them (Tschannen et al. 2020, Appendix G).

Not part of ``make reproduce``. The paper quotes about 24 % for a linear probe on these pixels; a published re-run of its
notebook measured 34.7 %, about what most of its trained encoders reach. So the baseline is measured here, with the probe of
all other rows.

The files of the binary version, ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin``, are read from the folder
``cifar-10-batches-bin`` in ``SKDIM_DATA_HOME``. Nothing is downloaded.

    python benchmarks/reproductions/cifar10.py --test
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from critic_capacity import CRITICS, rows
from protocol import QUICK_JUDGED, QUICK_ROWS, Table, arguments_of, judged
from sklearn.utils import Bunch

AS_THEIRS = "networks 1536-300-300-100 and the three critics, as in experiment 3"
OTHER = ("Adam at 1e-4 for 5,000 steps, rather than 1e-5 for 63,000.",)
AT = [0, 1_000, 5_000]
QUICK_AT = [0, 50]
FOLDER = "cifar-10-batches-bin"


def load(test: bool, quick: bool) -> Bunch:
    """Return images (n, 3, 32, 32) of bytes; without ``test`` the last training batch is the judge."""
    home = os.environ.get("SKDIM_DATA_HOME")
    if not home or not Path(home, FOLDER).is_dir():
        raise SystemExit(
            f"Put the binary version of CIFAR-10 into a folder {FOLDER} and set SKDIM_DATA_HOME to where it is."
        )
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    batches = [np.fromfile(Path(home, FOLDER, name), dtype=np.uint8).reshape(-1, 1 + 3 * 32 * 32) for name in names]
    parts = (batches[:5], batches[5:]) if test else (batches[:4], batches[4:5])
    sizes = (QUICK_ROWS, QUICK_JUDGED) if quick else (None, None)
    learn, evaluate = (np.concatenate(part)[:size] for part, size in zip(parts, sizes, strict=True))
    return Bunch(
        X=learn[:, 1:].reshape(-1, 3, 32, 32),
        y=learn[:, 0].astype(int),
        X_eval=evaluate[:, 1:].reshape(-1, 3, 32, 32),
        y_eval=evaluate[:, 0].astype(int),
        part="test" if test else "validation",
    )


def pixels(data: Bunch) -> Iterator[dict[str, Any]]:
    Z, Z_eval = (X[:, :, :16].reshape(len(X), -1) / np.float32(255) for X in (data.X, data.X_eval))
    yield {"step": 0, "i_est": "", **judged(Z, data, Z_eval)}


def main() -> None:
    arguments = arguments_of(__doc__)
    data = load(arguments.test, arguments.quick)
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
