"""Objectives: codes -> loss and named bounds."""

from skdim.nn.objectives.deep_infomax import DeepInfoMax, build_terms
from skdim.nn.objectives.objective import Draws, Objective, drawn
from skdim.nn.objectives.posterior import (
    PRIOR_METHODS,
    AdditiveNoise,
    Gaussian,
    GaussianPosterior,
    Noise,
    NormalizedCode,
    StochasticCode,
    total_correlation,
)
from skdim.nn.objectives.prior import PRIORS, NormalPrior, Prior, PriorMatching, UniformPrior
from skdim.nn.objectives.terms import CodeInfoMax, GlobalInfoMax, LocalInfoMax, PosteriorInfoMax

__all__ = [
    "PRIORS",
    "PRIOR_METHODS",
    "AdditiveNoise",
    "CodeInfoMax",
    "DeepInfoMax",
    "Draws",
    "Gaussian",
    "GaussianPosterior",
    "GlobalInfoMax",
    "LocalInfoMax",
    "Noise",
    "NormalPrior",
    "NormalizedCode",
    "Objective",
    "PosteriorInfoMax",
    "Prior",
    "PriorMatching",
    "StochasticCode",
    "UniformPrior",
    "build_terms",
    "drawn",
    "total_correlation",
]
