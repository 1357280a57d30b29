"""Contract 2: epochs are tasks of scikit-learn's callbacks."""

import pickle

import numpy as np
import pytest
import torch
from helpers import arrays, images, same_state, table, tiny, tiny_table
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted

X = images(96)
LABELS = np.arange(96) % 2


class Recorder:
    """Write down every hook, and stop after some epochs."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.events = []
        self.seen = []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name} {context.task_id}")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None):
        self.events.append(f"end {context.task_name} {context.task_id}")
        self.seen.append((context, X, y))
        return context.task_name == "epoch" and context.task_id + 1 == self.stop_after


class FittedSoFar(Recorder):
    """Keep what the estimator is after every epoch."""

    def __init__(self):
        super().__init__()
        self.fitted = []

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        if fitted_estimator is not None:
            self.fitted.append(fitted_estimator)


class Raises(Recorder):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def on_fit_task_end(self, estimator, context, *, X=None, y=None):
        if context.task_name == "epoch":
            raise self.error


def own_score(estimator, X, y):
    return {"score": estimator.score(X, y)}


def monitor_of_scores():
    # scikit-learn 1.9.1's ScoringMonitor takes a dict of scores only: scoring=None fails there for every estimator.
    return ScoringMonitor(scoring=own_score)


def test_epochs_are_tasks():
    recorder = Recorder()
    tiny(max_iter=2).set_callbacks(recorder).fit(X)
    assert recorder.events == [
        "setup",
        "begin fit 0",
        "begin epoch 0",
        "end epoch 0",
        "begin epoch 1",
        "end epoch 1",
        "end fit 0",
        "teardown",
    ]
    assert recorder.seen[-1][0].max_subtasks == 2
    assert all(np.array_equal(data, X) for _, data, _ in recorder.seen)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_partial_fit_and_no_epochs(method):
    recorder = Recorder()
    getattr(tiny(max_iter=0).set_callbacks(recorder), method)(X)
    epochs = ["begin epoch 0", "end epoch 0"] if method == "partial_fit" else []
    assert recorder.events == ["setup", "begin fit 0", *epochs, "end fit 0", "teardown"]


def test_callbacks_change_nothing():
    before = torch.get_rng_state()
    watched = tiny(prior_weight=0.5).set_callbacks(Recorder(), FittedSoFar(), monitor_of_scores()).fit(X)
    assert torch.equal(torch.get_rng_state(), before)
    alone = tiny(prior_weight=0.5).fit(X)
    assert same_state(watched, alone)
    assert watched.history_ == alone.history_
    extra = set(vars(watched)) - set(vars(alone))
    assert extra <= {"_skl_callbacks"}


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("n", [1, 3])
def test_true_stops_after_that_epoch(n, early_stopping):
    recorder = Recorder(stop_after=n)
    stopped = tiny(max_iter=5, early_stopping=early_stopping).set_callbacks(recorder).fit(X)
    assert stopped.lower_bound_ > -np.inf
    assert stopped.n_iter_ == len(stopped.loss_curve_) == len(stopped.history_) == n
    assert recorder.events[-2:] == ["end fit 0", "teardown"]
    assert np.isfinite(stopped.transform(X)).all()


# ----------------------------------------------------------------------------------------------------------- the monitor
@pytest.mark.parametrize("y", [None, LABELS], ids=["without y", "with y"])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_scoring_monitor_logs_a_finite_score_an_epoch(y, method):
    monitor = monitor_of_scores()
    estimator = tiny(max_iter=3).set_callbacks(monitor)
    getattr(estimator, method)(X, y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(rows) == estimator.n_iter_ == (3 if method == "fit" else 1)
    assert all(np.isfinite(row["score"]) for row in rows)
    assert rows[-1]["score"] == pytest.approx(estimator.score(X), abs=1e-6)


def test_scoring_monitor_on_a_table_and_on_the_step_of_a_pipeline():
    monitor = monitor_of_scores()
    dim = tiny_table(max_iter=2).set_callbacks(monitor)
    make_pipeline(dim, LogisticRegression()).fit(table(96), LABELS)
    rows = [row for row in monitor.get_logs().data if "score" in row]
    assert len(rows) == 2
    assert all(np.isfinite(row["score"]) for row in rows)


def test_scoring_monitor_with_a_scorer_of_our_own():
    monitor = ScoringMonitor(scoring={"score": lambda estimator, X, y: estimator.lower_bound_})
    estimator = tiny(max_iter=3).set_callbacks(monitor).fit(X)
    rows = [row["score"] for row in monitor.get_logs().data if "score" in row]
    assert rows == [pytest.approx(row["local"] + row["code"], rel=1e-6) for row in estimator.history_]


# -------------------------------------------------------------------------------------------- the estimator as fitted so far
@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_estimator_so_far_is_the_one_that_would_have_stopped_there(early_stopping):
    callback = FittedSoFar()
    settings = {"max_iter": 4, "prior_weight": 0.5, "early_stopping": early_stopping, "n_iter_no_change": 9}
    whole = tiny(**settings).set_callbacks(callback).fit(X)
    assert len(callback.fitted) == 4
    stopped = tiny(**settings).set_callbacks(Recorder(stop_after=2)).fit(X)
    so_far = callback.fitted[1]
    check_is_fitted(so_far)
    if not early_stopping:  # early stopping goes back to the best weights in the end
        assert (so_far.transform(X) == stopped.transform(X)).all()
        assert so_far.score(X) == stopped.score(X)
    public = {name for name in vars(stopped) if name.endswith("_") and not name.startswith("_")}
    assert public <= set(vars(so_far))
    for name in sorted(public):
        assert getattr(so_far, name) == getattr(stopped, name), name
    assert [row["epoch"] for row in so_far.history_] == [1, 2]
    assert whole.n_iter_ == 4


def test_the_estimator_so_far_of_a_continued_training():
    callback = FittedSoFar()
    estimator = tiny(warm_start=True).fit(X).set_callbacks(callback).fit(X)
    assert [fitted.n_iter_ for fitted in callback.fitted] == [3, 4]
    assert [row["epoch"] for row in callback.fitted[-1].history_] == [1, 2, 3, 4]
    assert callback.fitted[-1].loss_curve_ == estimator.loss_curve_
    assert callback.fitted[-1].device_ == "cpu"
    a, b = (fitted.set_callbacks().transform(X) for fitted in callback.fitted)
    assert (a != b).any()  # each stays as it was
    assert (pickle.loads(pickle.dumps(callback.fitted[0])).transform(X) == a).all()


# ------------------------------------------------------------------------------------------------------------------ errors
@pytest.mark.parametrize(("params", "rows"), [({"learning_rate": 1e9}, 96), ({}, 1)], ids=["divergence", "bad input"])
def test_teardown_is_called_after_an_error_and_no_trace_is_left(params, rows):
    recorder = Recorder()
    estimator = tiny(**params).set_callbacks(recorder)
    before = dict(vars(estimator))
    with pytest.raises(ValueError, match=r"diverged|1 sample"):
        estimator.fit(X[:rows])
    assert recorder.events[-1:] == (["teardown"] if recorder.events else [])
    assert bool(recorder.events) == (rows > 1)
    assert vars(estimator) == before


@pytest.mark.parametrize("error", [RuntimeError("a fault of the callback"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_an_error_in_a_callback_leaves_the_estimator_as_before(error, method):
    estimator = tiny().fit(X)
    before, state = dict(vars(estimator)), arrays(estimator)
    callback = Raises(error)
    with pytest.raises(type(error)):
        getattr(estimator.set_callbacks(callback), method)(images(90, start=300))
    assert callback.events[-1] == "teardown"
    assert vars(estimator.set_callbacks()) == before
    assert all(np.asarray(state[k]).tobytes() == np.asarray(v).tobytes() for k, v in arrays(estimator).items())


# ---------------------------------------------------------------------------------------------------------- progress bars
def test_progress_bars_go_through_pipelines_and_searches(capsys):
    tiny(max_iter=2).set_callbacks(ProgressBar()).fit(X)
    assert "DeepInfoMaxTransformer" in capsys.readouterr().out
    pipeline = Pipeline([("dim", tiny(max_iter=1)), ("clf", LogisticRegression())]).set_callbacks(ProgressBar())
    pipeline.fit(X, LABELS)
    out = capsys.readouterr().out
    assert "Pipeline" in out
    assert "DeepInfoMaxTransformer" in out
    assert not hasattr(pipeline["dim"], "_skl_callbacks")
    search = GridSearchCV(clone(pipeline).set_callbacks(), {"dim__estimator": ["infonce", "jsd"]}, cv=2)
    search.set_callbacks(ProgressBar()).fit(X, LABELS)
    assert "GridSearchCV" in capsys.readouterr().out
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_fitted_estimator_with_callbacks_is_copied_and_saved():
    for callback in (ProgressBar(), monitor_of_scores()):
        estimator = tiny(max_iter=1).set_callbacks(callback).fit(X)
        loaded = pickle.loads(pickle.dumps(estimator))
        assert (loaded.transform(X) == estimator.transform(X)).all()
        assert np.isfinite(clone(estimator).fit(X).transform(X)).all()
