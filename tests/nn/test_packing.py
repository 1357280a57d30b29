"""A module is packed into plain values and arrays, and unpacked into the same function."""

import json
import pickle
import weakref

import numpy as np
import pytest
import torch
from helpers import without_address
from networks import BasicBlock, VisionTransformer, resnet
from torch import nn

from skdim._params import same_parameter
from skdim.nn.packing import packed, unpacked


class Tied(nn.Module):
    """One weight under two names, one layer at two places, and tensors that torch does not know of."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.steps = nn.ModuleList([self.first, nn.Tanh(), self.first, self.second])
        self.shift = torch.arange(6.0)
        self.options = {"scales": [torch.full((6,), 2.0), {"power": (1, 2)}], "kind": nn.Linear}
        self.register_buffer("offset", torch.ones(6, dtype=torch.float64), persistent=False)
        self.register_buffer("absent", None)
        self.back = [self]

    def forward(self, X):
        for step in self.steps:
            X = step(X)
        return X * self.options["scales"][0] + self.shift + self.offset.float()


VECTORS, IMAGES, SERIES = torch.randn(3, 6), torch.randn(3, 3, 16, 16), torch.randn(3, 5, 6)
MODULES = [
    (nn.Linear(6, 2), VECTORS),
    (Tied(), VECTORS),
    (nn.Sequential(nn.Linear(6, 4, dtype=torch.float64), nn.Dropout(0.5)).eval(), VECTORS.double()),
    (resnet().eval(), IMAGES),
    (VisionTransformer().eval(), IMAGES),
    (nn.GRU(6, 3, num_layers=2, batch_first=True, bidirectional=True), SERIES),
    (nn.LSTM(6, 3), SERIES),
    (nn.MultiheadAttention(6, 2, kdim=6, vdim=6, batch_first=True), (SERIES, SERIES, SERIES)),
    (nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.PReLU(), nn.Upsample(scale_factor=2)), IMAGES),
    (nn.EmbeddingBag(5, 3), torch.tensor([[1, 2], [0, 4]])),
]


def leaves(value):
    if isinstance(value, dict | list | tuple | set):
        for part in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from leaves(part)
    else:
        yield value


@pytest.mark.parametrize(("module", "inputs"), MODULES, ids=lambda value: type(value).__name__)
def test_what_is_unpacked_is_the_same_function_in_the_same_mode(module, inputs):
    state = packed(module)
    back, inputs = unpacked(pickle.loads(pickle.dumps(state))), inputs if isinstance(inputs, tuple) else (inputs,)
    torch.testing.assert_close(back(*inputs), module(*inputs), rtol=0, atol=0)
    assert type(back) is type(module)
    assert str(back) == str(module)
    assert same_parameter(back, module)
    flags = [(name, weight.requires_grad) for name, weight in module.named_parameters()]
    assert [(name, weight.requires_grad) for name, weight in back.named_parameters()] == flags
    assert [part.training for part in back.modules()] == [part.training for part in module.modules()]
    assert pickle.dumps(packed(back)) == pickle.dumps(packed(unpacked(packed(back))))


@pytest.mark.parametrize("module", [module for module, _ in MODULES], ids=lambda value: type(value).__name__)
def test_what_is_packed_holds_no_tensor_and_shares_no_memory(module):
    state = packed(module)
    for leaf in leaves(state):
        assert not isinstance(leaf, torch.Tensor | nn.Module | weakref.ref)
        assert not (isinstance(leaf, type) and getattr(nn, leaf.__name__, None) is leaf)
    for name, array in state["arrays"].items():
        tensor = dict([*module.named_parameters(), *module.named_buffers()]).get(name)
        assert array.flags.owndata
        assert tensor is None or not np.shares_memory(array, tensor.detach().numpy())


def test_tensors_and_parts_are_packed_once():
    back = unpacked(packed(Tied()))
    assert back.second.weight is back.first.weight
    assert back.steps[0] is back.steps[2] is back.first
    assert back.back == [back]
    assert back.options["kind"] is nn.Linear
    assert back.options["scales"][1] == {"power": (1, 2)}
    assert [name for name, _ in back.named_buffers()] == ["offset"]
    assert "offset" not in back.state_dict()
    assert sorted(packed(back)["arrays"])[-1] == "second.bias"


def test_parts_and_arrays_have_the_names_of_the_module():
    module, described = resnet(), packed(resnet())
    assert described["parts"].keys() == dict(module.named_modules()).keys()
    assert described["arrays"].keys() == module.state_dict().keys()
    assert described["parts"]["layer1.0.bn1"][0] == ["torch.nn", "BatchNorm2d"]
    assert described["parts"]["layer1.0"][0] is BasicBlock
    json.dumps(packed(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)))["parts"], default=without_address)


def test_half_precision_becomes_float32():
    half = nn.Linear(2, 2, dtype=torch.bfloat16)
    assert torch.equal(unpacked(packed(half)).weight, half.weight.float())


def test_a_part_that_is_saved_in_a_way_of_its_own_is_refused():
    traced = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(TypeError, match=r"saved in a way of its own.*made from"):
        packed(traced)
