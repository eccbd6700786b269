"""
What a database that is made anew begins with.

As long as the journal has every segment it begins with nothing. Where segments were retired, it
begins with the newest verified backup that has their records, and goes on at its cursors.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Optional

import attrs

from telemetry.model.errors import TelemetryError
from telemetry.storage.appendfile import create_exclusively
from telemetry.storage.aside import free_name, swap_in
from telemetry.storage.backupfiles import BackupFile, list_backups
from telemetry.storage.copying import INFO_TABLE, copy_database, discard, sync_closed
from telemetry.storage.cursors import DATABASE_SINK, read_cursors
from telemetry.storage.looking import look_into
from telemetry.storage.migrations import migrate
from telemetry.storage.restore import made_at
from telemetry.storage.sqlite import connect, immediate, translated
from telemetry.storage.undo import keep, time_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from telemetry.model.records import Record


@attrs.frozen(kw_only=True)
class Base:
    """
    A backup that has what the journal has no more.
    """

    backup: BackupFile
    made_at: str
    #: Ids of the segments that only it has.
    segments: Collection[str]


def base_for(
    directory: Path, segment_ids: Collection[str], decisions: Sequence[Record] = ()
) -> Optional[Base]:
    """
    Return the newest verified backup with records of segments that the journal lacks; often none.

    Args:
        directory: Where the backups are.
        segment_ids: What the journal has.
        decisions: What was taken back: a backup made later may hold it.
    """
    for backup in list_backups(directory):
        if not backup.is_verified:
            continue
        with contextlib.suppress(TelemetryError, OSError):
            lacking = segments_of(backup.path) - set(segment_ids)
            moment = made_at(backup.path)
            if lacking and all(time_of(record) >= moment for record in decisions):
                return Base(backup=backup, made_at=moment, segments=lacking)
    return None


def segments_of(db_path: Path) -> set[str]:
    """
    Return the ids of the segments that a database has records of; of a damaged one what it says.

    Raises:
        SinkError: It cannot be read.
    """
    with translated(db_path), contextlib.closing(look_into(db_path)) as connection:
        return set(read_cursors(connection, DATABASE_SINK))


def begin_anew(
    db_path: Path,
    base: Optional[Base],
    decisions: Sequence[Record] = (),
    *,
    label: str = "before_undo",
) -> Optional[Path]:
    """
    Put a database that is to be followed from the beginning, or from a backup, in another's place.

    Args:
        label: Part of the other one's new name.

    Returns:
        Where the other one is now; None when there was none.

    Raises:
        OSError: The directory cannot be written.
        SinkError: The new database cannot be written.
    """
    successor = free_name(db_path, "rebuilding")
    try:
        if base is not None:
            create_exclusively(successor, b"")
            copy_database(base.backup.path, successor)
        with translated(successor), contextlib.closing(connect(successor)) as connection:
            migrate(connection, with_indexes=False)
            with immediate(connection):
                connection.execute(f"DROP TABLE IF EXISTS {INFO_TABLE}")
                keep(connection, decisions)
        sync_closed(successor)
        return swap_in(db_path, successor, label=label)
    finally:
        discard(successor)
