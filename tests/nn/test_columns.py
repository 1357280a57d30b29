"""Critics of columns: the table form of InfoNCE, columns that do not touch each other, and columns that leave."""

import math

import numpy as np
import pytest
import torch

from skdim import gaussian
from skdim.bounds import infonce
from skdim.nn.columns import ColumnCritics, Curves, Symbols, gaussian_scores, log_ratios

A, C, N, FEATURES = 6, 5, 40, 3


def rows(n_columns=4, seed=0):
    """Return cells (n_columns, N) of N rows, and their tables (n_columns, A, C) of frequencies."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(A, (n_columns, N), generator=generator)
    y = torch.randint(C - 1, (n_columns, N), generator=generator)  # the last candidate is never met
    joint = torch.zeros(n_columns, A, C)
    for j in range(n_columns):
        joint[j].index_put_((x[j], y[j]), torch.tensor(1 / N), accumulate=True)
    return x, y, joint


def features(n_columns=4, n_positions=A, seed=1):
    return torch.randn(n_columns, n_positions, FEATURES, generator=torch.Generator().manual_seed(seed))


def build(n_columns, kind, seed=0):
    torch.manual_seed(seed)
    return ColumnCritics(n_columns, FEATURES, **({"n_symbols": C} if kind == "symbols" else {"candidate_features": 3}))


def inputs(kind, columns=slice(None)):
    return features()[columns], None if kind == "symbols" else features(n_positions=C, seed=2)[columns]


def train(critics, optimizer, kind, columns=slice(None), n_steps=30):
    joint = rows()[2][columns]
    for _ in range(n_steps):
        loss = -(joint * log_ratios(critics(*inputs(kind, columns)), joint.sum(1).log())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_the_mean_log_ratio_of_a_table_is_infonce_of_its_rows():
    x, y, joint = rows()
    scores = 3 * torch.randn(4, A, C, generator=torch.Generator().manual_seed(3))
    values = (joint * log_ratios(scores, joint.sum(1).log())).sum((1, 2))
    for j, value in enumerate(values):
        torch.testing.assert_close(value, infonce(scores[j][x[j]][:, y[j]]))


def test_it_is_also_the_entropy_less_the_cross_entropy_of_the_classifier():
    x, y, joint = rows(1)
    scores = torch.randn(1, A, C, generator=torch.Generator().manual_seed(3))
    p = joint.sum(1)[0]
    posterior = p * scores[0].exp()
    posterior /= posterior.sum(1, keepdim=True)
    entropy = -torch.special.xlogy(p, p).sum()
    cross_entropy = -posterior[x[0], y[0]].log().mean()
    value = (joint * log_ratios(scores, joint.sum(1).log())).sum()
    torch.testing.assert_close(value, entropy - cross_entropy)


def test_a_function_of_the_anchor_changes_nothing():
    _, _, joint = rows()
    scores, of_anchor = torch.randn(4, A, C), 5 * torch.randn(4, A, 1)
    marginal = joint.sum(1).log()
    torch.testing.assert_close(log_ratios(scores + of_anchor, marginal), log_ratios(scores, marginal))


@pytest.mark.parametrize("kind", ["symbols", "curves"])
def test_critics_score_zero_at_first_and_all_columns_start_alike(kind):
    critics = build(4, kind)
    assert critics(*inputs(kind)).abs().max() == 0
    for parameter in critics.parameters():
        assert torch.equal(parameter, parameter[:1].expand_as(parameter))


@pytest.mark.parametrize("kind", ["symbols", "curves"])
def test_every_parameter_learns_and_the_bound_rises(kind):
    critics = build(4, kind)
    before = [parameter.detach().clone() for parameter in critics.parameters()]
    train(critics, critics.optimizer(0.05, 0.0), kind)
    assert all((new != old).any() for new, old in zip(critics.parameters(), before, strict=True))
    joint = rows()[2]
    values = (joint * log_ratios(critics(*inputs(kind)), joint.sum(1).log())).sum((1, 2))
    assert (values > 0.05).all()


@pytest.mark.parametrize("kind", ["symbols", "curves"])
def test_a_column_trains_as_it_would_alone(kind):
    together, alone = build(4, kind), build(1, kind)
    train(together, together.optimizer(0.05, 0.01), kind)
    train(alone, alone.optimizer(0.05, 0.01), kind, slice(2, 3))
    for many, one in zip(together.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(many[2:3], one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["symbols", "curves"])
@pytest.mark.parametrize("n_before", [0, 10])
def test_columns_that_stay_do_not_notice_that_others_leave(kind, n_before):
    stayed, left = build(4, kind), build(4, kind)
    optimizers = [critics.optimizer(0.05, 0.01) for critics in (stayed, left)]
    chosen = torch.tensor([3, 1])
    for critics, optimizer in zip((stayed, left), optimizers, strict=True):
        train(critics, optimizer, kind, n_steps=n_before)
    left.keep(chosen, optimizers[1])
    train(stayed, optimizers[0], kind)
    train(left, optimizers[1], kind, chosen)
    for many, few in zip(stayed.parameters(), left.parameters(), strict=True):
        torch.testing.assert_close(many[chosen], few, rtol=1e-4, atol=1e-5)


def test_only_what_scores_are_linear_in_decays():
    critics = build(2, "curves")
    shapes, rest = critics.optimizer(0.1, 0.5).param_groups
    assert (shapes["weight_decay"], rest["weight_decay"]) == (0.0, 0.5)
    names = {id(parameter): name for name, parameter in critics.named_parameters()}
    assert {names[id(p)].split(".")[1] for p in shapes["params"]} == {"first", "first_bias"}
    assert {names[id(p)].split(".")[1] for p in rest["params"]} == {"second", "shortcut"}


def test_the_network_is_its_formula():
    torch.manual_seed(0)
    curves, symbols = Curves(2, FEATURES, width=4, hidden=7), Symbols(2, C, 5)
    torch.nn.init.normal_(symbols.table)
    critics = ColumnCritics(2, FEATURES, n_symbols=C, width=4)
    critics.anchors, critics.candidates = curves, symbols
    x = features(2)
    for j in range(2):
        h = torch.tanh(x[j] @ curves.first[j] + curves.first_bias[j]) @ curves.second[j] + x[j] @ curves.shortcut[j]
        k, b = symbols.table[j, :, :4], symbols.table[j, :, 4]
        torch.testing.assert_close(critics(x)[j], h @ k.T + b)


def test_gaussian_scores_are_the_closed_form_but_for_a_function_of_the_anchor():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 1))
    y = 0.7 * x + math.sqrt(0.51) * rng.standard_normal((200, 1))
    identity = torch.eye(200)[None] / 200
    as_tensors = (torch.tensor(part.T, dtype=torch.float32) for part in (x, y))
    scores = gaussian_scores(*as_tensors, identity, torch.tensor([200]))[0].double().numpy()
    rho = np.array([(x * y).mean() / math.sqrt((x**2).mean() * (y**2).mean())])
    closed = np.stack([gaussian.log_ratio(np.repeat(row[None], 200, 0), y, rho) for row in x])
    difference = scores - closed
    np.testing.assert_allclose(difference, difference.mean(1, keepdims=True).repeat(200, 1), atol=1e-4)


def test_few_rows_cannot_tell_a_correlation_from_one():
    x, joint = torch.tensor([[-1.0, 1.0]]), torch.eye(2)[None] / 2
    of_four, of_many = (gaussian_scores(x, x, joint, torch.tensor([n]))[0, 0] for n in (4, 1000))
    rho = 0.75
    torch.testing.assert_close(of_four[0].item(), (rho - rho**2 / 2) / (1 - rho**2), rtol=1e-5, atol=0)
    assert of_many[0] - of_many[1] > of_four[0] - of_four[1]
