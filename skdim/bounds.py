r"""Bounds on mutual information: functions of a score tensor, with values in nats.

``scores[i, j, ...]`` is the critic f(x_i, y_j) of a batch of K joint samples (x_i, y_i): the diagonal holds joint samples,
the rest the product of the marginals. Trailing axes (the locations of a feature map) hold further pairs of the same
samples; every function gives the mean over them of the bound at each.

A :class:`Bound` joins such a function to what a reader must know of it: its ``kind``, its ``cap``, its ``optimal_critic``,
and the loss whose gradient trains it.

References
----------
.. [1] Poole et al., "On variational bounds of mutual information", ICML 2019.
.. [2] Belghazi et al., "Mutual information neural estimation", ICML 2018.
.. [3] van den Oord et al., "Representation learning with contrastive predictive coding", 2018.
.. [4] Hjelm et al., "Learning deep representations by mutual information estimation and maximization", ICLR 2019.
.. [5] Nguyen, Wainwright & Jordan, "Estimating divergence functionals and the likelihood ratio by convex risk
   minimization", IEEE Trans. Inf. Theory 2010.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from skdim._params import Configured

__all__ = ["BOUNDS", "DV", "JSD", "NWJ", "Alpha", "Bound", "InfoNCE", "alpha", "dv", "infonce", "jsd", "nwj"]


def _check(scores: Tensor) -> Tensor:
    if scores.ndim < 2 or scores.shape[0] != scores.shape[1] or scores.shape[0] < 2:
        raise ValueError(f"scores must have shape (K, K, ...) with K >= 2, got {tuple(scores.shape)}.")
    return scores


def _joint(scores: Tensor) -> Tensor:
    """Return the scores of the joint samples, shape (..., K)."""
    return scores.diagonal(dim1=0, dim2=1)


def _diagonal_mask(scores: Tensor) -> Tensor:
    mask = torch.eye(scores.shape[0], dtype=torch.bool, device=scores.device)
    return mask.reshape(mask.shape + (1,) * (scores.ndim - 2))


def _log_mean_exp_marginal(scores: Tensor) -> Tensor:
    """Return log E e^f over the K (K - 1) off-diagonal pairs, one value per trailing location."""
    k = scores.shape[0]
    off_diagonal = scores.masked_fill(_diagonal_mask(scores), -math.inf)
    return torch.logsumexp(off_diagonal, dim=(0, 1)) - math.log(k * (k - 1))


def infonce(scores: Tensor) -> Tensor:
    r"""InfoNCE: a lower bound that never exceeds log K.

    .. math:: I_{NCE} = \log K + \frac1K \sum_i \Bigl( f_{ii} - \log \sum_j e^{f_{ij}} \Bigr)

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j]`` = f(x_i, y_j). x_i is the anchor, the y_j its candidates.

    Returns
    -------
    Tensor, a scalar in nats
        Poole et al. 2019 [1]_, Eq. 10; van den Oord et al. 2018 [3]_, Eq. 4.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import infonce
    >>> round(infonce(torch.zeros(8, 8)).item(), 6), round(infonce(50 * torch.eye(8)).item(), 4)
    (0.0, 2.0794)
    """
    candidates_last = _check(scores).movedim(1, -1)
    log_posterior = F.log_softmax(candidates_last, dim=-1).diagonal(dim1=0, dim2=-1)
    return math.log(scores.shape[0]) + log_posterior.mean()


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
    return (_joint(_check(scores)).mean(-1) - _log_mean_exp_marginal(scores)).mean()


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
        Nguyen et al. 2010 [5]_; Poole et al. 2019 [1]_, Eq. 7.

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
    return (_joint(_check(scores)).mean(-1) - torch.exp(_log_mean_exp_marginal(scores) - 1)).mean()


def jsd(scores: Tensor) -> Tensor:
    r"""Jensen-Shannon objective of Deep InfoMax: at most 2 log 2 = 1.386, and *not* mutual information.

    .. math:: 2 \log 2 + E_{p(x,y)}[-\mathrm{sp}(-f)] - E_{p(x)p(y)}[\mathrm{sp}(f)], \quad \mathrm{sp}(t) = \log(1+e^t)

    At its optimal critic, the log density ratio, it is twice the Jensen-Shannon divergence between the joint distribution
    and the product of the marginals. In nats of MI the critic is reported by ``nwj(scores + 1)``.

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j]`` = f(x_i, y_j).

    Returns
    -------
    Tensor, a scalar
        Hjelm et al. 2019 [4]_, Eq. 4, shifted by 2 log 2 so that it is 0 at zero scores.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import jsd
    >>> abs(round(jsd(torch.zeros(4, 4)).item(), 6))
    0.0
    """
    k = _check(scores).shape[0]
    joint = _joint(scores)
    # sp(f) = f + sp(-f): the diagonal's share is taken from the sum over all pairs.
    marginal = (F.softplus(scores).sum() - F.softplus(joint).sum()) / (joint.numel() * (k - 1))
    return 2 * math.log(2) - F.softplus(-joint).mean() - marginal


def _log_mean_exp_leave_one_out(scores: Tensor) -> Tensor:
    """Return ``a[i, j]`` = log of the mean over k != j of e^scores[i, k].

    The log-sum without j is lse + log(1 - e^(scores - lse)), which cancels where j dominates its row; that entry, the
    row's largest, is summed anew. Every other entry has at most half of its row's mass.
    """
    largest = F.one_hot(scores.movedim(1, -1).argmax(-1), scores.shape[1]).movedim(-1, 1).bool()
    without_largest = torch.logsumexp(scores.masked_fill(largest, -math.inf), dim=1, keepdim=True)
    row = torch.logsumexp(scores, dim=1, keepdim=True)
    share = torch.exp(scores - row).masked_fill(largest, 0.5)
    log_sum = torch.where(largest, without_largest, row + torch.log1p(-share))
    return log_sum - math.log(scores.shape[1] - 1)


def alpha(scores: Tensor, alpha: float = 0.01) -> Tensor:
    r"""Interpolated bound: InfoNCE (leave-one-out) at ``alpha=1``, NWJ with baseline 1 at ``alpha=0``.

    .. math::

        I_\alpha = 1 + E\Bigl[\log \frac{e^{f(x_i,y_i)}}{a_{ij}}\Bigr] - E\Bigl[\frac{e^{f(x_i,y_j)}}{a_{ii}}\Bigr],
        \quad a_{ij} = \frac{\alpha}{K-1} \sum_{k \ne j} e^{f(x_i,y_k)} + (1 - \alpha)

    with both means over :math:`i \ne j`. It never exceeds 1 + log((K - 1) / alpha).

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j]`` = f(x_i, y_j).
    alpha : float in [0, 1], default=0.01
        Small values have less bias and more variance.

    Returns
    -------
    Tensor, a scalar in nats
        Poole et al. 2019 [1]_, Eq. 11, in leave-one-out form with the baseline q(y) = 1.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2, or ``alpha`` is outside [0, 1].

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import alpha
    >>> abs(round(alpha(torch.zeros(8, 8), alpha=0.5).item(), 5))
    0.0
    """
    _check_alpha(alpha)
    k = _check(scores).shape[0]
    log_alpha = math.log(alpha) if alpha > 0 else -math.inf
    log_rest = math.log1p(-alpha) if alpha < 1 else -math.inf
    baseline = torch.logaddexp(_log_mean_exp_leave_one_out(scores) + log_alpha, scores.new_tensor(log_rest))
    mask = _diagonal_mask(scores)
    log_ratio = _joint(scores).movedim(-1, 0).unsqueeze(1) - baseline
    joint = log_ratio.masked_fill(mask, 0).sum(dim=(0, 1)) / (k * (k - 1))
    own_baseline = _joint(baseline).movedim(-1, 0).unsqueeze(1)
    return (1 + joint - torch.exp(_log_mean_exp_marginal(scores - own_baseline))).mean()


def _check_alpha(alpha: float) -> None:
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], got {alpha!r}.")


class Bound(Configured):
    """What stands behind an MI estimator's name.

    Attributes
    ----------
    name : str
        The value of the parameter ``estimator``.
    kind : {"lower", "upper", "estimate"}
        What :meth:`value` is to the mutual information, in expectation over fresh samples.
    optimal_critic : str
        The critic at which the bound is tight; r is the log density ratio log p(x, y) / (p(x) p(y)).
    offset : float
        The constant score at which the bound is 0; critics start there.
    symmetric : bool
        Whether exchanging x and y leaves the value unchanged.
    loss_is_value : bool
        Whether :meth:`loss` is the negative of :meth:`value`.
    """

    name: ClassVar[str]
    kind: ClassVar[str] = "lower"
    optimal_critic: ClassVar[str]
    offset: ClassVar[float] = 0.0
    symmetric: ClassVar[bool] = True
    loss_is_value: ClassVar[bool] = True

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


@dataclass
class InfoNCE(Bound):
    r"""InfoNCE, see :func:`infonce`: low variance, at most log K.

    Examples
    --------
    >>> from skdim.bounds import InfoNCE
    >>> InfoNCE().kind, round(InfoNCE().cap(128), 3)
    ('lower', 4.852)
    """

    name: ClassVar[str] = "infonce"
    optimal_critic: ClassVar[str] = "r + c(x), for any function c of the anchor"
    symmetric: ClassVar[bool] = False

    def cap(self, k: int) -> float:
        return math.log(k)

    def value(self, scores: Tensor) -> Tensor:
        return infonce(scores)


@dataclass
class JSD(Bound):
    """Deep InfoMax's Jensen-Shannon estimator: trained by :func:`jsd`, reported by ``nwj(scores + 1)``.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import JSD
    >>> JSD().value(torch.zeros(4, 4)).item()
    0.0
    """

    name: ClassVar[str] = "jsd"
    optimal_critic: ClassVar[str] = "r"
    loss_is_value: ClassVar[bool] = False

    def value(self, scores: Tensor) -> Tensor:
        return nwj(scores + 1)

    def loss(self, scores: Tensor, log_average: Tensor | None = None) -> Tensor:
        return -jsd(scores)


@dataclass
class DV(Bound):
    """Donsker-Varadhan, see :func:`dv`, trained as MINE: a moving average replaces the batch mean in the gradient.

    The gradient of -log E[e^f] is -E[e^f f'] / E[e^f]; a batch mean in the denominator biases it, so the denominator is the
    moving average (Belghazi et al. 2018, Section 3.2). The reported value stays plain DV. ``kind`` is "lower" for the
    population; the mean of a batch's values lies above it.

    Parameters
    ----------
    momentum : float in [0, 1), default=0.9
        Share of the old average kept at each step; 0 gives the biased gradient of the batch.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import DV
    >>> log_average = torch.tensor(float("nan"))           # not started
    >>> scores = torch.zeros(3, 3)
    >>> DV().loss(scores, log_average).item(), log_average.item()
    (0.0, 0.0)
    """

    momentum: float = 0.9
    name: ClassVar[str] = "dv"
    optimal_critic: ClassVar[str] = "r + c, for any constant c"

    def check(self) -> None:
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum of DV must lie in [0, 1), got {self.momentum!r}.")

    def value(self, scores: Tensor) -> Tensor:
        return dv(scores)

    def loss(self, scores: Tensor, log_average: Tensor | None = None) -> Tensor:
        if log_average is None:
            return -dv(scores)
        log_mean = _log_mean_exp_marginal(_check(scores)).mean()
        average = log_mean.detach()
        if self.momentum > 0 and not torch.isnan(log_average):
            average = torch.logaddexp(log_average + math.log(self.momentum), average + math.log1p(-self.momentum))
        log_average.copy_(average)
        # d log E = dE / E for the batch's E; the ratio puts the moving average in E's place.
        ratio = torch.exp(log_mean.detach() - average)
        gradient = ratio * log_mean - _joint(scores).mean()
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

    def value(self, scores: Tensor) -> Tensor:
        return nwj(scores)


@dataclass
class Alpha(Bound):
    """The interpolated bound, see :func:`alpha`: between NWJ's variance and InfoNCE's bias.

    Parameters
    ----------
    alpha : float in [0, 1], default=0.01
        Weight of InfoNCE's baseline. The cap is 1 + log((K - 1) / alpha).

    Examples
    --------
    >>> from skdim.bounds import Alpha
    >>> round(Alpha(alpha=0.5).cap(128), 3)
    6.537
    """

    alpha: float = 0.01
    name: ClassVar[str] = "alpha"
    optimal_critic: ClassVar[str] = "r, towards r + c(x) as alpha nears 1"
    symmetric: ClassVar[bool] = False

    def check(self) -> None:
        _check_alpha(self.alpha)

    def cap(self, k: int) -> float:
        return 1 + math.log((k - 1) / self.alpha) if self.alpha > 0 else math.inf

    def value(self, scores: Tensor) -> Tensor:
        return alpha(scores, self.alpha)


#: MI estimators by name.
BOUNDS: dict[str, type[Bound]] = {bound.name: bound for bound in (InfoNCE, JSD, DV, NWJ, Alpha)}
