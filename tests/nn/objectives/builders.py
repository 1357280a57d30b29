"""What the tests of objectives share: numbers, codes, terms, a small encoder, and the draws of one batch."""

import pytest
import torch
from torch import nn

from skdim.bounds import BOUNDS, InfoNCE
from skdim.inputs.augmentation import TwoViews
from skdim.inputs.batches import Batch, Rows
from skdim.nn.adapt import Code, Encoder
from skdim.nn.critics import Critic, Separable
from skdim.nn.objectives import PRIORS, CodeInfoMax, DeepInfoMax, GlobalInfoMax, LocalInfoMax, PriorMatching, drawn

CHANNELS, LOCATIONS, HIDDEN, WIDTH = 4, 9, 6, 3
KINDS = {
    "global": (GlobalInfoMax, CHANNELS * LOCATIONS),
    "local": (LocalInfoMax, CHANNELS),
    "code": (CodeInfoMax, WIDTH),
}
#: Every bound that trains codes.
TRAINED = [bound() for bound in BOUNDS.values()]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def close(expected, **options):
    return pytest.approx(expected, rel=1e-5, abs=1e-5, **options)


def numbers(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=generator(seed), dtype=dtype)


def seeded(build, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def code(seed=0, n=8, locations=LOCATIONS):
    sizes = (n, CHANNELS, locations), (n, HIDDEN), (n, WIDTH)
    return Code(*(numbers(*size, seed=10 * seed + i) for i, size in enumerate(sizes)))


def term(name, bound=None, weight=1.0, critic=None):
    kind, width = KINDS[name]
    critic = critic or Separable(width=6, temperature=None)
    return seeded(lambda: kind(bound or InfoNCE(), Critic(critic(WIDTH, width)), weight))


def matching(prior="uniform", n_components=WIDTH, hidden=(16, 8), penalty=1.0, dtype=torch.float32):
    configured = PRIORS[prior](hidden_layer_sizes=hidden, penalty=penalty)
    return seeded(lambda: PriorMatching(configured, n_components)).to(dtype)


class SmoothEncoder(Encoder):
    """Inputs of shape (n, 6), or the first of pairs (n, 2, 6) -> codes, smooth and deterministic."""

    local_shape, n_hidden, n_components = (CHANNELS, LOCATIONS), HIDDEN, WIDTH

    def __init__(self):
        super().__init__()
        self.local, self.top = nn.Linear(HIDDEN, CHANNELS * LOCATIONS), nn.Linear(HIDDEN, WIDTH)

    def forward(self, X):
        X = X[:, 0] if X.ndim == 3 else X
        local = torch.tanh(self.local(X)).unflatten(1, (CHANNELS, LOCATIONS))
        return Code(local, X, torch.tanh(self.top(X)))


class Pick:
    """An augmentation of samples (2, ...) that hold their own two views."""

    def n_draws(self, shape):
        return 1

    def __call__(self, X, draws):
        return torch.where(draws < 0.5, X[:, 0], X[:, 1])


def deep_infomax(bound=None, names=tuple(KINDS), n_views=1, **options):
    """Return the objective; with two views its samples are ``torch.stack([a, b], 1)``."""
    weights = dict(zip(KINDS, (0.5, 2.0, 3.0), strict=True))
    terms = {name: term(name, bound, weights[name]) for name in names}
    two_views = TwoViews(Pick(), (2, HIDDEN)) if n_views == 2 else None
    return seeded(lambda: DeepInfoMax(SmoothEncoder(), terms, two_views, **options))


def draws(objective, X, seed=0, **extras):
    """Return all draws of one batch; ``seed=None`` is for evaluation."""
    uniform = torch.tensor([0.0, 0.9])[: objective.n_draws].expand(len(X), -1)
    rows = Rows(len(X), slice(0, len(X)), tuple(X.shape[1:]), extras)
    return drawn(objective, [Batch(X, uniform, rows)], None if seed is None else generator(seed))[0]


def step(objective, X, seed=0, **extras):
    """Return the loss and the parts of one step."""
    return objective(X, draws(objective, X, seed, **extras))


@torch.no_grad()
def evaluated(objective, X, method="evaluate", **extras):
    """Return what a method gives on held-out samples."""
    return getattr(objective.eval(), method)(X, draws(objective, X, None, **extras))
