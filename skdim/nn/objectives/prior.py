"""Priors for the codes, and the discriminator that brings the codes to them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vjp

from skdim._params import Configured, check_sizes
from skdim.nn.layers import mlp


@dataclass
class Prior(Configured):
    """A prior for the codes, with the discriminator that brings them to it.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(1000, 200)
        The discriminator's ReLU layers, as in the paper's code.
    penalty : float, default=0.03
        Weight lambda of the gradient penalty. The paper's code has 1, but for one sample of the batch only; over the whole
        batch 1 leaves the discriminator too weak to shape the marginals (measured in ``benchmarks/prior_matching.py``).
    """

    hidden_layer_sizes: tuple[int, ...] = (1000, 200)
    penalty: float = 0.03

    def check(self) -> None:
        """Raise a ``ValueError`` if a parameter is outside its range."""
        check_sizes(f"hidden_layer_sizes of {type(self).__name__}", self.hidden_layer_sizes)
        if not self.penalty >= 0:
            raise ValueError(f"penalty of {type(self).__name__} must be at least 0, got {self.penalty!r}.")

    def sample(self, shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
        raise NotImplementedError

    def squash(self, codes: Tensor) -> Tensor:
        """Map codes to the prior's support."""
        raise NotImplementedError


@dataclass
class UniformPrior(Prior):
    """U[0, 1] in each component, met by sigmoid(Y); the paper's choice.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.objectives import UniformPrior
    >>> UniformPrior().squash(torch.zeros(1, 2)).tolist()
    [[0.5, 0.5]]
    """

    def sample(self, shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
        return torch.rand(shape, generator=generator)

    def squash(self, codes: Tensor) -> Tensor:
        return torch.sigmoid(codes)


@dataclass
class NormalPrior(Prior):
    """N(0, 1) in each component, met by Y itself.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.objectives import NormalPrior
    >>> NormalPrior().squash(torch.ones(1, 2)).tolist()
    [[1.0, 1.0]]
    """

    def sample(self, shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(shape, generator=generator)

    def squash(self, codes: Tensor) -> Tensor:
        return codes


#: Priors by name.
PRIORS: dict[str, type[Prior]] = {"uniform": UniformPrior, "normal": NormalPrior}


class PriorMatching(nn.Module):
    r"""Adversarial matching of the codes' distribution to a prior (Hjelm et al., ICLR 2019, Eq. 7).

    The discriminator D tells prior samples z from codes Y; the encoder makes codes that D takes for prior samples. The codes
    are mapped to the prior's support here only. The gradient penalty is over the whole batch (Mescheder et al., ICML 2018).

    .. math::

        L_D = E_z[\mathrm{sp}(-D(z))] + E_Y[\mathrm{sp}(D(Y))]
              + \tfrac{\lambda}{2} \bigl( E_z \|\nabla D(z)\|^2 + E_Y \|\nabla D(Y)\|^2 \bigr),
        \qquad L_E = E_Y[\mathrm{sp}(-D(Y))]
    """

    def __init__(self, prior: Prior, n_components: int) -> None:
        super().__init__()
        prior.check()
        self.prior = prior
        self.discriminator = mlp(n_components, prior.hidden_layer_sizes, 1)

    def discriminator_loss(self, codes: Tensor, samples: Tensor) -> Tensor:
        """Return L_D of codes and as many prior samples; its gradient reaches the discriminator only."""
        both = torch.cat([samples, self.prior.squash(codes.detach())])
        logits, slope_of = vjp(self.discriminator, both)[:2]
        is_prior, is_code = logits.chunk(2)
        (slope,) = slope_of(torch.ones_like(logits))
        # The mean over both halves is half the sum of the two means.
        gradient_penalty = slope.square().sum(1).mean()
        return F.softplus(-is_prior).mean() + F.softplus(is_code).mean() + self.prior.penalty * gradient_penalty

    def encoder_loss(self, codes: Tensor) -> Tensor:
        """Return L_E; its gradient passes through the frozen discriminator to the codes only."""
        frozen = {name: parameter.detach() for name, parameter in self.discriminator.named_parameters()}
        logits = functional_call(self.discriminator, frozen, (self.prior.squash(codes),))
        return F.softplus(-logits).mean()
