from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import sys

import psutil
import pytest


@pytest.fixture
def copied(recorded, telemetry):
    """
    A base directory of its own with runs of every kind.
    """
    shutil.copytree(recorded.base, telemetry.base)
    return telemetry


def _rows(shell):
    return shell.json("runs", "--limit", "0")["runs"]


def test_a_sound_database_is_left_alone(copied):
    """
    Nothing is made anew without need, and --check-only changes nothing at all.
    """
    for args in (["recover"], ["recover", "--check-only"]):
        done = copied(*args)

        assert done.returncode == 0
        assert "is sound" in done.stdout
    assert not list((copied.base / "db").glob("*corrupted*"))


def test_damage_is_found_and_repaired(copied):
    """
    --check-only exits with 5; recover brings every run back and keeps the damaged file.
    """
    before = _rows(copied)
    database = copied.base / "db" / "telemetry.sqlite"
    database.write_bytes(b"no database at all" * 1000)

    found = copied("recover", "--check-only")
    done = copied("recover", "--json")

    assert found.returncode == 5
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs"] == len(before)
    assert _rows(copied) == before
    assert list((copied.base / "db").glob("telemetry.corrupted.*.sqlite"))


def test_a_missing_database_is_made_from_the_journal(copied):
    """
    A deleted database is a finding, and comes back whole.
    """
    before = _rows(copied)
    for path in (copied.base / "db").iterdir():
        path.unlink()

    assert copied("recover", "--check-only").returncode == 1
    assert copied("recover").returncode == 0
    assert _rows(copied) == before


def test_force_makes_a_sound_database_anew(copied):
    """
    --force does it anyway, with the same rows.
    """
    before = _rows(copied)
    done = copied("recover", "--force")

    assert done.returncode == 0
    assert "5 runs back in" in done.stdout
    assert _rows(copied) == before


def test_damaged_lines_of_the_journal_are_counted(copied):
    """
    What cannot be read is left out, said, and a finding.
    """
    journal = next((copied.base / "raw").glob("*.ndjson"))
    with journal.open("ab") as file:
        file.write(b'{"lt":1,"record_type":"run","id":"torn\n')
    done = copied("recover", "--force")

    assert done.returncode == 1
    assert "1 damaged lines" in done.stderr


def test_a_writer_is_not_disturbed(copied):
    """
    While a process that does not give way has the database, recover waits, then exits with 4.
    """
    import subprocess
    import sys

    code = (
        "import sys; from telemetry import TelemetryClient; c = TelemetryClient();"
        "c.start_run('agent', 'job'); c.flush(); print('up', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=copied.env(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        psutil.Process(process.pid).suspend()  # else it may look in time, and give way
        done = copied("recover", "--force", "--wait", "0.2")
        process.kill()

    assert done.returncode == 4
    assert "must have no writer" in done.stderr


@pytest.mark.parametrize("args", [[], ["--check-only"], ["--heal"]])
def test_a_newer_release_is_left_alone(copied, args):
    """
    A database of a newer release exits with 4 and is neither judged nor replaced, but by --force.
    """
    database = copied.base / "db" / "telemetry.sqlite"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA user_version = 999")
    done = copied.ask("recover", *args)

    assert done.returncode == 4
    assert "install the newer release" in done.stderr
    assert not list(database.parent.glob("*corrupted*"))
    if not args:
        assert copied.ask("recover", "--force").returncode == 0
        assert list(database.parent.glob("telemetry.corrupted.*.sqlite"))


@pytest.mark.parametrize(
    ("table", "words"),
    [("orders", "another application"), ("agent_runs", "telemetry import takes over its runs")],
)
def test_the_database_of_another_program_is_left_alone(copied, table, words):
    """
    Every command names whose it may be and the way out, and none changes a byte of it.
    """
    database = copied.base / "db" / "telemetry.sqlite"
    for path in database.parent.iterdir():
        path.unlink()
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute(f"CREATE TABLE {table} (event_id)")
    before = database.read_bytes()
    for code, args in (
        (4, ["recover"]),
        (4, ["recover", "--check-only"]),
        (4, ["recover", "--heal"]),
        (4, ["backup", "create"]),
        (1, ["check", "--quick"]),
        (1, ["health"]),
        (1, ["doctor", "--only", "database", "--only", "indexes", "--only", "pragmas"]),
    ):
        done = copied.ask(*args)
        assert done.returncode == code, (args, done.stdout, done.stderr)
        said = done.stdout + done.stderr
        assert words in said, (args, said)
        assert "name another file in TELEMETRY_DB_PATH" in said
        assert "must be whole" not in said
    assert database.read_bytes() == before
    assert copied.ask("recover", "--force").returncode == 0
    assert next(database.parent.glob("telemetry.corrupted.*.sqlite")).read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights")
def test_a_segment_that_cannot_be_read_stops_what_would_do_without_it(copied):
    """
    Readers pass over it, so a database made anew would lack its records; each command says which.
    """
    database = copied.base / "db" / "telemetry.sqlite"
    (segment,) = (copied.base / "raw").iterdir()
    assert copied.ask("backup", "create").returncode == 0
    elsewhere = copied.base / "elsewhere"
    segment.rename(elsewhere)
    segment.symlink_to(elsewhere)
    before = database.read_bytes()
    for code, args in (
        (4, ["recover", "--force"]),
        (4, ["recover", "--heal"]),
        (4, ["backup", "restore", "--yes"]),
        (5, ["check"]),
        (1, ["health"]),
    ):
        done = copied.ask(*args)
        assert done.returncode == code, (args, done.stdout, done.stderr)
        said = done.stdout + done.stderr
        assert str(segment) in said
        assert "readable for this user" in said
    assert database.read_bytes() == before
    segment.unlink()
    elsewhere.rename(segment)
    assert copied.ask("check").returncode == 0


def test_what_a_killed_recovery_left_is_removed(copied):
    """
    A recovery that was killed begins again, and leaves nothing of the first.
    """
    unfinished = copied.base / "db" / "telemetry.rebuilding.20261122T120000Z.sqlite"
    unfinished.write_bytes(b"half")
    before = _rows(copied)

    assert copied.ask("recover", "--force").returncode == 0
    assert not unfinished.exists()
    assert _rows(copied) == before
