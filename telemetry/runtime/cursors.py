"""
Where a sink stands in each segment.

A sink that keeps its cursors commits them with its rows; for the others they lie in a small file
beside the locks, replaced as a whole after each batch. A crash in between brings the batch again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from telemetry.model.errors import CursorMovedError
from telemetry.runtime.notices import suppressed
from telemetry.sinks import Cursor, CursorKeeper, Sink
from telemetry.storage.appendfile import make_private_directory, open_private

if TYPE_CHECKING:
    from pathlib import Path

#: Segments remembered in a cursor file; beyond it, those that are gone are forgotten.
MAX_SEGMENTS = 1000
#: So old a file that was to replace it was left by a process that was killed.
ABANDONED_S = 3600.0
_FLAGS = os.O_WRONLY | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0)
_FLAGS |= getattr(os, "O_BINARY", 0)

#: Handed over with records that belong to no position: the ring's, and parts of a batch.
NOWHERE = Cursor("", 0)


class CursorStore(Protocol):
    """
    The durable cursors of one sink.
    """

    #: Whether two processes that drain the same range can never both commit it.
    is_exact: bool

    def load(self) -> Mapping[str, Cursor]:
        """
        Return the cursors by segment id, as they are stored now.
        """

    def commit(self, cursor: Cursor) -> None:
        """
        Store a position whose records have all been taken.

        Raises:
            CursorMovedError: Another process has moved on from where this range began.
        """


class KeptCursors:
    """
    Cursors that the sink keeps itself.
    """

    is_exact = True

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def load(self) -> Mapping[str, Cursor]:
        """
        Ask the sink.
        """
        if not isinstance(self._sink, CursorKeeper):
            return {}
        with suppressed():
            return dict(self._sink.cursors())

    def commit(self, cursor: Cursor) -> None:
        """
        Hand over an empty batch, with the position.
        """
        self._sink.write((), cursor)


class FileCursors:
    """
    Cursors in ``state/cursors/<sink>.json``.

    Compares before it replaces, but not in one step: two drainers at once may send a batch twice.
    """

    is_exact = False

    def __init__(self, state_dir: Path, sink: str, *, is_synced: bool = True) -> None:
        self.path = state_dir / "cursors" / f"{sink}.json"
        self._is_synced = is_synced
        self._has_swept = False

    def load(self) -> Mapping[str, Cursor]:
        """
        Read the file; one that is missing or damaged means the beginning.

        Raises:
            OSError: It exists and cannot be read.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        try:
            return _decode(msgspec.json.decode(data))
        except (msgspec.DecodeError, AttributeError, TypeError, ValueError):
            return {}

    def commit(self, cursor: Cursor) -> None:
        """
        Replace the file by one with this position.

        Raises:
            CursorMovedError: The stored position is not where the range began.
            OSError: The file cannot be written; the position before it stands.
        """
        cursors = dict(self.load())
        known = cursors.pop(cursor.segment, None)
        if (known.offset if known else 0) != cursor.start:
            raise CursorMovedError(
                f"the cursor of {cursor.segment} must still be at {cursor.start} "
                f"(got {known.offset if known else 0}); another process was faster"
            )
        cursors[cursor.segment] = cursor
        for old in list(cursors)[:-MAX_SEGMENTS]:
            del cursors[old]
        self._replace(msgspec.json.encode(_encode(cursors)))

    def _replace(self, data: bytes) -> None:
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            fd = open_private(temporary, _FLAGS)
        except FileNotFoundError:
            make_private_directory(self.path.parent)
            fd = open_private(temporary, _FLAGS)
        try:
            os.write(fd, data)
            if self._is_synced:
                os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(self.path)
        if not self._has_swept:
            self._has_swept = True
            self._sweep()

    def _sweep(self) -> None:
        """
        Remove what processes that were killed in the middle of a `commit` have left.
        """
        with contextlib.suppress(OSError):
            # By the file system's clock alone: this machine's may be another.
            eldest = self.path.stat().st_mtime - ABANDONED_S
            for path in self.path.parent.glob(f".{self.path.name}.*"):
                if path.stat().st_mtime < eldest:
                    path.unlink()


def _encode(cursors: Mapping[str, Cursor]) -> dict[str, Any]:
    return {
        "segments": {name: [cursor.offset, cursor.fingerprint] for name, cursor in cursors.items()}
    }


def _decode(data: Any) -> dict[str, Cursor]:
    return {
        str(name): Cursor(str(name), int(offset), int(fingerprint))
        for name, (offset, fingerprint) in data["segments"].items()
    }
