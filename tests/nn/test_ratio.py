"""Networks of log density ratios against slow twins, closed forms and their symmetries; what a step minimises."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import assert_one_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from test_critics import randomized, twin_of_dense
from torch import nn

from skdim.bounds import DV, JSD, MLCPC, NWJ, SMILE, UBA, Alpha, InfoNCE, infonce
from skdim.nn import gaussian, ratio
from skdim.nn.critics import CRITICS, build_critic
from skdim.nn.gaussian import GaussianReference
from skdim.nn.ratio import (
    N_RADIAL,
    SMALLEST_RELEVANCE,
    JointRatio,
    RadialInputs,
    ReferencedCritic,
    SeparableRatio,
    StackedRatio,
)
from skdim.synthetic import GaussianPairs

LIMITED = settings(max_examples=25)


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def seeded(build, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def separable(dim_x=3, dim_y=2, correlations=(0.8, -0.3), hidden=(8, 6), width=4, radial=True, seed=0, **kwargs):
    x, y = noise(50, dim_x, seed=91), noise(50, dim_y, seed=92)
    inputs = RadialInputs(x, radial), RadialInputs(y, radial)
    return seeded(
        lambda: SeparableRatio(*inputs, GaussianReference(torch.tensor(correlations)), hidden, width, **kwargs), seed
    )


def joint(dim_x=3, dim_y=2, hidden=(8, 6), radial=True, seed=0):
    x, y = noise(50, dim_x, seed=91), noise(50, dim_y, seed=92)
    return seeded(lambda: JointRatio(RadialInputs(x, radial), RadialInputs(y, radial), hidden), seed)


class Given(nn.Module):
    """A critic whose scores are those of a table, for x and y that hold the numbers of its rows and columns."""

    def __init__(self, table):
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, x, y):
        return self.table[x[:, 0].long()][:, y[:, 0].long()]


def numbers(n):
    return torch.arange(n, dtype=torch.float32)[:, None]


# -------------------------------------------------------------------------------------------------------- radial inputs
@pytest.mark.parametrize("dim", [1, 3, N_RADIAL, N_RADIAL + 3])
def test_radial_inputs_are_variates_radius_and_products(dim):
    fitted, x = noise(40, dim, seed=1), noise(6, dim, seed=2)
    inputs = RadialInputs(fitted)

    def log_radius(rows):
        return np.log((rows.double().numpy() ** 2).sum(1) + 1e-3)

    known = log_radius(fitted)
    radius = (log_radius(x) - known.mean()) / known.std()
    expected = np.column_stack([x, radius, radius[:, None] * x[:, : min(dim, 8)].double().numpy()])
    assert inputs.n_inputs == expected.shape[1] == dim + 1 + min(dim, 8)
    np.testing.assert_allclose(inputs(x), expected, rtol=1e-4, atol=1e-5)


def test_the_log_radius_of_the_fitted_rows_has_mean_0_and_variance_1():
    x = 100 * noise(500, 4)
    radius = RadialInputs(x)(x)[:, 4]
    assert radius.mean().item() == pytest.approx(0, abs=1e-4)
    assert radius.std(correction=0).item() == pytest.approx(1, abs=1e-4)


def test_inputs_start_with_the_variates_and_without_radius_are_the_variates():
    x = noise(7, 3)
    assert torch.equal(RadialInputs(x)(x)[:, :3], x)
    plain = RadialInputs(x, radial=False)
    assert plain.n_inputs == 3
    assert torch.equal(plain(x), x)


def test_no_variates_give_one_input_that_says_nothing():
    inputs = RadialInputs(torch.zeros(5, 0))
    assert inputs.n_inputs == 1
    assert inputs(torch.zeros(4, 0)).tolist() == [[0.0]] * 4


def test_rows_on_a_sphere_or_at_the_origin_have_finite_inputs():
    for x in (F.normalize(noise(9, 3)), torch.zeros(9, 3)):
        assert torch.isfinite(RadialInputs(x)(torch.cat([x, noise(2, 3), torch.zeros(1, 3)]))).all()


def test_the_radius_does_not_feel_a_rotation():
    x, rotation = noise(30, 4), torch.linalg.qr(noise(4, 4, seed=3)).Q
    torch.testing.assert_close(RadialInputs(x @ rotation)(x @ rotation)[:, 4], RadialInputs(x)(x)[:, 4])


# ------------------------------------------------------------------------------------------------------ separable ratio
@pytest.mark.parametrize("offset", [0.0, 1.0])
@pytest.mark.parametrize("correlations", [(), (0.8,), (0.8, -0.3)])
@pytest.mark.parametrize("hidden", [(), (8,), (8, 6)])
def test_the_separable_ratio_starts_at_its_reference_and_offset(hidden, correlations, offset):
    network = separable(correlations=correlations, hidden=hidden, offset=offset)
    x, y = noise(6, 3, seed=1), noise(5, 2, seed=2)
    torch.testing.assert_close(network(x, y), network.reference(x, y) + offset)


@pytest.mark.parametrize("relevance", [False, True])
@pytest.mark.parametrize("hidden", [(), (8,), (8, 6)])
def test_the_separable_ratio_equals_its_slow_twin(hidden, relevance):
    scales = (noise(7, 7, seed=5), noise(5, 5, seed=6)) if relevance else None
    network = randomized(separable(hidden=hidden, relevance=scales))
    x, y = noise(6, 3, seed=1), noise(5, 2, seed=2)

    def twin(embedding, inputs, scale):
        inputs = inputs.double().numpy() @ (scale.double().numpy() if relevance else np.eye(inputs.shape[1]))
        top = np.array([twin_of_dense([*embedding.body, embedding.top], row) for row in inputs])
        return top[:, :4], top[:, 4]

    h, a = twin(network.embed_x, network.inputs_x(x), scales and scales[0])
    k, b = twin(network.embed_y, network.inputs_y(y), scales and scales[1])
    reference = network.reference(x, y).detach().numpy()
    for i in range(6):
        for j in range(5):
            expected = reference[i, j] + h[i] @ k[j] / 2 + a[i] + b[j] + network.offset.item()
            assert network(x, y)[i, j].item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("build", [separable, joint])
@LIMITED
@given(st.permutations(range(6)), st.permutations(range(5)))
def test_scores_follow_their_rows(build, order_x, order_y):
    network = randomized(build())
    x, y = noise(6, 3, seed=1), noise(5, 2, seed=2)
    moved = network(x[order_x], y[order_y])
    torch.testing.assert_close(moved, network(x, y)[order_x][:, order_y], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network(x[order_x[:1]], y), network(x, y)[order_x[:1]], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("build", [separable, joint])
def test_every_parameter_gets_a_gradient(build):
    network = randomized(build())
    network(noise(6, 3, seed=1), noise(5, 2, seed=2)).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    assert any(p.grad.any() for p in network.parameters())


@pytest.mark.parametrize("build", [separable, joint])
def test_a_ratio_is_one_graph(build):
    assert_one_graph(randomized(build()), noise(6, 3, seed=1), noise(5, 2, seed=2))


def test_from_the_start_the_embedding_that_is_zero_learns():
    network = separable()
    infonce(network(noise(9, 3, seed=1), noise(9, 2, seed=2))).backward()
    assert network.embed_y.top.weight.grad[:-1].any()


def test_scaled_inputs_are_a_network_with_scaled_weights():
    x, y = noise(6, 3, seed=1), noise(5, 2, seed=2)
    scales = noise(7, 7, seed=5), noise(5, 5, seed=6)
    network, plain = (randomized(separable(relevance=relevance)) for relevance in (scales, None))
    with torch.no_grad():
        plain.embed_x.body[0].weight.copy_(network.embed_x.body[0].weight @ scales[0].T)
        plain.embed_y.body[0].weight.copy_(network.embed_y.body[0].weight @ scales[1].T)
    torch.testing.assert_close(network(x, y), plain(x, y), rtol=1e-4, atol=1e-4)


# ------------------------------------------------------------------------------------------------------------ relevance
def root_of(gradients):
    """Return the stated matrix: the root of the average outer product, in units of its norm."""
    root = np.real(sqrtm(gradients.T @ gradients / len(gradients)))
    return root / np.linalg.norm(root, ord=2)


def gradients_by_differences(network, x, y, step=1e-4):
    """Return the gradients of the joint samples' scores in the inputs of each side, by central differences."""
    inputs = [network.inputs_x(x), network.inputs_y(y)]
    gradients = []
    for side in range(2):
        columns = []
        for j in range(inputs[side].shape[1]):
            ends = []
            for sign in (1, -1):
                moved = [part.clone() for part in inputs]
                moved[side][:, j] += sign * step
                ends.append(network._score(*moved).diagonal())
            columns.append((ends[0] - ends[1]) / (2 * step))
        gradients.append(torch.stack(columns, 1).detach().numpy())
    return gradients


@pytest.mark.parametrize("radial", [True, False])
def test_relevance_is_the_root_of_the_average_gradient_outer_product(radial):
    network = randomized(separable(radial=radial)).double()
    x, y = noise(40, 3, seed=1, dtype=torch.float64), noise(40, 2, seed=2, dtype=torch.float64)
    for matrix, gradients in zip(network.relevance_of(x, y), gradients_by_differences(network, x, y), strict=True):
        values, vectors = np.linalg.eigh(root_of(gradients))
        floored = vectors * values.clip(SMALLEST_RELEVANCE) @ vectors.T
        np.testing.assert_allclose(matrix, floored, atol=2e-3)


def test_relevance_by_one_gradient_a_sample():
    network = randomized(separable(dim_x=2, dim_y=2, hidden=(6,), radial=False, correlations=(0.5,)))
    x, y = noise(20, 2, seed=1), noise(20, 2, seed=2)
    rows = []
    for i in range(20):
        xi, yi = x[[i]].requires_grad_(), y[[i]].requires_grad_()
        rows.append([part.numpy().ravel() for part in torch.autograd.grad(network(xi, yi).squeeze(), (xi, yi))])
    for matrix, gradients in zip(network.relevance_of(x, y), zip(*rows, strict=True), strict=True):
        expected = root_of(np.array(gradients, dtype=float))
        assert np.linalg.eigvalsh(expected)[0] > SMALLEST_RELEVANCE  # so the floor plays no part here
        np.testing.assert_allclose(matrix, expected, atol=1e-3)


def test_relevance_matrices_are_symmetric_of_norm_1_and_shut_nothing_out():
    network = separable(dim_x=6, dim_y=2, correlations=(0.8,), radial=False)  # only the first axis matters
    x, y = noise(30, 6, seed=1), noise(30, 2, seed=2)
    for matrix in network.relevance_of(x, y):
        torch.testing.assert_close(matrix, matrix.T)
        values = torch.linalg.eigvalsh(matrix)
        assert values[-1].item() == pytest.approx(1, abs=1e-5)
        torch.testing.assert_close(values[:-1], torch.full_like(values[:-1], SMALLEST_RELEVANCE), rtol=1e-3, atol=0)
        assert matrix[0, 0].item() == pytest.approx(1, abs=1e-5)


def test_nothing_is_relevant_to_a_network_that_has_learned_nothing():
    x, y = noise(30, 3, seed=1), noise(30, 2, seed=2)
    assert separable(correlations=(), offset=1.0).relevance_of(x, y) is None
    assert separable(correlations=()).relevance_of(x[:0], y[:0]) is None


def test_relevance_is_taken_without_a_trace_and_under_no_grad():
    network = randomized(separable())
    x, y = noise(30, 3, seed=1), noise(30, 2, seed=2)
    with torch.no_grad():
        silent = network.relevance_of(x, y)
    for a, b in zip(silent, network.relevance_of(x, y), strict=True):
        assert torch.equal(a, b)
        assert not a.requires_grad
    assert all(p.grad is None for p in network.parameters())
    assert not x.requires_grad


def train(network, x, y, bound=None, steps=150, learning_rate=0.01):
    loss_of_scores = (bound or InfoNCE()).symmetric_loss
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.randperm(len(x), generator=generator)[:128]
        loss = loss_of_scores(network(x[rows], y[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


def test_relevance_finds_the_direction_that_matters():
    x = noise(1500, 5, seed=1)
    direction = F.normalize(torch.tensor([1.0, -2.0, 0.5, 0.0, 1.0]), dim=0)
    square = (x @ direction).square() + 0.3 * noise(1500, seed=2)
    y = ((square - square.mean()) / square.std())[:, None]
    inputs = RadialInputs(x, radial=False), RadialInputs(y, radial=False)
    network = train(seeded(lambda: SeparableRatio(*inputs, GaussianReference(torch.zeros(0)), (32,), 8)), x, y)
    relevance, _ = network.relevance_of(x, y)
    values, vectors = torch.linalg.eigh(relevance)
    assert abs(vectors[:, -1] @ direction).item() > 0.97
    assert values[-2].item() < 0.5


# ---------------------------------------------------------------------------------------------------------- joint ratio
@pytest.mark.parametrize("hidden", [(8,), (8, 6), (5, 4, 3)])
def test_the_joint_ratio_is_one_network_on_both(hidden):
    network = randomized(joint(hidden=hidden))
    x, y = noise(4, 3, seed=1), noise(3, 2, seed=2)
    scores = network(x, y)
    assert scores.shape == (4, 3)
    first = nn.Linear(12, hidden[0])
    with torch.no_grad():
        first.weight.copy_(torch.cat([network.first_x.weight, network.first_y.weight], 1))
        first.bias.copy_(network.first_x.bias + network.first_y.bias)
    for i in range(4):
        for j in range(3):
            both = torch.cat([network.inputs_x(x)[i], network.inputs_y(y)[j]]).double().numpy()
            expected = twin_of_dense([first, *network.rest], both).item()
            assert scores[i, j].item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_many_rows_are_scored_as_a_few(monkeypatch):
    network = randomized(joint())
    monkeypatch.setattr(gaussian, "NUMBERS_AT_ONCE", 3 * 4 * network.first_x.out_features)
    x, y = noise(11, 3, seed=1), noise(4, 2, seed=2)
    scores = network(x, y)
    assert scores.shape == (11, 4)
    torch.testing.assert_close(scores, torch.cat([network(row[None], y) for row in x]), rtol=1e-4, atol=1e-5)


@LIMITED
@given(st.integers(1, 9), st.lists(st.integers(0, 20), min_size=1, max_size=5))
def test_shuffled_scores_are_entries_of_the_matrix(n, shifts):
    network = randomized(joint())
    x, y = noise(n, 3, seed=1), noise(n, 2, seed=2)
    matrix = network(x, y)
    joint_scores, marginal = network.shuffled(x, y, torch.tensor(shifts))
    assert marginal.shape == (len(shifts), n)
    torch.testing.assert_close(joint_scores, matrix.diagonal(), rtol=1e-4, atol=1e-5)
    for row, shift in zip(marginal, shifts, strict=True):
        expected = torch.stack([matrix[i, (i + shift) % n] for i in range(n)])
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-5)


# ----------------------------------------------------------------------------------------------------- referenced critic
@pytest.mark.parametrize("name", CRITICS)
def test_any_critic_is_added_to_the_reference(name, monkeypatch):
    monkeypatch.setattr(gaussian, "NUMBERS_AT_ONCE", 4 * 5 * ratio.WIDTH_OF_NAMED)
    inputs = RadialInputs(noise(50, 3, seed=91)), RadialInputs(noise(50, 3, seed=92))
    critic = randomized(seeded(lambda: build_critic(CRITICS[name](), 7, 7, 1.0)))
    network = ReferencedCritic(*inputs, critic, GaussianReference(torch.tensor([0.8, -0.3])))
    x, y = noise(11, 3, seed=1), noise(5, 3, seed=2)
    expected = critic(inputs[0](x), inputs[1](y)) + GaussianReference(torch.tensor([0.8, -0.3]))(x, y)
    torch.testing.assert_close(network(x, y), expected)
    with torch.no_grad():  # a few rows at a time
        torch.testing.assert_close(network(x, y), expected, rtol=1e-4, atol=1e-4)
    network(x, y).square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())


# -------------------------------------------------------------------------------------------------------- stacked ratio
def stacked(n=30, n_members=3, seed=0, scale=1.0):
    """Return a stack of tables, none of them of any use, and the rows that it is chosen on."""
    tables = [scale * noise(n, n, seed=100 * seed + i) for i in range(n_members)]
    return StackedRatio([Given(table) for table in tables]), numbers(n)


CHOOSING = [InfoNCE(), JSD(), DV(), NWJ(), Alpha(), UBA(), MLCPC(), SMILE()]


def loss_of(network, rows, bound):
    with torch.no_grad():
        return bound.symmetric_loss(network(rows, rows)).item()


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, 0.0], [0.5, -2.0]])
def test_the_stack_is_a_weighted_sum_and_an_offset(weights):
    stack, rows = stacked(n_members=2)
    assert not stack(rows, rows).any()  # before anything is chosen
    stack.weights.copy_(torch.tensor(weights))
    stack.offset.fill_(0.25)
    expected = 0.25 + sum(w * member.table for w, member in zip(weights, stack.members, strict=True))
    torch.testing.assert_close(stack(rows, rows), torch.as_tensor(expected).expand(30, 30))
    assert stack(rows[:4], rows).shape == (4, 30)


def test_a_member_without_weight_is_not_asked():
    class Refusing(nn.Module):
        def forward(self, x, y):
            raise AssertionError("asked")

    stack = StackedRatio([Refusing(), Given(torch.ones(3, 3))])
    stack.weights.copy_(torch.tensor([0.0, 2.0]))
    assert torch.equal(stack(numbers(3), numbers(3)), torch.full((3, 3), 2.0))


@pytest.mark.parametrize("bound", CHOOSING, ids=repr)
def test_what_is_chosen_is_never_worse_than_the_best_member(bound):
    for seed in range(4):
        stack, rows = stacked(seed=seed, n_members=1 + seed, scale=0.5 + seed)
        stack.choose(rows, rows, bound.symmetric_loss)
        assert torch.isfinite(stack.weights).all()
        assert torch.isfinite(stack.offset)
        best = min(loss_of(member, rows, bound) for member in stack.members)
        assert loss_of(stack, rows, bound) <= best + 1e-5 * (1 + abs(best))


@LIMITED
@given(st.lists(st.floats(0, ratio.LARGEST_WEIGHT), min_size=3, max_size=3), st.floats(-3, 3))
def test_no_other_weights_are_better(weights, offset):
    """The losses of these bounds are convex in the scores, so the choice is the best of all."""
    for bound in (JSD(), InfoNCE()):
        stack, rows = stacked(n=60)  # of fewer than 50 rows only single members are candidates
        stack.choose(rows, rows, bound.symmetric_loss, max_iter=60)
        chosen = loss_of(stack, rows, bound)
        stack.weights.copy_(torch.tensor(weights))
        stack.offset.fill_(offset)
        assert chosen <= loss_of(stack, rows, bound) + 1e-5


@pytest.mark.parametrize("bound", [JSD(), NWJ(), InfoNCE()], ids=repr)
def test_a_planted_combination_is_found(bound):
    """The log ratio is the sum of that of two independent pairs; one member is twice the first, the other half the second."""
    parts = [GaussianPairs(rho).sample(1500, random_state=seed) for seed, rho in enumerate([0.6, 0.8])]
    x, y = (torch.from_numpy(np.hstack(side)).float() for side in zip(*parts, strict=True))

    class Member(nn.Module):
        def __init__(self, axis, rho, factor):
            super().__init__()
            self.axis, self.factor, self.ratio = axis, factor, GaussianReference(torch.tensor([rho]))

        def forward(self, x, y):
            return self.factor * self.ratio(x[:, [self.axis]], y[:, [self.axis]])

    stack = StackedRatio([Member(0, 0.6, 2.0), Member(1, 0.8, 0.5)])
    stack.choose(x, y, bound.symmetric_loss, max_iter=30)
    assert stack.weights.tolist() == pytest.approx([0.5, 2.0], rel=0.15)
    if bound.name != "infonce":  # which does not feel a constant
        assert stack.offset.item() == pytest.approx(bound.offset, abs=0.1)


def test_no_network_is_subtracted():
    """The first member is the second one and 2 nats for joint samples: their difference is best on these rows."""
    noise_of_both = 3 * noise(200, 200)
    stack = StackedRatio([Given(noise_of_both + 2 * torch.eye(200)), Given(noise_of_both)])
    stack.choose(numbers(200), numbers(200), JSD().symmetric_loss, max_iter=60)
    assert stack.weights[0] > 0
    assert stack.weights[1] == 0


def test_constant_members_and_an_equal_pair_are_no_obstacle():
    table = noise(30, 30) + 3 * torch.eye(30)
    for bound in (JSD(), InfoNCE(), NWJ()):
        stack = StackedRatio([Given(torch.zeros(30, 30)), Given(torch.ones(30, 30)), Given(table), Given(table)])
        stack.choose(numbers(30), numbers(30), bound.symmetric_loss)
        assert torch.isfinite(stack.weights).all()
        members = [Given(torch.zeros(30, 30)), Given(table)]
        best = min(loss_of(member, numbers(30), bound) for member in members)
        assert loss_of(stack, numbers(30), bound) <= best + 1e-5


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e30])
def test_a_member_out_of_range_does_no_harm(bad):
    table = noise(30, 30) + 2 * torch.eye(30)
    broken = torch.where(torch.eye(30) == 1, 0.0, bad)
    stack = StackedRatio([Given(broken), Given(table)])
    stack.choose(numbers(30), numbers(30), NWJ().symmetric_loss)
    assert torch.isfinite(stack.weights).all()
    assert loss_of(stack, numbers(30), NWJ()) <= loss_of(Given(table), numbers(30), NWJ()) + 1e-5


def test_a_second_choice_forgets_the_first():
    table = noise(30, 30) + 2 * torch.eye(30)
    broken = torch.full((30, 30), math.nan)  # no weights but (0, 1) give a loss at all
    stack = StackedRatio([Given(broken), Given(table)])
    stack.offset.fill_(7.0)
    stack.choose(numbers(30), numbers(30), NWJ().symmetric_loss)
    assert loss_of(stack, numbers(30), NWJ()) <= loss_of(Given(table), numbers(30), NWJ()) + 1e-5


def test_choosing_leaves_the_members_as_they_are_and_works_without_gradients():
    stack, rows = stacked()
    before = [member.table.detach().clone() for member in stack.members]
    with torch.no_grad():
        stack.choose(rows, rows, JSD().symmetric_loss)
    assert all(torch.equal(a, member.table) for a, member in zip(before, stack.members, strict=True))
    assert all(member.table.grad is None for member in stack.members)
    assert {"weights", "offset"} <= set(stack.state_dict())
    assert not stack.weights.requires_grad
