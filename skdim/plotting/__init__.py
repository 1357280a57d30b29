"""Plots of fitted estimators, as scikit-learn's ``Display`` objects. They need matplotlib, the extra ``plot``."""

from skdim.plotting._curves import LossCurveDisplay, StepAccuracyDisplay
from skdim.plotting._embedding import EmbeddingDisplay, NeighborsDisplay
from skdim.plotting._information import EstimateDisplay, LadderDisplay, MutualInformationDisplay
from skdim.plotting._search import SearchDisplay

__all__ = [
    "EmbeddingDisplay",
    "EstimateDisplay",
    "LadderDisplay",
    "LossCurveDisplay",
    "MutualInformationDisplay",
    "NeighborsDisplay",
    "SearchDisplay",
    "StepAccuracyDisplay",
]
