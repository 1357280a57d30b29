"""Gaussian densities and log ratios of all pairs, against SciPy and the closed forms of one pair."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from skdim.information import canonical
from skdim.nn.gaussian import GaussianReference, MixtureReference, log_density, log_density_of_pairs
from skdim.synthetic import GaussianMixture


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# -------------------------------------------------------------------------------------------------------------- densities
def test_the_densities_are_scipys():
    mean, log_variance, y = noise(6, 3, seed=1), noise(6, 3, seed=2), noise(4, 3, seed=3)
    expected = norm.logpdf(y[None], mean[:, None], (log_variance / 2).exp()[:, None])
    single = log_density(y[None], mean[:, None], log_variance[:, None])
    np.testing.assert_allclose(single, expected, rtol=1e-4, atol=1e-5)
    pairs = log_density_of_pairs(y, mean, log_variance)
    assert pairs.dtype == torch.float32
    np.testing.assert_allclose(pairs, expected.sum(2), rtol=1e-5, atol=1e-5)


def test_close_rows_under_small_variances_do_not_cancel():
    mean, log_variance = 10 + 1e-2 * noise(50, 8), torch.full((50, 8), math.log(1e-4))
    y = mean + 1e-2 * noise(50, 8, seed=1)
    expected = norm.logpdf(y.double()[None], mean.double()[:, None], 1e-2).sum(2)
    np.testing.assert_allclose(log_density_of_pairs(y, mean, log_variance), expected, rtol=1e-6, atol=1e-4)


def test_gradients_reach_all_arguments():
    arguments = [noise(4, 3).requires_grad_() for _ in range(3)]
    log_density_of_pairs(*arguments).sum().backward()
    assert all(argument.grad.isfinite().all() and argument.grad.any() for argument in arguments)


# --------------------------------------------------------------------------------------------------- Gaussian reference
@pytest.mark.parametrize("correlations", [[], [0.5], [0.9, -0.7, 0.1], [0.0, 0.99]])
def test_the_reference_is_the_closed_form_on_all_pairs(correlations):
    k = len(correlations)
    x, y = noise(6, k + 2, seed=1), noise(5, k + 1, seed=2)
    scores = GaussianReference(torch.tensor(correlations))(x, y)
    assert scores.shape == (6, 5)
    pairs = [(i, j) for i in range(6) for j in range(5)]
    rows_x, rows_y = (x.double().numpy()[[i for i, _ in pairs]], y.double().numpy()[[j for _, j in pairs]])
    expected = canonical.log_ratio(rows_x[:, :k], rows_y[:, :k], np.array(correlations)).reshape(6, 5)
    np.testing.assert_allclose(scores.detach(), expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(("dim_x", "dim_y", "k"), [(1, 1, 1), (1, 3, 4), (4, 2, 2), (3, 3, 5)])
def test_a_mixture_as_the_reference_is_the_closed_form_on_all_pairs(dim_x, dim_y, k):
    rng = np.random.default_rng(0)
    d = dim_x + dim_y
    roots = rng.normal(size=(k, d, d + 2))
    weights, means = rng.dirichlet(np.ones(k)), rng.normal(size=(k, d))
    covariances = roots @ roots.transpose(0, 2, 1) / d
    mixture = GaussianMixture(weights, means, covariances, dim_x)
    reference = MixtureReference(*map(torch.from_numpy, (weights, means, covariances)), dim_x)
    x, y = noise(6, dim_x + 1, seed=1), noise(5, dim_y + 2, seed=2)  # what follows the variates is not looked at
    scores = reference(x, y)
    assert scores.shape == (6, 5)
    for j in range(5):
        rows_y = np.repeat(y.double().numpy()[j : j + 1, :dim_y], 6, axis=0)
        expected = mixture.log_ratio(x.double().numpy()[:, :dim_x], rows_y)
        np.testing.assert_allclose(scores[:, j], expected, rtol=2e-5, atol=2e-5)


def test_a_mixture_of_one_is_the_gaussian_reference():
    rho = 0.7
    mixture = MixtureReference(torch.ones(1), torch.zeros(1, 2), torch.tensor([[[1, rho], [rho, 1]]]), 1)
    x, y = noise(6, 1, seed=1), noise(5, 1, seed=2)
    torch.testing.assert_close(mixture(x, y), GaussianReference(torch.tensor([rho]))(x, y).detach())


def test_a_correlation_near_1_keeps_its_precision():
    x = noise(200, 1)
    y = x + 0.01 * noise(200, 1, seed=1)
    rho = torch.tensor([1 - 1e-4], dtype=torch.float64)
    scores = GaussianReference(rho)(x, y).diagonal().detach()
    expected = canonical.log_ratio(x.double().numpy(), y.double().numpy(), rho.numpy())
    np.testing.assert_allclose(scores, expected, atol=0.02)


def test_each_axis_has_its_own_scale():
    x, y = noise(6, 2, seed=1), noise(5, 2, seed=2)
    correlations = [0.9, -0.7]
    both = GaussianReference(torch.tensor(correlations))
    alone = [GaussianReference(torch.tensor([rho])) for rho in correlations]
    assert both.log_scale.tolist() == [0, 0]
    with torch.no_grad():
        both.log_scale.copy_(torch.tensor([2.0, 0.5]).log())
    constants = [-0.5 * math.log(1 - rho**2) for rho in correlations]
    terms = [one(x[:, [i]], y[:, [i]]) - constants[i] for i, one in enumerate(alone)]
    torch.testing.assert_close(both(x, y), 2.0 * terms[0] + 0.5 * terms[1] + sum(constants), rtol=1e-4, atol=1e-4)
