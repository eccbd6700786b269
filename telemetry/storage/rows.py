"""
Records into rows.

Applying is idempotent and does not depend on order: events and the audit trail are keyed by record
id, and a run's row is the fold of its records. `apply` runs inside the caller's transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telemetry.model.errors import CodecError
from telemetry.model.fold import Fold
from telemetry.model.records import Change, Record, RecordType
from telemetry.model.whole import read_whole
from telemetry.storage.changes import Changes, purge
from telemetry.storage.ddl import RUN_COLUMNS
from telemetry.storage.inserting import insert
from telemetry.storage.rollups import SOURCES
from telemetry.storage.sqlite import MalformedDatabaseError, concerns_the_database
from telemetry.storage.undo import countable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from telemetry.storage.rollups import Tally

_EVENTS = (
    "INSERT OR IGNORE INTO run_events (event_id, id, run_id, event_type, timestamp, payload_json)"
)
_STATE_SQL = "SELECT state FROM run_folds WHERE event_id = ?"
_ID_COUNTS = (1, 8, 64, 256)
_IDS_AT_ONCE = _ID_COUNTS[-1]
_STATES_SQL = {
    size: f"SELECT event_id, state FROM run_folds WHERE event_id IN ({', '.join('?' * size)})"
    for size in _ID_COUNTS
}
_STRAYS_SQL = {
    size: f"SELECT event_id, {', '.join(SOURCES)} FROM agent_runs"
    f" WHERE event_id IN ({', '.join('?' * size)})"
    for size in _ID_COUNTS
}
_ROW_SQL = f"SELECT {', '.join(RUN_COLUMNS)} FROM agent_runs WHERE event_id = ?"
_RECORDS = "INSERT OR IGNORE INTO run_records (event_id, id, run_id, change, timestamp, body)"
_COMMIT_SQL = (
    "INSERT OR IGNORE INTO commits (event_id, id, run_id, commit_hash, commit_source,"
    " commit_author, commit_timestamp, timestamp) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_ANY_DELETED_SQL = "SELECT 1 FROM run_folds WHERE deleted = 1 LIMIT 1"
_IS_DELETED_SQL = "SELECT 1 FROM run_folds WHERE deleted = 1 AND event_id = ?"
_STRAY_SQL = "DELETE FROM agent_runs WHERE event_id = ?"
_NO_ROW: Mapping[str, Any] = {}

_EVENT = RecordType.EVENT.value
_RUN = RecordType.RUN.value
_COMMIT = RecordType.COMMIT.value
_UPDATED = Change.UPDATED.value
_DELETED = Change.DELETED.value


def apply(connection: sqlite3.Connection, batch: Sequence[Record]) -> None:
    """
    Write a batch's rows, each run once.

    Types of records that this version does not know go into the audit trail as they are, for the
    version that does.

    Raises:
        UnknownUndoError: A person took records back that the database may hold.
    """
    batch = countable(connection, batch)
    events = [record for record in batch if record.record_type == _EVENT]
    if len(events) < len(batch):
        others = [record for record in batch if record.record_type != _EVENT]
        _write_commits(connection, [record for record in others if record.record_type == _COMMIT])
        _write_trail(connection, others)
        _fold_runs(connection, others)
    if events:
        insert(
            connection,
            _EVENTS,
            (
                (
                    record.event_id,
                    record.id,
                    record.run_id,
                    record.event_type,
                    record.timestamp,
                    str(record.payload, "utf-8"),
                )
                for record in events
            ),
        )
    if connection.execute(_ANY_DELETED_SQL).fetchone():
        _purge_late(connection, {record.event_id for record in batch})


def apply_all_but(connection: sqlite3.Connection, batch: Sequence[Record]) -> dict[str, Exception]:
    """
    Write a batch's rows, leaving out the records that cannot be written.

    Invariant: a value that cannot be stored costs its own record and no other; what concerns the
    database costs no record anything. Where something is left out, the transaction has begun anew:
    what it held before is undone. A savepoint would cost every batch, this costs the rare bad one.

    Returns:
        Why, by the ids of the records that were left out; nearly always empty.
    """
    try:
        apply(connection, batch)
    except Exception as error:
        if concerns_the_database(error):
            raise
        connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
        return _apply_each(connection, batch)
    return {}


def _apply_each(connection: sqlite3.Connection, batch: Iterable[Record]) -> dict[str, Exception]:
    refused: dict[str, Exception] = {}
    for record in batch:
        connection.execute("SAVEPOINT one_record")
        try:
            apply(connection, [record])
        except Exception as error:
            if concerns_the_database(error):
                raise
            connection.execute("ROLLBACK TO one_record")
            refused[record.id] = error
        connection.execute("RELEASE one_record")
    return refused


def load_fold(connection: sqlite3.Connection, event_id: str) -> Fold:
    """
    Return a run's fold as it is stored; a new one for a run that is not known.
    """
    found = connection.execute(_STATE_SQL, (event_id,)).fetchone()
    return _restore(connection, event_id, found[0])[0] if found else Fold()


def _ask_for(
    connection: sqlite3.Connection, statements: Mapping[int, str], event_ids: list[str]
) -> Iterator[tuple[Any, ...]]:
    for first in range(0, len(event_ids), _IDS_AT_ONCE):
        some = event_ids[first : first + _IDS_AT_ONCE]
        size = next(size for size in _ID_COUNTS if size >= len(some))
        padded = [*some, *some[-1:] * (size - len(some))]
        yield from connection.execute(statements[size], padded)


def _restore(
    connection: sqlite3.Connection, event_id: str, state: bytes
) -> tuple[Fold, Mapping[str, Any]]:
    row = dict(zip(RUN_COLUMNS, connection.execute(_ROW_SQL, (event_id,)).fetchone() or ()))
    try:
        return Fold.load(state, row), row
    except CodecError as error:
        raise MalformedDatabaseError(
            f"the state of run {event_id} must be as it was stored (got {error});"
            " the database is rebuilt from the journal"
        ) from error


def _fold_runs(connection: sqlite3.Connection, records: Iterable[Record]) -> None:
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.event_id and record.record_type in (_RUN, _COMMIT):
            groups.setdefault(record.event_id, []).append(record)
    # They are asked for together: in a backlog most are not known yet.
    known: dict[str, bytes] = dict(_ask_for(connection, _STATES_SQL, list(groups)))
    changes = Changes(connection)
    _take_off_strays(connection, changes.tally, [one for one in groups if one not in known])
    for event_id, group in groups.items():
        state = known.get(event_id)
        run = read_whole(group[0]) if state is None and len(group) == 1 else None
        if run is not None:
            changes.add(event_id, run)
            continue
        fold, before = _restore(connection, event_id, state) if state else (Fold(), _NO_ROW)
        for record in group:
            fold.apply(record)
        changes.move(event_id, fold, before)
    changes.write()


def _take_off_strays(connection: sqlite3.Connection, tally: Tally, event_ids: list[str]) -> None:
    """
    Delete rows of runs of which nothing is known, and forget what they add.

    Somebody else wrote them; nearly always there are none.
    """
    strays = list(_ask_for(connection, _STRAYS_SQL, event_ids))
    for row in strays:
        tally.add(row[1:], -1)
    connection.executemany(_STRAY_SQL, [row[:1] for row in strays])


def _purge_late(connection: sqlite3.Connection, event_ids: Iterable[str]) -> None:
    """
    Take away what came for runs that had been deleted before.
    """
    purge(
        connection,
        [
            event_id
            for event_id in event_ids
            if event_id and connection.execute(_IS_DELETED_SQL, (event_id,)).fetchone()
        ],
    )


def _write_trail(connection: sqlite3.Connection, records: Iterable[Record]) -> None:
    insert(
        connection,
        _RECORDS,
        (
            (
                record.event_id,
                record.id,
                record.run_id,
                record.change or record.record_type,
                record.timestamp,
                str(record.line, "utf-8"),
            )
            for record in records
            if record.change != _UPDATED
        ),
    )


def _write_commits(connection: sqlite3.Connection, records: Iterable[Record]) -> None:
    rows = []
    for record in records:
        said = record.fields()
        rows.append(
            (
                record.event_id,
                record.id,
                record.run_id,
                said.get("git_commit_hash") or "",
                said.get("git_commit_source"),
                said.get("git_commit_author"),
                said.get("git_commit_timestamp"),
                record.timestamp,
            )
        )
    connection.executemany(_COMMIT_SQL, rows)
