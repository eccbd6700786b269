"""
A database with runs in it, written by plain SQL.
"""

import contextlib
import sqlite3

import pytest

from telemetry.storage.ddl import schema_sql
from telemetry.storage.queries import Store
from telemetry.storage.rollups import recount


@pytest.fixture
def db(tmp_path):
    """
    Return the path of a database that has the tables and no rows.
    """
    path = tmp_path / "telemetry.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(schema_sql())
    return path


@pytest.fixture
def put(db):
    """
    Write rows into a table, and what follows from them.
    """

    def write(*rows, table="agent_runs"):
        with contextlib.closing(sqlite3.connect(db)) as connection, connection:
            for row in rows:
                names, marks = ", ".join(row), ", ".join("?" * len(row))
                sql = f"INSERT INTO {table} ({names}) VALUES ({marks})"
                connection.execute(sql, tuple(row.values()))
            if table == "agent_runs":
                recount(connection)

    return write


@pytest.fixture
def store(db):
    """
    Return a store over the database.
    """
    store = Store(db)
    yield store
    store.close()
