"""Judge features: probes, usable information, dependence of columns, and geometry of the map and of the space.

Every function takes any features (n, d), not only those of this package. Results that are more than a number or an array are
objects with arrays, a repr of one line, and ``to_frame``, which needs pandas. Information is in nats.
"""

from skdim.evaluation._dependency import DependencyResult, neural_dependency
from skdim.evaluation._geometry import ConditionResult, alignment, condition_number, effective_rank, uniformity
from skdim.evaluation._probes import LadderResult, ProbeResult, linear_probe, probe_ladder
from skdim.evaluation._reconstruction import ReconstructionResult, reconstruction_similarity
from skdim.evaluation._v_information import VInformationResult, pointwise_v_information, v_information

__all__ = [
    "ConditionResult",
    "DependencyResult",
    "LadderResult",
    "ProbeResult",
    "ReconstructionResult",
    "VInformationResult",
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
]
