"""Objectives: codes -> loss and named bounds."""

from skdim.nn.objectives._deep_infomax import DeepInfoMax
from skdim.nn.objectives._priors import PRIORS, NormalPrior, Prior, PriorMatching, UniformPrior
from skdim.nn.objectives._terms import CodeInfoMax, GlobalInfoMax, LocalInfoMax, Term

__all__ = [
    "PRIORS",
    "CodeInfoMax",
    "DeepInfoMax",
    "GlobalInfoMax",
    "LocalInfoMax",
    "NormalPrior",
    "Prior",
    "PriorMatching",
    "Term",
    "UniformPrior",
]
