"""
``telemetry stale``: runs that are open although nobody works on them, and how to close them.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Optional

import click

from telemetry.cli.asking import require_consent
from telemetry.cli.exits import Exit
from telemetry.cli.ids import short_ids
from telemetry.cli.offline import CATCH_UP_TIMEOUT_S, offline_client
from telemetry.cli.session import Session, current, shares_options
from telemetry.cli.table import Cell, TableColumn, draw
from telemetry.cli.times import When, clock, today_of
from telemetry.model.words import several

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telemetry.client import TelemetryClient
    from telemetry.runtime.staleness import StaleRun

#: Statuses that an open run can be closed with; the rest of the choices is derived.
DEFAULT_STATUS = "cancelled"
_COLUMNS = (
    TableColumn(title="RUN", style="name"),
    TableColumn(title="FINDING"),
    TableColumn(title="AGENT", least=10),
    TableColumn(title="JOB", least=8, leaves=1),
    TableColumn(title="STARTED", leaves=2),
    TableColumn(title="EVIDENCE", least=20, style="faint"),
)


@shares_options
@click.command("stale")
@click.option(
    "--older-than",
    type=When(),
    default="1h",
    show_default=True,
    help="How long a run may say nothing: 90s, 45m, 2h, 3d.",
)
@click.option("--agent", help="Only runs of this agent.")
@click.option("--close", is_flag=True, help="Close what is found.")
@click.option(
    "--status",
    default=DEFAULT_STATUS,
    show_default=True,
    help="With --close: the status that the runs end with.",
)
@click.option("--yes", is_flag=True, help="With --close: do not ask.")
@click.option("--dry-run", is_flag=True, help="With --close: only say what would be closed.")
def command(  # noqa: PLR0913 (one argument for each option)
    *,
    older_than: datetime,
    agent: Optional[str],
    close: bool,
    status: str,
    yes: bool,
    dry_run: bool,
) -> Exit:
    """
    List the open runs whose process is gone, or of which nothing is heard any more.

    A run of this machine is stale as soon as its process is gone, however it went. One of another
    machine, or whose process hangs, is stale when it has said nothing for --older-than. What is
    closed and ends after all, ends as its agent says. Exits with 1 where something was found and
    nothing was closed.
    """
    session = current()
    final = _final(status)
    client = offline_client(session, "look at open runs")
    found, open_count = _found(session, client, older_than, agent)
    is_closing = close and not dry_run and bool(found)
    if is_closing:
        if not session.as_json:
            _tell(session, found, open_count)
        question = f"Close {several(len(found), 'run')} as {final}?"
        require_consent(session, question, is_given=yes)
        _close(session, client, found, final)
    elif not session.as_json:
        _tell(session, found, open_count)
    if session.as_json:
        session.screen.json(_document(found, open_count, closed_as=final if is_closing else None))
    return Exit.FINDINGS if found and not is_closing else Exit.FINE


def _final(text: str) -> str:
    from telemetry.model.run import Status, parse_status

    status = parse_status(text)
    if status is None or status is Status.RUNNING:
        choices = ", ".join(each.value for each in Status if each is not Status.RUNNING)
        raise click.UsageError(f"--status must be one of {choices} (got {text!r})")
    return str(status.value)


def _found(
    session: Session, client: TelemetryClient, older_than: datetime, agent: Optional[str]
) -> tuple[list[StaleRun], int]:
    """
    Return the stale runs, and how many runs are open.

    The dead are not closed on the way, as they are where runs are listed: here they are the answer.
    """
    from telemetry.runtime.staleness import Examiner
    from telemetry.storage.reader import Reader

    if not client.catch_up(CATCH_UP_TIMEOUT_S):
        session.screen.warn(
            "the database is still behind the journal; what ended lately may seem open"
        )
    rows = Reader(session.config.db_path).open_runs()
    rows = [row for row in rows if agent is None or row["agent_name"] == agent]
    silence = datetime.now(timezone.utc) - older_than
    return Examiner(session.config, silence).stale(rows), len(rows)


def _close(
    session: Session, client: TelemetryClient, found: Sequence[StaleRun], status: str
) -> None:
    from telemetry.model.run import Status
    from telemetry.runtime.runtime import shared_runtime
    from telemetry.runtime.staleness import close_runs

    close_runs(shared_runtime(client.config).recorder, found, Status(status))
    client.catch_up(CATCH_UP_TIMEOUT_S)
    if not session.as_json:
        screen = session.screen
        mark = screen.mark("✓", "good")
        screen.line(
            f"{mark} {several(len(found), 'run')} closed as {status};"
            " what ends after all, ends as it says"
        )


def _tell(session: Session, found: Sequence[StaleRun], open_count: int) -> None:
    if not found:
        session.screen.line(f"no stale runs; {open_count:,} open" if open_count else "no open runs")
        return
    today = today_of(utc=session.utc) if session.screen.terminal else None
    short = short_ids([run.row for run in found])
    rows = [
        [
            Cell(short[run.row["event_id"]]),
            Cell(run.finding.value, "dead" if run.finding.value == "dead" else "warn"),
            Cell(run.row["agent_name"]),
            Cell(run.row["job_type"]),
            Cell(clock(run.row["start_time"], utc=session.utc, today=today)),
            Cell(run.evidence),
        ]
        for run in found
    ]
    session.screen.lines(draw(session.screen, _COLUMNS, rows))
    if session.screen.terminal:
        session.screen.note(f"{len(found):,} of {open_count:,} open runs; close them with --close")


def _document(
    found: Sequence[StaleRun], open_count: int, *, closed_as: Optional[str]
) -> dict[str, Any]:
    told = ("run_id", "event_id", "agent_name", "job_type", "start_time", "host", "pid")
    return {
        "open": open_count,
        "stale": [
            {
                **{name: run.row[name] for name in told},
                "finding": run.finding.value,
                "evidence": run.evidence,
                "last_sign": run.last_sign.isoformat(),
            }
            for run in found
        ],
        "closed": len(found) if closed_as else 0,
        "closed_as": closed_as,
    }
