"""
What commands that were killed half-way leave beside the database.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from telemetry.storage.aside import SIDECARS
from telemetry.storage.copying import discard
from telemetry.storage.sqlite import identity

if TYPE_CHECKING:
    from pathlib import Path


def sweep_database(db_path: Path) -> None:
    """
    Remove unfinished databases, and second names of the present one.

    Call it while no other command is at work. A second name is what is left where the old database
    was about to be kept and the new one never came; nothing is lost with it.
    """
    stem, suffix = re.escape(db_path.stem), re.escape(db_path.suffix)
    unfinished = re.compile(rf"{stem}(?:\.(?:rebuilding|checking)\.[0-9TZ-]+)+{suffix}")
    kept = re.compile(
        rf"{stem}(?:\.corrupted\.|_before_restore_|\.before_undo\.)[0-9TZ_-]+{suffix}"
    )
    present = identity(db_path)
    with contextlib.suppress(FileNotFoundError):
        for path in list(db_path.parent.iterdir()):
            if unfinished.fullmatch(path.name):
                discard(path)
            elif kept.fullmatch(path.name) and identity(path) == present:
                _forget_name(path)


def _forget_name(path: Path) -> None:
    with contextlib.suppress(OSError):
        if not any(path.with_name(path.name + suffix).exists() for suffix in SIDECARS):
            path.unlink()
