"""The neural dependency measure: how far the columns of features are from independent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.special import ndtri
from sklearn.covariance import ledoit_wolf
from torch import Tensor, nn

from skdim._params import check_sizes
from skdim._random import LocalSeed
from skdim._sklearn import Interval, StrOptions, draw_seed
from skdim.evaluation._inputs import Array, Result, Rows, check_features, random_parts, validated
from skdim.evaluation._networks import Training, outputs
from skdim.exceptions import ConstantInputWarning, warn
from skdim.information.intervals import control_variate, cross_fitted, normal_interval
from skdim.inputs.batches import Rows as BatchRows
from skdim.nn.layers import mlp
from skdim.nn.objectives import Draws, Objective
from skdim.nn.ratio import RadialInputs
from skdim.training.device import resolve_device

#: Shares of the rows that give the value, and that choose the epoch; fewest rows that can be split.
TEST_FRACTION, VALIDATION_FRACTION, FEWEST_ROWS = 0.2, 0.15, 20
#: Rows of independent columns for each held-out row, and folds that give the Gaussian part of every row.
N_INDEPENDENT, N_FOLDS = 20, 5


@dataclass(frozen=True, eq=False, repr=False)
class DependencyResult(Result):
    """An estimate of total correlation; a frame has one row.

    Attributes
    ----------
    value : float
        In nats, not clipped at 0.
    interval : tuple of float
        Confidence interval of the bound, for the fitted discriminator.
    kind : {"lower"}
        The value is a lower bound on the total correlation.
    gaussian : float
        The part that a Gaussian copula explains, in nats; 0 without a reference.
    """

    value: float
    interval: tuple[float, float]
    kind: str
    gaussian: float

    def _summary(self) -> str:
        low, high = self.interval
        return f"{self.value:.3f} nats [{low:.3f}, {high:.3f}], {self.kind} bound, Gaussian part {self.gaussian:.3f}"

    def _columns(self) -> dict[str, Any]:
        low, high = self.interval
        return {"value": [self.value], "low": low, "high": high, "kind": self.kind, "gaussian": self.gaussian}


@validated(reference=[StrOptions({"gaussian"}), None], n_steps=[Interval(Integral, 0, None, closed="left")])
def neural_dependency(
    Z: Any,
    *,
    reference: str | None = "gaussian",
    hidden_layer_sizes: Any = (256, 128),
    n_steps: int = 2000,
    confidence_level: float = 0.95,
    device: str = "auto",
    random_state: Any = None,
) -> DependencyResult:
    r"""Estimate the total correlation of features, in nats; it is 0 if the columns are independent.

    .. math::

        TC(Z) = KL\Bigl(p(z) \,\Big\|\, \prod_j p(z_j)\Bigr) \;\ge\;
        E_p\Bigl[\log \frac{q(u)}{\varphi(u)}\Bigr] + 1 + E_p[h(u)] - E_q[e^{h(u)}]

    The neural dependency measure of Hjelm et al. (ICLR 2019, Section 4.1) trains a discriminator to tell rows from rows whose
    columns are permuted. Here each column first becomes normal scores u, which leaves total correlation unchanged. A Gaussian
    density q with their correlations explains its part in closed form, and the discriminator h learns what is left, against
    samples of q. The bound is that of Nguyen, Wainwright & Jordan (IEEE Transactions on Information Theory 2010), on rows that
    neither trained nor chose the discriminator.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_features)
        Features, at least 20 independent rows. Ties are broken at random, which leaves total correlation unchanged. If fewer
        than two columns vary, the value is 0, with a :class:`~skdim.exceptions.ConstantInputWarning`.
    reference : "gaussian" or None, default="gaussian"
        With None q has independent columns, as in the paper.
    hidden_layer_sizes : tuple of int, default=(256, 128)
        ReLU layers of the discriminator.
    n_steps : int, default=2000
        Training steps, approximately: from 10 to 400 epochs. 0 gives the Gaussian part alone.
    confidence_level : float, default=0.95
        Of the interval.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", "mps"; "auto" is CUDA if there is one.
    random_state : int, RandomState instance or None, default=None
        Breaks ties, splits the rows and seeds the discriminator.

    Returns
    -------
    DependencyResult
        Value, interval, kind and the Gaussian part.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.evaluation import neural_dependency
    >>> Z = np.random.default_rng(0).normal(size=(4000, 2))
    >>> Z[:, 1] = 0.8 * Z[:, 0] + 0.6 * Z[:, 1]                    # TC = -log(1 - 0.8^2) / 2 = 0.511
    >>> result = neural_dependency(np.exp(Z), n_steps=200, random_state=0)
    >>> round(result.value, 1), result.kind
    (0.5, 'lower')
    """
    Z = check_features(Z, min_samples=FEWEST_ROWS)
    hidden = check_sizes("hidden_layer_sizes", hidden_layer_sizes)
    varies = Z.max(axis=0) > Z.min(axis=0)
    if varies.sum() < 2:
        warn(f"{varies.sum()} of {Z.shape[1]} columns vary: the total correlation is 0.", ConstantInputWarning)
        return DependencyResult(0.0, (0.0, 0.0), "lower", 0.0)
    seed = draw_seed(random_state)
    rng = np.random.default_rng(seed)
    u = _normal_scores(Z[:, varies], rng)
    test, valid, rest = random_parts(len(u), [TEST_FRACTION, VALIDATION_FRACTION], rng)
    q = _GaussianCopula.learn(u[rest]) if reference else _GaussianCopula(np.eye(u.shape[1]), 0.0)
    w = u @ q.root
    shapes = [(N_INDEPENDENT * len(rows), u.shape[1]) for rows in (valid, test)]
    independent = [np.take_along_axis(u, rng.integers(len(u), size=shape), axis=0) for shape in shapes]
    h = _train(Training(hidden, n_steps, seed, device, "neural_dependency"), u, w, rest, valid, independent[0])
    # The bound holds for h and a constant, the best of which is the log of the mean of e^h; here on other rows.
    judged, e = h(independent[0]), h(independent[1])
    constant = float(judged.max() + np.log(np.exp(judged - judged.max()).mean()))
    values = q.log_ratio(u) + h(w) - constant
    ratio, known = np.exp(e - constant), np.zeros(len(u))
    if reference:
        known = cross_fitted(len(u), N_FOLDS, rng, lambda rest, fold: _GaussianCopula.learn(u[rest]).log_ratio(u[fold]))
    value, error = control_variate(values[test], known, test, values[valid], known[valid])
    value += 1 - float(ratio.mean())
    error = math.hypot(error, float(ratio.std()) / math.sqrt(len(ratio)))
    return DependencyResult(value, normal_interval(value, error, confidence_level), "lower", float(known.mean()))


def _normal_scores(Z: npt.NDArray[Any], rng: np.random.Generator) -> Array:
    """Return the normal scores of each column's ranks, with ties in random order."""
    n = len(Z)
    order = np.lexsort((rng.random(Z.shape), Z), axis=0)
    ranks = np.empty(Z.shape, dtype=np.intp)
    np.put_along_axis(ranks, order, np.arange(n)[:, None], axis=0)
    return ndtri((ranks + 0.5) / n)


class _GaussianCopula(NamedTuple):
    """The density N(u; 0, S) of normal scores, which ``root``, the symmetric root of the inverse of S, whitens."""

    root: Array
    log_determinant: float

    @classmethod
    def learn(cls, u: Array) -> _GaussianCopula:
        variances, axes = np.linalg.eigh(ledoit_wolf(u, assume_centered=True)[0])
        variances = np.maximum(variances, np.finfo(np.float64).eps * variances.max())
        return cls((axes / np.sqrt(variances)) @ axes.T, float(np.log(variances).sum()))

    def log_ratio(self, u: Array) -> Array:
        """Return log N(u; 0, S) - log N(u; 0, I) of each row."""
        return ((u**2).sum(axis=1) - ((u @ self.root) ** 2).sum(axis=1) - self.log_determinant) / 2


class _Discriminator(Objective):
    """The logistic loss of telling whitened rows w from scores u whose columns are permuted; h is the log ratio, 0 at first."""

    def __init__(self, w: Tensor, hidden: Sequence[int]) -> None:
        super().__init__()
        inputs = RadialInputs(w)
        self.h = nn.Sequential(inputs, mlp(inputs.n_inputs, hidden, 1, start=0.0), nn.Flatten(0))

    def draw(self, rows: BatchRows, generator: torch.Generator | None) -> Draws:
        return {"order": torch.rand(rows.n, *rows.shape, generator=generator)}

    def forward(self, X: Sequence[Tensor], draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        w, u = X
        loss = self.loss(w, u.gather(0, draws["order"].argsort(dim=0)))
        return loss, {"loss": loss.detach()}

    def loss(self, w: Tensor, independent: Tensor) -> Tensor:
        return F.softplus(-self.h(w)).mean() + F.softplus(self.h(independent)).mean()


def _train(training: Training, u: Array, w: Array, rest: Rows, valid: Rows, judges: Array) -> Callable[[Array], Array]:
    """Train a discriminator on the rows ``rest``, and return its log ratio as a function of arrays."""
    device = resolve_device(training.device)
    scores, whitened, independent = (torch.from_numpy(part).float().to(device) for part in (u, w, judges))
    with LocalSeed(training.seed):
        discriminator = _Discriminator(whitened[rest], training.hidden).to(device)
    if training.steps:
        training.train(
            discriminator, [whitened, scores], rest, lambda module: module.loss(whitened[valid], independent)
        )
    return lambda rows: outputs(discriminator.h, rows).double().numpy()
