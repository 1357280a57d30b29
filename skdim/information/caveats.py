"""What a user must know of an estimate: the warnings that its diagnostics give."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeAlias

from skdim.bounds import Bound
from skdim.exceptions import (
    DuplicateRowsWarning,
    HighVarianceWarning,
    MutualInformationWarning,
    NotABoundWarning,
    SaturationWarning,
    SmallSampleWarning,
    UnderfittingWarning,
)
from skdim.information.densities import Gaussian
from skdim.information.model import Model, estimates
from skdim.information.neighbours import Neighbours
from skdim.information.result import N_REFERENCE, MIResult

Caveats: TypeAlias = Iterator[tuple[str, type[MutualInformationWarning]]]

#: Fewer rows than these are few, and a larger share of copies than this is worth a word.
FEW_ROWS, DUPLICATED = 100, 0.01
#: Nats that correct an estimate, and by which a value is below that of linear dependence.
LARGEST_CORRECTION, UNDERFITTED = 0.1, 0.1
#: Nats that a bound loses with a quarter of the rows, or to the own pair among its candidates.
SATURATED = 0.05
#: Nats that InfoNCE of a critic loses so, and that its value is beyond linear dependence, from which it errs: by 0.6 to 1.1 of
#: 5.1 nats (curved pairs of columns, 1,000 to 3,000 rows), where one of linear dependence is right.
LEFT_OUT, BEYOND_LINEAR = 0.25, 0.25
#: Fewest columns together in which neighbours are far: of rotated cubes they find three quarters in 2 and 4, 0.4 in 6 and 0.3
#: in 8 (2,000 rows). And the largest p-value of a dependence that is there.
SEVERAL, SURELY = 4, 0.01
#: Marginal pairs, by row, that the mean of e^f rests on, and nats of standard error.
FEW_PAIRS, MEANINGLESS = 0.25, 0.5


def caveats(result: MIResult, n: int, n_test: int, model: Model) -> Caveats:
    """Yield the message and the class of each warning about an estimate of a model from ``n_test`` of n rows."""
    yield from _of_rows(result, n, n_test)
    yield from _of_learning(result, n, model)
    if isinstance(model, Neighbours) and model.options.estimator == "auto":
        yield from _of_neighbours(result, n, model)
    if model.by_bound and model.bound is not None:
        yield from _of_bound(result, n, n_test, model.bound)


def of_copies(share: float) -> Caveats:
    """Yield the warning about a share of held-out rows that copy training rows."""
    if share > DUPLICATED:
        yield (
            f"{share:.0%} of the rows that the value is taken from copy rows that were trained on: more rows are equal in all "
            "columns than the ties of single columns explain. The samples are not independent, and the estimate is too large. "
            "Drop the copies, unless independent samples are equal by nature.",
            DuplicateRowsWarning,
        )


def _of_rows(result: MIResult, n: int, n_test: int) -> Caveats:
    if n < FEW_ROWS:
        yield (
            f"{n} samples say little: the estimate may be far from the mutual information, and its interval is wide.",
            SmallSampleWarning,
        )
    yield from of_copies(result.diagnostics["duplicated_rows"])
    if n >= FEW_ROWS and result.kind != "upper" and result.value > math.log(n_test) + 1:
        yield (
            f"{result.value:.1f} nats are more than {n_test} test rows can support: no lower bound from them is above about "
            f"log n = {math.log(n_test):.1f} with confidence.",
            SmallSampleWarning,
        )


def _of_learning(result: MIResult, n: int, model: Model) -> Caveats:
    diagnostics = result.diagnostics
    gap = diagnostics.get("train_test_gap", 0.0)
    if estimates(model) and gap / 2 > max(LARGEST_CORRECTION, result.value / 4):
        yield (
            f"The model finds {gap:.2f} nats more in rows that it has learned from than in others. {n} rows are few for so "
            "many columns, or for such a dependence. The estimate lies in the middle, and may be wrong by a good part of the "
            "difference. Give more rows, or fewer columns.",
            SmallSampleWarning,
        )
    is_exact = isinstance(model, Gaussian) and model.axes.correlations.max(initial=0) >= 1 - 1 / n
    if n >= FEW_ROWS and is_exact and math.isinf(result.cap):
        yield (
            f"Columns of X and y are linear functions of each other up to what {n} rows can tell: the mutual information is "
            f"infinite, or much larger than {result.value:.2f} nats. Leave out the columns that determine each other.",
            SaturationWarning,
        )
    linear = diagnostics.get("gaussian", -math.inf)
    loss = diagnostics.get("saturation", 0.0)
    is_beyond = model.learns and math.isinf(result.cap) and result.value > linear + BEYOND_LINEAR
    if n >= FEW_ROWS and is_beyond and loss > LEFT_OUT:
        yield (
            f"The critic tells nearly all joint rows from others: its InfoNCE loses {loss:.2f} nats with a quarter of the test "
            "rows. So few rows do not show how large density ratios are. The value may be wrong by more than its interval "
            "says, and is mostly too small. Give more rows, or report lower_bound_ of estimator='auto' as 'at least'.",
            SaturationWarning,
        )
    bound = model.bound
    learns_conditional = bound is not None and bound.needs == "conditional" and model.options.conditional is None
    if learns_conditional and math.isfinite(linear) and result.interval[0] > linear + UNDERFITTED:
        yield (
            f"estimator={_name(model)!r} finds {result.value:.2f} nats, more than the {linear:.2f} of linear dependence. It "
            "overstates strong dependence, and with a learned conditional it is no upper bound either. Use estimator='auto'.",
            NotABoundWarning,
        )
    if n >= FEW_ROWS and model.options.estimator != "auto" and result.interval[1] < linear - UNDERFITTED:
        yield (
            f"estimator={_name(model)!r} finds {result.value:.2f} nats, but the linear dependence of the columns alone is "
            f"worth about {linear:.2f}: it has learned too little of it, or has too low a cap. Use estimator='auto'.",
            UnderfittingWarning,
        )


def _of_neighbours(result: MIResult, n: int, model: Neighbours) -> Caveats:
    d = model.rows_x.shape[1] + model.rows_y.shape[1]
    is_there = result.p_value <= SURELY and result.diagnostics["standard_error"] > result.value / 5
    if n >= FEW_ROWS and d >= SEVERAL and is_there:
        yield (
            f"Nearest neighbours find {result.value:.2f} nats, and critics less: dependence may have sharp edges. In {d} "
            f"columns together neighbours among {n} rows are far, so the value is mostly too small. Give more rows, or fewer "
            "columns.",
            UnderfittingWarning,
        )


def _of_bound(result: MIResult, n: int, n_test: int, bound: Bound) -> Caveats:
    diagnostics = result.diagnostics
    if result.kind != "estimate" and math.isfinite(result.cap):
        loss = diagnostics.get("saturation", 0.0)
        # The own pair takes a share of about (e^I - 1) / K of the mean over K candidates, and e^cap is K.
        own_share = math.expm1(result.value) * math.exp(-result.cap) if n >= FEW_ROWS else 0.0
        if max(loss, own_share) > SATURATED:
            reason = (
                f"loses {loss:.2f} nats with a quarter of the test rows, so more rows would raise it"
                if loss > SATURATED
                else f"is near its cap, and about {own_share:.2f} nats too small for it"
            )
            yield (
                f"The bound {reason}: the mutual information is larger. Its cap here is {result.cap:.2f} nats. Give more "
                "samples, or use estimator='auto' or 'dime', estimates without a cap.",
                SaturationWarning,
            )
    if bound.averages_exponentials:
        m = min(n_test, N_REFERENCE)
        n_pairs = diagnostics.get("effective_pairs", 1.0) * m * (m - 1)
        rests_on_few = n_pairs < FEW_PAIRS * m and not bound.auxiliary  # with one, another function is averaged
        if rests_on_few or diagnostics["standard_error"] > MEANINGLESS:
            yield (
                f"The mean of exponentials rests on few pairs (e^f on {n_pairs:.0f} of {m * (m - 1)}); the standard error is "
                f"{diagnostics['standard_error']:.2g} nats: estimator={bound.name!r} has too much variance here. Use "
                "'auto', 'infonce', 'alpha' or 'dime'.",
                HighVarianceWarning,
            )


def _name(model: Model) -> str:
    return str(model.options.estimator) if model.bound is None else model.bound.name
