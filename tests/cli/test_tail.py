from __future__ import annotations

import json
import subprocess
import sys
import threading

TIMEOUT_S = 60


def _lines(recorded, *args):
    done = recorded.ask("tail", "--json", *args)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_tail_shows_the_last_records_as_they_stand(recorded):
    """
    Each line of JSON is a record of the journal, whole and in order.
    """
    journal = max((recorded.base / "raw").glob("*.ndjson"))
    stored = [json.loads(line) for line in journal.read_bytes().splitlines()][1:]

    assert _lines(recorded, "-n", "1000") == stored
    assert _lines(recorded, "-n", "3") == stored[-3:]
    assert _lines(recorded, "-n", "0") == []


def test_tail_filters(recorded):
    """
    Records are chosen by run, by event type and by agent.
    """
    assert {line["run_id"] for line in _lines(recorded, "own-1", "-n", "99")} == {"own-1"}
    assert {line["event_type"] for line in _lines(recorded, "--type", "row", "-n", "9")} == {"row"}
    agents = {line.get("agent_name") for line in _lines(recorded, "--agent", "mailer", "-n", "9")}
    assert agents - {None} == {"mailer"}


def test_tail_reads_a_long_journal_from_its_end(telemetry):
    """
    The end of a journal far longer than one reading step is what its last lines are.
    """
    code = (
        "from telemetry import TelemetryClient\n"
        "with TelemetryClient().track_run('agent', 'job') as run:\n"
        "    for n in range(2000): run.log_event('n', {'n': n, 'fill': 'x' * 200})\n"
    )
    subprocess.run([sys.executable, "-c", code], env=telemetry.env(), check=True, timeout=TIMEOUT_S)

    numbers = [line["payload"]["n"] for line in _lines(telemetry, "-n", "700", "--type", "n")]

    assert numbers == list(range(1300, 2000))


def test_follow_goes_on_with_what_is_added(telemetry):
    """
    -f shows records of other processes as they come, and ends with 130 at Ctrl+C.
    """
    import os
    import signal

    code = "from telemetry import TelemetryClient as C\nwith C().track_run('agent', 'job'): pass"
    subprocess.run([sys.executable, "-c", code], env=telemetry.env(), check=True, timeout=TIMEOUT_S)
    with subprocess.Popen(
        telemetry.command("tail", "-f", "-n", "1", "--json"),
        env=telemetry.env(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as follower:
        watchdog = threading.Timer(TIMEOUT_S, follower.kill)
        watchdog.start()
        first = json.loads(follower.stdout.readline())
        more = [sys.executable, "-c", code.replace("agent", "second")]
        subprocess.run(more, env=telemetry.env(), check=True, timeout=TIMEOUT_S)
        second = next(
            line
            for line in map(json.loads, follower.stdout)
            if line.get("change") == "ended" and line.get("agent_name") == "second"
        )
        os.kill(follower.pid, signal.SIGINT)
        _, complaint = follower.communicate(timeout=TIMEOUT_S)
        watchdog.cancel()

    assert first["record_type"] == "run"
    assert second["status"] == "success"
    assert follower.returncode == 130
    assert b"Traceback" not in complaint
