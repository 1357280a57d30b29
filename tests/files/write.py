"""Write small fitted estimators and what they give on new rows, into the folder of this state version.

    python tests/files/write.py

A file that is there already stays as it is: each is one of its day, which every later version must read. tests/test_files.py
reads them all.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED

import joblib
import numpy as np
import skops.io
import torch
from sklearn.datasets import load_digits

from skdim import CPCTransformer, DeepInfoMaxTransformer, MIEstimator, MRMRSelector, MultiViewInfoMaxTransformer
from skdim.bounds import Alpha
from skdim.nn.critics import Concat, Separable
from skdim.nn.encoders import MLP, Conv, Conv1d
from skdim.training.state import STATE_VERSION

FILES = Path(__file__).parent
N_NEW = 40  # rows that an estimator has not learned from

TRAINED = {"max_iter": 2, "batch_size": 64, "device": "cpu", "random_state": 0}
MEASURED = {"device": "cpu", "random_state": 0}
NETWORK = {"hidden_layer_sizes": (8,), "n_refits": 0, "max_iter": 10, "test_fraction": 0.5, **MEASURED}


def data() -> dict[str, Any]:
    """Return arrays of 520 rows."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(520, 2)) @ rng.normal(size=(2, 6)) + 0.3 * rng.normal(size=(520, 6))
    lacking = table.copy()
    lacking[::5, :3] = np.nan
    labels = np.where(table[:, 0] > 0, "up", "down")
    return {
        "images": load_digits().images[:520],
        "table": table,
        "lacking": lacking,
        "waves": np.cumsum(rng.normal(size=(520, 20)), axis=1),
        "x": table[:, :2],
        "column": table[:, :1],
        "y": table[:, 2:3],
        "z": table[:, 3:4] + rng.normal(size=(520, 1)),
        "labels": labels,
        "signs": np.where(table[:, 1] > 0, "right", "left"),
    }


#: An estimator, and the data that it takes.
CASES: dict[str, tuple[Any, ...]] = {
    "images": (DeepInfoMaxTransformer(8, encoder=Conv(channels=(4, 8, 8)), **TRAINED), "images"),
    "images_configured": (
        DeepInfoMaxTransformer(
            4,
            encoder=Conv(channels=(4, 8, 8)),
            estimator=Alpha(0.5),
            critic=("inner", Separable(width=8)),
            warm_start=True,
            **TRAINED,
        ),
        "images",
    ),
    "images_embedded": (
        DeepInfoMaxTransformer(
            4,
            augment=None,
            global_weight=1.0,
            encoder=Conv(channels=(2, 3), kernel_size=5, hidden_layer_sizes=(8,), top=False),
            critic=(Concat((4,)), Separable(8, (8,), temperature=None, normalize=True)),
            warm_start=True,
            **TRAINED,
        ),
        "images",
    ),
    "sequences": (DeepInfoMaxTransformer(4, encoder=Conv1d(channels=(4, 8, 8)), **TRAINED), "waves"),
    "table": (DeepInfoMaxTransformer(4, encoder="mlp", hidden_layer_sizes=(8, 8), **TRAINED), "table"),
    "views": (MultiViewInfoMaxTransformer(4, hidden_layer_sizes=(8,), encoder="mlp", **TRAINED), "table"),
    "views_of_columns": (
        MultiViewInfoMaxTransformer(
            4, views=[("a", [0, 1, 2]), ("b", slice(3, 6))], hidden_layer_sizes=(8,), encoder="mlp", **TRAINED
        ),
        "lacking",
    ),
    "predictive_coding": (CPCTransformer(4, **TRAINED), "waves"),
    "predictive_coding_patches": (CPCTransformer(4, patch_size=4, encoder=MLP((8,)), **TRAINED), "images"),
    "information": (MIEstimator(**{**MEASURED, "max_iter": 2, "n_refits": 0, "hidden_layer_sizes": (8,)}), "x", "y"),
    "information_infonce": (MIEstimator(estimator="infonce", **NETWORK), "x", "y"),
    "information_ba": (MIEstimator(estimator="ba", **NETWORK), "x", "y"),
    "information_gaussian": (MIEstimator(estimator="gaussian", **MEASURED), "x", "y"),
    "information_ksg": (MIEstimator(estimator="ksg", **MEASURED), "x", "y"),
    "information_labels": (MIEstimator(**NETWORK), "x", "labels"),
    "information_counts": (MIEstimator(**MEASURED), "signs", "labels"),
    "information_given": (MIEstimator(estimator="gaussian", **MEASURED), "column", "y", "z"),
    "information_given_labels": (MIEstimator(estimator="gaussian", **MEASURED), "x", "y", "labels"),
    "selection": (MRMRSelector(2), "table", "labels"),
}


def given(names: tuple[str, ...], rows: slice) -> list[Any]:
    """Return some rows of the data, X as a matrix."""
    parts = [data()[name][rows] for name in names]
    return [parts[0].reshape(len(parts[0]), -1) if parts[0].ndim == 1 else parts[0], *parts[1:]]


def outputs(fitted: Any, new: list[Any]) -> dict[str, Any]:
    """Return all that an estimator says, as arrays."""
    if isinstance(fitted, MIEstimator):
        methods = {name: getattr(fitted, name)(*new) for name in ("pointwise", "score")}
        said = {**methods, "estimate": fitted.estimate(*new).value, **fitted.diagnostics_}
        said |= {name: getattr(fitted, name) for name in ("mi_", "mi_interval_", "cap_", "n_iter_")}
    elif isinstance(fitted, MRMRSelector):
        said = {"transform": fitted.transform(new[0]), "scores": fitted.scores_, "relevance": fitted.relevance_}
    else:
        said = {"transform": fitted.transform(new[0]), "score": fitted.score(new[0]), **fitted.evaluate(new[0])}
        said |= {"loss_curve_": fitted.loss_curve_, "n_iter_": fitted.n_iter_, "lower_bound_": fitted.lower_bound_}
        if fitted.warm_start:  # the optimizer's state is saved too
            said["continued"] = fitted.partial_fit(new[0]).transform(new[0])
    return {name: np.asarray(value) for name, value in said.items()}


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # networks are small, and soon stopped
    folder = FILES / f"v{STATE_VERSION}"
    folder.mkdir(exist_ok=True)
    for name, (estimator, *names) in CASES.items():
        if (folder / f"{name}.npz").exists():
            continue
        fitted = estimator.fit(*given(tuple(names), slice(N_NEW, None)))
        joblib.dump(fitted, folder / f"{name}.joblib", compress=9)
        if name == "table":
            skops.io.dump(fitted, folder / f"{name}.skops", compression=ZIP_DEFLATED)
        new = given(tuple(names), slice(N_NEW))
        inputs = {f"input {k}": part for k, part in enumerate(new)}
        np.savez_compressed(folder / f"{name}.npz", **inputs, **outputs(fitted, new))


if __name__ == "__main__":
    main()
