"""Stochastic codes in the transformer: bounds from both sides, total correlation, noise as a prior, state, and refusals."""

import copy
import math

import joblib
import numpy as np
import pytest
import torch
from helpers import IMAGES, LABELS, FlatEncoder, arrays, images, same_state, table, tiny, tiny_table
from scipy.stats import kstest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

from skdim import DeepInfoMaxTransformer
from skdim.bounds import DV, InfoNCE, tnce
from skdim.inputs.batches import Rows
from skdim.nn.adapt import Code, Encoder
from skdim.nn.critics import Inner, Separable
from skdim.nn.objectives import PRIOR_METHODS, GaussianPosterior, Noise, NormalPrior, UniformPrior, total_correlation

TRAIN, HELD_OUT = images(192), images(128, start=1000)
POSTERIOR = {"posterior": "gaussian", "global_weight": 1.0, "local_weight": 0.0, "code_weight": 0.0}
NOISE = {"prior": "normal", "prior_method": "noise"}
WEIGHT = "total_correlation_weight"
QUICK = {"max_iter": 6, "batch_size": 32, "learning_rate": 1e-2}


def coded(dim, X):
    """Return the stochastic codes of a fitted transformer, under the noise of evaluation."""
    X, objective = dim.standardized(X), dim._learner.objective
    with torch.no_grad():
        return objective._encode([X], objective.draw(Rows(len(X), slice(0, len(X)), X.shape[1:], {}), None))


# ---------------------------------------------------------------------------------------------------- total correlation
@pytest.fixture(scope="module")
def with_and_without_penalty():
    settings = {**POSTERIOR, "max_iter": 15, "learning_rate": 5e-3, "n_components": 10}
    return {weight: tiny(**settings, **{WEIGHT: weight}).fit(IMAGES[:600]) for weight in (0.0, 0.3)}


def test_the_penalty_lowers_the_total_correlation_at_equal_accuracy(with_and_without_penalty):
    X, y, X_eval, y_eval = IMAGES[:600], LABELS[:600], IMAGES[900:], LABELS[900:]
    truth, bound, accuracy = {}, {}, {}
    for weight, dim in with_and_without_penalty.items():
        code = coded(dim, X_eval)
        truth[weight] = -0.5 * np.linalg.slogdet(np.corrcoef(code.global_.double(), rowvar=False))[1]  # of normal codes
        joint, components = (
            f(code.global_) for f in (code.posterior.log_density, code.posterior.component_log_density)
        )
        bound[weight] = total_correlation(joint[:250, :250], components[:250, :250])
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(dim.transform(X), y)
        accuracy[weight] = probe.score(dim.transform(X_eval), y_eval)
    assert truth[0.3] < truth[0.0] / 2
    assert bound[0.3] < bound[0.0] / 2
    assert accuracy[0.3] > accuracy[0.0] - 0.02


def test_reported_bounds_of_information(with_and_without_penalty):
    for dim in with_and_without_penalty.values():
        assert all(row["tnce"] <= row["l1out"] for row in dim.history_)
        assert dim.lower_bound_ == dim.history_[-1]["tnce"]
        assert dim.upper_bound_ <= dim.history_[-1]["l1out"]
        assert 0 < dim.lower_bound_ < dim.upper_bound_ < dim.cap_ == math.inf
    untrained, plain = tiny(**POSTERIOR, max_iter=0).fit(TRAIN), tiny().fit(TRAIN)
    assert (untrained.lower_bound_, untrained.upper_bound_) == (-math.inf, math.inf)
    assert plain.upper_bound_ == plain.cap_ == math.inf
    assert not [name for name in arrays(plain) if "posterior" in name or "tnce" in name]


class Copies(Encoder):
    """An encoder whose code is its input, eight standard deviations of the noise wide."""

    local_shape, n_hidden = (8, 1), 8

    def __init__(self, input_shape, n_components):
        super().__init__()
        self.n_components = n_components
        self.scale = nn.Parameter(torch.tensor(8.0))

    def forward(self, X):
        return Code(X.unsqueeze(2), 0 * X, self.scale * X)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_upper_bound_is_near_the_truth_where_l1out_is_not(early_stopping):
    X = np.random.default_rng(0).normal(size=(3000, 8))
    settings = {"encoder": Copies, "augment": None, "max_iter": 1, "learning_rate": 1e-6, "n_components": 8}
    dim = DeepInfoMaxTransformer(**POSTERIOR, **settings, early_stopping=early_stopping, random_state=0).fit(X)
    with torch.no_grad():
        variance = dim.objective_.posterior(dim.encoder_(torch.zeros(1, 8))).log_variance.double().exp()
    truth = ((1 + 64 / variance).log() / 2).sum().item()
    assert dim.history_[-1]["l1out"] > truth + 10
    assert truth - 0.5 < dim.upper_bound_ < truth + 0.5
    assert dim.lower_bound_ <= math.log(128) < truth


# ------------------------------------------------------------------------------------------------------ options are real
#: Options, and the parts of the objective that they report.
GAUSSIAN, BOTH = {"posterior": "gaussian"}, "tnce l1out "
OPTIONS = {
    "posterior": (GAUSSIAN, BOTH + "local code"),
    "measured only": ({**GAUSSIAN, "global_weight": 0.0}, BOTH + "local code"),
    "alone": (POSTERIOR, BOTH),
    "without views": ({**POSTERIOR, "augment": None}, BOTH),
    "penalty": ({**POSTERIOR, WEIGHT: 0.5}, BOTH + "total_correlation"),
    "penalty beside the local term": ({**GAUSSIAN, WEIGHT: 0.5}, BOTH + "total_correlation local code"),
    "code to code": ({**POSTERIOR, "code_weight": 1.0}, BOTH + "code"),
    "estimator and critic": ({**GAUSSIAN, "estimator": "jsd", "critic": "bilinear"}, BOTH + "local code"),
    "pair of critics": ({**GAUSSIAN, "critic": ("inner", "bilinear")}, BOTH + "local code"),
    "with a prior": ({**POSTERIOR, "prior_weight": 1.0, "prior": "normal"}, BOTH + "prior discriminator"),
    "a user's encoder": ({**POSTERIOR, "encoder": FlatEncoder, "augment": None}, BOTH),
    "early stopping": ({**POSTERIOR, "early_stopping": True, WEIGHT: 0.1}, BOTH + "total_correlation"),
    "noise": (NOISE, "local code"),
    "more noise": ({**NOISE, "prior_method": Noise(sigma=1.0)}, "local code"),
    "noise and the global term": ({**NOISE, "global_weight": 1.0, "augment": None}, "local global"),
    "noise between codes": ({**NOISE, "local_weight": 0.0, "code_weight": 1.0}, "code"),
    "noise and early stopping": ({**NOISE, "early_stopping": True}, "local code"),
}


@pytest.fixture(scope="module")
def fitted():
    return {name: tiny(**QUICK, **option).fit(TRAIN) for name, (option, _) in OPTIONS.items()}


@pytest.fixture(scope="module")
def features_of(fitted):
    return {name: dim.transform(HELD_OUT) for name, dim in fitted.items()}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_trains_makes_a_difference_and_reports_its_parts(fitted, features_of, name):
    option, parts = OPTIONS[name]
    dim, untrained = fitted[name], tiny(**{**QUICK, "max_iter": 0}, **option).fit(TRAIN)
    assert np.isfinite([list(row.values()) for row in dim.history_]).all()
    names, held_out = ["loss", *parts.split()], "valid_" if "early_stopping" in option else ""
    reported = {"epoch", *names, *(held_out + name for name in names)}
    assert all(set(row) == reported for row in dim.history_)
    best = min(dim.history_, key=lambda row: row["valid_loss"]) if held_out else dim.history_[-1]
    summands = ["tnce"] if BOTH in parts else parts.split()
    assert dim.lower_bound_ == pytest.approx(sum(best[held_out + part] for part in summands))
    assert dim.upper_bound_ <= best[held_out + "l1out"] if BOTH in parts else dim.upper_bound_ == math.inf
    assert dim.score(HELD_OUT) > untrained.score(HELD_OUT)
    features = features_of[name]
    assert features.shape == (128, 8)
    for other in fitted:
        if other != name:
            assert np.abs(features - features_of[other]).max() > 1e-3
    if name == "early stopping":
        expected = -best["valid_tnce"] + 0.1 * best["valid_total_correlation"]
        assert best["valid_loss"] == pytest.approx(expected, abs=1e-5)


DEFAULTS = [
    (GAUSSIAN, {"global_weight": 1.0}),
    ({}, {"global_weight": 0.0}),
    (NOISE, {"prior": NormalPrior(), "prior_method": Noise()}),
    ({"prior_weight": 1.0}, {"prior_method": "adversarial"}),
    (POSTERIOR, {"estimator": InfoNCE(), "critic": Separable()}),
]


@pytest.mark.parametrize(("option", "default"), DEFAULTS)
def test_a_default_is_what_it_stands_for(option, default):
    assert same_state(tiny(**option).fit(TRAIN), tiny(**{**option, **default}).fit(TRAIN))


@pytest.mark.parametrize("name", ["posterior", "alone", "noise"])
def test_transform_gives_the_mean_and_a_row_depends_on_itself_alone(fitted, name):
    dim = fitted[name]
    whole = dim.transform(HELD_OUT)
    assert (dim.transform(HELD_OUT) == whole).all()
    np.testing.assert_allclose(dim.transform(HELD_OUT[7:9]), whole[7:9], rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        expected = dim.encoder_(dim.standardized(HELD_OUT)).global_.numpy()
    np.testing.assert_allclose(whole, expected, atol=1e-5)
    assert np.abs(coded(dim, HELD_OUT).global_.numpy() - whole).max() > 0.1  # training saw something else
    for features in ("hidden", "local"):
        assert np.isfinite(copy.deepcopy(dim).set_params(features=features).transform(HELD_OUT)).all()


def test_score_is_infonce_on_fixed_samples_of_the_terms_with_weight(fitted):
    dim, code = fitted["alone"], coded(fitted["alone"], HELD_OUT)
    expected = tnce(code.posterior.log_density(code.global_)).item()
    assert dim.score(HELD_OUT) == dim.score(HELD_OUT) == pytest.approx(expected, abs=1e-4)
    for n in (2, 5, 60):
        assert dim.score(HELD_OUT[:n]) <= math.log(n) + 1e-6
    scored = {name: fitted[name]._learner.objective.scored_terms for name in OPTIONS}
    assert (scored["posterior"], scored["measured only"]) == (["local", "tnce"], ["local"])
    assert scored["noise between codes"] == ["code"]
    between = fitted["noise between codes"]
    assert between.score(HELD_OUT) == between.score(HELD_OUT) <= min(between.cap_, math.log(128))


# ------------------------------------------------------------------------------------------------------- noise as a prior
def test_noise_brings_the_codes_to_the_moments_and_marginals_of_the_prior(fitted):
    models = fitted["noise"], tiny(**NOISE, max_iter=0).fit(TRAIN), tiny(**QUICK).fit(TRAIN)
    end, start, without = (
        np.mean([kstest(column, "norm").statistic for column in dim.transform(HELD_OUT).T]) for dim in models
    )
    assert end < min(start / 2, without)
    # Running moments, of the augmented views in training: near those of the unaugmented rows.
    codes = fitted["noise"].transform(TRAIN)
    assert np.abs(codes.mean(0)).max() < 0.5
    assert 0.6 < codes.std(0).min() < codes.std(0).max() < 1.6


GLOBAL = {"local_weight": 0.0, "global_weight": 1.0, "augment": None}


@pytest.mark.parametrize(("sigma", "weights"), [(1.0, {}), (1.0, GLOBAL), (2.0, GLOBAL)])
def test_no_bound_exceeds_what_the_noise_lets_through(sigma, weights):
    settings = {**QUICK, "batch_size": 64, "max_iter": 20, "n_components": 2, **weights}
    dim = tiny(**settings, prior="normal", prior_method=Noise(sigma)).fit(TRAIN)
    assert dim.cap_ == pytest.approx(math.log(1 + 1 / sigma**2))
    names = [name for name in ("local", "global", "code") if name in dim.history_[0]]
    values = np.array([[row[name] for name in names] for row in dim.history_[5:]]).mean(0)  # in expectation: many draws
    assert (values < dim.cap_).all()
    assert values.max() > dim.cap_ / 2 or "local" in names  # and the cap is no empty promise
    assert dim.score(HELD_OUT) < dim.cap_


def test_sigma_can_be_searched():
    dim = tiny(prior="normal", prior_method=Noise())
    assert clone(dim).set_params(prior_method__sigma=2.0).prior_method == Noise(2.0)
    assert dim.prior_method == Noise()
    assert set(PRIOR_METHODS) == {"adversarial", "noise"}


# ---------------------------------------------------------------------------------------------------------- state and seeds
STATEFUL = {"posterior": {**POSTERIOR, WEIGHT: 0.2, "prior_weight": 0.5}, "noise": NOISE}


@pytest.mark.parametrize("name", STATEFUL)
def test_continuing_after_a_load_equals_never_having_saved(name, tmp_path):
    never, saved = (tiny(**STATEFUL[name]).partial_fit(TRAIN) for _ in range(2))
    joblib.dump(saved, tmp_path / "dim.joblib")
    loaded = joblib.load(tmp_path / "dim.joblib", mmap_mode="r")
    assert same_state(loaded, never)
    assert (loaded.transform(HELD_OUT) == never.transform(HELD_OUT)).all()
    for dim in (loaded.partial_fit(TRAIN), never.partial_fit(TRAIN)):
        assert (dim.n_iter_, dim.upper_bound_) == (2, dim.history_[-1].get("l1out", math.inf))
    assert same_state(loaded, never)
    values = [(dim.history_, dim.lower_bound_, dim.cap_, dim.score(HELD_OUT)) for dim in (loaded, never)]
    assert values[0] == values[1]


@pytest.mark.parametrize("name", STATEFUL)
def test_a_seed_gives_the_same_bits_and_training_goes_on_after_a_fit(name):
    before = torch.random.get_rng_state()
    a, b = (tiny(**STATEFUL[name]).fit(TRAIN) for _ in range(2))
    assert same_state(a, b)
    assert not same_state(a, tiny(**STATEFUL[name], random_state=1).fit(TRAIN))
    assert not same_state(a, b.partial_fit(TRAIN))
    assert b.n_iter_ == 3
    assert tiny(**STATEFUL[name], warm_start=True).fit(TRAIN).fit(TRAIN).n_iter_ == 4
    assert torch.equal(before, torch.random.get_rng_state())


class FittedSoFar:
    """Keep the bounds and scores that the estimator reports after every epoch."""

    setup = teardown = on_fit_task_begin = lambda self, estimator, context: None

    def __init__(self):
        self.bounds = []

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        if fitted_estimator is not None:
            self.bounds.append((fitted_estimator.lower_bound_, fitted_estimator.score(X)))


@pytest.mark.parametrize("name", STATEFUL)
def test_callbacks_meet_the_bounds_of_every_epoch_and_change_nothing(name):
    watch = FittedSoFar()
    dim = tiny_table(**STATEFUL[name]).set_callbacks(watch).fit(table())
    expected = [row["tnce"] if "tnce" in row else row["local"] + row["code"] for row in dim.history_]
    assert [bound for bound, _ in watch.bounds[: dim.n_iter_]] == pytest.approx(expected)
    assert np.isfinite([score for _, score in watch.bounds]).all()
    assert same_state(dim, tiny_table(**STATEFUL[name]).fit(table()))


# ------------------------------------------------------------------------------------------------------------ what is refused
BAD = {
    "unknown posterior": ({"posterior": "normal"}, "posterior", "gaussian", "normal"),
    "posterior class": ({"posterior": GaussianPosterior}, "posterior", "gaussian"),
    "unknown method": ({"prior_method": "mmd"}, "prior_method", "adversarial", "noise", "mmd"),
    "method None": ({"prior_method": None}, "prior_method", "None"),
    "method class": ({"prior_method": Noise}, "prior_method", "Noise"),
    "negative weight": ({"posterior": "gaussian", WEIGHT: -1.0}, WEIGHT, "-1"),
    "weight NaN": ({"posterior": "gaussian", WEIGHT: math.nan}, WEIGHT, "nan"),
    "weight of words": ({"posterior": "gaussian", WEIGHT: "much"}, WEIGHT, "much"),
    "penalty without posterior": ({WEIGHT: 1.0}, f"{WEIGHT}=1.0", "posterior='gaussian'"),
    "penalty of one": ({**POSTERIOR, WEIGHT: 1.0, "n_components": 1}, "n_components=1"),
    "penalty alone": ({**POSTERIOR, "global_weight": 0.0, WEIGHT: 1.0}, "must be positive"),
    "estimator": ({**POSTERIOR, "estimator": DV()}, "estimator=DV", "no effect", "posterior='gaussian'"),
    "critic": ({**POSTERIOR, "critic": Inner()}, "critic=Inner", "no effect", "posterior='gaussian'"),
    "pair of critics": (
        {"posterior": "gaussian", "code_weight": 0.0, "critic": ("inner", "inner")},
        "first of the pair",
    ),
    "noise and uniform": ({"prior_method": "noise"}, "prior='normal'", "'uniform'"),
    "noise and UniformPrior": ({"prior_method": Noise(), "prior": UniformPrior()}, "prior='normal'", "UniformPrior"),
    "noise and a discriminator": ({**NOISE, "prior": NormalPrior(penalty=1.0)}, "discriminator", "penalty=1.0"),
    "noise and weight": ({**NOISE, "prior_weight": 1.0}, "prior_weight=1.0", "prior_weight=0"),
    "noise and posterior": ({**NOISE, **POSTERIOR}, "prior_method='noise'", "posterior='gaussian'", "posterior=None"),
    **{
        f"sigma {sigma!r}": ({"prior": "normal", "prior_method": Noise(sigma)}, "sigma", "positive", repr(sigma)[:3])
        for sigma in (0, -1.0, math.inf, math.nan, "0.3", None, True)
    },
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("case", BAD)
def test_bad_options_are_refused_before_training_and_leave_no_trace(case, method):
    options, *words = BAD[case]
    fitted = tiny(max_iter=0).fit(TRAIN[:8])
    for dim in (tiny(**options), fitted.set_params(**options)):
        before = dict(vars(dim))
        with pytest.raises((ValueError, TypeError)) as caught:
            getattr(dim, method)(TRAIN)
        assert all(word in str(caught.value) for word in words), str(caught.value)
        assert vars(dim) == before


# Both kinds of code, through all of scikit-learn's checks.
@pytest.mark.parametrize("options", [POSTERIOR, NOISE], ids=["posterior", "noise"])
def test_scikit_learn_checks(options):
    settings = {"max_iter": 1, "hidden_layer_sizes": (16,), "n_components": 3, "batch_size": 32}
    results = check_estimator(DeepInfoMaxTransformer(**settings, **options), on_skip=None)
    assert {row["check_name"] for row in results if row["status"] != "passed"} <= {"check_array_api_input"}
