"""Contract 5: what may come in, and what is refused, by an error that says what came and what is allowed."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from helpers import (
    Factory,
    FlatEncoder,
    MapEncoder,
    PairwiseCritic,
    PoolingEncoder,
    ThreeDimensionalEncoder,
    TooWideEncoder,
    arrays,
    images,
    not_a_module,
    relative_difference,
    same_state,
    table,
    tiny,
    tiny_table,
)
from sklearn.exceptions import NotFittedError

from skdim import DeepInfoMaxTransformer
from skdim.bounds import DV, Alpha
from skdim.exceptions import DivergenceError
from skdim.nn.critics import Concat, Inner, Separable
from skdim.nn.encoders import MLP, Conv, Conv1d, ResNet


def refuses(call, error, *words):
    """Check the type of error, and that its text holds each of the words."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    for word in words:
        assert re.search(word, message), f"{word!r} is not in: {message}"


@pytest.fixture(scope="module")
def on_images():
    return tiny().fit(images())


@pytest.fixture(scope="module")
def on_table():
    return tiny_table().fit(table())


def with_value(X, value):
    X = X.copy()
    X[(1,) * X.ndim] = value
    return X


# --------------------------------------------------------------------------------------------------------- bad X, anywhere
BAD_IMAGES = {
    "NaN": (with_value(images(), np.nan), ValueError, ["NaN"]),
    "inf": (with_value(images(), np.inf), ValueError, ["infinity"]),
    "complex": (images().astype(complex), ValueError, ["[Cc]omplex"]),
    "strings": (images().astype(str), ValueError, ["numeric", "strings"]),
    "objects": (np.full((4, 8, 8), object()), TypeError, ["object", "number"]),
    "datetime": (np.zeros((4, 8, 8), dtype="datetime64[s]"), (TypeError, ValueError), ["datetime64", "number|numeric"]),
    "no samples": (np.zeros((0, 8, 8)), ValueError, ["0 sample", "minimum of [12]"]),
    "no values": (np.zeros((5, 0, 8)), ValueError, [r"\(5, 0, 8\)"]),
    "ragged": ([[[1.0, 2.0], [3.0]]] * 4, ValueError, ["inhomogeneous"]),
}
BAD_TABLES = {
    "NaN": (with_value(table(), np.nan), ValueError, ["NaN"]),
    "inf": (with_value(table(), -np.inf), ValueError, ["infinity"]),
    "complex": (table().astype(complex), ValueError, ["[Cc]omplex"]),
    "strings": ([["a", "b"], ["c", "d"]], ValueError, ["numeric", "strings"]),
    "objects": (np.full((4, 6), object()), TypeError, ["object", "number"]),
    "dictionaries": (np.array([[{}] * 6] * 4), TypeError, ["dict", "number"]),
    "words as objects": (np.array([["a"] * 6] * 4, dtype=object), ValueError, ["'a'"]),
    "datetime": (np.zeros((4, 6), dtype="datetime64[s]"), (TypeError, ValueError), ["datetime64", "number|numeric"]),
    "no samples": (np.zeros((0, 6)), ValueError, ["0 sample", "minimum of [12]"]),
    "no features": (np.zeros((5, 0)), ValueError, ["0 feature", "minimum of 1"]),
    "1-D": (np.arange(6.0), ValueError, ["Expected 2D array", "1D array"]),
    "scalar": (5, ValueError, ["Expected 2D array", "scalar"]),
    "None": (None, ValueError, ["Expected 2D array", "None"]),
    "sparse matrix": (scipy.sparse.csr_matrix(np.eye(6)), TypeError, ["[Ss]parse", "dense"]),
    "sparse array": (scipy.sparse.coo_array(np.eye(6)), TypeError, ["[Ss]parse", "dense"]),
    "ragged": ([[1.0, 2.0], [3.0]], ValueError, ["inhomogeneous"]),
}
METHODS = ["fit", "partial_fit", "transform", "score"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", BAD_IMAGES)
def test_bad_images_are_refused(on_images, case, method):
    X, error, words = BAD_IMAGES[case]
    estimator = tiny() if method == "fit" else on_images
    refuses(lambda: getattr(estimator, method)(X), error, *words)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables_are_refused(on_table, case, method):
    X, error, words = BAD_TABLES[case]
    estimator = tiny_table() if method == "fit" else on_table
    refuses(lambda: getattr(estimator, method)(X), error, *words)


@pytest.mark.parametrize("method", ["fit", "partial_fit", "score"])
def test_one_sample_is_refused(on_images, on_table, method):
    for fitted, X in [(on_images, images(1)), (on_table, table(1))]:
        estimator = fitted if method == "score" else type(fitted)(**fitted.get_params(deep=False))
        refuses(lambda: getattr(estimator, method)(X), ValueError, "1 sample", "minimum of 2")  # noqa: B023


def test_one_sample_is_transformed(on_images):
    assert on_images.transform(images(1)).shape == (1, 8)


@pytest.mark.parametrize("method", ["partial_fit", "transform", "score"])
def test_another_shape_than_the_fitted_one_is_refused(on_images, on_table, method):
    for wrong in [np.ones((4, 8, 4)), np.ones((4, 16, 8)), np.ones((4, 1, 8, 8)), np.ones((4, 4, 16))]:
        refuses(
            lambda: getattr(on_images, method)(wrong),  # noqa: B023
            ValueError,
            re.escape(str(wrong.shape[1:])),
            r"\(8, 8\)",
            r"\(64,\)",
        )
    refuses(lambda: getattr(on_images, method)(np.ones((4, 63))), ValueError, "63 features", "expecting 64 features")
    refuses(lambda: getattr(on_table, method)(np.ones((4, 5))), ValueError, "5 features", "expecting 6 features")
    refuses(lambda: getattr(on_table, method)(np.ones((4, 3, 2))), ValueError, r"\(3, 2\)", r"\(6,\)")


def test_half_an_image_after_whole_images():
    fitted = tiny(max_iter=0).fit(np.zeros((2, 28, 28), np.uint8))
    refuses(lambda: fitted.transform(np.zeros((2, 28, 14))), ValueError, r"\(28, 14\)", r"\(28, 28\)", r"\(784,\)")


@pytest.mark.parametrize(
    ("X", "input_shape", "words"),
    [
        (np.ones((4, 64)), (8, 7), [r"\(8, 7\)", r"\(4, 64\)", r"\(56,\)"]),
        (np.ones((4, 8, 8)), (1, 8, 8), [r"\(1, 8, 8\)", r"\(4, 8, 8\)", r"\(64,\)"]),
        (np.ones((4, 8, 8)), (4, 16), [r"\(4, 16\)", r"\(4, 8, 8\)"]),
        (np.ones((4, 64)), (64,), [r"\(64,\)", r"\(H, W\)", "positive integers"]),
        (np.ones((4, 64)), (1, 1, 8, 8), [r"\(1, 1, 8, 8\)", r"\(C, H, W\)"]),
        (np.ones((4, 64)), (8.0, 8.0), [r"\(8\.0, 8\.0\)", "positive integers"]),
        (np.ones((4, 64)), (-8, -8), [r"\(-8, -8\)", "positive integers"]),
        (np.ones((4, 64)), ("8", "8"), ["'8'", "positive integers"]),
    ],
)
def test_input_shape_that_does_not_match(X, input_shape, words):
    refuses(lambda: tiny(input_shape=input_shape).fit(X), ValueError, "input_shape", *words)


def test_input_shape_of_another_kind():
    refuses(lambda: tiny(input_shape=64).fit(np.ones((4, 64))), ValueError, "input_shape", "'tuple'", "Got 64")


@pytest.mark.parametrize("encoder", ["auto", "conv", "resnet", Conv(), ResNet()])
def test_image_too_small(encoder):
    refuses(
        lambda: DeepInfoMaxTransformer(encoder=encoder).fit(np.ones((4, 7, 9))),
        ValueError,
        "at least 8",
        r"\(7, 9\)",
        "mlp",
    )


@pytest.mark.parametrize("encoder", ["conv1d", Conv1d()])
def test_sequence_too_short(encoder):
    refuses(
        lambda: DeepInfoMaxTransformer(encoder=encoder).fit(np.ones((4, 3, 7))), ValueError, "at least 8", r"\(7,\)"
    )


@pytest.mark.parametrize("encoder", ["conv", "resnet"])
def test_table_given_to_an_image_encoder(encoder):
    refuses(
        lambda: DeepInfoMaxTransformer(encoder=encoder).fit(np.ones((4, 64))),
        ValueError,
        encoder,
        r"\(n, H, W\)",
        "input_shape",
        "64 features",
    )


@pytest.mark.parametrize("encoder", ["conv1d", "conv", Conv1d(), Conv(), ResNet()])
def test_samples_of_too_many_dimensions(encoder):
    refuses(lambda: DeepInfoMaxTransformer(encoder=encoder).fit(np.ones((4, 2, 3, 8, 8))), ValueError, r"2, 3, 8, 8\)")


@pytest.mark.parametrize("encoder", ["mlp", FlatEncoder])
def test_samples_of_too_many_dimensions_for_the_augmentation(encoder):
    refuses(lambda: DeepInfoMaxTransformer(encoder=encoder).fit(np.ones((4, 2, 3, 8, 8))), ValueError, r"2, 3, 8, 8\)")


# -------------------------------------------------------------------------------------------------------- bad parameters
BAD_PARAMETERS = [
    ("estimator", "mine", ["'mine'", "infonce", "jsd", "dv", "nwj", "alpha"]),
    ("estimator", 3, ["Got 3", "infonce", "Bound"]),
    ("estimator", None, ["Got None", "infonce"]),
    ("critic", "dot", ["'dot'", "inner", "bilinear", "separable", "concat"]),
    ("critic", 3, ["Got 3", "inner", "callable"]),
    ("critic", ("inner", "dot"), ["'dot'", "inner", "bilinear", "separable", "concat"]),
    ("critic", ("inner", 3), ["3", "inner", "bilinear", "separable", "concat"]),
    ("critic", ("inner",), ["1 of them", r"\(global, local\)"]),
    ("critic", ["inner"] * 3, ["3 of them", r"\(global, local\)"]),
    ("critic", Alpha(), ["Alpha", "inner", "callable"]),
    ("encoder", "cnn", ["'cnn'", "auto", "conv", "conv1d", "mlp", "resnet"]),
    ("encoder", 3, ["Got 3", "conv", "callable"]),
    ("prior", "gamma", ["'gamma'", "uniform", "normal"]),
    ("prior", None, ["Got None", "uniform", "normal"]),
    ("features", "code", ["'code'", "global", "hidden", "local"]),
    ("augment", "flip", ["'flip'", "auto", r"auto\+flip", "callable", "None"]),
    ("augment", True, ["Got True", "auto", "callable", "None"]),
    ("optimizer", "lion", ["'lion'", "adamw", "adam", "sgd", "callable"]),
    ("device", "gpu", ["'gpu'", "auto", "cpu", "cuda", "mps"]),
    ("precision", "float16", ["'float16'", "auto", "float32", "bfloat16"]),
    ("compile", "yes", ["'yes'", "bool"]),
    ("device", "cpu:cpu", ["'cpu:cpu'", "auto", "cpu", "cuda", "mps"]),
    ("device", "", ["''", "auto", "cpu"]),
    ("device", "meta", ["'meta'", "not available", "cpu"]),
    ("device", 0, ["Got 0", "str"]),
    ("device", torch.device("cpu"), ["device", "str"]),
    ("global_weight", -1.0, [r"Got -1\.0", r"\[0\.0, inf\)"]),
    ("local_weight", -0.1, [r"Got -0\.1", r"\[0\.0, inf\)"]),
    ("prior_weight", -1, ["Got -1", r"\[0\.0, inf\)"]),
    ("code_weight", -1, ["Got -1", r"\[0\.0, inf\)", "auto"]),
    ("local_weight", np.nan, ["nan", r"\[0\.0, inf\)"]),
    ("local_weight", "1", ["'1'", r"\[0\.0, inf\)"]),
    ("batch_size", 1, ["Got 1", r"\[2, inf\)"]),
    ("batch_size", 64.0, [r"Got 64\.0", r"\[2, inf\)"]),
    ("n_components", 0, ["Got 0", r"\[1, inf\)"]),
    ("n_components", 2.5, [r"Got 2\.5", r"\[1, inf\)"]),
    ("n_locations", 0, ["Got 0", r"\[1, inf\)"]),
    ("max_iter", -1, ["Got -1", r"\[0, inf\)", "auto"]),
    ("max_iter", "all", ["'all'", "auto"]),
    ("learning_rate", 0, ["Got 0", r"\(0\.0, inf\)"]),
    ("learning_rate", -1e-3, [r"Got -0\.001"]),
    ("weight_decay", -1e-3, [r"Got -0\.001"]),
    ("validation_fraction", 1.0, [r"Got 1\.0", r"\(0\.0, 1\.0\)"]),
    ("n_iter_no_change", 0, ["Got 0"]),
    ("tol", -1.0, [r"Got -1\.0"]),
    ("early_stopping", "yes", ["'yes'", "bool"]),
    ("warm_start", "yes", ["'yes'", "bool"]),
    ("random_state", "seed", ["'seed'", "RandomState"]),
    ("random_state", -1, ["-1"]),
    ("verbose", "loud", ["'loud'"]),
    ("hidden_layer_sizes", "wide", ["'wide'", "auto"]),
    ("hidden_layer_sizes", 64, ["Got 64", "tuple"]),
]


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(("name", "value", "words"), BAD_PARAMETERS, ids=lambda value: str(value)[:20])
def test_bad_parameter(name, value, words, method):
    estimator = DeepInfoMaxTransformer(**{name: value})
    refuses(lambda: getattr(estimator, method)(images(20)), (ValueError, TypeError), name, *words)
    assert set(vars(estimator)) == set(estimator.get_params(deep=False))


@pytest.mark.parametrize("sizes", [(0,), (8, -1), (8.0,), ("8",), (True,)])
@pytest.mark.parametrize("encoder", ["mlp", "conv", "conv1d", "resnet"])
def test_bad_hidden_layer_sizes(encoder, sizes):
    refuses(
        lambda: DeepInfoMaxTransformer(encoder=encoder, hidden_layer_sizes=sizes).fit(images(20)),
        ValueError,
        "hidden_layer_sizes",
        "positive integer",
        re.escape(repr(sizes)),
    )


def test_mlp_without_layers():
    refuses(
        lambda: DeepInfoMaxTransformer(encoder="mlp", hidden_layer_sizes=()).fit(table()),
        ValueError,
        "hidden_layer_sizes",
        "at least (1|one)",
        r"\(\)",
    )


@pytest.mark.parametrize(
    ("configured", "words"),
    [
        ({"critic": Separable(width=0)}, ["width", "positive integer", "0"]),
        ({"critic": Separable(hidden_layer_sizes=(0,))}, ["hidden_layer_sizes", "positive integer", "0"]),
        ({"critic": Concat(hidden_layer_sizes=())}, ["hidden_layer_sizes", "at least (1|one)"]),
        ({"critic": Concat(hidden_layer_sizes=(2.5,))}, ["hidden_layer_sizes", r"2\.5"]),
        ({"critic": ("inner", Separable(width="wide"))}, ["width", "'wide'"]),
        ({"encoder": Conv(channels=(0,))}, ["channels", "positive integer"]),
        ({"encoder": Conv(kernel_size=4)}, ["kernel_size", "odd", "4"]),
        ({"encoder": Conv(norm="layer")}, ["norm", "'layer'", "batch", "group"]),
        ({"encoder": ResNet(norm="layer")}, ["norm", "'layer'", "batch", "group"]),
        ({"encoder": MLP(hidden_layer_sizes=())}, ["hidden_layer_sizes", "at least (1|one)"]),
        ({"encoder": Conv1d(kernel_size=0)}, ["kernel_size", "odd", "0"]),
        ({"estimator": Alpha(alpha=2.0)}, ["alpha", r"\[0, 1\]", r"2\.0"]),
        ({"estimator": DV(momentum=1.0)}, ["momentum", r"\[0, 1\)", r"1\.0"]),
    ],
    ids=str,
)
def test_bad_parameter_of_a_configured_object(configured, words):
    refuses(lambda: DeepInfoMaxTransformer(**configured).fit(images(20)), ValueError, *words)


def test_a_configured_object_names_its_parameters():
    refuses(lambda: Alpha().set_params(beta=1), ValueError, "'beta'", "Alpha", r"\['alpha'\]")


def test_all_weights_zero():
    for weights in [{}, {"code_weight": 0}, {"augment": None}]:
        estimator = tiny(global_weight=0, local_weight=0, prior_weight=0, **weights)
        refuses(
            lambda: estimator.fit(images(20)),  # noqa: B023
            ValueError,
            "global_weight",
            "local_weight",
            "prior_weight",
            "code_weight",
            "positive",
        )


def test_unknown_features_at_transform(on_images):
    wrong = tiny().fit(images(40)).set_params(features="code")
    refuses(lambda: wrong.transform(images(4)), ValueError, "'code'", "global", "hidden", "local")
    refuses(lambda: wrong.get_feature_names_out(), ValueError, "'code'", "global", "hidden", "local")


# An option without effect is an error.
@pytest.mark.parametrize(
    ("params", "X", "words"),
    [
        ({"code_weight": 1.0, "augment": None}, images(20), ["code_weight", "augment=None"]),
        ({"augment": "auto+flip", "encoder": "mlp"}, table(20), [r"auto\+flip", "table", "'auto'"]),
        ({"augment": "auto+flip", "encoder": "conv1d"}, images(20), [r"auto\+flip", "sequence", "'auto'"]),
        ({"hidden_layer_sizes": (8,), "encoder": Conv()}, images(20), ["hidden_layer_sizes", "no effect", "Conv"]),
        ({"hidden_layer_sizes": (8,), "encoder": FlatEncoder}, images(20), ["hidden_layer_sizes", "no effect"]),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_an_option_without_effect_is_an_error(params, X, words):
    refuses(lambda: tiny(**params).fit(X), ValueError, *words)


def test_auto_flip_for_a_table_is_refused_before_training():
    refuses(lambda: tiny_table(max_iter=0, augment="auto+flip").fit(table()), ValueError, r"auto\+flip")


# ------------------------------------------------------------------------------------------------------------- factories
@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        (TooWideEncoder, [r"\(n, 8\)", r"\(2, 9\)"]),
        (ThreeDimensionalEncoder, [r"\(n, 8\)", r"\(2, 8, 1\)"]),
        (PoolingEncoder, [r"\(n, 8\)", "IndexError|ValueError|RuntimeError|returned"]),
    ],
)
@pytest.mark.parametrize("max_iter", [0, 1])
def test_encoder_of_the_wrong_shape(encoder, words, max_iter):
    refuses(lambda: tiny(encoder=encoder, max_iter=max_iter).fit(images(20)), ValueError, "encoder", *words)


@pytest.mark.parametrize("max_iter", [0, 1])
def test_critic_of_the_wrong_shape(max_iter):
    refuses(
        lambda: tiny(critic=PairwiseCritic, max_iter=max_iter).fit(images(20)),
        ValueError,
        "critic",
        r"\(n, m\)",
    )


@pytest.mark.parametrize("name", ["encoder", "critic"])
def test_factory_that_builds_no_module(name):
    refuses(lambda: tiny(**{name: not_a_module}).fit(images(20)), TypeError, name, "nn.Module", "str")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoder", FlatEncoder((1, 8, 8), 8)),
        ("critic", torch.nn.Bilinear(8, 8, 1)),
        ("critic", ("inner", torch.nn.Identity())),
        ("critic", [torch.nn.Identity(), Inner()]),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_an_instance_of_a_module_is_refused(name, value, method):
    refuses(
        lambda: getattr(tiny(**{name: value}), method)(images(20)),
        TypeError,
        name,
        "nn.Module instance",
        "class or a function",
        "clone",
    )


def test_encoder_that_takes_other_arguments():
    refuses(lambda: tiny(encoder=torch.nn.Flatten).fit(images(20)), (TypeError, ValueError), "encoder|argument|shape")


# -------------------------------------------------------------------------------------------------- nothing is left behind
def test_a_refused_fit_leaves_no_trace():
    estimator = tiny()
    before = dict(vars(estimator))
    for X in (images(1), np.ones((4, 7, 7)), np.ones((4, 64))):
        with pytest.raises(ValueError, match=r".+"):
            estimator.fit(X)
        assert vars(estimator) == before
    with pytest.raises(NotFittedError):
        estimator.transform(images())


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_refused_second_fit_leaves_the_first(method):
    X = images()
    estimator = tiny().fit(X)
    before, features = dict(vars(estimator)), estimator.transform(X)
    for params, bad in [
        ({}, X[:1]),
        ({"batch_size": 1}, X),
        ({}, with_value(X, np.nan)),
        ({"device": "gpu"}, X[:, :7]),
    ]:
        with pytest.raises(ValueError, match=r".+"):
            getattr(estimator.set_params(**params), method)(bad)
        estimator.set_params(batch_size=64, device="auto")
        assert vars(estimator) == before
    assert (estimator.transform(X) == features).all()


# ---------------------------------------------------------------------------------------------------------------- works
def test_batch_size_above_n_and_two_samples():
    for X in (images(2), images(3), table(2), table(3)):
        estimator = (tiny if X.ndim == 3 else tiny_table)(batch_size=1000).fit(X)
        assert np.isfinite(estimator.transform(X)).all()
        assert np.isfinite(estimator.score(X))


@pytest.mark.parametrize("n", [2, 3, 5, 7])
def test_no_batch_is_left_with_one_row(n):
    estimator = tiny(batch_size=2).fit(images(n))
    assert np.isfinite(estimator.loss_curve_).all()
    assert np.isfinite(tiny(batch_size=2, early_stopping=True, validation_fraction=0.5).fit(images(2 * n)).lower_bound_)


VIEWS_OF_THE_SAME_NUMBERS = {
    "F-order": np.asfortranarray,
    "non-contiguous": lambda X: np.repeat(X, 2, axis=0)[::2],
    "negative strides": lambda X: X[::-1].copy()[::-1],
    "every second column": lambda X: np.repeat(X, 2, axis=-1)[..., ::2],
    "lists": lambda X: X.tolist(),
    "list of arrays": list,
    "numeric objects": lambda X: X.astype(object),
    "float32": lambda X: X.astype(np.float32),
    "float16": lambda X: X.astype(np.float16),
    "big-endian": lambda X: X.astype(">f8"),
    "int64": lambda X: X.astype(np.int64),
    "int8": lambda X: X.astype(np.int8),
    "uint16": lambda X: X.astype(np.uint16),
    "uint8": lambda X: X.astype(np.uint8),
}


@pytest.mark.parametrize("case", VIEWS_OF_THE_SAME_NUMBERS)
@pytest.mark.parametrize("kind", ["images", "table"])
def test_the_same_numbers_give_the_same_features(kind, case):
    X = images(80) if kind == "images" else np.round(10 * np.abs(table(80)))
    make = tiny if kind == "images" else tiny_table
    expected = make().fit(X).transform(X)
    other = VIEWS_OF_THE_SAME_NUMBERS[case](X)
    assert relative_difference(expected, make().fit(other).transform(other)) < 1e-5


def test_bool():
    X = images(80) > 8
    expected = tiny().fit(X.astype(float)).transform(X.astype(float))
    assert relative_difference(expected, tiny().fit(X).transform(X)) < 1e-5
    X = table(80) > 0
    assert np.isfinite(tiny_table().fit(X).transform(X)).all()


def test_read_only_arrays_and_memory_maps_are_read_and_never_written(tmp_path):
    X = images(80)
    expected = tiny().fit(X).transform(X)
    read_only = X.copy()
    read_only.flags.writeable = False
    np.save(tmp_path / "X.npy", X)
    for mode in ("r", "c"):
        mapped = np.load(tmp_path / "X.npy", mmap_mode=mode)
        estimator = tiny().fit(mapped)
        assert (estimator.transform(mapped) == expected).all()
        assert estimator.score(mapped) == tiny().fit(read_only).score(read_only)
    assert (np.load(tmp_path / "X.npy") == X).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, np.int64, bool])
@pytest.mark.parametrize("kind", ["images", "table"])
def test_X_is_never_written_to(kind, dtype):
    X = (images(40) if kind == "images" else np.abs(table(40))).astype(dtype)
    before = X.copy()
    estimator = (tiny if kind == "images" else tiny_table)(augment="auto").fit(X)
    features = estimator.partial_fit(X).transform(X)
    features += 1  # what transform returns is the caller's
    estimator.score(X)
    assert (before == X).all()
    assert X.dtype == before.dtype


@pytest.mark.parametrize("library", [pd, pl])
def test_frames(library):
    X = table(60)
    names = [f"column {i}" for i in range(X.shape[1])]
    frame = library.DataFrame(dict(zip(names, X.T, strict=True)))
    estimator = tiny_table().fit(frame)
    assert list(estimator.feature_names_in_) == names
    assert relative_difference(tiny_table().fit(X).transform(X), estimator.transform(frame)) < 1e-5
    with pytest.raises(ValueError, match=r"feature names should match"):
        estimator.transform(frame[names[::-1]])


def test_frame_of_images():
    X = images(60)
    frame = pd.DataFrame(X.reshape(60, 64)).rename(columns=str)
    estimator = tiny(input_shape=(8, 8)).fit(frame)
    assert relative_difference(tiny().fit(X).transform(X), estimator.transform(frame)) < 1e-5
    refitted = estimator.fit(X)
    assert not hasattr(refitted, "feature_names_in_")


def test_nullable_and_mixed_columns():
    frame = pd.DataFrame(
        {"i": pd.array([1, 2, 3, 5], dtype="Int64"), "f": [0.5, 1.0, 2.0, 0.0], "b": [True, False] * 2}
    )
    expected = tiny_table().fit(frame.astype(float)).transform(frame.astype(float))
    assert relative_difference(expected, tiny_table().fit(frame).transform(frame)) < 1e-5


def test_frame_with_words():
    refuses(lambda: tiny_table().fit(pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})), ValueError, "'x'")


def test_constant_columns_and_constant_images():
    X = np.column_stack([table(60), np.full(60, 7.0), np.zeros(60)])
    assert np.isfinite(tiny_table().fit(X).transform(X)).all()
    for X in (np.full((20, 8, 8), 3.0), np.zeros((20, 3, 8, 8), np.uint8)):
        assert np.isfinite(tiny().fit(X).transform(X)).all()


@pytest.mark.parametrize("scale", [1e30, 1e-30])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_very_large_and_very_small_values(scale, dtype):
    for make, X in [(tiny, images(80)), (tiny_table, table(80))]:
        expected = make().fit(X).transform(X)
        scaled = (X * scale).astype(dtype)
        assert relative_difference(expected, make().fit(scaled).transform(scaled)) < 1e-3


@pytest.mark.parametrize("value", [1e30, -1e30, 1e-30, 1e300])
def test_a_row_far_from_the_fitted_data_never_gives_nan(on_table, on_images, value):
    # Either features, or an error that says so: no silent NaN.
    for estimator, X in [(on_table, table(40)), (on_images, images(40))]:
        far = with_value(X, value)
        try:
            features = estimator.transform(far)
        except ValueError as error:
            message = str(error)
        else:
            message = "finite" if np.isfinite(features).all() else "not finite"
            others = np.arange(len(X)) != 1
            assert relative_difference(estimator.transform(X)[others], features[others]) < 1e-6
        assert re.match(r"finite|.*(large|far|range)", message)


def test_one_outlier_in_training():
    for make, X in [(tiny, images(80)), (tiny_table, table(80))]:
        far = with_value(X, 1e30)
        assert np.isfinite(make().fit(far).transform(far)).all()


def test_uint8_float_and_unit_scale_agree():
    X = (images(200) * 15.9375).astype(np.uint8)
    features = [tiny(max_iter=8).fit(A).transform(A) for A in (X, X.astype(np.float64), X / 255)]
    assert relative_difference(features[0], features[1]) < 1e-5
    assert relative_difference(features[0], features[2]) < 1e-5


def test_uint8_is_not_converted_whole(monkeypatch):
    # Standardizer is the only place where data changes its type, and sees a batch at a time.
    from skdim.training.batches import Standardizer

    rows = []
    original = Standardizer.__call__
    monkeypatch.setattr(
        Standardizer, "__call__", lambda self, block: (rows.append(len(block)), original(self, block))[1]
    )
    X = np.tile(images(800), (2, 1, 1)).astype(np.uint8)
    estimator = tiny(max_iter=1).fit(X)
    estimator.transform(X)
    assert max(rows) <= 256


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (4, 4, 4), (2, 32)])
def test_stacked_and_flat_agree(shape):
    X = images(80).reshape(80, *shape)
    encoder = "mlp" if min(shape[-2:]) < 8 else Conv(channels=(8, 16, 16))
    stacked = tiny(encoder=encoder).fit(X)
    flat = tiny(encoder=encoder, input_shape=shape).fit(X.reshape(80, -1))
    assert stacked.input_shape_ == flat.input_shape_ == shape
    assert stacked.n_features_in_ == flat.n_features_in_ == 64
    assert same_state(stacked, flat)
    for Z in (X, X.reshape(80, -1)):
        assert (stacked.transform(Z) == flat.transform(Z)).all()
        assert stacked.score(Z) == flat.score(Z)


def test_sequences():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3, 20)).cumsum(axis=2)
    for encoder in ("conv1d", Conv1d(channels=(8, 8))):
        stacked = tiny(encoder=encoder).fit(X)
        flat = tiny(encoder=encoder, input_shape=(3, 20)).fit(X.reshape(60, -1))
        assert stacked.input_shape_ == (3, 20)
        assert arrays(stacked)["shape"] == [3, 20]
        assert same_state(stacked, flat)
    single = tiny(encoder="conv1d").fit(X[:, 0])  # a 2-D X is one channel
    assert single.input_shape_ == (20,)
    assert arrays(single)["shape"] == [1, 20]


def test_a_stack_of_3d_arrays_is_images_unless_the_encoder_says_otherwise():
    X = np.random.default_rng(0).normal(size=(20, 9, 12))
    assert arrays(tiny().fit(X))["shape"] == [1, 9, 12]
    assert arrays(tiny(encoder="conv1d").fit(X))["shape"] == [9, 12]


def test_channels_are_standardised_each():
    X = images(60, channels=3)
    state = arrays(tiny().fit(X))
    np.testing.assert_allclose(state["standardize/mean"], X.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(state["standardize/scale"], X.std((0, 2, 3)), rtol=1e-6)
    state = arrays(tiny_table().fit(table(60)))
    np.testing.assert_allclose(state["standardize/mean"], table(60).mean(0), rtol=1e-6)


@pytest.mark.parametrize("n_channels", [1, 2, 5])
@pytest.mark.parametrize("side", [8, 13, 64])
def test_images_of_many_sizes(n_channels, side):
    X = np.random.default_rng(0).integers(0, 256, size=(6, n_channels, side, side + 3), dtype=np.uint8)
    estimator = tiny(features="local", max_iter=1).fit(X)
    channels, locations = estimator.encoder_(torch.zeros(1, *X.shape[1:])).local.shape[1:]
    assert locations >= 16
    assert estimator.transform(X).shape == (6, channels * locations)


@pytest.mark.parametrize("encoder", [FlatEncoder, Factory(), MapEncoder])
def test_y_is_ignored(encoder):
    X = images(40)
    with_y = tiny(encoder=encoder).fit(X, ["anything"])
    assert same_state(with_y, tiny(encoder=encoder).fit(X))
    assert with_y.score(X, [1]) == with_y.score(X)


# ------------------------------------------------------------------------------------------------------------ divergence
@pytest.mark.parametrize("estimator", ["infonce", "jsd", "dv", "nwj", "alpha"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_divergence_is_a_value_error_and_changes_nothing(estimator, optimizer):
    for make, X in [(tiny, images(80)), (tiny_table, table(80))]:
        dim = make(estimator=estimator, optimizer=optimizer)
        fresh = dict(vars(dim))
        refuses(lambda: dim.set_params(learning_rate=1e9).fit(X), DivergenceError, "diverged", "learning_rate")  # noqa: B023
        assert vars(dim.set_params(learning_rate=fresh["learning_rate"])) == fresh
        assert issubclass(DivergenceError, ValueError)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("warm_start", [False, True])
def test_divergence_leaves_the_fitted_model(method, warm_start):
    X = images(80)
    dim = tiny(warm_start=warm_start).fit(X)
    before, state, features, score = dict(vars(dim)), arrays(dim), dim.transform(X), dim.score(X)
    with pytest.raises(DivergenceError, match="epoch 1"):
        getattr(dim.set_params(learning_rate=1e9), method)(X)
    assert vars(dim.set_params(learning_rate=before["learning_rate"])) == before
    after = arrays(dim)
    assert all(np.asarray(state[name]).tobytes() == np.asarray(after[name]).tobytes() for name in state)
    assert (dim.transform(X) == features).all()
    assert dim.score(X) == score
