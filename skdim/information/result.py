"""The estimate of mutual information that a fitted model gives from rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from skdim.information.diagnostics import N_REFERENCE, diagnose
from skdim.information.intervals import control_variate, mean_and_error, normal_interval
from skdim.information.model import BLOCK, FEWEST_TO_SPLIT, Evaluation, Model, Rows


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

    @property
    def is_disjoint(self) -> bool:
        """Whether the test rows are held out; else all rows are in each part."""
        return self.train is not self.test

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
    value = min(value, evaluation.cap)  # a control variate, or a correction for few counts, may exceed it
    interval = evaluation.interval or normal_interval(value, error, model.options.confidence_level)
    return MIResult(value, interval, model.kind, evaluation.cap, {"standard_error": error})
