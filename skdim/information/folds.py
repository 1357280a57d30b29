r"""Cross-fitting: the rows that models learn from and are judged by, and the estimate that rests on all of them.

A critic says too much about the rows it has learned from, and too little about others: of a likelihood with p parameters, by
p / 2n nats on either side of the best one. The mean of both is right to first order, as in Akaike's criterion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np

from skdim.information.intervals import Array, Rows, effective_rows, error_of_mean
from skdim.information.model import FEWEST_TO_SPLIT, CrossFitted, Model

#: Most rows, and most groups of rows, that are cross-fitted: with more, one split leaves enough rows for each purpose.
MOST_CROSS_FITTED, MOST_GROUPS_CROSS_FITTED = 1000, 100
#: Most folds, and fewest rows that are held out in each; beyond them there is one split.
MOST_FOLDS, FEWEST_HELD_OUT = 10, 4
#: Most rows of each part that the estimate is taken from.
MOST_ROWS = 20_000


class Split(NamedTuple):
    """Rows to train on, to choose among networks on, and to take the value from."""

    train: Rows
    valid: Rows
    test: Rows


def splits_of(model: Model, n: int) -> list[Split]:
    """Return the splits of n rows, at random: all rows in each part if nothing is learned, and folds if they are few.

    All rows of a group are in the same part.
    """
    options, groups, order = model.options, model.groups, np.arange(n)
    if not model.learns or n < FEWEST_TO_SPLIT:
        return [Split(order, order, order)]
    n_units = effective_rows(n, groups)
    order = np.random.default_rng([model.seed, 1]).permutation(n_units)
    smallest, fractions = 2 if groups is None else 1, (options.test_fraction, options.validation_fraction)
    n_test, n_valid = (max(smallest, round(part * n_units)) for part in fractions)
    if n_test + n_valid > n_units - 2:
        unit = "rows" if groups is None else "groups"
        raise ValueError(
            f"test_fraction={options.test_fraction} and validation_fraction={options.validation_fraction} leave fewer "
            f"than 2 of n_samples = {n_units} {unit} to train on. Give smaller fractions."
        )
    n_folds = round(1 / options.test_fraction)
    is_few = n <= MOST_CROSS_FITTED or (groups is not None and n_units <= MOST_GROUPS_CROSS_FITTED)
    fewest = FEWEST_HELD_OUT if groups is None else 1
    if not is_few or not 2 <= n_folds <= min(MOST_FOLDS, n_units // fewest):
        n_folds = 1
    ends = np.linspace(0, n_units, n_folds + 1).round().astype(int) if n_folds > 1 else np.array([0, n_test])
    splits = []
    for start, end in pairwise(ends):
        test, valid, train = np.split(np.roll(order, -start), [end - start, end - start + n_valid])
        units = train, valid, test
        splits.append(Split(*(part if groups is None else np.flatnonzero(np.isin(groups, part)) for part in units)))
    return splits


class Estimate(NamedTuple):
    """An estimate of mutual information from all rows, in nats."""

    value: float
    standard_error: float
    per_row: Array  # contributions (n,): their mean is the value, and their variance gives its standard error
    gap: float  # mean over the rows that were learned from less that over the others


def candidates_of(
    model: Model, x: Any, y: Any, watch: Callable[[Model], None]
) -> tuple[list[Split], list[list[Model]]]:
    """Return splits, and lists of unfitted models, one for each split: of all columns, and of what a screen selects of them."""
    splits = splits_of(model, len(x))
    candidates: list[list[Model]] = [[model]]
    if isinstance(model, CrossFitted):
        models = [model.of_fold(fold) for fold in range(len(splits))]
        candidates = [[*models]]
        candidates += [[*rivals] for rivals in _rivals(models, splits, x, y)]
    for each in chain(*candidates):
        watch(each)
    return splits, candidates


def best_of(
    candidates: Sequence[list[Model]], splits: Sequence[Split], x: Any, y: Any
) -> tuple[list[Model], list[dict[str, float]]]:
    """Return the models that say most of rows that they have not learned from, and the epochs of all."""
    history = joined([model.history for model in chain(*candidates)])
    for model in chain(*candidates):
        model.callbacks = ()
    fitted = [[model for model in models if isinstance(model, CrossFitted)] for models in candidates]
    return list(_best(fitted, splits, x, y)) if fitted[0] else candidates[0], history


def _rivals(models: list[CrossFitted], splits: Sequence[Split], x: Any, y: Any) -> list[list[CrossFitted]]:
    """Return lists of unfitted models that see a part of the columns, each with one model for each fold."""
    of_folds = [model.rivals(x, y, rows.train) for model, rows in zip(models, splits, strict=True)]
    if not all(of_folds):  # some fold has found nothing
        for model in models:
            model.trains_networks = True
        return []
    return [list(rivals) for rivals in zip(*of_folds, strict=True)]


def _best(candidates: Sequence[list[CrossFitted]], splits: Sequence[Split], x: Any, y: Any) -> list[CrossFitted]:
    """Return the models that say most of rows that they have not learned from, after each has chosen what it uses."""
    held_out = [rows.test if len(splits) > 1 else rows.valid for rows in splits]
    worths = []
    for models in candidates:
        type(models[0]).choose(models, held_out, x, y)
        if len(candidates) > 1:
            ratios = [
                model.log_ratios(x[block], y[block])
                for model, rows in zip(models, held_out, strict=True)
                for block in model.blocks(rows)
            ]
            worths.append(float(np.concatenate(ratios).mean()))
    return candidates[int(np.argmax(worths))] if worths else candidates[0]


def joined(histories: Sequence[list[dict[str, float]]]) -> list[dict[str, float]]:
    """Return the epochs of all folds in one list, in which epochs and networks are numbered through."""
    rows: list[dict[str, float]] = []
    for history in histories:
        epochs, networks = len(rows), 1 + max((row["network"] for row in rows), default=-1)
        rows += [row | {"epoch": epochs + row["epoch"], "network": networks + row["network"]} for row in history]
    return rows


def estimated(models: Sequence[CrossFitted], splits: Sequence[Split], x: Any, y: Any) -> Estimate:
    """Return the mean of what models say of the rows that they have learned from and of those that they have not."""
    n = len(x)
    sums, counts = np.zeros((3, n)), np.zeros((3, n))  # rows to train on, to choose by, to judge by
    for model, split in zip(models, splits, strict=True):
        part_of = np.full(n, -1)
        for k, rows in enumerate(split):
            part_of[rows[:MOST_ROWS]] = k
        for block in model.blocks(np.flatnonzero(part_of >= 0)):
            np.add.at(sums, (part_of[block], block), model.log_ratios(x[block], y[block]))
            np.add.at(counts, (part_of[block], block), 1)
    values = np.divide(sums, counts, out=np.full((3, n), np.nan), where=counts > 0)
    train, valid, test = (np.flatnonzero(part) for part in counts)
    gap = float(values[0, train].mean() - values[2, test].mean()) if len(train) and len(test) else 0.0
    groups, is_one_choice = models[0].groups, len({tuple(model.used) for model in models}) == 1
    closed = models[0].closed_form(x, y) if groups is None and is_one_choice else None
    if len(splits) > 1:  # every row was held out once
        per_row = np.where(np.isnan(values[0]), values[2], (values[0] + values[2]) / 2)
    else:
        known, slope = models[0].known(x, y) if models[0].options.control_variate else None, 0.0
        if known is None:
            known = np.zeros(n)
        elif len(valid) and known[valid].var() > 0:
            slope = float(np.cov(values[1, valid], known[valid], ddof=0)[0, 1] / known[valid].var())
        rest, per_row = values - slope * known, slope * known
        parts = [(rest[k], rows) for k, rows in ((0, train), (2, test)) if len(rows)]
        for part, rows in parts:
            per_row[rows] += (part[rows] - part[rows].mean()) * n / (len(parts) * len(rows))
            per_row += part[rows].mean() / len(parts)
    if closed is not None:
        per_row += closed - per_row.mean()
    return Estimate(float(per_row.mean()), error_of_mean(per_row, groups), per_row, gap)
