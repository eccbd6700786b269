"""
``telemetry events RUN``: what a run logged, in order.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Optional

import click

from telemetry.cli.completing import complete_run
from telemetry.cli.counts import Count
from telemetry.cli.finding import find_run
from telemetry.cli.session import Session, asks_service, current, shares_options
from telemetry.cli.source import source_of
from telemetry.cli.table import Cell, TableColumn, draw
from telemetry.cli.times import clock, today_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLUMNS = (
    TableColumn(title="TIME", style="faint"),
    TableColumn(title="EVENT", style="name"),
    TableColumn(title="PAYLOAD", least=20),
)


@asks_service
@shares_options
@click.command("events")
@click.argument("run", shell_complete=complete_run)
@click.option("--type", "event_type", metavar="TYPE", help="Only events of this type.")
@click.option("-n", "--limit", type=Count(0), default=0, help="Only the last so many; 0 for all.")
def command(run: str, event_type: Optional[str], limit: int) -> None:
    """
    Show the events of RUN: an id, the beginning or the end of one, @last or @last-failed.
    """
    session = current()
    row = find_run(session, run)
    rows = events_of(session, row)
    if event_type is not None:
        rows = [event for event in rows if event["event_type"] == event_type]
    rows = rows[-limit:] if limit else rows
    if session.as_json:
        session.screen.json({"run_id": row["run_id"], "events": [plain(event) for event in rows]})
        return
    if rows:
        session.screen.lines(table(session, rows))
    else:
        which = "events" if event_type is None else f"events of type {event_type!r}"
        session.screen.note(f"run {row['run_id']} has logged no {which}")


def events_of(session: Session, row: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return a run's events, oldest first.
    """
    return source_of(session).events(row["event_id"], run_id=row["run_id"])


def table(session: Session, rows: Sequence[dict[str, Any]]) -> list[str]:
    """
    Return events as the lines of a table.
    """
    today = today_of(utc=session.utc) if session.screen.terminal else None
    return draw(session.screen, _COLUMNS, [_row(session, event, today) for event in rows])


def _row(session: Session, event: dict[str, Any], today: Any) -> list[Cell]:
    when = clock(event["timestamp"], utc=session.utc, today=today, seconds="milliseconds")
    payload = event["payload_json"]
    return [
        Cell(when),
        Cell(event["event_type"]),
        Cell("" if payload in {None, "null"} else payload),
    ]


def plain(event: dict[str, Any]) -> dict[str, Any]:
    """
    Return an event as a JSON document has it, its payload as a value.
    """
    payload = event["payload_json"]
    document = {key: value for key, value in event.items() if key != "payload_json"}
    try:
        return {**document, "payload": None if payload is None else json.loads(payload)}
    except ValueError:
        return {**document, "payload": payload}
