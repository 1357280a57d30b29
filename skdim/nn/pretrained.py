"""Pretrained networks as encoders: their weights are kept, and a part of them, all or none is trained on."""

from __future__ import annotations

import copy
import itertools
import math
import reprlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from skdim._params import Configured
from skdim.nn.adapt import Code, Encoder
from skdim.nn.packing import check_kept, packed, unpacked

#: Inputs of the pass that finds the parts of a network.
N_TRIED = 2
#: How far the output of a row may change with the rows beside it, as part of the largest value: the order of sums is free.
SAME_ROW = 1e-3


@dataclass(repr=False)
class Pretrained(Configured):
    """A trained network as encoder: a new linear layer on top of it returns the code.

    The network is copied: training does not change ``module``, and every fit starts from the weights that were given. They are
    saved with the estimator, beside the weights that training has reached. Loading needs the classes of the network, and no
    file of weights.

    Parameters
    ----------
    module : nn.Module
        Takes inputs (n, channels, height, width), (n, channels, length) or (n, n_columns), and returns (n, n_hidden), or a map
        that is averaged over its places. Replace a classifier on top by ``nn.Identity()``. In eval mode, the output for a row
        must not depend on the other rows.
    freeze : bool or str, default=True
        What stays as it is: with True all of the network, with False nothing, with the name of a part, such as "layer3", that
        part and everything that runs before it. Frozen parts keep their batch statistics and drop nothing out; no gradient of
        their weights is computed.
    local : str, default=None
        Name of the part whose output is the local map. None takes the output of the network, before it is averaged.
    mean, std : float or sequence of float, default=None
        What the network expects its inputs to be standardised by, one number or one for each channel, in the unit of X. They
        take the place of the mean and standard deviation of X; None keeps those of X.
    channels_last : bool, default=None
        Whether maps are (n, ..., channels), or (n, channels, ...), where a pass of inputs of twice the size does not tell:
        channels are the axis that stays. None raises an error there, but for maps (n, places, channels) of networks with
        two-dimensional convolutions that take one size only, as vision transformers do.

    Attributes
    ----------
    kind : {"image", "sequence"} or None
        What the first convolution takes; None if there is none.
    statistics : tuple of ndarray or None
        ``mean`` and ``std`` as arrays.

    Notes
    -----
    Calling it raises ValueError if a part has no such name, the network does not take the inputs, rows depend on each other, or
    the channels of a map cannot be told from its places; and TypeError if the network cannot be copied and saved.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from skdim.nn.pretrained import Pretrained
    >>> layers = nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3)
    >>> module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    >>> encoder = Pretrained(module, freeze="1", local="2")((3, 16, 16), 4)
    >>> code = encoder(torch.zeros(2, 3, 16, 16))
    >>> tuple(code.local.shape), tuple(code.hidden.shape), tuple(code.global_.shape)
    ((2, 16, 25), (2, 16), (2, 4))
    >>> [name for name, weight in encoder.named_parameters() if weight.requires_grad]
    ['module.2.weight', 'module.2.bias', 'code.weight', 'code.bias']
    """

    module: nn.Module
    freeze: bool | str = True
    local: str | None = None
    mean: float | Sequence[float] | None = None
    std: float | Sequence[float] | None = None
    channels_last: bool | None = None

    def __repr__(self) -> str:
        rest = [f"{name}={value!r}" for name, value in self.get_params().items() if name != "module"]
        return f"{type(self).__name__}({', '.join([f'{type(self.module).__name__}(...)', *rest])})"

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"module": packed(self.module)}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state, module=unpacked(state["module"]))

    @property
    def kind(self) -> str | None:
        layer = self._first_convolution()
        return {1: "sequence", 2: "image"}.get(len(layer.kernel_size)) if layer is not None else None

    @property
    def statistics(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
        if self.mean is None and self.std is None:
            return None
        if self.mean is None or self.std is None:
            raise ValueError(f"mean={self.mean!r} and std={self.std!r} of Pretrained go together: give both or none.")
        mean, std = (np.asarray(part, dtype=np.float64) for part in (self.mean, self.std))
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
            raise ValueError(f"mean must be finite and std positive, got mean={self.mean!r} and std={self.std!r}.")
        return mean, std

    def _first_convolution(self) -> _ConvNd | None:
        layers = self.module.modules() if isinstance(self.module, nn.Module) else ()
        return next((layer for layer in layers if isinstance(layer, _ConvNd)), None)

    def check(self) -> None:
        if not isinstance(self.module, nn.Module):
            raise TypeError(
                f"module of Pretrained must be a torch.nn.Module, got {reprlib.repr(self.module)}. Make an instance of a "
                "class, and load a file or dictionary of weights into it by load_state_dict."
            )
        check_kept(self.module)

    def __call__(self, input_shape: tuple[int, ...], n_components: int) -> nn.Module:
        self.check()
        if not isinstance(self.freeze, bool | str):
            raise TypeError(f"freeze must be True, False or the name of a part, got {self.freeze!r}.")
        if not (self.channels_last is None or isinstance(self.channels_last, bool)):
            raise TypeError(f"channels_last must be True, False or None, got {self.channels_last!r}.")
        module = copy.deepcopy(self.module).cpu().float().eval()
        local = None if self.local is None else self._part(module, "local", self.local)
        until = self._part(module, "freeze", self.freeze) if isinstance(self.freeze, str) else self.freeze
        encoder, calls = _PretrainedEncoder(module, local), _Calls(module)
        rows = torch.rand(N_TRIED + 1, *input_shape, generator=torch.Generator().manual_seed(0))
        try:
            with torch.no_grad():
                output = module(rows)
        except Exception as error:
            shape = ", ".join(map(str, input_shape))
            raise ValueError(
                f"{self!r} does not take inputs of shape (n, {shape}). {self._advice(input_shape)} It says: "
                f"{type(error).__name__}: {error}"
            ) from error
        for name, part in (("local", local), ("freeze", until)):
            if isinstance(part, nn.Module) and part not in calls.end:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is a part that {self!r} does not call: name another one."
                )
        calls.forget()
        encoder.axes = self._channel_axes(encoder, rows, [_checked(each, len(rows)) for each in encoder.kept(output)])
        encoder.code = nn.Linear(output.shape[encoder.axes[1]], n_components)
        encoder.freeze(until, calls)
        return encoder

    def _part(self, module: nn.Module, name: str, part: str) -> nn.Module:
        named = dict(module.named_modules())
        if part in named and part:
            return named[part]
        parts = ", ".join(repr(child) for child, _ in module.named_children())
        raise ValueError(
            f"{name}={part!r} is no part of the {type(module).__name__}. Its parts are {parts}, and theirs, such as "
            f"{list(named)[-1]!r}."
        )

    def _advice(self, input_shape: tuple[int, ...]) -> str:
        layer = self._first_convolution()
        if layer is None or layer.in_channels == input_shape[0]:
            return "Give X in the size that it takes."
        given = f"Its first convolution takes {layer.in_channels} channels, and X has {input_shape[0]}"
        if input_shape[0] > 1:
            return f"{given}."
        whole = ", ".join(map(str, input_shape[1:]))
        return f"{given}: give np.repeat(X.reshape(len(X), 1, {whole}), {layer.in_channels}, axis=1)."

    @torch.no_grad()
    def _channel_axes(self, encoder: _PretrainedEncoder, rows: Tensor, outputs: list[Tensor]) -> list[int]:
        """Return the axis of channels of the local map and of the output, which fewer rows must not change."""
        for output, fewer in zip(outputs, encoder.kept(encoder.module(rows[:N_TRIED])), strict=True):
            margin = SAME_ROW * float(output.nan_to_num().abs().max())
            same = output[:N_TRIED].shape == fewer.shape
            if not (same and torch.allclose(output[:N_TRIED], fewer, SAME_ROW, margin, equal_nan=True)):
                raise ValueError(
                    f"The output of {self!r} for a row depends on the other rows, or on chance, and a transform must not: "
                    f"{self._culprit()}."
                )
        if all(output.ndim == 2 for output in outputs):
            return [1, 1]
        larger = torch.zeros(N_TRIED, len(rows[0]), *(2 * side for side in rows.shape[2:]))
        try:
            returned = encoder.module(larger)
        except Exception:  # it takes one size, which the local part need not know
            returned = None
        return [
            self._channel_axis(output, other) for output, other in zip(outputs, encoder.kept(returned), strict=True)
        ]

    def _channel_axis(self, output: Tensor, larger: Any) -> int:
        if output.ndim == 2:
            return 1
        if larger is None and self.channels_last is None and self.kind == "image" and output.ndim == 3:
            return 2
        if isinstance(larger, Tensor) and larger.ndim == output.ndim:
            same = [axis for axis in range(1, output.ndim) if output.shape[axis] == larger.shape[axis]]
            same = [axis for axis in same if output.shape[axis] > 1] or same[:1]
            if len(same) == 1:
                return same[0]
        if self.channels_last is not None:
            return output.ndim - 1 if self.channels_last else 1
        raise ValueError(
            f"A map of shape (n, {', '.join(map(str, output.shape[1:]))}) of {self!r} does not show which axis is that of "
            f"channels: {'inputs of twice the size are refused' if larger is None else 'a larger input does not tell'}. Give "
            "channels_last=False if it is the first after n, and True if it is the last."
        )

    def _culprit(self) -> str:
        for name, part in self.module.named_modules():
            if isinstance(part, _BatchNorm) and part.running_mean is None:
                return (
                    f"part {name!r} is a {type(part).__name__} without running statistics. Give a network with "
                    "track_running_stats=True"
                )
        return "give a network that treats each row by itself, and draws nothing in eval mode"


def _checked(output: Any, n_rows: int) -> Tensor:
    """Return an output that is features or a map of each row, or raise a ``ValueError``."""
    is_tensor = isinstance(output, Tensor)
    if is_tensor and output.is_floating_point() and output.ndim in (2, 3, 4) and len(output) == n_rows:
        if output.isfinite().all():
            return output
        raise ValueError(
            "The output of a pretrained network, or of its local part, holds NaN or infinity for inputs from 0 to 1. Look at "
            "the weights that it was given."
        )
    shape = f" of shape {tuple(output.shape)} and {output.dtype}" if is_tensor else ""
    raise ValueError(
        f"A pretrained network, and its local part, must return a tensor (n, n_features) or a map (n, channels, ...) of "
        f"floats, for n = {n_rows}; it returned a {type(output).__name__}{shape}. Wrap it in a module that returns its "
        "features."
    )


class _Calls:
    """When the first call of each part of a module begins, and when it ends."""

    def __init__(self, module: nn.Module) -> None:
        self.begin: dict[nn.Module, int] = {}
        self.end: dict[nn.Module, int] = {}
        clock = itertools.count()

        def note(times: dict[nn.Module, int], part: nn.Module) -> None:
            times.setdefault(part, next(clock))

        self._handles = [
            handle
            for part in module.modules()
            for handle in (
                part.register_forward_pre_hook(lambda part, _: note(self.begin, part)),
                part.register_forward_hook(lambda part, _, __: note(self.end, part)),
            )
        ]

    def forget(self) -> None:
        """Take the hooks off the module."""
        for handle in self._handles:
            handle.remove()


#: The output of the part that is the local map, of the forward pass in this thread.
_KEPT = threading.local()


def _keep(part: nn.Module, inputs: Any, output: Any) -> None:
    _KEPT.output = output.clone() if isinstance(output, Tensor) else output  # what runs next may write into it


class _PretrainedEncoder(Encoder):
    """A network, whose output or that of a part is the local map, and a linear code on top."""

    code: nn.Linear
    axes: Sequence[int]  # of channels, in the local map and in the output

    def __init__(self, module: nn.Module, local: nn.Module | None) -> None:
        super().__init__()
        self.module = module
        self.has_part = local is not None
        if local is not None:
            local.register_forward_hook(_keep)
        self.frozen: list[nn.Module] = []

    def forward(self, X: Tensor) -> Code:
        local, output = self.maps(self.module(X))
        hidden = output.mean(2)
        return Code(local, hidden, self.code(hidden))

    def kept(self, output: Any) -> tuple[Any, Any]:
        """Return what the local part returned in this pass, and the output."""
        if not self.has_part:
            return output, output
        local, _KEPT.output = _KEPT.output, None
        return local, output

    def maps(self, output: Any) -> tuple[Tensor, Tensor]:
        """Return the local map and the output, (n, channels, places) each."""
        local, output = (_as_map(each, axis) for each, axis in zip(self.kept(output), self.axes, strict=True))
        return local, output

    def freeze(self, until: nn.Module | bool, calls: _Calls) -> None:
        """Freeze all parts or none, or those whose call began before that of a part has ended.

        A part that is never called, because another reads its weights, is frozen with the part that holds it.
        """
        if isinstance(until, nn.Module):
            until_time: float = calls.end[until]
        else:
            until_time = math.inf if until else -1
        for parameter in self.module.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        for name, part in self.module.named_modules():
            while (holder := self.module.get_submodule(name)) not in calls.end:
                name = name.rpartition(".")[0]
            if calls.begin[holder] < until_time:
                for parameter in part.parameters(recurse=False):
                    parameter.requires_grad_(False)
            if calls.end[holder] <= until_time:
                self.frozen.append(part)
        self.train()

    def train(self, mode: bool = True) -> _PretrainedEncoder:
        super().train(mode)
        for part in self.frozen:
            part.training = False
        return self


def _as_map(output: Tensor, axis: int) -> Tensor:
    if output.ndim == 2:
        return output.unsqueeze(2)
    return (output if axis == 1 else output.movedim(axis, 1)).flatten(2)
