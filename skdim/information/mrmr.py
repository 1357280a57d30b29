"""Selection of features that tell much of a target and little of each other."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import check_is_fitted, column_or_1d

from skdim._sklearn import DocLinkMixin, Interval, RealNotInt, StrOptions, fitted_apart
from skdim.exceptions import MutualInformationWarning
from skdim.information.feature_scores import mutual_info_features
from skdim.information.sides import validated
from skdim.inputs.tables import as_array, as_plain
from skdim.training.state import opened, sealed

#: Nats added to the redundancy before relevance is divided by it.
SMALLEST_REDUNDANCY = 0.01


class MRMRSelector(DocLinkMixin, SelectorMixin, BaseEstimator):
    r"""Select features one by one: most relevant to the target, and least redundant to those selected before.

    .. math:: \max_{j \notin S} \; I(X_j; Y) - \frac1{|S|} \sum_{k \in S} I(X_j; X_k)

    This is the criterion of minimal redundancy and maximal relevance [1]_; "quotient" divides in place of subtracting. All
    scores are those of :func:`~skdim.mutual_info_features`.

    Parameters
    ----------
    n_features_to_select : int, float or None, default=None
        Number of features, or their share; None is a half. At least one is selected, and at most all.
    criterion : {"difference", "quotient"}, default="difference"
        How relevance and redundancy are combined.
    discrete_X, discrete_y : "auto", bool or array-like, default="auto"
        Which columns of X, and whether y, are discrete, as in :func:`~skdim.information.discrete.discrete_columns`.

    Attributes
    ----------
    selected_ : ndarray of shape (n_selected,)
        Positions of the selected features, in the order of selection.
    scores_ : ndarray of shape (n_selected,)
        The criterion of each when it was selected, in nats if it is a difference.
    relevance_ : ndarray of shape (n_features,)
        Mutual information of each feature with y, in nats.
    support_ : ndarray of bool of shape (n_features,)
        Whether a feature is selected.
    discrete_ : tuple of ndarray of bool
        Which columns of X, and of y, are discrete.
    n_features_in_, feature_names_in_ : int, ndarray of str
        Number of columns of X, and their names if it has any.

    Raises
    ------
    ValueError, TypeError
        If a parameter, X or y is invalid, or more features are asked for than X has.

    References
    ----------
    .. [1] Peng, Long & Ding, "Feature selection based on mutual information: criteria of max-dependency, max-relevance, and
       min-redundancy", IEEE Transactions on Pattern Analysis and Machine Intelligence 2005.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim import MRMRSelector
    >>> a, b, noise = np.random.default_rng(0).normal(size=(3, 2000))
    >>> X, y = np.column_stack([a, a + 0.1 * noise, b, noise]), 2 * a + b
    >>> MRMRSelector(2).fit(X, y).selected_.tolist()  # the copy of the first feature is redundant
    [0, 2]
    """

    _parameter_constraints: dict[str, Any] = {
        "n_features_to_select": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="neither"),
            None,
        ],
        "criterion": [StrOptions({"difference", "quotient"})],
        "discrete_X": [StrOptions({"auto"}), "boolean", "array-like"],
        "discrete_y": [StrOptions({"auto"}), "boolean"],
    }

    def __init__(
        self,
        n_features_to_select: Any = None,
        *,
        criterion: str = "difference",
        discrete_X: Any = "auto",
        discrete_y: Any = "auto",
    ) -> None:
        self.n_features_to_select = n_features_to_select
        self.criterion = criterion
        self.discrete_X = discrete_X
        self.discrete_y = discrete_y

    def fit(self, X: Any, y: Any) -> MRMRSelector:
        """Select features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features: numbers, or labels.
        y : array-like of shape (n_samples,)
            Target: numbers, or labels.

        Returns
        -------
        self : MRMRSelector
        """
        with fitted_apart(self) as new:
            new._validate_params()
            y = None if y is None else column_or_1d(as_array(y), warn=True)
            columns, target = validated(new, X, y, reset=True)
            (of_X, of_y), d = new.discrete_, columns.shape[1]
            share = 0.5 if new.n_features_to_select is None else new.n_features_to_select
            n_selected = int(share) if isinstance(share, Integral) else max(1, int(share * d))
            if n_selected > d:
                raise ValueError(f"n_features_to_select={n_selected} is more than the {d} feature(s) of X.")
            new.relevance_ = mutual_info_features(columns, target[:, 0], discrete_X=of_X, discrete_y=bool(of_y[0]))
            left, redundancy = np.ones(d, dtype=bool), np.zeros(d)
            selected: list[int] = []
            scores: list[float] = []
            while len(selected) < n_selected:
                if selected:
                    redundancy[left] += new._redundancy(columns, left, selected[-1])
                mean = redundancy / max(len(selected), 1)
                is_difference = new.criterion == "difference"
                criterion = new.relevance_ - mean if is_difference else new.relevance_ / (mean + SMALLEST_REDUNDANCY)
                best = int(np.argmax(np.where(left, criterion, -np.inf)))
                left[best] = False
                selected.append(best)
                scores.append(float(criterion[best]))
            new.selected_, new.scores_, new.support_ = np.array(selected), np.array(scores), ~left
        return self

    def __getstate__(self) -> dict[str, Any]:
        return sealed(super().__getstate__())

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(opened(state, type(self)))

    def _redundancy(self, columns: npt.NDArray[Any], left: npt.NDArray[np.bool_], last: int) -> npt.NDArray[np.float64]:
        discrete = self.discrete_[0]
        with warnings.catch_warnings():  # the relevance has told of few rows and of constant columns
            warnings.simplefilter("ignore", MutualInformationWarning)
            kinds = {"discrete_X": discrete[left], "discrete_y": bool(discrete[last])}
            return np.maximum(mutual_info_features(columns[:, left], columns[:, last], **kinds), 0)

    def transform(self, X: Any) -> Any:
        """Return the selected columns of X (n_samples, n_features), (n_samples, n_selected)."""
        with np.errstate(invalid="ignore"):  # scikit-learn looks for infinity by a sum
            return super().transform(as_plain(X))

    def inverse_transform(self, X: Any) -> Any:
        """Return selected columns (n_samples, n_selected) among zeros in place of the others, (n_samples, n_features)."""
        with np.errstate(invalid="ignore"):
            return super().inverse_transform(as_plain(X))

    def _get_support_mask(self) -> npt.NDArray[np.bool_]:
        check_is_fitted(self)
        return self.support_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required, tags.target_tags.two_d_labels = True, False
        tags.input_tags.string = tags.input_tags.categorical = True
        return tags
