r"""Bounds on mutual information: functions of a score tensor, with values in nats.

``scores[i, j, ...]`` is the critic f(x_i, y_j) of a batch of K joint samples (x_i, y_i): the diagonal holds joint samples,
the rest the product of the marginals. Trailing axes (the locations of a feature map) hold further pairs of the same
samples; every function gives the mean over them of the bound at each. Where the conditional is known, log p(y_j | x_i) takes
the critic's place.

A :class:`Bound` joins such a function to what a reader must know of it: its ``kind``, its ``cap``, its ``optimal_critic``,
what it ``needs``, and the loss whose gradient trains it. Losses of deep metric learning join them: they are reported by
InfoNCE.
"""

from skdim.bounds._base import Bound
from skdim.bounds._conditional import CLUB, TNCE, L1Out, club, gaussian, l1out, tnce
from skdim.bounds._exponential import DV, FLO, NWJ, TUBA, UBA, dv, flo, nwj, tuba, uba
from skdim.bounds._jensen_shannon import DIME, JSD, SMILE, dime, jsd, smile
from skdim.bounds._metric import METRIC_LOSSES, NPair, NPairOVO, Triplet, npair, npair_ovo, triplet
from skdim.bounds._softmax import MLCPC, Alpha, InfoNCE, alpha, infonce, mlcpc

__all__ = [
    "BOUNDS",
    "CLUB",
    "DIME",
    "DV",
    "FLO",
    "JSD",
    "METRIC_LOSSES",
    "MI_BOUNDS",
    "MLCPC",
    "NWJ",
    "SMILE",
    "TNCE",
    "TUBA",
    "UBA",
    "Alpha",
    "Bound",
    "InfoNCE",
    "L1Out",
    "NPair",
    "NPairOVO",
    "Triplet",
    "alpha",
    "club",
    "dime",
    "dv",
    "flo",
    "gaussian",
    "infonce",
    "jsd",
    "l1out",
    "mlcpc",
    "npair",
    "npair_ovo",
    "nwj",
    "smile",
    "tnce",
    "triplet",
    "tuba",
    "uba",
]

#: MI estimators that train representations, by name.
BOUNDS: dict[str, type[Bound]] = {bound.name: bound for bound in (InfoNCE, JSD, DV, NWJ, Alpha)}

#: All MI estimators that are functions of a score tensor, by name.
MI_BOUNDS: dict[str, type[Bound]] = BOUNDS | {
    bound.name: bound for bound in (UBA, TUBA, MLCPC, SMILE, DIME, FLO, TNCE, L1Out, CLUB)
}
