"""The multi-layer perceptron and the layers that networks share."""

import pytest
import torch
from torch import nn

from skdim.nn.layers import ChannelNorm, FlattenMap, Sum, mlp


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("hidden", [(), (5,), (5, 4)])
@pytest.mark.parametrize("n_outputs", [None, 2])
def test_a_perceptron_is_linear_layers_with_relu_between_them(hidden, n_outputs):
    network, X = mlp(3, hidden, n_outputs), noise(7, 3)
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in linear] == [*hidden, *([n_outputs] if n_outputs else [])]
    expected = X
    for layer in linear:
        expected = layer(expected)
        if layer is not linear[-1] or n_outputs is None:
            expected = expected.clamp_min(0)
    torch.testing.assert_close(network(X), expected)


@pytest.mark.parametrize("start", [0.0, 1.5, torch.tensor([1.0, -2.0])])
def test_a_perceptron_starts_where_it_is_told(start):
    outputs = mlp(3, (5,), 2, start=start)(noise(7, 3))
    assert torch.equal(outputs, torch.as_tensor(start).expand(7, 2))


@pytest.mark.parametrize(("norm", "cls"), [("group", nn.GroupNorm), ("batch", nn.BatchNorm1d)])
def test_hidden_layers_are_normalised_before_relu(norm, cls):
    assert [type(layer) for layer in mlp(3, (5,), 2, norm=norm)] == [nn.Linear, cls, nn.ReLU, nn.Linear]
    with pytest.raises(ValueError, match="'batch' or 'group', got 'layer'"):
        mlp(3, (5,), norm="layer")


def test_weights_are_drawn_layer_by_layer():
    def drawn(build):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return [parameter for part in build() for parameter in part.parameters()]

    expected = drawn(lambda: [nn.Linear(3, 5), nn.Linear(5, 4), nn.Linear(4, 2)])
    assert all(torch.equal(a, b) for a, b in zip(drawn(lambda: mlp(3, (5, 4), 2)), expected, strict=True))


def test_layers_of_maps():
    X = noise(2, 3, 4, 5)
    torch.testing.assert_close(ChannelNorm(3)(X).mean(1), torch.zeros(2, 4, 5), atol=1e-6, rtol=0)
    torch.testing.assert_close(ChannelNorm(3)(X)[:, :, 1, 2], nn.LayerNorm(3)(X[:, :, 1, 2]))
    assert torch.equal(FlattenMap()(X).reshape(2, 4, 5, 3), X.permute(0, 2, 3, 1))


def test_a_sum_of_networks():
    first, second, X = nn.Linear(3, 2), nn.Linear(3, 2), noise(4, 3)
    torch.testing.assert_close(Sum(first, second, nn.Linear(3, 2, bias=False))(0 * X), first(0 * X) + second(0 * X))
    torch.testing.assert_close(Sum(nn.Identity(), nn.ReLU())(X), X + X.clamp_min(0))
