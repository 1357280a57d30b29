"""Mutual information: MIEstimator, its results, and scores of features.

``sides`` turns columns of any kind into numbers or labels. A model holds the dependence of two sides: a critic under a bound
(``ratio``) or ``densities``. ``result`` takes the value from held-out rows, with its interval and diagnostics.
"""

from __future__ import annotations

from skdim.information.estimator import MIEstimator
from skdim.information.feature_scores import mutual_info_features
from skdim.information.functions import conditional_mutual_information, interaction_information, mutual_information
from skdim.information.independence import independence_test
from skdim.information.mrmr import MRMRSelector
from skdim.information.pairs import lagged_mutual_information, mutual_information_matrix
from skdim.information.permutations import IndependenceResult
from skdim.information.result import MIResult
from skdim.information.series import time_blocks, transfer_entropy

__all__ = [
    "IndependenceResult",
    "MIEstimator",
    "MIResult",
    "MRMRSelector",
    "conditional_mutual_information",
    "independence_test",
    "interaction_information",
    "lagged_mutual_information",
    "mutual_info_features",
    "mutual_information",
    "mutual_information_matrix",
    "time_blocks",
    "transfer_entropy",
]
