"""
Move a database out of the way without deleting a byte of it.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Optional

from telemetry.storage.sqlite import identity

#: Moved before the database is: one that begins empty discards a log left under its name, while the
#: other way round its successor's log could be taken away.
SIDECARS = ("-wal", "-shm", "-journal")


def move_aside(
    path: Path, expected: Optional[tuple[int, int]], *, label: str = "corrupted"
) -> Optional[Path]:
    """
    Rename a database and its sidecars to ``<stem>.<label>.<time><suffix>`` beside it.

    Args:
        expected: The file that is meant; another one, which somebody has put there, is left.

    Returns:
        Where it is now; None when it had gone already.
    """
    found = identity(path)
    if found is None or (expected is not None and found != expected):
        return None
    target = free_name(path, label)
    for suffix in SIDECARS:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").replace(f"{target}{suffix}")
    with contextlib.suppress(FileNotFoundError):
        path.replace(target)
        return target
    return None


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
