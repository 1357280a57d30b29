"""Mutual information of contingency tables: the bias and the mean error of corrections, and the coverage of the interval.

In a table "mix d", y is a function of x with probability d, and else independent of it; "soft s" has cells exp(s z), z normal.
Margins are uniform, or fall as 1 / k ("zipf"). The columns are errors in nats, over tables drawn from the same probabilities.

    python benchmarks/table_corrections.py --repeats 200
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from common import record
from scipy.special import digamma

from skdim.information.discrete import information_of_codes
from skdim.information.discrete._chance import Table, bias_of, expected_information, plug_in_entropy

Counts = npt.NDArray[Any]

SIZES = [(2, 2, 100), (5, 5, 100), (5, 5, 500), (10, 10, 200), (10, 10, 1000), (50, 10, 500), (100, 10, 500)]
SIZES += [(1000, 2, 1000), (1000, 2, 5000), (20, 20, 200), (20, 20, 1000), (20, 20, 5000)]
ZIPF = [(200, 10, 500), (500, 500, 1000), (100, 100, 1000)]


def tables() -> Iterator[tuple[str, int, str, Counts]]:
    """Yield the name, the number of rows, the dependence and the probabilities of each table."""
    rng = np.random.default_rng(0)
    for sizes, is_zipf in ((SIZES, False), (ZIPF, True)):
        for n_x, n_y, n in sizes:
            x, y = (1 / np.arange(1, m + 1) if is_zipf else np.ones(m) for m in (n_x, n_y))
            x, y, name = x / x.sum(), y / y.sum(), f"{n_x} x {n_y}" + is_zipf * " zipf"
            for d in (0.0, 0.2, 0.5, 0.8, 1.0):
                p = (1 - d) * np.outer(x, y)
                p[np.arange(n_x), np.arange(n_x) % n_y] += d * x
                yield name, n, f"mix {d}", p
            for scale in (1.0, 3.0) if not is_zipf else ():
                p = np.exp(scale * rng.normal(size=(n_x, n_y)))
                yield name, n, f"soft {scale:.0f}", p / p.sum()


def chao_shen(counts: Counts) -> float:
    """Return the entropy of Chao & Shen, Environ. Ecol. Stat. 2003."""
    n = counts.sum()
    p = (1 - min(np.sum(counts == 1), n - 1) / n) * counts / n
    return float(-(p * np.log(p) / (1 - (1 - p) ** n)).sum())


def grassberger(counts: Counts) -> float:
    """Return the entropy of Grassberger, "Entropy estimates from insufficient samplings", 2003."""
    correction = 0.5 * (-1.0) ** counts * (digamma((counts + 1) / 2) - digamma(counts / 2))
    return float(np.log(counts.sum()) - (counts * (digamma(counts) + correction)).sum() / counts.sum())


def jackknife(counts: Counts) -> float:
    """Return the entropy of Zahl, Ecology 1977."""
    n, logs = counts.sum(), counts * np.log(counts)
    less_one = (counts - 1) * np.log(np.maximum(counts - 1, 1))
    left_out = np.log(n - 1) - (logs.sum() - logs + less_one) / (n - 1)
    return float(n * plug_in_entropy(counts) - (n - 1) / n * (counts * left_out).sum())


def of_entropies(table: Table, entropy: Callable[[Counts], float]) -> float:
    return entropy(table.x_counts) + entropy(table.y_counts) - entropy(table.counts)


def corrections(x: Counts, y: Counts) -> tuple[dict[str, float], tuple[float, float]]:
    """Return the value of each correction, at most the smaller entropy, and the interval."""
    table = Table.of(x, y)[0]
    plug_in, cap = table.plug_in, table.cap
    by_chance = expected_information(table.x_counts, table.y_counts)
    result = information_of_codes(x, y)
    values = {
        "plug-in": plug_in,
        "miller-madow": information_of_codes(x, y, "miller-madow").value,
        "less E0": plug_in - by_chance,
        "less E0, in proportion": cap * (plug_in - by_chance) / (cap - by_chance) if cap > by_chance + 1e-9 else 0.0,
        "good-turing": plug_in - bias_of(table, float(np.sum(table.counts == 1)) / len(x)) / (2 * len(x)),
        "chao-shen": of_entropies(table, chao_shen),
        "grassberger": of_entropies(table, grassberger),
        "jackknife": of_entropies(table, jackknife),
        "chance": result.value,
    }
    return {name: min(value, cap) for name, value in values.items()}, result.interval


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    repeats = parser.parse_args().repeats
    rng, all_errors = np.random.default_rng(1), []
    for name, n, dependence, p in tables():
        independent = np.outer(p.sum(1), p.sum(0))
        truth = float(np.sum(p[p > 0] * np.log(p[p > 0] / independent[p > 0])))
        errors, covered = [], []
        for _ in range(repeats):
            x, y = np.divmod(rng.choice(p.size, size=n, p=p.ravel() / p.sum()), p.shape[1])
            values, (lower, upper) = corrections(*(np.unique(side, return_inverse=True)[1] for side in (x, y)))
            errors.append([value - truth for value in values.values()])
            covered.append(lower <= truth + 1e-9 and truth - 1e-9 <= upper)
        all_errors.append(np.abs(errors).mean(0))
        case = {"table": name, "n": n, "dependence": dependence, "truth": round(truth, 4), "repeats": repeats}
        biases = {f"bias of {name}": round(bias, 4) for name, bias in zip(values, np.mean(errors, 0), strict=True)}
        of_chance = {
            "mean error of chance": round(all_errors[-1][-1], 4),
            "coverage": round(float(np.mean(covered)), 3),
        }
        record("table_corrections", case | biases | of_chance)
    of_all = np.array(all_errors)
    for name, mean, worst in zip(values, of_all.mean(0), of_all.max(0), strict=True):
        print(f"{name}: mean error {mean:.4f} over all tables, at most {worst:.3f}")


if __name__ == "__main__":
    main()
