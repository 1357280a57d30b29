"""Which rows take part, and which of them depend on each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from skdim._sklearn import safe_indexing
from skdim.information.sides import OR_BY_PARAMETER
from skdim.inputs.tables import as_array, check_lengths, missing_cells, numbered

#: Fewest groups of rows: they are split, and their means give a standard error.
FEWEST_GROUPS = 8


def complete_rows(**sides: Any) -> tuple[list[Any], int]:
    """Return sides of the rows in which none has a missing value, and the number of rows dropped; None stays None."""
    given = {name: side if hasattr(side, "shape") or side is None else as_array(side) for name, side in sides.items()}
    absent = [missing_cells(side, name).any(1) for name, side in given.items() if side is not None]
    check_lengths(**dict(zip((name for name, side in given.items() if side is not None), absent, strict=True)))
    is_dropped = np.stack(absent).any(0)
    kept = np.flatnonzero(~is_dropped)
    return [None if side is None else safe_indexing(side, kept) for side in given.values()], int(is_dropped.sum())


def numbered_groups(groups: Any, n: int) -> npt.NDArray[np.intp] | None:
    """Return the number of each row's group, (n,), from 0 on in the order of the labels; None for None."""
    if groups is None:
        return None
    numbers = numbered(groups, "groups", OR_BY_PARAMETER)[1]
    check_lengths(X=n, groups=numbers)
    if numbers.max() + 1 < FEWEST_GROUPS:
        raise ValueError(f"groups has {numbers.max() + 1} label(s), and at least {FEWEST_GROUPS} groups are needed.")
    return numbers
