"""Critics against their formulas, and the laws that all share."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers import assert_one_graph
from torch import nn

from skdim._params import choose
from skdim._random import LocalSeed
from skdim.nn.critics import (
    CRITICS,
    Bilinear,
    Concat,
    Cosine,
    Critic,
    Inner,
    Separable,
    build_critic,
    choose_critic,
    shared_critic,
)

#: All critics with their defaults, and a row for each option that changes the network.
CONFIGURED = [
    *(cls() for cls in CRITICS.values()),
    Separable(width=5, hidden_layer_sizes=(6, 7), normalize=True, temperature=None),
    Separable(5, (6,), temperature=None, shortcut=False, scaled=False, biases=False, init="glorot"),
    Separable(5, (6,), shortcut="identity", norm="group"),
    Concat(hidden_layer_sizes=(6,)),
    Concat(hidden_layer_sizes=(6, 7, 3), init="glorot"),
]


def codes(n=6, m=5, x_features=4, y_features=3, locations=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y_shape = (m, y_features) if locations is None else (m, y_features, locations)
    return torch.randn(n, x_features, generator=generator), torch.randn(*y_shape, generator=generator)


def randomized(module, seed=0):
    """Draw every parameter anew, so that no zero start hides a term."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return module


def twin_of_dense(network, vector):
    """Apply a Sequential of Linear and ReLU layers to one vector, in double precision NumPy."""
    for layer in network:
        if isinstance(layer, nn.Linear):
            bias = 0 if layer.bias is None else layer.bias.detach().double().numpy()
            vector = layer.weight.detach().double().numpy() @ vector + bias
        else:
            vector = np.maximum(vector, 0)
    return vector


@pytest.mark.parametrize("configured", CONFIGURED, ids=repr)
def test_scores_of_codes_have_one_row_per_x_and_one_column_per_y(configured):
    x, y = codes()
    network = randomized(configured(4, 3))
    scores = network(x, y)
    assert scores.shape == (6, 5)
    for i in range(6):
        for j in range(5):
            assert network(x[[i]], y[[j]]).item() == pytest.approx(scores[i, j].item(), abs=1e-5)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("configured", CONFIGURED, ids=repr)
def test_scores_of_a_map_equal_the_scores_location_by_location(configured, affine):
    x, y = codes(locations=7)
    critic = randomized(Critic(configured(4, 3), affine=affine))
    scores = critic(x, y)
    assert scores.shape == (6, 5, 7)
    for p in range(7):
        torch.testing.assert_close(scores[:, :, p], critic(x, y[:, :, p]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("configured", CONFIGURED, ids=repr)
def test_every_parameter_gets_a_gradient(configured):
    critic = randomized(Critic(configured(4, 3)))
    x, y = codes(locations=3)
    critic(x, y).square().sum().backward()
    assert all(parameter.grad is not None for parameter in critic.parameters())


@pytest.mark.parametrize("configured", CONFIGURED, ids=repr)
def test_a_critic_is_one_graph(configured):
    critic = randomized(build_critic(configured, 4, 3, offset=1.0))
    for locations in (None, 3):
        assert_one_graph(critic, *codes(locations=locations))


# ---------------------------------------------------------------------------------------------------------------- choice
@pytest.mark.parametrize(("name", "cls"), CRITICS.items())
def test_a_name_stands_for_the_defaults_or_the_sizes_given_where_it_takes_them(name, cls):
    assert choose_critic(name) == cls()
    if "hidden_layer_sizes" in cls().get_params():
        assert choose_critic(name, (5,)) == cls(hidden_layer_sizes=(5,))
    else:
        with pytest.raises(ValueError, match=rf"hidden_layer_sizes=\(5,\) would have no effect on critic='{name}'"):
            choose_critic(name, (5,))


def test_a_table_of_configured_critics_keeps_its_options():
    table = {**CRITICS, "separable": Separable(width=9, temperature=None)}
    assert choose("critic", "separable", table) == Separable(width=9, temperature=None)
    expected = Separable(width=9, temperature=None, hidden_layer_sizes=(5,))
    assert choose("critic", "separable", table, hidden_layer_sizes=(5,)) == expected
    assert table["separable"].hidden_layer_sizes == ()


@pytest.mark.parametrize(
    "given", [Concat((3,)), Concat, lambda x_features, y_features: Inner()(x_features, y_features)]
)
def test_what_is_given_in_place_of_a_name_is_taken_as_it_is(given):
    assert choose_critic(given) is given
    with pytest.raises(ValueError, match=r"hidden_layer_sizes=\(8,\) .*no effect on critic="):
        choose_critic(given, (8,))


@pytest.mark.parametrize("given", ["", "dot", None, 3, ("inner", "inner")])
def test_an_unknown_critic_is_refused_with_the_names(given):
    with pytest.raises(ValueError, match=r"Unknown critic .*Allowed values are: ") as caught:
        choose_critic(given)
    assert all(repr(name) in str(caught.value) for name in [given, *CRITICS])


def test_only_a_separable_critic_is_shared():
    critic = Separable(width=9)
    assert shared_critic(critic) == Separable(width=9, shared=True)
    assert not critic.shared
    for other in (Concat(), Cosine, Inner()):
        assert shared_critic(other) is other


# --------------------------------------------------------------------------------------------------------- scale and offset
@pytest.mark.parametrize("start", [0.0, 1.0])
def test_scale_and_offset_are_learned_and_start_at_one_and_the_offset(start):
    x, y = codes()
    network = Inner()(4, 3)
    critic = Critic(network, offset=start)
    assert {"log_scale", "offset"} <= {name for name, _ in critic.named_parameters()}
    torch.testing.assert_close(critic(x, y), network(x, y) + start)
    with torch.no_grad():
        critic.log_scale.fill_(math.log(3.0))
        critic.offset.fill_(-2.0)
    torch.testing.assert_close(critic(x, y), 3 * network(x, y) - 2)


@pytest.mark.parametrize("affine", [True, False])
def test_a_temperature_divides_the_scores_and_stands_in_for_the_learned_scale(affine):
    x, y = codes()
    network = Separable(width=5)(4, 3)
    critic = Critic(network, offset=1.0, affine=affine, temperature=0.25)
    assert critic.log_scale is None
    torch.testing.assert_close(critic(x, y), 4 * network(x, y) + affine)


@pytest.mark.parametrize("temperature", [0, -0.1, float("nan")])
@pytest.mark.parametrize("cls", [Cosine, Separable])
def test_a_temperature_must_be_positive(cls, temperature):
    with pytest.raises(ValueError, match=f"temperature of {cls.__name__} must be positive"):
        cls(temperature=temperature)(4, 3)


def test_without_affine_the_scores_are_the_networks():
    x, y = codes()
    network = Separable(width=5)(4, 3)
    critic = Critic(network, offset=1.0, affine=False)
    assert torch.equal(critic(x, y), network(x, y))
    assert {name for name, _ in critic.named_parameters()} == {
        "scores." + name for name, _ in network.named_parameters()
    }


# -------------------------------------------------------------------------------------------------------------- formulas
def test_inner_is_the_scaled_inner_product():
    x, y = codes(x_features=9, y_features=9)
    torch.testing.assert_close(Inner()(9, 9)(x, y), x @ y.T / 3)


def test_cosine_is_the_cosine_over_the_temperature():
    x, y = codes(x_features=9, y_features=9)
    cosines = nn.functional.cosine_similarity(x[:, None], y[None], dim=2)
    torch.testing.assert_close(build_critic(Cosine(temperature=0.5), 9, 9)(x, y), 2 * cosines)


@pytest.mark.parametrize(("x_features", "y_features"), [(4, 4), (9, 4), (4, 9)])
def test_inner_projects_the_wider_side_only(x_features, y_features):
    network = randomized(Inner()(x_features, y_features))
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
    wider = {(9, 4): "project_x", (4, 9): "project_y"}.get((x_features, y_features))
    assert shapes == ({f"{wider}.weight": (4, 9), f"{wider}.bias": (4,)} if wider else {})
    x, y = codes(x_features=x_features, y_features=y_features)
    left = x @ network.project_x.weight.T + network.project_x.bias if wider == "project_x" else x
    right = y @ network.project_y.weight.T + network.project_y.bias if wider == "project_y" else y
    torch.testing.assert_close(network(x, y), left @ right.T / 2)


def test_bilinear_is_its_formula():
    x, y = codes()
    network = Bilinear()(4, 3)
    (weight,) = network.parameters()
    torch.testing.assert_close(network(x, y), x @ weight @ y.T / math.sqrt(3))


@pytest.mark.parametrize("temperature", [None, 0.2])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("hidden", [(), (6,), (6, 7)])
def test_separable_is_its_formula(hidden, normalize, temperature):
    x, y = codes()
    configured = Separable(width=5, hidden_layer_sizes=hidden, normalize=normalize, temperature=temperature)
    critic = randomized(build_critic(configured, 4, 3))
    network = critic.scores

    def embed(embedding, vector):
        vector = vector.double().numpy()
        embedding, norm = embedding if normalize else (embedding, None)
        shortcut, perceptron = embedding.parts if hidden else (embedding, None)
        embedded = twin_of_dense([shortcut], vector)
        if hidden:
            embedded = embedded + twin_of_dense(perceptron, vector)
        if normalize:
            centred = embedded - embedded.mean()
            gain, shift = (p.detach().double().numpy() for p in (norm.weight, norm.bias))
            embedded = gain * centred / np.sqrt((centred**2).mean() + 1e-5) + shift
        return embedded

    scale = critic.log_scale.exp().item() if temperature is None else 1 / temperature
    scores = critic(x, y)
    for i in range(6):
        for j in range(5):
            h, k = embed(network.embed_x, x[i]), embed(network.embed_y, y[j])
            length = math.sqrt(5) if temperature is None else np.linalg.norm(h) * np.linalg.norm(k)
            biases = 0.0
            if temperature is None:
                biases += twin_of_dense([network.bias_x], x[i].double().numpy()).item()
                biases += twin_of_dense([network.bias_y], y[j].double().numpy()).item()
            twin = scale * (h @ k / length + biases) + critic.offset.item()
            assert scores[i, j].item() == pytest.approx(twin, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("configured", [Inner(), Bilinear(), Separable(temperature=None)], ids=repr)
def test_scaled_products_are_over_the_root_of_the_width(configured):
    x, y = codes(y_features=4)
    scaled, plain = (configured.set_params(scaled=scaled)(4, 4) for scaled in (True, False))
    plain.load_state_dict(scaled.state_dict())
    torch.testing.assert_close(plain(x, y), scaled(x, y) * math.sqrt(getattr(configured, "width", 4)))


def test_the_separable_critic_of_two_networks():
    x, y = codes()
    options = {"temperature": None, "shortcut": False, "scaled": False, "biases": False, "affine": False}
    critic = build_critic(Separable(5, (6,), **options), 4, 3, offset=1.0)
    of_x, of_y = critic.scores.embed_x, critic.scores.embed_y
    torch.testing.assert_close(critic(x, y), of_x(x) @ of_y(y).T)
    assert [type(layer) for layer in of_x] == [nn.Linear, nn.ReLU, nn.Linear]
    assert sum(p.numel() for p in Separable(100, (100,), **options)(100, 100).parameters()) == 40_400


def test_glorot_weights_of_a_concatenation_are_those_of_one_layer():
    with LocalSeed(0):
        network = Concat((200,), init="glorot")(100, 100)
    limit = math.sqrt(6 / 400)
    for first in (network.first_x, network.first_y):
        assert 0.98 * limit < first.weight.abs().max() <= limit
    assert 0.9 * math.sqrt(6 / 201) < network.rest[0].weight.abs().max() <= math.sqrt(6 / 201)
    assert not network.first_x.bias.any()
    assert not network.rest[0].bias.any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shortcut": False}, "shortcut=False, norm='none'.*give hidden_layer_sizes"),
        ({"norm": "batch"}, "norm='batch'.*give hidden_layer_sizes"),
        ({"shortcut": "linear"}, "shortcut.*True, False or 'identity', got 'linear'"),
        ({"norm": "layer"}, "norm.*'none', 'batch' or 'group', got 'layer'"),
        ({"scaled": False}, "scaled=False.*set temperature=None"),
        ({"biases": False}, "biases=False.*set temperature=None"),
        ({"init": "he"}, "Unknown init 'he'"),
    ],
    ids=str,
)
def test_options_of_separable_without_effect_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Separable(**options)(4, 3)


def test_separable_without_hidden_layers_is_linear_in_either_code():
    network = randomized(Separable(width=5, temperature=None)(4, 3))
    x, y = codes()
    middle = network((x[:1] + x[1:2]) / 2, y)
    torch.testing.assert_close(middle, (network(x[:1], y) + network(x[1:2], y)) / 2, rtol=1e-4, atol=1e-4)


def test_the_biases_of_separable_start_at_zero():
    network = Separable(width=5, temperature=None)(4, 3)
    for bias in (network.bias_x, network.bias_y):
        assert all(parameter.abs().max() == 0 for parameter in bias.parameters())


def test_a_cosine_depends_on_directions_only():
    network = Separable(width=5)(4, 3)
    assert network.bias_x is None
    assert network.bias_y is None
    x, y = codes()
    embedded = network.embed_x(x)
    scores = network(x, y)
    with torch.no_grad():
        network.embed_x.weight.mul_(3.0)
        network.embed_x.bias.mul_(3.0)
    torch.testing.assert_close(network.embed_x(x), 3 * embedded)
    torch.testing.assert_close(network(x, y), scores)


def test_a_shared_embedding_gives_symmetric_scores_and_needs_equal_widths():
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    scores = Separable(width=5, shared=True)(4, 4)(x, x)
    torch.testing.assert_close(scores, scores.T)
    with pytest.raises(ValueError, match=r"shared=True.*one width, got 4 and 3"):
        Separable(shared=True)(4, 3)


@pytest.mark.parametrize("hidden", [(6,), (6, 7), (6, 7, 3)])
def test_concat_is_a_network_on_the_concatenated_pair(hidden):
    x, y = codes()
    network = randomized(Concat(hidden_layer_sizes=hidden)(4, 3))
    first = nn.Linear(7, hidden[0])
    with torch.no_grad():
        first.weight.copy_(torch.cat([network.first_x.weight, network.first_y.weight], dim=1))
        first.bias.copy_(network.first_x.bias)
    scores = network(x, y)
    for i in range(6):
        for j in range(5):
            pair = torch.cat([x[i], y[j]]).double().numpy()
            twin = twin_of_dense([first, nn.ReLU(), *network.rest], pair).item()
            assert scores[i, j].item() == pytest.approx(twin, rel=1e-4, abs=1e-4)
    sizes = [7, *hidden, 1]
    assert sum(p.numel() for p in network.parameters()) == sum(a * b + b for a, b in pairwise(sizes))


class Wrong(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward(self, x, y):
        return torch.zeros(self.shape)


@pytest.mark.parametrize("shape", [(6,), (5, 6), (6, 5, 1), (6, 1), (30,), ()])
def test_a_user_critic_of_the_wrong_shape_is_refused(shape):
    x, y = codes()
    with pytest.raises(ValueError, match=r"\(n, m\) = \(6, 5\), got") as caught:
        Critic(Wrong(shape))(x, y)
    assert str(shape) in str(caught.value)


def test_a_user_critic_serves_maps():
    class Distance(nn.Module):
        def forward(self, x, y):
            return -torch.cdist(x, y)

    x, y = codes(x_features=3, locations=4)
    scores = Critic(Distance())(x, y)
    torch.testing.assert_close(scores[2, 3, 1], -(x[2] - y[3, :, 1]).norm())


@pytest.mark.parametrize("configured", CONFIGURED, ids=repr)
@pytest.mark.parametrize("affine", [True, False])
def test_the_builder_reads_what_the_configured_object_says(configured, affine):
    configured = type(configured)(**{**configured.get_params(), "affine": affine})
    critic = build_critic(configured, 4, 3, offset=1.0)
    temperature = getattr(configured, "temperature", None)
    assert critic.temperature == temperature
    assert (critic.offset is not None) == affine
    assert (critic.log_scale is not None) == (affine and temperature is None)
    assert critic.training
    assert all(parameter.grad is None for parameter in critic.parameters())


def test_a_function_is_a_critic():
    critic = build_critic(lambda x_features, y_features: Bilinear()(x_features, y_features), 4, 3, offset=0.5)
    assert (critic.offset.item(), critic.log_scale.item()) == (0.5, 0.0)


@pytest.mark.parametrize("made", [None, 3, nn.Linear, torch.zeros(2, 3)])
def test_a_critic_factory_must_make_a_module(made):
    with pytest.raises(TypeError, match="must return a torch.nn.Module, got " + type(made).__name__):
        build_critic(lambda x_features, y_features: made, 4, 3)


def test_building_leaves_the_running_statistics_of_a_users_critic():
    class Normed(nn.Module):
        def __init__(self, x_features, y_features):
            super().__init__()
            self.norm = nn.BatchNorm1d(x_features)

        def forward(self, x, y):
            return self.norm(x)[:, :3] @ y.T

    critic = build_critic(Normed, 4, 3)
    assert critic.scores.norm.num_batches_tracked == 0
    assert critic.scores.norm.training


class Calls(nn.Module):
    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x, y):
        return self.output(x, y)


@pytest.mark.parametrize(
    "output",
    [
        pytest.param(lambda x, y: x @ y.T, id="matrix product of different widths"),
        pytest.param(lambda x, y: x.sum(1), id="one score per x"),
        pytest.param(lambda x, y: (x[:, :3] @ y.T).T, id="transposed"),
        pytest.param(lambda x, y: (x[:, :3] @ y.T)[:2, :2], id="as many columns as rows"),
        pytest.param(lambda x, y: None, id="None"),
        pytest.param(lambda x, y: (x[:, :3] @ y.T).tolist(), id="lists"),
        pytest.param(lambda x, y: (x[:, :3] @ y.T,), id="tuple"),
    ],
)
def test_a_users_critic_that_does_not_score_all_pairs_is_refused_when_built(output):
    with pytest.raises(ValueError, match=r"The critic must .*scores of shape \(n, m\)"):
        build_critic(lambda x_features, y_features: Calls(output), 4, 3)


BAD_SIZES = [0, -1, 2.0, "8", None, True]


@pytest.mark.parametrize("size", BAD_SIZES)
def test_a_width_must_be_a_positive_integer(size):
    with pytest.raises(ValueError, match="width of Separable must be a positive integer, got") as caught:
        Separable(width=size)(4, 3)
    assert str(caught.value).rstrip(".").endswith(repr(size))


@pytest.mark.parametrize("size", BAD_SIZES)
@pytest.mark.parametrize("cls", [Separable, Concat])
def test_layer_sizes_must_be_positive_integers(cls, size):
    with pytest.raises(ValueError, match=r"hidden_layer_sizes.* must .*positive integer.*, got") as caught:
        cls(hidden_layer_sizes=(4, size))(4, 3)
    assert repr(size) in str(caught.value)


@pytest.mark.parametrize("cls", [Separable, Concat])
def test_layer_sizes_that_are_no_sequence_are_refused_by_name(cls):
    with pytest.raises(ValueError, match=r"hidden_layer_sizes.*got 64"):
        cls(hidden_layer_sizes=64)(4, 3)


def test_concat_needs_a_layer():
    with pytest.raises(ValueError, match=r"hidden_layer_sizes.* must .*at least.*, got \(\)"):
        Concat(hidden_layer_sizes=())(4, 3)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_numpy_integers_are_sizes(kind):
    x, y = codes()
    assert Separable(width=kind(5), hidden_layer_sizes=[kind(6)], normalize=True)(4, 3)(x, y).shape == (6, 5)
    assert Concat(hidden_layer_sizes=[kind(6), kind(7)])(kind(4), kind(3))(x, y).shape == (6, 5)


def test_building_checks_but_constructing_does_not():
    Separable(width=-1)
    Concat(hidden_layer_sizes=())


@pytest.mark.parametrize("name", CRITICS)
def test_a_score_starts_near_the_offset(name):
    torch.manual_seed(0)
    x, y = codes(n=64, m=64, x_features=32, y_features=32)
    scores = Critic(CRITICS[name]()(32, 32), offset=1.0)(x, y)
    assert abs(scores.mean().item() - 1) < 0.3
    assert scores.std().item() < 1.6


@pytest.mark.parametrize(
    ("factory", "x_features", "expected"),
    [
        (Inner(), 4, True),
        (Inner(), 6, False),
        (Cosine(), 4, True),
        (Bilinear(), 4, False),
        (Separable(), 4, False),
        (Separable(shared=True), 4, True),
        (Separable(shared=True, temperature=None), 4, False),  # its a(x) and b(y) are two functions
        (Concat(), 4, False),
    ],
    ids=repr,
)
def test_an_exchangeable_critic_says_so(factory, x_features, expected):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        critic = build_critic(factory, x_features, 4)
        for parameter in critic.parameters():
            nn.init.normal_(parameter, std=0.5)
        x, y = torch.randn(5, 4), torch.randn(7, 4)
    assert critic.exchangeable is expected
    if x_features == 4:
        assert torch.allclose(critic(x, y), critic(y, x).T, atol=1e-5) is expected
