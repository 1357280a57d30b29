"""State: arrays readable by anybody, and a training that continues as if it had never been saved."""

import json

import numpy as np
import pytest
import torch
from skdim.training.net import OPTIMIZERS, make_optimizer
from torch import nn

from skdim.training.device import place
from skdim.training.state import load_module, load_optimizer, module_state, optimizer_state


def network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 4), nn.LayerNorm(4)
        )


def train(module, optimizer, steps, first=0):
    module.train()
    for step in range(first, first + steps):
        X = torch.randn(6, 1, 5, 5, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        (module(X) - X.mean((1, 2, 3))[:, None]).square().mean().backward()
        optimizer.step()


def same(a, b):
    return a.keys() == b.keys() and all(np.asarray(a[k]).tobytes() == np.asarray(b[k]).tobytes() for k in a)


# --------------------------------------------------------------------------------------------------------------- modules
def test_each_array_is_one_parameter_or_buffer_under_its_name():
    module = network()
    train(module, torch.optim.SGD(module.parameters(), lr=0.1), 3)
    state = module_state(module)
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    assert state.keys() == named.keys()
    for name, array in state.items():
        assert type(array) is np.ndarray
        assert array.shape == tuple(named[name].shape)
        np.testing.assert_array_equal(array, named[name].detach().numpy())
    assert state["0.weight"].dtype == np.float32
    assert state["1.num_batches_tracked"].dtype == np.int64
    assert state["1.num_batches_tracked"] == 3


def test_the_arrays_can_be_written_and_read_without_skdim(tmp_path):
    state = module_state(network())
    np.savez(tmp_path / "state.npz", **state)
    with np.load(tmp_path / "state.npz", allow_pickle=False) as found:
        loaded = dict(found)
    assert same(loaded, state)
    fresh = network(seed=1)
    load_module(fresh, loaded)
    assert same(module_state(fresh), state)


def test_the_arrays_are_copies():
    module = network()
    state = module_state(module)
    for array in state.values():
        array[...] = 7
    assert not (module[0].weight == 7).any()
    load_module(module, state)
    state["0.weight"][...] = 9
    assert (module[0].weight == 7).all()


def test_read_only_and_foreign_layouts_load():
    state = module_state(network())
    odd = {name: np.asfortranarray(array) for name, array in state.items()}
    for array in odd.values():
        array.flags.writeable = False
    fresh = network(seed=1)
    load_module(fresh, odd)
    assert same(module_state(fresh), state)


def test_channels_last_weights_are_saved_in_their_shape_and_keep_their_layout():
    module = place(network(), torch.device("cpu"))
    state = module_state(module)
    assert state["0.weight"].shape == (3, 1, 3, 3)
    assert state["0.weight"].flags.c_contiguous
    assert same(state, module_state(network()))
    load_module(module, state)
    assert module[0].weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_survive_exactly(dtype):
    module, fresh = network().to(dtype), network(seed=1).to(dtype)
    load_module(fresh, module_state(module))
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), module.parameters(), strict=True))
    assert fresh[0].weight.dtype == dtype


def test_an_empty_module_has_an_empty_state():
    assert module_state(nn.ReLU()) == {}
    load_module(nn.ReLU(), {})


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_arrays_of_another_network_are_refused(change):
    state = module_state(network())
    if change == "missing":
        del state["0.bias"]
    elif change == "extra":
        state["9.weight"] = np.zeros(3)
    else:
        state["0.bias"] = np.zeros(4, dtype=np.float32)
    with pytest.raises(ValueError, match="saved weights do not fit") as caught:
        load_module(network(), state)
    assert {"missing": "0.bias", "extra": "9.weight", "shape": "0.bias"}[change] in str(caught.value)


# ------------------------------------------------------------------------------------------------------------ optimizers
OTHERS = {
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "adamax": torch.optim.Adamax,
    "asgd": torch.optim.ASGD,
    "rmsprop": torch.optim.RMSprop,
    "rprop": torch.optim.Rprop,
    "adafactor": torch.optim.Adafactor,
    "amsgrad": lambda groups, lr: torch.optim.AdamW(groups, lr=lr, amsgrad=True),
    "sgd without momentum": torch.optim.SGD,
}


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", [*OPTIMIZERS, *OTHERS])
def test_continuing_after_a_load_equals_never_having_saved(name, channels_last, tmp_path):
    def build(seed=0):
        module = place(network(seed), torch.device("cpu")) if channels_last else network(seed)
        return module, make_optimizer(OTHERS.get(name, name), module, 0.01, 0.02)

    module, optimizer = build()
    train(module, optimizer, 6)
    straight = module_state(module)

    module, optimizer = build()
    train(module, optimizer, 3)
    np.savez(tmp_path / "module.npz", **module_state(module))
    np.savez(tmp_path / "optimizer.npz", **optimizer_state(optimizer, module))

    loaded, loaded_optimizer = build(seed=5)
    with np.load(tmp_path / "module.npz") as arrays:
        load_module(loaded, arrays)
    with np.load(tmp_path / "optimizer.npz") as arrays:
        load_optimizer(loaded_optimizer, loaded, arrays)
    train(loaded, loaded_optimizer, 3, first=3)
    assert same(module_state(loaded), straight)


def test_moments_are_named_after_their_parameter():
    module = network()
    optimizer = make_optimizer("adamw", module, 0.01, 0.02)
    assert optimizer_state(optimizer, module) == {}
    train(module, optimizer, 2)
    state = optimizer_state(optimizer, module)
    parameters = dict(module.named_parameters())
    assert set(state) == {f"{name}/{key}" for name in parameters for key in ("step", "exp_avg", "exp_avg_sq")}
    for name, array in state.items():
        parameter, key = name.rsplit("/", 1)
        assert type(array) is np.ndarray
        assert array.dtype == np.float32
        assert array.shape == (() if key == "step" else tuple(parameters[parameter].shape))
    assert state["0.weight/step"] == 2


def test_loaded_moments_are_copies():
    module = network()
    optimizer = make_optimizer("adamw", module, 0.01, 0.02)
    train(module, optimizer, 2)
    state = optimizer_state(optimizer, module)
    load_optimizer(optimizer, module, state)
    before = optimizer.state[module[0].weight]["exp_avg"].clone()
    for array in state.values():
        array[...] = 7
    assert torch.equal(optimizer.state[module[0].weight]["exp_avg"], before)


def test_the_names_are_json():
    module = network()
    optimizer = make_optimizer("adamw", module, 0.01, 0.02)
    train(module, optimizer, 1)
    names = [*module_state(module), *optimizer_state(optimizer, module)]
    assert json.loads(json.dumps(names)) == names
    assert len(set(names)) == len(names)
