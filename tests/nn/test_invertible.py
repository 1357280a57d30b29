"""Encoders that start as the identity: bijections keep their inverse and volume, whatever the weights."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from skdim import MultiViewInfoMaxTransformer
from skdim.nn.encoders import build_encoder
from skdim.nn.invertible import Couplings, ResidualMLP

SMALL = {"n_couplings": 4, "hidden_layer_sizes": (12, 9)}


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def far_from_the_start(network, sd=0.5, seed=0):
    """Return the network in float64 with weights as large as training could make them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.double().parameters():
            parameter.copy_(sd * torch.randn(parameter.shape, generator=generator))
    return network


def jacobian(network, x):
    return torch.func.jacrev(lambda x: network(x[None])[0])(x)


# ------------------------------------------------------------------------------------------------------- bijective couplings
@settings(max_examples=20, deadline=None)
@given(width=st.integers(2, 9), seed=st.integers(0, 100), scale=st.booleans())
def test_the_inverse_gives_the_input_back(width, seed, scale):
    network = far_from_the_start(Couplings(**SMALL, scale=scale, smallest_scale=0.3)((width,), width), seed=seed)
    X = noise(5, width, seed=seed).double()
    torch.testing.assert_close(network.inverse(network(X)), X, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(network(network.inverse(X)), X, rtol=1e-6, atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(width=st.integers(2, 9), seed=st.integers(0, 100))
def test_additive_couplings_preserve_volume(width, seed):
    network = far_from_the_start(Couplings(**SMALL)((width,), width), seed=seed)
    log_volume = torch.linalg.slogdet(jacobian(network, noise(width, seed=seed).double())).logabsdet
    assert abs(log_volume.item()) < 1e-9


def test_the_law_of_the_volume_can_fail():
    network = far_from_the_start(Couplings(**SMALL, scale=True)((6,), 6))
    assert abs(torch.linalg.slogdet(jacobian(network, noise(6).double())).logabsdet.item()) > 0.1


def test_the_volume_of_scaled_couplings_is_the_product_of_the_factors():
    network = far_from_the_start(Couplings(1, (8,), scale=True, smallest_scale=0.25)((7,), 7))
    x = noise(7).double()
    coupling = network.couplings[0]
    raw = coupling.network(x[:3])[:4]
    factors = 0.25 + nn.functional.softplus(raw + np.log(np.exp(0.75) - 1))
    expected = factors.log().sum()
    torch.testing.assert_close(torch.linalg.slogdet(jacobian(network, x)).logabsdet, expected)


@pytest.mark.parametrize(("scale", "smallest"), [(False, 1e-7), (True, 1e-7), (True, 0.5)])
def test_couplings_start_as_a_permutation(scale, smallest):
    network = Couplings(n_couplings=6, scale=scale, smallest_scale=smallest)((20,), 20)
    X = noise(3, 20)
    torch.testing.assert_close(network(X).sort(1).values, X.sort(1).values, rtol=1e-5, atol=1e-5)
    order = network(torch.arange(20.0)[None])[0].round().long()
    assert sorted(order.tolist()) == list(range(20))
    assert order.tolist() != list(range(20))
    torch.testing.assert_close(network(X), X[:, order], rtol=1e-5, atol=1e-5)


def test_no_factor_is_below_the_smallest():
    network = far_from_the_start(Couplings(1, (8,), scale=True, smallest_scale=0.5)((8,), 8), sd=5.0)
    factors = network.couplings[0]._factor_and_shift(noise(50, 4).double())[0]
    assert 0.5 <= factors.min() < 0.501


def test_permutations_are_of_their_own_and_belong_to_the_state():
    network = Couplings(**SMALL)((30,), 30)
    orders = [coupling.order.tolist() for coupling in network.couplings]
    assert len({tuple(order) for order in orders}) == len(orders)
    assert [name for name in network.state_dict() if name.endswith("order")] == [
        f"couplings.{i}.order" for i in range(4)
    ]


def test_the_first_half_passes_and_the_second_moves():
    coupling = far_from_the_start(Couplings(1, (8,))((7,), 7)).couplings[0]
    X = noise(4, 7).double()
    Y = coupling(X)[:, coupling.order.argsort()]
    assert torch.equal(Y[:, :3], X[:, :3])
    assert (Y[:, 3:] != X[:, 3:]).all()


# ------------------------------------------------------------------------------------------------------ the residual network
def test_the_residual_network_starts_as_the_identity():
    X = noise(5, 50)
    torch.testing.assert_close(ResidualMLP()((50,), 50)(X), X, rtol=0, atol=0.02)


def test_the_residual_network_may_lose_a_direction():
    network = far_from_the_start(ResidualMLP(n_hidden_layers=1)((3,), 3), sd=0.0)
    with torch.no_grad():
        network[-1].parts[1].weight.copy_(torch.diag(torch.tensor([-1.0, 0.0, 0.0])))
    singular = torch.linalg.svdvals(jacobian(network, noise(3).double()))
    torch.testing.assert_close(singular, torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))


@pytest.mark.parametrize("n_hidden_layers", [1, 4])
def test_the_layers_of_the_residual_network_are_counted(n_hidden_layers):
    network = ResidualMLP(n_hidden_layers)((392,), 392)
    assert sum(p.numel() for p in network.parameters()) == (n_hidden_layers + 1) * (392 * 392 + 392)


# ------------------------------------------------------------------------------------------------------------ what is shared
@pytest.mark.parametrize("encoder", [Couplings(**SMALL), ResidualMLP(2)], ids=repr)
def test_weights_start_within_two_standard_deviations(encoder):
    for name, parameter in encoder((40,), 40).named_parameters():
        if name.endswith("weight"):
            assert parameter.abs().max() <= 2e-4
            # a normal distribution cut at 2 sd keeps 0.8796 of its sd; 5 standard errors
            assert parameter.std().item() == pytest.approx(0.88e-4, rel=5 / (2 * parameter.numel()) ** 0.5)
        else:
            assert (parameter == 0).all()


@pytest.mark.parametrize("encoder", [Couplings(), ResidualMLP()], ids=repr)
def test_another_width_is_refused(encoder):
    with pytest.raises(ValueError, match=r"n_components must be 8 for inputs of shape \(2, 4\), got 5"):
        encoder((2, 4), 5)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (Couplings(0), "n_couplings must be a positive integer, got 0"),
        (Couplings(smallest_scale=0.0), "smallest_scale of Couplings must be above 0 and below 1, got 0.0"),
        (Couplings(smallest_scale="small"), "above 0 and below 1, got 'small'"),
        (Couplings(smallest_scale=1.0), "above 0 and below 1, got 1.0"),
        (Couplings(2, (0,)), r"hidden_layer_sizes of Couplings .* got \(0,\)"),
        (ResidualMLP(0), "n_hidden_layers must be a positive integer, got 0"),
    ],
)
def test_sizes_are_checked(encoder, message):
    with pytest.raises(ValueError, match=message):
        encoder((4,), 4)


def test_one_value_cannot_be_coupled():
    with pytest.raises(ValueError, match=r"two values at least, got the shape \(1,\)"):
        Couplings()((1,), 1)


@pytest.mark.parametrize("encoder", [Couplings(2, (8,)), ResidualMLP(2)], ids=repr)
def test_halves_of_images_train_through_them(encoder):
    X = noise(64, 4, 6).numpy()
    model = MultiViewInfoMaxTransformer(
        12, encoder=encoder, critic="bilinear", max_iter=2, batch_size=32, output="top", random_state=0
    ).fit(X)
    assert model.transform(X).shape == (64, 12)
    bijection = model.encoder_.encoders[0]
    assert build_encoder(encoder, (12,), 12).n_hidden == bijection.n_hidden == 12


def test_a_fitted_bijection_is_inverted():
    X = noise(64, 4, 6).numpy()
    model = MultiViewInfoMaxTransformer(
        12, encoder=Couplings(2, (8,)), critic="bilinear", max_iter=2, batch_size=32, output="top", random_state=0
    ).fit(X)
    top = torch.from_numpy((X[:, :2].reshape(64, 12) - X.mean()) / X.std())
    network = model.encoder_.encoders[0].network
    torch.testing.assert_close(network.inverse(torch.from_numpy(model.transform(X))), top, rtol=1e-4, atol=1e-4)
