"""Contrastive predictive coding: causality, lengths, every option, what is refused, and the score's meaning."""

import io
import math
import re

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from helpers import FlatEncoder, arrays, held_out, images, relative_difference, same_state, table
from scipy.signal import lfilter
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from torch import nn

from skdim import CPCTransformer
from skdim.bounds import BOUNDS, Alpha, InfoNCE
from skdim.exceptions import OverlapWarning
from skdim.inputs.batches import Rows
from skdim.nn.causal import CONTEXTS, GRU, CausalEncoder, Contexts, MaskedConv, StridedConv, build_causal_encoder
from skdim.nn.encoders import MLP, Conv
from skdim.nn.objectives.predictive import NEGATIVES, Predictive


def waves(n=160, length=24, seed=0):
    """Return noisy sines, each of its own frequency and phase, and of its own level: (n, 2, length)."""
    rng = np.random.default_rng(seed)
    frequency, phase, level = rng.uniform(0.2, 1.2, (n, 1)), rng.uniform(0, 6.3, (n, 1)), rng.normal(size=(n, 1))
    t = np.arange(length)
    wave = np.sin(frequency * t + phase) + 0.1 * rng.normal(size=(n, length))
    walk = level + lfilter([1], [1, -0.9], rng.normal(size=(n, length)))
    return np.stack([wave, 5 * walk + 3], axis=1)


def padded(n=160, length=24, seed=0):
    """Return waves of unequal lengths, with padding that would be noticed, and the lengths."""
    rng = np.random.default_rng(seed + 1)
    X, lengths = waves(n, length, seed), rng.integers(6, length + 1, n)
    for row, own in zip(X, lengths, strict=True):
        row[:, own:] = 1e6
    return X, lengths


def tiny(**params):
    """Return a small transformer of sequences."""
    defaults = {
        "n_components": 8,
        "n_steps": 4,
        "encoder": StridedConv(width=16, stride=2),
        "batch_size": 64,
        "max_iter": 2,
    }
    return CPCTransformer(**{**defaults, "random_state": 0, **params})


def tiny_patches(**params):
    """Return a small transformer of digits, cut into a grid of 3 x 3 patches."""
    return tiny(**{"encoder": MLP((16,)), "patch_size": 4, "n_steps": 2, **params})


def refuses(call, error, *words):
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert re.search(word, str(caught.value)), f"{word!r} is not in: {caught.value}"


X, OTHER = waves(), waves(seed=1)
PADDED, LENGTHS = padded()


@pytest.fixture(scope="module")
def fitted():
    return tiny().fit(X)


@pytest.fixture(scope="module")
def on_padded():
    return tiny().fit(PADDED, lengths=LENGTHS)


# ------------------------------------------------------------------------------------------------------------- causality
@pytest.mark.parametrize(("stride", "overlap"), [(1, 1), (4, 1), (4, 3)])
@pytest.mark.parametrize("context", [*CONTEXTS.values()])
def test_changing_the_future_leaves_earlier_contexts_bit_identical(context, stride, overlap):
    encoder = build_causal_encoder(StridedConv(16, overlap, stride), context(), (2, 24), 8)
    first = torch.randn(5, 2, 24, generator=torch.Generator().manual_seed(0))
    for frame in range(1, 24 // stride):
        second = first.clone()
        second[:, :, frame * stride :] = torch.randn(5, 2, 24 - frame * stride)
        for a, b in zip(encoder(first), encoder(second), strict=True):
            assert (a[:, :frame] == b[:, :frame]).all()
            assert (a[:, frame] != b[:, frame]).any()


def test_frames_without_overlap_share_no_sample():
    network = build_causal_encoder(StridedConv(16, stride=4), GRU(), (2, 24), 8)
    first = torch.zeros(1, 2, 24)
    second = first.clone()
    second[:, :, :8] = 1
    assert (network(first).z[:, 2:] == network(second).z[:, 2:]).all()
    overlapping = build_causal_encoder(StridedConv(16, overlap=2, stride=4), GRU(), (2, 24), 8)
    assert (overlapping(first).z[:, 2] != overlapping(second).z[:, 2]).any()


@pytest.mark.parametrize("context", [*CONTEXTS.values()])
def test_changing_lower_rows_leaves_the_contexts_of_upper_rows_bit_identical(context):
    network = tiny_patches(context=context(), max_iter=0).fit(images()).encoder_
    first = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for row in range(1, 3):  # patches of 4 x 4 at every second row
        second = first.clone()
        second[:, :, 2 * row + 2 :] += 1
        a, b = network(first), network(second)
        assert (a.c[:, :row] == b.c[:, :row]).all()
        assert (a.c[:, row] != b.c[:, row]).any()


def test_the_conv_context_sees_neighbouring_columns_and_the_gru_does_not():
    first = torch.zeros(1, 4, 3, 8)
    second = first.clone()
    second[:, 0, 0] = 1
    for context, sees in ((GRU(), False), (MaskedConv(), True)):
        network = context(8, 8, n_columns=3)
        assert (network(first)[:, :, 1] != network(second)[:, :, 1]).any() == sees


# ------------------------------------------------------------------------------------------------------- unequal lengths
@pytest.mark.parametrize("features", ["last", "mean", "sequence"])
@pytest.mark.parametrize("context", CONTEXTS)
def test_padding_never_reaches_the_features(features, context):
    model = tiny(context=context, features=features, max_iter=1).fit(PADDED, lengths=LENGTHS)
    together = model.transform(PADDED, lengths=LENGTHS)
    again = np.where(np.arange(24) < LENGTHS[:, None, None], PADDED, -7.0)
    assert (model.transform(again, lengths=LENGTHS) == together).all()
    for row in range(0, 40, 5):
        alone = model.transform(PADDED[row : row + 1, :, : LENGTHS[row]])
        np.testing.assert_allclose(alone[0], together[row], rtol=0, atol=1e-6 * np.abs(together).max())


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_padding_never_reaches_training(negatives):
    model = tiny(negatives=negatives).fit(PADDED, lengths=LENGTHS)
    longer = np.pad(PADDED, ((0, 0), (0, 0), (0, 40)), constant_values=-3.0)
    again = tiny(negatives=negatives).fit(longer, lengths=LENGTHS)
    assert same_state(model, again)
    assert model.loss_curve_ == again.loss_curve_
    assert model.score(PADDED, lengths=LENGTHS) == again.score(longer, lengths=LENGTHS)
    assert again.n_features_in_ == 2 * 64
    assert (again.transform(longer, lengths=LENGTHS) == model.transform(PADDED, lengths=LENGTHS)).all()


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_full_lengths_change_nothing(negatives):
    full = np.full(len(X), 24)
    assert same_state(tiny(negatives=negatives).fit(X), tiny(negatives=negatives).fit(X, lengths=full))


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_lengths_that_cut_nothing_off_change_nothing_but_the_order_of_sums(negatives):
    model = tiny(negatives=negatives).fit(X)
    objective, (batch, draws) = model._learner.objective, held_out(model, OTHER)
    rows = Rows(
        len(OTHER), slice(0, len(OTHER)), tuple(batch.shape[1:]), {"lengths": np.full(len(OTHER), batch.shape[2])}
    )
    with torch.no_grad():
        plain, masked = objective.evaluate(batch, draws), objective.evaluate(batch, objective.draw(rows, None))
    for name, value in plain.items():
        assert masked[name].item() == pytest.approx(value.item(), abs=1e-5), name


def test_flat_sequences_with_lengths():
    flat = PADDED[:, 1]
    model = tiny().fit(flat, lengths=LENGTHS)
    stacked = tiny().fit(PADDED[:, 1:], lengths=LENGTHS)
    assert same_state(model, stacked)
    assert (model.transform(flat, lengths=list(LENGTHS)) == stacked.transform(PADDED[:, 1:], lengths=LENGTHS)).all()
    two = tiny(input_shape=(2, 24)).fit(PADDED.reshape(len(PADDED), -1), lengths=LENGTHS)
    assert same_state(two, tiny().fit(PADDED, lengths=pd.Series(LENGTHS)))


def test_stacked_sequences_of_another_length(fitted):
    shorter, longer = waves(30, 10, 2), waves(30, 50, 2)
    assert fitted.transform(shorter).shape == fitted.transform(longer).shape == (30, 8)
    assert math.isfinite(fitted.score(shorter))
    everything = clone(fitted).set_params(features="sequence", max_iter=0).fit(X)
    assert (everything.transform(shorter)[:, 5 * 8 :] == 0).all()
    refuses(lambda: everything.transform(longer), ValueError, "12 frames", "25")
    refuses(lambda: fitted.transform(longer[:, :1]), ValueError, r"\(1, 50\)", r"\(2, 24\)")


def test_lengths_travel_by_metadata_routing():
    y = np.arange(len(PADDED)) % 2
    with sklearn.config_context(enable_metadata_routing=True):
        cpc = tiny(max_iter=1)
        cpc.set_fit_request(lengths=True).set_transform_request(lengths=True).set_score_request(lengths=True)
        pipe = make_pipeline(cpc, LogisticRegression()).fit(PADDED, y, lengths=LENGTHS)
        expected = tiny(max_iter=1).fit(PADDED, lengths=LENGTHS).transform(PADDED, lengths=LENGTHS)
        assert (pipe[:-1].transform(PADDED, lengths=LENGTHS) == expected).all()
        search = GridSearchCV(cpc, {"n_steps": [1, 2]}, cv=2).fit(PADDED, lengths=LENGTHS)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert (tiny(max_iter=1).fit_transform(PADDED, lengths=LENGTHS) == expected).all()


def test_too_short_for_the_longest_step():
    lengths = np.full(len(X), 6)
    lengths[0] = 24  # one sequence alone reaches the later steps
    model = tiny().fit(X, lengths=lengths)
    assert model.n_steps_ == 4
    assert (np.isfinite(model.step_accuracy_) == [True, True, False, False]).all()
    assert math.isfinite(model.score(X, lengths=lengths))


# ------------------------------------------------------------------------------------------------------ options are real
OPTIONS = [
    *[{"context": context} for context in [*CONTEXTS, GRU(n_layers=2), MaskedConv(kernel_size=2, n_layers=2)]],
    *[{"negatives": negatives} for negatives in NEGATIVES],
    *[{"estimator": estimator} for estimator in [*BOUNDS, Alpha(alpha=0.5)] if estimator != "infonce"],
    *[{"features": features} for features in ["mean", "sequence"]],
    {"encoder": "auto"},
    {"encoder": StridedConv(width=8, overlap=2, stride=1)},
    {"n_anchors": 1},
    {"n_anchors": 20},
    {"n_steps": 1},
    {"optimizer": "adam"},
    {"optimizer": "sgd", "learning_rate": 1.0},
    {"early_stopping": True},
]
PATCH_OPTIONS = [
    {},
    {"context": "conv"},
    {"negatives": "sequence"},
    {"negatives": "all"},
    {"encoder": "mlp"},
    {"encoder": FlatEncoder},
    {"patch_overlap": 3, "n_steps": 4},
    {"patch_overlap": (0, 2), "n_steps": 1},
    {"features": "sequence"},
]
QUICK = {"max_iter": 4, "batch_size": 32, "learning_rate": 2e-2}


def identify(option):
    return "-".join(f"{name}={getattr(value, '__name__', value)}" for name, value in option.items()) or "default"


@pytest.mark.parametrize("option", OPTIONS, ids=identify)
def test_every_option_trains(option):
    check_it_trains(tiny(**{**QUICK, **option}), X, OTHER)


@pytest.mark.parametrize("option", PATCH_OPTIONS, ids=identify)
def test_every_option_of_patches_trains(option):
    check_it_trains(tiny_patches(**{**QUICK, **option}), images(160), images(160, start=1000))


def test_larger_patches_by_convolution():
    large = np.kron(images(96), np.ones((4, 4)))
    for encoder in ("conv", Conv(channels=(8,), norm="group")):
        model = tiny(patch_size=(16, 16), encoder=encoder, max_iter=1).fit(large)
        assert np.isfinite(model.loss_curve_).all()
    assert same_state(*(tiny(patch_size=16, encoder=e, max_iter=1).fit(large) for e in ("auto", "conv")))


def check_it_trains(model, train, held_out):
    untrained = clone(model).set_params(max_iter=0).fit(train)
    model.fit(train)
    assert np.isfinite(model.loss_curve_).all()
    if model.negatives == "batch":
        assert model.score(held_out) > untrained.score(held_out) + 0.02
    else:  # told from itself only, a sequence need not be told from others: what is trained is held against itself
        assert objective_on(model, held_out) < objective_on(untrained, held_out) - 0.02
    assert np.isfinite(model.transform(held_out)).all()
    assert model.transform(held_out).shape == (len(held_out), len(model.get_feature_names_out()))


@torch.no_grad()
def objective_on(model, X):
    return model._learner.objective.evaluate(*held_out(model, X))["loss"].item()


def test_strings_and_their_objects_are_the_same():
    for option in ({"context": GRU()}, {"estimator": InfoNCE()}, {"encoder": StridedConv()}):
        name = {"context": "gru", "estimator": "infonce", "encoder": "auto"}[next(iter(option))]
        assert same_state(tiny(**option).fit(X), tiny(**dict.fromkeys(option, name)).fit(X))


@pytest.mark.parametrize("negatives", NEGATIVES)
@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("estimator", BOUNDS)
def test_the_product_of_options_trains_on_unequal_lengths(estimator, context, negatives):
    model = tiny(estimator=estimator, context=context, negatives=negatives, max_iter=1)
    before = arrays(clone(model).set_params(max_iter=0).fit(PADDED[:64], lengths=LENGTHS[:64]))
    after = arrays(model.fit(PADDED[:64], lengths=LENGTHS[:64]))
    assert np.isfinite(list(model.history_[0].values())).all()
    for part in ("encoder.latents", "encoder.context", "W", "log_scale"):
        names = [name for name in after if name.startswith(f"objective/{part}")]
        assert any(not np.array_equal(before[name], after[name]) for name in names), part


# ------------------------------------------------------------------------------------------------- what is learned and said
def test_near_steps_are_predicted_better_than_far_ones():
    # An AR(1) process: its past tells of x_{t+k} with correlation 0.9^k.
    rng = np.random.default_rng(0)
    process = lfilter([1], [1, -0.9], rng.normal(size=(768, 36)))[:, 20:]
    model = tiny(n_components=32, n_steps=8, encoder=StridedConv(32, stride=1), max_iter=12, learning_rate=5e-3)
    accuracy = model.fit(process[:512]).step_accuracy_
    assert accuracy.shape == (8,) == (model.n_steps_,)
    assert accuracy[:2].mean() > 1.4 * accuracy[6:].mean()
    assert (accuracy > 1 / 64).all()
    assert model.history_[-1]["accuracy_1"] == accuracy[0]
    # I(x_{t+k}; x_t) of Gaussians with that correlation.
    truth = np.mean([-0.5 * np.log(1 - 0.81**k) for k in range(1, 9)])
    assert truth / 2 < model.score(process[512:]) < truth


def test_independent_samples_tell_nothing_of_each_other():
    noise = np.random.default_rng(0).normal(size=(600, 20))
    model = tiny(encoder=StridedConv(16, stride=1), max_iter=3).fit(noise[:300])
    assert abs(model.score(noise[300:])) < 0.05


def test_score_is_infonce_at_the_same_offset(fitted):
    network, objective = fitted.encoder_, fitted._learner.objective
    batch = fitted._learner.standardize(OTHER)
    with torch.no_grad():
        z, c = network(batch)
        values = []
        for k in range(1, 5):
            at = [
                objective.log_scale[k - 1].exp() * (c[:, t, 0] @ objective.W[k - 1] @ z[:, t + k, 0].T) / math.sqrt(8)
                for t in range(12 - k)
            ]
            values.append(np.mean([math.log(len(f)) + torch.log_softmax(f, 1).diagonal().mean().item() for f in at]))
    # At most 16 offsets are scored, so all of these, some of them twice.
    assert fitted.score(OTHER) == pytest.approx(np.mean(values), abs=0.02)
    assert fitted.score(OTHER) == fitted.score(OTHER)
    assert fitted.score(np.concatenate([OTHER, OTHER])) < math.log(256)


def test_the_reported_bound_has_negatives_of_the_batch():
    for negatives in NEGATIVES:
        row = tiny(negatives=negatives, max_iter=1).fit(X).history_[0]
        assert (row["prediction"] == -row["loss"]) == (negatives == "batch")
    stopped = tiny(early_stopping=True).fit(X)
    assert stopped.lower_bound_ in [row["valid_prediction"] for row in stopped.history_]
    assert stopped.step_accuracy_[0] in [row["valid_accuracy_1"] for row in stopped.history_]
    untrained = tiny(max_iter=0).fit(X)
    assert untrained.lower_bound_ == -math.inf
    assert np.isnan(untrained.step_accuracy_).all()


@pytest.mark.parametrize(
    ("length", "params", "n_steps"),
    [(24, {}, 4), (6, {}, 2), (4, {}, 1), (6, {"negatives": "sequence"}, 1), (24, {"n_steps": 50}, 11)],
)
def test_n_steps_is_what_the_length_allows(length, params, n_steps):
    assert tiny(**params, max_iter=1).fit(waves(40, length)).n_steps_ == n_steps


def test_n_steps_of_images():
    assert tiny_patches(n_steps=9, max_iter=0).fit(images()).n_steps_ == 2
    assert tiny_patches(patch_size=(4, 8), n_steps=9, max_iter=0).fit(images()).n_steps_ == 2
    assert tiny_patches(negatives="sequence", n_steps=9, max_iter=0).fit(images()).n_steps_ == 2  # columns besides


# ---------------------------------------------------------------------------------------------------------- the first step
@pytest.mark.parametrize(
    ("option", "first"),
    [
        ({"patch_size": 4}, 2),
        ({"patch_size": 4, "patch_overlap": 0, "n_steps": 1}, 1),
        ({"patch_size": 3, "patch_overlap": 2, "n_steps": 3}, 3),
        ({"patch_size": (3, 4), "patch_overlap": (1, 2)}, 2),
    ],
)
def test_the_first_row_of_patches_that_is_predicted_shares_no_pixel(option, first):
    model = tiny_patches(**option, max_iter=0).fit(images())
    assert model.first_step_ == first
    images_of_one = torch.zeros(1, 1, 8, 8)
    for k in range(1, model.encoder_.grid[0]):  # which pixels the patches k rows below the first depend on
        above, below = (np.zeros((8, 8), dtype=bool) for _ in range(2))
        for rows, seen in (([0], above), ([k], below)):
            X = images_of_one.clone().requires_grad_()
            model.encoder_(X).z[:, rows].square().sum().backward()
            seen |= X.grad[0, 0].numpy() != 0
        assert (above & below).any() == (k < first)


@pytest.mark.parametrize(("overlap", "stride"), [(1, 1), (1, 8), (2, 1), (2, 4), (3, 2)])
def test_the_first_frame_that_is_predicted_shares_no_sample(overlap, stride):
    length = 80
    model = tiny(encoder=StridedConv(16, overlap, stride), n_steps=20, max_iter=0).fit(waves(20, length))
    X = torch.randn(1, 2, length, generator=torch.Generator().manual_seed(0), requires_grad=True)
    z, seen = model.encoder_(X).z, []
    for t in (-model.first_step_ - 1, -model.first_step_, -1):  # the last frame, and two that come so many before it
        (gradient,) = torch.autograd.grad(z[:, t].square().sum(), X, retain_graph=True)
        seen.append(gradient.abs().sum((0, 1)) != 0)
    assert not (seen[0] & seen[2]).any()
    assert model.first_step_ == 1 or (seen[1] & seen[2]).any()


def test_a_first_step_of_the_user_s():
    model = tiny(first_step=2).fit(X)
    assert (model.first_step_, model.n_steps_) == (2, 4)
    assert (np.isfinite(model.step_accuracy_) == [False, True, True, True]).all()
    with pytest.warns(OverlapWarning, match=r"first_step=1 predicts .*'auto', which is 2 here"):
        assert tiny_patches(first_step=1).fit(images()).first_step_ == 1
    refuses(lambda: tiny_patches(n_steps=1).fit(images()), ValueError, "n_steps=1 ends before the first step, 2")
    refuses(
        lambda: tiny_patches(patch_size=6).fit(images()),
        ValueError,
        "1 row",
        "at least 3 .* 2 ahead",
        "smaller patch_size",
    )
    refuses(lambda: tiny(first_step=0).fit(X), ValueError, "first_step")


@pytest.mark.parametrize(
    ("shape", "options"), [((40,), {}), ((12, 12), {"patch_size": 4}), ((12, 12), {"patch_size": 4, "context": "conv"})]
)
def test_white_noise_tells_nothing_of_what_comes_later(shape, options):
    noise = np.random.default_rng(0).normal(size=(2304, *shape))
    model = CPCTransformer(max_iter=2, random_state=0, **options).fit(noise[:2048])
    with torch.no_grad():
        of_steps = model._learner.objective.information(*held_out(model, noise[2048:]))
    assert len(of_steps) == model.n_steps_ - model.first_step_ + 1
    assert of_steps.abs().max() < 0.05
    assert abs(model.score(noise[2048:])) < 0.05


# ------------------------------------------------------------------------------------------------------------- contracts
def test_a_saved_model_is_the_same_to_the_bit(on_padded):
    file = io.BytesIO()
    joblib.dump(on_padded, file)
    file.seek(0)
    loaded = joblib.load(file)
    assert same_state(loaded, on_padded)
    assert (loaded.transform(PADDED, lengths=LENGTHS) == on_padded.transform(PADDED, lengths=LENGTHS)).all()
    assert loaded.score(PADDED, lengths=LENGTHS) == on_padded.score(PADDED, lengths=LENGTHS)
    assert (loaded.step_accuracy_ == on_padded.step_accuracy_).all()


def test_continuing_after_a_load_equals_never_having_saved():
    model = tiny().partial_fit(PADDED, lengths=LENGTHS)
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    loaded = joblib.load(file).partial_fit(PADDED, lengths=LENGTHS)
    assert same_state(loaded, model.partial_fit(PADDED, lengths=LENGTHS))
    assert loaded.n_iter_ == 2
    shorter = waves(40, 12)
    assert np.isfinite(loaded.partial_fit(shorter, lengths=np.full(40, 12)).loss_curve_).all()


def test_warm_start_goes_on():
    model = tiny(warm_start=True).fit(X)
    assert model.fit(X).n_iter_ == 4
    refuses(lambda: model.set_params(n_steps=2).fit(X), ValueError, "n_steps.*changed")
    model.set_params(warm_start=False).fit(X[:, :, :7])  # a new network, for other lengths
    assert model.n_steps_ == 2


def test_two_fits_are_the_same_and_the_global_generator_is_untouched():
    state = torch.random.get_rng_state()
    assert same_state(tiny().fit(X), tiny().fit(X))
    assert (torch.random.get_rng_state() == state).all()
    assert not same_state(tiny().fit(X), tiny(random_state=1).fit(X))


def test_frames_and_names():
    frame = pd.DataFrame(table(40), columns=list("abcdef"))
    model = tiny(encoder="auto", max_iter=1).fit(frame).set_output(transform="pandas")
    assert list(model.feature_names_in_) == list("abcdef")
    assert list(model.transform(frame).columns) == [f"cpctransformer{i}" for i in range(8)]
    assert model.fit_transform(frame).shape == (40, 8)
    assert model.set_params(features="sequence").transform(frame).shape == (40, 6 * 8)


def test_rows_do_not_depend_on_each_other(fitted):
    together = fitted.transform(OTHER)
    assert relative_difference(together[100:103], fitted.transform(OTHER[100:103])) < 1e-6
    assert relative_difference(together[::-1], fitted.transform(OTHER[::-1])) < 1e-6


def test_units_do_not_matter():
    bytes_ = (images(96) * 15).astype(np.uint8)
    model = tiny_patches().fit(bytes_)
    assert (
        relative_difference(model.transform(bytes_), tiny_patches().fit(bytes_ / 255.0).transform(bytes_ / 255.0))
        < 1e-5
    )


def test_the_encoder_is_a_copy(fitted):
    network = fitted.encoder_
    assert isinstance(network, CausalEncoder)
    assert (network.stride, network.grid) == (2, (12, 1))
    assert isinstance(network(torch.zeros(1, 2, 24)), Contexts)
    before = fitted.transform(OTHER)
    nn.init.zeros_(network.latents.latent.weight)
    assert (fitted.transform(OTHER) == before).all()


# ------------------------------------------------------------------------------------------------------------ refusals


def test_flat_images_need_a_shape():
    flat = images().reshape(len(images()), -1)
    refuses(lambda: tiny_patches().fit(flat), ValueError, "input_shape=None", "64 feature")
    model = tiny_patches(input_shape=(8, 8)).fit(flat)
    assert same_state(model, tiny_patches().fit(images()))
    assert (model.transform(images()) == model.transform(flat)).all()
    colours = tiny_patches(max_iter=1).fit(images(channels=3))
    assert colours.transform(images(channels=3)).shape == (120, 8)


def test_module_instances_and_local_functions():
    refuses(lambda: tiny_patches(encoder=nn.Linear(2, 2)).fit(images()), TypeError, "instance of Linear")
    network = build_causal_encoder(StridedConv(8, stride=1), GRU(), (1, 6), 4)
    assert Predictive(network, InfoNCE(), 4, n_steps=2).W.shape == (2, 4, 4)
    refuses(lambda: build_causal_encoder(MLP(), GRU(), (1, 6), 4), TypeError, "StridedConv", "MLP")
