"""
Runs from a database: of the original system in any of its schemas, or one of ours.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from telemetry.exchange.found import Found, FoundRecord, FoundRun, Refused, event_from
from telemetry.exchange.lines import Advance, nothing
from telemetry.model.codec import decode_line, encode_line
from telemetry.model.errors import CodecError, UsageError
from telemetry.storage.sqlite import connect_read_only, translated

if TYPE_CHECKING:
    from pathlib import Path

#: Tables that only this software makes.
_OWN_TABLES = {"run_folds", "run_records"}
#: What a row counts for on a progress bar of bytes.
_ROW_BYTES = 500


def read_database(path: Path, advance: Advance = nothing) -> Iterator[Found]:
    """
    Yield what a database holds, as far as it can be read.

    Raises:
        UsageError: It has no runs, or waits for its own program to repair it.
        TransientSinkError, MalformedDatabaseError: It cannot be read at all.
    """
    with translated(path), closing(connect_read_only(path)) as connection:
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        tables = _tables(connection, path)
        if "agent_runs" not in tables:
            raise UsageError(
                f"the database {path} must have the table agent_runs (got"
                f" {', '.join(sorted(tables)) or 'none'}); name one of this or the original system"
            )
        connection.execute("BEGIN")
        if tables >= _OWN_TABLES:
            yield from _own(connection, path)
        elif "run_events" in tables:
            yield from _events(connection, path)
        yield from _runs(connection, path, advance)


def deleted_in_tables(path: Path) -> Iterator[str]:
    """
    Yield the keys of the runs that a database of ours says were deleted; none of any other.
    """
    with translated(path), closing(connect_read_only(path)) as connection:
        if _tables(connection, path) >= _OWN_TABLES:
            sql = "SELECT event_id FROM run_folds WHERE deleted = 1"
            for (event_id,) in connection.execute(sql).fetchall():
                yield str(event_id)


def _tables(connection: sqlite3.Connection, path: Path) -> set[str]:
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    try:
        return {name for (name,) in connection.execute(sql)}
    except sqlite3.OperationalError as error:
        if "readonly" not in str(error) and "unable to open" not in str(error):
            raise
        raise UsageError(
            f"the database {path} must be at rest to be read (got {error}): its program was stopped"
            " in the middle of writing; copy it with its -journal or -wal file to a place that can"
            " be written, open it there once with sqlite3, and import that"
        ) from error


def _dictionaries(
    connection: sqlite3.Connection, table: str, path: Path
) -> Iterator[dict[str, Any] | Refused]:
    """
    Yield the rows of a table; where it is damaged, say so and end.
    """
    try:
        cursor = connection.execute(f"SELECT * FROM {table} ORDER BY rowid")  # noqa: S608 (ours)
        names = [column[0] for column in cursor.description]
        # One by one: of many at once none would come where one of them is damaged.
        for row in cursor:
            yield dict(zip(names, row))
    except sqlite3.DatabaseError as error:
        yield Refused(
            f"the table {table} must be whole to be read to its end ({error});"
            " sqlite3 FILE .recover may save more",
            path.name,
            is_damage=True,
        )


def _runs(connection: sqlite3.Connection, path: Path, advance: Advance) -> Iterator[Found]:
    for number, row in enumerate(_dictionaries(connection, "agent_runs", path), start=1):
        advance(_ROW_BYTES)
        if isinstance(row, Refused):
            yield row
        else:
            yield FoundRun(row, f"{path.name}, run {number}", rank=1)


def _events(connection: sqlite3.Connection, path: Path) -> Iterator[Found]:
    """
    Yield the events of the original's table, which has a payload, or a message and details.
    """
    for number, row in enumerate(_dictionaries(connection, "run_events", path), start=1):
        if isinstance(row, Refused):
            yield row
            continue
        told = {name: row[name] for name in ("message", "details") if row.get(name) is not None}
        said = row if "payload_json" in row else {**row, "payload": told or None}
        yield event_from(said, f"{path.name}, event {number}")


def _own(connection: sqlite3.Connection, path: Path) -> Iterator[Found]:
    """
    Yield the records and events that a database of ours kept, for what its journal no longer has.
    """
    for row in _dictionaries(connection, "run_records", path):
        if isinstance(row, Refused):
            yield row
            continue
        try:
            yield FoundRecord(decode_line(str(row["body"]).encode()))
        except CodecError:
            yield Refused("a record is damaged", path.name, is_damage=True)
    for row in _dictionaries(connection, "run_events", path):
        if isinstance(row, Refused):
            yield row
            continue
        try:
            line = encode_line(
                "event",
                id=row["id"],
                timestamp=row["timestamp"],
                event_id=row["event_id"],
                run_id=row["run_id"],
                event_type=row["event_type"],
                payload=(row["payload_json"] or "null").encode(),
            )
            yield FoundRecord(decode_line(line))
        except (CodecError, TypeError, AttributeError):
            yield Refused("an event is damaged", path.name, is_damage=True)
