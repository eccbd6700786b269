"""
``telemetry check``: whether the database and the journal are whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

import click

from telemetry.cli.bars import progress_bar
from telemetry.cli.exits import Exit, fail
from telemetry.cli.session import Session, current, shares_options
from telemetry.cli.sizes import in_bytes
from telemetry.cli.text import visible
from telemetry.model.words import several

if TYPE_CHECKING:
    from telemetry.storage.findings import Finding
    from telemetry.storage.journalcheck import JournalCounts

_LOOKS = (("·", "faint"), ("!", "warn"), ("✗", "bad"))


@shares_options
@click.command("check")
@click.option("--quick", is_flag=True, help="The database's pages, tables and positions only.")
@click.option("--full", is_flag=True, help="Compare every index with its table, too.")
def command(quick: bool, full: bool) -> Exit:
    """
    Check the database and the journal, and change nothing.

    Pages, tables and indexes; each run's row against its fold; the roll-ups against the rows; every
    line of the journal; the numbers of every writer, whose gaps are lost records; the positions of
    sinks. Exits with 1 where something is missing, with 5 where something is damaged.
    """
    session = current()
    config = session.config
    if quick and full:
        raise click.UsageError("--quick must stand without --full")
    if not config.db_path.exists() and not config.ndjson_dir.is_dir():
        fail(
            f"base directory {config.base_dir} must have a journal or a database to check;"
            " see telemetry config base_dir, or make it with telemetry init",
            Exit.NOT_FOUND,
        )
    findings, counts = _findings(session, quick=quick, full=full)
    worst = max((finding.level for finding in findings), default=0)
    if session.as_json:
        session.screen.json(_document(session, findings, counts))
    else:
        _tell(session, findings, counts, worst)
    return (Exit.FINE, Exit.FINDINGS, Exit.INTEGRITY)[worst]


def _findings(
    session: Session, *, quick: bool, full: bool
) -> tuple[list[Finding], Optional[JournalCounts]]:
    from telemetry.runtime.plugins import Plugins
    from telemetry.storage import integrity
    from telemetry.storage.base import base_for
    from telemetry.storage.journalcheck import check_journal

    config = session.config
    journal = Plugins.load(config).journal(config)
    findings = integrity.check_database(config.db_path, quick=quick, full=full)
    segments = [segment.id for segment in journal.segments()]
    base = base_for(config.backups_dir, segments)
    files = sorted((config.state_dir / "cursors").glob("*.json"))
    covered = base.segments if base is not None else ()
    at_rest = integrity.check_cursors(config.db_path, files, journal, covered)
    counts = None
    if not quick:
        retired = bool(integrity.retired(config.db_path, segments)) or base is not None
        with progress_bar(session) as progress:
            found, counts = check_journal(journal, retired=retired, progress=progress)
        findings += [*found, *_unreadable(session)]
    return [*findings, *at_rest], counts


def _unreadable(session: Session) -> list[Finding]:
    from telemetry.storage.findings import Finding, Level
    from telemetry.storage.unreadable import unreadable_in

    advice = "make it readable for this user, or move it out of the directory"
    return [
        Finding("journal", Level.DAMAGE, f"{one.path} cannot be read ({one.reason})", advice)
        for one in unreadable_in(session.config.ndjson_dir)
    ]


def _tell(
    session: Session, findings: Sequence[Finding], counts: Optional[JournalCounts], worst: int
) -> None:
    screen = session.screen
    lines = []
    for finding in sorted(findings, key=lambda one: -one.level):
        sign, style = _LOOKS[finding.level]
        lines.append(f"{screen.mark(sign, style)} {visible(finding.text)}")
        if finding.advice:
            lines.append(f"  {visible(finding.advice)}")
    if counts is not None:
        lines.append(
            f"  the journal has {several(counts.record_count, 'record')}"
            f" of {several(counts.writer_count, 'writer')}"
            f" in {several(counts.segment_count, 'file')} ({in_bytes(counts.byte_count)})"
        )
    where = visible(session.config.base_dir)
    if worst == 0:
        lines.append(f"{screen.mark('✓', 'good')} {where} is sound")
    elif worst == 1:
        lines.append(f"what is in {where} can be relied on; see above what is missing")
    else:
        lines.append(f"{where} is damaged; see above what repairs it")
    screen.lines(lines)


def _document(
    session: Session, findings: Sequence[Finding], counts: Optional[JournalCounts]
) -> dict[str, Any]:
    worst = max((finding.level for finding in findings), default=0)
    document: dict[str, Any] = {
        "base_dir": str(session.config.base_dir),
        "sound": worst == 0,
        "damaged": worst > 1,
        "findings": [
            {
                "area": finding.area,
                "level": finding.level.name.lower(),
                "text": finding.text,
                "advice": finding.advice or None,
            }
            for finding in findings
        ],
    }
    if counts is not None:
        document["journal"] = {
            "files": counts.segment_count,
            "bytes": counts.byte_count,
            "records": counts.record_count,
            "writers": counts.writer_count,
            "lines_of_others": counts.foreign_count,
        }
    return document
