"""The tutorials: every block runs where only the extras that its page names can be imported, and prints what the page says."""

import importlib.metadata
import re
import sys
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest
from code_blocks import blocks, outputs, run

from skdim import DeepInfoMaxTransformer, MIEstimator, MRMRSelector
from skdim._versions import DOCUMENTATION

ROOT = Path(__file__).parents[1]
TUTORIALS = ROOT / "docs" / "tutorials"
PAGES = sorted({ROOT / "docs" / "start.md", *TUTORIALS.glob("*.md")} - {TUTORIALS / "index.md"})
pytestmark = pytest.mark.skipif(not TUTORIALS.exists(), reason="the tests run without the repository around them")

#: Lines of a block: a journey has fewer, imports included.
MOST_LINES = 20
#: How far a printed number may be from the page's: processors round differently, and training carries it on.
CLOSE = {"atol": 0.06, "rtol": 0.1}
NUMBER = r"-?\d+\.\d+"


def modules_of(extras):
    """Return the modules that the packages of some extras install."""
    optional = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    distributions = {re.split(r"[<>=\[;]", line)[0].lower() for extra in extras for line in optional[extra]}
    return {
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if distributions & {owner.lower() for owner in owners}
    }


class Without:
    """A finder that finds what another one does, but for some modules."""

    def __init__(self, finder, hidden):
        self.finder = finder
        self.hidden = hidden

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in self.hidden else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)


@pytest.fixture
def only_extras(monkeypatch):
    """Hide what the extras bring, but for those that are named."""

    def hide(named):
        users = {"plot", "progress", "skops", "images", "metrics", "data", "search", "onnx", "safetensors"}
        hidden = modules_of(users - set(named)) - modules_of(named)
        for name in [name for name in sys.modules if name.partition(".")[0] in hidden]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "meta_path", [Without(finder, hidden) for finder in sys.meta_path])

    return hide


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_runs_with_the_extras_that_it_names_and_prints_what_it_says(
    page, only_extras, tmp_path, monkeypatch
):
    extras = re.search(r"^Extras: (.*)\.$", page.read_text(), flags=re.MULTILINE)[1]
    only_extras(re.findall(r"`(\w+)`", extras))
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=UserWarning, module="optuna")
        printed = run(page)
    for said, text in zip(outputs(page), printed, strict=True):
        assert re.sub(NUMBER, "0", text) == re.sub(NUMBER, "0", said)
        np.testing.assert_allclose(*(np.array(re.findall(NUMBER, one), float) for one in (text, said)), **CLOSE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_journey_is_short(page):
    for block in blocks(page):
        assert block.count("\n") < MOST_LINES


def test_representations_link_to_the_reference_and_the_metadata_to_the_documentation():
    for cls in (DeepInfoMaxTransformer, MIEstimator, MRMRSelector):
        page = f"{DOCUMENTATION}/generated/skdim.{cls.__name__}.html"
        assert page in cls()._repr_html_()
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    assert urls["Documentation"] == DOCUMENTATION
