"""The state of a fitted transformer as named arrays in a file that runs no code."""

from __future__ import annotations

import json
import os
from typing import Any

from sklearn.base import clone

from skdim.base import InfoMaxTransformer
from skdim.exceptions import optional
from skdim.export.program import SHORT, check_ours, metadata_of
from skdim.training.state import from_arrays, in_json, to_arrays


def to_safetensors(transformer: InfoMaxTransformer, path: str | os.PathLike[str]) -> None:
    """Write the state of a fitted transformer as named arrays with metadata. Needs the extra ``safetensors``.

    The file runs no code when it is read, and can be memory-mapped. Weights have names with "objective/", the standardisation
    with "standardize/". The metadata are the class, the parameters and other fitted attributes as JSON, and the versions.

    Parameters
    ----------
    transformer : transformer of skdim
        Fitted.
    path : str or path-like
        The file to write.

    Raises
    ------
    ImportError
        If safetensors is not installed.
    TypeError, NotFittedError
        If ``transformer`` is none of skdim, or not fitted.
    """
    safetensors = optional("safetensors.numpy", "to_safetensors", "safetensors")
    check_ours(transformer, "to_safetensors")
    arrays, rest = to_arrays(transformer.__getstate__())
    whole = {"parameters": json.dumps(in_json(transformer.get_params(deep=False))), "state": json.dumps(rest)}
    safetensors.save_file(arrays, os.fspath(path), metadata=metadata_of(transformer) | whole)


def from_safetensors(path: str | os.PathLike[str], transformer: InfoMaxTransformer) -> Any:
    """Return a transformer fitted as the one that :func:`to_safetensors` wrote.

    Parameters
    ----------
    path : str or path-like
        The file to read.
    transformer : transformer of skdim
        With the class and the parameters of the one that was written, fitted or not. It is left as it is. The file holds no
        code, so classes and functions among the parameters come from here.

    Returns
    -------
    object
        A fitted transformer, which transforms as the written one to the bit, and continues its training if that could.

    Raises
    ------
    ImportError
        If safetensors is not installed.
    ValueError, TypeError
        If the class or a parameter is another one, or the file was not written by :func:`to_safetensors`.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_digits
    >>> from skdim import DeepInfoMaxTransformer
    >>> from skdim.export import from_safetensors, to_safetensors
    >>> X = load_digits().data
    >>> new = DeepInfoMaxTransformer(8, encoder="mlp", hidden_layer_sizes=(16,), max_iter=1, random_state=0)
    >>> dim = new.fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_safetensors(dim, f"{folder}/dim.safetensors")
    ...     loaded = from_safetensors(f"{folder}/dim.safetensors", new)
    >>> bool((loaded.transform(X) == dim.transform(X)).all())
    True
    """
    safetensors = optional("safetensors", "from_safetensors", "safetensors")
    if isinstance(transformer, type):
        raise TypeError(
            f"transformer is the class {transformer.__name__}: give an estimator of it, with the parameters of the one that "
            "was written."
        )
    try:
        with safetensors.safe_open(os.fspath(path), "numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            metadata = file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise ValueError(f"{os.fspath(path)} is no file of safetensors, or damaged: {error}.") from error
    if "state" not in metadata:
        raise ValueError(
            f"{os.fspath(path)} has no state of a transformer in its metadata: to_safetensors did not write it."
        )
    if metadata["class"] != type(transformer).__name__:
        raise ValueError(f"{os.fspath(path)} holds a {metadata['class']}, got a {type(transformer).__name__}.")
    given, written = in_json(transformer.get_params(deep=False)), json.loads(metadata["parameters"])
    if others := _different(written, given):
        raise ValueError(
            f"Parameters differ from those of {os.fspath(path)}, as name: (written, given): {SHORT.repr(others)}."
        )
    loaded = clone(transformer)
    loaded.__setstate__(from_arrays(arrays, json.loads(metadata["state"]), clone(transformer)))
    return loaded


def _different(written: Any, given: Any, name: str = "") -> dict[str, tuple[Any, Any]]:
    """Return the parts of two JSON values that differ, by names with dots."""
    if written == given:
        return {}
    if isinstance(written, list) and isinstance(given, list) and len(written) == len(given):
        pairs = [(name, *pair) for pair in zip(written, given, strict=True)]
    elif isinstance(written, dict) and isinstance(given, dict):
        pairs = [(f"{name}.{key}".strip("."), written.get(key), given.get(key)) for key in written | given]
    else:
        return {name: (written, given)}
    return {key: value for pair in pairs for key, value in _different(pair[1], pair[2], pair[0]).items()}
