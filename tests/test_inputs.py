"""One table of bad inputs over all estimators: each is refused by an error that says what to do, and changes nothing."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from helpers import (
    BilinearCritic,
    FlatEncoder,
    KnownGaussian,
    PairwiseCritic,
    PoolingEncoder,
    ThreeDimensionalEncoder,
    TooWideEncoder,
    bilinear_critic,
    images,
    not_a_module,
    table,
    tiny,
    tiny_mi,
    tiny_table,
)
from sklearn.linear_model import LogisticRegression
from torch import nn

from skdim import (
    CPCTransformer,
    DeepInfoMaxTransformer,
    MIEstimator,
    MRMRSelector,
    MultiViewInfoMaxTransformer,
    independence_test,
    mutual_info_features,
)
from skdim.bounds import DV, SMILE, TNCE, Alpha, Bound, InfoNCE, NPair, Triplet
from skdim.evaluation import alignment, effective_rank, linear_probe, uniformity, v_information
from skdim.exceptions import InputShapeWarning, PersistenceWarning
from skdim.inputs.augmentation import ImageAugmentation
from skdim.inputs.partitions import PARTITIONS, Shift
from skdim.nn.causal import GRU, MaskedConv, StridedConv
from skdim.nn.critics import Concat, Cosine, Separable
from skdim.nn.encoders import MLP, Conv, Conv1d, ResNet
from skdim.training.callbacks import DivergenceGuard

ERRORS = (ValueError, TypeError)


def refuses(call, error, *words):
    """Check the type of error, and that its text holds each of the words."""
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert re.search(word, str(caught.value)), f"{word!r} is not in: {caught.value}"


def multiview(**params):
    defaults = {"n_components": 4, "batch_size": 32, "max_iter": 2, "random_state": 0}
    return MultiViewInfoMaxTransformer(**{**defaults, **params})


def cpc(**params):
    defaults = {"n_components": 4, "n_steps": 2, "encoder": StridedConv(width=8, stride=2), "max_iter": 2}
    return CPCTransformer(**{**defaults, "random_state": 0, **params})


IMAGES, FLAT, TABLE = images(), images().reshape(120, 64), table()
SEQUENCES = np.cumsum(np.random.default_rng(0).normal(size=(120, 2, 24)), axis=2)
LENGTHS = np.random.default_rng(1).integers(6, 25, 120)
LENGTHS[:2] = 6, 24
X, Y = (part[:, None] for part in np.random.default_rng(2).multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 400).T)
SIGNS = np.where(Y > 0, "up", "down").ravel()
GROUPS = [("a", slice(0, 2)), ("b", slice(2, 5))]
QUADRANTS = [(name, columns) for name, columns, _ in PARTITIONS["quadrants"]((1, 8, 8))]

#: An estimator on each kind of data, and the data that it takes.
TAKES = {
    "deep InfoMax, images": (tiny, IMAGES),
    "deep InfoMax, table": (tiny_table, TABLE),
    "multi-view, images": (lambda: multiview(hidden_layer_sizes=(8,)), IMAGES),
    "multi-view, columns": (lambda: multiview(views=GROUPS), TABLE),
    "predictive, sequences": (cpc, SEQUENCES),
    "predictive, rows": (cpc, TABLE),
    "MI": (tiny_mi, X),
}


def fitted(name, cache={}):  # noqa: B006 - fitted once, and no test changes it
    if name not in cache:
        make, data = TAKES[name]
        cache[name] = make().fit(data, Y if name == "MI" else None)
    return cache[name]


def methods(name):
    return ["fit", "score", *(["estimate", "pointwise"] if name == "MI" else ["partial_fit", "transform"])]


def called(estimator, method, data):
    return getattr(estimator, method)(*((data, Y) if isinstance(estimator, MIEstimator) else (data,)))


def unchanged(estimator, call, words):
    """Check that a call is refused before training, in words that " & " joins, and leaves the estimator as it was."""
    before = dict(vars(estimator))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DivergenceGuard, "on_batch_end", lambda *_, **__: pytest.fail("training began"))
        refuses(call, ERRORS, *words.split(" & "))
    assert vars(estimator) == before


def with_value(data, value):
    data = data.copy()
    data.reshape(-1)[data[0].size] = value
    return data


# ------------------------------------------------------------------------------------------------------------------- bad X
RAGGED = [[1.0, 2.0], [3.0]] * 60


def filled(value, **options):
    return lambda data: np.full(data.shape, value, **options)


def flat(data):
    return data.reshape(len(data), -1)


#: From good data to bad ones, and words of the error.
BAD_X = {
    "NaN": (lambda data: with_value(data, np.nan), "NaN"),
    "infinity": (lambda data: with_value(data, -np.inf), "inf"),
    "complex": (lambda data: data.astype(complex), "[Cc]omplex"),
    "strings": (filled("a"), "numeric|numbers & string|U1"),
    "strings as objects": (filled("a", dtype=object), "'a'|numbers"),
    "objects": (filled(object()), "object & number"),
    "dictionaries": (filled({}), "dict|object & number"),
    "dates": (lambda data: np.zeros(data.shape, dtype="datetime64[s]"), "datetime64 & number|numeric"),
    "no samples": (lambda data: data[:0], "0 sample & minimum of [12]"),
    "no values": (lambda data: data[:, :0], r"0 feature|no values|0\)"),
    "1-D": (lambda data: np.arange(6.0), "Expected 2D array & 1D array"),
    "scalar": (lambda data: 5, "Expected 2D array & scalar"),
    "None": (lambda data: None, "Expected 2D array & None"),
    "ragged": (
        lambda data: RAGGED,
        r"inhomogeneous|unequal shapes.*\(1,\) to \(2,\).*CPCTransformer|shorter than the 2 samples|\(1, 2\).*\(2, 24\)",
    ),
    "matrix of TF-IDF": (lambda data: scipy.sparse.csr_matrix(flat(data)), "TruncatedSVD"),
    "sparse matrix": (lambda data: scipy.sparse.csr_matrix(flat(data)), "[Ss]parse & dense"),
    "sparse array": (lambda data: scipy.sparse.coo_array(flat(data)), "[Ss]parse & dense"),
    "five axes": (lambda data: np.ones((4, 2, 3, 8, 8)), r"2, 3, 8, 8\)|dim 5|2-D X"),
}


@pytest.mark.parametrize("name", TAKES)
@pytest.mark.parametrize("case", BAD_X)
def test_bad_samples_are_refused(name, case):
    make, words = BAD_X[case]
    if name == "MI" and case.startswith("strings"):  # of which labels are made
        make, words = (lambda data: np.array([None, *["a"] * 399])[:, None]), "missing|None|number"
    for method in methods(name):
        if name == "MI" and case in ("objects", "dictionaries") and method != "fit":
            words = "."  # the message speaks of numbers, which the columns of this fit are
        estimator = TAKES[name][0]() if method == "fit" else fitted(name)
        unchanged(estimator, lambda: called(estimator, method, make(TAKES[name][1])), words)  # noqa: B023


@pytest.mark.parametrize("name", TAKES)
def test_one_sample_is_refused_where_there_must_be_two(name):
    make, data = TAKES[name]
    y = Y[:1] if name == "MI" else None
    for call in (make().fit, fitted(name).score):
        refuses(lambda: call(data[:1], y), ValueError, "1 sample", "minimum of 2")  # noqa: B023
    one = fitted(name).pointwise(data[:1], y) if name == "MI" else fitted(name).transform(data[:1])
    assert len(one) == 1


OTHER_SHAPES = [
    ("deep InfoMax, images", np.ones((4, 8, 4)), r"\(8, 4\) & \(8, 8\) & \(64,\)"),
    ("deep InfoMax, images", np.ones((4, 1, 8, 8)), r"\(1, 8, 8\) & \(8, 8\) & \(64,\)"),
    ("deep InfoMax, images", np.ones((4, 4, 16)), r"\(4, 16\) & \(8, 8\) & \(64,\)"),
    ("deep InfoMax, images", np.ones((4, 63)), "63 features & expecting 64 features"),
    ("deep InfoMax, table", np.ones((4, 5)), "5 features & expecting 6 features"),
    ("deep InfoMax, table", np.ones((4, 3, 2)), r"\(3, 2\) & \(6,\)"),
    ("multi-view, images", np.ones((4, 8, 7)), r"\(8, 7\) & \(8, 8\) & \(64,\)"),
    ("multi-view, columns", np.ones((4, 5)), "5 features & expecting 6 features"),
    ("multi-view, columns", np.ones((4, 3, 2)), r"columns of a 2-D X & \(4, 3, 2\)"),
    ("predictive, sequences", np.ones((4, 3, 24)), r"\(3, 24\) & \(2, 24\)"),
    ("predictive, sequences", SEQUENCES[:, :, :1], "1 sample & shorter than the 2 samples"),
]


@pytest.mark.parametrize(("name", "data", "words"), OTHER_SHAPES)
def test_another_shape_than_the_fitted_one_is_refused(name, data, words):
    for method in ("partial_fit", "transform", "score"):
        unchanged(fitted(name), lambda: getattr(fitted(name), method)(data), words)  # noqa: B023


@pytest.mark.parametrize("method", ["score", "estimate", "pointwise"])
def test_other_columns_than_those_fitted_are_refused_by_mi(method):
    call = getattr(fitted("MI"), method)
    refuses(lambda: call(np.hstack([X, X]), Y), ValueError, "X has 2 features", "1 feature")
    refuses(lambda: call(X, np.hstack([Y, Y])), ValueError, "y has 2 column", "fitted on 1")
    refuses(lambda: call(SIGNS[:, None], Y), ValueError, "X", "'down' in row 0", "[Nn]umber|numeric|float")
    refuses(lambda: call(X, SIGNS), ValueError, "y", "'down' in row 0", "[Nn]umber|numeric|float")


BAD_Y = {
    "None": (None, "requires y & None"),
    "NaN": (with_value(np.hstack([Y, Y]), np.nan), "column 0 of y has 1 missing value"),
    "infinity": (with_value(np.hstack([Y, Y]), np.inf), "^column . of y holds inf in row"),
    "complex": (Y.astype(complex), "[Cc]omplex"),
    "no columns": (Y[:, :0], "0 feature & minimum of 1"),
    "other length": (Y[:-1], "inconsistent & 400 & 399"),
    "sparse": (scipy.sparse.csr_matrix(Y), "[Ss]parse & dense"),
    "three axes": (Y[:, :, None], "dim 3 & <= 2"),
    "scalar": (5, "scalar|dimension"),
    "dates": (np.zeros(400, dtype="datetime64[s]"), "datetime64 & [Nn]umber|numeric"),
    "NaN among strings": (np.array([np.nan, *["a"] * 399], dtype=object), "NaN|missing|number"),
}


@pytest.mark.parametrize("case", BAD_Y)
def test_a_bad_y_is_refused(case):
    y, words = BAD_Y[case]
    for method in ("fit", "score", "estimate", "pointwise"):
        mi = tiny_mi() if method == "fit" else fitted("MI")
        unchanged(mi, lambda: getattr(mi, method)(X, y), words)  # noqa: B023


@pytest.mark.parametrize("name", [name for name in TAKES if TAKES[name][1].ndim == 2])
def test_names_of_columns_must_be_the_fitted_ones(name):
    make, data = TAKES[name]
    frame = pd.DataFrame(data).add_prefix("column ")
    estimator = make().fit(frame, Y if name == "MI" else None)
    other = frame[frame.columns[::-1]] if data.shape[1] > 1 else frame.rename(columns=lambda _: "other")
    refuses(lambda: called(estimator, "score", other), ValueError, "feature names", "column 0|order")


# ---------------------------------------------------------------------------------------------------------- bad parameters
CLASSES = [DeepInfoMaxTransformer, MultiViewInfoMaxTransformer, CPCTransformer, MIEstimator]
#: Of every class that has the parameter: its name, a value, and words of the error, all of which must be there.
SHARED = [
    ("estimator", "mine", "'mine' & infonce & jsd & dv & nwj & alpha"),
    ("estimator", InfoNCE, "infonce & instance"),
    ("estimator", None, "Got None & infonce"),
    ("estimator", Alpha(alpha=2.0), r"alpha & \[0, 1\] & 2\.0"),
    ("estimator", DV(momentum=1.0), r"momentum & \[0, 1\) & 1\.0"),
    ("estimator", SMILE(tau=-1), "tau & positive & -1"),
    ("critic", "dot", "'dot' & inner & bilinear & separable & concat"),
    ("critic", 3, "3 & inner & callable"),
    ("critic", Separable, r"critic is the class Separable & Separable\(\)"),
    ("encoder", Conv, r"encoder is the class Conv & Conv\(\)"),
    ("augment", ImageAugmentation, r"augment is the class & ImageAugmentation\(\)"),
    ("critic", nn.Bilinear(8, 8, 1), "nn.Module instance & class or a function & clone"),
    ("encoder", "cnn", "'cnn' & auto & conv & mlp"),
    ("encoder", 3, "Got 3 & conv & callable"),
    ("encoder", FlatEncoder((1, 8, 8), 8), "nn.Module instance & class or a function & clone"),
    ("hidden_layer_sizes", "wide", "'wide' & auto"),
    ("hidden_layer_sizes", 64, "Got 64 & tuple"),
    ("optimizer", "lion", "'lion' & adamw & adam & sgd & callable"),
    ("optimizer", torch.optim.Optimizer.state_dict, "parameter_groups & lr"),
    ("device", "gpu", "'gpu' & auto & cpu & cuda & mps"),
    ("device", "", "'' & auto & cpu"),
    ("device", "meta", "'meta' & not available & cpu"),
    ("device", torch.device("cpu"), "device & str"),
    ("precision", "float16", "'float16' & auto & float32 & bfloat16"),
    ("compile", "yes", "'yes' & bool"),
    ("batch_size", 1, r"Got 1 & \[2, inf\)"),
    ("batch_size", 64.0, r"Got 64\.0 & \[2, inf\)"),
    ("n_components", 0, r"Got 0 & \[1, inf\)"),
    ("n_components", 2.5, r"Got 2\.5 & \[1, inf\)"),
    ("max_iter", -1, r"Got -1 & \[0, inf\) & auto"),
    ("max_iter", "all", "'all' & auto"),
    ("learning_rate", 0, r"Got 0 & \(0\.0, inf\)"),
    ("weight_decay", -1e-3, r"Got -0\.001"),
    ("validation_fraction", 1.0, r"Got 1\.0 & \(0\.0, 1\.0\)"),
    ("n_iter_no_change", 0, "Got 0"),
    ("tol", -1.0, r"Got -1\.0"),
    ("early_stopping", "yes", "'yes' & bool"),
    ("warm_start", "yes", "'yes' & bool"),
    ("random_state", "seed", "'seed' & RandomState"),
    ("random_state", -1, "-1"),
    ("verbose", "loud", "'loud'"),
    ("input_shape", 64, "'tuple' & Got 64"),
]


OF_CLASSES = [(cls, *row) for row in SHARED for cls in CLASSES if row[0] in cls().get_params(deep=False)]


@pytest.mark.parametrize(("cls", "name", "value", "words"), OF_CLASSES, ids=lambda value: str(value)[:30])
def test_a_bad_parameter_is_refused(cls, name, value, words):
    for method in {"fit", "partial_fit"} & set(dir(cls)):
        estimator, data = cls(**{name: value}), X if cls is MIEstimator else TABLE
        named = words if isinstance(value, Bound) else f"{name} & {words}"
        unchanged(estimator, lambda: called(estimator, method, data), named)  # noqa: B023


class BatchNormEncoder(FlatEncoder):
    """Lets every patch know of all others."""

    def __init__(self, input_shape, n_components):
        super().__init__(input_shape, n_components)
        self.layers.append(nn.BatchNorm1d(n_components))


def views(*groups, **params):
    return {"views": [("a", [0, 1]), *groups], **params}


def sizes(encoder, of_layers):
    return {"encoder": encoder, "hidden_layer_sizes": of_layers}


def patches(**params):
    return {"encoder": MLP((16,)), "patch_size": 4, **params}


def held_out(fraction):
    return {"early_stopping": True, "validation_fraction": fraction}


KNOWN = KnownGaussian(0.8)
BAD_SIZES = [(0,), (8, -1), (8.0,), ("8",), (True,)]
SMALL, SHORT = np.ones((4, 7, 9)), np.ones((4, 3, 7))
NO_TERM = {"global_weight": 0, "local_weight": 0}
#: Parameters of one class, its data, and words of the error.
DEEP_INFOMAX = [
    ({"critic": ("inner", "dot")}, IMAGES, "'dot' & inner & bilinear & separable & concat"),
    ({"critic": ("inner", 3)}, IMAGES, "3 & inner & concat"),
    ({"critic": ("inner",)}, IMAGES, r"1 of them & \(global, local\)"),
    ({"critic": ["inner"] * 3}, IMAGES, r"3 of them & \(global, local\)"),
    ({"critic": ("inner", nn.Identity())}, IMAGES, "critic & nn.Module instance"),
    ({"critic": Separable(width=0)}, IMAGES, "width & positive integer & 0"),
    ({"critic": ("inner", Separable(width="wide"))}, IMAGES, "width & 'wide'"),
    ({"critic": Separable(hidden_layer_sizes=(0,))}, IMAGES, "hidden_layer_sizes & positive integer & 0"),
    ({"critic": Concat(hidden_layer_sizes=())}, IMAGES, "hidden_layer_sizes & at least (1|one)"),
    ({"critic": PairwiseCritic}, IMAGES, r"critic & \(n, m\)"),
    ({"critic": not_a_module}, IMAGES, "critic & nn.Module & str"),
    ({"encoder": not_a_module}, IMAGES, "encoder & nn.Module & str"),
    ({"encoder": TooWideEncoder}, IMAGES, r"encoder & \(n, 8\) & \(5, 9\)"),
    ({"encoder": ThreeDimensionalEncoder}, IMAGES, r"encoder & \(n, 8\) & \(5, 8, 1\)"),
    ({"encoder": PoolingEncoder}, IMAGES, r"encoder & \(n, 8\)"),
    ({"encoder": nn.Flatten}, IMAGES, "encoder|argument|shape"),
    ({"encoder": Conv(channels=(0,))}, IMAGES, "channels & positive integer"),
    ({"encoder": Conv(kernel_size=0)}, IMAGES, "kernel_size & positive integer & 0"),
    ({"encoder": Conv1d(kernel_size=2.0)}, IMAGES, "kernel_size & positive integer & 2.0"),
    ({"encoder": Conv(norm="layer")}, IMAGES, "norm & 'layer' & batch & group"),
    ({"encoder": ResNet(norm="layer")}, IMAGES, "norm & 'layer' & batch & group"),
    ({"encoder": MLP(hidden_layer_sizes=())}, TABLE, "hidden_layer_sizes & at least (1|one)"),
    (sizes("mlp", ()), TABLE, r"hidden_layer_sizes & at least (1|one) & \(\)"),
    *[(sizes("mlp", bad), IMAGES, f"positive & {re.escape(repr(bad))}") for bad in BAD_SIZES],
    *[(sizes(name, (8, 0)), IMAGES, r"positive & \(8, 0\)") for name in ("conv", "conv1d", "resnet")],
    (sizes(Conv(), (8,)), IMAGES, "hidden_layer_sizes & no effect & Conv"),
    (sizes(FlatEncoder, (8,)), IMAGES, "hidden_layer_sizes & no effect"),
    *[({"encoder": name}, SMALL, r"at least 8 & \(7, 9\) & mlp") for name in ("conv", ResNet())],
    *[({"encoder": name}, SHORT, r"at least 8 & \(7,\)") for name in ("conv1d", Conv1d())],
    *[({"encoder": name}, FLAT, rf"{name} & \(n, H, W\) & input_shape & 64 features") for name in ("conv", "resnet")],
    ({"prior": "gamma"}, IMAGES, "prior & 'gamma' & uniform & normal"),
    ({"prior": None}, IMAGES, "prior & Got None & uniform & normal"),
    ({"augment": "flip"}, IMAGES, r"augment & 'flip' & auto & auto\+flip & callable & None"),
    ({"augment": True}, IMAGES, "augment & Got True & auto & callable & None"),
    ({"augment": "auto+flip"}, TABLE, r"auto\+flip & table & 'auto'"),
    ({"augment": "auto+flip", "encoder": "conv1d"}, IMAGES, r"auto\+flip & sequence & 'auto'"),
    ({"global_weight": -1.0}, IMAGES, r"global_weight & Got -1 & \[0\.0, inf\)"),
    ({"local_weight": np.nan}, IMAGES, r"local_weight & nan & \[0\.0, inf\)"),
    ({"local_weight": "1"}, IMAGES, r"local_weight & '1' & \[0\.0, inf\)"),
    ({"prior_weight": -1}, IMAGES, r"prior_weight & Got -1 & \[0\.0, inf\)"),
    ({"code_weight": -1}, IMAGES, r"code_weight & Got -1 & \[0\.0, inf\) & auto"),
    ({"code_weight": 1.0, "augment": None}, IMAGES, "code_weight & augment=None"),
    (NO_TERM, IMAGES, "global_weight & local_weight & prior_weight & code_weight & positive"),
    ({**NO_TERM, "code_weight": 0}, IMAGES, "code_weight & positive"),
    ({**NO_TERM, "augment": None}, IMAGES, "code_weight & positive"),
    ({"n_locations": 0}, IMAGES, r"n_locations & Got 0 & \[1, inf\)"),
    ({"features": "code"}, IMAGES, "features & 'code' & global & hidden & local"),
    ({"input_shape": (8, 7)}, FLAT, r"input_shape & \(8, 7\) & \(120, 64\) & \(56,\)"),
    ({"input_shape": (4, 16)}, IMAGES, r"input_shape & \(4, 16\) & \(120, 8, 8\)"),
    ({"input_shape": (64,)}, FLAT, r"input_shape & \(64,\) & \(H, W\) & positive integers"),
    ({"input_shape": (1, 1, 8, 8)}, FLAT, r"input_shape & \(1, 1, 8, 8\) & \(C, H, W\)"),
    *[({"input_shape": bad}, FLAT, "input_shape & positive integers") for bad in [(8.0, 8.0), (-8, -8), ("8", "8")]],
    (held_out(0.1), IMAGES[:3], "n_samples = 3 & at least 2 & validation_fraction"),
    (held_out(0.95), IMAGES[:10], "n_samples = 10 & at least 2 & validation_fraction"),
]
MULTIVIEW = [
    ({"views": "halves"}, FLAT[:, :1], r"1 feature\(s\).*one view only"),
    ({"views": "halves"}, IMAGES[:, :1], r"1 row\(s\)"),
    ({"views": "quadrants"}, FLAT, "takes images"),
    ({"views": "channels"}, IMAGES, "two channels or more"),
    ({"views": "luminance_chrominance"}, IMAGES, "3 channels"),
    ({"views": "shift"}, IMAGES[:, None], "takes sequences"),
    ({"views": Shift(steps=64)}, FLAT, "longer sequences than 64"),
    ({"views": Shift(steps=0)}, FLAT, "steps of Shift must be a positive integer, got 0"),
    ({"views": "thirds"}, IMAGES, "'views' parameter"),
    ({"views": []}, FLAT, "at least two groups of columns, got 0"),
    (views(), FLAT, "at least two groups of columns, got 1"),
    (views(("b", [1, 2])), FLAT, "Column 1 is in the views 'a' and 'b'"),
    (views(("b", [])), FLAT, "'b' has no columns"),
    (views(("b", slice(70, 80))), FLAT, "'b' has no columns"),
    (views(("a", [2])), FLAT, "names of views must differ"),
    (views(("b__c", [2])), FLAT, "no '__'"),
    (views(("mean", [2])), FLAT, "'mean'"),
    (views(("b", [64])), FLAT, r"columns \[64\], but X has 64 feature"),
    (views(("b", ["x"])), FLAT, "by name, but X is no data frame"),
    (views(("b", ["x"])), pd.DataFrame(FLAT).add_prefix("c"), "column 'x', which X does not have"),
    (views(("b", [True, False])), FLAT, "mask of view 'b' has 2 entries, X has 64"),
    (views(("b", [0.5])), FLAT, "must be an int, a name"),
    (views(("b", [2, 3], (3,))), FLAT, r"shape \(3,\) of view 'b' does not match its 2"),
    (views(("b", [2, 3], (0, 2))), FLAT, "positive integers"),
    (views("b"), FLAT, "A list of views holds"),
    ({"views": QUADRANTS}, IMAGES, "columns of a 2-D X"),
    ({"views": QUADRANTS}, [FLAT, FLAT], "views='auto'"),
    ({"views": QUADRANTS, "input_shape": (8, 8)}, FLAT, "input_shape=.* has no effect"),
    ({}, [FLAT], "1 array"),
    ({}, [FLAT[:9], np.ones((9, 2, 1, 1, 2))], "at most 4 dimensions"),
    ({}, [FLAT, FLAT[:9]], "inconsistent numbers of samples"),
    ({"graph": "ring"}, IMAGES, "'graph' parameter"),
    ({"output": "left"}, IMAGES, "Unknown output 'left'. Allowed values are: .*'top', 'bottom'"),
    ({"negatives": "hard"}, IMAGES, "'negatives' parameter"),
    ({"critic": Cosine(temperature=0)}, IMAGES, "temperature & positive"),
    ({"estimator": Triplet(margin=0)}, IMAGES, "margin & positive"),
    ({"target_mi": 3.5}, IMAGES, "at most 3.466 nats .* batches of 32"),
    ({"target_mi": 3.0, "batch_size": 128}, IMAGES[:20], "batches of 20"),
    ({"target_mi": 1.0, "estimator": "triplet"}, IMAGES, "needs a bound"),
    ({"target_mi": 0.0}, IMAGES, "'target_mi' parameter"),
    ({"encoder": ["mlp", "lstm"]}, IMAGES, "Unknown encoder 'lstm'"),
    ({"encoder": ["mlp"]}, IMAGES, "list of 1 for the 2 views"),
    ({"encoder": ["mlp", "mlp"], "shared_encoder": True}, IMAGES, "shared_encoder=True has one encoder"),
    ({"encoder": ["mlp", "mlp"], "views": "layers"}, IMAGES, "views='layers' has one encoder"),
    ({"views": "layers", "shared_encoder": True}, IMAGES, "would have no effect"),
    (sizes(MLP((8,)), (4,)), IMAGES, "would have no effect"),
    ({"shared_encoder": True}, IMAGES[:, :5], "views of one shape"),
    ({"encoder": "conv"}, IMAGES, "sides of at least 8"),
]
PREDICTIVE = [
    ({"n_steps": 0}, SEQUENCES, "n_steps & 0"),
    ({"context": "lstm"}, SEQUENCES, "context & lstm & gru"),
    ({"context": GRU(n_layers=0)}, SEQUENCES, "n_layers & 0"),
    ({"context": MaskedConv(kernel_size=1)}, SEQUENCES, "kernel_size & 1"),
    ({"negatives": "none"}, SEQUENCES, "negatives & none & batch"),
    ({"negatives": "sequence", "n_anchors": 1}, SEQUENCES, "n_anchors=1 & sequence"),
    ({"n_anchors": 0}, SEQUENCES, "n_anchors"),
    ({"features": "first"}, SEQUENCES, "features & first & last"),
    ({"encoder": "conv"}, SEQUENCES, "'conv' & patch_size"),
    ({"encoder": BilinearCritic}, SEQUENCES, "BilinearCritic & patch_size"),
    ({"encoder": StridedConv(stride=3)}, SEQUENCES, "stride & power of 2 & 3"),
    ({"encoder": StridedConv(overlap=0)}, SEQUENCES, "overlap & 0"),
    ({"encoder": StridedConv(stride=16)}, SEQUENCES, "length 24 & 1 frame & at least 2"),
    ({"encoder": StridedConv(stride=32)}, SEQUENCES, "24 sample & 32"),
    ({"patch_overlap": 2}, SEQUENCES, "patch_overlap=2 & patch_size=None"),
    ({"input_shape": (3, 24)}, SEQUENCES, r"input_shape & \(3, 24\)"),
    ({}, SEQUENCES[:, :, :1], r"1 sample & 1 feature\(s\)"),
    ({}, SEQUENCES[:, :, :3], "length 3 & 1 frame & at least 2"),
    ({}, SEQUENCES[:, :, :, None], r"\(2, 24, 1\) & patch_size"),
    (patches(encoder=StridedConv()), IMAGES, "StridedConv & patches"),
    (patches(encoder=BatchNormEncoder), IMAGES, "BatchNorm1d & group"),
    (patches(patch_size=9), IMAGES, "patch_size & 9 & 8 x 8"),
    (patches(patch_size=8), IMAGES, "8 x 8 & 1 row"),
    (patches(patch_size=(4, 4, 4)), IMAGES, r"patch_size & \(4, 4, 4\)"),
    (patches(patch_size=(0, 4)), IMAGES, r"patch_size & \(0, 4\)"),
    (patches(patch_size=(4, 2.5)), IMAGES, "patch_size & 2.5"),
    (patches(patch_overlap=4), IMAGES, "patch_overlap & 4 & smaller"),
    (patches(patch_overlap=(1, -1)), IMAGES, "patch_overlap & -1"),
    (patches(), FLAT, "input_shape=None & 64 feature"),
]
NO_REFERENCE = ("dv", "nwj", "tuba", "smile", "flo", "ba", "gaussian", "club")
MI = [
    ({"estimator": NPair()}, "NPair & no mutual information & 'infonce'"),
    *[({"estimator": name}, "tnce|l1out|rate & needs & conditional") for name in ("tnce", "l1out", "rate", TNCE())],
    *[
        ({"estimator": name, "density": 1.0, **known}, f"density & no effect & {name}")
        for name, known in (("infonce", {}), ("gaussian", {}), ("rate", {"conditional": KNOWN}))
    ],
    ({"estimator": "ba", "density": "normal"}, "'density' & Got 'normal'"),
    *[({"estimator": name, "conditional": KNOWN}, f"conditional & {name}") for name in ("infonce", "dv", "nwj", "ba")],
    *[({"estimator": name, "critic": "concat"}, f"critic='concat' & {name}") for name in ("gaussian", "ba", "club")],
    ({"estimator": "tnce", "conditional": KNOWN, "critic": "concat"}, "critic='concat' & 'tnce'"),
    ({"estimator": "club", "conditional": KNOWN, "hidden_layer_sizes": (8,)}, "hidden_layer_sizes & 'club'"),
    ({"estimator": "gaussian", "hidden_layer_sizes": (8,)}, "hidden_layer_sizes & 'gaussian'"),
    *[
        ({"critic": critic, "hidden_layer_sizes": (8,)}, "hidden_layer_sizes & no effect|configures")
        for critic in ("inner", "bilinear", Separable(), bilinear_critic)
    ],
    *[
        ({"estimator": name, "reference": "gaussian"}, f"reference='gaussian' & {name} & None or 'auto'")
        for name in NO_REFERENCE
    ],
    ({"marginals": "ranks"}, "'marginals' & 'normal_scores' & Got 'ranks'"),
    ({"reference": "student"}, "'reference' & 'gaussian' & Got 'student'"),
    ({"discrete_X": "no"}, "'discrete_X' & 'auto' & Got 'no'"),
    ({"discrete_X": [1]}, r"column & \[1\] & 0 to 0"),
    ({"discrete_y": [True, False]}, "y & mask & 2 & 1"),
    ({"hidden_layer_sizes": ()}, r"hidden_layer_sizes & at least one & \(\)"),
    ({"hidden_layer_sizes": (8, 0)}, r"hidden_layer_sizes & positive integers & \(8, 0\)"),
    ({"weight_averaging": 1.0}, r"'weight_averaging' & \[0.0, 1.0\) & Got 1"),
    ({"n_refits": -1}, r"'n_refits' & \[0, inf\) & Got -1"),
    ({"test_fraction": 1.0}, r"'test_fraction' & \(0.0, 1.0\) & Got 1"),
    ({"confidence_level": 95}, r"'confidence_level' & \(0.0, 1.0\) & Got 95"),
    ({"radial_inputs": "yes"}, "'radial_inputs' & bool & Got 'yes'"),
    ({"control_variate": None}, "'control_variate' & bool & Got None"),
    ({"conditional": 5}, "'conditional' & callable & Got 5"),
    ({"test_fraction": 0.6, "validation_fraction": 0.5}, "test_fraction=0.6 & validation_fraction=0.5 & 400"),
    ({"test_fraction": 0.995}, "test_fraction=0.995 & smaller"),
]
ROWS = [
    *[(tiny(**{"encoder": "auto", **params}), data, words) for params, data, words in DEEP_INFOMAX],
    *[(multiview(**params), data, words) for params, data, words in MULTIVIEW],
    *[(cpc(**params), data, words) for params, data, words in PREDICTIVE],
    *[(MIEstimator(**{"max_iter": 1, **params}), X, words) for params, words in MI],
]


@pytest.mark.parametrize(
    ("estimator", "data", "words"), ROWS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_parameters_that_do_not_fit_the_data_or_each_other_are_refused(estimator, data, words):
    unchanged(estimator, lambda: called(estimator, "fit", data), words)


# ------------------------------------------------------------------------------------- lengths, groups and missing views
BAD_LENGTHS = [
    (LENGTHS[:-1], r"lengths & \(120,\) & \(119,\)"),
    (LENGTHS[:, None], r"lengths & \(120, 1\)"),
    (LENGTHS.astype(float), "lengths & float64"),
    (LENGTHS > 10, "lengths & bool"),
    (LENGTHS - 6, "lengths & between 1 and the 24 & 0 to"),
    (LENGTHS + 1, "lengths & 24 & 25"),
    (np.where(np.arange(120) == 7, 1, LENGTHS), "lengths & 1 sample & 2 samples"),
]


@pytest.mark.parametrize(("lengths", "words"), BAD_LENGTHS)
def test_bad_lengths_are_refused(lengths, words):
    model = fitted("predictive, sequences")
    for method in ("fit", "partial_fit", "transform", "score"):
        unchanged(model, lambda: getattr(model, method)(SEQUENCES, lengths=lengths), words)  # noqa: B023


def test_lengths_and_scores_need_sequences_with_a_future():
    model = fitted("predictive, sequences")
    refuses(lambda: model.fit(SEQUENCES, lengths=np.full(120, 3)), ValueError, "length 3", "1 frame")
    refuses(lambda: model.score(SEQUENCES[:, :, :3]), ValueError, "nothing to predict")
    of_images = cpc(encoder="auto", patch_size=4)
    refuses(lambda: of_images.fit(IMAGES, lengths=np.full(120, 4)), ValueError, "lengths", "patch_size")


FOURS = np.arange(120) // 4


@pytest.mark.filterwarnings("ignore::skdim.exceptions.NotABoundWarning")
@pytest.mark.parametrize(
    ("params", "groups", "words"),
    [
        ({"negatives": "same_group"}, None, "needs the groups"),
        ({}, FOURS, "has no use for groups"),
        ({"negatives": "same_group"}, np.arange(100), "inconsistent numbers of samples"),
        ({"negatives": "same_group"}, np.arange(120), "groups of two samples or more"),
        ({"negatives": "same_group", "target_mi": 2.0}, FOURS, "at most"),
        ({"negatives": "semi_hard", "target_mi": 1.0}, None, r"at most 0\.693"),
    ],
)
def test_bad_groups_are_refused(params, groups, words):
    model = multiview(**params)
    unchanged(model, lambda: model.fit(IMAGES, groups=groups), words)


def lacking(where, value=np.nan):
    data = FLAT.copy()
    data[where] = value
    return data


HALF = {"views": [("a", slice(0, 32)), ("b", slice(32, 60))]}


@pytest.mark.parametrize(
    ("params", "data", "words"),
    [
        (HALF, lacking((3, slice(0, 31))), "31 of the 32 columns of view 'a' in row 3"),
        (HALF, lacking((3, slice(0, 60))), "row 3 has no view"),
        (HALF, lacking((slice(1, None), slice(0, 32))), r"both views \('a', 'b'\), got 1"),
        ({**HALF, "graph": "core"}, lacking((3, slice(0, 32))), "1 sample"),
        ({"views": "auto"}, lacking((3, slice(0, 32))), "not with views='auto'"),
        ({"views": "shift"}, lacking(3), "makes its views of one signal"),
        (HALF, lacking((3, slice(0, 32)), np.inf), "infinity"),
    ],
)
def test_nan_is_refused_outside_missing_views(params, data, words):
    model = multiview(**params)
    unchanged(model, lambda: model.fit(data), words)


# ----------------------------------------------------------------------------------------------- a refusal after a fit
@pytest.mark.parametrize("name", TAKES)
def test_a_refused_second_fit_leaves_the_first(name):
    make, data = TAKES[name]
    estimator = make().fit(data, Y if name == "MI" else None)
    ask = "pointwise" if name == "MI" else "transform"
    before = called(estimator, ask, data)
    for params, bad in [
        ({}, data[:1]),
        ({"batch_size": 1}, data),
        ({"device": "gpu"}, data),
        ({}, with_value(data, np.nan)),
    ]:
        for method in {"fit", "partial_fit"} & set(methods(name)):
            estimator.set_params(**params)
            unchanged(estimator, lambda: called(estimator, method, bad), ".")  # noqa: B023
        estimator.set_params(batch_size=64, device="auto")
    assert (called(estimator, ask, data) == before).all()


def test_unknown_features_and_outputs_are_refused_at_transform():
    for name, params, words in [
        ("deep InfoMax, images", {"features": "code"}, "'code' & global & hidden & local"),
        ("multi-view, images", {"output": "left"}, "'left' & concat & mean & top & bottom"),
    ]:
        make, data = TAKES[name]
        estimator = make().fit(data).set_params(**params)
        unchanged(estimator, lambda: estimator.transform(data), words)  # noqa: B023
        unchanged(estimator, lambda: estimator.get_feature_names_out(), words)  # noqa: B023


TENSORS = {
    "gradient": lambda X: X.clone().requires_grad_(),
    "bfloat16": torch.Tensor.bfloat16,
    "both": lambda X: X.bfloat16().requires_grad_(),
}
OF_TENSORS = {
    "codes": lambda X: tiny_table().fit_transform(X),
    "views": lambda X: multiview().fit_transform([X[:, :3], X[:, 3:]]),
    "sequences": lambda X: cpc().fit_transform(X),
    "information": lambda X: tiny_mi().fit(X, X[:, 0]).pointwise(X, X[:, 0]),
    "features": lambda X: mutual_info_features(X, X[:, 0]),
    "selector": lambda X: MRMRSelector().fit(X, X[:, 0]).scores_,
    "test": lambda X: independence_test(X, X[:, :2], random_state=0).statistic,
    "geometry": lambda X: (uniformity(X), alignment(X, X), effective_rank(X)),
    "classifier": lambda X: v_information(X, X[:, 0] > 0, LogisticRegression(), random_state=0).pointwise,
    "probe": lambda X: linear_probe(X, (X[:, 0] > 0), random_state=0).mean["accuracy"],
}


@pytest.mark.filterwarnings("ignore::skdim.exceptions.MutualInformationWarning")
@pytest.mark.parametrize("kind", TENSORS)
@pytest.mark.parametrize("entry", OF_TENSORS)
def test_tensors_of_any_kind_give_what_their_values_give(entry, kind):
    tensor = TENSORS[kind](torch.from_numpy(SEQUENCES[:, 0]).float())
    array = tensor.detach().float().numpy()
    np.testing.assert_array_equal(OF_TENSORS[entry](tensor), OF_TENSORS[entry](array))


# --------------------------------------------------------------------------------------------------------- order of axes
def reader(kind, **params):
    """Return an estimator that reads two axes as an image, as a sequence, or in two halves."""
    if kind == "image":
        return tiny_table(**params)
    return cpc(**params) if kind == "sequence" else multiview(**params)


@pytest.mark.parametrize("kind", ["image", "sequence", "views"])
@pytest.mark.parametrize("shape", [(32, 32, 3), (28, 28, 1), (24, 16, 4), (16, 16, 8)])
def test_channels_that_are_last_are_refused_by_name(kind, shape):
    X = np.zeros((40, *shape))
    refuses(lambda: reader(kind).fit(X), ValueError, re.escape(str(shape)), r"np\.moveaxis\(X, -1, 1\)", "input_shape")


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 12, 9), (8, 8, 8), (3, 16, 2)])
def test_channels_that_are_first_are_taken_as_they_are(shape):
    assert tiny_table().fit(np.random.default_rng(0).random((40, *shape))).input_shape_ == shape


def test_input_shape_says_that_axes_are_in_order():
    X = np.random.default_rng(0).random((40, 16, 16, 8))
    assert tiny_table(input_shape=(16, 16, 8)).fit(X).input_shape_ == (16, 16, 8)


@pytest.mark.parametrize(
    ("kind", "shape", "words"),
    [
        ("image", (9, 128), "grey images of 9 x 128 pixels.*encoder='conv1d'"),
        ("image", (100, 3), "grey images of 100 x 3 pixels"),
        ("views", (9, 128), "grey images of 9 x 128 pixels"),
        ("sequence", (128, 9), r"128 channels of 9 times.*np.swapaxes\(X, 1, 2\)"),
    ],
)
def test_sequences_and_images_that_look_like_the_other_warn(kind, shape, words):
    X = np.random.default_rng(0).random((40, *shape))
    with pytest.warns(InputShapeWarning, match=words):
        reader(kind).fit(X)
    reader(kind, input_shape=shape).fit(X)  # warnings are errors here


class InPlaceEncoder(nn.Sequential):
    def __init__(self, input_shape, n_components):
        width = int(np.prod(input_shape))
        super().__init__(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(width, n_components))


def test_a_network_may_change_its_view_in_place():
    multiview(encoder=InPlaceEncoder).fit(TABLE)


@pytest.mark.parametrize(
    "change", [torch.Tensor.double, torch.Tensor.half, lambda codes: codes[:2], torch.Tensor.to_sparse]
)
def test_codes_of_another_type_or_number_are_refused(change):
    class Changed(FlatEncoder):
        def forward(self, X):
            return change(super().forward(X))

    with pytest.warns(PersistenceWarning, match="importable"):
        refuses(lambda: multiview(encoder=Changed).fit(TABLE), ValueError, "The encoder must return")


@pytest.mark.parametrize("name", ["n_components", "batch_size", "learning_rate"])
def test_true_is_no_number(name):
    refuses(lambda: tiny_table(**{name: True}).fit(TABLE), ValueError, name)


def test_objects_that_are_numbers_are_numbers():
    objects = TABLE.astype(object)
    np.testing.assert_array_equal(tiny_table().fit_transform(objects), tiny_table().fit_transform(TABLE))
    labels = pd.Series((TABLE[:, 0] > 0).astype(int), dtype=object)
    assert (
        linear_probe(TABLE, labels, random_state=0).mean["accuracy"]
        == linear_probe(TABLE, labels.astype(int), random_state=0).mean["accuracy"]
    )
    refuses(
        lambda: tiny_table().fit(pd.DataFrame({"a": TABLE[:, 0], "b": pd.Categorical(["u", "v"] * 60)})),
        ValueError,
        "column 'b' of X holds 'u' in row 0",
    )


def test_columns_of_a_view_that_are_none_are_named():
    refuses(lambda: multiview(views=[("a", None), ("b", [3])]).fit(TABLE), TypeError, "view 'a'", "positions")


def test_an_exponent_beyond_float64_is_refused():
    refuses(lambda: alignment(TABLE, TABLE + 1, alpha=1e300), ValueError, "alpha=1e\\+300")
