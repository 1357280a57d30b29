"""The multi-view objective: negatives, targets and missing views on scores that are known."""

import pytest
import torch

from skdim.bounds import JSD, InfoNCE, infonce, jsd, nwj
from skdim.nn.critics import Cosine, Inner, Separable, build_critic, shared_critic
from skdim.nn.encoders import MLP, build_encoder
from skdim.nn.objectives.multiview import MultiView, PairInfoMax, ViewBatch, ViewEncoders, semi_hard


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pair(bound=None, **options):
    return PairInfoMax(bound or InfoNCE(), build_critic(Inner(), 4, 4), **options)


def objective(n_views=3, graph="full"):
    encoders = ViewEncoders([build_encoder(MLP((8,)), (5,), 4) for _ in range(n_views)], n_views)
    pairs = {(a, b): pair() for a in range(n_views) for b in range(a + 1, n_views)}
    return MultiView(encoders, pairs, list("abcd"[:n_views]), graph)


def test_a_batch_is_the_bound_of_both_anchors():
    term, x, y = pair(), numbers(6, 4), numbers(6, 4, seed=1)
    loss, value = term.of_codes(x, y)
    scores = term.critic(x, y)
    expected = (infonce(scores) + infonce(scores.T)) / 2
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(loss, -expected)
    torch.testing.assert_close(term.infonce(x, y), expected)


def test_semi_hard_negatives_against_a_slow_twin():
    for seed in range(10):
        f = numbers(8, 8, seed=seed)
        chosen = semi_hard(f)
        for i in range(8):
            others = [f[i, j] for j in range(8) if j != i]
            below = [g for g in others if g < f[i, i]]
            assert chosen[0, 1, i] == chosen[1, 0, i] == (max(below) if below else min(others))
            assert chosen[0, 0, i] == chosen[1, 1, i] == f[i, i]


@pytest.mark.parametrize("target", [0.0, 0.3, 5.0])
@pytest.mark.parametrize("bound", [InfoNCE(), JSD()])
def test_a_target_turns_the_gradient(bound, target):
    x, y = numbers(6, 4).requires_grad_(), numbers(6, 4, seed=1)
    free, matched = pair(bound), pair(bound, target=target)
    matched.load_state_dict(free.state_dict())
    loss, value = matched.of_codes(x, y)
    assert loss.item() == pytest.approx(abs(value.item() - target), abs=1e-6)
    (gradient,) = torch.autograd.grad(loss, x)
    (towards,) = torch.autograd.grad(free.of_codes(x, y)[0], x)
    torch.testing.assert_close(gradient, towards if value < target else -towards)
    scores = matched.critic(x, y)
    expected = nwj(scores + 1) if isinstance(bound, JSD) else (infonce(scores) + infonce(scores.T)) / 2
    torch.testing.assert_close(value, expected)
    if isinstance(bound, JSD):
        torch.testing.assert_close(free.of_codes(x, y)[0], -jsd(scores))


def test_missing_views_meet_no_encoder_and_no_pair():
    torch.manual_seed(0)
    module = objective()
    views = [numbers(6, 5, seed=seed) for seed in range(3)]
    present = torch.ones(6, 3, dtype=torch.bool)
    present[0, 0] = present[4, 1] = False
    holes = [view.clone() for view in views]
    for view in range(3):
        holes[view][~present[:, view]] = torch.nan
    loss, parts = module(ViewBatch(holes, present))
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)
    codes = [code.global_ for code in module.encoder(views)]
    both = present[:, 0] & present[:, 1]
    expected = module.terms["a-b"].of_codes(codes[0][both], codes[1][both])[1]
    torch.testing.assert_close(parts["a-b"], expected)


def test_a_batch_without_a_pair_changes_nothing():
    module = objective(2)
    views = [numbers(4, 5), numbers(4, 5)]
    present = torch.tensor([[True, False]] * 2 + [[False, True]] * 2)
    loss, parts = module(ViewBatch(views, present))
    loss.backward()
    assert loss.item() == 0
    assert set(parts) == {"loss"}
    assert all(p.grad is None or not p.grad.any() for p in module.parameters())


def test_the_objective_is_the_mean_over_the_graph():
    for graph, names in (("full", {"a-b", "a-c", "b-c"}), ("core", {"a-b", "a-c"})):
        module = objective(graph=graph)
        _, parts = module(ViewBatch([numbers(6, 5, seed=seed) for seed in range(3)]))
        assert set(parts) == {"loss", *names}
        assert parts["loss"].item() == pytest.approx(-sum(parts[name].item() for name in names) / len(names), abs=1e-6)
        assert len(module.score(ViewBatch([numbers(6, 5, seed=seed) for seed in range(3)]))) == 3


def test_cosine_sees_directions_only():
    critic = build_critic(Cosine(temperature=0.5), 4, 4)
    x, y = numbers(5, 4), numbers(6, 4, seed=1)
    torch.testing.assert_close(critic(x, y), critic(3 * x, 0.1 * y))
    torch.testing.assert_close(critic(x, x).diagonal(), torch.full((5,), 2.0))
    assert build_critic(Cosine(), 7, 4)(numbers(5, 7), y).shape == (5, 6)
    with pytest.raises(ValueError, match="temperature of Cosine must be positive, got 0"):
        Cosine(temperature=0)(4, 4)


def test_a_shared_critic_is_a_separable_one_with_one_embedding():
    assert shared_critic(Separable(width=8)) == Separable(width=8, shared=True)
    assert shared_critic(Inner()) == Inner()
