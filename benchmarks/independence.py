"""How often independence_test rejects at level 0.05, under independence and under alternatives, beside four other tests.

Distance correlation and HSIC (Gaussian kernel, median distance) are permuted n x n matrices, up to 500 rows. "pearson" is the
t-test of the correlation, of least-squares residuals given Z; "g_test" has the chi-square tail.

    python benchmarks/independence.py --repeats 200 --power-repeats 100
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from common import record
from scipy.signal import lfilter
from scipy.spatial.distance import cdist
from scipy.stats import chi2_contingency, pearsonr

from skdim import independence_test

N_PERMUTATIONS, LEVEL = 199, 0.05
MOST_ROWS_OF_PEERS, MOST_REPEATS_OF_PEERS = 500, 100
Sides = tuple[np.ndarray, ...]
Task = Callable[[int, np.random.Generator], Sides]


def labels(a: int, b: int) -> Task:
    return lambda n, rng: (rng.integers(0, a, n), rng.integers(0, b, n))


def columns(a: int, b: int, x: str = "standard_normal", y: str = "standard_normal", **shape: float) -> Task:
    return lambda n, rng: (getattr(rng, x)(size=(n, a), **shape), getattr(rng, y)(size=(n, b), **shape))


def of_normal(f: Callable[[np.ndarray, np.ndarray], np.ndarray], d: int = 1) -> Task:
    def sample(n: int, rng: np.random.Generator) -> Sides:
        x = rng.standard_normal((n, d))
        return x, f(x, rng.standard_normal((n, d if d == 5 else 1)))

    return sample


def of_uniform(f: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Task:
    def sample(n: int, rng: np.random.Generator) -> Sides:
        x = rng.random((n, 1))
        return x, f(x, rng.standard_normal((n, 1)))

    return sample


def circle(n: int, rng: np.random.Generator) -> Sides:
    angle = rng.random(n) * 2 * np.pi
    return tuple(f(angle)[:, None] + 0.3 * rng.standard_normal((n, 1)) for f in (np.cos, np.sin))


def checkerboard(n: int, rng: np.random.Generator) -> Sides:
    column = rng.integers(0, 4, (n, 1))
    row = 2 * rng.integers(0, 2, (n, 1)) + column % 2
    return column + rng.random((n, 1)), row + rng.random((n, 1))


def mixed(n: int, rng: np.random.Generator) -> Sides:
    return np.column_stack([rng.standard_normal(n), rng.integers(0, 3, n)]), rng.standard_normal((n, 2))


def sparse(a: int, b: int) -> Task:
    def sample(n: int, rng: np.random.Generator) -> Sides:
        x, y = rng.standard_normal((n, a)), rng.standard_normal((n, b))
        y[:, 7] = np.sin(3 * x[:, 3]) + 0.7 * y[:, 7]
        return x, y

    return sample


def spread(n: int, rng: np.random.Generator) -> Sides:
    label = rng.integers(0, 2, n)
    return label, (1 + 0.7 * label[:, None]) * rng.standard_normal((n, 1))


def dependent_table(n: int, rng: np.random.Generator) -> Sides:
    x = rng.integers(0, 3, n)
    return x, np.where(rng.random(n) < 0.3, x, rng.integers(0, 3, n))


def autoregressive(phi: float) -> Task:
    return lambda n, rng: tuple(lfilter([1], [1, -phi], rng.standard_normal((2, n + 500)))[:, 500:, None])


def given(f: Callable[..., Sides], d: int = 1, k: int = 0) -> Task:
    """Return a task of x, y and z from f(z, noise of x, noise of y): z is normal (n, d), or one of k labels."""

    def sample(n: int, rng: np.random.Generator) -> Sides:
        z = rng.integers(0, k, n) if k else rng.standard_normal((n, d))
        sides = f(z if k else z if d > 1 else z[:, 0], rng.standard_normal(n), rng.standard_normal(n))
        return (
            *(side if side.dtype.kind == "i" else side[:, None] for side in sides[:2]),
            *sides[2:],
            *[z][len(sides) - 2 :],
        )

    return sample


def heavy(n: int, rng: np.random.Generator) -> Sides:
    z = rng.standard_t(2, (n, 1))
    return z + rng.standard_cauchy((n, 1)), z + rng.standard_t(2, (n, 1)), z


def jump(n: int, rng: np.random.Generator) -> Sides:
    age = rng.integers(18, 90, n).astype(float)
    x, y = 4 * (age >= 65) + rng.standard_normal((2, n))
    return x[:, None], y[:, None], age


def two_labels(n: int, rng: np.random.Generator) -> Sides:
    z = rng.integers(0, 20, (n, 2))
    effects = np.random.default_rng(0).standard_normal((2, 20))
    x, y = effects[0, z[:, 0]] + effects[1, z[:, 1]] + 0.2 * rng.standard_normal((2, n))
    return x[:, None], y[:, None], z.astype(str).astype(object)


def several(n: int, rng: np.random.Generator) -> Sides:
    z = rng.standard_normal((n, 2))
    sides = [z @ rng.standard_normal((2, d)) + rng.standard_normal((n, d)) for d in (3, 2)]
    return *sides, np.column_stack([z, rng.integers(0, 2, n)])


def binary(values: np.ndarray) -> np.ndarray:
    return (values > 0).astype(int)


#: Name: rows, task, and options of the test.
NULL: dict[str, tuple[tuple[int, ...], Task, dict[str, int]]] = {
    "table 2x2": ((20, 500), labels(2, 2), {}),
    "table 3x3": ((100,), labels(3, 3), {}),
    "table 5x10": ((2000,), labels(5, 10), {}),
    "normal": ((30, 300, 2000), columns(1, 1), {}),
    "3 x 2 columns": ((30, 300, 2000), columns(3, 2), {}),
    "Cauchy 2 x 1": ((200,), columns(2, 1, "standard_cauchy", "standard_cauchy"), {}),
    "Student 1 x 5": ((300,), columns(1, 5, "standard_t", "standard_t", df=2), {}),
    "mixed columns": ((200,), mixed, {}),
    "label": ((60, 500), lambda n, rng: (rng.integers(0, 4, n), rng.standard_normal((n, 1))), {}),
    "rounded": ((100,), lambda n, rng: tuple(rng.standard_normal((2, n, 1)).round()), {}),
    "30 x 40 columns": ((500,), columns(30, 40), {}),
    "AR 0.98, block 200": ((2000,), autoregressive(0.98), {"block_size": 200}),
    "AR 0.9, block 50": ((500,), autoregressive(0.9), {"block_size": 50}),
    "fork | z": ((300, 1000, 5000), given(lambda z, a, b: (z + a, z + b)), {}),
    "chain | z": ((300, 1000, 5000), given(lambda z, a, b: (0.8 * z + 0.6 * a, 0.8 * z + 0.6 * b)), {}),
    "sine | z": ((300, 1000), given(lambda z, a, b: (np.sin(3 * z) + 0.3 * a, np.sin(3 * z) + 0.3 * b)), {}),
    "scale | z": ((300, 1000), given(lambda z, a, b: (np.exp(z) * a, np.exp(z) * b)), {}),
    "heavy tails | z": ((300, 1000), heavy, {}),
    "jump | z": ((300, 1000, 5000), jump, {}),
    "two labels of 20 | z": ((300, 1000, 5000), two_labels, {}),
    "discrete z": ((300,), given(lambda z, a, b: (z + a, z**2 + b), k=4), {}),
    "tables | z": ((300,), given(lambda z, a, b: ((z + binary(a)) % 3, z + binary(b)), k=3), {}),
    "label | z": ((300, 1000), given(lambda z, a, b: (binary(z + a), z + b)), {}),
    "several, mixed z": ((300, 1000), several, {}),
    "five z, additive": (
        (300, 1000),
        given(
            lambda z, a, b: (
                np.sin(2 * z[:, 0]) + z[:, 1] ** 2 + 0.7 * a,
                np.sin(2 * z[:, 0]) + abs(z[:, 1]) + z[:, 4] + 0.7 * b,
            ),
            d=5,
        ),
        {},
    ),
    "five z, products": (
        (300, 1000),
        given(
            lambda z, a, b: (
                np.sin(2 * z[:, 0]) + z[:, 1] * z[:, 2] + z[:, 3] + 0.7 * a,
                np.tanh(2 * z[:, 0]) + z[:, 1] * z[:, 2] + z[:, 4] ** 2 + 0.7 * b,
            ),
            d=5,
        ),
        {},
    ),
}
DEPENDENT: dict[str, tuple[tuple[int, ...], Task, dict[str, int]]] = {
    "linear 0.15": ((300,), of_normal(lambda x, e: 0.15 * x + e), {}),
    "square": ((100,), of_normal(lambda x, e: x**2 + 2 * e), {}),
    "sine, 2 cycles": ((100,), of_uniform(lambda x, e: np.sin(4 * np.pi * x) + e), {}),
    "sine, 5 cycles": ((200,), of_uniform(lambda x, e: np.sin(10 * np.pi * x) + e), {}),
    "circle": ((200,), circle, {}),
    "checkerboard": ((100,), checkerboard, {}),
    "heteroscedastic": ((100,), of_normal(lambda x, e: x * e), {}),
    "sine of the sum of 3": ((300,), of_normal(lambda x, e: np.sin(x.sum(1, keepdims=True)) + e, 3), {}),
    "product of 2 of 3": ((200,), of_normal(lambda x, e: x[:, :1] * x[:, 1:2] + e, 3), {}),
    "5 x 5 Gaussian": ((200,), of_normal(lambda x, e: 0.2 * x + e, 5), {}),
    "label, variance": ((150,), spread, {}),
    "copy in a table 3x3": ((100,), dependent_table, {}),
    "1 pair of 50 x 50": ((2000,), sparse(50, 50), {}),
    "1 pair of 39 x 300": ((2000,), sparse(39, 300), {}),
    "collider | z": ((200,), given(lambda z, a, b: (a, b, (a + b + z)[:, None])), {}),
    "xor | z": (
        (200,),
        given(lambda z, a, b: (binary(a), np.where(abs(b) < 1, binary(a) ^ z, 1 - binary(a) ^ z)), k=2),
        {},
    ),
    "y = xz | z": ((200,), given(lambda z, a, b: (a, a * z + b)), {}),
    "sign of z | z": ((200,), given(lambda z, a, b: (a, (z - 0.5) * a + b), k=2), {}),
    "linear | five z": ((200,), given(lambda z, a, b: (z[:, 0] + a, 0.3 * a + z[:, 1] ** 2 + b), d=5), {}),
}


def permuted(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> bool:
    a, b = (np.float32(side - side.mean(0) - side.mean(1)[:, None] + side.mean()) for side in (a, b))
    orders = [np.arange(len(a)), *(rng.permutation(len(a)) for _ in range(N_PERMUTATIONS))]
    values = [np.vdot(a, b.take(order, 0).take(order, 1)) for order in orders]
    return bool(np.mean(values >= values[0]) <= LEVEL)


def others(sides: Sides, rng: np.random.Generator) -> dict[str, bool]:
    """Return what the other tests reject, by name, as far as they apply."""
    rejects: dict[str, bool] = {}
    x, y = (side.reshape(len(side), -1).astype(float) for side in sides[:2])
    if x.shape[1] == y.shape[1] == 1:
        columns = [side.reshape(len(x), -1) for side in sides[2:]]
        codes = [
            np.unique(side, return_inverse=True)[1].reshape(side.shape) for side in columns if side.dtype == object
        ]
        z = np.column_stack([np.ones(len(x)), *[side for side in columns if side.dtype != object], *codes])
        left = [side - z @ np.linalg.lstsq(z, side, rcond=None)[0] for side in (x, y)]
        rejects["pearson"] = bool(pearsonr(left[0][:, 0], left[1][:, 0]).pvalue <= LEVEL)
    if len(sides) > 2:
        return rejects
    if sides[0].ndim == sides[1].ndim == 1:
        table = np.histogram2d(*sides, bins=[int(side.max()) + 1 for side in sides])[0]
        table = table[table.any(1)][:, table.any(0)]
        rejects["g_test"] = bool(chi2_contingency(table, False, "log-likelihood").pvalue <= LEVEL)
    elif len(x) <= MOST_ROWS_OF_PEERS:
        distances = [cdist(side, side) for side in (x, y)]
        rejects["distance_correlation"] = permuted(*distances, rng)
        kernels = [np.exp(-((d / np.median(d[d > 0])) ** 2) / 2) for d in distances]
        rejects["hsic"] = permuted(*kernels, rng)
    return rejects


def run(name: str, n: int, task: Task, options: dict[str, int], truth: str, n_repeats: int) -> None:
    rejects, peers, seconds = [], [], 0.0
    for repeat in range(n_repeats):
        rng = np.random.default_rng(repeat)
        sides = task(n, rng)
        start = time.perf_counter()
        result = independence_test(*sides, n_permutations=N_PERMUTATIONS, random_state=repeat, **options)
        seconds += time.perf_counter() - start
        rejects.append(result.p_value <= LEVEL)
        if repeat < MOST_REPEATS_OF_PEERS:
            peers.append(others(sides, rng))
    names = ("distance_correlation", "hsic", "pearson", "g_test")
    rates = {peer: round(float(np.mean([row[peer] for row in peers])), 3) if peer in peers[0] else "" for peer in names}
    record(
        "independence",
        {
            "task": name,
            "n": n,
            "truth": truth,
            "repeats": n_repeats,
            "repeats_of_others": len(peers),
            "permutations": N_PERMUTATIONS,
            "independence_test": round(float(np.mean(rejects)), 3),
            **rates,
            "seconds": round(seconds / n_repeats, 4),
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200, help="of tasks that are independent")
    parser.add_argument("--power-repeats", type=int, default=100, help="of tasks that are dependent")
    parser.add_argument("--tasks", nargs="+", default=[*NULL, *DEPENDENT])
    arguments = parser.parse_args()
    for truth, tasks, n_repeats in (
        ("independent", NULL, arguments.repeats),
        ("dependent", DEPENDENT, arguments.power_repeats),
    ):
        for name, (sizes, task, options) in tasks.items():
            for n in sizes if name in arguments.tasks else ():
                run(name, n, task, options, truth, n_repeats)


if __name__ == "__main__":
    main()
