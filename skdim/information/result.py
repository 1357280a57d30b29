"""An estimate of mutual information with its kind, cap and uncertainty."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["MIResult"]


@dataclass(frozen=True)
class MIResult:
    """An estimate of mutual information.

    Attributes
    ----------
    value : float
        In nats.
    interval : tuple of float
        Lower and upper end of the confidence interval of the estimator's expectation, in nats.
    kind : {"lower", "upper", "estimate"}
        What the expectation is to the mutual information.
    cap : float
        The largest value that the estimator can take, in nats.
    diagnostics : dict
        See :class:`MIEstimator`.
    """

    value: float
    interval: tuple[float, float]
    kind: str
    cap: float
    diagnostics: dict[str, float] = field(repr=False)
