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

from skdim._params import look_up, same_parameter
from skdim.bounds import BOUNDS, DV, METRIC_LOSSES, Alpha
from skdim.inputs.partitions import Shift
from skdim.nn.critics import CRITICS, Separable
from skdim.nn.encoders import ENCODERS, Conv
from skdim.nn.objectives import PRIORS, Noise

CONFIGURED = [
    *BOUNDS.values(),
    *METRIC_LOSSES.values(),
    *CRITICS.values(),
    *ENCODERS.values(),
    *PRIORS.values(),
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
