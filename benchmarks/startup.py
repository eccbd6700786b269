"""
What telemetry adds to a program that starts, and to one in which it is disabled.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.harness import Row

#: The packages that the library is required to be built on.
PACKAGES = "import wrapt, structlog, pluggy, attrs, cattrs, backoff"
ONE_RUN = """
from telemetry import tracked_run
@tracked_run("agent", "job")
def main():
    pass
main()
"""
#: What the installed command does.
RUNS = "import sys; sys.argv[1:] = ['runs']; from telemetry.cli.main import main; main()"
BARE = "import click, sqlite3"
WORK = """
import ast, pathlib
{decoration}
def count(path):
    return sum(isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(path.read_text())))
folder = pathlib.Path(ast.__file__).parent
print(sum(count(path) for path in sorted(folder.glob("[a-c]*.py"))[:15]))
"""
DECORATION = "from telemetry import tracked_run\n@tracked_run('agent', 'count')"


def _cpu(source: str, environment: Mapping[str, str]) -> float:
    """
    Return the seconds of CPU that a fresh interpreter used for a program, by the system's account.

    What is installed has its bytecode, so a checkout gets it too; and nothing that the shell has
    set for telemetry counts.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TELEMETRY_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", source],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**inherited, **environment},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _shell(environment: Mapping[str, str], rounds: int) -> Row:
    """
    Measure ``telemetry runs`` on a small base directory, as a shell starts it.
    """
    for _ in range(5):
        _cpu(ONE_RUN, environment)
    for source in (RUNS, BARE):
        _cpu(source, environment)
    ratios = [_cpu(RUNS, environment) / _cpu(BARE, environment) for _ in range(rounds)]
    return Row(
        what="CPU of `telemetry runs` on a small base / importing click and sqlite3",
        value=statistics.median(ratios),
        target=1.5,
    )


def measure(*, quick: bool) -> list[Row]:
    """
    Measure fresh interpreters in turn.
    """
    rounds = 7 if quick else 25
    fresh, disabled = [], []
    with tempfile.TemporaryDirectory() as base:
        cached = {"PYTHONPYCACHEPREFIX": str(Path(base, "bytecode"))}
        recording = {**cached, "TELEMETRY_BASE_DIR": base}
        off = {
            **cached,
            "TELEMETRY_DISABLED": "1",
            "TELEMETRY_BASE_DIR": str(Path(base, "none")),
        }
        for source in (PACKAGES, ONE_RUN):
            _cpu(source, recording)
        for _ in range(rounds):
            fresh.append(_cpu(ONE_RUN, recording) / _cpu(PACKAGES, recording))
            decorated, bare = WORK.format(decoration=DECORATION), WORK.format(decoration="")
            disabled.append(_cpu(decorated, off) / _cpu(bare, off))
        shell = _shell({**cached, "TELEMETRY_BASE_DIR": str(Path(base, "shell"))}, rounds)
    return [
        Row(
            what="CPU of a fresh interpreter with one run / importing the required packages",
            value=statistics.median(fresh),
            target=1.25,
        ),
        Row(
            what="CPU of a program, TELEMETRY_DISABLED=1 / undecorated",
            value=statistics.median(disabled),
            target=1.1,
        ),
        shell,
    ]
