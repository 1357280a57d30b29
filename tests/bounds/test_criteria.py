"""How bounds are used: criteria that train critics, contributions of rows, subclasses, and what trains codes."""

import copy
import math
import re

import numpy as np
import pytest
import torch
from cases import CASES, IDS, REGISTRY, log_mean_exp, marginal, random_scores

import skdim.bounds as b
from skdim import CPCTransformer, DeepInfoMaxTransformer, MultiViewInfoMaxTransformer

X, Y = (random_scores(9, width, seed=width) for width in (3, 2))


def criterion_of(bound, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return bound.criterion(3, 2, **options).double()


def gradient(function, *shape):
    leaf = random_scores(*shape).requires_grad_()
    return torch.autograd.grad(function(leaf), leaf)[0]


# -------------------------------------------------------------------------------------------------------------- criteria
@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("name", IDS)
def test_a_criterion_gives_the_loss_and_the_detached_value_and_changes_in_training_only(name, both):
    case, scores, second = CASES[name], random_scores(9, 9), torch.zeros(9, dtype=torch.float64)
    bound, criterion = case.bound, criterion_of(case.bound, both_anchors=both)
    rules = (bound.symmetric_loss, bound.symmetric_value) if both else (bound.loss, bound.value)
    if bound.auxiliary:  # a second function starts at 0
        rules = [lambda scores, rule=rule: rule(scores, second) for rule in (case.loss, case.value)]
    for _ in range(2):
        loss, value = criterion(scores.requires_grad_(), X, Y)
        torch.testing.assert_close((loss, value), tuple(rule(scores) for rule in rules))
        assert loss.requires_grad
        assert not value.requires_grad
        state = {key: part.clone() for key, part in criterion.eval().state_dict().items()}
        scores = random_scores(9, 9, seed=1)
    assert all(torch.equal(part, state[key]) for key, part in criterion.state_dict().items())
    assert bool(state) == bool(bound.auxiliary or isinstance(bound, b.DV))


@pytest.mark.parametrize("name", IDS)
def test_a_criterion_is_one_graph_of_tensors(name):
    torch._dynamo.reset()
    eager, traced = criterion_of(CASES[name].bound), criterion_of(CASES[name].bound)
    step = torch.compile(traced, fullgraph=True, backend="eager")
    leaves = [random_scores(9, 9).requires_grad_() for _ in range(2)]
    expected, parts = eager(leaves[0], X, Y), step(leaves[1], X, Y)
    gradients = [torch.autograd.grad(loss, leaf)[0] for (loss, _), leaf in zip((expected, parts), leaves, strict=True)]
    assert all(map(torch.equal, (*expected, gradients[0]), (*parts, gradients[1])))


@pytest.mark.parametrize("name", [name for name in IDS if criterion_of(CASES[name].bound).splits])
def test_a_criterion_that_splits_is_the_mean_over_locations(name):
    criterion, scores = criterion_of(CASES[name].bound), random_scores(9, 9, 2)
    of_places = zip(*(criterion(place[..., None], X, Y) for place in scores.unbind(2)), strict=True)
    torch.testing.assert_close(tuple(torch.stack(part).mean() for part in of_places), criterion(scores, X, Y))


@pytest.mark.parametrize("momentum", [0.9, 0.5, 0.0])
def test_the_moving_average_of_dv_by_hand_over_three_steps(momentum):
    criterion, average, k = b.DV(momentum).criterion().double(), None, 4
    for step in range(3):
        scores = random_scores(k, k, seed=step, scale=1.0).requires_grad_()
        loss, value = criterion(scores)
        loss.backward()
        f = scores.tolist()
        batch = math.exp(log_mean_exp(marginal(f)))
        average = batch if average is None else momentum * average + (1 - momentum) * batch
        shares = scores.detach().exp() / (k * (k - 1)) / average
        torch.testing.assert_close(scores.grad, shares - shares.diagonal().diag() - torch.eye(k) / k)
        assert math.exp(criterion.log_average.item()) == pytest.approx(average, rel=1e-10)
        assert (
            value.item() == -loss.item() == pytest.approx(CASES["dv"].twin(f, None), abs=1e-10)
        )  # whatever the average


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("shape", [(5, 5), (5, 5, 3)])
def test_dv_has_the_gradient_of_the_batch_at_first_without_momentum_and_in_evaluation(momentum, shape):
    criterion, of_batch = b.DV(momentum).criterion().double(), gradient(b.DV().loss, *shape)
    at_first = gradient(criterion.loss, *shape)
    criterion.log_average.fill_(0.7)
    later = gradient(criterion.loss, *shape)
    if momentum == 0:
        torch.testing.assert_close((at_first, later), (of_batch, of_batch))
    elif len(shape) == 2:  # one average serves all locations
        torch.testing.assert_close(at_first, of_batch)
        assert not torch.allclose(later, of_batch)
    assert torch.equal(gradient(criterion.eval().loss, *shape), of_batch)


@pytest.mark.parametrize("bound", [b.TUBA(), b.FLO()], ids=repr)
def test_a_second_network_learns_the_best_function_which_gives_uba(bound):
    scores, criterion, values = random_scores(9, 9), criterion_of(bound), []
    optimizer = torch.optim.Adam(criterion.parameters(), 0.01)
    for _ in range(300):
        optimizer.zero_grad()
        loss, value = criterion(scores, X, Y)
        loss.backward()
        optimizer.step()
        values.append(value.item())
    best = b.uba(scores if bound == b.TUBA() else scores.T).item()
    assert values[0] < values[-1] == pytest.approx(best, abs=1e-2)
    of_y_alone = criterion.value(scores, X + 1, Y) == criterion.value(scores, X, Y)
    assert of_y_alone == (bound == b.TUBA())
    with pytest.raises(ValueError, match=f"estimator='{bound.name}' learns a second function and needs the widths"):
        bound.criterion()


# --------------------------------------------------------------------------------------------------------- contributions
@pytest.mark.parametrize("name", [name for name in IDS if not CASES[name].bound.auxiliary])
def test_contributions_average_to_the_value_and_tell_what_a_row_adds(name):
    bound = CASES[name].bound
    scores = random_scores(80, 80, scale=0.5) + torch.eye(80) + bound.offset  # which no row dominates
    value, per_row = bound.contributions(scores)
    torch.testing.assert_close((value, per_row.mean()), (bound.symmetric_value(scores),) * 2)
    others = [torch.arange(80) != i for i in range(80)]
    left_out = torch.stack([80 * value - 79 * bound.symmetric_value(scores[rows][:, rows]) for rows in others])
    if CASES[name].first_order:
        assert (left_out - per_row).std() < 0.05 * left_out.std()
    assert torch.corrcoef(torch.stack([left_out, per_row]))[0, 1] > 0.98


@pytest.mark.parametrize("k", [2, 255, 600])
def test_contributions_by_parts_equal_those_of_the_whole(k, monkeypatch):
    monkeypatch.setattr("skdim.bounds._softmax.SCORES_BY_PART", 256 * k)
    scores, asked = random_scores(k, k), []
    parts = b.InfoNCE().contributions_by_parts(lambda rows: asked.append(len(scores[rows])) or scores[rows], k)
    torch.testing.assert_close(parts, b.InfoNCE().contributions(scores))
    assert max(asked) <= 256


# ------------------------------------------------------------------------------------------------------------ subclasses
@pytest.mark.parametrize("parent", REGISTRY.values(), ids=REGISTRY)
def test_a_subclass_with_another_value_is_taken_at_its_word(parent):
    class Halved(parent):
        def value(self, scores, **second):
            return super().value(scores, **second) / 2

    class Inherits(Halved):
        pass

    scores, plain = random_scores(9, 9), parent()
    of_parent = criterion_of(plain).eval()
    value = of_parent.value(scores, X, Y) / 2
    loss = -value if plain.loss_is_value else of_parent.loss(scores, X, Y)
    for bound in (Halved(), Inherits()):
        criterion = criterion_of(bound)
        for _ in range(2):  # no average of the parent's is kept
            torch.testing.assert_close(criterion(scores, X, Y), (loss, value))
        result, per_row = bound.contributions(scores, lambda scores, c=criterion: c.value(scores, X, Y))
        torch.testing.assert_close((result, per_row.mean()), (value, value))
        assert bound.contributions_by_parts(lambda rows: scores[rows], 9) is None
        if not plain.auxiliary:
            parts = bound.symmetric_value(scores), bound.symmetric_loss(scores), bound.contributions(scores)[0]
            torch.testing.assert_close(parts, (value, loss, value))
            assert bound.loss(scores) == (-bound.value(scores) if plain.loss_is_value else plain.loss(scores))


@pytest.mark.parametrize("parent", REGISTRY.values(), ids=REGISTRY)
def test_a_subclass_with_another_loss_is_trained_by_it(parent):
    class Ranked(parent):
        def loss(self, scores, **second):
            return b.npair(scores)

    scores, once = random_scores(9, 9), parent.symmetric or parent.needs == "conditional" or parent.auxiliary
    loss = b.npair(scores) if once else (b.npair(scores) + b.npair(scores.T)) / 2
    value = criterion_of(parent()).eval().value(scores, X, Y)
    torch.testing.assert_close(criterion_of(Ranked())(scores, X, Y), (loss, value))


# ---------------------------------------------------------------------------------------------------- what trains codes
class Upper(b.InfoNCE):
    kind = "upper"


@pytest.mark.parametrize("bound", [*(bound() for bound in REGISTRY.values()), Upper()], ids=repr)
def test_what_cannot_train_codes_is_refused_before_training(bound, monkeypatch):
    monkeypatch.setattr("skdim.training.trainer.Trainer.train", lambda *_: pytest.fail("training began"))
    assert {name: type(b.bound_for_codes(name)) for name in b.BOUNDS} == b.BOUNDS
    with pytest.raises(ValueError, match=r"momentum of DV must lie in \[0, 1\)"):
        b.bound_for_codes(b.DV(momentum=1.0))
    if not (bound.needs == "conditional" or bound.auxiliary or bound.kind == "upper"):
        assert b.bound_for_codes(bound) is bound
        assert type(b.bound_for_codes(bound.name, REGISTRY)) is type(bound)
        return
    for transformer in (DeepInfoMaxTransformer, MultiViewInfoMaxTransformer, CPCTransformer):
        estimator = transformer(estimator=bound)
        before = copy.copy(vars(estimator))
        with pytest.raises(ValueError, match=re.escape(f"estimator={bound!r} cannot train codes: ")):
            estimator.fit(np.ones((8, 8, 8)))
        assert vars(estimator) == before


@pytest.mark.parametrize("trait", [{"kind": "Lower"}, {"needs": "critics"}])
def test_a_bound_says_what_it_is_in_known_words(trait):
    with pytest.raises(TypeError, match=r"kind among .*'lower'.* needs among .*'critic'"):
        type("Misnamed", (b.InfoNCE,), trait)
