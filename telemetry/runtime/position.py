"""
Where one sink stands in the journal, and the next batch from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Optional

import attrs

from telemetry.model.records import deliverable
from telemetry.sinks import Chunk, Cursor

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from telemetry.model.records import LineKind, Record
    from telemetry.runtime.cursors import CursorStore
    from telemetry.sinks import Journal, Segment

#: Read beyond a batch, to tell bad records from a broken sink.
PEEK_BYTES = 4 << 10


class Position:
    """
    The cursors of a sink as this process knows them.

    Invariant: the cached cursors are those that were stored or committed last; whoever may have
    been overtaken calls `forget` first.
    """

    def __init__(
        self,
        journal: Journal,
        store: CursorStore,
        batch_size: int,
        *,
        without: Collection[LineKind] = (),
    ) -> None:
        self._journal = journal
        self._without = without
        self._store = store
        self._batch_size = batch_size
        self._cursors: Optional[dict[str, Cursor]] = None
        self._line_bytes = 0.0

    def forget(self) -> None:
        """
        Read the cursors again before they are used next.
        """
        self._cursors = None

    def offset(self, segment: str) -> int:
        """
        Return how far the sink is in a segment.
        """
        cursor = self._known().get(segment)
        return cursor.offset if cursor else 0

    def segments(self) -> Sequence[Segment]:
        """
        Return the journal's files; cursors are loaded before, so that none is ahead of its file.
        """
        self._known()
        return self._journal.segments()

    def next_chunk(self, segment: Segment, max_bytes: int) -> Optional[Chunk]:
        """
        Read the next batch of a segment; None if there is nothing whole yet.

        The cursor's ``start`` is what is stored now, also where the journal had to go back.
        """
        stored = self._known().get(segment.id)
        offset = stored.offset if stored else 0
        if self._line_bytes:
            max_bytes = min(max_bytes, max(1, int(self._line_bytes * self._batch_size)))
        chunk = self._read(segment, stored, max_bytes)
        while len(chunk.records) > self._batch_size and max_bytes > 1:
            max_bytes = max(1, max_bytes * self._batch_size // (len(chunk.records) + 1))
            chunk = self._read(segment, stored, max_bytes)
        if chunk.cursor.offset == offset:
            return None
        if chunk.records and chunk.cursor.offset > offset:
            self._line_bytes = (chunk.cursor.offset - offset) / len(chunk.records)
        return attrs.evolve(chunk, cursor=attrs.evolve(chunk.cursor, start=offset))

    def peek(self, segment: Segment, chunk: Chunk) -> Sequence[Record]:
        """
        Return a few records after a batch.
        """
        return deliverable(self._read(segment, chunk.cursor, PEEK_BYTES).records)

    def advance(self, cursor: Cursor) -> None:
        """
        Take note of a position that has been committed.
        """
        self._known()[cursor.segment] = cursor

    def sizes(self) -> Mapping[str, int]:
        """
        Return how long each segment is now.
        """
        return {segment.id: segment.size for segment in self._journal.segments()}

    def has_passed(self, sizes: Mapping[str, int]) -> bool:
        """
        Return whether the sink is beyond all of these sizes.
        """
        return all(self.offset(segment) >= size for segment, size in sizes.items())

    def is_at_end(self, sizes: Mapping[str, int]) -> bool:
        """
        Return whether nothing whole is left below these sizes; a torn tail is nothing.
        """
        return all(
            self.offset(segment.id) >= sizes.get(segment.id, 0)
            or self.next_chunk(segment, 1) is None
            for segment in self.segments()
        )

    def _read(self, segment: Segment, cursor: Optional[Cursor], max_bytes: int) -> Chunk:
        return self._journal.read(segment, cursor, max_bytes, without=self._without)

    def _known(self) -> dict[str, Cursor]:
        if self._cursors is None:
            self._cursors = dict(self._store.load())
        return self._cursors
