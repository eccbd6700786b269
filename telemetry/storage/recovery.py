"""
A database from the journal alone, and whether a database is what its journal says.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import time
from typing import TYPE_CHECKING, Callable, Optional

import attrs

from telemetry.model.errors import CodecError
from telemetry.model.fold import Fold
from telemetry.model.records import RecordType
from telemetry.storage.appendfile import create_exclusively
from telemetry.storage.aside import free_name, swap_in
from telemetry.storage.chunks import chunks_of
from telemetry.storage.copying import INFO_TABLE, copy_database, discard, sync_closed
from telemetry.storage.cursors import DATABASE_SINK, read_cursors, set_cursor
from telemetry.storage.ddl import RUN_COLUMNS
from telemetry.storage.looking import (
    UnreachableError,
    hold_still,
    is_unreachable,
    look_into,
    unreachable,
)
from telemetry.storage.migrations import create_missing_indexes, migrate
from telemetry.storage.rollups import wrong_rollups
from telemetry.storage.rows import apply_all_but
from telemetry.storage.sqlite import (
    connect,
    connect_read_only,
    immediate,
    translated,
)
from telemetry.storage.undo import UnknownUndoError, keep, time_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from telemetry.model.records import Record
    from telemetry.sinks import Cursor, Journal

_SEGMENT = RecordType.SEGMENT.value
_MAX_PROBLEMS = 20
_FOLDED_SQL = (
    f"SELECT {', '.join(f'r.{name}' for name in RUN_COLUMNS)}, f.state"
    " FROM agent_runs r LEFT JOIN run_folds f ON f.event_id = r.event_id"
)
_COMPARED = ("agent_runs", "run_events", "run_records", "commits")

Progress = Callable[[int, int], None]


@attrs.frozen(kw_only=True)
class Rebuilt:
    """
    What a rebuild did.
    """

    record_count: int
    run_count: int
    damaged_count: int
    damaged_bytes: int
    #: Ids of records whose values SQLite does not store.
    refused: Sequence[str]
    #: Where the former database is now; None when there was none.
    aside: Optional[Path]
    seconds: float


@attrs.frozen(kw_only=True)
class Start:
    """
    What a rebuild begins with, and how it ends.
    """

    #: A whole database to begin with, at its cursors; None to begin with nothing.
    base: Optional[Path] = None
    #: A time after which it holds no record.
    base_time: str = ""
    #: What was taken back, as far as it is known before the journal is read.
    decisions: Sequence[Record] = ()
    #: Where to stop in each segment, which holds none of the others; None for all of the journal.
    until: Optional[Mapping[str, Cursor]] = None
    #: Called with the finished database, before it takes the other's place; may refuse.
    before_swap: Optional[Callable[[Path], None]] = None
    #: The former database's new name.
    aside: Optional[Path] = None


_NOTHING = Start()


def rebuild(
    db_path: Path,
    journal: Journal,
    *,
    progress: Optional[Progress] = None,
    start: Start = _NOTHING,
) -> Rebuilt:
    """
    Make a database of what the journal has, and put it in the place of the present one.

    The present one is moved aside, never deleted. Nothing changes before the new one is complete
    and on the disk. The caller holds the sink's lock: no drainer opens the database meanwhile.

    Args:
        progress: Told the bytes done and the bytes in all, a few times a second at most.

    Raises:
        OSError: The journal cannot be read, or the directory not written.
        SinkError: The new database cannot be written.
    """
    begun = time.monotonic()
    successor = free_name(db_path, "rebuilding")
    try:
        counts, run_count = _make(successor, journal, progress, start)
        _settle(successor)
        sync_closed(successor)
        if start.before_swap is not None:
            start.before_swap(successor)
        aside = swap_in(db_path, successor, aside=start.aside)
    finally:
        discard(successor)
    return Rebuilt(
        record_count=counts.records,
        run_count=run_count,
        damaged_count=counts.damaged,
        damaged_bytes=counts.damaged_bytes,
        refused=tuple(counts.refused),
        aside=aside,
        seconds=time.monotonic() - begun,
    )


def check(db_path: Path) -> list[str]:
    """
    Return what is wrong with a database, by what it says of itself; empty when nothing is.

    Each run's row must be the one that its stored fold gives, each fold must have its row, and the
    roll-ups must count these rows.

    Raises:
        UnreachableError: It cannot be looked into now, which says nothing of its state.
    """
    if not db_path.exists():
        return [f"the database {db_path} does not exist"]
    try:
        with contextlib.closing(look_into(db_path)) as connection:
            hold_still(connection)
            found = [row[0] for row in connection.execute(f"PRAGMA quick_check({_MAX_PROBLEMS})")]
            problems = [] if found == ["ok"] else [f"quick_check: {text}" for text in found]
            return (
                problems
                or _first(text for _, text in check_folds(connection))
                or _first(wrong_rollups(connection))
            )
    except UnreachableError:
        raise
    except (sqlite3.Error, RuntimeError) as error:
        if is_unreachable(error, db_path):
            raise unreachable(error, db_path) from error
        return [str(error)]


def check_folds(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """
    Yield the key of each run whose row is not what its stored fold gives, and what is wrong.
    """
    for *values, state in connection.execute(_FOLDED_SQL):
        row = dict(zip(RUN_COLUMNS, values))
        event_id = row["event_id"]
        try:
            fold = Fold() if state is None else Fold.load(state, row)
        except CodecError as error:
            yield event_id, f"the state of run {event_id} must be as it was stored (got {error})"
            continue
        if fold.deleted or fold.row() != row:
            yield event_id, f"run {event_id}: its row is not what it was folded from"
    lost = connection.execute(
        "SELECT event_id FROM run_folds f WHERE deleted = 0 AND NOT EXISTS"
        " (SELECT 1 FROM agent_runs r WHERE r.event_id = f.event_id)"
    )
    for (event_id,) in lost:
        yield event_id, f"run {event_id}: it has a fold and no row"


def differences(db_path: Path, journal: Journal, *, start: Start = _NOTHING) -> list[str]:
    """
    Return how a database differs from what its journal gives; empty when they agree.

    Builds a second database beside it, and leaves both the first and the journal as they are.
    """
    successor = free_name(db_path, "checking")
    try:
        _make(successor, journal, None, start)
        with translated(db_path), contextlib.closing(connect_read_only(db_path)) as connection:
            connection.execute("ATTACH ? AS told", (f"{successor.absolute().as_uri()}?mode=ro",))
            return [text for table in _COMPARED for text in _compare(connection, table)]
    finally:
        discard(successor)


def differences_so_far(db_path: Path, journal: Journal, *, start: Start = _NOTHING) -> list[str]:
    """
    Return how a database that others write differs from the journal, as far as it has read that.

    Raises:
        OSError: The journal cannot be read, or the directory not written.
        SinkError: The database cannot be read.
    """
    snapshot = free_name(db_path, "checking")
    try:
        create_exclusively(snapshot, b"")
        copy_database(db_path, snapshot)
        with contextlib.closing(connect_read_only(snapshot)) as connection:
            cursors = read_cursors(connection, DATABASE_SINK)
        return differences(snapshot, journal, start=attrs.evolve(start, until=cursors))
    finally:
        discard(snapshot)


@attrs.define
class _Counts:
    records: int = 0
    damaged: int = 0
    damaged_bytes: int = 0
    refused: list[str] = attrs.field(factory=list)


def _make(
    successor: Path, journal: Journal, progress: Optional[Progress], start: Start
) -> tuple[_Counts, int]:
    """
    Fill a new database; from the beginning again with each decision that it meets on its way.
    """
    decisions = list(start.decisions)
    while True:
        if start.base is not None:
            create_exclusively(successor, b"")
            copy_database(start.base, successor)
        try:
            return _make_knowing(decisions, successor, journal, progress, start.until)
        except UnknownUndoError as error:
            if time_of(error.record) < start.base_time:
                raise
            decisions.append(error.record)
            discard(successor)


def _make_knowing(
    decisions: Sequence[Record],
    successor: Path,
    journal: Journal,
    progress: Optional[Progress],
    until: Optional[Mapping[str, Cursor]],
) -> tuple[_Counts, int]:
    """
    Fill a new database that knows from the first what was taken back.

    Raises:
        UnknownUndoError: The journal has a decision that is not among these.
    """
    with translated(successor), contextlib.closing(connect(successor)) as connection:
        _prepare(connection)
        with immediate(connection):
            connection.execute(f"DROP TABLE IF EXISTS {INFO_TABLE}")
            keep(connection, decisions)
        counts = _fill(connection, journal, progress, until)
        create_missing_indexes(connection)
        return counts, connection.execute("SELECT count(*) FROM agent_runs").fetchone()[0]


def _prepare(connection: sqlite3.Connection) -> None:
    """
    Make the tables of a new database that nobody else has: no log, no waiting for the disk.
    """
    connection.execute("PRAGMA journal_mode = MEMORY").fetchone()
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchone()
    connection.execute("PRAGMA cache_size = -65536")
    migrate(connection, with_indexes=False)


def _settle(successor: Path) -> None:
    """
    Give a finished database the journal mode of a live one, before anybody else opens it.
    """
    with translated(successor), contextlib.closing(connect(successor)):
        return


def _fill(
    connection: sqlite3.Connection,
    journal: Journal,
    progress: Optional[Progress],
    until: Optional[Mapping[str, Cursor]],
) -> _Counts:
    counts = _Counts()
    cursors = read_cursors(connection, DATABASE_SINK)
    segments = [one for one in journal.segments() if until is None or one.id in until]
    total = sum(segment.size for segment in segments)
    done = 0
    for segment in segments:
        cursor = cursors.get(segment.id)
        done += cursor.offset if cursor else 0
        stop = until[segment.id] if until is not None else None
        for chunk in chunks_of(journal, segment, cursor, until=stop):
            records = [record for record in chunk.records if record.record_type != _SEGMENT]
            with immediate(connection):
                counts.refused += apply_all_but(connection, records)
                set_cursor(connection, DATABASE_SINK, chunk.cursor)
            done += chunk.cursor.offset - chunk.cursor.start
            counts.records += len(records)
            counts.damaged += chunk.damaged_count
            counts.damaged_bytes += chunk.damaged_bytes
            if progress is not None:
                progress(done, total)
    return counts


def _first(problems: Iterable[str]) -> list[str]:
    return list(itertools.islice(problems, _MAX_PROBLEMS))


def _compare(connection: sqlite3.Connection, table: str) -> list[str]:
    names = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
    problems = []
    for these, those, where in (("told", "main", "journal"), ("main", "told", "database")):
        found = connection.execute(
            f"SELECT event_id FROM (SELECT {names} FROM {these}.{table}"
            f" EXCEPT SELECT {names} FROM {those}.{table}) LIMIT ?",
            (_MAX_PROBLEMS,),
        )
        problems += [f"{table}: run {row[0]} is so in the {where} only" for row in found]
    return problems
