"""What features are worth: probes, usable information, dependence, and the geometry of the map and of the space.

Every function takes any features (n, d), this package's or others'. What is more than a number or an array comes as an object
with arrays, a repr of one line, and ``to_frame``, which needs pandas. Information is in nats.
"""

from skdim.evaluation._dependency import DependencyResult, neural_dependency
from skdim.evaluation._geometry import alignment, effective_rank, uniformity
from skdim.evaluation._jacobian import ConditionResult, condition_number
from skdim.evaluation._ladder import LadderResult, probe_ladder
from skdim.evaluation._probes import ProbeResult, linear_probe
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
