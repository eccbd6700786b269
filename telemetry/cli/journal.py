"""
The journal as ``telemetry tail`` reads it: its end, and what comes after.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Callable, Optional
from zlib import crc32

from telemetry.sinks import Cursor
from telemetry.storage.chunks import chunks_of
from telemetry.storage.segments import FINGERPRINT_BYTES

if TYPE_CHECKING:
    from telemetry.model.records import Record
    from telemetry.sinks import Journal, Segment

READ_BYTES = 1 << 20
#: How far before its end a file is first looked at.
FIRST_STEP_BYTES = 64 << 10

Wanted = Callable[["Record"], bool]


class JournalEnd:
    """
    Yields the journal's last records, then those that are added.
    """

    poll_s = 0.25

    def __init__(self, journal: Journal, wanted: Wanted) -> None:
        self._journal = journal
        self._wanted = wanted
        self._cursors: dict[str, Cursor] = {}

    def last(self, count: int) -> list[Record]:
        """
        Return the last records that are wanted, oldest first.
        """
        found: list[Record] = []
        for segment in reversed(self._journal.segments()):
            if len(found) < count:
                found = self._last_of(segment, count - len(found)) + found
            else:
                self._cursors[segment.id] = _near_end(segment, 0) or Cursor(segment.id, 0)
        return found[-count:] if count else []

    def new(self) -> Iterator[Record]:
        """
        Yield what was added since the last call.
        """
        for segment in self._journal.segments():
            cursor = self._cursors.get(segment.id)
            if cursor is None or cursor.offset != segment.size:
                yield from self._read(segment, cursor)

    def _last_of(self, segment: Segment, count: int) -> list[Record]:
        step = FIRST_STEP_BYTES
        while True:
            cursor = _near_end(segment, step)
            found = list(self._read(segment, cursor))
            if len(found) >= count or cursor is None:
                return found[-count:]
            step *= 8

    def _read(self, segment: Segment, cursor: Optional[Cursor]) -> Iterator[Record]:
        for chunk in chunks_of(self._journal, segment, cursor, max_bytes=READ_BYTES):
            yield from filter(self._wanted, chunk.records)
            self._cursors[segment.id] = chunk.cursor


def _near_end(segment: Segment, step: int) -> Optional[Cursor]:
    """
    Return a cursor at the first line after a position so many bytes before the end.

    None where that is the beginning, or where the segment is no file to be looked into.
    """
    if step >= segment.size:
        return None
    try:
        with segment.path.open("rb") as file:
            file.seek(segment.size - step - 1)
            file.readline()
            offset = file.tell()
            start = max(0, offset - FINGERPRINT_BYTES)
            file.seek(start)
            return Cursor(segment.id, offset, crc32(file.read(offset - start)))
    except OSError:
        return None
