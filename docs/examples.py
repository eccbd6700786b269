"""
Run the examples of one page, as a reader would: ``python docs/examples.py PAGE``.

From top to bottom, in one Python session and one empty directory: a ``python`` fence is executed,
in a ``console`` fence each line after ``$`` is given to the shell and must exit with 0. Tests that
the ``python`` fences define are run by pytest at the end. Other fences are only shown. A page whose
examples fail exits with a traceback that names the line.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

_FENCE = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """
    One fence of a page.
    """

    language: str
    line: int
    text: str


def examples(page: Path) -> list[Example]:
    """
    Return the fences that are to be run, in order.
    """
    source = page.read_text(encoding="utf-8")
    return [
        Example(match[1], source.count("\n", 0, match.start(2)), match[2])
        for match in _FENCE.finditer(source)
    ]


def run(page: Path) -> None:
    """
    Run a page's examples; the first that fails raises.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    for example in examples(page):
        if example.language == "python":
            # Blank lines before it, so that a traceback names the page's own line.
            code = compile("\n" * example.line + example.text, str(page), "exec")
            exec(code, names)  # noqa: S102 (our own pages)
        else:
            for command in re.findall(r"^\$ (.+)$", example.text, re.MULTILINE):
                print(f"$ {command}", flush=True)
                subprocess.run(command, shell=True, check=True)  # noqa: S602 (our own pages)
    if any(name.startswith(("test_", "Test")) for name in names):
        source = [example.text for example in examples(page) if example.language == "python"]
        Path("test_page.py").write_text("".join(source), encoding="utf-8")
        subprocess.run([sys.executable, "-m", "pytest", "-q", "-W", "error"], check=True)


if __name__ == "__main__":
    # The commands of the environment whose Python this is stand first.
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]  # noqa: PTH120
    run(Path(sys.argv[1]))
