from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import sqlite3

import pytest
from needs import unable

from telemetry.storage.ddl import INDEX_NAMES

INDEX = min(INDEX_NAMES)


@pytest.fixture
def copied(recorded, telemetry):
    """
    A base directory of its own with runs of every kind.
    """
    shutil.copytree(recorded.base, telemetry.base)
    return telemetry


def _change(shell, *statements):
    path = shell.base / "db" / "telemetry.sqlite"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def _journal(shell):
    return next((shell.base / "raw").glob("*.ndjson"))


def _found(shell, *args):
    done = shell.ask("check", *args, "--json")
    document = json.loads(done.stdout)
    return done.returncode, [
        (one["area"], one["level"], one["text"]) for one in document["findings"]
    ]


@pytest.mark.parametrize("args", [[], ["--quick"], ["--full"]])
def test_a_sound_base_is_sound(copied, args):
    """
    Exit 0, one plain sentence, and nothing is changed.
    """
    before = _journal(copied).read_bytes()
    done = copied.ask("check", *args)

    assert done.returncode == 0, done.stdout
    assert "is sound" in done.stdout
    assert _journal(copied).read_bytes() == before


def test_what_is_missing_exits_with_3(telemetry):
    """
    A directory with neither journal nor database has nothing to check.
    """
    done = telemetry.ask("check")

    assert done.returncode == 3
    assert not telemetry.base.exists()


@pytest.mark.parametrize(
    ("statement", "code", "area"),
    [
        ("DELETE FROM run_folds WHERE rowid = 1", 5, "rows"),
        ("DELETE FROM agent_runs WHERE rowid = 1", 5, "rows"),
        ("UPDATE run_rollups SET success_count = 77", 5, "roll-ups"),
        (f"DROP INDEX {INDEX}", 1, "schema"),
        ("DROP TABLE commits", 5, "schema"),
        ("ALTER TABLE agent_runs DROP COLUMN product", 5, "schema"),
        ("CREATE TRIGGER t AFTER DELETE ON commits BEGIN SELECT 1; END", 1, "schema"),
        ("CREATE TABLE mine (text)", 0, "schema"),
        ("UPDATE cursors SET offset = offset + 99999", 1, "cursors"),
        ("UPDATE cursors SET fingerprint = 1", 1, "cursors"),
        ("INSERT INTO cursors VALUES ('sqlite', 'gone', 7, 7)", 1, "cursors"),
    ],
)
def test_each_fault_is_named(copied, statement, code, area):
    """
    What does not fit is named by its area, with an exit code that says how much it matters.
    """
    if "DROP COLUMN" in statement and sqlite3.sqlite_version_info < (3, 35):
        unable("this SQLite cannot drop columns")
    _change(copied, statement)
    found = _found(copied)

    assert found[0] == code, found
    assert {name for name, _, _ in found[1]} <= {area, "rows", "roll-ups"}
    assert area in {name for name, _, _ in found[1]}


def test_what_heals_is_healed(copied):
    """
    Missing indexes, wrong roll-ups and rows that are not their folds are repaired in place.
    """
    expected = copied.json("runs", "--limit", "0")["runs"]
    _change(
        copied,
        f"DROP INDEX {INDEX}",
        "UPDATE run_rollups SET success_count = 77",
        "DELETE FROM run_folds WHERE rowid = 1",
        "DELETE FROM agent_runs WHERE rowid = 2",
        "UPDATE run_folds SET state = 'rubbish' WHERE rowid = 3",
    )
    assert copied.ask("check").returncode == 5
    done = copied.ask("recover", "--heal")

    assert done.returncode == 0, done.stdout
    assert "3 runs were folded again" in done.stdout
    assert copied.ask("check", "--full").returncode == 0
    assert copied.json("runs", "--limit", "0")["runs"] == expected
    assert not list((copied.base / "db").glob("*corrupted*"))
    again = copied.ask("recover", "--heal", "--json")
    assert json.loads(again.stdout)["done"] == []


def test_a_log_of_another_database_is_put_aside(copied, tmp_path):
    """
    A log that does not belong to the file under whose name it lies is kept, and no longer read.
    """
    database = copied.base / "db" / "telemetry.sqlite"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for tail in ("-wal", "-shm"):
        database.with_name(database.name + tail).unlink(missing_ok=True)
    other = tmp_path / "other.sqlite"
    with contextlib.closing(sqlite3.connect(other, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 3000,)] * 50)
        shutil.copy(f"{other}-wal", f"{database}-wal")
    assert copied.ask("check", "--quick").returncode == 5
    done = copied.ask("recover", "--heal")

    assert done.returncode == 0, done.stdout
    assert "the log of another file is kept as" in done.stdout
    assert list(database.parent.glob("telemetry.corrupted.*.sqlite-wal"))
    assert copied.ask("check", "--full").returncode == 0


def test_what_does_not_heal_is_left(copied):
    """
    Damage that needs the journal is named, with the command that repairs it.
    """
    (copied.base / "db" / "telemetry.sqlite").write_bytes(b"no database at all" * 1000)
    done = copied.ask("recover", "--heal")

    assert done.returncode == 5
    assert "telemetry recover makes the database anew" in done.stdout
    assert copied.ask("check").returncode == 5
    assert copied.ask("check", "--quick").returncode == 5


def test_damaged_lines_are_named_by_place(copied):
    """
    A cut line is what a kill leaves, exit 1; another line that cannot be read is damage, exit 5.
    """
    journal = _journal(copied)
    size = journal.stat().st_size
    with journal.open("ab") as file:
        file.write(b'{"lt":1,"record_type":"event","id":"00000000000000bb-1","ti\n')
    code, found = _found(copied)
    assert code == 1
    assert found[-1][0] == "journal"
    assert f"at offset {size} is cut short" in found[-1][2]

    with journal.open("ab") as file:
        file.write(b"\x00\x00rubbish\n")
    code, found = _found(copied)
    assert code == 5
    assert "is damaged" in found[-1][2]


def test_lost_records_are_counted(copied):
    """
    A gap in a writer's numbers is so many lost records, and an exit code of 1.
    """
    journal = _journal(copied)
    lines = journal.read_bytes().splitlines(keepends=True)
    del lines[3:5]
    journal.write_bytes(b"".join(lines))
    code, found = _found(copied)

    assert code == 1
    (text,) = [text for area, _, text in found if area == "sequence"]
    assert text.startswith("2 records of writer")


def test_lines_of_the_original_are_no_damage(copied):
    """
    The original's lines are counted, and the way to take them over is said.
    """
    with _journal(copied).open("ab") as file:
        file.write(b'{"event_id": "x", "run_id": "y"}\n' * 3)
    code, found = _found(copied)

    assert code == 0
    assert [text for _, _, text in found] == ["the journal has 3 lines of another program"]


def test_a_damaged_archive_is_damage(copied):
    """
    A compressed segment that cannot be inflated to its end is named.
    """
    journal = _journal(copied)
    data = bytearray(gzip.compress(journal.read_bytes()))
    data[len(data) // 2 : -4] = b""
    journal.with_name(journal.name + ".gz").write_bytes(data)
    journal.unlink()
    code, found = _found(copied)

    assert code == 5
    assert any("cannot be read" in text for area, _, text in found if area == "journal")


def test_a_retired_segment_is_fine_where_a_backup_has_it(copied):
    """
    Segments that the journal has no more need a verified backup; then nothing is amiss.
    """
    assert copied.ask("backup", "create").returncode == 0
    _journal(copied).unlink()
    assert _found(copied)[0] == 0
    shutil.rmtree(copied.base / "backups")
    code, found = _found(copied)

    assert code == 1
    assert "no verified backup has its records" in found[0][2]
    refused = copied.ask("recover", "--force")
    assert refused.returncode == 4
    assert "telemetry backup create" in refused.stderr
    assert copied.ask("backup", "create").returncode == 0
    expected = copied.json("runs", "--limit", "0")["runs"]
    done = copied.ask("recover", "--force")
    assert done.returncode == 0, done.stderr
    assert "it began with the backup" in done.stdout
    assert copied.json("runs", "--limit", "0")["runs"] == expected
