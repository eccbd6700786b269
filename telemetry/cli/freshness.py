"""
Whether the database has all that the journal has, found without loading what records.

A list of runs should start about as fast as Python does. Usually nothing is outstanding, and then
this look (a directory, a header of each file, one small query) is all it takes.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Optional

from telemetry.cli.exits import Exit, fail
from telemetry.storage.owners import OWNER

if TYPE_CHECKING:
    from telemetry.cli.session import Session

CATCH_UP_TIMEOUT_S = 10.0
#: Where more runs are open, each is looked at by the longer way.
MAX_OPEN_RUNS = 1000
_HEADER_BYTES = 4096
_PIECE_BYTES = 1 << 16
_CURSORS = "SELECT segment, offset FROM cursors WHERE sink = 'sqlite'"
_OWNERS = f"SELECT {OWNER} FROM agent_runs r WHERE status = 'running' LIMIT ?"  # noqa: S608 (ours)


def bring_up_to_date(session: Session) -> None:
    """
    Bring the database up to the journal, and record the death of runs whose owner is gone.

    What cannot be done is a warning: what the database has is shown then.
    """
    from telemetry.cli.strangers import refuse_strangers

    config = session.config
    if not config.ndjson_dir.is_dir():
        check_base(session)
        refuse_strangers(config)
        return
    if is_current(str(config.db_path), str(config.ndjson_dir)):
        return
    refuse_strangers(config)
    if not os.access(config.ndjson_dir, os.W_OK):
        session.screen.warn(
            f"{config.ndjson_dir} must be writable to bring the database up to date;"
            " the newest runs may be missing"
        )
        return
    from telemetry.cli.offline import offline
    from telemetry.client import TelemetryClient

    client = TelemetryClient(offline(config))
    done = client.catch_up(CATCH_UP_TIMEOUT_S)
    if client.reap():
        done = client.catch_up(CATCH_UP_TIMEOUT_S)
    if not done:
        session.screen.warn(
            "the database is still behind the journal; the newest runs may be missing,"
            " ask again or see telemetry recover --check-only"
        )


def is_current(database: str, journal: str, state: str = "") -> bool:
    """
    Return whether nothing is outstanding: every file is read to its end, and no run is left open.

    Args:
        database: Path of the database, which need not exist.
        journal: The journal's directory.
        state: The directory of locks, by which the owners of open runs show that they live; without
            it no run may be open. Only for a process that records nothing itself.
    """
    try:
        segments = _segments(journal)
        with closing(open_read_only(database)) as connection:
            owners = [owner for (owner,) in connection.execute(_OWNERS, (MAX_OPEN_RUNS + 1,))]
            cursors = dict(connection.execute(_CURSORS).fetchall())
        is_read = not any(
            _has_lines(path, cursors.get(segment, 0), size)
            for segment, (path, size) in segments.items()
        )
        return is_read and (not owners or _are_at_work(owners, state))
    except (sqlite3.Error, OSError):
        return False


def _are_at_work(owners: list[Optional[str]], state: str) -> bool:
    """
    Tell whether each open run has an owner, who lives.
    """
    known = [owner for owner in owners if owner]
    if not state or len(known) < len(owners) or len(owners) > MAX_OPEN_RUNS:
        return False
    from telemetry.runtime.alive import LOCK_NAME, all_live

    return all_live(os.path.join(state, LOCK_NAME), known)  # noqa: PTH118 (no pathlib)


def open_read_only(database: str) -> sqlite3.Connection:
    """
    Open an existing database; it is not made where it is missing.

    Raises:
        sqlite3.OperationalError: It does not exist or cannot be opened.
    """
    # What means something in a URI: the escape, and what ends the path.
    path = database.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def _segments(directory: str) -> dict[str, tuple[str, int]]:
    """
    Return path and size of each file by the id that `telemetry.storage.segments` knows it by.
    """
    found: dict[str, tuple[str, int]] = {}
    with os.scandir(directory) as entries:
        files = [
            entry
            for entry in entries
            if entry.name.startswith("events_")
            and entry.name[7:15].isdigit()
            and entry.name.endswith(".ndjson")
        ]
    for entry in sorted(files, key=lambda entry: entry.name):
        if entry.is_file(follow_symlinks=False):
            size = entry.stat(follow_symlinks=False).st_size
            segment = _segment_id(entry.path) or entry.name
            # A copy beside its original is known by its name.
            found[entry.name if segment in found else segment] = (entry.path, size)
    return found


def _segment_id(path: str) -> str:
    """
    Return the id in a file's header; empty text where it has none.
    """
    with open(path, "rb") as file:  # noqa: PTH123 (pathlib is not needed here)
        header = file.readline(_HEADER_BYTES)
    if b'"record_type":"segment"' not in header:
        return ""
    return header.partition(b'"segment":"')[2].partition(b'"')[0].decode("ascii", "replace")


def _has_lines(path: str, offset: int, size: int) -> bool:
    """
    Tell whether a file has a whole line from an offset on; the end of a torn one is nothing.
    """
    if offset == size:
        return False
    if offset > size:
        return True  # it was written anew
    with open(path, "rb") as file:  # noqa: PTH123 (pathlib is not needed here)
        file.seek(offset)
        return any(b"\n" in piece for piece in iter(lambda: file.read(_PIECE_BYTES), b""))


def check_base(session: Session) -> None:
    """
    End the command where the base directory that was asked for cannot be looked into.
    """
    base = session.config.base_dir
    if base.exists() and not base.is_dir():
        fail(f"base directory {base} must be a directory; name another", Exit.NOT_FOUND)
    if session.base_dir is None or base.is_dir():
        return
    fail(
        f"base directory {base} must exist to be read;"
        " see telemetry config base_dir, or make it with telemetry init",
        Exit.NOT_FOUND,
    )
