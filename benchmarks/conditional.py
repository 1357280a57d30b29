"""How near information given a third variable, transfer entropy and the information of series come to known values.

Each row gives the mean value over seeds, the mean absolute error, how often the interval holds the truth, how often the test
has p < 0.05, and CPU seconds of one estimate. "level" tasks test alone, by independence_test, over more seeds.

    python benchmarks/conditional.py --repeats 5 --level-repeats 300
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from common import record
from scipy.linalg import solve_discrete_lyapunov
from scipy.signal import fftconvolve, lfilter
from scipy.special import expit

from skdim import conditional_mutual_information, independence_test, mutual_information, time_blocks, transfer_entropy

Rng = np.random.Generator
Task = tuple[Callable[[int, Rng], tuple[Any, ...]], float]

RHO = 0.6
GAUSSIAN = -0.5 * math.log(1 - RHO**2)


def gaussian(rho: float) -> float:
    return -0.5 * math.log(1 - rho**2)


def pair(n: int, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    x, noise = rng.normal(size=(2, n))
    return x, RHO * x + math.sqrt(1 - RHO**2) * noise


def chain(n: int, rng: Rng) -> tuple[Any, ...]:
    x, a, b = rng.normal(size=(3, n))
    z = 0.8 * x + 0.6 * a
    return x, 0.8 * z + 0.6 * b, z


def fork(n: int, rng: Rng) -> tuple[Any, ...]:
    z, a, b = rng.normal(size=(3, n))
    return z + 0.3 * a, z + 0.3 * b, z


def collider(n: int, rng: Rng) -> tuple[Any, ...]:
    x, y, a = rng.normal(size=(3, n))
    return x, y, x + y + 0.5 * a


def curved_fork(n: int, rng: Rng) -> tuple[Any, ...]:
    z, a, b = rng.normal(size=(3, n))
    return np.sin(3 * z) + 0.3 * a, z**2 + 0.5 * b, z


def curved_dependent(n: int, rng: Rng) -> tuple[Any, ...]:
    z, (a, b) = rng.normal(size=n), pair(n, rng)
    return np.sin(3 * z) + 0.3 * a, z**2 + 0.5 * b, z


def changing_scale(n: int, rng: Rng) -> tuple[Any, ...]:
    z, (a, b) = rng.normal(size=n), pair(n, rng)
    return np.exp(0.5 * z) * a, z + np.exp(-0.5 * z) * b, z


def five(n: int, rng: Rng) -> tuple[Any, ...]:
    Z, (a, b) = rng.normal(size=(n, 5)), pair(n, rng)
    return Z.sum(1) / math.sqrt(5) + a, Z[:, 1:].sum(1) / 2 + b, Z


def five_curved(n: int, rng: Rng) -> tuple[Any, ...]:
    Z, (a, b) = rng.normal(size=(n, 5)), pair(n, rng)
    return np.sin(2 * Z[:, 0]) + Z[:, 1] * Z[:, 2] + 0.5 * a, Z[:, 0] ** 2 + Z[:, 1] + 0.5 * b, Z


def xor(n: int, rng: Rng) -> tuple[Any, ...]:
    x, z = rng.integers(0, 2, (2, n))
    return x, x ^ z ^ (rng.random(n) < 0.1), z


def signs(n: int, rng: Rng) -> tuple[Any, ...]:
    x, z, noise = rng.normal(size=(3, n))
    return x, np.sign(x * z) + 0.5 * noise, z


def strata(n: int, rng: Rng) -> tuple[Any, ...]:
    a, b = rng.normal(size=(2, n))
    z = rng.integers(0, 3, n)
    rho = np.array([0.8, -0.8, 0.0])[z]
    return a + z, rho * a + np.sqrt(1 - rho**2) * b - z, z


def labels_given_number(n: int, rng: Rng) -> tuple[Any, ...]:
    z, noise = rng.normal(size=(2, n))
    x = (rng.random(n) < expit(2 * z)).astype(int)
    return x, z + x + 0.7 * noise, z


def mixed(n: int, rng: Rng) -> tuple[Any, ...]:
    Z, (a, b) = rng.normal(size=n), pair(n, rng)
    k = rng.integers(0, 3, n)
    return Z + a, np.sin(2 * Z) + k + b, np.column_stack([Z.astype(object), np.array(["u", "v", "w"], dtype=object)[k]])


def two_normals() -> float:
    """Return I(s; s + e / 2) of a sign s in closed form but for one integral."""
    t = np.linspace(-6, 6, 20001)
    density = sum(np.exp(-2 * (t - s) ** 2) for s in (-1, 1)) / 2 / math.sqrt(math.pi / 2)
    return float(-np.trapezoid(density * np.log(density), t)) - 0.5 * math.log(2 * math.pi * math.e / 4)


def label_truth() -> float:
    """Return I(x; y | z) of ``labels_given_number`` by integration over y, and over z by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    t = np.linspace(-6, 7, 3001)
    p = expit(2 * nodes)[:, None]
    density = (p * np.exp(-((t - 1) ** 2) / 0.98) + (1 - p) * np.exp(-(t**2) / 0.98)) / math.sqrt(2 * math.pi * 0.49)
    entropies = -np.trapezoid(density * np.log(density), t, axis=1)
    return float(weights @ entropies / weights.sum()) - 0.5 * math.log(2 * math.pi * math.e * 0.49)


GIVEN: dict[str, Task] = {
    "chain": (chain, 0.0),
    "fork": (fork, 0.0),
    "collider": (collider, gaussian(0.8)),
    "xor": (xor, math.log(2) + 0.1 * math.log(0.1) + 0.9 * math.log(0.9)),
    "signs": (signs, two_normals()),
    "discrete z": (strata, 2 / 3 * gaussian(0.8)),
    "label given number": (labels_given_number, label_truth()),
    "mixed z": (mixed, GAUSSIAN),
    "curved fork": (curved_fork, 0.0),
    "curved dependent": (curved_dependent, GAUSSIAN),
    "changing scale": (changing_scale, GAUSSIAN),
    "five columns": (five, GAUSSIAN),
    "five columns, curved": (five_curved, GAUSSIAN),
}


# ------------------------------------------------------------------------------------------------------------------ series
A = np.array([[0.6, 0.0], [0.4, 0.5]])
BURN_IN, COUPLING, NOISE, SMALLEST = 500, 0.3, 1.0, 1e-12


def autoregressive(n: int, rng: Rng) -> tuple[Any, ...]:
    """x_t = 0.6 x_{t-1} + e, y_t = 0.5 y_{t-1} + 0.4 x_{t-1} + f."""
    e = rng.normal(size=(n + BURN_IN, 2))
    x = lfilter([1], [1, -A[0, 0]], e[:, 0])
    y = lfilter([1], [1, -A[1, 1]], e[:, 1] + A[1, 0] * np.append(0, x[:-1]))
    return x[BURN_IN:], y[BURN_IN:]


def autoregressive_truth() -> float:
    """Return log(1 + 0.4^2 Var(x | y)) / 2, from the stationary covariance."""
    S = solve_discrete_lyapunov(A, np.eye(2))
    return 0.5 * math.log(1 + A[1, 0] ** 2 * (S[0, 0] - S[0, 1] ** 2 / S[1, 1]))


def maps(n: int, rng: Rng) -> tuple[Any, ...]:
    """Two maps f(u) = 4 u (1 - u), of which x drives y, with normal noise of their logits."""
    e = NOISE * rng.normal(size=(n + BURN_IN, 2))
    x, y = np.full((2, n + BURN_IN), 0.3)
    for t in range(1, n + BURN_IN):
        x[t], y[t] = (expit(centre + noise) for centre, noise in zip(logits(x[t - 1], y[t - 1]), e[t], strict=True))
    return x[BURN_IN:], y[BURN_IN:]


def logits(x: Any, y: Any) -> tuple[Any, Any]:
    """Return the logits of f(x) and of f of the coupled state."""
    mean = (1 - COUPLING) * y + COUPLING * x
    return tuple(np.log(4 * u * (1 - u)) - np.log((1 - 2 * u) ** 2 + SMALLEST) for u in (x, mean))


def maps_truth(n_chains: int = 20_000, n_steps: int = 500, n_bins: int = 1000) -> float:
    """Return h(logit y_t | y_{t-1}) - h(noise): centres in bins of y_{t-1} from 1e7 steps, smoothed by the noise."""
    rng = np.random.default_rng(0)
    x, y = rng.random((2, n_chains))
    low, high = -20.0, 30.0
    counts = np.zeros((n_bins, n_bins))
    for step in range(n_steps + 50):
        of_x, of_y = logits(x, y)
        if step >= 50:
            rows = np.minimum((y * n_bins).astype(int), n_bins - 1)
            columns = np.clip((of_y - low) / (high - low) * n_bins, 0, n_bins - 1).astype(int)
            counts += np.bincount(rows * n_bins + columns, minlength=n_bins**2).reshape(n_bins, n_bins)
        x, y = (expit(centre + NOISE * rng.normal(size=n_chains)) for centre in (of_x, of_y))
    width = (high - low) / n_bins
    kernel = np.exp(-0.5 * (np.arange(-200, 201) * width / NOISE) ** 2)
    kernel /= kernel.sum() * width
    shares = counts[counts.sum(1) > 0]
    density = fftconvolve(shares / shares.sum(1, keepdims=True), kernel[None], axes=1)
    entropies = -(density * np.log(np.maximum(density, 1e-300))).sum(1) * width
    return float(entropies @ shares.sum(1) / shares.sum()) - 0.5 * math.log(2 * math.pi * math.e * NOISE**2)


def transfer(sample: Callable[[int, Rng], tuple[Any, ...]], backwards: bool = False) -> Callable[..., Any]:
    def estimate(n: int, rng: Rng, seed: int) -> Any:
        series = sample(n, rng)
        return transfer_entropy(*(series[::-1] if backwards else series), random_state=seed)

    return estimate


def slow(n: int, rng: Rng, seed: int) -> Any:
    """Return the information of two independent autoregressive series with coefficient 0.98, by blocks."""
    x, y = lfilter([1], [1, -0.98], rng.normal(size=(2, n + BURN_IN)))[:, BURN_IN:]
    return mutual_information(x, y, groups=time_blocks(np.column_stack([x, y])), random_state=seed)


def given(sample: Callable[[int, Rng], tuple[Any, ...]]) -> Callable[..., Any]:
    return lambda n, rng, seed: conditional_mutual_information(*sample(n, rng), random_state=seed)


def measure(task: str, n: int, estimate: Callable[..., Any], truth: float, repeats: int) -> None:
    start = time.process_time()
    results = [estimate(n, np.random.default_rng([n, seed]), seed) for seed in range(repeats)]
    seconds = (time.process_time() - start) / repeats
    values = np.array([result.value for result in results])
    holds = [result.interval[0] <= truth <= result.interval[1] for result in results]
    row = {"task": task, "n": n, "repeats": repeats, "truth": round(truth, 4), "value": round(values.mean(), 4)}
    row |= {"error": round(float(np.abs(values - truth).mean()), 4), "holds": np.mean(holds)}
    record(
        "conditional",
        row | {"rejects": np.mean([r.p_value < 0.05 for r in results]).round(3), "seconds": round(seconds, 1)},
    )


def level(task: str, n: int, test: Callable[..., float], repeats: int) -> None:
    start = time.process_time()
    p_values = np.array([test(n, np.random.default_rng([n, seed]), seed) for seed in range(repeats)])
    row = {"task": task, "n": n, "repeats": repeats, "truth": 0.0, "value": "", "error": "", "holds": ""}
    seconds = (time.process_time() - start) / repeats
    record("conditional", row | {"rejects": (p_values < 0.05).mean().round(3), "seconds": round(seconds, 2)})


def test_given(sample: Callable[[int, Rng], tuple[Any, ...]]) -> Callable[..., float]:
    return lambda n, rng, seed: independence_test(*sample(n, rng), n_permutations=199, random_state=seed).p_value


def test_backwards(sample: Callable[[int, Rng], tuple[Any, ...]]) -> Callable[..., float]:
    def test(n: int, rng: Rng, seed: int) -> float:
        source, target = sample(n, rng)
        block_size = int((time_blocks(np.column_stack([target, source])) == 0).sum())
        # From y to x, as transfer_entropy asks it.
        return independence_test(
            target[:-1], source[1:], source[:-1], block_size=block_size, n_permutations=199, random_state=seed
        ).p_value

    return test


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--level-repeats", type=int, default=300)
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--only", nargs="*", default=None, help="tasks to run")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")

    def is_asked(task: str) -> bool:
        return arguments.only is None or task in arguments.only

    for task, (sample, truth) in GIVEN.items():
        if is_asked(task):
            measure(task, arguments.n, given(sample), truth, arguments.repeats)
    series = {
        "AR(1), forwards": (transfer(autoregressive), autoregressive_truth),
        "AR(1), backwards": (transfer(autoregressive, True), lambda: 0.0),
        "logistic maps, forwards": (transfer(maps), maps_truth),
        "logistic maps, backwards": (transfer(maps, True), lambda: 0.0),
        "independent AR(0.98)": (slow, lambda: 0.0),
    }
    for task, (estimate, truth_of) in series.items():
        if is_asked(task):
            n = 2000 if estimate is slow else arguments.n * (2 if "logistic" in task else 1)
            measure(task, n, estimate, truth_of(), arguments.repeats)
    levels = {
        **{f"level: {task}": test_given(GIVEN[task][0]) for task in ("chain", "fork", "curved fork")},
        "level: AR(1), backwards": test_backwards(autoregressive),
        "level: logistic maps, backwards": test_backwards(maps),
    }
    for task, test in levels.items():
        if is_asked(task):
            level(task, min(arguments.n, 2000), test, arguments.level_repeats)


if __name__ == "__main__":
    main()
