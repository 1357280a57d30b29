"""README's install line; ``make readme`` runs it and then the code, block after block, where nothing else is installed."""

from pathlib import Path

import pytest
from code_blocks import blocks

README = Path(__file__).parents[1] / "README.md"
pytestmark = pytest.mark.skipif(not README.exists(), reason="the tests run without the repository around them")


def test_the_first_shell_block_of_readme_installs():
    commands = blocks(README, "bash")[0].splitlines()
    assert commands
    assert all(command.startswith("pip install ") for command in commands)
