"""Displays draw what an estimator recorded, whatever it is called, on the axes they were given."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers import images, table, tiny, tiny_mi, tiny_table
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skdim import CPCTransformer, DeepInfoMaxTransformer, MIResult, MultiViewInfoMaxTransformer
from skdim.evaluation import LadderResult
from skdim.plotting import (
    EmbeddingDisplay,
    EstimateDisplay,
    LadderDisplay,
    LossCurveDisplay,
    MutualInformationDisplay,
    NeighborsDisplay,
    SearchDisplay,
    StepAccuracyDisplay,
)

HISTORY = [
    {"epoch": 1, "loss": -1.0, "local": 0.7, "code": 0.3, "seconds": 9.0, "note": "first", "best": True},
    {"epoch": 2, "loss": -2.0, "local": 1.5, "code": 0.5, "valid_loss": -1.6, "valid_local": 1.2},
]


def multiview(**params):
    return MultiViewInfoMaxTransformer(
        4, encoder="mlp", hidden_layer_sizes=(8,), max_iter=2, random_state=0, **params
    ).fit(images(60))


def cpc(**params):
    X = np.cumsum(np.random.default_rng(0).normal(size=(40, 40)), axis=1)
    return CPCTransformer(4, n_steps=3, max_iter=2, random_state=0, **params).fit(X)


def mi(n_columns=6, y=None, **params):
    X = StandardScaler().fit_transform(table(1200, n_columns))  # more than are cross-fitted
    noise = np.random.default_rng(1).normal(size=(1200, 1))
    return tiny_mi(test_fraction=0.2, **params).fit(X, X[:, :1] ** 2 + noise if y is None else y(X))


EARLY = {"early_stopping": True}
#: Fits of all four classes, with the options that add terms.
FITS = {
    "deep": lambda: tiny().fit(images()),
    "deep, global": lambda: tiny(global_weight=0.5, **EARLY).fit(images()),
    "deep, one view": lambda: tiny_table(augment=None).fit(table()),
    "deep, prior": lambda: tiny_table(prior="uniform", prior_weight=0.1, **EARLY).fit(table()),
    "deep, posterior": lambda: tiny_table(posterior="gaussian", global_weight=0.5, **EARLY).fit(table()),
    "deep, independent": lambda: tiny_table(posterior="gaussian", total_correlation_weight=0.1, **EARLY).fit(table()),
    "deep, jsd": lambda: tiny_table(estimator="jsd").fit(table()),
    "deep, continued": lambda: tiny_table().partial_fit(table()).partial_fit(table()),
    "multi-view, halves": lambda: multiview(views="halves", **EARLY),
    "multi-view, quadrants": lambda: multiview(views="quadrants"),
    "multi-view, core": lambda: multiview(views="quadrants", graph="core", **EARLY),
    "multi-view, metric learning": lambda: multiview(views="halves", estimator="triplet"),
    "predictive": lambda: cpc(),
    "predictive, all negatives": lambda: cpc(negatives="all", **EARLY),
    "mi, refits": lambda: mi(reference="auto", n_refits=2, max_iter=20),
    "mi, joint": lambda: mi(1, max_iter=20),
    "mi, one critic": lambda: mi(critic="separable"),
    "mi, conditional": lambda: mi(estimator="ba"),
    "mi, labels": lambda: mi(y=lambda X: X[:, 0] > 0),
}  # fmt: skip


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


class Recorded(BaseEstimator):
    """The part of a fitted estimator that a loss curve reads."""

    max_iter = "auto"

    def fit(self, history):
        self.history_ = history
        return self

    def transform(self, X):
        return X


@pytest.fixture(scope="module")
def digits():
    rng = np.random.default_rng(0)
    return rng.integers(0, 17, (60, 8, 8), dtype=np.uint8), np.arange(60) % 3


@pytest.fixture(scope="module")
def transformer(digits):
    return DeepInfoMaxTransformer(max_iter=2, random_state=0).fit(digits[0])


@pytest.fixture(scope="module", params=FITS)
def fitted(request):
    return FITS[request.param]()


def assert_drawn_on(display, ax):
    assert display.ax_ is ax
    assert display.figure_ is ax.figure


# ------------------------------------------------------------------------------------------------------ laws of the curves
def recorded(estimator):
    """Return the names in a history, but for those that number its rows."""
    return {name for row in estimator.history_ for name in row} - {"epoch", "network"}


def test_every_recorded_term_is_drawn_with_its_numbers(fitted):
    units = getattr(fitted, "history_units_", {})
    shares = {name for name in recorded(fitted) if units.get(name.removeprefix("valid_")) == "share"}
    networks = dict.fromkeys(row.get("network") for row in fitted.history_)
    drawn = {}
    for curve, line in LossCurveDisplay.from_estimator(fitted).lines_.items():
        name, _, network = curve.partition(", network ")
        drawn.setdefault(name, []).append(network)
        rows = [row for row in fitted.history_ if name in row and (not network or str(row["network"]) == network)]
        assert line.get_xdata().tolist() == [row["epoch"] for row in rows]
        assert line.get_ydata().tolist() == [row[name] for row in rows]
    assert set(drawn) == recorded(fitted) - shares
    several = [str(network) for network in networks] if len(networks) > 1 else [""]
    assert all(of_name == several for of_name in drawn.values())


def test_nats_have_an_axis_of_their_own(fitted):
    display, units = LossCurveDisplay.from_estimator(fitted), getattr(fitted, "history_units_", {})
    for curve, line in display.lines_.items():
        unit = units.get(curve.removeprefix("valid_"), "loss")
        assert line.axes.get_ylabel() == unit
        assert line.get_label().endswith(" (right)") == (line.axes is display.right_ax_)
    assert (display.right_ax_ is not None) == bool(units)
    assert display.ax_.get_xlabel() == "epoch"


def test_held_out_values_are_dashed_in_the_colour_of_their_term(fitted):
    lines = LossCurveDisplay.from_estimator(fitted).lines_
    terms = {name: name.removeprefix("valid_") for name in lines}
    assert any(name != term for name, term in terms.items()) == any("valid_loss" in row for row in fitted.history_)
    for name, term in terms.items():
        assert lines[name].get_linestyle() == ("-" if name == term else "--")
        assert lines[name].get_color() == lines[term].get_color()
    assert len({str(lines[term].get_color()) for term in terms.values()}) == len(set(terms.values()))


def test_units_hold_where_they_can_be_checked(fitted):
    units = getattr(fitted, "history_units_", {})
    assert set(units.values()) <= {"nats", "share"}
    for row in fitted.history_:
        for name, value in row.items():
            unit = units.get(name.removeprefix("valid_"))
            assert unit != "share" or 0 <= value <= 1
            if unit == "nats" and name.removeprefix("valid_") not in ("l1out", "total_correlation"):
                assert value <= np.log(fitted.batch_size)  # the cap of every bound above


@pytest.mark.filterwarnings("ignore::skdim.exceptions.SaturationWarning")
@pytest.mark.parametrize(("name", "n_networks"), [("mi, refits", 2), ("mi, joint", 2), ("mi, one critic", 1)])
def test_each_network_has_its_own_line(name, n_networks):
    lines = LossCurveDisplay.from_estimator(FITS[name]()).lines_
    assert len(lines) == 2 * n_networks
    assert ("loss" in lines) == (n_networks == 1)
    epochs = np.concatenate([line.get_xdata() for name, line in lines.items() if not name.startswith("valid_")])
    assert epochs.tolist() == list(range(1, len(epochs) + 1))  # one network after the other


# --------------------------------------------------------------------------------------------------------- what is chosen
def test_terms_are_chosen_by_name():
    model = cpc(early_stopping=True)
    display = LossCurveDisplay.from_estimator(model, terms=["accuracy_2", "prediction"])
    assert list(display.lines_) == ["accuracy_2", "valid_accuracy_2", "prediction", "valid_prediction"]
    assert (display.ax_.get_ylabel(), display.right_ax_.get_ylabel()) == ("nats", "share")
    alone = LossCurveDisplay.from_estimator(model, terms=("accuracy_1",))
    assert (alone.ax_.get_ylabel(), alone.right_ax_) == ("share", None)
    with pytest.raises(ValueError, match=r"Unknown term 'local'. Allowed values are: \['accuracy_1'"):
        LossCurveDisplay.from_estimator(model, terms=["local"])


def test_values_that_are_no_numbers_are_left_out_and_gaps_are_closed():
    display = LossCurveDisplay.from_estimator(Recorded().fit(HISTORY))
    assert list(display.lines_) == ["loss", "valid_loss", "local", "valid_local", "code", "seconds"]
    assert display.lines_["local"].get_xdata().tolist() == [1, 2]
    for alone in ("valid_local", "seconds"):
        assert display.lines_[alone].get_marker() == "."  # a line through one point is not seen
    assert display.lines_["valid_local"].get_xdata().tolist() == [2]
    assert display.ax_.get_ylabel() == "loss"


def test_the_legend_names_held_out_values_and_leaves_the_axes_where_it_is_long():
    short = LossCurveDisplay(curves={"loss": [-1.0, -2.0], "valid_loss": [np.nan, 1.2]}).plot()
    assert [text.get_text() for text in short.ax_.get_legend().get_texts()] == ["loss", "validation loss"]
    long = LossCurveDisplay(curves={f"{i}": [0.0, i] for i in range(14)}, units={"3": "nats"}).plot()
    long.figure_.canvas.draw()
    legend, frame = long.right_ax_.get_legend().get_window_extent(), long.right_ax_.get_tightbbox()
    assert legend.x0 > long.right_ax_.yaxis.get_tightbbox().x1  # clear of the scale on the right
    assert legend.x1 <= long.figure_.bbox.x1
    assert frame.x1 >= legend.x1
    assert len({str(line.get_color()) for line in long.lines_.values()}) == 14


def test_loss_curve_takes_axes_and_style(transformer):
    _, ax = plt.subplots()
    display = LossCurveDisplay.from_estimator(transformer, ax=ax, line_kw={"linewidth": 3, "color": "red"})
    assert_drawn_on(display, ax)
    assert {line.get_linewidth() for line in display.lines_.values()} == {3}
    assert {line.get_color() for line in display.lines_.values()} == {"red"}


def test_the_step_of_a_pipeline_that_trained_is_drawn(transformer, digits):
    X = transformer.transform(digits[0])
    head, tail = FunctionTransformer().fit(X), StandardScaler().fit(X)
    expected = LossCurveDisplay.from_estimator(transformer).lines_["loss"].get_ydata()
    for pipeline in (make_pipeline(head, transformer, tail), make_pipeline(make_pipeline(transformer), "passthrough")):
        np.testing.assert_array_equal(LossCurveDisplay.from_estimator(pipeline).lines_["loss"].get_ydata(), expected)
    with pytest.raises(ValueError, match=r"Pipeline has 2. .* the step itself: pipeline\['name'\]"):
        LossCurveDisplay.from_estimator(make_pipeline(transformer, Recorded().fit(HISTORY)))
    with pytest.raises(ValueError, match=r"but PCA has 0\. Pass a fitted transformer of skdim or an MIEstimator"):
        LossCurveDisplay.from_estimator(PCA().fit(X))


@pytest.mark.parametrize(
    ("fit", "reason"),
    [
        (lambda: tiny(max_iter=0).fit(images()), "DeepInfoMaxTransformer trained no epoch.*: max_iter=0"),
        (lambda: mi(max_iter=0), "MIEstimator trained no epoch.*: max_iter=0"),
        (lambda: mi(estimator="gaussian"), "MIEstimator trained no epoch.*: its value is known, counted or in closed"),
        (lambda: mi(discrete_X=True, y=lambda X: X[:, 0] > 0, n_columns=1), "its value is known, counted or in closed form"),
    ],
    ids=["transformer", "mi", "closed form", "counts"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::skdim.exceptions.SmallSampleWarning")
def test_no_epoch_is_an_error_that_names_the_reason(fit, reason):
    with pytest.raises(ValueError, match=reason):
        LossCurveDisplay.from_estimator(fit())


# -------------------------------------------------------------------------------------------------------------- embedding
def test_embedding_is_the_principal_plane(transformer, digits):
    X, y = digits
    display = EmbeddingDisplay.from_estimator(transformer, X, y)
    pca = PCA(n_components=2).fit(transformer.transform(X))
    np.testing.assert_allclose(display.embedding, pca.transform(transformer.transform(X)), atol=1e-5)
    np.testing.assert_allclose(display.explained_variance_ratio, pca.explained_variance_ratio_)
    assert f"({pca.explained_variance_ratio_[0]:.0%} of the variance)" in display.ax_.get_xlabel()


def test_embedding_has_one_colour_per_class(transformer, digits):
    X, y = digits
    display = EmbeddingDisplay.from_estimator(transformer, X, y)
    assert [points.get_label() for points in display.points_] == ["0", "1", "2"]
    assert len({tuple(points.get_facecolor()[0]) for points in display.points_}) == 3
    for label, points in enumerate(display.points_):
        np.testing.assert_array_equal(points.get_offsets(), display.embedding[y == label])


@pytest.mark.parametrize("n_classes", [2, 10, 37])
def test_embedding_colours_differ_for_many_classes(n_classes):
    points = np.random.default_rng(0).normal(size=(2 * n_classes, 2))
    display = EmbeddingDisplay(embedding=points, y=np.arange(2 * n_classes) % n_classes).plot()
    assert len({tuple(points.get_facecolor()[0]) for points in display.points_}) == n_classes


def test_embedding_without_labels_and_with_continuous_ones(transformer, digits):
    X, _ = digits
    plain = EmbeddingDisplay.from_estimator(transformer, X)
    assert len(plain.points_) == 1
    assert plain.ax_.get_legend() is None
    values = np.linspace(0, 1, len(X))
    continuous = EmbeddingDisplay.from_estimator(transformer, X, values)
    np.testing.assert_array_equal(continuous.points_[0].get_array(), values)
    assert len(continuous.figure_.axes) == 2


def test_embedding_takes_axes_style_and_a_pipeline(transformer, digits):
    X, y = digits
    _, ax = plt.subplots()
    pipeline = make_pipeline(transformer, StandardScaler().fit(transformer.transform(X)))
    display = EmbeddingDisplay.from_estimator(pipeline, X, y, ax=ax, scatter_kw={"alpha": 0.25})
    assert_drawn_on(display, ax)
    assert {points.get_alpha() for points in display.points_} == {0.25}


def test_embedding_reads_frames(transformer, digits):
    X, y = digits
    frames = DeepInfoMaxTransformer(max_iter=0, random_state=0).set_output(transform="pandas").fit(X)
    assert EmbeddingDisplay.from_estimator(frames, X, y).embedding.shape == (len(X), 2)


def test_embedding_refuses_labels_of_another_length(transformer, digits):
    X, y = digits
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        EmbeddingDisplay.from_estimator(transformer, X, y[:-1])


# ------------------------------------------------------------------------------------------------------------- neighbours
@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (3, 8, 8), (40,), (2, 40)])
def test_neighbours_are_the_nearest_by_standardised_features(shape):
    X = np.random.default_rng(0).normal(size=(30, *shape))
    X[7] = X[3]  # a copy is the nearest, and no sample is its own neighbour
    flat = FunctionTransformer(lambda X: X.reshape(len(X), -1)).fit(X)
    display = NeighborsDisplay.from_estimator(flat, X, queries=[3, 5], n_neighbors=4)
    Z = StandardScaler().fit_transform(X.reshape(30, -1))
    for row, query in zip(display.neighbors, [3, 5], strict=True):
        nearest = np.argsort([np.inf if i == query else np.linalg.norm(Z[i] - Z[query]) for i in range(30)])[:4]
        assert row.tolist() == [query, *nearest]
    assert display.neighbors[0, 1] == 7
    assert display.axes_.shape == (2, 5)
    is_image = len(shape) > 1 and shape[-2] > 3
    assert all(bool(ax.images) == is_image and bool(ax.lines) != is_image for ax in display.axes_.ravel())


@pytest.mark.parametrize("queries", [[30], [-1], ["a"], [0.5], [], 3])
def test_neighbours_of_what_is_no_sample_are_refused(queries):
    X, same = np.random.default_rng(0).normal(size=(30, 4)), FunctionTransformer().fit(np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"positions of samples in X, from 0 to 29; got"):
        NeighborsDisplay.from_estimator(same, X, queries=queries)
    for n_neighbors in (0, 30):
        with pytest.raises(ValueError, match=rf"from 1 to 29, as X has 30 sample\(s\); got {n_neighbors}"):
            NeighborsDisplay.from_estimator(same, X, n_neighbors=n_neighbors)


def test_missing_values_of_neighbours_stay_blank():
    samples = np.arange(32.0).reshape(1, 2, 4, 4)
    samples[0, 1, :2] = np.nan
    shown = NeighborsDisplay(samples=samples).plot().axes_[0, 1].images[0].get_array()
    assert np.isnan(np.ma.filled(shown, np.nan)[:2]).all()
    assert np.ma.filled(shown, np.nan)[3, 3] == 1


# ------------------------------------------------------------------------------------------------------------ information
def test_an_estimate_is_drawn_with_interval_bound_and_cap():
    results = {
        "auto": MIResult(2.0, (1.8, 2.3), "estimate", np.inf, {}, lower_bound=1.7),
        "infonce": MIResult(1.5, (1.4, 1.6), "lower", 3.0, {}, lower_bound=1.5),
    }
    display = EstimateDisplay(results=results, truth=2.1).plot()
    (points, _, (bars,)) = display.values_
    assert points.get_xdata().tolist() == [2.0, 1.5]
    np.testing.assert_allclose([segment[:, 0] for segment in bars.get_segments()], [(1.8, 2.3), (1.4, 1.6)])
    lower, cap = display.ax_.collections[-2:]
    assert lower.get_offsets().tolist() == [[1.7, 0]]  # a lower bound is not drawn twice
    assert cap.get_offsets().tolist() == [[3.0, 1]]
    assert display.ax_.get_xlabel() == "mutual information (nats)"
    with pytest.raises(ValueError, match="no estimate"):
        EstimateDisplay(results={}).plot()
    for given in (list(results.values()), {"auto": 1.0}):
        with pytest.raises(TypeError, match="must hold MIResult by name"):
            EstimateDisplay(results=given).plot()


def ladder(*names):
    values = np.arange(len(names)) + 1.0
    return LadderResult(names, values, values, values, np.stack([values - 0.1, values + 0.2], axis=1), values)


def test_ladders_stand_side_by_side_on_the_same_rungs():
    display = LadderDisplay(ladders={"pixels": ladder("linear", "knn"), "codes": ladder("linear", "knn")}).plot()
    places = [line[0].get_xdata() for line in display.lines_.values()]
    assert (places[0] < places[1]).all()
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == ["linear", "knn"]
    with pytest.raises(ValueError, match=r"same rungs, got \[\('knn',\), \('linear',\)\]"):
        LadderDisplay(ladders={"pixels": ladder("linear"), "codes": ladder("knn")}).plot()


def test_names_of_columns_do_not_overlap():
    d = 120
    display = MutualInformationDisplay(matrix=np.eye(d), names=[f"a long name {j}" for j in range(d)]).plot()
    display.figure_.canvas.draw()
    boxes = [label.get_window_extent() for label in display.ax_.get_yticklabels()]
    assert all(not above.overlaps(below) for above, below in zip(boxes[1:], boxes[:-1], strict=True))


# ------------------------------------------------------------------------------------------------------ searches and steps
def test_a_search_shows_the_best_score_of_each_pair_of_values():
    search = Recorded()
    search.cv_results_ = {
        "params": [{"a": a, "b": b, "c": c} for a in (1, 2) for b in ("x", None) for c in (0, 1)][:-2],
        "mean_test_score": np.array([0.1, 0.2, 0.4, 0.3, 0.5, np.nan]),
    }
    display = SearchDisplay.from_search(search, "a", "b")
    np.testing.assert_array_equal(display.scores, [[0.2, 0.4], [0.5, np.nan]])
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == ["x", "None"]
    assert len(display.ax_.texts) == 3
    with pytest.raises(ValueError, match=r"'d' was not searched; searched were \['a', 'b', 'c'\]"):
        SearchDisplay.from_search(search, "a", "d")


def test_accuracy_by_step_is_that_of_the_fit(transformer):
    model = cpc()
    display = StepAccuracyDisplay.from_estimator(model, chance=1 / 32)
    np.testing.assert_array_equal(display.line_.get_ydata(), model.step_accuracy_)
    assert display.line_.get_xdata().tolist() == [1, 2, 3]
    with pytest.raises(NotFittedError):
        StepAccuracyDisplay.from_estimator(CPCTransformer())
    with pytest.raises(TypeError, match="draws a CPCTransformer, got a DeepInfoMaxTransformer"):
        StepAccuracyDisplay.from_estimator(transformer)


def test_unfitted_is_refused(digits):
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(DeepInfoMaxTransformer())
    with pytest.raises(NotFittedError):
        EmbeddingDisplay.from_estimator(DeepInfoMaxTransformer(), digits[0])


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="LossCurveDisplay requires matplotlib"):
        LossCurveDisplay(curves={"loss": [0.0]}).plot()
