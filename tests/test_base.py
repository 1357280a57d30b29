"""Laws of every estimator that learns by maximising mutual information, on images through the convolutional encoder."""

import math
import pickle
import shutil
import threading

import numpy as np
import pytest
import torch
from helpers import (
    DropoutEncoder,
    Factory,
    FlatEncoder,
    MapEncoder,
    arrays,
    images,
    noise,
    relative_difference,
    same_state,
    table,
    tiny,
    tiny_table,
)
from skdim.training.batches import Batch, Batches, Standardizer
from skdim.training.net import InfoMaxNet
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skdim import CPCTransformer, DeepInfoMaxTransformer, MultiViewInfoMaxTransformer
from skdim.base import AUTO_EPOCHS, AUTO_STEPS
from skdim.nn.critics import Separable
from skdim.nn.encoders import Conv

X = images(96)
OTHER = images(300, start=500)

#: One of each kind of network, on its kind of data; features= covers all that transform can return.
NETWORKS = {
    "conv": (tiny(encoder="conv"), X, OTHER),
    "conv with group norm": (tiny(encoder=Conv(channels=(8, 16), norm="group")), X, OTHER),
    "conv, hidden features": (tiny(features="hidden"), X, OTHER),
    "conv, local features": (tiny(features="local"), X, OTHER),
    "conv, 3 channels": (tiny(), images(96, channels=3), images(300, 500, channels=3)),
    "conv1d": (tiny(encoder="conv1d"), X, OTHER),
    "resnet": (tiny(encoder="resnet"), X, OTHER),
    "mlp on images": (tiny(encoder="mlp", hidden_layer_sizes=(32, 32)), X, OTHER),
    "mlp on a table": (tiny_table(), table(96), table(300, seed=1)),
    "user's": (tiny(encoder=MapEncoder), X, OTHER),
}


@pytest.fixture(scope="module", params=NETWORKS)
def fitted(request):
    estimator, data, other = NETWORKS[request.param]
    return clone(estimator).fit(data), data, other


# ------------------------------------------------------------------------------------------------- laws of transform
def test_rows_do_not_depend_on_each_other(fitted):
    estimator, _, other = fitted
    whole = estimator.transform(other)
    for rows in (slice(0, 1), slice(7, 8), slice(299, 300), slice(3, 36), slice(100, 290), [5, 3, 200, 3]):
        assert relative_difference(whole[rows], estimator.transform(other[rows])) < 1e-6
    singles = np.concatenate([estimator.transform(other[i : i + 1]) for i in range(0, 300, 30)])
    assert relative_difference(whole[::30], singles) < 1e-6


def test_order_does_not_matter(fitted):
    estimator, _, other = fitted
    order = np.random.default_rng(0).permutation(len(other))
    assert relative_difference(estimator.transform(other)[order], estimator.transform(other[order])) < 1e-6


def test_a_second_fit_gives_the_same_bits(fitted):
    estimator, data, other = fitted
    again = clone(estimator).fit(data)
    assert same_state(estimator, again)
    assert (again.transform(other) == estimator.transform(other)).all()
    assert (again.fit(data).transform(other) == estimator.transform(other)).all()
    assert again.history_ == estimator.history_


def test_transform_and_score_leave_the_estimator_unchanged(fitted):
    estimator, _, other = fitted
    before, state = dict(vars(estimator)), arrays(estimator)
    estimator.transform(other)
    estimator.score(other)
    estimator.encoder_  # noqa: B018
    estimator.get_feature_names_out()
    assert vars(estimator) == before
    assert all(np.asarray(state[k]).tobytes() == np.asarray(v).tobytes() for k, v in arrays(estimator).items())


def test_transform_is_float32_and_its_own(fitted):
    estimator, _, other = fitted
    for dtype in (np.float64, np.float32, np.float16):
        features = estimator.transform(other[:5].astype(dtype))
        assert features.dtype == np.float32
        assert features.flags.owndata or features.base is not None
        assert features.flags.writeable
        assert len(estimator.get_feature_names_out()) == features.shape[1]


def test_pickle_gives_the_same_bits(fitted):
    estimator, _, other = fitted
    loaded = pickle.loads(pickle.dumps(estimator))
    assert (loaded.transform(other) == estimator.transform(other)).all()
    assert loaded.score(other) == estimator.score(other)


def test_fit_transform_is_fit_then_transform(fitted):
    estimator, data, _ = fitted
    assert (clone(estimator).fit_transform(data) == estimator.transform(data)).all()
    assert (clone(estimator).fit_transform(data, [1]) == estimator.transform(data)).all()


def test_score_is_a_float_and_the_same_twice(fitted):
    estimator, _, other = fitted
    assert type(estimator.score(other)) is float
    assert estimator.score(other) == estimator.score(other)


def test_transform_does_not_build_the_network(fitted, monkeypatch):
    estimator, _, other = fitted
    monkeypatch.setattr(type(estimator), "_build", None)
    estimator.transform(other)
    estimator.score(other)


def test_before_fit():
    for method in ("transform", "score"):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            getattr(tiny(), method)(X)
    for attribute in ("encoder_", "n_iter_", "lower_bound_"):
        with pytest.raises((NotFittedError, AttributeError)):
            getattr(tiny(), attribute)
    with pytest.raises(NotFittedError):
        tiny().get_feature_names_out()


# --------------------------------------------------------------------------------------------------------- random state
SEEDED = {
    "conv": tiny(encoder="conv"),
    "everything": tiny(global_weight=1.0, prior_weight=1.0, estimator="dv", n_locations=3, early_stopping=True),
    "table": tiny_table(prior_weight=1.0),
    "augment callable": tiny(augment=noise),
    "sgd, all locations": tiny(optimizer="sgd", n_locations=None, augment=None),
    "user's encoder": tiny(encoder=FlatEncoder),
    "lazy layers": tiny(encoder=MapEncoder),
    "dropout": tiny(encoder=DropoutEncoder),
}


def disturb():
    """Leave the global generators in an arbitrary state."""
    torch.manual_seed(int.from_bytes(np.random.default_rng().bytes(4)))
    torch.rand(3)
    np.random.seed(None)  # noqa: NPY002
    np.random.rand(3)  # noqa: NPY002


@pytest.mark.parametrize("case", SEEDED)
def test_an_int_gives_the_same_bits_whatever_ran_before(case):
    data = table(96) if case == "table" else X
    fits = []
    for _ in range(2):
        disturb()
        fits.append(clone(SEEDED[case]).fit(data).partial_fit(data))
    assert same_state(*fits)


@pytest.mark.parametrize("case", SEEDED)
def test_global_generators_are_not_touched(case):
    data = table(96) if case == "table" else X
    disturb()
    of_torch, of_numpy = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    estimator = clone(SEEDED[case]).fit(data)
    estimator.partial_fit(data)
    estimator.transform(data)
    estimator.score(data)
    pickle.loads(pickle.dumps(estimator))
    assert torch.equal(torch.get_rng_state(), of_torch)
    for before, after in zip(of_numpy, np.random.get_state(), strict=True):  # noqa: NPY002
        assert np.array_equal(before, after)


def test_other_seeds_give_other_features():
    features = [tiny(random_state=seed).fit(X).transform(X) for seed in (0, 1)]
    assert relative_difference(*features) > 0.1


def test_a_random_state_instance_is_drawn_from():
    fits = [tiny(random_state=np.random.RandomState(3)).fit(X) for _ in range(2)]
    assert same_state(*fits)
    first = fits[0].transform(X)
    assert (fits[0].fit(X).transform(X) != first).any()  # the instance has moved on


def test_without_a_random_state_fits_differ():
    a, b = tiny(random_state=None), tiny(random_state=None)
    assert (a.fit(X).transform(X) != b.fit(X).transform(X)).any()


def test_threads_that_fit_at_the_same_time_get_the_same_bits_as_alone():
    estimators = [tiny(random_state=seed, prior_weight=0.5, global_weight=1.0) for seed in range(4)]
    alone = [clone(estimator).fit(X) for estimator in estimators]
    barrier = threading.Barrier(4)

    def fit(estimator):
        barrier.wait()
        estimator.fit(X)
        estimator.partial_fit(X)

    threads = [threading.Thread(target=fit, args=(estimator,)) for estimator in estimators]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same_state(a.partial_fit(X), b) for a, b in zip(alone, estimators, strict=True))


@pytest.mark.parametrize(("max_iter", "tolerance"), [(0, 1e-5), (1, 0.05)])
def test_more_threads_within_an_operation_change_little(max_iter, tolerance):
    n_threads = torch.get_num_threads()
    features = []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            features.append(tiny(encoder="conv", max_iter=max_iter).fit(X).transform(X))
    finally:
        torch.set_num_threads(n_threads)
    assert relative_difference(*features) < tolerance


# ----------------------------------------------------------------------------------------------------- epochs and history
def test_max_iter_counts_epochs():
    for n in (1, 3):
        estimator = tiny(max_iter=n).fit(X)
        assert estimator.n_iter_ == len(estimator.loss_curve_) == len(estimator.history_) == n
        assert [row["epoch"] for row in estimator.history_] == list(range(1, n + 1))
        assert [row["loss"] for row in estimator.history_] == estimator.loss_curve_
        assert all(type(value) is float for row in estimator.history_ for name, value in row.items() if name != "epoch")


def test_max_iter_0_leaves_the_network_untrained():
    estimator = tiny(max_iter=0).fit(X)
    assert estimator.n_iter_ == 0
    assert estimator.loss_curve_ == estimator.history_ == []
    assert estimator.lower_bound_ == -math.inf
    assert estimator.transform(X).shape == (96, 8)
    assert abs(estimator.score(X)) < 0.2


@pytest.mark.parametrize(
    ("n", "batch_size"), [(12_800, 128), (60_000, 128), (25_600, 64), (100_000, 256), (640_000, 128)]
)
def test_max_iter_auto_makes_a_measured_number_of_steps(n, batch_size):
    steps_per_epoch = math.ceil(n / batch_size)
    n_epochs = tiny(max_iter="auto", batch_size=batch_size)._n_epochs(n)
    assert n_epochs in AUTO_EPOCHS or abs(n_epochs * steps_per_epoch - AUTO_STEPS) <= 0.6 * steps_per_epoch
    assert (
        f"about {AUTO_STEPS:,} steps, in {AUTO_EPOCHS[0]} to {AUTO_EPOCHS[1]} epochs" in DeepInfoMaxTransformer.__doc__
    )


def test_max_iter_auto_stays_within_limits():
    assert tiny(max_iter="auto")._n_epochs(10) == AUTO_EPOCHS[1]
    assert tiny(max_iter="auto")._n_epochs(10**9) == AUTO_EPOCHS[0]


def test_max_iter_auto_trains():
    estimator = tiny_table(max_iter="auto", batch_size=32).fit(table(32))
    assert estimator.n_iter_ == AUTO_EPOCHS[1]


@pytest.mark.parametrize("n", [1, 4])
def test_the_learning_rate_schedule_spans_the_steps(n, monkeypatch):
    rates = []
    original = InfoMaxNet.train_step

    def watched(net, batch, **fit_params):
        rates.append(net.optimizer_.param_groups[0]["lr"])
        return original(net, batch, **fit_params)

    monkeypatch.setattr(InfoMaxNet, "train_step", watched)
    estimator = tiny(max_iter=n, batch_size=8, learning_rate=1e-3).fit(X)
    assert len(rates) == 12 * n
    highest = int(np.argmax(rates))
    assert 0.9e-3 < rates[highest] <= 1e-3
    assert rates[-1] < 0.05e-3
    assert highest <= 0.1 * len(rates)
    assert (np.diff(rates[highest:]) < 0).all()
    rates.clear()
    estimator.partial_fit(X)
    assert rates == [1e-3] * 12  # constant: nobody knows how many more will follow


def test_every_row_is_seen_once_an_epoch_in_a_new_order():
    standardize = Standardizer.learn(X, (1, 8, 8))
    batches = Batches(X, np.arange(96), standardize, 40, seed=0)
    first, second = (np.concatenate([batch.rows for batch in batches]) for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(96))
    assert (first != second).any()
    assert (first != np.arange(96)).any()
    again = Batches(X, np.arange(96), standardize, 40, seed=0, epoch=1)
    assert (np.concatenate([batch.rows for batch in again]) == second).all()


@pytest.mark.parametrize("n", range(2, 12))
@pytest.mark.parametrize("batch_size", [2, 3, 4, 7, 100])
def test_batches_hold_two_rows_or_more(n, batch_size):
    data = table(n)
    batches = Batches(data, np.arange(n), Standardizer.learn(data, (6,)), batch_size, seed=0)
    sizes = [len(batch.rows) for batch in batches]
    assert len(sizes) == len(batches)
    assert sum(sizes) == n
    assert min(sizes) >= 2
    assert max(sizes) <= max(batch_size, 3)
    assert max(sizes) - min(sizes) <= 1


def test_lower_bound_is_the_sum_of_the_last_epoch_s_bounds():
    estimator = tiny(global_weight=0.5, code_weight=2.0, max_iter=3).fit(X)
    last = estimator.history_[-1]
    assert estimator.lower_bound_ == pytest.approx(last["local"] + last["global"] + last["code"], rel=1e-6)
    assert last["loss"] == pytest.approx(-(last["local"] + 0.5 * last["global"] + 2 * last["code"]), rel=1e-4)


def test_training_raises_the_bound():
    estimator = tiny(max_iter=15).fit(images(256))
    bounds = [row["local"] for row in estimator.history_]
    assert np.mean(bounds[-3:]) > np.mean(bounds[:3]) + 0.05
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[0]


def test_verbose_prints_a_line_an_epoch(capsys):
    tiny(max_iter=3).fit(X)
    assert capsys.readouterr().out == ""
    tiny(max_iter=3, verbose=1).fit(X)
    out, err = capsys.readouterr()
    rows = [line for line in out.splitlines() if line.split() and line.split()[0].isdigit()]
    assert [line.split()[0] for line in rows] == ["1", "2", "3"]
    assert "loss" in out
    assert err == ""


# -------------------------------------------------------------------------------------------------------- early stopping
def held_out_loss(estimator, data):
    """Return the objective over the held-out rows, in one batch, of the weights that were kept."""
    learner = estimator._learner
    _, rows = estimator._split(len(data), learner, early_stopping=True)
    batch = Batch(learner.standardize(data[rows]), rows, 0)
    with torch.no_grad():
        parts = learner.objective.evaluate(estimator._views(batch, learner, evaluation=True))
    return {name: value.item() for name, value in parts.items()}


@pytest.mark.parametrize("augment", ["auto", None])
def test_early_stopping_keeps_the_best_weights(augment):
    data = images(200)
    estimator = tiny(
        augment=augment,
        early_stopping=True,
        validation_fraction=0.2,
        n_iter_no_change=3,
        max_iter=60,
        learning_rate=3e-2,
    ).fit(data)
    losses = [row["valid_loss"] for row in estimator.history_]
    best = int(np.argmin(losses))
    assert estimator.n_iter_ == len(losses) < 60  # it stopped
    assert min(losses[-3:]) > min(losses[:-3]) - 1e-4  # three epochs without improvement
    kept = held_out_loss(estimator, data)
    assert kept["loss"] == pytest.approx(losses[best], abs=1e-5)
    bounds = [name for name in estimator.history_[0] if name.startswith("valid_") and name != "valid_loss"]
    assert estimator.lower_bound_ == pytest.approx(sum(estimator.history_[best][name] for name in bounds), abs=1e-6)
    assert estimator.lower_bound_ == pytest.approx(sum(kept[name.removeprefix("valid_")] for name in bounds), abs=1e-5)


def test_early_stopping_waits_for_n_iter_no_change():
    # With a tolerance that nothing meets, the first epoch is the only improvement.
    for patience in (1, 4):
        estimator = tiny(early_stopping=True, tol=1e6, n_iter_no_change=patience, max_iter=20).fit(X)
        assert estimator.n_iter_ == patience + 1
    assert tiny(early_stopping=True, n_iter_no_change=50, max_iter=4).fit(X).n_iter_ == 4


def test_held_out_rows_are_not_trained_on():
    data = images(100)
    estimator = tiny(early_stopping=True, validation_fraction=0.3, augment=None)
    fitted = clone(estimator).fit(data)
    train, valid = fitted._split(100, fitted._learner, early_stopping=True)
    assert len(valid) == 30
    assert sorted([*train, *valid]) == list(range(100))
    changed = data.copy()
    changed[valid] = changed[valid, ::-1]  # other images of the same mean and scale
    again = clone(estimator).fit(changed)
    assert relative_difference(again.loss_curve_, fitted.loss_curve_) < 1e-5
    assert again.history_[-1]["valid_loss"] != fitted.history_[-1]["valid_loss"]


@pytest.mark.parametrize(("n", "fraction"), [(3, 0.1), (10, 0.1), (10, 0.95)])
def test_early_stopping_needs_rows_on_both_sides(n, fraction):
    with pytest.raises(ValueError, match=rf"n_samples = {n}.*at least 2.*validation_fraction"):
        tiny(early_stopping=True, validation_fraction=fraction).fit(images(n))


def test_early_stopping_with_max_iter_0():
    assert tiny(early_stopping=True, max_iter=0).fit(X).lower_bound_ == -math.inf


# ------------------------------------------------------------------------------------------------- continuing to train
def test_partial_fit_trains_one_epoch_and_goes_on():
    estimator = tiny()
    for n in (1, 2, 3):
        assert estimator.partial_fit(X) is estimator
        assert estimator.n_iter_ == len(estimator.history_) == len(estimator.loss_curve_) == n
        assert [row["epoch"] for row in estimator.history_] == list(range(1, n + 1))
    assert same_state(estimator, tiny().partial_fit(X).partial_fit(X).partial_fit(X))


def test_partial_fit_keeps_the_first_standardisation():
    estimator = tiny().partial_fit(X)
    before = arrays(estimator)["standardize/mean"].copy()
    estimator.partial_fit(X * 3 + 1)
    assert (arrays(estimator)["standardize/mean"] == before).all()


def test_partial_fit_learns():
    estimator = tiny()
    for _ in range(15):
        estimator.partial_fit(images(256))
    assert estimator.score(OTHER) > tiny(max_iter=0).fit(images(256)).score(OTHER) + 0.02


def test_partial_fit_takes_other_rows_each_time():
    estimator = tiny()
    for start in range(0, 300, 100):
        estimator.partial_fit(images(100 - start // 10, start=start))
    assert np.isfinite(estimator.loss_curve_).all()


def test_partial_fit_after_fit_and_fit_after_partial_fit():
    estimator = tiny(max_iter=3).fit(X).partial_fit(X)
    assert estimator.n_iter_ == 4
    assert [row["epoch"] for row in estimator.history_] == [1, 2, 3, 4]
    assert same_state(estimator.fit(X), tiny(max_iter=3).fit(X))  # fit starts anew
    assert estimator.n_iter_ == 3


@pytest.mark.parametrize(
    "encoder", ["conv", FlatEncoder, Factory(), MapEncoder], ids=["conv", "flat", "factory", "map"]
)
def test_warm_start_goes_on(encoder):
    estimator = tiny(warm_start=True, max_iter=2, encoder=encoder).fit(X)
    first = estimator.transform(X)
    estimator.set_params(max_iter=3, learning_rate=1e-3).fit(X)
    assert estimator.n_iter_ == len(estimator.history_) == 5
    assert [row["epoch"] for row in estimator.history_] == [1, 2, 3, 4, 5]
    assert (estimator.transform(X) != first).any()
    assert same_state(
        estimator, tiny(warm_start=True, encoder=encoder).fit(X).set_params(max_iter=3, learning_rate=1e-3).fit(X)
    )


def test_without_warm_start_fit_starts_anew():
    estimator = tiny().fit(OTHER)
    assert same_state(estimator.fit(X), tiny().fit(X))


@pytest.mark.parametrize(
    ("change", "value"),
    [("n_components", 9), ("encoder", "conv"), ("critic", "inner"), ("estimator", "jsd"), ("prior_weight", 1.0)],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_network_that_changed_cannot_go_on(method, change, value):
    estimator = tiny(warm_start=True).fit(X)
    before = estimator.transform(X)
    with pytest.raises(ValueError, match=rf"{change}.*changed.*warm_start=False"):
        getattr(estimator.set_params(**{change: value}), method)(X)
    assert (estimator.transform(X) == before).all()
    assert estimator.set_params(warm_start=False).fit(X).n_iter_ == 2


def test_a_nested_parameter_that_changed_cannot_go_on():
    estimator = tiny(warm_start=True, critic=Separable(width=16)).fit(X)
    estimator.set_params(critic__width=32)
    with pytest.raises(ValueError, match=r"critic.*changed"):
        estimator.fit(X)


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 1e-4},
        {"batch_size": 32},
        {"verbose": 0},
        {"features": "local"},
        {"random_state": 5},
        {"max_iter": 1},
    ],
    ids=str,
)
def test_what_only_training_reads_may_change(change):
    estimator = tiny(warm_start=True).fit(X)
    assert np.isfinite(estimator.set_params(**change).fit(X).loss_curve_).all()


def test_parameters_set_after_fit_do_not_change_the_fitted_model():
    estimator = tiny().fit(X)
    before, score = estimator.transform(X), estimator.score(X)
    estimator.set_params(n_components=3, encoder="mlp", critic="inner", estimator="nwj", augment=None)
    assert (estimator.transform(X) == before).all()
    assert estimator.score(X) == score
    loaded = pickle.loads(pickle.dumps(estimator))
    assert (loaded.transform(X) == before).all()
    assert loaded.n_components == 3


# ---------------------------------------------------------------------------------------------------------------- device
def test_cuda_without_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    estimator = DeepInfoMaxTransformer(device="cuda")  # no error before fit
    with pytest.raises(ValueError, match=r"'cuda'.*not available.*'auto'.*'cpu'"):
        estimator.fit(X)
    assert tiny(device="auto").fit(X).device_ == "cpu"
    assert tiny(device="cpu").fit(X).device_ == "cpu"


@pytest.mark.gpu
def test_cuda_and_cpu_agree():
    on_cuda = tiny(device="cuda", precision="float32", max_iter=3).fit(X)
    assert on_cuda.device_.startswith("cuda")
    on_cpu = tiny(device="cpu", precision="float32", max_iter=3).fit(X)
    # The same views, orders and first weights; the arithmetic differs in the last bits.
    assert relative_difference(on_cpu.transform(X), on_cuda.transform(X)) < 1e-2
    untrained = [tiny(device=device, max_iter=0).fit(X) for device in ("cpu", "cuda")]
    assert relative_difference(*(estimator.transform(X) for estimator in untrained)) < 1e-4
    assert untrained[1].score(X) == pytest.approx(untrained[0].score(X), abs=1e-3)
    loaded = pickle.loads(pickle.dumps(on_cuda))
    assert loaded.device_ == on_cuda.device_
    assert (loaded.transform(X) == on_cuda.transform(X)).all()
    assert same_state(loaded.partial_fit(X), on_cuda.partial_fit(X))


# ------------------------------------------------------------------------------------------- precision and compilation
LEARNERS = {
    "conv": (tiny(), X),
    "conv, noise prior": (tiny(prior="normal", prior_method="noise"), X),
    "conv, posterior": (tiny(posterior="gaussian"), X),
    "resnet": (tiny(encoder="resnet"), X),
    "mlp, held out": (tiny_table(early_stopping=True, validation_fraction=0.3), table(96)),
    "user's": (tiny(encoder=FlatEncoder), X),
    "halves": (MultiViewInfoMaxTransformer(4, views="halves", max_iter=2, random_state=0), X),
    "shared encoder": (
        MultiViewInfoMaxTransformer(4, views="halves", shared_encoder=True, max_iter=2, random_state=0),
        X,
    ),
    "layers": (MultiViewInfoMaxTransformer(4, views="layers", max_iter=2, random_state=0), X),
    "missing views": (
        MultiViewInfoMaxTransformer(4, views=[("a", [0, 1]), ("b", [2, 3])], max_iter=2, random_state=0),
        np.where(np.arange(96)[:, None] % 5 + np.arange(6) // 2 == 0, np.nan, table(96)),
    ),
    "sequences": (CPCTransformer(4, max_iter=2, random_state=0), np.cumsum(table(96, 30), axis=1)),
    "patches": (CPCTransformer(4, patch_size=4, max_iter=2, random_state=0), X),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_bfloat16_trains_nearly_the_same_and_only_training(name):
    estimator, data = LEARNERS[name]
    exact = clone(estimator).fit(data)
    rounded = clone(estimator).set_params(precision="bfloat16").fit(data)
    losses = np.array([exact.loss_curve_, rounded.loss_curve_])
    assert 0 < np.abs(losses[0] - losses[1]).max() < 0.05
    assert rounded.encoder_ is not rounded.encoder_
    assert {parameter.dtype for parameter in rounded.encoder_.parameters()} == {torch.float32}
    loaded = pickle.loads(
        pickle.dumps(rounded.set_params(precision="float32"))
    )  # what transforms is float32 either way
    np.testing.assert_array_equal(loaded.transform(data), rounded.transform(data))
    assert same_state(rounded, clone(estimator).set_params(precision="bfloat16").fit(data))


def test_bfloat16_continues_as_if_it_had_not_been_saved():
    estimator = tiny(precision="bfloat16").partial_fit(X)
    loaded = pickle.loads(pickle.dumps(estimator))
    assert same_state(estimator.partial_fit(X), loaded.partial_fit(X))


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")
@pytest.mark.parametrize("name", ["user's", "sequences"])
def test_compiled_training_is_the_same_training(name):
    estimator, data = LEARNERS[name]
    plain = clone(estimator).fit(data)
    compiled = clone(estimator).set_params(compile=True).fit(data)
    np.testing.assert_allclose(compiled.loss_curve_, plain.loss_curve_, rtol=1e-3, atol=1e-4)
    assert relative_difference(plain.transform(data), compiled.transform(data)) < 1e-2
    pickle.loads(pickle.dumps(compiled)).transform(data)


@pytest.mark.gpu
def test_bfloat16_is_the_default_of_a_gpu_that_has_it():
    chosen = tiny(device="cuda", max_iter=3).fit(X)
    native = torch.cuda.get_device_capability() >= (8, 0)
    named = tiny(device="cuda", precision="bfloat16" if native else "float32", max_iter=3).fit(X)
    assert same_state(chosen, named)
