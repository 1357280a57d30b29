"""Discrete variables: entropy and mutual information by counting, which columns are discrete, and their codes.

With n rows and m occupied cells the plug-in entropy is too small by about (m - 1) / (2n); the plug-in mutual information, a
difference of entropies, is mostly too large.
"""

from skdim.information.discrete._chance import Table, plug_in_entropy
from skdim.information.discrete._codebook import Codebook
from skdim.information.discrete._information import (
    DiscreteMI,
    discrete_mutual_information,
    entropy,
    information_gain,
    information_of_codes,
)
from skdim.information.discrete._tables import (
    discrete_columns,
    factorize,
    is_discrete,
    real_numbers,
    recur,
    warn_of_identifiers,
    which_discrete,
)

__all__ = [
    "Codebook",
    "DiscreteMI",
    "Table",
    "discrete_columns",
    "discrete_mutual_information",
    "entropy",
    "factorize",
    "information_gain",
    "information_of_codes",
    "is_discrete",
    "plug_in_entropy",
    "real_numbers",
    "recur",
    "warn_of_identifiers",
    "which_discrete",
]
