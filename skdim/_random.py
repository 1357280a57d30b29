"""torch's global generator, forked and seeded for the code that draws from it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# torch's modules draw their first weights from the global generator: one builder at a time, the generator forked.
_GLOBAL_GENERATOR = threading.RLock()


@contextmanager
def local_seed(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch's global generator, and that of a CUDA ``device``, for a block of code and restore them afterwards."""
    cuda = device if device is not None and device.type == "cuda" else None
    with _GLOBAL_GENERATOR, torch.random.fork_rng(devices=[] if cuda is None else [cuda]):
        torch.default_generator.manual_seed(seed)
        if cuda is not None:
            with torch.cuda.device(cuda):
                torch.cuda.manual_seed(seed)
        yield


@contextmanager
def seeded_step(seed: int, device: torch.device) -> Iterator[list[bool]]:
    """Run a block of code as :func:`local_seed` does; the list then holds whether it drew from the global generator."""
    drew: list[bool] = []
    with local_seed(seed, device):
        before = _states(device)
        yield drew
        drew.append(any(not torch.equal(a, b) for a, b in zip(before, _states(device), strict=True)))


def _states(device: torch.device) -> list[torch.Tensor]:
    states = [torch.default_generator.get_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states
