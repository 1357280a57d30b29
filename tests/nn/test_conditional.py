"""Conditional densities against SciPy, their start, and what training makes of them."""

import math

import numpy as np
import pytest
import torch
from helpers import assert_one_graph
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import log_softmax
from scipy.stats import norm
from test_critics import randomized
from torch import nn

from skdim.nn.conditional import LARGEST_LOG_VARIANCE, CategoricalConditional, GaussianConditional
from skdim.nn.objectives.ratio import ConditionalObjective
from skdim.nn.ratio import RadialInputs


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def inputs(dim_x=3):
    return RadialInputs(noise(50, dim_x, seed=91))


def gaussian(dim_x=3, dim_y=2, hidden=(8, 6), random=True):
    network = GaussianConditional(inputs(dim_x), dim_y, hidden)
    return randomized(network) if random else network


def categorical(n_classes=4, hidden=(8, 6), random=True):
    frequencies = torch.arange(1.0, n_classes + 1)
    network = CategoricalConditional(inputs(), frequencies / frequencies.sum(), hidden)
    return randomized(network) if random else network


X, Y, LABELS = noise(7, 3, seed=1), noise(5, 2, seed=2), torch.tensor([0, 3, 1, 1, 2])
MODELS = {"gaussian": (gaussian, Y), "categorical": (categorical, LABELS)}


# -------------------------------------------------------------------------------------------------------------- all models
@pytest.mark.parametrize("model", MODELS)
def test_the_joint_is_the_diagonal_of_all_pairs(model):
    build, y = MODELS[model]
    network = build()
    scores = network(X, y)
    assert scores.shape == (7, 5)
    torch.testing.assert_close(network.joint(X[:5], y), scores[:5].diagonal(), rtol=1e-4, atol=1e-4)
    for i in range(7):
        for j in range(5):
            alone = network.joint(X[[i]], y[[j]]).item()
            assert scores[i, j].item() == pytest.approx(alone, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_what_a_step_minimises_is_the_negative_log_likelihood(model):
    build, y = MODELS[model]
    objective = ConditionalObjective(build())
    loss, parts = objective([X[:5], y], {})
    assert loss.item() == pytest.approx(-objective.critic.joint(X[:5], y).mean().item())
    assert parts["loss"].item() == loss.item()
    assert not parts["loss"].requires_grad
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in objective.parameters())
    assert any(p.grad.any() for p in objective.parameters())


@pytest.mark.parametrize("model", MODELS)
def test_a_conditional_is_one_graph(model):
    build, y = MODELS[model]
    network = build()
    assert_one_graph(network, X, y)
    assert_one_graph(ConditionalObjective(network), [X[:5], y], {})


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("hidden", [(), (8,), (8, 6)])
def test_the_layers_are_those_asked_for(model, hidden):
    network = MODELS[model][0](hidden=hidden).network
    sizes = [layer.out_features for layer in network if isinstance(layer, nn.Linear)]
    assert sizes[:-1] == list(hidden)
    assert sizes[-1] == 4  # two means and two log variances, or four classes


@pytest.mark.parametrize("model", MODELS)
def test_far_rows_have_finite_scores(model):
    build, y = MODELS[model]
    x = torch.cat([1e4 * X, torch.zeros(1, 3)])
    assert torch.isfinite(build()(x, y)).all()


# ---------------------------------------------------------------------------------------------------------------- Gaussian
@pytest.mark.parametrize("hidden", [(), (8,), (8, 6)])
def test_the_gaussian_starts_as_the_standard_normal(hidden):
    expected = norm.logpdf(Y).sum(1)
    for row in gaussian(hidden=hidden, random=False)(X, Y).detach():
        np.testing.assert_allclose(row, expected, rtol=1e-5)


def test_the_gaussian_is_scipys_density_of_its_mean_and_variance():
    network = gaussian()
    raw = network.network(network.inputs(X)).detach().double().numpy()
    mean, bounded = raw[:, :2], LARGEST_LOG_VARIANCE * np.tanh(raw[:, 2:] / LARGEST_LOG_VARIANCE)
    for i in range(7):
        expected = norm.logpdf(Y.double().numpy(), mean[i], np.exp(bounded[i] / 2)).sum(1)
        np.testing.assert_allclose(network(X[[i]], Y)[0].detach(), expected, rtol=2e-4, atol=2e-4)


def test_the_gaussian_integrates_to_1():
    network = gaussian(dim_y=1)

    def density(x):
        return lambda y: math.exp(network.joint(x, torch.tensor([[y]])).item())

    for i in range(3):
        mean, log_variance = network._moments(X[[i]])
        centre, width = mean.item(), 8 * math.exp(log_variance.item() / 2)
        assert quad(density(X[[i]]), centre - width, centre + width)[0] == pytest.approx(1, abs=1e-3)


@given(st.floats(-1e6, 1e6))
def test_log_variances_are_bounded_and_near_0_as_they_come(raw):
    network = gaussian(dim_y=1, hidden=(), random=False)
    with torch.no_grad():
        network.network[-1].bias[1] = raw
    log_variance = network._moments(X[:1])[1].item()
    assert abs(log_variance) <= LARGEST_LOG_VARIANCE
    if abs(raw) < 1:
        assert log_variance == pytest.approx(raw, rel=0.01, abs=1e-6)


def test_training_finds_the_conditional_of_a_line():
    x = noise(2000, 1, seed=3)
    y = 0.8 * x + 0.6 * noise(2000, 1, seed=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = GaussianConditional(RadialInputs(x, radial=False), 1, (16,))
    objective = ConditionalObjective(network)
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        objective([x, y], {})[0].backward()
        optimizer.step()
    entropy = 0.5 * math.log(2 * math.pi * math.e * 0.36)
    assert objective([x, y], {})[0].item() == pytest.approx(entropy, abs=0.03)
    mean, log_variance = network._moments(torch.tensor([[1.0]]))
    assert mean.item() == pytest.approx(0.8, abs=0.1)
    assert log_variance.item() == pytest.approx(math.log(0.36), abs=0.2)


# ------------------------------------------------------------------------------------------------------------- categorical
@pytest.mark.parametrize("hidden", [(), (8,), (8, 6)])
def test_the_categorical_starts_as_the_frequencies(hidden):
    scores = categorical(hidden=hidden, random=False)(X, torch.arange(4)).detach().exp()
    torch.testing.assert_close(scores, torch.tensor([0.1, 0.2, 0.3, 0.4]).expand(7, 4))


def test_the_categorical_is_the_softmax_of_its_network_and_the_log_frequencies():
    network = categorical()
    raw = network.network(network.inputs(X)).detach().double().numpy()
    expected = log_softmax(raw + np.log([0.1, 0.2, 0.3, 0.4]), axis=1)
    np.testing.assert_allclose(network(X, torch.arange(4)).detach(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(network(X, torch.arange(4)).detach().exp().sum(1), 1, rtol=1e-5)


def test_frequencies_are_kept_with_the_state():
    network = categorical()
    assert "log_frequencies" in network.state_dict()
    assert "log_frequencies" not in dict(network.named_parameters())
