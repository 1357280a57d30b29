"""skdim: representations by maximising mutual information, as scikit-learn estimators."""

from skdim._versions import show_versions
from skdim.deep_infomax import PAPER, DeepInfoMaxTransformer

__version__ = "0.1.0"

__all__ = ["PAPER", "DeepInfoMaxTransformer", "__version__", "show_versions"]
