from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from telemetry.storage.inserting import MAX_PARAMETERS, MAX_ROWS, insert


@pytest.mark.parametrize("width", [2, 49, MAX_PARAMETERS])
@pytest.mark.parametrize("count", [0, 1, MAX_ROWS - 1, MAX_ROWS, 3 * MAX_ROWS + 5])
def test_every_row_arrives_in_its_order(count, width):
    """
    However many rows there are and however wide, each is inserted once, in order.
    """
    names = [f"c{number}" for number in range(width)]
    rows = [tuple(range(at, at + width)) for at in range(count)]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE wide ({', '.join(names)})")
        insert(connection, f"INSERT INTO wide ({', '.join(names)})", rows)

        assert connection.execute("SELECT * FROM wide ORDER BY rowid").fetchall() == rows


def test_what_follows_the_rows_holds_for_each():
    """
    A conflict is settled row by row, also in a statement of many.
    """
    rows = [(number // 2, number) for number in range(2 * MAX_ROWS + 2)]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE pairs (key PRIMARY KEY, value)")
        tail = " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        insert(connection, "INSERT INTO pairs (key, value)", rows, tail)

        assert connection.execute("SELECT * FROM pairs ORDER BY key").fetchall() == [
            (number, 2 * number + 1) for number in range(MAX_ROWS + 1)
        ]
