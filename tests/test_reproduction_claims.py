"""The claims of the reproductions page can fail: each is computed from rows that bear it out, and from rows that do not."""

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def claims():
    path = Path(__file__).parents[1] / "benchmarks" / "reproductions" / "claims.py"
    spec = importlib.util.spec_from_file_location("reproduction_claims", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their annotations
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def rows(seeds=range(3), steps=100, **columns):
    """Return an untrained and a trained row for each seed; a pair of values is of these two."""
    made = []
    for seed in seeds:
        for stage, step in enumerate((0, steps)):
            values = {name: v[stage] if isinstance(v, tuple) else v for name, v in columns.items()}
            made.append({name: str(v) for name, v in {**values, "seed": seed, "step": step, "steps": steps}.items()})
    return made


def adversarial(end=0.4, error=1e-4, their_error=0.5):
    accuracies = {"accuracy": (0.85, end), "papers_probe": (0.85, end)}
    measured = {"couplings": 10, **accuracies, "v_information": (1.8, 1.8 - 0.85 + end)}
    theirs = rows([0], adversary="descent", smallest_scale=1e-07, inverse_error=(1e-6, their_error), **measured)
    ours = rows(adversary="descent", smallest_scale=0.1, inverse_error=(1e-6, error), **measured)
    return ours + theirs + rows(adversary="optimum", smallest_scale="no factors", inverse_error=(0, 1e-4), **measured)


def negatives(lost, seeds=range(3)):
    return [
        row
        for augment in ("None", "auto")
        for estimator, loss in lost.items()
        for count, end in ((1, 0.8 - loss), (127, 0.8))
        for row in rows(seeds, augment=augment, estimator=estimator, negatives=count, accuracy=(0.5, end))
    ]


def holds(found):
    return [claim.holds for claim in found]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        # accuracy by two probes and V-information, of each game; then the inverse: descent, optimum, the notebook's floor
        ({}, ["yes", "yes", "yes"] * 2 + ["yes", "yes", "no"]),
        ({"end": 0.7}, ["no", "no", "yes"] * 2 + ["yes", "yes", "no"]),
        ({"end": 0.9}, ["no", "no", "no"] * 2 + ["yes", "yes", "no"]),
        ({"their_error": 1e-4}, ["yes", "yes", "yes"] * 2 + ["yes", "yes", "yes"]),
        ({"error": float("nan"), "their_error": float("inf")}, ["yes", "yes", "yes"] * 2 + ["no", "yes", "no"]),
        ({"error": 0.02, "their_error": float("nan")}, ["yes", "yes", "yes"] * 2 + ["no", "yes", "no"]),
    ],
)
def test_an_inverse_that_is_not_there_is_none(claims, change, expected):
    found = holds(claims.adversarial(adversarial(**change)))
    assert [verdict.partition(",")[0] for verdict in found] == expected


def test_a_game_at_the_papers_size_has_claims_of_its_own(claims):
    measured = {
        "accuracy": (0.85, 0.84),
        "papers_probe": (0.85, 0.7),
        "v_information": (1.8, 1.7),
        "inverse_error": 1e-4,
    }
    full = rows([0], adversary="descent", couplings=30, smallest_scale=0.1, **measured)
    small, both = claims.adversarial(adversarial()), claims.adversarial(adversarial() + full)
    assert {claim.paper: claim.ours for claim in small}.items() <= {claim.paper: claim.ours for claim in both}.items()
    further = [claim for claim in both if "the paper's game at its size" in claim.paper]
    assert [claim.holds.partition(",")[0] for claim in further] == ["no", "no", "yes", "yes"]
    assert len(both) == len(small) + len(further)


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        ({"infonce": 0.2, "jsd": 0.1, "dv": 0.3}, ["yes"] * 6),
        ({"infonce": 0.2, "jsd": 0.4, "dv": 0.3}, ["yes", "no", "yes", "no", "yes", "no"]),  # JSD loses most, not DV
        ({"infonce": 0.0, "jsd": 0.0, "dv": 0.0}, ["no"] * 6),
    ],
)
def test_who_needs_negatives(claims, lost, expected):
    found = holds(claims.deep_infomax_negatives(negatives(lost)))
    assert [verdict.partition(",")[0] for verdict in found] == expected


def test_runs_that_are_not_all_there_are_compared_over_the_seeds_they_share(claims):
    lost = {"infonce": 0.2, "jsd": 0.1, "dv": 0.3}
    part = [row for row in negatives(lost) if (row["estimator"], row["negatives"], row["seed"]) != ("dv", "1", "2")]
    assert holds(claims.deep_infomax_negatives(part)) == ["yes"] * 6
    disjoint = [row for row in part if row["estimator"] == "jsd" or row["seed"] != "0"]
    assert "(n = 1)" in claims.deep_infomax_negatives(disjoint)[0].ours
    with pytest.raises(claims.NotRunError, match="a seed that is common"):
        claims.larger("claim", rows([0], accuracy=1), rows([1], accuracy=0), "accuracy", "difference")


def test_two_runs_of_one_seed_are_no_two_seeds(claims):
    with pytest.raises(ValueError, match="6 rows of 3 seeds"):
        claims.column(rows(accuracy=1), "accuracy")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.1, 0.12, 0.11], "yes"),
        ([0.1, -0.05, 0.02], "in direction, within noise"),
        ([0.1, 0.2, 0.3], "in direction, within noise"),  # 3.5 standard errors, of two degrees of freedom
        ([0.1, 0.2, 0.3, 0.1, 0.2, 0.3], "yes"),
        ([-0.1, -0.12, 0.0], "no"),
        ([0.1], "yes, one seed"),
        ([-0.1, -0.12, -0.11], "no, the reverse"),
        ([-0.1], "no"),
        ([float("nan"), 0.1, 0.1], "no"),
    ],
)
def test_verdict(claims, values, expected):
    assert claims.verdict(claims.np.array(values)) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.009, 0.01, 0.008], "in direction, 5% of the paper's size"),
        ([0.009], "in direction, 5% of the paper's size, one seed"),
        ([0.09, 0.091, 0.089], "yes"),
        ([0.001, -0.001, 0.01], "in direction, within noise"),
        ([-0.009, -0.01, -0.008], "no, the reverse"),
    ],
)
def test_a_plain_yes_has_half_of_the_paper_s_size(claims, values, expected):
    assert claims.verdict(claims.np.array(values), paper=0.174) == expected


def test_every_setting_is_held_against_raw_pixels(claims):
    of = {
        critic: rows(estimator="nwj", critic=critic, accuracy=(0.8, accuracy), papers_probe=(0.8, probe))
        for critic, accuracy, probe in [("bilinear", 0.88, 0.87), ("concat", 0.86, 0.83)]
    }
    pixels = {"accuracy": "0.8494", "papers_probe": "0.8485"}
    better, mixed = claims.above_pixels([*of["bilinear"], *of["concat"]], pixels, ("estimator", "critic"))
    assert (better.paper, better.holds) == ("Above raw pixels: nwj, bilinear", "yes")
    assert (mixed.paper, mixed.holds) == ("Above raw pixels: nwj, concat", "yes / no, the reverse")
    assert "0.031 ± 0.000 (n = 3); the paper's probe: 0.021" in better.ours


def test_claims_about_critics_are_of_the_paper_s_first_weights(claims):
    def critics(init, bilinear):
        ends = {"bilinear": bilinear, "separable": 0.87, "concat": 0.86}
        return [
            row
            for estimator in ("infonce", "nwj")
            for critic, end in ends.items()
            for row in rows(
                init=init, estimator=estimator, critic=critic, i_est=(0.0, 3.0 - end), accuracy=end, papers_probe=end
            )
        ]

    found = claims.critic_capacity(critics("torch", 0.8) + critics("glorot", 0.9))
    assert holds(found)[:2] == ["yes", "yes"]
    with pytest.raises(claims.NotRunError, match="init glorot"):
        claims.critic_capacity(critics("torch", 0.8))


def ladder_rows(sign):
    """Areas that differ by ``sign`` times 0.1 in the direction of each claim."""
    ends = {
        ("1a", "infonce"): (0.3, 0.3 - sign * 0.1),
        ("1b", "best linear classifier"): (0.3, 0.3 + sign * 0.1),
        ("1b", "the paper's game"): (0.3, 0.3 + sign * 0.1),
    }
    for estimator in ("infonce", "nwj"):
        ends |= {("3", f"{estimator}, concat"): (0, 0.3 + sign * 0.1), ("3", f"{estimator}, bilinear"): (0, 0.3)}
    for nats in (2, 4):
        ends |= {("4", f"mlp, {nats} nats"): (0, 0.3 + sign * 0.1), ("4", f"conv, {nats} nats"): (0, 0.3)}
    return [row for (name, setting), area in ends.items() for row in rows(experiment=name, setting=setting, area=area)]


@pytest.mark.parametrize(("sign", "expected"), [(1, "yes"), (0, "no"), (-1, "no, the reverse")])
def test_who_leaves_what_to_richer_classifiers(claims, sign, expected):
    assert holds(claims.ladders(ladder_rows(sign))) == [expected] * 7
