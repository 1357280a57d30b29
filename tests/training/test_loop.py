"""The trainer: optimizer groups, the schedule, a loop equal to a hand-written one, and networks that draw."""

import copy
import math

import numpy as np
import pytest
import torch
from helpers import images, tiny
from skorch.callbacks import Callback
from torch import nn

from skdim import DeepInfoMaxTransformer
from skdim.exceptions import DivergenceError
from skdim.inputs.batches import Batches
from skdim.inputs.samples import Samples, Standardizer
from skdim.nn.objectives import Objective
from skdim.training import distributed
from skdim.training import trainer as module
from skdim.training.callbacks import BestEpoch
from skdim.training.trainer import OPTIMIZERS, WARM_UP, Trainer, held_out_values, make_optimizer

N, N_TRAIN, WIDTH = 50, 40, 4
X = np.random.default_rng(0).normal(size=(N, WIDTH))
SAMPLES = Samples(X, Standardizer.learn(X, (WIDTH,)), torch.device("cpu"))


class Noisy(Objective):
    """A loss with named parts, whose targets a step draws."""

    def __init__(self, noise=1.0):
        super().__init__()
        self.noise = noise
        self.layer = nn.Linear(WIDTH, 2)
        self.norm = nn.LayerNorm(2)
        self.offset = nn.Parameter(torch.zeros(()))
        self.modes = []

    @property
    def networks(self):
        return [self.layer]

    def draw(self, rows, generator):
        return {"targets": self.noise * torch.randn(rows.n, 2, generator=generator) if generator else None}

    def forward(self, X, draws):
        self.modes.append(self.training)
        output = self.norm(self.layer(X)) + self.offset
        loss = (output if draws["targets"] is None else output - draws["targets"]).square().mean()
        return loss, {"loss": loss.detach(), "size": torch.tensor(float(len(X)))}


def objective(cls=Noisy, **kwargs):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return cls(**kwargs)


def batches(batch_size=16):
    return Batches(SAMPLES, np.arange(N_TRAIN), batch_size, seed=7)


HELD_OUT = Batches(SAMPLES, np.arange(N_TRAIN, N), 4, seed=None)


def judge(objective):
    return held_out_values(objective, HELD_OUT)


def train(objective, optimizer="adamw", max_epochs=3, seed=3, batch_size=16, **options):
    optimizer = make_optimizer(optimizer, objective, 0.05, 0.01)
    generator = torch.Generator().manual_seed(seed)
    return Trainer(optimizer, max_epochs, generator, **options).train(objective, batches(batch_size))


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


# ------------------------------------------------------------------------------------------------------------ optimizers
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_matrices_decay_and_vectors_do_not(name):
    trained = objective()
    trained.convolution = nn.Conv2d(1, 2, 3)
    optimizer = make_optimizer(name, trained, 0.05, 0.3)
    names = {parameter: name for name, parameter in trained.named_parameters()}
    decay = {names[p]: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decay == {name: 0.3 * (parameter.ndim > 1) for name, parameter in trained.named_parameters()}
    assert all(group["lr"] == 0.05 and group["fused"] for group in optimizer.param_groups)
    assert type(optimizer).__name__.lower() == name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_adversary_has_a_group_of_its_own(name):
    trained = objective()
    trained.adversary = nn.Linear(2, 3)
    *others, own = make_optimizer(name, trained, 0.05, 0.3).param_groups
    assert [id(p) for p in own["params"]] == [id(p) for p in trained.adversary.parameters()]
    assert own["weight_decay"] == 0
    assert sum(len(group["params"]) for group in others) == 5
    if name != "sgd":
        assert own["betas"][0] == 0.5 < others[0]["betas"][0]


def test_an_optimizer_may_be_a_class_or_a_function_and_no_other_name():
    assert isinstance(make_optimizer(torch.optim.RMSprop, objective(), 0.1, 0.0), torch.optim.RMSprop)
    slow = make_optimizer(lambda groups, lr: torch.optim.SGD(groups, lr=lr / 10), objective(), 0.1, 0.2)
    assert [group["lr"] for group in slow.param_groups] == [pytest.approx(0.01)] * 2
    with pytest.raises(ValueError, match=r"Unknown optimizer 'lion'.*\['adam', 'adamw', 'sgd'\]"):
        make_optimizer("lion", objective(), 0.1, 0.0)


def test_frozen_parameters_and_empty_groups_are_left_out():
    trained = objective()
    trained.layer.weight.requires_grad_(False)
    (group,) = make_optimizer("adamw", trained, 0.1, 0.3).param_groups
    assert group["weight_decay"] == 0
    assert len(group["params"]) == 4


# -------------------------------------------------------------------------------------------------------------- schedule
class Rates(Callback):
    """Records the learning rate that each step uses."""

    def on_train_begin(self, net, **kwargs):
        self.rates = []

    def on_batch_begin(self, net, **kwargs):
        (rate,) = {group["lr"] for group in net.optimizer_.param_groups}
        self.rates.append(rate / 0.05)


@pytest.mark.parametrize("max_epochs", [1, 4, 40])
def test_the_rate_rises_and_falls_along_a_cosine_over_all_steps(max_epochs):
    recorder, n_steps = Rates(), 3 * max_epochs
    train(objective(), max_epochs=max_epochs, callbacks=[recorder])
    found, steps = np.array(recorder.rates), np.arange(n_steps)
    warm = steps < WARM_UP * n_steps
    np.testing.assert_allclose(found[~warm], (1 + np.cos(np.pi * steps / n_steps)[~warm]) / 2)
    assert (np.diff(found[warm]) > 0).all()
    assert 0 < found[0] < (0.2 if max_epochs == 40 else 1.0)
    assert 0 < found[-1] < 0.3


def test_without_a_schedule_the_rate_is_constant():
    recorder = Rates()
    train(objective(), max_epochs=4, schedule=False, callbacks=[recorder])
    np.testing.assert_allclose(recorder.rates, np.ones(12))


def test_a_training_of_one_step_learns():
    trained = objective()
    train(trained, max_epochs=1, batch_size=40)
    assert not torch.equal(trained.layer.weight, objective().layer.weight)


# -------------------------------------------------------------------------------------------------------------- the loop
def test_training_equals_a_hand_written_loop():
    trained, twin = objective(noise=0.0), objective(noise=0.0)
    history = train(trained, max_epochs=5)
    optimizer = make_optimizer("adamw", twin, 0.05, 0.01)
    step, losses = 0, []
    for epoch in range(5):
        order, epoch_losses = np.random.default_rng([7, epoch]).permutation(N_TRAIN), []
        for rows in np.array_split(order, 3):
            for group in optimizer.param_groups:
                cosine = (1 + math.cos(math.pi * step / 15)) / 2
                group["lr"] = 0.05 * min(1.0, (step + 1) / (WARM_UP * 15 + 1)) * cosine
            loss, _ = twin(SAMPLES.read(rows), {"targets": torch.zeros(len(rows), 2)})
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            epoch_losses.append(loss.item())
        losses.append(np.mean(epoch_losses))
    for found, expected in zip(trained.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose([row["loss"] for row in history.epochs], losses, rtol=1e-5)
    assert not trained.training


def test_training_is_a_function_of_its_seeds_and_leaves_the_global_generators():
    runs = []
    for seed, burn in [(3, 1), (3, 2), (4, 1)]:
        torch.rand(burn)
        before, of_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        runs.append(objective())
        train(runs[-1], seed=seed, best=BestEpoch(judge, 9))
        assert torch.equal(torch.get_rng_state(), before)
        np.testing.assert_array_equal(np.random.get_state()[1], of_numpy)  # noqa: NPY002
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_history_holds_the_mean_of_every_part_and_held_out_rows_change_nothing():
    trained, without = objective(), objective()
    history = train(trained, best=BestEpoch(judge, 9))
    plain = train(without)
    assert [row["loss"] for row in plain.epochs] == [row["loss"] for row in history.epochs]
    for row in history.epochs:
        assert list(row) == ["loss", "size", "valid_loss", "valid_size"]
        assert row["size"] == pytest.approx(40 / 3, rel=1e-6)
        assert row["valid_size"] == pytest.approx(10 / 3, rel=1e-6)
    best = int(np.argmin([row["valid_loss"] for row in history.epochs]))
    assert history.best_epoch == best + 1
    assert history.best == {"loss": history.epochs[best]["valid_loss"], "size": history.epochs[best]["valid_size"]}
    assert judge(trained)["loss"] == pytest.approx(history.best["loss"], abs=1e-6)
    assert plain.best == plain.epochs[-1]
    assert trained.modes == ([True] * 3 + [False] * 3) * 3 + [False] * 3  # the trial step is a copy's


def test_no_epochs_change_nothing():
    untrained = objective()
    assert train(untrained, max_epochs=0) == ([], {}, 0, False)
    assert same(untrained, objective())
    assert not untrained.training


@pytest.mark.parametrize("step", [0, 4])
def test_a_loss_that_is_not_finite_raises(step):
    class Breaking(Noisy):
        def forward(self, X, draws):
            loss, parts = super().forward(X, draws)
            broken = loss * (math.nan if len(self.modes) == step + 1 else 1.0)
            return broken, {**parts, "loss": broken.detach()}

    with pytest.raises(DivergenceError, match=f"epoch {step // 3 + 1}: the loss became nan"):
        train(objective(Breaking))


def test_several_processes_are_refused_in_the_name_of_what_was_called(monkeypatch):
    monkeypatch.setattr(distributed, "several", lambda: True)
    with pytest.raises(RuntimeError, match=r"^probe_ladder trains in one process"):
        train(objective(), what="probe_ladder")


# --------------------------------------------------------------------------------------------------- networks that draw
class Drawing(nn.Module):
    """Draws in eval mode as well."""

    def forward(self, X):
        return X + torch.rand_like(X)


LAYERS = [nn.Dropout(0.5), nn.RReLU(), nn.AlphaDropout(0.5), nn.FractionalMaxPool2d(1, output_size=1), Drawing()]


class WithLayer(Noisy):
    def __init__(self, layer):
        super().__init__()
        width = 2 if isinstance(layer, nn.FractionalMaxPool2d) else 18
        self.layer = nn.Sequential(
            nn.Linear(WIDTH, 18), nn.Unflatten(1, (2, 3, 3)), layer, nn.Flatten(), nn.Linear(width, 2)
        )


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_a_network_that_draws_is_seeded_and_leaves_the_global_generator(layer):
    runs = []
    for burn in (1, 2):
        torch.rand(burn)
        before = torch.get_rng_state()
        trained = objective(WithLayer, layer=copy.deepcopy(layer))
        history = train(trained, best=BestEpoch(judge, 9))
        assert torch.equal(torch.get_rng_state(), before)
        runs.append((trained, history))
    assert same(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]
    assert not same(runs[0][0], objective(WithLayer, layer=layer))


def test_each_step_of_a_network_that_draws_has_a_seed_of_its_own():
    seen = []

    class Watched(nn.Module):
        def forward(self, X):
            seen.append(torch.rand(()).item())
            return X

    train(objective(WithLayer, layer=Watched()), max_epochs=2)
    assert len(set(seen)) == 6


def test_an_ordinary_network_is_told_by_its_first_step_and_not_slowed_down(monkeypatch):
    steps, original = [], module.seeded_step
    monkeypatch.setattr(module, "seeded_step", lambda *args: steps.append(args) or original(*args))
    train(objective(), max_epochs=2)
    tiny(max_iter=2, prior_weight=1.0).fit(images(60))
    assert len(steps) == 2  # the first of either


def test_a_layer_of_ones_own_with_any_name_is_seeded(monkeypatch):
    class Conv(nn.Module):  # a name of ours
        __module__ = "skdim.nn.encoders"

        def __init__(self, input_shape, n_components):
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, n_components), nn.Dropout(0.5))

        def forward(self, X):
            return self.layers(X)

    monkeypatch.setattr("skdim._params._is_importable", lambda part: True)
    fits = [DeepInfoMaxTransformer(4, encoder=Conv, max_iter=2, random_state=0).fit(images(60)) for _ in range(2)]
    assert fits[0].loss_curve_ == fits[1].loss_curve_
