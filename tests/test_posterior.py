"""Stochastic codes: what is known of their information from both sides, their total correlation, and noise as a prior."""

import copy
import math

import joblib
import numpy as np
import pytest
import torch
from helpers import IMAGES, LABELS, FlatEncoder, arrays, images, same_state, table, tiny, tiny_table
from scipy.stats import kstest, norm
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

from skdim import DeepInfoMaxTransformer
from skdim.bounds import DV, InfoNCE, l1out, tnce
from skdim.nn.critics import Inner, Separable
from skdim.nn.encoders import Code
from skdim.nn.objectives import (
    PRIOR_METHODS,
    VARIANCE_CEILING,
    VARIANCE_FLOOR,
    AdditiveNoise,
    DeepInfoMax,
    Gaussian,
    GaussianPosterior,
    Noise,
    NormalizedCode,
    NormalPrior,
    PosteriorInfoMax,
    StochasticCode,
    UniformPrior,
    total_correlation,
)

TRAIN, HELD_OUT = images(192), images(128, start=1000)
POSTERIOR = {"posterior": "gaussian", "global_weight": 1.0, "local_weight": 0.0, "code_weight": 0.0}
NOISE = {"prior": "normal", "prior_method": "noise"}
QUICK = {"max_iter": 6, "batch_size": 32, "learning_rate": 1e-2}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------------------------------------------------------- densities
def test_the_log_density_is_the_normal_one():
    mean, log_variance, y = (torch.randn(n, 3, generator=generator(n)) for n in (4, 4, 5))
    posterior = Gaussian(mean, log_variance)
    for i in range(4):
        expected = norm.logpdf(y.numpy(), mean[i].numpy(), (log_variance[i] / 2).exp().numpy())
        np.testing.assert_allclose(posterior.component_log_density(y)[i], expected, rtol=1e-4)
        np.testing.assert_allclose(posterior.log_density(y)[i], expected.sum(1), rtol=1e-4)


def test_the_joint_density_does_not_cancel_far_from_the_origin_at_the_smallest_variance():
    mean = 100 + torch.randn(16, 8, generator=generator())
    posterior = Gaussian(mean, torch.full_like(mean, math.log(VARIANCE_FLOOR)))
    y = posterior.sample(generator(1))
    expected = norm.logpdf(y.double(), mean.double(), math.sqrt(VARIANCE_FLOOR)).sum(1)
    np.testing.assert_allclose(posterior.log_density(y).diagonal(), expected, atol=1e-3)
    np.testing.assert_allclose(posterior.component_log_density(y).sum(2).diagonal(), expected, atol=0.1)


def test_samples_have_the_mean_and_the_variance():
    mean, log_variance = torch.tensor([[1.0, -20.0]]), torch.tensor([[0.0, -4.0]])
    y = Gaussian(mean.expand(40_000, 2), log_variance.expand(40_000, 2)).sample(generator())
    np.testing.assert_allclose(y.mean(0), mean[0], atol=0.02)
    np.testing.assert_allclose(y.var(0), log_variance[0].exp(), rtol=0.03)


def test_samples_pass_the_gradient_to_mean_and_variance():
    mean, log_variance = (torch.zeros(8, 2, requires_grad=True) for _ in range(2))
    Gaussian(mean, log_variance).sample(generator()).square().sum().backward()
    assert (mean.grad != 0).all()
    assert (log_variance.grad != 0).all()


@pytest.mark.parametrize("size", [0.0, 1.0, 1e3, 1e30])
def test_the_variance_stays_between_floor_and_ceiling(size):
    posterior = GaussianPosterior(6, 3)
    hidden = size * torch.randn(50, 6, generator=generator())
    variance = posterior(Code(torch.zeros(50, 1, 1), hidden, torch.zeros(50, 3))).log_variance.exp()
    assert variance.min() >= VARIANCE_FLOOR * 0.999
    assert variance.max() <= VARIANCE_CEILING
    if size == 1e30:  # both ends are reached
        assert variance.min() < 2 * VARIANCE_FLOOR
        assert variance.max() > VARIANCE_CEILING / 2


# ------------------------------------------------------------------------------------------------ bounds of known information
def linear_gaussian(weights, sigma, k, seed):
    """Return a batch of y = W x + sigma * noise with x of independent standard normal components, as a stochastic code."""
    x = torch.randn(k, weights.shape[1], generator=generator(seed), dtype=torch.float64)
    mean = x @ weights.T
    log_variance = torch.full_like(mean, 2 * math.log(sigma))
    y = Gaussian(mean, log_variance).sample(generator(10_000 + seed))
    return StochasticCode(torch.zeros(k, 1, 1), x, y, mean, log_variance)


def information(weights, sigma):
    covariance = weights @ weights.T + sigma**2 * torch.eye(len(weights), dtype=weights.dtype)
    return (torch.logdet(covariance) / 2 - len(weights) * math.log(sigma)).item(), covariance


WEIGHTS = torch.tensor([[1.0, 0.0, 0.3], [0.8, 0.5, 0.0], [0.0, 0.4, 1.0], [0.5, 0.5, 0.5]], dtype=torch.float64)


@pytest.mark.parametrize("sigma", [2.0, 1.0, 0.5, 0.2])
@pytest.mark.parametrize("k", [16, 128])
def test_tnce_and_l1out_hold_the_information_between_them(sigma, k):
    truth, _ = information(WEIGHTS, sigma)
    term = PosteriorInfoMax(1.0)
    codes = [linear_gaussian(WEIGHTS, sigma, k, seed) for seed in range(60)]
    lower = np.array([term(code, code)[1].item() for code in codes])
    upper = np.array([term.further_bounds(code)["l1out"].item() for code in codes])
    error = 3 * max(lower.std(), upper.std()) / math.sqrt(len(codes))
    assert lower.mean() - error <= truth <= upper.mean() + error
    assert (lower <= upper).all()
    assert (lower <= math.log(k) + 1e-9).all()
    if truth < 1 and k == 128:  # where information is small they meet
        assert upper.mean() - lower.mean() < 0.1


def test_the_terms_are_those_of_a_slow_computation():
    code = linear_gaussian(WEIGHTS, 0.7, 6, seed=3)
    k, lower, upper = 6, 0.0, 0.0
    for j in range(k):
        densities = [np.prod(norm.pdf(code.global_[j].numpy(), code.mean[i].numpy(), 0.7)) for i in range(k)]
        lower += math.log(densities[j] / np.mean(densities)) / k
        upper += math.log(densities[j] / np.mean(np.delete(densities, j))) / k
    loss, value = PosteriorInfoMax(2.0)(code, code)
    assert value.item() == pytest.approx(lower)
    assert loss.item() == pytest.approx(-lower)  # the objective weighs it
    assert PosteriorInfoMax(2.0).further_bounds(code)["l1out"].item() == pytest.approx(upper)


def test_between_two_views_the_code_of_one_is_scored_under_the_other_s_posterior():
    a, b = (linear_gaussian(WEIGHTS, 0.7, 6, seed) for seed in (3, 4))
    expected = tnce(b.posterior.log_density(a.global_))
    assert PosteriorInfoMax(1.0)(a, b)[1] == expected != PosteriorInfoMax(1.0)(b, a)[1]


def test_a_known_posterior_needs_a_stochastic_code():
    code = Code(torch.zeros(4, 1, 1), torch.zeros(4, 2), torch.zeros(4, 2))
    with pytest.raises(TypeError, match="StochasticCode, got Code"):
        PosteriorInfoMax(1.0)(code, code)


# ------------------------------------------------------------------------------------------------------ total correlation
def gaussian_total_correlation(y):
    """Return the total correlation of a normal vector with the correlations of these rows."""
    return -0.5 * np.linalg.slogdet(np.corrcoef(np.asarray(y, dtype=float), rowvar=False))[1]


def correlation_bound(code):
    posterior = code.posterior
    return total_correlation(posterior.log_density(code.global_), posterior.component_log_density(code.global_))


@pytest.mark.parametrize("sigma", [3.0, 1.5, 1.0, 0.5])
def test_the_total_correlation_is_not_understated(sigma):
    _, covariance = information(WEIGHTS, sigma)
    scale = covariance.diagonal().rsqrt()
    truth = -0.5 * torch.logdet(covariance * scale[:, None] * scale).item()
    codes = [linear_gaussian(WEIGHTS, sigma, 256, seed) for seed in range(30)]
    values = np.array([correlation_bound(code).item() for code in codes])
    assert values.mean() + 3 * values.std() / math.sqrt(30) >= truth
    if sigma >= 1:  # I(X; Y) is far below log 256: near the truth
        assert values.mean() == pytest.approx(truth, abs=0.1)


def test_the_total_correlation_is_the_sum_of_l1out_less_tnce():
    code = linear_gaussian(WEIGHTS, 0.7, 12, seed=1)
    components = code.posterior.component_log_density(code.global_)
    separate = sum(l1out(components[:, :, c]) for c in range(4))
    assert correlation_bound(code).item() == pytest.approx((separate - tnce(components.sum(2))).item())


class Wide(nn.Module):
    """An encoder whose codes start hundreds of standard deviations apart."""

    def __init__(self, n_components):
        super().__init__()
        self.code = nn.Linear(8, n_components)
        nn.init.normal_(self.code.weight, std=30.0, generator=generator())

    def forward(self, X):
        return Code(X.unsqueeze(2), X, self.code(X))


def test_training_at_high_information_keeps_every_gradient_finite():
    # Sums of densities, a mask of -20 or a variance without floor break here: the start is at thousands of nats, each pair of
    # samples apart by exp(-1000s), and the penalty has to bring that down.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        objective = DeepInfoMax(Wide(6), {"tnce": PosteriorInfoMax(1.0, 1.0)}, posterior=GaussianPosterior(8, 6))
    nn.init.constant_(objective.posterior.log_variance.bias, -6.0)  # next to the floor
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.1)
    parts = []
    for step in range(400):
        X = torch.randn(64, 8, generator=generator(step))
        loss, values = objective([X], generator(step))
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad.isfinite().all() for p in objective.parameters())
        optimizer.step()
        parts.append({name: value.item() for name, value in values.items()})
    assert np.isfinite([list(row.values()) for row in parts]).all()
    assert parts[0]["l1out"] > 1000
    assert parts[0]["tnce"] == pytest.approx(math.log(64), abs=0.01)
    assert parts[-1]["total_correlation"] < parts[0]["total_correlation"] / 10


@pytest.fixture(scope="module")
def with_and_without_penalty():
    settings = {**POSTERIOR, "max_iter": 15, "learning_rate": 5e-3, "n_components": 10}
    return {weight: tiny(**settings, total_correlation_weight=weight).fit(IMAGES[:900]) for weight in (0.0, 0.3)}


def coded(dim, X, seed=1):
    """Return the stochastic codes of a fitted transformer."""
    with torch.no_grad():
        return dim._learner.objective._encode([dim._learner.standardize(X)], generator(seed))


def test_the_penalty_lowers_the_total_correlation_at_equal_accuracy(with_and_without_penalty):
    X, y, X_eval, y_eval = IMAGES[:900], LABELS[:900], IMAGES[900:], LABELS[900:]
    correlation, accuracy = {}, {}
    for weight, dim in with_and_without_penalty.items():
        correlation[weight] = gaussian_total_correlation(coded(dim, X_eval).global_)
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(dim.transform(X), y)
        accuracy[weight] = probe.score(dim.transform(X_eval), y_eval)
    assert correlation[0.3] < correlation[0.0] / 2
    assert accuracy[0.3] > accuracy[0.0] - 0.02


def test_reported_bounds_of_information(with_and_without_penalty):
    for dim in with_and_without_penalty.values():
        assert all(row["tnce"] <= row["l1out"] for row in dim.history_)
        assert dim.lower_bound_ == dim.history_[-1]["tnce"]
        assert dim.upper_bound_ == dim.history_[-1]["l1out"]
        assert 0 < dim.lower_bound_ < dim.upper_bound_ < math.inf
        assert dim.cap_ == math.inf
    bounds = {
        weight: correlation_bound(coded(dim, IMAGES[900:1150])) for weight, dim in with_and_without_penalty.items()
    }
    assert bounds[0.3] < bounds[0.0] / 2


# ------------------------------------------------------------------------------------------------------ options are real
OPTIONS = {
    "posterior": {"posterior": "gaussian"},
    "measured only": {"posterior": "gaussian", "global_weight": 0.0},
    "alone": POSTERIOR,
    "without views": {**POSTERIOR, "augment": None},
    "penalty": {**POSTERIOR, "total_correlation_weight": 0.5},
    "penalty beside the local term": {"posterior": "gaussian", "total_correlation_weight": 0.5},
    "code to code": {**POSTERIOR, "code_weight": 1.0},
    "estimator and critic": {"posterior": "gaussian", "estimator": "jsd", "critic": "bilinear"},
    "pair of critics": {"posterior": "gaussian", "critic": ("inner", "bilinear")},
    "with a prior": {**POSTERIOR, "prior_weight": 1.0, "prior": "normal"},
    "a user's encoder": {**POSTERIOR, "encoder": FlatEncoder, "augment": None},
    "early stopping": {**POSTERIOR, "early_stopping": True, "total_correlation_weight": 0.1},
    "noise": NOISE,
    "more noise": {"prior": "normal", "prior_method": Noise(sigma=1.0)},
    "noise and the global term": {**NOISE, "prior": NormalPrior(), "global_weight": 1.0, "augment": None},
    "noise between codes": {**NOISE, "local_weight": 0.0, "code_weight": 1.0},
    "noise and early stopping": {**NOISE, "early_stopping": True},
}


@pytest.fixture(scope="module")
def fitted():
    return {name: tiny(**QUICK, **option).fit(TRAIN) for name, option in OPTIONS.items()}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_trains_and_makes_a_difference(fitted, name):
    dim, untrained = fitted[name], tiny(**{**QUICK, "max_iter": 0}, **OPTIONS[name]).fit(TRAIN)
    assert np.isfinite([list(row.values()) for row in dim.history_]).all()
    assert dim.score(HELD_OUT) > untrained.score(HELD_OUT)
    features = dim.transform(HELD_OUT)
    assert features.shape == (128, 8)
    for other in fitted:
        if other != name:
            assert np.abs(features - fitted[other].transform(HELD_OUT)).max() > 1e-3


def test_the_global_weight_is_one_with_a_posterior_alone():
    given = tiny(**QUICK, posterior="gaussian", global_weight=1.0).fit(TRAIN)
    assert (tiny(**QUICK, posterior="gaussian").fit(TRAIN).transform(HELD_OUT) == given.transform(HELD_OUT)).all()
    without = tiny(**QUICK, global_weight=0.0).fit(TRAIN)
    assert (tiny(**QUICK).fit(TRAIN).transform(HELD_OUT) == without.transform(HELD_OUT)).all()


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("posterior", {"local", "code", "tnce", "l1out"}),
        ("measured only", {"local", "code", "tnce", "l1out"}),
        ("alone", {"tnce", "l1out"}),
        ("penalty", {"tnce", "l1out", "total_correlation"}),
        ("with a prior", {"tnce", "l1out", "prior", "discriminator"}),
        ("noise", {"local", "code"}),
    ],
)
def test_history_names_the_parts(fitted, name, parts):
    dim = fitted[name]
    assert all(set(row) == {"epoch", "loss", *parts} for row in dim.history_)
    expected = dim.history_[-1]["tnce"] if "tnce" in parts else sum(dim.history_[-1][part] for part in parts)
    assert dim.lower_bound_ == pytest.approx(expected)


def test_held_out_bounds_are_reported_with_early_stopping(fitted):
    dim = fitted["early stopping"]
    best = min(dim.history_, key=lambda row: row["valid_loss"])
    assert (dim.lower_bound_, dim.upper_bound_) == (best["valid_tnce"], best["valid_l1out"])
    expected = -best["valid_tnce"] + 0.1 * best["valid_total_correlation"]
    assert best["valid_loss"] == pytest.approx(expected, abs=1e-5)


def test_the_loss_is_the_weighted_sum():
    settings = {**POSTERIOR, "global_weight": 2.0, "total_correlation_weight": 3.0}
    row = tiny(**settings).fit(TRAIN).history_[-1]
    assert row["loss"] == pytest.approx(-2 * row["tnce"] + 3 * row["total_correlation"], abs=1e-4)


def test_without_training_and_without_a_posterior_nothing_is_known():
    untrained = tiny(**POSTERIOR, max_iter=0).fit(TRAIN)
    assert (untrained.lower_bound_, untrained.upper_bound_) == (-math.inf, math.inf)
    plain = tiny().fit(TRAIN)
    assert plain.upper_bound_ == plain.cap_ == math.inf
    assert not [name for name in arrays(plain) if "posterior" in name or "tnce" in name]


@pytest.mark.parametrize("name", ["posterior", "alone", "noise"])
def test_transform_gives_the_mean_and_a_row_depends_on_itself_alone(fitted, name):
    dim = fitted[name]
    whole = dim.transform(HELD_OUT)
    assert (dim.transform(HELD_OUT) == whole).all()
    np.testing.assert_allclose(dim.transform(HELD_OUT[7:9]), whole[7:9], rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        expected = dim.encoder_(dim._learner.standardize(HELD_OUT)).global_.numpy()
    np.testing.assert_allclose(whole, expected, atol=1e-5)
    assert np.abs(coded(dim, HELD_OUT).global_.numpy() - whole).max() > 0.1  # training saw something else
    for features in ("hidden", "local"):
        assert np.isfinite(copy.deepcopy(dim).set_params(features=features).transform(HELD_OUT)).all()


# ---------------------------------------------------------------------------------------------------------------- score
def test_score_is_infonce_of_the_known_density_on_fixed_samples(fitted):
    dim = fitted["alone"]
    code = coded(dim, HELD_OUT, seed=0)
    densities = code.posterior.log_density(code.global_).numpy().astype(float)
    expected = np.mean(
        [
            column[j] - column.max() - math.log(np.exp(column - column.max()).mean())
            for j, column in enumerate(densities.T)
        ]
    )
    assert dim.score(HELD_OUT) == dim.score(HELD_OUT) == pytest.approx(expected, abs=1e-4)
    for n in (2, 5, 60):
        assert dim.score(HELD_OUT[:n]) <= math.log(n) + 1e-6


def test_score_leaves_out_terms_without_weight():
    both, local = (tiny(posterior="gaussian", code_weight=0.0, global_weight=w).fit(TRAIN) for w in (1.0, 0.0))
    assert both._learner.objective.scored_terms == ["local", "tnce"]
    assert local._learner.objective.scored_terms == ["local"]
    assert both.score(HELD_OUT) > local.score(HELD_OUT)


def test_score_of_code_to_code_alone_takes_two_fixed_views(fitted):
    dim = fitted["noise between codes"]
    assert dim._learner.objective.scored_terms == ["code"]
    assert dim.score(HELD_OUT) == dim.score(HELD_OUT) <= min(dim.cap_, math.log(128))


# ------------------------------------------------------------------------------------------------------- noise as a prior
def distance_to_normal(codes):
    return np.mean([kstest(column, "norm").statistic for column in codes.T])


def test_noise_brings_the_marginals_nearer_to_the_prior_than_the_start(fitted):
    start = tiny(**NOISE, max_iter=0).fit(TRAIN).transform(HELD_OUT)
    without = tiny(**QUICK).fit(TRAIN).transform(HELD_OUT)
    end = distance_to_normal(fitted["noise"].transform(HELD_OUT))
    assert end < distance_to_normal(start) / 2
    assert end < distance_to_normal(without)


def test_codes_under_noise_have_the_moments_of_the_prior(fitted):
    # Running moments, of the augmented views in training: near those of the unaugmented rows.
    codes = fitted["noise"].transform(TRAIN)
    assert np.abs(codes.mean(0)).max() < 0.5
    assert codes.std(0).min() > 0.6
    assert codes.std(0).max() < 1.6


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


def test_the_cap_is_the_information_of_normal_codes_through_the_noise():
    weights = torch.eye(3, dtype=torch.float64)
    for sigma in (0.3, 1.0):
        assert Noise(sigma).cap(3) == pytest.approx(information(weights, sigma)[0])


def test_normalised_codes_keep_the_encoder_s_widths_and_other_features():
    encoder = FlatEncoder((6,), 4)
    encoder.local_shape, encoder.n_hidden, encoder.n_components = (4, 1), 4, 4
    normalised = NormalizedCode(_Coded(encoder))
    assert (normalised.local_shape, normalised.n_hidden, normalised.n_components) == ((4, 1), 4, 4)
    X = torch.randn(64, 6, generator=generator())
    code = normalised(X)
    np.testing.assert_allclose(code.global_.mean(0).detach(), 0, atol=1e-6)
    np.testing.assert_allclose(code.global_.var(0, correction=0).detach(), 1, rtol=1e-3)
    assert torch.equal(code.hidden, encoder(X))
    assert not list(normalised.norm.parameters())


class _Coded(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network
        self.local_shape, self.n_hidden, self.n_components = network.local_shape, network.n_hidden, network.n_components

    def forward(self, X):
        y = self.network(X)
        return Code(y.unsqueeze(2), y, y)


def test_additive_noise_has_the_same_variance_everywhere():
    y = AdditiveNoise(Noise(0.5))(Code(torch.zeros(4, 1, 1), torch.zeros(4, 2), torch.ones(4, 3)))
    np.testing.assert_allclose(y.log_variance.exp(), 0.25)
    assert torch.equal(y.mean, torch.ones(4, 3))


def test_the_name_and_its_default_object_are_the_same(fitted):
    assert same_state(fitted["noise"], tiny(**QUICK, prior=NormalPrior(), prior_method=Noise()).fit(TRAIN))
    assert set(PRIOR_METHODS) == {"adversarial", "noise"}
    explicit = tiny(prior_method="adversarial", prior_weight=1.0).fit(TRAIN)
    assert same_state(explicit, tiny(prior_weight=1.0).fit(TRAIN))


def test_sigma_can_be_searched():
    dim = tiny(prior="normal", prior_method=Noise())
    assert clone(dim).set_params(prior_method__sigma=2.0).prior_method == Noise(2.0)
    assert dim.prior_method == Noise()


# ---------------------------------------------------------------------------------------------------------- state and seeds
STATEFUL = {
    "posterior": {**POSTERIOR, "total_correlation_weight": 0.2, "prior_weight": 0.5},
    "noise": NOISE,
}


@pytest.mark.parametrize("name", ["alone", "penalty", "noise", "early stopping"])
def test_a_loaded_model_gives_the_same_bits(fitted, name, tmp_path):
    joblib.dump(fitted[name], tmp_path / "dim.joblib")
    loaded = joblib.load(tmp_path / "dim.joblib", mmap_mode="r")
    assert same_state(loaded, fitted[name])
    assert (loaded.transform(HELD_OUT) == fitted[name].transform(HELD_OUT)).all()
    assert loaded.score(HELD_OUT) == fitted[name].score(HELD_OUT)
    assert (loaded.lower_bound_, loaded.upper_bound_, loaded.cap_) == (
        fitted[name].lower_bound_,
        fitted[name].upper_bound_,
        fitted[name].cap_,
    )


@pytest.mark.parametrize("name", STATEFUL)
def test_continuing_after_a_load_equals_never_having_saved(name, tmp_path):
    never, saved = (tiny(**STATEFUL[name]).partial_fit(TRAIN) for _ in range(2))
    joblib.dump(saved, tmp_path / "dim.joblib")
    saved = joblib.load(tmp_path / "dim.joblib")
    assert same_state(never.partial_fit(TRAIN), saved.partial_fit(TRAIN))
    assert never.history_ == saved.history_
    assert never.n_iter_ == 2
    assert never.upper_bound_ == never.history_[-1].get("l1out", math.inf)


@pytest.mark.parametrize("name", STATEFUL)
def test_training_goes_on_after_a_fit(name):
    dim = tiny(**STATEFUL[name]).fit(TRAIN)
    before = dim.transform(HELD_OUT)
    dim.partial_fit(TRAIN)
    assert dim.n_iter_ == 3
    assert (dim.transform(HELD_OUT) != before).any()
    warm = tiny(**STATEFUL[name], warm_start=True).fit(TRAIN).fit(TRAIN)
    assert warm.n_iter_ == 4


@pytest.mark.parametrize("name", STATEFUL)
def test_a_seed_gives_the_same_bits_and_the_global_generator_is_left_alone(name):
    before = torch.random.get_rng_state()
    a, b = (tiny(**STATEFUL[name]).fit(TRAIN) for _ in range(2))
    assert same_state(a, b)
    assert not same_state(a, tiny(**STATEFUL[name], random_state=1).fit(TRAIN))
    assert torch.equal(before, torch.random.get_rng_state())


class FittedSoFar:
    """Keep the bounds that the estimator reports after every epoch."""

    def __init__(self):
        self.bounds = []

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        if fitted_estimator is not None:
            self.bounds.append(
                (fitted_estimator.lower_bound_, fitted_estimator.upper_bound_, fitted_estimator.score(X))
            )


@pytest.mark.parametrize("name", STATEFUL)
def test_callbacks_meet_the_bounds_of_every_epoch_and_change_nothing(name):
    watch = FittedSoFar()
    dim = tiny_table(**STATEFUL[name]).set_callbacks(watch).fit(table())
    expected = [row["tnce"] if "tnce" in row else row["local"] + row["code"] for row in dim.history_]
    assert [bounds[0] for bounds in watch.bounds[: dim.n_iter_]] == pytest.approx(expected)
    assert np.isfinite([bounds[2] for bounds in watch.bounds]).all()
    assert same_state(dim, tiny_table(**STATEFUL[name]).fit(table()))


# ------------------------------------------------------------------------------------------------------------ what is refused
BAD = {
    "unknown posterior": ({"posterior": "normal"}, "posterior", "gaussian", "normal"),
    "posterior class": ({"posterior": GaussianPosterior}, "posterior", "gaussian"),
    "unknown method": ({"prior_method": "mmd"}, "prior_method", "adversarial", "noise", "mmd"),
    "method None": ({"prior_method": None}, "prior_method", "None"),
    "method class": ({"prior_method": Noise}, "prior_method", "Noise"),
    "negative weight": ({"posterior": "gaussian", "total_correlation_weight": -1.0}, "total_correlation_weight", "-1"),
    "weight NaN": ({"posterior": "gaussian", "total_correlation_weight": math.nan}, "total_correlation_weight", "nan"),
    "weight of words": (
        {"posterior": "gaussian", "total_correlation_weight": "much"},
        "total_correlation_weight",
        "much",
    ),
    "penalty without posterior": (
        {"total_correlation_weight": 1.0},
        "total_correlation_weight=1.0",
        "posterior='gaussian'",
    ),
    "penalty of one": ({**POSTERIOR, "total_correlation_weight": 1.0, "n_components": 1}, "n_components=1"),
    "penalty alone": ({**POSTERIOR, "global_weight": 0.0, "total_correlation_weight": 1.0}, "must be positive"),
    "estimator": ({**POSTERIOR, "estimator": DV()}, "estimator=DV", "no effect", "posterior='gaussian'"),
    "critic": ({**POSTERIOR, "critic": Inner()}, "critic=Inner", "no effect", "posterior='gaussian'"),
    "pair of critics": (
        {**POSTERIOR, "local_weight": 1.0, "critic": ("inner", "inner")},
        "first of the pair",
        "code_weight",
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


def test_defaults_by_name_or_object_are_no_option_without_effect():
    tiny(**POSTERIOR, estimator=InfoNCE(), critic=Separable(), max_iter=0).fit(TRAIN[:8])


# Both kinds of code, through all of scikit-learn's checks.
@pytest.mark.parametrize("options", [POSTERIOR, NOISE], ids=["posterior", "noise"])
def test_scikit_learn_checks(options):
    settings = {"max_iter": 1, "hidden_layer_sizes": (16,), "n_components": 3, "batch_size": 32}
    results = check_estimator(DeepInfoMaxTransformer(**settings, **options), on_skip=None)
    assert {row["check_name"] for row in results if row["status"] != "passed"} <= {"check_array_api_input"}
