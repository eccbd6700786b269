"""
Runs that were left open: what an agent calls when it starts, and ``python -m telemetry.helpers``.

A run whose process was killed, or whose machine was switched off, may stay ``running``. Where the
run was recorded by this library on a machine that is still up, its death is noticed by itself; this
is for runs that other programs and other machines handed to the service.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from typing import Optional, TypedDict

import click

from telemetry.api import APIError, PreconditionFailedError, StoredRun, TelemetryAPI
from telemetry.model.errors import TelemetryError
from telemetry.model.values import time_text
from telemetry.model.words import several
from telemetry.runtime.notices import notice

DEFAULT_THRESHOLD_HOURS = 1.0
DEFAULT_TIMEOUT_S = 30.0


class StaleRun(TypedDict):
    """
    A run that was found open.
    """

    event_id: str
    run_id: str
    agent_name: str
    created_at: str


class CleanupResult(TypedDict):
    """
    What a clean-up found and did.
    """

    #: Runs that were open for too long.
    found: int
    #: Those that are closed now.
    cleaned: int
    #: Those that could not be closed; those that ended meanwhile count as neither.
    failed: int
    #: A line for each failure.
    errors: list[str]
    stale_runs: list[StaleRun]


def cleanup_stale_runs(  # noqa: PLR0913, PLR0917 (the signature that existing callers use)
    api_url: str,
    agent_name: str,
    stale_threshold_hours: float = DEFAULT_THRESHOLD_HOURS,
    status_to_check: str = "running",
    cleanup_status: str = "cancelled",
    auth_token: Optional[str] = None,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> CleanupResult:
    """
    Close the runs of an agent that have been open for too long, however many there are.

    A run that ends while this goes on keeps its own end. Never raises for what the service does.

    Args:
        api_url: Where the service is.
        agent_name: The agent whose runs are looked at.
        stale_threshold_hours: How long ago a run must have been created, in hours.
        status_to_check: The status that a run must have.
        cleanup_status: The status that it is given.
        auth_token: What is shown to the service; TELEMETRY_API_TOKEN by default.
        timeout: How long to wait for an answer, in seconds.

    Raises:
        SettingsError: The address or the token cannot be used.
    """
    result = CleanupResult(found=0, cleaned=0, failed=0, errors=[], stale_runs=[])
    before = datetime.now(timezone.utc) - timedelta(hours=stale_threshold_hours)
    with TelemetryAPI(api_url, auth_token, timeout_s=timeout) as api:
        try:
            stale = list(
                api.runs(agent_name=agent_name, status=status_to_check, created_before=before)
            )
        except APIError as error:
            result["errors"].append(str(error))
            return result
        result["found"] = len(stale)
        result["stale_runs"] = [_described(run) for run in stale]
        for run in stale:
            _close(api, run, cleanup_status, result)
    return result


def cleanup_on_startup(
    api_url: str,
    agent_name: str,
    stale_threshold_hours: float = DEFAULT_THRESHOLD_HOURS,
    auth_token: Optional[str] = None,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> bool:
    """
    Close the runs that an agent's earlier processes left open; call it first thing.

    Never raises: what goes wrong is a warning, and the answer False.

    Args:
        api_url: Where the service is.
        agent_name: The agent that starts.
        stale_threshold_hours: How long ago a run must have been created, in hours.
        auth_token: What is shown to the service; TELEMETRY_API_TOKEN by default.
        timeout: How long to wait for an answer, in seconds.
    """
    try:
        result = cleanup_stale_runs(
            api_url, agent_name, stale_threshold_hours, auth_token=auth_token, timeout=timeout
        )
    except (TelemetryError, ValueError, TypeError, OverflowError) as error:
        problems = [str(error)]
    else:
        problems = result["errors"]
    if problems:
        notice("cleanup", f"runs left open could not all be closed: {problems[0]}")
    return not problems


def _described(run: StoredRun) -> StaleRun:
    return StaleRun(
        event_id=run.event_id,
        run_id=run.run_id,
        agent_name=run.agent_name,
        created_at=_created(run),
    )


def _created(run: StoredRun) -> str:
    return "" if run.created_at is None else time_text(run.created_at)


def _close(api: TelemetryAPI, run: StoredRun, status: str, result: CleanupResult) -> None:
    fields = {
        "status": status,
        "end_time": datetime.now(timezone.utc),
        "error_summary": f"Stale run cleaned up on startup (created at {_created(run)})",
    }
    try:
        # Between the list and now it may have ended by itself: that end must stand.
        now = api.run(run.event_id)
        if now.status != run.status:
            return
        api.update_run(run.event_id, fields, if_match=now.etag)
    except PreconditionFailedError:
        return
    except APIError as error:
        result["failed"] += 1
        result["errors"].append(f"{run.event_id}: {error}")
    else:
        result["cleaned"] += 1


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--api-url", required=True, metavar="URL", help="Where the service is.")
@click.option("--agent-name", required=True, metavar="NAME", help="The agent to look at.")
@click.option(
    "--stale-threshold-hours",
    type=click.FloatRange(0),
    default=DEFAULT_THRESHOLD_HOURS,
    show_default=True,
    metavar="HOURS",
    help="Close runs that were created so long ago.",
)
@click.option(
    "--auth-token",
    metavar="TOKEN",
    help="Token for the service. Others can see it in the list of processes; TELEMETRY_API_TOKEN"
    " is better.",
)
def main(
    api_url: str, agent_name: str, stale_threshold_hours: float, auth_token: Optional[str]
) -> None:
    """
    Close the runs of an agent that were left open.

    Exits with 0 if all of them are closed, else with 1.
    """
    try:
        result = cleanup_stale_runs(
            api_url, agent_name, stale_threshold_hours, auth_token=auth_token
        )
    except TelemetryError as error:
        raise click.ClickException(str(error)) from error
    left = several(result["found"], "run")
    click.echo(f"{left} left open, {result['cleaned']} closed, {result['failed']} failed")
    for line in result["errors"]:
        click.echo(line, err=True)
    sys.exit(1 if result["errors"] else 0)


if __name__ == "__main__":
    main()
