"""The families of classifiers that features are judged by, from what sees nothing of them to trees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skdim._random import local_seed
from skdim.evaluation._networks import Supervised, train
from skdim.nn.layers import mlp
from skdim.training.device import resolve_device

#: Prior variance of a logit, which makes C: weights of variance C on d standardised features give logits of variance C d.
LOGIT_VARIANCE = 10.0
#: Iterations after which scikit-learn warns that L-BFGS has not converged; a tenth of them is usual.
MAX_ITER = 1000
#: Numbers of neighbours to choose from, and rows that choose.
NEIGHBOURS, N_CHOOSING = (3, 5, 10, 20, 50, 100), 2000
#: Hidden units of the networks: those of the non-linear probe of Hjelm et al. 2019.
HIDDEN = 200
#: Steps of a network's training, and the share of its rows that chooses the epoch.
STEPS, VALIDATION_FRACTION = 3000, 0.1


class Logistic(LogisticRegression):
    """Logistic regression that holds nothing for impossible.

    Scikit-learn's probabilities are float32 where features are, and of two labels the first has 1 - q: there the logits' range
    ends at 103 and at 37, and one row beyond it makes a log-loss infinite.
    """

    def predict_proba(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return q(y | x), (n, n_labels)."""
        logits = self.decision_function(np.asarray(X, dtype=np.float64))
        if logits.ndim == 1:  # of the second label, against the first
            logits = np.column_stack([np.zeros_like(logits), logits])
        probabilities: npt.NDArray[np.float64] = softmax(logits, axis=1)
        return probabilities


def logistic(n_features: int, C: float | str = "auto", max_iter: int = MAX_ITER) -> Logistic:
    """Return multinomial logistic regression, for standardised features."""
    return Logistic(C=LOGIT_VARIANCE / n_features if isinstance(C, str) else C, max_iter=max_iter)


def linear_classifier(n_features: int) -> Pipeline:
    """Return the linear family: multinomial logistic regression on standardised features."""
    return make_pipeline(StandardScaler(), logistic(n_features))


def ladder(n_features: int, seed: int) -> dict[str, Any]:
    """Return families by name, from poor to rich."""
    return {
        "constant": DummyClassifier(strategy="prior"),
        "linear": linear_classifier(n_features),
        "knn": make_pipeline(StandardScaler(), SmoothedNeighbours(seed)),
        "mlp-1": make_pipeline(StandardScaler(), Perceptron((HIDDEN,), seed)),
        "mlp-2": make_pipeline(StandardScaler(), Perceptron((HIDDEN, HIDDEN), seed)),
        "boosting": HistGradientBoostingClassifier(max_iter=200, early_stopping=True, random_state=seed),
    }


class SmoothedNeighbours(ClassifierMixin, BaseEstimator):
    r"""Nearest neighbours whose probabilities are never 0.

    .. math:: q(y \mid x) = \frac{\#\{j \in N_k(x) : y_j = y\} + q(y)}{k + 1}

    The frequencies q(y) of the labels count as one more neighbour; k is the best of a few numbers in leave-one-out log-loss.

    Parameters
    ----------
    seed : int
        Draws the rows that choose k, where there are many.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: npt.NDArray[Any], y: npt.NDArray[Any]) -> SmoothedNeighbours:
        """Keep the rows, and choose k."""
        self.classes_, self._codes = np.unique(y, return_inverse=True)
        self._frequencies = np.bincount(self._codes) / len(y)
        self._index = NearestNeighbors().fit(X)
        sizes = [k for k in NEIGHBOURS if k < len(X)] or [len(X) - 1]
        rows = np.random.default_rng(self.seed).permutation(len(X))[:N_CHOOSING]
        found = self._index.kneighbors(X[rows], sizes[-1] + 1, return_distance=False)
        # A row is its own neighbour, though not always the first where rows are alike: it goes to the end.
        others = np.take_along_axis(found, np.argsort(found == rows[:, None], axis=1, kind="stable"), axis=1)
        own = self._codes[rows, None]
        losses = [-np.log(np.take_along_axis(self._smoothed(others[:, :k]), own, axis=1)).mean() for k in sizes]
        self.n_neighbors_ = sizes[int(np.argmin(losses))]
        return self

    def _smoothed(self, neighbours: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        labels = self._codes[neighbours]
        counts = np.stack([(labels == label).sum(axis=1) for label in range(len(self.classes_))], axis=1)
        smoothed: npt.NDArray[np.float64] = (counts + self._frequencies) / (neighbours.shape[1] + 1)
        return smoothed

    def predict_proba(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return q(y | x), (n, n_labels)."""
        return self._smoothed(self._index.kneighbors(X, self.n_neighbors_, return_distance=False))


class Perceptron(ClassifierMixin, BaseEstimator):
    """A network with ReLU layers, stopped where its log-loss on rows of its own is least.

    It starts from the labels' frequencies, so that a network which finds nothing is no worse than these.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int
        ReLU layers.
    seed : int
        Seed of weights, order and the rows that choose the epoch.
    device : str, default="auto"
        Where it is trained.
    """

    def __init__(self, hidden_layer_sizes: Sequence[int], seed: int, device: str = "auto") -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.seed = seed
        self.device = device

    def fit(self, X: npt.NDArray[Any], y: npt.NDArray[Any]) -> Perceptron:
        """Train."""
        self.classes_, codes = np.unique(y, return_inverse=True)
        device = resolve_device(self.device)
        start = torch.from_numpy(np.log(np.bincount(codes) / len(codes))).float()
        with local_seed(self.seed):
            network = mlp(X.shape[1], self.hidden_layer_sizes, len(start), start=start)
        order = np.random.default_rng(self.seed).permutation(len(X))
        valid, rest = np.split(order, [max(1, round(VALIDATION_FRACTION * len(X)))])
        x, labels = torch.from_numpy(X).float().to(device), torch.from_numpy(codes).to(device)
        classify = Supervised(network, F.cross_entropy).to(device)

        @torch.no_grad()
        def held_out_loss(module: nn.Module) -> float:
            return float(module([x[valid], labels[valid]], {})[0])

        train(classify, [x, labels], rest, held_out_loss, STEPS, self.seed, "probe_ladder")
        self._network = network.eval()
        return self

    @torch.no_grad()
    def predict_proba(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return q(y | x), (n, n_labels)."""
        device = next(self._network.parameters()).device
        logits = self._network(torch.from_numpy(X).float().to(device))
        return np.asarray(logits.double().softmax(dim=1).cpu())
