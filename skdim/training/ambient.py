"""Entry points that do not depend on what the caller has set in torch: gradients, autocast, default type and device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from skdim._sklearn import as_it_is

P = ParamSpec("P")
T = TypeVar("T")

#: Functions that make tensors of the default type.
FACTORIES = frozenset(
    {
        torch.empty,
        torch.zeros,
        torch.ones,
        torch.rand,
        torch.randn,
        torch.linspace,
        torch.logspace,
        torch.eye,
        torch.normal,
    }
)
#: Functions whose name is the type of what they return.
CONVERSIONS = frozenset({Tensor.double, Tensor.float, Tensor.half, Tensor.bfloat16})


class Float32(TorchFunctionMode):
    """Lets torch make float32 of Python's numbers, whatever its default type is."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = tree_leaves((args, kwargs))
        if func in CONVERSIONS or any(isinstance(part, torch.dtype) for part in given):
            return func(*args, **kwargs)
        if func in FACTORIES and not any(isinstance(part, Tensor) for part in args):
            return func(*args, **kwargs | {"dtype": torch.float32})
        default, output = torch.get_default_dtype(), func(*args, **kwargs)
        if not isinstance(output, Tensor) or output.dtype is not default:
            return output
        tensors = [part for part in given if isinstance(part, Tensor)]
        tensors += [torch.as_tensor(part) for part in given if isinstance(part, np.ndarray | np.generic)]
        return output if any(part.dtype is default for part in tensors) else output.float()


@contextmanager
def own_state() -> Iterator[None]:
    """Compute in float32 on the CPU where nothing else is said, with gradients and without autocast, in this thread."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if torch.get_default_dtype() is not torch.float32:
            stack.enter_context(Float32())
        yield


#: Lets a function run in :func:`own_state`.
in_own_state = own_state()


def answering(method: Callable[P, T]) -> Callable[P, T]:
    """Let a method run in :func:`own_state` on the estimator as it is now: a fit in another thread changes no answer."""

    @wraps(method)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        estimator, *others = args
        with own_state():
            return method(as_it_is(estimator), *others, **kwargs)  # type: ignore[arg-type]

    return run
