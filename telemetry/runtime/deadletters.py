"""
Records that one sink can never take, with the reason: one file a sink, one JSON object a line.

Written before the sink's cursor passes them, so none is lost; after a crash in between, one may
stand there twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import attrs
import msgspec

from telemetry.model.records import Record
from telemetry.storage.appendfile import identity_of, make_private_directory, open_private

if TYPE_CHECKING:
    from pathlib import Path

MAX_REASON_LENGTH = 2000
_DIRECTORY = "dead"
_READ_BYTES = 1 << 20
_FLAGS = os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)


@attrs.frozen(kw_only=True)
class DeadLetter:
    """
    One record, the sink that refused it, and why.
    """

    timestamp: str
    sink: str
    error: str
    reason: str
    id: str
    line: str


class DeadLetters:
    """
    The dead letters of one sink: ``state/dead/<sink>.ndjson``.
    """

    def __init__(self, state_dir: Path, sink: str) -> None:
        self.path = dead_letters_path(state_dir, sink)
        self._sink = sink

    def add(self, record: Record, error: BaseException, reason: str = "") -> None:
        """
        Keep a record that the sink refused for good.

        Args:
            reason: Why, where the error speaks of more than this record.

        Raises:
            OSError: It could not be written; the record must not be passed over.
        """
        letter = {
            "timestamp": datetime.now(timezone.utc).isoformat().replace("+00:00", "Z"),
            "sink": self._sink,
            "error": type(error).__name__,
            "reason": (reason or describe(error))[:MAX_REASON_LENGTH],
            "id": record.id,
            "line": record.line.decode("utf-8", "replace"),
        }
        self._append(msgspec.json.encode(letter) + b"\n")

    def put_back(self, letter: DeadLetter) -> None:
        """
        Keep a letter that was here before, as it was.

        Raises:
            OSError: It could not be written.
        """
        self._append(msgspec.json.encode(attrs.asdict(letter)) + b"\n")

    def _append(self, data: bytes) -> None:
        while not self._append_once(data):
            pass

    def _append_once(self, data: bytes) -> bool:
        """
        Write a letter; False where somebody took the file away in between, to put letters back.
        """
        fd = self._open()
        try:
            if os.write(fd, data) != len(data):
                # A newline later closes the fragment; readers pass over it.
                os.write(fd, b"\n")
                raise OSError(f"a dead letter must be written whole ({self.path}); free some space")
            return self._is_in_place(fd)
        finally:
            os.close(fd)

    def _is_in_place(self, fd: int) -> bool:
        try:
            return identity_of(os.fstat(fd)) == identity_of(self.path.stat())
        except FileNotFoundError:
            return False

    def _open(self) -> int:
        try:
            return open_private(self.path, _FLAGS)
        except FileNotFoundError:
            make_private_directory(self.path.parent)
            return open_private(self.path, _FLAGS)


def read_dead_letters(path: Path) -> Iterator[DeadLetter]:
    """
    Yield the dead letters of a file, oldest first; a torn line is passed over.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        for line in file:
            try:
                yield DeadLetter(**msgspec.json.decode(line))
            except (msgspec.DecodeError, TypeError):
                continue


def dead_letters_path(state_dir: Path, sink: str) -> Path:
    """
    Return where the dead letters of a sink lie.
    """
    return state_dir / _DIRECTORY / f"{sink}.ndjson"


def count_dead_letters(state_dir: Path) -> dict[str, int]:
    """
    Return how many dead letters each sink has that ever had one, by the sinks' names.

    Raises:
        OSError: A file cannot be read.
    """
    files = sorted((state_dir / _DIRECTORY).glob("*.ndjson"))
    return {path.stem: _count_lines(path) for path in files}


def _count_lines(path: Path) -> int:
    count = 0
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            count += piece.count(b"\n")
    return count


def describe(error: BaseException) -> str:
    """
    Return an error as text, whatever its own ``__str__`` does.
    """
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 (a sink's error is a stranger's code)
        text = ""
    return text or type(error).__name__
