import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from telemetry.storage.backup import (
    Fault,
    UnusableBackupError,
    contents,
    create,
    require_ours,
    verify,
)
from telemetry.storage.backupfiles import (
    BackupFile,
    BackupPathError,
    find,
    id_of,
    list_backups,
    name_for,
    note_verified,
    publish,
    superfluous,
    sweep,
)
from telemetry.storage.recovery import differences
from telemetry.storage.restore import Wish, restore
from telemetry_plugins.sqlite import SqliteSink

NOW = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)


@pytest.fixture
def backups(tmp_path):
    """
    Return the directory of backups, which does not exist yet.
    """
    return tmp_path / "backups"


@pytest.fixture
def made(db, backups, tell, follow):
    """
    Return a backup of a database with three runs.
    """
    for number in range(1, 4):
        tell(number, events=3)
    follow()
    return create(db, backups)[0]


def test_a_backup_says_what_it_holds(made, backups):
    """
    Runs, time, version and position are in the file; nothing else is left in the directory.
    """
    said = contents(made)

    assert (said.run_count, said.segment_count, said.version) == (3, 1, require_ours(made))
    assert said.journal_bytes > 0
    assert abs(said.created_at - datetime.now(timezone.utc)) < timedelta(minutes=5)
    assert sorted(path.name for path in backups.iterdir()) == [made.name, "verified.json"]


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_a_backup_is_its_owners(made, backups):
    """
    The files are made for one user, whatever the umask.
    """
    assert backups.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in backups.iterdir()} == {0o600}


def test_a_backup_under_load_is_one_moment(db, backups, journal, tell, tmp_path):
    """
    While another thread drains, a backup is whole; restored and replayed, it is the live database.
    """
    sink = SqliteSink(db)
    sink.cursors()
    is_over = threading.Event()
    paths = []

    def back_up():
        while not is_over.is_set() or not paths:
            paths.append(create(db, backups)[0])

    thread = threading.Thread(target=back_up)
    thread.start()
    for number in range(60):
        tell(number, events=2)
        cursors = sink.cursors()
        for segment in journal.segments():
            chunk = journal.read(segment, cursors.get(segment.id), 1 << 24)
            sink.write(chunk.records, chunk.cursor)
    is_over.set()
    thread.join()
    sink.close()

    assert differences(db, journal) == []
    for number, path in enumerate([paths[0], paths[len(paths) // 2], paths[-1]]):
        restored = tmp_path / f"{number}" / "telemetry.sqlite"
        restored.parent.mkdir()
        restore(restored, journal, path, Wish())
        assert differences(restored, journal) == []
        assert contents(path).run_count <= 60


def test_names_of_one_second_differ(tmp_path):
    """
    A backup never replaces another of the same name.
    """
    for number in range(3):
        (tmp_path / "scratch").write_text(str(number))
        publish(tmp_path / "scratch", tmp_path, NOW)

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "telemetry_backup_20261122_120000.sqlite",
        "telemetry_backup_20261122_120000_2.sqlite",
        "telemetry_backup_20261122_120000_3.sqlite",
    ]
    assert (tmp_path / name_for(NOW)).read_text() == "0"


def test_both_old_names_are_read(tmp_path):
    """
    Backups of the original's two scripts are listed with the time in their names, newest first.
    """
    names = {
        "telemetry_backup_20251211_101530.sqlite": "2025-12-11T10:15:30",
        "telemetry.backup.20251210_080000.sqlite": "2025-12-10T08:00:00",
        "telemetry.backup.20251210.sqlite": "2025-12-10T00:00:00",
    }
    for name in (
        *names,
        "telemetry_backup_20251399_101530.sqlite",
        "notes.txt",
        "telemetry.sqlite",
    ):
        (tmp_path / name).write_text("x")
    (tmp_path / "telemetry_backup_20251211_101531.sqlite").mkdir()

    assert {
        backup.path.name: backup.created_at.isoformat()[:19] for backup in list_backups(tmp_path)
    } == names


def test_a_note_is_about_the_file_as_it_was(made):
    """
    A backup that changed since it was verified is not verified any more.
    """
    assert list_backups(made.parent)[0].is_verified
    with made.open("ab") as file:
        file.write(b"x")
    assert not list_backups(made.parent)[0].is_verified
    note_verified(made, "it is damaged")
    (backup,) = list_backups(made.parent)
    assert (backup.is_verified, backup.problem) == (False, "it is damaged")


def test_damaged_notes_are_no_notes(made):
    """
    Without its notes, a backup counts as not verified.
    """
    for text in ("", "[]", f'{{"{made.name}": 7}}', f'{{"{made.name}": {{"at": "x"}}}}'):
        (made.parent / "verified.json").write_text(text)
        assert not list_backups(made.parent)[0].is_verified


def test_found_by_id_name_and_path(made, backups, tmp_path, monkeypatch):
    """
    An id, the beginning of one, a name and a path mean the same backup.
    """
    monkeypatch.chdir(tmp_path)
    identity = id_of(made.name)
    for reference in (identity, identity[:4], made.name, str(made), f"backups/{made.name}"):
        assert find(backups, reference).name == made.name


@pytest.mark.parametrize(
    "reference",
    ["", "0000", "missing", "../db/missing", "a\0b", "x" * 5000, "/", "NUL", "CON.sqlite"],
)
def test_what_means_no_backup(made, backups, reference):
    """
    Whatever means no backup is not found, or is refused.
    """
    with pytest.raises((FileNotFoundError, BackupPathError)):
        find(backups, reference)


def test_elsewhere_only_when_allowed(made, backups, db):
    """
    A path outside the directory, also in disguise, is refused unless it is allowed in words.
    """
    for reference in (str(db), f"../db/{db.name}", f"{backups}/../db/{db.name}"):
        with pytest.raises(BackupPathError, match="must lie in"):
            find(backups, reference)
    assert find(backups, str(db), anywhere=True) == db


@pytest.mark.skipif(os.name == "nt", reason="links need rights")
def test_links_are_refused(made, backups, db):
    """
    A link is no backup: not in a list, not by name, not where other places are allowed.
    """
    link = backups / "telemetry_backup_20200101_000000.sqlite"
    link.symlink_to(db)

    assert [backup.path for backup in list_backups(backups)] == [made]
    for anywhere in (False, True):
        with pytest.raises(BackupPathError, match="a link"):
            find(backups, link.name, anywhere=anywhere)
    with pytest.raises(UnusableBackupError, match="link"):
        verify(link)


def test_an_id_that_means_several_is_refused(tmp_path):
    """
    The beginning of several ids means none of them.
    """
    by_start = {}
    for number in range(400):
        name = name_for(NOW + timedelta(seconds=number))
        (tmp_path / name).write_text("x")
        by_start.setdefault(id_of(name)[:4], []).append(name)
    twice = next(start for start, names in by_start.items() if len(names) > 1)

    with pytest.raises(BackupPathError, match="means 2"):
        find(tmp_path, twice)


def _change(path, *statements):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def _of_another(path):
    path.unlink()
    _change(path, "CREATE TABLE notes (text)", "INSERT INTO notes VALUES ('x')")


def _of_the_original(path):
    path.unlink()
    _change(path, "CREATE TABLE agent_runs (run_id TEXT)")


def _flip(path):
    data = bytearray(path.read_bytes())
    for page in range(8192, len(data), 8192):
        data[page + 8 : page + 64] = b"\xa5" * 56
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda path: path.write_bytes(b"no database" * 1000), Fault.NOT_A_DATABASE),
        (lambda path: path.write_bytes(b""), Fault.NOT_A_DATABASE),
        (lambda path: os.truncate(path, path.stat().st_size // 2), Fault.TRUNCATED),
        (lambda path: os.truncate(path, 4096), Fault.TRUNCATED),
        (_flip, Fault.DAMAGED),
        (_of_another, Fault.FOREIGN),
        (_of_the_original, Fault.ORIGINAL),
        (lambda path: _change(path, "PRAGMA user_version = 9999"), Fault.FUTURE),
        (lambda path: _change(path, "DELETE FROM run_folds"), Fault.DAMAGED),
        (lambda path: _change(path, "CREATE VIEW v AS SELECT 1"), Fault.FOREIGN),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else "",
)
def test_what_cannot_be_restored(made, db, journal, spoil, fault):
    """
    Each kind of unusable file is told apart, and replaces nothing.
    """
    spoil(made)
    before = db.read_bytes()

    with pytest.raises(UnusableBackupError) as caught:
        verify(made)
    assert caught.value.fault is fault
    with pytest.raises((UnusableBackupError, OSError, RuntimeError)):
        restore(db, journal, made, Wish())
    assert db.read_bytes() == before
    assert {path.name.replace(db.name, "") for path in db.parent.iterdir()} <= {"", "-wal", "-shm"}


def test_a_damaged_database_gives_no_backup(made, db, backups):
    """
    What is not whole is not kept, and what was kept stays.
    """
    _change(db, "DELETE FROM run_folds WHERE event_id = 'key-1'")
    before = sorted(backups.iterdir())

    with pytest.raises(UnusableBackupError, match="key-1"):
        create(db, backups)
    assert sorted(backups.iterdir()) == before


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are POSIX's")
def test_no_room_in_the_middle(db, backups, tell, follow):
    """
    A disk that fills up leaves no half backup.
    """
    import resource

    tell(1, events=300, error_details="x" * 1000)
    follow()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
    try:
        with pytest.raises(OSError, match="make room"):
            create(db, backups)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert list(backups.iterdir()) == []


def test_no_room_is_seen_before(db, backups, tell, follow, monkeypatch):
    """
    Where there is plainly no room nothing is begun.
    """
    tell(1)
    follow()
    monkeypatch.setattr("shutil.disk_usage", lambda _: _Disk)

    with pytest.raises(OSError, match=r"no room for a backup of .* are free"):
        create(db, backups)


class _Disk:
    free = 100


def test_a_locked_database_is_an_outage(db, backups, tell, follow, monkeypatch):
    """
    A database that somebody holds exclusively is said to be held; nothing is left.
    """
    from telemetry.model.errors import TransientSinkError
    from telemetry.storage import sqlite

    tell(1)
    follow()
    monkeypatch.setattr(sqlite, "READER_BUSY_TIMEOUT_S", 0.05)
    holder = sqlite3.connect(db, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    holder.execute("UPDATE agent_runs SET status = status")
    try:
        with pytest.raises(TransientSinkError, match="must be readable"):
            create(db, backups)
    finally:
        holder.close()

    assert list(backups.iterdir()) == []


def test_what_a_killed_backup_leaves_is_swept(made, backups):
    """
    Unfinished files are no backups, and go with the next.
    """
    for suffix in ("", "-journal"):
        (backups / f".telemetry_backup_0123456789abcdef.tmp{suffix}").write_text("x")
    assert [backup.path for backup in list_backups(backups)] == [made]
    sweep(backups)

    assert sorted(path.name for path in backups.iterdir()) == [made.name, "verified.json"]


def _backup(days, *, verified=True):
    created = NOW - timedelta(days=days)
    return BackupFile(
        id=str(days),
        path=Path(name_for(created)),
        size_bytes=1,
        created_at=created,
        verified_at=NOW if verified else None,
    )


@pytest.mark.parametrize(
    ("rule", "going"),
    [
        ({"keep": 2}, [5, 9]),
        ({"keep": 0}, [3, 5, 9]),
        ({"keep_days": 4}, [5, 9]),
        ({"keep_days": 4, "keep": 3}, [9]),
        ({"keep_days": 0.5}, [3, 5, 9]),
        ({"keep": 99}, []),
    ],
)
def test_old_ones_go(rule, going):
    """
    What neither count nor age keeps goes; the newest never does.
    """
    backups = [_backup(days) for days in (1, 3, 5, 9)]

    assert [int(one.id) for one in superfluous(backups, NOW, **rule)] == going


def test_the_newest_verified_stays():
    """
    A count or an age never takes the newest backup that is known to be whole.
    """
    backups = [_backup(1, verified=False), _backup(3), _backup(5)]

    assert [int(one.id) for one in superfluous(backups, NOW, keep=1)] == [5]
    assert [int(one.id) for one in superfluous(backups, NOW, keep=0)] == [1, 5]
    assert superfluous([], NOW, keep=0) == []


def test_a_backup_can_be_read_without_writing(made):
    """
    A backup needs nothing beside it: it is one file, readable from a place that cannot be written.
    """
    code = (
        "import sqlite3, sys; c = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro&immutable=1', uri=True);"
        "print(c.execute('SELECT count(*) FROM agent_runs').fetchone()[0],"
        " c.execute('PRAGMA journal_mode').fetchone()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(made)], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["3", "delete"]
