"""
Runs by a part of their ids, as a person types it: the beginning or the end.

A beginning is a range of an index. An end is looked for in the whole of it, newest first, which
takes some tenths of a second among a million runs; the rows of others are not touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, literal_column, select

from telemetry.storage.queries.statements import sql_of
from telemetry.storage.tables import METADATA

if TYPE_CHECKING:
    import sqlite3

    from sqlalchemy import ColumnElement

#: Runs that one part of an id may mean.
MAX_FOUND = 100
#: Longer ids there are none.
MAX_LENGTH = 255
_LAST = "\U0010ffff"
_ESCAPE = "\\"
_runs = METADATA.tables["agent_runs"]
_IDS: tuple[ColumnElement[str], ...] = (_runs.c.event_id, _runs.c.run_id)


def _statements() -> tuple[str, ...]:
    return tuple(
        # In the order of the column, so that its index is what is read.
        sql_of(
            select(_runs.c.event_id)
            .where(*where)
            .order_by(column.desc())
            .limit(literal_column(str(MAX_FOUND)))
            .offset(literal_column("0"))
        )
        for column in _IDS
        for where in (
            (column >= bindparam("low"), column < bindparam("high")),
            (column.like(bindparam("pattern"), escape=_ESCAPE),),
        )
    )


_SQL = _statements()


def keys_with_end(connection: sqlite3.Connection, part: str) -> list[str]:
    """
    Return the keys of the runs one of whose ids begins or ends with a text, at most `MAX_FOUND`.
    """
    plain = "".join(_ESCAPE + sign if sign in "%_\\" else sign for sign in part)
    values = {"low": part, "high": part + _LAST, "pattern": f"%{plain}"}
    found: dict[str, None] = {}
    for sql in _SQL:
        found.update(dict.fromkeys(key for (key,) in connection.execute(sql, values)))
    return list(found)[:MAX_FOUND]
