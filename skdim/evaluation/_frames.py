"""Results as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def frame(columns: Mapping[str, Any]) -> Any:
    """Return a pandas DataFrame of these columns."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "to_frame needs pandas, which is not installed: pip install 'scikit-deepinfomax[data]'."
        ) from error
    return pd.DataFrame(columns)
