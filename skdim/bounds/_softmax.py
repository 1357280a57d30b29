"""Bounds in which the joint sample competes against candidates: a softmax, hence a cap.

References
----------
.. [1] Poole et al., "On variational bounds of mutual information", ICML 2019.
.. [2] Song & Ermon, "Multi-label contrastive predictive coding", NeurIPS 2020.
.. [3] van den Oord et al., "Representation learning with contrastive predictive coding", 2018.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from skdim.bounds._base import Bound, check_scores, diagonal_mask, joint_scores, log_mean_exp_marginal

#: Scores that are held at once where those of all pairs are too many: 64 MiB in float32. glibc gives blocks above 32 MiB back
#: to the system, and keeps smaller ones, between which memory is lost: 2 GB of 20,000 rows in parts of 256.
SCORES_BY_PART = 2**24


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
    return _infonce(*_in_order_of_memory(scores))


def _in_order_of_memory(scores: Tensor) -> tuple[Tensor, int, int]:
    """Return the scores with their dimensions in the order of memory, and the places of anchors and candidates.

    A softmax copies scores that are transposed, or come from a map, and its gradient copies them back.
    """
    check_scores(scores)
    # A dimension of one place may have any stride: it comes first. sorted() cannot be traced if the batch size is symbolic.
    strides = [stride if size > 1 else math.inf for size, stride in zip(scores.shape, scores.stride(), strict=True)]
    order: list[int] = []
    for dim, stride in enumerate(strides):
        order.insert(sum(strides[other] >= stride for other in order), dim)
    ordered = scores if order == sorted(order) else scores.permute(order)
    return ordered, order.index(0), order.index(1)


def _infonce(scores: Tensor, anchors: int, candidates: int) -> Tensor:
    log_posterior = F.log_softmax(scores, dim=candidates).diagonal(dim1=anchors, dim2=candidates)
    return math.log(scores.shape[anchors]) + log_posterior.mean()


def alpha(scores: Tensor, alpha: float = 0.01) -> Tensor:
    r"""Interpolated bound: InfoNCE (leave-one-out) at ``alpha=1``, NWJ with baseline 1 at ``alpha=0``.

    .. math::

        I_\alpha = 1 + E\Bigl[\log \frac{e^{f(x_i,y_i)}}{a_{ij}}\Bigr] - E\Bigl[\frac{e^{f(x_i,y_j)}}{a_{ii}}\Bigr],
        \quad a_{ij} = \frac{\alpha}{K-1} \sum_{k \ne j} e^{f(x_i,y_k)} + (1 - \alpha)

    with both means over :math:`i \ne j`. It never exceeds 1 + log((K - 1) / alpha), and with ``alpha=1`` log(K - 1).

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
    k = check_scores(scores).shape[0]
    log_alpha = math.log(alpha) if alpha > 0 else -math.inf
    log_rest = math.log1p(-alpha) if alpha < 1 else -math.inf
    baseline = torch.logaddexp(_log_mean_exp_leave_one_out(scores) + log_alpha, scores.new_full((), log_rest))
    mask = diagonal_mask(scores)
    log_ratio = joint_scores(scores).movedim(-1, 0).unsqueeze(1) - baseline
    joint = log_ratio.masked_fill(mask, 0).sum(dim=(0, 1)) / (k * (k - 1))
    own_baseline = joint_scores(baseline).movedim(-1, 0).unsqueeze(1)
    return (1 + joint - torch.exp(log_mean_exp_marginal(scores - own_baseline))).mean()


def _check_alpha(alpha: float) -> None:
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], got {alpha!r}.")


def _log_mean_exp_leave_one_out(scores: Tensor) -> Tensor:
    """Return ``a[i, j]`` = log of the mean over k != j of e^scores[i, k].

    The log-sum without j is lse + log(1 - e^(scores - lse)), which cancels where j dominates its row; that entry, the
    row's largest, is summed anew. Every other entry has at most half of its row's mass.
    """
    largest = torch.zeros_like(scores, dtype=torch.bool).scatter(1, scores.argmax(1, keepdim=True), True)
    without_largest = torch.logsumexp(scores.masked_fill(largest, -math.inf), dim=1, keepdim=True)
    row = torch.logsumexp(scores, dim=1, keepdim=True)
    share = torch.exp(scores - row).masked_fill(largest, 0.5)
    log_sum = torch.where(largest, without_largest, row + torch.log1p(-share))
    return log_sum - math.log(scores.shape[1] - 1)


def mlcpc(scores: Tensor) -> Tensor:
    r"""Multi-label CPC: one softmax over all pairs, a lower bound whose cap is about 2 log K.

    .. math::

        I_{MLCPC} = \log(K(K-1) + 1) + \frac1K \sum_i \Bigl( f_{ii}
            - \log \bigl( e^{f_{ii}} + \sum_{j \ne k} e^{f_{jk}} \bigr) \Bigr)

    Each joint sample competes with all K (K - 1) pairs of the product of the marginals.

    The proof takes negatives that are independent of each other. Those of one batch are not, (x_j, y_k) and (x_k, y_j) move
    together, and the expectation can pass I by a little: by 0.0015 nats, in an exact computation, for y = x uniform over
    2^14 symbols and K = 400.

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j]`` = f(x_i, y_j). r + c is optimal for large K.

    Returns
    -------
    Tensor, a scalar in nats
        Song & Ermon 2020 [2]_ with their smallest alpha, but with e^f of the joint sample itself in place of its mean over all
        joint samples; their value is never larger.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import infonce, mlcpc
    >>> round(infonce(50 * torch.eye(9)).item(), 4), round(mlcpc(50 * torch.eye(9)).item(), 4)
    (2.1972, 4.2905)
    """
    k = check_scores(scores).shape[0]
    joint = joint_scores(scores)
    negatives = log_mean_exp_marginal(scores).unsqueeze(-1) + math.log(k * (k - 1))
    return math.log(k * (k - 1) + 1) + (joint - torch.logaddexp(joint, negatives)).mean()


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
    takes_reference: ClassVar[bool] = True  # a pair with a large score fills one row's softmax

    def cap(self, k: int) -> float:
        return math.log(k)

    def value(self, scores: Tensor) -> Tensor:
        return infonce(scores)

    def symmetric_value(self, scores: Tensor) -> Tensor:
        scores, x, y = _in_order_of_memory(scores)  # once for both
        return (_infonce(scores, x, y) + _infonce(scores, y, x)) / 2

    def contributions(self, scores: Tensor, value: Callable[[Tensor], Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Return the bound over both anchors and the rows' contributions: each row has denominators of its own."""
        by_row, by_column = torch.logsumexp(scores, 1), torch.logsumexp(scores, 0)
        own = scores.diagonal() - (by_row + by_column) / 2 + math.log(len(scores))
        as_candidate = torch.exp(scores - by_row[:, None]).sum(0) + torch.exp(scores - by_column[None]).sum(1)
        return own.mean(), (own - (as_candidate / 2 - 1)).double()  # candidates' shares have mean 1: the mean stays

    def contributions_by_parts(self, scores_of: Callable[[slice], Tensor], k: int) -> tuple[Tensor, Tensor] | None:
        n_rows = max(SCORES_BY_PART // k, 1)
        parts = [slice(start, min(start + n_rows, k)) for start in range(0, k, n_rows)]
        first = scores_of(slice(0, 1))
        # Written in place: parts of views would hold the scores of all pairs.
        joint, by_row, as_candidate = first.new_zeros((3, k))
        by_column = first.new_full((k,), -math.inf)
        for rows in parts:
            scores = scores_of(rows)
            joint[rows] = scores.diagonal(rows.start)
            by_row[rows] = torch.logsumexp(scores, 1)
            by_column = torch.logaddexp(by_column, torch.logsumexp(scores, 0))
            as_candidate += torch.exp(scores - by_row[rows, None]).sum(0)
        for rows in parts:
            as_candidate[rows] += torch.exp(scores_of(rows) - by_column).sum(1)
        own = joint - (by_row + by_column) / 2 + math.log(k)
        return own.mean(), (own - (as_candidate / 2 - 1)).double()  # candidates' shares have mean 1: the mean stays


@dataclass
class Alpha(Bound):
    """The interpolated bound, see :func:`alpha`: between NWJ's variance and InfoNCE's bias.

    Parameters
    ----------
    alpha : float in [0, 1], default=0.01
        Weight of InfoNCE's baseline. The cap is 1 + log((K - 1) / alpha); with alpha = 1 it is log(K - 1).

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
    takes_reference: ClassVar[bool] = True  # for alpha > 0: each row's baseline holds its own e^f

    def check(self) -> None:
        _check_alpha(self.alpha)

    def cap(self, k: int) -> float:
        if self.alpha == 1:  # the ratio to the baseline of one's own negatives is 1 on average, whatever the scores
            return math.log(k - 1)
        return 1 + math.log((k - 1) / self.alpha) if self.alpha > 0 else math.inf

    def value(self, scores: Tensor) -> Tensor:
        return alpha(scores, self.alpha)


@dataclass
class MLCPC(Bound):
    """Multi-label CPC, see :func:`mlcpc`: all pairs compete, so the cap is about twice InfoNCE's.

    Examples
    --------
    >>> from skdim.bounds import InfoNCE, MLCPC
    >>> MLCPC().kind, round(InfoNCE().cap(128), 3), round(MLCPC().cap(128), 3)
    ('lower', 4.852, 9.696)
    """

    name: ClassVar[str] = "mlcpc"
    optimal_critic: ClassVar[str] = "r + c, for any constant c, as K grows"
    takes_reference: ClassVar[bool] = True  # all rows share one sum, but inside a softmax

    def cap(self, k: int) -> float:
        return math.log(k * (k - 1) + 1)

    def value(self, scores: Tensor) -> Tensor:
        return mlcpc(scores)
