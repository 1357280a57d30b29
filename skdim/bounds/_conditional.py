"""Bounds that need no critic: a density is known, or the joint distribution is Gaussian.

The scores are ``scores[i, j]`` = log p(y_j | x_i), as a critic's are f(x_i, y_j). The candidates of a joint sample are the
x_i at its y_j: log p(y | x) is the log density ratio plus a function of y, which cancels there and only there.

References
----------
.. [1] Poole et al., "On variational bounds of mutual information", ICML 2019.
.. [2] Cheng et al., "CLUB: a contrastive log-ratio upper bound of mutual information", ICML 2020.
.. [3] Gelfand & Yaglom, "Calculation of the amount of information about a random function contained in another such
   function", 1957.
.. [4] Barber & Agakov, "The IM algorithm: a variational approach to information maximization", NeurIPS 2003.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from skdim.bounds._base import Bound, check_scores, diagonal_mask, joint_scores
from skdim.bounds._exponential import uba
from skdim.bounds._softmax import infonce


def tnce(scores: Tensor) -> Tensor:
    r"""Tractable NCE: InfoNCE with the known conditional as its critic, a lower bound that never exceeds log K.

    .. math:: I_{TNCE} = \frac1K \sum_j \log \frac{p(y_j \mid x_j)}{\frac1K \sum_i p(y_j \mid x_i)}

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j]`` = log p(y_j | x_i).

    Returns
    -------
    Tensor, a scalar in nats
        Poole et al. 2019 [1]_, Section 2.5: :func:`infonce` with y as the anchor.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import tnce
    >>> round(tnce(torch.tensor([[0.9, 0.1], [0.2, 0.8]]).log()).item(), 4)
    0.5339
    """
    return infonce(check_scores(scores).transpose(0, 1))


def l1out(scores: Tensor) -> Tensor:
    r"""Leave-one-out bound: the other samples' conditionals stand for the marginal p(y), an upper bound.

    .. math:: I_{L1Out} = \frac1K \sum_j \log \frac{p(y_j \mid x_j)}{\frac1{K-1} \sum_{i \ne j} p(y_j \mid x_i)}

    It is the upper bound only for the true conditional, and loose where the information is large and K small.

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j]`` = log p(y_j | x_i).

    Returns
    -------
    Tensor, a scalar in nats
        Poole et al. 2019 [1]_, Section 2.5. The formula is that of :func:`uba`.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import l1out
    >>> round(l1out(torch.tensor([[0.9, 0.1], [0.2, 0.8]]).log()).item(), 4)
    1.7918
    """
    return uba(scores)


def club(scores: Tensor) -> Tensor:
    r"""Contrastive log-ratio upper bound: an unbiased upper bound for the true conditional.

    .. math:: I_{CLUB} = E_{p(x,y)}[\log p(y \mid x)] - E_{p(x)p(y)}[\log p(y \mid x)]

    With a learned conditional in its place it may err to either side.

    Parameters
    ----------
    scores : Tensor of shape (K, K, ...)
        ``scores[i, j]`` = log p(y_j | x_i).

    Returns
    -------
    Tensor, a scalar in nats
        Cheng et al. 2020 [2]_, Theorem 3.1, with the second mean over i != j, which makes it unbiased.

    Raises
    ------
    ValueError
        If ``scores`` is not (K, K, ...) with K of at least 2.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import club
    >>> round(club(torch.tensor([[0.9, 0.1], [0.2, 0.8]]).log()).item(), 4)
    1.7918
    """
    k = check_scores(scores).shape[0]
    joint = joint_scores(scores)
    return joint.mean() - (scores.sum() - joint.sum()) / (joint.numel() * (k - 1))


def barber_agakov(log_conditional: Tensor, log_marginal: Tensor | float) -> Tensor:
    r"""Barber-Agakov bound: a model of y given x against the known density, or entropy, of y, a lower bound.

    .. math:: I_{BA} = E[\log q(y \mid x)] - E[\log p(y)] = I(X; Y) - E[KL(p(y \mid x) \,\|\, q(y \mid x))]

    Parameters
    ----------
    log_conditional : Tensor of shape (n,)
        log q(y_i | x_i) of joint samples that q was not fitted to.
    log_marginal : Tensor of shape (n,) or float
        The known log p(y_i), or its mean: the negative entropy of y, differential where y is continuous.

    Returns
    -------
    Tensor, a scalar in nats
        Barber & Agakov 2003 [4]_. The true value for the true conditional.

    Examples
    --------
    >>> import math
    >>> import torch
    >>> from skdim.bounds import barber_agakov
    >>> round(barber_agakov(torch.tensor([0.9, 0.8]).log(), -math.log(2)).item(), 4)  # of a fair bit
    0.5289
    """
    return (log_conditional - log_marginal).mean()


def rate(log_conditional: Tensor, log_marginal: Tensor) -> Tensor:
    r"""Rate of a channel: the known conditional against a model of the density of y, an upper bound.

    .. math:: R = E[\log p(y \mid x) - \log q(y)] = I(X; Y) + KL(p(y) \,\|\, q(y))

    Where information is large, L1Out fails and the rate stays as near the truth as q is to p(y).

    Parameters
    ----------
    log_conditional : Tensor of shape (n,)
        The known log p(y_i | x_i).
    log_marginal : Tensor of shape (n,)
        log q(y_i) at samples that q was not fitted to.

    Returns
    -------
    Tensor, a scalar in nats
        Poole et al. 2019 [1]_, Eq. 2. The true value for the true density of y.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import rate
    >>> round(rate(torch.tensor([0.9, 0.8]).log(), torch.tensor([0.5, 0.5]).log()).item(), 4)
    0.5289
    """
    if log_conditional.shape != log_marginal.shape:
        shapes = tuple(log_conditional.shape), tuple(log_marginal.shape)
        raise ValueError(f"log_conditional and log_marginal must have equal shapes, got {shapes[0]} and {shapes[1]}.")
    return (log_conditional - log_marginal).mean()


def gaussian(correlations: Tensor | npt.ArrayLike) -> Tensor:
    r"""Mutual information of jointly Gaussian vectors, from their canonical correlations.

    .. math:: I = -\frac12 \sum_k \log(1 - \rho_k^2)

    Parameters
    ----------
    correlations : Tensor or array-like of float
        The canonical correlations, each strictly between -1 and 1.

    Returns
    -------
    Tensor, a scalar in nats
        Gelfand & Yaglom 1957 [3]_. Exact for a Gaussian joint distribution; for Gaussian marginals, a lower bound.

    Raises
    ------
    ValueError
        If a correlation is not strictly between -1 and 1: the information would be infinite.

    Examples
    --------
    >>> from skdim.bounds import gaussian
    >>> round(gaussian([0.6, -0.8, 0.0]).item(), 4)
    0.734
    """
    rho = correlations if isinstance(correlations, Tensor) else torch.tensor(np.asarray(correlations, dtype=float))
    outside = rho[~(rho.abs() < 1)]  # so that NaN is outside
    if len(outside):
        raise ValueError(f"correlations must lie strictly between -1 and 1, got {outside[0].item()!r}.")
    return -torch.log1p(-rho.square()).sum() / 2


@dataclass
class TNCE(Bound):
    """Tractable NCE, see :func:`tnce`: a lower bound from the known conditional.

    Examples
    --------
    >>> from skdim.bounds import TNCE
    >>> TNCE().kind, TNCE().needs, round(TNCE().cap(128), 3)
    ('lower', 'conditional', 4.852)
    """

    name: ClassVar[str] = "tnce"
    needs: ClassVar[str] = "conditional"
    optimal_critic: ClassVar[str] = "log p(y | x), or r + c(y) for any function c of y"
    anchors: ClassVar[tuple[str, ...]] = ("y",)
    symmetric: ClassVar[bool] = False

    def cap(self, k: int) -> float:
        return math.log(k)

    def value(self, scores: Tensor) -> Tensor:
        return tnce(scores)

    def contributions(self, scores: Tensor, value: Callable[[Tensor], Tensor] | None = None) -> tuple[Tensor, Tensor]:
        return _shifted(scores.diagonal() - torch.logsumexp(scores, 0), tnce(scores))


@dataclass
class L1Out(Bound):
    """Leave-one-out bound, see :func:`l1out`: an upper bound from the known conditional.

    Examples
    --------
    >>> from skdim.bounds import L1Out
    >>> L1Out().kind, L1Out().needs
    ('upper', 'conditional')
    """

    name: ClassVar[str] = "l1out"
    kind: ClassVar[str] = "upper"
    needs: ClassVar[str] = "conditional"
    optimal_critic: ClassVar[str] = "log p(y | x)"
    anchors: ClassVar[tuple[str, ...]] = ("y",)
    symmetric: ClassVar[bool] = False

    def value(self, scores: Tensor) -> Tensor:
        return l1out(scores)

    def contributions(self, scores: Tensor, value: Callable[[Tensor], Tensor] | None = None) -> tuple[Tensor, Tensor]:
        others = scores.masked_fill(diagonal_mask(scores), -math.inf)
        return _shifted(scores.diagonal() - torch.logsumexp(others, 0), l1out(scores))


@dataclass
class CLUB(Bound):
    """Contrastive log-ratio upper bound, see :func:`club`: linear in log p(y | x), unbiased.

    Examples
    --------
    >>> from skdim.bounds import CLUB
    >>> CLUB().kind, CLUB().needs
    ('upper', 'conditional')
    """

    name: ClassVar[str] = "club"
    kind: ClassVar[str] = "upper"
    needs: ClassVar[str] = "conditional"
    learns_conditional: ClassVar[bool] = True
    optimal_critic: ClassVar[str] = "log p(y | x)"
    anchors: ClassVar[tuple[str, ...]] = ("y",)

    def value(self, scores: Tensor) -> Tensor:
        return club(scores)

    def contributions(self, scores: Tensor, value: Callable[[Tensor], Tensor] | None = None) -> tuple[Tensor, Tensor]:
        joint = scores.diagonal()
        others = (scores.sum(0) + scores.sum(1) - 2 * joint) / (len(scores) - 1)
        return _shifted(joint - others + others.mean() / 2, club(scores))


def _shifted(per_row: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Return a value and the rows' contributions, moved such that their mean is the value."""
    return value, (per_row + (value - per_row.mean())).double()
