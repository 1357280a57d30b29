"""The code blocks of a Markdown page: find them, and run the Python blocks of a page in order, in an empty folder.

python tests/code_blocks.py README.md docs/guide/*.md    run the pages, each with its own names
python tests/code_blocks.py --install README.md          print the first bash block of a page
"""

import contextlib
import os
import re
import sys
import tempfile
from pathlib import Path


def blocks(page, language="python"):
    """Return the code blocks of ``language`` of a page, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def run(page):
    """Run the Python blocks of a page, each with the names of those before it; return how many there are."""
    found, names = blocks(page), {"__name__": page.stem}
    for block in found:
        exec(compile(block, str(page), "exec"), names)
    return len(found)


def main(arguments):
    if arguments[0] == "--install":
        sys.stdout.write(blocks(Path(arguments[1]), "bash")[0])
        return
    for page in (Path(argument).resolve() for argument in arguments):
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            count = run(page)
        sys.stdout.write(f"{os.path.relpath(page)}: {count} blocks ran\n")


if __name__ == "__main__":
    main(sys.argv[1:])
