"""
Opening a day's file of the journal: the one that all processes share, or one of this process's own.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from telemetry.storage.appendfile import (
    NO_LINKS,
    Identity,
    create_by_link,
    create_exclusively,
    foreign_owner,
    identity_of,
    open_to_append,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SCRATCH_AGE_S = 60
_ATTEMPTS = 3
#: Errors that say that the shared file is not this user's to write.
_NOT_OURS = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.EMLINK, errno.EISDIR})


class NotShareableError(Exception):
    """
    The shared file is not for this process; the text says why, where a person should know.
    """


def open_shared(path: Path, header: bytes, writer: str, given_up: Mapping[Identity, str]) -> int:
    """
    Open the day's shared file to append, made first where there is none.

    Args:
        header: The first line of a new file.
        writer: A name of this process only, for the file's name while it is made.
        given_up: Files that this process must not write to again, and why.

    Raises:
        NotShareableError: This process must take a file of its own.
        OSError: No file can be opened now.
    """
    for _ in range(_ATTEMPTS):
        try:
            return _open_existing(path, given_up)
        except FileNotFoundError:
            _create(path, header, writer)
        except OSError as error:
            if error.errno in _NOT_OURS:
                raise NotShareableError(
                    f"the journal's file {path} must be a writable file ({error.strerror});"
                    " this process writes a file of its own"
                ) from error
            raise
    raise OSError(errno.EBUSY, "is deleted as often as it is made", str(path))


def open_own(path: Path, header: bytes) -> int:
    """
    Open a file that only this process writes, made first where there is none.

    Raises:
        OSError: It cannot be opened now.
    """
    with contextlib.suppress(FileExistsError):
        create_exclusively(path, header)
    return open_to_append(path)


def directory_caution(directory: Path) -> str:
    """
    Return what makes a directory unsafe; empty text where nothing does.
    """
    status = directory.stat()
    owner = foreign_owner(status)
    if owner is not None:
        return (
            f"the journal's directory {directory} should belong to this user (it is user"
            f" {owner}'s); set TELEMETRY_BASE_DIR to a directory of your own"
        )
    if os.name == "posix" and status.st_mode & 0o002:
        return (
            f"the journal's directory {directory} must not be writable by everybody (its mode is"
            f" {status.st_mode & 0o777:04o}); run chmod o-w on it"
        )
    return ""


def _open_existing(path: Path, given_up: Mapping[Identity, str]) -> int:
    status = path.lstat()
    if identity_of(status) in given_up:
        raise NotShareableError(given_up[identity_of(status)])
    owner = foreign_owner(status)
    if owner is not None:
        raise NotShareableError(
            f"the journal's file {path} must belong to this user (it is user {owner}'s);"
            " this process writes a file of its own"
        )
    return open_to_append(path)


def _create(path: Path, header: bytes, writer: str) -> None:
    _sweep(path.parent)
    try:
        create_by_link(path, header, path.with_name(f".{path.name}.{writer}.tmp"))
    except OSError as error:
        if error.errno in NO_LINKS:
            raise NotShareableError("") from error
        raise


def _sweep(directory: Path) -> None:
    """
    Remove what processes that were killed while they made a file have left.
    """
    with contextlib.suppress(OSError):
        newest = directory.stat().st_mtime - _SCRATCH_AGE_S
        for path in directory.glob(".events_*.tmp"):
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime < newest:
                    path.unlink()
