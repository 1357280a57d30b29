"""Curves over epochs and over steps."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skdim._params import look_up
from skdim.plotting._axes import BESIDE, axes_of, colors, legend_beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LossCurveDisplay", "StepAccuracyDisplay"]


class LossCurveDisplay:
    """The loss of each epoch and its terms, in nats on the left axis and in other units on the right one.

    Parameters
    ----------
    curves : mapping of str to array-like of shape (n_epochs,)
        Values by name; NaN where an epoch has none. "valid_x" holds the held-out values of "x", which are dashed.
    units : mapping of str to str, default=None
        Units by name: "nats", or "share" for values from 0 to 1; a curve without unit is a loss. None: all are losses.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the curves in nats, or of all curves if these have one unit.
    right_ax_ : matplotlib Axes or None
        Axes of the other curves, with the scale on the right.
    figure_ : matplotlib Figure
        The figure of both.
    lines_ : dict of str to matplotlib Line2D
        One line per curve.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdim import DeepInfoMaxTransformer
    >>> from skdim.plotting import LossCurveDisplay
    >>> dim = DeepInfoMaxTransformer(max_iter=2, random_state=0).fit(load_digits().images[:200])
    >>> display = LossCurveDisplay.from_estimator(dim)
    >>> display.lines_["local"].get_xdata().tolist(), display.ax_.get_ylabel(), display.right_ax_.get_ylabel()
    ([1, 2], 'nats', 'loss')
    """

    def __init__(self, *, curves: Mapping[str, ArrayLike], units: Mapping[str, str] | None = None) -> None:
        self.curves = curves
        self.units = units

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        terms: Sequence[str] | None = None,
        ax: Axes | None = None,
        line_kw: Mapping[str, Any] | None = None,
    ) -> LossCurveDisplay:
        """Draw what ``history_`` of a fitted estimator records, and return the display.

        Parameters
        ----------
        estimator : transformer of skdim, MIEstimator, or Pipeline with one of them as a step
            Fitted, with at least one epoch. Each network of an ``MIEstimator`` has its own curves.
        terms : sequence of str, default=None
            Terms to draw, with their held-out values. None draws all but shares.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        line_kw : dict, default=None
            Keyword arguments for every call of :meth:`matplotlib.axes.Axes.plot`.

        Raises
        ------
        ValueError, NotFittedError
            If no epoch was trained, a term is unknown, or not exactly one step has a ``history_``.
        """
        fitted = _with_history(estimator)
        history, units = fitted.history_, getattr(fitted, "history_units_", {})
        numbers = [
            name for row in history for name, v in row.items() if isinstance(v, Real) and not isinstance(v, bool)
        ]
        names = dict.fromkeys(numbers)
        recorded = {name: None for name in names if name not in ("epoch", "network") and _term(name, names) == name}
        if terms is None:
            terms = [term for term in recorded if units.get(term) != "share"]
        for term in terms:
            look_up("term", term, recorded)
        networks = dict.fromkeys(row.get("network") for row in history)
        curves, units_of_curves = {}, {}
        for term, prefix, network in itertools.product(terms, ("", "valid_"), networks):
            if (name := f"{prefix}{term}") in names:
                curve = name if len(networks) == 1 else f"{name}, network {network}"
                of_network = [row if row.get("network") == network else {} for row in history]
                curves[curve] = [row.get(name, np.nan) for row in of_network]
                units_of_curves[curve] = units.get(term, "loss")
        return cls(curves=curves, units=units_of_curves).plot(ax, line_kw=line_kw)

    def plot(self, ax: Axes | None = None, *, line_kw: Mapping[str, Any] | None = None) -> LossCurveDisplay:
        """Draw the curves as :meth:`from_estimator` does, and return the display."""
        self.ax_ = axes_of(self, ax, title="Loss and its terms", size=BESIDE)
        self.figure_ = self.ax_.figure
        terms = {name: _term(name, self.curves) for name in self.curves}
        units = {name: (self.units or {}).get(term, "loss") for name, term in terms.items()}
        right = [name for name, unit in units.items() if unit != "nats"] if "nats" in units.values() else []
        self.right_ax_ = self.ax_.twinx() if right else None
        others = [term for term in dict.fromkeys(terms.values()) if term != "loss"]
        color_of = dict(zip(others, colors(len(others)), strict=True)) | {"loss": "black"}
        self.lines_ = {}
        for name, values in self.curves.items():
            is_held_out, y = name != terms[name], np.asarray(values, dtype=np.float64)
            x = np.flatnonzero(~np.isnan(y))
            look: dict[str, Any] = {
                "color": color_of[terms[name]],
                "linestyle": "--" if is_held_out else "-",
                "marker": "." if len(x) == 1 else "",
                "label": f"{'validation ' * is_held_out}{terms[name]}{' (right)' * (name in right)}",
            }
            axes = self.right_ax_ if self.right_ax_ is not None and name in right else self.ax_
            self.lines_[name] = axes.plot(x + 1, y[x], **{**look, **(line_kw or {})})[0]
        self.ax_.set(xlabel="epoch", ylabel=" and ".join(dict.fromkeys(units[n] for n in units if n not in right)))
        if self.right_ax_ is not None:
            self.right_ax_.set_ylabel(" and ".join(dict.fromkeys(units[name] for name in right)))
        self.ax_.locator_params(axis="x", integer=True)
        # The padding leaves room for the scale on the right.
        legend_beside(self.right_ax_ or self.ax_, pad=6 if right else 1, handles=list(self.lines_.values()))
        return self


class StepAccuracyDisplay:
    """How often predictive coding picks the true frame, by how many steps ahead it lies.

    Parameters
    ----------
    accuracy : array-like of shape (n_steps,)
        Shares from 0 to 1.
    chance : float, default=None
        The accuracy of guessing, as a dotted line: 1 / K for K candidates.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes, Figure
        Where it is drawn.
    line_ : matplotlib Line2D
        The accuracy.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim import CPCTransformer
    >>> from skdim.plotting import StepAccuracyDisplay
    >>> X = np.cumsum(np.random.default_rng(0).normal(size=(64, 40)), axis=1)
    >>> cpc = CPCTransformer(4, n_steps=3, max_iter=1, random_state=0).fit(X)
    >>> StepAccuracyDisplay.from_estimator(cpc, chance=1 / 32).line_.get_xdata().tolist()
    [1, 2, 3]
    """

    def __init__(self, *, accuracy: ArrayLike, chance: float | None = None) -> None:
        self.accuracy = accuracy
        self.chance = chance

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        chance: float | None = None,
        ax: Axes | None = None,
        line_kw: Mapping[str, Any] | None = None,
    ) -> StepAccuracyDisplay:
        """Draw ``step_accuracy_`` of a fitted :class:`~skdim.CPCTransformer`, and return the display.

        Parameters
        ----------
        estimator : CPCTransformer
            Fitted.
        chance : float, default=None
            The accuracy of guessing: 1 / batch_size with ``negatives="batch"``.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        line_kw : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.plot`.

        Raises
        ------
        NotFittedError, TypeError
            If the estimator is not fitted, or no :class:`~skdim.CPCTransformer`.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "step_accuracy_"):
            raise TypeError(f"StepAccuracyDisplay draws a CPCTransformer, got a {type(estimator).__name__}.")
        return cls(accuracy=estimator.step_accuracy_, chance=chance).plot(ax, line_kw=line_kw)

    def plot(self, ax: Axes | None = None, *, line_kw: Mapping[str, Any] | None = None) -> StepAccuracyDisplay:
        """Draw the curve as :meth:`from_estimator` does, and return the display."""
        self.ax_ = axes_of(self, ax, title="Accuracy of predictions")
        self.figure_ = self.ax_.figure
        accuracy = np.asarray(self.accuracy, dtype=np.float64)
        look = {"marker": "o", "color": colors(1)[0], **(line_kw or {})}
        self.line_ = self.ax_.plot(np.arange(1, len(accuracy) + 1), accuracy, **look)[0]
        if self.chance is not None:
            self.ax_.axhline(self.chance, color="grey", linestyle=":")
            self.ax_.annotate(
                f"chance {self.chance:.2g}", (1, self.chance), va="bottom", fontsize="small", color="grey"
            )
        self.ax_.set(xlabel="steps ahead", ylabel="share of true frames picked", ylim=(0, 1.05))
        self.ax_.locator_params(axis="x", integer=True)
        return self


def _term(name: str, names: Collection[str]) -> str:
    """Return a name without the "valid_" of held-out values."""
    term = name.removeprefix("valid_")
    return term if term in names else name


def _steps(estimator: Any) -> Iterator[Any]:
    """Yield an estimator, or the steps of a Pipeline."""
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps:
            yield from _steps(step)
    else:
        yield estimator


def _with_history(estimator: Any) -> Any:
    """Return the one estimator or step that recorded epochs."""
    check_is_fitted(estimator)
    found = [step for step in _steps(estimator) if hasattr(step, "history_")]
    if len(found) != 1:
        raise ValueError(
            f"LossCurveDisplay draws one estimator with history_, but {type(estimator).__name__} has {len(found)}. Pass a "
            "fitted transformer of skdim or an MIEstimator; for a Pipeline with several, the step itself: pipeline['name']."
        )
    if not found[0].history_:
        is_zero = getattr(found[0], "max_iter", None) == 0
        reason = "max_iter=0" if is_zero else "its value is known, counted or in closed form, or there are too few rows"
        raise ValueError(f"{type(found[0]).__name__} trained no epoch that could be drawn: {reason}.")
    return found[0]
