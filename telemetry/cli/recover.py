"""
``telemetry recover``: a damaged or missing database, made anew from the journal.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable, Optional

import click

from telemetry.cli.exits import Exit, fail
from telemetry.cli.session import Session, current, shares_options
from telemetry.cli.text import visible
from telemetry.cli.times import duration

if TYPE_CHECKING:
    from telemetry.config import TelemetryConfig
    from telemetry.sinks import Journal
    from telemetry.storage.recovery import Progress, Rebuilt

_POLL_S = 0.1
_SINK = "sqlite"
SHOWN_PROBLEMS = 10


@shares_options
@click.command("recover")
@click.option("--check-only", is_flag=True, help="Say what is wrong and change nothing.")
@click.option("--compare", is_flag=True, help="Compare every row with what the journal gives.")
@click.option("--force", is_flag=True, help="Make the database anew even if it is sound.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a process that writes the database.",
)
def command(check_only: bool, compare: bool, force: bool, wait_s: float) -> Exit:
    """
    Check the database and, where it is damaged or missing, make it anew from the journal.

    The former database is kept beside the new one, under another name. Exits with 5 where
    --check-only finds damage, with 1 where it finds no database or the journal has damaged lines,
    with 4 where another process writes the database.
    """
    session = current()
    config = session.config
    if not config.ndjson_dir.is_dir():
        fail(
            f"the journal {config.ndjson_dir} must exist to recover from;"
            " see telemetry config base_dir",
            Exit.NOT_FOUND,
        )
    is_missing = not config.db_path.exists()
    problems = _problems(config, compare=compare and not is_missing)
    if check_only:
        return _tell_check(session, problems, is_missing=is_missing)
    if not problems and not force:
        return _tell_check(session, problems, is_missing=False)
    return _tell_rebuilt(session, _rebuild(session, wait_s), problems)


def _journal(config: TelemetryConfig) -> Journal:
    from telemetry.runtime.plugins import Plugins

    return Plugins.load(config).journal(config)


def _problems(config: TelemetryConfig, *, compare: bool) -> list[str]:
    from telemetry.storage import recovery

    problems = recovery.check(config.db_path)
    if compare and not problems:
        from telemetry.client import TelemetryClient

        client = TelemetryClient(config)
        client.catch_up()
        client.close()
        problems = recovery.differences(config.db_path, _journal(config))
    return problems


def _rebuild(session: Session, wait_s: float) -> Rebuilt:
    from telemetry.storage.recovery import rebuild

    config = session.config
    config.db_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(config, wait_s), _progress(session) as progress:
        return rebuild(config.db_path, _journal(config), sink=_SINK, progress=progress)


@contextmanager
def _alone(config: TelemetryConfig, wait_s: float) -> Iterator[None]:
    """
    Keep every other process from writing the database meanwhile.
    """
    from telemetry.runtime.leadership import Leadership

    leadership = Leadership(config.state_dir, _SINK)
    deadline = time.monotonic() + wait_s
    while not leadership.may_work():
        if time.monotonic() > deadline:
            fail(
                f"the database {config.db_path} must have no writer to be made anew"
                f" (a process has held {leadership.path} for {wait_s:g} s);"
                " end that process, or ask again with a longer --wait",
                Exit.UNAVAILABLE,
            )
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        leadership.release()


@contextmanager
def _progress(session: Session) -> Iterator[Optional[Progress]]:
    """
    Give a function that moves a bar on, where there is a terminal to draw it on.
    """
    if session.as_json or not session.screen.terminal:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    console = Console(no_color=not session.screen.color, highlight=False)
    columns = (BarColumn(40), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("")
        yield _mover(lambda done, total: bar.update(task, completed=done, total=total))


def _mover(move: Callable[[int, int], Any]) -> Progress:
    def progress(done: int, total: int) -> None:
        move(done, total)

    return progress


def _tell_check(session: Session, problems: list[str], *, is_missing: bool) -> Exit:
    screen, path = session.screen, session.config.db_path
    if session.as_json:
        screen.json({"database": str(path), "sound": not problems, "problems": problems})
    elif not problems:
        screen.line(
            f"{screen.style(screen.sign('✓'), 'good')} the database {visible(path)} is sound"
        )
    else:
        screen.line(f"{screen.style(screen.sign('✗'), 'bad')} {visible(problems[0])}")
        screen.lines([f"  {visible(problem)}" for problem in problems[1:SHOWN_PROBLEMS]] or [])
        screen.line("telemetry recover makes it anew from the journal")
    if not problems:
        return Exit.FINE
    return Exit.FINDINGS if is_missing else Exit.INTEGRITY


def _tell_rebuilt(session: Session, rebuilt: Rebuilt, problems: list[str]) -> Exit:
    screen, path = session.screen, session.config.db_path
    if session.as_json:
        screen.json(_document(session, rebuilt, problems))
    else:
        screen.line(
            f"{screen.style(screen.sign('✓'), 'good')} {rebuilt.run_count:,} runs are back in"
            f" {visible(path)}: {rebuilt.record_count:,} records in"
            f" {duration(rebuilt.seconds * 1000)}"
        )
        if rebuilt.aside is not None:
            screen.line(
                f"  the former database is {visible(rebuilt.aside)}; remove it when you like"
            )
    if rebuilt.damaged_count or rebuilt.refused:
        screen.warn(
            f"{rebuilt.damaged_count} damaged lines ({rebuilt.damaged_bytes} bytes) of the journal"
            f" and {len(rebuilt.refused)} records with values that SQLite refuses were left out;"
            " the journal keeps them"
        )
        return Exit.FINDINGS
    return Exit.FINE


def _document(session: Session, rebuilt: Rebuilt, problems: list[str]) -> dict[str, Any]:
    return {
        "database": str(session.config.db_path),
        "problems": problems,
        "runs": rebuilt.run_count,
        "records": rebuilt.record_count,
        "damaged_lines": rebuilt.damaged_count,
        "damaged_bytes": rebuilt.damaged_bytes,
        "refused": list(rebuilt.refused),
        "former_database": None if rebuilt.aside is None else str(rebuilt.aside),
        "seconds": round(rebuilt.seconds, 3),
    }
