"""V-information: what a family of classifiers can use of X to predict y."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, check_cv
from sklearn.utils import indexable
from sklearn.utils._indexing import _safe_indexing
from sklearn.utils._param_validation import HasMethods, Interval, RealNotInt, validate_params
from sklearn.utils.validation import _num_features

from skdim.evaluation._classifiers import linear_classifier
from skdim.evaluation._frames import frame
from skdim.evaluation._inputs import Array, Rows, check_features, check_labels, draw_seed, mean_interval
from skdim.evaluation._losses import Judged, judge

CONSTRAINTS: dict[str, Any] = {
    "y": ["array-like"],
    "classifier": [HasMethods(["fit", "predict_proba"]), None],
    "cv": ["cv_object"],
    "random_state": ["random_state"],
}


@dataclass(frozen=True, eq=False)
class VInformationResult:
    """A V-information with its parts, in nats.

    Attributes
    ----------
    value : float
        I_V(X -> Y), the difference of the two entropies; raw, and so below 0 where the family learned less than nothing.
    interval : tuple of float
        Confidence interval of what these classifiers are worth on new rows.
    entropy : float
        H_V(Y | 0), the held-out log-loss without X: of the labels' frequencies.
    conditional_entropy : float
        H_V(Y | X), the held-out log-loss of the classifiers.
    accuracy : float
        Of the classifiers, held out.
    pointwise : ndarray of shape (n,)
        Of each row, in the order of the rows; the mean is ``value``.
    """

    value: float
    interval: tuple[float, float]
    entropy: float
    conditional_entropy: float
    accuracy: float
    pointwise: Array = field(repr=False)

    def __repr__(self) -> str:
        low, high = self.interval
        return (
            f"VInformationResult({self.value:.3f} nats [{low:.3f}, {high:.3f}] of H = {self.entropy:.3f}, "
            f"accuracy {self.accuracy:.3f})"
        )

    def to_frame(self) -> Any:
        """Return a pandas DataFrame of one row: all but the pointwise values."""
        return frame(
            {
                "v_information": [self.value],
                "low": [self.interval[0]],
                "high": [self.interval[1]],
                "entropy": [self.entropy],
                "conditional_entropy": [self.conditional_entropy],
                "accuracy": [self.accuracy],
            }
        )


@validate_params(
    {**CONSTRAINTS, "confidence_level": [Interval(RealNotInt, 0, 1, closed="neither")]},
    prefer_skip_nested_validation=True,
)
def v_information(
    X: Any,
    y: Any,
    classifier: Any = None,
    *,
    cv: Any = 5,
    confidence_level: float = 0.95,
    random_state: Any = None,
) -> VInformationResult:
    r"""Estimate how much information about y a family of classifiers can use in X, in nats.

    .. math::

        I_V(X \to Y) = H_V(Y \mid \varnothing) - H_V(Y \mid X), \qquad
        H_V(Y \mid X) = \inf_{f \in V} E[-\log f[X](Y)]

    Xu et al. [1]_, Definition 3. The family V is what ``classifier`` can become by fitting. Each row is judged by a classifier
    that was fitted on other rows, so both entropies are held-out log-losses: estimates from above. Without x such families are
    left with the frequencies of the labels.

    With all functions as the family it is the mutual information; with fewer it is less, processing X can raise it, and it
    says what Shannon's information cannot: how much of it is within reach.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Features, or whatever ``classifier`` takes. Rows must be independent of each other.
    y : array-like of shape (n_samples,)
        Labels.
    classifier : scikit-learn classifier with ``predict_proba``, default=None
        The family. None is that of :func:`linear_probe`, multinomial logistic regression on standardised features.
    cv : int, splitter or iterable, default=5
        Parts in which rows are held out, each row once; a number makes stratified, shuffled ones.
    confidence_level : float, default=0.95
        Of the interval.
    random_state : int, RandomState instance or None, default=None
        Draws the parts; the classifier has its own.

    Returns
    -------
    VInformationResult
        Value, interval, both entropies, accuracy, and the rows' values.

    Raises
    ------
    ValueError, TypeError
        If a parameter is not what it may be, X and y differ in length, y is continuous or has one label, a label has fewer
        rows than ``cv``, the parts do not hold out every row once, or a classifier gives rows that do not sum to 1.

    Warns
    -----
    InfiniteLossWarning
        If a classifier gives probability 0 to a row's label: the value is minus infinity.
    ConvergenceWarning
        Scikit-learn's own, from the classifier.

    See Also
    --------
    pointwise_v_information : The rows' values alone.
    probe_ladder : Several families side by side.
    skdim.MIEstimator : Mutual information, whatever the family.

    Notes
    -----
    The interval is that of a mean of rows. It covers what these classifiers are worth on new rows, not how they would have come
    out on other training rows.

    References
    ----------
    .. [1] Xu, Zhao, Song, Stewart & Ermon, "A theory of usable information under computational constraints", ICLR 2020.

    Examples
    --------
    No linear classifier can use what two numbers say only together; with their product as a feature it can, and
    gains log 2.

    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import PolynomialFeatures
    >>> from skdim.evaluation import v_information
    >>> X = np.random.default_rng(0).choice([-1.0, 1.0], size=(1000, 2))
    >>> y = np.where(X[:, 0] == X[:, 1], "same", "different")
    >>> abs(round(v_information(X, y, random_state=0).value, 1))
    0.0
    >>> products = make_pipeline(PolynomialFeatures(2), LogisticRegression())
    >>> round(v_information(X, y, products, random_state=0).value, 2)
    0.69
    """
    judged = _cross_fitted(X, y, classifier, cv, random_state)
    return VInformationResult(
        value=float(judged.pointwise.mean()),
        interval=mean_interval(judged.pointwise, confidence_level),
        entropy=float(-judged.log_null.mean()),
        conditional_entropy=float(-judged.log_q.mean()),
        accuracy=float(judged.correct.mean()),
        pointwise=judged.pointwise,
    )


@validate_params(CONSTRAINTS, prefer_skip_nested_validation=True)
def pointwise_v_information(X: Any, y: Any, classifier: Any = None, *, cv: Any = 5, random_state: Any = None) -> Array:
    r"""Return how much easier x makes each row's label for a family of classifiers, in nats.

    .. math:: PVI(x \to y) = -\log g[\varnothing](y) + \log g'[x](y)

    Ethayarajh et al. [1]_, Definition 4.1, there in bits. The classifiers g' are fitted on other rows, and g without x is the
    frequencies of their labels. A row below 0 is harder with x than without: an unusual or a wrong label.

    Parameters
    ----------
    X, y, classifier, cv, random_state
        See :func:`v_information`, which returns the mean with an interval.

    Returns
    -------
    ndarray of shape (n_samples,)
        In nats.

    Raises
    ------
    ValueError, TypeError
        As :func:`v_information`.

    Warns
    -----
    InfiniteLossWarning
        If a classifier gives probability 0 to a row's label.

    References
    ----------
    .. [1] Ethayarajh, Choi & Swayamdipta, "Understanding dataset difficulty with V-usable information", ICML 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.evaluation import pointwise_v_information
    >>> x = np.linspace(-3, 3, 200)
    >>> y = np.where(x > 0, "right", "left")
    >>> y[0] = "right"                                             # a wrong label
    >>> int(pointwise_v_information(x[:, None], y, random_state=0).argmin())
    0
    """
    return _cross_fitted(X, y, classifier, cv, random_state).pointwise


def _cross_fitted(X: Any, y: Any, classifier: Any, cv: Any, random_state: Any) -> Judged:
    X, y = indexable(X, y)
    if classifier is None:
        X = check_features(X, "X")
        classifier = linear_classifier(_num_features(X))
    labels = check_labels(y, X)
    result = Judged(np.empty(len(labels)), np.empty(len(labels)), np.empty(len(labels), dtype=bool))
    for train, test in _folds(X, labels, cv, random_state):
        unknown = np.setdiff1d(labels[test], labels[train])
        if len(unknown):
            raise ValueError(
                f"A part holds labels that the others do not: {unknown[:5].tolist()}. Drop or merge rare labels, or give a cv "
                "that is stratified."
            )
        fitted = clone(classifier).fit(_safe_indexing(X, train), labels[train])
        judged = judge(fitted, _safe_indexing(X, test), labels[test], labels[train])
        for of_all, of_fold in zip(result, judged, strict=True):
            of_all[test] = of_fold
    return result


def _folds(X: Any, y: npt.NDArray[Any], cv: Any, random_state: Any) -> Iterator[tuple[Rows, Rows]]:
    if isinstance(cv, Integral):
        labels, counts = np.unique(y, return_counts=True)
        if counts.min() < cv:
            raise ValueError(
                f"The label {labels.tolist()[counts.argmin()]!r} has {counts.min()} row(s), fewer than cv={cv}: "
                "drop or merge rare labels, or give a smaller cv."
            )
        cv = StratifiedKFold(int(cv), shuffle=True, random_state=draw_seed(random_state))
    folds = list(check_cv(cv, y, classifier=True).split(X, y))
    held_out = np.sort(np.concatenate([test for _, test in folds]))
    if not np.array_equal(held_out, np.arange(len(y))):
        raise ValueError("cv must hold out every row exactly once.")
    yield from folds
