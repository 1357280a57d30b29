"""The information between labels and numbers, by classifiers."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.special import ndtri
from sklearn.covariance import ledoit_wolf
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from skdim._random import LocalSeed
from skdim.information.canonical import Standardize, canonical_axes
from skdim.information.discrete import entropy
from skdim.information.intervals import Array, Rows
from skdim.information.model import Evaluation, Learned, hidden_layers, others
from skdim.information.screen import screen_pairs
from skdim.information.selection import CHANCE, MOST_COLUMNS
from skdim.nn.conditional import CategoricalConditional, LinearClassifier, MixedConditional, NearestNeighbours
from skdim.nn.objectives.ratio import ConditionalObjective
from skdim.nn.ratio import RadialInputs

#: Most directions that classifiers see: of more columns, the leading principal ones, and the few that depend on the labels.
MOST_DIRECTIONS = 128
#: The logistic regression's C times the number of directions: a prior variance of 10 for every logit.
PRIOR_VARIANCE = 10.0
#: Logit of a label that no training row has.
LOGIT_OF_NOTHING = -30.0
#: Neighbours of a row, and most rows that they are sought in.
N_NEIGHBOURS, MOST_NEIGHBOURED = 15, 10_000


class Labels(Learned):
    r"""One side has labels: :math:`I = H(y) - E[-\log q(y \mid x)]`, and q is a mixture of classifiers.

    They are the labels' frequencies, logistic regression, linear discriminant analysis, nearest neighbours and a network.
    """

    dependence = "labels"
    by_bound = False
    saved = ("exchanged", "entropy", "mean", "scale", "projection")
    sees_few: bool = False  # whether it sees only the columns that depend on the labels one by one
    kind = "estimate"
    estimates = True
    critic: MixedConditional
    entropy: float  # H(y) in nats
    exchanged: bool  # whether x is the side with labels
    mean: Array  # of the columns (d,)
    scale: Array  # of the columns (d,)
    projection: Array  # of the columns (d, n_directions)

    @property
    def cap(self) -> float:
        return self.entropy

    def fit(self, x: Any, y: Any, train: Rows, valid: Rows) -> None:
        self.exchanged = x.ndim == 1
        numbers, codes = (y, x) if self.exchanged else (x, y)
        self.entropy = entropy(codes)
        self._learn_directions(numbers[train], codes[train])
        projected, indicators = self._project(numbers), np.eye(codes.max() + 1)[codes]
        # On canonical axes against the labels' indicators, the directions in which the means differ come first.
        self.axes = canonical_axes(projected[train], indicators[train])
        variates, labels = self._tensor(self.axes.x(projected)), torch.from_numpy(codes).to(self.device)
        frequencies = torch.bincount(labels).float() / len(labels)
        with LocalSeed(self.seed):
            network = self._network(variates[train], frequencies).to(self.device)
        members: list[nn.Module] = []
        if len(np.unique(codes[train])) > 1 and projected.shape[1]:
            members = linear_classifiers(projected[train], codes[train], len(frequencies))
        if members:
            kept = train[np.random.default_rng(self.seed).permutation(len(train))[:MOST_NEIGHBOURED]]
            members.append(NearestNeighbours(self._tensor(projected[kept]), labels[kept], frequencies, N_NEIGHBOURS))
        if self._is_learnable(train, variates):
            self._train(ConditionalObjective(network), [variates, labels], train, valid)
        self.critic = MixedConditional([*members, network], frequencies).to(self.device)
        self.critic.eval().requires_grad_(False)
        self.choose([self], [valid], x, y)

    def rivals(self, x: Any, y: Any, train: Rows) -> list[Labels]:
        """Return an unfitted model of the columns that depend on the labels, if they are few."""
        numbers, codes = (y, x) if x.ndim == 1 else (x, y)
        related = _related(numbers[train], codes[train])
        if numbers.shape[1] <= MOST_COLUMNS or not 0 < len(related) <= MOST_COLUMNS:
            return []
        rival = Labels(self.options, self.device, self.seed)
        rival.groups, rival.ended, rival.sees_few = self.groups, self.ended, True
        return [rival]

    def in_training(self, critic: nn.Module) -> Labels:
        now = copy.copy(self)
        now.critic = MixedConditional([copy.deepcopy(critic)], critic.log_frequencies.exp())  # type: ignore[operator]
        now.critic.weights.copy_(torch.tensor([0.0, 1.0]))
        now.critic.eval().requires_grad_(False)
        return now

    def _learn_directions(self, numbers: Array, labels: Any) -> None:
        standard = Standardize.learn(numbers)
        self.mean, self.scale = standard.mean, standard.scale
        d = numbers.shape[1]
        self.projection = np.eye(d)
        if self.sees_few:
            self.projection = self.projection[:, _related(numbers, labels)]
        elif d > MOST_DIRECTIONS:
            # Principal directions of columns as they are: one that hardly varies says little, standardised or not.
            rows = numbers - self.mean
            variances, directions = np.linalg.eigh(rows.T @ rows / len(rows))
            k = MOST_DIRECTIONS // 2
            principal = directions[:, ::-1][:, :k] * self.scale[:, None] / np.sqrt(variances[::-1][:k].mean())
            related = _related(numbers, labels)
            # Where most columns depend on the labels, as in images, the principal directions hold it.
            few = self.projection[:, related if len(related) <= k else []]
            self.projection = np.hstack([principal, few])

    def _project(self, numbers: Array) -> Array:
        return (numbers - self.mean) / self.scale @ self.projection

    def _network(self, x: Tensor, frequencies: Tensor) -> CategoricalConditional:
        inputs = RadialInputs(x, self.options.radial_inputs)
        return CategoricalConditional(inputs, frequencies, hidden_layers(self.options))

    def _inputs(self, x: Any, y: Any) -> tuple[list[Tensor], Tensor]:
        """Return what each classifier takes, and the labels, whichever side has them."""
        numbers, labels = (y, x) if self.exchanged else (x, y)
        projected = self._project(numbers)
        others = [self._tensor(projected)] * (len(self.critic.members) - 1)
        return [*others, self._tensor(self.axes.x(projected))], torch.from_numpy(labels).to(self.device)

    @staticmethod
    @torch.no_grad()
    def choose(models: Sequence[Any], held_out: Sequence[Rows], x: Any, y: Any) -> None:
        pairs = zip(models, held_out, strict=True)
        parts = [model.critic.parts(*model._inputs(x[rows], y[rows])) for model, rows in pairs]
        if len({len(part) for part in parts}) == 1:  # else a fold lacks classifiers, and all keep weights of their own
            for place, model in enumerate(models):
                model.critic.choose(torch.cat(others(parts, place), dim=1).double())

    @torch.no_grad()
    def log_ratios(self, x: Any, y: Any) -> Array:
        inputs, labels = self._inputs(x, y)
        parts = self.critic.parts(inputs, labels) + self.critic.weights.log()[:, None]
        return (torch.logsumexp(parts.double(), 0) - self.critic.log_frequencies[labels]).cpu().numpy()

    @torch.no_grad()
    def scores(self, x: Any, y: Any) -> Tensor:
        inputs, labels = self._inputs(x, y)
        scores = (self.critic(inputs) - self.critic.log_frequencies)[:, labels]
        return scores.T if self.exchanged else scores

    def evaluate(self, x: Any, y: Any, scores: Tensor | None = None) -> Evaluation:
        per_row = self.log_ratios(x, y)
        return Evaluation(float(per_row.mean()), per_row, self.entropy)

    def pointwise(self, x: Any, y: Any) -> Array:
        return self.log_ratios(x, y)

    def known(self, x: Any, y: Any) -> Array | None:
        # The mean of -log p(y) over all rows is H(y): this takes out the noise of the test rows' labels.
        labels = torch.from_numpy(x if self.exchanged else y).to(self.device)
        return -self.critic.log_frequencies[labels].double().cpu().numpy()

    def _build(self, state: dict[str, Any], x: Tensor, y: Tensor) -> MixedConditional:
        d, frequencies = self.projection.shape[1], torch.ones(len(state["critic/log_frequencies"]))
        members: list[nn.Module] = []
        if "critic/members.1.weights" in state:
            linear = [
                LinearClassifier(torch.zeros(len(frequencies), d), torch.zeros(len(frequencies))) for _ in range(2)
            ]
            rows = state["critic/members.2.rows"]
            labels = torch.zeros(len(rows), dtype=torch.int64)
            members = [*linear, NearestNeighbours(torch.zeros(rows.shape), labels, frequencies, N_NEIGHBOURS)]
        return MixedConditional([*members, self._network(x, frequencies)], frequencies)


def _related(numbers: Array, labels: Any) -> Rows:
    """Return the columns that depend on the labels, from the most to the least."""
    scores = screen_pairs(numbers, labels)[:, 0]
    order = np.argsort(-scores)
    return order[scores[order] > ndtri(1 - CHANCE / len(scores))]


def linear_classifiers(rows: Array, labels: Any, n_classes: int) -> list[nn.Module]:
    """Return logistic regression and linear discriminant analysis, learned from rows (n, d) and labels (n,)."""
    present = np.unique(labels)
    if len(rows) <= len(present):
        return []
    logistic = LogisticRegression(C=PRIOR_VARIANCE / rows.shape[1], max_iter=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # held-out rows judge it
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # so do they if classes are many
        logistic.fit(rows, labels)
    weights, intercepts = logistic.coef_, logistic.intercept_
    if len(weights) == 1:  # of two labels, the logit of the second alone
        weights, intercepts = np.vstack([0 * weights, weights]), np.append(0.0, intercepts)
    members: list[nn.Module] = []
    for part in ((weights, intercepts), _discriminants(rows, np.searchsorted(present, labels), len(present))):
        # A label that none of these rows has keeps a probability of nearly 0; the mixture has its frequency.
        all_weights, all_intercepts = np.zeros((n_classes, rows.shape[1])), np.full(n_classes, LOGIT_OF_NOTHING)
        all_weights[present], all_intercepts[present] = part
        members.append(LinearClassifier(*(torch.from_numpy(each).float() for each in (all_weights, all_intercepts))))
    return members


def _discriminants(rows: Array, labels: Any, n_classes: int) -> tuple[Array, Array]:
    """Return the weights and intercepts of discriminants with one covariance, whose correlations Ledoit & Wolf shrink."""
    n, counts = len(rows), np.bincount(labels, minlength=n_classes)
    means = np.stack([np.bincount(labels, column, n_classes) for column in rows.T], axis=1) / counts[:, None]
    rest = rows - means[labels]
    scale = np.sqrt(np.square(rest).sum(0) / (n - n_classes))
    scale[scale == 0] = 1.0
    correlations = ledoit_wolf(rest / scale, assume_centered=True)[0]
    weights = np.linalg.lstsq(correlations, (means / scale).T, rcond=None)[0].T / scale
    return weights, np.log(counts / n) - (weights * means).sum(1) / 2
