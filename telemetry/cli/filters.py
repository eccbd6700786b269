"""
The options that choose runs, the same for every command that takes many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, TypeVar

import click

from telemetry.cli.times import When

if TYPE_CHECKING:
    from telemetry.cli.session import Session
    from telemetry.storage.reader import RunFilter

Function = TypeVar("Function", bound=Callable[..., Any])
#: Under which names a command is given what was chosen.
FILTERS = ("agent", "job_type", "statuses", "failed", "since", "until", "parent", "search")


def _statuses(ctx: click.Context, param: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    """
    Accept every spelling of a status that is understood elsewhere.
    """
    if not value:
        return ()
    from telemetry.model.run import Status, parse_status

    found = []
    for text in value:
        status = parse_status(text)
        if status is None:
            choices = ", ".join(status.value for status in Status)
            raise click.BadParameter(f"must be one of {choices} (got {text!r})", ctx, param)
        found.append(status.value)
    return tuple(dict.fromkeys(found))


_OPTIONS = (
    click.option("--agent", help="Only runs of this agent."),
    click.option("--job-type", "--job", help="Only runs of this kind of work."),
    click.option(
        "--status",
        "statuses",
        multiple=True,
        callback=_statuses,
        help="Only runs of this status; may be given again.",
    ),
    click.option("--failed", is_flag=True, help="Only runs that failed, died or timed out."),
    click.option(
        "--since", type=When(), help="Only runs begun since: 2h, 3d, today, 2026-11-22T10:30."
    ),
    click.option("--until", type=When(), help="Only runs begun before."),
    click.option("--parent", metavar="RUN", help="Only runs nested in this one."),
    click.option(
        "--search", metavar="TEXT", help="Only runs with this text in names or summaries."
    ),
)


def filter_options(function: Function) -> Function:
    """
    Add the options that choose runs to a command's function.
    """
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def chosen(session: Session, options: dict[str, Any]) -> tuple[RunFilter, tuple[str, ...]]:
    """
    Return what the options choose: a filter, and the statuses of which any will do.
    """
    # What the shortest way to a list does without is imported behind it.
    from telemetry.cli.finding import FAILURES, column_time, find_run
    from telemetry.storage.reader import RunFilter

    statuses = (*options["statuses"], *(FAILURES if options["failed"] else ()))
    parent = options["parent"]
    if parent is not None:
        parent = find_run(session, parent)["run_id"]
    wanted = RunFilter(
        agent=options["agent"],
        job_type=options["job_type"],
        since=column_time(options["since"]),
        until=column_time(options["until"]),
        text=options["search"],
        parent=parent,
    )
    return wanted, tuple(dict.fromkeys(statuses))
