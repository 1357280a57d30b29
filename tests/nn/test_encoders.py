"""Encoders: laws over all of them, shapes for every size, how one is chosen, and the user's own networks."""

import dataclasses

import numpy as np
import pytest
import torch
from helpers import assert_one_graph
from torch import nn

from skdim._random import LocalSeed
from skdim.nn.adapt import build_critic
from skdim.nn.encoders import (
    ENCODERS,
    MLP,
    Code,
    Conv,
    Conv1d,
    PooledConv,
    ResNet,
    build_encoder,
    check_encoders,
    choose_encoder,
    takes_sequences,
)
from skdim.nn.invertible import Couplings, ResidualMLP

NARROW = (2, 3, 4)
IMAGE_ENCODERS = [Conv(channels=NARROW), Conv(channels=NARROW, top=False), ResNet(channels=NARROW)]
SHAPES = {"image": (2, 12, 9), "sequence": (2, 20), "table": (7,)}
N_COMPONENTS = 7
#: All encoders with their defaults, and a row for each option that changes the network.
CASES = [
    *(cls() for cls in ENCODERS.values()),
    PooledConv(),
    Conv(channels=NARROW, hidden_layer_sizes=(6,), norm="group"),
    Conv(channels=NARROW, top=False),
    ResNet(channels=NARROW, hidden_layer_sizes=(6,), norm="group"),
    Conv1d(channels=NARROW, hidden_layer_sizes=(6,), norm="group"),
    MLP(hidden_layer_sizes=(9,), norm="batch"),
    MLP(hidden_layer_sizes=(9, 6), norm="none"),
    Couplings(2, (8,)),
    Couplings(2, (8,), scale=True),
    ResidualMLP(2),
]


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch_norms(network):
    return [m for m in network.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]


def map_sides(network, X):
    """Return the sides of the local map, as a hook sees them before they are flattened."""
    seen = []
    handle = network.local.register_forward_hook(lambda module, inputs, output: seen.append(output.shape[2:]))
    with torch.no_grad():
        code = network(X)
    handle.remove()
    assert code.local.shape[2] == seen[0].numel()
    return tuple(seen[0])


# -------------------------------------------------------------------------------------------------------- every size
@pytest.mark.parametrize("configured", IMAGE_ENCODERS, ids=repr)
def test_every_square_image_has_a_map_of_5_to_8_locations_a_side(configured):
    for side in range(8, 65):
        sides = map_sides(configured((1, side, side), 3), torch.zeros(2, 1, side, side))
        assert 5 <= min(sides) <= max(sides) <= 8, side


@pytest.mark.parametrize("n_channels", [1, 3, 7])
@pytest.mark.parametrize("sides", [(8, 64), (64, 8), (9, 17), (28, 20), (13, 61), (200, 30)])
@pytest.mark.parametrize("configured", IMAGE_ENCODERS, ids=repr)
def test_rectangles_have_a_map_of_at_least_5_by_5(configured, sides, n_channels):
    network = configured((n_channels, *sides), 3)
    X = noise(2, n_channels, *sides)
    found = map_sides(network, X)
    assert min(found) >= 5
    code = network(X)
    assert code.global_.shape == (2, 3)
    assert code.hidden.shape == (2, network.code.in_features)


@pytest.mark.parametrize("length", [8, 9, 15, 16, 17, 31, 100, 257, 1000])
@pytest.mark.parametrize("n_channels", [1, 7])
def test_sequences_have_8_to_15_locations(length, n_channels):
    network = Conv1d(channels=NARROW)((n_channels, length), 3)
    code = network(noise(2, n_channels, length))
    assert 8 <= code.local.shape[2] <= 15
    assert code.global_.shape == (2, 3)
    assert code.hidden.shape == (2, network.code.in_features)


@pytest.mark.parametrize("shape", [(10,), (1,), (3, 4), (1, 8, 8)])
def test_the_mlp_has_one_location_and_flattens(shape):
    code = MLP(hidden_layer_sizes=(7, 5))(shape, 3)(noise(2, *shape))
    assert [tuple(part.shape) for part in code] == [(2, 7, 1), (2, 5), (2, 3)]


def test_an_mlp_of_one_layer_has_the_local_features_as_hidden_layer():
    code = MLP(hidden_layer_sizes=(7,))((4,), 3)(noise(2, 4))
    assert torch.equal(code.local[:, :, 0], code.hidden)


# ------------------------------------------------------------------------------------------------ laws over all encoders
def built(configured, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_encoder(configured, SHAPES[configured.kind], N_COMPONENTS)


def batch(configured, n=8):
    return noise(n, *SHAPES[configured.kind])


over_cases = pytest.mark.parametrize("configured", CASES, ids=repr)


@over_cases
def test_the_builder_records_the_shapes_of_the_code(configured):
    network = built(configured)
    code = network(batch(configured))
    assert isinstance(code, Code)
    assert code.local.shape == (8, *network.local_shape)
    assert code.hidden.shape == (8, network.n_hidden)
    assert code.global_.shape == (8, network.n_components) == (8, N_COMPONENTS)


@over_cases
def test_building_leaves_the_running_statistics_the_mode_and_the_gradients(configured):
    network = built(configured)
    assert all(module.training for module in network.modules())
    for norm in batch_norms(network):
        assert norm.num_batches_tracked == 0
        assert (norm.running_mean == 0).all()
        assert (norm.running_var == 1).all()
    assert all(parameter.grad is None for parameter in network.parameters())


@over_cases
def test_in_eval_mode_a_row_does_not_depend_on_its_batch(configured):
    network = built(configured)
    for _ in range(3):
        network(3 * batch(configured, 16) + 1)
    network.eval()
    X = batch(configured)
    with torch.no_grad():
        whole = network(X)
        for i in range(len(X)):
            for part, single in zip(whole, network(X[i : i + 1]), strict=True):
                torch.testing.assert_close(part[i : i + 1], single, rtol=1e-5, atol=1e-5)


@over_cases
def test_without_batch_statistics_a_row_does_not_depend_on_its_batch_in_training_either(configured):
    network, X = built(configured), batch(configured)
    alone = not batch_norms(network)
    assert alone == (configured.get_params().get("norm", "group") != "batch")
    if alone:
        torch.testing.assert_close(network(X).global_[:1], network(X[:1]).global_, rtol=1e-5, atol=1e-5)


@over_cases
def test_every_parameter_gets_a_gradient(configured):
    network = built(configured)
    sum(part.square().sum() for part in network(batch(configured))).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@over_cases
def test_building_is_a_function_of_torchs_generator(configured):
    first, second, other = (built(configured, seed).state_dict() for seed in (4, 4, 5))
    assert all(torch.equal(a, b) for a, b in zip(first.values(), second.values(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.values(), other.values(), strict=True))


@over_cases
def test_an_encoder_is_one_graph(configured):
    assert_one_graph(built(configured), batch(configured))


SPATIAL = [configured for configured in CASES if configured.kind != "table"]


@pytest.mark.parametrize("configured", SPATIAL, ids=repr)
def test_sides_too_small_are_refused_with_the_way_out(configured):
    channels, *sides = SHAPES[configured.kind]
    for axis in range(len(sides)):
        small = tuple(7 if i == axis else side for i, side in enumerate(sides))
        with pytest.raises(ValueError, match=r"needs sides of at least 8, got .*encoder='mlp'") as caught:
            configured((channels, *small), 3)
        assert str(caught.value).startswith(type(configured).__name__)
        assert str(small) in str(caught.value)


@pytest.mark.parametrize("configured", SPATIAL, ids=repr)
@pytest.mark.parametrize("shape", [(64,), (3, 64), (1, 9, 9), (1, 2, 9, 9)])
def test_inputs_with_other_axes_are_refused(configured, shape):
    if len(shape) != len(SHAPES[configured.kind]):
        with pytest.raises(
            ValueError, match=type(configured).__name__ + r" takes inputs of shape \(channels, .*got"
        ) as caught:
            configured(shape, 3)
        assert str(shape) in str(caught.value)


# ---------------------------------------------------------------------------------------------------------------- choice
@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 8, 8), Conv()),
        ((3, 28, 20), Conv()),
        ((1, 7, 7), MLP()),
        ((1, 28, 7), MLP()),
        ((2, 8), Conv1d()),
        ((2, 7), MLP()),
        ((100,), MLP()),
    ],
)
def test_auto_is_a_convolution_where_one_fits(shape, expected):
    assert choose_encoder("auto", shape) == expected
    assert choose_encoder("auto", shape, [5]).hidden_layer_sizes == [5]


@pytest.mark.parametrize(("name", "cls"), ENCODERS.items())
def test_a_name_stands_for_the_defaults_or_the_sizes_given(name, cls):
    shape = SHAPES[cls.kind]
    assert choose_encoder(name, shape) == cls()
    if "hidden_layer_sizes" not in {field.name for field in dataclasses.fields(cls)}:
        with pytest.raises(ValueError, match="no effect"):
            choose_encoder(name, shape, (5, 4))
        return
    assert choose_encoder(name, shape, (5, 4)) == cls(hidden_layer_sizes=(5, 4))
    assert build_encoder(choose_encoder(name, shape, (5, 4)), shape, 3).n_hidden == 4


@pytest.mark.parametrize("given", [Conv(), Conv, lambda shape, width: nn.Linear(shape[0], width)])
def test_what_is_given_in_place_of_a_name_is_taken_as_it_is(given):
    assert choose_encoder(given, (1, 28, 28)) is given
    with pytest.raises(ValueError, match=r"hidden_layer_sizes=\(8,\).* no effect on encoder="):
        choose_encoder(given, (1, 28, 28), (8,))


@pytest.mark.parametrize("given", ["lstm", "", None, 3, ["conv"]])
def test_an_unknown_encoder_is_refused_with_the_names(given):
    for refuse in (lambda: choose_encoder(given, (7,)), lambda: check_encoders(["mlp", given])):
        with pytest.raises(ValueError, match=r"Unknown encoder .*'auto', 'conv'") as caught:
            refuse()
        assert repr(given) in str(caught.value)


@pytest.mark.parametrize(
    "given", [*(name for name, cls in ENCODERS.items() if cls.kind == "image"), Conv(), PooledConv]
)
def test_flat_samples_given_to_an_image_encoder(given):
    with pytest.raises(ValueError, match=r"takes images: give X as \(n, H, W\).*input_shape.* 64 features") as caught:
        choose_encoder(given, (64,))
    assert repr(given) in str(caught.value)


def test_sizes_for_several_encoders_are_for_those_with_names():
    check_encoders(["mlp", Conv()], (8,))
    check_encoders(["auto"], (8,))
    with pytest.raises(ValueError, match="no effect on encoder=Conv"):
        check_encoders([Conv(), PooledConv()], (8,))


class Recurrent(nn.Module):
    kind = "sequence"


@pytest.mark.parametrize("given", ["conv1d", Conv1d(), Recurrent])
def test_encoders_declare_that_they_take_sequences(given):
    assert takes_sequences(given)


@pytest.mark.parametrize("given", ["auto", "conv", "lstm", MLP(), nn.Linear, None, 3, ["conv1d"]])
def test_other_encoders_do_not(given):
    assert not takes_sequences(given)


# ------------------------------------------------------------------------------------------------------- parameters
@pytest.mark.parametrize(
    ("configured", "shape"),
    [
        (Conv(channels=NARROW, hidden_layer_sizes=(11, 6)), (1, 9, 9)),
        (Conv(channels=NARROW, hidden_layer_sizes=[6], top=False), (1, 9, 9)),
        (ResNet(channels=NARROW, hidden_layer_sizes=(np.int64(6),)), (1, 9, 9)),
        (Conv1d(channels=NARROW, hidden_layer_sizes=(6,)), (2, 20)),
        (MLP(hidden_layer_sizes=(9, 6)), (5,)),
    ],
    ids=repr,
)
def test_the_last_hidden_layer_is_what_the_code_reads(configured, shape):
    network = build_encoder(configured, shape, 3)
    code = network(noise(4, *shape))
    assert network.n_hidden == 6
    assert code.hidden.shape == (4, 6)
    assert (code.hidden >= 0).all()
    torch.testing.assert_close(code.global_, code.hidden @ network.code.weight.T + network.code.bias)


@pytest.mark.parametrize(
    "configured", [Conv(channels=(5, 6)), ResNet(channels=(5, 6)), Conv1d(channels=(5, 6))], ids=repr
)
def test_the_last_channel_count_is_repeated(configured):
    shape = (2, 128) if isinstance(configured, Conv1d) else (2, 64, 64)
    convolutions = [m for m in configured(shape, 3).modules() if isinstance(m, (nn.Conv1d, nn.Conv2d))]
    assert {m.out_channels for m in convolutions} == {5, 6}
    assert len(convolutions) > 3


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5, 8, 9, np.int64(5)])
def test_kernels_keep_the_map(kernel_size):
    assert map_sides(Conv(channels=NARROW, kernel_size=kernel_size)((1, 13, 13), 3), torch.zeros(2, 1, 13, 13)) == (
        7,
        7,
    )
    code = Conv1d(channels=NARROW, kernel_size=kernel_size)((1, 40), 3)(noise(2, 1, 40))
    assert code.local.shape[2] == 10


@pytest.mark.parametrize("kernel_size", [0, -3, 3.0, "3", None])
@pytest.mark.parametrize("cls", [Conv, Conv1d, PooledConv])
def test_other_kernels_are_refused(cls, kernel_size):
    with pytest.raises(ValueError, match=r"kernel_size .*must be a positive .*integer, got") as caught:
        cls(kernel_size=kernel_size)((1, 8, 8)[: 2 + (cls is not Conv1d)], 3)
    assert repr(kernel_size) in str(caught.value)


# ------------------------------------------------------------------------------------------------------------ first weights
INITIALISED = [
    (MLP((300,), norm="none", init="glorot"), (392,), 100),
    (MLP((300,), init="glorot"), (392,), 100),
    (PooledConv((8, 16), init="glorot"), (1, 14, 28), 100),
]


@pytest.mark.parametrize(("configured", "shape", "width"), INITIALISED, ids=lambda value: str(value))
def test_glorot_weights_are_those_of_keras(configured, shape, width):
    network = seeded_build(configured, shape, width)
    layers = [layer for layer in network.modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]
    for layer in layers:
        size_out, size_in, *sides = layer.weight.shape
        limit = np.sqrt(6 / ((size_in + size_out) * np.prod(sides)))
        assert 0.9 * limit < layer.weight.abs().max() <= limit
        assert layer.weight.std().item() == pytest.approx(limit / np.sqrt(3), rel=0.1)
        assert (layer.bias == 0).all()
    assert len(layers) == 2 + isinstance(configured, PooledConv)


def seeded_build(configured, shape, width):
    with LocalSeed(0):
        return configured(shape, width)


@pytest.mark.parametrize(("configured", "shape", "width"), INITIALISED, ids=lambda value: str(value))
def test_first_weights_come_from_the_seed_alone(configured, shape, width):
    state = torch.random.get_rng_state()
    first, second = (seeded_build(configured, shape, width).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.random.get_rng_state(), state)
    plain = seeded_build(dataclasses.replace(configured, init="torch"), shape, width).state_dict()
    assert not torch.equal(first["code.weight"], plain["code.weight"])
    with pytest.raises(ValueError, match=r"Unknown init 'he'. Allowed values are: \['glorot', 'torch'\]"):
        dataclasses.replace(configured, init="he")(shape, width)


@pytest.mark.parametrize("sizes", [(0,), (4, -1), (2.5,), ("8",), (True,), (None,)])
@pytest.mark.parametrize("name", ["channels", "hidden_layer_sizes"])
@pytest.mark.parametrize("cls", [Conv, ResNet, Conv1d])
def test_sizes_must_be_positive_integers(cls, name, sizes):
    with pytest.raises(ValueError, match=f"{name} must .*positive integer.*, got"):
        cls(**{name: sizes})((1, 16) if cls is Conv1d else (1, 16, 16), 3)


@pytest.mark.parametrize("cls", [Conv, ResNet, Conv1d])
def test_no_channels_are_refused(cls):
    with pytest.raises(ValueError, match=r"channels.*got \(\)"):
        cls(channels=())((1, 16) if cls is Conv1d else (1, 16, 16), 3)


@pytest.mark.parametrize("cls", [Conv, ResNet, Conv1d, MLP])
def test_sizes_that_are_no_sequence_are_refused_by_name(cls):
    shape = {Conv1d: (1, 16), MLP: (4,)}.get(cls, (1, 16, 16))
    with pytest.raises(ValueError, match=r"hidden_layer_sizes.*got 64"):
        cls(hidden_layer_sizes=64)(shape, 3)


def test_an_mlp_needs_a_layer():
    with pytest.raises(ValueError, match=r"hidden_layer_sizes.* must .*at least.*, got \(\)"):
        MLP(hidden_layer_sizes=())((4,), 3)


@pytest.mark.parametrize("cls", [Conv, ResNet, Conv1d])
def test_an_unknown_norm_is_refused(cls):
    with pytest.raises(ValueError, match="'batch' or 'group', got 'layer'"):
        cls(norm="layer")((1, 16) if cls is Conv1d else (1, 16, 16), 3)


# ------------------------------------------------------------------------------- the encoders of Tschannen et al., Section 3.3
def test_the_encoders_of_the_halves_have_the_published_sizes():
    def size(encoder, shape):
        return sum(p.numel() for p in encoder(shape, 100).parameters())

    assert size(MLP((300, 300), norm="none"), (392,)) == 238_300
    assert size(PooledConv(), (1, 14, 28)) == 219_748


@pytest.mark.parametrize(("norm", "n_norms"), [("group", 2), ("batch", 2), ("none", 0)])
def test_the_mlp_normalises_as_it_is_told(norm, n_norms):
    layers = [type(layer) for layer in MLP((7, 5), norm=norm)((4,), 3).modules()]
    assert sum(layer in (nn.GroupNorm, nn.BatchNorm1d) for layer in layers) == n_norms


def test_an_mlp_refuses_an_unknown_norm():
    with pytest.raises(ValueError, match="'group', 'batch' or 'none', got 'layer'"):
        MLP(norm="layer")((4,), 3)


def test_the_pooled_encoder_is_layer_normalisation_and_an_average():
    network = PooledConv(channels=(3, 4))((1, 14, 28), 5)
    X = noise(2, 1, 14, 28)
    code = network(X)
    assert code.local.shape == (2, 4, 4 * 7)
    # over channels and places together, each row by itself
    torch.testing.assert_close(code.local.mean((1, 2)), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(code.local.var((1, 2), correction=0), torch.ones(2), atol=1e-2, rtol=0)
    torch.testing.assert_close(code.hidden, code.local.mean(2))
    torch.testing.assert_close(network(X[:1]).global_, code.global_[:1])


@pytest.mark.parametrize(
    ("encoder", "shape", "message"),
    [
        (PooledConv(kernel_size=4), (1, 14, 28), "kernel_size of PooledConv must be a positive odd integer, got 4"),
        (PooledConv(channels=()), (1, 14, 28), r"channels .* got \(\)"),
    ],
)
def test_the_pooled_encoder_refuses_what_it_cannot_be(encoder, shape, message):
    with pytest.raises(ValueError, match=message):
        encoder(shape, 3)


# ------------------------------------------------------------------------------------------------ the user's networks
class Returns(nn.Module):
    """Returns what ``output`` makes of the input."""

    def __init__(self, output):
        super().__init__()
        self.norm = nn.BatchNorm1d(6)
        self.output = output

    def forward(self, X):
        return self.output(self.norm(X))


def build(output, n_components=3):
    return build_encoder(lambda shape, width: Returns(output), (6,), n_components)


def test_one_tensor_is_local_hidden_and_global_at_once():
    network = build(lambda X: X[:, :3])
    X = noise(5, 6)
    code = network(X)
    assert isinstance(code, Code)
    assert torch.equal(code.hidden, code.global_)
    assert torch.equal(code.local, code.global_.unsqueeze(2))
    assert (network.local_shape, network.n_hidden) == ((3, 1), 3)


@pytest.mark.parametrize("wrap", [Code._make, tuple, list])
@pytest.mark.parametrize(("local", "shape"), [((4,), (4, 1)), ((2, 5), (2, 5)), ((2, 5, 3), (2, 15))])
def test_a_code_or_a_triple_is_taken_with_its_map_flattened(wrap, local, shape):
    network = build(lambda X: wrap([X.new_zeros(len(X), *local), X[:, :4], X[:, :3]]))
    code = network(noise(5, 6))
    assert isinstance(code, Code)
    assert code.local.shape == (5, *shape)
    assert (network.local_shape, network.n_hidden) == (shape, 4)


def test_building_a_users_network_leaves_its_statistics_and_mode():
    network = build(lambda X: X[:, :3])
    assert network.training
    assert all(norm.num_batches_tracked == 0 for norm in batch_norms(network))


def test_a_class_is_a_factory():
    class Own(nn.Module):
        def __init__(self, input_shape, n_components):
            super().__init__()
            self.layer = nn.Linear(input_shape[0], n_components)

        def forward(self, X):
            return self.layer(X)

    assert build_encoder(Own, (6,), 2)(noise(4, 6)).global_.shape == (4, 2)


@pytest.mark.parametrize(
    "output",
    [
        pytest.param(lambda X: X[:, :4], id="wide"),
        pytest.param(lambda X: X[:, :2], id="narrow"),
        pytest.param(lambda X: X[:, 0], id="1-d"),
        pytest.param(lambda X: X.sum(), id="0-d"),
        pytest.param(lambda X: X[:, :3, None], id="3-d"),
        pytest.param(lambda X: X[:1, :3], id="one row"),
        pytest.param(lambda X: (X, X), id="pair"),
        pytest.param(lambda X: (X, X, X[:, :3], X), id="four"),
        pytest.param(lambda X: (X, X, X), id="wide global"),
        pytest.param(lambda X: (X[:1], X, X[:, :3]), id="one row of local"),
        pytest.param(lambda X: (X[:, 0], X, X[:, :3]), id="1-d local"),
        pytest.param(lambda X: (X, X[:, 0], X[:, :3]), id="1-d hidden"),
        pytest.param(lambda X: (X, X[:, :, None], X[:, :3]), id="3-d hidden"),
        pytest.param(lambda X: None, id="None"),
        pytest.param(lambda X: X[:, :3].tolist(), id="lists"),
        pytest.param(lambda X: X[:, :3].detach().numpy(), id="array"),
        pytest.param(lambda X: (X, None, X[:, :3]), id="no hidden"),
        pytest.param(lambda X: (None, X, X[:, :3]), id="no local"),
        pytest.param(lambda X: (X, X, None), id="no global"),
        pytest.param(lambda X: {"global_": X[:, :3]}, id="dict"),
        pytest.param(lambda X: X @ X, id="raises"),
    ],
)
def test_a_wrong_output_is_refused_with_what_is_expected(output):
    with pytest.raises(ValueError, match=r"The encoder must return a tensor of shape \(n, 3\), or a Code"):
        build(output)


@pytest.mark.parametrize("made", [None, 3, nn.Linear, torch.zeros(2, 3), "conv"])
def test_a_factory_must_make_a_module(made):
    with pytest.raises(TypeError, match="must return a torch.nn.Module, got " + type(made).__name__):
        build_encoder(lambda shape, width: made, (6,), 3)


class OfSizes(nn.Module):
    """A network as other packages have them, with parameters of its own."""

    def __init__(self, in_channels=3, n_classes=5):
        super().__init__()
        self.layer = nn.Conv2d(in_channels, n_classes, 3)


@pytest.mark.parametrize("factory", [OfSizes, lambda shape: nn.Linear(6, 3)])
def test_an_error_in_a_factory_says_how_it_is_called(factory):
    with pytest.raises(
        ValueError, match=r"called as encoder\(input_shape, n_components\), here with \(\(3, 8, 8\), 4\)"
    ):
        build_encoder(factory, (3, 8, 8), 4)
    with pytest.raises(
        ValueError, match=r"called as critic\(x_features, y_features\).* raised TypeError.*builds a network"
    ):
        build_critic(lambda x_features: nn.Linear(x_features, 1), 4, 5)
