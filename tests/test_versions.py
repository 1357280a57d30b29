"""The report names everything a result depends on, and the clash with scikit-dimension."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

import skdim
from skdim import _versions, show_versions


def test_report_is_complete(capsys):
    show_versions()
    report = capsys.readouterr().out
    for title in ("System:", "Python dependencies:", "torch:"):
        assert f"\n{title}\n" in report
    for name in ("scikit-learn", "torch", "skorch", "numpy", "scipy", "joblib"):
        assert f"{name}: {importlib.metadata.version(name)}\n" in report
    assert f"threads: {torch.get_num_threads()} " in report
    assert "devices: cpu" in report
    assert "Clash" not in report


def test_absent_dependency_reads_none(monkeypatch, capsys):
    monkeypatch.setattr(_versions, "_DEPENDENCIES", ("no-such-distribution",))
    show_versions()
    assert "no-such-distribution: None\n" in capsys.readouterr().out


def test_devices_are_named(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda i: f"card {i}")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    show_versions()
    assert "devices: cpu, cuda:0 (card 0), cuda:1 (card 1)\n" in capsys.readouterr().out


def test_clash_with_scikit_dimension_is_reported(monkeypatch, capsys):
    real = importlib.metadata.version
    monkeypatch.setattr(_versions, "version", lambda name: "0.3.4" if name == "scikit-dimension" else real(name))
    show_versions()
    report = capsys.readouterr().out
    assert "Clash: scikit-dimension 0.3.4 is installed" in report
    assert "Use separate environments" in report


ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(not (ROOT / "CITATION.cff").exists(), reason="the tests run without the repository around them")
def test_files_for_other_hosts_agree_with_the_package():
    for name in ("CITATION.cff", "docs/conda/recipe.yaml", "docs/_static/switcher.json"):
        assert _versions.__version__ in (ROOT / name).read_text(), name
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    recipe = (ROOT / "docs/conda/recipe.yaml").read_text()
    run = re.search(r"\n  run:\n((?:    - .*\n)+)", recipe)[1]
    of_conda = {line.removeprefix("    - ").replace(" ", "").replace("pytorch", "torch") for line in run.splitlines()}
    assert of_conda == {*needed, "python>=3.11"}


def test_submodules_are_imported_where_they_are_used():
    code = (
        "import sys, skdim; assert 'skdim.plotting' not in sys.modules; "
        "skdim.plotting.NeighborsDisplay, skdim.datasets.load_images, skdim.evaluation.linear_probe; "
        "skdim.export.to_onnx, skdim.synthetic.BEYOND_NORMAL"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="module 'skdim' has no attribute 'DeepInfomax'"):
        _ = skdim.DeepInfomax
