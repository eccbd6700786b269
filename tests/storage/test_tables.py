import sqlite3

import pytest
from sqlalchemy import Integer

from telemetry.storage.ddl import schema_sql
from telemetry.storage.tables import METADATA


@pytest.mark.parametrize("name", sorted(METADATA.tables))
def test_agrees_with_the_statement_that_makes_it(name):
    """
    A table of the read side has the columns, types, nulls and key of the one that is made.
    """
    connection = sqlite3.connect(":memory:")
    connection.executescript(schema_sql())
    made = connection.execute(f"PRAGMA table_info({name})").fetchall()
    connection.close()

    told = [
        (
            column.name,
            "INTEGER" if isinstance(column.type, Integer) else "TEXT",
            not column.nullable,
            column.primary_key,
        )
        for column in METADATA.tables[name].columns
    ]
    assert told == [(column, kind, bool(full), bool(key)) for _, column, kind, full, _, key in made]
