"""skdim: representations by maximising mutual information, as scikit-learn estimators."""

from importlib import import_module
from typing import TYPE_CHECKING

from skdim._versions import __version__, show_versions
from skdim.deep_infomax import DeepInfoMaxTransformer
from skdim.information import (
    IndependenceResult,
    MIEstimator,
    MIResult,
    MRMRSelector,
    conditional_mutual_information,
    independence_test,
    interaction_information,
    lagged_mutual_information,
    mutual_info_features,
    mutual_information,
    mutual_information_matrix,
    time_blocks,
    transfer_entropy,
)
from skdim.multiview import MultiViewInfoMaxTransformer
from skdim.paper import PAPER
from skdim.predictive_coding import CPCTransformer
from skdim.training.checkpoint import Checkpoint

__all__ = [
    "PAPER",
    "CPCTransformer",
    "Checkpoint",
    "DeepInfoMaxTransformer",
    "IndependenceResult",
    "MIEstimator",
    "MIResult",
    "MRMRSelector",
    "MultiViewInfoMaxTransformer",
    "__version__",
    "conditional_mutual_information",
    "independence_test",
    "interaction_information",
    "lagged_mutual_information",
    "mutual_info_features",
    "mutual_information",
    "mutual_information_matrix",
    "show_versions",
    "time_blocks",
    "transfer_entropy",
]

#: Imported where they are first used, as scikit-learn does with its own.
_LATER = ("datasets", "evaluation", "export", "plotting", "synthetic")

if not TYPE_CHECKING:  # a type checker would take every name for a module

    def __getattr__(name: str) -> object:
        if name in _LATER:
            return import_module(f"skdim.{name}")
        raise AttributeError(f"module 'skdim' has no attribute {name!r}")
