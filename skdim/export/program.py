"""A fitted transformer as a program of torch.export, and what all exports share."""

from __future__ import annotations

import json
import logging
import os
import reprlib
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skdim._versions import __version__
from skdim.base import InfoMaxTransformer
from skdim.export.agreement import as_float32_if_it_holds, first_of, typical
from skdim.inputs.sequences import unequal_shapes
from skdim.inputs.tables import as_array
from skdim.inputs.views import is_list_of_arrays

#: Rows of the trial samples. Of one row torch.export would conclude that a batch has one.
N_TRIED = 3
#: Characters of a value that an error or metadata repeat; some values hold whole networks.
MOST_WRITTEN = 200
SHORT = reprlib.Repr()
SHORT.maxother = SHORT.maxstring = MOST_WRITTEN
#: The exporters change settings of the whole process: torch's modes, the filters of warnings.
ALONE = threading.RLock()


def to_torch_export(
    transformer: InfoMaxTransformer, path: str | os.PathLike[str] | None = None, X: Any = None, lengths: Any = None
) -> torch.export.ExportedProgram:
    """Write a fitted transformer as a program of torch.export, which runs in torch without skdim, and in C++.

    Parameters
    ----------
    transformer : transformer of skdim
        Fitted.
    path : str or path-like, default=None
        The file to write, by custom of torch with the suffix ``.pt2``; with None the program is only returned.
    X, lengths : array-like
        As in :func:`to_onnx`. A program of a transformer whose fit was given lengths takes them too.

    Returns
    -------
    torch.export.ExportedProgram
        ``program.module()(X)`` returns the features; the number of rows is free. The file holds the metadata of
        :func:`to_onnx` as the extra file ``skdim.json``.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        If ``transformer`` is none of skdim, ``X`` has another shape than the fitted samples, or ``lengths`` have no use.

    Notes
    -----
    Exports in several threads wait for each other. While one runs, features that other threads compute may differ by rounding,
    since torch's exporter changes settings of the whole process.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_digits
    >>> from skdim import DeepInfoMaxTransformer
    >>> from skdim.export import to_torch_export
    >>> X = load_digits().data.astype("float32")
    >>> dim = DeepInfoMaxTransformer(8, encoder="mlp", hidden_layer_sizes=(16,), max_iter=1, random_state=0).fit(X)
    >>> features = to_torch_export(dim).module()(torch.from_numpy(X))
    >>> bool(abs(features.detach().numpy() - dim.transform(X)).max() < 1e-5)
    True
    """
    check_ours(transformer, "to_torch_export")
    inputs = inputs_of(transformer, X, lengths)
    with alone():
        program = program_of(transformer, list(inputs.values()), "lengths" in inputs)
    if path is not None:
        torch.export.save(program, os.fspath(path), extra_files={"skdim.json": json.dumps(metadata_of(transformer))})
    return program


def check_ours(transformer: Any, function: str) -> None:
    """Raise a TypeError or NotFittedError unless this is a fitted transformer of skdim."""
    if not isinstance(transformer, InfoMaxTransformer):
        raise TypeError(f"{function} writes transformers of skdim, got {transformer!r}; to_onnx writes pipelines too.")
    check_is_fitted(transformer)


def inputs_of(model: Any, X: Any, lengths: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Return samples of the shapes and types that a file takes, by the names of its inputs."""
    first = first_of(model)
    if X is None:
        X = as_float32_if_it_holds(typical(model))
    if not hasattr(first, "views") and (shapes := unequal_shapes(X)):
        raise ValueError(
            f"X holds samples of unequal shapes, from {shapes[0]} to {shapes[-1]}. A file takes series as one padded array of "
            "fixed length, with lengths: leave X out, or give both so."
        )
    if is_list_of_arrays(X):
        inputs = {f"view{i}": as_array(view) for i, view in enumerate(X)}
    else:
        inputs = {"X": as_array(X)}
    for name, part in inputs.items():
        if part.dtype.kind not in "fiub":
            raise ValueError(f"{name} must hold real numbers, got an array of dtype {part.dtype}.")
        inputs[name] = part.astype(part.dtype.newbyteorder("="), copy=False)
    takes_lengths = lengths is not None or (isinstance(first, InfoMaxTransformer) and first.as_module().needs_lengths)
    return {**inputs, "lengths": np.zeros(N_TRIED, dtype=np.int64)} if takes_lengths else inputs


def metadata_of(model: Any) -> dict[str, str]:
    """Return the class, the parameters and the versions that wrote a model; of objects, the beginning of their repr."""
    return {
        "class": type(model).__name__,
        "parameters": json.dumps(model.get_params(deep=not isinstance(model, InfoMaxTransformer)), default=SHORT.repr),
        "skdim_version": __version__,
        "torch_version": str(torch.__version__),
        "scikit_learn_version": sklearn.__version__,
    }


def network_of(
    transformer: InfoMaxTransformer, inputs: Sequence[Any], has_lengths: bool
) -> tuple[nn.Module, list[Any]]:
    """Return the network of a transformer and trial samples that it takes; of ``inputs``, types and shapes count."""
    tried: list[Any] = [
        torch.ones(N_TRIED, *part.shape[1:], dtype=torch.from_numpy(part[:0].copy()).dtype) for part in inputs
    ]
    if has_lengths:
        tried[-1] = torch.full((N_TRIED,), tried[0].shape[-1])
    n_views = len(tried) - has_lengths
    arguments = [tried[0] if n_views == 1 else tried[:n_views], *tried[n_views:]]
    network = transformer.as_module().cpu().requires_grad_(False)
    network(*arguments)  # raises the error of a wrong shape
    return network, arguments


def program_of(
    transformer: InfoMaxTransformer, inputs: Sequence[Any], has_lengths: bool
) -> torch.export.ExportedProgram:
    """Return the network of a transformer as a program of as many rows as are given."""
    network, arguments = network_of(transformer, inputs, has_lengths)
    rows = {0: torch.export.Dim("batch")}
    of_each = tuple([rows] * len(part) if isinstance(part, list) else rows for part in arguments)
    return torch.export.export(network, tuple(arguments), dynamic_shapes=of_each)


@contextmanager
def alone() -> Iterator[None]:
    """Export in one thread at a time, and hold back what the libraries say of each other: what is missing, or deprecated."""
    logger = logging.getLogger("torch.onnx")
    with ALONE, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", "The tensor attributes? .*_flat_weights", UserWarning)  # of every nn.GRU
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
