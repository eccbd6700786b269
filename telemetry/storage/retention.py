"""
Which segments of the journal are to be compressed or dropped, and what keeps each of the others.

A segment goes only when every sink has read all of it and a verified backup has its records: what
is made anew later begins with that backup.
"""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import TYPE_CHECKING, Optional

import attrs

from telemetry.model.errors import TelemetryError
from telemetry.storage.appenders import appenders_of
from telemetry.storage.appendfile import sync_directory
from telemetry.storage.backupfiles import list_backups
from telemetry.storage.chunks import chunks_of
from telemetry.storage.cursors import DATABASE_SINK, read_cursors
from telemetry.storage.packed import is_packed, packed_name
from telemetry.storage.packing import ChangedSegmentError, holds_only
from telemetry.storage.segments import day_in
from telemetry.storage.sqlite import connect_read_only, translated
from telemetry.storage.undo import known

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from telemetry.sinks import Cursor, Journal, Segment

#: For how long after its day a segment may still be written to, by a process that was stopped.
GRACE = timedelta(days=1)
_NO_BACKUP = "no verified backup has its records; telemetry backup create makes one"


class Action(str, Enum):
    """
    What becomes of a segment.
    """

    COMPRESS = "compress"
    DROP = "drop"


@attrs.frozen(kw_only=True)
class Ages:
    """
    How long after its day a segment is compressed, and dropped; None is never.
    """

    compress_after: Optional[timedelta] = None
    drop_after: Optional[timedelta] = None


@attrs.frozen(kw_only=True)
class Standing:
    """
    How far a sink has come, and which records it refused.
    """

    sink: str
    cursors: Mapping[str, Cursor]
    dead: Collection[str] = ()


@attrs.frozen(kw_only=True)
class Cover:
    """
    The backup that stands for what is dropped.
    """

    backup: Optional[Path] = None
    cursors: Mapping[str, Cursor] = attrs.field(factory=dict)
    #: Why it cannot stand for anything; empty where it can.
    problem: str = _NO_BACKUP


@attrs.frozen(kw_only=True)
class Due:
    """
    A segment whose time has come.
    """

    action: Action
    segment: Segment
    day: str
    #: Of the file, as it lies on the disk.
    file_bytes: int
    #: What keeps it; empty where nothing does.
    reasons: tuple[str, ...] = ()


def cover_of(db_path: Path, backups_dir: Path, segment_ids: Collection[str]) -> Cover:
    """
    Return the newest verified backup, and whether a database can be made anew with it.

    A later rebuild takes the newest, so that one must have what the present database has of
    segments that went before, and know what was taken back.

    Args:
        segment_ids: What the journal has.

    Raises:
        OSError: The backups cannot be listed.
        SinkError: The database cannot be read.
    """
    backup = next((one.path for one in list_backups(backups_dir) if one.is_verified), None)
    if backup is None:
        return Cover()
    try:
        cursors, decisions = _state(backup)
    except TelemetryError as error:
        return Cover(problem=f"the newest verified backup cannot be read ({error})")
    found, decided = _state(db_path) if db_path.exists() else ({}, set())
    problem = ""
    if found.keys() - cursors.keys() - set(segment_ids) or decided - decisions:
        problem = (
            f"the newest verified backup, {backup.name}, lacks what the database has;"
            " telemetry backup create makes another"
        )
    return Cover(backup=backup, cursors=cursors, problem=problem)


def due(
    journal: Journal, ages: Ages, now: datetime, standings: Sequence[Standing], cover: Cover
) -> list[Due]:
    """
    Return what is to be compressed or dropped by now, oldest first, and what keeps each from it.

    What is to be dropped and must stay is compressed, if it is time for that.

    Raises:
        OSError: The journal cannot be listed.
    """
    found = [(segment, _age(segment, now)) for segment in journal.segments()]
    old = [(segment, age) for segment, age in found if age is not None and age >= GRACE]
    open_by = appenders_of([segment.path for segment, _ in old])
    judge = _Judge(journal, now, standings, cover, open_by)
    result: list[Due] = []
    for segment, age in old:
        goes = False
        if _is_due(age, ages.drop_after):
            reasons = judge.against_dropping(segment)
            goes = not reasons
            result.append(_due(Action.DROP, segment, reasons))
        if not goes and _is_due(age, ages.compress_after) and not is_packed(segment.path):
            result.append(_due(Action.COMPRESS, segment, judge.against_compressing(segment)))
    return result


def drop(segment: Segment) -> int:
    """
    Remove a segment, and a compressed copy beside it; return how many bytes that freed.

    Raises:
        ChangedSegmentError: The copy has something that the segment has not.
        OSError: It cannot be removed.
    """
    path = segment.path
    copy = path.with_name(packed_name(path.name))
    freed = 0
    if not is_packed(path) and copy.exists():
        if not holds_only(copy, path):
            raise ChangedSegmentError(
                f"{copy} must hold what {path.name} holds (it has something else); move one of the"
                " two out of the directory"
            )
        freed += copy.stat().st_size
        copy.unlink()
    freed += path.stat().st_size
    path.unlink()
    sync_directory(path.parent)
    return freed


def _state(db_path: Path) -> tuple[dict[str, Cursor], set[str]]:
    with translated(db_path), contextlib.closing(connect_read_only(db_path)) as connection:
        return read_cursors(connection, DATABASE_SINK), {record.id for record in known(connection)}


def _age(segment: Segment, now: datetime) -> Optional[timedelta]:
    """
    Return how long ago a segment's day has ended; None where its name is of no day.
    """
    try:
        day = datetime.strptime(day_in(segment.path.name), "%Y%m%d")  # noqa: DTZ007 (the zone follows)
    except ValueError:
        return None
    return now - day.replace(tzinfo=timezone.utc) - timedelta(days=1)


def _is_due(age: timedelta, after: Optional[timedelta]) -> bool:
    return after is not None and age >= after


def _due(action: Action, segment: Segment, reasons: Sequence[str]) -> Due:
    return Due(
        action=action,
        segment=segment,
        day=day_in(segment.path.name),
        file_bytes=segment.path.stat().st_size,
        reasons=tuple(reasons),
    )


class _Judge:
    """
    Finds what keeps a segment.
    """

    def __init__(
        self,
        journal: Journal,
        now: datetime,
        standings: Sequence[Standing],
        cover: Cover,
        open_by: Mapping[Path, Sequence[int]],
    ) -> None:
        self._journal = journal
        self._now = now
        self._standings = standings
        self._cover = cover
        self._open_by = open_by

    def against_compressing(self, segment: Segment) -> list[str]:
        """
        Return why a segment must stay as it is: who reads a journal's new files reads plain ones.
        """
        database = [one for one in self._standings if one.sink == DATABASE_SINK]
        return [*self._writers(segment), *self._readers(segment, database)]

    def against_dropping(self, segment: Segment) -> list[str]:
        """
        Return why a segment must stay at all.
        """
        reasons = [*self._writers(segment), *self._readers(segment, self._standings)]
        if self._cover.problem:
            reasons.append(self._cover.problem)
        elif not self._has_read(segment, self._cover.cursors):
            reasons.append(_NO_BACKUP)
        return reasons or list(self._dead_letters(segment))

    def _writers(self, segment: Segment) -> Iterator[str]:
        pids = self._open_by.get(segment.path)
        if pids:
            yield f"process {pids[0]} has it open and may write to it"
        written = datetime.fromtimestamp(segment.path.stat().st_mtime, timezone.utc)
        if self._now - written < GRACE:
            yield "it was written to within the last day"

    def _readers(self, segment: Segment, standings: Sequence[Standing]) -> Iterator[str]:
        for standing in standings:
            if not self._has_read(segment, standing.cursors):
                yield f"{standing.sink} has not read it to its end"

    def _has_read(self, segment: Segment, cursors: Mapping[str, Cursor]) -> bool:
        """
        Return whether nothing whole is left behind a cursor that fits the file.
        """
        cursor = cursors.get(segment.id)
        if cursor is None:
            return False
        try:
            chunk = self._journal.read(segment, cursor, 1)
        except OSError:
            return False
        return chunk.cursor.start == chunk.cursor.offset == cursor.offset

    def _dead_letters(self, segment: Segment) -> Iterator[str]:
        """
        Say which sinks refused a record of a segment: it stays until the letters are dealt with.
        """
        wanted = [standing for standing in self._standings if standing.dead]
        if not wanted:
            return
        chunks = chunks_of(self._journal, segment)
        ids = {record.id for chunk in chunks for record in chunk.records}
        for standing in wanted:
            count = len(ids.intersection(standing.dead))
            if count:
                yield f"{standing.sink} refused {count} of its records; see telemetry posts list"
