"""
Signals in the middle of a call: a handler that records, and Ctrl+C at any line.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import telemetry
from telemetry import TelemetryClient
from telemetry.model.codec import decode_lines

PACKAGES = Path(telemetry.__file__).parents[1]

#: Raises KeyboardInterrupt at the n-th line of ours that a small program runs, for each n.
INTERRUPTED = """
import contextvars, json, os, sys, telemetry
from telemetry import TelemetryClient, current_run

ours = (os.path.dirname(telemetry.__file__), os.path.join(sys.argv[2], "telemetry_plugins"))
client = TelemetryClient(base_dir=sys.argv[1])
with client.track_run("a", "first") as run:
    run.log_event("x")
    run.set_metrics(items_failed=1)

def program():
    with client.track_run("a", "job") as run:
        run.log_event("x", {"a": 1})
        run.set_metrics(items_failed=2)

def interrupted_at(number):
    count = 0
    def trace(frame, event, argument):
        nonlocal count
        if not frame.f_code.co_filename.startswith(ours):
            return None
        if event == "line":
            count += 1
            if count == number:
                raise KeyboardInterrupt
        return trace
    sys.settrace(trace)
    try:
        program()
    except KeyboardInterrupt:
        sys.settrace(None)
        if current_run():
            left.append(number)
        return True
    finally:
        sys.settrace(None)
    return False

number, left = 1, []
while contextvars.Context().run(interrupted_at, number):
    number += 1
with client.track_run("a", "last"):
    pass
assert client.flush(60)
print(json.dumps({"lines": number, "left": left, "stats": client.get_stats()}))
"""


def test_ctrl_c_at_any_line_leaves_nothing_half_done(tmp_path):
    """
    It reaches the program each time, and telemetry goes on.

    Only what Python itself cannot guard stays: the first line of ``__exit__``, and the few lines
    between a run's start and the block that is to end it.
    """
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path), str(PACKAGES)],
        env={**os.environ, "PYTHONPATH": str(PACKAGES)},
        capture_output=True,
        text=True,
        check=True,
    )

    answer = json.loads(done.stdout)
    counts = answer["stats"]["status_counts"]
    assert answer["lines"] > 100
    assert len(answer["left"]) <= 1
    assert counts["success"] + counts.get("cancelled", 0) > counts.get("running", 0) * 5


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer signals")
def test_a_signal_handler_records_in_the_middle_of_a_record(tmp_path):
    """
    A timer of 1 ms logs, sets metrics and runs runs; nothing is lost, torn or repeated.
    """
    client = TelemetryClient(base_dir=tmp_path)
    handled = []

    def handle(number, frame):
        run.log_event("handled", {"n": len(handled)})
        run.set_metrics(items_failed=len(handled))
        with client.track_run("a", "handled"):
            handled.append(number)

    with client.track_run("a", "job") as run:
        before = signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        logged = 0
        try:
            while len(handled) < 200:
                run.log_event("logged", {"n": logged})
                logged += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    assert client.flush(60)
    client.close()

    journal = b"".join(path.read_bytes() for path in client.config.ndjson_dir.iterdir())
    decoded = decode_lines(journal)
    kinds = [record.event_type for record in decoded.records]
    assert decoded.damaged_count == 0
    assert len({record.id for record in decoded.records}) == len(decoded.records)
    assert kinds.count("handled") == len(handled)
    assert kinds.count("logged") == logged
