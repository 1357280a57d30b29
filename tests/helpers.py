"""Small data, small networks, and the factories that tests give as encoders and critics (importable, so they pickle)."""

import functools
import re
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from skdim import DeepInfoMaxTransformer, MIEstimator
from skdim.bounds import MI_BOUNDS, Bound
from skdim.inputs.batches import evaluation_batch
from skdim.nn.encoders import Code, Conv
from skdim.nn.objectives import UniformPrior, drawn
from skdim.training.state import opened, sealed

IMAGES, LABELS = load_digits().images, load_digits().target  # (1797, 8, 8), float64, 0 to 16


def images(n=120, start=0, channels=None):
    """Return digits as float64 (n, 8, 8), or (n, channels, 8, 8) with channels of different scales."""
    X = IMAGES[start : start + n].copy()
    if channels is None:
        return X
    return np.stack([X * (channel + 1) - channel for channel in range(channels)], axis=1)


def table(n=120, n_features=6, seed=0):
    """Return correlated columns of different scales."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) @ rng.normal(size=(2, n_features)) + 0.3 * rng.normal(size=(n, n_features))


def tiny(**params):
    """Return a small convolutional transformer that fits 120 digits in a few hundredths of a second."""
    defaults = {
        "n_components": 8,
        "encoder": Conv(channels=(8, 16, 16)),
        "batch_size": 64,
        "max_iter": 2,
        "random_state": 0,
    }
    if "prior_weight" in params:
        defaults["prior"] = UniformPrior(hidden_layer_sizes=(20,))
    return DeepInfoMaxTransformer(**{**defaults, **params})


def tiny_table(**params):
    """Return a small transformer of tables."""
    return tiny(**{"encoder": "mlp", "hidden_layer_sizes": (16, 16), "n_components": 4, **params})


def tiny_mi(**params):
    """Return an estimator of MI with one small network and two folds, which fits 600 rows in a tenth of a second.

    Where a bound takes a reference, it is the Gaussian one: mixtures and t copulas take as long to fit as the network.
    """
    defaults = {
        "estimator": "infonce",
        "hidden_layer_sizes": (16,),
        "n_refits": 0,
        "max_iter": 5,
        "test_fraction": 0.5,
        "random_state": 0,
    }
    estimator, critic = params.get("estimator", "infonce"), params.get("critic", "auto")
    name = estimator.name if isinstance(estimator, Bound) else estimator
    has_network = not (
        name in ("gaussian", "ksg", "tnce", "l1out", "rate") or (name == "club" and "conditional" in params)
    )
    if not has_network or critic not in ("auto", "separable", "concat"):
        del defaults["hidden_layer_sizes"]  # it would be an option without effect
    if name in MI_BOUNDS and MI_BOUNDS[name].takes_reference:
        defaults["reference"] = "gaussian"
    return MIEstimator(**{**defaults, **params})


def arrays(estimator):
    """Return the fitted state: flat, arrays by name."""
    return estimator.__getstate__()["_learner"]


def restored(estimator, **changes):
    """Return an estimator made from the state of another, whole but for changed entries."""
    kind = type(estimator)
    loaded = kind.__new__(kind)
    loaded.__setstate__(sealed({**opened(estimator.__getstate__(), kind), **changes}))
    return loaded


def same_state(a, b):
    """Whether two fitted estimators hold bit-identical arrays under the same names."""
    a, b = arrays(a), arrays(b)
    return a.keys() == b.keys() and all(np.asarray(a[name]).tobytes() == np.asarray(b[name]).tobytes() for name in a)


def held_out(fitted, X, **extras):
    """Return samples as a fitted objective takes them, with the draws of the evaluation seed."""
    objective, samples = fitted._learner.objective, fitted._samples(X, torch.device("cpu"), reset=False, **extras)
    batch = evaluation_batch(samples, np.arange(len(samples)), objective.n_draws)
    return batch.X, drawn(objective, [batch], None)[0]


def relative_difference(a, b):
    return np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(a).max()


class Largest(TorchDispatchMode):
    """Remembers the number of values of the largest tensor that an operation makes."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        self.size = max([self.size, *(part.numel() for part in tree_flatten(output)[0] if isinstance(part, Tensor))])
        return output


# ------------------------------------------------------------------------------------------------- encoders and critics
class FlatEncoder(nn.Module):
    """The simplest encoder: one (n, k) tensor."""

    def __init__(self, input_shape, n_components):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(input_shape)), n_components))

    def forward(self, X):
        return self.layers(X)


class MapEncoder(nn.Module):
    """An encoder that gives all three kinds of features, the map still in two dimensions."""

    def __init__(self, input_shape, n_components):
        super().__init__()
        self.map = nn.Conv2d(input_shape[0], 6, 3, 2, 1)
        self.hidden = nn.LazyLinear(12)
        self.code = nn.Linear(12, n_components)

    def forward(self, X):
        local = torch.relu(self.map(X))
        hidden = torch.relu(self.hidden(local.flatten(1)))
        return Code(local, hidden, self.code(hidden))


def flat_encoder(input_shape, n_components):
    return FlatEncoder(input_shape, n_components)


class Factory:
    """A callable object without parameters of its own."""

    def __call__(self, input_shape, n_components):
        return FlatEncoder(input_shape, n_components)


class DropoutEncoder(FlatEncoder):
    def __init__(self, input_shape, n_components):
        super().__init__(input_shape, n_components)
        self.layers.insert(1, nn.Dropout(0.3))


class TooWideEncoder(FlatEncoder):
    def __init__(self, input_shape, n_components):
        super().__init__(input_shape, n_components + 1)


class ThreeDimensionalEncoder(FlatEncoder):
    def forward(self, X):
        return super().forward(X)[:, :, None]


class PoolingEncoder(FlatEncoder):
    """Forgets the batch dimension."""

    def forward(self, X):
        return super().forward(X).mean(0)


def not_a_module(input_shape, n_components):
    return "a string"


class BilinearCritic(nn.Module):
    def __init__(self, x_features, y_features):
        super().__init__()
        self.layer = nn.Linear(x_features, y_features)

    def forward(self, x, y):
        return self.layer(x) @ y.T


def bilinear_critic(x_features, y_features):
    return BilinearCritic(x_features, y_features)


class PairwiseCritic(BilinearCritic):
    """One score for each row instead of one for each pair: the usual mistake."""

    def forward(self, x, y):
        return (self.layer(x) * y[: len(x)]).sum(1)


# ------------------------------------------------------------------------------------------------------ known conditionals
@dataclass
class KnownGaussian:
    """log p(y | x) of pairs of standard Gaussian columns with correlation rho."""

    rho: float

    def __call__(self, X, Y):
        variance = 1 - self.rho**2
        return (-0.5 * np.log(2 * np.pi * variance) - (Y - self.rho * X) ** 2 / (2 * variance)).sum(1)


@dataclass
class KnownNormal:
    """log p(y) of independent standard normal columns."""

    def __call__(self, Y):
        return (-0.5 * np.log(2 * np.pi) - Y**2 / 2).sum(1)


@dataclass
class KnownChannel:
    """log p(y | x) of a binary channel that errs with a given probability."""

    error: float

    def __call__(self, X, Y):
        same = np.asarray(X[:, 0], dtype=bool) == np.asarray(Y[:, 0], dtype=bool)
        return np.where(same, np.log(1 - self.error), np.log(self.error))


sgd_without_momentum = functools.partial(torch.optim.SGD, momentum=0.0)


def noise_of_the_batch(X):
    """Return a view that draws from torch's global generator, as many augmentation libraries do."""
    return X + 0.3 * torch.randn_like(X)


def noise(X, generator):
    """A view: a little noise on the standardised batch."""
    return X + 0.3 * torch.randn(X.shape, generator=generator)


def threads_of_the_worker(estimator, X, y):
    """Score a candidate by the threads that torch runs where it was fitted."""
    return torch.get_num_threads()


def assert_one_graph(network, *inputs):
    """Check that a network is traced without a break, and that its trace computes the same."""
    torch._dynamo.reset()
    with torch._dynamo.config.patch(allow_rnn=True):
        traced = torch.compile(network, fullgraph=True, backend="eager")(*inputs)
    torch.testing.assert_close(traced, network(*inputs))


def without_address(value):
    """Return a name for a case that is the same in every process: its text, without addresses in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))
