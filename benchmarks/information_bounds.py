"""Bounds of I(X; Y) by a known conditional, against the truth: TNCE and L1Out of batches, and the rate with a fitted density.

The code y = mean(x) + sigma e has 64 components and a density p(y) in closed form. Sigma is chosen such that the information,
the mean of log p(y | x) - log p(y) over many rows, is 2, 10, 50 or 200 nats. The means are normal with a full covariance; of
ten clusters; normal with one of three scales for all components of a row; or independent, uniform or of two modes, which no
mixture of a few normal distributions is near.

    python benchmarks/information_bounds.py --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from common import read, record
from scipy.optimize import brentq
from scipy.special import log_ndtr, logsumexp
from scipy.stats import norm

from skdim.bounds import l1out, rate, tnce
from skdim.information.density import Density
from skdim.nn.objectives import Gaussian

TABLE = "information_bounds"
Array = npt.NDArray[np.float64]
D, BATCH, ROWS_OF_TRUTH = 64, 128, 8192
FIXED = np.random.default_rng(5)
MIXING = FIXED.normal(size=(D, D)) / np.sqrt(D) * np.linspace(0.3, 2.0, D)
CENTRES = FIXED.normal(size=(10, D))
SCALES = np.array([0.5, 1.0, 2.0])
EDGE = np.sqrt(3.0)


class Shape(NamedTuple):
    """How the means are distributed."""

    means: Callable[[np.random.Generator, int], Array]
    log_density: Callable[[Array, float], Array]  # of y, at a sigma


def log_normal(y: Array, covariance: Array) -> Array:
    """Return the log density of a normal vector about 0."""
    factor = np.linalg.cholesky(covariance)
    white = np.linalg.solve(factor, y.T)
    return -0.5 * (np.square(white).sum(0) + D * np.log(2 * np.pi)) - np.log(np.diag(factor)).sum()


def mixing(rng: np.random.Generator, n: int) -> Array:
    return rng.normal(size=(n, D)) @ MIXING


def covariance(sigma: float) -> Array:
    return MIXING.T @ MIXING + sigma**2 * np.eye(D)


def log_uniform(y: Array, sigma: float) -> Array:
    """Return the log density of a uniform variable with normal noise, from the nearer end, where it does not cancel."""
    near, far = (EDGE - np.abs(y)) / sigma, (-EDGE - np.abs(y)) / sigma
    high, low = log_ndtr(near), log_ndtr(far)
    return (high + np.log1p(-np.exp(low - high)) - np.log(2 * EDGE)).sum(1)


SHAPES = {
    "normal": Shape(mixing, lambda y, sigma: log_normal(y, covariance(sigma))),
    "clusters": Shape(
        lambda rng, n: CENTRES[rng.integers(10, size=n)] + mixing(rng, n),
        lambda y, sigma: logsumexp([log_normal(y - centre, covariance(sigma)) for centre in CENTRES], 0) - np.log(10),
    ),
    "scales": Shape(
        lambda rng, n: rng.choice(SCALES, (n, 1)) * rng.normal(size=(n, D)),
        lambda y, sigma: logsumexp([norm.logpdf(y, 0, np.hypot(s, sigma)).sum(1) for s in SCALES], 0) - np.log(3),
    ),
    "uniform": Shape(lambda rng, n: rng.uniform(-EDGE, EDGE, (n, D)), log_uniform),
    "two modes": Shape(
        lambda rng, n: rng.choice([-1.0, 1.0], (n, D)) + 0.2 * rng.normal(size=(n, D)),
        lambda y, sigma: (
            logsumexp([norm.logpdf(y, side, np.hypot(0.2, sigma)) for side in (-1, 1)], 0) - np.log(2)
        ).sum(1),
    ),
}


def draw(shape: Shape, sigma: float, n: int, seed: int) -> tuple[Array, Array, Array]:
    """Return means, codes and log p(y | x) of n rows."""
    rng = np.random.default_rng([seed, n])
    means = shape.means(rng, n)
    y = means + sigma * rng.normal(size=means.shape)
    return means, y, norm.logpdf(y, means, sigma).sum(1)


def information(shape: Shape, sigma: float) -> Array:
    """Return log p(y | x) - log p(y) of many rows, the same for each sigma."""
    _, y, log_p = draw(shape, sigma, ROWS_OF_TRUTH, 99)
    return log_p - shape.log_density(y, sigma)


def sigma_for(shape: Shape, nats: float) -> float:
    """Return the noise at which the information is so many nats."""
    return float(np.exp(brentq(lambda log: information(shape, np.exp(log)).mean() - nats, -5, 3, xtol=1e-3)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truths", type=float, nargs="+", default=[2, 10, 50, 200])
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument(
        "--rows", type=int, default=4096, help="that the density is learned from, and as many that judge it"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    done = {(row["means"], float(row["nats"]), int(row["seed"])) for row in read(TABLE)}
    for name in arguments.shapes:
        shape = SHAPES[name]
        for nats in arguments.truths:
            missing = [seed for seed in arguments.seeds if (name, nats, seed) not in done]
            if not missing:
                continue
            sigma = sigma_for(shape, nats)
            truth = information(shape, sigma)
            for seed in missing:
                record(TABLE, measured(shape, name, nats, sigma, truth, arguments.rows, seed))


def measured(shape: Shape, name: str, nats: float, sigma: float, truth: Array, rows: int, seed: int) -> dict[str, Any]:
    """Return a row of the table."""
    cpu = time.process_time()
    learned = draw(shape, sigma, rows, 2 * seed)[1]
    q = Density.learn(learned[rows // 4 :], learned[: rows // 4], seed)
    means, y, log_p = draw(shape, sigma, rows, 2 * seed + 1)
    log_q = q.log_density(y)
    cpu = time.process_time() - cpu
    lower, upper = [], []
    log_variance = torch.full((BATCH, D), 2 * np.log(sigma), dtype=torch.float64)
    for batch in np.array_split(np.arange(rows), rows // BATCH):
        scores = Gaussian(torch.from_numpy(means[batch]), log_variance).log_density(torch.from_numpy(y[batch]))
        lower.append(tnce(scores).item())
        upper.append(l1out(scores).item())
    of_rate = rate(torch.from_numpy(log_p), torch.from_numpy(log_q)).item()
    return {
        "means": name,
        "n_components": D,
        "nats": nats,
        "seed": seed,
        "rows": rows,
        "batch": BATCH,
        "sigma": round(sigma, 4),
        "truth": round(truth.mean(), 2),
        "truth_error": round(truth.std() / np.sqrt(len(truth)), 3),
        "tnce": round(np.mean(lower), 2),
        "l1out": round(np.mean(upper), 2),
        "rate": round(of_rate, 2),
        "rate_error": round((log_p - log_q).std() / np.sqrt(rows), 3),
        "density": f"{q.mixture.covariance_type} {q.mixture.n_components}" + (" of scores" if q.columns else ""),
        "density_cpu_s": round(cpu, 1),
    }


if __name__ == "__main__":
    main()
