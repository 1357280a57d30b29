"""Callbacks of training on a hand-made net: what stops it, what it leaves, and what is printed."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import images, tiny
from torch import nn

from skdim import CPCTransformer, MIEstimator, MultiViewInfoMaxTransformer
from skdim.exceptions import DivergenceError
from skdim.training.callbacks import LARGEST_WEIGHT, WIDEST_LINE, BestEpoch, DivergenceGuard


def net(n_epochs=1, **last):
    history = [{} for _ in range(n_epochs - 1)] + [last]
    return SimpleNamespace(module_=nn.Linear(3, 2), history=history, stops=False, record=lambda prefix, values: None)


# ------------------------------------------------------------------------------------------------------ divergence guard
@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_ends_training(loss):
    with pytest.raises(DivergenceError, match=rf"diverged in epoch 3: the loss became {loss}.*learning_rate"):
        DivergenceGuard().on_batch_end(net(n_epochs=3), loss=torch.tensor(loss))
    for finite in (0.0, -1e30, 1e30):
        DivergenceGuard().on_batch_end(net(), loss=torch.tensor(finite))
    assert issubclass(DivergenceError, ValueError)


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf, 2 * LARGEST_WEIGHT, -LARGEST_WEIGHT, 1e6, -1e6])
def test_a_weight_out_of_range_ends_training(weight):
    trained = net()
    trained.module_.empty = nn.Parameter(torch.zeros(0))
    with torch.no_grad():
        trained.module_.weight[1, 2] = weight
    if abs(weight) <= 1e6:
        DivergenceGuard().on_epoch_end(trained)
    else:
        with pytest.raises(DivergenceError, match="largest weight of weight became"):
            DivergenceGuard().on_epoch_end(trained)


@pytest.mark.parametrize("name", ["train_loss", "valid_loss"])
def test_a_loss_that_was_not_read_is_read_at_the_end_of_the_epoch(name):
    DivergenceGuard().on_batch_end(net(), loss=SimpleNamespace(device=torch.device("cuda")))
    DivergenceGuard().on_epoch_end(net(**{name: 1e30}))
    with pytest.raises(DivergenceError, match="diverged in epoch 2: the loss became nan"):
        DivergenceGuard().on_epoch_end(net(n_epochs=2, **{name: math.nan}))


# -------------------------------------------------------------------------------------------------------- the best epoch
def run(losses, patience=2, tol=0.1, module=None, **options):
    """Train on a script of held-out losses; weights and buffers of epoch e are e. Return (epochs run, what is left)."""
    script, trained = iter(losses), net()
    trained.module_, trained.history = module or nn.BatchNorm1d(2), []
    best = BestEpoch(lambda module: {"loss": next(script)}, patience, tol, **options)
    best.on_train_begin(trained)
    while not trained.stops and len(trained.history) < len(losses) - (best.decay is not None):
        trained.history.append({})
        with torch.no_grad():
            for tensor in (trained.module_.weight, trained.module_.running_mean):
                tensor.fill_(len(trained.history))
        best.on_batch_end(trained)
        best.on_epoch_end(trained)
    best.on_train_end(trained)
    left = {*trained.module_.weight.tolist(), *trained.module_.running_mean.tolist()}
    return len(trained.history), left, best


@pytest.mark.parametrize(
    ("losses", "n_epochs", "best"),
    [
        pytest.param([5, 4, 3, 2, 1], 5, 5, id="improves to the end"),
        pytest.param([5, 4, 4.5, 4.6, 1], 4, 2, id="stops and restores"),
        pytest.param([5, 4, 4.5, 3, 3.5, 3.6], 6, 4, id="waits anew after an improvement"),
        pytest.param([5, 4.95, 4.92, 1], 3, 3, id="too small to wait for, but kept"),
        pytest.param([5, 6, 7], 3, 1, id="only gets worse"),
        pytest.param([5, 5, 5, 5], 3, 1, id="a tie keeps the first"),
        pytest.param([-1, -2, -2.05, -1.9], 4, 3, id="negative losses"),
        pytest.param([5, 4.5], 2, 2, id="ends before it has to stop"),
        pytest.param([5, math.nan, math.nan, 1], 3, 1, id="nan is no improvement"),
    ],
)
def test_the_best_epochs_weights_and_buffers_are_left(losses, n_epochs, best):
    ran, left, callback = run(losses)
    assert ran == n_epochs
    assert left == {best} == {callback.best_epoch_}
    assert callback.best_loss_ == losses[best - 1]


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_patience_is_the_number_of_epochs_waited_for(patience):
    assert run([1.0] * 20, patience=patience)[0] == 1 + patience


def test_training_without_an_epoch_and_a_second_one_start_anew():
    assert run([])[1] == {0.0, 1.0}  # as a new layer is
    _, _, callback = run([5, 6, 7])
    callback.judge = lambda module: {"loss": 100.0}
    again = net()
    callback.on_train_begin(again)
    callback.on_epoch_end(again)
    assert (callback.best_loss_, callback.waited_) == (100.0, 0)


def test_the_start_is_a_candidate_of_averaged_weights():
    ran, left, callback = run([3.0, 5.0, 6.0, 7.0], decay=0.0)
    assert (ran, left, callback.best_epoch_) == (2, {0.0, 1.0}, 0)  # as a new layer is
    assert run([3.0, 5.0, 2.0, 7.0], decay=0.0)[1] == {2.0}  # running means belong to their weights


# --------------------------------------------------------------------------------------------------------------- the log
SEQUENCES = np.random.default_rng(0).normal(size=(60, 40)).cumsum(1)
LOGGED = {
    "one": (tiny(max_iter=3), images(60), {"local", "code"}),
    "predictive coding": (CPCTransformer(4, max_iter=3, random_state=0), SEQUENCES, {"prediction"}),
    "three long names": (
        MultiViewInfoMaxTransformer(4, views="quadrants", graph="core", max_iter=3),
        images(60),
        set(),
    ),
    "six pairs": (MultiViewInfoMaxTransformer(4, views="quadrants", max_iter=3), images(60), set()),
}


def printed(estimator, data, capsys, **params):
    estimator.set_params(verbose=1, random_state=0, **params).fit(*data)
    head, rule, *rows = capsys.readouterr().out.strip("\n").split("\n")
    assert len(rows) == estimator.n_iter_  # the last one too, where training stopped
    assert [row.split()[0] for row in rows] == [str(epoch + 1) for epoch in range(len(rows))]
    assert max(len(row) for row in rows) <= len(rule) <= WIDEST_LINE == 100
    return head.split()[1:], rows


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("case", LOGGED)
def test_a_line_an_epoch_holds_the_bounds_where_there_is_room(case, early_stopping, capsys):
    estimator, X, bounds = LOGGED[case]
    stops = {"early_stopping": early_stopping, "tol": 1e6, "n_iter_no_change": 1}
    columns, rows = printed(estimator, [X], capsys, **stops)
    assert len(rows) == (2 if early_stopping else 3)
    prefixes = ["train_", "valid_"] if early_stopping else ["train_"]
    assert set(columns) == {prefix + name for prefix in prefixes for name in {"loss", *bounds}}
    estimator.set_params(verbose=0).fit(X)
    assert capsys.readouterr().out == ""


def test_epochs_that_are_not_judged_leave_their_place_empty(capsys):
    x = np.random.default_rng(0).normal(size=(300, 1))
    estimator = MIEstimator(max_iter=4, n_refits=0, batch_size=32)
    columns, rows = printed(estimator, [x, x + np.random.default_rng(1).normal(size=(300, 1))], capsys)
    assert columns == ["train_loss", "valid_loss"]
    assert [len(row.split()) for row in rows] == [2, 3, 2, 3]
