"""Causal encoders: every context over every kind of latents."""

import pytest
import torch
from helpers import assert_one_graph

from skdim.nn.causal import CONTEXTS, PATCH_ENCODERS, PatchGrid, StridedConv, build_causal_encoder

LATENTS = [
    (StridedConv(width=8), (2, 70), None),
    (StridedConv(width=8, overlap=2, stride=4), (2, 24), None),
    *((encoder, (1, 20, 18), PatchGrid((8, 8))) for encoder in PATCH_ENCODERS.values()),
]
over_networks = pytest.mark.parametrize(
    ("encoder", "shape", "patches", "context"), [(*latents, context) for latents in LATENTS for context in CONTEXTS]
)


def network(encoder, shape, patches, context):
    return build_causal_encoder(encoder, CONTEXTS[context](), shape, 5, patches)


def batch(shape, n=4):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(0))


@over_networks
def test_latents_and_contexts_have_one_shape_and_no_row_sees_another(encoder, shape, patches, context):
    built, X = network(encoder, shape, patches, context), batch(shape)
    codes = built(X)
    assert codes.z.shape == codes.c.shape == (4, *built.grid, 5)
    for part, alone in zip(codes, built(X[1:2]), strict=True):
        torch.testing.assert_close(part[1:2], alone, rtol=1e-5, atol=1e-5)


@over_networks
def test_every_parameter_gets_a_gradient(encoder, shape, patches, context):
    built = network(encoder, shape, patches, context)
    built(batch(shape)).c.square().sum().backward()
    assert all(parameter.grad is not None for parameter in built.parameters())


@over_networks
def test_a_causal_encoder_is_one_graph(encoder, shape, patches, context):
    assert_one_graph(network(encoder, shape, patches, context), batch(shape))


@pytest.mark.parametrize("length", [1, 32, 33, 65, 66, 131, 132, 1055, 1056])
def test_the_automatic_stride_is_the_smallest_that_leaves_few_frames(length):
    stride = StridedConv().stride_of(length)
    assert length // stride <= 32
    assert stride == 1 or length // (stride // 2) > 32
