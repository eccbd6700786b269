"""
The checks of `telemetry health` over base directories that were spoilt.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from telemetry import TelemetryClient
from telemetry.health import Outcome
from telemetry.health.standard import HEALTH_CHECKS
from telemetry.runtime.deadletters import DeadLetters

CHECKED = {
    *("storage", "readable", "disk", "write", "database", "size"),
    *("activity", "failures", "stale", "backlog", "dead_letters"),
}


@pytest.fixture
def said(results_of):
    """
    Return what one of the checks says, and that it says one thing.
    """

    def look(config, name, **limits):
        found = results_of(config, HEALTH_CHECKS, name, **limits)
        (result,) = [result for result in found if result.subject != "hooks"]
        return result

    return look


def test_a_base_at_work_is_sound(recorded, results_of):
    """
    Every check has its say, and none of them a complaint.
    """
    for name in CHECKED:
        results = results_of(recorded, HEALTH_CHECKS, name)
        assert results, name
        assert {result.outcome for result in results} == {Outcome.OK}, results


def test_checks_leave_nothing_behind(recorded, results_of):
    """
    The probe is removed, and nothing else is made.
    """
    places = (recorded.ndjson_dir, recorded.state_dir)
    before = [sorted(place.rglob("*")) for place in places]
    results_of(recorded, HEALTH_CHECKS, "write")

    assert [sorted(place.rglob("*")) for place in places] == before


def test_a_base_that_is_not_there_is_not_made(config, said):
    """
    Missing directories are a finding with the way out, and stay missing.
    """
    found = said(config, "storage")

    assert found.outcome is Outcome.FINDING
    assert "telemetry init" in found.way_out
    assert said(config, "database").outcome is Outcome.FINDING
    assert not config.base_dir.exists()


def test_a_full_disk_is_found(recorded, said):
    """
    Less than the limit warns, less than the other fails.
    """
    assert said(recorded, "disk", free_warn=1 << 60).outcome is Outcome.WARNING
    assert said(recorded, "disk", free_fail=1 << 60).outcome is Outcome.FINDING


def test_a_journal_that_cannot_be_written_is_found(recorded, said, monkeypatch):
    """
    The write probe fails where agents would, whoever runs it.
    """
    really_open = os.open

    def refuse(path, *rest):
        if Path(os.fspath(path)).parent == recorded.ndjson_dir:
            raise PermissionError(13, "Permission denied", path)
        return really_open(path, *rest)

    monkeypatch.setattr(os, "open", refuse)
    found = said(recorded, "write")

    assert found.outcome is Outcome.FINDING
    assert "Permission denied" in found.sentence


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_the_probe_reports_a_short_write(recorded, said, monkeypatch):
    """
    A disk without room for a few bytes fails, and nothing is left of the probe.
    """
    real = os.open
    monkeypatch.setattr(
        os,
        "open",
        lambda path, *rest: (
            real("/dev/full", os.O_WRONLY) if ".probe-" in str(path) else real(path, *rest)
        ),
    )
    found = said(recorded, "write")

    assert found.outcome is Outcome.FINDING
    assert "No space left" in found.sentence


@pytest.mark.parametrize("limit", [None, 0.0])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"no database at all" * 100,
        lambda data: data[: len(data) // 3],
        lambda data: b"\0" * 4096 + data[4096:],
    ],
    ids=["another file", "truncated", "header"],
)
def test_a_damaged_database_is_found(recorded, said, spoil, limit):
    """
    A file that is none, is cut short, or lost its header, whether all of it is read or the newest.
    """
    path = recorded.db_path
    data = path.read_bytes()
    path.write_bytes(spoil(data))

    found = said(recorded, "database", integrity_up_to=limit)
    assert found.outcome is Outcome.FINDING
    assert "telemetry recover" in found.way_out


def test_a_large_database_is_read_where_it_is_new(recorded, said):
    """
    The check says what it left out, and what looks at the rest.
    """
    found = said(recorded, "database", integrity_up_to=1.0)

    assert found.outcome is Outcome.OK
    assert "left to telemetry check" in found.sentence


def test_a_missing_table_and_a_future_version_are_found(recorded, said):
    """
    A database that a command could not use is not sound.
    """
    with contextlib.closing(sqlite3.connect(recorded.db_path)) as connection:
        connection.execute("DROP TABLE run_rollups")
        connection.commit()
        assert "no table run_rollups" in said(recorded, "database").sentence
        connection.execute("PRAGMA user_version = 9999")
        connection.commit()
    assert "newer release" in said(recorded, "database").way_out


def test_a_large_database_is_told(recorded, said):
    """
    Its size against the limits.
    """
    assert said(recorded, "size", size_warn=1.0).outcome is Outcome.WARNING
    assert said(recorded, "size", size_fail=1.0).outcome is Outcome.FINDING


def test_silence_only_warns(recorded, said):
    """
    No recent run is a warning, unless a limit says that it is more.
    """
    assert said(recorded, "activity", idle_warn=0.0).outcome is Outcome.WARNING
    assert said(recorded, "activity", idle_fail=0.0).outcome is Outcome.FINDING
    found = said(recorded, "activity")
    assert found.sentence.startswith("4 runs began in the last hour")
    assert found.numbers["runs_last_hour"] == 4


def test_a_base_without_a_run_warns(config, said):
    """
    Nothing was recorded: agents may be recording elsewhere.
    """
    client = TelemetryClient(config)
    assert client.catch_up(20)
    client.close(60)

    found = said(config, "activity")
    assert (found.outcome, found.sentence) == (Outcome.WARNING, "no run was ever recorded")


def test_failures_are_judged_from_enough_runs(recorded, said):
    """
    One of four failed: told, but too few to judge, unless the limit says that they are enough.
    """
    assert said(recorded, "failures").outcome is Outcome.OK
    assert "too few to judge" in said(recorded, "failures").sentence
    found = said(recorded, "failures", failure_rate_runs=4)
    assert found.outcome is Outcome.WARNING
    assert found.numbers["failure_ratio"] == pytest.approx(0.25)
    strict = said(recorded, "failures", failure_rate_runs=4, failure_rate_fail=0.25)
    assert strict.outcome is Outcome.FINDING


def test_an_open_run_of_a_living_process_is_none_of_it(config, said):
    """
    An open run counts as stale only when its silence is long.
    """
    client = TelemetryClient(config)
    run_id = client.start_run("agent", "job")
    assert client.flush(60)
    try:
        found = said(config, "stale")
        assert (found.outcome, found.numbers["runs_open"]) == (Outcome.OK, 1)
        assert said(config, "stale", stale_after=0.0).outcome is Outcome.WARNING
        assert said(config, "stale", stale_after=None).outcome is Outcome.OK
    finally:
        client.end_run(run_id)
        client.close(60)


def test_a_backlog_is_measured(recorded, said):
    """
    What the database has not taken yet: its bytes, and the age of the oldest record.
    """
    with contextlib.closing(sqlite3.connect(recorded.db_path)) as connection:
        connection.execute("DELETE FROM cursors")
        connection.commit()
    size = sum(path.stat().st_size for path in recorded.ndjson_dir.iterdir())

    found = said(recorded, "backlog")
    assert found.subject == "sqlite"
    assert found.numbers["backlog_bytes"] == size
    assert found.numbers["backlog_seconds"] > 0
    assert said(recorded, "backlog", backlog_fail=1.0).outcome is Outcome.FINDING
    assert said(recorded, "backlog", age_warn=0.0).outcome is Outcome.WARNING


def test_a_backlog_that_cannot_be_measured_warns(recorded, said):
    """
    A database that cannot be read does not stop the check.
    """
    recorded.db_path.write_bytes(b"no database at all" * 100)

    found = said(recorded, "backlog")
    assert found.outcome is Outcome.WARNING
    assert "cannot be read" in found.sentence


def test_dead_letters_are_counted(recorded, said):
    """
    One warns, many fail; each sink for itself.
    """
    letters = DeadLetters(recorded.state_dir, "http")
    letters.path.parent.mkdir(parents=True, exist_ok=True)
    letters.path.write_bytes(b"{}\n" * 3)

    found = said(recorded, "dead_letters")
    assert (found.outcome, found.subject) == (Outcome.WARNING, "http")
    assert found.numbers["dead_letters"] == 3
    assert said(recorded, "dead_letters", dead_letters_fail=3).outcome is Outcome.FINDING
