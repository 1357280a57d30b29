"""Configured objects follow scikit-learn's parameter protocol."""

import copy
import functools
import pickle
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from helpers import Factory, FlatEncoder, flat_encoder
from sklearn.base import BaseEstimator, clone

from skdim._params import choose, look_up, same_parameter
from skdim.bounds import BOUNDS, DV, METRIC_LOSSES, Alpha
from skdim.inputs.partitions import Shift
from skdim.nn.causal import CONTEXTS, PATCH_ENCODERS, StridedConv
from skdim.nn.critics import CRITICS, Separable
from skdim.nn.encoders import ENCODERS, Conv, PooledConv
from skdim.nn.invertible import Couplings, ResidualMLP
from skdim.nn.objectives import PRIORS, Noise

CONFIGURED = [
    *BOUNDS.values(),
    *METRIC_LOSSES.values(),
    *CRITICS.values(),
    *ENCODERS.values(),
    *PRIORS.values(),
    *CONTEXTS.values(),
    StridedConv,
    PooledConv,
    Couplings,
    ResidualMLP,
    Noise,
    Shift,
]


class Holder(BaseEstimator):
    def __init__(self, part=None):
        self.part = part


@pytest.mark.parametrize("cls", CONFIGURED)
def test_parameters_are_the_fields_and_build_an_equal_object(cls):
    configured = cls()
    params = configured.get_params()
    assert sorted(params) == sorted(field.name for field in fields(cls))
    assert cls(**params) == configured
    assert configured.get_params(deep=False) == params
    assert clone(configured) == configured


@pytest.mark.parametrize("cls", CONFIGURED)
def test_an_unknown_parameter_is_named_with_the_known_ones(cls):
    with pytest.raises(ValueError, match=r"'nonsense'.*" + cls.__name__) as caught:
        cls().set_params(nonsense=1)
    for name in cls().get_params():
        assert name in str(caught.value)


def test_set_params_sets_and_returns_the_object():
    configured = Separable()
    assert configured.set_params(width=7, normalize=True) is configured
    assert (configured.width, configured.normalize) == (7, True)
    assert configured.set_params() is configured


@pytest.mark.parametrize("configured", [Alpha(alpha=0.3), DV(momentum=0.5), Separable(width=3), Conv(channels=(4, 5))])
def test_clone_copies(configured):
    copy = clone(configured)
    assert copy == configured
    assert copy is not configured
    name, value = next(iter(configured.get_params().items()))
    copy.set_params(**{name: None})
    assert getattr(configured, name) == value


@pytest.mark.parametrize("cls", CONFIGURED)
def test_repr_reads_as_the_call_that_makes_it(cls):
    assert repr(cls()).startswith(cls.__name__ + "(")


def test_a_search_reaches_the_parameters_of_a_configured_object():
    holder = Holder(part=Alpha(alpha=0.5))
    assert holder.get_params()["part__alpha"] == 0.5
    holder.set_params(part__alpha=0.25)
    assert holder.part == Alpha(alpha=0.25)
    with pytest.raises(ValueError, match="'beta'"):
        holder.set_params(part__beta=1)
    copy = clone(holder)
    copy.set_params(part__alpha=1.0)
    assert holder.part.alpha == 0.25


MASK = np.arange(1200) % 2 == 0
#: Values of parameters, each another one.
VALUES = [
    None,
    0.5,
    "dv",
    (8, 8),
    [8, 8],
    MASK,
    ~MASK,
    MASK[:1199],
    MASK.astype(int),
    [("a", MASK), ("b", ~MASK)],
    [("a", MASK), ("b", MASK)],
    [("a", slice(0, 4)), ("b", ["x"])],
    [("a", slice(0, 5)), ("b", ["x"])],
    {"lr": 0.1},
    {"lr": 0.2},
    np.array([1.0, np.nan]),
    pd.Index(["x", "y"]),
    Alpha(alpha=0.5),
    Alpha(alpha=0.25),
    Separable(hidden_layer_sizes=(3,)),
    functools.partial(flat_encoder, n_components=3),
    functools.partial(flat_encoder, n_components=4),
    Factory(),
    flat_encoder,
    FlatEncoder,
]


@pytest.mark.parametrize("number", range(len(VALUES)))
def test_parameters_are_the_same_by_value(number):
    value, others = VALUES[number], VALUES[:number] + VALUES[number + 1 :]
    for same in (value, clone(value, safe=False), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert same_parameter(value, same)
    assert not any(same_parameter(value, other) for other in others)


def test_look_up_finds_a_name():
    assert look_up("estimator", "dv", BOUNDS) is DV


@pytest.mark.parametrize("name", ["DV", "", None, 3, ("dv",), ["dv"]])
def test_look_up_says_what_came_and_what_is_allowed(name):
    with pytest.raises(ValueError, match="Unknown estimator") as caught:
        look_up("estimator", name, BOUNDS)
    assert repr(name) in str(caught.value)
    for known in BOUNDS:
        assert repr(known) in str(caught.value)


@pytest.mark.parametrize("table", [BOUNDS, CRITICS, ENCODERS, CONTEXTS, PRIORS, PATCH_ENCODERS])
def test_choose_takes_a_name_for_its_object_and_an_object_for_itself(table):
    for name, entry in table.items():
        chosen = choose("part", name, table, hidden_layer_sizes="auto")
        assert chosen == (entry() if isinstance(entry, type) else entry)
        assert chosen is not entry  # a change of one does not reach the table
        assert choose("part", chosen, table) is chosen


def test_choose_refuses_what_has_no_effect():
    assert choose("encoder", "conv", PATCH_ENCODERS, norm="batch", top=False) == Conv(norm="batch", top=False)
    assert PATCH_ENCODERS["conv"].norm == "group"
    with pytest.raises(ValueError, match="width=3 would have no effect on context='gru'"):
        choose("context", "gru", CONTEXTS, width=3)
    with pytest.raises(ValueError, match=r"width=3 configures a named critic and .* no effect on critic=Separable"):
        choose("critic", Separable(), CRITICS, width=3)


@pytest.mark.parametrize("given", ["gru ", None, 3, ["gru"]])
def test_choose_refuses_what_is_neither_a_name_nor_an_object(given):
    with pytest.raises(ValueError, match="Unknown context"):
        choose("context", given, CONTEXTS)
