"""Values of the bounds: slow twins, golden values, exact expectations, and what is known of single bounds."""

import itertools
import math

import cases
import numpy as np
import pytest
import torch
from cases import CASES, IDS, MI, REGISTRY, P, R, expectation, mean, optimum, perturbation, population, random_scores
from scipy.signal import fftconvolve
from scipy.stats import poisson

import skdim.bounds as b

TIES = torch.tensor([[1.0, 1.0, 1.0], [0.0, 2.0, 2.0], [-1.0, -3.0, -1.0]], dtype=torch.float64)
LOWER = [name for name in IDS if CASES[name].bound.kind == "lower"]
#: Nats by which the expectation of MLCPC may exceed the information; derived at the end of this file.
EXCESS = 0.0023


def test_every_registered_bound_has_a_row_and_its_own_name():
    assert {type(case.bound) for case in CASES.values()} == set(REGISTRY.values())
    assert all(bound.name == name for name, bound in REGISTRY.items())
    assert b.BOUNDS.items() <= b.MI_BOUNDS.items() == REGISTRY.items() - b.METRIC_LOSSES.items()


# ------------------------------------------------------------------------------------------------------------ slow twins
@pytest.mark.parametrize("name", IDS)
def test_value_and_loss_equal_their_slow_twins_and_the_means_over_locations(name):
    case, drawn = CASES[name], [random_scores(k, k, seed=seed) for k in (2, 3, 4, 9) for seed in range(3)]
    large = [50 * drawn[-1]] if case.largest > 100 and name != "dime" else []  # where all constants of DIME balance
    maps = [random_scores(*shape, seed=1) for shape in [(5, 5, 4), (3, 3, 1), (4, 4, 2, 3), (2, 2, 2)]]
    for scores in [TIES, 0.05 * drawn[3], *drawn, *large, *maps]:
        a = cases.random_auxiliary(scores)
        at = list(zip(scores.flatten(2).unbind(-1), a.flatten(1).unbind(-1), strict=True)) if scores.ndim > 2 else []
        for fast, slow in ((case.value, case.twin), (case.loss, case.slow_loss)):
            twin = mean(slow(f.tolist(), c.tolist()) for f, c in at or [(scores, a)])
            assert fast(scores, a).shape == ()
            assert fast(scores, a).item() == pytest.approx(twin, rel=1e-10, abs=1e-10)
            assert fast(scores.float(), a.float()).item() == pytest.approx(twin, rel=2e-5, abs=2e-5)
    params, is_loss = (
        {} if name == "dv" else case.bound.get_params(),
        name == "jsd" or case.bound.name in b.METRIC_LOSSES,
    )
    function = getattr(b, case.bound.name)(scores, **case.second(a), **params)
    assert abs(function) == abs(case.bound.loss(scores) if is_loss else case.value(scores, a))


# --------------------------------------------------------------------------------------------------------- golden values
D, N_BATCHES = 20, 400


def gaussian_batches(mi, k, n_batches, seed=0):
    """Yield x, y of shape (batches, k, D) with I = ``mi``, and their correlation."""
    rho, generator = math.sqrt(1 - math.exp(-2 * mi / D)), torch.Generator().manual_seed(seed)
    for _ in range(n_batches // 25):
        x, noise = torch.randn(2, 25, k, D, generator=generator, dtype=torch.float64)
        yield x, rho * x + math.sqrt(1 - rho**2) * noise, rho


def log_conditional(x, y, rho):
    """Return log p(y_j | x_i) of all pairs, shape (k, k, batches)."""
    variance = 1 - rho**2
    squares = torch.cdist(rho * x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
    return (-squares / variance / 2 - D / 2 * math.log(2 * math.pi * variance)).movedim(0, -1)


def log_ratio(x, y, rho):
    """Return log p(x_i, y_j) / (p(x_i) p(y_j)) of all pairs, shape (k, k, batches)."""
    log_marginal = -y.square().sum(2) / 2 - D / 2 * math.log(2 * math.pi)
    return log_conditional(x, y, rho) - log_marginal.movedim(0, -1)


@pytest.mark.parametrize(("mi", "k"), cases.SETTINGS)
def test_the_log_ratio_gives_the_golden_table(mi, k):
    rows = [(name, shift, column) for name in IDS for shift, column in CASES[name].golden.items()]
    assert {column for _, _, column in rows} == set(cases.GOLDEN)
    ratios = [log_ratio(*batch) for batch in gaussian_batches(mi, k, N_BATCHES)]
    for name, shift, column in rows:  # batches are the trailing axis: the value is their mean
        golden, deviation = np.reshape(cases.GOLDEN[column], (-1, 2))[cases.SETTINGS.index((mi, k))]
        total = mean(CASES[name].value(r + shift).item() for r in ratios)
        assert abs(total - golden) < 4 * deviation / math.sqrt(N_BATCHES) + 0.005, name  # two digits are given


@pytest.mark.parametrize(("mi", "k", "exact_club"), [(2, 64, 4.43), (4, 64, 9.84), (6, 128, 16.44), (10, 128, 34.37)])
def test_the_known_conditional_encloses_the_information(mi, k, exact_club):
    values = {"tnce": [], "l1out": [], "club": [], "mlcpc": [], "dime": []}
    for batch in gaussian_batches(mi, k, 200, seed=1):
        conditional, r = log_conditional(*batch), log_ratio(*batch)
        for name, each in values.items():
            scores = r if CASES[name].bound.needs == "critic" else conditional
            each += [CASES[name].value(scores).item()] if name == "dime" else map(CASES[name].value, scores.unbind(-1))
    average = {name: np.mean(each) for name, each in values.items()}
    error = {name: np.std(each) / math.sqrt(len(each)) for name, each in values.items()}
    assert average["tnce"] < mi < average["l1out"]
    assert round(D * math.expm1(2 * mi / D), 2) == exact_club
    assert abs(average["club"] - exact_club) < 4 * error["club"] + 0.005
    assert average["tnce"] < average["mlcpc"] < mi + EXCESS + 2 * error["mlcpc"]
    assert average["mlcpc"] > 0.85 * min(mi, b.MLCPC().cap(k))
    assert mi > 6 or average["dime"] == pytest.approx(mi, abs=0.02 * mi)


@pytest.mark.parametrize("mi", [0.0, 2.0, 10.0])
def test_barber_agakov_and_the_rate_miss_the_information_by_a_divergence(mi):
    # y = rho x + sqrt(1 - rho^2) e. A model with variance s^2 (1 - rho^2), or a marginal with variance s^2, is off by
    # KL(N(0, 1) || N(0, s^2)) in each of D dimensions; with s = 1 both are exact.
    rho, generator = math.sqrt(1 - math.exp(-2 * mi / D)), torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 20_000, D, generator=generator, dtype=torch.float64)
    y, variance = rho * x + math.sqrt(1 - rho**2) * noise, 1 - rho**2
    conditional, marginal = (
        lambda s, mean=mean, v=v: torch.distributions.Normal(mean, s * math.sqrt(v)).log_prob(y).sum(1)
        for mean, v in ((rho * x, variance), (torch.zeros_like(x), 1.0))
    )
    entropy = D / 2 * math.log(2 * math.pi * math.e)
    for s in (1.0, 1.5):
        divergence = D * (math.log(s) + (1 / s**2 - 1) / 2)
        for value in (b.barber_agakov(conditional(s), marginal(1.0)), b.barber_agakov(conditional(s), -entropy)):
            assert value.item() == pytest.approx(mi - divergence, abs=0.1)
        assert b.rate(conditional(1.0), marginal(s)).item() == pytest.approx(mi + divergence, abs=0.1)
    with pytest.raises(ValueError, match=r"equal shapes, got \(20000,\) and \(20000, 1\)"):
        b.rate(conditional(1.0), marginal(1.0)[:, None])


def test_gaussian_is_the_information_of_its_correlations_and_refuses_infinite_information():
    for mi in (0.0, 2.0, 10.0):
        rho = math.sqrt(1 - math.exp(-2 * mi / D))
        for correlations in ([rho] * D, np.full(D, -rho), torch.full((D,), rho, dtype=torch.float64), (rho,) * D):
            assert b.gaussian(correlations).item() == pytest.approx(mi, abs=1e-12)
    assert [b.gaussian(few).item() for few in ([], [1e-9])] == pytest.approx([0, 5e-19], rel=1e-9)
    rho = torch.tensor([0.6], requires_grad=True)
    assert torch.autograd.grad(b.gaussian(rho), rho)[0].item() == pytest.approx(0.6 / (1 - 0.36))
    for correlation in (1.0, -1.0, 1.5, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"strictly between -1 and 1, got {correlation}"):
            b.gaussian([0.5, correlation])


# ---------------------------------------------------------------------------------------- exact expectations, two symbols
@pytest.mark.parametrize("name", LOWER)
def test_a_lower_bound_is_at_most_the_information_and_an_unbiased_one_reaches_it(name):
    case = CASES[name]
    slack = EXCESS if name == "mlcpc" else 1e-12
    for seed, scale, k in itertools.product(range(4), (0.5, 1.5, 6.0), (2, 4)):
        auxiliary = perturbation(seed + 9, 1.0)
        if case.bound.auxiliary == "log_baseline":
            auxiliary[1] = auxiliary[0]  # a function of y
        assert expectation(case.value, R + perturbation(seed, scale), auxiliary, k) <= MI + slack
        best = expectation(case.value, *optimum(case, seed), k)
        assert best == pytest.approx(MI, abs=1e-12) if case.is_tight else best <= MI + slack


@pytest.mark.parametrize("name", LOWER)
def test_a_lower_bound_and_its_loss_are_best_at_the_optimal_critic(name):
    case, functions = CASES[name], [CASES[name].value]
    critic, auxiliary = optimum(case, 0)
    if name not in ("triplet 0.5", "triplet 0.3", "npair_ovo"):  # which only rank
        functions.append(lambda *scores: -case.loss(*scores))
    for function, seed in itertools.product(functions, range(4)):
        best = expectation(function, critic, auxiliary) - 1e-4
        assert expectation(function, critic + perturbation(seed), auxiliary) < best
        if case.bound.auxiliary:
            assert expectation(function, critic, auxiliary + perturbation(seed, 0.3)) < best


@pytest.mark.parametrize("name", ["smile 1", "smile 5", "dime", "jsd"])
def test_the_jensen_shannon_loss_is_least_at_the_log_ratio_where_it_is_the_divergence(name):
    outer = np.outer(P.sum(1), P.sum(0))
    middle = (P + outer) / 2
    divergence = ((P * np.log(P / middle)).sum() + (outer * np.log(outer / middle)).sum()) / 2
    best = expectation(CASES[name].loss, R)
    assert best == pytest.approx(-2 * divergence, abs=1e-12)
    assert min(expectation(CASES[name].loss, R + perturbation(seed)) for seed in range(4)) > best + 1e-3
    separated = 200 * torch.eye(5, dtype=torch.float64) - 100
    assert CASES[name].loss(separated).item() == pytest.approx(-2 * math.log(2), abs=1e-12)


@pytest.mark.parametrize("name", [name for name in IDS if name not in ("club", "smile 1")])
def test_the_value_of_the_population_is_the_information_at_the_optimal_critic(name):
    # CLUB adds the divergence of the marginals from the joint, and a clip of 1 cuts off the tables' log ratios.
    for seed in (None, 0, 1):
        critic, auxiliary = optimum(CASES[name], seed)
        value = CASES[name].value(population(critic), population(auxiliary).diagonal()).item()
        assert value == pytest.approx(MI, abs=3e-3)


@pytest.mark.parametrize("name", ["dv", "uba"])
def test_the_log_of_a_batch_mean_is_biased_upwards_and_so_gives_no_bound(name):
    assert all(CASES[name].value(population(R + perturbation(seed))).item() < MI - 1e-3 for seed in range(4))
    assert expectation(CASES[name].value, R) > MI
    assert CASES[name].bound.kind == "estimate"
    assert expectation(CASES["uba"].value, R) > expectation(CASES["dv"].value, R)  # K - 1 terms against K (K - 1)


def test_estimates_err_to_both_sides_and_upper_bounds_need_the_conditional():
    conditional = np.log(P / P.sum(1, keepdims=True))  # log p(y | x), as scores[i, j]
    for k in (2, 3, 4):
        assert (
            expectation(CASES["tnce"].value, conditional, k=k)
            < MI
            < expectation(CASES["l1out"].value, conditional, k=k)
        )
    for name, above, below in [
        ("smile 5", R + 7, 0.2 * R),
        ("dime", 3 * R, 0.2 * R),
        ("club", conditional, 0.1 * conditional),
    ]:
        assert expectation(CASES[name].value, above, k=3) > MI > expectation(CASES[name].value, below, k=3)


def test_infonce_tightens_with_the_batch_mlcpc_is_tighter_and_small_alpha_has_little_bias():
    values = [[expectation(CASES[name].value, R, k=k) for k in (2, 3, 4, 5)] for name in ("infonce", "mlcpc")]
    assert values[0] == sorted(values[0])
    assert all(lower < upper < MI for lower, upper in zip(*values, strict=True))
    assert expectation(CASES["alpha 0.01"].value, R) == pytest.approx(MI, abs=2e-3)


# ------------------------------------------------------------------------------------------------- multi-label candidates
@pytest.mark.parametrize(("doublings", "k", "excess"), [(12, 200, 0.00092), (14, 400, 0.00154)])
def test_the_expectation_of_mlcpc_can_exceed_the_information_a_little(doublings, k, excess):
    # y = x uniform over n symbols, so I = log n; the critic marks equal symbols. The value of a batch depends on S alone, the
    # number of ordered pairs of samples with equal symbols, whose law is exact below. The samples of one symbol are a Poisson
    # number, conditioned on K samples in all.
    n, most = 2**doublings, 200
    weights = np.zeros((k + 1, most + 1))  # samples, S
    for count in range(15):
        if count * (count - 1) <= most:
            weights[count, count * (count - 1)] = poisson.pmf(count, k / n)
    for _ in range(doublings):
        weights = fftconvolve(weights, weights)[: k + 1, : most + 1].clip(0)
    law = weights[k, ::2] / poisson.pmf(k, k)  # S is even
    assert law.sum() == pytest.approx(1, abs=1e-9)
    values = []
    for n_pairs in range(most // 2 + 1):
        symbols = torch.arange(k)
        symbols[: 2 * n_pairs] //= 2
        values.append(b.mlcpc(100.0 * (symbols[:, None] == symbols).double()).item())
    assert values[3] == pytest.approx(b.MLCPC().cap(k) - math.log(1 + 6))
    assert law @ values - math.log(n) == pytest.approx(excess, abs=1e-5)


def test_the_excess_of_mlcpc_over_equal_symbols_stays_below_the_tolerance():
    # For n to infinity with K^2 / n = m, S is twice a Poisson number of mean m / 2, and the excess grows to this limit.
    counts = np.arange(400)
    limits = [math.log(m) - poisson.pmf(counts, m / 2) @ np.log1p(2 * counts) for m in np.linspace(1, 100, 991)]
    assert max(limits) == pytest.approx(0.00223, abs=1e-5)
    assert max(limits) < EXCESS
