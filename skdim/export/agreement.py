"""Whether a graph gives what its model gives, on samples that are like the fitted ones."""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import is_classifier, is_clusterer, is_outlier_detector, is_regressor
from sklearn.pipeline import Pipeline

from skdim.base import InfoMaxTransformer
from skdim.exceptions import optional

#: Samples that a graph and its model are compared on.
N_COMPARED = 32
#: Largest difference of the two, as a share of the largest value; rounding leaves a hundredth of it.
MOST_APART = 1e-3
#: Largest rounding by float32, in standard deviations of a column, below which a file takes float32.
MOST_ROUNDED = 1e-5

Array = npt.NDArray[Any]


def first_of(model: Any) -> Any:
    """Return the first step of a pipeline, or the model itself."""
    return first_of(model.steps[0][1]) if isinstance(model, Pipeline) else model


def typical(model: Any) -> Array:
    """Return random samples with the fitted mean and scale, as far as the steps before a transformer can be undone."""
    first = first_of(model)
    shape = getattr(first, "input_shape_", (first.n_features_in_,))
    before = []
    while isinstance(model, Pipeline):
        model, rest = model.steps[0][1], model.steps[1:]
        if not isinstance(model, InfoMaxTransformer | Pipeline) and rest and hasattr(model, "inverse_transform"):
            before.append(model)
            model = Pipeline(rest)
    if not isinstance(model, InfoMaxTransformer):
        return np.random.default_rng(0).standard_normal((N_COMPARED, *shape))
    X = _like_fitted(model)
    try:
        for step in reversed(before):
            X = np.asarray(step.inverse_transform(X), dtype=np.float64)
    except ValueError:  # a step that has the method and cannot undo itself, such as an imputer
        X = np.random.default_rng(0).standard_normal((N_COMPARED, *shape))
    return X.reshape(N_COMPARED, *shape)


def _like_fitted(transformer: InfoMaxTransformer) -> Array:
    """Undo the standardisation of random numbers."""
    network: Any = transformer.as_module().cpu()
    random = np.random.default_rng(0).standard_normal((N_COMPARED, *network.network_shape))
    values = (torch.from_numpy(random) * network.scale + network.mean) / network.unit
    if network.mixing is not None:
        mixed = values.unflatten(1, (len(network.mixing), -1))
        values = (torch.linalg.pinv(network.mixing) @ mixed).flatten(1)
    X = torch.zeros(N_COMPARED, math.prod(network.input_shape), dtype=torch.float64)
    X[:, slice(None) if network.used is None else network.used] = values.flatten(1)
    return X.numpy()


def as_float32_if_it_holds(X: Array) -> Array:
    """Return samples in float32, or as they are where that would lose what tells them apart."""
    rounded = X.astype(np.float32)
    spread = X.std(0)
    lost = np.abs(rounded - X).max(0) > MOST_ROUNDED * spread
    return X if (lost & (spread > 0)).any() else rounded


def check_agreement(
    model: Any, inputs: Mapping[str, Array], frame: Any, graph: Any, graph_of: Callable[[Any], Any]
) -> None:
    """Raise a ValueError that names the step whose values differ; onnxruntime computes the graph, if it is installed.

    ``frame`` is what the model takes, if that is no array. ``graph_of`` writes a part of the model, which is compared step by
    step when the whole differs.
    """
    if importlib.util.find_spec("onnxruntime") is None or (apart := _apart(model, inputs, frame, graph)) <= MOST_APART:
        return
    step = type(model).__name__
    if isinstance(model, Pipeline):
        for k, (name, part) in enumerate(model.steps[:-1], 1):
            step = f"the step {name!r}, {part!r}"
            before = Pipeline(model.steps[:k])
            if _apart(before, inputs, frame, graph_of(before)) > MOST_APART:
                break
        else:
            step = "the step {!r}, {!r}".format(*model.steps[-1])
    raise ValueError(
        f"The graph gives other values than the model, by {apart:.2g} of the largest, and from {step} on. Replace the step by "
        "another one, or put it before the graph. If X holds large numbers that differ little, give X as float64."
    )


def _apart(model: Any, inputs: Mapping[str, Array], frame: Any, graph: Any) -> float:
    """Return the largest difference of a graph from its model, as a share of the largest value, or of labels."""
    onnxruntime = optional("onnxruntime", "to_onnx", "onnx")
    inputs = dict(inputs)
    expected: tuple[str, Array] | None = None
    if frame is not None:
        expected = _values(model, frame)
    elif "lengths" not in inputs:
        expected = _values(model, [*inputs.values()] if "view0" in inputs else inputs["X"])
    if expected is None and "X" in inputs:  # values that the model refuses
        info = np.finfo if inputs["X"].dtype.kind == "f" else np.iinfo
        limits = (0, 1) if inputs["X"].dtype.kind == "b" else (info(inputs["X"].dtype).min, info(inputs["X"].dtype).max)
        X = np.clip(typical(model), *limits).astype(inputs["X"].dtype)
        inputs = {"X": X} | ({"lengths": np.full(len(X), X.shape[-1])} if "lengths" in inputs else {})
        expected = _values(model, X)
    if expected is None:
        return 0.0
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    name, values = expected
    found = np.asarray(session.run([name], inputs)[0]).reshape(len(values), -1)
    values = values.reshape(len(values), -1)
    if values.shape != found.shape:
        return math.inf
    if name == "label":
        return float((values != found).mean())
    if (np.isnan(values) != np.isnan(found)).any():
        return math.inf
    largest = np.abs(values).max(initial=0, where=~np.isnan(values))
    return float(
        np.abs(values - found).max(initial=0, where=~np.isnan(values)) / max(largest, np.finfo(np.float32).tiny)
    )


def _values(model: Any, X: Any) -> tuple[str, Array] | None:
    """Return the name and the values of what a model gives; None where it refuses ``X``."""
    name, method = "features", "transform"
    if is_classifier(model) or is_clusterer(model) or is_outlier_detector(model):
        name, method = ("probabilities", "predict_proba") if hasattr(model, "predict_proba") else ("label", "predict")
    elif is_regressor(model):
        name, method = "prediction", "predict"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that columns of a frame had, or of lengths
        try:
            return name, np.asarray(getattr(model, method)(X))
        except ValueError:
            return None
