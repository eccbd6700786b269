"""
From requests to lines of the journal, several by one write.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Callable
from zlib import crc32

from telemetry.model.errors import JournalError
from telemetry.model.ids import Clock, new_writer
from telemetry.model.records import FORMAT_VERSION, Change, RecordType

if TYPE_CHECKING:
    from collections.abc import Iterable

RECORDED = Change.RECORDED.value
EDITED = Change.EDITED.value
DELETED = Change.DELETED.value
COMMIT = RecordType.COMMIT.value


class CutShortError(JournalError):
    """
    The journal did not take all of several records; it may have taken the first of them.
    """


class Writer:
    """
    The service as a writer of the journal: nothing waits in memory, and a refusal is an error.

    For one thread of one process.

    Args:
        append: The journal's, with a sync behind it where the settings want one.
        written: Called after each write.
    """

    def __init__(
        self, append: Callable[[bytes, int], bool], *, written: Callable[[], None]
    ) -> None:
        self._append = append
        self._written = written
        #: Whether the last write was refused.
        self.is_failing = False
        self._clock = Clock()
        self._number = itertools.count(1).__next__
        writer = new_writer()
        self._heads = {
            kind: f'{{"lt":{FORMAT_VERSION},"record_type":{what},"id":"{writer}-'.encode()
            for kind, what in (
                *((kind, f'"run","change":"{kind}"') for kind in (RECORDED, EDITED, DELETED)),
                (COMMIT, f'"{COMMIT}"'),
            )
        }

    def record(self, kind: str, bodies: Iterable[bytes]) -> int:
        """
        Write one line for each body, all by one write, and return how many bytes that were.

        Args:
            kind: A change of a run, or `COMMIT`.
            bodies: Each the inside of an object: the run's two keys, then its fields; nothing in
                it may look like the beginning of a record.

        Raises:
            JournalError: The journal did not take them.
        """
        _, time, _, second = self._clock.read()
        stamp = f'","timestamp":"{time}",'.encode()
        head, number = self._heads[kind], self._number
        parts: list[bytes] = []
        for body in bodies:
            opening = b"%b%d%b" % (head, number(), stamp)
            closing = b',"crc":"%08x"}\n' % crc32(body, crc32(opening))
            parts += (opening, body, closing)
        return self.append(b"".join(parts), second)

    def append(self, block: bytes, second: int) -> int:
        """
        Append whole lines as they are, and return how many bytes they have.

        Raises:
            JournalError: The journal did not take it, or not all of them.
        """
        self.is_failing = not self._append(block, second)
        if self.is_failing:
            kind = JournalError if block.count(b"\n") <= 1 else CutShortError
            raise kind("the journal must take what is recorded (it did not); make room")
        self._written()
        return len(block)

    def try_again(self) -> int:
        """
        Find out whether the journal takes something again, and return how many bytes it took.

        An empty line, which says nothing to a reader: nobody may have anything to record before he
        hears that it would be taken.
        """
        try:
            return self.append(b"\n", self._clock.read()[3])
        except JournalError:
            return 0
