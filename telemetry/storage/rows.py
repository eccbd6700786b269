"""
Records into rows.

Applying is idempotent and does not depend on order: events and the audit trail are keyed by record
id, and a run's row is the fold of its records. `apply` runs inside the caller's transaction.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from telemetry.model.errors import CodecError
from telemetry.model.fold import Fold
from telemetry.model.records import Change, Record, RecordType
from telemetry.storage.ddl import RUN_COLUMNS
from telemetry.storage.rollups import SOURCES, Tally
from telemetry.storage.sqlite import MalformedDatabaseError, concerns_the_database
from telemetry.storage.undo import countable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_EVENT_SQL = (
    "INSERT OR IGNORE INTO run_events (event_id, id, run_id, event_type, timestamp, payload_json)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
_RUN_TAIL = " ON CONFLICT (event_id) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in RUN_COLUMNS if name != "event_id"
)
_FOLD_SQL = (
    "INSERT INTO run_folds (event_id, state, deleted) VALUES (?, ?, ?)"
    " ON CONFLICT (event_id) DO UPDATE SET state = excluded.state, deleted = excluded.deleted"
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
_RECORD_SQL = (
    "INSERT OR IGNORE INTO run_records (event_id, id, run_id, change, timestamp, body)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
_COMMIT_SQL = (
    "INSERT OR IGNORE INTO commits (event_id, id, run_id, commit_hash, commit_source,"
    " commit_author, commit_timestamp, timestamp) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_ANY_DELETED_SQL = "SELECT 1 FROM run_folds WHERE deleted = 1 LIMIT 1"
_IS_DELETED_SQL = "SELECT 1 FROM run_folds WHERE deleted = 1 AND event_id = ?"
_PURGE_SQL = (
    "DELETE FROM agent_runs WHERE event_id = ?",
    "DELETE FROM run_events WHERE event_id = ?",
    "DELETE FROM commits WHERE event_id = ?",
    f"DELETE FROM run_records WHERE event_id = ? AND change <> '{Change.DELETED.value}'",
)

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
        connection.executemany(
            _EVENT_SQL,
            [
                (
                    record.event_id,
                    record.id,
                    record.run_id,
                    record.event_type,
                    record.timestamp,
                    str(record.payload, "utf-8"),
                )
                for record in events
            ],
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


def _load_folds(
    connection: sqlite3.Connection, event_ids: list[str]
) -> dict[str, tuple[Fold, Mapping[str, Any]]]:
    """
    Return the folds of several runs, each with its row, which is empty for a run that has none.

    They are asked for together: in a backlog most are not known yet.
    """
    known: dict[str, bytes] = dict(_ask_for(connection, _STATES_SQL, event_ids))
    return {
        event_id: _restore(connection, event_id, known[event_id])
        if event_id in known
        else (Fold(), {})
        for event_id in event_ids
    }


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


@lru_cache(maxsize=256)
def _upsert_sql(names: tuple[str, ...]) -> str:
    """
    Return the statement for a row with these columns; all others become null.

    A run fills half of its columns, and binding the nulls costs more than the rest of an insert.
    """
    return (
        f"INSERT INTO agent_runs ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        + _RUN_TAIL
    )


@lru_cache(maxsize=256)
def _update_sql(names: tuple[str, ...]) -> str:
    """
    Return the statement that sets these columns of a row; the indexes of all others are left alone.
    """
    return f"UPDATE agent_runs SET {', '.join(f'{name} = ?' for name in names)} WHERE event_id = ?"


def _fold_runs(connection: sqlite3.Connection, records: Iterable[Record]) -> None:
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.event_id and record.record_type in (_RUN, _COMMIT):
            groups.setdefault(record.event_id, []).append(record)
    inserts: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    updates: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    states: list[tuple[str, bytes, bool]] = []
    purged: list[str] = []
    tally = Tally()
    folds = _load_folds(connection, list(groups))
    _take_off_strays(connection, tally, [one for one, (_, row) in folds.items() if not row])
    for event_id, (fold, before) in folds.items():
        for record in groups[event_id]:
            fold.apply(record)
        states.append((event_id, fold.dump(), fold.deleted))
        row = {} if fold.deleted else fold.row()
        tally.move(before, row)
        if fold.deleted:
            purged.append(event_id)
        elif before:
            new = {name: value for name, value in row.items() if value != before[name]}
            updates.setdefault(tuple(new), []).append((*new.values(), event_id))
        else:
            new = {name: value for name, value in row.items() if value is not None}
            inserts.setdefault(tuple(new), []).append(tuple(new.values()))
    for names, values in inserts.items():
        connection.executemany(_upsert_sql(names), values)
    for names, values in updates.items():
        if names:
            connection.executemany(_update_sql(names), values)
    connection.executemany(_FOLD_SQL, states)
    _purge(connection, purged)
    tally.write(connection)


def _take_off_strays(connection: sqlite3.Connection, tally: Tally, event_ids: list[str]) -> None:
    """
    Forget what rows add that were folded from nothing, and are about to be replaced.

    Somebody else wrote them; nearly always there are none.
    """
    for row in _ask_for(connection, _STRAYS_SQL, event_ids):
        tally.move(dict(zip(SOURCES, row[1:])), {})


def _purge(connection: sqlite3.Connection, event_ids: Sequence[str]) -> None:
    if event_ids:
        for statement in _PURGE_SQL:
            connection.executemany(statement, [(event_id,) for event_id in event_ids])


def _purge_late(connection: sqlite3.Connection, event_ids: Iterable[str]) -> None:
    """
    Take away what came for runs that had been deleted before.
    """
    _purge(
        connection,
        [
            event_id
            for event_id in event_ids
            if event_id and connection.execute(_IS_DELETED_SQL, (event_id,)).fetchone()
        ],
    )


def _write_trail(connection: sqlite3.Connection, records: Iterable[Record]) -> None:
    connection.executemany(
        _RECORD_SQL,
        [
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
        ],
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
