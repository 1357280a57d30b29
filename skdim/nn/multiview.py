r"""The multi-view objective: encoders of views, and bounds between their codes.

.. math:: \max_{g_1, \dots, g_M} \; \frac{1}{|G|} \sum_{(a, b) \in G} I_{EST}(g_a(X_a); g_b(X_b))

Two views are Tschannen et al. 2020 [1]_, Eq. 2. For more, the graph G holds all pairs or the pairs of the first view with the
others, the full graph and the core view of Tian et al. 2020 [2]_; theirs is the sum, ours the mean, so that it has the cap of
one bound.

References
----------
.. [1] Tschannen et al., "On mutual information maximization for representation learning", ICLR 2020.
.. [2] Tian, Krishnan & Isola, "Contrastive multiview coding", ECCV 2020.
.. [3] Schroff, Kalenichenko & Philbin, "FaceNet: a unified embedding for face recognition and clustering", CVPR 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skdim.bounds import Bound, InfoNCE
from skdim.nn.critics import Critic
from skdim.nn.encoders import Code
from skdim.nn.objectives import CodeInfoMax, Objective

__all__ = ["NEGATIVES", "LayerEncoder", "MultiView", "PairInfoMax", "ViewBatch", "ViewEncoders", "semi_hard"]

#: Where the negatives of a joint sample come from.
NEGATIVES = ("batch", "same_group", "semi_hard")


class ViewBatch(NamedTuple):
    """The views of n samples.

    Attributes
    ----------
    views : list of Tensor of shape (n, ...)
        Standardised inputs, a missing one of any value.
    present : Tensor of bool of shape (n, n_views), or None
        Which views each sample has; None where it has all.
    groups : Tensor of int of shape (n,), or None
        The group of each sample.
    """

    views: list[Tensor]
    present: Tensor | None = None
    groups: Tensor | None = None


class ViewEncoders(nn.Module):
    """Encoders of views: a list of inputs -> a list of codes.

    Parameters
    ----------
    encoders : sequence of nn.Module
        One for each view, or a single one that serves all of them.
    n_views : int
        Number of views.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.encoders import MLP, build_encoder
    >>> from skdim.nn.multiview import ViewEncoders
    >>> encoders = ViewEncoders([build_encoder(MLP(), (3,), 4), build_encoder(MLP(), (5,), 4)], 2)
    >>> [tuple(code.global_.shape) for code in encoders([torch.zeros(2, 3), torch.zeros(2, 5)])]
    [(2, 4), (2, 4)]
    """

    def __init__(self, encoders: Sequence[nn.Module], n_views: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.n_views = n_views

    def forward(self, views: Sequence[Tensor]) -> list[Code]:
        """Encode all views of some samples."""
        if len(self.encoders) == 1:  # one pass: batch statistics are those of all views
            code = self.encoders[0](torch.cat(list(views)))
            return [Code(*parts) for parts in zip(*(part.chunk(len(views)) for part in code), strict=True)]
        return [encoder(view) for encoder, view in zip(self.encoders, views, strict=True)]

    def encode(self, view: int, X: Tensor) -> Code:
        """Encode one view."""
        code: Code = self.encoders[min(view, len(self.encoders) - 1)](X)
        return code


class LayerEncoder(ViewEncoders):
    """One encoder whose middle and last layer are the two views: codes of its local map, under a linear layer, and Y.

    Parameters
    ----------
    encoder : nn.Module
        Built by :func:`~skdim.nn.encoders.build_encoder`.
    n_components : int
        Width of both codes.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.encoders import MLP, build_encoder
    >>> from skdim.nn.multiview import LayerEncoder
    >>> X = torch.zeros(2, 3)
    >>> [tuple(code.global_.shape) for code in LayerEncoder(build_encoder(MLP(), (3,), 4), 4)([X, X])]
    [(2, 4), (2, 4)]
    """

    def __init__(self, encoder: nn.Module, n_components: int) -> None:
        super().__init__([encoder], n_views=2)
        channels, locations = encoder.local_shape  # type: ignore[misc]
        self.middle = nn.Linear(channels * locations, n_components)

    def forward(self, views: Sequence[Tensor]) -> list[Code]:
        """Encode samples; both views are the sample, which passes through the encoder once."""
        last: Code = self.encoders[0](views[0])
        flat = last.local.movedim(1, 2).flatten(1)
        return [Code(last.local, flat, self.middle(flat)), last]

    def encode(self, view: int, X: Tensor) -> Code:
        return self([X, X])[view]


def semi_hard(scores: Tensor) -> Tensor:
    """Return, for each anchor, the scores of a batch of two: the joint sample and one negative.

    The negative is the highest of those below the joint sample; where none is below, the lowest [3]_. FaceNet's margin, within
    which it samples, falls away.

    Parameters
    ----------
    scores : Tensor of shape (K, K)
        ``scores[i, j]`` = f(x_i, y_j); x_i is the anchor.

    Returns
    -------
    Tensor of shape (2, 2, K)
        Joint scores on the diagonal, negative ones off it.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.multiview import semi_hard
    >>> semi_hard(torch.tensor([[2.0, 1.0, 3.0], [1.0, 0.0, 2.0], [5.0, 4.0, 6.0]]))[0, 1].tolist()
    [1.0, 1.0, 5.0]
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

    With a target t the loss is the matched bound of Tschannen et al. 2020 [1]_, Section 3.4: :math:`|I_{EST} - t|`. For an
    estimator that is not trained by its value ("jsd"), the gradient is that of its own loss, towards t.

    Parameters
    ----------
    bound : Bound
        The MI estimator.
    critic : Critic
        Scores pairs of codes.
    negatives : {"batch", "same_group", "semi_hard"}, default="batch"
        Which samples of the batch are the negatives.
    target : float or None, default=None
        Target t in nats.

    Examples
    --------
    >>> import torch
    >>> from skdim.bounds import InfoNCE
    >>> from skdim.nn.critics import Inner, build_critic
    >>> from skdim.nn.multiview import PairInfoMax
    >>> term = PairInfoMax(InfoNCE(), build_critic(Inner(), 3, 3), target=1.5)
    >>> [part.item() for part in term.of_codes(torch.zeros(8, 3), torch.zeros(8, 3))]
    [1.5, 0.0]
    """

    def __init__(self, bound: Bound, critic: Critic, negatives: str = "batch", target: float | None = None) -> None:
        super().__init__(bound, critic, weight=1.0)
        self.negatives = negatives
        self.target = target

    def of_codes(self, x: Tensor, y: Tensor, groups: Tensor | None = None) -> tuple[Tensor, Tensor] | None:
        """Return the loss and, detached, the bound in nats; None where no sample has a negative."""
        parts = self._comparisons(self.critic(x, y), groups)
        if not parts:
            return None
        total = sum(share for share, _ in parts)
        log_average = self.log_average if self.training else None
        loss, value = torch.zeros((), device=x.device), torch.zeros((), device=x.device)
        for share, scores in parts:
            part = self.bound.symmetric_loss(scores, log_average)
            with torch.no_grad():
                worth = -part if self.bound.loss_is_value else self.bound.symmetric_value(scores)
            loss, value = loss + share / total * part, value + share / total * worth
        if self.target is not None:
            gap = value - self.target
            # |I - t|, with the gradient that the estimator is trained by.
            loss = gap.abs() + gap.sign() * (loss.detach() - loss)
        return loss, value.detach()

    def infonce(self, x: Tensor, y: Tensor) -> Tensor:
        """Return InfoNCE in nats with the batch as negatives, the mean over both choices of the anchor."""
        return InfoNCE().symmetric_value(self.critic(x, y))

    def _comparisons(self, scores: Tensor, groups: Tensor | None) -> list[tuple[float, Tensor]]:
        """Return the score tensors whose bounds are averaged, with their shares."""
        if self.negatives == "semi_hard":
            return [(0.5, semi_hard(scores)), (0.5, semi_hard(scores.T))]
        if self.negatives == "same_group" and groups is not None:
            members = (torch.nonzero(groups == group).squeeze(1) for group in groups.unique())
            return [(float(len(rows)), scores[rows][:, rows]) for rows in members if len(rows) > 1]
        return [(1.0, scores)]


class MultiView(Objective):
    """The complete objective: encoders, and a bound for each pair of views.

    Pairs that the graph leaves out train their critic on detached codes: they are measured, and do not steer the encoders.

    Parameters
    ----------
    encoder : ViewEncoders
        Inputs -> codes.
    pairs : dict of (int, int) to PairInfoMax
        All pairs of views.
    names : list of str
        The views' names.
    graph : {"core", "full"}
        Which pairs are maximised: those with the first view, or all.

    Examples
    --------
    >>> from skdim.bounds import InfoNCE
    >>> from skdim.nn.critics import Inner, build_critic
    >>> from skdim.nn.encoders import MLP, build_encoder
    >>> from skdim.nn.multiview import MultiView, PairInfoMax, ViewEncoders
    >>> encoders = ViewEncoders([build_encoder(MLP(), (3,), 4) for _ in range(3)], 3)
    >>> pairs = {ab: PairInfoMax(InfoNCE(), build_critic(Inner(), 4, 4)) for ab in [(0, 1), (0, 2), (1, 2)]}
    >>> list(MultiView(encoders, pairs, ["image", "sound", "text"], "core").terms)
    ['image-sound', 'image-text']
    """

    def __init__(
        self, encoder: ViewEncoders, pairs: dict[tuple[int, int], PairInfoMax], names: list[str], graph: str = "full"
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.prior = None
        self.names = names
        of_graph = [pair for pair in pairs if graph == "full" or pair[0] == 0]
        self.terms = nn.ModuleDict({self.name(pair): pairs[pair] for pair in of_graph})
        self.others = nn.ModuleDict({self.name(pair): term for pair, term in pairs.items() if pair not in of_graph})

    @property
    def networks(self) -> list[nn.Module]:
        return list(self.encoder.encoders)

    def name(self, pair: tuple[int, int]) -> str:
        """Return the name of a pair of views."""
        return f"{self.names[pair[0]]}-{self.names[pair[1]]}"

    def forward(self, batch: ViewBatch, generator: torch.Generator | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what a step minimises, and its parts by name, detached: "loss", and each pair's bound in nats."""
        codes = self.codes(batch)
        if batch.groups is not None:
            batch = batch._replace(groups=self.gather(batch.groups))
        losses: list[Tensor] = []
        measured: list[Tensor] = []
        parts: dict[str, Tensor] = {}
        for pair in combinations(range(len(self.names)), 2):
            name = self.name(pair)
            x, y, groups = self._both(codes, batch, pair)
            if len(x) < 2:
                continue
            steers = name in self.terms
            term: PairInfoMax = (self.terms if steers else self.others)[name]  # type: ignore[assignment]
            result = term.of_codes(x, y, groups) if steers else term.of_codes(x.detach(), y.detach(), groups)
            if result is None:
                continue
            (losses if steers else measured).append(result[0])
            if steers:
                parts[name] = result[1]
        # A batch may hold no pair at all; the step then changes nothing.
        objective = torch.stack(losses).mean() if losses else 0 * next(self.parameters()).sum()
        loss = objective + torch.stack(measured).sum() if measured else objective
        return loss, {"loss": objective.detach(), **parts}

    def evaluate(self, batch: ViewBatch) -> dict[str, Tensor]:
        """Return the parts of the objective; call without gradient."""
        return self(batch)[1]

    def score(self, batch: ViewBatch) -> list[Tensor]:
        """Return InfoNCE in nats of every pair of views that two samples or more have."""
        codes = self.codes(batch)
        scores = []
        for pair in combinations(range(len(self.names)), 2):
            x, y, _ = self._both(codes, batch, pair)
            if len(x) > 1:
                name = self.name(pair)
                term: PairInfoMax = (self.terms if name in self.terms else self.others)[name]  # type: ignore[assignment]
                scores.append(term.infonce(x, y))
        return scores

    def codes(self, batch: ViewBatch) -> list[Tensor]:
        """Return the views' codes (n, n_components); rows of missing views are 0, and have met no encoder."""
        if batch.present is None:
            return [self.gather(code.global_) for code in self.encoder(batch.views)]
        codes = []
        for view, X in enumerate(batch.views):
            rows = torch.nonzero(batch.present[:, view]).squeeze(1)
            code = X.new_zeros(len(X), self.encoder.encoders[0].n_components)  # type: ignore[call-overload]
            # Batch statistics need two rows, and so does a pair.
            if len(rows) > 1 or (len(rows) and not self.training):
                code = code.index_copy(0, rows, self.encoder.encode(view, X[rows]).global_)
            codes.append(code)
        return codes

    @staticmethod
    def _both(codes: list[Tensor], batch: ViewBatch, pair: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the codes of the samples that have both views, and their groups."""
        x, y = codes[pair[0]], codes[pair[1]]
        if batch.present is None:
            return x, y, batch.groups
        rows = torch.nonzero(batch.present[:, pair].all(1)).squeeze(1)
        return x[rows], y[rows], None if batch.groups is None else batch.groups[rows]
