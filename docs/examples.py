"""
Run the examples of one page, as a reader would: ``python docs/examples.py PAGE``.

From top to bottom, in one Python session and one empty directory: a ``python`` fence is executed,
in a ``console`` fence each line after ``$`` is given to the shell and must exit with 0. Tests that
the ``python`` fences define are run by pytest at the end. Other fences are only shown. A page whose
examples fail exits with a traceback that names the line.

On a page with the line ``<!-- service -->`` a service runs beside them, at a free port that stands
in for 8765. Where a command's answer is shown as JSON there, the real one must have the same keys;
a key ``…`` stands for any others.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ADDRESS = "http://localhost:8765"
MARK = "<!-- service -->\n"
MORE = "…"
_COMMAND = re.compile(r"^\$ (.+)\n((?:[^$].*\n)*)", re.MULTILINE)
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


@contextmanager
def service() -> Iterator[str]:
    """
    Run a service over the base directory, and give its address.
    """
    command = [sys.executable, "-m", "telemetry", "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None, "the service did not start"
        yield found[0]
    finally:
        process.terminate()
        process.communicate()


def has_shape(answer: Any, shown: Any) -> bool:
    """
    Tell whether an answer has the keys that a page shows.
    """
    if isinstance(shown, dict):
        if not isinstance(answer, dict):
            return False
        keys = shown.keys() - {MORE}
        is_whole = keys == answer.keys() or (MORE in shown and keys <= answer.keys())
        return is_whole and all(has_shape(answer[key], shown[key]) for key in keys)
    if isinstance(shown, list):
        is_list = isinstance(answer, list) and len(answer) == len(shown)
        return is_list and all(map(has_shape, answer, shown))
    return not isinstance(answer, (dict, list))


def check_answer(command: str, shown: str) -> None:
    """
    Run a command whose answer a page shows.
    """
    done = subprocess.run(command, shell=True, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S602 (our own pages)
    print(done.stdout, flush=True)
    if shown.startswith(("{", "[")):
        assert has_shape(json.loads(done.stdout), json.loads(shown)), f"it is not as shown: {shown}"


def run(page: Path) -> None:
    """
    Run a page's examples, beside a service where it wants one.
    """
    if MARK not in page.read_text(encoding="utf-8"):
        run_examples(page, ADDRESS)
        return
    with service() as address:
        os.environ["TELEMETRY_API_URL"] = address
        run_examples(page, address)


def run_examples(page: Path, address: str) -> None:
    """
    Run a page's examples; the first that fails raises.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    for example in examples(page):
        if example.language == "python":
            # Blank lines before it, so that a traceback names the page's own line.
            text = example.text.replace(ADDRESS, address)
            code = compile("\n" * example.line + text, str(page), "exec")
            exec(code, names)  # noqa: S102 (our own pages)
        else:
            for command, shown in _COMMAND.findall(example.text):
                print(f"$ {command}", flush=True)
                if address == ADDRESS:
                    subprocess.run(command, shell=True, check=True)  # noqa: S602 (our own pages)
                else:
                    check_answer(command.replace(ADDRESS, address), shown)
    if any(name.startswith(("test_", "Test")) for name in names):
        source = [example.text for example in examples(page) if example.language == "python"]
        Path("test_page.py").write_text("".join(source), encoding="utf-8")
        subprocess.run([sys.executable, "-m", "pytest", "-q", "-W", "error"], check=True)


if __name__ == "__main__":
    # The commands of the environment whose Python this is stand first.
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]  # noqa: PTH120
    run(Path(sys.argv[1]))
