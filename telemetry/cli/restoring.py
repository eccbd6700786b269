"""
``telemetry backup restore``: a backup in the place of the database, and the journal after it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import click

from telemetry.cli.alone import operating, require_readable, wait_option, without_writers
from telemetry.cli.asking import require_consent
from telemetry.cli.backups import backups_of, exit_of, make_backup, named, require_base
from telemetry.cli.bars import progress_bar
from telemetry.cli.exits import Exit, fail
from telemetry.cli.session import Session, current, shares_options
from telemetry.cli.sizes import in_bytes
from telemetry.cli.text import visible
from telemetry.cli.times import When, duration
from telemetry.model.words import several

if TYPE_CHECKING:
    from telemetry.sinks import Journal
    from telemetry.storage.recovery import Rebuilt
    from telemetry.storage.restore import Survey, Wish


@shares_options
@click.command("restore")
@click.argument("backup", required=False)
@click.option(
    "--until",
    type=When(),
    metavar="TIME",
    help="Take back what was recorded after TIME; it stays in the journal and no longer counts.",
)
@click.option(
    "--edits-only",
    is_flag=True,
    help="With --until: take back edits and deletions only, not what agents recorded.",
)
@click.option("--redo", is_flag=True, help="Let everything count again that --until took back.")
@click.option("--anywhere", is_flag=True, help="Allow a file outside the directory of backups.")
@click.option("--dry-run", is_flag=True, help="Verify and say what would be done; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@wait_option
def restore(  # noqa: PLR0913, PLR0917 (an option each)
    backup: Optional[str],
    until: Optional[datetime],
    edits_only: bool,
    redo: bool,
    anywhere: bool,
    dry_run: bool,
    yes: bool,
    wait_s: float,
) -> Exit:
    """
    Put a backup in the place of the database and replay what the journal has since.

    BACKUP is an id, the beginning of one, or a path; the newest verified one that serves if none is
    named. What was there is kept beside the new database. Agents go on meanwhile.

    Exits with 2 where the backup may not be used, with 3 where there is none, with 4 where another
    process writes the database or there is no room, with 5 where the backup is not whole.
    """
    from telemetry.storage.restore import Wish

    session = current()
    if edits_only and until is None:
        raise click.UsageError("--edits-only must stand beside --until")
    if redo and until is not None:
        raise click.UsageError("--redo must stand without --until")
    require_base(session)
    require_readable(session.config)
    wish = Wish(until=until, edits_only=edits_only, redo=redo)
    journal = _journal(session)
    path = named(session, backup, anywhere=anywhere) if backup else _best(session, journal, wish)
    _require_all(session, path, journal)
    found = _surveyed(path, journal, wish)
    if dry_run:
        return _tell_plan(session, path, found, wish)
    require_consent(session, _question(session, path, found, wish), is_given=yes)
    rebuilt, found = restore_now(session, path, journal, wish, wait_s)
    _tell(session, path, rebuilt, found, wish)
    if found.new:
        _back_up_anew(session, wait_s)
    return Exit.FINE


def restore_now(
    session: Session, path: Optional[Path], journal: Journal, wish: Wish, wait_s: float
) -> tuple[Rebuilt, Survey]:
    """
    Restore while no other operator is at work and no other process writes the database.
    """
    from telemetry.runtime.places import make_private
    from telemetry.storage import restore as storage
    from telemetry.storage.backup import UnusableBackupError
    from telemetry.storage.leftovers import sweep_database

    config = session.config
    make_private(config.db_path.parent)
    with operating(config, wait_s), without_writers(config, wait_s):
        sweep_database(config.db_path)
        with progress_bar(session) as progress:
            try:
                return storage.restore(config.db_path, journal, path, wish, progress=progress)
            except UnusableBackupError as error:
                fail(f"nothing was changed: {error}", exit_of(error))


def _journal(session: Session) -> Journal:
    from telemetry.runtime.plugins import Plugins

    return Plugins.load(session.config).journal(session.config)


def _best(session: Session, journal: Journal, wish: Wish) -> Optional[Path]:
    """
    Return the newest verified backup that can serve; None where the journal alone can.
    """
    from telemetry.storage.backup import UnusableBackupError
    from telemetry.storage.restore import survey

    for backup in backups_of(session):
        if not backup.is_verified:
            continue
        try:
            survey(backup.path, journal, wish)
        except UnusableBackupError:
            continue
        return backup.path
    if (wish.until or wish.redo) and not _lacks_segments(session, journal):
        return None
    fail(
        f"there must be a verified backup in {session.config.backups_dir} that serves (got none);"
        " see telemetry backup list and telemetry backup verify --all",
        Exit.NOT_FOUND,
    )


def _lacks_segments(session: Session, journal: Journal) -> bool:
    """
    Return whether the database has records of segments that the journal has no more.
    """
    from telemetry.model.errors import TelemetryError
    from telemetry.storage.base import segments_of

    try:
        in_database = segments_of(session.config.db_path)
    except TelemetryError:
        return True
    return bool(in_database - {segment.id for segment in journal.segments()})


def _require_all(session: Session, path: Optional[Path], journal: Journal) -> None:
    """
    Refuse what would lose records that the journal has no more and another database has.
    """
    from telemetry.model.errors import TelemetryError
    from telemetry.storage.base import base_for, segments_of

    config = session.config
    in_journal = {segment.id for segment in journal.segments()}
    base = base_for(config.backups_dir, in_journal)
    known = set(base.segments) if base is not None else set()
    with suppress(TelemetryError):
        known |= segments_of(config.db_path) if config.db_path.exists() else set()
    retired = known - in_journal
    if not retired:
        return
    with suppress(TelemetryError):  # a file that cannot be restored is refused for that
        lost = retired - (segments_of(path) if path is not None else set())
        if lost:
            fail(
                f"{path or 'the journal'} must have the records of what was dropped from the"
                f" journal (it lacks {len(lost)} segments); restore the newest verified backup",
                Exit.USAGE,
            )


def _surveyed(path: Optional[Path], journal: Journal, wish: Wish) -> Survey:
    from telemetry.storage.backup import UnusableBackupError, verify
    from telemetry.storage.restore import survey

    try:
        if path is not None:
            verify(path)
        return survey(path, journal, wish)
    except UnusableBackupError as error:
        fail(f"nothing was changed: {error}", exit_of(error))


def _source(path: Optional[Path]) -> str:
    return f"the backup {path}" if path is not None else "the journal from its beginning"


def _question(session: Session, path: Optional[Path], found: Survey, wish: Wish) -> str:
    taken = f" {_change(found, wish)}." if wish.until or wish.redo else ""
    return (
        f"Replace {session.config.db_path} by {_source(path)} and"
        f" {in_bytes(found.replayed_bytes)} of the journal after it?{taken}"
    )


def _change(found: Survey, wish: Wish) -> str:
    if wish.redo:
        return f"{found.changed_count:,} earlier decisions are taken back themselves"
    what = "edits and deletions" if wish.edits_only else "records"
    return f"{found.changed_count:,} {what} after {wish.until_text} no longer count"


def _tell_plan(session: Session, path: Optional[Path], found: Survey, wish: Wish) -> Exit:
    if session.as_json:
        session.screen.json({"dry_run": True, **_plan(path, found)})
        return Exit.FINE
    lines = [f"{_source(path)} would take the place of {session.config.db_path}"]
    lines.append(f"  {in_bytes(found.replayed_bytes)} of the journal would be replayed after it")
    if wish.until or wish.redo:
        lines.append(f"  {_change(found, wish)}")
    lines.append("nothing was changed; the same line without --dry-run does it")
    session.screen.lines([visible(line) for line in lines])
    return Exit.FINE


def _plan(path: Optional[Path], found: Survey) -> dict[str, Any]:
    return {
        "backup": None if path is None else str(path),
        "replayed_bytes": found.replayed_bytes,
        "changed_records": found.changed_count,
    }


def _tell(
    session: Session, path: Optional[Path], rebuilt: Rebuilt, found: Survey, wish: Wish
) -> None:
    screen, config = session.screen, session.config
    if session.as_json:
        screen.json(
            {
                "dry_run": False,
                **_plan(path, found),
                "database": str(config.db_path),
                "runs": rebuilt.run_count,
                "replayed_records": rebuilt.record_count,
                "former_database": None if rebuilt.aside is None else str(rebuilt.aside),
                "decisions": [record.id for record in found.new],
                "seconds": round(rebuilt.seconds, 3),
            }
        )
        return
    mark = screen.mark("✓", "good")
    lines = [
        (
            f"{mark} {several(rebuilt.run_count, 'run')} back in {visible(config.db_path)}: from"
            f" {visible(_source(path))}, and {several(rebuilt.record_count, 'record')} of the"
            f" journal after it ({duration(rebuilt.seconds * 1000)})"
        )
    ]
    if wish.until or wish.redo:
        way_back = "" if wish.redo else "; telemetry backup restore --redo lets them count"
        lines.append(f"  {_change(found, wish)}{way_back}")
    if rebuilt.aside is not None:
        lines.append(f"  the former database is {visible(rebuilt.aside)}; remove it when you like")
    screen.lines(lines)


def _back_up_anew(session: Session, wait_s: float) -> None:
    """
    Make a backup that knows the decision: an older one may hold what was taken back.
    """
    path, _, _ = make_backup(session, wait_s)
    if not session.as_json:
        session.screen.line(f"  a new backup that knows of it is {visible(path.name)}")
