"""Prior matching: both players' losses against hand computations, and codes that move to the prior."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import nn

from skdim.nn.objectives import PRIORS, PriorMatching

from .builders import WIDTH, generator, matching, numbers

DOUBLE = torch.float64
#: scipy's name of the distribution of a prior's components, and the map from codes to its support.
REFERENCES = {"uniform": ("uniform", torch.sigmoid), "normal": ("norm", lambda codes: codes)}
assert set(REFERENCES) == set(PRIORS)


def codes_and_samples(prior, n=6):
    codes = numbers(n, WIDTH, dtype=DOUBLE)
    return codes.requires_grad_(), PRIORS[prior]().sample((n, WIDTH), generator(3)).double()


@pytest.mark.parametrize("prior", PRIORS)
def test_neither_loss_gives_a_gradient_to_the_other_player(prior):
    module, (codes, samples) = matching(prior, dtype=DOUBLE), codes_and_samples(prior, 10)
    module.encoder_loss(codes).backward()
    assert all(parameter.grad is None for parameter in module.parameters())
    assert (codes.grad.abs().sum(1) > 0).sum() > 5
    codes.grad = None
    module.discriminator_loss(codes, samples).backward()
    assert codes.grad is None
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in module.parameters())


@pytest.mark.parametrize("prior", PRIORS)
def test_the_encoder_loss_is_non_saturating_by_hand(prior):
    module, (codes, _) = matching(prior, dtype=DOUBLE), codes_and_samples(prior)
    logits = module.discriminator(REFERENCES[prior][1](codes))
    assert module.encoder_loss(codes).item() == pytest.approx(-F.logsigmoid(logits).mean().item(), abs=1e-12)


@pytest.mark.parametrize("penalty", [0.0, 1.0, 7.0])
@pytest.mark.parametrize("prior", PRIORS)
def test_the_discriminator_loss_by_hand_with_one_gradient_per_sample(prior, penalty):
    module, (codes, samples) = matching(prior, penalty=penalty, dtype=DOUBLE), codes_and_samples(prior)
    squashed = REFERENCES[prior][1](codes).detach()

    def slope(point):
        point = point.clone().requires_grad_()
        return torch.autograd.grad(module.discriminator(point[None]).squeeze(), point)[0].square().sum().item()

    real, fake = module.discriminator(samples), module.discriminator(squashed)
    by_hand = -F.logsigmoid(real).mean().item() - F.logsigmoid(-fake).mean().item()
    by_hand += penalty / 2 * (np.mean([slope(z) for z in samples]) + np.mean([slope(y) for y in squashed]))
    assert module.discriminator_loss(codes, samples).item() == pytest.approx(by_hand, rel=1e-10)


@pytest.mark.parametrize("n", [1, 6, 50])
def test_the_gradient_penalty_of_a_linear_discriminator_is_its_squared_weight(n):
    losses, gradients = [], []
    for penalty in (0.0, 2.5):
        module = matching(hidden=(), penalty=penalty, dtype=DOUBLE)
        weight = module.discriminator[0].weight
        losses.append(module.discriminator_loss(*codes_and_samples("uniform", n)))
        gradients.append(torch.autograd.grad(losses[-1], weight)[0])
    assert (losses[1] - losses[0]).item() == pytest.approx(2.5 * weight.square().sum().item(), rel=1e-10)
    torch.testing.assert_close(gradients[1] - gradients[0], 5.0 * weight.detach())


@pytest.mark.parametrize("prior", PRIORS)
def test_the_prior_is_sampled_and_met_on_its_support(prior):
    configured, (reference, squash) = PRIORS[prior](), REFERENCES[prior]
    assert torch.equal(configured.squash(numbers(9, 2)), squash(numbers(9, 2)))
    before = torch.random.get_rng_state()
    sample = configured.sample((5000, 2), generator())
    assert torch.equal(sample, configured.sample((5000, 2), generator()))
    assert torch.equal(torch.random.get_rng_state(), before)
    for column in sample.double().numpy().T:
        assert stats.kstest(column, reference).pvalue > 1e-3
    assert abs(np.corrcoef(sample.T)[0, 1]) < 4.5 / math.sqrt(5000)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"penalty": -0.1}, "penalty of .*Prior must be at least 0, got -0.1"),
        ({"penalty": math.nan}, "penalty of .*Prior must be at least 0, got nan"),
        ({"hidden_layer_sizes": (8, 0)}, r"hidden_layer_sizes of .*Prior must .*got \(8, 0\)"),
        ({"hidden_layer_sizes": 8}, r"hidden_layer_sizes of .*Prior must .*got 8"),
    ],
)
@pytest.mark.parametrize("prior", PRIORS)
def test_a_prior_checks_its_parameters(prior, params, message):
    with pytest.raises(ValueError, match=message):
        PriorMatching(PRIORS[prior](**params), 2)


@pytest.mark.parametrize("hidden", [(), (5,), (5, 6, 7)])
def test_the_discriminator_has_the_layers_asked_for(hidden):
    layers = [m for m in matching(hidden=hidden).discriminator if isinstance(m, nn.Linear)]
    assert [layer.out_features for layer in layers] == [*hidden, 1]


@pytest.mark.parametrize("prior", PRIORS)
def test_codes_move_to_the_prior(prior):
    # No encoder: the codes themselves are learned. With the encoder's sign wrong they would flee the prior.
    module, source = matching(prior, n_components=2, hidden=(64, 64)), generator()
    codes = nn.Parameter(0.4 * numbers(256, 2) + 1.5)
    players = [
        torch.optim.Adam([codes], lr=2e-2, betas=(0.5, 0.9)),
        torch.optim.Adam(module.parameters(), lr=2e-3, betas=(0.5, 0.9)),
    ]

    def distance():
        marginals = module.prior.squash(codes).detach().double().numpy().T
        return np.mean([stats.kstest(marginal, REFERENCES[prior][0]).statistic for marginal in marginals])

    before = distance()
    for _ in range(400):
        for player in players:
            player.zero_grad()
        samples = module.prior.sample((256, 2), source)
        (module.encoder_loss(codes) + module.discriminator_loss(codes, samples)).backward()
        for player in players:
            player.step()
    assert before > 0.5
    assert distance() < before / 2
