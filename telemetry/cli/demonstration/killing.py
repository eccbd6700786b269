"""
A child run whose process is killed: what no agent survives, and its record does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

import telemetry

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig
    from telemetry.run_context import RunContext

#: Events that the child must have been told are recorded before it is killed.
EVENTS_BEFORE_KILL = 25
#: How long the child may take to get there.
START_TIMEOUT_S = 15.0
_VICTIM = "telemetry.cli.demonstration.victim"


@attrs.frozen(kw_only=True)
class Killed:
    """
    A process that was killed in the middle of its run.
    """

    pid: int
    #: How it was ended, in words.
    means: str
    run_id: str
    #: Events that it had been told are recorded.
    acknowledged_count: int


def kill_a_child(run: RunContext, config: TelemetryConfig, files: Sequence[Path]) -> Killed:
    """
    Start a process that records a run of its own, nested in this one, and kill it at work.
    """
    places = [str(place) for place in (config.base_dir, config.db_path, config.ndjson_dir)]
    process = subprocess.Popen(
        [sys.executable, "-m", _VICTIM, *places, *(str(path) for path in files)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=run.environ(),
        # Where -m finds this very library, installed or not.
        cwd=Path(telemetry.__file__).parent.parent,
    )
    watchdog = threading.Timer(START_TIMEOUT_S, process.kill)
    watchdog.start()
    try:
        with process:
            run_id, acknowledged = _follow(process)
    finally:
        watchdog.cancel()
    return Killed(
        pid=process.pid,
        means="SIGKILL" if os.name == "posix" else "TerminateProcess",
        run_id=run_id,
        acknowledged_count=acknowledged,
    )


def _follow(process: subprocess.Popen[bytes]) -> tuple[str, int]:
    """
    Read the child's acknowledgements, kill it in their midst, and count them all.
    """
    output = process.stdout or ()
    run_id = next(iter(output), b"").decode().strip()
    acknowledged = 0
    for line in output:
        # The last line may be torn by the kill; the whole ones count.
        acknowledged += line.endswith(b"\n")
        if acknowledged == EVENTS_BEFORE_KILL:
            process.kill()
    return run_id, acknowledged
