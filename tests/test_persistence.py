"""Contract 4: the state is flat arrays under names; every way of saving gives the same bits back."""

import copy
import functools
import io
import json
import pickle
import pickletools
import subprocess
import sys
import warnings
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import pytest
import skops.io
import torch
from helpers import FlatEncoder, arrays, images, noise, restored, same_state, table, tiny, tiny_mi, tiny_table
from sklearn.base import clone
from torch import nn

import skdim
from skdim import (
    PAPER,
    CPCTransformer,
    DeepInfoMaxTransformer,
    MIEstimator,
    MRMRSelector,
    MultiViewInfoMaxTransformer,
)
from skdim.bounds import Alpha
from skdim.exceptions import DeviceWarning, PersistenceWarning
from skdim.nn.critics import Separable
from skdim.nn.pretrained import Pretrained
from skdim.training.state import STATE_VERSION

X = images(96)


def through_pickle(estimator, path):
    return pickle.loads(pickle.dumps(estimator))


def through_old_pickle(estimator, path):
    return pickle.loads(pickle.dumps(estimator, protocol=2))


def through_joblib(estimator, path, **options):
    joblib.dump(estimator, path / "dim.joblib", compress=options.pop("compress", 0))
    return joblib.load(path / "dim.joblib", **options)


def through_skops(estimator, path):
    skops.io.dump(estimator, path / "dim.skops")
    return skops.io.load(path / "dim.skops", trusted=skops.io.get_untrusted_types(file=path / "dim.skops"))


WAYS = {
    "pickle": through_pickle,
    "pickle protocol 2": through_old_pickle,
    "cloudpickle": lambda estimator, path: cloudpickle.loads(cloudpickle.dumps(estimator)),
    "deepcopy": lambda estimator, path: copy.deepcopy(estimator),
    "joblib": through_joblib,
    "joblib compressed": functools.partial(through_joblib, compress=3),
    "joblib mapped": functools.partial(through_joblib, mmap_mode="r"),
    "skops": through_skops,
}
MODELS = {
    "images": (tiny(), X),
    "table": (tiny_table(), table(96)),
    "configured": (
        tiny(estimator=Alpha(0.5), critic=("inner", Separable(width=16)), prior_weight=0.5, global_weight=1),
        X,
    ),
    "user's encoder": (tiny(encoder=FlatEncoder, augment=noise), X),
    "pretrained": (
        tiny(encoder=Pretrained(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3)), freeze="1")),
        X,
    ),
    "module as augmentation": (tiny(augment=nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.2))), X),
    "sequence": (tiny(encoder="conv1d"), X),
    "untrained": (tiny(max_iter=0), X),
    "features": (tiny(features="local"), X),
}


@functools.cache
def fitted_model(name):
    estimator, data = MODELS[name]
    return clone(estimator).fit(data), data


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("model", MODELS)
def test_a_loaded_model_gives_the_same_bits(model, way, tmp_path):
    fitted, data = fitted_model(model)
    loaded = WAYS[way](fitted, tmp_path)
    assert type(loaded) is DeepInfoMaxTransformer
    assert repr(loaded) == repr(fitted)
    assert (loaded.transform(data) == fitted.transform(data)).all()
    assert loaded.score(data) == fitted.score(data)
    for name in ("lower_bound_", "loss_curve_", "history_", "n_iter_", "n_features_in_", "input_shape_", "device_"):
        assert getattr(loaded, name) == getattr(fitted, name)
    assert same_state(loaded, fitted)


@functools.cache
def after_epochs(n, optimizer):
    """Return an estimator after n calls of partial_fit, which tests share."""
    estimator = tiny(optimizer=optimizer, prior_weight=0.5, estimator="dv")
    for _ in range(n):
        estimator.partial_fit(X)
    return estimator


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_continuing_after_a_load_equals_never_having_saved(way, optimizer, tmp_path):
    never, saved = after_epochs(3, optimizer), WAYS[way](after_epochs(1, optimizer), tmp_path)
    saved.partial_fit(X).partial_fit(X)
    assert same_state(never, saved)
    assert (never.transform(X) == saved.transform(X)).all()
    assert never.history_ == saved.history_
    assert never.n_iter_ == saved.n_iter_ == 3


@functools.cache
def after_fits(n):
    """Return an estimator after n calls of fit, each of which goes on from the one before, which tests share."""
    estimator = tiny(warm_start=True, prior_weight=0.5, early_stopping=True)
    for _ in range(n):
        estimator.fit(X)
    return estimator


@pytest.mark.parametrize("way", WAYS)
def test_warm_start_after_a_load_equals_never_having_saved(way, tmp_path):
    never, saved = after_fits(2), WAYS[way](after_fits(1), tmp_path)
    assert same_state(never, saved.fit(X))
    assert never.history_ == saved.history_


OPTIMIZERS = [
    torch.optim.Adagrad,
    torch.optim.Adamax,
    torch.optim.NAdam,
    torch.optim.RAdam,
    torch.optim.RMSprop,
    torch.optim.ASGD,
    torch.optim.Rprop,
    torch.optim.Adafactor,
    functools.partial(torch.optim.Adam, amsgrad=True),
    functools.partial(torch.optim.SGD, momentum=0.0),
]


def moments(estimator):
    """Return the optimizer's state in memory, by parameter and key."""
    learner = estimator._learner
    return {
        (name, key): torch.as_tensor(value)
        for name, parameter in learner.objective.named_parameters()
        for key, value in learner.optimizer.state[parameter].items()
        if value is not None
    }


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: getattr(o, "__name__", str(o)[:45]))
def test_every_kind_of_optimizer_state_is_kept(optimizer):
    # Two epochs of partial_fit with a save between equal the optimizer going on in memory.
    estimator = tiny(optimizer=optimizer, learning_rate=1e-3).partial_fit(X)
    loaded = pickle.loads(pickle.dumps(estimator))
    kept, back = moments(estimator), moments(loaded)
    assert kept.keys() == back.keys()
    assert len(kept) > 0 or isinstance(optimizer, functools.partial)  # plain SGD has no moments
    for name, value in kept.items():
        assert value.dtype == back[name].dtype
        assert torch.equal(value, back[name])
    assert same_state(estimator.partial_fit(X), loaded.partial_fit(X))


# ------------------------------------------------------------------------------------------------------ what the state is
@pytest.mark.parametrize("continued", [False, True])
def test_the_state_is_flat_arrays_and_json(continued):
    fitted = tiny(prior_weight=0.5)
    fitted = fitted.partial_fit(X) if continued else fitted.fit(X)
    state = arrays(fitted)
    for name, value in state.items():
        if isinstance(value, np.ndarray):
            assert value.dtype.kind in "fiu"
            assert value.flags.owndata
        else:
            assert json.loads(json.dumps(value)) == value, name
    parameters = dict(fitted._learner.objective.named_parameters())
    for name, parameter in parameters.items():
        assert state[f"objective/{name}"].shape == tuple(parameter.shape)
        np.testing.assert_array_equal(state[f"objective/{name}"], parameter.detach().numpy())
    moments = [name for name in state if name.startswith("optimizer/")]
    assert ("generator" in state) == bool(moments) == continued
    assert any(name.startswith("objective/adversary") for name in state) == continued


def test_the_state_can_be_read_without_this_package(tmp_path):
    fitted = tiny().partial_fit(X)
    np.savez(tmp_path / "state.npz", **arrays(fitted))
    code = f"""
import numpy, sys
state = numpy.load({str(tmp_path / "state.npz")!r}, allow_pickle=False)
assert state["objective/encoder.code.weight"].shape == (8, 256)
assert state["objective/encoder.code.weight"].dtype == numpy.float32
assert not {{"torch", "skdim", "sklearn"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("continued", [False, True])
@pytest.mark.parametrize("protocol", [2, 5])
def test_no_torch_object_is_in_the_pickle(continued, protocol):
    fitted = tiny(prior_weight=0.5, random_state=np.random.RandomState(0), encoder="conv")
    fitted = fitted.partial_fit(X) if continued else fitted.fit(X)
    data = pickle.dumps(fitted, protocol=protocol)
    strings = [argument for _, argument, _ in pickletools.genops(data) if isinstance(argument, str)]
    assert strings
    assert not [string for string in strings if string.split(".")[0] == "torch"]

    class Recorder(pickle.Unpickler):
        modules = set()

        def find_class(self, module, name):
            self.modules.add(module.split(".")[0])
            return super().find_class(module, name)

    Recorder(io.BytesIO(data)).load()
    assert Recorder.modules <= {"skdim", "numpy", "builtins", "copyreg", "_codecs"}


def test_skops_finds_one_untrusted_name(tmp_path):
    skops.io.dump(tiny(encoder="auto").fit(X), tmp_path / "dim.skops")
    assert skops.io.get_untrusted_types(file=tmp_path / "dim.skops") == ["skdim.deep_infomax.DeepInfoMaxTransformer"]
    skops.io.dump(
        tiny(encoder="auto", warm_start=True, prior="uniform", prior_weight=0.5).fit(X), tmp_path / "dim.skops"
    )
    assert skops.io.get_untrusted_types(file=tmp_path / "dim.skops") == ["skdim.deep_infomax.DeepInfoMaxTransformer"]
    with pytest.raises(Exception, match=r"[Uu]ntrusted"):
        skops.io.load(tmp_path / "dim.skops")


def test_mapped_files_are_only_read(tmp_path):
    fitted = tiny(warm_start=True).fit(X)
    joblib.dump(fitted, tmp_path / "dim.joblib")
    before = (tmp_path / "dim.joblib").read_bytes()
    loaded = joblib.load(tmp_path / "dim.joblib", mmap_mode="r")
    loaded.fit(X)
    assert (tmp_path / "dim.joblib").read_bytes() == before


def test_saving_changes_nothing():
    fitted = tiny(warm_start=True).fit(X)
    before, state = dict(vars(fitted)), arrays(fitted)
    state["objective/encoder.code.weight"][:] = 0  # what was handed out is a copy
    pickle.dumps(fitted)
    assert vars(fitted) == before
    assert arrays(fitted)["objective/encoder.code.weight"].any()


def test_a_deep_copy_shares_nothing():
    fitted = tiny().fit(X)
    expected = fitted.transform(X)
    copied = copy.deepcopy(fitted)
    copied.partial_fit(X)
    assert (fitted.transform(X) == expected).all()
    assert (copied.transform(X) != expected).any()


def test_an_unfitted_estimator_is_saved_too(tmp_path):
    for load in WAYS.values():
        loaded = load(tiny(encoder="conv"), tmp_path)
        assert repr(loaded) == repr(tiny(encoder="conv"))
        loaded.fit(X)


def test_a_model_with_the_paper_s_settings_is_saved():
    dim = DeepInfoMaxTransformer(**{**PAPER["DIM(L)"], "max_iter": 0}).fit(np.resize(images(4), (4, 28, 28)))
    loaded = pickle.loads(pickle.dumps(dim))
    assert same_state(dim, loaded)


def test_another_process_loads_it(tmp_path):
    fitted, pair = tiny(encoder="conv").fit(X), (table(400), table(400, 2, seed=1))
    mi = tiny_mi().fit(*pair)
    joblib.dump((fitted, mi), tmp_path / "both.joblib")
    np.savez(tmp_path / "data.npz", X=X, x=pair[0], y=pair[1])
    code = f"""
import joblib, numpy, torch
torch.set_num_threads({torch.get_num_threads()})
dim, mi = joblib.load({str(tmp_path / "both.joblib")!r})
data = numpy.load({str(tmp_path / "data.npz")!r})
answers = dict(features=dim.transform(data["X"]), pointwise=mi.pointwise(data["x"], data["y"]))
numpy.savez({str(tmp_path / "answers.npz")!r}, **answers)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=Path(__file__).parent.parent)
    answers = np.load(tmp_path / "answers.npz")
    assert (answers["features"] == fitted.transform(X)).all()
    assert (answers["pointwise"] == mi.pointwise(*pair)).all()


SEALED = {
    "images": lambda: tiny().fit(X),
    "continued": lambda: tiny(critic=Separable(width=4)).partial_fit(X),
    "views": lambda: MultiViewInfoMaxTransformer(4, max_iter=1, batch_size=64, random_state=0).fit(X),
    "sequences": lambda: CPCTransformer(4, max_iter=1, random_state=0).fit(np.cumsum(table(64, 20), axis=1)),
    "information": lambda: tiny_mi().fit(table(200), table(200, 2, seed=1)),
    "information of labels": lambda: tiny_mi().fit(table(200), table(200, 1, seed=1) > 0),
    "information given Z": lambda: MIEstimator(estimator="gaussian", random_state=0).fit(
        table(200), table(200, 1, seed=1), table(200, 2, seed=2)
    ),
    "selection": lambda: MRMRSelector(2).fit(table(200), table(200, 1, seed=1).ravel()),
}


@functools.cache
def sealed_model(name):
    return SEALED[name]()


def load_state(estimator, state):
    type(estimator).__new__(type(estimator)).__setstate__(state)


def holders(value):
    """Yield every container in a state, and the key of each of its parts."""
    if isinstance(value, dict | list | tuple):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            if not isinstance(value, tuple):
                yield value, key
            yield from holders(part)


def damaged(value):
    """Return a value that differs in one bit, or another value of its type."""
    if isinstance(value, np.ndarray) and value.size:
        found = np.ascontiguousarray(value).copy()
        found.reshape(-1).view(np.uint8)[-1] ^= 1
        return found.reshape(value.shape)
    return -1 - value if isinstance(value, int | float) else "other"


@pytest.mark.parametrize("name", SEALED)
def test_every_change_to_a_state_is_refused(name):
    fitted = sealed_model(name)
    state = fitted.__getstate__()
    load_state(fitted, state)
    for holder, key in list(holders(state)):
        whole = holder[key]
        changes = [damaged(whole), None if whole is not None else 1, [whole], np.zeros(3)]
        if isinstance(whole, np.ndarray):
            changes += [whole.astype(object), whole[None]]
        for change in changes:
            holder[key] = change
            with pytest.raises(ValueError, match="damaged"):
                load_state(fitted, state)
        holder[key] = whole
        if isinstance(holder, dict):
            rest = dict(holder)
            del holder[key]
            with pytest.raises(ValueError, match="damaged"):
                load_state(fitted, state)
            holder.clear()
            holder.update(rest)
    load_state(fitted, state)


@pytest.mark.parametrize("name", SEALED)
def test_a_state_is_handed_out_as_a_copy(name):
    fitted = sealed_model(name)
    state, expected = fitted.__getstate__(), fitted.__getstate__()["_saved"]
    assert state["_saved"] == expected
    for holder, key in list(holders(state)):
        if isinstance(holder[key], np.ndarray):
            holder[key][...] = np.zeros((), holder[key].dtype)
    for holder, _ in list(holders(state)):
        holder.clear()
    assert fitted.__getstate__()["_saved"] == expected


@pytest.mark.parametrize("version", ["x", 0, -1, 1, None, True, 2.0, [2]])
def test_what_is_no_version_is_refused(version):
    state = sealed_model("images").__getstate__()
    state["_saved"]["version"] = version
    with pytest.raises(ValueError, match=r"damaged.*Load another copy of the file, or fit anew\."):
        load_state(sealed_model("images"), state)


def test_a_later_version_is_refused():
    state = sealed_model("images").__getstate__()
    state["_saved"]["version"] = STATE_VERSION + 1
    with pytest.raises(ValueError, match=f"version {STATE_VERSION + 1}.*reads up to {STATE_VERSION}.*update"):
        load_state(sealed_model("images"), state)


@pytest.mark.parametrize("state", [{}, {"_saved": {}}, {"_saved": None}, None, [], 3], ids=str)
def test_what_is_no_state_is_refused(state):
    with pytest.raises(ValueError, match="damaged"):
        load_state(sealed_model("images"), state)


def test_the_state_says_what_wrote_it():
    saved = sealed_model("images").__getstate__()["_saved"]
    written_by = {"version": STATE_VERSION, "skdim_version": skdim.__version__, "torch_version": torch.__version__}
    assert saved == {**written_by, "digest": saved["digest"]}


def test_weights_that_do_not_fit_the_network_are_refused():
    fitted = tiny().fit(X)
    state = arrays(fitted)
    del state["objective/encoder.code.bias"]
    with pytest.raises(ValueError, match=r"encoder\.code\.bias"):  # as of an encoder that is another one by now
        restored(fitted, _learner=state)


def test_loading_leaves_the_global_generator_alone():
    data = pickle.dumps(tiny().partial_fit(X))
    before = torch.get_rng_state()
    loaded = pickle.loads(data)
    loaded.transform(X)
    assert torch.equal(torch.get_rng_state(), before)


# --------------------------------------------------------------------------------------------------------------- devices
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
@pytest.mark.parametrize("continued", [False, True])
def test_a_model_of_another_device_loads_on_the_cpu_with_one_warning(device, continued, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    fitted = tiny(warm_start=continued).fit(X)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = restored(fitted, _learner={**arrays(fitted), "device": device}, device_=device)
    assert [warning.category for warning in caught] == [DeviceWarning]
    assert device in str(caught[0].message)
    assert "CPU" in str(caught[0].message)
    assert loaded.device_ == "cpu"
    assert (loaded.transform(X) == fitted.transform(X)).all()
    assert loaded.score(X) == fitted.score(X)
    assert same_state(pickle.loads(pickle.dumps(loaded)), fitted)  # and no warning again
    assert same_state(loaded.partial_fit(X), fitted.partial_fit(X))


# ----------------------------------------------------------------------------------------------- what pickle cannot save
def local_encoder():
    class Local(FlatEncoder):
        pass

    return Local


UNPICKLABLE = {
    "encoder lambda": {"encoder": lambda shape, width: FlatEncoder(shape, width)},
    "encoder local class": {"encoder": local_encoder()},
    "encoder partial of a lambda": {"encoder": functools.partial(lambda shape, width: FlatEncoder(shape, width))},
    "critic lambda": {"critic": lambda x, y: Separable()(x, y)},
    "critic pair with a lambda": {"critic": ("inner", lambda x, y: Separable()(x, y))},
    "augment lambda": {"augment": lambda X, generator: noise(X, generator)},
    "optimizer lambda": {"optimizer": lambda groups, lr: torch.optim.Adam(groups, lr=lr)},
}


@pytest.mark.parametrize("case", UNPICKLABLE)
def test_what_pickle_cannot_save_warns_before_training(case):
    (name, _), *_ = UNPICKLABLE[case].items()
    estimator = tiny(**UNPICKLABLE[case])
    # Warnings are errors in the tests.
    with pytest.raises(PersistenceWarning, match=rf"(?s){name}.*top level of a module"):
        estimator.fit(X)
    assert not hasattr(estimator, "n_iter_")  # it warned before training
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(X)
    assert [warning.category for warning in caught] == [PersistenceWarning]
    assert caught[0].filename == __file__
    assert np.isfinite(estimator.transform(X)).all()
    with pytest.raises(Exception, match=r"pickle|lambda|local"):
        pickle.dumps(estimator)


def test_what_pickle_can_save_does_not_warn():
    for params in (
        {"encoder": FlatEncoder, "augment": noise},
        {"encoder": functools.partial(FlatEncoder), "critic": functools.partial(Separable(width=16))},
        {"optimizer": functools.partial(torch.optim.Adam, betas=(0.5, 0.9))},
    ):
        pickle.dumps(tiny(**params).fit(X))
