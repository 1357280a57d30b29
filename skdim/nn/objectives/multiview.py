r"""The multi-view objective: encoders of views, and bounds between their codes.

.. math:: \max_{g_1, \dots, g_M} \; \frac{1}{|G|} \sum_{(a, b) \in G} I_{EST}(g_a(X_a); g_b(X_b))

Two views are Tschannen et al., ICLR 2020, Eq. 2. For more, the graph G holds all pairs, or the pairs of the first view with the
others: the full graph and the core view of Tian et al., ECCV 2020. They take the sum; the mean has the cap of one bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from skdim.bounds import Bound, InfoNCE
from skdim.inputs.augmentation import TwoViews
from skdim.inputs.batches import Rows
from skdim.inputs.layout import Layout
from skdim.nn.adapt import Critic, CriticFactory, build_critic
from skdim.nn.objectives.objective import Draws, Objective
from skdim.nn.objectives.terms import CodeInfoMax
from skdim.nn.views import SplitViews, ViewEncoders

#: Where the negatives of a joint sample come from.
NEGATIVES = ("batch", "same_group", "semi_hard")


class PairRows(NamedTuple):
    """The rows of a batch that the bound of a pair of views is taken on."""

    both: Tensor | None  # the rows that have both views; None if all have
    members: list[Tensor] | None  # among those, the rows of each group; None if the batch is one group

    def of(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codes of the samples that have both views."""
        return (x, y) if self.both is None else (x[self.both], y[self.both])


def semi_hard(scores: Tensor) -> Tensor:
    """Return scores (2, 2, K): for each anchor x_i a batch of two, its joint sample and one negative.

    The negative has the highest score below that of the joint sample; if there is none, the lowest score. FaceNet
    (Schroff et al., CVPR 2015) samples within a margin instead.
    """
    joint = scores.diagonal()
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    below = (scores < joint[:, None]) & ~own
    highest_below = scores.masked_fill(~below, -torch.inf).argmax(1, keepdim=True)
    lowest = scores.masked_fill(own, torch.inf).argmin(1, keepdim=True)
    chosen = torch.where(below.any(1, keepdim=True), highest_below, lowest)
    negative = scores.gather(1, chosen).squeeze(1)
    return torch.stack([torch.stack([joint, negative]), torch.stack([negative, joint])])


class PairInfoMax(CodeInfoMax):
    r"""I(g_a(X_a); g_b(X_b)): the codes of two views, with a choice of negatives and of a target.

    With a target t in nats the loss is the matched bound of Tschannen et al., Section 3.4: :math:`|I_{EST} - t|`. Its
    gradient is that of the estimator's loss, with the sign that moves the bound towards t.
    """

    def __init__(self, bound: Bound, critic: Critic, negatives: str = "batch", target: float | None = None) -> None:
        super().__init__(bound, critic, weight=1.0)
        self.negatives = negatives
        self.target = target

    def of_codes(self, x: Tensor, y: Tensor, members: list[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Return the loss and, detached, the bound in nats; ``members`` are the rows of each group."""
        scores = self.critic(x, y)
        parts = [(1.0, scores)]
        if self.negatives == "semi_hard":
            parts = [(0.5, semi_hard(scores)), (0.5, semi_hard(scores.T))]
        elif members is not None:
            parts = [(float(len(rows)), scores[rows][:, rows]) for rows in members]
        total = sum(share for share, _ in parts)
        loss, value = torch.zeros((), device=x.device), torch.zeros((), device=x.device)
        for share, scores in parts:
            part_loss = self.criterion.loss(scores)
            part_value = self.criterion.reported(part_loss, scores)
            loss, value = loss + share / total * part_loss, value + share / total * part_value
        if self.target is not None:
            gap = value - self.target
            # |I - t|, with the gradient that the estimator is trained by.
            loss = gap.abs() + gap.sign() * (loss.detach() - loss)
        return loss, value.detach()

    def infonce(self, x: Tensor, y: Tensor) -> Tensor:
        """Return InfoNCE in nats with the batch as negatives, the mean over both choices of the anchor."""
        return InfoNCE().symmetric_value(self.critic(x, y))


def check_target(bound: Bound, target: float | None, k: int, negatives: str) -> None:
    """Raise a ``ValueError`` if a bound cannot reach a target in batches of ``k`` samples."""
    if target is None:
        return
    if not bound.measures_information:
        raise ValueError(f"target_mi={target} needs a bound on mutual information; estimator={bound!r} is none.")
    cap = bound.cap(2 if negatives == "semi_hard" else k)
    if target >= cap:
        raise ValueError(
            f"target_mi={target} cannot be reached: estimator={bound!r} is at most {cap:.3f} nats with "
            f"negatives={negatives!r} in batches of {k} samples. Lower the target or raise batch_size."
        )


def build_pairs(
    bound: Bound, critic: CriticFactory, width: int, n_views: int, graph: str, negatives: str, target: float | None
) -> dict[tuple[int, int], PairInfoMax]:
    """Return a term for each pair of views; pairs outside the graph have the batch as negatives, as ``score`` has."""
    pairs = {}
    for pair in combinations(range(n_views), 2):
        options = (negatives, target) if graph == "full" or pair[0] == 0 else ("batch", None)
        pairs[pair] = PairInfoMax(bound, build_critic(critic, width, width, bound.offset), *options)
    return pairs


class MultiView(Objective):
    """The complete objective: encoders, and a bound for each pair of views.

    Pairs outside the graph train their critic on detached codes: they are measured and do not train the encoders. The graph
    "core" has the pairs of the first view. ``two_views`` makes the views of whole samples by augmentation; without it the
    layout splits the samples.
    """

    encoder: ViewEncoders
    feature_modules = frozenset({"encoder", "split"})
    terms: Mapping[str, PairInfoMax]  # of the graph
    others: Mapping[str, PairInfoMax]

    def __init__(
        self,
        encoder: ViewEncoders,
        pairs: dict[tuple[int, int], PairInfoMax],
        layout: Layout,
        graph: str = "full",
        two_views: TwoViews | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.layout = layout
        self.two_views = two_views
        self.n_draws = 0 if two_views is None else two_views.n_draws
        self.split = SplitViews(layout)
        self.pairs = list(combinations(range(len(layout.views)), 2))
        of_graph = [pair for pair in pairs if graph == "full" or pair[0] == 0]
        terms = {self.name(pair): pairs[pair] for pair in of_graph}
        others = {self.name(pair): term for pair, term in pairs.items() if pair not in of_graph}
        self.terms = cast("Mapping[str, PairInfoMax]", nn.ModuleDict(terms))
        self.others = cast("Mapping[str, PairInfoMax]", nn.ModuleDict(others))

    @property
    def networks(self) -> list[nn.Module]:
        return list(self.encoder.encoders)

    @property
    def bounds(self) -> list[str]:
        return list(self.terms)

    def name(self, pair: tuple[int, int]) -> str:
        return f"{self.layout.names[pair[0]]}-{self.layout.names[pair[1]]}"

    def _term(self, pair: tuple[int, int]) -> PairInfoMax:
        name = self.name(pair)
        return (self.terms if name in self.terms else self.others)[name]

    def draw(self, rows: Rows, generator: torch.Generator | None) -> Draws:
        draws: Draws = {} if self.two_views is None else dict(self.two_views.draw(rows.own.start, generator))
        present, groups = rows.extras.get("present"), rows.extras.get("groups")
        if present is not None and not present.all():
            # Batch statistics need two rows, and so does a pair.
            least = 1 if generator is None else 2
            of_view = [np.flatnonzero(column) for column in present.T]
            draws["of_view"] = [torch.from_numpy(part if len(part) >= least else part[:0]) for part in of_view]
        else:
            present = None
        draws["pairs"] = {}
        for pair in self.pairs:
            both = np.arange(rows.n) if present is None else np.flatnonzero(present[:, pair].all(1))
            members = None
            if groups is not None and self._term(pair).negatives == "same_group":
                _, codes = np.unique(groups[both], return_inverse=True)
                of_group = [np.flatnonzero(codes == code) for code in range(codes.max(initial=-1) + 1)]
                members = [torch.from_numpy(part) for part in of_group if len(part) > 1]
            if len(both) > 1 and (members is None or members):
                chosen = None if present is None else torch.from_numpy(both)
                draws["pairs"][self.name(pair)] = PairRows(chosen, members)
        return draws

    def views(self, X: Tensor, draws: Draws) -> list[Tensor]:
        if self.two_views is None:
            return self.split(X)
        whole = X.reshape(-1, *self.layout.shapes[0])
        return self.two_views(whole, draws["uniform"], draws.get("generator"))

    def forward(self, X: Tensor, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what a step minimises, and its parts by name, detached: "loss", and each pair's bound in nats."""
        codes = self.codes(X, draws)
        losses: list[Tensor] = []
        measured: list[Tensor] = []
        parts: dict[str, Tensor] = {}
        for pair in self.pairs:
            name = self.name(pair)
            if name not in draws["pairs"]:
                continue
            rows: PairRows = draws["pairs"][name]
            x, y = rows.of(*(codes[view] for view in pair))
            if name in self.terms:
                loss, parts[name] = self._term(pair).of_codes(x, y, rows.members)
                losses.append(loss)
            else:
                measured.append(self._term(pair).of_codes(x.detach(), y.detach(), rows.members)[0])
        # A batch may hold no pair at all; the step then changes nothing.
        objective = torch.stack(losses).mean() if losses else 0 * next(self.parameters()).sum()
        loss = objective + torch.stack(measured).sum() if measured else objective
        return loss, {"loss": objective.detach(), **parts}

    def score(self, X: Tensor, draws: Draws) -> Tensor:
        """Return InfoNCE in nats, the mean over the pairs of views that two samples or more have."""
        codes = self.codes(X, draws)
        scores = []
        for pair in self.pairs:
            if (rows := draws["pairs"].get(self.name(pair))) is not None:
                scores.append(self._term(pair).infonce(*rows.of(*(codes[view] for view in pair))))
        if not scores:
            raise ValueError(f"No pair of views is present in two samples of the {len(X)} that are scored together.")
        return torch.stack(scores).mean()

    def codes(self, X: Tensor, draws: Draws) -> list[Tensor]:
        """Return the codes of the views, (n, n_components) each; the encoders do not see missing views, whose codes are 0."""
        views = X if isinstance(X, list) else self.views(X, draws)
        if "of_view" not in draws:
            return [self.gather(code.global_) for code in self.encoder(views)]
        codes = []
        for view, (part, rows) in enumerate(zip(views, draws["of_view"], strict=True)):
            code = part.new_zeros(len(part), self.n_components)
            if len(rows):
                code = code.index_copy(0, rows, self.encoder.encode(view, part[rows]).global_)
            codes.append(code)
        return codes

    # ---------------------------------------------------------------------------------------------------------- features
    @property
    def n_components(self) -> int:
        """Width of the code of each view."""
        return self.encoder.n_components

    def output_views(self, name: str) -> list[str]:
        """Return the views whose codes an output holds."""
        if name in self.layout.names:
            return [name]
        # Without augmentation the two views are the same sample, and one encoder gives one code.
        is_one = self.layout.kind == "augment" and len(self.encoder.encoders) == 1
        return self.layout.names[:1] if is_one else self.layout.names

    def features(self, X: Tensor, extras: Mapping[str, Tensor], name: str) -> Tensor:
        views = [view.nan_to_num() for view in self.split(X)]
        names = self.output_views(name)
        if len(names) == len(views):
            codes = torch.stack([code.global_ for code in self.encoder(views)], dim=1)
        else:
            used = [self.layout.names.index(view) for view in names]
            codes = torch.stack([self.encoder.encode(view, views[view]).global_ for view in used], dim=1)
        if name == "mean":
            weights = (~_missing(X, self.layout, names)).to(codes)
            codes = (codes * weights[..., None]).sum(1) / weights.sum(1)[:, None]
        return codes.flatten(1)

    def lacking(self, X: Tensor, name: str) -> Tensor | None:
        """Return which features are the codes of missing views; the mean lacks none."""
        if name == "mean" or not self.layout.may_lack:
            return None
        return _missing(X, self.layout, self.output_views(name)).repeat_interleave(self.n_components, dim=1)

    def widths(self) -> Mapping[str, int]:
        return {
            name: self.n_components * (1 if name == "mean" else len(self.output_views(name)))
            for name in ("concat", "mean", *self.layout.names)
        }


def _missing(X: Tensor, layout: Layout, names: list[str]) -> Tensor:
    """Return which of some views the samples lack, (n, n_views): a view is missing as a whole."""
    first = {name: int(columns[0]) for name, columns, _ in layout.views}
    return X[:, [first[name] for name in names]].isnan()
