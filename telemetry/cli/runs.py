"""
``telemetry runs``: the newest runs, filtered.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any

import click

from telemetry.cli.counts import Count, Number
from telemetry.cli.filters import FILTERS, chosen, filter_options
from telemetry.cli.ids import short_ids
from telemetry.cli.outcomes import error_of, status_cell, took_ms
from telemetry.cli.quick import newest
from telemetry.cli.session import Session, asks_service, current, shares_options
from telemetry.cli.table import Cell, TableColumn, draw
from telemetry.cli.times import clock, duration, today_of

DEFAULT_LIMIT = 20
COLUMNS = (
    TableColumn(title="RUN", style="name"),
    TableColumn(title="STATUS"),
    TableColumn(title="AGENT", least=16),
    TableColumn(title="JOB", least=14, leaves=3),
    TableColumn(title="ITEM", least=10, leaves=2),
    TableColumn(title="STARTED", leaves=5),
    TableColumn(title="TOOK", right=True),
    TableColumn(title="ITEMS", right=True, leaves=6),
    TableColumn(title="FAILED", right=True, style="bad", leaves=7),
    TableColumn(title="ERROR", least=20, leaves=1, style="faint"),
)


@asks_service
@shares_options
@click.command("runs")
@filter_options
@click.option(
    "-n",
    "--limit",
    type=Count(0),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="At most so many, the newest; 0 for all.",
)
@click.option("-q", "--quiet", is_flag=True, help="Only the run ids.")
@click.option("-w", "--watch", is_flag=True, help="Show again and again, until Ctrl+C.")
@click.option(
    "--interval",
    type=Number(0.2, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Pause between two looks of --watch.",
)
def command(quiet: bool, watch: bool, interval: float, **options: Any) -> None:
    """
    List runs, newest first.

    A run whose process is gone without having ended it is shown as dead.
    """
    session = current()
    if watch:
        _watch(session, options, interval)
        return
    limit: int = options["limit"]
    asked = limit + 1 if limit else -1
    rows = None
    if session.url is None and not session.as_json and not any(options[name] for name in FILTERS):
        rows = newest(session.base_dir, asked)
    if rows is None:
        rows = _rows(session, options, asked)
    has_more = 0 < limit < len(rows)
    rows = rows[:limit] if limit else rows
    if session.as_json:
        session.screen.json({"runs": [plain(row) for row in rows], "has_more": has_more})
    elif quiet:
        session.screen.lines([Cell(row["run_id"]).text for row in rows] or [])
    else:
        if rows or not session.screen.terminal:
            session.screen.lines(table(session, rows))
        _note(session, rows, has_more=has_more, is_filtered=any(options[n] for n in FILTERS))


def table(session: Session, rows: list[dict[str, Any]]) -> list[str]:
    """
    Return runs as the lines of a table.
    """
    now = datetime.now(timezone.utc)
    today = today_of(utc=session.utc) if session.screen.terminal else None
    short = short_ids(rows)
    return draw(
        session.screen,
        COLUMNS,
        [
            [
                Cell(short[row["event_id"]]),
                status_cell(session.screen, row),
                Cell(row["agent_name"]),
                Cell(row["job_type"]),
                Cell(row["item_name"] or ""),
                Cell(clock(row["start_time"], utc=session.utc, today=today)),
                Cell(duration(took_ms(row, now))),
                Cell(row["items_discovered"] or row["items_succeeded"] or ""),
                Cell(row["items_failed"] or ""),
                Cell(error_of(row)),
            ]
            for row in rows
        ],
    )


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """
    Return a row as a JSON document has it: JSON columns as values, flags as booleans.
    """
    import json

    document = dict(row)
    for name in ("metrics_json", "context_json"):
        if isinstance(document.get(name), str):
            try:
                document[name] = json.loads(document[name])
            except ValueError:
                continue
    return {**document, "api_posted": bool(document.get("api_posted"))}


def _rows(session: Session, options: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    from telemetry.cli.finding import find_runs, open_reader

    wanted, statuses = chosen(session, options)
    return find_runs(open_reader(session), wanted, statuses, limit=limit)


def _note(
    session: Session, rows: list[dict[str, Any]], *, has_more: bool, is_filtered: bool
) -> None:
    if not rows and is_filtered:
        session.screen.note(f"no run in {session.place} is as asked for; see telemetry runs")
    elif not rows:
        session.screen.note(f"no runs found in {session.place}; telemetry demo records some")
    elif has_more and session.screen.terminal:
        session.screen.note(f"the newest {len(rows)}; see more with --limit")


def _watch(session: Session, options: dict[str, Any], interval: float) -> None:
    if session.as_json or not session.screen.terminal:
        raise click.UsageError("--watch must have a terminal; use telemetry tail -f elsewhere")
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(no_color=not session.screen.color)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            height = max(1, console.size.height - 2)
            rows = _rows(session, options, min(options["limit"] or height, height))
            stamp = clock(datetime.now(timezone.utc), utc=session.utc, today=None)
            head = session.screen.style(f"{session.place}  {stamp}", "faint")
            lines = [head, *table(session, rows)]
            live.update(Text.from_ansi("\n".join(lines)), refresh=True)
            time.sleep(interval)
