from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

#: Begins a run, says so, and does as it is told: dies, or ends the run.
AGENT = """
import os, sys
from telemetry import TelemetryClient
client = TelemetryClient()
run_id = client.start_run(sys.argv[1], "job", run_id=sys.argv[1])
assert client.flush(60)
print("begun", flush=True)
if sys.stdin.readline().strip() == "end":
    client.end_run(run_id, items_succeeded=1)
    client.close(60)
os._exit(0)
"""


class Agent:
    def __init__(self, telemetry, name):
        self.process = subprocess.Popen(
            [sys.executable, "-c", AGENT, name],
            env=telemetry.env(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "begun\n"

    def tell(self, word):
        self.process.communicate(f"{word}\n", timeout=60)


@pytest.fixture
def agent(telemetry):
    agents = []

    def start(name):
        agents.append(Agent(telemetry, name))
        return agents[-1]

    yield start
    for each in agents:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate(timeout=60)


def stale(telemetry, *args):
    """
    Ask in a process of its own: what it records is by another writer than the agents.
    """
    done = telemetry("stale", *args)
    return done.returncode, done.stdout, done.stderr


def test_the_dead_are_found_and_not_closed(telemetry, agent):
    """
    A run whose process is gone is listed with the evidence; listing changes nothing.
    """
    agent("gone").tell("die")

    for _ in range(2):
        code, out, _err = stale(telemetry)
        assert code == 1
        assert "gone" in out
        assert "is gone: it no longer holds its lock" in out


def test_a_run_at_work_is_not_stale(telemetry, agent):
    """
    A run that has said something lately, of a process that lives, is none of the answer.
    """
    agent("busy")

    code, out, _ = stale(telemetry)
    assert (code, out) == (0, "no stale runs; 1 open\n")


def test_what_is_closed_has_ended_with_its_last_sign(telemetry, agent):
    """
    Closing gives the status, the time of the last record, and an error that says why.
    """
    agent("gone").tell("die")

    code, out, _ = stale(telemetry, "--close", "--yes")
    run = telemetry.json("runs")["runs"][0]
    assert code == 0
    assert "1 run closed as cancelled" in out
    assert run["status"] == "cancelled"
    assert run["error_summary"].startswith("StaleRun: process ")
    assert run["start_time"] <= run["end_time"]
    assert stale(telemetry)[:2] == (0, "no open runs\n")


def test_a_run_that_was_only_asleep_ends_for_real(telemetry, agent):
    """
    A silent run that was closed and ends after all stands as its agent ended it.
    """
    asleep = agent("asleep")
    code, out, _ = stale(telemetry, "--older-than", "0s", "--close", "--yes", "--status", "failed")
    assert code == 0
    assert "still holds its lock" in out
    assert telemetry.json("runs")["runs"][0]["status"] == "failed"

    asleep.tell("end")
    run = telemetry.json("runs")["runs"][0]
    assert (run["status"], run["items_succeeded"], run["error_summary"]) == ("success", 1, None)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs signals")
def test_a_stopped_process_is_not_dead(telemetry, agent):
    """
    A process that is stopped keeps its lock: its run is silent, in time, but never dead.
    """
    stopped = agent("stopped")
    os.kill(stopped.process.pid, signal.SIGSTOP)
    try:
        assert stale(telemetry)[0] == 0
        assert "hangs, waits or is stopped" in stale(telemetry, "--older-than", "0s")[1]
    finally:
        os.kill(stopped.process.pid, signal.SIGCONT)


def test_a_dry_run_closes_nothing(telemetry, agent):
    """
    --dry-run shows what would be closed and leaves it open; JSON says the same.
    """
    agent("gone").tell("die")

    assert stale(telemetry, "--close", "--dry-run")[0] == 1
    done = telemetry("stale", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert (document["open"], document["closed"], document["closed_as"]) == (1, 0, None)
    (found,) = document["stale"]
    assert (found["agent_name"], found["finding"]) == ("gone", "dead")


def test_only_one_agents_runs(telemetry, agent):
    """
    --agent leaves the runs of all others alone.
    """
    agent("one").tell("die")
    agent("two").tell("die")

    assert stale(telemetry, "--agent", "one", "--close", "--yes")[0] == 0
    statuses = {
        run["agent_name"]: run["status"] for run in telemetry.json("runs", "--agent", "one")["runs"]
    }
    assert statuses == {"one": "cancelled"}


def test_nobody_closes_runs_unasked(telemetry, agent):
    """
    Without a terminal and without --yes nothing is closed.
    """
    agent("gone").tell("die")

    code, _, err = stale(telemetry, "--close")
    assert code == 2
    assert "--yes" in err
    assert stale(telemetry)[0] == 1


@pytest.mark.parametrize(
    ("args", "way_out"),
    [
        (["--status", "running"], "must be one of success, failed"),
        (["--status", "sideways"], "must be one of"),
        (["--older-than", "sometimes"], "must be a time"),
    ],
)
def test_what_means_nothing_is_refused(telemetry, args, way_out):
    """
    A status that is no end and a time that is none are usage errors.
    """
    code, _, err = stale(telemetry, *args)

    assert code == 2
    assert way_out in err


def test_a_base_that_is_not_there_is_said(telemetry):
    """
    Without a base directory there is nothing to look at: 3, and how to get one.
    """
    code, _, err = stale(telemetry)

    assert code == 3
    assert "telemetry init" in err
