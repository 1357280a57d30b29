"""V-information: families of classifiers, and what they can use of X to predict y."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, check_cv
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import indexable

from skdim._sklearn import HasMethods, draw_seed, num_features, safe_indexing
from skdim.evaluation._inputs import Array, Result, Rows, Scaler, check_features, check_labels, mean_interval, validated
from skdim.evaluation._networks import Training, outputs
from skdim.exceptions import InfiniteLossWarning, warn
from skdim.inputs.tables import as_plain

#: Prior variance of a logit, which sets C: weights of variance C on d standardised features give logits of variance C d.
LOGIT_VARIANCE = 10.0
#: Iterations of L-BFGS before scikit-learn warns that it has not converged; a tenth of them is usual.
MAX_ITER = 1000
#: Numbers of neighbours to choose from, and rows that choose.
NEIGHBOURS, N_CHOOSING = (3, 5, 10, 20, 50, 100), 2000
#: Hidden units of the networks, as in the non-linear probe of Hjelm et al. 2019, and their training steps.
HIDDEN, STEPS = 200, 3000
#: Deviation from 1 that is allowed for a sum of probabilities: rounding in half precision.
ROUNDING = 1e-2


class Logistic(LogisticRegression):
    """Logistic regression with probabilities that are never 0."""

    def predict_proba(self, X: npt.NDArray[Any]) -> Array:
        # scikit-learn's reach 0 at a logit of 103 in float32. With two labels they do at 37, where the first has 1 - q.
        logits = self.decision_function(np.asarray(X, dtype=np.float64))
        if logits.ndim == 1:  # of the second label, against the first
            logits = np.column_stack([np.zeros_like(logits), logits])
        return softmax(logits, axis=1)


def logistic(n_features: int, C: float | str = "auto", max_iter: int = MAX_ITER) -> Logistic:
    """Return the linear classifier of standardised features."""
    return Logistic(C=LOGIT_VARIANCE / n_features if isinstance(C, str) else C, max_iter=max_iter)


def linear_classifier(n_features: int) -> Pipeline:
    """Return the linear classifier of any features."""
    return make_pipeline(Scaler(), logistic(n_features))


def ladder(n_features: int, seed: int) -> dict[str, Any]:
    """Return the built-in classifiers by name, from simple to rich."""
    return {
        "constant": DummyClassifier(strategy="prior"),
        "linear": linear_classifier(n_features),
        "knn": make_pipeline(Scaler(), SmoothedNeighbours(seed)),
        "mlp-1": make_pipeline(Scaler(), Perceptron((HIDDEN,), seed)),
        "mlp-2": make_pipeline(Scaler(), Perceptron((HIDDEN, HIDDEN), seed)),
        "boosting": HistGradientBoostingClassifier(max_iter=200, early_stopping=True, random_state=seed),
    }


class SmoothedNeighbours(ClassifierMixin, BaseEstimator):
    """Nearest neighbours and, as one more, the frequencies of the labels; k by leave-one-out log-loss on rows drawn by seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: npt.NDArray[Any], y: npt.NDArray[Any]) -> SmoothedNeighbours:
        self.classes_, self._codes = np.unique(y, return_inverse=True)
        self._frequencies = np.bincount(self._codes) / len(y)
        self._index = NearestNeighbors().fit(X)
        sizes = [k for k in NEIGHBOURS if k < len(X)] or [len(X) - 1]
        rows = np.random.default_rng(self.seed).permutation(len(X))[:N_CHOOSING]
        found = self._index.kneighbors(X[rows], sizes[-1] + 1, return_distance=False)
        # A row is its own neighbour, but among equal rows not always the first: it is moved to the end.
        others = np.take_along_axis(found, np.argsort(found == rows[:, None], axis=1, kind="stable"), axis=1)
        own = self._codes[rows, None]
        losses = [-np.log(np.take_along_axis(self._smoothed(others[:, :k]), own, axis=1)).mean() for k in sizes]
        self.n_neighbors_ = sizes[int(np.argmin(losses))]
        return self

    def _smoothed(self, neighbours: npt.NDArray[np.intp]) -> Array:
        labels = self._codes[neighbours]
        counts = np.stack([(labels == label).sum(axis=1) for label in range(len(self.classes_))], axis=1)
        return (counts + self._frequencies) / (neighbours.shape[1] + 1)

    def predict_proba(self, X: npt.NDArray[Any]) -> Array:
        return self._smoothed(self._index.kneighbors(X, self.n_neighbors_, return_distance=False))


class Perceptron(ClassifierMixin, BaseEstimator):
    """A ReLU network that starts from the frequencies of the labels, stopped by its log-loss on rows of its own."""

    def __init__(self, hidden_layer_sizes: Sequence[int], seed: int) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.seed = seed

    def fit(self, X: npt.NDArray[Any], y: npt.NDArray[Any]) -> Perceptron:
        self.classes_, codes = np.unique(y, return_inverse=True)
        start = torch.from_numpy(np.log(np.bincount(codes) / len(codes))).float()
        training = Training(self.hidden_layer_sizes, STEPS, self.seed, "auto", "probe_ladder")
        self._network = training.supervised(X, torch.from_numpy(codes), start, F.cross_entropy)
        return self

    def predict_proba(self, X: npt.NDArray[Any]) -> Array:
        return np.asarray(outputs(self._network, X).double().softmax(dim=1))


class Judged(NamedTuple):
    """Held-out rows under a fitted classifier, each an array (n,)."""

    log_q: Array  # log q(y | x) of each row's label, in nats
    log_null: Array  # log q(y), from the frequencies of the fitted labels
    correct: Array  # 1 where the most probable label is the row's, else 0

    @property
    def pointwise(self) -> Array:
        """The pointwise V-information of each row, in nats."""
        return self.log_q - self.log_null

    @property
    def measures(self) -> tuple[float, float, float]:
        """Accuracy, log-loss and V-information, the last two in nats."""
        return float(self.correct.mean()), float(-self.log_q.mean()), float(self.pointwise.mean())


def judge(classifier: Any, X: Any, y: npt.NDArray[Any], y_train: npt.NDArray[Any]) -> Judged:
    """Judge a classifier that was fitted with the labels ``y_train`` on other rows."""
    name = type(classifier).__name__
    labels, counts = np.unique(y_train, return_counts=True)
    q = np.asarray(classifier.predict_proba(X), dtype=np.float64)
    if q.shape != (len(y), len(labels)):
        raise ValueError(f"predict_proba of {name} gave shape {q.shape}; expected {(len(y), len(labels))}.")
    proper = (q >= 0).all(axis=1) & np.isclose(q.sum(axis=1), 1, atol=ROUNDING)
    if not proper.all():
        row = q[proper.argmin()].tolist()[:10]
        raise ValueError(f"predict_proba of {name} must give rows that are at least 0 and sum to 1, got {row}.")
    classes, columns = np.asarray(classifier.classes_), np.argsort(classifier.classes_)
    if not np.array_equal(classes[columns], labels):
        raise ValueError(f"classes_ of {name} are {classes[:10]}, but it was fitted on the labels {labels[:10]}.")
    codes = np.searchsorted(labels, y)
    with np.errstate(divide="ignore"):
        log_q = np.log(q[np.arange(len(y)), columns[codes]])
    if n_impossible := int(np.isneginf(log_q).sum()):
        warn(
            f"{name} gives probability 0 to the labels of {n_impossible} of {len(y)} held-out rows: its log-loss is infinite. "
            "Smooth or calibrate its probabilities, for example with CalibratedClassifierCV.",
            InfiniteLossWarning,
        )
    correct = columns[codes] == q.argmax(axis=1)
    return Judged(log_q, np.log(counts / counts.sum())[codes], correct.astype(np.float64))


CONSTRAINTS: dict[str, Any] = {"classifier": [HasMethods(["fit", "predict_proba"]), None], "cv": ["cv_object"]}


@dataclass(frozen=True, eq=False, repr=False)
class VInformationResult(Result):
    """A V-information and its parts, in nats; a frame has one row, without the pointwise values.

    Attributes
    ----------
    value : float
        I_V(X -> Y), the difference of the two entropies; below 0 if the family does worse than the frequencies of the labels.
    interval : tuple of float
        Confidence interval of the value on new rows, for the fitted classifiers.
    entropy, conditional_entropy : float
        H_V(Y | 0) and H_V(Y | X), the held-out log-losses of the labels' frequencies and of the classifiers.
    accuracy : float
        Held-out accuracy of the classifiers.
    pointwise : ndarray of shape (n_samples,)
        The V-information of each row; the mean is ``value``.
    """

    value: float
    interval: tuple[float, float]
    entropy: float
    conditional_entropy: float
    accuracy: float
    pointwise: Array

    def _summary(self) -> str:
        of = f"of H = {self.entropy:.3f}, accuracy {self.accuracy:.3f}"
        return f"{self.value:.3f} nats [{self.interval[0]:.3f}, {self.interval[1]:.3f}] {of}"

    def _columns(self) -> dict[str, Any]:
        value = {"v_information": [self.value], "low": self.interval[0], "high": self.interval[1]}
        return value | {name: getattr(self, name) for name in ("entropy", "conditional_entropy", "accuracy")}


@validated(**CONSTRAINTS)
def v_information(
    X: Any, y: Any, classifier: Any = None, *, cv: Any = 5, confidence_level: float = 0.95, random_state: Any = None
) -> VInformationResult:
    r"""Estimate how much information about y a family of classifiers can use in X, in nats.

    .. math::

        I_V(X \to Y) = H_V(Y \mid \varnothing) - H_V(Y \mid X), \qquad
        H_V(Y \mid X) = \inf_{f \in V} E[-\log f[X](Y)]

    Definition 3 of Xu et al., "A theory of usable information under computational constraints", ICLR 2020. The family V is
    what ``classifier`` can become by fitting. Both entropies are log-losses on rows that were not fitted, and estimate H_V
    from above. The value is the mutual information if V holds all functions; for smaller families it is less, and processing
    X can raise it.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Features, or what ``classifier`` takes; independent rows.
    y : array-like of shape (n_samples,)
        Labels.
    classifier : scikit-learn classifier with ``predict_proba``, default=None
        The family. None is that of :func:`linear_probe`, multinomial logistic regression on standardised features.
    cv : int, splitter or iterable, default=5
        Folds, which hold out each row once. A number makes stratified, shuffled folds.
    confidence_level : float, default=0.95
        Of the interval.
    random_state : int, RandomState instance or None, default=None
        Draws the folds; the classifier has its own.

    Returns
    -------
    VInformationResult
        Value, interval, both entropies, accuracy and the values of the rows.

    Raises
    ------
    ValueError, TypeError
        If a parameter is invalid, y does not fit X or is continuous or has a single label, a fold lacks a label or a row is not
        held out exactly once, or the classifier's probabilities do not sum to 1.

    Warns
    -----
    InfiniteLossWarning
        If a classifier gives probability 0 to a row's label: the value is minus infinity.

    Examples
    --------
    A linear classifier cannot use what two numbers say only together. With their product as a feature it gains log 2 = 0.69:

    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import PolynomialFeatures
    >>> from skdim.evaluation import v_information
    >>> X = np.random.default_rng(0).choice([-1.0, 1.0], size=(1000, 2))
    >>> y = np.where(X[:, 0] == X[:, 1], "same", "different")
    >>> products = make_pipeline(PolynomialFeatures(2), LogisticRegression())
    >>> [abs(round(v_information(X, y, family, random_state=0).value, 1)) for family in (None, products)]
    [0.0, 0.7]
    """
    judged = _judged(X, y, classifier, cv, random_state)
    accuracy, conditional_entropy, value = judged.measures
    interval, entropy = mean_interval(judged.pointwise, confidence_level), float(-judged.log_null.mean())
    return VInformationResult(value, interval, entropy, conditional_entropy, accuracy, judged.pointwise)


@validated(**CONSTRAINTS)
def pointwise_v_information(X: Any, y: Any, classifier: Any = None, *, cv: Any = 5, random_state: Any = None) -> Array:
    r"""Return how much easier x makes it for a family of classifiers to predict each row's label, in nats.

    .. math:: PVI(x \to y) = -\log g[\varnothing](y) + \log g'[x](y)

    Definition 4.1 of Ethayarajh et al., "Understanding dataset difficulty with V-usable information", ICML 2022, there in
    bits. The classifiers g' are fitted on other rows, and g is the frequencies of their labels. A negative value marks a
    label that is unusual for its x, or wrong.

    Parameters
    ----------
    X, y, classifier, cv, random_state
        As in :func:`v_information`, with the same errors and warnings.

    Returns
    -------
    ndarray of shape (n_samples,)
        Values in nats, whose mean is the V-information.

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
    return _judged(X, y, classifier, cv, random_state).pointwise


def _judged(X: Any, y: Any, classifier: Any, cv: Any, random_state: Any) -> Judged:
    """Return all rows, each judged by a classifier of other rows."""
    X = indexable(as_plain(X))[0]
    if classifier is None:
        X = check_features(X, "X")
        classifier = linear_classifier(num_features(X))
    labels = check_labels(y, X=X)
    judged = np.empty((3, len(labels)))
    for train, test in _folds(X, labels, cv, random_state):
        unknown = np.setdiff1d(labels[test], labels[train])
        if len(unknown):
            raise ValueError(
                f"A fold holds labels that the others do not: {unknown[:5].tolist()}. Drop or merge rare labels, or give a "
                "stratified cv."
            )
        fitted = clone(classifier).fit(safe_indexing(X, train), labels[train])
        judged[:, test] = judge(fitted, safe_indexing(X, test), labels[test], labels[train])
    return Judged(*judged)


def _folds(X: Any, y: npt.NDArray[Any], cv: Any, random_state: Any) -> list[tuple[Rows, Rows]]:
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
    return folds
