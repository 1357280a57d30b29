"""A fitted transformer, or a pipeline with one, as one ONNX graph."""

from __future__ import annotations

import functools
import os
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.base import is_classifier, is_clusterer, is_outlier_detector, is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC
from sklearn.utils.validation import check_is_fitted

from skdim.base import InfoMaxTransformer
from skdim.exceptions import optional
from skdim.export.agreement import N_COMPARED, check_agreement, first_of
from skdim.export.program import N_TRIED, SHORT, alone, inputs_of, metadata_of, network_of, program_of

if TYPE_CHECKING:
    import onnx

#: The version of ONNX's operators: what torch's exporter writes and every onnxruntime since 1.14 (2023) runs.
OPSET = 18
#: The version of ONNX's operators for machine learning that scikit-learn's steps need.
OPSET_ML = 3
#: The types of numbers that skl2onnx takes.
TAKEN = ("bool", "int8", "int32", "int64", "uint8", "float32", "float64")
#: The domain of nodes that stand for a transformer until its graph takes their place.
DOMAIN = "skdim"
#: Characters of another library's error that are repeated; some hold whole models.
MOST_WRITTEN = 400


def to_onnx(
    model: Any, path: str | os.PathLike[str] | None = None, X: Any = None, lengths: Any = None
) -> onnx.ModelProto:
    """Write a fitted transformer, or a pipeline with one, as one ONNX graph.

    torch's exporter writes the transformers of skdim, and skl2onnx the other steps. Needs the extra ``onnx``.

    Parameters
    ----------
    model : transformer of skdim, Pipeline, or search over one of them
        Fitted. The other steps are those that skl2onnx converts, which are most of scikit-learn's.
    path : str or path-like, default=None
        The file to write; with None the graph is only returned.
    X : array-like of shape (n_samples, n_features) or (n_samples, ...), or list of them, default=None
        Samples as the graph is to be given them: it takes their shape and type (uint8, float32, float64, ...), and their
        values are what it is compared with the model on. A list has one array for each view. Of a frame that a
        ColumnTransformer takes first, each column is an input of shape ``(n_samples, 1)`` by its name: words are strings,
        numbers and booleans float32. With None the graph takes float32, or float64 where float32 would round by more than 1e-5
        of a column's standard deviation, of shape ``(n_samples, *input_shape_)`` if a transformer comes first, else
        ``(n_samples, n_features_in_)``.
    lengths : array-like of int of shape (n_samples,), default=None
        If given, the graph takes lengths too, of padded sequences of :class:`~skdim.CPCTransformer`. It also does if the fit
        was given lengths.

    Returns
    -------
    onnx.ModelProto
        Its inputs are "X" (of a list "view0", "view1", ..., of a frame the names of columns) and "lengths", its outputs
        "features" of a transformer; "label" and "probabilities" of a classifier, or "scores" if it has no ``predict_proba``;
        "prediction" of a regressor. The
        number of rows is free. ``metadata_props`` hold the class, the parameters as JSON, and the versions that wrote it.

    Raises
    ------
    ImportError
        If onnx, onnxscript or skl2onnx are not installed.
    TypeError
        If skl2onnx does not convert a step.
    ValueError, NotFittedError
        If the graph gives other values than the model, which is looked at if onnxruntime is installed; the error names the
        step. If ``X`` has another shape than the fitted samples or a type that skl2onnx does not take, or ``lengths`` have no
        use.

    Notes
    -----
    Samples are standardised in float64, as in ``transform``; the rest is float32. So features differ from those of
    ``transform`` by rounding, at most 1e-5 of the largest feature, and labels only where two classes tie to rounding.

    Exports in several threads wait for each other. While one runs, features that other threads compute may differ by rounding,
    since torch's exporter changes settings of the whole process.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdim import DeepInfoMaxTransformer
    >>> from skdim.export import to_onnx
    >>> X = load_digits().data
    >>> dim = DeepInfoMaxTransformer(8, encoder="mlp", hidden_layer_sizes=(16,), max_iter=1, random_state=0).fit(X)
    >>> graph = to_onnx(dim).graph
    >>> [(part.name, [d.dim_param or d.dim_value for d in part.type.tensor_type.shape.dim]) for part in graph.input]
    [('X', ['batch', 64])]
    """
    onnx, skl2onnx, _ = (optional(module, "to_onnx", "onnx") for module in ("onnx", "skl2onnx", "onnxscript"))
    check_is_fitted(model)
    plain = _plain(model)
    _refuse_unwritten(plain, X)
    inputs = _columns(X) if _is_by_column(plain, X) else inputs_of(plain, X, lengths)
    if isinstance(first_of(plain), InfoMaxTransformer):
        network_of(first_of(plain), list(inputs.values()), "lengths" in inputs)
    for name, part in inputs.items():
        if part.dtype.name not in (*TAKEN, "object"):
            raise ValueError(
                f"{name} is {part.dtype}, which skl2onnx does not take; give {name} as one of {', '.join(TAKEN)}, such as "
                "float32, and cast to it what the graph is given."
            )
    with alone():
        proto = _graph_of(inputs, plain)
        compared = {name: part[:N_COMPARED] for name, part in inputs.items()}
        frame = X[:N_COMPARED] if _is_by_column(plain, X) else None
        check_agreement(plain, compared, frame, proto, functools.partial(_graph_of, inputs))
    for part in [*proto.graph.input, *proto.graph.output]:
        part.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.helper.set_model_props(proto, metadata_of(model) | {"skl2onnx_version": skl2onnx.__version__})
    if path is not None:
        onnx.save_model(proto, os.fspath(path))
    return proto


def _graph_of(inputs: dict[str, Any], plain: Any) -> Any:
    """Return the graph of a model that is given ``inputs``."""
    onnx, skl2onnx, types = (
        optional(module, "to_onnx", "onnx") for module in ("onnx", "skl2onnx", "skl2onnx.common.data_types")
    )
    converted = plain
    is_integer = list(inputs) == ["X"] and inputs["X"].dtype.kind in "iub"
    if is_integer and not isinstance(first_of(plain), InfoMaxTransformer):
        cast = optional("skl2onnx.sklapi", "to_onnx", "onnx").CastTransformer(dtype=np.float32)
        converted = Pipeline([("cast", cast.fit(np.zeros((1, 1)))), ("model", plain)])
    words = {name: part.astype(str) for name, part in inputs.items() if part.dtype.kind == "O"}
    kinds = {name: types.guess_data_type(part)[0][1] for name, part in (inputs | words).items()}
    for name, kind in kinds.items():
        kind.shape = [None, *inputs[name].shape[1:]]
    parts: dict[str, Any] = {}
    ours, last, outputs = _subclasses(InfoMaxTransformer), _last(plain), _outputs(plain)
    # Probabilities as an array and no list of dictionaries; LinearSVC, which has none, is the one that knows no such option.
    options = {} if isinstance(last, LinearSVC) else {"zipmap": False}
    try:
        proto = skl2onnx.convert_sklearn(
            converted,
            initial_types=list(kinds.items()),
            final_types=[(name, None) for name in outputs],
            options={id(last): options} if is_classifier(last) else None,
            target_opset={"": OPSET, "ai.onnx.ml": OPSET_ML},
            custom_conversion_functions=dict.fromkeys(ours, functools.partial(_convert, parts)),
            custom_shape_calculators=dict.fromkeys(ours, _set_shape),
            custom_parsers=dict.fromkeys(ours, _parse),
        )
        _put_together(proto, parts)
        _rename(proto, inputs)
        onnx.checker.check_model(proto, full_check=True)
    except Exception as error:  # of two libraries, which raise errors of many kinds for what they do not know
        raise TypeError(
            f"This {type(plain).__name__} cannot be written as ONNX: {type(error).__name__}: "
            f"{textwrap.shorten(str(error), MOST_WRITTEN)} Export the transformer by "
            "itself, or replace the step by one that skl2onnx converts. Where types of numbers clash, give X as float32."
        ) from error
    return proto


def _refuse_unwritten(plain: Any, X: Any) -> None:
    """Raise a ValueError that names a step which skl2onnx would write otherwise, or not find the columns of."""
    steps = [plain, *plain.get_params().values()]
    steps += [step for each in steps for _, step, _ in getattr(each, "transformers_", [])]
    for step in steps:
        if getattr(step, "add_indicator", False) is True:
            raise ValueError(
                f"skl2onnx writes no indicators of missing values, which {step!r} adds. Give it add_indicator=False, or "
                "apply it before the graph."
            )
    parts = getattr(first_of(plain), "transformers_", [])
    names = [each for _, _, columns in parts if isinstance(columns, list) for each in columns if isinstance(each, str)]
    if names and not _is_by_column(plain, X):
        raise ValueError(
            f"{type(first_of(plain)).__name__} takes columns by name, such as {names[0]!r}: give X as a frame with the fitted "
            "columns, of which the graph makes an input each."
        )


def _is_by_column(plain: Any, X: Any) -> bool:
    """Return whether a graph has an input for each column: of a frame that a ColumnTransformer takes first."""
    return hasattr(X, "columns") and hasattr(first_of(plain), "transformers_")


def _columns(X: Any) -> dict[str, Any]:
    """Return the columns of a frame (n, 1) by name; words as objects, the others in float32: ONNX fills no float64."""
    inputs = {str(name): np.asarray(X[[name]]) for name in X.columns}
    for name, part in inputs.items():
        if part.dtype.kind in "OUT":
            others = [value for value in part.flat if not isinstance(value, str)]
            if others:
                raise ValueError(
                    f"Column {name!r} of X holds other values than words, such as {SHORT.repr(others[0])}, and "
                    "no word is missing in ONNX: fill the column before the fit, by a word such as 'missing'."
                )
            inputs[name] = part.astype(object)
        else:
            inputs[name] = part.astype(np.float32)
    return inputs


def _plain(model: Any) -> Any:
    """Return what a model does, of fitted parts: searches, frozen estimators and steps that pass through are looked through."""
    if hasattr(model, "best_estimator_"):
        return _plain(model.best_estimator_)
    if isinstance(model, FrozenEstimator):
        return _plain(model.estimator)
    if isinstance(model, Pipeline):
        return Pipeline([(name, _plain(step)) for name, step in model.steps if step not in (None, "passthrough")])
    return model


def _last(model: Any) -> Any:
    return _last(model.steps[-1][1]) if isinstance(model, Pipeline) else model


def _outputs(model: Any) -> list[str]:
    last = _last(model)
    if is_classifier(last):
        return ["label", "probabilities" if hasattr(last, "predict_proba") else "scores"]
    if is_clusterer(last) or is_outlier_detector(last):
        return ["label", "scores"]
    return ["prediction" if is_regressor(last) else "features"]


def _subclasses(kind: type[Any]) -> list[type[Any]]:
    return [each for below in kind.__subclasses__() for each in (below, *_subclasses(below))]


def _parse(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Declare a transformer, which takes all inputs and returns features in float32."""
    types = optional("skl2onnx.common.data_types", "to_onnx", "onnx")
    operator = scope.declare_local_operator(scope.get_unique_operator_name("skdim"), model)
    operator.inputs = inputs
    operator.outputs.append(scope.declare_local_variable("features", types.FloatTensorType()))
    return operator.outputs


def _set_shape(operator: Any) -> None:
    operator.outputs[0].type.shape = [None, len(operator.raw_operator.get_feature_names_out())]


def _convert(parts: dict[str, Any], scope: Any, operator: Any, container: Any) -> None:
    """Write a transformer by torch's exporter to ``parts``, and put a node in its place: skl2onnx cannot sort its own nodes."""
    onnx = optional("onnx", "to_onnx", "onnx")
    types = optional("skl2onnx.common.data_types", "to_onnx", "onnx")
    transformer, names = operator.raw_operator, [variable.onnx_name for variable in operator.inputs]
    inputs = []
    for variable in operator.inputs:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(types.guess_proto_type(variable.type))
        shape = variable.type.shape[1:]
        known = shape if all(isinstance(side, int) for side in shape) else [transformer.n_features_in_]
        inputs.append(np.empty((N_TRIED, *known), dtype))
    program = program_of(transformer, inputs, "lengths" in names)
    options: dict[str, Any] = {"input_names": [f"in{i}" for i in range(len(names))], "output_names": ["out"]}
    written = torch.onnx.export(program, dynamo=True, verbose=False, opset_version=OPSET, **options)
    assert written is not None
    name = scope.get_unique_operator_name("skdim")
    parts[name] = onnx.compose.add_prefix(written.model_proto, f"{name}/").graph
    outputs = [variable.onnx_name for variable in operator.outputs]
    container.add_node(name, names, outputs, op_domain=DOMAIN, op_version=1, name=name)


def _rename(proto: Any, names: Iterable[str]) -> None:
    """Give the inputs of a graph the names of columns, which skl2onnx writes without spaces."""
    new = {part.name: name for part, name in zip(proto.graph.input, names, strict=True)}
    for part in proto.graph.input:
        part.name = new[part.name]
    for node in proto.graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]


def _put_together(proto: Any, parts: dict[str, Any]) -> None:
    """Replace the nodes that stand for transformers by their graphs."""
    helper = optional("onnx.helper", "to_onnx", "onnx")
    nodes = []
    for node in proto.graph.node:
        if node.domain != DOMAIN:
            nodes.append(node)
            continue
        joined = [(name, f"{node.op_type}/in{i}") for i, name in enumerate(node.input)]
        before = [helper.make_node("Identity", [source], [target]) for source, target in joined]
        after = helper.make_node("Identity", [f"{node.op_type}/out"], list(node.output))
        nodes += [*before, *parts[node.op_type].node, after]
        proto.graph.initializer.extend(parts[node.op_type].initializer)
    opsets = {each.domain: each.version for each in proto.opset_import if each.domain != DOMAIN} | {"": OPSET}
    del proto.graph.node[:], proto.opset_import[:]
    proto.graph.node.extend(nodes)
    proto.opset_import.extend(helper.make_opsetid(*each) for each in opsets.items())
