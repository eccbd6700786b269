"""
Databases that are not this release's to judge, to repair or to replace.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Optional

import attrs

from telemetry.model.errors import TelemetryError
from telemetry.storage.ddl import DATABASE_VERSION
from telemetry.storage.looking import look_into
from telemetry.storage.sqlite import user_version, wal_bytes

if TYPE_CHECKING:
    from pathlib import Path

_ELSEWHERE = "move it away, or name another file in TELEMETRY_DB_PATH"
#: The original system has no table of that name.
_OURS = "run_folds"
_NAMES = "SELECT name FROM sqlite_master WHERE type = 'table'"


@attrs.frozen
class Stranger:
    """
    Whose database it is, and what to do about it.
    """

    #: Goes on after "it must be this library's (got …)".
    what: str
    way_out: str
    #: Whether a newer release of this library made it, so that its runs can still be read.
    is_newer: bool = False

    def refusal(self, db_path: Path) -> str:
        """
        Say that a command leaves the database alone, whose it is, and the way out.
        """
        return f"the database {db_path} must be this library's (got {self.what}); {self.way_out}"


def stranger_of(connection: sqlite3.Connection, db_path: Path) -> Optional[Stranger]:
    """
    Return whose database it is where it is not ours; a damaged one of ours is ours.

    Raises:
        sqlite3.Error: It cannot be read.
    """
    version = user_version(connection)
    if version > DATABASE_VERSION:
        return Stranger(
            f"version {version}, and this release knows {DATABASE_VERSION}",
            "install the newer release that made it",
            is_newer=True,
        )
    tables = {name for (name,) in connection.execute(_NAMES)}
    # Damage may set the version to 0; it does not take our tables' names away, too.
    if version or not tables or _OURS in tables or _is_ours_alone(db_path):
        return None
    if "agent_runs" in tables:
        return Stranger(
            "one of the original system", f"{_ELSEWHERE}; telemetry import takes over its runs"
        )
    return Stranger("one of another application", _ELSEWHERE)


def stranger_at(db_path: Path) -> Optional[Stranger]:
    """
    Return whose database a file is where it is not ours.

    Nothing is returned of a file that does not exist or cannot be read.
    """
    try:
        with contextlib.closing(look_into(db_path)) as connection:
            return stranger_of(connection, db_path)
    except (sqlite3.Error, TelemetryError):
        return None


def _is_ours_alone(db_path: Path) -> bool:
    """
    Return whether the file is ours, and only the log beside it another database's.
    """
    if not wal_bytes(db_path):
        return False
    uri = f"{db_path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            return _OURS in {name for (name,) in connection.execute(_NAMES)}
    except sqlite3.Error:
        return False
