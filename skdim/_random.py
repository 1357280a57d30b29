"""Random numbers of torch's modules, drawn from generators of our own: what other threads draw from is not touched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

#: Overloads of operators that take a generator, by those that take none.
WITH_GENERATOR = {
    "default": "generator",
    "low": "low_generator",
    "Tensor": "Tensor_generator",
    "low_dtype": "low_generator_dtype",
}


class LocalSeed(TorchDispatchMode):
    """Lets every operator that draws in a block, in this thread, draw from generators of this seed, one for each device.

    ``drew`` says whether any did.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed, self.drew = seed, False
        self.generators: dict[torch.device, torch.Generator] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags or kwargs.get("generator") is not None:
            return func(*args, **kwargs)
        self.drew = True
        names = [argument.name for argument in func._schema.arguments]
        if "generator" in names and len(args) > names.index("generator"):
            args = args[: names.index("generator")]  # it is the last one that is given by place
        elif "generator" not in names:
            other = WITH_GENERATOR.get(func._overloadname, "")
            if not hasattr(func.overloadpacket, other):  # kernels of CUDA alone
                return func(*args, **kwargs)
            func = getattr(func.overloadpacket, other)
        like = next((part for part in args if isinstance(part, torch.Tensor)), None)
        device = torch.device(kwargs.get("device") or "cpu") if like is None else like.device
        return func(*args, **kwargs | {"generator": self._generator(device)})

    def _generator(self, device: torch.device) -> torch.Generator:
        if device not in self.generators:
            self.generators[device] = torch.Generator(device).manual_seed(self.seed)
        return self.generators[device]


@contextmanager
def seeded_step(seed: int, device: torch.device, compiled: bool) -> Iterator[list[bool]]:
    """Run a training step that draws numbers of a seed; the list then holds whether it drew any.

    Kernels of CUDA devices and translated steps draw from torch's own generators alone: these are seeded, and restored after.
    """
    drew: list[bool] = []
    if device.type == "cpu" and not compiled:
        with LocalSeed(seed) as draws:
            yield drew
        drew.append(draws.drew)
        return
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        for each in cuda:
            with torch.cuda.device(each):
                torch.cuda.manual_seed(seed)
        before = _states(device)
        yield drew
        drew.append(any(not torch.equal(a, b) for a, b in zip(before, _states(device), strict=True)))


def _states(device: torch.device) -> list[torch.Tensor]:
    states = [torch.default_generator.get_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states
