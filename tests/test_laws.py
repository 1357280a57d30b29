"""Laws over every bound and every critic, by hypothesis."""

import math

import hypothesis.extra.numpy as hnp
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skdim.bounds import BOUNDS, DV, JSD, NWJ, Alpha, InfoNCE, alpha, dv, infonce, jsd, nwj
from skdim.nn.critics import CRITICS, Critic

LIMITED = settings(max_examples=40)
BOUND_STRATEGY = st.one_of(
    st.sampled_from([InfoNCE(), JSD(), DV(), NWJ()]), st.floats(0, 1).map(lambda weight: Alpha(alpha=weight))
)


@st.composite
def score_tensors(draw, largest=30.0):
    k = draw(st.integers(2, 6))
    trailing = draw(st.sampled_from([(), (1,), (3,)]))
    elements = st.floats(-largest, largest, allow_nan=False, width=32)
    return torch.from_numpy(draw(hnp.arrays("float64", (k, k, *trailing), elements=elements)))


@LIMITED
@given(score_tensors(largest=1e4))
def test_infonce_is_never_above_log_k(scores):
    assert infonce(scores).item() <= math.log(len(scores)) + 1e-12
    assert infonce(scores.float()).item() <= math.log(len(scores)) + 1e-6


@LIMITED
@given(score_tensors(), st.floats(1e-6, 1))
def test_alpha_is_never_above_its_cap(scores, weight):
    assert alpha(scores, weight).item() <= Alpha(alpha=weight).cap(len(scores)) + 1e-9


@LIMITED
@given(score_tensors(largest=1e4))
def test_jsd_is_never_above_2_log_2(scores):
    assert jsd(scores).item() <= 2 * math.log(2) + 1e-9


@LIMITED
@given(score_tensors(largest=20.0))
def test_nwj_never_exceeds_dv(scores):  # log z <= z / e
    assert nwj(scores).item() <= dv(scores).item() + 1e-9 * (1 + abs(nwj(scores).item()))


@LIMITED
@given(score_tensors(), BOUND_STRATEGY, st.randoms(use_true_random=False))
def test_the_order_of_the_batch_does_not_matter(scores, bound, random):
    order = random.sample(range(len(scores)), len(scores))
    value, shuffled = bound.value(scores).item(), bound.value(scores[order][:, order]).item()
    assert shuffled == pytest.approx(value, rel=1e-9, abs=1e-9)


@LIMITED
@given(score_tensors(), BOUND_STRATEGY)
def test_locations_are_averaged(scores, bound):
    if scores.ndim == 2:
        scores = scores.unsqueeze(2)
    each = [bound.value(scores[:, :, p]).item() for p in range(scores.shape[2])]
    assert bound.value(scores).item() == pytest.approx(sum(each) / len(each), rel=1e-9, abs=1e-9)


@LIMITED
@given(score_tensors(), BOUND_STRATEGY)
def test_value_and_gradient_are_finite(scores, bound):
    for dtype in (torch.float32, torch.float64):
        leaf = scores.to(dtype).clone().requires_grad_()
        bound.loss(leaf, torch.tensor(float("nan"), dtype=dtype)).backward()
        assert torch.isfinite(bound.value(leaf))
        assert torch.isfinite(leaf.grad).all()


@LIMITED
@given(score_tensors(), st.floats(-20, 20))
def test_infonce_and_dv_do_not_feel_a_constant(scores, constant):
    for function in (infonce, dv):
        assert function(scores + constant).item() == pytest.approx(function(scores).item(), abs=1e-9)


@pytest.mark.parametrize("critic", CRITICS)
@LIMITED
@given(st.integers(2, 6), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.integers(0, 99))
def test_every_critic_feeds_every_bound(critic, k, x_features, y_features, n_locations, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(k, x_features, generator=generator)
    y = torch.randn(k, y_features, *([n_locations] if n_locations else []), generator=generator)
    for bound in [cls() for cls in BOUNDS.values()]:
        network = Critic(CRITICS[critic]()(x_features, y_features), offset=bound.offset)
        scores = network(x, y)
        assert scores.shape == (k, k, *([n_locations] if n_locations else []))
        loss = bound.loss(scores, torch.tensor(float("nan")))
        loss.backward()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
        order = torch.randperm(k, generator=generator)
        with torch.no_grad():
            assert bound.value(network(x[order], y[order])).item() == pytest.approx(
                bound.value(scores).item(), rel=1e-4, abs=1e-4
            )
