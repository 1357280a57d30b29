"""Mutual information of every column of a table with a target: scores by which features are selected."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from skdim.discrete import information_gain
from skdim.exceptions import ConstantInputWarning, SaturationWarning, warn
from skdim.feature_scores._margins import Floats, Margin, column_margins, target_margin, which_discrete
from skdim.feature_scores._training import Training
from skdim.training.device import resolve_device

__all__ = ["mutual_info_features"]

#: Above this share of the largest value that bins can tell, scores are to be read with care.
SATURATED = 0.6


@validate_params(
    {
        "X": ["array-like", "sparse matrix"],
        "y": ["array-like"],
        "discrete_X": [StrOptions({"auto"}), "boolean", "array-like"],
        "discrete_y": [StrOptions({"auto"}), "boolean"],
        "cv": [Interval(Integral, 2, None, closed="left")],
        "max_bins": [Interval(Integral, 2, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "device": [str],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def mutual_info_features(
    X: Any,
    y: Any,
    *,
    discrete_X: Any = "auto",
    discrete_y: Any = "auto",
    cv: int = 2,
    max_bins: int = 128,
    max_iter: int = 300,
    device: str = "auto",
    random_state: Any = None,
) -> Floats:
    r"""Estimate the mutual information of each column of X with y, in nats.

    .. math::

        I(X_j; Y) \ge H(Y) - E[-\log q_j(y \mid x_j)]
        = E\Bigl[ f_j(x_j, y) - \log \frac1n \sum_{i=1}^n e^{f_j(x_j, y_i)} \Bigr]

    A small critic f_j(x, y) = h_j(x) · k_j(y) + b_j(y) is learned for every column, all of them as one batched network. Where
    y is discrete it is a classifier q_j of y, else InfoNCE's critic [1]_; where only the column is discrete, it is a classifier
    of the column. Where both are discrete, their table is counted instead and corrected for its size
    (:func:`~skdim.discrete.information_gain`).

    Every value is taken from rows that its critic was neither trained nor chosen on. With ``cv=2``, critics are trained on each
    half of the rows for the other half; of that one, either half decides at which step the other should be scored. Where they
    find a critic no better than none, it is worth 0. Bins are drawn from the ranks of all rows, before any x meets its y.

    Columns are scored one by one: two that tell the same score the same, and of two that tell only together neither scores.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Features. Rows must be independent of each other.
    y : array-like of shape (n_samples,)
        Target.
    discrete_X : "auto", bool or array-like, default="auto"
        Which columns are discrete: by the rule of :func:`~skdim.discrete.is_discrete` all that hold strings, bools or
        categories, and integers that recur; all or none; a mask, positions or names. A selector hands over one array: among
        floats, say here which columns are discrete.
    discrete_y : "auto" or bool, default="auto"
        Whether y is discrete, by the same rule. Labels kept as floats need True.
    cv : int, default=2
        Parts in which rows are held out; more train on more rows, and take longer.
    max_bins : int, default=128
        Most bins of a continuous variable. They are even in rank and in normal score, by halves, and no column's score passes
        the log of their number.
    max_iter : int, default=300
        Most training steps; every step is on all training rows.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", "mps"; "auto" is CUDA where there is one.
    random_state : int, RandomState instance or None, default=None
        Draws the parts, and the weights at the start, which all columns share. An int gives the same bits again on one CPU.

    Returns
    -------
    ndarray of shape (n_features,)
        Scores in nats: below the mutual information in expectation, or Miller-Madow estimates where both are discrete. Columns
        that say nothing of y score about -1 / n on average, mostly between -20 / n and 9 / n. Scores do not change under
        monotone maps of a column or of a continuous y, nor, but for rounding, with the columns beside them.

    Raises
    ------
    TypeError
        If ``X`` is sparse, or a discrete column mixes strings with numbers.
    ValueError
        If a parameter is not what it may be, X or y holds a missing value, X is not two-dimensional or y not one-dimensional,
        or their lengths differ.

    Warns
    -----
    ConstantInputWarning
        If columns, or y, are constant: their scores are 0.
    SmallSampleWarning
        If critics are learned from fewer than 100 rows.
    SaturationWarning
        If a score is so near the log of ``max_bins`` that the mutual information may be much larger.

    See Also
    --------
    skdim.MIEstimator : Several columns at once, with interval and diagnostics; more exact, and slower.
    sklearn.feature_selection.mutual_info_classif : By nearest neighbours.

    References
    ----------
    .. [1] van den Oord et al., "Representation learning with contrastive predictive coding", 2018, Eq. 4.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.feature_selection import SelectKBest
    >>> from skdim.feature_scores import mutual_info_features
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(5000, 3))
    >>> y = 0.8 * X[:, 0] + 0.6 * rng.normal(size=5000)  # I(X_0; y) = -log(1 - 0.8^2) / 2 = 0.511
    >>> mutual_info_features(X, y, random_state=0).round(1).tolist()
    [0.5, 0.0, 0.0]
    >>> SelectKBest(mutual_info_features, k=1).fit(X, y > 0).get_support().tolist()
    [True, False, False]
    """
    discrete = which_discrete(X, discrete_X)
    check_consistent_length(X, y)
    target = target_margin(y, discrete_y, max_bins)
    columns = column_margins(X, discrete, max_bins)
    constant = np.array([column.n_cells == 1 for column in columns])
    _warn_of_constants(constant, target)

    scores = np.zeros(len(columns))
    varies = ~constant & (target.n_cells > 1)
    counted = varies & discrete & (target.ranks is None)
    learned = varies & ~counted
    if counted.any():
        codes = np.column_stack([columns[j].codes for j in np.flatnonzero(counted)])
        scores[counted] = information_gain(codes, target.codes, correction="miller-madow")
    if learned.any():
        seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
        training = Training(target, cv, max_iter, resolve_device(device), seed)
        scores[learned] = training.scores([columns[j] for j in np.flatnonzero(learned)])
        _warn_of_bins(scores, learned & ~discrete & (target.ranks is not None), max_bins)
    return scores


def _warn_of_constants(constant: npt.NDArray[np.bool_], target: Margin) -> None:
    if target.n_cells == 1:
        message = "y is constant: every score is 0."
    elif constant.any():
        places = np.flatnonzero(constant)
        message = f"{len(places)} column(s) of X, the first at position {places[0]}, are constant: their scores are 0."
    else:
        return
    warn(message, ConstantInputWarning)


def _warn_of_bins(scores: Floats, binned: npt.NDArray[np.bool_], max_bins: int) -> None:
    places = np.flatnonzero(binned & (scores > SATURATED * math.log(max_bins)))
    if len(places):
        warn(
            f"{len(places)} column(s), the first at position {places[0]}, score more than {SATURATED} log(max_bins): with "
            f"max_bins={max_bins} no score passes {math.log(max_bins):.2f} nats, and their mutual information may be much "
            "larger.",
            SaturationWarning,
        )
