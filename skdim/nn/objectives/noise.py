r"""Noise in place of a discriminator: a code of fixed variance under Gaussian noise carries most where it is normal.

References
----------
.. [1] Butakov et al., "Efficient distribution matching of representations via noise-injected deep InfoMax", ICLR 2025.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor, nn

from skdim._params import Configured
from skdim.nn.encoders import Code
from skdim.nn.objectives.posterior import Gaussian


@dataclass
class Noise(Configured):
    r"""Prior matching by noise: each component of Y is brought to mean 0 and variance 1, and training adds noise to it.

    Of all codes of that variance, the normal one with independent components carries the most information through the noise,
    so maximising information makes the codes N(0, I) without a discriminator (Butakov et al. 2025 [1]_). What is maximised is
    finite:

    .. math:: I(X; Y + \sigma \varepsilon) \le \frac d2 \log\Bigl(1 + \frac1{\sigma^2}\Bigr)

    Parameters
    ----------
    sigma : float, default=0.3
        Standard deviation of the noise, in those of the code. Small noise leaves the information far above the cap log K of a
        batch, where nothing pulls at the distribution; large noise drowns the code.

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


class AdditiveNoise(nn.Module):
    """p(y | x) with the encoder's code as mean and the variance of :class:`Noise`.

    Parameters
    ----------
    noise : Noise
        How much.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.encoders import Code
    >>> from skdim.nn.objectives import AdditiveNoise, Noise
    >>> y = AdditiveNoise(Noise(0.5))(Code(torch.zeros(8, 4, 9), torch.zeros(8, 5), torch.zeros(8, 3)))
    >>> round(y.log_variance[0, 0].exp().item(), 4)
    0.25
    """

    def __init__(self, noise: Noise) -> None:
        super().__init__()
        noise.check()
        self.noise = noise

    def forward(self, code: Code) -> Gaussian:
        return Gaussian(code.global_, torch.full_like(code.global_, 2 * math.log(self.noise.sigma)))


class NormalizedCode(nn.Module):
    """An encoder whose global code has mean 0 and variance 1 in each component.

    In training these are the moments of the batch; beside it, running ones are learned, which take their place in eval mode, so
    that a row's code then depends on the row alone. There are no weights: a scale could undo the variance.

    Parameters
    ----------
    encoder : nn.Module
        Built by :func:`~skdim.nn.encoders.build_encoder`.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.encoders import MLP, build_encoder
    >>> from skdim.nn.objectives import NormalizedCode
    >>> encoder = NormalizedCode(build_encoder(MLP((8,)), (5,), 3))
    >>> encoder(torch.eye(5)).global_.square().mean(0).round(decimals=2).tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.local_shape: tuple[int, int] = encoder.local_shape  # type: ignore[assignment]
        self.n_hidden: int = encoder.n_hidden  # type: ignore[assignment]
        self.n_components: int = encoder.n_components  # type: ignore[assignment]
        self.norm = nn.BatchNorm1d(self.n_components, affine=False)

    def forward(self, X: Tensor) -> Code:
        code: Code = self.encoder(X)
        return code._replace(global_=self.norm(code.global_))


#: Ways of prior matching by name; the first trains a discriminator.
PRIOR_METHODS: dict[str, type[Noise] | None] = {"adversarial": None, "noise": Noise}
