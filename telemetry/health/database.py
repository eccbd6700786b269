"""
Whether the database is there and whole, and how large it is.

Every page of a small one is read. Of a large one the small tables and the newest rows are, which
takes the same time whatever its size; ``telemetry check`` reads the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from telemetry.health.results import Check, Outcome, Result, graded
from telemetry.model.errors import TransientSinkError
from telemetry.model.words import in_bytes
from telemetry.storage.ddl import INDEX_NAMES
from telemetry.storage.sqlite import MalformedDatabaseError, wal_bytes
from telemetry.storage.strangers import stranger_of

if TYPE_CHECKING:
    import sqlite3

    from telemetry.health.scene import Scene

#: Rows of each large table that are read where not all are.
NEWEST_ROWS = 1000
_SMALL_TABLES = ("cursors", "schema_migrations")
_LARGE_TABLES = ("agent_runs", "run_events", "run_records")
_NEEDED = frozenset({*_SMALL_TABLES, *_LARGE_TABLES, "commits", "run_folds", "run_rollups"})
_NEWEST_SQL = (
    *(f"SELECT * FROM {name} ORDER BY rowid DESC LIMIT {NEWEST_ROWS}" for name in _LARGE_TABLES),  # noqa: S608 (our own tables)
    *(f"SELECT * FROM {name}" for name in _SMALL_TABLES),  # noqa: S608 (our own tables)
    "SELECT * FROM run_rollups WHERE span = 'all'",
)
_MAX_PROBLEMS = 5
_RECOVER = "telemetry recover makes it anew from the journal, and keeps the damaged one"


def database(scene: Scene) -> Iterator[Result]:
    """
    Look at the database's tables and pages.
    """
    path = scene.config.db_path
    if not scene.has_database:
        yield Result(
            name="database",
            outcome=Outcome.FINDING,
            sentence=f"{path} must be a database, and there is none",
            way_out="telemetry init makes it; what the journal has is put into it",
        )
        return
    try:
        yield _looked_at(scene)
    except MalformedDatabaseError as error:
        yield _damaged(str(error.__cause__ or error))
    except TransientSinkError as error:
        yield Result(
            name="database",
            outcome=Outcome.FINDING,
            sentence=f"{path} cannot be read now ({error.__cause__ or error})",
            way_out="telemetry doctor --only locks shows who holds it; wait, or end that process",
        )


def size(scene: Scene) -> Iterator[Result]:
    """
    Measure the database with its write-ahead log.
    """
    if not scene.has_database:
        return
    path = scene.config.db_path
    total, log = path.stat().st_size, wal_bytes(path)
    outcome = graded(total + log, scene.limits.size_warn, scene.limits.size_fail)
    yield Result(
        name="size",
        outcome=outcome,
        sentence=f"the database has {in_bytes(total)}, its write-ahead log {in_bytes(log)}",
        way_out=""
        if outcome is Outcome.OK
        else "telemetry retention deletes old runs; raise --size-warn if that size is right",
        numbers={"database_bytes": total, "wal_bytes": log},
    )


def _looked_at(scene: Scene) -> Result:
    limit = scene.limits.integrity_up_to
    with scene.database() as connection:
        stranger = stranger_of(connection, scene.config.db_path)
        if stranger is not None:
            return Result(
                name="database",
                outcome=Outcome.FINDING,
                sentence=f"the database must be this library's (got {stranger.what})",
                way_out=stranger.way_out,
            )
        problem = _lacking(connection)
        if problem:
            return _damaged(problem)
        is_small = limit is None or scene.config.db_path.stat().st_size <= limit
        problem = _pages(connection) if is_small else _newest(connection)
    if problem:
        return _damaged(problem)
    told = (
        "every page of the database is whole"
        if is_small
        else f"the database's newest rows can be read; at {in_bytes(limit or 0)} and more the rest"
        " is left to telemetry check"
    )
    return Result(name="database", outcome=Outcome.OK, sentence=told)


def _lacking(connection: sqlite3.Connection) -> str:
    """
    Return which tables are missing; an index that is missing is only slow.
    """
    sql = "SELECT name FROM sqlite_master WHERE type = 'table'"
    missing = _NEEDED - {name for (name,) in connection.execute(sql)}
    return f"it has no table {', '.join(sorted(missing))}" if missing else ""


def _pages(connection: sqlite3.Connection) -> str:
    found = [text for (text,) in connection.execute(f"PRAGMA quick_check({_MAX_PROBLEMS})")]
    return "" if found == ["ok"] else "; ".join(found)


def _newest(connection: sqlite3.Connection) -> str:
    for sql in _NEWEST_SQL:
        connection.execute(sql).fetchall()
    return ""


def missing_indexes(connection: sqlite3.Connection) -> list[str]:
    """
    Return the indexes that a database should have and has not.
    """
    sql = "SELECT name FROM sqlite_master WHERE type = 'index'"
    found = {name for (name,) in connection.execute(sql)}
    return [name for name in INDEX_NAMES if name not in found]


def _damaged(problem: str) -> Result:
    return Result(
        name="database",
        outcome=Outcome.FINDING,
        sentence=f"the database is damaged: {problem}",
        way_out=_RECOVER,
    )


CHECKS = (Check(name="database", run=database), Check(name="size", run=size))
