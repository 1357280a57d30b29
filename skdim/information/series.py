"""Series in time: blocks of rows that depend on each other, and what the past of one series says of another."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import irfft, next_fast_len, rfft

from skdim._sklearn import Interval, StrOptions, validate_params
from skdim.exceptions import SmallSampleWarning, warn
from skdim.information.features import normal_scores
from skdim.information.functions import conditional_mutual_information
from skdim.information.parameters import refuse_own
from skdim.information.result import MIResult
from skdim.information.rows import FEWEST_GROUPS
from skdim.information.sides import FILL, Columns, Side, joined_columns, side_columns
from skdim.inputs.tables import check_lengths

#: Length of a block, in times that series remember: with four, the test of independence has its level on AR(1) series.
TIMES_OF_MEMORY = 4
#: Fewest blocks that an automatic size leaves.
FEWEST_BLOCKS = 10
#: Lags in a row whose autocorrelations are small where a series has forgotten: those of one that swings cross 0 before.
QUIET = 5
_BLOCK_SIZE = [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")]
_DISCRETE = [StrOptions({"auto"}), "boolean", "array-like"]


@validate_params({"series": ["array-like"], "block_size": _BLOCK_SIZE}, prefer_skip_nested_validation=True)
def time_blocks(series: Any, block_size: Any = "auto") -> npt.NDArray[np.intp]:
    r"""Return the number of the block of each row of series in time, for ``groups``.

    An automatic block is four times as long as the series remember. Of two independent series with autocorrelations
    :math:`\rho_k`, the mean of products has as much variance as that of :math:`n / \tau` independent rows [1]_,

    .. math:: \tau = 1 + 2 \sum_{k \ge 1} \rho_k^2,

    summed up to the lag after which five in a row have :math:`|\rho_k| < 2 \sqrt{\tau / n}` for the tau so far [2]_; the column
    with the largest tau counts.

    Parameters
    ----------
    series : array-like of shape (n_samples,) or (n_samples, n_columns)
        Rows in the order of time. Columns of numbers are ranked; labels are taken as indicators.
    block_size : int or "auto", default="auto"
        Rows of each block.

    Returns
    -------
    ndarray of shape (n_samples,)
        0 for the rows of the first block, 1 for those of the second, and so on.

    Raises
    ------
    ValueError
        If fewer than eight blocks are left.

    Warns
    -----
    SmallSampleWarning
        If an automatic block would leave fewer than ten; ten are made then.

    References
    ----------
    .. [1] Bartlett, "Some aspects of the time-correlation problem in regard to tests of significance", Journal of the Royal
       Statistical Society 1935.
    .. [2] Politis & White, "Automatic block-length selection for the dependent bootstrap", Econometric Reviews 2004.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.information import time_blocks
    >>> time_blocks(np.random.default_rng(0).normal(size=100))[-1].item()  # of independent rows: 25 blocks of four
    24
    >>> time_blocks(np.arange(100.0), block_size=10)[[0, 9, 10, 99]].tolist()
    [0, 0, 1, 9]
    """
    columns, mask = side_columns(series, "auto", "series", advice=FILL)
    n, size = len(columns), block_size
    if isinstance(size, str):
        scores = normal_scores(Side.learn(columns, mask, None).numbers(columns))
        memory = max(_memory(column) for column in scores.T)
        size, largest = math.ceil(TIMES_OF_MEMORY * memory), max(n // FEWEST_BLOCKS, 1)
        if size > largest:
            n_blocks = -(-n // largest)
            warn(
                f"The series remember about {memory:.0f} of {n} rows: {n_blocks} blocks of {largest} rows are shorter "
                f"than {TIMES_OF_MEMORY} times that. An interval or a p-value may be wrong. Give a longer series.",
                SmallSampleWarning,
            )
            size = largest
    if -(-n // size) < FEWEST_GROUPS:
        raise ValueError(
            f"block_size={size} cuts {n} rows into {-(-n // size)} blocks, and {FEWEST_GROUPS} are needed."
        )
    return np.arange(n) // size


@validate_params(
    {
        "source": ["array-like"],
        "target": ["array-like"],
        "lag": [Interval(Integral, 1, None, closed="left")],
        "history": [Interval(Integral, 1, None, closed="left")],
        "block_size": _BLOCK_SIZE,
        "discrete_source": _DISCRETE,
        "discrete_target": _DISCRETE,
    },
    prefer_skip_nested_validation=True,
)
def transfer_entropy(
    source: Any,
    target: Any,
    *,
    lag: int = 1,
    history: int = 1,
    block_size: Any = "auto",
    discrete_source: Any = "auto",
    discrete_target: Any = "auto",
    **params: Any,
) -> MIResult:
    r"""Estimate the transfer entropy from a source to a target series, in nats.

    .. math::

        T_{X \to Y} = I(Y_t;\; X_{t - \ell}, \dots, X_{t - \ell - h + 1} \mid Y_{t - 1}, \dots, Y_{t - h})

    with lag :math:`\ell` and history h: what the past of the source says of the target's present beyond the target's own past
    [1]_. It is 0 in a direction without influence if h covers the target's memory and nothing else drives both. Rows are split
    in blocks, the standard error comes from the means of blocks, and the test changes signs by blocks.

    Parameters
    ----------
    source, target : array-like of shape (n_samples,) or (n_samples, n_columns)
        Series in the order of time, at the same times.
    lag : int, default=1
        Steps from the last value of the source to the present.
    history : int, default=1
        Values of the past that are taken of each series.
    block_size : int or "auto", default="auto"
        Rows of a block, as in :func:`~skdim.information.time_blocks`.
    discrete_source, discrete_target : "auto", bool or array-like, default="auto"
        Which columns are discrete, as in :func:`~skdim.information.discrete.discrete_columns`.
    **params
        Parameters of :class:`~skdim.MIEstimator`, with ``estimator`` "auto" or "gaussian".

    Returns
    -------
    MIResult
        Of kind "estimate". ``diagnostics["p_value"]`` is that of no transfer.

    Raises
    ------
    ValueError, TypeError
        If a parameter or a series is invalid, their lengths differ, or they are too short.

    References
    ----------
    .. [1] Schreiber, "Measuring information transfer", Physical Review Letters 2000.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim import transfer_entropy
    >>> x, noise = np.random.default_rng(0).normal(size=(2, 1200))
    >>> y = np.roll(x, 1) + noise  # T = log(2) / 2 = 0.35
    >>> round(transfer_entropy(x, y, random_state=0).value, 1), round(transfer_entropy(y, x, random_state=0).value, 1)
    (0.3, 0.0)
    """
    refuse_own(
        params, ("discrete_X", "discrete_y", "discrete_Z", "groups"), "discrete_source, discrete_target and block_size"
    )
    (of_source, source_mask), (of_target, target_mask) = (
        side_columns(series, discrete, name, f"discrete_{name}", FILL)
        for series, discrete, name in ((source, discrete_source, "source"), (target, discrete_target, "target"))
    )
    check_lengths(source=of_source, target=of_target)
    first = max(lag + history - 1, history)
    if len(of_target) < first + FEWEST_GROUPS:
        raise ValueError(f"lag={lag} and history={history} need {first + FEWEST_GROUPS} rows, got {len(of_target)}.")
    groups = time_blocks(joined_columns(of_source, of_target)[first:], block_size)
    return conditional_mutual_information(
        _past(of_source, lag, history, first),
        of_target[first:],
        _past(of_target, 1, history, first),
        groups=groups,
        discrete_X=np.tile(source_mask, history),
        discrete_y=target_mask,
        discrete_Z=np.tile(target_mask, history),
        **params,
    )


def _past(series: Columns, lag: int, history: int, first: int) -> Columns:
    """Return the columns of so many earlier times for each row from the first on."""
    n = len(series)
    return np.hstack([series[first - lag - k : n - lag - k] for k in range(history)])


def _memory(column: npt.NDArray[np.float64]) -> float:
    n, centred = len(column), column - column.mean()
    spectrum = np.abs(rfft(centred, next_fast_len(2 * n))) ** 2
    covariances = irfft(spectrum, next_fast_len(2 * n))[:n]
    if covariances[0] <= 0:
        return 1.0
    rho = covariances / covariances[0]
    tau = 1 + 2 * np.cumsum(np.append(0.0, np.square(rho[1:])))  # up to each lag from 0 on
    is_small = np.append(np.square(rho[1:]) < 4 * tau[:-1] / n, np.ones(QUIET, dtype=bool))
    return float(tau[sliding_window_view(is_small, QUIET).all(1).argmax()])
