"""
Move a database out of the way without deleting a byte of it.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Optional

from telemetry.storage.sqlite import identity

#: Moved before the database is: one that begins empty discards a log left under its name, while the
#: other way round its successor's log could be taken away.
SIDECARS = ("-wal", "-shm", "-journal")
#: Part of the name of a database that was moved out of the way for what is wrong with it.
CORRUPTED = "corrupted"


def move_aside(path: Path, expected: Optional[tuple[int, int]]) -> Optional[Path]:
    """
    Rename a database and its sidecars to ``<stem>.corrupted.<time><suffix>`` beside it.

    Args:
        expected: The file that is meant; another one, which somebody has put there, is left.

    Returns:
        Where it is now; None when it had gone already.
    """
    found = identity(path)
    if found is None or (expected is not None and found != expected):
        return None
    target = free_name(path, CORRUPTED)
    for suffix in SIDECARS:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").replace(f"{target}{suffix}")
    try:
        path.replace(target)
    except FileNotFoundError:  # pragma: no cover (another process moved it just now)
        return None
    return target


def swap_in(
    path: Path, successor: Path, *, label: str = CORRUPTED, aside: Optional[Path] = None
) -> Optional[Path]:
    """
    Put a finished database, which nobody has open, in the place of another.

    The path names one of the two at every moment. Whoever has the old one open goes on with that
    one until it sees the change; no writer should be about to open it, so hold the sink's lock.

    Args:
        label: Part of the old one's new name.
        aside: The whole of its new name, which nothing has yet.

    Returns:
        Where the old one is now; None when there was none.
    """
    target = aside or free_name(path, label)
    aside = target if path.exists() else None
    if aside is not None:
        try:
            os.link(path, aside)
        except OSError:  # a file system without links; then the path is missing for a moment
            path.replace(aside)
    for suffix in SIDECARS:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").replace(f"{target}{suffix}")
    successor.replace(path)
    return aside


def free_name(path: Path, label: str) -> Path:
    """
    Return a name beside the database that nothing has yet.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    target = path.with_name(f"{path.stem}.{label}.{stamp}{path.suffix}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.stem}.{label}.{stamp}-{number}{path.suffix}")
    return target
