"""What the caller has set in torch changes no bit: gradients, autocast, default types and devices, and other threads."""

import multiprocessing
import pickle
import threading
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from skdim import CPCTransformer, DeepInfoMaxTransformer, MIEstimator, MultiViewInfoMaxTransformer
from skdim.evaluation import condition_number, neural_dependency, reconstruction_similarity, v_information

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 12)).astype(np.float32)
IMAGES = RNG.normal(size=(40, 1, 8, 8)).astype(np.float32)
LARGER = RNG.normal(size=(40, 1, 16, 16)).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(int)


class Dropping(nn.Module):
    """An encoder that draws, and makes a tensor of a number of Python's."""

    def __init__(self, input_shape, n_components):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(input_shape)), n_components), nn.Dropout(0.2))
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, X):
        return self.layers(X) * self.scale + torch.ones(()) / 2


def noisy(X):
    return X + torch.randn(X.shape)


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


STATES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "float64": lambda: default_dtype(torch.float64),
    "float16": lambda: default_dtype(torch.float16),
    "meta device": lambda: torch.device("meta"),
}
SMALL = {"max_iter": 2, "random_state": 0, "batch_size": 32}
ESTIMATORS = {
    "images": (DeepInfoMaxTransformer(4, estimator="jsd", prior="uniform", **SMALL), IMAGES),
    "columns": (DeepInfoMaxTransformer(4, encoder="mlp", early_stopping=True, **SMALL), X),
    "dropout": (DeepInfoMaxTransformer(4, encoder=Dropping, augment=noisy, **SMALL), X),
    "views": (MultiViewInfoMaxTransformer(n_components=3, **SMALL), X),
    "sequences": (CPCTransformer(4, context="gru", **SMALL), IMAGES.reshape(40, 1, 64)),
}


def of_transformer(name):
    """Return what each entry point of a transformer gives: features, scores, and those of a loaded and a continued one."""
    estimator, samples = ESTIMATORS[name]
    fitted = type(estimator)(**estimator.get_params(deep=False)).fit(samples)
    answers = [fitted.transform(samples), fitted.score(samples), *fitted.evaluate(samples).values()]
    loaded = pickle.loads(pickle.dumps(fitted))
    answers += [loaded.transform(samples), fitted.standardized(samples).numpy()]
    return [*answers, fitted.partial_fit(samples).transform(samples)]


def of_information(y, **options):
    mi = MIEstimator(max_iter=2, n_refits=0, test_fraction=0.5, random_state=0, **options).fit(X[:, :2], y)
    loaded = pickle.loads(pickle.dumps(mi))
    rows = X[:20, :2], y[:20]
    return [
        mi.mi_,
        mi.mi_interval_,
        mi.score(*rows),
        mi.pointwise(*rows),
        mi.estimate(*rows).value,
        loaded.pointwise(*rows),
    ]


def of_evaluation():
    encoder = nn.Linear(12, 3, dtype=torch.float32, device="cpu").requires_grad_(False)
    encoder.weight.copy_(torch.linspace(-1, 1, 36, dtype=torch.float32, device="cpu").reshape(3, 12).cos())
    return [
        v_information(X[:, :3], LABELS, random_state=0).value,
        neural_dependency(X[:, :2], hidden_layer_sizes=(8,), n_steps=5, random_state=0).value,
        reconstruction_similarity(X[:40, :3], LARGER, n_steps=3, hidden_layer_sizes=(8,), random_state=0).mean,
        condition_number(encoder, X[:5]).values,
    ]


ENTRIES = {
    **{name: (lambda name=name: of_transformer(name)) for name in ESTIMATORS},
    "numbers": lambda: of_information(X[:, 2:4]),
    "labels": lambda: of_information(LABELS),
    "dv": lambda: of_information(X[:, 2:4], estimator="dv", critic="concat"),
    "evaluation": of_evaluation,
}


@pytest.fixture(scope="module")
def expected():
    return {name: entry() for name, entry in ENTRIES.items()}


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b, strict=isinstance(a, np.ndarray))


@pytest.mark.filterwarnings("ignore::skdim.exceptions.MutualInformationWarning")
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", ENTRIES)
def test_no_state_of_torch_changes_a_bit(name, state, expected):
    with STATES[state]():
        found = ENTRIES[name]()
    assert_same(found, expected[name])
    assert torch.get_default_dtype() is torch.float32


@pytest.mark.filterwarnings("ignore::skdim.exceptions.MutualInformationWarning")
def test_threads_that_draw_from_torch_change_nothing_and_are_not_changed(expected):
    stop, drawn = threading.Event(), []

    def draw():
        while not stop.wait(1e-4):
            drawn.append(torch.rand(3))

    torch.manual_seed(0)
    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for name in ("columns", "dropout", "numbers"):
            assert_same(ENTRIES[name](), expected[name])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(torch.stack(drawn).unique(dim=0)) == len(drawn)  # no generator was set back


def _in_child(results):
    results.put(of_transformer("columns")[0])


def test_a_fork_while_another_thread_builds_does_not_wait(expected):
    stop = threading.Event()

    def build():
        while not stop.is_set():
            DeepInfoMaxTransformer(2, encoder="mlp", max_iter=1, random_state=0).fit(X[:8])

    thread = threading.Thread(target=build)
    thread.start()
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_in_child, args=(results,))
    child.start()
    try:
        assert_same([results.get(timeout=60)], expected["columns"][:1])
    finally:
        stop.set()
        thread.join()
        child.join()
