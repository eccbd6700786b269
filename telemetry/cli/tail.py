"""
``telemetry tail``: the newest records, straight from the journal.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Optional, Protocol

import click

from telemetry.cli.completing import complete_run
from telemetry.cli.counts import Count
from telemetry.cli.freshness import check_base
from telemetry.cli.ids import short_id
from telemetry.cli.outcomes import look_of
from telemetry.cli.session import Session, asks_service, current, shares_options
from telemetry.cli.text import pad, shorten, visible, visible_json
from telemetry.cli.times import clock, duration, today_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from telemetry.cli.journal import Wanted
    from telemetry.model.records import Record
    from telemetry.sinks import Journal

_ID_WIDTH = 8
_WHAT_WIDTH = 9
#: Fields of a change that are shown; the rest of a run is for ``telemetry show``.
_TOLD_FIELDS = ("status", "duration_ms", "error_summary", "commit_hash", "git_commit_hash")


class End(Protocol):
    """
    Where new records appear.
    """

    #: Pause between two looks, in seconds.
    poll_s: float

    def last(self, count: int) -> Iterable[Record]:
        """
        Return the last records that are wanted, oldest first.
        """

    def new(self) -> Iterable[Record]:
        """
        Return what was added since the last call.
        """


@asks_service
@shares_options
@click.command("tail")
@click.argument("run", required=False, shell_complete=complete_run)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is added, until Ctrl+C.")
@click.option(
    "-n",
    "--lines",
    type=Count(0),
    default=10,
    show_default=True,
    help="How many at first.",
)
@click.option("--type", "event_type", metavar="TYPE", help="Only events of this type.")
@click.option("--agent", help="Only runs whose records name this agent.")
def command(
    run: Optional[str], follow: bool, lines: int, event_type: Optional[str], agent: Optional[str]
) -> None:
    """
    Show the newest records as they stand in the journal; of one RUN if given.

    With --json each line is the record itself. A service (--url) is asked for the runs that it has
    heard of last, and does not tell what a run only updated.
    """
    session = current()
    end = _end(session, run, event_type, agent)
    for record in end.last(lines):
        _show(session, record)
    while follow:
        for record in end.new():
            _show(session, record)
        time.sleep(end.poll_s)


def _end(
    session: Session, run: Optional[str], event_type: Optional[str], agent: Optional[str]
) -> End:
    """
    Return what gives the newest records: the journal, or the service that the line names.
    """
    key = None
    if run is not None:
        from telemetry.cli.finding import find_run

        key = str(find_run(session, run)["event_id"])
    wanted = _wanted(key, event_type, agent)
    if session.url is not None:
        from telemetry.cli.remote_tail import ServiceEnd

        return ServiceEnd(session.remote.api, wanted, key)
    from telemetry.cli.journal import JournalEnd

    return JournalEnd(_journal(session), wanted)


def _journal(session: Session) -> Journal:
    from telemetry.runtime.plugins import Plugins

    config = session.config
    journal = Plugins.load(config).journal(config)
    check_base(session)
    return journal


def _wanted(key: Optional[str], event_type: Optional[str], agent: Optional[str]) -> Wanted:
    from telemetry.model.records import RecordType

    agents_runs: set[str] = set()

    def wanted(record: Record) -> bool:
        if record.record_type == RecordType.SEGMENT:
            return False
        if key is not None and record.event_id != key:
            return False
        if event_type is not None and record.event_type != event_type:
            return False
        if agent is None or record.event_id in agents_runs:
            return True
        if record.fields().get("agent_name") == agent:
            agents_runs.add(record.event_id)
        return record.event_id in agents_runs

    return wanted


def _show(session: Session, record: Record) -> None:
    screen = session.screen
    if session.as_json:
        screen.line(visible_json(record.line.decode("utf-8", "replace")))
        return
    today = today_of(utc=session.utc) if screen.terminal else None
    when = clock(record.timestamp, utc=session.utc, today=today, seconds="milliseconds")
    name = pad(shorten(visible(short_id(record.run_id, record.event_id)), _ID_WIDTH), _ID_WIDTH)
    what = pad(visible(record.change or record.record_type), _WHAT_WIDTH)
    head = f"{when}  {name}  {what}  "
    told, style = _told(record)
    if screen.width is not None:
        told = shorten(told, screen.width - len(head))
    colored_head = f"{screen.style(when, 'faint')}  {screen.style(name, 'name')}  {what}  "
    screen.line(colored_head + screen.style(told, style))


def _told(record: Record) -> tuple[str, str]:
    """
    Return what a record says, in one safe line, and its style.
    """
    if record.event_type:
        payload = record.payload_value()
        text = "" if payload is None else json.dumps(payload, ensure_ascii=False)
        return visible(f"{record.event_type} {text}".rstrip()), ""
    fields = record.fields()
    if record.change == "started":
        return visible(f"{fields.get('agent_name', '')} {fields.get('job_type', '')}"), ""
    style = look_of(fields).style if "status" in fields else ""
    if record.change == "updated":
        known = {k: v for k, v in fields.items() if k not in {"event_id", "run_id"}}
    else:
        known = {name: fields[name] for name in _TOLD_FIELDS if fields.get(name) is not None}
    return visible(", ".join(_phrase(name, value) for name, value in known.items())), style


def _phrase(name: str, value: Any) -> str:
    if name == "status":
        return str(value)
    if name == "duration_ms":
        return f"took {duration(value)}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{name}={text}"
