"""Which columns and principal directions of two wide sides depend on each other."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri
from sklearn.decomposition import PCA

from skdim.information.intervals import Array
from skdim.information.screen import screen_pairs, screened_rows

#: Columns of both sides together beyond which a selection is tried.
WIDE = 16
#: Most columns, and most principal directions, that are selected on a side, and fewest rows for each direction.
MOST_COLUMNS, MOST_DIRECTIONS, ROWS_PER_DIRECTION = 8, 32, 20
#: Probability that any pair of independent columns passes.
CHANCE = 1e-3
#: Fewest rows for each column for which what a linear regression leaves is looked at.
ROWS_PER_COLUMN = 10


class Selection(NamedTuple):
    """What a model sees of the columns of both sides: directions (d_x, k_x), (d_y, k_y), and norms of all columns."""

    x: Array
    y: Array
    norms: bool = False  # whether the squared norms of each row, as normal scores and as ranks, are columns too

    def __call__(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Return the selected columns of rows (n, d_x), (n, d_y)."""
        if not self.norms:
            return x @ self.x, y @ self.y
        return np.column_stack([x @ self.x, _norms(x)]), np.column_stack([y @ self.y, _norms(y)])


def select(x: Array, y: Array, seed: int) -> Selection | None:
    """Return the columns or principal directions that depend on the other side; None if nothing passes the screen.

    The screen looks at every column and at the leading principal directions of both sides. If few columns pass, they are
    selected, and else the directions that pass. None as well if linear regressions leave nothing that depends on the other
    side: the closed forms of all columns then say it all.
    """
    rng = np.random.default_rng(seed)
    bases = [np.hstack([np.eye(side.shape[1]), _principal(side, seed)]) for side in (x, y)]
    rows = rng.permutation(len(x))[: screened_rows(bases[0].shape[1], bases[1].shape[1])]
    scores = screen_pairs(x[rows] @ bases[0], y[rows] @ bases[1])
    threshold = float(ndtri(1 - CHANCE / scores.size))
    if not scores.max(initial=-math.inf) > threshold:
        return None
    tells, turns = _left_by_lines(x[rows], y[rows], bases)
    if not tells:
        return None
    selected = []
    for side, basis, best in ((x, bases[0], scores.max(1)), (y, bases[1], scores.max(0))):
        d = side.shape[1]
        columns, directions = (np.argsort(-part)[: int((part > threshold).sum())] for part in (best[:d], best[d:]))
        few = not len(directions) or (len(columns) <= MOST_COLUMNS and best[:d].max() >= best[d:].max())
        turns |= not few  # the norms tell something of what the directions leave out
        selected.append(basis[:, columns[:MOST_COLUMNS] if few else slice(d, None)])
    return Selection(selected[0], selected[1], norms=turns)


def _left_by_lines(x: Array, y: Array, bases: list[Array]) -> tuple[bool, bool]:
    """Return whether the other side still tells of what linear regressions leave of each, and whether its norms take part.

    Of sides that turn with their norms, such as spirals, products with the norms tell. Few rows leave too much to tell.
    """
    if len(x) < ROWS_PER_COLUMN * max(x.shape[1], y.shape[1]):
        return True, False
    tells, turns = False, False
    for own, other, own_basis, other_basis in ((x, y, *bases), (y, x, *bases[::-1])):
        left, norms = other - own @ np.linalg.lstsq(own, other, rcond=None)[0], _norms(own)
        scores = screen_pairs(np.hstack([own @ own_basis, norms]), np.hstack([left @ other_basis, _norms(left)]))
        tells |= bool(scores.max() > ndtri(1 - CHANCE / scores.size))
        products = np.hstack([own * norm[:, None] for norm in norms.T])
        correlations = np.abs(_standardized(products).T @ _standardized(left)) / len(x)
        turns |= bool(math.sqrt(len(x)) * correlations.max() > ndtri(1 - CHANCE / (2 * correlations.size)))
    return tells or turns, turns


def _standardized(rows: Array) -> Array:
    return (rows - rows.mean(0)) / np.maximum(rows.std(0), np.finfo(float).tiny)


def _norms(side: Array) -> Array:
    """Return the squared norms of rows of normal scores and of their ranks, (n, 2), about standard normal.

    They follow a chi-square law, by the cube root of Wilson & Hilferty (PNAS 1931), and nearly the normal law of the sum of
    squares of uniform numbers, if the columns are independent.
    """
    d = side.shape[1]
    scores, ranks = np.square(side).sum(1), np.square(ndtr(side) - 0.5).sum(1)
    spread = 2 / (9 * d)
    return np.column_stack([(np.cbrt(scores / d) - 1 + spread) / np.sqrt(spread), (ranks - d / 12) / np.sqrt(d / 180)])


def _principal(side: Array, seed: int) -> Array:
    k = min(MOST_DIRECTIONS, side.shape[1] // 2, len(side) // ROWS_PER_DIRECTION)
    return np.asarray(PCA(k, random_state=seed).fit(side).components_.T) if k else np.zeros((side.shape[1], 0))
