"""
Files of a journal that are there and cannot be read: readers pass over them, operators must not.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import attrs

from telemetry.storage.appendfile import open_to_read
from telemetry.storage.segments import day_in

if TYPE_CHECKING:
    from pathlib import Path


@attrs.frozen
class Unreadable:
    """
    A file that should be a segment, and why it cannot be read.
    """

    path: Path
    reason: str


def unreadable_in(directory: Path) -> list[Unreadable]:
    """
    Try each file that has a segment's name; of a directory that is not there, there is none.

    Raises:
        OSError: The directory cannot be listed.
    """
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for path in sorted(directory.iterdir()):
            if day_in(path.name):
                found += _tried(path)
    return found


def _tried(path: Path) -> list[Unreadable]:
    try:
        fd = open_to_read(path)
    except FileNotFoundError:  # it was compressed or dropped just now
        return []
    except OSError as error:
        return [Unreadable(path, error.strerror or str(error))]
    try:
        os.read(fd, 1)
    except OSError as error:
        return [Unreadable(path, error.strerror or str(error))]
    finally:
        os.close(fd)
    return []
