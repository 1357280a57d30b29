"""The papers' claims, each computed from the rows of the experiments: what the paper says, what came out, whether it holds."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from scipy.stats import t as student

RESULTS = Path(__file__).parents[1] / "results" / "reproductions"
Row = dict[str, str]


class NotRunError(LookupError):
    """A claim is about runs that are not there yet."""


@dataclass
class Claim:
    """A line of the page."""

    paper: str
    ours: str
    holds: str


def read(table: str, folder: Path = RESULTS) -> list[Row]:
    """Return the rows of a table, none where it was not run; of several parts judged, those of the test set."""
    path = folder / f"{table}.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if row.get("part") == "test"] or rows


def where(rows: Iterable[Row], **settings: object) -> list[Row]:
    """Return the rows of these settings, at least one."""
    found = [row for row in rows if all(row[name] == str(value) for name, value in settings.items())]
    if not found:
        raise NotRunError(", ".join(f"{name} {value}" for name, value in settings.items()))
    return found


def last(rows: Iterable[Row]) -> list[Row]:
    """Return the last row of each run; step 0 is the first."""
    return [row for row in rows if "steps" not in row or row["step"] == row["steps"]]


def first(rows: Iterable[Row]) -> list[Row]:
    """Return the untrained row of each run."""
    return where(rows, step=0)


def column(rows: Iterable[Row], name: str) -> np.ndarray:
    """Return a column, in the order of the seeds; two rows of one seed are of different runs, and an error."""
    rows = list(rows)
    of = {int(row["seed"]): float(row[name]) for row in rows}
    if len(of) < len(rows):
        raise ValueError(f"{len(rows)} rows of {len(of)} seeds: runs of different settings stand for one setting.")
    return np.array([of[seed] for seed in sorted(of)])


def columns(name: str, *parts: list[Row]) -> list[np.ndarray]:
    """Return a column of each part, over the seeds that all of them have."""
    shared = set.intersection(*({row["seed"] for row in rows} for rows in parts))
    if not shared:
        raise NotRunError(f"a seed that is common to all {len(parts)} settings of a claim")
    return [column((row for row in rows if row["seed"] in shared), name) for rows in parts]


def largest(rows: Iterable[Row], name: str) -> float:
    """Return the largest value of a column; NaN if one is."""
    return float(np.max([float(row[name]) for row in rows]))


def spread(values: np.ndarray, digits: int = 3) -> str:
    """Return mean ± standard deviation over seeds."""
    return f"{values.mean():.{digits}f}" + (f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else "")


def shown(values: np.ndarray, digits: int = 3) -> str:
    """Return mean ± standard deviation over seeds, and how many."""
    return f"{spread(values, digits)} (n = {len(values)})"


#: Share of the paper's size from which a claim is a plain yes.
FULL_SIZE = 0.5


def verdict(differences: np.ndarray, threshold: float = 0.0, paper: float | None = None) -> str:
    """Say whether the mean lies above the threshold, and with it the 95 % interval by Student's t; then, how large it is.

    ``paper`` is the paper's own difference: a mean below half of it is no plain yes.
    """
    n, mean = len(differences), differences.mean()
    margin = student.ppf(0.975, n - 1) * differences.std(ddof=1) / math.sqrt(n) if n > 1 else 0.0
    if not mean > threshold:
        return "no, the reverse" if n > 1 and mean + margin < min(threshold, 0.0) else "no"
    if mean - margin <= threshold:
        return "in direction, within noise"
    if paper is not None and mean < FULL_SIZE * paper:
        return f"in direction, {mean / paper:.0%} of the paper's size" + (", one seed" if n == 1 else "")
    return "yes" if n > 1 else "yes, one seed"


def larger(
    text: str,
    a: list[Row],
    b: list[Row],
    name: str,
    what: str,
    threshold: float = 0.0,
    digits: int = 3,
    paper: float | None = None,
) -> Claim:
    """Claim that a column is larger in the first rows than in the second, seed by seed, over the seeds of both."""
    of_a, of_b = columns(name, a, b)
    return sized(text, of_a - of_b, what, threshold, digits, paper)


def sized(
    text: str,
    differences: np.ndarray,
    what: str,
    threshold: float = 0.0,
    digits: int = 3,
    paper: float | None = None,
) -> Claim:
    """Claim that differences are above a threshold, beside the paper's own."""
    beside = "" if paper is None else f"; paper: {paper:.3f}"
    return Claim(text, f"{what}: {shown(differences, digits)}{beside}", verdict(differences, threshold, paper))


def above_pixels(rows: list[Row], pixels: Row, names: tuple[str, ...]) -> list[Claim]:
    """Claim of each setting that a linear classifier does better on the code than on the pixels, by both probes."""
    claims = []
    for key in dict.fromkeys(tuple(row[name] for name in names) for row in rows):
        of = last(where(rows, **dict(zip(names, key, strict=True))))
        gains = [column(of, probe) - float(pixels[probe]) for probe in PROBES]
        ours = "; ".join(f"{text}: {shown(gain)}" for gain, text in zip(gains, PROBES.values(), strict=True))
        holds = " / ".join(dict.fromkeys(map(verdict, gains)))
        claims.append(Claim(f"Above raw pixels: {', '.join(key)}", ours, holds))
    return claims


def judged_of(holds: bool) -> str:
    return "yes" if holds else "no"


#: Columns of accuracy: one of a probe that was fitted to the end, one of theirs, which stops early.
PROBES = {"accuracy": "a converged probe", "papers_probe": "the paper's probe"}
#: Standard deviations of a pixel by which an inverse may miss, and nats that |log |det J|| may be.
INVERTED = 0.01


# ------------------------------------------------------------------------------------------------------------ the experiments
def bijective(rows: list[Row]) -> list[Claim]:
    rows = where(rows, couplings=10)
    error, volume = (largest(rows, name) for name in ("inverse_error", "log_det"))
    claims = [
        Claim(
            "The true mutual information is the same at every step",
            f"inverse from pixels at most {error:.1g} standard deviations, log-determinant at most {volume:.1g} nats; "
            f"allowed: {INVERTED}",
            judged_of(error < INVERTED and volume < INVERTED),
        )
    ]
    paper = {
        "infonce": "Accuracy rises, InfoNCE (published re-run of the notebook: .862 to .880 at 2,000 steps, .897 at 20,000)",
        "nwj": "Accuracy rises, NWJ",
    }
    for estimator, text in paper.items():
        of = where(rows, estimator=estimator)
        claims.append(larger(text, last(of), first(of), "accuracy", "end less start"))
        claims.append(larger(f"I_EST rises, {estimator}", last(of), first(of), "i_est", "end less start, nats"))
        text = f"V-information rises, {estimator} (our reading)"
        claims.append(larger(text, last(of), first(of), "v_information", "end less start, nats"))
    return claims


def adversarial(rows: list[Row]) -> list[Claim]:
    games = {
        "the paper's game": where(rows, adversary="descent", couplings=10, smallest_scale=0.1),
        "against the best linear classifier": where(rows, adversary="optimum"),
    }
    if full := [row for row in rows if row["couplings"] == "30"]:
        games["the paper's game at its size"] = full
    theirs = where(rows, adversary="descent", couplings=10, smallest_scale=1e-7)
    claims = []
    for game, of in games.items():
        for probe, text in PROBES.items():
            paper = f"Accuracy falls by more than 20 points (paper: about .85 to .4): {game}, {text}"
            claims.append(larger(paper, first(of), last(of), probe, "start less end", 0.2))
        claims.append(
            larger(
                f"V-information falls (our reading): {game}",
                first(of),
                last(of),
                "v_information",
                "start less end, nats",
            )
        )
    for game, of in {**games, "the notebook's floor of factors, 1e-7": theirs}.items():
        error = largest(of, "inverse_error")
        ours = f"inverse from pixels at most {error:.1g} standard deviations; allowed: {INVERTED}"
        paper = f"The mutual information stays the same: the encoder is inverted, in float32: {game}"
        claims.append(Claim(paper, ours, judged_of(error < INVERTED)))
    return claims


def invertibility(rows: list[Row]) -> list[Claim]:
    claims = []
    for name in ("infonce", "nwj"):
        of = where(rows, estimator=name)
        growth = column(last(of), "condition_median") - column(first(of), "condition_median")
        claims += [
            Claim(
                f"The condition number grows more than tenfold, {name}",
                f"log of the factor, at the median input: {shown(growth, 2)}; log 10 = 2.30",
                verdict(growth, math.log(10)),
            ),
            larger(f"Accuracy rises, {name}", last(of), first(of), "accuracy", "end less start"),
        ]
        for weak, strong, text in (
            ("noise", "signal", "Directions of noise are attenuated against those of the digits"),
            ("unshared", "shared", "Open: what the halves do not share is attenuated against what they do"),
        ):
            ratio = np.log(column(last(of), f"gain_{strong}") / column(last(of), f"gain_{weak}"))
            claims.append(Claim(f"{text}, {name}", f"log of the ratio of gains: {shown(ratio)}", verdict(ratio)))
    return claims


#: Accuracy by NWJ less that of the network on both codes, as an account of the paper's figure has it, to a point or two.
CRITICS_OF_THE_PAPER = {"bilinear": 0.05, "separable": 0.03}


def critic_capacity(rows: list[Row]) -> list[Claim]:
    ends, claims = last(where(rows, init="glorot")), []
    for estimator in ("infonce", "nwj"):
        of = {critic: where(ends, estimator=estimator, critic=critic) for critic in ("bilinear", "separable", "concat")}
        claims += [
            larger(
                f"The {critic} critic gives better accuracy than the network on both, {estimator}: {text}",
                of[critic], of["concat"], probe, "difference",
                paper=CRITICS_OF_THE_PAPER[critic] if estimator == "nwj" else None,
            )
            for critic in ("bilinear", "separable")
            for probe, text in PROBES.items()
        ]  # fmt: skip
        if estimator == "nwj":
            claims += [
                larger(
                    f"The bound orders the other way: {tighter} above {looser}, nwj",
                    of[tighter], of[looser], "i_est", "difference, nats",
                )
                for tighter, looser in (("concat", "bilinear"), ("concat", "separable"), ("separable", "bilinear"))
            ]  # fmt: skip
    return claims


def cifar10(rows: list[Row]) -> list[Claim]:
    return [
        larger(
            f"The bilinear critic gives better accuracy than the network on both, {estimator}: {text}",
            *(last(where(rows, estimator=estimator, critic=critic)) for critic in ("bilinear", "concat")),
            probe, "difference",
        )
        for estimator in ("infonce", "nwj")
        for probe, text in PROBES.items()
    ]  # fmt: skip


def matched_bounds(rows: list[Row]) -> list[Claim]:
    ends, claims = last(where(rows, init="glorot")), []
    for estimator in ("infonce", "nwj"):
        for target in ("2.0", "4.0"):
            conv, mlp = (where(ends, estimator=estimator, target=target, encoder=name) for name in ("conv", "mlp"))
            text = f"The convolutional encoder is better at t = {float(target):g}, {estimator}"
            claims.append(larger(text, conv, mlp, "accuracy", "difference", paper=0.09))  # read off their figure
            gaps = np.abs(np.concatenate([column(of, "i_est") for of in (conv, mlp)]) - float(target))
            text = f"The bound meets t = {float(target):g} within 0.2 nats, {estimator}"
            claims.append(Claim(text, f"mean distance, held out: {gaps.mean():.3f}", judged_of(gaps.mean() < 0.2)))
    return claims


def dependent_negatives(rows: list[Row]) -> list[Claim]:
    ends, claims = last(rows), []
    for name in ("infonce", "nwj"):
        of = {kind: where(ends, estimator=name, negatives=kind) for kind in ("independent", "dependent")}
        truth = float(ends[0]["truth"])
        values, errors = column(of["independent"], "i_est"), column(of["independent"], "standard_error")
        within = values.mean() < truth + 2 * errors.mean() / math.sqrt(len(errors))
        claims += [
            Claim(
                f"Independent negatives stay below {truth} nats, {name}",
                f"{shown(values, 4)}; two standard errors above are allowed",
                judged_of(within),
            ),
            Claim(
                f"Dependent negatives exceed {truth} nats, {name} (they converge to about {of['dependent'][0]['expected']})",
                shown(column(of["dependent"], "i_est"), 4),
                verdict(column(of["dependent"], "i_est"), truth),
            ),
        ]
    return claims


def metric_learning(rows: list[Row]) -> list[Claim]:
    ends = last(where(rows, init="glorot"))
    settings = sorted({(row["loss"], row["encoders"]) for row in ends})
    means = np.array(
        [
            [column(where(ends, loss=loss, encoders=e), name).mean() for name in ("i_nce_best_scale", "accuracy")]
            for loss, e in settings
        ]
    )
    rank = spearmanr(*means.T).statistic
    claims = [
        Claim(
            "More implied information goes with better features (asked, not claimed)",
            f"rank correlation over {len(settings)} settings: {rank:.2f}; yes above 0.5",
            judged_of(rank > 0.5),
        )
    ]
    for loss in ("triplet", "triplet, semi-hard", "npair", "npair_ovo"):
        text = f"{loss} is as good as InfoNCE, bilinear, within half a point (asked, not claimed; separate encoders)"
        of, infonce = (where(ends, loss=name, encoders="separate") for name in (loss, "infonce, bilinear"))
        claims.append(larger(text, of, infonce, "accuracy", "difference", -0.005))
    for loss in sorted({loss for loss, _ in settings}):
        shared, separate = (where(ends, loss=loss, encoders=e) for e in ("shared", "separate"))
        text = f"One encoder is better than two, {loss} (asked, not claimed)"
        claims.append(larger(text, shared, separate, "accuracy", "difference"))
    return claims


def _ends(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["step"] != "0"]


#: CIFAR-10, Hjelm et al.: the local objective less the global one, by JSD and 200 units (Table 1), and layers less the code,
#: by a linear classifier (Table 3).
LOCAL_LESS_GLOBAL = {"global": 0.238}
BELOW_THE_CODE = {"hidden": 0.044, "local": 0.136}


def deep_infomax_local(rows: list[Row]) -> list[Claim]:
    ends, claims = _ends(rows), []
    for estimator, layers in {"infonce": ("global", "hidden", "local"), "jsd": ("global",)}.items():
        for layer in layers:
            local, glob = (
                where(ends, objective=objective, estimator=estimator, layer=layer) for objective in ("local", "global")
            )
            text = f"The local objective is better than the global one: layer {layer!r}, {estimator}"
            paper = LOCAL_LESS_GLOBAL.get(layer) if estimator == "jsd" else None
            claims.append(larger(text, local, glob, "accuracy", "difference", paper=paper))
    for objective in ("local", "global"):
        for estimator, layers in {"infonce": ("global", "hidden", "local"), "jsd": ("global",)}.items():
            for layer in layers:
                of = where(rows, objective=objective, estimator=estimator, layer=layer)
                text = f"Training improves on the untrained network: the {objective} objective, layer {layer!r}, {estimator}"
                claims.append(larger(text, _ends(of), first(of), "accuracy", "end less start"))
    of = {
        layer: where(ends, objective="local", estimator="infonce", layer=layer)
        for layer in ("global", "hidden", "local")
    }
    gain = column(of["global"], "units_200") - column(of["global"], "accuracy")
    text = "200 units read more from the code than a linear probe (CIFAR-10: .670 against .496)"
    claims.append(sized(text, gain, "difference", paper=0.174))
    text = "Layers below the code are better, by a linear probe"
    for layer, paper in BELOW_THE_CODE.items():
        claims.append(larger(f"{text}: {layer}", of[layer], of["global"], "accuracy", "difference", paper=paper))
    return claims


def deep_infomax_negatives(rows: list[Row]) -> list[Claim]:
    def lost(augment: str, *names: str) -> list[np.ndarray]:
        """Return the accuracy with 127 negatives less that with 1, of each estimator over the seeds that all have."""
        ends = where(_ends(rows), augment=augment)
        of = columns("accuracy", *(where(ends, estimator=name, negatives=n) for name in names for n in (127, 1)))
        return [many - few for many, few in zip(of[::2], of[1::2], strict=True)]

    def needs_many(text: str, infonce: np.ndarray) -> Claim:
        return Claim(text, f"accuracy with 127 less that with 1: {shown(infonce)}", verdict(infonce))

    def loses_more(text: str, more: np.ndarray, less: np.ndarray) -> Claim:
        return Claim(text, f"{shown(more)} against {shown(less)}", verdict(more - less))

    infonce, jsd, dv = lost("None", "infonce", "jsd", "dv")
    infonce_of_views, jsd_of_views = lost("auto", "infonce", "jsd")
    few = "JSD loses less than InfoNCE with few (InfoNCE against JSD)"
    return [
        needs_many("InfoNCE needs many negatives", infonce),
        loses_more(few, infonce, jsd),
        loses_more("DV loses more than InfoNCE (the paper: most of the three)", dv, infonce),
        loses_more("DV loses more than JSD", dv, jsd),
        needs_many("InfoNCE needs many negatives: of augmented views (asked, not claimed)", infonce_of_views),
        loses_more(f"{few}: of augmented views (asked, not claimed)", infonce_of_views, jsd_of_views),
    ]


def deep_infomax_prior(rows: list[Row]) -> list[Claim]:
    ends = _ends(rows)
    none, full = (where(ends, prior_weight=weight) for weight in ("0.0", "1.0"))
    return [
        larger("The prior makes the sigmoid's components uniform: their Kolmogorov-Smirnov distance falls", none, full, "ks",
               "without less with"),
        larger("The prior lowers the dependence of the components, NDM", none, full, "ndm", "without less with, nats"),
        larger("The prior costs less than a point of accuracy (asked, not claimed)", full, none, "accuracy",
               "with less without", -0.01),
    ]  # fmt: skip


def deep_infomax_occlusion(rows: list[Row]) -> list[Claim]:
    hidden, whole = (where(_ends(rows), hidden_side=share) for share in ("0.5", "0.0"))
    text = "Occlusion improves the code (CIFAR-10: + 2.2 points)"
    return [larger(text, hidden, whole, "accuracy", "difference", paper=0.022)]


#: Claims of each table.
def ladders(rows: list[Row]) -> list[Claim]:
    def area(text: str, a: list[Row], b: list[Row], what: str) -> Claim:
        return larger(f"{text} (our reading)", a, b, "area", f"area, {what}, nats")

    of = where(rows, experiment="1a")
    claims = [area("1a. Training makes a bijective code easier, not richer", first(of), last(of), "start less end")]
    for game in ("best linear classifier", "the paper's game"):
        of = where(rows, experiment="1b", setting=game)
        text = f"1b. What is hidden from a linear classifier is there for richer ones: {game}"
        claims.append(area(text, last(of), first(of), "end less start"))
    for estimator in ("infonce", "nwj"):
        concat, bilinear = (
            last(where(rows, experiment="3", setting=f"{estimator}, {critic}")) for critic in ("concat", "bilinear")
        )
        claims.append(
            area(
                f"3. A concat critic leaves more to richer classifiers, {estimator}",
                concat,
                bilinear,
                "concat less bilinear",
            )
        )
    for nats in (2, 4):
        mlp, conv = (last(where(rows, experiment="4", setting=f"{name}, {nats} nats")) for name in ("mlp", "conv"))
        claims.append(
            area(f"4. Convolutions leave less to richer classifiers, at {nats} nats", mlp, conv, "mlp less conv")
        )
    return claims


CLAIMS: dict[str, Callable[[list[Row]], list[Claim]]] = {
    function.__name__: function
    for function in (
        bijective, adversarial, invertibility, critic_capacity, matched_bounds, dependent_negatives, metric_learning,
        cifar10, deep_infomax_local, deep_infomax_negatives, deep_infomax_prior, deep_infomax_occlusion, ladders,
    )
}  # fmt: skip
