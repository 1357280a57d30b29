r"""Networks for the log density ratio of two vectors, as MI estimation trains them.

Their inputs are canonical variates. :class:`SeparableRatio` adds to the closed-form Gaussian log ratio what is left,

.. math:: f(x, y) = r_{Gauss}(x, y) + h(x)^\top k(y) / \sqrt w + a(x) + b(y) + o

and :class:`JointRatio` is one network on both, for the sharp edges of low dimensions. :class:`StackedRatio` weighs several.

References
----------
.. [1] Radhakrishnan, Beaglehole, Pandit & Belkin, "Mechanism for feature learning in neural networks and
   backpropagation-free machine learning models", Science 2024.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "GaussianReference",
    "JointRatio",
    "MixtureReference",
    "RadialInputs",
    "ReferencedCritic",
    "SeparableRatio",
    "StackedRatio",
]

#: Leading axes that the radius is multiplied with.
N_RADIAL = 8
#: Inputs of no relevance keep this share of the most relevant one's scale, so that what they hold can still be found.
SMALLEST_RELEVANCE = 0.03
#: Factor on the first layer's weights at the start: standardised inputs ask for sharper functions than torch's default.
FIRST_GAIN = 2.0
#: Numbers that the scoring of all pairs holds at once for each layer or component: they stay in the processor's cache.
NUMBERS_AT_ONCE = 2**18
#: About the units of a layer of a critic that scores pairs one by one.
WIDTH_OF_NAMED = 128
#: Rows that weights of several networks are fitted to at least, and the largest weight that a sound fit has.
FEWEST_STACKING_ROWS, LARGEST_WEIGHT = 50, 3.0


def _rows_at_once(n_columns: int, n_numbers: int) -> int:
    """Return how many rows of x to score at once against ``n_columns`` rows of y, at so many numbers a pair."""
    return max(1, NUMBERS_AT_ONCE // (n_columns * n_numbers))


class RadialInputs(nn.Module):
    """Variates (n, d) -> inputs (n, p): the variates, the log of their squared norm, and its products with the leading ones.

    Heavy tails and rotations by an angle that grows with the radius are simple functions of these and hard ones of the
    variates alone.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Training rows, by which the log radius is standardised.
    radial : bool, default=True
        False gives the variates alone.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, x: Tensor, radial: bool = True) -> None:
        super().__init__()
        self.radial = radial and x.shape[1] > 0
        log_radius = self._log_radius(x)
        self.register_buffer("mean", log_radius.mean())
        self.register_buffer("scale", log_radius.std(correction=0).clamp_min(1e-6))
        self.n_inputs = x.shape[1] + (1 + min(N_RADIAL, x.shape[1]) if self.radial else 0)

    @staticmethod
    def _log_radius(x: Tensor) -> Tensor:
        return torch.log(x.square().sum(1, keepdim=True) + 1e-3)

    def forward(self, x: Tensor) -> Tensor:
        if not self.radial:
            return x
        log_radius = (self._log_radius(x) - self.mean) / self.scale
        return torch.cat([x, log_radius, log_radius * x[:, :N_RADIAL]], dim=1)


class GaussianReference(nn.Module):
    """The closed-form log ratio of Gaussian variates for all pairs, each axis with a learnable scale.

    Parameters
    ----------
    correlations : Tensor of shape (k,)
        Canonical correlations of the first k variates; none gives 0.
    """

    linear: Tensor
    quadratic: Tensor
    constant: Tensor

    def __init__(self, correlations: Tensor) -> None:
        super().__init__()
        rest = 1 - correlations.double().square()
        self.register_buffer("linear", (correlations / rest).float())
        self.register_buffer("quadratic", (correlations.square() / (2 * rest)).float())
        self.register_buffer("constant", (-0.5 * rest.log().sum()).float())
        self.log_scale = nn.Parameter(torch.zeros(len(correlations)))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        k = len(self.linear)
        x, y, scale = x[:, :k], y[:, :k], self.log_scale.exp()
        own = x.square() @ (scale * self.quadratic)
        others = y.square() @ (scale * self.quadratic)
        return (x * (scale * self.linear)) @ y.T - own[:, None] - others[None] + self.constant


class MixtureReference(nn.Module):
    r"""The closed-form log ratio of a mixture of Gaussians, for all pairs.

    .. math:: r(x, y) = \log \sum_k w_k N(x, y; \mu_k, \Sigma_k)
              - \log \sum_k w_k N(x; \mu_k^x, \Sigma_k^{xx}) - \log \sum_k w_k N(y; \mu_k^y, \Sigma_k^{yy})

    Parameters
    ----------
    weights : Tensor of shape (k,)
        Weights of the components.
    means : Tensor of shape (k, d_x + d_y)
        Their means.
    covariances : Tensor of shape (k, d_x + d_y, d_x + d_y)
        Their covariances.
    dim_x : int
        How many of the dimensions are x's.
    """

    log_weights: Tensor
    means: Tensor
    precisions_x: Tensor
    precisions_y: Tensor
    precisions_xy: Tensor
    marginals_x: Tensor
    marginals_y: Tensor
    log_norms: Tensor

    def __init__(self, weights: Tensor, means: Tensor, covariances: Tensor, dim_x: int) -> None:
        super().__init__()
        self.dim_x, self.dim_y = dim_x, means.shape[1] - dim_x
        precisions = torch.linalg.inv(covariances.double())
        parts = covariances[:, :dim_x, :dim_x].double(), covariances[:, dim_x:, dim_x:].double()
        buffers = {
            "log_weights": weights.double().log(),
            "means": means,
            "precisions_x": precisions[:, :dim_x, :dim_x],
            "precisions_y": precisions[:, dim_x:, dim_x:],
            "precisions_xy": precisions[:, :dim_x, dim_x:],
            "marginals_x": torch.linalg.inv(parts[0]),
            "marginals_y": torch.linalg.inv(parts[1]),
            # The powers of 2 pi cancel.
            "log_norms": -0.5 * torch.stack([torch.logdet(part) for part in (covariances.double(), *parts)]),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value.float())

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        x = x[:, None, : self.dim_x] - self.means[:, : self.dim_x]  # (n, k, d_x)
        y = y[:, None, : self.dim_y] - self.means[:, self.dim_x :]
        log_joint, log_x, log_y = self.log_weights + self.log_norms
        own = log_joint - 0.5 * _quadratic(x, self.precisions_x)
        others = -0.5 * _quadratic(y, self.precisions_y).T[:, None]
        across = torch.einsum("nkx,kxy->kny", x, self.precisions_xy)
        # Every component has a score for each pair: a few rows at a time.
        rows = _rows_at_once(len(y), len(log_joint))
        joint = [
            torch.logsumexp(part.T[:, :, None] + others - left @ y.permute(1, 2, 0), 0)
            for part, left in zip(own.split(rows), across.split(rows, dim=1), strict=True)
        ]
        log_p_x = torch.logsumexp(log_x - 0.5 * _quadratic(x, self.marginals_x), 1)
        log_p_y = torch.logsumexp(log_y - 0.5 * _quadratic(y, self.marginals_y), 1)
        return torch.cat(joint) - log_p_x[:, None] - log_p_y[None]


def _quadratic(x: Tensor, matrices: Tensor) -> Tensor:
    """Return x_k' M_k x_k, (n, k, d), (k, d, d) -> (n, k)."""
    return torch.einsum("nkd,kde,nke->nk", x, matrices, x)


class _Embedding(nn.Module):
    """Inputs (n, p) -> embedding (n, width) and bias (n,), after the inputs are scaled by their relevance."""

    relevance: Tensor

    def __init__(self, n_inputs: int, hidden: Sequence[int], width: int, relevance: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("relevance", torch.eye(n_inputs) if relevance is None else relevance)
        layers: list[nn.Module] = []
        size_in = n_inputs
        for size in hidden:
            layers += [nn.Linear(size_in, size), nn.ReLU(inplace=True)]
            size_in = size
        self.body = nn.Sequential(*layers)
        self.top = nn.Linear(size_in, width + 1)
        with torch.no_grad():
            for parameter in layers[0].parameters() if layers else ():
                parameter.mul_(FIRST_GAIN)
            self.top.weight[-1] = 0
            self.top.bias[-1] = 0

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        top = self.top(self.body(inputs @ self.relevance))
        return top[:, :-1], top[:, -1]


class SeparableRatio(nn.Module):
    """A reference plus an inner product of two embeddings, which starts at zero: the network learns what is left.

    Parameters
    ----------
    inputs_x, inputs_y : RadialInputs
        Variates -> inputs.
    reference : GaussianReference or MixtureReference
        Variates -> scores.
    hidden : sequence of int
        ReLU layers of each side.
    width : int
        Width w of the embeddings.
    offset : float
        Start of the offset o.
    relevance : pair of Tensor or None
        Matrices (p, p) that scale the inputs of each side, from :meth:`relevance_of`.
    """

    def __init__(
        self,
        inputs_x: RadialInputs,
        inputs_y: RadialInputs,
        reference: nn.Module,
        hidden: Sequence[int],
        width: int,
        offset: float = 0.0,
        relevance: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.inputs_x, self.inputs_y = inputs_x, inputs_y
        self.reference = reference
        relevance_x, relevance_y = relevance or (None, None)
        self.embed_x = _Embedding(inputs_x.n_inputs, hidden, width, relevance_x)
        self.embed_y = _Embedding(inputs_y.n_inputs, hidden, width, relevance_y)
        nn.init.zeros_(self.embed_y.top.weight)
        nn.init.zeros_(self.embed_y.top.bias)
        self.root_width = math.sqrt(width)
        self.offset = nn.Parameter(torch.tensor(float(offset)))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Score all pairs, (n, d_x), (m, d_y) -> (n, m)."""
        return self._score(self.inputs_x(x), self.inputs_y(y))

    def _score(self, inputs_x: Tensor, inputs_y: Tensor) -> Tensor:
        (h, a), (k, b) = self.embed_x(inputs_x), self.embed_y(inputs_y)
        left = h @ k.T / self.root_width + a[:, None] + b[None]
        return self.reference(inputs_x, inputs_y) + left + self.offset  # inputs begin with the variates

    def relevance_of(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor] | None:
        r"""Return how much the scores of joint samples depend on each direction of the inputs, as matrices that scale them.

        .. math:: R = M^{1/2} / \|M^{1/2}\|, \quad M = E[\nabla f \, \nabla f^\top]

        the average gradient outer product [1]_. A network trained anew on scaled inputs sees first what matters, and does not
        fit the noise of the other directions. None where nothing matters.
        """
        inputs = [part.detach().requires_grad_() for part in (self.inputs_x(x), self.inputs_y(y))]
        with torch.enable_grad():
            gradients = torch.autograd.grad(self._score(*inputs).diagonal().sum(), inputs)
        roots = []
        for gradient in gradients:
            values, vectors = torch.linalg.eigh((gradient.T @ gradient).double())
            if not values[-1] > 0:
                return None
            root = (values / values[-1]).clamp_min(SMALLEST_RELEVANCE**2).sqrt()
            roots.append(((vectors * root) @ vectors.T).float())
        return roots[0], roots[1]


class JointRatio(nn.Module):
    """One ReLU network on x and y together.

    Parameters
    ----------
    inputs_x, inputs_y : RadialInputs
        Variates -> inputs.
    hidden : sequence of int
        ReLU layers, at least one.
    """

    def __init__(self, inputs_x: RadialInputs, inputs_y: RadialInputs, hidden: Sequence[int]) -> None:
        super().__init__()
        self.inputs_x, self.inputs_y = inputs_x, inputs_y
        # The first layer of a network on [x, y] is a sum of one layer on each: n + m products instead of n m.
        self.first_x = nn.Linear(inputs_x.n_inputs, hidden[0])
        self.first_y = nn.Linear(inputs_y.n_inputs, hidden[0])
        with torch.no_grad():
            for parameter in (*self.first_x.parameters(), *self.first_y.parameters()):
                parameter.mul_(FIRST_GAIN)
        layers: list[nn.Module] = [nn.ReLU(inplace=True)]
        for size_in, size_out in pairwise(hidden):
            layers += [nn.Linear(size_in, size_out), nn.ReLU(inplace=True)]
        self.rest = nn.Sequential(*layers, nn.Linear(hidden[-1], 1))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Score all pairs, (n, d_x), (m, d_y) -> (n, m)."""
        h, k = self.first_x(self.inputs_x(x)), self.first_y(self.inputs_y(y))
        parts = h.split(_rows_at_once(len(y), h.shape[1]))
        return torch.cat([self.rest(part[:, None] + k[None]).squeeze(-1) for part in parts])

    def shuffled(self, x: Tensor, y: Tensor, shifts: Tensor) -> tuple[Tensor, Tensor]:
        """Score the n joint samples, (n,), and those with y shifted by each of ``shifts``, (n_shifts, n)."""
        h, k = self.first_x(self.inputs_x(x)), self.first_y(self.inputs_y(y))
        rows = torch.arange(len(x), device=x.device)
        shifted = k[(rows + shifts[:, None]) % len(x)]
        return self.rest(h + k).squeeze(-1), self.rest(h + shifted).squeeze(-1)


class ReferencedCritic(nn.Module):
    """Any critic of :mod:`skdim.nn.critics` over the inputs, added to a reference.

    Parameters
    ----------
    inputs_x, inputs_y : RadialInputs
        Variates -> inputs.
    critic : nn.Module
        (n, p), (m, q) -> (n, m).
    reference : GaussianReference or MixtureReference
        Variates -> scores.
    """

    def __init__(self, inputs_x: RadialInputs, inputs_y: RadialInputs, critic: nn.Module, reference: nn.Module) -> None:
        super().__init__()
        self.inputs_x, self.inputs_y = inputs_x, inputs_y
        self.critic = critic
        self.reference = reference

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Score all pairs, (n, d_x), (m, d_y) -> (n, m)."""
        inputs_x, inputs_y = self.inputs_x(x), self.inputs_y(y)
        # A network on pairs keeps its hidden layers for each: outside training a few rows at a time.
        parts = [inputs_x] if torch.is_grad_enabled() else inputs_x.split(_rows_at_once(len(y), WIDTH_OF_NAMED))
        scores = torch.cat([self.critic(part, inputs_y) for part in parts])
        return self.reference(inputs_x, inputs_y) + scores


class StackedRatio(nn.Module):
    """A weighted sum of networks and an offset: each network's share is chosen on rows that it was not trained on.

    Parameters
    ----------
    members : sequence of nn.Module
        Networks (x, y) -> scores.
    """

    weights: Tensor
    offset: Tensor

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("weights", torch.zeros(len(members)))
        self.register_buffer("offset", torch.zeros(()))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        used = [weight * member(x, y) for weight, member in zip(self.weights, self.members, strict=True) if weight != 0]
        return self.offset + (sum(used) if used else x.new_zeros(len(x), len(y)))

    def choose(
        self, x: Tensor, y: Tensor, judge: Callable[[Tensor], Tensor], nothing: float = 0.0, max_iter: int = 15
    ) -> None:
        """Choose weights and offset that minimise ``judge(scores)`` on these rows, by L-BFGS.

        Each network alone, and the constant scores ``nothing``, are candidates too, and the only ones where rows are few or the
        minimum lies far out.
        """
        with torch.no_grad():
            scores = torch.stack([member(x, y) for member in self.members])
            alone = torch.stack([judge(part) for part in scores]).nan_to_num(math.inf, math.inf, math.inf)
            of_nothing = judge(torch.full_like(scores[0], nothing))
        best = F.one_hot(alone.argmin(), len(scores)).to(scores)
        weights, offset = best.clone().requires_grad_(), torch.zeros_like(self.offset, requires_grad=True)
        optimizer = torch.optim.LBFGS([weights, offset], max_iter=max_iter, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            value = judge(torch.tensordot(weights, scores, 1) + offset)
            value.backward()
            return value

        stays_near = False
        if len(x) >= FEWEST_STACKING_ROWS:
            with torch.enable_grad():
                optimizer.step(loss)
                reached = loss().detach()
            stays_near = bool(weights.detach().abs().max() <= LARGEST_WEIGHT and reached <= alone.min())
        chosen, constant, reached = (weights, offset, reached) if stays_near else (best, torch.zeros(()), alone.min())
        if not reached < of_nothing:
            chosen, constant = torch.zeros_like(best), torch.tensor(nothing)
        self.weights.copy_(chosen.detach())
        self.offset.copy_(constant.detach())
