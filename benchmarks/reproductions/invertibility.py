"""Encoders that may lose invertibility, and do (Tschannen et al. 2020, Section 3.2), with the directions that they lose.

A residual network starts as the identity and is trained by InfoNCE or NWJ under a bilinear critic. One noise vector, of
standard deviation 0.05, is added to both halves of an example, so that a network which drops a direction does not maximise the
mutual information. The condition number of the top encoder's Jacobian, log(sigma_1 / sigma_392), is taken at 128 inputs.

Why it grows is an open question. Beside it stands the Jacobian's gain |J v|, a geometric mean over inputs and unit directions
v: principal directions of the clean halves in which the digits vary less than the noise, and those in which they vary more;
and directions that the two halves share most and least, the patterns of the first and the last quarter of canonical
correlations.

    python benchmarks/reproductions/invertibility.py --test
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
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
)
from sklearn.utils import Bunch
from torch import Tensor

from skdim.evaluation import condition_number
from skdim.nn.invertible import ResidualMLP

AS_THEIRS = (
    "four hidden layers as wide as the input, Adam at 1e-4, batches of 128, one noise of deviation 0.05 in both halves"
)
OTHER = (
    *STANDARDISED,
    "5,000 steps rather than 21,000, five seeds rather than 20.",
)
NOISE_SD, N_INPUTS = 0.05, 128
PERCENTILES = {"min": 0, "p20": 20, "p40": 40, "median": 50, "p60": 60, "p80": 80, "max": 100}
#: Principal directions of each half between which canonical correlations are taken.
CANONICAL_DIRECTIONS = 48
AT = [0, 250, 500, 1_000, 2_000, 3_500, 5_000]
QUICK_AT = [0, 60]


def noisy(X: Any, rng: np.random.Generator) -> Any:
    """Return images from 0 to 255 with one noise vector added to both halves of each."""
    noise = 255 * NOISE_SD * rng.standard_normal((len(X), WIDTH), dtype=np.float32).reshape(-1, 14, 28)
    return X + np.concatenate([noise, noise], axis=1)


def directions(X: Any) -> dict[str, Tensor]:
    """Return unit vectors of the top half, in columns, by name, of images from 0 to 255."""
    upper, lower = (np.asarray(half.reshape(len(X), -1), dtype=np.float64) / 255 for half in (X[:, :14], X[:, 14:]))
    upper, lower = upper - upper.mean(0), lower - lower.mean(0)
    variances, axes = np.linalg.eigh(upper.T @ upper / len(upper))
    (whitened, scale, basis), (other, _, _) = (_whitened(half) for half in (upper, lower))
    shared = basis @ (
        scale[:, None] * np.linalg.svd(whitened.T @ other)[0]
    )  # what a canonical variate adds to the pixels
    shared /= np.linalg.norm(shared, axis=0)
    quarter = CANONICAL_DIRECTIONS // 4
    named = {
        "noise": axes[:, variances < NOISE_SD**2],
        "signal": axes[:, variances >= NOISE_SD**2],
        "shared": shared[:, :quarter],
        "unshared": shared[:, -quarter:],
    }
    return {name: torch.from_numpy(vectors).float() for name, vectors in named.items()}


def _whitened(half: Any) -> tuple[Any, Any, Any]:
    """Return the first principal components with variance 1, their scales, and their directions in columns."""
    variances, axes = np.linalg.eigh(half.T @ half / len(half))
    scale, basis = np.sqrt(variances[-CANONICAL_DIRECTIONS:]), axes[:, -CANONICAL_DIRECTIONS:]
    return half @ basis / scale, scale, basis


def spectrum(dim: Any, X: Any, named: dict[str, Tensor]) -> dict[str, float]:
    """Return percentiles of the condition number, and the mean gain in each group of directions."""
    network = dim.encoder_.encoders[0].network.cpu()
    upper = dim.standardized(X[:N_INPUTS])[:, :WIDTH]
    conditions = condition_number(network, upper).values
    row = {f"condition_{name}": round(float(np.percentile(conditions, q)), 3) for name, q in PERCENTILES.items()}
    for name, vectors in named.items():
        # J v for all inputs and directions, by forward differentiation
        gains = torch.func.vmap(
            lambda v: torch.func.jvp(network, (upper,), (v.expand_as(upper),))[1].norm(dim=1), chunk_size=32
        )(vectors.T)
        row[f"gain_{name}"] = round(gains.log().mean().exp().item(), 4)
    return row


def rows(estimator: str, at: list[int], seed: int, data: Bunch) -> Iterator[dict[str, Any]]:
    dim = halves_transformer(seed, estimator=estimator, encoder=ResidualMLP(), n_components=WIDTH)
    rng, fixed = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
    X, X_eval = noisy(data.X, fixed), noisy(data.X_eval, fixed)
    judged_on = Bunch(X=X, y=data.y, X_eval=X_eval, y_eval=data.y_eval)
    named = directions(data.X)
    for step in over_steps(dim, data.X, at, seed, lambda X: noisy(X, rng)):
        yield {"step": step, **judge(dim, judged_on), **spectrum(dim, X_eval, named)}


def main() -> None:
    arguments = arguments_of(__doc__)
    data = images("mnist", arguments)
    table, at = Table("invertibility", arguments), QUICK_AT if arguments.quick else AT
    for seed in arguments.seeds:
        for estimator in ["infonce", "nwj"]:
            settings = {"estimator": estimator, "steps": at[-1], "seed": seed, "part": data.part, "rows": len(data.X)}
            table.run(settings, lambda e=estimator, s=seed: rows(e, at, s, data))


if __name__ == "__main__":
    main()
