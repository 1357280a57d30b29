"""The settings that are named after the paper: networks, discriminators and numbers are the paper's, and they train."""

import math

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from skdim import PAPER, DeepInfoMaxTransformer
from skdim.nn.critics import Concat, Separable
from skdim.nn.layers import FlattenMap
from skdim.paper import PaperConv

#: Input, local map, convolutional layer, fully connected layer: Hjelm et al., Appendix A, and their code's configs/convnets.py.
TABLE = [
    ((1, 28, 28), (128, 7, 7), (128, 7, 7), 1024),
    ((3, 32, 32), (128, 8, 8), (256, 4, 4), 1024),
    ((3, 64, 64), (384, 15, 15), (192, 7, 7), 4096),
    ((3, 96, 96), (384, 15, 15), (192, 7, 7), 4096),
]
KERNELS = {28: [(5, 2)] * 2, 32: [(4, 2)] * 3, 64: [(3, 1)] * 5, 96: [(3, 1)] * 5}
WIDTHS = {28: [64, 128], 32: [64, 128, 256], 64: [96, 192, 384, 384, 192], 96: [96, 192, 384, 384, 192]}


@pytest.mark.parametrize(("shape", "local", "convolutional", "connected"), TABLE, ids=lambda value: str(value))
def test_the_networks_are_those_of_the_paper_s_tables(shape, local, convolutional, connected):
    with torch.device("meta"):
        network, shapes = PAPER["DIM(L)"]["encoder"](shape, 64), {}
        flatten = next(part for part in network.rest if isinstance(part, FlattenMap))
        network.local.register_forward_hook(lambda *of: shapes.update(local=tuple(of[2].shape[1:])))
        flatten.register_forward_hook(lambda *of: shapes.update(convolutional=tuple(of[1][0].shape[1:])))
        code = network.eval()(torch.zeros(2, *shape))
    assert shapes == {"local": local, "convolutional": convolutional}
    assert (code.local.shape, code.hidden.shape) == ((2, local[0], local[1] * local[2]), (2, connected))
    assert code.global_.shape == (2, 64)
    convolutions = [part for part in network.modules() if isinstance(part, nn.Conv2d)]
    assert [(part.kernel_size[0], part.stride[0]) for part in convolutions] == KERNELS[shape[1]]
    assert [part.out_channels for part in convolutions] == WIDTHS[shape[1]]
    assert not any(part.bias is not None for part in convolutions)
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert len(norms) == len(convolutions) + (1 if connected == 1024 else 2)


def test_a_convolution_with_an_even_kernel_is_padded_by_one_as_theirs():
    network = PaperConv((8,))((3, 32, 32), 4).eval()
    X = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    weights = [part.weight for part in network.local.modules() if isinstance(part, nn.Conv2d)]
    theirs = X
    with torch.no_grad():
        for weight in weights:  # the running statistics of a new network are 0 and 1
            theirs = nn.functional.conv2d(theirs, weight, stride=2, padding=1).relu() / math.sqrt(1 + 1e-5)
        torch.testing.assert_close(network(X).local, theirs.flatten(2))


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 32, 28), (3, 100, 100)])
def test_images_of_other_sizes_are_refused(shape):
    with pytest.raises(ValueError, match=r"square images of \[28, 32, 64, 96\] pixels.*got .*encoder='conv'"):
        PaperConv()(shape, 64)


def test_large_images_are_seen_in_parts():
    part = PaperConv((8,))((1, 96, 96), 4).local[0][0]
    places = torch.arange(96.0 * 96).reshape(1, 1, 96, 96).expand(300, 1, 96, 96)
    seen, expected = part.train()(places)[:, 0], places[0, 0, 16:80, 16:80]
    steps = seen.diff(dim=2)
    assert (seen.diff(dim=1) == 96).all()
    assert all((step == step[0, 0]).all() and step[0, 0].abs() == 1 for step in steps)
    assert 100 < (steps[:, 0, 0] < 0).sum() < 200
    assert len(seen.amin((1, 2)).unique()) > 200
    assert torch.equal(part.eval()(places)[:1, 0], expected[None])


# ------------------------------------------------------------------------------------------------------------- the rest
def test_the_paper_s_numbers():
    weights = {
        name: (settings["global_weight"], settings["local_weight"], settings["prior_weight"])
        for name, settings in PAPER.items()
    }
    assert weights == {"DIM(G)": (1.0, 0.0, 1.0), "DIM(L)": (0.0, 1.0, 0.1), "DIM(L+G)": (0.5, 0.1, 0.1)}
    for settings in PAPER.values():
        assert settings["augment"] is None
        assert settings["n_components"] == 64
        assert settings["batch_size"] == 64
        assert settings["learning_rate"] == 1e-4
        assert settings["schedule"] is None
        assert settings["n_locations"] is None
        assert settings["estimator"].kind == "estimate"
        optimizer = settings["optimizer"]([torch.nn.Parameter(torch.zeros(2))], lr=1e-4)
        assert isinstance(optimizer, torch.optim.Adam)
        assert optimizer.defaults["betas"] == (0.5, 0.999)


def test_the_encode_and_dot_discriminator():
    critic = PAPER["DIM(L)"]["critic"]
    assert (critic.width, tuple(critic.hidden_layer_sizes)) == (2048, (2048,))
    network = critic(64, 128)
    names = {name: tuple(parameter.shape) for name, parameter in network.named_parameters() if "embed_y" in name}
    assert sorted(names.values()) == sorted(
        [
            (2048, 128),  # the shortcut, without bias
            *[(2048, 128), (2048,), (2048,), (2048,), (2048, 2048), (2048,)],  # linear, batch norm, linear
            *[(2048,), (2048,)],  # layer norm
        ]
    )
    shortcut = network.embed_y[0].parts[0].weight
    assert torch.equal(shortcut.diagonal(), torch.ones(128))
    assert (shortcut - torch.eye(2048, 128)).abs().max() <= 0.01
    x, y = (torch.randn(9, width, generator=torch.Generator().manual_seed(0)) for width in (64, 128))
    network.eval()
    torch.testing.assert_close(network(x, y), network.embed_x(x) @ network.embed_y(y).T)  # no scale and no bias


@pytest.mark.parametrize("name", ["DIM(G)", "DIM(L+G)"])
def test_the_discriminator_of_the_flat_map(name):
    assert isinstance(PAPER[name]["critic"], Concat)
    n_inputs = 128 * 7 * 7 + 64
    n_parameters = (n_inputs + 1) * 512 + (512 + 1) * 512 + 512 + 1
    with torch.device("meta"):
        assert sum(p.numel() for p in PAPER[name]["critic"](64, 128 * 7 * 7).parameters()) == n_parameters


@pytest.mark.parametrize("name", PAPER)
def test_the_paper_s_settings_train(name):
    X = np.random.default_rng(0).integers(0, 256, size=(8, 28, 28), dtype=np.uint8)
    dim = clone(DeepInfoMaxTransformer(**{**PAPER[name], "max_iter": 1, "random_state": 0}))
    # The paper's layers at smaller widths, so that the test is quick.
    dim.set_params(encoder__hidden_layer_sizes=(128,), n_components=16)
    if isinstance(dim.critic, Separable):
        dim.set_params(critic__width=64, critic__hidden_layer_sizes=(64,))
    else:
        dim.set_params(critic__hidden_layer_sizes=(32, 32))
    dim.fit(X)
    code = dim.encoder_(torch.zeros(1, 1, 28, 28))
    assert code.local.shape == (1, 128, 49)
    assert code.hidden.shape == (1, 128)
    assert dim.transform(X).shape == (8, 16)
    assert np.isfinite(dim.score(X))
    assert "code" not in dim.history_[0]
    assert PAPER[name]["encoder"].hidden_layer_sizes == "auto"  # clone copied: the constant stands


def test_estimators_do_not_share_the_paper_s_objects():
    first = clone(DeepInfoMaxTransformer(**PAPER["DIM(L)"]))
    first.set_params(critic__width=3)
    assert PAPER["DIM(L)"]["critic"].width == 2048
