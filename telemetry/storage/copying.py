"""
A copy of a database while others write it, and the care for files that only this process has.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

from telemetry.model.errors import TelemetryError, TransientSinkError
from telemetry.storage.aside import SIDECARS
from telemetry.storage.sqlite import connect_read_only, translate

if TYPE_CHECKING:
    from collections.abc import Iterator

#: About 16 MiB a step: between two, progress is told and the interpreter is left to others.
PAGES_A_STEP = 4096
#: The table that a backup has beside those of the database.
INFO_TABLE = "backup_info"
#: What SQLite says where a file can grow no more.
_NO_ROOM = ("disk is full", "disk I/O error")

Progress = Callable[[int, int], None]


def copy_database(source: Path, target: Path, *, progress: Optional[Progress] = None) -> None:
    """
    Copy one snapshot of a database, its log included, into a file that nobody else has open.

    Raises:
        SinkError: The database cannot be read now, or is damaged.
        OSError: The copy cannot be written.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_readable(source))
        reading = stack.enter_context(contextlib.closing(connect_read_only(source)))
        # One read transaction over all steps: else each commit of another process would make the
        # copy begin anew.
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
        page_bytes = int(reading.execute("PRAGMA page_size").fetchone()[0])
        stack.enter_context(writable(target))
        writing = sqlite3.connect(target, isolation_level=None)
        stack.enter_context(contextlib.closing(writing))
        writing.execute("PRAGMA synchronous = OFF")

        def told(status: int, remaining: int, total: int) -> None:
            if progress is not None:
                progress((total - remaining) * page_bytes, total * page_bytes)

        reading.backup(writing, pages=PAGES_A_STEP, progress=told)
        # A file of its own, which needs nothing beside it and can be read from anywhere.
        writing.execute("PRAGMA journal_mode = DELETE").fetchone()


def checkpoint_quietly(path: Path) -> None:
    """
    Write a database's log back into it, so that the file alone is all of it.

    Where that is not possible, the log stays.
    """
    with contextlib.suppress(sqlite3.Error, TelemetryError, OSError):
        if path.exists():
            connect_read_only(path).close()
            with contextlib.closing(sqlite3.connect(path, timeout=1.0)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def sync_closed(path: Path) -> None:
    """
    Make a closed database survive a power cut, before it takes its name.
    """
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def discard(path: Path) -> None:
    """
    Remove a database that has become of no use, and what lies beside it.
    """
    for suffix in ("", *SIDECARS):
        with contextlib.suppress(OSError):
            Path(f"{path}{suffix}").unlink()


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """
    Raise what SQLite says of a database that cannot be read as a sink's error.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise TransientSinkError(
            f"the database {path} must be readable (got {str(error)!r}); end the process that"
            " holds it, or ask again"
        ) from error
    except sqlite3.DatabaseError as error:
        raise translate(error, path) from error


@contextlib.contextmanager
def writable(path: Path) -> Iterator[None]:
    """
    Raise a failure to write a copy as what the system would say of its directory.

    Raises:
        OSError: There is no room.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if not any(words in text for words in _NO_ROOM):
            raise
        raise OSError(
            errno.ENOSPC, f"must take a copy of the database (got {text!r}); make room", path.parent
        ) from error
