r"""Mutual information given a third variable, from estimators of mutual information.

.. math:: I(X; Y \mid Z) = I(X', Z; Y') - I(Z; Y'), \qquad I(X; Y \mid Z) = \sum_z p(z) \, I(X; Y \mid Z = z)

X' and Y' are what regressions on Z leave: maps that are invertible for every z change no information given Z, and little is
left of I(Z; Y'). Both terms rest on the same rows and folds, so that errors cancel. If Z takes few values that many rows have,
the second formula has fewer errors that could remain.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from skdim._sklearn import draw_seed
from skdim.exceptions import ConstantInputWarning, DuplicateRowsWarning, SmallSampleWarning, warn
from skdim.information.caveats import of_copies
from skdim.information.copies import duplicated_rows
from skdim.information.folds import joined
from skdim.information.intervals import SMALLEST_SD, Array, Rows, error_of_mean, mean_and_error, normal_interval
from skdim.information.permutations import conditional_test
from skdim.information.residuals import Residuals
from skdim.information.result import MOST_TESTED, N_PERMUTATIONS, MIResult
from skdim.information.sides import (
    OR_BY_PARAMETER,
    ROWS_PER_LABEL,
    Columns,
    Mask,
    Side,
    is_constant,
    joined_columns,
    load_sides,
    side_columns,
    state_of_sides,
    strata,
    warn_of_columns,
)
from skdim.inputs.tables import check_lengths, column_labels
from skdim.training.state import part

if TYPE_CHECKING:
    from skdim.information.estimator import MIEstimator

#: Estimators whose difference is an estimate.
ESTIMATORS = ("auto", "gaussian")
#: Fewest rows of each value of Z, and most values, for each value to have an estimator of its own.
FEWEST_IN_STRATUM, MOST_STRATA = 200, 10
#: What a saved state holds of :class:`Given` as it is.
FLAGS = ("is_stratified", "is_exchanged", "adds_nothing")

Three = tuple[Columns, Columns, Columns]  # of x, y and z


@dataclass
class Given:
    """Estimators whose values, weighted, add up to the information of x and y given z."""

    sides: list[Side]  # x, y and z, as messages call them
    is_stratified: bool  # whether each label of z has an estimator; else there are two, of (x, z) and of z with y
    is_exchanged: bool  # whether x takes the place of y
    residuals: list[Residuals]  # of x and of y, after the exchange
    estimators: list[MIEstimator]
    adds_nothing: bool = False  # whether x or y is constant, or critics find less of y in x and z than in z alone

    @classmethod
    def fit(cls, options: MIEstimator, columns: Three, seed: int, groups: Any) -> Given:
        """Fit to columns of x, y and z; ``options.discrete_`` says which of them are discrete."""
        masks, marginals = options.discrete_, (None, None, "normal_scores")
        called = list(zip("XyZ", options._labels, strict=True))
        parts = zip(columns, masks, marginals, called, strict=True)
        x, y, z = sides = [Side.learn(X, mask, kind, *names) for X, mask, kind, names in parts]
        counts = np.bincount(z.labels(columns[2])) if z.has_labels else np.zeros(1)
        are_labels = x.has_labels and y.has_labels
        is_stratified = len(counts) <= MOST_STRATA and counts.min() >= FEWEST_IN_STRATUM
        is_stratified &= not are_labels and groups is None
        # The classifiers' side is the one with labels; of two sides of numbers, the narrower one stands alone.
        ranks = [(not side.has_labels, len(side.discrete)) for side in (x, y)]
        is_still = any(is_constant(part) for part in columns[:2])
        given = cls(sides, bool(is_stratified), ranks[0] < ranks[1], [], [], is_still)
        order = [1, 0] if given.is_exchanged else [0, 1]
        rng, numbers = np.random.default_rng([seed, 4]), z.numbers(columns[2])
        is_regressed = not is_stratified and not all(mask.all() for mask in masks[:2])
        if is_regressed and len(numbers) <= ROWS_PER_LABEL * numbers.shape[1]:
            warn(
                f"Z has {numbers.shape[1]} columns or categories, and {len(numbers)} rows are few to learn what each says of X "
                "and y. The value may be wrong by more than its interval says. Give more rows, or merge categories of Z.",
                SmallSampleWarning,
            )
        if not is_stratified:
            given.residuals = [Residuals.learn(columns[k], masks[k], numbers, options.marginals, rng) for k in order]
        of_x, of_y = (masks[k] for k in order)
        (name, labels), right_called, of_z = (called[k] for k in [*order, 2])
        lefts = [(name, labels)] * len(counts) if is_stratified else [(f"{name} and Z", [*labels, *of_z[1]]), of_z]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConstantInputWarning)  # of a stratum, or of z alone
            warnings.simplefilter("ignore", DuplicateRowsWarning)  # residuals do not tie alone where the columns do
            warnings.filterwarnings("ignore", ".* Such identifiers", SmallSampleWarning)  # the whole sides have warned
            for names, (rows, left, right) in zip(lefts, given.terms(*columns), strict=True):
                of_left = of_x if is_stratified else np.concatenate([of_x, masks[2]])[-left.shape[1] :]
                own = {"discrete_X": of_left, "discrete_y": of_y, "discrete_Z": "auto"}
                term = clone(options).set_params(random_state=seed, missing="raise", checkpoint=None, **own)
                term._tries_neighbours, term._called = is_stratified, (names, right_called)
                given.estimators.append(term.fit(left, right, groups=None if groups is None else groups[rows]))
        return given

    def terms(self, x: Columns, y: Columns, z: Columns) -> list[tuple[Rows, Columns, Columns]]:
        """Return the rows and the columns of both sides that each estimator takes."""
        if self.is_exchanged:
            x, y = y, x
        if self.is_stratified:
            labels = self.sides[2].labels(z)
            rows = [np.flatnonzero(labels == label) for label in range(len(self.sides[2].symbols))]
            return [(chosen, x[chosen], y[chosen]) for chosen in rows]
        numbers = self.sides[2].numbers(z)
        x, y = (residual(side, numbers) for residual, side in zip(self.residuals, (x, y), strict=True))
        return [(np.arange(len(z)), left, y) for left in (joined_columns(x, z), z)]

    def combined(self, n: int, rows: list[Rows], parts: list[Any]) -> Array:
        """Return values (n,) from those of each estimator, numbers or one for each of its rows."""
        values = np.zeros(n)
        if self.adds_nothing:
            return values
        signs = [1] * len(parts) if self.is_stratified else [1, -1]
        for sign, chosen, values_of_part in zip(signs, rows, parts, strict=True):
            values[chosen] += sign * values_of_part
        return values

    def measured(self, columns: Three, masks: Sequence[Mask], seed: int, groups: Any) -> MIResult:
        """Return the estimate with its interval and the test of independence given z."""
        n, options = len(columns[0]), self.estimators[0]
        rows = [term[0] for term in self.terms(*columns)]
        parts = [estimator._result.contributions for estimator in self.estimators]
        contributions = self.combined(n, rows, parts)
        gaps = [estimator.diagnostics_.get("train_test_gap", 0.0) for estimator in self.estimators]
        gap = float(self.combined(n, rows, gaps).mean())
        cap = max(estimator.cap_ for estimator in self.estimators)
        value = min(float(self.combined(n, rows, [estimator.mi_ for estimator in self.estimators]).mean()), cap)
        error = math.hypot(max(error_of_mean(contributions, groups), SMALLEST_SD / math.sqrt(n)), gap / 2)
        if value < 0 and options._models[0].learns and not self.is_stratified:
            self.adds_nothing, value, contributions = True, 0.0, np.zeros(n)
        interval = normal_interval(value, error, options.confidence_level, groups)
        diagnostics = {"standard_error": error, "train_test_gap": gap}
        diagnostics["p_value"] = _p_value(columns, masks, seed, groups)
        return MIResult(value, interval, "estimate", cap, diagnostics, contributions=contributions)

    def of_rows(self, method: str, x: Columns, y: Columns, z: Columns) -> Array:
        """Return what a method of the estimators says of new rows, (n,)."""
        for side, columns in zip(self.sides, (x, y, z), strict=True):
            side.refuse_unknown(columns)
        terms, parts = self.terms(x, y, z), []
        for estimator, (rows, left, right) in zip(self.estimators, terms, strict=True):
            try:
                parts.append(getattr(estimator, method)(left, right) if len(rows) else 0.0)
            except ValueError as error:
                where = f"Of the {len(rows)} rows whose Z is that of row {rows[0]}: " if self.is_stratified else ""
                raise ValueError(f"{where}{error}") from None
        return self.combined(len(x), [rows for rows, *_ in terms], parts)

    def measured_anew(self, x: Columns, y: Columns, z: Columns) -> MIResult:
        """Return the mean log ratio of new rows."""
        values = self.of_rows("pointwise", x, y, z)
        value, error = mean_and_error(values)
        interval = normal_interval(value, error, self.estimators[0].confidence_level)
        return MIResult(value, interval, "estimate", math.inf, {"standard_error": error}, contributions=values)

    @property
    def history(self) -> list[dict[str, float]]:
        return joined([estimator.history_ for estimator in self.estimators])

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = {**state_of_sides(self.sides)}
        for k, residual in enumerate(self.residuals):
            state |= {f"residuals/{k}/{name}": array for name, array in residual.state().items()}
        state["estimators"] = [estimator.__getstate__() for estimator in self.estimators]
        return state | {name: getattr(self, name) for name in FLAGS}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], kind: type[MIEstimator]) -> Given:
        estimators = [kind.__new__(kind) for _ in state["estimators"]]
        for estimator, of_estimator in zip(estimators, state["estimators"], strict=True):
            estimator.__setstate__(of_estimator)
        parts = [part(state, f"residuals/{k}/") for k in range(2)]
        residuals = [Residuals.from_state(each) for each in parts if each]
        flags = {name: state[name] for name in FLAGS}
        return cls([*load_sides(state)], residuals=residuals, estimators=estimators, **flags)


def given_columns(options: MIEstimator, Z: Any, n: int) -> Columns:
    """Return the columns of Z, for n rows of X, and learn which of them are discrete."""
    columns, mask = side_columns(Z, options.discrete_Z, "Z", "discrete_Z", OR_BY_PARAMETER)
    check_lengths(X=n, Z=columns)
    labels = column_labels(Z, "Z")
    warn_of_columns(columns, mask, labels, options.marginals)
    options.discrete_, options._labels = (*options.discrete_[:2], mask), (*options._labels[:2], labels)
    return columns


def new_columns(fitted: MIEstimator, Z: Any, n: int) -> tuple[Columns, ...]:
    """Return the columns of Z of n new rows; none if ``fit`` had no Z."""
    given = fitted._given
    if (Z is None) != (given is None):
        was, now = ("without", "with") if given is None else ("with", "without")
        raise ValueError(f"fit was called {was} Z, and the method is called {now} Z.")
    if given is None:
        return ()
    columns = side_columns(Z, fitted.discrete_[2], "Z", "discrete_Z", min_samples=1)[0]
    check_lengths(X=n, Z=columns)
    return (columns,)


def fit_given(options: MIEstimator, columns: Three, groups: Any) -> tuple[Given, MIResult]:
    """Fit estimators to columns of x, y and z, and return them with their estimate."""
    if options.estimator not in ESTIMATORS:
        raise ValueError(
            f"estimator={options.estimator!r} gives no information given Z: the difference of two bounds is none. Allowed are "
            f"{list(ESTIMATORS)}."
        )
    for name, side in zip("Xy", columns, strict=False):
        if is_constant(side):
            warn(f"{name} is constant: the mutual information given Z is 0.", ConstantInputWarning)
    if is_constant(columns[2]):
        warn("Z is constant: the mutual information given Z is that of X and y.", ConstantInputWarning)
    seed = draw_seed(options.random_state)
    given = Given.fit(options, columns, seed, groups)
    result = given.measured(columns, options.discrete_, seed, groups)
    test, train = np.split(np.random.default_rng(seed).permutation(len(columns[0])), [len(columns[0]) // 5])
    result.diagnostics["duplicated_rows"] = duplicated_rows(columns, options.discrete_, train, test)
    for caveat in of_copies(result.diagnostics["duplicated_rows"]):
        warn(*caveat)
    return given, result


def _p_value(columns: Three, masks: Sequence[Mask], seed: int, groups: Any) -> float:
    rng = np.random.default_rng([seed, 3])
    order = rng.permutation(len(columns[0])) if groups is None else np.arange(len(columns[0]))
    rows = order[:MOST_TESTED]
    sides = [Side.learn(part[rows], mask, None, name) for part, mask, name in zip(columns, masks, "XyZ", strict=True)]
    x, y, z = (side(part[rows]) for side, part in zip(sides, columns, strict=True))
    if groups is not None:
        return conditional_test(x, y, z, rng, N_PERMUTATIONS, groups[rows]).p_value
    return conditional_test(x, y, strata(sides[2], columns[2][rows]), rng, N_PERMUTATIONS).p_value
