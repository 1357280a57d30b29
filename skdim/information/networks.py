"""The networks of a learned log ratio, by kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn

from skdim._params import choose
from skdim.bounds import Bound
from skdim.information.canonical import CanonicalAxes
from skdim.information.model import HIDDEN, hidden_layers
from skdim.information.references import Reference
from skdim.nn.critics import CRITICS, Concat, Separable, build_critic
from skdim.nn.gaussian import GaussianReference
from skdim.nn.ratio import JointRatio, RadialInputs, ReferencedCritic, SeparableRatio

if TYPE_CHECKING:
    from skdim.information.estimator import MIEstimator

Pair: TypeAlias = tuple[Tensor, Tensor]

#: Hidden layers of a joint network: it scores every pair by itself, so it is smaller.
HIDDEN_JOINT = (64, 64, 64)
#: Width of the separable networks' embeddings.
WIDTH = 64
#: Critics by name. Here "separable" learns its scale and "concat" is smaller.
NAMED = CRITICS | {"separable": Separable(WIDTH, HIDDEN, temperature=None), "concat": Concat(HIDDEN_JOINT[:2])}
#: Kinds of networks that score all pairs one by one.
ONE_BY_ONE = ("joint", "named")


@dataclass
class Networks:
    """Builds the networks of a log ratio, by kind.

    "reference:<name>" is a closed form alone. "separable:<name>" learns what a closed form leaves, and "named:<name>" is the
    user's critic on top of it; without a closed form the name is "nothing". "joint" is one network on both sides.
    """

    options: MIEstimator
    bound: Bound
    axes: CanonicalAxes
    references: Mapping[str, Reference]  # by name

    def kinds(self, is_narrow: bool) -> list[str]:
        """Return the kinds of the networks that are trained, in order; between narrow sides a joint one is."""
        if not (isinstance(self.options.critic, str) and self.options.critic == "auto"):
            return ["named"]
        if self.bound.auxiliary:
            return ["separable"]
        return ["separable", "joint"] if is_narrow else ["separable"] * (1 + self.options.n_refits)

    def build(self, kind: str, x: Tensor, y: Tensor, relevance: Pair | None = None) -> nn.Module:
        """Return a network for variates like x (n, d_x) and y (n, d_y).

        ``relevance`` scales the inputs of a separable network.
        """
        kind, _, name = kind.partition(":")
        nothing = GaussianReference(torch.zeros(0))
        reference = self.references[name].network(self.axes) if name in self.references else nothing
        if kind == "reference":
            return reference
        # Products of x log r and y log r outgrow the tails of p(x) p(y): the mean of e^f would be infinite.
        radial = self.options.radial_inputs and self.bound.takes_reference
        inputs = RadialInputs(x, radial), RadialInputs(y, radial)
        if kind == "joint":
            return JointRatio(*inputs, HIDDEN_JOINT)
        if kind == "separable":
            hidden = hidden_layers(self.options)
            return SeparableRatio(*inputs, reference, hidden, WIDTH, self.bound.offset, relevance)
        factory = choose("critic", self.options.critic, NAMED, hidden_layer_sizes=self.options.hidden_layer_sizes)
        critic = build_critic(factory, inputs[0].n_inputs, inputs[1].n_inputs, self.bound.offset)
        return ReferencedCritic(*inputs, critic, reference)
