"""Critics of all columns, trained together on tables of counts."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from skdim._random import local_seed
from skdim.exceptions import SmallSampleWarning, warn
from skdim.feature_scores._margins import Floats, Margin
from skdim.nn.columns import ColumnCritics, gaussian_scores, log_ratios
from skdim.training.device import one_thread
from skdim.training.distributed import refuse_several

#: Cosines of the rank beside its normal score, which describe a position.
N_COSINES = 8
#: At the start; over the training both fall to these shares. The decay is divided by n^1.5 training rows. As it falls critics
#: grow from strict to lenient, and with the step at which a column stops its rows choose how strict its critic is.
LEARNING_RATE, WEIGHT_DECAY = 0.05, 448.0
LEARNING_RATE_LEFT, WEIGHT_DECAY_LEFT = 0.1, 1 / 64
#: Steps between two looks at the held-out rows, and how many looks without improvement end a column's training.
LOOK_EVERY, PATIENCE = 5, 8
#: Something was learned where the value on the rows that choose is above this many of its standard errors, and rounding.
LEARNED, ROUNDING = 0.5, 1e-6
#: Cells of all networks that are trained together, as many as the cache of a CPU holds, and on an accelerator.
CELLS_AT_ONCE = 2**18, 2**24
#: The sizes of tables are rounded up to a multiple of this.
CELLS_ROUNDED = 16
#: Below this many rows scores are to be read with care.
FEW_ROWS = 100


class Tables(NamedTuple):
    """What the networks of a block are trained and judged on; the first axis counts networks."""

    anchors: Tensor  # (k, a, features)
    candidates: Tensor | None  # (k, c, features); None for symbols
    train: Tensor  # (k, a, c), frequencies of the training rows
    log_train: Tensor  # (k, c), log frequencies of the candidates among them
    halves: Tensor  # (k, 2, a, c), frequencies of either half of the rows held out
    log_marginal: Tensor  # (k, c), log frequencies of the candidates among all rows
    n_rows: Tensor  # (k, 2), rows of either half
    reference: Tensor | None  # (k, a, c), scores of the Gaussian critic; None where candidates are symbols

    def keep(self, networks: Tensor) -> Tables:
        return Tables(*(None if part is None else part[networks] for part in self))


@dataclass
class Training:
    """How critics are trained for columns and the target, each pair ``cv`` times, and what the columns then score."""

    target: Margin
    cv: int
    max_iter: int
    device: torch.device
    seed: int

    def __post_init__(self) -> None:
        self.n_rows = len(self.target.codes)
        self.parts = np.random.default_rng(self.seed).permutation(self.n_rows) % (2 * self.cv)

    def scores(self, columns: Sequence[Margin]) -> Floats:
        """Return the score of each column, in nats."""
        if self.n_rows < FEW_ROWS:
            warn(
                f"{self.n_rows} samples teach critics little or nothing: scores may be far from the mutual information.",
                SmallSampleWarning,
            )
        scores = np.zeros(len(columns))
        if self.n_rows < 2 * self.cv:  # nothing could be held out
            return scores
        for block, shape in self._blocks([self._pair(column) for column in columns]):
            tables = self._tables([self._pair(columns[j]) for j in block], *shape)
            with one_thread():
                held_out = (self._held_out(tables) * tables.n_rows).cpu().double().sum(1)
            scores[block] = held_out.unflatten(0, (-1, self.cv)).sum(1).numpy() / self.n_rows
        return scores

    def _pair(self, column: Margin) -> tuple[Margin, Margin]:
        """Return anchor and candidate: whichever is discrete is classified by the other."""
        return (self.target, column) if column.ranks is None else (column, self.target)

    def _blocks(self, pairs: Sequence[tuple[Margin, Margin]]) -> Iterator[tuple[list[int], tuple[int, int]]]:
        """Yield tables of one size, as many as fit into the cache; a size depends on its own pair alone."""
        by_size = defaultdict(list)
        for j, pair in enumerate(pairs):
            shape = tuple(part.n_cells if part is self.target else _rounded(part.n_cells) for part in pair)
            by_size[shape, pair[0] is self.target].append(j)
        for ((a, c), _), members in by_size.items():
            at_once = max(1, CELLS_AT_ONCE[self.device.type != "cpu"] // (self.cv * a * c))
            for start in range(0, len(members), at_once):
                yield members[start : start + at_once], (a, c)

    def _tables(self, pairs: Sequence[tuple[Margin, Margin]], a: int, c: int) -> Tables:
        counts = np.empty((len(pairs), self.cv, 2, a, c), dtype=np.float32)
        for table, (anchor, candidate) in zip(counts, pairs, strict=True):
            cells = (self.parts * a + anchor.codes) * c + candidate.codes
            table[...] = np.bincount(cells, minlength=table.size).reshape(table.shape)
        halves = torch.from_numpy(counts).to(self.device)
        everything = halves.sum((1, 2))
        train = (everything[:, None] - halves.sum(2)).flatten(0, 1)
        halves = halves.flatten(0, 1)
        n_train, n_rows = train.sum((1, 2)), halves.sum((2, 3))
        train = train / n_train[:, None, None]
        anchors = self._features([anchor for anchor, _ in pairs], a)
        candidates = reference = None
        if pairs[0][1].ranks is not None:
            candidates = self._features([candidate for _, candidate in pairs], c)
            reference = gaussian_scores(anchors[:, :, 0], candidates[:, :, 0], train, n_train)
        return Tables(
            anchors,
            candidates,
            train,
            train.sum(1).log(),
            halves / n_rows[:, :, None, None],
            (everything.sum(1) / self.n_rows).log().repeat_interleave(self.cv, dim=0),
            n_rows,
            reference,
        )

    def _features(self, margins: Sequence[Margin], n_positions: int) -> Tensor:
        """Return the normal score of each cell's rank, and cosines of the rank, the faster the smaller."""
        features = np.zeros((len(margins), n_positions, 1 + N_COSINES), dtype=np.float32)
        k = np.arange(1, N_COSINES + 1)
        for row, margin in zip(features, margins, strict=True):
            assert margin.ranks is not None
            row[: margin.n_cells, 0] = ndtri(margin.ranks)
            row[: margin.n_cells, 1:] = math.sqrt(2) * np.cos(math.pi * k * margin.ranks[:, None]) / k
        return torch.from_numpy(features).to(self.device).repeat_interleave(self.cv, dim=0)

    def _held_out(self, tables: Tables) -> Tensor:
        """Train a critic on every table, and return what it is worth on either half of the rows held out, (k, 2)."""
        refuse_several("mutual_info_features")
        k, _, n_symbols = tables.train.shape
        n_features = None if tables.candidates is None else tables.candidates.shape[2]
        with local_seed(self.seed):
            critics = ColumnCritics(k, tables.anchors.shape[2], n_features, n_symbols).to(self.device)
        n_train = self.n_rows * (1 - 1 / self.cv)
        optimizer = critics.optimizer(LEARNING_RATE, WEIGHT_DECAY / n_train**1.5)
        chosen = torch.zeros(k, 2, device=self.device)
        networks, best, looks = torch.arange(k, device=self.device), chosen.clone(), torch.zeros_like(chosen)
        for step in range(self.max_iter + 1):
            scores = critics(tables.anchors, tables.candidates)
            if tables.reference is not None:
                scores = scores + tables.reference
            if step % LOOK_EVERY == 0 or step == self.max_iter:
                values, errors = _look(scores.detach(), tables)
                better = (values > best) & (values > LEARNED * errors + ROUNDING) & (looks < PATIENCE)
                best = torch.where(better, values, best)
                chosen[networks] = torch.where(better.flip(1), values, chosen[networks])  # each chooses for the other
                looks = torch.where(better, 0, looks + 1)
                goes_on = torch.nonzero((looks < PATIENCE).any(1))[:, 0]
                if not len(goes_on):
                    break
            loss = -(tables.train * log_ratios(scores, tables.log_train)).sum()
            optimizer.zero_grad()
            loss.backward()
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * (1 - (1 - LEARNING_RATE_LEFT) * step / self.max_iter)
                group["weight_decay"] *= WEIGHT_DECAY_LEFT ** (1 / self.max_iter)
            optimizer.step()
            if len(goes_on) <= len(networks) / 2:
                critics.keep(goes_on, optimizer)
                tables, networks, best, looks = tables.keep(goes_on), networks[goes_on], best[goes_on], looks[goes_on]
                goes_on = torch.arange(len(networks), device=self.device)
        return chosen


def _look(scores: Tensor, tables: Tables) -> tuple[Tensor, Tensor]:
    """Return the value on either half of the rows held out, in nats, and its standard error, both (k, 2)."""
    ratios = log_ratios(scores, tables.log_marginal)[:, None]
    values = (tables.halves * ratios).sum((2, 3))
    squares = (tables.halves * ratios.square()).sum((2, 3))
    # Of a single row the error is unknown, 0 / 0, and no comparison with it is true.
    return values, ((squares - values.square()).clamp_min(0) / (tables.n_rows - 1)).sqrt()


def _rounded(n_cells: int) -> int:
    return -(-n_cells // CELLS_ROUNDED) * CELLS_ROUNDED
