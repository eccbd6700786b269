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
            JournalError: The journal did not take them; of several it may have taken the first.
        """
        self.is_failing = not self._append(block, second)
        if self.is_failing:
            raise JournalError("the journal must take the record (it did not); nothing was changed")
        self._written()
        return len(block)
