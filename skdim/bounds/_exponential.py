r"""Bounds that weigh E[f] on joint samples against an exponential mean of f under the marginals: without a cap.

All come from the partition function Z(y) = E_{p(x)}[e^{f(x, y)}]: ``uba`` takes its log for each y, ``dv`` the log of its
mean, and ``tuba``, ``nwj`` and ``flo`` replace the log, by log z <= z / a + log a - 1, with what a batch averages without
bias.

References
----------
.. [1] Poole et al., "On variational bounds of mutual information", ICML 2019.
.. [2] Belghazi et al., "Mutual information neural estimation", ICML 2018.
.. [3] Nguyen, Wainwright & Jordan, "Estimating divergence functionals and the likelihood ratio by convex risk
   minimization", IEEE Trans. Inf. Theory 2010.
.. [4] Guo et al., "Tight mutual information estimation with contrastive Fenchel-Legendre optimization", NeurIPS 2022.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from skdim.bounds._base import (
    Bound,
    Criterion,
    check_auxiliary,
    check_scores,
    diagonal_mask,
    joint_scores,
    log_mean_exp_marginal,
)


def dv(scores: Tensor) -> Tensor:
    r"""Donsker-Varadhan: a lower bound in expectation over the whole population, biased upwards on a batch.

    .. math:: I_{DV} = E_{p(x,y)}[f] - \log E_{p(x)p(y)}[e^f]

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j]`` = f(x_i, y_j).

    Returns
    -------
    Tensor, a scalar in nats
        Belghazi et al. 2018 [2]_, Eq. 5. The log of a batch mean makes its expectation exceed the population value.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import dv
    >>> dv(torch.full((4, 4), 3.0)).item()
    0.0
    """
    return (joint_scores(check_scores(scores)).mean(-1) - log_mean_exp_marginal(scores)).mean()


def nwj(scores: Tensor) -> Tensor:
    r"""Nguyen-Wainwright-Jordan, or f-GAN KL: an unbiased lower bound whose variance grows with e^I.

    .. math:: I_{NWJ} = E_{p(x,y)}[f] - e^{-1} E_{p(x)p(y)}[e^f]

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j]`` = f(x_i, y_j). The optimal critic is 1 + log p(x, y) / (p(x) p(y)).

    Returns
    -------
    Tensor, a scalar in nats
        Nguyen et al. 2010 [3]_; Poole et al. 2019 [1]_, Eq. 7.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import nwj
    >>> nwj(torch.ones(4, 4)).item()
    0.0
    """
    return (joint_scores(check_scores(scores)).mean(-1) - torch.exp(log_mean_exp_marginal(scores) - 1)).mean()


def uba(scores: Tensor) -> Tensor:
    r"""Unnormalised Barber-Agakov: a lower bound for the population; the batch's value is neither bound.

    .. math:: I_{UBA} = E_{p(x,y)}[f] - E_{p(y)}[\log E_{p(x)}[e^f]]

    The mean over x is taken at each y_j over the x_i with i != j. The log of a mean of K - 1 terms falls below the log of the
    expectation, more so than in :func:`dv` with its K (K - 1), so the value is biased upwards: at the optimal critic its
    expectation exceeds I, where it is the upper bound :func:`l1out`; at a poor critic it lies below.

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j]`` = f(x_i, y_j). The optimal critic is r + c(y).

    Returns
    -------
    Tensor, a scalar in nats
        Poole et al. 2019 [1]_, Section 2.2, Eq. 4.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import uba
    >>> uba(3 * torch.eye(4) + torch.arange(4.0)).item()          # deaf to functions of y
    3.0
    """
    k = check_scores(scores).shape[0]
    off_diagonal = scores.masked_fill(diagonal_mask(scores), -math.inf)
    log_partition = torch.logsumexp(off_diagonal, dim=0) - math.log(k - 1)
    return joint_scores(scores).mean() - log_partition.mean()


def tuba(scores: Tensor, log_baseline: Tensor) -> Tensor:
    r"""Tractable unnormalised Barber-Agakov: an unbiased lower bound with a learned baseline a(y).

    .. math:: I_{TUBA} = 1 + E_{p(x,y)}[f - \log a(y)] - E_{p(x)p(y)}[e^f / a(y)]

    Any baseline gives a lower bound; the best is the partition function a(y) = E e^{f(x, y)}. a = e is :func:`nwj`.

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j]`` = f(x_i, y_j). The optimal critic is r + log a(y).
    log_baseline : Tensor of shape (K, ...)
        ``log_baseline[j]`` = log a(y_j).

    Returns
    -------
    Tensor, a scalar in nats
        Poole et al. 2019 [1]_, Section 2.2, Eq. 6.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2, or ``log_baseline`` is not (K, ...).

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import nwj, tuba
    >>> scores = torch.ones(4, 4) + torch.eye(4)
    >>> round(tuba(scores, torch.ones(4)).item(), 4), round(nwj(scores).item(), 4)
    (1.0, 1.0)
    """
    return nwj(scores - check_auxiliary("log_baseline", log_baseline, scores) + 1)


def flo(scores: Tensor, u: Tensor) -> Tensor:
    r"""Fenchel-Legendre optimisation: an unbiased lower bound with a learned u(x, y), minus the pointwise information.

    .. math:: I_{FLO} = 1 - E_{p(x,y)}\Bigl[ u(x,y) + e^{-u(x,y)} E_{p(y')}[e^{f(x,y') - f(x,y)}] \Bigr]

    For each (x, y) the bracket is least at u = log E e^{f(x,y') - f(x,y)}, where the bound is the unnormalised Barber-Agakov
    bound with x as the anchor. Any other u gives a lower value.

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j]`` = f(x_i, y_j). The optimal critic is r + c(x).
    u : Tensor of shape (K, ...)
        ``u[i]`` = u(x_i, y_i), -r at the optimum.

    Returns
    -------
    Tensor, a scalar in nats
        Guo et al. 2022 [4]_.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2, or ``u`` is not (K, ...).

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import flo
    >>> flo(2 * torch.eye(4), torch.full((4,), -2.0)).item()
    2.0
    """
    u = check_auxiliary("u", u, scores)
    anchor = joint_scores(scores).movedim(-1, 0) + u
    # With f(x_i, y_i) + u_i taken from its row, the joint scores are -u and the rest are the exponents above.
    return nwj(scores - anchor.unsqueeze(1) + 1)


@dataclass
class DV(Bound):
    """Donsker-Varadhan, see :func:`dv`, trained as MINE: a moving average replaces the batch mean in the gradient.

    The gradient of -log E[e^f] is -E[e^f f'] / E[e^f]; a batch mean in the denominator biases it, so the denominator is the
    moving average (Belghazi et al. 2018, Section 3.2). The reported value stays plain DV: a lower bound in the population;
    biased upwards on a batch, at a good critic above the information.

    Parameters
    ----------
    momentum : float in [0, 1), default=0.9
        Share of the old average kept at each step; 0 gives the biased gradient of the batch.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import DV
    >>> criterion = DV().criterion()
    >>> criterion(torch.zeros(3, 3))[1].item(), criterion.log_average.item()
    (0.0, 0.0)
    """

    momentum: float = 0.9
    name: ClassVar[str] = "dv"
    kind: ClassVar[str] = "estimate"
    optimal_critic: ClassVar[str] = "r + c, for any constant c"
    averages_exponentials: ClassVar[bool] = True

    def check(self) -> None:
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum of DV must lie in [0, 1), got {self.momentum!r}.")

    def value(self, scores: Tensor) -> Tensor:
        return dv(scores)

    def criterion(
        self, x_features: int | None = None, y_features: int | None = None, both_anchors: bool = True
    ) -> Criterion:
        return MovingAverageCriterion(self)


class MovingAverageCriterion(Criterion):
    """The criterion of :class:`DV`: in training mode the gradient is divided by a moving average of E[e^f]."""

    log_average: Tensor
    bound: DV
    splits = False

    def __init__(self, bound: DV) -> None:
        super().__init__(bound)
        self.register_buffer("log_average", torch.tensor(math.nan))  # before the first step

    def loss(self, scores: Tensor, x: Tensor | None = None, y: Tensor | None = None) -> Tensor:
        if not self.training:
            return -dv(scores)
        log_mean = log_mean_exp_marginal(check_scores(scores)).mean()
        average = log_mean.detach()
        if self.bound.momentum > 0:
            old, new = math.log(self.bound.momentum), math.log1p(-self.bound.momentum)
            mean = torch.logaddexp(self.log_average + old, average + new)
            average = torch.where(self.log_average.isnan(), average, mean)
        self.log_average.copy_(average)
        # d log E = dE / E for the batch's E; the ratio puts the moving average in E's place.
        ratio = torch.exp(log_mean.detach() - average)
        gradient = ratio * log_mean - joint_scores(scores).mean()
        return gradient + (-dv(scores) - gradient).detach()


@dataclass
class NWJ(Bound):
    """Nguyen-Wainwright-Jordan, see :func:`nwj`: unbiased, its variance grows with e^I.

    Examples
    --------
    >>> from skdim.bounds import NWJ
    >>> NWJ().optimal_critic
    '1 + r'
    """

    name: ClassVar[str] = "nwj"
    optimal_critic: ClassVar[str] = "1 + r"
    offset: ClassVar[float] = 1.0
    averages_exponentials: ClassVar[bool] = True

    def value(self, scores: Tensor) -> Tensor:
        return nwj(scores)


@dataclass
class UBA(Bound):
    """Unnormalised Barber-Agakov, see :func:`uba`: each y has its own batch mean, biased upwards like DV's.

    Examples
    --------
    >>> from skdim.bounds import UBA
    >>> UBA().kind, UBA().takes_reference
    ('estimate', True)
    """

    name: ClassVar[str] = "uba"
    kind: ClassVar[str] = "estimate"
    optimal_critic: ClassVar[str] = "r + c(y), for any function c of y"
    symmetric: ClassVar[bool] = False
    takes_reference: ClassVar[bool] = True  # a pair with a large score fills one column's mean

    def value(self, scores: Tensor) -> Tensor:
        return uba(scores)


@dataclass
class TUBA(Bound):
    """Tractable unnormalised Barber-Agakov, see :func:`tuba`: NWJ with a learned baseline.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import TUBA
    >>> TUBA().auxiliary, TUBA().value(torch.zeros(4, 4), torch.zeros(4)).item()
    ('log_baseline', 0.0)
    """

    name: ClassVar[str] = "tuba"
    auxiliary: ClassVar[str] = "log_baseline"
    optimal_critic: ClassVar[str] = "r + log a(y), for any baseline a"
    anchors: ClassVar[tuple[str, ...]] = ("y",)
    symmetric: ClassVar[bool] = False
    averages_exponentials: ClassVar[bool] = True

    def value(self, scores: Tensor, log_baseline: Tensor | None = None) -> Tensor:
        return tuba(scores, check_auxiliary("log_baseline", log_baseline, scores))


@dataclass
class FLO(Bound):
    """Fenchel-Legendre optimisation, see :func:`flo`: a learned u(x, y) takes the log's place.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import FLO
    >>> FLO().auxiliary, FLO().value(torch.zeros(4, 4), torch.zeros(4)).item()
    ('u', 0.0)
    """

    name: ClassVar[str] = "flo"
    auxiliary: ClassVar[str] = "u"
    optimal_critic: ClassVar[str] = "r + c(x), for any function c of the anchor, with u = -r"
    anchors: ClassVar[tuple[str, ...]] = ("x",)
    symmetric: ClassVar[bool] = False
    averages_exponentials: ClassVar[bool] = True

    def value(self, scores: Tensor, u: Tensor | None = None) -> Tensor:
        return flo(scores, check_auxiliary("u", u, scores))
