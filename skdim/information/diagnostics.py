"""Diagnostics of an estimate of mutual information, and the warnings that they give."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from skdim.bounds import Bound
from skdim.exceptions import (
    DuplicateRowsWarning,
    HighVarianceWarning,
    MutualInformationWarning,
    SaturationWarning,
    SmallSampleWarning,
)
from skdim.information.model import Rows

if TYPE_CHECKING:
    from skdim.information.result import MIResult

#: Permutations of the rows in the test of independence.
N_PERMUTATIONS = 199
#: Most held-out rows that diagnostics are taken from, and that log density ratios are normalised against.
N_REFERENCE = 2048
#: Rows below which nothing can be learned, and nats that a bound loses with a quarter of the rows: more give a warning.
FEW_ROWS, SATURATED = 100, 0.05
#: Further limits: share of duplicated rows; marginal pairs, by row, that the mean of e^f rests on; nats of standard error.
DUPLICATED, FEW_PAIRS, MEANINGLESS = 0.01, 0.25, 0.5


def diagnose(
    scores: Tensor, of_trained: Tensor | None, bound: Callable[[Tensor], float], rng: np.random.Generator
) -> dict[str, float]:
    """Return diagnostics of the scores (n, n) of all pairs of held-out rows, at least four.

    ``of_trained`` are the scores of a quarter as many training rows, and ``bound`` is the one that may saturate.
    """
    scores = scores.double()
    n, quarter = len(scores), len(scores) // 4
    quarters = [scores[i : i + quarter, i : i + quarter] for i in range(0, 4 * quarter, quarter)]
    at_quarter = float(np.mean([bound(part) for part in quarters]))
    diagnostics = {"saturation": bound(scores) - at_quarter}
    if of_trained is not None:  # both have as many candidates
        diagnostics["train_test_gap"] = bound(of_trained) - at_quarter
    off_diagonal = scores.masked_fill(torch.eye(n, dtype=torch.bool, device=scores.device), -math.inf)
    weights = torch.softmax(off_diagonal.flatten(), 0)
    diagnostics["effective_pairs"] = float(1 / (weights.square().sum() * n * (n - 1)))
    # The pairing does not change the denominators, so the sum of the joint scores orders the permutations.
    matrix, order = scores.cpu().numpy(), np.arange(n)
    by_chance = np.array([matrix[order, rng.permutation(n)].sum() for _ in range(N_PERMUTATIONS)])
    diagnostics["p_value"] = float((1 + np.sum(by_chance >= np.trace(matrix))) / (1 + N_PERMUTATIONS))
    return diagnostics


def duplicated_rows(sides: Sequence[Any], discrete: Sequence[npt.NDArray[np.bool_]], train: Rows, test: Rows) -> float:
    """Return the share of test rows that are copies of training rows, by the continuous columns of both sides."""
    columns = np.hstack([side[:, ~of_labels] for side, of_labels in zip(sides, discrete, strict=True)])
    if not columns.shape[1]:
        return 0.0
    rows = np.ascontiguousarray(columns.astype(np.float64)) + 0.0  # -0.0 becomes 0.0
    keys = rows.view([("", rows.dtype)] * rows.shape[1]).ravel()
    # Rounded columns repeat by chance: a copy has some value that only its copies share.
    n_equal = _counts(keys)
    is_copy = np.any([_counts(column) == n_equal for column in rows.T], axis=0)
    return float((np.isin(keys[test], keys[train]) & is_copy[test]).mean())


def _counts(values: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return how often each row's value occurs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse])


def caveats(
    result: MIResult, n: int, n_test: int, bound: Bound | None
) -> Iterator[tuple[str, type[MutualInformationWarning]]]:
    """Yield the message and the class of each warning about an estimate from ``n_test`` of n rows under a bound."""
    diagnostics = result.diagnostics
    if n < FEW_ROWS:
        yield (
            f"{n} samples teach a critic little or nothing: the estimate may be far from the mutual information, and its "
            "interval is wide.",
            SmallSampleWarning,
        )
    if diagnostics["duplicated_rows"] > DUPLICATED:
        yield (
            f"{diagnostics['duplicated_rows']:.0%} of the rows that the value is taken from were also trained on: the "
            "samples are not independent, and the estimate is too large. Drop the duplicates.",
            DuplicateRowsWarning,
        )
    saturation = diagnostics.get("saturation", 0.0)
    if result.kind != "estimate" and saturation > SATURATED and math.isfinite(result.cap):
        yield (
            f"The bound loses {saturation:.2f} nats with a quarter of the test rows, so more rows would raise it: the mutual "
            f"information is larger. Its cap here is {result.cap:.2f} nats. Give more samples, or use estimator='dime', an "
            "estimate without a cap.",
            SaturationWarning,
        )
    if bound is not None and bound.averages_exponentials:
        m = min(n_test, N_REFERENCE)
        n_pairs = diagnostics.get("effective_pairs", 1.0) * m * (m - 1)
        rests_on_few = n_pairs < FEW_PAIRS * m and not bound.auxiliary  # with one, another function is averaged
        if rests_on_few or diagnostics["standard_error"] > MEANINGLESS:
            yield (
                f"The mean of exponentials rests on few pairs (e^f on {n_pairs:.0f} of {m * (m - 1)}); the standard error is "
                f"{diagnostics['standard_error']:.2g} nats: estimator={bound.name!r} has too much variance here. Use "
                "'infonce', 'alpha' or 'dime'.",
                HighVarianceWarning,
            )
    if n >= FEW_ROWS and result.kind != "upper" and result.value > math.log(n_test) + 1:
        yield (
            f"{result.value:.1f} nats are more than {n_test} test rows can support: no lower bound from them is above about "
            f"log n = {math.log(n_test):.1f} with confidence.",
            SmallSampleWarning,
        )
