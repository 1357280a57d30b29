"""Objectives: codes -> loss and named bounds."""

from skdim.nn.objectives._deep_infomax import EVALUATION_SEED, DeepInfoMax
from skdim.nn.objectives._noise import PRIOR_METHODS, AdditiveNoise, Noise, NormalizedCode
from skdim.nn.objectives._objective import Objective
from skdim.nn.objectives._posterior import (
    VARIANCE_CEILING,
    VARIANCE_FLOOR,
    Gaussian,
    GaussianPosterior,
    StochasticCode,
    total_correlation,
)
from skdim.nn.objectives._priors import PRIORS, NormalPrior, Prior, PriorMatching, UniformPrior
from skdim.nn.objectives._terms import CodeInfoMax, GlobalInfoMax, LocalInfoMax, PosteriorInfoMax, Term

__all__ = [
    "EVALUATION_SEED",
    "PRIORS",
    "PRIOR_METHODS",
    "VARIANCE_CEILING",
    "VARIANCE_FLOOR",
    "AdditiveNoise",
    "CodeInfoMax",
    "DeepInfoMax",
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
    "Term",
    "UniformPrior",
    "total_correlation",
]
