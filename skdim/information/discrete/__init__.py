"""Discrete variables: entropy and mutual information by counting, which columns are discrete, and their codes.

With n rows and m occupied cells the plug-in entropy is too small by about (m - 1) / (2n); the plug-in mutual information, a
difference of entropies, is mostly too large.
"""

from skdim.information.discrete._information import DiscreteMI, discrete_mutual_information, entropy, information_gain
from skdim.information.discrete._tables import Codebook, discrete_columns, is_discrete, missing_cells, which_discrete

__all__ = [
    "Codebook",
    "DiscreteMI",
    "discrete_columns",
    "discrete_mutual_information",
    "entropy",
    "information_gain",
    "is_discrete",
    "missing_cells",
    "which_discrete",
]
