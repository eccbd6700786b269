"""
``telemetry run -- CMD…``: any command, in any language, as a run.
"""

from __future__ import annotations

import os
import shlex
import time
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Optional, Union

import click

from telemetry.cli.children.endings import Ending, refused
from telemetry.cli.children.tails import last_part
from telemetry.cli.session import current, shares_options
from telemetry.cli.text import visible
from telemetry.cli.times import duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telemetry.cli.children.posix import PosixChild
    from telemetry.cli.children.windows import ThreadedChild
    from telemetry.run_context import RunContext

    Child = Union[PosixChild, ThreadedChild]

DEFAULT_TAIL_BYTES = 4096
MAX_TAIL_BYTES = 262_144
MAX_DETAILS_LENGTH = 5000
_INTERPRETERS = frozenset({"python", "pypy", "node", "ruby", "perl", "php", "bash", "sh", "zsh"})


@shares_options
@click.command("run", context_settings={"allow_interspersed_args": False})
@click.option("--agent", help="Name of the agent; from the command if not given.")
@click.option("--job-type", default="command", show_default=True, help="Kind of work.")
@click.option(
    "--trigger",
    "trigger_type",
    type=click.Choice(["cli", "web", "scheduler", "mcp", "manual"]),
    default="cli",
    show_default=True,
    help="What set it off.",
)
@click.option(
    "--tail",
    "tail_bytes",
    type=click.IntRange(0, MAX_TAIL_BYTES),
    default=DEFAULT_TAIL_BYTES,
    show_default=True,
    metavar="BYTES",
    help="How much of the end of each output is kept; 0 keeps nothing.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say on standard error how the run ended.")
@click.argument("cmd", nargs=-1, required=True, type=click.UNPROCESSED, metavar="[--] CMD...")
def command(  # noqa: PLR0913 (one parameter for each option)
    *,
    agent: Optional[str],
    job_type: str,
    trigger_type: str,
    tail_bytes: int,
    verbose: bool,
    cmd: tuple[str, ...],
) -> int:
    """
    Run a command and record it as a run.

    Its output passes through unchanged and unbuffered, a terminal stays a terminal, signals are
    handed down. The exit code is the command's own: 128 + N for signal N, 127 for a command that is
    not found, 126 for one that cannot be executed.

    What the command records itself is nested in the run. --json writes the run as one line of JSON
    to standard error at the end.
    """
    from telemetry.client import TelemetryClient

    session = current()
    if session.config.disabled:
        return _pass_through(cmd)
    client = TelemetryClient(session.config)
    context = client.track_run(
        agent or agent_name(cmd), job_type, trigger_type, input_summary=shlex.join(cmd)
    )
    child = new_child(tail_bytes)
    try:
        begun = time.monotonic()
        with context as run:
            ending = _record(run, child, cmd)
        _tell(run, ending, (time.monotonic() - begun) * 1000, verbose=verbose)
        child.drain()
    finally:
        child.close()
    client.flush(client.config.exit_timeout_s)
    return ending.exit_code


def _pass_through(cmd: tuple[str, ...]) -> int:
    """
    Run a command and record nothing.
    """
    child = new_child(0)
    try:
        ending = _run(child, cmd, os.environ)
        child.drain()
    finally:
        child.close()
    return ending.exit_code


def _run(child: Child, cmd: tuple[str, ...], env: Mapping[str, str]) -> Ending:
    """
    Run a command to its end; one that cannot be started is said on standard error.
    """
    try:
        return child.run(cmd, env)
    except OSError as error:
        ending = refused(cmd[0], error)
        click.echo(f"telemetry run: {visible(ending.refusal.partition(': ')[2])}", err=True)
        return ending


def agent_name(cmd: tuple[str, ...]) -> str:
    """
    Return the agent that a command stands for: its program, or the script that is interpreted.
    """
    program = PurePath(cmd[0]).stem if cmd[0].lower().endswith(".exe") else PurePath(cmd[0]).name
    interpreter = program.rstrip("0123456789.")
    if interpreter in _INTERPRETERS and len(cmd) > 1 and not cmd[1].startswith("-"):
        return PurePath(cmd[1]).stem or program
    return program or "command"


def new_child(tail_bytes: int) -> Child:
    """
    Return what runs a command on this platform.
    """
    if os.name == "posix":
        from telemetry.cli.children.posix import PosixChild

        return PosixChild(tail_bytes)
    from telemetry.cli.children.windows import ThreadedChild

    return ThreadedChild(tail_bytes)


def _record(run: RunContext, child: Child, cmd: tuple[str, ...]) -> Ending:
    """
    Run a command to its end and record what came of it.
    """
    ending = _run(child, cmd, run.environ())
    outputs = {"stdout": child.stdout.text(), "stderr": child.stderr.text()}
    if any(outputs.values()):
        sizes = {
            "stdout_bytes": child.stdout.total_bytes,
            "stderr_bytes": child.stderr.total_bytes,
        }
        run.log_event("output", {**outputs, **sizes})
    run.set_metrics(**_fields(ending, outputs))
    return ending


def _fields(ending: Ending, outputs: dict[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {"status": ending.status.value, "metrics_json": ending.metrics()}
    last_lines = outputs["stdout"].rstrip().rsplit("\n", 1)[-1]
    if last_lines:
        fields["output_summary"] = last_lines
    if ending.error_summary:
        fields["error_summary"] = ending.error_summary
        details = outputs["stderr"] or outputs["stdout"]
        if details:
            fields["error_details"] = last_part(details, MAX_DETAILS_LENGTH)
    return fields


def _tell(run: RunContext, ending: Ending, took_ms: float, *, verbose: bool) -> None:
    """
    Say how the run ended, where that was asked for.
    """
    session = current()
    if session.as_json:
        import json

        document = {"run_id": run.run_id, "event_id": run.event_id, "status": ending.status.value}
        click.echo(json.dumps({**document, **ending.metrics()}), err=True)
    elif verbose:
        session.screen.note(f"{run.run_id}: {ending.status.value} in {duration(took_ms)}")
