"""Whether two sides are independent, given a third or not: a test of level alpha for any alpha."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from skdim._sklearn import Interval, StrOptions, draw_seed, validate_params
from skdim.information.permutations import IndependenceResult, conditional_test, permutation_test
from skdim.information.rows import complete_rows
from skdim.information.sides import OR_BY_PARAMETER, side_values
from skdim.inputs.tables import check_lengths

#: Fewest blocks that are permuted: three have only six orders.
FEWEST_BLOCKS = 4
_DISCRETE = [StrOptions({"auto"}), "boolean", "array-like"]


@validate_params(
    {
        "X": ["array-like"],
        "y": ["array-like"],
        "Z": ["array-like", None],
        "discrete_X": _DISCRETE,
        "discrete_y": _DISCRETE,
        "discrete_Z": _DISCRETE,
        "block_size": [Interval(Integral, 1, None, closed="left")],
        "n_permutations": [Interval(Integral, 1, None, closed="left")],
        "missing": [StrOptions({"raise", "drop"})],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def independence_test(
    X: Any,
    y: Any,
    Z: Any = None,
    *,
    discrete_X: Any = "auto",
    discrete_y: Any = "auto",
    discrete_Z: Any = "auto",
    block_size: int = 1,
    n_permutations: int = 499,
    missing: str = "raise",
    random_state: Any = None,
) -> IndependenceResult:
    r"""Test whether X and y are independent, or independent given Z.

    If X and y have only discrete columns, whose combinations recur, the statistic is their plug-in mutual information, given
    Z or not, in nats: :math:`G / (2n)`. It is compared with random tables of the same margins [1]_. Else each side gives
    centred features :math:`\varphi, \psi`: of labels their indicators, or 64 random sums of more; of one column its normal
    scores and the cosines :math:`\cos(\pi j u)` of its ranks u, j = 2 to 12; of several columns the 16 leading axes of Gaussian
    kernels on normal scores, by Nyström's method from 128 rows, at bandwidths of 2 and 1/2 of the median distance. With weights
    v and w,

    .. math:: T_{vw} = \sum_{j,k} v_j w_k \Bigl( \sum_i \varphi_j(x_i) \, \psi_k(y_i) \Bigr)^2

    is taken at each scale [3]_: :math:`v_j = j^{-4}` and :math:`j^{-1/2}` for a column, each bandwidth alone for several. The
    harmonic mean of the tails at all scales, by gamma laws of the moments under permutation, is compared with that of permuted
    rows.

    If a side has several columns, a screen adds the most dependent pair of columns, by G of ranks in at most six bins. If it
    takes more than 5e9 products to permute, the chi-square tail of that pair times the number of pairs replaces it, and the
    p-value is twice the smaller of both. Every row takes part in every permutation, for any n.

    **Validity.** Without Z and for independent rows, the level is exact for any n, up to the tail of a screen that is not
    permuted. Ties are broken at random, so the p-value is uniform if no permutation changes anything; it is 1 if a side is
    constant and Z is not given. If Z has only discrete columns, rows are permuted within its strata, which is exact too; rows
    that are alone in their stratum say nothing. For any other Z, columns, then their features, become residuals of ridge
    regressions on smooth functions of Z and on its jumps, which trees find, and the products of residuals change sign at
    random [2]_. The level is then right for large n only, as far as the
    regressions learn what Z says of x and of y; no test is valid for all Z [2]_. In simulations the level 0.05 was 0.03 to 0.08
    with 300 to 5,000 rows and one or two columns of Z, and up to 0.10 with 300 or 1,000 rows where five columns act through
    wiggly functions. Products with functions of Z show a dependence that changes with Z. There is no screen given Z.

    Parameters
    ----------
    X, y : array-like of shape (n_samples,) or (n_samples, n_columns)
        Joint samples, at least two. Continuous columns become ranks, so monotone maps of a column change nothing.
    Z : array-like of shape (n_samples,) or (n_samples, n_columns), default=None
        What is given.
    discrete_X, discrete_y, discrete_Z : "auto", bool or array-like, default="auto"
        Which columns are discrete, as in :func:`~skdim.information.discrete.discrete_columns`.
    block_size : int, default=1
        Above 1, rows are in the order of time, and dependent: blocks of this many rows of y are permuted, or change sign given
        Z. At least four blocks are needed. The level is near the nominal one if a block is several times as long as the series
        remember; four times for autoregressive ones. The replaced screen takes no part.
    n_permutations : int, default=499
        The smallest p-value is 1 / (n_permutations + 1).
    missing : {"raise", "drop"}, default="raise"
        Whether a missing value is an error, or its row is dropped. Rows of a series are not: later ones would be earlier.
    random_state : int, RandomState instance or None, default=None
        Draws permutations, landmarks, and the order of ties.

    Returns
    -------
    IndependenceResult
        ``statistic`` and ``p_value``.

    Raises
    ------
    ValueError, TypeError
        If a parameter is invalid, a side has a missing value or a wrong shape, the numbers of rows differ, there are fewer than
        four blocks, or fewer than four rows for each column of a Z that is regressed on.

    References
    ----------
    .. [1] Patefield, "Algorithm AS 159: an efficient method of generating random R x C tables", Applied Statistics 1981.
    .. [2] Shah & Peters, "The hardness of conditional independence testing and the generalised covariance measure", Annals of
       Statistics 2020.
    .. [3] Gretton et al., "A kernel statistical test of independence", NeurIPS 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim import independence_test
    >>> x, noise = np.random.default_rng(0).normal(size=(2, 500))
    >>> y = x**2 + noise  # uncorrelated with x
    >>> independence_test(x, y, random_state=0).p_value
    0.002
    >>> independence_test(x, y, Z=x**2, random_state=0).p_value > 0.05
    True
    """
    given = {"X": (X, discrete_X), "y": (y, discrete_y)} | ({} if Z is None else {"Z": (Z, discrete_Z)})
    if Z is None and not (isinstance(discrete_Z, str) and discrete_Z == "auto"):
        raise ValueError(f"discrete_Z={discrete_Z!r} has no effect without Z.")
    if missing == "drop":
        if block_size > 1:
            raise ValueError("missing='drop' would break the order of a series: give block_size=1, or fill the values.")
        complete, _ = complete_rows(**{name: values for name, (values, _) in given.items()})
        given = {name: (values, given[name][1]) for name, values in zip(given, complete, strict=True)}
    sides = [
        side_values(values, discrete, name, OR_BY_PARAMETER, name == "Z" and block_size == 1)
        for name, (values, discrete) in given.items()
    ]
    check_lengths(**dict(zip(given, sides, strict=True)))
    n_blocks = -(-len(sides[0]) // block_size)
    if block_size > 1 and n_blocks < FEWEST_BLOCKS:
        raise ValueError(
            f"block_size={block_size} cuts {len(sides[0])} rows into {n_blocks} block(s), and at least {FEWEST_BLOCKS} are "
            "needed."
        )
    rng = np.random.default_rng(draw_seed(random_state))
    groups = None if block_size == 1 else np.arange(len(sides[0])) // block_size
    if Z is None:
        return permutation_test(sides[0], sides[1], rng, n_permutations, groups)
    return conditional_test(sides[0], sides[1], sides[2], rng, n_permutations, groups)
