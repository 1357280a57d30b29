"""Terms: what is paired with what, against bounds of scores; and parts of the locations against all of them at once."""

import math

import numpy as np
import pytest
import torch

from skdim.bounds import BOUNDS, DV, InfoNCE, infonce
from skdim.nn.adapt import Code, Critic
from skdim.nn.critics import CRITICS, Bilinear
from skdim.nn.objectives import CodeInfoMax, terms

from .builders import KINDS, TRAINED, close, code, deep_infomax, generator, seeded, term


def scores_of(one, x, y):
    ((share, scores),) = one.scores(x, y)
    assert share == 1
    return scores


def paired(name, y):
    """Return what a term pairs with the codes, location by location."""
    flat = y.local.transpose(1, 2).flatten(1)
    return [flat] if name == "global" else list(y.local.unbind(2)) if name == "local" else [y.global_]


@pytest.mark.parametrize("name", KINDS)
def test_anchors_are_codes_and_candidates_are_features_of_the_same_location(name):
    x, y = code(1), code(2)
    one = term(name)
    expected = torch.stack([one.critic(x.global_, features) for features in paired(name, y)], 2)
    torch.testing.assert_close(scores_of(one, x, y).reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)
    changed = y._replace(local=y.local.clone())
    changed.local[3, :, 5] += 10.0
    differs = (scores_of(one, x, changed) - scores_of(one, x, y)).abs() > 1e-6
    where = {"global": (slice(None), 3), "local": (slice(None), 3, 5)}.get(name)
    assert differs.sum() == (8 if where else 0)
    assert where is None or differs[where].all()


@pytest.mark.parametrize("bound", TRAINED, ids=repr)
@pytest.mark.parametrize("name", KINDS)
def test_a_term_is_the_mean_over_locations_and_over_both_anchors_unless_the_bound_is_symmetric(name, bound):
    x, y = code(1), code(2)
    one = term(name, bound)
    each = [one.critic(x.global_, features) for features in paired(name, y)]
    expected = [
        np.mean([function(f).item() for scores in each for f in ([scores] if bound.symmetric else [scores, scores.T])])
        for function in (bound.loss, bound.value)
    ]
    loss, value = one(x, y)
    assert (loss.item(), value.item()) == close(expected)
    assert loss.requires_grad
    assert not value.requires_grad
    with torch.no_grad():
        evaluated = [part.item() for part in one.eval().evaluate(x, y)]
        assert evaluated == close(expected)
        assert one.score(x, y).item() == close(np.mean([infonce(f).item() for f in each]))


@pytest.mark.parametrize("bound", TRAINED, ids=repr)
def test_locations_scored_in_parts_are_those_scored_at_once(monkeypatch, bound):
    x, y = code(1), code(2)
    results = []
    for pairs, n_parts in ((2**18, 1), (8 * 8 * 2, 5), (1, 9)):
        monkeypatch.setattr(terms, "PAIRS_IN_TRAINING", pairs)
        monkeypatch.setattr(terms, "PAIRS_AT_ONCE", pairs)
        one = term("local", bound, critic=Bilinear())
        assert len(list(one.scores(x, y, pairs))) == n_parts
        loss, value = one(x, y)
        loss.backward()
        gradients = [p.grad for p in one.parameters() if p.grad is not None]
        results.append([loss, value, *gradients, *one.eval().evaluate(x, y), one.score(x, y)])
    for parts in results[1:]:
        for a, b in zip(results[0], parts, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_the_moving_average_of_dv_belongs_to_the_criterion_and_is_kept():
    one = term("code", DV())
    assert math.isnan(one.criterion.log_average.item())
    for seed in range(3):
        one(code(seed), code(seed + 5))
    kept = one.criterion.log_average.item()
    assert math.isfinite(kept)
    assert one.state_dict()["criterion.log_average"].item() == kept
    one.eval().evaluate(code(), code(1))
    one.score(code(), code(1))
    assert one.criterion.log_average.item() == kept  # looking is not training


@pytest.mark.parametrize("bound", BOUNDS)
def test_only_the_average_of_dv_is_a_state_of_the_estimator(bound):
    names, plain = (set(deep_infomax(cls()).state_dict()) for cls in (BOUNDS[bound], InfoNCE))
    assert names - plain == ({f"terms.{name}.criterion.log_average" for name in KINDS} if bound == "dv" else set())
    assert plain <= names


@pytest.mark.parametrize("bound", TRAINED, ids=repr)
@pytest.mark.parametrize("critic", CRITICS)
def test_a_term_learns_what_its_codes_share(critic, bound):
    # y is x with a tenth of its signs turned: 0.74 nats, and the log-ratio is a x.y + b, which every critic can represent.
    one = seeded(lambda: CodeInfoMax(bound, Critic(CRITICS[critic]()(2, 2), bound.offset), 1.0))
    optimizer = torch.optim.Adam(one.parameters(), lr=5e-2)
    source = generator()

    def pair():
        x = torch.randint(0, 2, (64, 2), generator=source) * 2.0 - 1
        y = torch.where(torch.rand(64, 2, generator=source) < 0.1, -x, x)
        return Code(x, x, x), Code(x, x, y)

    for _ in range(60):
        optimizer.zero_grad()
        one(*pair())[0].backward()
        optimizer.step()
    one.eval()
    with torch.no_grad():
        assert np.mean([one.evaluate(*pair())[1].item() for _ in range(20)]) > 0.4
