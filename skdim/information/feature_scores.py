"""Mutual information of each column of a table with a target: scores that select features."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, gammaln, xlogy
from scipy.stats import rankdata
from sklearn.utils import column_or_1d

from skdim._sklearn import Interval, StrOptions, validate_params
from skdim.exceptions import ConstantInputWarning, SaturationWarning, SmallSampleWarning, warn
from skdim.information.discrete import (
    entropy,
    factorize,
    information_gain,
    real_numbers,
    warn_of_identifiers,
    which_discrete,
)
from skdim.inputs.tables import Column, as_array, as_plain, check_lengths, refuse_unusable, table_columns

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Dirichlet parameter of each part of a box: Krichevsky & Trofimov's, as in context-tree weighting (Willems et al. 1995).
PSEUDOCOUNT = 0.5
#: Stands for 0 where a gamma function is taken: it has no effect on the ratio of two.
TINY = 1e-300
#: Fewer rows give a warning. The highest of 40 independent columns scores 0.05 with 100 rows, 0.8 with 30 (2 to 200 labels).
FEW_ROWS = 100
#: Scores above this share of log(bins) give a warning: of 3 nats, 128 bins lose 0.08 (Gaussian pairs, n = 4,000 and 20,000).
SATURATED = 0.6
#: Nats below the entropy of its columns from which a score cannot grow.
ROOM = 0.1


@validate_params(
    {
        "X": ["array-like", "sparse matrix"],
        "y": ["array-like"],
        "discrete_X": [StrOptions({"auto"}), "boolean", "array-like"],
        "discrete_y": [StrOptions({"auto"}), "boolean"],
        "max_bins": [Interval(Integral, 2, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def mutual_info_features(
    X: Any, y: Any, *, discrete_X: Any = "auto", discrete_y: Any = "auto", max_bins: int = 128
) -> Floats:
    r"""Estimate the mutual information of each column of X with y, in nats.

    .. math::

        \hat I(X_j; Y) = \sum_A w_A \sum_{c \in A} \frac{n_c}{n} \log \frac{n_c}{n_A q_c}

    The rows are counted in boxes A of ranks. Each box is cut at the middle of its ranks into parts c: into quarters if the
    column and y are continuous, else into halves for each label apart. Part c holds n_c of the box's n_A rows, and the share
    q_c of them is expected under independence. The inner sum is what the cut adds to the mutual information; by the chain rule,
    all cuts together give that of the finest table [1]_. The weight w_A is the posterior probability that A and all boxes
    around it are cut, by the prior of context-tree weighting [2]_ and of the optional Pólya tree [3]_: a box is cut with
    probability 1/2, and its p parts have p / 2 pseudo-counts, spread as q_c. Two discrete variables are counted, by
    :func:`~skdim.information.discrete.information_gain` with its correction for chance.

    Each column is scored by itself: two copies score the same, and two columns that inform only together score 0.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Features. Rows must be independent of each other.
    y : array-like of shape (n_samples,)
        Target.
    discrete_X, discrete_y : "auto", bool or array-like, default="auto"
        Which columns of X, and whether y, are discrete, as in :func:`~skdim.information.discrete.discrete_columns`. Labels
        stored as floats, also in the one array that a selector passes, must be named here. No array for y.
    max_bins : int, default=128
        Most bins of a continuous variable, rounded down to a power of 2. Bins are equal in rank. No score of a continuous
        column exceeds the log of their number.

    Returns
    -------
    ndarray of shape (n_features,)
        Scores in nats, at most the entropy of the bins or labels of either variable. With a continuous variable they are at
        least 0 and mostly a little too low; a monotone map of it does not change them. Between two discrete ones they may be a
        little below 0.

    Raises
    ------
    ValueError, TypeError
        If a parameter is invalid, X or y has a missing value or a wrong shape, X is sparse, or their lengths differ.

    Warns
    -----
    ConstantInputWarning, SmallSampleWarning, SaturationWarning
        If columns or y are constant; if most rows have a value of their own in a discrete column or y, or a score with a
        continuous variable is taken from fewer than 100 rows; or if such a score is near the log of the number of bins, and
        could be larger.

    References
    ----------
    .. [1] Cover & Thomas, "Elements of information theory", 2nd edition, 2006, Theorem 2.5.3.
    .. [2] Willems, Shtarkov & Tjalkens, "The context-tree weighting method: basic properties", IEEE Trans. Inf. Theory 1995.
    .. [3] Wong & Ma, "Optional Pólya tree and Bayesian inference", Annals of Statistics 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim import mutual_info_features
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(5000, 3))
    >>> y = 0.8 * X[:, 0] + 0.6 * rng.normal(size=5000)  # I(X_0; y) = -log(1 - 0.8^2) / 2 = 0.511
    >>> mutual_info_features(X, y).round(2).tolist()
    [0.5, 0.0, 0.0]
    """
    X, y = as_plain(X), as_plain(y)
    discrete = which_discrete(X, discrete_X, "X", "discrete_X")
    if np.ndim(X) != 2:
        raise ValueError(
            f"X must have shape (n_samples, n_features), got {np.shape(X)}. Reshape one feature to (-1, 1)."
        )
    check_lengths(X=X, y=y)
    y = column_or_1d(as_array(y), warn=True) if np.ndim(y) != 1 else y
    n_bins = 2 ** (min(int(max_bins), len(y)).bit_length() - 1)
    y_discrete = bool(which_discrete(y, discrete_y, "y", "discrete_y")[0])
    given, given_y = table_columns(X, "X"), table_columns(y, "y")
    refuse_unusable(X, "X")
    refuse_unusable(y, "y")
    target = _codes(given_y[0], y_discrete, n_bins, "discrete_y")
    columns = np.stack([_codes(*column, n_bins, "discrete_X") for column in zip(given, discrete, strict=True)], axis=1)
    varies = (columns != columns[0]).any(0) & (target != target[0]).any()
    if not varies.any() and (target == target[0]).all():
        warn("y is constant: every score is 0.", ConstantInputWarning)
    elif not varies.all():
        places = np.flatnonzero(~varies)
        message = f"{len(places)} column(s) of X, the first at position {places[0]}, are constant: their scores are 0."
        warn(message, ConstantInputWarning)
    scores = np.zeros(len(discrete))
    counted = varies & discrete & y_discrete
    binned = varies & ~counted
    if counted.any():
        scores[counted] = information_gain(columns[:, counted], target, correction="chance")
    if binned.any() and len(target) < FEW_ROWS:
        warn(f"Scores from {len(target)} samples may be far from the mutual information.", SmallSampleWarning)
    for j in np.flatnonzero(binned):
        x, other = (target, columns[:, j]) if discrete[j] else (columns[:, j], target)
        labels = bool(discrete[j]) or y_discrete
        scores[j] = _tree_information(_table(x, other, n_bins, labels), quarters=not labels)
    few_labels = (discrete & (columns.max(0) < n_bins)) | (y_discrete & (target.max() < n_bins))
    is_near = binned & ~few_labels & (scores > SATURATED * math.log(n_bins))
    capped = [j for j in np.flatnonzero(is_near) if _can_grow(scores[j], [given[j], *given_y])]
    if capped:
        warn(
            f"{len(capped)} column(s), the first at position {capped[0]}, score more than {SATURATED} log({n_bins}): with "
            f"{n_bins} bins no score exceeds {math.log(n_bins):.2f} nats, and their mutual information may be much larger.",
            SaturationWarning,
        )
    return scores


def _codes(column: Column, is_discrete: bool, n_bins: int, option: str) -> Ints:
    if is_discrete:
        codes, symbols = factorize(column)
        warn_of_identifiers(codes, column.label, symbols)
        return codes.astype(np.int64)
    return _bins(real_numbers(column, option), n_bins)


def _can_grow(score: float, columns: list[Column]) -> bool:
    """Whether a score is below what its columns allow: the entropy of those whose values recur."""
    entropies = [entropy(column.values) for column in columns]
    n = len(columns[0].values)
    return all(of_column > math.log(n / 2) or score < of_column - ROOM for of_column in entropies)


def _bins(values: Floats, n_bins: int) -> Ints:
    """Return bins of equal rank; tied values share the bin of their mean rank."""
    n = len(values)
    ranks = (2 * rankdata(values) - n - 1).astype(np.int64)  # from 1 - n to n - 1 in steps of 2
    if ranks[np.argmax(ranks != 0)] < 0:  # a falling map changes nothing: the first row off the median is above it
        ranks = -ranks
    return (ranks + n) * n_bins // (2 * n)


def _table(x: Ints, y: Ints, n_bins: int, labels: bool) -> Floats:
    """Return the counts of bins of x and bins or labels of y; labels met once, which tell nothing, are one label."""
    n_columns = n_bins
    if labels:
        recurs = np.bincount(y) > 1
        y = (np.cumsum(recurs, dtype=np.int64) * recurs)[y]
        n_columns = int(recurs.sum()) + 1
    counts = np.bincount(x * n_columns + y, minlength=n_bins * n_columns)
    return counts.reshape(n_bins, n_columns).astype(np.float64)


def _tree_information(table: Floats, quarters: bool) -> float:
    """Return the mutual information of rows and columns, averaged over the posterior of the boxes that are cut.

    From the finest cuts to the coarsest, each box passes the log of its evidence, relative to no cut, and its expected
    information to the box around it.
    """
    n = table.sum()
    evidence = information = np.zeros((len(table), table.shape[1] if quarters else 1))
    while len(table) > 1:
        counts = _parts(table, quarters)
        shares = _parts(np.outer(table.sum(1), table.sum(0)), quarters)
        shares /= np.maximum(shares.sum(2, keepdims=True), TINY)
        total = counts.sum(2, keepdims=True)
        prior = np.maximum(PSEUDOCOUNT * counts.shape[2] * shares, TINY)
        likelihood = gammaln(prior + counts) - gammaln(prior) - xlogy(counts, shares)
        normalizer = gammaln(prior.sum(2)) - gammaln(prior.sum(2) + total[:, :, 0])
        cut = likelihood.sum(2) + normalizer
        gain = (xlogy(counts, counts) - xlogy(counts, total * shares)).sum(2)
        if not quarters:
            cut, gain = cut.sum(1, keepdims=True), gain.sum(1, keepdims=True)
        log_odds = cut + _parts(evidence, quarters).sum(2)
        information = expit(log_odds) * (gain + _parts(information, quarters).sum(2))
        evidence = np.logaddexp(0, log_odds) - math.log(2)
        table = total[:, :, 0]
    return float(information.item() / n)


def _parts(cells: Floats, quarters: bool) -> Floats:
    """Return the parts of each box: (a, b) -> (a / 2, b / 2, 4), or halves (a / 2, b, 2)."""
    n_rows, n_columns = cells.shape
    width = 2 if quarters else 1
    boxes = cells.reshape(n_rows // 2, 2, n_columns // width, width).swapaxes(1, 2)
    return boxes.reshape(n_rows // 2, n_columns // width, 2 * width)
