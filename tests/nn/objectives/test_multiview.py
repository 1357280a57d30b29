"""The multi-view objective: negatives, targets, groups, graphs and missing views on scores that are known."""

import math

import numpy as np
import pytest
import torch

from skdim.bounds import BOUNDS, JSD, InfoNCE, infonce
from skdim.inputs.layout import Layout
from skdim.nn.critics import Inner, build_critic
from skdim.nn.encoders import MLP, build_encoder
from skdim.nn.objectives.multiview import NEGATIVES, MultiView, PairInfoMax, ViewEncoders, semi_hard

from .builders import draws, evaluated, numbers, seeded, step

NAMES, X = "abc", numbers(6, 15)


def pair(bound=None, **options):
    return PairInfoMax(bound or InfoNCE(), build_critic(Inner(), 4, 4), **options)


def objective(n_views=3, graph="full", **options):
    def build():
        encoders = ViewEncoders([build_encoder(MLP((8,)), (5,), 4) for _ in range(n_views)])
        pairs = {(a, b): pair(**options) for a in range(n_views) for b in range(a + 1, n_views)}
        return MultiView(encoders, pairs, layout, graph)

    layout = Layout([(name, 5 * i + np.arange(5), (5,)) for i, name in enumerate(NAMES[:n_views])], "columns")
    return seeded(build)


def codes_of(module, X):
    return [code.global_ for code in module.encoder(X.split(5, dim=1))]


def both_anchors(scores, function=infonce):
    return (function(scores) + function(scores.T)) / 2


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_a_pair_is_the_bound_of_both_anchors(negatives):
    term, x, y = pair(negatives=negatives), numbers(6, 4), numbers(6, 4, seed=1)
    loss, value = term.of_codes(x, y)
    scores = term.critic(x, y)
    hard = both_anchors(scores, lambda f: InfoNCE().symmetric_value(semi_hard(f)))
    expected = hard if negatives == "semi_hard" else both_anchors(scores)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(loss, -expected)
    torch.testing.assert_close(term.infonce(x, y), both_anchors(scores))


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
@pytest.mark.parametrize("bound", BOUNDS)
def test_a_target_turns_the_gradient(bound, target):
    x, y = numbers(6, 4).requires_grad_(), numbers(6, 4, seed=1)
    free, matched = pair(BOUNDS[bound]()), pair(BOUNDS[bound](), target=target)
    matched.critic.load_state_dict(free.critic.state_dict())
    loss, value = matched.of_codes(x, y)
    assert loss.item() == pytest.approx(abs(value.item() - target), abs=1e-6)
    torch.testing.assert_close(value, BOUNDS[bound]().symmetric_value(matched.critic(x, y)))
    (gradient,) = torch.autograd.grad(loss, x)
    (towards,) = torch.autograd.grad(free.of_codes(x, y)[0], x)
    torch.testing.assert_close(gradient, towards if value < target else -towards)


# ------------------------------------------------------------------------------------------------------- views and rows
def lacking(*holes):
    """Return ``present`` of six samples, and X whose missing views are NaN."""
    present = np.ones((6, 3), dtype=bool)
    for row, view in holes:
        present[row, view] = False
    return present, X.masked_fill(torch.from_numpy(~present.repeat(5, axis=1)), math.nan)


def test_missing_views_meet_no_encoder_and_no_pair():
    module, (present, holes) = objective(), lacking((0, 0), (4, 1))
    loss, parts = step(module, holes, present=present)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)
    codes = codes_of(module, X)
    for a, b in module.pairs:
        both = torch.from_numpy(present[:, a] & present[:, b])
        expected = both_anchors(module._term((a, b)).critic(codes[a][both], codes[b][both]))
        torch.testing.assert_close(parts[module.name((a, b))], expected)
    assert step(module, X, present=np.ones((6, 3), dtype=bool)) == step(module, X)


def test_a_batch_without_a_pair_changes_nothing():
    module = objective(2)
    present = np.array([[True, False]] * 3 + [[False, True]] * 3)
    loss, parts = step(module, X[:, :10], present=present)
    loss.backward()
    assert loss.item() == 0
    assert set(parts) == {"loss"}
    assert all(p.grad is None or not p.grad.any() for p in module.parameters())
    with pytest.raises(ValueError, match="No pair of views is present in two samples of the 6"):
        evaluated(module, X[:, :10], "score", present=present)


@pytest.mark.parametrize("n_rows", [1, 2])
def test_a_view_of_one_row_is_encoded_in_evaluation_only(n_rows):
    module, (present, _) = objective(), lacking(*((row, 1) for row in range(n_rows, 6)))
    rows = [[len(part) for part in draws(module, X, seed, present=present)["of_view"]] for seed in (0, None)]
    assert rows == [[6, n_rows if n_rows > 1 else 0, 6], [6, n_rows, 6]]


@pytest.mark.parametrize("bound", [InfoNCE(), JSD()], ids=repr)
@pytest.mark.parametrize("groups", [[0, 0, 1, 1, 1, 0], [2, 7, 7, 7, 5, 5], [0, 1, 2, 3, 4, 4]])
def test_negatives_of_the_same_group_are_the_mean_over_groups_of_two_or_more(groups, bound):
    module, groups = objective(2, bound=bound, negatives="same_group"), np.array(groups)
    loss, parts = step(module, X[:, :10], groups=groups)
    term, (x, y) = module.terms["a-b"], codes_of(module, X[:, :10])
    members = [torch.from_numpy(np.flatnonzero(groups == group)) for group in np.unique(groups)]
    scores = [term.critic(x[rows], y[rows]) for rows in members if len(rows) > 1]
    weights = [len(part) / sum(map(len, scores)) for part in scores]
    for found, function in ((loss, bound.symmetric_loss), (parts["a-b"], bound.symmetric_value)):
        expected = sum(weight * function(part) for weight, part in zip(weights, scores, strict=True))
        torch.testing.assert_close(found, expected)
    assert "a-b" not in step(module, X[:, :10], groups=np.arange(6))[1]  # no group has two


@pytest.mark.parametrize("negatives", NEGATIVES)
@pytest.mark.parametrize(("graph", "names"), [("full", ["a-b", "a-c", "b-c"]), ("core", ["a-b", "a-c"])])
def test_the_objective_is_the_mean_over_the_graph_and_the_score_over_all_pairs(graph, names, negatives):
    module = objective(graph=graph, negatives=negatives)
    loss, parts = step(module, X)
    assert list(parts) == ["loss", *names]
    assert module.bounds == names
    assert parts["loss"].item() == pytest.approx(-sum(parts[name].item() for name in names) / len(names), abs=1e-6)
    codes = codes_of(module, X)
    expected = np.mean([both_anchors(module._term(p).critic(codes[p[0]], codes[p[1]])).item() for p in module.pairs])
    assert evaluated(module, X, "score").item() == pytest.approx(expected, abs=1e-6)
    # Critics outside the graph are trained; the encoders are not trained for them.
    loss.backward()
    assert all(p.grad is not None for p in module.others.parameters())
    found = [p.grad for p in module.encoder.parameters()]
    module.pairs = [p for p in module.pairs if module.name(p) in names]
    expected = torch.autograd.grad(step(module, X)[0], module.encoder.parameters())
    torch.testing.assert_close(found, list(expected))


def test_features_of_present_views():
    module, (present, holes) = objective(), lacking((0, 0), (4, 1))
    codes = torch.stack(codes_of(module, X), 1)
    weights = torch.from_numpy(present).float()[..., None]
    mean = (codes * weights).sum(1) / weights.sum(1)
    torch.testing.assert_close(module.features(holes, {}, "mean"), mean)
    torch.testing.assert_close(module.features(X, {}, "concat"), codes.flatten(1))
    torch.testing.assert_close(module.features(X, {}, "b"), codes[:, 1])
    assert module.widths() == {"concat": 12, "mean": 4, "a": 4, "b": 4, "c": 4}
