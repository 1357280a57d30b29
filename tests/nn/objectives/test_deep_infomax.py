"""The objective of Deep InfoMax: the weighted sum by hand, both directions, both players, locations, and what is scored."""

import pytest
import torch

from skdim.bounds import InfoNCE, infonce
from skdim.nn.critics import Inner, Separable
from skdim.nn.objectives import LocalInfoMax

from .builders import KINDS, LOCATIONS, TRAINED, close, deep_infomax, draws, evaluated, matching, numbers, step, term

X, A, B = (numbers(8, 6, seed=seed) for seed in (0, 1, 2))
PAIRS = torch.stack([A, B], 1)


def with_prior(**options):
    return deep_infomax(prior=matching(), prior_weight=0.7, **options)


@pytest.mark.parametrize("bound", TRAINED, ids=repr)
def test_the_objective_of_one_view_is_the_weighted_sum_by_hand(bound):
    module = with_prior(bound=bound, names=("global", "local"))
    given, code = draws(module, X), module.encoder(X)
    loss, parts = module(X, given)
    by_hand = sum(part.weight * part(code, code)[0] for part in module.terms.values())
    by_hand = by_hand + 0.7 * module.adversary.encoder_loss(code.global_)
    discriminator = module.adversary.discriminator_loss(code.global_, given["prior"])
    assert list(parts) == ["loss", "global", "local", "prior", "discriminator"]
    assert parts["loss"].item() == close(by_hand.item())
    assert parts["discriminator"].item() == close(discriminator.item())
    assert loss.item() == close(by_hand.item() + discriminator.item())
    assert loss.requires_grad
    assert not any(part.requires_grad for part in parts.values())


@pytest.mark.parametrize("critic", [Separable(temperature=None), Separable(shared=True), Inner()], ids=repr)
@pytest.mark.parametrize("bound", TRAINED, ids=repr)
def test_two_views_are_related_in_both_directions(bound, critic):
    module = deep_infomax(bound, n_views=2)
    module.terms["code"] = term("code", bound, 3.0, critic)
    a, b = module.encoder(A), module.encoder(B)
    loss, parts = step(module, PAIRS)
    total = 0.0
    for name, part in module.terms.items():
        (loss_ab, value_ab), (loss_ba, value_ba) = part(a, b), part(b, a)
        total += part.weight * (loss_ab + loss_ba).item() / 2
        assert parts[name].item() == close((value_ab + value_ba).item() / 2)
    assert loss.item() == close(total)
    assert step(module, PAIRS.flip(1))[0].item() == close(loss.item())


def test_the_prior_sees_the_codes_of_both_views():
    module = with_prior(n_views=2)
    codes = torch.cat([module.encoder(A).global_, module.encoder(B).global_])
    assert draws(module, PAIRS)["prior"].shape == codes.shape
    assert step(module, PAIRS)[1]["prior"].item() == close(module.adversary.encoder_loss(codes).item())


def test_one_backward_pass_serves_both_players():
    gradients = []
    for split in (False, True):
        module = with_prior(names=("global", "local"))
        if split:
            code = module.encoder(X)
            losses = [part.weight * part(code, code)[0] for part in module.terms.values()]
            (sum(losses) + 0.7 * module.adversary.encoder_loss(code.global_)).backward()
            assert all(parameter.grad is None for parameter in module.adversary.parameters())
            module.adversary.discriminator_loss(code.global_.detach(), draws(module, X)["prior"]).backward()
        else:
            step(module, X)[0].backward()
        gradients.append({name: parameter.grad for name, parameter in module.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-6)


# ------------------------------------------------------------------------------------------------- locations and draws
class Probe(LocalInfoMax):
    """Records the local features that it is given."""

    def forward(self, x, y):
        self.seen = [*getattr(self, "seen", []), (x.local, y.local)]
        return super().forward(x, y)


@pytest.mark.parametrize("n_locations", [1, 4, 8])
def test_a_subset_of_locations_is_drawn_without_replacement_and_shared(n_locations):
    module = deep_infomax(names=("local",), n_views=2, n_locations=n_locations)
    probe = module.terms["local"] = Probe(InfoNCE(), module.terms["local"].critic, 1.0)
    before, drawn = None, set()
    full_a, full_b = module.encoder(A).local, module.encoder(B).local
    for seed in range(60):
        probe.seen = []
        step(module, PAIRS, seed)
        (x, y), (second, first) = probe.seen
        assert torch.equal(x, first)
        assert torch.equal(y, second)
        # Which location each one is: the one that agrees on every sample and channel.
        agree = (full_a[..., None] - x[:, :, None]).abs().amax((0, 1)) < 1e-6
        assert (agree.sum(0) == 1).all()
        chosen = agree.int().argmax(0).tolist()
        assert len(set(chosen)) == len(chosen) == n_locations
        torch.testing.assert_close(y, full_b[:, :, chosen])
        drawn |= set(chosen)
        assert chosen != before or n_locations == 1
        before = chosen
    assert drawn == set(range(LOCATIONS))


@pytest.mark.parametrize(("n_locations", "is_subset"), [(2, True), (LOCATIONS, False), (100, False)])
def test_a_subset_concerns_the_local_term_only_and_as_many_as_there_are_means_all(n_locations, is_subset):
    every, some = (step(deep_infomax(n_views=2, n_locations=n), PAIRS)[1] for n in (None, n_locations))
    assert [every[name] == some[name] for name in KINDS] == [True, not is_subset, True]


def test_a_step_depends_on_its_generator_and_evaluation_on_none():
    module = with_prior(n_locations=3, posterior=lambda code: None)
    before = torch.random.get_rng_state()
    first, same, other = (draws(module, X, seed) for seed in (1, 1, 2))
    assert set(first) == {"uniform", "noise", "locations", "prior"}
    for name in ("noise", "locations", "prior"):
        assert torch.equal(first[name], same[name])
        assert not torch.equal(first[name], other[name])
    fixed, again = (draws(module, X, None) for _ in range(2))
    assert set(fixed) == {"uniform", "noise"}
    assert torch.equal(fixed["noise"], again["noise"])
    assert torch.equal(torch.random.get_rng_state(), before)


# ---------------------------------------------------------------------------------------------------- held-out samples
@pytest.mark.parametrize("n_views", [1, 2])
@pytest.mark.parametrize("bound", TRAINED, ids=repr)
def test_evaluating_gives_what_a_step_of_all_locations_reports_in_eval_mode(bound, n_views):
    module, samples = deep_infomax(bound, n_views=n_views, n_locations=2).eval(), PAIRS if n_views == 2 else X
    found = evaluated(module, samples)
    module.n_locations = None
    with torch.no_grad():
        reported = step(module, samples)[1]
    assert list(found) == list(reported) == ["loss", *KINDS]
    for name, part in found.items():
        assert part.item() == close(reported[name].item()), name
    assert found == evaluated(module, samples)


@pytest.mark.parametrize(
    ("weights", "scored"),
    [
        ((1.0, 1.0, 1.0), ["global", "local"]),
        ((1.0, 0.0, 1.0), ["global"]),
        ((0.0, 0.0, 2.0), ["code"]),
        ((0.0, 0.0, 0.0), ["global", "local"]),
    ],
)
def test_the_score_adds_up_infonce_of_the_terms_with_weight(weights, scored):
    module = deep_infomax(n_views=2)
    for part, weight in zip(module.terms.values(), weights, strict=True):
        part.weight = weight
    assert module.scored_terms == scored
    whole, a, b = module.encoder(PAIRS), module.encoder(A), module.encoder(B)
    pairs = {"global": (whole, whole), "local": (whole, whole), "code": (a, b)}  # only "code" needs two views
    expected = sum(module.terms[name].mean(infonce, *pairs[name]).item() for name in scored)
    assert evaluated(module, PAIRS, "score").item() == close(expected)


def test_features_are_the_parts_of_the_code_and_as_wide_as_they_say():
    module = deep_infomax()
    local, hidden, global_ = module.encoder(X)
    for name, features in (("global", global_), ("hidden", hidden), ("local", local.flatten(1))):
        assert torch.equal(module.features(X, {}, name), features)
        assert module.widths()[name] == features.shape[1]
