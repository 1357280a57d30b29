"""What every test shares: reproducible examples, no window, one thread, and no accelerator where there is none."""

import gc
import os
import sys
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # else each run starts processes that compile nothing

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # for its package ``tasks``

import pytest
import torch
from hypothesis import settings
from sklearn.utils import check_random_state

settings.register_profile("reproducible", derandomize=True, deadline=None, database=None)
settings.load_profile("reproducible")

# On networks this small a second thread only waits for the first, and for whatever else the machine runs.
torch.set_num_threads(1)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Seed what estimators without ``random_state`` and modules built by hand draw from: no test passes or fails by luck.

    No test asks for this seed, so that two draws that a test wants apart are never the same.
    """
    check_random_state(None).seed(987)
    torch.manual_seed(987)


def pytest_collection_finish():
    """Leave what lives to the end, as thousands of tests do, out of every search for garbage."""
    gc.freeze()


def pytest_collection_modifyitems(items):
    """Skip the tests marked ``gpu`` on a machine without a CUDA device."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
