from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest

from telemetry.model.codec import encode_line
from telemetry.storage.segments import SegmentReader
from telemetry_plugins.ndjson import NdjsonJournal

DAY = timedelta(days=1)
TABLES = ("agent_runs", "run_events", "run_folds", "commits")
_AGENT = """
import sys
from telemetry import TelemetryClient

client = TelemetryClient()
while True:
    with client.track_run("busy", "write") as run:
        run.log_event("step", {"n": 1})
    sys.stdout.write(run.run_id + "\\n")
    sys.stdout.flush()
"""
_OPERATOR = """
import sys
from pathlib import Path
from telemetry.runtime.locks import RecordLock

lock = RecordLock(Path(sys.argv[1]))
print(lock.try_acquire(), flush=True)
sys.stdin.read()
"""


def rows(base):
    with contextlib.closing(sqlite3.connect(base / "db" / "telemetry.sqlite")) as connection:
        return {name: sorted(connection.execute(f"SELECT * FROM {name}")) for name in TABLES}


def names(base):
    return sorted(path.name for path in (base / "raw").iterdir())


def write_run(journal, number, moment, status="success"):
    """
    Write a run of one moment to that day's file.
    """
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    for step, change in enumerate(("started", "ended"), 1):
        line = encode_line(
            "run",
            id=f"{number:016x}-{step}",
            timestamp=text,
            event_id=f"key-{number}",
            run_id=f"run-{number}",
            change=change,
            body={
                "agent_name": "old",
                "job_type": "job",
                "start_time": text,
                "status": "running" if step == 1 else status,
            },
        )
        assert journal.append(line, int(moment.timestamp()))


@pytest.fixture
def aged(telemetry):
    """
    A base with a run of each of the days 0, 10, 100 and 400 ago; the third failed.
    """
    journal = NdjsonJournal(telemetry.base / "raw")
    noon = datetime.now(timezone.utc).replace(hour=12, minute=0, second=0, microsecond=0)
    for number, age in enumerate((0, 10, 100, 400)):
        write_run(journal, number, noon - age * DAY, "failed" if age == 100 else "success")
    journal.close()
    for path in (telemetry.base / "raw").iterdir():
        moment = datetime.strptime(path.name[7:15] + "+0000", "%Y%m%d%z").timestamp()
        os.utime(path, (moment, moment))
    assert telemetry.ask("runs").returncode == 0
    return telemetry


def test_there_must_be_a_rule(aged):
    """
    Without a rule nothing is guessed; nonsense is refused with what would do; both exit with 2.
    """
    for args, words in (
        ([], "there must be a rule"),
        (["--compress-after", "soon"], "must be a length of time"),
        (["--drop-after", f"{'9' * 30}w"], "must be a length of time"),
        (["--max-bytes", "much"], "must be a size"),
        (["--keep-runs", "-1"], "must be a whole number"),
        (["--prune-backups", "--keep-days", "-1"], "must be a number of days"),
        (["--keep-runs", "1", "--apply", "--dry-run"], "--apply must stand without --dry-run"),
    ):
        done = aged.ask("retention", *args)
        assert done.returncode == 2, (args, done.stdout)
        assert words in done.stderr


def test_a_missing_base_exits_with_3(telemetry):
    """
    Nothing is made by asking.
    """
    assert telemetry.ask("retention", "--keep-runs", "1").returncode == 3
    assert not telemetry.base.exists()


def test_it_only_says_so(aged):
    """
    Without --apply nothing changes, and all that would go is named; consent must be given.
    """
    before, files = rows(aged.base), names(aged.base)
    args = ("--compress-after", "7d", "--runs-older-than", "50d", "--failed-older-than", "365d")
    done = aged.ask("retention", *args)
    assert done.returncode == 0, done.stderr
    assert "compress  3 files of the journal" in done.stdout
    assert "delete    1 of 4 runs" in done.stdout
    assert "1 failed run kept by the rule of their own" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(
        "nothing was changed; the same line with --apply does it"
    )
    document = aged.json("retention", *args, "--dry-run")
    assert document["runs"]["deleted"] == 1
    assert document["runs"]["oldest"] == document["runs"]["newest"]
    assert [one["action"] for one in document["segments"]] == ["compress"] * 3
    asked = aged.ask("retention", *args, "--apply")
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    assert (rows(aged.base), names(aged.base)) == (before, files)


def test_rules_of_a_file(aged):
    """
    Rules may stand in a file, the base directory's own one by itself; the line's come first.
    """
    path = aged.base / "config" / "retention.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text('[retention]\ncompress-after = "50d"\nkeep_runs = 3\n')
    document = aged.json("retention", "--keep-runs", "4")
    assert (document["runs"]["deleted"], len(document["segments"])) == (0, 2)
    assert aged.json("retention")["runs"]["deleted"] == 1
    other = aged.base / "other.toml"
    for text, words in (
        ('keep_run = "3"\n', "did you mean 'keep_runs'"),
        ("retention = 5\n", "must have a table"),
        ("= 5\n", "must be TOML"),
        ("prune_backups = 5\n", "must be true or false"),
        ("nonsense = 5\n", "it can be compress_after"),
        ("#" * (1 << 21), "must have at most"),
    ):
        other.write_text(text)
        done = aged.ask("retention", "-f", other)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert aged.ask("retention", "-f", aged.base / "no.toml").returncode == 3


def test_the_journal_is_compressed_and_dropped(aged):
    """
    Dropped is what a verified backup has; the rest of what is due says why it stays, and exits 1.
    """
    before = rows(aged.base)
    args = ("--compress-after", "7d", "--drop-after", "90d", "--apply", "--yes")
    held = aged.ask("retention", *args)
    assert held.returncode == 1
    assert "no verified backup has its records" in held.stdout
    assert "3 files compressed; " in held.stdout
    assert len([name for name in names(aged.base) if name.endswith(".gz")]) == 3
    assert rows(aged.base) == before
    assert aged.ask("backup", "create").returncode == 0
    done = aged.ask("retention", *args)

    assert done.returncode == 0, done.stdout
    assert "2 files dropped; " in done.stdout
    assert len(names(aged.base)) == 2
    assert rows(aged.base) == before
    assert aged.ask("check").returncode == 0
    again = aged.ask("retention", *args)
    assert "there is nothing to do" in again.stdout
    assert aged.ask("recover", "--force").returncode == 0
    assert rows(aged.base) == before


def test_a_backup_that_lacks_what_was_dropped_is_not_restored(aged):
    """
    An older backup cannot be brought up to date any more: exit 2, and nothing changes.
    """
    assert aged.ask("backup", "create").returncode == 0
    (old,) = (aged.base / "backups").glob("*.sqlite")
    oldest = SegmentReader(aged.base / "raw").segments()[0].id
    with contextlib.closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("DELETE FROM cursors WHERE segment = ?", (oldest,))
    old = old.rename(old.with_name("telemetry_backup_20200101_000000.sqlite"))
    assert aged.ask("backup", "create").returncode == 0
    before = rows(aged.base)
    assert aged.ask("backup", "restore", old.name, "--dry-run").returncode == 0
    done = aged.ask("retention", "--drop-after", "2d", "--apply", "--yes")
    assert done.returncode == 0, done.stdout
    refused = aged.ask("backup", "restore", old.name, "--yes")

    assert refused.returncode == 2
    assert "restore the newest verified backup" in refused.stderr
    assert rows(aged.base) == before
    assert aged.ask("backup", "restore", "--yes").returncode == 0
    assert rows(aged.base) == before


def test_a_damaged_backup_drops_nothing(aged):
    """
    The backup is looked through before anything relies on it: exit 5.
    """
    assert aged.ask("backup", "create").returncode == 0
    (backup,) = (aged.base / "backups").glob("*.sqlite")
    status = backup.stat()
    data = bytearray(backup.read_bytes())
    data[len(data) // 2 :] = b"\xff" * (len(data) - len(data) // 2)
    backup.write_bytes(data)
    os.utime(backup, ns=(status.st_atime_ns, status.st_mtime_ns))
    files = names(aged.base)
    done = aged.ask("retention", "--drop-after", "90d", "--apply", "--yes")

    assert done.returncode in {1, 5}
    assert names(aged.base) == files
    held = aged.ask("retention", "--drop-after", "90d")
    assert held.returncode == 1
    assert "no verified backup" in held.stdout


def test_a_sink_that_lags_keeps_its_files(aged):
    """
    A position that any sink has left counts, also of one that is not at work now.
    """
    assert aged.ask("backup", "create").returncode == 0
    cursors = aged.base / "state" / "cursors"
    cursors.mkdir(exist_ok=True, mode=0o700)
    (cursors / "http_records.json").write_text('{"segments":{}}')
    files = names(aged.base)
    done = aged.ask("retention", "--drop-after", "90d", "--apply", "--yes")

    assert done.returncode == 1
    assert "http_records has not read it to its end" in done.stdout
    assert names(aged.base) == files


def test_deleted_runs_stay_deleted(aged):
    """
    A rebuild, and a backup of before the deletion with the journal after it, come to the same.
    """
    assert aged.ask("backup", "create").returncode == 0
    document = aged.json("retention", "--runs-older-than", "50d", "--apply", "--yes")
    assert document["applied"] is True
    assert document["done"]["deleted_runs"] == 2
    assert document["done"]["problems"] == []
    after = rows(aged.base)
    assert {row["run_id"] for row in aged.json("runs", "--limit", "0")["runs"]} == {
        "run-0",
        "run-1",
    }
    assert aged.ask("recover", "--force").returncode == 0
    assert rows(aged.base) == after
    (backup,) = (aged.base / "backups").glob("*.sqlite")
    assert aged.ask("backup", "restore", backup.name, "--yes").returncode == 0
    assert rows(aged.base) == after
    assert aged.ask("check").returncode == 0


def test_backups_are_pruned(aged):
    """
    As by telemetry backup prune: the newest verified one always stays.
    """
    assert aged.ask("backup", "create").returncode == 0
    old = aged.base / "backups" / "telemetry_backup_20200101_000000.sqlite"
    old.write_bytes(b"old")
    assert "1 to be removed" in aged.ask("retention", "--prune-backups").stdout
    done = aged.ask("retention", "--prune-backups", "--keep-days", "0", "--apply", "--yes")

    assert "1 backup removed" in done.stdout
    assert not old.exists()
    assert len(list((aged.base / "backups").glob("*.sqlite"))) == 1


def test_one_operator_at_a_time(aged):
    """
    While another command changes the base directory it waits, and then exits with 4.
    """
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _OPERATOR,
            str(aged.base / "state" / "maintenance.lock"),
        ],
        env=aged.env(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "True\n"
        done = aged.ask("retention", "--keep-runs", "1", "--apply", "--yes", "--wait", "0")
        assert done.returncode == 4
        assert "one operator at a time" in done.stderr
        # To look is allowed.
        assert aged.ask("retention", "--keep-runs", "1").returncode == 0
    finally:
        holder.communicate()


def test_agents_go_on(aged):
    """
    While an agent writes, retention does its work, and nothing that the agent said is lost.
    """
    agent = subprocess.Popen(
        [sys.executable, "-c", _AGENT], env=aged.env(), stdout=subprocess.PIPE, text=True
    )
    try:
        said = [agent.stdout.readline().strip() for _ in range(3)]
        assert aged.ask("backup", "create").returncode == 0
        args = ("--compress-after", "7d", "--drop-after", "90d", "--runs-older-than", "50d")
        done = aged.ask("retention", *args, "--apply", "--yes", "--wait", "60", "--json")
        said += [agent.stdout.readline().strip() for _ in range(3)]
    finally:
        agent.send_signal(signal.SIGKILL)
        said += [line.strip() for line in agent.communicate()[0].splitlines()[:-1]]
    document = json.loads(done.stdout)["done"]
    assert (document["compressed"], document["dropped"], document["deleted_runs"]) == (1, 2, 2)
    assert aged.ask("runs").returncode == 0
    with contextlib.closing(sqlite3.connect(aged.base / "db" / "telemetry.sqlite")) as connection:
        kept = {run for (run,) in connection.execute("SELECT run_id FROM agent_runs")}

    assert set(said) <= kept
    assert not {"run-2", "run-3"} & kept
    assert len(SegmentReader(aged.base / "raw").segments()) == 2


def test_a_gap_of_dropped_days_is_no_loss(telemetry):
    """
    What retention dropped between two days that stay is no missing record; a hole in a day is one.
    """
    journal = NdjsonJournal(telemetry.base / "raw")
    noon = datetime.now(timezone.utc).replace(hour=12, minute=0, second=0, microsecond=0)
    moments = [noon - age * DAY for age in (400, 300, 200, 0)]
    for number, moment in enumerate(moments):
        for step in (1, 2, 3):
            assert journal.append(
                encode_line(
                    "event",
                    id=f"{7:016x}-{3 * number + step}",
                    timestamp=moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                    event_id="key",
                    run_id="run",
                    event_type="step",
                    payload=b"1",
                ),
                int(moment.timestamp()),
            )
    journal.close()
    oldest, *dropped, newest = sorted((telemetry.base / "raw").iterdir())
    for path in (oldest, *dropped):
        os.utime(path, (1, 1))
    assert telemetry.ask("query", "SELECT 1").returncode == 0
    assert telemetry.ask("backup", "create").returncode == 0
    os.utime(oldest)
    done = telemetry.ask("retention", "--drop-after", "50d", "--apply", "--yes")
    assert "2 files dropped" in done.stdout
    assert names(telemetry.base) == [oldest.name, newest.name]

    sound = telemetry.ask("check")
    assert sound.returncode == 0, sound.stdout
    assert "6 records are in none of the files" in sound.stdout
    lines = newest.read_bytes().splitlines(keepends=True)
    newest.write_bytes(b"".join(lines[:2] + lines[3:]))
    lost = telemetry.ask("check")
    assert lost.returncode == 1
    assert f"1 record of writer {7:016x} is missing (numbers 11)" in lost.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX's")
def test_a_terminal_is_told_what_takes_long(aged):
    """
    The database is written anew without a word only where nobody watches.
    """
    import pty

    reading, terminal = pty.openpty()
    args = ("retention", "--keep-runs", "1", "--apply", "--yes")
    done = aged(*args, capture_output=False, stdout=terminal, stderr=terminal)
    os.close(terminal)
    screen = b""
    with contextlib.suppress(OSError):  # how Linux says that a terminal has ended
        while piece := os.read(reading, 1 << 16):
            screen += piece
    os.close(reading)

    assert done.returncode == 0, screen
    assert b"writing the database anew" in screen
    assert b"writing the database anew" not in aged.ask(*args).stdout.encode()
