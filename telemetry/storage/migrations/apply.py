"""
Bring a database up to this version, whoever else is about to do the same.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from telemetry.model.run import COLUMNS
from telemetry.storage.ddl import DATABASE_VERSION, INDEX_NAMES, INDEXES, TABLES, column_ddl
from telemetry.storage.migrations.steps import STEPS
from telemetry.storage.rollups import recount
from telemetry.storage.sqlite import immediate, user_version

if TYPE_CHECKING:
    import sqlite3

_OUR_INDEXES_SQL = "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'idx_%'"


def migrate(connection: sqlite3.Connection, *, with_indexes: bool = True) -> None:
    """
    Create or complete the tables in one transaction; nothing happens where they are current.

    Any number of processes may call it at once: the write lock lets one through, the others find
    its work done.

    Args:
        with_indexes: False leaves the indexes to `create_missing_indexes`, after a rebuild.
    """
    if user_version(connection) != DATABASE_VERSION:
        with immediate(connection):
            version = user_version(connection)
            if version != DATABASE_VERSION:
                _upgrade(connection, version)
    if with_indexes:
        create_missing_indexes(connection)


def create_missing_indexes(connection: sqlite3.Connection) -> None:
    """
    Create the indexes that the database lacks.
    """
    if not _indexes_of(connection).issuperset(INDEX_NAMES):
        with immediate(connection):
            for statement in INDEXES:
                connection.execute(statement)


def _upgrade(connection: sqlite3.Connection, version: int) -> None:
    for statement in TABLES:
        connection.execute(statement)
    has_new_columns = _add_missing_columns(connection)
    for name in _indexes_of(connection).difference(INDEX_NAMES):
        connection.execute(f'DROP INDEX "{name}"')
    recount(connection)
    # A new database never was of an older version.
    before = version or STEPS[-2].version
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    connection.executemany(
        "INSERT OR IGNORE INTO schema_migrations VALUES (?, ?, ?)",
        [(step.version, now, step.description) for step in STEPS if step.version > before],
    )
    if version and has_new_columns:
        # What the older version could not store is in the journal: it is followed once more, and
        # what is already there stays as it is.
        # Its rows stay: they say which segments it had, also of those that were retired.
        connection.execute("UPDATE cursors SET offset = 0, fingerprint = 0")
    connection.execute(f"PRAGMA user_version = {DATABASE_VERSION}")


def _indexes_of(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute(_OUR_INDEXES_SQL)}


def _add_missing_columns(connection: sqlite3.Connection) -> bool:
    """
    Add the columns that a newer field list brought; tell whether there were any.
    """
    present = {row[1] for row in connection.execute("PRAGMA table_info(agent_runs)")}
    missing = [column for name, column in COLUMNS.items() if name not in present]
    for column in missing:
        connection.execute(f"ALTER TABLE agent_runs ADD COLUMN {column_ddl(column)}")
    return bool(missing)
