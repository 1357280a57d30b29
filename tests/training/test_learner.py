"""A learner becomes arrays and comes back, whole."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from skdim.exceptions import DeviceWarning
from skdim.inputs.layout import Layout
from skdim.inputs.samples import Samples, Standardizer
from skdim.nn.objectives import Objective
from skdim.training.learner import Learner
from skdim.training.trainer import make_optimizer

SHAPE, CPU = (2, 3), torch.device("cpu")
X = np.random.default_rng(0).normal(size=(30, *SHAPE)) * 3 + 1
ASKED = []


class Network(Objective):
    def __init__(self, n_inputs, training):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(n_inputs, 4), nn.BatchNorm1d(4))
        self.adversary = nn.Linear(4, 1) if training else None

    def forward(self, X, draws=None):
        code = self.encoder(X)
        return self.adversary(code).square().mean() + code.square().mean(), {}


def build(standardize, training):
    ASKED.append((standardize.shape, training))
    return Network(int(np.prod(standardize.shape)), training)


def optimize(objective):
    return make_optimizer("adamw", objective, 0.01, 0.02)


def learner(training=True, layout=None):
    samples = Samples(X, Standardizer.learn(X, SHAPE), CPU)
    samples.standardize.layout = layout
    result = Learner.new(build, optimize, samples, seed=11)
    result.epoch = 4
    if not training:
        result.drop_what_training_needs()
    return result


def step(learner, n):
    learner.objective.train()
    for _ in range(n):
        learner.optimizer.zero_grad()
        learner.objective(torch.randn(6, *SHAPE, generator=learner.generator))[0].backward()
        learner.optimizer.step()
    return learner


def load(state, **changes):
    return Learner.from_state({**state, **changes}, build, optimize)


def same(a, b):
    return a.keys() == b.keys() and all(np.asarray(a[k]).tobytes() == np.asarray(b[k]).tobytes() for k in a)


@pytest.mark.parametrize("layout", [None, Layout([("a", np.arange(6), (6,))], "columns", used=np.arange(6))])
@pytest.mark.parametrize("training", [True, False])
def test_the_state_is_flat_arrays_and_json_values_and_gives_the_learner_back(training, layout):
    trained = step(learner(layout=layout), 2)
    if not training:
        trained.drop_what_training_needs()
    state = trained.state()
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in state.items() if name not in arrays}
    assert json.loads(json.dumps(rest)) == rest
    of_layout = {} if layout is None else {"layout/kind": "columns", "layout/names": ["a"], "layout/may_lack": False}
    assert rest == {"device": "cpu", "seed": 11, "epoch": 4, "shape": [2, 3], **of_layout}
    assert all(array.dtype.kind in "fiu" for array in arrays.values())
    assert ("generator" in arrays) == any(name.startswith("optimizer/") for name in arrays) == training
    np.testing.assert_array_equal(arrays["objective/encoder.1.weight"], trained.objective.encoder[1].weight.detach())
    ASKED.clear()
    loaded = load(state)
    assert [(SHAPE, training)] == ASKED  # only what encoding needs is built for a finished learner
    assert same(loaded.state(), state)
    assert (loaded.seed, loaded.epoch, loaded.device, loaded.objective.training) == (11, 4, CPU, False)
    assert (loaded.optimizer is None) == (loaded.generator is None) == (not training)
    assert torch.equal(loaded.standardize(X), trained.standardize(X))


def test_continuing_after_a_load_equals_never_having_saved(tmp_path):
    saved, state = step(learner(), 3), {}
    snapshot = saved.state()
    step(saved.resumed(build, optimize), 1)
    assert same(saved.state(), snapshot)
    for name, value in snapshot.items():
        if isinstance(value, np.ndarray):  # read-only maps of a file
            path = tmp_path / (name.replace("/", "-") + ".npy")
            np.save(path, value)
            value = np.load(path, mmap_mode="r")
        state[name] = value
    assert same(step(load(state), 3).state(), step(learner(), 6).state())
    assert same(step(saved.resumed(build, optimize), 3).state(), step(saved, 3).state())


def test_what_a_finished_fit_dropped_starts_anew_by_seed_and_epoch():
    finished = learner(training=False)
    a, b = (finished.resumed(build, optimize) for _ in range(2))
    assert same(step(a, 2).state(), step(b, 2).state())
    assert a.objective.adversary is not None
    assert finished.objective.adversary is None
    finished.epoch += 1
    assert not same(
        finished.resumed(build, optimize).objective.adversary.state_dict(), b.objective.adversary.state_dict()
    )


def test_another_network_is_refused():
    state = learner().state()
    with pytest.raises(ValueError, match="saved weights do not fit"):
        load(state, **{"objective/encoder.1.weight": state["objective/encoder.1.weight"][:, :3]})


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_a_missing_device_becomes_the_cpu_with_one_warning(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: device == "cuda:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.warns(DeviceWarning, match=f"'{device}'.*loaded on the CPU") as caught:
        loaded = load(learner().state(), device=device)
    assert len(caught) == 1
    assert loaded.device == CPU
    assert loaded.state()["device"] == "cpu"
