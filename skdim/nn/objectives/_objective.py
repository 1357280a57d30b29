"""What every objective of a transformer shares: an encoder whose codes it gathers."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Objective"]


class Objective(nn.Module):
    """An encoder, and what its codes are trained by.

    Every objective computes its loss on codes that went through :meth:`gather`, and on nothing else that is of single rows. So
    several processes can share a batch: each encodes its rows, and from there on each has the whole batch; see
    :mod:`skdim.training.distributed`, which takes the method's place then.
    """

    @property
    def networks(self) -> list[nn.Module]:
        """What may compute in another precision: the encoders, each of one tensor; all else of a step stays in float32."""
        return [self.encoder]  # type: ignore[list-item]

    def gather(self, codes: Tensor, n_views: int = 1) -> Tensor:
        """Return the codes of the whole batch (n_views * n, ...), view after view, from those of this process's rows."""
        return codes
