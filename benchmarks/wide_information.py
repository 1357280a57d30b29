"""MIEstimator on wide sides: a dependence hidden among columns, labels of many columns, and images.

"hidden": few columns depend on each other among many that do not, or many do weakly; the truth is known. "mnist": pixels and
the label, and two images of one class, whose truth is at most H(label). "consistency": the self-consistency of Song &
Ermon (ICLR 2020) on MNIST. X is an image and Y its upper t rows, each with noise of its own, as large as the range of a pixel:
without it all values are infinite. Information grows with t (monotone). That of (X, X) and (Y, its upper t - 3 rows) is that
of X and Y (processing). That of two independent images side by side is twice as much (additivity).

    python benchmarks/wide_information.py --tasks hidden mnist --seeds 0 1 2
    python benchmarks/wide_information.py --tasks consistency --estimators auto infonce smile
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mutual_information import measure

from skdim.datasets import load_mnist

Sides = tuple[np.ndarray, np.ndarray]
TABLE = "wide_information"
ROWS = 4, 7, 14, 28
NOISE = 1.0


def sine(n: int, rng: np.random.Generator, d: int) -> Sides:
    """One column is a sine of one of the other side, with a cycle in every 0.7 standard deviations; d columns a side."""
    x, y = rng.standard_normal((2, n, d))
    y[:, 7] = np.sin(9 * x[:, 3]) + 0.3 * y[:, 7]
    return x, y


def signs(n: int, rng: np.random.Generator) -> Sides:
    """Three columns of 100 are each a column of the other side with a random sign, and a little noise."""
    x, y = rng.standard_normal((2, n, 100))
    for k in range(3):
        y[:, 10 + k] = rng.choice([-1, 1], n) * x[:, 20 + 3 * k] + 0.3 * y[:, 10 + k]
    return x, y


def gaussian(n: int, rng: np.random.Generator, widths: tuple[int, int], n_pairs: int, nats: float) -> Sides:
    """``n_pairs`` Gaussian pairs of columns that are worth ``nats`` together, among columns without dependence."""
    x, y = (rng.standard_normal((n, d)) for d in widths)
    rho = math.sqrt(1 - math.exp(-2 * nats / n_pairs))
    y[:, :n_pairs] = rho * x[:, :n_pairs] + math.sqrt(1 - rho**2) * y[:, :n_pairs]
    return x, y


def information_of(density: Callable[[np.ndarray, np.ndarray], np.ndarray], x: np.ndarray, grid: np.ndarray) -> float:
    """Return h(y) - h(y | x) in nats, by sums over a grid of y and values of x."""
    given = density(x[:, None], grid[None])
    step, marginal = grid[1] - grid[0], given.mean(0)

    def entropy(p: np.ndarray) -> Any:
        return -(p * np.log(np.maximum(p, 1e-300))).sum(-1) * step

    return float(entropy(marginal) - entropy(given).mean())


def normal(y: np.ndarray, mean: np.ndarray, scale: float) -> np.ndarray:
    return np.exp(-(((y - mean) / scale) ** 2) / 2) / (scale * math.sqrt(2 * math.pi))


def truths() -> tuple[float, float]:
    """Return the information of the sine, and that of the three columns of random sign."""
    x = np.random.default_rng(0).standard_normal(20_000)
    grid = np.linspace(-6, 6, 1501)
    of_sine = information_of(lambda x, y: normal(y, np.sin(9 * x), 0.3), x, grid)
    of_sign = information_of(lambda x, y: (normal(y, x, 0.3) + normal(y, -x, 0.3)) / 2, x, grid)
    return of_sine, 3 * of_sign


HIDDEN: dict[str, tuple[int, Callable[[int, np.random.Generator], Sides], Callable[[], float]]] = {
    "sine in 50 x 50": (2000, lambda n, rng: sine(n, rng, 50), lambda: truths()[0]),
    "sine in 300 x 300": (2000, lambda n, rng: sine(n, rng, 300), lambda: truths()[0]),
    "signs in 100 x 100": (2000, signs, lambda: truths()[1]),
    "2 Gaussian of 784": (2000, lambda n, rng: gaussian(n, rng, (784, 784), 2, 1.661), lambda: 1.661),
    "1 Gaussian of 39 x 300": (500, lambda n, rng: gaussian(n, rng, (39, 300), 1, 0.71), lambda: 0.71),
    "50 weak Gaussian": (5000, lambda n, rng: gaussian(n, rng, (50, 50), 50, 2.358), lambda: 2.358),
}


def of_one_class(images: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Sides:
    """Return pairs of different images of one label, (n, 784) each; no image is on both sides."""
    first, second = np.split(rng.permutation(len(images) // 2 * 2), 2)
    pairs = []
    for label in np.unique(labels):
        a, b = first[labels[first] == label], second[labels[second] == label]
        pairs.append(np.stack([a[: min(len(a), len(b))], b[: min(len(a), len(b))]]))
    a, b = np.hstack(pairs)
    mixed = rng.permutation(len(a))
    return images[a[mixed]], images[b[mixed]]


def consistency(images: np.ndarray, estimator: str, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    clean = images[rng.permutation(len(images))[: 2 * n]] / 255
    seen, noisy = (clean + NOISE * rng.standard_normal(clean.shape) for _ in range(2))
    x, other = seen[:n].reshape(n, -1), seen[n:].reshape(n, -1)

    def upper(t: int, rows: slice = slice(None)) -> np.ndarray:
        return noisy[rows, :t].reshape(n, -1)

    first, second = slice(n), slice(n, 2 * n)
    for t in ROWS:
        measure(TABLE, f"monotone, {t} rows", x, upper(t, first), estimator, seed, math.nan)
        both = np.hstack([upper(t, first), upper(t - 3, first)])
        measure(TABLE, f"processing, {t} rows", np.hstack([x, x]), both, estimator, seed, math.nan)
        sides = np.hstack([x, other]), np.hstack([upper(t, first), upper(t, second)])
        measure(TABLE, f"additivity, {t} rows", *sides, estimator, seed, math.nan)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=["hidden", "mnist", "consistency"], default=["hidden", "mnist"])
    parser.add_argument("--estimators", nargs="+", default=["auto"])
    parser.add_argument("--n", type=int, default=10_000, help="images, or pairs of them")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    n, tasks = arguments.n, arguments.tasks
    mnist = load_mnist() if {"mnist", "consistency"} & set(tasks) else None
    for seed in arguments.seeds:
        for estimator in arguments.estimators:
            for name, (n_rows, task, truth) in HIDDEN.items() if "hidden" in tasks else ():
                measure(TABLE, name, *task(n_rows, np.random.default_rng(seed)), estimator, seed, truth())
            if mnist is None:
                continue
            images, labels = mnist.X_train.astype(float), np.asarray(mnist.y_train)
            if "mnist" in tasks:
                rng = np.random.default_rng(seed)
                rows = rng.permutation(len(images))
                flat = images.reshape(len(images), -1)
                measure(TABLE, "image, label", flat[rows[:n]], labels[rows[:n]], estimator, seed, math.nan)
                pairs = rows[: 2 * n + n // 10]
                x, y = of_one_class(flat[pairs], labels[pairs], rng)
                measure(TABLE, "two images of a class", x[:n], y[:n], estimator, seed, math.nan)
            if "consistency" in tasks:
                consistency(images, estimator, n, seed)


if __name__ == "__main__":
    main()
