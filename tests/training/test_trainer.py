"""Trainer and BestEpoch: the best epoch by a script of losses, averages by a slow twin, log ratios by their closed form."""

import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from skdim.bounds import DV, JSD, NWJ, InfoNCE
from skdim.exceptions import DivergenceError
from skdim.information.canonical import log_ratio
from skdim.inputs.batches import Batches, TensorSamples
from skdim.nn.gaussian import GaussianReference
from skdim.nn.objectives.ratio import RatioObjective
from skdim.nn.ratio import JointRatio, RadialInputs, SeparableRatio
from skdim.synthetic import GaussianPairs
from skdim.training.callbacks import BestEpoch
from skdim.training.trainer import Trainer, make_optimizer

N, N_TRAIN = 400, 300
ROWS = np.arange(N_TRAIN)


def seeded(build, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def pairs(n=N, rho=0.8, seed=0):
    return tuple(torch.from_numpy(side).float() for side in GaussianPairs(rho).sample(n, random_state=seed))


def objective_of(x, y, bound=None, correlations=(), hidden=(16,), kind=RatioObjective):
    bound = bound or InfoNCE()
    inputs, reference = (RadialInputs(x), RadialInputs(y)), GaussianReference(torch.tensor(correlations))
    network = seeded(lambda: SeparableRatio(*inputs, reference, hidden, 8, bound.offset))
    return kind(network, bound.criterion()).eval()


def judge_of(x, y):
    @torch.no_grad()
    def judge(objective):
        return {"loss": float(objective.evaluate((x, y), {})["loss"])}

    return judge


def train(objective, tensors, judge=None, rows=ROWS, batch_size=64, seed=0, **options):
    """Train on the first rows, judged on the others."""
    given = {"max_epochs": 6, "patience": 20, "every": 1, "decay": 0.5, "learning_rate": 0.01, "optimizer": "adamw"}
    given |= options
    judge = judge or judge_of(*(side[len(rows) :] for side in tensors))
    trainer = Trainer(
        optimizer=make_optimizer(given["optimizer"], objective, given["learning_rate"], 1e-3),
        max_epochs=given["max_epochs"],
        generator=torch.Generator().manual_seed(seed),
        best=BestEpoch(judge, given["patience"], every=given["every"], decay=given["decay"]),
        callbacks=given.get("callbacks", ()),
        verbose=given.get("verbose", 0),
    )
    return trainer.train(objective, Batches(TensorSamples(tensors), rows, batch_size, seed))


def weights(module):
    return copy.deepcopy(module.state_dict())


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name].nan_to_num(), b[name].nan_to_num()) for name in a)


# ----------------------------------------------------------------------------------------------------- a script of losses
class Log(list):
    """What skorch's history does for a callback."""

    def record(self, name, value):
        self[-1][name] = value


def run(losses, every=1, patience=2, tol=0.1, decay=None, start=10.0, max_epochs=None):
    """Train on a script of held-out losses; the weight of epoch e is e. Return (epochs run, weight left, callback)."""
    script = iter(losses if decay is None else [start, *losses])
    best = BestEpoch(lambda module: {"loss": next(script)}, patience, tol, every, decay)
    module, history = nn.BatchNorm1d(2), Log()
    net = SimpleNamespace(module_=module, history=history, stops=False)
    net.record = lambda prefix, values: [history.record(prefix + name, value) for name, value in values.items()]
    nn.init.zeros_(module.weight)
    best.on_train_begin(net)
    for epoch in range(1, (max_epochs or every * len(losses)) + 1):
        with torch.no_grad():
            module.weight.fill_(epoch)
            module.running_mean.fill_(epoch)
        best.on_batch_end(net)
        history.append({})
        best.on_epoch_end(net)
        if net.stops:
            break
    best.on_train_end(net)
    if decay is None:
        assert torch.equal(module.running_mean, module.weight)  # buffers are restored with the weights
    return len(history), module.weight.unique().item(), best


SCRIPTS = [
    pytest.param([5, 4, 3, 2, 1], 5, 5, id="improves to the end"),
    pytest.param([5, 4, 4.5, 4.6, 1], 4, 2, id="stops and restores"),
    pytest.param([5, 4, 4.5, 3, 3.5, 3.6], 6, 4, id="waits anew after an improvement"),
    pytest.param([5, 4.95, 4.92, 1], 3, 3, id="too small to wait for, but kept"),
    pytest.param([5, math.nan, math.nan, 1], 3, 1, id="nan is no improvement"),
    pytest.param([-1, -2, -2.05, -1.9], 4, 3, id="negative losses"),
]


@pytest.mark.parametrize("decay", [None, 0.0])
@pytest.mark.parametrize(("losses", "n_epochs", "epoch"), SCRIPTS)
def test_the_weights_of_the_best_epoch_are_left(losses, n_epochs, epoch, decay):
    ran, weight, best = run(losses, decay=decay)
    assert ran == n_epochs
    assert weight == epoch == best.best_epoch_
    assert best.best_loss_ == losses[epoch - 1]


@pytest.mark.parametrize("losses", [[11, 12, 13], [10, 10, 10]], ids=["worse", "as good"])
def test_the_start_of_an_average_is_a_candidate(losses):
    ran, weight, best = run(losses, decay=0.0)
    assert (ran, weight, best.best_epoch_, best.best_loss_) == (2, 0, 0, 10.0)
    assert run(losses)[1] == 1  # and that of the weights themselves is none


@pytest.mark.parametrize(("every", "patience", "n_epochs"), [(1, 1, 1), (1, 5, 5), (2, 5, 6), (2, 6, 6), (5, 3, 5)])
def test_patience_counts_epochs_whatever_the_judgements(every, patience, n_epochs):
    assert run([20.0] * 10, every, patience, decay=0.0)[0] == n_epochs


def test_only_every_other_epoch_is_judged_and_the_last():
    ran, weight, best = run([5.0, 4.0, 3.0], every=2, decay=0.0, max_epochs=5)
    assert (ran, weight, best.best_epoch_) == (5, 5, 5)


def test_a_second_training_starts_anew():
    best = run([5, 6, 7])[2]
    best.on_train_begin(SimpleNamespace(module_=nn.Linear(2, 1)))
    assert (best.best_loss_, best.best_epoch_, best.waited_, best.best_state_) == (math.inf, 0, 0, {})


def test_the_average_is_exponential():
    decay, module = 0.9, nn.Linear(3, 2)
    best = BestEpoch(lambda module: {"loss": 0.0}, patience=1, decay=decay)
    net = SimpleNamespace(module_=module)
    best.on_train_begin(net)
    expected = module.weight.detach().double().clone()
    for step in range(20):
        with torch.no_grad():
            module.weight.copy_(torch.randn(2, 3, generator=torch.Generator().manual_seed(step)))
        best.on_batch_end(net)
        expected = decay * expected + (1 - decay) * module.weight.detach()
    torch.testing.assert_close(best.judged_module_.weight, expected.float())
    assert not torch.equal(best.judged_module_.weight, module.weight)


# ------------------------------------------------------------------------------------------------------------- training
class Snapshots(Callback):
    def __init__(self):
        self.seen = []

    def on_epoch_end(self, net, **kwargs):
        self.seen.append(weights(net.module_))


@pytest.mark.parametrize("decay", [None, 0.0])
def test_without_an_average_the_weights_themselves_are_judged(decay):
    x, y = pairs()
    objective, snapshots = objective_of(x, y), Snapshots()
    best = train(objective, [x, y], decay=decay, callbacks=[snapshots]).best_epoch
    assert same(weights(objective), snapshots.seen[best - 1])


@pytest.mark.parametrize("bound", [InfoNCE(), JSD(), NWJ()], ids=repr)
def test_correlated_gaussians_are_learned_to_the_closed_form_without_a_reference(bound):
    x, y = pairs(3400, rho=0.8)
    fresh = pairs(1000, rho=0.8, seed=1)
    objective = objective_of(x, y, bound, hidden=(32,))
    assert bound.symmetric_value(objective.critic(*fresh)).item() == pytest.approx(0, abs=1e-5)
    history = train(objective, [x, y], rows=np.arange(3000), batch_size=128, max_epochs=12, decay=0.9)
    assert history.best_epoch > 0
    assert len(history.epochs) == 12
    value = bound.symmetric_value(objective.critic(*fresh)).item()
    truth = log_ratio(*(side.double().numpy() for side in fresh), np.array([0.8]))
    assert truth.mean() == pytest.approx(GaussianPairs(0.8).mutual_information, abs=0.05)
    assert value == pytest.approx(truth.mean(), abs=0.04)


def test_a_joint_network_learns_from_shuffles():
    x, y = pairs(2400, rho=0.8)
    network = seeded(lambda: JointRatio(RadialInputs(x), RadialInputs(y), (32, 32)))
    objective = RatioObjective(network, JSD().criterion(), n_shifts=4).eval()
    train(objective, [x, y], rows=np.arange(2000), batch_size=128, max_epochs=12, decay=0.9)
    fresh = pairs(1000, rho=0.8, seed=1)
    assert JSD().value(network(*fresh)).item() == pytest.approx(0.511, abs=0.09)


def test_a_copy_in_eval_mode_is_judged():
    x, y = pairs()
    objective, judged = objective_of(x, y), []

    def judge(given):
        judged.append((given is objective, given.training, any(p.requires_grad for p in given.parameters())))
        return {"loss": 0.0}

    train(objective, [x, y], judge, max_epochs=3)
    assert judged == [(False, False, False)] * 4  # the start and three epochs


def test_the_best_average_is_left():
    x, y = pairs()
    objective = objective_of(x, y)
    history = train(objective, [x, y], learning_rate=0.05, max_epochs=15)
    judged = [row["valid_loss"] for row in history.epochs]
    assert history.best_epoch == 1 + int(np.argmin(judged))
    assert history.best == {"loss": min(judged)}
    assert judge_of(x[N_TRAIN:], y[N_TRAIN:])(objective)["loss"] == pytest.approx(min(judged), abs=1e-6)
    assert min(judged) < judged[-1]  # so it is not merely the last
    assert not objective.training
    assert all(parameter.requires_grad for parameter in objective.parameters())


def test_what_learns_nothing_keeps_the_start_exactly():
    x, y = pairs(rho=0.0)
    objective = objective_of(x, y)
    before = weights(objective)
    history = train(objective, [x, y], max_epochs=5, learning_rate=0.1)
    assert (history.best_epoch, history.best, len(history.epochs)) == (0, {}, 5)
    assert same(weights(objective), before)
    assert min(row["valid_loss"] for row in history.epochs) > 0  # worse than scoring all pairs alike
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]  # though it fitted the training rows


def test_training_stops_after_the_patience():
    x, y = pairs(rho=0.0)
    history = train(objective_of(x, y), [x, y], max_epochs=30, learning_rate=0.1, patience=4, every=2)
    assert history.best_epoch == 0
    assert ["valid_loss" in row for row in history.epochs] == [False, True, False, True]


def test_the_history_holds_numbers():
    x, y = pairs()
    epochs = train(objective_of(x, y), [x, y], max_epochs=5, every=2).epochs
    assert [row.keys() for row in epochs] == [{"loss"}, {"loss", "valid_loss"}] * 2 + [{"loss", "valid_loss"}]
    assert all(type(value) is float and math.isfinite(value) for row in epochs for value in row.values())


def test_no_epochs_leave_the_start():
    x, y = pairs()
    objective = objective_of(x, y)
    before = weights(objective)
    assert train(objective, [x, y], max_epochs=0) == ([], {}, 0, False)
    assert same(weights(objective), before)


@pytest.mark.parametrize("bound", [InfoNCE(), DV()], ids=repr)
def test_equal_seeds_give_equal_weights_whatever_ran_before(bound):
    x, y = pairs()
    trained = []
    for global_seed, seed in [(0, 0), (1, 0), (0, 1)]:
        objective = objective_of(x, y, bound)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(global_seed)
            train(objective, [x, y], seed=seed, max_epochs=2)
        trained.append(weights(objective))
    assert same(trained[0], trained[1])
    assert not same(trained[0], trained[2])


class Dropping(nn.Module):
    """Draws from torch's global generator, as dropout does."""

    def __init__(self, critic):
        super().__init__()
        self.critic, self.drop = critic, nn.Dropout(0.5)

    def forward(self, x, y):
        return self.critic(self.drop(x), y)


@pytest.mark.parametrize("kind", ["separable", "joint", "dropout"])
def test_the_global_generators_are_left_as_they_were(kind):
    x, y = pairs()
    objective = objective_of(x, y)
    if kind == "joint":
        network = seeded(lambda: JointRatio(RadialInputs(x), RadialInputs(y), (8,)))
        objective = RatioObjective(network, JSD().criterion(), n_shifts=2)
    elif kind == "dropout":
        objective.critic = Dropping(objective.critic)
    before, numpy_before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    train(objective, [x, y], max_epochs=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_loss_that_is_not_finite_raises(epoch):
    x, y = pairs()

    class Breaking(RatioObjective):
        steps = 0

        def forward(self, X, draws):
            self.steps += self.training and torch.is_grad_enabled()
            loss, _ = super().forward(X, draws)
            loss = loss * (math.nan if self.steps == 5 * epoch else 1.0)  # five batches an epoch
            return loss, {"loss": loss.detach()}

    with pytest.raises(DivergenceError, match=f"epoch {epoch}: the loss became nan"):
        train(objective_of(x, y, kind=Breaking), [x, y])


def test_steps_far_too_large_raise():
    x, y = pairs()
    with pytest.raises(DivergenceError, match="diverged in epoch"):
        train(objective_of(x, y, NWJ()), [x, y], optimizer="sgd", learning_rate=1e6)


class StopAfter(Callback):
    def __init__(self, epochs):
        self.epochs = epochs

    def on_epoch_end(self, net, **kwargs):
        net.stops |= len(net.history) == self.epochs


@pytest.mark.parametrize(("epochs", "every"), [(1, 1), (1, 2), (2, 2), (3, 2), (4, 5)])
def test_a_callback_ends_training_and_what_was_learned_is_kept(epochs, every):
    x, y = pairs()
    objective = objective_of(x, y)
    history = train(objective, [x, y], every=every, max_epochs=20, callbacks=[StopAfter(epochs)])
    assert len(history.epochs) == epochs == history.best_epoch
    last = history.epochs[-1]["valid_loss"]
    assert judge_of(x[N_TRAIN:], y[N_TRAIN:])(objective)["loss"] == pytest.approx(last, abs=1e-6)
    assert last < -0.01


def test_verbose_prints_a_line_per_epoch(capsys):
    x, y = pairs()
    train(objective_of(x, y), [x, y], max_epochs=3)
    assert capsys.readouterr().out == ""
    train(objective_of(x, y), [x, y], max_epochs=3, verbose=1)
    printed = capsys.readouterr().out
    assert "train_loss" in printed
    assert "valid_loss" in printed
    assert len(printed.strip().splitlines()) == 2 + 3  # a head, a rule, and the epochs


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", torch.optim.RMSprop])
def test_every_optimizer_improves_on_the_start(optimizer):
    x, y = pairs()
    objective, judge = objective_of(x, y), judge_of(x[N_TRAIN:], y[N_TRAIN:])
    start = judge(objective)["loss"]
    assert train(objective, [x, y], optimizer=optimizer).best_epoch > 0
    assert judge(objective)["loss"] < start


@pytest.mark.parametrize(
    "some", [lambda groups: [nn.Parameter(torch.zeros(1))], lambda groups: groups[0]["params"][:1]], ids=["none", "one"]
)
def test_an_optimizer_that_leaves_parameters_out_is_refused(some):
    x, y = pairs()
    with pytest.raises(ValueError, match=r"optimizer holds [01] of the \d+ parameters that it was given"):
        make_optimizer(lambda groups, lr: torch.optim.Adam(some(groups), lr=lr), objective_of(x, y), 0.01, 0.0)


def test_training_starts_at_a_reference_that_is_right():
    x, y = pairs(1000)
    objective, judge = objective_of(x, y, correlations=(0.8,)), judge_of(x[N_TRAIN:], y[N_TRAIN:])
    start = judge(objective)["loss"]
    assert -start == pytest.approx(0.511, abs=0.07)
    train(objective, [x, y], judge, max_epochs=3)
    assert judge(objective)["loss"] <= start
