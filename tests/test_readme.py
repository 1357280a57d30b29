"""README's code runs as written, block after block; ``make readme`` runs it where only README's install line was run."""

import re
from pathlib import Path

import pytest
from code_blocks import blocks, run

README = Path(__file__).parents[1] / "README.md"
pytestmark = pytest.mark.skipif(not README.exists(), reason="the tests run without the repository around them")


def test_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(README) >= 4
    printed = capsys.readouterr().out
    assert float(re.search(r"accuracy on new scans: ([\d.]+)", printed)[1]) > 0.8
    assert float(re.search(r"with 100 labels: ([\d.]+)", printed)[1]) > 0.6
    assert (tmp_path / "digits.joblib").exists()


def test_the_first_shell_block_of_readme_installs():
    commands = blocks(README, "bash")[0].splitlines()
    assert commands
    assert all(command.startswith("pip install ") for command in commands)
