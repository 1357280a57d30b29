r"""Stochastic codes: a Gaussian p(y | x) of known density between the encoder and what its codes are used for.

The logarithm of a known p(y | x) is the optimal critic, so none is learned. TNCE bounds I(X; Y) from below, L1Out and the
rate from above (Poole et al. 2019 [1]_, Sections 2.1 and 2.5); the total correlation of the components follows from them. The
variance is learned (:class:`GaussianPosterior`) or fixed (:class:`Noise`).

References
----------
.. [1] Poole et al., "On variational bounds of mutual information", ICML 2019.
.. [2] Kingma & Welling, "Auto-encoding variational Bayes", ICLR 2014.
.. [3] Butakov et al., "Efficient distribution matching of representations via noise-injected deep InfoMax", ICLR 2025.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from skdim._params import Configured
from skdim.bounds import l1out, tnce
from skdim.nn.adapt import Code, Encoder
from skdim.nn.gaussian import LOG_2_PI, log_density, log_density_of_pairs

#: Bounds of the variance. Without a floor, gradients grow without end and (y - mean)^2 / variance leaves float32's exact range.
#: Codes of the normal prior have variance 1 altogether, noise included; a component with more noise says nothing.
VARIANCE_FLOOR, VARIANCE_CEILING = 1e-4, 1.0
#: Start of the variance, 0.33, as a logit: its sigmoid is the place between the logarithms of floor and ceiling. With a narrow
#: one TNCE is at its cap from the start, and has no gradient.
START = 2.0


class Gaussian(NamedTuple):
    """Independent normal components, one distribution of the code for each of n inputs.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.objectives import Gaussian
    >>> posterior = Gaussian(torch.zeros(3, 2), torch.zeros(3, 2))
    >>> scores = posterior.log_density(torch.zeros(4, 2))
    >>> tuple(scores.shape), round(scores[0, 0].item(), 4)                 # -log(2 pi)
    ((3, 4), -1.8379)
    """

    mean: Tensor  #: (n, n_components)
    log_variance: Tensor  #: (n, n_components)

    def sample(self, noise: Tensor) -> Tensor:
        """Return y = mean + sd * noise, (n, n_components); the gradient passes to both (Kingma & Welling 2014 [2]_)."""
        return self.mean + (self.log_variance / 2).exp() * noise

    def log_density(self, y: Tensor) -> Tensor:
        """Return log p(y_j | x_i) of each of m codes under each of n inputs, (n, m), in nats."""
        return log_density_of_pairs(y, *self)

    def component_log_density(self, y: Tensor) -> Tensor:
        """Return log p(y_jc | x_i) of every component c by itself, (n, m, n_components), in nats."""
        precision_root = (-self.log_variance / 2).exp()
        z = torch.addcmul(-(self.mean * precision_root).unsqueeze(1), y.unsqueeze(0), precision_root.unsqueeze(1))
        return -0.5 * (z.square() + (self.log_variance + LOG_2_PI).unsqueeze(1))

    def component_rates(self, y: Tensor) -> Tensor:
        r"""Return the rate of each component against a normal density, (n_components,): upper bounds of I(X; Y_c) in nats.

        .. math:: R_c = \frac1n \sum_j \log \frac{p(y_{jc} \mid x_j)}{N(y_{jc}; m_{jc}, v_{jc})}

        The moments m and v are those of the other n - 1 inputs, so that the density does not know y_j. They cost an excess of
        about 1 / n; what Y_c lacks of a normal one comes on top, however large the information is.
        """
        n, centred = len(y), self.mean - self.mean.mean(0).detach()  # squares that do not cancel
        second = centred.square() + self.log_variance.exp()
        mean, second = ((part.sum(0) - part) / (n - 1) for part in (centred, second))
        variance = (second - mean.square()).clamp_min(VARIANCE_FLOOR)
        own = log_density(y, *self)
        return (own - log_density(y - self.mean + centred, mean, variance.log())).mean(0)


class StochasticCode(NamedTuple):
    """A :class:`~skdim.nn.encoders.Code` whose global part is a sample, with the distribution that it comes from."""

    local: Tensor  #: as the encoder returns it
    hidden: Tensor  #: as the encoder returns it
    global_: Tensor  #: y, a sample of p(y | x), (n, n_components)
    mean: Tensor  #: of p(y | x), (n, n_components)
    log_variance: Tensor  #: of p(y | x), (n, n_components)

    @property
    def posterior(self) -> Gaussian:
        """The distribution p(y | x)."""
        return Gaussian(self.mean, self.log_variance)


#: A code as the terms of an objective take it.
AnyCode: TypeAlias = Code | StochasticCode


class GaussianPosterior(nn.Module):
    """p(y | x) with the encoder's code as mean and a variance that a linear layer reads from the hidden layer below it.

    The variance lies between ``VARIANCE_FLOOR`` and ``VARIANCE_CEILING``, and its logarithm is a sigmoid between theirs.

    Parameters
    ----------
    n_hidden, n_components : int
        Widths of the hidden layer and of the code.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.encoders import Code
    >>> from skdim.nn.objectives import GaussianPosterior
    >>> y = GaussianPosterior(5, 3)(Code(torch.zeros(8, 4, 9), torch.zeros(8, 5), torch.zeros(8, 3)))
    >>> tuple(y.mean.shape), round(y.log_variance[0, 0].exp().item(), 2)
    ((8, 3), 0.33)
    """

    def __init__(self, n_hidden: int, n_components: int) -> None:
        super().__init__()
        self.log_variance = nn.Linear(n_hidden, n_components)
        nn.init.constant_(self.log_variance.bias, START)

    def forward(self, code: Code) -> Gaussian:
        low, high = math.log(VARIANCE_FLOOR), math.log(VARIANCE_CEILING)
        return Gaussian(code.global_, low + (high - low) * torch.sigmoid(self.log_variance(code.hidden)))


def total_correlation(joint: Tensor, components: Tensor, rates: Tensor | None = None) -> Tensor:
    r"""Total correlation of the components of a stochastic code, as an upper bound from bounds on information.

    Where the components are independent given x,

    .. math:: TC(Y) = \sum_c I(X; Y_c) - I(X; Y) \le \sum_c \min(I_{L1Out}(X; Y_c), R_c) - I_{TNCE}(X; Y)

    L1Out is loose where the information of a component is large, and the rate R where its distribution is not normal.

    Parameters
    ----------
    joint : Tensor of shape (K, K)
        ``joint[i, j]`` = log p(y_j | x_i), from :meth:`Gaussian.log_density`.
    components : Tensor of shape (K, K, n_components)
        ``components[i, j, c]`` = log p(y_jc | x_i), from :meth:`Gaussian.component_log_density`.
    rates : Tensor of shape (n_components,), default=None
        From :meth:`Gaussian.component_rates`; None leaves L1Out alone.

    Returns
    -------
    Tensor, a scalar in nats
        In expectation at least the total correlation, by more if the joint information exceeds log K, the cap of TNCE. Scores
        of other shapes, or of K = 1, raise ValueError.

    Examples
    --------
    Two components with the same probabilities, 0.9 for their own sample: 2 log 9 - log(0.81 / 0.41).

    >>> import torch
    >>> from skdim.nn.objectives import total_correlation
    >>> one = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).log()
    >>> round(total_correlation(2 * one, torch.stack([one, one], dim=2)).item(), 4)
    3.7136
    """
    of_components = torch.vmap(l1out, in_dims=2)(components)
    if rates is not None:
        of_components = torch.minimum(of_components, rates)
    return of_components.sum() - tnce(joint)


@dataclass
class Noise(Configured):
    r"""Prior matching by noise: each component of Y is brought to mean 0 and variance 1, and training adds noise to it.

    Of all codes with that variance, the normal one with independent components carries the most information through the
    noise. So maximising information makes the codes N(0, I) without a discriminator (Butakov et al. 2025 [3]_), up to

    .. math:: I(X; Y + \sigma \varepsilon) \le \frac d2 \log\Bigl(1 + \frac1{\sigma^2}\Bigr)

    Parameters
    ----------
    sigma : float, default=0.3
        Standard deviation of the noise, in those of the code. Small noise leaves the information far above the cap log K of a
        batch, where nothing acts on the distribution; large noise hides the code.

    Examples
    --------
    >>> from skdim.nn.objectives import Noise
    >>> round(Noise(sigma=1.0).cap(2), 4)
    0.6931
    """

    sigma: float = 0.3

    def check(self) -> None:
        """Raise a ``ValueError`` if a parameter is outside its range."""
        is_number = isinstance(self.sigma, Real) and not isinstance(self.sigma, bool)
        if not (is_number and 0 < self.sigma < math.inf):
            raise ValueError(f"sigma of {type(self).__name__} must be a positive, finite number, got {self.sigma!r}.")

    def cap(self, n_components: int) -> float:
        """Return the most information, in nats, that codes of this width can carry through the noise."""
        return n_components / 2 * math.log1p(1 / self.sigma**2)


#: Ways of prior matching by name; the first trains a discriminator.
PRIOR_METHODS: dict[str, type[Noise] | None] = {"adversarial": None, "noise": Noise}


class AdditiveNoise(nn.Module):
    """p(y | x) with the encoder's code as mean and the variance of ``noise``."""

    def __init__(self, noise: Noise) -> None:
        super().__init__()
        noise.check()
        self.noise = noise

    def forward(self, code: Code) -> Gaussian:
        return Gaussian(code.global_, torch.full_like(code.global_, 2 * math.log(self.noise.sigma)))


class NormalizedCode(Encoder):
    """An encoder whose global code has mean 0 and variance 1 in each component.

    In training these are the moments of the batch; in eval mode they are running moments, so that a row's code depends on the
    row alone. There are no weights: a scale could undo the variance.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.local_shape, self.n_hidden, self.n_components = encoder.local_shape, encoder.n_hidden, encoder.n_components
        self.norm = nn.BatchNorm1d(self.n_components, affine=False)

    def forward(self, X: Tensor) -> Code:
        code: Code = self.encoder(X)
        return code._replace(global_=self.norm(code.global_))
