"""Encoders: shapes for every size, normalisation, and the user's own networks."""

import numpy as np
import pytest
import torch
from torch import nn

from skdim.nn.encoders import ENCODERS, MLP, Code, Conv, Conv1d, PooledConv, ResNet, build_encoder

NARROW = (2, 3, 4)
IMAGE_ENCODERS = [Conv(channels=NARROW), Conv(channels=NARROW, top=False), ResNet(channels=NARROW)]


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
def test_every_square_image_has_a_map_of_4_to_7_locations_a_side(configured):
    for side in range(8, 65):
        sides = map_sides(configured((1, side, side), 3), torch.zeros(2, 1, side, side))
        assert 4 <= min(sides) <= max(sides) <= 7, side


@pytest.mark.parametrize("n_channels", [1, 3, 7])
@pytest.mark.parametrize("sides", [(8, 64), (64, 8), (9, 17), (28, 20), (13, 61), (200, 30)])
@pytest.mark.parametrize("configured", IMAGE_ENCODERS, ids=repr)
def test_rectangles_have_a_map_of_at_least_4_by_4(configured, sides, n_channels):
    network = configured((n_channels, *sides), 3)
    X = noise(2, n_channels, *sides)
    found = map_sides(network, X)
    assert min(found) >= 4
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


@pytest.mark.parametrize("name", ["conv", "resnet"])
@pytest.mark.parametrize("sides", [(7, 7), (28, 7), (1, 64)])
def test_an_image_too_small_is_refused_with_the_way_out(name, sides):
    with pytest.raises(ValueError, match=rf"'{name}' needs sides of at least 8, got .*encoder='mlp'") as caught:
        ENCODERS[name]()((1, *sides), 3)
    assert str(sides) in str(caught.value)


def test_a_sequence_too_short_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"at least 8, got \(7,\).*encoder='mlp'"):
        Conv1d()((3, 7), 3)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("conv", (64,)), ("conv", (3, 64)), ("resnet", (1, 2, 8, 8)), ("conv1d", (1, 8, 8)), ("conv1d", (9,))],
)
def test_inputs_of_another_kind_are_refused(name, shape):
    with pytest.raises(ValueError, match=rf"'{name}' takes inputs of shape \(channels, .*got") as caught:
        ENCODERS[name]()(shape, 3)
    assert str(shape) in str(caught.value)


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


@pytest.mark.parametrize("kernel_size", [1, 3, 5, 9, np.int64(5)])
def test_odd_kernels_keep_the_map(kernel_size):
    assert map_sides(Conv(channels=NARROW, kernel_size=kernel_size)((1, 13, 13), 3), torch.zeros(2, 1, 13, 13)) == (
        7,
        7,
    )
    code = Conv1d(channels=NARROW, kernel_size=kernel_size)((1, 40), 3)(noise(2, 1, 40))
    assert code.local.shape[2] == 10


@pytest.mark.parametrize("kernel_size", [0, 2, -3, 3.0, "3", None])
@pytest.mark.parametrize("cls", [Conv, Conv1d])
def test_other_kernels_are_refused(cls, kernel_size):
    with pytest.raises(ValueError, match="kernel_size must be a positive odd integer, got") as caught:
        cls(kernel_size=kernel_size)((1, 8, 8)[: 2 + (cls is Conv)], 3)
    assert repr(kernel_size) in str(caught.value)


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
        (PooledConv(), (64,), r"'pooled_conv' takes inputs of shape \(channels, height, width\), got \(64,\)"),
        (PooledConv(), (1, 7, 28), r"needs sides of at least 8, got \(7, 28\)"),
        (PooledConv(kernel_size=4), (1, 14, 28), "kernel_size must be a positive odd integer, got 4"),
        (PooledConv(channels=()), (1, 14, 28), r"channels .* got \(\)"),
    ],
)
def test_the_pooled_encoder_refuses_what_it_cannot_be(encoder, shape, message):
    with pytest.raises(ValueError, match=message):
        encoder(shape, 3)


@pytest.mark.parametrize("n_components", [1, 5, np.int64(5)])
@pytest.mark.parametrize("cls", [Conv, ResNet])
def test_the_code_has_the_width_asked_for(cls, n_components):
    network = build_encoder(cls(channels=NARROW), (1, 8, 8), n_components)
    assert network(noise(2, 1, 8, 8)).global_.shape == (2, n_components)


# ---------------------------------------------------------------------------------------------------- normalisation
BUILT_IN = [
    (Conv(channels=NARROW, hidden_layer_sizes=(6,)), (2, 8, 8)),
    (ResNet(channels=NARROW, hidden_layer_sizes=(6,)), (2, 8, 8)),
    (Conv1d(channels=NARROW, hidden_layer_sizes=(6,)), (2, 16)),
    (MLP(hidden_layer_sizes=(9, 6)), (7,)),
]


@pytest.mark.parametrize(("configured", "shape"), BUILT_IN, ids=repr)
def test_building_leaves_the_running_statistics_and_the_mode(configured, shape):
    network = build_encoder(configured, shape, 3)
    assert all(module.training for module in network.modules())
    for norm in batch_norms(network):
        assert norm.num_batches_tracked == 0
        assert (norm.running_mean == 0).all()
        assert (norm.running_var == 1).all()
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize(("configured", "shape"), BUILT_IN[:3], ids=repr)
def test_norm_chooses_batch_or_group_normalisation(configured, shape):
    assert batch_norms(configured(shape, 3))
    group = type(configured)(**{**configured.get_params(), "norm": "group"})(shape, 3)
    assert not batch_norms(group)
    X = noise(4, *shape)  # per sample: even in training mode a row does not see its batch
    torch.testing.assert_close(group(X).global_[:1], group(X[:1]).global_, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("configured", "shape"), BUILT_IN, ids=repr)
def test_in_eval_mode_a_row_does_not_depend_on_its_batch(configured, shape):
    network = build_encoder(configured, shape, 3)
    for _ in range(3):
        network(3 * noise(16, *shape) + 1)
    network.eval()
    X = noise(9, *shape)
    with torch.no_grad():
        whole = network(X)
        for i in range(9):
            for part, single in zip(whole, network(X[i : i + 1]), strict=True):
                torch.testing.assert_close(part[i : i + 1], single, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("configured", "shape"), BUILT_IN, ids=repr)
def test_every_parameter_of_an_encoder_gets_a_gradient(configured, shape):
    network = build_encoder(configured, shape, 3)
    network(noise(8, *shape)).global_.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(("configured", "shape"), BUILT_IN, ids=repr)
def test_the_builder_records_the_shapes(configured, shape):
    network = build_encoder(configured, shape, 3)
    code = network(noise(2, *shape))
    assert network.local_shape == tuple(code.local.shape[1:])
    assert network.n_hidden == code.hidden.shape[1]
    assert network.n_components == 3


def test_building_is_a_function_of_torchs_generator():
    states = []
    for _ in range(2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4)
            states.append(build_encoder(Conv(channels=NARROW), (1, 8, 8), 3).state_dict())
    assert all(torch.equal(a, b) for a, b in zip(*(state.values() for state in states), strict=True))


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


def test_the_table_of_encoders():
    assert list(ENCODERS.items()) == [("conv", Conv), ("conv1d", Conv1d), ("resnet", ResNet), ("mlp", MLP)]
