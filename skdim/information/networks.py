"""The networks of a learned log ratio, and the mixtures of Gaussians that they may start from."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from skdim._params import choose
from skdim.bounds import Bound
from skdim.information.intervals import Array
from skdim.information.model import HIDDEN, hidden_layers
from skdim.nn.critics import CRITICS, Concat, Separable, build_critic
from skdim.nn.gaussian import GaussianReference, MixtureReference
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


class Mixture(NamedTuple):
    """A mixture of k Gaussians over the d variates of x and y together."""

    weights: Array  # (k,)
    means: Array  # (k, d)
    covariances: Array  # (k, d, d)

    def log_ratio(self, dim_x: int) -> MixtureReference:
        """Return its log ratio as a network; the first ``dim_x`` variates are those of x."""
        weights, means, covariances = map(torch.from_numpy, self)
        return MixtureReference(weights, means, covariances, dim_x)


def fit_mixture(rows: Array, size: int, smallest_variance: float, seed: int) -> GaussianMixture:
    """Return a mixture of so many Gaussians; it need not converge, for held-out rows judge it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(size, reg_covar=smallest_variance, random_state=seed).fit(rows)


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

    def kinds(self, is_narrow: bool) -> list[str]:
        """Return the kinds of the networks that are trained, in order; between narrow sides a joint one is."""
        if not (isinstance(self.options.critic, str) and self.options.critic == "auto"):
            return ["named"]
        if self.bound.auxiliary:
            return ["separable"]
        return ["separable", "joint"] if is_narrow else ["separable"] * (1 + self.options.n_refits)

    def build(self, kind: str, x: Tensor, y: Tensor, relevance: Pair | None = None) -> nn.Module:
        """Return a network for variates like x (n, d_x) and y (n, d_y).

        "reference" and "mixture" are the closed-form log ratios alone; on the first, "separable" learns what is left, on the
        second "from mixture". "joint" is one network on both sides, and "named" the user's critic. ``relevance`` scales the
        inputs of a separable network.
        """
        reference: nn.Module = GaussianReference(torch.from_numpy(self.correlations))
        if kind in ("mixture", "from mixture"):
            assert self.mixture is not None
            reference = self.mixture.log_ratio(x.shape[1])
        if kind in ("reference", "mixture"):
            return reference
        # Products of x log r and y log r outgrow the tails of p(x) p(y): the mean of e^f would be infinite.
        radial = self.options.radial_inputs and self.bound.takes_reference
        inputs = RadialInputs(x, radial), RadialInputs(y, radial)
        if kind == "joint":
            return JointRatio(*inputs, HIDDEN_JOINT)
        if kind != "named":
            hidden = hidden_layers(self.options)
            return SeparableRatio(*inputs, reference, hidden, WIDTH, self.bound.offset, relevance)
        factory = choose("critic", self.options.critic, NAMED, hidden_layer_sizes=self.options.hidden_layer_sizes)
        critic = build_critic(factory, inputs[0].n_inputs, inputs[1].n_inputs, self.bound.offset)
        return ReferencedCritic(*inputs, critic, reference)
