"""Models of the dependence between two sides: how MIEstimator fits one, scores all pairs, and takes the estimate from rows.

A model holds the learned sides and a network (or a closed form) that scores pairs, ``scores[i, j]`` = f(x_i, y_j). Each kind
of dependence is a class: a learned log ratio under a bound, a learned or known conditional, labels, Gaussian, and counts.
"""

from skdim.dependence._caveats import caveats
from skdim.dependence._conditional import KnownConditional, LearnedConditional
from skdim.dependence._diagnostics import N_REFERENCE, diagnose, duplicated_rows
from skdim.dependence._gaussian import Gaussian
from skdim.dependence._labels import Counts, LearnedLabels
from skdim.dependence._model import BLOCK, FEWEST_TO_SPLIT, Evaluation, Independent, Model, Settings, anchored_infonce
from skdim.dependence._ratio import LearnedRatio

__all__ = [
    "BLOCK",
    "FEWEST_TO_SPLIT",
    "N_REFERENCE",
    "Counts",
    "Evaluation",
    "Gaussian",
    "Independent",
    "KnownConditional",
    "LearnedConditional",
    "LearnedLabels",
    "LearnedRatio",
    "Model",
    "Settings",
    "anchored_infonce",
    "caveats",
    "diagnose",
    "duplicated_rows",
]
