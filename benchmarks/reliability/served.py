"""Serve fitted estimators from threads, fork them, refit them meanwhile, fit beside threads that draw, and count what grows.

    python benchmarks/reliability/served.py

Rows of results/reliability.csv: "drawing" are fits and answers of all classes beside four threads that draw from torch.
"forked" are answers of children that were forked while threads fitted. "transforms" are answers of four threads, a quarter
of them beside a refit of the same object. "right" counts the answers with the bits of a fit alone, or, beside refits, of one
of its two fits. "growth" is what 400 fits add to the peak of memory, in MB.
"""

from __future__ import annotations

import gc
import multiprocessing
import resource
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import record

from skdim import CPCTransformer, DeepInfoMaxTransformer, MIEstimator, MRMRSelector, MultiViewInfoMaxTransformer
from skdim.nn.causal import StridedConv

N_THREADS, N_TRANSFORMS, N_FITS = 4, 3200, 400
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(64, 8)).cumsum(1)
IMAGES = RNG.random((64, 1, 8, 8))
TARGET = TABLE[:, 0] + RNG.normal(size=64)
SMALL: dict[str, Any] = {"n_components": 4, "max_iter": 2, "batch_size": 16, "random_state": 0}
CPC = {"encoder": StridedConv(width=4, stride=1), "n_steps": 1, **SMALL}


def of_transformer(cls: Any, X: Any, **params: Any) -> bytes:
    return bytes(cls(**params).fit(X).transform(X).tobytes())


ANSWERS: dict[str, Callable[[], bytes]] = {
    "DeepInfoMaxTransformer": lambda: of_transformer(DeepInfoMaxTransformer, IMAGES, **SMALL),
    "MultiViewInfoMaxTransformer": lambda: of_transformer(MultiViewInfoMaxTransformer, TABLE, **SMALL),
    "CPCTransformer": lambda: of_transformer(CPCTransformer, TABLE, **CPC),
    "MIEstimator": lambda: (
        MIEstimator(max_iter=2, random_state=0).fit(TABLE, TARGET).pointwise(TABLE, TARGET).tobytes()
    ),
    "MRMRSelector": lambda: MRMRSelector().fit(TABLE, TARGET).scores_.tobytes(),
}


@contextmanager
def beside(work: Callable[[], Any], n_threads: int) -> Iterator[None]:
    """Run ``work`` again and again in threads."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.is_set():
            work()

    threads = [threading.Thread(target=repeat) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _answer(name: str, results: Any) -> None:
    results.put(ANSWERS[name]())


def forked(name: str) -> bytes | None:
    """Return what a forked child answers within a minute."""
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=_answer, args=(name, results))
    child.start()
    child.join(60)
    if child.is_alive():
        child.kill()
        return None
    answer: bytes = results.get()
    return answer


def transforms(X: Any, fitted: Any, other: Any) -> tuple[int, int]:
    """Return how many of the concurrent answers are right, and how many of them came beside refits."""
    answers = [bytes(fitted.transform(X).tobytes())]
    with ThreadPoolExecutor(N_THREADS) as threads:
        alone = list(threads.map(lambda _: fitted.transform(X).tobytes(), range(3 * N_TRANSFORMS // 4)))
    answers.append(bytes(other.fit(X).transform(X).tobytes()))
    seeds = iter(range(10**6))
    with (
        beside(lambda: fitted.set_params(random_state=(1 + next(seeds)) % 2).fit(X), 1),
        ThreadPoolExecutor(N_THREADS) as threads,
    ):
        meanwhile = list(threads.map(lambda _: fitted.transform(X).tobytes(), range(N_TRANSFORMS // 4)))
    return sum(a == answers[0] for a in alone) + sum(a in answers for a in meanwhile), len(set(meanwhile))


def growth() -> float:
    """Return by how many MB fits raise the peak of memory, after some that fill what torch and numpy keep."""

    def fits(n: int) -> float:
        for i in range(n):
            list(ANSWERS.values())[i % len(ANSWERS)]()
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3

    before = fits(N_FITS // 2)
    return fits(N_FITS) - before


def told(kind: str, subject: str, tries: int, right: Any, detail: str = "") -> None:
    row = {"subject": f"{kind}: {subject}", "tries": tries, "right": right, "detail": detail, "seed": 0}
    record("reliability", {"script": "served", **row})


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    expected = {name: answer() for name, answer in ANSWERS.items()}
    told("growth", "all", N_FITS, "", f"{growth():.2f} MB")
    with beside(lambda: torch.rand(8), N_THREADS):
        for name, answer in ANSWERS.items():
            told("drawing", name, 4, sum(answer() == expected[name] for _ in range(4)))
    with beside(ANSWERS["MultiViewInfoMaxTransformer"], 1):
        for name in ANSWERS:
            told("forked", name, 4, sum(forked(name) == expected[name] for _ in range(4)))
    for cls, X, params in (
        (DeepInfoMaxTransformer, IMAGES, SMALL),
        (MultiViewInfoMaxTransformer, TABLE, SMALL),
        (CPCTransformer, TABLE, CPC),
    ):
        n_right, n_fits = transforms(X, cls(**params).fit(X), cls(**{**params, "random_state": 1}))
        told("transforms", cls.__name__, N_TRANSFORMS, n_right, f"{n_fits} fits answered")


if __name__ == "__main__":
    main()
