"""
Where each process with open runs shows that it lives: one byte of ``alive.lock``.

It lies where all find it who read the same journal, whichever database each of them has.

Small, for a command that must start fast; `telemetry.runtime.liveness` does the rest.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from telemetry.runtime.bytelocks import is_denied

if TYPE_CHECKING:
    from pathlib import Path

LOCK_NAME = "alive.lock"
_OFFSET_MASK = 2**62 - 1
_FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def lock_path(journal: Path) -> Path:
    """
    Return the file in which the writers of a journal show that they live.

    Args:
        journal: The journal's directory: ``raw`` of a base directory, or one that several share.
    """
    there = journal.resolve()
    return (there.parent / "state" if there.name == "raw" else there) / LOCK_NAME


def lock_offset(writer: str) -> int:
    """
    Return the byte of the lock file that stands for a writer.
    """
    return int(writer, 16) & _OFFSET_MASK


def all_live(path: str, writers: list[str]) -> bool:
    """
    Return whether the process of each writer lives on this machine, as far as that can be seen.

    Only for a process that records nothing: a lock of its own in that file would be gone.
    """
    try:
        fd = os.open(path, _FLAGS)
    except OSError:
        return False
    try:
        return all(is_denied(fd, lock_offset(writer)) for writer in writers)
    except (OSError, ValueError):
        return False
    finally:
        os.close(fd)
