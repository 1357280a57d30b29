"""MIEstimator repeated, saved and watched: random state, persistence and callbacks."""

import copy
import functools
import io
import json
import pickle
import pickletools
import threading

import numpy as np
import pytest
import skops.io
import torch
from helpers import KnownGaussian, KnownNormal, restored, tiny_mi
from sklearn.callback import ProgressBar
from tasks import FURTHER
from test_callbacks_sklearn import FittedSoFar, Raises, Recorder, monitor_of_scores
from test_mi_estimator import RHO, TRUTH, pairs
from test_persistence import WAYS

from skdim._random import LocalSeed
from skdim.bounds import Alpha
from skdim.exceptions import DeviceWarning
from skdim.information.parameters import MODELS
from skdim.nn.critics import Separable

pytestmark = [
    pytest.mark.filterwarnings("ignore::skdim.exceptions.SaturationWarning"),
    pytest.mark.filterwarnings(
        "ignore::skdim.exceptions.UnderfittingWarning"
    ),  # networks here are small, and soon stopped
]

X, Y = pairs(400)
SIGNS = np.where(Y.ravel() > 0, "up", "down")


# ----------------------------------------------------------------------------------------------------------- random state
@pytest.mark.parametrize(
    "params", [{}, {"estimator": "ba"}, {"estimator": "flo"}, {"critic": "concat"}, {"n_refits": 2}], ids=str
)
def test_an_integer_gives_the_same_bits_whatever_ran_before(params):
    first = tiny_mi(**params).fit(X, Y)
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    tiny_mi(max_iter=1, random_state=3).fit(Y[:100], X[:100])
    second = tiny_mi(**params).fit(X, Y)
    assert (first.mi_, first.mi_interval_, first.history_) == (second.mi_, second.mi_interval_, second.history_)
    assert (first.pointwise(X, Y) == second.pointwise(X, Y)).all()
    assert first.mi_ != tiny_mi(**params, random_state=1).fit(X, Y).mi_


def test_a_generator_goes_on():
    generator = np.random.RandomState(0)
    values = [tiny_mi(random_state=generator).fit(X, Y).mi_ for _ in range(2)]
    again = np.random.RandomState(0)
    assert values == [tiny_mi(random_state=again).fit(X, Y).mi_ for _ in range(2)]
    assert values[0] != values[1]


@pytest.mark.parametrize("y", [Y, SIGNS], ids=["vector", "labels"])
@pytest.mark.parametrize("estimator", ["infonce", "flo", "ba", "gaussian"])
def test_the_global_generators_are_not_touched(estimator, y):
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    of_torch, of_numpy = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    mi = tiny_mi(estimator=estimator).fit(X, y)
    mi.score(X, y)
    pickle.loads(pickle.dumps(mi)).pointwise(X, y)
    assert torch.equal(torch.get_rng_state(), of_torch)
    for before, after in zip(of_numpy, np.random.get_state(), strict=True):  # noqa: NPY002
        assert np.array_equal(before, after)


# ------------------------------------------------------------------------------------------------------------- persistence
MIXED = np.hstack([np.abs(X).astype(object), np.where(X > 0, "up", "down")])
SAVED = {
    "default": ({}, X, Y),
    "refits": ({"n_refits": 1, "max_iter": 10}, np.hstack([X, X**2]), Y),
    "mixture": ({"reference": "auto", "n_refits": 1}, *FURTHER["contaminated-5-5-0.2"].sample(500, random_state=0)),
    "radial": ({"estimator": Alpha(0.5), "critic": Separable(width=4)}, X, Y),
    "concat": ({"critic": "concat", "estimator": "dime"}, X, Y),
    "standardised": ({"marginals": "standardize", "reference": None}, X, Y),
    "as they are": ({"marginals": None}, X, Y),
    "tuba": ({"estimator": "tuba"}, X, Y),
    "flo": ({"estimator": "flo"}, X, Y),
    "ba": ({"estimator": "ba"}, X, Y),
    "ba of a known density": ({"estimator": "ba", "density": KnownNormal()}, X, Y),
    "ba of a known entropy": ({"estimator": "ba", "density": 1.4}, X, Y),
    "rate": ({"estimator": "rate", "conditional": KnownGaussian(RHO)}, X, Y),
    "learned club": ({"estimator": "club"}, X, Y),
    "gaussian": ({"estimator": "gaussian"}, X, Y),
    "ksg": ({"estimator": "ksg"}, X, Y),
    "auto": ({"estimator": "auto"}, X, Y),
    "tnce": ({"estimator": "tnce", "conditional": KnownGaussian(RHO)}, X, Y),
    "labels": ({}, X, SIGNS),
    "labels in X": ({}, SIGNS[:, None], Y),
    "counts": ({}, SIGNS[:, None], (X.ravel() > 0)),
    "mixed": ({}, MIXED, Y),
    "untrained": ({"max_iter": 0}, X, Y),
}


@functools.cache
def fitted(case="default"):
    """Return an estimator that tests share, and leave as it is."""
    params, x, y = SAVED[case]
    return tiny_mi(**params).fit(x, y)


def test_every_kind_of_dependence_is_saved():
    saved = {fitted(case).__getstate__()["_models"]["dependence"] for case in SAVED}
    assert saved == MODELS.keys() - {"constant"}


@pytest.mark.filterwarnings("ignore::skdim.exceptions.ConstantInputWarning")
@pytest.mark.parametrize("estimator", ["infonce", "dime", "gaussian"])
def test_a_constant_side_is_saved(estimator):
    mi = tiny_mi(estimator=estimator).fit(np.zeros((400, 1)), Y)
    loaded = pickle.loads(pickle.dumps(mi))
    assert loaded.__getstate__()["_models"]["dependence"] == "constant"
    assert same(mi, loaded, X, Y)


def same(a, b, x, y):
    """Whether two fitted estimators say the same to the bit."""
    return (
        (a.mi_, a.mi_interval_, a.kind_, a.cap_, a.diagnostics_, a.history_, a.n_iter_, a.device_)
        == (b.mi_, b.mi_interval_, b.kind_, b.cap_, b.diagnostics_, b.history_, b.n_iter_, b.device_)
        and a.score(x, y) == b.score(x, y)
        and a.estimate(x, y) == b.estimate(x, y)
        and (a.pointwise(x, y) == b.pointwise(x, y)).all()
    )


@pytest.mark.parametrize("case", SAVED)
def test_a_loaded_estimator_gives_the_same_bits(case, tmp_path):
    _, x, y = SAVED[case]
    mi = fitted(case)
    before = dict(vars(mi))
    ways = [
        name for name in WAYS if name != "skops" or case != "tnce"
    ]  # skops: a conditional is a further class to trust
    for way in ways if case in ("default", "labels", "mixed") else ("pickle", "joblib mapped"):
        loaded = WAYS[way](mi, tmp_path)
        assert repr(loaded) == repr(mi)
        assert same(mi, loaded, x[:150], y[:150]), way
    assert vars(mi) == before


def state_of(mi):
    """Return all that is saved beside the parameters, flat: names to arrays and JSON values."""
    flat = {}

    def collect(name, value):
        if isinstance(value, dict) and name not in ("diagnostics_",):
            for key, part in value.items():
                collect(f"{name}/{key}", part)
        elif isinstance(value, tuple) and any(isinstance(part, np.ndarray) for part in value):
            for i, part in enumerate(value):
                collect(f"{name}/{i}", part)
        else:
            flat[name] = value

    state = mi.__getstate__()
    for name in state.keys() - mi.get_params().keys() - {"_sklearn_version", "_built_with"}:
        collect(name, state[name])
    return flat


@pytest.mark.parametrize("case", SAVED)
def test_the_state_is_arrays_and_json(case, tmp_path):
    state = state_of(fitted(case))
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    for name, value in arrays.items():
        assert value.dtype.kind in "fiubU", name
    for name in state.keys() - arrays.keys():
        value = state[name]
        if name not in ("mi_interval_", "lower_bound_interval_", "cap_"):  # tuples; infinity
            assert json.loads(json.dumps(value)) == value, name
    np.savez(tmp_path / "state.npz", **{name.replace("/", "."): value for name, value in arrays.items()})
    with np.load(tmp_path / "state.npz", allow_pickle=False) as loaded:
        assert len(loaded.files) == len(arrays)


@pytest.mark.parametrize("case", ["default", "ba", "labels", "flo"])
def test_nothing_of_torch_is_saved(case):
    data = pickle.dumps(fitted(case))
    strings = [argument for _, argument, _ in pickletools.genops(data) if isinstance(argument, str)]
    assert not [string for string in strings if string.split(".")[0] == "torch"]

    class Recording(pickle.Unpickler):
        modules = set()

        def find_class(self, module, name):
            self.modules.add(module.split(".")[0])
            return super().find_class(module, name)

    Recording(io.BytesIO(data)).load()
    assert Recording.modules <= {"skdim", "numpy", "builtins", "copyreg", "_codecs"}


def test_skops_finds_one_untrusted_name(tmp_path):
    skops.io.dump(fitted(), tmp_path / "mi.skops")
    assert skops.io.get_untrusted_types(file=tmp_path / "mi.skops") == ["skdim.information.estimator.MIEstimator"]


def test_a_deep_copy_shares_nothing():
    mi = fitted()
    expected = mi.pointwise(X, Y)
    copied = copy.deepcopy(mi)
    copied.fit(X[:200], Y[:200])
    assert (mi.pointwise(X, Y) == expected).all()


def test_set_params_after_fit_does_not_reach_the_fitted_model():
    mi = copy.deepcopy(fitted())
    expected = mi.pointwise(X, Y)
    mi.set_params(estimator="ba", marginals=None, hidden_layer_sizes=(3,), critic="auto")
    assert (mi.pointwise(X, Y) == expected).all()
    assert (pickle.loads(pickle.dumps(mi)).pointwise(X, Y) == expected).all()


def test_weights_that_do_not_fit_the_network_are_refused():
    state = fitted().__getstate__()
    name = next(name for name in state["_models"] if name.endswith(".weight"))
    with pytest.raises(ValueError, match=name.split("/")[-1]):
        restored(fitted(), _models={key: value for key, value in state["_models"].items() if key != name})


def test_an_unfitted_estimator_is_saved_too():
    loaded = pickle.loads(pickle.dumps(tiny_mi(estimator=Alpha(0.5))))
    assert repr(loaded) == repr(tiny_mi(estimator=Alpha(0.5)))
    loaded.fit(X, Y)


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_a_model_of_another_device_loads_on_the_cpu_with_one_warning(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    mi = fitted()
    with pytest.warns(DeviceWarning, match=device):
        loaded = restored(mi, _models={**mi.__getstate__()["_models"], "device": device}, device_=device)
    assert loaded.device_ == "cpu"
    assert (loaded.pointwise(X, Y) == mi.pointwise(X, Y)).all()


# --------------------------------------------------------------------------------------------------------------- callbacks
def test_epochs_are_tasks():
    recorder = Recorder()
    mi = tiny_mi(max_iter=3, critic="separable", test_fraction=0.05).set_callbacks(recorder).fit(X, Y)  # one split
    epochs = [line for i in range(3) for line in (f"begin epoch {i}", f"end epoch {i}")]
    assert recorder.events == ["setup", "begin fit 0", *epochs, "end fit 0", "teardown"]
    assert mi.n_iter_ == 3
    assert all(np.array_equal(seen[1], X) and np.array_equal(seen[2], Y) for seen in recorder.seen)


def test_epochs_of_all_networks_are_counted_on():
    recorder = Recorder()
    mi = tiny_mi(max_iter=4, n_refits=1).set_callbacks(recorder).fit(*pairs(600, n_dims=2))
    begun = [line for line in recorder.events if line.startswith("begin epoch")]
    assert begun == [f"begin epoch {i}" for i in range(mi.n_iter_)]


def test_callbacks_change_nothing():
    watched, alone = tiny_mi().set_callbacks(Recorder()).fit(X, Y), fitted()
    assert same(watched, alone, X, Y)
    assert set(vars(watched)) - set(vars(alone)) <= {"_skl_callbacks"}


@pytest.mark.parametrize("n", [1, 3])
def test_true_stops_all_training_after_that_epoch(n):
    recorder = Recorder(stop_after=n)
    mi = tiny_mi(max_iter=5, n_refits=2).set_callbacks(recorder).fit(X, Y)
    assert mi.n_iter_ == len(mi.history_) == n
    assert recorder.events[-2:] == ["end fit 0", "teardown"]
    assert mi.mi_ == pytest.approx(TRUTH, abs=0.2)


@pytest.mark.parametrize(
    "case", ["default", "refits", "radial", "tuba", "flo", "ba", "learned club", "labels", "labels in X"]
)
def test_a_monitor_sees_the_network_so_far(case):
    params, x, y = SAVED[case]
    monitor, so_far = monitor_of_scores(), FittedSoFar()
    mi = tiny_mi(**{**params, "max_iter": 3}).set_callbacks(monitor, so_far).fit(x, y)
    scores = [row["score"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(scores) == mi.n_iter_
    assert np.isfinite(scores).all()
    assert len(set(scores)) > 1  # it learns
    for fitted, score in zip(so_far.fitted, scores, strict=True):
        assert fitted.score(x, y) == score
        loaded = pickle.loads(pickle.dumps(fitted))
        assert loaded.score(x, y) == score
        assert (loaded.pointwise(x, y) == fitted.pointwise(x, y)).all()


def test_data_that_need_no_training_have_no_epochs():
    for params, y in [({"estimator": "gaussian"}, Y), ({}, None)]:
        recorder = Recorder()
        tiny_mi(**params).set_callbacks(recorder).fit(*((X, y) if y is not None else (SIGNS[:, None], SIGNS)))
        assert recorder.events == ["setup", "begin fit 0", "end fit 0", "teardown"]


@pytest.mark.parametrize("error", [RuntimeError("a fault of the callback"), KeyboardInterrupt()], ids=repr)
def test_an_error_in_a_callback_leaves_the_estimator_as_before(error):
    mi = copy.deepcopy(fitted())
    before, expected, callback = dict(vars(mi)), mi.pointwise(X, Y), Raises(error)
    with pytest.raises(type(error)):
        mi.set_callbacks(callback).fit(Y, X)
    assert callback.events[-1] == "teardown"
    assert vars(mi.set_callbacks()) == before
    assert (mi.pointwise(X, Y) == expected).all()


def test_teardown_is_called_after_divergence_and_bad_input():
    for params, rows in (({"learning_rate": 1e9}, slice(None)), ({}, slice(1))):
        recorder = Recorder()
        mi = tiny_mi(**params, max_iter=20).set_callbacks(recorder)
        before = dict(vars(mi))
        with pytest.raises(ValueError, match=r"diverged|1 sample"):
            mi.fit(X[rows], Y[rows])
        assert vars(mi) == before
        assert recorder.events[-1:] in ([], ["teardown"])


def test_progress_bar(capsys):
    tiny_mi(max_iter=2).set_callbacks(ProgressBar()).fit(X, Y)
    assert "MIEstimator" in capsys.readouterr().out


def test_verbose_prints_a_line_an_epoch(capsys):
    mi = tiny_mi(max_iter=2, verbose=1).fit(X, Y)
    assert len(capsys.readouterr().out.strip().splitlines()) >= mi.n_iter_


# --------------------------------------------------------------------------------------------------------------- threads
def adamw_while_another_thread_builds(groups, **options):
    """Return an optimizer, after another thread has had the lock under which networks are built."""
    had_it = threading.Event()

    def build():
        with LocalSeed(0):
            had_it.set()

    thread = threading.Thread(target=build, daemon=True)
    thread.start()
    assert had_it.wait(timeout=10), "training holds the lock of the global generator"
    thread.join()
    return torch.optim.AdamW(groups, **options)


@pytest.mark.parametrize("params", [{}, {"estimator": "ba"}, {"discrete_y": True}], ids=str)
def test_other_threads_may_build_networks_while_one_trains(params):
    y = SIGNS if "discrete_y" in params else Y
    assert tiny_mi(optimizer=adamw_while_another_thread_builds, **params).fit(X, y).n_iter_ > 0
