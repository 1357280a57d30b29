"""Every choice that depends on the machine: device, memory format and precision."""

import pytest
import torch
from torch import nn

from skdim._random import LocalSeed
from skdim.exceptions import DeviceWarning
from skdim.nn.encoders import MLP, Conv, build_encoder
from skdim.training.device import computing, place, resolve_device, resolve_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("present", [False, True])
def test_auto_is_cuda_where_there_is_one(monkeypatch, present):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: present)
    assert resolve_device("auto").type == ("cuda" if present else "cpu")
    assert resolve_device("cpu") == CPU


def test_each_process_of_torchrun_takes_a_cuda_device_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for rank in range(4):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        assert resolve_device("auto") == torch.device("cuda", rank % 2)


@pytest.mark.parametrize("device", ["gpu", "", "cuda:x", "cpu:-1", "CPU"])
def test_an_unknown_device_is_refused(device):
    with pytest.raises(ValueError, match=r"Unknown device .* Allowed are 'auto', 'cpu', 'cuda'") as caught:
        resolve_device(device)
    assert repr(device) in str(caught.value)


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7", "mps", "meta", "xla"])
def test_a_missing_device_is_refused_with_those_there_are(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"not available.*\['auto', 'cpu'\]") as caught:
        resolve_device(device)
    assert repr(device) in str(caught.value)


def test_a_cuda_device_beyond_the_last_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1").index == 1
    with pytest.raises(ValueError, match=r"'cuda:2' is not available: this machine has 2 CUDA devices"):
        resolve_device("cuda:2")


def test_a_module_is_placed_with_channels_last():
    convolution = place(nn.Conv2d(3, 4, 3), CPU)
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert place(nn.Linear(3, 4), CPU).weight.device.type == "cpu"


# --------------------------------------------------------------------------------------------------------- precision
@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_auto_is_float32_on_every_device(monkeypatch, device):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    assert resolve_precision("auto", torch.device(device)) is torch.float32


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_bf16", "bf16"])
def test_bfloat16_on_a_cpu_warns_where_it_has_no_instructions_for_it(monkeypatch, instructions):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {instructions: True}, raising=False)
    assert resolve_precision("bfloat16", CPU) is torch.bfloat16
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {instructions: False, "avx2": True}, raising=False)
    with pytest.warns(DeviceWarning, match="slower than 'float32'"):
        assert resolve_precision("bfloat16", CPU) is torch.bfloat16


@pytest.mark.parametrize(("factory", "shape"), [(MLP((32,)), (10,)), (Conv(channels=(8, 16)), (1, 8, 8))], ids=str)
def test_a_network_computes_in_bfloat16_and_returns_float32(factory, shape):
    with LocalSeed(0):
        network, X = build_encoder(factory, shape, 4).eval(), torch.randn(50, *shape)
    exact = network(X)
    with computing([network], torch.bfloat16):
        rounded = network(X)
        rounded.global_.sum().backward()
    for a, b, c in zip(exact, rounded, network(X), strict=True):
        assert b.dtype is torch.float32
        assert 0 < (a - b).abs().max() < 0.05 * a.abs().max()  # 8 bits in each product
        assert torch.equal(a, c)
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert {tensor.dtype for tensor in [*network.parameters(), *gradients]} == {torch.float32}


def test_computing_leaves_float64_and_in_the_end_the_network_alone():
    network = nn.Linear(3, 2).double()
    with computing([network], torch.float32):
        assert "forward" not in vars(network)
    with computing([network], torch.bfloat16):
        assert network(torch.rand(4, 3, dtype=torch.float64)).dtype is torch.float64
    with pytest.raises(RuntimeError, match="shapes"), computing([network], torch.bfloat16):
        network(torch.rand(4, 5, dtype=torch.float64))
    assert "forward" not in vars(network)
