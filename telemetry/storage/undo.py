"""
What a person took back: records that stay in the journal and no longer count.

The decision is a record of its own, of type ``undo``, that names the others by writer and numbers.
So every rebuild and every drainer comes to the same rows, whichever database they begin with, and
no clock has a say in it. A decision takes back records of any kind, earlier decisions too.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Optional

import attrs
import msgspec

from telemetry.model.codec import decode_line, encode_line
from telemetry.model.ids import Clock, new_writer
from telemetry.model.records import Change, Record, RecordType
from telemetry.storage.sqlite import MalformedDatabaseError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

UNDO = RecordType.UNDO.value
#: What people and clean-ups do, beside what agents record.
EDITS = frozenset({Change.EDITED.value, Change.DELETED.value})
_KNOWN_SQL = f"SELECT body FROM run_records WHERE event_id = '' AND change = '{UNDO}' ORDER BY id"
_KEEP_SQL = (
    "INSERT OR IGNORE INTO run_records (event_id, id, run_id, change, timestamp, body)"
    f" VALUES ('', ?, '', '{UNDO}', ?, ?)"
)
#: A decision of more is written as several records.
MAX_WRITERS = 50_000


class UnknownUndoError(MalformedDatabaseError):
    """
    The database holds what a decision in the journal takes back: it must be made anew.
    """

    def __init__(self, record: Record) -> None:
        super().__init__(
            f"the database must be made anew without what was taken back (got the decision"
            f" {record.id})"
        )
        self.record = record


class Ranges:
    """
    A set of records, as the numbers of each writer.
    """

    def __init__(self) -> None:
        self._found: dict[str, list[int]] = {}

    def add(self, record: Record) -> None:
        """
        Add a record.
        """
        self._found.setdefault(record.writer, []).append(record.number)

    @property
    def count(self) -> int:
        """
        Return how many records it holds.
        """
        return sum(map(len, self._found.values()))

    def ranges(self) -> dict[str, list[list[int]]]:
        """
        Return first and last number of each run of numbers, by writer.
        """
        return {writer: _joined(sorted(set(found))) for writer, found in self._found.items()}


@attrs.frozen
class Undone:
    """
    The records that no longer count.
    """

    #: First and last numbers, by writer.
    by_writer: dict[str, Sequence[Sequence[int]]]

    def __contains__(self, record: Record) -> bool:
        ranges = self.by_writer.get(record.writer)
        if ranges is None:
            return False
        number = record.number
        return any(first <= number <= last for first, last in ranges)


_NOTHING = Undone({})


def decide(chosen: Ranges, until: str, latest: str = "") -> list[Record]:
    """
    Return the decision to take records back, to be appended to the journal.

    Args:
        until: The time up to which everything was meant to stand; for those who read it.
        latest: The time of the latest record; the decision comes after it, whatever the clock says.
    """
    clock, writer = Clock(), new_writer()
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(latest.replace("Z", "+00:00"))
        clock.observe(int(moment.timestamp() * 1_000_000) + 1)
    ranges = list(chosen.ranges().items())
    parts = [ranges[at : at + MAX_WRITERS] for at in range(0, len(ranges), MAX_WRITERS)]
    return [
        decode_line(
            encode_line(
                UNDO,
                id=f"{writer}-{number}",
                timestamp=clock.read()[1],
                body={"until": until, "undone": dict(part)},
            )
        )
        for number, part in enumerate(parts or [[]], 1)
    ]


def known(connection: sqlite3.Connection) -> list[Record]:
    """
    Return the decisions that a database was made by.
    """
    return [decode_line(body.encode()) for (body,) in connection.execute(_KNOWN_SQL)]


def keep(connection: sqlite3.Connection, decisions: Iterable[Record]) -> None:
    """
    Let a database know decisions before it is given the records that they are about.
    """
    rows = [(record.id, record.timestamp, str(record.line, "utf-8")) for record in decisions]
    connection.executemany(_KEEP_SQL, rows)


def countable(connection: sqlite3.Connection, batch: Sequence[Record]) -> Sequence[Record]:
    """
    Return the records of a batch that count, by the decisions that the database knows.

    Raises:
        UnknownUndoError: The batch holds a decision that it does not know.
    """
    decisions = [record for record in batch if record.record_type == UNDO]
    bodies = tuple(body for (body,) in connection.execute(_KNOWN_SQL).fetchall())
    if not (bodies or decisions):
        return batch
    undone = _standing(bodies)
    for record in decisions:
        if str(record.line, "utf-8") not in bodies:
            raise UnknownUndoError(record)
    return [record for record in batch if record not in undone]


def time_of(record: Record) -> str:
    """
    Return the time up to which everything was meant to stand by a decision.
    """
    return str(record.fields().get("until") or "")


@lru_cache(maxsize=8)
def _standing(bodies: tuple[str, ...]) -> Undone:
    """
    Return what decisions take back together; one that a later one takes back has no effect.
    """
    if not bodies:
        return _NOTHING
    decisions = [decode_line(body.encode()) for body in bodies]
    undone = Undone({})
    for record in sorted(decisions, key=_moment, reverse=True):
        if record in undone:
            continue
        for writer, ranges in _ranges_of(record).items():
            undone.by_writer[writer] = [*undone.by_writer.get(writer, ()), *ranges]
    return undone


def _moment(record: Record) -> tuple[str, str, int]:
    return record.timestamp, record.writer, record.number


def _ranges_of(record: Record) -> dict[str, list[tuple[int, int]]]:
    """
    Return what a decision says; nothing where it says something else.
    """
    try:
        return msgspec.convert(record.fields().get("undone"), dict[str, list[tuple[int, int]]])
    except msgspec.ValidationError:
        return {}


def _joined(numbers: list[int]) -> list[list[int]]:
    ranges: list[list[int]] = []
    last: Optional[int] = None
    for number in numbers:
        if last is not None and number == last + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
        last = number
    return ranges


def is_after(record: Record, until: str, *, edits_only: bool) -> bool:
    """
    Return whether a record is one of those after a time that a decision would take back.
    """
    if record.timestamp <= until:
        return False
    return not edits_only or record.change in EDITS or record.record_type == UNDO
