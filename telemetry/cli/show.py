"""
``telemetry show RUN``: all that is known about one run.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Optional

import click

from telemetry.cli import events as event_lines
from telemetry.cli.completing import complete_run
from telemetry.cli.counts import Count
from telemetry.cli.finding import find_run
from telemetry.cli.ids import short_id
from telemetry.cli.outcomes import error_of, look_of, took_ms
from telemetry.cli.runs import plain
from telemetry.cli.session import Session, asks_service, current, shares_options
from telemetry.cli.source import source_of
from telemetry.cli.text import shorten, visible, visible_lines, wrap
from telemetry.cli.times import clock, duration
from telemetry.cli.trees import Node, draw_tree, tree_of
from telemetry.model.words import several

if TYPE_CHECKING:
    from telemetry.cli.screen import Screen
    from telemetry.cli.source import Source

Row = dict[str, Any]
DEFAULT_EVENTS = 10
_LABEL_WIDTH = 18
#: Said in the heading or in a part of their own.
_TOLD_ELSEWHERE = frozenset(
    {
        "agent_name", "job_type", "status", "start_time", "end_time", "duration_ms",
        "error_summary", "error_details", "schema_version", "created_at", "updated_at",
        "api_posted", "api_posted_at", "api_retry_count",
    }
)  # fmt: skip


@asks_service
@shares_options
@click.command("show")
@click.argument("run", shell_complete=complete_run)
@click.option(
    "-n",
    "--events",
    "event_count",
    type=Count(0),
    default=DEFAULT_EVENTS,
    show_default=True,
    help="How many of the last events.",
)
@click.option("--all", "everything", is_flag=True, help="All events and all nested runs.")
def command(run: str, event_count: int, everything: bool) -> None:
    """
    Show RUN with the runs nested in it, its events, its error, its commits and its history.

    RUN is an id, the beginning or the end of one, @last or @last-failed.
    """
    session = current()
    row = find_run(session, run)
    reader = source_of(session)
    tree = tree_of(reader, row)
    events = event_lines.events_of(session, row)
    commits, history = reader.commits(row["event_id"]), reader.records(row["event_id"])
    if session.as_json:
        session.screen.json(
            {
                "run": plain(row),
                "runs": [_nested(child) for child in tree.children],
                "events": [event_lines.plain(event) for event in events],
                "commits": commits,
                "history": [_told(record) for record in history],
            }
        )
        return
    lines = [*_heading(session, reader, row), *_fields(session, row)]
    if tree.children:
        limit = len(tree.rows()) if everything else 12
        lines += ["", *draw_tree(session, tree, limit=limit)]
    lines += _events(session, events, None if everything else event_count)
    lines += _error(session.screen, row) + _commits(session, commits)
    session.screen.lines(lines + _history(session, history))


def _nested(node: Node) -> dict[str, Any]:
    return {"run": plain(node.row), "runs": [_nested(child) for child in node.children]}


def _heading(session: Session, reader: Source, row: Row) -> list[str]:
    screen, look = session.screen, look_of(row)
    took = duration(took_ms(row, datetime.now(timezone.utc)))
    name = visible(f"{row['agent_name']} {row['job_type']}")
    short = visible(short_id(row["run_id"], row["event_id"]))
    began = clock(row["start_time"], utc=session.utc)
    status = screen.style(f"{screen.sign(look.sign)} {look.word}", look.style)
    lines = [
        f"{status}  {screen.style(name, 'title')}  {screen.style(short, 'name')}",
        screen.style(f"began {began}, took {took}" if took else f"began {began}", "faint"),
    ]
    parent = reader.by_run_id(row["parent_run_id"]) if row["parent_run_id"] else None
    if parent is not None:
        inside = f"{parent['agent_name']} {parent['job_type']} "
        inside += short_id(parent["run_id"], parent["event_id"])
        lines.append(screen.style(visible(f"nested in {inside}"), "faint"))
    return lines


def _fields(session: Session, row: Row) -> list[str]:
    """
    Return what is known of a run, group by group, each field on a line.
    """
    from telemetry.model.run import COLUMNS, Kind

    lines: list[str] = []
    group = None
    for column in COLUMNS.values():
        value = row.get(column.name)
        if column.name in _TOLD_ELSEWHERE or value is None or value == column.default:
            continue
        if column.group is not group:
            lines.append("")
            group = column.group
        if column.kind is Kind.TIME:
            value = clock(value, utc=session.utc)
        lines += _field(session.screen, column.name, value)
    return lines


def _field(screen: Screen, name: str, value: Any) -> list[str]:
    label = screen.style(name.replace("_json", "").ljust(_LABEL_WIDTH), "faint")
    text = visible(value)
    return [label + (text if screen.width is None else shorten(text, screen.width - _LABEL_WIDTH))]


def _events(session: Session, events: list[Row], count: Optional[int]) -> list[str]:
    if not events:
        return []
    shown = events if count is None else events[len(events) - min(count, len(events)) :]
    some = "" if len(shown) == len(events) else f", the last {len(shown)}"
    title = session.screen.style(f"{several(len(events), 'event')}{some}", "title")
    return ["", title, *(event_lines.table(session, shown)[1:] if shown else [])]


def _error(screen: Screen, row: Row) -> list[str]:
    summary = error_of(row)
    if not summary:
        return []
    details = visible_lines(row["error_details"]) if row["error_details"] else []
    return [
        "",
        screen.style("Error", "title"),
        *(screen.style(line, "bad") for line in wrap(visible(summary), screen.width)),
        *(screen.style(f"  {line}", "faint") for line in details),
    ]


def _commits(session: Session, commits: list[Row]) -> list[str]:
    if not commits:
        return []
    lines = ["", session.screen.style("Commits", "title")]
    for commit in commits:
        parts = (commit["commit_hash"], commit["commit_source"], commit["commit_author"])
        said = "  ".join(visible(part) for part in parts if part)
        lines.append(f"{clock(commit['timestamp'], utc=session.utc)}  {said}")
    return lines


def _history(session: Session, history: list[Row]) -> list[str]:
    """
    Return how the run came to be what it is, where more than its agent spoke of it.
    """
    told = [
        record for record in map(_told, history) if record["change"] not in {"started", "ended"}
    ]
    if not told:
        return []
    lines = ["", session.screen.style("History", "title")]
    for record in told:
        values = ", ".join(f"{name}={value}" for name, value in record["values"].items())
        when = clock(record["timestamp"], utc=session.utc)
        said = f"{visible(record['change'])}  {visible(values)}"
        width = session.screen.width
        lines.append(f"{when}  {said if width is None else shorten(said, width - len(when) - 2)}")
    return lines


def _told(record: Row) -> dict[str, Any]:
    """
    Return a record of the history with what it said about the run.
    """
    from telemetry.model.records import ENVELOPE_KEYS

    try:
        body = json.loads(record["body"])
    except ValueError:
        body = {}
    envelope = {*ENVELOPE_KEYS, "event_id", "run_id"}
    values = {name: value for name, value in body.items() if name not in envelope}
    told = {name: record[name] for name in ("id", "timestamp", "change")}
    return {**told, "values": values}
