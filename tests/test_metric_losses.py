"""Losses of metric learning: against slow twins, and the identity with InfoNCE."""

import math

import pytest
import torch

from skdim.bounds import METRIC_LOSSES, InfoNCE, NPair, NPairOVO, Triplet, infonce, npair, npair_ovo, triplet


def scores(k=7, *trailing, seed=0, scale=2.0):
    return scale * torch.randn(k, k, *trailing, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def others(f, i):
    return [f[i, j] for j in range(len(f)) if j != i]


def log_sum_exp(values):
    largest = max(values)
    return largest + math.log(sum(math.exp(value - largest) for value in values))


@pytest.mark.parametrize("scale", [0.1, 3.0, 100.0])
def test_against_slow_twins(scale):
    f = scores(scale=scale)
    k = len(f)
    each = [[float(g - f[i, i]) for g in others(f, i)] for i in range(k)]
    slow_triplet = sum(max(0.0, d + 0.3) for row in each for d in row) / (k * (k - 1))
    slow_ovo = sum(max(d, 0) + math.log1p(math.exp(-abs(d))) for row in each for d in row) / k
    slow_npair = sum(log_sum_exp([0.0, *row]) for row in each) / k
    assert triplet(f, 0.3).item() == pytest.approx(slow_triplet)
    assert npair_ovo(f).item() == pytest.approx(slow_ovo)
    assert npair(f).item() == pytest.approx(slow_npair)


@pytest.mark.parametrize("k", [2, 3, 128])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_n_pair_is_log_k_less_infonce(k, dtype):
    f = scores(k).to(dtype)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-13
    assert npair(f).item() == pytest.approx(math.log(k) - infonce(f).item(), rel=tolerance, abs=tolerance)


def test_two_samples_make_all_n_pair_losses_a_soft_triplet():
    f = scores(2)
    soft = torch.nn.functional.softplus(torch.stack([f[0, 1] - f[0, 0], f[1, 0] - f[1, 1]])).mean()
    assert npair(f).item() == pytest.approx(soft.item())
    assert npair_ovo(f).item() == pytest.approx(soft.item())


def test_one_vs_one_is_the_larger():
    for seed in range(20):
        f = scores(9, seed=seed)
        assert npair_ovo(f) >= npair(f) >= 0


@pytest.mark.parametrize("name", METRIC_LOSSES)
def test_losses_average_over_locations_and_report_infonce(name):
    loss = METRIC_LOSSES[name]()
    f = scores(5, 3)
    parts = [loss.loss(f[..., p]).item() for p in range(3)]
    assert loss.loss(f).item() == pytest.approx(sum(parts) / 3)
    assert loss.value(f).item() == pytest.approx(InfoNCE().value(f).item())
    assert loss.cap(8) == math.log(8)
    assert loss.name == name
    loss.check()


@pytest.mark.parametrize("function", [triplet, npair, npair_ovo])
def test_bad_scores_are_refused(function):
    for shape in [(3,), (3, 4), (1, 1)]:
        with pytest.raises(ValueError, match="scores must have shape"):
            function(torch.zeros(shape))


def test_a_margin_is_positive():
    with pytest.raises(ValueError, match="margin of Triplet must be positive, got -1"):
        Triplet(margin=-1).check()


def test_names():
    assert {"triplet": Triplet, "npair": NPair, "npair_ovo": NPairOVO} == METRIC_LOSSES
