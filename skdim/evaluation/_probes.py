"""What classifiers read from features: a linear one, with many labels and with few, and ever richer families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from skdim._params import check_size, look_up
from skdim._sklearn import Interval, StrOptions, draw_seed
from skdim.evaluation._inputs import Array, Result, Rows, Scaler, check_parts, mean_interval, split, validated
from skdim.evaluation._v_information import MAX_ITER, judge, ladder, logistic


def _measures(result: Result) -> dict[str, Array]:
    return {name: getattr(result, name) for name in ("accuracy", "log_loss", "v_information")}


@dataclass(frozen=True, eq=False, repr=False)
class ProbeResult(Result):
    """What a linear probe reads from held-out rows; a frame has a row for each number of labels and draw.

    Attributes
    ----------
    n_labels : ndarray of int of shape (n_budgets,)
        Rows whose labels the probe saw.
    accuracy, log_loss : ndarray of shape (n_budgets, n_draws)
        Share of rows whose most probable label is right, and log-loss in nats.
    v_information : ndarray of shape (n_budgets, n_draws)
        Log-loss of the labels' frequencies minus that of the probe, in nats. It is not clipped at 0.
    """

    n_labels: npt.NDArray[np.int64]
    accuracy: Array
    log_loss: Array
    v_information: Array

    @property
    def mean(self) -> dict[str, Array]:
        """Mean over draws of accuracy, log_loss and v_information, each of shape (n_budgets,)."""
        return {name: values.mean(axis=1) for name, values in _measures(self).items()}

    @property
    def sd(self) -> dict[str, Array]:
        """Standard deviation over draws of the same; NaN for a single draw."""
        one, measures = self.accuracy.shape[1] == 1, _measures(self)
        return {name: v[:, 0] * np.nan if one else v.std(axis=1, ddof=1) for name, v in measures.items()}

    def _summary(self) -> str:
        mean, sd, budgets = self.mean, self.sd["accuracy"], []
        for n, accuracy, spread, value in zip(self.n_labels, mean["accuracy"], sd, mean["v_information"], strict=True):
            after = "" if np.isnan(spread) else f" ± {spread:.3f}"
            budgets.append(f"{n} labels: accuracy {accuracy:.3f}{after}, V-information {value:.3f} nats")
        return "; ".join(budgets)

    def _columns(self) -> dict[str, Any]:
        n_budgets, n_draws = self.accuracy.shape
        draws = {"n_labels": np.repeat(self.n_labels, n_draws), "draw": np.tile(np.arange(n_draws), n_budgets)}
        return {**draws, **{name: values.ravel() for name, values in _measures(self).items()}}


@dataclass(frozen=True, eq=False, repr=False)
class LadderResult(Result):
    r"""What each rung of a ladder reads from held-out rows; a frame has a row for each rung.

    Attributes
    ----------
    names : tuple of str
        The rungs.
    accuracy, log_loss, v_information : ndarray of shape (n_rungs,)
        As in :class:`ProbeResult`.
    interval : ndarray of shape (n_rungs, 2)
        Confidence interval of the V-information on new rows, for the fitted classifiers.
    nested : ndarray of shape (n_rungs,)
        V-information of the family that holds all rungs up to this one, in nats: that of the best rung so far. Each half of the
        held-out rows is judged by the rung that the other half chooses; a richer one must be ahead by a standard error. It does
        not fall.
    """

    names: tuple[str, ...]
    accuracy: Array
    log_loss: Array
    v_information: Array
    interval: Array
    nested: Array

    @property
    def area(self) -> float:
        r"""What the rungs beyond the linear one add, in nats: the mean height of ``nested`` above its value at "linear".

        .. math:: \int_0^1 \bigl( I_{V(t)} - I_{V(0)} \bigr) \, dt

        V(t) runs from the linear rung to the last one in equal steps. It is 0 if a linear classifier uses all there is.
        Without a rung "linear" that is followed by others, ValueError.
        """
        if "linear" not in self.names[:-1]:
            raise ValueError(
                f"The area needs a rung 'linear' that is followed by others, got the rungs {list(self.names)}."
            )
        heights = self.nested[self.names.index("linear") :]
        return float(((heights[1:] + heights[:-1]) / 2 - heights[0]).mean())

    def _summary(self) -> str:
        rungs = zip(self.names, self.v_information, self.accuracy, strict=True)
        return ", ".join(f"{name} {value:.3f} nats ({accuracy:.3f})" for name, value, accuracy in rungs)

    def _columns(self) -> dict[str, Any]:
        low, high = self.interval.T
        return {"rung": self.names, **_measures(self), "low": low, "high": high, "nested": self.nested}


@validated(
    n_labels=[Integral, "array-like", None],
    n_draws=[Interval(Integral, 1, None, closed="left")],
    C=[StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
    max_iter=[Interval(Integral, 1, None, closed="left")],
)
def linear_probe(
    Z: Any,
    y: Any,
    Z_test: Any = None,
    y_test: Any = None,
    *,
    n_labels: Any = None,
    n_draws: int = 1,
    C: float | str = "auto",
    test_fraction: float = 0.25,
    max_iter: int = MAX_ITER,
    random_state: Any = None,
) -> ProbeResult:
    r"""Fit a linear classifier on frozen features and judge it on held-out rows.

    .. math::

        \max_{W, b} \; C \sum_i \log q(y_i \mid z_i) - \tfrac12 \|W\|^2, \qquad q(y \mid z) \propto e^{w_y \cdot z + b_y}

    Multinomial logistic regression on standardised features, with the mean and scale of all rows of ``Z``. It is penalised and
    runs until it converges, so that its log-loss tells of the features and not of the optimiser.

    Parameters
    ----------
    Z, y : array-like of shape (n_samples, n_features), array-like of shape (n_samples,)
        Features and labels.
    Z_test, y_test : array-like, default=None
        Held-out rows. None holds out a stratified part, a new one for each draw.
    n_labels : int, None, or sequence of these, default=None
        How many labels the probe sees, drawn with equally many rows of each label; None is all. Within a draw a larger number
        contains the smaller.
    n_draws : int, default=1
        How often labels, and held-out parts, are drawn.
    C : float or "auto", default="auto"
        Inverse strength of the penalty, on the sum over rows. "auto" is 10 / n_features: the prior variance of a logit is then
        10 for every width.
    test_fraction : float, default=0.25
        Share of the rows that is held out if no held-out rows are given.
    max_iter : int, default=1000
        Largest number of L-BFGS iterations, beyond which scikit-learn warns with ``ConvergenceWarning``.
    random_state : int, RandomState instance or None, default=None
        Draws labels and held-out parts.

    Returns
    -------
    ProbeResult
        Accuracy, log-loss and V-information for each number of labels and draw.

    Raises
    ------
    ValueError, TypeError
        If a parameter is invalid, features are not finite or differ in width, y is continuous or has a single label or too few
        rows of a label for ``n_labels``, y_test has labels that y lacks, or all draws would be the same.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdim.evaluation import linear_probe
    >>> X, y = load_digits(return_X_y=True)
    >>> result = linear_probe(X, y, n_labels=[50, None], n_draws=3, random_state=0)
    >>> result.n_labels.tolist(), result.mean["accuracy"].round(1).tolist()
    ([50, 1347], [0.8, 1.0])
    """
    Z, y, given = check_parts(Z, y, Z_test, y_test)
    budgets = _budgets(n_labels)
    if given is not None and n_draws > 1 and all(budget is None for budget in budgets):
        raise ValueError(
            f"n_draws={n_draws} would repeat the same probe: with given held-out rows and all labels, nothing is drawn."
        )
    seed = draw_seed(random_state)
    measured = np.empty((3, len(budgets), n_draws))
    for draw in range(n_draws):
        if given is None or draw == 0:
            parts = given or split(Z, y, test_fraction, [seed, draw])
            scaler = Scaler().fit(parts.Z)
            Z_train, Z_held_out = scaler.transform(parts.Z), scaler.transform(parts.Z_test)
        order = _balanced_order(parts.y, np.random.default_rng([seed, draw]))
        for b, budget in enumerate(budgets):
            if budget is None and given is not None and draw:  # nothing was drawn
                measured[:, b, draw] = measured[:, b, 0]
                continue
            rows = _rows(order, parts.y, budget)
            classifier = logistic(Z.shape[1], C, max_iter).fit(Z_train[rows], parts.y[rows])
            measured[:, b, draw] = judge(classifier, Z_held_out, parts.y_test, parts.y[rows]).measures
    return ProbeResult(np.array([budget or len(parts.y) for budget in budgets]), *measured)


def _budgets(n_labels: Any) -> list[Any]:
    budgets = [n_labels] if n_labels is None or isinstance(n_labels, Integral) else list(n_labels)
    if not budgets:
        raise ValueError("n_labels is empty; give numbers of labels, or None for all.")
    for budget in budgets:
        if budget is not None:
            check_size("n_labels", budget)
    return budgets


def _balanced_order(y: npt.NDArray[Any], rng: np.random.Generator) -> Rows:
    """Return the rows in a random order that takes the labels in turn: every beginning of it is balanced."""
    labels, codes = np.unique(y, return_inverse=True)
    codes = rng.permutation(len(labels))[codes]
    shuffled = rng.permutation(len(y))
    by_label = shuffled[np.argsort(codes[shuffled], kind="stable")]
    counts = np.bincount(codes)
    turn = np.arange(len(y)) - np.repeat(np.cumsum(counts) - counts, counts)
    return by_label[np.lexsort((codes[by_label], turn))]


def _rows(order: Rows, y: npt.NDArray[Any], budget: int | None) -> Rows:
    if budget is None:
        return np.arange(len(y))
    labels, counts = np.unique(y, return_counts=True)
    least, most = len(labels), len(labels) * counts.min()
    if not least <= budget <= most:
        raise ValueError(
            f"n_labels={budget} cannot be drawn in equal parts: there are {least} labels, and {counts.min()} training rows of "
            f"the rarest, {labels.tolist()[counts.argmin()]!r}. Allowed are {least} to {most}, or None for all."
        )
    return order[:budget]


@validated(rungs=[dict, list, tuple, None])
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
    r"""Judge features by ever richer families V of classifiers, each by its V-information, in nats.

    .. math:: I_V(Z \to Y) = H_V(Y \mid \varnothing) - H_V(Y \mid Z)

    Xu et al., "A theory of usable information under computational constraints", ICLR 2020. A fitted rung may use less than a
    simpler one; the family that holds both may not, and ``nested`` of the result is its value. The ladder tells features with
    little information from features that hold it in a form that is not linear: the latter differ on the low rungs alone.

    Parameters
    ----------
    Z, y, Z_test, y_test
        As in :func:`linear_probe`.
    rungs : dict, sequence of str or None, default=None
        Classifiers with ``predict_proba`` by name, or some of these names; None is all of them. A classifier that gives
        probability 0 to a held-out label causes an :class:`~skdim.exceptions.InfiniteLossWarning`.

        - "constant": the frequencies of the labels,
        - "linear": the classifier of :func:`linear_probe`,
        - "knn": nearest neighbours in standardised features, k chosen by leave-one-out log-loss, and the frequencies of the
          labels as one more neighbour,
        - "mlp-1", "mlp-2": networks with one and two layers of 200 ReLUs, stopped by the log-loss on held-out rows,
        - "boosting": gradient-boosted trees, stopped in the same way; minutes on 60,000 images.
    test_fraction, confidence_level : float, default=0.25, 0.95
        Share of the rows that is held out if no held-out rows are given, and level of the intervals.
    random_state : int, RandomState instance or None, default=None
        Draws the held-out part and seeds the built-in rungs; your own classifiers have their own.

    Returns
    -------
    LadderResult
        Accuracy, log-loss, V-information and its interval for each rung, and that of the best rung so far.

    Examples
    --------
    If the product of two numbers decides, a linear classifier can use nothing:

    >>> import numpy as np
    >>> from skdim.evaluation import probe_ladder
    >>> Z = np.random.default_rng(0).choice([-1.0, 1.0], size=(800, 2))
    >>> result = probe_ladder(Z, Z.prod(axis=1), rungs=["constant", "linear", "knn"], random_state=0)
    >>> result.v_information.round(1).tolist(), result.nested.round(1).tolist(), round(result.area, 1)
    ([0.0, 0.0, 0.7], [0.0, 0.0, 0.7], 0.3)
    """
    Z, y, given = check_parts(Z, y, Z_test, y_test)
    seed = draw_seed(random_state)
    families = _families(rungs, Z.shape[1], seed)
    parts = given or split(Z, y, test_fraction, [seed, 0])
    fitted = [clone(classifier).fit(parts.Z, parts.y) for classifier in families.values()]
    judged = [judge(classifier, parts.Z_test, parts.y_test, parts.y) for classifier in fitted]
    accuracy, log_loss, v_information = np.array([rung.measures for rung in judged]).T
    intervals = np.array([mean_interval(rung.pointwise, confidence_level) for rung in judged])
    halves = np.random.default_rng([seed, 1]).permutation(len(parts.y_test)) % 2 == 0
    nested = _best_so_far(np.array([rung.pointwise for rung in judged]), halves)
    return LadderResult(tuple(families), accuracy, log_loss, v_information, intervals, nested)


def _best_so_far(values: Array, half: npt.NDArray[np.bool_]) -> Array:
    """Return the mean value of the best rung up to each, from those of rows (n_rungs, n); each half chooses for the other."""
    nested = np.empty_like(values)
    for judged in (half, ~half):
        best = 0
        for k in range(len(values)):
            ours, theirs = values[k, ~judged], values[best, ~judged]
            if np.isfinite(ours).all():
                # Of a rung that gave a label the probability 0, any other is ahead.
                gain = ours - theirs if np.isfinite(theirs).all() else np.ones(1)
                best = k if gain.mean() > gain.std() / np.sqrt(len(gain)) else best
            nested[k, judged] = values[best, judged]
    return np.maximum.accumulate(nested.mean(axis=1))  # a choice that fails is no loss to a family that holds both


def _families(rungs: Mapping[str, Any] | Sequence[str] | None, n_features: int, seed: int) -> dict[str, Any]:
    built_in = ladder(n_features, seed)
    if rungs is None:
        return built_in
    if not rungs:
        raise ValueError(f"rungs is empty; give classifiers by name, or some of the names {list(built_in)}.")
    if not isinstance(rungs, Mapping):
        return {name: look_up("rung", name, built_in) for name in rungs}
    for name, classifier in rungs.items():
        if not (hasattr(classifier, "fit") and hasattr(classifier, "predict_proba")):
            raise TypeError(
                f"The rung {name!r} is {classifier!r}; expected a scikit-learn classifier with predict_proba. Wrap a "
                "classifier without it, such as an SVM, in CalibratedClassifierCV."
            )
    return dict(rungs)
