"""The networks of a learned log ratio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn

from skdim.bounds import Bound
from skdim.information.learned import hidden_layers
from skdim.information.mixture import Mixture
from skdim.information.model import Array
from skdim.nn.critics import CRITICS, Concat, Separable, build_critic
from skdim.nn.gaussian import GaussianReference, MixtureReference
from skdim.nn.ratio import (
    JointRatio,
    RadialInputs,
    ReferencedCritic,
    SeparableRatio,
)

if TYPE_CHECKING:
    from skdim.information.estimator import MIEstimator

Pair: TypeAlias = tuple[Tensor, Tensor]

#: Hidden layers of a joint network: it scores every pair by itself, so it is smaller.
HIDDEN_JOINT = (64, 64, 64)
#: Width of the separable networks' embeddings.
WIDTH = 64
#: Kinds of networks that score all pairs one by one.
ONE_BY_ONE = ("joint", "named")


@dataclass
class Networks:
    """Builds the networks of a log ratio, by kind."""

    options: MIEstimator
    bound: Bound
    correlations: Array  # of the Gaussian reference (k,); none if there is no reference
    mixture: Mixture | None = None  # if it says more than the Gaussian reference

    @property
    def has_reference(self) -> bool:
        """Whether the Gaussian log ratio is not 0."""
        return len(self.correlations) > 0

    @property
    def may_use_mixture(self) -> bool:
        """Whether a mixture of Gaussians may replace the Gaussian reference."""
        return self.bound.takes_reference and self.options.reference == "auto" and not self.bound.auxiliary

    def kinds(self, is_narrow: bool) -> list[str]:
        """Return the kinds of the networks that are trained, in order; ``is_narrow`` says that a joint one is."""
        if not (isinstance(self.options.critic, str) and self.options.critic == "auto"):
            return ["named"]
        if self.bound.auxiliary:
            return ["separable"]
        return ["separable", "joint"] if is_narrow else ["separable"] * (1 + self.options.n_refits)

    def gaussian(self) -> GaussianReference:
        """Return the Gaussian log ratio; 0 if there is no reference."""
        return GaussianReference(torch.from_numpy(self.correlations))

    def from_mixture(self, x: Tensor) -> MixtureReference:
        """Return the mixture's log ratio."""
        assert self.mixture is not None
        return self.mixture.log_ratio(x.shape[1])

    def build(self, kind: str, x: Tensor, y: Tensor, relevance: Pair | None = None) -> nn.Module:
        """Return a network for variates like x (n, d_x) and y (n, d_y).

        "reference" and "mixture" are the closed-form log ratios alone; on the first, "separable" learns what is left, on the
        second "from mixture". "joint" is one network on both sides, and "named" the user's critic. ``relevance`` scales the
        inputs of a separable network.
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
