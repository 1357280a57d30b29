"""What to say beside an estimate of mutual information that is to be read with care."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from skdim.bounds import Bound
from skdim.dependence._diagnostics import N_REFERENCE
from skdim.exceptions import (
    DuplicateRowsWarning,
    HighVarianceWarning,
    MutualInformationWarning,
    SaturationWarning,
    SmallSampleWarning,
)

#: Rows below which nothing can be learned, and nats that a bound loses with a quarter of the rows.
FEW_ROWS, SATURATED = 100, 0.05
#: Share of duplicated rows; marginal pairs, by row, that the mean of e^f rests on; nats of standard error.
DUPLICATED, RULED_BY_FEW, MEANINGLESS = 0.01, 0.25, 0.5

Caveat = tuple[str, type[MutualInformationWarning]]


def caveats(
    value: float, kind: str, cap: float, diagnostics: Mapping[str, float], n: int, n_test: int, bound: Bound | None
) -> Iterator[Caveat]:
    """Yield what makes an estimate doubtful, each as a message and the class of its warning.

    Parameters
    ----------
    value, kind, cap, diagnostics
        The estimate; see :class:`skdim.MIEstimator`.
    n, n_test : int
        Rows, and those that the value is taken from.
    bound : Bound or None
        The estimator, where it is a function of scores.
    """
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
    if kind != "estimate" and diagnostics.get("saturation", 0.0) > SATURATED and math.isfinite(cap):
        yield (
            f"The bound loses {diagnostics['saturation']:.2f} nats with a quarter of the test rows, so more would raise it: "
            f"the mutual information is larger. Its cap here is {cap:.2f} nats. Give more samples, or look at "
            "estimator='dime', an estimate without a cap.",
            SaturationWarning,
        )
    if bound is not None and bound.averages_exponentials:
        m = min(n_test, N_REFERENCE)
        n_pairs = diagnostics.get("effective_pairs", 1.0) * m * (m - 1)
        is_ruled = n_pairs < RULED_BY_FEW * m and not bound.auxiliary  # with one, another function is averaged
        if is_ruled or diagnostics["standard_error"] > MEANINGLESS:
            yield (
                f"The mean of exponentials rests on few pairs (e^f on {n_pairs:.0f} of {m * (m - 1)}); the standard error is "
                f"{diagnostics['standard_error']:.2g} nats: estimator={bound.name!r} has too much variance here. Use "
                "'infonce', 'alpha' or 'dime'.",
                HighVarianceWarning,
            )
    if n >= FEW_ROWS and kind != "upper" and value > math.log(n_test) + 1:
        yield (
            f"{value:.1f} nats are more than {n_test} test rows can support: no lower bound from them is above about "
            f"log n = {math.log(n_test):.1f} with confidence.",
            SmallSampleWarning,
        )
