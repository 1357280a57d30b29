"""What every bound is built on: views of a score tensor, and the class that tells what a bound is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from skdim._params import Configured


def check_scores(scores: Tensor) -> Tensor:
    """Return ``scores``, or raise a ``ValueError`` unless they are (K, K, ...) with K of at least 2."""
    if scores.ndim < 2 or scores.shape[0] != scores.shape[1] or scores.shape[0] < 2:
        raise ValueError(f"scores must have shape (K, K, ...) with K >= 2, got {tuple(scores.shape)}.")
    return scores


def check_auxiliary(name: str, auxiliary: Tensor | None, scores: Tensor) -> Tensor:
    """Return the values of the second learned function, or raise a ``ValueError`` unless they are (K, ...)."""
    expected = check_scores(scores).shape[1:]
    if auxiliary is None or auxiliary.shape != expected:
        came = None if auxiliary is None else tuple(auxiliary.shape)
        raise ValueError(f"{name} must have shape (K, ...) = {tuple(expected)}, as the scores have, got {came}.")
    return auxiliary


def joint_scores(scores: Tensor) -> Tensor:
    """Return the scores of the joint samples, shape (..., K)."""
    return scores.diagonal(dim1=0, dim2=1)


def diagonal_mask(scores: Tensor) -> Tensor:
    """Return a mask of the joint samples that broadcasts against ``scores``."""
    mask = torch.eye(scores.shape[0], dtype=torch.bool, device=scores.device)
    return mask.reshape(mask.shape + (1,) * (scores.ndim - 2))


def log_mean_exp_marginal(scores: Tensor) -> Tensor:
    """Return log E e^f over the K (K - 1) off-diagonal pairs, one value per trailing location."""
    k = scores.shape[0]
    off_diagonal = scores.masked_fill(diagonal_mask(scores), -math.inf)
    return torch.logsumexp(off_diagonal, dim=(0, 1)) - math.log(k * (k - 1))


class Bound(Configured):
    """What stands behind an MI estimator's name.

    Attributes
    ----------
    name : str
        The value of the parameter ``estimator``.
    kind : {"lower", "upper", "estimate"}
        What :meth:`value` is to the mutual information, in expectation over fresh samples; an estimate may err to either
        side.
    needs : {"critic", "conditional"}
        What the scores are: a critic's f(x_i, y_j) of any scale, or the known log p(y_j | x_i).
    auxiliary : str
        Keyword of the second learned function that :meth:`value` and :meth:`loss` take, "" for none: "log_baseline", a
        function of y, or "u", a function of x and y, each given at the joint samples, shape (K, ...).
    optimal_critic : str
        The critic at which the bound is tight; r is the log density ratio log p(x, y) / (p(x) p(y)).
    offset : float
        The constant score at which the bound is 0; critics start there.
    symmetric : bool
        Whether exchanging x and y leaves the value unchanged.
    loss_is_value : bool
        Whether :meth:`loss` is the negative of :meth:`value`.
    takes_reference : bool
        Whether ``MIEstimator`` may start its critic from the closed-form Gaussian log-ratio, whose quadratic tails make e^f
        large. False where one large e^f rules the gradient or is clipped, and where there is no critic.
    """

    name: ClassVar[str]
    kind: ClassVar[str] = "lower"
    needs: ClassVar[str] = "critic"
    auxiliary: ClassVar[str] = ""
    optimal_critic: ClassVar[str]
    offset: ClassVar[float] = 0.0
    symmetric: ClassVar[bool] = True
    loss_is_value: ClassVar[bool] = True
    takes_reference: ClassVar[bool] = False

    def check(self) -> None:
        """Raise a ``ValueError`` if a parameter is outside its range."""

    def cap(self, k: int) -> float:
        """Return the largest value, in nats, that the bound can take on a batch of ``k`` samples."""
        return math.inf

    def value(self, scores: Tensor) -> Tensor:
        """Return the bound in nats."""
        raise NotImplementedError

    def loss(self, scores: Tensor, log_average: Tensor | None = None) -> Tensor:
        """Return the scalar that training minimises; ``log_average`` is read and updated by ``dv`` only."""
        return -self.value(scores)

    def symmetric_value(self, scores: Tensor) -> Tensor:
        """Return the bound in nats, an asymmetric critic's bound as the mean over both choices of the anchor."""
        return self._mean_over_anchors(self.value, scores)

    def symmetric_loss(self, scores: Tensor, log_average: Tensor | None = None) -> Tensor:
        """Return the loss, an asymmetric one's mean over both choices of the anchor."""
        if type(self).loss is Bound.loss:
            return -self.symmetric_value(scores)
        return self._mean_over_anchors(lambda scores: self.loss(scores, log_average), scores)

    def _mean_over_anchors(self, function: Callable[[Tensor], Tensor], scores: Tensor) -> Tensor:
        # A known log p(y | x) is the log ratio up to a function of y: its anchor cannot be chosen.
        if self.symmetric or self.needs == "conditional":
            return function(scores)
        return (function(scores) + function(scores.transpose(0, 1))) / 2
