"""
How far the followers are, and what they could not deliver.

Each function asks files or the database: not for the event loop's thread.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from telemetry.service.barrier import SINK
from telemetry.storage.cursors import read_cursors
from telemetry.storage.sqlite import connect_read_only, translated

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.service.state import Service

_READ_BYTES = 1 << 20


def journal_bytes(service: Service) -> int:
    """
    Return how long the journal is.
    """
    return sum(segment.size for segment in service.journal.segments())


def lag_bytes(service: Service) -> int:
    """
    Return how much of the journal is not in the database yet.
    """
    segments = service.journal.segments()
    path = service.config.db_path
    if not path.exists():
        return sum(segment.size for segment in segments)
    with translated(path), closing(connect_read_only(path)) as connection:
        cursors = read_cursors(connection, SINK)
    offsets = {segment: cursor.offset for segment, cursor in cursors.items()}
    return sum(max(0, one.size - offsets.get(one.id, 0)) for one in segments)


def dead_letters(service: Service) -> dict[str, int]:
    """
    Return how many records each sink can never take.
    """
    directory = service.config.state_dir / "dead"
    try:
        return {path.stem: _lines(path) for path in sorted(directory.glob("*.ndjson"))}
    except OSError:
        return {}


def _lines(path: Path) -> int:
    count = 0
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            count += piece.count(b"\n")
    return count
