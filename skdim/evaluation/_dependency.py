"""The neural dependency measure: how far features are from independent columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.special import ndtri
from sklearn.covariance import ledoit_wolf
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions, validate_params
from torch import Tensor, nn

from skdim._params import check_sizes
from skdim._random import local_seed
from skdim.evaluation._frames import frame
from skdim.evaluation._inputs import Array, Rows, check_features, draw_seed
from skdim.evaluation._networks import perceptron, train
from skdim.exceptions import ConstantInputWarning, warn
from skdim.inputs.batches import Rows as BatchRows
from skdim.information.intervals import control_variate, normal_interval
from skdim.nn.objectives import Draws, Objective
from skdim.nn.ratio import RadialInputs
from skdim.training.device import resolve_device

#: Shares of the rows that choose the epoch, and that the value is taken from.
VALIDATION_FRACTION, TEST_FRACTION = 0.15, 0.2
#: Rows of independent columns for each held-out row.
N_INDEPENDENT = 20
#: Folds in which the Gaussian part is known on every row.
N_FOLDS = 5
#: Rows that the discriminator scores at once.
ROWS_AT_ONCE = 2**16
#: Fewest rows that can be parted.
FEWEST_ROWS = 20


@dataclass(frozen=True, eq=False)
class DependencyResult:
    """An estimate of total correlation.

    Attributes
    ----------
    value : float
        In nats.
    interval : tuple of float
        Confidence interval of the bound, for the discriminator as it is.
    kind : {"lower"}
        What the expectation is to the total correlation.
    gaussian : float
        The part that a Gaussian copula explains, in nats: all of it where the copula is Gaussian. 0 without reference.
    """

    value: float
    interval: tuple[float, float]
    kind: str
    gaussian: float

    def __repr__(self) -> str:
        low, high = self.interval
        return (
            f"DependencyResult({self.value:.3f} nats [{low:.3f}, {high:.3f}], {self.kind} bound, "
            f"Gaussian part {self.gaussian:.3f})"
        )

    def to_frame(self) -> Any:
        """Return a pandas DataFrame of one row."""
        low, high = self.interval
        return frame(
            {"value": [self.value], "low": [low], "high": [high], "kind": [self.kind], "gaussian": [self.gaussian]}
        )


@validate_params(
    {
        "Z": ["array-like"],
        "reference": [StrOptions({"gaussian"}), None],
        "hidden_layer_sizes": [tuple, list],
        "n_steps": [Interval(Integral, 0, None, closed="left")],
        "confidence_level": [Interval(RealNotInt, 0, 1, closed="neither")],
        "device": [str],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
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
    r"""Estimate the total correlation of features, in nats: 0 where the columns are independent.

    .. math::

        TC(Z) = KL\Bigl(p(z) \,\Big\|\, \prod_j p(z_j)\Bigr) \;\ge\;
        E_p\Bigl[\log \frac{q(u)}{\varphi(u)}\Bigr] + 1 + E_p[h(u)] - E_q[e^{h(u)}]

    The neural dependency measure of Hjelm et al. [1]_: a discriminator tells rows from rows whose columns were permuted
    independently of each other. Theirs has to learn all of the dependence, and its value rests on the mean of e^f over permuted
    rows, which few rows rule wherever dependence is strong. Here each column becomes normal scores u, which changes no total
    correlation, and the density q of a Gaussian with their correlations (shrunk as Ledoit & Wolf do) takes the part that it
    can explain, in closed form. Permuted rows, given these correlations, stand for q, and the discriminator h learns what is
    left. The bound is that of Nguyen, Wainwright & Jordan, on rows that were neither trained nor chosen on.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_features)
        Features, at least 20 rows, independent of each other. Columns may be discrete: their ties are broken at random, which
        changes no total correlation either.
    reference : "gaussian" or None, default="gaussian"
        None leaves everything to the discriminator, as the paper does: q is then that of independent columns.
    hidden_layer_sizes : tuple of int, default=(256, 128)
        ReLU layers of the discriminator.
    n_steps : int, default=2000
        Training steps, about; within 10 to 400 epochs. 0 leaves the Gaussian part alone.
    confidence_level : float, default=0.95
        Of the interval.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", "mps"; "auto" is CUDA where there is one.
    random_state : int, RandomState instance or None, default=None
        Breaks ties, parts the rows and seeds the discriminator.

    Returns
    -------
    DependencyResult
        Value, interval, kind "lower", and the Gaussian part. Raw: for independent columns it may be slightly below 0.

    Raises
    ------
    ValueError, TypeError
        If a parameter is not what it may be, or Z is not a finite array of at least 20 rows.

    Warns
    -----
    ConstantInputWarning
        If fewer than two columns vary: the total correlation is 0.

    See Also
    --------
    skdim.mutual_information : Between two groups of columns.

    Notes
    -----
    Total correlation does not change under invertible maps of single columns. So a sigmoid on features, with and without which
    the paper reports, makes no difference here.

    References
    ----------
    .. [1] Hjelm et al., "Learning deep representations by mutual information estimation and maximization", ICLR 2019,
       Section 4.1.
    .. [2] Nguyen, Wainwright & Jordan, "Estimating divergence functionals and the likelihood ratio by convex risk
       minimization", IEEE Transactions on Information Theory 2010.

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
    parts = [round(TEST_FRACTION * len(u)), round((TEST_FRACTION + VALIDATION_FRACTION) * len(u))]
    test, valid, rest = np.split(rng.permutation(len(u)), parts)

    gaussian = _GaussianCopula(u[rest]) if reference else _GaussianCopula.independent(u.shape[1])
    w = gaussian.whiten(u)
    independent = [_independent(u, N_INDEPENDENT * len(rows), rng) for rows in (valid, test)]
    h = _trained(u, w, rest, valid, independent[0], hidden, n_steps, seed, device)

    # The bound holds for h and a constant, which is best the log of the mean of e^h: taken from other rows, it stays one.
    judged, e = h(independent[0]), h(independent[1])
    constant = float(judged.max() + np.log(np.exp(judged - judged.max()).mean()))
    values = gaussian.log_ratio(u) + h(w) - constant
    ratio = np.exp(e - constant)
    known = _cross_fitted(u, rng) if reference else np.zeros(len(u))
    value, error = control_variate(values[test], known, test, values[valid], known[valid])
    value += 1 - float(ratio.mean())
    error = math.hypot(error, float(ratio.std()) / math.sqrt(len(ratio)))
    return DependencyResult(value, normal_interval(value, error, confidence_level), "lower", float(known.mean()))


def _normal_scores(Z: npt.NDArray[Any], rng: np.random.Generator) -> Array:
    """Return the normal scores of each column's ranks, ties in random order."""
    n = len(Z)
    order = np.lexsort((rng.random(Z.shape), Z), axis=0)
    ranks = np.empty(Z.shape, dtype=np.intp)
    np.put_along_axis(ranks, order, np.arange(n)[:, None], axis=0)
    scores: Array = ndtri((ranks + 0.5) / n)
    return scores


def _independent(u: Array, n_rows: int, rng: np.random.Generator) -> Array:
    """Draw rows whose columns come from different rows of ``u``."""
    return np.take_along_axis(u, rng.integers(len(u), size=(n_rows, u.shape[1])), axis=0)


class _GaussianCopula:
    r"""The Gaussian density of normal scores u, :math:`N(0, S)`, against that of independent ones, :math:`N(0, I)`."""

    def __init__(self, u: Array) -> None:
        self._learn(ledoit_wolf(u, assume_centered=True)[0])

    @classmethod
    def independent(cls, n_columns: int) -> _GaussianCopula:
        """Return the density of independent columns."""
        copula = cls.__new__(cls)
        copula._learn(np.eye(n_columns))
        return copula

    def _learn(self, covariance: Array) -> None:
        variances, axes = np.linalg.eigh(covariance)
        variances = np.maximum(variances, np.finfo(np.float64).eps * variances.max())
        self.root = (
            axes / np.sqrt(variances)
        ) @ axes.T  # of the inverse: the whitened columns stay near the given ones
        self.log_determinant = float(np.log(variances).sum())

    def whiten(self, u: Array) -> Array:
        """Return rows whose columns are uncorrelated, of variance 1: under N(0, S) they are independent."""
        return u @ self.root

    def log_ratio(self, u: Array) -> Array:
        """Return log N(u; 0, S) - log N(u; 0, I) of each row."""
        return ((u**2).sum(axis=1) - (self.whiten(u) ** 2).sum(axis=1) - self.log_determinant) / 2


def _cross_fitted(u: Array, rng: np.random.Generator) -> Array:
    """Return the Gaussian log ratio of each row under a density that was learned from other rows."""
    result = np.empty(len(u))
    for fold in np.array_split(rng.permutation(len(u)), N_FOLDS):
        others = np.ones(len(u), dtype=bool)
        others[fold] = False
        result[fold] = _GaussianCopula(u[others]).log_ratio(u[fold])
    return result


class _Discriminator(Objective):
    """The log ratio h of whitened rows to rows of independent columns; starts at 0.

    Parameters
    ----------
    w : Tensor of shape (n, d)
        Training rows, by which the log radius is standardised.
    hidden : sequence of int
        ReLU layers.
    """

    def __init__(self, w: Tensor, hidden: Sequence[int]) -> None:
        super().__init__()
        self.inputs = RadialInputs(w)
        self.network = perceptron(self.inputs.n_inputs, hidden, torch.zeros(1))

    def score(self, w: Tensor) -> Tensor:
        """Return h, (n, d) -> (n,)."""
        scores: Tensor = self.network(self.inputs(w)).squeeze(1)
        return scores

    @property
    def networks(self) -> list[nn.Module]:
        return []

    def draw(self, rows: BatchRows, generator: torch.Generator | None) -> Draws:
        return {"order": torch.rand(rows.n, *rows.shape, generator=generator)}

    def forward(self, X: Sequence[Tensor], draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the logistic loss of telling whitened rows from the scores of rows whose columns are permuted."""
        w, u = X
        loss = self.loss(w, u.gather(0, draws["order"].argsort(dim=0)))
        return loss, {"loss": loss.detach()}

    def loss(self, w: Tensor, independent: Tensor) -> Tensor:
        """Return the logistic loss of telling rows from independent ones."""
        return F.softplus(-self.score(w)).mean() + F.softplus(self.score(independent)).mean()


def _trained(
    u: Array,
    w: Array,
    rest: Rows,
    valid: Rows,
    independent: Array,
    hidden: Sequence[int],
    n_steps: int,
    seed: int,
    device: str,
) -> Callable[[Array], Array]:
    """Train a discriminator, and return it as a function of arrays."""
    on = resolve_device(device)
    scores, whitened, judges = (torch.from_numpy(part).float().to(on) for part in (u, w, independent))
    with local_seed(seed):
        discriminator = _Discriminator(whitened[rest], hidden).to(on)

    @torch.no_grad()
    def held_out_loss(module: nn.Module) -> float:
        return float(module.loss(whitened[valid], judges))  # type: ignore[operator]

    if n_steps:
        train(discriminator, [whitened, scores], rest, held_out_loss, n_steps, seed, "neural_dependency")
    discriminator.eval()

    @torch.no_grad()
    def h(rows: Array) -> Array:
        parts = torch.from_numpy(rows).float().split(ROWS_AT_ONCE)
        return np.concatenate([discriminator.score(part.to(on)).double().cpu().numpy() for part in parts])

    return h
