"""The linear probe: what a linear classifier reads from features, with many labels and with few."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions, validate_params

from skdim._params import check_size
from skdim.evaluation._classifiers import MAX_ITER, logistic
from skdim.evaluation._frames import frame
from skdim.evaluation._inputs import Array, Parts, Rows, check_parts, draw_seed, split
from skdim.evaluation._losses import judge


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """What a linear probe reads, for each number of labels and each draw of them.

    Attributes
    ----------
    n_labels : ndarray of int of shape (n_budgets,)
        Rows whose labels the probe saw.
    accuracy : ndarray of shape (n_budgets, n_draws)
        Share of held-out rows whose most probable label is right.
    log_loss : ndarray of shape (n_budgets, n_draws)
        Held-out log-loss, in nats.
    v_information : ndarray of shape (n_budgets, n_draws)
        Log-loss of the labels' frequencies minus that of the probe, in nats; raw, so it may be negative.
    """

    n_labels: npt.NDArray[np.int64]
    accuracy: Array
    log_loss: Array
    v_information: Array

    @property
    def mean(self) -> dict[str, Array]:
        """Mean over draws of accuracy, log_loss and v_information, each of shape (n_budgets,)."""
        return {name: values.mean(axis=1) for name, values in self._columns().items()}

    @property
    def sd(self) -> dict[str, Array]:
        """Standard deviation over draws, likewise; NaN of a single draw."""
        if self.accuracy.shape[1] == 1:
            return {name: np.full(len(values), np.nan) for name, values in self._columns().items()}
        return {name: values.std(axis=1, ddof=1) for name, values in self._columns().items()}

    def _columns(self) -> dict[str, Array]:
        return {"accuracy": self.accuracy, "log_loss": self.log_loss, "v_information": self.v_information}

    def __repr__(self) -> str:
        mean, sd = self.mean, self.sd
        budgets = []
        for b, n in enumerate(self.n_labels):
            spread = "" if np.isnan(sd["accuracy"][b]) else f" ± {sd['accuracy'][b]:.3f}"
            budgets.append(
                f"{n} labels: accuracy {mean['accuracy'][b]:.3f}{spread}, V-information {mean['v_information'][b]:.3f} nats"
            )
        return f"ProbeResult({'; '.join(budgets)})"

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with a row for each number of labels and draw."""
        n_budgets, n_draws = self.accuracy.shape
        return frame(
            {
                "n_labels": np.repeat(self.n_labels, n_draws),
                "draw": np.tile(np.arange(n_draws), n_budgets),
                **{name: values.ravel() for name, values in self._columns().items()},
            }
        )


@validate_params(
    {
        "Z": ["array-like"],
        "y": ["array-like"],
        "Z_test": ["array-like", None],
        "y_test": ["array-like", None],
        "n_labels": [Integral, "array-like", None],
        "n_draws": [Interval(Integral, 1, None, closed="left")],
        "C": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "test_fraction": [Interval(RealNotInt, 0, 1, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
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

    Multinomial logistic regression on standardised features, run until it has converged: the log-loss of one that was stopped
    early, or of one without penalty, says as much about the optimiser as about the features. Standardisation is learned from
    all rows of ``Z``, since features need no labels. Of two labels one w is fitted and penalised: the second's
    against the first.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_features)
        Features.
    y : array-like of shape (n_samples,)
        Labels.
    Z_test, y_test : array-like, default=None
        Rows to judge on. None holds out a stratified part of Z and y, another one for each draw.
    n_labels : int, None, or sequence of these, default=None
        How many labels the probe sees; None is all. Numbers are drawn in equal parts from all labels, and a larger number
        of the same draw holds the smaller.
    n_draws : int, default=1
        How often labels, and held-out parts, are drawn.
    C : float or "auto", default="auto"
        Inverse strength of the penalty, on the sum over rows. "auto" is 10 / n_features: before any row is seen, logits have
        variance 10 whatever the width, and the probe does not change where every feature is given twice.
    test_fraction : float, default=0.25
        Share of the rows that is held out where no part to judge on is given.
    max_iter : int, default=1000
        Most iterations of L-BFGS; where they do not suffice, scikit-learn's ``ConvergenceWarning`` says so.
    random_state : int, RandomState instance or None, default=None
        Draws labels and held-out parts.

    Returns
    -------
    ProbeResult
        Accuracy, log-loss and V-information (both in nats) for each number of labels and draw.

    Raises
    ------
    ValueError, TypeError
        If a parameter is not what it may be; features are not finite numbers, or differ in width; y is continuous, has one
        label, or fewer rows of a label than are to be drawn; y_test holds labels that y does not; or draws would all be the
        same.

    Warns
    -----
    ConvergenceWarning
        Scikit-learn's own, where L-BFGS has not converged.

    See Also
    --------
    probe_ladder : What other classifiers read from the same features.
    v_information : The same V-information cross-fitted over all rows, with an interval.

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
            f"n_draws={n_draws} would repeat the same probe: with a given part to judge on, and all labels, nothing is drawn."
        )
    seed = draw_seed(random_state)
    measured = np.empty((3, len(budgets), n_draws))
    for draw in range(n_draws):
        parts = given or split(Z, y, test_fraction, [seed, draw])
        scaler = StandardScaler().fit(parts.Z)
        parts = parts._replace(Z=scaler.transform(parts.Z), Z_test=scaler.transform(parts.Z_test))
        order = _balanced_order(parts.y, np.random.default_rng([seed, draw]))
        for b, budget in enumerate(budgets):
            if budget is None and given is not None and draw:  # nothing was drawn
                measured[:, b, draw] = measured[:, b, 0]
            else:
                measured[:, b, draw] = _probe(parts, _rows(order, parts.y, budget), C, max_iter)
    n_train = len(parts.y)
    return ProbeResult(np.array([budget or n_train for budget in budgets]), *measured)


def _probe(parts: Parts, rows: Rows, C: float | str, max_iter: int) -> tuple[float, float, float]:
    """Return accuracy, log-loss and V-information of a probe that sees the labels of these rows."""
    classifier = logistic(parts.Z.shape[1], C, max_iter).fit(parts.Z[rows], parts.y[rows])
    judged = judge(classifier, parts.Z_test, parts.y_test, parts.y[rows])
    return float(judged.correct.mean()), float(-judged.log_q.mean()), float(judged.pointwise.mean())


def _budgets(n_labels: Any) -> list[int | None]:
    given = [n_labels] if n_labels is None or isinstance(n_labels, Integral) else list(n_labels)
    if not given:
        raise ValueError("n_labels is empty; give numbers of labels, or None for all.")
    for budget in given:
        if budget is not None:
            check_size("n_labels", budget)
    return [None if budget is None else int(budget) for budget in given]


def _balanced_order(y: npt.NDArray[Any], rng: np.random.Generator) -> Rows:
    """Return the rows in an order of which every beginning holds all labels equally often: theirs in turn."""
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
    if not len(labels) <= budget <= len(labels) * counts.min():
        raise ValueError(
            f"n_labels={budget} cannot be drawn in equal parts: there are {len(labels)} labels, and {counts.min()} training "
            f"rows of the rarest, {labels.tolist()[counts.argmin()]!r}. Allowed are {len(labels)} to "
            f"{len(labels) * counts.min()}, or None for all."
        )
    return order[:budget]
