"""Our default networks in plain torch, for interpreters that have a peer and no skdim."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class Flat(nn.Module):
    """A network of rows, for inputs with any number of leading dimensions."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, X: Tensor) -> Tensor:
        return self.network(X.flatten(0, -2)).unflatten(0, X.shape[:-1])


def conv(n_components: int, channels: tuple[int, ...] = (32, 64, 128)) -> nn.Sequential:
    """Return the layers of ``Conv()`` for flat 28 x 28 images."""
    layers: list[nn.Module] = [nn.Flatten(), nn.Unflatten(1, (1, 28, 28))]
    for size_in, size_out in pairwise((1, *channels)):
        layers += [nn.Conv2d(size_in, size_out, 3, 2, 1, bias=False), nn.BatchNorm2d(size_out), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * 4 * 4, n_components))


def mlp(sizes: tuple[int, ...]) -> nn.Sequential:
    """Return the layers of ``MLP(sizes[1:-1])`` from sizes[0] columns to sizes[-1] components."""
    layers: list[nn.Module] = [nn.Flatten()]
    for size_in, size_out in pairwise(sizes[:-1]):
        layers += [nn.Linear(size_in, size_out), nn.GroupNorm(1, size_out), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))


def register_with_cebra() -> None:
    """Make the networks model architectures of CEBRA: skdim-conv and skdim-mlp."""
    import cebra
    from cebra.models.model import _OffsetModel

    class Ours(_OffsetModel):  # its base class alone gives what CEBRA's estimator asks of a network of single samples
        def get_offset(self) -> cebra.data.Offset:
            return cebra.data.Offset(0, 1)

    @cebra.models.register("skdim-conv")
    class OurConv(Ours):
        def __init__(self, num_neurons: int, num_units: int, num_output: int, normalize: bool = True) -> None:
            super().__init__(conv(num_output), num_input=num_neurons, num_output=num_output, normalize=normalize)

    @cebra.models.register("skdim-mlp")
    class OurMLP(Ours):
        def __init__(self, num_neurons: int, num_units: int, num_output: int, normalize: bool = True) -> None:
            layers = mlp((num_neurons, num_units, num_units, num_output))
            super().__init__(layers, num_input=num_neurons, num_output=num_output, normalize=normalize)
