"""
``telemetry posts``: what has not reached the servers that records and runs are sent to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional

import attrs
import click

from telemetry.cli.counts import Count, Number
from telemetry.cli.exits import Exit, fail
from telemetry.cli.finding import column_time
from telemetry.cli.freshness import bring_up_to_date, check_base
from telemetry.cli.passedover import (
    count_passed_over,
    passed_over_runs,
    put_among_letters,
    tell_passed_over,
)
from telemetry.cli.session import Session, current, shares_options
from telemetry.cli.table import Cell, TableColumn, draw
from telemetry.cli.text import visible
from telemetry.cli.times import When, clock
from telemetry.cli.unsent import SINKS, Unsent, chosen_of, failed_of, is_posting, waiting_of

if TYPE_CHECKING:
    from datetime import datetime

    from telemetry.runtime.deadletters import DeadLetter
    from telemetry.runtime.redelivery import Redelivered
    from telemetry.runtime.runtime import Runtime

_COLUMNS = (
    TableColumn(title="RUN", style="name"),
    TableColumn(title="STATE"),
    TableColumn(title="SINK", leaves=1),
    TableColumn(title="TRIES", right=True, leaves=2),
    TableColumn(title="SINCE", leaves=3),
    TableColumn(title="REASON", least=20),
)
_STYLES = {"waiting": "busy", "failed": "bad"}


@shares_options
@click.group("posts")
def command() -> None:
    """
    Show what a server has not taken, and send it again.

    Finished runs are posted to METRICS_API_URL, every record is shipped to TELEMETRY_API_URL; what
    a server refuses for good is kept beside the journal until it is put back here.
    """


@shares_options
@command.command("list")
@click.option("--limit", type=Count(1), default=50, show_default=True, help="Waiting runs to show.")
def list_(limit: int) -> Exit:
    """
    List the runs not posted yet, and what was refused, with the reason.

    Exits with 1 where something was refused.
    """
    session = current()
    check_base(session)
    failed = failed_of(session.config)
    waiting = waiting_of(session, failed, limit)
    passed_over = count_passed_over(session.config) if is_posting(session.config) else 0
    if session.as_json:
        session.screen.json(_document(session, waiting, failed, passed_over))
    else:
        _show(session, [*failed, *waiting])
        if passed_over:
            tell_passed_over(session, passed_over)
    return Exit.FINDINGS if failed else Exit.FINE


@shares_options
@command.command("retry")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--all", "everything", is_flag=True, help="Everything that was refused.")
@click.option(
    "--since",
    type=When(),
    help="Runs that ended since then, but before METRICS_API_URL was set: 3d, 2026-11-22T10:30.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option(
    "--timeout",
    "timeout_s",
    type=Number(0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to go on with the runs that only wait.",
)
def retry(
    runs: Sequence[str],
    everything: bool,
    since: Optional[datetime],
    dry_run: bool,
    timeout_s: float,
) -> Exit:
    """
    Send what was refused again, and what waits at once.

    A RUN is an id of a run, or the beginning of one. Exits with 1 where something was refused once
    more, with 4 where a server could not be reached.
    """
    session = current()
    if [bool(runs), everything, since is not None].count(True) != 1:
        raise click.UsageError("name one RUN or more, or give --all or --since")
    check_base(session)
    if since is not None:
        return _send_older(session, column_time(since) or "", timeout_s, dry_run=dry_run)
    failed = failed_of(session.config)
    chosen = failed if everything else chosen_of(session, failed, runs)
    if dry_run:
        _tell_plan(session, chosen)
        return Exit.FINE
    return _send(session, chosen, timeout_s)


def _send(session: Session, chosen: Sequence[Unsent], timeout_s: float) -> Exit:
    from telemetry.runtime.runtime import Runtime

    # What is posted is recorded, which would start the followers: but a sink is one thread's at a
    # time, and here it is this one's.
    runtime = Runtime(attrs.evolve(session.config, drain="external"))
    try:
        done = _put_back(runtime, chosen)
        # Twice: what was posted is recorded, and the database is to have that too.
        is_complete = runtime.catch_up(timeout_s) and runtime.catch_up(timeout_s)
    finally:
        runtime.close(0.0)
    problems = [each.problem for each in done.values() if each.problem]
    _tell_sent(session, done, is_complete=is_complete)
    if problems or not is_complete:
        return Exit.UNAVAILABLE
    return Exit.FINDINGS if any(each.refused_count for each in done.values()) else Exit.FINE


def _send_older(session: Session, since: str, timeout_s: float, *, dry_run: bool) -> Exit:
    """
    Send the runs that ended before there was an address, some at a time.
    """
    if not is_posting(session.config):
        fail("METRICS_API_URL must be set to post runs there (got none)", Exit.USAGE)
    bring_up_to_date(session)
    if dry_run:
        count = count_passed_over(session.config, since)
        if session.as_json:
            session.screen.json({"would_send_count": count})
        else:
            session.screen.line(f"{count} would be sent; nothing was sent")
        return Exit.FINE
    after, code = "", Exit.FINE
    while found := passed_over_runs(session.config, since, after):
        letters = put_among_letters(session.config, found)
        chosen = [each for each in failed_of(session.config) if each.record_id in letters]
        code = max(code, _send(session, chosen, timeout_s))
        if code is Exit.UNAVAILABLE:
            break
        after = found[-1]["event_id"]
    return code


def _put_back(runtime: Runtime, chosen: Sequence[Unsent]) -> dict[str, Redelivered]:
    """
    Hand the chosen letters to their sinks.
    """
    from telemetry.runtime.redelivery import redeliver

    sinks = {sink.name: sink for sink in runtime.sinks}
    done = {}
    for name in dict.fromkeys(each.sink for each in chosen if each.record_id):
        if name not in sinks:
            fail(
                f"{SINKS[name]} must be set to send again what was refused there (got none)",
                Exit.USAGE,
            )
        wanted = {each.record_id for each in chosen if each.sink == name}
        done[name] = redeliver(sinks[name], runtime.config.state_dir, _one_of(wanted))
    return done


def _one_of(ids: set[str]) -> Callable[[DeadLetter], bool]:
    return lambda letter: letter.id in ids


def _document(
    session: Session, waiting: Sequence[Unsent], failed: Sequence[Unsent], passed_over: int
) -> dict[str, Any]:
    return {
        "posting": is_posting(session.config),
        "passed_over": passed_over,
        "waiting": [attrs.asdict(each) for each in waiting],
        "failed": [attrs.asdict(each) for each in failed],
    }


def _show(session: Session, unsent: Sequence[Unsent]) -> None:
    screen = session.screen
    if unsent:
        screen.lines(draw(screen, _COLUMNS, [_row(session, each) for each in unsent]))
    else:
        screen.line(f"{screen.mark('✓', 'good')} nothing is unsent")
    if not is_posting(session.config):
        screen.note(
            "runs are not posted: METRICS_API_URL is not set, or METRICS_API_ENABLED is off"
        )


def _row(session: Session, unsent: Unsent) -> list[Cell]:
    return [
        Cell(unsent.run_id or unsent.record_id),
        Cell(unsent.state, _STYLES[unsent.state]),
        Cell(unsent.sink),
        Cell(unsent.attempts or ""),
        Cell(clock(unsent.since or None, utc=session.utc)),
        Cell(unsent.reason),
    ]


def _tell_plan(session: Session, chosen: Sequence[Unsent]) -> None:
    screen = session.screen
    if session.as_json:
        screen.json({"would_send": [attrs.asdict(each) for each in chosen]})
        return
    if chosen:
        screen.lines(draw(screen, _COLUMNS, [_row(session, each) for each in chosen]))
    screen.line(f"{len(chosen)} would be sent again; nothing was sent")


def _tell_sent(session: Session, done: dict[str, Redelivered], *, is_complete: bool) -> None:
    screen = session.screen
    counts = {
        "delivered": sum(each.delivered_count for each in done.values()),
        "refused": sum(each.refused_count for each in done.values()),
    }
    problem: Optional[str] = next((each.problem for each in done.values() if each.problem), None)
    if session.as_json:
        screen.json({**counts, "complete": is_complete, "problem": problem})
        return
    screen.line(f"{counts['delivered']} sent, {counts['refused']} refused once more")
    if problem is not None:
        screen.warn(f"{visible(problem)}; the rest is kept")
    elif not is_complete:
        screen.warn("what waits could not all be sent now; it is tried again by whoever records")
