"""The local seed of torch's global generator, and the telling of what draws from it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from skdim._random import local_seed, seeded_step


def drawn(seed, burn=0):
    torch.rand(burn)
    before, of_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    with local_seed(seed):
        draws = torch.rand(5)
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], of_numpy)  # noqa: NPY002
    return draws


def test_a_local_seed_is_deterministic_whatever_ran_before_and_leaves_the_global_generators():
    assert torch.equal(drawn(11), drawn(11, burn=7))
    assert not torch.equal(drawn(11), drawn(12))


def test_an_error_within_leaves_the_global_generator_as_it_was():
    def fail():
        with local_seed(0):
            torch.rand(3)
            raise RuntimeError("within")

    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="within"):
        fail()
    assert torch.equal(torch.get_rng_state(), before)
    drawn(0)  # and the lock is free


def test_local_seeds_may_be_nested():
    with local_seed(1):
        outer = torch.rand(5)
        assert torch.equal(drawn(2), drawn(2))
        after = torch.rand(5)
    with local_seed(1):
        assert torch.equal(torch.stack([outer, after]), torch.stack([torch.rand(5), torch.rand(5)]))


def test_threads_draw_one_at_a_time():
    def draws(seed):
        with local_seed(seed):
            return torch.stack([torch.rand(5) for _ in range(20)])

    expected = [draws(seed) for seed in range(6)] * 20
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(draws, [*range(6)] * 20))
    assert torch.equal(torch.stack(found), torch.stack(expected))


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (lambda: torch.rand(1), True),
        (lambda: torch.nn.functional.dropout(torch.ones(3)), True),
        (lambda: torch.ones(3) @ torch.ones(3), False),
        (lambda: torch.rand(1, generator=torch.Generator().manual_seed(0)), False),
    ],
)
def test_what_draws_from_the_global_generator_is_told_and_undone(draw, expected):
    before = torch.get_rng_state()
    with seeded_step(0, torch.device("cpu")) as answer:
        draw()
    assert answer == [expected]
    assert torch.equal(torch.get_rng_state(), before)
