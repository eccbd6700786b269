"""
What can be repaired in a database as it stands, without making it anew.

Indexes and roll-ups are made again of the rows; a row that is not what its fold gives is folded
again of its records; a log that another file left under this one's name is put aside.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import attrs

from telemetry.model.codec import decode_line
from telemetry.model.errors import PausedSinkError, TelemetryError
from telemetry.model.records import RecordType
from telemetry.storage.appendfile import create_exclusively
from telemetry.storage.aside import free_name, swap_in
from telemetry.storage.chunks import chunks_of
from telemetry.storage.copying import discard, sync_closed
from telemetry.storage.ddl import DATABASE_VERSION
from telemetry.storage.migrations import create_missing_indexes
from telemetry.storage.recovery import check, check_folds
from telemetry.storage.rollups import recount, wrong_rollups
from telemetry.storage.rows import apply
from telemetry.storage.sqlite import (
    MalformedDatabaseError,
    connect,
    immediate,
    translated,
    user_version,
    wal_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from telemetry.model.records import Record
    from telemetry.sinks import Journal

_EVENT = RecordType.EVENT.value
_FORGET_SQL = (
    "DELETE FROM agent_runs WHERE event_id = ?",
    "DELETE FROM run_folds WHERE event_id = ?",
)


@attrs.frozen(kw_only=True)
class Healed:
    """
    What was repaired, and what could not be.
    """

    done: list[str]
    left: list[str]


def heal(db_path: Path, journal: Journal) -> Healed:
    """
    Repair what can be repaired in place.

    The caller holds the sink's lock. Each repair is one transaction: killed at any point, the
    database is as it was or as it is to be.

    Raises:
        OSError: There is no room for a copy of the database.
        SinkError: The database cannot be written.
    """
    done: list[str] = []
    if db_path.exists():
        stray = _put_stray_log_aside(db_path) if check(db_path) else None
        if stray is not None:
            done.append(f"the log of another file is kept as {stray.name}")
        with contextlib.suppress(MalformedDatabaseError, PausedSinkError):
            done += _repair(db_path, journal)
    return Healed(done=done, left=check(db_path))


def _repair(db_path: Path, journal: Journal) -> list[str]:
    done = []
    with translated(db_path), contextlib.closing(connect(db_path)) as connection:
        if user_version(connection) != DATABASE_VERSION:
            return []
        before = _index_count(connection)
        create_missing_indexes(connection)
        if _index_count(connection) > before:
            done.append(f"{_index_count(connection) - before} indexes were made")
        if _reindex(connection):
            done.append("the indexes were made again of the rows")
        broken = list(check_folds(connection))
        if broken:
            with immediate(connection):
                _fold_again(connection, journal, {event_id for event_id, _ in broken})
            done.append(f"{len(broken)} runs were folded again of their records")
        if next(wrong_rollups(connection), None) is not None:
            with immediate(connection):
                recount(connection)
            done.append("the roll-ups were counted again")
    return done


def _index_count(connection: sqlite3.Connection) -> int:
    sql = "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name LIKE 'idx_%'"
    return int(connection.execute(sql).fetchone()[0])


def _reindex(connection: sqlite3.Connection) -> bool:
    """
    Make indexes again where they alone are wrong.
    """
    found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(100)")]
    if found == ["ok"] or not all("index" in text for text in found):
        return False
    connection.execute("REINDEX")
    return True


def _fold_again(connection: sqlite3.Connection, journal: Journal, event_ids: set[str]) -> None:
    """
    Write the rows of runs anew: of the records beside them and of those in the journal.

    A run of which neither has a record is left as it is.
    """
    records: dict[str, Record] = {}
    for event_id in event_ids:
        rows = connection.execute("SELECT body FROM run_records WHERE event_id = ?", (event_id,))
        for (body,) in rows.fetchall():
            record = decode_line(body.encode())
            records[record.id] = record
    for record in _of_runs(journal, event_ids):
        records[record.id] = record
    known = {record.event_id for record in records.values()}
    for statement in _FORGET_SQL:
        connection.executemany(statement, [(event_id,) for event_id in known])
    apply(connection, list(records.values()))


def _of_runs(journal: Journal, event_ids: set[str]) -> Iterator[Record]:
    for segment in journal.segments():
        for chunk in chunks_of(journal, segment, without=(RecordType.EVENT,)):
            yield from _wanted(chunk.records, event_ids)


def _wanted(records: Iterable[Record], event_ids: set[str]) -> Iterator[Record]:
    for record in records:
        if record.event_id in event_ids and record.record_type != _EVENT:
            yield record


def _put_stray_log_aside(db_path: Path) -> Optional[Path]:
    """
    Put a log aside if the database is sound without it, and not with it.

    The database then is as it was when it was last written back, and its cursors say so: what came
    since is in the journal. A copy takes its place, so that a process which has it open with that
    log sees that it was replaced, and writes no page of the one into the other.
    """
    if not wal_bytes(db_path):
        return None
    successor = free_name(db_path, "rebuilding")
    try:
        create_exclusively(successor, b"")
        # By its bytes, for SQLite's own copy would take the log along. Nothing of this process has
        # the database open: closing the file drops no lock.
        shutil.copyfile(db_path, successor)
        if not _is_sound_alone(successor):
            return None
        sync_closed(successor)
        aside = swap_in(db_path, successor)
    finally:
        discard(successor)
    return Path(f"{aside}-wal")


def _is_sound_alone(db_path: Path) -> bool:
    """
    Return whether the file without its log is whole; nothing is written for the answer.
    """
    uri = f"{db_path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
            return found == ["ok"] and next(iter(check_folds(connection)), None) is None
    except (sqlite3.Error, TelemetryError):
        return False
