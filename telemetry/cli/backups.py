"""
The backups of a session's base directory, as several commands use them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from telemetry.cli.alone import operating
from telemetry.cli.bars import progress_bar
from telemetry.cli.exits import Exit, fail

if TYPE_CHECKING:
    from telemetry.cli.session import Session
    from telemetry.storage.backup import Contents
    from telemetry.storage.backupfiles import BackupFile


def make_backup(session: Session, wait_s: float) -> tuple[Path, Contents, float]:
    """
    Make a backup of the session's database; return its file, what it holds and the seconds.
    """
    from telemetry.cli.freshness import bring_up_to_date
    from telemetry.storage.backup import UnusableBackupError
    from telemetry.storage.backup import create as create_backup
    from telemetry.storage.backupfiles import sweep
    from telemetry.storage.strangers import stranger_at

    config = session.config
    stranger = stranger_at(config.db_path)
    if stranger is not None:
        fail(f"no backup was made: {stranger.refusal(config.db_path)}", Exit.UNAVAILABLE)
    bring_up_to_date(session)
    if not config.db_path.exists():
        fail(
            f"the database {config.db_path} must exist to be backed up;"
            " see telemetry config base_dir, or make it with telemetry init",
            Exit.NOT_FOUND,
        )
    begun = time.monotonic()
    with operating(config, wait_s), progress_bar(session) as progress:
        sweep(config.backups_dir)
        try:
            path, said = create_backup(config.db_path, config.backups_dir, progress=progress)
        except UnusableBackupError as error:
            fail(
                f"no backup was made: {error}; telemetry recover repairs the database",
                exit_of(error),
            )
    return path, said, time.monotonic() - begun


def exit_of(error: Exception) -> Exit:
    """
    Return what a file that cannot be restored means for the command.
    """
    from telemetry.storage.backup import Fault, UnusableBackupError

    if not isinstance(error, UnusableBackupError):
        return Exit.USAGE
    if error.fault is Fault.FUTURE:
        return Exit.UNAVAILABLE
    return Exit.USAGE if error.fault is Fault.TOO_NEW else Exit.INTEGRITY


def require_base(session: Session) -> None:
    """
    End the command with 3 where the base directory does not exist.
    """
    if not session.config.base_dir.is_dir():
        fail(
            f"base directory {session.config.base_dir} must exist;"
            " see telemetry config base_dir, or make it with telemetry init",
            Exit.NOT_FOUND,
        )


def backups_of(session: Session) -> list[BackupFile]:
    """
    Return the session's backups, newest first.
    """
    from telemetry.storage.backupfiles import list_backups

    require_base(session)
    return list_backups(session.config.backups_dir)


def named(session: Session, name: str, *, anywhere: bool) -> Path:
    """
    Return the backup that an id or a path on the line means.

    Ends the command with 3 where there is none, with 2 where it may not be used.
    """
    from telemetry.storage.backupfiles import BackupPathError, find

    require_base(session)
    try:
        return find(session.config.backups_dir, name, anywhere=anywhere)
    except BackupPathError as error:
        fail(str(error), Exit.USAGE)
