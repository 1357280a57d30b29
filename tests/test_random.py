"""Draws of torch's modules from generators of our own, and the telling of what draws."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from skdim._random import LocalSeed, seeded_step

ONES = torch.ones(4, 6)
PROBABILITIES = torch.full((4, 6), 0.5)
#: What modules draw with, on the CPU.
DRAWS = {
    "rand": lambda: torch.rand(5),
    "randn": lambda: torch.randn(2, 3),
    "randint": lambda: torch.randint(9, (5,)),
    "randint from": lambda: torch.randint(3, 9, (5,)),
    "randperm": lambda: torch.randperm(9),
    "normal": lambda: torch.normal(ONES, ONES),
    "rand_like": lambda: torch.rand_like(ONES),
    "randn_like": lambda: torch.randn_like(ONES),
    "randint_like": lambda: torch.randint_like(ONES, 9),
    "randint_like from": lambda: torch.randint_like(ONES, 3, 9),
    "bernoulli": lambda: torch.bernoulli(PROBABILITIES),
    "multinomial": lambda: torch.multinomial(PROBABILITIES, 2),
    "poisson": lambda: torch.poisson(ONES),
    "uniform_": lambda: torch.empty(5).uniform_(1, 2),
    "exponential_": lambda: torch.empty(5).exponential_(),
    "linear": lambda: nn.Linear(3, 2).weight.detach(),
    "orthogonal": lambda: nn.init.orthogonal_(torch.empty(3, 3)),
    "dropout": lambda: F.dropout(ONES),
    "dropout2d": lambda: F.dropout2d(ONES[None, :, None]),
    "alpha dropout": lambda: F.alpha_dropout(ONES, training=True),
    "rrelu": lambda: F.rrelu(-ONES, training=True),
    "gumbel": lambda: F.gumbel_softmax(ONES),
    "lstm": lambda: nn.LSTM(6, 2, 2, dropout=0.5)(ONES)[0].detach(),
    "attention": lambda: F.scaled_dot_product_attention(*[ONES[None, None]] * 3, dropout_p=0.5),
    "distribution": lambda: torch.distributions.Beta(ONES, ONES).sample(),
}


def drawn(seed, draw=DRAWS["rand"], burn=0):
    torch.rand(burn)
    before, of_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    with LocalSeed(seed):
        draws = draw()
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], of_numpy)  # noqa: NPY002
    return draws


@pytest.mark.parametrize("name", DRAWS)
def test_draws_are_those_of_the_seed_and_leave_the_global_generators(name):
    draw = DRAWS[name]
    assert torch.equal(drawn(11, draw), drawn(11, draw, burn=7))
    assert not torch.equal(
        torch.cat([drawn(seed, draw).flatten() for seed in range(4)]), drawn(4, draw).flatten().repeat(4)
    )


@pytest.mark.parametrize("name", sorted({*DRAWS} - {"distribution"}))  # gammas are drawn with a generator of their own
def test_draws_are_the_bits_of_a_global_generator_of_the_seed(name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        expected = DRAWS[name]()
    assert torch.equal(drawn(11, DRAWS[name]), expected)


def test_an_error_within_leaves_the_global_generator_as_it_was():
    def fail():
        with LocalSeed(0):
            torch.rand(3)
            raise RuntimeError("within")

    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="within"):
        fail()
    assert torch.equal(torch.get_rng_state(), before)


def test_local_seeds_may_be_nested():
    with LocalSeed(1):
        outer = torch.rand(5)
        assert torch.equal(drawn(2), drawn(2))
        after = torch.rand(5)
    with LocalSeed(1):
        assert torch.equal(torch.stack([outer, after]), torch.stack([torch.rand(5), torch.rand(5)]))


def test_threads_draw_from_generators_of_their_own():
    def draws(seed):
        with LocalSeed(seed):
            return torch.stack([torch.rand(5) for _ in range(20)])

    expected = [draws(seed) for seed in range(6)] * 20
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(draws, [*range(6)] * 20))
    assert torch.equal(torch.stack(found), torch.stack(expected))


@pytest.mark.parametrize(
    "compiled", [False, True]
)  # translated steps draw from the global generator, which is restored
@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (lambda: torch.rand(1), True),
        (lambda: F.dropout(torch.ones(3)), True),
        (lambda: torch.ones(3) @ torch.ones(3), False),
        (lambda: torch.rand(1, generator=torch.Generator().manual_seed(0)), False),
    ],
)
def test_what_draws_is_told_and_leaves_the_global_generator(draw, expected, compiled):
    before = torch.get_rng_state()
    with seeded_step(0, torch.device("cpu"), compiled) as answer:
        draw()
    assert answer == [expected]
    assert torch.equal(torch.get_rng_state(), before)
