"""Every choice that depends on the machine: device, memory format, fused kernels, and the local random state."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["local_seed", "one_thread", "place", "resolve_device"]

# torch's modules draw their first weights from the global generator: one builder at a time, the generator forked.
_GLOBAL_GENERATOR = threading.RLock()


def resolve_device(device: str) -> torch.device:
    """Return the torch device for the parameter ``device``; "auto" is CUDA where there is one, else the CPU.

    Of several processes that torchrun starts on a machine, each takes a CUDA device of its own.

    Parameters
    ----------
    device : str
        "auto", or what :class:`torch.device` takes: "cpu", "cuda", "cuda:1", "mps".

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If torch knows no such device, or this machine has none.

    Examples
    --------
    >>> from skdim.training.device import resolve_device
    >>> resolve_device("cpu").type
    'cpu'
    """
    if device == "auto":
        if torch.cuda.is_available() and "LOCAL_RANK" in os.environ:
            return torch.device("cuda", int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"Unknown device {device!r}. Allowed are 'auto', 'cpu', 'cuda', 'cuda:<n>' and 'mps'."
        ) from error
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(resolved.type, False):
        usable = ["auto", *(name for name, is_there in available.items() if is_there)]
        raise ValueError(f"device={device!r} is not available on this machine. Available are: {usable}.")
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={device!r} is not available: this machine has {torch.cuda.device_count()} CUDA devices."
        )
    return resolved


def place(module: nn.Module, device: torch.device) -> nn.Module:
    """Move a module to the device; channels last, which makes convolutions 1.2 to 1.7 times faster on CPUs."""
    return module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@contextmanager
def local_seed(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch's global generator, and that of a CUDA ``device``, for a block of code and leave them as they were."""
    cuda = device if device is not None and device.type == "cuda" else None
    with _GLOBAL_GENERATOR, torch.random.fork_rng(devices=[] if cuda is None else [cuda]):
        torch.default_generator.manual_seed(seed)
        if cuda is not None:
            with torch.cuda.device(cuda):
                torch.cuda.manual_seed(seed)
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: on tables this small a second one only waits, far longer where the machine is busy."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
