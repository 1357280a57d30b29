"""The code blocks of a Markdown page: find them, and run the Python blocks of a page in order, in an empty folder.

python tests/code_blocks.py README.md docs/guide/*.md    run the pages, each with its own names
python tests/code_blocks.py --install README.md          print the first bash block of a page
python tests/code_blocks.py --write docs/tutorials/*.md  run the pages, and write what blocks print below them
"""

import contextlib
import io
import os
import re
import sys
import tempfile
from pathlib import Path


def blocks(page, language="python"):
    """Return the code blocks of ``language`` of a page, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def outputs(page):
    """Return what a page says each Python block prints: the text block right below it, or nothing."""
    pattern = r"^```python\n.*?^```\n(?:\n```text\n(.*?)^```)?"
    return re.findall(pattern, page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def run(page):
    """Run the Python blocks of a page, each with the names of those before it; return what each printed."""
    printed, names = [], {"__name__": page.stem}
    for block in blocks(page):
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(block, str(page), "exec"), names)
        lines = output.getvalue().splitlines(keepends=True)
        printed.append("".join(line for line in lines if "━" not in line))  # progress bars tell the time
    return printed


def write(page, printed):
    """Put what each block printed below it."""
    texts = iter(f"\n```text\n{text}```\n" if text else "" for text in printed)
    pattern = r"(^```python\n.*?^```\n)(?:\n```text\n.*?^```\n)?"
    page.write_text(
        re.sub(pattern, lambda found: found[1] + next(texts), page.read_text(), flags=re.DOTALL | re.MULTILINE)
    )


def main(arguments):
    if arguments[0] == "--install":
        sys.stdout.write(blocks(Path(arguments[1]), "bash")[0])
        return
    is_written = arguments[0] == "--write"
    for page in (Path(argument).resolve() for argument in arguments[is_written:]):
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            printed = run(page)
        if is_written:
            write(page, printed)
        sys.stdout.write(f"{os.path.relpath(page)}: {len(printed)} blocks ran\n")


if __name__ == "__main__":
    main(sys.argv[1:])
