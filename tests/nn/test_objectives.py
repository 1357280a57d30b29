"""Objectives: prior matching against hand computations, terms, and the weighted sum."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import nn

from skdim.bounds import BOUNDS, DV, JSD, NWJ, Alpha, InfoNCE, infonce, nwj
from skdim.nn.critics import CRITICS, Bilinear, Critic, Inner, Separable
from skdim.nn.encoders import Code
from skdim.nn.objectives import PRIORS, CodeInfoMax, DeepInfoMax, GlobalInfoMax, LocalInfoMax, PriorMatching

BOUND_LIST = [InfoNCE(), JSD(), DV(), NWJ(), Alpha(alpha=0.1)]
CHANNELS, LOCATIONS, HIDDEN, WIDTH = 4, 9, 5, 3


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def code(n=8, seed=0, locations=LOCATIONS, dtype=torch.float32):
    sizes = (n, CHANNELS, locations), (n, HIDDEN), (n, WIDTH)
    return Code(*(noise(*size, seed=10 * seed + i, dtype=dtype) for i, size in enumerate(sizes)))


class Encoder(nn.Module):
    """Inputs of shape (n, 6) -> codes, smooth and deterministic."""

    def __init__(self):
        super().__init__()
        self.local, self.top = nn.Linear(6, CHANNELS * LOCATIONS), nn.Linear(6, WIDTH)

    def forward(self, X):
        local = torch.tanh(self.local(X)).unflatten(1, (CHANNELS, LOCATIONS))
        return Code(local, X, torch.tanh(self.top(X)))


def seeded(build, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def terms(bound, names=("global", "local", "code"), weights=(0.5, 2.0, 3.0)):
    kinds = {
        "global": (GlobalInfoMax, CHANNELS * LOCATIONS),
        "local": (LocalInfoMax, CHANNELS),
        "code": (CodeInfoMax, WIDTH),
    }
    return {
        name: kinds[name][0](bound, Critic(Separable(width=6, temperature=None)(WIDTH, kinds[name][1])), weight)
        for name, weight in zip(names, weights, strict=False)
    }


# ----------------------------------------------------------------------------------------------------- prior matching
def matching(prior="uniform", n_components=WIDTH, hidden=(16, 8), penalty=1.0, dtype=torch.float64):
    configured = PRIORS[prior](hidden_layer_sizes=hidden, penalty=penalty)
    return seeded(lambda: PriorMatching(configured, n_components)).to(dtype)


@pytest.mark.parametrize("prior", PRIORS)
def test_the_encoder_loss_gives_the_discriminator_no_gradient(prior):
    module, codes = matching(prior), noise(10, WIDTH, dtype=torch.float64).requires_grad_()
    module.encoder_loss(codes).backward()
    assert all(parameter.grad is None for parameter in module.parameters())
    assert (codes.grad.abs().sum(1) > 0).sum() > 5


@pytest.mark.parametrize("prior", PRIORS)
def test_the_discriminator_loss_gives_the_codes_no_gradient(prior):
    module, codes = matching(prior), noise(10, WIDTH, dtype=torch.float64).requires_grad_()
    module.discriminator_loss(codes).backward()
    assert codes.grad is None
    # the last bias alone may be without one in the penalty, but not in the loss
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in module.parameters())


def test_the_encoder_loss_is_non_saturating_by_hand():
    module, codes = matching(), noise(10, WIDTH, dtype=torch.float64)
    logits = module.discriminator(torch.sigmoid(codes))
    assert module.encoder_loss(codes).item() == pytest.approx(-F.logsigmoid(logits).mean().item(), abs=1e-12)


@pytest.mark.parametrize("penalty", [0.0, 1.0, 7.0])
@pytest.mark.parametrize("prior", PRIORS)
def test_the_discriminator_loss_by_hand_with_one_gradient_per_sample(prior, penalty):
    module, codes = matching(prior, penalty=penalty), noise(6, WIDTH, dtype=torch.float64)
    draw = torch.rand if prior == "uniform" else torch.randn
    samples = draw((6, WIDTH), generator=torch.Generator().manual_seed(3)).double()
    squashed = torch.sigmoid(codes) if prior == "uniform" else codes

    def slope(point):
        point = point.clone().requires_grad_()
        return torch.autograd.grad(module.discriminator(point[None]).squeeze(), point)[0].square().sum().item()

    real, fake = module.discriminator(samples), module.discriminator(squashed)
    by_hand = -F.logsigmoid(real).mean().item() - F.logsigmoid(-fake).mean().item()
    by_hand += penalty / 2 * (np.mean([slope(z) for z in samples]) + np.mean([slope(y) for y in squashed]))
    found = module.discriminator_loss(codes, torch.Generator().manual_seed(3)).item()
    assert found == pytest.approx(by_hand, rel=1e-10)


@pytest.mark.parametrize("n", [1, 6, 50])
def test_the_gradient_penalty_of_a_linear_discriminator_is_its_squared_weight(n):
    losses, gradients = [], []
    for penalty in (0.0, 2.5):
        module = matching(hidden=(), penalty=penalty)
        weight = module.discriminator[0].weight
        losses.append(module.discriminator_loss(noise(n, WIDTH, dtype=torch.float64), torch.Generator().manual_seed(3)))
        gradients.append(torch.autograd.grad(losses[-1], weight)[0])
    assert (losses[1] - losses[0]).item() == pytest.approx(2.5 * weight.square().sum().item(), rel=1e-10)
    torch.testing.assert_close(gradients[1] - gradients[0], 5.0 * weight.detach())


def test_the_penalty_pulls_the_discriminator_down():
    module = matching(penalty=100.0)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(0)
    codes = noise(32, WIDTH, dtype=torch.float64)

    def slope():
        point = torch.rand(64, WIDTH, dtype=torch.float64, requires_grad=True)
        return torch.autograd.grad(module.discriminator(point).sum(), point)[0].square().sum(1).mean().item()

    before = slope()
    for _ in range(20):
        optimizer.zero_grad()
        module.discriminator_loss(codes, generator).backward()
        optimizer.step()
    assert slope() < before / 2


@pytest.mark.parametrize(("prior", "squash"), [("uniform", torch.sigmoid), ("normal", lambda codes: codes)])
def test_the_prior_is_sampled_and_met_on_its_support(prior, squash):
    configured = PRIORS[prior]()
    codes = noise(9, 2)
    assert torch.equal(configured.squash(codes), squash(codes))
    sample = configured.sample((5000, 2), torch.Generator().manual_seed(0))
    reference = {"uniform": "uniform", "normal": "norm"}[prior]
    for column in sample.double().numpy().T:
        assert stats.kstest(column, reference).pvalue > 1e-3
    assert abs(np.corrcoef(sample.T)[0, 1]) < 4.5 / math.sqrt(5000)


def test_the_prior_is_drawn_from_the_generator_given():
    module, codes = matching(), noise(6, WIDTH, dtype=torch.float64)
    before = torch.random.get_rng_state()
    a, b, c = (module.discriminator_loss(codes, torch.Generator().manual_seed(seed)).item() for seed in (1, 1, 2))
    assert a == b != c
    assert torch.equal(torch.random.get_rng_state(), before)


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


@pytest.mark.parametrize(("prior", "reference"), [("uniform", "uniform"), ("normal", "norm")])
def test_codes_move_to_the_prior(prior, reference):
    # No encoder: the codes themselves are learned. With the encoder's sign wrong they would flee the prior.
    module = matching(prior, n_components=2, hidden=(64, 64), dtype=torch.float32)
    codes = nn.Parameter(0.4 * noise(256, 2) + 1.5)
    players = [
        torch.optim.Adam([codes], lr=2e-2, betas=(0.5, 0.9)),
        torch.optim.Adam(module.parameters(), lr=2e-3, betas=(0.5, 0.9)),
    ]
    generator = torch.Generator().manual_seed(0)

    def distance():
        marginals = module.prior.squash(codes).detach().double().numpy().T
        return np.mean([stats.kstest(marginal, reference).statistic for marginal in marginals])

    before = distance()
    for _ in range(400):
        for player in players:
            player.zero_grad()
        (module.encoder_loss(codes) + module.discriminator_loss(codes, generator)).backward()
        for player in players:
            player.step()
    assert before > 0.5
    assert distance() < before / 2


# -------------------------------------------------------------------------------------------------------------- terms
@pytest.mark.parametrize(("kind", "name"), [(GlobalInfoMax, "global"), (LocalInfoMax, "local"), (CodeInfoMax, "code")])
def test_anchors_are_codes_and_candidates_are_features(kind, name):
    x, y = code(seed=1), code(seed=2)
    term = terms(InfoNCE(), (name,))[name]
    assert type(term) is kind
    scores = term.scores(x, y)
    for i in range(8):
        for j in range(8):
            features = {
                "global": y.local[j].T.flatten(),
                "local": y.local[j],
                "code": y.global_[j],
            }[name]
            one = term.critic(x.global_[[i]], features[None])[0, 0]
            torch.testing.assert_close(scores[i, j], one, rtol=1e-4, atol=1e-5)


def test_a_location_meets_only_the_same_location_of_other_samples():
    x, y = code(seed=1), code(seed=2)
    term = terms(InfoNCE(), ("local",), (1.0,))["local"]
    before = term.scores(x, y)
    y.local[3, :, 5] += 10.0
    changed = (term.scores(x, y) - before).abs() > 1e-6
    expected = torch.zeros_like(changed)
    expected[:, 3, 5] = True
    assert torch.equal(changed, expected)


def test_the_local_bound_is_the_mean_over_locations():
    x, y = code(seed=1), code(seed=2)
    term = terms(InfoNCE(), ("local",), (1.0,))["local"]
    each = [infonce(term.critic(x.global_, y.local[:, :, p])).item() for p in range(LOCATIONS)]
    assert InfoNCE().value(term.scores(x, y)).item() == pytest.approx(np.mean(each), abs=1e-5)


@pytest.mark.parametrize("bound", BOUND_LIST, ids=repr)
def test_a_term_trains_both_directions_unless_the_bound_is_symmetric(bound):
    x, y = code(seed=1), code(seed=2)
    term = terms(bound, ("local",), (1.0,))["local"]
    loss, value = term(x, y)
    scores = term.scores(x, y)
    by_hand = bound.loss(scores)
    if not bound.symmetric:
        by_hand = (by_hand + bound.loss(scores.transpose(0, 1))) / 2
    assert loss.item() == pytest.approx(by_hand.item(), abs=1e-5)
    reported = -by_hand if bound.loss_is_value else bound.value(scores)
    assert value.item() == pytest.approx(reported.item(), abs=1e-5)
    assert not value.requires_grad
    assert loss.requires_grad


@pytest.mark.parametrize("bound", BOUND_LIST, ids=repr)
def test_locations_scored_in_parts_are_those_scored_at_once(monkeypatch, bound):
    x, y = code(seed=1), code(seed=2)
    results = []
    for pairs in (2**18, 8 * 8 * 2, 1):  # all nine locations at once, two at a time, one at a time
        monkeypatch.setattr("skdim.nn.objectives._terms.PAIRS_IN_TRAINING", pairs)
        term = seeded(lambda: terms(bound, ("local",), (1.0,))["local"])
        loss, value = term(x, y)
        loss.backward()
        results.append([loss, value, *(p.grad for p in term.parameters() if p.grad is not None)])
    for parts in results[1:]:
        for a, b in zip(results[0], parts, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_a_jsd_term_reports_the_nwj_plug_in():
    x, y = code(seed=1), code(seed=2)
    term = terms(JSD(), ("local",), (1.0,))["local"]
    assert term(x, y)[1].item() == pytest.approx(nwj(term.scores(x, y) + 1).item(), abs=1e-6)
    with torch.no_grad():
        assert term.evaluate(term.bound.value, x, y).item() == pytest.approx(term(x, y)[1].item(), abs=1e-5)


def test_the_moving_average_of_dv_belongs_to_the_term_and_is_kept():
    term = terms(DV(), ("code",), (1.0,))["code"]
    assert math.isnan(term.log_average.item())
    assert "log_average" in term.state_dict()
    for seed in range(3):
        term(code(seed=seed), code(seed=seed + 5))
    kept = term.log_average.item()
    assert math.isfinite(kept)
    with torch.no_grad():
        term.evaluate(term.bound.value, code(), code(seed=1))
        term.evaluate(term.bound.loss, code(), code(seed=1))
    assert term.log_average.item() == kept  # looking is not training


@pytest.mark.parametrize("locations", [1, 7, 8, 9, 20])
@pytest.mark.parametrize("bound", BOUND_LIST, ids=repr)
def test_evaluating_in_groups_equals_all_locations_at_once(bound, locations):
    x, y = code(seed=1, locations=locations), code(seed=2, locations=locations)
    term = LocalInfoMax(bound, Critic(Bilinear()(WIDTH, CHANNELS)), 1.0)
    with torch.no_grad():
        for function in (bound.value, bound.loss):
            direct = function(term.scores(x, y)).item()
            assert term.evaluate(function, x, y).item() == pytest.approx(direct, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("kind", [GlobalInfoMax, CodeInfoMax])
def test_evaluating_codes_equals_their_bound(kind):
    x, y = code(seed=1), code(seed=2)
    width = CHANNELS * LOCATIONS if kind is GlobalInfoMax else WIDTH
    term = kind(InfoNCE(), Critic(Inner()(WIDTH, width)), 1.0)
    with torch.no_grad():
        assert term.evaluate(infonce, x, y).item() == pytest.approx(infonce(term.scores(x, y)).item(), abs=1e-6)


@pytest.mark.parametrize("bound", BOUND_LIST, ids=repr)
@pytest.mark.parametrize("critic", CRITICS)
def test_a_term_learns_what_its_codes_share(critic, bound):
    # y is x with a tenth of its signs turned: 0.74 nats, and the log-ratio is a x.y + b, which every critic can represent.
    term = seeded(lambda: CodeInfoMax(bound, Critic(CRITICS[critic]()(2, 2), bound.offset), 1.0))
    optimizer = torch.optim.Adam(term.parameters(), lr=5e-2)
    generator = torch.Generator().manual_seed(0)

    def pair():
        x = torch.randint(0, 2, (64, 2), generator=generator) * 2.0 - 1
        y = torch.where(torch.rand(64, 2, generator=generator) < 0.1, -x, x)
        return Code(x, x, x), Code(x, x, y)

    for _ in range(60):
        optimizer.zero_grad()
        term(*pair())[0].backward()
        optimizer.step()
    with torch.no_grad():
        assert np.mean([term.evaluate(bound.value, *pair()).item() for _ in range(20)]) > 0.4


# ------------------------------------------------------------------------------------------------ the whole objective
def objective(bound=None, prior=None, prior_weight=0.0, n_locations=None, **kwargs):
    return seeded(
        lambda: DeepInfoMax(Encoder(), terms(bound or InfoNCE(), **kwargs), prior, prior_weight, n_locations), seed=1
    )


@pytest.mark.parametrize("bound", BOUND_LIST, ids=repr)
def test_the_objective_of_one_view_is_the_weighted_sum_by_hand(bound):
    module = objective(bound, matching(dtype=torch.float32), prior_weight=0.7, names=("global", "local"))
    X = noise(8, 6)
    encoded = module.encoder(X)
    loss, parts = module([X], torch.Generator().manual_seed(5))
    by_hand = sum(term.weight * objective_term(term, encoded, encoded)[0] for term in module.terms.values())
    by_hand = by_hand + 0.7 * module.prior.encoder_loss(encoded.global_)
    discriminator = module.prior.discriminator_loss(encoded.global_, torch.Generator().manual_seed(5))
    assert list(parts) == ["loss", "global", "local", "prior", "discriminator"]
    assert parts["loss"].item() == pytest.approx(by_hand.item(), rel=1e-5, abs=1e-5)
    assert parts["discriminator"].item() == pytest.approx(discriminator.item(), rel=1e-5)
    assert loss.item() == pytest.approx(by_hand.item() + discriminator.item(), rel=1e-5, abs=1e-5)
    assert loss.requires_grad
    assert not any(part.requires_grad for part in parts.values())


def objective_term(term, x, y):
    """Return a term's loss and value with its moving average not yet started."""
    term.log_average.fill_(math.nan)
    result = term(x, y)
    term.log_average.fill_(math.nan)
    return result


@pytest.mark.parametrize("critic", [Separable(temperature=None), Separable(shared=True), Inner()], ids=repr)
@pytest.mark.parametrize("bound", [InfoNCE(), JSD(), NWJ(), Alpha(alpha=0.1)], ids=repr)
def test_two_views_are_related_in_both_directions(bound, critic):
    module = objective(bound)
    module.terms["code"] = CodeInfoMax(bound, seeded(lambda: Critic(critic(WIDTH, WIDTH))), 3.0)
    a, b = noise(8, 6, seed=1), noise(8, 6, seed=2)
    loss, parts = module([a, b])
    code_a, code_b = module.encoder(a), module.encoder(b)
    total = 0.0
    for name, term in module.terms.items():
        (loss_ab, value_ab), (loss_ba, value_ba) = term(code_a, code_b), term(code_b, code_a)
        total += term.weight * (loss_ab + loss_ba).item() / 2
        assert parts[name].item() == pytest.approx((value_ab + value_ba).item() / 2, rel=1e-4, abs=1e-5)
    assert loss.item() == pytest.approx(total, rel=1e-4, abs=1e-5)
    exchanged = module([b, a])[0].item()
    assert exchanged == pytest.approx(loss.item(), rel=1e-4, abs=1e-5)


def test_the_prior_sees_the_codes_of_both_views():
    module = objective(prior=matching(dtype=torch.float32), prior_weight=0.7)
    a, b = noise(8, 6, seed=1), noise(8, 6, seed=2)
    global_ = torch.cat([module.encoder(a).global_, module.encoder(b).global_])
    parts = module([a, b], torch.Generator().manual_seed(0))[1]
    assert parts["prior"].item() == pytest.approx(module.prior.encoder_loss(global_).item(), rel=1e-5)


def test_one_backward_pass_serves_both_players():
    X = noise(8, 6)
    gradients = []
    for split in (False, True):
        module = objective(prior=matching(dtype=torch.float32), prior_weight=0.7, names=("global", "local"))
        if split:
            encoded = module.encoder(X)
            losses = [term.weight * term(encoded, encoded)[0] for term in module.terms.values()]
            (sum(losses) + 0.7 * module.prior.encoder_loss(encoded.global_)).backward()
            assert all(parameter.grad is None for parameter in module.prior.parameters())
            module.prior.discriminator_loss(encoded.global_.detach(), torch.Generator().manual_seed(5)).backward()
        else:
            module([X], torch.Generator().manual_seed(5))[0].backward()
        gradients.append({name: parameter.grad for name, parameter in module.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-6)


class Probe(LocalInfoMax):
    """Records the local features it is given."""

    def forward(self, x, y):
        self.seen = [*getattr(self, "seen", []), (x.local, y.local)]
        return super().forward(x, y)


@pytest.mark.parametrize("n_locations", [1, 4, 8])
def test_a_subset_of_locations_is_drawn_without_replacement_and_shared(n_locations):
    probe = Probe(InfoNCE(), Critic(Inner()(WIDTH, CHANNELS)), 1.0)
    module = seeded(lambda: DeepInfoMax(Encoder(), {"local": probe}, n_locations=n_locations))
    a, b = noise(8, 6, seed=1), noise(8, 6, seed=2)
    generator = torch.Generator().manual_seed(0)
    chosen_before, drawn = None, set()
    full_a, full_b = module.encoder(a).local, module.encoder(b).local
    for _ in range(60):
        probe.seen = []
        module([a, b], generator)
        (x, y), (second, first) = probe.seen
        assert torch.equal(x, first)
        assert torch.equal(y, second)
        assert x.shape == (8, CHANNELS, n_locations)
        # which location each one is: the one that agrees on every sample and channel
        chosen = [
            [p for p in range(LOCATIONS) if torch.allclose(full_a[:, :, p], x[:, :, q])] for q in range(n_locations)
        ]
        assert all(len(found) == 1 for found in chosen)
        chosen = [found[0] for found in chosen]
        assert len(set(chosen)) == n_locations
        torch.testing.assert_close(y, full_b[:, :, chosen])
        drawn |= set(chosen)
        assert chosen != chosen_before or n_locations == 1
        chosen_before = chosen
    assert drawn == set(range(LOCATIONS))


def test_the_subset_concerns_the_local_term_only():
    everything, subset = objective(), objective(n_locations=2)
    views = [noise(8, 6, seed=1), noise(8, 6, seed=2)]
    full, part = everything(views)[1], subset(views, torch.Generator().manual_seed(0))[1]
    assert full["global"] == part["global"]
    assert full["code"] == part["code"]
    assert full["local"] != part["local"]


@pytest.mark.parametrize("n_locations", [LOCATIONS, 100, None])
def test_as_many_locations_as_there_are_means_all(n_locations):
    views = [noise(8, 6)]
    names = ("local",)
    assert objective(n_locations=n_locations, names=names)(views)[0] == objective(names=names)(views)[0]


@pytest.mark.parametrize("bound", [JSD(), DV(), NWJ()], ids=repr)
def test_evaluate_gives_every_bound_over_all_locations(bound):
    module = objective(bound, n_locations=2).eval()
    X = noise(8, 6)
    with torch.no_grad():
        parts, encoded = module.evaluate([X]), module.encoder(X)
        assert list(parts) == ["loss", "global", "local", "code"]
        loss = 0.0
        for name, term in module.terms.items():
            scores = term.scores(encoded, encoded)
            assert parts[name].item() == pytest.approx(bound.value(scores).item(), rel=1e-4, abs=1e-5)
            loss += term.weight * bound.loss(scores).item()
        assert parts["loss"].item() == pytest.approx(loss, rel=1e-4, abs=1e-5)
        assert all(torch.equal(part, parts[name]) for name, part in module.evaluate([X]).items())


@pytest.mark.parametrize("n_views", [1, 2])
@pytest.mark.parametrize("bound", [InfoNCE(), JSD(), NWJ(), Alpha(alpha=0.1)], ids=repr)
def test_evaluating_gives_what_a_step_in_eval_mode_reports(bound, n_views):
    module = objective(bound).eval()
    views = [noise(8, 6, seed=seed) for seed in range(n_views)]
    with torch.no_grad():
        evaluated, reported = module.evaluate(views), module(views)[1]
    assert evaluated.keys() == reported.keys()
    for name, part in evaluated.items():
        assert part.item() == pytest.approx(reported[name].item(), rel=1e-4, abs=1e-5), name


@pytest.mark.parametrize("bound", BOUNDS)
def test_the_state_of_an_objective_does_not_depend_on_the_estimator(bound):
    names = [set(objective(cls()).state_dict()) for cls in (BOUNDS[bound], InfoNCE)]
    assert names[0] == names[1]
