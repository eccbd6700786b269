"""
One look into a database, also where nothing can be written beside it.

SQLite's readers and writers of one database share files beside it. On a read-only or a full disk a
reader cannot make them; a database at rest needs none.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from telemetry.model.errors import TransientSinkError
from telemetry.storage.aside import SIDECARS
from telemetry.storage.sqlite import connect_read_only, translated, user_version

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# SQLite's own words; its result codes reach Python only from 3.11 on.
_CANNOT_SHARE = ("unable to open", "readonly", "is full", "disk i/o")
_NOT_NOW = ("locked", "unable to open", "readonly", "is full")
_NO_ROOM = "disk i/o"
#: The shared file is made so long before anybody works with it.
_MAPPED_BYTES = 32_768


class UnreachableError(TransientSinkError):
    """
    A database cannot be looked into now, which says nothing of what it holds.
    """


def look_into(path: Path) -> sqlite3.Connection:
    """
    Open an existing database for reading, to be closed after one answer.

    Not to be kept: one that is at rest now and read without the shared files would not show what
    is written later.

    Raises:
        UnreachableError: It cannot be looked into now.
        MalformedDatabaseError, TransientSinkError: It cannot be read.
    """
    connection = connect_read_only(path)
    try:
        with translated(path):
            user_version(connection)
    except BaseException as error:
        connection.close()
        cause = error.__cause__ or error
        if _says(cause, _CANNOT_SHARE) and _is_at_rest(path):
            return connect_read_only(path, is_at_rest=True)
        if is_unreachable(cause, path):
            raise unreachable(cause, path) from cause
        raise
    return connection


def hold_still(connection: sqlite3.Connection) -> None:
    """
    Let a connection see the database as it is now, whatever others write, until it is closed.

    Answers that are compared with one another must come of one state.

    Raises:
        sqlite3.Error: It cannot be read.
    """
    connection.execute("BEGIN")
    user_version(connection)


def is_unreachable(error: BaseException, path: Path) -> bool:
    """
    Return whether an error is about who may reach a database now, and not about what it holds.
    """
    return _says(error, _NOT_NOW) or (_says(error, [_NO_ROOM]) and not _has_room(path))


def unreachable(error: BaseException, path: Path) -> UnreachableError:
    """
    Return what to raise for such an error.
    """
    return UnreachableError(
        f"the database {path} must be readable now (got {str(error)!r});"
        " telemetry doctor says more about locks, permissions and the disk"
    )


def _says(error: BaseException, some: Sequence[str]) -> bool:
    is_sqlite = isinstance(error, sqlite3.OperationalError)
    return is_sqlite and any(words in str(error).lower() for words in some)


def _is_at_rest(path: Path) -> bool:
    """
    Return whether nothing is in the files beside it, and nobody has ever mapped the shared one.
    """
    least = {"-shm": _MAPPED_BYTES}
    return path.exists() and all(
        _size(f"{path}{suffix}") < least.get(suffix, 1) for suffix in SIDECARS
    )


def _size(name: str) -> int:
    try:
        return os.stat(name).st_size  # noqa: PTH116 (a name beside a path)
    except OSError:
        return 0


def _has_room(path: Path) -> bool:
    import shutil

    with suppress(OSError):
        return os.access(path.parent, os.W_OK) and shutil.disk_usage(path.parent).free > 0
    return True
