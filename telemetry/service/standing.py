"""
How far the followers are, and what they could not deliver.

Each function asks files or the database: not for the event loop's thread.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from telemetry.runtime.deadletters import count_dead_letters
from telemetry.storage.cursors import DATABASE_SINK, read_cursors
from telemetry.storage.sqlite import connect_read_only, translated, user_version

if TYPE_CHECKING:
    from telemetry.service.state import Service


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
        # One without a version is being made.
        cursors = read_cursors(connection, DATABASE_SINK) if user_version(connection) else {}
    offsets = {segment: cursor.offset for segment, cursor in cursors.items()}
    return sum(max(0, one.size - offsets.get(one.id, 0)) for one in segments)


def dead_letters(service: Service) -> dict[str, int]:
    """
    Return how many records each sink can never take.
    """
    try:
        return count_dead_letters(service.config.state_dir)
    except OSError:
        return {}
