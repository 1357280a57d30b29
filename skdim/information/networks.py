"""The networks of a log ratio, by kind, as :class:`~skdim.information.ratio.LearnedRatio` builds and rebuilds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from skdim.bounds import Bound
from skdim.information.learned import HIDDEN, hidden_layers
from skdim.information.mixture import Mixture
from skdim.information.model import Array
from skdim.nn.critics import CRITICS, Concat, Separable, build_critic
from skdim.nn.ratio import GaussianReference, JointRatio, MixtureReference, RadialInputs, ReferencedCritic, SeparableRatio

if TYPE_CHECKING:
    from skdim.information.estimator import MIEstimator

#: Hidden layers of a joint network: it scores every pair by itself, so it is smaller.
HIDDEN_JOINT = (64, 64, 64)
#: Width of the separable networks' embeddings.
WIDTH = 64
#: Kinds of networks that score all pairs one by one.
ONE_BY_ONE = ("joint", "named")


@dataclass
class Networks:
    """Builds networks.

    Parameters
    ----------
    options : MIEstimator
        The estimator's parameters.
    bound : Bound
        The MI estimator.
    correlations : ndarray of shape (k,)
        Canonical correlations of the Gaussian reference; none where the bound takes no reference.
    mixture : Mixture or None
        The mixture, if it says more than the Gaussian reference.
    """

    options: MIEstimator
    bound: Bound
    correlations: Array
    mixture: Mixture | None = None

    @classmethod
    def of(cls, options: MIEstimator, bound: Bound, correlations: Array) -> Networks:
        """Return the builder for sides with these canonical correlations."""
        has_reference = bound.takes_reference and options.reference is not None
        return cls(options, bound, correlations if has_reference else np.zeros(0))

    @property
    def is_auto(self) -> bool:
        """Whether the networks are ours, rather than one critic that the user names."""
        return isinstance(self.options.critic, str) and self.options.critic == "auto"

    @property
    def has_reference(self) -> bool:
        """Whether the Gaussian log ratio is not 0."""
        return len(self.correlations) > 0

    def gaussian(self) -> GaussianReference:
        """Return the Gaussian log ratio."""
        return GaussianReference(torch.from_numpy(self.correlations))

    def from_mixture(self, x: Tensor) -> MixtureReference:
        """Return the mixture's log ratio."""
        assert self.mixture is not None
        return self.mixture.log_ratio(x.shape[1])

    def build(
        self, kind: str, x: Tensor, y: Tensor, relevance: tuple[Tensor, Tensor] | None = None
    ) -> nn.Module:
        """Return a network.

        Parameters
        ----------
        kind : {"reference", "mixture", "separable", "from mixture", "joint", "named"}
            Either log ratio alone; a separable network on either; a joint network; or the user's critic.
        x, y : Tensor of shape (n, d_x), (n, d_y)
            Variates of the training rows.
        relevance : pair of Tensor or None
            What scales the inputs of a separable network.
        """
        if kind == "reference":
            return self.gaussian()
        if kind == "mixture":
            return self.from_mixture(x)
        # Products of x log r and y log r outgrow the tails of p(x) p(y): the mean of e^f would be infinite.
        radial = self.options.radial_inputs and self.bound.takes_reference
        inputs = RadialInputs(x, radial), RadialInputs(y, radial)
        if kind == "joint":
            return JointRatio(*inputs, HIDDEN_JOINT)
        reference = self.from_mixture(x) if kind == "from mixture" else self.gaussian()
        if kind == "named":
            critic = build_critic(self._critic(), inputs[0].n_inputs, inputs[1].n_inputs, self.bound.offset)
            return ReferencedCritic(*inputs, critic, reference)
        hidden = hidden_layers(self.options)
        return SeparableRatio(*inputs, reference, hidden, WIDTH, self.bound.offset, relevance)

    def _critic(self) -> Any:
        critic, options = self.options.critic, self.options
        if not isinstance(critic, str):
            return critic
        if critic == "separable":
            return Separable(width=WIDTH, hidden_layer_sizes=hidden_layers(options), temperature=None)
        if critic == "concat":
            return Concat(hidden_layer_sizes=hidden_layers(options, HIDDEN_JOINT[:2]))
        return CRITICS[critic]()
