"""A fit whose process is killed goes on where it was, to the bit; a file of another fit, or a damaged one, is no start."""

import itertools
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold

from skdim import Checkpoint, CPCTransformer, DeepInfoMaxTransformer, MIEstimator, MultiViewInfoMaxTransformer
from skdim.exceptions import CheckpointWarning
from skdim.inputs import batches
from skdim.training import checkpoint, distributed

RNG = np.random.default_rng(0)
X, IMAGES, SERIES = RNG.normal(size=(96, 12)), RNG.random((96, 1, 12, 12)), RNG.normal(size=(96, 20)).cumsum(1)
A, NOISE = RNG.normal(size=(2, 400, 1))
B = np.sin(3 * A) + 0.3 * NOISE
SMALL = {"max_iter": 4, "batch_size": 32, "random_state": 0}
SMALL_MI = {"max_iter": 3, "hidden_layer_sizes": (8,), "n_refits": 1, "test_fraction": 0.5, "random_state": 0}
CASES = {
    "table, best epoch": (DeepInfoMaxTransformer(4, early_stopping=True, **SMALL), (X,)),
    "images, adversary": (DeepInfoMaxTransformer(4, prior_weight=0.5, **SMALL), (IMAGES,)),
    "posterior": (DeepInfoMaxTransformer(4, posterior="gaussian", optimizer="sgd", **SMALL), (X,)),
    "views": (MultiViewInfoMaxTransformer(4, **SMALL), (X,)),
    "series": (CPCTransformer(4, **SMALL), (SERIES,)),
    "information": (MIEstimator(**SMALL_MI), (A, B)),
    "a bound with a state": (MIEstimator(estimator="dv", **SMALL_MI), (A, B)),
    "given a label": (MIEstimator(**SMALL_MI), (A, B, RNG.integers(0, 2, 400))),
    "labels": (MIEstimator(**SMALL_MI), (A, (B[:, 0] > 0).astype(int))),
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Let every batch be a block of its own, so that a file may be written before each."""
    monkeypatch.setitem(batches.NUMBERS_AT_ONCE, "cpu", 1)


class Killed(BaseException):
    """Ends a fit as a signal that cannot be caught does: nothing is done after it."""


@contextmanager
def killed_at(number):
    """Kill the process, so to say, just after the file was written for the n-th time, from 0."""
    written, write = itertools.count(), checkpoint.Journal.write

    def write_and_die(self):
        write(self)
        if next(written) == number:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint.Journal, "write", write_and_die)
        with pytest.raises(Killed):
            yield


def files(directory):
    return sorted(path.name for path in directory.iterdir())


def answers(fitted, data):
    of_rows = fitted.pointwise(*data) if isinstance(fitted, MIEstimator) else fitted.transform(*data)
    return of_rows, fitted.history_


@pytest.mark.parametrize("case", CASES)
def test_a_killed_fit_goes_on_to_the_bit(case, monkeypatch, tmp_path):
    estimator, data = CASES[case]
    whole = answers(clone(estimator).fit(*data), data)
    watched = clone(estimator).set_params(checkpoint=Checkpoint(tmp_path, minutes=0))
    steps, n_after = [], {}
    offer = checkpoint.Journal.offer
    monkeypatch.setattr(checkpoint.Journal, "offer", lambda *args: (steps.append(args), offer(*args)))
    for at in (1, 5):
        with killed_at(at):
            watched.fit(*data)
        assert len(files(tmp_path)) == 1
        steps.clear()
        resumed = answers(clone(watched).fit(*data), data)
        n_after[at] = len(steps)
        np.testing.assert_array_equal(resumed[0], whole[0])
        np.testing.assert_equal(resumed[1], whole[1])
        assert files(tmp_path) == []
    steps.clear()
    clone(watched).fit(*data)
    assert n_after == {1: len(steps), 5: len(steps) - 4}  # what was done is not done again


def test_continued_training_has_a_file_of_its_own(tmp_path):
    whole = DeepInfoMaxTransformer(4, warm_start=True, **SMALL).fit(X).fit(X)
    watched = DeepInfoMaxTransformer(4, warm_start=True, checkpoint=Checkpoint(tmp_path, 0), **SMALL).fit(X)
    with killed_at(3):
        watched.fit(X)
    assert watched.n_iter_ == 4
    np.testing.assert_array_equal(watched.fit(X).transform(X), whole.transform(X))
    assert watched.n_iter_ == 8


def test_candidates_and_folds_of_a_search_have_files_of_their_own(monkeypatch, tmp_path):
    grid, folds = {"learning_rate": [1e-3, 1e-2]}, KFold(2)
    dim = DeepInfoMaxTransformer(4, **SMALL)
    whole = GridSearchCV(dim, grid, cv=folds).fit(X)
    names, write = set(), checkpoint.Journal.write
    monkeypatch.setattr(checkpoint.Journal, "write", lambda self: (names.add(self.path.name), write(self)))
    watched = GridSearchCV(clone(dim).set_params(checkpoint=Checkpoint(tmp_path, 0)), grid, cv=folds)
    with killed_at(20):
        watched.fit(X)
    watched.fit(X)
    assert len(names) == 2 * 2 + 1  # and the best one on all rows
    np.testing.assert_array_equal(watched.cv_results_["mean_test_score"], whole.cv_results_["mean_test_score"])
    assert files(tmp_path) == []


def test_the_clock_says_when_a_file_is_written(monkeypatch, tmp_path):
    now, written = itertools.count(0, 20.0), []
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(checkpoint.Journal, "write", lambda self: written.append(self.place))
    DeepInfoMaxTransformer(4, checkpoint=Checkpoint(tmp_path, minutes=1), **SMALL).fit(X)
    assert 2 < len(written) < SMALL["max_iter"] * 3 / 2


# --------------------------------------------------------------------------------------------------------- files of no use
@pytest.fixture
def left(tmp_path):
    """Return an estimator whose fit was killed, and its file."""
    dim = DeepInfoMaxTransformer(4, checkpoint=Checkpoint(tmp_path, 0), **SMALL)
    with killed_at(4):
        dim.fit(X)
    return dim, next(tmp_path.iterdir())


@pytest.mark.parametrize("part", [0.0, 0.2, 0.5, 0.8, "half", "empty"])
def test_a_damaged_file_is_an_error(part, left):
    dim, path = left
    content = bytearray(path.read_bytes())
    if isinstance(part, float):
        content[int(part * len(content))] ^= 0xFF
    path.write_bytes({"half": content[: len(content) // 2], "empty": b""}.get(part, content))
    with pytest.raises(ValueError, match=rf"{re.escape(path.name)} is damaged: .*Remove it, and fit starts anew"):
        dim.fit(X)
    assert not hasattr(dim, "n_iter_")


@pytest.mark.parametrize("change", [{"learning_rate": 0.1}, {"random_state": 1}, {"encoder": "mlp"}])
def test_a_file_of_another_fit_is_told_and_kept(change, left):
    dim, path = left
    with pytest.warns(CheckpointWarning, match=f"starts anew. .*of a fit with other .*{next(iter(change))}"):
        clone(dim).set_params(**change).fit(X)
    with pytest.warns(CheckpointWarning, match="of a fit with other X, weights|of a fit with other X"):
        clone(dim).fit(X + 1)
    assert path.exists()
    dim.fit(X)


def test_a_file_in_the_place_of_another_is_an_error(left, tmp_path):
    dim, path = left
    other = clone(dim).set_params(learning_rate=0.1)
    with killed_at(0), pytest.warns(CheckpointWarning):
        other.fit(X)
    (of_other,) = set(tmp_path.iterdir()) - {path}
    path.replace(of_other)
    with pytest.raises(ValueError, match=r"is of a fit with other learning_rate. Remove it"):
        other.fit(X)


def test_a_file_of_another_version_is_an_error(left, monkeypatch):
    monkeypatch.setattr(checkpoint.torch, "__version__", "1.0")
    with pytest.raises(ValueError, match=r"was written with .* gives other bits. Remove it"):
        left[0].fit(X)


# ---------------------------------------------------------------------------------------------------------- no place for it
def test_a_directory_of_no_use_is_known_before_training(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="checkpoint cannot be written"):
        DeepInfoMaxTransformer(4, checkpoint=tmp_path / "file", **SMALL).fit(X)


def test_a_disk_that_fills_up_does_not_end_training(left, monkeypatch):
    dim, path = left
    before = path.read_bytes()

    def full(path, write):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_whole", full)
    monkeypatch.setattr(checkpoint.Journal, "delete", lambda self: None)
    with pytest.warns(CheckpointWarning, match="could not be written: .*No space left.*goes on"):
        dim.fit(X)
    assert dim.n_iter_ == SMALL["max_iter"]
    assert path.read_bytes() == before


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(beside):
        beside.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        distributed.write_whole(path, fail)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"random_state": None}, ValueError, "checkpoint needs an integer random_state, got None"),
        ({"checkpoint": Checkpoint("x", minutes=-1)}, ValueError, "minutes must be a number from 0 on, got -1"),
        ({"checkpoint": 3}, ValueError, "'checkpoint' parameter"),
        ({"augment": lambda x: x}, ValueError, "checkpoint needs parameters that can be pickled, and augment="),
    ],
)
@pytest.mark.filterwarnings("ignore::skdim.exceptions.PersistenceWarning")
def test_errors_say_what_is_needed(change, error, message, tmp_path):
    with pytest.raises(error, match=message):
        DeepInfoMaxTransformer(4, **{**SMALL, "checkpoint": tmp_path, **change}).fit(X)


@pytest.mark.parametrize("directory", ["", 3, "x" * 300])
def test_a_directory_of_no_use_is_named(directory, tmp_path):
    directory = str(tmp_path / directory) if directory and isinstance(directory, str) else directory
    with pytest.raises((OSError, TypeError), match="checkpoint"):
        DeepInfoMaxTransformer(2, max_iter=1, random_state=0, checkpoint=Checkpoint(directory)).fit(np.eye(8))


def test_two_fits_at_once_may_share_a_directory(tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 4))
    dim = DeepInfoMaxTransformer(
        2, max_iter=8, batch_size=16, random_state=0, checkpoint=Checkpoint(tmp_path, minutes=0)
    )
    with ThreadPoolExecutor(2) as threads:
        fits = [threads.submit(lambda: clone(dim).fit(X).transform(X)) for _ in range(6)]
    expected = clone(dim).set_params(checkpoint=None).fit(X).transform(X)
    for fit in fits:
        np.testing.assert_array_equal(fit.result(), expected)
    assert not list(tmp_path.iterdir())
