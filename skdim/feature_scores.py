"""Mutual information of every column of a table with a target: scores by which features are selected."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import ndtri
from sklearn.utils import _safe_indexing, check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from torch import Tensor

from skdim.discrete import Codebook, discrete_columns, information_gain, is_discrete
from skdim.exceptions import ConstantInputWarning, SaturationWarning, SmallSampleWarning
from skdim.nn.columns import ColumnCritics, gaussian_scores, log_ratios
from skdim.training.device import local_seed, resolve_device

__all__ = ["mutual_info_features"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

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
#: Below this many rows, and above this share of the largest value that bins can tell, scores are to be read with care.
FEW_ROWS, SATURATED = 100, 0.6


@validate_params(
    {
        "X": ["array-like", "sparse matrix"],
        "y": ["array-like"],
        "discrete_X": [StrOptions({"auto"}), "boolean", "array-like"],
        "discrete_y": [StrOptions({"auto"}), "boolean"],
        "cv": [Interval(Integral, 2, None, closed="left")],
        "max_bins": [Interval(Integral, 2, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "device": [str],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def mutual_info_features(
    X: Any,
    y: Any,
    *,
    discrete_X: Any = "auto",
    discrete_y: Any = "auto",
    cv: int = 2,
    max_bins: int = 128,
    max_iter: int = 300,
    device: str = "auto",
    random_state: Any = None,
) -> Floats:
    r"""Estimate the mutual information of each column of X with y, in nats.

    .. math::

        I(X_j; Y) \ge H(Y) - E[-\log q_j(y \mid x_j)]
        = E\Bigl[ f_j(x_j, y) - \log \frac1n \sum_{i=1}^n e^{f_j(x_j, y_i)} \Bigr]

    A small critic f_j(x, y) = h_j(x) · k_j(y) + b_j(y) is learned for every column, all of them as one batched network. Where
    y is discrete it is a classifier q_j of y, else InfoNCE's critic [1]_; where only the column is discrete, it is a classifier
    of the column. Where both are discrete, their table is counted instead and corrected for its size
    (:func:`~skdim.discrete.information_gain`).

    Every value is taken from rows that its critic was neither trained nor chosen on. With ``cv=2``, critics are trained on each
    half of the rows for the other half; of that one, either half decides at which step the other should be scored. Where they
    find a critic no better than none, it is worth 0. Bins are drawn from the ranks of all rows, before any x meets its y.

    Columns are scored one by one: two that tell the same score the same, and of two that tell only together neither scores.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Features. Rows must be independent of each other.
    y : array-like of shape (n_samples,)
        Target.
    discrete_X : "auto", bool or array-like, default="auto"
        Which columns are discrete: by the rule of :func:`~skdim.discrete.is_discrete` all that hold strings, bools or
        categories, and integers that recur; all or none; a mask, positions or names. A selector hands over one array: among
        floats, say here which columns are discrete.
    discrete_y : "auto" or bool, default="auto"
        Whether y is discrete, by the same rule. Labels kept as floats need True.
    cv : int, default=2
        Parts in which rows are held out; more train on more rows, and take longer.
    max_bins : int, default=128
        Most bins of a continuous variable. They are even in rank and in normal score, by halves, and no column's score passes
        the log of their number.
    max_iter : int, default=300
        Most training steps; every step is on all training rows.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", "mps"; "auto" is CUDA where there is one.
    random_state : int, RandomState instance or None, default=None
        Draws the parts, and the weights at the start, which all columns share. An int gives the same bits again on one CPU.

    Returns
    -------
    ndarray of shape (n_features,)
        Scores in nats: below the mutual information in expectation, or Miller-Madow estimates where both are discrete. Columns
        that say nothing of y score about -1 / n on average, mostly between -20 / n and 9 / n. Scores do not change under
        monotone maps of a column or of a continuous y, nor, but for rounding, with the columns beside them.

    Raises
    ------
    TypeError
        If ``X`` is sparse, or a discrete column mixes strings with numbers.
    ValueError
        If a parameter is not what it may be, X or y holds a missing value, X is not two-dimensional or y not one-dimensional,
        or their lengths differ.

    Warns
    -----
    ConstantInputWarning
        If columns, or y, are constant: their scores are 0.
    SmallSampleWarning
        If critics are learned from fewer than 100 rows.
    SaturationWarning
        If a score is so near the log of ``max_bins`` that the mutual information may be much larger.

    See Also
    --------
    skdim.MIEstimator : Several columns at once, with interval and diagnostics; more exact, and slower.
    sklearn.feature_selection.mutual_info_classif : By nearest neighbours.

    References
    ----------
    .. [1] van den Oord et al., "Representation learning with contrastive predictive coding", 2018, Eq. 4.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.feature_selection import SelectKBest
    >>> from skdim.feature_scores import mutual_info_features
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(5000, 3))
    >>> y = 0.8 * X[:, 0] + 0.6 * rng.normal(size=5000)  # I(X_0; y) = -log(1 - 0.8^2) / 2 = 0.511
    >>> mutual_info_features(X, y, random_state=0).round(1).tolist()
    [0.5, 0.0, 0.0]
    >>> SelectKBest(mutual_info_features, k=1).fit(X, y > 0).get_support().tolist()
    [True, False, False]
    """
    discrete = _discrete(X, discrete_X)
    check_consistent_length(X, y)
    target = _target(y, discrete_y, max_bins)
    columns = _columns(X, discrete, max_bins)
    constant = np.array([column.n_cells == 1 for column in columns])
    _warn_of_constants(constant, target)

    scores = np.zeros(len(columns))
    varies = ~constant & (target.n_cells > 1)
    counted = varies & discrete & (target.ranks is None)
    learned = varies & ~counted
    if counted.any():
        codes = np.column_stack([columns[j].codes for j in np.flatnonzero(counted)])
        scores[counted] = information_gain(codes, target.codes, correction="miller-madow")
    if learned.any():
        seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
        training = _Training(target, cv, max_iter, resolve_device(device), seed)
        scores[learned] = training.scores([columns[j] for j in np.flatnonzero(learned)])
        _warn_of_bins(scores, learned & ~discrete & (target.ranks is not None), max_bins)
    return scores


# ------------------------------------------------------------------------------------------------- variables in cells
class _Margin(NamedTuple):
    """One variable, and the cells that its values fall into."""

    codes: Ints  # (n,), the cell of each row
    n_cells: int
    ranks: Floats | None  # (n_cells,), mean rank over n of the values of a cell; None for symbols


def _bins(values: Floats, max_bins: int) -> _Margin:
    codes, counts = np.unique(values, return_inverse=True, return_counts=True)[1:]
    n = len(values)
    centred = _centred_ranks(counts)
    above = codes[np.flatnonzero(centred[codes])[:1]]
    if len(above) and centred[above[0]] < 0:  # the first row lies above the median: so a falling map changes nothing
        codes, counts, centred = len(counts) - 1 - codes, counts[::-1], -centred[::-1]
    if len(counts) > max_bins:
        rank = centred / n + 0.5
        even = rank / 2 + (1 - ndtri(rank) / ndtri(0.5 / n)) / 4
        bins = np.unique(np.floor(even * max_bins), return_inverse=True)[1]
        codes, counts = bins[codes], np.bincount(bins, counts)
    return _Margin(codes, len(counts), _centred_ranks(counts) / n + 0.5)


def _centred_ranks(counts: npt.NDArray[Any]) -> Floats:
    """Return the mean rank of each distinct value, less the mean of all."""
    return np.cumsum(counts) - (counts + counts.sum()) / 2


def _symbols(codes: Ints) -> _Margin:
    return _Margin(codes, int(codes.max()) + 1, None)


def _discrete(X: Any, discrete_X: Any) -> npt.NDArray[np.bool_]:
    try:
        discrete = discrete_columns(X, discrete_X)
    except ValueError as error:
        raise ValueError(str(error).replace("discrete=", "discrete_X=")) from None
    if np.ndim(X) != 2:
        raise ValueError(
            f"X must have shape (n_samples, n_features), got {np.shape(X)}. Reshape one feature to (-1, 1)."
        )
    return discrete


def _target(y: Any, discrete_y: Any, max_bins: int) -> _Margin:
    if np.ndim(y) != 1:
        y = column_or_1d(y, warn=True)
    if is_discrete(y) if isinstance(discrete_y, str) else discrete_y:
        try:
            return _symbols(Codebook.fit(y).encode(y)[:, 0])
        except (TypeError, ValueError) as error:
            raise type(error)(str(error).replace("X h", "y h")) from None
    if np.asarray(y).dtype.kind not in "biufO":
        raise ValueError(
            f"y holds no real numbers (dtype {np.asarray(y).dtype}), so it cannot be continuous. Give discrete_y=True, or "
            "convert it to numbers."
        )
    return _bins(check_array(y, ensure_2d=False, dtype=np.float64, input_name="y"), max_bins)


def _columns(X: Any, discrete: npt.NDArray[np.bool_], max_bins: int) -> list[_Margin]:
    if not hasattr(X, "columns"):
        array = np.asarray(X)
        X = np.asarray(X, dtype=object) if array.dtype.kind == "U" else array  # else numbers became strings
    margins: dict[int, _Margin] = {}
    for is_chosen in (False, True):
        places = np.flatnonzero(discrete == is_chosen)
        if not len(places):
            continue
        part = _safe_indexing(X, places, axis=1)
        if is_chosen:
            margins |= zip(places, map(_symbols, Codebook.fit(part).encode(part).T), strict=True)
        else:
            numbers = check_array(part, dtype=np.float64, input_name="X")
            margins |= zip(places, (_bins(column, max_bins) for column in numbers.T), strict=True)
    return [margins[j] for j in range(len(discrete))]


def _warn_of_constants(constant: npt.NDArray[np.bool_], target: _Margin) -> None:
    if target.n_cells == 1:
        message = "y is constant: every score is 0."
    elif constant.any():
        places = np.flatnonzero(constant)
        message = f"{len(places)} column(s) of X, the first at position {places[0]}, are constant: their scores are 0."
    else:
        return
    warnings.warn(message, ConstantInputWarning, stacklevel=4)


def _warn_of_bins(scores: Floats, binned: npt.NDArray[np.bool_], max_bins: int) -> None:
    places = np.flatnonzero(binned & (scores > SATURATED * math.log(max_bins)))
    if len(places):
        warnings.warn(
            f"{len(places)} column(s), the first at position {places[0]}, score more than {SATURATED} log(max_bins): with "
            f"max_bins={max_bins} no score passes {math.log(max_bins):.2f} nats, and their mutual information may be much "
            "larger.",
            SaturationWarning,
            stacklevel=4,
        )


# ---------------------------------------------------------------------------------------------------- networks on tables
class _Tables(NamedTuple):
    """What the networks of a block are trained and judged on; the first axis counts networks."""

    anchors: Tensor  # (k, a, features)
    candidates: Tensor | None  # (k, c, features); None for symbols
    train: Tensor  # (k, a, c), frequencies of the training rows
    log_train: Tensor  # (k, c), log frequencies of the candidates among them
    halves: Tensor  # (k, 2, a, c), frequencies of either half of the rows held out
    log_marginal: Tensor  # (k, c), log frequencies of the candidates among all rows
    n_rows: Tensor  # (k, 2), rows of either half
    reference: Tensor | None  # (k, a, c), scores of the Gaussian critic; None where candidates are symbols

    def keep(self, networks: Tensor) -> _Tables:
        return _Tables(*(None if part is None else part[networks] for part in self))


@dataclass
class _Training:
    """How critics are trained for columns and the target, each pair ``cv`` times, and what the columns then score."""

    target: _Margin
    cv: int
    max_iter: int
    device: torch.device
    seed: int

    def __post_init__(self) -> None:
        self.n_rows = len(self.target.codes)
        self.parts = np.random.default_rng(self.seed).permutation(self.n_rows) % (2 * self.cv)

    def scores(self, columns: Sequence[_Margin]) -> Floats:
        """Return the score of each column, in nats."""
        if self.n_rows < FEW_ROWS:
            warnings.warn(
                f"{self.n_rows} samples teach critics little or nothing: scores may be far from the mutual information.",
                SmallSampleWarning,
                stacklevel=4,
            )
        scores = np.zeros(len(columns))
        if self.n_rows < 2 * self.cv:  # nothing could be held out
            return scores
        for block, shape in self._blocks([self._pair(column) for column in columns]):
            tables = self._tables([self._pair(columns[j]) for j in block], *shape)
            with _one_thread():
                held_out = (self._held_out(tables) * tables.n_rows).cpu().double().sum(1)
            scores[block] = held_out.unflatten(0, (-1, self.cv)).sum(1).numpy() / self.n_rows
        return scores

    def _pair(self, column: _Margin) -> tuple[_Margin, _Margin]:
        """Return anchor and candidate: whichever is discrete is classified by the other."""
        return (self.target, column) if column.ranks is None else (column, self.target)

    def _blocks(self, pairs: Sequence[tuple[_Margin, _Margin]]) -> Iterator[tuple[list[int], tuple[int, int]]]:
        """Yield tables of one size, as many as fit into the cache; a size depends on its own pair alone."""
        by_size = defaultdict(list)
        for j, pair in enumerate(pairs):
            shape = tuple(part.n_cells if part is self.target else _rounded(part.n_cells) for part in pair)
            by_size[shape, pair[0] is self.target].append(j)
        for ((a, c), _), members in by_size.items():
            at_once = max(1, CELLS_AT_ONCE[self.device.type != "cpu"] // (self.cv * a * c))
            for start in range(0, len(members), at_once):
                yield members[start : start + at_once], (a, c)

    def _tables(self, pairs: Sequence[tuple[_Margin, _Margin]], a: int, c: int) -> _Tables:
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
        return _Tables(
            anchors,
            candidates,
            train,
            train.sum(1).log(),
            halves / n_rows[:, :, None, None],
            (everything.sum(1) / self.n_rows).log().repeat_interleave(self.cv, dim=0),
            n_rows,
            reference,
        )

    def _features(self, margins: Sequence[_Margin], n_positions: int) -> Tensor:
        """Return the normal score of each cell's rank, and cosines of the rank, the faster the smaller."""
        features = np.zeros((len(margins), n_positions, 1 + N_COSINES), dtype=np.float32)
        k = np.arange(1, N_COSINES + 1)
        for row, margin in zip(features, margins, strict=True):
            assert margin.ranks is not None
            row[: margin.n_cells, 0] = ndtri(margin.ranks)
            row[: margin.n_cells, 1:] = math.sqrt(2) * np.cos(math.pi * k * margin.ranks[:, None]) / k
        return torch.from_numpy(features).to(self.device).repeat_interleave(self.cv, dim=0)

    def _held_out(self, tables: _Tables) -> Tensor:
        """Train a critic on every table, and return what it is worth on either half of the rows held out, (k, 2)."""
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


def _look(scores: Tensor, tables: _Tables) -> tuple[Tensor, Tensor]:
    """Return the value on either half of the rows held out, in nats, and its standard error, both (k, 2)."""
    ratios = log_ratios(scores, tables.log_marginal)[:, None]
    values = (tables.halves * ratios).sum((2, 3))
    squares = (tables.halves * ratios.square()).sum((2, 3))
    # Of a single row the error is unknown, 0 / 0, and no comparison with it is true.
    return values, ((squares - values.square()).clamp_min(0) / (tables.n_rows - 1)).sqrt()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: on tables this small a second one only waits, far longer where the machine is busy."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def _rounded(n_cells: int) -> int:
    return -(-n_cells // CELLS_ROUNDED) * CELLS_ROUNDED
