"""Judge any features (n, d): probes, usable information, dependence of columns, geometry, reconstruction, and what views keep.

Information is in nats. Results are numbers, arrays, or objects with a repr of one line and ``to_frame``, which needs pandas.
All functions raise ValueError or TypeError if a parameter is invalid or features are not finite arrays (n, d), and
RuntimeError if they are to train a network in one of several processes that torchrun started.
"""

from skdim.evaluation._dependency import DependencyResult, neural_dependency
from skdim.evaluation._geometry import ConditionResult, alignment, condition_number, effective_rank, uniformity
from skdim.evaluation._probes import LadderResult, ProbeResult, linear_probe, probe_ladder
from skdim.evaluation._reconstruction import ReconstructionResult, reconstruction_similarity
from skdim.evaluation._v_information import VInformationResult, pointwise_v_information, v_information
from skdim.evaluation._views import ViewResult, ViewScorer, view_score

__all__ = [
    "ConditionResult",
    "DependencyResult",
    "LadderResult",
    "ProbeResult",
    "ReconstructionResult",
    "VInformationResult",
    "ViewResult",
    "ViewScorer",
    "alignment",
    "condition_number",
    "effective_rank",
    "linear_probe",
    "neural_dependency",
    "pointwise_v_information",
    "probe_ladder",
    "reconstruction_similarity",
    "uniformity",
    "v_information",
    "view_score",
]
