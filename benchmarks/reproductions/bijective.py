"""Bijective encoders: accuracy rises while the mutual information stays what it is (Tschannen et al. 2020, Section 3.1).

Both halves of a digit pass through couplings of their own, trained by InfoNCE or NWJ under a bilinear critic. The encoders are
bijective and preserve volume, so I(g1(X1); g2(X2)) = I(X1; X2) at every step; each row holds how far the encoder's inverse is
from the pixels, and |log |det J|| at a sample, beside what changes.

    python benchmarks/reproductions/bijective.py --test
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from protocol import (
    STANDARDISED,
    WIDTH,
    Table,
    arguments_of,
    halves_transformer,
    images,
    judge,
    over_steps,
    raw_pixels,
)
from sklearn.utils import Bunch

from skdim.nn.invertible import Couplings

AS_THEIRS = "networks of 512-512 in each coupling, weights next to zero, Adam at 1e-4, batches of 128"
OTHER = (
    *STANDARDISED,
    "Ten couplings rather than 30, 3,000 steps rather than 21,000, three seeds rather than 20; ``--full`` is one run of 30 "
    "couplings and 20,000 steps.",
)
AT = [0, 250, 500, 1_000, 2_000, 3_000]
FULL_AT = [0, 1_000, 2_000, 5_000, 10_000, 20_000]
QUICK_AT = [0, 50]


def bijectivity(dim: Any, X: Any) -> dict[str, str]:
    """Return how far inverted codes are from the standardised pixels, and |log |det J|| at the first image, for both halves."""
    halves = dim.standardized(X).split(WIDTH, dim=1)
    errors, log_dets = [], []
    for encoder, pixels in zip(dim.encoder_.encoders, halves, strict=True):
        network = copy.deepcopy(encoder.network).cpu()
        with torch.no_grad():
            errors.append((network.inverse(network(pixels)) - pixels).abs().max().item())
        network.double()  # so that rounding does not show in the determinant
        jacobian = torch.func.jacrev(lambda x, network=network: network(x[None])[0])(pixels[0].double())
        log_dets.append(torch.linalg.slogdet(jacobian).logabsdet.abs().item())
    return {"inverse_error": f"{max(errors):.2g}", "log_det": f"{max(log_dets):.2g}"}


def rows(estimator: str, n_couplings: int, at: list[int], seed: int, data: Bunch) -> Iterator[dict[str, Any]]:
    dim = halves_transformer(seed, estimator=estimator, encoder=Couplings(n_couplings), n_components=WIDTH)
    for step in over_steps(dim, data.X, at, seed):
        yield {"step": step, **judge(dim, data), **bijectivity(dim, data.X_eval[:256])}


def main() -> None:
    full = "one seed of InfoNCE in the paper's size: 30 couplings, 20,000 steps; hours"
    arguments = arguments_of(__doc__, n_seeds=3, full=full)
    data = images("mnist", arguments)
    table = Table("bijective", arguments)
    n_couplings, at = (30, FULL_AT) if arguments.full else (10, QUICK_AT if arguments.quick else AT)
    raw_pixels(Table("pixels", arguments), data)
    for seed in arguments.seeds[:1] if arguments.full else arguments.seeds:
        for estimator in ["infonce"] if arguments.full else ["infonce", "nwj"]:
            settings = {"estimator": estimator, "couplings": n_couplings, "steps": at[-1], "seed": seed}
            settings |= {"part": data.part, "rows": len(data.X)}
            table.run(settings, lambda e=estimator, s=seed: rows(e, n_couplings, at, s, data))


if __name__ == "__main__":
    main()
