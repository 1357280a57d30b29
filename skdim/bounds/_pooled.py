"""Estimates with the negatives of all locations pooled, as Deep InfoMax was published (Hjelm et al. 2019 [1]_).

The other bounds compare a location of a feature map with the same location of the other samples, and average over locations.
Here every location of the other samples is a negative. Locations of one sample depend on each other, and each has a
distribution of its own, so these values bound no mutual information.

References
----------
.. [1] Hjelm et al., "Learning deep representations by mutual information estimation and maximization", ICLR 2019.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from skdim.bounds._base import Bound, check_scores, diagonal_mask, joint_scores


def pooled_infonce(scores: Tensor) -> Tensor:
    r"""InfoNCE with all locations of all other samples as negatives: an estimate, of at most log((K - 1) P + 1).

    .. math::

        \log\bigl((K-1) P + 1\bigr) + \frac1{K P} \sum_{i,p} \Bigl( f_{iip}
            - \log \bigl( e^{f_{iip}} + \sum_{j \ne i} \sum_q e^{f_{ijq}} \bigr) \Bigr)

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j, p]`` = f(x_i, location p of y_j), with P locations in all.

    Returns
    -------
    Tensor, a scalar in nats
        Hjelm et al. 2019 [1]_, Eq. 5, whose sum is a mean here.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import pooled_infonce
    >>> scores = 50 * torch.eye(8)[:, :, None].expand(8, 8, 9)
    >>> round(pooled_infonce(scores).item(), 4)                            # log 64
    4.1589
    """
    k = check_scores(scores).shape[0]
    negatives = torch.logsumexp(scores.masked_fill(diagonal_mask(scores), -math.inf).flatten(1), 1)
    joint = joint_scores(scores)  # (..., K)
    n_candidates = (k - 1) * scores[0, 0].numel() + 1
    return math.log(n_candidates) + (joint - torch.logaddexp(joint, negatives)).mean()


def pooled_dv(scores: Tensor) -> Tensor:
    r"""Donsker-Varadhan with one exponential mean over all locations: an estimate.

    .. math:: \frac1{K P} \sum_{i,p} f_{iip} - \log \frac1{K (K-1) P} \sum_{i \ne j} \sum_p e^{f_{ijp}}

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j, p]`` = f(x_i, location p of y_j), with P locations in all.

    Returns
    -------
    Tensor, a scalar in nats
        Hjelm et al. 2019 [1]_, Eq. 2 over pairs of all locations.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import dv, pooled_dv
    >>> scores = torch.stack([torch.zeros(4, 4), torch.ones(4, 4)], dim=2)
    >>> dv(scores).item(), round(pooled_dv(scores).item(), 4)
    (0.0, -0.1201)
    """
    k = check_scores(scores).shape[0]
    n_negatives = k * (k - 1) * scores[0, 0].numel()
    off_diagonal = scores.masked_fill(diagonal_mask(scores), -math.inf)
    return joint_scores(scores).mean() - torch.logsumexp(off_diagonal.flatten(), 0) + math.log(n_negatives)


@dataclass
class PooledInfoNCE(Bound):
    """InfoNCE with all locations of the other samples as negatives, see :func:`pooled_infonce`; x is the anchor.

    Examples
    --------
    >>> from skdim.bounds import PooledInfoNCE
    >>> PooledInfoNCE().kind
    'estimate'
    """

    name: ClassVar[str] = "pooled_infonce"
    kind: ClassVar[str] = "estimate"
    optimal_critic: ClassVar[str] = "no log ratio: the density of a location against that of all locations, + c(x)"
    anchors: ClassVar[tuple[str, ...]] = ("x",)
    symmetric: ClassVar[bool] = False
    pools: ClassVar[bool] = True

    def value(self, scores: Tensor) -> Tensor:
        return pooled_infonce(scores)

    def symmetric_value(self, scores: Tensor) -> Tensor:
        return pooled_infonce(scores)  # as published: locations are no anchors


@dataclass
class PooledDV(Bound):
    """Donsker-Varadhan with one exponential mean over all locations, see :func:`pooled_dv`; without a moving average.

    Examples
    --------
    >>> from skdim.bounds import PooledDV
    >>> PooledDV().kind
    'estimate'
    """

    name: ClassVar[str] = "pooled_dv"
    kind: ClassVar[str] = "estimate"
    optimal_critic: ClassVar[str] = "no log ratio: the density of a location against that of all locations, + c"
    averages_exponentials: ClassVar[bool] = True
    pools: ClassVar[bool] = True

    def value(self, scores: Tensor) -> Tensor:
        return pooled_dv(scores)
