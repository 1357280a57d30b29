"""Dask: features of an array in blocks, and a search on a cluster of processes."""

import dask.array
import joblib
import numpy as np
import pytest
from dask.distributed import Client, LocalCluster
from helpers import LABELS, images, tiny
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline


@pytest.fixture(scope="module")
def client():
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def fitted():
    return tiny().fit(images())


def features(fitted, X):
    """Return the features of a Dask array of images, as the documentation has it."""
    width = len(fitted.get_feature_names_out())
    return X.map_blocks(
        fitted.transform,
        chunks=(X.chunks[0], (width,)),
        drop_axis=list(range(2, X.ndim)),
        meta=np.empty((0, width), np.float32),
    )


@pytest.mark.parametrize("flat", [False, True])
def test_transform_of_an_array_is_that_of_its_blocks(fitted, flat):
    X = images(300)
    X = X.reshape(300, -1) if flat else X
    Z = features(fitted, dask.array.from_array(X, chunks=(70, *X.shape[1:])))
    assert Z.shape == (300, 8)
    assert Z.dtype == np.float32
    assert Z.chunks == ((70, 70, 70, 70, 20), (8,))
    np.testing.assert_allclose(Z.compute(scheduler="sync"), fitted.transform(X), rtol=0, atol=1e-6)


def test_transform_on_a_cluster(client, fitted):
    X = images(300)
    Z = features(fitted, dask.array.from_array(X, chunks=(100, 8, 8))).compute()
    np.testing.assert_allclose(Z, fitted.transform(X), rtol=0, atol=1e-6)


def test_a_search_on_a_cluster_finds_what_one_process_finds(client):
    pipe = Pipeline([("dim", tiny(max_iter=1)), ("clf", LogisticRegression(max_iter=500))])
    grid = {"dim__estimator": ["infonce", "jsd"], "clf__C": [0.1, 1.0]}
    alone, on_cluster = (GridSearchCV(pipe, grid, cv=2) for _ in range(2))
    alone.fit(images(200), LABELS[:200])
    with joblib.parallel_config(backend="dask"):
        on_cluster.fit(images(200), LABELS[:200])
    for split in range(2):
        name = f"split{split}_test_score"
        assert (on_cluster.cv_results_[name] == alone.cv_results_[name]).all()
    assert on_cluster.best_params_ == alone.best_params_
    X = images(50, start=200)
    assert (on_cluster.predict_proba(X) == alone.predict_proba(X)).all()  # the same bits: one thread here and there
