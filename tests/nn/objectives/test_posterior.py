"""Stochastic codes: densities, bounds that enclose known information, total correlation, and noise as a prior."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn

from skdim.bounds import l1out, tnce
from skdim.nn.adapt import Code, Encoder
from skdim.nn.objectives import (
    AdditiveNoise,
    DeepInfoMax,
    Gaussian,
    GaussianPosterior,
    Noise,
    NormalizedCode,
    PosteriorInfoMax,
    StochasticCode,
    total_correlation,
)
from skdim.nn.objectives.posterior import VARIANCE_CEILING, VARIANCE_FLOOR

from .builders import HIDDEN, WIDTH, SmoothEncoder, numbers, seeded, step

DOUBLE = torch.float64


# ----------------------------------------------------------------------------------------------------------- densities
def test_the_log_density_is_the_normal_one():
    mean, log_variance, y = (numbers(n, 3, seed=seed) for seed, n in enumerate((4, 4, 5)))
    posterior = Gaussian(mean, log_variance)
    for i in range(4):
        expected = norm.logpdf(y.numpy(), mean[i].numpy(), (log_variance[i] / 2).exp().numpy())
        np.testing.assert_allclose(posterior.component_log_density(y)[i], expected, rtol=1e-4)
        np.testing.assert_allclose(posterior.log_density(y)[i], expected.sum(1), rtol=1e-4)


def test_the_joint_density_does_not_cancel_far_from_the_origin_at_the_smallest_variance():
    mean = 100 + numbers(16, 8)
    posterior = Gaussian(mean, torch.full_like(mean, math.log(VARIANCE_FLOOR)))
    y = posterior.sample(numbers(16, 8, seed=1))
    expected = norm.logpdf(y.double(), mean.double(), math.sqrt(VARIANCE_FLOOR)).sum(1)
    np.testing.assert_allclose(posterior.log_density(y).diagonal(), expected, atol=1e-3)
    np.testing.assert_allclose(posterior.component_log_density(y).sum(2).diagonal(), expected, atol=0.1)


def test_samples_have_the_mean_and_the_variance_and_pass_the_gradient_to_both():
    mean, log_variance = torch.tensor([[1.0, -20.0]]), torch.tensor([[0.0, -4.0]])
    y = Gaussian(mean.expand(40_000, 2), log_variance.expand(40_000, 2)).sample(numbers(40_000, 2))
    np.testing.assert_allclose(y.mean(0), mean[0], atol=0.02)
    np.testing.assert_allclose(y.var(0), log_variance[0].exp(), rtol=0.03)
    both = [torch.zeros(8, 2, requires_grad=True) for _ in range(2)]
    Gaussian(*both).sample(numbers(8, 2)).square().sum().backward()
    assert all((part.grad != 0).all() for part in both)


@pytest.mark.parametrize("size", [0.0, 1.0, 1e3, 1e30])
def test_the_variance_stays_between_floor_and_ceiling(size):
    code = Code(torch.zeros(50, 1, 1), size * numbers(50, 6), torch.zeros(50, 3))
    variance = GaussianPosterior(6, 3)(code).log_variance.exp()
    assert variance.min() >= VARIANCE_FLOOR * 0.999
    assert variance.max() <= VARIANCE_CEILING
    if size == 1e30:  # both ends are reached
        assert variance.min() < 2 * VARIANCE_FLOOR
        assert variance.max() > VARIANCE_CEILING / 2


# ------------------------------------------------------------------------------------------- bounds of known information
WEIGHTS = torch.tensor([[1.0, 0.0, 0.3], [0.8, 0.5, 0.0], [0.0, 0.4, 1.0], [0.5, 0.5, 0.5]], dtype=DOUBLE)


def linear_gaussian(sigma, k, seed):
    """Return a batch of y = W x + sigma * noise with x of independent standard normal components, as a stochastic code."""
    x = numbers(k, WEIGHTS.shape[1], seed=seed, dtype=DOUBLE)
    mean = x @ WEIGHTS.T
    log_variance = torch.full_like(mean, 2 * math.log(sigma))
    y = Gaussian(mean, log_variance).sample(numbers(*mean.shape, seed=10_000 + seed, dtype=DOUBLE))
    return StochasticCode(torch.zeros(k, 1, 1), x, y, mean, log_variance)


def information(weights, sigma):
    covariance = weights @ weights.T + sigma**2 * torch.eye(len(weights), dtype=DOUBLE)
    return (torch.logdet(covariance) / 2 - len(weights) * math.log(sigma)).item(), covariance


@pytest.mark.parametrize("sigma", [2.0, 1.0, 0.5, 0.2])
@pytest.mark.parametrize("k", [16, 128])
def test_tnce_and_l1out_hold_the_information_between_them(sigma, k):
    truth, _ = information(WEIGHTS, sigma)
    term = PosteriorInfoMax(1.0)
    codes = [linear_gaussian(sigma, k, seed) for seed in range(60)]
    lower = np.array([term(code, code)[1].item() for code in codes])
    upper = np.array([term.further_bounds(code)["l1out"].item() for code in codes])
    error = 3 * max(lower.std(), upper.std()) / math.sqrt(len(codes))
    assert lower.mean() - error <= truth <= upper.mean() + error
    assert (lower <= upper).all()
    assert (lower <= math.log(k) + 1e-9).all()
    if truth < 1 and k == 128:  # where information is small they meet
        assert upper.mean() - lower.mean() < 0.1


def test_the_bounds_are_those_of_a_slow_computation():
    code, k, lower, upper = linear_gaussian(0.7, 6, seed=3), 6, 0.0, 0.0
    for j in range(k):
        densities = [np.prod(norm.pdf(code.global_[j].numpy(), code.mean[i].numpy(), 0.7)) for i in range(k)]
        lower += math.log(densities[j] / np.mean(densities)) / k
        upper += math.log(densities[j] / np.mean(np.delete(densities, j))) / k
    term = PosteriorInfoMax(2.0)
    loss, value = term(code, code)
    assert value.item() == term.score(code, code).item() == pytest.approx(lower)
    assert loss.item() == pytest.approx(-lower)  # the objective weighs it
    assert term.further_bounds(code) == {"l1out": pytest.approx(upper)}


def test_between_two_views_the_code_of_one_is_scored_under_the_other_s_posterior():
    a, b = (linear_gaussian(0.7, 6, seed) for seed in (3, 4))
    expected = tnce(b.posterior.log_density(a.global_))
    assert PosteriorInfoMax(1.0)(a, b)[1] == expected != PosteriorInfoMax(1.0)(b, a)[1]


def test_a_known_posterior_needs_a_stochastic_code():
    code = Code(torch.zeros(4, 1, 1), torch.zeros(4, 2), torch.zeros(4, 2))
    with pytest.raises(TypeError, match="StochasticCode, got Code"):
        PosteriorInfoMax(1.0)(code, code)


# ---------------------------------------------------------------------------------------------------- total correlation
def correlation_bound(code):
    return PosteriorInfoMax(1.0, total_correlation_weight=1.0).further_bounds(code)["total_correlation"].item()


@pytest.mark.parametrize("sigma", [3.0, 1.5, 1.0, 0.5])
def test_the_total_correlation_is_not_understated(sigma):
    _, covariance = information(WEIGHTS, sigma)
    scale = covariance.diagonal().rsqrt()
    truth = -0.5 * torch.logdet(covariance * scale[:, None] * scale).item()
    values = np.array([correlation_bound(linear_gaussian(sigma, 256, seed)) for seed in range(30)])
    assert values.mean() + 3 * values.std() / math.sqrt(30) >= truth
    if sigma >= 1:  # I(X; Y) is far below log 256: near the truth
        assert values.mean() == pytest.approx(truth, abs=0.1)


@pytest.mark.parametrize("sigma", [0.7, 0.01])
def test_the_total_correlation_is_the_sum_of_upper_bounds_less_tnce(sigma):
    code = linear_gaussian(sigma, 12, seed=1)
    components, rates = code.posterior.component_log_density(code.global_), code.posterior.component_rates(code.global_)
    upper = torch.stack([l1out(components[:, :, c]) for c in range(4)])
    alone, both = (part.sum() - tnce(components.sum(2)) for part in (upper, torch.minimum(upper, rates)))
    assert total_correlation(components.sum(2), components).item() == pytest.approx(alone.item())
    assert correlation_bound(code) == pytest.approx(both.item())


def test_the_rate_of_a_component_knows_the_other_samples_moments_alone():
    code, k = linear_gaussian(0.5, 7, seed=2), 7
    shifted = StochasticCode(code.local, code.hidden, code.global_ + 1e4, code.mean + 1e4, code.log_variance)
    expected = np.zeros(4)
    for j in range(k):
        means = np.delete(code.mean.numpy(), j, axis=0)
        scale = np.sqrt(means.var(0) + 0.25)
        own = norm.logpdf(code.global_[j], code.mean[j], 0.5) - norm.logpdf(code.global_[j], means.mean(0), scale)
        expected += own / k
    for each in (code, shifted):
        np.testing.assert_allclose(each.posterior.component_rates(each.global_), expected, rtol=1e-6)


@pytest.mark.parametrize("sigma", [1.0, 0.1, 0.01])
def test_the_rate_of_a_component_is_an_upper_bound_that_is_near_however_large_the_information_is(sigma):
    _, covariance = information(WEIGHTS, sigma)
    truth = (covariance.diagonal() / sigma**2).log() / 2
    values = np.array(
        [
            code.posterior.component_rates(code.global_).numpy()
            for code in (linear_gaussian(sigma, 128, s) for s in range(40))
        ]
    )
    error = 3 * values.std(0) / math.sqrt(len(values))
    assert (values.mean(0) + error >= truth.numpy()).all()
    np.testing.assert_allclose(values.mean(0), truth, atol=0.05)


class Wide(Encoder):
    """An encoder whose codes start hundreds of standard deviations apart."""

    local_shape, n_hidden, n_components = (8, 1), 8, 6

    def __init__(self):
        super().__init__()
        self.code = nn.Linear(8, 6)
        nn.init.normal_(self.code.weight, std=30.0)

    def forward(self, X):
        return Code(X.unsqueeze(2), X, self.code(X))


def test_training_at_high_information_keeps_every_gradient_finite():
    # Sums of densities, a mask of -20 or a variance without floor break here: the start is at thousands of nats, each pair of
    # samples apart by exp(-1000s), and the penalty has to bring that down.
    term = PosteriorInfoMax(1.0, 1.0)
    module = seeded(lambda: DeepInfoMax(Wide(), {"tnce": term}, posterior=GaussianPosterior(8, 6)))
    nn.init.constant_(module.posterior.log_variance.bias, -6.0)  # next to the floor
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    history = []
    for seed in range(400):
        loss, values = step(module, numbers(64, 8, seed=seed), seed)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad.isfinite().all() for p in module.parameters())
        optimizer.step()
        history.append({name: value.item() for name, value in values.items()})
        assert history[-1]["loss"] == pytest.approx(history[-1]["total_correlation"] - history[-1]["tnce"], rel=1e-5)
    assert np.isfinite([list(row.values()) for row in history]).all()
    assert history[0]["l1out"] > 1000
    assert history[0]["tnce"] == pytest.approx(math.log(64), abs=0.01)
    assert history[-1]["total_correlation"] < history[0]["total_correlation"] / 10


# ----------------------------------------------------------------------------------------------------- noise as a prior
@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_the_cap_is_the_information_of_normal_codes_through_the_noise(sigma):
    assert Noise(sigma).cap(3) == pytest.approx(information(torch.eye(3, dtype=DOUBLE), sigma)[0])
    y = AdditiveNoise(Noise(sigma))(Code(torch.zeros(4, 1, 1), torch.zeros(4, 2), torch.ones(4, 3)))
    np.testing.assert_allclose(y.log_variance.exp(), sigma**2, rtol=1e-6)
    assert torch.equal(y.mean, torch.ones(4, 3))


def test_normalised_codes_have_the_moments_of_the_batch_in_training_and_of_the_row_alone_in_eval_mode():
    encoder, X = SmoothEncoder(), numbers(64, HIDDEN)
    normalised = NormalizedCode(encoder)
    assert (normalised.local_shape, normalised.n_hidden, normalised.n_components) == (
        encoder.local_shape,
        HIDDEN,
        WIDTH,
    )
    code, plain = normalised(X), encoder(X)
    np.testing.assert_allclose(code.global_.mean(0).detach(), 0, atol=1e-6)
    np.testing.assert_allclose(code.global_.var(0, correction=0).detach(), 1, rtol=1e-3)
    assert torch.equal(code.hidden, plain.hidden)
    assert torch.equal(code.local, plain.local)
    assert not list(normalised.norm.parameters())
    normalised.eval()
    torch.testing.assert_close(normalised(X[:2]).global_, normalised(X).global_[:2])
