"""The net: optimizer groups, the learning-rate schedule, and a loop equal to a hand-written one."""

import math

import numpy as np
import pytest
import torch
from skdim.training.batches import Batches, Standardizer
from skdim.training.net import OPTIMIZERS, WARM_UP, InfoMaxNet, make_optimizer
from skorch.callbacks import Callback
from torch import nn

from skdim.bounds import InfoNCE
from skdim.exceptions import DivergenceError
from skdim.nn.critics import Inner, build_critic
from skdim.nn.encoders import build_encoder
from skdim.nn.objectives import CodeInfoMax, DeepInfoMax
from skdim.training.callbacks import DivergenceGuard, EarlyStopping, StopTraining

N, WIDTH = 50, 4
X = np.random.default_rng(0).normal(size=(N, WIDTH))


class Objective(nn.Module):
    """A loss with named parts, one of them random through the generator."""

    def __init__(self, noise=1.0):
        super().__init__()
        self.noise = noise
        self.layer = nn.Linear(WIDTH, 2)
        self.norm = nn.LayerNorm(2)
        self.offset = nn.Parameter(torch.zeros(()))
        self.modes = []

    def forward(self, views, generator=None):
        self.modes.append(self.training)
        output = self.norm(self.layer(torch.cat(list(views)))) + self.offset
        noise = self.noise * torch.randn(output.shape, generator=generator)
        loss = (output - noise).square().mean()
        return loss, {"loss": loss.detach(), "size": torch.tensor(float(len(views[0])))}

    def evaluate(self, views):
        self.modes.append(self.training)
        loss = self.norm(self.layer(views[0])).square().mean()
        return {"loss": loss, "size": torch.tensor(float(len(views[0])))}


def objective(seed=0, **kwargs):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Objective(**kwargs)


def net(module=None, optimizer="adamw", max_epochs=3, total_steps=None, valid=False, make_views=None, **kwargs):
    module = module or objective()
    standardize = Standardizer.learn(X, (WIDTH,))
    train = Batches(X, np.arange(0, 40), standardize, 16, seed=7)
    return InfoMaxNet(
        module,
        make_optimizer(optimizer, module, 0.05, 0.01),
        make_views or (lambda batch, evaluation: [batch.X]),
        train,
        Batches(X, np.arange(40, N), standardize, 4, seed=None) if valid else None,
        max_epochs,
        total_steps,
        torch.Generator().manual_seed(3),
        **kwargs,
    )


# ------------------------------------------------------------------------------------------------------------ optimizers
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_matrices_decay_and_vectors_do_not(name):
    module = objective()
    module.convolution = nn.Conv2d(1, 2, 3)
    optimizer = make_optimizer(name, module, 0.05, 0.3)
    names = {parameter: n for n, parameter in module.named_parameters()}
    decay = {names[p]: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decay == {
        "layer.weight": 0.3,
        "convolution.weight": 0.3,
        "layer.bias": 0.0,
        "convolution.bias": 0.0,
        "norm.weight": 0.0,
        "norm.bias": 0.0,
        "offset": 0.0,
    }
    assert all(group["lr"] == 0.05 for group in optimizer.param_groups)
    assert all(group["fused"] for group in optimizer.param_groups)


def test_names_mean_the_optimizers():
    kinds = {name: type(make_optimizer(name, objective(), 0.1, 0.0)) for name in OPTIMIZERS}
    assert kinds == {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}


def test_an_optimizer_may_be_a_class_or_a_function():
    assert isinstance(make_optimizer(torch.optim.RMSprop, objective(), 0.1, 0.0), torch.optim.RMSprop)
    slow = make_optimizer(lambda groups, lr: torch.optim.SGD(groups, lr=lr / 10), objective(), 0.1, 0.2)
    assert [group["lr"] for group in slow.param_groups] == [pytest.approx(0.01)] * 2


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ValueError, match=r"Unknown optimizer 'lion'.*\['adam', 'adamw', 'sgd'\]"):
        make_optimizer("lion", objective(), 0.1, 0.0)


def test_frozen_parameters_and_empty_groups_are_left_out():
    module = objective()
    module.layer.weight.requires_grad_(False)
    (group,) = make_optimizer("adamw", module, 0.1, 0.3).param_groups
    assert group["weight_decay"] == 0
    assert len(group["params"]) == 4
    (group,) = make_optimizer("adamw", nn.Linear(2, 2, bias=False), 0.1, 0.3).param_groups
    assert group["weight_decay"] == 0.3


# -------------------------------------------------------------------------------------------------------------- schedule
class Rates(Callback):
    """Records the learning rate that each step uses."""

    def on_train_begin(self, net, **kwargs):
        self.rates = []

    def on_batch_begin(self, net, training=None, **kwargs):
        if training:
            self.rates.append([group["lr"] for group in net.optimizer_.param_groups])


def rates(max_epochs, total_steps):
    recorder = Rates()
    net(max_epochs=max_epochs, total_steps=total_steps, callbacks=[recorder]).run()
    assert all(len(set(step)) == 1 for step in recorder.rates)
    return np.array([step[0] for step in recorder.rates]) / 0.05


def test_the_rate_rises_and_falls_along_a_cosine():
    found = rates(40, 120)
    steps = np.arange(120)
    cosine = (1 + np.cos(np.pi * steps / 120)) / 2
    warm = steps < WARM_UP * 120
    np.testing.assert_allclose(found[~warm], cosine[~warm])
    assert (np.diff(found[warm]) > 0).all()
    assert 0 < found[0] < 0.2
    assert (np.diff(found[~warm]) < 0).all()
    assert found.max() > 0.95
    assert 0 < found[-1] < 0.001


@pytest.mark.parametrize("total_steps", [None, 0])
def test_without_a_span_the_rate_is_constant(total_steps):
    np.testing.assert_allclose(rates(4, total_steps), np.ones(12))


def test_a_training_of_one_step_learns():
    small = net(max_epochs=1, total_steps=1)
    small.train.batch_size = 40
    before = small.module.layer.weight.clone()
    small.run()
    assert not torch.equal(small.module_.layer.weight, before)


# -------------------------------------------------------------------------------------------------------------- the loop
def test_training_equals_a_hand_written_loop():
    trained = net(objective(noise=0.0), max_epochs=5, total_steps=15).run()

    module = objective(noise=0.0)
    optimizer = make_optimizer("adamw", module, 0.05, 0.01)
    standardize = Standardizer.learn(X, (WIDTH,))
    step, losses = 0, []
    for epoch in range(5):
        order, epoch_losses = np.random.default_rng([7, epoch]).permutation(40), []
        for rows in np.array_split(order, 3):
            for group in optimizer.param_groups:
                cosine = (1 + math.cos(math.pi * step / 15)) / 2
                group["lr"] = 0.05 * min(1.0, (step + 1) / (WARM_UP * 15 + 1)) * cosine
            loss, _ = module([standardize(X[rows])])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            epoch_losses.append(loss.item())
        losses.append(np.mean(epoch_losses))
    for found, expected in zip(trained.module_.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(trained.history[:, "train_loss"], losses, rtol=1e-5)


def test_the_steps_draw_from_the_generator_given():
    weights = []
    for seed in (3, 3, 4):
        trained = net()
        trained.generator.manual_seed(seed)
        weights.append(trained.run().module_.layer.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_optimizer_and_module_given_are_the_ones_trained():
    trained = net()
    optimizer = trained.get_optimizer()
    trained.run()
    assert trained.optimizer_ is optimizer
    assert trained.module_ is trained.module
    assert not trained.module_.training


def test_history_holds_the_mean_of_every_part():
    trained = net(valid=True).run()
    assert len(trained.history) == 3
    for row in trained.history:
        assert {"epoch", "train_loss", "train_size", "valid_loss", "valid_size"} <= set(row)
    np.testing.assert_allclose(trained.history[:, "train_size"], 40 / 3, rtol=1e-6)
    np.testing.assert_allclose(trained.history[:, "valid_size"], 10 / 3, rtol=1e-6)


def test_training_steps_train_and_held_out_steps_evaluate():
    seen = []

    def make_views(batch, evaluation):
        seen.append((evaluation, tuple(batch.rows)))
        return [batch.X]

    trained = net(valid=True, make_views=make_views, max_epochs=2).run()
    assert trained.module_.modes == ([True] * 3 + [False] * 3) * 2
    assert [evaluation for evaluation, _ in seen] == ([False] * 3 + [True] * 3) * 2
    held_out = [rows for evaluation, rows in seen if evaluation]
    assert held_out[:3] == held_out[3:]
    assert sorted(sum(held_out[:3], ())) == list(range(40, N))


def test_the_held_out_rows_do_not_change_the_training():
    with_valid, without = net(valid=True).run(), net().run()
    for a, b in zip(with_valid.module_.parameters(), without.module_.parameters(), strict=True):
        assert torch.equal(a, b)


def test_training_is_a_function_of_its_seeds_and_leaves_the_global_generator():
    before = torch.random.get_rng_state()
    runs = []
    for noise in (1, 2):
        torch.rand(noise)
        before = torch.random.get_rng_state()
        runs.append(net().run().module_)
        assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(runs[0].parameters(), runs[1].parameters(), strict=True))


@pytest.mark.parametrize(
    "layer", [nn.Dropout(0.5), nn.RReLU(), nn.AlphaDropout(0.5), nn.FractionalMaxPool2d(1, output_size=1)], ids=repr
)
def test_a_layer_that_draws_leaves_the_global_generator_and_is_reproducible(layer):
    def run(burn):
        module = objective()
        module.layer = nn.Sequential(nn.Linear(WIDTH, 2 * 9), nn.Unflatten(1, (2, 3, 3)), layer, nn.Flatten())
        module.layer.append(nn.Linear(2 if isinstance(layer, nn.FractionalMaxPool2d) else 18, 2))
        with torch.no_grad():
            for i, parameter in enumerate(module.parameters()):
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(i)))
        torch.rand(burn)
        before = torch.random.get_rng_state()
        trained = net(module).run()
        assert torch.equal(torch.random.get_rng_state(), before)
        return trained.module_

    runs = [run(burn) for burn in (1, 2)]
    assert all(torch.equal(a, b) for a, b in zip(runs[0].parameters(), runs[1].parameters(), strict=True))


def test_torchs_own_layers_that_draw_leave_the_global_generator():
    pooling = nn.Sequential(
        nn.Unflatten(1, (1, 2, 2)), nn.FractionalMaxPool2d(1, output_size=1), nn.Flatten(), nn.Linear(1, 2)
    )
    encoder = build_encoder(lambda shape, width: pooling, (WIDTH,), 2)
    module = DeepInfoMax(encoder, {"code": CodeInfoMax(InfoNCE(), build_critic(Inner(), 2, 2), 1.0)})
    before = torch.random.get_rng_state()
    net(module).run()
    assert torch.equal(torch.random.get_rng_state(), before)


class StopAfter(Callback):
    def __init__(self, epochs):
        self.epochs = epochs

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epochs:
            raise StopTraining


def test_a_callback_stops_after_the_epoch():
    trained = net(max_epochs=10, callbacks=[StopAfter(2)]).run()
    assert len(trained.history) == 2
    assert not trained.module_.training


def test_no_epochs_change_nothing():
    untrained = net(max_epochs=0).run()
    assert len(untrained.history) == 0
    for a, b in zip(untrained.module_.parameters(), objective().parameters(), strict=True):
        assert torch.equal(a, b)
    assert not untrained.module_.training


def test_early_stopping_restores_the_best_epoch():
    class Rising(Objective):
        def evaluate(self, views):
            self.epochs = getattr(self, "epochs", 0) + 1 / 3  # three held-out batches an epoch
            return {"loss": torch.tensor(abs(round(self.epochs + 0.3) - 3.0))}

    class Snapshots(Callback):
        def on_train_begin(self, net, **kwargs):
            self.weights = []

        def on_epoch_end(self, net, **kwargs):
            self.weights.append(net.module_.layer.weight.detach().clone())

    snapshots = Snapshots()
    trained = net(Rising(), max_epochs=20, valid=True, callbacks=[snapshots, EarlyStopping(2, 0.01)]).run()
    best = int(np.argmin(trained.history[:, "valid_loss"]))
    assert len(trained.history) == best + 3
    assert torch.equal(trained.module_.layer.weight, snapshots.weights[best])
    assert not torch.equal(trained.module_.layer.weight, snapshots.weights[-1])


@pytest.mark.parametrize("step", [0, 4])
def test_a_loss_that_is_not_finite_raises(step):
    class Breaking(Objective):
        def forward(self, views, generator=None):
            loss, parts = super().forward(views, generator)
            broken = loss * (math.nan if len(self.modes) == step + 1 else 1.0)
            return broken, {**parts, "loss": broken.detach()}

    with pytest.raises(DivergenceError, match=f"epoch {step // 3 + 1}: the loss became nan"):
        net(Breaking(), callbacks=[DivergenceGuard()]).run()


def test_verbose_prints_a_line_per_epoch(capsys):
    net(verbose=0).run()
    assert capsys.readouterr().out == ""
    net(verbose=1, max_epochs=3).run()
    printed = capsys.readouterr().out
    assert "train_loss" in printed
    assert len(printed.strip().splitlines()) == 2 + 3  # a head, a rule, and the epochs
