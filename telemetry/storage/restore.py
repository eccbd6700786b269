"""
A backup in the place of the database, followed by what the journal has since.
"""

from __future__ import annotations

import contextlib
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Optional

import attrs

from telemetry.model.errors import JournalError
from telemetry.model.records import RecordType
from telemetry.storage.backup import Fault, UnusableBackupError, contents, require_ours
from telemetry.storage.chunks import chunks_of
from telemetry.storage.copying import checkpoint_quietly
from telemetry.storage.cursors import DATABASE_SINK, read_cursors
from telemetry.storage.recovery import Start, check, rebuild
from telemetry.storage.sqlite import connect_read_only, translated
from telemetry.storage.undo import UNDO, Ranges, decide, is_after, known, time_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from telemetry.model.records import LineKind, Record
    from telemetry.sinks import Cursor, Journal
    from telemetry.storage.recovery import Progress, Rebuilt

_LATEST_SQL = (
    "SELECT max(updated_at) FROM agent_runs UNION ALL SELECT max(timestamp) FROM run_events"
)


@attrs.frozen(kw_only=True)
class Wish:
    """
    How far a restore replays the journal.
    """

    #: The time after which records no longer count; None to replay all of it.
    until: Optional[datetime] = None
    #: Take back only what people and clean-ups did after that time, not what agents recorded.
    edits_only: bool = False
    #: Let count again whatever was taken back before.
    redo: bool = False

    @property
    def until_text(self) -> str:
        """
        Return the time as records hold it; empty where there is none.
        """
        if self.until is None:
            return ""
        return self.until.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@attrs.frozen(kw_only=True)
class Survey:
    """
    What a restore would do.
    """

    #: Bytes of the journal that come after the backup.
    replayed_bytes: int
    #: How many records would be taken back, or be let count again.
    changed_count: int
    #: All that is to be known before the replay; the new ones come last.
    decisions: tuple[Record, ...] = ()
    new: tuple[Record, ...] = ()


def survey(backup: Optional[Path], journal: Journal, wish: Wish) -> Survey:
    """
    Look at what comes after a backup, and decide what of it no longer counts.

    Args:
        backup: None to begin with nothing, where the journal has everything.

    Raises:
        UnusableBackupError: The backup was made after the time that is asked for.
        OSError: The journal cannot be read.
    """
    cursors, decisions = _state(backup)
    sizes = {segment.id: segment.size for segment in journal.segments()}
    replayed = sum(
        max(0, size - (cursors[one].offset if one in cursors else 0)) for one, size in sizes.items()
    )
    if wish.until is None and not wish.redo:
        return Survey(replayed_bytes=replayed, changed_count=0)
    if wish.until and backup is not None:
        _require_made_before(backup, wish.until_text)
    chosen, met, latest = Ranges(), [], ""
    unwanted = (RecordType.EVENT,) if wish.edits_only or wish.redo else ()
    for record in _later(journal, cursors, unwanted):
        latest = max(latest, record.timestamp)
        if record.record_type == UNDO:
            met.append(record)
        if wish.until and is_after(record, wish.until_text, edits_only=wish.edits_only):
            chosen.add(record)
    decisions += met
    until = wish.until_text
    if wish.redo:
        for record in decisions:
            chosen.add(record)
        until = min((record.timestamp for record in decisions), default="")
    new = decide(chosen, until, latest) if chosen.count else []
    if backup is not None:
        for record in (*met, *new):
            _require_made_before(backup, time_of(record))
    return Survey(
        replayed_bytes=replayed,
        changed_count=chosen.count,
        decisions=(*decisions, *new),
        new=tuple(new),
    )


def restore(
    db_path: Path,
    journal: Journal,
    backup: Optional[Path],
    wish: Wish,
    *,
    progress: Optional[Progress] = None,
) -> tuple[Rebuilt, Survey]:
    """
    Put a backup in the place of the database, and replay what the journal has since.

    Without a backup it is made of the journal alone. What was there is kept as
    ``telemetry_before_restore_<time>.sqlite``. Nothing changes before the new database is complete,
    verified and on the disk. The caller holds the sink's lock.

    Raises:
        UnusableBackupError: The result is not whole, or the backup cannot serve this wish.
        OSError: The journal cannot be read, or the directory not written.
        SinkError: The new database cannot be written.
    """
    found = survey(backup, journal, wish)

    def before_swap(successor: Path) -> None:
        problems = check(successor)
        if problems:
            raise UnusableBackupError(
                f"{backup or 'the journal'} must give a whole database (got {problems[0]!r});"
                " take another backup",
                Fault.DAMAGED,
            )
        _record(journal, found.new)
        checkpoint_quietly(db_path)

    start = Start(
        base=backup,
        base_time=made_at(backup) if backup is not None else "",
        decisions=found.decisions,
        before_swap=before_swap,
        aside=_aside(db_path),
    )
    return rebuild(db_path, journal, progress=progress, start=start), found


def _state(backup: Optional[Path]) -> tuple[dict[str, Cursor], list[Record]]:
    if backup is None:
        return {}, []
    require_ours(backup)
    with translated(backup), contextlib.closing(connect_read_only(backup)) as connection:
        return read_cursors(connection, DATABASE_SINK), known(connection)


def made_at(backup: Path) -> str:
    """
    Return a time after which a backup holds no record, as records hold it.
    """
    moment = contents(backup).created_at
    if moment is not None:
        return Wish(until=moment).until_text
    with contextlib.closing(connect_read_only(backup)) as connection:
        return max(str(text or "") for (text,) in connection.execute(_LATEST_SQL))


def _later(
    journal: Journal, cursors: dict[str, Cursor], unwanted: Collection[LineKind]
) -> Iterator[Record]:
    """
    Yield the records that come after cursors, but those of some kinds.
    """
    for segment in journal.segments():
        for chunk in chunks_of(journal, segment, cursors.get(segment.id), without=unwanted):
            yield from chunk.records


def _require_made_before(backup: Path, moment: str) -> None:
    """
    Refuse a backup that may hold what came after a time and is, or was, taken back.
    """
    if made_at(backup) > moment:
        raise UnusableBackupError(
            f"{backup.name} must be older than {moment} (it was made at {made_at(backup)});"
            " choose an older backup",
            Fault.TOO_NEW,
        )


def _record(journal: Journal, decisions: tuple[Record, ...]) -> None:
    for record in decisions:
        if not journal.append(record.line + b"\n", int(time.time())):
            reason = getattr(journal, "problem", "") or "it was refused"
            raise JournalError(f"the journal must take what was decided ({reason})")
    if decisions:
        journal.sync()


def _aside(db_path: Path) -> Path:
    """
    Return the name that the original system gives to what a restore replaces.
    """
    stamp = time.strftime("%Y%m%d_%H%M%S", time.gmtime())
    number = 1
    while True:
        tail = f"_{number}" if number > 1 else ""
        path = db_path.with_name(f"{db_path.stem}_before_restore_{stamp}{tail}{db_path.suffix}")
        if not path.exists():
            return path
        number += 1
