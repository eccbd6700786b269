"""
``telemetry backup``: make, list, verify, restore and remove backups of the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import click

from telemetry.cli.alone import operating, wait_option
from telemetry.cli.asking import require_consent
from telemetry.cli.backups import backups_of, make_backup, named, require_base
from telemetry.cli.counts import Count, Days
from telemetry.cli.exits import Exit, fail
from telemetry.cli.restoring import restore
from telemetry.cli.session import Session, current, same_base, shares_options
from telemetry.cli.sizes import in_bytes
from telemetry.cli.table import Cell, TableColumn, draw
from telemetry.cli.text import visible
from telemetry.cli.times import clock, duration
from telemetry.model.words import several

if TYPE_CHECKING:
    from telemetry.storage.backup import Contents
    from telemetry.storage.backupfiles import BackupFile

DEFAULT_KEEP_DAYS = 7.0
_COLUMNS = (
    TableColumn(title="ID", style="name"),
    TableColumn(title="MADE"),
    TableColumn(title="AGE", right=True, leaves=2),
    TableColumn(title="SIZE", right=True),
    TableColumn(title="RUNS", right=True),
    TableColumn(title="STATE"),
    TableColumn(title="FILE", least=12, leaves=1, style="faint"),
)


@shares_options
@click.group("backup")
def command() -> None:
    """
    Make, list, verify, restore and remove backups of the database.

    A backup holds the database as it was at one moment. Restoring it replays what the journal has
    since, so that nothing recorded later is lost. Nothing need be stopped for any of it.
    """


command.add_command(restore)


@shares_options
@command.command("create")
@wait_option
def create(wait_s: float) -> Exit:
    """
    Write a backup while agents go on, verify it, and give it its name.

    Exits with 3 where there is no database, with 4 where there is no room, with 5 where the
    database is damaged; then no backup is left, and the others stay.
    """
    session = current()
    made, said, seconds = make_backup(session, wait_s)
    backup = next(backup for backup in backups_of(session) if backup.path == made)
    if session.as_json:
        session.screen.json({**_document(backup, said), "seconds": round(seconds, 3)})
        return Exit.FINE
    screen = session.screen
    screen.lines(
        [
            (
                f"{screen.mark('✓', 'good')} backup {backup.id} has"
                f" {several(said.run_count, 'run')} and is whole ({in_bytes(backup.size_bytes)} in"
                f" {duration(seconds * 1000)})"
            ),
            f"  file     {visible(made)}",
            f"  restore  telemetry backup restore {backup.id}{same_base(session)} --yes",
        ]
    )
    return Exit.FINE


@shares_options
@command.command("list")
def show_list() -> None:
    """
    List the backups, newest first: age, size, runs, and whether each was found whole.
    """
    session = current()
    backups = backups_of(session)
    rows = [(backup, _contents(backup)) for backup in backups]
    if session.as_json:
        session.screen.json({"backups": [_document(*row) for row in rows]})
    elif not rows:
        session.screen.line(
            f"there is no backup in {visible(session.config.backups_dir)};"
            " telemetry backup create makes one"
        )
    else:
        now = datetime.now(timezone.utc)
        session.screen.lines(
            draw(session.screen, _COLUMNS, [_row(session, *row, now) for row in rows])
        )


@shares_options
@command.command("verify")
@click.argument("backups", metavar="[BACKUP]...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Verify every backup.")
@click.option("--anywhere", is_flag=True, help="Allow files outside the directory of backups.")
def verify(backups: Sequence[str], is_all: bool, anywhere: bool) -> Exit:
    """
    Look through backups: every page, every table, each run's row against its fold.

    BACKUP is an id, the beginning of one, or a path; the newest if none is named. Exits with 5
    where one cannot be restored, with 3 where there is none.
    """
    session = current()
    if is_all:
        paths = [backup.path for backup in backups_of(session)]
    else:
        paths = [named(session, name, anywhere=anywhere) for name in backups]
    paths = paths or [backup.path for backup in backups_of(session)[:1]]
    if not paths:
        fail(_no_backup(session), Exit.NOT_FOUND)
    problems = {path: _problem_of(path, session) for path in paths}
    if session.as_json:
        document = [{"file": str(path), "problem": text} for path, text in problems.items()]
        session.screen.json({"whole": not any(problems.values()), "backups": document})
    else:
        session.screen.lines(
            [_verdict(session, path, problem) for path, problem in problems.items()]
        )
    return Exit.INTEGRITY if any(problems.values()) else Exit.FINE


@shares_options
@command.command("prune")
@click.option("--keep", type=Count(0), metavar="COUNT", help="Keep this many of the newest.")
@click.option(
    "--keep-days",
    type=Days(0),
    metavar="DAYS",
    help=f"Keep those of the last DAYS; {DEFAULT_KEEP_DAYS:g} where neither is given.",
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@wait_option
def prune(
    keep: Optional[int], keep_days: Optional[float], dry_run: bool, yes: bool, wait_s: float
) -> Exit:
    """
    Remove old backups. The newest verified one always stays.

    A backup stays if either of --keep and --keep-days keeps it.
    """
    from telemetry.storage.backupfiles import remove, superfluous

    session = current()
    if keep is None and keep_days is None:
        keep_days = DEFAULT_KEEP_DAYS
    require_base(session)
    with operating(session.config, wait_s):
        backups = backups_of(session)
        now = datetime.now(timezone.utc)
        going = superfluous(backups, now, keep=keep, keep_days=keep_days)
        freed = sum(backup.size_bytes for backup in going)
        if going and not dry_run:
            of_all = several(len(backups), "backup")
            question = f"Remove {len(going)} of {of_all} ({in_bytes(freed)})?"
            require_consent(session, question, is_given=yes)
            freed = remove(going)
    _tell_pruned(session, backups, going, freed, dry_run=dry_run)
    return Exit.FINE


def _contents(backup: BackupFile) -> Optional[Contents]:
    from telemetry.model.errors import TelemetryError
    from telemetry.storage.backup import contents

    try:
        return contents(backup.path)
    except (TelemetryError, OSError):
        return None


def _problem_of(path: Path, session: Session) -> str:
    """
    Verify a backup and remember the result; return what is wrong, in words.
    """
    from telemetry.storage import backup, backupfiles

    problem = ""
    try:
        backup.verify(path)
    except backup.UnusableBackupError as error:
        problem = str(error)
    if path.parent.resolve() == session.config.backups_dir.resolve():
        try:
            backupfiles.note_verified(path, problem)
        except OSError as error:
            session.screen.warn(f"the result must be noted in {path.parent} ({error.strerror})")
    return problem


def _verdict(session: Session, path: Path, problem: str) -> str:
    screen = session.screen
    if problem:
        return f"{screen.mark('✗', 'bad')} {visible(problem)}"
    return f"{screen.mark('✓', 'good')} {visible(path.name)} is whole"


def _no_backup(session: Session) -> str:
    return (
        f"there must be a backup in {session.config.backups_dir} (got none);"
        " telemetry backup create makes one"
    )


def _state_of(backup: BackupFile, said: Optional[Contents]) -> tuple[str, str]:
    if backup.problem or said is None:
        return "damaged", "bad"
    return ("verified", "good") if backup.is_verified else ("not verified", "warn")


def _row(
    session: Session, backup: BackupFile, said: Optional[Contents], now: datetime
) -> list[Cell]:
    state, style = _state_of(backup, said)
    age_ms = max(0.0, (now - backup.created_at).total_seconds()) * 1000
    return [
        Cell(backup.id),
        Cell(clock(backup.created_at, utc=session.utc)),
        Cell(duration(age_ms)),
        Cell(in_bytes(backup.size_bytes)),
        Cell("" if said is None else f"{said.run_count:,}"),
        Cell(state, style),
        Cell(backup.path.name),
    ]


def _document(backup: BackupFile, said: Optional[Contents]) -> dict[str, Any]:
    return {
        "id": backup.id,
        "file": str(backup.path),
        "created_at": backup.created_at.isoformat(),
        "bytes": backup.size_bytes,
        "runs": None if said is None else said.run_count,
        "journal_bytes": None if said is None else said.journal_bytes,
        "version": None if said is None else said.version,
        "state": _state_of(backup, said)[0],
        "problem": backup.problem or None,
    }


def _tell_pruned(
    session: Session,
    backups: Sequence[BackupFile],
    going: Sequence[BackupFile],
    freed: int,
    *,
    dry_run: bool,
) -> None:
    screen = session.screen
    if session.as_json:
        screen.json(
            {
                "removed": [] if dry_run else [str(backup.path) for backup in going],
                "would_remove": [str(backup.path) for backup in going] if dry_run else [],
                "bytes": freed,
                "kept": len(backups) - len(going),
            }
        )
        return
    verb = "would be removed" if dry_run else "removed"
    lines = [f"  {visible(backup.path.name)}" for backup in going]
    screen.lines(
        [
            *lines,
            (
                f"{screen.mark('✓', 'good')} {several(len(going), 'backup')} {verb}"
                f" ({in_bytes(freed)}), {len(backups) - len(going)} kept"
            ),
        ]
    )
