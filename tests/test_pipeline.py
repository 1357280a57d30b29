"""The pipeline story of the README: one step of scikit-learn's among others."""

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from helpers import IMAGES, LABELS, images, same_state, table, threads_of_the_worker, tiny, tiny_table
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skdim import PAPER, DeepInfoMaxTransformer
from skdim.bounds import Alpha
from skdim.nn.critics import Separable

X, Y = images(200), LABELS[:200]


def story(**params):
    return Pipeline([("dim", tiny(**params)), ("scale", StandardScaler()), ("clf", LogisticRegression(max_iter=2000))])


@pytest.fixture(scope="module")
def search():
    """One search for all the tests of it: two processes, names and configured objects."""
    grid = [
        {"dim__estimator": ["infonce", "jsd"], "dim__critic": ["inner", "separable"]},
        {"dim__estimator": [Alpha()], "dim__estimator__alpha": [0.1, 1.0]},
        {"dim__critic": [Separable()], "dim__critic__width": [8, 16]},
    ]
    scoring = {"accuracy": "accuracy", "threads": threads_of_the_worker}
    return GridSearchCV(
        story(max_iter=4), grid, scoring=scoring, refit="accuracy", n_jobs=2, cv=2, error_score="raise"
    ).fit(X, Y)


def test_two_workers_share_the_cores(search):
    assert search.cv_results_["mean_test_threads"].max() <= max(1, joblib.cpu_count() // 2)


def test_pipeline_fits_and_predicts():
    pipeline = story(max_iter=5).fit(X, Y)
    assert pipeline.score(X, Y) > 0.5
    assert (pipeline.predict(X) == story(max_iter=5).fit(X, Y).predict(X)).all()
    assert pipeline[:-2].get_feature_names_out()[0] == "deepinfomaxtransformer0"


def test_search_over_estimators_and_critics(search):
    assert len(search.cv_results_["params"]) == 8
    assert np.isfinite(search.cv_results_["mean_test_accuracy"]).all()
    alphas = [
        params["dim__estimator__alpha"] for params in search.cv_results_["params"] if "dim__estimator__alpha" in params
    ]
    assert alphas == [0.1, 1.0]
    # Every candidate was another model: its own parameters reached the step.
    one = search.cv_results_["params"][4]
    assert clone(search.estimator).set_params(**clone(one, safe=False))["dim"].estimator == Alpha(alpha=0.1)
    assert search.best_estimator_["dim"].n_iter_ == 4
    assert search.score(X, Y) > 0.4


def test_processes_give_the_same_as_one(search):
    best = clone(search.estimator).set_params(**clone(search.best_params_, safe=False)).fit(X, Y)
    assert (best.predict_proba(X) == search.predict_proba(X)).all()
    first = {name: values[:1] for name, values in search.param_grid[0].items()}
    alone = GridSearchCV(story(max_iter=4), first, cv=2).fit(X, Y)
    assert alone.cv_results_["mean_test_score"][0] == search.cv_results_["mean_test_accuracy"][0]


def test_a_searched_parameter_never_changes_the_grid_s_object(search):
    assert search.param_grid[1]["dim__estimator"][0] == Alpha()
    assert search.param_grid[2]["dim__critic"][0] == Separable()
    assert search.estimator["dim"].estimator == "infonce"


@pytest.mark.parametrize("options", [{}, {"mmap_mode": "r"}], ids=["read", "mapped"])
def test_dumped_and_loaded_predictions_are_bit_identical(search, options, tmp_path):
    for model in (search.best_estimator_, search):
        joblib.dump(model, tmp_path / "model.joblib")
        loaded = joblib.load(tmp_path / "model.joblib", **options)
        assert (loaded.predict(X) == model.predict(X)).all()
        assert loaded.predict_proba(X).tobytes() == model.predict_proba(X).tobytes()


def test_learn_once_without_labels_then_cross_validate_on_a_hundred():
    dim = tiny(max_iter=8, n_components=16).fit(IMAGES[:600])
    state = clone(dim).fit(IMAGES[:600])
    frozen = make_pipeline(FrozenEstimator(dim), StandardScaler(), LogisticRegression(max_iter=2000))
    scores = cross_val_score(frozen, X[:100], Y[:100], cv=3)
    assert (scores > 0.3).all()
    assert same_state(dim, state)  # nobody retrained it
    search = GridSearchCV(frozen, {"logisticregression__C": [0.1, 1.0]}, cv=2).fit(X[:100], Y[:100])
    assert (search.best_estimator_[0].transform(X) == dim.transform(X)).all()


class CountingFits:
    """Count the fits of DeepInfoMaxTransformer itself."""

    def __init__(self, monkeypatch):
        self.n = 0
        original = DeepInfoMaxTransformer._fit

        def train(estimator, *args, **kwargs):
            self.n += 1
            return original(estimator, *args, **kwargs)

        monkeypatch.setattr(DeepInfoMaxTransformer, "_fit", train)


def test_a_cached_pipeline_never_retrains_for_the_classifier_s_parameters(tmp_path, monkeypatch):
    fits = CountingFits(monkeypatch)
    grid = {"clf__C": [0.01, 0.1, 1.0, 10.0]}
    uncached = GridSearchCV(story(max_iter=1), grid, cv=2, refit=False).fit(X, Y)
    assert fits.n == 4 * 2
    fits.n = 0
    cached = story(max_iter=1).set_params(memory=joblib.Memory(tmp_path, verbose=0))
    search = GridSearchCV(cached, grid, cv=2).fit(X, Y)
    assert fits.n == 2 + 1  # once a fold, and once for the refit
    assert (search.cv_results_["mean_test_score"] == uncached.cv_results_["mean_test_score"]).all()
    search.fit(X, Y)
    assert fits.n == 3  # nothing new
    search.set_params(estimator__dim__n_components=5).fit(X, Y)
    assert fits.n == 6


def test_a_cached_step_is_the_fitted_one(tmp_path):
    memory = joblib.Memory(tmp_path, verbose=0)
    first, second = (story(max_iter=1).set_params(memory=memory).fit(X, Y) for _ in range(2))
    assert (first.predict_proba(X) == second.predict_proba(X)).all()
    assert same_state(first["dim"], second["dim"])


# ------------------------------------------------------------------------------------------------------ names and containers
@pytest.mark.parametrize(("library", "frame"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
def test_set_output(library, frame):
    dim = tiny(max_iter=0).set_output(transform=library).fit(X)
    features = dim.transform(X)
    assert isinstance(features, frame)
    assert list(features.columns) == list(dim.get_feature_names_out())
    assert list(features.columns) == [f"deepinfomaxtransformer{i}" for i in range(8)]
    assert (np.asarray(features) == dim.set_output(transform="default").transform(X)).all()
    wide = dim.set_params(features="local").set_output(transform=library).transform(X)
    assert wide.shape == (200, len(dim.get_feature_names_out()))


def test_set_output_keeps_the_index():
    data = pd.DataFrame(table(30), index=[f"row {i}" for i in range(30)]).rename(columns=str)
    features = tiny_table(max_iter=1).set_output(transform="pandas").fit_transform(data)
    assert list(features.index) == list(data.index)


def test_feature_names_in_a_union_and_a_column_transformer():
    data = pd.DataFrame(table(40), columns=list("abcdef"))
    union = FeatureUnion([("dim", tiny_table(max_iter=1)), ("pca", PCA(2))]).set_output(transform="pandas")
    assert list(union.fit_transform(data).columns[:2]) == [
        "dim__deepinfomaxtransformer0",
        "dim__deepinfomaxtransformer1",
    ]
    columns = ColumnTransformer([("dim", tiny_table(max_iter=1), list("abc"))], remainder="passthrough")
    assert columns.fit_transform(data).shape == (40, 4 + 3)


def test_after_a_step_that_gives_stacked_images():
    reshape = FunctionTransformer(lambda X: X.reshape(-1, 8, 8))
    pipeline = make_pipeline(reshape, tiny(max_iter=1)).fit(X.reshape(200, 64))
    assert pipeline.transform(X.reshape(200, 64)).shape == (200, 8)


# --------------------------------------------------------------------------------------------------------- clone and repr
SETTINGS = {
    "defaults": {},
    "configured": {"estimator": Alpha(0.3), "critic": ("inner", Separable(width=16))},
    **{name: {**settings, "max_iter": 0} for name, settings in PAPER.items()},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_clone_copies_parameters_deeply(name):
    original = DeepInfoMaxTransformer(**SETTINGS[name])
    copy = clone(original)
    assert repr(copy) == repr(original)
    for parameter, value in copy.get_params(deep=False).items():
        if hasattr(value, "get_params"):
            assert value is not getattr(original, parameter)
            assert value == getattr(original, parameter)
        elif isinstance(value, tuple) and parameter == "critic":
            assert value[1] is not original.critic[1]


@pytest.mark.parametrize("name", SETTINGS)
def test_html_and_text(name):
    dim = DeepInfoMaxTransformer(**SETTINGS[name])
    for estimator in (dim, make_pipeline(dim, LogisticRegression())):
        html = estimator._repr_html_()
        assert "DeepInfoMaxTransformer" in html
        assert "DeepInfoMaxTransformer" in repr(estimator)
    if "alpha" in repr(dim):
        assert "0.3" in repr(dim)


def test_html_of_a_fitted_pipeline():
    assert "Fitted" in story(max_iter=0).fit(X, Y)._repr_html_()
    assert repr(tiny(max_iter=0).fit(X)) == repr(tiny(max_iter=0))


def test_nested_parameters_by_name():
    pipeline = story(estimator=Alpha(), critic=Separable())
    pipeline.set_params(dim__estimator__alpha=0.5, dim__critic__width=4, dim__encoder__channels=(4, 4))
    assert pipeline["dim"].estimator == Alpha(alpha=0.5)
    assert pipeline["dim"].critic == Separable(width=4)
    assert pipeline["dim"].encoder.channels == (4, 4)
    names = pipeline.get_params()
    assert {"dim__estimator__alpha", "dim__critic__width", "dim__encoder__kernel_size"} <= set(names)
    with pytest.raises(ValueError, match=r"'gamma'.*Alpha.*alpha"):
        pipeline.set_params(dim__estimator__gamma=1)
