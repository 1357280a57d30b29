"""Training on pairs: batches, averaged weights by a script of losses, and log ratios learned to their closed form."""

import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skdim.training.pairs import AveragedWeights, PairBatches, train_pairs
from skorch.callbacks import Callback
from torch import nn

from skdim.bounds import DV, JSD, NWJ, TUBA, InfoNCE
from skdim.exceptions import DivergenceError
from skdim.gaussian import log_ratio
from skdim.nn.gaussian import GaussianReference
from skdim.nn.ratio import JointRatio, RadialInputs, RatioObjective, SeparableRatio
from skdim.synthetic import GaussianPairs
from skdim.training.callbacks import StopTraining

N, N_TRAIN = 400, 300
ROWS = np.arange(N_TRAIN)


def seeded(build, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def pairs(n=N, rho=0.8, seed=0):
    return tuple(torch.from_numpy(side).float() for side in GaussianPairs(rho).sample(n, random_state=seed))


def objective(x, y, bound=None, correlations=(), hidden=(16,), width=8, seed=0, **kwargs):
    bound = bound or InfoNCE()
    inputs = RadialInputs(x), RadialInputs(y)
    return seeded(
        lambda: RatioObjective(
            SeparableRatio(*inputs, GaussianReference(torch.tensor(correlations)), hidden, width, bound.offset),
            bound,
            **kwargs,
        ),
        seed,
    )


def judge(x, y):
    @torch.no_grad()
    def held_out_loss(module):
        return float(module.loss(module.critic(x, y), x, y))

    return held_out_loss


def train(module, tensors, held_out_loss=None, rows=ROWS, batch_size=64, seed=0, **kwargs):
    defaults = {"max_epochs": 6, "patience": 20, "every": 1, "tol": 0.0, "decay": 0.5, "learning_rate": 0.01}
    return train_pairs(
        module,
        PairBatches(tensors, rows, batch_size, seed),
        held_out_loss or judge(*(side[N_TRAIN:] for side in tensors)),
        **{**defaults, "optimizer": "adamw", "weight_decay": 1e-3, **kwargs},
    )


def weights(module):
    return copy.deepcopy(module.state_dict())


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name].nan_to_num(), b[name].nan_to_num()) for name in a)


# -------------------------------------------------------------------------------------------------------------- batches
@settings(max_examples=60)
@given(st.integers(2, 60), st.integers(1, 80), st.integers(0, 9))
def test_every_epoch_is_a_partition_of_the_rows(n, batch_size, seed):
    rows = np.random.default_rng(seed).permutation(100)[:n]
    numbers = torch.arange(100)
    batches = PairBatches([numbers, 1000 + numbers[:, None]], rows, batch_size, seed)
    for _ in range(2):
        parts = list(batches)
        assert len(parts) == len(batches)
        assert sorted(torch.cat([x for x, _ in parts]).tolist()) == sorted(rows.tolist())
        assert all(torch.equal(x + 1000, y.squeeze(1)) for x, y in parts)  # pairs stay pairs
        sizes = [len(x) for x, _ in parts]
        assert max(sizes) - min(sizes) <= 1
        assert min(sizes) >= 2  # no row is left without another
        assert max(sizes) <= max(batch_size, 3)


def test_the_order_is_a_function_of_seed_and_epoch():
    numbers = torch.arange(50)

    def epochs(seed, before=0):
        batches = PairBatches([numbers], np.arange(50), 16, seed)
        torch.manual_seed(before)
        return [torch.cat([part for (part,) in batches]).tolist() for _ in range(3)]

    assert epochs(0) == epochs(0, before=1)
    assert len({tuple(order) for order in epochs(0) + epochs(1)}) == 6


def test_epochs_are_counted_and_an_epoch_can_be_seen_again():
    numbers = torch.arange(50)
    batches = PairBatches([numbers], np.arange(50), 16, 0)
    orders = [torch.cat([part for (part,) in batches]).tolist() for _ in range(2)]
    assert batches.epoch == 2
    batches.epoch = 1
    assert torch.cat([part for (part,) in batches]).tolist() == orders[1]


@pytest.mark.parametrize(("n", "batch_size", "expected"), [(10, 10, 1), (10, 99, 1), (11, 10, 2), (3, 1, 1), (4, 1, 2)])
def test_the_number_of_batches(n, batch_size, expected):
    batches = PairBatches([torch.zeros(n)], np.arange(n), batch_size, 0)
    assert len(batches) == len(list(batches)) == expected


# ----------------------------------------------------------------------------------------------------- averaged weights
class Log(list):
    """What skorch's history does for a callback."""

    def record(self, name, value):
        self[-1][name] = value


def run(losses, every=1, patience=2, tol=0.1, start=10.0, max_epochs=None):
    """Train on a script of held-out losses; the weight of epoch e is e. Return (epochs run, weight left, callback)."""
    script = iter([start, *losses])
    averaged = AveragedWeights(0.0, lambda module: next(script), every, patience, tol)
    module = nn.Linear(2, 1)
    nn.init.zeros_(module.weight)
    net = SimpleNamespace(module_=module, history=Log(), max_epochs=max_epochs or every * len(losses))
    averaged.on_train_begin(net)
    for epoch in range(1, net.max_epochs + 1):
        with torch.no_grad():
            module.weight.fill_(epoch)
        averaged.on_batch_end(net)
        net.history.append({})
        try:
            averaged.on_epoch_end(net)
        except StopTraining:
            break
    averaged.on_train_end(net)
    assert list(script) == [] or len(net.history) < net.max_epochs
    return len(net.history), module.weight.unique().item(), averaged


@pytest.mark.parametrize(
    ("losses", "n_epochs", "best"),
    [
        pytest.param([5, 4, 3, 2, 1], 5, 5, id="improves to the end"),
        pytest.param([5, 4, 4.5, 4.6, 1], 4, 2, id="stops and restores"),
        pytest.param([5, 4, 4.5, 3, 3.5, 3.6], 6, 4, id="waits anew after an improvement"),
        pytest.param([5, 4.95, 4.92, 1], 3, 3, id="too small to wait for, but kept"),
        pytest.param([11, 12, 13], 2, 0, id="never better than the start"),
        pytest.param([10, 10, 10], 2, 0, id="a tie keeps the start"),
        pytest.param([5, math.nan, math.nan, 1], 3, 1, id="nan is no improvement"),
        pytest.param([-1, -2, -2.05, -1.9], 4, 3, id="negative losses"),
    ],
)
def test_the_best_average_is_left(losses, n_epochs, best):
    ran, weight, averaged = run(losses)
    assert ran == n_epochs
    assert weight == best == averaged.best_epoch_
    assert averaged.best_loss_ == [10.0, *losses][best]


@pytest.mark.parametrize(("every", "patience", "n_epochs"), [(1, 1, 1), (1, 5, 5), (2, 5, 6), (2, 6, 6), (5, 3, 5)])
def test_patience_counts_epochs_whatever_the_judgements(every, patience, n_epochs):
    assert run([20.0] * 10, every, patience)[0] == n_epochs


def test_only_every_other_epoch_is_judged_and_the_last():
    ran, weight, averaged = run([5.0, 4.0, 3.0], every=2, max_epochs=5)
    assert (ran, weight, averaged.best_epoch_) == (5, 5, 5)


def test_the_average_is_exponential():
    decay, module = 0.9, nn.Linear(3, 2)
    averaged = AveragedWeights(decay, lambda module: 0.0, 1, 1, 0.0)
    net = SimpleNamespace(module_=module, history=Log(), max_epochs=1)
    averaged.on_train_begin(net)
    expected = module.weight.detach().double().clone()
    for step in range(20):
        with torch.no_grad():
            module.weight.copy_(torch.randn(2, 3, generator=torch.Generator().manual_seed(step)))
        averaged.on_batch_end(net)
        expected = decay * expected + (1 - decay) * module.weight.detach()
    torch.testing.assert_close(averaged.average_.weight, expected.float())
    assert not torch.equal(averaged.average_.weight, module.weight)


def test_without_decay_the_weights_themselves_are_judged():
    x, y = pairs()
    module = objective(x, y)
    seen = []

    class Snapshots(Callback):
        def on_epoch_end(self, net, **kwargs):
            seen.append(weights(net.module_))

    _, best = train(module, [x, y], decay=0.0, callbacks=[Snapshots()])
    assert same(weights(module), seen[best - 1])


# ------------------------------------------------------------------------------------------------------------- training
@pytest.mark.parametrize("bound", [InfoNCE(), JSD(), NWJ()], ids=repr)
def test_correlated_gaussians_are_learned_to_the_closed_form_without_a_reference(bound):
    x, y = pairs(3400, rho=0.8)
    fresh = pairs(1000, rho=0.8, seed=1)
    module = objective(x, y, bound, hidden=(32,))
    start = module.value(module.critic(*fresh), *fresh).item()
    assert start == pytest.approx(0, abs=1e-5)
    rows = np.arange(3000)
    history, best = train(module, [x, y], judge(x[3000:], y[3000:]), rows, 128, max_epochs=12, decay=0.9)
    assert best > 0
    assert len(history) == 12
    with torch.no_grad():
        value = module.value(module.critic(*fresh), *fresh).item()
    truth = log_ratio(*(side.double().numpy() for side in fresh), np.array([0.8]))
    assert truth.mean() == pytest.approx(GaussianPairs(0.8).mutual_information, abs=0.05)
    assert value == pytest.approx(truth.mean(), abs=0.04)


def test_a_joint_network_learns_from_shuffles():
    x, y = pairs(2400, rho=0.8)
    inputs = RadialInputs(x), RadialInputs(y)
    module = seeded(lambda: RatioObjective(JointRatio(*inputs, (32, 32)), JSD(), n_shifts=4))
    train(module, [x, y], judge(x[2000:], y[2000:]), np.arange(2000), 128, max_epochs=12, decay=0.9)
    fresh = pairs(1000, rho=0.8, seed=1)
    with torch.no_grad():
        assert module.value(module.critic(*fresh)).item() == pytest.approx(0.511, abs=0.09)


def test_a_copy_in_eval_mode_is_judged():
    x, y = pairs()
    module = objective(x, y)
    judged = []

    def held_out_loss(given):
        judged.append((given is module, given.training, any(p.requires_grad for p in given.parameters())))
        return 0.0

    train(module, [x, y], held_out_loss, max_epochs=3)
    assert judged == [(False, False, False)] * 4  # the start and three epochs


def test_the_best_average_is_in_the_module():
    x, y = pairs()
    module = objective(x, y)
    history, best = train(module, [x, y], learning_rate=0.05, max_epochs=15)
    judged = [row["valid_loss"] for row in history]
    assert best == 1 + int(np.argmin(judged))
    assert judge(x[N_TRAIN:], y[N_TRAIN:])(module) == pytest.approx(min(judged), abs=1e-6)
    assert min(judged) < judged[-1]  # so it is not merely the last
    assert not module.training
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_what_learns_nothing_keeps_the_start_exactly():
    x, y = pairs(rho=0.0)
    module = objective(x, y)
    before = weights(module)
    history, best = train(module, [x, y], max_epochs=5, learning_rate=0.1)
    assert best == 0
    assert same(weights(module), before)
    assert len(history) == 5
    assert min(row["valid_loss"] for row in history) > 0  # worse than scoring all pairs alike
    assert history[-1]["loss"] < history[0]["loss"]  # though the training rows were learned by heart


def test_training_stops_after_the_patience():
    x, y = pairs(rho=0.0)
    history, best = train(objective(x, y), [x, y], max_epochs=30, learning_rate=0.1, patience=4, every=2)
    assert best == 0
    assert len(history) == 4
    assert ["valid_loss" in row for row in history] == [False, True, False, True]


def test_the_history_holds_numbers():
    x, y = pairs()
    history, _ = train(objective(x, y), [x, y], max_epochs=5, every=2)
    assert [row.keys() for row in history] == [{"loss"}, {"loss", "valid_loss"}] * 2 + [{"loss", "valid_loss"}]
    assert all(type(value) is float and math.isfinite(value) for row in history for value in row.values())


def test_no_epochs_leave_the_start():
    x, y = pairs()
    module = objective(x, y)
    before = weights(module)
    assert train(module, [x, y], max_epochs=0) == ([], 0)
    assert same(weights(module), before)


@pytest.mark.parametrize("bound", [InfoNCE(), DV()], ids=repr)
def test_equal_seeds_give_equal_weights_whatever_ran_before(bound):
    x, y = pairs()
    trained = []
    for global_seed, seed in [(0, 0), (1, 0), (0, 1)]:
        module = objective(x, y, bound)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(global_seed)
            train(module, [x, y], seed=seed, max_epochs=2)
        trained.append(weights(module))
    assert same(trained[0], trained[1])
    assert not same(trained[0], trained[2])


@pytest.mark.parametrize("kind", ["separable", "joint", "dropout"])
def test_the_global_generators_are_left_as_they_were(kind):
    x, y = pairs()
    if kind == "joint":
        module = seeded(lambda: RatioObjective(JointRatio(RadialInputs(x), RadialInputs(y), (8,)), JSD(), n_shifts=2))
    elif kind == "dropout":  # which draws from torch's global generator

        class Auxiliary(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.5), nn.Linear(8, 1))

            def forward(self, x, y):
                return self.layers(y).squeeze(1)

        module = objective(x, y, TUBA(), auxiliary=seeded(Auxiliary))
    else:
        module = objective(x, y)
    before, numpy_before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    train(module, [x, y], max_epochs=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_loss_that_is_not_finite_raises(epoch):
    x, y = pairs()

    class Breaking(RatioObjective):
        steps = 0

        def forward(self, views, generator=None):
            self.steps += 1
            loss, _ = super().forward(views, generator)
            loss = loss * (math.nan if self.steps == 5 * epoch else 1.0)  # five batches an epoch
            return loss, {"loss": loss.detach()}

    module = seeded(lambda: Breaking(objective(x, y).critic, InfoNCE()))
    with pytest.raises(DivergenceError, match=f"epoch {epoch}: the loss became nan"):
        train(module, [x, y])


def test_steps_far_too_large_raise():
    x, y = pairs()
    with pytest.raises(DivergenceError, match="diverged in epoch"):
        train(objective(x, y, NWJ()), [x, y], optimizer="sgd", learning_rate=1e6)


class StopAfter(Callback):
    def __init__(self, epochs):
        self.epochs = epochs

    def on_epoch_end(self, net, **kwargs):
        assert "valid_loss" not in net.history[-1]  # callbacks are called before the average is judged
        if len(net.history) == self.epochs:
            raise StopTraining


@pytest.mark.parametrize(("epochs", "every"), [(1, 1), (1, 2), (2, 2), (3, 2), (4, 5)])
def test_what_was_learned_before_a_callback_stops_is_kept(epochs, every):
    """The epochs are learned like those of a training that ends there: stopping ends training, it does not undo it."""
    x, y = pairs()
    module = objective(x, y)
    history, best = train(module, [x, y], every=every, max_epochs=20, callbacks=[StopAfter(epochs)])
    assert len(history) == epochs
    assert best == epochs
    assert judge(x[N_TRAIN:], y[N_TRAIN:])(module) == pytest.approx(history[-1]["valid_loss"], abs=1e-6)
    assert history[-1]["valid_loss"] < -0.01


def test_verbose_prints_a_line_per_epoch(capsys):
    x, y = pairs()
    train(objective(x, y), [x, y], max_epochs=3)
    assert capsys.readouterr().out == ""
    train(objective(x, y), [x, y], max_epochs=3, verbose=1)
    printed = capsys.readouterr().out
    assert "train_loss" in printed
    assert "valid_loss" in printed
    assert len(printed.strip().splitlines()) == 2 + 3  # a head, a rule, and the epochs


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", torch.optim.RMSprop])
def test_every_optimizer_improves_on_the_start(optimizer):
    x, y = pairs()
    module = objective(x, y)
    start = judge(x[N_TRAIN:], y[N_TRAIN:])(module)
    _, best = train(module, [x, y], optimizer=optimizer)
    assert best > 0
    assert judge(x[N_TRAIN:], y[N_TRAIN:])(module) < start


def test_a_reference_that_is_right_is_where_training_starts():
    x, y = pairs(1000)
    module = objective(x, y, correlations=(0.8,))
    start = judge(x[N_TRAIN:], y[N_TRAIN:])(module)
    assert -start == pytest.approx(0.511, abs=0.07)
    train(module, [x, y], max_epochs=3)
    assert judge(x[N_TRAIN:], y[N_TRAIN:])(module) <= start
