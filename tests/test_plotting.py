"""Displays draw what the transformer recorded, on the axes they were given."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdim import DeepInfoMaxTransformer
from skdim.plotting import EmbeddingDisplay, LossCurveDisplay

HISTORY = [
    {"epoch": 1, "loss": -1.0, "local": 0.7, "code": 0.3, "seconds": 9.0},
    {"epoch": 2, "loss": -2.0, "local": 1.5, "code": 0.5, "valid_loss": -1.6, "valid_local": 1.2},
]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


class Recorded(BaseEstimator):
    """The part of a fitted transformer that a loss curve reads."""

    def fit(self, history):
        self.history_ = history
        return self


@pytest.fixture(scope="module")
def digits():
    rng = np.random.default_rng(0)
    return rng.integers(0, 17, (60, 8, 8), dtype=np.uint8), np.arange(60) % 3


@pytest.fixture(scope="module")
def transformer(digits):
    return DeepInfoMaxTransformer(max_iter=2, random_state=0).fit(digits[0])


def assert_drawn_on(display, ax):
    assert display.ax_ is ax
    assert display.figure_ is ax.figure


def test_loss_curve_shows_the_history(transformer):
    display = LossCurveDisplay.from_estimator(transformer)
    assert display.lines_["loss"].get_xdata().tolist() == [1, 2]
    assert display.lines_["loss"].get_ydata().tolist() == transformer.loss_curve_
    drawn = set(display.lines_) - {"loss"}
    assert drawn
    for name in drawn:
        expected = [epoch[name] for epoch in transformer.history_]
        np.testing.assert_array_equal(display.lines_[name].get_ydata(), expected)
    assert display.ax_.get_xlabel() == "epoch"
    assert display.ax_.get_ylabel() == "nats"


def test_loss_curve_names_terms_and_dashes_validation():
    display = LossCurveDisplay(loss=[-1.0, -2.0], terms={"local": [0.7, 1.5], "valid_local": [np.nan, 1.2]}).plot()
    local, valid = display.lines_["local"], display.lines_["valid_local"]
    assert local.get_linestyle() == "-"
    assert valid.get_linestyle() == "--"
    assert valid.get_color() == local.get_color()
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["loss", "local", "validation local"]


def test_loss_curve_leaves_gaps_and_ignores_what_is_not_a_term():
    display = LossCurveDisplay.from_estimator(Recorded().fit(HISTORY))
    assert list(display.lines_) == ["loss", "valid_loss", "local", "valid_local", "code"]
    np.testing.assert_array_equal(display.lines_["valid_local"].get_ydata(), [np.nan, 1.2])


def test_loss_curve_of_an_untrained_network_is_refused(digits):
    untrained = DeepInfoMaxTransformer(max_iter=0, random_state=0).fit(digits[0])
    with pytest.raises(ValueError, match="max_iter=0"):
        LossCurveDisplay.from_estimator(untrained)


def test_loss_curve_takes_axes_and_style(transformer):
    _, ax = plt.subplots()
    display = LossCurveDisplay.from_estimator(transformer, ax=ax, line_kw={"linewidth": 3, "color": "red"})
    assert_drawn_on(display, ax)
    assert {line.get_linewidth() for line in display.lines_.values()} == {3}
    assert {line.get_color() for line in display.lines_.values()} == {"red"}


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


def test_unfitted_is_refused(digits):
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(DeepInfoMaxTransformer())
    with pytest.raises(NotFittedError):
        EmbeddingDisplay.from_estimator(DeepInfoMaxTransformer(), digits[0])


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="LossCurveDisplay requires matplotlib"):
        LossCurveDisplay(loss=[0.0], terms={}).plot()
