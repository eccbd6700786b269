"""
Dead letters that a person puts back: handed to their sink once more.

The file is moved aside first and removed last, so a crash in between leaves every letter in one of
the two; whatever is not delivered is a dead letter again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Callable, Optional

import attrs

from telemetry.model.codec import decode_line
from telemetry.model.errors import CodecError, PausedSinkError, SinkError, TransientSinkError
from telemetry.runtime.cursors import NOWHERE
from telemetry.runtime.deadletters import DeadLetter, DeadLetters, describe, read_dead_letters
from telemetry.runtime.delivery import Delivery
from telemetry.runtime.locks import RecordLock

if TYPE_CHECKING:
    from pathlib import Path

    from telemetry.model.records import Record
    from telemetry.sinks import Cursor, Sink

BATCH_LETTERS = 100


@attrs.frozen(kw_only=True)
class Redelivered:
    """
    What became of the letters that were put back.
    """

    delivered_count: int
    #: Refused once more.
    refused_count: int
    #: Not tried, or not taken now.
    left_count: int
    #: Why some are left; empty where none is.
    problem: str = ""


class BusyError(SinkError):
    """
    Another process is putting dead letters back.
    """


class _NoCursors:
    """
    Letters belong to no position.
    """

    is_exact = False

    def load(self) -> Mapping[str, Cursor]:
        """
        Know none.
        """
        return {}  # pragma: no cover (no position is asked for)

    def commit(self, cursor: Cursor) -> None:
        """
        Keep nothing.
        """


def letters_of(state_dir: Path, sink: str) -> list[DeadLetter]:
    """
    Return the dead letters of a sink, oldest first, each record once.
    """
    found: dict[str, DeadLetter] = {}
    for path in (_aside(state_dir, sink), DeadLetters(state_dir, sink).path):
        if path.exists():
            for letter in read_dead_letters(path):
                found[letter.id] = letter
    return sorted(found.values(), key=lambda letter: letter.timestamp)


def redeliver(sink: Sink, state_dir: Path, wanted: Callable[[DeadLetter], bool]) -> Redelivered:
    """
    Hand some of a sink's dead letters to it again, on the caller's thread.

    Raises:
        BusyError: Another process is doing the same.
        OSError: The letters cannot be moved; they are where they were.
    """
    lock = RecordLock(state_dir / f"retry-{sink.name}.lock")
    if not lock.try_acquire():
        raise BusyError(
            f"one process at a time must put back the dead letters of {sink.name}"
            " (another does so now); try again later"
        )
    try:
        return _Redelivery(sink, state_dir).run(wanted)
    finally:
        lock.release()


class _Redelivery:
    def __init__(self, sink: Sink, state_dir: Path) -> None:
        self._name = sink.name
        self._state_dir = state_dir
        self._dead = DeadLetters(state_dir, sink.name)
        self._delivery = Delivery(sink, _NoCursors(), self._dead, time.sleep)
        self._problem = ""

    def run(self, wanted: Callable[[DeadLetter], bool]) -> Redelivered:
        aside = _aside(self._state_dir, self._name)
        letters = letters_of(self._state_dir, self._name)
        if not any(map(wanted, letters)):
            return Redelivered(delivered_count=0, refused_count=0, left_count=len(letters))
        for letter in letters_of_file(aside):  # from a process that was killed
            self._dead.put_back(letter)
        self._dead.path.replace(aside)
        kept = [letter for letter in letters if not wanted(letter)]
        chosen = [letter for letter in letters if wanted(letter)]
        left = [*kept, *self._deliver_all(chosen)]
        known = {letter.id for letter in letters}
        # What the sink's own follower buried while the file was being moved.
        left += [letter for letter in letters_of_file(aside) if letter.id not in known]
        for letter in left:
            self._dead.put_back(letter)
        aside.unlink(missing_ok=True)
        refused_count = self._delivery.dead_count
        return Redelivered(
            delivered_count=max(0, len(letters) - len(left) - refused_count),
            refused_count=refused_count,
            left_count=len(left),
            problem=self._problem,
        )

    def _deliver_all(self, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        """
        Deliver letters, and return those that were not taken.
        """
        left = []
        for first in range(0, len(letters), BATCH_LETTERS):
            some = letters[first : first + BATCH_LETTERS]
            records = {letter.id: _record_of(letter) for letter in some}
            left += [letter for letter in some if records[letter.id] is None]
            try:
                self._delivery.deliver([r for r in records.values() if r is not None], NOWHERE)
            except (TransientSinkError, PausedSinkError) as error:
                self._problem = describe(error)
                # Some of the batch may have arrived: the sink knows, and takes none twice.
                return [
                    *left,
                    *(each for each in some if each not in left),
                    *letters[first + len(some) :],
                ]
        return left


def letters_of_file(path: Path) -> list[DeadLetter]:
    """
    Return the letters of one file; none where there is none.
    """
    return list(read_dead_letters(path)) if path.exists() else []


def _aside(state_dir: Path, sink: str) -> Path:
    return state_dir / "dead" / f"{sink}.retrying.ndjson"


def _record_of(letter: DeadLetter) -> Optional[Record]:
    try:
        return decode_line(letter.line.encode())
    except CodecError:
        return None
