"""Devices, and the local random state."""

import shutil
import threading

import numpy as np
import pytest
import torch
from torch import nn

from skdim.exceptions import DeviceWarning
from skdim.nn.encoders import MLP, Conv, build_encoder
from skdim.training.device import computing, local_seed, place, resolve_device, resolve_precision, to_device

CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")


def test_the_cpu_is_always_there():
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("there", [False, True])
def test_auto_is_cuda_where_there_is_one(monkeypatch, there):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert resolve_device("auto").type == ("cuda" if there else "cpu")


@pytest.mark.parametrize("device", ["gpu", "", "cuda:x", "cpu:-1", "CPU"])
def test_an_unknown_device_is_refused(device):
    with pytest.raises(ValueError, match=r"Unknown device .* Allowed are 'auto', 'cpu', 'cuda'") as caught:
        resolve_device(device)
    assert repr(device) in str(caught.value)


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7", "mps", "meta", "xla"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(monkeypatch, device):
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
    convolution = place(nn.Conv2d(3, 4, 3), torch.device("cpu"))
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert place(nn.Linear(3, 4), torch.device("cpu")).weight.device.type == "cpu"


def test_a_batch_stays_on_its_device():
    X = torch.rand(3, 2)
    assert to_device(X, CPU) is X


@pytest.mark.gpu
def test_a_batch_is_moved_to_a_gpu():
    X = torch.rand(300, 2)
    assert torch.equal(to_device(X, torch.device("cuda")).cpu(), X)


# --------------------------------------------------------------------------------------------------------- precision
def test_auto_is_float32_on_cpus_whatever_they_can(monkeypatch):
    for able in ({}, {"amx_bf16": True}):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert resolve_precision("auto", CPU) is torch.float32


@pytest.mark.parametrize(
    ("capability", "dtype"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)]
)
def test_auto_is_bfloat16_on_gpus_that_multiply_in_it(monkeypatch, capability, dtype):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_precision("auto", torch.device("cuda")) is dtype
    assert resolve_precision("float32", torch.device("cuda")) is torch.float32


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_bf16", "bf16"])
def test_bfloat16_on_a_cpu_warns_where_it_has_no_instructions_for_it(monkeypatch, instructions):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {instructions: True})
    assert resolve_precision("bfloat16", CPU) is torch.bfloat16
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {instructions: False, "avx2": True})
    with pytest.warns(DeviceWarning, match="slower than 'float32'"):
        assert resolve_precision("bfloat16", CPU) is torch.bfloat16


@pytest.mark.parametrize(
    ("factory", "shape"), [(MLP((32,)), (10,)), (Conv(channels=(8, 16)), (1, 8, 8))], ids=["mlp", "conv"]
)
def test_a_network_computes_in_bfloat16_and_returns_float32(factory, shape):
    with local_seed(0):
        network = build_encoder(factory, shape, 4).eval()
        X = torch.randn(50, *shape)
    exact = network(X)
    with computing([network], torch.bfloat16, compiled=False):
        rounded = network(X)
        rounded.global_.sum().backward()
    again = network(X)
    for a, b, c in zip(exact, rounded, again, strict=True):
        assert b.dtype is torch.float32
        assert 0 < (a - b).abs().max() < 0.05 * a.abs().max()  # 8 bits in each product
        assert torch.equal(a, c)
    assert all(
        p.dtype is torch.float32 and p.grad.dtype is torch.float32 for p in network.parameters() if p.grad is not None
    )


def test_what_is_computed_in_float64_stays_in_it():
    network = nn.Linear(3, 2).double()
    with computing([network], torch.bfloat16, compiled=False):
        assert network(torch.rand(4, 3, dtype=torch.float64)).dtype is torch.float64


def test_an_error_leaves_networks_as_they_were():
    network = nn.Linear(3, 2)
    with pytest.raises(RuntimeError, match="shapes"), computing([network], torch.bfloat16, compiled=False):
        network(torch.rand(4, 5))
    assert "forward" not in vars(network)


def test_in_float32_nothing_is_touched():
    network = nn.Linear(3, 2)
    with computing([network], torch.float32, compiled=False):
        assert "forward" not in vars(network)


# ------------------------------------------------------------------------------------------------------- compilation
@needs_compiler
def test_a_compiled_network_is_the_same_function():
    network = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    batches = [torch.randn(n, 3, generator=torch.Generator().manual_seed(n)) for n in (8, 7, 9)]
    expected = [network(X) for X in batches]
    with computing([network], torch.float32, compiled=True):
        for X, Y in zip(batches, expected, strict=True):
            torch.testing.assert_close(network(X), Y, rtol=1e-5, atol=1e-6)
    assert "forward" not in vars(network)


def test_a_failed_compilation_says_what_to_do(monkeypatch):
    def compile(forward):
        def fail(X):
            raise torch._dynamo.exc.BackendCompilerFailed(None, RuntimeError("no compiler"), None)

        return fail

    monkeypatch.setattr(torch, "compile", compile)
    network = nn.Linear(3, 2)
    with (
        pytest.raises(RuntimeError, match=r"no compiler.*C\+\+ compiler.*compile=False"),
        computing([network], torch.float32, compiled=True),
    ):
        network(torch.rand(4, 3))
    assert "forward" not in vars(network)


# ---------------------------------------------------------------------------------------------------- local random state
def test_a_local_seed_is_deterministic_whatever_ran_before():
    draws = []
    for _ in range(2):
        torch.rand(7)
        with local_seed(11):
            draws.append(torch.rand(5))
    assert torch.equal(*draws)
    with local_seed(12):
        assert not torch.equal(torch.rand(5), draws[0])


def test_a_local_seed_leaves_the_global_generators_as_they_were():
    torch_before, numpy_before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    with local_seed(0):
        torch.rand(100)
    assert torch.equal(torch.random.get_rng_state(), torch_before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


def fail_within_a_local_seed():
    with local_seed(0):
        torch.rand(3)
        raise RuntimeError("within")


def test_an_error_within_leaves_the_global_generator_as_it_was():
    before = torch.random.get_rng_state()
    with pytest.raises(RuntimeError, match="within"):
        fail_within_a_local_seed()
    assert torch.equal(torch.random.get_rng_state(), before)
    with local_seed(0):  # and the lock is free
        pass


def test_local_seeds_may_be_nested():
    with local_seed(1):
        torch.rand(2)
        with local_seed(2):
            inner = torch.rand(3)
        after = torch.rand(3)
    with local_seed(1):
        torch.rand(2)
        assert torch.equal(torch.rand(3), after)
    with local_seed(2):
        assert torch.equal(torch.rand(3), inner)


def test_threads_build_one_at_a_time_and_leave_the_global_generator():
    before = torch.random.get_rng_state()
    expected = {}
    for seed in range(6):
        with local_seed(seed):
            expected[seed] = [torch.rand(3) for _ in range(20)]
    found, start = {}, threading.Barrier(6)

    def build(seed):
        start.wait(timeout=60)
        with local_seed(seed):
            found[seed] = [torch.rand(3) for _ in range(20)]

    threads = [threading.Thread(target=build, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(6):
        assert all(torch.equal(a, b) for a, b in zip(found[seed], expected[seed], strict=True))
    assert torch.equal(torch.random.get_rng_state(), before)
