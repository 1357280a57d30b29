"""Every critic feeds every bound, by hypothesis."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skdim.bounds import BOUNDS
from skdim.nn.critics import CRITICS, Critic

LIMITED = settings(max_examples=40)


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
        loss, _ = bound.criterion()(scores)
        loss.backward()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
        order = torch.randperm(k, generator=generator)
        with torch.no_grad():
            assert bound.value(network(x[order], y[order])).item() == pytest.approx(
                bound.value(scores).item(), rel=1e-4, abs=1e-4
            )
