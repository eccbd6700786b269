"""
Bring a database up to this version, whoever else is about to do the same.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from telemetry.model.run import COLUMNS
from telemetry.storage.ddl import DATABASE_VERSION, INDEXES, TABLES, column_ddl
from telemetry.storage.migrations.steps import STEPS
from telemetry.storage.sqlite import immediate, user_version

if TYPE_CHECKING:
    import sqlite3

_COUNT_INDEXES_SQL = "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name LIKE 'idx_%'"


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
    count = connection.execute(_COUNT_INDEXES_SQL).fetchone()[0]
    if count < len(INDEXES):
        with immediate(connection):
            for statement in INDEXES:
                connection.execute(statement)


def _upgrade(connection: sqlite3.Connection, version: int) -> None:
    for statement in TABLES:
        connection.execute(statement)
    _add_missing_columns(connection)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    connection.executemany(
        "INSERT OR IGNORE INTO schema_migrations VALUES (?, ?, ?)",
        [(step.version, now, step.description) for step in STEPS],
    )
    if version:
        # What the older version could not store is in the journal: it is followed once more, and
        # what is already there stays as it is.
        connection.execute("DELETE FROM cursors")
    connection.execute(f"PRAGMA user_version = {DATABASE_VERSION}")


def _add_missing_columns(connection: sqlite3.Connection) -> None:
    present = {row[1] for row in connection.execute("PRAGMA table_info(agent_runs)")}
    for column in COLUMNS.values():
        if column.name not in present:
            connection.execute(f"ALTER TABLE agent_runs ADD COLUMN {column_ddl(column)}")
