"""Laws of every bound: caps, traits, invariances, gradients, relations and errors."""

import math
import re

import pytest
import torch
from cases import CASES, IDS, random_auxiliary, random_scores, score_tensors
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

import skdim.bounds as b

LIMITED = settings(max_examples=40)


# ------------------------------------------------------------------------------------------------------- caps and range
@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("k", [2, 3, 7, 16])
def test_the_cap_is_reached_where_the_joint_samples_are_told_apart(name, k):
    case = CASES[name]
    assert case.bound.cap(k) == pytest.approx(case.cap(k))
    scores, second = 200 * torch.eye(k, dtype=torch.float64) - 100, torch.full((k,), -50.0, dtype=torch.float64)
    value = case.value(scores, second).item()
    assert value == pytest.approx(case.cap(k) - case.short, abs=1e-9) if case.cap(k) < math.inf else value > 50


@pytest.mark.parametrize("name", IDS)
@LIMITED
@given(data=st.data(), constant=st.floats(-20, 20))
def test_values_are_finite_with_their_gradients_at_most_the_cap_and_blind_to_constants(name, data, constant):
    case = CASES[name]
    scores = data.draw(score_tensors(case.largest))
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-9)):
        leaf = scores.to(dtype).requires_grad_()
        auxiliary = random_auxiliary(leaf.detach())
        for function in (case.value, case.loss):
            result = function(leaf, auxiliary)
            assert torch.isfinite(result)
            assert torch.isfinite(torch.autograd.grad(result, leaf)[0]).all()
        assert case.value(leaf, auxiliary).item() <= case.cap(len(scores)) + tolerance
    # Beyond 30 DIME is saturated: a whole interval of constants balances to the last bit.
    if case.ignores and not case.bound.auxiliary and (name != "dime" or scores.abs().max() < 30):
        assert case.value(scores + constant).item() == pytest.approx(case.value(scores).item(), rel=1e-9, abs=1e-7)


def test_a_density_of_zero_leaves_tnce_and_l1out_finite():
    scores = torch.tensor([[0.0, -math.inf, -1.0], [-2.0, 0.0, -math.inf], [-1.0, -1.0, 0.0]])
    assert torch.isfinite(torch.stack([b.tnce(scores), b.l1out(scores)])).all()
    assert b.club(scores).item() == math.inf


# ---------------------------------------------------------------------------------------------------------------- traits
@pytest.mark.parametrize("name", IDS)
def test_traits_are_true(name):
    case, scores = CASES[name], random_scores(9, 9)
    bound, auxiliary = case.bound, random_auxiliary(scores)
    bound.check()
    value = case.value(scores, auxiliary).item()
    if name != "alpha 0":  # which alone of its class is symmetric
        assert (abs(case.value(scores.T, auxiliary).item() - value) < 1e-10) == bound.symmetric
    assert (abs(case.loss(scores, auxiliary).item() + value) < 1e-12) == bound.loss_is_value
    assert bound.measures_information == (bound.name in b.MI_BOUNDS)
    assert not (bound.takes_reference and bound.needs == "conditional")  # there is no critic to start from it
    assert not (bound.averages_exponentials and case.cap(2) < math.inf)
    for constant in (torch.full(shape, bound.offset, dtype=torch.float64) for shape in [(4, 4), (5, 5, 3)]):
        assert case.value(constant, 0 * constant[0]).item() == pytest.approx(0, abs=1e-12)
        if bound.measures_information:
            assert case.loss(constant, 0 * constant[0]).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", IDS)
def test_a_bound_ignores_the_order_and_functions_of_its_anchor_and_no_others(name):
    case, scores = CASES[name], random_scores(7, 7)
    auxiliary, order, ignored = random_auxiliary(scores), torch.tensor([4, 0, 2, 1, 3, 6, 5]), set()
    value = case.value(scores, auxiliary).item()
    assert case.value(scores[order][:, order], auxiliary[order]).item() == pytest.approx(value, abs=1e-12)
    sides = {"x": random_scores(7, 1, seed=1), "y": random_scores(1, 7, seed=2), "constant": torch.full((1, 7), 3.0)}
    for side, added in sides.items():
        moved = auxiliary + added[0] if case.bound.auxiliary == "log_baseline" else auxiliary
        if abs(case.value(scores + added, moved).item() - value) < 1e-10:
            ignored.add(side)
    assert ignored == case.ignores | ({"constant"} if case.ignores else set())
    if len(case.bound.anchors) == 1:  # with two, both choices are averaged
        assert set(case.bound.anchors) <= ignored


@pytest.mark.parametrize("name", [name for name in IDS if not CASES[name].bound.auxiliary])
@pytest.mark.parametrize("shape", [(9, 9), (9, 9, 3)])
def test_symmetric_rules_are_the_means_over_both_anchors(name, shape):
    bound, scores = CASES[name].bound, random_scores(*shape)
    exchanged = scores.transpose(0, 1)
    for laid_out in (scores, exchanged.contiguous().transpose(0, 1), scores.movedim(1, -1).contiguous().movedim(-1, 1)):
        for rule, function in ((bound.symmetric_value, bound.value), (bound.symmetric_loss, bound.loss)):
            both = (function(scores) + function(exchanged)) / 2
            # A known log p(y | x) is the log ratio up to a function of y: its anchor cannot be chosen.
            torch.testing.assert_close(rule(laid_out), function(scores) if bound.needs == "conditional" else both)


@pytest.mark.parametrize("name", [name for name in b.MI_BOUNDS if b.MI_BOUNDS[name].needs == "critic"])
def test_what_one_large_score_of_the_marginals_does_to_the_loss(name):
    bound, k, large = b.MI_BOUNDS[name](), 32, 200.0
    scores, codes = random_scores(k, k, scale=1.0), random_scores(k, 2, seed=1)
    criterion = bound.criterion(2, 2, both_anchors=False).double()
    before = criterion.loss(scores, codes, codes).item()
    scores[3, 8] += large
    loss = criterion.loss(scores.requires_grad_(), codes, codes)
    moved, pull = abs(loss.item() - before), torch.autograd.grad(loss, scores)[0].abs().sum().item()
    if name == "mlcpc":  # every row has this score among its candidates
        assert large - 2 * math.log(k) - 10 < moved < large
    elif bound.takes_reference:
        assert moved < 2 * large / k
    # The joint samples and the pairs of the marginals each pull by about 1, as in any batch, or this pair outruns all others.
    assert pull < 3 if bound.takes_reference or name == "smile" else pull > 10


@pytest.mark.parametrize("name", IDS)
def test_gradients_equal_finite_differences(name):
    case, scores = CASES[name], random_scores(4, 4, 2, scale=1.0).requires_grad_()
    auxiliary = random_auxiliary(scores).detach().requires_grad_(bool(case.bound.auxiliary))
    for function in (case.value, case.loss):
        assert torch.autograd.gradcheck(function, (scores, auxiliary), eps=1e-6, atol=1e-6)


# ------------------------------------------------------------------------------------------------------------- relations
@LIMITED
@given(score_tensors(20.0))
def test_order_of_the_bounds(f):
    k, tolerance, joint = len(f), 1e-8 * (1 + f.abs().max().item()), f.diagonal().exp()
    assert b.tnce(f) <= b.l1out(f) + math.log(k) + tolerance
    assert b.l1out(f) <= b.club(f) + tolerance  # Jensen, at each y
    assert b.dv(f) <= b.uba(f) + tolerance  # Jensen, over y
    assert b.nwj(f) <= b.dv(f) + 1e-9 * (1 + b.nwj(f).abs())  # log z <= z / e
    assert b.npair_ovo(f) >= b.npair(f) - tolerance
    assert b.npair(f) >= 0
    assert b.jsd(f) <= 2 * math.log(2) + 1e-9
    if f.ndim == 2:  # the joint samples' mean in place of each: Jensen
        everything = f.exp().sum() - joint.sum() + joint.mean()
        assert b.mlcpc(f) >= math.log(k * (k - 1) + 1) + f.diagonal().mean() - everything.log() - tolerance


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bounds_in_other_words(dtype):
    f = random_scores(16, 16, 3, dtype=dtype)
    one, joint = torch.ones(16, 3, dtype=dtype), f.diagonal(dim1=0, dim2=1).movedim(-1, 0)
    off = f.masked_fill(torch.eye(16, dtype=torch.bool)[..., None], -math.inf)
    best = [torch.logsumexp(off, dim) - math.log(15) for dim in (0, 1)]
    left_out = torch.stack([b.infonce(f[rows][:, rows]) for rows in (torch.arange(16) != j for j in range(16))])
    for same, other in [(b.JSD().value(f), b.nwj(f + 1)), (b.smile(f, math.inf), b.dv(f)), (b.l1out(f), b.uba(f))]:
        assert torch.equal(same, other)
    for same, other in [
        (b.tnce(f), b.infonce(f.transpose(0, 1))),
        (b.npair(f), math.log(16) - b.infonce(f)),
        (b.npair(f[:2, :2]), b.npair_ovo(f[:2, :2])),  # both a triplet with a soft margin
        (b.alpha(f, 0.0), b.nwj(f + 1)),
        (b.alpha(f, 1.0), left_out.mean()),
        (b.tuba(f, one), b.nwj(f)),
        (b.flo(f, one - joint), b.nwj(f)),
        (b.tuba(f, best[0]), b.uba(f)),  # the best baseline and the best u of a batch
        (b.flo(f, best[1] - joint), b.uba(f.transpose(0, 1))),
    ]:
        torch.testing.assert_close(same, other)


# ------------------------------------------------------------------------------------------------- parameters and errors
@pytest.mark.parametrize("name", IDS)
def test_a_bound_is_cloned_and_configured_by_its_parameters(name):
    bound = CASES[name].bound
    assert clone(bound) == bound == type(bound)().set_params(**bound.get_params())
    assert clone(bound) is not bound
    with pytest.raises(ValueError, match=rf"Invalid parameter 'wrong' for {type(bound).__name__}"):
        clone(bound).set_params(wrong=1)


@pytest.mark.parametrize(
    ("kind", "values", "function", "message"),
    [
        (b.Alpha, (-0.1, 1.1, math.nan, math.inf), b.alpha, r"alpha must lie in \[0, 1\], got"),
        (b.DV, (-0.1, 1.0, math.nan), None, r"momentum of DV must lie in \[0, 1\), got"),
        (b.SMILE, (0.0, -1.0, math.nan), b.smile, "tau must be positive, got"),
        (b.Triplet, (0.0, -1, math.nan), None, "margin of Triplet must be positive, got"),
    ],
)
def test_parameters_outside_their_range_are_refused(kind, values, function, message):
    for value in values:
        with pytest.raises(ValueError, match=message):
            kind(value).check()
        if function is not None:
            with pytest.raises(ValueError, match=message):
                function(torch.zeros(3, 3), value)


@pytest.mark.parametrize("name", IDS)
def test_scores_and_second_functions_of_the_wrong_shape_are_refused(name):
    case = CASES[name]
    for shape in [(4,), (4, 5), (1, 1), (0, 0), (), (3, 4, 4)]:
        for function in (case.value, case.loss):
            with pytest.raises(ValueError, match=rf"\(K, K, \.\.\.\).*got {re.escape(str(shape))}"):
                function(torch.zeros(shape), torch.zeros(shape[1:]))
    for shape in [None, (4,), (4, 1), (3, 3), (4, 3, 1)] if case.bound.auxiliary else []:
        with pytest.raises(ValueError, match=rf"{case.bound.auxiliary} must have shape .*\(4, 3\).*got"):
            case.value(torch.zeros(4, 4, 3), None if shape is None else torch.zeros(shape))
