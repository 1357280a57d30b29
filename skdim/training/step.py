"""A step of training: loss, gradients and update; on CUDA devices recorded once as a graph, and replayed.

A small network's step is hundreds of short kernels, and a GPU waits for each launch. A recorded step has one launch. Its
kernels read and write the same memory at every replay, so a batch's contents are copied there before.
"""

from __future__ import annotations

import os
import pickle
import random
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, nullcontext
from types import FunctionType
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from skdim.exceptions import DeviceWarning, warn
from skdim.nn.objectives.objective import Draws, Objective

Values: TypeAlias = dict[str, Tensor]

#: Steps of each structure that run before it is recorded: libraries choose their algorithms, optimizers make their moments.
WARM_UP = 3
#: Structures of batches that are recorded, or translated, which takes seconds each. An epoch has two sizes; lengths or missing
#: views may make each batch another one.
MOST_RECORDINGS, MOST_COMPILED = 8, 4


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
    """Return an objective that torch.compile translates, as one graph for each of the first structures of its inputs."""

    def loss(X: Any, draws: Draws) -> tuple[Tensor, Values]:
        return objective(X, draws)

    # torch counts translations by code object, over all steps of a process: this step has one of its own.
    own = FunctionType(loss.__code__.replace(), globals(), closure=loss.__closure__)
    translated = torch.compile(own, fullgraph=True, dynamic=False)
    structures: set[Hashable] = set()

    def run(X: Any, draws: Draws) -> tuple[Tensor, Values]:
        structure = _structure(*tree_flatten((X, draws)))
        if structure not in structures and len(structures) >= MOST_COMPILED:
            if len(structures) == MOST_COMPILED:
                structures.add(None)
                warn(
                    f"compile=True translates batches of {MOST_COMPILED} structures; further ones, as lengths, groups and "
                    "missing views make them, run as they are.",
                    DeviceWarning,
                )
            return loss(X, draws)
        structures.add(structure)
        try:
            with torch._dynamo.config.patch(allow_rnn=True):
                return translated(X, draws)
        except torch._dynamo.exc.TorchDynamoException as error:
            needs = "The step must be one graph: no module may choose by values or leave torch."
            if isinstance(error, torch._dynamo.exc.BackendCompilerFailed):
                needs = "On CPUs it needs a C++ compiler, such as g++."
            reason = " ".join(str(error).splitlines()[:2])
            raise RuntimeError(
                f"compile=True: torch.compile failed on the step. {needs} compile=False trains the same network. "
                f"({type(error).__name__}: {reason})"
            ) from error

    return run


def _structure(leaves: list[Any], tree: Any) -> Hashable:
    """Return what the recording or translation of a step depends on: sizes, types, and what is no tensor."""
    return tree, *((leaf.shape, leaf.dtype) if isinstance(leaf, Tensor) else leaf for leaf in leaves)


#: A thread's streams for recording, by device: torch keeps memory for each stream that multiplies matrices.
_STREAMS = threading.local()
#: One graph is recorded at a time in a process.
_RECORDING = threading.Lock()


class CudaRecorder:
    """Records calls as CUDA graphs, which share one pool of memory: they are replayed one at a time."""

    def __init__(self, device: torch.device) -> None:
        streams = vars(_STREAMS)
        self.stream = streams.setdefault(str(device), torch.cuda.Stream(device))
        self.pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def warming_up(self) -> Iterator[None]:
        """Run calls as they must run before they are recorded."""
        present = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(present)
        with torch.cuda.stream(self.stream):
            yield
        present.wait_stream(self.stream)

    def record(self, run: Callable[[], Values]) -> tuple[Callable[[], None], Values]:
        """Return a function that repeats a call's work on the same memory, and the values that it leaves there."""
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the device meanwhile. A recording that fails leaves its stream behind: warming_up restores it.
        with (
            _RECORDING,
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

    def __init__(self, step: Step, recorder: CudaRecorder) -> None:
        self.step = step
        self.recorder = recorder
        self.seen: Counter[Hashable] = Counter()
        self.recordings: dict[Hashable, _Recording] = {}
        self.refused = False

    def __call__(self, X: Any, draws: Draws) -> Values:
        if self.refused:
            return self.step(X, draws)
        leaves, tree = tree_flatten((X, draws))
        structure = _structure(leaves, tree)
        if structure not in self.recordings and self.seen[structure] < WARM_UP:
            self.seen[structure] += 1
            return self._warmed_up(X, draws, is_last=self.seen[structure] == WARM_UP)
        if structure not in self.recordings and not self._record(structure, leaves, tree):
            return self.step(X, draws)
        recording = self.recordings[structure]
        torch._foreach_copy_(recording.inputs, [leaf for leaf in leaves if isinstance(leaf, Tensor)])
        recording.replay()
        values = torch.stack(list(recording.values.values())).unbind()  # a copy: the next replay writes over them
        return dict(zip(recording.values, values, strict=True))

    def _warmed_up(self, X: Any, draws: Draws, is_last: bool) -> Values:
        # The first steps may do what is done once. What is compiled as one graph reads nothing on the host.
        watched = is_last and not self.step.compiled
        with self.recorder.warming_up(), HostReads() if watched else nullcontext() as reads:
            values = self.step(X, draws)
        if reads is not None and reads.where:
            self._refuse(reads.where)
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
    """Finds what a recording would freeze or refuse; ``where`` then says what, and its line.

    These are kernels that read values on the host or draw there, copies from the host, and numbers that Python or NumPy draw.
    """

    where = ""

    def __enter__(self) -> Self:
        self.drawn = _host_states()
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if not self.where and self.drawn != _host_states():
            self.where = "a module draws from Python's or NumPy's random numbers"

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if not self.where and _is_on_the_host(func, args, output):
            own = (f"{os.sep}torch{os.sep}", __file__)
            frames = [frame for frame in traceback.extract_stack() if not any(part in frame.filename for part in own)]
            line = f", at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
            self.where = f"{func} reads or draws on the host{line}"
        return output


def _host_states() -> tuple[Any, ...]:
    return random.getstate(), pickle.dumps(np.random.get_state())  # noqa: NPY002 - it is what a module may draw from


def _is_on_the_host(func: Any, args: Any, output: Any) -> bool:
    name, tags = getattr(func, "overloadpacket", func).__name__.rstrip("_"), getattr(func, "tags", ())
    if name in ("index", "index_put", "_index_put_impl"):  # by a mask: the shape depends on values
        return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])
    if torch.Tag.data_dependent_output in tags or torch.Tag.dynamic_output_shape in tags:
        return True
    if not isinstance(output, Tensor):
        return False
    if name in ("_to_copy", "copy"):  # between host and device; pinned memory alone may be read by a recording
        moved = [part for part in args if isinstance(part, Tensor) and part.is_cuda != output.is_cuda]
        return not all(part.device.type == "cpu" and part.is_pinned() for part in moved)
    if name == "lift_fresh":  # a constant, which is made on the host
        return output.is_cuda
    return torch.Tag.nondeterministic_seeded in tags and output.device.type == "cpu"


def warn_eager(reason: str) -> None:
    """Warn that steps are not recorded."""
    warn(
        f"The training steps are not recorded as a CUDA graph, and run one kernel at a time, which is slower: {reason}.",
        DeviceWarning,
    )


def can_be_recorded(optimizer: torch.optim.Optimizer) -> bool:
    """Let an optimizer keep its step and its learning rate on its CUDA device, and return whether it can."""
    is_fused_sgd = isinstance(optimizer, torch.optim.SGD) and all(group["fused"] for group in optimizer.param_groups)
    if "capturable" not in optimizer.defaults and not is_fused_sgd:
        return False
    for group in optimizer.param_groups:
        device = group["params"][0].device
        if "capturable" in group:
            group["capturable"] = True
        group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32, device=device)
    return True
