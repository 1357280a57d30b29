"""The estimate that a fitted model gives from rows, and its diagnostics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skdim.exceptions import optional
from skdim.information.canonical import canonical_axes, gaussian_information
from skdim.information.folds import Estimate, Split, estimated
from skdim.information.intervals import SMALLEST_SD, Array, Rows, control_variate, mean_and_error, normal_interval
from skdim.information.model import BLOCK, FEWEST_TO_SPLIT, CrossFitted, Evaluation, Model, anchored_infonce, estimates
from skdim.information.neighbours import Neighbours, extrapolated
from skdim.information.permutations import permutation_p_value
from skdim.information.sides import Columns, Mask, entropy_of_ties, smaller_entropy
from skdim.training.inference import N_SCORED

#: Permutations of the rows in the test of independence, and most rows.
N_PERMUTATIONS, MOST_TESTED = 199, 20_000
#: Most held-out rows that diagnostics are taken from, and that log density ratios are normalised against.
N_REFERENCE = 2048
#: Most columns of both sides and most rows with which nearest neighbours are tried, and standard errors that they must be
#: ahead; and where a network found more than the closed forms, whose dependence is simple.
NEIGHBOURED = 20, 5_000, 1.0
NEIGHBOURED_BESIDE_NETWORKS = 4, 50_000, 2.0


@dataclass(frozen=True, repr=False)
class MIResult:
    r"""An estimate of mutual information.

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
    lower_bound, lower_bound_interval : float, tuple of float or None
        A lower bound from rows that no critic has learned from, and its interval; None if the estimator gives none.
    contributions : ndarray of shape (n_rows,) or None
        What each row that the value is taken from adds to it: their mean is the value, up to its cap, and their variance gives
        the interval.
    entropy : float or None
        The entropy of a side with discrete columns only, the smaller of two, in nats; None if there is no such side.

    Examples
    --------
    >>> from skdim import MIResult
    >>> result = MIResult(0.2231, (0.19, 0.25), "estimate", float("inf"), {"p_value": 0.005})
    >>> result
    MIResult(value=0.223, interval=(0.19, 0.25), kind='estimate')
    >>> round(result.bits, 3), round(result.normalized, 2)  # 0.6^2, if x and y are Gaussian
    (0.322, 0.36)
    """

    value: float
    interval: tuple[float, float]
    kind: str
    cap: float
    diagnostics: dict[str, float]
    lower_bound: float | None = None
    lower_bound_interval: tuple[float, float] | None = None
    contributions: Array | None = field(default=None, compare=False)
    entropy: float | None = None

    def __repr__(self) -> str:
        low, high = self.interval
        return f"MIResult(value={self.value:.3g}, interval=({low:.3g}, {high:.3g}), kind={self.kind!r})"

    @property
    def bits(self) -> float:
        """The value in bits."""
        return self.value / math.log(2)

    @property
    def normalized(self) -> float:
        r"""The value I between 0 and 1: I / H if a side is discrete, with the smaller entropy, else 1 - exp(-2 I).

        The latter is the square of Linfoot's informational correlation ("An informational measure of correlation", Information
        and Control 1957), and :math:`\rho^2` of a Gaussian pair.
        """
        value = max(self.value, 0.0)
        if self.entropy is None:
            return -math.expm1(-2 * value)
        return min(value / self.entropy, 1.0) if self.entropy > 0 else 0.0

    @property
    def p_value(self) -> float:
        """The p-value of the permutation test of independence; NaN if none was made."""
        return self.diagnostics.get("p_value", math.nan)

    def to_frame(self) -> Any:
        """Return a pandas DataFrame of one row: value, interval, kind, cap, bits, normalized and the diagnostics."""
        pandas = optional("pandas", "to_frame", "data")
        row = {"value": self.value, "lower": self.interval[0], "upper": self.interval[1], "kind": self.kind}
        row |= {"cap": self.cap, "bits": self.bits, "normalized": self.normalized}
        return pandas.DataFrame([row | self.diagnostics])


def measured(
    models: list[Model], splits: Sequence[Split], x: Any, y: Any, duplicated: float, tries_neighbours: bool = True
) -> tuple[MIResult, list[Model]]:
    """Return the estimate from all rows, or the bound from held-out rows, with diagnostics, and the models that stand for it.

    The models keep some held-out rows to normalise log ratios.
    """
    model, test = models[0], splits[0].test
    options = model.options
    scores = model.scores(x[test], y[test]) if model.learns and model.is_diagnosed and len(test) <= BLOCK else None
    bound = _on_held_out(models, splits, x, y, scores)
    competing = [each for each in models if isinstance(each, CrossFitted) and each.estimates]
    if competing:
        estimate = estimated(competing, splits, x, y)
        least, correction = SMALLEST_SD / math.sqrt(len(x)), abs(estimate.gap) / 2
        error = math.hypot(max(estimate.standard_error, least), correction)
        value, cap, per_row = estimate.value, competing[0].cap, estimate.per_row
        if tries_neighbours and (nearest := _by_neighbours(competing, estimate, x, y)):
            per_row, bias, neighbours = nearest
            value, error = float(per_row.mean()), float(per_row.std()) / math.sqrt(len(x))
            error = math.hypot(max(error, least), max(bias, correction))
            neighbours.fit(x, y, splits[0].train, splits[0].valid)
            models = [neighbours]
        value = min(value, cap)
        interval = normal_interval(value, error, options.confidence_level, model.groups)
        result = replace(bound, value=value, interval=interval, kind="estimate", cap=cap, contributions=per_row)
        result.diagnostics.update(standard_error=error, train_test_gap=estimate.gap)
    else:
        result = bound
    result.diagnostics["duplicated_rows"] = duplicated
    if not model.is_known:
        rng = np.random.default_rng([model.seed, 3])
        tested = rng.permutation(len(x))[:MOST_TESTED] if model.groups is None else np.arange(len(x))[:MOST_TESTED]
        groups = _groups(model, tested)
        result.diagnostics["p_value"] = permutation_p_value(x[tested], y[tested], rng, N_PERMUTATIONS, groups)
        if x.ndim == y.ndim == 2:
            result.diagnostics["gaussian"] = gaussian_information(canonical_axes(x, y), len(x))
    for each, split in zip(models, splits, strict=False):
        each.keep(*(side[split.test[:N_REFERENCE]] for side in (x, y)))
    n, quarter = len(test[:N_REFERENCE]), len(test[:N_REFERENCE]) // 4
    if model.is_diagnosed and n >= FEWEST_TO_SPLIT:
        scores = model.scores(x[test[:n]], y[test[:n]]) if scores is None else scores[:n, :n]
        learned = splits[0].train[:quarter]
        of_seen = model.scores(x[learned], y[learned]) if model.learns and len(learned) == quarter else None
        diagnostics = diagnose(scores, of_seen, model.bounded)
        result.diagnostics.update({name: diagnostics[name] for name in diagnostics if name not in result.diagnostics})
    return result, models


def _by_neighbours(
    models: Sequence[CrossFitted], estimate: Estimate, x: Any, y: Any
) -> tuple[Array, float, Neighbours] | None:
    """Return contributions of nearest neighbours, their bias and an unfitted model, if they are ahead of the estimate."""
    model, n = models[0], len(x)
    seen = model.seen(x, y)
    n_columns = sum(side.shape[1] if side.ndim == 2 else math.inf for side in seen)
    is_learned = any(not kind.startswith("reference:") for each in models for kind in each.used)
    widest, most, least_ahead = NEIGHBOURED_BESIDE_NETWORKS if is_learned and n > NEIGHBOURED[1] else NEIGHBOURED
    if model.groups is not None or n_columns > widest or not FEWEST_TO_SPLIT <= n <= most:
        return None
    near, bias = extrapolated(*seen)
    if near.mean() - estimate.value <= least_ahead * float((near - estimate.per_row).std()) / math.sqrt(n):
        return None
    neighbours = Neighbours(model.options, model.device, model.seed)
    neighbours.selection = model.selection
    return near, bias, neighbours


def capped(result: MIResult, sides: Sequence[Columns], discrete: Sequence[Mask]) -> MIResult:
    """Return a result with its entropy, and an estimate at most that of numbers that recur."""
    entropy = smaller_entropy(sides, discrete)
    numbers = [side for side, mask in zip(sides, discrete, strict=False) if not mask.any()]
    cap = min(map(entropy_of_ties, numbers), default=math.inf)
    diagnostics = dict(result.diagnostics)
    if "gaussian" in diagnostics:
        diagnostics["gaussian"] = min(diagnostics["gaussian"], cap)
    if result.kind != "estimate" or cap >= result.cap:
        return replace(result, entropy=entropy, diagnostics=diagnostics)
    excess = max(result.value - cap, 0.0)
    interval = (result.interval[0] - excess, result.interval[1] - excess)
    value = result.value - excess
    return replace(result, value=value, interval=interval, cap=cap, entropy=entropy, diagnostics=diagnostics)


def _on_held_out(models: Sequence[Model], splits: Sequence[Split], x: Any, y: Any, scores: Tensor | None) -> MIResult:
    """Return the mean over the folds of what each model says of its held-out rows."""
    model, rows = models[0], splits[0]
    evaluation = model.evaluate(x[rows.test], y[rows.test], scores)
    if len(splits) > 1:
        more = [each.evaluate(x[part.test], y[part.test]) for each, part in zip(models[1:], splits[1:], strict=True)]
        caps, values = [one.cap for one in (evaluation, *more)], [one.per_row for one in (evaluation, *more)]
        per_row = np.concatenate(values)
        groups = _groups(model, np.concatenate([part.test for part in splits]))
        return _result(model, Evaluation(float(per_row.mean()), per_row, min(caps)), *mean_and_error(per_row, groups))
    groups = _groups(model, rows.test)
    has_known = groups is None and model.options.control_variate and len(rows.test) >= FEWEST_TO_SPLIT
    known = model.known(x, y) if has_known else None
    if known is None:
        return _result(model, evaluation, *mean_and_error(evaluation.per_row, groups))
    per_row = model.evaluate(x[rows.valid], y[rows.valid]).per_row
    corrected = control_variate(evaluation.per_row, known, rows.test, per_row, known[rows.valid])
    return _result(model, evaluation, *corrected)


def _groups(model: Model, rows: Rows) -> Rows | None:
    return None if model.groups is None else model.groups[rows]


def mean_score(models: Sequence[Model], x: Any, y: Any) -> float:
    """Return the InfoNCE bound of the mean scores, in blocks of as many candidates."""
    n, k = len(x), min(len(x), N_SCORED)
    blocks = [np.arange(start, start + k) % n for start in range(0, n, k)]
    scores = [torch.stack([model.scores(x[rows], y[rows]) for model in models]).mean(0) for rows in blocks]
    return float(np.mean([anchored_infonce(block, models[0].anchors) for block in scores]))


def mean_pointwise(models: Sequence[Model], x: Any, y: Any) -> Array:
    """Return the mean log ratio of each row, (n,)."""
    parts = [slice(start, start + N_SCORED) for start in range(0, len(x), N_SCORED)]
    return np.concatenate([np.mean([model.pointwise(x[rows], y[rows]) for model in models], axis=0) for rows in parts])


def measured_anew(models: Sequence[Model], x: Any, y: Any) -> MIResult:
    """Return the mean estimate of fitted models from rows that they were not fitted to."""
    evaluations = [model.evaluate(x, y) for model in models]
    per_row = np.mean([evaluation.per_row for evaluation in evaluations], axis=0)
    whole = evaluations[0]._replace(value=float(per_row.mean()), per_row=per_row)
    return _result(models[0], whole, *mean_and_error(per_row))


def _result(model: Model, evaluation: Evaluation, value: float, error: float) -> MIResult:
    if (
        evaluation.interval is not None and model.groups is None
    ):  # the value is none of a mean, which rounding may carry away
        diagnostics = {"standard_error": error}
        return MIResult(
            evaluation.value,
            evaluation.interval,
            model.kind,
            evaluation.cap,
            diagnostics,
            contributions=evaluation.per_row,
        )
    value = min(value, evaluation.cap)  # a control variate may exceed it
    interval = normal_interval(value, error, model.options.confidence_level, model.groups)
    is_lower = model.kind == "lower" or estimates(model)
    lower: dict[str, Any] = {"lower_bound": value, "lower_bound_interval": interval} if is_lower else {}
    diagnostics = {"standard_error": error}
    return MIResult(value, interval, model.kind, evaluation.cap, diagnostics, **lower, contributions=evaluation.per_row)


def diagnose(scores: Tensor, of_trained: Tensor | None, bound: Callable[[Tensor], float]) -> dict[str, float]:
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
    return diagnostics
