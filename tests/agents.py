"""
Agents in processes of their own, for the tests of what they leave behind.
"""

from __future__ import annotations

import subprocess
import sys

from servers import clean_env

TIMEOUT_S = 60
#: It adds records at times of its own, also after a flush.
WITHOUT_GIT = {"TELEMETRY_PLUGINS_DISABLED": "git_linker"}

_RECORD = """
import sys
from telemetry import TelemetryClient

client = TelemetryClient()
for number in range(int(sys.argv[1])):
    with client.track_run("agent", "job") as run:
        run.log_event("step", {"number": number})
        run.set_metrics(items_discovered=number)
print("recorded", flush=True)
if sys.argv[2:]:
    sys.stdin.read()
"""


def start_agent(environ, *arguments):
    """
    Start an agent that records some runs, and says when all are in the journal.

    Its arguments are how many, and whether it stays until its standard input is closed.
    """
    return subprocess.Popen(
        [sys.executable, "-c", _RECORD, *map(str, arguments)],
        env=clean_env(environ["TELEMETRY_BASE_DIR"], **{**WITHOUT_GIT, **environ}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """
    Wait for the end of an agent, which must be a good one; return what it said.
    """
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err
    return out, err
