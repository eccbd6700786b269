"""
Hostile sinks beside a good one: the program does not notice, and the good one has every record.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

ZOO = Path(__file__).parent / "zoo.py"
RUNS = 20
EVENTS_PER_RUN = 10
EXIT_S = 0.5
#: What the program takes beside the exit budget, on a machine that is busy with other things.
PATIENCE_S = 100.0

ALONE = [
    "Raising",
    "RaisingUnprintable",
    "RaisingBase",
    "Interrupting",
    "Exiting",
    "ThreadExiting",
    "Hanging",
    "HangingAtTheEnd",
    "Slow",
    "Logging",
    "Recording",
    "Flushing",
    "Mutating",
    "Forking",
    "ForkingOn",
    "Garbage",
    "GarbageKeeper",
    "AheadKeeper",
    "Recursing",
    "Greedy",
    "Shouting",
    "Closing",
]
#: Forking and feedback change what there is to compare; the rest can live in one cage.
TOGETHER = [name for name in ALONE if name not in {"ForkingOn", "Recording"}]


@pytest.fixture
def visit(telemetry_base, tmp_path, monkeypatch):
    """
    Run the zoo with some animals, and return what the good sink was given.
    """
    monkeypatch.setenv("TELEMETRY_EXIT_TIMEOUT_S", str(EXIT_S))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))

    def visit(*names):
        out = tmp_path / "good"
        done = subprocess.run(
            [sys.executable, ZOO, out, str(RUNS), *names],
            capture_output=True,
            text=True,
            timeout=EXIT_S + PATIENCE_S,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "complete\n"), done.stderr
        assert "Traceback" not in done.stderr
        assert len(done.stderr) < 10_000 * len(names)
        return out.read_text().split()

    return visit


def complete(ids, captured_runs):
    """
    Check that the good sink has all that the program recorded, and return how many events those are.
    """
    visits = captured_runs.runs("zoo")
    if any(run.job_type == "feedback" for run in visits):
        # What a sink records at the very end, the next process delivers.
        visits = [run for run in visits if run.job_type == "visit"]
    event_ids = {run.event_id for run in visits}
    recorded = [record for record in captured_runs.records() if record.event_id in event_ids]
    assert [run.status for run in visits] == ["success"] * RUNS
    assert [record.id for record in recorded if record.id not in set(ids)] == []
    assert len(ids) == len(set(ids))
    return sum(record.record_type == "event" for record in recorded)


@pytest.mark.parametrize("animal", ALONE)
def test_a_hostile_sink_harms_nobody_else(animal, visit, captured_runs, telemetry_client, tmp_path):
    """
    Whatever it does, the program ends as if it were not there, and the other sinks are complete.
    """
    ids = visit(animal)

    assert complete(ids, captured_runs) == RUNS * EVENTS_PER_RUN
    assert (tmp_path / animal).exists() or animal == "GarbageKeeper"
    assert telemetry_client.catch_up(PATIENCE_S)
    with closing(sqlite3.connect(telemetry_client.config.db_path)) as connection:
        counted = connection.execute("SELECT count(*) FROM run_events WHERE event_type = 'step'")
        assert counted.fetchone() == (RUNS * EVENTS_PER_RUN,)


def test_all_of_them_at_once(visit, captured_runs):
    """
    A process full of them is no different.
    """
    assert complete(visit(*TOGETHER), captured_runs) == RUNS * EVENTS_PER_RUN
