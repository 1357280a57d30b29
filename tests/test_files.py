"""Files of earlier versions: each loads, and gives what it gave on the day it was written."""

import re

import joblib
import numpy as np
import pytest
import skops.io
from files.write import CASES, FILES, outputs

from skdim.training.state import STATE_VERSION

SAVED = sorted(path for folder in FILES.glob("v*") for path in folder.iterdir() if path.suffix != ".npz")
TRUSTED = ["skdim.deep_infomax.DeepInfoMaxTransformer"]
MOST_BYTES = 50_000


def test_this_version_has_all_files():
    assert {path.stem for path in SAVED if path.parent.name == f"v{STATE_VERSION}"} == CASES.keys()
    assert any(path.suffix == ".skops" for path in SAVED)


@pytest.mark.parametrize("path", SAVED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_of_yesterday_gives_what_it_gave(path):
    assert path.stat().st_size < MOST_BYTES
    fitted = skops.io.load(path, trusted=TRUSTED) if path.suffix == ".skops" else joblib.load(path)
    assert fitted.get_params(deep=False).keys() == type(fitted)().get_params(deep=False).keys()
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
        expected = dict(file)
    new = [expected.pop(name) for name in sorted(expected) if re.fullmatch(r"input \d", name)]
    found = outputs(fitted, new)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-4, err_msg=name)
