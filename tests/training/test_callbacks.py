"""Callbacks of training on a hand-made net: what stops it, and what it leaves."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from skdim.exceptions import DivergenceError
from skdim.training.callbacks import LARGEST_WEIGHT, DivergenceGuard, EarlyStopping, EpochTasks, StopTraining


def net(n_epochs=1, **last):
    history = [{} for _ in range(n_epochs - 1)] + [last]
    return SimpleNamespace(module_=nn.Linear(3, 2), history=history)


# ------------------------------------------------------------------------------------------------------ divergence guard
@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_ends_training(loss):
    with pytest.raises(DivergenceError, match=rf"diverged in epoch 3: the loss became {loss}.*learning_rate"):
        DivergenceGuard().on_batch_end(net(n_epochs=3), loss=torch.tensor(loss))


@pytest.mark.parametrize("loss", [0.0, -1e30, 1e30])
def test_finite_losses_pass(loss):
    DivergenceGuard().on_batch_end(net(), loss=torch.tensor(loss))


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf, 2 * LARGEST_WEIGHT, -LARGEST_WEIGHT])
def test_a_weight_out_of_range_ends_training(weight):
    diverged = net()
    with torch.no_grad():
        diverged.module_.weight[1, 2] = weight
    with pytest.raises(DivergenceError, match="largest weight of weight became"):
        DivergenceGuard().on_epoch_end(diverged)


def test_ordinary_and_empty_weights_pass():
    ordinary = net()
    ordinary.module_.empty = nn.Parameter(torch.zeros(0))
    with torch.no_grad():
        ordinary.module_.weight[0, 0] = 1e6
    DivergenceGuard().on_epoch_end(ordinary)


@pytest.mark.parametrize("name", ["train_loss", "valid_loss"])
def test_a_loss_that_was_not_read_is_read_at_the_end_of_the_epoch(name):
    unread = SimpleNamespace(device=torch.device("cuda"))
    DivergenceGuard().on_batch_end(net(), loss=unread)
    DivergenceGuard().on_epoch_end(net(**{name: 1e30}))
    with pytest.raises(DivergenceError, match="diverged in epoch 2: the loss became nan"):
        DivergenceGuard().on_epoch_end(net(n_epochs=2, **{name: math.nan}))


def test_divergence_is_a_value_error():
    assert issubclass(DivergenceError, ValueError)


# -------------------------------------------------------------------------------------------------------- early stopping
def run(losses, patience=2, tol=0.1):
    """Train on a script of held-out losses; the weight of epoch e is e. Return (epochs run, weight left, callback)."""
    scripted, stopping = net(), EarlyStopping(patience, tol)
    scripted.history = []
    stopping.on_train_begin(scripted)
    for epoch, loss in enumerate(losses, start=1):
        with torch.no_grad():
            scripted.module_.weight.fill_(epoch)
        scripted.history.append({"valid_loss": loss})
        try:
            stopping.on_epoch_end(scripted)
        except StopTraining:
            break
    stopping.on_train_end(scripted)
    return len(scripted.history), scripted.module_.weight.unique().item(), stopping


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
    ],
)
def test_early_stopping_leaves_the_best_epochs_weights(losses, n_epochs, best):
    ran, weight, stopping = run(losses)
    assert ran == n_epochs
    assert weight == best == stopping.best_epoch_
    assert stopping.best_loss_ == losses[best - 1]


def test_patience_is_the_number_of_epochs_waited_for():
    for patience in (1, 2, 5):
        assert run([1.0] * 20, patience=patience)[0] == 1 + patience


def test_buffers_are_restored_with_the_weights():
    scripted, stopping = net(), EarlyStopping(1, 0.0)
    scripted.module_ = nn.BatchNorm1d(2)
    stopping.on_train_begin(scripted)
    for value, loss in [(1.0, 1.0), (2.0, 9.0)]:
        scripted.module_.running_mean.fill_(value)
        scripted.history = [{"valid_loss": loss}]
        if loss == 1.0:
            stopping.on_epoch_end(scripted)
        else:
            with pytest.raises(StopTraining):
                stopping.on_epoch_end(scripted)
    stopping.on_train_end(scripted)
    assert scripted.module_.running_mean.tolist() == [1.0, 1.0]


def test_training_without_an_epoch_leaves_the_weights():
    scripted, stopping = net(), EarlyStopping(1, 0.0)
    before = scripted.module_.weight.clone()
    stopping.on_train_begin(scripted)
    stopping.on_train_end(scripted)
    assert torch.equal(scripted.module_.weight, before)


def test_a_second_training_starts_its_waiting_anew():
    _, _, stopping = run([5, 6, 7])
    scripted = net(valid_loss=100.0)
    stopping.on_train_begin(scripted)
    stopping.on_epoch_end(scripted)
    assert (stopping.best_loss_, stopping.waited_) == (100.0, 0)


# ----------------------------------------------------------------------------------------------------------- epoch tasks
@pytest.mark.parametrize("stop_at", [None, 1, 3])
def test_an_epoch_is_a_task_and_true_stops_after_it(stop_at):
    calls = []

    def begin():
        calls.append("begin")
        return len(calls)

    def end(context, given):
        calls.append("end")
        assert context == len(calls) - 1  # the context opened for this very epoch
        assert given is trained
        return len(calls) // 2 == stop_at

    trained, tasks = net(), EpochTasks(begin, end)
    for epoch in range(1, 6):
        tasks.on_epoch_begin(trained)
        if epoch == stop_at:
            with pytest.raises(StopTraining):
                tasks.on_epoch_end(trained)
            break
        tasks.on_epoch_end(trained)
    assert calls == ["begin", "end"] * (stop_at or 5)
