"""What features are worth: probes, usable information, dependence, and the geometry of the map and of the space.

Every function takes any features (n, d), this package's or others', and returns an object with arrays, a repr of one line, and
``to_frame``. Information is in nats.
"""

from skdim.evaluation._jacobian import ConditionResult, condition_number
from skdim.evaluation._probes import ProbeResult, linear_probe
from skdim.evaluation._v_information import VInformationResult, pointwise_v_information, v_information

__all__ = [
    "ConditionResult",
    "ProbeResult",
    "VInformationResult",
    "condition_number",
    "linear_probe",
    "pointwise_v_information",
    "v_information",
]
