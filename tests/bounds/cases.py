"""One row for each bound: what the laws of this folder need to know of it. A new bound needs a row in CASES."""

import itertools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import exp

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import brentq

import skdim.bounds as b
from skdim.bounds import METRIC_LOSSES, MI_BOUNDS, Bound

REGISTRY = MI_BOUNDS | METRIC_LOSSES


# ------------------------------------------------------------------------------------------------------------ slow twins
# Plain Python floats, the sums of the definitions term by term; nothing is shared with the package. f[i][j] are the scores,
# a[i] the values of the second function at the joint samples.
def mean(values):
    values = list(values)
    return sum(values) / len(values)


def log_mean_exp(values):
    largest = max(values := list(values))
    return largest + math.log(mean(exp(value - largest) for value in values))


def softplus(t):
    return math.log1p(exp(-abs(t))) + max(t, 0.0)


def joint(f):
    return [f[i][i] for i in range(len(f))]


def pairs(f):
    return list(itertools.permutations(range(len(f)), 2))


def marginal(f):
    return [f[i][j] for i, j in pairs(f)]


def columns(f):
    """Return (joint score, scores of the candidates x) for each y."""
    return [(f[j][j], [f[i][j] for i in range(len(f))]) for j in range(len(f))]


def excess(f):
    """Return the scores of each row's negatives less its joint score."""
    return [[f[i][j] - f[i][i] for j in range(len(f)) if j != i] for i in range(len(f))]


def infonce(f, a):
    return mean(f[i][i] - log_mean_exp(f[i]) for i in range(len(f)))


def jsd(f, a):
    return 1 + mean(joint(f)) - mean(map(exp, marginal(f)))


def minus_jsd(f):
    return mean(softplus(-t) for t in joint(f)) + mean(map(softplus, marginal(f))) - 2 * math.log(2)


def nwj(f, a):
    return mean(joint(f)) - mean(exp(t - 1) for t in marginal(f))


def alpha(weight):
    def twin(f, a):
        def baseline(i, j):
            return weight * mean(exp(f[i][other]) for other in range(len(f)) if other != j) + 1 - weight

        return 1 + mean(f[i][i] - math.log(baseline(i, j)) - exp(f[i][j]) / baseline(i, i) for i, j in pairs(f))

    return twin


def uba(f, a):
    return mean(own - log_mean_exp(all_x[:j] + all_x[j + 1 :]) for j, (own, all_x) in enumerate(columns(f)))


def tuba(f, a):
    return 1 + mean(joint(f)) - mean(a) - mean(exp(f[i][j] - a[j]) for i, j in pairs(f))


def flo(f, u):
    return 1 - mean(v + mean(exp(d - v) for d in row) for v, row in zip(u, excess(f), strict=True))


def dime(f, a):
    def error(c):
        return mean(exp(-softplus(t + c)) for t in joint(f)) - mean(exp(-softplus(-t - c)) for t in marginal(f))

    return mean(joint(f)) + brentq(error, -50, 50, xtol=1e-14)


# ---------------------------------------------------------------------------------------------------------- golden table
# Means and standard deviations of one batch of K samples with the exact log ratio r as the critic, for 20 pairs of Gaussians,
# I = -10 log(1 - rho^2), at each (I, K). "nwj - 1" is NWJ at r in place of 1 + r: it is 1 / e below I, and its deviation is
# below NWJ's own, which is given.
SETTINGS = [(2, 64), (2, 128), (4, 64), (4, 128), (6, 128), (8, 128), (10, 64), (10, 128)]
GOLDEN = {
    "nwj": (2.01, 0.25, 2.00, 0.17, 3.99, 0.49, 4.01, 0.31, 5.95, 1, 8.10, 0.78, 9.59, 8.3, 10.08, 2.4),
    "nwj - 1": (1.65, 0.25, 1.63, 0.17, 3.63, 0.49, 3.64, 0.31, 5.60, 1, 7.65, 0.78, 9.44, 8.3, 9.67, 2.4),
    "dv": (2.02, 0.25, 2.00, 0.17, 4.04, 0.43, 4.03, 0.29, 6.07, 0.49, 8.31, 0.67, 11.13, 1.5, 10.72, 0.99),
    "infonce": (1.82, 0.19, 1.89, 0.15, 3.07, 0.18, 3.34, 0.16, 4.20, 0.12, 4.62, 0.07, 4.12, 0.04, 4.79, 0.03),
    "l1out": (2.18, 0.24, 2.10, 0.17, 4.73, 0.38, 4.50, 0.27, 7.34, 0.36, 10.80, 0.47, 16.16, 0.92, 15.06, 0.58),
    "smile 1": (2.39, 0.24, 2.37, 0.17, 4.66, 0.34, 4.66, 0.25, 6.80, 0.28, 8.89, 0.31, 10.90, 0.45, 10.98, 0.32),
    "smile 5": (2.04, 0.24, 2.03, 0.17, 4.27, 0.36, 4.26, 0.26, 6.67, 0.32, 9.24, 0.39, 11.98, 0.75, 11.99, 0.43),
    "alpha .01": (2.01, 0.25, 2.00, 0.17, 3.95, 0.39, 3.99, 0.27, 5.83, 0.33, 7.43, 0.37, 8.29, 0.51, 8.67, 0.32),
    "alpha .5": (1.94, 0.21, 1.96, 0.16, 3.50, 0.23, 3.66, 0.19, 4.89, 0.16, 5.68, 0.12, 5.55, 0.1, 6.15, 0.07),
}


# -------------------------------------------------------------------------------------------------------------- the table
@dataclass(frozen=True)
class Case:
    """A bound, the slow twins of its value and its loss (the negative value where None), and what is known of it.

    ``cap`` is its cap by K, which is missed by ``short``. ``ignores`` says which functions added to the scores have no effect:
    of "x", of "y" (a baseline moves along), or a "constant" only. ``is_tight`` says whether the expectation is the information
    at the optimal critic. ``largest`` are scores whose value and gradient float32 can hold. ``golden`` are columns of the table
    above by the constant added to the log ratio. ``first_order`` says whether the rows' contributions are exact to first order.
    """

    bound: Bound
    twin: Callable[..., float]
    loss_twin: Callable[..., float] | None = None
    cap: Callable[[int], float] = lambda k: math.inf
    short: float = 0.0
    ignores: frozenset[str] = frozenset()
    is_tight: bool = False
    largest: float = 1e4
    golden: dict[float, str] = field(default_factory=dict)
    first_order: bool = True

    def second(self, auxiliary):
        return {self.bound.auxiliary: auxiliary} if self.bound.auxiliary else {}

    def value(self, scores, auxiliary=None):
        return self.bound.value(scores, **self.second(auxiliary))

    def loss(self, scores, auxiliary=None):
        return -self.value(scores, auxiliary) if self.bound.auxiliary else self.bound.loss(scores)

    def slow_loss(self, f, a=None):
        return -self.twin(f, a) if self.loss_twin is None else self.loss_twin(f)


X, Y, ANY, CONSTANT = map(frozenset, (["x"], ["y"], ["x", "y"], ["constant"]))
METRIC = {"cap": math.log, "ignores": X, "first_order": False}
CASES = {
    "infonce": Case(b.InfoNCE(), infonce, cap=math.log, ignores=X, golden={0: "infonce"}),
    "jsd": Case(b.JSD(), jsd, minus_jsd, is_tight=True, largest=80, golden={0: "nwj"}),
    "dv": Case(b.DV(), lambda f, a: mean(joint(f)) - log_mean_exp(marginal(f)), ignores=CONSTANT, golden={0: "dv"}),
    "nwj": Case(b.NWJ(), nwj, is_tight=True, largest=80, golden={1: "nwj", 0: "nwj - 1"}),
    "uba": Case(b.UBA(), uba, ignores=Y, golden={0: "l1out"}, first_order=False),
    "tuba": Case(b.TUBA(), tuba, ignores=Y, is_tight=True, largest=40),
    "flo": Case(b.FLO(), flo, ignores=X, is_tight=True, largest=40),
    "mlcpc": Case(
        b.MLCPC(),
        lambda f, a: mean(t - log_mean_exp([t, *marginal(f)]) for t in joint(f)),
        cap=lambda k: math.log(k * (k - 1) + 1),
        ignores=CONSTANT,
    ),
    "dime": Case(b.DIME(), dime, minus_jsd, ignores=CONSTANT, first_order=False),
    "tnce": Case(
        b.TNCE(),
        lambda f, a: mean(own - log_mean_exp(all_x) for own, all_x in columns(f)),
        cap=math.log,
        ignores=Y,
        golden={0: "infonce"},
        first_order=False,
    ),
    "l1out": Case(b.L1Out(), uba, ignores=Y, golden={0: "l1out"}, first_order=False),
    "club": Case(b.CLUB(), lambda f, a: mean(joint(f)) - mean(marginal(f)), ignores=ANY),
    "npair": Case(
        b.NPair(), infonce, lambda f: mean(log_mean_exp([0.0, *row]) + math.log(len(f)) for row in excess(f)), **METRIC
    ),
    "npair_ovo": Case(b.NPairOVO(), infonce, lambda f: mean(sum(map(softplus, row)) for row in excess(f)), **METRIC),
}
for margin in (0.5, 0.3):
    loss = lambda f, margin=margin: mean(max(0, d + margin) for row in excess(f) for d in row)  # noqa: E731
    CASES[f"triplet {margin}"] = Case(b.Triplet(margin), infonce, loss, **METRIC)
for tau, column in ((5.0, "smile 5"), (1.0, "smile 1"), (math.inf, "dv")):
    value = lambda f, a, tau=tau: mean(joint(f)) - log_mean_exp(min(max(t, -tau), tau) for t in marginal(f))  # noqa: E731
    ignores = CONSTANT if tau == math.inf else frozenset()
    CASES[f"smile {tau:g}"] = Case(  # clipped pairs have no gradient, but they have weight
        b.SMILE(tau), value, minus_jsd, ignores=ignores, golden={0: column}, first_order=tau > 1
    )
for weight, golden in ((0.0, {0: "nwj"}), (0.01, {0: "alpha .01"}), (0.5, {0: "alpha .5"})):
    cap = partial(lambda weight, k: 1 + math.log((k - 1) / weight) if weight else math.inf, weight)
    CASES[f"alpha {weight:g}"] = Case(
        b.Alpha(weight),
        alpha(weight),
        cap=cap,
        is_tight=weight == 0,
        largest=80,
        golden=golden,
        first_order=weight < 0.1,
    )
CASES["alpha 1"] = Case(  # whose marginal mean is 1 whatever the scores
    b.Alpha(1.0), alpha(1.0), cap=lambda k: math.log(k - 1), ignores=X, largest=80, first_order=False
)
IDS = list(CASES)


# --------------------------------------------------------------------------------------------------------------- scores
def random_scores(*shape, seed=0, scale=2.0, dtype=torch.float64):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def random_auxiliary(scores, seed=17):
    return random_scores(*scores.shape[1:], seed=seed, scale=1.0, dtype=scores.dtype)


@st.composite
def score_tensors(draw, largest=1e4):
    """Draw scores of at most this size: any, of one size with any signs, or with the joint samples told apart or all equal."""
    k, trailing = draw(st.integers(2, 6)), draw(st.sampled_from([(), (1,), (3,)]))
    elements = st.one_of(st.floats(-largest, largest, allow_nan=False, width=32), st.sampled_from([largest, -largest]))
    eye = np.eye(k).reshape(k, k, *(1 for _ in trailing)) + np.zeros((k, k, *trailing))
    fixed = [largest * pattern for pattern in (2 * eye - 1, 1 - 2 * eye, 0 * eye + 1, 0 * eye - 1)]
    return torch.from_numpy(
        draw(st.one_of(hnp.arrays("float64", eye.shape, elements=elements), st.sampled_from(fixed)))
    )


# ---------------------------------------------------------------------------------------- exact expectations, two symbols
# X and Y take two values each, so the expectation over all batches of K samples is a finite sum: no sampling error.
P = np.array([[0.35, 0.1], [0.15, 0.4]])
R = np.log(P / P.sum(1, keepdims=True) / P.sum(0, keepdims=True))
MI = float((P * R).sum())


def expectation(function, critic, auxiliary=None, k=4):
    """Return E of ``function(scores, auxiliary)`` over batches, for a critic and a second function as 2 x 2 tables."""
    total, auxiliary = 0.0, np.zeros((2, 2)) if auxiliary is None else auxiliary
    for batch in itertools.combinations_with_replacement(range(4), k):  # the order of the samples does not matter
        x, y = np.divmod(batch, 2)
        orders = math.factorial(k) / math.prod(math.factorial(count) for count in Counter(batch).values())
        scores = torch.from_numpy(np.asarray(critic)[x[:, None], y[None]])
        total += orders * P[x, y].prod() * function(scores, torch.from_numpy(auxiliary[x, y])).item()
    return total


def population(critic, n=400):
    """Return the scores of a batch in the exact proportions of P."""
    outcomes = np.repeat(np.arange(4), np.round(n * P.ravel()).astype(int))
    return torch.from_numpy(critic[outcomes[:, None] // 2, outcomes[None, :] % 2])


def optimum(case, seed=None):
    """Return the optimal critic and second function: the log ratio, the offset, and what the bound ignores."""
    shift = np.zeros((2, 2))
    if seed is not None:
        rng = np.random.default_rng(seed)
        of = {"x": rng.normal(size=(2, 1)), "y": rng.normal(size=(1, 2)), "constant": rng.normal()}
        shift = sum((of[side] for side in case.ignores), shift)
    return R + case.bound.offset + shift, -R if case.bound.auxiliary == "u" else shift


def perturbation(seed, scale=0.5):
    return scale * np.random.default_rng(seed).standard_normal((2, 2))
