"""Laws of every estimator that learns by maximising mutual information, on images through the convolutional encoder."""

import math
import pickle
import shutil
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
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
    without_address,
)
from sklearn.base import clone

import skdim
from skdim import CPCTransformer, DeepInfoMaxTransformer, MultiViewInfoMaxTransformer
from skdim.exceptions import DivergenceError
from skdim.nn.critics import Separable
from skdim.nn.encoders import Conv
from skdim.training.callbacks import DivergenceGuard
from skdim.training.fitting import AUTO_EPOCHS, AUTO_STEPS, Fitting, n_epochs
from skdim.training.trainer import held_out_values

X, OTHER = images(96), images(300, start=500)
WAVES = np.cumsum(table(96, 30), axis=1)


def multiview(**params):
    return MultiViewInfoMaxTransformer(4, **{"max_iter": 2, "random_state": 0, **params})


def cpc(**params):
    return CPCTransformer(4, **{"max_iter": 2, "random_state": 0, **params})


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
def test_rows_do_not_depend_on_each_other_or_their_order(fitted):
    estimator, _, other = fitted
    whole = estimator.transform(other)
    order = np.random.default_rng(0).permutation(len(other))
    for rows in (slice(0, 1), slice(299, 300), slice(3, 36), slice(100, 290), [5, 3, 200, 3], order):
        assert relative_difference(whole[rows], estimator.transform(other[rows])) < 1e-6
    singles = np.concatenate([estimator.transform(other[i : i + 1]) for i in range(0, 300, 30)])
    assert relative_difference(whole[::30], singles) < 1e-6


def test_a_second_fit_gives_the_same_bits(fitted):
    estimator, data, other = fitted
    again = clone(estimator).fit(data)
    assert same_state(estimator, again)
    assert (again.transform(other) == estimator.transform(other)).all()
    assert (again.fit_transform(data, [1]) == estimator.transform(data)).all()
    assert again.history_ == estimator.history_


def test_transform_and_score_build_nothing_and_leave_the_estimator_unchanged(fitted, monkeypatch):
    estimator, _, other = fitted
    before, state = dict(vars(estimator)), arrays(estimator)
    monkeypatch.setattr(type(estimator), "_build", None)
    assert type(estimator.score(other)) is float
    assert estimator.score(other) == estimator.score(other)
    for dtype in (np.float64, np.float32, np.float16):
        features = estimator.transform(other[:5].astype(dtype))
        assert (features.dtype, features.flags.writeable) == (np.float32, True)
        assert len(estimator.get_feature_names_out()) == features.shape[1]
    assert estimator.encoder_ is not estimator.encoder_
    assert vars(estimator) == before
    assert all(np.asarray(state[k]).tobytes() == np.asarray(v).tobytes() for k, v in arrays(estimator).items())


def test_the_features_are_a_map_of_the_standardised_samples(fitted):
    estimator, _, other = fitted
    features = estimator.feature_map()(estimator.standardized(other[:50]))
    assert relative_difference(estimator.transform(other[:50]), features.detach()) < 1e-5
    assert not features.requires_grad


# --------------------------------------------------------------------------------------------------------- random state
SEEDED = {
    "conv": (tiny(encoder="conv"), X),
    "everything": (tiny(global_weight=1.0, prior_weight=1.0, estimator="dv", n_locations=3, early_stopping=True), X),
    "table": (tiny_table(prior_weight=1.0), table(96)),
    "augment callable": (tiny(augment=noise), X),
    "sgd, all locations": (tiny(optimizer="sgd", n_locations=None, augment=None), X),
    "user's encoder": (tiny(encoder=FlatEncoder), X),
    "lazy layers": (tiny(encoder=MapEncoder), X),
    "dropout": (tiny(encoder=DropoutEncoder), X),
    "dropout in a view's encoder": (multiview(encoder=DropoutEncoder), X),
}


@pytest.mark.parametrize("case", SEEDED)
def test_an_int_gives_the_same_bits_whatever_ran_before_and_leaves_the_global_generators(case):
    estimator, data = SEEDED[case]
    fits = []
    for _ in range(2):
        torch.manual_seed(int.from_bytes(np.random.default_rng().bytes(4)))
        np.random.seed(None)  # noqa: NPY002
        of_torch, of_numpy = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
        fits.append(clone(estimator).fit(data).partial_fit(data))
        fits[-1].score(data)
        pickle.loads(pickle.dumps(fits[-1])).transform(data)
        assert torch.equal(torch.get_rng_state(), of_torch)
        for before, after in zip(of_numpy, np.random.get_state(), strict=True):  # noqa: NPY002
            assert np.array_equal(before, after)
    assert same_state(*fits)


def test_other_seeds_no_seed_and_a_generator():
    features = [tiny(random_state=seed).fit(X).transform(X) for seed in (0, 1, None, None)]
    assert all(relative_difference(features[0], other) > 0.1 for other in features[1:])
    assert (features[2] != features[3]).any()
    fits = [tiny(random_state=np.random.RandomState(3)).fit(X) for _ in range(2)]
    assert same_state(*fits)
    first = fits[0].transform(X)
    assert (fits[0].fit(X).transform(X) != first).any()  # the generator has moved on


def test_threads_that_fit_at_the_same_time_get_the_same_bits_as_alone():
    estimators = [tiny(random_state=seed, prior_weight=0.5, global_weight=1.0) for seed in range(4)]
    alone = [clone(estimator).fit(X) for estimator in estimators]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda estimator: estimator.fit(X).partial_fit(X), estimators))
    assert all(same_state(a.partial_fit(X), b) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize(("max_iter", "tolerance"), [(0, 1e-5), (1, 0.05)])
def test_more_threads_within_an_operation_change_little(max_iter, tolerance):
    n_threads, features = torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            features.append(tiny(encoder="conv", max_iter=max_iter).fit(X).transform(X))
    finally:
        torch.set_num_threads(n_threads)
    assert relative_difference(*features) < tolerance


# ----------------------------------------------------------------------------------------------------- epochs and history
def test_a_history_is_a_frame_with_a_row_for_each_epoch():
    frame = pd.DataFrame(tiny(early_stopping=True, max_iter=3).fit(X).history_)
    assert frame["epoch"].tolist() == [1, 2, 3]
    assert list(frame) == ["epoch", *(f"{part}{name}" for part in ("", "valid_") for name in ("loss", "local", "code"))]
    assert (frame.dtypes.drop("epoch") == np.float64).all()
    assert frame.notna().all(axis=None)


@pytest.mark.parametrize("n", [1, 3])
def test_max_iter_counts_epochs_and_the_history_holds_numbers(n):
    estimator = tiny(max_iter=n, global_weight=0.5, code_weight=2.0).fit(X)
    assert estimator.n_iter_ == len(estimator.loss_curve_) == n
    assert [row["epoch"] for row in estimator.history_] == list(range(1, n + 1))
    assert [row["loss"] for row in estimator.history_] == estimator.loss_curve_
    assert all(type(value) is float for row in estimator.history_ for name, value in row.items() if name != "epoch")
    last = estimator.history_[-1]
    assert estimator.lower_bound_ == pytest.approx(last["local"] + last["global"] + last["code"], rel=1e-6)
    assert last["loss"] == pytest.approx(-(last["local"] + 0.5 * last["global"] + 2 * last["code"]), rel=1e-4)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_max_iter_0_leaves_the_network_untrained(early_stopping):
    estimator = tiny(max_iter=0, early_stopping=early_stopping).fit(X)
    assert estimator.n_iter_ == 0
    assert estimator.loss_curve_ == estimator.history_ == []
    assert estimator.lower_bound_ == -math.inf
    assert estimator.transform(X).shape == (96, 8)
    assert abs(estimator.score(X)) < 0.2


@pytest.mark.parametrize(
    ("n", "batch_size"),
    [(12_800, 128), (60_000, 128), (25_600, 64), (100_000, 256), (640_000, 128), (10, 64), (10**9, 64)],
)
def test_max_iter_auto_makes_a_measured_number_of_steps(n, batch_size):
    steps_per_epoch = math.ceil(n / batch_size)
    found = n_epochs(tiny(max_iter="auto", batch_size=batch_size), n)
    assert found in AUTO_EPOCHS or abs(found * steps_per_epoch - AUTO_STEPS) <= 0.6 * steps_per_epoch
    assert AUTO_EPOCHS[0] <= found <= AUTO_EPOCHS[1]
    words = f"about {AUTO_STEPS:,} steps, in {AUTO_EPOCHS[0]} to {AUTO_EPOCHS[1]} epochs"
    assert words in DeepInfoMaxTransformer.__doc__
    if n == 10:
        assert tiny_table(max_iter="auto").fit(table(32)).n_iter_ == AUTO_EPOCHS[1]


def test_fit_has_a_schedule_and_partial_fit_a_constant_rate(monkeypatch):
    rates = []

    def watched(guard, net, **kwargs):
        rates.append(net.optimizer_.param_groups[0]["lr"])

    monkeypatch.setattr(DivergenceGuard, "on_batch_begin", watched, raising=False)
    estimator = tiny(max_iter=4, batch_size=8, learning_rate=1e-3).fit(X)
    assert len(rates) == 48
    assert max(rates) <= 1e-3
    assert rates[-1] < 0.01e-3
    rates.clear()
    estimator.partial_fit(X)
    assert rates == [1e-3] * 12  # nobody knows how many more will follow
    rates.clear()
    tiny(max_iter=2, batch_size=8, learning_rate=1e-3, schedule=None).fit(X)
    assert rates == [1e-3] * 24


def test_training_raises_the_bound():
    estimator = tiny(max_iter=15).fit(images(256))
    bounds = [row["local"] for row in estimator.history_]
    assert np.mean(bounds[-3:]) > np.mean(bounds[:3]) + 0.05
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[0]
    continued = tiny()
    for _ in range(15):
        continued.partial_fit(images(256))
    assert continued.score(OTHER) > tiny(max_iter=0).fit(images(256)).score(OTHER) + 0.02


# -------------------------------------------------------------------------------------------------------- early stopping
def held_out(estimator, data):
    """Return the objective's parts over the held-out rows, of the weights that were kept, and the rows."""
    learner = estimator._learner
    samples = estimator._samples(data, learner.device, reset=False)
    fitting = Fitting.plan(estimator, learner, samples, partial=False)
    return held_out_values(learner.objective, fitting.batches(estimator, learner, samples, held_out=True)), fitting


@pytest.mark.parametrize("augment", ["auto", None])
def test_early_stopping_keeps_the_best_weights(augment):
    data, rows = images(200), {"validation_fraction": 0.2, "n_iter_no_change": 3, "max_iter": 60}
    estimator = tiny(augment=augment, early_stopping=True, learning_rate=3e-2, **rows).fit(data)
    losses = [row["valid_loss"] for row in estimator.history_]
    best = int(np.argmin(losses))
    assert estimator.n_iter_ == len(losses) < 60  # it stopped
    assert min(losses[-3:]) > min(losses[:-3]) - 1e-4  # three epochs without improvement
    kept, fitting = held_out(estimator, data)
    assert sorted([*fitting.train, *fitting.valid]) == list(range(200))
    assert len(fitting.valid) == 40
    for name, value in kept.items():
        assert value == pytest.approx(estimator.history_[best][f"valid_{name}"], abs=1e-5)
    bounds = sum(value for name, value in kept.items() if name != "loss")
    assert estimator.lower_bound_ == pytest.approx(bounds, abs=1e-5)


def test_held_out_rows_are_not_trained_on():
    data = images(100)
    estimator = tiny(early_stopping=True, validation_fraction=0.3, augment=None)
    fitted = clone(estimator).fit(data)
    valid, changed = held_out(fitted, data)[1].valid, data.copy()
    changed[valid] = changed[valid, ::-1]  # other images of the same mean and scale
    again = clone(estimator).fit(changed)
    assert relative_difference(again.loss_curve_, fitted.loss_curve_) < 1e-5
    assert again.history_[-1]["valid_loss"] != fitted.history_[-1]["valid_loss"]


# ------------------------------------------------------------------------------------------------- continuing to train
def test_partial_fit_trains_one_epoch_and_goes_on_with_the_first_standardisation():
    estimator = tiny()
    for n in (1, 2, 3):
        assert estimator.partial_fit(X) is estimator
        assert estimator.n_iter_ == len(estimator.history_) == len(estimator.loss_curve_) == n
        assert [row["epoch"] for row in estimator.history_] == list(range(1, n + 1))
    assert same_state(estimator, tiny().partial_fit(X).partial_fit(X).partial_fit(X))
    before = arrays(estimator)["standardize/mean"].copy()
    estimator.partial_fit(3 * images(50, start=300) + 1)
    assert (arrays(estimator)["standardize/mean"] == before).all()
    assert np.isfinite(estimator.loss_curve_).all()


def test_partial_fit_after_fit_and_fit_after_partial_fit():
    estimator = tiny(max_iter=3).fit(OTHER).fit(X).partial_fit(X)
    assert estimator.n_iter_ == 4
    assert [row["epoch"] for row in estimator.history_] == [1, 2, 3, 4]
    assert same_state(estimator.fit(X), tiny(max_iter=3).fit(X))  # fit starts anew
    assert estimator.n_iter_ == 3


@pytest.mark.parametrize("encoder", ["conv", FlatEncoder, Factory(), MapEncoder], ids=without_address)
def test_warm_start_goes_on(encoder):
    a, b = (tiny(warm_start=True, encoder=encoder).fit(X) for _ in range(2))
    first = a.transform(X)
    for estimator in (a, b):
        estimator.set_params(max_iter=3, learning_rate=1e-3).fit(X)
    assert a.n_iter_ == len(a.history_) == 5
    assert [row["epoch"] for row in a.history_] == [1, 2, 3, 4, 5]
    assert (a.transform(X) != first).any()
    assert same_state(a, b)


#: A mask of more than 1,000 columns, which NumPy abbreviates in its repr.
WIDE = np.random.default_rng(0).normal(size=(20, 1200))
MASKS = [(np.arange(1200) < 600), (np.arange(1200) >= 600)]
MASKED = multiview(views=list(zip("ab", MASKS, strict=True)), hidden_layer_sizes=(4,), warm_start=True)
CHANGES = [
    (tiny(warm_start=True), X, {"n_components": 9}),
    (tiny(warm_start=True), X, {"encoder": "conv"}),
    (tiny(warm_start=True), X, {"critic": "inner"}),
    (tiny(warm_start=True), X, {"estimator": "jsd"}),
    (tiny(warm_start=True), X, {"prior_weight": 1.0}),
    (tiny(warm_start=True, critic=Separable(width=16)), X, {"critic__width": 32}),
    (multiview(warm_start=True), X, {"graph": "core"}),
    (cpc(warm_start=True), WAVES, {"n_steps": 2}),
    (MASKED, WIDE, {"views": [("a", MASKS[0] & (np.arange(1200) != 500)), ("b", MASKS[1])]}),
]


@pytest.mark.parametrize(("estimator", "data", "change"), CHANGES, ids=lambda value: str(value)[:20])
def test_a_network_whose_parameters_changed_cannot_go_on(estimator, data, change):
    estimator = clone(estimator).fit(data)
    before, (name,) = estimator.transform(data), change
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match=rf"{name.split('__')[0]}.*changed.*warm_start=False"):
            getattr(estimator.set_params(**change), method)(data)
        assert (estimator.transform(data) == before).all()
    assert estimator.set_params(warm_start=False).fit(data).n_iter_ == 2


@pytest.mark.parametrize(
    ("estimator", "data", "change"),
    [
        *[
            (tiny(warm_start=True), X, change)
            for change in ({"learning_rate": 1e-4}, {"batch_size": 32}, {"max_iter": 1})
        ],
        *[
            (tiny(warm_start=True), X, change)
            for change in ({"verbose": 0}, {"features": "local"}, {"random_state": 5})
        ],
        (MASKED, WIDE, {"views": [("a", MASKS[0].copy()), ("b", MASKS[1].copy())]}),  # equal, and not the same
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_only_training_reads_and_equal_copies_may_change(estimator, data, change):
    estimator = clone(estimator).fit(data)
    assert np.isfinite(estimator.set_params(**change).fit(data).loss_curve_).all()


def test_parameters_set_after_fit_do_not_change_the_fitted_model():
    estimator = tiny().fit(X)
    before, score = estimator.transform(X), estimator.score(X)
    estimator.set_params(n_components=3, encoder="mlp", critic="inner", estimator="nwj", augment=None)
    assert (estimator.transform(X) == before).all()
    assert estimator.score(X) == score
    loaded = pickle.loads(pickle.dumps(estimator))
    assert (loaded.transform(X) == before).all()
    assert loaded.n_components == 3


# ------------------------------------------------------------------------------------------------------------ divergence
DIVERGING = [
    *[
        tiny(estimator=name, optimizer=optimizer)
        for name in ("infonce", "jsd", "dv", "nwj", "alpha")
        for optimizer in ("adamw", "sgd")
    ],
    *[tiny(warm_start=True), tiny_table(), multiview(), cpc()],
]


@pytest.mark.parametrize("estimator", DIVERGING, ids=str)
def test_divergence_is_an_error_and_leaves_an_estimator_as_it_was(estimator):
    data = WAVES if isinstance(estimator, CPCTransformer) else table(96) if estimator.encoder == "mlp" else X
    dim = clone(estimator).set_params(learning_rate=1e9, max_iter=20)
    before = dict(vars(dim))
    with pytest.raises(DivergenceError, match=r"diverged in epoch.*learning_rate"):
        dim.fit(data)
    assert vars(dim) == before
    dim = clone(estimator).fit(data)
    rate, before, state, features = dim.learning_rate, dict(vars(dim)), arrays(dim), dim.transform(data)
    dim.set_params(learning_rate=1e9, max_iter=20)
    for diverge in (dim.fit, lambda data: dim.partial_fit(data).partial_fit(data)):
        with pytest.raises(DivergenceError, match="diverged"):
            diverge(data)
    assert vars(dim.set_params(learning_rate=rate, max_iter=2)) == before
    assert all(np.asarray(state[name]).tobytes() == np.asarray(value).tobytes() for name, value in arrays(dim).items())
    assert (dim.transform(data) == features).all()


# ---------------------------------------------------------------------------------------------------------------- device
def test_cuda_without_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    estimator = DeepInfoMaxTransformer(device="cuda")  # no error before fit
    with pytest.raises(ValueError, match=r"'cuda'.*not available.*'auto'.*'cpu'"):
        estimator.fit(X)
    assert tiny(device="auto").fit(X).device_ == tiny(device="cpu").fit(X).device_ == "cpu"


@pytest.mark.gpu
def test_cuda_and_cpu_agree(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn.conv, "fp32_precision", "ieee")  # TF32 rounds to 10 bits
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
    further = [estimator.partial_fit(X).transform(X) for estimator in (loaded, on_cuda)]
    assert relative_difference(*further) < 1e-2  # cuDNN may add in any order


# ------------------------------------------------------------------------------------------- precision and compilation
LACKING = np.arange(96)[:, None] % 5 + np.arange(6) // 2 == 0  # every fifth row lacks the first two columns
LEARNERS = {
    "conv": (tiny(), X),
    "conv, noise prior": (tiny(prior="normal", prior_method="noise"), X),
    "conv, posterior": (tiny(posterior="gaussian"), X),
    "resnet": (tiny(encoder="resnet"), X),
    "mlp, held out": (tiny_table(early_stopping=True, validation_fraction=0.3), table(96)),
    "user's": (tiny(encoder=FlatEncoder), X),
    "halves": (multiview(views="halves"), X),
    "shared encoder": (multiview(views="halves", shared_encoder=True), X),
    "layers": (multiview(views="layers"), X),
    "missing views": (multiview(views=[("a", [0, 1]), ("b", [2, 3])]), np.where(LACKING, np.nan, table(96))),
    "sequences": (cpc(), WAVES),
    "patches": (cpc(patch_size=4), X),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_bfloat16_trains_nearly_the_same_and_only_training(name):
    estimator, data = LEARNERS[name]
    exact = clone(estimator).fit(data)
    rounded, again = (clone(estimator).set_params(precision="bfloat16").fit(data) for _ in range(2))
    losses = np.array([exact.loss_curve_, rounded.loss_curve_])
    assert 0 < np.abs(losses[0] - losses[1]).max() < 0.05
    assert {parameter.dtype for parameter in rounded.encoder_.parameters()} == {torch.float32}
    assert same_state(rounded, again)
    loaded = pickle.loads(pickle.dumps(again.set_params(precision="float32")))
    np.testing.assert_array_equal(loaded.transform(data), rounded.transform(data))  # in float32 either way
    saved = pickle.loads(pickle.dumps(rounded))
    assert same_state(rounded.partial_fit(data), saved.partial_fit(data))


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")
@pytest.mark.parametrize("name", ["user's", "sequences"])
def test_compiled_training_is_the_same_training(name):
    estimator, data = LEARNERS[name]
    plain = clone(estimator).fit(data)
    compiled = clone(estimator).set_params(compile=True).fit(data)
    np.testing.assert_allclose(compiled.loss_curve_, plain.loss_curve_, rtol=1e-3, atol=1e-4)
    assert relative_difference(plain.transform(data), compiled.transform(data)) < 1e-2
    pickle.loads(pickle.dumps(compiled)).transform(data)


# --------------------------------------------------------------------------------------------------------- the call stack
@pytest.mark.parametrize("estimator", [tiny(max_iter=1), multiview(max_iter=1), cpc(max_iter=1)], ids=str)
def test_from_fit_to_the_loss_it_is_at_most_7_frames_of_ours(estimator, monkeypatch):
    def depth(objective, X, draws):
        stacks.append([frame.name for frame in traceback.extract_stack() if frame.filename.startswith(package)])
        return original(objective, X, draws)

    package, stacks = str(Path(skdim.__file__).parent), []
    data = WAVES if isinstance(estimator, CPCTransformer) else X
    kind = type(clone(estimator).fit(data)._learner.objective)
    original = kind.forward
    monkeypatch.setattr(kind, "forward", depth)
    clone(estimator).fit(data)
    assert len(stacks[-1]) <= 7


# --------------------------------------------------------------------------------------------------- fits beside answers
@pytest.mark.parametrize("name", ["partial_fit", "fit"])
def test_a_refit_answers_as_before_until_it_ends(name):
    """Other threads see the old attributes until the fit ends, all of them, and then the new ones."""
    X = np.random.default_rng(0).normal(size=(96, 12))
    fitted = DeepInfoMaxTransformer(3, max_iter=3, batch_size=32, random_state=0).fit(X)
    before, attributes, seen = fitted.transform(X), dict(vars(fitted)), []

    class Watch:
        """A callback that asks the estimator while it is fitted again, on other columns."""

        def setup(self, estimator, context): ...

        def on_fit_task_begin(self, estimator, context, **kwargs): ...

        def on_fit_task_end(self, estimator, context, **kwargs):
            seen.append((fitted.transform(X), fitted.n_features_in_, vars(fitted).keys() == attributes.keys()))

        def teardown(self, estimator, context): ...

    attributes["_skl_callbacks"] = [Watch()]
    fitted.set_callbacks(*attributes["_skl_callbacks"])
    getattr(fitted, name)(X if name == "partial_fit" else X[:, :7])
    assert len(seen) == (2 if name == "partial_fit" else 4)
    for features, n_features, same_names in seen:
        np.testing.assert_array_equal(features, before)
        assert n_features == 12
        assert same_names
    after = fitted.transform(X if name == "partial_fit" else X[:, :7])
    assert (after != before).any()


def test_threads_get_the_answer_of_one_fit_or_of_the_next():
    X = np.random.default_rng(0).normal(size=(64, 8))
    fitted = DeepInfoMaxTransformer(3, max_iter=1, batch_size=32, random_state=0).fit(X)
    answers = []
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(lambda: [fitted.transform(X) for _ in range(60)]) for _ in range(4)]
        for seed in range(1, 6):
            answers.append(fitted.transform(X))
            fitted.set_params(random_state=seed).fit(X)
        answers.append(fitted.transform(X))
        for each in [features for part in asked for features in part.result()]:
            assert any(np.array_equal(each, answer) for answer in answers)
