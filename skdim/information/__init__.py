"""Mutual information measured: MIEstimator, its results, and scores of features.

``estimator`` checks, prepares and reports. ``sides`` turns columns of any kind into numbers or labels. A model holds the
dependence of two sides; each kind of dependence is one class: a critic under a bound (``ratio``), a learned or known
conditional (``conditional``), a label (``labels``), and what needs no training (``closed_form``). ``measure`` takes the value
from held-out rows, with its interval (``intervals``) and ``diagnostics``. ``canonical`` holds the Gaussian part in closed form,
``discrete`` what is counted.
"""

from skdim.information.estimator import MIEstimator
from skdim.information.feature_scores import mutual_info_features
from skdim.information.function import mutual_information
from skdim.information.result import MIResult

__all__ = ["MIEstimator", "MIResult", "mutual_info_features", "mutual_information"]
