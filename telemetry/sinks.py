"""
What a plugin author implements: `Sink`, and for another kind of journal, `Journal`.

A sink follows the journal. It is handed batches of records, in the order of the journal, from its
own durable cursor on; it may raise, and containing that is the follower's work. All methods of one
sink are called from one thread at a time, which need not be the thread that made it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from telemetry.model.fold import Fold
    from telemetry.model.records import Change, LineKind, Record


@attrs.frozen
class Cursor:
    """
    A position in one segment of the journal: everything before `offset` has been dealt with.
    """

    #: Random id of the segment; empty for records that the journal could not take yet.
    segment: str
    #: Bytes from the segment's beginning, always a record's boundary.
    offset: int
    #: crc32 of the (up to) 256 bytes before the offset: a replaced file does not match.
    fingerprint: int = 0
    #: The offset that must still be stored when this one is committed: compare and set.
    start: int = 0


@attrs.frozen
class Segment:
    """
    One file of the journal.
    """

    id: str
    path: Path
    size: int
    host: str = ""


@attrs.frozen
class Chunk:
    """
    A piece of one segment: its whole records, and where it ends.
    """

    records: Sequence[Record]
    cursor: Cursor
    damaged_count: int = 0
    damaged_bytes: int = 0
    #: Lines of another program's, such as the original system's: passed over, not damage.
    foreign_count: int = 0


@runtime_checkable
class Journal(Protocol):
    """
    The append-only truth that every sink follows.

    It may also have ``problem``, one line that says what is wrong with it and what to do, empty
    where nothing is; it is shown to the user at most once a minute.

    `append` is the only method on the caller's path: no lock, no fsync, and no OSError leaves it.
    The others may block and may raise OSError.
    """

    def append(self, line: bytes, second: int, /) -> bool:
        """
        Write one line by one system call; when it returns True, ``kill -9`` cannot undo it.

        Safe from any thread, from signal handlers and from destructors.

        Args:
            line: A whole line with its newline.
            second: The record's time in seconds since the epoch; chooses the file.

        Returns:
            Whether the whole line was written; False leaves it to the caller's emergency ring.
        """

    def segments(self) -> Sequence[Segment]:
        """
        Return the files that exist now, oldest first.
        """

    def read(
        self,
        segment: Segment,
        cursor: Optional[Cursor],
        max_bytes: int,
        /,
        *,
        without: Collection[LineKind] = (),
    ) -> Chunk:
        """
        Return the next whole records after a cursor.

        A cursor whose fingerprint does not match, or that lies beyond the end, is taken back to the
        segment's beginning. A tail without newline is left: it may be a live writer's.

        Args:
            max_bytes: About how much to read; a longer single line is read whole.
            without: What is not wanted; lines of these kinds are passed over undecoded.
        """

    def sync(self) -> None:
        """
        Make what was appended survive a power cut.
        """

    def after_fork(self) -> None:
        """
        Drop what belongs to the parent; called in the child, which may use the journal at once.
        """

    def close(self) -> None:
        """
        Release the files; a later append opens them again.
        """


class Desk(Protocol):
    """
    What a process offers to a sink that asks for it.
    """

    def record(
        self, change: Change, event_id: str, run_id: str, fields: Mapping[str, Any], /
    ) -> None:
        """
        Write down in the journal what the sink has to say of a run, such as that it was posted.

        Never raises. It reaches every sink, this one too.

        Args:
            fields: Plain values under the columns' names.
        """

    def recall(self, event_id: str, /) -> Fold:
        """
        Return all that is known of a run; an empty fold where nothing is.

        From the database, or where that does not have it, from the journal. Never raises; may
        block.
        """

    def sizes(self) -> Mapping[str, int]:
        """
        Return how long each segment of the journal is now, by its id.

        Raises:
            OSError: The journal cannot be listed.
        """

    def time_left_s(self) -> Optional[float]:
        """
        Return how long the process still waits for its sinks; None while it is not ending.

        What is begun with less time than it takes is cut off in the middle: a sink that does better
        to leave it to the next process raises `OutOfTimeError`.
        """


@runtime_checkable
class Sink(Protocol):
    """
    A destination of records.

    It may also have

    - ``idle()``, called when it has caught up: checkpoints belong there;
    - ``after_fork()``, called in a child process before anything else;
    - ``attach(desk)``, called once before the first batch with a `Desk`, for a sink that has
      something to say of the runs it was handed, or must know what was before its first batch;
    - ``does_without = (RecordType.EVENT,)``, which spares it, and the machine, the decoding of
      records that it has no use for: those of a type, or a run's of a `Change`;
    - ``linger_s``, how long a burst of records may go on before it is woken, for a sink to which
      each batch is dear. Whoever waits for it, and the exit, do not wait for that.
    """

    #: Unique among the sinks of a process; names its cursor, its lock and its dead letters.
    name: str

    def write(self, batch: Sequence[Record], cursor: Cursor, /) -> None:
        """
        Take a batch: all of one segment, in order, and never a segment's own header.

        The same records may come again after a crash; a sink that also keeps its cursors commits
        both at once and sees each record once.

        Args:
            batch: Records of every type, also of types that this version does not know.
            cursor: Position after the batch.

        Raises:
            TransientSinkError: Not now; the batch comes again after a pause, for ever.
            PermanentSinkError: Never; the records go to the dead letters.
            CursorMovedError: Another process was faster; the cursors are read again.
            PausedSinkError: Nothing more until something is changed.
        """

    def close(self) -> None:
        """
        Release what it holds; may be called twice.
        """


@runtime_checkable
class CursorKeeper(Protocol):
    """
    A sink that commits its cursors together with its rows.
    """

    def cursors(self) -> Mapping[str, Cursor]:
        """
        Return the durable cursors by segment id.
        """
