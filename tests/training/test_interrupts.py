"""Ctrl-C keeps what was learned, but for a search."""

import os
import signal

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from skdim import Checkpoint, CPCTransformer, DeepInfoMaxTransformer, MIEstimator, MultiViewInfoMaxTransformer
from skdim.training.step import Step

X = np.random.default_rng(0).normal(size=(96, 12)).astype(np.float32)
SMALL = {"max_iter": 6, "random_state": 0, "batch_size": 32}
ESTIMATORS = [
    DeepInfoMaxTransformer(3, **SMALL),
    MultiViewInfoMaxTransformer(n_components=3, **SMALL),
    CPCTransformer(3, **SMALL),
]


@pytest.fixture(autouse=True)
def pythons_own_handler():
    """Processes of pytest-xdist ignore the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def interrupt_at(monkeypatch, step, times=1):
    """Send the signal within a step, counted from 1."""
    update, count = Step.update, [0]

    def interrupted(self, loss):
        count[0] += 1
        if count[0] == step:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        update(self, loss)

    monkeypatch.setattr(Step, "update", interrupted)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_an_interrupted_fit_has_the_weights_so_far_and_continues(estimator, monkeypatch):
    whole = type(estimator)(**estimator.get_params()).fit(X)
    fitted = type(estimator)(**estimator.get_params())
    interrupt_at(monkeypatch, step=5)  # of three a time
    with pytest.warns(ConvergenceWarning, match="interrupted in epoch 2"):
        fitted.fit(X)
    assert fitted.n_iter_ == 2
    assert np.isfinite(fitted.transform(X)).all()
    assert (fitted.transform(X) != whole.transform(X)).any()
    assert fitted.partial_fit(X).n_iter_ == 3


def test_ctrl_c_leaves_the_checkpoint_for_the_next_fit(monkeypatch, tmp_path):
    dim = DeepInfoMaxTransformer(3, **SMALL)
    whole = clone(dim).fit(X).transform(X)
    dim.set_params(checkpoint=Checkpoint(tmp_path, minutes=0))
    with monkeypatch.context() as patch:
        interrupt_at(patch, step=5)
        with pytest.warns(ConvergenceWarning, match="interrupted in epoch 2"):
            dim.fit(X)
    assert len([*tmp_path.iterdir()]) == 1
    np.testing.assert_array_equal(dim.fit(X).transform(X), whole)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "n_rows"),
    [({}, 96), ({}, 1200), ({"estimator": "dv", "critic": "concat"}, 96), ({"estimator": "ba"}, 96)],
)
@pytest.mark.parametrize("has_labels", [False, True])
@pytest.mark.filterwarnings("ignore::skdim.exceptions.MutualInformationWarning")
def test_an_interrupted_estimate_rests_on_the_weights_so_far(options, n_rows, has_labels, monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n_rows, 2))
    y = x[:, 0] + rng.normal(size=n_rows)
    mi = MIEstimator(random_state=0, **options)
    interrupt_at(monkeypatch, step=3)
    with pytest.warns(ConvergenceWarning, match=r"interrupted in epoch [123] of a network"):
        mi.fit(x, y > 0 if has_labels else y)
    assert len(mi.history_) <= 3
    assert np.isfinite([mi.mi_, *mi.mi_interval_]).all()
    assert len(mi.pointwise(x[:9], (y > 0 if has_labels else y)[:9])) == 9


def test_a_second_signal_raises_and_leaves_the_estimator_as_it_was(monkeypatch):
    fitted = DeepInfoMaxTransformer(3, **SMALL).fit(X)
    before = fitted.transform(X)
    interrupt_at(monkeypatch, step=2, times=2)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(X)
    np.testing.assert_array_equal(fitted.transform(X), before)


def test_a_search_is_ended(monkeypatch):
    interrupt_at(monkeypatch, step=2)
    with pytest.raises(KeyboardInterrupt):
        GridSearchCV(DeepInfoMaxTransformer(3, **SMALL), {"n_components": [2, 3]}, cv=2).fit(X)
