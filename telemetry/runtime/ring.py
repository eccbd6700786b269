"""
Records that the journal refused: a disk that is full, read-only or gone.

The one exception to "the journal is the truth". A bounded number of lines waits here, is handed to
the sinks directly, and is appended to the journal, with the same ids, as soon as it takes them.
When there is no more room, what matters least goes first: events, then updates, then starts and
ends.
"""

from __future__ import annotations

from collections import deque

import attrs

from telemetry.runtime.natives import Empty, SimpleQueue, allocate_lock

MAX_RECORDS = 1000
MAX_BYTES = 1 << 20
#: What is shed first stands first.
CLASSES = ("event", "update", "lifecycle")
_HEAD_BYTES = 80


@attrs.frozen
class Waiting:
    """
    One refused line, with its newline.
    """

    number: int
    line: bytes
    second: int


@attrs.frozen
class RingStats:
    """
    What waits in the ring, and what had to be dropped, exactly.
    """

    record_count: int
    byte_count: int
    refused_count: int
    dropped_event_count: int
    dropped_update_count: int
    dropped_lifecycle_count: int

    @property
    def dropped_count(self) -> int:
        """
        Return how many records are lost.
        """
        return self.dropped_event_count + self.dropped_update_count + self.dropped_lifecycle_count


class EmergencyRing:
    """
    A bounded store of lines.

    `add` takes no lock that it would wait for: what it brings lies in an inbox until whoever is
    settling the ring, perhaps the interrupted code below it, takes it in.
    """

    def __init__(self, max_records: int = MAX_RECORDS, max_bytes: int = MAX_BYTES) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self.after_fork()

    def after_fork(self) -> None:
        """
        Forget the parent's records: the parent still has them.
        """
        self._inbox: SimpleQueue[tuple[bytes, int]] = SimpleQueue()
        self._turn = allocate_lock()
        self._kept: tuple[deque[Waiting], ...] = tuple(deque() for _ in CLASSES)
        self._dropped = [0] * len(CLASSES)
        self._byte_count = 0
        self._refused_count = 0

    def add(self, line: bytes, second: int) -> None:
        """
        Keep a line that the journal refused; safe from any thread, signal handler or destructor.
        """
        self._inbox.put((line, second))
        self._settle()

    def __bool__(self) -> bool:
        return not self._inbox.empty() or any(self._kept)

    def waiting(self, after: int = 0) -> list[Waiting]:
        """
        Return what is kept, oldest first.

        Args:
            after: Leave out what has this number or a lower one.
        """
        self._settle()
        kept = [entry for entries in self._kept for entry in tuple(entries) if entry.number > after]
        return sorted(kept, key=_number)

    def remove(self, entry: Waiting) -> None:
        """
        Forget a line that the journal has taken after all.
        """
        with self._turn:
            entries = self._kept[_class(entry.line)]
            if entry in entries:
                entries.remove(entry)
                self._byte_count -= len(entry.line)
        self._settle()

    def stats(self) -> RingStats:
        """
        Return the counts.
        """
        self._settle()
        return RingStats(
            sum(len(entries) for entries in self._kept),
            self._byte_count,
            self._refused_count,
            *self._dropped,
        )

    def _settle(self) -> None:
        """
        Take the inbox in, unless somebody is doing so; then he sees our line when he looks again.
        """
        while not self._inbox.empty() and self._turn.acquire(blocking=False):
            try:
                self._take_in()
            finally:
                self._turn.release()

    def _take_in(self) -> None:
        while True:
            try:
                line, second = self._inbox.get_nowait()
            except Empty:
                return
            self._refused_count += 1
            self._kept[_class(line)].append(Waiting(self._refused_count, line, second))
            self._byte_count += len(line)
            self._shed()

    def _shed(self) -> None:
        while self._byte_count > self._max_bytes or self._count() > self._max_records:
            lowest = next(index for index, entries in enumerate(self._kept) if entries)
            self._byte_count -= len(self._kept[lowest].popleft().line)
            self._dropped[lowest] += 1

    def _count(self) -> int:
        return sum(len(entries) for entries in self._kept)


def _number(entry: Waiting) -> int:
    return entry.number


def _class(line: bytes) -> int:
    """
    Return where a line stands in `CLASSES`, from its first keys.
    """
    head = line[:_HEAD_BYTES]
    if b'"record_type":"event"' in head:
        return 0
    return 1 if b'"change":"updated"' in head else 2
