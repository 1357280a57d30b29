"""Estimators whose critic is trained on the Jensen-Shannon divergence: they differ in how they report it in nats of MI.

References
----------
.. [1] Hjelm et al., "Learning deep representations by mutual information estimation and maximization", ICLR 2019.
.. [2] Song & Ermon, "Understanding the limitations of variational mutual information estimators", ICLR 2020.
.. [3] Letizia, Novello & Tonello, "Mutual information estimation via f-divergence and data derangements", NeurIPS 2024.
.. [4] Bennett, "Efficient estimation of free energy differences from Monte Carlo data", J. Comput. Phys. 1976.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from skdim.bounds._base import Bound, check_scores, joint_scores, log_mean_exp_marginal
from skdim.bounds._exponential import nwj


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
        Hjelm et al. 2019 [1]_, Eq. 4, shifted by 2 log 2 so that it is 0 at zero scores.

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
    k = check_scores(scores).shape[0]
    joint = joint_scores(scores)
    # sp(f) = f + sp(-f): the diagonal's share is taken from the sum over all pairs.
    marginal = (F.softplus(scores).sum() - F.softplus(joint).sum()) / (joint.numel() * (k - 1))
    return 2 * math.log(2) - F.softplus(-joint).mean() - marginal


def smile(scores: Tensor, tau: float = 5.0) -> Tensor:
    r"""Smoothed MI "lower-bound" estimator: DV with clipped density ratios, and no bound.

    .. math:: I_{SMILE} = E_{p(x,y)}[f] - \log E_{p(x)p(y)}[\mathrm{clip}(e^f, e^{-\tau}, e^\tau)]

    Clipping bounds the variance of the second term, by (e^tau - e^-tau)^2 / (4 n) for n independent pairs, and its bias is
    upwards where large ratios are cut off. The clip acts on the marginals only; ``tau = inf`` is :func:`dv`.

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j]`` = f(x_i, y_j), a critic trained by :func:`jsd`. The optimal critic is r.
    tau : float > 0, default=5.0
        Small values have less variance and more bias.

    Returns
    -------
    Tensor, a scalar in nats
        Song & Ermon 2020 [2]_, Section 5.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2, or ``tau`` is not positive.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import dv, smile
    >>> scores = 4 * torch.eye(4) - 2
    >>> smile(scores, tau=1.0).item(), smile(scores).item(), dv(scores).item()
    (3.0, 4.0, 4.0)
    """
    _check_tau(tau)
    clipped = check_scores(scores).clamp(-tau, tau)
    return (joint_scores(scores).mean(-1) - log_mean_exp_marginal(clipped)).mean()


def _check_tau(tau: float) -> None:
    if not tau > 0:
        raise ValueError(f"tau must be positive, got {tau!r}.")


def dime(scores: Tensor) -> Tensor:
    r"""f-DIME with the GAN divergence: the mean of the log density ratio that the discriminator implies; no bound.

    .. math:: I_{DIME} = E_{p(x,y)}[f] + c, \quad c = \arg\max_c \mathrm{jsd}(f + c)

    The discriminator D = sigma(f) of joint samples against marginals implies the density ratio D / (1 - D) = e^f, and no
    partition function is needed. But a mean of f alone is unconstrained: f + 1 would report one nat more. The objective that
    trained f fixes its constant, so the constant is taken anew from the batch: c balances the two kinds of error,

    .. math:: E_{p(x,y)}[\sigma(-f - c)] = E_{p(x)p(y)}[\sigma(f + c)]

    which is Bennett's acceptance ratio [4]_, the estimate of a log partition function from both sides with the least
    variance. Subtracting log E e^f instead would be :func:`dv`, with the tails that this estimator is meant to avoid.

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j]`` = f(x_i, y_j), a critic trained by :func:`jsd`. The optimal critic is r; constants do not matter.

    Returns
    -------
    Tensor, a scalar in nats
        Letizia et al. 2024 [3]_, on all off-diagonal pairs in place of one derangement of the batch.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import dime
    >>> round(dime(4 * torch.eye(4)).item(), 4), round(dime(4 * torch.eye(4) - 7).item(), 4)
    (2.0, 2.0)
    """
    return joint_scores(check_scores(scores)).mean() + _balance(scores).mean()


def _balance(scores: Tensor) -> Tensor:
    """Return the constant that maximises ``jsd(scores + c)``, one for each trailing location."""
    joint = joint_scores(scores)

    def excess(c: Tensor) -> Tensor:
        """Return log E[sigma(-f - c)] - log E[sigma(f + c)], joint samples against marginals: it falls, by 0 to 2 per c."""
        missed = torch.logsumexp(F.logsigmoid(-joint - c.unsqueeze(-1)), dim=-1) - math.log(len(scores))
        return missed - log_mean_exp_marginal(F.logsigmoid(scores + c))

    with torch.no_grad():
        lower, upper = -scores.amax(dim=(0, 1)), -scores.amin(dim=(0, 1))
        for _ in range(30):
            middle = (lower + upper) / 2
            too_low = excess(middle) > 0
            lower, upper = torch.where(too_low, middle, lower), torch.where(too_low, upper, middle)
        slope = (excess(upper + 1e-3) - excess(lower - 1e-3)) / (upper - lower + 2e-3)
    # One step of Newton's method at the root: it polishes the value and carries the gradient of the implicit function.
    return middle - excess(middle) / slope.clamp(max=-1e-3)


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
    averages_exponentials: ClassVar[bool] = True
    takes_reference: ClassVar[bool] = True  # softplus is linear in a large score; only the report averages e^f

    def value(self, scores: Tensor) -> Tensor:
        return nwj(scores + 1)

    def loss(self, scores: Tensor) -> Tensor:
        return -jsd(scores)


@dataclass
class SMILE(Bound):
    """SMILE, see :func:`smile`: trained by :func:`jsd`, so the clip has no gradient.

    Parameters
    ----------
    tau : float > 0, default=5.0
        Density ratios of the marginals are clipped to [e^-tau, e^tau]; ``inf`` is Donsker-Varadhan.

    Examples
    --------
    >>> from skdim.bounds import SMILE
    >>> SMILE().kind, SMILE(tau=1.0).get_params()
    ('estimate', {'tau': 1.0})
    """

    tau: float = 5.0
    name: ClassVar[str] = "smile"
    kind: ClassVar[str] = "estimate"
    optimal_critic: ClassVar[str] = "r"
    averages_exponentials: ClassVar[bool] = True

    def check(self) -> None:
        _check_tau(self.tau)

    def value(self, scores: Tensor) -> Tensor:
        return smile(scores, self.tau)

    def loss(self, scores: Tensor) -> Tensor:
        return -jsd(scores)


@dataclass
class DIME(Bound):
    """f-DIME with the GAN divergence, see :func:`dime`: trained by :func:`jsd`, reported without a partition function.

    Examples
    --------
    >>> from skdim.bounds import DIME
    >>> DIME().kind, DIME().takes_reference
    ('estimate', True)
    """

    name: ClassVar[str] = "dime"
    kind: ClassVar[str] = "estimate"
    optimal_critic: ClassVar[str] = "r + c, for any constant c"
    takes_reference: ClassVar[bool] = True  # softplus is linear in a large score, and the report bounded in it

    def value(self, scores: Tensor) -> Tensor:
        return dime(scores)

    def loss(self, scores: Tensor) -> Tensor:
        return -jsd(scores)
