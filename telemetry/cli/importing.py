"""
``telemetry import SOURCE``: runs from another base directory, an export, or the original system.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from telemetry.cli.bars import progress_bar
from telemetry.cli.exits import Exit, fail
from telemetry.cli.session import Session, current, shares_options
from telemetry.cli.text import visible
from telemetry.model.words import several

if TYPE_CHECKING:
    from telemetry.exchange.importing import Report
    from telemetry.exchange.sources import Source
    from telemetry.runtime.runtime import Runtime

SHOWN_REASONS = 10


@shares_options
@click.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would come; write nothing.")
def command(source: Path, dry_run: bool) -> Exit:
    """
    Bring in the runs of SOURCE: what is known already is left as it is.

    SOURCE is another base directory, a database, or a file in NDJSON, JSON or CSV: one of this
    software, an export of it, or of the original system in any of its versions. What comes is
    bounded and scrubbed as an agent's records are. To import again adds only what is new. Exits
    with 1 where something was refused.
    """
    from telemetry.exchange.importing import Import
    from telemetry.exchange.sources import open_path

    session = current()
    found = open_path(source)
    runtime = _runtime(session)
    _refuse_itself(session, found)
    with progress_bar(session) as progress:
        report = Import(runtime, is_dry=dry_run, progress=progress).run(found)
    if session.as_json:
        session.screen.json(_document(found, report, dry_run=dry_run))
    else:
        _tell(session, found, report, dry_run=dry_run)
    return Exit.FINDINGS if report.refused else Exit.FINE


def _runtime(session: Session) -> Runtime:
    from telemetry.cli.offline import offline
    from telemetry.runtime.runtime import shared_runtime

    if session.config.disabled:
        fail(
            "telemetry must be switched on to import (got TELEMETRY_DISABLED); unset it", Exit.USAGE
        )
    runtime = shared_runtime(offline(session.config))
    if runtime.config.ndjson_dir != session.config.ndjson_dir:
        fail(
            f"the journal {session.config.ndjson_dir} must be writable to import into;"
            " see telemetry config base_dir",
            Exit.UNAVAILABLE,
        )
    return runtime


def _refuse_itself(session: Session, source: Source) -> None:
    own = {session.config.db_path.resolve(), session.config.ndjson_dir.resolve()}
    for path, _ in source.parts:
        if {path.resolve(), path.resolve().parent} & own:
            fail(
                f"{source.path} must be another base directory than the one that is imported into;"
                " name that one with --base-dir, or move what another program left here elsewhere",
                Exit.USAGE,
            )


def _tell(session: Session, source: Source, report: Report, *, dry_run: bool) -> None:
    screen = session.screen
    mark = screen.mark("✓", "good")
    runs, events = report.runs, report.events
    would = " would come" if dry_run else ""
    summary = (
        f"{mark} {visible(source.path)} ({source.kind}):"
        f" {several(runs['new'], 'new run')}{would}, {runs['updated']:,} updated,"
        f" {runs['known']:,} known;"
        f" {several(events['new'], 'new event')}, {events['known']:,} known"
    )
    lines = [summary]
    lines += [
        f"  {several(count, 'run')} left out: {reason}" for reason, count in report.skipped.items()
    ]
    if report.refused:
        lines.append(screen.style(f"  {report.refused_count:,} refused:", "warn"))
    shown = sorted(report.refused.items(), key=lambda item: -item[1][0])
    for reason, (count, place) in shown[:SHOWN_REASONS]:
        lines.append(f"  {count:>6,}  {visible(reason)} (first in {visible(place)})")
    screen.lines(lines)


def _document(source: Source, report: Report, *, dry_run: bool) -> dict[str, Any]:
    kinds = ("new", "updated", "known")
    return {
        "source": str(source.path),
        "kind": source.kind,
        "dry_run": dry_run,
        "runs": {kind: report.runs[kind] for kind in kinds},
        "events": {kind: report.events[kind] for kind in ("new", "known")},
        "records": {kind: report.records[kind] for kind in ("new", "known")},
        "skipped": dict(report.skipped),
        "damaged": report.damaged_count,
        "refused": [
            {"reason": reason, "count": count, "first": place}
            for reason, (count, place) in report.refused.items()
        ],
    }
