"""A step of training: loss, gradients and update; on CUDA devices recorded once as a graph, and replayed.

A small network's step is hundreds of short kernels, and a GPU waits for each launch. A recorded step has one launch. Its
kernels read and write the same memory at every replay, so a batch's contents are copied there before.

References
----------
.. [1] PyTorch documentation, "CUDA semantics", section "CUDA Graphs" (warm-up, private memory, capturable optimizers).
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from skdim.exceptions import DeviceWarning, warn
from skdim.nn.objectives.objective import Draws, Objective

__all__ = [
    "HOST_READS",
    "CudaRecorder",
    "HostReads",
    "RecordedStep",
    "Recorder",
    "Step",
    "can_be_recorded",
    "warn_eager",
]

Values: TypeAlias = dict[str, Tensor]

#: Steps of each structure that run before it is recorded: libraries choose their algorithms, optimizers make their moments.
WARM_UP = 3
#: Structures of batches that are recorded. An epoch has two sizes; lengths or missing views may make each batch another one.
MOST_RECORDINGS = 8

#: Kernels that read values on the host, or whose output has a shape that depends on values.
HOST_READS = {"_local_scalar_dense", "nonzero", "nonzero_numpy", "nonzero_static", "masked_select", "equal", "_unique"}
HOST_READS |= {"_unique2", "unique_dim", "unique_consecutive", "unique_dim_consecutive"}


class Step:
    """One step on a batch: the loss of an objective, its gradients, and the optimizer's update.

    ``compiled`` lets torch.compile translate views, networks and bound, as one graph. ``average`` acts on the gradients.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        compiled: bool = False,
        average: Callable[[], None] | None = None,
    ) -> None:
        self.loss = _compiled(objective) if compiled else objective
        self.compiled = compiled
        self.optimizer = optimizer
        self.average = average

    def __call__(self, X: Any, draws: Draws) -> Values:
        loss, values = self.loss(X, draws)
        self.update(loss)
        return values

    def update(self, loss: Tensor) -> None:
        """Take the gradients of a loss, and the optimizer's step along them."""
        self.optimizer.zero_grad()
        loss.backward()
        if self.average is not None:
            self.average()
        self.optimizer.step()


def _compiled(objective: Objective) -> Callable[..., tuple[Tensor, Values]]:
    translated = torch.compile(lambda X, draws: objective(X, draws), fullgraph=True, dynamic=False)

    def run(X: Any, draws: Draws) -> tuple[Tensor, Values]:
        try:
            with torch._dynamo.config.patch(allow_rnn=True):
                return translated(X, draws)
        except torch._dynamo.exc.TorchDynamoException as error:
            raise RuntimeError(
                f"compile=True: torch.compile failed on the step ({type(error).__name__}: {error}). On CPUs it needs a C++ "
                "compiler, such as g++. compile=False trains the same network."
            ) from error

    return run


class Recorder(Protocol):
    """What makes the work of a call repeatable."""

    def warming_up(self) -> AbstractContextManager[None]:
        """Return a block in which calls run as they must before they are recorded."""
        ...

    def record(self, run: Callable[[], Values]) -> tuple[Callable[[], None], Values]:
        """Return a function that repeats a call's work on the same memory, and the values that it leaves there."""
        ...


class CudaRecorder:
    """Records calls as CUDA graphs, which share one pool of memory: they are replayed one at a time."""

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def warming_up(self) -> Iterator[None]:
        present = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(present)
        with torch.cuda.stream(self.stream):
            yield
        present.wait_stream(self.stream)

    def record(self, run: Callable[[], Values]) -> tuple[Callable[[], None], Values]:
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the device meanwhile. A recording that fails leaves its stream behind: warming_up restores it.
        with (
            self.warming_up(),
            torch.cuda.graph(graph, self.pool, self.stream, capture_error_mode="thread_local"),
        ):
            values = run()
        return graph.replay, values


class _Recording(NamedTuple):
    inputs: list[Tensor]  # memory that the recorded step reads
    replay: Callable[[], None]
    values: Values  # memory that it writes


class RecordedStep:
    """A step that is recorded once for each structure of its inputs: sizes, types and what is no tensor.

    A module that reads values on the host cannot be recorded. Its steps run as they are, with one warning that says why.
    """

    def __init__(self, step: Step, recorder: Recorder) -> None:
        self.step = step
        self.recorder = recorder
        self.seen: Counter[Hashable] = Counter()
        self.recordings: dict[Hashable, _Recording] = {}
        self.refused = False

    def __call__(self, X: Any, draws: Draws) -> Values:
        if self.refused:
            return self.step(X, draws)
        leaves, tree = tree_flatten((X, draws))
        structure = (tree, *((leaf.shape, leaf.dtype) if isinstance(leaf, Tensor) else leaf for leaf in leaves))
        if structure not in self.recordings and self.seen[structure] < WARM_UP:
            self.seen[structure] += 1
            return self._warmed_up(X, draws)
        if structure not in self.recordings and not self._record(structure, leaves, tree):
            return self.step(X, draws)
        recording = self.recordings[structure]
        torch._foreach_copy_(recording.inputs, [leaf for leaf in leaves if isinstance(leaf, Tensor)])
        recording.replay()
        values = torch.stack(list(recording.values.values())).unbind()  # a copy: the next replay writes over them
        return dict(zip(recording.values, values, strict=True))

    def _warmed_up(self, X: Any, draws: Draws) -> Values:
        reads = nullcontext() if self.step.compiled else HostReads()
        with self.recorder.warming_up(), reads as found:
            values = self.step(X, draws)
        if found is not None and found.where:
            self._refuse(found.where)
        self.refused |= len(self.seen) > MOST_RECORDINGS
        return values

    def _record(self, structure: Hashable, leaves: list[Any], tree: Any) -> bool:
        own = [leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        self.step.optimizer.zero_grad()  # a recorded step keeps its gradients in its own memory
        try:
            replay, values = self.recorder.record(lambda: self.step(*tree_unflatten(own, tree)))
        except RuntimeError as error:
            self._refuse(str(error))
            return False
        self.recordings[structure] = _Recording([leaf for leaf in own if isinstance(leaf, Tensor)], replay, values)
        return True

    def _refuse(self, reason: str) -> None:
        self.refused = True
        self.recordings.clear()
        warn_eager(reason)


class HostReads(TorchDispatchMode):
    """Finds the first kernel that reads values on the host, or draws there; ``where`` then says which, and its line."""

    where = ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if not self.where and _reads(func, args, output):
            own = ("/torch/", __file__)
            frames = [frame for frame in traceback.extract_stack() if not any(part in frame.filename for part in own)]
            self.where = f"{func} reads or draws on the host, at {frames[-1].filename}:{frames[-1].lineno}"
        return output


def _reads(func: Any, args: Any, output: Any) -> bool:
    name = getattr(func, "overloadpacket", func).__name__.rstrip("_")
    if name in HOST_READS:
        return True
    if name in ("index", "index_put", "_index_put_impl"):  # by a mask: the shape depends on values
        return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])
    moves = name in ("_to_copy", "copy") and any(isinstance(part, Tensor) and part.is_cuda for part in args)
    draws = torch.Tag.nondeterministic_seeded in getattr(func, "tags", ())
    return (moves or draws) and isinstance(output, Tensor) and output.device.type == "cpu"


def warn_eager(reason: str) -> None:
    """Warn that steps are not recorded."""
    warn(
        f"The training steps are not recorded as a CUDA graph, and run one kernel at a time, which is slower: {reason}.",
        DeviceWarning,
    )


def can_be_recorded(optimizer: torch.optim.Optimizer) -> bool:
    """Let an optimizer keep its step and its learning rate on its CUDA device, and return whether it can."""
    if "capturable" not in optimizer.defaults and not isinstance(optimizer, torch.optim.SGD):
        return False
    for group in optimizer.param_groups:
        device = group["params"][0].device
        if "capturable" in group:
            group["capturable"] = True
        group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32, device=device)
    return True
