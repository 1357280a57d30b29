r"""Losses of deep metric learning, as functions of the same scores: no bounds, but relatives of InfoNCE.

The multi-class N-pair loss is InfoNCE in other words (Tschannen et al. 2020 [3]_, Section 5):

.. math:: L_{\text{N-pair}} = \log K - I_{NCE}

References
----------
.. [1] Schroff, Kalenichenko & Philbin, "FaceNet: a unified embedding for face recognition and clustering", CVPR 2015.
.. [2] Sohn, "Improved deep metric learning with multi-class N-pair loss objective", NeurIPS 2016.
.. [3] Tschannen et al., "On mutual information maximization for representation learning", ICLR 2020.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from skdim.bounds._base import Bound, check_scores, diagonal_mask, joint_scores
from skdim.bounds._softmax import infonce


def _excess(scores: Tensor) -> Tensor:
    """Return f_ij - f_ii."""
    return check_scores(scores) - joint_scores(scores).movedim(-1, 0).unsqueeze(1)


def triplet(scores: Tensor, margin: float = 0.5) -> Tensor:
    r"""Triplet loss: every negative is to score less than the joint sample by a margin.

    .. math:: L = \frac{1}{K (K - 1)} \sum_i \sum_{j \ne i} \max(0, f_{ij} - f_{ii} + m)

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j]`` = f(x_i, y_j); x_i is the anchor. Half the negative squared distance of unit vectors is their cosine
        less one, so that a cosine critic makes this the loss on distances.
    margin : float, default=0.5
        Margin m, in units of the scores.

    Returns
    -------
    Tensor, a scalar without unit
        Schroff et al. 2015 [1]_, Section 3.1, over all triplets of the batch.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import triplet
    >>> triplet(torch.zeros(4, 4), margin=0.5).item(), triplet(torch.eye(4), margin=0.5).item()
    (0.5, 0.0)
    """
    k = len(check_scores(scores))
    losses = F.relu(_excess(scores) + margin).masked_fill(diagonal_mask(scores), 0)
    return losses.sum((0, 1)).mean() / (k * (k - 1))


def npair(scores: Tensor) -> Tensor:
    r"""Multi-class N-pair loss: log K - InfoNCE.

    .. math:: L = \frac1K \sum_i \log \Bigl( 1 + \sum_{j \ne i} e^{f_{ij} - f_{ii}} \Bigr)

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j]`` = f(x_i, y_j); x_i is the anchor.

    Returns
    -------
    Tensor, a scalar in nats
        Sohn 2016 [2]_, Eq. 7, without the penalty on norms.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2.

    Examples
    --------
    >>> import math, torch
    >>> from skdim.bounds import infonce, npair
    >>> scores = torch.eye(8)
    >>> abs(round(npair(scores).item() - (math.log(8) - infonce(scores).item()), 5))
    0.0
    """
    return torch.logsumexp(_excess(scores), dim=1).mean()  # e^0 of the joint sample is the 1


def npair_ovo(scores: Tensor) -> Tensor:
    r"""One-vs-one N-pair loss: a sum of soft-margin triplets, at least :func:`npair`.

    .. math:: L = \frac1K \sum_i \sum_{j \ne i} \log \bigl( 1 + e^{f_{ij} - f_{ii}} \bigr)

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j]`` = f(x_i, y_j); x_i is the anchor.

    Returns
    -------
    Tensor, a scalar in nats
        Sohn 2016 [2]_, the one-vs-one form in Section 3.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import npair_ovo
    >>> round(npair_ovo(torch.zeros(3, 3)).item(), 4)  # 2 log 2
    1.3863
    """
    losses = F.softplus(_excess(scores)).masked_fill(diagonal_mask(scores), 0)
    return losses.sum(1).mean()


class _MetricLoss(Bound):
    """A loss of metric learning, reported by the InfoNCE bound of its scores."""

    optimal_critic: ClassVar[str] = "not MI: any critic that ranks the joint sample first"
    measures_information: ClassVar[bool] = False
    symmetric: ClassVar[bool] = False

    def cap(self, k: int) -> float:
        return math.log(k)

    def value(self, scores: Tensor) -> Tensor:
        return infonce(scores)


@dataclass
class Triplet(_MetricLoss):
    """Triplet loss, see :func:`triplet`; its value is the InfoNCE bound of the scores, which it does not maximise.

    Parameters
    ----------
    margin : float > 0, default=0.5
        Margin in units of the scores. FaceNet's 0.2 between squared distances is 0.1 between cosines, hence 0.5 at the
        separable critic's temperature of 0.2.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import Triplet
    >>> scores = 2 * torch.eye(4)
    >>> Triplet().loss(scores).item(), round(Triplet().value(scores).item(), 4)
    (0.0, 1.0455)
    """

    margin: float = 0.5
    name: ClassVar[str] = "triplet"

    def check(self) -> None:
        if not self.margin > 0:
            raise ValueError(f"margin of Triplet must be positive, got {self.margin!r}.")

    def loss(self, scores: Tensor) -> Tensor:
        return triplet(scores, self.margin)


@dataclass
class NPair(_MetricLoss):
    """Multi-class N-pair loss, see :func:`npair`; its value is InfoNCE, so training is that of InfoNCE.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import NPair
    >>> round((NPair().loss(torch.eye(8)) + NPair().value(torch.eye(8))).item(), 4)  # log 8
    2.0794
    """

    name: ClassVar[str] = "npair"

    def loss(self, scores: Tensor) -> Tensor:
        return npair(scores)


@dataclass
class NPairOVO(_MetricLoss):
    """One-vs-one N-pair loss, see :func:`npair_ovo`; its value is the InfoNCE bound of the scores.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import NPair, NPairOVO
    >>> bool(NPairOVO().loss(torch.eye(8)) > NPair().loss(torch.eye(8)))
    True
    """

    name: ClassVar[str] = "npair_ovo"

    def loss(self, scores: Tensor) -> Tensor:
        return npair_ovo(scores)


#: Losses of metric learning by name.
METRIC_LOSSES: dict[str, type[Bound]] = {loss.name: loss for loss in (Triplet, NPair, NPairOVO)}
