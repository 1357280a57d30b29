"""Bounds against closed forms, slow twins, and exact expectations."""

import itertools
import math

import numpy as np
import pytest
import torch

from skdim.bounds import BOUNDS, DV, JSD, METRIC_LOSSES, MI_BOUNDS, NWJ, Alpha, InfoNCE, alpha, dv, infonce, jsd, nwj

FUNCTIONS = {
    "infonce": infonce,
    "dv": dv,
    "nwj": nwj,
    "jsd": jsd,
    "alpha .01": lambda scores: alpha(scores, 0.01),
    "alpha .5": lambda scores: alpha(scores, 0.5),
    "alpha 0": lambda scores: alpha(scores, 0.0),
    "alpha 1": lambda scores: alpha(scores, 1.0),
}
OF_A_CRITIC = [
    bound() for bound in (MI_BOUNDS | METRIC_LOSSES).values() if bound.needs == "critic" and not bound.auxiliary
]
CONFIGURED = [InfoNCE(), JSD(), DV(), NWJ(), Alpha(), Alpha(alpha=0.5), Alpha(alpha=1.0)]


def random_scores(*shape, seed=0, scale=2.0, dtype=torch.float64):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# ------------------------------------------------------------------------------------------------------------ slow twins
# Plain Python floats, the sums of the definitions term by term; no log-sum-exp trick, nothing shared with the package.


def softplus(t):
    return math.log1p(math.exp(-abs(t))) + max(t, 0.0)


def slow_infonce(f):
    k = len(f)
    return sum(math.log(k) + f[i][i] - math.log(sum(math.exp(f[i][j]) for j in range(k))) for i in range(k)) / k


def slow_mean_exp(f):
    k = len(f)
    return sum(math.exp(f[i][j]) for i in range(k) for j in range(k) if i != j) / (k * (k - 1))


def slow_dv(f):
    return sum(f[i][i] for i in range(len(f))) / len(f) - math.log(slow_mean_exp(f))


def slow_nwj(f):
    return sum(f[i][i] for i in range(len(f))) / len(f) - slow_mean_exp(f) / math.e


def slow_jsd(f):
    k = len(f)
    joint = sum(-softplus(-f[i][i]) for i in range(k)) / k
    marginal = sum(softplus(f[i][j]) for i in range(k) for j in range(k) if i != j) / (k * (k - 1))
    return 2 * math.log(2) + joint - marginal


def slow_alpha(f, weight):
    k = len(f)

    def baseline(i, j):
        return weight * sum(math.exp(f[i][l]) for l in range(k) if l != j) / (k - 1) + 1 - weight  # noqa: E741

    pairs = [(i, j) for i in range(k) for j in range(k) if i != j]
    joint = sum(math.log(math.exp(f[i][i]) / baseline(i, j)) for i, j in pairs) / len(pairs)
    return 1 + joint - sum(math.exp(f[i][j]) / baseline(i, i) for i, j in pairs) / len(pairs)


TWINS = {
    "infonce": slow_infonce,
    "dv": slow_dv,
    "nwj": slow_nwj,
    "jsd": slow_jsd,
    "alpha .01": lambda f: slow_alpha(f, 0.01),
    "alpha .5": lambda f: slow_alpha(f, 0.5),
    "alpha 0": lambda f: slow_alpha(f, 0.0),
    "alpha 1": lambda f: slow_alpha(f, 1.0),
}


@pytest.mark.parametrize("k", [2, 3, 9])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_equals_its_slow_twin(name, k):
    for seed in range(3):
        scores = random_scores(k, k, seed=seed)
        assert FUNCTIONS[name](scores).item() == pytest.approx(TWINS[name](scores.tolist()), rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("shape", [(5, 5, 4), (3, 3, 1), (4, 4, 2, 3)])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_trailing_axes_give_the_mean_of_the_bound_at_each_location(name, shape):
    scores = random_scores(*shape, seed=1)
    locations = scores.flatten(2) if len(shape) > 3 else scores
    slow = np.mean([TWINS[name](locations[:, :, p].tolist()) for p in range(locations.shape[2])])
    assert FUNCTIONS[name](scores).shape == ()
    assert FUNCTIONS[name](scores).item() == pytest.approx(slow, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_ties_in_a_row_equal_the_twin(name):
    scores = torch.tensor([[1.0, 1.0, 1.0], [0.0, 2.0, 2.0], [-1.0, -3.0, -1.0]], dtype=torch.float64)
    assert FUNCTIONS[name](scores).item() == pytest.approx(TWINS[name](scores.tolist()), rel=1e-12, abs=1e-12)


# ---------------------------------------------------------------------------------------------------------- golden table
# Mean and standard deviation of one batch with the exact log-ratio r as the critic (nwj: 1 + r), x ~ N(0, I_20),
# y = rho x + sqrt(1 - rho^2) eps, I = -10 log(1 - rho^2).
GOLDEN = {
    (2, 64): {"nwj": (2.01, 0.25), "dv": (2.02, 0.25), "infonce": (1.82, 0.19)},
    (2, 128): {"nwj": (2.00, 0.17), "dv": (2.00, 0.17), "infonce": (1.89, 0.15)},
    (4, 64): {"dv": (4.04, 0.43), "infonce": (3.07, 0.18), "alpha .01": (3.95, 0.39), "alpha .5": (3.50, 0.23)},
    (4, 128): {"dv": (4.03, 0.29), "infonce": (3.34, 0.16), "alpha .01": (3.99, 0.27), "alpha .5": (3.66, 0.19)},
    (6, 128): {"dv": (6.07, 0.49), "infonce": (4.20, 0.12), "alpha .01": (5.83, 0.33), "alpha .5": (4.89, 0.16)},
}
GOLDEN[2, 64] |= {"alpha .01": (2.01, 0.25), "alpha .5": (1.94, 0.21)}
GOLDEN[2, 128] |= {"alpha .01": (2.00, 0.17), "alpha .5": (1.96, 0.16)}
N_BATCHES = 400


def gaussian_log_ratio(mi, k, n_batches, generator, d=20):
    """Return log p(x, y) / (p(x) p(y)) of all pairs of ``n_batches`` batches, shape (k, k, n_batches)."""
    rho = math.sqrt(1 - math.exp(-2 * mi / d))
    x = torch.randn(n_batches, k, d, generator=generator, dtype=torch.float64)
    y = rho * x + math.sqrt(1 - rho**2) * torch.randn(n_batches, k, d, generator=generator, dtype=torch.float64)
    squares = rho**2 * (x.square().sum(2)[:, :, None] + y.square().sum(2)[:, None, :])
    return (mi + (rho * (x @ y.mT) - squares / 2) / (1 - rho**2)).movedim(0, -1)


@pytest.mark.parametrize(("mi", "k"), GOLDEN)
def test_the_oracle_critic_gives_the_golden_table(mi, k):
    generator = torch.Generator().manual_seed(0)
    totals = dict.fromkeys(GOLDEN[mi, k], 0.0)
    for _ in range(N_BATCHES // 25):
        log_ratio = gaussian_log_ratio(mi, k, 25, generator)
        for name in totals:  # batches stand on the trailing axis: the value is their mean
            totals[name] += FUNCTIONS[name](log_ratio + (name == "nwj")).item() * 25 / N_BATCHES
    for name, (mean, sd) in GOLDEN[mi, k].items():
        assert abs(totals[name] - mean) < 4 * sd / math.sqrt(N_BATCHES), name


# ---------------------------------------------------------------------------------------- exact expectations, two symbols
# X and Y take two values each, so the expectation over all batches of K samples is a finite sum: no sampling error.
P = np.array([[0.35, 0.1], [0.15, 0.4]])
R = np.log(P / P.sum(1, keepdims=True) / P.sum(0, keepdims=True))
MI = float((P * R).sum())


def expectation(function, critic, k=4):
    """Return E over batches of ``function(scores)`` for a critic given as its 2 x 2 table."""
    outcomes = np.array(list(itertools.product(range(4), repeat=k)))
    x, y = outcomes // 2, outcomes % 2
    probability = P[x, y].prod(1)
    scores = torch.from_numpy(np.ascontiguousarray(np.asarray(critic)[x[:, :, None], y[:, None, :]]))
    values = [function(batch).item() for batch in scores]
    return float(probability @ values)


def perturbed(seed, scale=0.5):
    return R + scale * np.random.default_rng(seed).standard_normal((2, 2))


@pytest.mark.parametrize("bound", [b for b in CONFIGURED if not isinstance(b, DV)], ids=repr)
def test_a_lower_bound_is_at_most_the_information_for_any_critic(bound):
    assert bound.kind == "lower"
    for seed in range(4):
        assert expectation(bound.value, perturbed(seed, scale=1.5)) <= MI + 1e-12
    assert expectation(bound.value, R + bound.offset) <= MI + 1e-12


def test_nwj_is_tight_at_one_plus_r_and_below_elsewhere():
    assert NWJ.optimal_critic == "1 + r"
    assert expectation(nwj, 1 + R) == pytest.approx(MI, abs=1e-12)
    for seed in range(4):
        assert expectation(nwj, 1 + perturbed(seed)) < MI - 1e-3


def test_jsd_is_best_at_r_where_its_report_is_tight():
    assert JSD.optimal_critic == "r"
    assert expectation(JSD().value, R) == pytest.approx(MI, abs=1e-12)
    middle = (P + np.outer(P.sum(1), P.sum(0))) / 2
    divergence = (P * np.log(P / middle)).sum() / 2
    divergence += (np.outer(P.sum(1), P.sum(0)) * np.log(np.outer(P.sum(1), P.sum(0)) / middle)).sum() / 2
    best = expectation(jsd, R)
    assert best == pytest.approx(2 * divergence, abs=1e-12)
    for seed in range(4):
        assert expectation(jsd, perturbed(seed)) < best - 1e-3


def test_infonce_is_best_at_r_and_deaf_to_functions_of_the_anchor():
    assert "c(x)" in InfoNCE.optimal_critic
    best = expectation(infonce, R)
    assert 0 < best < MI
    assert expectation(infonce, R + np.array([[3.0], [-7.0]])) == pytest.approx(best, abs=1e-12)
    for seed in range(4):
        assert expectation(infonce, perturbed(seed)) < best - 1e-4


def test_infonce_tightens_with_the_batch():
    values = [expectation(infonce, R, k) for k in (2, 3, 4, 5)]
    assert values == sorted(values)


@pytest.mark.parametrize("weight", [0.0, 0.01])
def test_alpha_is_nearly_best_at_r_for_small_alpha(weight):
    def function(scores):
        return alpha(scores, weight)

    best = expectation(function, R)
    assert best == pytest.approx(MI, abs=2e-3)
    for seed in range(4):
        assert expectation(function, perturbed(seed)) < best


def test_alpha_1_is_deaf_to_functions_of_the_anchor():
    scores = random_scores(6, 6)
    assert alpha(scores + 5 * random_scores(6, 1, seed=1), 1.0).item() == pytest.approx(alpha(scores, 1.0).item())


def test_dv_is_best_at_r_up_to_a_constant_in_a_large_population():
    # A batch in the exact proportions of P: off-diagonal pairs are the product of the marginals up to 1 / K.
    outcomes = np.repeat(np.arange(4), np.round(400 * P.ravel()).astype(int))
    x, y = outcomes // 2, outcomes % 2

    def value(critic):
        return dv(torch.from_numpy(critic[x[:, None], y[None, :]])).item()

    best = value(R)
    assert best == pytest.approx(MI, abs=2e-3)
    assert value(R - 11.0) == pytest.approx(best, abs=1e-10)
    for seed in range(4):
        assert value(perturbed(seed)) < best - 1e-3


def test_dv_of_a_batch_is_biased_upwards_and_so_no_bound():
    assert expectation(dv, R) > MI
    assert DV.kind == "estimate"


# ------------------------------------------------------------------------------------------------------------------ laws
def test_the_jsd_report_is_nwj_at_f_plus_1_exactly():
    for dtype in (torch.float32, torch.float64):
        scores = random_scores(16, 16, 3, dtype=dtype)
        assert torch.equal(JSD().value(scores), nwj(scores + 1))


def test_jsd_is_zero_at_zero_scores_and_its_loss_is_its_negative():
    assert jsd(torch.zeros(7, 7, dtype=torch.float64)).item() == pytest.approx(0, abs=1e-15)
    scores = random_scores(7, 7)
    assert torch.equal(JSD().loss(scores), -jsd(scores))


def test_jsd_approaches_2_log_2_where_joint_and_marginals_are_told_apart():
    scores = 200 * torch.eye(5, dtype=torch.float64) - 100
    assert jsd(scores).item() == pytest.approx(2 * math.log(2), abs=1e-12)


def test_alpha_interpolates_between_nwj_and_leave_one_out_infonce():
    scores = random_scores(8, 8)
    assert alpha(scores, 0.0).item() == pytest.approx(nwj(scores + 1).item(), abs=1e-10)
    left_out = [  # InfoNCE of row i among K - 1 candidates, each other candidate left out in turn
        math.log(7) + torch.log_softmax(scores[i][[l for l in range(8) if l != j]], 0)[i - (j < i)].item()  # noqa: E741
        for i in range(8)
        for j in range(8)
        if i != j
    ]
    assert alpha(scores, 1.0).item() == pytest.approx(np.mean(left_out), abs=1e-10)


def test_infonce_reaches_but_never_passes_log_k():
    assert infonce(1e4 * torch.eye(16)).item() == pytest.approx(math.log(16), rel=1e-6)
    assert InfoNCE().cap(16) == math.log(16)


@pytest.mark.parametrize("weight", [0.01, 0.5, 1.0])
def test_alpha_nearly_reaches_its_cap(weight):
    cap = Alpha(alpha=weight).cap(16)
    assert cap == pytest.approx(1 + math.log(15 / weight))
    value = alpha(200 * torch.eye(16, dtype=torch.float64) - 100, weight).item()
    assert cap - 1 - 1e-9 <= value <= cap + 1e-12


@pytest.mark.parametrize("bound", [JSD(), DV(), NWJ(), Alpha(alpha=0.0)], ids=repr)
def test_the_other_bounds_have_no_cap(bound):
    assert bound.cap(64) == math.inf


@pytest.mark.parametrize("bound", CONFIGURED, ids=repr)
def test_each_bound_is_zero_at_its_constant_offset(bound):
    for shape in [(4, 4), (5, 5, 3)]:
        constant = torch.full(shape, bound.offset, dtype=torch.float64)
        assert bound.value(constant).item() == pytest.approx(0, abs=1e-12)
        assert bound.loss(constant).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_permuting_the_batch_changes_nothing(name):
    scores = random_scores(9, 9, 2)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    assert FUNCTIONS[name](scores[order][:, order]).item() == pytest.approx(FUNCTIONS[name](scores).item(), abs=1e-12)


@pytest.mark.parametrize("bound", CONFIGURED, ids=repr)
def test_symmetric_says_whether_x_and_y_may_be_exchanged(bound):
    scores = random_scores(9, 9)
    exchanged = bound.value(scores.T).item()
    assert (abs(exchanged - bound.value(scores).item()) < 1e-10) == bound.symmetric


@pytest.mark.parametrize("bound", OF_A_CRITIC, ids=repr)
@pytest.mark.parametrize("shape", [(9, 9), (9, 9, 3)])
def test_symmetric_value_and_loss_are_the_means_over_both_choices_of_the_anchor(bound, shape):
    scores = random_scores(*shape)
    exchanged = scores.transpose(0, 1)
    for laid_out in (scores, exchanged.contiguous().transpose(0, 1), scores.movedim(1, -1).contiguous().movedim(-1, 1)):
        value = (bound.value(scores) + bound.value(exchanged)) / 2
        torch.testing.assert_close(bound.symmetric_value(laid_out), value)
        loss = (bound.loss(scores) + bound.loss(exchanged)) / 2
        torch.testing.assert_close(bound.symmetric_loss(laid_out), loss)


@pytest.mark.parametrize("bound", [bound() for bound in MI_BOUNDS.values() if bound.needs == "conditional"], ids=repr)
def test_a_known_conditional_has_one_anchor(bound):
    scores = random_scores(9, 9)
    assert bound.symmetric_value(scores) == bound.value(scores)
    assert bound.symmetric_loss(scores) == bound.loss(scores)


def test_a_bound_of_ones_own_is_asked_for_both_directions():
    class Halved(InfoNCE):
        def value(self, scores):
            return super().value(scores) / 2

    scores = random_scores(9, 9)
    halves = (infonce(scores) + infonce(scores.T)) / 4
    torch.testing.assert_close(Halved().symmetric_value(scores), halves)
    torch.testing.assert_close(Halved().symmetric_loss(scores), -halves)


@pytest.mark.parametrize("bound", CONFIGURED, ids=repr)
def test_loss_is_value_says_whether_the_loss_is_the_negative_value(bound):
    scores = random_scores(9, 9)
    assert (abs(bound.loss(scores).item() + bound.value(scores).item()) < 1e-12) == bound.loss_is_value


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_equal_finite_differences(name):
    scores = random_scores(4, 4, 2, scale=1.0).requires_grad_()
    assert torch.autograd.gradcheck(FUNCTIONS[name], scores, eps=1e-6, atol=1e-8)


def extreme_scores(size, dtype=torch.float32):
    signs = torch.randint(0, 2, (6, 6, 3), generator=torch.Generator().manual_seed(0)).to(dtype) * 2 - 1
    diagonal = torch.eye(6, dtype=dtype)
    return [size * s for s in (signs, 2 * diagonal - 1, 1 - 2 * diagonal, torch.ones(6, 6), -torch.ones(6, 6))]


@pytest.mark.parametrize("name", ["infonce", "jsd", "dv"])
def test_value_and_gradient_are_finite_at_scores_of_1e4(name):
    bound = BOUNDS[name]()
    for scores in extreme_scores(1e4):
        log_average = torch.tensor(float("nan"))
        for _ in range(2):
            scores = scores.detach().clone().requires_grad_()
            loss = bound.loss(scores, log_average)
            loss.backward()
            assert torch.isfinite(loss)
            assert torch.isfinite(scores.grad).all()
        assert torch.isfinite(FUNCTIONS[name](scores))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_value_and_gradient_are_finite_at_scores_of_80_in_float32(name):
    for scores in extreme_scores(80.0):
        scores.requires_grad_()
        value = FUNCTIONS[name](scores)
        value.backward()
        assert torch.isfinite(value)
        assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", [(4,), (4, 5), (1, 1), (0, 0), (), (3, 4, 4)])
def test_wrong_shapes_are_refused(name, shape):
    with pytest.raises(ValueError, match=r"\(K, K, \.\.\.\).*got") as caught:
        FUNCTIONS[name](torch.zeros(shape))
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize("weight", [-0.1, 1.1, math.nan, math.inf])
def test_alpha_outside_0_1_is_refused(weight):
    for call in (lambda: alpha(torch.zeros(3, 3), weight), Alpha(alpha=weight).check):
        with pytest.raises(ValueError, match=r"\[0, 1\], got"):
            call()


@pytest.mark.parametrize("momentum", [-0.1, 1.0, math.nan])
def test_momentum_outside_0_1_is_refused(momentum):
    with pytest.raises(ValueError, match=r"\[0, 1\), got"):
        DV(momentum=momentum).check()


@pytest.mark.parametrize("bound", CONFIGURED, ids=repr)
def test_default_parameters_pass_their_check(bound):
    bound.check()


def test_the_table_of_bounds_holds_each_name_once():
    assert list(BOUNDS) == ["infonce", "jsd", "dv", "nwj", "alpha"]
    assert all(bound.name == name for name, bound in BOUNDS.items())


# ---------------------------------------------------------------------------------------------------- the moving average
@pytest.mark.parametrize("momentum", [0.9, 0.5, 0.0])
def test_the_moving_average_of_dv_by_hand_over_three_steps(momentum):
    bound, log_average, average = DV(momentum=momentum), torch.tensor(float("nan"), dtype=torch.float64), None
    k = 4
    for step in range(3):
        scores = random_scores(k, k, seed=step, scale=1.0).requires_grad_()
        loss = bound.loss(scores, log_average)
        loss.backward()
        f = scores.tolist()
        batch = slow_mean_exp(f)
        average = batch if average is None else momentum * average + (1 - momentum) * batch
        by_hand = [
            [-1 / k if i == j else math.exp(f[i][j]) / (k * (k - 1)) / average for j in range(k)] for i in range(k)
        ]
        np.testing.assert_allclose(scores.grad.numpy(), by_hand, rtol=1e-10)
        assert math.exp(log_average.item()) == pytest.approx(average, rel=1e-10)
        assert -loss.item() == pytest.approx(slow_dv(f), abs=1e-10)  # the value stays plain Donsker-Varadhan


def test_the_first_step_of_dv_has_the_gradient_of_the_batch():
    gradients = []
    for log_average in (None, torch.tensor(float("nan"), dtype=torch.float64)):
        scores = random_scores(5, 5).requires_grad_()
        DV().loss(scores, log_average).backward()
        gradients.append(scores.grad)
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-15)


def test_without_momentum_dv_has_the_gradient_of_the_batch_on_maps_too():
    gradients = []
    for log_average in (None, torch.tensor(0.7, dtype=torch.float64)):
        scores = random_scores(5, 5, 3).requires_grad_()
        DV(momentum=0.0).loss(scores, log_average).backward()
        gradients.append(scores.grad)
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


def test_the_value_of_dv_on_maps_is_the_mean_over_locations_whatever_the_average():
    scores = random_scores(5, 5, 3)
    assert DV().loss(scores, torch.tensor(2.0, dtype=torch.float64)).item() == pytest.approx(-dv(scores).item())


@pytest.mark.parametrize("bound", [InfoNCE(), JSD(), NWJ(), Alpha()], ids=repr)
def test_only_dv_touches_the_moving_average(bound):
    log_average = torch.tensor(0.25)
    scores = random_scores(5, 5)
    assert torch.equal(bound.loss(scores, log_average), bound.loss(scores))
    assert log_average.item() == 0.25
