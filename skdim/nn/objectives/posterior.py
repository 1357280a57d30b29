r"""Stochastic codes: a Gaussian p(y | x) of known density between the encoder and what its codes are used for.

Where p(y | x) is known, no critic is learned: its logarithm is the optimal one. TNCE bounds I(X; Y) from below and L1Out from
above (Poole et al. 2019 [1]_, Section 2.5), and the total correlation of the components, which is zero where they are
independent, follows from both.

References
----------
.. [1] Poole et al., "On variational bounds of mutual information", ICML 2019.
.. [2] Kingma & Welling, "Auto-encoding variational Bayes", ICLR 2014.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from skdim.bounds import l1out, tnce
from skdim.nn.encoders import Code

#: The posterior's variance lies between these. Information depends on the ratio of the means' spread to the noise, so a floor
#: limits nothing but how large the means must be; without one, the encoder gains nats by less noise as well, the exponents
#: (y - mean)^2 / variance leave float32's exact range, and gradients grow without end. Codes of the normal prior have variance
#: 1 altogether, so that their noise has less: a wider posterior is a component that says nothing, which means can say too.
VARIANCE_FLOOR, VARIANCE_CEILING = 1e-4, 1.0

#: Where the variance starts, as the logit of its place between the logarithms of floor and ceiling: wide, at 0.33. A narrow
#: start tells all samples of a batch apart at once: TNCE stands at its cap, and has no gradient.
START = 2.0


class Gaussian(NamedTuple):
    """Independent normal components, one distribution of the code for each of n inputs.

    Attributes
    ----------
    mean, log_variance : Tensor of shape (n, n_components)

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.objectives import Gaussian
    >>> posterior = Gaussian(torch.zeros(3, 2), torch.zeros(3, 2))
    >>> scores = posterior.log_density(torch.zeros(4, 2))
    >>> tuple(scores.shape), round(scores[0, 0].item(), 4)                 # -log(2 pi)
    ((3, 4), -1.8379)
    """

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Return y = mean + sd * noise, (n, n_components): the gradient passes to both (Kingma & Welling 2014 [2]_)."""
        return self.mean + (self.log_variance / 2).exp() * noise

    def log_density(self, y: Tensor) -> Tensor:
        """Return log p(y_j | x_i) of each of m codes under each of n inputs, (n, m), in nats."""
        # Products of matrices, in float64: there, nearby codes with little noise do not cancel to nothing, and the differences
        # of all pairs in every component need not be held.
        y, mean, log_variance = (_in_float64(tensor) for tensor in (y, *self))
        precision = (-log_variance).exp()
        square = (
            precision @ y.square().T - 2 * (precision * mean) @ y.T + (precision * mean.square()).sum(1, keepdim=True)
        )
        constant = (log_variance + math.log(2 * math.pi)).sum(1, keepdim=True)
        return (-0.5 * (square + constant)).to(self.mean)

    def component_log_density(self, y: Tensor) -> Tensor:
        """Return log p(y_jc | x_i) of every component c by itself, (n, m, n_components), in nats."""
        precision_root = (-self.log_variance / 2).exp()
        z = torch.addcmul(-(self.mean * precision_root).unsqueeze(1), y.unsqueeze(0), precision_root.unsqueeze(1))
        return -0.5 * (z.square() + (self.log_variance + math.log(2 * math.pi)).unsqueeze(1))


def _in_float64(tensor: Tensor) -> Tensor:
    """Return the tensor in double precision, where its device has that: Apple's has not, and the CPU takes its place."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


class StochasticCode(NamedTuple):
    """A :class:`~skdim.nn.encoders.Code` whose global part is a sample, with the distribution that it comes from.

    Attributes
    ----------
    local, hidden : Tensor
        As the encoder gives them.
    global_ : Tensor of shape (n, n_components)
        y, a sample of p(y | x).
    mean, log_variance : Tensor of shape (n, n_components)
        The parameters of p(y | x).
    """

    local: Tensor
    hidden: Tensor
    global_: Tensor
    mean: Tensor
    log_variance: Tensor

    @property
    def posterior(self) -> Gaussian:
        """Return p(y | x)."""
        return Gaussian(self.mean, self.log_variance)


#: A code as the terms of an objective take it.
AnyCode: TypeAlias = Code | StochasticCode


class GaussianPosterior(nn.Module):
    """p(y | x) with the encoder's code as mean and a variance that a linear layer reads from the hidden layer below it.

    Any encoder thus becomes stochastic, a user's own too, and the code that it gives is the mean. The logarithm of the variance
    moves between those of ``VARIANCE_FLOOR`` and ``VARIANCE_CEILING`` along a sigmoid, which has a gradient everywhere.

    Parameters
    ----------
    n_hidden, n_components : int
        Widths of the hidden layer and of the code.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.encoders import Code
    >>> from skdim.nn.objectives import GaussianPosterior
    >>> posterior = GaussianPosterior(5, 3)
    >>> y = posterior(Code(torch.zeros(8, 4, 9), torch.zeros(8, 5), torch.zeros(8, 3)))
    >>> y.mean.shape, bool((y.log_variance < 0).all())
    (torch.Size([8, 3]), True)
    """

    def __init__(self, n_hidden: int, n_components: int) -> None:
        super().__init__()
        self.log_variance = nn.Linear(n_hidden, n_components)
        nn.init.constant_(self.log_variance.bias, START)

    def forward(self, code: Code) -> Gaussian:
        low, high = math.log(VARIANCE_FLOOR), math.log(VARIANCE_CEILING)
        return Gaussian(code.global_, low + (high - low) * torch.sigmoid(self.log_variance(code.hidden)))


def total_correlation(joint: Tensor, components: Tensor) -> Tensor:
    r"""Total correlation of the components of a stochastic code, as an upper bound from bounds on information.

    Where the components are independent given x,

    .. math:: TC(Y) = \sum_c I(X; Y_c) - I(X; Y) \le \sum_c I_{L1Out}(X; Y_c) - I_{TNCE}(X; Y)

    L1Out is taken of each component by itself: it is loose where the information is large, and of a single component it is
    small. The joint information enters by its lower bound alone.

    Parameters
    ----------
    joint : Tensor of shape (K, K)
        ``joint[i, j]`` = log p(y_j | x_i), from :meth:`Gaussian.log_density`.
    components : Tensor of shape (K, K, n_components)
        ``components[i, j, c]`` = log p(y_jc | x_i), from :meth:`Gaussian.component_log_density`.

    Returns
    -------
    Tensor, a scalar in nats
        In expectation no less than the total correlation; above it by what TNCE misses, log K at most being seen.

    Raises
    ------
    ValueError
        If the scores are not (K, K) and (K, K, ...) with K of at least 2.

    Examples
    --------
    Two components with the same probabilities, 0.9 for their own sample: 2 log 9 - log(0.81 / 0.41).

    >>> import torch
    >>> from skdim.nn.objectives import total_correlation
    >>> one = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).log()
    >>> round(total_correlation(2 * one, torch.stack([one, one], dim=2)).item(), 4)
    3.7136
    """
    # The mean over components times their number is the sum over them.
    return components.shape[2] * l1out(components) - tnce(joint)
