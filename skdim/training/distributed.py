r"""Training in several processes at once, equal to one process with the same batches.

``torchrun`` starts one script several times; torch numbers the processes by rank. Each rank encodes its share of every batch.
The codes of all ranks are then gathered on each of them, so that every rank computes the one loss L of the whole batch, with
all other samples of the batch as negatives, and the critics see what they see in one process. With
:math:`z = (z_1, \dots, z_R)` the codes of the ranks and :math:`\theta` the encoder's parameters,

.. math:: \frac{dL}{d\theta} = \sum_r \frac{\partial L}{\partial z_r} \frac{dz_r}{d\theta}
          = \frac1R \sum_r \Bigl( R\, \frac{\partial L}{\partial z_r} \Bigr) \frac{dz_r}{d\theta}

Rank r holds the r-th term: the gradient of gathered codes is its own part, times R, and the mean over ranks of all gradients
is exact, for the encoder's parameters and for those of critics and priors, whose gradient is the same on every rank.

Batch normalisation takes its statistics over all ranks, with gradients: torch's own synchronised layer runs on GPUs only.
"""

from __future__ import annotations

import atexit
import importlib
import multiprocessing
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from skdim.training.device import resolve_device

#: What torchrun tells each process that it starts.
TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def several() -> bool:
    """Whether this process is one of several that train together: under torchrun, or where torch.distributed is initialised."""
    if not dist.is_available():
        return False
    if dist.is_initialized():
        return dist.get_world_size() > 1
    # Workers of a search inherit torchrun's environment, and train by themselves.
    is_launched = all(name in os.environ for name in TORCHRUN) and multiprocessing.parent_process() is None
    return is_launched and int(os.environ["WORLD_SIZE"]) > 1


def refuse_several(what: str) -> None:
    """Raise a ``RuntimeError`` where several processes would each train the same by themselves."""
    if several():
        raise RuntimeError(
            f"{what} trains in one process, and this is one of several that torchrun started. Run it in a script of its own, "
            "without torchrun; the transformers train in several processes."
        )


def join(device: torch.device) -> Ranks | None:
    """Return the processes that this one trains with, None where it trains alone.

    Under torchrun the first call initialises torch.distributed, with gloo for CPUs and NCCL for GPUs; the end of the process
    takes it down.
    """
    if not several():
        return None
    if not dist.is_initialized():
        # torch's optimizers import this module. Imported after the group exists, it keeps the group, whose threads then outlive
        # the interpreter and abort one process in twenty.
        importlib.import_module("torch._dynamo")
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        atexit.register(_leave)
    return Ranks(device)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def agreed(number: int, device: torch.device) -> int:
    """Return the first rank's number, on one process its own: a seed that was drawn at random must be the same everywhere."""
    ranks = join(device)
    if ranks is None:
        return number
    shared = torch.tensor(number, device=device)
    dist.broadcast(shared, src=0)
    return int(shared)


def write_once(path: str | Path, write: Callable[[Path], Any]) -> None:
    """Write a file from the first rank alone, or from the one process there is, whole or not at all.

    The other ranks wait until it is there.

    Parameters
    ----------
    path : str or Path
        The file.
    write : callable (path) -> object
        Writes it.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skdim.training.distributed import write_once
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_once(Path(folder) / "model", lambda path: path.write_text("whole"))
    ...     (Path(folder) / "model").read_text()
    'whole'
    """
    path = Path(path)
    ranks = join(resolve_device("auto"))
    if ranks is None or ranks.rank == 0:
        write_whole(path, write)
    if ranks is not None:
        ranks.any(False)


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file beside its place, wait until the disk has it, and move it there: at any moment a file is whole."""
    beside = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        write(beside)
        with beside.open("r+b") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a directory cannot be opened
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def left_beside(path: Path) -> list[Path]:
    """Return the files that processes which were killed left beside one that they wrote."""
    return [file for file in path.parent.glob(f".{path.name}.*") if not _is_alive(file.suffix[1:].partition("-")[0])]


def _is_alive(process: str) -> bool:
    if os.name != "posix":  # there a signal of 0 ends a process
        return True
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        pass
    return True


class Ranks:
    """The processes that train together, seen from this one, which trains on ``device``."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.counts = [0] * self.size

    def _counts(self, n: int) -> list[int]:
        least, more = divmod(n, self.size)
        return [least + (rank < more) for rank in range(self.size)]

    def share(self, n: int) -> slice:
        """Return this rank's part of a batch of ``n`` rows."""
        counts = self._counts(n)
        start = sum(counts[: self.rank])
        return slice(start, start + counts[self.rank])

    def begin(self, n: int) -> None:
        """Begin a batch of ``n`` rows, whose codes :meth:`gather` collects from now on."""
        self.counts = self._counts(n)

    def gather(self, X: Tensor, n_views: int = 1) -> Tensor:
        """Return what all ranks hold of the present batch, (n_views * n, ...), in its order.

        X (n_views * n_own, ...) holds this rank's rows of one view after the other. Gradients pass to this rank's part, times
        the number of ranks.
        """
        parts = _Gather.apply(X, [n_views * count for count in self.counts], self.rank)
        views = zip(*(part.chunk(n_views) for part in parts), strict=True)
        return torch.cat([part for view in views for part in view])

    @contextmanager
    def training(self, objective: nn.Module) -> Iterator[None]:
        """Let an objective gather its codes, and its batch normalisation its statistics, from the first rank's weights on."""
        for tensor in objective.state_dict().values():
            dist.broadcast(tensor, src=0)
        norms = [module for module in objective.modules() if isinstance(module, _BatchNorm)]
        setattr(objective, "gather", self.gather)  # noqa: B010 - a method, replaced on this one object
        for norm in norms:
            setattr(norm, "forward", partial(_batch_norm, norm))  # noqa: B010
        try:
            yield
        finally:
            del objective.gather
            for norm in norms:
                del norm.forward

    def average_gradients(self, module: nn.Module) -> None:
        """Replace every gradient by its mean over the ranks."""
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        mean = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, mean.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view(gradient.shape))

    def mean(self, X: Tensor) -> Tensor:
        """Return the mean over the ranks, the same bits on each."""
        total = X.clone()
        dist.all_reduce(total)
        return total / self.size

    def any(self, flag: bool) -> bool:
        """Whether any of the ranks says so."""
        return bool(self.mean(torch.tensor(float(flag), device=self.device)) > 0)

    def check_same(self, facts: Mapping[str, float]) -> None:
        """Raise a ``ValueError``, on every rank, if ``facts`` differ between ranks by more than rounding."""
        own = torch.tensor(list(facts.values()), dtype=torch.float64, device=self.device)
        every = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(every, own)
        same = torch.isclose(torch.stack(every), every[0], rtol=1e-6).all(0).tolist()
        for name, is_same, values in zip(facts, same, torch.stack(every, 1).tolist(), strict=True):
            if not is_same:
                raise ValueError(
                    f"The processes that train together must be given the same data and parameters: {name} is {values} on "
                    f"ranks 0 to {self.size - 1}. Give each all of X; it reads its share of the rows."
                )

    def check_batches(self, n_rows: int, n_batches: int) -> None:
        """Raise a ``ValueError`` if a batch has fewer rows than there are ranks."""
        if n_rows // n_batches < self.size:
            raise ValueError(
                f"{n_rows} rows in {n_batches} batch(es) leave {n_rows // n_batches} for {self.size} processes: each needs one "
                "at least. Raise batch_size, or start fewer processes."
            )


class _Gather(torch.autograd.Function):
    """Join the tensors of all ranks, of ``counts`` rows; the gradient is that of the own rows times the number of ranks."""

    @staticmethod
    def forward(ctx: Any, X: Tensor, counts: Sequence[int], rank: int) -> tuple[Tensor, ...]:
        ctx.rank, ctx.size = rank, len(counts)
        # gloo gathers tensors of one shape: a short one is filled up.
        own = X.new_zeros(max(counts), *X.shape[1:])
        own[: len(X)] = X
        every = [torch.empty_like(own) for _ in counts]
        dist.all_gather(every, own)
        return tuple(part[:count] for part, count in zip(every, counts, strict=True))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.size * gradients[ctx.rank], None, None


def _batch_norm(norm: Any, X: Tensor) -> Tensor:
    """Return what a layer of batch normalisation gives in training, with the mean and variance over all ranks."""
    if not norm.training and norm.running_mean is not None:
        return type(norm).forward(norm, X)
    X = X.float() if X.dtype is torch.bfloat16 else X  # sums over the batch
    count, mean, variance = _moments(X.detach())
    if norm.training and norm.running_mean is not None:
        _learn_running(norm, mean, variance * count / (count - 1))
    X = _ThroughMoments.apply(X, count, mean, torch.rsqrt(variance + norm.eps))
    return F.batch_norm(X, mean, variance, norm.weight, norm.bias, eps=norm.eps)


def _moments(X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the number of values of each channel over all ranks, their mean and their variance."""
    axes, count = _but_channels(X), X.new_tensor([X.numel() / X.shape[1]])
    mean = X.sum(axes) / count  # sums: on CPUs several times as fast as torch.var_mean over channels-last memory
    variance = (X - mean.view(_per_channel(X))).square_().sum(axes) / count
    own = torch.cat([count, mean, variance])
    every = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(every, own)
    counts, means, variances = torch.stack(every).split([1, len(mean), len(mean)], dim=1)
    weights = counts / counts.sum()
    mean = (weights * means).sum(0)
    return counts.sum(), mean, (weights * (variances + (means - mean).square())).sum(0)


class _ThroughMoments(torch.autograd.Function):
    r"""Return X unchanged; the backward pass corrects a gradient g for mean and variance that come from X itself.

    With :math:`\hat x = (x - \mu) / \sigma` and means over all ranks, :math:`g - E[g] - \hat x\, E[g \hat x]`.
    """

    @staticmethod
    def forward(ctx: Any, X: Tensor, count: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(X, count, mean, scale)
        return X.view_as(X)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None]:
        X, count, mean, scale = ctx.saved_tensors
        x = F.batch_norm(X, mean, scale.pow(-2), eps=0.0)
        axes = _but_channels(X)
        sums = torch.stack([g.sum(axes), (g * x).sum(axes)])
        dist.all_reduce(sums)
        mean_g, mean_gx = (sums / count).view(2, *_per_channel(X))
        return (g - mean_g).addcmul_(x, mean_gx, value=-1), None, None, None


def _but_channels(X: Tensor) -> list[int]:
    return [0, *range(2, X.ndim)]


def _per_channel(X: Tensor) -> tuple[int, ...]:
    return (-1,) + (1,) * (X.ndim - 2)


@torch.no_grad()
def _learn_running(norm: Any, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics as torch does; the variance is the unbiased one."""
    norm.num_batches_tracked += 1
    momentum = norm.momentum if norm.momentum is not None else 1 / float(norm.num_batches_tracked)
    norm.running_mean.lerp_(mean, momentum)
    norm.running_var.lerp_(variance, momentum)
