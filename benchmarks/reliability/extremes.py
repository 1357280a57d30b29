"""What every class and the main functions give for extreme inputs: the value at scale 1, a warning, or an error.

    python benchmarks/reliability/extremes.py

Each row of results/extremes.csv is a subject and an input. "outcome" is "right" (within 1e-3 of the value at scale 1), "other"
(another value without a word), "warning" or "error". The rows of the subject "codes" give the share of a column's variance that
codes keep if one of 2,000 values is an outlier.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LinearRegression

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import record

from skdim import (
    CPCTransformer,
    DeepInfoMaxTransformer,
    MIEstimator,
    MultiViewInfoMaxTransformer,
    conditional_mutual_information,
    independence_test,
    mutual_info_features,
)
from skdim.evaluation import alignment, effective_rank, linear_probe, neural_dependency, uniformity, v_information
from skdim.information.discrete import discrete_mutual_information
from skdim.nn.causal import StridedConv

N, TOLERANCE = 400, 1e-3
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(N, 4)) + 0.8 * RNG.normal(size=(N, 1))
TARGET = TABLE[:, 0] + 0.5 * RNG.normal(size=N)
LABELS = (TARGET > 0).astype(int)

Rows = Any
TRAINING = {"n_components": 4, "max_iter": 2, "batch_size": 64, "random_state": 0}


def _mi(**params: Any) -> Callable[[Rows], float]:
    return lambda X: MIEstimator(max_iter=3, random_state=0, **params).fit(X, TARGET).mi_


SUBJECTS: dict[str, Callable[[Rows], float]] = {
    "DeepInfoMaxTransformer": lambda X: DeepInfoMaxTransformer(**TRAINING).fit(X).score(X),
    "MultiViewInfoMaxTransformer": lambda X: MultiViewInfoMaxTransformer(**TRAINING).fit(X).score(X),
    "CPCTransformer": lambda X: (
        CPCTransformer(encoder=StridedConv(width=8, stride=1), n_steps=1, **TRAINING).fit(X).score(X)
    ),
    "MIEstimator": _mi(),
    "MIEstimator(marginals='standardize')": _mi(marginals="standardize"),
    "MIEstimator(marginals=None)": _mi(marginals=None),
    "MIEstimator(estimator='infonce')": _mi(estimator="infonce"),
    "MIEstimator(estimator='ksg')": _mi(estimator="ksg"),
    "MIEstimator(estimator='gaussian', marginals='standardize')": _mi(estimator="gaussian", marginals="standardize"),
    "conditional_mutual_information": lambda X: (
        conditional_mutual_information(TARGET, LABELS, X, estimator="gaussian", random_state=0).value
    ),
    "mutual_info_features": lambda X: float(mutual_info_features(X, TARGET).sum()),
    "independence_test": lambda X: independence_test(X, TARGET, random_state=0).statistic,
    "discrete_mutual_information": lambda X: discrete_mutual_information(_third(X), LABELS).plug_in,
    "linear_probe": lambda X: float(linear_probe(X, LABELS, random_state=0).mean["log_loss"][0]),
    "v_information": lambda X: v_information(X, LABELS, random_state=0).value,
    "alignment": lambda X: alignment(X, TABLE[:, ::-1]),
    "uniformity": uniformity,
    "effective_rank": effective_rank,
    "neural_dependency": lambda X: neural_dependency(X, n_steps=0, random_state=0).value,
}


def _third(X: Rows) -> Any:
    """Return the column that the inputs change."""
    return X.iloc[:, 2] if hasattr(X, "iloc") else np.asarray(X)[:, 2]


def _with(value: Any, dtype: Any = np.float64) -> Rows:
    X = TABLE.astype(dtype)
    X[7, 2] = value
    return X


def _frame(value: Any) -> pd.DataFrame:
    frame = pd.DataFrame(TABLE, columns=list("abcd")).astype(object)
    frame.iloc[7, 2] = value
    return frame


INPUTS: dict[str, Callable[[], Rows]] = {
    "x": lambda: TABLE,
    **{
        f"{scale:.0e} x": lambda scale=scale: TABLE * scale
        for scale in (1e-300, 1e-170, 1e-30, 1e30, 1e153, 1e200, 1e300)
    },
    **{f"float32, {scale:.0e} x": lambda scale=scale: (TABLE * scale).astype(np.float32) for scale in (1e-37, 1, 1e37)},
    **{f"one value {value:.0e}": lambda value=value: _with(value) for value in (1e3, 1e5, 1e10, 1e160, 1e300)},
    "one NaN": lambda: _with(np.nan),
    "one inf": lambda: _with(np.inf),
    "one None": lambda: _with(None, object),
    "one pd.NA": lambda: _frame(pd.NA),
    "one string": lambda: _frame("word"),
    "one 10**400": lambda: _with(10**400, object),
    "objects": lambda: TABLE.astype(object),
    "Decimal": lambda: np.array([[Decimal(value) for value in row] for row in TABLE.tolist()], dtype=object),
    "numbers as strings": lambda: TABLE.astype(str).astype(object),
    "a constant column": lambda: np.where(np.arange(4) == 2, 7.0, TABLE),
}


def outcome(subject: str, given: str, plain: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what a subject gives for an input; ``plain`` is what it gives at scale 1, with a warning of its own perhaps."""
    reference = None if plain is None else float(plain["value"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value: float | None = float(SUBJECTS[subject](INPUTS[given]()))
            message, kind = "", "other"
        except (ValueError, TypeError) as error:
            value, message, kind = None, f"{type(error).__name__}: {error}", "error"
    if value is not None:
        if reference is None or abs(value - reference) <= TOLERANCE * max(1, abs(reference)):
            kind = "right"
        told = [f"{entry.category.__name__}: {entry.message}" for entry in caught]
        known = "" if plain is None else plain["message"].partition(":")[0]
        message = next((text for text in told if text.partition(":")[0] != known), "")
        kind = "warning" if message and plain is not None else kind
    shown = "" if value is None else f"{value:.4f}"
    return {
        "subject": subject,
        "input": given,
        "outcome": kind,
        "value": shown,
        "message": " ".join(message.split())[:240],
    }


def kept_by_codes(outlier: float | None) -> float:
    """Return the share of a column's variance that linear regressions find in the codes of a view with an outlier."""
    n, rng = 2000, np.random.default_rng(0)
    shared = rng.normal(size=n)
    views = [np.column_stack([shared + 0.1 * rng.normal(size=n), rng.normal(size=(n, 3))]) for _ in range(2)]
    X = np.hstack(views)
    if outlier is not None:
        X[7, 0] = outlier
    groups = [("a", slice(0, 4)), ("b", slice(4, 8))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = MultiViewInfoMaxTransformer(4, views=groups, max_iter=20, output="a", random_state=0).fit(X)
    codes, others = fitted.transform(X), np.arange(n) != 7
    codes, shared = codes[others], shared[others]
    return float(LinearRegression().fit(codes[:1000], shared[:1000]).score(codes[1000:], shared[1000:]))


def main() -> None:
    torch.set_num_threads(1)
    for subject in SUBJECTS:
        plain = outcome(subject, "x")
        record("extremes", plain)
        for given in list(INPUTS)[1:]:
            record("extremes", outcome(subject, given, plain))
    for outlier in (None, 1e2, 1e3, 1e4, 1e5, 1e6, 1e10):
        kept = f"{kept_by_codes(outlier):.3f}"
        given = "x" if outlier is None else f"one of 2,000 is {outlier:.0e}"
        record("extremes", {"subject": "codes", "input": given, "outcome": "", "value": kept, "message": ""})


if __name__ == "__main__":
    main()
