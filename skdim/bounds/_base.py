"""The base class of all bounds, the criteria that train critics, and the parts of a score tensor that bounds are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skdim._params import Configured
from skdim.nn.layers import mlp


def check_scores(scores: Tensor) -> Tensor:
    """Return ``scores``, or raise a ``ValueError`` unless they are (K, K, ...) with K of at least 2."""
    if scores.ndim < 2 or scores.shape[0] != scores.shape[1] or scores.shape[0] < 2:
        raise ValueError(f"scores must have shape (K, K, ...) with K >= 2, got {tuple(scores.shape)}.")
    return scores


def check_auxiliary(name: str, auxiliary: Tensor | None, scores: Tensor) -> Tensor:
    """Return the values of the second learned function, or raise a ``ValueError`` unless they are (K, ...)."""
    expected = check_scores(scores).shape[1:]
    if auxiliary is None or auxiliary.shape != expected:
        given = None if auxiliary is None else tuple(auxiliary.shape)
        raise ValueError(f"{name} must have shape (K, ...) = {tuple(expected)}, as the scores have, got {given}.")
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


#: What a bound may say of its value, and what it may need.
KINDS, NEEDS = ("lower", "upper", "estimate"), ("critic", "conditional")
#: What each method computes from others by the general rule of :class:`Bound`.
RESTS_ON = {
    "symmetric_value": ("value",),
    "symmetric_loss": ("loss", "symmetric_value"),
    "criterion": ("value", "loss", "symmetric_value", "symmetric_loss"),
    "contributions": ("value", "symmetric_value"),
    "contributions_by_parts": ("contributions",),
}


def _depth(cls: type, name: str) -> int:
    """Return how many bases up the class lies that defines an attribute."""
    return next(depth for depth, base in enumerate(cls.__mro__) if name in vars(base))


class Bound(Configured):
    """An MI estimator: a function of a score tensor, and the traits that say how it is used.

    A subclass defines :meth:`value`, and :meth:`loss` if it is trained by anything else. The other methods follow from these
    two; a subclass may replace them by faster ones. If a class changes :meth:`value` or :meth:`loss`, it does not inherit
    faster methods that were written for another value.

    Attributes
    ----------
    name : str
        What messages and tables call the bound: by default the name of the class in lower case.
    kind : {"lower", "upper", "estimate"}
        What :meth:`value` is to the mutual information, in expectation over fresh samples. An estimate may err to either
        side.
    measures_information : bool
        False for a loss of metric learning, whose value is the InfoNCE bound of its scores.
    needs : {"critic", "conditional"}
        What the scores are: a critic's f(x_i, y_j) of any scale, or the known log p(y_j | x_i).
    learns_conditional : bool
        Whether ``MIEstimator`` learns the conditional where none is given.
    auxiliary : str
        Keyword of the second learned function that :meth:`value` takes, "" for none: "log_baseline", a function of y, or
        "u", a function of x and y. Each is given at the joint samples, shape (K, ...).
    optimal_critic : str
        The critic at which the bound is tight; r is the log density ratio log p(x, y) / (p(x) p(y)).
    anchors : tuple of {"x", "y"}
        The sides whose samples each compete over all candidates of the other side. A trained critic is known up to a
        function of its anchors.
    offset : float
        The constant score at which the bound is 0. Critics start there.
    symmetric : bool
        Whether exchanging x and y leaves the value unchanged.
    loss_is_value : bool
        Whether :meth:`loss` is the negative of :meth:`value`: False for a class that defines its own loss.
    pools : bool
        Whether pairs of all trailing locations are compared with each other: the value is no mean over them.
    averages_exponentials : bool
        Whether the value rests on a mean of e^f that a few pairs can dominate.
    takes_reference : bool
        Whether ``MIEstimator`` may start its critic from the closed-form Gaussian log ratio, whose quadratic tails make e^f
        large. False where one large e^f dominates the gradient or is clipped, and where there is no critic.
    """

    name: ClassVar[str]
    kind: ClassVar[str] = "lower"
    measures_information: ClassVar[bool] = True
    needs: ClassVar[str] = "critic"
    learns_conditional: ClassVar[bool] = False
    auxiliary: ClassVar[str] = ""
    optimal_critic: ClassVar[str]
    anchors: ClassVar[tuple[str, ...]] = ("x", "y")
    offset: ClassVar[float] = 0.0
    symmetric: ClassVar[bool] = True
    loss_is_value: ClassVar[bool] = True
    pools: ClassVar[bool] = False
    averages_exponentials: ClassVar[bool] = False
    takes_reference: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.kind not in KINDS or cls.needs not in NEEDS:
            raise TypeError(
                f"{cls.__name__} must have a kind among {KINDS} and needs among {NEEDS}, got {cls.kind!r}, {cls.needs!r}."
            )
        cls.name = getattr(cls, "name", cls.__name__.lower())
        cls.loss_is_value = cls.loss is Bound.loss
        for method, sources in RESTS_ON.items():
            if _depth(cls, method) > min(_depth(cls, source) for source in sources):
                setattr(cls, method, vars(Bound)[method])

    def check(self) -> None:
        """Raise a ``ValueError`` if a parameter is outside its range."""

    def cap(self, k: int) -> float:
        """Return the largest value, in nats, that the bound can take on a batch of ``k`` samples."""
        return math.inf

    def value(self, scores: Tensor) -> Tensor:
        """Return the bound in nats."""
        raise NotImplementedError

    def loss(self, scores: Tensor) -> Tensor:
        """Return the scalar that training minimises."""
        return -self.value(scores)

    def symmetric_value(self, scores: Tensor) -> Tensor:
        """Return the bound in nats; an asymmetric critic's bound is the mean over both choices of the anchor."""
        return self._mean_over_anchors(self.value, scores)

    def symmetric_loss(self, scores: Tensor) -> Tensor:
        """Return the loss; an asymmetric one is the mean over both choices of the anchor."""
        if self.loss_is_value:
            return -self.symmetric_value(scores)
        return self._mean_over_anchors(self.loss, scores)

    def _mean_over_anchors(self, function: Callable[[Tensor], Tensor], scores: Tensor) -> Tensor:
        # A known log p(y | x) is the log ratio up to a function of y: its anchor cannot be chosen.
        if self.symmetric or self.needs == "conditional":
            return function(scores)
        return (function(scores) + function(scores.transpose(0, 1))) / 2

    def criterion(
        self, x_features: int | None = None, y_features: int | None = None, both_anchors: bool = True
    ) -> Criterion:
        """Return the module that trains a critic under this bound.

        Parameters
        ----------
        x_features, y_features : int or None, default=None
            Widths of x and y. A bound with an ``auxiliary`` function needs them.
        both_anchors : bool, default=True
            Whether an asymmetric bound is averaged over both choices of the anchor.

        Returns
        -------
        Criterion
        """
        if not self.auxiliary:
            return Criterion(self, both_anchors)
        if x_features is None or y_features is None:
            raise ValueError(f"estimator={self.name!r} learns a second function and needs the widths of x and y.")
        return AuxiliaryCriterion(self, x_features, y_features)

    def contributions(self, scores: Tensor, value: Callable[[Tensor], Tensor] | None = None) -> tuple[Tensor, Tensor]:
        r"""Return the bound and the contribution of each row to it.

        A row i enters through its joint score and through the marginal pairs in its row and column. With the gradient D of
        the value, the influence of weighing row i is :math:`f_{ii} + K \sum_{j \ne i} (D_{ij} + D_{ji})`, up to a constant.
        This is exact to first order where the value is the mean joint score and a function of one exponential mean over all
        marginal pairs, and an approximation for the other bounds.

        Parameters
        ----------
        scores : Tensor of shape (K, K)
            Scores of K joint samples.
        value : callable (scores) -> Tensor or None, default=None
            The bound in nats; None is :meth:`symmetric_value`.

        Returns
        -------
        value : Tensor, a scalar in nats
        per_row : Tensor of float64 of shape (K,)
            Contributions whose mean is the value and whose variance gives its standard error.
        """
        scores = scores.detach().requires_grad_()
        with torch.enable_grad():
            result = (value or self.symmetric_value)(scores)
            (gradient,) = torch.autograd.grad(result, scores)
        off_diagonal = gradient - torch.diag(gradient.diagonal())
        influence = scores.detach().diagonal() + len(scores) * (off_diagonal.sum(0) + off_diagonal.sum(1))
        return result.detach(), (influence + (result.detach() - influence.mean())).double()

    def contributions_by_parts(self, scores_of: Callable[[slice], Tensor], k: int) -> tuple[Tensor, Tensor] | None:
        """Return :meth:`contributions` without holding the scores of all pairs at once, or None where that is impossible.

        Parameters
        ----------
        scores_of : callable (rows) -> Tensor of shape (n_rows, k)
            Scores of some x with all y.
        k : int
            Number of joint samples.
        """
        return None


class Criterion(nn.Module):
    """The loss that trains a critic under a bound, and the bound's value.

    Parameters
    ----------
    bound : Bound
        The MI estimator.
    both_anchors : bool, default=True
        Whether an asymmetric bound is averaged over both choices of the anchor.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import InfoNCE
    >>> loss, value = InfoNCE().criterion()(50 * torch.eye(8))
    >>> round(loss.item(), 4), round(value.item(), 4)                      # log 8
    (-2.0794, 2.0794)
    """

    #: Whether the loss over all locations is the mean of the losses over parts of them.
    splits = True

    def __init__(self, bound: Bound, both_anchors: bool = True) -> None:
        super().__init__()
        self.bound = bound
        self.both_anchors = both_anchors
        self.splits = self.splits and not bound.pools

    def forward(self, scores: Tensor, x: Tensor | None = None, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the loss of scores (K, K, ...) and, detached, the bound in nats.

        ``x`` (K, x_features) and ``y`` (K, y_features) are read by a bound with an auxiliary function.
        """
        loss = self.loss(scores, x, y)
        return loss, self.reported(loss, scores, x, y)

    def reported(self, loss: Tensor, scores: Tensor, x: Tensor | None = None, y: Tensor | None = None) -> Tensor:
        """Return the bound in nats, detached, of scores whose loss is known: where it is the negative loss, at no cost."""
        if self.bound.loss_is_value:
            return -loss.detach()
        with torch.no_grad():
            return self.value(scores, x, y)

    def loss(self, scores: Tensor, x: Tensor | None = None, y: Tensor | None = None) -> Tensor:
        """Return the scalar that training minimises."""
        return self.bound.symmetric_loss(scores) if self.both_anchors else self.bound.loss(scores)

    def value(self, scores: Tensor, x: Tensor | None = None, y: Tensor | None = None) -> Tensor:
        """Return the bound in nats."""
        return self.bound.symmetric_value(scores) if self.both_anchors else self.bound.value(scores)


class AuxiliaryCriterion(Criterion):
    """The criterion of a bound with a second learned function, whose network is trained with the critic.

    Parameters
    ----------
    bound : Bound
        A bound with ``auxiliary``.
    x_features, y_features : int
        Widths of x and y.
    """

    splits = False

    def __init__(self, bound: Bound, x_features: int, y_features: int) -> None:
        super().__init__(bound)
        self.of_y_only = bound.auxiliary == "log_baseline"
        n_inputs = y_features + (0 if self.of_y_only else x_features)
        self.auxiliary = mlp(n_inputs, (64, 64), 1, start=0.0)

    def loss(self, scores: Tensor, x: Tensor | None = None, y: Tensor | None = None) -> Tensor:
        if self.bound.loss_is_value:
            return -self.value(scores, x, y)
        return self.bound.loss(scores, **self._auxiliary(x, y))

    def value(self, scores: Tensor, x: Tensor | None = None, y: Tensor | None = None) -> Tensor:
        return self.bound.value(scores, **self._auxiliary(x, y))

    def _auxiliary(self, x: Tensor | None, y: Tensor | None) -> dict[str, Tensor]:
        assert x is not None
        assert y is not None
        inputs = y if self.of_y_only else torch.cat([x, y], dim=1)
        return {self.bound.auxiliary: self.auxiliary(inputs).squeeze(1)}
