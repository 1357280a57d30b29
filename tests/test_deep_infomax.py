"""Deep InfoMax itself: every option trains, the score is what it says, the prior is matched, the paper's settings stand."""

import math

import numpy as np
import pytest
import torch
from helpers import (
    LABELS,
    BilinearCritic,
    FlatEncoder,
    MapEncoder,
    arrays,
    bilinear_critic,
    flat_encoder,
    held_out,
    images,
    noise,
    noise_of_the_batch,
    same_state,
    sgd_without_momentum,
    table,
    tiny,
    tiny_table,
)
from scipy.stats import kstest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from skdim import DeepInfoMaxTransformer
from skdim.bounds import BOUNDS, DV, Alpha, InfoNCE
from skdim.inputs.augmentation import ImageAugmentation
from skdim.nn.critics import CRITICS, Bilinear, Concat, Inner, Separable
from skdim.nn.encoders import ENCODERS, MLP, Conv, Conv1d, ResNet
from skdim.nn.objectives import PRIORS, NormalPrior, UniformPrior

TRAIN, HELD_OUT = images(192), images(128, start=1000)


# ------------------------------------------------------------------------------------------------------ options are real
ESTIMATORS = [*BOUNDS, InfoNCE(), DV(momentum=0.5), Alpha(alpha=0.5)]
CRITIC_VALUES = [
    *CRITICS,
    Bilinear(affine=False),
    Separable(width=32, hidden_layer_sizes=(16,)),
    Concat(hidden_layer_sizes=(32,)),
    ("concat", "inner"),
    ["bilinear", Separable(width=16, normalize=True)],
    BilinearCritic,
    bilinear_critic,
]
PRIOR_OBJECTS = [UniformPrior(hidden_layer_sizes=(20,)), NormalPrior(penalty=3.0)]
OPTIONS = [
    *[{"estimator": estimator} for estimator in ESTIMATORS],
    *[{"critic": critic} for critic in CRITIC_VALUES],
    *[{"critic": critic, "global_weight": 1.0} for critic in ["inner", "bilinear", "separable", ("concat", "inner")]],
    *[{"prior": prior, "prior_weight": 0.5} for prior in [*PRIORS, *PRIOR_OBJECTS]],
    *[{"encoder": encoder} for encoder in ["auto", *ENCODERS]],
    *[{"encoder": encoder} for encoder in [MLP((32,)), Conv((8,)), Conv1d((8, 8)), ResNet((8, 8))]],
    *[{"encoder": encoder} for encoder in [FlatEncoder, flat_encoder, MapEncoder]],
    *[{"encoder": name, "hidden_layer_sizes": (24,)} for name in ["conv", "conv1d", "mlp"]],
    {"encoder": ResNet((8, 8), hidden_layer_sizes=(24,))},
    *[{"augment": augment} for augment in ["auto", "auto+flip", None, noise]],
    {"optimizer": "adamw"},
    {"optimizer": "adam"},
    {"optimizer": "sgd", "learning_rate": 0.1},
    {"optimizer": sgd_without_momentum, "learning_rate": 0.3},
    *[{"features": features} for features in ["global", "hidden", "local"]],
    {"code_weight": 0},
    {"code_weight": 2.0},
    {"local_weight": 0, "global_weight": 1},
    {"local_weight": 0, "code_weight": 1},
    {"n_locations": 1},
    {"n_locations": None},
    {"weight_decay": 0.5},
    {"batch_size": 100},
    {"early_stopping": True},
]
#: Enough steps for a small network to learn something.
QUICK = {"max_iter": 16, "batch_size": 48, "learning_rate": 2e-2}
DEFAULTS = tiny(**QUICK).get_params(deep=False)


def is_default(option):
    return all(repr(value) in (repr(DEFAULTS[name]), "InfoNCE()") for name, value in option.items())


def identify(option):
    return "-".join(f"{name}={getattr(value, '__name__', value)}" for name, value in option.items())


@pytest.fixture(scope="module")
def default_features():
    return tiny(**QUICK).fit(TRAIN).transform(HELD_OUT)


@pytest.mark.parametrize("option", OPTIONS, ids=identify)
def test_every_option_trains_and_makes_a_difference(option, default_features):
    settings = {**QUICK, **option}
    untrained = tiny(**{**settings, "max_iter": 0}).fit(TRAIN)
    trained = tiny(**settings).fit(TRAIN)
    assert np.isfinite(trained.loss_curve_).all()
    assert trained.score(HELD_OUT) > untrained.score(HELD_OUT)
    features = trained.transform(HELD_OUT)
    assert np.isfinite(features).all()
    if is_default(option):
        assert (features == default_features).all()
    else:
        assert features.shape != default_features.shape or np.abs(features - default_features).max() > 1e-3


#: Every estimator with every critic, and each of both with every prior.
COMBINATIONS = [
    (estimator, critic, list(PRIORS)[(i + k) % len(PRIORS)])
    for i, estimator in enumerate(BOUNDS)
    for k, critic in enumerate(CRITICS)
]


@pytest.mark.parametrize(("estimator", "critic", "prior"), COMBINATIONS)
def test_combinations_of_estimators_critics_and_priors_train(estimator, critic, prior):
    weights = {"global_weight": 0.5, "local_weight": 1.0, "prior_weight": 0.1}
    options = {"estimator": estimator, "critic": critic, "prior": PRIORS[prior](hidden_layer_sizes=(20,)), **weights}
    trained = tiny(**options, max_iter=2, n_locations=2).fit(TRAIN[:64])
    names = {"epoch", "loss", "global", "local", "code", "prior", "discriminator"}
    assert all(set(row) == names and np.isfinite(list(row.values())).all() for row in trained.history_)
    before = arrays(tiny(**options, max_iter=0).fit(TRAIN[:64]))
    after = arrays(trained)
    moved = [name for name in after if name.startswith("objective/") and not np.array_equal(before[name], after[name])]
    for part in ("encoder", "terms.global.critic", "terms.local.critic", "terms.code.critic"):
        assert any(name.startswith(f"objective/{part}") for name in moved)


def test_names_and_their_default_objects_are_the_same():
    estimators = [("estimator", bound()) for bound in BOUNDS.values()]
    for name, value in [*estimators, ("critic", Concat()), ("critic", Inner())]:
        configured = tiny(**{name: value}).fit(TRAIN[:64])
        text = value.name if name == "estimator" else type(value).__name__.lower()
        assert same_state(configured, tiny(**{name: text}).fit(TRAIN[:64]))
    for name, spec in ENCODERS.items():
        assert same_state(tiny(encoder=name).fit(TRAIN[:64]), tiny(encoder=spec()).fit(TRAIN[:64]))


def test_auto_encoder_and_augmentation():
    assert same_state(tiny(encoder="auto").fit(TRAIN[:64]), tiny(encoder="conv").fit(TRAIN[:64]))
    assert same_state(tiny(encoder="auto").fit(table()), tiny(encoder="mlp").fit(table()))


@pytest.mark.parametrize("prior", PRIORS)
def test_names_and_default_objects_of_priors_are_the_same(prior):
    by_name, configured = (tiny(prior=value, prior_weight=0.5).fit(TRAIN[:64]) for value in (prior, PRIORS[prior]()))
    assert same_state(by_name, configured)


def test_a_pair_of_critics_is_global_then_local():
    state = arrays(tiny(critic=("concat", "bilinear"), global_weight=1.0, code_weight=1.0).fit(TRAIN[:64]))
    assert "objective/terms.global.critic.scores.first_x.weight" in state
    assert "objective/terms.code.critic.scores.first_x.weight" in state
    assert "objective/terms.local.critic.scores.weight" in state


@pytest.mark.parametrize(
    ("weights", "terms"),
    [
        ({}, {"local", "code"}),
        ({"augment": None}, {"local"}),
        ({"global_weight": 1.0}, {"global", "local", "code"}),
        ({"global_weight": 1.0, "local_weight": 0.0}, {"global", "code"}),
        ({"code_weight": 0.0}, {"local"}),
        ({"code_weight": 1.0, "local_weight": 0.0}, {"code"}),
        ({"prior_weight": 1.0}, {"local", "code", "prior", "discriminator"}),
    ],
)
def test_history_names_the_terms_that_have_weight(weights, terms):
    estimator = tiny(**weights).fit(TRAIN[:64])
    assert set(estimator.history_[0]) == {"epoch", "loss", *terms}
    bounds = terms - {"prior", "discriminator"}
    assert estimator.lower_bound_ == pytest.approx(sum(estimator.history_[-1][name] for name in bounds))


def test_prior_alone():
    untrained, trained = (tiny(local_weight=0.0, prior_weight=1.0, max_iter=n).fit(TRAIN) for n in (0, 3))
    assert {"prior", "discriminator"} <= set(trained.history_[0])
    assert np.isfinite(trained.score(HELD_OUT))
    assert (trained.transform(HELD_OUT) != untrained.transform(HELD_OUT)).any()


def test_weights_scale_the_loss():
    one = tiny(augment=None, estimator="jsd", max_iter=1, learning_rate=1e-12).fit(TRAIN[:64])
    three = tiny(augment=None, estimator="jsd", max_iter=1, learning_rate=1e-12, local_weight=3.0).fit(TRAIN[:64])
    assert three.loss_curve_[0] == pytest.approx(3 * one.loss_curve_[0], rel=1e-4)
    assert three.lower_bound_ == pytest.approx(one.lower_bound_, rel=1e-4)


@pytest.mark.parametrize("estimator", BOUNDS)
def test_the_bound_starts_near_zero_and_stays_below_its_cap(estimator):
    dim = tiny(estimator=estimator, augment=None, max_iter=1, learning_rate=1e-9, batch_size=64, critic="inner").fit(
        TRAIN
    )
    assert abs(dim.lower_bound_) < 0.3
    trained = tiny(estimator=estimator, augment=None, max_iter=5).fit(TRAIN)
    assert trained.lower_bound_ < BOUNDS[estimator]().cap(64)


def test_the_augmentation_callable_is_given_a_standardised_batch_and_a_generator():
    seen = []

    def augment(X, generator):
        seen.append((X, generator))
        return noise(X, generator)

    with pytest.warns(UserWarning, match="pickled"):
        tiny(augment=augment, max_iter=1, batch_size=256).fit(TRAIN)
    assert len(seen) == 4  # two views of one batch in training, and two for the discriminant code
    X, generator = seen[0]
    assert X.shape == (192, 1, 8, 8)
    assert X.dtype == torch.float32
    assert abs(X.mean().item()) < 1e-5
    assert X.std().item() == pytest.approx(1, abs=1e-3)
    assert isinstance(generator, torch.Generator)


def test_an_augmentation_of_the_batch_alone_draws_from_a_local_seed():
    before = torch.random.get_rng_state()
    a, b = (tiny(augment=noise_of_the_batch).fit(TRAIN) for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert same_state(a, b)
    assert not same_state(a, tiny(augment=None).fit(TRAIN))


def test_a_configured_augmentation_is_the_default_with_other_ranges():
    assert same_state(tiny(augment=ImageAugmentation()).fit(TRAIN), tiny().fit(TRAIN))
    dim = tiny(augment=ImageAugmentation())
    narrow = clone(dim).set_params(augment__scale=(0.9, 1.0)).fit(TRAIN)
    assert not same_state(narrow, dim.fit(TRAIN))


def test_flips_only_when_asked():
    # A left-right gradient never appears mirrored in views of "auto".
    ramp = np.tile(np.arange(8.0), (64, 8, 1))

    def slopes(augment):
        dim = tiny(augment=augment, max_iter=0).fit(ramp)
        views = torch.cat(dim._learner.objective.views(*held_out(dim, ramp)))
        return (views[..., -1] - views[..., 0]).mean((1, 2))

    assert (slopes("auto") > 0).all()
    share = (slopes("auto+flip") < 0).float().mean().item()
    assert 0.3 < share < 0.7


# ---------------------------------------------------------------------------------------------------------------- score
def infonce_of_a_block(scores):
    """Return InfoNCE of (K, K) scores, an anchor at a time, in double precision."""
    k = len(scores)
    total = 0.0
    for i, row in enumerate(scores.numpy().astype(np.float64)):
        total += row[i] - row.max() - math.log(np.exp(row - row.max()).sum() / k)
    return total / k


def slow_score(dim, X):
    """Score by hand: blocks of K = min(n, 256) rows in order, the last one filled by wrap-around."""
    state = arrays(dim)
    mean = np.reshape(state["standardize/mean"], (-1, 1, 1))
    scale = np.reshape(state["standardize/scale"], (-1, 1, 1))
    standardised = (X.reshape(len(X), *state["shape"]) - mean) / scale
    terms, encoder = dim._learner.objective.terms, dim.encoder_
    k = min(len(X), 256)
    values = []
    start = 0
    while start < len(X):
        rows = [(start + i) % len(X) for i in range(k)]
        start += k
        with torch.no_grad():
            code = encoder(torch.tensor(standardised[rows], dtype=torch.float32))
            value = 0.0
            if "local" in terms:
                locations = code.local.shape[2]
                for p in range(locations):
                    value += infonce_of_a_block(terms["local"].critic(code.global_, code.local[:, :, p])) / locations
            if "global" in terms:
                features = terms["global"].features(code)
                assert torch.equal(features.sort(1).values, code.local.flatten(1).sort(1).values)
                value += infonce_of_a_block(terms["global"].critic(code.global_, features))
        values.append(value)
    return sum(values) / len(values)


@pytest.mark.parametrize("n", [2, 100, 256, 300])
@pytest.mark.parametrize(
    "weights", [{}, {"global_weight": 0.3, "augment": None}, {"global_weight": 1.0, "local_weight": 0.0}]
)
def test_score_is_a_slow_computation_s(weights, n):
    dim = tiny(encoder=Conv(channels=(4, 4, 4)), **weights).fit(TRAIN)
    X = images(n, start=300)
    assert dim.score(X) == pytest.approx(slow_score(dim, X), abs=1e-5)
    assert dim.score(X) == dim.score(X)


@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize("estimator", BOUNDS)
def test_score_is_infonce_whatever_the_estimator_and_stays_below_its_cap(estimator, critic):
    dim = tiny(estimator=estimator, critic=critic, encoder=Conv(channels=(4, 4, 4)), n_locations=4).fit(TRAIN[:64])
    X = images(40, start=300)
    value = dim.score(X)
    assert value == pytest.approx(slow_score(dim, X), abs=1e-5)
    assert value <= math.log(40)


def test_score_never_exceeds_log_k():
    dim = tiny(augment=None, max_iter=15).fit(TRAIN)
    for n in (2, 5, 60):
        assert dim.score(TRAIN[:n]) <= math.log(n)
    both = tiny(augment=None, global_weight=1.0, max_iter=15).fit(TRAIN)
    assert both.score(TRAIN[:5]) <= 2 * math.log(5)


def test_score_of_code_to_code_alone_takes_two_fixed_views():
    dim = tiny(local_weight=0.0, code_weight=1.0).fit(TRAIN)
    assert dim.score(HELD_OUT) == dim.score(HELD_OUT)
    assert dim.score(HELD_OUT) <= math.log(len(HELD_OUT))


def test_score_does_not_depend_on_features_and_order_within_a_block():
    dim = tiny().fit(TRAIN)
    expected = dim.score(HELD_OUT)
    assert dim.set_params(features="local").score(HELD_OUT) == expected
    order = np.random.default_rng(0).permutation(len(HELD_OUT))
    assert dim.score(HELD_OUT[order]) == pytest.approx(expected, abs=1e-5)


def test_constant_codes_tell_nothing():
    dim = tiny().fit(TRAIN)
    assert dim.score(np.repeat(TRAIN[:1], 20, axis=0)) == pytest.approx(0, abs=1e-5)


# ---------------------------------------------------------------------------------------------------------------- prior
def distance_to_uniform(dim, X):
    codes = 1 / (1 + np.exp(-dim.transform(X).astype(float)))
    return np.mean([kstest(column, "uniform").statistic for column in codes.T])


def test_prior_matching_makes_codes_uniform():
    X = images(512)
    settings = {
        "n_components": 8,
        "encoder": "mlp",
        "hidden_layer_sizes": (64,),
        "augment": None,
        "local_weight": 0.1,
        "prior": UniformPrior(hidden_layer_sizes=(200, 50)),
        "prior_weight": 1.0,
        "batch_size": 64,
        "random_state": 0,
    }
    start = distance_to_uniform(DeepInfoMaxTransformer(**settings, max_iter=0).fit(X), X)
    end = distance_to_uniform(DeepInfoMaxTransformer(**settings, max_iter=70).fit(X), X)
    assert end <= start / 2


def test_priors_differ():
    uniform, normal = (tiny(prior=prior, prior_weight=1.0).fit(TRAIN) for prior in ("uniform", "normal"))
    assert not same_state(uniform, normal)


# ------------------------------------------------------------------------------------------------------------- features
@pytest.mark.parametrize("features", ["global", "hidden", "local"])
@pytest.mark.parametrize("kind", ["images", "table"])
def test_features_are_the_encoder_s(kind, features):
    X = TRAIN if kind == "images" else table()
    dim = (tiny if kind == "images" else tiny_table)(features=features).fit(X)
    state = arrays(dim)
    shape = (-1,) + (1,) * (len(state["shape"]) - 1)
    standardised = (X.reshape(len(X), *state["shape"]) - np.reshape(state["standardize/mean"], shape)) / np.reshape(
        state["standardize/scale"], shape
    )
    with torch.no_grad():
        code = dim.encoder_(torch.tensor(standardised, dtype=torch.float32))
    expected = {"global": code.global_, "hidden": code.hidden, "local": code.local.flatten(1)}[features].numpy()
    actual = dim.transform(X)
    np.testing.assert_allclose(actual, expected, atol=1e-4 * np.abs(expected).max())
    assert actual.dtype == np.float32
    assert list(dim.get_feature_names_out()) == [f"deepinfomaxtransformer{i}" for i in range(actual.shape[1])]


def test_features_are_read_at_transform():
    dim = tiny().fit(TRAIN)
    widths = {
        name: dim.set_params(features=name).transform(TRAIN[:2]).shape[1] for name in ("global", "hidden", "local")
    }
    assert widths == {"global": 8, "hidden": 16 * 4 * 4, "local": 16 * 8 * 8}


def test_a_single_tensor_is_local_hidden_and_global():
    dim = tiny(encoder=FlatEncoder).fit(TRAIN)
    expected = dim.transform(HELD_OUT)
    for features in ("hidden", "local"):
        assert (dim.set_params(features=features).transform(HELD_OUT) == expected).all()


def test_encoder_is_handed_out_as_a_copy_in_eval_mode():
    dim = tiny().fit(TRAIN)
    expected, encoder = dim.transform(HELD_OUT), dim.encoder_
    assert not encoder.training
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.fill_(0)
    encoder.train()
    assert dim.encoder_ is not encoder
    assert (dim.transform(HELD_OUT) == expected).all()


def test_training_improves_on_the_untrained_network_s_features():
    # The reason for it all, in small: nearest neighbours share a digit more often than before.
    X, y = images(600), LABELS[:600]

    def accuracy(max_iter):
        features = tiny(max_iter=max_iter, n_components=16, features="global").fit(X).transform(X)
        return cross_val_score(KNeighborsClassifier(1), features, y, cv=3).mean()

    assert accuracy(15) > accuracy(0) + 0.05
