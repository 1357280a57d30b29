"""Estimates whose negatives are all locations of the other samples, against sums term by term."""

import math

import pytest
import torch

from skdim import CPCTransformer, DeepInfoMaxTransformer, MultiViewInfoMaxTransformer
from skdim.bounds import PooledDV, PooledInfoNCE, dv, infonce, pooled_dv, pooled_infonce
from skdim.nn.adapt import Code, Critic
from skdim.nn.critics import Inner
from skdim.nn.objectives import terms

K, P = 4, 3
SCORES = torch.randn(K, K, P, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
BOUNDS = [PooledInfoNCE(), PooledDV()]


def test_every_location_of_every_other_sample_is_a_negative():
    f, total = SCORES.tolist(), 0.0
    for i in range(K):
        negatives = [f[i][j][q] for j in range(K) if j != i for q in range(P)]
        total += sum(f[i][i][p] - math.log(math.fsum(map(math.exp, [f[i][i][p], *negatives]))) for p in range(P))
    assert pooled_infonce(SCORES).item() == pytest.approx(math.log((K - 1) * P + 1) + total / (K * P))
    joint = [f[i][i][p] for i in range(K) for p in range(P)]
    marginal = [math.exp(f[i][j][p]) for i in range(K) for j in range(K) if i != j for p in range(P)]
    expected = math.fsum(joint) / len(joint) - math.log(math.fsum(marginal) / len(marginal))
    assert pooled_dv(SCORES).item() == pytest.approx(expected)


def test_one_location_is_the_plain_estimate():
    scores = SCORES[:, :, 0]
    assert pooled_infonce(scores).item() == pytest.approx(infonce(scores).item())
    assert pooled_dv(SCORES[:, :, :1]).item() == pytest.approx(dv(scores).item())


@pytest.mark.parametrize("bound", BOUNDS, ids=repr)
def test_scores_that_tell_nothing_are_worth_nothing(bound):
    assert bound.value(torch.full((K, K, P), 3.0)).item() == pytest.approx(0.0, abs=1e-6)
    assert bound.kind == "estimate"
    assert bound.symmetric_value(SCORES) == bound.value(SCORES) == -bound.loss(SCORES)


@pytest.mark.parametrize("bound", BOUNDS, ids=repr)
def test_locations_are_scored_together_in_training_and_outside(bound, monkeypatch):
    monkeypatch.setattr(terms, "PAIRS_AT_ONCE", 1)
    monkeypatch.setattr(terms, "PAIRS_IN_TRAINING", 1)
    generator = torch.Generator().manual_seed(1)
    codes = torch.randn(K, 5, generator=generator)
    code = Code(torch.randn(K, 5, P, generator=generator), codes, codes)
    term = terms.LocalInfoMax(bound, Critic(Inner()(5, 5)), 1.0)
    expected = bound.value(term.critic(code.global_, code.local)).item()
    assert term(code, code)[1].item() == pytest.approx(expected)
    assert term.evaluate(code, code)[1].item() == pytest.approx(expected)


@pytest.mark.parametrize("kind", [CPCTransformer, MultiViewInfoMaxTransformer])
def test_only_maps_have_locations_to_pool(kind):
    with pytest.raises(ValueError, match="pools the locations of feature maps, which only Deep InfoMax scores"):
        kind(estimator=PooledInfoNCE()).fit(torch.zeros(8, 40).numpy())
    DeepInfoMaxTransformer(estimator=PooledInfoNCE(), max_iter=0).fit(torch.rand(8, 8, 8).numpy())
