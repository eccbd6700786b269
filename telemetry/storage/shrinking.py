"""
The room that deleted rows leave in the database, given back to the disk.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import attrs

from telemetry.storage.sqlite import checkpoint, connect, connect_read_only, translated, wal_bytes

if TYPE_CHECKING:
    from pathlib import Path

#: The log takes the whole of the new file before it takes the old one's place.
_ROOM_FACTOR = 2


@attrs.frozen(kw_only=True)
class Shrunk:
    """
    How large the database and its log were and are, on the disk.
    """

    before_bytes: int
    after_bytes: int
    #: Why it was not made smaller; empty where it was.
    problem: str = ""

    @property
    def freed_bytes(self) -> int:
        """
        Return by how much the files have shrunk; nothing where they grew.
        """
        return max(0, self.before_bytes - self.after_bytes)


def free_bytes(db_path: Path) -> int:
    """
    Return how much of a database's file holds nothing.

    Raises:
        SinkError: It cannot be read.
    """
    with translated(db_path), closing(connect_read_only(db_path)) as connection:
        free, size = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("freelist_count", "page_size")
        )
    return free * size


def shrink(db_path: Path) -> Shrunk:
    """
    Write a database anew without what was deleted, in one transaction.

    Killed at any point, the database is as it was or as it is to be. The caller holds the sink's
    lock. Who reads goes on; while he does, the log keeps what is to be cut.

    Raises:
        SinkError: It cannot be opened for writing.
    """
    before = size_on_disk(db_path)
    free = shutil.disk_usage(db_path.parent).free
    needed = _ROOM_FACTOR * (db_path.stat().st_size - free_bytes(db_path))
    if free < needed:
        problem = f"the disk must have {needed} bytes free for it (got {free}); make room"
        return Shrunk(before_bytes=before, after_bytes=before, problem=problem)
    problem = ""
    with translated(db_path), closing(connect(db_path)) as connection:
        try:
            connection.execute("VACUUM")
        except sqlite3.OperationalError as error:
            problem = f"it must be at nobody else's disposal for a moment (got {str(error)!r})"
        if not checkpoint(connection) and not problem:
            problem = "somebody reads it; it shrinks when he has done, or the next time"
    return Shrunk(before_bytes=before, after_bytes=size_on_disk(db_path), problem=problem)


def size_on_disk(db_path: Path) -> int:
    """
    Return how large a database is with its log.
    """
    return db_path.stat().st_size + wal_bytes(db_path)
