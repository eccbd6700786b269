"""
Copies of the database, made while it is written, and whether such a file can be restored.

A copy is one snapshot: SQLite's own backup interface reads it inside one transaction, so that
writers go on and the copy holds the rows together with the cursors that they belong to. What the
journal has beyond those cursors is replayed when the backup is restored.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import sqlite3
import stat
from datetime import datetime, timezone
from enum import Enum
from typing import TYPE_CHECKING, Optional

import attrs

from telemetry.model.errors import TelemetryError
from telemetry.model.words import in_bytes
from telemetry.storage.appendfile import create_exclusively, make_private_directory
from telemetry.storage.backupfiles import note_verified, publish, scratch_for
from telemetry.storage.copying import INFO_TABLE, copy_database, discard, sync_closed, writable
from telemetry.storage.ddl import DATABASE_VERSION
from telemetry.storage.recovery import check
from telemetry.storage.sqlite import connect_read_only, user_version, wal_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.storage.copying import Progress

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_OTHER = "name another file"
_INFO_SQL = f"CREATE TABLE {INFO_TABLE} (key TEXT NOT NULL PRIMARY KEY, value TEXT) WITHOUT ROWID"


class Fault(str, Enum):
    """
    Why a file cannot be restored.
    """

    NOT_A_DATABASE = "not a database"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    ORIGINAL = "of the original system"
    FOREIGN = "of another application"
    FUTURE = "of a newer release"
    TOO_NEW = "made too late"


class UnusableBackupError(TelemetryError, ValueError):
    """
    A file cannot be restored.
    """

    def __init__(self, message: str, fault: Fault) -> None:
        super().__init__(message)
        self.fault = fault


@attrs.frozen(kw_only=True)
class Contents:
    """
    What a backup says of itself.
    """

    path: Path
    version: int
    run_count: int
    #: None for a file that was not made by `create`.
    created_at: Optional[datetime]
    #: How many segments of the journal it has records of, and how many of their bytes.
    segment_count: int
    journal_bytes: int


def create(
    db_path: Path, directory: Path, *, progress: Optional[Progress] = None
) -> tuple[Path, Contents]:
    """
    Write a backup of a database that others may be writing, verify it, and give it its name.

    Until it is complete, on the disk and verified, nothing in the directory looks like a backup.

    Args:
        progress: Told the bytes done and the bytes in all.

    Raises:
        UnusableBackupError: The copy is not whole, because the database is damaged.
        OSError: The directory cannot be written, or has no room.
        SinkError: The database cannot be read now.
    """
    make_private_directory(directory)
    _require_room(db_path, directory)
    scratch = scratch_for(directory)
    created_at = datetime.now(timezone.utc)
    create_exclusively(scratch, b"")
    try:
        copy_database(db_path, scratch, progress=progress)
        with writable(scratch), contextlib.closing(sqlite3.connect(scratch)) as connection:
            _describe(connection, created_at)
        sync_closed(scratch)
        verify(scratch, shown_as=db_path)
        path = publish(scratch, directory, created_at)
    finally:
        discard(scratch)
    note_verified(path)
    return path, contents(path)


def verify(path: Path, *, shown_as: Optional[Path] = None) -> None:
    """
    Look through a backup: its pages, its tables, and each run's row against its fold.

    Args:
        shown_as: The file to name in messages.

    Raises:
        UnusableBackupError: It cannot be restored.
        FileNotFoundError: It does not exist.
    """
    version = require_ours(path, shown_as=shown_as)
    problems = check(path) if version == DATABASE_VERSION else _quick_check(path)
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise UnusableBackupError(
            f"{shown_as or path} must be whole (got {problems[0]!r}{more}); take another backup",
            Fault.DAMAGED,
        )


def require_ours(path: Path, *, shown_as: Optional[Path] = None) -> int:
    """
    Return the version of a database of this library, by its first page alone.

    Raises:
        UnusableBackupError: It is none, is cut short, or is a newer release's.
        FileNotFoundError: It does not exist.
    """
    shown = shown_as or path
    _require_whole(path, shown)
    try:
        with contextlib.closing(connect_read_only(path)) as connection:
            version = user_version(connection)
            tables = {
                row[0]
                for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
            programs = connection.execute(
                "SELECT count(*) FROM sqlite_master WHERE type IN ('trigger', 'view')"
            ).fetchone()[0]
    except (sqlite3.Error, TelemetryError) as error:
        raise UnusableBackupError(
            f"{shown} must be a database that can be read (got {error}); take another backup",
            Fault.DAMAGED,
        ) from error
    if version > DATABASE_VERSION:
        raise UnusableBackupError(
            f"{shown} must have at most version {DATABASE_VERSION} (got {version});"
            " install the newer release that made it",
            Fault.FUTURE,
        )
    if "run_folds" not in tables or version == 0:
        fault = Fault.ORIGINAL if "agent_runs" in tables else Fault.FOREIGN
        way_out = "telemetry import takes over its runs" if "agent_runs" in tables else _OTHER
        raise UnusableBackupError(
            f"{shown} must be a database of this library (got one {fault.value}); {way_out}", fault
        )
    if programs:
        raise UnusableBackupError(
            f"{shown} must have tables and indexes only (got {programs} triggers or views);"
            " restore another backup",
            Fault.FOREIGN,
        )
    return version


def contents(path: Path) -> Contents:
    """
    Return what a backup says of itself, without looking through it.

    Raises:
        UnusableBackupError: It cannot be restored.
    """
    version = require_ours(path)
    with contextlib.closing(connect_read_only(path)) as connection:
        info = _info(connection)
        segments, total = connection.execute(
            "SELECT count(*), coalesce(sum(offset), 0) FROM cursors"
        ).fetchone()
        run_count = info.get("run_count")
        if run_count is None:
            run_count = connection.execute("SELECT count(*) FROM agent_runs").fetchone()[0]
    created_at = info.get("created_at")
    return Contents(
        path=path,
        version=version,
        run_count=int(run_count),
        created_at=datetime.fromisoformat(created_at) if created_at else None,
        segment_count=segments,
        journal_bytes=total,
    )


def _describe(connection: sqlite3.Connection, created_at: datetime) -> None:
    with connection:
        connection.execute(f"DROP TABLE IF EXISTS {INFO_TABLE}")
        connection.execute(_INFO_SQL)
        (run_count,) = connection.execute("SELECT count(*) FROM agent_runs").fetchone()
        connection.executemany(
            f"INSERT INTO {INFO_TABLE} VALUES (?, ?)",
            [("created_at", created_at.isoformat()), ("run_count", str(run_count))],
        )


def _info(connection: sqlite3.Connection) -> dict[str, str]:
    try:
        return dict(connection.execute(f"SELECT key, value FROM {INFO_TABLE}").fetchall())
    except sqlite3.OperationalError:
        return {}


def _quick_check(path: Path) -> list[str]:
    with contextlib.closing(connect_read_only(path)) as connection:
        found = [row[0] for row in connection.execute("PRAGMA quick_check(20)")]
    return [] if found == ["ok"] else found


def _require_room(db_path: Path, directory: Path) -> None:
    needed = db_path.stat().st_size + wal_bytes(db_path)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"no room for a backup of {in_bytes(needed)}, {in_bytes(free)} are free",
            str(directory),
        )


def _require_whole(path: Path, shown: Path) -> None:
    """
    Compare what the first page says of the file with the file.
    """
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise UnusableBackupError(
            f"{shown} must be a file (got a link or a directory); name the file itself",
            Fault.NOT_A_DATABASE,
        )
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        raise UnusableBackupError(
            f"{shown} must be a database (got a file of {status.st_size} bytes that is none);"
            f" {_OTHER}",
            Fault.NOT_A_DATABASE,
        )
    page_bytes = int.from_bytes(header[16:18], "big")
    page_bytes = 65_536 if page_bytes == 1 else page_bytes
    expected = page_bytes * int.from_bytes(header[28:32], "big")
    # A log beside it may hold pages that the file itself has not yet.
    if status.st_size < expected and not wal_bytes(path):
        raise UnusableBackupError(
            f"{shown} must be whole (it has {status.st_size} of {expected} bytes);"
            " take another backup",
            Fault.TRUNCATED,
        )
