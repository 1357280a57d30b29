"""The extractability curve: what ever richer families of classifiers read from the same features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils._param_validation import Interval, RealNotInt, validate_params

from skdim._params import look_up
from skdim.evaluation._classifiers import ladder
from skdim.evaluation._frames import frame
from skdim.evaluation._inputs import Array, check_parts, draw_seed, mean_interval, split
from skdim.evaluation._losses import judge


@dataclass(frozen=True, eq=False)
class LadderResult:
    """What each rung of a ladder reads from held-out rows.

    Attributes
    ----------
    names : tuple of str
        The rungs.
    accuracy : ndarray of shape (n_rungs,)
        Share of rows whose most probable label is right.
    log_loss : ndarray of shape (n_rungs,)
        In nats.
    v_information : ndarray of shape (n_rungs,)
        Log-loss of the labels' frequencies minus that of the rung, in nats; raw, so it may be negative.
    interval : ndarray of shape (n_rungs, 2)
        Of the V-information, for the classifiers as they are, on new rows.
    """

    names: tuple[str, ...]
    accuracy: Array
    log_loss: Array
    v_information: Array
    interval: Array

    def __repr__(self) -> str:
        rungs = zip(self.names, self.v_information, self.accuracy, strict=True)
        return f"LadderResult({', '.join(f'{name} {value:.3f} nats ({right:.3f})' for name, value, right in rungs)})"

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with a row for each rung."""
        return frame(
            {
                "rung": self.names,
                "accuracy": self.accuracy,
                "log_loss": self.log_loss,
                "v_information": self.v_information,
                "low": self.interval[:, 0],
                "high": self.interval[:, 1],
            }
        )


@validate_params(
    {
        "Z": ["array-like"],
        "y": ["array-like"],
        "Z_test": ["array-like", None],
        "y_test": ["array-like", None],
        "rungs": [dict, list, tuple, None],
        "test_fraction": [Interval(RealNotInt, 0, 1, closed="neither")],
        "confidence_level": [Interval(RealNotInt, 0, 1, closed="neither")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def probe_ladder(
    Z: Any,
    y: Any,
    Z_test: Any = None,
    y_test: Any = None,
    *,
    rungs: Any = None,
    test_fraction: float = 0.25,
    confidence_level: float = 0.95,
    random_state: Any = None,
) -> LadderResult:
    """Judge features by ever richer families of classifiers.

    A linear probe alone asks two questions at once: what features hold, and whether it lies in a form that linear maps can
    read. Over a ladder of families the curve of V-information tells them apart [1]_: a representation that is merely
    rearranged differs on the low rungs and meets the others on the high ones.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_features)
        Features.
    y : array-like of shape (n_samples,)
        Labels.
    Z_test, y_test : array-like, default=None
        Rows to judge on. None holds out a stratified part of Z and y.
    rungs : dict, sequence of str or None, default=None
        Classifiers with ``predict_proba`` by name; or names out of

        - "constant": the labels' frequencies,
        - "linear": the classifier of :func:`linear_probe`,
        - "knn": nearest neighbours in standardised features, k chosen by leave-one-out log-loss and the labels' frequencies
          counted as one more neighbour, so that no probability is 0,
        - "mlp-1", "mlp-2": networks with one and two layers of 200 ReLUs, stopped by the log-loss on rows of their own,
        - "boosting": gradient boosting of trees, stopped likewise.

        None is all of these. On 60,000 images the last takes minutes.
    test_fraction : float, default=0.25
        Share of the rows that is held out where no part to judge on is given.
    confidence_level : float, default=0.95
        Of the intervals.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out part, and seeds the built-in rungs; classifiers that you give have their own.

    Returns
    -------
    LadderResult
        Accuracy, log-loss, V-information (nats) and its interval for each rung.

    Raises
    ------
    ValueError, TypeError
        If a parameter, features or labels are not what they may be, as :func:`linear_probe`; or a rung is unknown or no
        classifier with ``predict_proba``.

    Warns
    -----
    InfiniteLossWarning
        If a classifier that you gave holds what happened for impossible.

    References
    ----------
    .. [1] Xu, Zhao, Song, Stewart & Ermon, "A theory of usable information under computational constraints", ICLR 2020.

    Examples
    --------
    Of two numbers whose product decides, a linear classifier can use nothing:

    >>> import numpy as np
    >>> from skdim.evaluation import probe_ladder
    >>> Z = np.random.default_rng(0).choice([-1.0, 1.0], size=(800, 2))
    >>> result = probe_ladder(Z, Z.prod(axis=1), rungs=["constant", "linear", "knn"], random_state=0)
    >>> result.v_information.round(1).tolist()
    [0.0, 0.0, 0.7]
    """
    Z, y, given = check_parts(Z, y, Z_test, y_test)
    seed = draw_seed(random_state)
    families = _families(rungs, Z.shape[1], seed)
    parts = given or split(Z, y, test_fraction, [seed, 0])
    judged = [
        judge(clone(family).fit(parts.Z, parts.y), parts.Z_test, parts.y_test, parts.y) for family in families.values()
    ]
    return LadderResult(
        names=tuple(families),
        accuracy=np.array([rung.correct.mean() for rung in judged]),
        log_loss=np.array([-rung.log_q.mean() for rung in judged]),
        v_information=np.array([rung.pointwise.mean() for rung in judged]),
        interval=np.array([mean_interval(rung.pointwise, confidence_level) for rung in judged]),
    )


def _families(rungs: Mapping[str, Any] | Sequence[str] | None, n_features: int, seed: int) -> dict[str, Any]:
    built_in = ladder(n_features, seed)
    if rungs is None:
        return built_in
    if not rungs:
        raise ValueError(f"rungs is empty; give classifiers by name, or names out of {list(built_in)}.")
    if not isinstance(rungs, Mapping):
        return {name: look_up("rung", name, built_in) for name in rungs}
    for name, classifier in rungs.items():
        if not (hasattr(classifier, "fit") and hasattr(classifier, "predict_proba")):
            raise TypeError(
                f"The rung {name!r} is {classifier!r}; expected a scikit-learn classifier with predict_proba. SVMs and "
                "the like get one from CalibratedClassifierCV."
            )
    return dict(rungs)
