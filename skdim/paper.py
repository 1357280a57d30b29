"""Hjelm et al., "Learning deep representations by mutual information estimation and maximization", ICLR 2019: its settings."""

from __future__ import annotations

import functools

import torch

from skdim.nn.critics import Concat, Separable
from skdim.nn.encoders import Conv
from skdim.nn.objectives import UniformPrior

_PAPER = {
    "n_components": 64,
    "augment": None,
    "prior": UniformPrior(penalty=1.0),
    "encoder": Conv(channels=(64, 128), kernel_size=5, hidden_layer_sizes=(1024,), norm="batch", top=False),
    "batch_size": 64,
    "learning_rate": 1e-4,
    "optimizer": functools.partial(torch.optim.Adam, betas=(0.5, 0.999)),
    "weight_decay": 0.0,
    "n_locations": 4,  # a random subset, as the paper's code offers: the gradient of all in expectation, at a fifth of the cost
    "max_iter": 1000,
}
_ENCODE_AND_DOT = Separable(width=2048, hidden_layer_sizes=(2048,), temperature=None, normalize=True)

#: Constructor arguments of the paper's settings. They are meant for hundreds of epochs; set ``max_iter``, and
#: ``n_locations=None`` to score every location in every step.
PAPER = {
    "DIM(G)": {**_PAPER, "global_weight": 1.0, "local_weight": 0.0, "prior_weight": 1.0, "critic": _ENCODE_AND_DOT},
    "DIM(L)": {**_PAPER, "global_weight": 0.0, "local_weight": 1.0, "prior_weight": 0.1, "critic": _ENCODE_AND_DOT},
    "DIM(L+G)": {
        **_PAPER,
        "global_weight": 0.5,
        "local_weight": 0.1,
        "prior_weight": 0.1,
        "critic": Concat(hidden_layer_sizes=(512, 512)),
    },
}
