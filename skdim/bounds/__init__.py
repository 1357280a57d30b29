r"""Bounds on mutual information: functions of a score tensor, with values in nats.

``scores[i, j, ...]`` is the critic f(x_i, y_j) of a batch of K joint samples (x_i, y_i): the diagonal holds joint samples,
the rest the product of the marginals. Trailing axes (the locations of a feature map) hold further pairs of the same
samples. Every function gives the mean over them of the bound at each; the pooled ones compare all with all. Where the
conditional is known, log p(y_j | x_i) takes the critic's place.

A :class:`Bound` adds to such a function what a reader must know of it: its ``kind``, its ``cap``, its ``optimal_critic``
and what it ``needs``. Its :class:`Criterion` trains a critic. Losses of deep metric learning are reported by InfoNCE.
"""

from collections.abc import Mapping

from skdim.bounds._base import Bound, Criterion
from skdim.bounds._conditional import CLUB, TNCE, L1Out, barber_agakov, club, gaussian, l1out, rate, tnce
from skdim.bounds._exponential import DV, FLO, NWJ, TUBA, UBA, dv, flo, nwj, tuba, uba
from skdim.bounds._jensen_shannon import DIME, JSD, SMILE, dime, jsd, smile
from skdim.bounds._metric import METRIC_LOSSES, NPair, NPairOVO, Triplet, npair, npair_ovo, triplet
from skdim.bounds._pooled import PooledDV, PooledInfoNCE, pooled_dv, pooled_infonce
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
    "Criterion",
    "InfoNCE",
    "L1Out",
    "NPair",
    "NPairOVO",
    "PooledDV",
    "PooledInfoNCE",
    "Triplet",
    "alpha",
    "barber_agakov",
    "bound_for_codes",
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
    "pooled_dv",
    "pooled_infonce",
    "rate",
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


def bound_for_codes(estimator: str | Bound, names: Mapping[str, type[Bound]] = BOUNDS, of_maps: bool = False) -> Bound:
    """Return the bound that the parameter ``estimator`` of a transformer stands for.

    Parameters
    ----------
    estimator : str or Bound
        A name, or a configured bound.
    names : mapping of str to type, default=BOUNDS
        The bounds by name.
    of_maps : bool, default=False
        Whether there are scores of several locations of a map.

    Returns
    -------
    Bound

    Raises
    ------
    ValueError
        If the bound cannot train codes: it needs a known conditional, learns a second function, bounds from above, or pools
        locations where there are none.

    Examples
    --------
    >>> from skdim.bounds import bound_for_codes
    >>> bound_for_codes("alpha")
    Alpha(alpha=0.01)
    """
    bound = names[estimator]() if isinstance(estimator, str) else estimator
    bound.check()
    obstacle = ""
    if bound.needs == "conditional":
        obstacle = "it takes the known log p(y | x) in place of a critic"
    elif bound.auxiliary:
        obstacle = f"it learns a second function, {bound.auxiliary}"
    elif bound.kind == "upper":
        obstacle = "an upper bound cannot be maximised"
    elif bound.pools and not of_maps:
        obstacle = "it pools the locations of feature maps, which only Deep InfoMax scores"
    if obstacle:
        raise ValueError(
            f"estimator={estimator!r} cannot train codes: {obstacle}. Allowed values are: {sorted(names)}, or a configured "
            "Bound of a critic's scores alone."
        )
    return bound
