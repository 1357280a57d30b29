r"""Networks for the log density ratio of two vectors, as MI estimation trains them.

Their inputs are canonical variates. :class:`SeparableRatio` learns what the closed-form Gaussian log ratio leaves,

.. math:: f(x, y) = r_{Gauss}(x, y) + h(x)^\top k(y) / \sqrt w + a(x) + b(y) + o

:class:`JointRatio` is one network on both sides, for low dimensions, and :class:`StackedRatio` a weighted sum of several.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

from skdim.nn.gaussian import rows_at_once
from skdim.nn.layers import constant, mlp

#: Leading axes that the radius is multiplied with.
N_RADIAL = 8
#: Smallest scale of an input relative to the most relevant one, so that a network can still learn from it.
SMALLEST_RELEVANCE = 0.03
#: Factor on the first layer's weights at the start: on standardised inputs, torch's default gives functions too smooth.
FIRST_GAIN = 2.0
#: Assumed width of a user's critic that scores pairs one by one: it sets how many rows are scored at once.
WIDTH_OF_NAMED = 128
#: Fewest rows that the weights of several networks are fitted to, and the largest weight that is accepted.
FEWEST_STACKING_ROWS, LARGEST_WEIGHT = 50, 3.0


class RadialInputs(nn.Module):
    """Variates (n, d) -> inputs (n, p): the variates, the log of their squared norm, and its products with the leading ones.

    Heavy tails, and rotations by an angle that grows with the radius, are simple functions of these inputs. The log radius is
    standardised by that of the training rows ``x``. With ``radial=False`` the inputs are the variates.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, x: Tensor, radial: bool = True) -> None:
        super().__init__()
        self.radial = radial and x.shape[1] > 0
        log_radius = self._log_radius(x)
        self.register_buffer("mean", log_radius.mean())
        self.register_buffer("scale", log_radius.std(correction=0).clamp_min(1e-6))
        self.n_inputs = max(x.shape[1] + (1 + min(N_RADIAL, x.shape[1]) if self.radial else 0), 1)

    @staticmethod
    def _log_radius(x: Tensor) -> Tensor:
        return torch.log(x.square().sum(1, keepdim=True) + 1e-3)

    def forward(self, x: Tensor) -> Tensor:
        if not self.radial:
            return x if x.shape[1] else x.new_zeros(len(x), 1)  # no layer has nothing to read
        log_radius = (self._log_radius(x) - self.mean) / self.scale
        return torch.cat([x, log_radius, log_radius * x[:, :N_RADIAL]], dim=1)


class _Embedding(nn.Module):
    """Inputs (n, p) -> embedding (n, width) and bias (n,), after the inputs are scaled by their relevance."""

    relevance: Tensor

    def __init__(self, n_inputs: int, hidden: Sequence[int], width: int, relevance: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("relevance", torch.eye(n_inputs) if relevance is None else relevance)
        self.body = mlp(n_inputs, hidden)
        self.top = nn.Linear((n_inputs, *hidden)[-1], width + 1)
        with torch.no_grad():
            for parameter in self.body[:1].parameters():
                parameter.mul_(FIRST_GAIN)
            self.top.weight[-1] = 0
            self.top.bias[-1] = 0

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        top = self.top(self.body(inputs @ self.relevance))
        return top[:, :-1], top[:, -1]


class SeparableRatio(nn.Module):
    """A reference plus an inner product of two embeddings, which starts at zero.

    ``offset`` is the start of o, ``width`` that of the embeddings, and ``relevance`` a pair of matrices (p, p) from
    :meth:`relevance_of` that scale the inputs of each side.
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
        constant(self.embed_y.top, 0.0)
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
        r"""Return matrices that scale the inputs of both sides by how much the scores of joint samples depend on them.

        .. math:: R = M^{1/2} / \|M^{1/2}\|, \quad M = E[\nabla f \, \nabla f^\top]

        M is the average gradient outer product (Radhakrishnan et al., Science 2024). A new network on the scaled inputs learns
        first from the directions that matter. None if the scores depend on no input.
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
    """One ReLU network on x and y together, with at least one hidden layer."""

    def __init__(self, inputs_x: RadialInputs, inputs_y: RadialInputs, hidden: Sequence[int]) -> None:
        super().__init__()
        self.inputs_x, self.inputs_y = inputs_x, inputs_y
        # The first layer of a network on [x, y] is a sum of one layer on each: n + m products instead of n m.
        self.first_x = nn.Linear(inputs_x.n_inputs, hidden[0])
        self.first_y = nn.Linear(inputs_y.n_inputs, hidden[0])
        with torch.no_grad():
            for parameter in (*self.first_x.parameters(), *self.first_y.parameters()):
                parameter.mul_(FIRST_GAIN)
        self.rest = nn.Sequential(nn.ReLU(inplace=True), *mlp(hidden[0], hidden[1:], 1))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Score all pairs, (n, d_x), (m, d_y) -> (n, m)."""
        h, k = self.first_x(self.inputs_x(x)), self.first_y(self.inputs_y(y))
        parts = h.split(rows_at_once(len(y), h.shape[1]))
        return torch.cat([self.rest(part[:, None] + k[None]).squeeze(-1) for part in parts])

    def shuffled(self, x: Tensor, y: Tensor, shifts: Tensor) -> tuple[Tensor, Tensor]:
        """Score the n joint samples, (n,), and those with y shifted by each of ``shifts``, (n_shifts, n)."""
        h, k = self.first_x(self.inputs_x(x)), self.first_y(self.inputs_y(y))
        rows = torch.arange(len(x), device=x.device)
        shifted = k[(rows + shifts[:, None]) % len(x)]
        return self.rest(h + k).squeeze(-1), self.rest(h + shifted).squeeze(-1)


class ReferencedCritic(nn.Module):
    """Any critic (n, p), (m, q) -> (n, m) over the inputs, added to a reference."""

    def __init__(self, inputs_x: RadialInputs, inputs_y: RadialInputs, critic: nn.Module, reference: nn.Module) -> None:
        super().__init__()
        self.inputs_x, self.inputs_y = inputs_x, inputs_y
        self.critic = critic
        self.reference = reference

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Score all pairs, (n, d_x), (m, d_y) -> (n, m)."""
        inputs_x, inputs_y = self.inputs_x(x), self.inputs_y(y)
        # A network on pairs holds its hidden layers for each pair: outside training, a few rows are scored at a time.
        parts = [inputs_x] if torch.is_grad_enabled() else inputs_x.split(rows_at_once(len(y), WIDTH_OF_NAMED))
        scores = torch.cat([self.critic(part, inputs_y) for part in parts])
        return self.reference(inputs_x, inputs_y) + scores


class StackedRatio(nn.Module):
    """A weighted sum of networks and an offset, chosen on rows that the networks were not trained on."""

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

    @torch.no_grad()
    def choose(
        self, x: Tensor, y: Tensor, judge: Callable[[Tensor], Tensor], nothing: float = 0.0, max_iter: int = 15
    ) -> None:
        """Choose weights and offset that minimise ``judge(scores)`` on these rows, by L-BFGS-B.

        No weight is negative: where no row judges it, a network that is subtracted may make any score. Each network alone and
        the constant scores ``nothing`` are candidates, too. They are the only ones if there are few rows.
        """
        scores = torch.stack([member(x, y) for member in self.members])
        alone = torch.stack([judge(part) for part in scores]).nan_to_num(math.inf, math.inf, math.inf)
        chosen = np.append(np.eye(len(scores))[int(alone.argmin())], 0.0)
        least = float(alone.min())

        def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
            variables = scores.new_tensor(point).requires_grad_()
            with torch.enable_grad():
                value = judge(torch.tensordot(variables[:-1], scores, 1) + variables[-1])
            return value.item(), torch.autograd.grad(value, variables)[0].cpu().double().numpy()

        if len(x) >= FEWEST_STACKING_ROWS:
            bounds = [(0.0, LARGEST_WEIGHT)] * len(scores) + [(None, None)]
            found = minimize(loss, chosen, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": max_iter})
            if found.fun <= least:
                chosen, least = found.x, float(found.fun)
        if not least < float(judge(torch.full_like(scores[0], nothing))):
            chosen = np.append(np.zeros(len(scores)), nothing)
        self.weights.copy_(torch.from_numpy(chosen[:-1]))
        self.offset.copy_(torch.tensor(chosen[-1]))
