"""Condition numbers: exact on linear maps, against analytic and finite differences, and without side effects."""

import copy

import numpy as np
import pytest
import torch
from helpers import images, table, tiny, tiny_table
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from torch import nn

from skdim import CPCTransformer, MultiViewInfoMaxTransformer
from skdim.evaluation import condition_number
from skdim.nn.encoders import Conv, build_encoder


@settings(max_examples=25)
@given(d_in=st.integers(1, 7), d_out=st.integers(1, 7), seed=st.integers(0, 2**31))
def test_linear_maps_are_exact(d_in, d_out, seed):
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(d_in, d_out))
    expected = np.linalg.svd(W, compute_uv=False)
    result = condition_number(lambda x: x @ torch.from_numpy(W) + 3, torch.from_numpy(rng.normal(size=(4, d_in))))
    np.testing.assert_allclose(result.singular_values, np.tile(expected, (4, 1)), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(result.values, np.log(expected[0] / expected[-1]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("d_in", "d_out"), [(5, 3), (3, 5)])
def test_linear_modules_in_both_precisions(d_in, d_out):
    layer = nn.Linear(d_in, d_out)
    expected = np.linalg.svd(layer.weight.detach().double().numpy(), compute_uv=False)
    X = np.random.default_rng(0).normal(size=(3, d_in))
    for module, tolerance in ((layer, 1e-5), (copy.deepcopy(layer).double(), 1e-12)):
        np.testing.assert_allclose(condition_number(module, X).singular_values[1], expected, rtol=tolerance)


def test_a_nonlinear_map_with_a_known_jacobian():
    X = np.array([[0.5, 1.0, -2.0], [2.0, 0.1, 0.3]])
    stretch = np.abs(np.column_stack([np.exp(X[:, 0]), 3 * X[:, 1] ** 2, np.cos(X[:, 2])]))
    result = condition_number(
        lambda x: torch.stack([x[:, 0].exp(), x[:, 1] ** 3, x[:, 2].sin()], dim=1), torch.from_numpy(X)
    )
    np.testing.assert_allclose(result.singular_values, np.sort(stretch, axis=1)[:, ::-1])
    np.testing.assert_allclose(result.values, np.log(stretch.max(axis=1) / stretch.min(axis=1)))


def test_a_convolutional_encoder_against_finite_differences():
    torch.manual_seed(0)
    encoder = (
        nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 4)).double().eval()
    )
    X = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 1, 6, 6)))
    step = 1e-6 * torch.eye(36, dtype=torch.float64).reshape(36, 1, 6, 6)
    with torch.no_grad():
        differences = [(encoder(x + step) - encoder(x - step)) / 2e-6 for x in X]
    expected = [np.linalg.svd(J.numpy(), compute_uv=False) for J in differences]
    np.testing.assert_allclose(condition_number(encoder, X.numpy()).singular_values, expected, rtol=1e-6)


def test_a_forgotten_direction_has_an_infinite_condition_number():
    result = condition_number(lambda x: x * torch.tensor([1.0, 0.0]), np.ones((2, 2)))
    assert np.isposinf(result.values).all()
    assert np.isposinf(condition_number(lambda x: 0 * x, np.ones((2, 2))).values).all()
    assert "inf" in repr(result)


def test_chunks_change_nothing():
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    X = np.random.default_rng(0).normal(size=(7, 6))
    whole = condition_number(encoder, X)
    for chunk_size in (1, 3, 100):
        parts = condition_number(encoder, X, chunk_size=chunk_size)
        np.testing.assert_allclose(parts.singular_values, whole.singular_values, rtol=1e-5)


def test_the_module_stays_as_it_was():
    encoder = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    before = copy.deepcopy(encoder.state_dict())
    random_before = torch.get_rng_state()
    first, second = (condition_number(encoder, np.eye(4)) for _ in range(2))
    np.testing.assert_array_equal(first.values, second.values)  # dropout would make them differ
    assert encoder.training
    assert all(p.requires_grad and p.grad is None for p in encoder.parameters())
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    assert torch.equal(random_before, torch.get_rng_state())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_works_where_gradients_are_off(mode):
    layer, X = nn.Linear(3, 2), torch.ones(2, 3)
    expected = condition_number(layer, X).values
    with mode():
        np.testing.assert_array_equal(condition_number(layer, X).values, expected)


def test_the_code_of_an_encoder_is_its_global_one():
    torch.manual_seed(0)
    encoder = build_encoder(Conv(channels=(4, 8, 8)), (1, 8, 8), 5).eval()
    X = images(3)[:, None]
    expected = condition_number(lambda x: encoder(x).global_, X)
    np.testing.assert_allclose(condition_number(encoder, X).singular_values, expected.singular_values, rtol=1e-5)
    assert expected.singular_values.shape == (3, 5)


# ----------------------------------------------------------------------------------------------------------- transformers
def test_a_transformer_is_the_map_from_standardised_samples():
    dim = tiny(features="global").fit(images())
    expected = condition_number(dim.encoder_, dim.standardized(images(5)))
    for X in (images(5), images(5).reshape(5, -1)):
        np.testing.assert_allclose(condition_number(dim, X).singular_values, expected.singular_values, rtol=1e-5)
    dim.set_params(features="hidden")
    assert condition_number(dim, images(5)).singular_values.shape[1] == min(64, dim.transform(images(5)).shape[1])


def test_units_of_columns_do_not_matter():
    units = np.array([1.0, 1e3, 1e-3, 1.0, 10.0, 1.0])
    a, b = (condition_number(tiny_table().fit(X), X[:5]) for X in (table(), table() * units))
    np.testing.assert_allclose(a.values, b.values, rtol=1e-3)


def test_a_transformer_of_several_views_is_refused():
    multiview = MultiViewInfoMaxTransformer(4, encoder="mlp", max_iter=0).fit(images())
    with pytest.raises(TypeError, match="has several encoders"):
        condition_number(multiview, images(2))


SEQUENCES = {"shape": (8, 1, 64), "params": {}}
PATCHES = {"shape": (8, 16, 16), "params": {"patch_size": 8}}


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # torch's own, of overlapping patches
@pytest.mark.parametrize("kind", [SEQUENCES, PATCHES], ids=["sequences", "patches"])
def test_convolutional_contexts_are_the_map_of_the_encoder(kind):
    X = np.random.default_rng(0).normal(size=kind["shape"])
    cpc = CPCTransformer(4, n_steps=2, context="conv", max_iter=1, random_state=0, **kind["params"]).fit(X)
    encoder = cpc.encoder_
    readings = {"last": lambda x: encoder(x).c[:, -1].mean(1), "mean": lambda x: encoder(x).c.mean((1, 2))}
    for features, reading in readings.items():
        found = condition_number(cpc.set_params(features=features), X[:2])
        expected = condition_number(reading, cpc.standardized(X[:2]))
        assert found.singular_values.shape == (2, 4)
        np.testing.assert_allclose(found.singular_values, expected.singular_values, rtol=1e-4)


def test_recurrent_layers_are_refused_by_name():
    cpc = CPCTransformer(4, n_steps=1, max_iter=0).fit(np.random.default_rng(0).normal(size=(8, 1, 64)))
    with pytest.raises(TypeError, match="recurrent layers"):
        condition_number(cpc, np.zeros((2, 1, 64)))


@pytest.mark.parametrize(
    ("encoder", "X", "error", "message"),
    [
        (nn.GRU(3, 4), np.zeros((2, 5, 3)), TypeError, "returned tuple; expected a tensor"),
        (nn.Linear(2, 2), np.full((2, 2), np.nan), ValueError, "NaN"),
        (nn.Linear(2, 2), np.zeros((2, 3)), ValueError, r"does not take samples of shape \(3,\). It says: mat1"),
        (torch.sqrt, np.array([[1.0, 2.0], [3.0, 0.0]]), ValueError, "Jacobian is not finite at row 1 of X"),
        (lambda x: 2 * x.detach(), np.eye(2), TypeError, "no derivative of the features"),
        (torch.no_grad()(lambda x: 2 * x), np.eye(2), TypeError, "no derivative of the features"),
        (lambda x: x.argmax(1), np.eye(2), TypeError, "no derivative of the features"),
        (nn.Linear(2, 2), "text", ValueError, "'X'"),
        (3, np.zeros((2, 2)), ValueError, "'encoder'"),
        (tiny(), images(2), NotFittedError, "not fitted"),
    ],
)
def test_refuses_what_has_no_jacobian(encoder, X, error, message):
    with pytest.raises(error, match=message):
        condition_number(encoder, X)


def test_frame():
    frame = condition_number(nn.Linear(3, 2), np.eye(3)).to_frame()
    assert list(frame) == ["log_condition_number", "sigma_1", "sigma_2"]
    np.testing.assert_allclose(frame["log_condition_number"], np.log(frame["sigma_1"] / frame["sigma_2"]))
