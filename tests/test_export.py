"""What leaves skdim gives what ``transform`` and ``predict`` give: modules, ONNX graphs, torch programs and safetensors."""

import functools
import json
import subprocess
import sys
import textwrap
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from helpers import IMAGES, LABELS, FlatEncoder, images, same_state, table, tiny, tiny_table
from safetensors import safe_open
from safetensors.numpy import save_file
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    QuantileTransformer,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC

import skdim
from skdim import CPCTransformer, DeepInfoMaxTransformer, MultiViewInfoMaxTransformer
from skdim.exceptions import InputShapeWarning
from skdim.export import from_safetensors, to_onnx, to_safetensors, to_torch_export
from skdim.nn.causal import StridedConv
from skdim.nn.pretrained import Pretrained

LARGEST_ERROR = 1e-5  # of the largest feature
N = 60
LENGTHS = np.arange(N) % 17 + 8
COLOURS = images(N, channels=3)
PADDED = np.cumsum(np.random.default_rng(0).normal(size=(N, 2, 24)), axis=2)
PADDED[np.arange(24) >= LENGTHS[:, None, None].repeat(2, 1)] = 1e6  # must not be read


def multiview(X, **params):
    params = {"encoder": "mlp", "hidden_layer_sizes": (8,), **params}
    return MultiViewInfoMaxTransformer(4, max_iter=1, random_state=0, **params).fit(X)


def cpc(X, lengths=None, **params):
    return CPCTransformer(4, n_steps=4, max_iter=1, random_state=0, **params).fit(X, lengths=lengths)


def sparse_views(lacking):
    """Return a table of which rows lack a view."""
    X = table(N, 8)
    X[::3, 0:2] = np.nan if lacking else 1.0
    return X


GROUPS = [("a", [0, 1]), ("b", [7, 3, 5]), ("c", [6])]  # columns 2 and 4 are not read
#: Fits of all classes, with all encoders, views, contexts and features; the samples and further arguments of transform.
FITS = {
    "conv": lambda: (tiny().fit(images(N)), images(N)),
    "conv, hidden": lambda: (tiny(features="hidden").fit(images(N)), images(N)),
    "conv, local": lambda: (tiny(features="local").fit(images(N)), images(N)),
    "conv1d": lambda: (tiny(encoder="conv1d").fit(PADDED), PADDED),
    "resnet": lambda: (tiny(encoder="resnet").fit(images(N)), images(N)),
    "mlp": lambda: (tiny_table().fit(table(N)), table(N)),
    "a user's encoder": lambda: (tiny(encoder=FlatEncoder).fit(images(N)), images(N)),
    "posterior": lambda: (tiny_table(posterior="gaussian").fit(table(N)), table(N)),
    "noise": lambda: (tiny_table(prior="normal", prior_method="noise").fit(table(N)), table(N)),
    "continued": lambda: (tiny_table(prior_weight=0.1).partial_fit(table(N)), table(N)),
    "halves": lambda: (multiview(images(N)), images(N)),
    "one of two views": lambda: (multiview(images(N), output="bottom", graph="core"), images(N)),
    "quadrants, one encoder": lambda: (multiview(images(N), views="quadrants", shared_encoder=True), images(N)),
    "luminance": lambda: (multiview(COLOURS, views="luminance_chrominance", output="mean"), COLOURS),
    "layers": lambda: (multiview(images(N), views="layers"), images(N)),
    "augment": lambda: (multiview(images(N), views="augment"), images(N)),
    "shift": lambda: (multiview(table(N, 16), views="shift", encoder="conv1d", hidden_layer_sizes="auto"), table(N, 16)),
    "groups": lambda: (multiview(sparse_views(False), views=GROUPS), sparse_views(False)),
    "missing views": lambda: (multiview(sparse_views(True), views=GROUPS), sparse_views(True)),
    "mean of present views": lambda: (multiview(sparse_views(True), views=GROUPS, output="mean"), sparse_views(True)),
    "list": lambda: (multiview([images(N), table(N)]), [images(N), table(N)]),
    "gru": lambda: (cpc(PADDED), PADDED),
    "gru, lengths": lambda: (cpc(PADDED, LENGTHS), PADDED, LENGTHS),
    "mean, lengths": lambda: (cpc(PADDED, LENGTHS, features="mean"), PADDED, LENGTHS),
    "conv, sequence, lengths": lambda: (
        cpc(PADDED, LENGTHS, context="conv", features="sequence", encoder=StridedConv(overlap=2, stride=2)),
        PADDED,
        LENGTHS,
    ),
    "patches": lambda: (cpc(images(N), patch_size=4, context="conv"), images(N)),
}  # fmt: skip


@functools.cache
def fitted(name):
    estimator, X, *lengths = FITS[name]()
    return estimator, X, *lengths, estimator.transform(X, *lengths)


def as_type(X, dtype):
    return [part.astype(dtype) for part in X] if isinstance(X, list) else X.astype(dtype)


def as_tensors(X):
    return [torch.from_numpy(part) for part in X] if isinstance(X, list) else torch.from_numpy(X)


def error(expected, found):
    assert found.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    return np.nanmax(np.abs(found - expected)) / np.nanmax(np.abs(expected))


def run(graph, X, lengths=None):
    """Return the outputs of a graph by name."""
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = {f"view{i}": part for i, part in enumerate(X)} if isinstance(X, list) else {"X": X}
    inputs |= {} if lengths is None else {"lengths": lengths}
    return dict(zip([out.name for out in session.get_outputs()], session.run(None, inputs), strict=True))


# ------------------------------------------------------------------------------------------------------------- modules
@pytest.mark.parametrize("name", FITS)
def test_a_module_is_transform(name):
    estimator, X, *lengths, features = fitted(name)
    module = estimator.as_module()
    assert not module.training
    assert all(part.is_contiguous() for part in [*module.parameters(), *module.buffers()])
    with torch.no_grad():
        for rows in (slice(None), slice(7, 8)):
            part = [view[rows] for view in X] if isinstance(X, list) else X[rows]
            found = module(as_tensors(part), *(torch.from_numpy(each[rows]) for each in lengths)).numpy()
            assert error(features[rows], found) <= LARGEST_ERROR
        float32 = module(as_tensors(as_type(X, np.float32)), *map(torch.from_numpy, lengths)).numpy()
        assert error(features, float32) <= LARGEST_ERROR


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
def test_a_module_takes_any_type_stacked_or_flat(dtype):
    estimator, X, features = fitted("conv")  # pixels from 0 to 16, which all types hold
    tensor = torch.from_numpy(X).to(dtype)
    for given in (tensor, tensor.flatten(1)):
        before = given.clone()
        assert error(features, estimator.as_module()(given).detach().numpy()) <= LARGEST_ERROR
        assert torch.equal(given, before)


def test_a_module_is_a_copy_that_can_be_trained():
    estimator, X, features = fitted("conv")
    module = estimator.as_module()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    tensor = torch.from_numpy(X).requires_grad_(True)
    module.train()(tensor).square().sum().backward()
    assert tensor.grad.abs().sum() > 0
    unused = {name for name, parameter in module.named_parameters() if parameter.grad is None}
    assert unused == {"objective.encoder.code.weight", "objective.encoder.code.bias"}  # and none of critics
    optimizer.step()
    np.testing.assert_array_equal(estimator.transform(X), features)
    assert error(features, module.eval()(tensor).detach().numpy()) > 0.01


def test_a_module_takes_sequences_of_other_lengths():
    estimator, X, _ = fitted("gru")
    longer = np.concatenate([X, X], axis=2)
    for given in (longer, X[:, :, :11]):
        found = estimator.as_module()(torch.from_numpy(given)).detach().numpy()
        assert error(estimator.transform(given), found) <= LARGEST_ERROR


@pytest.mark.parametrize(
    ("name", "shape", "lengths", "message"),
    [
        ("conv", (3, 4, 16), None, r"X has samples of shape \(4, 16\); .* shape \(8, 8\) .* flat as \(64,\)"),
        ("conv1d", (3, 2, 30), None, r"X has samples of shape \(2, 30\); .* shape \(2, 24\)"),
        ("gru", (3, 3, 24), None, r"X has samples of shape \(3, 24\); .* shape \(2, 24\)"),
        ("conv", (3, 8, 8), torch.ones(3, dtype=torch.int64), "lengths are of sequences"),
        ("patches", (3, 8, 8), torch.ones(3, dtype=torch.int64), "lengths are of sequences"),
    ],
)
def test_a_module_refuses_other_shapes(name, shape, lengths, message):
    with pytest.raises(ValueError, match=message):
        fitted(name)[0].as_module()(torch.zeros(shape), lengths)


def test_a_module_refuses_what_is_no_tensor():
    module = tiny_table().fit(table()).as_module()
    for X in (table(), table().tolist(), [table()], None):
        with pytest.raises(TypeError, match=r"must be a tensor.*torch\.from_numpy"):
            module(X)


# ---------------------------------------------------------------------------------------------------------------- ONNX
#: What a graph is given; of each class, encoder, context and kind of view one case.
GRAPHS = {
    "conv": np.uint8,
    "conv1d": np.float64,
    "resnet": np.float32,
    "mlp": np.float32,
    "quadrants, one encoder": np.uint8,
    "luminance": np.float32,
    "layers": np.float64,
    "list": np.float32,
    "missing views": np.float64,
    "mean of present views": np.float64,
    "gru, lengths": np.float64,
    "conv, sequence, lengths": np.float64,
    "patches": np.uint8,
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_is_transform(name):
    estimator, X, *lengths, features = fitted(name)
    X = as_type(X, GRAPHS[name])
    graph = to_onnx(
        estimator, None, X, *(lengths if name.startswith("conv") else [])
    )  # a fit with lengths says so itself
    found = run(graph, X, *lengths)
    assert list(found) == ["features"]
    assert error(features, found["features"]) <= LARGEST_ERROR
    one = run(graph, [part[:1] for part in X] if isinstance(X, list) else X[:1], *(each[:1] for each in lengths))
    assert error(features[:1], one["features"]) <= LARGEST_ERROR


def test_a_file_says_what_wrote_it_and_needs_no_skdim(tmp_path):
    estimator, X, features = fitted("mlp")
    path = tmp_path / "dim.onnx"
    assert to_onnx(estimator, path) == onnx.load(path)
    np.savez(tmp_path / "data.npz", X=X.astype(np.float32), features=features)
    code = """
        import json, sys
        sys.modules |= dict.fromkeys(["skdim", "sklearn", "torch", "onnx"])  # importing them raises ImportError
        import numpy as np, onnxruntime
        session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
        metadata = session.get_modelmeta().custom_metadata_map
        data = np.load(sys.argv[2])
        (features,) = session.run(["features"], {"X": data["X"]})
        print(json.dumps([metadata, float(abs(features - data["features"]).max() / abs(features).max())]))
    """
    arguments = [sys.executable, "-I", "-c", textwrap.dedent(code), path, tmp_path / "data.npz"]
    ran = subprocess.run(arguments, capture_output=True, text=True, check=True)
    metadata, largest = json.loads(ran.stdout)
    assert largest <= LARGEST_ERROR
    assert metadata["class"] == "DeepInfoMaxTransformer"
    assert (metadata["skdim_version"], metadata["torch_version"]) == (skdim.__version__, str(torch.__version__))
    parameters = json.loads(metadata["parameters"])
    assert parameters.keys() == estimator.get_params(deep=False).keys()
    assert (parameters["n_components"], parameters["hidden_layer_sizes"]) == (4, [16, 16])


@pytest.mark.parametrize(
    ("steps", "dtype"), [([], np.uint8), ([StandardScaler()], np.uint8), ([StandardScaler()], np.float32)]
)
def test_the_pipeline_of_digits_predicts_as_the_original_on_all_rows(steps, dtype):
    X = IMAGES.reshape(len(IMAGES), -1)
    dim = tiny(input_shape=(8, 8), n_components=32, max_iter=5)
    pipe = make_pipeline(*steps, dim, StandardScaler(), LogisticRegression(max_iter=2000)).fit(X, LABELS)
    given = X.astype(dtype)
    found = run(to_onnx(pipe, X=given[:2]), given)
    assert list(found) == ["label", "probabilities"]
    np.testing.assert_array_equal(found["label"], pipe.predict(X))
    np.testing.assert_allclose(found["probabilities"], pipe.predict_proba(X), atol=1e-4)


FROZEN = tiny_table().fit(IMAGES.reshape(-1, 64)[:300])
SEARCH = GridSearchCV(make_pipeline(FROZEN, LogisticRegression(max_iter=500)), {"logisticregression__C": [1.0]}, cv=2)
SPLIT = ColumnTransformer([("dim", tiny_table(), slice(0, 40)), ("rest", MaxAbsScaler(), slice(40, 64))])
#: Pipelines, and the names of what their graphs return.
PIPELINES = {
    "linear svm": (make_pipeline(MinMaxScaler(), tiny_table(), LinearSVC()), ["label", "scores"]),
    "ridge classifier": (make_pipeline(Normalizer(), tiny_table(), RidgeClassifier()), ["label", "scores"]),
    "svm": (make_pipeline(PCA(20), tiny_table(), SVC()), ["label", "scores"]),
    "neighbours": (make_pipeline(FunctionTransformer(), tiny_table(), KNeighborsClassifier()), ["label", "probabilities"]),
    "regressor": (make_pipeline(Pipeline([("none", "passthrough"), ("dim", tiny_table())]), Ridge()), ["prediction"]),
    "clusters": (make_pipeline(tiny_table(), KMeans(3, random_state=0, n_init=1)), ["label", "scores"]),
    "transformers": (make_pipeline(tiny_table(), StandardScaler()), ["features"]),
    "two of ours": (make_pipeline(tiny_table(), tiny_table(), LogisticRegression()), ["label", "probabilities"]),
    "columns": (make_pipeline(SPLIT, LogisticRegression(max_iter=500)), ["label", "probabilities"]),
    "a search over frozen features": (
        SEARCH.set_params(estimator__deepinfomaxtransformer=FrozenEstimator(FROZEN)),
        ["label", "probabilities"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_is_one_graph(name):
    pipe, names = PIPELINES[name]
    X, y = IMAGES.reshape(-1, 64)[:300].astype(np.float32), LABELS[:300]
    pipe = clone(pipe).fit(X, y)
    found = run(to_onnx(pipe), X)
    assert list(found) == names
    if names == ["prediction"]:
        np.testing.assert_allclose(found["prediction"][:, 0], pipe.predict(X), rtol=1e-4)
    elif names == ["features"]:
        assert error(pipe.transform(X), found["features"]) <= LARGEST_ERROR
    else:
        np.testing.assert_array_equal(found["label"], pipe.predict(X))


def test_what_cannot_be_written_says_what_and_what_to_do():
    X, y = IMAGES.reshape(-1, 64)[:100], LABELS[:100]
    pipe = make_pipeline(FunctionTransformer(np.log1p), tiny_table(), LogisticRegression(max_iter=500)).fit(X, y)
    with pytest.raises(
        TypeError, match=r"This Pipeline cannot be written as ONNX: .*FunctionTransformer .* replace the step"
    ):
        to_onnx(pipe)
    with pytest.raises(TypeError, match="to_torch_export writes transformers of skdim, got Pipeline"):
        to_torch_export(pipe)
    with pytest.raises(NotFittedError):
        to_onnx(tiny())
    estimator, X, _ = fitted("conv")
    with pytest.raises(ValueError, match=r"X has samples of shape \(8, 7\)"):
        to_onnx(estimator, X=X[:, :, :7])
    with pytest.raises(ValueError, match="lengths are of sequences"):
        to_torch_export(estimator, lengths=LENGTHS)
    with pytest.raises(ValueError, match="X must hold real numbers, got an array of dtype"):
        to_onnx(estimator, X=X.astype(str))


@pytest.mark.parametrize(
    ("missing", "extra", "write"),
    [
        *((name, "onnx", to_onnx) for name in ("onnx", "onnxscript", "skl2onnx")),
        ("safetensors", "safetensors", lambda model: to_safetensors(model, "x")),
        ("safetensors", "safetensors", lambda model: from_safetensors("x", model)),
    ],
)
def test_a_missing_library_is_named_with_its_extra(missing, extra, write, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"needs {missing}, which is not installed: .*\[{extra}\]"):
        write(fitted("mlp")[0])


# -------------------------------------------------------------------------------------------------- torch and safetensors
@pytest.mark.parametrize("name", ["conv", "missing views", "list", "gru, lengths"])
def test_a_program_is_transform(name, tmp_path):
    estimator, X, *lengths, features = fitted(name)
    to_torch_export(estimator, tmp_path / "dim.pt2", X, *lengths)
    files = {"skdim.json": ""}
    network = torch.export.load(tmp_path / "dim.pt2", extra_files=files).module()
    assert json.loads(files["skdim.json"])["class"] == type(estimator).__name__
    for rows in (slice(None), slice(0, 1)):
        part = [view[rows] for view in X] if isinstance(X, list) else X[rows]
        found = network(as_tensors(part), *(torch.from_numpy(each[rows]) for each in lengths)).numpy()
        assert error(features[rows], found) <= LARGEST_ERROR


@pytest.mark.parametrize("name", ["conv", "a user's encoder", "continued", "groups", "luminance", "mean, lengths"])
def test_safetensors_give_the_transformer_back(name, tmp_path):
    estimator, X, *lengths, features = fitted(name)
    path = tmp_path / "dim.safetensors"
    to_safetensors(estimator, path)
    unfitted = clone(estimator)
    loaded = from_safetensors(path, unfitted)
    assert same_state(estimator, loaded)
    np.testing.assert_array_equal(loaded.transform(X, *lengths), features)
    assert not hasattr(unfitted, "n_features_in_")
    for attribute in ("history_", "input_shape_", "n_features_in_", "lower_bound_"):
        assert getattr(loaded, attribute) == getattr(estimator, attribute)
    of_rows = {"lengths": lengths[0]} if lengths else {}
    continued = [each.partial_fit(X, **of_rows) for each in (from_safetensors(path, unfitted), loaded)]
    assert same_state(*continued)
    with safe_open(path, "numpy") as file:
        mean = file.get_tensor("standardize/mean")
    np.testing.assert_array_equal(mean, estimator.__getstate__()["_learner"]["standardize/mean"])


def test_safetensors_keep_names_and_refuse_other_parameters(tmp_path):
    X = pd.DataFrame(table(N)).rename(columns="x{}".format)
    path, estimator = tmp_path / "dim.safetensors", tiny_table().fit(X)
    to_safetensors(estimator, path)
    loaded = from_safetensors(path, tiny_table())
    assert loaded.feature_names_in_.dtype == object
    assert loaded.feature_names_in_.tolist() == X.columns.tolist()
    assert loaded.set_params(features="hidden").transform(X).shape == (N, 16)
    with pytest.raises(ValueError, match=r"Parameters differ .*'n_components': \(4, 5\)"):
        from_safetensors(path, tiny_table(n_components=5))
    with pytest.raises(ValueError, match="holds a DeepInfoMaxTransformer, got a CPCTransformer"):
        from_safetensors(path, CPCTransformer())
    torch_file = tmp_path / "other.safetensors"
    save_file({"a": np.zeros(2)}, torch_file)
    with pytest.raises(ValueError, match="has no state of a transformer"):
        from_safetensors(torch_file, DeepInfoMaxTransformer())
    with pytest.raises(TypeError, match="class DeepInfoMaxTransformer: give an estimator"):
        from_safetensors(path, DeepInfoMaxTransformer)
    torch_file.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"other\.safetensors is no file of safetensors, or damaged"):
        from_safetensors(torch_file, tiny_table())
    with pytest.raises(TypeError, match="to_safetensors writes transformers of skdim"):
        to_safetensors(StandardScaler().fit(X), path)


@pytest.mark.parametrize("lengths", [torch.tensor([20]), torch.full((60,), 20.0), [20] * 60])
def test_lengths_that_do_not_fit_are_refused(lengths):
    estimator, X, *_ = fitted("gru, lengths")
    with pytest.raises(ValueError, match=r"lengths must be a tensor of torch\.int64 of shape \(60,\).*; got"):
        estimator.as_module()(torch.from_numpy(X), lengths)


def test_a_frame_is_no_more_than_its_values():  # warnings are errors here: pandas gives arrays that must not be written to
    X = pd.DataFrame(table())
    dim = tiny_table().fit(X.to_numpy())
    assert len(to_onnx(dim, X=X).graph.input) == 1


def test_what_a_fit_with_lengths_leaves_takes_lengths():
    estimator, X, lengths, features = fitted("gru, lengths")
    found = to_torch_export(estimator, X=X).module()(torch.from_numpy(X), torch.from_numpy(lengths)).numpy()
    assert error(features, found) <= LARGEST_ERROR
    with pytest.warns(InputShapeWarning, match=r"lengths=np.full\(60, 24\) says so"):
        estimator.as_module()(torch.from_numpy(X))


def test_series_of_unequal_length_are_told_to_be_padded():
    series = [
        X[:length] for length, X in zip((16, 20, 24, 20), np.random.default_rng(0).normal(size=(4, 24)), strict=True)
    ]
    cpc = CPCTransformer(4, n_steps=1, max_iter=0).fit(series)
    for given in (series, [np.stack([one, one]) for one in series]):
        for write in (to_onnx, to_torch_export):
            with pytest.raises(ValueError, match=r"unequal shapes.*one padded array.*lengths: leave X out"):
                write(cpc, None, given)


def test_exports_in_threads_wait_for_each_other():
    estimator, X, features = fitted("mlp")
    before = list(warnings.filters)
    with ThreadPoolExecutor(3) as pool:
        graphs = list(pool.map(to_onnx, [estimator] * 3))
    assert warnings.filters == before
    assert all(error(features, run(graph, X.astype(np.float32))["features"]) <= LARGEST_ERROR for graph in graphs)


def test_types_that_onnx_does_not_take_are_named_and_byte_order_does_not_matter():
    estimator, X, features = fitted("mlp")
    graph = to_onnx(estimator, X=X.astype(">f4"))
    assert error(features, run(graph, X.astype(np.float32))["features"]) <= LARGEST_ERROR
    for dtype in (np.float16, np.uint16):
        with pytest.raises(ValueError, match=rf"X is {np.dtype(dtype)}, .* cast to it what the graph is given"):
            to_onnx(estimator, X=X.astype(dtype))


def test_messages_and_metadata_of_a_network_are_short(tmp_path):
    network, path = torch.nn.Sequential(*(torch.nn.LayerNorm(8) for _ in range(20))), tmp_path / "dim.safetensors"
    estimator = tiny_table(encoder=Pretrained(network), hidden_layer_sizes="auto").fit(table(N, 8))
    to_safetensors(estimator, path)
    with pytest.raises(ValueError, match=r"\{'encoder.freeze': \(True, False\)\}\.$"):
        from_safetensors(path, clone(estimator).set_params(encoder__freeze=False))
    pipe = make_pipeline(estimator, StandardScaler()).fit(table(N, 8))
    for model in (estimator, pipe):
        (text,) = [each.value for each in to_onnx(model).metadata_props if each.key == "parameters"]
        assert "Pretrained(" in text
        assert len(text) < 3000


def test_a_graph_that_gives_other_values_names_the_step():
    X, y = IMAGES.reshape(-1, 64)[:200], LABELS[:200]  # some pixels are always 0, of which skl2onnx makes 1
    steps = MinMaxScaler(), QuantileTransformer(n_quantiles=20), tiny_table(), LogisticRegression(max_iter=500)
    pipe = make_pipeline(*steps).fit(X, y)
    with pytest.raises(
        ValueError, match=r"other values .* from the step 'quantiletransformer', QuantileTransformer\(n_q"
    ):
        to_onnx(pipe)


@pytest.mark.parametrize("steps", [[], [StandardScaler()]])
def test_values_that_float32_does_not_tell_apart_are_taken_as_float64(steps):
    X = table(N) + 1e7
    pipe = make_pipeline(*steps, tiny_table()).fit(X)
    assert error(pipe.transform(X), run(to_onnx(pipe), X)["features"]) <= LARGEST_ERROR


def test_a_frame_that_a_column_transformer_takes_is_an_input_for_each_column():
    table_ = pd.DataFrame(table(N, 3), columns=["age", "height", "of a name"])
    table_.loc[::7, "height"] = np.nan
    y = np.arange(N) % 2
    words = {"town": np.where(y, "Oslo", "Rome"), "member": y == 0}
    frame = table_.assign(**words)
    encode = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    prepare = make_column_transformer((encode, make_column_selector(dtype_exclude="number")), remainder=SimpleImputer())
    pipe = make_pipeline(prepare, tiny_table(), LogisticRegression()).fit(frame, y)
    graph = to_onnx(pipe, X=frame[:2])
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    given = {name: frame[[name]].to_numpy(object if name == "town" else np.float32) for name in frame}
    np.testing.assert_allclose(session.run(["probabilities"], given)[0], pipe.predict_proba(frame), atol=1e-5)
    with pytest.raises(ValueError, match="ColumnTransformer takes columns by name, such as 'town': give X as a frame"):
        to_onnx(pipe)
    with pytest.raises(ValueError, match=r"'town' of X holds other values than words, such as .* fill the column"):
        to_onnx(pipe, X=frame[:2].assign(town=[None, "Rome"]))
    pipe = make_pipeline(SimpleImputer(add_indicator=True), tiny_table()).fit(table_)
    with pytest.raises(
        ValueError, match=r"no indicators of missing values, which SimpleImputer\(add_indicator=True\) adds"
    ):
        to_onnx(pipe)
