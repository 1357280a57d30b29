"""One step: recorded on memory of its own and replayed it is the same step, to the bit; compiled it is the same function."""

import gc
import pickle
import random
import shutil
import warnings
import weakref
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from helpers import images, same_state, table, tiny, tiny_table
from torch import nn

from skdim import CPCTransformer, MIEstimator, MultiViewInfoMaxTransformer
from skdim.exceptions import DeviceWarning
from skdim.inputs import batches, samples
from skdim.nn.encoders import Conv1d
from skdim.training import trainer as module
from skdim.training.step import WARM_UP, CudaRecorder, HostReads, RecordedStep, Step, can_be_recorded

needs_compiler = pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")
RNG = np.random.default_rng(0)
SEQUENCES = RNG.normal(size=(46, 2, 32))
PAIRS = (X := RNG.normal(size=(300, 3))), np.sin(2 * X) + 0.3 * RNG.normal(size=(300, 3))


class Rerun:
    """Repeats a call by calling it again: what a CUDA graph does, without CUDA."""

    def __init__(self):
        self.replays = 0

    def warming_up(self):
        return nullcontext()

    def record(self, run):
        values = {}

        def replay():
            self.replays += 1
            for name, value in run().items():
                values.setdefault(name, torch.empty_like(value)).copy_(value)

        return replay, values


def recorded(fit, monkeypatch):
    """Return what a fit gives whose steps are recorded, and how many steps were replayed."""
    recorders = []

    def make_step(net):
        recorders.append(Rerun())
        return RecordedStep(Step(net.module_, net.trainer.optimizer), recorders[-1])

    with monkeypatch.context() as patch:
        patch.setattr(module, "make_step", make_step)
        return fit(), sum(recorder.replays for recorder in recorders)


def jitter(X, generator):
    return X + torch.randn(X.shape, generator=generator).to(X.device)


FITS = {
    "conv": lambda: tiny(max_iter=8).fit(images(47)),
    "mlp": lambda: tiny_table(max_iter=8).fit(table(47)),
    "prior": lambda: tiny_table(max_iter=8, prior_weight=0.5).fit(table(47)),
    "locations": lambda: tiny(max_iter=8, n_locations=2, global_weight=0.5).fit(images(47)),
    "conv1d": lambda: tiny(max_iter=8, encoder=Conv1d(channels=(4, 8))).fit(SEQUENCES),
    "a user's augmentation": lambda: tiny_table(max_iter=8, augment=jitter).fit(table(47)),
    "early stopping": lambda: tiny_table(max_iter=8, early_stopping=True, validation_fraction=0.3).fit(table(47)),
    "views": lambda: MultiViewInfoMaxTransformer(4, views="halves", batch_size=16, max_iter=8, random_state=0).fit(
        table(47)
    ),
    "cpc": lambda: CPCTransformer(4, n_steps=2, batch_size=16, max_iter=8, random_state=0).fit(SEQUENCES),
    "information": lambda: MIEstimator(
        estimator="infonce", batch_size=64, max_iter=4, n_refits=0, test_fraction=0.5, random_state=0
    ).fit(*PAIRS),
}


@pytest.mark.parametrize("name", FITS)
def test_a_replayed_step_is_the_step_itself(name, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeviceWarning)
        replayed, n_replays = recorded(FITS[name], monkeypatch)
    assert n_replays > 0
    eager = FITS[name]()
    if name == "information":
        np.testing.assert_array_equal(replayed.pointwise(*PAIRS), eager.pointwise(*PAIRS))
    else:
        assert same_state(eager, replayed)
        np.testing.assert_allclose(replayed.loss_curve_, eager.loss_curve_, rtol=1e-6)


def test_steps_of_more_structures_than_are_recorded_run_as_they_are(monkeypatch):
    lengths = RNG.integers(8, 33, 46)

    def fit():
        return CPCTransformer(4, n_steps=2, batch_size=4, max_iter=2, random_state=0).fit(SEQUENCES, lengths=lengths)

    replayed, n_replays = recorded(fit, monkeypatch)
    assert n_replays == 0
    assert same_state(replayed, fit())


class Reading(nn.Module):
    """Reads a value on the host, as a recorded step must not."""

    def __init__(self, input_shape, n_components):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(*input_shape, 8), nn.ReLU(), nn.Linear(8, n_components))

    def forward(self, X):
        return self.layers(X) * (1.0 if X.sum().item() > 0 else 1.1)


class Deciding(Reading):
    """Draws from Python's random numbers, which a recorded step would not draw again."""

    def forward(self, X):
        return self.layers(X) * random.random()


class Masking(Reading):
    """Takes the rows of a mask."""

    def forward(self, X):
        return self.layers(X) + X[X[:, 0] > 100].sum()


@pytest.mark.parametrize("encoder", [Reading, Masking])
def test_a_network_that_reads_on_the_host_runs_eagerly_and_says_where(encoder, monkeypatch):
    def fit():
        return tiny_table(encoder=encoder, hidden_layer_sizes="auto", max_iter=8).fit(table(47))

    with pytest.warns(DeviceWarning, match=r"not recorded.* on the host, at .*test_recorded_step\.py:\d+") as caught:
        replayed, n_replays = recorded(fit, monkeypatch)
    assert len(caught) == 1
    assert n_replays == 0
    assert same_state(replayed, fit())


def test_a_network_that_draws_on_the_host_runs_eagerly_too(monkeypatch):
    state = random.getstate()
    with pytest.warns(DeviceWarning, match="not recorded.* Python's or NumPy's random numbers"):
        _, n_replays = recorded(
            lambda: tiny_table(encoder=Deciding, hidden_layer_sizes="auto", max_iter=8).fit(table(47)), monkeypatch
        )
    random.setstate(state)
    assert n_replays == 0


def test_a_finished_fit_leaves_no_net_behind(monkeypatch):
    alive, original = [], module._Net.__init__

    def init(net, trainer, objective, batches):
        original(net, trainer, objective, batches)
        alive.extend([weakref.ref(batches), weakref.ref(batches.samples)])

    monkeypatch.setattr(module._Net, "__init__", init)
    gc.disable()
    try:
        tiny_table(max_iter=2).fit(table(47))
        assert [reference() for reference in alive] == [None, None]
    finally:
        gc.enable()


def test_a_recording_that_fails_is_named_and_its_step_taken(monkeypatch):
    def fail(recorder, run):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(Rerun, "record", fail)
    with pytest.warns(DeviceWarning, match="not recorded.* operation not permitted"):
        replayed, _ = recorded(FITS["mlp"], monkeypatch)
    assert same_state(replayed, FITS["mlp"]())


def test_a_recorded_step_reads_the_contents_of_its_batch():
    weight = nn.Parameter(torch.zeros(()))

    class Objective(nn.Module):
        def forward(self, X, draws):
            loss = (weight - X.mean()).square() * draws["scale"].mean()
            return loss, {"loss": loss.detach(), "mean": X.mean()}

    step = RecordedStep(Step(Objective(), torch.optim.SGD([weight], lr=0.5)), Rerun())
    kept = []
    for number in range(WARM_UP + 4):
        kept.append(step(torch.full((3,), float(number)), {"scale": torch.ones(2)})["mean"])
        assert weight.item() == number  # one step of size 1 / 2 reaches the minimum
    assert [mean.item() for mean in kept] == list(range(WARM_UP + 4))  # a replay does not write over earlier values


@pytest.mark.parametrize(
    ("draw", "reads"),
    [
        (lambda X: X.sum().item(), True),
        (lambda X: bool((X > 0).any()), True),
        (lambda X: X[X > 0], True),
        (lambda X: X.nonzero(), True),
        (lambda X: torch.rand(3), True),
        (lambda X: X[torch.tensor([0, 1])], False),
        (lambda X: torch.where(X > 0, X, 0.0).sum(), False),
    ],
)
def test_what_reads_or_draws_on_the_host_is_found(draw, reads):
    with HostReads() as found:
        draw(torch.arange(-2.0, 3.0))
    assert bool(found.where) is reads


@pytest.mark.parametrize(
    ("optimizer", "able"),
    [
        (torch.optim.AdamW, True),
        (torch.optim.Adam, True),
        (torch.optim.RMSprop, True),
        (partial(torch.optim.SGD, fused=True), True),
        (torch.optim.SGD, False),  # it reads the rate on the host
        (torch.optim.LBFGS, False),
    ],
)
def test_optimizers_keep_their_rate_on_the_device_if_they_can(optimizer, able):
    parameter = nn.Parameter(torch.zeros(3))
    made = optimizer([parameter], lr=0.5)
    assert can_be_recorded(made) is able
    (group,) = made.param_groups
    assert isinstance(group["lr"], torch.Tensor) is able
    assert float(group["lr"]) == 0.5
    assert group.get("capturable", able) is able


# ------------------------------------------------------------------------------------------------------------- on a GPU
def plain_step(net):
    return Step(net.module_, net.trainer.optimizer)


@pytest.fixture
def graphs(monkeypatch):
    """Count the graphs that are recorded."""
    made, record = [], CudaRecorder.record
    monkeypatch.setattr(CudaRecorder, "record", lambda self, run: made.append(1) or record(self, run))
    return made


@pytest.mark.gpu
@pytest.mark.parametrize("name", FITS)
def test_a_graph_is_the_step_itself(name, graphs, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeviceWarning)
        recorded = FITS[name]()
    assert graphs
    monkeypatch.setattr(module, "make_step", plain_step)
    eager = FITS[name]()
    if name == "information":
        np.testing.assert_allclose(recorded.pointwise(*PAIRS), eager.pointwise(*PAIRS), atol=1e-2)
    else:
        np.testing.assert_allclose(recorded.loss_curve_, eager.loss_curve_, rtol=1e-3, atol=1e-4)


class Dropping(Reading):
    """Draws on the device."""

    def forward(self, X):
        return nn.functional.dropout(self.layers(X), 0.5, self.training)


@pytest.mark.gpu
def test_a_graph_draws_other_numbers_at_each_step_and_those_of_its_seed(graphs, monkeypatch):
    def fit():
        return tiny_table(encoder=Dropping, hidden_layer_sizes="auto", max_iter=8).fit(table(47))

    once, again = fit(), fit()
    assert graphs
    assert same_state(once, again)
    monkeypatch.setattr(module, "make_step", plain_step)
    np.testing.assert_allclose(once.loss_curve_, fit().loss_curve_, rtol=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("encoder", [Reading, Masking])
def test_on_a_gpu_too_a_network_that_reads_on_the_host_runs_eagerly(encoder, graphs):
    with pytest.warns(DeviceWarning, match=r"on the host, at .*test_recorded_step\.py:\d+"):
        tiny_table(encoder=encoder, hidden_layer_sizes="auto", max_iter=8).fit(table(47))
    assert not graphs


@pytest.mark.gpu
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", torch.optim.AdamW, torch.optim.RMSprop])
def test_optimizers_are_recorded_and_follow_the_schedule(optimizer, graphs, monkeypatch):
    def fit():
        return tiny_table(optimizer=optimizer, learning_rate=1e-2, max_iter=10).fit(table(47))

    recorded = fit()
    assert graphs
    monkeypatch.setattr(module, "make_step", plain_step)
    np.testing.assert_allclose(recorded.loss_curve_, fit().loss_curve_, rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
def test_training_goes_on_with_recorded_steps(graphs):
    first = tiny_table(max_iter=6, warm_start=True).fit(table(47))
    loaded = pickle.loads(pickle.dumps(first))
    assert same_state(first.fit(table(47)), loaded.fit(table(47)))
    assert same_state(first.partial_fit(table(47)), loaded.partial_fit(table(47)))
    assert graphs


@pytest.mark.gpu
def test_samples_that_stream_train_as_those_on_the_device(monkeypatch):
    X = images(300)
    resident = tiny(max_iter=3).fit(X)
    monkeypatch.setattr(samples, "RESIDENT_SHARE", 0.0)
    monkeypatch.setitem(batches.NUMBERS_AT_ONCE, "cuda", 3 * 64 * 70)
    streamed = tiny(max_iter=3).fit(X)
    np.testing.assert_allclose(streamed.loss_curve_, resident.loss_curve_, rtol=1e-4)


# ------------------------------------------------------------------------------------------------------- compilation
@needs_compiler
def test_a_compiled_step_is_the_same_function():
    eager, compiled = (
        tiny_table(max_iter=3, compile=compile, prior_weight=0.1).fit(table(47)) for compile in (False, True)
    )
    np.testing.assert_allclose(compiled.loss_curve_, eager.loss_curve_, rtol=1e-4)


@pytest.fixture
def quick_compiler(monkeypatch):
    """Trace only, as torch.compile does before it calls a compiler."""
    original = torch.compile
    monkeypatch.setattr(torch, "compile", lambda *args, **options: original(*args, backend="eager", **options))


def test_batches_of_many_structures_are_compiled_in_part(quick_compiler):
    lengths = RNG.integers(8, 33, 46)
    options = {"n_steps": 2, "batch_size": 4, "max_iter": 2, "random_state": 0}
    with pytest.warns(DeviceWarning, match="compile=True translates batches of 4 structures") as caught:
        compiled = CPCTransformer(4, compile=True, **options).fit(SEQUENCES, lengths=lengths)
    assert len(caught) == 1
    assert same_state(compiled, CPCTransformer(4, **options).fit(SEQUENCES, lengths=lengths))


def test_any_number_of_fits_is_compiled(quick_compiler):
    eager = tiny_table().fit(table(47))
    for _ in range(5):  # each has two sizes; torch translates one function eight times at most
        assert same_state(tiny_table(compile=True).fit(table(47)), eager)


def test_a_module_that_is_no_graph_is_named(quick_compiler):
    with pytest.raises(RuntimeError, match=r"compile=True: .*must be one graph.*compile=False trains"):
        tiny_table(encoder=Reading, hidden_layer_sizes="auto", compile=True).fit(table(47))


def test_a_failed_compilation_says_what_to_do(monkeypatch):
    def fail(X, draws):
        raise torch._dynamo.exc.BackendCompilerFailed(None, RuntimeError("no compiler"), None)

    monkeypatch.setattr(torch, "compile", lambda *args, **kwargs: fail)
    with pytest.raises(RuntimeError, match=r"C\+\+ compiler.*compile=False.*no compiler"):
        tiny_table(compile=True).fit(table(47))
