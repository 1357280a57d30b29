"""The estimate that a fitted model gives from rows, its diagnostics, and the warnings that they give."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skdim.exceptions import (
    DuplicateRowsWarning,
    HighVarianceWarning,
    MutualInformationWarning,
    SaturationWarning,
    SmallSampleWarning,
)
from skdim.information.intervals import Rows, control_variate, mean_and_error, normal_interval
from skdim.information.model import BLOCK, FEWEST_TO_SPLIT, Evaluation, Model

#: Permutations of the rows in the test of independence.
N_PERMUTATIONS = 199
#: Most held-out rows that diagnostics are taken from, and that log density ratios are normalised against.
N_REFERENCE = 2048
#: Limits of warnings: fewer rows than this, or a bound that loses more nats than this with a quarter of the rows.
FEW_ROWS, SATURATED = 100, 0.05
#: Further limits: share of duplicated rows; marginal pairs, by row, that the mean of e^f rests on; nats of standard error.
DUPLICATED, FEW_PAIRS, MEANINGLESS = 0.01, 0.25, 0.5


@dataclass(frozen=True)
class MIResult:
    """An estimate of mutual information.

    Attributes
    ----------
    value : float
        In nats.
    interval : tuple of float
        Confidence interval of the estimator's expectation, in nats.
    kind : {"lower", "upper", "estimate"}
        What the expectation is to the mutual information.
    cap : float
        The largest value that the estimator can take, in nats.
    diagnostics : dict of float
        Those of :class:`MIEstimator`.
    """

    value: float
    interval: tuple[float, float]
    kind: str
    cap: float
    diagnostics: dict[str, float] = field(repr=False)


class Split(NamedTuple):
    """Rows to train on, to choose among networks on, and to take the value from."""

    train: Rows
    valid: Rows
    test: Rows

    @classmethod
    def draw(cls, model: Model, n: int) -> Split:
        """Return a split of n rows, at random; all rows in each part if nothing is learned."""
        options, order = model.options, np.arange(n)
        if model.learns:
            order = np.random.default_rng([model.seed, 1]).permutation(n)
        if not model.learns or n < FEWEST_TO_SPLIT:
            return cls(order, order, order)
        n_test, n_valid = (max(2, round(part * n)) for part in (options.test_fraction, options.validation_fraction))
        if n_test + n_valid > n - 2:
            raise ValueError(
                f"test_fraction={options.test_fraction} and validation_fraction={options.validation_fraction} leave fewer "
                f"than 2 of n_samples = {n} rows to train on. Give smaller fractions."
            )
        test, valid, train = np.split(order, [n_test, n_test + n_valid])
        return cls(np.sort(train), np.sort(valid), np.sort(test))


def measured(model: Model, x: Any, y: Any, rows: Split, duplicated: float) -> MIResult:
    """Return the estimate from the test rows, with diagnostics; the model keeps some of them to normalise log ratios."""
    test = rows.test
    held_out = x[test], y[test]
    scores = model.scores(*held_out) if model.learns and len(test) <= BLOCK else None
    evaluation = model.evaluate(*held_out, scores)
    has_known = model.options.control_variate and len(test) >= FEWEST_TO_SPLIT
    known = model.known(x, y) if has_known else None
    if known is None:
        value, error = mean_and_error(evaluation.per_row)
    else:
        valid = rows.valid
        per_row = model.evaluate(x[valid], y[valid]).per_row
        value, error = control_variate(evaluation.per_row, known, test, per_row, known[valid])
    result = _result(model, evaluation, value, error)
    result.diagnostics["duplicated_rows"] = duplicated
    model.keep(*(side[:N_REFERENCE] for side in held_out))
    n, quarter = len(test[:N_REFERENCE]), len(test[:N_REFERENCE]) // 4
    if not model.is_known and n >= FEWEST_TO_SPLIT:
        scores = model.scores(x[test[:n]], y[test[:n]]) if scores is None else scores[:n, :n]
        seen = rows.train[:quarter]
        of_seen = model.scores(x[seen], y[seen]) if model.learns and len(seen) == quarter else None
        result.diagnostics.update(diagnose(scores, of_seen, model.bounded, np.random.default_rng(model.seed)))
    return result


def measured_anew(model: Model, x: Any, y: Any) -> MIResult:
    """Return the estimate of a fitted model from rows that it was not fitted to."""
    evaluation = model.evaluate(x, y)
    return _result(model, evaluation, *mean_and_error(evaluation.per_row))


def _result(model: Model, evaluation: Evaluation, value: float, error: float) -> MIResult:
    if evaluation.interval is not None:  # the value is none of a mean, which rounding may carry out of the interval
        return MIResult(evaluation.value, evaluation.interval, model.kind, evaluation.cap, {"standard_error": error})
    value = min(value, evaluation.cap)  # a control variate may exceed it
    interval = normal_interval(value, error, model.options.confidence_level)
    return MIResult(value, interval, model.kind, evaluation.cap, {"standard_error": error})


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


def caveats(
    result: MIResult, n: int, n_test: int, model: Model
) -> Iterator[tuple[str, type[MutualInformationWarning]]]:
    """Yield the message and the class of each warning about an estimate of a model from ``n_test`` of n rows."""
    diagnostics, bound = result.diagnostics, model.bound if model.by_bound else None
    if n < FEW_ROWS:
        yield (
            f"{n} samples say little: the estimate may be far from the mutual information, and its interval is wide.",
            SmallSampleWarning,
        )
    if diagnostics["duplicated_rows"] > DUPLICATED:
        yield (
            f"{diagnostics['duplicated_rows']:.0%} of the rows that the value is taken from copy rows that were trained on: "
            "more rows are equal in all columns than the ties of single columns explain. The samples are not independent, "
            "and the estimate is too large. Drop the copies, unless independent samples are equal by nature.",
            DuplicateRowsWarning,
        )
    saturation = diagnostics.get("saturation", 0.0)
    if bound is not None and result.kind != "estimate" and saturation > SATURATED and math.isfinite(result.cap):
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
