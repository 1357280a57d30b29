"""State: arrays readable by anybody, and a training that continues as if it had never been saved."""

import copy
import functools
import json
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from skdim.nn.objectives import Objective
from skdim.training.device import place
from skdim.training.state import load_module, load_optimizer, module_state, opened, optimizer_state, sealed
from skdim.training.trainer import OPTIMIZERS, make_optimizer

CPU = torch.device("cpu")


class Network(Objective):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 4), nn.LayerNorm(4)
        )


def network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network()


def train(module, optimizer, steps, first=0):
    module.train()
    for step in range(first, first + steps):
        X = torch.randn(6, 1, 5, 5, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        (module.encoder(X) - X.mean((1, 2, 3))[:, None]).square().mean().backward()
        optimizer.step()


def trained(steps=3):
    module = network()
    optimizer = make_optimizer("adamw", module, 0.01, 0.02)
    train(module, optimizer, steps)
    return module, optimizer


def same(a, b):
    return a.keys() == b.keys() and all(np.asarray(a[k]).tobytes() == np.asarray(b[k]).tobytes() for k in a)


# --------------------------------------------------------------------------------------------------------------- modules
def test_each_array_is_one_parameter_or_buffer_under_its_name(tmp_path):
    module, _ = trained(3)
    state, named = module_state(module), {**dict(module.named_parameters()), **dict(module.named_buffers())}
    assert state.keys() == named.keys()
    for name, array in state.items():
        assert type(array) is np.ndarray
        assert array.shape == tuple(named[name].shape)
        np.testing.assert_array_equal(array, named[name].detach().numpy())
    assert state["encoder.0.weight"].dtype == np.float32
    assert state["encoder.1.num_batches_tracked"] == 3
    np.savez(tmp_path / "state.npz", **state)
    with np.load(tmp_path / "state.npz", allow_pickle=False) as found:
        loaded = dict(found)
    fresh = network(seed=1)
    load_module(fresh, loaded)
    assert same(module_state(fresh), state)


def test_the_arrays_are_copies_and_may_be_read_only_or_of_another_layout():
    module = network()
    state = module_state(module)
    foreign = {name: array.copy(order="F") for name, array in state.items()}
    for array, odd in zip(state.values(), foreign.values(), strict=True):
        array[...], odd.flags.writeable = 7, False
    assert not (module.encoder[0].weight == 7).any()
    load_module(module, state)
    state["encoder.0.weight"][...] = 9
    assert (module.encoder[0].weight == 7).all()
    load_module(module, foreign)
    assert same(module_state(module), module_state(network()))


def test_channels_last_weights_are_saved_in_their_shape_and_keep_their_layout():
    module = place(network(), CPU)
    state = module_state(module)
    assert state["encoder.0.weight"].shape == (3, 1, 3, 3)
    assert state["encoder.0.weight"].flags.c_contiguous
    assert same(state, module_state(network()))
    load_module(module, state)
    assert module.encoder[0].weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_survive_exactly(dtype):
    module, fresh = network().to(dtype), network(seed=1).to(dtype)
    load_module(fresh, module_state(module))
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), module.parameters(), strict=True))
    assert fresh.encoder[0].weight.dtype == dtype


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_arrays_of_another_network_are_refused(change):
    state = module_state(network())
    bias = state.pop("encoder.0.bias")
    state |= {
        "missing": {},
        "extra": {"encoder.0.bias": bias, "9.weight": bias},
        "shape": {"encoder.0.bias": bias[:2]},
    }[change]
    with pytest.raises(ValueError, match="saved weights do not fit") as caught:
        load_module(network(), state)
    assert ("9.weight" if change == "extra" else "encoder.0.bias") in str(caught.value)


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
        module = place(network(seed), CPU) if channels_last else network(seed)
        return module, make_optimizer(OTHERS.get(name, name), module, 0.01, 0.02)

    (straight, optimizer), (module, saved), (loaded, again) = build(), build(), build(seed=5)
    train(straight, optimizer, 6)
    train(module, saved, 3)
    np.savez(tmp_path / "module.npz", **module_state(module))
    np.savez(tmp_path / "optimizer.npz", **optimizer_state(saved, module))
    with np.load(tmp_path / "module.npz") as arrays:
        load_module(loaded, arrays)
    with np.load(tmp_path / "optimizer.npz") as arrays:
        load_optimizer(again, loaded, arrays)
    train(loaded, again, 3, first=3)
    assert same(module_state(loaded), module_state(straight))


def test_moments_are_arrays_named_after_their_parameter_and_copies():
    module, optimizer = trained(2)
    state, parameters = optimizer_state(optimizer, module), dict(module.named_parameters())
    assert optimizer_state(make_optimizer("adamw", network(), 0.01, 0.02), network()) == {}
    assert set(state) == {f"{name}/{key}" for name in parameters for key in ("step", "exp_avg", "exp_avg_sq")}
    for name, array in state.items():
        parameter, key = name.rsplit("/", 1)
        assert (type(array), array.dtype) == (np.ndarray, np.float32)
        assert array.shape == (() if key == "step" else tuple(parameters[parameter].shape))
    assert state["encoder.0.weight/step"] == 2
    names = [*module_state(module), *state]
    assert json.loads(json.dumps(names)) == names
    load_optimizer(optimizer, module, state)
    before = optimizer.state[module.encoder[0].weight]["exp_avg"].clone()
    for array in state.values():
        array[...] = 7
    assert torch.equal(optimizer.state[module.encoder[0].weight]["exp_avg"], before)


# ----------------------------------------------------------------------------------------------------------------- seals
class Plain:
    """What a user may give as a parameter."""

    def __init__(self, **given):
        vars(self).update(given)


def holds_itself(**given):
    plain = Plain(**given)
    plain.itself = [plain]
    return plain


OBJECTS = np.array([["a", 1], [None, 2.5]], dtype=object)
#: A parameter, and the same parameter damaged.
VALUES = {
    "float": (0.1, np.nextafter(0.1, 1)),
    "infinity": (float("inf"), float("-inf")),
    "nan": (float("nan"), 0.0),
    "type of number": (1, 1.0),
    "bool": (True, 1),
    "none": (None, "None"),
    "text": ("\ud800é", "\ud801é"),
    "bytes": (b"ab", b"ac"),
    "complex": (1 + 2j, 1 - 2j),
    "slice": (slice(0, 2), slice(0, 3)),
    "range": (range(3), range(4)),
    "nested": ({"a": [1, (2, {"b": 3})]}, {"a": [1, (2, {"b": 4})]}),
    "set": ({"a", "b", "c"}, {"a", "b", "d"}),
    "array": (np.arange(3), np.arange(3) + 1),
    "shape": (np.zeros((2, 3)), np.zeros((3, 2))),
    "dtype": (np.zeros(2, "i4"), np.zeros(2, "f4")),
    "no rows": (np.zeros((0, 3)), np.zeros((0, 2))),
    "scalar array": (np.array(3), np.array(4)),
    "scalar": (np.int64(3), np.int64(4)),
    "rows of another order": (
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(6).reshape(2, 3).T.reshape(2, 3),
    ),
    "texts": (np.array(["a", "bc"]), np.array(["a", "bd"])),
    "dates": (np.array(["2020-01-01"], "M8[D]"), np.array(["2020-01-02"], "M8[D]")),
    "objects": (OBJECTS, OBJECTS[::-1]),
    "class": (nn.Linear, nn.Conv2d),
    "function": (network, train),
    "lambda": (lambda: 1, None),
    "partial": (functools.partial(network, seed=1), functools.partial(network, seed=2)),
    "object": (Plain(width=3), Plain(width=4)),
    "object in an object": (Plain(part=Plain(width=3)), Plain(part=Plain(width=4))),
    "object that holds itself": (holds_itself(width=3), Plain(width=3)),
    "module": (nn.Linear(2, 2), None),
    "generator": (np.random.RandomState(0), None),
    "index": (pd.Index(["a", "b"]), None),
    "keys that are no text": ({(1, 2): 3}, None),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_seal_holds_for_every_parameter_and_tells_another(name):
    value, other = VALUES[name]
    for copied in (copy.deepcopy, lambda state: state if name == "lambda" else pickle.loads(pickle.dumps(state))):
        state = copied(sealed({"parameter": value, "other": 1}))
        assert opened(state, object).keys() == {"parameter", "other"}
        with pytest.raises(ValueError, match="damaged"):
            opened({**state, "parameter": other}, object)


def test_a_seal_copies_arrays_as_they_lie_in_memory_and_no_objects():
    rows, plain = np.asfortranarray(np.arange(6).reshape(2, 3)), Plain(width=3)
    state = sealed({"rows": [(rows,)], "plain": plain})
    assert state["plain"] is plain
    found = state["rows"][0][0]
    assert found.flags.f_contiguous
    assert not np.shares_memory(found, rows)


def test_callbacks_are_no_part_of_the_seal():
    state = sealed({"_skl_callbacks": [Plain(calls=1)], "width": 3})
    state["_skl_callbacks"][0].calls += 1
    assert opened(state, object)["width"] == 3
