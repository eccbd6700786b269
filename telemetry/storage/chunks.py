"""
All of a segment of the journal, a piece at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from telemetry.model.records import LineKind
    from telemetry.sinks import Chunk, Cursor, Journal, Segment

#: Large pieces save little more, and take memory.
READ_BYTES = 4 * 1024 * 1024


def chunks_of(  # noqa: PLR0913 (what of a segment, from where to where)
    journal: Journal,
    segment: Segment,
    cursor: Optional[Cursor] = None,
    *,
    max_bytes: int = READ_BYTES,
    without: Collection[LineKind] = (),
    until: Optional[Cursor] = None,
) -> Iterator[Chunk]:
    """
    Yield what a segment holds behind a cursor, at least up to the end it had when it was listed.

    Where the cursor does not fit the file, all of it. A piece without records comes only for its
    damage.

    Args:
        cursor: None for the beginning.
        max_bytes: About how much a piece is.
        without: What is not wanted; see `Journal.read`.
        until: Where to stop, between two records; None for the end.

    Raises:
        OSError: The segment cannot be read.
    """
    end = until.offset if until else segment.size
    while True:
        offset = cursor.offset if cursor else 0
        wanted = min(max_bytes, max(1, end - offset)) if until else max_bytes
        chunk = journal.read(segment, cursor, wanted, without=without)
        cursor = chunk.cursor
        # Its start, not the cursor asked for: that is another where it did not fit.
        has_moved = cursor.offset != cursor.start
        if has_moved or chunk.damaged_count:
            yield chunk
        if not has_moved or cursor.offset >= end:
            return
