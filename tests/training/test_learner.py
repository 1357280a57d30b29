"""A learner becomes arrays and comes back, whole."""

import json

import numpy as np
import pytest
import torch
from skdim.training.batches import Standardizer
from skdim.training.net import make_optimizer
from torch import nn

from skdim.exceptions import DeviceWarning
from skdim.training.learner import Learner
from skdim.training.state import STATE_VERSION

SHAPE = (2, 3)


def build(shape=SHAPE, training=True, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1], 4), nn.BatchNorm1d(4))
        if training:
            module.append(nn.Linear(4, 1))
    return module


def optimize(module):
    return make_optimizer("adamw", module, 0.01, 0.02)


def learner(training=True):
    X = np.random.default_rng(0).normal(size=(30, *SHAPE)) * 3 + 1
    module = build(training=training)
    result = Learner(module, Standardizer.learn(X, SHAPE), torch.device("cpu"), seed=11, epoch=4)
    if training:
        result.optimizer, result.generator = optimize(module), torch.Generator().manual_seed(8)
    return result


def step(learner, n):
    learner.objective.train()
    for _ in range(n):
        X = torch.randn(6, *SHAPE, generator=learner.generator)
        learner.optimizer.zero_grad()
        learner.objective(X).square().mean().backward()
        learner.optimizer.step()


def load(state, **changes):
    return Learner.from_state({**state, **changes}, lambda shape, training: build(shape, training, seed=5), optimize)


def same(a, b):
    return a.keys() == b.keys() and all(np.asarray(a[k]).tobytes() == np.asarray(b[k]).tobytes() for k in a)


@pytest.mark.parametrize("training", [True, False])
def test_the_state_is_flat_arrays_and_json_values(training):
    trained = learner(training)
    if training:
        step(trained, 2)
    state = trained.state()
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in state.items() if name not in arrays}
    assert json.loads(json.dumps(rest)) == rest
    assert rest == {"version": STATE_VERSION, "device": "cpu", "seed": 11, "epoch": 4, "shape": [2, 3]}
    assert all(array.dtype.kind in "fiu" for array in arrays.values())
    assert {name.split("/")[0] for name in arrays} == {"standardize", "objective"} | (
        {"optimizer", "generator"} if training else set()
    )
    np.testing.assert_array_equal(arrays["objective/1.weight"], trained.objective[1].weight.detach().numpy())


@pytest.mark.parametrize("training", [True, False])
def test_a_round_trip_gives_the_same_state(training):
    trained = learner(training)
    if training:
        step(trained, 2)
    loaded = load(trained.state())
    assert same(loaded.state(), trained.state())
    assert (loaded.seed, loaded.epoch, loaded.device) == (11, 4, torch.device("cpu"))
    assert not loaded.objective.training
    assert (loaded.optimizer is None) == (loaded.generator is None) == (not training)
    X = np.random.default_rng(1).normal(size=(5, *SHAPE))
    assert torch.equal(loaded.standardize(X), trained.standardize(X))


def test_continuing_after_a_load_equals_never_having_saved():
    straight, saved = learner(), learner()
    step(straight, 6)
    step(saved, 3)
    loaded = load(saved.state())
    step(loaded, 3)
    assert same(loaded.state(), straight.state())


def test_the_state_is_a_snapshot():
    trained = learner()
    step(trained, 1)
    state = trained.state()
    before = {name: np.array(value) for name, value in state.items()}
    step(trained, 2)
    trained.epoch += 1
    assert same(state, before)


def test_a_state_read_from_a_read_only_map_can_be_trained(tmp_path):
    trained = learner()
    step(trained, 2)
    state = {}
    for name, value in trained.state().items():
        if isinstance(value, np.ndarray):
            path = tmp_path / (name.replace("/", "-") + ".npy")
            np.save(path, value)
            value = np.load(path, mmap_mode="r")
        state[name] = value
    loaded = load(state)
    step(loaded, 2)
    step(trained, 2)
    assert same(loaded.state(), trained.state())


def test_only_what_encoding_needs_is_built_for_a_finished_learner():
    asked = []

    def record(shape, training):
        asked.append((shape, training))
        return build(shape, training)

    for training in (True, False):
        Learner.from_state(learner(training).state(), record, optimize)
    assert asked == [(SHAPE, True), (SHAPE, False)]


def test_a_later_version_is_refused():
    state = learner().state()
    with pytest.raises(ValueError, match=rf"version {STATE_VERSION + 1}; this skdim reads up to {STATE_VERSION}"):
        load(state, version=STATE_VERSION + 1)


def test_a_state_of_another_network_is_refused():
    state = learner().state()
    state["objective/1.weight"] = state["objective/1.weight"][:, :3]
    with pytest.raises(ValueError, match="saved weights do not fit"):
        load(state)


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_missing_becomes_the_cpu_with_one_warning(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.warns(DeviceWarning, match=f"'{device}'.*loaded on the CPU") as caught:
        loaded = load(learner().state(), device=device)
    assert len(caught) == 1
    assert loaded.device == torch.device("cpu")
    assert loaded.state()["device"] == "cpu"


def test_a_cuda_device_beyond_the_last_becomes_the_cpu_too(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.warns(DeviceWarning, match="'cuda:3'"):
        loaded = load(learner().state(), device="cuda:3")
    assert loaded.device == torch.device("cpu")
