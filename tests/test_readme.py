"""README's code runs as written, block after block, in an empty folder."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.skipif(not README.exists(), reason="the tests run without the repository around them")
def test_readme_runs(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 5
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "readme"}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert float(re.search(r"accuracy on new scans: ([\d.]+)", printed)[1]) > 0.8
    assert float(re.search(r"with 100 labels: ([\d.]+)", printed)[1]) > 0.6
    assert (tmp_path / "digits.joblib").exists()
