"""What a step of a critic minimises, and what judges it on held-out rows."""

import math

import pytest
import torch
from test_critics import randomized
from test_ratio import joint, noise, separable

from skdim.bounds import DV, FLO, JSD, NWJ, SMILE, TUBA, UBA, Alpha, InfoNCE, flo, jsd, nwj, tuba
from skdim.inputs.batches import Rows
from skdim.nn.objectives.ratio import RatioObjective
from skdim.nn.ratio import StackedRatio


def views(n=9):
    return noise(n, 3, seed=1), noise(n, 2, seed=2)


def objective_of(bound, network=None, n_shifts=None):
    network = randomized(separable()) if network is None else network
    return RatioObjective(network, randomized(bound.criterion(3, 2)), n_shifts)


def shuffles(objective, n, seed):
    return objective.draw(Rows(n, slice(0, n), (3,), {}), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("bound", [InfoNCE(), Alpha(alpha=0.3), UBA()], ids=repr)
def test_a_bound_that_is_not_symmetric_is_averaged_over_both_anchors(bound):
    objective, X = objective_of(bound), views()
    scores = objective.critic(*X)
    assert bound.value(scores).item() != pytest.approx(bound.value(scores.T).item())
    both = (bound.value(scores) + bound.value(scores.T)) / 2
    loss, values = objective(X, {})
    torch.testing.assert_close(loss, -both)
    assert values.keys() == {"loss"}
    assert values["loss"].item() == loss.item()
    assert not values["loss"].requires_grad


@pytest.mark.parametrize(("bound", "function"), [(NWJ(), nwj), (JSD(), jsd)], ids=["nwj", "jsd"])
def test_a_symmetric_bound_is_taken_once(bound, function):
    objective, X = objective_of(bound), views()
    assert objective(X, {})[0].item() == -function(objective.critic(*X)).item()


@pytest.mark.parametrize("n_shifts", [1, 3, 7, 50])
def test_a_joint_network_is_trained_on_shuffles(n_shifts):
    X, objective = views(8), objective_of(InfoNCE(), randomized(joint()), n_shifts)
    draws = shuffles(objective, 8, seed=5)
    shifts = draws["shifts"].tolist()
    assert len(set(shifts)) == len(shifts) == min(n_shifts, 7)
    assert all(1 <= shift <= 7 for shift in shifts)  # never a joint sample
    loss, scores = objective(X, draws)[0], objective.critic(*X)
    matrix = scores.tolist()
    joint_part = sum(math.log1p(math.exp(-matrix[i][i])) for i in range(8)) / 8
    pairs = [(i, (i + shift) % 8) for shift in shifts for i in range(8)]
    marginal = sum(math.log1p(math.exp(matrix[i][j])) for i, j in pairs) / len(pairs)
    assert loss.item() == pytest.approx(joint_part + marginal, rel=1e-4)
    if len(shifts) == 7:  # all shuffles are all pairs
        torch.testing.assert_close(loss, 2 * math.log(2) - jsd(scores), rtol=1e-4, atol=1e-5)


def test_only_the_generator_draws_shuffles():
    objective = objective_of(InfoNCE(), randomized(joint()), n_shifts=2)
    losses = [objective(views(20), shuffles(objective, 20, seed))[0].item() for seed in (0, 1, 0)]
    assert losses[0] == losses[2] != losses[1]
    assert shuffles(objective_of(InfoNCE()), 20, seed=0) == {}


@pytest.mark.parametrize(("bound", "function"), [(TUBA(), tuba), (FLO(), flo)], ids=["tuba", "flo"])
def test_a_second_function_learns_with_the_critic(bound, function):
    objective, X = objective_of(bound), views()
    inputs = X[1] if bound.auxiliary == "log_baseline" else torch.cat(X, dim=1)
    expected = function(objective.critic(*X), objective.criterion.auxiliary(inputs).squeeze(1))
    loss, _ = objective(X, {})
    torch.testing.assert_close(loss, -expected)
    torch.testing.assert_close(objective.evaluate(X, {})["loss"], -expected)
    loss.backward()
    assert all(parameter.grad.any() for parameter in objective.criterion.parameters())
    assert objective.critic.embed_x.top.weight.grad.any()


@pytest.mark.parametrize("bound", [TUBA(), FLO()], ids=repr)
def test_any_function_of_the_scores_may_choose_the_weights(bound):
    x, y = views(40)
    members = [randomized(separable(correlations=()), seed=seed) for seed in range(2)]
    stack = StackedRatio(members)
    criterion = objective_of(bound, stack).criterion.requires_grad_(False)
    stack.choose(x, y, lambda scores: criterion.loss(scores, x, y))
    with torch.no_grad():
        best = min(criterion.loss(member(x, y), x, y).item() for member in members)
        assert criterion.loss(stack(x, y), x, y).item() <= best + 1e-4 * (1 + abs(best))


def test_a_step_moves_the_average_of_dv_and_held_out_rows_do_not():
    objective, X = objective_of(DV(momentum=0.5)), views()
    average = objective.criterion.log_average
    average.fill_(math.nan)
    objective.eval().evaluate(X, {})
    assert average.isnan()
    objective.train()(X, {})
    first = average.item()
    assert math.isfinite(first)
    objective((2 * X[0], X[1]), {})
    assert average.item() != first


@pytest.mark.parametrize("bound", [InfoNCE(), JSD(), SMILE(), DV()], ids=repr)
def test_held_out_rows_judge_by_the_value_of_a_lower_bound_and_else_by_the_loss(bound):
    objective, X = objective_of(bound).eval(), views()
    scores = objective.critic(*X)
    expected = -bound.symmetric_value(scores) if bound.kind == "lower" else bound.symmetric_loss(scores)
    torch.testing.assert_close(objective.evaluate(X, {})["loss"], expected)


def test_held_out_rows_judge_a_joint_network_by_the_loss_of_all_pairs():
    objective, X = objective_of(JSD(), randomized(joint()), n_shifts=2), views()
    torch.testing.assert_close(objective.evaluate(X, {})["loss"], JSD().symmetric_loss(objective.critic(*X)))
