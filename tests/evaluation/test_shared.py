"""What all functions share: parameters that are checked, rows held out, results, and training in one process."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skdim import evaluation
from skdim.evaluation import (
    linear_probe,
    neural_dependency,
    probe_ladder,
    reconstruction_similarity,
    v_information,
)
from skdim.evaluation._inputs import Result, random_parts
from skdim.training import distributed

FUNCTIONS = [
    getattr(evaluation, name) for name in evaluation.__all__ if not isinstance(getattr(evaluation, name), type)
]
RESULTS = [getattr(evaluation, name) for name in evaluation.__all__ if name.endswith("Result")]
Z = np.random.default_rng(0).normal(size=(60, 9))
Y = Z[:, 0] > 0

#: Functions that train a network of their own.
TRAINING = {
    "probe_ladder": lambda: probe_ladder(Z, Y, rungs=["mlp-1"]),
    "neural_dependency": lambda: neural_dependency(Z),
    "reconstruction_similarity": lambda: reconstruction_similarity(Z, Z, input_shape=(3, 3)),
}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_every_parameter_is_checked(function):
    free = {"X"} if "classifier" in inspect.signature(function).parameters else set()  # whatever the classifier takes
    assert set(inspect.signature(function).parameters) - free <= set(function._skl_parameter_constraints)


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.__name__)
def test_results_share_their_repr_and_their_table(result):
    assert issubclass(result, Result)
    assert result.__repr__ is Result.__repr__
    assert result.to_frame is Result.to_frame


@pytest.mark.parametrize("name", TRAINING)
def test_several_processes_are_told_which_function_trains_in_one(name, monkeypatch):
    monkeypatch.setattr(distributed, "several", lambda: True)
    with pytest.raises(RuntimeError, match=f"^{name} trains in one process"):
        TRAINING[name]()


def test_what_trains_no_network_runs_in_several_processes(monkeypatch):
    monkeypatch.setattr(distributed, "several", lambda: True)
    assert linear_probe(Z, Y, random_state=0).accuracy.item() > 0.5
    assert v_information(Z, Y, random_state=0).accuracy > 0.5
    assert probe_ladder(Z, Y, rungs=["linear", "knn"], random_state=0).accuracy.min() > 0.5
    assert np.isfinite(neural_dependency(Z, n_steps=0, random_state=0).value)


@given(n=st.integers(20, 200), seed=st.integers(0, 2**31), shares=st.lists(st.floats(0.01, 0.3), max_size=3))
def test_random_parts_hold_every_row_once(n, seed, shares):
    parts = random_parts(n, shares, np.random.default_rng(seed))
    assert sorted(np.concatenate(parts)) == list(range(n))
    assert [abs(len(part) - share * n) < 2 for part, share in zip(parts, shares, strict=False)] == [True] * len(shares)
