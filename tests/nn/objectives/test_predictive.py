"""Predictive coding: places of pairs against a slow twin, and every bound of their scores against brute force."""

import functools
import math
from collections import defaultdict
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from skdim.bounds import InfoNCE, infonce
from skdim.nn.causal import CausalEncoder
from skdim.nn.objectives.predictive import NEGATIVES, Predictive
from skdim.nn.objectives.predictors import Grid, own_places, shared_places

from .builders import TRAINED, close, draws, evaluated, generator, numbers, seeded, step

N, TIMES, COLUMNS, D, STEPS = 7, 6, 2, 3, 4
X = numbers(N, COLUMNS * D, TIMES)
UNEQUAL = np.array([6, 4, 4, 1, 3, 1, 5])  # one sequence alone reaches the last frame
FULL, SHORT = np.full(N, TIMES), np.minimum(UNEQUAL, 1)
EXTRAS = {
    "none": {},
    **{name: {"lengths": lengths} for name, lengths in [("full", FULL), ("unequal", UNEQUAL), ("short", SHORT)]},
}


def slow_places(k, inside, grid):
    """Yield, for each part of the sequences, a place, the later one that it predicts, and the sequences that reach it."""
    n_places = (grid.n_times - grid.first_step - k) * grid.n_columns
    for part, u in enumerate(inside.tolist()):
        now = min(int((part + u) / len(inside) * n_places), n_places - 1)
        later = now + (k + grid.first_step) * grid.n_columns
        n_frames = [grid.n_times] * grid.n if grid.n_frames is None else grid.n_frames
        yield now, later, [i for i in range(grid.n) if later // grid.n_columns < n_frames[i]]


def grids():
    for n_times, n_columns, n_anchors, is_padded, seed, first in product(
        (2, 3, 9), (1, 3), (1, 4, 30), (0, 1), (0, 1), (1, 2)
    ):
        n_frames = torch.randint(1, n_times + 1, (5,), generator=generator(seed)) if is_padded else None
        inside = (
            torch.rand(STEPS, n_anchors, generator=generator(seed)) if seed else torch.full((STEPS, n_anchors), 0.5)
        )
        yield Grid(5, n_times, n_columns, n_frames, first), inside, range(min(STEPS, n_times - first))


def test_shared_places_and_their_groups_are_those_of_a_slow_twin():
    for grid, inside, steps in grids():
        found = shared_places(range(STEPS), inside, grid)
        slow = [[*slow_places(k, inside[k], grid)] for k in steps]
        assert found.steps.tolist() == list(steps)
        for name, part in (("now", 0), ("later", 1)):
            assert getattr(found, name).tolist() == [[place[part] for place in places] for places in slow]
        reached = [rows for places in slow for _, _, rows in places]
        if grid.n_frames is None:
            assert found.groups is None
        else:
            in_groups = [(pair, rows.tolist()) for pairs, rows in found.groups for pair in pairs.tolist()]
            assert sorted(in_groups) == [(pair, rows) for pair, rows in enumerate(reached) if len(rows) > 1]
        assert found.present == [k for k in steps if any(len(rows) > 1 for _, _, rows in slow[k])]
    alone = shared_places(range(STEPS), torch.full((STEPS, 4), 0.5), Grid(1, 9, 1, None))
    assert (alone.now.shape, alone.present) == ((0, 4), [])


def test_own_places_and_who_reaches_them_are_those_of_a_slow_twin():
    for grid, inside, steps in grids():
        for k in steps:
            n_places = (grid.n_times - grid.first_step - k) * grid.n_columns
            found, slow = own_places(k, inside, grid), [*slow_places(k, inside[k, :n_places], grid)]
            assert list(zip(found.now.tolist(), found.later.tolist(), strict=True)) == [place[:2] for place in slow]
            if n_places % len(slow) == 0:
                assert (found.now.diff() > 0).all()
            reached = [(anchor, i) for anchor, (_, _, rows) in enumerate(slow) for i in rows]
            assert list(zip(found.anchors.tolist(), found.sequences.tolist(), strict=True)) == reached
            of_sequence = [[anchor for anchor, row in reached if row == i] for i in range(grid.n)]
            by_count = {i: [*range(count)] for count, rows in found.by_count for i in rows.tolist()}
            assert by_count == {i: anchors for i, anchors in enumerate(of_sequence) if len(anchors) > 1}


# ---------------------------------------------------------------------------------------------------------- brute force
class Frames(nn.Module):
    """Sequences (n, Q d, T), a sample a frame -> latents (n, T, Q, d)."""

    def forward(self, X):
        return X.unflatten(1, (COLUMNS, D)).permute(0, 3, 1, 2)


def objective(bound=None, negatives="batch", first_step=1):
    def build():
        encoder = CausalEncoder(Frames(), nn.Linear(D, D), 1, (TIMES, COLUMNS))
        last_step = first_step + STEPS - 1
        module = Predictive(encoder, bound or InfoNCE(), D, last_step, negatives, first_step=first_step)
        nn.init.normal_(module.log_scale, std=0.3)
        nn.init.normal_(module.offset)
        return module

    return seeded(build)


def slow_scores(module, seed, negatives, lengths=None):
    """Return (k, scores) of the pairs that are compared with each other, from one context and one latent at a time."""
    z, c = (part.flatten(1, 2) for part in module.encoder(X))
    inside = torch.full((STEPS, 16), 0.5) if seed is None else torch.rand(STEPS, 4, generator=generator(seed))
    scores = []
    for k in range(STEPS):
        grid = Grid(N, TIMES, COLUMNS, lengths, module.first_step)
        n_parts = None if negatives == "batch" else (TIMES - module.first_step - k) * COLUMNS
        compared = defaultdict(list)
        for anchor, (now, later, rows) in enumerate(slow_places(k, inside[k, :n_parts], grid)):
            for i in rows:
                compared[{"batch": anchor, "sequence": i, "all": 0}[negatives]].append((c[i, now], z[i, later]))
        for pairs in compared.values():
            if len(pairs) > 1:
                f = [[context @ module.W[k] @ latent for _, latent in pairs] for context, _ in pairs]
                scale = module.log_scale[k].exp() / math.sqrt(D)
                scores.append((k, torch.stack([torch.stack(row) for row in f]) * scale + module.offset[k]))
    return scores


@functools.cache
def scored(seed, negatives, lengths, first_step=1):
    """Return the slow scores of the seeded module, which depend neither on its bound nor on its own negatives."""
    with torch.no_grad():
        return slow_scores(objective(first_step=first_step), seed, negatives, **EXTRAS[lengths])


def mean_over_pairs(function, scores):
    return sum(len(f) * function(f).item() for _, f in scores) / max(1, sum(len(f) for _, f in scores))


@pytest.mark.parametrize("seed", [3, None])
@pytest.mark.parametrize("lengths", EXTRAS)
@pytest.mark.parametrize("negatives", NEGATIVES)
@pytest.mark.parametrize(("bound", "first_step"), [*((bound, 1) for bound in TRAINED), (InfoNCE(), 2)], ids=repr)
def test_the_objective_is_that_of_brute_force(bound, first_step, negatives, lengths, seed):
    module, extras = objective(bound, negatives, first_step), EXTRAS[lengths]
    trained, reported = (scored(seed, kind, lengths, first_step) for kind in (negatives, "batch"))
    expected = {"loss": mean_over_pairs(bound.loss, trained), "prediction": mean_over_pairs(bound.value, reported)}
    for k in sorted({k for k, _ in reported}):
        hits = [f.argmax(1) == torch.arange(len(f)) for step_k, f in reported if step_k == k]
        expected[f"accuracy_{k + first_step}"] = torch.cat(hits).float().mean().item()
    padding = torch.arange(TIMES) >= torch.from_numpy(extras.get("lengths", FULL))[:, None, None]
    loss, parts = step(module, X.masked_fill(padding, math.nan), seed, **extras)
    assert loss.item() == parts["loss"].item()
    assert {name: part.item() for name, part in parts.items()} == close(expected)
    loss.backward()  # also where there is no pair
    assert {k for k in range(STEPS) if module.W.grad is not None and module.W.grad[k].any()} == {k for k, _ in trained}
    assert all(p.grad.isfinite().all() for p in module.parameters() if p.grad is not None)


@pytest.mark.parametrize("lengths", ["none", "unequal"])
def test_information_and_score_are_infonce_of_brute_force(lengths):
    module, extras = objective(negatives="all"), EXTRAS[lengths]
    scores = slow_scores(module, None, "batch", **extras)
    of_steps = [[part for part in scores if part[0] == k] for k in range(STEPS)]
    expected = [mean_over_pairs(infonce, part) if part else math.nan for part in of_steps]
    assert evaluated(module, X, "information", **extras).tolist() == close(expected, nan_ok=True)
    assert evaluated(module, X, "score", **extras).item() == close(np.nanmean(expected))
    with pytest.raises(ValueError, match="No two sequences of X reach frame 2: there is nothing to predict"):
        evaluated(module, X, "score", lengths=SHORT)


def test_anchors_depend_on_the_generator_and_those_of_evaluation_on_none():
    first, same, other, fixed, again = (draws(objective(), X, seed)["places"].now for seed in (1, 1, 2, None, None))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert torch.equal(fixed, again)


@pytest.mark.parametrize("lengths", ["none", "unequal"])
def test_features_are_contexts_of_the_own_frames(lengths):
    module, extras = objective(), {name: torch.from_numpy(part) for name, part in EXTRAS[lengths].items()}
    own = [c[:n] for c, n in zip(module.encoder(X).c, extras.get("lengths", FULL), strict=True)]
    sequences = [nn.functional.pad(c.flatten(), (0, (TIMES - len(c)) * COLUMNS * D)) for c in own]
    expected = {"last": [c[-1].mean(0) for c in own], "mean": [c.mean((0, 1)) for c in own], "sequence": sequences}
    assert module.widths() == {name: len(features[0]) for name, features in expected.items()}
    for name, features in expected.items():
        torch.testing.assert_close(module.features(X, extras, name), torch.stack(features))
    with pytest.raises(ValueError, match="room for the 6 frames of the fitted sequences; these have 12"):
        module.features(torch.cat([X, X], 2), {}, "sequence")
