"""What classifiers lose on held-out rows: the log probability of the label, against that of a null model."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from skdim.evaluation._inputs import Array
from skdim.exceptions import InfiniteLossWarning, warn

#: What rounding in half precision may add to a sum of probabilities.
ROUNDING = 1e-2


class Judged(NamedTuple):
    """Held-out rows under a fitted classifier.

    Attributes
    ----------
    log_q : ndarray of shape (n,)
        log q(y | x) of each row's label, in nats.
    log_null : ndarray of shape (n,)
        log q(y) of the classifier that sees no x: the frequencies of the labels it was fitted on.
    correct : ndarray of bool of shape (n,)
        Whether the most probable label is the row's.
    """

    log_q: Array
    log_null: Array
    correct: npt.NDArray[np.bool_]

    @property
    def pointwise(self) -> Array:
        """The rows' pointwise V-information, whose mean is the V-information."""
        return self.log_q - self.log_null


def judge(classifier: Any, X: Any, y: npt.NDArray[Any], y_train: npt.NDArray[Any]) -> Judged:
    """Judge a classifier that was fitted with the labels ``y_train`` on other rows."""
    labels, counts = np.unique(y_train, return_counts=True)
    q = np.asarray(classifier.predict_proba(X), dtype=np.float64)
    if q.shape != (len(y), len(labels)):
        raise ValueError(
            f"predict_proba of {type(classifier).__name__} gave shape {q.shape}; expected {(len(y), len(labels))}, a row for "
            "each sample and a column for each label."
        )
    proper = (q >= 0).all(axis=1) & np.isclose(q.sum(axis=1), 1, atol=ROUNDING)
    if not proper.all():
        raise ValueError(
            f"predict_proba of {type(classifier).__name__} must give rows that are at least 0 and sum to 1, got "
            f"{q[proper.argmin()].tolist()[:10]}."
        )
    codes = np.searchsorted(labels, y)
    with np.errstate(divide="ignore"):
        log_q = np.log(q[np.arange(len(y)), _columns(classifier, labels)[codes]])
    n_impossible = int(np.isneginf(log_q).sum())
    if n_impossible:
        warn(
            f"{type(classifier).__name__} gives probability 0 to the labels of {n_impossible} of {len(y)} held-out rows: its "
            "log-loss is infinite. Smooth or calibrate its probabilities, as CalibratedClassifierCV does.",
            InfiniteLossWarning,
        )
    correct = _columns(classifier, labels)[codes] == q.argmax(axis=1)
    return Judged(log_q, np.log(counts / counts.sum())[codes], correct)


def _columns(classifier: Any, labels: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return the column of each sorted label in the classifier's probabilities."""
    order = np.argsort(classifier.classes_)
    if not np.array_equal(np.asarray(classifier.classes_)[order], labels):
        raise ValueError(
            f"{type(classifier).__name__} knows the labels {list(classifier.classes_)[:10]}, but was fitted on "
            f"{labels[:10].tolist()}."
        )
    return np.asarray(order)
