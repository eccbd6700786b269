"""
The identity of a base directory: a random text that all its processes share.

A service says it in each answer, so that a sink which would ship the journal back to the place it
came from notices. A copy of the directory has it too: the service is here only if its lock is.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Optional

from telemetry.storage.appendfile import (
    NO_LINKS,
    create_by_link,
    create_exclusively,
    make_private_directory,
    open_to_read,
    read_at,
)

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "base-id"
#: The header that a service says it in.
HEADER = "Telemetry-Base"
#: The file, beside the identity, in which the service of a base directory holds a lock.
SERVICE_LOCK = "service.lock"
_BYTES = 16
_LENGTH = 2 * _BYTES
_SHAPE = re.compile(rb"[0-9a-f]{%d}\n" % _LENGTH)


def base_id(state_dir: Path) -> str:
    """
    Return the identity of the base directory that a state directory belongs to: 32 hex digits.

    Drawn by whoever asks first; of several at once, one wins and all return the same.

    Raises:
        OSError: It can be neither read nor made.
    """
    path = state_dir / FILE_NAME
    return _read(path) or _make(path)


def _read(path: Path) -> Optional[str]:
    """
    Return what a file says; None where there is none, or it was never written whole.
    """
    try:
        fd = open_to_read(path)
    except FileNotFoundError:
        return None
    try:
        content = read_at(fd, _LENGTH + 2, 0)
    finally:
        os.close(fd)
    return content[:_LENGTH].decode() if _SHAPE.fullmatch(content) else None


def _make(path: Path) -> str:
    make_private_directory(path.parent)
    drawn = os.urandom(_BYTES).hex()
    scratch = path.with_name(f".{FILE_NAME}.{drawn}")
    with contextlib.suppress(FileExistsError):
        _create(path, f"{drawn}\n".encode(), scratch)
    found = _read(path)
    if found is None:  # torn by a crash, where there are no links
        create_exclusively(scratch, f"{drawn}\n".encode())
        scratch.replace(path)
        found = _read(path) or drawn
    return found


def _create(path: Path, content: bytes, scratch: Path) -> None:
    try:
        create_by_link(path, content, scratch)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        create_exclusively(path, content)
