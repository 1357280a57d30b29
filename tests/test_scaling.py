"""The page on large data, many cores and many machines: its listings run, and give what they say.

Its script is run in one process and in two by training/test_distributed.py.
"""

import functools
from pathlib import Path

import numpy as np
import pytest
from code_blocks import blocks
from helpers import LABELS, images
from sklearn.base import clone

import skdim
from skdim import DeepInfoMaxTransformer
from skdim.nn.encoders import Conv

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the tests run without the repository around them")


# A dashboard of somebody else's cluster on this machine is no matter.
@pytest.mark.filterwarnings("ignore:Port .* is already in use")
def test_the_listings_run(tmp_path, monkeypatch):
    import zarr

    monkeypatch.chdir(tmp_path)
    zarr.create_array("images.zarr", data=images(300), chunks=(70, 8, 8))
    np.save("images.npy", images(300))
    # One epoch of a small network in the default's place.
    small = functools.partial(DeepInfoMaxTransformer, 8, encoder=Conv(channels=(8, 16, 16)), max_iter=1)
    monkeypatch.setattr(skdim, "DeepInfoMaxTransformer", small)
    names = {}
    labelled = names["X_labelled"], names["y_labelled"] = images(200), LABELS[:200]
    try:
        for block in (block for block in blocks(PAGE) if not block.startswith("# train.py")):
            exec(compile(block, str(PAGE), "exec"), names)
        alone = clone(names["search"]).fit(*labelled)
    finally:
        if "client" in names:
            names["client"].close()

    assert (np.load("features.npy") == small(random_state=0).fit(images(300)).transform(images(300))).all()
    features = names["dim"].transform(images(300))  # partial_fit has gone on with it since
    np.testing.assert_allclose(zarr.open_array("features.zarr")[:], features, rtol=0, atol=1e-6)
    on_cluster = names["search"]
    for split in range(3):
        name = f"split{split}_test_score"
        assert (on_cluster.cv_results_[name] == alone.cv_results_[name]).all()
    # The same bits: one thread there and here.
    assert (on_cluster.predict_proba(images(50)) == alone.predict_proba(images(50))).all()
