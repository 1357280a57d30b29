"""Layouts: how rows hold views, which of them are missing, and how a layout is saved."""

import copy
import json
import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
import torch
from helpers import arrays, same_state, table
from test_arrays import OnDisk

from skdim import MultiViewInfoMaxTransformer
from skdim.inputs.layout import Layout, find_layout
from skdim.inputs.partitions import PARTITIONS, Shift
from skdim.nn.views import SplitViews

GROUPS = [("a", [0, 1]), ("b", slice(3, 5))]  # columns 2 and 5 are in no view
#: The parameter ``views``, and the shape of samples that it takes.
KINDS = {name: (name, (3, 8, 8)) for name in PARTITIONS if name != "shift"} | {
    "auto": ("auto", (8, 8)),
    "shift": ("shift", (2, 9)),
    "Shift": (Shift(steps=3), (9,)),
    "groups": (GROUPS, (6,)),
    "image, sequence and table": ([("i", slice(0, 16), (4, 4)), ("s", slice(16, 22), (6,)), ("t", [30, 23])], (31,)),
}


def layout_of(kind, **options):
    views, shape = KINDS[kind]
    groups = views if isinstance(views, list) else None
    sequences = [False] * len(groups or [0])
    return find_layout(views, np.zeros((2, *shape)), shape, sequences, groups, options.get("graph", "full"))


def same_layout(a, b):
    return (a.kind, a.names, a.shapes, a.sample_shape, a.may_lack) == (
        (b.kind, b.names, b.shapes, b.sample_shape, b.may_lack)
    ) and all(
        np.array_equal(x, y)
        for x, y in zip([a.used, *(v[1] for v in a.views)], [b.used, *(v[1] for v in b.views)], strict=True)
    )


@pytest.mark.parametrize("graph", ["full", "core"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_state_is_arrays_and_json_and_gives_the_layout_back(kind, graph):
    layout = layout_of(kind, graph=graph)
    state = layout.state()
    rest = {name: value for name, value in state.items() if not isinstance(value, np.ndarray)}
    assert json.loads(json.dumps(rest)) == rest
    assert all(state[name].dtype.kind == "i" for name in state if name not in rest)
    assert same_layout(Layout.from_state(state), layout)


WAYS = {
    "pickle": lambda fitted, path: pickle.loads(pickle.dumps(fitted)),
    "deepcopy": lambda fitted, path: copy.deepcopy(fitted),
    "joblib": lambda fitted, path: joblib.dump(fitted, path) and joblib.load(path, mmap_mode="r"),
    "skops": lambda fitted, path: (
        skops.io.dump(fitted, path)
        or skops.io.load(path, trusted=["skdim.multiview.MultiViewInfoMaxTransformer", "skdim.inputs.partitions.Shift"])
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_transformer_keeps_its_layout(kind, way, tmp_path):
    views, shape = KINDS[kind]
    X = np.random.default_rng(0).normal(size=(20, *shape))
    fitted = MultiViewInfoMaxTransformer(4, views=views, max_iter=0, random_state=0).fit(X)
    loaded = WAYS[way](fitted, tmp_path / "model")
    assert same_layout(loaded._learner.standardize.layout, fitted._learner.standardize.layout)
    assert any(name.startswith("layout/columns_") for name in arrays(fitted))
    assert same_state(loaded, fitted)
    assert (loaded.transform(X) == fitted.transform(X)).all()


# -------------------------------------------------------------------------------------------------- splitting and lifting
@pytest.mark.parametrize("kind", KINDS)
def test_views_are_slices_of_the_sample_and_can_be_put_back(kind):
    layout, shape = layout_of(kind), KINDS[kind][1]
    X = np.arange(2 * np.prod(shape)).reshape(2, -1)
    used = X if layout.used is None else X[:, layout.used]
    for number, (view, (_, columns, part)) in enumerate(
        zip(SplitViews(layout)(torch.from_numpy(used)), layout.views, strict=True)
    ):
        np.testing.assert_array_equal(view, used[:, columns].reshape(2, *part))
        lifted = layout.lift(view, number, used.shape[1])
        np.testing.assert_array_equal(lifted[:, columns], used[:, columns])
        assert np.isnan(np.delete(lifted, columns, axis=1)).all()


def test_the_channels_of_a_view_share_a_scale_and_columns_of_a_table_do_not():
    assert layout_of("luminance_chrominance").scales(192).tolist() == [0] * 64 + [1] * 64 + [2] * 64
    layout = layout_of("image, sequence and table")  # columns 22 and 24 to 29 are not used
    assert layout.scales(24).tolist() == [0] * 16 + [1] * 6 + [2, 3]
    assert layout_of("luminance_chrominance").mixing.shape == (3, 3)
    assert layout.mixing is None


# ---------------------------------------------------------------------------------------------------------- missing views
def test_a_view_is_missing_as_a_whole_or_complete():
    layout, X = layout_of("groups"), np.ones((3000, 4))
    assert layout.presence(X) is None
    assert layout.presence(X.astype(int)) is None
    X[5, :2] = X[2500, 2:] = np.nan
    present = layout.presence(X)
    assert np.argwhere(~present).tolist() == [[5, 0], [2500, 1]]
    for columns, words in [(0, "1 of the 2 columns of view 'a' in row 2400"), (slice(None), "row 2400 has no view")]:
        bad = X.copy()
        bad[2400, columns] = np.nan
        with pytest.raises(ValueError, match=f"Input X contains NaN.*{words}"):
            layout.presence(bad)
    with pytest.raises(ValueError, match=r"in row 1\. views='shift' makes its views of one signal"):
        layout_of("shift").presence(np.where(np.arange(54).reshape(3, 18) == 20, np.nan, 1.0))


@pytest.mark.parametrize(
    ("kind", "graph", "may_lack"),
    [("groups", "full", True), ("groups", "core", False), ("halves", "full", True), ("auto", "full", False)]
    + [(kind, "full", False) for kind in ("shift", "layers", "augment", "luminance_chrominance")],
)
def test_which_views_may_be_missing_in_training(kind, graph, may_lack):
    assert layout_of(kind, graph=graph).may_lack is may_lack


# ----------------------------------------------------------------------------------------------------- columns in no view
TABLE = table(40, 4)
WORDS, DATES = [f"word {i}" for i in range(40)], pd.date_range("2020-01-01", periods=40)


def beside(second, last):
    """Return six columns as objects: the four of GROUPS, and two that no view has."""
    X = np.empty((40, 6), dtype=object)
    X[:, [0, 1, 3, 4]], X[:, 2], X[:, 5] = TABLE, second, last
    return X


UNREAD = {
    "strings": beside(WORDS, WORDS),
    "objects": beside([{}] * 40, None),
    "NaN": beside(np.nan, 1.0).astype(float),
    "infinity": beside(np.inf, -np.inf).astype(float),
    "lists": beside(WORDS, 0).tolist(),
    "data frame": pd.DataFrame(beside(WORDS, DATES), columns=list("abcdef")).infer_objects(),
    "polars": pl.DataFrame(
        {name: column.tolist() for name, column in zip("abcdef", beside(WORDS, DATES).T, strict=True)}
    ),
    "outside memory": OnDisk(beside(np.nan, np.inf).astype(float)),
}


@pytest.mark.parametrize("case", UNREAD)
def test_a_column_in_no_view_is_not_read(case):
    X, plain = UNREAD[case], beside(0.0, 0.0).astype(float)
    model = {"n_components": 4, "views": GROUPS, "hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}
    fitted, reference = (MultiViewInfoMaxTransformer(**model).fit(data) for data in (X, plain))
    assert same_state(fitted, reference)
    assert [columns.tolist() for _, columns, _ in fitted.views_] == [[0, 1], [3, 4]]  # positions in X
    assert fitted.n_features_in_ == 6
    assert (fitted.transform(X) == reference.transform(plain)).all()
    assert fitted.score(X) == reference.score(plain)
    if case in ("strings", "data frame"):  # a view alone
        alone = X[:, :2] if case == "strings" else X[["a", "b"]]
        assert (fitted.set_params(output="a").transform(alone) == reference.transform(plain)[:, :4]).all()
