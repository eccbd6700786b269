"""
``telemetry recover``: a damaged or missing database, made anew from the journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import click

from telemetry.cli.alone import operating, require_readable, wait_option, without_writers
from telemetry.cli.bars import progress_bar
from telemetry.cli.exits import Exit, fail
from telemetry.cli.session import Session, current, shares_options
from telemetry.cli.text import visible
from telemetry.cli.times import duration
from telemetry.model.words import several

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig
    from telemetry.sinks import Journal
    from telemetry.storage.base import Base
    from telemetry.storage.healing import Healed
    from telemetry.storage.recovery import Rebuilt

SHOWN_PROBLEMS = 10


@shares_options
@click.command("recover")
@click.option("--check-only", is_flag=True, help="Say what is wrong and change nothing.")
@click.option("--compare", is_flag=True, help="Compare every row with what the journal gives.")
@click.option("--heal", is_flag=True, help="Repair in place what can be; make nothing anew.")
@click.option("--force", is_flag=True, help="Make the database anew even if it is sound.")
@wait_option
def command(check_only: bool, compare: bool, heal: bool, force: bool, wait_s: float) -> Exit:
    """
    Check the database and, where it is damaged or missing, make it anew from the journal.

    Where segments of the journal were retired, it begins with the newest verified backup that has
    their records. The former database is kept beside the new one, as
    telemetry.corrupted.<time>.sqlite. It may be ended at any time, and then begins again.

    Exits with 5 where --check-only finds damage or --heal leaves some, with 1 where it finds no
    database or the journal has damaged lines, with 4 where another process writes the database, or
    where that is a newer release's or another program's.
    """
    session = current()
    config = session.config
    if heal and (check_only or force):
        raise click.UsageError("--heal must stand without --check-only and --force")
    if not config.ndjson_dir.is_dir() and not config.backups_dir.is_dir():
        fail(
            f"the journal {config.ndjson_dir} must exist to recover from;"
            " see telemetry config base_dir",
            Exit.NOT_FOUND,
        )
    is_missing = not config.db_path.exists()
    if not force:
        _leave_strangers(config)
    if heal:
        require_readable(config)
        return _heal(session, wait_s)
    if not check_only:
        require_readable(config)
    problems = _problems(config, compare=compare and not is_missing)
    if check_only or not (problems or force):
        return _tell_check(session, problems, is_missing=is_missing)
    return _tell_rebuilt(session, *_rebuild(session, wait_s, problems), problems)


def _leave_strangers(config: TelemetryConfig) -> None:
    """
    End the command with 4 where a newer release, or another program, made the database.
    """
    from telemetry.storage.strangers import stranger_at

    stranger = stranger_at(config.db_path)
    if stranger is not None:
        fail(
            f"{stranger.refusal(config.db_path)},"
            " or make one for this release with --force, which keeps that one",
            Exit.UNAVAILABLE,
        )


def _journal(config: TelemetryConfig) -> Journal:
    from telemetry.runtime.plugins import Plugins

    return Plugins.load(config).journal(config)


def _problems(config: TelemetryConfig, *, compare: bool) -> list[str]:
    from telemetry.storage import recovery

    problems = recovery.check(config.db_path)
    if compare and not problems:
        from telemetry.client import TelemetryClient

        client = TelemetryClient(config)
        client.catch_up()
        client.close()
        journal = _journal(config)
        start = _start(_base(config, journal))
        problems = recovery.differences_so_far(config.db_path, journal, start=start)
    return problems


def _base(config: TelemetryConfig, journal: Journal) -> Optional[Base]:
    from telemetry.storage.base import base_for

    return base_for(config.backups_dir, [segment.id for segment in journal.segments()])


def _start(base: Optional[Base]) -> Any:
    from telemetry.storage.recovery import Start

    return Start() if base is None else Start(base=base.backup.path, base_time=base.made_at)


def _rebuild(
    session: Session, wait_s: float, problems: list[str]
) -> tuple[Rebuilt, Optional[Base], set[str]]:
    """
    Make the database anew; return how it went, what it began with, and the segments that it lacks.
    """
    from telemetry.runtime.places import make_private
    from telemetry.storage.leftovers import sweep_database
    from telemetry.storage.recovery import rebuild

    config = session.config
    make_private(config.db_path.parent)
    with operating(config, wait_s), without_writers(config, wait_s):
        sweep_database(config.db_path)
        journal = _journal(config)
        base = _base(config, journal)
        lost = _uncovered(config, journal, base)
        if lost and not problems:
            fail(
                f"the database {config.db_path} must not be made anew: it is sound, and has records"
                f" of {len(lost)} segments that neither the journal nor a verified backup has;"
                " make one with telemetry backup create",
                Exit.UNAVAILABLE,
            )
        with progress_bar(session) as progress:
            rebuilt = rebuild(config.db_path, journal, progress=progress, start=_start(base))
    return rebuilt, base, lost


def _uncovered(config: TelemetryConfig, journal: Journal, base: Optional[Base]) -> set[str]:
    """
    Return the segments that only the present database has records of, as far as it can be read.
    """
    from telemetry.model.errors import TelemetryError
    from telemetry.storage.base import segments_of

    try:
        found = segments_of(config.db_path) if config.db_path.exists() else set()
    except TelemetryError:
        return set()
    return (
        found - {segment.id for segment in journal.segments()} - set(base.segments if base else ())
    )


def _heal(session: Session, wait_s: float) -> Exit:
    from telemetry.storage.healing import heal

    config = session.config
    with operating(config, wait_s), without_writers(config, wait_s):
        healed = heal(config.db_path, _journal(config))
    return _tell_healed(session, healed)


def _tell_check(session: Session, problems: list[str], *, is_missing: bool) -> Exit:
    screen, path = session.screen, session.config.db_path
    if session.as_json:
        screen.json({"database": str(path), "sound": not problems, "problems": problems})
    elif not problems:
        screen.line(f"{screen.mark('✓', 'good')} the database {visible(path)} is sound")
    else:
        screen.line(f"{screen.mark('✗', 'bad')} {visible(problems[0])}")
        screen.lines([f"  {visible(problem)}" for problem in problems[1:SHOWN_PROBLEMS]] or [])
        screen.line("telemetry recover makes it anew from the journal")
    if not problems:
        return Exit.FINE
    return Exit.FINDINGS if is_missing else Exit.INTEGRITY


def _tell_healed(session: Session, healed: Healed) -> Exit:
    screen, path = session.screen, session.config.db_path
    if session.as_json:
        screen.json({"database": str(path), "done": healed.done, "problems": healed.left})
    else:
        lines = [f"  {visible(text)}" for text in healed.done]
        if healed.left:
            mark = screen.mark("✗", "bad")
            lines.append(f"{mark} {visible(healed.left[0])} cannot be repaired in place;")
            lines.append("  telemetry recover makes the database anew from the journal")
        else:
            mark = screen.mark("✓", "good")
            lines.append(f"{mark} the database {visible(path)} is sound")
        screen.lines(lines)
    return Exit.INTEGRITY if healed.left else Exit.FINE


def _tell_rebuilt(
    session: Session,
    rebuilt: Rebuilt,
    base: Optional[Base],
    lost: set[str],
    problems: list[str],
) -> Exit:
    screen = session.screen
    if session.as_json:
        screen.json(_document(session, rebuilt, base, lost, problems))
    else:
        screen.lines(_lines(session, rebuilt, base))
    if lost:
        screen.warn(
            f"{len(lost)} segments of the journal were retired, and no verified backup has their"
            " records; what could not be brought back is in the former database only"
        )
    if rebuilt.damaged_count or rebuilt.refused:
        screen.warn(
            f"{rebuilt.damaged_count} damaged lines ({rebuilt.damaged_bytes} bytes) of the journal"
            f" and {len(rebuilt.refused)} records with values that SQLite refuses were left out;"
            " the journal keeps them"
        )
    return Exit.FINDINGS if lost or rebuilt.damaged_count or rebuilt.refused else Exit.FINE


def _lines(session: Session, rebuilt: Rebuilt, base: Optional[Base]) -> list[str]:
    screen, path = session.screen, session.config.db_path
    mark = screen.mark("✓", "good")
    lines = [
        (
            f"{mark} {several(rebuilt.run_count, 'run')} back in {visible(path)}:"
            f" {several(rebuilt.record_count, 'record')} in {duration(rebuilt.seconds * 1000)}"
        )
    ]
    if base is not None:
        lines.append(
            f"  it began with the backup {visible(base.backup.path.name)}: the journal has"
            f" {len(base.segments)} of its segments no more"
        )
    if rebuilt.aside is not None:
        lines.append(f"  the former database is {visible(rebuilt.aside)}; remove it when you like")
    return lines


def _document(
    session: Session,
    rebuilt: Rebuilt,
    base: Optional[Base],
    lost: set[str],
    problems: list[str],
) -> dict[str, Any]:
    return {
        "database": str(session.config.db_path),
        "problems": problems,
        "runs": rebuilt.run_count,
        "records": rebuilt.record_count,
        "damaged_lines": rebuilt.damaged_count,
        "damaged_bytes": rebuilt.damaged_bytes,
        "refused": list(rebuilt.refused),
        "backup": None if base is None else str(base.backup.path),
        "lost_segments": sorted(lost),
        "former_database": None if rebuilt.aside is None else str(rebuilt.aside),
        "seconds": round(rebuilt.seconds, 3),
    }
