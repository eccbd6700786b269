"""
Cursors, kept in the database whose rows they are about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from telemetry.model.errors import CursorMovedError
from telemetry.sinks import Cursor

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

#: The sink that keeps its cursors there, as every part of a base directory calls it.
DATABASE_SINK = "sqlite"
_READ_SQL = "SELECT segment, offset, fingerprint FROM cursors WHERE sink = ?"
_STORED_SQL = "SELECT offset FROM cursors WHERE sink = ? AND segment = ?"
_SET_SQL = (
    "INSERT INTO cursors (sink, segment, offset, fingerprint) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (sink, segment) DO UPDATE"
    " SET offset = excluded.offset, fingerprint = excluded.fingerprint"
)


def read_cursors(connection: sqlite3.Connection, sink: str) -> dict[str, Cursor]:
    """
    Return a sink's cursors by segment id.
    """
    return {
        segment: Cursor(segment, offset, fingerprint, offset)
        for segment, offset, fingerprint in connection.execute(_READ_SQL, (sink,))
    }


def advance(
    connection: sqlite3.Connection, sink: str, cursor: Cursor, handed_out: Mapping[str, int]
) -> None:
    """
    Move a cursor inside the transaction that writes its rows, if it stands where the batch began.

    A batch that begins at 0 although the cursor stands further on is right when the cursor is the
    one that was handed out: then the journal found that it does not fit the file, and began anew.

    Args:
        handed_out: Offsets by segment as the follower last learnt them.

    Raises:
        CursorMovedError: Another drainer has committed since.
    """
    found = connection.execute(_STORED_SQL, (sink, cursor.segment)).fetchone()
    stored: Optional[int] = found[0] if found else None
    was_rewound = cursor.start == 0 and stored == handed_out.get(cursor.segment, 0)
    if (stored or 0) != cursor.start and not was_rewound:
        raise CursorMovedError(
            f"the cursor of {sink} in segment {cursor.segment} must stand at {cursor.start}"
            f" (got {stored}); another drainer was faster, read the cursors again"
        )
    set_cursor(connection, sink, cursor)


def set_cursor(connection: sqlite3.Connection, sink: str, cursor: Cursor) -> None:
    """
    Store a cursor as it is.
    """
    connection.execute(_SET_SQL, (sink, cursor.segment, cursor.offset, cursor.fingerprint))
