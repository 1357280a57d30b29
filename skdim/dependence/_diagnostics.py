"""What tells whether an estimate of mutual information can be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from skdim.dependence._model import Array, Rows

#: Permutations of the rows in the test of independence.
N_PERMUTATIONS = 199
#: Most rows held out that diagnostics are taken from, and that log density ratios are normalised against.
N_REFERENCE = 2048


def diagnose(
    scores: Tensor, of_trained: Tensor | None, bound: Callable[[Tensor], float], rng: np.random.Generator
) -> dict[str, float]:
    """Return diagnostics of the scores of held-out rows.

    Parameters
    ----------
    scores : Tensor of shape (n, n)
        Scores of all pairs of held-out rows, at least four.
    of_trained : Tensor of shape (n // 4, n // 4) or None
        Scores of all pairs of as many training rows as a quarter of the held-out ones.
    bound : callable (scores) -> float
        The bound that may saturate.
    rng : numpy.random.Generator
        Draws the permutations.

    Returns
    -------
    dict of float
        "saturation", "train_test_gap", "effective_pairs" and "p_value", see :class:`skdim.MIEstimator`.
    """
    scores = scores.double()
    n, quarter = len(scores), len(scores) // 4
    quarters = [scores[i : i + quarter, i : i + quarter] for i in range(0, 4 * quarter, quarter)]
    at_quarter = float(np.mean([bound(part) for part in quarters]))
    diagnostics = {"saturation": bound(scores) - at_quarter}
    if of_trained is not None:  # both with as many candidates
        diagnostics["train_test_gap"] = bound(of_trained) - at_quarter
    off_diagonal = scores.masked_fill(torch.eye(n, dtype=torch.bool, device=scores.device), -math.inf)
    weights = torch.softmax(off_diagonal.flatten(), 0)
    diagnostics["effective_pairs"] = float(1 / (weights.square().sum() * n * (n - 1)))
    # The denominators do not change with the pairing, so the sum of the joint scores orders the permutations.
    matrix, order = scores.cpu().numpy(), np.arange(n)
    by_chance = np.array([matrix[order, rng.permutation(n)].sum() for _ in range(N_PERMUTATIONS)])
    diagnostics["p_value"] = float((1 + np.sum(by_chance >= np.trace(matrix))) / (1 + N_PERMUTATIONS))
    return diagnostics


def duplicated_rows(rows: Array, train: Rows, test: Rows) -> float:
    """Return the share of test rows that are copies of training rows, by their continuous columns (n, d)."""
    if not rows.shape[1]:
        return 0.0
    rows = np.ascontiguousarray(rows) + 0.0  # -0.0 becomes 0.0
    keys = rows.view([("", rows.dtype)] * rows.shape[1]).ravel()
    # Rounded columns repeat by chance: a copy has some value that only its copies share.
    n_equal = _counts(keys)
    is_copy = np.any([_counts(column) == n_equal for column in rows.T], axis=0)
    return float((np.isin(keys[test], keys[train]) & is_copy[test]).mean())


def _counts(values: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return how often each row's value occurs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse])
