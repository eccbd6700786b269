from __future__ import annotations

import json
import os
import sqlite3

import originals
import pytest


@pytest.fixture
def old(tmp_path):
    """
    What the original system left: two runs, an event, and a line that nobody can read.
    """
    path = tmp_path / "old" / "raw" / "events_20251201.ndjson"
    path.parent.mkdir(parents=True)
    lines = [
        originals.run_line("failure", start=False, run_id="one"),
        originals.run_line("success", start=False, run_id="two"),
        originals.event_line("one", "step", {"n": 1}),
        '{"run_id": "torn',
    ]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return tmp_path / "old"


def other_database(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE x (a)")
    connection.close()


def test_an_import_says_what_came(telemetry, old):
    """
    The answer counts what is new, known and refused, with the reason and the first place.
    """
    done = telemetry("import", old)

    assert done.returncode == 1
    assert "2 new runs, 0 updated, 0 known; 1 new event, 0 known" in done.stdout
    assert "a line must be a JSON object (first in events_20251201.ndjson, line 4)" in done.stdout
    assert {run["run_id"]: run["status"] for run in telemetry.json("runs")["runs"]} == {
        "one": "failed",
        "two": "success",
    }
    again = json.loads(telemetry("import", old, "--json").stdout)
    assert (again["runs"], again["damaged"]) == ({"new": 0, "updated": 0, "known": 2}, 1)


def test_a_dry_run_writes_nothing(telemetry, old):
    """
    --dry-run answers the same and leaves no run.
    """
    document = json.loads(telemetry("import", old, "--dry-run", "--json").stdout)

    assert (document["dry_run"], document["kind"]) == (True, "base directory")
    assert document["runs"] == {"new": 2, "updated": 0, "known": 0}
    assert telemetry.json("runs")["runs"] == []


def test_a_sound_import_ends_with_0(telemetry, tmp_path):
    """
    Where nothing was refused the exit code is 0.
    """
    row = {"run_id": "x", "agent_name": "seo", "start_time": originals.START, "status": "success"}
    path = originals.make_database(tmp_path / "old.sqlite", "library-1", [row])

    assert telemetry("import", path).returncode == 0


@pytest.mark.parametrize(
    ("make", "code", "way_out"),
    [
        (lambda path: None, 3, "name a base directory"),
        (lambda path: path.mkdir(), 2, "got neither"),
        (lambda path: path.write_text("hello"), 2, "none that is known"),
        (other_database, 2, "agent_runs"),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + b"\xaa" * 5000), 5, "database"),
    ],
)
def test_what_cannot_be_imported_is_said(telemetry, tmp_path, make, code, way_out):
    """
    Each source that is none ends with its own exit code and what would be one.
    """
    make(tmp_path / "source")
    done = telemetry.ask("import", tmp_path / "source")

    assert done.returncode == code, done.stderr
    assert way_out in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs a device")
def test_a_device_is_not_said_to_be_missing(telemetry):
    """
    What is there, but nothing to import, is told as such.
    """
    done = telemetry.ask("import", os.devnull)

    assert done.returncode == 2
    assert f"{os.devnull} must be a base directory, a database, NDJSON" in done.stderr


def test_a_base_is_not_imported_into_itself(recorded):
    """
    The base directory that is imported into is no source, whole or in parts.
    """
    for place in (recorded.base, recorded.base / "db" / "telemetry.sqlite", recorded.base / "raw"):
        done = recorded.ask("import", place)

        assert done.returncode == 2
        assert "--base-dir, or move what another program left here" in done.stderr
