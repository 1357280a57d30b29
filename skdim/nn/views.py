"""Several views: flat samples -> a list of inputs -> a list of codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from skdim.inputs.layout import Layout
from skdim.nn.adapt import Code, Encoder, EncoderFactory, build_encoder
from skdim.nn.encoders import check_encoders, choose_encoder, takes_sequences


class SplitViews(nn.Module):
    """Standardised flat samples (n, n_columns) -> their views (n, ...)."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.shapes = layout.shapes
        self.slices: list[slice | None] = []
        for view, (_, columns, _) in enumerate(layout.views):
            is_range = bool((np.diff(columns) == 1).all())
            self.slices.append(slice(int(columns[0]), int(columns[-1]) + 1) if is_range else None)
            # Columns that are not neighbours are on the device before the first step, which must not send them there.
            self.register_buffer(f"columns_{view}", None if is_range else torch.from_numpy(columns), persistent=False)

    def forward(self, X: Tensor) -> list[Tensor]:
        parts = [self.get_buffer(f"columns_{view}") if part is None else part for view, part in enumerate(self.slices)]
        # Each in memory of its own: a network may change its view in place.
        return [X[:, columns].reshape(-1, *shape).clone() for columns, shape in zip(parts, self.shapes, strict=True)]


class ViewEncoders(nn.Module):
    """One encoder for each view, or one for all of them."""

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.n_components = encoders[0].n_components

    def forward(self, views: Sequence[Tensor]) -> list[Code]:
        if len(self.encoders) == 1:  # one pass: batch statistics are those of all views
            code = self.encoders[0](torch.cat(list(views)))
            of_views = (part.unflatten(0, (len(views), -1)).unbind() for part in code)
            return [Code(*parts) for parts in zip(*of_views, strict=True)]
        return [encoder(view) for encoder, view in zip(self.encoders, views, strict=True)]

    def encode(self, view: int, X: Tensor) -> Code:
        code: Code = self.encoders[min(view, len(self.encoders) - 1)](X)
        return code


class LayerEncoder(ViewEncoders):
    """One encoder with two views of a sample: a linear code of its local map, and its global code Y."""

    def __init__(self, encoder: Encoder, n_components: int) -> None:
        super().__init__([encoder])
        channels, locations = encoder.local_shape
        self.middle = nn.Linear(channels * locations, n_components)

    def forward(self, views: Sequence[Tensor]) -> list[Code]:
        """Encode samples, which both views are, in one pass."""
        last: Code = self.encoders[0](views[0])
        flat = last.local.movedim(1, 2).flatten(1)
        return [Code(last.local, flat, self.middle(flat)), last]

    def encode(self, view: int, X: Tensor) -> Code:
        return self([X, X])[view]


def _each(encoder: object, n_views: int) -> list[EncoderFactory]:
    """Return the encoder of each view, from a list of them or one for all."""
    return list(encoder) if isinstance(encoder, (list, tuple)) else [encoder] * n_views  # type: ignore[list-item]


def check_view_encoders(encoder: object, hidden_layer_sizes: object, shared: bool, layers: bool) -> None:
    """Raise a ``ValueError`` if an encoder is unknown, or an option has no effect on a list of them."""
    check_encoders(_each(encoder, 1), hidden_layer_sizes)
    if isinstance(encoder, (list, tuple)) and (shared or layers):
        option = "shared_encoder=True" if shared else "views='layers'"
        raise ValueError(f"{option} has one encoder, got a list of {len(encoder)}.")
    if shared and layers:
        raise ValueError("views='layers' has one encoder in any case; shared_encoder=True would have no effect.")


def sequences_among(encoder: object, n_views: int | None) -> list[bool]:
    """Return which views are sequences because their encoder takes sequences; ``n_views`` is None if not yet known."""
    encoders = _each(encoder, 1 if n_views is None else n_views)
    if n_views is not None and len(encoders) != n_views:
        raise ValueError(f"encoder is a list of {len(encoders)} for {n_views} views.")
    return [takes_sequences(each) for each in encoders]


def build_view_encoders(
    encoder: object, hidden_layer_sizes: Sequence[int] | str, layout: Layout, n_components: int, shared: bool
) -> ViewEncoders:
    """Return the encoders of the views of a layout.

    Raises ValueError if the number of encoders is not that of the views, or a shared encoder has views of several shapes.
    """
    n_views, shapes = len(layout.views), layout.shapes
    encoders = _each(encoder, n_views)
    if len(encoders) != n_views:
        raise ValueError(f"encoder is a list of {len(encoders)} for the {n_views} views {layout.names}.")
    if shared and len(set(shapes)) > 1:
        described = dict(zip(layout.names, shapes, strict=True))
        raise ValueError(f"shared_encoder=True needs views of one shape, got {described}.")
    layers = layout.kind == "layers"
    built = []
    for each, shape in list(zip(encoders, shapes, strict=True))[: 1 if shared or layers else n_views]:
        sizes = hidden_layer_sizes if isinstance(each, str) else "auto"
        built.append(build_encoder(choose_encoder(each, shape, sizes), shape, n_components))
    return LayerEncoder(built[0], n_components) if layers else ViewEncoders(built)
