"""Devices, and the local random state."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

from skdim.training.device import local_seed, place, resolve_device


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
